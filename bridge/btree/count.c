/*
 * count.c - how many entries a tree has, counted without conflicts
 *
 * A tree of one node is its own count. A larger one has counters, of which a transaction changes
 * one: counters merge, but a merged commit takes two round trips more, so writers are spread over
 * several.
 */
#include "btree.h"

enum {
    FEW = 4,  /* of two levels */
    MANY = 16 /* of more */
};

int
newt__counts_grow(const newt__btree *b, newt__node *root, int64_t n)
{
    newt_conn *c = newt__conn_of(b->c);
    uint32_t wanted = !b->t->counted ? 0 : root->level_ < 2 ? FEW : MANY;
    newt__array_layout *counts = (newt__array_layout *)(void *)&root->counts_;

    while (counts->n < wanted) {
        struct newt_length *count = newt_new(c, &newt__count_class);

        if (!count)
            return newt__btree_break(b);
        count->value = n;
        n = 0;
        if (!newt__array_room(newt__header_of(root), counts, sizeof(newt_ref), 1))
            return b->c->base.error.status;
        ((newt_ref *)(void *)counts->edit_)[counts->n++] = newt_length_id(count).any;
        newt_length_done(count);
    }
    return NEWT_OK;
}

int
newt__counts_drop(const newt__btree *b, newt__node *root)
{
    for (uint32_t i = 0; i < root->counts_.n; i++) {
        int status = newt_delete(newt__conn_of(b->c), root->counts_.items[i]);

        if (status != NEWT_OK)
            return newt__btree_break(b);
    }
    root->counts_.n = 0;
    return NEWT_OK;
}

/* One that few others change now, the same for the whole transaction; null: there are none. */
static newt_ref
count_of(const newt__btree *b, const newt__node *root)
{
    uint64_t which = ((uint64_t)(uintptr_t)b->c / 64 + b->c->epoch) * UINT64_C(0x9E3779B97F4A7C15);
    newt_ref none = {0};

    return root->counts_.n > 0 ? root->counts_.items[(which >> 32) % root->counts_.n] : none;
}

/* A node that is in the cache, as it is there: this is no use of it. NULL: it is not there. */
static const newt__node *
peek(const newt__btree *b, newt_ref r, int level)
{
    newt__header *h = newt__cache_find(&b->c->cache, r.oid);
    const newt__node *node = h && h->class && h->class->tree == b->t ? newt__object_of(h) : NULL;

    return node && !newt__node_fault(b->t, node, level) ? node : NULL;
}

int
newt__counts_fetch(newt__btree *b, const void *key, bool last, bool removes)
{
    const newt__node *node = b->top;
    newt_ref wanted[2] = {count_of(b, node), b->root};
    size_t n = 1;
    int status;

    if (newt_is_null(wanted[0]) || newt__cache_find(&b->c->cache, wanted[0].oid))
        return NEWT_OK;
    for (int level = node->level_; node && level > 0; level--) {
        uint32_t at = last ? newt__node_n(b->t, node) : 0;

        if (key)
            at = newt__node_search(b->t, node, key, b->t->n_keys, true);
        wanted[1] = node->children_.items[at];
        node = peek(b, wanted[1], level - 1);
    }
    if (!node)
        n++;
    else if (key &&
             newt__node_has(b->t, node, newt__node_search(b->t, node, key, b->t->n_keys, false),
                            key) != removes)
        return NEWT_OK; /* it changes no number */
    status = newt_prefetch(newt__conn_of(b->c), wanted, n);
    if (status != NEWT_OK)
        return status;
    b->top = newt__node_read(b, b->root, -1);
    return b->top ? NEWT_OK : b->c->base.error.status;
}

int
newt__counts_add(const newt__btree *b, int64_t n)
{
    const newt__node *root = newt__node_read(b, b->root, -1);
    struct newt_length *count;
    newt_ref r;
    int status;

    if (!root)
        return newt__btree_break(b);
    r = count_of(b, root);
    if (newt_is_null(r) || n == 0)
        return NEWT_OK;
    count = newt_write(newt__conn_of(b->c), r, &newt__count_class);
    if (!count)
        return newt__btree_break(b);
    status = newt_length_change(count, n);
    newt_length_done(count);
    return status;
}
