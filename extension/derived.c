/*
 * derived.c - rows of derived columns that objects have to do with, found without a statement of
 * SQL
 *
 * A commit asks for each table of derived columns. Most commits have few objects, which few others
 * depend on, and to start the executor takes several times as long as to look them up.
 */
#include "newt_pg.h"
#include "plain.h"
#include "tables.h"
#include "write.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_derived_affected);

/* Columns of newt_dependency. */
enum {
    SOURCE,
    DERIVED,
    PART,
    DEPENDENT,
    N_DEPENDENCY
};

static const newt_pg_plain_column dependency_columns[N_DEPENDENCY] = {
    [SOURCE] = {"source", INT8OID},
    [DERIVED] = {"derived", INT4OID},
    [PART] = {"part", INT2OID},
    [DEPENDENT] = {"dependent", INT8OID},
};

/* ---- zoids ------------------------------------------------------------------------------- */

typedef struct zoids {
    int64 *at;
    int n, room;
} zoids;

static void
add(zoids *z, int64 zoid)
{
    if (z->n == z->room) {
        z->room = z->room ? 2 * z->room : 64;
        z->at = z->at ? repalloc(z->at, z->room * sizeof *z->at) : palloc(z->room * sizeof *z->at);
    }
    z->at[z->n++] = zoid;
}

static int
compare(const void *a, const void *b)
{
    int64 x = *(const int64 *)a, y = *(const int64 *)b;

    return (x > y) - (x < y);
}

static void
sort(zoids *z)
{
    if (z->n > 0)
        z->n = newt_pg_sort_zoids(z->at, z->n);
}

static bool
has(const zoids *sorted, int64 zoid)
{
    return sorted->n > 0 && bsearch(&zoid, sorted->at, sorted->n, sizeof zoid, compare) != NULL;
}

static void
read_zoids(zoids *z, ArrayType *array)
{
    Datum *values;
    bool *nulls;
    int n;

    deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values,
                      &nulls, &n);
    for (int i = 0; i < n; i++)
        if (!nulls[i])
            add(z, DatumGetInt64(values[i]));
    sort(z);
}

/* ---- names ------------------------------------------------------------------------------- */

typedef struct names {
    Datum *texts;
    bool *nulls;
    int n;
} names;

static void
read_names(names *out, ArrayType *array)
{
    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &out->texts, &out->nulls, &out->n);
}

/* None is null. */
static bool
is_name(const names *of, int i, const char *text, size_t n)
{
    struct varlena *name = (struct varlena *)DatumGetPointer(of->texts[i]);

    return !of->nulls[i] && VARSIZE_ANY_EXHDR(name) == n && memcmp(VARDATA_ANY(name), text, n) == 0;
}

/* ---- the three tables --------------------------------------------------------------------- */

typedef struct look {
    newt_pg_by_zoid rows;
    TupleTableSlot *slot;
} look;

/* False: it is not plain, or has other columns (NULL: whatever they are). */
static bool
look_open(look *l, Oid table, const newt_pg_plain_column *columns, int n)
{
    if (get_rel_relkind(table) != RELKIND_RELATION)
        return false;
    l->rows.heap = table_open(table, AccessShareLock);
    if (!newt_pg_is_plain(l->rows.heap, ACL_SELECT) ||
        (columns && !newt_pg_has_columns(l->rows.heap, columns, n)) || !newt_pg_open_key(&l->rows))
        return false;
    l->slot = table_slot_create(l->rows.heap, NULL);
    return true;
}

static void
look_close(look *l)
{
    if (l->slot)
        ExecDropSingleTupleTableSlot(l->slot);
    newt_pg_close_by_zoid(&l->rows);
}

/* To the rows of some zoids that lie anywhere, which newt_pg_fetch gives then. */
static void
look_at(look *l, int64 zoid)
{
    if (l->rows.scan)
        newt_pg_only(&l->rows, zoid);
    else
        newt_pg_scan(&l->rows, GetActiveSnapshot(), zoid, zoid);
}

/* A record that is damaged is of no class. */
static bool
is_one_of(const names *classes, Datum state)
{
    bytea *record = DatumGetByteaPP(state);
    size_t n = VARSIZE_ANY_EXHDR(record);
    newt__reader r;
    bool found = false;

    if (newt__read_begin(&r, &newt_pg_env, VARDATA_ANY(record), n)) {
        if (!newt_pg_is_bad_record(r.fault.code))
            newt_pg_raise(&r.fault, n);
    } else
        for (int i = 0; i < classes->n && !found; i++)
            found = is_name(classes, i, r.class_name, r.class_n);
    if ((Pointer)record != DatumGetPointer(state))
        pfree(record);
    return found;
}

/* As SQL would say it. */
static void
need_columns(Relation rows, const names *wanted)
{
    TupleDesc desc = RelationGetDescr(rows);

    for (int i = 0; i < wanted->n; i++) {
        bool found = wanted->nulls[i];

        for (int k = 0; k < desc->natts && !found; k++) {
            Form_pg_attribute a = TupleDescAttr(desc, k);

            found = !a->attisdropped &&
                    is_name(wanted, i, NameStr(a->attname), strlen(NameStr(a->attname)));
        }
        if (!found)
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("column \"%s\" of relation \"%s\" does not exist",
                           TextDatumGetCString(wanted->texts[i]), RelationGetRelationName(rows)));
    }
}

typedef struct search {
    look objects, rows, dependencies;
    int32 derived;
    names classes;
    zoids own, others;
} search;

/* It has a row, or is to have one. */
static bool
is_own(search *s, int64 zoid)
{
    bool isnull;
    Datum state;

    look_at(&s->rows, zoid);
    if (newt_pg_fetch(&s->rows.rows, zoid, s->rows.slot))
        return true;
    look_at(&s->objects, zoid);
    if (!newt_pg_fetch(&s->objects.rows, zoid, s->objects.slot))
        return false;
    state = slot_getattr(s->objects.slot, NEWT_PG_OBJECT_STATE + 1, &isnull);
    return !isnull && is_one_of(&s->classes, state); /* the owner can drop NOT NULL */
}

static void
add_dependents(search *s, int64 source)
{
    look *d = &s->dependencies;
    bool isnull;

    look_at(d, source);
    for (; newt_pg_fetch(&d->rows, source, d->slot); newt_pg_step(&d->rows)) {
        CHECK_FOR_INTERRUPTS();
        if (DatumGetInt32(slot_getattr(d->slot, DERIVED + 1, &isnull)) == s->derived && !isnull)
            add(&s->others, DatumGetInt64(slot_getattr(d->slot, DEPENDENT + 1, &isnull)));
    }
}

static ArrayType *
result(search *s)
{
    ArrayBuildState *all = initArrayResult(INT8OID, CurrentMemoryContext, false);

    sort(&s->others);
    accumArrayResult(all, Int64GetDatum(s->own.n), false, INT8OID, CurrentMemoryContext);
    for (int i = 0; i < s->own.n; i++)
        accumArrayResult(all, Int64GetDatum(s->own.at[i]), false, INT8OID, CurrentMemoryContext);
    for (int i = 0; i < s->others.n; i++)
        if (!has(&s->own, s->others.at[i]))
            accumArrayResult(all, Int64GetDatum(s->others.at[i]), false, INT8OID,
                             CurrentMemoryContext);
    return DatumGetArrayTypeP(makeArrayResult(all, CurrentMemoryContext));
}

Datum
newt_pg_derived_affected(PG_FUNCTION_ARGS)
{
    search s = {.derived = PG_GETARG_INT32(4)};
    zoids changed = {0};
    names columns;
    ArrayType *found = NULL;

    newt_pg_need_utf8();
    read_names(&columns, PG_GETARG_ARRAYTYPE_P(3));
    read_names(&s.classes, PG_GETARG_ARRAYTYPE_P(5));
    read_zoids(&changed, PG_GETARG_ARRAYTYPE_P(6));
    if (look_open(&s.objects, PG_GETARG_OID(0), newt_pg_object_columns, NEWT_PG_N_OBJECT) &&
        look_open(&s.dependencies, PG_GETARG_OID(1), dependency_columns, N_DEPENDENCY) &&
        look_open(&s.rows, PG_GETARG_OID(2), NULL, 0)) {
        need_columns(s.rows.rows.heap, &columns);
        for (int i = 0; i < changed.n; i++) {
            CHECK_FOR_INTERRUPTS();
            if (is_own(&s, changed.at[i]))
                add(&s.own, changed.at[i]);
            add_dependents(&s, changed.at[i]);
        }
        found = result(&s);
    }
    look_close(&s.rows);
    look_close(&s.dependencies);
    look_close(&s.objects);
    if (!found)
        PG_RETURN_NULL();
    PG_RETURN_ARRAYTYPE_P(found);
}
