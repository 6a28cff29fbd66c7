/*
 * stalls.c - commits that stand still on the way: their rest arrives late or never, others wait for
 * their lock, a barrier is cancelled
 */
#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"
#include "../bridge/proxy.h"
#include "concurrency.h"

#include <stdatomic.h>

/* A store, and a connection to it that leads through a proxy. */
typedef struct path {
    store s;
    proxy p;
    newt_db *db;
    newt_conn *c;
    item_ref r, other;
} path;

static void
path_open_here(path *x, const char *name)
{
    newt_options o = {.size = sizeof o};

    proxy_start(&x->p);
    store_open(&x->s, name);
    o.schema = x->s.schema;
    if (newt_db_open(&x->db, x->p.uri, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(x->db));
    x->c = connect_(x->db);
    x->r = make_item(x->c, "r", 0);
    x->other = make_item(x->s.a, "other", 0);
    for (int i = 0; i < 2; i++) { /* from now on everything is prepared */
        begin(x->c);
        write_n(x->c, x->r, read_n(x->c, x->r) + 1);
        item_done(new_item(x->c, "first", 0));
        commit(x->c);
    }
}

/* Without the extension. */
static void
path_open(path *x, const char *name)
{
    *test_uri = 0;
    path_open_here(x, name);
}

static void
path_close(path *x)
{
    newt_close(x->c);
    newt_db_close(x->db);
    store_close(&x->s);
    proxy_stop(&x->p);
}

static int64_t
stored(const path *x, item_ref r)
{
    return sql_int(x->s.pg,
                   "SELECT coalesce(max((state->>'n')::bigint), -1) FROM newt WHERE zoid = %lld",
                   (long long)r.any.oid);
}

static int64_t
backends(const path *x)
{
    return sql_int(x->s.pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'newt' "
                            "AND datname = current_database()");
}

/* ---- late messages -------------------------------------------------------------------- */

/*
 * The client's connection breaks with some of its commit on the way, and the rest of it reaches the
 * server when the client has already made up its mind. It must not be applied then, nor twice.
 */
static void
test_late(void **state)
{
    int64_t n, connections;
    item_ref fresh;
    int last, late = 0;
    path x;

    (void)state;
    path_open(&x, "late");
    begin(x.c);
    n = read_n(x.c, x.r) + 1;
    write_n(x.c, x.r, n);
    item_done(new_item(x.c, "fresh", n));
    proxy_arm(&x.p, -1, -1, -1);
    commit(x.c);
    last = proxy_counts(&x.p).first_sync - 1; /* what is passed on does not take the lock */
    assert_true(last > 5);
    for (int at = 0; at <= last; at++) {
        connections = backends(&x);
        begin(x.c);
        write_n(x.c, x.r, ++n);
        fresh = item_id(new_item(x.c, "fresh", n));
        proxy_stall(&x.p, at, -1, true);
        assert_int_equal(newt_commit(x.c), NEWT_ELOST); /* it has seen to that */
        assert_true(newt_is_retryable(newt_conn_error(x.c)));
        assert_true(proxy_stalled(&x.p));
        late += backends(&x) > connections; /* the first attempt is still there */
        proxy_go_on(&x.p);
        wait_until(backends(&x) <= connections);
        n--;
        assert_int_equal(stored(&x, x.r), n);
        assert_int_equal(stored(&x, fresh), -1);
        /* the next attempt is applied once */
        begin(x.c);
        write_n(x.c, x.r, read_n(x.c, x.r) + 1);
        commit(x.c);
        assert_int_equal(stored(&x, x.r), ++n);
    }
    print_message("# %d commits arrived late\n", late);
    assert_true(late > 5);
    assert_sql(x.s.pg, "0",
               "SELECT count(*) FROM transaction t JOIN object_state o USING (serial) "
               "WHERE t.written = '{}' AND t.removed = '{}'");
    path_close(&x);
}

/* All has arrived, and only the answer is late: committed, once. */
static void
test_answer_late(void **state)
{
    int64_t n;
    path x;

    (void)state;
    path_open(&x, "answer");
    for (int syncs = 2; syncs <= 3; syncs++) {
        begin(x.c);
        n = read_n(x.c, x.r) + 1;
        write_n(x.c, x.r, n);
        proxy_stall(&x.p, -1, syncs, true);
        if (syncs == 2) { /* the barrier is late */
            commit(x.c);
            assert_true(newt_tid(x.c) > 0);
        } else {
            commit(x.c); /* nothing comes after the third sync: not even a standstill */
        }
        proxy_go_on(&x.p);
        assert_int_equal(stored(&x, x.r), n);
        assert_int_equal(sql_int(x.s.pg, "SELECT max(tid) FROM transaction"), newt_tid(x.c));
    }
    path_close(&x);
}

/* ---- others wait for the lock ------------------------------------------------------------ */

typedef struct stalled {
    path x;
    bool changes;   /* something; else all it has is new */
    bool described; /* which takes a statement of its own */
    int stall_at;   /* messages before; -1: right after the first sync */
    bool abandon;   /* the client's side is cut at once */
    pthread_t committer, waiter;
    atomic_bool committed, waited;
    int status, other_status;
    double committed_after, waited_for;
} stalled;

static void *
commit_and_stall(void *arg)
{
    stalled *s = arg;
    double started = now();
    struct item *i;

    begin_behind_commit(s->x.c);
    if (s->changes) {
        i = item_write(s->x.c, s->x.r);
        i->n = 1000;
    }
    i = item_new(s->x.c);
    i->n = 1000;
    if (s->described)
        ok(s->x.c, newt_describe(s->x.c, "somebody", NULL, NULL));
    proxy_stall(&s->x.p, s->stall_at, s->stall_at < 0 ? 1 : -1, s->abandon);
    s->status = newt_commit(s->x.c);
    s->committed_after = now() - started;
    s->committed = true;
    return NULL;
}

static int
write_other(newt_conn *c, void *arg)
{
    stalled *s = arg;
    struct item *i = item_write(c, s->x.other);

    if (!i)
        return newt_status(c);
    i->n++;
    return 0;
}

static void *
wait_behind(void *arg)
{
    stalled *s = arg;
    double started = now();

    s->other_status = newt_transact(s->x.s.a, write_other, s, NULL);
    s->waited_for = now() - started;
    s->waited = true;
    return NULL;
}

static void
stall(stalled *s)
{
    assert_int_equal(pthread_create(&s->committer, NULL, commit_and_stall, s), 0);
    wait_until(proxy_stalled(&s->x.p));
    wait_until(sql_int(s->x.s.pg, "SELECT count(*) FROM pg_locks WHERE granted AND "
                                  "relation = 'newt_commit_lock'::regclass") == 1);
    assert_int_equal(pthread_create(&s->waiter, NULL, wait_behind, s), 0);
}

/*
 * A client that stands still with the commit lock in its hands: others go on after ten seconds, and
 * it is told the truth when it wakes up.
 */
static void
test_lock_is_freed(void **state)
{
    stalled s[2] = {{.changes = true, .stall_at = -1}, {.changes = false, .stall_at = -1}};

    (void)state;
    for (int i = 0; i < 2; i++)
        path_open(&s[i].x, i ? "new" : "changed");
    for (int i = 0; i < 2; i++)
        stall(&s[i]);
    for (int i = 0; i < 2; i++) {
        wait_until(s[i].waited && s[i].committed);
        pthread_join(s[i].waiter, NULL);
        pthread_join(s[i].committer, NULL);
        print_message("# %s: others waited for %.1f s\n", i ? "new" : "changed", s[i].waited_for);
        assert_int_equal(s[i].other_status, NEWT_OK);
        assert_int_equal(stored(&s[i].x, s[i].x.other), 1);
        assert_int_equal(s[i].status, NEWT_ELOST);
        assert_sql(s[i].x.s.pg, "0", "SELECT count(*) FROM newt WHERE state->>'n' = '1000'");
        path_close(&s[i].x);
    }
}

static int
write_same(newt_conn *c, void *arg)
{
    stalled *s = arg;
    struct item *i = item_write(c, s->x.r);

    if (!i)
        return newt_status(c);
    i->n++;
    return 0;
}

static void *
wait_for_row(void *arg)
{
    stalled *s = arg;

    s->other_status = newt_transact(s->x.s.a, write_same, s, NULL);
    s->waited = true;
    return NULL;
}

/* A client that stands still before the lock: only who changes the same objects waits for it. */
static void
test_rows_are_held(void **state)
{
    stalled s = {.changes = true};

    (void)state;
    path_open(&s.x, "rows");
    begin_behind_commit(s.x.c);
    write_n(s.x.c, s.x.r, 5);
    item_done(new_item(s.x.c, "first", 0));
    proxy_arm(&s.x.p, -1, -1, -1);
    commit(s.x.c);
    s.stall_at = proxy_counts(&s.x.p).first_sync - 3; /* LOCK is three messages */
    assert_int_equal(pthread_create(&s.committer, NULL, commit_and_stall, &s), 0);
    wait_until(proxy_stalled(&s.x.p));
    /* the server has done all that it was sent */
    wait_until(sql_int(s.x.s.pg, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = "
                                 "'ClientRead' AND backend_xid IS NOT NULL "
                                 "AND datname = current_database()") == 1);
    assert_int_equal(pthread_create(&s.waiter, NULL, wait_for_row, &s), 0);
    wait_until(sql_int(s.x.s.pg, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
                                 "'Lock' AND wait_event IN ('transactionid', 'tuple') "
                                 "AND datname = current_database()") == 1);
    ok(s.x.s.b, newt_transact(s.x.s.b, write_other, &s, NULL));
    assert_false(s.waited);
    proxy_go_on(&s.x.p);
    wait_until(s.waited && s.committed);
    pthread_join(s.waiter, NULL);
    pthread_join(s.committer, NULL);
    assert_int_equal(s.status, NEWT_OK);
    assert_int_equal(s.other_status, NEWT_OK);
    assert_int_equal(stored(&s.x, s.x.r), 1001);
    path_close(&s.x);
}

/*
 * The same in the one place where no time-out of the server's runs: LOCK has come, and its sync has
 * not. (What a client sends from there on is one write, so that this takes a broken network.) Who
 * asks what has become of its commit does not ask for ever, and does not guess.
 */
static void
test_lock_is_not_freed(void **state)
{
    stalled s = {.changes = true, .abandon = true};

    (void)state;
    if (!getenv("NEWT_SOAK")) {
        print_message("# takes half a minute: only with NEWT_SOAK\n");
        skip();
    }
    path_open(&s.x, "held");
    begin_behind_commit(s.x.c);
    write_n(s.x.c, s.x.r, 5);
    item_done(new_item(s.x.c, "first", 0));
    proxy_arm(&s.x.p, -1, -1, -1);
    commit(s.x.c);
    s.stall_at = proxy_counts(&s.x.p).first_sync;
    stall(&s);
    wait_until(s.committed);
    pthread_join(s.committer, NULL);
    assert_int_equal(s.status, NEWT_EUNKNOWN);
    assert_false(newt_is_retryable(newt_conn_error(s.x.c)));
    assert_false(s.waited);
    proxy_go_on(&s.x.p);
    wait_until(s.waited);
    pthread_join(s.waiter, NULL);
    assert_int_equal(s.other_status, NEWT_OK);
    assert_int_equal(stored(&s.x, s.x.other), 1);
    path_close(&s.x);
}

/* ---- the barrier ---------------------------------------------------------------------- */

typedef struct waiting {
    store s;
    item_ref r;
    int calls, status;
    bool meets;      /* somebody else, at its first call */
    newt__turn turn; /* at its last */
    atomic_bool done;
    pthread_t thread;
} waiting;

static int
add_one(newt_conn *c, void *arg)
{
    waiting *w = arg;
    struct item *i = item_write(c, w->r);

    w->calls++;
    w->turn = c->jar.session->turns.turn;
    if (!i)
        return newt_status(c);
    i->n++;
    if (w->meets && w->calls == 1) {
        begin(w->s.b);
        write_n(w->s.b, w->r, 100);
        commit(w->s.b);
    }
    return 0;
}

static void *
transact(void *arg)
{
    waiting *w = arg;

    w->status = newt_transact(w->s.a, add_one, w, NULL);
    w->done = true;
    return NULL;
}

static int64_t
seen_by(newt_conn *c, item_ref r)
{
    int64_t n;

    begin(c);
    n = read_n(c, r);
    commit(c);
    return n;
}

#define IN_BARRIER                                                                                 \
    "FROM pg_stat_activity WHERE application_name = 'newt' AND wait_event = 'SyncRep' "            \
    "AND datname = current_database()"

/* The synchronous standby does not answer, and the wait for it is cancelled: committed, others see
 * it, but not known to be durable; and not done once more. */
static void
barrier(void)
{
    waiting w = {0};

    store_open(&w.s, "barrier");
    w.r = make_item(w.s.a, "r", 0);
    for (int round = 0; round < 2; round++) {
        w.calls = 0;
        w.done = false;
        make_item(w.s.a, "spare", 0); /* so that it has serials, which come with a barrier too */
        synchronous_standby(w.s.pg, "missing");
        assert_int_equal(pthread_create(&w.thread, NULL, transact, &w), 0);
        wait_until(sql_int(w.s.pg, "SELECT count(*) " IN_BARRIER) == 1);
        /* nobody waits for the lock meanwhile, and it is seen */
        assert_false(w.done);
        assert_sql(w.s.pg, "0",
                   "SELECT count(*) FROM pg_locks WHERE relation = 'newt_commit_lock'::regclass");
        assert_int_equal(sql_int(w.s.pg, "SELECT (state->>'n')::bigint FROM newt WHERE zoid = %lld",
                                 (long long)w.r.any.oid),
                         round + 1);
        wait_until(seen_by(w.s.b, w.r) == round + 1);
        if (round == 0) {
            wait_until(sql_int(w.s.pg, "SELECT count(pg_cancel_backend(pid)) " IN_BARRIER) == 1);
            pthread_join(w.thread, NULL);
            synchronous_standby(w.s.pg, "");
            assert_int_equal(w.status, NEWT_EUNKNOWN);
            assert_false(newt_is_retryable(newt_conn_error(w.s.a)));
            assert_non_null(
                strstr(newt_error_message(newt_conn_error(w.s.a)), "is committed, but"));
        } else {
            /* the server process is ended: the library comes back, and waits for the same */
            wait_until(sql_int(w.s.pg, "SELECT count(pg_terminate_backend(pid)) " IN_BARRIER) == 1);
            wait_until(sql_int(w.s.pg,
                               "SELECT count(*) " IN_BARRIER
                               " AND (query LIKE '%%emit%%' OR query LIKE '%%nonce%%')") == 1);
            assert_false(w.done);
            synchronous_standby(w.s.pg, "");
            pthread_join(w.thread, NULL);
            assert_int_equal(w.status, NEWT_OK);
        }
        assert_int_equal(w.calls, 1);
        begin(w.s.a); /* the connection is good */
        assert_int_equal(read_n(w.s.a, w.r), round + 1);
        commit(w.s.a);
        assert_int_equal(sql_int(w.s.pg, "SELECT (state->>'n')::bigint FROM newt WHERE zoid = %lld",
                                 (long long)w.r.any.oid),
                         round + 1);
    }
    store_close(&w.s);
}

/* A turn ends when the others see what was written, not when the standby has answered. */
static void
turn(void)
{
    waiting w = {.meets = true};

    store_open(&w.s, "turn");
    w.r = make_item(w.s.a, "r", 0);
    ok(w.s.a, newt_transact(w.s.a, add_one, &w, NULL));
    assert_int_equal(w.calls, 2);
    make_item(w.s.a, "spare", 0);
    synchronous_standby(w.s.pg, "missing");
    w.s.a->queue.busy_us = newt__clock() + 3600 * 1000000LL; /* just now, however long it takes */
    assert_int_equal(pthread_create(&w.thread, NULL, transact, &w), 0);
    wait_until(sql_int(w.s.pg, "SELECT count(*) " IN_BARRIER) == 1);
    assert_false(w.done);
    assert_sql(w.s.pg, "0", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
    synchronous_standby(w.s.pg, "");
    pthread_join(w.thread, NULL);
    assert_int_equal(w.status, NEWT_OK);
    assert_int_equal(w.calls, 3);
    assert_int_equal(w.turn, NEWT__TURN);
    store_close(&w.s);
}

/* With newt_options.strict it is not seen before the standby has answered, and holds the lock; if
 * the wait is cancelled it is seen, and not known to be durable. */
static void
test_strict(void **state)
{
    newt_stats before;
    waiting w = {0};

    (void)state;
    *test_uri = 0;
    store_open_as(&w.s, "strict", (newt_options){.strict = true});
    w.r = make_item(w.s.a, "r", 0);
    for (int round = 0; round < 2; round++) {
        w.done = false;
        synchronous_standby(w.s.pg, "missing");
        assert_int_equal(pthread_create(&w.thread, NULL, transact, &w), 0);
        wait_until(sql_int(w.s.pg, "SELECT count(*) " IN_BARRIER) == 1);
        assert_false(w.done);
        assert_sql(w.s.pg, "1",
                   "SELECT count(*) FROM pg_locks WHERE relation = 'newt_commit_lock'::regclass");
        assert_int_equal(seen_by(w.s.b, w.r), round);
        if (round == 1)
            wait_until(sql_int(w.s.pg, "SELECT count(pg_cancel_backend(pid)) " IN_BARRIER) == 1);
        else
            synchronous_standby(w.s.pg, "");
        pthread_join(w.thread, NULL);
        synchronous_standby(w.s.pg, "");
        assert_int_equal(w.status, round == 0 ? NEWT_OK : NEWT_EUNKNOWN);
        wait_until(seen_by(w.s.b, w.r) == round + 1);
    }
    assert_non_null(strstr(newt_error_message(newt_conn_error(w.s.a)), "is committed, but"));
    make_item(w.s.a, "spare", 0); /* so that it has serials again */
    begin(w.s.a);
    write_n(w.s.a, w.r, 10);
    before = stats_of(w.s.a);
    commit(w.s.a);
    assert_int_equal(stats_of(w.s.a).round_trips - before.round_trips, 1);
    begin(w.s.a);
    for (int i = 0; i < 3000; i++) /* with blocks, and a barrier for them */
        item_done(new_item(w.s.a, "more", i));
    commit(w.s.a);
    assert_sql(w.s.pg, "3002", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    store_close(&w.s);
}

static void
test_barrier(void **state)
{
    (void)state;
    *test_uri = 0;
    barrier();
}

static void
test_turn(void **state)
{
    (void)state;
    *test_uri = 0;
    turn();
}

static void
test_barrier_extension(void **state)
{
    (void)state;
    use_database(true);
    barrier();
}

static void
test_turn_extension(void **state)
{
    (void)state;
    use_database(true);
    turn();
}

/* ---- with the extension ---------------------------------------------------------------- */

/* The lock is part of COMMIT there: a client may stand still wherever it will, and nobody waits
 * for it who does not change the same objects. */
static void
nobody_waits(const char *name, bool described, int at_least)
{
    stalled s = {.changes = true, .described = described};
    int messages;

    use_database(true);
    path_open_here(&s.x, name);
    for (int i = 0; i < 2; i++) { /* the first one prepares statements, too */
        begin_behind_commit(s.x.c);
        write_n(s.x.c, s.x.r, 5 + i);
        item_done(new_item(s.x.c, "first", 0));
        if (described)
            ok(s.x.c, newt_describe(s.x.c, "somebody", NULL, NULL));
        proxy_arm(&s.x.p, -1, -1, -1);
        commit(s.x.c);
    }
    messages = proxy_counts(&s.x.p).from_client;
    assert_int_equal(proxy_counts(&s.x.p).syncs, 1);
    assert_true(messages >= at_least);
    for (s.stall_at = 1; s.stall_at < messages; s.stall_at++) {
        s.committed = false;
        proxy_arm(&s.x.p, -1, -1, -1); /* it is not the last standstill that is waited for */
        assert_int_equal(pthread_create(&s.committer, NULL, commit_and_stall, &s), 0);
        wait_until(proxy_stalled(&s.x.p));
        ok(s.x.s.b, newt_transact(s.x.s.b, write_other, &s, NULL));
        wait_until(sql_int(s.x.s.pg, "SELECT count(*) FROM pg_locks WHERE relation = "
                                     "'newt_commit_lock'::regclass") == 0);
        assert_false(s.committed);
        proxy_go_on(&s.x.p);
        wait_until(s.committed);
        pthread_join(s.committer, NULL);
        assert_int_equal(s.status, NEWT_OK);
        assert_int_equal(stored(&s.x, s.x.r), 1000);
        begin(s.x.c); /* not what it will be again */
        write_n(s.x.c, s.x.r, s.stall_at);
        commit(s.x.c);
    }
    assert_int_equal(stored(&s.x, s.x.other), messages - 1);
    path_close(&s.x);
}

static void
test_nobody_waits(void **state)
{
    (void)state;
    nobody_waits("nobody", false, 3);
    nobody_waits("nobody_described", true, 10);
}

/* Whatever has failed: the other tests do not wait. */
static int
no_standby(void **state)
{
    PGconn *pg = sql_open();

    (void)state;
    synchronous_standby(pg, "");
    PQfinish(pg);
    return 0;
}

static const struct CMUnitTest stalls[] = {
    cmocka_unit_test(test_late),
    cmocka_unit_test(test_answer_late),
    cmocka_unit_test_teardown(test_barrier, no_standby),
    cmocka_unit_test_teardown(test_turn, no_standby),
    cmocka_unit_test_teardown(test_strict, no_standby),

    cmocka_unit_test(test_rows_are_held),
    cmocka_unit_test(test_lock_is_freed),
    cmocka_unit_test(test_lock_is_not_freed),
    /* from here on in a database with the extension */
    cmocka_unit_test_teardown(test_barrier_extension, no_standby),
    cmocka_unit_test_teardown(test_turn_extension, no_standby),
    cmocka_unit_test(test_nobody_waits),
};

int
main(void)
{
    return run_all(stalls);
}
