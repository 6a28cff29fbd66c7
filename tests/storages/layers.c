/*
 * layers.c - layers of changes: named by a URI, pushed and popped; what is seen through them
 */
#include "../bridge/feeds.h"
#include "layers.h"

enum {
    MOST_LAYERS = 1000
};

/* ---- URIs ------------------------------------------------------------------------------- */

static void
test_uris(void **state)
{
    static const struct {
        const char *uri, *says;
    } wrong[] = {
        {"demo:", "\"demo:\" is not the URI of a store: its base is not in parentheses"},
        {"demo:()", "its base is empty"},
        {"demo:memory:x", "its base is not in parentheses"},
        {"demo:(memory:x", "a parenthesis is not closed"},
        {"demo:(memory:x)(memory:y", "a parenthesis is not closed"},
        {"demo:(demo:(memory:x)", "a parenthesis is not closed"},
        {"demo:(memory:x)memory:y", "there is text after its last parenthesis"},
        {"demo:(memory:x)(memory:y)(memory:z)", "there is text after its last parenthesis"},
        {"demo:(memory:x))", "there is text after its last parenthesis"},
        {"demo:(memory:x)(demo:(memory:y))", "CHANGES cannot be a demo storage"},
        {"demo:(memory:x)(memory:x)", "CHANGES cannot be the base"},
        {"demo:(:memory:)", "\":memory:\" is not the URI of a store"},
        {"demo:(memory:x)(Memory:)", "\"Memory:\" is not the URI of a store"},
        {"Demo:(memory:x)", "\"Demo:(memory:x)\" is not the URI of a store"},
    };
    newt_error *e;
    newt_db *db;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(newt_db_open(&db, wrong[i].uri, classes, NULL), NEWT_EINVAL);
        if (!strstr(newt_error_message(newt_db_error(db)), wrong[i].says))
            fail_msg("%s: %s", wrong[i].uri, newt_error_message(newt_db_error(db)));
        assert_string_not_equal(newt_error_hint(newt_db_error(db)), "");
        newt_db_close(db);
    }
    assert_int_equal(newt_store_create("demo:(memory:x)", NULL, &e), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(e), "no store by itself"));
    newt_error_free(e);
    assert_int_equal(newt_db_open(&db, "demo:(demo:(memory:))(memory:)", classes, NULL), NEWT_OK);
    newt_db_close(db);
}

/* As many layers as there may be, and one more. */
static void
test_depth(void **state)
{
    int depth = strcmp(storage_name(), "layers") == 0 ? 2 : on_layer();
    size_t n = 0, most = MOST_LAYERS + 1;
    char *text = malloc(most * 7 + 20);
    item_ref r;
    newt_db *db;
    store s;

    (void)state;
    store_open(&s, "depth");
    r = make_item(s.a, "r", 0);
    for (int i = depth; i < MOST_LAYERS; i++) {
        push(&s);
        if (i % 100 == 0)
            change(s.a, r, i);
    }
    assert_int_equal(newt_db_push(s.db), NEWT_ELIMIT);
    assert_non_null(strstr(newt_error_message(newt_db_error(s.db)), "1000 layers"));
    assert_int_equal(seen(s.b, r), 900);
    for (int i = depth; i < MOST_LAYERS; i++)
        pop(&s);
    assert_int_equal(seen(s.b, r), 0);
    assert_int_equal(newt_db_pop(s.db), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_db_error(s.db)),
                        "there is no layer that newt_db_push has made");
    store_close(&s);
    for (int last = 0; last < 2; last++) {
        n = 0;
        for (size_t i = last; i < most; i++)
            n += (size_t)sprintf(text + n, "demo:(");
        n += (size_t)sprintf(text + n, "memory:");
        for (size_t i = last; i < most; i++)
            text[n++] = ')';
        text[n] = 0;
        assert_int_equal(newt_db_open(&db, text, classes, NULL), last ? NEWT_OK : NEWT_ELIMIT);
        newt_db_close(db);
    }
    free(text);
}

/* ---- what lies on top ------------------------------------------------------------------- */

static void
test_over_base(void **state)
{
    item_ref new_one;
    ground g;

    (void)state;
    ground_open(&g, "over_base");
    change(g.s.a, g.x, 10);
    remove_item(g.s.a, g.y);
    new_one = make_item(g.s.a, "new", 4);
    set_root(g.s.a, "new", new_one.any);
    assert_int_equal(seen(g.s.b, g.x), 10);
    assert_int_equal(seen(g.s.b, g.y), -1);
    assert_int_equal(seen(g.s.b, g.z), 3);
    assert_int_equal(seen(g.s.b, new_one), 4);
    assert_int_equal(root_item(g.s.b, "new").any.oid, new_one.any.oid);
    /* once more, now that the layer has them */
    change(g.s.b, g.x, 11);
    change(g.s.b, new_one, 5);
    set_root(g.s.b, "other", new_one.any);
    set_root(g.s.b, "new", (newt_ref){0});
    set_root(g.s.b, "other", (newt_ref){0}); /* as empty as it is below */
    assert_int_equal(seen(g.s.a, g.x), 11);
    assert_int_equal(root_item(g.s.a, "other").any.oid, 0);
    remove_item(g.s.b, g.x);
    remove_item(g.s.b, new_one);
    assert_int_equal(seen(g.s.a, g.x), -1);
    assert_int_equal(seen(g.s.a, new_one), -1);
    /* a removed object can be removed no more */
    begin(g.s.a);
    assert_int_equal(newt_delete(g.s.a, g.y.any), NEWT_EMISSING);
    newt_abort(g.s.a);
    /* below, nothing has happened */
    assert_int_equal(seen(g.below.c, g.x), 1);
    assert_int_equal(seen(g.below.c, g.y), 2);
    assert_int_equal(seen(g.below.c, new_one), -1);
    pop(&g.s);
    assert_int_equal(seen(g.s.a, g.x), 1);
    assert_int_equal(seen(g.s.b, g.y), 2);
    assert_int_equal(seen(g.s.b, new_one), -1);
    assert_int_equal(root_item(g.s.b, "other").any.oid, 0);
    change(g.s.b, g.x, 100);
    assert_int_equal(seen(g.below.c, g.x), 100);
    ground_close(&g);
}

/* Names of a root below are seen, and added to. */
static void
test_root(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "root");
    set_root(g.below.c, "x", g.x.any);
    assert_int_equal(root_item(g.s.a, "x").any.oid, g.x.any.oid);
    set_root(g.s.a, "y", g.y.any);
    assert_int_equal(root_item(g.s.b, "x").any.oid, g.x.any.oid);
    assert_int_equal(root_item(g.s.b, "y").any.oid, g.y.any.oid);
    assert_int_equal(root_item(g.below.c, "y").any.oid, 0);
    set_root(g.s.b, "x", (newt_ref){0});
    assert_int_equal(root_item(g.s.a, "x").any.oid, 0);
    pop(&g.s);
    assert_int_equal(root_item(g.s.a, "x").any.oid, g.x.any.oid);
    ground_close(&g);
}

/* Push and pop to any depth, over connections that stay open and others that come. */
static void
test_nested(void **state)
{
    enum {
        DEPTH = 12
    };
    newt_conn *late[DEPTH];
    ground g;

    (void)state;
    ground_open(&g, "nested");
    for (int i = 0; i < DEPTH; i++) {
        push(&g.s);
        late[i] = connect_(g.s.db);
        change(i % 2 ? late[i] : g.s.a, g.x, 100 + i);
        if (i % 3 == 0)
            change(g.s.b, g.z, 200 + i);
        if (i == 5)
            remove_item(late[0], g.y);
    }
    for (int i = DEPTH - 1; i >= 0; i--) {
        assert_int_equal(seen(g.s.a, g.x), 100 + i);
        assert_int_equal(seen(late[i], g.x), 100 + i);
        assert_int_equal(seen(late[i], g.z), 200 + i / 3 * 3);
        assert_int_equal(seen(g.s.b, g.y), i < 5 ? 2 : -1);
        newt_close(late[i]);
        pop(&g.s);
    }
    assert_int_equal(seen(g.s.a, g.x), 1);
    assert_int_equal(seen(g.s.b, g.y), 2);
    assert_int_equal(seen(g.s.b, g.z), 3);
    ground_close(&g);
}

/* A layer that is on when the database is closed goes with it. */
static void
test_closed(void **state)
{
    ground g;
    newt_db *db;

    (void)state;
    ground_open(&g, "closed");
    change(g.s.a, g.x, 10);
    push(&g.s);
    change(g.s.a, g.x, 20);
    newt_close(g.s.a);
    newt_close(g.s.b);
    newt_db_close(g.s.db);
    g.s.db = db = store_db(&g.s, classes, (newt_options){0});
    g.s.a = connect_(db);
    g.s.b = connect_(db);
    assert_int_equal(seen(g.s.a, g.x), 1);
    ground_close(&g);
}

static void
test_busy(void **state)
{
    int (*const calls[])(newt_db * db) = {newt_db_push, newt_db_pop, newt_db_commit_changes};
    newt_feed_options o = {.size = sizeof o};
    const newt_batch *batch;
    newt_feed *f;
    ground g;

    (void)state;
    ground_open(&g, "busy");
    for (int i = 0; i < 3; i++) {
        begin(g.s.b);
        assert_int_equal(calls[i](g.s.db), NEWT_EBUSY);
        assert_non_null(strstr(newt_error_message(newt_db_error(g.s.db)), "transaction is open"));
        write_n(g.s.b, g.x, i);
        commit(g.s.b);
    }
    /* the database goes on after an error */
    newt_close(connect_(g.s.db));
    /* a feed that stays open hears that nothing is as it was */
    ok(g.s.a, newt_feed_open(g.s.a, &f, &o));
    push(&g.s);
    assert_int_equal(newt_feed_next(f, 0, &batch), NEWT_EMISSING);
    assert_non_null(strstr(newt_error_message(newt_conn_error(g.s.a)), "is not in the store"));
    assert_non_null(strstr(newt_error_hint(newt_conn_error(g.s.a)), "NEWT_FEED_COPY"));
    newt_feed_close(f);
    pop(&g.s);
    ground_close(&g);
}

/* ---- walks and feeds ---------------------------------------------------------------------- */

static void
test_walk(void **state)
{
    item_ref last;
    struct item *i;
    ground g;

    (void)state;
    ground_open(&g, "walk");
    begin(g.below.c);
    i = item_write(g.below.c, g.x);
    i->next = g.y;
    i = item_write(g.below.c, g.y);
    i->next = g.z;
    commit(g.below.c);
    for (int round = 0; round < 2; round++) {
        newt_stats before;

        newt_abort(g.s.a);
        begin(g.s.a);
        if (round == 1) {
            i = item_write(g.s.a, g.y);
            last = item_id(new_item(g.s.a, "last", 9));
            i->next = last;
            commit(g.s.a);
            pop(&g.s);
            push(&g.s);
            begin(g.s.a);
            i = item_write(g.s.a, g.y);
            last = item_id(new_item(g.s.a, "last", 9));
            i->next = last;
            commit(g.s.a);
            newt_close(g.s.a);
            g.s.a = connect_(g.s.db);
            newt__cache_clear(&g.s.a->jar);
            begin(g.s.a);
        }
        ok(g.s.a, newt_prefetch_walk(g.s.a, &g.x.any, 1, NULL));
        before = stats_of(g.s.a);
        assert_int_equal(read_n(g.s.a, g.x) + read_n(g.s.a, g.y), 3);
        assert_int_equal(stats_of(g.s.a).loads, before.loads);
        assert_int_equal(newt__cache_find(&g.s.a->jar.cache, g.z.any.oid) != NULL, round == 0);
        if (round == 1)
            assert_non_null(newt__cache_find(&g.s.a->jar.cache, last.any.oid));
        newt_abort(g.s.a);
    }
    ground_close(&g);
}

/* The feed of a layer: its own transactions, with what they have removed; a copy has both. */
static void
test_feed(void **state)
{
    const newt_batch *b;
    item_ref new_one;
    newt_feed *f;
    int found = 0;
    int64_t before = 0;
    ground g;

    (void)state;
    ground_open(&g, "feed");
    f = open_feed(g.s.b, (newt_feed_options){.follower = "f"});
    nothing(g.s.b, f);
    begin(g.s.a);
    ok(g.s.a, newt_describe(g.s.a, "ada", "in the layer", NULL));
    write_n(g.s.a, g.x, 10);
    new_one = item_id(new_item(g.s.a, "new", 4));
    ok(g.s.a, newt_delete(g.s.a, g.y.any));
    commit(g.s.a);
    change(g.below.c, g.z, 30); /* is the base's to tell */
    b = next(g.s.b, f);
    assert_int_equal(b->n_transactions, 1);
    assert_int_equal(b->tid, newt_tid(g.s.a));
    assert_string_equal(b->transactions[0].description, "in the layer");
    assert_int_equal(b->n_events, 3);
    for (size_t i = 0; i < b->n_events; i++) {
        const newt_event *v = &b->events[i];

        assert_string_equal(v->class_name, "Item");
        assert_int_equal(v->kind, v->oid == g.y.any.oid ? NEWT_EVENT_REMOVED : NEWT_EVENT_WRITTEN);
        if (v->kind == NEWT_EVENT_WRITTEN)
            assert_int_equal(v->serial, b->transactions[0].serial);
        found += v->oid == g.x.any.oid || v->oid == g.y.any.oid || v->oid == new_one.any.oid;
    }
    assert_int_equal(found, 3);
    ok(g.s.b, newt_feed_commit(f));
    nothing(g.s.b, f);
    /* removed later: when it was written it was there */
    change(g.s.a, g.x, 11);
    remove_item(g.s.a, g.x);
    b = next(g.s.b, f);
    assert_int_equal(b->n_transactions, 2);
    assert_int_equal(b->events[0].kind, NEWT_EVENT_WRITTEN);
    assert_int_equal(b->events[1].kind, NEWT_EVENT_REMOVED);
    newt_feed_close(f);
    found = 0;
    f = open_feed(g.s.b, (newt_feed_options){.start = NEWT_FEED_COPY,
                                             .want = NEWT_FEED_RECORDS,
                                             .batch_objects = 1});
    for (b = next(g.s.b, f); b->copy; b = next(g.s.b, f)) {
        for (size_t i = 0; i < b->n_events; i++) {
            assert_true(b->events[i].oid > before);
            before = b->events[i].oid;
            assert_true(before != g.x.any.oid && before != g.y.any.oid);
            assert_non_null(b->events[i].record);
            found++;
        }
        if (!newt_feed_token(f))
            continue;
        break;
    }
    assert_int_equal(found, 3); /* the root, z, and what is new */
    newt_feed_close(f);
    ground_close(&g);
}

/* Its objects have their numbers from two stores, so it is no store that could be copied. */
static void
test_no_copy(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "no_copy");
    assert_int_equal(newt_copy(g.s.a, g.below.c, NULL), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(g.s.a)),
                        "a layer of changes cannot be copied");
    assert_int_equal(newt_index_create(g.s.a, "by_n", NULL, "$.n", 0), NEWT_EINVAL);
    begin(g.below.c);
    begin(g.s.a);
    assert_int_equal(newt_join_conn(g.below.c, g.s.a, NULL), NEWT_EINVAL);
    newt_abort(g.below.c);
    newt_abort(g.s.a);
    ground_close(&g);
}

/* Who has written an object, in the layer or below. */
static void
test_origin(void **state)
{
    char *text;
    ground g;

    (void)state;
    ground_open(&g, "origin");
    begin(g.below.c);
    ok(g.below.c, newt_describe(g.below.c, "ada", "written below", NULL));
    write_n(g.below.c, g.x, 10);
    commit(g.below.c);
    begin(g.s.a);
    ok(g.s.a, newt_describe(g.s.a, "bob", "written above", NULL));
    write_n(g.s.a, g.y, 20);
    commit(g.s.a);
    for (int i = 0; i < 2; i++) {
        begin(g.s.a);
        ok(g.s.a, newt_prefetch(g.s.a, &(newt_ref){INT64_MAX}, 1));
        text = newt_dump(g.s.a, (i ? g.y : g.x).any);
        assert_non_null(text);
        assert_non_null(strstr(text, i ? "bob" : "ada"));
        free(text);
        newt_abort(g.s.a);
    }
    ground_close(&g);
}

/* Without SQL below there is none. */
static void
test_no_sql(void **state)
{
    json_t *rows;
    ground g;

    (void)state;
    if (over_server() || on_sqlite() || on_storage("layer-sqlite"))
        skip();
    ground_open(&g, "no_sql");
    begin(g.s.a);
    assert_int_equal(newt_query(g.s.a, &rows, "SELECT 1", 0, NULL), NEWT_EINVAL);
    assert_int_equal(read_n(g.s.a, g.x), 1); /* the transaction goes on */
    newt_abort(g.s.a);
    ground_close(&g);
}

static const struct CMUnitTest layers[] = {
    cmocka_unit_test(test_uris),    cmocka_unit_test(test_depth),  cmocka_unit_test(test_over_base),
    cmocka_unit_test(test_root),    cmocka_unit_test(test_nested), cmocka_unit_test(test_closed),
    cmocka_unit_test(test_busy),    cmocka_unit_test(test_walk),   cmocka_unit_test(test_feed),
    cmocka_unit_test(test_no_copy), cmocka_unit_test(test_origin), cmocka_unit_test(test_no_sql),
};

int
main(void)
{
    return run_all(layers);
}
