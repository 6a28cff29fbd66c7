/*
 * tables.c - typed tables: functions in SQL, and the commit's
 *
 * The tables are written with their owner's rights, who is the store's: a commit may be that of a
 * role that cannot even see them. What an index or a constraint calls runs as that owner, and
 * restricted, as in maintenance.
 */
#include "tables.h"

#include "by_zoid.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_keep_tables);
PG_FUNCTION_INFO_V1(newt_pg_write_tables);
PG_FUNCTION_INFO_V1(newt_pg_copy_tables);
PG_FUNCTION_INFO_V1(newt_pg_sync_table);
PG_FUNCTION_INFO_V1(newt_pg_tables_changed);
PG_FUNCTION_INFO_V1(newt_pg_wait_for_writers);
PG_FUNCTION_INFO_V1(newt_pg_check_no_block);

enum {
    EXAMPLES = 10
};

typedef struct work {
    const newt_pg_store *store;
    newt_pg_task task;
    int64 first, last;
    newt_pg_by_zoid objects;
    Snapshot snapshot;
    TupleTableSlot *slot;
    newt_pg_writer **writers; /* of each of the store's classes; NULL: not needed yet, or dropped */
    newt_pg_rows **rows;
    newt_pg_where where;
    bool plain; /* errors are thrown as they are */
    int64 deeds[NEWT_PG_N_DEEDS];
    Datum examples[EXAMPLES]; /* oids of which something was found */
    int n_examples;
} work;

/* ---- errors --------------------------------------------------------------------------------- */

/* Classes of errors that say something about a row. */
static bool
is_about_row(int code)
{
    static const int classes[] = {
        MAKE_SQLSTATE('2', '2', '0', '0', '0'), MAKE_SQLSTATE('2', '3', '0', '0', '0'),
        MAKE_SQLSTATE('5', '4', '0', '0', '0'), MAKE_SQLSTATE('4', '2', '0', '0', '0'),
        MAKE_SQLSTATE('P', '0', '0', '0', '0')};

    for (size_t i = 0; i < lengthof(classes); i++)
        if (ERRCODE_TO_CATEGORY(code) == classes[i])
            return true;
    return false;
}

/* Throws the error again, and says which object, table and column it is about. */
NEWT_PG_NORETURN static void
throw_with_place(const work *w, MemoryContext memory)
{
    const newt_pg_where *where = &w->where;
    const newt_pg_relation *r = where->relation;
    ErrorData *e;
    char *name;

    if (w->plain)
        PG_RE_THROW();
    MemoryContextSwitchTo(memory);
    e = CopyErrorData();
    FlushErrorState();
    if (!r || !is_about_row(e->sqlerrcode))
        ReThrowError(e);
    if (where->column && !e->column_name) {
        e->schema_name = pstrdup(r->schema);
        e->table_name = pstrdup(r->name);
        e->column_name = pstrdup(where->column->name);
    }
    name = quote_qualified_identifier(r->schema, r->name);
    if (e->column_name)
        e->message = psprintf("typed table %s, column \"%s\" of object " INT64_FORMAT ": %s", name,
                              e->column_name, where->zoid, e->message);
    else
        e->message = psprintf("typed table %s, object " INT64_FORMAT ": %s", name, where->zoid,
                              e->message);
    ReThrowError(e);
}

/* ---- objects -------------------------------------------------------------------------------- */

static newt_pg_writer *
writer_of(work *w, const newt_pg_tables *t)
{
    int i = t - w->store->tables;

    if (!w->writers[i]) {
        w->writers[i] = newt_pg_writer_begin(w->store, t, w->first, w->last, w->task, w->snapshot,
                                             &w->where);
        if (w->writers[i])
            w->rows[i] = palloc0(newt_pg_writer_tables(w->writers[i])->n * sizeof **w->rows);
    }
    return w->writers[i];
}

static void
count(work *w, int64 zoid, newt_pg_deed deed)
{
    w->deeds[deed]++;
    if (deed != NEWT_PG_SAME && w->n_examples < EXAMPLES)
        w->examples[w->n_examples++] = Int64GetDatum(zoid);
}

/* False: the record is none, so there are no rows of it. */
static bool
make_rows(work *w, int64 zoid, const newt_pg_tables *t, newt__reader *head, newt_pg_rows *rows,
          MemoryContext memory)
{
    MemoryContext before = MemoryContextSwitchTo(memory);
    newt__fault fault = {0};
    volatile bool made = false;

    PG_TRY();
    {
        made = newt_pg_rows_of(t, zoid, head, rows, &w->where);
    }
    PG_CATCH();
    {
        /* a damaged record has no row in the projection either */
        if (!newt__validate(&newt_pg_env, head->data, head->n, &fault) ||
            !newt_pg_is_bad_record(fault.code))
            throw_with_place(w, memory);
        FlushErrorState();
        made = false;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(before);
    return made;
}

static void
write_rows(work *w, int64 zoid, const newt_pg_tables *t, newt_pg_rows *rows, size_t bytes)
{
    MemoryContext memory = CurrentMemoryContext;
    newt_pg_writer *writer = writer_of(w, t);

    if (!writer)
        return;

    PG_TRY();
    {
        count(w, zoid, newt_pg_write(writer, zoid, rows, bytes));
    }
    PG_CATCH();
    {
        throw_with_place(w, memory);
    }
    PG_END_TRY();
}

/* The object in the slot; `only`: if it is of this class. */
static void
write_object(work *w, int64 zoid, const newt_pg_tables *only, int mode)
{
    bool isnull;
    Datum state = slot_getattr(w->slot, 3, &isnull);
    bytea *record = isnull ? NULL : DatumGetByteaPP(state);
    const newt_pg_tables *t;
    newt_pg_writer *writer;
    newt_pg_rows *rows;
    newt__reader head;
    bool made;

    if (record &&
        !newt__read_begin(&head, &newt_pg_env, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record))) {
        t = newt_pg_tables_of(w->store, head.class_name, head.class_n);
        if (t && (only ? t == only : mode < 0 || t->is_inline == mode) &&
            (writer = writer_of(w, t))) {
            rows = w->rows[t - w->store->tables];
            made = make_rows(w, zoid, newt_pg_writer_tables(writer), &head, rows,
                             newt_pg_writer_memory(writer, rows));
            if (made || (w->task != NEWT_PG_FILL && w->task != NEWT_PG_ADD))
                write_rows(w, zoid, t, made ? rows : NULL, head.n);
        }
    }
    if ((void *)record != DatumGetPointer(state))
        pfree(record);
}

static void
write_removed(work *w, int64 zoid, const newt_pg_tables *only, int mode)
{
    for (int i = 0; i < w->store->n; i++) {
        const newt_pg_tables *t = &w->store->tables[i];

        if (only ? t == only : mode < 0 || t->is_inline == mode)
            write_rows(w, zoid, t, NULL, 0);
    }
}

static void
begin(work *w)
{
    newt_pg_need_utf8();
    w->objects.heap = table_open(w->store->objects, AccessShareLock);
    if (!newt_pg_open_key(&w->objects) || RelationGetDescr(w->objects.heap)->natts < 3 ||
        TupleDescAttr(RelationGetDescr(w->objects.heap), 2)->atttypid != BYTEAOID)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("table \"%s\" is not as it was created",
                               RelationGetRelationName(w->objects.heap))));
    w->snapshot = RegisterSnapshot(GetLatestSnapshot());
    w->slot = table_slot_create(w->objects.heap, NULL);
    w->writers = palloc0(w->store->n * sizeof *w->writers);
    w->rows = palloc0(w->store->n * sizeof *w->rows);
    newt_pg_scan(&w->objects, w->snapshot, w->first, w->last);
}

static void
end(work *w)
{
    MemoryContext memory = CurrentMemoryContext;

    PG_TRY();
    {
        for (int i = 0; i < w->store->n; i++)
            if (w->writers[i])
                newt_pg_writer_end(w->writers[i]);
    }
    PG_CATCH();
    {
        throw_with_place(w, memory);
    }
    PG_END_TRY();
    ExecDropSingleTupleTableSlot(w->slot);
    newt_pg_close_by_zoid(&w->objects);
    UnregisterSnapshot(w->snapshot);
}

newt_pg_identity
newt_pg_as_owner(const newt_pg_store *store)
{
    newt_pg_identity before;

    GetUserIdAndSecContext(&before.user, &before.context);
    SetUserIdAndSecContext(store->owner, before.context | SECURITY_RESTRICTED_OPERATION);
    return before;
}

void
newt_pg_as_before(newt_pg_identity before)
{
    SetUserIdAndSecContext(before.user, before.context);
}

static int
by_value(const void *a, const void *b)
{
    const int64 *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

int
newt_pg_sort_zoids(int64 *zoids, int n)
{
    qsort(zoids, n, sizeof *zoids, by_value);
    return (int)qunique(zoids, n, sizeof *zoids, by_value);
}

/* The caller's array is sorted, each once. only: of this class; else mode: 1 inline, 0 by a
 * follower. */
static void
write_zoids(work *w, int64 *zoids, int n, const newt_pg_tables *only, int mode, bool gone)
{
    newt_pg_identity before = newt_pg_as_owner(w->store);

    n = newt_pg_sort_zoids(zoids, n);
    w->first = zoids[0];
    w->last = zoids[n - 1];
    begin(w);
    for (int i = 0; i < n; i++) {
        CHECK_FOR_INTERRUPTS();
        if (!gone && newt_pg_fetch(&w->objects, zoids[i], w->slot))
            write_object(w, zoids[i], only, mode);
        else
            write_removed(w, zoids[i], only, mode);
    }
    end(w);
    newt_pg_as_before(before);
}

void
newt_pg_write_objects(const newt_pg_objects *o, bool gone, int64 *deeds, newt_pg_where *where)
{
    work *w = palloc0(sizeof *w); /* is looked at after an error */

    *w = (work){.store = o->store, .task = o->task, .plain = true};
    PG_TRY();
    {
        write_zoids(w, o->zoids, o->n, o->only, false, gone);
    }
    PG_CATCH();
    {
        *where = w->where;
        PG_RE_THROW();
    }
    PG_END_TRY();
    for (int i = 0; i < NEWT_PG_N_DEEDS; i++)
        deeds[i] += w->deeds[i];
}

/* ---- the commit ----------------------------------------------------------------------------- */

static bool
has_mode(const newt_pg_store *store, int mode)
{
    for (int i = 0; i < store->n; i++)
        if (mode < 0 || store->tables[i].is_inline == mode)
            return true;
    return false;
}

static int
add_oids(int64 *out, ArrayType *array)
{
    int n = array ? ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) : 0;

    if (n > 0 && (ARR_ELEMTYPE(array) != INT8OID || ARR_HASNULL(array)))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                        errmsg("arrays of oids must not contain nulls")));
    if (n > 0 && out)
        memcpy(out, ARR_DATA_PTR(array), n * sizeof *out);
    return n;
}

/* All in one go, so that a value may move between any two of them. */
static void
keep(const newt_pg_store *store, int64 *zoids, int n)
{
    work w = {.store = store, .task = NEWT_PG_KEEP};

    if (n > 0)
        write_zoids(&w, zoids, n, NULL, true, false);
}

static void
keep_small(const newt_pg_store *store, ArrayType *written, ArrayType *removed)
{
    int n = add_oids(NULL, written) + add_oids(NULL, removed);
    int64 *zoids = palloc((n + 1) * sizeof *zoids);

    n = add_oids(zoids, written);
    n += add_oids(zoids + n, removed);
    keep(store, zoids, n);
    pfree(zoids);
}

/* A large transaction, whose oids are in transaction_object. */
static void
keep_large(const newt_pg_store *store, Oid schema, int64 serial)
{
    Oid type = INT8OID;
    Datum value = Int64GetDatum(serial);
    char *name = get_namespace_name(schema);
    int64 *zoids = NULL;
    int64 n = 0, cap = 0;

    SPI_connect();
    if (SPI_execute_with_args(
            psprintf("SELECT x.written::pg_catalog.int8[], x.removed::pg_catalog.int8[] "
                     "FROM %s.transaction_object x "
                     "WHERE x.serial OPERATOR(pg_catalog.=) $1 ORDER BY x.n",
                     quote_identifier(name)),
            1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "transaction_object was not read");
    for (uint64 i = 0; i < SPI_processed; i++)
        for (int column = 1; column <= 2; column++) {
            bool isnull;
            Datum d = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column, &isnull);
            ArrayType *array = isnull ? NULL : DatumGetArrayTypeP(d);
            int more = add_oids(NULL, array);

            if (n + more > cap) {
                cap = Max(2 * cap, n + more);
                zoids = zoids ? repalloc_huge(zoids, cap * sizeof *zoids)
                              : MemoryContextAllocHuge(CurrentMemoryContext, cap * sizeof *zoids);
            }
            n += add_oids(zoids + n, array);
        }
    if (n > PG_INT32_MAX)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("a transaction writes at most %d objects", PG_INT32_MAX)));
    keep(store, zoids, (int)n);
    SPI_finish();
}

/* What was kept last, so that it is not done again when the transaction's row is inserted. */
static struct {
    TransactionId xid;
    Oid table;
    int64 serial;
} kept;

void
newt_pg_keep_transaction(Oid transaction_table, int64 serial, ArrayType *written,
                         ArrayType *removed)
{
    Oid schema = get_rel_namespace(transaction_table);
    const newt_pg_store *store = newt_pg_store_of(schema);
    AclResult r;

    if (!store || !has_mode(store, true))
        return;
    r = pg_class_aclcheck(transaction_table, GetUserId(), ACL_INSERT);
    if (r != ACLCHECK_OK)
        aclcheck_error(r, OBJECT_TABLE, get_rel_name(transaction_table));
    if (written || removed)
        keep_small(store, written, removed);
    else
        keep_large(store, schema, serial);
    kept.xid = GetCurrentTransactionId();
    kept.table = transaction_table;
    kept.serial = serial;
}

static Datum
value_of(const TriggerData *t, const char *name, Oid type, bool *isnull)
{
    TupleDesc desc = RelationGetDescr(t->tg_relation);
    int att = SPI_fnumber(desc, name);

    if (att <= 0 || SPI_gettypeid(desc, att) != type)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_COLUMN),
                 errmsg("table \"%s\" has no column \"%s\" of type %s",
                        RelationGetRelationName(t->tg_relation), name, format_type_be(type))));
    return heap_getattr(t->tg_trigtuple, att, RelationGetDescr(t->tg_relation), isnull);
}

/* Trigger on the table transaction: for commits that do without newt.at_commit(). */
Datum
newt_pg_keep_tables(PG_FUNCTION_ARGS)
{
    const TriggerData *t = (const TriggerData *)fcinfo->context;
    bool isnull, no_written, no_removed;
    Datum written, removed;
    int64 serial;

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(t->tg_event) ||
        !TRIGGER_FIRED_FOR_ROW(t->tg_event) || !TRIGGER_FIRED_BEFORE(t->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("newt.keep_tables() is a trigger before INSERT, for each row")));
    serial = DatumGetInt64(value_of(t, "serial", INT8OID, &isnull));
    if (isnull || (kept.serial == serial && kept.table == RelationGetRelid(t->tg_relation) &&
                   kept.xid == GetCurrentTransactionId()))
        return PointerGetDatum(t->tg_trigtuple);
    written = value_of(t, "written", INT8ARRAYOID, &no_written);
    removed = value_of(t, "removed", INT8ARRAYOID, &no_removed);
    newt_pg_keep_transaction(RelationGetRelid(t->tg_relation), serial,
                             no_written ? NULL : DatumGetArrayTypeP(written),
                             no_removed ? NULL : DatumGetArrayTypeP(removed));
    return PointerGetDatum(t->tg_trigtuple);
}

/* ---- functions ------------------------------------------------------------------------------ */

static const newt_pg_store *
store_of_argument(FunctionCallInfo fcinfo, AclMode right)
{
    Oid registry = PG_GETARG_OID(0);
    char *name = get_rel_name(registry);
    AclResult r;

    if (!name || strcmp(name, "newt_table") != 0)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("the first argument must be the table \"newt_table\" of a store")));
    r = pg_class_aclcheck(registry, GetUserId(), right);
    if (r != ACLCHECK_OK)
        aclcheck_error(r, OBJECT_TABLE, name);
    return newt_pg_store_of(get_rel_namespace(registry));
}

static int64
changes(const int64 *deeds)
{
    return deeds[NEWT_PG_INSERTED] + deeds[NEWT_PG_UPDATED] + deeds[NEWT_PG_REMOVED];
}

/* newt.write_tables(registry, zoids, inline): of how many objects rows were written. */
Datum
newt_pg_write_tables(PG_FUNCTION_ARGS)
{
    ArrayType *array = PG_GETARG_ARRAYTYPE_P_COPY(1);
    bool is_inline = PG_GETARG_BOOL(2);
    work w = {.task = NEWT_PG_KEEP};
    newt_pg_objects o = {
        .task = NEWT_PG_KEEP, .zoids = (int64 *)ARR_DATA_PTR(array), .n = add_oids(NULL, array)};

    PreventCommandIfReadOnly("newt.write_tables()");
    w.store = o.store = store_of_argument(fcinfo, ACL_UPDATE);
    if (!o.store || o.n == 0)
        PG_RETURN_INT64(0);
    if (!is_inline)
        newt_pg_follow_objects(&o, w.deeds);
    else if (has_mode(o.store, true))
        write_zoids(&w, o.zoids, o.n, NULL, true, false);
    PG_RETURN_INT64(changes(w.deeds));
}

/* newt.copy_tables(registry, after, upto): the same with all objects in a range, and all rows. */
Datum
newt_pg_copy_tables(PG_FUNCTION_ARGS)
{
    newt_pg_objects o = {.task = NEWT_PG_KEEP};
    int64 deeds[NEWT_PG_N_DEEDS] = {0};
    int64 after = PG_GETARG_INT64(1);

    PreventCommandIfReadOnly("newt.copy_tables()");
    o.store = store_of_argument(fcinfo, ACL_UPDATE);
    if (!o.store || after == PG_INT64_MAX)
        PG_RETURN_INT64(0);
    newt_pg_objects_between(&o, after + 1, PG_GETARG_INT64(2));
    newt_pg_follow_objects(&o, deeds);
    PG_RETURN_INT64(changes(deeds));
}

static newt_pg_task
task_of(text *name)
{
    static const char *const names[] = {
        [NEWT_PG_MEND] = "repair", [NEWT_PG_FILL] = "fill", [NEWT_PG_LOOK] = "look"};

    for (size_t i = 0; i < lengthof(names); i++)
        if (names[i] && VARSIZE_ANY_EXHDR(name) == strlen(names[i]) &&
            memcmp(VARDATA_ANY(name), names[i], strlen(names[i])) == 0)
            return i;
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("unknown task \"%s\"", text_to_cstring(name)),
                    errhint("There are fill, repair and look.")));
    pg_unreachable();
}

/* What is refused is an error: the table's row is the commit's, too. */
static void
sync_inline(work *w, const newt_pg_tables *t)
{
    newt_pg_identity before = newt_pg_as_owner(w->store);

    begin(w);
    while (!w->objects.end) {
        CHECK_FOR_INTERRUPTS();
        if (newt_pg_fetch(&w->objects, w->objects.at, w->slot)) { /* else it has gone on */
            write_object(w, w->objects.at, t, -1);
            newt_pg_step(&w->objects);
        }
    }
    end(w);
    newt_pg_as_before(before);
}

/* Mostly nobody else inserts a row that is missing: all are written at once. Where somebody was
 * first, or a row is refused, nothing is: false. */
static bool
add_many(work *w, const newt_pg_tables *t)
{
    work *many = palloc(sizeof *many);
    MemoryContext before = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool done = false;

    *many = *w;
    many->task = NEWT_PG_ADD;
    many->plain = true;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(before);
    PG_TRY();
    {
        sync_inline(many, t);
        ReleaseCurrentSubTransaction();
        done = true;
    }
    PG_CATCH();
    {
        ErrorData *e;

        MemoryContextSwitchTo(before);
        e = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        if (!is_about_row(e->sqlerrcode))
            ReThrowError(e);
        FreeErrorData(e);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(before);
    CurrentResourceOwner = owner;
    if (done)
        *w = *many;
    pfree(many);
    return done;
}

/* newt.sync_table(registry, class, task, after, upto): objects of a class, same, inserted, updated,
 * examples. */
Datum
newt_pg_sync_table(PG_FUNCTION_ARGS)
{
    const newt_pg_tables *t = NULL;
    text *class_name = PG_GETARG_TEXT_PP(1);
    work w = {.task = task_of(PG_GETARG_TEXT_PP(2)),
              .first = PG_GETARG_INT64(3),
              .last = PG_GETARG_INT64(4)};
    TupleDesc desc;
    Datum values[4];
    bool nulls[4] = {false};

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "newt.sync_table gives a row");
    if (w.task != NEWT_PG_LOOK)
        PreventCommandIfReadOnly("newt.sync_table()");
    w.store = store_of_argument(fcinfo, w.task == NEWT_PG_LOOK ? ACL_SELECT : ACL_UPDATE);
    if (w.store)
        t = newt_pg_tables_of(w.store, VARDATA_ANY(class_name), VARSIZE_ANY_EXHDR(class_name));
    if (!t)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("class \"%s\" has no typed table", text_to_cstring(class_name))));
    if (w.task != NEWT_PG_LOOK && !t->is_inline) {
        newt_pg_objects o = {.store = w.store, .only = t, .task = w.task};

        newt_pg_objects_between(&o, w.first, w.last);
        newt_pg_follow_objects(&o, w.deeds);
    } else if (w.task != NEWT_PG_FILL || !add_many(&w, t)) {
        sync_inline(&w, t);
    }
    for (int i = 0; i < NEWT_PG_REMOVED; i++)
        values[i] = Int64GetDatum(w.deeds[i]);
    values[1] = Int64GetDatum(w.deeds[NEWT_PG_INSERTED]);
    values[2] = Int64GetDatum(w.deeds[NEWT_PG_UPDATED] + w.deeds[NEWT_PG_REMOVED]);
    values[3] = PointerGetDatum(construct_array(w.examples, w.n_examples, INT8OID, sizeof(int64),
                                                FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Sessions read the registry anew. */
Datum
newt_pg_tables_changed(PG_FUNCTION_ARGS)
{
    (void)store_of_argument(fcinfo, ACL_UPDATE);
    CacheInvalidateRelcacheByRelid(PG_GETARG_OID(0));
    PG_RETURN_VOID();
}

/* Waits for the transactions that have written to a table. Those that come later do not wait. */
Datum
newt_pg_wait_for_writers(PG_FUNCTION_ARGS)
{
    Oid table = PG_GETARG_OID(0);
    AclResult r = pg_class_aclcheck(table, GetUserId(), ACL_SELECT);
    LOCKTAG tag;

    if (r != ACLCHECK_OK)
        aclcheck_error(r, OBJECT_TABLE, get_rel_name(table));
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
    WaitForLockers(tag, ShareLock, false);
    PG_RETURN_VOID();
}

/* PL/pgSQL's own error at COMMIT does not say what to do. */
Datum
newt_pg_check_no_block(PG_FUNCTION_ARGS)
{
    if (IsTransactionBlock())
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("%s cannot be called within a transaction block",
                               text_to_cstring(PG_GETARG_TEXT_PP(0))),
                        errdetail("It commits, so that nobody waits for it."),
                        errhint("Call it without BEGIN. A program has its driver commit by itself: "
                                "autocommit.")));
    PG_RETURN_VOID();
}
