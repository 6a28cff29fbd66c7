/*
 * database.c - a transaction of another database as a resource: PREPARE TRANSACTION
 */
#include "joining.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct database {
    PGconn *pg;
    char name[NEWT_RESOURCES_NAME]; /* prepared under this; or "" */
} database;

/* name: of the library's making: letters, digits and "-". */
static int
run(PGconn *pg, const char *verb, const char *name)
{
    char sql[NEWT_RESOURCES_NAME + 40];
    PGresult *r;
    int status;

    snprintf(sql, sizeof sql, *name ? "%s '%s'" : "%s", verb, name);
    r = PQexec(pg, sql);
    /* of a transaction that has failed, PREPARE TRANSACTION is a ROLLBACK */
    status = PQresultStatus(r) == PGRES_COMMAND_OK && strncmp(PQcmdStatus(r), verb, 6) == 0
                 ? NEWT_OK
                 : NEWT_ESQL;
    PQclear(r);
    return status;
}

static int
prepare(void *arg, const char *name)
{
    database *d = arg;
    int status = run(d->pg, "PREPARE TRANSACTION", name);

    if (status == NEWT_OK)
        snprintf(d->name, sizeof d->name, "%s", name);
    return status;
}

static int
commit(void *arg)
{
    database *d = arg;
    int status = run(d->pg, "COMMIT PREPARED", d->name);

    free(d);
    return status;
}

/* If the server is not there, it is rolled back by itself, or by database_recover(). */
static void
abort_(void *arg)
{
    database *d = arg;

    (void)run(d->pg, *d->name ? "ROLLBACK PREPARED" : "ROLLBACK", d->name);
    free(d);
}

static int
at_savepoint(const database *d, const char *verb, int64_t savepoint)
{
    char sql[64];
    PGresult *r;
    int status;

    snprintf(sql, sizeof sql, "%s newt_%lld", verb, (long long)savepoint);
    r = PQexec(d->pg, sql);
    status = PQresultStatus(r) == PGRES_COMMAND_OK ? NEWT_OK : NEWT_ESQL;
    PQclear(r);
    return status;
}

static int
savepoint(void *arg, int64_t number)
{
    return at_savepoint(arg, "SAVEPOINT", number);
}

static int
rollback(void *arg, int64_t number)
{
    return at_savepoint(arg, "ROLLBACK TO SAVEPOINT", number);
}

int
database_join(newt_conn *c, PGconn *pg)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = PQhost(pg) ? PQhost(pg) : "",
                       .prepare = prepare,
                       .commit = commit,
                       .abort = abort_,
                       .leave = free,
                       .savepoint = savepoint,
                       .rollback = rollback};
    database *d = calloc(1, sizeof *d);
    int status;

    if (!d)
        return NEWT_ENOMEM;
    d->pg = pg;
    r.arg = d;
    status = run(pg, "BEGIN", "");
    if (status == NEWT_OK) {
        status = newt_join(c, &r);
        if (status != NEWT_OK)
            (void)run(pg, "ROLLBACK", "");
    }
    if (status != NEWT_OK)
        free(d);
    return status;
}

int
database_recover(newt_conn *c, PGconn *pg, int *settled)
{
    PGresult *r = PQexec(pg, "SELECT gid FROM pg_prepared_xacts WHERE database = "
                             "current_database() AND gid ~ '^newt-[0-9a-f-]+$'");
    int status = PQresultStatus(r) == PGRES_TUPLES_OK ? NEWT_OK : NEWT_ESQL;

    *settled = 0;
    for (int i = 0; status == NEWT_OK && i < PQntuples(r); i++) {
        const char *name = PQgetvalue(r, i, 0);
        bool committed;

        status = newt_was_committed(c, name, &committed);
        if (status == NEWT_OK)
            status = run(pg, committed ? "COMMIT PREPARED" : "ROLLBACK PREPARED", name);
        *settled += status == NEWT_OK;
    }
    PQclear(r);
    return status;
}
