/*
 * kills.c - newt-updater under fire: killed at any moment, doubled, its server restarted
 *
 * Writers commit all the while, inline and asynchronously. At the end no row of the projection is
 * missing or stale. NEWT_KILLS says how often the updater is killed; NEWT_SEED replays the moments
 * and what the writers choose.
 */
#include "daemon.h"

#include "../generate.h"

#include <jansson.h>

static uint64_t seed;

/* ---- writers ------------------------------------------------------------------------- */

enum {
    WRITERS = 3,
    OBJECTS = 60,
    PER_TRANSACTION = 5,
    GONE = 1
};

typedef struct writer {
    pthread_t thread;
    newt_db *db;
    generate random;
    struct crowd *all;
    const char *_Atomic why; /* it gave up; NULL: it did not */
    char message[256];
} writer;

/* All of them work on the same objects; a slot of 0 is to be filled. */
typedef struct crowd {
    newt_db *db[2]; /* inline, async */
    writer w[WRITERS];
    atomic_bool stop;
    atomic_long committed;
    _Atomic int64_t slots[OBJECTS];
} crowd;

typedef struct change {
    writer *w;
    size_t slot[PER_TRANSACTION];
    uint64_t kind[PER_TRANSACTION];
    int64_t oid[PER_TRANSACTION]; /* what the slots are to hold afterwards */
} change;

/* Some objects are made, changed or removed. */
static int
change_some(newt_conn *c, void *arg)
{
    change *m = arg;
    for (int k = 0; k < PER_TRANSACTION; k++) {
        newt_ref r = {atomic_load(&m->w->all->slots[m->slot[k]])};
        struct item *o = newt_is_null(r) ? item_new(c) : item_write(c, item_of(r));
        m->oid[k] = r.oid;
        if (!o && newt_status(c) == NEWT_EMISSING) {
            /* another has removed it, or a crash has taken it back */
            atomic_compare_exchange_strong(&m->w->all->slots[m->slot[k]], &r.oid, 0);
            return GONE;
        }
        if (!o)
            return newt_status(c);
        char name[48];
        snprintf(name, sizeof name, "item %zu kind %d", m->slot[k], (int)m->kind[k]);
        newt_set(o, name, name);
        o->n++;
        m->oid[k] = item_id(o).any.oid;
        item_done(o);
        if (m->kind[k] == 0) {
            if (newt_delete(c, (newt_ref){m->oid[k]}) != NEWT_OK)
                return newt_status(c);
            m->oid[k] = 0;
        }
    }
    return NEWT_OK;
}

static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = NULL;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    while (!atomic_load(&w->all->stop) && !w->why) {
        change m = {.w = w};
        for (int k = 0; k < PER_TRANSACTION; k++) {
            const size_t share = OBJECTS / PER_TRANSACTION;
            m.slot[k] = (size_t)k * share + generate_below(&w->random, share);
            m.kind[k] = generate_below(&w->random, 8);
        }
        if (!c && newt_connect(w->db, &c) != NEWT_OK) {
            newt_close(c); /* the server is not up yet */
            c = NULL;
            pause_ms(5);
            continue;
        }
        int rc = newt_transact(c, change_some, &m, &patient);
        if (rc == NEWT_OK) {
            for (int k = 0; k < PER_TRANSACTION; k++)
                atomic_store(&w->all->slots[m.slot[k]], m.oid[k]);
            atomic_fetch_add(&w->all->committed, 1);
        } else if (rc == NEWT_EUNKNOWN || rc == NEWT_ELOST) {
            newt_close(c); /* the server is restarting */
            c = NULL;
        } else if (rc != GONE) {
            snprintf(w->message, sizeof w->message, "%s: %s", newt_status_text(rc),
                     newt_error_message(newt_conn_error(c)));
            w->why = w->message;
        }
    }
    newt_close(c);
    return NULL;
}

static void
crowd_start(crowd *all, const char *conninfo)
{
    memset(all, 0, sizeof *all);
    all->db[0] = open_db(conninfo, NULL, false);
    all->db[1] = open_db(conninfo, NULL, true);
    for (int i = 0; i < WRITERS; i++) {
        writer *w = &all->w[i];
        w->all = all;
        w->db = all->db[i != 0];
        generate_init(&w->random, seed + (uint64_t)i + 1);
        assert_int_equal(pthread_create(&w->thread, NULL, write_on, w), 0);
    }
}

static void
crowd_stop(crowd *all)
{
    atomic_store(&all->stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(all->w[i].thread, NULL);
    for (int i = 0; i < 2; i++)
        newt_db_close(all->db[i]);
    for (int i = 0; i < WRITERS; i++)
        if (all->w[i].why)
            fail_msg("writer %d: %s", i, all->w[i].why);
}

/* A writer that has given up is reported by crowd_stop, and waits for nothing. */
static bool
crowd_well(const crowd *all)
{
    for (int i = 0; i < WRITERS; i++)
        if (all->w[i].why)
            return false;
    return true;
}

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
    crowd_start(&all, conninfo);
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
    crowd_start(&all, conninfo);
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
control_server(const char *verb)
{
    char command[512];
    const char *program = getenv("NEWT_PGCTL");
    if (!program)
        fail_msg("run this in dev/private-server");
    snprintf(command, sizeof command, "'%s' %s </dev/null", program, verb);
    assert_int_equal(system(command), 0);
}

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
    crowd_start(&all, conninfo);
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
    long seen = atomic_load(&all.committed);
    wait_until(atomic_load(&all.committed) > seen + 20 || !crowd_well(&all));
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
