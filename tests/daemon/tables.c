/*
 * tables.c - typed tables that newt-updater keeps: killed at every step while writers work, taken
 * over, positions that are lost, rows that the database refuses, tables that come and change hands
 * meanwhile
 *
 * NEWT_SEED replays what is random; NEWT_SOAK has more rounds.
 */
#include "../brief.h"
#include "things.h"

static uint64_t seed;

static const char *const shapes[] = {"thing", "thing_parts", "thing_near", "thing_counts"};

typedef struct world {
    PGconn *pg;
    char conninfo[64];
} world;

/* A store whose class Thing has typed tables, in a schema of their own. */
static void
open_world(world *w, const char *database)
{
    w->pg = make_database(database, true, w->conninfo);
    make_store(w->conninfo, "public");
    newt_db_close(open_things(w->conninfo)); /* registers the class */
}

static void
make_tables(world *w)
{
    sql_do(w->pg, "CALL newt.create_table('public', 'Thing', 'reports', mode => 'updater')");
}

static int64_t
position(const world *w)
{
    return sql_number(w->pg, "SELECT tid FROM newt_follower WHERE name = 'newt-tables' AND "
                             "kind = 'tables' AND copied IS NULL");
}

static void
start(updater *u, const world *w, const char *option)
{
    updater_start(u, "--sink=tables", "--interval=1", "--max-pause=20", w->conninfo, option, NULL);
}

/* All that is committed is in the tables; what it says. */
static char *
drain(const world *w)
{
    static char said[65536];
    updater u;
    updater_start(&u, "--sink=tables", "--once", w->conninfo, NULL);
    int status = updater_wait(&u);
    updater_said(&u, said, sizeof said);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    return said;
}

/* The tables are as the records are. */
static void
assert_tables(const world *w)
{
    PGresult *r = sql_result(w->pg, "SELECT * FROM newt.check_table('public', 'Thing')");
    for (int i = 0; i < PQntuples(r); i++)
        printf("# %s: %s objects, %s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
               PQgetvalue(r, i, 2));
    assert_int_equal(PQntuples(r), 0);
    PQclear(r);
}

static void
close_world(world *w)
{
    unsetenv("NEWT_UPDATER_FAULT");
    PQfinish(w->pg);
}

/* ---- kills ----------------------------------------------------------------------------- */

static void
test_killed(void **state)
{
    (void)state;
    static const char *const steps[] = {"fetch", "apply", "sync", "commit", "committed"};
    int rounds = getenv("NEWT_SOAK") ? 20 : 2;
    char fault[32];
    generate random;
    generate_init(&random, seed);
    world w;
    crowd all;
    open_world(&w, "tables_killed");
    make_tables(&w);
    things_start(&all, w.conninfo, seed);
    crowd_wait(&all, 20);
    for (int k = 0; k < rounds; k++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            updater u;
            snprintf(fault, sizeof fault, "%s:%d", steps[i], 1 + (int)generate_below(&random, 8));
            setenv("NEWT_UPDATER_FAULT", fault, 1);
            start(&u, &w, generate_below(&random, 2) ? "--batch=3" : "--batch=50");
            int status = updater_wait(&u);
            updater_forget(&u, status != 128 + SIGKILL);
            assert_int_equal(status, 128 + SIGKILL);
        }
    things_stop(&all);
    unsetenv("NEWT_UPDATER_FAULT");
    printf("# %ld transactions\n", atomic_load(&all.committed));
    drain(&w);
    assert_tables(&w);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        assert_true(sql_number(w.pg, "SELECT count(*) FROM reports.%s", shapes[i]) > 0);
    close_world(&w);
}

/* More than one piece of a batch, and one transaction in several batches. */
static void
test_large_killed(void **state)
{
    (void)state;
    enum {
        N = 11000
    };
    static const char *const faults[] = {"write:2", "write:1", "apply:1"};
    const size_t n_faults = brief() ? 1 : sizeof faults / sizeof *faults;
    static thing_ref refs[N];
    world w;
    open_world(&w, "tables_large");
    make_tables(&w);
    drain(&w);
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    for (size_t k = 0; k < 2; k++) { /* the transaction, then a copy */
        for (size_t i = 0; i < n_faults; i++) {
            updater u;
            setenv("NEWT_UPDATER_FAULT", faults[i], 1);
            start(&u, &w, "--batch=100000");
            int status = updater_wait(&u);
            updater_forget(&u, status != 128 + SIGKILL);
            assert_int_equal(status, 128 + SIGKILL);
            assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM reports.thing"), k ? N - 1 : 0);
        }
        unsetenv("NEWT_UPDATER_FAULT");
        drain(&w);
        assert_tables(&w);
        if (k == 0) {
            assert_newt(c, newt_begin(c));
            assert_newt(c, newt_delete(c, refs[7].any));
            assert_newt(c, newt_commit(c));
            drain(&w);
            sql_do(w.pg, "DELETE FROM newt_follower");
        }
    }
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

/* Two processes; the one that works is killed, again and again. */
static void
test_taken_over(void **state)
{
    (void)state;
    enum {
        N = 2
    };
    world w;
    crowd all;
    updater u[N];
    open_world(&w, "tables_standby");
    make_tables(&w);
    things_start(&all, w.conninfo, seed);
    for (int i = 0; i < N; i++)
        start(&u[i], &w, "--batch=20");
    for (int k = 0; k < (getenv("NEWT_SOAK") ? 40 : brief() ? 4 : 6); k++) {
        int active = -1;
        wait_until(updater_says(&u[0], "following") || updater_says(&u[1], "following"));
        active = updater_says(&u[0], "following") ? 0 : 1;
        int64_t at = position(&w);
        wait_until(position(&w) > at || !crowd_well(&all));
        kill(u[active].pid, SIGKILL);
        updater_wait(&u[active]);
        updater_forget(&u[active], false);
        start(&u[active], &w, "--batch=20");
        /* the other one has the name before this one is ready */
        wait_until(updater_says(&u[!active], "following") || updater_says(&u[active], "following"));
    }
    things_stop(&all);
    int64_t last = sql_number(w.pg, "SELECT max(tid) FROM transaction");
    wait_until(position(&w) >= last);
    assert_int_equal(sql_number(w.pg,
                                "SELECT newt.wait_for(%lld, '60 s', 'public', "
                                "'newt-tables')::int",
                                (long long)last),
                     1);
    assert_int_equal(sql_number(w.pg, "SELECT waiting FROM newt.freshness('public') WHERE kind = "
                                      "'tables' AND complete AND class_name IS NULL"),
                     0);
    assert_tables(&w);
    for (int i = 0; i < N; i++)
        updater_stop(&u[i]);
    close_world(&w);
}

/* ---- positions that are lost ----------------------------------------------------------- */

static void
test_lost(void **state)
{
    (void)state;
    enum {
        N = 300
    };
    static thing_ref refs[N];
    world w;
    open_world(&w, "tables_lost");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    make_tables(&w);
    drain(&w);
    for (int k = 0; k < 2; k++) {
        /* changed and removed; then nobody can know which */
        assert_newt(c, newt_begin(c));
        for (int i = k; i < N; i += 7) {
            struct thing *t = thing_write(c, refs[i]);
            if (i % 14 == k)
                assert_newt(c, newt_delete(c, refs[i].any));
            else if (t)
                t->n += 100;
            assert_non_null(t);
        }
        assert_newt(c, newt_delete(c, refs[N - 1 - k].any)); /* the last: no object is behind it */
        assert_newt(c, newt_commit(c));
        if (k == 0)
            sql_do(w.pg, "DELETE FROM newt_follower");
        else
            sql_do(w.pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
        const char *said = drain(&w);
        assert_true(k == 0 || strstr(said, "starting over"));
        assert_tables(&w);
    }
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

static void
test_no_extension(void **state)
{
    (void)state;
    world w;
    updater u;
    w.pg = make_database("tables_bare", false, w.conninfo);
    make_store(w.conninfo, "public");
    updater_start(&u, "--sink=tables", "--once", w.conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "extension \"newt\"") && updater_says(&u, "CREATE EXTENSION newt");
    updater_forget(&u, !said);
    assert_int_equal(status, 1);
    assert_true(said);
    close_world(&w);
}

/* ---- what the database refuses --------------------------------------------------------- */

static void
name_things(newt_conn *c, const thing_ref *refs, int n, const char *const *names)
{
    assert_newt(c, newt_begin(c));
    for (int i = 0; i < n; i++) {
        struct thing *t = thing_write(c, refs[i]);
        assert_non_null(t);
        newt_set(t, name, names[i]);
        thing_done(t);
    }
    assert_newt(c, newt_commit(c));
}

static int64_t
refused(const world *w, const char *sqlstate, const char *constraint, const char *table)
{
    return sql_number(w->pg,
                      "SELECT count(*) FROM newt_reject WHERE sqlstate = '%s' AND constraint_name "
                      "IS NOT DISTINCT FROM nullif('%s', '') AND path = '{%s}'",
                      sqlstate, constraint, table);
}

static int64_t
lacking(const world *w)
{
    return sql_number(w->pg, "SELECT coalesce(sum(objects), 0) FROM newt.check_table('public', "
                             "'Thing') WHERE problem = 'missing'");
}

static void
test_refused(void **state)
{
    (void)state;
    enum {
        N = 40
    };
    thing_ref refs[N];
    world w;
    open_world(&w, "tables_refused");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    make_tables(&w);
    sql_do(w.pg,
           "CREATE UNIQUE INDEX one_name ON reports.thing (name);"
           "CREATE FUNCTION fine(name text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
           "IF name = ''odd'' THEN RAISE ''not this one'' USING ERRCODE = ''AP001''; END IF; "
           "RETURN name; END'; CREATE INDEX ON reports.thing (public.fine(name));"
           "ALTER TABLE reports.thing ADD CONSTRAINT fine CHECK (name <> 'bad')");
    drain(&w);
    assert_tables(&w);

    /* values that change hands within a batch are no trouble */
    name_things(c, refs, 3, (const char *const[]){"thing 1", "thing 2", "thing 0"});
    drain(&w);
    assert_tables(&w);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject"), 0);

    /* what an index's function raises */
    name_things(c, refs + 20, 1, (const char *const[]){"odd"});
    drain(&w);
    assert_int_equal(refused(&w, "AP001", "", "reports.thing"), 1);
    name_things(c, refs + 20, 1, (const char *const[]){"even"});

    /* one that another has; one that no row may have. All others are there, the old rows are not */
    name_things(c, refs, 4, (const char *const[]){"thing 7", "bad", "new", "newer"});
    assert_non_null(strstr(drain(&w), "refuses the typed rows of 2 objects"));
    assert_int_equal(refused(&w, "23505", "one_name", "reports.thing"), 1);
    assert_int_equal(refused(&w, "23514", "fine", "reports.thing"), 1);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject"), 2);
    assert_int_equal(lacking(&w), 2);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM reports.thing"), N - 2);
    assert_int_equal(sql_number(w.pg, "SELECT refused FROM newt.health('public')"), 2);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt.rejects_report('public') WHERE "
                                      "what_to_do LIKE '%%typed%%' AND class_name = 'Thing'"),
                     2);

    updater u;
    updater_start(&u, "--nagios=60,300", "--sink=tables", w.conninfo, NULL);
    assert_int_equal(updater_wait(&u), 0);
    assert_true(updater_says(&u, "rejects=2;"));
    updater_forget(&u, false);

    /* the other one gives it up: tried again in idle time */
    name_things(c, refs + 7, 1, (const char *const[]){"given up"});
    drain(&w);
    assert_int_equal(refused(&w, "23505", "one_name", "reports.thing"), 0);
    assert_int_equal(lacking(&w), 1);
    /* the constraint goes */
    sql_do(w.pg, "ALTER TABLE reports.thing DROP CONSTRAINT fine");
    drain(&w);
    assert_tables(&w);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry WHERE n < 0"), 0);

    /* of a collection: the object has no rows at all */
    sql_do(w.pg, "ALTER TABLE reports.thing_counts ADD CONSTRAINT low CHECK (value < 1000)");
    assert_newt(c, newt_begin(c));
    struct thing *t = thing_write(c, refs[5]);
    assert_non_null(t);
    *newt_put(t, counts, "high") = 1000;
    assert_newt(c, newt_commit(c));
    drain(&w);
    assert_int_equal(refused(&w, "23514", "low", "reports.thing_counts"), 1);
    assert_int_equal(lacking(&w), 1);
    /* it changes, and is right */
    assert_newt(c, newt_begin(c));
    t = thing_write(c, refs[5]);
    *newt_put(t, counts, "high") = 999;
    assert_newt(c, newt_commit(c));
    drain(&w);
    assert_tables(&w);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry"), 0);

    /* removed while it is refused; the filling leaves it out, too */
    name_things(c, refs, 2, (const char *const[]){"new", "newer"});
    drain(&w);
    assert_int_equal(lacking(&w), 2);
    sql_do(w.pg, "CALL newt.fill_table('public', 'Thing')");
    assert_int_equal(lacking(&w), 2);
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_delete(c, refs[0].any));
    assert_newt(c, newt_delete(c, refs[1].any));
    assert_newt(c, newt_commit(c));
    drain(&w);
    assert_tables(&w);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry"), 0);
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

/* A follower that goes on tries what was refused when rows have changed, not only now and then. */
static void
test_tried_again(void **state)
{
    (void)state;
    enum {
        N = 10,
        SOON_S = 40 /* without a change it is every 60 */
    };
    thing_ref refs[N];
    world w;
    updater u;
    open_world(&w, "tables_again");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    make_tables(&w);
    sql_do(w.pg, "CREATE UNIQUE INDEX one_name ON reports.thing (name)");
    start(&u, &w, "--batch=50");
    wait_until(position(&w) > 0);
    name_things(c, refs, 1, (const char *const[]){"thing 7"});
    wait_until(updater_says(&u, "refuses the typed rows of 1 objects")); /* it has tried it, too */
    assert_int_equal(refused(&w, "23505", "one_name", "reports.thing"), 1);
    double begun = now();
    name_things(c, refs + 7, 1, (const char *const[]){"given up"});
    wait_until(refused(&w, "23505", "one_name", "reports.thing") == 0);
    assert_true(now() < begun + SOON_S);
    assert_tables(&w);
    updater_stop(&u);
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

/* What is wrong with a table is no object's fault: nothing is left out, all waits until it is
 * right. */
static void
test_broken_index(void **state)
{
    (void)state;
    enum {
        N = 10
    };
    thing_ref refs[N];
    world w;
    updater u;
    open_world(&w, "tables_broken");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    make_tables(&w);
    sql_do(w.pg, "CREATE FUNCTION public.inner_(text) RETURNS text IMMUTABLE LANGUAGE sql AS "
                 "'SELECT $1'; CREATE FUNCTION public.outer_(text) RETURNS text IMMUTABLE LANGUAGE "
                 "plpgsql AS 'BEGIN RETURN public.inner_($1); END';"
                 "CREATE INDEX ON reports.thing (public.outer_(name))");
    drain(&w);
    sql_do(w.pg, "DROP FUNCTION public.inner_");
    name_things(c, refs, 1, (const char *const[]){"renamed"});
    updater_start(&u, "--sink=tables", "--once", w.conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "inner_");
    updater_forget(&u, !said);
    assert_int_equal(status, 1);
    assert_true(said);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry"), 0);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM reports.thing"), N);
    sql_do(w.pg, "CREATE FUNCTION public.inner_(text) RETURNS text IMMUTABLE LANGUAGE sql AS "
                 "'SELECT $1'");
    drain(&w);
    assert_tables(&w);
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

/* A follower that goes on is never stopped by what is refused, and tries it by itself. */
static void
test_refused_beside_writers(void **state)
{
    (void)state;
    world w;
    crowd all;
    updater u;
    open_world(&w, "tables_poison");
    make_tables(&w);
    sql_do(w.pg, "ALTER TABLE reports.thing ADD CONSTRAINT no_sevens CHECK (n %% 7 <> 0)");
    start(&u, &w, "--batch=50");
    things_start(&all, w.conninfo, seed);
    wait_until(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry WHERE n < 0") > 5 ||
               !crowd_well(&all));
    crowd_wait(&all, 50);
    things_stop(&all);
    int64_t last = sql_number(w.pg, "SELECT max(tid) FROM transaction");
    wait_until(position(&w) >= last);
    int64_t sevens = sql_number(w.pg, "SELECT count(*) FROM object_state WHERE "
                                      "newt.class_name(state) = 'Thing' AND "
                                      "(newt.get_text(state, 'n'))::bigint %% 7 = 0");
    printf("# %lld refused\n", (long long)sevens);
    assert_int_equal(lacking(&w), sevens);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject"), sevens);
    sql_do(w.pg, "ALTER TABLE reports.thing DROP CONSTRAINT no_sevens");
    updater_stop(&u);
    drain(&w);
    assert_tables(&w);
    close_world(&w);
}

/* ---- who keeps them -------------------------------------------------------------------- */

/* Made, handed to the commits and back, while writers and updater work. */
static void
test_modes(void **state)
{
    (void)state;
    world w;
    crowd all;
    updater u;
    open_world(&w, "tables_modes");
    start(&u, &w, "--batch=50");
    things_start(&all, w.conninfo, seed);
    crowd_wait(&all, 20);
    make_tables(&w);
    for (int k = 0; k < (getenv("NEWT_SOAK") ? 40 : 4); k++) {
        crowd_wait(&all, 20);
        sql_do(w.pg, "CALL newt.set_table_mode('public', 'Thing', '%s')",
               k % 2 ? "updater" : "inline");
        crowd_wait(&all, 20);
        if (k % 2 == 0) {
            /* no follower, no lag: exact in the snapshot of one statement */
            sql_do(w.pg, "BEGIN ISOLATION LEVEL REPEATABLE READ");
            assert_int_equal(lacking(&w), 0);
            sql_do(w.pg, "COMMIT");
        }
    }
    things_stop(&all);
    int64_t last = sql_number(w.pg, "SELECT max(tid) FROM transaction");
    wait_until(position(&w) >= last);
    assert_tables(&w);
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM pg_trigger WHERE tgname = "
                                      "'newt_keep_tables'"),
                     0);
    sql_do(w.pg, "CALL newt.set_table_mode('public', 'Thing', 'inline')");
    updater_stop(&u);
    assert_tables(&w);
    close_world(&w);
}

/* What was refused is the updater's: commits know of nothing that is left out. */
static void
test_handed_over(void **state)
{
    (void)state;
    enum {
        N = 5
    };
    thing_ref refs[N];
    world w;
    open_world(&w, "tables_handed");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_things(c, refs, N);
    make_tables(&w);
    sql_do(w.pg, "ALTER TABLE reports.thing ADD CONSTRAINT fine CHECK (name <> 'bad')");
    name_things(c, refs, 1, (const char *const[]){"bad"});
    drain(&w);
    assert_int_equal(refused(&w, "23514", "fine", "reports.thing"), 1);
    sql_do(w.pg, "ALTER TABLE reports.thing DROP CONSTRAINT fine");
    sql_do(w.pg, "CALL newt.set_table_mode('public', 'Thing', 'inline')");
    assert_int_equal(sql_number(w.pg, "SELECT count(*) FROM newt_reject_entry"), 0);
    assert_tables(&w);
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

/* The rights of kind updater are enough. */
static void
test_rights(void **state)
{
    (void)state;
    enum {
        N = 20
    };
    thing_ref refs[N];
    world w;
    updater u;
    open_world(&w, "tables_rights");
    sql_do(w.pg, "DROP ROLE IF EXISTS newt_tables_updater; CREATE ROLE newt_tables_updater LOGIN");
    newt_db *db = open_things(w.conninfo);
    newt_conn *c = open_conn(db);
    make_tables(&w);
    sql_do(w.pg, "SELECT newt.grant_store('public', 'newt_tables_updater', 'updater')");
    make_things(c, refs, N);
    updater_start(&u, "--sink=tables", "--once", "--connection",
                  "dbname=tables_rights user=newt_tables_updater", NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    assert_tables(&w);
    sql_do(w.pg, "SELECT newt.revoke_store('public', 'newt_tables_updater'); DROP ROLE "
                 "newt_tables_updater");
    newt_close(c);
    newt_db_close(db);
    close_world(&w);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_large_killed),
        cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_no_extension),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_tried_again),
        cmocka_unit_test(test_broken_index),
        cmocka_unit_test(test_refused_beside_writers),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_rights),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
