/*
 * lookup.h - records of a store by their oids, one after another
 *
 * Rights are the caller's: every record comes out of a query of the caller's, which PostgreSQL
 * checks and rewrites as any other (privileges, row security, views), in the caller's snapshot. It
 * is one query for one object, started once and then rescanned for each: to start a query takes
 * many times as long as to find a row in an index.
 */
#ifndef NEWT_PG_LOOKUP_H
#define NEWT_PG_LOOKUP_H

#include "newt_pg.h"

#include "executor/execdesc.h"
#include "executor/tuptable.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"

/* Zeros at first. */
typedef struct newt_pg_lookup {
    char *sql;
    PlannedStmt *plan;
    ParamListInfo params; /* $1, the oid */
    QueryDesc *query;     /* NULL: not begun */
    bool rescan;          /* it can be gone through again with another oid */
} newt_pg_lookup;

/* The columns of a row. */
enum {
    NEWT_PG_LOOKUP_ZOID,
    NEWT_PG_LOOKUP_SERIAL,
    NEWT_PG_LOOKUP_STATE,
    NEWT_PG_LOOKUP_COLUMNS
};

/* Makes the plan, which lies in the current memory context. As store is a name, what stands in it
 * does not matter. */
extern void newt_pg_lookup_begin(newt_pg_lookup *l, const char *store);
/* The first row of an object; NULL: there is none. It is valid until the next call. */
extern TupleTableSlot *newt_pg_lookup_find(newt_pg_lookup *l, int64 oid);
/* Another one, if there are several: a view may be in the table's place. */
extern TupleTableSlot *newt_pg_lookup_next(newt_pg_lookup *l);
/* Ends the query, if it was begun; another find begins it again. */
extern void newt_pg_lookup_end(newt_pg_lookup *l);

#endif
