/*
 * server_queue.c - who waits for a turn of newt_transact: too long, in vain, all at once
 */
#include "turns.h"

#include <stdatomic.h>

/* ---- who waits too long --------------------------------------------------------------- */

/* While a, in its turn at x, stands still: b, which has met a conflict at x. */
static int
stands_still(newt_conn *c, job *j)
{
    newt_transact_options soon = {.size = sizeof soon, .deadline_ms = 300};
    newt_conn *b = j->t->s.b;
    job of_b = {.t = j->t, .r = j->t->x, .disturb = 1, .then = without_turn};
    double start;
    int rc = with_turn(c, j);

    if (j->calls > 2)
        return rc;
    /* the deadline is earlier; on a machine that is slow just now it comes before the conflict */
    wait_until((of_b.calls = 0, newt_transact(b, work, &of_b, &soon)) == NEWT_OK);
    assert_int_equal(b->queue.away_until_us, 0);

    start = now();
    of_b = (job){.t = j->t, .r = j->t->x, .disturb = 1, .then = without_turn};
    ok(b, newt_transact(b, work, &of_b, NULL));
    assert_in_range((now() - start) * 1000, 990, 30000);
    assert_int_equal(of_b.calls, 2);
    assert_int_equal(newt_status(b), NEWT_OK);
    assert_string_equal(newt_error_message(newt_conn_error(b)), "");
    assert_true(b->queue.away_until_us > 0);
    b->queue.away_until_us += 3600 * 1000000LL;
    /* and for some time it does not even try */
    of_b = (job){.t = j->t, .r = j->t->x, .disturb = 1, .then = without_asking};
    ok(b, newt_transact(b, work, &of_b, NULL));
    assert_int_equal(of_b.calls, 2);
    return rc;
}

static void
test_stands_still(void **state)
{
    scene t;
    job j;

    (void)state;
    scene_open(&t, "still");
    begin(t.s.b);
    read_n(t.s.b, t.x);
    commit(t.s.b);
    j = (job){.t = &t, .r = t.x, .disturb = 1, .then = stands_still};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    assert_int_equal(j.calls, 3); /* b was faster */
    wait_until(turns(&t, true) == 0);
    scene_close(&t);
}

/* Of two turns one is had, and the other is not to be had. */
static int
both(newt_conn *c, void *arg)
{
    job *j = arg;
    int rc = add_one(c, j->t->x);

    rc = rc ? rc : add_one(c, j->t->y);
    if (++j->calls == 1) {
        disturb(j->t, j->t->x);
        disturb(j->t, j->t->y);
    } else {
        assert_int_equal(turns_of(j->t, c), 1);
        assert_int_equal(c->jar.session->turns.turn, NEWT__TURN);
    }
    return rc;
}

static int
has_one_of_two(newt_conn *c, job *j)
{
    job of_b = {.t = j->t};
    int rc = with_turn(c, j);

    if (j->calls > 2)
        return rc;
    ok(j->t->s.b, newt_transact(j->t->s.b, both, &of_b, NULL));
    assert_int_equal(of_b.calls, 2);
    wait_until(turns_of(j->t, j->t->s.b) == 0);
    return rc;
}

static void
test_part(void **state)
{
    scene t;
    job j;

    (void)state;
    scene_open(&t, "part");
    j = (job){.t = &t, .r = t.y, .disturb = 1, .then = has_one_of_two};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    scene_close(&t);
}

/* ---- who is killed in the queue ------------------------------------------------------- */

typedef struct waiter {
    job j;
    pthread_t thread;
    int status;
    atomic_bool over;
} waiter;

static void *
wait_in_thread(void *arg)
{
    waiter *w = arg;

    w->status = newt_transact(w->j.t->s.b, work, &w->j, NULL);
    w->over = true;
    return NULL;
}

static waiter killed;

static int
kills(newt_conn *c, job *j)
{
    int rc = with_turn(c, j);

    if (j->calls > 2) /* who was killed was in the way */
        return rc;
    assert_int_equal(pthread_create(&killed.thread, NULL, wait_in_thread, &killed), 0);
    wait_until(turns(j->t, false) == 1);
    sql_do(j->t->s.pg, "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = "
                       "'advisory' AND classid = 'newt_commit_lock'::regclass AND NOT granted");
    /* it connects anew, and waits again (for a second, which nobody may have seen) */
    wait_until(turns(j->t, false) == 1 || killed.over);
    return rc;
}

static void
test_killed(void **state)
{
    scene t;
    job j;

    (void)state;
    scene_open(&t, "killed");
    killed = (waiter){.j = {.t = &t, .r = t.y, .disturb = 1}};
    j = (job){.t = &t, .r = t.y, .disturb = 1, .then = kills};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    pthread_join(killed.thread, NULL);
    assert_int_equal(killed.status, NEWT_OK);
    begin(t.c);
    assert_int_equal(read_n(t.c, t.y), 202);
    commit(t.c);
    scene_close(&t);
}

/* ---- all at once ---------------------------------------------------------------------- */

enum {
    THREADS = 8,
    TIMES = 800,
    SHARE = TIMES / THREADS / 8
};

typedef struct crowd {
    scene t;
    pthread_barrier_t ready;
    pthread_mutex_t mutex;
    int left;   /* guarded by it */
    int behind; /* threads that have not had their share yet; so is this */
} crowd;

typedef struct member {
    crowd *of;
    pthread_t thread;
    bool backwards;
    int status, done;
} member;

static int
add_both(newt_conn *c, void *arg)
{
    const member *m = arg;
    const scene *t = &m->of->t;
    int rc = add_one(c, m->backwards ? t->y : t->x);

    return rc ? rc : add_one(c, m->backwards ? t->x : t->y);
}

static int
add_to_x(newt_conn *c, void *arg)
{
    const member *m = arg;

    return add_one(c, m->of->t.x);
}

static bool
more(crowd *w)
{
    bool any;

    pthread_mutex_lock(&w->mutex);
    any = w->left-- > 0 || w->behind > 0;
    pthread_mutex_unlock(&w->mutex);
    return any;
}

static newt_work *crowd_work;

static void *
member_main(void *arg)
{
    member *m = arg;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    double until = now() + PATIENCE_S;
    newt_conn *c = NULL;

    m->status = newt_connect(m->of->t.s.db, &c);
    pthread_barrier_wait(&m->of->ready);
    while (m->status == NEWT_OK && more(m->of) && now() < until) {
        m->status = newt_transact(c, crowd_work, m, &patient);
        m->done += m->status == NEWT_OK;
        if (m->done != SHARE)
            continue;
        pthread_mutex_lock(&m->of->mutex);
        m->of->behind--;
        pthread_mutex_unlock(&m->of->mutex);
    }
    newt_close(c);
    return NULL;
}

/* They go on until they have done it TIMES times together, and each of them its share. */
static void
crowd_run(const char *name, newt_work *fn, bool both)
{
    crowd w = {.mutex = PTHREAD_MUTEX_INITIALIZER, .left = TIMES, .behind = THREADS};
    member m[THREADS];
    int64_t done = 0;

    scene_open(&w.t, name);
    crowd_work = fn;
    pthread_barrier_init(&w.ready, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        m[i] = (member){.of = &w, .backwards = i % 2};
        assert_int_equal(pthread_create(&m[i].thread, NULL, member_main, &m[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(m[i].thread, NULL);
        done += m[i].done;
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(m[i].status, NEWT_OK);
        assert_true(m[i].done >= SHARE);
    }
    begin(w.t.s.a);
    assert_int_equal(read_n(w.t.s.a, w.t.x), done);
    assert_int_equal(read_n(w.t.s.a, w.t.y), both ? done : 0);
    commit(w.t.s.a);
    assert_int_equal(turns(&w.t, true) + turns(&w.t, false), 0);
    pthread_barrier_destroy(&w.ready);
    scene_close(&w.t);
}

/* Each has its share, and all of them are right. */
static void
test_shares(void **state)
{
    (void)state;
    crowd_run("shares", add_to_x, false);
}

/* Crossing each other at two objects. */
static void
test_crossing(void **state)
{
    PGconn *pg;

    (void)state;
    crowd_run("crossing", add_both, true);
    pg = sql_open();
    /* sessions report when they end, at the latest */
    wait_until(sql_int(pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'newt' "
                           "AND datname = current_database()") == 0);
    assert_sql(pg, "0",
               "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    PQfinish(pg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stands_still, with),
        cmocka_unit_test_setup(test_part, with),
        cmocka_unit_test_setup(test_killed, with),
        cmocka_unit_test_setup(test_shares, with),
        cmocka_unit_test_setup(test_shares, without),
        cmocka_unit_test_setup(test_crossing, with),
        cmocka_unit_test_setup(test_crossing, without),
        cmocka_unit_test(test_log),
    };

    return run_all(tests);
}
