/*
 * clock.c - a server whose clock stands still or goes back, across a restart and a promotion: tids
 * rise all the same, and readers and followers miss nothing
 *
 * Runs itself again inside a private server of its own, into which libfaketime is loaded. That
 * reads the offset from a file each time that it is asked for the time.
 */
#include "../bridge/server.h"

#include <glob.h>
#include <sys/stat.h>

/* At once: whoever reads half an offset, or none, ends there and then, and that may be the
 * postmaster. */
static void
set_clock(const char *offset)
{
    const char *file = getenv("FAKETIME_TIMESTAMP_FILE");
    char next[64];
    FILE *f;

    snprintf(next, sizeof next, "%s.next", file);
    f = fopen(next, "w");
    assert_non_null(f);
    assert_true(fputs(offset, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(next, 0644), 0);
    assert_int_equal(rename(next, file), 0);
}

/* What the server takes for the time, in microseconds. */
static int64_t
server_clock(PGconn *pg)
{
    return sql_int(pg, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
}

static int
add_one(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    item_done(i);
    return 0;
}

typedef struct feed {
    store s;
    item_ref r;
    int64_t n, tid; /* of the last commit */
} feed;

/* The number of transactions that a follower finds; after them it stands where the store does. */
static int64_t
follow(feed *f)
{
    newt_progress p = {.size = sizeof p};
    int64_t transactions = 0;

    do {
        ok(f->s.a, newt_project(f->s.a, "follower", 1000, &p));
        transactions += p.transactions;
    } while (p.behind_us > 0);
    assert_int_equal(p.tid, f->tid);
    return transactions;
}

static void
start(feed *f, newt_options o)
{
    set_clock("+0");
    store_open_as(&f->s, "clock", o);
    f->r = make_item(f->s.a, "r", 0);
    f->tid = newt_tid(f->s.a);
    follow(f); /* a new follower goes through the objects first */
}

/* Some commits by each connection, every one seen by the other, and then by the follower. */
static void
go_on(feed *f)
{
    newt_conn *c[] = {f->s.a, f->s.b};

    for (int i = 0; i < 6; i++) {
        ok(c[i % 2], newt_transact(c[i % 2], add_one, &f->r, NULL));
        assert_true(newt_tid(c[i % 2]) > f->tid);
        f->tid = newt_tid(c[i % 2]);
        begin(c[1 - i % 2]);
        assert_int_equal(read_n(c[1 - i % 2], f->r), ++f->n);
        commit(c[1 - i % 2]);
    }
    assert_true(follow(f) >= 6); /* a crash may take the position back some way */
    assert_sql(f->s.pg, "t", "SELECT max(tid) = %lld FROM transaction", (long long)f->tid);
}

/* Long ago; the clock stands still at it. */
static const char standing[] = "2026-01-01 00:00:00";

static void
reconnect(feed *f)
{
    PQfinish(f->s.pg);
    f->s.pg = sql_open();
    sql_do(f->s.pg, "SET search_path = %s, public", f->s.schema);
}

static void
test_clock(void **state)
{
    feed f = {0};
    int64_t at;

    start(&f, *(newt_options *)*state);
    go_on(&f);
    /* it goes back by an hour */
    set_clock("-3600");
    assert_true(server_clock(f.s.pg) < f.tid);
    go_on(&f);
    /* ... further, and then stands still */
    set_clock(standing);
    at = server_clock(f.s.pg);
    assert_int_equal(server_clock(f.s.pg), at);
    assert_true(at < f.tid);
    go_on(&f);
    /* the server forgets everything that it has in memory */
    server_do("restart");
    reconnect(&f);
    assert_int_equal(server_clock(f.s.pg), at);
    go_on(&f);
    server_do("crash");
    server_do("start");
    reconnect(&f);
    go_on(&f);
    /* time catches up */
    set_clock("+3600");
    assert_true(server_clock(f.s.pg) > f.tid);
    go_on(&f);
    assert_true(f.tid > server_clock(f.s.pg) - 1800 * INT64_C(1000000));
    store_close(&f.s);
}

/* Its clock is slow against that of the server whose place it takes. */
static void
test_promoted(void **state)
{
    newt_options o = {.size = sizeof o};
    feed f = {0}, g;
    char promoted[300];
    int64_t before;
    char *at;

    (void)state;
    start(&f, o);
    snprintf(promoted, sizeof promoted, "postgresql:///%s?host=%s&port=5433&user=%s", PQdb(f.s.pg),
             getenv("PGHOST"), getenv("PGUSER"));
    server_do("standby");
    go_on(&f);
    before = f.tid;
    at = sql_text(f.s.pg, "SELECT pg_current_wal_insert_lsn()");
    g = f;
    g.s.pg = PQconnectdb(promoted);
    wait_until(sql_int(g.s.pg, "SELECT (pg_last_wal_replay_lsn() >= '%s')::int", at) == 1);
    free(at);
    set_clock("-7200");
    server_do("stop");
    server_do("promote");
    sql_do(g.s.pg, "SET search_path = %s, public", f.s.schema);
    assert_true(server_clock(g.s.pg) < before);
    o.schema = f.s.schema;
    if (newt_db_open(&g.s.db, promoted, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(g.s.db));
    g.s.a = connect_(g.s.db);
    g.s.b = connect_(g.s.db);
    go_on(&g);
    assert_in_range(g.tid, before + 1, before + 100);
    store_close(&g.s);
    store_close(&f.s);
}

static newt_options client = {.projector = NEWT_PROJECT_CLIENT}, server;

static const struct CMUnitTest clocks[] = {
    {"test_clock (client)", test_clock, NULL, NULL, &client},
    {"test_clock (server)", test_clock, NULL, NULL, &server},
    cmocka_unit_test(test_promoted),
};

/* In a private server with that library; only if that cannot be, this returns. */
static void
run_again(const char *program)
{
    char file[] = "/tmp/newt_clock_XXXXXX", env[64], command[4096], log[64];
    glob_t found = {0};
    int fd = mkstemp(file), status = -1;

    if (fd < 0 || glob("/usr/lib/*/faketime/libfaketime.so.1", 0, NULL, &found) != 0) {
        puts("Bail out! libfaketime is not here (Debian: libfaketime)");
        exit(2);
    }
    close(fd);
    snprintf(env, sizeof env, "FAKETIME_TIMESTAMP_FILE=%s", file);
    putenv(env);
    snprintf(command, sizeof command,
             "printf +0 >%s && chmod 644 %s && exec dev/private-server --no-fsync --log %s.log "
             "--preload %s --env %s --env FAKETIME_NO_CACHE=1 --env DONT_FAKE_MONOTONIC=1 -- %s",
             file, file, file, found.gl_pathv[0], env, program);
    globfree(&found);
    status = system(command);
    snprintf(log, sizeof log, "%s.log", file);
    snprintf(command, sizeof command, "tail -n 60 %s | sed 's/^/# /'", log);
    if (status != 0 && system(command) != 0)
        puts("# its log cannot be read");
    unlink(log);
    unlink(file);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
}

int
main(int argc, char **argv)
{
    if (argc > 0 && !getenv("FAKETIME_TIMESTAMP_FILE"))
        run_again(argv[0]);
    use_database(true);
    return run_all(clocks);
}
