/*
 * extract.c - newt.text, newt.principals and newt.refs_at: the words, the readers and the
 * references of a document
 */
#include "leaves.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include <errno.h>

PG_FUNCTION_INFO_V1(newt_pg_text);
PG_FUNCTION_INFO_V1(newt_pg_principals);
PG_FUNCTION_INFO_V1(newt_pg_allows);
PG_FUNCTION_INFO_V1(newt_pg_refs_at);

enum {
    TEXT = 64 * 1024 * 1024, /* bytes of all strings together; twice what a document can have */
    MAX_PRINCIPALS = 10000,  /* of one document */
    MAX_PRINCIPAL = 1000     /* bytes of one; GIN takes no key much above 2,600 */
};

static const newt_pg_path whole_document; /* no keys */

/* ---- text ------------------------------------------------------------------------------------ */

typedef struct strings {
    StringInfoData text;
    bool full;
} strings;

static void
append_text(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n)
{
    strings *out = arg;

    if (kind != NEWT_PG_STRING || out->full)
        return;
    if (out->text.len + n >= TEXT) {
        out->full = true;
        return;
    }
    if (out->text.len > 0)
        appendStringInfoChar(&out->text, '\n');
    appendBinaryStringInfo(&out->text, s, (int)n);
}

Datum
newt_pg_text(PG_FUNCTION_ARGS)
{
    Jsonb *document = PG_GETARG_JSONB_P(0);
    int n;
    newt_pg_path *paths = newt_pg_paths(PG_GETARG_ARRAYTYPE_P(1), false, &n);
    strings out = {.full = false};

    initStringInfo(&out.text);
    if (n == 0)
        newt_pg_leaves(document, &whole_document, append_text, &out);
    for (int i = 0; i < n; i++)
        newt_pg_leaves(document, &paths[i], append_text, &out);
    if (out.full)
        ereport(NOTICE, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                         errmsg("strings beyond %d MB are left out", TEXT / 1024 / 1024)));
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out.text.data, out.text.len));
}

/* ---- principals ------------------------------------------------------------------------------ */

typedef struct principal {
    const char *s;
    size_t n;
} principal;

typedef struct principals {
    principal *items;
    int n, cap;
    bool too_long;
} principals;

static void
add_principal(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n)
{
    principals *p = arg;

    if (kind == NEWT_PG_REF) {
        s = psprintf("::=>%s", s);
        n += 4;
    }
    if (n > MAX_PRINCIPAL) {
        p->too_long = true;
        return;
    }
    if (p->n == p->cap) {
        p->cap *= 2;
        p->items = repalloc(p->items, (size_t)p->cap * sizeof *p->items);
    }
    p->items[p->n++] = (principal){s, n};
}

static int
compare_principals(const void *a, const void *b)
{
    const principal *x = a, *y = b;
    int order = memcmp(x->s, y->s, Min(x->n, y->n));

    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* What does not fit is left out: fewer may see the object then, never more. */
Datum
newt_pg_principals(PG_FUNCTION_ARGS)
{
    Jsonb *document = PG_GETARG_JSONB_P(0);
    int n_paths, n = 0;
    newt_pg_path *paths = newt_pg_paths(PG_GETARG_ARRAYTYPE_P(1), false, &n_paths);
    principals p = {.cap = 16};
    Datum *items;

    p.items = palloc((size_t)p.cap * sizeof *p.items);
    for (int i = 0; i < n_paths; i++)
        newt_pg_leaves(document, &paths[i], add_principal, &p);
    qsort(p.items, (size_t)p.n, sizeof *p.items, compare_principals);
    items = palloc((size_t)Min(p.n, MAX_PRINCIPALS) * sizeof *items + 1);
    for (int i = 0; i < p.n; i++) {
        if (i > 0 && compare_principals(&p.items[i - 1], &p.items[i]) == 0)
            continue;
        if (n == MAX_PRINCIPALS) {
            ereport(NOTICE,
                    (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                     errmsg("principals beyond the first %d are left out", MAX_PRINCIPALS)));
            break;
        }
        items[n++] = PointerGetDatum(cstring_to_text_with_len(p.items[i].s, (int)p.items[i].n));
    }
    if (p.too_long)
        ereport(NOTICE, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                         errmsg("principals longer than %d bytes are left out", MAX_PRINCIPAL)));
    PG_RETURN_ARRAYTYPE_P(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The first entry about one of the principals decides. Both arrays may be long: the principals are
 * sorted, and looked up. */
Datum
newt_pg_allows(PG_FUNCTION_ARGS)
{
    Datum *entries, *names;
    bool *nulls;
    int n_entries, n_names, n = 0;
    principal *sorted;

    deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
                      &n_names);
    sorted = palloc((size_t)n_names * sizeof *sorted + 1);
    for (int i = 0; i < n_names; i++)
        if (!nulls[i])
            sorted[n++] = (principal){VARDATA_ANY(DatumGetPointer(names[i])),
                                      VARSIZE_ANY_EXHDR(DatumGetPointer(names[i]))};
    qsort(sorted, (size_t)n, sizeof *sorted, compare_principals);
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &entries, &nulls,
                      &n_entries);
    for (int i = 0; i < n_entries; i++) {
        const char *s;
        principal name;
        size_t sign = 0;

        if (nulls[i])
            continue;
        s = VARDATA_ANY(DatumGetPointer(entries[i]));
        name.n = VARSIZE_ANY_EXHDR(DatumGetPointer(entries[i]));
        if (name.n > 0)
            sign = Min((size_t)pg_mblen(s), name.n);
        name.s = s + sign;
        name.n -= sign;
        if (bsearch(&name, sorted, (size_t)n, sizeof *sorted, compare_principals))
            PG_RETURN_BOOL(sign == 1 && *s == '+');
    }
    PG_RETURN_BOOL(false);
}

/* ---- references ------------------------------------------------------------------------------ */

typedef struct oids {
    int64 *items;
    int n, cap;
} oids;

static void
add_oid(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n)
{
    oids *o = arg;
    char *end;
    long long oid;

    if (kind != NEWT_PG_REF)
        return;
    errno = 0;
    oid = strtoll(s, &end, 10);
    if (errno || *end || oid <= 0)
        return;
    if (o->n == o->cap) {
        o->cap *= 2;
        o->items = repalloc_huge(o->items, (size_t)o->cap * sizeof *o->items);
    }
    o->items[o->n++] = oid;
}

static int
compare_oids(const void *a, const void *b)
{
    int64 x = *(const int64 *)a, y = *(const int64 *)b;

    return (x > y) - (x < y);
}

/* Unlike principals there may be any number of them: nothing is to be missed. */
Datum
newt_pg_refs_at(PG_FUNCTION_ARGS)
{
    Jsonb *document = PG_GETARG_JSONB_P(0);
    Datum text = PG_GETARG_DATUM(1);
    int n_paths, n = 0;
    newt_pg_path *path = newt_pg_paths(construct_array(&text, 1, TEXTOID, -1, false, TYPALIGN_INT),
                                       false, &n_paths);
    oids o = {.cap = 8};
    Datum *items;

    o.items = palloc((size_t)o.cap * sizeof *o.items);
    newt_pg_leaves(document, path, add_oid, &o);
    qsort(o.items, (size_t)o.n, sizeof *o.items, compare_oids);
    items = palloc_extended((size_t)o.n * sizeof *items + 1, MCXT_ALLOC_HUGE);
    for (int i = 0; i < o.n; i++)
        if (i == 0 || o.items[i] != o.items[i - 1])
            items[n++] = Int64GetDatum(o.items[i]);
    PG_RETURN_ARRAYTYPE_P(
        construct_array(items, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
