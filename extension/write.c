/*
 * write.c - newt.write(): the objects of a commit into object_state and newt_projection
 *
 * As the statements of bridge/postgres/statements.c do it: each object is compared and set on its
 * serial, in the order of the zoids, by which crossing transactions wait instead of deadlocking;
 * who holds an object's row of object_state is the one who writes its row of newt_projection, but
 * for a follower, which gives way.
 */
#include "write.h"

#include "plain.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_write_batch);

enum {
    NEAR = 4 /* zoids are far apart, if on average there is room for more between two */
};

const newt_pg_plain_column newt_pg_object_columns[NEWT_PG_N_OBJECT] = {
    [NEWT_PG_OBJECT_ZOID] = {"zoid", INT8OID},
    [NEWT_PG_OBJECT_SERIAL] = {"serial", INT8OID},
    [NEWT_PG_OBJECT_STATE] = {"state", BYTEAOID},
};

typedef struct work {
    newt_pg_plain objects, rows;
    const int64 *zoids, *serials;
    Datum *states;
    int n, n_stored;
    Datum serial;
    bool projected;
    bool tells_changed;     /* instead of an error */
    const char *function;   /* for messages */
    bool sparse;            /* the zoids of those stored are far apart */
    Snapshot snapshot;      /* registered */
    MemoryContext all, row; /* row: of one object that was stored; reset after it */
} work;

/* ---- arguments ------------------------------------------------------------------------------ */

static const int64 *
int_array(ArrayType *a, const char *name, int *n)
{
    *n = ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a));
    if (ARR_NDIM(a) > 1 || ARR_HASNULL(a) || ARR_ELEMTYPE(a) != INT8OID)
        ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                        errmsg("%s must be an array of one dimension without nulls", name)));
    return (const int64 *)ARR_DATA_PTR(a);
}

static void
take_arguments(work *w, const newt_pg_written *x)
{
    int n_serials, n_states;
    bool *nulls;

    w->zoids = int_array(x->zoids, "zoids", &w->n);
    w->serials = int_array(x->serials, "serials", &n_serials);
    deconstruct_array(x->states, BYTEAOID, -1, false, TYPALIGN_INT, &w->states, &nulls, &n_states);
    if (n_serials != w->n || n_states != w->n)
        ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                        errmsg("zoids, serials and states must be of the same length")));
    for (int i = 0; i < w->n; i++) {
        bool first_new = w->n_stored == i;

        if (nulls[i])
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("element %d of states must not be null", i + 1)));
        if (w->serials[i] != 0 && !first_new)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("object " INT64_FORMAT " is stored and comes after a new one",
                                   w->zoids[i])));
        /* an entry of the index is fetched once: see by_zoid.h */
        if (w->serials[i] != 0 && i > 0 && w->zoids[i] <= w->zoids[i - 1])
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("the zoids of objects that are stored must rise")));
        w->n_stored += w->serials[i] != 0;
    }
}

/* The library takes this for a change of what it has seen, and looks again. */
static void
refuse_tables(const char *function)
{
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("%s cannot write the tables of this store", function),
                    errdetail("Triggers, rules, policies, other columns, another primary key or "
                              "missing rights need statements of SQL.")));
}

static bool
open_tables(work *w, Oid schema)
{
    bool plain = newt_pg_plain_open(&w->objects, get_relname_relid("object_state", schema),
                                    ACL_SELECT | ACL_INSERT | ACL_UPDATE, newt_pg_object_columns,
                                    NEWT_PG_N_OBJECT, NULL);

    if (plain && w->projected)
        plain = newt_pg_plain_open(&w->rows, get_relname_relid("newt_projection", schema),
                                   ACL_SELECT | ACL_INSERT | ACL_UPDATE, newt_pg_row_columns,
                                   NEWT_PG_N_ROW, NULL);
    return plain;
}

static void
close_tables(work *w)
{
    newt_pg_plain_close(&w->rows);
    newt_pg_plain_close(&w->objects);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void
look(work *w, int from)
{
    int64 first = w->zoids[from], last = w->zoids[w->n_stored - 1];

    newt_pg_scan(&w->objects.rows, w->snapshot, first, last);
    if (w->projected)
        newt_pg_scan(&w->rows.rows, w->snapshot, first, last);
}

/* Somebody else has changed a row since the snapshot: another is taken. */
static void
look_again(work *w, int from)
{
    MemoryContext before = MemoryContextSwitchTo(w->all);

    ExecClearTuple(w->objects.old);
    if (w->rows.old)
        ExecClearTuple(w->rows.old);
    index_endscan(w->objects.rows.scan);
    w->objects.rows.scan = NULL;
    if (w->rows.rows.scan)
        index_endscan(w->rows.rows.scan);
    w->rows.rows.scan = NULL;
    UnregisterSnapshot(w->snapshot);
    w->snapshot = RegisterSnapshot(GetLatestSnapshot());
    look(w, from);
    MemoryContextSwitchTo(before);
}

/* ---- one object ----------------------------------------------------------------------------- */

/* NULL: the object is hidden, and has no row. */
static Jsonb *
document_of(Datum state, text **class_name)
{
    bytea *record = DatumGetByteaPP(state);
    size_t n = VARSIZE_ANY_EXHDR(record);
    newt__fault fault = {0};
    newt__reader head;
    Jsonb *document;

    if (newt__read_begin(&head, &newt_pg_env, VARDATA_ANY(record), n) != NEWT__OK)
        newt_pg_raise(&head.fault, n);
    document = newt_pg_project(VARDATA_ANY(record), n, &fault);
    if (fault.code)
        newt_pg_raise(&fault, n);
    if (document)
        *class_name = cstring_to_text_with_len(head.class_name, (int)head.class_n);
    return document;
}

static void
fill_object(const work *w, TupleTableSlot *slot, int i)
{
    slot->tts_values[NEWT_PG_OBJECT_ZOID] = Int64GetDatum(w->zoids[i]);
    slot->tts_values[NEWT_PG_OBJECT_SERIAL] = w->serial;
    slot->tts_values[NEWT_PG_OBJECT_STATE] = w->states[i];
}

static void
fill_row(const work *w, TupleTableSlot *slot, int i, text *class_name, Jsonb *document)
{
    slot->tts_values[NEWT_PG_ROW_ZOID] = Int64GetDatum(w->zoids[i]);
    slot->tts_values[NEWT_PG_ROW_CLASS_NAME] = PointerGetDatum(class_name);
    slot->tts_values[NEWT_PG_ROW_SERIAL] = w->serial;
    slot->tts_values[NEWT_PG_ROW_STATE] = JsonbPGetDatum(document);
}

/* A scan keeps some memory until its end. */
static bool
fetch(const work *w, newt_pg_plain *t, int64 zoid)
{
    MemoryContext before = MemoryContextSwitchTo(w->all);
    bool found;

    if (w->sparse)
        newt_pg_only(&t->rows, zoid);
    found = newt_pg_fetch(&t->rows, zoid, t->old);
    MemoryContextSwitchTo(before);
    return found;
}

/* False: another transaction has changed it, and that is asked for. */
static bool
update_object(work *w, int i)
{
    newt_pg_plain *t = &w->objects;
    bool isnull;

    for (;;) {
        if (!fetch(w, t, w->zoids[i]) ||
            DatumGetInt64(slot_getattr(t->old, NEWT_PG_OBJECT_SERIAL + 1, &isnull)) !=
                w->serials[i]) {
            if (w->tells_changed)
                return false;
            ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                            errmsg("object was changed by another transaction"),
                            errdetail("Its serial is not the one that was read.")));
        }
        fill_object(w, newt_pg_plain_row(t), i);
        if (newt_pg_plain_update(t))
            return true;
        look_again(w, i); /* it may have been written without a change of its serial */
    }
}

/* One may be there from when the class was projected. */
static void
remove_row(work *w, int i)
{
    newt_pg_plain *t = &w->rows;

    while (fetch(w, t, w->zoids[i])) {
        if (!newt_pg_is_plain(t->rows.heap, ACL_DELETE))
            refuse_tables(w->function);
        if (newt_pg_plain_delete(t))
            return;
        look_again(w, i);
    }
}

/* Nearly always there is a row. */
static void
update_row(work *w, int i)
{
    newt_pg_plain *t = &w->rows;
    text *class_name;
    Jsonb *document = document_of(w->states[i], &class_name);

    if (!document) {
        remove_row(w, i);
        return;
    }
    for (;;) {
        bool there = fetch(w, t, w->zoids[i]);

        fill_row(w, newt_pg_plain_row(t), i, class_name, document);
        if (there ? newt_pg_plain_update(t) : newt_pg_plain_insert_unless(t))
            return;
        look_again(w, i);
    }
}

static bool
update_stored(work *w)
{
    w->sparse = ((uint64)w->zoids[w->n_stored - 1] - (uint64)w->zoids[0]) / NEAR >
                (uint64)w->n_stored;
    w->row = AllocSetContextCreate(w->all, "newt.write row", ALLOCSET_DEFAULT_SIZES);
    w->objects.old = table_slot_create(w->objects.rows.heap, NULL);
    if (w->projected)
        w->rows.old = table_slot_create(w->rows.rows.heap, NULL);
    (void)newt_pg_plain_row(&w->objects);
    if (w->projected)
        (void)newt_pg_plain_row(&w->rows);
    look(w, 0);
    for (int i = 0; i < w->n_stored; i++) {
        CHECK_FOR_INTERRUPTS();
        if (!update_object(w, i))
            return false;
        if (!w->projected)
            continue;
        MemoryContextSwitchTo(w->row);
        update_row(w, i);
        MemoryContextSwitchTo(w->all);
        MemoryContextReset(w->row);
    }
    return true;
}

static void
flush(work *w)
{
    newt_pg_plain_flush(&w->objects);
    if (w->projected)
        newt_pg_plain_flush(&w->rows);
}

static void
insert_new(work *w)
{
    newt_pg_plain_begin_many(&w->objects);
    if (w->projected)
        newt_pg_plain_begin_many(&w->rows);
    for (int i = w->n_stored; i < w->n; i++) {
        CHECK_FOR_INTERRUPTS();
        fill_object(w, newt_pg_plain_next(&w->objects), i);
        w->objects.bytes += VARSIZE_ANY(DatumGetPointer(w->states[i]));
        if (w->projected) {
            MemoryContext before = MemoryContextSwitchTo(w->rows.waiting);
            text *class_name;
            Jsonb *document = document_of(w->states[i], &class_name);

            if (document) {
                fill_row(w, newt_pg_plain_next(&w->rows), i, class_name, document);
                w->rows.bytes += VARSIZE(document);
            }
            MemoryContextSwitchTo(before);
        }
        if (newt_pg_plain_is_full(&w->objects) || newt_pg_plain_is_full(&w->rows))
            flush(w);
    }
    flush(w);
}

/* ---- all ------------------------------------------------------------------------------------ */

newt_pg_outcome
newt_pg_try_to_write_states(Oid schema, const newt_pg_written *x)
{
    newt_pg_outcome outcome = NEWT_PG_WRITTEN;
    work w = {.serial = Int64GetDatum(x->serial),
              .projected = x->projected,
              .function = x->function,
              .tells_changed = x->tells_changed,
              .all = CurrentMemoryContext};

    PreventCommandIfReadOnly(x->function);
    PreventCommandIfParallelMode(x->function);
    newt_pg_need_utf8();
    take_arguments(&w, x);
    if (!open_tables(&w, schema)) {
        close_tables(&w);
        return NEWT_PG_NOT_PLAIN;
    }
    w.snapshot = RegisterSnapshot(GetActiveSnapshot());
    if (w.n_stored > 0 && !update_stored(&w))
        outcome = NEWT_PG_CHANGED;
    if (outcome == NEWT_PG_WRITTEN && w.n > w.n_stored)
        insert_new(&w);
    close_tables(&w);
    UnregisterSnapshot(w.snapshot);
    return outcome;
}

void
newt_pg_write_states(Oid schema, const newt_pg_written *x)
{
    if (newt_pg_try_to_write_states(schema, x) != NEWT_PG_WRITTEN)
        refuse_tables(x->function);
}

Datum
newt_pg_write_batch(PG_FUNCTION_ARGS)
{
    newt_pg_written w = {.zoids = PG_GETARG_ARRAYTYPE_P(1),
                         .serials = PG_GETARG_ARRAYTYPE_P(2),
                         .states = PG_GETARG_ARRAYTYPE_P(3),
                         .serial = PG_GETARG_INT64(4),
                         .projected = PG_GETARG_BOOL(5),
                         .function = "newt.write()"};
    char *name = get_rel_name(PG_GETARG_OID(0));

    if (!name || strcmp(name, "object_state") != 0)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("the first argument of newt.write() must be the table "
                               "\"object_state\" of a store")));
    newt_pg_write_states(get_rel_namespace(PG_GETARG_OID(0)), &w);
    PG_RETURN_VOID();
}
