/*
 * newt-updater - keeps the JSONB projection of a Newt store up to date
 *
 * Follows the store's transactions in the order of their visibility and writes the projection of
 * the objects they touched. Each batch is one transaction of newt_project(), together with the new
 * position, so that this program may be killed at any moment: what is missing is done by the next
 * one. It therefore keeps nothing but counters.
 */
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <newtdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_DONE = 0,
    EXIT_PERMANENT = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3
};

enum {
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_MOST_MS = 10000
};

typedef enum phase {
    ATTACH,
    RETRY,
    FOLLOW,
    PAUSE,
    BACK_OFF,
    END
} phase;

typedef struct settings {
    const char *uri, *schema, *name;
    int64_t batch, interval_ms, max_pause_ms, summary_s;
    bool once, retry_rejects;
} settings;

typedef struct updater {
    settings set;
    report report;
    newt_db *db;
    newt_conn *c;
    phase phase;
    int status;         /* to exit with */
    int64_t pause_ms;   /* of the next PAUSE or BACK_OFF */
    bool attached;      /* once at least: from then on a lost server is waited for */
    bool announced;     /* that this connection follows */
    bool waiting;       /* another process follows under our name, and that has been said */
    bool show_progress; /* a bar, on a terminal */
    int64_t expected;   /* of the bar: transactions, or rows */
    bool by_rows;
    newt_progress sum; /* of what was done since `since` */
    newt_progress all;
    double since, start;
} updater;

/* ---- signals -------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal, reattach;

static void
on_stop(int number)
{
    stop_signal = number;
}

static void
on_reattach(int number)
{
    (void)number;
    reattach = 1;
}

static void
catch_signals(void)
{
    /* a second request to stop, while the server keeps the first one waiting, is not caught */
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
    struct sigaction again = {.sa_handler = on_reattach}, ignore = {.sa_handler = SIG_IGN}, was;
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &again, NULL);
}

/* Sleeps; a signal that comes now or came before ends it. */
static void
sleep_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    sigset_t caught, before;
    sigemptyset(&caught);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGHUP);
    sigprocmask(SIG_BLOCK, &caught, &before);
    if (!stop_signal && !reattach)
        pselect(0, NULL, NULL, NULL, &time, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- what is said --------------------------------------------------------------------- */

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
say_error(updater *u, report_level level, const newt_error *e, int64_t pause_ms)
{
    int status = newt_error_status(e);
    int64_t oid = newt_error_oid(e);
    report_field fields[] = {{"detail", newt_error_detail(e), 0},
                             {"hint", newt_error_hint(e), 0},
                             {"status", status == NEWT_OK ? "" : newt_status_text(status), 0},
                             {"sqlstate", newt_error_sqlstate(e), 0},
                             {"oid", oid ? NULL : "", oid},
                             {"class", newt_error_class(e), 0},
                             {"constraint", newt_error_constraint(e), 0},
                             {"retry_in_ms", pause_ms ? NULL : "", pause_ms},
                             {NULL, NULL, 0}};
    report_line(&u->report, level, newt_error_message(e), fields);
}

/* Of an object that has been left out, since the database refuses its row. */
static void
say_refused(const newt_error *e, void *arg)
{
    say_error(arg, REPORT_WARNING, e, 0);
}

static void
say_work(updater *u, const char *message, const newt_progress *p, double seconds)
{
    double rate = seconds > 0 ? (double)(p->written + p->removed) / seconds : 0;
    report_field fields[] = {{"transactions", NULL, p->transactions},
                             {"written", NULL, p->written},
                             {"removed", NULL, p->removed},
                             {"rejects", NULL, p->rejects},
                             {"refused", NULL, p->refused},
                             {"objects_per_s", NULL, (int64_t)rate},
                             {"position", NULL, p->tid},
                             {"behind_ms", NULL, p->behind_us / 1000},
                             {NULL, NULL, 0}};
    report_line(&u->report, REPORT_INFO, message, fields);
}

static void
announce(updater *u, const newt_progress *p)
{
    report_field fields[] = {{"follower", u->set.name, 0},
                             {"schema", u->set.schema, 0},
                             {"position", NULL, p->tid},
                             {"behind_ms", NULL, p->behind_us / 1000},
                             {NULL, NULL, 0}};
    report_line(&u->report, REPORT_INFO, "following", fields);
}

static void
add(newt_progress *sum, const newt_progress *p)
{
    sum->tid = p->tid;
    sum->behind_us = p->behind_us;
    sum->transactions += p->transactions;
    sum->written += p->written;
    sum->removed += p->removed;
    sum->rejects += p->rejects;
    sum->refused += p->refused;
}

/* Counts a batch; from time to time there is a line about what has been done. */
static void
account(updater *u, const newt_progress *p)
{
    double t = now();
    if (!u->announced && !u->show_progress)
        announce(u, p);
    u->announced = true;
    u->waiting = false;
    add(&u->sum, p);
    add(&u->all, p);
    if (u->show_progress)
        report_progress(&u->report, u->by_rows ? u->all.written : u->all.transactions, u->expected,
                        u->all.written + u->all.removed, t - u->start);
    else if (u->set.summary_s > 0 && t - u->since >= (double)u->set.summary_s) {
        if (u->sum.transactions)
            say_work(u, "summary", &u->sum, t - u->since);
        u->sum = (newt_progress){.size = sizeof u->sum};
        u->since = t;
    }
}

/* ---- phases --------------------------------------------------------------------------- */

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

static void
detach(updater *u)
{
    newt_close(u->c);
    newt_db_close(u->db);
    u->c = NULL;
    u->db = NULL;
    u->announced = false;
}

/* The error ends the program, or is waited out with a new connection. */
static phase
fail(updater *u)
{
    const newt_error *e = newt_last_error(u->db, u->c);
    bool for_ever = permanent(e);
    if (for_ever || !u->attached || u->set.once) {
        say_error(u, REPORT_ERROR, e, 0);
        u->status = for_ever ? EXIT_PERMANENT : EXIT_UNREACHABLE;
        return END;
    }
    u->pause_ms = u->pause_ms * 2 < BACK_OFF_FIRST_MS  ? BACK_OFF_FIRST_MS
                  : u->pause_ms * 2 > BACK_OFF_MOST_MS ? BACK_OFF_MOST_MS
                                                       : u->pause_ms * 2;
    say_error(u, REPORT_WARNING, e, u->pause_ms);
    return BACK_OFF;
}

/* The number of rows that a query gives; 0 if it fails: only a progress bar wants to know. */
static int64_t
count(newt_conn *c, const char *sql, int n, const char *const *params)
{
    newt_result *r = NULL;
    int64_t rows = 0;
    if (newt_begin(c) == NEWT_OK && newt_page(c, &r, sql, n, params, 0, 0) == NEWT_OK)
        rows = newt_result_total(r);
    newt_result_free(r);
    newt_abort(c);
    return rows;
}

/* What is to come: transactions, or for a new follower, which goes through all objects, rows. */
static void
expect(updater *u)
{
    const char *name[] = {u->set.name};
    u->by_rows = count(u->c, "SELECT tid FROM newt_follower WHERE name = $1", 1, name) == 0;
    if (u->by_rows)
        u->expected = count(u->c,
                            "SELECT zoid FROM object_state o LEFT JOIN newt_projection p"
                            " USING (zoid) WHERE o.serial IS DISTINCT FROM p.serial",
                            0, NULL);
    else
        u->expected = count(u->c,
                            "SELECT tid FROM transaction WHERE tid >"
                            " (SELECT tid FROM newt_follower WHERE name = $1)",
                            1, name);
}

static phase
attach(updater *u)
{
    static const newt_class *const no_classes[] = {NULL};
    newt_options options = {
        .size = sizeof options, .schema = u->set.schema, .notice = say_refused, .notice_arg = u};
    if (newt_db_open(&u->db, u->set.uri, no_classes, &options) != NEWT_OK ||
        newt_connect(u->db, &u->c) != NEWT_OK)
        return fail(u);
    if (u->show_progress && !u->attached)
        expect(u);
    u->attached = true;
    return u->set.retry_rejects ? RETRY : FOLLOW;
}

static phase
retry(updater *u)
{
    newt_progress p = {.size = sizeof p}, sum = {.size = sizeof sum};
    double begun = now();
    do {
        if (newt_retry_rejects(u->c, u->set.batch, &p) != NEWT_OK)
            return fail(u);
        add(&sum, &p);
    } while (p.behind_us > 0 && !stop_signal);
    u->set.retry_rejects = false; /* once is enough, also after another connection */
    say_work(u, "rejects retried", &sum, now() - begun);
    return FOLLOW;
}

static phase
follow(updater *u)
{
    newt_progress p = {.size = sizeof p};
    int rc = newt_project(u->c, u->set.name, u->set.batch, &p);
    if (rc == NEWT_ECONFLICT) {
        if (!u->waiting)
            say_error(u, REPORT_INFO, newt_conn_error(u->c), 0);
        u->waiting = true;
    } else if (rc != NEWT_OK) {
        return fail(u);
    } else {
        account(u, &p);
        if (p.behind_us > 0)
            return FOLLOW;
        if (u->set.once)
            return END;
    }
    u->pause_ms = p.transactions > 0 ? 0 : u->pause_ms * 2;
    if (u->pause_ms < u->set.interval_ms)
        u->pause_ms = u->set.interval_ms;
    if (u->pause_ms > u->set.max_pause_ms)
        u->pause_ms = u->set.max_pause_ms;
    return PAUSE;
}

static phase
step(updater *u)
{
    if (stop_signal)
        return END;
    if (reattach) {
        reattach = 0;
        detach(u);
        return ATTACH;
    }
    switch (u->phase) {
    case ATTACH: return attach(u);
    case RETRY: return retry(u);
    case FOLLOW: return follow(u);
    case PAUSE: sleep_ms(u->pause_ms); return FOLLOW;
    case BACK_OFF:
        detach(u);
        sleep_ms(u->pause_ms);
        return ATTACH;
    case END: break;
    }
    return END;
}

/* ---- the command line ----------------------------------------------------------------- */

static void
help(void)
{
    fputs(
        "newt-updater keeps the JSONB projection of a Newt store up to date.\n"
        "\n"
        "usage: newt-updater [OPTION]... [CONNECTION]\n"
        "\n"
        "CONNECTION is a connection string or URI as libpq takes it; what it does not say comes\n"
        "from libpq's environment (PGHOST, PGDATABASE, PGSERVICE, ...) and password file.\n"
        "\n"
        "  -s, --schema=NAME        schema of the store (default: public)\n"
        "  -n, --name=NAME          follower whose position is used (default: newt-updater)\n"
        "  -b, --batch=N            objects in one transaction, about (default: 5000)\n"
        "  -1, --once               write all that is committed, then exit\n"
        "  -r, --retry-rejects      first try all objects again whose JSONB the database refused\n"
        "  -i, --interval=MS        shortest pause between two looks (default: 10)\n"
        "  -m, --max-pause=MS       longest pause, when nothing happens (default: 250)\n"
        "  -S, --summary=SECONDS    time between two lines about the work done, 0: none\n"
        "                           (default: 60)\n"
        "  -l, --log-format=FORMAT  text or json (default: text)\n"
        "  -V, --version            show the version, then exit\n"
        "  -h, --help               show this help, then exit\n"
        "\n"
        "An object whose JSONB the database refuses (an index, a constraint, a trigger) is left\n"
        "out: the log names it, and it is found in the view newt_reject.\n"
        "\n"
        "Exit status: 0 done, or stopped by SIGTERM or SIGINT; 1 intervention is needed (no\n"
        "store, another version, missing rights); 2 wrong usage; 3 the server could not be\n"
        "reached at the start, or was lost with --once.\n",
        stdout);
}

static bool
parse_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == 0 && x >= least && x <= most) {
        *out = x;
        return true;
    }
    fprintf(stderr,
            "newt-updater: invalid value for --%s: \"%s\"\n"
            "HINT:  It must be a whole number from %" PRId64 " to %" PRId64 ".\n",
            name, text, least, most);
    return false;
}

/* Sets what argv says. Returns -1 to go on, or a status to exit with. */
static int
parse(updater *u, int argc, char **argv)
{
    static const struct option options[] = {{"schema", required_argument, NULL, 's'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"once", no_argument, NULL, '1'},
                                            {"retry-rejects", no_argument, NULL, 'r'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"max-pause", required_argument, NULL, 'm'},
                                            {"summary", required_argument, NULL, 'S'},
                                            {"log-format", required_argument, NULL, 'l'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    settings *s = &u->set;
    bool fine = true;
    for (int o; fine && (o = getopt_long(argc, argv, "s:n:b:1ri:m:S:l:Vh", options, NULL)) != -1;) {
        switch (o) {
        case 's': s->schema = optarg; break;
        case 'n': s->name = optarg; break;
        case 'b': fine = parse_number("batch", optarg, 1, 1000000, &s->batch); break;
        case '1': s->once = true; break;
        case 'r': s->retry_rejects = true; break;
        case 'i': fine = parse_number("interval", optarg, 1, 60000, &s->interval_ms); break;
        case 'm': fine = parse_number("max-pause", optarg, 1, 600000, &s->max_pause_ms); break;
        case 'S': fine = parse_number("summary", optarg, 0, 86400, &s->summary_s); break;
        case 'l':
            u->report.json = strcmp(optarg, "json") == 0;
            fine = u->report.json || strcmp(optarg, "text") == 0;
            if (!fine)
                fprintf(stderr,
                        "newt-updater: invalid value for --log-format: \"%s\"\n"
                        "HINT:  It must be text or json.\n",
                        optarg);
            break;
        case 'V': printf("newt-updater (Newt) %s\n", NEWT_VERSION); return EXIT_DONE;
        case 'h': help(); return EXIT_DONE;
        default: fine = false;
        }
    }
    if (fine && argc - optind > 1) {
        fprintf(stderr, "newt-updater: too many arguments, the second is \"%s\"\n",
                argv[optind + 1]);
        fine = false;
    }
    if (!fine) {
        fputs("Try \"newt-updater --help\".\n", stderr);
        return EXIT_USAGE;
    }
    s->uri = optind < argc ? argv[optind] : NULL;
    return -1;
}

int
main(int argc, char **argv)
{
    updater u = {.set = {.schema = "public",
                         .name = "newt-updater",
                         .batch = 5000,
                         .interval_ms = 10,
                         .max_pause_ms = 250,
                         .summary_s = 60},
                 .sum = {.size = sizeof(newt_progress)},
                 .all = {.size = sizeof(newt_progress)},
                 .phase = ATTACH,
                 .status = EXIT_DONE};
    int status = parse(&u, argc, argv);
    if (status >= 0)
        return status;
    setenv("PGAPPNAME", "newt-updater", 0); /* for pg_stat_activity */
    catch_signals();
    u.show_progress = u.set.once && !u.report.json && isatty(STDERR_FILENO);
    u.since = u.start = now();
    while (u.phase != END)
        u.phase = step(&u);
    if (u.attached)
        say_work(&u,
                 stop_signal ? "stopped by a signal"
                 : u.status  ? "stopped"
                             : "done",
                 &u.all, now() - u.start);
    detach(&u);
    return u.status;
}
