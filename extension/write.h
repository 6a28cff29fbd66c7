/*
 * write.h - the objects that a commit writes
 */
#ifndef NEWT_PG_WRITE_H
#define NEWT_PG_WRITE_H

#include "plain.h"

#include "utils/array.h"

/* The columns of object_state. */
enum {
    NEWT_PG_OBJECT_ZOID,
    NEWT_PG_OBJECT_SERIAL,
    NEWT_PG_OBJECT_STATE,
    NEWT_PG_N_OBJECT
};

extern const newt_pg_plain_column newt_pg_object_columns[NEWT_PG_N_OBJECT];

/* Objects as arrays of the same length: those stored already come first, rising, then new ones. */
typedef struct newt_pg_written {
    ArrayType *zoids;     /* bigint[] */
    ArrayType *serials;   /* bigint[]: those that they have; 0: it is new */
    ArrayType *states;    /* bytea[] */
    int64 serial;         /* that they get */
    bool projected;       /* with their rows of newt_projection */
    bool tells_changed;   /* that another transaction has changed one, instead of an error */
    const char *function; /* who writes, for messages */
} newt_pg_written;

/* Writes them into the store's tables; an error if another transaction has changed one. What is
 * written is not visible to the present command. */
extern void newt_pg_write_states(Oid schema, const newt_pg_written *w);

typedef enum newt_pg_outcome {
    NEWT_PG_WRITTEN,
    NEWT_PG_CHANGED,  /* one of them, by another transaction: some may be written */
    NEWT_PG_NOT_PLAIN /* the tables: nothing is, and statements are to do it */
} newt_pg_outcome;

/* The same, but tells what came of it. */
extern newt_pg_outcome newt_pg_try_to_write_states(Oid schema, const newt_pg_written *w);

#endif
