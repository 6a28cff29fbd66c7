/*
 * server.h - what the tests of the library share that need a store
 *
 * Every test has a store of its own, in a schema of its own, so that tests run side by side. Runs
 * inside dev/private-server; with NEWT_TEST_STORAGE=memory the stores are in memory, with sqlite in
 * files of SQLite's, and there is no server. Then store.pg is NULL, and what is asked of it in SQL
 * is passed over. So it is with layers: layer over a store in memory, layers over such a layer,
 * layer-sqlite over a file, layer-server over PostgreSQL, all in memory; and layer-stored, in
 * PostgreSQL over a store in memory.
 */
#ifndef NEWT_TESTS_SERVER_H
#define NEWT_TESTS_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include "../../bridge/newtdb.h"

#define UNUSED __attribute__((unused))

enum {
    PATIENCE_S = 60 /* for anything that is waited for */
};

/* ---- the classes of the tests --------------------------------------------------------- */

struct item;
NEWT_DECLARE(item);
struct item {
    newt_text name;
    int64_t n;
    item_ref next;
};
#ifndef ITEM_FLAGS
#    define ITEM_FLAGS 0
#endif
NEWT_CLASS_AS(item, "Item", 1, NULL, ITEM_FLAGS, NEWT_FIELD(struct item, name),
              NEWT_FIELD(struct item, n), NEWT_REF(struct item, next, item));

UNUSED static const newt_class *const classes[] = {&item_class, NULL};

/* ---- databases ------------------------------------------------------------------------ */

/* Where the tests connect to: the private server's database, or what use_database has made. */
static char test_uri[256], test_database[64];

/* Which storage the tests are run on; "": PostgreSQL. */
UNUSED static const char *
storage_name(void)
{
    const char *name = getenv("NEWT_TEST_STORAGE");

    return name ? name : "";
}

UNUSED static bool
on_layer(void)
{
    return strstr(storage_name(), "layer") != NULL;
}

UNUSED static bool
on_storage(const char *name)
{
    return strcmp(*storage_name() ? storage_name() : "server", name) == 0;
}
/* In the place of the extension there is the portable edition. */
UNUSED static bool
on_portable(void)
{
    const char *kind = getenv("NEWT_TEST_KIND");

    return kind && strcmp(kind, "portable") == 0;
}
#define on_sqlite() on_storage("sqlite")
#define on_server() on_storage("server")
/* What is written is in memory. */
#define on_memory()                                                                                \
    (on_storage("memory") ||                                                                       \
     (on_layer() && !on_storage("layer-stored") && !on_storage("layer-file")))

/* There is a server, perhaps under a layer. */
UNUSED static bool
over_server(void)
{
    return on_server() || on_storage("layer-server");
}

/* Of a test that is about one storage. */
#define needs_storage(name)                                                                        \
    do {                                                                                           \
        if (!on_storage(name))                                                                     \
            skip();                                                                                \
    } while (0)
#define needs_server() needs_storage("server")

/* Where stores are created; a layer over them is not. */
UNUSED static const char *
base_uri(void)
{
    if (!over_server())
        return "memory:tests";
    return *test_uri ? test_uri : getenv("NEWT_URI");
}

UNUSED static const char *
uri(void)
{
    static char layer[512];

    if (!on_layer())
        return base_uri();
    if (strcmp(storage_name(), "layer-stored") == 0)
        snprintf(layer, sizeof layer, "demo:(%s)(%s)", base_uri(), getenv("NEWT_URI"));
    else
        snprintf(layer, sizeof layer,
                 strcmp(storage_name(), "layers") == 0
                     ? "demo:(demo:(%s)(memory:below))(memory:layer)"
                     : "demo:(%s)(memory:layer)",
                 base_uri());
    return layer;
}

/* ---- files of SQLite's ---------------------------------------------------------------- */

/* A directory for them, which goes when the program ends. */
static char test_files[64];
static pid_t test_files_maker;

static void
files_remove(void)
{
    char command[128];

    if (getpid() != test_files_maker) /* a child */
        return;
    snprintf(command, sizeof command, "rm -rf '%s'", test_files);
    if (system(command) != 0)
        print_message("# %s is left\n", test_files);
}

UNUSED static const char *
files(void)
{

    if (!*test_files) {
        strcpy(test_files, "/tmp/newt-files.XXXXXX");
        assert_non_null(mkdtemp(test_files));
        test_files_maker = getpid();
        atexit(files_remove);
    }
    return test_files;
}

/* What a statement gives in a file, malloc'ed: the first field of the first row; "" for none. */
UNUSED static char *
file_text(const char *path, const char *sql)
{
    sqlite3_stmt *s;
    sqlite3 *db;
    char *text;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_S * 1000);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    text = strdup(sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0)
                      ? (const char *)sqlite3_column_text(s, 0)
                      : "");
    if (sqlite3_finalize(s) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return text;
}

#define assert_file(path, expected, sql)                                                           \
    do {                                                                                           \
        char *got_ = file_text(path, sql);                                                         \
        assert_string_equal(got_, expected);                                                       \
        free(got_);                                                                                \
    } while (0)

/* SQLite finds no fault in the file; every row of the projection is of its record, every record of
 * a transaction, and the transactions are in one order. */
UNUSED static void
assert_sound(const char *path)
{
    assert_file(path, "ok", "PRAGMA integrity_check");
    assert_file(path, "0",
                "SELECT count(*) FROM newt_projection p LEFT JOIN object_state o "
                "ON o.zoid = p.zoid WHERE o.serial IS NOT p.serial");
    assert_file(path, "0", "SELECT count(*) FROM newt WHERE NOT json_valid(state)");
    assert_file(path, "0",
                "SELECT count(*) FROM object_state o LEFT JOIN \"transaction\" t "
                "ON t.serial = o.serial WHERE t.tid IS NULL");
    assert_file(path, "0",
                "SELECT count(*) FROM object_state WHERE zoid >= (SELECT next_oid FROM newt_store) "
                "AND zoid < 1 << 52"); /* from there on they are of layers */
}

/* ---- SQL ------------------------------------------------------------------------------ */

UNUSED static PGconn *
sql_open(void)
{
    PGconn *pg = PQconnectdb(base_uri());

    if (PQstatus(pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(pg));
    /* what the tests themselves want, on a server with other defaults (tests/hostile-server) */
    PQclear(PQexec(pg, "SET client_min_messages = warning; SET search_path = public; "
                       "SET default_transaction_read_only = off; SET idle_session_timeout = 0; "
                       "SET default_transaction_isolation = 'read committed'; SET jit = off; "
                       "SET bytea_output = hex; SET standard_conforming_strings = on"));
    return pg;
}

/* What a statement gives, malloc'ed: the first field of the first row; "" for none. */
UNUSED static char *sql_text(PGconn *pg, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
UNUSED static char *
sql_text(PGconn *pg, const char *format, ...)
{
    char sql[4096], *text;
    PGresult *r;
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(sql, sizeof sql, format, args) < (int)sizeof sql);
    va_end(args);
    r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    text = strdup(PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return text;
}

#define sql_do(pg, ...) free(sql_text(pg, __VA_ARGS__))

UNUSED static int64_t
sql_int_(char *text)
{
    int64_t x = strtoll(text, NULL, 10);

    free(text);
    return x;
}
#define sql_int(pg, ...) sql_int_(sql_text(pg, __VA_ARGS__))

#define assert_sql(pg, expected, ...)                                                              \
    do {                                                                                           \
        char *got_ = (pg) ? sql_text(pg, __VA_ARGS__) : strdup(expected);                          \
        assert_string_equal(got_, expected);                                                       \
        free(got_);                                                                                \
    } while (0)

/* A verb of dev/private-server. */
UNUSED static void
server_do(const char *verb)
{
    char command[512];

    snprintf(command, sizeof command, "\"$NEWT_PGCTL\" %s", verb);
    fflush(stdout); /* for those that go on as processes of their own */
    assert_int_equal(system(command), 0);
}

/* Whether a commit waits for a standby now. A session may see the setting before the checkpointer,
 * which is the process that makes commits wait, has seen it; so a commit is made, and looked at. */
UNUSED static bool
commits_wait(PGconn *pg)
{
    PGconn *probe = sql_open();
    int pid = PQbackendPID(probe);
    bool waits = false;

    sql_do(probe, "SET client_min_messages = error");
    assert_int_equal(PQsendQuery(probe, "SELECT pg_logical_emit_message(true, 'probe', '')"), 1);
    while (!waits && PQconsumeInput(probe) && PQisBusy(probe))
        waits = sql_int(pg,
                        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity "
                        "WHERE pid = %d AND wait_event = 'SyncRep'",
                        pid) == 1;
    for (PGresult *r; (r = PQgetResult(probe));) /* it is not seen waiting any more */
        PQclear(r);
    PQfinish(probe);
    return waits;
}

/* Every commit of the server waits for a standby of this name; for none, with "". */
UNUSED static void
synchronous_standby(PGconn *pg, const char *name)
{
    time_t until = time(NULL) + PATIENCE_S;

    sql_do(pg, "SET synchronous_commit = local");
    sql_do(pg, "ALTER SYSTEM SET synchronous_standby_names = '%s'", name);
    sql_do(pg, "SELECT pg_reload_conf()");
    while (commits_wait(pg) != (*name != 0))
        assert_true(time(NULL) < until);
}

/* From now on tests use a database of their own, made at its first use, with or without the
 * extension. */
UNUSED static void
use_database(bool extension)
{
    static bool made[2];
    char *name = test_database;
    PGconn *pg;

    if (!over_server())
        return;
    *test_uri = 0;
    snprintf(name, sizeof test_database, "%s_%d", extension ? "with" : "without", (int)getpid());
    if (!made[extension]) {
        pg = sql_open();
        sql_do(pg, "CREATE DATABASE %s", name);
        PQfinish(pg);
    }
    snprintf(test_uri, sizeof test_uri, "postgresql:///%s?host=%s&port=%s&user=%s", name,
             getenv("PGHOST"), getenv("PGPORT"), getenv("PGUSER"));
    if (!made[extension] && extension && on_portable()) {
        char command[512];

        snprintf(command, sizeof command, "psql -Xq -d %s -f %s/sql/newt-portable.sql", name,
                 getenv("NEWT_BUILD"));
        assert_int_equal(system(command), 0);
    } else if (!made[extension] && extension) {
        pg = sql_open();
        sql_do(pg, "CREATE EXTENSION newt");
        PQfinish(pg);
    }
    made[extension] = true;
}

/* ---- a store and its database --------------------------------------------------------- */

typedef struct store {
    char schema[64];
    char file[160]; /* "": it is not in one */
    char uri[512];
    PGconn *pg; /* its search path is the schema */
    newt_db *db;
    newt_conn *a, *b;
} store;

UNUSED static void
fail_error(const char *what, const newt_error *e)
{
    fail_msg("%s: %s (%s) %s %s", what, newt_error_message(e),
             newt_status_text(newt_error_status(e)), newt_error_detail(e), newt_error_hint(e));
}

/* As newt_options.schema: a store in SQLite has none. */
UNUSED static const char *
store_schema(const store *s)
{
    return *s->file ? NULL : s->schema;
}

/* A new store of this name, without a database opened on it. */
UNUSED static void
store_make(store *s, const char *name)
{
    static int number;
    char below[512] = ""; /* what is to be created */
    newt_error *e = NULL;

    *s = (store){0};
    snprintf(s->schema, sizeof s->schema, "%s_%d_%d", name, (int)getpid(), ++number);
    if (on_storage("layer-file")) {
        snprintf(s->file, sizeof s->file, "%s/%s.newt", files(), s->schema);
        snprintf(below, sizeof below, "sqlite:%s?synchronous=off", s->file);
        snprintf(s->uri, sizeof s->uri, "demo:(memory:%s)(%s)", s->schema, below);
    } else if (on_sqlite() || on_storage("layer-sqlite")) {
        snprintf(s->file, sizeof s->file, "%s/%s.newt", files(), s->schema);
        snprintf(s->uri, sizeof s->uri, "sqlite:%s?synchronous=off", s->file);
    } else {
        snprintf(s->uri, sizeof s->uri, "%s", uri());
    }
    if (!*below)
        snprintf(below, sizeof below, "%s", on_layer() && !*s->file ? base_uri() : s->uri);
    if (newt_store_create(below, store_schema(s), &e) != NEWT_OK)
        fail_error("newt_store_create", e);
    newt_error_free(e);
    if (on_storage("layer-sqlite"))
        snprintf(s->uri, sizeof s->uri, "demo:(sqlite:%s?synchronous=off)(memory:%s)", s->file,
                 s->schema);
    if (strcmp(storage_name(), "layer-stored") == 0) {
        if (newt_store_create(getenv("NEWT_URI"), s->schema, &e) != NEWT_OK)
            fail_error("newt_store_create", e);
        newt_error_free(e);
    }
    if (!on_server())
        return;
    s->pg = sql_open();
    sql_do(s->pg, "SET search_path = %s, public", s->schema);
}

UNUSED static newt_db *
store_db(const store *s, const newt_class *const *list, newt_options o)
{
    newt_db *db;

    o.size = sizeof o;
    o.schema = store_schema(s);
    if (newt_db_open(&db, s->uri, list, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    return db;
}

UNUSED static newt_conn *
connect_(newt_db *db)
{
    newt_conn *c;

    if (newt_connect(db, &c) != NEWT_OK)
        fail_error("newt_connect", newt_conn_error(c));
    return c;
}

/* A store with a database of the test classes and two connections. */
UNUSED static void
store_open_as(store *s, const char *name, newt_options o)
{
    store_make(s, name);
    s->db = store_db(s, classes, o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

UNUSED static void
store_open(store *s, const char *name)
{
    store_open_as(s, name, (newt_options){0});
}

UNUSED static void
store_close(store *s)
{
    newt_close(s->a);
    newt_close(s->b);
    newt_db_close(s->db);
    PQfinish(s->pg);
    if (*s->file)
        assert_sound(s->file);
}

/* ---- shorthand ------------------------------------------------------------------------ */

#define ok(c, call)                                                                                \
    do {                                                                                           \
        if ((call) != NEWT_OK)                                                                     \
            fail_error(#call, newt_conn_error(c));                                                 \
    } while (0)
#define begin(c)  ok(c, newt_begin(c))
#define commit(c) ok(c, newt_commit(c))

UNUSED static struct item *
new_item(newt_conn *c, const char *name, int64_t n)
{
    struct item *i = item_new(c);

    if (!i)
        fail_error("item_new", newt_conn_error(c));
    newt_set(i, name, name);
    i->n = n;
    return i;
}

/* One object, committed. */
UNUSED static item_ref
make_item(newt_conn *c, const char *name, int64_t n)
{
    item_ref r;

    begin(c);
    r = item_id(new_item(c, name, n));
    commit(c);
    return r;
}

UNUSED static int64_t
read_n(newt_conn *c, item_ref r)
{
    const struct item *i = item_read(c, r);

    if (!i)
        fail_error("item_read", newt_conn_error(c));
    item_done(i);
    return i->n;
}

UNUSED static void
write_n(newt_conn *c, item_ref r, int64_t n)
{
    struct item *i = item_write(c, r);

    if (!i)
        fail_error("item_write", newt_conn_error(c));
    i->n = n;
    item_done(i);
}

UNUSED static newt_stats
stats_of(const newt_conn *c)
{
    newt_stats s = {.size = sizeof s};

    newt_conn_stats(c, &s);
    return s;
}

UNUSED static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Begins without asking the server, as it does when the cache was confirmed a moment ago. On a busy
 * machine that moment may have been too long; then the begin itself has confirmed it. */
UNUSED static void
begin_alone(newt_conn *c)
{
    int64_t asked;

    do {
        newt_abort(c);
        asked = stats_of(c).round_trips;
        begin(c);
    } while (stats_of(c).round_trips != asked);
}

/* The round trips of a connection since it had these figures. Elsewhere there are others, or none.
 */
#define assert_round_trips(c, before, n)                                                           \
    assert_int_equal(!on_server() ? (n) : stats_of(c).round_trips - (before).round_trips, n)

/* Waits for a condition, looking at it again and again. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        double until_ = now() + PATIENCE_S;                                                        \
        while (!(condition)) {                                                                     \
            struct timespec little_ = {0, 2000000};                                                \
            if (now() > until_)                                                                    \
                fail_msg("still not so after %d s: %s", PATIENCE_S, #condition);                   \
            nanosleep(&little_, NULL);                                                             \
        }                                                                                          \
    } while (0)

/* A test that runs without the extension, and with it, runs once where there is no server. */
UNUSED static bool
is_twin(const struct CMUnitTest *t)
{
    static const char end[] = "_extension";
    size_t n = strlen(t->name);

    return t->setup_func && n > sizeof end && strcmp(t->name + n + 1 - sizeof end, end) == 0;
}

UNUSED static int
run_all_(const struct CMUnitTest *tests, size_t n, const char *name)
{
    bool server = over_server() || on_storage("layer-stored");
    struct CMUnitTest *those = malloc(n * sizeof *those);
    size_t kept = 0;
    int failed;

    assert_non_null(those);
    for (size_t i = 0; i < n; i++)
        if (server || !is_twin(&tests[i]))
            those[kept++] = tests[i];
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (getenv("NEWT_TEST"))
        cmocka_set_test_filter(getenv("NEWT_TEST"));
    failed = _cmocka_run_group_tests(name, those, kept, NULL, NULL);
    free(those);
    return failed;
}
#define run_all(tests) run_all_(tests, sizeof(tests) / sizeof *(tests), #tests)

#endif
