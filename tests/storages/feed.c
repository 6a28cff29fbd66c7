/*
 * feed.c - transactions as those who follow see them: through the storage's own functions
 */
#include "../../bridge/postgres/session.h"
#include "stored.h"

enum {
    MOST = 4000
};

/* What was handed over. */
typedef struct seen {
    newt__position at[MOST];
    size_t written[MOST], removed[MOST];
    char text[200]; /* of the last: user|description|extension */
    int64_t first_oid, last_removed;
    int n, stop_at;
    bool more;
} seen;

static int
take(void *arg, const newt__transaction *t)
{
    seen *s = arg;

    if (s->n + 1 == s->stop_at)
        return 42;
    if (s->n > 0 && s->at[s->n - 1].tid == t->at.tid) { /* another part */
        assert_true(s->more);
        s->written[s->n - 1] += t->n_written;
        s->removed[s->n - 1] += t->n_removed;
        s->more = t->more;
        return NEWT_OK;
    }
    assert_false(s->more);
    s->more = t->more;
    assert_true(s->n < MOST);
    assert_true(s->n == 0 || t->at.tid > s->at[s->n - 1].tid);
    assert_true(t->committed_us > INT64_C(1600000000000000));
    s->at[s->n] = t->at;
    s->written[s->n] = t->n_written;
    s->removed[s->n++] = t->n_removed;
    s->first_oid = t->n_written ? t->written[0] : 0;
    s->last_removed = t->n_removed ? t->removed[t->n_removed - 1] : 0;
    snprintf(s->text, sizeof s->text, "%s|%s|%s", t->user ? t->user : "-",
             t->description ? t->description : "-", t->extension ? t->extension : "-");
    return NEWT_OK;
}

static int
feed(newt_conn *c, newt__position *after, int64_t objects, seen *s)
{
    newt__cursor at = {.after = *after};
    newt_error e = {0};
    int status;

    do
        status = c->jar.storage->feed->next(c->jar.session, &at, objects, take, s, &e);
    while (status == NEWT_OK && at.parts > 0);
    *after = at.after;

    newt__error_clear(&e);
    return status;
}

static int
wait_for(newt_conn *c, newt__position after, int ms)
{
    newt_error e = {0};

    return c->jar.storage->feed->wait(c->jar.session, after, ms, &e);
}

static void
test_order(void **state)
{
    json_t *extension = json_pack("{s:i}", "n", 7);
    newt__position start = {0}, after = {0};
    item_ref r, q;
    seen x = {0};
    store s;

    (void)state;
    store_open(&s, "feed");
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK); /* the store's own: the root */
    assert_int_equal(x.n, 1);
    assert_int_equal(x.first_oid, 1);
    assert_int_equal(wait_for(s.b, after, 1), 0);
    start = after;
    begin(s.a);
    r = item_id(new_item(s.a, "r", 1));
    q = item_id(new_item(s.a, "q", 1));
    commit(s.a);
    assert_int_equal(wait_for(s.b, after, 60000), 1);
    begin(s.a);
    ok(s.a, newt_describe(s.a, "ada", "second", extension));
    write_n(s.a, r, 2);
    ok(s.a, newt_delete(s.a, q.any));
    commit(s.a);
    begin(s.a);
    write_n(s.a, r, 3);
    newt_abort(s.a);
    x = (seen){0};
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.written[0], 2);
    assert_int_equal(x.removed[0], 0);
    assert_int_equal(x.written[1], 1);
    assert_int_equal(x.removed[1], 1);
    assert_int_equal(x.first_oid, r.any.oid);
    assert_int_equal(x.last_removed, q.any.oid);
    assert_non_null(strstr(x.text, "ada|second|{\"n\""));
    assert_int_equal(after.tid, newt_tid(s.a));
    /* nothing after the last; whole transactions; a callback that stops */
    x = (seen){0};
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK);
    assert_int_equal(x.n, 0);
    after = start;
    assert_int_equal(feed(s.b, &after, 1, &x), NEWT_OK);
    assert_int_equal(x.n, 1);
    assert_int_equal(after.tid, x.at[0].tid);
    x = (seen){.stop_at = 2};
    after = start;
    assert_int_equal(feed(s.b, &after, 1000, &x), 42);
    assert_int_equal(x.n, 1);
    assert_int_equal(after.tid, x.at[0].tid);
    json_decref(extension);
    store_close(&s);
}

/* Who waits is woken by a commit, and need not wait until the time is over. */
typedef struct waiting {
    newt_conn *c;
    newt__position after;
    int found;
} waiting;

static void *
wait_in_thread(void *arg)
{
    waiting *w = arg;

    w->found = wait_for(w->c, w->after, PATIENCE_S * 1000);
    return NULL;
}

static void
test_wait(void **state)
{
    time_t start;
    seen x = {0};
    waiting w = {0};
    store s;

    (void)state;
    store_open(&s, "wait");
    w.c = s.b;
    assert_int_equal(feed(s.b, &w.after, 1000, &x), NEWT_OK);
    start = time(NULL);
    for (int i = 0; i < 20; i++) {
        pthread_t t;

        assert_int_equal(pthread_create(&t, NULL, wait_in_thread, &w), 0);
        make_item(s.a, "x", i);
        pthread_join(t, NULL);
        assert_int_equal(w.found, 1);
        w.found = 0;
        memset(&x, 0, sizeof x);
        assert_int_equal(feed(s.b, &w.after, 1000, &x), NEWT_OK);
    }
    assert_true(time(NULL) - start < PATIENCE_S);
    store_close(&s);
}

/* Many, also large ones; and a position that nobody knows. */
static void
test_many(void **state)
{
    newt__position after = {0}, unknown = {INT64_MAX / 2, 7};
    size_t sizes[] = {1, 3000, 1, 12000, 2};
    size_t n_sizes = sizeof sizes / sizeof *sizes;
    static seen x;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "many");
    r = make_item(s.a, "r", 0);
    memset(&x, 0, sizeof x);
    after = (newt__position){0};
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK);
    for (size_t i = 0; i < n_sizes; i++) {
        begin(s.a);
        for (size_t k = 0; k < sizes[i]; k++)
            item_done(new_item(s.a, "x", 1));
        commit(s.a);
    }
    for (int i = 0; i < 2500; i++) {
        begin(s.a);
        write_n(s.a, r, i + 1);
        commit(s.a);
    }
    memset(&x, 0, sizeof x);
    while (x.n < (int)n_sizes + 2500) {
        int before = x.n;

        assert_int_equal(feed(s.b, &after, 700, &x), NEWT_OK);
        assert_true(x.n > before);
    }
    assert_int_equal(x.n, n_sizes + 2500);
    for (size_t i = 0; i < n_sizes; i++)
        assert_int_equal(x.written[i], sizes[i]);
    assert_int_equal(after.tid, newt_tid(s.a));
    assert_int_equal(feed(s.b, &unknown, 1, &x), NEWT_EMISSING);
    unknown = (newt__position){after.tid, after.serial + 1}; /* of another store */
    assert_int_equal(feed(s.b, &unknown, 1, &x), NEWT_EMISSING);
    unknown = (newt__position){after.tid - 1, after.serial};
    assert_int_equal(feed(s.b, &unknown, 1, &x), NEWT_EMISSING);
    store_close(&s);
}

/* A lost connection, and oids that are gone: said, and the position stays. */
static void
test_lost(void **state)
{
    newt__position after = {0}, before;
    static seen x;
    int status;
    store s;

    (void)state;
    needs_server();
    store_open(&s, "lost");
    memset(&x, 0, sizeof x);
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK);
    begin(s.a);
    for (int i = 0; i < 3000; i++)
        item_done(new_item(s.a, "x", i));
    commit(s.a);
    before = after;
    sql_do(s.pg, "SELECT pg_terminate_backend(%d, 60000)", PQbackendPID(s.b->jar.session->pg));
    status = feed(s.b, &after, 1000, &x);
    assert_true(status == NEWT_OK || status == NEWT_ELOST);
    if (status == NEWT_ELOST) {
        assert_int_equal(after.tid, before.tid);
        assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_OK);
    }
    assert_int_equal(x.written[x.n - 1], 3000);
    sql_do(s.pg, "DELETE FROM %s.transaction_object", s.schema);
    after = before;
    assert_int_equal(feed(s.b, &after, 1000, &x), NEWT_EMISSING);
    assert_int_equal(after.tid, before.tid);
    store_close(&s);
}

static const struct CMUnitTest feeds[] = {
    cmocka_unit_test(test_order),
    cmocka_unit_test(test_wait),
    cmocka_unit_test(test_many),
    cmocka_unit_test(test_lost),
};

int
main(void)
{
    return run_all(feeds);
}
