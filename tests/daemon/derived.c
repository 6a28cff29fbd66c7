/*
 * derived.c - derived columns that newt-updater keeps, and what commits have left to it: killed at
 * every step while others write, positions that are lost, roles
 *
 * NEWT_SEED replays what is random; NEWT_SOAK has more rounds, and 100,000 objects where they are
 * to be kept right beside those who write.
 */
#include "daemon.h"

#include "../brief.h"
#include "../forest.h"

static uint64_t seed;

typedef struct world {
    PGconn *pg;
    char conninfo[64];
    newt_db *db;
    forest f;
} world;

static size_t
few(void)
{
    return brief() ? 120 : 250;
}

static size_t
many(void)
{
    return getenv("NEWT_SOAK") ? 100000 : few();
}

/* A store in "public" with a forest in it. */
static void
open_world(world *w, const char *database, size_t objects)
{
    newt_options options = {.size = sizeof options};
    w->pg = make_database(database, true, w->conninfo);
    make_store(w->conninfo, "public");
    if (newt_db_open(&w->db, w->conninfo, forest_classes, &options) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_db_error(w->db)));
    forest_open(&w->f, w->conninfo, "public", w->db, objects, seed);
}

static void
close_world(world *w)
{
    unsetenv("NEWT_UPDATER_FAULT");
    forest_close(&w->f);
    newt_db_close(w->db);
    PQfinish(w->pg);
}

static void
create(world *w, const char *name, const char *mode, int limit)
{
    char sql[sizeof FOREST_COLUMNS + 256];
    snprintf(sql, sizeof sql,
             "CALL newt.create_derived('public', '%s', '{Folder,Page}', '" FOREST_COLUMNS
             "', 'within', '%s', %d)",
             name, mode, limit);
    forest_do(&w->f, sql);
}

static int64_t
waiting(const world *w)
{
    return sql_number(w->pg, "SELECT count(*) FROM newt_derived_pending");
}

/* All that is committed has been followed, and nothing waits any more. */
static void
drain(const world *w)
{
    updater u;
    updater_start(&u, "--sink=derived", "--once", w->conninfo, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    assert_int_equal(waiting(w), 0);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void
kill_at(const world *w, generate *random, const char *step, int most)
{
    updater u;
    char fault[32], batch[32];
    /* a copy has many batches, or few: it begins anew each time */
    snprintf(batch, sizeof batch, "--batch=%zu", many() / (generate_below(random, 2) ? 80 : 5));
    snprintf(fault, sizeof fault, "%s:%d", step, 1 + (int)generate_below(random, (uint64_t)most));
    setenv("NEWT_UPDATER_FAULT", fault, 1);
    updater_start(&u, "--sink=derived", "--interval=1", "--max-pause=20", w->conninfo, batch, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 128 + SIGKILL);
    assert_int_equal(status, 128 + SIGKILL);
    unsetenv("NEWT_UPDATER_FAULT");
}

static void
test_killed(void **state)
{
    (void)state;
    static const char *const steps[] = {"fetch", "apply", "sync", "commit", "committed"};
    int rounds = getenv("NEWT_SOAK") ? 5 : 2;
    generate random;
    world w;
    generate_init(&random, seed);
    open_world(&w, "derived_killed", many());
    create(&w, "tree", "updater", 1000000000);
    create(&w, "limited", "updater", 3);
    create(&w, "late", "inline", 2);
    for (int k = 0; k < rounds; k++) {
        forest_start(&w.f, -1);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            kill_at(&w, &random, steps[i], 4);
        forest_stop(&w.f);
        assert_true(waiting(&w) > 0);
        /* at what waits: a step for each table, at least */
        kill_at(&w, &random, "write",
                (int)sql_number(w.pg, "SELECT count(DISTINCT derived) FROM newt_derived_pending"));
    }
    drain(&w);
    forest_check(&w.f, "tree");
    forest_check(&w.f, "limited");
    forest_check(&w.f, "late");
    close_world(&w);
}

/* It follows beside those who write, and what they leave is done when it has nothing else to do. */
static void
test_followed(void **state)
{
    (void)state;
    world w;
    updater u;
    open_world(&w, "derived_followed", many());
    updater_start(&u, "--sink=derived", "--interval=1", "--max-pause=20", w.conninfo, NULL);
    wait_until(updater_says(&u, "following"));
    forest_start(&w.f, getenv("NEWT_SOAK") ? 5000 : brief() ? 100 : 300);
    create(&w, "tree", "updater", 5); /* filled meanwhile */
    create(&w, "late", "inline", 5);
    forest_join(&w.f);
    int64_t last = sql_number(w.pg, "SELECT max(tid) FROM transaction");
    assert_int_equal(sql_number(w.pg,
                                "SELECT newt.wait_for(%lld, '100 s', 'public', "
                                "'newt-derived')::int",
                                (long long)last),
                     1);
    assert_int_equal(sql_number(w.pg, "SELECT waiting FROM newt.freshness('public') WHERE kind = "
                                      "'derived' AND complete AND class_name IS NULL"),
                     0);
    wait_until(waiting(&w) == 0);
    forest_check(&w.f, "tree");
    forest_check(&w.f, "late");
    updater_stop(&u);
    close_world(&w);
}

/* Not how many: to count them again and again takes the time of who computes them. */
static bool
waits(const world *w, const char *name)
{
    return sql_number(w->pg,
                      "SELECT EXISTS (SELECT FROM newt_derived_pending q WHERE q.derived = (SELECT "
                      "d.number FROM newt_derived d WHERE d.name = '%s'))::int",
                      name) == 1;
}

/* A table with little to do need not wait until one with much is done; one that is being filled is
 * left to who fills it. */
static void
test_turns(void **state)
{
    (void)state;
    world w;
    updater u;
    open_world(&w, "derived_turns", few());
    create(&w, "busy", "inline", 1000);
    create(&w, "idle", "inline", 1000);
    create(&w, "filling", "inline", 1000);
    sql_do(w.pg, "UPDATE newt_derived SET stage = 'rows' WHERE name = 'filling'");
    sql_do(w.pg, "INSERT INTO newt_derived_pending (derived, zoid, task) SELECT d.number, "
                 "1000000000 + i, 'row' FROM newt_derived d, generate_series(1, CASE d.name WHEN "
                 "'busy' THEN 20000 ELSE 1 END) i");
    updater_start(&u, "--sink=derived", "--interval=1", "--max-pause=20", w.conninfo, NULL);
    wait_until(!waits(&w, "idle"));
    assert_true(waits(&w, "busy"));
    sql_do(w.pg, "DELETE FROM newt_derived_pending q WHERE q.zoid > (SELECT min(p.zoid) + 500 FROM "
                 "newt_derived_pending p JOIN newt_derived d ON d.number = p.derived WHERE d.name "
                 "= 'busy')");
    wait_until(!waits(&w, "busy"));
    assert_true(waits(&w, "filling"));
    updater_stop(&u);
    close_world(&w);
}

/* Tables come and go beside it. */
static void
test_dropped(void **state)
{
    (void)state;
    world w;
    updater u;
    open_world(&w, "derived_dropped", few());
    create(&w, "kept", "updater", 5);
    updater_start(&u, "--sink=derived", "--interval=1", "--max-pause=20", w.conninfo, NULL);
    wait_until(updater_says(&u, "following"));
    forest_start(&w.f, -1);
    for (int i = 0; i < (getenv("NEWT_SOAK") ? 20 : 4); i++) {
        long until = atomic_load(&w.f.committed) + 10;
        create(&w, "passing", i % 2 ? "inline" : "updater", 1000);
        wait_until(atomic_load(&w.f.committed) >= until || atomic_load(&w.f.stop));
        forest_do(&w.f, "SELECT newt.drop_derived('public', 'passing')");
    }
    forest_stop(&w.f);
    updater_stop(&u);
    drain(&w);
    forest_check(&w.f, "kept");
    close_world(&w);
}

/* What was changed and removed nobody can know. */
static void
test_lost(void **state)
{
    (void)state;
    world w;
    open_world(&w, "derived_lost", few());
    create(&w, "tree", "updater", 1000);
    drain(&w);
    for (int k = 0; k < 2; k++) {
        forest_start(&w.f, 60);
        forest_join(&w.f);
        assert_true(sql_number(w.pg, "SELECT count(*) FROM newt.check_derived('public')") > 0);
        sql_do(w.pg, k ? "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)"
                       : "DELETE FROM newt_follower");
        drain(&w);
        forest_check(&w.f, "tree");
    }
    /* a filling finds it all, too */
    forest_start(&w.f, 60);
    forest_join(&w.f);
    sql_do(w.pg, "CALL newt.refresh_derived('public', 'tree', anew => true, share => 1)");
    forest_check(&w.f, "tree");
    close_world(&w);
}

/* The role has its rights before there are derived columns. */
static void
test_role(void **state)
{
    (void)state;
    world w;
    updater u;
    char conninfo[128];
    open_world(&w, "derived_role", few());
    sql_do(w.pg,
           "CREATE ROLE derived_updater LOGIN; GRANT CONNECT ON DATABASE derived_role TO "
           "derived_updater; SELECT newt.grant_store('public', 'derived_updater', 'updater')");
    create(&w, "tree", "updater", 3);
    create(&w, "late", "inline", 3);
    forest_start(&w.f, 60);
    forest_join(&w.f);
    snprintf(conninfo, sizeof conninfo, "%s user=derived_updater", w.conninfo);
    updater_start(&u, "--sink=derived", "--once", conninfo, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    forest_check(&w.f, "tree");
    forest_check(&w.f, "late");
    close_world(&w);
    w.pg = sql_open("derived_role");
    sql_do(w.pg, "SELECT newt.revoke_store('public', 'derived_updater'); DROP OWNED BY "
                 "derived_updater; DROP ROLE derived_updater");
    PQfinish(w.pg);
}

/* There is no transaction that could be refused: somebody has to look after it. */
static void
test_refused(void **state)
{
    (void)state;
    world w;
    updater u;
    open_world(&w, "derived_refused", few());
    create(&w, "tree", "updater", 1000);
    drain(&w);
    sql_do(w.pg, "ALTER TABLE tree ADD CONSTRAINT few CHECK (n < 0) NOT VALID");
    forest_start(&w.f, 20);
    forest_join(&w.f);
    updater_start(&u, "--sink=derived", "--once", w.conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "few");
    updater_forget(&u, status != 1 || !said);
    assert_int_equal(status, 1);
    assert_true(said);
    sql_do(w.pg, "ALTER TABLE tree DROP CONSTRAINT few");
    drain(&w);
    forest_check(&w.f, "tree");
    close_world(&w);
}

static void
test_no_extension(void **state)
{
    (void)state;
    char conninfo[64];
    updater u;
    PGconn *pg = make_database("derived_bare", false, conninfo);
    make_store(conninfo, "public");
    updater_start(&u, "--sink=derived", "--once", conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "extension \"newt\"") && updater_says(&u, "CREATE EXTENSION newt");
    updater_forget(&u, !said);
    assert_int_equal(status, 1);
    assert_true(said);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),  cmocka_unit_test(test_followed),
        cmocka_unit_test(test_turns),   cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_lost),    cmocka_unit_test(test_role),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_no_extension),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("derived", tests, NULL, NULL);
}
