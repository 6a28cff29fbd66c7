/*
 * transactions.c - the rows of a store's table transaction, in the order of their tids
 *
 * Read from its primary key, and not by a query, for it is done while others wait for the commit
 * lock.
 */
#include "transactions.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

enum {
    MOST_CHANGES = NEWT_PG_ROOM_FOR_OIDS - 2, /* as in bridge/postgres/snapshot.c */
    MOST_TRANSACTIONS = 5000
};

typedef struct transactions {
    Relation heap, index;
    SysScanDesc scan;
    AttrNumber tid, serial;
} transactions;

void
newt_pg_check_rights(Oid table, Oid user, AclMode any_of)
{
    AclResult r = pg_class_aclcheck(table, user, any_of);

    if (r != ACLCHECK_OK)
        aclcheck_error(r, OBJECT_TABLE, get_rel_name(table));
}

static AttrNumber
column(Relation heap, const char *name, Oid type)
{
    TupleDesc desc = RelationGetDescr(heap);

    for (int i = 0; i < desc->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(desc, i);

        if (!a->attisdropped && a->atttypid == type && strcmp(NameStr(a->attname), name) == 0)
            return a->attnum;
    }
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("table \"%s\" has no %s", RelationGetRelationName(heap), name)));
}

/* From this tid on; 0: all. */
static void
begin(transactions *t, Oid table, Oid user, int64 tid)
{
    ScanKeyData key;

    newt_pg_check_rights(table, user, ACL_SELECT);
    t->heap = table_open(table, AccessShareLock);
    t->tid = column(t->heap, "tid", INT8OID);
    t->serial = column(t->heap, "serial", INT8OID);
    list_free(RelationGetIndexList(t->heap)); /* sets rd_pkindex */
    if (!OidIsValid(t->heap->rd_pkindex))
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("table \"%s\" has no primary key", RelationGetRelationName(t->heap))));
    t->index = index_open(t->heap->rd_pkindex, AccessShareLock);
    if (t->heap->rd_rel->relam != HEAP_TABLE_AM_OID || t->index->rd_rel->relam != BTREE_AM_OID ||
        t->index->rd_index->indkey.values[0] != t->tid)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the primary key of table \"%s\" is not its tid",
                               RelationGetRelationName(t->heap))));
    ScanKeyInit(&key, t->tid, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(tid));
    t->scan = systable_beginscan_ordered(t->heap, t->index, GetActiveSnapshot(), tid != 0, &key);
}

static void
end(transactions *t)
{
    systable_endscan_ordered(t->scan);
    index_close(t->index, AccessShareLock);
    table_close(t->heap, AccessShareLock);
}

static bool
next(const transactions *t, ScanDirection direction, HeapTuple *row, newt_pg_position *at)
{
    TupleDesc desc = RelationGetDescr(t->heap);
    bool isnull;

    *row = systable_getnext_ordered(t->scan, direction);
    if (!HeapTupleIsValid(*row))
        return false;
    at->tid = DatumGetInt64(heap_getattr(*row, t->tid, desc, &isnull));
    at->serial = DatumGetInt64(heap_getattr(*row, t->serial, desc, &isnull));
    return true;
}

newt_pg_position
newt_pg_newest_transaction(Oid table, Oid user, int64 known)
{
    newt_pg_position newest = {0};
    bool found = false;

    /* without a bound a scan reads all entries of the last page first */
    for (int64 from = known; !found; from = 0) {
        transactions t;
        HeapTuple row;

        begin(&t, table, user, from);
        found = next(&t, BackwardScanDirection, &row, &newest) || from == 0;
        end(&t);
    }
    return newest;
}

/* ---- what they have changed ----------------------------------------------------------------- */

static void
make_room(newt_pg_changes *c)
{
    if (!c->oids)
        c->oids = palloc(NEWT_PG_ROOM_FOR_OIDS * sizeof *c->oids);
}

static void
add_own(newt_pg_changes *c)
{
    make_room(c);
    c->follows &= c->n <= MOST_CHANGES; /* a table may have it twice that is no store's */
    if (c->follows)
        c->oids[c->n++] = 0;
}

static void
add(newt_pg_changes *c, Datum value)
{
    ArrayType *array = DatumGetArrayTypeP(value);
    int more = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

    c->follows &= ARR_ELEMTYPE(array) == INT8OID && !ARR_HASNULL(array) &&
                  more <= MOST_CHANGES - c->n;
    if (!c->follows || more == 0)
        return;
    make_room(c);
    memcpy(c->oids + c->n, ARR_DATA_PTR(array), more * sizeof *c->oids);
    c->n += more;
}

/* Its oids are in transaction_object. */
static void
add_large(newt_pg_changes *c, Oid table)
{
    MemoryContext before = CurrentMemoryContext;
    Oid argument_types[] = {INT8OID, INT8OID};
    Datum values[] = {Int64GetDatum(c->at.serial), Int64GetDatum(MOST_CHANGES + 1)}, oids;
    bool isnull = true;

    SPI_connect();
    if (SPI_execute_with_args(
            psprintf("SELECT %s.newt_large($1, $2)::pg_catalog.int8[]",
                     quote_identifier(get_namespace_name(get_rel_namespace(table)))),
            2, argument_types, values, NULL, false, 0) != SPI_OK_SELECT)
        elog(ERROR, "the oids of a large transaction were not read");
    oids = SPI_processed == 1
               ? SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)
               : (Datum)0;
    before = MemoryContextSwitchTo(before);
    if (!isnull)
        add(c, oids);
    MemoryContextSwitchTo(before);
    SPI_finish();
}

static void
add_row(newt_pg_changes *c, const transactions *t, HeapTuple row, const AttrNumber *columns)
{
    bool isnull = false;

    for (int i = 0; i < 2 && !isnull; i++) {
        Datum oids = heap_getattr(row, columns[i], RelationGetDescr(t->heap), &isnull);

        if (!isnull)
            add(c, oids);
    }
    if (isnull)
        add_large(c, RelationGetRelid(t->heap));
}

void
newt_pg_read_transactions(Oid table, Oid user, int64 own_serial, newt_pg_changes *c)
{
    newt_pg_position at;
    AttrNumber columns[2];
    transactions t;
    HeapTuple row;

    begin(&t, table, user, c->at.tid);
    columns[0] = column(t.heap, "written", INT8ARRAYOID);
    columns[1] = column(t.heap, "removed", INT8ARRAYOID);
    c->follows = check_enable_rls(table, user, true) != RLS_ENABLED &&
                 next(&t, ForwardScanDirection, &row, &at) && at.tid == c->at.tid &&
                 at.serial == c->at.serial;
    if (c->follows && at.serial == own_serial)
        add_own(c);
    for (int i = 1; c->follows && next(&t, ForwardScanDirection, &row, &at); i++) {
        c->at = at;
        c->follows = i < MOST_TRANSACTIONS;
        if (!c->follows)
            break;
        if (at.serial == own_serial)
            add_own(c);
        else
            add_row(c, &t, row, columns);
    }
    end(&t);
}
