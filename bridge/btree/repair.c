/*
 * repair.c - a tree made anew of its leaves
 *
 * Leaves are found from above, and each leads to the next, so what an inner node was lost with is
 * found from the left. All of them are pinned until the new nodes are made.
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

enum {
    SEEN = UINT32_MAX /* in newt__node.bytes_, while nodes are looked for */
};

typedef struct entry {
    const newt__node *leaf;
    uint32_t at;
} entry;

typedef struct salvage {
    newt__btree b;
    newt__oids nodes; /* that were found; all go */
    entry *entries;
    size_t n, cap, next;
} salvage;

static int
no_memory(salvage *s)
{
    newt__base_fail_memory(&s->b.c->base);
    return newt__btree_break(&s->b);
}

/* ---- finding ----------------------------------------------------------------------------- */

static int
take_entries(salvage *s, const newt__node *leaf)
{
    uint32_t n = newt__node_n(s->b.t, leaf);

    if (s->cap - s->n < n) {
        size_t cap = 2 * (s->n + n) + 1024;
        entry *more = cap < SIZE_MAX / sizeof *more ? realloc(s->entries, cap * sizeof *more)
                                                    : NULL;

        if (!more)
            return no_memory(s);
        s->entries = more;
        s->cap = cap;
    }
    for (uint32_t i = 0; i < n; i++)
        s->entries[s->n++] = (entry){leaf, i};
    return NEWT_OK;
}

/* A node that can be read and has not been; pinned, and in the list. *out NULL: it is none. */
static int
find(salvage *s, newt_ref r, const newt__node **out)
{
    newt__jar *c = s->b.c;
    newt__node *node = newt_is_null(r)
                           ? NULL
                           : (void *)(uintptr_t)newt_read(newt__conn_of(c), r, s->b.table);

    *out = NULL;
    if (!node) {
        int status = newt__base_is_over(&c->base) ? c->base.error.status : NEWT_OK;

        if (status == NEWT_OK)
            newt__error_clear(&c->base.error);
        return status;
    }
    if (node->bytes_ == SEEN || newt__node_fault(s->b.t, node, -1)) {
        newt__node_done(node);
        return NEWT_OK;
    }
    if (!newt__oids_add(&s->nodes, r.oid))
        return no_memory(s);
    node->bytes_ = SEEN;
    *out = node;
    return NEWT_OK;
}

static int
find_below(salvage *s, newt_ref r, int level)
{
    const newt__node *node;
    int status = find(s, r, &node);

    if (status != NEWT_OK || !node)
        return status;
    if (node->level_ == 0)
        return take_entries(s, node);
    /* what is damaged may be its own child: levels end that */
    for (uint32_t i = 0; i < node->children_.n && status == NEWT_OK && level > 0; i++)
        status = find_below(s, node->children_.items[i], level - 1);
    return status;
}

/* Leaves that only those before them lead to; the list grows meanwhile. */
static int
find_beside(salvage *s)
{
    int status = NEWT_OK;

    for (size_t i = 0; i < s->nodes.n && status == NEWT_OK; i++) {
        newt_ref r = {s->nodes.oids[i]};
        const newt__node *node = newt_read(newt__conn_of(s->b.c), r, s->b.table), *next;

        if (!node)
            continue;
        newt__node_done(node); /* it was pinned before */
        if (node->level_ > 0 || newt_is_null(node->next_))
            continue;
        status = find(s, node->next_, &next);
        if (status == NEWT_OK && next && next->level_ == 0)
            status = take_entries(s, next);
    }
    return status;
}

/* The nodes may outlive this repair: an abort brings them back as they are in the cache. */
static void
forget_seen(salvage *s)
{
    for (size_t i = 0; i < s->nodes.n; i++) {
        newt__header *h = newt__cache_find(&s->b.c->cache, s->nodes.oids[i]);

        if (h)
            ((newt__node *)newt__object_of(h))->bytes_ = 0;
    }
}

/* ---- sorting ----------------------------------------------------------------------------- */

static int
compare(const salvage *s, const entry *a, const entry *b)
{
    newt__key key;

    newt__key_get(s->b.t, s->b.t->keys, b->leaf, b->at, &key);
    return newt__key_compare(s->b.t, s->b.t->keys, a->leaf, a->at, &key, s->b.t->n_keys);
}

/* Merge sort, which keeps the order of equal ones; most come sorted. */
static int
sort(salvage *s)
{
    entry *from = s->entries, *to = malloc((s->n + 1) * sizeof *to), *swap;

    if (!to)
        return no_memory(s);
    for (size_t width = 1; width < s->n; width *= 2) {
        for (size_t low = 0; low < s->n; low += 2 * width) {
            size_t middle = low + width < s->n ? low + width : s->n;
            size_t high = middle + width < s->n ? middle + width : s->n;
            size_t i = low, j = middle;

            for (size_t out = low; out < high; out++)
                to[out] = j == high || (i < middle && compare(s, &from[i], &from[j]) <= 0)
                              ? from[i++]
                              : from[j++];
        }
        swap = from;
        from = to;
        to = swap;
    }
    s->entries = from;
    free(to);
    return NEWT_OK;
}

/* ---- making ------------------------------------------------------------------------------ */

static int
next_entry(void *arg, void *key, void *value)
{
    salvage *s = arg;
    const newt__field *f = s->b.t->values;
    const entry *e;

    while (s->next > 0 && s->next < s->n &&
           compare(s, &s->entries[s->next - 1], &s->entries[s->next]) == 0)
        s->next++;
    if (s->next == s->n)
        return 0;
    e = &s->entries[s->next++];
    newt__key_get(s->b.t, s->b.t->keys, e->leaf, e->at, key);
    if (f)
        memcpy(value, newt__column_of(e->leaf, f)->items + (size_t)e->at * f->f.size, f->f.size);
    return 1;
}

/* The root has nothing now, and is all there is. */
static int
begin_anew(salvage *s)
{
    newt_conn *c = newt__conn_of(s->b.c);
    newt__node *root = newt_write(c, s->b.root, s->b.table);
    const newt__tree *t = s->b.t;

    if (!root)
        return newt__btree_break(&s->b);
    for (uint32_t i = 0; i < root->counts_.n; i++)
        if (newt_delete(c, root->counts_.items[i]) == NEWT_EMISSING)
            newt__error_clear(&s->b.c->base.error);
    for (uint32_t part = 0; part < t->n_keys; part++) {
        newt__column_of(root, t->keys[part])->n = 0;
        newt__column_of(root, t->high[part])->n = 0;
    }
    if (t->values)
        newt__column_of(root, t->values)->n = 0;
    root->children_.n = root->counts_.n = root->level_ = 0;
    root->next_ = (newt_ref){0};
    root->root_ = true;
    root->bytes_ = 0;
    newt__node_done(root);
    return newt__base_is_over(&s->b.c->base) ? s->b.c->base.error.status : NEWT_OK;
}

/* What a new tree has becomes the old root's. */
static int
take_place(salvage *s, newt_ref fresh)
{
    const newt__btree *b = &s->b;
    newt__node *root = newt__node_write(b, b->root, 0);
    newt__node *other = root ? newt__node_write(b, fresh, -1) : NULL;
    int status = NEWT_OK;

    if (!other) {
        newt__node_done(root);
        return b->c->base.error.status;
    }
    root->level_ = other->level_;
    status = newt__items_copy(b, root, other, 0);
    for (uint32_t i = 0; i < other->counts_.n && status == NEWT_OK; i++) {
        newt_ref *count = newt_array_grow((newt_object *)(void *)root, &root->counts_,
                                          sizeof *count, 1);

        if (count)
            *count = other->counts_.items[i];
        else
            status = b->c->base.error.status;
    }
    newt__node_done(other);
    newt__node_done(root);
    return status == NEWT_OK ? newt_delete(newt__conn_of(b->c), fresh) : status;
}

static int
remove_old(salvage *s)
{
    for (size_t i = 0; i < s->nodes.n; i++)
        if (s->nodes.oids[i] != s->b.root.oid) {
            int status = newt_delete(newt__conn_of(s->b.c), (newt_ref){s->nodes.oids[i]});

            if (status != NEWT_OK)
                return newt__btree_break(&s->b);
        }
    return NEWT_OK;
}

int
newt_btree_repair(newt_conn *c, newt_ref r, const newt_class *k, int64_t *entries)
{
    newt__jar *jar = newt__jar_of(c);
    salvage s = {.b = {.c = jar, .table = k, .root = r}};
    const newt__node *root = newt_read(c, r, k);
    int status;

    *entries = 0;
    if (!root)
        return newt__base_break(&jar->base);
    s.b.t = newt__header_of(root)->class->tree;
    newt__node_done(root);
    if (!s.b.t) {
        newt__base_fail(&jar->base, NEWT_EINVAL, r.oid, "%s is no class of trees", k->name);
        return newt__base_break(&jar->base);
    }
    status = find_below(&s, r, NEWT__MOST_LEVELS);
    if (status == NEWT_OK)
        status = find_beside(&s);
    forget_seen(&s);
    if (status == NEWT_OK)
        status = sort(&s);
    if (status == NEWT_OK) {
        /* the entries of a root that is a leaf are needed until they are somewhere else */
        newt_ref fresh = newt_btree_create(c, k);
        newt__btree b = {.c = jar, .table = k, .t = s.b.t, .root = fresh};

        if (newt_is_null(fresh))
            status = newt__base_break(&jar->base);
        if (status == NEWT_OK)
            status = newt__btree_fill(&b, next_entry, &s);
        if (status == NEWT_OK)
            status = remove_old(&s);
        if (status == NEWT_OK)
            status = begin_anew(&s);
        if (status == NEWT_OK)
            status = take_place(&s, fresh);
    }
    if (status == NEWT_OK) {
        int64_t length = newt_btree_length(c, r, k);

        status = length < 0 ? (int)length : NEWT_OK;
        *entries = length < 0 ? 0 : length;
    }
    newt__oids_free(&s.nodes);
    free(s.entries);
    return status;
}
