/*
 * walk.c - the objects that can be reached from some others, in one call
 *
 * Rows are handed out one by one, while the walk goes on: a target list passes them on at once,
 * and only the oids are kept.
 */
#include "lookup.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_walk);
PG_FUNCTION_INFO_V1(newt_pg_route);

typedef struct walk {
    newt__walk steps;
    size_t next; /* of the level under way */
    newt_pg_lookup records;
} walk;

/* ---- walking ------------------------------------------------------------------------------ */

/* When rows are not wanted to their end. */
static void
shut_down(Datum arg)
{
    newt_pg_lookup_end(&((walk *)DatumGetPointer(arg))->records);
}

static bool
next_oid(walk *w, int64 *oid)
{
    newt__walk *steps = &w->steps;

    if (w->next == steps->to) {
        if (!newt__walk_level(steps))
            return false;
        w->next = steps->from;
    }
    *oid = steps->queue[w->next++];
    return true;
}

/* NULL: that was all. */
static TupleTableSlot *
next_row(walk *w)
{
    TupleTableSlot *slot = w->records.query ? newt_pg_lookup_next(&w->records) : NULL;
    int64 oid;

    while (!slot) {
        CHECK_FOR_INTERRUPTS();
        if (!next_oid(w, &oid)) {
            newt_pg_lookup_end(&w->records);
            return NULL;
        }
        slot = newt_pg_lookup_find(&w->records, oid);
    }
    return slot;
}

static void
follow(newt__walk *steps, bytea *record)
{
    newt__fault fault = {0};

    fault.code = newt__walk_record(steps, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));
    if (fault.code)
        newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
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

static walk *
begin_walk(FunctionCallInfo fcinfo)
{
    int n_roots, n_fields;
    Datum *roots = items_of(PG_GETARG_ARRAYTYPE_P_COPY(1), INT8OID, "roots", &n_roots);
    Datum *names = items_of(PG_GETARG_ARRAYTYPE_P_COPY(4), TEXTOID, "fields", &n_fields);
    newt__name *fields = palloc(n_fields * sizeof *fields + 1);
    walk *w = palloc0(sizeof *w);

    w->steps = (newt__walk){.env = &newt_pg_env,
                            .fields = fields,
                            .n_fields = n_fields,
                            .max_depth = bounded(PG_GETARG_INT64(2), 0, "max_depth"),
                            .max_objects = bounded(PG_GETARG_INT64(3), 1, "max_objects")};
    for (int i = 0; i < n_fields; i++) {
        fields[i].s = VARDATA_ANY(DatumGetPointer(names[i]));
        fields[i].n = VARSIZE_ANY_EXHDR(DatumGetPointer(names[i]));
    }
    for (int i = 0; i < n_roots; i++)
        newt__walk_add(&w->steps, DatumGetInt64(roots[i]));
    newt_pg_lookup_begin(&w->records, text_to_cstring(PG_GETARG_TEXT_PP(0)));
    return w;
}

Datum
newt_pg_walk(PG_FUNCTION_ARGS)
{
    ExprContext *econtext = ((ReturnSetInfo *)fcinfo->resultinfo)->econtext;
    FuncCallContext *call;
    MemoryContext before;
    TupleTableSlot *slot;
    Datum values[NEWT_PG_LOOKUP_COLUMNS];
    bool nulls[NEWT_PG_LOOKUP_COLUMNS];
    walk *w;

    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
        if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "newt.walk gives rows");
        call->tuple_desc = BlessTupleDesc(call->tuple_desc);
        call->user_fctx = w = begin_walk(fcinfo);
        RegisterExprContextCallback(econtext, shut_down, PointerGetDatum(w));
        MemoryContextSwitchTo(before);
    }
    call = SRF_PERCALL_SETUP();
    w = call->user_fctx;
    before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
    slot = next_row(w);
    MemoryContextSwitchTo(before);
    if (!slot) {
        UnregisterExprContextCallback(econtext, shut_down, PointerGetDatum(w));
        SRF_RETURN_DONE(call);
    }
    for (int i = 0; i < NEWT_PG_LOOKUP_COLUMNS; i++)
        values[i] = slot_getattr(slot, i + 1, &nulls[i]);
    if (!nulls[NEWT_PG_LOOKUP_STATE]) {
        bytea *record = DatumGetByteaPP(values[NEWT_PG_LOOKUP_STATE]);

        values[NEWT_PG_LOOKUP_STATE] = PointerGetDatum(record);
        MemoryContextSwitchTo(call->multi_call_memory_ctx);
        follow(&w->steps, record);
        MemoryContextSwitchTo(before);
    }
    SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}

/* ---- the way to one object ------------------------------------------------------------------ */

/* An object that the walk has come to, and whose record led there. They are in the order in which
 * they were found, so who led to an object is in front of it. */
typedef struct edge {
    int64 oid, from; /* from 0: a root */
} edge;

typedef struct route {
    walk walk;
    int64 to;
    edge *edges;
    size_t n, cap;
} route;

/* Keeps what has been added since; true: what is looked for is among it. */
static bool
note(route *r, int64 from)
{
    newt__walk *steps = &r->walk.steps;

    if (steps->n > r->cap) {
        r->cap = 2 * steps->n;
        r->edges = r->edges ? repalloc_huge(r->edges, r->cap * sizeof *r->edges)
                            : palloc(r->cap * sizeof *r->edges);
    }
    while (r->n < steps->n) {
        edge *e = &r->edges[r->n];

        *e = (edge){.oid = steps->queue[r->n], .from = from};
        r->n++;
        if (e->oid == r->to)
            return true;
    }
    return false;
}

/* The record's references, of the object that next_oid has given last. */
static bool
found_in(route *r, TupleTableSlot *slot)
{
    bool is_null;
    Datum state = slot_getattr(slot, NEWT_PG_LOOKUP_STATE + 1, &is_null);
    bytea *record;

    if (is_null)
        return false;
    record = DatumGetByteaPP(state);
    follow(&r->walk.steps, record);
    if ((Pointer)record != DatumGetPointer(state))
        pfree(record);
    return note(r, r->walk.steps.queue[r->walk.next - 1]);
}

Datum
newt_pg_route(PG_FUNCTION_ARGS)
{
    int n_roots;
    Datum *roots = items_of(PG_GETARG_ARRAYTYPE_P_COPY(2), INT8OID, "roots", &n_roots);
    route r = {.walk.steps = {.env = &newt_pg_env,
                              .max_depth = NEWT__MAX_WALK,
                              .max_objects = bounded(PG_GETARG_INT64(3), 1, "max_objects")},
               .to = PG_GETARG_INT64(1)};
    TupleTableSlot *slot;
    Datum *way;
    size_t n = 0;
    bool found;

    for (int i = 0; i < n_roots; i++)
        newt__walk_add(&r.walk.steps, DatumGetInt64(roots[i]));
    found = note(&r, 0);
    if (!found) {
        newt_pg_lookup_begin(&r.walk.records, text_to_cstring(PG_GETARG_TEXT_PP(0)));
        while (!found && (slot = next_row(&r.walk)))
            found = found_in(&r, slot);
        newt_pg_lookup_end(&r.walk.records);
    }
    if (!found)
        PG_RETURN_NULL();
    /* from the end to the beginning, where the roots are */
    way = palloc(r.n * sizeof *way);
    for (size_t i = r.n; i-- > 0 && r.to != 0;)
        if (r.edges[i].oid == r.to) {
            way[r.n - ++n] = Int64GetDatum(r.to);
            r.to = r.edges[i].from;
        }
    PG_RETURN_ARRAYTYPE_P(construct_array(way + r.n - n, (int)n, INT8OID, sizeof(int64),
                                          FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
