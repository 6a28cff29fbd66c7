/*
 * table_follow.c - the tables that a follower keeps: what they refuse is left out
 *
 * The objects are committed already, so an index or a constraint that refuses one row must not hold
 * up the others. All are written in one subtransaction; one that fails is undone, and done again in
 * halves, until the object is found. It has no row then: that of an older record would be worse
 * than none. What another row was in the way of may have come too early: it is tried again after
 * the others. What is left has an entry in newt_reject_entry, whose n is negative; path is the
 * table.
 */
#include "tables.h"

#include "by_zoid.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

typedef struct refusal {
    int64 zoid;
    const newt_pg_relation *relation;
    ErrorData *error;
} refusal;

typedef struct follow {
    const newt_pg_objects *objects;
    int64 *deeds;
    MemoryContext memory; /* of the refusals */
    refusal *refused;
    int n, cap;
} follow;

/* ---- a piece -------------------------------------------------------------------------------- */

/* Classes of errors that say nothing about a row, as in the bridge. All others may be raised for
 * one, those of a function's own choice included. */
static bool
is_of_a_row(int code)
{
    static const char classes[][3] = {"08", "0A", "25", "26", "28", "3D", "3F", "40",
                                      "42", "53", "55", "57", "58", "F0", "XX"};

    for (size_t i = 0; i < lengthof(classes); i++)
        if (strncmp(unpack_sql_state(code), classes[i], 2) == 0)
            return false;
    return true;
}

/* Another row was in the way. */
static bool
is_early(const refusal *r)
{
    return r->error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
           r->error->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION;
}

/* Writes all of these objects, or none: then *why says what one of them was refused for. */
static bool
write_piece(follow *f, newt_pg_task task, int64 *zoids, int n, bool gone, refusal *why)
{
    newt_pg_objects piece = *f->objects;
    MemoryContext before = CurrentMemoryContext;
    MemoryContext memory = AllocSetContextCreate(before, "newt objects", ALLOCSET_DEFAULT_SIZES);
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool written = false;
    newt_pg_where *where = palloc0(sizeof *where);

    piece.task = task;
    piece.zoids = zoids;
    piece.n = n;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(memory);
    PG_TRY();
    {
        int64 deeds[NEWT_PG_N_DEEDS] = {0};

        newt_pg_write_objects(&piece, gone, deeds, where);
        ReleaseCurrentSubTransaction();
        for (int i = 0; i < NEWT_PG_N_DEEDS; i++)
            f->deeds[i] += deeds[i];
        written = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(f->memory);
        *why = (refusal){where->zoid, where->relation, CopyErrorData()};
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    CurrentResourceOwner = owner;
    MemoryContextSwitchTo(before);
    MemoryContextDelete(memory);
    pfree(where);
    if (!written && (gone || !why->relation || !is_of_a_row(why->error->sqlerrcode)))
        ReThrowError(why->error);
    return written;
}

static void
forget(refusal *r)
{
    FreeErrorData(r->error);
}

static void
refuse(follow *f, int64 zoid, refusal *why)
{
    refusal none;

    if (f->n == f->cap) {
        f->cap = Max(16, 2 * f->cap);
        f->refused = f->refused ? repalloc_huge(f->refused, f->cap * sizeof *f->refused)
                                : MemoryContextAlloc(f->memory, f->cap * sizeof *f->refused);
    }
    why->zoid = zoid;
    f->refused[f->n++] = *why;
    if (f->objects->task == NEWT_PG_KEEP || f->objects->task == NEWT_PG_MEND)
        (void)write_piece(f, NEWT_PG_KEEP, &zoid, 1, true, &none);
}

/* No deeper than the binary logarithm of n. */
static void
divide(follow *f, int64 *zoids, int n)
{
    newt_pg_task task = f->objects->task;
    refusal why;

    if (task == NEWT_PG_FILL) { /* mostly nobody else inserts a row that is missing */
        if (write_piece(f, NEWT_PG_ADD, zoids, n, false, &why))
            return;
        forget(&why);
    }
    if (write_piece(f, task, zoids, n, false, &why))
        return;
    if (n == 1) {
        refuse(f, zoids[0], &why);
        return;
    }
    forget(&why);
    divide(f, zoids, n / 2);
    divide(f, zoids + n / 2, n - n / 2);
}

/* What came too early, as long as it helps. */
static void
try_early(follow *f)
{
    for (bool helped = true; helped;) {
        int kept = 0;

        helped = false;
        for (int i = 0; i < f->n; i++) {
            refusal *r = &f->refused[i], why;

            CHECK_FOR_INTERRUPTS();
            if (is_early(r)) {
                bool written = write_piece(f, f->objects->task, &r->zoid, 1, false, &why);

                helped |= written;
                forget(r);
                if (written)
                    continue;
                why.zoid = r->zoid;
                *r = why;
            }
            f->refused[kept++] = *r;
        }
        f->n = kept;
    }
}

/* ---- entries -------------------------------------------------------------------------------- */

enum {
    OIDS = 1,
    TABLES,
    REASONS,
    CODES,
    CONSTRAINTS,
    ALL,
    N_PARAMETERS = ALL
};

static const char any_query[] = "SELECT FROM %s.newt_reject_entry WHERE n < 0";

/* Of what has rows now, or has changed. */
static const char clear_query[] =
    "DELETE FROM %1$s.newt_reject_entry e WHERE e.n < 0 AND e.zoid = ANY ($6) AND NOT EXISTS "
    "(SELECT FROM %1$s.object_state o WHERE o.zoid = e.zoid AND o.serial = e.serial "
    "AND o.zoid = ANY ($1))";

static const char note_query[] =
    "INSERT INTO %1$s.newt_reject_entry AS e "
    "(zoid, serial, n, path, reason, sqlstate, constraint_name) "
    "SELECT r.zoid, o.serial, -1, ARRAY[r.tab], r.reason, r.code, nullif(r.constraint_name, '') "
    "FROM unnest($1, $2, $3, $4, $5) r (zoid, tab, reason, code, constraint_name) "
    "JOIN %1$s.object_state o ON o.zoid = r.zoid "
    "ON CONFLICT (zoid, serial, n) DO UPDATE SET path = excluded.path, reason = excluded.reason, "
    "sqlstate = excluded.sqlstate, constraint_name = excluded.constraint_name "
    "WHERE (e.path, e.reason, e.sqlstate, e.constraint_name) IS DISTINCT FROM "
    "(excluded.path, excluded.reason, excluded.sqlstate, excluded.constraint_name)";

static Datum
text_array(Datum *values, int n)
{
    return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
oid_array(Datum *values, int n)
{
    return PointerGetDatum(
        construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
set_parameters(const follow *f, Datum *values)
{
    const newt_pg_objects *o = f->objects;
    Datum *columns[ALL];

    for (int k = OIDS; k < ALL; k++)
        columns[k] = palloc((f->n + 1) * sizeof **columns);
    for (int i = 0; i < f->n; i++) {
        const newt_pg_relation *r = f->refused[i].relation;
        const ErrorData *e = f->refused[i].error;

        columns[OIDS][i] = Int64GetDatum(f->refused[i].zoid);
        columns[TABLES][i] = CStringGetTextDatum(quote_qualified_identifier(r->schema, r->name));
        columns[REASONS][i] = CStringGetTextDatum(e->message);
        columns[CODES][i] = CStringGetTextDatum(unpack_sql_state(e->sqlerrcode));
        columns[CONSTRAINTS][i] = CStringGetTextDatum(e->constraint_name ? e->constraint_name : "");
    }
    values[OIDS - 1] = oid_array(columns[OIDS], f->n);
    for (int k = TABLES; k < ALL; k++)
        values[k - 1] = text_array(columns[k], f->n);
    values[ALL - 1] = 0;
    if (o->n > 0) {
        Datum *all = MemoryContextAllocHuge(CurrentMemoryContext, o->n * sizeof *all);

        for (int i = 0; i < o->n; i++)
            all[i] = Int64GetDatum(o->zoids[i]);
        values[ALL - 1] = oid_array(all, o->n);
    }
}

static int64
run(const char *query, const char *schema, Datum *values, long limit)
{
    Oid types[N_PARAMETERS] = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
                               TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID};
    int status = SPI_execute_with_args(psprintf(query, schema), values ? N_PARAMETERS : 0, types,
                                       values, NULL, false, limit);

    if (status < 0)
        elog(ERROR, "newt_reject_entry was not written: %s", SPI_result_code_string(status));
    return SPI_processed;
}

/* As the owner, who shares none of the caller's settings that matter here. */
static void
write_entries(const follow *f)
{
    const newt_pg_store *store = f->objects->store;
    const char *schema = quote_identifier(get_namespace_name(get_rel_namespace(store->registry)));
    newt_pg_identity before = newt_pg_as_owner(store);
    int nest = NewGUCNestLevel();
    Datum values[N_PARAMETERS];

    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    (void)set_config_option("quote_all_identifiers", "off", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    SPI_connect();
    if (f->n > 0 || run(any_query, schema, NULL, 1) > 0) {
        set_parameters(f, values);
        run(clear_query, schema, values, 0);
        if (f->n > 0)
            run(note_query, schema, values, 0);
    }
    SPI_finish();
    AtEOXact_GUC(false, nest);
    newt_pg_as_before(before);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool
has_tables(const newt_pg_objects *o)
{
    bool has = o->only;

    for (int i = 0; i < o->store->n; i++)
        has |= !o->store->tables[i].is_inline;
    return has;
}

void
newt_pg_follow_objects(const newt_pg_objects *o, int64 *deeds)
{
    newt_pg_objects each = *o; /* once: what is refused has one entry */
    follow f = {.objects = &each, .deeds = deeds, .memory = CurrentMemoryContext};

    if (o->n == 0)
        return;
    each.n = newt_pg_sort_zoids(o->zoids, o->n);
    if (has_tables(o)) {
        divide(&f, each.zoids, each.n);
        try_early(&f);
    }
    write_entries(&f);
}

/* ---- a range -------------------------------------------------------------------------------- */

typedef struct gather {
    newt_pg_objects *out;
    int cap;
    Snapshot snapshot;
} gather;

/* Entries of its key, dead ones among them: what is there is looked at later. */
static void
gather_keys(gather *g, Oid table, int64 first, int64 last)
{
    newt_pg_by_zoid t = {.heap = table_open(table, AccessShareLock)};
    newt_pg_objects *o = g->out;

    if (newt_pg_open_key(&t)) {
        newt_pg_scan(&t, g->snapshot, first, last);
        for (; !t.end; newt_pg_step(&t)) {
            CHECK_FOR_INTERRUPTS();
            if (o->n > 0 && o->zoids[o->n - 1] == t.at)
                continue;
            if (o->n == g->cap) {
                g->cap = g->cap > 0 ? 2 * g->cap : 1024;
                o->zoids = o->zoids ? repalloc_huge(o->zoids, g->cap * sizeof *o->zoids)
                                    : palloc(g->cap * sizeof *o->zoids);
            }
            o->zoids[o->n++] = t.at;
        }
    }
    newt_pg_close_by_zoid(&t);
}

void
newt_pg_objects_between(newt_pg_objects *o, int64 first, int64 last)
{
    gather g = {.out = o, .snapshot = RegisterSnapshot(GetLatestSnapshot())};

    gather_keys(&g, o->store->objects, first, last);
    for (int i = 0; i < o->store->n; i++) {
        const newt_pg_tables *t = &o->store->tables[i];

        if (o->only ? t == o->only : !t->is_inline)
            gather_keys(&g, t->relations[0].oid, first, last);
    }
    UnregisterSnapshot(g.snapshot);
}
