/*
 * server_queue.c - turns of newt_transact at contended objects
 */
#include "server.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

#include <stdatomic.h>

/* ---- three clients -------------------------------------------------------------------- */

typedef struct scene {
    store s;      /* a and b are the ones that queue */
    newt_conn *c; /* is in their way */
    item_ref x, y;
} scene;

static void
scene_open(scene *t, const char *name)
{
    store_open(&t->s, name);
    t->c = connect_(t->s.db);
    t->x = make_item(t->c, "x", 0);
    t->y = make_item(t->c, "y", 0);
}

static void
scene_close(scene *t)
{
    newt_close(t->c);
    store_close(&t->s);
}

/* Turns at objects of this store: those that somebody has, or waits for. */
static int64_t
turns(const scene *t, bool had)
{
    return sql_int(t->s.pg,
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND "
                   "classid = 'newt_commit_lock'::regclass AND granted = %s AND database = (SELECT "
                   "oid FROM pg_database WHERE datname = current_database())",
                   had ? "true" : "false");
}

static int64_t
turns_of(const scene *t, const newt_conn *c)
{
    return sql_int(t->s.pg,
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND "
                   "pid = %d",
                   PQbackendPID(c->jar.session->pg));
}

static void
disturb(scene *t, item_ref r)
{
    begin(t->c);
    write_n(t->c, r, read_n(t->c, r) + 100);
    commit(t->c);
}

/* ---- work ----------------------------------------------------------------------------- */

typedef struct job {
    scene *t;
    item_ref r;
    int disturb;                              /* attempts that meet somebody else */
    int (*then)(newt_conn *c, struct job *j); /* what the one after them does; NULL: the same */
    int64_t x;
    int calls;
} job;

static int
add_one(newt_conn *c, item_ref r)
{
    struct item *i = item_write(c, r);

    if (!i)
        return newt_status(c);
    i->n++;
    item_done(i);
    return NEWT_OK;
}

static int
work(newt_conn *c, void *arg)
{
    job *j = arg;
    int rc;

    j->calls++;
    if (j->calls > j->disturb && j->then)
        return j->then(c, j);
    rc = add_one(c, j->r);
    if (rc == NEWT_OK && j->calls <= j->disturb)
        disturb(j->t, j->r);
    return rc;
}

static int
other_work(newt_conn *c, void *arg)
{
    return work(c, arg);
}

static int
with_turn(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 1);
    return add_one(c, j->r);
}

static int
without_turn(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 0);
    return add_one(c, j->r);
}

static int
without_asking(newt_conn *c, job *j)
{
    assert_int_equal(c->jar.session->turns.turn, NEWT__NO_TURN);
    return without_turn(c, j);
}

/* As if it had been in somebody's way just now, however long the machine takes from here. */
static void
recently(newt_conn *c)
{
    c->queue.busy_us = newt__clock() + 3600 * 1000000LL;
}

/* a has been in somebody's way, just now. */
static void
contend(scene *t)
{
    job j = {.t = t, .r = t->x, .disturb = 1, .then = with_turn};

    ok(t->s.a, newt_transact(t->s.a, work, &j, NULL));
    assert_int_equal(j.calls, 2);
    assert_int_equal(turns(t, true), 0);
    recently(t->s.a);
}

/* ---- every end of a transaction is the end of its turn -------------------------------- */

static int
gives_up(newt_conn *c, job *j)
{
    with_turn(c, j);
    return 42;
}

static int
fails(newt_conn *c, job *j)
{
    with_turn(c, j);
    return NEWT_EINVAL;
}

static int
reads(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 1);
    read_n(c, j->r);
    return 0;
}

static int
does_nothing(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 1);
    return 0;
}

static int
is_doomed(newt_conn *c, job *j)
{
    newt_ref missing = {999999};

    with_turn(c, j);
    assert_int_equal(newt_read_current(c, missing), NEWT_EMISSING);
    return newt_status(c);
}

static int
asks_nonsense(newt_conn *c, job *j)
{
    newt_result *r;

    with_turn(c, j);
    return newt_search(c, &r, "SELECT nonsense", 0, NULL);
}

/* Its server process ends with the turn. */
static int
loses(newt_conn *c, job *j)
{
    with_turn(c, j);
    sql_do(j->t->s.pg, "SELECT pg_terminate_backend(%d, 10000)", PQbackendPID(c->jar.session->pg));
    return 0;
}

/* The comparison is a statement under the commit lock, which is one, too. */
static int
reads_current(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 1);
    ok(c, newt_read_current(c, j->r.any));
    return add_one(c, j->t->y);
}

static int
meets_again(newt_conn *c, job *j)
{
    int rc = with_turn(c, j);

    disturb(j->t, j->r);
    return rc;
}

static void
test_ends(void **state)
{
    static const struct {
        int (*then)(newt_conn *c, job *j);
        int status, calls;
    } ends[] = {
        {with_turn, NEWT_OK, 2},       {gives_up, 42, 2},
        {fails, NEWT_EINVAL, 2},       {reads, NEWT_OK, 2},
        {does_nothing, NEWT_OK, 2},    {is_doomed, NEWT_EMISSING, 2},
        {asks_nonsense, NEWT_ESQL, 2}, {loses, NEWT_OK, 2},
        {reads_current, NEWT_OK, 2},   {meets_again, NEWT_ECONFLICT, 3},
    };
    newt_transact_options three = {.size = sizeof three, .attempts = 3};
    scene t;

    (void)state;
    scene_open(&t, "ends");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        job j = {.t = &t, .r = t.x, .disturb = 1, .then = ends[i].then};

        t.s.a->queue.n = 0;
        assert_int_equal(newt_transact(t.s.a, work, &j, &three), ends[i].status);
        assert_int_equal(j.calls, ends[i].calls);
        if (ends[i].status == NEWT_OK && ends[i].then == with_turn)
            assert_int_equal(turns(&t, true), 0); /* with COMMIT; the others are not waited for */
        newt_close(t.s.a);
        wait_until(turns(&t, true) == 0);
        t.s.a = connect_(t.s.db);
        begin(t.s.a);
        read_n(t.s.a, t.x);
        commit(t.s.a);
    }
    scene_close(&t);
}

/* ---- who queues ----------------------------------------------------------------------- */

/* Without a conflict a transaction of newt_transact is what begin and commit are. */
static void
test_nobody_else(void **state)
{
    double until = now() + PATIENCE_S;
    newt_stats before, after;
    int64_t statements;
    scene t;
    job j;

    (void)state;
    scene_open(&t, "nobody");
    for (int i = 0; i < 2; i++) {
        begin_alone(t.s.a);
        before = stats_of(t.s.a);
        write_n(t.s.a, t.x, 10 + i);
        commit(t.s.a);
        statements = stats_of(t.s.a).statements - before.statements;
    }
    do { /* on a busy machine its begin may come too late to do without the server */
        before = stats_of(t.s.a);
        j = (job){.t = &t, .r = t.x};
        ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
        after = stats_of(t.s.a);
    } while (after.round_trips - before.round_trips > 1 && now() < until);
    assert_int_equal(after.statements - before.statements, statements);
    assert_int_equal(after.round_trips - before.round_trips, 1);
    scene_close(&t);
}

/* The next transaction begins with its turn, in the round trip of its begin; but not long after,
 * not with another function, and not once more for what has not been used. */
static void
test_next(void **state)
{
    newt_stats before;
    scene t;
    job j;

    (void)state;
    scene_open(&t, "next");
    contend(&t);
    before = stats_of(t.s.a);
    j = (job){.t = &t, .r = t.x, .then = with_turn};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    assert_int_equal(stats_of(t.s.a).round_trips - before.round_trips, 2);
    assert_int_equal(stats_of(t.s.a).retries, before.retries);
    assert_int_equal(turns(&t, true), 0);

    recently(t.s.a);
    j = (job){.t = &t, .r = t.x, .then = without_asking};
    ok(t.s.a, newt_transact(t.s.a, other_work, &j, NULL));

    recently(t.s.a);
    j = (job){.t = &t, .r = t.y, .then = with_turn};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    recently(t.s.a);
    j = (job){.t = &t, .r = t.x, .then = without_asking};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));

    contend(&t);
    t.s.a->queue.busy_us = newt__clock() - 200000;
    j = (job){.t = &t, .r = t.x, .then = without_asking};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    scene_close(&t);
}

/* Through a pooler no session is ours: clients pause, as they do after a conflict with a turn. */
static void
test_pooler(void **state)
{
    newt_options o = {.transaction_pooling = true};
    uint64_t random;
    newt_db *db;
    newt_conn *p;
    scene t;
    job j;

    (void)state;
    scene_open(&t, "pooler");
    db = store_db(&t.s, classes, o);
    p = connect_(db);
    random = p->random;
    j = (job){.t = &t, .r = t.x, .disturb = 1, .then = without_asking};
    ok(p, newt_transact(p, work, &j, NULL));
    assert_int_equal(j.calls, 2);
    assert_true(p->random != random);
    newt_close(p);
    newt_db_close(db);

    random = t.s.a->random;
    j = (job){.t = &t, .r = t.x, .disturb = 1, .then = with_turn};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    assert_true(t.s.a->random == random);
    t.s.a->queue.n = 0;
    j = (job){.t = &t, .r = t.x, .disturb = 2, .then = with_turn};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    assert_true(t.s.a->random != random);
    scene_close(&t);
}

/* The same object of another store has a queue of its own. */
static scene *other_store;

static int
in_two_stores(newt_conn *c, job *j)
{
    int rc = with_turn(c, j);

    contend(other_store);
    assert_int_equal(turns_of(j->t, c), 1);
    return rc;
}

static void
test_stores(void **state)
{
    scene t, u;
    job j;

    (void)state;
    scene_open(&t, "stores");
    scene_open(&u, "stores");
    assert_int_equal(t.x.any.oid, u.x.any.oid);
    other_store = &u;
    j = (job){.t = &t, .r = t.x, .disturb = 1, .then = in_two_stores};
    ok(t.s.a, newt_transact(t.s.a, work, &j, NULL));
    scene_close(&u);
    scene_close(&t);
}

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

/* ---- merging in a turn ---------------------------------------------------------------- */

struct tally;
NEWT_DECLARE(tally);
struct tally {
    int64_t n;
};

static int
sum(const void *old, const void *committed, void *ours, void *arg)
{
    const struct tally *o = old, *t = committed;
    struct tally *u = ours;
    int *refusals = arg;

    u->n += t->n - o->n;
    return (*refusals)-- > 0;
}

static int refusals;
static const newt_hooks sums = {.size = sizeof sums, .resolve = sum, .arg = &refusals};
NEWT_CLASS(tally, "Tally", 1, &sums, NEWT_FIELD(struct tally, n));

typedef struct tallying {
    newt_conn *other;
    tally_ref r;
    int calls;
} tallying;

static int
count_up(newt_conn *c, void *arg)
{
    tallying *y = arg;
    struct tally *t = tally_write(c, y->r);

    assert_non_null(t);
    t->n++;
    tally_done(t);
    assert_int_equal(c->jar.session->turns.turn, y->calls++ ? NEWT__TURN : NEWT__NO_TURN);
    if (c != y->other) {
        begin(y->other);
        t = tally_write(y->other, y->r);
        assert_non_null(t);
        t->n += 100;
        tally_done(t);
        commit(y->other);
    }
    return 0;
}

/* The first attempt of the commit gives the turn to its transaction, which fails; the next has
 * none. */
static void
test_merged(void **state)
{
    static const newt_class *const list[] = {&tally_class, NULL};
    const struct tally *t;
    tallying y = {0};
    scene s = {0};

    (void)state;
    store_make(&s.s, "merged");
    s.s.db = store_db(&s.s, list, (newt_options){0});
    s.s.a = connect_(s.s.db);
    y.other = s.s.b = connect_(s.s.db);
    begin(s.s.a);
    y.r = tally_id(tally_new(s.s.a));
    commit(s.s.a);
    refusals = 1;
    ok(s.s.a, newt_transact(s.s.a, count_up, &y, NULL));
    assert_int_equal(y.calls, 2);
    assert_int_equal(stats_of(s.s.a).merges, 1);
    assert_int_equal(s.s.a->jar.session->turns.turn, NEWT__NO_TURN);
    assert_int_equal(turns(&s, true), 0);
    begin(s.s.b);
    t = tally_read(s.s.b, y.r);
    assert_non_null(t);
    assert_int_equal(t->n, 201);
    commit(s.s.b);
    store_close(&s.s);
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

/* No turn was ended twice. */
static void
test_log(void **state)
{
    static const char mistake[] = "you don't own a lock";
    FILE *f = fopen(getenv("NEWT_PGLOG"), "r");
    char line[4096];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strstr(line, mistake))
            fail_msg("%s", line);
    fclose(f);
}

static int
with(void **state)
{
    (void)state;
    use_database(true);
    return 0;
}

static int
without(void **state)
{
    (void)state;
    use_database(false);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ends, with),
        cmocka_unit_test_setup(test_ends, without),
        cmocka_unit_test_setup(test_nobody_else, with),
        cmocka_unit_test_setup(test_nobody_else, without),
        cmocka_unit_test_setup(test_next, with),
        cmocka_unit_test_setup(test_pooler, with),
        cmocka_unit_test_setup(test_stores, with),
        cmocka_unit_test_setup(test_stands_still, with),
        cmocka_unit_test_setup(test_part, with),
        cmocka_unit_test_setup(test_killed, with),
        cmocka_unit_test_setup(test_merged, with),
        cmocka_unit_test_setup(test_merged, without),
        cmocka_unit_test_setup(test_shares, with),
        cmocka_unit_test_setup(test_shares, without),
        cmocka_unit_test_setup(test_crossing, with),
        cmocka_unit_test_setup(test_crossing, without),
        cmocka_unit_test(test_log),
    };

    return run_all(tests);
}
