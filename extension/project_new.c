/*
 * project_new.c - the first rows of objects, written many at a time
 *
 * A follower that has fallen behind, or is new, mostly meets objects that have no row yet. Their
 * rows are written here as COPY writes rows: a page at a time in the table and in WAL, then the
 * entries of all indexes. A record is read once, and found by going along the primary key, not by
 * one search for each.
 *
 * Only what is plain is done here. All else is handed back, for the statement that can do all of
 * it: objects that have a row or entries of newt_reject, values that JSON shows only in
 * part, and everything if the tables are not as they were created, in a way that could matter here:
 * triggers, rules, more columns, row security, rights that are not all there.
 *
 * What was not there for this snapshot may be there when it is written. Then the primary key
 * refuses it, and with it the whole chunk; the caller does it again by that other statement.
 */
#include "jsonb.h"
#include "plain.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(newt_pg_project_new);

/* ---- the tables ----------------------------------------------------------------------------- */

/* One that is only read, or whose rows only go, and that begins with its zoid. */
static bool
open_other(newt_pg_by_zoid *t, Oid table, AclMode rights)
{
    Form_pg_attribute first;

    *t = (newt_pg_by_zoid){0};
    if (!OidIsValid(table) || get_rel_relkind(table) != RELKIND_RELATION)
        return false;
    t->heap = table_open(table, AccessShareLock);
    if (!newt_pg_is_plain(t->heap, rights) || RelationGetDescr(t->heap)->natts < 1)
        return false;
    first = TupleDescAttr(RelationGetDescr(t->heap), 0);
    return !first->attisdropped && first->atttypid == INT8OID &&
           strcmp(NameStr(first->attname), "zoid") == 0 && newt_pg_open_key(t);
}

/* ---- what is to be done --------------------------------------------------------------------- */

typedef struct chunk {
    newt_pg_by_zoid objects, rejects;
    newt_pg_plain projection;
    int64 *zoids;
    int n;
    Datum *rest; /* zoids that are handed back */
    int n_rest;
    Datum *client_classes;
    int n_client_classes;

    text *class_name; /* of the last row that waits; NULL: none does */
} chunk;

static bool
is_objects(Relation heap)
{
    TupleDesc desc = RelationGetDescr(heap);

    return desc->natts >= 3 && TupleDescAttr(desc, 1)->atttypid == INT8OID &&
           strcmp(NameStr(TupleDescAttr(desc, 1)->attname), "serial") == 0 &&
           TupleDescAttr(desc, 2)->atttypid == BYTEAOID &&
           strcmp(NameStr(TupleDescAttr(desc, 2)->attname), "state") == 0;
}

static bool
open_tables(chunk *c, Oid projection)
{
    Oid schema = get_rel_namespace(projection);

    return open_other(&c->objects, get_relname_relid("object_state", schema), ACL_SELECT) &&
           newt_pg_plain_open(&c->projection, projection,
                              ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE,
                              newt_pg_row_columns, NEWT_PG_N_ROW, NULL) &&
           open_other(&c->rejects, get_relname_relid("newt_reject_entry", schema),
                      ACL_SELECT | ACL_INSERT | ACL_DELETE) &&
           is_objects(c->objects.heap);
}

/* Rising zoids, none twice. */
static bool
take_zoids(chunk *c, ArrayType *array)
{
    c->n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    c->zoids = (int64 *)ARR_DATA_PTR(array);
    if (ARR_HASNULL(array) || c->n == 0)
        return false;
    for (int i = 1; i < c->n; i++)
        if (c->zoids[i] <= c->zoids[i - 1])
            return false;
    return true;
}

static void
take_client_classes(chunk *c, ArrayType *array)
{
    bool *nulls;

    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &c->client_classes, &nulls,
                      &c->n_client_classes);
    for (int i = 0; i < c->n_client_classes; i++)
        if (nulls[i])
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("element %d of client_classes must not be null", i + 1)));
}

static bool
is_client_class(const chunk *c, const newt__reader *head)
{
    for (int i = 0; i < c->n_client_classes; i++) {
        text *name = DatumGetTextPP(c->client_classes[i]);

        if (VARSIZE_ANY_EXHDR(name) == head->class_n &&
            memcmp(VARDATA_ANY(name), head->class_name, head->class_n) == 0)
            return true;
    }
    return false;
}

/* Takes those out that something is known of already. */
static void
separate_known(chunk *c)
{
    int64 first = c->zoids[0], last = c->zoids[c->n - 1];
    int64 *unknown = palloc(c->n * sizeof *unknown);
    TupleTableSlot *row = table_slot_create(c->projection.rows.heap, NULL);
    TupleTableSlot *entry = table_slot_create(c->rejects.heap, NULL);
    int n = 0;

    newt_pg_scan(&c->projection.rows, GetActiveSnapshot(), first, last);
    newt_pg_scan(&c->rejects, GetActiveSnapshot(), first, last);
    for (int i = 0; i < c->n; i++) {
        int64 zoid = c->zoids[i];

        if (newt_pg_fetch(&c->projection.rows, zoid, row) ||
            newt_pg_fetch(&c->rejects, zoid, entry))
            c->rest[c->n_rest++] = Int64GetDatum(zoid);
        else
            unknown[n++] = zoid;
    }
    c->zoids = unknown;
    c->n = n;
    ExecDropSingleTupleTableSlot(row);
    ExecDropSingleTupleTableSlot(entry);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* A value may only come free by what is handed back: then all is. */
static bool
has_unique_index(const chunk *c)
{
    const ResultRelInfo *result = c->projection.result;

    for (int i = 0; i < result->ri_NumIndices; i++) {
        Form_pg_index index = result->ri_IndexRelationDescs[i]->rd_index;

        if ((index->indisunique || index->indisexclusion) && !index->indisprimary)
            return true;
    }
    return false;
}

static void
add_row(chunk *c, int64 zoid, const newt__reader *head, Datum serial, Jsonb *state)
{
    TupleTableSlot *slot = newt_pg_plain_next(&c->projection);

    if (!c->class_name || VARSIZE_ANY_EXHDR(c->class_name) != head->class_n ||
        memcmp(VARDATA_ANY(c->class_name), head->class_name, head->class_n) != 0)
        c->class_name = cstring_to_text_with_len(head->class_name, (int)head->class_n);
    slot->tts_values[NEWT_PG_ROW_ZOID] = Int64GetDatum(zoid);
    slot->tts_values[NEWT_PG_ROW_CLASS_NAME] = PointerGetDatum(c->class_name);
    slot->tts_values[NEWT_PG_ROW_SERIAL] = serial;
    slot->tts_values[NEWT_PG_ROW_STATE] = JsonbPGetDatum(state);
    c->projection.bytes += VARSIZE(state);
}

/* ---- one object ------------------------------------------------------------------------- */

static int
refuse(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    return 1;
}

/* The projection of a record whose head has been read; NULL: it has none, or *fault says why. */
static Jsonb *
document_of(const newt__reader *head, newt__fault *fault)
{
    Jsonb *document = newt_pg_jsonb_direct(head);
    newt_pg_jsonb out;
    newt__sink sink;
    bool hidden;

    if (document)
        return document;
    newt_pg_jsonb_sink(&sink, &out);
    sink.reject = refuse;
    fault->code = newt__project(&newt_pg_env, head->data, head->n, &sink, &hidden, fault);
    return fault->code || hidden ? NULL : newt_pg_jsonb_finish(&out);
}

/* Whether that was all there is to do: a record that is none has no row, nor does one of a class
 * that clients project, or that is not projected. */
static bool
project(chunk *c, int64 zoid, TupleTableSlot *object)
{
    bool no_serial, no_state;
    Datum serial = slot_getattr(object, 2, &no_serial), state = slot_getattr(object, 3, &no_state);
    bytea *record;
    newt__fault fault = {0};
    newt__reader head;
    MemoryContext before;
    size_t n;

    if (no_serial || no_state)
        return false;
    before = MemoryContextSwitchTo(c->projection.waiting);
    record = DatumGetByteaPP(state);
    n = VARSIZE_ANY_EXHDR(record);
    fault.code = newt__read_begin(&head, &newt_pg_env, VARDATA_ANY(record), n);
    if (fault.code != NEWT__OK)
        fault = head.fault;
    else if (!is_client_class(c, &head)) {
        Jsonb *document = document_of(&head, &fault);

        if (document)
            add_row(c, zoid, &head, serial, document);
    }
    c->projection.bytes += n;
    MemoryContextSwitchTo(before);
    if (fault.code != NEWT__OK && fault.code != NEWT__SINK && !newt_pg_is_bad_record(fault.code))
        newt_pg_raise(&fault, n);
    return fault.code != NEWT__SINK;
}

static void
project_all(chunk *c)
{
    TupleTableSlot *object = table_slot_create(c->objects.heap, NULL);

    newt_pg_need_utf8();
    newt_pg_scan(&c->objects, GetActiveSnapshot(), c->zoids[0], c->zoids[c->n - 1]);
    for (int i = 0; i < c->n; i++) {
        CHECK_FOR_INTERRUPTS();
        if (newt_pg_fetch(&c->objects, c->zoids[i], object) && !project(c, c->zoids[i], object))
            c->rest[c->n_rest++] = Int64GetDatum(c->zoids[i]);
        if (newt_pg_plain_is_full(&c->projection)) {
            newt_pg_plain_flush(&c->projection);
            c->class_name = NULL;
        }
    }
    ExecDropSingleTupleTableSlot(object);
}

/* False: nothing is written, and all is handed back. */
static bool
project_new(chunk *c, Oid projection, ArrayType *zoids, ArrayType *client_classes)
{
    bool done = false;

    take_client_classes(c, client_classes);
    if (!take_zoids(c, zoids))
        return false;
    if (open_tables(c, projection)) {
        c->rest = palloc(c->n * sizeof *c->rest);
        separate_known(c);
        if (c->n > 0) {
            newt_pg_plain_begin_many(&c->projection);
            done = c->n_rest == 0 || !has_unique_index(c);
            if (done)
                project_all(c);
        }
    }
    newt_pg_close_by_zoid(&c->rejects);
    newt_pg_plain_close(&c->projection);
    newt_pg_close_by_zoid(&c->objects);
    return done;
}

Datum
newt_pg_project_new(PG_FUNCTION_ARGS)
{
    ArrayType *zoids = PG_GETARG_ARRAYTYPE_P(1);
    chunk *c = palloc0(sizeof *c);
    TupleDesc desc;
    Datum values[2];
    bool nulls[2] = {false, false};

    PreventCommandIfReadOnly("newt.project_new()");
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "newt.project_new gives a row");
    if (!project_new(c, PG_GETARG_OID(0), zoids, PG_GETARG_ARRAYTYPE_P(2)))
        values[1] = PointerGetDatum(zoids);
    else if (c->n_rest > 0)
        values[1] = PointerGetDatum(construct_array(c->rest, c->n_rest, INT8OID, sizeof(int64),
                                                    FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    else
        nulls[1] = true;
    values[0] = Int64GetDatum(c->projection.written);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
