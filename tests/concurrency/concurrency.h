/*
 * concurrency.h - what the tests of concurrent transactions share: seeds, durations, processes
 */
#ifndef NEWT_TESTS_CONCURRENCY_H
#define NEWT_TESTS_CONCURRENCY_H

#include "../bridge/server.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>

/* ---- random numbers ------------------------------------------------------------------- */

typedef struct chance {
    uint64_t state;
} chance;

/* What NEWT_SEED says, or a new one; printed, so that a failure can be tried again. */
UNUSED static uint64_t
take_seed(void)
{
    const char *given = getenv("NEWT_SEED");
    struct timespec t;
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &t);
    seed = given ? strtoull(given, NULL, 10)
                 : ((uint64_t)t.tv_sec * 1000003 + (uint64_t)t.tv_nsec) & 0xffffffff;
    printf("# NEWT_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

UNUSED static uint64_t
draw(chance *c)
{
    uint64_t z = c->state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* One of 0 ... n - 1. */
UNUSED static int
pick(chance *c, int n)
{
    return (int)(draw(c) % (uint64_t)n);
}

/* ---- time ----------------------------------------------------------------------------- */

/* How long a test under load runs: NEWT_SECONDS, or the long form in a soak, or the short one. */
UNUSED static double
duration(double brief, double soak)
{
    const char *s = getenv("NEWT_SECONDS");

    return s ? atof(s) : getenv("NEWT_SOAK") ? soak : brief;
}

/* Only for the pace of things; nothing rests on it. */
UNUSED static void
pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

/* ---- transactions --------------------------------------------------------------------- */

/* Begins without asking the server, and with nothing on the way there: right after a commit. */
UNUSED static void
begin_behind_commit(newt_conn *c)
{
    int64_t asked;

    do {
        newt_abort(c);
        make_item(c, "before", 0);
        asked = stats_of(c).round_trips;
        begin(c);
    } while (stats_of(c).round_trips != asked);
}

/* ---- processes ------------------------------------------------------------------------ */

/* A child that does not outlive a test that fails, and does not go on with the others if it is the
 * one in which it fails. */
UNUSED static pid_t
fork_child(void)
{
    pid_t parent = getpid(), pid;

    fflush(stdout);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        if (getppid() != parent)
            _exit(98);
    }
    return pid;
}

/* A failure in a child process: said, and seen by its parent. */
UNUSED static void child_fails(const char *format, ...) __attribute__((noreturn))
__attribute__((format(printf, 1, 2)));
UNUSED static void
child_fails(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(2, "# process %d: %s\n", (int)getpid(), text);
    _exit(99);
}

UNUSED static const char *
error_text(const newt_error *e)
{
    static _Thread_local char text[800];

    snprintf(text, sizeof text, "%s: %s %s (%s)", newt_status_text(newt_error_status(e)),
             newt_error_message(e), newt_error_detail(e), newt_error_sqlstate(e));
    return text;
}

/* In a child: the database, however often the server is not there just now. */
UNUSED static newt_db *
child_opens(const char *schema, const newt_class *const *list)
{
    newt_options o = {.size = sizeof o, .schema = schema};
    double until = now() + PATIENCE_S;
    newt_db *db;

    while (newt_db_open(&db, uri(), list, &o) != NEWT_OK) {
        if (newt_error_status(newt_db_error(db)) != NEWT_ELOST || now() > until)
            child_fails("newt_db_open: %s", error_text(newt_db_error(db)));
        newt_db_close(db);
        pause_ms(10);
    }
    return db;
}

UNUSED static newt_conn *
child_connects(newt_db *db)
{
    double until = now() + PATIENCE_S;
    newt_conn *c;

    while (newt_connect(db, &c) != NEWT_OK) {
        if (newt_error_status(newt_conn_error(c)) != NEWT_ELOST || now() > until)
            child_fails("newt_connect: %s", error_text(newt_conn_error(c)));
        newt_close(c);
        pause_ms(10);
    }
    return c;
}

/* Every class of two, in one process or another, says the same of all its objects. */
UNUSED static void
assert_projection_follows(PGconn *pg)
{
    assert_sql(pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE p.serial IS DISTINCT FROM o.serial");
    assert_sql(pg, "0",
               "SELECT count(*) FROM object_state o JOIN newt_projection p USING (zoid) "
               "WHERE p.state IS DISTINCT FROM newt.to_jsonb(o.state) "
               "OR p.class_name IS DISTINCT FROM newt.class_name(o.state)");
}

/* Every record is of a transaction that lists its object, tids rise, nothing is written twice
 * under one serial. */
UNUSED static void
assert_feed_is_whole(PGconn *pg)
{
    assert_sql(pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN transaction t USING (serial) "
               "WHERE t.tid IS NULL OR (o.zoid <> ALL (t.written) AND t.written IS NOT NULL)");
    assert_sql(pg, "0",
               "SELECT count(*) FROM (SELECT unnest(written) AS zoid, max(tid) AS tid FROM "
               "transaction GROUP BY 1) w JOIN object_state o USING (zoid) "
               "JOIN transaction t USING (serial) WHERE t.tid <> w.tid");
}

#endif
