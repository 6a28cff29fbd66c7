/*
 * change.c - newt.patch(), newt.insert(), newt.remove(): objects written from SQL
 *
 * Each makes the record that the library would, and writes it as a commit of the library does
 * (write.c; where the tables are not plain, by statements). What they have done in a transaction
 * becomes one row of `transaction` when it commits (commit.c). Rights and row security are the
 * caller's.
 */
#include "commit.h"

#include "changes.h"
#include "current.h"
#include "indexed.h"
#include "numbers.h"
#include "recorder.h"
#include "registry.h"
#include "statements.h"
#include "write.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_patch);
PG_FUNCTION_INFO_V1(newt_pg_insert);
PG_FUNCTION_INFO_V1(newt_pg_remove);

typedef struct work {
    newt_pg_change change;
    const char *store;
    Oid schema, table; /* transaction */
    int64 zoid;
    int64 seen;  /* the serial that the object has; 0: it is new */
    bool locked; /* it cannot change any more */
    const newt_pg_class *class;
    newt_pg_projector projector;
    uint64 indexes_as_of;
    newt_pg_recorder recorder;
} work;

static const char *
function_of(const work *w)
{
    static const char *const functions[] = {[NEWT_PG_PATCHED] = "newt.patch()",
                                            [NEWT_PG_ADDED] = "newt.insert()",
                                            [NEWT_PG_DELETED] = "newt.remove()"};

    return functions[w->change];
}

/* ---- what may be written ----------------------------------------------------------------------
 */

static void
open_store(work *w, FunctionCallInfo fcinfo, int n_arguments)
{
    for (int i = 0; i < n_arguments; i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("argument %d of %s cannot be null", i + 1, function_of(w))));
    PreventCommandIfReadOnly(function_of(w));
    PreventCommandIfParallelMode(function_of(w));
    newt_pg_need_utf8();
    w->store = text_to_cstring(PG_GETARG_TEXT_PP(0));
    w->schema = get_namespace_oid(w->store, true);
    w->table = OidIsValid(w->schema) && OidIsValid(get_relname_relid("newt_store", w->schema))
                   ? get_relname_relid("transaction", w->schema)
                   : InvalidOid;
    if (!OidIsValid(w->table))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("there is no Newt store in schema \"%s\"", w->store),
                        errhint("The first argument is the schema of a store.")));
}

static void
refuse_class(const work *w, const char *name, const char *detail, const char *hint)
{
    const char *verb = w->change == NEWT_PG_DELETED ? "remove" : "change";

    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             w->zoid ? errmsg("%s cannot %s %s " INT64_FORMAT, function_of(w), verb, name, w->zoid)
                     : errmsg("%s cannot make a %s", function_of(w), name),
             errdetail("%s", detail), hint ? errhint("%s", hint) : 0));
}

/* An index is kept by programs, which have its entries in their transactions. */
static void
check_index(work *w, const char *name)
{
    const char *index = newt_pg_index_of(w->store, w->schema, name, &w->indexes_as_of);

    if (index)
        refuse_class(
            w, name,
            psprintf("Programs keep the index \"%s\" of its class, which would not follow.", index),
            "Change it by a program that has the index.");
}

/* version < 0: the newest. */
static void
choose_class(work *w, const char *name, int32 version)
{
    if (strncmp(name, "newt.", 5) == 0)
        refuse_class(w, name, "Its class is one of the library's own.",
                     "Change it by the functions of the library.");
    w->class = newt_pg_registered(w->schema, name, version, &w->projector);
    if (!w->class)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_OBJECT),
                 version < 0 ? errmsg("class \"%s\" is not registered", name)
                             : errmsg("version %d of class \"%s\", that of object " INT64_FORMAT
                                      ", is not registered",
                                      version, name, w->zoid),
                 errhint("A program that opens the store with its class table registers it.")));
    if (w->class->is_tree)
        refuse_class(w, name, "Its class is one of trees, of whose nodes it is one.",
                     "Change the tree by a program.");
    if (w->projector == NEWT_PG_CLIENT && w->change != NEWT_PG_DELETED)
        refuse_class(w, name, "The JSON of its class is made by a callback in its programs.",
                     "Change it by one of them.");
    check_index(w, name);
    w->recorder = (newt_pg_recorder){.class_name = w->class->state.class_name, .zoid = w->zoid};
}

/* ---- one object -------------------------------------------------------------------------------
 */

static void
check_serial(const work *w, const char *name, int64 wanted)
{
    if (w->seen != wanted)
        ereport(
            ERROR,
            (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
             errmsg("%s " INT64_FORMAT " was changed by another transaction", name, w->zoid),
             errdetail("Its serial is " INT64_FORMAT ", not " INT64_FORMAT ".", w->seen, wanted),
             errhint("Read it again, and try again with the serial that it has.")));
}

static bytea *
no_object(const work *w)
{
    ereport(ERROR,
            (errcode(ERRCODE_NO_DATA_FOUND),
             errmsg("object " INT64_FORMAT " of store \"%s\" does not exist", w->zoid, w->store),
             errdetail("Nor does it for you if a policy of row security hides it, or keeps "
                       "you from changing it.")));
}

/* By a statement, which waits for others that are changing it. */
static bytea *
lock_object(work *w, newt_pg_statement s)
{
    Datum values[] = {Int64GetDatum(w->zoid)};

    if (newt_pg_run(w->schema, s, values) == 0)
        return no_object(w);
    w->locked = true;
    w->seen = DatumGetInt64(newt_pg_result(0, 1));
    return DatumGetByteaPP(newt_pg_result(0, 2));
}

/* The newest that there is of it, locked where the table is not plain. */
static bytea *
read_object(work *w)
{
    newt_pg_current now;

    if (w->locked ||
        !newt_pg_read_current(w->schema, w->zoid, ACL_SELECT | ACL_INSERT | ACL_UPDATE, &now))
        return lock_object(w, NEWT_PG_S_LOCK);
    w->seen = now.serial;
    return now.serial ? now.record : no_object(w);
}

/* Looks whether it may be changed: its class, and its serial if the caller says one. */
static void
check_object(work *w, const bytea *record, FunctionCallInfo fcinfo, int serial_argument)
{
    newt__reader head;
    char *name;

    if (newt__read_begin(&head, &newt_pg_env, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record)) !=
        NEWT__OK)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("object " INT64_FORMAT " has a damaged record", w->zoid),
                        errdetail("At byte %zu of %zu: %s.", head.fault.offset, head.n,
                                  head.fault.reason)));
    name = pnstrdup(head.class_name, head.class_n);
    if (!PG_ARGISNULL(serial_argument))
        check_serial(w, name, PG_GETARG_INT64(serial_argument));
    choose_class(w, name, (int32)head.version);
}

/* The transaction's serial; what is written from here on is part of it. */
static int64
enter_transaction(work *w)
{
    int64 serial;

    if (!newt_pg_has_transaction(function_of(w), w->table, &serial)) {
        serial = newt_pg_next_number(w->schema, NEWT_PG_SERIALS);
        newt_pg_begin_transaction(function_of(w), w->table, serial, w->indexes_as_of);
    }
    return serial;
}

static ArrayType *
one(Datum value, Oid type, int length, bool by_value, char align)
{
    return construct_array(&value, 1, type, length, by_value, align);
}

static newt_pg_outcome
write_plainly(work *w, int64 serial, bytea *record, bool projected)
{
    newt_pg_written x = {
        .zoids = one(Int64GetDatum(w->zoid), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE),
        .serials = one(Int64GetDatum(w->seen), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE),
        .states = one(PointerGetDatum(record), BYTEAOID, -1, false, TYPALIGN_INT),
        .serial = serial,
        .projected = projected,
        .tells_changed = true,
        .function = function_of(w)};
    newt_pg_outcome outcome;

    CommandCounterIncrement(); /* what the statement has done before is seen */
    PushActiveSnapshot(GetTransactionSnapshot());
    outcome = newt_pg_try_to_write_states(w->schema, &x);
    PopActiveSnapshot();
    return outcome;
}

/* A trigger or a rule that does nothing instead. */
static void
not_written(const work *w)
{
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("%s " INT64_FORMAT " was not written", w->class->state.class_name, w->zoid),
             errdetail("A rule, a trigger or a policy of row security suppressed it.")));
}

static void
write_by_statements(work *w, int64 serial, bytea *record, bool projected)
{
    Datum zoid = Int64GetDatum(w->zoid), state = PointerGetDatum(record);
    Datum changed[] = {zoid, Int64GetDatum(w->seen), Int64GetDatum(serial), state};
    Datum added[] = {zoid, Int64GetDatum(serial), state};

    if (newt_pg_run(w->schema, w->seen ? NEWT_PG_S_UPDATE : NEWT_PG_S_INSERT,
                    w->seen ? changed : added) != 1)
        not_written(w);
    if (projected && (!w->seen || newt_pg_run(w->schema, NEWT_PG_S_PROJECT, added) == 0))
        newt_pg_run(w->schema, NEWT_PG_S_PROJECT_NEW, added);
}

/* What the JSON cannot show as it is. Entries of older serials say nothing any more. */
static void
write_rejects(work *w, int64 serial, bytea *record, bool lossy)
{
    Datum values[] = {Int64GetDatum(w->zoid), Int64GetDatum(serial), PointerGetDatum(record)};

    if (lossy || w->seen == serial)
        newt_pg_run(w->schema, NEWT_PG_S_FORGET, values);
    if (lossy)
        newt_pg_run(w->schema, NEWT_PG_S_REJECTS, values);
}

/* Anything but NEWT_PG_WRITTEN: nothing is, and the object is to be read again. */
static newt_pg_outcome
write_object(work *w, bytea *record, int64 *serial)
{
    bool hidden = newt__is_hidden(&newt_pg_env, VARDATA(record), VARSIZE(record) - VARHDRSZ);
    bool projected = w->projector == NEWT_PG_INLINE && !hidden;
    newt_pg_outcome outcome;

    *serial = enter_transaction(w);
    outcome = write_plainly(w, *serial, record, projected);
    if (outcome == NEWT_PG_NOT_PLAIN && (w->locked || !w->seen)) {
        write_by_statements(w, *serial, record, projected);
        outcome = NEWT_PG_WRITTEN;
    }
    if (outcome != NEWT_PG_WRITTEN)
        return outcome;
    if (hidden && w->seen) { /* one may be there from when the class was projected */
        Datum values[] = {Int64GetDatum(w->zoid)};

        newt_pg_run(w->schema, NEWT_PG_S_UNPROJECT, values);
    }
    if (projected)
        write_rejects(w, *serial, record, w->recorder.w.lossy);
    newt_pg_add_change(w->change, w->zoid, w->class->state.class_name);
    return outcome;
}

/* ---- functions --------------------------------------------------------------------------------
 */

static const JsonbContainer *
document_of(const work *w, Jsonb *jsonb, const char *name)
{
    if (!JB_ROOT_IS_OBJECT(jsonb))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("the %s of %s must be a JSON object", name, function_of(w)),
                        errdetail("Its keys are the names of fields.")));
    return &jsonb->root;
}

Datum
newt_pg_patch(PG_FUNCTION_ARGS)
{
    work w = {.change = NEWT_PG_PATCHED};
    const JsonbContainer *patch;
    newt_pg_outcome outcome = NEWT_PG_CHANGED;
    int64 serial;

    open_store(&w, fcinfo, 3);
    patch = document_of(&w, PG_GETARG_JSONB_P(2), "patch");
    w.zoid = PG_GETARG_INT64(1);
    (void)newt_pg_has_transaction(function_of(&w), w.table, &serial); /* or it raises */
    SPI_connect();
    while (outcome != NEWT_PG_WRITTEN) {
        bytea *old = read_object(&w), *record;

        CHECK_FOR_INTERRUPTS();
        check_object(&w, old, fcinfo, 3);
        record = newt_pg_patched_record(&w.recorder, w.class, VARDATA_ANY(old),
                                        VARSIZE_ANY_EXHDR(old), patch);
        serial = w.seen;
        if (VARSIZE_ANY_EXHDR(old) == VARSIZE(record) - VARHDRSZ &&
            memcmp(VARDATA_ANY(old), VARDATA(record), VARSIZE_ANY_EXHDR(old)) == 0)
            break; /* nothing to write */
        outcome = write_object(&w, record, &serial);
        w.locked |= outcome == NEWT_PG_NOT_PLAIN;
    }
    SPI_finish();
    PG_RETURN_INT64(serial);
}

Datum
newt_pg_insert(PG_FUNCTION_ARGS)
{
    work w = {.change = NEWT_PG_ADDED};
    const JsonbContainer *document;
    bytea *record;
    int64 serial;

    open_store(&w, fcinfo, 3);
    document = document_of(&w, PG_GETARG_JSONB_P(2), "document");
    (void)newt_pg_has_transaction(function_of(&w), w.table, &serial);
    SPI_connect();
    choose_class(&w, text_to_cstring(PG_GETARG_TEXT_PP(1)), -1);
    record = newt_pg_new_record(&w.recorder, w.class, document);
    w.zoid = newt_pg_next_number(w.schema, NEWT_PG_OIDS);
    (void)write_object(&w, record, &serial);
    SPI_finish();
    PG_RETURN_INT64(w.zoid);
}

Datum
newt_pg_remove(PG_FUNCTION_ARGS)
{
    work w = {.change = NEWT_PG_DELETED};
    Datum values[2];
    int64 serial;

    open_store(&w, fcinfo, 2);
    w.zoid = PG_GETARG_INT64(1);
    (void)newt_pg_has_transaction(function_of(&w), w.table, &serial);
    SPI_connect();
    check_object(&w, lock_object(&w, NEWT_PG_S_LOCK_REMOVED), fcinfo, 2);
    serial = enter_transaction(&w);
    values[0] = Int64GetDatum(w.zoid);
    values[1] = Int64GetDatum(w.seen);
    if (newt_pg_run(w.schema, NEWT_PG_S_REMOVE, values) != 1)
        not_written(&w);
    newt_pg_run(w.schema, NEWT_PG_S_UNPROJECT, values);
    newt_pg_run(w.schema, NEWT_PG_S_FORGET, values);
    newt_pg_add_change(w.change, w.zoid, w.class->state.class_name);
    SPI_finish();
    PG_RETURN_INT64(serial);
}
