/*
 * promoted.c - followers whose server dies and whose standby takes its place: one that had
 * everything, and one that lacked the last transactions, before and after others have committed
 */
#include "../daemon/followers.h"
#include "../daemon/writers.h"

static uint64_t seed;

/* The followers find the primary among the two. */
static void
open_pair(followers *f, const char *database)
{
    const char *host = getenv("PGHOST");
    open_followers(f, database);
    snprintf(f->to, sizeof f->to,
             "dbname=%s host=%s,%s port=5432,5433 user=%s target_session_attrs=read-write",
             database, host, host, getenv("PGUSER"));
    control_server("standby");
}

/* The standby is the primary from now on, also for who does not name a port. */
static void
promote(followers *f, const char *end)
{
    PQfinish(f->pg);
    control_server(end);
    control_server("promote");
    setenv("PGPORT", "5433", 1);
    f->pg = sql_open(f->database);
}

static int
back_to_first(void **state)
{
    (void)state;
    setenv("PGPORT", "5432", 1);
    return 0;
}

static void
close_pair(followers *f)
{
    close_followers(f);
    setenv("PGPORT", "5432", 1);
    control_server("start");
}

static void
test_complete(void **state)
{
    (void)state;
    followers f;
    crowd all;
    open_pair(&f, "promoted_complete");
    start_followers(&f);
    wait_for_followers(&f);
    crowd_start(&all, f.to, seed);
    crowd_wait(&all, 30);
    promote(&f, "stop"); /* which waits for the standby */
    crowd_wait(&all, 30);
    crowd_stop(&all);
    wait_for_followers(&f);
    for (int k = ROWS; k <= LINES; k++) {
        assert_true(updater_says(&f.u[k], "retry_in_ms"));
        assert_false(updater_says(&f.u[k], "starting over"));
    }
    stop_followers(&f);
    assert_followed(&f, true);
    close_pair(&f);
}

/* The standby gets nothing any more. */
static void
cut_standby(const char *database)
{
    setenv("PGPORT", "5433", 1);
    PGconn *pg = sql_open(database);
    setenv("PGPORT", "5432", 1);
    sql_do(pg, "ALTER SYSTEM SET primary_conninfo = 'host=/nowhere'");
    sql_do(pg, "SELECT pg_reload_conf()");
    wait_until(sql_number(pg, "SELECT count(*) FROM pg_stat_wal_receiver") == 0);
    PQfinish(pg);
}

/* Changed, made and removed. */
static void
commit_some(const char *conninfo, item_ref *refs, int n)
{
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs + 1, n - 1);
    assert_newt(c, newt_begin(c));
    struct item *o = item_write(c, refs[0]);
    assert_non_null(o);
    o->n += 1000;
    assert_newt(c, newt_delete(c, refs[1].any));
    assert_newt(c, newt_commit(c));
    newt_close(c);
    newt_db_close(db);
}

static void
show(const updater *u)
{
    char text[65536];
    for (char *line = strtok((char *)(uintptr_t)updater_said(u, text, sizeof text), "\n"); line;
         line = strtok(NULL, "\n"))
        printf("# %s\n", line);
}

/* What the followers have seen is gone. Rows and positions in the database have gone with it; the
 * file is ahead, finds out, and begins again with a copy. */
static void
lose_last(const char *database, bool others, const char *detail)
{
    followers f;
    item_ref refs[20];
    open_pair(&f, database);
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 20);
    newt_close(c);
    newt_db_close(db);
    start_followers(&f);
    wait_for_followers(&f);
    PGconn *standby = PQconnectdb(getenv("NEWT_STANDBY_URI"));
    char lsn[64];
    PGresult *r = sql_result(f.pg, "SELECT pg_current_wal_insert_lsn()");
    snprintf(lsn, sizeof lsn, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    wait_until(sql_number(standby, "SELECT (pg_last_wal_replay_lsn() >= '%s')::int", lsn) == 1);
    PQfinish(standby);
    cut_standby(f.database);
    commit_some(f.conninfo, refs, 20);
    wait_for_followers(&f);
    if (others) /* they are away until others have committed */
        stop_followers(&f);
    promote(&f, "crash");
    if (others) {
        commit_some(f.conninfo, refs, 5);
        start_followers(&f);
    }
    wait_until(updater_says(&f.u[LINES], "starting over with a copy of all objects"));
    show(&f.u[LINES]);
    assert_true(updater_says(&f.u[LINES], "NEWT_EMISSING"));
    assert_true(updater_says(&f.u[LINES], detail));
    assert_true(updater_says(&f.u[LINES], "hint: "));
    commit_some(f.conninfo, refs, 5);
    wait_for_followers(&f);
    wait_until(sql_number(f.pg, "SELECT count(*) FROM newt_follower WHERE copied IS NULL") == 3);
    assert_false(updater_says(&f.u[ROWS], "starting over"));
    stop_followers(&f);
    assert_followed(&f, false);
    assert_int_equal(wrong_own(f.pg, true), 0);
    close_pair(&f);
}

static void
test_lost(void **state)
{
    (void)state;
    lose_last("promoted_lost", false, "The newest one is ");
}

static void
test_other_history(void **state)
{
    (void)state;
    lose_last("promoted_other", true, "Another history has taken its place");
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_complete, back_to_first),
        cmocka_unit_test_teardown(test_lost, back_to_first),
        cmocka_unit_test_teardown(test_other_history, back_to_first),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("promoted", tests, NULL, NULL);
}
