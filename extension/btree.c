/*
 * btree.c - the entries of a tree, its length, and one value, for SQL
 *
 * Rows are handed out one by one: a target list passes them on at once, so newt.btree_items, which
 * the planner takes into the query, reads no more nodes than the rows that are wanted need.
 */
#include "btree.h"

#include "cell.h"

#include "access/htup_details.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_btree_rows);
PG_FUNCTION_INFO_V1(newt_pg_btree_get);
PG_FUNCTION_INFO_V1(newt_pg_btree_length);

enum {
    STORE,
    ZOID,
    FROM,
    KEY = FROM,
    TO,
    AFTER_FROM,
    BEFORE_TO,
    DESCENDING
};

static bool
flag(FunctionCallInfo fcinfo, int argument)
{
    return !PG_ARGISNULL(argument) && PG_GETARG_BOOL(argument);
}

/* A value as the projection shows it; of a set there is none. */
static Datum
value_of(const newt_pg_tree_node *leaf, uint32 i, bool *is_null)
{
    const newt_pg_item *value = leaf->has_values ? &leaf->values[i] : NULL;
    newt__reader r;
    newt__token t;

    *is_null = !value || value->hidden;
    if (*is_null)
        return (Datum)0;
    /* in the record it lies in a list in a map */
    newt__read_item_begin(&r, &newt_pg_env, leaf->record + value->offset,
                          value->end - value->offset, NEWT__MAX_DEPTH - 2, value->shared);
    newt_pg_next_token(&r, &t);
    return JsonbPGetDatum(newt_pg_cell_document(&r, &t));
}

static Datum
key_of(const newt_pg_tree_node *leaf, uint32 i)
{
    const newt_pg_part *parts[NEWT_PG_KEY_PARTS];

    for (int part = 0; part < leaf->n_parts; part++)
        parts[part] = &leaf->keys[part][i];
    return JsonbPGetDatum(newt_pg_key_show(leaf->record, parts, leaf->n_parts));
}

/* ---- entries -------------------------------------------------------------------------------- */

static newt_pg_range *
begin_range(FunctionCallInfo fcinfo)
{
    newt_pg_range *range = palloc0(sizeof *range);

    newt_pg_need_utf8();
    range->store = text_to_cstring(PG_GETARG_TEXT_PP(STORE));
    range->zoid = PG_GETARG_INT64(ZOID);
    return range;
}

/* What a place in a query that has rows keeps. Joined to many trees it is called for one after the
 * other: the plan is made once. A query lasts no longer than its transaction, which holds locks on
 * what the plan is for. */
typedef struct place {
    TupleDesc row;
    MemoryContext plan_memory;
    char *store;
    newt_pg_lookup plan;
    newt_pg_range *range; /* NULL: none is under way */
    MemoryContext memory; /* the range's */
} place;

static place *
place_of(FunctionCallInfo fcinfo)
{
    FmgrInfo *function = fcinfo->flinfo;
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    MemoryContext before;
    place *p;

    if (!result || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_ValuePerCall))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("newt.btree_rows was called where no set can be")));
    if (function->fn_extra)
        return function->fn_extra;
    before = MemoryContextSwitchTo(function->fn_mcxt);
    p = palloc0(sizeof *p);
    if (get_call_result_type(fcinfo, NULL, &p->row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "newt.btree_rows gives rows");
    p->row = BlessTupleDesc(CreateTupleDescCopy(p->row));
    p->plan_memory = AllocSetContextCreate(function->fn_mcxt, "newt tree plan",
                                           ALLOCSET_SMALL_SIZES);
    p->memory = AllocSetContextCreate(function->fn_mcxt, "newt tree", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(before);
    return function->fn_extra = p;
}

/* Also when rows are not wanted to their end. */
static void
shut_down(Datum arg)
{
    place *p = (place *)DatumGetPointer(arg);

    if (p->range)
        newt_pg_range_close(p->range);
    p->range = NULL;
    MemoryContextReset(p->memory);
}

static void
make_plan(place *p, const char *store)
{
    MemoryContext before;

    if (p->store && strcmp(p->store, store) == 0)
        return;
    p->store = NULL;
    MemoryContextReset(p->plan_memory);
    before = MemoryContextSwitchTo(p->plan_memory);
    p->plan = (newt_pg_lookup){0};
    newt_pg_lookup_begin(&p->plan, store);
    p->store = pstrdup(store);
    MemoryContextSwitchTo(before);
}

static void
begin_rows(place *p, FunctionCallInfo fcinfo)
{
    ExprContext *econtext = ((ReturnSetInfo *)fcinfo->resultinfo)->econtext;
    MemoryContext before = MemoryContextSwitchTo(p->memory);
    newt_pg_range *range = begin_range(fcinfo);

    range->from.given = PG_ARGISNULL(FROM) ? NULL : PG_GETARG_JSONB_P_COPY(FROM);
    range->to.given = PG_ARGISNULL(TO) ? NULL : PG_GETARG_JSONB_P_COPY(TO);
    range->from.without = flag(fcinfo, AFTER_FROM);
    range->to.without = flag(fcinfo, BEFORE_TO);
    range->descending = flag(fcinfo, DESCENDING);
    make_plan(p, range->store);
    range->records = p->plan;
    p->range = range;
    RegisterExprContextCallback(econtext, shut_down, PointerGetDatum(p));
    newt_pg_range_open(range);
    MemoryContextSwitchTo(before);
}

Datum
newt_pg_btree_rows(PG_FUNCTION_ARGS)
{
    place *p = place_of(fcinfo);
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    const newt_pg_tree_node *leaf = NULL;
    Datum values[2];
    bool nulls[2] = {false};
    uint32 i;

    if (!p->range && !PG_ARGISNULL(STORE) && !PG_ARGISNULL(ZOID))
        begin_rows(p, fcinfo);
    if (p->range)
        leaf = newt_pg_range_next(p->range, &i);
    if (!leaf) {
        if (p->range)
            UnregisterExprContextCallback(result->econtext, shut_down, PointerGetDatum(p));
        shut_down(PointerGetDatum(p));
        result->isDone = ExprEndResult;
        PG_RETURN_NULL();
    }
    result->isDone = ExprMultipleResult;
    values[0] = key_of(leaf, i);
    values[1] = value_of(leaf, i, &nulls[1]);
    return HeapTupleGetDatum(heap_form_tuple(p->row, values, nulls));
}

/* ---- one entry ------------------------------------------------------------------------------ */

Datum
newt_pg_btree_get(PG_FUNCTION_ARGS)
{
    newt_pg_range *range = begin_range(fcinfo);
    const newt_pg_tree_node *root, *leaf;
    Datum result = (Datum)0;
    bool is_null = true;
    uint32 i;

    range->from.given = range->to.given = PG_GETARG_JSONB_P(KEY);
    root = newt_pg_range_open(range);
    leaf = newt_pg_range_next(range, &i);
    if (range->from.is_known && range->from.key.n < root->n_parts)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("key has %d of the %d parts that keys of the tree %.*s " INT64_FORMAT
                               " have",
                               range->from.key.n, root->n_parts, root->class_n, root->class_name,
                               range->zoid)));
    if (leaf && leaf->has_values)
        result = value_of(leaf, i, &is_null);
    else if (leaf) {
        result = JsonbPGetDatum(
            JsonbValueToJsonb(&(JsonbValue){.type = jbvBool, .val.boolean = true}));
        is_null = false;
    }
    newt_pg_range_close(range);
    if (is_null)
        PG_RETURN_NULL();
    return result;
}

/* ---- how many ------------------------------------------------------------------------------- */

/* The value of a newt.Count. */
static int64
counter(newt_pg_range *range, int64 zoid)
{
    static const char name[] = "value";
    TupleTableSlot *slot = newt_pg_lookup_find(&range->records, zoid);
    Datum state;
    bool is_null = true;
    newt__reader r;
    newt__token t;
    bytea *record;

    state = slot ? slot_getattr(slot, NEWT_PG_LOOKUP_STATE + 1, &is_null) : (Datum)0;
    if (is_null)
        newt_pg_range_broken(range, zoid, "is a counter that does not exist");
    record = DatumGetByteaPP(state);
    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record)))
        newt_pg_raise(&r.fault, VARSIZE_ANY_EXHDR(record));
    newt_pg_next_token(&r, &t);
    while (r.depth > 0) {
        bool is_value;

        newt_pg_next_token(&r, &t);
        if (t.kind == NEWT__END)
            break;
        is_value = t.n == strlen(name) && memcmp(t.s, name, t.n) == 0;
        newt_pg_next_token(&r, &t);
        if (is_value && t.kind == NEWT__INT && t.u <= PG_INT64_MAX)
            return t.number.negative ? -1 - (int64)t.u : (int64)t.u;
        newt_pg_skip(&r, &t);
    }
    newt_pg_range_broken(range, zoid, "is a counter without a number");
}

Datum
newt_pg_btree_length(PG_FUNCTION_ARGS)
{
    newt_pg_range *range = begin_range(fcinfo);
    const newt_pg_tree_node *root = newt_pg_range_open(range), *leaf;
    int64 length = 0;
    uint32 i;

    if (!root)
        fcinfo->isnull = true;
    else if (root->level == 0)
        length = root->n;
    else if (root->n_counts > 0) {
        for (i = 0; i < root->n_counts; i++) /* one alone may be less than 0 */
            if (pg_add_s64_overflow(length, counter(range, root->counts[i]), &length))
                newt_pg_range_broken(range, root->counts[i], "is a counter out of range");
    } else
        while ((leaf = newt_pg_range_next(range, &i)))
            length++;
    newt_pg_range_close(range);
    return Int64GetDatum(length);
}
