/*
 * server_rivals.c - followers beside others: of the same name, inline writers, all at once
 */
#include "followed.h"

#include <stdatomic.h>

typedef struct rival {
    newt_conn *c;
    newt_progress p;
    int status;
} rival;

static void *
project_in_thread(void *arg)
{
    rival *r = arg;

    r->p = (newt_progress){.size = sizeof r->p};
    r->status = newt_project(r->c, "updater", 1000, &r->p);
    return NULL;
}

/* In a statement on the store; or in COMMIT, before its commit lock. */
static int64_t
waiting(const store *s)
{
    return sql_int(s->pg,
                   "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE "
                   "NOT granted AND a.datname = current_database() AND (query LIKE '%%\"%s\"%%' "
                   "OR l.relation = 'newt_commit_lock'::regclass)",
                   s->schema);
}

static void
test_two_of_a_name(void **state)
{
    rival r;
    pthread_t t;
    PGconn *pg;
    setting x;

    open_setting(&x, "rivals", state);
    drain(x.f, "updater", 100);
    make_item(x.lazy, "x", 1);
    /* another one is in the middle of the same batch */
    pg = sql_open();
    sql_do(pg, "SET search_path = %s", x.s.schema);
    sql_do(pg, "BEGIN");
    sql_do(pg, "UPDATE newt_follower SET serial = NULL, tid = (SELECT max(tid) FROM transaction)");
    r = (rival){.c = x.f};
    assert_int_equal(pthread_create(&t, NULL, project_in_thread, &r), 0);
    wait_until(waiting(&x.s) == 1);
    sql_do(pg, "COMMIT");
    pthread_join(t, NULL);
    assert_int_equal(r.status, NEWT_ECONFLICT);
    assert_string_equal(newt_error_message(newt_conn_error(x.f)),
                        "another process follows under this name");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(x.f)), "\"updater\""));
    /* nothing of its batch is there; if the other one gives up, it goes on */
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    sql_do(pg, "BEGIN");
    sql_do(pg, "UPDATE newt_follower SET tid = 1");
    sql_do(pg, "ROLLBACK");
    make_item(x.lazy, "y", 1);
    drain(x.f, "updater", 100);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    PQfinish(pg);
    close_setting(&x);
}

/* ---- beside inline writers ------------------------------------------------------------ */

typedef struct writer {
    newt_conn *c;
    item_ref r;
    int64_t n; /* negative: remove it */
    int status;
} writer;

static void *
write_in_thread(void *arg)
{
    writer *w = arg;

    w->status = newt_begin(w->c);
    if (w->status == NEWT_OK) {
        if (w->n < 0)
            w->status = newt_delete(w->c, w->r.any);
        else
            write_n(w->c, w->r, w->n);
        w->status = newt_commit(w->c);
    }
    return NULL;
}

enum {
    COMMITS,
    DIES
};

/*
 * The follower reads while an inline writer of the same object stands before its commit lock, with
 * its row written and locked. had_row: the follower saw an older row; else none.
 */
static void
race(setting *x, bool had_row, int64_t n, int how, const char *expected)
{
    item_ref r = make_item(had_row ? x->s.a : x->lazy, "raced", 1);
    writer w = {.c = x->s.b, .r = r, .n = n};
    rival f = {.c = x->f};
    pthread_t wt, ft;
    bool blocks;
    PGconn *pg;

    drain(x->f, "other", 1000); /* had_row: it leaves it alone */
    if (!had_row) {
        sql_do(x->s.pg, "DELETE FROM newt_projection WHERE zoid = %lld", (long long)r.any.oid);
        begin(x->lazy);
        write_n(x->lazy, r, 2);
        commit(x->lazy);
    } else {
        begin(x->lazy);
        write_n(x->lazy, r, 2);
        commit(x->lazy);
    }
    pg = sql_open();
    sql_do(pg, "SET search_path = %s", x->s.schema);
    sql_do(pg, "BEGIN");
    sql_do(pg, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    assert_int_equal(pthread_create(&wt, NULL, write_in_thread, &w), 0);
    wait_until(waiting(&x->s) == 1);
    assert_int_equal(pthread_create(&ft, NULL, project_in_thread, &f), 0);
    /* it waits for the writer's row, unless the writer has none */
    blocks = n >= 0 || had_row;
    if (blocks)
        wait_until(waiting(&x->s) == 2);
    else
        pthread_join(ft, NULL);
    if (how == DIES)
        sql_do(x->s.pg, "SELECT pg_terminate_backend(l.pid, 60000) FROM pg_locks l JOIN pg_class k "
                        "ON k.oid = l.relation JOIN pg_database d ON d.oid = l.database "
                        "WHERE datname = current_database() AND NOT granted "
                        "AND relname = 'newt_commit_lock'");
    sql_do(pg, "COMMIT");
    pthread_join(wt, NULL);
    if (blocks)
        pthread_join(ft, NULL);
    assert_int_equal(f.status, NEWT_OK);
    assert_int_equal(w.status, how == DIES ? NEWT_ELOST : NEWT_OK);
    assert_sql(x->s.pg, expected, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r.any.oid);
    drain(x->f, "updater", 1000);
    check_exact(x);
    PQfinish(pg);
}

static void
test_races(void **state)
{
    setting x;

    open_setting(&x, "races", state);
    drain(x.f, "updater", 100);
    race(&x, true, 3, COMMITS, "3"); /* the writer's row is newer and stays */
    race(&x, false, 3, COMMITS, "3");
    race(&x, true, 3, DIES, "2"); /* it never was: the follower's row counts */
    race(&x, false, 3, DIES, "2");
    race(&x, true, -1, COMMITS, "");   /* removed */
    race(&x, false, -1, COMMITS, "2"); /* ... from under a row that the next batch takes away */
    race(&x, true, -1, DIES, "2");
    close_setting(&x);
}

/* ---- all at once ---------------------------------------------------------------------- */

enum {
    OBJECTS = 60,
    WRITERS = 3,
    ROUNDS = 60
};

typedef struct stress {
    newt_db *db;
    item_ref *r;
    uint64_t seed;
    int status;
    bool follow;
    const char *name;
    atomic_bool *stop;
} stress;

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static int
stress_work(newt_conn *c, void *arg)
{
    stress *s = arg;

    for (int k = (int)(next_random(&s->seed) % 8) + 1; k > 0; k--) {
        item_ref r = s->r[next_random(&s->seed) % OBJECTS];
        struct item *i = item_write(c, r);

        if (!i && newt_status(c) == NEWT_EMISSING)
            continue;
        if (!i)
            return newt_status(c);
        i->n++;
        if (next_random(&s->seed) % 16 == 0) {
            int status = newt_delete(c, r.any);

            if (status != NEWT_OK)
                return status;
        }
    }
    if (next_random(&s->seed) % 2 == 0)
        item_done(new_item(c, "more", 1));
    return 0;
}

static void *
stress_thread(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    newt_progress p = {.size = sizeof p};
    stress *s = arg;
    newt_conn *c = NULL;

    s->status = newt_connect(s->db, &c);
    if (s->follow) {
        while (s->status == NEWT_OK && !*s->stop) {
            s->status = newt_project(c, s->name, 20, &p);
            if (s->status == NEWT_ECONFLICT) /* a deadlock with an inline writer is possible */
                s->status = NEWT_OK;
        }
    } else {
        for (int i = 0; i < ROUNDS && s->status == NEWT_OK; i++)
            s->status = newt_transact(c, stress_work, s, &patient);
    }
    newt_close(c);
    return NULL;
}

static void
test_stress(void **state)
{
    const char *given = getenv("NEWT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003 + 7;
    pthread_t t[WRITERS + 2];
    stress w[WRITERS + 2];
    atomic_bool stop = false;
    item_ref r[OBJECTS];
    setting x;

    open_setting(&x, "stress", state);
    print_message("# NEWT_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < OBJECTS; i++)
        r[i] = make_item(i % 2 ? x.s.a : x.lazy, "x", i);
    for (int i = 0; i < WRITERS + 2; i++) {
        bool follow = i >= WRITERS;

        w[i] = (stress){.db = follow  ? x.follow_db
                              : i % 2 ? x.s.db
                                      : x.lazy_db,
                        .r = r,
                        .seed = seed * (uint64_t)(i + 1) | 1,
                        .follow = follow,
                        .name = i == WRITERS ? "one" : "two",
                        .stop = &stop};
        assert_int_equal(pthread_create(&t[i], NULL, stress_thread, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS + 2; i++) {
        if (i == WRITERS)
            stop = true;
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].status, NEWT_OK);
    }
    /* a row that one has put back under a removal goes in its own next batch: both have to end */
    drain(x.f, "one", 20);
    drain(x.f, "two", 20);
    check_exact(&x);
    close_setting(&x);
}

static const struct CMUnitTest tests[] = {
    BOTH(test_two_of_a_name),
    BOTH(test_races),
    BOTH(test_stress),
};

int
main(void)
{
    return run_all(tests);
}
