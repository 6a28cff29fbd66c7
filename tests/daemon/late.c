/*
 * late.c - transactions that took their serial and oids first and commit last, while every follower
 * is killed at every step: nothing is missed, nothing comes twice
 *
 * A writer stands within its commit, its serial taken and its new object written, since another
 * session has locked a row that it changes. Meanwhile others commit, and are followed.
 * NEWT_SEED replays what is random; NEWT_SOAK has 200 rounds.
 */
#include "../generate.h"
#include "followers.h"

static uint64_t seed;

enum {
    KEPT = 8 /* objects that go on being changed */
};

typedef struct late {
    newt_conn *c;
    item_ref r;
    int status;
} late;

/* The transaction that comes last: one new object, one that was changed. */
static void *
commit_late(void *arg)
{
    late *x = arg;
    newt_conn *c = x->c;
    x->status = newt_begin(c);
    struct item *o = x->status == NEWT_OK ? item_write(c, x->r) : NULL;
    struct item *fresh = o ? item_new(c) : NULL;
    if (!fresh) {
        x->status = newt_status(c);
        return NULL;
    }
    o->n++;
    fresh->next = x->r;
    item_done(o);
    item_done(fresh);
    x->status = newt_commit(c);
    return NULL;
}

/* Others: changed, made, removed. */
static void
commit_between(newt_conn *c, const item_ref *kept, item_ref *made, generate *g)
{
    int n = 1 + (int)generate_below(g, 4);
    for (int i = 0; i < n; i++) {
        assert_newt(c, newt_begin(c));
        struct item *o = item_write(c, kept[1 + generate_below(g, KEPT - 1)]);
        assert_non_null(o);
        o->n++;
        if (made->any.oid)
            assert_newt(c, newt_delete(c, made->any));
        struct item *fresh = item_new(c);
        assert_non_null(fresh);
        *made = item_id(fresh);
        assert_newt(c, newt_commit(c));
    }
}

/* A follower that is to be killed is there, killed, and there again. */
static void
keep_running(followers *f, generate *g, int *kills)
{
    static const char *const steps[] = {"fetch", "apply", "sync", "commit", "committed", "write"};
    char fault[32];
    int status;
    for (int k = 0; k < FOLLOWERS; k++) {
        if (f->runs[k] && waitpid(f->u[k].pid, &status, WNOHANG) == f->u[k].pid) {
            bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            f->runs[k] = false;
            updater_forget(&f->u[k], !killed);
            assert_true(killed);
            ++*kills;
        }
        if (f->runs[k])
            continue;
        const char *step = k == OWN ? follower_steps[generate_below(g, 3)]
                                    : steps[generate_below(g, 6)];
        snprintf(fault, sizeof fault, "%s:%d", step, 1 + (int)generate_below(g, 3));
        start_follower(f, (follower)k, fault);
    }
}

/* They have seen the others' transactions, and not the late one. */
static void
wait_while_killed(followers *f, generate *g, int *kills)
{
    int64_t last = sql_number(f->pg, "SELECT max(tid) FROM transaction");
    double until = now() + PATIENCE_S;
    for (int k = 0; k < FOLLOWERS; k++)
        while (!stands_at(f->pg, (follower)k, last)) {
            if (now() > until)
                fail_msg("%s does not arrive", follower_names[k]);
            keep_running(f, g, kills);
            pause_ms(1);
        }
}

static void
test_late(void **state)
{
    (void)state;
    int rounds = getenv("NEWT_SOAK") ? 200 : 12, kills = 0;
    followers f;
    generate g;
    item_ref kept[KEPT], made = {{0}};
    generate_init(&g, seed);
    open_followers(&f, "late");
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db), *first = open_conn(db);
    PGconn *lock = sql_open(f.database);
    make_items(c, kept, KEPT);
    for (int i = 0; i < rounds; i++) {
        late x = {.c = first, .r = kept[0]};
        pthread_t thread;
        sql_do(lock, "BEGIN; SELECT FROM object_state WHERE zoid = %lld FOR UPDATE",
               (long long)kept[0].any.oid);
        assert_int_equal(pthread_create(&thread, NULL, commit_late, &x), 0);
        wait_until(sql_number(f.pg,
                              "SELECT count(*) FROM pg_stat_activity WHERE datname ="
                              " current_database() AND %d = ANY (pg_blocking_pids(pid))",
                              PQbackendPID(lock)) == 1);
        commit_between(c, kept, &made, &g);
        if (i % 3) /* or they find all of it at once */
            wait_while_killed(&f, &g, &kills);
        sql_do(lock, "ROLLBACK");
        pthread_join(thread, NULL);
        if (x.status != NEWT_OK)
            fail_msg("%s", newt_error_message(newt_conn_error(first)));
        keep_running(&f, &g, &kills);
        if (generate_below(&g, 2))
            wait_while_killed(&f, &g, &kills);
    }
    wait_while_killed(&f, &g, &kills);
    int64_t turned = sql_number(f.pg,
                                "SELECT count(*) FROM (SELECT serial, lag(serial) OVER (ORDER BY"
                                " tid) AS before FROM transaction) x WHERE serial < before");
    printf("# %d rounds, %d kills, %lld transactions behind a later serial\n", rounds, kills,
           (long long)turned);
    assert_true(turned >= rounds - 1);
    for (int k = 0; k < FOLLOWERS; k++)
        kill_follower(&f, (follower)k);
    start_followers(&f);
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, true);
    PQfinish(lock);
    newt_close(first);
    newt_close(c);
    newt_db_close(db);
    close_followers(&f);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
