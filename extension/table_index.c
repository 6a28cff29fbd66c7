/*
 * table_index.c - the indexes of a typed table: those that can refuse a row have it last
 *
 * A unique index is asked for each row as soon as that is written, so that two objects could not
 * change places in one commit, nor one hand its value to another that comes before it. So the rows
 * of a commit are all written first, and go into the indexes that may refuse them at its end: what
 * is dead by then is in nobody's way. A deferrable constraint is checked there, too: the trigger
 * that would do it does not fire. The primary key has each row at once, since it is how rows are
 * found, and no two objects share an entry of it.
 */
#include "tables.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static bool
is_strict(const ResultRelInfo *r, int i)
{
    return !r->ri_IndexRelationDescs[i]->rd_index->indisprimary &&
           (r->ri_IndexRelationInfo[i]->ii_Unique || r->ri_IndexRelationInfo[i]->ii_ExclusionOps);
}

void
newt_pg_open_indexes(newt_pg_indexes *x, ResultRelInfo *result, EState *estate)
{
    int lenient = 0;

    ExecOpenIndices(result, true);
    *x = (newt_pg_indexes){.result = result, .estate = estate, .n = result->ri_NumIndices};
    for (int i = 0; i < x->n; i++) {
        Relation index = result->ri_IndexRelationDescs[i];
        IndexInfo *info = result->ri_IndexRelationInfo[i];

        if (is_strict(result, i))
            continue;
        result->ri_IndexRelationDescs[i] = result->ri_IndexRelationDescs[lenient];
        result->ri_IndexRelationInfo[i] = result->ri_IndexRelationInfo[lenient];
        result->ri_IndexRelationDescs[lenient] = index;
        result->ri_IndexRelationInfo[lenient++] = info;
    }
    result->ri_NumIndices = lenient; /* whom the executor knows */
}

void
newt_pg_index_later(newt_pg_indexes *x, const ItemPointerData *tid)
{
    if (x->n == x->result->ri_NumIndices)
        return;
    if (x->n_late == x->cap) {
        x->cap = Max(64, 2 * x->cap);
        x->late = x->late ? repalloc_huge(x->late, x->cap * sizeof *x->late)
                          : MemoryContextAlloc(x->estate->es_query_cxt, x->cap * sizeof *x->late);
    }
    x->late[x->n_late++] = *tid;
}

static void
insert(const newt_pg_indexes *x, int i, ItemPointer tid, TupleTableSlot *slot)
{
    Relation heap = x->result->ri_RelationDesc, index = x->result->ri_IndexRelationDescs[i];
    IndexInfo *info = x->result->ri_IndexRelationInfo[i];
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];

    if (!info->ii_ReadyForInserts)
        return;
    GetPerTupleExprContext(x->estate)->ecxt_scantuple = slot;
    if (info->ii_Predicate && !info->ii_PredicateState)
        info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, x->estate);
    if (info->ii_Predicate && !ExecQual(info->ii_PredicateState, GetPerTupleExprContext(x->estate)))
        return;
    FormIndexDatum(info, slot, x->estate, values, nulls);
    index_insert(index, values, nulls, tid, heap,
                 index->rd_index->indisunique && !info->ii_ExclusionOps ? UNIQUE_CHECK_YES
                                                                        : UNIQUE_CHECK_NO,
                 false, info);
    if (info->ii_ExclusionOps)
        check_exclusion_constraint(heap, index, info, tid, values, nulls, x->estate, false);
}

/* A row that has been updated since may be found behind its first version, or not any more. */
void
newt_pg_index_now(newt_pg_indexes *x, newt_pg_where *where, AttrNumber id)
{
    IndexFetchTableData *fetch;
    TupleTableSlot *slot;

    if (x->n_late == 0)
        return;
    slot = table_slot_create(x->result->ri_RelationDesc, NULL);
    fetch = table_index_fetch_begin(x->result->ri_RelationDesc);
    for (int64 k = 0; k < x->n_late; k++) {
        ItemPointerData tid = x->late[k], found = tid;
        bool more = false, isnull;
        MemoryContext before;

        CHECK_FOR_INTERRUPTS();
        if (!table_index_fetch_tuple(fetch, &found, SnapshotSelf, slot, &more, NULL))
            continue;
        where->zoid = DatumGetInt64(slot_getattr(slot, id, &isnull));
        before = MemoryContextSwitchTo(GetPerTupleMemoryContext(x->estate));
        for (int i = x->result->ri_NumIndices; i < x->n; i++)
            insert(x, i, &tid, slot);
        MemoryContextSwitchTo(before);
        ResetPerTupleExprContext(x->estate);
    }
    table_index_fetch_end(fetch);
    ExecDropSingleTupleTableSlot(slot);
    x->n_late = 0;
}

void
newt_pg_close_indexes(newt_pg_indexes *x)
{
    x->result->ri_NumIndices = x->n;
    ExecCloseIndices(x->result);
}
