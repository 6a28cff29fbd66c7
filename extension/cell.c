/*
 * cell.c - a value of a record as a value of a column
 *
 * A value of its column's kind is taken as the reader gives it. Any other goes the long way, by
 * the projection and the accessor that a typed view uses: so both give the same, whatever an old
 * version of a class has left in its records.
 */
#include "cell.h"

#include "jsonb.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

static const int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;

void
newt_pg_next_token(newt__reader *r, newt__token *t)
{
    if (newt__read(r, t))
        newt_pg_raise(&r->fault, r->n);
}

void
newt_pg_skip(newt__reader *r, const newt__token *t)
{
    if (newt__read_skip(r, t))
        newt_pg_raise(&r->fault, r->n);
}

/* ---- by the projection ---------------------------------------------------------------------- */

Jsonb *
newt_pg_cell_document(newt__reader *r, const newt__token *t)
{
    newt_pg_jsonb out;
    newt__sink sink;
    newt__fault fault = {0};

    newt_pg_jsonb_sink(&sink, &out);
    if (newt__project_item(r, t, &sink, &fault))
        newt_pg_raise(&fault, r->n);
    return newt_pg_jsonb_finish(&out);
}

/* The tokens that values of each type are as a rule. */
static const newt__kind usual[] = {
    [NEWT_PG_BOOL] = NEWT__BOOL,     [NEWT_PG_INT8] = NEWT__INT,
    [NEWT_PG_FLOAT8] = NEWT__DOUBLE, [NEWT_PG_NUMERIC] = NEWT__DECIMAL,
    [NEWT_PG_STRING] = NEWT__TEXT,   [NEWT_PG_BYTES] = NEWT__BYTES,
    [NEWT_PG_TS] = NEWT__TIME,       [NEWT_PG_DURATION] = NEWT__DURATION,
    [NEWT_PG_DATE] = NEWT__DATE,     [NEWT_PG_UUID] = NEWT__UUID,
    [NEWT_PG_REF] = NEWT__REF,       [NEWT_PG_JSON] = NEWT__MAP,
};

int
newt_pg_type_of(Oid type, bool is_ref)
{
    for (int i = 0; i < (int)lengthof(usual); i++)
        if (newt_pg_types[i].oid == type && (i == NEWT_PG_REF) == is_ref)
            return i;
    return -1;
}

static Datum
by_projection(newt__reader *r, const newt__token *t, int type, bool *isnull)
{
    Jsonb *document = newt_pg_cell_document(r, t);
    JsonbValue v = {.type = jbvBinary};
    Datum result = (Datum)0;

    if (!JB_ROOT_IS_SCALAR(document) || !JsonbExtractScalar(&document->root, &v)) {
        v.val.binary.data = &document->root;
        v.val.binary.len = (int)(VARSIZE(document) - VARHDRSZ);
    }
    *isnull = !newt_pg_types[type].convert(&v, &result);
    return result;
}

/* ---- as it is ------------------------------------------------------------------------------- */

/* What the type cannot hold is null, as it is in a view. */
static Datum
int_cell(const newt__token *t, bool *isnull)
{
    *isnull = t->u > (uint64)PG_INT64_MAX;
    return Int64GetDatum(t->number.negative ? -1 - (int64)t->u : (int64)t->u);
}

/* False: more than an int64. */
static bool
microseconds(const newt__token *t, int64 *us)
{
    return !pg_mul_s64_overflow(t->seconds, USECS_PER_SEC, us) &&
           !pg_add_s64_overflow(*us, t->us, us);
}

static Datum
time_cell(const newt__token *t, bool *isnull)
{
    int64 us = 0;

    *isnull = !microseconds(t, &us) || pg_sub_s64_overflow(us, epoch_days * USECS_PER_DAY, &us) ||
              !IS_VALID_TIMESTAMP(us);
    return TimestampTzGetDatum(us);
}

static Datum
date_cell(const newt__token *t, bool *isnull)
{
    int64 days;

    *isnull = t->i <= PG_INT32_MIN || t->i >= PG_INT32_MAX ||
              pg_sub_s64_overflow(t->i, epoch_days, &days) || !IS_VALID_DATE(days);
    return *isnull ? (Datum)0 : DateADTGetDatum((DateADT)days);
}

static Datum
duration_cell(const newt__token *t, bool *isnull)
{
    Interval *interval = palloc0(sizeof *interval);

    *isnull = !microseconds(t, &interval->time);
    return IntervalPGetDatum(interval);
}

static Datum
uuid_cell(const newt__token *t)
{
    pg_uuid_t *uuid = palloc(sizeof *uuid);

    memcpy(uuid->data, t->s, UUID_LEN);
    return UUIDPGetDatum(uuid);
}

Datum
newt_pg_cell(newt__reader *r, const newt__token *t, int type, bool *isnull)
{
    *isnull = t->kind == NEWT__NULL;
    if (*isnull)
        return (Datum)0;
    if (t->kind == usual[type])
        switch (type) {
        case NEWT_PG_BOOL: return BoolGetDatum(t->boolean);
        case NEWT_PG_INT8: return int_cell(t, isnull);
        case NEWT_PG_FLOAT8: /* JSON has no -0 */
            return Float8GetDatum(t->real == 0 ? 0 : isnan(t->real) ? get_float8_nan() : t->real);
        case NEWT_PG_STRING:
            if (t->plain || !memchr(t->s, 0, t->n))
                return PointerGetDatum(cstring_to_text_with_len(t->s, (int)t->n));
            break;
        case NEWT_PG_BYTES: return PointerGetDatum(cstring_to_text_with_len(t->s, (int)t->n));
        case NEWT_PG_TS: return time_cell(t, isnull);
        case NEWT_PG_DURATION: return duration_cell(t, isnull);
        case NEWT_PG_DATE: return date_cell(t, isnull);
        case NEWT_PG_UUID: return uuid_cell(t);
        case NEWT_PG_REF: return Int64GetDatum(t->i);
        default: break;
        }
    if (type == NEWT_PG_REF && t->kind == NEWT__WEAK)
        return Int64GetDatum(t->i);
    if (type == NEWT_PG_FLOAT8 && t->kind == NEWT__FLOAT && isfinite(t->real)) {
        char digits[NEWT__FLOAT_TEXT];

        newt__float_text((float)t->real, digits);
        return Float8GetDatum(strtod(digits, NULL));
    }
    if (type == NEWT_PG_NUMERIC && t->kind == NEWT__INT && t->u <= (uint64)PG_INT64_MAX)
        return NumericGetDatum(
            int64_to_numeric(t->number.negative ? -1 - (int64)t->u : (int64)t->u));
    return by_projection(r, t, type, isnull);
}

Datum
newt_pg_cells(newt__reader *r, const newt__token *t, int type, bool *isnull)
{
    Oid oid = newt_pg_types[type].oid;
    ArrayBuildState *array;
    newt__token item;

    *isnull = t->kind != NEWT__ARRAY && t->kind != NEWT__SET;
    if (*isnull) {
        newt_pg_skip(r, t);
        return (Datum)0;
    }
    array = initArrayResult(oid, CurrentMemoryContext, false);
    for (;;) {
        bool item_is_null = true;
        Datum value = (Datum)0;

        newt_pg_next_token(r, &item);
        if (item.kind == NEWT__END)
            break;
        if (item.hidden) {
            newt_pg_skip(r, &item);
            continue;
        }
        value = newt_pg_cell(r, &item, type, &item_is_null);
        accumArrayResult(array, value, item_is_null, oid, CurrentMemoryContext);
    }
    return makeArrayResult(array, CurrentMemoryContext);
}
