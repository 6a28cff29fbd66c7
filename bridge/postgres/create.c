/*
 * create.c - the making of a store, an explicit act
 */
#include "session.h"
#include "store_sql.h"

#include <stdlib.h>
#include <string.h>

static int
execute(PGconn *pg, const char *sql, newt_error *e)
{
    PGresult *r = PQexec(pg, sql);
    int rc = NEWT_OK;

    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        rc = newt__fail_sql(e, pg, r, NULL);
    PQclear(r);
    return rc;
}

/* Parameters and results as text; NULL: it failed, and e says why. */
static PGresult *
ask(PGconn *pg, newt_error *e, const char *sql, int n, const char *const *params)
{
    PGresult *r = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);

    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    newt__fail_sql(e, pg, r, NULL);
    PQclear(r);
    return NULL;
}

static int
create_store(PGconn *pg, const char *schema, newt_error *e)
{
    const char *params[1] = {schema};
    char *quoted = PQescapeIdentifier(pg, schema, strlen(schema)), *sql = NULL;
    PGresult *r;
    bool there, store;
    int rc;

    if (!quoted)
        return newt__fail_sql(e, pg, NULL, NULL);
    rc = execute(pg, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", e);
    if (rc != NEWT_OK)
        goto out;
    /* one maker at a time, so that the second finds the first one's store */
    r = ask(pg, e,
            "SELECT pg_advisory_xact_lock(hashtextextended('newt store ' || $1, 0)), "
            "EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)",
            1, params);
    if (!r) {
        rc = e->status;
        goto out;
    }
    there = *PQgetvalue(r, 0, 1) == 't';
    PQclear(r);
    r = ask(pg, e,
            "SELECT EXISTS (SELECT FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace "
            "WHERE n.nspname = $1 AND k.relname = 'newt_store')",
            1, params);
    if (!r) {
        rc = e->status;
        goto out;
    }
    store = *PQgetvalue(r, 0, 0) == 't';
    PQclear(r);
    if (store) {
        rc = newt__fail(e, NEWT_ESTORE, 0, "there is a Newt store in schema \"%s\" already",
                        schema);
        goto out;
    }
    sql = newt__sql_expand(there ? newt__store_sql : "CREATE SCHEMA @store@", quoted);
    if (!sql)
        rc = newt__fail_memory(e);
    else
        rc = execute(pg, sql, e);
    if (rc == NEWT_OK && !there) {
        free(sql);
        sql = newt__sql_expand(newt__store_sql, quoted);
        rc = sql ? execute(pg, sql, e) : newt__fail_memory(e);
    }
    if (rc == NEWT_OK)
        rc = execute(pg, "COMMIT", e);
out:
    PQfreemem(quoted);
    free(sql);
    return rc;
}

static void
no_notices(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

int
newt__postgres_create(const char *uri, const char *schema, newt_error *e)
{
    PGconn *pg = newt__connect_to(uri, 0);
    int rc = newt__check_server(pg, e);

    if (rc == NEWT_OK) {
        PQsetNoticeReceiver(pg, no_notices, NULL);
        rc = create_store(pg, schema, e);
    }
    PQfinish(pg); /* rolls back what has not been committed */
    return rc;
}
