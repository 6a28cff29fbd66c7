/*
 * copy.h - rows by COPY BINARY
 */
#ifndef NEWT_BENCH_COPY_H
#define NEWT_BENCH_COPY_H

#include "server.h"
#include "task_bytes.h"

static inline void
copy_begin(PGconn *pg, bytes *b, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    check(pg, PQresultStatus(r) == PGRES_COPY_IN, sql);
    PQclear(r);
    b->n = 0;
    put(b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
}

static inline void
copy_end(PGconn *pg, bytes *b)
{
    put_number(b, UINT16_MAX, 2);
    check(pg, PQputCopyData(pg, (char *)b->data, (int)b->n) == 1 && PQputCopyEnd(pg, NULL) == 1,
          "COPY");
    PGresult *r = PQgetResult(pg);
    check(pg, PQresultStatus(r) == PGRES_COMMAND_OK, "COPY");
    PQclear(r);
    check(pg, PQgetResult(pg) == NULL, "one result a COPY");
}

#endif
