/*
 * daemon.h - what the updater's tests share: databases, SQL, the updater as a process, writers
 *
 * Every test has a database of its own in the private server, so that a follower, a store and a
 * checker see nothing of the others. Runs inside dev/private-server; NEWT_BUILD says where the
 * updater is.
 */
#ifndef NEWT_TESTS_DAEMON_H
#define NEWT_TESTS_DAEMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../bridge/newtdb.h"

#define UNUSED __attribute__((unused))

enum { /* for any condition that is waited for */
    PATIENCE_S = 120,
    SOAK_PATIENCE_S = 1800
};

/* ---- time ----------------------------------------------------------------------------- */

UNUSED static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

UNUSED static void
pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* What is waited for must come within these seconds. */
UNUSED static int
patience(void)
{
    return getenv("NEWT_SOAK") ? SOAK_PATIENCE_S : PATIENCE_S;
}

/* Waits for a condition, looking at it again and again. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        double until_ = now() + patience();                                                        \
        while (!(condition)) {                                                                     \
            if (now() > until_)                                                                    \
                fail_msg("still not so after %d s: %s", patience(), #condition);                   \
            pause_ms(5);                                                                           \
        }                                                                                          \
    } while (0)

/* ---- SQL ------------------------------------------------------------------------------ */

UNUSED static PGconn *
sql_open(const char *database)
{
    char conninfo[128];
    snprintf(conninfo, sizeof conninfo, "dbname=%s", database);
    PGconn *pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(pg));
    /* what the tests themselves want, on a server with other defaults (tests/hostile-server) */
    PQclear(PQexec(pg, "SET client_min_messages = warning; SET search_path = public; "
                       "SET default_transaction_read_only = off; SET idle_session_timeout = 0; "
                       "SET default_transaction_isolation = 'read committed'; SET jit = off; "
                       "SET bytea_output = hex; SET standard_conforming_strings = on"));
    return pg;
}

UNUSED static PGresult *
sql_result(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    return r;
}

UNUSED __attribute__((format(printf, 2, 3))) static void
sql_do(PGconn *pg, const char *format, ...)
{
    char sql[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    PQclear(sql_result(pg, sql));
}

/* The one number that a query gives; 0 for no row or NULL. */
UNUSED __attribute__((format(printf, 2, 3))) static int64_t
sql_number(PGconn *pg, const char *format, ...)
{
    char sql[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    PGresult *r = sql_result(pg, sql);
    int64_t x = PQntuples(r) ? atoll(PQgetvalue(r, 0, 0)) : 0;
    PQclear(r);
    return x;
}

/* A new database; its connection string in conninfo, which newt_store_create and the updater take.
 */
UNUSED static PGconn *
make_database(const char *name, bool with_extension, char conninfo[64])
{
    PGconn *pg = sql_open("newt");
    sql_do(pg, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    sql_do(pg, "CREATE DATABASE %s", name);
    PQfinish(pg);
    snprintf(conninfo, 64, "dbname=%s", name);
    pg = sql_open(name);
    if (with_extension)
        sql_do(pg, "CREATE EXTENSION newt");
    return pg;
}

UNUSED static void
make_store(const char *conninfo, const char *schema)
{
    newt_error *e = NULL;
    if (newt_store_create(conninfo, schema, &e) != NEWT_OK)
        fail_msg("%s", newt_error_message(e));
    newt_error_free(e);
}

/*
 * The projection is exact: a row for every projected object and no other, of its serial and class,
 * and byte for byte the jsonb that newt.to_jsonb gives of the record. The number of rows that are
 * not; the first of them are shown.
 */
UNUSED static int64_t
inexact(PGconn *pg, const char *schema)
{
    char sql[2048];
    sql_do(pg, "CREATE EXTENSION IF NOT EXISTS newt");
    snprintf(sql, sizeof sql,
             "SELECT zoid, o.serial, p.serial, encode(o.state, 'hex'), p.state,"
             "       newt.to_jsonb(o.state), count(*) OVER ()"
             "  FROM %s.object_state o FULL JOIN %s.newt_projection p USING (zoid)"
             " WHERE CASE WHEN o.zoid IS NULL THEN true"
             "            WHEN newt.to_jsonb(o.state) IS NULL THEN p.zoid IS NOT NULL"
             "            WHEN p.zoid IS NULL THEN true"
             "            ELSE o.serial <> p.serial OR newt.class_name(o.state) <> p.class_name"
             "              OR NOT record_image_eq(ROW(newt.to_jsonb(o.state)), ROW(p.state)) END"
             " ORDER BY zoid LIMIT 3",
             schema, schema);
    PGresult *r = sql_result(pg, sql);
    int64_t n = PQntuples(r) ? atoll(PQgetvalue(r, 0, 6)) : 0;
    for (int i = 0; i < PQntuples(r); i++)
        printf("# object %s: serial %s, row of serial %s; record %s; row %s; expected %s\n",
               PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), PQgetvalue(r, i, 3),
               PQgetvalue(r, i, 4), PQgetvalue(r, i, 5));
    PQclear(r);
    return n;
}

/* The rejects of the projected objects are those that newt.rejects lists: the number that are not.
 */
UNUSED static int64_t
wrong_rejects(PGconn *pg, const char *schema)
{
    return sql_number(pg,
                      "WITH kept AS (SELECT zoid, path, reason FROM %s.newt_reject),"
                      " right_ones AS (SELECT o.zoid, r.path, r.reason FROM %s.object_state o,"
                      "    newt.rejects(o.state) r WHERE newt.to_jsonb(o.state) IS NOT NULL)"
                      " SELECT (SELECT count(*) FROM (TABLE kept EXCEPT ALL TABLE right_ones) a)"
                      "      + (SELECT count(*) FROM (TABLE right_ones EXCEPT ALL TABLE kept) b)",
                      schema, schema);
}

#define assert_exact(pg, schema) assert_int_equal(inexact(pg, schema), 0)

/* A verb of dev/private-server. */
UNUSED static void
control_server(const char *verb)
{
    char command[512];
    const char *program = getenv("NEWT_PGCTL");
    if (!program)
        fail_msg("run this in dev/private-server");
    snprintf(command, sizeof command, "'%s' %s </dev/null", program, verb);
    assert_int_equal(system(command), 0);
}

/* ---- the updater ---------------------------------------------------------------------- */

typedef struct updater {
    pid_t pid;
    char log[64]; /* its stderr */
} updater;

enum {
    MAX_ARGUMENTS = 16
};

/* Starts newt-updater with these arguments, up to a NULL. */
UNUSED static void
updater_start(updater *u, ...)
{
    char program[512];
    const char *build = getenv("NEWT_BUILD"), *argv[MAX_ARGUMENTS + 2] = {"newt-updater"};
    va_list args;
    int n = 1;
    va_start(args, u);
    while (n <= MAX_ARGUMENTS && (argv[n] = va_arg(args, const char *)) != NULL)
        n++;
    va_end(args);
    snprintf(program, sizeof program, "%s/newt-updater", build ? build : "build");
    strcpy(u->log, "/tmp/newt-updater-log.XXXXXX");
    int fd = mkstemp(u->log);
    assert_true(fd >= 0);
    u->pid = fork();
    assert_true(u->pid >= 0);
    if (u->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        signal(SIGHUP,
               SIG_DFL); /* the tests may run under nohup, which the updater would respect */
        dup2(fd, STDERR_FILENO);
        dup2(fd, STDOUT_FILENO);
        execv(program, (char **)(uintptr_t)argv);
        _exit(127);
    }
    close(fd);
}

/* What it has said so far, in a buffer of the caller. */
UNUSED static const char *
updater_said(const updater *u, char *out, size_t n)
{
    int fd = open(u->log, O_RDONLY);
    size_t got = 0;
    for (ssize_t r = 1; fd >= 0 && r > 0 && got + 1 < n; got += r > 0 ? (size_t)r : 0)
        r = read(fd, out + got, n - 1 - got);
    if (fd >= 0)
        close(fd);
    out[got] = 0;
    return out;
}

UNUSED static bool
updater_says(const updater *u, const char *what)
{
    char text[65536];
    return strstr(updater_said(u, text, sizeof text), what) != NULL;
}

/* Its exit status, 128 + the signal that ended it. */
UNUSED static int
updater_wait(updater *u)
{
    int status;
    double until = now() + patience();
    while (waitpid(u->pid, &status, WNOHANG) == 0) {
        if (now() > until) {
            kill(u->pid, SIGKILL);
            fail_msg("the updater does not end");
        }
        pause_ms(2);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* After updater_wait: what it said goes to the test's output if it is of interest, and away. */
UNUSED static void
updater_forget(updater *u, bool show)
{
    char text[65536];
    if (show)
        for (char *line = strtok((char *)(uintptr_t)updater_said(u, text, sizeof text), "\n"); line;
             line = strtok(NULL, "\n"))
            printf("# updater: %s\n", line);
    unlink(u->log);
}

/* Ends it as the service manager would. */
UNUSED static void
updater_stop(updater *u)
{
    kill(u->pid, SIGTERM);
    int status = updater_wait(u);
    updater_forget(u, status != 0);
    assert_int_equal(status, 0);
}

/* Everything that is committed is projected when this returns. */
UNUSED static void
drain_with(const char *conninfo, const char *schema, const char *name)
{
    updater u;
    updater_start(&u, "--once", "--schema", schema, "--name", name, conninfo, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
}

/* ---- objects -------------------------------------------------------------------------- */

struct item;
NEWT_DECLARE(item);
struct item {
    newt_text name;
    int64_t n;
    NEWT_ARRAY(newt_text) tags;
    item_ref next;
};
NEWT_CLASS(item, "Item", 1, NULL, NEWT_FIELD(struct item, name), NEWT_FIELD(struct item, n),
           NEWT_LIST(struct item, tags), NEWT_REF(struct item, next, item));

UNUSED static newt_db *
open_db(const char *conninfo, const char *schema, bool async)
{
    static const newt_class *const classes[] = {&item_class, NULL};
    newt_options options = {.size = sizeof options, .schema = schema, .no_inline = async};
    newt_db *db = NULL;
    if (newt_db_open(&db, conninfo, classes, &options) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_db_error(db)));
    return db;
}

UNUSED static newt_conn *
open_conn(newt_db *db)
{
    newt_conn *c = NULL;
    if (newt_connect(db, &c) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(c)));
    return c;
}

#define assert_newt(c, call)                                                                       \
    do {                                                                                           \
        if ((call) != NEWT_OK)                                                                     \
            fail_msg("%s: %s", #call, newt_error_message(newt_conn_error(c)));                     \
    } while (0)

/* n items in one transaction, chained; their references in refs. */
UNUSED static void
make_items(newt_conn *c, item_ref *refs, int n)
{
    assert_newt(c, newt_begin(c));
    for (int i = 0; i < n; i++) {
        char name[32];
        struct item *o = item_new(c);
        assert_non_null(o);
        snprintf(name, sizeof name, "item %d", i);
        newt_set(o, name, name);
        o->n = i;
        if (i > 0)
            o->next = refs[i - 1];
        refs[i] = item_id(o);
        item_done(o);
    }
    assert_newt(c, newt_commit(c));
}

#endif
