/*
 * server_lost.c - one round trip, and connections that are lost at every message of a commit
 */
#include "../brief.h"
#include "proxy.h"

typedef struct through {
    store s;
    proxy p;
    newt_db *db;
    newt_conn *c;
} through;

static void
through_open_as(through *t, const char *name, newt_options o)
{
    proxy_start(&t->p);
    store_open(&t->s, name);
    o.size = sizeof o;
    o.schema = t->s.schema;
    if (newt_db_open(&t->db, t->p.uri, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(t->db));
    t->c = connect_(t->db);
}

static void
through_open(through *t, const char *name)
{
    through_open_as(t, name, (newt_options){0});
}

static void
through_close(through *t)
{
    newt_close(t->c);
    newt_db_close(t->db);
    store_close(&t->s);
    proxy_stop(&t->p);
}

static int64_t
stored_n(const store *s, item_ref r)
{
    return sql_int(s->pg,
                   "SELECT coalesce(max((state->>'n')::bigint), -1) FROM newt WHERE zoid = %lld",
                   (long long)r.any.oid);
}

/* Without the extension the lock, COMMIT and the barrier have a sync each; with it there is one. In
 * both each test is run; *state: syncs of a commit. */
static int without = 3, with = 1;

static int
syncs_of(void **state)
{
    const int *syncs = *state;

    use_database(syncs == &with);
    return *syncs;
}

/* Not one answer is let through before the last message of the commit is there: a client that
 * waited for any of them would wait for ever. */
static void
test_one_round_trip(void **state)
{
    item_ref r, many[300];
    int syncs = syncs_of(state);
    proxy counts;
    through t;

    through_open(&t, "one_trip");
    r = make_item(t.c, "one", 1);
    for (int i = 0; i < 2; i++) { /* the second time everything is prepared */
        begin(t.c);
        write_n(t.c, r, 2 + i);
        proxy_arm(&t.p, syncs, -1, -1);
        commit(t.c);
        counts = proxy_counts(&t.p);
        assert_int_equal(counts.syncs, syncs);
        assert_int_equal(stored_n(&t.s, r), 2 + i);
    }
    print_message("# commit of one object: %d messages of %d bytes out, %d of %d bytes back, in "
                  "one round trip\n",
                  counts.from_client, (int)counts.client_bytes, counts.from_server,
                  (int)counts.server_bytes);
    /* a snapshot and the objects that are read in it */
    begin(t.s.a);
    for (int i = 0; i < 300; i++)
        many[i] = item_id(new_item(t.s.a, "many", i));
    commit(t.s.a);
    begin(t.c);
    proxy_arm(&t.p, 1, -1, -1);
    ok(t.c, newt_prefetch(t.c, &many[0].any, 300));
    assert_int_equal(proxy_counts(&t.p).syncs, 1);
    /* new ones, changed ones and removed ones, after an open snapshot */
    for (int i = 0; i < 100; i++) {
        write_n(t.c, many[i], 1000 + i);
        ok(t.c, newt_delete(t.c, many[100 + i].any));
        item_done(new_item(t.c, "new", i));
    }
    proxy_arm(&t.p, syncs, -1, -1);
    commit(t.c);
    assert_int_equal(proxy_counts(&t.p).syncs, syncs);
    assert_sql(t.s.pg, "301", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    through_close(&t);
}

static int
set_n(newt_conn *c, void *arg)
{
    int64_t *x = arg; /* oid, value */
    struct item *i = item_write(c, item_of((newt_ref){x[0]}));

    if (!i)
        return newt_status(c);
    i->n = x[1];
    return 0;
}

/* What a commit reports is what the store has, wherever the connection is cut. */
static void
cut_everywhere(through *t, bool from_client)
{
    const int step = brief() ? 3 : 1;
    int64_t n = 100, before;
    item_ref r = make_item(t->c, "r", n), fresh;
    int committed = 0, lost = 0, status;
    proxy counts;

    for (int at = 0;; at += step) {
        before = n;
        begin(t->c);
        write_n(t->c, r, ++n);
        fresh = item_id(new_item(t->c, "fresh", n));
        proxy_arm(&t->p, -1, from_client ? at : -1, from_client ? -1 : at);
        status = newt_commit(t->c);
        counts = proxy_counts(&t->p);
        if (status == NEWT_OK) {
            committed++;
            assert_int_equal(stored_n(&t->s, r), n);
            assert_int_equal(stored_n(&t->s, fresh), n);
            assert_true(newt_tid(t->c) > 0);
            assert_int_equal(sql_int(t->s.pg, "SELECT max(tid) FROM transaction"), newt_tid(t->c));
        } else {
            assert_int_equal(status, NEWT_ELOST);
            assert_true(newt_is_retryable(newt_conn_error(t->c)));
            lost++;
            assert_int_equal(stored_n(&t->s, r), before);
            assert_int_equal(stored_n(&t->s, fresh), -1);
            n = before;
        }
        /* the connection is good again by itself, and sees what is there */
        begin(t->c);
        assert_int_equal(read_n(t->c, r), n);
        commit(t->c);
        if (!counts.cut)
            break;
    }
    print_message("# cut %s: %d times committed, %d times not\n",
                  from_client ? "on the way out" : "on the way back", committed, lost);
    assert_true(committed > 1 || from_client);
    if (from_client)
        assert_true(lost > 3 / step);
    /* newt_transact repeats what can be repeated, and what has been committed is not done twice */
    for (int at = 0; at < 12; at += 3) {
        int64_t x[2] = {r.any.oid, 1000 + at};
        int64_t transactions = sql_int(t->s.pg, "SELECT count(*) FROM transaction "
                                                "WHERE written <> '{}' OR removed <> '{}'");

        proxy_arm(&t->p, -1, from_client ? at : -1, from_client ? -1 : at);
        ok(t->c, newt_transact(t->c, set_n, x, NULL));
        proxy_counts(&t->p);
        assert_int_equal(stored_n(&t->s, r), x[1]);
        assert_int_equal(sql_int(t->s.pg, "SELECT count(*) FROM transaction WHERE written <> '{}' "
                                          "OR removed <> '{}'"),
                         transactions + 1);
    }
    /* tombstones have no oids, and no object has their serial */
    assert_sql(t->s.pg, "0",
               "SELECT count(*) FROM transaction t JOIN object_state o USING (serial) "
               "WHERE t.written = '{}' AND t.removed = '{}'");
}

static void
test_cut_on_the_way_out(void **state)
{
    through t;

    syncs_of(state);
    through_open(&t, "cut_out");
    cut_everywhere(&t, true);
    through_close(&t);
}

static void
test_cut_on_the_way_back(void **state)
{
    through t;

    syncs_of(state);
    through_open(&t, "cut_back");
    cut_everywhere(&t, false);
    through_close(&t);
}

/* The same through a pooler, which says that it has lost the server. */
static void
test_cut_behind_pooler(void **state)
{
    through t;

    syncs_of(state);
    through_open_as(&t, "cut_pooler", (newt_options){.transaction_pooling = true});
    t.p.farewell = true;
    cut_everywhere(&t, true);
    cut_everywhere(&t, false);
    through_close(&t);
}

/* The connection by which the outcome is asked for is cut as well, at every answer: it is asked for
 * again, and a tombstone that is there already is not taken for the transaction. */
static void
test_cut_twice(void **state)
{
    const int step = brief() ? 4 : 1;
    int64_t n = 1;
    item_ref r;
    through t;

    syncs_of(state);
    through_open(&t, "cut_twice");
    r = make_item(t.c, "r", n);
    for (int arrived = 0; arrived < 2; arrived++) {
        for (int at = 0;; at += step) {
            int status;
            proxy counts;

            begin(t.c);
            write_n(t.c, r, n + 1);
            proxy_arm(&t.p, -1, arrived ? -1 : 0, arrived ? 0 : -1);
            proxy_then_cut(&t.p, at);
            status = newt_commit(t.c);
            counts = proxy_counts(&t.p);
            if (!arrived)
                assert_int_equal(status, NEWT_ELOST);
            n += status == NEWT_OK;
            assert_int_equal(stored_n(&t.s, r), n);
            if (counts.cuts < 2)
                break;
        }
    }
    through_close(&t);
}

/* COMMIT has succeeded only if its tag says so: of a transaction that has failed it answers with
 * ROLLBACK, and without an error. */
static void
test_rolled_back_instead(void **state)
{
    newt_progress progress = {.size = sizeof progress};
    item_ref r, q;
    through t;

    syncs_of(state);
    through_open(&t, "rolled_back");
    r = make_item(t.s.a, "r", 1);
    q = make_item(t.s.a, "q", 1);
    proxy_rolls_back(&t.p);
    begin(t.c);
    write_n(t.c, r, 2);
    write_n(t.c, q, 2);
    ok(t.c, newt_describe(t.c, "u", NULL, NULL)); /* else one statement may commit by itself */
    assert_int_equal(newt_commit(t.c), NEWT_ESQL);
    assert_string_equal(newt_error_message(newt_conn_error(t.c)),
                        "the server has rolled back instead of committing");
    assert_int_equal(stored_n(&t.s, r), 1);
    begin(t.c);
    assert_int_equal(read_n(t.c, r), 1);
    newt_abort(t.c);
    /* a follower's position does not move */
    ok(t.s.a, newt_project(t.s.a, "f", 10, &progress));
    while (progress.behind_us > 0)
        ok(t.s.a, newt_project(t.s.a, "f", 10, &progress));
    begin(t.s.a);
    write_n(t.s.a, r, 3);
    commit(t.s.a);
    assert_int_equal(newt_project(t.c, "f", 10, &progress), NEWT_ESQL);
    assert_string_equal(newt_error_message(newt_conn_error(t.c)),
                        "the server has rolled back instead of committing");
    ok(t.s.a, newt_project(t.s.a, "f", 10, &progress));
    assert_int_equal(progress.transactions, 1);
    through_close(&t);
}

static void
test_lost_while_reading(void **state)
{
    item_ref r, q;
    through t;

    syncs_of(state);
    through_open(&t, "lost_read");
    r = make_item(t.s.a, "r", 1);
    q = make_item(t.s.a, "q", 2);
    begin(t.c);
    assert_int_equal(read_n(t.c, r), 1);
    sql_do(t.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                   "application_name = 'newt' AND datname = current_database() "
                   "AND state = 'idle in transaction'");
    assert_null(item_read(t.c, q));
    assert_int_equal(newt_status(t.c), NEWT_ELOST);
    assert_true(newt_is_retryable(newt_conn_error(t.c)));
    assert_int_equal(newt_commit(t.c), NEWT_ELOST);
    begin(t.c);
    assert_int_equal(read_n(t.c, q), 2);
    write_n(t.c, q, 3);
    /* ... and while it has an open snapshot and something to write */
    sql_do(t.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                   "application_name = 'newt' AND datname = current_database() "
                   "AND state = 'idle in transaction'");
    commit(t.c); /* what has been read has been read: it is written through a new connection */
    assert_int_equal(stored_n(&t.s, q), 3);
    /* between transactions nobody notices */
    begin(t.c);
    read_n(t.c, q);
    commit(t.c);
    sql_do(t.s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                   "application_name = 'newt' AND datname = current_database()");
    begin(t.c);
    assert_int_equal(newt_status(t.c), NEWT_OK);
    write_n(t.c, q, 4);
    commit(t.c);
    assert_int_equal(stored_n(&t.s, q), 4);
    begin(t.s.a);
    assert_int_equal(read_n(t.s.a, q), 4);
    commit(t.s.a);
    through_close(&t);
}

/* A client that stops after it has taken the commit lock, with the rest of its commit unsent: the
 * time-out frees the lock. */
static void
test_lock_is_freed(void **state)
{
    item_ref r;
    through t;

    syncs_of(state);
    through_open(&t, "lock");
    r = make_item(t.s.a, "r", 1);
    sql_do(t.s.pg, "BEGIN");
    sql_do(t.s.pg, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    sql_do(t.s.pg, "SELECT set_config('idle_in_transaction_session_timeout', '200ms', true)");
    begin(t.s.a);
    write_n(t.s.a, r, 2);
    commit(t.s.a); /* waits for it */
    PQfinish(t.s.pg);
    t.s.pg = sql_open();
    sql_do(t.s.pg, "SET search_path = %s", t.s.schema);
    assert_int_equal(stored_n(&t.s, r), 2);
    through_close(&t);
}

#define TWICE(test)                                                                                \
    {#test, test, NULL, NULL, &without},                                                           \
    {                                                                                              \
#        test "_extension", test, NULL, NULL, &with                                                \
    }
static const struct CMUnitTest lost[] = {
    TWICE(test_one_round_trip),     TWICE(test_cut_on_the_way_out), TWICE(test_cut_on_the_way_back),
    TWICE(test_cut_behind_pooler),  TWICE(test_cut_twice),          TWICE(test_rolled_back_instead),
    TWICE(test_lost_while_reading), TWICE(test_lock_is_freed),
};

int
main(void)
{
    return run_all(lost);
}
