/*
 * load.c - trees made of sorted entries, node by node from the left
 *
 * The last node of each level is open; a full one is closed, and the first key of what follows goes
 * to the level above. What is open at the top in the end goes to the root.
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

typedef struct loader {
    const newt__btree *b;
    uint32_t fill[NEWT__MOST_LEVELS];    /* items of the last full node of each level */
    newt__node *open[NEWT__MOST_LEVELS]; /* pinned */
    int levels;
    int64_t n;
} loader;

static int
begin_level(loader *l, newt_ref first_child)
{
    newt__node *node;

    if (l->levels == NEWT__MOST_LEVELS - 1) {
        newt__base_fail(&l->b->c->base, NEWT_ELIMIT, l->b->root.oid, "a tree has too many levels");
        return newt__btree_break(l->b);
    }
    node = newt__node_new(l->b, (uint8_t)l->levels);
    if (!node)
        return l->b->c->base.error.status;
    l->open[l->levels++] = node;
    return node->level_ > 0 ? newt__child_append(l->b, node, first_child) : NEWT_OK;
}

/* For as many items as the last node of this level has had: so that the columns do not grow piece
 * by piece. */
static int
make_room(const loader *l, newt__node *node)
{
    const newt__tree *t = l->b->t;
    uint32_t n = l->fill[node->level_] + 1;
    newt__header *h = newt__header_of(node);
    bool made = true;

    for (uint32_t part = 0; part < t->n_keys && made; part++)
        made = newt__array_room(h, newt__column_of(node, t->keys[part]), t->keys[part]->f.size, n);
    if (made && node->level_ == 0 && t->values)
        made = newt__array_room(h, newt__column_of(node, t->values), t->values->f.size, n);
    if (made && node->level_ > 0)
        made = newt__array_room(h, newt__children_of(node), sizeof(newt_ref), n + 1);
    return made ? NEWT_OK : l->b->c->base.error.status;
}

/* The open node of a level is full: another takes its place, and begins with this key. */
static int
turn(loader *l, int level, const void *key)
{
    newt__node *full = l->open[level], *node = newt__node_new(l->b, (uint8_t)level), *above;
    int status = NEWT_OK;

    if (!node)
        return l->b->c->base.error.status;
    l->fill[level] = newt__node_n(l->b->t, full);
    status = make_room(l, node);
    if (status == NEWT_OK && level + 1 == l->levels)
        status = begin_level(l, newt__node_ref(full));
    if (status == NEWT_OK)
        status = newt__node_end(l->b, full, key);
    if (level == 0)
        full->next_ = newt__node_ref(node);
    l->open[level] = node;
    newt__node_done(full);
    if (status != NEWT_OK)
        return status;
    above = l->open[level + 1];
    if (above->bytes_ < l->b->t->node_bytes)
        return newt__item_insert(l->b, above, newt__node_n(l->b->t, above), key, NULL,
                                 newt__node_ref(node));
    status = turn(l, level + 1, key);
    return status == NEWT_OK ? newt__child_append(l->b, l->open[level + 1], newt__node_ref(node))
                             : status;
}

static int
append(loader *l, const void *key, const void *value)
{
    const newt__tree *t = l->b->t;
    newt__node *leaf = l->open[0];
    uint32_t n = newt__node_n(t, leaf);
    int status = newt__key_check(l->b, key);

    if (status != NEWT_OK)
        return newt__btree_break(l->b);
    if (n > 0 && newt__key_compare(t, t->keys, leaf, n - 1, key, t->n_keys) >= 0) {
        newt__base_fail(
            &l->b->c->base, NEWT_EINVAL, l->b->root.oid,
            "the tree %s %lld was given entries that are not sorted: number %lld is not "
            "greater than the one before",
            l->b->table->name, (long long)l->b->root.oid, (long long)l->n + 1);
        return newt__btree_break(l->b);
    }
    if (leaf->bytes_ >= t->node_bytes) {
        status = turn(l, 0, key);
        leaf = l->open[0];
    }
    if (status == NEWT_OK)
        status = newt__item_insert(l->b, leaf, newt__node_n(t, leaf), key, value, (newt_ref){0});
    l->n++;
    return status;
}

/* What is open at the top becomes the root. */
static int
finish(loader *l)
{
    const newt__btree *b = l->b;
    newt__node *top = l->open[l->levels - 1], *root = newt__node_write(b, b->root, 0);
    int status;

    if (!root)
        return b->c->base.error.status;
    root->level_ = top->level_;
    status = newt__items_copy(b, root, top, 0);
    if (status == NEWT_OK && root->level_ > 0)
        status = newt__counts_grow(b, root, l->n);
    if (status == NEWT_OK)
        status = newt_delete(newt__conn_of(b->c), newt__node_ref(top));
    newt__node_done(root);
    return status;
}

/* A failure of the source breaks the transaction: nodes have been made that nothing refers to. */
int
newt__btree_fill(const newt__btree *b, newt_btree_source *next, void *arg)
{
    loader l = {.b = b};
    size_t size = b->t->values ? b->t->values->f.size : 1;
    char *value = malloc(size);
    newt_error before = {0};
    newt__key key;
    int status;

    /* an error of the source's own calls says more than its status */
    newt__error_move(&before, &b->c->base.error);
    status = value ? begin_level(&l, (newt_ref){0}) : newt__base_fail_memory(&b->c->base);
    while (status == NEWT_OK) {
        int more;

        memset(&key, 0, sizeof key);
        memset(value, 0, size);
        more = next(arg, &key, value);
        if (more == 1) {
            status = append(&l, &key, value);
            continue;
        }
        status = more == 0 ? finish(&l) : more;
        break;
    }
    for (int level = 0; level < l.levels; level++)
        newt__node_done(l.open[level]);
    free(value);
    if (status != NEWT_OK && !newt__base_is_over(&b->c->base)) {
        if (b->c->base.error.status == NEWT_OK)
            newt__base_fail(&b->c->base, status < 0 ? status : NEWT_EINVAL, b->root.oid,
                            "the source of the entries of the tree %s %lld has failed",
                            b->table->name, (long long)b->root.oid);
        newt__btree_break(b);
    }
    if (b->c->base.error.status == NEWT_OK)
        newt__error_move(&b->c->base.error, &before);
    newt__error_clear(&before);
    return status;
}

int
newt_btree_load(newt_conn *c, newt_ref r, const newt_class *k, newt_btree_source *next, void *arg)
{
    const newt__node *root;
    newt__btree b;
    int status = newt__btree_open(&b, c, r, k);

    if (status != NEWT_OK)
        return newt__base_break(&newt__jar_of(c)->base);
    root = newt__node_read(&b, r, -1);
    if (!root)
        return newt__btree_break(&b);
    if (root->level_ > 0 || newt__node_n(b.t, root) > 0) {
        newt__base_fail(&b.c->base, NEWT_EINVAL, r.oid, "the tree %s %lld is not empty", k->name,
                        (long long)r.oid);
        newt__fail_hint(&b.c->base.error, "Call newt_btree_clear before.");
        return newt__btree_break(&b);
    }
    return newt__btree_fill(&b, next, arg);
}
