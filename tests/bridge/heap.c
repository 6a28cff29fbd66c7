/*
 * heap.c - what a store in memory keeps: versions as long as a snapshot can see them, and no longer
 */
#include "offline.h"

#include "../../bridge/memory/heap.h"

enum {
    OIDS = 20,
    VIEWS = 6,
    STEPS = 20000,
    FIRST = 2000 /* oid */
};

/* What stands at a transaction: serials; 0: there is no object. */
typedef struct shot {
    int64_t tid, serials[OIDS];
} shot;

static void
put(newt__heap *h, generate *g, shot *now)
{
    newt__version *versions[OIDS];
    newt__logged *entry = calloc(1, sizeof *entry + OIDS * sizeof *entry->oids);
    size_t n = 0;

    for (int i = 0; i < OIDS; i++) {
        newt__version *v;

        if (generate_below(g, 4))
            continue;
        v = calloc(1, sizeof *v + 8);
        v->oid = FIRST + i;
        v->removed = now->serials[i] && generate_below(g, 3) == 0;
        v->n = v->removed ? 0 : 8;
        entry->oids[n] = v->oid;
        versions[n++] = v;
    }
    entry->n = n;
    for (size_t i = 0; i < n; i++) /* before the heap has them: it frees what nobody can see */
        now->serials[versions[i]->oid - FIRST] = versions[i]->removed ? 0 : h->serial + 1;
    assert_true(newt__heap_reserve(h, n));
    newt__heap_put(h, entry, versions);
    assert_true(h->tid > now->tid);
    now->tid = h->tid;
}

/* Every version that is kept can be seen now, or in a view; or it is a removal that hides others.
 */
static void
check_kept(const newt__heap *h, const newt__view *views)
{
    for (size_t i = 0; i < h->cap; i++) {
        int64_t before = INT64_MAX;

        for (const newt__version *v = h->places[i].newest; v; v = v->older) {
            bool seen = before == INT64_MAX && (!v->removed || v->older);

            assert_true(v->tid < before);
            for (int k = 0; k < VIEWS; k++) /* from v->tid on, until `before` */
                seen |= views[k].tid >= v->tid && views[k].tid < before;
            if (!seen)
                fail_msg("object %lld is kept as of %lld, which nobody can see", (long long)v->oid,
                         (long long)v->tid);
            before = v->tid;
        }
    }
}

static void
test_versions(void **state)
{
    newt__view views[VIEWS] = {{0}};
    shot now = {0}, shots[VIEWS];
    newt_error e = {0};
    newt__heap *h;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    assert_int_equal(newt__heap_new(&h, &e), NEWT_OK);
    for (int step = 0; step < STEPS; step++) {
        int k = (int)generate_below(&g, VIEWS);

        if (generate_below(&g, 3)) {
            put(h, &g, &now);
        } else if (views[k].tid) {
            newt__heap_close(h, &views[k]);
        } else {
            newt__heap_open(h, &views[k]);
            shots[k] = now;
            shots[k].tid = h->tid;
        }
        for (int i = 0; i < OIDS; i++) {
            const newt__version *v = newt__heap_now(h, FIRST + i);

            assert_int_equal(v ? v->serial : 0, now.serials[i]);
            for (int j = 0; j < VIEWS; j++) {
                if (!views[j].tid)
                    continue;
                assert_int_equal(views[j].tid, shots[j].tid);
                v = newt__heap_at(h, FIRST + i, views[j].tid);
                assert_int_equal(v ? v->serial : 0, shots[j].serials[i]);
            }
        }
        check_kept(h, views);
    }
    for (int k = 0; k < VIEWS; k++)
        newt__heap_close(h, &views[k]);
    check_kept(h, views);
    assert_null(h->oldest);
    newt__heap_free(h);
}

/* What was changed since: listed as long as it is known and not too much. */
static void
test_changes(void **state)
{
    int64_t *list = NULL, first;
    newt_error e = {0};
    shot now = {0};
    size_t n;
    bool memory;
    newt__heap *h;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    assert_int_equal(newt__heap_new(&h, &e), NEWT_OK);
    first = h->tid;
    assert_true(newt__heap_changes(h, first, 10, &list, &n, &memory));
    assert_int_equal(n, 0);
    /* before all: the root */
    assert_true(newt__heap_changes(h, 0, 10, &list, &n, &memory));
    assert_int_equal(n, 1);
    assert_int_equal(list[0], 1);
    for (int i = 0; i < 5000; i++) {
        int64_t before = h->tid;

        put(h, &g, &now);
        assert_true(newt__heap_changes(h, before, 100, &list, &n, &memory));
        for (size_t k = 0; k < n; k++)
            assert_int_equal(newt__heap_now(h, list[k]) ? newt__heap_now(h, list[k])->tid : h->tid,
                             h->tid);
        assert_true(newt__heap_changes(h, h->tid, 0, &list, &n, &memory));
        if (n == 0 && i == 100)
            assert_false(newt__heap_changes(h, first, 10, &list, &n, &memory)); /* too many */
    }
    assert_false(newt__heap_changes(h, first, SIZE_MAX, &list, &n, &memory)); /* forgotten */
    assert_true(memory);
    assert_true(h->n_log < 5000 && h->log_bytes <= 3 << 20);
    free(list);
    newt__heap_free(h);
}

/* Places of a table that grows and shrinks. */
static void
test_places(void **state)
{
    enum {
        MANY = 5000
    };
    newt_error e = {0};
    newt__heap *h;

    (void)state;
    assert_int_equal(newt__heap_new(&h, &e), NEWT_OK);
    for (int removed = 0; removed < 2; removed++) {
        for (int i = 0; i < MANY; i++) {
            newt__version *v = calloc(1, sizeof *v);
            newt__logged *entry = calloc(1, sizeof *entry + sizeof *entry->oids);

            v->oid = FIRST + (int64_t)i * 64;
            v->removed = removed;
            entry->n = 1;
            entry->oids[0] = v->oid;
            assert_true(newt__heap_reserve(h, 1));
            newt__heap_put(h, entry, &v);
            assert_int_equal(h->n, removed ? MANY - i : i + 2);
            for (int k = 0; k < 20; k++) {
                int j = (i * 7 + k * 251) % MANY;
                bool there = removed ? j > i : j <= i;

                assert_true((newt__heap_now(h, FIRST + (int64_t)j * 64) != NULL) == there);
            }
        }
    }
    assert_int_equal(h->n, 1); /* the root */
    newt__heap_free(h);
}

static const struct CMUnitTest heap[] = {
    cmocka_unit_test(test_versions),
    cmocka_unit_test(test_changes),
    cmocka_unit_test(test_places),
};

int
main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(heap, NULL, NULL);
}
