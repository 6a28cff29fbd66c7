/*
 * btree_loads.c - how often trees ask the storage, and for how many nodes
 */
#include "trees.h"

enum {
    LEAVES = 10
};

typedef struct asked {
    int64_t calls, objects;
} asked;

static void
note_load(const newt_call *call, void *arg)
{
    asked *n = arg;

    if (strcmp(call->name, "load") != 0)
        return;
    n->calls++;
    n->objects += call->objects;
}

typedef struct row {
    store s;
    int_tree_ref tree;
    int64_t first[LEAVES]; /* the first key of each leaf */
} row;

typedef struct keys {
    int64_t i, n;
} keys;

static int
next_key(void *arg, int64_t *key, int64_t *value)
{
    keys *k = arg;

    *key = k->i * INT64_C(1000000000000);
    *value = k->i;
    return k->i++ < k->n;
}

/* A root with ten leaves below it. */
static void
open_row(row *t)
{
    const struct int_tree *root;
    uint32_t leaves = 0;

    store_make(&t->s, "loads");
    t->s.db = store_db(&t->s, trees, (newt_options){0});
    t->s.a = connect_(t->s.db);
    t->s.b = connect_(t->s.db);
    begin(t->s.a);
    for (int64_t n = LEAVES; leaves < LEAVES; n++) {
        keys k = {.n = n};

        t->tree = int_tree_create(t->s.a);
        ok(t->s.a, int_tree_load(t->s.a, t->tree, next_key, &k));
        root = newt_read(t->s.a, t->tree.any, &int_tree_class);
        assert_non_null(root);
        leaves = root->children_.n;
        if (leaves < LEAVES) {
            ok(t->s.a, newt_btree_delete(t->s.a, t->tree.any, &int_tree_class));
            continue;
        }
        assert_int_equal(root->level_, 1);
        for (int i = 1; i < LEAVES; i++)
            t->first[i] = root->keys_.items[i - 1];
    }
    t->first[0] = 0;
    commit(t->s.a);
}

/* By a connection that has nothing yet. */
static newt_db *
connect_anew(row *t, newt_conn **c, asked *n)
{
    newt_db *db = store_db(&t->s, trees, (newt_options){.trace = note_load, .trace_arg = n});

    *n = (asked){0};
    *c = connect_(db);
    begin(*c);
    return db;
}

/* What a range needs, and no more: first the leaf where it begins, then two at once, then
 * the rest of so few */
static void
test_ranges(void **state)
{
    static const struct {
        int leaf, beside; /* the bound: the first key of a leaf, or one beside it; leaf -1: none */
        bool descending;
        int64_t calls, leaves; /* the first call is for the root */
    } cases[] = {
        {-1, 0, false, 4, LEAVES}, {-1, 0, true, 4, LEAVES}, {2, 0, false, 3, 3},
        {2, -1, false, 4, 3},      {1, -1, false, 3, 2},     {7, 0, true, 4, 4},
        {8, 1, true, 3, 2},        {6, 1, true, 4, 4},       {9, 0, true, 3, 2},
    };
    row t;

    (void)state;
    open_row(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t bound = cases[i].leaf < 0 ? 0 : t.first[cases[i].leaf] + cases[i].beside, last = -1;
        int_tree_range_of range = {.descending = cases[i].descending};
        int_tree_cursor at;
        newt_conn *c;
        newt_db *db;
        asked n;

        if (cases[i].leaf >= 0)
            *(cases[i].descending ? &range.from : &range.to) = &bound;
        db = connect_anew(&t, &c, &n);
        at = int_tree_range(c, t.tree, &range);
        while (int_tree_next(&at) == 1)
            last = at.key;
        assert_true(cases[i].descending ? last >= bound : last <= bound || cases[i].leaf < 0);
        print_message("# range %zu: %lld calls, %lld objects\n", i, (long long)n.calls,
                      (long long)n.objects);
        assert_int_equal(n.calls, cases[i].calls);
        assert_int_equal(n.objects, 1 + cases[i].leaves);
        commit(c);
        newt_close(c);
        newt_db_close(db);
    }
    store_close(&t.s);
}

/* Many keys are looked up in one call a level. */
static void
test_many(void **state)
{
    int64_t values[LEAVES];
    newt_conn *c;
    newt_db *db;
    asked n;
    row t;

    (void)state;
    open_row(&t);
    db = connect_anew(&t, &c, &n);
    assert_int_equal(int_tree_get_many(c, t.tree, t.first, LEAVES, values, NULL), LEAVES);
    for (int i = 0; i < LEAVES; i++)
        assert_int_equal(values[i] * INT64_C(1000000000000), t.first[i]);
    assert_int_equal(n.calls, 2);
    assert_int_equal(n.objects, 1 + LEAVES);
    commit(c);
    newt_close(c);
    newt_db_close(db);
    store_close(&t.s);
}

static const struct CMUnitTest btree_loads[] = {
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_many),
};

int
main(void)
{
    return run_all(btree_loads);
}
