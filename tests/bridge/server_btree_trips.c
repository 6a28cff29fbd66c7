/*
 * server_btree_trips.c - how often the server is asked when nothing of a tree is in the cache
 */
#include "server.h"

NEWT_DECLARE_BTREE(names, newt_text, int64_t);
NEWT_BTREE(names, "Names", NEWT_VALUES(names));
static const newt_class *const tree_classes[] = {&names_class, NULL};

enum {
    N = 100000,
    MANY = 1000
};

typedef struct entries {
    int64_t i;
    char key[32];
} entries;

static newt_text
key_of(char text[32], int64_t i)
{
    return newt_strn(text, (size_t)snprintf(text, 32, "entry %010lld", (long long)i));
}

static int
next(void *arg, newt_text *key, int64_t *value)
{
    entries *e = arg;

    if (e->i == N)
        return 0;
    *key = key_of(e->key, e->i);
    *value = e->i++;
    return 1;
}

static newt_db *
make(store *s, names_ref *tree)
{
    entries e = {0};
    newt_conn *c;

    store_make(s, "trips");
    s->db = store_db(s, tree_classes, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
    c = connect_(s->db);
    begin(c);
    *tree = names_create(c);
    ok(c, names_load(c, *tree, next, &e));
    commit(c);
    newt_close(c);
    return store_db(s, tree_classes, (newt_options){0});
}

static int64_t
trips(newt_conn *c)
{
    newt_stats x = {.size = sizeof x};

    newt_conn_stats(c, &x);
    return x.round_trips;
}

/* Levels: a root, inner nodes, leaves. */
enum {
    HEIGHT = 3
};

static void
test_lookup(void **state)
{
    names_ref tree;
    store s;
    newt_db *db = make(&s, &tree);
    newt_conn *c = connect_(db);
    int64_t before = trips(c), v;
    char text[32];

    (void)state;
    begin(c);
    assert_int_equal(names_get(c, tree, key_of(text, 77777), &v), 1);
    assert_int_equal(v, 77777);
    assert_in_range(trips(c) - before, HEIGHT - 1, HEIGHT + 1);
    before = trips(c);
    assert_int_equal(names_get(c, tree, key_of(text, 77778), &v), 1);
    assert_int_equal(trips(c), before);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

static void
test_many(void **state)
{
    static char texts[MANY][32];
    static newt_text keys[MANY];
    static int64_t values[MANY];
    static bool found[MANY];
    names_ref tree;
    store s;
    newt_db *db = make(&s, &tree);
    newt_conn *c = connect_(db);
    int64_t before = trips(c);

    (void)state;
    for (int64_t i = 0; i < MANY; i++)
        keys[i] = key_of(texts[i], i * 7919 % (N + N / 10));
    begin(c);
    assert_in_range(names_get_many(c, tree, keys, MANY, values, found), MANY / 2, MANY);
    assert_in_range(trips(c) - before, HEIGHT - 1, HEIGHT + 1);
    for (int64_t i = 0; i < MANY; i++) {
        int64_t expected = i * 7919 % (N + N / 10);

        assert_int_equal(found[i], expected < N);
        assert_true(!found[i] || values[i] == expected);
    }
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* All entries, both ways, and a small range, of which no more is loaded than it takes. */
static void
test_scan(void **state)
{
    char first[32], last[32];
    newt_text from = key_of(first, 5000), to = key_of(last, 5009);
    newt_stats x = {.size = sizeof x};
    names_ref tree;
    store s;
    newt_db *db = make(&s, &tree);

    (void)state;
    for (int down = 0; down < 2; down++) {
        newt_db *cold = down ? store_db(&s, tree_classes, (newt_options){0}) : db;
        newt_conn *c = connect_(cold);
        names_cursor at;
        int64_t before, loads, n = 0;

        newt_conn_stats(c, &x);
        loads = x.loads;
        before = trips(c);
        begin(c);
        at = names_range(c, tree,
                         &(names_range_of){.from = &from, .to = &to, .descending = down == 1});
        while (names_next(&at) == 1)
            n++;
        assert_int_equal(n, 10);
        newt_conn_stats(c, &x);
        assert_in_range(x.loads - loads, HEIGHT, HEIGHT + 1);
        assert_in_range(trips(c) - before, HEIGHT - 1, HEIGHT + 2);
        newt_abort(c);
        begin(c);
        before = trips(c);
        n = 0;
        at = names_range(c, tree, &(names_range_of){.descending = down == 1});
        while (names_next(&at) == 1)
            n++;
        assert_int_equal(n, N);
        /* some 700 leaves */
        assert_in_range(trips(c) - before, 5, 40);
        newt_conn_stats(c, &x);
        print_message("# %lld round trips, %lld nodes\n", (long long)(trips(c) - before),
                      (long long)x.loads);
        newt_close(c);
        newt_db_close(cold);
    }
    store_close(&s);
}

/* An insert into a cached tree goes with the commit, and a cold one needs the way to its leaf. */
static void
test_insert(void **state)
{
    names_ref tree;
    store s;
    newt_db *db = make(&s, &tree);
    newt_conn *c = connect_(db);
    char text[32];
    int64_t before;

    (void)state;
    begin(c);
    before = trips(c);
    ok(c, names_put(c, tree, key_of(text, N + 1), 1));
    assert_in_range(trips(c) - before, HEIGHT - 1, HEIGHT + 1);
    commit(c);
    begin(c);
    before = trips(c);
    ok(c, names_put(c, tree, key_of(text, N + 2), 1));
    commit(c);
    assert_in_range(trips(c) - before, 1, 2);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

static const struct CMUnitTest btree_trips[] = {
    cmocka_unit_test(test_lookup),
    cmocka_unit_test(test_many),
    cmocka_unit_test(test_scan),
    cmocka_unit_test(test_insert),
};

int
main(void)
{
    return run_all(btree_trips);
}
