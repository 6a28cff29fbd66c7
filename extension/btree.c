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

/* When rows are not wanted to their end. */
static void
shut_down(Datum arg)
{
    newt_pg_range_close((newt_pg_range *)DatumGetPointer(arg));
}

Datum
newt_pg_btree_rows(PG_FUNCTION_ARGS)
{
    ExprContext *econtext = ((ReturnSetInfo *)fcinfo->resultinfo)->econtext;
    FuncCallContext *call;
    MemoryContext before;
    newt_pg_range *range;
    const newt_pg_tree_node *leaf;
    Datum values[2];
    bool nulls[2] = {false};
    uint32 i;

    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        if (PG_ARGISNULL(STORE) || PG_ARGISNULL(ZOID))
            SRF_RETURN_DONE(call);
        before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
        if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "newt.btree_rows gives rows");
        call->tuple_desc = BlessTupleDesc(call->tuple_desc);
        call->user_fctx = range = begin_range(fcinfo);
        range->from.given = PG_ARGISNULL(FROM) ? NULL : PG_GETARG_JSONB_P_COPY(FROM);
        range->to.given = PG_ARGISNULL(TO) ? NULL : PG_GETARG_JSONB_P_COPY(TO);
        range->from.without = flag(fcinfo, AFTER_FROM);
        range->to.without = flag(fcinfo, BEFORE_TO);
        range->descending = flag(fcinfo, DESCENDING);
        RegisterExprContextCallback(econtext, shut_down, PointerGetDatum(range));
        newt_pg_range_open(range);
        MemoryContextSwitchTo(before);
    }
    call = SRF_PERCALL_SETUP();
    range = call->user_fctx;
    leaf = newt_pg_range_next(range, &i);
    if (!leaf) {
        newt_pg_range_close(range);
        UnregisterExprContextCallback(econtext, shut_down, PointerGetDatum(range));
        SRF_RETURN_DONE(call);
    }
    values[0] = key_of(leaf, i);
    values[1] = value_of(leaf, i, &nulls[1]);
    SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
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

/* The value of a newt.Length. */
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
