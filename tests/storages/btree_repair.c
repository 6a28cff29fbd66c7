/*
 * btree_repair.c - trees with something wrong in them: what newt_btree_check tells, what fails, and
 * what newt_btree_repair makes of it
 *
 * Nodes are changed as bags by a program that has no table of the class.
 */
#include "trees.h"

enum {
    N = 2000
};

static store s;
static newt_db *plain; /* without the classes */
static newt_ref tree;
static char told[2000];

static int
open_store(void **state)
{
    (void)state;
    store_make(&s, "repair");
    s.db = store_db(&s, trees, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    plain = store_db(&s, NULL, (newt_options){0});
    begin(s.a);
    tree = text_set_create(s.a).any;
    for (int i = 0; i < N; i++) {
        any k;

        text_key(&k, i);
        assert_int_equal(text_set_insert(s.a, text_set_of(tree), k.text), 1);
    }
    commit(s.a);
    return 0;
}

static int
close_store(void **state)
{
    (void)state;
    newt_db_close(plain);
    store_close(&s);
    return 0;
}

/* The i-th node below another; its level. */
static newt_ref
child(newt_conn *c, newt_ref r, size_t i)
{
    const newt__node *node = newt_read(c, r, &text_set_class);

    assert_non_null(node);
    assert_true(i < node->children_.n);
    return node->children_.items[i];
}

/* A leaf, the second under the second node below the root. */
static newt_ref
some_leaf(newt_conn *c)
{
    newt_ref r = tree;

    while (((const newt__node *)newt_read(c, r, &text_set_class))->level_ > 0)
        r = child(c, r, 1);
    return r;
}

/* Sets a field of a node to this JSON. */
static void
spoil(newt_ref r, const char *field, const char *json)
{
    newt_conn *c = connect_(plain);
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    newt_bag *b;

    assert_non_null(value);
    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1)); /* what the other database has committed */
    b = newt_bag_write(c, r);
    assert_non_null(b);
    ok(c, newt_bag_set(b, field, value));
    json_decref(value);
    newt_bag_done(b);
    commit(c);
    newt_close(c);
}

static void
remove_node(newt_ref r)
{
    begin(s.b);
    ok(s.b, newt_delete(s.b, r));
    commit(s.b);
}

static int
tell(void *arg, newt_ref node, const char *problem)
{
    size_t n = strlen(told);

    (void)arg;
    snprintf(told + n, sizeof told - n, "%lld %s\n", (long long)node.oid, problem);
    return NEWT_OK;
}

/* A transaction that sees what another newt_db has committed. */
static void
begin_afresh(newt_conn *c)
{
    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
}

static void
assert_found(newt_ref node, const char *problem)
{
    char expected[200];
    int64_t problems;

    snprintf(expected, sizeof expected, node.oid ? "%lld %s" : "%.0lld%s", (long long)node.oid,
             problem);
    *told = 0;
    begin_afresh(s.a);
    ok(s.a, newt_btree_check(s.a, tree, &text_set_class, tell, NULL, &problems));
    newt_abort(s.a);
    if (problems == 0 || !strstr(told, expected))
        fail_msg("%lld problems, not \"%s\": %s", (long long)problems, expected, told);
}

/* After a repair the tree is sound, and has this many entries. */
static void
assert_repaired(int64_t at_least, int64_t at_most)
{
    int64_t entries, n = 0;
    text_set_cursor at;

    begin_afresh(s.a);
    ok(s.a, newt_btree_repair(s.a, tree, &text_set_class, &entries));
    commit(s.a);
    if (entries < at_least || entries > at_most)
        fail_msg("%lld entries", (long long)entries);
    begin(s.b);
    ok(s.b, newt_prefetch(s.b, &(newt_ref){INT64_MAX}, 1));
    check_tree(s.b, tree, &text_set_class);
    assert_int_equal(text_set_length(s.b, text_set_of(tree)), entries);
    at = text_set_range(s.b, text_set_of(tree), NULL);
    while (text_set_next(&at) == 1)
        n++;
    assert_int_equal(n, entries);
    newt_abort(s.b);
}

/* ---- one thing wrong ------------------------------------------------------------------------- */

static void
test_sound(void **state)
{
    (void)state;
    begin(s.a);
    check_tree(s.a, tree, &text_set_class);
    assert_true(((const newt__node *)newt_read(s.a, tree, &text_set_class))->level_ > 2);
    newt_abort(s.a);
    assert_repaired(N, N);
}

static void
test_missing_leaf(void **state)
{
    newt_ref leaf;

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    remove_node(leaf);
    assert_found((newt_ref){0}, "does not exist");
    begin_afresh(s.a);
    {
        text_set_cursor at = text_set_range(s.a, text_set_of(tree), NULL);
        int status;

        while ((status = text_set_next(&at)) == 1)
            ;
        assert_int_equal(status, NEWT_EBROKEN);
        assert_int_equal(newt_error_oid(newt_conn_error(s.a)), leaf.oid);
        assert_non_null(strstr(newt_error_hint(newt_conn_error(s.a)), "newt_btree_check"));
        assert_false(newt_is_doomed(s.a));
    }
    newt_abort(s.a);
    assert_repaired(N - 20, N - 1);
}

/* Its leaves are found from the one on their left. */
static void
test_missing_inner(void **state)
{
    newt_ref node;

    (void)state;
    begin(s.a);
    node = child(s.a, tree, 1);
    newt_abort(s.a);
    remove_node(node);
    assert_found((newt_ref){0}, "does not exist");
    assert_repaired(N, N);
}

static void
test_level(void **state)
{
    newt_ref node;
    any k;

    (void)state;
    begin(s.a);
    node = child(s.a, tree, 1);
    newt_abort(s.a);
    spoil(node, "level", "0");
    assert_found(node, "is of another level");
    begin_afresh(s.a);
    text_key(&k, N - 1);
    text_set_has(s.a, text_set_of(tree), k.text); /* which may or may not meet it */
    newt_abort(s.a);
    assert_repaired(N, N);
}

static void
test_order(void **state)
{
    newt_ref leaf;

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    spoil(leaf, "keys", "[\"b\", \"a\"]");
    assert_found((newt_ref){0}, "keys that are not in order");
    assert_repaired(N - 20, N + 1);
}

static void
test_foreign_key(void **state)
{
    newt_ref leaf;

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    spoil(leaf, "keys", "[\"a\", \"zzz\"]");
    assert_found((newt_ref){0}, "belongs to its left neighbour");
    assert_found((newt_ref){0}, "belongs to its right neighbour");
    assert_repaired(N - 20, N + 1);
}

static void
test_end(void **state)
{
    newt_ref leaf;

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    spoil(leaf, "high", "[]");
    assert_found(leaf, "does not end where the node above says");
    spoil(leaf, "high", "[\"a\", \"b\"]");
    assert_found((newt_ref){0}, "ends at more than one key");
    assert_repaired(N - 20, N - 1);
}

static void
test_links(void **state)
{
    newt_ref leaf;
    char json[64];

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    snprintf(json, sizeof json, "{\"::=>\": %lld}", (long long)leaf.oid);
    spoil(leaf, "next", json);
    assert_found(leaf, "is not linked to the leaf after it");
    assert_repaired(N, N);
}

/* What only a leaf has, or only the root, or all but the last. */
static void
test_too_much(void **state)
{
    newt_ref inner, last;
    char json[64];

    (void)state;
    begin(s.a);
    inner = child(s.a, tree, 1);
    for (last = tree;;) {
        const newt__node *node = newt_read(s.a, last, &text_set_class);

        assert_non_null(node);
        if (node->level_ == 0)
            break;
        last = node->children_.items[node->children_.n - 1];
    }
    newt_abort(s.a);
    snprintf(json, sizeof json, "{\"::=>\": %lld}", (long long)inner.oid);
    spoil(inner, "next", json);
    assert_found(inner, "is linked to another, which only leaves are");
    spoil(inner, "next", "null");
    snprintf(json, sizeof json, "[{\"::=>\": %lld}]", (long long)inner.oid);
    spoil(inner, "counts", json);
    assert_found(inner, "is said to be the root");
    spoil(inner, "counts", "[]");
    snprintf(json, sizeof json, "{\"::=>\": %lld}", (long long)inner.oid);
    spoil(last, "next", json);
    assert_found(last, "is the last leaf, but linked to another");
    assert_repaired(N, N);
}

static void
test_children(void **state)
{
    char json[64];

    (void)state;
    snprintf(json, sizeof json, "[{\"::=>\": %lld}]", (long long)tree.oid);
    spoil(tree, "children", json);
    assert_found((newt_ref){0}, "keys that are not those between its children");
    begin_afresh(s.a);
    assert_int_equal(text_set_has(s.a, text_set_of(tree), newt_str("x")), NEWT_EBROKEN);
    newt_abort(s.a);
    spoil(tree, "keys", "[]"); /* its own child: levels end that */
    assert_found(tree, "is of another level");
    begin_afresh(s.a);
    assert_int_equal(text_set_has(s.a, text_set_of(tree), newt_str("x")), NEWT_EBROKEN);
    newt_abort(s.a);
    assert_repaired(0, 0); /* nothing leads anywhere */
}

static void
test_counters(void **state)
{
    const newt__node *root;
    newt_ref count;

    (void)state;
    begin(s.a);
    root = newt_read(s.a, tree, &text_set_class);
    count = root->counts_.items[0];
    ok(s.a, newt_length_change(newt_write(s.a, count, &newt__count_class), 1));
    commit(s.a);
    assert_found(tree, "has counters that do not give the number");
    assert_repaired(N, N);
}

/* A repaired tree has as many counters as before, and the old ones are gone. */
static void
test_counters_anew(void **state)
{
    const newt__node *root;
    newt_ref before[16];
    int64_t entries;

    (void)state;
    begin(s.a);
    root = newt_read(s.a, tree, &text_set_class);
    assert_int_equal(root->counts_.n, 16);
    memcpy(before, root->counts_.items, sizeof before);
    ok(s.a, newt_btree_repair(s.a, tree, &text_set_class, &entries));
    commit(s.a);
    begin(s.b);
    root = newt_read(s.b, tree, &text_set_class);
    assert_int_equal(root->counts_.n, 16);
    for (int i = 0; i < 16; i++) {
        assert_null(newt_read(s.b, before[i], &newt__count_class));
        assert_int_equal(newt_error_status(newt_conn_error(s.b)), NEWT_EMISSING);
        assert_non_null(newt_read(s.b, root->counts_.items[i], &newt__count_class));
    }
    newt_abort(s.b);
}

/* What tell returns ends the check. */
static int
stop(void *arg, newt_ref node, const char *problem)
{
    (void)arg, (void)node, (void)problem;
    return 42;
}

static void
test_stopped(void **state)
{
    newt_ref leaf;
    int64_t problems;

    (void)state;
    begin(s.a);
    leaf = some_leaf(s.a);
    newt_abort(s.a);
    spoil(leaf, "keys", "[\"zzz\", \"a\"]");
    begin_afresh(s.a);
    assert_int_equal(newt_btree_check(s.a, tree, &text_set_class, stop, NULL, &problems), 42);
    newt_abort(s.a);
}

/* ---- a struct that has changed -----------------------------------------------------------------
 */

struct v1_part {
    newt_text name;
    int64_t n;
};
NEWT_DECLARE(v1_part);
NEWT_CLASS(v1_part, "Shelf", 1, NULL, NEWT_FIELD(struct v1_part, name),
           NEWT_FIELD(struct v1_part, n));
struct v2_part {
    newt_text label;
    int64_t n;
    double weight;
};
NEWT_DECLARE(v2_part);
NEWT_CLASS(v2_part, "Shelf", 2, NULL, NEWT_FIELD(struct v2_part, label, .was = "name"),
           NEWT_FIELD(struct v2_part, n),
           NEWT_FIELD(struct v2_part, weight, NEWT_INIT(double, 1.5)));
NEWT_DECLARE_BTREE(v1_tree, int64_t, struct v1_part);
NEWT_BTREE(v1_tree, "Shelves", NEWT_VALUES_OF_STRUCTS(v1_tree, v1_part), .node_bytes = 400);
NEWT_DECLARE_BTREE(v2_tree, int64_t, struct v2_part);
NEWT_BTREE(v2_tree, "Shelves", NEWT_VALUES_OF_STRUCTS(v2_tree, v2_part), .node_bytes = 400,
           .version = 1);

/* A field is renamed, another one is new: in nodes that are read, and in those that are written. */
static void
test_evolution(void **state)
{
    static const newt_class *const before[] = {&v1_tree_class, NULL};
    static const newt_class *const after[] = {&v2_tree_class, NULL};
    newt_db *old = store_db(&s, before, (newt_options){0}), *now;
    newt_conn *c = connect_(old);
    v2_tree_ref t;
    struct v2_part v;

    (void)state;
    begin(c);
    t = v2_tree_of(v1_tree_create(c).any);
    for (int i = 0; i < 300; i++) {
        char name[20];
        struct v1_part x = {newt_strn(name, (size_t)snprintf(name, sizeof name, "shelf %d", i)), i};

        ok(c, v1_tree_put(c, v1_tree_of(t.any), i, x));
    }
    commit(c);
    newt_close(c);
    newt_db_close(old);
    now = store_db(&s, after, (newt_options){0});
    c = connect_(now);
    begin(c);
    for (int i = 0; i < 300; i++) {
        char name[20];

        snprintf(name, sizeof name, "shelf %d", i);
        assert_int_equal(v2_tree_get(c, t, i, &v), 1);
        assert_string_equal(v.label.s, name);
        assert_true(v.n == i && v.weight == 1.5);
        v.weight = i;
        if (i % 7 == 0)
            ok(c, v2_tree_put(c, t, i, v));
    }
    check_tree(c, t.any, &v2_tree_class);
    commit(c);
    begin(c);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(v2_tree_get(c, t, i, &v), 1);
        assert_true(v.n == i && v.weight == (i % 7 == 0 ? i : 1.5));
    }
    newt_close(c);
    newt_db_close(now);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, open_store, close_store)
static const struct CMUnitTest repairs[] = {
    TEST(test_sound),    TEST(test_missing_leaf), TEST(test_missing_inner),
    TEST(test_level),    TEST(test_order),        TEST(test_foreign_key),
    TEST(test_end),      TEST(test_links),        TEST(test_too_much),
    TEST(test_children), TEST(test_counters),     TEST(test_counters_anew),
    TEST(test_stopped),  TEST(test_evolution),
};

int
main(void)
{
    return run_all(repairs);
}
