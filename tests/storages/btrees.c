/*
 * btrees.c - trees at random, beside an array of what they should hold
 *
 * One tree of each kind. Operations, savepoints, rollbacks, aborts and commits are mixed, with a
 * cache that holds a few nodes; every answer is held to the model's.
 */
#include "trees.h"
#include "../brief.h"

enum {
    KEYS = 1000, /* of which each may be there */
    SAVEPOINTS = 4,
    ABSENT = -1
};

typedef struct model {
    int64_t v[KEYS]; /* the number of the value; ABSENT */
} model;

typedef struct run {
    const kind *x;
    store s;
    newt_db *small;
    newt_conn *c, *beside;
    newt_ref tree;
    chance random;
    model committed, now, saved[SAVEPOINTS];
    int64_t savepoints[SAVEPOINTS];
    int n_savepoints;
    int64_t operations, commits, rollbacks, cursors;
} run;

#define must(r, condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s, operation %lld: %s (%s)", (r)->x->k->name, (long long)(r)->operations,   \
                     #condition, newt_error_message(newt_conn_error((r)->c)));                     \
    } while (0)

static int64_t
length_of(const model *m)
{
    int64_t n = 0;

    for (int i = 0; i < KEYS; i++)
        n += m->v[i] != ABSENT;
    return n;
}

/* The first (descending: last) number that is there from i on. */
static int
next_of(const model *m, int i, int to, bool descending)
{
    if (descending) {
        for (; i >= to; i--)
            if (m->v[i] != ABSENT)
                return i;
    } else {
        for (; i <= to; i++)
            if (m->v[i] != ABSENT)
                return i;
    }
    return -1;
}

/* ---- operations ------------------------------------------------------------------------------ */

static void
do_get(run *r, int i)
{
    any k, v;
    int found;

    memset(&v, 0, sizeof v);
    r->x->key(&k, i);
    found = newt_btree_get(r->c, r->tree, r->x->k, &k, &v);
    must(r, found == (r->now.v[i] != ABSENT));
    must(r, !found || is_value(r->x, &v, r->now.v[i]));
}

static void
do_get_many(run *r)
{
    enum {
        MANY = 30
    };
    static char keys[MANY * 64], values[MANY * sizeof(any)];
    static any memory[MANY];
    size_t key_size = newt__class_find(r->small->classes, r->x->k)->tree->key_size;
    int which[MANY], n = pick(&r->random, MANY), expected = 0;
    bool found[MANY];

    for (int i = 0; i < n; i++) {
        which[i] = pick(&r->random, KEYS);
        r->x->key(&memory[i], which[i]);
        memcpy(keys + (size_t)i * key_size, &memory[i], key_size);
        expected += r->now.v[which[i]] != ABSENT;
    }
    must(r,
         newt_btree_get_many(r->c, r->tree, r->x->k, keys, (size_t)n, values, found) == expected);
    for (int i = 0; i < n; i++) {
        any v;

        must(r, found[i] == (r->now.v[which[i]] != ABSENT));
        memcpy(&v, values + (size_t)i * r->x->value_size, r->x->value_size);
        must(r, !found[i] || is_value(r->x, &v, r->now.v[which[i]]));
    }
}

static void
do_put(run *r, int i, bool replace)
{
    int64_t number = pick(&r->random, 400);
    any k, v;
    int status;

    r->x->key(&k, i);
    if (r->x->value)
        r->x->value(&v, number);
    else
        number = 0;
    if (replace && r->x->value) {
        must(r, newt_btree_put(r->c, r->tree, r->x->k, &k, &v) == NEWT_OK);
        r->now.v[i] = number;
        return;
    }
    status = newt_btree_insert(r->c, r->tree, r->x->k, &k, &v);
    must(r, status == (r->now.v[i] == ABSENT));
    if (status == 1)
        r->now.v[i] = number;
}

static void
do_remove(run *r, int i)
{
    any k, v;
    int found;

    r->x->key(&k, i);
    found = newt_btree_pop(r->c, r->tree, r->x->k, &k, &v);
    must(r, found == (r->now.v[i] != ABSENT));
    must(r, !found || is_value(r->x, &v, r->now.v[i]));
    r->now.v[i] = ABSENT;
}

static void
do_end(run *r, bool last, bool take)
{
    int i = next_of(&r->now, last ? KEYS - 1 : 0, last ? 0 : KEYS - 1, last);
    any k, v;
    int found = newt_btree_end(r->c, r->tree, r->x->k, last, take, &k, &v);

    must(r, found == (i >= 0));
    if (!found)
        return;
    must(r, is_key(r->x, &k, i) && is_value(r->x, &v, r->now.v[i]));
    if (take)
        r->now.v[i] = ABSENT;
}

/* How many numbers in a row have keys whose first parts are the same. */
static int
same_parts(const kind *x, int parts)
{
    if (x->key == pair_key)
        return 7;
    if (x->key == triple_key)
        return parts == 1 ? 25 : 5;
    return 3;
}

/* A range, with changes through the cursor and beside it. */
static void
do_range(run *r, bool changes)
{
    int from = pick(&r->random, KEYS), to = pick(&r->random, KEYS), at, begin, end;
    newt_btree_range range = {.descending = pick(&r->random, 2)};
    newt_btree_cursor cursor;
    any low, high, k, v;
    int status, most = pick(&r->random, 8) ? pick(&r->random, 60) : KEYS, n = 1;
    uint32_t parts = newt__class_find(r->small->classes, r->x->k)->tree->n_keys;

    if (from > to) {
        at = from;
        from = to;
        to = at;
    }
    r->x->key(&low, from);
    r->x->key(&high, to);
    if (pick(&r->random, 4)) {
        range.from = &low;
        range.after_from = pick(&r->random, 2);
    }
    if (pick(&r->random, 4)) {
        range.to = &high;
        range.before_to = pick(&r->random, 2);
    }
    if (parts > 1 && pick(&r->random, 2)) {
        range.parts = (uint8_t)(1 + pick(&r->random, (int)parts - 1));
        n = same_parts(r->x, range.parts);
    }
    begin = !range.from ? 0 : (from / n + range.after_from) * n;
    end = !range.to ? KEYS - 1 : (to / n + !range.before_to) * n - 1;
    end = end < KEYS ? end : KEYS - 1;
    cursor = newt_btree_open(r->c, r->tree, r->x->k, &range);
    at = range.descending ? end : begin;
    r->cursors++;
    while ((status = newt_btree_next(&cursor, &k, &v)) == 1) {
        at = next_of(&r->now, at, range.descending ? begin : end, range.descending);
        must(r, at >= 0 && is_key(r->x, &k, at) && is_value(r->x, &v, r->now.v[at]));
        if (changes && !pick(&r->random, 4)) {
            must(r, newt_btree_cursor_remove(&cursor, &k) == NEWT_OK);
            r->now.v[at] = ABSENT;
        } else if (changes && r->x->value && !pick(&r->random, 4)) {
            int64_t number = pick(&r->random, 400);

            r->x->value(&v, number);
            must(r, newt_btree_cursor_put(&cursor, &k, &v) == NEWT_OK);
            r->now.v[at] = number;
        } else if (changes && !pick(&r->random, 6)) {
            do_put(r, pick(&r->random, KEYS), true);
        } else if (changes && !pick(&r->random, 6)) {
            do_remove(r, pick(&r->random, KEYS));
        }
        at += range.descending ? -1 : 1;
        if (most-- == 0) {
            newt_btree_close(&cursor);
            return;
        }
    }
    must(r, status == 0);
    must(r, next_of(&r->now, at, range.descending ? begin : end, range.descending) < 0);
}

/* ---- transactions --------------------------------------------------------------------------- */

static void
do_savepoint(run *r)
{
    if (r->n_savepoints == SAVEPOINTS)
        return;
    ok(r->c, newt_savepoint(r->c, &r->savepoints[r->n_savepoints]));
    r->saved[r->n_savepoints++] = r->now;
}

static void
do_rollback(run *r)
{
    int to;

    if (r->n_savepoints == 0)
        return;
    to = pick(&r->random, r->n_savepoints);
    ok(r->c, newt_rollback_to(r->c, r->savepoints[to]));
    r->now = r->saved[to];
    r->n_savepoints = to + 1;
    r->rollbacks++;
}

static void
do_finish(run *r, bool committed)
{
    if (committed) {
        ok(r->c, newt_commit(r->c));
        r->committed = r->now;
        r->commits++;
    } else {
        newt_abort(r->c);
        r->now = r->committed;
    }
    r->n_savepoints = 0;
    if (!pick(&r->random, 5)) { /* another connection, with a cache of its own */
        newt_conn *next = r->beside;

        r->beside = r->c;
        r->c = next;
    }
    begin(r->c);
}

static void
operate(run *r)
{
    /* grows for a while, then shrinks */
    bool grows = r->operations / 3000 % 2 == 0;
    int what = pick(&r->random, 200), i = pick(&r->random, KEYS);

    if (r->operations / 1000 % 3 == 1) /* in order, too */
        i = (int)(r->operations % KEYS);
    r->operations++;
    if (what < 80)
        grows ? do_put(r, i, what % 2) : do_remove(r, i);
    else if (what < 110)
        grows ? do_remove(r, i) : do_put(r, i, what % 2);
    else if (what < 160)
        do_get(r, i);
    else if (what < 165)
        do_end(r, what % 2, false);
    else if (what < 170)
        do_end(r, what % 2, true);
    else if (what < 175)
        do_get_many(r);
    else if (what < 180)
        do_range(r, what % 2);
    else if (what < 184)
        must(r, newt_btree_length(r->c, r->tree, r->x->k) == length_of(&r->now));
    else if (what < 187)
        do_savepoint(r);
    else if (what < 189)
        do_rollback(r);
    else if (what < 195)
        do_finish(r, what > 189);
    else if (what == 195 && !pick(&r->random, 20)) {
        ok(r->c, newt_btree_clear(r->c, r->tree, r->x->k));
        for (i = 0; i < KEYS; i++)
            r->now.v[i] = ABSENT;
    } else if (what == 196 && !pick(&r->random, 5)) {
        check_tree(r->c, r->tree, r->x->k);
    }
}

static void
test_kind(const kind *x, uint64_t seed, int64_t n)
{
    newt_options few = {.cache_objects = seed % 2 ? 12 : 1}; /* nodes */
    run *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->x = x;
    r->random.state = seed;
    store_make(&r->s, x->k->name);
    r->s.db = store_db(&r->s, trees, (newt_options){0});
    r->s.a = connect_(r->s.db);
    r->s.b = connect_(r->s.db);
    r->small = store_db(&r->s, trees, few);
    for (int i = 0; i < KEYS; i++)
        r->now.v[i] = ABSENT;
    r->committed = r->now;
    r->c = connect_(r->small);
    r->beside = connect_(r->small);
    begin(r->c);
    r->tree = newt_btree_create(r->c, x->k);
    must(r, !newt_is_null(r->tree));
    do_finish(r, true);
    while (r->operations < n)
        operate(r);
    do_finish(r, true);
    check_tree(r->c, r->tree, x->k);
    print_message("# %s: %lld operations, %lld commits, %lld rollbacks, %lld cursors\n", x->k->name,
                  (long long)r->operations, (long long)r->commits, (long long)r->rollbacks,
                  (long long)r->cursors);
    ok(r->c, newt_btree_delete(r->c, r->tree, x->k));
    commit(r->c);
    newt_close(r->c);
    newt_close(r->beside);
    newt_db_close(r->small);
    store_close(&r->s);
    free(r);
}

static void
test_model(void **state)
{
    uint64_t seed = take_seed();
    int64_t n = getenv("NEWT_SOAK") ? 1000000 : on_memory() && !brief() ? 20000 : 3000;

    (void)state;
    for (int i = 0; i < N_KINDS; i++)
        test_kind(&kinds[i], seed + (uint64_t)i, n);
}

static const struct CMUnitTest btrees[] = {cmocka_unit_test(test_model)};

int
main(void)
{
    return run_all(btrees);
}
