/*
 * change.c - entries put into a tree, and nodes split
 *
 * A node that has become too large keeps its first half; the second goes to a new node on its
 * right. So whoever still holds it as it was finds in its `high` whether a key of his is meant.
 */
#include "btree.h"

#include <string.h>

/* ---- items of a node --------------------------------------------------------------------- */

static int
no_memory(const newt__btree *b)
{
    newt__base_fail_memory(&b->c->base);
    return newt__btree_break(b);
}

/* A place for one item more in a column; NULL: refused. */
static void *
open_place(newt__header *h, newt__array_layout *column, size_t size, uint32_t at)
{
    char *item;

    if (!newt__array_room(h, column, size, 1))
        return NULL;
    item = column->edit_ + at * size;
    memmove(item + size, item, (column->n - at) * size);
    column->n++;
    return item;
}

/* One value in a column, copied. */
static int
insert_value(const newt__btree *b, newt__node *node, const newt__field *f, uint32_t at,
             const void *value)
{
    newt__header *h = newt__header_of(node);
    void *place = open_place(h, newt__column_of(node, f), f->f.size, at);

    if (!place)
        return b->c->base.error.status; /* broken already */
    memcpy(place, value, f->f.size);
    return newt__value_take(h, f, f->f.kind, place) ? NEWT_OK : no_memory(b);
}

static int
insert_child(const newt__btree *b, newt__node *node, uint32_t at, newt_ref child)
{
    newt_ref *place = open_place(newt__header_of(node), newt__children_of(node), sizeof child, at);

    if (!place)
        return b->c->base.error.status;
    *place = child;
    return NEWT_OK;
}

int
newt__child_append(const newt__btree *b, newt__node *node, newt_ref child)
{
    return insert_child(b, node, node->children_.n, child);
}

/* What is known of its size is kept up to date; 0: nothing. */
static void
measure(const newt__tree *t, newt__node *node, uint32_t at)
{
    if (node->bytes_ == 0)
        node->bytes_ = newt__node_bytes(t, node);
    else
        node->bytes_ += newt__entry_bytes(t, node, at);
}

int
newt__item_insert(const newt__btree *b, newt__node *node, uint32_t at, const void *key,
                  const void *value, newt_ref child)
{
    const newt__tree *t = b->t;
    int status = NEWT_OK;

    for (uint32_t part = 0; part < t->n_keys && status == NEWT_OK; part++)
        status = insert_value(b, node, t->keys[part], at, (const char *)key + t->key_at[part]);
    if (status == NEWT_OK && node->level_ == 0 && t->values)
        status = insert_value(b, node, t->values, at, value);
    if (status == NEWT_OK && node->level_ > 0)
        status = insert_child(b, node, at + 1, child);
    if (status == NEWT_OK)
        measure(t, node, at);
    return status;
}

int
newt__items_copy(const newt__btree *b, newt__node *to, const newt__node *from, uint32_t at)
{
    const newt__tree *t = b->t;
    uint32_t n = newt__node_n(t, from);
    int status = NEWT_OK;
    newt__key key;
    newt_ref none = {0};

    if (from->level_ > 0)
        status = newt__child_append(b, to, from->children_.items[at]);
    for (uint32_t i = at; i < n && status == NEWT_OK; i++) {
        newt__key_get(t, t->keys, from, i, &key);
        status = newt__item_insert(b, to, newt__node_n(t, to), &key,
                                   from->level_ == 0 && t->values
                                       ? newt__column_of(from, t->values)->items +
                                             (size_t)i * t->values->f.size
                                       : NULL,
                                   from->level_ > 0 ? from->children_.items[i + 1] : none);
    }
    return status;
}

void
newt__items_truncate(const newt__btree *b, newt__node *node, uint32_t n)
{
    const newt__tree *t = b->t;

    for (uint32_t part = 0; part < t->n_keys; part++)
        newt__column_of(node, t->keys[part])->n = n;
    if (node->level_ == 0 && t->values)
        newt__column_of(node, t->values)->n = n;
    if (node->level_ > 0)
        node->children_.n = n + 1;
    node->bytes_ = 0;
}

int
newt__node_end(const newt__btree *b, newt__node *node, const void *key)
{
    const newt__tree *t = b->t;
    int status = NEWT_OK;

    for (uint32_t part = 0; part < t->n_keys && status == NEWT_OK; part++) {
        newt__column_of(node, t->high[part])->n = 0;
        if (key)
            status = insert_value(b, node, t->high[part], 0, (const char *)key + t->key_at[part]);
    }
    return status;
}

/* ---- splitting --------------------------------------------------------------------------- */

/* The root passes all it has to a new node below it, so that this can be split. */
static int
grow_root(const newt__btree *b, newt__path *path)
{
    int top = path->levels - 1, status;
    newt__node *root, *child = NULL;

    if (path->levels == NEWT__MOST_LEVELS) {
        newt__base_fail(&b->c->base, NEWT_ELIMIT, b->root.oid, "the tree %s %lld has %d levels",
                        b->table->name, (long long)b->root.oid, NEWT__MOST_LEVELS);
        return newt__btree_break(b);
    }
    root = newt__node_write(b, b->root, top);
    if (root)
        child = newt__node_new(b, root->level_);
    if (!child) {
        newt__node_done(root);
        return b->c->base.error.status;
    }
    status = newt__items_copy(b, child, root, 0);
    if (status == NEWT_OK) {
        int64_t n = root->level_ == 0 ? newt__node_n(b->t, root) : 0;

        newt__items_truncate(b, root, 0);
        root->children_.n = 0;
        root->level_++;
        status = newt__child_append(b, root, newt__node_ref(child));
        if (status == NEWT_OK)
            status = newt__counts_grow(b, root, n);
    }
    path->steps[top].node = newt__node_ref(child);
    path->steps[path->levels++] = (newt__step){b->root, 0};
    newt__node_done(child);
    newt__node_done(root);
    return status;
}

/* How many items stay. What is appended again and again leaves full nodes. */
static uint32_t
split_at(const newt__btree *b, const newt__node *node, uint32_t put_at)
{
    uint32_t n = newt__node_n(b->t, node), least = 1, most = node->level_ > 0 ? n - 2 : n - 1;
    uint32_t half, bytes = 0, i;

    if (put_at == n - 1 && !newt__node_has_high(b->t, node))
        return most;
    half = newt__node_bytes(b->t, node) / 2;
    for (i = 0; i < most && bytes < half; i++)
        bytes += newt__entry_bytes(b->t, node, i);
    return i < least ? least : i;
}

/* Whether a node is to be split: it is too large, and both halves would have something. */
static bool
is_too_large(const newt__tree *t, const newt__node *node)
{
    return node->bytes_ > t->node_bytes && newt__node_n(t, node) >= (node->level_ > 0 ? 3 : 2);
}

/* What the node has from an item on goes to a new one on its right; key: the first of that. */
static int
move_half(const newt__btree *b, newt__node *node, newt__node *right, uint32_t stay, void *key)
{
    const newt__tree *t = b->t;
    newt__key high;
    int status;

    newt__key_get(t, t->keys, node, stay, key);
    /* an inner node's key goes up: it is between the two */
    status = newt__items_copy(b, right, node, stay + (node->level_ > 0));
    if (status == NEWT_OK && newt__node_has_high(t, node)) {
        newt__key_get(t, t->high, node, 0, &high);
        status = newt__node_end(b, right, &high);
    }
    if (status != NEWT_OK)
        return status;
    right->next_ = node->next_;
    if (node->level_ == 0)
        node->next_ = newt__node_ref(right);
    newt__items_truncate(b, node, stay);
    return newt__node_end(b, node, key);
}

/* Splits the node at a level of the path if it is too large, and those above as far as it takes. */
static int
split(const newt__btree *b, newt__path *path, int level, newt__node *node, uint32_t put_at)
{
    newt__key key;
    newt__node *right, *parent;
    int status = NEWT_OK;

    if (!is_too_large(b->t, node))
        return NEWT_OK;
    if (level == path->levels - 1) {
        status = grow_root(b, path);
        if (status != NEWT_OK)
            return status;
        node = newt__node_write(b, path->steps[level].node, level);
        if (!node)
            return b->c->base.error.status;
        status = split(b, path, level, node, put_at);
        newt__node_done(node);
        return status;
    }
    right = newt__node_new(b, node->level_);
    parent = right ? newt__node_write(b, path->steps[level + 1].node, level + 1) : NULL;
    if (!parent) {
        newt__node_done(right);
        return b->c->base.error.status;
    }
    status = move_half(b, node, right, split_at(b, node, put_at), &key);
    if (status == NEWT_OK)
        status = newt__item_insert(b, parent, path->steps[level + 1].at, &key, NULL,
                                   newt__node_ref(right));
    if (status == NEWT_OK)
        status = split(b, path, level + 1, parent, path->steps[level + 1].at);
    newt__node_done(right);
    newt__node_done(parent);
    return status;
}

/* ---- entries ----------------------------------------------------------------------------- */

int
newt__entry_add(const newt__btree *b, newt__path *path, const void *key, const void *value)
{
    newt__node *leaf = newt__node_write(b, path->steps[0].node, 0);
    int status;

    if (!leaf)
        return b->c->base.error.status;
    status = newt__item_insert(b, leaf, path->steps[0].at, key, value, (newt_ref){0});
    if (status == NEWT_OK)
        status = newt__counts_add(b, 1);
    if (status == NEWT_OK)
        status = split(b, path, 0, leaf, path->steps[0].at);
    newt__node_done(leaf);
    return status;
}

/* What grows may have to be split as with a new entry, but nothing is appended. */
int
newt__entry_set(const newt__btree *b, newt__path *path, const void *value)
{
    const newt__tree *t = b->t;
    const newt__field *f = t->values;
    newt__node *leaf = f ? newt__node_write(b, path->steps[0].node, 0) : NULL;
    uint32_t at = path->steps[0].at, was, bytes;
    char *place;
    int status = NEWT_OK;

    if (!f)
        return NEWT_OK;
    if (!leaf)
        return b->c->base.error.status;
    was = newt__entry_bytes(t, leaf, at);
    place = newt__column_of(leaf, f)->edit_ + (size_t)at * f->f.size;
    memcpy(place, value, f->f.size);
    if (!newt__value_take(newt__header_of(leaf), f, f->f.kind, place))
        status = no_memory(b);
    if (status == NEWT_OK) {
        bytes = newt__entry_bytes(t, leaf, at);
        leaf->bytes_ = bytes < was || leaf->bytes_ == 0 ? newt__node_bytes(t, leaf)
                                                        : leaf->bytes_ + (bytes - was);
        status = split(b, path, 0, leaf, newt__node_n(t, leaf));
    }
    newt__node_done(leaf);
    return status;
}

/* ---- for the program --------------------------------------------------------------------- */

newt_ref
newt_btree_create(newt_conn *c, const newt_class *k)
{
    newt__node *root = newt_new(c, k);
    newt_ref r = {0};

    if (!root)
        return r;
    if (!newt__header_of(root)->class->tree) {
        newt__base_fail(&newt__jar_of(c)->base, NEWT_EINVAL, 0, "%s is no class of trees", k->name);
        newt_delete(c, newt__node_ref(root));
        return r;
    }
    root->root_ = true;
    newt__node_done(root);
    return newt__node_ref(root);
}

enum {
    WAS_THERE = 0,
    IS_NEW = 1
};

static int
put(newt_conn *c, newt_ref r, const newt_class *k, const void *key, const void *value, bool replace)
{
    const newt__node *leaf;
    newt__btree b;
    newt__path path;
    int status = newt__btree_open(&b, c, r, k);

    if (status == NEWT_OK)
        status = newt__key_check(&b, key);
    if (status == NEWT_OK && b.t->values && !value)
        status = newt__base_fail(&b.c->base, NEWT_EINVAL, r.oid,
                                 "the tree %s %lld was given no value", k->name, (long long)r.oid);
    if (status != NEWT_OK)
        return newt__base_break(&newt__jar_of(c)->base);
    status = newt__counts_fetch(&b, key, false, false);
    leaf = status == NEWT_OK ? newt__descend(&b, key, b.t->n_keys, false, &path) : NULL;
    if (!leaf)
        return newt__btree_break(&b);
    if (!newt__node_has(b.t, leaf, path.steps[0].at, key)) {
        status = newt__entry_add(&b, &path, key, value);
        return status == NEWT_OK ? IS_NEW : status;
    }
    status = replace ? newt__entry_set(&b, &path, value) : NEWT_OK;
    return status == NEWT_OK ? WAS_THERE : status;
}

int
newt_btree_put(newt_conn *c, newt_ref r, const newt_class *k, const void *key, const void *value)
{
    int status = put(c, r, k, key, value, true);

    return status < 0 ? status : NEWT_OK;
}

int
newt_btree_insert(newt_conn *c, newt_ref r, const newt_class *k, const void *key, const void *value)
{
    return put(c, r, k, key, value, false);
}
