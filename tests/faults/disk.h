/*
 * disk.h - a disk that the server can fill, for the tablespace newt_small
 *
 * Comes after daemon.h or server.h, whose sql_do it uses.
 */
#ifndef NEWT_TESTS_DISK_H
#define NEWT_TESTS_DISK_H

#include <sys/mount.h>
#include <sys/stat.h>

static char small[64];

/* A file system of some megabytes that the server may use; only root can make it. */
static bool
make_disk(void)
{
    char options[64];
    struct stat st;
    const char *data = getenv("NEWT_PGDATA");
    strcpy(small, "/tmp/newt-small.XXXXXX");
    if (!mkdtemp(small) || !data || stat(data, &st) != 0)
        return false;
    snprintf(options, sizeof options, "size=4m,mode=700,uid=%ld,gid=%ld", (long)st.st_uid,
             (long)st.st_gid);
    if (mount("newt", small, "tmpfs", 0, options) == 0)
        return true;
    rmdir(small);
    *small = 0;
    return false;
}

/* With the database that has something on it. */
static void
remove_disk(const char *database)
{
    char sql[128];

    if (*small) {
        PGconn *pg = PQconnectdb("dbname=newt options='-c default_transaction_read_only=off'");

        snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", database);
        PQclear(PQexec(pg, sql));
        PQclear(PQexec(pg, "DROP TABLESPACE IF EXISTS newt_small"));
        PQfinish(pg);
        umount2(small, MNT_DETACH);
        rmdir(small);
        *small = 0;
    }
}

/* To the last page: the table filler is dropped to have room again. */
static void
fill_disk(PGconn *pg)
{
    const char *state = "";
    PGresult *r = NULL;
    sql_do(pg, "CREATE TABLE filler (x text) TABLESPACE newt_small;"
               "ALTER TABLE filler ALTER x SET STORAGE plain");
    for (int n = 500; n > 0; n /= 2)
        do {
            char sql[128];
            PQclear(r);
            snprintf(sql, sizeof sql,
                     "INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, %d)", n);
            r = PQexec(pg, sql);
            state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        } while (PQresultStatus(r) == PGRES_COMMAND_OK);
    assert_string_equal(state, "53100");
    PQclear(r);
}

#endif
