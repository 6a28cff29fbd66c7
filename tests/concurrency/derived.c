/*
 * derived.c - derived columns beside four that write: nothing is ever stale
 *
 * At the end everything is computed once more, from the records alone. The mode updater is in
 * tests/daemon/derived.
 */
#include "concurrency.h"

#include "../brief.h"
#include "../forest.h"

static uint64_t seed;

typedef struct refresher {
    char schema[64];
    pthread_t thread;
    atomic_bool stop;
    long calls;
    char message[512];
} refresher;

static size_t
objects(void)
{
    return getenv("NEWT_SOAK") ? 100000 : brief() ? 120 : 300;
}

/* Of two or three operations each. */
static long
transactions(void)
{
    return getenv("NEWT_SOAK") ? 10000 : brief() ? 100 : 400;
}

static void
open_forest(store *s, forest *f, newt_db **db)
{
    store_make(s, "derived");
    *db = store_db(s, forest_classes, (newt_options){0});
    forest_open(f, uri(), s->schema, *db, objects(), seed);
}

static void
close_forest(store *s, forest *f, newt_db *db)
{
    forest_close(f);
    newt_db_close(db);
    store_close(s);
}

static void
create(const store *s, const char *name, int limit)
{
    sql_do(s->pg,
           "CALL newt.create_derived('%s', '%s', '{Folder,Page}', '" FOREST_COLUMNS
           "', 'within', 'inline', %d)",
           s->schema, name, limit);
}

/* ---- tests ------------------------------------------------------------------------------- */

/* It is filled while they write; a commit computes whatever it changes. */
static void
test_inline(void **state)
{
    store s;
    forest f;
    newt_db *db;

    (void)state;
    open_forest(&s, &f, &db);
    forest_start(&f, transactions());
    create(&s, "tree", 1000000000);
    forest_join(&f);
    forest_check(&f, "tree");
    close_forest(&s, &f, db);
}

static void *
refresh_on(void *arg)
{
    refresher *w = arg;
    PGconn *pg = sql_open();
    char sql[128];

    snprintf(sql, sizeof sql, "CALL newt.refresh_derived('%s', share => 1)", w->schema);
    while (!atomic_load(&w->stop)) {
        PGresult *r = PQexec(pg, sql);

        if (PQresultStatus(r) != PGRES_COMMAND_OK) {
            snprintf(w->message, sizeof w->message, "%s", PQerrorMessage(pg));
            atomic_store(&w->stop, true);
        }
        PQclear(r);
        w->calls++;
    }
    PQfinish(pg);
    return NULL;
}

/* A commit leaves most to a session that goes after what waits. */
static void
test_limited(void **state)
{
    store s;
    forest f;
    newt_db *db;
    refresher w = {.calls = 0};

    (void)state;
    open_forest(&s, &f, &db);
    create(&s, "tree", 5);
    create(&s, "other", 1);
    snprintf(w.schema, sizeof w.schema, "%s", s.schema);
    forest_start(&f, transactions());
    assert_int_equal(pthread_create(&w.thread, NULL, refresh_on, &w), 0);
    forest_join(&f);
    atomic_store(&w.stop, true);
    pthread_join(w.thread, NULL);
    assert_string_equal(w.message, "");
    print_message("# refreshed %ld times\n", w.calls);
    sql_do(s.pg, "CALL newt.refresh_derived('%s', share => 1)", s.schema);
    forest_check(&f, "tree");
    forest_check(&f, "other");
    close_forest(&s, &f, db);
}

/* Nobody goes after it meanwhile. */
static void
test_late(void **state)
{
    store s;
    forest f;
    newt_db *db;

    (void)state;
    open_forest(&s, &f, &db);
    create(&s, "tree", 2);
    forest_start(&f, transactions());
    forest_join(&f);
    assert_true(sql_int(s.pg, "SELECT waiting FROM newt.derived('%s')", s.schema) > 0);
    sql_do(s.pg, "CALL newt.refresh_derived('%s', share => 1)", s.schema);
    forest_check(&f, "tree");
    close_forest(&s, &f, db);
}

/* What is computed before the lock is taken gives way to who has the lock and wants one of its
 * rows. */
static void
test_gives_way(void **state)
{
    store s;
    forest f;
    newt_db *db;
    PGconn *holder = sql_open(), *other = sql_open();
    PGresult *r;
    int64_t parent;
    char sql[256];

    (void)state;
    open_forest(&s, &f, &db);
    create(&s, "tree", 1000000000);
    parent = sql_int(s.pg, "SELECT min(zoid) FROM \"%s\".tree WHERE class_name = 'Folder'",
                     s.schema);
    sql_do(s.pg,
           "SELECT newt.patch('%s', (SELECT min(zoid) FROM \"%s\".tree WHERE class_name = 'Page'), "
           "'{\"within\": {\"::=>\": %" PRId64 "}}')",
           s.schema, s.schema, parent);
    sql_do(s.pg, "UPDATE \"%s\".tree SET view = view + 1000000 WHERE parent_id = %" PRId64,
           s.schema, parent);
    sql_do(s.pg,
           "INSERT INTO \"%s\".newt_derived_pending (derived, zoid, task) SELECT number, %" PRId64
           ", 'below' FROM \"%s\".newt_derived",
           s.schema, parent, s.schema);
    sql_do(holder, "SET deadlock_timeout = '60s'; SET lock_timeout = '20s'");
    sql_do(other, "SET deadlock_timeout = '60s'");
    sql_do(holder, "BEGIN");
    sql_do(holder, "LOCK TABLE \"%s\".newt_commit_lock IN EXCLUSIVE MODE", s.schema);
    snprintf(sql, sizeof sql,
             "SELECT newt_rows FROM \"%s\".newt_derived d, \"%s\".newt_compute_derived(d.number, "
             "100, true)",
             s.schema, s.schema);
    assert_int_equal(PQsendQuery(other, sql), 1);
    wait_until(sql_int(s.pg,
                       "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
                       "'\"%s\".newt_commit_lock'::regclass",
                       s.schema) > 0);
    sql_do(holder, "UPDATE \"%s\".tree SET title = title WHERE parent_id = %" PRId64, s.schema,
           parent);
    sql_do(holder, "COMMIT");
    r = PQgetResult(other);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    assert_true(atoi(PQgetvalue(r, 0, 0)) > 0);
    PQclear(r);
    PQclear(PQgetResult(other));
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM newt.check_derived('%s')", s.schema), 0);
    PQfinish(holder);
    PQfinish(other);
    close_forest(&s, &f, db);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_limited),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_gives_way),
    };

    seed = take_seed();
    use_database(true);
    return run_all(tests);
}
