/*
 * followers.h - three followers of one store: newt-updater with either sink, and a program of one's
 * own, which keeps a copy of the store in tables of the same database
 *
 * The program is this one, started again with "follow": main begins with follower_main.
 */
#ifndef NEWT_TESTS_FOLLOWERS_H
#define NEWT_TESTS_FOLLOWERS_H

#include "lines.h"

typedef enum follower {
    ROWS,  /* newt-updater, --sink=projection */
    LINES, /* newt-updater, --sink=ndjson */
    OWN,
    FOLLOWERS
} follower;

static const char *const follower_names[FOLLOWERS] = {"newt-updater", "newt-ndjson", "own"};

typedef struct followers {
    PGconn *pg;
    char database[40];
    char conninfo[64]; /* of the writers */
    char to[400];      /* where the followers connect to */
    char output[64], output_option[96];
    updater u[FOLLOWERS];
    bool runs[FOLLOWERS];
} followers;

/* ---- the program of one's own ------------------------------------------------------------ */

enum {
    FOLLOWER_BATCH = 25
};

static long follower_left[3]; /* kills itself when it comes to a step for the n-th time */
static const char *const follower_steps[3] = {"fetch", "exec", "committed"};

static void
follower_step(int step)
{
    if (follower_left[step] > 0 && --follower_left[step] == 0)
        kill(getpid(), SIGKILL);
}

static void
follower_faults(void)
{
    const char *text = getenv("NEWT_FOLLOWER_FAULT");
    for (int i = 0; text && i < 3; i++) {
        size_t n = strlen(follower_steps[i]);
        if (strncmp(text, follower_steps[i], n) == 0 && text[n] == ':')
            follower_left[i] = atol(text + n + 1);
    }
}

/* One text for each of these columns: arrays of the batch's events. */
static void
follower_arrays(const newt_batch *b, bool last, char *text[4])
{
    size_t cap = 32 * (b->n_events + 1);
    for (int k = 0; k < 4; k++) {
        size_t n = 0;
        text[k] = malloc(cap);
        text[k][n++] = '{';
        for (size_t i = 0; i < b->n_events; i++) {
            const newt_event *v = &b->events[i];
            int64_t x[4] = {v->oid, v->tid, v->kind == NEWT_EVENT_REMOVED, v->serial};
            if (!last || !v->superseded)
                n += (size_t)snprintf(text[k] + n, cap - n, "%s%lld", n > 1 ? "," : "",
                                      (long long)x[k]);
        }
        strcpy(text[k] + n, "}");
    }
}

/* The batch, in the tables of open_followers; the status of the feed. */
static int
follower_write(newt_feed *f, const newt_batch *b)
{
    char *all[4], *last[4], bounds[3][24];
    follower_arrays(b, false, all);
    follower_arrays(b, true, last);
    snprintf(bounds[0], sizeof *bounds, "%lld", (long long)b->after);
    snprintf(bounds[1], sizeof *bounds, "%lld", (long long)b->up_to);
    snprintf(bounds[2], sizeof *bounds, "%lld", (long long)b->tid);
    const char *seen[3] = {all[0], all[1], all[2]}, *now_[3] = {last[0], last[3], last[2]};
    const char *range[2] = {bounds[0], bounds[1]}, *tid[1] = {bounds[2]};
    int status = NEWT_OK;
    if (b->copy && b->after == 0)
        status = newt_feed_exec(f, "TRUNCATE own_seen, own_start, own_copy", 0, NULL);
    if (status == NEWT_OK && b->copy)
        status = newt_feed_exec(f, "DELETE FROM own_copy WHERE oid > $1 AND oid <= $2", 2, range);
    if (status == NEWT_OK && b->copy && b->token)
        status = newt_feed_exec(f, "INSERT INTO own_start VALUES ($1)", 1, tid);
    if (status == NEWT_OK && !b->copy)
        status = newt_feed_exec(f,
                                "INSERT INTO own_seen SELECT * FROM unnest($1::bigint[],"
                                " $2::bigint[], $3::int[])",
                                3, seen);
    if (status == NEWT_OK)
        status = newt_feed_exec(f, "DELETE FROM own_copy WHERE oid = ANY ($1::bigint[])", 1, now_);
    if (status == NEWT_OK)
        status = newt_feed_exec(f,
                                "INSERT INTO own_copy SELECT oid, serial FROM"
                                " unnest($1::bigint[], $2::bigint[], $3::int[]) x (oid, serial,"
                                " gone) WHERE gone = 0 AND serial > 0",
                                3, now_);
    for (int k = 0; k < 4; k++) {
        free(all[k]);
        free(last[k]);
    }
    return status;
}

/* What has happened, as newt-updater says it. */
static void
follower_says(newt_conn *c)
{
    const newt_error *e = newt_conn_error(c);
    fprintf(stderr, "%s: %s (%s) %s\n", newt_status_text(newt_error_status(e)),
            newt_error_message(e), newt_error_detail(e), newt_error_hint(e));
}

/* Follows over one connection until that is of no more use. */
static void
follower_connected(newt_conn *c)
{
    const newt_feed_options options = {.size = sizeof options,
                                       .follower = follower_names[OWN],
                                       .start = NEWT_FEED_COPY,
                                       .batch_objects = FOLLOWER_BATCH};
    newt_feed *f;
    int status = newt_feed_open(c, &f, &options);
    while (status == NEWT_OK) {
        const newt_batch *b;
        status = newt_feed_next(f, 200, &b);
        if (status == NEWT_OK && b) {
            follower_step(0);
            status = follower_write(f, b);
            follower_step(1);
            if (status == NEWT_OK)
                status = newt_feed_commit(f);
            follower_step(2);
        }
        if (status == NEWT_ECONFLICT) {
            pause_ms(20);
            status = NEWT_OK;
        }
    }
    follower_says(c);
    newt_feed_close(f);
    if (status == NEWT_EMISSING && newt_feed_forget(c, follower_names[OWN]) == NEWT_OK)
        fputs("starting over\n", stderr);
}

/* If the program was started as a follower it does not come back. */
static void
follower_main(int argc, char **argv)
{
    static const newt_class *const classes[] = {&item_class, NULL};
    if (argc < 3 || strcmp(argv[1], "follow") != 0)
        return;
    follower_faults();
    for (;;) {
        newt_options options = {.size = sizeof options};
        newt_db *db = NULL;
        newt_conn *c = NULL;
        if (newt_db_open(&db, argv[2], classes, &options) == NEWT_OK &&
            newt_connect(db, &c) == NEWT_OK)
            follower_connected(c);
        newt_close(c);
        newt_db_close(db);
        pause_ms(20);
    }
}

/* ---- a store and its followers ----------------------------------------------------------- */

UNUSED static void
open_followers(followers *f, const char *database)
{
    memset(f, 0, sizeof *f);
    snprintf(f->database, sizeof f->database, "%s", database);
    f->pg = make_database(database, true, f->conninfo);
    make_store(f->conninfo, "public");
    strcpy(f->to, f->conninfo);
    sql_do(f->pg, "CREATE TABLE own_seen (oid bigint, tid bigint, gone int);"
                  "CREATE TABLE own_start (tid bigint);"
                  "CREATE TABLE own_copy (oid bigint PRIMARY KEY, serial bigint)");
    snprintf(f->output, sizeof f->output, "/tmp/newt-followers.XXXXXX");
    close(mkstemp(f->output));
    unlink(f->output);
    snprintf(f->output_option, sizeof f->output_option, "--output=%s", f->output);
}

static void
start_own(updater *u, const char *conninfo)
{
    strcpy(u->log, "/tmp/newt-updater-log.XXXXXX");
    int fd = mkstemp(u->log);
    assert_true(fd >= 0);
    u->pid = fork();
    assert_true(u->pid >= 0);
    if (u->pid == 0) {
        const char *argv[] = {"follower", "follow", conninfo, NULL};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fd, STDERR_FILENO);
        dup2(fd, STDOUT_FILENO);
        execv("/proc/self/exe", (char **)(uintptr_t)argv);
        _exit(127);
    }
    close(fd);
}

/* fault: STEP:N, or NULL. */
UNUSED static void
start_follower(followers *f, follower k, const char *fault)
{
    const char *variable = k == OWN ? "NEWT_FOLLOWER_FAULT" : "NEWT_UPDATER_FAULT";
    assert_false(f->runs[k]);
    if (fault)
        setenv(variable, fault, 1);
    if (k == OWN)
        start_own(&f->u[k], f->to);
    else
        updater_start(&f->u[k], "--interval=1", "--max-pause=20", "--batch=20", "--connection",
                      f->to, k == LINES ? "--sink=ndjson" : "--sink=projection",
                      k == LINES ? f->output_option : "--workers=2", NULL);
    unsetenv(variable);
    f->runs[k] = true;
}

UNUSED static void
start_followers(followers *f)
{
    for (int k = 0; k < FOLLOWERS; k++)
        start_follower(f, (follower)k, NULL);
}

UNUSED static void
kill_follower(followers *f, follower k)
{
    if (f->runs[k]) {
        kill(f->u[k].pid, SIGKILL);
        updater_wait(&f->u[k]);
        updater_forget(&f->u[k], false);
    }
    f->runs[k] = false;
}

/* It ended by itself; its status, and the log is there until updater_forget. */
UNUSED static int
follower_ended(followers *f, follower k)
{
    f->runs[k] = false;
    return updater_wait(&f->u[k]);
}

UNUSED static void
stop_followers(followers *f)
{
    for (int k = 0; k < FOLLOWERS; k++) {
        if (k != OWN && f->runs[k]) {
            updater_stop(&f->u[k]);
            f->runs[k] = false;
        }
        kill_follower(f, (follower)k);
    }
}

/* A process that should run has ended: what it said is shown. */
static void
expect_alive(followers *f)
{
    int status;
    for (int k = 0; k < FOLLOWERS; k++)
        if (f->runs[k] && waitpid(f->u[k].pid, &status, WNOHANG) == f->u[k].pid) {
            f->runs[k] = false;
            updater_forget(&f->u[k], true);
            fail_msg("%s has ended: %x", follower_names[k], (unsigned)status);
        }
}

static bool
stands_at(PGconn *pg, follower k, int64_t tid)
{
    return sql_number(pg,
                      "SELECT count(*) FROM newt_follower WHERE name = '%s' AND copied IS NULL"
                      " AND tid >= %lld",
                      follower_names[k], (long long)tid) == 1;
}

/* All positions are where the store is, whoever has moved them. */
UNUSED static void
wait_for_position(followers *f)
{
    int64_t last = sql_number(f->pg, "SELECT max(tid) FROM transaction");
    for (int k = 0; k < FOLLOWERS; k++) {
        double until = now() + PATIENCE_S;
        while (f->runs[k] && !stands_at(f->pg, (follower)k, last)) {
            expect_alive(f);
            if (now() > until) {
                updater_forget(&f->u[k], true);
                fail_msg("%s does not arrive", follower_names[k]);
            }
            pause_ms(2);
        }
    }
}

/* ... and these processes follow. */
UNUSED static void
wait_for_followers(followers *f)
{
    wait_for_position(f);
    for (int k = 0; k < OWN; k++)
        wait_until(!f->runs[k] || updater_says(&f->u[k], "following"));
}

/* ---- what they have made of it ----------------------------------------------------------- */

/* Rows of the program's own that are not as the store is, or (once) events that it has not seen
 * exactly once since its copy. */
static int64_t
wrong_own(PGconn *pg, bool once)
{
    int64_t n = sql_number(pg, "SELECT count(*) FROM own_copy c FULL JOIN object_state o ON"
                               " o.zoid = c.oid WHERE o.serial IS DISTINCT FROM c.serial");
    if (!once)
        return n;
    return n + sql_number(
                   pg, "WITH chunks AS (SELECT tid, written, removed FROM transaction WHERE"
                       " written IS NOT NULL UNION ALL SELECT t.tid, x.written, x.removed FROM"
                       " transaction_object x JOIN transaction t USING (serial)),"
                       " events AS (SELECT unnest(written) AS oid, tid, 0 AS gone FROM chunks"
                       " UNION ALL SELECT unnest(removed), tid, 1 FROM chunks),"
                       " expected AS (SELECT * FROM events WHERE tid > (TABLE own_start))"
                       "SELECT (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE own_seen) a)"
                       " + (SELECT count(*) FROM (TABLE own_seen EXCEPT ALL TABLE expected) b)");
}

/* The exit status of newt-updater --check. */
static int
checked(const followers *f, const char *option, const char *more)
{
    updater u;
    updater_start(&u, "--check", f->conninfo, option, more, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    return status;
}

/* once: nobody has started over, so that each event is there exactly once. */
UNUSED static void
assert_followed(followers *f, bool once)
{
    assert_exact(f->pg, "public");
    assert_int_equal(checked(f, NULL, NULL), 0);
    load_lines(f->pg, f->output, true);
    assert_int_equal(wrong_states(f->pg), 0);
    if (once)
        assert_lines(f->pg);
    assert_int_equal(checked(f, "--sink=ndjson", f->output_option), 0);
    assert_int_equal(wrong_own(f->pg, once), 0);
}

UNUSED static void
close_followers(followers *f)
{
    stop_followers(f);
    unlink(f->output);
    PQfinish(f->pg);
}

#endif
