/*
 * btree_sets.c - trees loaded from sorted entries, and made of others; limits and misuse
 */
#include "trees.h"

#include "../../bridge/btree/btree.h"

typedef struct numbers {
    int64_t i, n, step, factor;
    int64_t fail_at, status; /* entry at which the source gives this status; or 0 */
} numbers;

static int
next_number(void *arg, int64_t *key, int64_t *value)
{
    numbers *x = arg;

    if (x->fail_at && x->i == x->fail_at)
        return (int)x->status;
    if (x->i == x->n)
        return 0;
    *key = x->i * x->step;
    *value = *key * x->factor;
    x->i++;
    return 1;
}

/* A tree of n numbers, 0, step, 2 step, ..., with values factor times as large. */
static int_tree_ref
numbers_of(newt_conn *c, int64_t n, int64_t step, int64_t factor)
{
    numbers x = {.n = n, .step = step, .factor = factor};
    int_tree_ref tree = int_tree_create(c);

    ok(c, int_tree_load(c, tree, next_number, &x));
    return tree;
}

static void
assert_failed(newt_conn *c, int status, const char *words)
{
    const newt_error *e = newt_conn_error(c);

    if (newt_error_status(e) != status || !strstr(newt_error_message(e), words))
        fail_msg("\"%s\" (%d) and not \"%s\"", newt_error_message(e), newt_error_status(e), words);
}

static store s;
static int lost; /* new objects that nothing refers to */

static void
note_lost(const newt_error *e, void *arg)
{
    (void)e, (void)arg;
    lost++;
}

static int
open_store(void **state)
{
    (void)state;
    store_make(&s, "sets");
    s.db = store_db(&s, trees, (newt_options){.debug = true, .notice = note_lost});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    return 0;
}

static int
close_store(void **state)
{
    (void)state;
    store_close(&s);
    return 0;
}

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

/* ---- limits and misuse ------------------------------------------------------------------------
 */

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

static const struct CMUnitTest sets[] = {
    cmocka_unit_test_setup_teardown(test_load, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_load_refused, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_combine, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_union_of, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_weigh, open_store, close_store),
    cmocka_unit_test_setup_teardown(test_ledger, open_store, close_store),
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
    return run_all(sets);
}
