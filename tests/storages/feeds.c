/*
 * feeds.c - the public feed: batches, events, filters, what is durable, event loops; on any storage
 */
#include "stored.h"

#include "../bridge/feeds.h"

#include "../../bridge/feed_storage.h"

#include <poll.h>

static void
remove_item(newt_conn *c, item_ref r)
{
    begin(c);
    ok(c, newt_delete(c, r.any));
    commit(c);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void
test_events(void **state)
{
    const newt_batch *b;
    item_ref r, q;
    newt_feed *f;
    int64_t tid;
    store s;

    (void)state;
    store_open(&s, "events");
    f = open_feed(s.b, (newt_feed_options){.want = NEWT_FEED_RECORDS | NEWT_FEED_JSON});
    nothing(s.b, f);
    begin(s.a);
    r = item_id(new_item(s.a, "r", 1));
    q = item_id(new_item(s.a, "q", 2));
    ok(s.a, newt_describe(s.a, "ada", "first", NULL));
    commit(s.a);
    tid = newt_tid(s.a);
    b = next(s.b, f);
    assert_int_equal(b->n_transactions, 1);
    assert_int_equal(b->transactions[0].tid, tid);
    assert_string_equal(b->transactions[0].user, "ada");
    assert_string_equal(b->transactions[0].description, "first");
    assert_null(b->transactions[0].extension);
    assert_false(b->transactions[0].more || b->transactions[0].begun);
    assert_int_equal(b->transactions[0].n_events, 2);
    assert_int_equal(b->n_events, 2);
    assert_false(b->copy);
    assert_non_null(b->token);
    assert_int_equal(b->tid, tid);
    assert_int_equal(b->behind_us, 0);
    for (size_t i = 0; i < 2; i++) {
        const newt_event *x = &b->events[i];
        json_t *json = json_loadb(x->json, x->json_n, 0, NULL);

        assert_int_equal(x->oid, i ? q.any.oid : r.any.oid);
        assert_int_equal(x->tid, tid);
        assert_int_equal(x->kind, NEWT_EVENT_WRITTEN);
        assert_string_equal(x->class_name, "Item");
        assert_int_equal(x->serial, b->transactions[0].serial);
        assert_true(x->record_n > 10 && *(const uint8_t *)x->record == 0x83);
        assert_int_equal(json_integer_value(json_object_get(json, "n")), i + 1);
        json_decref(json);
    }
    /* changed twice and removed, in one batch: the last has what there is to know */
    begin(s.a);
    write_n(s.a, r, 5);
    commit(s.a);
    begin(s.a);
    write_n(s.a, r, 6);
    write_n(s.a, q, 7);
    commit(s.a);
    remove_item(s.a, q);
    b = next(s.b, f);
    assert_int_equal(b->n_transactions, 3);
    assert_int_equal(b->n_events, 4);
    assert_true(b->events[0].superseded);
    assert_null(b->events[0].json);
    assert_string_equal(b->events[0].class_name, "Item");
    assert_false(b->events[1].superseded);
    assert_non_null(strstr(b->events[1].json, "6"));
    assert_true(b->events[2].superseded);
    assert_int_equal(b->events[3].kind, NEWT_EVENT_REMOVED);
    assert_int_equal(b->events[3].oid, q.any.oid);
    assert_string_equal(b->events[3].class_name, "Item");
    assert_int_equal(b->events[3].serial, 0);
    assert_null(b->events[3].record);
    assert_int_equal(b->transactions[1].first_event, 1);
    assert_int_equal(b->transactions[1].n_events, 2);
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* Written in one transaction, removed in a later one that is not in the batch. */
static void
test_gone(void **state)
{
    const newt_batch *b;
    newt_feed *f;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "gone");
    f = open_feed(s.b, (newt_feed_options){.want = NEWT_FEED_JSON, .batch_objects = 1});
    nothing(s.b, f);
    r = make_item(s.a, "r", 1);
    remove_item(s.a, r);
    b = next(s.b, f);
    assert_int_equal(b->n_events, 1);
    assert_int_equal(b->events[0].kind, NEWT_EVENT_WRITTEN);
    assert_string_equal(b->events[0].class_name, "");
    assert_int_equal(b->events[0].serial, 0);
    assert_null(b->events[0].json);
    assert_true(b->behind_us > 0);
    b = next(s.b, f);
    assert_int_equal(b->events[0].kind, NEWT_EVENT_REMOVED);
    assert_string_equal(b->events[0].class_name, "Item");
    newt_feed_close(f);
    store_close(&s);
}

/* A large transaction in pieces, each event once, in order; removed ones tell their class. */
static void
test_large(void **state)
{
    enum {
        N = 12000
    };
    static item_ref refs[N];
    static bool seen[N];
    const newt_batch *b;
    newt_feed *f;
    size_t n = 0, batches = 0;
    store s;

    (void)state;
    store_open(&s, "large");
    f = open_feed(s.b, (newt_feed_options){.follower = "f", .batch_objects = 700});
    nothing(s.b, f);
    begin(s.a);
    for (int i = 0; i < N; i++) {
        struct item *x = new_item(s.a, "x", i);

        refs[i] = item_id(x);
        item_done(x);
    }
    commit(s.a);
    memset(seen, 0, sizeof seen);
    for (bool more = true; more; batches++) {
        b = next(s.b, f);
        assert_int_equal(b->n_transactions, 1);
        assert_int_equal(b->transactions[0].begun, n > 0);
        assert_true(b->n_events <= 700);
        more = b->transactions[0].more;
        assert_int_equal(more, b->token == NULL);
        assert_true(more || b->behind_us == 0);
        for (size_t i = 0; i < b->n_events; i++, n++) {
            int64_t place = b->events[i].oid - refs[0].any.oid;

            assert_true(place >= 0 && place < N && !seen[place]);
            seen[place] = true;
        }
        ok(s.b, newt_feed_commit(f)); /* within: nothing moves */
        assert_int_equal(newt_feed_token(f) && b->token && !strcmp(newt_feed_token(f), b->token),
                         !more);
    }
    assert_int_equal(n, N);
    assert_true(batches > N / 700);
    begin(s.a);
    for (int i = 0; i < 5000; i++)
        ok(s.a, newt_delete(s.a, refs[i].any));
    commit(s.a);
    for (n = 0; n < 5000; n += b->n_events) {
        b = next(s.b, f);
        for (size_t i = 0; i < b->n_events; i++) {
            assert_int_equal(b->events[i].kind, NEWT_EVENT_REMOVED);
            assert_string_equal(b->events[i].class_name, "Item");
        }
    }
    assert_int_equal(n, 5000);
    newt_feed_close(f);
    store_close(&s);
}

/* Batches end where their bytes do, and no event is lost or told twice. */
static void
test_bytes(void **state)
{
    enum {
        N = 300,
        LONG = 20000
    };
    char *text = malloc(LONG);
    const newt_batch *b;
    newt_feed *f;
    size_t n = 0;
    store s;

    (void)state;
    memset(text, 'x', LONG);
    store_open(&s, "bytes");
    f = open_feed(s.b, (newt_feed_options){.want = NEWT_FEED_RECORDS, .batch_bytes = 100000});
    nothing(s.b, f);
    for (int i = 0; i < N; i++) {
        struct item *x;

        begin(s.a);
        x = new_item(s.a, "r", i);
        if (i % 3 == 0)
            ok(s.a, newt_text_setn(item_obj(x), &x->name, text, i == 150 ? LONG : LONG / 10));
        commit(s.a);
    }
    while (n < N) {
        size_t bytes = 0;

        b = next(s.b, f);
        for (size_t i = 0; i < b->n_events; i++) {
            assert_non_null(b->events[i].record);
            bytes += b->events[i].record_n;
        }
        assert_true(bytes < 250000);
        n += b->n_events;
    }
    assert_int_equal(n, N);
    nothing(s.b, f);
    free(text);
    newt_feed_close(f);
    store_close(&s);
}

/* ---- filters --------------------------------------------------------------------------------- */

static void
test_filters(void **state)
{
    static const char *const tallies[] = {"Tally", NULL};
    const newt_batch *b;
    newt_feed *f, *g;
    newt_bag *bag;
    newt_ref tally;
    newt_conn *c;
    item_ref r, q;
    store s;

    (void)state;
    store_open(&s, "filters");
    c = connect_(s.db);
    begin(s.a);
    r = item_id(new_item(s.a, "r", 1));
    q = item_id(new_item(s.a, "q", 1));
    bag = newt_bag_new(s.a, "Tally");
    tally = newt_bag_ref(bag);
    commit(s.a);
    f = open_feed(s.b, (newt_feed_options){
                           .classes = tallies, .start = NEWT_FEED_OLDEST, .want = NEWT_FEED_JSON});
    g = open_feed(c, (newt_feed_options){.objects = &r.any, .n_objects = 1});
    nothing(c, g);
    b = next(s.b, f);
    assert_int_equal(b->n_transactions, 2); /* the store's own, too, without events */
    assert_int_equal(b->n_events, 1);
    assert_int_equal(b->events[0].oid, tally.oid);
    assert_int_equal(b->transactions[0].n_events, 0);
    assert_int_equal(b->transactions[1].n_events, 1);
    begin(s.a);
    write_n(s.a, r, 2);
    ok(s.a, newt_delete(s.a, q.any)); /* whose class comes first */
    ok(s.a, newt_delete(s.a, tally));
    commit(s.a);
    b = next(s.b, f);
    assert_int_equal(b->n_events, 1);
    assert_int_equal(b->events[0].kind, NEWT_EVENT_REMOVED);
    assert_string_equal(b->events[0].class_name, "Tally");
    b = next(c, g);
    assert_int_equal(b->n_events, 1);
    assert_int_equal(b->events[0].oid, r.any.oid);
    newt_feed_close(f);
    newt_feed_close(g);
    newt_close(c);
    store_close(&s);
}

static void
test_until(void **state)
{
    const newt_batch *b;
    newt_feed *f;
    size_t n = 0;
    store s;

    (void)state;
    store_open(&s, "until");
    for (int i = 0; i < 5; i++)
        make_item(s.a, "x", i);
    f = open_feed(s.b,
                  (newt_feed_options){.start = NEWT_FEED_OLDEST, .until = -1, .batch_objects = 2});
    for (int i = 0; i < 100 && !newt_feed_ended(f); i++) {
        ok(s.b, newt_feed_next(f, 0, &b));
        n += b ? b->n_events : 0;
        make_item(s.a, "later", i); /* is not handed over */
    }
    assert_true(newt_feed_ended(f));
    assert_int_equal(n, 6); /* with the root */
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* ---- what is durable ------------------------------------------------------------------------- */

static const newt__feed_type *real;
static char calls[64];

static void
note(char call)
{
    size_t n = strlen(calls);

    assert_true(n + 1 < sizeof calls);
    calls[n] = call;
    calls[n + 1] = 0;
}

static int
next_noted(newt__session *x, newt__cursor *c, int64_t objects, newt__take_transaction *take,
           void *arg, newt_error *e)
{
    note('n');
    return real->next(x, c, objects, take, arg, e);
}

static int
scan_noted(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
           newt_error *e)
{
    note('s');
    return real->scan(x, after, n, take, arg, e);
}

static int
look_noted(newt__session *x, const int64_t *oids, size_t n, newt__extent extent, int64_t bytes,
           newt__take_record *take, void *arg, newt_error *e)
{
    note('l');
    return real->look(x, oids, n, extent, bytes, take, arg, e);
}

static int
barrier_noted(newt__session *x, newt_error *e)
{
    note('b');
    return real->barrier(x, e);
}

/* What is handed over is durable: its transactions, and its records, which may be newer. */
static void
test_barrier(void **state)
{
    const newt__storage_type *before;
    newt__storage_type storage;
    newt__feed_type type;
    newt_feed *f;
    store s;

    (void)state;
    store_open(&s, "barrier");
    before = s.b->jar.storage;
    storage = *before;
    real = storage.feed;
    type = *real;
    type.next = next_noted;
    type.scan = scan_noted;
    type.look = look_noted;
    type.barrier = barrier_noted;
    storage.feed = &type;
    s.b->jar.storage = &storage;
    f = open_feed(s.b, (newt_feed_options){.start = NEWT_FEED_COPY, .want = NEWT_FEED_JSON});
    *calls = 0;
    assert_true(next(s.b, f)->copy);
    assert_string_equal(calls, "slb");
    make_item(s.a, "x", 1);
    *calls = 0;
    assert_int_equal(next(s.b, f)->n_events, 1);
    assert_string_equal(calls, "nlb");
    newt_feed_close(f);
    f = open_feed(s.b, (newt_feed_options){.want = NEWT_FEED_JSON | NEWT_FEED_EARLY});
    make_item(s.a, "x", 2);
    *calls = 0;
    assert_int_equal(next(s.b, f)->n_events, 1);
    assert_string_equal(calls, "nl");
    newt_feed_close(f);
    s.b->jar.storage = before;
    store_close(&s);
}

/* ---- for event loops ------------------------------------------------------------------------- */

static void
test_fd(void **state)
{
    const newt_batch *b = NULL;
    struct pollfd p = {.events = POLLIN};
    newt_feed *f;
    store s;

    (void)state;
    store_open(&s, "fd");
    f = open_feed(s.b, (newt_feed_options){0});
    nothing(s.b, f);
    p.fd = newt_feed_fd(f);
    assert_true(p.fd >= 0);
    make_item(s.a, "x", 1);
    for (int i = 0; i < 1000 && !b; i++) {
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        ok(s.b, newt_feed_next(f, 0, &b));
    }
    assert_non_null(b);
    assert_int_equal(b->n_events, 1);
    newt_feed_close(f);
    store_close(&s);
}

/* Two feeds and transactions over one connection. */
static void
test_shared(void **state)
{
    newt_feed *f, *g;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "shared");
    f = open_feed(s.a, (newt_feed_options){.follower = "f"});
    g = open_feed(s.a, (newt_feed_options){.follower = "g"});
    nothing(s.a, f);
    nothing(s.a, g);
    r = make_item(s.a, "x", 1);
    assert_int_equal(next(s.a, f)->n_events, 1);
    ok(s.a, newt_feed_commit(f));
    begin(s.a);
    write_n(s.a, r, 2);
    commit(s.a);
    assert_int_equal(next(s.a, g)->n_events, 2);
    assert_int_equal(next(s.a, f)->n_events, 1);
    newt_feed_close(f);
    newt_feed_close(g);
    store_close(&s);
}

static void
test_upkeep(void **state)
{
    newt_health h = {.size = sizeof h};
    int64_t pruned = -1;
    newt_feed *f;
    store s;

    (void)state;
    store_open(&s, "upkeep");
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    for (int i = 0; i < 3; i++)
        make_item(s.a, "x", i);
    ok(s.a, newt_store_health(s.a, "f", &h));
    assert_int_equal(h.newest_tid, newt_tid(s.a));
    assert_true(h.oldest_tid > 0 && h.oldest_tid < h.newest_tid);
    assert_true(h.position > 0 && h.position < h.newest_tid);
    assert_int_equal(h.waiting, 3);
    assert_true(h.behind_us > 0);
    assert_int_equal(h.holder_pid, 0);
    ok(s.a, newt_prune(s.a, 100, &pruned)); /* all are too young */
    assert_int_equal(pruned, 0);
    newt_feed_close(f);
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_events),  cmocka_unit_test(test_gone),    cmocka_unit_test(test_large),
    cmocka_unit_test(test_bytes),   cmocka_unit_test(test_filters), cmocka_unit_test(test_until),
    cmocka_unit_test(test_barrier), cmocka_unit_test(test_fd),      cmocka_unit_test(test_shared),
    cmocka_unit_test(test_upkeep),
};

int
main(void)
{
    return run_all(tests);
}
