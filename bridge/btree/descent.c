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

int
newt__path_step(const newt__btree *b, newt__path *path, bool back, const newt__node **leaf)
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
        newt_ref r = child_at(node, path->steps[level].at);

        level--;
        node = newt__node_read(b, r, level);
        if (!node)
            return b->c->base.error.status;
        path->steps[level] = (newt__step){r, back ? newt__node_n(b->t, node) : 0};
    }
    *leaf = node;
    return NEWT_OK;
}

int
newt__path_fetch(const newt__btree *b, const newt__path *path, bool back, const void *limit,
                 uint32_t parts, uint32_t ahead)
{
    const newt__node *node;
    uint32_t from, n = 0, at = path->steps[1].at;
    int status;

    if (path->levels < 2)
        return NEWT_OK;
    node = newt__node_read(b, path->steps[1].node, 1);
    if (!node)
        return b->c->base.error.status;
    if (back) {
        n = at < ahead ? at : ahead;
        from = at - n;
    } else {
        from = at + 1;
        n = node->children_.n > from ? node->children_.n - from : 0;
        n = n < ahead ? n : ahead;
    }
    /* a child that is there already: those after it have been fetched with it */
    if (n == 0 || newt__cache_find(&b->c->cache, child_at(node, back ? at - 1 : from).oid))
        return NEWT_OK;
    if (limit && !back)
        while (n > 1 && newt__key_compare(b->t, b->t->keys, node, from + n - 2, limit, parts) > 0)
            n--;
    if (limit && back)
        while (n > 1 && newt__key_compare(b->t, b->t->keys, node, from, limit, parts) < 0)
            from++, n--;
    newt__object_pin(newt__header_of(node));
    status = newt_prefetch(newt__conn_of(b->c), node->children_.items + from, n);
    newt__node_done(node);
    return status;
}
