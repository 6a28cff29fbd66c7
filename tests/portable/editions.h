/*
 * editions.h - two databases of the same server: one has the extension, the other what
 * newt-portable.sql has made
 */
#ifndef NEWT_TESTS_PORTABLE_EDITIONS_H
#define NEWT_TESTS_PORTABLE_EDITIONS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

enum {
    EDITIONS = 2
};

static const char *const editions[EDITIONS] = {"extension", "portable"};

static void
run(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);

    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    PQclear(r);
}

/* The databases are called after the test. */
static void
connect_editions(PGconn **pg, const char *test)
{
    char command[512], uri[256];

    for (int i = 0; i < EDITIONS; i++) {
        snprintf(command, sizeof command, "createdb %s_%s", test, editions[i]);
        assert_int_equal(system(command), 0);
        snprintf(uri, sizeof uri, "dbname=%s_%s", test, editions[i]);
        pg[i] = PQconnectdb(uri);
        assert_int_equal(PQstatus(pg[i]), CONNECTION_OK);
        run(pg[i], "SET client_min_messages = error");
    }
    run(pg[0], "CREATE EXTENSION newt");
    snprintf(command, sizeof command, "psql -Xq -d %s_portable -f %s/sql/newt-portable.sql", test,
             getenv("NEWT_BUILD"));
    assert_int_equal(system(command), 0);
}

static int
disconnect_both(void **state)
{
    PGconn **pg = *state;

    for (int i = 0; i < EDITIONS; i++)
        PQfinish(pg[i]);
    return 0;
}

#endif
