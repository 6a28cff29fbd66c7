/*
 * descent.c - ways through a tree: from the root to a leaf, and on to the next one
 */
#include "btree.h"

/* The child where what is looked for is: a key that equals the one between two children is in the
 * second. What begins with the first parts of a key may be in the first, too. */
static inline uint32_t
child_of(const newt__btree *b, const newt__node *node, const void *key, uint32_t parts, bool after)
{
    if (!key)
        return after ? newt__node_n(b->t, node) : 0;
    return newt__node_search(b->t, node, key, parts, parts == b->t->n_keys || after);
}

static inline newt_ref
child_at(const newt__node *node, uint32_t at)
{
    return node->children_.items[at];
}

const newt__node *
newt__descend(const newt__btree *b, const void *key, uint32_t parts, bool after, newt__path *path)
{
    const newt__node *node = b->top;
    newt_ref r = b->root;
    uint32_t at;

    if (path)
        path->levels = node->level_ + 1;
    for (int level = node->level_; level > 0; level--) {
        at = child_of(b, node, key, parts, after);
        if (path)
            path->steps[level] = (newt__step){r, at};
        r = child_at(node, at);
        node = newt__node_read(b, r, level - 1);
        if (NEWT__SELDOM(!node))
            return NULL;
    }
    if (path) {
        if (key)
            at = newt__node_search(b->t, node, key, parts, after);
        else
            at = after ? newt__node_n(b->t, node) : 0;
        path->steps[0] = (newt__step){r, at};
    }
    return node;
}

/* Loads the child at a place and, on the way of a scan, those after (before) it, as far as they
 * reach what is wanted, unless it is there: then those after it have been loaded with it. */
static int
fetch(const newt__btree *b, const newt__node *node, uint32_t at, bool back, const newt__ahead *x)
{
    enum {
        INNER = 16 /* of these fewer are needed, for each leads to many */
    };
    uint32_t most = node->level_ > 1 && x->most > INNER ? INNER : x->most;
    uint32_t there = back ? at + 1 : node->children_.n - at, n = there < most ? there : most;
    uint32_t from = back ? at + 1 - n : at;
    int status;

    if (n <= 1 || newt__cache_find(&b->c->cache, child_at(node, at).oid))
        return NEWT_OK;
    if (x->limit && !back)
        while (n > 1 &&
               newt__key_compare(b->t, b->t->keys, node, from + n - 2, x->limit, x->parts) > 0)
            n--;
    if (x->limit && back)
        while (n > 1 && newt__key_compare(b->t, b->t->keys, node, from, x->limit, x->parts) < 0)
            from++, n--;
    newt__object_pin(newt__header_of(node));
    status = newt_prefetch(newt__conn_of(b->c), node->children_.items + from, n);
    newt__node_done(node);
    return status;
}

int
newt__path_step(const newt__btree *b, newt__path *path, bool back, const newt__ahead *ahead,
                const newt__node **leaf)
{
    const newt__node *node = NULL;
    int level = 1;

    *leaf = NULL;
    for (; level < path->levels; level++) {
        newt__step *step = &path->steps[level];

        node = newt__node_read(b, step->node, level);
        if (!node)
            return b->c->base.error.status;
        if (back ? step->at > 0 : step->at + 1 < node->children_.n) {
            step->at = back ? step->at - 1 : step->at + 1;
            break;
        }
    }
    if (level == path->levels)
        return NEWT_OK;
    while (level > 0) {
        uint32_t at = path->steps[level].at;
        newt_ref r = child_at(node, at);
        int status = ahead ? fetch(b, node, at, back, ahead) : NEWT_OK;

        if (status != NEWT_OK)
            return status;
        level--;
        node = newt__node_read(b, r, level);
        if (!node)
            return b->c->base.error.status;
        path->steps[level] = (newt__step){r, back ? newt__node_n(b->t, node) : 0};
    }
    *leaf = node;
    return NEWT_OK;
}
