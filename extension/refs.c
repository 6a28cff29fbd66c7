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
PG_FUNCTION_INFO_V1(newt_pg_try_class_name);
PG_FUNCTION_INFO_V1(newt_pg_class_version);
PG_FUNCTION_INFO_V1(newt_pg_refs);
PG_FUNCTION_INFO_V1(newt_pg_try_refs);

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

    newt_pg_need_utf8();
    read_head(&r, PG_GETARG_BYTEA_PP(0));
    PG_RETURN_TEXT_P(cstring_to_text_with_len(r.class_name, (int)r.class_n));
}

Datum
newt_pg_try_class_name(PG_FUNCTION_ARGS)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    size_t n = VARSIZE_ANY_EXHDR(record);
    newt__reader r;

    newt_pg_need_utf8();
    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), n)) {
        if (!newt_pg_is_bad_record(r.fault.code))
            newt_pg_raise(&r.fault, n);
        PG_RETURN_NULL();
    }
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

/* The oids lie where the array's elements belong. A record of the largest size holds at most 64
 * million references, which is half of what one value may use. */
typedef struct oid_array {
    ArrayType *array;
    int64 *oids;
    size_t n, cap;
} oid_array;

static int
add_oid(void *arg, int64_t oid)
{
    oid_array *a = arg;
    size_t head = ARR_OVERHEAD_NONULLS(1);

    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 8;
        a->array = a->array ? repalloc(a->array, head + a->cap * sizeof *a->oids)
                            : palloc(head + a->cap * sizeof *a->oids);
        a->oids = (int64 *)((char *)a->array + head);
    }
    a->oids[a->n++] = oid;
    return 0;
}

/* NULL: what is wrong with the record is in *fault. */
static ArrayType *
refs_of(bytea *record, newt__fault *fault)
{
    size_t unique = 0;
    oid_array a = {0};

    if (newt__refs(&newt_pg_env, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record), NULL, 0, add_oid,
                   &a, fault))
        return NULL;
    if (a.n == 0)
        return construct_empty_array(INT8OID);
    qsort(a.oids, a.n, sizeof *a.oids, compare_oids);
    for (size_t i = 0; i < a.n; i++)
        if (i == 0 || a.oids[i] != a.oids[unique - 1])
            a.oids[unique++] = a.oids[i];
    a.array->ndim = 1;
    a.array->dataoffset = 0;
    a.array->elemtype = INT8OID;
    ARR_DIMS(a.array)[0] = (int)unique;
    ARR_LBOUND(a.array)[0] = 1;
    SET_VARSIZE(a.array, ARR_OVERHEAD_NONULLS(1) + unique * sizeof *a.oids);
    return a.array;
}

Datum
newt_pg_refs(PG_FUNCTION_ARGS)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    newt__fault fault = {0};
    ArrayType *refs = refs_of(record, &fault);

    if (!refs)
        newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
    PG_RETURN_ARRAYTYPE_P(refs);
}

/* For indexes: a record that is damaged refers to nothing, and hinders no commit. */
Datum
newt_pg_try_refs(PG_FUNCTION_ARGS)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    newt__fault fault = {0};
    ArrayType *refs = refs_of(record, &fault);

    if (!refs && !newt_pg_is_bad_record(fault.code))
        newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
    if (!refs)
        PG_RETURN_NULL();
    PG_RETURN_ARRAYTYPE_P(refs);
}
