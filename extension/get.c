/*
 * get.c - one item of a record as jsonb, without projecting the others
 *
 * newt.get(record, path) is newt.to_jsonb(record) #> path, but faster: the record is walked to
 * the item, and the item alone is projected. Where the projection differs in shape from the record
 * (wrappers, maps shown as arrays, indexes counted from the end) the walk gives up, and the answer
 * is computed as it is defined.
 */
#include "jsonb.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_get);
PG_FUNCTION_INFO_V1(newt_pg_get_text);

typedef enum found {
    FOUND,
    ABSENT,
    UNUSUAL /* ask the projection */
} found;

typedef struct step {
    const char *s;
    size_t n;
} step;

static void
next(newt__reader *r, newt__token *t)
{
    if (newt__read(r, t))
        newt_pg_raise(&r->fault, r->n);
}

static void
skip(newt__reader *r, const newt__token *t)
{
    if (newt__read_skip(r, t))
        newt_pg_raise(&r->fault, r->n);
}

/* A map that holds a key with NUL is shown as an array. */
static bool
has_nul(const newt__token *key)
{
    return memchr(key->s, 0, key->n) != NULL;
}

static found
find_key(newt__reader *r, newt__token *t, step key)
{
    if (key.n >= 2 && memcmp(key.s, "::", 2) == 0) {
        if (key.n == 2 || key.s[2] != ':')
            return UNUSUAL; /* belongs to a wrapper */
        key.s++;            /* the projection put one more in front */
        key.n--;
    }
    for (;;) {
        bool same;

        next(r, t);
        if (t->kind == NEWT__END)
            return ABSENT;
        if (has_nul(t))
            return UNUSUAL;
        same = t->n == key.n && memcmp(t->s, key.s, key.n) == 0;
        next(r, t);
        if (same)
            return t->hidden ? ABSENT : FOUND;
        skip(r, t);
    }
}

static found
find_index(newt__reader *r, newt__token *t, step index)
{
    uint32 i = 0;

    if (index.n == 0 || index.n > 9)
        return UNUSUAL;
    for (size_t k = 0; k < index.n; k++) {
        if (index.s[k] < '0' || index.s[k] > '9')
            return UNUSUAL;
        i = 10 * i + (uint32)(index.s[k] - '0');
    }
    for (;;) {
        next(r, t);
        if (t->kind == NEWT__END)
            return ABSENT;
        if (!t->hidden && i-- == 0)
            return FOUND;
        skip(r, t);
    }
}

/* To the item at the end of the path. */
static found
find(newt__reader *r, newt__token *t, const step *path, int n)
{
    found result;

    next(r, t);
    result = t->hidden ? ABSENT : FOUND;
    for (int i = 0; i < n && result == FOUND; i++)
        switch (t->kind) {
        case NEWT__MAP:
        case NEWT__OBJECT: result = find_key(r, t, path[i]); break;
        case NEWT__ARRAY:
        case NEWT__SET: result = find_index(r, t, path[i]); break;
        default: result = UNUSUAL;
        }
    return result;
}

/* Everything after the item: it must be valid, and no key may change the shape of a map that the
 * path went through. Which maps these are does not matter: such keys are rare. */
static found
read_rest(newt__reader *r, found result)
{
    newt__token t;

    do {
        next(r, &t);
        if (t.is_key && t.kind == NEWT__TEXT && has_nul(&t))
            result = UNUSUAL;
    } while (t.kind != NEWT__END || r->depth > 0 || r->at < r->n);
    return result;
}

static Jsonb *
walk(bytea *record, const step *path, int n, found *result)
{
    newt__reader r;
    newt__token t;
    newt__sink sink;
    newt_pg_jsonb out;
    newt__fault fault = {0};
    size_t n_record = VARSIZE_ANY_EXHDR(record);

    newt_pg_need_utf8();
    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), n_record))
        newt_pg_raise(&r.fault, n_record);
    *result = find(&r, &t, path, n);
    if (*result == UNUSUAL)
        return NULL;
    newt_pg_jsonb_sink(&sink, &out);
    if (*result == FOUND && newt__project_item(&r, &t, &sink, &fault))
        newt_pg_raise(&fault, n_record);
    *result = read_rest(&r, *result);
    return *result == FOUND ? newt_pg_jsonb_finish(&out) : NULL;
}

/* jsonb's own functions, which may give NULL. */
static Datum
extract(PGFunction function, Jsonb *document, ArrayType *path, bool *isnull)
{
    LOCAL_FCINFO(fcinfo, 2);
    Datum result;

    InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
    fcinfo->args[0].value = JsonbPGetDatum(document);
    fcinfo->args[0].isnull = false;
    fcinfo->args[1].value = PointerGetDatum(path);
    fcinfo->args[1].isnull = false;
    result = function(fcinfo);
    *isnull = fcinfo->isnull;
    return result;
}

static Datum
get(FunctionCallInfo fcinfo, PGFunction function)
{
    bytea *record = PG_GETARG_BYTEA_PP(0);
    ArrayType *path = PG_GETARG_ARRAYTYPE_P(1);
    Datum *items;
    bool *nulls;
    int n;
    step *steps;
    found result;
    Jsonb *value;
    Datum d;

    deconstruct_array(path, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
    steps = palloc((size_t)n * sizeof *steps + 1);
    for (int i = 0; i < n; i++) {
        if (nulls[i])
            PG_RETURN_NULL();
        steps[i].s = VARDATA_ANY(DatumGetPointer(items[i]));
        steps[i].n = VARSIZE_ANY_EXHDR(DatumGetPointer(items[i]));
    }
    value = walk(record, steps, n, &result);
    if (result == UNUSUAL) {
        newt__fault fault = {0};

        value = newt_pg_project(VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record), &fault);
        if (fault.code)
            newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
    } else
        path = construct_empty_array(TEXTOID);
    if (!value)
        PG_RETURN_NULL();
    if (result == FOUND && function == jsonb_extract_path)
        PG_RETURN_JSONB_P(value);
    d = extract(function, value, path, &fcinfo->isnull);
    return d;
}

Datum
newt_pg_get(PG_FUNCTION_ARGS)
{
    return get(fcinfo, jsonb_extract_path);
}

Datum
newt_pg_get_text(PG_FUNCTION_ARGS)
{
    return get(fcinfo, jsonb_extract_path_text);
}
