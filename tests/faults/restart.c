/*
 * restart.c - the server is restarted, crashes, is gone, or does not wait for its standby
 *
 * Needs dev/private-server's verbs, and a server that no other test uses meanwhile.
 */
#include "../bridge/server.h"

#include <stdatomic.h>

static PGconn *
reopen(const store *s)
{
    PGconn *pg = sql_open();

    sql_do(pg, "SET search_path = %s", s->schema);
    return pg;
}

static void
test_restart(void **state)
{
    item_ref r, q;
    store s;

    (void)state;
    store_open(&s, "restart");
    r = make_item(s.a, "r", 1);
    q = make_item(s.b, "q", 2);
    /* between transactions nobody notices; the cache stays, this server lives on */
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    PQfinish(s.pg);
    server_do("restart");
    s.pg = reopen(&s);
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    write_n(s.a, r, 2);
    commit(s.a);
    assert_int_equal(stats_of(s.a).loads, 0);
    /* with a snapshot open, what is not loaded is out of reach */
    begin(s.a);
    assert_int_equal(read_n(s.a, q), 2);
    PQfinish(s.pg);
    server_do("restart");
    s.pg = reopen(&s);
    item_ref root = {{1}};
    assert_null(newt_read(s.a, root.any, &item_class));
    assert_int_equal(newt_status(s.a), NEWT_ELOST);
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(read_n(s.a, q), 2);
    commit(s.a);
    store_close(&s);
}

static int
touch(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    return 0;
}

static void
test_no_server(void **state)
{
    newt_transact_options few = {.size = sizeof few, .attempts = 3};
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "gone");
    r = make_item(s.a, "r", 1);
    PQfinish(s.pg);
    server_do("stop");
    assert_int_equal(newt_transact(s.a, touch, &r, &few), NEWT_ELOST);
    assert_true(newt_is_retryable(newt_conn_error(s.a)));
    assert_true(*newt_error_message(newt_conn_error(s.a)));
    newt_close(s.b);
    assert_int_equal(newt_connect(s.db, &s.b), NEWT_ELOST);
    server_do("start");
    s.pg = reopen(&s);
    ok(s.a, newt_transact(s.a, touch, &r, &few));
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 2);
    commit(s.a);
    store_close(&s);
}

/* ---- crashes -------------------------------------------------------------------------- */

static void
test_crash(void **state)
{
    char *before;
    int64_t serial;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "crash");
    r = make_item(s.a, "r", 1);
    before = sql_text(s.pg, "SELECT id FROM newt_incarnation");
    begin(s.a);
    item_done(new_item(s.a, "x", 1));
    commit(s.a);
    serial = sql_int(s.pg, "SELECT max(serial) FROM transaction");
    assert_true(stats_of(s.a).objects > 0);
    /* a transaction that has used what it had in the cache cannot know that it still holds */
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    begin(s.a);
    read_n(s.a, r);
    item_done(new_item(s.a, "y", 1));
    PQfinish(s.pg);
    server_do("crash");
    server_do("start");
    s.pg = reopen(&s);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_true(newt_is_retryable(newt_conn_error(s.a)));
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    item_done(new_item(s.a, "z", 1));
    commit(s.a);
    /* the restarted server has another incarnation, and none of the numbers of before */
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_incarnation WHERE id <> '%s'", before);
    assert_true(sql_int(s.pg, "SELECT max(serial) FROM transaction") / 1024 > serial / 1024);
    free(before);
    store_close(&s);
}

/* Oids that a transaction needs after the server crashed are those of another server. */
static void
test_crash_before_numbers(void **state)
{
    struct item *x;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "numbers");
    r = make_item(s.a, "r", 1);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 1); /* its snapshot is open */
    PQfinish(s.pg);
    server_do("crash");
    server_do("start");
    s.pg = reopen(&s);
    for (int i = 0; i < 5000 && (x = item_new(s.b)); i++)
        item_done(x);
    assert_null(x);
    assert_int_equal(newt_status(s.b), NEWT_ELOST);
    assert_string_equal(newt_error_message(newt_conn_error(s.b)),
                        "the server was restarted during the transaction");
    newt_abort(s.b);
    begin(s.b);
    r = item_id(new_item(s.b, "new", 1));
    commit(s.b);
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    commit(s.a);
    store_close(&s);
}

typedef struct worker {
    newt_db *db;
    newt_conn *c;
    item_ref r;
    atomic_bool *stop;
    int64_t done;
    int status;
} worker;

static void *
work(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000000};
    worker *w = arg;

    while (w->status == NEWT_OK && !*w->stop) {
        w->status = newt_transact(w->c, touch, &w->r, &patient);
        w->done += w->status == NEWT_OK;
    }
    return NULL;
}

/* Whatever was acknowledged is there, and nothing twice, whenever the server dies. */
static void
test_crashes_under_load(void **state)
{
    enum {
        WORKERS = 3,
        CRASHES = 6
    };
    worker w[WORKERS];
    pthread_t t[WORKERS];
    atomic_bool stop = false;
    int64_t before;
    store s;

    (void)state;
    store_open(&s, "load");
    for (int i = 0; i < WORKERS; i++)
        w[i] = (worker){.db = s.db, .r = make_item(s.a, "counter", 0), .stop = &stop};
    w[1].r = w[0].r; /* two of them on the same object */
    /* to connect is not tried again, so it is done while the server lives */
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(newt_connect(s.db, &w[i].c), NEWT_OK);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
    for (int i = 0; i < CRASHES; i++) {
        before = sql_int(s.pg, "SELECT count(*) FROM transaction");
        wait_until(sql_int(s.pg, "SELECT count(*) FROM transaction") > before + 20 + 7 * i);
        PQfinish(s.pg);
        server_do(i % 3 == 2 ? "restart" : "crash");
        if (i % 3 != 2)
            server_do("start");
        s.pg = reopen(&s);
    }
    stop = true;
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(t[i], NULL);
        if (w[i].status != NEWT_OK)
            print_message("# worker %d: %s\n", i, newt_status_text(w[i].status));
        assert_int_equal(w[i].status, NEWT_OK);
        newt_close(w[i].c);
    }
    print_message("# %lld transactions in %d crashes and restarts\n",
                  (long long)(w[0].done + w[1].done + w[2].done), CRASHES);
    begin(s.a);
    assert_int_equal(read_n(s.a, w[0].r), w[0].done + w[1].done);
    assert_int_equal(read_n(s.a, w[2].r), w[2].done);
    commit(s.a);
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p "
               "USING (zoid) WHERE o.serial IS DISTINCT FROM p.serial");
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN transaction t "
               "USING (serial) WHERE t.tid IS NULL");
    store_close(&s);
}

/* ---- a standby that does not answer --------------------------------------------------- */

static void *
touch_in_thread(void *arg)
{
    worker *w = arg;
    newt_conn *c = NULL;

    w->status = newt_connect(w->db, &c);
    if (w->status == NEWT_OK)
        w->status = newt_transact(c, touch, &w->r, NULL);
    if (w->status == NEWT_EUNKNOWN) {
        assert_false(newt_is_retryable(newt_conn_error(c)));
        assert_non_null(strstr(newt_error_message(newt_conn_error(c)), "is committed"));
        assert_non_null(strstr(newt_error_detail(newt_conn_error(c)), "synchronous replication"));
        w->done = newt_tid(c);
    }
    newt_close(c);
    return NULL;
}

#define IN_BARRIER                                                                                 \
    "FROM pg_stat_activity WHERE application_name = 'newt' AND wait_event = 'SyncRep'"

static void
test_barrier_cancelled(void **state)
{
    enum {
        BLOCK = 1024
    };
    item_ref before, after;
    worker w;
    pthread_t t;
    store s;

    (void)state;
    store_open(&s, "standby");
    w = (worker){.db = s.db, .r = make_item(s.a, "r", 1)};
    before = make_item(s.b, "x", 1); /* it has serials now, whose block needs a barrier too */
    synchronous_standby(s.pg, "nobody");
    newt_close(s.b); /* for the thread, which gets it */
    s.b = NULL;
    assert_int_equal(pthread_create(&t, NULL, touch_in_thread, &w), 0);
    wait_until(sql_int(s.pg, "SELECT count(*) " IN_BARRIER) == 1);
    /* committed and seen, but its owner has not been told so */
    assert_sql(s.pg, "2", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)w.r.any.oid);
    wait_until(sql_int(s.pg, "SELECT count(pg_cancel_backend(pid)) " IN_BARRIER) == 1);
    pthread_join(t, NULL);
    assert_int_equal(w.status, NEWT_EUNKNOWN);
    assert_int_equal(w.done, sql_int(s.pg, "SELECT max(tid) FROM transaction"));
    synchronous_standby(s.pg, "");
    ok(s.a, newt_transact(s.a, touch, &w.r, NULL));
    /* what was left of its numbers is as doubtful as the commit */
    s.b = connect_(s.db);
    after = make_item(s.b, "y", 1);
    assert_true(after.any.oid / BLOCK > before.any.oid / BLOCK);
    store_close(&s);
}

static const struct CMUnitTest faults[] = {
    cmocka_unit_test(test_restart),
    cmocka_unit_test(test_no_server),
    cmocka_unit_test(test_crash),
    cmocka_unit_test(test_crash_before_numbers),
    cmocka_unit_test(test_crashes_under_load),
    cmocka_unit_test(test_barrier_cancelled),
};

int
main(void)
{
    return run_all(faults);
}
