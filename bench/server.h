/*
 * server.h - the limit's talk with the server: a failure ends the program
 */
#ifndef NEWT_BENCH_SERVER_H
#define NEWT_BENCH_SERVER_H

#include "workload.h"

#include <libpq-fe.h>

static inline void
check(PGconn *pg, bool fine, const char *what)
{
    if (!fine)
        give_up(what, PQerrorMessage(pg));
}

static inline PGconn *
dial(const char *schema)
{
    char sql[256];
    PGconn *pg = PQconnectdb("");
    check(pg, PQstatus(pg) == CONNECTION_OK, "connect");
    snprintf(sql, sizeof sql, "SET search_path = \"%s\"", schema);
    PQclear(PQexec(pg, sql));
    return pg;
}

static inline void
run(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(r);
    check(pg, status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, sql);
    PQclear(r);
}

static inline void
prepare(PGconn *pg, const char *name, const char *sql)
{
    PGresult *r = PQprepare(pg, name, sql, 0, NULL);
    check(pg, PQresultStatus(r) == PGRES_COMMAND_OK, sql);
    PQclear(r);
}

typedef struct parameter {
    const void *data;
    size_t n;
} parameter;

/* As libpq wants them. */
typedef struct arguments {
    const char *values[8];
    int lengths[8], formats[8];
} arguments;

static inline arguments
arguments_of(int n, const parameter *p)
{
    arguments a;
    for (int i = 0; i < n; i++) {
        a.values[i] = p[i].data;
        a.lengths[i] = (int)p[i].n;
        a.formats[i] = 1;
    }
    return a;
}

static inline void
queue(PGconn *pg, const char *name, int n, const parameter *p)
{
    arguments a = arguments_of(n, p);
    check(pg, PQsendQueryPrepared(pg, name, n, a.values, a.lengths, a.formats, 1), name);
}

static inline void
queue_unprepared(PGconn *pg, const char *sql, int n, const Oid *types, const parameter *p)
{
    arguments a = arguments_of(n, p);
    check(pg, PQsendQueryParams(pg, sql, n, types, a.values, a.lengths, a.formats, 1), sql);
}

/* The next result of a pipeline: its number of rows, or of rows written. */
static inline int64_t
collect(PGconn *pg, ExecStatusType want)
{
    PGresult *r = PQgetResult(pg);
    check(pg, PQresultStatus(r) == want, "result");
    int64_t n = want == PGRES_COMMAND_OK ? atoll(PQcmdTuples(r)) : PQntuples(r);
    PQclear(r);
    if (want != PGRES_PIPELINE_SYNC)
        check(pg, PQgetResult(pg) == NULL, "one result a statement");
    return n;
}

static inline PGresult *
fetch(PGconn *pg, const char *name, const void *data, size_t n)
{
    const char *value = data;
    int length = (int)n, format = 1;
    PGresult *r = PQexecPrepared(pg, name, 1, &value, &length, &format, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK, name);
    return r;
}

static inline int64_t
wal_position(PGconn *pg)
{
    PGresult *r = PQexec(pg, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK, "WAL position");
    int64_t at = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    return at;
}

#endif
