/*
 * merges.c - what others have changed meanwhile is merged, again and again, or is not
 */
#include "tallies.h"

static void
test_merged(void **state)
{
    const struct tally *p;
    newt_stats before;
    item_ref created;
    two t;

    (void)state;
    two_open(&t, "merged");
    begin(t.a);
    begin(t.b);
    add(t.a, t.r, 1);
    add(t.b, t.r, 2);
    created = item_id(new_item(t.b, "beside", 1));
    commit(t.a);
    before = stats_of(t.b);
    commit(t.b);
    /* the first attempt, the question, the second attempt */
    assert_round_trips(t.b, before, 3);
    assert_int_equal(stats_of(t.b).merges, 1);
    assert_int_equal(stats_of(t.b).conflicts, 0);
    assert_int_equal(stats_of(t.b).commits, before.commits + 1);
    assert_int_equal(newt_status(t.b), NEWT_OK);
    assert_int_equal(resolver.calls, 1);
    assert_int_equal(resolver.old, 10);
    assert_int_equal(resolver.committed, 11);
    assert_int_equal(resolver.ours, 12);
    check_store(&t, t.r, 13);
    assert_sql(t.s.pg, "1", "SELECT count(*) FROM newt WHERE zoid = %lld",
               (long long)created.any.oid);
    /* one transaction, with all it wrote */
    assert_sql(t.s.pg, "2", "SELECT cardinality(written) FROM transaction WHERE tid = %lld",
               (long long)newt_tid(t.b));
    /* the merged state is in the cache, with its texts, and can be changed again */
    before = stats_of(t.b);
    begin(t.b);
    p = tally_read(t.b, t.r);
    assert_int_equal(p->n, 13);
    assert_string_equal(p->log.s, "0+0");
    assert_int_equal(p->peer.any.oid, t.r.any.oid);
    assert_int_equal(stats_of(t.b).loads, before.loads);
    add(t.b, t.r, 1);
    commit(t.b);
    check_store(&t, t.r, 14);
    begin(t.a);
    assert_int_equal(tally_n(t.a, t.r), 14);
    commit(t.a);
    store_close(&t.s);
}

/* Many at once, some of them not changed by others, one merged into what is there already. */
static void
test_many_merged(void **state)
{
    tally_ref r[50];
    two t;

    (void)state;
    two_open(&t, "many");
    for (int i = 0; i < 50; i++)
        r[i] = make_tally(t.a, i);
    begin(t.a);
    begin(t.b);
    for (int i = 49; i >= 0; i--)
        add(t.b, r[i], 1000);
    for (int i = 0; i < 50; i += 2)
        add(t.a, r[i], 100);
    commit(t.a);
    commit(t.b);
    assert_int_equal(stats_of(t.b).merges, 25);
    for (int i = 0; i < 50; i++)
        check_store(&t, r[i], i + 1000 + (i % 2 ? 0 : 100));
    begin(t.b);
    for (int i = 0; i < 50; i++)
        assert_int_equal(tally_n(t.b, r[i]), i + 1000 + (i % 2 ? 0 : 100));
    commit(t.b);
    store_close(&t.s);
}

/* Changed again while the resolver runs: merged again, from what it was merged with. */
static void
test_merged_again(void **state)
{
    two t;

    (void)state;
    two_open(&t, "again");
    resolver.disturb = 3;
    resolver.disturber = t.a;
    resolver.disturbed = t.r.any;
    begin(t.b);
    add(t.b, t.r, 2);
    begin(t.a);
    add(t.a, t.r, 1);
    commit(t.a);
    commit(t.b);
    assert_int_equal(resolver.calls, 4);
    assert_int_equal(stats_of(t.b).merges, 4);
    assert_int_equal(resolver.old, 211); /* what the one before was merged with */
    assert_int_equal(resolver.committed, 311);
    assert_int_equal(resolver.ours, 213);
    check_store(&t, t.r, 313);
    store_close(&t.s);
}

/* Ten attempts are merged, an eleventh is not: a conflict that newt_transact retries. */
static int
add_two(newt_conn *c, void *arg)
{
    two *t = arg;

    add(c, t->r, 2);
    begin(t->a);
    add(t->a, t->r, 1);
    commit(t->a);
    return 0;
}

static void
test_merged_too_often(void **state)
{
    newt_transact_options twice = {.size = sizeof twice, .attempts = 2};
    const newt_conflict *x;
    two t;

    (void)state;
    two_open(&t, "often");
    resolver.disturb = 9; /* and the first commit: ten in all, the last of which succeeds */
    resolver.disturber = t.a;
    resolver.disturbed = t.r.any;
    ok(t.b, newt_transact(t.b, add_two, &t, NULL));
    assert_int_equal(resolver.calls, 10);
    assert_int_equal(stats_of(t.b).retries, 0);
    check_store(&t, t.r, 10 + 1 + 900 + 2);

    resolver.disturb = 1000;
    resolver.calls = 0;
    assert_int_equal(newt_transact(t.b, add_two, &t, &twice), NEWT_ECONFLICT);
    assert_int_equal(resolver.calls, 20);
    assert_int_equal(stats_of(t.b).retries, 1);
    assert_int_equal(stats_of(t.b).conflicts, 2);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(t.b)), "merged 10 times"));
    x = newt_error_conflict(newt_conn_error(t.b), 0);
    assert_non_null(x);
    assert_int_equal(x->committed, serial_of(&t, t.r.any));
    check_store(&t, t.r, 913 + 2 * 1001);

    /* with the others gone it works */
    resolver.disturb = 0;
    ok(t.b, newt_transact(t.b, add_two, &t, &twice));
    check_store(&t, t.r, 913 + 2 * 1001 + 3);
    store_close(&t.s);
}

/* Merged into exactly what the others have committed: nothing is left to write. */
static int
give_way(const void *old, const void *committed, void *ours, void *arg)
{
    (void)old;
    (void)arg;
    ((struct item *)ours)->n = ((const struct item *)committed)->n;
    return 0;
}
static const newt_hooks giving_way = {.size = sizeof giving_way, .resolve = give_way};
struct yielding {
    newt_text name;
    int64_t n;
    item_ref next;
};
NEWT_DECLARE(yielding);
NEWT_CLASS(yielding, "Yielding", 1, &giving_way, NEWT_FIELD(struct yielding, name),
           NEWT_FIELD(struct yielding, n), NEWT_REF(struct yielding, next, item));

static void
test_nothing_left(void **state)
{
    static const newt_class *const list[] = {&yielding_class, &item_class, NULL};
    struct yielding *y;
    yielding_ref r;
    store s;

    (void)state;
    store_make(&s, "nothing");
    s.db = store_db(&s, list, (newt_options){.debug = true});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    r = yielding_id(yielding_new(s.a));
    commit(s.a);
    begin(s.a);
    begin(s.b);
    for (int i = 0; i < 2; i++) {
        y = yielding_write(i ? s.b : s.a, r);
        assert_non_null(y);
        y->n = i + 1;
    }
    commit(s.a);
    commit(s.b);
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE class_name = 'Yielding'");
    assert_sql(s.pg, "3", "SELECT count(*) FROM transaction");
    begin(s.b);
    assert_int_equal(yielding_read(s.b, r)->n, 1);
    commit(s.b);
    store_close(&s);
}

static void
test_refused(void **state)
{
    newt_ref r;
    two t;

    (void)state;
    two_open(&t, "refused");
    r = t.r.any;
    for (int i = 0; i < 4; i++) {
        static const int gives[] = {1, NEWT_ENOMEM, NEWT_OK, NEWT_OK};
        static const int statuses[] = {NEWT_ECONFLICT, NEWT_ENOMEM, NEWT_ELIMIT, NEWT_ECONFLICT};

        resolver.give = gives[i];
        resolver.too_large = i == 2; /* a setter fails */
        begin(t.a);
        begin(t.b);
        if (i == 3)
            ok(t.b, newt_delete(t.b, r));
        else
            add(t.b, t.r, 1);
        add(t.a, t.r, 10);
        commit(t.a);
        assert_int_equal(newt_commit(t.b), statuses[i]);
        assert_int_equal(newt_status(t.b), statuses[i]);
        assert_int_equal(newt_error_oid(newt_conn_error(t.b)), r.oid);
        assert_string_equal(newt_error_class(newt_conn_error(t.b)), "Tally");
        assert_int_equal(i == 0, strstr(newt_error_detail(newt_conn_error(t.b)),
                                        "Its resolver did not merge it.") != NULL);
        if (statuses[i] == NEWT_ECONFLICT)
            assert_string_equal(newt_error_hint(newt_conn_error(t.b)),
                                "Run the transaction again, as newt_transact does.");
        assert_int_equal(resolver.calls, i < 3 ? i + 1 : 3);
        check_store(&t, t.r, 10 + 10 * (i + 1));
        /* the connection goes on */
        begin(t.b);
        assert_int_equal(tally_n(t.b, t.r), 10 + 10 * (i + 1));
        commit(t.b);
    }
    assert_int_equal(stats_of(t.b).merges, 0);
    store_close(&t.s);
}

/* Fields that this program's table lacks: what the others made of them stays. */
struct whole {
    newt_text log, more;
    int64_t n;
};
NEWT_DECLARE(whole);
NEWT_CLASS(whole, "Part", 1, NULL, NEWT_FIELD(struct whole, log), NEWT_FIELD(struct whole, more),
           NEWT_FIELD(struct whole, n));
struct part {
    newt_text log;
    int64_t n;
};
NEWT_DECLARE(part);
static int
add_up(const void *old, const void *committed, void *ours, void *arg)
{
    (void)arg;
    ((struct part *)ours)->n += ((const struct part *)committed)->n - ((const struct part *)old)->n;
    return 0;
}
static const newt_hooks adding_up = {.size = sizeof adding_up, .resolve = add_up};
NEWT_CLASS(part, "Part", 1, &adding_up, NEWT_FIELD(struct part, log), NEWT_FIELD(struct part, n));

static int
change_whole(newt_conn *c, void *arg)
{
    struct whole *w = whole_write(c, whole_of(*(newt_ref *)arg));

    if (!w)
        return newt_status(c);
    newt_set(w, more, w->n < 10 ? "first" : "second");
    w->n += 10;
    return 0;
}

static void
test_unknown_fields(void **state)
{
    static const newt_class *const wholes[] = {&whole_class, NULL};
    static const newt_class *const parts[] = {&part_class, NULL};
    struct whole *w;
    struct part *p;
    newt_conn *a, *b;
    newt_db *da, *db;
    newt_ref r;
    store s;

    (void)state;
    needs_server(); /* where the registry can forget */
    store_make(&s, "unknown");
    da = store_db(&s, wholes, (newt_options){0});
    sql_do(s.pg, "DELETE FROM newt_class"); /* which would not have both */
    db = store_db(&s, parts, (newt_options){0});
    a = connect_(da);
    b = connect_(db);
    begin(a);
    w = whole_new(a);
    r = whole_id(w).any;
    commit(a);
    for (int i = 1; i <= 2; i++) { /* the first time there is none yet */
        begin(b);
        p = part_write(b, part_of(r));
        assert_non_null(p);
        p->n += 1;
        ok(a, newt_transact(a, change_whole, &r, NULL));
        commit(b);
    }
    assert_sql(s.pg, "{\"n\": 22, \"more\": \"second\"}",
               "SELECT state FROM newt WHERE zoid = %lld", (long long)r.oid);
    newt_close(a);
    newt_close(b);
    newt_db_close(da);
    newt_db_close(db);
    PQfinish(s.pg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_merged),           TWICE(test_many_merged),  TWICE(test_merged_again),
        TWICE(test_merged_too_often), TWICE(test_nothing_left), TWICE(test_refused),
        TWICE(test_unknown_fields),
    };

    return run_all(tests);
}
