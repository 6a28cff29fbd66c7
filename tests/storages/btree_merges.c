/*
 * btree_merges.c - transactions that overlap at random in one tree, beside a model
 *
 * Several connections each have a transaction open, with the model as it was at its snapshot. At a
 * commit the model says whether others have changed one of the same keys: then there must be a
 * conflict. Else the tree takes the changes, as does the model, or refuses them because nodes were
 * split or emptied on both sides, which is counted. A connection with an empty cache then finds in
 * the tree what the model has, and no fault.
 */
#include "trees.h"
#include "../brief.h"

enum {
    WRITERS = 5,
    KEYS = 1000, /* at most, of which each may be there */
    ABSENT = -1
};

typedef struct model {
    int64_t v[KEYS]; /* the number of the value; ABSENT */
} model;

typedef struct writer {
    newt_conn *c;
    bool open, has_savepoint;
    int64_t savepoint;
    model snapshot, now, saved;
} writer;

/* The object that a refused commit could not merge. */
typedef enum refusal {
    NODE_REMOVED, /* by others: it was emptied */
    ROOT,         /* which grew, or shrank, or others changed the same keys in it */
    INNER,
    LEAF,
    COUNTER,
    N_REFUSALS
} refusal;

static const char *const refusals[N_REFUSALS] = {"node removed", "root", "inner node", "leaf",
                                                 "counter"};

typedef struct run {
    const kind *x;
    int keys;
    store s;
    newt_db *db;
    writer w[WRITERS];
    newt_ref tree;
    chance random;
    model committed;
    int64_t phase; /* operations of one kind */
    int64_t operations, commits, merged, checks;
    int64_t conflicts;  /* since others had changed the same key */
    int64_t structural; /* all others */
    int64_t by[N_REFUSALS];
    int levels; /* the most there were */
} run;

#define must(r, c, condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s, operation %lld: %s (%s)", (r)->x->k->name, (long long)(r)->operations,   \
                     #condition, newt_error_message(newt_conn_error(c)));                          \
    } while (0)

/* ---- operations ------------------------------------------------------------------------------ */

static void
do_put(run *r, writer *w, int i, bool replace)
{
    int64_t number = r->x->value ? pick(&r->random, 300) : 0;
    any k, v;

    r->x->key(&k, i);
    if (r->x->value)
        r->x->value(&v, number);
    if (replace && r->x->value) {
        must(r, w->c, newt_btree_put(w->c, r->tree, r->x->k, &k, &v) == NEWT_OK);
        w->now.v[i] = number;
        return;
    }
    must(r, w->c, newt_btree_insert(w->c, r->tree, r->x->k, &k, &v) == (w->now.v[i] == ABSENT));
    if (w->now.v[i] == ABSENT)
        w->now.v[i] = number;
}

static void
do_remove(run *r, writer *w, int i)
{
    any k, v;
    int found;

    r->x->key(&k, i);
    found = newt_btree_pop(w->c, r->tree, r->x->k, &k, &v);
    must(r, w->c, found == (w->now.v[i] != ABSENT));
    must(r, w->c, !found || is_value(r->x, &v, w->now.v[i]));
    w->now.v[i] = ABSENT;
}

static void
do_pop_end(run *r, writer *w, bool last)
{
    any k, v;
    int found = newt_btree_end(w->c, r->tree, r->x->k, last, true, &k, &v), at = last ? KEYS : -1;

    do
        at += last ? -1 : 1;
    while (at >= 0 && at < KEYS && w->now.v[at] == ABSENT);
    must(r, w->c, found == (at >= 0 && at < KEYS));
    if (!found)
        return;
    must(r, w->c, is_key(r->x, &k, at) && is_value(r->x, &v, w->now.v[at]));
    w->now.v[at] = ABSENT;
}

static void
do_get(run *r, writer *w, int i)
{
    any k, v;
    int found;

    r->x->key(&k, i);
    found = newt_btree_get(w->c, r->tree, r->x->k, &k, &v);
    must(r, w->c, found == (w->now.v[i] != ABSENT));
    must(r, w->c, !found || is_value(r->x, &v, w->now.v[i]));
}

/* Removes a stretch of keys: whole nodes become empty. */
static void
do_remove_range(run *r, writer *w, int from, int n)
{
    newt_btree_range range = {.descending = pick(&r->random, 2)};
    int to = from + n < r->keys ? from + n : r->keys - 1, status;
    newt_btree_cursor at;
    any low, high, k, v;

    r->x->key(&low, from);
    r->x->key(&high, to);
    range.from = &low;
    range.to = &high;
    at = newt_btree_open(w->c, r->tree, r->x->k, &range);
    while ((status = newt_btree_next(&at, &k, &v)) == 1)
        must(r, w->c, newt_btree_cursor_remove(&at, &k) == NEWT_OK);
    must(r, w->c, status == 0);
    for (int i = from; i <= to; i++)
        w->now.v[i] = ABSENT;
}

/* Which key: anywhere, near others, in order or against it. */
static int
choose_key(run *r)
{
    int64_t t = r->operations;

    switch (t / r->phase % 5) {
    case 0: return pick(&r->random, r->keys);
    case 1: return (int)((t / 50 * 37 + pick(&r->random, 12)) % r->keys);
    case 2: return (int)(t % r->keys);
    case 3: return r->keys - 1 - (int)(t % r->keys);
    default: return (pick(&r->random, r->keys) + pick(&r->random, r->keys)) / 2;
    }
}

static void
operate(run *r, writer *w)
{
    /* grows for a while, then shrinks */
    bool grows = r->operations / (r->phase / 2) % 2 == 0;
    int what = pick(&r->random, 100), i = choose_key(r);

    r->operations++;
    if (what < 50)
        grows ? do_put(r, w, i, what % 2) : do_remove(r, w, i);
    else if (what < 70)
        grows ? do_remove(r, w, i) : do_put(r, w, i, what % 2);
    else if (what < 85)
        do_get(r, w, i);
    else if (what < 89)
        do_pop_end(r, w, what % 2);
    else if (what < 92)
        do_remove_range(r, w, i, pick(&r->random, grows ? 8 : 40));
    else if (what < 94) {
        ok(w->c, newt_savepoint(w->c, &w->savepoint));
        w->saved = w->now;
        w->has_savepoint = true;
    } else if (what < 96 && w->has_savepoint) {
        ok(w->c, newt_rollback_to(w->c, w->savepoint));
        w->now = w->saved;
    } else if (what == 96 && !pick(&r->random, 40)) {
        ok(w->c, newt_btree_clear(w->c, r->tree, r->x->k));
        for (i = 0; i < KEYS; i++)
            w->now.v[i] = ABSENT;
    }
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void
open_transaction(run *r, writer *w)
{
    newt_ref missing = {INT64_MAX};

    begin(w->c);
    ok(w->c, newt_prefetch(w->c, &missing, 1)); /* which opens the snapshot */
    w->snapshot = w->now = r->committed;
    w->open = true;
    w->has_savepoint = false;
}

/* Others have changed a key that this transaction has changed, too. */
static bool
overlaps(const run *r, const writer *w)
{
    for (int i = 0; i < KEYS; i++)
        if (w->now.v[i] != w->snapshot.v[i] && r->committed.v[i] != w->snapshot.v[i])
            return true;
    return false;
}

static void
take_changes(run *r, const writer *w)
{
    for (int i = 0; i < KEYS; i++)
        if (w->now.v[i] != w->snapshot.v[i])
            r->committed.v[i] = w->now.v[i];
}

/* What a commit was refused for, as the store has it now. */
static refusal
refusal_of(run *r, const writer *w)
{
    const newt_error *e = newt_conn_error(w->c);
    const newt_conflict *x;
    newt_ref node = {newt_error_oid(e)};
    const newt__node *now_;
    refusal why = LEAF;
    newt_conn *c;

    for (size_t i = 0; (x = newt_error_conflict(e, i)); i++)
        if (x->object.oid == node.oid && x->committed == 0)
            return NODE_REMOVED;
    c = connect_(r->db);
    begin(c);
    if (strcmp(newt_class_name(c, node), "newt.Count") == 0) {
        why = COUNTER;
    } else {
        now_ = newt_read(c, node, r->x->k);
        must(r, c, now_ != NULL);
        why = now_->root_ ? ROOT : now_->level_ > 0 ? INNER : LEAF;
    }
    newt_close(c);
    return why;
}

static void
close_transaction(run *r, writer *w)
{
    newt_stats before = stats_of(w->c);
    bool overlapped;
    int status;

    w->open = false;
    if (!pick(&r->random, 10)) {
        newt_abort(w->c);
        return;
    }
    overlapped = overlaps(r, w);
    status = newt_commit(w->c);
    if (status == NEWT_OK) {
        must(r, w->c, !overlapped);
        take_changes(r, w);
        r->commits++;
        r->merged += stats_of(w->c).merges > before.merges;
        return;
    }
    must(r, w->c, status == NEWT_ECONFLICT);
    if (overlapped) {
        r->conflicts++;
    } else {
        r->structural++;
        r->by[refusal_of(r, w)]++;
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

static void
look(run *r)
{
    newt_db *db = store_db(&r->s, trees, (newt_options){0});
    newt_conn *c = connect_(db);
    newt_btree_cursor at;
    const newt__node *root;
    any k, v;
    int64_t length = 0;
    int i = 0;

    r->checks++;
    begin(c);
    root = newt_read(c, r->tree, r->x->k);
    must(r, c, root != NULL);
    if (root->level_ > r->levels)
        r->levels = root->level_;
    check_tree(c, r->tree, r->x->k);
    at = newt_btree_open(c, r->tree, r->x->k, NULL);
    while (newt_btree_next(&at, &k, &v) == 1) {
        while (i < KEYS && r->committed.v[i] == ABSENT)
            i++;
        must(r, c, i < KEYS && is_key(r->x, &k, i) && is_value(r->x, &v, r->committed.v[i]));
        i++;
        length++;
    }
    must(r, c, newt_btree_next(&at, &k, &v) == 0);
    while (i < KEYS && r->committed.v[i] == ABSENT)
        i++;
    must(r, c, i == KEYS);
    must(r, c, newt_btree_length(c, r->tree, r->x->k) == length);
    newt_close(c);
    newt_db_close(db);
}

/* Of a tree that is removed nothing is left: no node, no counter. */
static void
remove_tree(run *r)
{
    newt_class_count *counts;
    size_t n;

    begin(r->s.a);
    ok(r->s.a, newt_btree_delete(r->s.a, r->tree, r->x->k));
    commit(r->s.a);
    ok(r->s.a, newt_class_counts(r->s.a, &counts, &n));
    for (size_t i = 0; i < n; i++)
        if (strcmp(counts[i].class_name, r->x->k->name) == 0 ||
            strcmp(counts[i].class_name, "newt.Count") == 0)
            fail_msg("%lld objects of %s are left", (long long)counts[i].objects,
                     counts[i].class_name);
    free(counts);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What there was of it, in all. */
typedef struct sum {
    int64_t merged, conflicts, structural;
} sum;

static void
interleave(const kind *x, int keys, size_t cache, uint64_t seed, int64_t n, sum *all)
{
    run *r = calloc(1, sizeof *r);
    writer filler = {0};
    int64_t looked = 0, every = on_memory() ? 5 : 20;

    assert_non_null(r);
    r->x = x;
    r->keys = keys;
    r->phase = n / 10 + 2;
    r->random.state = seed;
    store_make(&r->s, x->k->name);
    r->s.db = r->db = store_db(&r->s, trees, (newt_options){.cache_objects = cache});
    r->s.a = connect_(r->db);
    r->s.b = connect_(r->db);
    for (int i = 0; i < KEYS; i++)
        r->committed.v[i] = ABSENT;
    begin(r->s.a);
    r->tree = newt_btree_create(r->s.a, x->k);
    filler.c = r->s.a;
    filler.now = r->committed;
    for (int i = 0; i < keys; i += 1 + pick(&r->random, 3))
        do_put(r, &filler, i, true);
    commit(r->s.a);
    r->committed = filler.now;
    for (int i = 0; i < WRITERS; i++)
        r->w[i].c = connect_(r->db);
    while (r->operations < n) {
        writer *w = &r->w[pick(&r->random, WRITERS)];

        if (!w->open)
            open_transaction(r, w);
        else if (pick(&r->random, 5))
            operate(r, w);
        else
            close_transaction(r, w);
        if (r->commits >= looked + every) {
            looked = r->commits;
            look(r);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        if (r->w[i].open)
            close_transaction(r, &r->w[i]);
        newt_close(r->w[i].c);
    }
    look(r);
    remove_tree(r);
    print_message("# %s, %d keys: %lld operations, %lld commits, of which %lld merged nodes; "
                  "%lld conflicts over keys, %lld over structure; %d levels, %lld checks\n",
                  x->k->name, keys, (long long)r->operations, (long long)r->commits,
                  (long long)r->merged, (long long)r->conflicts, (long long)r->structural,
                  r->levels + 1, (long long)r->checks);
    for (refusal i = 0; i < N_REFUSALS; i++)
        if (r->by[i] > 0)
            print_message("#   over structure, %s: %lld\n", refusals[i], (long long)r->by[i]);
    all->merged += r->merged;
    all->conflicts += r->conflicts;
    all->structural += r->structural;
    store_close(&r->s);
    free(r);
}

static void
test_interleaved(void **state)
{
    uint64_t seed = take_seed();
    bool soak = getenv("NEWT_SOAK");
    int64_t n = soak ? 1000000 / (3 * N_KINDS) : on_memory() && !brief() ? 4000 : 1000;
    sum all = {0};

    (void)state;
    for (int i = 0; i < N_KINDS; i += on_memory() || soak ? 1 : 5) {
        interleave(&kinds[i], KEYS, 0, seed + (uint64_t)i * 3, n, &all);
        interleave(&kinds[i], 120, 0, seed + (uint64_t)i * 3 + 1, n, &all);
        interleave(&kinds[i], 40, 12, seed + (uint64_t)i * 3 + 2, n, &all);
    }
    assert_true(all.merged > 0 && all.conflicts > 0 && all.structural > 0);
}

static const struct CMUnitTest btree_merges[] = {cmocka_unit_test(test_interleaved)};

int
main(void)
{
    return run_all(btree_merges);
}
