/*
 * btree_counts.c - counters of trees, which others change all the time: when they are loaded
 */
#include "trees.h"

enum {
    KEYS = 400,
    KEY = 20000,    /* of the leaf that is changed */
    NEW = KEY + 10, /* a key that comes into it, and goes */
    CHURN = 39010,  /* another, for the counters' sake */
    FAR = 100       /* of another leaf */
};

typedef struct counted {
    store s;
    other beside;
    int_tree_ref tree;
} counted;

static void
open_counted(counted *t, const char *name)
{
    store_make(&t->s, name);
    t->s.db = store_db(&t->s, trees, (newt_options){0});
    t->s.a = connect_(t->s.db);
    t->s.b = connect_(t->s.db);
    t->beside.db = store_db(&t->s, trees, (newt_options){0});
    t->beside.c = connect_(t->beside.db);
    begin(t->s.a);
    t->tree = int_tree_create(t->s.a);
    for (int64_t i = 0; i < KEYS; i++)
        ok(t->s.a, int_tree_put(t->s.a, t->tree, i * 7 % KEYS * 100, 1));
    for (int64_t i = 1; i < 30; i++) /* room where keys come */
        if (i % 4) {
            assert_int_equal(int_tree_remove(t->s.a, t->tree, KEY + i * 100), 1);
            assert_int_equal(int_tree_remove(t->s.a, t->tree, KEY - i * 100), 1);
            assert_int_equal(int_tree_remove(t->s.a, t->tree, KEYS * 100 - i * 100), 1);
        }
    commit(t->s.a);
}

static void
close_counted(counted *t)
{
    other_close(&t->beside);
    store_close(&t->s);
}

static void
put_alone(newt_conn *c, int_tree_ref tree, int64_t key, int64_t v)
{
    begin(c);
    ok(c, int_tree_put(c, tree, key, v));
    commit(c);
}

/* Changes all counters: each transaction changes one. */
static void
change_counters(newt_conn *c, int_tree_ref tree)
{
    for (int i = 0; i < 64; i++) {
        put_alone(c, tree, CHURN, i);
        begin(c);
        assert_int_equal(int_tree_remove(c, tree, CHURN), 1);
        commit(c);
    }
}

/*
 * A transaction that begins without asking has the leaf, but no counter; and others have just
 * changed the leaf, too. The counter that is loaded brings this news, so it has to come before the
 * leaf is used.
 */
static void
test_counter_is_not_in_the_way(void **state)
{
    counted t;
    newt_conn *c;
    int64_t v;

    (void)state;
    open_counted(&t, "counter");
    c = t.s.a;
    for (int i = 1; i < 20; i++) {
        change_counters(t.beside.c, t.tree);
        begin(c);
        assert_int_equal(int_tree_get(c, t.tree, KEY, &v), 1);
        commit(c);
        put_alone(c, t.tree, FAR, i); /* is told that the counters were changed */
        put_alone(t.beside.c, t.tree, KEY, i);
        begin_alone(c);
        if (i % 2)
            ok(c, int_tree_put(c, t.tree, NEW, 1));
        else
            assert_int_equal(int_tree_remove(c, t.tree, NEW), 1);
        commit(c);
        begin(t.s.b);
        assert_int_equal(int_tree_get(t.s.b, t.tree, KEY, &v), 1);
        assert_int_equal(v, i);
        assert_int_equal(int_tree_has(t.s.b, t.tree, NEW), i % 2);
        check_tree(t.s.b, t.tree.any, &int_tree_class);
        commit(t.s.b);
    }
    close_counted(&t);
}

/* The same when an entry at an end is taken: others have changed the value of another one in its
 * leaf. */
static void
test_counter_of_an_end(void **state)
{
    counted t;
    newt_conn *c;

    (void)state;
    open_counted(&t, "end");
    c = t.s.a;
    for (int i = 0; i < 6; i++) {
        bool last = i % 2;
        int64_t key = last ? KEYS * 100 + i : -100 + i, beside = last ? key - 50 : key + 50, got;

        begin(c);
        ok(c, int_tree_put(c, t.tree, key, i));
        ok(c, int_tree_put(c, t.tree, beside, i));
        commit(c);
        change_counters(t.beside.c, t.tree);
        begin(c);
        assert_int_equal(int_tree_has(c, t.tree, key), 1);
        commit(c);
        put_alone(c, t.tree, KEY, i); /* is told that the counters were changed */
        put_alone(t.beside.c, t.tree, beside, i + 1);
        begin_alone(c);
        assert_int_equal(last ? int_tree_pop_last(c, t.tree, &got, NULL)
                              : int_tree_pop_first(c, t.tree, &got, NULL),
                         1);
        assert_int_equal(got, key);
        commit(c);
        begin(t.s.b);
        check_tree(t.s.b, t.tree.any, &int_tree_class);
        commit(t.s.b);
    }
    close_counted(&t);
}

/* The round trips of one put before its commit, by a connection that has the nodes above. */
static int64_t
trips(counted *t, bool has_leaf, bool has_counters, int64_t key)
{
    newt_ref missing = {INT64_MAX};
    newt_conn *c = t->s.a;
    newt_stats before;
    int64_t v, n;

    begin(c); /* has all */
    assert_int_equal(int_tree_get(c, t->tree, KEY, &v), 1);
    assert_true(int_tree_length(c, t->tree) > 0);
    commit(c);
    if (!has_counters)
        change_counters(t->beside.c, t->tree);
    if (!has_leaf)
        put_alone(t->beside.c, t->tree, KEY, v + 1);
    put_alone(c, t->tree, FAR, v + 1); /* is told of both */
    begin(c);
    ok(c, newt_prefetch(c, &missing, 1));
    before = stats_of(c);
    ok(c, int_tree_put(c, t->tree, key, v + 2));
    n = stats_of(c).round_trips - before.round_trips;
    newt_abort(c);
    return n;
}

/* A leaf and a counter that are both missing come in one round trip; a value that is changed needs
 * no counter. */
static void
test_counter_comes_with_the_leaf(void **state)
{
    counted t;

    (void)state;
    needs_server();
    open_counted(&t, "trips");
    assert_int_equal(trips(&t, true, true, NEW), 0);
    assert_int_equal(trips(&t, false, true, NEW), 1);
    assert_int_equal(trips(&t, true, false, NEW), 1);
    assert_int_equal(trips(&t, false, false, NEW), 1);
    assert_int_equal(trips(&t, true, false, KEY), 0);
    assert_int_equal(trips(&t, false, false, KEY), 1);
    close_counted(&t);
}

static int
count_down(void *arg, int64_t *key, int64_t *value)
{
    int64_t *left = arg;

    *key = -*left;
    *value = 0;
    return (*left)-- > 0;
}

/* A tree of two levels has four, one of three sixteen, which it keeps when it grows lower. */
static void
test_number_of_counters(void **state)
{
    static const struct {
        int levels;
        uint32_t counters;
    } stages[] = {{1, 0}, {2, 4}, {3, 16}, {2, 16}, {1, 0}};
    newt_conn *c;
    counted t;
    int64_t n = 0;

    (void)state;
    open_counted(&t, "number");
    c = t.s.a;
    begin(c);
    ok(c, int_tree_clear(c, t.tree));
    for (int i = 0; i < 5; i++) {
        const struct int_tree *root;
        bool grows = i == 0 || stages[i].levels > stages[i - 1].levels;

        for (;;) {
            root = newt_read(c, t.tree.any, &int_tree_class);
            assert_non_null(root);
            newt_done((const newt_object *)root);
            if (root->level_ + 1 == stages[i].levels)
                break;
            if (grows)
                ok(c, int_tree_put(c, t.tree, n++, 1));
            else
                assert_int_equal(int_tree_remove(c, t.tree, --n), 1);
        }
        assert_int_equal(root->counts_.n, stages[i].counters);
        assert_int_equal(int_tree_length(c, t.tree), n);
        check_tree(c, t.tree.any, &int_tree_class);
    }
    commit(c);
    begin(c); /* made of sorted entries, too */
    for (int i = 0; i < 2; i++) {
        int_tree_ref tree = int_tree_create(c);
        int64_t left = i ? 2000 : 100;
        const struct int_tree *root;

        ok(c, int_tree_load(c, tree, count_down, &left));
        root = newt_read(c, tree.any, &int_tree_class);
        assert_non_null(root);
        assert_int_equal(root->level_, i + 1);
        assert_int_equal(root->counts_.n, i ? 16 : 4);
    }
    newt_abort(c);
    close_counted(&t);
}

static const struct CMUnitTest btree_counts[] = {
    cmocka_unit_test(test_number_of_counters),
    cmocka_unit_test(test_counter_is_not_in_the_way),
    cmocka_unit_test(test_counter_of_an_end),
    cmocka_unit_test(test_counter_comes_with_the_leaf),
};

int
main(void)
{
    return run_all(btree_counts);
}
