/*
 * indexed.c - classes whose objects are in indexes that programs keep (bridge/index/)
 *
 * The store lists them: the root's map has a map "newt.indexes", which leads from their names to
 * objects of class newt.Index. The list is read again when the root or that map has another
 * serial.
 */
#include "indexed.h"

#include "current.h"
#include "statements.h"
#include "values.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

enum {
    ROOT = 1
};

typedef struct index_entry {
    char *name, *class_name;
} index_entry;

static struct {
    Oid schema;
    int64 root_serial;     /* 0: nothing is known */
    int64 map, map_serial; /* 0: the root has none */
    uint64 changed;        /* counts the times that it was read */
    MemoryContext memory;
    index_entry *list;
    int n;
} known;

static void
unreadable(int64 zoid)
{
    known.root_serial = 0;
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("cannot read which indexes the store has"),
             errdetail("Object " INT64_FORMAT " is not there, or not to be seen.", zoid),
             errhint("A policy of row security has to show object 1, the map \"newt.indexes\" in "
                     "it, and what that refers to.")));
}

/* ---- reading the list -------------------------------------------------------------------------
 */

/* The document of an object; NULL: it has none. */
static Jsonb *
document_of(Oid schema, int64 zoid)
{
    Datum values[] = {Int64GetDatum(zoid)};
    newt__fault fault = {0};
    Jsonb *document;
    bytea *record;

    if (newt_pg_run(schema, NEWT_PG_S_STATE, values) != 1)
        unreadable(zoid);
    record = DatumGetByteaPP(newt_pg_result(0, 1));
    document = newt_pg_project(VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record), &fault);
    if (fault.code)
        newt_pg_raise(&fault, VARSIZE_ANY_EXHDR(record));
    return document;
}

/* The map in the field `items` of a document; false: it has none. */
static bool
items_of(Jsonb *document, JsonbValue *items)
{
    return document && getKeyJsonValueFromContainer(&document->root, "items", 5, items) &&
           items->type == jbvBinary && JsonContainerIsObject(items->val.binary.data);
}

static int64
reference(const JsonbValue *v)
{
    JsonbValue oid;
    int64 zoid;

    return newt_pg_wrapped(v, "::=>", &oid) && newt_pg_to_int64(&oid, &zoid) ? zoid : 0;
}

static char *
text_field(Jsonb *document, const char *name)
{
    JsonbValue v;

    if (!document || !getKeyJsonValueFromContainer(&document->root, name, (int)strlen(name), &v) ||
        v.type != jbvString)
        return "";
    return pnstrdup(v.val.string.val, (Size)v.val.string.len);
}

static void
read_index(Oid schema, int64 zoid)
{
    Jsonb *document = document_of(schema, zoid);
    MemoryContext before = MemoryContextSwitchTo(known.memory);

    known.list[known.n].name = text_field(document, "name");
    known.list[known.n].class_name = text_field(document, "class");
    known.n++;
    MemoryContextSwitchTo(before);
}

static void
read_list(Oid schema)
{
    const JsonbContainer *object;
    JsonbValue items, v;
    uint32 n;

    known.n = 0;
    known.list = NULL;
    known.map = 0;
    if (items_of(document_of(schema, ROOT), &items) &&
        getKeyJsonValueFromContainer(items.val.binary.data, "newt.indexes", 12, &v))
        known.map = reference(&v);
    if (known.map == 0 || !items_of(document_of(schema, known.map), &items))
        return;
    object = items.val.binary.data;
    n = JsonContainerSize(object);
    known.list = MemoryContextAlloc(known.memory, (n + 1) * sizeof *known.list);
    for (uint32 i = 0; i < n; i++) {
        newt_pg_read_entry(object, n + i, (const char *)&object->children[2 * n], &v);
        if (reference(&v) > 0)
            read_index(schema, reference(&v));
    }
}

/* The serial that an object has; 0: it is not there, or not to be seen. */
static int64
serial_of(Oid schema, int64 zoid)
{
    Datum values[] = {Int64GetDatum(zoid)};
    newt_pg_current now;

    if (newt_pg_read_current(schema, zoid, ACL_SELECT, &now))
        return now.serial;
    if (newt_pg_run(schema, NEWT_PG_S_SERIAL, values) == 0)
        return 0;
    return DatumGetInt64(newt_pg_result(0, 1));
}

/* The serials of the root and of the map that is known. */
static void
heads(Oid schema, int64 *root_serial, int64 *map_serial)
{
    *root_serial = serial_of(schema, ROOT);
    *map_serial = known.map ? serial_of(schema, known.map) : 0;
    if (*root_serial == 0)
        unreadable(ROOT);
}

/* Whether the list is as it was read last. */
static bool
is_current(Oid schema)
{
    int64 root_serial, map_serial;

    if (known.schema != schema || known.root_serial == 0)
        return false;
    heads(schema, &root_serial, &map_serial);
    return root_serial == known.root_serial && map_serial == known.map_serial;
}

static void
refresh(Oid schema)
{
    int64 root_serial, map_serial;

    if (is_current(schema))
        return;
    if (!known.memory)
        known.memory = AllocSetContextCreate(CacheMemoryContext, "newt indexes",
                                             ALLOCSET_SMALL_SIZES);
    known.schema = schema;
    known.map = 0;
    known.changed++;
    /* each statement may see more than the one before: until nothing has changed in between */
    do {
        known.root_serial = 0; /* until it is read */
        heads(schema, &root_serial, &map_serial);
        MemoryContextReset(known.memory);
        read_list(schema);
        heads(schema, &known.root_serial, &known.map_serial);
    } while (known.root_serial != root_serial || known.map_serial != map_serial);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static bool
is_one_of(const char *name, ArrayType *names)
{
    Datum *values;
    bool *nulls;
    int n;

    deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
    for (int i = 0; i < n; i++)
        if (!nulls[i] && strcmp(TextDatumGetCString(values[i]), name) == 0)
            return true;
    return false;
}

const char *
newt_pg_index_of(const char *store, Oid schema, const char *class_name, uint64 *as_of)
{
    Datum values[] = {CStringGetTextDatum(store), CStringGetTextDatum(class_name)};
    ArrayType *names;

    refresh(schema);
    *as_of = known.changed;
    if (known.n == 0)
        return NULL;
    /* an index may be known by another name of the class */
    if (newt_pg_run(schema, NEWT_PG_S_CLASS_NAMES, values) != 1)
        elog(ERROR, "newt.class_names() gave no row");
    names = DatumGetArrayTypeP(newt_pg_result(0, 1));
    for (int i = 0; i < known.n; i++)
        if (is_one_of(known.list[i].class_name, names))
            return known.list[i].name;
    return NULL;
}

bool
newt_pg_indexes_changed(Oid schema, uint64 as_of)
{
    return known.changed != as_of || !is_current(schema);
}
