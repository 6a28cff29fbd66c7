/*
 * projection.c - a record as jsonb, and what could not be shown unchanged
 */
#include "jsonb.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(newt_pg_to_jsonb);
PG_FUNCTION_INFO_V1(newt_pg_try_to_jsonb);
PG_FUNCTION_INFO_V1(newt_pg_rejects);

Jsonb *
newt_pg_project(const void *record, size_t n, newt__fault *fault)
{
    newt__reader head;
    newt_pg_jsonb out;
    newt__sink sink;
    bool hidden = false;
    Jsonb *direct;

    newt_pg_need_utf8();
    if (newt__read_begin(&head, &newt_pg_env, record, n) == NEWT__OK) {
        direct = newt_pg_jsonb_direct(&head);
        if (direct) {
            fault->code = NEWT__OK;
            return direct;
        }
    }
    newt_pg_jsonb_sink(&sink, &out);
    fault->code = newt__project(&newt_pg_env, record, n, &sink, &hidden, fault);
    return fault->code || hidden ? NULL : newt_pg_jsonb_finish(&out);
}

static Datum
projection(FunctionCallInfo fcinfo, bool strict)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    size_t n = VARSIZE_ANY_EXHDR(record);
    newt__fault fault = {0};
    Jsonb *result = newt_pg_project(VARDATA_ANY(record), n, &fault);

    if (fault.code && (strict || !newt_pg_is_bad_record(fault.code)))
        newt_pg_raise(&fault, n);
    PG_FREE_IF_COPY(record, 0);
    if (!result)
        PG_RETURN_NULL();
    PG_RETURN_JSONB_P(result);
}

Datum
newt_pg_to_jsonb(PG_FUNCTION_ARGS)
{
    return projection(fcinfo, true);
}

Datum
newt_pg_try_to_jsonb(PG_FUNCTION_ARGS)
{
    return projection(fcinfo, false);
}

/* ---- rejects ------------------------------------------------------------------------------- */

typedef struct rejects {
    ReturnSetInfo *result;
    MemoryContext row; /* reset after each */
} rejects;

static int
ignore_event(void *arg, const newt__json *e)
{
    return 0;
}

/* The document starts again, and so does the list. */
static void
restart(void *arg)
{
    rejects *r = arg;
    tuplestore_clear(r->result->setResult);
}

static int
reject(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    rejects *r = arg;
    MemoryContext before = MemoryContextSwitchTo(r->row);
    Datum *items = palloc(n * sizeof *items + 1);
    Datum values[2];
    bool nulls[2] = {false, false};
    char index[32];

    for (size_t i = 0; i < n; i++) {
        if (path[i].key)
            items[i] = PointerGetDatum(cstring_to_text_with_len(path[i].key, (int)path[i].n));
        else {
            snprintf(index, sizeof index, UINT64_FORMAT, path[i].index);
            items[i] = CStringGetTextDatum(index);
        }
    }
    values[0] = PointerGetDatum(construct_array(items, (int)n, TEXTOID, -1, false, TYPALIGN_INT));
    values[1] = CStringGetTextDatum(reason);
    tuplestore_putvalues(r->result->setResult, r->result->setDesc, values, nulls);
    MemoryContextSwitchTo(before);
    MemoryContextReset(r->row);
    return 0;
}

Datum
newt_pg_rejects(PG_FUNCTION_ARGS)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    size_t n = VARSIZE_ANY_EXHDR(record);
    newt__fault fault = {0};
    bool hidden;
    rejects r;
    newt__sink sink = {.event = ignore_event, .restart = restart, .reject = reject, .arg = &r};

    newt_pg_need_utf8();
    InitMaterializedSRF(fcinfo, 0);
    r.result = (ReturnSetInfo *)fcinfo->resultinfo;
    r.row = AllocSetContextCreate(CurrentMemoryContext, "newt.rejects row", ALLOCSET_SMALL_SIZES);
    fault.code = newt__project(&newt_pg_env, VARDATA_ANY(record), n, &sink, &hidden, &fault);
    if (fault.code)
        newt_pg_raise(&fault, n);
    return (Datum)0;
}
