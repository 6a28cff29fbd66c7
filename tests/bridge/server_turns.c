/*
 * server_turns.c - turns of newt_transact at contended objects: who takes one, and when it ends
 */
#include "turns.h"

static int
other_work(newt_conn *c, void *arg)
{
    return work(c, arg);
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

/* ---- who takes one ------------------------------------------------------------------- */

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
        cmocka_unit_test_setup(test_merged, with),
        cmocka_unit_test_setup(test_merged, without),
        cmocka_unit_test(test_log),
    };

    return run_all(tests);
}
