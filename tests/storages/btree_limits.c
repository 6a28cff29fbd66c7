/*
 * btree_limits.c - what trees refuse, and what their limits are
 */
#include "numbered.h"

#include "../../bridge/btree/btree.h"

static void
test_keys_refused(void **state)
{
    char *text = malloc(NEWT_BTREE_KEY + 1);
    text_set_ref set;
    pair_set_ref pairs;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', NEWT_BTREE_KEY + 1);
    begin(s.a);
    set = text_set_create(s.a);
    for (int i = 0; i < 20; i++) { /* the largest, which do not fit a node together */
        text[0] = (char)('a' + i);
        assert_int_equal(text_set_insert(s.a, set, newt_strn(text, NEWT_BTREE_KEY)), 1);
    }
    check_tree(s.a, set.any, &text_set_class);
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < 20; i++) {
        text[0] = (char)('a' + i);
        assert_int_equal(text_set_has(s.a, set, newt_strn(text, NEWT_BTREE_KEY)), 1);
    }
    assert_int_equal(text_set_insert(s.a, set, newt_strn(text, NEWT_BTREE_KEY + 1)), NEWT_ELIMIT);
    assert_failed(s.a, NEWT_ELIMIT, "2001 bytes as a key, but the limit is 2000");
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(text_set_has(s.a, set, newt_strn(text, NEWT_BTREE_KEY + 1)), 0);
    assert_int_equal(text_set_insert(s.a, set, (newt_text){0}), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "was given null as a key");
    newt_abort(s.a);
    begin(s.a);
    pairs = pair_set_create(s.a);
    assert_int_equal(pair_set_insert(s.a, pairs, (pair_set_key){1, {0}}), NEWT_EINVAL);
    newt_abort(s.a);
    begin(s.a);
    pairs = pair_set_create(s.a);
    assert_int_equal(pair_set_insert(s.a, pairs, (pair_set_key){1, {-5}}), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "a negative oid as part 2 of a key");
    newt_abort(s.a);
    free(text);
}

/* Keys in an array lie as far apart as the program's struct is large. */
static void
test_padded_keys(void **state)
{
    enum {
        KEYS = 50
    };
    padded_tree_key keys[KEYS];
    int64_t values[KEYS];
    padded_tree_ref tree;
    bool found[KEYS];

    (void)state;
    begin(s.a);
    tree = padded_tree_create(s.a);
    memset(keys, 0xff, sizeof keys); /* whatever the padding is */
    for (int i = 0; i < KEYS; i++) {
        keys[i].a = i / 2;
        keys[i].b.days = -i;
        if (i % 3)
            ok(s.a, padded_tree_put(s.a, tree, keys[i], i));
    }
    check_tree(s.a, tree.any, &padded_tree_class);
    assert_int_equal(padded_tree_get_many(s.a, tree, keys, KEYS, values, found),
                     KEYS - (KEYS + 2) / 3);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(found[i], i % 3 != 0);
        assert_true(!found[i] || values[i] == i);
    }
    newt_abort(s.a);
}

/* Values that grow split their leaf, as new keys do. */
static void
test_values_grow(void **state)
{
    enum {
        KEYS = 60,
        BYTES = 100
    };
    char text[BYTES];

    (void)state;
    memset(text, 'x', sizeof text);
    for (int how = 0; how < 2; how++) { /* by key, by a cursor */
        date_tree_ref tree;
        date_tree_cursor at;
        newt__btree b;
        newt__path path;
        const newt__node *leaf;

        begin(s.a);
        tree = date_tree_create(s.a);
        for (int i = 0; i < KEYS; i++)
            ok(s.a, date_tree_put(s.a, tree, (newt_date){2 * i}, newt_str("")));
        commit(s.a);
        begin(s.a);
        at = date_tree_range(s.a, tree, NULL);
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(date_tree_next(&at), 1);
            assert_int_equal(at.key.days, 2 * i);
            if (how == 1)
                ok(s.a, date_tree_at_put(&at, newt_strn(text, sizeof text)));
            else
                ok(s.a, date_tree_put(s.a, tree, at.key, newt_strn(text, sizeof text)));
        }
        assert_int_equal(date_tree_next(&at), 0);
        check_tree(s.a, tree.any, &date_tree_class);
        assert_int_equal(date_tree_length(s.a, tree), KEYS);
        ok(s.a, newt__btree_open(&b, s.a, tree.any, &date_tree_class));
        leaf = newt__descend(&b, NULL, 0, false, &path);
        while (leaf) {
            assert_true(newt__node_bytes(b.t, leaf) <= b.t->node_bytes);
            ok(s.a, newt__path_step(&b, &path, false, NULL, &leaf));
        }
        commit(s.a);
    }
}

/* What is no tree, and a node that is none by itself. */
static void
test_no_tree(void **state)
{
    int_tree_ref tree;
    newt_ref part, node;
    int64_t v, problems;

    (void)state;
    begin(s.a);
    tree = numbers_of(s.a, 500, 1, 1);
    part = part_id(part_new(s.a)).any;
    commit(s.a);
    begin(s.a);
    assert_int_equal(int_tree_get(s.a, int_tree_of(part), 1, &v), NEWT_ECLASS);
    assert_int_equal(newt_btree_get(s.a, part, &part_class, &v, NULL), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "is no class of trees");
    assert_int_equal(uint_tree_has(s.a, uint_tree_of(tree.any), 1), NEWT_ECLASS);
    assert_true(newt_is_null(newt_btree_create(s.a, &part_class)));
    assert_int_equal(int_tree_get(s.a, int_tree_of((newt_ref){99999999}), 1, &v), NEWT_EMISSING);
    assert_int_equal(newt_btree_check(s.a, part, &int_tree_class, NULL, NULL, &problems),
                     NEWT_ECLASS);
    assert_false(newt_is_doomed(s.a));
    node = ((const newt__node *)newt_read(s.a, tree.any, &int_tree_class))->children_.items[0];
    assert_int_equal(int_tree_get(s.a, int_tree_of(node), 1, &v), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "is a node inside of a tree");
    assert_int_equal(int_tree_put(s.a, int_tree_of(node), 1, 1), NEWT_EINVAL);
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(int_tree_first(s.a, int_tree_of(node), &v, NULL), NEWT_EINVAL);
    assert_false(newt_is_doomed(s.a));
    assert_int_equal(int_tree_pop_first(s.a, int_tree_of(node), &v, NULL), NEWT_EINVAL);
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
}

/* A cursor at no entry, one that is closed, one whose tree is gone. */
static void
test_cursor_refused(void **state)
{
    int_tree_cursor at;
    int_tree_ref tree;

    (void)state;
    begin(s.a);
    tree = numbers_of(s.a, 100, 1, 1);
    at = int_tree_range(s.a, tree, NULL);
    assert_int_equal(int_tree_at_put(&at, 5), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "is at no entry");
    newt_abort(s.a);
    begin(s.a);
    tree = numbers_of(s.a, 100, 1, 1);
    at = int_tree_range(s.a, tree, NULL);
    assert_int_equal(int_tree_next(&at), 1);
    ok(s.a, int_tree_at_remove(&at));
    assert_int_equal(int_tree_at_remove(&at), NEWT_EINVAL); /* it is gone already */
    newt_abort(s.a);
    begin(s.a);
    at = int_tree_range(s.a, tree, NULL); /* which was not committed */
    assert_int_equal(int_tree_next(&at), NEWT_EMISSING);
    assert_int_equal(int_tree_next(&at), NEWT_EMISSING);
    int_tree_close(&at);
    int_tree_close(&at);
    newt_abort(s.a);
}

/* A cursor is of its transaction, and says so; so do bounds that no key can have. */
static void
test_cursor_of_before(void **state)
{
    pair_set_key day = {5, {0}};
    text_set_cursor at, late;
    text_set_ref set;
    pair_set_ref pairs;
    pair_set_cursor in;

    (void)state;
    begin(s.a);
    set = text_set_create(s.a);
    for (int i = 0; i < 100; i++) {
        any k;

        text_key(&k, i);
        assert_int_equal(text_set_insert(s.a, set, k.text), 1);
    }
    pairs = pair_set_create(s.a);
    commit(s.a);
    begin(s.a);
    at = text_set_range(s.a, set, NULL);
    assert_int_equal(text_set_next(&at), 1);
    commit(s.a);
    late = text_set_range(s.a, set, NULL); /* outside of a transaction */
    begin(s.b);
    assert_int_equal(text_set_remove(s.b, set, newt_str("key of this tree 0000")), 1);
    commit(s.b);
    begin(s.a);
    assert_int_equal(text_set_next(&late), NEWT_EBUSY);
    assert_failed(s.a, NEWT_EBUSY, "could not be opened");
    assert_int_equal(text_set_next(&at), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "of an earlier transaction");
    text_set_close(&at);
    assert_int_equal(text_set_at_remove(&at), NEWT_EINVAL);
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    begin(s.a);
    in = pair_set_range(s.a, pairs, &(pair_set_range_of){.to = &day});
    assert_int_equal(pair_set_next(&in), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "is null in part 2 of a key");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.a)), ".parts"));
    in = pair_set_range(s.a, pairs, &(pair_set_range_of){.to = &day, .parts = 1});
    assert_int_equal(pair_set_next(&in), 0);
    in = pair_set_range(s.a, pairs, &(pair_set_range_of){.parts = 3});
    assert_int_equal(pair_set_next(&in), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "3 parts of the keys of PairSet, which have 2");
    assert_true(newt_is_null(pair_set_combine(s.a, (newt_btree_op)9, pairs, pairs).any));
    assert_failed(s.a, NEWT_EINVAL, "no operation");
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(text_set_has(s.a, (text_set_ref){{0}}, newt_str("x")), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "the reference to a tree of class \"TextSet\" is null");
    newt_abort(s.a);
}

/* A look-up that is relied on: another transaction that puts the key makes this one fail. */
static void
test_read_current(void **state)
{
    int_tree_ref tree, beside;

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(s.a);
        tree = numbers_of(s.a, 500, 2, 1);
        beside = numbers_of(s.a, 5, 1, 1);
        commit(s.a);
        begin(s.a);
        assert_int_equal(int_tree_has(s.a, tree, 301), 0);
        if (i == 1)
            ok(s.a, newt_btree_read_current(s.a, tree.any, &int_tree_class, &(int64_t){301}));
        ok(s.a, int_tree_put(s.a, beside, 301, 1));
        begin(s.b);
        ok(s.b, int_tree_put(s.b, tree, 301, 1));
        commit(s.b);
        assert_int_equal(newt_commit(s.a), i == 1 ? NEWT_ECONFLICT : NEWT_OK);
    }
}

/* Not the leaf alone: also the nodes above it, which others change when they split a leaf beside.
 */
static void
test_nodes_above_are_current(void **state)
{
    int_tree_ref tree, beside;

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(s.a);
        tree = numbers_of(s.a, 500, 20, 1);
        beside = numbers_of(s.a, 5, 1, 1);
        commit(s.a);
        begin(s.a);
        if (i == 1)
            ok(s.a, newt_btree_read_current(s.a, tree.any, &int_tree_class, &(int64_t){301}));
        ok(s.a, int_tree_put(s.a, beside, 301, 1));
        begin(s.b);
        for (int64_t k = 0; k < 1000; k++) /* the root is split */
            ok(s.b, int_tree_put(s.b, tree, 20000 + k, 1));
        commit(s.b);
        assert_int_equal(newt_commit(s.a), i == 1 ? NEWT_ECONFLICT : NEWT_OK);
    }
}

/* A leaf of texts in which is looked often has the heads of its keys beside them: they are those of
 * the keys that are there, whatever is put, removed, or rolled back. */
static void
test_looked_up_often(void **state)
{
    enum {
        KEYS = 12,
        OFTEN = 6
    };
    bool has[KEYS] = {false};
    text_set_ref set;
    int64_t savepoint;

    (void)state;
    begin(s.a);
    set = text_set_create(s.a);
    for (int step = 0; step < 3 * KEYS; step++) {
        int i = step < KEYS ? step * 7 % KEYS : step < 2 * KEYS ? 2 * KEYS - 1 - step : step % KEYS;
        bool undone = step % 3 == 2;
        char word[16];

        ok(s.a, newt_savepoint(s.a, &savepoint));
        snprintf(word, sizeof word, "word %02d", i);
        for (int times = 0; times < 2; times++) {
            has[i] = !has[i];
            if (has[i])
                assert_int_equal(text_set_insert(s.a, set, newt_str(word)), 1);
            else
                assert_int_equal(text_set_remove(s.a, set, newt_str(word)), 1);
            for (int look = 0; look < OFTEN * KEYS; look++) {
                char other_[16];

                snprintf(other_, sizeof other_, "word %02d", look % KEYS);
                assert_int_equal(text_set_has(s.a, set, newt_str(other_)), has[look % KEYS]);
            }
            if (times == 0 && !undone)
                break;
            if (times == 0) {
                ok(s.a, newt_rollback_to(s.a, savepoint));
                has[i] = !has[i];
                for (int k = 0; k < KEYS; k++) {
                    snprintf(word, sizeof word, "word %02d", k);
                    assert_int_equal(text_set_has(s.a, set, newt_str(word)), has[k]);
                }
                snprintf(word, sizeof word, "word %02d", i);
            }
        }
        if (step % 5 == 0) {
            commit(s.a);
            begin(s.a);
        }
    }
    commit(s.a);
}

/* The key at an end is valid until the end of the transaction, whatever leaves the cache. */
static void
test_key_at_the_end_stays(void **state)
{
    newt_db *few = store_db(&s, trees, (newt_options){.cache_objects = 1});
    newt_conn *c = connect_(few);
    newt_text first, last;
    text_set_ref set;
    text_set_cursor at;
    int n = 0;

    (void)state;
    begin(c);
    set = text_set_create(c);
    for (int i = 0; i < 1000; i++) {
        any k;

        text_key(&k, i);
        assert_int_equal(text_set_insert(c, set, k.text), 1);
    }
    commit(c);
    begin(c);
    assert_int_equal(text_set_first(c, set, &first), 1);
    assert_int_equal(text_set_last(c, set, &last), 1);
    for (int times = 0; times < 3; times++) {
        at = text_set_range(c, set, NULL);
        while (text_set_next(&at) == 1)
            n++;
    }
    assert_int_equal(n, 3000);
    for (int i = 0; i < 2; i++) {
        newt_text found = i ? last : first;
        any k;

        text_key(&k, i ? 999 : 0);
        assert_true(same_bytes(found.s, found.n, k.text.s, k.text.n));
    }
    commit(c);
    newt_close(c);
    newt_db_close(few);
}

static const struct CMUnitTest limits[] = {
    cmocka_unit_test_setup_teardown(test_keys_refused, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_padded_keys, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_values_grow, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_no_tree, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_cursor_refused, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_cursor_of_before, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_read_current, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_nodes_above_are_current, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_looked_up_often, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_key_at_the_end_stays, open_store, close_store),
};

int
main(void)
{
    return run_all(limits);
}
