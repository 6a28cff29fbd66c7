/*
 * btree.h - trees, read from the records of their nodes
 *
 * What a tree is, bridge/btree/btree.h says. Here nothing is known of one but its records: how many
 * parts its keys have, and of which kinds they are, is seen in them. They may be damaged, or made
 * to do harm: a node is checked when it is read.
 */
#ifndef NEWT_PG_BTREE_H
#define NEWT_PG_BTREE_H

#include "lookup.h"

enum {
    NEWT_PG_KEY_PARTS = 3,
    NEWT_PG_TREE_LEVELS = 48,
    NEWT_PG_NODE_ITEMS = 1 << 22 /* of a list in a node: far more than a program puts there */
};

/* ---- keys (btree_key.c) --------------------------------------------------------------------- */

/* An item of a record. */
typedef struct newt_pg_item {
    uint32 offset, end;
    uint32 shared; /* numbers given to shared values before it */
    bool hidden;
} newt_pg_item;

/* A key, or one of its parts. */
typedef struct newt_pg_part {
    newt__kind kind; /* text that is not UTF-8 is text, too */
    bool is_string;  /* a text that JSON can hold */
    union {
        struct {
            int64 i;
            uint64 u; /* decides where i is the same */
        } number;
        struct {
            const char *s;
            size_t n;
        } bytes; /* of a text, bytes, a UUID */
    };
    newt_pg_item item; /* of a key in a record */
} newt_pg_part;

/* The first n parts of a key, which it begins with: a bound. */
typedef struct newt_pg_key {
    newt_pg_part parts[NEWT_PG_KEY_PARTS];
    int n;
} newt_pg_key;

/* False: no key is of this kind. */
extern bool newt_pg_part_read(const newt__token *t, newt_pg_part *part);
/* Less than, equal to, or greater than 0; both are of one kind. */
extern int newt_pg_part_compare(const newt_pg_part *a, const newt_pg_part *b);
/* The form that the projection has for it, read back as a part of this kind; also what to_jsonb
 * makes of a timestamptz. False: it is none. */
extern bool newt_pg_part_of_json(const JsonbValue *v, newt__kind kind, newt_pg_part *part);
/* How a kind is called in an error. */
extern const char *newt_pg_part_noun(newt__kind kind);
/* A key of n parts of a record: as the projection shows it, but whole, however long it is. One of
 * several parts is an array. */
extern Jsonb *newt_pg_key_show(const char *record, const newt_pg_part *const parts[], int n);

/* ---- nodes (btree_node.c) ------------------------------------------------------------------- */

/* What a record is as a node. All of it is in the memory in which it was read, or in the record. */
typedef struct newt_pg_tree_node {
    const char *record;
    const char *class_name; /* not terminated */
    int class_n;
    uint32 level; /* 0: a leaf */
    bool is_root;
    bool has_values;
    int n_parts;
    uint32 n; /* keys */
    newt_pg_part *keys[NEWT_PG_KEY_PARTS];
    uint32 n_values, n_children, n_counts;
    newt_pg_item *values;
    int64 *children, *counts;
} newt_pg_tree_node;

/* Reads a record; one that is no record raises an error. What is wrong with the node; NULL:
 * nothing. *is_node: it has at least the fields of one. */
extern const char *newt_pg_tree_node_read(newt_pg_tree_node *x, const char *record, size_t size,
                                          bool *is_node);

/* A key of the node against a bound. */
static inline int
newt_pg_tree_node_compare(const newt_pg_tree_node *x, uint32 i, const newt_pg_key *key)
{
    int order = 0;

    for (int part = 0; part < key->n && order == 0; part++)
        order = newt_pg_part_compare(&x->keys[part][i], &key->parts[part]);
    return order;
}
/* The first key that is not less than a bound; after: that is greater. */
extern uint32 newt_pg_tree_node_search(const newt_pg_tree_node *x, const newt_pg_key *key,
                                       bool after);
extern void newt_pg_tree_node_key(const newt_pg_tree_node *x, uint32 i, newt_pg_key *key);

/* ---- ranges (btree_range.c) ----------------------------------------------------------------- */

/* Where a range begins or ends. */
typedef struct newt_pg_bound {
    const char *name; /* of the argument */
    Jsonb *given;     /* NULL: none */
    bool without;     /* the key itself */
    bool is_known;    /* key is that */
    newt_pg_key key;
} newt_pg_bound;

/* A node on the way from the root to a leaf. */
typedef struct newt_pg_step {
    MemoryContext memory; /* NULL: none yet */
    newt_pg_tree_node node;
    uint32 at; /* the child below; of the leaf, the entries that come next begin there */
    bool has_low, has_high; /* its keys are not less than low, and less than high, as the nodes */
    newt_pg_key low, high;  /* above say */
} newt_pg_step;

/* Part of a tree, to be gone through in order. Zeros at first, but for the first members, and for
 * the plan in records if there is one. */
typedef struct newt_pg_range {
    const char *store;
    int64 zoid;
    newt_pg_bound from, to;
    bool descending;
    newt_pg_lookup records;
    /* the rest is btree_range.c's */
    MemoryContext memory;                /* lives as long as the range */
    newt__kind kinds[NEWT_PG_KEY_PARTS]; /* of the keys; NEWT__END: not known yet */
    int depth;                           /* of the leaf; the root's is 0 */
    uint32 stop;                         /* the leaf's entries up to here are in the range */
    bool is_open, is_begun;
    newt_pg_step steps[NEWT_PG_TREE_LEVELS];
} newt_pg_range;

/* Finds the root. NULL: there is no such object. The current memory context is the range's. */
extern const newt_pg_tree_node *newt_pg_range_open(newt_pg_range *range);
/* The next entry: *i of a leaf, which is valid until the next call. NULL: that was all. */
extern const newt_pg_tree_node *newt_pg_range_next(newt_pg_range *range, uint32 *i);
/* The tree has another form than it can have: an error. */
NEWT_PG_NORETURN extern void newt_pg_range_broken(const newt_pg_range *range, int64 zoid,
                                                  const char *what);
/* Ends the query; the memory stays. */
extern void newt_pg_range_close(newt_pg_range *range);

#endif
