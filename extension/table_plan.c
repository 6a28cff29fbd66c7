/*
 * table_plan.c - which typed tables a store has, and what of a record their columns are
 *
 * Read from newt_table when a session needs it first, and again when one of these tables or the
 * registry has changed: newt.tables_changed() sends the message that PostgreSQL sends for any
 * changed table. A column that the DBA has renamed, dropped or given another type is left alone,
 * and so is a table that is not its store's owner's: newt_table shall not lend anybody his hands.
 */
#include "tables.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static struct {
    bool registered; /* the callback is */
    bool valid;
    uint64 messages;
    MemoryContext context;
    newt_pg_store *store; /* in the context */
    Oid *named;           /* all tables that the registry names, also those that are left alone */
    int n_named;
} cache;

static void
on_relcache(Datum arg, Oid relation)
{
    cache.messages++;
    if (!cache.valid)
        return;
    cache.valid = relation != InvalidOid && relation != cache.store->registry;
    for (int i = 0; i < cache.n_named && cache.valid; i++)
        cache.valid = relation != cache.named[i];
}

/* ---- building ------------------------------------------------------------------------------- */

static char *
copy_text(Datum value, size_t *n)
{
    text *s = DatumGetTextPP(value);

    *n = VARSIZE_ANY_EXHDR(s);
    return pnstrdup(VARDATA_ANY(s), *n);
}

static newt_pg_field *
field_of(newt_pg_level *level, Datum name)
{
    size_t n;
    char *s = copy_text(name, &n);
    newt_pg_field *f;

    for (int i = 0; i < level->n; i++)
        if (level->fields[i].n == n && memcmp(level->fields[i].name, s, n) == 0)
            return &level->fields[i];
    level->fields = level->fields ? repalloc(level->fields, (level->n + 1) * sizeof *level->fields)
                                  : palloc(sizeof *level->fields);
    f = &level->fields[level->n++];
    *f = (newt_pg_field){.name = s, .n = n, .child = -1};
    return f;
}

/* The field at the end of a path; NULL: the path is empty, or leads through a column. */
static newt_pg_field *
field_at(newt_pg_level *level, Datum path)
{
    newt_pg_field *f = NULL;
    Datum *names;
    bool *nulls;
    int n;

    if (!path)
        return NULL;
    deconstruct_array(DatumGetArrayTypeP(path), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
                      &n);
    for (int i = 0; i < n; i++) {
        if (nulls[i])
            return NULL;
        f = field_of(level, names[i]);
        if (i + 1 < n) {
            if (f->column || f->child >= 0)
                return NULL;
            if (!f->level)
                f->level = palloc0(sizeof *f->level);
            level = f->level;
        }
    }
    return f;
}

static int
by_key_order(const void *a, const void *b)
{
    const newt_pg_field *x = a, *y = b;

    return newt__key_order(x->name, x->n, y->name, y->n);
}

static void
sort_level(newt_pg_level *level)
{
    if (level->n > 1)
        qsort(level->fields, level->n, sizeof *level->fields, by_key_order);
    for (int i = 0; i < level->n; i++)
        if (level->fields[i].level)
            sort_level(level->fields[i].level);
}

/* Columns of the query below. */
enum {
    CLASS = 1,
    IS_INLINE,
    FILLED,
    RELATION,
    IS_CHILD,
    CHILD_PATH,
    SHAPE,
    ROLE,
    ATTNUM,
    TYPE,
    PATH,
    IS_REF,
    SCHEMA,
    NAME,
    COLUMN,
    IS_OWNERS,
    CLASS_NAMES,
    OLDER_CHILD,
    OLDER
};

/* The ways to a value, the present one first; older ones are JSON arrays of arrays. */
#define WAYS(path, older)                                                                          \
    "(SELECT " path ", 0::pg_catalog.int8 UNION ALL SELECT ARRAY(SELECT "                          \
    "pg_catalog.jsonb_array_elements_text(o.value)), o.n FROM "                                    \
    "pg_catalog.jsonb_array_elements(" older ") WITH ORDINALITY o (value, n))"

static const char query[] =
    "SELECT t.class_name::pg_catalog.text, t.mode::pg_catalog.text OPERATOR(pg_catalog.=) "
    "'inline', "
    "t.filled::pg_catalog.bool, r.oid, "
    "t.parent IS NOT NULL, c.path, t.shape::pg_catalog.text, x.role, a.attnum, a.atttypid, "
    "p.path, x.kind OPERATOR(pg_catalog.=) 'ref', s.nspname, r.relname, a.attname, "
    "r.relowner OPERATOR(pg_catalog.=) $1, x.class_names, c.n OPERATOR(pg_catalog.>) 0, "
    "p.n OPERATOR(pg_catalog.>) 0 "
    "FROM %s.newt_table t JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) t.relation "
    "AND r.relkind OPERATOR(pg_catalog.=) 'r' "
    "JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) r.relnamespace "
    "CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(t.columns::pg_catalog.jsonb) "
    "x (column_name text, role text, path text[], kind text, older_paths jsonb, "
    "older_child_paths jsonb, class_names text[]) "
    "CROSS JOIN LATERAL " WAYS(
        "t.path::pg_catalog.text[]",
        "x.older_child_paths") " c (path, n) "
                               "CROSS JOIN LATERAL " WAYS(
                                   "x.path",
                                   "x.older_paths") " p (path, n) "
                                                    "JOIN pg_catalog.pg_attribute a ON a.attrelid "
                                                    "OPERATOR(pg_catalog.=) t.relation "
                                                    "AND a.attname OPERATOR(pg_catalog.=) "
                                                    "x.column_name::pg_catalog.name AND NOT "
                                                    "a.attisdropped "
                                                    "AND a.atttypmod OPERATOR(pg_catalog.<) 0 AND "
                                                    "a.attgenerated OPERATOR(pg_catalog.=) '' "
                                                    "ORDER BY t.class_name COLLATE \"C\", 5, "
                                                    "r.oid, a.attnum, c.n, p.n";

static Datum
field_value(int row, int column)
{
    bool isnull;
    Datum d = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

    return isnull ? (Datum)0 : d;
}

static bool
is_word(int row, int column, const char *word)
{
    Datum d = field_value(row, column);
    text *s = d ? DatumGetTextPP(d) : NULL;

    return s && VARSIZE_ANY_EXHDR(s) == strlen(word) &&
           memcmp(VARDATA_ANY(s), word, strlen(word)) == 0;
}

static newt_pg_shape
shape_of(int row)
{
    static const char *const names[] = {[NEWT_PG_LIST] = "list",
                                        [NEWT_PG_SET] = "set",
                                        [NEWT_PG_MAP] = "map",
                                        [NEWT_PG_PAIRS] = "pairs"};

    for (int i = NEWT_PG_LIST; i <= NEWT_PG_PAIRS; i++)
        if (is_word(row, SHAPE, names[i]))
            return i;
    return NEWT_PG_OBJECTS;
}

static const char *
name_at(int row, int column)
{
    return pstrdup(NameStr(*DatumGetName(field_value(row, column))));
}

/* NULL: the column's type is none of ours. */
static newt_pg_column *
column_of(int row)
{
    Oid type = DatumGetObjectId(field_value(row, TYPE)), element = get_element_type(type);
    newt_pg_column c = {.att = DatumGetInt16(field_value(row, ATTNUM)),
                        .name = name_at(row, COLUMN),
                        .is_array = element};
    newt_pg_column *result;

    c.type = newt_pg_type_of(element ? element : type, DatumGetBool(field_value(row, IS_REF)));
    if (c.type < 0)
        return NULL;
    result = palloc(sizeof *result);
    *result = c;
    return result;
}

static void
add_column(newt_pg_relation *r, int row)
{
    newt_pg_column *c = column_of(row);
    newt_pg_field *f;

    if (is_word(row, ROLE, "id") || is_word(row, ROLE, "parent"))
        r->id = c && newt_pg_types[c->type].oid == INT8OID ? c->att : 0;
    else if (is_word(row, ROLE, "n"))
        r->n = DatumGetObjectId(field_value(row, TYPE)) == INT4OID
                   ? DatumGetInt16(field_value(row, ATTNUM))
                   : 0;
    else if (!c)
        return;
    else if (is_word(row, ROLE, "key"))
        r->key = c;
    else if (is_word(row, ROLE, "value")) {
        f = field_at(&r->level, field_value(row, PATH));
        if (!f)
            r->value = c;
        else if (!f->column && !f->level && f->child < 0) {
            f->column = c;
            f->is_older = DatumGetBool(field_value(row, OLDER));
        }
    }
}

/* Where the collection stands whose table is the last of these. */
static void
add_child(newt_pg_tables *t, int row)
{
    newt_pg_field *f = field_at(&t->relations[0].level, field_value(row, CHILD_PATH));

    if (!f || f->column || f->level || f->child >= 0)
        return;
    f->child = t->n - 1;
    f->is_older = DatumGetBool(field_value(row, OLDER_CHILD));
}

static void
add_names(newt_pg_tables *t, Datum names)
{
    bool *nulls;
    int n;

    if (!names)
        return;
    deconstruct_array(DatumGetArrayTypePCopy(names), TEXTOID, -1, false, TYPALIGN_INT, &t->names,
                      &nulls, &n);
    t->n_names = 0;
    for (int i = 0; i < n; i++)
        if (!nulls[i])
            t->names[t->n_names++] = t->names[i];
}

/* A table that is left alone may be given back to its owner, or its key its name. */
static int
named_tables(Oid **named, int n_rows)
{
    int n = 0;

    *named = palloc(Max(1, n_rows) * sizeof **named);
    for (int row = 0; row < n_rows; row++) {
        Oid oid = DatumGetObjectId(field_value(row, RELATION));

        if (n == 0 || (*named)[n - 1] != oid)
            (*named)[n++] = oid;
    }
    return n;
}

/* The registry's rows stand by class, then by table. */
static void
build(newt_pg_store *store, int n_rows)
{
    newt_pg_tables *t = NULL;
    newt_pg_relation *r = NULL;

    store->tables = palloc0(Max(1, n_rows) * sizeof *store->tables);
    for (int row = 0; row < n_rows; row++) {
        Oid oid = DatumGetObjectId(field_value(row, RELATION));
        bool is_child = DatumGetBool(field_value(row, IS_CHILD));
        size_t n;
        char *class_name;

        if (!DatumGetBool(field_value(row, IS_OWNERS)) || !field_value(row, CLASS))
            continue;
        class_name = copy_text(field_value(row, CLASS), &n);
        if (!t || t->n_class_name != n || memcmp(t->class_name, class_name, n) != 0) {
            if (is_child)
                continue; /* of a table that is gone */
            t = &store->tables[store->n++];
            *t = (newt_pg_tables){.class_name = class_name,
                                  .n_class_name = n,
                                  .is_inline = DatumGetBool(field_value(row, IS_INLINE)),
                                  .filled = DatumGetBool(field_value(row, FILLED))};
            r = NULL;
        }
        if (!r || r->oid != oid) {
            if (r && !is_child)
                continue; /* one table a class */
            t->relations = t->relations ? repalloc(t->relations, (t->n + 1) * sizeof *t->relations)
                                        : palloc(sizeof *t->relations);
            r = &t->relations[t->n++];
            *r = (newt_pg_relation){.oid = oid,
                                    .schema = name_at(row, SCHEMA),
                                    .name = name_at(row, NAME),
                                    .shape = is_child ? shape_of(row) : NEWT_PG_OBJECTS};
            if (is_child)
                add_child(t, row);
        }
        if (DatumGetBool(field_value(row, OLDER_CHILD)))
            add_child(t, row);
        else
            add_column(r, row);
        if (!is_child)
            add_names(t, field_value(row, CLASS_NAMES));
    }
    for (int i = 0; i < store->n; i++)
        for (int k = 0; k < store->tables[i].n; k++)
            sort_level(&store->tables[i].relations[k].level);
}

/* A table without its key cannot be kept: the class is as if it had none. */
static void
leave_broken_out(newt_pg_store *store)
{
    int kept = 0;

    for (int i = 0; i < store->n; i++) {
        const newt_pg_tables *t = &store->tables[i];
        bool good = true;

        for (int k = 0; k < t->n; k++) {
            const newt_pg_relation *r = &t->relations[k];

            good &= r->id && (r->shape != NEWT_PG_LIST || r->n) &&
                    (r->shape != NEWT_PG_SET || r->n || r->value) &&
                    ((r->shape != NEWT_PG_MAP && r->shape != NEWT_PG_PAIRS) || r->key) &&
                    (k == 0) == (r->shape == NEWT_PG_OBJECTS);
        }
        if (good)
            store->tables[kept++] = *t;
    }
    store->n = kept;
}

static void
load(Relation registry, Oid schema)
{
    MemoryContext before;
    newt_pg_store store = {.registry = RelationGetRelid(registry),
                           .owner = registry->rd_rel->relowner,
                           .objects = get_relname_relid("object_state", schema)};
    Datum owner = ObjectIdGetDatum(store.owner);
    Oid type = OIDOID;
    uint64 messages;
    int context, n_named, nest;
    Oid user, *named;

    if (!cache.registered) {
        CacheRegisterRelcacheCallback(on_relcache, (Datum)0);
        cache.registered = true;
    }
    messages = cache.messages; /* what comes from now on may not be seen any more */
    if (cache.context) /* somebody may stand in it, whose table has changed, or index calls us */
        MemoryContextSetParent(cache.context, TopTransactionContext);
    cache.context = AllocSetContextCreate(CacheMemoryContext, "newt typed tables",
                                          ALLOCSET_SMALL_SIZES);
    /* who commits need not be able to read it */
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(store.owner, context | SECURITY_LOCAL_USERID_CHANGE);
    /* the message may have come after the statement's snapshot was taken */
    PushActiveSnapshot(GetLatestSnapshot());
    /* the planner takes the few columns for very many, and would compile the query */
    nest = NewGUCNestLevel();
    (void)set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                            false);
    SPI_connect();
    if (SPI_execute_with_args(psprintf(query, quote_identifier(get_namespace_name(schema))), 1,
                              &type, &owner, NULL, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "newt_table was not read");
    before = MemoryContextSwitchTo(cache.context);
    n_named = named_tables(&named, (int)SPI_processed);
    build(&store, (int)SPI_processed);
    leave_broken_out(&store);
    MemoryContextSwitchTo(before);
    SPI_finish();
    AtEOXact_GUC(false, nest);
    PopActiveSnapshot();
    SetUserIdAndSecContext(user, context);
    cache.store = MemoryContextAlloc(cache.context, sizeof *cache.store);
    *cache.store = store;
    cache.named = named;
    cache.n_named = n_named;
    cache.valid = cache.messages == messages;
}

const newt_pg_store *
newt_pg_store_of(Oid schema)
{
    Oid registry = get_relname_relid("newt_table", schema);
    Relation table;

    if (!OidIsValid(registry) || get_rel_relkind(registry) != RELKIND_RELATION)
        return NULL;
    table = table_open(registry, AccessShareLock);
    if (!cache.valid || cache.store->registry != registry) {
        cache.valid = false;
        load(table, schema);
    }
    table_close(table, AccessShareLock);
    return cache.store->n > 0 ? cache.store : NULL;
}

bool
newt_pg_is_current(const newt_pg_store *store)
{
    return cache.valid && cache.store == store;
}

static bool
has_name(const newt_pg_tables *t, const char *name, size_t n)
{
    if (t->n_class_name == n && memcmp(t->class_name, name, n) == 0)
        return true;
    for (int i = 0; i < t->n_names; i++) {
        const text *other = DatumGetTextPP(t->names[i]);

        if (VARSIZE_ANY_EXHDR(other) == n && memcmp(VARDATA_ANY(other), name, n) == 0)
            return true;
    }
    return false;
}

const newt_pg_tables *
newt_pg_tables_of(const newt_pg_store *store, const char *class_name, size_t n)
{
    for (int i = 0; i < store->n; i++)
        if (has_name(&store->tables[i], class_name, n))
            return &store->tables[i];
    return NULL;
}
