/*
 * commit.c - the last step of a commit within the server's own COMMIT
 *
 * newt.at_commit() keeps the transaction's row until the transaction commits. Then, before it does,
 * the commit lock is taken and the row inserted with its tid; the commit does not wait for the
 * disk; and the lock goes with the transaction. So the lock is never held while the server waits
 * for a message, for the disk, or for a standby. newt.barrier() then waits for those.
 */
#include "newt_pg.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

void _PG_init(void);

enum {
    SERIAL,
    NONCE,
    WRITTEN,
    REMOVED,
    USERNAME,
    DESCRIPTION,
    EXTENSION,
    N_VALUES
};

static const Oid types[N_VALUES] = {
    [SERIAL] = INT8OID,       [NONCE] = INT8OID,    [WRITTEN] = INT8ARRAYOID,
    [REMOVED] = INT8ARRAYOID, [USERNAME] = TEXTOID, [DESCRIPTION] = TEXTOID,
    [EXTENSION] = TEXTOID,
};

/* What the transaction is to do at its end; in TopTransactionContext, NULL: nothing. */
static struct step {
    Oid table; /* transaction, of some store */
    Oid user;  /* who asked for it: the row is inserted with these rights */
    Datum values[N_VALUES];
    char nulls[N_VALUES];
} * step;

static int64 last_tid; /* of this session's last commit by newt.at_commit(); 0: none */

/* Plans of the store used last: of this table, when its schema had this name. */
static Oid planned;
static NameData planned_schema;
static SPIPlanPtr plan;

/* ---- at commit ---------------------------------------------------------------------------- */

/* The same statements as in bridge/store.c, for clients that do without this function. */
static void
prepare(Oid table, const char *name)
{
    const char *schema = quote_identifier(name);
    SPIPlanPtr fresh = SPI_prepare(
        psprintf("LOCK TABLE %s.newt_commit_lock IN EXCLUSIVE MODE; "
                 "INSERT INTO %s.transaction "
                 "(tid, serial, nonce, written, removed, username, description, extension) "
                 "VALUES (greatest((SELECT pg_catalog.max(tid) FROM %s.transaction) "
                 "OPERATOR(pg_catalog.+) 1, (pg_catalog.date_part('epoch', "
                 "pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000)"
                 "::pg_catalog.int8), $1, $2, $3, $4, coalesce($5, CURRENT_USER), $6, "
                 "$7::pg_catalog.jsonb) RETURNING tid",
                 schema, schema, schema),
        N_VALUES, (Oid *)types);

    if (!fresh)
        elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    if (SPI_keepplan(fresh) != 0)
        elog(ERROR, "SPI_keepplan failed");
    if (plan)
        SPI_freeplan(plan);
    plan = fresh;
    planned = table;
    namestrcpy(&planned_schema, name);
}

static void
insert_row(struct step *s)
{
    char *schema = get_namespace_name(get_rel_namespace(s->table));
    bool isnull;
    Oid user;
    int context;

    if (!schema)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("the store of newt.at_commit() was dropped")));
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(s->user, context | SECURITY_LOCAL_USERID_CHANGE);
    PushActiveSnapshot(GetTransactionSnapshot()); /* SPI wants one around it */
    SPI_connect();
    if (planned != s->table || strcmp(NameStr(planned_schema), schema) != 0)
        prepare(s->table, schema);
    /* each of the two has a snapshot of its own: the second sees all that the lock was waited for
     */
    if (SPI_execute_plan(plan, s->values, s->nulls, false, 0) != SPI_OK_INSERT_RETURNING ||
        SPI_processed != 1)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the transaction's row was not inserted"),
                        errdetail("A rule or a trigger stands in the way.")));
    last_tid = DatumGetInt64(
        SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
    SPI_finish();
    PopActiveSnapshot();
    SetUserIdAndSecContext(user, context); /* after an error the abort does it */
}

static void
on_transaction(XactEvent event, void *arg)
{
    struct step *s = step;

    if (!s)
        return;
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        /* first of all: an error leads to the abort of a transaction that has none */
        step = NULL;
        insert_row(s);
        set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                          true, 0, false);
        break;
    case XACT_EVENT_PRE_PREPARE:
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot prepare a transaction that called newt.at_commit()")));
        break;
    default: step = NULL; break;
    }
}

void
_PG_init(void)
{
    RegisterXactCallback(on_transaction, NULL);
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
    for (int i = 0; i < N_VALUES; i++) {
        bool by_value = types[i] == INT8OID;

        s->nulls[i] = PG_ARGISNULL(i + 1) ? 'n' : ' ';
        s->values[i] = PG_ARGISNULL(i + 1) ? (Datum)0
                       : by_value          ? PG_GETARG_DATUM(i + 1)
                                  : PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(i + 1)));
    }
    MemoryContextSwitchTo(outer);
    step = s;
    PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(newt_pg_barrier);
Datum
newt_pg_barrier(PG_FUNCTION_ARGS)
{
    /* the commit of a transaction that writes, as when sequences were asked, waits for it all */
    if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF && XactLastCommitEnd != 0 &&
        !TransactionIdIsValid(GetTopTransactionIdIfAny())) {
        XLogFlush(XactLastCommitEnd);
        HOLD_INTERRUPTS();
        SyncRepWaitForLSN(XactLastCommitEnd, true);
        RESUME_INTERRUPTS();
    }
    if (last_tid == 0)
        PG_RETURN_NULL();
    PG_RETURN_INT64(last_tid);
}
