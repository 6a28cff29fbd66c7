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
        struct newt_length *count = newt_new(c, &newt_length_class);

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

int
newt__counts_add(const newt__btree *b, int64_t n)
{
    const newt__node *root = newt__node_read(b, b->root, -1);
    newt__jar *c = b->c;
    struct newt_length *count;
    uint64_t which;
    int status;

    if (!root)
        return newt__btree_break(b);
    if (root->counts_.n == 0 || n == 0)
        return NEWT_OK;
    /* one that few others change now, the same for the whole transaction */
    which = ((uint64_t)(uintptr_t)c / 64 + c->epoch) * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    count = newt_write(newt__conn_of(c), root->counts_.items[which % root->counts_.n],
                       &newt_length_class);
    if (!count)
        return newt__btree_break(b);
    status = newt_length_change(count, n);
    newt_length_done(count);
    return status;
}
