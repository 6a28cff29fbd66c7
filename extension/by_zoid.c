/*
 * by_zoid.c - rows of a table, found by going along its primary key
 *
 * The zoids of a batch rise, and mostly lie close together. To go on to the next entry is cheaper
 * than a search, which is left for what is further away.
 */
#include "by_zoid.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

enum {
    NEAR = 16 /* entries gone past before a search */
};

bool
newt_pg_open_key(newt_pg_by_zoid *t)
{
    Relation index;
    AttrNumber first;

    list_free(RelationGetIndexList(t->heap)); /* sets rd_pkindex */
    if (!OidIsValid(t->heap->rd_pkindex))
        return false;
    t->index = index = index_open(t->heap->rd_pkindex, AccessShareLock);
    first = index->rd_index->indkey.values[0];
    return index->rd_rel->relam == BTREE_AM_OID && first > 0 &&
           TupleDescAttr(RelationGetDescr(t->heap), first - 1)->atttypid == INT8OID &&
           index->rd_opfamily[0] == INTEGER_BTREE_FAM_OID && index->rd_indoption[0] == 0;
}

void
newt_pg_close_by_zoid(newt_pg_by_zoid *t)
{
    if (t->scan)
        index_endscan(t->scan);
    if (t->index)
        index_close(t->index, AccessShareLock);
    if (t->heap)
        table_close(t->heap, NoLock);
    *t = (newt_pg_by_zoid){0};
}

void
newt_pg_step(newt_pg_by_zoid *t)
{
    bool isnull;

    t->passed = t->at;
    t->end = index_getnext_tid(t->scan, ForwardScanDirection) == NULL;
    if (!t->end)
        t->at = DatumGetInt64(index_getattr(t->scan->xs_itup, 1, t->scan->xs_itupdesc, &isnull));
}

void
newt_pg_scan(newt_pg_by_zoid *t, Snapshot snapshot, int64 first, int64 last)
{
    if (t->scan)
        index_endscan(t->scan);
    ScanKeyInit(&t->keys[0], 1, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(first));
    ScanKeyInit(&t->keys[1], 1, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(last));
    t->scan = newt_pg_index_beginscan(t->heap, t->index, snapshot, 2);
    t->scan->xs_want_itup = true;
    index_rescan(t->scan, t->keys, 2, NULL, 0);
    t->at = PG_INT64_MIN;
    newt_pg_step(t);
}

void
newt_pg_seek(newt_pg_by_zoid *t, int64 zoid)
{
    if (t->passed < zoid)
        return;
    t->keys[0].sk_argument = Int64GetDatum(zoid);
    index_rescan(t->scan, t->keys, 2, NULL, 0);
    t->at = PG_INT64_MIN;
    newt_pg_step(t);
}

void
newt_pg_only(newt_pg_by_zoid *t, int64 zoid)
{
    t->keys[0].sk_argument = t->keys[1].sk_argument = Int64GetDatum(zoid);
    index_rescan(t->scan, t->keys, 2, NULL, 0);
    t->at = PG_INT64_MIN;
    newt_pg_step(t);
}

bool
newt_pg_find(newt_pg_by_zoid *t, int64 zoid)
{
    for (int passed = 1; !t->end && t->at < zoid; passed++) {
        if (passed % NEAR == 0) {
            t->keys[0].sk_argument = Int64GetDatum(zoid);
            index_rescan(t->scan, t->keys, 2, NULL, 0);
        }
        newt_pg_step(t);
    }
    return !t->end && t->at == zoid;
}

bool
newt_pg_fetch(newt_pg_by_zoid *t, int64 zoid, TupleTableSlot *slot)
{
    for (bool found = newt_pg_find(t, zoid); found;
         newt_pg_step(t), found = !t->end && t->at == zoid)
        if (index_fetch_heap(t->scan, slot))
            return true;
    return false;
}
