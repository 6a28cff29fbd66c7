/*
 * btree_pairs.c - how trees of ZODB's BTrees were damaged, tried on trees here: by two transactions
 *
 * Numbers with # are issues of zopefoundation/BTrees; other faults are from its change log, its
 * tests and the list zodb-dev. What went wrong there is said at each test.
 */
#include "shelf.h"

/* ---- two transactions -------------------------------------------------------------------------
 */

/*
 * #102: a key was put into a bucket that another transaction had split, after the bucket's new
 * end. Iteration showed it, and no look-up found it.
 */
static void
test_put_where_others_have_split(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 4; how++) {
        bool after = how % 2, splits_last = how / 2;
        newt_conn *splitter, *other_;
        leaf l, more = {0};
        int place;

        open_shelf(&t, "split", KEYS);
        splitter = splits_last ? t.s.b : t.s.a;
        other_ = splits_last ? t.s.a : t.s.b;
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        place = after ? l.places[l.n - 1] + 1 : l.places[0] + 1;
        for (int i = l.places[0] + 2; together(splitter, &t, 0, l.places[0], l.places[l.n - 1]);
             i += STEP) {
            more.places[more.n++] = i;
            put(splitter, &t, i);
        }
        put(other_, &t, place);
        if (after)
            refuse_second(&t);
        else
            commit_both(&t);
        note(&t, &more, !after || !splits_last);
        t.has[place] = !after || splits_last;
        close_shelf(&t);
    }
}

/*
 * Each of two transactions removed some of a bucket's keys; merged, it was empty and stayed in the
 * tree, and the next one that came along crashed (zodb-dev, January 2003).
 */
static void
test_emptied_by_two(void **state)
{
    shelf t;
    leaf l;

    (void)state;
    open_shelf(&t, "halves", KEYS);
    begin_both(&t);
    l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
    for (int i = 0; i < l.n; i++)
        drop(i % 2 ? t.s.a : t.s.b, &t, l.places[i]);
    refuse_second(&t);
    for (int i = 0; i < l.n; i++)
        t.has[l.places[i]] = i % 2 == 0;
    close_shelf(&t);
}

/*
 * One transaction emptied a bucket, so that it went, another put a key into it: the changes were
 * merged each by itself, and the key was gone with the bucket (zodb-dev, March 2005).
 */
static void
test_put_where_others_have_emptied(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        leaf l;

        open_shelf(&t, "emptied", KEYS);
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        empty(order ? t.s.b : t.s.a, &t, &l);
        put(order ? t.s.a : t.s.b, &t, l.places[1] + 1);
        refuse_second(&t);
        note(&t, &l, order);
        t.has[l.places[1] + 1] = order;
        close_shelf(&t);
    }
}

/* What an emptied bucket stood for is its neighbour's, which another transaction has changed: both
 * stay, and what comes then goes to that neighbour, after its last key or before its first. */
static void
test_put_beside_what_others_have_emptied(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++)
        for (int left = 0; left < 2; left++) {
            leaf l, beside;
            int place;

            open_shelf(&t, "beside", KEYS);
            begin(t.s.a);
            l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
            commit(t.s.a);
            make_room(&t, left ? l.places[0] - STEP : l.places[l.n - 1] + STEP);
            begin_both(&t);
            beside = left ? leaf_of(t.s.a, &t, l.places[0] - STEP) : leaf_after(t.s.a, &t, &l);
            place = left ? beside.places[beside.n - 1] + 1 : beside.places[0] - 1;
            place = left || together(t.s.a, &t, 0, place, beside.places[0]) ? place
                                                                            : beside.places[0] + 1;
            empty(order ? t.s.b : t.s.a, &t, &l);
            put(order ? t.s.a : t.s.b, &t, place);
            commit_both(&t);
            note(&t, &l, false);
            t.has[place] = true;
            check_shelf(&t);
            begin(t.s.a);
            for (int i = 0; i < l.n; i++)
                put(t.s.a, &t, l.places[i] + 3);
            commit(t.s.a);
            for (int i = 0; i < l.n; i++)
                t.has[l.places[i] + 3] = true;
            close_shelf(&t);
        }
}

/*
 * When a bucket's first key was removed, the key above it was brought up to date; what another
 * transaction had put between the old key and the new one could not be found then. BTrees refuse
 * it since (reason 13); here the key above stays, and both are merged.
 */
static void
test_first_key_removed_beside_a_put(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        int first;

        open_shelf(&t, "first", KEYS);
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        first = leaf_of(t.s.a, &t, KEYS / 2 * STEP).places[0];
        drop(order ? t.s.b : t.s.a, &t, first);
        put(order ? t.s.a : t.s.b, &t, first + 1);
        commit_both(&t);
        t.has[first] = false;
        t.has[first + 1] = true;
        check_shelf(&t);
        begin(t.s.a); /* and it comes again, before all that are there */
        put(t.s.a, &t, first);
        commit(t.s.a);
        t.has[first] = true;
        close_shelf(&t);
    }
}

/* Changes of one inner node were never merged: two transactions that emptied or split any two
 * buckets below it met there. */
static void
test_far_apart_below_one_node(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 3; how++) { /* how many of the two split a node */
        leaf l[2], between, more[2] = {{0}};

        open_shelf(&t, "apart", 60); /* the root is the one node, and has room */
        begin_both(&t);
        l[0] = leaf_of(t.s.a, &t, 0);
        between = leaf_after(t.s.a, &t, &l[0]);
        l[1] = leaf_after(t.s.a, &t, &between); /* neighbours are linked to each other */
        assert_true(l[1].places[0] > between.places[0]);
        for (int side = 0; side < 2; side++) {
            newt_conn *c = side ? t.s.b : t.s.a;

            if (side < how) {
                for (int i = 0;
                     together(c, &t, 0, l[side].places[0], l[side].places[l[side].n - 1]); i++) {
                    more[side].places[more[side].n++] = l[side].places[i] + 1;
                    put(c, &t, l[side].places[i] + 1);
                }
            } else {
                empty(c, &t, &l[side]);
                note(&t, &l[side], false);
            }
            note(&t, &more[side], true);
        }
        commit_both(&t);
        close_shelf(&t);
    }
}

/* Two buckets beside each other emptied: the link of the one is the other's to write. */
static void
test_neighbours_emptied(void **state)
{
    shelf t;
    leaf l[2];

    (void)state;
    for (int order = 0; order < 2; order++) {
        open_shelf(&t, "neighbours", KEYS);
        begin_both(&t);
        l[0] = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        l[1] = leaf_after(t.s.a, &t, &l[0]);
        empty(t.s.a, &t, &l[order]);
        empty(t.s.b, &t, &l[!order]);
        refuse_second(&t);
        note(&t, &l[order], false);
        close_shelf(&t);
    }
}

/*
 * The last node of its level goes, so the one on its left ends later; and that one is split by
 * another transaction, so it ends earlier. Neither has touched a key of the other's.
 */
static void
test_ends_later_and_earlier(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        newt_conn *splitter, *remover;
        int last = (KEYS - 1) * STEP, first = last, left;
        leaf l, more = {0};

        open_shelf(&t, "later", KEYS);
        begin(t.s.a); /* first: of the node that goes, which has one leaf then */
        while (together(t.s.a, &t, 1, first - STEP, last))
            first -= STEP;
        l = leaf_of(t.s.a, &t, last);
        for (int i = first; i < l.places[0]; i += STEP) {
            drop(t.s.a, &t, i);
            t.has[i] = false;
        }
        commit(t.s.a);
        check_shelf(&t);
        begin_both(&t);
        splitter = order ? t.s.a : t.s.b;
        remover = order ? t.s.b : t.s.a;
        for (left = first - STEP; left > 0 && together(t.s.a, &t, 1, left - STEP, first - STEP);)
            left -= STEP;
        for (int i = left + 1; together(splitter, &t, 1, left, first - STEP);
             i += i % STEP == 7 ? 2 : 1)
            if (!t.has[i] && more.n < IN_LEAF) {
                more.places[more.n++] = i;
                put(splitter, &t, i);
            }
        l = leaf_of(remover, &t, last);
        empty(remover, &t, &l);
        refuse_second(&t);
        note(&t, &more, order);
        note(&t, &l, order);
        close_shelf(&t);
    }
}

/* A tree that one transaction cleared while others put keys into its buckets. */
static void
test_cleared_beside_a_put(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        newt_conn *clears;

        open_shelf(&t, "clear", KEYS);
        begin_both(&t);
        clears = order ? t.s.b : t.s.a;
        ok(clears, int_tree_clear(clears, int_tree_of(t.tree)));
        put(order ? t.s.a : t.s.b, &t, 5);
        refuse_second(&t);
        if (!order)
            memset(t.has, 0, sizeof t.has);
        t.has[5] = order;
        close_shelf(&t);
    }
    /* of one node: what it had is gone, what came beside stays */
    open_shelf(&t, "clear", 5);
    begin_both(&t);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    put(t.s.b, &t, 7);
    commit_both(&t);
    memset(t.has, 0, sizeof t.has);
    t.has[7] = true;
    close_shelf(&t);
}

/* Values that differ in little: what others have made of one stays beside a change of this
 * transaction's to the same leaf. */
static void
test_values_that_differ_in_little(void **state)
{
    static const struct {
        const char *name;
        int n_name, words;
    } values[] = {{NULL, 0, 0}, {"", 0, 0}, {"", 0, 1}, {"", 0, 2}, {"a", 1, 2}, {"b", 1, 2}};
    newt_text words[2] = {newt_str("w"), newt_str("v")};
    newt_ref one = {1}, two = {2};

    for (size_t i = 0; i < 2 * (sizeof values / sizeof *values - 1); i++) {
        struct part v[2] = {{.n = 1}, {.n = 1}}, found;
        newt_text text;
        date_tree_ref texts;
        ref_tree_ref tree;
        shelf t;

        (void)state;
        for (int k = 0; k < 2; k++) {
            size_t which = i / 2 + (size_t)(k ^ (int)(i % 2));

            v[k].name = (newt_text){.s = values[which].name, .n = (uint32_t)values[which].n_name};
            v[k].words.items = words;
            v[k].words.n = (uint32_t)values[which].words;
        }
        open_shelf(&t, "little", 0);
        begin(t.s.a);
        tree = ref_tree_create(t.s.a);
        texts = date_tree_create(t.s.a);
        ok(t.s.a, ref_tree_put(t.s.a, tree, one, v[0]));
        ok(t.s.a, date_tree_put(t.s.a, texts, (newt_date){1}, v[0].name));
        commit(t.s.a);
        begin_both(&t);
        ok(t.s.a, ref_tree_put(t.s.a, tree, one, v[1]));
        ok(t.s.a, date_tree_put(t.s.a, texts, (newt_date){1}, v[1].name));
        ok(t.s.b, ref_tree_put(t.s.b, tree, two, v[0]));
        ok(t.s.b, date_tree_put(t.s.b, texts, (newt_date){2}, v[0].name));
        commit_both(&t);
        begin(t.s.b);
        assert_int_equal(ref_tree_get(t.s.b, tree, one, &found), 1);
        assert_true(same_bytes(found.name.s, found.name.n, v[1].name.s, v[1].name.n));
        assert_int_equal(found.words.n, v[1].words.n);
        assert_int_equal(date_tree_get(t.s.b, texts, (newt_date){1}, &text), 1);
        assert_true(same_bytes(text.s, text.n, v[1].name.s, v[1].name.n));
        commit(t.s.b);
        close_shelf(&t);
    }
}

/* A last key removed on each side leaves a tree without keys, which goes on as a new one does. */
static void
test_emptied_tree(void **state)
{
    shelf t;

    (void)state;
    open_shelf(&t, "last", 2);
    begin_both(&t);
    drop(t.s.a, &t, 0);
    drop(t.s.b, &t, STEP);
    commit_both(&t);
    t.has[0] = t.has[STEP] = false;
    check_shelf(&t);
    begin_both(&t);
    put(t.s.a, &t, 3);
    put(t.s.b, &t, 4);
    commit_both(&t);
    t.has[3] = t.has[4] = true;
    close_shelf(&t);
}

/*
 * A key that is not there cannot be changed by others, so "put it if it is not there" needs more
 * than that it was looked up. (BTrees had to have each writer check the nodes above a bucket, lest
 * it was removed meanwhile; here a removed node is a conflict by itself.)
 */
static void
test_looked_up_in_vain(void **state)
{
    int64_t key = key_of(1), v;
    shelf t;

    (void)state;
    open_shelf(&t, "vain", KEYS);
    begin_both(&t);
    assert_int_equal(get(t.s.b, &t, 1, &v), 0);
    ok(t.s.b, newt_btree_read_current(t.s.b, t.tree, &int_tree_class, &key));
    drop(t.s.b, &t, 100 * STEP); /* for that reason */
    put(t.s.a, &t, 1);
    refuse_second(&t);
    t.has[1] = true;
    close_shelf(&t);
}

/* What a cursor goes through is one state, whatever others empty, fill and commit meanwhile. */
static void
test_changed_by_others_under_a_cursor(void **state)
{
    int_tree_cursor at;
    shelf t;

    (void)state;
    open_shelf(&t, "others", KEYS);
    begin_both(&t);
    at = int_tree_range(t.s.b, int_tree_of(t.tree), NULL);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, i * STEP);
        if (i % 20 || i + 30 > KEYS)
            continue;
        for (int j = i + 10; j < i + 30; j++) {
            drop(t.s.a, &t, j * STEP);
            put(t.s.a, &t, i * STEP + j);
            t.has[j * STEP] = false;
            t.has[i * STEP + j] = true;
        }
        commit(t.s.a);
        begin(t.s.a);
    }
    assert_int_equal(int_tree_next(&at), 0);
    commit_both(&t);
    close_shelf(&t);
}

static const struct CMUnitTest btree_pairs[] = {
    cmocka_unit_test(test_put_where_others_have_split),
    cmocka_unit_test(test_emptied_by_two),
    cmocka_unit_test(test_put_where_others_have_emptied),
    cmocka_unit_test(test_put_beside_what_others_have_emptied),
    cmocka_unit_test(test_first_key_removed_beside_a_put),
    cmocka_unit_test(test_far_apart_below_one_node),
    cmocka_unit_test(test_neighbours_emptied),
    cmocka_unit_test(test_ends_later_and_earlier),
    cmocka_unit_test(test_cleared_beside_a_put),
    cmocka_unit_test(test_values_that_differ_in_little),
    cmocka_unit_test(test_emptied_tree),
    cmocka_unit_test(test_looked_up_in_vain),
    cmocka_unit_test(test_changed_by_others_under_a_cursor),
};

int
main(void)
{
    return run_all(btree_pairs);
}
