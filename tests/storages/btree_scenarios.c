/*
 * btree_scenarios.c - how trees of ZODB's BTrees were damaged, tried on trees here: by one
 * transaction
 *
 * Numbers with # are issues of zopefoundation/BTrees; other faults are from its change log, its
 * tests and the list zodb-dev. What went wrong there is said at each test.
 */
#include "shelf.h"

/* ---- one transaction --------------------------------------------------------------------------
 */

/*
 * #68, #118: the link of a leaf led to one that was no longer in the tree, and an emptied leaf
 * stayed in it: what goes from leaf to leaf found other keys than what goes by the tree, and each
 * of the two checks saw one fault alone. The leaf before an emptied one may be under another node.
 */
static void
test_emptied_first_below_a_node(void **state)
{
    int emptied = 0;
    shelf t;

    (void)state;
    open_shelf(&t, "links", KEYS);
    for (int i = STEP; i < KEYS * STEP; i += STEP) {
        begin(t.s.a);
        if (!together(t.s.a, &t, 1, i - STEP, i)) {
            leaf l = leaf_of(t.s.a, &t, i);

            assert_int_equal(l.places[0], i);
            empty(t.s.a, &t, &l);
            note(&t, &l, false);
            check_in(t.s.a, &t);
            i = l.places[l.n - 1];
            emptied++;
        }
        commit(t.s.a);
    }
    assert_true(emptied > 1);
    check_shelf(&t);
    for (int i = 0; i < KEYS * STEP; i += STEP) { /* what they stood for can be filled again */
        begin(t.s.a);
        put(t.s.a, &t, i);
        t.has[i] = true;
        commit(t.s.a);
    }
    close_shelf(&t);
}

/* A tree of BTrees stays as high as it has been, also with one key left. */
static void
test_grows_lower(void **state)
{
    const struct int_tree *root;
    shelf t;

    (void)state;
    for (int kept = 0; kept < KEYS; kept += KEYS / 4) {
        open_shelf(&t, "lower", KEYS);
        for (int i = 0; i < KEYS; i++) {
            int other_ = (i * 11 + kept) % KEYS;

            begin(t.s.a);
            if (other_ != kept) {
                drop(t.s.a, &t, other_ * STEP);
                t.has[other_ * STEP] = false;
            }
            commit(t.s.a);
        }
        begin(t.s.a);
        root = newt_read(t.s.a, t.tree, &int_tree_class);
        assert_non_null(root);
        assert_int_equal(root->level_, 0);
        assert_int_equal(root->counts_.n, 0);
        newt_done((const newt_object *)root);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* Changes of small trees were not saved: only the first of a transaction marked the object (#11),
 * removals did not (#13), and a removal below a node did not mark that (#118). */
static void
test_changed_again(void **state)
{
    shelf t;

    (void)state;
    open_shelf(&t, "again", 0);
    for (int round = 0; round < 3; round++) {
        begin(t.s.a);
        for (int i = 0; i < 3; i++) {
            put(t.s.a, &t, round * 3 + i);
            t.has[round * 3 + i] = true;
        }
        commit(t.s.a);
        check_shelf(&t);
        begin(t.s.a);
        drop(t.s.a, &t, round * 3);
        drop(t.s.a, &t, round * 3 + 1);
        t.has[round * 3] = t.has[round * 3 + 1] = false;
        commit(t.s.a);
        check_shelf(&t);
    }
    close_shelf(&t);
}

/* "The bucket being iterated changed size", or every other key was passed over: a range that was
 * gone through while its keys were removed (zodb-dev, January 2003). */
static void
test_removed_while_iterated(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 6; how++) {
        int_tree_range_of range = {.descending = how % 2};
        int_tree_cursor at;
        int seen = 0;

        open_shelf(&t, "iterated", KEYS);
        begin(t.s.a);
        at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
        while (int_tree_next(&at) == 1) {
            int place = (int)at.value;

            assert_int_equal(place, (range.descending ? KEYS - 1 - seen : seen) * STEP);
            if (how < 2)
                assert_int_equal(int_tree_at_remove(&at), NEWT_OK);
            else
                drop(t.s.a, &t, place);
            t.has[place] = false;
            place += range.descending ? 1 : -1; /* where it has been */
            if (how >= 4 && place >= 0) {
                put(t.s.a, &t, place);
                t.has[place] = true;
            }
            seen++;
        }
        assert_int_equal(seen, KEYS);
        check_in(t.s.a, &t);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* A tree that was filled from its own keys had no end, or ended anywhere. */
static void
test_filled_while_iterated(void **state)
{
    int64_t last = key_of(KEYS * STEP);
    int_tree_range_of range = {.to = &last};
    int_tree_cursor at;
    shelf t;
    int seen = 0;

    (void)state;
    open_shelf(&t, "filled", KEYS);
    begin(t.s.a);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
    while (int_tree_next(&at) == 1) {
        int ahead = (KEYS + 1) * STEP + (int)at.value;

        assert_int_equal(at.value, seen++ * STEP);
        put(t.s.a, &t, ahead);
        t.has[ahead] = true;
    }
    assert_int_equal(seen, KEYS);
    commit(t.s.a);
    close_shelf(&t);
}

/* A range that was still held when its tree was cleared led to freed buckets. */
static void
test_cleared_under_a_cursor(void **state)
{
    int_tree_cursor at;
    shelf t;

    (void)state;
    open_shelf(&t, "cleared", KEYS);
    begin(t.s.a);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(int_tree_next(&at), 1);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    memset(t.has, 0, sizeof t.has);
    put(t.s.a, &t, 10);
    put(t.s.a, &t, 9000);
    t.has[10] = t.has[9000] = true;
    assert_int_equal(int_tree_next(&at), 1);
    assert_int_equal(at.value, 9000);
    assert_int_equal(int_tree_next(&at), 0);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), NULL);
    assert_int_equal(int_tree_next(&at), 1);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    assert_int_equal(int_tree_next(&at), 0);
    put(t.s.a, &t, 10);
    put(t.s.a, &t, 9000);
    commit(t.s.a);
    close_shelf(&t);
}

/* Buckets became ghosts, or were changed, under what was still reading them (#22, #226). Here nodes
 * leave the cache while cursors are between them, changed ones too. */
static void
test_evicted_under_a_cursor(void **state)
{
    newt_options few = {.cache_objects = 3};
    int_tree_range_of back = {.descending = true};
    int_tree_cursor at[2];
    newt_db *db;
    newt_conn *c;
    shelf t;
    int64_t v;

    (void)state;
    open_shelf(&t, "evicted", KEYS);
    db = store_db(&t.s, trees, few);
    c = connect_(db);
    begin(c);
    at[0] = int_tree_range(c, int_tree_of(t.tree), NULL);
    at[1] = int_tree_range(c, int_tree_of(t.tree), &back);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(int_tree_next(&at[0]), 1);
        assert_int_equal(at[0].value, i * STEP);
        assert_int_equal(get(c, &t, i * 37 % KEYS * STEP, &v), 1); /* elsewhere */
        assert_int_equal(int_tree_next(&at[1]), 1);
        assert_int_equal(at[1].value, (KEYS - 1 - i) * STEP);
        ok(c, int_tree_at_put(&at[0], i * STEP + 1));
        ok(c, int_tree_at_put(&at[0], i * STEP));
        put(c, &t, i * STEP + 1); /* passed by the second one, or not yet */
        drop(c, &t, i * STEP + 1);
    }
    assert_int_equal(int_tree_next(&at[0]), 0);
    assert_int_equal(int_tree_next(&at[1]), 0);
    check_in(c, &t);
    commit(c);
    newt_close(c);
    newt_db_close(db);
    close_shelf(&t);
}

/* The leaf in which a cursor is was made after a savepoint, and goes with the rollback: what it had
 * is no longer seen. */
static void
test_rolled_back_under_a_cursor(void **state)
{
    shelf t;

    (void)state;
    for (int back = 0; back < 2; back++) {
        int_tree_range_of range = {.descending = back};
        int_tree_cursor at;
        int64_t savepoint;
        leaf l;
        int last;

        open_shelf(&t, "rolled", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        last = l.places[l.n - 1];
        ok(t.s.a, newt_savepoint(t.s.a, &savepoint));
        for (int i = l.places[0] + 1; i <= last + 1; i++)
            if (!t.has[i])
                put(t.s.a, &t, i);
        at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
        while (int_tree_next(&at) == 1 && at.value != last)
            ;
        ok(t.s.a, newt_rollback_to(t.s.a, savepoint));
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, back ? last - STEP : last + STEP);
        check_in(t.s.a, &t);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* Keys beyond what fits came as other numbers, and None beside numbers had no place in the order:
 * such trees could not be searched. Here a key is of one type, and the ends of its range are keys.
 */
static void
test_keys_at_the_ends(void **state)
{
    static const int64_t ints[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN, -1, 0,
                                   1,         UINT32_MAX,    INT64_MAX};
    static const uint64_t uints[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    enum {
        N = sizeof ints / sizeof *ints,
        M = sizeof uints / sizeof *uints
    };
    const newt_text texts[N] = {newt_strn("", 0),     newt_strn("\0", 1), newt_str("a"),
                                newt_strn("a\0", 2),  newt_str("ab"),     newt_str("\x7f"),
                                newt_str("\xc3\xa9"), newt_str("\xff")};
    uint_tree_range_of above = {.from = &uints[2], .after_from = true};
    uint_tree_cursor u;
    int_tree_cursor i;
    text_set_cursor x;
    uint_tree_ref unsigned_;
    text_set_ref text;
    int_tree_ref signed_;
    shelf t;

    (void)state;
    open_shelf(&t, "ends", 0);
    begin(t.s.a);
    signed_ = int_tree_create(t.s.a);
    unsigned_ = uint_tree_create(t.s.a);
    text = text_set_create(t.s.a);
    for (int n = N; n-- > 0;) {
        ok(t.s.a, int_tree_put(t.s.a, signed_, ints[n], n));
        assert_int_equal(text_set_insert(t.s.a, text, texts[n]), 1);
    }
    for (int n = M; n-- > 0;)
        ok(t.s.a, uint_tree_put(t.s.a, unsigned_, uints[n], (uint64_t)n));
    commit(t.s.a);
    begin(t.s.b);
    i = int_tree_range(t.s.b, signed_, NULL);
    x = text_set_range(t.s.b, text, NULL);
    for (int n = 0; n < N; n++) {
        assert_int_equal(int_tree_next(&i), 1);
        assert_true(i.key == ints[n] && i.value == n);
        assert_int_equal(text_set_next(&x), 1);
        assert_true(same_bytes(x.key.s, x.key.n, texts[n].s, texts[n].n));
    }
    assert_int_equal(int_tree_next(&i), 0);
    assert_int_equal(text_set_next(&x), 0);
    u = uint_tree_range(t.s.b, unsigned_, &above);
    for (int n = 3; n < M; n++) {
        assert_int_equal(uint_tree_next(&u), 1);
        assert_true(u.key == uints[n] && u.value == (uint64_t)n);
    }
    assert_int_equal(uint_tree_next(&u), 0);
    check_tree(t.s.b, signed_.any, &int_tree_class);
    check_tree(t.s.b, unsigned_.any, &uint_tree_class);
    check_tree(t.s.b, text.any, &text_set_class);
    commit(t.s.b);
    close_shelf(&t);
}

/* ---- combined ---------------------------------------------------------------------------------
 */

/* Unions of a tree with itself, and with an empty one. */
static void
test_combined_with_itself(void **state)
{
    static const struct {
        newt_btree_op op;
        bool with_empty;
        int64_t n;
    } cases[] = {{NEWT_UNION, false, KEYS},    {NEWT_INTERSECTION, false, KEYS},
                 {NEWT_DIFFERENCE, false, 0},  {NEWT_UNION, true, KEYS},
                 {NEWT_INTERSECTION, true, 0}, {NEWT_DIFFERENCE, true, KEYS}};
    int_tree_ref tree, none;
    shelf t;

    (void)state;
    open_shelf(&t, "itself", KEYS);
    tree = int_tree_of(t.tree);
    begin(t.s.a);
    none = int_tree_create(t.s.a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int_tree_ref both = int_tree_combine(t.s.a, cases[i].op, tree,
                                             cases[i].with_empty ? none : tree);

        assert_int_equal(int_tree_length(t.s.a, both), cases[i].n);
        check_tree(t.s.a, both.any, &int_tree_class);
    }
    check_in(t.s.a, &t);
    commit(t.s.a);
    close_shelf(&t);
}

static const struct CMUnitTest btree_scenarios[] = {
    cmocka_unit_test(test_emptied_first_below_a_node),
    cmocka_unit_test(test_grows_lower),
    cmocka_unit_test(test_changed_again),
    cmocka_unit_test(test_removed_while_iterated),
    cmocka_unit_test(test_filled_while_iterated),
    cmocka_unit_test(test_cleared_under_a_cursor),
    cmocka_unit_test(test_evicted_under_a_cursor),
    cmocka_unit_test(test_rolled_back_under_a_cursor),
    cmocka_unit_test(test_keys_at_the_ends),
    cmocka_unit_test(test_combined_with_itself),
};

int
main(void)
{
    return run_all(btree_scenarios);
}
