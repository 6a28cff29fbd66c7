/*
 * plain.c - tables of a store that are as they were created, written without a statement of SQL
 *
 * To start and end the executor takes longer than to change a row, and rows that go through a
 * query's plan are copied more than once. Here they go to the table and to its indexes. Whatever
 * needs more than that makes a table not plain: triggers, rules, row security, other columns,
 * rights on some columns only. Statements of SQL are used for it then.
 */
#include "plain.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

enum {
    KEPT = 128 << 10 /* memory for rows that wait which is not given back in between */
};

const newt_pg_plain_column newt_pg_row_columns[NEWT_PG_N_ROW] = {
    [NEWT_PG_ROW_ZOID] = {"zoid", INT8OID},
    [NEWT_PG_ROW_CLASS_NAME] = {"class_name", TEXTOID},
    [NEWT_PG_ROW_SERIAL] = {"serial", INT8OID},
    [NEWT_PG_ROW_STATE] = {"state", JSONBOID},
};

/* ---- which are plain ------------------------------------------------------------------------ */

bool
newt_pg_is_plain(Relation heap, AclMode rights)
{
    Form_pg_class form = heap->rd_rel;

    return form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID &&
           !form->relispartition && !form->relhassubclass && !heap->rd_rules &&
           pg_class_aclmask(RelationGetRelid(heap), GetUserId(), rights, ACLMASK_ALL) == rights &&
           check_enable_rls(RelationGetRelid(heap), InvalidOid, true) != RLS_ENABLED;
}

bool
newt_pg_has_columns(Relation heap, const newt_pg_plain_column *columns, int n)
{
    TupleDesc desc = RelationGetDescr(heap);

    if (desc->natts < n)
        return false;
    for (int i = n; i < desc->natts; i++)
        if (!TupleDescAttr(desc, i)->attisdropped)
            return false;
    for (int i = 0; i < n; i++) {
        Form_pg_attribute a = TupleDescAttr(desc, i);

        if (a->attisdropped || a->attgenerated || a->atttypid != columns[i].type ||
            strcmp(NameStr(a->attname), columns[i].name) != 0)
            return false;
    }
    return true;
}

static bool
is_needless(const Trigger *trigger, PGFunction needless)
{
    FmgrInfo function;

    fmgr_info(trigger->tgfoid, &function);
    return function.fn_addr == needless;
}

/* Whether there are some that are not served. Into a table that may have needless ones rows are
 * only inserted, and what fires before that is served. */
static bool
has_triggers(Relation heap, PGFunction needless)
{
    const TriggerDesc *t = heap->trigdesc;

    for (int i = 0; t && i < t->numtriggers; i++)
        if (!(needless && TRIGGER_TYPE_MATCHES(t->triggers[i].tgtype, TRIGGER_TYPE_ROW,
                                               TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_INSERT)) &&
            !is_needless(&t->triggers[i], needless))
            return true;
    return false;
}

/* Of the copy that belongs to what is written. */
static void
drop_needless_triggers(TriggerDesc *t, PGFunction needless)
{
    int n = 0;

    for (int i = 0; i < t->numtriggers; i++)
        if (!is_needless(&t->triggers[i], needless))
            t->triggers[n++] = t->triggers[i];
    t->numtriggers = n;
    t->trig_insert_before_row = n > 0;
}

bool
newt_pg_plain_open(newt_pg_plain *t, Oid table, AclMode rights, const newt_pg_plain_column *columns,
                   int n, PGFunction needless)
{
    Relation heap;
    Form_pg_index key;

    *t = (newt_pg_plain){.n_columns = n, .needless = needless};
    if (!OidIsValid(table) || get_rel_relkind(table) != RELKIND_RELATION)
        return false;
    t->rows.heap = heap = table_open(table, RowExclusiveLock);
    if (!newt_pg_is_plain(heap, rights) || has_triggers(heap, needless) ||
        !newt_pg_has_columns(heap, columns, n) || !newt_pg_open_key(&t->rows))
        return false;
    key = t->rows.index->rd_index;
    if (key->indnkeyatts != 1 || key->indkey.values[0] != 1)
        return false;
    t->has_checks = RelationGetDescr(heap)->constr && RelationGetDescr(heap)->constr->num_check > 0;
    return true;
}

void
newt_pg_plain_close(newt_pg_plain *t)
{
    if (t->n_slots > 0)
        newt_pg_plain_flush(t);
    for (int i = 0; i < t->made; i++)
        ExecDropSingleTupleTableSlot(t->slots[i]);
    if (t->old)
        ExecDropSingleTupleTableSlot(t->old);
    if (t->new)
        ExecDropSingleTupleTableSlot(t->new);
    if (t->result)
        ExecCloseIndices(t->result);
    if (t->estate)
        FreeExecutorState(t->estate);
    if (t->waiting)
        MemoryContextDelete(t->waiting);
    newt_pg_close_by_zoid(&t->rows);
}

/* ---- one row -------------------------------------------------------------------------------- */

static void
begin_writing(newt_pg_plain *t)
{
    if (t->estate)
        return;
    t->estate = CreateExecutorState();
    t->result = makeNode(ResultRelInfo);
    InitResultRelInfo(t->result, t->rows.heap, 0, NULL, 0);
    if (t->result->ri_TrigDesc)
        drop_needless_triggers(t->result->ri_TrigDesc, t->needless);
}

/* An update that stays on its page needs none of them. */
void
newt_pg_plain_open_indexes(newt_pg_plain *t)
{
    MemoryContext before = MemoryContextSwitchTo(t->estate->es_query_cxt);

    if (!t->result->ri_IndexRelationDescs)
        ExecOpenIndices(t->result, true);
    MemoryContextSwitchTo(before);
}

/* No value is null, which is the other thing that ExecConstraints looks for. */
static void
check(newt_pg_plain *t, TupleTableSlot *slot)
{
    if (!t->has_checks)
        return;
    ExecConstraints(t->result, slot, t->estate);
    ResetPerTupleExprContext(t->estate);
}

static void
to_indexes(newt_pg_plain *t, TupleTableSlot *slot)
{
    newt_pg_plain_open_indexes(t);
    newt_pg_insert_index_tuples(t->result, slot, t->estate);
    ResetPerTupleExprContext(t->estate);
}

static void
clear_nulls(const newt_pg_plain *t, TupleTableSlot *slot)
{
    for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
        slot->tts_isnull[i] = i >= t->n_columns; /* those were dropped */
}

TupleTableSlot *
newt_pg_plain_row(newt_pg_plain *t)
{
    begin_writing(t);
    if (!t->new)
        t->new = table_slot_create(t->rows.heap, NULL);
    ExecClearTuple(t->new);
    clear_nulls(t, t->new);
    return t->new;
}

/* The values in the slot are its row now. */
static void
store(newt_pg_plain *t, TupleTableSlot *slot)
{
    ExecStoreVirtualTuple(slot);
    slot->tts_tableOid = RelationGetRelid(t->rows.heap);
    check(t, slot);
}

/* Whether it was done; false: somebody else was first. */
static bool
is_done(const newt_pg_plain *t, TM_Result result)
{
    if (result != TM_Ok && result != TM_Updated && result != TM_Deleted)
        ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
                        errmsg("a row of table \"%s\" was to be written twice by one statement",
                               RelationGetRelationName(t->rows.heap))));
    return result == TM_Ok;
}

bool
newt_pg_plain_delete(newt_pg_plain *t)
{
    TM_FailureData failure;

    CheckCmdReplicaIdentity(t->rows.heap, CMD_DELETE);
    return is_done(t, table_tuple_delete(t->rows.heap, &t->old->tts_tid, GetCurrentCommandId(true),
                                         InvalidSnapshot, InvalidSnapshot, true, &failure, false));
}

bool
newt_pg_plain_update(newt_pg_plain *t)
{
    newt_pg_update_indexes which;
    LockTupleMode mode;
    TM_FailureData failure;

    store(t, t->new);
    CheckCmdReplicaIdentity(t->rows.heap, CMD_UPDATE);
    if (!is_done(t, table_tuple_update(t->rows.heap, &t->old->tts_tid, t->new,
                                       GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot,
                                       true, &failure, &mode, &which)))
        return false;
    if (newt_pg_has_new_entries(which))
        newt_pg_plain_open_indexes(t);
    newt_pg_update_index_tuples(t->result, t->new, t->estate, which);
    ResetPerTupleExprContext(t->estate);
    return true;
}

void
newt_pg_plain_insert(newt_pg_plain *t)
{
    store(t, t->new);
    if (t->result->ri_TrigDesc && t->result->ri_TrigDesc->trig_insert_before_row) {
        if (!ExecBRInsertTriggers(t->estate, t->result, t->new))
            ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                            errmsg("the row of table \"%s\" was not inserted",
                                   RelationGetRelationName(t->rows.heap)),
                            errdetail("A trigger suppressed it.")));
        check(t, t->new);
    }
    table_tuple_insert(t->rows.heap, t->new, GetCurrentCommandId(true), 0, NULL);
    to_indexes(t, t->new);
}

bool
newt_pg_insert_unless(ResultRelInfo *result, EState *estate, Oid key, TupleTableSlot *slot)
{
    List *arbiter = list_make1_oid(key);
    Relation heap = result->ri_RelationDesc;
    bool conflict = true;

    while (conflict) {
        ItemPointerData other;
        uint32 token;

        if (!newt_pg_check_conflict(result, slot, estate, &other, arbiter))
            return false;
        token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
        table_tuple_insert_speculative(heap, slot, GetCurrentCommandId(true), 0, NULL, token);
        conflict = false;
        newt_pg_insert_unless_conflict(result, slot, estate, &conflict, arbiter);
        table_tuple_complete_speculative(heap, slot, token, !conflict);
        SpeculativeInsertionLockRelease(GetCurrentTransactionId());
        ResetPerTupleExprContext(estate);
    }
    return true;
}

bool
newt_pg_plain_insert_unless(newt_pg_plain *t)
{
    store(t, t->new);
    newt_pg_plain_open_indexes(t);
    return newt_pg_insert_unless(t->result, t->estate, RelationGetRelid(t->rows.index), t->new);
}

/* ---- many rows ------------------------------------------------------------------------------ */

void
newt_pg_plain_begin_many(newt_pg_plain *t)
{
    begin_writing(t);
    newt_pg_plain_open_indexes(t);
    t->desc = CreateTupleDescCopy(RelationGetDescr(t->rows.heap));
    t->waiting = AllocSetContextCreate(CurrentMemoryContext, "newt rows that wait", KEPT, KEPT,
                                       ALLOCSET_DEFAULT_MAXSIZE);
}

TupleTableSlot *
newt_pg_plain_next(newt_pg_plain *t)
{
    TupleTableSlot *slot;

    if (t->n_slots == t->made) {
        MemoryContext before = MemoryContextSwitchTo(t->estate->es_query_cxt);

        t->slots[t->made++] = MakeSingleTupleTableSlot(t->desc, table_slot_callbacks(t->rows.heap));
        MemoryContextSwitchTo(before);
    }
    slot = t->slots[t->n_slots++];
    clear_nulls(t, slot);
    return slot;
}

bool
newt_pg_plain_is_full(const newt_pg_plain *t)
{
    return t->n_slots == NEWT_PG_ROWS || t->bytes >= NEWT_PG_ROW_BYTES;
}

/* A page at a time, then the entries of all indexes. */
void
newt_pg_plain_flush(newt_pg_plain *t)
{
    MemoryContext before = MemoryContextSwitchTo(t->waiting);

    for (int i = 0; i < t->n_slots; i++)
        store(t, t->slots[i]);
    if (t->n_slots > 0)
        table_multi_insert(t->rows.heap, t->slots, t->n_slots, GetCurrentCommandId(true), 0, NULL);
    for (int i = 0; i < t->n_slots; i++) {
        CHECK_FOR_INTERRUPTS();
        to_indexes(t, t->slots[i]);
        ExecClearTuple(t->slots[i]);
    }
    t->written += t->n_slots;
    t->n_slots = 0;
    t->bytes = 0;
    MemoryContextSwitchTo(before);
    MemoryContextReset(t->waiting);
}
