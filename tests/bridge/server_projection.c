/*
 * server_projection.c - the projection that followers write: in parts, what was refused, sweeps
 */
#include "followed.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

/* ---- in parts ------------------------------------------------------------------------ */

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

/* ---- what was refused ---------------------------------------------------------------- */

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

/* ---- sweeps -------------------------------------------------------------------------- */

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

static const struct CMUnitTest tests[] = {
    BOTH(test_parts),  BOTH(test_held),  BOTH(test_orphans),
    BOTH(test_mended), BOTH(test_check), BOTH(test_reproject),
};

int
main(void)
{
    return run_all(tests);
}
