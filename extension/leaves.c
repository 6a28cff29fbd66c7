/*
 * leaves.c - walks jsonb documents to the leaves that indexes want
 */
#include "leaves.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* ---- paths ----------------------------------------------------------------------------------- */

/* A suffix ":A" .. ":D", not escaped, is cut off. */
static char
take_weight(const char *s, size_t *n)
{
    char weight = *n >= 2 ? (char)pg_toupper((unsigned char)s[*n - 1]) : 0;

    if (weight < 'A' || weight > 'D' || s[*n - 2] != ':' || (*n >= 3 && s[*n - 3] == '\\'))
        return 0;
    *n -= 2;
    return weight;
}

static void
parse_path(newt_pg_path *path, const char *s, size_t n)
{
    char *out = palloc(n + 1);
    int dots = 0;

    for (size_t i = 0; i < n; i++)
        dots += s[i] == '.';
    path->keys = palloc((size_t)(dots + 1) * sizeof *path->keys);
    path->keys[0].s = out;
    path->keys[0].n = 0;
    path->n = 1;
    for (size_t i = 0; i < n; i++) {
        struct newt_pg_key *key = &path->keys[path->n - 1];

        if (s[i] == '.') {
            key[1].s = out;
            key[1].n = 0;
            path->n++;
            continue;
        }
        if (s[i] == '\\' && i + 1 < n)
            i++;
        *out++ = s[i];
        key->n++;
    }
}

newt_pg_path *
newt_pg_paths(ArrayType *array, bool weights, int *n)
{
    Datum *items;
    bool *nulls;
    newt_pg_path *paths;

    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, n);
    paths = palloc0((size_t)*n * sizeof *paths + 1);
    for (int i = 0; i < *n; i++) {
        const char *s;
        size_t length;

        if (nulls[i])
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("path %d of a document must not be null", i + 1)));
        s = VARDATA_ANY(DatumGetPointer(items[i]));
        length = VARSIZE_ANY_EXHDR(DatumGetPointer(items[i]));
        if (weights)
            paths[i].weight = take_weight(s, &length);
        parse_path(&paths[i], s, length);
    }
    return paths;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

typedef enum key_kind {
    KEY_PLAIN,
    KEY_REF,
    KEY_META /* the projection's own: not a value of the object */
} key_kind;

static key_kind
kind_of_key(const JsonbValue *key)
{
    static const char *const shown[] = {"::text", "::v"};
    const char *s = key->val.string.val;
    int n = key->val.string.len;

    if (n < 2 || memcmp(s, "::", 2) != 0 || (n > 2 && s[2] == ':'))
        return KEY_PLAIN;
    if (n == 4 && (memcmp(s, "::=>", 4) == 0 || memcmp(s, "::~>", 4) == 0))
        return KEY_REF;
    for (size_t i = 0; i < lengthof(shown); i++)
        if ((size_t)n == strlen(shown[i]) && memcmp(s, shown[i], (size_t)n) == 0)
            return KEY_PLAIN;
    return KEY_META;
}

static void
leaf(const JsonbValue *v, bool ref, newt_pg_leaf *fn, void *arg)
{
    char *text;

    if (v->type == jbvString)
        fn(arg, NEWT_PG_STRING, v->val.string.val, (size_t)v->val.string.len);
    else if (v->type == jbvNumeric) {
        text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
        fn(arg, ref ? NEWT_PG_REF : NEWT_PG_NUMBER, text, strlen(text));
    }
}

/* All leaves of a container. Iterative: PostgreSQL's iterator keeps its stack on the heap. */
static void
all_leaves(JsonbContainer *container, newt_pg_leaf *fn, void *arg)
{
    JsonbIterator *it = JsonbIteratorInit(container);
    JsonbIteratorToken token;
    JsonbValue v;
    bool ref = false, skip = false;

    while ((token = JsonbIteratorNext(&it, &v, skip)) != WJB_DONE) {
        CHECK_FOR_INTERRUPTS();
        if (token == WJB_KEY) {
            key_kind kind = kind_of_key(&v);

            ref = kind == KEY_REF;
            skip = kind == KEY_META;
            continue;
        }
        if ((token == WJB_VALUE || token == WJB_ELEM) && !skip)
            leaf(&v, ref, fn, arg);
        ref = skip = false;
    }
}

static void
descend(JsonbContainer *container, const newt_pg_path *path, int at, newt_pg_leaf *fn, void *arg)
{
    JsonbValue v;

    check_stack_depth();
    if (at == path->n)
        all_leaves(container, fn, arg);
    else if (JsonContainerIsObject(container)) {
        const struct newt_pg_key *key = &path->keys[at];

        if (!getKeyJsonValueFromContainer(container, key->s, key->n, &v))
            return;
        if (v.type == jbvBinary)
            descend(v.val.binary.data, path, at + 1, fn, arg);
        else if (at + 1 == path->n)
            leaf(&v, false, fn, arg);
    } else {
        JsonbIterator *it = JsonbIteratorInit(container);
        JsonbIteratorToken token = JsonbIteratorNext(&it, &v, false);

        while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_ELEM)
            if (v.type == jbvBinary)
                descend(v.val.binary.data, path, at, fn, arg);
    }
}

void
newt_pg_leaves(Jsonb *document, const newt_pg_path *path, newt_pg_leaf *fn, void *arg)
{
    descend(&document->root, path, 0, fn, arg);
}
