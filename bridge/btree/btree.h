/*
 * btree.h - trees: what the files about them share
 *
 * A tree is known by its root, whose oid never changes. A leaf (level 0) has entries; an inner node
 * has n children and the n - 1 keys between them: those of child i are less than key i. A node that
 * is not the last of its level has in `high` the key that its right neighbour begins with, so it
 * says itself how far it goes: see merge.c. Leaves are linked by `next`.
 */
#ifndef NEWT_BTREE_ROOM_H
#define NEWT_BTREE_ROOM_H

#include "../object/object.h"

enum {
    NEWT__MOST_LEVELS = 48, /* a node has two children at least where it was split */
    NEWT__MOST_AHEAD = 256  /* leaves that are loaded at once */
};

/* A key of the program's. */
typedef struct newt__key {
    _Alignas(int64_t) char bytes[NEWT__MOST_KEYS * sizeof(newt_uuid)];
} newt__key;

typedef struct newt__btree {
    newt__jar *c;
    const newt_class *table;
    const newt__tree *t;
    newt_ref root;
    const newt__node *top; /* the root, not pinned: until something is loaded */
} newt__btree;

/* ---- columns -------------------------------------------------------------------------------- */

static inline newt__array_layout *
newt__column_of(const void *node, const newt__field *f)
{
    return (newt__array_layout *)(void *)((char *)(uintptr_t)node + f->f.offset);
}
static inline newt__array_layout *
newt__children_of(const newt__node *node)
{
    return (newt__array_layout *)(void *)&((newt__node *)(uintptr_t)node)->children_;
}
/* Entries of a leaf, keys of an inner node. */
static inline uint32_t
newt__node_n(const newt__tree *t, const newt__node *node)
{
    return newt__column_of(node, t->keys[0])->n;
}
static inline bool
newt__node_has_high(const newt__tree *t, const newt__node *node)
{
    return newt__column_of(node, t->high[0])->n > 0;
}

/* ---- nodes (node.c) ------------------------------------------------------------------------- */

/* Opens a tree; NEWT_EINVAL: k is no class of trees, or r is a node inside one. */
int newt__btree_open(newt__btree *b, newt_conn *c, newt_ref r, const newt_class *k);
/* A node of this level (-1: any) that is not pinned: valid until something else is loaded. NULL:
 * the connection's error says why. */
const newt__node *newt__node_read(const newt__btree *b, newt_ref r, int level);
/* The same, to be changed: pinned. NULL: failed, the transaction is broken. */
newt__node *newt__node_write(const newt__btree *b, newt_ref r, int level);
/* A new one, pinned. NULL: failed, the transaction is broken. */
newt__node *newt__node_new(const newt__btree *b, uint8_t level);
static inline void
newt__node_done(const newt__node *node)
{
    newt_done((const newt_object *)(const void *)node);
}
static inline newt_ref
newt__node_ref(const newt__node *node)
{
    return newt_ref_of((const newt_object *)(const void *)node);
}
/* NEWT_EBROKEN: `what` is wrong with this node. */
int newt__node_broken(const newt__btree *b, newt_ref r, const char *what);
/* What is wrong with a node in itself, but for the order of its keys; NULL: nothing. level -1: it
 * may be any. */
const char *newt__node_fault(const newt__tree *t, const newt__node *node, int level);

/* -1, 0, 1: the i-th key of columns against another; parts: the first of them that count. */
int newt__key_compare(const newt__tree *t, const newt__field *const columns[], const void *node,
                      uint32_t i, const void *key, uint32_t parts);
/* The first key not less than key; after: the first that is greater. */
uint32_t newt__node_search(const newt__tree *t, const newt__node *node, const void *key,
                           uint32_t parts, bool after);
/* The same of two keys of the program's. */
int newt__keys_compare(const newt__tree *t, const void *a, const void *b, uint32_t parts);
/* Where a leaf has the key; false: it has not. */
bool newt__leaf_find(const newt__tree *t, const newt__node *leaf, const void *key, uint32_t *at);
/* Whether the key is at this place. */
bool newt__node_has(const newt__tree *t, const newt__node *node, uint32_t at, const void *key);
/* The program's key, of the i-th of columns; it borrows what that points to. */
void newt__key_get(const newt__tree *t, const newt__field *const columns[], const void *node,
                   uint32_t i, void *key);
/* Copies entry i of a leaf to what the program gave, and keeps the node for what it points to; out
 * may be NULL. */
void newt__value_get(const newt__tree *t, const newt__node *leaf, uint32_t i, void *out);
/* The same of its key. */
void newt__key_give(const newt__tree *t, const newt__node *leaf, uint32_t i, void *out);
/* What the record takes for item i of the columns of entries, about. */
uint32_t newt__entry_bytes(const newt__tree *t, const newt__node *node, uint32_t i);
/* The same of all of them, and the children. */
uint32_t newt__node_bytes(const newt__tree *t, const newt__node *node);
/* A bound whose first parts are no nulls, which no key has; else NEWT_EINVAL. */
int newt__bound_check(const newt__btree *b, const void *key, uint32_t parts);
/* A key that can be in a tree; else NEWT_EINVAL or NEWT_ELIMIT. */
int newt__key_check(const newt__btree *b, const void *key);

/* ---- descents (descent.c) -------------------------------------------------------------------- */

typedef struct newt__step {
    newt_ref node;
    uint32_t at; /* the child that is the next one below; of the leaf, a place */
} newt__step;
/* From the root, [levels], to the leaf, [0]. */
typedef struct newt__path {
    newt__step steps[NEWT__MOST_LEVELS];
    int levels;
} newt__path;

/* Of a tree that has just been opened: to the leaf where key is, or would be (after: what follows
 * it). key NULL: the first leaf; after: the last. NULL: the connection's error. */
const newt__node *newt__descend(const newt__btree *b, const void *key, uint32_t parts, bool after,
                                newt__path *path);
/* What a scan loads before it comes there. */
typedef struct newt__ahead {
    uint32_t most;     /* children of one node, in one round trip */
    const void *limit; /* none that begins beyond this key; or NULL */
    uint32_t parts;    /* of it that count */
} newt__ahead;
/* The leaf after (before) that of the path, which leads there then. *leaf NULL: there is none.
 * ahead NULL: only that leaf is loaded. */
int newt__path_step(const newt__btree *b, newt__path *path, bool back, const newt__ahead *ahead,
                    const newt__node **leaf);

/* ---- changes (change.c): a failure breaks the transaction -------------------------------------
 */

/* A failure of a change, which the error says; its status. */
int newt__btree_break(const newt__btree *b);
/* Item `at` of a node that is being changed: the key; the value of a leaf, or what is right of the
 * key in an inner node. What they point to is copied. */
int newt__item_insert(const newt__btree *b, newt__node *node, uint32_t at, const void *key,
                      const void *value, newt_ref child);
/* Everything of one node, from item `at` on, is copied to the end of another of its level. */
int newt__items_copy(const newt__btree *b, newt__node *to, const newt__node *from, uint32_t at);
/* Only the first n items stay, and of an inner node the child after them. */
void newt__items_truncate(const newt__btree *b, newt__node *node, uint32_t n);
int newt__child_append(const newt__btree *b, newt__node *node, newt_ref child);
/* The node ends before this key. NULL: it is the last of its level. */
int newt__node_end(const newt__btree *b, newt__node *node, const void *key);

/* Puts an entry where the path leads. */
int newt__entry_add(const newt__btree *b, newt__path *path, const void *key, const void *value);
int newt__entry_set(const newt__btree *b, newt__path *path, const void *value);

/* ---- removals (remove.c) ----------------------------------------------------------------------
 */

int newt__entry_remove(const newt__btree *b, newt__path *path);
/* Removes everything below the root, which is an empty leaf then. */
int newt__btree_empty(const newt__btree *b);

/* ---- making (load.c) ---------------------------------------------------------------------------
 */

/* Fills an empty tree with sorted entries. */
int newt__btree_fill(const newt__btree *b, newt_btree_source *next, void *arg);

/* ---- counters (count.c) ------------------------------------------------------------------------
 */

/* Of a tree whose root, which is being changed, has just grown: some for few levels, more for many.
 * n is added. */
int newt__counts_grow(const newt__btree *b, newt__node *root, int64_t n);
int newt__counts_drop(const newt__btree *b, newt__node *root);
/*
 * Before a key of a tree that has just been opened is put, or removed: loads the counter that this
 * will change, in one round trip with what is missing on the way to the leaf. Were it loaded after
 * the leaf, that could have been changed by others since this transaction began, and was used
 * already: a conflict. key NULL: that of the first entry, or (last) the last one.
 */
int newt__counts_fetch(newt__btree *b, const void *key, bool last, bool removes);
/* So many entries more. */
int newt__counts_add(const newt__btree *b, int64_t n);

/* ---- queues (queue.c) ---------------------------------------------------------------------------
 */

extern const newt_class newt__lane_class; /* newt.QueueLane */

#endif
