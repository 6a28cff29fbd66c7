/*
 * server_feed.c - feeds of a store in PostgreSQL: rows of one's own, durability, who is in the way,
 * positions that are lost, retention
 */
#include "followed.h"

#include <unistd.h>

/* ---- rows of one's own --------------------------------------------------------------- */

static int
add_row(newt_feed *f, const char *what)
{
    return newt_feed_exec(f, "INSERT INTO seen VALUES ($1)", 1, &what);
}

static void
test_exec(void **state)
{
    const char *const params[] = {"x", NULL};
    const newt_batch *b;
    newt_feed *f, *g;
    setting x;

    open_setting(&x, "exec", state);
    sql_do(x.s.pg, "CREATE TABLE seen (what text UNIQUE)");
    f = open_feed(x.f, (newt_feed_options){.follower = "f"});
    ok(x.f, newt_feed_next(f, 0, &b));
    make_item(x.lazy, "1", 1);
    next(x.f, f);
    ok(x.f, add_row(f, "a"));
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EBUSY);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM seen");
    /* until then nobody else can move the position, or write a part of a batch */
    assert_sql(x.s.pg, "0",
               "SELECT count(*) FROM (SELECT FROM newt_follower FOR SHARE SKIP LOCKED) x");
    ok(x.f, newt_feed_commit(f));
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM (SELECT FROM newt_follower FOR SHARE) x");
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM seen");
    /* a statement that fails takes the others along, and the batch comes again */
    make_item(x.lazy, "2", 2);
    next(x.f, f);
    ok(x.f, add_row(f, "b"));
    assert_int_equal(add_row(f, "a"), NEWT_EUNIQUE);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM seen");
    assert_int_equal(next(x.f, f)->n_events, 1);
    assert_int_equal(newt_feed_exec(f, "COMMIT", 0, NULL), NEWT_ESQL);
    next(x.f, f);
    assert_int_equal(newt_feed_exec(f, "INSERT INTO seen VALUES ($1), ($2)", 2, params), NEWT_OK);
    /* the program dies, or its connection: neither the rows nor the position */
    sql_do(x.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                   "datname = current_database() AND state = 'idle in transaction'");
    assert_int_equal(newt_feed_commit(f), NEWT_ELOST);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM seen");
    assert_int_equal(next(x.f, f)->n_events, 1);
    ok(x.f, add_row(f, "b"));
    ok(x.f, newt_feed_commit(f));
    assert_sql(x.s.pg, "2", "SELECT count(*) FROM seen");
    ok(x.f, newt_feed_next(f, 0, &b));
    assert_null(b);
    /* somebody else has moved the position */
    make_item(x.lazy, "3", 3);
    next(x.f, f);
    sql_do(x.s.pg, "UPDATE newt_follower SET tid = tid + 1, serial = NULL");
    assert_int_equal(add_row(f, "c"), NEWT_ECONFLICT);
    sql_do(x.s.pg, "UPDATE newt_follower SET tid = tid - 1");
    next(x.f, f);
    ok(x.f, add_row(f, "c"));
    newt_feed_close(f); /* without a commit */
    assert_sql(x.s.pg, "2", "SELECT count(*) FROM seen");
    /* nothing else may use the connection meanwhile: it could end the transaction */
    f = open_feed(x.f, (newt_feed_options){.follower = "f"});
    g = open_feed(x.f, (newt_feed_options){0});
    next(x.f, f);
    ok(x.f, add_row(f, "c"));
    assert_int_equal(newt_begin(x.f), NEWT_EBUSY);
    assert_int_equal(newt_feed_forget(x.f, "other"), NEWT_EBUSY);
    assert_int_equal(newt_feed_next(g, 0, &b), NEWT_EBUSY);
    ok(x.f, newt_feed_commit(f));
    assert_sql(x.s.pg, "3", "SELECT count(*) FROM seen");
    begin(x.f);
    newt_abort(x.f);
    newt_feed_close(g);
    newt_feed_close(f);
    g = open_feed(x.g, (newt_feed_options){0});
    assert_int_equal(newt_feed_exec(g, "SELECT 1", 0, NULL), NEWT_EINVAL);
    newt_feed_close(g);
    close_setting(&x);
}

/* A follower that is sent back, or ahead, begins there until it has been committed once. */
static void
test_token(void **state)
{
    char token[64];
    const newt_batch *b;
    newt_feed *f;
    setting x;

    open_setting(&x, "token", state);
    sql_do(x.s.pg, "CREATE TABLE seen (what text UNIQUE)");
    f = open_feed(x.f, (newt_feed_options){.follower = "f"});
    ok(x.f, newt_feed_next(f, 0, &b));
    snprintf(token, sizeof token, "%s", newt_feed_token(f));
    make_item(x.lazy, "1", 1);
    next(x.f, f);
    ok(x.f, add_row(f, "a"));
    ok(x.f, newt_feed_commit(f));
    newt_feed_close(f);
    f = open_feed(x.f, (newt_feed_options){.follower = "f", .token = token});
    assert_int_equal(next(x.f, f)->n_events, 1);
    assert_int_equal(add_row(f, "a"), NEWT_EUNIQUE);
    assert_int_equal(next(x.f, f)->n_events, 1);
    ok(x.f, add_row(f, "b"));
    ok(x.f, newt_feed_commit(f));
    make_item(x.lazy, "2", 2);
    assert_int_equal(next(x.f, f)->n_events, 1);
    assert_int_equal(add_row(f, "a"), NEWT_EUNIQUE);
    assert_int_equal(next(x.f, f)->n_events, 1); /* from the store again */
    newt_feed_close(f);
    close_setting(&x);
}

/* ---- what is durable ----------------------------------------------------------------- */

typedef struct waiter {
    newt_conn *c;
    newt_feed *f;
    size_t n;
    int status;
} waiter;

static void *
next_in_thread(void *arg)
{
    waiter *w = arg;
    const newt_batch *b = NULL;

    w->status = newt_feed_next(w->f, 60000, &b);
    w->n = b ? b->n_events : 0;
    return NULL;
}

static void *
commit_in_thread(void *arg)
{
    make_item(arg, "waits", 1);
    return NULL;
}

/* A commit is seen before its standby has it; what leaves the database waits. */
static void
test_durable(void **state)
{
    newt_feed *early, *late;
    const newt_batch *b;
    pthread_t writer, reader;
    waiter w = {0};
    setting x;

    open_setting(&x, "durable", state);
    make_item(x.lazy, "takes numbers", 0);
    early = open_feed(x.f, (newt_feed_options){.want = NEWT_FEED_EARLY});
    late = open_feed(x.g, (newt_feed_options){0});
    ok(x.f, newt_feed_next(early, 0, &b));
    ok(x.g, newt_feed_next(late, 0, &b));
    synchronous_standby(x.s.pg, "nobody");
    assert_int_equal(pthread_create(&writer, NULL, commit_in_thread, x.lazy), 0);
    assert_int_equal(next(x.f, early)->n_events, 1);
    w = (waiter){.c = x.g, .f = late};
    assert_int_equal(pthread_create(&reader, NULL, next_in_thread, &w), 0);
    wait_until(sql_int(x.s.pg, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                               "current_database() AND wait_event = 'SyncRep'") == 2);
    assert_int_equal(w.n, 0);
    synchronous_standby(x.s.pg, "");
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(w.status, NEWT_OK);
    assert_int_equal(w.n, 1);
    newt_feed_close(early);
    newt_feed_close(late);
    close_setting(&x);
}

/* What was read over a connection that is lost may be lost, too: it is read again. */
static void
test_reconnects(void **state)
{
    const newt_batch *b;
    newt_feed *f;
    setting x;

    open_setting(&x, "reconnects", state);
    f = open_feed(x.f, (newt_feed_options){.batch_objects = 10});
    ok(x.f, newt_feed_next(f, 0, &b));
    begin(x.lazy);
    for (int i = 0; i < 100; i++)
        item_done(new_item(x.lazy, "x", i));
    commit(x.lazy);
    assert_int_equal(next(x.f, f)->n_events, 10);
    assert_true(next(x.f, f)->transactions[0].begun);
    sql_do(x.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                   "datname = current_database() AND pid <> pg_backend_pid()");
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_ELOST);
    assert_false(next(x.f, f)->transactions[0].begun);
    newt_feed_close(f);
    /* nor is a transaction left in the middle, though what was fetched of it has been handed over
     */
    f = open_feed(x.f, (newt_feed_options){.batch_objects = 5000});
    ok(x.f, newt_feed_next(f, 0, &b));
    begin(x.lazy);
    for (int i = 0; i < 12000; i++)
        item_done(new_item(x.lazy, "x", i));
    commit(x.lazy);
    assert_true(next(x.f, f)->transactions[0].more);
    sql_do(x.s.pg, "ALTER TABLE transaction_object RENAME TO away");
    assert_int_not_equal(newt_feed_next(f, 0, &b), NEWT_OK);
    sql_do(x.s.pg, "ALTER TABLE away RENAME TO transaction_object");
    assert_false(next(x.f, f)->transactions[0].begun);
    newt_feed_close(f);
    close_setting(&x);
}

/* ---- who is in the way --------------------------------------------------------------- */

static void
test_holder(void **state)
{
    char pid[40];
    const newt_batch *b;
    newt_feed *f;
    PGconn *pg;
    setting x;

    open_setting(&x, "holder", state);
    f = open_feed(x.f, (newt_feed_options){0});
    ok(x.f, newt_feed_next(f, 0, &b));
    pg = sql_open();
    sql_do(pg, "BEGIN");
    sql_do(pg, "LOCK TABLE %s.newt_commit_lock IN EXCLUSIVE MODE", x.s.schema);
    snprintf(pid, sizeof pid, "PID %d ", PQbackendPID(pg));
    for (int i = 0; i < 100 && x.told.n == 0; i++)
        ok(x.f, newt_feed_next(f, 2000, &b));
    assert_int_equal(x.told.n, 1);
    assert_non_null(strstr(x.told.text, pid));
    assert_non_null(strstr(x.told.hint, "pg_terminate_backend"));
    ok(x.f, newt_feed_next(f, 1100, &b)); /* told once */
    assert_int_equal(x.told.n, 1);
    sql_do(pg, "ROLLBACK");
    /* who never waits hears of it, too */
    x.told.n = 0;
    make_item(x.lazy, "x", 1);
    next(x.f, f);
    sql_do(pg, "BEGIN");
    sql_do(pg, "LOCK TABLE %s.newt_commit_lock IN EXCLUSIVE MODE", x.s.schema);
    for (int i = 0; i < 60000 && x.told.n == 0; i++) {
        ok(x.f, newt_feed_next(f, 0, &b));
        usleep(1000);
    }
    assert_int_equal(x.told.n, 1);
    sql_do(pg, "ROLLBACK");
    PQfinish(pg);
    newt_feed_close(f);
    close_setting(&x);
}

/* A name is free when its process has lost its connection. */
static void
test_claim(void **state)
{
    const newt_batch *b;
    newt_feed *f, *g;
    int64_t tid;
    setting x;

    open_setting(&x, "claim", state);
    f = open_feed(x.f, (newt_feed_options){.follower = "it's"});
    g = open_feed(x.g, (newt_feed_options){.follower = "it's"});
    ok(x.f, newt_feed_next(f, 0, &b));
    make_item(x.lazy, "1", 1);
    tid = next(x.f, f)->tid;
    assert_int_equal(newt_feed_next(g, 0, &b), NEWT_ECONFLICT);
    sql_do(x.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = "
                   "'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = "
                   "current_database()) AND objsubid = 2");
    assert_int_equal(next(x.g, g)->tid, tid);
    /* the first finds out when it commits, or asks */
    assert_int_equal(newt_feed_commit(f), NEWT_ECONFLICT);
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_ECONFLICT);
    ok(x.g, newt_feed_commit(g));
    newt_feed_close(g);
    ok(x.f, newt_feed_next(f, 0, &b));
    assert_null(b);
    newt_feed_close(f);
    close_setting(&x);
}

/* ---- positions that are lost --------------------------------------------------------- */

static void
expect_missing(setting *x, const char *detail)
{
    const newt_batch *b;
    newt_feed *f = open_feed(x->f, (newt_feed_options){.follower = "f"});

    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EMISSING);
    assert_non_null(strstr(newt_error_detail(newt_conn_error(x->f)), detail));
    assert_non_null(strstr(newt_error_hint(newt_conn_error(x->f)), "NEWT_FEED_COPY"));
    newt_feed_close(f);
}

static void
test_lost(void **state)
{
    const newt_batch *b;
    newt_feed *f;
    setting x;

    open_setting(&x, "lost_place", state);
    for (int i = 0; i < 5; i++)
        make_item(x.lazy, "x", i);
    f = open_feed(x.f, (newt_feed_options){.follower = "f", .start = NEWT_FEED_OLDEST});
    next(x.f, f);
    ok(x.f, newt_feed_commit(f));
    newt_feed_close(f);
    make_item(x.lazy, "y", 1);
    sql_do(x.s.pg, "UPDATE newt_follower SET serial = serial + 1");
    expect_missing(&x, "Another history");
    sql_do(x.s.pg, "UPDATE newt_follower SET serial = NULL, tid = 12345");
    expect_missing(&x, "pruned");
    sql_do(x.s.pg, "UPDATE newt_follower SET tid = 4000000000000000");
    expect_missing(&x, "older backup");
    /* the oldest transaction goes while its parts are read */
    begin(x.lazy);
    for (int i = 0; i < 6000; i++)
        item_done(new_item(x.lazy, "x", i));
    commit(x.lazy);
    make_item(x.lazy, "z", 1);
    sql_do(x.s.pg, "DELETE FROM transaction WHERE written IS NOT NULL AND tid < "
                   "(SELECT max(tid) FROM transaction)");
    f = open_feed(x.f, (newt_feed_options){.start = NEWT_FEED_OLDEST, .batch_objects = 4000});
    assert_true(next(x.f, f)->transactions[0].more);
    sql_do(x.s.pg, "DELETE FROM transaction WHERE written IS NULL");
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EMISSING);
    newt_feed_close(f);
    ok(x.f, newt_feed_forget(x.f, "f"));
    f = open_feed(
        x.f, (newt_feed_options){.follower = "f", .start = NEWT_FEED_COPY, .batch_objects = 10000});
    b = next(x.f, f);
    assert_true(b->copy);
    assert_int_equal(b->n_events, 6008);
    newt_feed_close(f);
    close_setting(&x);
}

/* ---- retention ----------------------------------------------------------------------- */

/* All transactions, and followers, as they would be ten minutes later. */
static void
grow_older(setting *x)
{
    sql_do(x->s.pg, "UPDATE transaction SET tid = -tid");
    sql_do(x->s.pg, "UPDATE transaction SET tid = -tid - 600000000");
    sql_do(x->s.pg, "UPDATE newt_follower SET tid = tid - 600000000");
}

static void
test_prune(void **state)
{
    const newt_batch *b;
    int64_t n;
    newt_feed *f;
    setting x;

    open_setting(&x, "prune", state);
    for (int i = 0; i < 20; i++)
        make_item(x.lazy, "x", i);
    sql_do(x.s.pg, "UPDATE newt_store SET keep_age = '0'");
    ok(x.f, newt_prune(x.f, 1000, &n)); /* a commit may still be asked for */
    assert_int_equal(n, 0);
    grow_older(&x);
    f = open_feed(
        x.f, (newt_feed_options){.follower = "f", .start = NEWT_FEED_OLDEST, .batch_objects = 1});
    next(x.f, f);
    ok(x.g, newt_prune(x.g, 1000, &n));
    assert_int_equal(n, 0); /* it has committed nothing yet */
    for (int i = 0; i < 7; i++)
        next(x.f, f);
    ok(x.f, newt_feed_commit(f));
    ok(x.g, newt_prune(x.g, 3, &n));
    assert_int_equal(n, 3);
    ok(x.g, newt_prune(x.g, 1000, &n));
    assert_int_equal(n, 4); /* the follower's own row stays, and what comes after it */
    next(x.f, f);
    ok(x.f, newt_feed_commit(f));
    /* a follower that is too far behind is not waited for */
    sql_do(x.s.pg, "UPDATE newt_store SET wait_for = '0'");
    ok(x.g, newt_prune(x.g, 1000, &n));
    assert_int_equal(n, 13);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM transaction"); /* the newest stays */
    newt_feed_close(f);
    f = open_feed(x.f, (newt_feed_options){.follower = "f"});
    assert_int_equal(newt_feed_next(f, 0, &b), NEWT_EMISSING);
    newt_feed_close(f);
    /* by number */
    sql_do(x.s.pg, "UPDATE newt_store SET keep_age = '1 day', keep_rows = 4");
    begin(x.lazy);
    for (int i = 0; i < 3000; i++)
        item_done(new_item(x.lazy, "x", i));
    commit(x.lazy);
    for (int i = 0; i < 9; i++)
        make_item(x.lazy, "x", i);
    grow_older(&x);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM transaction_object");
    ok(x.g, newt_prune(x.g, 1000, &n));
    assert_int_equal(n, 7);
    assert_sql(x.s.pg, "4", "SELECT count(*) FROM transaction");
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM transaction_object");
    close_setting(&x);
}

static const struct CMUnitTest tests[] = {
    BOTH(test_exec),   BOTH(test_token), BOTH(test_durable), BOTH(test_reconnects),
    BOTH(test_holder), BOTH(test_claim), BOTH(test_lost),    BOTH(test_prune),
};

int
main(void)
{
    return run_all(tests);
}
