/*
 * transact.c - newt_transact: retries and pauses, and threads that use it
 */
#include "stored.h"

typedef struct job {
    store *s;
    item_ref r;
    int calls, disturb, give;
    int64_t round_trips; /* before the first call did anything */
} job;

static int
increment(newt_conn *c, void *arg)
{
    job *j = arg;

    if (j->calls++ == 0)
        j->round_trips = stats_of(c).round_trips;
    if (j->give)
        return j->give;
    write_n(c, j->r, read_n(c, j->r) + 1);
    if (j->disturb-- > 0) {
        begin(j->s->b);
        write_n(j->s->b, j->r, read_n(j->s->b, j->r) + 10);
        commit(j->s->b);
    }
    return 0;
}

/* Conflicts, and takes longer than the deadline. */
static int
dawdle(newt_conn *c, void *arg)
{
    double until = now() + 0.020;
    int rc = increment(c, arg);

    while (now() < until)
        ;
    return rc;
}

/* Clients in each other's way pause for different times; no attempt begins after the deadline. */
static void
test_pauses(void **state)
{
    newt_transact_options seven = {.size = sizeof seven, .attempts = 7};
    newt_transact_options soon = {.size = sizeof soon, .attempts = 1000, .deadline_ms = 20};
    newt_stats before;
    uint64_t random[2];
    item_ref r;
    store s;
    job j;

    (void)state;
    store_open(&s, "pauses");
    r = make_item(s.a, "r", 0);
    random[0] = s.a->random;
    random[1] = s.b->random;
    assert_true(random[0] != random[1]);
    j = (job){.s = &s, .r = r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &seven), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 7);
    assert_int_equal(stats_of(s.a).retries, 6);
    assert_true(s.a->random != random[0]);
    assert_true(s.b->random == random[1]);
    before = stats_of(s.a);
    j = (job){.s = &s, .r = r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, dawdle, &j, &soon), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 1);
    assert_int_equal(stats_of(s.a).retries, before.retries);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r.any.oid);
    /* the next attempt begins with what it wants, in one round trip: commit, what others have
     * changed; begin; commit */
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    j = (job){.s = &s, .r = r, .disturb = 1};
    ok(s.a, newt_transact(s.a, increment, &j, NULL));
    assert_int_equal(j.calls, 2);
    if (on_server())
        assert_int_equal(stats_of(s.a).round_trips - j.round_trips, 4);
    store_close(&s);
}

/* A read that fails because the transaction is lost already, reported with a status of its own. */
static int
mistaken(newt_conn *c, void *arg)
{
    increment(c, arg);
    return newt_status(c) ? NEWT_EMISSING : 0;
}

/* Does what newt_transact does for it. */
static int
commits(newt_conn *c, void *arg)
{
    ((job *)arg)->calls++;
    return newt_commit(c);
}

static void
test_transact(void **state)
{
    newt_transact_options two = {.size = sizeof two, .attempts = 2};
    newt_transact_options soon = {.size = sizeof soon, .attempts = 1000, .deadline_ms = 50};
    job j;
    store s;

    (void)state;
    store_open(&s, "transact");
    j = (job){.s = &s, .r = make_item(s.a, "r", 0), .disturb = 2};
    ok(s.a, newt_transact(s.a, increment, &j, NULL));
    assert_int_equal(j.calls, 3);
    assert_int_equal(stats_of(s.a).retries, 2);
    assert_int_equal(newt_status(s.a), NEWT_OK);
    begin(s.b);
    assert_int_equal(read_n(s.b, j.r), 21);
    commit(s.b);

    /* attempts and deadline have an end */
    j = (job){.s = &s, .r = j.r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 2);
    j = (job){.s = &s, .r = j.r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &soon), NEWT_ECONFLICT);
    assert_in_range(j.calls, 1, 999);

    /* the application's own codes come back after an abort; negative ones are not repeated */
    j = (job){.s = &s, .r = j.r, .give = 42};
    assert_int_equal(newt_transact(s.a, increment, &j, NULL), 42);
    j = (job){.s = &s, .r = j.r, .give = NEWT_EINVAL};
    assert_int_equal(newt_transact(s.a, increment, &j, NULL), NEWT_EINVAL);
    assert_int_equal(j.calls, 1);
    j = (job){.s = &s, .r = j.r, .give = NEWT_ECONFLICT};
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 2);
    j = (job){.s = &s, .r = j.r};
    ok(s.a, newt_transact(s.a, mistaken, &j, NULL));
    j.calls = 0;
    assert_int_equal(newt_transact(s.a, commits, &j, NULL), NEWT_EBUSY);
    assert_int_equal(j.calls, 1);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "the function has ended the transaction itself");
    /* the size of the options */
    two.size = 0;
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_EINVAL);
    assert_string_equal(newt_error_hint(newt_conn_error(s.a)),
                        "Set it to sizeof(newt_transact_options).");
    two.size = sizeof two + 8;
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.a)), "later version"));
    store_close(&s);
}

/* ---- threads -------------------------------------------------------------------------- */

static void *
use_in_thread(void *arg)
{
    store *s = arg;
    newt_ref any = {5000};

    if (item_new(s->a) || newt_delete(s->a, any) != NEWT_ETHREAD ||
        newt_read_current(s->a, any) != NEWT_ETHREAD ||
        newt_prefetch(s->a, &any, 1) != NEWT_ETHREAD)
        return NULL;
    return (void *)(intptr_t)newt_commit(s->a);
}

static void
test_thread_is_checked(void **state)
{
    pthread_t t;
    void *status;
    item_ref make;
    store s;

    (void)state;
    store_open(&s, "thread");
    begin(s.a);
    assert_int_equal(pthread_create(&t, NULL, use_in_thread, &s), 0);
    pthread_join(t, &status);
    assert_int_equal((intptr_t)status, NEWT_ETHREAD);
    assert_int_equal(newt_status(s.a), NEWT_OK);
    make = item_id(new_item(s.a, "x", 1));
    commit(s.a); /* its own thread goes on */
    begin(s.b);
    assert_int_equal(read_n(s.b, make), 1);
    commit(s.b);
    store_close(&s);
}

typedef struct adder {
    newt_db *db;
    item_ref r;
    int times, status;
    int64_t retries;
} adder;

static int
add_one(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    return 0;
}

static void *
add_in_thread(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    adder *a = arg;
    newt_conn *c = NULL;

    a->status = newt_connect(a->db, &c);
    for (int i = 0; i < a->times && a->status == NEWT_OK; i++)
        a->status = newt_transact(c, add_one, &a->r, &patient);
    if (c)
        a->retries = stats_of(c).retries;
    newt_close(c);
    return NULL;
}

static void
test_threads(void **state)
{
    enum {
        THREADS = 4,
        TIMES = 50
    };
    pthread_t t[THREADS];
    adder a[THREADS];
    store s;
    item_ref r;

    (void)state;
    store_open(&s, "threads");
    r = make_item(s.a, "counter", 0);
    for (int i = 0; i < THREADS; i++) {
        a[i] = (adder){.db = s.db, .r = r, .times = TIMES};
        assert_int_equal(pthread_create(&t[i], NULL, add_in_thread, &a[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(a[i].status, NEWT_OK);
    }
    begin(s.a);
    assert_int_equal(read_n(s.a, r), THREADS * TIMES);
    commit(s.a);
    /* tids rise, and stand beside the serials of the objects */
    assert_sql(s.pg, "t",
               "SELECT bool_and(tid > before) FROM (SELECT tid, lag(tid, 1, 0::bigint) "
               "OVER (ORDER BY tid) AS before FROM transaction) t");
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN transaction t "
               "USING (serial) WHERE t.tid IS NULL");
    store_close(&s);
}

/* Crossing updates and removals of many objects wait for each other instead of deadlocking. */
typedef struct crosser {
    newt_db *db;
    item_ref *r;
    int n, times, backwards, status;
} crosser;

static int
change_all(newt_conn *c, void *arg)
{
    crosser *x = arg;

    for (int i = 0; i < x->n; i++) {
        struct item *o = item_write(c, x->r[x->backwards ? x->n - 1 - i : i]);

        if (!o)
            return newt_status(c);
        o->n++;
    }
    return 0;
}

static void *
cross(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    crosser *x = arg;
    newt_conn *c = NULL;

    x->status = newt_connect(x->db, &c);
    for (int i = 0; i < x->times && x->status == NEWT_OK; i++)
        x->status = newt_transact(c, change_all, x, &patient);
    newt_close(c);
    return NULL;
}

static void
test_no_deadlock(void **state)
{
    enum {
        THREADS = 4,
        TIMES = 20,
        OBJECTS = 50
    };
    pthread_t t[THREADS];
    crosser x[THREADS];
    item_ref r[OBJECTS];
    int64_t deadlocks;
    store s;

    (void)state;
    store_open(&s, "deadlock");
    begin(s.a);
    for (int i = 0; i < OBJECTS; i++)
        r[i] = item_id(new_item(s.a, "x", 0));
    commit(s.a);
    deadlocks = s.pg ? sql_int(s.pg, "SELECT deadlocks FROM pg_stat_database WHERE datname = "
                                     "current_database()")
                     : 0;
    for (int i = 0; i < THREADS; i++) {
        x[i] = (crosser){.db = s.db, .r = r, .n = OBJECTS, .times = TIMES, .backwards = i % 2};
        assert_int_equal(pthread_create(&t[i], NULL, cross, &x[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(x[i].status, NEWT_OK);
    }
    assert_sql(s.pg, "t", "SELECT bool_and(state->>'n' = '%d') FROM newt WHERE class_name = 'Item'",
               THREADS * TIMES);
    if (s.pg) {
        sql_do(s.pg, "SELECT pg_stat_clear_snapshot()");
        assert_int_equal(sql_int(s.pg, "SELECT deadlocks FROM pg_stat_database WHERE datname = "
                                       "current_database()"),
                         deadlocks);
    }
    store_close(&s);
}

static const struct CMUnitTest transacts[] = {
    cmocka_unit_test(test_pauses),
    cmocka_unit_test(test_transact),
    cmocka_unit_test(test_thread_is_checked),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_no_deadlock),
};

int
main(void)
{
    return run_all(transacts);
}
