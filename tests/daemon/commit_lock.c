/*
 * commit_lock.c - a transaction that stays open: before the commit lock nobody waits for it, within
 * the lock commits wait, and every follower says who is in the way
 */
#include "followers.h"

typedef struct writer {
    newt_conn *c;
    item_ref r;
    atomic_bool done;
    int status;
} writer;

static void *
change(void *arg)
{
    writer *w = arg;
    w->status = newt_begin(w->c);
    struct item *o = w->status == NEWT_OK ? item_write(w->c, w->r) : NULL;
    if (o)
        o->n++;
    w->status = o ? newt_commit(w->c) : newt_status(w->c);
    atomic_store(&w->done, true);
    return NULL;
}

static void
expect_change(newt_conn *c, item_ref r)
{
    writer w = {.c = c, .r = r};
    change(&w);
    if (w.status != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(c)));
}

/* What the log says of one process; "" if it has not said it to the end of the line. */
static const char *
said_of(const updater *u, int pid, char *out, size_t n)
{
    static char text[65536];
    char what[64];
    snprintf(what, sizeof what, "PID %d has held the commit lock for ", pid);
    const char *at = strstr(updater_said(u, text, sizeof text), what);
    size_t length = at ? strcspn(at, "\n") : 0;
    if (!at || at[length] != '\n') /* it is being written */
        length = 0;
    snprintf(out, n, "%.*s", (int)length, at ? at : "");
    return out;
}

/* Each of the two updaters, within some seconds; with the age of the transaction, and what to do.
 */
static void
expect_named(const followers *f, int pid, double since, double begun)
{
    char line[1024], hint[64];
    snprintf(hint, sizeof hint, "pg_terminate_backend(%d)", pid);
    for (int k = ROWS; k <= LINES; k++) {
        int held = 0, age = 0;
        wait_until(*said_of(&f->u[k], pid, line, sizeof line));
        double took = now() - since;
        printf("# %s\n", line);
        sscanf(strstr(line, "lock for "), "lock for %d", &held);
        assert_in_range(held, 1, (int)took + 1);
        assert_non_null(strstr(line, "transaction began "));
        sscanf(strstr(line, "transaction began "), "transaction began %d", &age);
        assert_in_range(age, (int)(since - begun) - 1, (int)(now() - begun) + 1);
        assert_non_null(strstr(line, hint));
        printf("# %s: after %.1f s\n", follower_names[k], took);
        assert_true(took < 10);
    }
}

static void
test_commit_lock(void **state)
{
    (void)state;
    followers f;
    item_ref refs[3];
    writer w;
    pthread_t thread;
    char line[1024];
    open_followers(&f, "commit_lock");
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db), *waits = open_conn(db);
    make_items(c, refs, 3);
    start_followers(&f);
    wait_for_followers(&f);
    /* open, with a snapshot, and rows written that nobody else changes: nobody waits */
    PGconn *pg = sql_open(f.database);
    double begun = now();
    sql_do(pg,
           "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM object_state;"
           "UPDATE object_state SET state = state WHERE zoid = %lld",
           (long long)refs[2].any.oid);
    for (int i = 0; i < 50; i++)
        expect_change(c, refs[i % 2]);
    wait_for_followers(&f);
    expect_change(c, refs[0]);
    wait_for_followers(&f);
    while (now() < begun + 2) { /* also when it has been open for longer than is told of */
        expect_change(c, refs[0]);
        pause_ms(50);
    }
    for (int k = ROWS; k <= LINES; k++)
        assert_string_equal(said_of(&f.u[k], PQbackendPID(pg), line, sizeof line), "");
    /* it takes the commit lock, and stays: commits wait, and it is named */
    double since = now();
    sql_do(pg, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    w = (writer){.c = waits, .r = refs[1]};
    assert_int_equal(pthread_create(&thread, NULL, change, &w), 0);
    expect_named(&f, PQbackendPID(pg), since, begun);
    assert_false(atomic_load(&w.done));
    expect_alive(&f);
    /* reading goes on */
    assert_newt(c, newt_begin(c));
    assert_non_null(item_read(c, refs[0]));
    assert_newt(c, newt_commit(c));
    /* the operator does what the hint says */
    sql_do(f.pg, "SELECT pg_terminate_backend(%d)", PQbackendPID(pg));
    pthread_join(thread, NULL);
    if (w.status != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(waits)));
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, true);
    PQfinish(pg);
    newt_close(c);
    newt_close(waits);
    newt_db_close(db);
    close_followers(&f);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_lock),
    };
    follower_main(argc, argv);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("commit_lock", tests, NULL, NULL);
}
