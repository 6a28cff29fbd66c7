/*
 * access.c - one value of a document as an SQL type: what a column of a typed view calls
 *
 * newt.int8(value) reads a value, newt.int8(document, key, ...) the value that the keys lead to,
 * newt.int8_array(document, key, ...) the items of the array there. Of the document only the keys
 * on the way are looked at.
 */
#include "document.h"
#include "values.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* ---- the way to a value -----------------------------------------------------------------------
 */

typedef struct path {
    int n;
    bool is_null;  /* one of its keys is */
    Size need;     /* bytes of the last document that led to the value */
    Size key_at;   /* where in the last document the first key was, */
    Size value_at; /* and its value */
    struct {
        const char *s;
        int n;
        uint32 at; /* place that the key had in the last document */
    } keys[FLEXIBLE_ARRAY_MEMBER];
} path;

static path *
parse_path(ArrayType *array)
{
    Datum *keys;
    bool *nulls;
    int n;
    path *result;

    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &keys, &nulls, &n);
    result = palloc0(offsetof(path, keys) + (Size)n * sizeof *result->keys);
    result->n = n;
    for (int i = 0; i < n; i++) {
        if (nulls[i]) {
            result->is_null = true;
            break;
        }
        result->keys[i].s = VARDATA_ANY(DatumGetPointer(keys[i]));
        result->keys[i].n = (int)VARSIZE_ANY_EXHDR(DatumGetPointer(keys[i]));
    }
    return result;
}

/* It is the same for every row, as a rule. */
static path *
path_of(FunctionCallInfo fcinfo)
{
    FmgrInfo *function = fcinfo->flinfo;
    MemoryContext before;

    if (function->fn_extra)
        return function->fn_extra;
    if (!get_fn_expr_arg_stable(function, 1))
        return parse_path(PG_GETARG_ARRAYTYPE_P(1));
    before = MemoryContextSwitchTo(function->fn_mcxt);
    function->fn_extra = parse_path(PG_GETARG_ARRAYTYPE_P_COPY(1));
    MemoryContextSwitchTo(before);
    return function->fn_extra;
}

/*
 * Keys are sorted, the shorter first: only those of the same length have to be compared, and their
 * entries tell the lengths. Documents of a class have the same keys, as a rule: the place where the
 * last one had it is tried before.
 */
static bool
find_key(const JsonbContainer *object, const char *key, int n, uint32 *hint, JsonbValue *v)
{
    uint32 count = JsonContainerSize(object), low = 0, high = count;
    const char *data = (const char *)&object->children[count * 2];
    uint32 at = *hint;

    while (low < high) {
        int order;

        if (at < low || at >= high)
            at = low + (high - low) / 2;
        order = n - (int)newt_pg_entry_length(object, at);
        if (order == 0)
            order = memcmp(key, data + newt_pg_entry_offset(object, at), (size_t)n);
        if (order == 0) {
            *hint = at;
            newt_pg_read_entry(object, at + count, data, v);
            return true;
        }
        if (order < 0)
            high = at;
        else
            low = at + 1;
        at = count; /* no place: the middle */
    }
    return false;
}

/* How much of a document tells where its keys are, and where the value of one is. */
static Size
size_of_entries(const JsonbContainer *root)
{
    return offsetof(JsonbContainer, children) +
           JsonContainerSize(root) * (JsonContainerIsObject(root) ? 2 : 1) * sizeof(JEntry);
}

static Size
size_of_keys(const JsonbContainer *root)
{
    return size_of_entries(root) + newt_pg_entry_offset(root, JsonContainerSize(root));
}

static Size
size_until(const JsonbContainer *root, uint32 at)
{
    return size_of_entries(root) + newt_pg_entry_offset(root, at) + newt_pg_entry_length(root, at);
}

/* A scan waits for the memory of each document more than it computes. Documents of a class look
 * alike: what will be needed is asked for at once, instead of one piece after the other. */
static bool
find_in_whole(const JsonbContainer *root, path *keys, JsonbValue *v)
{
    uint32 *at = &keys->keys[0].at;

    __builtin_prefetch((const char *)root + keys->key_at);
    __builtin_prefetch((const char *)root + keys->value_at);
    if (!JsonContainerIsObject(root) || !find_key(root, keys->keys[0].s, keys->keys[0].n, at, v))
        return false;
    keys->key_at = size_of_entries(root) + newt_pg_entry_offset(root, *at);
    keys->value_at = size_of_entries(root) +
                     newt_pg_entry_offset(root, *at + JsonContainerSize(root));
    return true;
}

/* The value at the first key of a path; *need: how much of the document has to be there for that.
 */
static bool
find_first(const JsonbContainer *root, Size have, path *keys, JsonbValue *v, Size *need)
{
    bool found = false;

    if (have == NEWT_PG_WHOLE)
        return find_in_whole(root, keys, v);
    *need = offsetof(JsonbContainer, children);
    if (!JsonContainerIsObject(root))
        return false;
    *need = size_of_entries(root);
    if (*need <= have)
        *need = size_of_keys(root);
    if (*need <= have)
        found = find_key(root, keys->keys[0].s, keys->keys[0].n, &keys->keys[0].at, v);
    if (found)
        *need = size_until(root, keys->keys[0].at + JsonContainerSize(root));
    return found;
}

static void
whole(const Jsonb *document, JsonbValue *v)
{
    JsonbContainer *root = unconstify(JsonbContainer *, &document->root);

    if (JsonContainerIsScalar(root))
        newt_pg_read_entry(root, 0, (const char *)&root->children[1], v);
    else {
        v->type = jbvBinary;
        v->val.binary.data = root;
        v->val.binary.len = (int)(VARSIZE(document) - VARHDRSZ);
    }
}

static bool
find(FunctionCallInfo fcinfo, JsonbValue *v)
{
    path *keys = PG_NARGS() > 1 ? path_of(fcinfo) : NULL;
    const Jsonb *document;
    Size have;
    bool found;

    if (!keys || keys->n == 0) {
        whole(newt_pg_document(PG_GETARG_DATUM(0), NEWT_PG_WHOLE, &have), v);
        return true;
    }
    if (keys->is_null)
        return false;
    do {
        document = newt_pg_document(PG_GETARG_DATUM(0), keys->need, &have);
        found = find_first(&document->root, have, keys, v, &keys->need);
    } while (keys->need > have);
    for (int i = 1; i < keys->n && found; i++)
        found = v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data) &&
                find_key(v->val.binary.data, keys->keys[i].s, keys->keys[i].n, &keys->keys[i].at,
                         v);
    return found;
}

/* ---- one value, and an array of values --------------------------------------------------------
 */

static Datum
scalar_of(FunctionCallInfo fcinfo, const newt_pg_type *type)
{
    JsonbValue v;
    Datum result;

    if (!find(fcinfo, &v) || !type->convert(&v, &result))
        PG_RETURN_NULL();
    return result;
}

/* Items that are no such values are null. */
static Datum
array_of(FunctionCallInfo fcinfo, const newt_pg_type *type)
{
    JsonbContainer *array;
    JsonbValue v;
    uint32 n;
    Datum *items;
    bool *nulls;
    int low = 1, length;

    if (!find(fcinfo, &v) || v.type != jbvBinary || !JsonContainerIsArray(v.val.binary.data))
        PG_RETURN_NULL();
    array = v.val.binary.data;
    n = JsonContainerSize(array);
    if (n == 0)
        PG_RETURN_ARRAYTYPE_P(construct_empty_array(type->oid));
    items = palloc(n * sizeof *items);
    nulls = palloc(n * sizeof *nulls);
    for (uint32 i = 0; i < n; i++) {
        newt_pg_read_entry(array, i, (const char *)&array->children[n], &v);
        nulls[i] = !type->convert(&v, &items[i]);
    }
    length = (int)n;
    PG_RETURN_ARRAYTYPE_P(construct_md_array(items, nulls, 1, &length, &low, type->oid, type->len,
                                             type->by_value, type->align));
}

#define ACCESSORS(name, type)                                                                      \
    PG_FUNCTION_INFO_V1(newt_pg_##name);                                                           \
    Datum newt_pg_##name(PG_FUNCTION_ARGS)                                                         \
    {                                                                                              \
        return scalar_of(fcinfo, &newt_pg_types[type]);                                            \
    }                                                                                              \
    PG_FUNCTION_INFO_V1(newt_pg_##name##_array);                                                   \
    Datum newt_pg_##name##_array(PG_FUNCTION_ARGS)                                                 \
    {                                                                                              \
        return array_of(fcinfo, &newt_pg_types[type]);                                             \
    }

ACCESSORS(bool, NEWT_PG_BOOL)
ACCESSORS(int8, NEWT_PG_INT8)
ACCESSORS(float8, NEWT_PG_FLOAT8)
ACCESSORS(numeric, NEWT_PG_NUMERIC)
ACCESSORS(string, NEWT_PG_STRING)
ACCESSORS(bytes, NEWT_PG_BYTES)
ACCESSORS(ts, NEWT_PG_TS)
ACCESSORS(duration, NEWT_PG_DURATION)
ACCESSORS(date, NEWT_PG_DATE)
ACCESSORS(uuid, NEWT_PG_UUID)
ACCESSORS(ref, NEWT_PG_REF)
ACCESSORS(json, NEWT_PG_JSON)

/* ---- the items of a list, a set or a map ------------------------------------------------------
 */

PG_FUNCTION_INFO_V1(newt_pg_items);
PG_FUNCTION_INFO_V1(newt_pg_entries);

/* A field's own name: what the projection added begins with two colons, and such a name with one
 * more. false: it is none. */
static bool
own_name(const char **s, int *n)
{
    bool colons = *n >= 2 && (*s)[0] == ':' && (*s)[1] == ':';

    if (colons && (*n == 2 || (*s)[2] != ':'))
        return false;
    *s += colons;
    *n -= colons;
    return true;
}

static void
put(ReturnSetInfo *result, Datum key, const JsonbContainer *container, uint32 at, const char *data)
{
    Datum values[2] = {key};
    bool nulls[2] = {false};
    JsonbValue v;

    newt_pg_read_entry(container, at, data, &v);
    nulls[1] = !newt_pg_types[NEWT_PG_JSON].convert(&v, &values[1]);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
newt_pg_items(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    const JsonbContainer *array;
    JsonbValue v;

    InitMaterializedSRF(fcinfo, 0);
    if (!find(fcinfo, &v) || v.type != jbvBinary || !JsonContainerIsArray(v.val.binary.data))
        return (Datum)0;
    array = v.val.binary.data;
    for (uint32 i = 0, n = JsonContainerSize(array); i < n; i++)
        put(result, Int32GetDatum((int32)i + 1), array, i, (const char *)&array->children[n]);
    return (Datum)0;
}

/* A map with a key that is not UTF-8, or has NUL, is shown as pairs. Such a key is no text: what is
 * shown of it may be shown of another as well. So it is what JSON has. */
static void
put_pair(ReturnSetInfo *result, JsonbContainer *pair)
{
    JsonbValue k, v;
    Datum values[2];
    bool nulls[2] = {false};

    if (!getKeyJsonValueFromContainer(pair, "k", 1, &k) ||
        !getKeyJsonValueFromContainer(pair, "v", 1, &v))
        return;
    if (k.type == jbvString)
        values[0] = PointerGetDatum(cstring_to_text_with_len(k.val.string.val, k.val.string.len));
    else if (k.type == jbvBinary && JsonContainerIsObject(k.val.binary.data))
        values[0] = CStringGetTextDatum(JsonbToCString(NULL, k.val.binary.data, k.val.binary.len));
    else
        return;
    nulls[1] = !newt_pg_types[NEWT_PG_JSON].convert(&v, &values[1]);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_pairs(ReturnSetInfo *result, const JsonbContainer *pairs)
{
    const char *data = (const char *)&pairs->children[JsonContainerSize(pairs)];
    JsonbValue v;

    for (uint32 i = 0, n = JsonContainerSize(pairs); i < n; i++) {
        CHECK_FOR_INTERRUPTS();
        newt_pg_read_entry(pairs, i, data, &v);
        if (v.type == jbvBinary && JsonContainerIsObject(v.val.binary.data))
            put_pair(result, v.val.binary.data);
    }
}

Datum
newt_pg_entries(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    const JsonbContainer *map;
    const char *data, *key;
    JsonbValue v;
    int length;

    InitMaterializedSRF(fcinfo, 0);
    if (!find(fcinfo, &v) || v.type != jbvBinary)
        return (Datum)0;
    map = v.val.binary.data;
    if (JsonContainerIsArray(map))
        put_pairs(result, map);
    if (!JsonContainerIsObject(map))
        return (Datum)0;
    data = (const char *)&map->children[JsonContainerSize(map) * 2];
    for (uint32 i = 0, n = JsonContainerSize(map); i < n; i++) {
        CHECK_FOR_INTERRUPTS();
        key = data + newt_pg_entry_offset(map, i);
        length = (int)newt_pg_entry_length(map, i);
        if (own_name(&key, &length))
            put(result, PointerGetDatum(cstring_to_text_with_len(key, length)), map, i + n, data);
    }
    return (Datum)0;
}
