/*
 * standbys.c - several processes under one name: one works, the others take over when it is killed,
 * when it is stopped and its session ended, when a DBA ends the session alone
 */
#include "lines.h"
#include "writers.h"

static uint64_t seed;
static char output[64], output_option[96];

/* Starts one of several; its session is found by its name. */
static void
start(updater *u, const char *conninfo, const char *application, bool lines)
{
    setenv("PGAPPNAME", application, 1);
    updater_start(u, "--interval=1", "--max-pause=20", conninfo,
                  lines ? "--sink=ndjson" : "--sink=projection",
                  lines ? output_option : "--batch=100", NULL);
    unsetenv("PGAPPNAME");
}

static const char *
follower(bool lines)
{
    return lines ? "newt-ndjson" : "newt-updater";
}

static int64_t
position(PGconn *pg, bool lines)
{
    return sql_number(pg, "SELECT tid FROM newt_follower WHERE name = '%s'", follower(lines));
}

static void
wait_for_progress(PGconn *pg, bool lines, const crowd *all)
{
    int64_t at = position(pg, lines);
    wait_until(position(pg, lines) > at || !crowd_well(all));
}

/* All is there, exactly, when the writers have ended. */
static void
expect_all(PGconn *pg, bool lines)
{
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg, lines) >= last);
    if (lines) {
        load_lines(pg, output, true);
        assert_lines(pg);
    } else {
        assert_exact(pg, "public");
    }
}

static PGconn *
open_all(const char *name, bool lines, char conninfo[64], crowd *all)
{
    PGconn *pg = make_database(name, true, conninfo);
    make_store(conninfo, "public");
    if (lines) {
        strcpy(output, "/tmp/newt-standbys.XXXXXX");
        close(mkstemp(output));
        unlink(output);
        snprintf(output_option, sizeof output_option, "--output=%s", output);
    }
    crowd_start(all, conninfo, seed);
    return pg;
}

static bool
says_standby(const updater *u)
{
    return updater_says(u, "another process follows") || updater_says(u, "another process writes");
}

/* Three, of which the one that works is killed, again and again. */
static void
killed(bool lines)
{
    enum {
        N = 3
    };
    char conninfo[64], name[16];
    updater u[N];
    crowd all;
    PGconn *pg = open_all(lines ? "standbys_killed_lines" : "standbys_killed", lines, conninfo,
                          &all);
    int rounds = getenv("NEWT_SOAK") ? 30 : 3;
    start(&u[0], conninfo, "u0", lines);
    wait_until(updater_says(&u[0], "following"));
    for (int i = 1; i < N; i++) {
        snprintf(name, sizeof name, "u%d", i);
        start(&u[i], conninfo, name, lines);
        wait_until(says_standby(&u[i]));
    }
    for (int k = 0; k < rounds; k++) {
        wait_for_progress(pg, lines, &all);
        int working = -1;
        for (int i = 0; i < N; i++)
            if (updater_says(&u[i], "following"))
                working = i;
        assert_true(working >= 0);
        kill(u[working].pid, SIGKILL);
        assert_int_equal(updater_wait(&u[working]), 128 + SIGKILL);
        updater_forget(&u[working], false);
        double died = now();
        wait_for_progress(pg, lines, &all);
        printf("# taken over after %.0f ms\n", (now() - died) * 1e3);
        start(&u[working], conninfo, "again", lines);
        wait_until(says_standby(&u[working]));
    }
    crowd_stop(&all);
    expect_all(pg, lines);
    for (int i = 0; i < N; i++)
        updater_stop(&u[i]);
    PQfinish(pg);
}

static void
test_killed(void **state)
{
    (void)state;
    killed(false);
}

static void
test_killed_lines(void **state)
{
    (void)state;
    killed(true);
    unlink(output);
}

/* The first is stopped: its session keeps the name, until a DBA ends it. When it goes on it is a
 * candidate. */
static void
test_stopped(void **state)
{
    (void)state;
    char conninfo[64];
    updater first, second;
    crowd all;
    PGconn *pg = open_all("standbys_stopped", false, conninfo, &all);
    start(&first, conninfo, "first", false);
    wait_until(updater_says(&first, "following"));
    start(&second, conninfo, "second", false);
    wait_until(says_standby(&second));
    assert_true(updater_says(&second, "another process follows as \"newt-updater\""));
    wait_until(updater_says(&second, "give each of them a --name")); /* its hint is a line more */
    wait_for_progress(pg, false, &all);
    kill(first.pid, SIGSTOP);
    /* within a batch it has rows that inline writers wait for */
    long seen = atomic_load(&all.committed);
    wait_until(atomic_load(&all.committed) > seen + 20 || !crowd_well(&all) ||
               sql_number(pg,
                          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'first'"
                          " AND datname = current_database()"
                          " AND state = 'idle in transaction'") > 0);
    assert_false(updater_says(&second, "following"));
    wait_until(sql_number(pg, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                              " application_name = 'first' AND datname = current_database()") == 0);
    wait_until(updater_says(&second, "following"));
    wait_for_progress(pg, false, &all);
    kill(first.pid, SIGCONT);
    wait_until(says_standby(&first));
    crowd_stop(&all);
    expect_all(pg, false);
    /* and back again */
    kill(second.pid, SIGTERM);
    assert_int_equal(updater_wait(&second), 0);
    updater_forget(&second, false);
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[5];
    make_items(c, refs, 5);
    expect_all(pg, false);
    newt_close(c);
    newt_db_close(db);
    updater_stop(&first);
    PQfinish(pg);
}

/* A stopped process keeps its file, although its session is ended: nobody else writes there. */
static void
test_stopped_lines(void **state)
{
    (void)state;
    char conninfo[64];
    updater first, second;
    crowd all;
    PGconn *pg = open_all("standbys_stopped_lines", true, conninfo, &all);
    start(&first, conninfo, "first", true);
    wait_until(updater_says(&first, "following"));
    start(&second, conninfo, "second", true);
    wait_until(says_standby(&second));
    kill(first.pid, SIGSTOP);
    wait_until(sql_number(pg, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                              " application_name = 'first' AND datname = current_database()") == 0);
    crowd_wait(&all, 20);
    assert_false(updater_says(&second, "following"));
    kill(first.pid, SIGCONT);
    wait_for_progress(pg, true, &all);
    crowd_stop(&all);
    expect_all(pg, true);
    updater_stop(&first);
    updater_stop(&second);
    unlink(output);
    PQfinish(pg);
}

/* Sessions are ended under the one that works, in both sinks at once. */
static void
test_sessions_ended(void **state)
{
    (void)state;
    char conninfo[64];
    updater u[2];
    crowd all;
    PGconn *pg = open_all("standbys_ended", true, conninfo, &all);
    int rounds = getenv("NEWT_SOAK") ? 50 : 4;
    for (int lines = 0; lines < 2; lines++)
        start(&u[lines], conninfo, "follower", lines);
    for (int k = 0; k < rounds; k++) {
        for (int lines = 0; lines < 2; lines++)
            wait_for_progress(pg, lines, &all);
        sql_do(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                   " application_name = 'follower' AND datname = current_database()");
    }
    crowd_stop(&all);
    for (int lines = 0; lines < 2; lines++) {
        expect_all(pg, lines);
        assert_true(updater_says(&u[lines], "retry_in_ms"));
        updater_stop(&u[lines]);
    }
    unlink(output);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),         cmocka_unit_test(test_killed_lines),
        cmocka_unit_test(test_stopped),        cmocka_unit_test(test_stopped_lines),
        cmocka_unit_test(test_sessions_ended),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("standbys", tests, NULL, NULL);
}
