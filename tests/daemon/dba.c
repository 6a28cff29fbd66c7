/*
 * dba.c - what an administrator does under running followers: they go on, or end and say what to
 * do, and go on when it is done
 */
#define CROWD_WRITERS 3
#define CROWD_INLINE  0
#define CROWD_OBJECTS 60
#include "followers.h"
#include "writers.h"

static uint64_t seed;

static void
begin(followers *f, crowd *all, const char *database)
{
    open_followers(f, database);
    start_followers(f);
    wait_for_followers(f);
    crowd_start(all, f->conninfo, seed);
    crowd_wait(all, 10);
}

static void
end(followers *f, crowd *all)
{
    crowd_wait(all, 20);
    crowd_stop(all);
    wait_for_followers(f);
    stop_followers(f);
    assert_followed(f, true);
    close_followers(f);
}

/* Nobody ends, nobody begins anew. */
static void
test_goes_on(void **state)
{
    static const char *const deeds[] = {
        "CREATE INDEX by_name ON newt_projection ((state->>'name'))",
        "DROP INDEX by_name",
        "CREATE INDEX by_state ON newt_projection USING gin (state)",
        "REINDEX TABLE newt_projection",
        "DROP INDEX CONCURRENTLY by_state",
        "ALTER TABLE newt_projection ADD note text",
        "ALTER TABLE newt_projection DROP note",
        "UPDATE newt_class SET name = 'Renamed' WHERE name = 'Item'",
        "DELETE FROM newt_class",
        "VACUUM FULL newt_projection",
        "VACUUM FULL transaction",
        "DROP EXTENSION newt CASCADE",
        "CREATE EXTENSION newt",
        "UPDATE newt_store SET projection = 'async'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND"
        " datname = current_database()",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND"
        " datname = current_database()",
    };
    (void)state;
    followers f;
    crowd all;
    begin(&f, &all, "dba_goes_on");
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        sql_do(f.pg, "%s", deeds[i]);
        crowd_wait(&all, 10);
        wait_for_position(&f);
    }
    for (int k = 0; k < FOLLOWERS; k++)
        assert_false(updater_says(&f.u[k], "starting over"));
    end(&f, &all);
}

/* One that cannot go on ends with status 1, and its last words say what to do; the others, that it
 * does not concern, go on. Once it is undone it follows again. */
static void
test_says_what_to_do(void **state)
{
    static const struct {
        const char *deed, *undo, *message, *hint;
    } deeds[] = {
        {"ALTER TABLE newt_projection DROP CONSTRAINT newt_projection_pkey",
         "ALTER TABLE newt_projection ADD PRIMARY KEY (zoid)", "sqlstate: 42P10",
         "ALTER TABLE newt_projection ADD PRIMARY KEY (zoid)"},
        {"ALTER TABLE newt_projection RENAME TO away", "ALTER TABLE away RENAME TO newt_projection",
         "relation \"public.newt_projection\" does not exist",
         "undo that, and start newt-updater again. Nothing is lost."},
        {"ALTER TABLE newt_projection RENAME state TO away",
         "ALTER TABLE newt_projection RENAME away TO state", "column \"state\"",
         "undo that, and start newt-updater again. Nothing is lost."},
    };
    (void)state;
    followers f;
    item_ref refs[10];
    open_followers(&f, "dba_says");
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    start_followers(&f);
    wait_for_followers(&f);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        kill(f.u[ROWS].pid, SIGSTOP); /* has nothing to do, so holds nothing */
        make_items(c, refs, 10);
        sql_do(f.pg, "%s", deeds[i].deed);
        kill(f.u[ROWS].pid, SIGCONT);
        assert_int_equal(follower_ended(&f, ROWS), 1);
        bool said = updater_says(&f.u[ROWS], deeds[i].message) &&
                    updater_says(&f.u[ROWS], deeds[i].hint);
        updater_forget(&f.u[ROWS], !said);
        assert_true(said);
        wait_for_position(&f);
        sql_do(f.pg, "%s", deeds[i].undo);
        start_follower(&f, ROWS, NULL);
        wait_for_followers(&f);
    }
    newt_close(c);
    newt_db_close(db);
    stop_followers(&f);
    assert_followed(&f, true);
    close_followers(&f);
}

/* Who is forgotten: the rows are compared with a copy of all objects; the file knows where it
 * stands, and goes on. */
static void
test_forgotten(void **state)
{
    (void)state;
    followers f;
    crowd all;
    begin(&f, &all, "dba_forgotten");
    sql_do(f.pg, "DELETE FROM newt_follower");
    crowd_wait(&all, 20);
    wait_for_position(&f);
    sql_do(f.pg, "UPDATE newt_follower SET tid = tid + 1"); /* nowhere */
    crowd_wait(&all, 20);
    wait_for_position(&f);
    crowd_wait(&all, 20);
    crowd_stop(&all);
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, false);
    close_followers(&f);
}

/* The store is not where it was: both updaters end, and say so. */
static void
test_renamed(void **state)
{
    (void)state;
    followers f;
    crowd all;
    begin(&f, &all, "dba_renamed");
    crowd_stop(&all);
    sql_do(f.pg, "ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public");
    for (int k = ROWS; k <= LINES; k++) {
        assert_int_equal(follower_ended(&f, (follower)k), 1);
        bool said = updater_says(&f.u[k], "there is no Newt store in schema \"public\"") &&
                    updater_says(&f.u[k], "hint: ");
        updater_forget(&f.u[k], !said);
        assert_true(said);
    }
    sql_do(f.pg, "DROP SCHEMA public; ALTER SCHEMA elsewhere RENAME TO public");
    for (int k = ROWS; k <= LINES; k++)
        start_follower(&f, (follower)k, NULL);
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, true);
    close_followers(&f);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_says_what_to_do),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_renamed),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dba", tests, NULL, NULL);
}
