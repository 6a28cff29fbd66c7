/*
 * refs.c - what a record says of itself without being projected: its class and the objects that
 * it refers to
 */
#include "newt_pg.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(newt_pg_class_name);
PG_FUNCTION_INFO_V1(newt_pg_class_version);
PG_FUNCTION_INFO_V1(newt_pg_refs);

/* The head is all that class and version need: the body is not looked at. */
static void
read_head(newt__reader *r, bytea *record)
{
    size_t n = VARSIZE_ANY_EXHDR(record);

    if (newt__read_begin(r, &newt_pg_env, VARDATA_ANY(record), n))
        newt_pg_raise(&r->fault, n);
}

Datum
newt_pg_class_name(PG_FUNCTION_ARGS)
{
    newt__reader r;

    read_head(&r, PG_GETARG_BYTEA_PP(0));
    PG_RETURN_TEXT_P(cstring_to_text_with_len(r.class_name, (int)r.class_n));
}

Datum
newt_pg_class_version(PG_FUNCTION_ARGS)
{
    newt__reader r;

    read_head(&r, PG_GETARG_BYTEA_PP(0));
    PG_RETURN_INT32((int32)r.version);
}

/* ---- references ---------------------------------------------------------------------------- */

static int
compare_oids(const void *a, const void *b)
{
    int64 x = *(const int64 *)a, y = *(const int64 *)b;

    return (x > y) - (x < y);
}

/* The array is built in place: the oids lie where its elements belong. A record of the largest
 * size holds at most 64 million references, which is half of what one value may use. */
Datum
newt_pg_refs(PG_FUNCTION_ARGS)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    size_t n_record = VARSIZE_ANY_EXHDR(record);
    newt__reader r;
    newt__token t;
    size_t head = ARR_OVERHEAD_NONULLS(1), cap = 8, n = 0, unique = 0;
    ArrayType *array;
    int64 *oids;

    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), n_record))
        newt_pg_raise(&r.fault, n_record);
    array = palloc(head + cap * sizeof *oids);
    oids = (int64 *)((char *)array + head);
    for (;;) {
        if (newt__read(&r, &t))
            newt_pg_raise(&r.fault, n_record);
        if (t.kind == NEWT__END && r.depth == 0 && r.at == n_record)
            break;
        if (t.kind != NEWT__REF)
            continue;
        if (n == cap) {
            cap *= 2;
            array = repalloc(array, head + cap * sizeof *oids);
            oids = (int64 *)((char *)array + head);
        }
        oids[n++] = t.i;
    }

    qsort(oids, n, sizeof *oids, compare_oids);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || oids[i] != oids[unique - 1])
            oids[unique++] = oids[i];
    if (unique == 0)
        PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT8OID));
    array->ndim = 1;
    array->dataoffset = 0;
    array->elemtype = INT8OID;
    ARR_DIMS(array)[0] = (int)unique;
    ARR_LBOUND(array)[0] = 1;
    SET_VARSIZE(array, head + unique * sizeof *oids);
    PG_RETURN_ARRAYTYPE_P(array);
}
