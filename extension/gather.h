/*
 * gather.h - what the row of a transaction says that SQL functions have written
 */
#ifndef NEWT_PG_GATHER_H
#define NEWT_PG_GATHER_H

#include "newt_pg.h"

/* Columns of the table transaction; 0: null. */
typedef struct newt_pg_said {
    Datum written, removed; /* null: they are in transaction_object */
    Datum classes;
    Datum username, description;
    Datum extension; /* as text */
} newt_pg_said;

/* At the commit, in the current memory context; false: nothing was changed. */
extern bool newt_pg_gather(Oid table, Oid user, int64 serial, newt_pg_said *said);

/* An error if a class that was written has got an index since then. Under the commit lock: whoever
 * makes one has committed, or will see what was written here. */
extern void newt_pg_check_indexes(Oid table, uint64 as_of);

#endif
