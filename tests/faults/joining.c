/*
 * joining.c - the resources of examples/joining: a file and another database, with the program
 * killed at each phase
 */
#include "resources.h"

#include "../../examples/joining/joining.h"

#include <sys/stat.h>

typedef struct place {
    store s;
    item_ref r;
    char directory[64], path[128];
    PGconn *books;
} place;

static void
place_open(place *p)
{
    store_open(&p->s, "joining");
    p->r = make_item(p->s.a, "r", 1);
    strcpy(p->directory, "/tmp/newt_joining_XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    snprintf(p->path, sizeof p->path, "%s/invoice", p->directory);
    p->books = sql_open();
    sql_do(p->books, "CREATE TABLE IF NOT EXISTS booking (n bigint)");
    sql_do(p->books, "TRUNCATE booking");
}

static void
place_close(place *p)
{
    unlink(p->path);
    assert_int_equal(rmdir(p->directory), 0); /* nothing else is there */
    PQfinish(p->books);
    store_close(&p->s);
}

static void
do_all(const place *p, newt_conn *c, PGconn *books, int n)
{
    begin(c);
    write_n(c, p->r, n);
    ok(c, file_join(c, p->path, "an invoice", 10));
    ok(c, database_join(c, books));
    sql_do(books, "INSERT INTO booking VALUES (%d)", n);
}

/* What was prepared and not told, which is settled now. */
typedef struct left {
    int files, bookings;
} left;

static void
check(place *p, left want, int64_t n, bool there)
{
    struct stat st;
    left got;

    ok(p->s.b, file_recover(p->s.b, p->directory, &got.files));
    ok(p->s.b, database_recover(p->s.b, p->books, &got.bookings));
    assert_int_equal(got.files, want.files);
    assert_int_equal(got.bookings, want.bookings);
    assert_int_equal(stored_int(p->s.db, p->r.any, "n"), n);
    assert_int_equal(stat(p->path, &st) == 0, there);
    assert_int_equal(sql_int(p->books, "SELECT count(*) FROM booking"), there);
    assert_int_equal(sql_int(p->books, "SELECT count(*) FROM pg_prepared_xacts"), 0);
}

static void
test_together(void **state)
{
    static const left nothing_left, a_file = {.files = 1};
    int64_t point;
    place p;

    (void)state;
    allow_prepared(5);
    place_open(&p);
    do_all(&p, p.s.a, p.books, 2);
    newt_abort(p.s.a);
    check(&p, nothing_left, 1, false);
    /* the books refuse */
    do_all(&p, p.s.a, p.books, 2);
    PQclear(PQexec(p.books, "SELECT 1 / 0"));
    assert_int_equal(newt_commit(p.s.a), NEWT_ESQL);
    check(&p, nothing_left, 1, false);
    /* so does the directory */
    assert_int_equal(mkdir(p.path, 0700), 0);
    do_all(&p, p.s.a, p.books, 2);
    assert_int_equal(newt_commit(p.s.a), NEWT_EUNKNOWN); /* found out too late: a bad resource */
    assert_int_equal(rmdir(p.path), 0);
    check(&p, a_file, 2, true);
    unlink(p.path);
    sql_do(p.books, "TRUNCATE booking");
    /* another transaction was first */
    do_all(&p, p.s.a, p.books, 3);
    begin(p.s.b);
    write_n(p.s.b, p.r, 4);
    commit(p.s.b);
    assert_int_equal(newt_commit(p.s.a), NEWT_ECONFLICT);
    check(&p, nothing_left, 4, false);
    /* savepoints of the database alone: a file has none */
    begin(p.s.a);
    write_n(p.s.a, p.r, 5);
    ok(p.s.a, database_join(p.s.a, p.books));
    sql_do(p.books, "INSERT INTO booking VALUES (5)");
    ok(p.s.a, newt_savepoint(p.s.a, &point));
    sql_do(p.books, "INSERT INTO booking VALUES (6)");
    ok(p.s.a, newt_rollback_to(p.s.a, point));
    commit(p.s.a);
    assert_int_equal(sql_int(p.books, "SELECT sum(n) FROM booking"), 5);
    place_close(&p);
}

/* What each leaves, where the database comes first; the file first, it is the other way round. */
static void
test_killed(void **state)
{
    static const struct {
        bool committed; /* it dies when it is told, else when it is to prepare */
        int place;      /* before both, between the two, after both */
        left left;
    } cases[] = {
        {false, 0, {0, 0}}, {false, 1, {0, 1}}, {false, 2, {1, 1}},
        {true, 0, {1, 1}},  {true, 1, {1, 0}},  {true, 2, {0, 0}},
    };

    (void)state;
    allow_prepared(5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool late = cases[i].committed, file_first;
        left want = cases[i].left;
        char between[300];
        const char *keys[] = {"", between, "~"};
        newt_resource r = {.size = sizeof r,
                           .sort_key = keys[cases[i].place],
                           .prepare = late ? go_on_preparing : die_preparing,
                           .commit = die,
                           .abort = do_nothing};
        pid_t child;
        place p;

        place_open(&p);
        file_first = strcmp(p.path, PQhost(p.books)) < 0;
        if (file_first)
            want = (left){.files = want.bookings, .bookings = want.files};
        snprintf(between, sizeof between, "%s!", file_first ? p.path : PQhost(p.books));
        assert_true(strcmp(between, file_first ? PQhost(p.books) : p.path) < 0);
        child = fork_child();
        if (child == 0) {
            newt_conn *c;

            alarm(PATIENCE_S);
            c = connect_(store_db(&p.s, classes, (newt_options){0}));
            do_all(&p, c, sql_open(), 7);
            ok(c, newt_join(c, &r));
            (void)!newt_commit(c);
            _exit(1);
        }
        assert_died(child);
        /* the server has seen that the client is gone */
        wait_until(sql_int(p.books, "SELECT count(*) FROM pg_stat_activity WHERE pid <> "
                                    "pg_backend_pid() AND state LIKE 'idle in transaction%%' "
                                    "AND query LIKE '%%booking%%'") == 0);
        check(&p, want, late ? 7 : 1, late);
        place_close(&p);
    }
}

static const struct CMUnitTest joining[] = {
    cmocka_unit_test(test_together),
    cmocka_unit_test(test_killed),
};

int
main(void)
{
    return run_all(joining);
}
