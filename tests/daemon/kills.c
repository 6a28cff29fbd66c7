/*
 * kills.c - newt-updater under fire: killed at any moment, doubled, its server restarted
 *
 * Writers commit all the while, inline and asynchronously. At the end no row of the projection is
 * missing or stale. NEWT_KILLS says how often the updater is killed; NEWT_SEED replays the moments
 * and what the writers choose.
 */
#include "writers.h"

#include <jansson.h>

static uint64_t seed;

static int64_t
position(PGconn *pg)
{
    return sql_number(pg, "SELECT tid FROM newt_follower WHERE name = 'newt-updater'");
}

/* ---- killed --------------------------------------------------------------------------- */

static void
loses_nothing_when_killed(void **state)
{
    (void)state;
    const char *text = getenv("NEWT_KILLS");
    long kills = text ? atol(text) : getenv("NEWT_SOAK") ? 50 : 10;
    char conninfo[64];
    generate random;
    generate_init(&random, seed);
    PGconn *pg = make_database("daemon_kills", true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    int64_t at = 0;
    for (long k = 0; k < kills; k++) {
        updater u;
        updater_start(&u, "--interval=1", "--batch", k % 2 ? "50" : "1000", conninfo, NULL);
        if (generate_below(&random, 4) > 0) /* it is at work; else it may not have begun */
            wait_until(position(pg) > at);
        pause_ms((long)generate_below(&random, 30));
        kill(u.pid, SIGKILL);
        assert_int_equal(updater_wait(&u), 128 + SIGKILL);
        updater_forget(&u, false);
        int64_t then = position(pg);
        assert_true(then >= at);
        at = then;
    }
    crowd_stop(&all);
    drain_with(conninfo, "public", "newt-updater");
    printf("# %ld kills, %ld transactions, %lld objects\n", kills, atomic_load(&all.committed),
           (long long)sql_number(pg, "SELECT count(*) FROM object_state"));
    assert_exact(pg, "public");
    PQfinish(pg);
}

/* ---- two under one name --------------------------------------------------------------- */

/* A number of the last line of a JSON log. */
static int64_t
said_at_the_end(const updater *u, const char *field)
{
    char text[65536], *last = NULL;
    updater_said(u, text, sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        last = line;
    assert_non_null(last);
    json_t *line = json_loads(last, 0, NULL);
    int64_t x = json_integer_value(json_object_get(line, field));
    json_decref(line);
    return x;
}

static void
two_of_one_name_take_turns(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("daemon_two", true, conninfo);
    make_store(conninfo, "public");
    drain_with(conninfo, "public", "newt-updater");
    int64_t before = sql_number(pg, "SELECT count(*) FROM transaction");
    updater u[2];
    for (int i = 0; i < 2; i++)
        updater_start(&u[i], "--interval=1", "--batch=20", "--log-format=json", conninfo, NULL);
    crowd all;
    crowd_start(&all, conninfo, seed);
    int64_t at = 0;
    while (atomic_load(&all.committed) < 300 && crowd_well(&all)) {
        int64_t then = position(pg);
        assert_true(then >= at);
        at = then;
        pause_ms(1);
    }
    crowd_stop(&all);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg) >= last);
    assert_exact(pg, "public");
    for (int i = 0; i < 2; i++) {
        kill(u[i].pid, SIGTERM);
        assert_int_equal(updater_wait(&u[i]), 0);
    }
    /* every transaction has been taken once, by one of them */
    int64_t of[2] = {said_at_the_end(&u[0], "transactions"),
                     said_at_the_end(&u[1], "transactions")};
    printf("# transactions: %lld and %lld\n", (long long)of[0], (long long)of[1]);
    assert_int_equal(of[0] + of[1], sql_number(pg, "SELECT count(*) FROM transaction") - before);
    for (int i = 0; i < 2; i++)
        updater_forget(&u[i], false);
    PQfinish(pg);
}

/* ---- its server goes away ------------------------------------------------------------- */

static void
survives_its_server(void **state)
{
    (void)state;
    static const char *const ends[] = {"stop immediate", "stop fast", "crash"};
    char conninfo[64];
    PGconn *pg = make_database("daemon_restart", true, conninfo);
    make_store(conninfo, "public");
    updater u;
    updater_start(&u, conninfo, NULL);
    crowd all;
    crowd_start(&all, conninfo, seed);
    for (int i = 0; i < 3; i++) {
        long seen = atomic_load(&all.committed);
        int64_t at = position(pg);
        wait_until((atomic_load(&all.committed) > seen + 20 && position(pg) > at) ||
                   !crowd_well(&all));
        PQfinish(pg);
        control_server(ends[i]);
        wait_until(updater_says(&u, "retry_in_ms"));
        control_server("start");
        pg = sql_open("daemon_restart");
    }
    crowd_wait(&all, 20);
    crowd_stop(&all);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg) >= last);
    assert_exact(pg, "public");
    updater_stop(&u);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_when_killed),
        cmocka_unit_test(two_of_one_name_take_turns),
        cmocka_unit_test(survives_its_server),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("kills", tests, NULL, NULL);
}
