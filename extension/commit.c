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
#include "commit.h"

#include "changes.h"
#include "gather.h"
#include "plain.h"
#include "tables.h"
#include "transactions.h"
#include "write.h"

#include <sched.h>

#include "access/xact.h"
#include "access/xlog.h"
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
#include "utils/guc.h"
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
    const char *function; /* that was called */
    bool gathers;         /* what it says is in changes.c */
    uint64 indexes_as_of; /* then: the store's indexes when the first change was made */
} * step;

/* The setting newt.description. */
static char *description;

static enum {
    NOTHING,
    INSERTED, /* the row is, and the lock held */
    HURRIED,  /* the transaction commits; synchronous_commit is off */
    VISIBLE   /* the transaction is; its locks are about to be released */
} progress;
static int wanted_synchronous_commit;

/* A transaction that was given its row; and the one in front of it. */
typedef struct commit {
    Oid table;
    newt_pg_position at, before;
} commit;

static commit current;
static commit last; /* of this session; tid 0: none */

/* The plan of the store used last: of this table, when its schema had this name. */
static struct {
    Oid table;
    NameData schema;
    SPIPlanPtr insert;
} plans;

/* ---- at commit ---------------------------------------------------------------------------- */

static SPIPlanPtr
prepare(const char *sql)
{
    SPIPlanPtr plan = SPI_prepare(sql, N_VALUES, (Oid *)types);

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
    char *name = get_namespace_name(get_rel_namespace(table));
    const char *schema;

    if (plans.table == table && strcmp(NameStr(plans.schema), name) == 0)
        return;
    plans.table = InvalidOid;
    drop_plan(&plans.insert);
    schema = quote_identifier(name);
    PushActiveSnapshot(
        GetTransactionSnapshot()); /* at a commit there is none; parsing may want it */
    plans.insert = prepare(
        psprintf("INSERT INTO %s.transaction (serial, nonce, written, removed, username, "
                 "description, extension, removed_classes, tid) VALUES ($1, $2, $3, $4, "
                 "coalesce($5, CURRENT_USER), $6, $7::pg_catalog.jsonb, $8, $9)",
                 schema));
    PopActiveSnapshot();
    namestrcpy(&plans.schema, name);
    plans.table = table;
}

/* As LOCK TABLE does. */
static void
take_commit_lock(Oid table, Oid user)
{
    enum {
        ATTEMPTS = 20
    };
    Oid schema = get_rel_namespace(table);
    Oid lock = get_relname_relid("newt_commit_lock", schema);

    if (!OidIsValid(schema))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("the store of newt.at_commit() was dropped")));
    if (!OidIsValid(lock))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("the store of newt.at_commit() has no table \"newt_commit_lock\"")));
    newt_pg_check_rights(lock, user, ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE);
    /* To wait for it costs two switches of the processor and a timer, more than it is held for. */
    for (int i = 0; i < ATTEMPTS; i++) {
        if (ConditionalLockRelationOid(lock, ExclusiveLock))
            return;
        sched_yield();
    }
    LockRelationOid(lock, ExclusiveLock);
}

/* The columns of the table, in their order. */
enum {
    COLUMN_TID,
    COLUMN_SERIAL,
    COLUMN_NONCE,
    COLUMN_COMMITTED_AT,
    COLUMN_USERNAME,
    COLUMN_DESCRIPTION,
    COLUMN_EXTENSION,
    COLUMN_WRITTEN,
    COLUMN_REMOVED,
    COLUMN_REMOVED_CLASSES,
    N_COLUMNS
};

/* All that can be done of the row before the lock is taken. False: the table is not as it was
 * created, so a statement is to do it. */
static bool
begin_row(newt_pg_plain *t, const struct step *s)
{
    static const newt_pg_plain_column columns[N_COLUMNS] = {
        [COLUMN_TID] = {"tid", INT8OID},
        [COLUMN_SERIAL] = {"serial", INT8OID},
        [COLUMN_NONCE] = {"nonce", INT8OID},
        [COLUMN_COMMITTED_AT] = {"committed_at", TIMESTAMPTZOID},
        [COLUMN_USERNAME] = {"username", TEXTOID},
        [COLUMN_DESCRIPTION] = {"description", TEXTOID},
        [COLUMN_EXTENSION] = {"extension", JSONBOID},
        [COLUMN_WRITTEN] = {"written", INT8ARRAYOID},
        [COLUMN_REMOVED] = {"removed", INT8ARRAYOID},
        [COLUMN_REMOVED_CLASSES] = {"removed_classes", TEXTARRAYOID},
    };
    static const int from[N_COLUMNS] = {
        [COLUMN_SERIAL] = SERIAL,       [COLUMN_NONCE] = NONCE,
        [COLUMN_USERNAME] = USERNAME,   [COLUMN_DESCRIPTION] = DESCRIPTION,
        [COLUMN_EXTENSION] = EXTENSION, [COLUMN_WRITTEN] = WRITTEN,
        [COLUMN_REMOVED] = REMOVED,     [COLUMN_REMOVED_CLASSES] = REMOVED_CLASSES,
    };
    /* the trigger does for others what keep_tables() has done */
    bool plain = newt_pg_plain_open(t, s->table, ACL_INSERT, columns, N_COLUMNS,
                                    newt_pg_keep_tables);
    TupleTableSlot *row = plain ? newt_pg_plain_row(t) : NULL;

    for (int i = 0; i < N_COLUMNS && plain; i++) {
        Datum *value = &row->tts_values[i];

        if (i == COLUMN_TID || i == COLUMN_COMMITTED_AT)
            continue;
        if (s->nulls[from[i]] != 'n')
            *value = s->values[from[i]];
        else if (i == COLUMN_USERNAME)
            *value = CStringGetTextDatum(GetUserNameFromId(s->user, false));
        else
            row->tts_isnull[i] = true;
        if (i == COLUMN_EXTENSION && !row->tts_isnull[i])
            *value = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(*value)));
        plain = !row->tts_isnull[i] || !TupleDescAttr(row->tts_tupleDescriptor, i)->attnotnull;
    }
    if (plain)
        newt_pg_plain_open_indexes(t);
    return plain;
}

static bool
has_deferred_triggers(Relation heap)
{
    const TriggerDesc *t = heap->trigdesc;

    for (int i = 0; t && i < t->numtriggers; i++)
        if (t->triggers[i].tgdeferrable)
            return true;
    return false;
}

static void
insert_by_statement(const struct step *s, Relation heap)
{
    SPI_connect();
    plan_for(s->table);
    if (SPI_execute_plan(plans.insert, (Datum *)s->values, s->nulls, false, 0) != SPI_OK_INSERT ||
        SPI_processed != 1)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the transaction's row was not inserted"),
                        errdetail("A rule or a trigger suppressed it.")));
    /* of a transaction that commits the server has fired the deferred triggers already */
    if (has_deferred_triggers(heap) &&
        SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
        elog(ERROR, "the deferred triggers of a transaction's row were not fired");
    SPI_finish();
}

/* Takes the lock, and gives the transaction its tid and its row. *changes: what others have
 * committed, to be read to the end; NULL: it is not wanted. */
static void
insert_row(struct step *s, newt_pg_changes *changes)
{
    newt_pg_position newest;
    TimestampTz now;
    int64 tid = 0, next = 0;
    newt_pg_plain t;
    bool plain;

    PreventCommandIfReadOnly("newt.at_commit()"); /* it may have become so since the call */
    plain = begin_row(&t, s);
    take_commit_lock(s->table, s->user);
    PushActiveSnapshot(GetTransactionSnapshot()); /* sees all that the lock was waited for */
    if (s->gathers)
        newt_pg_check_indexes(s->table, s->indexes_as_of);
    if (changes && changes->follows)
        newt_pg_read_transactions(s->table, s->user, DatumGetInt64(s->values[SERIAL]), changes);
    newest = changes && changes->follows
                 ? changes->at
                 : newt_pg_newest_transaction(s->table, s->user,
                                              last.table == s->table ? last.at.tid : 0);
    if (pg_add_s64_overflow(newest.tid, 1, &next))
        ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                        errmsg("there is no tid after the last transaction's")));
    now = GetCurrentTimestamp();
    tid = now + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    current = (commit){.table = s->table,
                       .at = {Max(tid, next), DatumGetInt64(s->values[SERIAL])},
                       .before = newest};
    s->values[TID] = Int64GetDatum(current.at.tid);
    s->nulls[TID] = ' ';
    if (plain) {
        t.new->tts_values[COLUMN_TID] = Int64GetDatum(current.at.tid);
        t.new->tts_values[COLUMN_COMMITTED_AT] = TimestampTzGetDatum(now);
        newt_pg_plain_insert(&t);
    } else {
        insert_by_statement(s, t.rows.heap);
    }
    newt_pg_plain_close(&t);
    PopActiveSnapshot();
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
    CommandCounterIncrement(); /* the statement may be one that commits by itself */
    PushActiveSnapshot(GetTransactionSnapshot());
    newt_pg_keep_transaction(s->table, DatumGetInt64(s->values[SERIAL]), array_of(s, WRITTEN),
                             array_of(s, REMOVED));
    PopActiveSnapshot();
}

/* With the rights of who asked for it. */
static void
carry_out(struct step *s)
{
    Oid user;
    int context;

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(s->user, context | SECURITY_LOCAL_USERID_CHANGE);
    keep_tables(s);
    insert_row(s, NULL);
    SetUserIdAndSecContext(user, context); /* after an error the abort does it */
}

static void
set(struct step *s, int i, Datum value)
{
    s->values[i] = value;
    s->nulls[i] = value ? ' ' : 'n';
}

/* Fills in what SQL functions have written; false: there is nothing to say. */
static bool
gather(struct step *s)
{
    newt_pg_said said;

    if (!newt_pg_gather(s->table, s->user, DatumGetInt64(s->values[SERIAL]), &said))
        return false;
    set(s, WRITTEN, said.written);
    set(s, REMOVED, said.removed);
    set(s, REMOVED_CLASSES, said.classes);
    set(s, USERNAME, said.username);
    set(s, EXTENSION, said.extension);
    set(s, DESCRIPTION,
        description && *description ? CStringGetTextDatum(description) : said.description);
    return true;
}

static void
on_transaction(XactEvent event, void *arg)
{
    struct step *s = step;

    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        /* first of all: an error leads to the abort of a transaction that has none */
        step = NULL;
        if (s && s->gathers && !gather(s))
            s = NULL;
        if (s)
            carry_out(s);
        else if (progress != INSERTED)
            break;
        /* the variable, and not the setting: that would also change what the wait for standbys
         * waits for, which is still to come */
        wanted_synchronous_commit = synchronous_commit;
        synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
        progress = HURRIED;
        break;
    case XACT_EVENT_PRE_PREPARE:
        if (s)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot prepare a transaction that called %s", s->function)));
        break;
    case XACT_EVENT_COMMIT:
        newt_pg_forget_changes();
        if (progress == HURRIED) {
            synchronous_commit = wanted_synchronous_commit;
            last = current;
            progress = VISIBLE;
        }
        break;
    default:
        newt_pg_forget_changes();
        if (progress == HURRIED)
            synchronous_commit = wanted_synchronous_commit;
        progress = NOTHING;
        step = NULL;
        break;
    }
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId own, SubTransactionId parent, void *arg)
{
    if (event == SUBXACT_EVENT_ABORT_SUB)
        newt_pg_undo_changes(GetCurrentTransactionNestLevel());
    else if (event == SUBXACT_EVENT_COMMIT_SUB)
        newt_pg_merge_changes(GetCurrentTransactionNestLevel());
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
    DefineCustomStringVariable("newt.description",
                               "What newt.patch, newt.insert and newt.remove say of their "
                               "transaction in the column description.",
                               "Empty: their names.", &description, "", PGC_USERSET, 0, NULL, NULL,
                               NULL);
    RegisterXactCallback(on_transaction, NULL);
    RegisterSubXactCallback(on_subtransaction, NULL);
    RegisterResourceReleaseCallback(on_release, NULL);
}

/* ---- functions ---------------------------------------------------------------------------- */

/* Raises if this transaction cannot have a row that is made at its end. */
static void
check_transaction(const char *function)
{
    if (step || progress != NOTHING)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("%s was called before in this transaction",
                               step ? step->function : "newt.commit()")));
    PreventCommandIfReadOnly(function);
    /* as for deferred triggers: what runs at the commit is outside of such an operation */
    if (InSecurityRestrictedOperation())
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("%s cannot be called within a security-restricted operation", function)));
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("%s needs a READ COMMITTED transaction", function),
                        errdetail("Another would not see the last tid.")));
}

/* The same for those that are called by the library, with their first argument. */
static void
check_call(const char *function, Oid table)
{
    char *name = get_rel_name(table);

    check_transaction(function);
    if (GetCurrentTransactionNestLevel() > 1)
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("%s cannot be called in a subtransaction", function)));
    if (!name || strcmp(name, "transaction") != 0 || get_rel_relkind(table) != RELKIND_RELATION)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("the first argument of %s must be the table \"transaction\" of a "
                               "store",
                               function)));
}

PG_FUNCTION_INFO_V1(newt_pg_at_commit);
Datum
newt_pg_at_commit(PG_FUNCTION_ARGS)
{
    MemoryContext outer;
    struct step *s;

    for (int i = 0; i <= NONCE + 1; i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("store, serial and nonce cannot be null")));
    check_call("newt.at_commit()", PG_GETARG_OID(0));
    outer = MemoryContextSwitchTo(TopTransactionContext);
    s = palloc0(sizeof *s);
    s->function = "newt.at_commit()";
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

/* ---- transactions of SQL functions ------------------------------------------------------------
 */

bool
newt_pg_has_transaction(const char *function, Oid table, int64 *serial)
{
    if (!step || !step->gathers) {
        check_transaction(function);
        return false;
    }
    if (step->table != table)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("%s cannot write to a second store in one transaction", function),
                        errdetail("The transaction has written to the store \"%s\".",
                                  get_namespace_name(get_rel_namespace(step->table)))));
    *serial = DatumGetInt64(step->values[SERIAL]);
    return true;
}

void
newt_pg_begin_transaction(const char *function, Oid table, int64 serial, uint64 indexes_as_of)
{
    struct step *s = MemoryContextAllocZero(TopTransactionContext, sizeof *s);
    int64 nonce = 0;

    while (nonce == 0)
        if (!pg_strong_random(&nonce, sizeof nonce))
            ereport(ERROR,
                    (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    s->table = table;
    s->user = GetUserId();
    s->function = function;
    s->gathers = true;
    s->indexes_as_of = indexes_as_of;
    memset(s->nulls, 'n', sizeof s->nulls);
    s->values[SERIAL] = Int64GetDatum(serial);
    s->values[NONCE] = Int64GetDatum(nonce);
    s->nulls[SERIAL] = s->nulls[NONCE] = ' ';
    step = s;
}

/* ---- what others have committed ----------------------------------------------------------- */

/* The answer of newt.committed() and newt.commit(): an array of bigint. */
typedef struct answer {
    int64 tid;
    newt_pg_position newest; /* that the oids lead to */
    int64 follows;           /* 0: not from where the question stood, and there are none */
    int64 oids[FLEXIBLE_ARRAY_MEMBER]; /* and a 0 in the place of the session's own commit */
} answer;

enum {
    HEAD = offsetof(answer, oids) / sizeof(int64)
};

static ArrayType *
answer_of(const commit *own, const newt_pg_changes *c)
{
    int n = c->follows ? c->n : 0;
    Size size = ARR_OVERHEAD_NONULLS(1) + (HEAD + n) * sizeof(int64);
    ArrayType *out = palloc(size);
    answer *a = (answer *)((char *)out + ARR_OVERHEAD_NONULLS(1));

    *a = (answer){
        .tid = own->at.tid, .newest = c->follows ? c->at : own->at, .follows = c->follows};
    if (n > 0)
        memcpy(a->oids, c->oids, n * sizeof *a->oids);
    SET_VARSIZE(out, size);
    out->ndim = 1;
    out->dataoffset = 0;
    out->elemtype = INT8OID;
    ARR_DIMS(out)[0] = HEAD + n;
    ARR_LBOUND(out)[0] = 1;
    return out;
}

PG_FUNCTION_INFO_V1(newt_pg_committed);
Datum
newt_pg_committed(PG_FUNCTION_ARGS)
{
    newt_pg_changes c = {.at = last.at, .follows = true};

    if (PG_ARGISNULL(0) || last.at.tid == 0 || last.table != PG_GETARG_OID(0))
        PG_RETURN_NULL();
    if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2) &&
        (PG_GETARG_INT64(1) != last.before.tid || PG_GETARG_INT64(2) != last.before.serial)) {
        c.at = (newt_pg_position){PG_GETARG_INT64(1), PG_GETARG_INT64(2)};
        newt_pg_read_transactions(last.table, GetUserId(), last.at.serial, &c);
    }
    PG_RETURN_ARRAYTYPE_P(answer_of(&last, &c));
}

/* ---- all of a commit ---------------------------------------------------------------------- */

/* If its cache has stood still for some time, most of what others have done meanwhile is read
 * before others have to wait for it. */
static void
read_ahead(const struct step *s, newt_pg_changes *c)
{
    enum {
        SOME_TIME = 50 * 1000 /* microseconds, as tids are */
    };
    int64 now = GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

    if (now - c->at.tid < SOME_TIME)
        return;
    PushActiveSnapshot(GetTransactionSnapshot());
    newt_pg_read_transactions(s->table, s->user, DatumGetInt64(s->values[SERIAL]), c);
    PopActiveSnapshot();
}

PG_FUNCTION_INFO_V1(newt_pg_commit);
Datum
newt_pg_commit(PG_FUNCTION_ARGS)
{
    enum {
        TABLE,
        ZOIDS = 3,
        SERIALS,
        STATES,
        PROJECTED,
        CACHE_TID,
        CACHE_SERIAL
    };
    newt_pg_written w;
    newt_pg_changes c = {.follows = true};
    struct step s = {.user = GetUserId()};
    bool positioned = !PG_ARGISNULL(CACHE_TID) && !PG_ARGISNULL(CACHE_SERIAL);

    for (int i = 0; i <= PROJECTED; i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("argument %d of newt.commit() cannot be null", i + 1)));
    check_call("newt.commit()", PG_GETARG_OID(TABLE));
    /* what comes after it would hold the commit lock */
    if (IsTransactionBlock() || (MyXactFlags & XACT_FLAGS_PIPELINING))
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("newt.commit() must be a transaction of its own")));
    w = (newt_pg_written){.zoids = PG_GETARG_ARRAYTYPE_P(ZOIDS),
                          .serials = PG_GETARG_ARRAYTYPE_P(SERIALS),
                          .states = PG_GETARG_ARRAYTYPE_P(STATES),
                          .serial = PG_GETARG_INT64(SERIAL + 1),
                          .projected = PG_GETARG_BOOL(PROJECTED),
                          .function = "newt.commit()"};
    s.table = PG_GETARG_OID(TABLE);
    memset(s.nulls, 'n', sizeof s.nulls);
    s.values[SERIAL] = Int64GetDatum(w.serial);
    s.values[NONCE] = PG_GETARG_DATUM(NONCE + 1);
    s.values[WRITTEN] = PointerGetDatum(w.zoids);
    s.values[REMOVED] = PointerGetDatum(construct_empty_array(INT8OID));
    s.nulls[SERIAL] = s.nulls[NONCE] = s.nulls[WRITTEN] = s.nulls[REMOVED] = ' ';
    newt_pg_write_states(get_rel_namespace(s.table), &w);
    keep_tables(&s);
    if (positioned) {
        c.at = (newt_pg_position){PG_GETARG_INT64(CACHE_TID), PG_GETARG_INT64(CACHE_SERIAL)};
        read_ahead(&s, &c);
    }
    insert_row(&s, positioned ? &c : NULL);
    c.at = current.at;
    if (c.follows && c.n > 0)
        c.oids[c.n++] = 0; /* all others come before it */
    progress = INSERTED;
    MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
    PG_RETURN_ARRAYTYPE_P(answer_of(&current, &c));
}
