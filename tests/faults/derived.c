/*
 * derived.c - derived columns when the server crashes, while they are filled, kept and computed
 * later; and when the disk under them is full
 *
 * Needs dev/private-server's verbs, and a server that no other test uses meanwhile; root, for a
 * disk that is small.
 */
#include "../bridge/server.h"

#include "../forest.h"
#include "disk.h"

#include <sys/statvfs.h>

enum {
    OBJECTS = 1000,
    PAGES = 3000 /* in a transaction that finds no room */
};

static uint64_t seed;

typedef struct writer {
    pthread_t thread;
    forest *f;
    atomic_bool stop;
    atomic_long commits;
    char message[256];
} writer;

/* A server that is away is asked again. */
static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = NULL;

    while (!atomic_load(&w->stop)) {
        felling some = {.all = w->f, .random = &w->f->who[0].random};
        int status = c ? NEWT_OK : newt_connect(w->f->db, &c);

        if (status == NEWT_OK)
            status = forest_transact(c, &some);
        if (status == NEWT_OK) {
            atomic_fetch_add(&w->commits, 1);
            continue;
        }
        if (status == ANOTHER_WAS_FASTER)
            continue;
        if (status != NEWT_ELOST && status != NEWT_EUNKNOWN && status != NEWT_EBUSY &&
            status != NEWT_ECONFLICT) {
            snprintf(w->message, sizeof w->message, "%s",
                     newt_error_message(newt_last_error(w->f->db, c)));
            break;
        }
        newt_close(c);
        c = NULL;
    }
    newt_close(c);
    return NULL;
}

static void
wait_for_commits(writer *w, long more)
{
    long before = atomic_load(&w->commits);

    wait_until(atomic_load(&w->commits) >= before + more || *w->message);
    assert_string_equal(w->message, "");
}

static void
crash(store *s, forest *f)
{
    PQfinish(s->pg);
    PQfinish(f->pg);
    PQfinish(f->reviver);
    server_do("crash");
    server_do("start");
    s->pg = sql_open();
    sql_do(s->pg, "SET search_path = %s, public", s->schema);
    f->pg = forest_connect(uri(), s->schema);
    f->reviver = forest_connect(uri(), s->schema);
}

static void
crash_within(store *s, forest *f, writer *w, const char *sql)
{
    PGconn *pg = sql_open();

    assert_int_equal(PQsendQuery(pg, sql), 1);
    wait_for_commits(w, 5);
    crash(s, f);
    PQfinish(pg);
}

/* What was committed is right afterwards, or waits to be computed. */
static void
test_crashes(void **state)
{
    int rounds = getenv("NEWT_SOAK") ? 20 : 2;
    char create[2048], refresh[128];
    store s;
    forest f;

    (void)state;
    use_database(true);
    store_make(&s, "derived_crash");
    s.db = store_db(&s, forest_classes, (newt_options){0});
    forest_open(&f, uri(), s.schema, s.db, OBJECTS, seed);
    writer w = {.f = &f};
    assert_int_equal(pthread_create(&w.thread, NULL, write_on, &w), 0);
    snprintf(refresh, sizeof refresh, "CALL newt.refresh_derived('%s', share => 1)", s.schema);
    for (int round = 0; round < rounds; round++) {
        snprintf(create, sizeof create,
                 "CALL newt.create_derived('%s', 'tree', '{Folder,Page}', '" FOREST_COLUMNS
                 "', 'within', 'inline', %d)",
                 s.schema, round % 2 ? 1000000 : 5);
        crash_within(&s, &f, &w, create);
        if (sql_int(s.pg, "SELECT count(*) FROM newt_derived") == 0)
            sql_do(s.pg, "%s", create);
        wait_for_commits(&w, 20);
        crash(&s, &f);
        wait_for_commits(&w, 20);
        crash_within(&s, &f, &w, refresh);
        sql_do(s.pg, "%s", refresh);
        wait_for_commits(&w, 5);
        atomic_store(&w.stop, true);
        pthread_join(w.thread, NULL);
        sql_do(s.pg, "%s", refresh);
        forest_check(&f, "tree");
        sql_do(s.pg, "SELECT newt.drop_derived('%s', 'tree')", s.schema);
        atomic_store(&w.stop, false);
        assert_int_equal(pthread_create(&w.thread, NULL, write_on, &w), 0);
    }
    atomic_store(&w.stop, true);
    pthread_join(w.thread, NULL);
    assert_string_equal(w.message, "");
    forest_close(&f);
    newt_db_close(s.db);
    PQfinish(s.pg);
}

static bool
has_room(void)
{
    struct statvfs v;

    return statvfs(small, &v) == 0 && (double)v.f_bavail * (double)v.f_frsize > 3 << 20;
}

static int
write_pages(newt_conn *c)
{
    begin(c);
    for (int i = 0; i < PAGES; i++) {
        struct page *p = page_new(c);

        newt_set(p, title, "A page that finds no room");
        page_done(p);
    }
    return newt_commit(c);
}

/* The commit is refused as a whole, what needs no room goes on, and with room again it succeeds. */
static void
test_full(void **state)
{
    static const char all[] =
        "SELECT concat_ws(' ', (SELECT max(tid) FROM transaction), (SELECT count(*) FROM "
        "object_state), (SELECT count(*) FROM newt_projection), (SELECT count(*) FROM tree), "
        "(SELECT count(*) FROM newt_dependency), (SELECT count(*) FROM newt_derived_pending))";
    char *before, *after;
    store s;
    forest f;

    (void)state;
    if (!make_disk()) {
        print_message("# a small file system needs root\n");
        skip();
    }
    use_database(true);
    store_make(&s, "derived_full");
    s.db = store_db(&s, forest_classes, (newt_options){0});
    s.a = connect_(s.db);
    forest_open(&f, uri(), s.schema, s.db, 100, seed);
    sql_do(s.pg,
           "CALL newt.create_derived('%s', 'tree', '{Folder,Page}', '" FOREST_COLUMNS
           "', 'within', 'inline', 1000000)",
           s.schema);
    sql_do(s.pg, "CREATE TABLESPACE newt_small LOCATION '%s'", small);
    sql_do(s.pg, "ALTER TABLE tree SET TABLESPACE newt_small");
    fill_disk(s.pg);
    before = sql_text(s.pg, all);
    assert_int_not_equal(write_pages(s.a), NEWT_OK);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "53100");
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "No space left on device"));
    newt_abort(s.a);
    after = sql_text(s.pg, all);
    assert_string_equal(after, before);
    begin(s.a);
    assert_non_null(company_new(s.a));
    commit(s.a);
    sql_do(s.pg, "DROP TABLE filler");
    sql_do(s.pg, "CHECKPOINT"); /* whoever has its file open lets it go */
    wait_until(has_room());
    assert_int_equal(write_pages(s.a), NEWT_OK);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt.check_derived('%s')", s.schema);
    free(before);
    free(after);
    forest_close(&f);
    newt_close(s.a);
    newt_db_close(s.db);
    PQfinish(s.pg);
}

static int
remove_small(void **state)
{
    (void)state;
    remove_disk(test_database);
    return 0;
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test_teardown(test_full, remove_small),
    };

    seed = generate_seed();
    return run_all(tests);
}
