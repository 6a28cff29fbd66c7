/*
 * positions.c - where a feed is: followers and tokens, within a transaction and a copy; on any
 * storage
 */
#include "stored.h"

#include "../bridge/feeds.h"

/* ---- followers and tokens -------------------------------------------------------------------- */

static void
test_follower(void **state)
{
    const newt_batch *b;
    char token[64];
    newt_feed *f, *g;
    newt_conn *c;
    store s;

    (void)state;
    store_open(&s, "follower");
    c = connect_(s.db);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    make_item(s.a, "1", 1);
    make_item(s.a, "2", 2);
    b = next(s.b, f);
    assert_int_equal(b->n_events, 2);
    strcpy(token, b->token);
    /* one at a time under a name; what was not committed is handed over again */
    g = open_feed(c, (newt_feed_options){.follower = "f", .batch_objects = 1});
    assert_int_equal(newt_feed_next(g, 0, &b), NEWT_ECONFLICT);
    assert_non_null(strstr(newt_error_message(newt_conn_error(c)), "\"f\""));
    newt_feed_close(f);
    b = next(c, g);
    assert_int_equal(b->n_events, 1);
    ok(c, newt_feed_commit(g));
    assert_string_equal(newt_feed_token(g), b->token);
    b = next(c, g);
    assert_int_equal(b->n_events, 1);
    assert_string_equal(b->token, token);
    newt_feed_close(g);
    g = open_feed(c, (newt_feed_options){.follower = "f"});
    b = next(c, g);
    assert_int_equal(b->n_events, 1);
    assert_string_equal(b->token, token);
    ok(c, newt_feed_commit(g));
    nothing(c, g);
    newt_feed_close(g);
    /* a token alone, and a token for a follower */
    make_item(s.a, "3", 3);
    f = open_feed(s.b, (newt_feed_options){.token = token});
    b = next(s.b, f);
    assert_int_equal(b->n_events, 1);
    assert_int_equal(newt_feed_commit(f), NEWT_EINVAL);
    newt_feed_close(f);
    ok(c, newt_feed_forget(c, "f"));
    f = open_feed(s.b, (newt_feed_options){.follower = "f", .token = token});
    b = next(s.b, f);
    assert_int_equal(b->n_events, 1);
    ok(s.b, newt_feed_commit(f));
    newt_feed_close(f);
    f = open_feed(s.b, (newt_feed_options){.follower = "f", .start = NEWT_FEED_OLDEST});
    nothing(s.b, f);
    newt_feed_close(f);
    newt_close(c);
    store_close(&s);
}

/* A name has one holder; this connection is it, and has two feeds of that name. The one that
 * commits second has read what the first one has done since. */
static void
second_is_told(store *s, newt_feed_options o)
{
    newt_feed *f = open_feed(s->b, o), *g = open_feed(s->b, o);
    const newt_batch *b = next(s->b, f);
    int64_t up_to = b->up_to, tid = b->tid;

    assert_int_equal(next(s->b, g)->up_to, up_to);
    ok(s->b, newt_feed_commit(f));
    assert_int_equal(newt_feed_commit(g), NEWT_ECONFLICT);
    b = next(s->b, g); /* goes on where the first one is */
    if (b->copy)
        assert_int_equal(b->after, up_to);
    else
        assert_true(b->transactions[0].tid > tid);
    ok(s->b, newt_feed_commit(g));
    newt_feed_close(f);
    newt_feed_close(g);
}

static void
test_compared(void **state)
{
    store s;

    (void)state;
    store_open(&s, "compared");
    for (int i = 0; i < 4; i++)
        make_item(s.a, "x", i);
    second_is_told(
        &s, (newt_feed_options){.follower = "f", .start = NEWT_FEED_OLDEST, .batch_objects = 1});
    second_is_told(
        &s, (newt_feed_options){.follower = "c", .start = NEWT_FEED_COPY, .batch_objects = 1});
    store_close(&s);
}

/* Who has waited for a name begins where the other one has come to meanwhile. */
static void
test_takes_over(void **state)
{
    const newt_batch *b;
    newt_feed *f, *g;
    newt_conn *c;
    store s;

    (void)state;
    store_open(&s, "takes_over");
    c = connect_(s.db);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    g = open_feed(c, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    make_item(s.a, "1", 1);
    next(s.b, f);
    assert_int_equal(newt_feed_next(g, 0, &b), NEWT_ECONFLICT);
    ok(s.b, newt_feed_commit(f));
    newt_feed_close(f);
    nothing(c, g);
    /* also who had it before */
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    make_item(s.a, "2", 2);
    next(c, g);
    newt_feed_close(g);
    next(s.b, f);
    g = open_feed(c, (newt_feed_options){.follower = "f"});
    assert_int_equal(newt_feed_next(g, 0, &b), NEWT_ECONFLICT);
    ok(s.b, newt_feed_commit(f));
    newt_feed_close(f);
    make_item(s.a, "3", 3);
    assert_int_equal(next(c, g)->n_events, 1);
    newt_feed_close(g);
    newt_close(c);
    store_close(&s);
}

/* Within a transaction the position stays: who begins anew gets all of it. */
static void
test_within(void **state)
{
    const newt_feed_options o = {.follower = "f", .batch_objects = 10};
    const newt_batch *b;
    int64_t first = 0;
    char token[64];
    newt_feed *f;
    store s;

    (void)state;
    store_open(&s, "within");
    f = open_feed(s.b, o);
    nothing(s.b, f);
    strcpy(token, newt_feed_token(f));
    begin(s.a);
    for (int i = 0; i < 25; i++)
        item_done(new_item(s.a, "x", i));
    commit(s.a);
    for (int i = 0; i < 2; i++) {
        b = next(s.b, f);
        assert_true(b->transactions[0].more);
        assert_int_equal(b->transactions[0].begun, i);
        first = i ? first : b->events[0].oid;
        ok(s.b, newt_feed_commit(f));
        assert_string_equal(newt_feed_token(f), token);
    }
    newt_feed_close(f);
    f = open_feed(s.b, o);
    for (int i = 0; i < 3; i++) {
        ok(s.b, newt_feed_next(f, 0, &b));
        assert_non_null(b);
        assert_int_equal(b->transactions[0].begun, i > 0);
        assert_int_equal(b->events[0].oid, first + 10 * i);
    }
    ok(s.b, newt_feed_commit(f));
    assert_string_not_equal(newt_feed_token(f), token);
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* Positions that are not in the store. */
static void
test_unknown(void **state)
{
    static const char *const tokens[] = {"1-4000000000000000-7", "1-1000000-7"};
    static const char *const wrong[] = {"",     "1-",     "2-1-1",
                                        "1-1-", "1-1-1x", "1-99999999999999999999-1"};
    const newt_batch *b;
    newt_feed_options o = {.size = sizeof o};
    newt_feed *f;
    store s;

    (void)state;
    store_open(&s, "unknown");
    make_item(s.a, "1", 1);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        f = open_feed(s.b, (newt_feed_options){.token = tokens[i]});
        assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EMISSING);
        assert_null(b);
        assert_string_not_equal(newt_error_detail(newt_conn_error(s.b)), "");
        newt_feed_close(f);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        o.token = wrong[i];
        assert_int_equal(newt_feed_open(s.b, &f, &o), NEWT_EINVAL);
        assert_null(f);
    }
    o = (newt_feed_options){.size = 3};
    assert_int_equal(newt_feed_open(s.b, &f, &o), NEWT_EINVAL);
    o = (newt_feed_options){.size = sizeof o, .follower = ""};
    assert_int_equal(newt_feed_open(s.b, &f, &o), NEWT_EINVAL);
    o = (newt_feed_options){.size = sizeof o, .batch_objects = -1};
    assert_int_equal(newt_feed_open(s.b, &f, &o), NEWT_EINVAL);
    o = (newt_feed_options){.size = sizeof o, .want = NEWT_FEED_OIDS | NEWT_FEED_JSON};
    assert_int_equal(newt_feed_open(s.b, &f, &o), NEWT_EINVAL);
    ok(s.b, newt_feed_open(s.b, &f, NULL));
    begin(s.b);
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EBUSY);
    newt_abort(s.b);
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* From now on is from the opening on; and one name is for one purpose. */
static void
test_now(void **state)
{
    char token[64];
    const newt_batch *b;
    newt_feed *f, *g;
    store s;

    (void)state;
    store_open(&s, "now");
    make_item(s.a, "before", 1);
    f = open_feed(s.b, (newt_feed_options){0});
    strcpy(token, newt_feed_token(f));
    make_item(s.a, "after", 2);
    b = next(s.b, f);
    assert_int_equal(b->n_events, 1);
    assert_string_equal(newt_feed_token(f), b->token);
    g = open_feed(s.b, (newt_feed_options){.token = token});
    assert_int_equal(next(s.b, g)->n_events, 1);
    newt_feed_close(f);
    newt_feed_close(g);
    f = open_feed(s.b, (newt_feed_options){.follower = "f", .kind = "table"});
    nothing(s.b, f);
    newt_feed_close(f);
    f = open_feed(s.b, (newt_feed_options){.follower = "f", .kind = "file"});
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.b)), "\"table\""));
    newt_feed_close(f);
    store_close(&s);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void
test_copy(void **state)
{
    enum {
        N = 250
    };
    item_ref refs[N];
    const newt_batch *b;
    int64_t after = 0;
    newt_feed *f;
    size_t n = 0;
    store s;

    (void)state;
    store_open(&s, "copy");
    for (int i = 0; i < N; i++)
        refs[i] = make_item(s.a, "x", i);
    f = open_feed(s.b, (newt_feed_options){.follower = "copy",
                                           .start = NEWT_FEED_COPY,
                                           .want = NEWT_FEED_JSON,
                                           .batch_objects = 100});
    for (bool first = true; after < INT64_MAX; first = false) {
        b = next(s.b, f);
        assert_true(b->copy);
        assert_int_equal(b->n_transactions, 0);
        assert_int_equal(b->after, after);
        assert_true(b->up_to > after);
        for (size_t i = 0; i < b->n_events; i++) {
            assert_true(b->events[i].oid > b->after && b->events[i].oid <= b->up_to);
            assert_non_null(b->events[i].json);
            assert_int_equal(b->events[i].tid, 0);
        }
        after = b->up_to;
        n += b->n_events;
        assert_int_equal(b->token == NULL, after < INT64_MAX);
        assert_null(newt_feed_token(f));
        ok(s.b, newt_feed_commit(f));
        if (first) { /* what was copied may change: it comes later */
            begin(s.a);
            write_n(s.a, refs[0], 1000);
            commit(s.a);
            newt_feed_close(f); /* goes on where it was */
            f = open_feed(s.b, (newt_feed_options){.follower = "copy",
                                                   .start = NEWT_FEED_COPY,
                                                   .want = NEWT_FEED_JSON,
                                                   .batch_objects = 100});
        }
    }
    assert_int_equal(n, N + 1); /* the root */
    b = next(s.b, f);
    assert_false(b->copy);
    assert_int_equal(b->n_events, 1);
    assert_int_equal(b->events[0].oid, refs[0].any.oid);
    ok(s.b, newt_feed_commit(f));
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* Batches that end where they have enough bytes leave nothing out. */
static void
test_copy_bytes(void **state)
{
    enum {
        N = 200
    };
    const newt_batch *b;
    int64_t last = 0;
    newt_feed *f;
    size_t n = 0, batches = 0;
    store s;

    (void)state;
    store_open(&s, "copy_bytes");
    begin(s.a);
    for (int i = 0; i < N; i++)
        item_done(new_item(s.a, "x", i));
    commit(s.a);
    f = open_feed(s.b, (newt_feed_options){.start = NEWT_FEED_COPY,
                                           .want = NEWT_FEED_RECORDS,
                                           .batch_objects = 150,
                                           .batch_bytes = 500});
    do {
        b = next(s.b, f);
        batches++;
        for (size_t i = 0; i < b->n_events; i++) {
            assert_true(b->events[i].oid > last && b->events[i].oid <= b->up_to);
            last = b->events[i].oid;
        }
        n += b->n_events;
    } while (b->up_to < INT64_MAX);
    assert_true(batches > 2);
    assert_int_equal(n, N + 1); /* with the root */
    nothing(s.b, f);
    newt_feed_close(f);
    store_close(&s);
}

/* A copy that one connection has begun is finished over another, which has copied before that. */
static void
test_copy_elsewhere(void **state)
{
    newt_feed_options o = {.follower = "copy", .start = NEWT_FEED_COPY, .batch_objects = 2};
    const newt_batch *b;
    newt_feed *f;
    size_t n;
    newt_conn *c;
    store s;

    (void)state;
    store_open(&s, "copy_elsewhere");
    c = connect_(s.db);
    for (int i = 0; i < 4; i++)
        make_item(s.a, "x", i);
    f = open_feed(c, (newt_feed_options){.start = NEWT_FEED_COPY, .batch_objects = 2});
    next(c, f);
    newt_feed_close(f);
    for (int i = 0; i < 4; i++)
        make_item(s.a, "x", i);
    f = open_feed(s.b, o);
    n = next(s.b, f)->n_events;
    ok(s.b, newt_feed_commit(f));
    newt_feed_close(f);
    f = open_feed(c, o);
    do {
        b = next(c, f);
        n += b->n_events;
        ok(c, newt_feed_commit(f));
    } while (b->up_to < INT64_MAX);
    assert_int_equal(n, 9); /* with the root */
    nothing(c, f);
    newt_feed_close(f);
    newt_close(c);
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_follower),       cmocka_unit_test(test_compared),
    cmocka_unit_test(test_takes_over),     cmocka_unit_test(test_within),
    cmocka_unit_test(test_unknown),        cmocka_unit_test(test_now),
    cmocka_unit_test(test_copy),           cmocka_unit_test(test_copy_bytes),
    cmocka_unit_test(test_copy_elsewhere),
};

int
main(void)
{
    return run_all(tests);
}
