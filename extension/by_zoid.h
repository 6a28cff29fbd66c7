/*
 * by_zoid.h - rows of a table, found by going along its primary key
 */
#ifndef NEWT_PG_BY_ZOID_H
#define NEWT_PG_BY_ZOID_H

#include "newt_pg.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/*
 * A table whose primary key begins with a bigint, here its zoid. Zeros at first; heap is given by
 * the caller, opened.
 */
typedef struct newt_pg_by_zoid {
    Relation heap, index;
    IndexScanDesc scan;
    ScanKeyData keys[2];
    int64 at;     /* the entry where the scan stands */
    int64 passed; /* the one before */
    bool end;     /* it is through */
} newt_pg_by_zoid;

/* Opens the primary key; false: it is not a btree that begins with a rising bigint. */
extern bool newt_pg_open_key(newt_pg_by_zoid *t);
/* Closes all that is open, heap too, and keeps the locks on tables. */
extern void newt_pg_close_by_zoid(newt_pg_by_zoid *t);

/* To go through the entries from first to last, as the snapshot has them. */
extern void newt_pg_scan(newt_pg_by_zoid *t, Snapshot snapshot, int64 first, int64 last);
extern void newt_pg_step(newt_pg_by_zoid *t);
/* Back, if the scan has gone past this zoid. */
extern void newt_pg_seek(newt_pg_by_zoid *t, int64 zoid);
/* To the entries of this zoid and no others: for zoids far apart, for a search in a range reads all
 * of a page of the index that is in the range. */
extern void newt_pg_only(newt_pg_by_zoid *t, int64 zoid);
/* Whether there is an entry with this zoid. The zoids that are asked for rise. */
extern bool newt_pg_find(newt_pg_by_zoid *t, int64 zoid);
/* The row with this zoid that the snapshot has; once for each, or after newt_pg_seek or
 * newt_pg_only: a second look at an entry goes on from the row found, takes it for dead, and would
 * take the entry from the index. */
extern bool newt_pg_fetch(newt_pg_by_zoid *t, int64 zoid, TupleTableSlot *slot);

#endif
