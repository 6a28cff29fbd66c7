/*
 * btree_damage.c - damaged trees: what finds it, and what mends it
 *
 * Numbers with # are issues of zopefoundation/BTrees; other faults are from its change log, its
 * tests and the list zodb-dev. What went wrong there is said at each test.
 */
#include "shelf.h"

/* ---- damaged ones -----------------------------------------------------------------------------
 */

static void
check_finds(newt_conn *c, const shelf *t, bool damaged)
{
    int64_t problems;

    begin(c);
    ok(c, newt_btree_check(c, t->tree, &int_tree_class, print_problem, NULL, &problems));
    assert_true((problems > 0) == damaged);
    newt_abort(c);
}

/* #161: a node that was missing was taken for a key that is not there: get() gave its default, and
 * nobody heard of the damage. */
static void
test_missing_node(void **state)
{
    int_tree_ref tree;
    int_tree_cursor at;
    shelf t;
    int64_t v, key = key_of(KEYS / 2 * STEP), last;
    bool found;
    int i = 0;

    (void)state;
    open_shelf(&t, "missing", KEYS);
    tree = int_tree_of(t.tree);
    begin(t.s.a);
    ok(t.s.a, newt_delete(t.s.a, node_of(t.s.a, &t, 0, KEYS / 2 * STEP, NULL)));
    commit(t.s.a);
    check_finds(t.s.b, &t, true);
    begin(t.s.b);
    assert_int_equal(int_tree_get(t.s.b, tree, key, &v), NEWT_EBROKEN);
    assert_int_equal(int_tree_has(t.s.b, tree, key), NEWT_EBROKEN);
    assert_int_equal(int_tree_get_many(t.s.b, tree, &key, 1, &v, &found), NEWT_EBROKEN);
    at = int_tree_range(t.s.b, tree, NULL);
    while (int_tree_next(&at) == 1)
        assert_int_equal(at.value, i++ * STEP);
    assert_true(i > 0 && i <= KEYS / 2);
    assert_int_equal(int_tree_next(&at), NEWT_EBROKEN);
    assert_int_equal(int_tree_last(t.s.b, tree, &last, &v), 1); /* elsewhere all is well */
    assert_int_equal(v, (KEYS - 1) * STEP);
    commit(t.s.b);
    begin(t.s.b);
    assert_int_equal(int_tree_pop(t.s.b, tree, key, &v), NEWT_EBROKEN);
    assert_int_not_equal(newt_commit(t.s.b), NEWT_OK);
    begin(t.s.b);
    assert_int_equal(int_tree_put(t.s.b, tree, key, 0), NEWT_EBROKEN);
    assert_int_not_equal(newt_commit(t.s.b), NEWT_OK);
    store_close(&t.s);
}

/* PR 143: a child of a class that no node is of was read as if it were a bucket. */
static void
test_child_of_another_class(void **state)
{
    struct int_tree *root;
    struct part *part;
    shelf t;
    int64_t v;
    int refused = 0;

    (void)state;
    open_shelf(&t, "class", KEYS);
    begin(t.s.a);
    part = part_new(t.s.a);
    assert_non_null(part);
    root = write_node(t.s.a, t.tree);
    newt_items(root, children_)[1] = part_id(part).any;
    commit(t.s.a);
    check_finds(t.s.b, &t, true);
    begin(t.s.b);
    for (int i = 0; i < KEYS; i++) {
        int found = get(t.s.b, &t, i * STEP, &v);

        assert_true(found == 1 || found == NEWT_ECLASS);
        refused += found < 0;
    }
    assert_true(refused > 0 && refused < KEYS);
    commit(t.s.b);
    store_close(&t.s);
}

/* The damage of #68, #102 and #118, made by hand: the one check finds each, and after a repair
 * every key that is still somewhere is found. */
static void
test_damage_is_found_and_repaired(void **state)
{
    enum {
        LINK,
        BEYOND,
        EMPTIED,
        N_DAMAGES
    };
    shelf t;

    (void)state;
    for (int what = LINK; what < N_DAMAGES; what++) {
        struct int_tree *node;
        int64_t entries, n = 0;
        int beyond;
        leaf l;

        open_shelf(&t, "damage", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        beyond = l.places[l.n - 1] + STEP + 1; /* in the next one's range */
        node = write_node(t.s.a, node_of(t.s.a, &t, 0, l.places[0], NULL));
        switch (what) {
        case LINK: node->next_ = node_of(t.s.a, &t, 0, 0, NULL); break;
        case BEYOND:
            newt_items(node, keys_)[l.n - 1] = key_of(beyond);
            newt_items(node, values_)[l.n - 1] = beyond;
            t.has[l.places[l.n - 1]] = false;
            t.has[beyond] = true;
            break;
        default: node->keys_.n = node->values_.n = 0; note(&t, &l, false);
        }
        commit(t.s.a);
        check_finds(t.s.b, &t, true);
        begin(t.s.b);
        ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
        commit(t.s.b);
        check_finds(t.s.a, &t, false);
        for (int i = 0; i < END; i++)
            n += t.has[i];
        assert_int_equal(entries, n);
        close_shelf(&t);
    }
}

/* A key that two leaves have, or one leaf twice: the entry that is found first stays. */
static void
test_found_twice(void **state)
{
    shelf t;

    (void)state;
    for (int within = 0; within < 2; within++) {
        struct int_tree *node;
        int64_t entries, v;
        leaf l, next;
        int twice;

        open_shelf(&t, "twice", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        next = leaf_after(t.s.a, &t, &l);
        twice = within ? l.places[l.n - 2] : next.places[0];
        node = write_node(t.s.a, node_of(t.s.a, &t, 0, l.places[0], NULL));
        newt_items(node, keys_)[l.n - 1] = key_of(twice);
        newt_items(node, values_)[l.n - 1] = -7;
        t.has[l.places[l.n - 1]] = false;
        commit(t.s.a);
        check_finds(t.s.b, &t, true);
        begin(t.s.b);
        ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS - 1);
        assert_int_equal(get(t.s.b, &t, twice, &v), 1);
        assert_int_equal(v, within ? twice : -7);
        put(t.s.b, &t, twice);
        commit(t.s.b);
        check_finds(t.s.a, &t, false);
        close_shelf(&t);
    }
}

/* A repair that did not last, and another one: it finds all that the first has found. */
static void
test_repaired_again(void **state)
{
    int64_t entries, savepoint;
    shelf t;

    (void)state;
    open_shelf(&t, "repaired", KEYS);
    for (int i = 0; i < 3; i++) {
        begin(t.s.a);
        ok(t.s.a, newt_btree_repair(t.s.a, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS);
        newt_abort(t.s.a);
    }
    begin(t.s.a);
    for (int i = 0; i < 3; i++) {
        ok(t.s.a, newt_savepoint(t.s.a, &savepoint));
        ok(t.s.a, newt_btree_repair(t.s.a, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS);
        if (i == 0)
            ok(t.s.a, newt_rollback_to(t.s.a, savepoint));
    }
    check_in(t.s.a, &t);
    commit(t.s.a);
    /* others have put a key meanwhile: the repair is refused, and done once more */
    begin_both(&t);
    put(t.s.a, &t, 1);
    t.has[1] = true;
    ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
    refuse_second(&t);
    begin(t.s.b);
    ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
    assert_int_equal(entries, KEYS + 1);
    commit(t.s.b);
    close_shelf(&t);
}

static const struct CMUnitTest btree_damage[] = {
    cmocka_unit_test(test_missing_node),
    cmocka_unit_test(test_child_of_another_class),
    cmocka_unit_test(test_damage_is_found_and_repaired),
    cmocka_unit_test(test_found_twice),
    cmocka_unit_test(test_repaired_again),
};

int
main(void)
{
    return run_all(btree_damage);
}
