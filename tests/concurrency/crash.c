/*
 * crash.c - the server is killed and started again while clients write; clients are stopped at
 * random moments, and killed
 */
#include "crowd.h"

enum {
    WORKERS = 6,
    SHARED = 10
};

/* ---- what the clients do ----------------------------------------------------------------- */

typedef struct job {
    const crowd *w;
    int me;
    chance *random;
    int64_t number; /* of this piece of work, unique */
    item_ref made;
} job;

/* Two shared items that add up to nothing, the worker's own counter, and a new object. */
static int
work_once(newt_conn *c, void *arg)
{
    job *x = arg;
    struct item *mine = item_write(c, x->w->items[x->me]), *from, *to, *made;

    if (!mine || !(from = item_write(c, x->w->items[WORKERS + pick(x->random, SHARED)])) ||
        !(to = item_write(c, x->w->items[WORKERS + pick(x->random, SHARED)])) ||
        !(made = item_new(c)))
        return newt_status(c);
    mine->n++;
    from->n -= 7;
    to->n += 7;
    made->n = x->number;
    newt_set(made, name, "made");
    x->made = item_id(made);
    return 0;
}

/* '=' number, oid, tid: acknowledged; '!': not committed; '?': the library could not say. */
static void
work_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, classes);
    newt_conn *c = child_connects(db);
    job x = {.w = w, .me = me, .random = random};

    for (;;) {
        int status;

        x.number = (int64_t)getpid() << 32 | ++w->progress[me];
        status = newt_transact(c, work_once, &x, &patient);
        if (status != NEWT_OK && status != NEWT_EUNKNOWN && !newt_is_retryable(newt_conn_error(c)))
            child_fails("work: %s", error_text(newt_conn_error(c)));
        dprintf(file, "%c\t%lld\t%lld\t%lld\n",
                status == NEWT_OK         ? '='
                : status == NEWT_EUNKNOWN ? '?'
                                          : '!',
                (long long)x.number, (long long)x.made.any.oid,
                status == NEWT_OK ? (long long)newt_tid(c) : 0);
        if (status == NEWT_ELOST)
            pause_ms(20);
    }
}

static int
check_sum(newt_conn *c, void *arg)
{
    const crowd *w = arg;
    int64_t sum = 0;

    for (int i = WORKERS; i < WORKERS + SHARED; i++) {
        const struct item *o = item_read(c, w->items[i]);

        if (!o)
            return newt_status(c);
        sum += o->n;
    }
    if (sum != 0)
        child_fails("a snapshot whose shared items sum up to %lld", (long long)sum);
    return 0;
}

static void
check_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, classes);
    newt_conn *c = child_connects(db);

    (void)file;
    (void)random;
    for (;; w->progress[me]++) {
        int status = newt_transact(c, check_sum, (void *)(uintptr_t)w, &patient);

        if (status != NEWT_OK && !newt_is_retryable(newt_conn_error(c)))
            child_fails("check: %s", error_text(newt_conn_error(c)));
    }
}

/* ---- the end ----------------------------------------------------------------------------- */

static void
check_work(crowd *w)
{
    PGconn *pg;

    for (int i = 0; i < w->n; i++)
        kill_one(w, i);
    PQfinish(w->s.pg);
    pg = w->s.pg = sql_open();
    sql_do(pg, "SET search_path = %s, public", w->s.schema);
    wait_until(sql_int(pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'newt' "
                           "AND datname = current_database()") == 0);
    collect(w, "what text, number bigint, oid bigint, tid bigint");
    sql_do(pg, "CREATE TEMP TABLE made AS SELECT zoid, (state->>'n')::bigint AS number, serial "
               "FROM newt WHERE state->>'name' = 'made'");
    print_message("# %d pieces of work, %d acknowledged, %d unknown, %d lost\n",
                  (int)sql_int(pg, "SELECT count(*) FROM made"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '='"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '?'"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '!'"));
    assert_true(sql_int(pg, "SELECT count(*) FROM note WHERE what = '='") > WORKERS);
    /* every acknowledged piece is there, under its oid, in its transaction; no oid was given twice
     */
    assert_sql(pg, "0",
               "SELECT count(*) FROM note n LEFT JOIN made m USING (number) LEFT JOIN "
               "transaction t ON t.serial = m.serial WHERE n.what = '=' AND "
               "(m.zoid, t.tid) IS DISTINCT FROM (n.oid, n.tid)");
    assert_sql(pg, "0",
               "SELECT count(*) FROM (SELECT FROM note WHERE what = '=' GROUP BY oid "
               "HAVING count(*) > 1) d");
    assert_sql(pg, "0",
               "SELECT count(*) FROM (SELECT FROM made GROUP BY number HAVING count(*) > 1) d");
    assert_sql(pg, "0", "SELECT count(*) FROM made JOIN note USING (number) WHERE what = '!'");
    /* the counters have counted what is there, the shared items add up */
    assert_sql(pg, "t",
               "SELECT (SELECT sum((state->>'n')::bigint) FROM newt WHERE zoid BETWEEN %lld AND "
               "%lld) = (SELECT count(*) FROM made)",
               (long long)w->items[0].any.oid, (long long)w->items[WORKERS - 1].any.oid);
    assert_sql(
        pg, "0", "SELECT sum((state->>'n')::bigint) FROM newt WHERE zoid BETWEEN %lld AND %lld",
        (long long)w->items[WORKERS].any.oid, (long long)w->items[WORKERS + SHARED - 1].any.oid);
    assert_projection_follows(pg);
    assert_feed_is_whole(pg);
    assert_sql(pg, "1", "SELECT count(*) FROM newt_incarnation");
}

static void
crowd_begins(crowd *w, const char *name)
{
    crowd_open(w, name, true);
    make_items(w, WORKERS + SHARED, 0);
    newt_close(w->s.a);
    newt_close(w->s.b);
    newt_db_close(w->s.db);
    w->s.a = w->s.b = NULL;
    w->s.db = NULL;
    start(w, work_on, WORKERS);
    start(w, check_on, 1);
}

static void
assert_all_alive(const crowd *w)
{
    for (int i = 0; i < w->n; i++)
        assert_int_equal(waitpid(w->pids[i], NULL, WNOHANG), 0);
}

/* Everybody does something more. */
static void
wait_for_progress(const crowd *w, int but)
{
    int64_t before[MOST];

    for (int i = 0; i < w->n; i++)
        before[i] = w->progress[i];
    for (int i = 0; i < w->n; i++) {
        if (i == but)
            continue;
        wait_until(waitpid(w->pids[i], NULL, WNOHANG) != 0 || w->progress[i] > before[i] + 1);
    }
    assert_all_alive(w);
}

static void
test_crash_restart(void **state)
{
    crowd *w = malloc(sizeof *w);
    chance random;
    double until;
    int crashes = 0;

    (void)state;
    crowd_begins(w, "crash");
    random.state = w->seed;
    until = now() + duration(4, 60);
    do {
        wait_for_progress(w, -1);
        pause_ms(pick(&random, 300));
        server_do("crash");
        pause_ms(pick(&random, 300));
        server_do("start");
        crashes++;
    } while (now() < until);
    wait_for_progress(w, -1);
    print_message("# %d crashes\n", crashes);
    check_work(w);
    store_close(&w->s);
    free(w);
}

/* Wherever a client stands still, the others go on; then it goes on itself, or is killed. */
static void
test_stopped_clients(void **state)
{
    crowd *w = malloc(sizeof *w);
    double until, longest = 0;
    chance random;
    int stops = 0;

    (void)state;
    crowd_begins(w, "stopped");
    random.state = w->seed;
    until = now() + duration(4, 60);
    wait_for_progress(w, -1);
    do {
        int who = pick(&random, WORKERS);
        double stopped = now();

        kill(w->pids[who], SIGSTOP);
        wait_for_progress(w, who);
        longest = now() - stopped > longest ? now() - stopped : longest;
        stops++;
        if (pick(&random, 2)) {
            kill(w->pids[who], SIGCONT);
        } else {
            kill_one(w, who);
            start_one(w, work_on, who);
        }
        pause_ms(pick(&random, 20));
    } while (now() < until);
    wait_for_progress(w, -1);
    print_message("# %d stops, others waited for %.2f s at most\n", stops, longest);
    check_work(w);
    store_close(&w->s);
    free(w);
}

static const struct CMUnitTest crashes[] = {
    cmocka_unit_test(test_crash_restart),
    cmocka_unit_test(test_stopped_clients),
};

int
main(void)
{
    return run_all(crashes);
}
