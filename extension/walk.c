/*
 * walk.c - the objects that can be reached from some others, in one call
 *
 * Rights are the caller's: every record comes out of a query of the caller's, which PostgreSQL
 * checks and rewrites as any other (privileges, row security, views), in the caller's snapshot. It
 * is one query for one object, started once and then rescanned for each: to start a query takes
 * many times as long as to find a row in an index.
 */
#include "newt_pg.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_walk);

enum {
    STATE = 3 /* the third column */
};

typedef struct lookup {
    SPIPlanPtr plan;
    CachedPlan *cached;
    ParamListInfo params; /* $1, the oid */
    QueryDesc *query;     /* NULL: the plan cannot be rescanned for another oid */
} lookup;

/* Only what evaluates $1 anew at each rescan can be rescanned with another; what keeps rows (an
 * Append that has chosen its partitions, the hash of a join, another engine's scan) cannot. */
static void
open_lookup(lookup *l, const char *store)
{
    Oid types[] = {INT8OID};
    char *sql = psprintf("SELECT o.zoid::pg_catalog.int8, o.serial::pg_catalog.int8, "
                         "o.state::pg_catalog.bytea FROM %s.object_state o "
                         "WHERE o.zoid OPERATOR(pg_catalog.=) $1",
                         quote_identifier(store));

    l->plan = SPI_prepare_cursor(sql, 1, types, CURSOR_OPT_GENERIC_PLAN);
    if (!l->plan)
        elog(ERROR, "SPI_prepare_cursor: %s", SPI_result_code_string(SPI_result));
    l->params = makeParamList(1);
    l->params->params[0] = (ParamExternData){.ptype = INT8OID};
    l->query = NULL;
    l->cached = SPI_plan_get_cached_plan(l->plan);
    if (!l->cached)
        return;
    l->query = CreateQueryDesc(linitial_node(PlannedStmt, l->cached->stmt_list), sql,
                               GetActiveSnapshot(), InvalidSnapshot, None_Receiver, l->params, NULL,
                               0);
    ExecutorStart(l->query, 0);
    if (!IsA(l->query->planstate, IndexScanState)) {
        ExecutorFinish(l->query);
        ExecutorEnd(l->query);
        FreeQueryDesc(l->query);
        l->query = NULL;
    }
}

static void
close_lookup(lookup *l)
{
    if (l->query) {
        ExecutorFinish(l->query);
        ExecutorEnd(l->query);
        FreeQueryDesc(l->query);
    }
    if (l->cached)
        ReleaseCachedPlan(l->cached, NULL);
}

/* ---- following ---------------------------------------------------------------------------- */

static void
follow(newt__walk *w, Datum state, bool is_null)
{
    newt__fault fault = {0};
    bytea *record;

    if (is_null || w->depth >= w->max_depth)
        return;
    record = DatumGetByteaPP(state);
    fault.code = newt__walk_record(w, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));
    if (fault.code)
        newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
    if ((Pointer)record != DatumGetPointer(state))
        pfree(record);
}

static void
take_rescanned(lookup *l, int64 oid, newt__walk *w, Tuplestorestate *out)
{
    PlanState *plan = l->query->planstate;
    TupleTableSlot *slot;
    Datum state;
    bool is_null;

    l->params->params[0].value = Int64GetDatum(oid);
    ExecReScan(plan);
    for (;;) {
        slot = ExecProcNode(plan);
        if (TupIsNull(slot))
            return;
        tuplestore_puttupleslot(out, slot);
        state = slot_getattr(slot, STATE, &is_null);
        follow(w, state, is_null);
    }
}

static void
take_executed(lookup *l, int64 oid, newt__walk *w, Tuplestorestate *out)
{
    Datum value = Int64GetDatum(oid), state;
    bool is_null;

    if (SPI_execute_plan(l->plan, &value, NULL, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "SPI_execute_plan: %s", SPI_result_code_string(SPI_result));
    for (uint64 i = 0; i < SPI_processed; i++) {
        tuplestore_puttuple(out, SPI_tuptable->vals[i]);
        state = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, STATE, &is_null);
        follow(w, state, is_null);
    }
    SPI_freetuptable(SPI_tuptable);
}

/* ---- arguments ---------------------------------------------------------------------------- */

static int64
bounded(int64 value, int64 least, const char *name)
{
    if (value < least || value > NEWT__MAX_WALK)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("%s must be between " INT64_FORMAT " and %d", name, least,
                               NEWT__MAX_WALK)));
    return value;
}

static Datum *
items_of(ArrayType *array, Oid type, const char *name, int *n)
{
    bool is_text = type == TEXTOID, *nulls;
    Datum *items;

    deconstruct_array(array, type, is_text ? -1 : sizeof(int64), is_text ? false : FLOAT8PASSBYVAL,
                      is_text ? TYPALIGN_INT : TYPALIGN_DOUBLE, &items, &nulls, n);
    for (int i = 0; i < *n; i++)
        if (nulls[i])
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("element %d of %s must not be null", i + 1, name)));
    return items;
}

Datum
newt_pg_walk(PG_FUNCTION_ARGS)
{
    char *store = text_to_cstring(PG_GETARG_TEXT_PP(0));
    int n_roots, n_fields;
    Datum *roots = items_of(PG_GETARG_ARRAYTYPE_P(1), INT8OID, "roots", &n_roots);
    Datum *names = items_of(PG_GETARG_ARRAYTYPE_P(4), TEXTOID, "fields", &n_fields);
    newt__name *fields = palloc(n_fields * sizeof *fields + 1);
    newt__walk w = {.env = &newt_pg_env, .fields = fields, .n_fields = n_fields};
    Tuplestorestate *out;
    lookup l;

    w.max_depth = bounded(PG_GETARG_INT64(2), 0, "max_depth");
    w.max_objects = bounded(PG_GETARG_INT64(3), 1, "max_objects");
    for (int i = 0; i < n_fields; i++) {
        fields[i].s = VARDATA_ANY(DatumGetPointer(names[i]));
        fields[i].n = VARSIZE_ANY_EXHDR(DatumGetPointer(names[i]));
    }
    for (int i = 0; i < n_roots; i++)
        newt__walk_add(&w, DatumGetInt64(roots[i]));

    InitMaterializedSRF(fcinfo, 0);
    out = ((ReturnSetInfo *)fcinfo->resultinfo)->setResult;
    SPI_connect();
    open_lookup(&l, store);
    while (newt__walk_level(&w))
        for (size_t i = w.from; i < w.to; i++) {
            CHECK_FOR_INTERRUPTS();
            (l.query ? take_rescanned : take_executed)(&l, w.queue[i], &w, out);
        }
    close_lookup(&l);
    SPI_finish();
    return (Datum)0;
}
