/*
 * layers.c - layers of changes: over whatever the store is on, pushed, popped, written down
 *
 * s.db is what gets the layers; another database on the same store is the other program, which goes
 * on changing what lies below. The scenarios are those that are known of ZODB's DemoStorage, and of
 * the reports about it.
 */
#include "stored.h"

#include "../bridge/feeds.h"

#include <sys/wait.h>

enum {
    MOST_LAYERS = 1000
};

/* A store with one layer over it, and objects below, which `below` has made. */
typedef struct ground {
    store s;
    other below;
    item_ref x, y, z;
} ground;

#define push(s)                                                                                    \
    do {                                                                                           \
        if (newt_db_push((s)->db) != NEWT_OK)                                                      \
            fail_error("newt_db_push", newt_db_error((s)->db));                                    \
    } while (0)
#define pop(s)                                                                                     \
    do {                                                                                           \
        if (newt_db_pop((s)->db) != NEWT_OK)                                                       \
            fail_error("newt_db_pop", newt_db_error((s)->db));                                     \
    } while (0)
#define write_down(s)                                                                              \
    do {                                                                                           \
        if (newt_db_commit_changes((s)->db) != NEWT_OK)                                            \
            fail_error("newt_db_commit_changes", newt_db_error((s)->db));                          \
    } while (0)

static void
ground_open(ground *g, const char *name)
{
    store_open(&g->s, name);
    g->below = other_open(&g->s);
    g->x = make_item(g->below.c, "x", 1);
    g->y = make_item(g->below.c, "y", 2);
    g->z = make_item(g->below.c, "z", 3);
    push(&g->s);
}

static void
ground_close(ground *g)
{
    other_close(&g->below);
    store_close(&g->s);
}

/* What a new transaction reads, which may begin without asking; -1: there is no such object. */
static int64_t
read_in(newt_conn *c, item_ref r, bool ask)
{
    const struct item *i;
    int64_t n = -1;

    newt_abort(c);
    begin(c);
    if (ask)
        ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    i = item_read(c, r);
    if (i)
        n = i->n;
    else
        assert_int_equal(newt_status(c), NEWT_EMISSING);
    newt_abort(c);
    return n;
}

static int64_t
seen(newt_conn *c, item_ref r)
{
    return read_in(c, r, true);
}

static void
change(newt_conn *c, item_ref r, int64_t n)
{
    begin(c);
    write_n(c, r, n);
    commit(c);
}

static void
remove_item(newt_conn *c, item_ref r)
{
    begin(c);
    ok(c, newt_delete(c, r.any));
    commit(c);
}

static item_ref
root_item(newt_conn *c, const char *name)
{
    newt_ref r;

    newt_abort(c);
    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    r = newt_root(c, name);
    newt_abort(c);
    return item_of(r);
}

static void
set_root(newt_conn *c, const char *name, newt_ref r)
{
    begin(c);
    ok(c, newt_set_root(c, name, r));
    commit(c);
}

/* ---- URIs ------------------------------------------------------------------------------- */

static void
test_uris(void **state)
{
    static const struct {
        const char *uri, *says;
    } wrong[] = {
        {"demo:", "\"demo:\" is not the URI of a store: its base does not stand in parentheses"},
        {"demo:memory:x", "its base does not stand in parentheses"},
        {"demo:(memory:x", "a parenthesis is not closed"},
        {"demo:(memory:x)(memory:y", "a parenthesis is not closed"},
        {"demo:(demo:(memory:x)", "a parenthesis is not closed"},
        {"demo:(memory:x)memory:y", "something stands behind its last parenthesis"},
        {"demo:(memory:x)(memory:y)(memory:z)", "something stands behind its last parenthesis"},
        {"demo:(memory:x))", "something stands behind its last parenthesis"},
        {"demo:(memory:x)(demo:(memory:y))", "changes cannot lie in a demo storage"},
        {"demo:(memory:x)(memory:x)", "changes cannot lie in their base"},
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
    newt_feed_close(f);
    pop(&g.s);
    ground_close(&g);
}

/* ---- conflicts -------------------------------------------------------------------------- */

/* Two read what is below, and both change it. */
static void
test_conflicts(void **state)
{
    const newt_conflict *k;
    ground g;

    (void)state;
    ground_open(&g, "conflicts");
    for (int round = 0; round < 3; round++) { /* of the base, then of the layer */
        begin(g.s.a);
        begin(g.s.b);
        write_n(g.s.a, g.x, 10 + round);
        write_n(g.s.b, g.x, 20 + round);
        write_n(g.s.b, g.z, 30 + round);
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        k = newt_error_conflict(newt_conn_error(g.s.b), 0);
        assert_int_equal(k->object.oid, g.x.any.oid);
        assert_string_equal(k->class_name, "Item");
        assert_true(k->serial != k->committed && k->committed != 0);
        assert_null(newt_error_conflict(newt_conn_error(g.s.b), 1));
        assert_int_equal(seen(g.s.b, g.x), 10 + round);
        assert_int_equal(seen(g.s.b, g.z), 3);
    }
    /* removed by one, changed by the other; of the base, of the layer, new in it */
    for (int round = 0; round < 3; round++) {
        item_ref r[] = {g.y, g.x, g.z};

        if (round == 2)
            r[2] = make_item(g.s.a, "new", 1);
        begin(g.s.a);
        begin(g.s.b);
        write_n(g.s.b, r[round], 50);
        ok(g.s.a, newt_delete(g.s.a, r[round].any));
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        k = newt_error_conflict(newt_conn_error(g.s.b), 0);
        assert_int_equal(k->object.oid, r[round].any.oid);
        assert_int_equal(k->committed, 0);
        assert_int_equal(seen(g.s.b, r[round]), -1);
    }
    /* the root, which both have from the start */
    begin(g.s.a);
    begin(g.s.b);
    ok(g.s.a, newt_set_root(g.s.a, "a", g.z.any));
    ok(g.s.b, newt_set_root(g.s.b, "b", g.z.any));
    commit(g.s.a);
    assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.b), 0)->object.oid, 1);
    ground_close(&g);
}

/* Others have changed the base since it was read: that is a conflict like any other. */
static void
test_base_conflicts(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "base_conflicts");
    begin(g.s.a);
    write_n(g.s.a, g.x, 10);
    write_n(g.s.a, g.y, 20);
    write_n(g.s.a, g.z, 30);
    change(g.below.c, g.x, 100);
    remove_item(g.below.c, g.y);
    assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 0)->object.oid, g.x.any.oid);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 1)->object.oid, g.y.any.oid);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 1)->committed, 0);
    assert_null(newt_error_conflict(newt_conn_error(g.s.a), 2));
    assert_int_equal(seen(g.s.a, g.x), 100);
    assert_int_equal(seen(g.s.a, g.y), -1);
    assert_int_equal(seen(g.s.a, g.z), 3);
    /* what the layer hides may change as it likes */
    change(g.s.a, g.x, 10);
    begin(g.s.a);
    write_n(g.s.a, g.x, 11);
    change(g.below.c, g.x, 101);
    commit(g.s.a);
    assert_int_equal(seen(g.s.b, g.x), 11);
    begin_alone(g.s.a);
    read_n(g.s.a, g.x);
    change(g.below.c, g.x, 102);
    assert_int_equal(read_n(g.s.a, g.z), 3); /* this opens the snapshot: no conflict */
    ok(g.s.a, newt_prefetch(g.s.a, &g.y.any, 1));
    commit(g.s.a);
    ground_close(&g);
}

/* A commit that fails has heard of the base, and so has a layer in between: the next begin is told
 * of it all the same. */
static void
test_told_again(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "told_again");
    push(&g.s);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(seen(g.s.a, g.x), round ? 100 + round - 1 : 1);
        begin(g.s.a);
        write_n(g.s.a, round < 2 ? g.z : g.y, 30);
        change(g.s.b, round < 2 ? g.z : g.y, 40 + round);
        change(g.below.c, g.x, 100 + round);
        assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
        begin(g.s.a);
        assert_int_equal(read_n(g.s.a, g.x), 100 + round);
        newt_abort(g.s.a);
    }
    ground_close(&g);
}

/* What resolvers merge, wherever the object was read. */
static void
test_merges(void **state)
{
    newt_length_ref r;
    struct newt_length *l;
    newt_conn *c[2];
    ground g;

    (void)state;
    ground_open(&g, "merges");
    c[0] = g.s.a;
    c[1] = g.s.b;
    begin(g.below.c);
    r = newt_length_id(newt_length_new(g.below.c));
    commit(g.below.c);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            begin(c[i]);
        for (int i = 0; i < 2; i++) {
            l = newt_length_write(c[i], r);
            assert_non_null(l);
            newt_length_change(l, 1 + i);
            newt_length_done(l);
        }
        for (int i = 0; i < 2; i++)
            commit(c[i]);
    }
    /* with the base, too */
    pop(&g.s);
    push(&g.s);
    begin(g.s.a);
    l = newt_length_write(g.s.a, r);
    newt_length_change(l, 5);
    begin(g.below.c);
    l = newt_length_write(g.below.c, r);
    newt_length_change(l, 50);
    commit(g.below.c);
    commit(g.s.a);
    begin(g.s.b);
    assert_int_equal(newt_length_read(g.s.b, r)->value, 55);
    newt_abort(g.s.b);
    assert_int_equal(stats_of(g.s.a).merges, 1);
    ground_close(&g);
}

/* Write skew over what is below: one of two that rely on what the other writes must fail. */
static void
test_read_current(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "read_current");
    for (int round = 0; round < 3; round++) {
        begin(g.s.a);
        begin(g.s.b);
        ok(g.s.a, newt_read_current(g.s.a, g.y.any));
        ok(g.s.b, newt_read_current(g.s.b, g.x.any));
        write_n(g.s.a, g.x, 100 + round);
        write_n(g.s.b, g.y, 100 + round);
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        assert_int_equal(newt_error_conflict(newt_conn_error(g.s.b), 0)->object.oid, g.x.any.oid);
        assert_true(newt_error_conflict(newt_conn_error(g.s.b), 0)->read_current);
    }
    /* and of what others have changed in the base */
    begin(g.s.a);
    ok(g.s.a, newt_read_current(g.s.a, g.z.any));
    write_n(g.s.a, g.x, 7);
    change(g.below.c, g.z, 30);
    assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 0)->object.oid, g.z.any.oid);
    /* the root, which is current as it is below, and then is not */
    for (int round = 0; round < 2; round++) {
        begin(g.s.a);
        ok(g.s.a, newt_read_current(g.s.a, (newt_ref){1}));
        write_n(g.s.a, g.x, 8 + round);
        if (round == 1)
            set_root(g.s.b, "x", g.x.any);
        assert_int_equal(newt_commit(g.s.a), round ? NEWT_ECONFLICT : NEWT_OK);
    }
    ground_close(&g);
}

/* ---- the base goes on --------------------------------------------------------------------- */

/* Removals in the base are honoured: of what was read, of what was not; not of what the layer has.
 */
static void
test_removed_below(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "removed_below");
    assert_int_equal(seen(g.s.a, g.x), 1);
    change(g.s.a, g.z, 30);
    remove_item(g.below.c, g.x);
    remove_item(g.below.c, g.y);
    remove_item(g.below.c, g.z);
    assert_int_equal(seen(g.s.b, g.x), -1);
    assert_int_equal(seen(g.s.b, g.y), -1);
    assert_int_equal(seen(g.s.b, g.z), 30);
    assert_int_equal(seen(g.s.a, g.x), -1);
    /* which is gone everywhere, when the layer removes it */
    remove_item(g.s.a, g.z);
    assert_int_equal(seen(g.s.b, g.z), -1);
    pop(&g.s);
    assert_int_equal(seen(g.s.b, g.z), -1);
    ground_close(&g);
}

/* One connection has heard of the base: the others of this database do not miss it. */
static void
test_fresh(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "fresh");
    for (int i = 0; i < 200; i++) {
        assert_int_equal(seen(g.s.a, g.z), 3);
        seen(g.s.b, g.x);
        change(g.below.c, g.x, i);
        assert_int_equal(seen(g.s.a, g.x), i);
        assert_int_equal(read_in(g.s.b, g.x, false), i);
    }
    ground_close(&g);
}

/* A snapshot is one of both. */
static void
test_snapshot(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "snapshot");
    change(g.s.b, g.y, 20);
    newt_abort(g.s.a);
    begin(g.s.a);
    ok(g.s.a, newt_prefetch(g.s.a, &(newt_ref){INT64_MAX}, 1));
    change(g.below.c, g.x, 100);
    change(g.below.c, g.y, 200);
    remove_item(g.below.c, g.z);
    change(g.s.b, g.y, 21);
    assert_int_equal(read_n(g.s.a, g.x), 1);
    assert_int_equal(read_n(g.s.a, g.y), 20);
    assert_int_equal(read_n(g.s.a, g.z), 3);
    newt_abort(g.s.a);
    assert_int_equal(seen(g.s.a, g.x), 100);
    assert_int_equal(seen(g.s.a, g.y), 21);
    assert_int_equal(seen(g.s.a, g.z), -1);
    ground_close(&g);
}

/* Oids that the base hands out while it lives on are never those of the layer. */
static void
test_oids(void **state)
{
    enum {
        N = 1500
    };
    static int64_t oids[3 * N];
    size_t n = 0;
    item_ref r;
    ground g;

    (void)state;
    ground_open(&g, "oids");
    push(&g.s);
    for (int part = 0; part < 5; part++) {
        newt_conn *c[] = {g.s.a, g.s.b, g.below.c};

        for (int i = 0; i < 3; i++)
            begin(c[i]);
        for (int k = 0; k < N / 5; k++)
            for (int i = 0; i < 3; i++) {
                struct item *x = new_item(c[i], "x", k);

                oids[n++] = item_id(x).any.oid;
                item_done(x);
            }
        for (int i = 0; i < 3; i++)
            commit(c[i]);
    }
    qsort(oids, n, sizeof *oids, newt__by_oid);
    for (size_t i = 1; i < n; i++)
        assert_true(oids[i] > oids[i - 1]);
    /* also after they have come down */
    write_down(&g.s);
    pop(&g.s);
    write_down(&g.s);
    pop(&g.s);
    for (size_t i = 0; i < n; i++) {
        r = item_of((newt_ref){oids[i]});
        assert_true(seen(g.below.c, r) >= 0);
    }
    begin(g.below.c);
    for (int k = 0; k < 3 * N; k++) {
        struct item *x = new_item(g.below.c, "x", k);

        r = item_id(x);
        item_done(x);
        assert_null(bsearch(&r.any.oid, oids, n, sizeof *oids, newt__by_oid));
    }
    commit(g.below.c);
    ground_close(&g);
}

/* ---- written down ----------------------------------------------------------------------- */

static void
test_written_down(void **state)
{
    item_ref new_one, gone;
    ground g;

    (void)state;
    ground_open(&g, "written_down");
    write_down(&g.s); /* nothing */
    change(g.s.a, g.x, 10);
    remove_item(g.s.b, g.y);
    new_one = make_item(g.s.a, "new", 4);
    gone = make_item(g.s.a, "gone", 5);
    remove_item(g.s.a, gone);
    set_root(g.s.b, "new", new_one.any);
    assert_int_equal(seen(g.below.c, g.x), 1);
    write_down(&g.s);
    assert_int_equal(seen(g.below.c, g.x), 10);
    assert_int_equal(seen(g.below.c, g.y), -1);
    assert_int_equal(seen(g.below.c, new_one), 4);
    assert_int_equal(seen(g.below.c, gone), -1);
    assert_int_equal(root_item(g.below.c, "new").any.oid, new_one.any.oid);
    /* the layer is there still, and empty */
    assert_int_equal(seen(g.s.a, g.x), 10);
    change(g.below.c, g.x, 11);
    assert_int_equal(seen(g.s.b, g.x), 11);
    change(g.s.a, g.x, 12);
    assert_int_equal(seen(g.below.c, g.x), 11);
    write_down(&g.s);
    assert_int_equal(seen(g.below.c, g.x), 12);
    pop(&g.s);
    assert_int_equal(seen(g.s.a, g.x), 12);
    if (!on_layer()) {
        assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_EINVAL);
        assert_string_equal(newt_error_message(newt_db_error(g.s.db)),
                            "the database has no layer of changes");
    }
    ground_close(&g);
}

/* A layer that a URI has made, in private memory, is empty afterwards, too; one of a name stays. */
static void
test_opened(void **state)
{
    item_ref r;
    ground g;

    (void)state;
    ground_open(&g, "opened");
    for (int named = 0; named < 2; named++) {
        newt_options o = {.size = sizeof o, .schema = store_schema(&g.s)};
        char layer[600];
        newt_conn *c;
        newt_db *db;

        snprintf(layer, sizeof layer, "demo:(%s)%s", g.s.uri, named ? "(memory:opened)" : "");
        if (newt_db_open(&db, layer, classes, &o) != NEWT_OK)
            fail_error(layer, newt_db_error(db));
        c = connect_(db);
        assert_int_equal(newt_db_pop(db), NEWT_EINVAL);
        change(c, g.x, 10 + named);
        r = make_item(c, "new", 1);
        assert_int_equal(newt_db_commit_changes(db), NEWT_OK);
        assert_int_equal(seen(g.below.c, g.x), 10 + named);
        assert_int_equal(seen(g.below.c, r), 1);
        change(g.below.c, g.x, 20);
        assert_int_equal(seen(c, g.x), named ? 11 : 20);
        if (named) {
            change(c, g.x, 12);
            assert_int_equal(newt_db_commit_changes(db), NEWT_ECONFLICT);
        } else {
            change(c, g.x, 12);
            assert_int_equal(newt_db_commit_changes(db), NEWT_OK);
        }
        assert_int_equal(seen(g.below.c, g.x), named ? 20 : 12);
        newt_close(c);
        newt_db_close(db);
    }
    ground_close(&g);
}

/* In a child nothing works, and what it closes stays as it is for the parent. */
static void
test_fork(void **state)
{
    pid_t child;
    int status;
    ground g;

    (void)state;
    ground_open(&g, "fork");
    change(g.s.a, g.x, 10);
    begin(g.s.b);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        status = newt_db_push(g.s.db) == NEWT_ETHREAD && newt_db_pop(g.s.db) == NEWT_ETHREAD &&
                 newt_db_commit_changes(g.s.db) == NEWT_ETHREAD;
        newt_close(g.s.a);
        newt_close(g.s.b);
        newt_db_close(g.s.db);
        _exit(status ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read_n(g.s.b, g.x), 10);
    newt_abort(g.s.b);
    pop(&g.s);
    assert_int_equal(seen(g.s.a, g.x), 1);
    ground_close(&g);
}

/* One into the next, and that into the store. */
static void
test_written_through(void **state)
{
    item_ref r[3];
    ground g;

    (void)state;
    ground_open(&g, "written_through");
    change(g.s.a, g.x, 10);
    r[0] = make_item(g.s.a, "first", 1);
    push(&g.s);
    change(g.s.a, g.x, 20);
    change(g.s.a, g.z, 30);
    r[1] = make_item(g.s.a, "second", 2);
    remove_item(g.s.a, r[0]); /* below: only in the layer */
    push(&g.s);
    change(g.s.a, g.x, 40);
    remove_item(g.s.a, g.y);
    remove_item(g.s.a, g.z);
    r[2] = make_item(g.s.a, "third", 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen(g.below.c, g.x), 1);
        write_down(&g.s);
        pop(&g.s);
    }
    for (int i = 0; i < 2; i++) {
        newt_conn *c = i ? g.below.c : g.s.b;

        assert_int_equal(seen(c, g.x), 40);
        assert_int_equal(seen(c, g.y), -1);
        assert_int_equal(seen(c, g.z), -1);
        assert_int_equal(seen(c, r[0]), -1);
        assert_int_equal(seen(c, r[1]), 2);
        assert_int_equal(seen(c, r[2]), 3);
    }
    ground_close(&g);
}

/* Others have changed the same below: nothing is written, and all of them are told. */
static void
test_down_conflicts(void **state)
{
    const newt_error *e;
    item_ref new_one;
    ground g;

    (void)state;
    ground_open(&g, "down_conflicts");
    change(g.s.a, g.x, 10);
    change(g.s.a, g.x, 11);
    change(g.s.a, g.y, 20);
    remove_item(g.s.a, g.z);
    new_one = make_item(g.s.a, "new", 4);
    change(g.below.c, g.x, 100);
    remove_item(g.below.c, g.y);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    e = newt_db_error(g.s.db);
    assert_true(newt_is_retryable(e));
    assert_string_equal(newt_error_sqlstate(e), "40001");
    assert_string_equal(newt_error_class(e), "Item");
    assert_int_equal(newt_error_oid(e), g.x.any.oid);
    assert_non_null(strstr(newt_error_message(e), "was changed in the base (and 1 more objects)"));
    assert_int_equal(newt_error_conflict(e, 0)->object.oid, g.x.any.oid);
    assert_string_equal(newt_error_conflict(e, 0)->class_name, "Item");
    assert_int_equal(newt_error_conflict(e, 1)->object.oid, g.y.any.oid);
    assert_int_equal(newt_error_conflict(e, 1)->committed, 0);
    assert_null(newt_error_conflict(e, 2));
    assert_int_equal(newt_error_conflict(e, 0)->committed, stored_serial(g.below.db, g.x.any));
    /* nothing is written, and the layer stays */
    assert_int_equal(seen(g.below.c, g.x), 100);
    assert_int_equal(seen(g.below.c, g.z), 3);
    assert_int_equal(seen(g.below.c, new_one), -1);
    assert_int_equal(seen(g.s.b, g.x), 11);
    assert_int_equal(seen(g.s.b, g.z), -1);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    newt_close(connect_(g.s.db));
    pop(&g.s);
    /* removed by both is a conflict as well */
    push(&g.s);
    remove_item(g.s.a, g.x);
    remove_item(g.below.c, g.x);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    assert_string_equal(newt_error_class(newt_db_error(g.s.db)), "");
    ground_close(&g);
}

/* More than one question, one list of serials and one batch hold. */
static void
test_many(void **state)
{
    enum {
        N = 10000
    };
    static newt_ref refs[N];
    ground g;

    (void)state;
    ground_open(&g, "many");
    begin(g.below.c);
    for (int i = 0; i < N; i++) {
        struct item *x = new_item(g.below.c, "x", i);

        refs[i] = item_id(x).any;
        item_done(x);
    }
    commit(g.below.c);
    for (int round = 1; round < 4; round++) { /* of the base; of the layer; of both, and new ones */
        newt_stats before = stats_of(g.s.a);

        newt_abort(g.s.a);
        begin(g.s.a);
        ok(g.s.a, newt_prefetch(g.s.a, refs, N));
        assert_true(stats_of(g.s.a).round_trips - before.round_trips < 20);
        if (round == 3) {
            newt_abort(g.s.a);
            write_down(&g.s);
            begin(g.s.b);
            for (int i = 0; i < N; i += 2)
                write_n(g.s.b, item_of(refs[i]), 4 * N);
            commit(g.s.b);
            begin(g.s.a);
        }
        for (int i = 0; i < N; i++) {
            if (round == 3 && i % 5 == 0)
                ok(g.s.a, newt_delete(g.s.a, refs[i]));
            else
                write_n(g.s.a, item_of(refs[i]), i + round * N);
            if (i % 10 == 0)
                item_done(new_item(g.s.a, "new", i));
        }
        commit(g.s.a);
    }
    assert_int_equal(seen(g.below.c, item_of(refs[1])), 2 * N + 1);
    write_down(&g.s);
    pop(&g.s);
    begin(g.s.b);
    ok(g.s.b, newt_prefetch(g.s.b, refs, N));
    for (int i = 0; i < N; i++) {
        const struct item *x = item_read(g.s.b, item_of(refs[i]));

        if (i % 5 == 0)
            assert_null(x);
        else
            assert_int_equal(x->n, i + 3 * N);
    }
    newt_abort(g.s.b);
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
    cmocka_unit_test(test_uris),           cmocka_unit_test(test_depth),
    cmocka_unit_test(test_over_base),      cmocka_unit_test(test_root),
    cmocka_unit_test(test_nested),         cmocka_unit_test(test_closed),
    cmocka_unit_test(test_busy),           cmocka_unit_test(test_conflicts),
    cmocka_unit_test(test_base_conflicts), cmocka_unit_test(test_told_again),
    cmocka_unit_test(test_merges),         cmocka_unit_test(test_read_current),
    cmocka_unit_test(test_removed_below),  cmocka_unit_test(test_fresh),
    cmocka_unit_test(test_snapshot),       cmocka_unit_test(test_oids),
    cmocka_unit_test(test_written_down),   cmocka_unit_test(test_opened),
    cmocka_unit_test(test_fork),           cmocka_unit_test(test_written_through),
    cmocka_unit_test(test_down_conflicts), cmocka_unit_test(test_many),
    cmocka_unit_test(test_walk),           cmocka_unit_test(test_feed),
    cmocka_unit_test(test_no_sql),         cmocka_unit_test(test_no_copy),
    cmocka_unit_test(test_origin),
};

int
main(void)
{
    return run_all(layers);
}
