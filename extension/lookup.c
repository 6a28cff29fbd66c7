/*
 * lookup.c - records of a store by their oids, one after another
 */
#include "lookup.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

/* The plan must not depend on the first oid. */
void
newt_pg_lookup_begin(newt_pg_lookup *l, const char *store)
{
    MemoryContext before = CurrentMemoryContext;
    Oid types[] = {INT8OID};
    SPIPlanPtr prepared;
    CachedPlan *cached;

    l->sql = psprintf("SELECT o.zoid::pg_catalog.int8, o.serial::pg_catalog.int8, "
                      "o.state::pg_catalog.bytea FROM %s.object_state o "
                      "WHERE o.zoid OPERATOR(pg_catalog.=) $1",
                      quote_identifier(store));
    l->params = makeParamList(1);
    l->params->params[0] = (ParamExternData){.ptype = INT8OID};
    SPI_connect();
    prepared = SPI_prepare_cursor(l->sql, 1, types, CURSOR_OPT_GENERIC_PLAN);
    cached = prepared ? SPI_plan_get_cached_plan(prepared) : NULL;
    if (!cached)
        elog(ERROR, "no plan for \"%s\": %s", l->sql, SPI_result_code_string(SPI_result));
    MemoryContextSwitchTo(before);
    l->plan = copyObject(linitial_node(PlannedStmt, cached->stmt_list));
    ReleaseCachedPlan(cached, NULL);
    SPI_finish();
}

/* Only what evaluates $1 again at each rescan can be rescanned with another; what keeps rows (an
 * Append that has chosen its partitions, the hash of a join, another engine's scan) cannot. */
static void
begin_query(newt_pg_lookup *l)
{
    l->query = CreateQueryDesc(l->plan, l->sql, GetActiveSnapshot(), InvalidSnapshot, None_Receiver,
                               l->params, NULL, 0);
    ExecutorStart(l->query, 0);
    l->rescan = IsA(l->query->planstate, IndexScanState);
}

void
newt_pg_lookup_end(newt_pg_lookup *l)
{
    QueryDesc *query = l->query;

    if (!query)
        return;
    l->query = NULL;
    ExecutorFinish(query);
    ExecutorEnd(query);
    FreeQueryDesc(query);
}

static TupleTableSlot *
row_of_query(newt_pg_lookup *l, bool rescan)
{
    MemoryContext before = MemoryContextSwitchTo(l->query->estate->es_query_cxt);
    TupleTableSlot *slot;

    if (rescan)
        ExecReScan(l->query->planstate);
    slot = ExecProcNode(l->query->planstate);
    MemoryContextSwitchTo(before);
    return TupIsNull(slot) ? NULL : slot;
}

TupleTableSlot *
newt_pg_lookup_find(newt_pg_lookup *l, int64 oid)
{
    l->params->params[0].value = Int64GetDatum(oid);
    if (l->query && l->rescan)
        return row_of_query(l, true);
    newt_pg_lookup_end(l);
    begin_query(l);
    return row_of_query(l, false);
}

TupleTableSlot *
newt_pg_lookup_next(newt_pg_lookup *l)
{
    return row_of_query(l, false);
}
