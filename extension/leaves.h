/*
 * leaves.h - the strings, numbers and references below given paths of a jsonb document
 */
#ifndef NEWT_PG_LEAVES_H
#define NEWT_PG_LEAVES_H

#include "newt_pg.h"
#include "utils/array.h"

typedef enum newt_pg_leaf_kind {
    NEWT_PG_STRING,
    NEWT_PG_NUMBER, /* as its text */
    NEWT_PG_REF     /* the number of a reference, as its text */
} newt_pg_leaf_kind;

/* s lies in the document or in the current memory context. */
typedef void newt_pg_leaf(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n);

/*
 * A path: keys joined by dots, "owner.address.city". Arrays on the way are walked through, so
 * "steps.what" is the field `what` of every step. A backslash takes the next character as it is.
 */
typedef struct newt_pg_path {
    struct newt_pg_key {
        char *s;
        int n;
    } * keys;
    int n;
    char weight; /* 'A' .. 'D', from a suffix ":A"; 0: none was given */
} newt_pg_path;

/* Parses an array of paths; raises an error for NULL in it and for a key longer than PostgreSQL's
 * text. weights: a suffix is looked for. */
extern newt_pg_path *newt_pg_paths(ArrayType *array, bool weights, int *n);

/* Gives every leaf below the path to fn, in the document's order. What the projection added
 * (keys that begin with "::" and not ":::") is passed over, except text that could only be shown
 * in part and values of unknown tags. */
extern void newt_pg_leaves(Jsonb *document, const newt_pg_path *path, newt_pg_leaf *fn, void *arg);

#endif
