/*
 * cut_off.c - followers whose connection is cut at any message or stands still, whose server is
 * killed or has no room: each goes on where it was
 *
 * NEWT_SEED replays what is random; NEWT_SOAK has more rounds.
 */
#include "../daemon/followers.h"
#include "../daemon/writers.h"

#include "../bridge/proxy.h"

#include "disk.h"

static uint64_t seed;

static bool
proxy_has_cut(proxy *p)
{
    pthread_mutex_lock(&p->mutex);
    bool cut = p->cut;
    pthread_mutex_unlock(&p->mutex);
    return cut;
}

/* Followers whose connections go through a proxy. */
static void
start_behind_proxy(followers *f, proxy *p, const char *name)
{
    open_followers(f, name);
    strcpy(test_database, f->database);
    proxy_start(p);
    strcpy(f->to, p->uri);
    start_followers(f);
    wait_for_followers(f);
}

/* Both sides are closed after some message of either; perhaps so soon again that nobody can connect
 * at the first attempt. */
static void
test_network_cut(void **state)
{
    (void)state;
    int rounds = getenv("NEWT_SOAK") ? 200 : 15;
    followers f;
    crowd all;
    generate g;
    proxy p;
    generate_init(&g, seed);
    start_behind_proxy(&f, &p, "cut_off_network");
    crowd_start(&all, f.conninfo, seed);
    for (int i = 0; i < rounds; i++) {
        int n = (int)generate_below(&g, 60);
        bool client = generate_below(&g, 2);
        proxy_arm(&p, -1, client ? n : -1, client ? -1 : n);
        if (generate_below(&g, 2))
            proxy_then_cut(&p, (int)generate_below(&g, 30));
        wait_until(proxy_has_cut(&p) || !crowd_well(&all));
        expect_alive(&f);
    }
    proxy_arm(&p, -1, -1, -1);
    crowd_stop(&all);
    wait_for_followers(&f);
    assert_true(updater_says(&f.u[ROWS], "retry_in_ms") ||
                updater_says(&f.u[LINES], "retry_in_ms"));
    stop_followers(&f);
    assert_followed(&f, true);
    close_followers(&f);
    proxy_stop(&p);
}

/* A connection that stands still, in both directions, for some seconds. */
static void
test_network_stalled(void **state)
{
    (void)state;
    int rounds = getenv("NEWT_SOAK") ? 50 : 3;
    followers f;
    crowd all;
    generate g;
    proxy p;
    generate_init(&g, seed);
    start_behind_proxy(&f, &p, "cut_off_stalled");
    crowd_start(&all, f.conninfo, seed);
    for (int i = 0; i < rounds; i++) {
        proxy_stall(&p, (int)generate_below(&g, 60), -1, false);
        wait_until(proxy_stalled(&p) || !crowd_well(&all));
        pause_ms((long)generate_below(&g, 300));
        proxy_go_on(&p);
        crowd_wait(&all, 10); /* who waited for a row of the projection goes on, too */
        expect_alive(&f);
    }
    crowd_stop(&all);
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, true);
    close_followers(&f);
    proxy_stop(&p);
}

/* ---- the server -------------------------------------------------------------------------- */

/* Rows of a program's own are with its position, also across a crash. */
static void
test_server_killed(void **state)
{
    (void)state;
    int rounds = getenv("NEWT_SOAK") ? 20 : 1;
    followers f;
    crowd all;
    open_followers(&f, "cut_off_killed");
    start_followers(&f);
    wait_for_followers(&f);
    crowd_start(&all, f.conninfo, seed);
    for (int i = 0; i < rounds; i++) {
        crowd_wait(&all, 30);
        PQfinish(f.pg);
        control_server("crash");
        control_server("start");
        f.pg = sql_open(f.database);
        expect_alive(&f);
    }
    crowd_wait(&all, 30);
    crowd_stop(&all);
    wait_for_followers(&f);
    assert_true(updater_says(&f.u[ROWS], "retry_in_ms"));
    assert_true(updater_says(&f.u[LINES], "retry_in_ms"));
    stop_followers(&f);
    assert_followed(&f, true);
    close_followers(&f);
}

/* ---- no room in the server --------------------------------------------------------------- */

static int
remove_small(void **state)
{
    (void)state;
    remove_disk("cut_off_full");
    return 0;
}

/* Rows that there is no room for are no rejects: whoever writes there waits until there is. */
static void
test_server_full(void **state)
{
    (void)state;
    followers f;
    item_ref refs[20];
    if (!make_disk()) {
        print_message("# a small file system needs root\n");
        skip();
    }
    open_followers(&f, "cut_off_full");
    sql_do(f.pg, "CREATE TABLESPACE newt_small LOCATION '%s'", small);
    sql_do(f.pg, "ALTER TABLE newt_projection SET TABLESPACE newt_small;"
                 "ALTER TABLE own_copy SET TABLESPACE newt_small");
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 10);
    start_followers(&f);
    wait_for_followers(&f);
    fill_disk(f.pg);
    /* each fits into a batch: of a larger one a part may come twice */
    for (int i = 0; i < 40; i++)
        make_items(c, refs, 20);
    int64_t last = sql_number(f.pg, "SELECT max(tid) FROM transaction");
    wait_until(stands_at(f.pg, LINES, last));
    for (int k = 0; k < FOLLOWERS; k++)
        if (k != LINES)
            wait_until(updater_says(&f.u[k], "No space left on device"));
    wait_until(updater_says(&f.u[ROWS], "53100") && updater_says(&f.u[ROWS], "retry_in_ms"));
    assert_true(updater_says(&f.u[ROWS], "Check free disk space"));
    assert_int_equal(sql_number(f.pg, "SELECT count(*) FROM newt_reject"), 0);
    assert_false(stands_at(f.pg, ROWS, last));
    assert_false(stands_at(f.pg, OWN, last));
    expect_alive(&f);
    sql_do(f.pg, "DROP TABLE filler");
    wait_for_followers(&f);
    stop_followers(&f);
    assert_followed(&f, true);
    newt_close(c);
    newt_db_close(db);
    close_followers(&f);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_cut),
        cmocka_unit_test(test_network_stalled),
        cmocka_unit_test(test_server_killed),
        cmocka_unit_test_teardown(test_server_full, remove_small),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cut_off", tests, NULL, NULL);
}
