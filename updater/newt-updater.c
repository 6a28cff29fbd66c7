/*
 * newt-updater - follows the transactions of a Newt store, and writes what they changed
 *
 * Follows them in the order of their visibility, and hands them to a sink: the JSONB projection,
 * lines of JSON, typed tables, or derived columns. The sink's work and the follower's position are
 * committed together, or in such an order that this program may be killed at any moment: what is
 * missing is done by the next one.
 */
#include "signals.h"
#include "updater.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

phase
updater_wait(updater *u, int64_t ms, phase next)
{
    u->wait_ms = ms;
    return next;
}

int64_t
updater_greatest_oid(updater *u)
{
    newt_result *r = NULL;
    int64_t oid = 0;
    if (newt_begin(u->c) == NEWT_OK &&
        newt_search(u->c, &r, "SELECT zoid FROM object_state ORDER BY zoid DESC LIMIT 1", 0,
                    NULL) == NEWT_OK)
        oid = newt_result_ref(r, 0).oid;
    newt_result_free(r);
    newt_abort(u->c);
    return oid;
}

/* ---- connecting ----------------------------------------------------------------------- */

/* What waiting cannot cure: the operator must change the command line, the rights or the store. */
static bool
permanent(const newt_error *e)
{
    static const int statuses[] = {NEWT_EINVAL, NEWT_ECLASS, NEWT_EBROKEN,
                                   NEWT_ELIMIT, NEWT_ESTORE, NEWT_EUNIQUE};
    /* SQLSTATE classes: not supported, data, constraints, authorization, database, schema, rights
     * and names, limits, PL/pgSQL */
    static const char *const classes[] = {"0A", "22", "23", "28", "3D", "3F", "42", "54", "P0"};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (newt_error_status(e) == statuses[i])
            return true;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(newt_error_sqlstate(e), classes[i], 2) == 0)
            return true;
    return false;
}

phase
updater_back_off(updater *u, phase next)
{
    enum {
        FIRST_MS = 100,
        MOST_MS = 10000
    };
    int64_t ms = u->back_off_ms * 2;
    u->back_off_ms = ms < FIRST_MS ? FIRST_MS : ms > MOST_MS ? MOST_MS : ms;
    return updater_wait(u, u->back_off_ms, next);
}

static void
detach(updater *u)
{
    newt_feed_close(u->feed);
    if (u->sink) {
        newt_close(u->sink->culprit);
        u->sink->culprit = NULL;
    }
    newt_close(u->c);
    newt_db_close(u->db);
    u->feed = NULL;
    u->batch = NULL;
    u->c = NULL;
    u->db = NULL;
    u->active = u->no_prune = u->no_health = false;
}

phase
updater_fail(updater *u, const newt_error *e)
{
    /* what has changed under the connection may be told better over a new one */
    bool again = newt_is_retryable(e) && u->attached && !u->set.once && !u->tried_again;
    bool for_ever = permanent(e) && !again;
    u->tried_again = again;
    if (for_ever || !u->attached || u->set.once) {
        say_error(u, REPORT_ERROR, e, 0);
        u->status = for_ever ? EXIT_PERMANENT : EXIT_UNREACHABLE;
        return END;
    }
    phase next = updater_back_off(u, ATTACH);
    say_error(u, REPORT_WARNING, e, u->wait_ms);
    u->metrics.errors++;
    detach(u);
    return next;
}

static phase
attach(updater *u)
{
    static const newt_class *const no_classes[] = {NULL};
    const settings *s = &u->set;
    newt_options options = {.size = sizeof options,
                            .schema = s->schema,
                            .transaction_pooling = s->transaction_pooling,
                            .notice = say_notice,
                            .notice_arg = u};
    care_pulse(u);
    if (newt_db_open(&u->db, s->connection, no_classes, &options) != NEWT_OK ||
        newt_connect(u->db, &u->c) != NEWT_OK)
        return updater_fail(u, newt_last_error(u->db, u->c));
    u->attached = true;
    if (s->check && u->sink->type == &ndjson_sink)
        return COMPARE;
    if (s->check || s->compute_missing || s->reproject[0])
        return SWEEP;
    return s->retry_rejects ? REJECTS : BEGIN;
}

/* SIGHUP: the configuration, service and password files, the output. What is wrong in it is told,
 * and all stays as it is. */
static phase
reload(updater *u)
{
    settings new;
    complaint why;
    sink_trouble t = {.detail = "", .hint = why.hint};
    bool fine = settings_read(&new, u->argc, u->argv, &why);
    if (fine && strcmp(new.sink, u->set.sink) != 0) {
        snprintf(why.message, sizeof why.message, "another sink needs another process");
        snprintf(why.hint, sizeof why.hint, "Restart newt-updater.");
        settings_free(&new);
        fine = false;
    }
    detach(u);
    if (fine) {
        new.retry_rejects = false;
        settings_free(&u->set);
        u->set = new;
        u->report.json = strcmp(new.log_format, "json") == 0;
    } else {
        t.detail = why.message;
        snprintf(t.message, sizeof t.message, "the configuration was not taken");
        say_trouble(u, REPORT_WARNING, &t, 0);
    }
    u->sink->type->reopen(u->sink, &u->set);
    u->stuck = false;
    return ATTACH;
}

/* ---- the machine ---------------------------------------------------------------------- */

/* Sleeps as long as it was asked to; the service manager is told all the while. */
static void
wait_here(updater *u)
{
    enum {
        SLICE_MS = 500
    };
    double until = clock_now() + (double)u->wait_ms * 1e-3;
    for (double left; !signal_stop && !signal_reload && (left = until - clock_now()) > 0;) {
        int64_t ms = (int64_t)(left * 1e3) + 1;
        signals_sleep(ms < SLICE_MS ? ms : SLICE_MS);
        care_pulse(u);
    }
    u->wait_ms = 0;
}

static phase
step(updater *u)
{
    static phase (*const phases[N_PHASES])(updater *) = {
        [ATTACH] = attach,        [REJECTS] = task_rejects, [SWEEP] = task_sweep,
        [COMPARE] = task_compare, [BEGIN] = follow_begin,   [FOLLOW] = follow_next,
        [APPLY] = follow_apply,   [COMMIT] = follow_commit, [IDLE] = follow_idle};
    bool waited = u->wait_ms > 0;
    if (waited)
        wait_here(u);
    /* a batch is finished, unless its output keeps it waiting */
    bool within = (u->phase == APPLY || u->phase == COMMIT) && !waited;
    if (signal_stop && !within)
        return END;
    if (signal_reload && !within) {
        signal_reload = 0;
        return reload(u);
    }
    return phases[u->phase](u);
}

/* ---- from beginning to end ------------------------------------------------------------ */

static int
start(updater *u)
{
    static const sink_type *const types[] = {&projection_sink, &ndjson_sink, &tables_sink,
                                             &derived_sink};
    complaint why;
    char text[256];
    if (!settings_read(&u->set, u->argc, u->argv, &why)) {
        fprintf(stderr, "newt-updater: %s\n", why.message);
        if (*why.hint)
            fprintf(stderr, "HINT:  %s\n", why.hint);
        return EXIT_USAGE;
    }
    if (u->set.help) {
        settings_help();
        return EXIT_DONE;
    }
    if (u->set.version) {
        printf("newt-updater (Newt) %s\n", NEWT_VERSION);
        return EXIT_DONE;
    }
    setenv("PGAPPNAME", "newt-updater", 0); /* for pg_stat_activity */
    if (u->set.nagios)
        return nagios(&u->set);
    if (!fault_init(&u->fault)) {
        fputs("newt-updater: NEWT_UPDATER_FAULT is not STEP[:N]\n", stderr);
        return EXIT_USAGE;
    }
    if (u->set.listen && !(u->serve = serve_start(u->set.listen, text, sizeof text))) {
        fprintf(stderr, "newt-updater: cannot listen at \"%s\": %s\n", u->set.listen, text);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i]->name, u->set.sink) == 0)
            u->sink = types[i]->open(&u->set, &u->fault);
    return u->sink ? -1 : EXIT_PERMANENT;
}

int
main(int argc, char **argv)
{
    updater u = {.argc = argc,
                 .argv = argv,
                 .sum = {.size = sizeof(newt_progress)},
                 .all = {.size = sizeof(newt_progress)},
                 .phase = ATTACH,
                 .status = EXIT_DONE};
    report_init(&u.report);
    int status = start(&u);
    if (status < 0) {
        signals_catch();
        u.report.json = strcmp(u.set.log_format, "json") == 0;
        u.report.terminal = !u.report.json && isatty(STDERR_FILENO);
        u.since = u.start = clock_now();
        care_start(&u);
        while (u.phase != END)
            u.phase = step(&u);
        say_end(&u, signal_stop ? "stopped by a signal" : u.status ? "stopped" : "done");
        detach(&u);
        care_end(&u);
        u.sink->type->close(u.sink);
        status = u.status;
    }
    settings_free(&u.set);
    return status;
}
