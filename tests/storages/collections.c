/*
 * collections.c - lists, sets, maps and the named roots while others change them: what merges, what
 * is a conflict; random changes of two beside a model
 */
#include "../generate.h"
#include "stored.h"

/* A store with one of each, empty. */
typedef struct ground {
    store s;
    newt_list_ref list;
    newt_set_ref set;
    newt_map_ref map;
} ground;

static void
ground_open(ground *g, const char *name)
{
    store_open(&g->s, name);
    begin(g->s.a);
    g->list = newt_list_id(newt_list_new(g->s.a));
    g->set = newt_set_id(newt_set_new(g->s.a));
    g->map = newt_map_id(newt_map_new(g->s.a));
    commit(g->s.a);
}

static newt_ref
ref(int64_t oid)
{
    return (newt_ref){oid};
}

/* ---- one at a time --------------------------------------------------------------------------- */

static void
test_kept(void **state)
{
    const struct newt_list *l;
    const struct newt_set *s;
    const struct newt_map *m;
    newt_conn *c;
    json_t *json, *expected;
    ground g;

    (void)state;
    ground_open(&g, "kept");
    begin(g.s.a);
    ok(g.s.a, newt_list_append(newt_list_write(g.s.a, g.list), ref(300)));
    ok(g.s.a, newt_list_append(newt_list_write(g.s.a, g.list), ref(5)));
    assert_true(newt_set_add(newt_set_write(g.s.a, g.set), ref(300)));
    assert_true(newt_set_add(newt_set_write(g.s.a, g.set), ref(5)));
    assert_false(newt_set_add(newt_set_write(g.s.a, g.set), ref(300)));
    ok(g.s.a, newt_map_put(newt_map_write(g.s.a, g.map), "k", ref(5)));
    commit(g.s.a);
    begin(g.s.b);
    l = newt_list_read(g.s.b, g.list);
    s = newt_set_read(g.s.b, g.set);
    m = newt_map_read(g.s.b, g.map);
    assert_true(l && s && m);
    assert_int_equal(newt_list_get(l, 1).oid, 5);
    assert_true(newt_set_has(s, ref(5)) && newt_set_has(s, ref(300)) && !newt_set_has(s, ref(6)));
    assert_true(newt_map_has(m, "k") && !newt_map_has(m, "l"));
    newt_abort(g.s.b);
    json = newt_bag_state(stored(g.s.db, g.set.any, &c));
    expected = json_loads("{\"items\": {\"::set\": [{\"::=>\": 5}, {\"::=>\": 300}]}}", 0, NULL);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
    newt_close(c);
    assert_sql(g.s.pg, "[{\"::=>\": 5}, {\"::=>\": 300}]",
               "SELECT state->'items' FROM newt WHERE class_name = 'newt.Set'");
    begin(g.s.a);
    assert_true(newt_set_remove(newt_set_write(g.s.a, g.set), ref(5)));
    ok(g.s.a, newt_list_clear(newt_list_write(g.s.a, g.list)));
    ok(g.s.a, newt_map_clear(newt_map_write(g.s.a, g.map)));
    commit(g.s.a);
    begin(g.s.b);
    assert_int_equal(newt_set_read(g.s.b, g.set)->items.n, 1);
    assert_int_equal(newt_list_read(g.s.b, g.list)->items.n, 0);
    assert_int_equal(newt_map_read(g.s.b, g.map)->items.n, 0);
    newt_abort(g.s.b);
    store_close(&g.s);
}

/* Different keys, elements and names: both commit. */
static void
test_merged(void **state)
{
    newt_conn *c[2];
    ground g;

    (void)state;
    ground_open(&g, "merged");
    c[0] = g.s.a;
    c[1] = g.s.b;
    begin(g.s.a);
    ok(g.s.a, newt_map_put(newt_map_write(g.s.a, g.map), "old", ref(1)));
    assert_true(newt_set_add(newt_set_write(g.s.a, g.set), ref(1)));
    ok(g.s.a, newt_set_root(g.s.a, "old", ref(1)));
    commit(g.s.a);
    for (int i = 0; i < 2; i++) {
        char name[8];

        snprintf(name, sizeof name, "of %d", i);
        begin(c[i]);
        ok(c[i], newt_map_put(newt_map_write(c[i], g.map), name, ref(10 + i)));
        assert_true(newt_set_add(newt_set_write(c[i], g.set), ref(10 + i)));
        ok(c[i], newt_set_root(c[i], name, ref(10 + i)));
    }
    assert_true(newt_map_remove(newt_map_write(c[1], g.map), "old"));
    assert_true(newt_set_remove(newt_set_write(c[1], g.set), ref(1)));
    ok(c[1], newt_set_root(c[1], "old", ref(0)));
    commit(c[0]);
    commit(c[1]);
    assert_int_equal(stats_of(c[1]).merges, 3);
    for (int i = 0; i < 2; i++) {
        const struct newt_map *m;
        const struct newt_set *s;

        begin(c[i]);
        m = newt_map_read(c[i], g.map);
        s = newt_set_read(c[i], g.set);
        assert_int_equal(m->items.n, 2);
        assert_int_equal(newt_map_get(m, "of 0").oid, 10);
        assert_int_equal(newt_map_get(m, "of 1").oid, 11);
        assert_int_equal(s->items.n, 2);
        assert_true(newt_set_has(s, ref(10)) && newt_set_has(s, ref(11)));
        assert_int_equal(newt_root(c[i], "of 0").oid, 10);
        assert_int_equal(newt_root(c[i], "of 1").oid, 11);
        assert_int_equal(newt_root(c[i], "old").oid, 0);
        newt_abort(c[i]);
    }
    store_close(&g.s);
}

/* Cleared here, what others have added meanwhile is left. */
static void
test_cleared(void **state)
{
    const struct newt_map *m;
    const struct newt_set *s;
    ground g;

    (void)state;
    ground_open(&g, "cleared");
    begin(g.s.a);
    ok(g.s.a, newt_map_put(newt_map_write(g.s.a, g.map), "a", ref(1)));
    assert_true(newt_set_add(newt_set_write(g.s.a, g.set), ref(1)));
    commit(g.s.a);
    begin(g.s.a);
    begin(g.s.b);
    ok(g.s.a, newt_map_clear(newt_map_write(g.s.a, g.map)));
    ok(g.s.a, newt_set_clear(newt_set_write(g.s.a, g.set)));
    ok(g.s.b, newt_map_put(newt_map_write(g.s.b, g.map), "b", ref(2)));
    assert_true(newt_set_add(newt_set_write(g.s.b, g.set), ref(2)));
    commit(g.s.b);
    commit(g.s.a);
    begin(g.s.a);
    m = newt_map_read(g.s.a, g.map);
    s = newt_set_read(g.s.a, g.set);
    assert_true(m->items.n == 1 && newt_map_get(m, "b").oid == 2);
    assert_true(s->items.n == 1 && newt_set_has(s, ref(2)));
    newt_abort(g.s.a);
    store_close(&g.s);
}

/* What two do with one key, of which "a" and "b" are there: put a number, or (0) remove it. */
static void
test_conflicts(void **state)
{
    static const struct {
        const char *key;
        int64_t first, second;
    } cases[] = {
        {"a", 10, 11}, /* changed by both */
        {"a", 10, 10}, /* alike */
        {"a", 10, 0},  /* changed, and removed */
        {"a", 0, 10},  /* removed, and changed */
        {"a", 0, 0},   /* removed by both */
        {"c", 10, 11}, /* added by both */
        {"c", 10, 10}, /* alike */
    };
    newt_conn *c[2];
    ground g;

    (void)state;
    ground_open(&g, "conflicts");
    c[0] = g.s.a;
    c[1] = g.s.b;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(c[0]);
        ok(c[0], newt_map_clear(newt_map_write(c[0], g.map)));
        ok(c[0], newt_map_put(newt_map_write(c[0], g.map), "a", ref(1)));
        ok(c[0], newt_map_put(newt_map_write(c[0], g.map), "b", ref(2)));
        commit(c[0]);
        for (int k = 0; k < 2; k++) {
            int64_t oid = k ? cases[i].second : cases[i].first;
            struct newt_map *m;

            begin(c[k]);
            m = newt_map_write(c[k], g.map);
            if (oid)
                ok(c[k], newt_map_put(m, cases[i].key, ref(oid)));
            else
                assert_true(newt_map_remove(m, cases[i].key));
        }
        commit(c[0]);
        assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
        assert_string_equal(newt_error_conflict(newt_conn_error(c[1]), 0)->class_name, "newt.Map");
    }
    /* an element that both add, or both remove */
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            struct newt_set *s;

            begin(c[k]);
            s = newt_set_write(c[k], g.set);
            assert_true((i ? newt_set_remove : newt_set_add)(s, ref(7)));
        }
        commit(c[0]);
        assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
    }
    /* a name */
    for (int k = 0; k < 2; k++) {
        begin(c[k]);
        ok(c[k], newt_set_root(c[k], "name", ref(10 + k)));
    }
    commit(c[0]);
    assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(c[1]), 0)->object.oid, 1);
    /* a list, whatever is done to it */
    for (int k = 0; k < 2; k++) {
        begin(c[k]);
        ok(c[k], newt_list_append(newt_list_write(c[k], g.list), ref(10 + k)));
    }
    commit(c[0]);
    assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
    /* a map that others have removed */
    for (int k = 0; k < 2; k++)
        begin(c[k]);
    ok(c[1], newt_map_put(newt_map_write(c[1], g.map), "z", ref(1)));
    ok(c[0], newt_delete(c[0], g.map.any));
    commit(c[0]);
    assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
    store_close(&g.s);
}

/* ---- many at once ------------------------------------------------------------------------------
 */

enum {
    THREADS = 4,
    PUTS = 20
};

typedef struct putting {
    pthread_t thread;
    newt_db *db;
    const ground *g;
    int number, done, status;
} putting;

static int
put_one(newt_conn *c, void *arg)
{
    putting *x = arg;
    struct newt_map *m = newt_map_write(c, x->g->map);
    struct newt_set *s = newt_set_write(c, x->g->set);
    char key[24];

    if (!m || !s)
        return newt_status(c);
    snprintf(key, sizeof key, "%d/%d", x->number, x->done);
    newt_map_put(m, key, ref(1));
    newt_set_add(s, ref(1 + x->number * PUTS + x->done));
    return NEWT_OK;
}

static void *
put_all(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    putting *x = arg;
    newt_conn *c;

    x->status = newt_connect(x->db, &c);
    for (; x->done < PUTS && x->status == NEWT_OK; x->done++)
        x->status = newt_transact(c, put_one, x, &patient);
    newt_close(c);
    return NULL;
}

static void
test_threads(void **state)
{
    putting all[THREADS];
    ground g;

    (void)state;
    ground_open(&g, "threads");
    for (int i = 0; i < THREADS; i++) {
        all[i] = (putting){.db = g.s.db, .g = &g, .number = i};
        assert_int_equal(pthread_create(&all[i].thread, NULL, put_all, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(all[i].thread, NULL);
        assert_int_equal(all[i].status, NEWT_OK);
    }
    newt__cache_clear(&g.s.a->jar);
    begin(g.s.a);
    assert_int_equal(newt_map_read(g.s.a, g.map)->items.n, THREADS * PUTS);
    assert_int_equal(newt_set_read(g.s.a, g.set)->items.n, THREADS * PUTS);
    newt_abort(g.s.a);
    store_close(&g.s);
}

/* ---- at random, beside a model -----------------------------------------------------------------
 */

enum {
    KEYS = 8,
    ROUNDS = 150
};

/* What is at each key; 0: nothing. A set has an element, or not. */
typedef struct content {
    int64_t map[KEYS], set[KEYS], roots[KEYS];
} content;

static const char *
key_of(int i)
{
    static const char *const keys[KEYS] = {"a", "b", "c", "::", "ö", "aa", "ab", "a longer one"};

    return keys[i];
}

static void
change_one(generate *r, newt_conn *c, const ground *g, content *x)
{
    int i = (int)generate_below(r, KEYS);
    int64_t oid = (int64_t)generate_below(r, 4);
    struct newt_map *m;
    struct newt_set *s;

    switch (generate_below(r, 3)) {
    case 0:
        m = newt_map_write(c, g->map);
        assert_non_null(m);
        if (oid)
            ok(c, newt_map_put(m, key_of(i), ref(oid)));
        else
            assert_int_equal(newt_map_remove(m, key_of(i)), x->map[i] != 0);
        x->map[i] = oid;
        break;
    case 1:
        s = newt_set_write(c, g->set);
        assert_non_null(s);
        assert_int_equal(newt_set_has(s, ref(20 + i)), x->set[i]);
        if (oid)
            assert_int_equal(newt_set_add(s, ref(20 + i)), !x->set[i]);
        else
            assert_int_equal(newt_set_remove(s, ref(20 + i)), x->set[i]);
        x->set[i] = oid != 0;
        break;
    default: ok(c, newt_set_root(c, key_of(i), ref(oid))); x->roots[i] = oid;
    }
}

/* False: both have changed the same. */
static bool
merge(const int64_t *old, const int64_t *first, const int64_t *second, int64_t *merged)
{
    for (int i = 0; i < KEYS; i++) {
        if (first[i] != old[i] && second[i] != old[i])
            return false;
        merged[i] = first[i] != old[i] ? first[i] : second[i];
    }
    return true;
}

static void
check(newt_conn *c, const ground *g, const content *x)
{
    const struct newt_map *m;
    const struct newt_set *s;
    uint32_t in_map = 0, in_set = 0;

    begin(c);
    m = newt_map_read(c, g->map);
    s = newt_set_read(c, g->set);
    assert_true(m && s);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(newt_map_get(m, key_of(i)).oid, x->map[i]);
        assert_int_equal(newt_set_has(s, ref(20 + i)), x->set[i]);
        assert_int_equal(newt_root(c, key_of(i)).oid, x->roots[i]);
        in_map += x->map[i] != 0;
        in_set += x->set[i] != 0;
    }
    assert_int_equal(m->items.n, in_map);
    assert_int_equal(s->items.n, in_set);
    newt_abort(c);
}

static void
test_random(void **state)
{
    int merges = 0, conflicts = 0;
    content old = {.map = {0}};
    generate r;
    ground g;

    (void)state;
    generate_init(&r, generate_seed());
    ground_open(&g, "random");
    for (int round = 0; round < ROUNDS; round++) {
        newt_conn *c[2] = {g.s.a, g.s.b};
        content x[2] = {old, old}, merged = old;

        for (int k = 0; k < 2; k++) {
            begin(c[k]);
            for (uint64_t n = 1 + generate_below(&r, 4); n > 0; n--)
                change_one(&r, c[k], &g, &x[k]);
        }
        commit(c[0]);
        if (merge(old.map, x[0].map, x[1].map, merged.map) &&
            merge(old.set, x[0].set, x[1].set, merged.set) &&
            merge(old.roots, x[0].roots, x[1].roots, merged.roots)) {
            commit(c[1]);
            old = merged;
            merges++;
        } else {
            assert_int_equal(newt_commit(c[1]), NEWT_ECONFLICT);
            old = x[0];
            conflicts++;
        }
        for (int k = 0; k < 2; k++)
            check(c[k], &g, &old);
    }
    print_message("# %d merged, %d conflicts\n", merges, conflicts);
    assert_true(merges > 0 && conflicts > 0);
    store_close(&g.s);
}

static const struct CMUnitTest collections[] = {
    cmocka_unit_test(test_cleared),   cmocka_unit_test(test_kept),    cmocka_unit_test(test_merged),
    cmocka_unit_test(test_conflicts), cmocka_unit_test(test_threads), cmocka_unit_test(test_random),
};

int
main(void)
{
    return run_all(collections);
}
