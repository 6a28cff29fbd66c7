/*
 * btree_sets.c - trees loaded from sorted entries, and made of others
 */
#include "numbered.h"

/* ---- loading ------------------------------------------------------------------------------- */

static void
test_load(void **state)
{
    static const int64_t sizes[] = {0, 1, 2, 20, 21, 22, 300, 5000};
    pair_tree_ref shelf;

    (void)state;
    begin(s.a);
    shelf = pair_tree_create(s.a);
    commit(s.a);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int_tree_cursor at;
        int_tree_ref tree;
        int64_t i = 0;

        begin(s.a);
        tree = numbers_of(s.a, sizes[k], 3, 2);
        check_tree(s.a, tree.any, &int_tree_class);
        ok(s.a,
           pair_tree_put(s.a, shelf, (pair_tree_key){newt_str("loaded"), (int64_t)k}, tree.any));
        lost = 0;
        commit(s.a);
        assert_int_equal(lost, 0);
        begin(s.a);
        assert_int_equal(int_tree_length(s.a, tree), sizes[k]);
        at = int_tree_range(s.a, tree, NULL);
        for (; int_tree_next(&at) == 1; i++) {
            assert_int_equal(at.key, 3 * i);
            assert_int_equal(at.value, 6 * i);
            assert_false(at.moved);
        }
        assert_int_equal(i, sizes[k]);
        ok(s.a, int_tree_put(s.a, tree, -1, 0)); /* it is a tree like others */
        ok(s.a, int_tree_put(s.a, tree, 7, 0));
        check_tree(s.a, tree.any, &int_tree_class);
        assert_int_equal(int_tree_length(s.a, tree), sizes[k] + 2);
        ok(s.a, newt_btree_delete(s.a, tree.any, &int_tree_class));
        commit(s.a);
    }
}

static void
test_load_refused(void **state)
{
    numbers same = {.n = 100, .step = 0},
            fails = {.n = 100, .step = 1, .fail_at = 50, .status = -3};
    numbers down = {.n = 3, .step = -1}, positive = fails;
    int_tree_ref tree;

    (void)state;
    begin(s.a);
    tree = numbers_of(s.a, 1, 1, 1);
    assert_int_equal(int_tree_load(s.a, tree, next_number, &down), NEWT_EINVAL);
    assert_failed(s.a, NEWT_EINVAL, "is not empty");
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    for (int i = 0; i < 4; i++) {
        begin(s.a);
        tree = int_tree_create(s.a);
        positive.i = 0;
        positive.status = 7;
        switch (i) {
        case 0: assert_int_equal(int_tree_load(s.a, tree, next_number, &same), NEWT_EINVAL); break;
        case 1: assert_int_equal(int_tree_load(s.a, tree, next_number, &down), NEWT_EINVAL); break;
        case 2: assert_int_equal(int_tree_load(s.a, tree, next_number, &fails), -3); break;
        default: assert_int_equal(int_tree_load(s.a, tree, next_number, &positive), 7);
        }
        assert_failed(s.a, i == 2 ? -3 : NEWT_EINVAL,
                      i < 2 ? "not sorted: number 2" : "the source of the entries");
        assert_true(newt_is_doomed(s.a));
        newt_abort(s.a);
    }
}

/* ---- of others ------------------------------------------------------------------------------- */

/* What is in the result of two trees of 0, 2, 4, ... and 0, 3, 6, ... */
static bool
is_in(newt_btree_op op, int64_t i)
{
    bool a = i % 2 == 0, b = i % 3 == 0;

    return op == NEWT_UNION ? a || b : op == NEWT_INTERSECTION ? a && b : a && !b;
}

static void
test_combine(void **state)
{
    int_tree_ref none = {{0}};

    (void)state;
    begin(s.a);
    for (int64_t n = 0; n <= 900; n += 300) {
        int_tree_ref a = numbers_of(s.a, n, 2, 10), b = numbers_of(s.a, n * 2 / 3, 3, 100);

        for (newt_btree_op op = NEWT_UNION; op <= NEWT_DIFFERENCE; op++) {
            int_tree_ref r = int_tree_combine(s.a, op, a, b);
            int_tree_cursor at = int_tree_range(s.a, r, NULL);

            for (int64_t i = 0; i < 2 * n; i++) {
                if (!is_in(op, i))
                    continue;
                assert_int_equal(int_tree_next(&at), 1);
                assert_int_equal(at.key, i);
                assert_int_equal(at.value, i % 2 == 0 ? 10 * i : 100 * i);
            }
            assert_int_equal(int_tree_next(&at), 0);
            check_tree(s.a, r.any, &int_tree_class);
        }
        assert_int_equal(int_tree_length(s.a, int_tree_combine(s.a, NEWT_UNION, none, b)),
                         n * 2 / 3);
        assert_int_equal(int_tree_length(s.a, int_tree_combine(s.a, NEWT_DIFFERENCE, a, none)), n);
        assert_int_equal(int_tree_length(s.a, int_tree_combine(s.a, NEWT_INTERSECTION, a, none)),
                         0);
        assert_int_equal(int_tree_length(s.a, a), n); /* they stay as they are */
    }
    commit(s.a);
}

static void
test_union_of(void **state)
{
    int_tree_ref t[6] = {{{0}}}, r;
    int64_t v;

    (void)state;
    begin(s.a);
    for (int i = 0; i < 5; i++)
        t[i] = numbers_of(s.a, 200, i + 1, i + 1);
    r = int_tree_union_of(s.a, t, 6);
    check_tree(s.a, r.any, &int_tree_class);
    assert_int_equal(int_tree_get(s.a, r, 995, &v), 1);
    assert_int_equal(v, 995 * 5);
    assert_int_equal(int_tree_get(s.a, r, 12, &v), 1);
    assert_int_equal(v, 12); /* of the first that has it */
    assert_int_equal(int_tree_has(s.a, r, 997), 0);
    assert_int_equal(int_tree_length(s.a, int_tree_union_of(s.a, t, 0)), 0);
    commit(s.a);
}

static void
test_weigh(void **state)
{
    int_tree_ref a, b, r, none, empty = {{0}};
    int64_t v;

    (void)state;
    begin(s.a);
    none = int_tree_create(s.a);
    a = numbers_of(s.a, 10, 2, 1);
    b = numbers_of(s.a, 10, 3, 10);
    r = int_tree_weigh(s.a, NEWT_UNION, a, 2, b, -1);
    assert_int_equal(int_tree_get(s.a, r, 6, &v), 1);
    assert_int_equal(v, 2 * 6 - 60);
    assert_int_equal(int_tree_get(s.a, r, 4, &v), 1);
    assert_int_equal(v, 8);
    assert_int_equal(int_tree_get(s.a, r, 9, &v), 1);
    assert_int_equal(v, -90);
    r = int_tree_weigh(s.a, NEWT_INTERSECTION, a, 0.5, b, 0.25);
    assert_int_equal(int_tree_length(s.a, r), 4); /* 0, 6, 12, 18 */
    assert_int_equal(int_tree_get(s.a, r, 18, &v), 1);
    assert_int_equal(v, 9 + 45);
    for (int64_t i = -9; i < 10; i += 2) /* halves, to the even number */
        ok(s.a, int_tree_put(s.a, a, i, i));
    r = int_tree_weigh(s.a, NEWT_UNION, a, 0.5, none, 0);
    for (int64_t i = -9; i < 10; i += 2) {
        assert_int_equal(int_tree_get(s.a, r, i, &v), 1);
        assert_true(2 * v - i == 1 || 2 * v - i == -1);
        assert_true(v % 2 == 0);
    }
    ok(s.a, int_tree_put(s.a, none, 8, 8));
    assert_true(newt_is_null(int_tree_weigh(s.a, NEWT_UNION, none, 0x1p60, empty, 0).any));
    assert_failed(s.a, NEWT_EINVAL, "out of the range"); /* 2^63 */
    newt_abort(s.a);
    begin(s.a);
    a = numbers_of(s.a, 10, 2, 1);
    b = numbers_of(s.a, 10, 3, 10);
    /* what doubles could not hold */
    ok(s.a, int_tree_put(s.a, a, 1, INT64_MAX - 1));
    r = int_tree_weigh(s.a, NEWT_UNION, a, 1, b, 1);
    assert_int_equal(int_tree_get(s.a, r, 1, &v), 1);
    assert_true(v == INT64_MAX - 1);
    assert_true(newt_is_null(int_tree_weigh(s.a, NEWT_DIFFERENCE, a, 1, b, 1).any));
    assert_failed(s.a, NEWT_EINVAL, "a difference has no weights");
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    begin(s.a);
    a = int_tree_create(s.a);
    ok(s.a, int_tree_put(s.a, a, 1, INT64_MAX - 1));
    assert_true(newt_is_null(int_tree_weigh(s.a, NEWT_UNION, a, 2, a, 0).any));
    assert_failed(s.a, NEWT_EINVAL, "out of the range");
    newt_abort(s.a);
    begin(s.a);
    {
        uint_tree_ref u = uint_tree_create(s.a), w;
        uint64_t x;

        uint_tree_put(s.a, u, 5, 7);
        w = uint_tree_weigh(s.a, NEWT_UNION, u, 0.5, u, 0);
        assert_int_equal(uint_tree_get(s.a, w, 5, &x), 1);
        assert_true(x == 4);
        uint_tree_put(s.a, u, 5, UINT64_MAX / 2);
        w = uint_tree_weigh(s.a, NEWT_UNION, u, 2, u, 0);
        assert_int_equal(uint_tree_get(s.a, w, 5, &x), 1);
        assert_true(x == UINT64_MAX - 1);
        assert_true(newt_is_null(uint_tree_weigh(s.a, NEWT_UNION, u, -1, u, 0).any));
        assert_failed(s.a, NEWT_EINVAL, "out of the range");
    }
    newt_abort(s.a);
    begin(s.a);
    {
        uint_tree_ref u = uint_tree_create(s.a);

        uint_tree_put(s.a, u, 5, 16);
        assert_true(newt_is_null(uint_tree_weigh(s.a, NEWT_UNION, u, 0x1p60, u, 0).any));
        assert_failed(s.a, NEWT_EINVAL, "out of the range"); /* 2^64 */
    }
    newt_abort(s.a);
    begin(s.a);
    {
        time_tree_ref d = time_tree_create(s.a), w;
        newt_time k = {7};
        double x;

        time_tree_put(s.a, d, k, 0.5);
        w = time_tree_weigh(s.a, NEWT_UNION, d, 3, d, 1);
        assert_int_equal(time_tree_get(s.a, w, k, &x), 1);
        assert_true(x == 2);
        date_tree_ref t = date_tree_create(s.a);
        assert_true(newt_is_null(date_tree_weigh(s.a, NEWT_UNION, t, 3, t, 1).any));
        assert_failed(s.a, NEWT_EINVAL, "no numbers of 64 bits");
    }
    newt_abort(s.a);
}

/* ---- docs/collections.md ------------------------------------------------------------------------
 */

struct booking {
    int64_t cents;
    newt_text memo;
};
NEWT_DECLARE(booking);
NEWT_CLASS(booking, "Booking", 1, NULL, NEWT_FIELD(struct booking, cents),
           NEWT_FIELD(struct booking, memo));
NEWT_DECLARE_BTREE2(ledger, newt_date, newt_ref, struct booking);
NEWT_BTREE2(ledger, "Ledger", NEWT_VALUES_OF_STRUCTS(ledger, booking));

static void
test_ledger(void **state)
{
    static const newt_class *const ledgers[] = {&ledger_class, NULL};
    newt_db *db = store_db(&s, ledgers, (newt_options){0});
    newt_conn *c = connect_(db);
    ledger_key only = {.a = {7}}, last = {.a = {0}};
    ledger_cursor at;
    ledger_ref tree;
    int n = 0;

    (void)state;
    begin(c);
    tree = ledger_create(c);
    for (int day = 0; day < 20; day++)
        for (int64_t account = 1; account <= 9; account++)
            ok(c, ledger_put(c, tree, (ledger_key){{day}, {account}},
                             (struct booking){account % 3, newt_str("tea")}));
    at = ledger_range(c, tree, &(ledger_range_of){.from = &only, .to = &only, .parts = 1});
    while (ledger_next(&at) == 1) {
        assert_int_equal(at.key.a.days, 7);
        assert_string_equal(at.value.memo.s, "tea");
        n++;
        if (at.value.cents == 0)
            ok(c, ledger_at_remove(&at));
    }
    assert_int_equal(n, 9);
    assert_int_equal(ledger_length(c, tree), 20 * 9 - 3);
    /* pages of 50, each after the last key of the one before */
    for (int page = 0; page < 4; page++) {
        at = ledger_range(c, tree,
                          &(ledger_range_of){.from = page ? &last : NULL, .after_from = true});
        for (n = 0; n < 50 && ledger_next(&at) == 1; n++)
            last = at.key;
        ledger_close(&at);
        assert_int_equal(n, page < 3 ? 50 : 177 - 150);
    }
    commit(c);
    newt_close(c);
    newt_db_close(db);
}

static const struct CMUnitTest sets[] = {
    cmocka_unit_test_setup_teardown(test_load, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_load_refused, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_combine, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_union_of, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_weigh, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_ledger, open_store, close_store),
};

int
main(void)
{
    return run_all(sets);
}
