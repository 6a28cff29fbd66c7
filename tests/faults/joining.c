/*
 * joining.c - the resources of examples/joining: a file and another database, with the program
 * killed at each phase
 */
#include "../storages/stored.h"

#include "../../examples/joining/joining.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

static void
check(place *p, int64_t n, bool there)
{
    struct stat st;
    int files, bookings;

    ok(p->s.b, file_recover(p->s.b, p->directory, &files));
    ok(p->s.b, database_recover(p->s.b, p->books, &bookings));
    assert_int_equal(stored_int(p->s.db, p->r.any, "n"), n);
    assert_int_equal(stat(p->path, &st) == 0, there);
    assert_int_equal(sql_int(p->books, "SELECT count(*) FROM booking"), there);
    assert_int_equal(sql_int(p->books, "SELECT count(*) FROM pg_prepared_xacts"), 0);
}

static void
allow_prepared(void)
{
    PGconn *pg = sql_open();

    if (sql_int(pg, "SHOW max_prepared_transactions") == 0) {
        sql_do(pg, "ALTER SYSTEM SET max_prepared_transactions = 5");
        server_do("restart");
    }
    PQfinish(pg);
}

static void
test_together(void **state)
{
    int64_t point;
    place p;

    (void)state;
    allow_prepared();
    place_open(&p);
    do_all(&p, p.s.a, p.books, 2);
    newt_abort(p.s.a);
    check(&p, 1, false);
    /* the books refuse */
    do_all(&p, p.s.a, p.books, 2);
    PQclear(PQexec(p.books, "SELECT 1 / 0"));
    assert_int_equal(newt_commit(p.s.a), NEWT_ESQL);
    check(&p, 1, false);
    /* so does the directory */
    assert_int_equal(mkdir(p.path, 0700), 0);
    do_all(&p, p.s.a, p.books, 2);
    assert_int_equal(newt_commit(p.s.a), NEWT_EUNKNOWN); /* found out too late: a bad resource */
    assert_int_equal(rmdir(p.path), 0);
    check(&p, 2, true);
    unlink(p.path);
    sql_do(p.books, "TRUNCATE booking");
    /* another transaction was first */
    do_all(&p, p.s.a, p.books, 3);
    begin(p.s.b);
    write_n(p.s.b, p.r, 4);
    commit(p.s.b);
    assert_int_equal(newt_commit(p.s.a), NEWT_ECONFLICT);
    check(&p, 4, false);
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

/* Dies when it is asked to prepare, or told to commit; before the others or after them. */
static int
die(void *arg)
{
    (void)arg;
    kill(getpid(), SIGKILL);
    return NEWT_OK;
}

static int
die_preparing(void *arg, const char *name)
{
    (void)name;
    return die(arg);
}

static int
live_on(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NEWT_OK;
}

static void
nothing(void *arg)
{
    (void)arg;
}

static void
test_killed(void **state)
{
    (void)state;
    allow_prepared();
    for (int when = 0; when < 6; when++) {
        /* "/a" comes between the two, whose keys are a path in /tmp and that of a socket, which may
         * be either first; "" before both, "~" after both */
        static const char *const keys[] = {"", "/tmp/newt_k", "~"};
        bool late = when >= 3;
        newt_resource r = {.size = sizeof r,
                           .sort_key = keys[when % 3],
                           .prepare = late ? live_on : die_preparing,
                           .commit = die,
                           .abort = nothing};
        int status;
        pid_t child;
        place p;

        place_open(&p);
        child = fork();
        if (child == 0) {
            newt_conn *c = connect_(store_db(&p.s, classes, (newt_options){0}));

            do_all(&p, c, sql_open(), 7);
            ok(c, newt_join(c, &r));
            (void)!newt_commit(c);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        /* the server has seen that the client is gone */
        wait_until(sql_int(p.books, "SELECT count(*) FROM pg_stat_activity WHERE pid <> "
                                    "pg_backend_pid() AND state LIKE 'idle in transaction%%' "
                                    "AND query LIKE '%%booking%%'") == 0);
        check(&p, late ? 7 : 1, late);
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
