/*
 * ref_path.c - where in a record the reference to an object stands
 */
#include "newt_pg.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_ref_path);
PG_FUNCTION_INFO_V1(newt_pg_ref_paths);

/* An object whose reference is looked for. */
typedef struct target {
    int64 oid;
    text *path; /* NULL: not found yet */
} target;

/* A container that is open, and the place in it. */
typedef struct place {
    newt__kind kind;
    int64 index;     /* of the item; in pairs: of the pair */
    bool in_key;     /* in pairs */
    const char *key; /* of a map or an object */
    size_t n;
} place;

/* As newt.text reads it: what has a meaning in a path stands behind a backslash. */
static void
append_key(StringInfo path, const char *s, size_t n)
{
    if (path->len > 0)
        appendStringInfoChar(path, '.');
    if (n >= 2 && memcmp(s, "::", 2) == 0) /* as the projection writes it */
        appendStringInfoString(path, "\\:");
    for (size_t i = 0; i < n; i++) {
        if (strchr(".\\:[]", s[i]) && s[i])
            appendStringInfoChar(path, '\\');
        appendStringInfoChar(path, s[i] ? s[i] : ' ');
    }
}

static text *
path_of(const place *places, uint32 depth)
{
    StringInfoData path;

    initStringInfo(&path);
    for (uint32 i = 0; i < depth; i++) {
        const place *p = &places[i];

        switch (p->kind) {
        case NEWT__MAP:
        case NEWT__OBJECT: append_key(&path, p->key, p->n); break;
        case NEWT__PAIRS:
            appendStringInfo(&path, "[" INT64_FORMAT "].%c", p->index, p->in_key ? 'k' : 'v');
            break;
        case NEWT__TAG:
        case NEWT__STORE_REF: appendStringInfoString(&path, path.len > 0 ? ".::v" : "::v"); break;
        default: appendStringInfo(&path, "[" INT64_FORMAT "]", p->index);
        }
    }
    return cstring_to_text_with_len(path.data, path.len);
}

/* Moves on in the innermost container to the item that has just been read. */
static void
step(place *p, const newt__token *t)
{
    switch (p->kind) {
    case NEWT__MAP:
    case NEWT__OBJECT:
        if (t->is_key) {
            p->key = t->s;
            p->n = t->n;
        }
        break;
    case NEWT__PAIRS:
        p->in_key = t->is_key;
        p->index += t->is_key;
        break;
    default: p->index++;
    }
}

static int
compare_targets(const void *a, const void *b)
{
    int64 x = ((const target *)a)->oid, y = ((const target *)b)->oid;

    return (x > y) - (x < y);
}

/* The targets rise; each gets its first path, as far as the record can be read. */
static void
find_paths(bytea *record, target *targets, size_t n_targets)
{
    place *places = palloc(NEWT__MAX_DEPTH * sizeof *places);
    size_t n = VARSIZE_ANY_EXHDR(record), left = n_targets;
    newt__reader r;
    newt__token t;
    target *found;
    uint32 depth;

    newt_pg_need_utf8();
    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), n) != NEWT__OK)
        goto out;
    do {
        depth = r.depth;
        if (newt__read(&r, &t) != NEWT__OK)
            goto out;
        if (t.kind == NEWT__END)
            continue;
        if (depth > 0)
            step(&places[depth - 1], &t);
        if (t.kind == NEWT__REF) {
            found = bsearch(&(target){.oid = t.i}, targets, n_targets, sizeof *targets,
                            compare_targets);
            if (found && !found->path) {
                found->path = path_of(places, depth);
                left--;
            }
        }
        if (r.depth > depth)
            places[depth] = (place){.kind = t.kind, .index = -1};
    } while (left > 0 && (t.kind != NEWT__END || depth > 0));
out:
    if (r.fault.code && !newt_pg_is_bad_record(r.fault.code))
        newt_pg_raise(&r.fault, n);
}

Datum
newt_pg_ref_path(PG_FUNCTION_ARGS)
{
    target t = {.oid = PG_GETARG_INT64(1)};

    find_paths(PG_GETARG_BYTEA_PP(0), &t, 1);
    if (!t.path)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(t.path);
}

/* Of many references one after another would read the record as often. */
Datum
newt_pg_ref_paths(PG_FUNCTION_ARGS)
{
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
    Datum *oids, *paths;
    bool *nulls;
    int n, dims, lower = 1;
    target *targets;

    deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &oids,
                      &nulls, &n);
    if (n == 0)
        PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
    targets = palloc(n * sizeof *targets);
    paths = palloc(n * sizeof *paths);
    for (int i = 0; i < n; i++)
        targets[i] = (target){.oid = nulls[i] ? 0 : DatumGetInt64(oids[i])};
    qsort(targets, n, sizeof *targets, compare_targets);
    find_paths(PG_GETARG_BYTEA_PP(0), targets, n);
    for (int i = 0; i < n; i++) {
        int64 oid = nulls[i] ? 0 : DatumGetInt64(oids[i]);
        target *t = bsearch(&(target){.oid = oid}, targets, n, sizeof *t, compare_targets);

        nulls[i] = !t->path;
        paths[i] = PointerGetDatum(t->path);
    }
    dims = n;
    PG_RETURN_ARRAYTYPE_P(
        construct_md_array(paths, nulls, 1, &dims, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}
