/*
 * tasks.c - what newt-updater does beside following: missing rows, reprojection, workers,
 * notifications, retention, another configuration
 */
#include "daemon.h"

enum {
    N = 2000
};

typedef struct store {
    PGconn *pg;
    char conninfo[64];
    newt_db *db;
    newt_conn *c;
    item_ref refs[N];
} store;

static store s;

static void
open_store(const char *name, bool async)
{
    s.pg = make_database(name, true, s.conninfo);
    make_store(s.conninfo, "public");
    s.db = open_db(s.conninfo, NULL, async);
    s.c = open_conn(s.db);
}

static void
close_store(void)
{
    newt_close(s.c);
    newt_db_close(s.db);
    PQfinish(s.pg);
}

/* Runs it to its end; it must say something, and end with a status. */
static void
expect(int status, const char *says, const char *one, const char *two, const char *three)
{
    updater u;
    updater_start(&u, s.conninfo, one, two, three, NULL);
    int got = updater_wait(&u);
    bool said = updater_says(&u, says);
    updater_forget(&u, !said || got != status);
    assert_int_equal(got, status);
    assert_true(said);
}

static void
test_missing(void **state)
{
    (void)state;
    open_store("tasks_missing", true);
    make_items(s.c, s.refs, 100);
    drain_with(s.conninfo, "public", "newt-updater");
    sql_do(s.pg,
           "DELETE FROM newt_projection WHERE zoid %% 10 = 0;"
           "UPDATE newt_projection SET serial = 0, state = '{}' WHERE zoid %% 10 = 1 AND zoid > 1");
    expect(0, "missing: 10, stale: 10, wrong: 0, extra: 0, written: 0", "--compute-missing",
           "--dry-run", NULL);
    assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt_projection WHERE zoid %% 10 = 0"),
                     0);
    /* a class that there is not */
    expect(1, "there is no class \"item\" in this store", "--compute-missing", "--class=item",
           NULL);
    expect(1, "there is no class \"Other\"", "--check", "--class=Other", NULL);
    expect(1, "SELECT DISTINCT name FROM newt_class", "--reproject=Other", NULL, NULL);
    /* one that is not registered, and has objects */
    sql_do(s.pg, "DELETE FROM newt_class WHERE name = 'Item'");
    expect(4, "missing: 10", "--check", "--class=Item", NULL);
    expect(0, "missing rows computed", "--compute-missing", "--class=Item", "--batch=7");
    assert_exact(s.pg, "public");
    close_store();
}

/* All rows of a class are wrong; the new ones are seen all at once, also if two processes were
 * needed.
 */
static void
test_reproject(void **state)
{
    (void)state;
    updater u;
    open_store("tasks_reproject", true);
    make_items(s.c, s.refs, N);
    drain_with(s.conninfo, "public", "newt-updater");
    sql_do(s.pg,
           "UPDATE newt_projection SET state = '{\"wrong\": true}' WHERE class_name = 'Item'");
    static const char wrong[] = "SELECT count(*) FROM newt WHERE state ? 'wrong'";
    expect(0, "reprojected (", "--reproject=Item", "--dry-run", "--throttle=100");
    assert_int_equal(sql_number(s.pg, wrong), N);
    for (int k = 1; k < 4; k++) {
        updater_start(&u, s.conninfo, "--reproject=Item", "--throttle=5", "--batch=50", NULL);
        wait_until(sql_number(s.pg, "SELECT count(*) FROM newt_reprojected") >= 200 * k);
        kill(u.pid, SIGKILL);
        assert_int_equal(updater_wait(&u), 128 + SIGKILL);
        updater_forget(&u, false);
        assert_int_equal(sql_number(s.pg, wrong), N);
    }
    int64_t there = sql_number(s.pg, "SELECT count(*) FROM newt_reprojected");
    updater_start(&u, s.conninfo, "--reproject=Item", "--throttle=100", "--batch=50", NULL);
    while (kill(u.pid, 0) == 0 && waitpid(u.pid, NULL, WNOHANG) == 0) {
        int64_t n = sql_number(s.pg, wrong);
        assert_true(n == N || n == 0);
    }
    updater_forget(&u, false);
    assert_true(there >= 600);
    assert_exact(s.pg, "public");
    assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt_reprojected"), 0);
    close_store();
}

/* A batch that would take long is several transactions. */
static void
test_bounded(void **state)
{
    (void)state;
    updater u;
    open_store("tasks_bounded", true);
    drain_with(s.conninfo, "public", "newt-updater");
    /* 10 ms a row: 300 of them are three seconds */
    sql_do(s.pg, "CREATE TABLE seen (tx xid8);"
                 "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
                 "PERFORM pg_sleep(0.01); INSERT INTO public.seen VALUES (pg_current_xact_id()); "
                 "RETURN new; END';"
                 "CREATE TRIGGER slow BEFORE INSERT ON newt_projection "
                 "FOR EACH ROW EXECUTE FUNCTION slow()");
    updater_start(&u, s.conninfo, NULL);
    make_items(s.c, s.refs, 150);
    wait_until(sql_number(s.pg, "SELECT count(*) FROM seen") == 150);
    sql_do(s.pg, "TRUNCATE seen");
    make_items(s.c, s.refs, 300);
    wait_until(sql_number(s.pg, "SELECT count(*) FROM seen") == 300);
    assert_true(sql_number(s.pg, "SELECT count(DISTINCT tx) FROM seen") >= 2);
    updater_stop(&u);
    assert_exact(s.pg, "public");
    close_store();
}

/* A backlog over several connections at once, one of which is ended. */
static void
test_workers(void **state)
{
    (void)state;
    updater u;
    open_store("tasks_workers", true);
    for (int i = 0; i < 5; i++)
        make_items(s.c, s.refs, N);
    updater_start(&u, "--once", "--workers=4", "--batch=5000", s.conninfo, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    assert_exact(s.pg, "public");
    sql_do(s.pg, "DELETE FROM newt_projection; DELETE FROM newt_follower");
    updater_start(&u, "--workers=4", "--batch=500", s.conninfo, NULL);
    wait_until(updater_says(&u, "following"));
    /* in the middle, if that is not over already; never one alone, again and again: it would come
     * to nothing */
    wait_until(sql_number(s.pg,
                          "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid, count(*) OVER"
                          " () AS n FROM pg_stat_activity WHERE application_name = 'newt-updater'"
                          " AND state = 'active' AND datname = current_database() OFFSET 0) a"
                          " WHERE n >= 2") >= 2 ||
               sql_number(s.pg, "SELECT count(*) FROM newt") == 5 * N + 1);
    wait_until(sql_number(s.pg, "SELECT count(*) FROM newt") == 5 * N + 1);
    updater_stop(&u);
    assert_exact(s.pg, "public");
    close_store();
}

/* A part that fails, whichever it is: the position stays, and all of the batch comes again. */
static void
test_part_fails(void **state)
{
    (void)state;
    open_store("tasks_part", true);
    drain_with(s.conninfo, "public", "newt-updater");
    int64_t at = sql_number(s.pg, "SELECT tid FROM newt_follower");
    make_items(s.c, s.refs, 400);
    /* no error of a row: those are left out */
    sql_do(s.pg, "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE "
                 "''it fails'' USING ERRCODE = ''42883''; END'");
    for (int part = 0; part < 4; part++) {
        sql_do(s.pg,
               "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON newt_projection FOR EACH ROW "
               "WHEN (new.zoid = %lld) EXECUTE FUNCTION fails()",
               (long long)s.refs[100 * part + 50].any.oid);
        expect(1, "it fails", "--once", "--workers=4", NULL);
        assert_int_equal(sql_number(s.pg, "SELECT tid FROM newt_follower"), at);
        assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt_projection WHERE zoid = %lld",
                                    (long long)s.refs[100 * part + 50].any.oid),
                         0);
        sql_do(s.pg, "DELETE FROM newt_projection WHERE class_name = 'Item'");
    }
    sql_do(s.pg, "DROP TRIGGER fails ON newt_projection");
    expect(0, "done", "--once", "--workers=4", NULL);
    assert_exact(s.pg, "public");
    close_store();
}

/* ---- notifications ----------------------------------------------------------------------- */

static int
notifications(PGconn *pg, char *payload, size_t n)
{
    int count = 0;
    sql_do(pg, "SELECT 1"); /* what was sent before is here then */
    for (PGnotify *p; (p = PQnotifies(pg)) != NULL; PQfreemem(p), count++) {
        assert_string_equal(p->relname, "newt");
        snprintf(payload, n, "%s", p->extra);
    }
    return count;
}

static void
test_notifies(void **state)
{
    (void)state;
    char payload[100] = "", expected[100];
    open_store("tasks_notify", true);
    sql_do(s.pg, "LISTEN newt");
    drain_with(s.conninfo, "public", "newt-updater");
    (void)notifications(s.pg, payload, sizeof payload);
    for (int i = 0; i < 5; i++)
        make_items(s.c, s.refs, 10);
    drain_with(s.conninfo, "public", "newt-updater");
    assert_int_equal(notifications(s.pg, payload, sizeof payload), 1); /* one batch */
    snprintf(expected, sizeof expected, "public %lld",
             (long long)sql_number(s.pg, "SELECT max(tid) FROM transaction"));
    assert_string_equal(payload, expected);
    /* an inline writer has done it all */
    newt_db *db = open_db(s.conninfo, NULL, false);
    newt_conn *c = open_conn(db);
    make_items(c, s.refs, 10);
    newt_close(c);
    newt_db_close(db);
    drain_with(s.conninfo, "public", "newt-updater");
    assert_int_equal(notifications(s.pg, payload, sizeof payload), 0);
    close_store();
}

/* ---- retention --------------------------------------------------------------------------- */

/* Transactions of the last minutes stay in any case. */
static void
make_old(void)
{
    sql_do(s.pg, "UPDATE transaction SET tid = tid - 3600000000;"
                 "UPDATE newt_follower SET tid = tid - 3600000000");
}

static void
test_retention(void **state)
{
    (void)state;
    static const char kept[] = "SELECT count(*) FROM transaction";
    updater u;
    open_store("tasks_retention", true);
    sql_do(s.pg, "UPDATE newt_store SET keep_age = '0', keep_rows = 5");
    for (int i = 0; i < 40; i++)
        make_items(s.c, s.refs, 1);
    expect(0, "done", "--once", "--no-retention", NULL);
    make_old();
    expect(0, "done", "--once", "--no-retention", NULL);
    assert_int_equal(sql_number(s.pg, kept), 41);
    expect(0, "done", "--once", NULL, NULL);
    assert_true(sql_number(s.pg, kept) <= 5);
    /* while it follows */
    for (int i = 0; i < 40; i++)
        make_items(s.c, s.refs, 1);
    expect(0, "done", "--once", "--no-retention", NULL);
    make_old();
    updater_start(&u, s.conninfo, NULL);
    wait_until(sql_number(s.pg, kept) <= 5);
    updater_stop(&u);
    assert_exact(s.pg, "public");
    close_store();
}

/* ---- another configuration --------------------------------------------------------------- */

static void
put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void
test_reload(void **state)
{
    (void)state;
    char path[] = "/tmp/newt-conf.XXXXXX", option[64], text[256];
    updater u;
    close(mkstemp(path));
    open_store("tasks_reload", true);
    make_store(s.conninfo, "other");
    snprintf(option, sizeof option, "--config=%s", path);
    snprintf(text, sizeof text, "connection = %s\nlog-format = text\n", s.conninfo);
    put_file(path, text);
    updater_start(&u, option, NULL);
    wait_until(updater_says(&u, "schema: public"));
    put_file(path, "no sense\n");
    kill(u.pid, SIGHUP);
    wait_until(updater_says(&u, "the configuration was not taken"));
    assert_true(updater_says(&u, "line 1"));
    make_items(s.c, s.refs, 10); /* it goes on as before */
    wait_until(sql_number(s.pg, "SELECT count(*) FROM newt") == 11);
    snprintf(text, sizeof text, "connection = %s\nlog-format = json\nschema = other\n", s.conninfo);
    put_file(path, text);
    kill(u.pid, SIGHUP);
    wait_until(updater_says(&u, "\"schema\": \"other\""));
    updater_stop(&u);
    unlink(path);
    close_store();
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_reproject),
        cmocka_unit_test(test_bounded),    cmocka_unit_test(test_workers),
        cmocka_unit_test(test_part_fails), cmocka_unit_test(test_notifies),
        cmocka_unit_test(test_retention),  cmocka_unit_test(test_reload),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
