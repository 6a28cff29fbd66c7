/*
 * remove.c - entries taken from a tree, and nodes that have become empty
 *
 * What an empty node stood for goes to its neighbour under the same node, the right one if there is
 * one: nobody keeps where a node begins, so that is no change of the neighbour. The left one ends
 * later then, and so does what is last below it. The last child of a node goes with it.
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

static void
close_place(newt__array_layout *column, size_t size, uint32_t at)
{
    memmove(column->edit_ + at * size, column->edit_ + (at + 1) * size,
            (column->n - at - 1) * size);
    column->n--;
}

/* Takes a key out, and of a leaf its value. */
static void
close_item(const newt__btree *b, newt__node *node, uint32_t at)
{
    const newt__tree *t = b->t;

    for (uint32_t part = 0; part < t->n_keys; part++)
        close_place(newt__column_of(node, t->keys[part]), t->keys[part]->f.size, at);
    if (node->level_ == 0 && t->values)
        close_place(newt__column_of(node, t->values), t->values->f.size, at);
    node->bytes_ = 0;
}

/* The leaf before that of the path is followed by what came after it. */
static int
relink(const newt__btree *b, const newt__path *path, newt_ref next)
{
    newt__path before = *path;
    const newt__node *leaf;
    newt__node *writable;
    int status = newt__path_step(b, &before, true, NULL, &leaf);

    if (status != NEWT_OK)
        return newt__btree_break(b);
    if (!leaf)
        return NEWT_OK;
    writable = newt__node_write(b, before.steps[0].node, 0);
    if (!writable)
        return b->c->base.error.status;
    writable->next_ = next;
    newt__node_done(writable);
    return NEWT_OK;
}

/* A node, and what is last below it, ends where `as` does. */
static int
extend(const newt__btree *b, newt_ref r, const newt__node *as)
{
    newt__key key;
    bool has_end = newt__node_has_high(b->t, as);

    if (has_end)
        newt__key_get(b->t, b->t->high, as, 0, &key);
    for (int level = as->level_; level >= 0; level--) {
        newt__node *node = newt__node_write(b, r, level);
        int status;

        if (!node)
            return b->c->base.error.status;
        status = newt__node_end(b, node, has_end ? &key : NULL);
        if (level > 0)
            r = node->children_.items[node->children_.n - 1];
        newt__node_done(node);
        if (status != NEWT_OK)
            return status;
    }
    return NEWT_OK;
}

/* A root with one child takes its place, as often as that is so. */
static int
lower_root(const newt__btree *b, newt__node *root)
{
    int status = NEWT_OK;

    while (status == NEWT_OK && root->level_ > 0 && root->children_.n == 1) {
        newt_ref r = root->children_.items[0];
        const newt__node *child = newt__node_read(b, r, root->level_ - 1);

        if (!child)
            return newt__btree_break(b);
        newt__object_pin(newt__header_of(child));
        newt__items_truncate(b, root, 0);
        root->children_.n = 0;
        root->level_ = child->level_;
        status = newt__items_copy(b, root, child, 0);
        if (status == NEWT_OK && root->level_ == 0)
            status = newt__counts_drop(b, root);
        newt__node_done(child);
        if (status == NEWT_OK)
            status = newt_delete(newt__conn_of(b->c), r);
    }
    return status;
}

/* Takes an empty node of a level from the one above it. */
static int
unlink_node(const newt__btree *b, newt__path *path, int level)
{
    newt_ref r = path->steps[level].node;
    uint32_t at = path->steps[level + 1].at;
    newt__node *node = newt__node_write(b, r, level), *parent = NULL;
    int status = NEWT_OK;

    if (node)
        parent = newt__node_write(b, path->steps[level + 1].node, level + 1);
    if (!parent) {
        newt__node_done(node);
        return b->c->base.error.status;
    }
    if (level == 0)
        status = relink(b, path, node->next_);
    if (status != NEWT_OK)
        goto out;
    if (parent->children_.n == 1) {
        if (!parent->root_) {
            status = unlink_node(b, path, level + 1);
        } else { /* nothing is left */
            parent->children_.n = 0;
            parent->level_ = 0;
            status = newt__counts_drop(b, parent);
        }
    } else if (at + 1 < parent->children_.n) {
        close_item(b, parent, at);
        close_place(newt__children_of(parent), sizeof(newt_ref), at);
    } else {
        status = extend(b, parent->children_.items[at - 1], node);
        close_item(b, parent, at - 1);
        close_place(newt__children_of(parent), sizeof(newt_ref), at);
    }
    if (status == NEWT_OK)
        status = newt_delete(newt__conn_of(b->c), r);
    if (status == NEWT_OK && parent->root_)
        status = lower_root(b, parent);
out:
    newt__node_done(node);
    newt__node_done(parent);
    return status;
}

int
newt__entry_remove(const newt__btree *b, newt__path *path)
{
    newt__node *leaf = newt__node_write(b, path->steps[0].node, 0);
    int status;

    if (!leaf)
        return b->c->base.error.status;
    close_item(b, leaf, path->steps[0].at);
    status = newt__counts_add(b, -1);
    if (status == NEWT_OK && newt__node_n(b->t, leaf) == 0 && !leaf->root_)
        status = unlink_node(b, path, 0);
    newt__node_done(leaf);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* Removes what is below a node, whose level is given; pinned by the caller. */
static int
empty_below(const newt__btree *b, const newt__node *node)
{
    newt_conn *c = newt__conn_of(b->c);
    uint32_t n = node->children_.n;
    int status = NEWT_OK;

    for (uint32_t i = 0; i < n && status == NEWT_OK; i++) {
        newt_ref r = node->children_.items[i];
        const newt__node *child;

        if (i % NEWT__MOST_AHEAD == 0) {
            uint32_t more = n - i < NEWT__MOST_AHEAD ? n - i : NEWT__MOST_AHEAD;

            status = newt_prefetch(c, node->children_.items + i, more);
            if (status != NEWT_OK)
                return newt__btree_break(b);
        }
        child = newt__node_read(b, r, node->level_ - 1);
        if (!child)
            return newt__btree_break(b);
        newt__object_pin(newt__header_of(child));
        status = empty_below(b, child);
        newt__node_done(child);
        if (status == NEWT_OK)
            status = newt_delete(c, r);
    }
    return status;
}

int
newt__btree_empty(const newt__btree *b)
{
    newt__node *root = newt__node_write(b, b->root, -1);
    int status;

    if (!root)
        return b->c->base.error.status;
    status = empty_below(b, root);
    if (status == NEWT_OK)
        status = newt__counts_drop(b, root);
    if (status == NEWT_OK) {
        newt__items_truncate(b, root, 0);
        root->children_.n = 0;
        root->level_ = 0;
    }
    newt__node_done(root);
    return status;
}

/* ---- for the program --------------------------------------------------------------------- */

int
newt_btree_pop(newt_conn *c, newt_ref r, const newt_class *k, const void *key, void *value)
{
    const newt__node *leaf;
    newt__btree b;
    newt__path path;
    int status = newt__btree_open(&b, c, r, k);

    if (status != NEWT_OK)
        return newt__base_break(&newt__jar_of(c)->base);
    status = newt__counts_fetch(&b, key, false, true);
    leaf = status == NEWT_OK ? newt__descend(&b, key, b.t->n_keys, false, &path) : NULL;
    if (!leaf)
        return newt__btree_break(&b);
    if (!newt__node_has(b.t, leaf, path.steps[0].at, key))
        return 0;
    newt__value_get(b.t, leaf, path.steps[0].at, value);
    status = newt__entry_remove(&b, &path);
    return status == NEWT_OK ? 1 : status;
}

int
newt_btree_clear(newt_conn *c, newt_ref r, const newt_class *k)
{
    newt__btree b;

    if (newt__btree_open(&b, c, r, k) != NEWT_OK)
        return newt__base_break(&newt__jar_of(c)->base);
    return newt__btree_empty(&b);
}

int
newt_btree_delete(newt_conn *c, newt_ref r, const newt_class *k)
{
    int status = newt_btree_clear(c, r, k);

    return status == NEWT_OK ? newt_delete(c, r) : status;
}
