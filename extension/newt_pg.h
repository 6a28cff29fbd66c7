/*
 * newt_pg.h - what the extension's files share
 *
 * The codec does the parsing; these are the two ends it plugs into here: an environment made of
 * PostgreSQL's memory and interrupts, and a sink that makes jsonb.
 */
#ifndef NEWT_PG_H
#define NEWT_PG_H

#include "compat.h"
#include "utils/jsonb.h"
#include "../codec/codec.h"

/* ---- env.c -------------------------------------------------------------------------------- */

extern const newt__env newt_pg_env;

/* Raises the error for a fault found in a record of n bytes. */
NEWT_PG_NORETURN extern void newt_pg_raise(const newt__fault *fault, size_t n);

/* An error in a database whose text is not UTF-8, as that of records is. */
extern void newt_pg_need_utf8(void);

/* A fault that says something about the bytes, not about the server: try_to_jsonb gives NULL. */
extern bool newt_pg_is_bad_record(newt__code code);

/* ---- jsonb.c -------------------------------------------------------------------------------- */

/* A key, a value, or the beginning of an object or array. */
typedef struct newt_pg_node {
    uint8 kind;    /* newt__json_kind; NEWT__JSON_STRING for keys too */
    bool unsorted; /* object whose keys may not stand in jsonb's order */
    uint32 n;      /* bytes of a string; pairs or elements */
    union {
        const char *s;
        int64 i;
        Numeric number;
        uint32 link; /* the container around it; once it is closed: the node after it */
    } u;
} newt_pg_node;

/*
 * A document as the codec tells it, to be written as jsonb. Strings that lie in the record are
 * borrowed from it until newt_pg_jsonb_finish has copied them.
 */
typedef struct newt_pg_jsonb {
    newt_pg_node *nodes;
    uint32 n, cap;
    uint32 open; /* the innermost container that is open */
    size_t size; /* of the jsonb value, at most */
    uint32 n_text;
    char text[512]; /* strings that do not lie in the record, as long as there is room */
    newt_pg_node few[64];
} newt_pg_jsonb;

extern void newt_pg_jsonb_sink(newt__sink *sink, newt_pg_jsonb *out);
extern Jsonb *newt_pg_jsonb_finish(newt_pg_jsonb *out);

/* ---- projection.c -------------------------------------------------------------------------- */

/* The record's projection; NULL when it is not valid (*fault says why) or its class is hidden. */
extern Jsonb *newt_pg_project(const void *record, size_t n, newt__fault *fault);

#endif
