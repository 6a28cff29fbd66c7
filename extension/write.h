/*
 * write.h - the objects that a commit writes
 */
#ifndef NEWT_PG_WRITE_H
#define NEWT_PG_WRITE_H

#include "newt_pg.h"
#include "utils/array.h"

/* Objects as arrays of the same length: those stored already come first, rising, then new ones. */
typedef struct newt_pg_written {
    ArrayType *zoids;     /* bigint[] */
    ArrayType *serials;   /* bigint[]: those that they have; 0: it is new */
    ArrayType *states;    /* bytea[] */
    int64 serial;         /* that they get */
    bool projected;       /* with their rows of newt_projection */
    const char *function; /* who writes, for messages */
} newt_pg_written;

/* Writes them into the store's tables; an error if another transaction has changed one. What is
 * written is not visible to the present command. */
extern void newt_pg_write_states(Oid schema, const newt_pg_written *w);
/* The same; false: the tables are not plain, so statements are to do it. */
extern bool newt_pg_try_to_write_states(Oid schema, const newt_pg_written *w);

#endif
