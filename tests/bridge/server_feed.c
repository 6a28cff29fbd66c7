/*
 * server_feed.c - feeds of a store in PostgreSQL: rows of one's own, durability, positions that are
 * lost, who is in the way, sweeps, retention
 */
#include "server.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

#include <poll.h>
#include <unistd.h>

static const newt_options leave = {.no_inline = true}; /* leaves rows to the follower */

typedef struct notices {
    int n;
    int64_t oid;
    char text[400], hint[200];
} notices;

static void
take_notice(const newt_error *e, void *arg)
{
    notices *t = arg;

    t->n++;
    t->oid = newt_error_oid(e);
    snprintf(t->text, sizeof t->text, "%s", newt_error_message(e));
    snprintf(t->hint, sizeof t->hint, "%s", newt_error_hint(e));
}

typedef struct setting {
    store s;
    newt_db *lazy_db, *follow_db;
    newt_conn *lazy; /* leaves rows to the follower */
    newt_conn *f, *g;
    notices told;
} setting;

static void
open_setting(setting *x, const char *name, void **state)
{
    memset(x, 0, sizeof *x);
    use_database(*(const bool *)*state);
    store_open(&x->s, name);
    x->lazy_db = store_db(&x->s, classes, leave);
    x->lazy = connect_(x->lazy_db);
    x->follow_db = store_db(&x->s, NULL,
                            (newt_options){.notice = take_notice, .notice_arg = &x->told});
    x->f = connect_(x->follow_db);
    x->g = connect_(x->follow_db);
}

static void
close_setting(setting *x)
{
    newt_close(x->lazy);
    newt_db_close(x->lazy_db);
    newt_close(x->f);
    newt_close(x->g);
    newt_db_close(x->follow_db);
    store_close(&x->s);
}

static newt_feed *
open_feed(newt_conn *c, newt_feed_options o)
{
    newt_feed *f;

    o.size = sizeof o;
    ok(c, newt_feed_open(c, &f, &o));
    return f;
}

static const newt_batch *
next(newt_conn *c, newt_feed *f)
{
    const newt_batch *b;

    ok(c, newt_feed_next(f, 60000, &b));
    assert_non_null(b);
    return b;
}

/* ---- rows of one's own -------------------------------------------------------------------------
 */

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

/* ---- what is durable
 * ------------------------------------------------------------------------------ */

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

/* ---- who is in the way
 * ----------------------------------------------------------------------------- */

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

/* ---- positions that are lost
 * ------------------------------------------------------------------------ */

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

/* ---- the projection in parts
 * -------------------------------------------------------------------------- */

static void
test_parts(void **state)
{
    static const char *const roots[] = {"newt.Root", NULL};
    newt_progress p = {.size = sizeof p};
    const newt_batch *b;
    int64_t written = 0, tid = 0;
    newt_feed *f;
    setting x;

    open_setting(&x, "parts", state);
    f = open_feed(x.f, (newt_feed_options){.follower = "p",
                                           .kind = "projection",
                                           .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
                                           .batch_objects = 3000});
    ok(x.f, newt_feed_next(f, 0, &b));
    assert_int_equal(newt_wait_for(x.g, 1, 0), NEWT_OK);
    begin(x.lazy);
    for (int i = 0; i < 7000; i++)
        item_done(new_item(x.lazy, "x", i));
    commit(x.lazy);
    tid = newt_tid(x.lazy);
    assert_int_equal(newt_wait_for(x.g, tid, 20), NEWT_EBUSY);
    while (written < 7000) {
        next(x.f, f);
        for (int part = 0; part < 3; part++) {
            newt_conn *c = part ? x.g : x.f;

            ok(c, newt_feed_project(f, c, part, 3, &p));
            written += p.written;
            ok(c, newt_feed_project(f, c, part, 3, &p)); /* once more */
            assert_int_equal(p.written, 0);
        }
        ok(x.f, newt_feed_commit(f));
    }
    assert_int_equal(p.tid, tid);
    ok(x.g, newt_wait_for(x.g, tid, 0));
    assert_sql(x.s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p "
               "USING (zoid) WHERE o.serial IS DISTINCT FROM p.serial");
    /* the position is another's: nothing is written */
    make_item(x.lazy, "late", 1);
    next(x.f, f);
    sql_do(x.s.pg, "UPDATE newt_follower SET tid = tid + 1");
    assert_int_equal(newt_feed_project(f, x.g, 0, 1, &p), NEWT_ECONFLICT);
    assert_sql(x.s.pg, "7001", "SELECT count(*) FROM newt");
    newt_feed_close(f);
    ok(x.f, newt_feed_forget(x.f, "p"));
    /* who copies has reached nothing */
    f = open_feed(
        x.f, (newt_feed_options){.follower = "p", .kind = "projection", .start = NEWT_FEED_COPY});
    next(x.f, f);
    assert_int_equal(newt_wait_for(x.g, 1, 0), NEWT_EBUSY);
    /* another one has copied more */
    sql_do(x.s.pg, "UPDATE newt_follower SET copied = copied + 1");
    assert_int_equal(newt_feed_project(f, x.g, 0, 1, &p), NEWT_ECONFLICT);
    assert_int_equal(newt_feed_exec(f, "SELECT 1", 0, NULL), NEWT_ECONFLICT);
    newt_feed_close(f);
    /* only rows of the classes that are wanted */
    f = open_feed(x.f, (newt_feed_options){.follower = "roots", .classes = roots});
    ok(x.f, newt_feed_next(f, 0, &b));
    make_item(x.lazy, "not wanted", 1);
    assert_int_equal(next(x.f, f)->n_events, 0);
    ok(x.f, newt_feed_project(f, x.f, 0, 1, &p));
    assert_sql(x.s.pg, "7001", "SELECT count(*) FROM newt");
    newt_feed_close(f);
    ok(x.f, newt_feed_forget(x.f, "p"));
    assert_int_equal(newt_wait_for(x.g, tid, 0), NEWT_EMISSING);
    close_setting(&x);
}

typedef struct worker {
    newt_conn *c;
    newt_feed *f;
    newt_progress p;
    int status;
} worker;

static void *
project_in_thread(void *arg)
{
    worker *w = arg;

    w->p = (newt_progress){.size = sizeof w->p};
    w->status = newt_feed_project(w->f, w->c, 0, 1, &w->p);
    return NULL;
}

/* As long as a part is being written nobody can move the position: a later removal would be seen
 * before the row is there. Other parts are written at the same time. */
static void
test_held(void **state)
{
    const newt_batch *b;
    pthread_t thread;
    worker w;
    PGconn *pg;
    setting x;

    open_setting(&x, "held", state);
    w = (worker){.c = x.g};
    w.f = open_feed(x.f, (newt_feed_options){.follower = "p", .want = NEWT_FEED_OIDS});
    ok(x.f, newt_feed_next(w.f, 0, &b));
    make_item(x.lazy, "x", 1);
    next(x.f, w.f);
    pg = sql_open();
    sql_do(pg, "BEGIN");
    sql_do(pg, "LOCK TABLE %s.newt_projection IN SHARE MODE", x.s.schema);
    assert_int_equal(pthread_create(&thread, NULL, project_in_thread, &w), 0);
    wait_until(sql_int(x.s.pg, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
                               "'newt_projection'::regclass") == 1);
    assert_sql(x.s.pg, "0",
               "SELECT count(*) FROM (SELECT FROM newt_follower FOR NO KEY UPDATE SKIP LOCKED) x");
    assert_sql(x.s.pg, "1",
               "SELECT count(*) FROM (SELECT FROM newt_follower FOR SHARE SKIP LOCKED) x");
    sql_do(pg, "COMMIT");
    pthread_join(thread, NULL);
    assert_int_equal(w.status, NEWT_OK);
    assert_int_equal(w.p.written, 1);
    PQfinish(pg);
    newt_feed_close(w.f);
    close_setting(&x);
}

/* Rows without an object go with the batch of a copy that passes them: those after `after`, up to
 * and with up_to, which is the last oid that there can be. */
static void
test_orphans(void **state)
{
    newt_progress p = {.size = sizeof p};
    const newt_batch *b;
    int64_t last;
    newt_feed *f;
    setting x;

    open_setting(&x, "orphans", state);
    for (int i = 0; i < 7; i++)
        make_item(x.s.a, "x", i);
    f = open_feed(x.f, (newt_feed_options){.follower = "p",
                                           .want = NEWT_FEED_OIDS,
                                           .start = NEWT_FEED_COPY,
                                           .batch_objects = 4});
    b = next(x.f, f);
    last = b->up_to;
    assert_int_equal(last, b->events[3].oid);
    /* the last two of this batch, and the first of the next one */
    sql_do(x.s.pg, "DELETE FROM object_state WHERE zoid BETWEEN %lld AND %lld", (long long)last - 1,
           (long long)last + 1);
    ok(x.f, newt_feed_project(f, x.f, 0, 1, &p));
    assert_int_equal(p.removed, 2);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_projection WHERE zoid = %lld",
               (long long)last + 1);
    ok(x.f, newt_feed_commit(f));
    /* what is of the first batch was done with that */
    sql_do(x.s.pg,
           "INSERT INTO newt_projection VALUES (%lld, 'Item', 1, '{}'), "
           "(9223372036854775807, 'Item', 1, '{}')",
           (long long)last);
    b = next(x.f, f);
    assert_int_equal(b->after, last);
    assert_true(b->up_to == INT64_MAX);
    ok(x.f, newt_feed_project(f, x.f, 0, 1, &p));
    assert_int_equal(p.removed, 2);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_projection WHERE zoid = %lld",
               (long long)last);
    ok(x.f, newt_feed_commit(f));
    newt_feed_close(f);
    close_setting(&x);
}

/* ---- what was refused -------------------------------------------------------------- */

static newt_progress
project_all(newt_conn *c)
{
    newt_progress p = {.size = sizeof p}, sum = {0};

    do {
        ok(c, newt_project(c, "updater", 1000, &p));
        sum.written += p.written;
        sum.refused += p.refused;
    } while (p.transactions > 0);
    return sum;
}

/* A constraint that has gone is in nobody's way any more, a minute later. */
static void
test_mended(void **state)
{
    setting x;

    open_setting(&x, "mended", state);
    sql_do(x.s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT small CHECK "
                   "((state->>'n')::bigint < 5)");
    for (int i = 0; i < 10; i++)
        make_item(x.lazy, "x", i);
    assert_int_equal(project_all(x.f).refused, 5);
    assert_int_equal(x.told.n, 5);
    assert_int_equal(project_all(x.f).written, 0);
    x.f->jar.session->refusals.any_not_before_us = 1;
    assert_int_equal(project_all(x.f).written, 0);
    assert_int_equal(x.told.n, 5); /* no news */
    assert_true(x.f->jar.session->refusals.any_not_before_us > newt__clock());
    sql_do(x.s.pg, "ALTER TABLE newt_projection DROP CONSTRAINT small");
    assert_int_equal(project_all(x.f).written, 0);
    x.f->jar.session->refusals.any_not_before_us = 1;
    assert_int_equal(project_all(x.f).written, 5);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt_reject");
    assert_sql(x.s.pg, "11", "SELECT count(*) FROM newt");
    close_setting(&x);
}

/* ---- sweeps
 * -----------------------------------------------------------------------------------------------
 */

static newt_sweep
sweep(newt_conn *c, newt_sweep s)
{
    s.size = sizeof s;
    while (!s.over)
        ok(c, newt_project_sweep(c, &s));
    return s;
}

static void
test_check(void **state)
{
    static const char *const others[] = {"Tally", NULL};
    newt_sweep s;
    item_ref r[20];
    setting x;

    open_setting(&x, "check", state);
    for (int i = 0; i < 20; i++)
        r[i] = make_item(x.s.a, "x", i);
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_CHECK, .objects = 7});
    assert_int_equal(s.looked, 21);
    assert_int_equal(s.missing + s.stale + s.wrong + s.extra, 0);
    assert_int_equal(x.told.n, 0);
    sql_do(x.s.pg, "UPDATE newt_projection SET state = '{\"n\": 77}' WHERE zoid = %lld",
           (long long)r[3].any.oid);
    sql_do(x.s.pg, "UPDATE newt_projection SET class_name = 'Itemm' WHERE zoid = %lld",
           (long long)r[4].any.oid);
    sql_do(x.s.pg, "DELETE FROM newt_projection WHERE zoid IN (%lld, %lld)",
           (long long)r[5].any.oid, (long long)r[6].any.oid);
    sql_do(x.s.pg, "INSERT INTO newt_projection VALUES (77, 'Item', 1, '{}'), "
                   "(77000000, 'Item', 1, '{}')");
    begin(x.lazy);
    write_n(x.lazy, r[7], 1000);
    commit(x.lazy);
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_CHECK, .objects = 7});
    assert_int_equal(s.wrong, 2);
    assert_int_equal(s.missing, 2);
    assert_int_equal(s.extra, 2);
    assert_int_equal(s.stale, 1);
    assert_int_equal(x.told.n, 7);
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_CHECK, .classes = others});
    assert_int_equal(s.missing + s.stale + s.wrong + s.extra, 0);
    /* what is missing is counted, and written; what is wrong is not seen by its serial */
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_MISSING, .dry_run = true});
    assert_int_equal(s.written, 0);
    assert_int_equal(s.missing, 2);
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_MISSING, .objects = 6});
    assert_int_equal(s.written, 2 + 1 + 2);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt_follower");
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_CHECK});
    assert_int_equal(s.wrong, 2);
    assert_int_equal(s.missing + s.stale + s.extra, 0);
    close_setting(&x);
}

static void
test_reproject(void **state)
{
    static const char *const items[] = {"Item", NULL}, *const others[] = {"Tally", NULL};
    newt_sweep s = {.size = sizeof s, .kind = NEWT_SWEEP_REPROJECT, .classes = items, .objects = 9};
    newt_sweep other = {.size = sizeof s, .kind = NEWT_SWEEP_REPROJECT, .classes = others};
    item_ref r[50];
    setting x;

    open_setting(&x, "reproject", state);
    for (int i = 0; i < 50; i++)
        r[i] = make_item(x.s.a, "x", i);
    sql_do(x.s.pg, "UPDATE newt_projection SET state = '{\"n\": -1}' WHERE class_name = 'Item'");
    for (int i = 0; i < 3; i++)
        ok(x.f, newt_project_sweep(x.f, &s));
    assert_false(s.over);
    assert_sql(x.s.pg, "50", "SELECT count(*) FROM newt WHERE state->>'n' = '-1'");
    assert_int_equal(newt_project_sweep(x.f, &other), NEWT_EBUSY);
    /* objects go on changing: theirs are right already */
    begin(x.s.a);
    write_n(x.s.a, r[0], 500);
    write_n(x.s.a, r[49], 501);
    ok(x.s.a, newt_delete(x.s.a, r[1].any));
    commit(x.s.a);
    /* another process goes on where this one was */
    s = (newt_sweep){
        .size = sizeof s, .kind = NEWT_SWEEP_REPROJECT, .classes = items, .objects = 9};
    while (!s.over) {
        assert_sql(x.s.pg, "47", "SELECT count(*) FROM newt WHERE state->>'n' = '-1'");
        ok(x.g, newt_project_sweep(x.g, &s));
    }
    assert_true(s.looked < 30);
    assert_int_equal(s.written, 47);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt WHERE state->>'n' = '-1'");
    assert_sql(x.s.pg, "500", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r[0].any.oid);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt_reprojected");
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt_reprojection");
    s = sweep(x.f, (newt_sweep){.kind = NEWT_SWEEP_CHECK});
    assert_int_equal(s.missing + s.stale + s.wrong + s.extra, 0);
    close_setting(&x);
}

/* ---- retention
 * -------------------------------------------------------------------------------------------- */

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

static bool with_it = true, without_it = false;
#define BOTH(test)                                                                                 \
    {#test " (in the server)", test, NULL, NULL, &with_it},                                        \
    {                                                                                              \
#        test " (in the client)", test, NULL, NULL, &without_it                                    \
    }

static const struct CMUnitTest tests[] = {
    BOTH(test_exec),      BOTH(test_durable), BOTH(test_holder), BOTH(test_claim),
    BOTH(test_lost),      BOTH(test_parts),   BOTH(test_mended), BOTH(test_check),
    BOTH(test_reproject), BOTH(test_prune),   BOTH(test_token),  BOTH(test_reconnects),
    BOTH(test_held),      BOTH(test_orphans),
};

int
main(void)
{
    return run_all(tests);
}
