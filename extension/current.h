/*
 * current.h - an object as it is now, read without a statement of SQL
 */
#ifndef NEWT_PG_CURRENT_H
#define NEWT_PG_CURRENT_H

#include "newt_pg.h"

#include "nodes/parsenodes.h"

typedef struct newt_pg_current {
    int64 serial; /* 0: there is no such object */
    bytea *record;
} newt_pg_current;

/* The newest that is committed, and what this transaction has done. False: the store's table is not
 * plain for a user with these rights, so a statement is to do it. */
extern bool newt_pg_read_current(Oid schema, int64 zoid, AclMode rights, newt_pg_current *out);

#endif
