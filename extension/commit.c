/*
 * commit.c - the last step of a commit within the server's own COMMIT
 *
 * newt.at_commit() keeps the transaction's row until the transaction commits. Then, before it does,
 * the commit lock is taken and the row inserted with its tid; the transaction is made visible and
 * all its locks are released without waiting for the disk; and only then COMMIT waits, for the disk
 * and for standbys, as synchronous_commit says. So the lock is never held while the server waits
 * for a message, for the disk, or for a standby, and who waits for a row that was changed here need
 * not wait for them either. newt.committed() tells afterwards what the client needs to know: the
 * tid, and what others have committed since the position of its cache.
 */
#include "tables.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

void _PG_init(void);

enum {
    SERIAL,
    NONCE,
    WRITTEN,
    REMOVED,
    USERNAME,
    DESCRIPTION,
    EXTENSION,
    REMOVED_CLASSES,
    TID, /* given at the commit */
    N_VALUES
};

static const Oid types[N_VALUES] = {
    [SERIAL] = INT8OID,       [NONCE] = INT8OID,
    [WRITTEN] = INT8ARRAYOID, [REMOVED] = INT8ARRAYOID,
    [USERNAME] = TEXTOID,     [DESCRIPTION] = TEXTOID,
    [EXTENSION] = TEXTOID,    [REMOVED_CLASSES] = TEXTARRAYOID,
    [TID] = INT8OID,
};

/* What the transaction is to do at its end; in TopTransactionContext, NULL: nothing. */
static struct step {
    Oid table; /* transaction, of some store */
    Oid user;  /* who asked for it: the row is inserted with these rights */
    Datum values[N_VALUES];
    char nulls[N_VALUES];
} * step;

static enum {
    NOTHING,
    INSERTED, /* the row is; synchronous_commit is off */
    VISIBLE   /* the transaction is; its locks are about to be released */
} progress;
static int wanted_synchronous_commit;

/* A transaction that was given its row; and the one in front of it. */
typedef struct commit {
    Oid table;
    int64 tid, serial;
    int64 tid_before, serial_before;
} commit;

static commit current;
static commit last; /* of this session; tid 0: none */

/* Plans of the store used last: of this table, when its schema had this name. */
static struct {
    Oid table;
    NameData schema;
    SPIPlanPtr insert, changes;
} plans;

/* ---- at commit ---------------------------------------------------------------------------- */

static SPIPlanPtr
prepare(int n, const Oid *argument_types, const char *sql)
{
    SPIPlanPtr plan = SPI_prepare(sql, n, (Oid *)argument_types);

    if (!plan)
        elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    if (SPI_keepplan(plan) != 0)
        elog(ERROR, "SPI_keepplan failed");
    return plan;
}

static void
drop_plan(SPIPlanPtr *plan)
{
    if (*plan)
        SPI_freeplan(*plan);
    *plan = NULL;
}

/* For clients that do without these functions, bridge/postgres/statements.c has the same
 * statements. */
static void
plan_for(Oid table)
{
    static const Oid of_changes[] = {INT8OID, INT8OID, INT8OID, INT8OID};
    char *name = get_namespace_name(get_rel_namespace(table));
    const char *schema;

    if (!name)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("the store of newt.at_commit() was dropped")));
    if (plans.table == table && strcmp(NameStr(plans.schema), name) == 0)
        return;
    plans.table = InvalidOid;
    drop_plan(&plans.insert);
    drop_plan(&plans.changes);
    schema = quote_identifier(name);
    PushActiveSnapshot(
        GetTransactionSnapshot()); /* at a commit there is none; parsing may want it */
    plans.insert = prepare(
        N_VALUES, types,
        psprintf("INSERT INTO %s.transaction (serial, nonce, written, removed, username, "
                 "description, extension, removed_classes, tid) VALUES ($1, $2, $3, $4, "
                 "coalesce($5, CURRENT_USER), $6, $7::pg_catalog.jsonb, $8, $9)",
                 schema));
    plans.changes = prepare(
        lengthof(of_changes), of_changes,
        psprintf("SELECT t.tid, t.serial, CASE WHEN t.serial OPERATOR(pg_catalog.=) $2 THEN NULL "
                 "WHEN t.written IS NULL THEN %s.newt_large(t.serial, $3) "
                 "ELSE t.written OPERATOR(pg_catalog.||) t.removed END FROM %s.transaction t "
                 "WHERE t.tid OPERATOR(pg_catalog.>=) $1 ORDER BY t.tid LIMIT $4",
                 schema, schema));
    PopActiveSnapshot();
    namestrcpy(&plans.schema, name);
    plans.table = table;
}

static void
check_rights(Oid table, Oid user, AclMode any_of)
{
    AclResult r = pg_class_aclcheck(table, user, any_of);

    if (r != ACLCHECK_OK)
        aclcheck_error(r, OBJECT_TABLE, get_rel_name(table));
}

/* As LOCK TABLE does. */
static void
take_commit_lock(Oid table, Oid user)
{
    Oid lock = get_relname_relid("newt_commit_lock", get_rel_namespace(table));

    if (!OidIsValid(lock))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("the store of newt.at_commit() has no table \"newt_commit_lock\"")));
    check_rights(lock, user, ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE);
    LockRelationOid(lock, ExclusiveLock);
}

static AttrNumber
column(Relation heap, const char *name)
{
    TupleDesc desc = RelationGetDescr(heap);

    for (int i = 0; i < desc->natts; i++) {
        Form_pg_attribute a = TupleDescAttr(desc, i);

        if (!a->attisdropped && a->atttypid == INT8OID && strcmp(NameStr(a->attname), name) == 0)
            return a->attnum;
    }
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("table \"%s\" has no %s", RelationGetRelationName(heap), name)));
}

static int64
value(Relation heap, HeapTuple row, const char *name)
{
    bool isnull;
    Datum x = heap_getattr(row, column(heap, name), RelationGetDescr(heap), &isnull);

    return isnull ? 0 : DatumGetInt64(x);
}

/* The transaction with the greatest tid, from the end of its index; zeros: there is none. */
static void
find_newest(Oid table, Oid user, int64 *tid, int64 *serial)
{
    Relation heap = table_open(table, AccessShareLock), index;
    SysScanDesc scan;
    HeapTuple row;

    check_rights(table, user, ACL_SELECT);
    list_free(RelationGetIndexList(heap)); /* sets rd_pkindex */
    if (!OidIsValid(heap->rd_pkindex))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("table \"%s\" has no primary key", RelationGetRelationName(heap))));
    index = index_open(heap->rd_pkindex, AccessShareLock);
    if (heap->rd_rel->relam != HEAP_TABLE_AM_OID || index->rd_rel->relam != BTREE_AM_OID ||
        index->rd_index->indkey.values[0] != column(heap, "tid"))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the primary key of table \"%s\" is not its tid",
                               RelationGetRelationName(heap))));
    scan = systable_beginscan_ordered(heap, index, GetActiveSnapshot(), 0, NULL);
    row = systable_getnext_ordered(scan, BackwardScanDirection);
    *tid = *serial = 0;
    if (HeapTupleIsValid(row)) {
        *tid = value(heap, row, "tid");
        *serial = value(heap, row, "serial");
    }
    systable_endscan_ordered(scan);
    index_close(index, AccessShareLock);
    table_close(heap, AccessShareLock);
}

static void
insert_row(struct step *s)
{
    int64 now = 0, next = 0;
    Oid user;
    int context;

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(s->user, context | SECURITY_LOCAL_USERID_CHANGE);
    SPI_connect();
    plan_for(s->table);
    take_commit_lock(s->table, s->user);
    PushActiveSnapshot(GetTransactionSnapshot()); /* sees all that the lock was waited for */
    current = (commit){.table = s->table, .serial = DatumGetInt64(s->values[SERIAL])};
    find_newest(s->table, s->user, &current.tid_before, &current.serial_before);
    if (pg_add_s64_overflow(current.tid_before, 1, &next))
        ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                        errmsg("there is no tid after the last transaction's")));
    now = GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    current.tid = Max(now, next);
    s->values[TID] = Int64GetDatum(current.tid);
    s->nulls[TID] = ' ';
    if (SPI_execute_plan(plans.insert, s->values, s->nulls, false, 0) != SPI_OK_INSERT ||
        SPI_processed != 1)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the transaction's row was not inserted"),
                        errdetail("A rule or a trigger stands in the way.")));
    PopActiveSnapshot();
    SPI_finish();
    SetUserIdAndSecContext(user, context); /* after an error the abort does it */
}

static ArrayType *
array_of(const struct step *s, int i)
{
    return s->nulls[i] == 'n' ? NULL : DatumGetArrayTypeP(s->values[i]);
}

/* The typed tables follow before the lock is taken. All that the transaction wrote is visible here,
 * as it is not to newt.at_commit() itself, which may be called by the statement that writes. */
static void
keep_tables(const struct step *s)
{
    Oid user;
    int context;

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(s->user, context | SECURITY_LOCAL_USERID_CHANGE);
    CommandCounterIncrement(); /* the statement may be one that commits by itself */
    PushActiveSnapshot(GetTransactionSnapshot());
    newt_pg_keep_transaction(s->table, DatumGetInt64(s->values[SERIAL]), array_of(s, WRITTEN),
                             array_of(s, REMOVED));
    PopActiveSnapshot();
    SetUserIdAndSecContext(user, context); /* after an error the abort does it */
}

static void
on_transaction(XactEvent event, void *arg)
{
    struct step *s = step;

    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        if (!s)
            break;
        /* first of all: an error leads to the abort of a transaction that has none */
        step = NULL;
        keep_tables(s);
        insert_row(s);
        /* the variable, and not the setting: that would also change what the wait for standbys
         * waits for, which is still to come */
        wanted_synchronous_commit = synchronous_commit;
        synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
        progress = INSERTED;
        break;
    case XACT_EVENT_PRE_PREPARE:
        if (s)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot prepare a transaction that called newt.at_commit()")));
        break;
    case XACT_EVENT_COMMIT:
        if (progress == INSERTED) {
            synchronous_commit = wanted_synchronous_commit;
            last = current;
            progress = VISIBLE;
        }
        break;
    default:
        if (progress == INSERTED)
            synchronous_commit = wanted_synchronous_commit;
        progress = NOTHING;
        step = NULL;
        break;
    }
}

/* Waits as the server would have done before it made the transaction visible. */
static void
on_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
    if (phase != RESOURCE_RELEASE_AFTER_LOCKS || progress != VISIBLE || !is_top_level)
        return;
    progress = NOTHING;
    if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF) {
        XLogFlush(XactLastCommitEnd);
        SyncRepWaitForLSN(XactLastCommitEnd, true);
    }
}

void
_PG_init(void)
{
    RegisterXactCallback(on_transaction, NULL);
    RegisterResourceReleaseCallback(on_release, NULL);
}

/* ---- functions ---------------------------------------------------------------------------- */

PG_FUNCTION_INFO_V1(newt_pg_at_commit);
Datum
newt_pg_at_commit(PG_FUNCTION_ARGS)
{
    MemoryContext outer;
    struct step *s;
    char *name;

    if (step)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("newt.at_commit() was called before in this transaction")));
    /* as for deferred triggers: what runs at the commit is outside of such an operation */
    if (InSecurityRestrictedOperation())
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("newt.at_commit() cannot be called within a security-restricted "
                               "operation")));
    if (GetCurrentTransactionNestLevel() > 1)
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("newt.at_commit() cannot be called in a subtransaction")));
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("newt.at_commit() needs a READ COMMITTED transaction"),
                        errdetail("Another would not see the last tid.")));
    for (int i = 0; i <= NONCE + 1; i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("store, serial and nonce cannot be null")));
    name = get_rel_name(PG_GETARG_OID(0));
    if (!name || strcmp(name, "transaction") != 0 ||
        get_rel_relkind(PG_GETARG_OID(0)) != RELKIND_RELATION)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("the first argument of newt.at_commit() must be the table "
                               "\"transaction\" of a store")));
    outer = MemoryContextSwitchTo(TopTransactionContext);
    s = palloc(sizeof *s);
    s->table = PG_GETARG_OID(0);
    s->user = GetUserId();
    for (int i = 0; i < TID; i++) {
        bool by_value = types[i] == INT8OID;

        s->nulls[i] = PG_ARGISNULL(i + 1) ? 'n' : ' ';
        s->values[i] = PG_ARGISNULL(i + 1) ? (Datum)0
                       : by_value          ? PG_GETARG_DATUM(i + 1)
                                  : PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(i + 1)));
    }
    MemoryContextSwitchTo(outer);
    step = s;
    /* Outside of a block the transaction ends with the statement, though others may follow it in a
     * pipeline: the client learns from the statement's own answer that it is committed. What went
     * before it in a pipeline is such a block. */
    if (!IsTransactionBlock() && !(MyXactFlags & XACT_FLAGS_PIPELINING))
        MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
    PG_RETURN_VOID();
}

/* ---- what others have committed ----------------------------------------------------------- */

enum {
    MOST_CHANGES = 10000, /* as in bridge/postgres/snapshot.c */
    MOST_TRANSACTIONS = 5000
};

/* The answer of newt.committed(): a head, and the oids. */
typedef struct answer {
    int64 tid;
    int64 newest_tid, newest_serial; /* the position that the oids lead to */
    int64 follows;                   /* 0: not from where the question stood, and there are none */
    int64 oids[FLEXIBLE_ARRAY_MEMBER]; /* and a 0 in the place of the session's own commit */
} answer;

enum {
    HEAD = offsetof(answer, oids) / sizeof(int64)
};

/* Appends to the n oids that there are; false: too many, or something else. */
static bool
add_oids(answer *a, int *n, Datum value)
{
    ArrayType *array = DatumGetArrayTypeP(value);
    int more = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

    if (ARR_ELEMTYPE(array) != INT8OID || ARR_HASNULL(array) || more > MOST_CHANGES - *n)
        return false;
    memcpy(a->oids + *n, ARR_DATA_PTR(array), more * sizeof *a->oids);
    *n += more;
    return true;
}

/* Goes through the transactions from the position on, which must be there. */
static int
follow(answer *a, int64 tid, int64 serial)
{
    Datum values[] = {Int64GetDatum(tid), Int64GetDatum(last.serial),
                      Int64GetDatum(MOST_CHANGES + 1), Int64GetDatum(MOST_TRANSACTIONS + 1)};
    bool isnull;
    int n = 0;

    SPI_connect();
    plan_for(last.table);
    if (SPI_execute_plan(plans.changes, values, NULL, false, 0) != SPI_OK_SELECT)
        elog(ERROR, "the changes were not read");
    a->follows = SPI_processed > 0 && SPI_processed <= MOST_TRANSACTIONS;
    for (uint64 i = 0; i < SPI_processed && a->follows; i++) {
        HeapTuple row = SPI_tuptable->vals[i];
        TupleDesc desc = SPI_tuptable->tupdesc;
        Datum oids = SPI_getbinval(row, desc, 3, &isnull);

        if (i > 0 && !isnull)
            a->follows = add_oids(a, &n, oids);
        a->newest_tid = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
        a->newest_serial = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
        if (i == 0)
            a->follows = a->newest_tid == tid && a->newest_serial == serial;
        if (a->newest_serial == last.serial)
            a->oids[n++] = 0;
    }
    SPI_finish();
    if (a->follows)
        return n;
    a->newest_tid = last.tid;
    a->newest_serial = last.serial;
    return 0;
}

PG_FUNCTION_INFO_V1(newt_pg_committed);
Datum
newt_pg_committed(PG_FUNCTION_ARGS)
{
    size_t size = offsetof(answer, oids) + (MOST_CHANGES + 1) * sizeof(int64);
    bool nothing_between;
    ArrayType *out;
    answer *a;
    int n = 0;

    if (PG_ARGISNULL(0) || last.tid == 0 || last.table != PG_GETARG_OID(0))
        PG_RETURN_NULL();
    nothing_between = PG_ARGISNULL(1) || PG_ARGISNULL(2) ||
                      (PG_GETARG_INT64(1) == last.tid_before &&
                       PG_GETARG_INT64(2) == last.serial_before);
    out = palloc(ARR_OVERHEAD_NONULLS(1) + (nothing_between ? offsetof(answer, oids) : size));
    a = (answer *)((char *)out + ARR_OVERHEAD_NONULLS(1));
    *a = (answer){
        .tid = last.tid, .newest_tid = last.tid, .newest_serial = last.serial, .follows = 1};
    if (!nothing_between)
        n = follow(a, PG_GETARG_INT64(1), PG_GETARG_INT64(2));
    SET_VARSIZE(out, ARR_OVERHEAD_NONULLS(1) + (HEAD + n) * sizeof(int64));
    out->ndim = 1;
    out->dataoffset = 0;
    out->elemtype = INT8OID;
    ARR_DIMS(out)[0] = HEAD + n;
    ARR_LBOUND(out)[0] = 1;
    PG_RETURN_ARRAYTYPE_P(out);
}
