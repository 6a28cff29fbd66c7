/*
 * table_write.c - rows -> typed tables
 *
 * Rows are written as a subscription of logical replication writes its own: indexes, constraints
 * and generated columns are served, but no trigger fires. So neither does that of a foreign key,
 * nor the one that tells people that the table is read-only. What a column of the DBA's own holds
 * stays.
 *
 * Who writes the row of an object holds the object's row of object_state, or is the table's only
 * follower. So nobody else inserts the row meanwhile, and new rows are written many at a time, as
 * COPY writes them. But while a table is being filled its filler is a second one. Then each row of
 * the class's own table is inserted as ON CONFLICT does it, and whoever is second takes the first
 * one's row for what it is: the filler leaves it, all others update it. The rows of the other
 * tables belong to that row.
 */
#include "tables.h"

#include "plain.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* One table. */
typedef struct sheet {
    const newt_pg_relation *plan;
    newt_pg_by_zoid rows;
    TupleDesc desc;
    bool *ours; /* of each attribute: written by us */
    EState *estate;
    ResultRelInfo *result;
    newt_pg_indexes indexes;
    bool generated;
    ExprState **defaults; /* of the columns that are not ours; NULL: none has one */
    TupleTableSlot *old, *new;
    TupleTableSlot *slots[NEWT_PG_ROWS];
    int n_slots, made;
} sheet;

struct newt_pg_writer {
    const newt_pg_tables *tables;
    newt_pg_task task;
    int64 first, last;
    Snapshot snapshot; /* registered */
    int64 held;        /* the object whose row was locked last */
    int n;
    MemoryContext memory; /* of the rows that wait */
    size_t bytes;
    newt_pg_where *where;
    sheet sheets[FLEXIBLE_ARRAY_MEMBER];
};

/* ---- opening -------------------------------------------------------------------------------- */

/* False: one has been dropped since the registry was read. */
static bool
open_heaps(newt_pg_writer *w)
{
    LOCKMODE lock = w->task == NEWT_PG_LOOK ? AccessShareLock : RowExclusiveLock;

    for (int i = 0; i < w->n; i++) {
        w->sheets[i].rows.heap = try_relation_open(w->tables->relations[i].oid, lock);
        if (!w->sheets[i].rows.heap)
            return false;
    }
    return true;
}

static void
close_heaps(newt_pg_writer *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->sheets[i].rows.heap)
            table_close(w->sheets[i].rows.heap, NoLock);
}

static bool
are_those(const newt_pg_tables *a, const newt_pg_tables *b)
{
    bool same = a->n == b->n;

    for (int i = 0; i < a->n && same; i++)
        same = a->relations[i].oid == b->relations[i].oid;
    return same;
}

/* Opens and locks the tables. Who waits for a lock waits for somebody who changes the table: so the
 * plan that counts is one that was read when they were all locked. NULL: they are gone. */
static newt_pg_writer *
open_tables(const newt_pg_store *store, const newt_pg_tables *t, newt_pg_task task)
{
    for (;;) {
        newt_pg_writer *w = palloc0(offsetof(newt_pg_writer, sheets) + t->n * sizeof *w->sheets);
        const newt_pg_tables *now = NULL;
        bool open;

        w->tables = t;
        w->task = task;
        w->n = t->n;
        open = open_heaps(w);
        if (newt_pg_is_current(store)) {
            if (open)
                return w;
        } else if ((store = newt_pg_store_of(get_rel_namespace(store->registry)))) {
            now = newt_pg_tables_of(store, t->class_name, t->n_class_name);
            if (open && now && are_those(t, now)) {
                w->tables = now;
                return w;
            }
        }
        close_heaps(w);
        pfree(w);
        if (!now)
            return NULL;
        t = now;
    }
}

static void
open_sheet(newt_pg_writer *w, sheet *s, const newt_pg_relation *plan)
{
    TupleDesc desc;

    s->plan = plan;
    if (!newt_pg_open_key(&s->rows))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("typed table \"%s\" has no primary key that begins with its object",
                               RelationGetRelationName(s->rows.heap)),
                        errhint("Drop the table and create it again.")));
    s->estate = CreateExecutorState();
    s->result = makeNode(ResultRelInfo);
    InitResultRelInfo(s->result, s->rows.heap, 0, NULL, 0);
    if (w->task != NEWT_PG_LOOK)
        newt_pg_open_indexes(&s->indexes, s->result, s->estate);
    s->desc = desc = CreateTupleDescCopyConstr(RelationGetDescr(s->rows.heap));
    s->generated = desc->constr && desc->constr->has_generated_stored;
    s->ours = palloc0(desc->natts);
    s->old = table_slot_create(s->rows.heap, NULL);
    s->new = MakeSingleTupleTableSlot(desc, table_slot_callbacks(s->rows.heap));
    newt_pg_scan(&s->rows, w->snapshot, w->first, w->last);
}

static void
mark_level(sheet *s, const newt_pg_level *level)
{
    for (int i = 0; i < level->n; i++)
        if (level->fields[i].column)
            s->ours[level->fields[i].column->att - 1] = true;
        else if (level->fields[i].level)
            mark_level(s, level->fields[i].level);
}

static void
mark_ours(sheet *s)
{
    const newt_pg_relation *p = s->plan;

    s->ours[p->id - 1] = true;
    if (p->n)
        s->ours[p->n - 1] = true;
    if (p->key)
        s->ours[p->key->att - 1] = true;
    if (p->value)
        s->ours[p->value->att - 1] = true;
    mark_level(s, &p->level);
}

/* What the columns that are not ours have in a new row. */
static void
prepare_defaults(sheet *s)
{
    for (int i = 0; i < s->desc->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(s->desc, i);
        Node *expression = s->ours[i] || a->attisdropped || a->attgenerated
                               ? NULL
                               : build_column_default(s->rows.heap, i + 1);

        if (!expression)
            continue;
        if (!s->defaults)
            s->defaults = palloc0(s->desc->natts * sizeof *s->defaults);
        s->defaults[i] = ExecPrepareExpr((Expr *)expression, s->estate);
    }
}

newt_pg_writer *
newt_pg_writer_begin(const newt_pg_store *store, const newt_pg_tables *t, int64 first, int64 last,
                     newt_pg_task task, Snapshot objects, newt_pg_where *where)
{
    newt_pg_writer *w = open_tables(store, t, task);

    if (!w)
        return NULL;
    w->first = first;
    w->last = last;
    w->where = where;
    /* to compare, both are looked at as of the same moment */
    w->snapshot = RegisterSnapshot(task == NEWT_PG_LOOK ? objects : GetLatestSnapshot());
    w->memory = AllocSetContextCreate(CurrentMemoryContext, "newt typed rows",
                                      ALLOCSET_DEFAULT_SIZES);
    for (int i = 0; i < w->n; i++) {
        open_sheet(w, &w->sheets[i], &w->tables->relations[i]);
        mark_ours(&w->sheets[i]);
        if (task != NEWT_PG_LOOK)
            prepare_defaults(&w->sheets[i]);
    }
    return w;
}

const newt_pg_tables *
newt_pg_writer_tables(const newt_pg_writer *w)
{
    return w->tables;
}

MemoryContext
newt_pg_writer_memory(newt_pg_writer *w, newt_pg_rows *rows)
{
    for (int i = 0; i < w->n; i++)
        rows[i].natts = w->sheets[i].desc->natts;
    return w->memory;
}

/* ---- one row -------------------------------------------------------------------------------- */

static void
at(const newt_pg_writer *w, const sheet *s, int64 zoid)
{
    w->where->relation = s->plan;
    w->where->column = NULL;
    w->where->zoid = zoid;
}

static void
fill_default(const newt_pg_writer *w, sheet *s, TupleTableSlot *slot, int i)
{
    Form_pg_attribute a = TupleDescAttr(s->desc, i);
    Datum value = ExecEvalExprSwitchContext(s->defaults[i], GetPerTupleExprContext(s->estate),
                                            &slot->tts_isnull[i]);

    if (!slot->tts_isnull[i]) {
        MemoryContext before = MemoryContextSwitchTo(w->memory);

        slot->tts_values[i] = datumCopy(value, a->attbyval, a->attlen);
        MemoryContextSwitchTo(before);
    }
    ResetPerTupleExprContext(s->estate);
}

/* Fills the slot from values; those of columns that are not ours stay as they are in `old`, or are
 * the default. */
static void
fill_slot(const newt_pg_writer *w, sheet *s, TupleTableSlot *slot, const newt_pg_row *row,
          TupleTableSlot *old)
{
    if (old)
        slot_getallattrs(old);
    for (int i = 0; i < s->desc->natts; i++) {
        bool ours = s->ours[i] || !old;

        slot->tts_values[i] = ours ? row->values[i] : old->tts_values[i];
        slot->tts_isnull[i] = ours ? row->nulls[i] : old->tts_isnull[i];
        if (!old && s->defaults && s->defaults[i])
            fill_default(w, s, slot, i);
    }
    ExecStoreVirtualTuple(slot);
    slot->tts_tableOid = RelationGetRelid(s->rows.heap);
}

static void
check_slot(sheet *s, TupleTableSlot *slot)
{
    if (s->generated)
        ExecComputeStoredGenerated(s->result, s->estate, slot, CMD_INSERT);
    if (s->desc->constr)
        ExecConstraints(s->result, slot, s->estate);
    if (s->rows.heap->rd_rel->relispartition) /* the DBA has attached it */
        ExecPartitionCheck(s->result, slot, s->estate, true);
}

static bool
is_same(const sheet *s, const newt_pg_row *row, TupleTableSlot *old)
{
    slot_getallattrs(old);
    for (int i = 0; i < s->desc->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(s->desc, i);

        if (!s->ours[i])
            continue;
        if (row->nulls[i] != old->tts_isnull[i] ||
            (!row->nulls[i] &&
             !datum_image_eq(row->values[i], old->tts_values[i], a->attbyval, a->attlen)))
            return false;
    }
    return true;
}

/* False: somebody else has changed it since the snapshot. */
static bool
was_ours(const sheet *s, TM_Result result)
{
    switch (result) {
    case TM_Ok: return true;
    case TM_Updated:
    case TM_Deleted: return false;
    default:
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("a row of typed table \"%s\" was changed in this transaction",
                               RelationGetRelationName(s->rows.heap))));
    }
    pg_unreachable();
}

static bool
update_row(newt_pg_writer *w, sheet *s, const newt_pg_row *row)
{
    newt_pg_update_indexes which;
    LockTupleMode mode;
    TM_FailureData failure;

    ExecClearTuple(s->new);
    fill_slot(w, s, s->new, row, s->old);
    check_slot(s, s->new);
    CheckCmdReplicaIdentity(s->rows.heap, CMD_UPDATE);
    if (!was_ours(s, table_tuple_update(s->rows.heap, &s->old->tts_tid, s->new,
                                        GetCurrentCommandId(true), w->snapshot, InvalidSnapshot,
                                        true, &failure, &mode, &which)))
        return false;
    newt_pg_update_index_tuples(s->result, s->new, s->estate, which);
    if (newt_pg_has_new_entries(which))
        newt_pg_index_later(&s->indexes, &s->new->tts_tid);
    ResetPerTupleExprContext(s->estate);
    return true;
}

static bool
delete_row(newt_pg_writer *w, sheet *s)
{
    TM_FailureData failure;

    CheckCmdReplicaIdentity(s->rows.heap, CMD_DELETE);
    return was_ours(s, table_tuple_delete(s->rows.heap, &s->old->tts_tid, GetCurrentCommandId(true),
                                          w->snapshot, InvalidSnapshot, true, &failure, false));
}

/* As INSERT ... ON CONFLICT DO NOTHING; false: there is such a row, and its transaction is over. */
static bool
insert_unless_there(const newt_pg_writer *w, sheet *s, const newt_pg_row *row)
{
    ExecClearTuple(s->new);
    fill_slot(w, s, s->new, row, NULL);
    check_slot(s, s->new);
    if (!newt_pg_insert_unless(s->result, s->estate, RelationGetRelid(s->rows.index), s->new))
        return false;
    newt_pg_index_later(&s->indexes, &s->new->tts_tid);
    return true;
}

/* ---- many rows ------------------------------------------------------------------------------ */

static void
flush_sheet(newt_pg_writer *w, sheet *s)
{
    for (int i = 0; i < s->n_slots; i++) {
        at(w, s, DatumGetInt64(s->slots[i]->tts_values[s->plan->id - 1]));
        check_slot(s, s->slots[i]);
        ResetPerTupleExprContext(s->estate);
    }
    if (s->n_slots > 0)
        table_multi_insert(s->rows.heap, s->slots, s->n_slots, GetCurrentCommandId(true), 0, NULL);
    for (int i = 0; i < s->n_slots; i++) {
        CHECK_FOR_INTERRUPTS();
        at(w, s, DatumGetInt64(s->slots[i]->tts_values[s->plan->id - 1]));
        newt_pg_insert_index_tuples(s->result, s->slots[i], s->estate);
        newt_pg_index_later(&s->indexes, &s->slots[i]->tts_tid);
        ResetPerTupleExprContext(s->estate);
        ExecClearTuple(s->slots[i]);
    }
    s->n_slots = 0;
}

static void
flush(newt_pg_writer *w)
{
    MemoryContext before = MemoryContextSwitchTo(w->memory);

    for (int i = 0; i < w->n; i++)
        flush_sheet(w, &w->sheets[i]);
    MemoryContextSwitchTo(before);
}

static void
append(newt_pg_writer *w, sheet *s, const newt_pg_row *row)
{
    /* The object's own row comes first: it is what tells others that somebody is at the object.
     * Values stay until all are written. */
    if (s->n_slots == NEWT_PG_ROWS) {
        flush_sheet(w, &w->sheets[0]);
        flush_sheet(w, s);
    }
    if (s->n_slots == s->made) {
        MemoryContext before = MemoryContextSwitchTo(s->estate->es_query_cxt);

        s->slots[s->made++] = MakeSingleTupleTableSlot(s->desc, table_slot_callbacks(s->rows.heap));
        MemoryContextSwitchTo(before);
    }
    fill_slot(w, s, s->slots[s->n_slots++], row, NULL);
}

/* ---- an object ------------------------------------------------------------------------------ */

typedef struct hashed {
    uint32 hash;
    int row;
} hashed;

static int
by_hash(const void *a, const void *b)
{
    const hashed *x = a, *y = b;

    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static uint32
hash_of(const sheet *s, const Datum *values, const bool *nulls)
{
    uint32 hash = 0;

    for (int i = 0; i < s->desc->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(s->desc, i);

        if (s->ours[i])
            hash = hash_combine(hash,
                                nulls[i] ? 0 : datum_image_hash(values[i], a->attbyval, a->attlen));
    }
    return hash;
}

/* Whether a map's or a set's rows are those that there are. They have no order that the record
 * and the index share. */
static bool
are_same(newt_pg_writer *w, sheet *s, int64 zoid, const newt_pg_rows *rows)
{
    hashed *sorted = MemoryContextAllocHuge(w->memory, (rows->n + 1) * sizeof *sorted);
    int there = 0;

    for (int i = 0; i < rows->n; i++)
        sorted[i] = (hashed){hash_of(s, rows->rows[i].values, rows->rows[i].nulls), i};
    qsort(sorted, rows->n, sizeof *sorted, by_hash);
    newt_pg_seek(&s->rows, zoid);
    for (; newt_pg_fetch(&s->rows, zoid, s->old); newt_pg_step(&s->rows)) {
        bool found = false;
        uint32 hash;
        int low = 0, high = rows->n;

        slot_getallattrs(s->old);
        hash = hash_of(s, s->old->tts_values, s->old->tts_isnull);
        while (low < high) {
            int middle = low + (high - low) / 2;

            if (sorted[middle].hash < hash)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < rows->n && sorted[low].hash == hash && !found; low++)
            found = is_same(s, &rows->rows[sorted[low].row], s->old);
        if (!found)
            return false;
        there++;
    }
    return there == rows->n;
}

/* If one differs, all go and come anew. False: somebody else has changed one since the snapshot. */
static bool
write_keyed(newt_pg_writer *w, sheet *s, int64 zoid, const newt_pg_rows *rows, bool *changed)
{
    if (are_same(w, s, zoid, rows))
        return true;
    *changed = true;
    if (w->task == NEWT_PG_LOOK)
        return true;
    newt_pg_seek(&s->rows, zoid);
    for (; newt_pg_fetch(&s->rows, zoid, s->old); newt_pg_step(&s->rows))
        if (!delete_row(w, s))
            return false;
    for (int i = 0; i < rows->n; i++)
        append(w, s, &rows->rows[i]);
    return true;
}

/* A list's rows are matched by their place. */
static bool
write_list(newt_pg_writer *w, sheet *s, int64 zoid, const newt_pg_rows *rows, bool *changed)
{
    bool writes = w->task != NEWT_PG_LOOK, same;
    int i = 0;

    newt_pg_seek(&s->rows, zoid);
    for (; newt_pg_fetch(&s->rows, zoid, s->old); newt_pg_step(&s->rows)) {
        bool isnull;
        int32 n = DatumGetInt32(slot_getattr(s->old, s->plan->n, &isnull));

        for (; i < rows->n && i + 1 < n; i++) { /* a hole */
            *changed = true;
            if (writes)
                append(w, s, &rows->rows[i]);
        }
        same = i < rows->n && is_same(s, &rows->rows[i], s->old);
        *changed |= !same;
        if (!same && writes &&
            !(i < rows->n && i + 1 == n ? update_row(w, s, &rows->rows[i]) : delete_row(w, s)))
            return false;
        if (i + 1 == n)
            i++;
    }
    for (; i < rows->n; i++) {
        *changed = true;
        if (writes)
            append(w, s, &rows->rows[i]);
    }
    return true;
}

static bool
write_child(newt_pg_writer *w, sheet *s, int64 zoid, const newt_pg_rows *rows, bool *changed)
{
    static const newt_pg_rows none;

    at(w, s, zoid);
    return (s->plan->n ? write_list : write_keyed)(w, s, zoid, rows ? rows : &none, changed);
}

/* The state of things may have moved on from the snapshot: another is taken. */
static void
look_again(newt_pg_writer *w)
{
    flush(w);
    CommandCounterIncrement();
    for (int i = 0; i < w->n; i++) {
        index_endscan(w->sheets[i].rows.scan);
        w->sheets[i].rows.scan = NULL;
    }
    UnregisterSnapshot(w->snapshot);
    w->snapshot = RegisterSnapshot(GetLatestSnapshot());
    for (int i = 0; i < w->n; i++)
        newt_pg_scan(&w->sheets[i].rows, w->snapshot, w->first, w->last);
}

/* While a table is mended, whoever writes an object's rows has the first of them, even if only
 * others change: the mender compares and mends what it has locked. What it has added meanwhile the
 * snapshot has not. False: now the row is held, or has changed; look again. */
static bool
holds_row(newt_pg_writer *w, sheet *main, int64 zoid)
{
    TM_FailureData failure;

    if (w->tables->filled || w->task != NEWT_PG_KEEP || w->held == zoid)
        return true;
    if (table_tuple_lock(main->rows.heap, &main->old->tts_tid, w->snapshot, main->old,
                         GetCurrentCommandId(true), LockTupleNoKeyExclusive, LockWaitBlock, 0,
                         &failure) == TM_Ok)
        w->held = zoid;
    return false;
}

static newt_pg_deed
write_object(newt_pg_writer *w, int64 zoid, newt_pg_rows *rows, bool *again)
{
    sheet *main = &w->sheets[0];
    bool there, changed = false;

    *again = false;
    at(w, main, zoid);
    newt_pg_seek(&main->rows, zoid);
    there = newt_pg_fetch(&main->rows, zoid, main->old);
    if (there && (w->task == NEWT_PG_FILL || w->task == NEWT_PG_ADD))
        return NEWT_PG_SAME;
    if (there && !holds_row(w, main, zoid)) {
        *again = true;
        return NEWT_PG_SAME;
    }
    if (!there && !rows)
        return NEWT_PG_SAME;
    if (!rows) {
        for (int i = w->n - 1; i > 0 && w->task != NEWT_PG_LOOK; i--)
            *again |= !write_child(w, &w->sheets[i], zoid, NULL, &changed);
        if (w->task != NEWT_PG_LOOK && !*again)
            *again = !delete_row(w, main);
        return NEWT_PG_REMOVED;
    }
    if (there) {
        changed = !is_same(main, &rows[0].rows[0], main->old);
        if (changed && w->task != NEWT_PG_LOOK)
            *again = !update_row(w, main, &rows[0].rows[0]);
        for (int i = 1; i < w->n && !*again; i++) {
            *again = !write_child(w, &w->sheets[i], zoid, &rows[i], &changed);
        }
        return changed ? NEWT_PG_UPDATED : NEWT_PG_SAME;
    }
    if (w->task == NEWT_PG_LOOK)
        return NEWT_PG_INSERTED;
    if (w->task == NEWT_PG_ADD || (w->tables->filled && w->task != NEWT_PG_FILL))
        append(w, main, &rows[0].rows[0]);
    else if (!insert_unless_there(w, main, &rows[0].rows[0])) {
        *again = w->task != NEWT_PG_FILL;
        return NEWT_PG_SAME;
    }
    for (int i = 1; i < w->n; i++)
        for (int k = 0; k < rows[i].n; k++) {
            at(w, &w->sheets[i], zoid);
            append(w, &w->sheets[i], &rows[i].rows[k]);
        }
    return NEWT_PG_INSERTED;
}

newt_pg_deed
newt_pg_write(newt_pg_writer *w, int64 zoid, newt_pg_rows *rows, size_t bytes)
{
    newt_pg_deed deed;
    bool again;

    for (;;) {
        deed = write_object(w, zoid, rows, &again);
        if (!again)
            break;
        w->first = zoid;
        look_again(w);
    }
    w->bytes += bytes;
    if (w->bytes >= NEWT_PG_ROW_BYTES || w->sheets[0].n_slots == NEWT_PG_ROWS) {
        flush(w);
        MemoryContextReset(w->memory);
        w->bytes = 0;
    }
    return deed;
}

void
newt_pg_writer_end(newt_pg_writer *w)
{
    flush(w);
    for (int i = 0; i < w->n; i++) {
        sheet *s = &w->sheets[i];

        at(w, s, 0);
        newt_pg_index_now(&s->indexes, w->where, s->plan->id);
        for (int k = 0; k < s->made; k++)
            ExecDropSingleTupleTableSlot(s->slots[k]);
        ExecDropSingleTupleTableSlot(s->old);
        ExecDropSingleTupleTableSlot(s->new);
        if (w->task != NEWT_PG_LOOK)
            newt_pg_close_indexes(&s->indexes);
        FreeExecutorState(s->estate);
        newt_pg_close_by_zoid(&s->rows);
    }
    UnregisterSnapshot(w->snapshot);
    MemoryContextDelete(w->memory);
}
