/* updater.c - newt-updater does its work: exactly, in every mode, and says what it does */
#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "daemon.h"

#include <jansson.h>

enum {
    MANY = 20000,
    PER_TRANSACTION = 1000
};

/* ---- the work ------------------------------------------------------------------------- */

static void
drains_20000_objects(void **state)
{
    (void)state;
    char conninfo[64], text[65536];
    PGconn *pg = make_database("daemon_drain", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[PER_TRANSACTION];
    for (int i = 0; i < MANY; i += PER_TRANSACTION)
        make_items(c, refs, PER_TRANSACTION);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt"), 1);

    updater u;
    double start = now();
    updater_start(&u, "--once", "--log-format=json", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 0);
    printf("# %.0f objects/s\n", MANY / (now() - start));
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt"), MANY + 1);
    assert_exact(pg, "public");
    assert_int_equal(sql_number(pg, "SELECT tid FROM newt_follower WHERE name = 'newt-updater'"),
                     sql_number(pg, "SELECT max(tid) FROM transaction"));

    /* every line is an object; the last one counts the work */
    int lines = 0;
    json_t *last = NULL;
    updater_said(&u, text, sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        json_decref(last);
        last = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(last);
        assert_true(json_is_string(json_object_get(last, "time")));
        assert_string_equal(json_string_value(json_object_get(last, "level")), "info");
    }
    assert_int_equal(lines, 3); /* following, copied, done */
    assert_string_equal(json_string_value(json_object_get(last, "message")), "done");
    assert_int_equal(json_integer_value(json_object_get(last, "written")), MANY);
    assert_int_equal(json_integer_value(json_object_get(last, "behind_ms")), 0);
    json_decref(last);
    updater_forget(&u, false);

    /* nothing is left to do */
    updater_start(&u, "--once", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 0);
    assert_true(updater_says(&u, "done (transactions: 0, written: 0"));
    assert_false(updater_says(&u, "copied"));
    char place[64];
    snprintf(place, sizeof place, "position: %lld",
             (long long)sql_number(pg, "SELECT max(tid) FROM transaction"));
    updater_said(&u, text, sizeof text);
    assert_non_null(strstr(strstr(text, "done ("), place));
    updater_forget(&u, false);
    updater_start(&u, "--once", "--retry-rejects", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 0);
    updater_said(&u, text, sizeof text);
    assert_non_null(strstr(strstr(text, "rejects retried ("), place));
    assert_false(updater_says(&u, "position: 0"));
    updater_forget(&u, false);

    /* a new follower goes through all objects: what is missing or stale is written */
    sql_do(pg, "DELETE FROM newt_projection WHERE zoid %% 3 = 0;"
               "UPDATE newt_projection SET serial = 0, state = '{}' WHERE zoid %% 3 = 1;"
               "INSERT INTO newt_projection SELECT 10000000, 'Item', 1, '{}';"
               "DELETE FROM newt_follower");
    drain_with(conninfo, "public", "newt-updater");
    assert_exact(pg, "public");
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A small batch of a large transaction, several stores, several followers. */
static void
keeps_stores_and_followers_apart(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("daemon_stores", true, conninfo);
    static const char *const schemas[] = {"one", "Two \"quoted\""};
    static const char *const quoted[] = {"one", "\"Two \"\"quoted\"\"\""};
    item_ref refs[50];
    for (int i = 0; i < 2; i++) {
        make_store(conninfo, schemas[i]);
        newt_db *db = open_db(conninfo, schemas[i], true);
        newt_conn *c = open_conn(db);
        for (int k = 0; k < 5; k++)
            make_items(c, refs, 50 - i);
        newt_close(c);
        newt_db_close(db);
    }
    updater u;
    updater_start(&u, "--once", "-s", schemas[1], "-n", "it's", "-b", "7", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 0);
    updater_forget(&u, false);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM one.newt"), 1);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM %s.newt", quoted[1]), 5 * 49 + 1);
    assert_exact(pg, quoted[1]);
    assert_int_equal(
        sql_number(pg, "SELECT count(*) FROM %s.newt_follower WHERE name = 'it''s'", quoted[1]), 1);
    drain_with(conninfo, "one", "another");
    assert_exact(pg, "one");
    PQfinish(pg);
}

/* Nothing in the database but the store: the client computes, and the bytes are the server's. */
static void
needs_no_extension(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("daemon_plain", false, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[100];
    make_items(c, refs, 100);
    drain_with(conninfo, "public", "f");
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM pg_extension WHERE extname = 'newt'"), 0);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt"), 101);
    assert_exact(pg, "public");
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* Changes and removals by inline and async writers on the same objects, the updater beside them. */
static void
works_beside_inline_writers(void **state)
{
    (void)state;
    enum {
        OBJECTS = 40,
        ROUNDS = 300
    };
    char conninfo[64];
    PGconn *pg = make_database("daemon_mixed", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db[2] = {open_db(conninfo, NULL, false), open_db(conninfo, NULL, true)};
    newt_conn *c[2] = {open_conn(db[0]), open_conn(db[1])};
    item_ref refs[OBJECTS];
    make_items(c[0], refs, OBJECTS);
    updater u;
    updater_start(&u, "--interval=1", conninfo, NULL);
    for (int k = 0; k < ROUNDS; k++) {
        newt_conn *w = c[k * 7 / 3 % 2];
        int i = k * 13 % OBJECTS;
        assert_newt(w, newt_begin(w));
        struct item *o = item_write(w, refs[i]);
        if (!o) /* removed by the other */
            assert_int_equal(newt_status(w), NEWT_EMISSING);
        newt_abort(w);
        assert_newt(w, newt_begin(w));
        if (!o) { /* a new one in its place */
            o = item_new(w);
            assert_non_null(o);
            refs[i] = item_id(o);
            o->n = k;
        } else if (k % 11 == 0) {
            assert_newt(w, newt_delete(w, refs[i].any));
        } else {
            o = item_write(w, refs[i]);
            assert_non_null(o);
            o->n = k;
        }
        int rc = newt_commit(w);
        if (rc != NEWT_OK && !newt_is_retryable(newt_conn_error(w)))
            fail_msg("%s", newt_error_message(newt_conn_error(w)));
    }
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(sql_number(pg, "SELECT tid FROM newt_follower WHERE name = 'newt-updater'") >= last);
    assert_exact(pg, "public");
    updater_stop(&u);
    for (int i = 0; i < 2; i++) {
        newt_close(c[i]);
        newt_db_close(db[i]);
    }
    PQfinish(pg);
}

/* What JSON cannot show is listed, and forgotten when the object is written again. */
static void
lists_rejects(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("daemon_rejects", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    assert_newt(c, newt_begin(c));
    struct item *o = item_new(c);
    assert_non_null(o);
    item_ref ref = item_id(o);
    newt_text_setn(item_obj(o), &o->name, "a\0b", 3);
    newt_text *tags = newt_array_grow(item_obj(o), &o->tags, sizeof *tags, 2);
    assert_non_null(tags);
    newt_text_set(item_obj(o), &tags[0], "fine");
    newt_text_setn(item_obj(o), &tags[1], "\xff", 1);
    item_done(o);
    assert_newt(c, newt_commit(c));
    drain_with(conninfo, "public", "f");
    assert_exact(pg, "public");
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt_reject"), 2);
    assert_int_equal(sql_number(pg,
                                "SELECT count(*) FROM newt_reject"
                                " WHERE zoid = %lld AND reason = 'text'"
                                "   AND path IN ('{name}', '{tags,1}')"
                                "   AND tid = (SELECT max(tid) FROM transaction)",
                                (long long)ref.any.oid),
                     2);

    assert_newt(c, newt_begin(c));
    o = item_write(c, ref);
    assert_non_null(o);
    newt_set(o, name, "plain");
    newt_array_remove(item_obj(o), &o->tags, sizeof *tags, 1, 1);
    item_done(o);
    assert_newt(c, newt_commit(c));
    drain_with(conninfo, "public", "f");
    assert_exact(pg, "public");
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt_reject"), 0);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A record that is none has no row, and holds nobody up. */
static void
passes_over_damage(void **state)
{
    (void)state;
    char conninfo[64];
    for (int with_extension = 0; with_extension < 2; with_extension++) {
        PGconn *pg = make_database("daemon_damage", with_extension, conninfo);
        make_store(conninfo, "public");
        newt_db *db = open_db(conninfo, NULL, true);
        newt_conn *c = open_conn(db);
        item_ref refs[20];
        make_items(c, refs, 20);
        drain_with(conninfo, "public", "f");
        /* cut short, empty, no CBOR, and more of it after the end: written again and damaged */
        sql_do(pg,
               "UPDATE object_state o SET serial = 7, state = CASE zoid %% 4"
               " WHEN 0 THEN substr(state, 1, length(state) - 1) WHEN 1 THEN ''"
               " WHEN 2 THEN '\\xff' ELSE state || '\\x00' END WHERE o.zoid > %lld",
               (long long)refs[9].any.oid);
        sql_do(pg, "INSERT INTO transaction (tid, serial, nonce, written, removed)"
                   " SELECT (SELECT max(tid) + 1 FROM transaction), 7, 0, array_agg(zoid), '{}'"
                   "   FROM object_state WHERE serial = 7");
        make_items(c, refs, 20);
        drain_with(conninfo, "public", "f");
        assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt"), 1 + 10 + 20);
        sql_do(pg, "CREATE EXTENSION IF NOT EXISTS newt");
        assert_int_equal(sql_number(pg, "SELECT count(*) FROM object_state"
                                        " WHERE newt.try_to_jsonb(state) IS NULL"),
                         10);
        sql_do(pg, "DELETE FROM object_state WHERE newt.try_to_jsonb(state) IS NULL");
        assert_exact(pg, "public");
        newt_close(c);
        newt_db_close(db);
        PQfinish(pg);
    }
}

/* The rights that docs/operations.md grants are enough. */
static void
needs_few_rights(void **state)
{
    (void)state;
    char conninfo[64], as_role[96];
    for (int with_extension = 0; with_extension < 2; with_extension++) {
        PGconn *pg = make_database("daemon_rights", with_extension, conninfo);
        make_store(conninfo, "tracker");
        sql_do(pg, "DROP ROLE IF EXISTS daemon_updater; CREATE ROLE daemon_updater LOGIN");
        sql_do(pg, "GRANT USAGE ON SCHEMA tracker TO daemon_updater;"
                   "GRANT SELECT ON ALL TABLES IN SCHEMA tracker TO daemon_updater;"
                   "GRANT INSERT, UPDATE, DELETE ON tracker.newt_projection,"
                   " tracker.newt_reject_entry, tracker.newt_follower TO daemon_updater");
        newt_db *db = open_db(conninfo, "tracker", true);
        newt_conn *c = open_conn(db);
        item_ref refs[30];
        make_items(c, refs, 30);
        snprintf(as_role, sizeof as_role, "%s user=daemon_updater", conninfo);
        drain_with(as_role, "tracker", "f");
        /* changed, removed and with a reject: everything the updater may have to write */
        assert_newt(c, newt_begin(c));
        struct item *o = item_write(c, refs[0]);
        assert_non_null(o);
        newt_text_setn(item_obj(o), &o->name, "\0", 1);
        assert_newt(c, newt_delete(c, refs[1].any));
        assert_newt(c, newt_commit(c));
        drain_with(as_role, "tracker", "f");
        assert_int_equal(sql_number(pg, "SELECT count(*) FROM tracker.newt_reject"), 1);
        newt_close(c);
        newt_db_close(db);
        sql_do(pg, "DROP OWNED BY daemon_updater; DROP ROLE daemon_updater");
        assert_exact(pg, "tracker");
        PQfinish(pg);
    }
}

static void
shows_a_bar_on_a_terminal(void **state)
{
    (void)state;
    char conninfo[64], program[512], text[65536];
    size_t got = 0;
    int status;
    PGconn *pg = make_database("daemon_bar", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[100];
    make_items(c, refs, 100);
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    int other_end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(other_end >= 0);
    snprintf(program, sizeof program, "%s/newt-updater", getenv("NEWT_BUILD"));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(other_end, STDERR_FILENO);
        execl(program, "newt-updater", "--once", conninfo, (char *)NULL);
        _exit(127);
    }
    close(other_end);
    for (ssize_t n; (n = read(terminal, text + got, sizeof text - 1 - got)) > 0;)
        got += (size_t)n;
    text[got] = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "[########################################] 100 %  100 objects"));
    assert_non_null(strstr(text, "done ("));
    close(terminal);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- signals -------------------------------------------------------------------------- */

static void
obeys_signals(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("daemon_signals", true, conninfo);
    make_store(conninfo, "public");
    static const int stops[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        updater u;
        updater_start(&u, "--max-pause=600000", "--interval=60000", conninfo, NULL);
        wait_until(updater_says(&u, "following")); /* then it sleeps for a long time */
        kill(u.pid, stops[i]);
        double asked = now();
        assert_int_equal(updater_wait(&u), 0);
        assert_true(now() - asked < 50); /* not at the end of its sleep */
        assert_true(updater_says(&u, "stopped by a signal"));
        updater_forget(&u, false);
    }

    /* SIGHUP: a new connection, from a new look at service and password files */
    updater u;
    updater_start(&u, conninfo, NULL);
    wait_until(updater_says(&u, "following"));
    static const char pid_of[] = "SELECT min(pid) FROM pg_stat_activity"
                                 " WHERE application_name = 'newt-updater'"
                                 "   AND datname = current_database()";
    int64_t before = sql_number(pg, pid_of);
    assert_true(before > 0);
    kill(u.pid, SIGHUP);
    wait_until(sql_number(pg, pid_of) > 0 && sql_number(pg, pid_of) != before);
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[10];
    make_items(c, refs, 10);
    wait_until(sql_number(pg, "SELECT count(*) FROM newt") == 11);
    updater_stop(&u);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- errors --------------------------------------------------------------------------- */

static void
expect_exit(int status, const char *says, const char *const *arguments)
{
    updater u;
    updater_start(&u, arguments[0], arguments[0] ? arguments[1] : NULL,
                  arguments[0] && arguments[1] ? arguments[2] : NULL, NULL);
    int got = updater_wait(&u);
    if (got != status || !updater_says(&u, says))
        printf("# expected status %d and \"%s\", status is %d\n", status, says, got);
    updater_forget(&u, got != status);
    assert_int_equal(got, status);
}

static void
ends_where_waiting_cannot_help(void **state)
{
    (void)state;
    char conninfo[64], as_role[96];
    PGconn *pg = make_database("daemon_errors", true, conninfo);
    expect_exit(1, "NEWT_ESTORE", (const char *[]){conninfo, NULL});
    expect_exit(1, "NEWT_ESTORE", (const char *[]){"--schema", "nowhere", conninfo});

    make_store(conninfo, "public");
    sql_do(pg, "DROP ROLE IF EXISTS daemon_nobody; CREATE ROLE daemon_nobody LOGIN");
    snprintf(as_role, sizeof as_role, "%s user=daemon_nobody", conninfo);
    expect_exit(1, "42501", (const char *[]){as_role, NULL});

    sql_do(pg, "UPDATE newt_store SET version = 99");
    expect_exit(1, "NEWT_ESTORE", (const char *[]){conninfo, NULL});
    sql_do(pg, "DROP OWNED BY daemon_nobody; DROP ROLE daemon_nobody");

    expect_exit(3, "error", (const char *[]){"host=/nowhere dbname=newt", NULL});
    expect_exit(2, "whole number", (const char *[]){"--batch", "0", conninfo});
    expect_exit(2, "whole number", (const char *[]){"--interval", "10x", conninfo});
    expect_exit(2, "text or json", (const char *[]){"--log-format", "xml", conninfo});
    expect_exit(2, "too many arguments", (const char *[]){conninfo, conninfo, NULL});
    expect_exit(2, "--help", (const char *[]){"--no-such-option", NULL});
    expect_exit(0, "newt-updater (Newt) " NEWT_VERSION, (const char *[]){"--version", NULL});
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(drains_20000_objects), cmocka_unit_test(keeps_stores_and_followers_apart),
        cmocka_unit_test(needs_no_extension),   cmocka_unit_test(works_beside_inline_writers),
        cmocka_unit_test(lists_rejects),        cmocka_unit_test(passes_over_damage),
        cmocka_unit_test(needs_few_rights),     cmocka_unit_test(shows_a_bar_on_a_terminal),
        cmocka_unit_test(obeys_signals),        cmocka_unit_test(ends_where_waiting_cannot_help),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("updater", tests, NULL, NULL);
}
