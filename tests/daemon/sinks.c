/*
 * sinks.c - both sinks under fire: killed at every step between fetch and commit while writers
 * work, positions that are lost, servers that crash, rows and lines that were tampered with
 *
 * NEWT_SEED replays what is random; NEWT_SOAK has more rounds.
 */
#include "outputs.h"

/* Everything that is committed is in the file when this returns. */
static void
drain_lines(const char *conninfo, const char *option)
{
    updater u;
    updater_start(&u, "--once", "--sink=ndjson", output_option, conninfo, option, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
}

/* The exit status of a check; what it says must have `says` in it. */
static int
check(const char *conninfo, const char *says, const char *option, const char *more)
{
    updater u;
    updater_start(&u, "--check", conninfo, option, more, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, says);
    updater_forget(&u, !said);
    assert_true(said);
    return status;
}

/* ---- kills ----------------------------------------------------------------------------- */

static void
killed_at_every_step(const char *database, bool lines)
{
    static const char *const steps[] = {"fetch", "write", "apply", "sync", "commit", "committed"};
    int rounds = getenv("NEWT_SOAK") ? 20 : 2;
    char conninfo[64], fault[32];
    generate random;
    generate_init(&random, seed);
    PGconn *pg = make_database(database, true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    crowd_wait(&all, 20);
    for (int k = 0; k < rounds; k++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            /* a batch is written at once, unless it is large, or several work at it */
            bool parts = strcmp(steps[i], "write") == 0;
            if (parts && lines)
                continue;
            updater u;
            snprintf(fault, sizeof fault, "%s:%d", steps[i],
                     1 + (int)generate_below(&random, parts ? 2 : 8));
            setenv("NEWT_UPDATER_FAULT", fault, 1);
            if (parts) /* all objects again, in parts */
                sql_do(
                    pg,
                    "DELETE FROM newt_follower; DELETE FROM newt_projection WHERE zoid %% 3 = 0");
            if (lines)
                updater_start(&u, "--interval=1", "--sink=ndjson", output_option,
                              generate_below(&random, 2) ? "--batch=3" : "--batch=50", conninfo,
                              NULL);
            else
                updater_start(&u, "--interval=1", "--workers=3", conninfo,
                              generate_below(&random, 2) && !parts ? "--batch=3" : "--batch=1000",
                              NULL);
            if (parts) { /* perhaps there are too few objects for parts */
                wait_until(position(pg, "newt-updater") > 0 || kill(u.pid, 0) != 0);
                kill(u.pid, SIGKILL);
            }
            int status = updater_wait(&u);
            updater_forget(&u, status != 128 + SIGKILL);
            assert_int_equal(status, 128 + SIGKILL);
        }
    crowd_stop(&all);
    unsetenv("NEWT_UPDATER_FAULT");
    printf("# %ld transactions\n", atomic_load(&all.committed));
    if (lines) {
        drain_lines(conninfo, NULL);
        load_lines(pg, output, true);
        assert_lines(pg);
        assert_int_equal(
            sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'copy-begin'"), 1);
        assert_int_equal(check(conninfo, "checked (", "--sink=ndjson", output_option), 0);
    } else {
        drain_with(conninfo, "public", "newt-updater");
        assert_exact(pg, "public");
        assert_int_equal(check(conninfo, "checked (", NULL, NULL), 0);
    }
    PQfinish(pg);
}

static void
test_projection_killed(void **state)
{
    (void)state;
    killed_at_every_step("sinks_projection", false);
}

static void
test_lines_killed(void **state)
{
    (void)state;
    killed_at_every_step("sinks_lines", true);
}

/* Many objects in one transaction: it comes in parts, and is whole or not there. */
static void
test_large_transaction_killed(void **state)
{
    (void)state;
    enum {
        N = 12000
    };
    static const char *const faults[] = {"fetch:7", "apply:12", "committed:20", "write:1"};
    static item_ref refs[N];
    char conninfo[64];
    PGconn *pg = make_database("sinks_large", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 10);
    drain_lines(conninfo, NULL);
    make_items(c, refs, N);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        updater u;
        setenv("NEWT_UPDATER_FAULT", faults[i], 1);
        /* write: one batch of more than a megabyte */
        updater_start(&u, "--once", "--sink=ndjson", output_option,
                      strcmp(faults[i], "write:1") == 0 ? "--batch=100000" : "--batch=500",
                      conninfo, NULL);
        int status = updater_wait(&u);
        updater_forget(&u, false);
        assert_true(status == 128 + SIGKILL || (strcmp(faults[i], "write:1") == 0 && status == 0));
    }
    unsetenv("NEWT_UPDATER_FAULT");
    drain_lines(conninfo, "--batch=77");
    load_lines(pg, output, true);
    assert_lines(pg);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A transaction that took its serial first commits last: it is followed last. */
static void
test_serials_out_of_order(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("sinks_order", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *first = open_conn(db), *second = open_conn(db);
    item_ref r1[1], r2[1];
    make_items(first, r1, 1); /* takes a block of serials, then the other */
    make_items(second, r2, 1);
    drain_lines(conninfo, NULL);
    for (int k = 0; k < 5; k++) {
        assert_newt(second, newt_begin(second));
        struct item *o = item_write(second, r2[0]);
        assert_non_null(o);
        o->n = 100 + k;
        assert_newt(second, newt_commit(second));
        drain_lines(conninfo, NULL);
        assert_newt(first, newt_begin(first));
        o = item_write(first, r1[0]);
        assert_non_null(o);
        o->n = k;
        assert_newt(first, newt_commit(first));
        drain_lines(conninfo, NULL);
    }
    assert_true(sql_number(pg,
                           "SELECT count(*) FROM (SELECT serial, lag(serial) OVER (ORDER BY tid)"
                           " AS before FROM transaction) x WHERE serial < before") > 3);
    load_lines(pg, output, true);
    assert_lines(pg);
    newt_close(first);
    newt_close(second);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- a position that is lost ------------------------------------------------------------- */

static void
test_starts_over(void **state)
{
    (void)state;
    char conninfo[64];
    item_ref refs[50];
    updater u;
    PGconn *pg = make_database("sinks_lost", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 50);
    drain_lines(conninfo, NULL);
    drain_with(conninfo, "public", "newt-updater");
    /* what the followers have not seen goes */
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_delete(c, refs[49].any));
    assert_newt(c, newt_commit(c));
    make_items(c, refs, 10);
    make_items(c, refs, 1);
    sql_do(pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    for (int lines = 0; lines < 2; lines++) {
        updater_start(&u, "--once", lines ? "--sink=ndjson" : "--sink=projection",
                      lines ? output_option : "--batch=7", conninfo, NULL);
        int status = updater_wait(&u);
        bool said = updater_says(&u, "NEWT_EMISSING") && updater_says(&u, "starting over");
        updater_forget(&u, !said);
        assert_int_equal(status, 0);
        assert_true(said);
    }
    assert_exact(pg, "public");
    load_lines(pg, output, true);
    assert_int_equal(wrong_states(pg), 0);
    assert_int_equal(
        sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'copy-begin'"), 2);
    assert_int_equal(check(conninfo, "checked (", "--sink=ndjson", output_option), 0);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- crashes of the server --------------------------------------------------------------- */

/* Nothing is in the file that a crash has taken back. */
static void
test_server_crashes(void **state)
{
    (void)state;
    char conninfo[64];
    updater u;
    int rounds = getenv("NEWT_SOAK") ? 10 : 2;
    PGconn *pg = make_database("sinks_crash", true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    updater_start(&u, "--interval=1", "--sink=ndjson", output_option, conninfo, NULL);
    for (int k = 0; k < rounds; k++) {
        int64_t at = position(pg, "newt-ndjson");
        wait_until(position(pg, "newt-ndjson") > at + 1000 || !crowd_well(&all));
        PQfinish(pg);
        control_server("crash");
        wait_until(updater_says(&u, "retry_in_ms"));
        control_server("start");
        pg = sql_open("sinks_crash");
    }
    crowd_wait(&all, 20);
    crowd_stop(&all);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg, "newt-ndjson") >= last);
    updater_stop(&u);
    load_lines(pg, output, true);
    assert_lines(pg);
    PQfinish(pg);
}

/* ---- names --------------------------------------------------------------------------------- */

/* A follower's name is for one sink: another one under that name ends, and the first goes on. */
static void
test_name_of_another_sink(void **state)
{
    (void)state;
    char conninfo[64], text[65536];
    updater u;
    PGconn *pg = make_database("sinks_name", true, conninfo);
    make_store(conninfo, "public");
    drain_with(conninfo, "public", "newt-updater");
    for (int once = 0; once < 2; once++) {
        updater_start(&u, "--sink=ndjson", "--name=newt-updater", output_option, conninfo,
                      once ? "--once" : NULL, NULL);
        int status = updater_wait(&u);
        updater_said(&u, text, sizeof text);
        bool said = strstr(text, " error: ") && strstr(text, "projection") &&
                    strstr(text, "ndjson");
        updater_forget(&u, status != 1 || !said);
        assert_int_equal(status, 1);
        assert_true(said);
    }
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt_follower WHERE kind = 'projection'"),
                     1);
    drain_with(conninfo, "public", "newt-updater");
    PQfinish(pg);
}

/* ---- what --check finds ------------------------------------------------------------------ */

static void
test_check_finds(void **state)
{
    (void)state;
    char conninfo[64], text[4096], command[256];
    item_ref refs[20];
    updater u;
    PGconn *pg = make_database("sinks_check", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 20);
    drain_with(conninfo, "public", "newt-updater");
    drain_lines(conninfo, NULL);
    assert_int_equal(check(conninfo, "objects: 21", NULL, NULL), 0);
    sql_do(pg, "UPDATE newt_projection SET state = state || '{\"n\": 77}' WHERE zoid = %lld",
           (long long)refs[3].any.oid);
    snprintf(text, sizeof text, "%lld", (long long)refs[3].any.oid);
    assert_int_equal(check(conninfo, text, NULL, NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 1", NULL, NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 1", "--class=Item", NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 0", "--class=newt.Root", NULL), 0);
    sql_do(pg, "DELETE FROM newt_projection WHERE zoid = %lld", (long long)refs[4].any.oid);
    assert_int_equal(check(conninfo, "missing: 1", NULL, NULL), 4);
    /* a class that there is not */
    assert_int_equal(check(conninfo, "there is no class \"item\"", "--class=item", NULL), 1);
    updater_start(&u, "--check", "--sink=ndjson", output_option, "--class=item", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 1);
    assert_true(updater_says(&u, "there is no class \"item\""));
    assert_true(updater_says(&u, "checked (objects: 0, "));
    updater_forget(&u, false);
    /* a line, and a later change that is no difference */
    assert_int_equal(check(conninfo, "wrong: 0", "--sink=ndjson", output_option), 0);
    assert_newt(c, newt_begin(c));
    struct item *o = item_write(c, refs[5]);
    assert_non_null(o);
    o->n = 1000;
    assert_newt(c, newt_commit(c));
    assert_int_equal(check(conninfo, "changed_later: 1", "--sink=ndjson", output_option), 0);
    snprintf(command, sizeof command, "sed -i 's/\"item 7\"/\"item 8\"/' %s", output);
    assert_int_equal(system(command), 0);
    assert_int_equal(check(conninfo, "wrong: 1", "--sink=ndjson", output_option), 4);
    snprintf(command, sizeof command, "sed -i '/\"oid\":%lld,/d' %s", (long long)refs[9].any.oid,
             output);
    assert_int_equal(system(command), 0);
    assert_int_equal(check(conninfo, "missing: 1", "--sink=ndjson", output_option), 4);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A copy that was interrupted, and whose file was renamed then, goes on in the next file: both are
 * one copy. */
static void
test_check_of_a_copy_in_two_files(void **state)
{
    (void)state;
    enum {
        N = 60
    };
    char conninfo[64], moved[80], moved_option[96];
    item_ref refs[N];
    updater u;
    PGconn *pg = make_database("sinks_two_files", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    snprintf(moved, sizeof moved, "%s.1", output);
    snprintf(moved_option, sizeof moved_option, "--output=%s", moved);
    make_items(c, refs, N);
    setenv("NEWT_UPDATER_FAULT", "committed:3", 1);
    updater_start(&u, "--once", "--sink=ndjson", "--batch=10", output_option, conninfo, NULL);
    assert_int_equal(updater_wait(&u), 128 + SIGKILL);
    updater_forget(&u, false);
    unsetenv("NEWT_UPDATER_FAULT");
    assert_int_equal(rename(output, moved), 0);
    drain_lines(conninfo, "--batch=10");
    load_lines(pg, output, true);
    assert_true(sql_number(pg, "SELECT line->>'up_to' FROM lines"
                               " WHERE line->>'type' = 'copy-begin'") > 1);
    updater_start(&u, "--check", "--sink=ndjson", moved_option, output_option, conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "checked (objects: 61, missing: 0, wrong: 0, extra: 0");
    updater_forget(&u, status != 0 || !said);
    assert_int_equal(status, 0);
    assert_true(said);
    /* the second alone is a part */
    assert_int_equal(
        check(conninfo, "only the objects in them were compared", "--sink=ndjson", output_option),
        0);
    newt_close(c);
    newt_db_close(db);
    unlink(moved);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_OUTPUT(test_projection_killed),
        WITH_OUTPUT(test_lines_killed),
        WITH_OUTPUT(test_large_transaction_killed),
        WITH_OUTPUT(test_serials_out_of_order),
        WITH_OUTPUT(test_starts_over),
        WITH_OUTPUT(test_server_crashes),
        WITH_OUTPUT(test_name_of_another_sink),
        WITH_OUTPUT(test_check_finds),
        WITH_OUTPUT(test_check_of_a_copy_in_two_files),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sinks", tests, NULL, NULL);
}
