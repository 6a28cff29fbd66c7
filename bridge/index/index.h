/*
 * index.h - indexes: what the files about them share, and what transactions call
 *
 * An index is a tree of bytes: keys in a form that memcmp() orders, and after them, unless the
 * index is unique, the oid of the object; the values are references to the objects. A map under the
 * root "newt.indexes" leads from the names of the indexes to what the store remembers of each.
 *
 * What is to be put right is known by the list of objects that were asked for writing, made or
 * deleted since it was last done (newt__jar.to_index). What an object is in the trees under is the
 * key of the record it was loaded from, or, if the trees have been put right in this transaction
 * already, what was noted then (object/spill.c).
 */
#ifndef NEWT_INDEX_ROOM_H
#define NEWT_INDEX_ROOM_H

#include "../object/object.h"

/* ---- keys (key.c) ---------------------------------------------------------------------------- */

enum {
    NEWT__KEY_SIZE = NEWT_INDEX_KEY + sizeof(int64_t) /* with an oid */
};

typedef struct newt__index_key {
    bool absent; /* the object is not in the index */
    uint16_t n;
    uint8_t bytes[NEWT__KEY_SIZE];
} newt__index_key;

/* The key that an object has in the tree; object NULL: absent. NEWT_ELIMIT: it is too long. */
int newt__index_key_of(const newt__class_index *x, int64_t oid, const void *object,
                       newt__index_key *out);
/* The first parts of a key of the program's; NEWT_EINVAL: one is null. */
int newt__index_key_given(const newt__class_index *x, const void *key, uint32_t parts,
                          newt__index_key *out);
/* The least that is greater than all that begins like this; false: there is none. */
bool newt__index_key_next(newt__index_key *k);
static inline newt_bytes
newt__index_key_bytes(const newt__index_key *k)
{
    return (newt_bytes){k->bytes, k->n, 0};
}
static inline bool
newt__index_key_same(const newt__index_key *a, const newt__index_key *b)
{
    return a->absent == b->absent &&
           (a->absent || (a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0));
}

/* ---- what the store remembers (registry.c) ------------------------------------------------------
 */

/* newt.Index: one index. */
struct newt__index_state {
    newt_text name, class_name, definition;
    newt_ref tree;
    newt_ref after; /* a newt.Length: objects up to this oid have been put in; null: all */
};
NEWT_DECLARE(newt__index_state);

NEWT_DECLARE_BTREE(newt__index_node, newt_bytes, newt_ref);

/* The library's own classes, of all rooms; NULL after the last (builtin.c). */
extern const newt_class *const newt__builtin_classes[];

/* One index in this transaction. */
typedef struct newt__index_tree {
    newt_ref state, tree;
    bool filled;
} newt__index_tree;

/* That of the program; NULL: the class does not list it, and the error says so. */
const newt__class_index *newt__index_of(newt__jar *c, const newt_index *table);
/* NEWT_EMISSING: the store does not have it; NEWT_ECLASS: another one of this name. */
int newt__index_tree_find(newt__jar *c, const newt__class_index *x, newt__index_tree *out);
/* What the store has under a name. 1, 0 (nothing) or a status. */
int newt__index_state_find(newt__jar *c, const char *name, newt_ref *out);
/* Makes the store have an empty index that is to be filled. Failing breaks the transaction. */
int newt__index_register(newt__jar *c, const newt__class_index *x);

/* ---- entries (entry.c) --------------------------------------------------------------------------
 */

/* 1: the tree was changed; 0: it needed no change; else a status, and the transaction is broken. */
int newt__index_remove(newt__jar *c, const newt__class_index *x, const newt__index_tree *tree,
                       newt_bytes key, int64_t oid);
/* The same; NEWT_EUNIQUE: another object has the key. */
int newt__index_insert(newt__jar *c, const newt__class_index *x, const newt__index_tree *tree,
                       newt_bytes key, int64_t oid);

/* Whether an object is one of the class and has the key, whatever the tree says. 1, 0 or a status.
 */
int newt__index_has_key(newt__jar *c, const newt__class_index *x, newt_bytes key, newt_ref other);

/* ---- putting right (flush.c)
 * --------------------------------------------------------------------- */

/* After it the trees have what the transaction's objects say. last: it is the commit, so nothing is
 * noted for a next time. Failing breaks the transaction. */
int newt__index_flush(newt__jar *c, bool last);

/* ---- merging (merge.c)
 * ---------------------------------------------------------------------------- */

/* Whether the trees are right when a merged object takes the place of what it was merged from: old,
 * committed, ours before and after merging. */
bool newt__index_may_merge(const newt__class *k, const newt__header *old,
                           const newt__header *committed, const newt__header *before,
                           const newt__header *after);

#endif
