/*
 * follow.c - the other way to the JSONB: the program commits records alone, newt-updater follows
 */
#include "demo.h"

#include "child.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PACKAGES_HERE = 10000,
    PATIENCE_S = 600
};

/* One number from SQL; -1: there is none. */
static int64_t
count(struct demo *d, const char *sql)
{
    json_t *rows, *value = NULL;
    const char *name;
    int64_t n = -1;

    if (!demo_rows(d, &rows, sql, 0, NULL))
        return -1;
    json_object_foreach(json_array_get(rows, 0), name, value) n = json_integer_value(value);
    json_decref(rows);
    return n;
}

/* Waits until the follower has seen every transaction. */
static bool
wait_for(struct demo *d, struct child *updater, int64_t transactions)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000000};
    struct progress progress;
    double started = now();
    int64_t left = transactions;

    progress_open(&progress, &d->page, "transactions", 0, (uint64_t)transactions);
    while (left > 0 && child_running(updater) && now() - started < PATIENCE_S) {
        nanosleep(&pause, NULL);
        left = count(d,
                     "SELECT count(*) AS n FROM transaction WHERE tid >\n"
                     " coalesce((SELECT tid FROM newt_follower WHERE name = 'newt-updater'), 0)");
        progress_to(&progress, (uint64_t)(transactions - left));
    }
    progress_close(&progress);
    if (left > 0)
        complain(&d->page, "newt-updater has not come to the end");
    return left == 0;
}

static bool
run_updater(struct demo *d, const char *updater, int64_t transactions)
{
    const char *const argv[] = {updater, "--schema", d->schema, d->uri, NULL};
    struct child child;
    char *said;
    size_t n;
    int status;
    bool ok;

    if (!child_start(&child, argv, true)) {
        complain(&d->page, "cannot start %s: %s", updater, strerror(errno));
        return false;
    }
    ok = wait_for(d, &child, transactions);
    kill(child.pid, SIGTERM);
    said = child_read(&child, &n);
    status = child_end(&child);
    if (status || !ok)
        complain(&d->page, "%s ended with status %d:\n%s", updater, status, said ? said : "");
    free(said);
    return ok && !status;
}

static bool
follow(struct demo *d, struct index *x, const char *updater)
{
    int64_t objects, rows, transactions, wrong;
    double seconds;

    if (!demo_load(d, x))
        return false;
    objects = count(d, "SELECT count(*) AS n FROM object_state");
    rows = count(d, "SELECT count(*) AS n FROM newt_projection");
    transactions = count(d, "SELECT count(*) AS n FROM transaction");
    if (objects < 0 || rows < 0 || transactions < 0)
        return false;
    say(&d->page, "\nCommitted: %s objects, of which %s have their JSONB. Now newt-updater starts:",
        number((uint64_t)objects).s, number((uint64_t)rows).s);
    seconds = now();
    if (!run_updater(d, updater, transactions))
        return false;
    seconds = now() - seconds;
    rows = count(d, "SELECT count(*) AS n FROM newt_projection");
    wrong = count(d, "SELECT count(*) AS n FROM object_state o\n"
                     "  FULL JOIN newt_projection p ON p.zoid = o.zoid\n"
                     " WHERE p.serial IS DISTINCT FROM o.serial\n"
                     "    OR p.state IS DISTINCT FROM newt.to_jsonb(o.state)");
    if (rows < 0 || wrong < 0)
        return false;
    say(&d->page, "%s rows, %s of them other than what the server makes of the record.",
        number((uint64_t)rows).s, number((uint64_t)wrong).s);
    aside(&d->page, "%s transactions followed in %s: %s rows a second",
          number((uint64_t)transactions).s, time_text(seconds).s,
          rate_text((uint64_t)rows, seconds).s);
    if (wrong)
        complain(&d->page, "the projection is not that of the records");
    return wrong == 0;
}

bool
demo_follow(struct demo *d, struct index *x, const char *updater)
{
    struct demo other = {.uri = d->uri, .dialect = d->dialect, .page = d->page};
    char schema[80];
    bool ok;

    snprintf(schema, sizeof schema, "%.57s_async", d->schema);
    other.schema = schema;
    if (!index_limit(x, PACKAGES_HERE)) {
        complain(&d->page, "%s", x->error);
        return false;
    }
    say(&d->page, "The program commits records alone (`no_inline`), here the first %s packages:",
        number(x->n).s);
    ok = demo_open(&other, true) && follow(&other, x, updater);
    demo_close(&other);
    return ok;
}
