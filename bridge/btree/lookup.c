/*
 * lookup.c - entries by their keys, one or many, and at the ends; how many there are
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

int
newt_btree_get(newt_conn *c, newt_ref r, const newt_class *k, const void *key, void *value)
{
    const newt__node *leaf;
    newt__btree b;
    uint32_t at;
    int status = newt__btree_open(&b, c, r, k);

    if (NEWT__SELDOM(status != NEWT_OK))
        return status;
    leaf = newt__descend(&b, key, b.t->n_keys, false, NULL);
    if (NEWT__SELDOM(!leaf))
        return b.c->base.error.status;
    if (!newt__leaf_find(b.t, leaf, key, &at))
        return 0;
    newt__value_get(b.t, leaf, at, value);
    return 1;
}

/* ---- many --------------------------------------------------------------------------------- */

/* Loads what many look-ups need next, in one round trip. */
static int
fetch(const newt__btree *b, const newt_ref *nodes, size_t n, int64_t *oids)
{
    size_t m = 0;

    memcpy(oids, nodes, n * sizeof *oids); /* a newt_ref is its oid */
    qsort(oids, n, sizeof *oids, newt__by_oid);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || oids[m - 1] != oids[i])
            oids[m++] = oids[i];
    return newt__load(b->c, oids, m);
}

static int
down_one_level(const newt__btree *b, const char *keys, newt_ref *nodes, size_t n, int level)
{
    for (size_t i = 0; i < n; i++) {
        const newt__node *node = newt__node_read(b, nodes[i], level);
        uint32_t at;

        if (!node)
            return b->c->base.error.status;
        at = newt__node_search(b->t, node, keys + i * b->t->key_size, b->t->n_keys, true);
        nodes[i] = node->children_.items[at];
    }
    return NEWT_OK;
}

int
newt_btree_get_many(newt_conn *c, newt_ref r, const newt_class *k, const void *keys, size_t n,
                    void *values, bool *found)
{
    const newt__node *root;
    newt_ref *nodes = NULL;
    int64_t *oids = NULL;
    newt__btree b;
    int status = newt__btree_open(&b, c, r, k), count = 0;

    if (status != NEWT_OK)
        return status;
    if (n > INT32_MAX)
        return newt__base_fail(&b.c->base, NEWT_ELIMIT, r.oid, "more than %d keys are looked up",
                               INT32_MAX);
    root = newt__node_read(&b, r, -1);
    nodes = malloc((n + 1) * sizeof *nodes);
    oids = malloc((n + 1) * sizeof *oids);
    if (!nodes || !oids || !root) {
        status = root ? newt__base_fail_memory(&b.c->base) : b.c->base.error.status;
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        nodes[i] = r;
    for (int level = root->level_; level > 0; level--) {
        status = down_one_level(&b, keys, nodes, n, level);
        if (status == NEWT_OK)
            status = fetch(&b, nodes, n, oids);
        if (status != NEWT_OK)
            goto out;
    }
    for (size_t i = 0; i < n; i++) {
        const newt__node *leaf = newt__node_read(&b, nodes[i], 0);
        const char *key = (const char *)keys + i * b.t->key_size;
        uint32_t at;
        bool has;

        if (!leaf) {
            status = b.c->base.error.status;
            goto out;
        }
        has = newt__leaf_find(b.t, leaf, key, &at);
        if (has && values && b.t->values)
            newt__value_get(b.t, leaf, at, (char *)values + i * b.t->values->f.size);
        if (found)
            found[i] = has;
        count += has;
    }
out:
    free(nodes);
    free(oids);
    return status != NEWT_OK ? status : count;
}

/* ---- at the ends -------------------------------------------------------------------------- */

int
newt_btree_end(newt_conn *c, newt_ref r, const newt_class *k, bool last, bool take, void *key,
               void *value)
{
    const newt__node *leaf;
    newt__btree b;
    newt__path path;
    uint32_t at;
    int status = newt__btree_open(&b, c, r, k);

    if (status != NEWT_OK)
        return take ? newt__base_break(&newt__jar_of(c)->base) : status;
    if (take)
        status = newt__counts_fetch(&b, NULL, last, true);
    leaf = status == NEWT_OK ? newt__descend(&b, NULL, 0, last, &path) : NULL;
    if (!leaf)
        return take ? newt__btree_break(&b) : b.c->base.error.status;
    if (newt__node_n(b.t, leaf) == 0)
        return 0;
    at = last ? newt__node_n(b.t, leaf) - 1 : 0;
    newt__value_get(b.t, leaf, at, value);
    newt__key_give(b.t, leaf, at, key);
    if (!take)
        return 1;
    path.steps[0].at = at;
    status = newt__entry_remove(&b, &path);
    return status == NEWT_OK ? 1 : status;
}

/* ---- how many ----------------------------------------------------------------------------- */

static int64_t
add_counters(const newt__btree *b, const newt__node *root)
{
    newt_conn *c = newt__conn_of(b->c);
    const newt_ref *counts = root->counts_.items;
    int64_t length = 0; /* one counter may be less than 0 */
    int status = newt_prefetch(c, counts, root->counts_.n);

    if (status != NEWT_OK)
        return status;
    for (uint32_t i = 0; i < root->counts_.n; i++) {
        const struct newt_length *count = newt_read(c, counts[i], &newt__count_class);

        if (!count)
            return b->c->base.error.status;
        length += count->value;
        newt_done((const newt_object *)count);
    }
    return length;
}

static int64_t
add_leaves(const newt__btree *b)
{
    const newt__ahead ahead = {.most = NEWT__MOST_AHEAD};
    newt__path path;
    const newt__node *leaf = newt__descend(b, NULL, 0, false, &path);
    int64_t length = 0;

    if (!leaf)
        return b->c->base.error.status;
    while (leaf) {
        int status;

        length += newt__node_n(b->t, leaf);
        status = newt__path_step(b, &path, false, &ahead, &leaf);
        if (status != NEWT_OK)
            return status;
    }
    return length;
}

int64_t
newt_btree_length(newt_conn *c, newt_ref r, const newt_class *k)
{
    const newt__node *root;
    newt__btree b;
    int64_t length;
    int status = newt__btree_open(&b, c, r, k);

    if (status != NEWT_OK)
        return status;
    root = newt_read(c, r, k);
    if (!root)
        return b.c->base.error.status;
    if (root->level_ == 0)
        length = newt__node_n(b.t, root);
    else
        length = b.t->counted && root->counts_.n > 0 ? add_counters(&b, root) : add_leaves(&b);
    newt__node_done(root);
    return length;
}

/* ---- what must be current ------------------------------------------------------------------ */

int
newt_btree_read_current(newt_conn *c, newt_ref r, const newt_class *k, const void *key)
{
    newt__btree b;
    newt__path path;
    int status = newt__btree_open(&b, c, r, k);

    if (status != NEWT_OK)
        return newt__base_break(&newt__jar_of(c)->base);
    if (!newt__descend(&b, key, b.t->n_keys, false, &path))
        return newt__btree_break(&b);
    for (int level = 0; level < path.levels && status == NEWT_OK; level++)
        status = newt_read_current(c, path.steps[level].node);
    return status;
}
