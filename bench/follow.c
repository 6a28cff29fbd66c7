/*
 * follow.c - what following costs, and how soon it is done: newt-updater beside writers
 *
 *     follow cost SCHEMA N UPDATER          SCHEMA async; SCHEMA_skip has the same Tasks
 *     follow lag SCHEMA N COMMITS_PER_S     newt-updater follows already
 *     follow reproject SCHEMA N UPDATER     SCHEMA inline
 *     follow child NAME N COMMAND...        objects/s of a program, its memory, the processors'
 * time
 *
 * Both sides at once: figures whose names begin with "limit:" are the limit's.
 */
#include "newt_task.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    WRITERS = 4,
    KINDS = 3,      /* of writers whose commits are compared */
    SLICE = 200,    /* commits of one, before it is another's turn */
    OWN = 1000,     /* Tasks that a writer changes, one after another */
    AHEAD = 100,    /* Tasks that a writer beside a reprojection loads, then changes */
    ALONE_MS = 1500 /* writers without a reprojection, before and after */
};

extern char **environ;

/* ---- processes ---------------------------------------------------------------------------- */

/* What it logs is not shown; its standard output is ours. */
static pid_t
start(const char *const *argv)
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(&pid, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (error)
        give_up(argv[0], strerror(error));
    return pid;
}

static void
finish(pid_t pid, const char *what, struct rusage *usage)
{
    int status;
    if (wait4(pid, &status, 0, usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        give_up(what, "it has failed");
}

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* The process's time on a processor so far, in seconds. */
static double
processor(pid_t pid)
{
    char path[64];
    double ns = -1;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%lf", &ns) != 1)
        give_up("processor time", path);
    fclose(f);
    return ns * 1e-9;
}

static pid_t
backend_of(newt_conn *c)
{
    return (pid_t)number(c, "SELECT pg_backend_pid()::bigint");
}

/* The time of the postmaster's children that have ended, in seconds. */
static double
ended_backends(pid_t postmaster)
{
    char path[64], text[1024] = "";
    long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)postmaster);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f) || !strrchr(text, ')') ||
        sscanf(strrchr(text, ')') + 1, "%*s%*d%*d%*d%*d%*d%*u%*u%*u%*u%*u%*u%*u%ld%ld", &user,
               &system) != 2)
        give_up("processor time", path);
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static pid_t
parent_of(pid_t pid)
{
    char path[64], text[1024] = "";
    int parent;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f) || !strrchr(text, ')') ||
        sscanf(strrchr(text, ')') + 1, "%*s%d", &parent) != 1)
        give_up("parent", path);
    fclose(f);
    return parent;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static int
rising(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* Sorts them. */
static double
quantile(double *x, size_t n, double q)
{
    qsort(x, n, sizeof *x, rising);
    return n == 0 ? 0 : x[(size_t)(q * (double)(n - 1) + 0.5)];
}

static void
report_as(const char *format, const char *name, double value, const char *unit)
{
    char figure[64];
    snprintf(figure, sizeof figure, format, name);
    report(figure, value, unit);
}

static task_ref
task_number(int64_t i)
{
    return task_of((newt_ref){.oid = FIRST_OID + i});
}

static void
change_task(newt_conn *c, int64_t i, int64_t rev)
{
    begin(c);
    change(c, task_number(i), i, rev);
    commit(c);
}

static void
load_tasks(newt_conn *c, int64_t first, int64_t step, int64_t n, int64_t all)
{
    newt_ref *refs = allocate((size_t)n, sizeof *refs);
    for (int64_t k = 0; k < n; k++)
        refs[k] = task_number((first + k * step) * STEP % all).any;
    begin(c);
    check(c, newt_prefetch(c, refs, (size_t)n) == NEWT_OK, "prefetch");
    newt_abort(c);
    free(refs);
}

/* ---- what an asynchronous projection costs those who commit ------------------------------------
 */

/* The same as a Task, without JSONB. */
struct bare;
NEWT_DECLARE(bare);
struct bare {
    newt_text title;
    int state, points;
    NEWT_ARRAY(newt_text) tags;
    task_ref parent;
};
NEWT_CLASS_AS(bare, "Bare", 1, NULL, NEWT_C_SKIP, NEWT_FIELD(struct bare, title),
              NEWT_ENUM(struct bare, state, state_names), NEWT_FIELD(struct bare, points),
              NEWT_LIST(struct bare, tags), NEWT_REF(struct bare, parent, task));

/* One kind of writer. */
typedef struct writer {
    const char *name;
    bool bare, followed;
    newt_conn *c;
    pid_t backend;
    int64_t first; /* of its Tasks: nobody else changes them */
    int64_t done;  /* commits */
    double *rates;
    double processor; /* of its backend, in seconds */
} writer;

static bare_ref bares[OWN];

static void
make_bares(newt_conn *c)
{
    begin(c);
    for (int64_t i = 0; i < OWN; i++) {
        task_values v;
        task_values_of(&v, i, 0);
        struct bare *b = bare_new(c);
        check(c, b != NULL, "new");
        newt_set(b, title, v.title);
        newt_text *tags = newt_array_grow(bare_obj(b), &b->tags, sizeof *tags, 3);
        check(c, tags != NULL, "tags");
        for (int j = 0; j < 3; j++)
            newt_text_set(bare_obj(b), &tags[j], v.tags[j]);
        b->parent = task_number(i);
        bares[i] = bare_id(b);
        bare_done(b);
    }
    commit(c);
}

static void
change_bare(newt_conn *c, int64_t i, int64_t rev)
{
    task_values v;
    task_values_of(&v, i, rev);
    begin(c);
    struct bare *b = bare_write(c, bares[i]);
    check(c, b != NULL, "write");
    newt_set(b, title, v.title);
    b->state = v.state;
    b->points = v.points;
    bare_done(b);
    commit(c);
}

static void
write_slice(writer *w, int64_t n)
{
    for (int64_t end = w->done + n; w->done < end; w->done++) {
        int64_t i = w->done * STEP % OWN;
        if (w->bare)
            change_bare(w->c, i, w->done + 1);
        else
            change_task(w->c, w->first + i, w->done + 1);
    }
}

/* Until everything that was committed so far has its rows. */
static void
caught_up(newt_conn *c)
{
    change_task(c, 2 * OWN, (int64_t)(now() * 1000));
    check(c, newt_wait_for(c, newt_tid(c), 60000) == NEWT_OK, "newt_wait_for");
}

/* Slices of three writers' commits by turns: one whose objects have no JSONB, one whose JSONB is
 * written later, and the same while that is being done. */
static void
cost(int64_t n, const char *const *argv)
{
    const char *updater[] = {argv[0], "--schema", schema, NULL};
    char bare_schema[64];
    int slices = (int)(tx1_transactions() / SLICE) + 1;
    double followers = 0;
    writer w[KINDS] = {{.name = "limit:", .bare = true},
                       {.name = "_alone"},
                       {.name = "", .followed = true, .first = OWN}};
    newt_db *dbs[2] = {db, NULL};
    (void)n;
    snprintf(bare_schema, sizeof bare_schema, "%s_skip", schema);
    static const newt_class *const classes[] = {&task_class, &bare_class, NULL};
    newt_options options = {.size = sizeof options, .schema = bare_schema};
    check(NULL, newt_db_open(&dbs[1], NULL, classes, &options) == NEWT_OK, "open");
    for (int k = 0; k < KINDS; k++) {
        db = dbs[w[k].bare];
        w[k].c = dial();
        w[k].backend = backend_of(w[k].c);
        w[k].rates = allocate((size_t)slices, sizeof *w[k].rates);
        if (w[k].bare)
            make_bares(w[k].c);
        else
            load_tasks(w[k].c, 0, 1, 2 * OWN, 2 * OWN);
        write_slice(&w[k], SLICE);
    }
    pid_t pid = 0;
    for (int s = 0; s < slices; s++)
        for (int j = 0; j < KINDS; j++) {
            writer *k = &w[(s + j) % KINDS];
            if (k->followed) {
                pid = start(updater);
                caught_up(k->c);
            }
            pid_t follower = k->followed
                                 ? (pid_t)number(k->c, "SELECT pid::bigint FROM pg_stat_activity "
                                                       "WHERE application_name = 'newt-updater'")
                                 : 0;
            double theirs = k->followed ? processor(pid) + processor(follower) : 0;
            double before = processor(k->backend), begun = now();
            write_slice(k, SLICE);
            k->rates[s] = SLICE / (now() - begun);
            k->processor += processor(k->backend) - before;
            if (k->followed) {
                followers += processor(pid) + processor(follower) - theirs;
                kill(pid, SIGTERM);
                finish(pid, "newt-updater", NULL);
            }
        }
    double commits = (double)slices * SLICE;
    for (int k = 0; k < KINDS; k++) {
        double rate = quantile(w[k].rates, (size_t)slices, 0.5);
        double us = w[k].processor / commits * 1e6;
        if (w[k].bare) {
            report("limit:async_cost", rate, "tx/s");
            report("limit:async_cost_alone", rate, "tx/s");
            report("limit:async_cpu", us, "us per tx");
            report("limit:async_cpu_alone", us, "us per tx");
        } else {
            report_as("async_cost%s", w[k].name, rate, "tx/s");
            report_as("async_cpu%s", w[k].name, us, "us per tx");
        }
        newt_close(w[k].c);
        free(w[k].rates);
    }
    report("async_cpu_updater", followers / commits * 1e6, "us per tx");
    newt_db_close(dbs[1]);
    db = dbs[0];
}

/* ---- how soon a commit has its rows ---------------------------------------------------------- */

typedef struct sample {
    int64_t tid;
    double at;
} sample;

typedef struct committer {
    pthread_t thread;
    int number;
    int64_t n; /* Tasks of the store */
    double start, rate;
    int64_t commits; /* of all committers */
    sample *samples; /* likewise */
} committer;

/* At the times that are due, however long each commit takes. */
static void *
commit_in_time(void *arg)
{
    const committer *m = arg;
    newt_conn *c = dial();
    load_tasks(c, m->number, WRITERS, OWN, m->n);
    for (int64_t k = m->number; k < m->commits; k += WRITERS) {
        double wait = m->start + (double)k / m->rate - now();
        if (wait > 0)
            nanosleep(
                &(struct timespec){.tv_sec = (time_t)wait, .tv_nsec = (long)(fmod(wait, 1) * 1e9)},
                NULL);
        int64_t own = m->number + k / WRITERS % OWN * WRITERS;
        change_task(c, own * STEP % m->n, k + 10);
        m->samples[k] = (sample){newt_tid(c), now()};
    }
    newt_close(c);
    return NULL;
}

/* The updater's notice, in the transaction that moves its position: the rows are there. */
static int64_t
next_notice(PGconn *pg)
{
    int64_t tid = 0;
    PGnotify *notice;
    while (tid == 0) {
        struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};
        if (poll(&fd, 1, 30000) != 1 || !PQconsumeInput(pg))
            give_up("lag", "no notice of newt-updater for 30 s");
        while ((notice = PQnotifies(pg))) {
            const char *space = strrchr(notice->extra, ' ');
            if (space && strncmp(notice->extra, schema, strlen(schema)) == 0)
                tid = atoll(space);
            PQfreemem(notice);
        }
    }
    return tid;
}

static void
lag(int64_t n, const char *const *argv)
{
    int64_t rate = atoll(argv[0]), newest = 0;
    int64_t idle = rate / 2; /* commits that end the updater's pause: they do not count */
    int64_t commits = idle + rate * (rate < 1000 ? 5 : 2);
    committer m[WRITERS];
    sample *samples = allocate((size_t)commits, sizeof *samples);
    sample *notices = allocate((size_t)commits * 2 + 100, sizeof *notices);
    double *ms = allocate((size_t)commits, sizeof *ms);
    size_t heard = 0;
    char name[32];

    PGconn *pg = PQconnectdb("");
    PGresult *r = PQexec(pg, "LISTEN newt");
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        give_up("LISTEN", PQerrorMessage(pg));
    PQclear(r);
    double begun = now() + 0.2; /* all have loaded their Tasks by then */
    for (int i = 0; i < WRITERS; i++) {
        m[i] = (committer){.number = i,
                           .n = n,
                           .start = begun,
                           .rate = (double)rate,
                           .commits = commits,
                           .samples = samples};
        if (pthread_create(&m[i].thread, NULL, commit_in_time, &m[i]) != 0)
            give_up("lag", "no thread");
    }
    /* the last commits come at the end of their time */
    while (now() < begun + (double)(commits - WRITERS) / (double)rate && heard < (size_t)commits) {
        notices[heard].tid = next_notice(pg);
        notices[heard++].at = now();
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(m[i].thread, NULL);
    double ended = 0;
    for (int64_t k = 0; k < commits; k++) {
        newest = samples[k].tid > newest ? samples[k].tid : newest;
        ended = samples[k].at > ended ? samples[k].at : ended;
    }
    while (notices[heard - 1].tid < newest) {
        notices[heard].tid = next_notice(pg);
        notices[heard++].at = now();
    }
    for (int64_t k = idle; k < commits; k++) {
        size_t i = 0;
        while (notices[i].tid < samples[k].tid)
            i++;
        double late = notices[i].at - samples[k].at;
        ms[k - idle] = late > 0 ? late * 1000 : 0;
    }
    newt_conn *c = dial();
    if (number(c, "SELECT count(*)::bigint FROM object_state o LEFT JOIN newt n USING (zoid) WHERE "
                  "n.serial IS DISTINCT FROM o.serial") != 0)
        give_up("lag", "rows are not there that the updater has told of");
    newt_close(c);
    snprintf(name, sizeof name, "lag%lld", (long long)rate);
    report_as("%s_p50", name, quantile(ms, (size_t)(commits - idle), 0.5), "ms");
    report_as("%s_p99", name, quantile(ms, (size_t)(commits - idle), 0.99), "ms");
    report_as("%s_rate", name, (double)commits / (ended - begun), "tx/s");
    PQfinish(pg);
    free(samples);
    free(notices);
    free(ms);
}

/* ---- writers beside a reprojection ------------------------------------------------------------
 */

typedef struct beside {
    pthread_t thread;
    int number;
    int64_t n;
    double longest; /* of its commits beside the reprojection, in seconds */
} beside;

static atomic_bool ended, measuring;
static atomic_llong committed;

static void *
write_beside(void *arg)
{
    beside *m = arg;
    newt_conn *c = dial();
    for (int64_t k = 0; !ended; k++) {
        int64_t own = m->number + k * WRITERS;
        if (k % AHEAD == 0)
            load_tasks(c, own, WRITERS, AHEAD, m->n);
        bool counts = measuring;
        double begun = now();
        change_task(c, own * STEP % m->n, k + 20);
        double took = now() - begun;
        committed++;
        if (counts && took > m->longest)
            m->longest = took;
    }
    newt_close(c);
    return NULL;
}

static double
rate_for(int ms)
{
    int64_t before = committed;
    double begun = now();
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    return (double)(committed - before) / (now() - begun);
}

static void
reproject(int64_t n, const char *const *argv)
{
    const char *updater[] = {argv[0], "--reproject", "Task", "--schema", schema, NULL};
    beside m[WRITERS];
    double longest = 0;
    for (int i = 0; i < WRITERS; i++) {
        m[i] = (beside){.number = i, .n = n};
        if (pthread_create(&m[i].thread, NULL, write_beside, &m[i]) != 0)
            give_up("reproject", "no thread");
    }
    while (committed < (int64_t)WRITERS * 100)
        rate_for(10);
    double before = rate_for(ALONE_MS);
    int64_t at = committed;
    double begun = now();
    measuring = true;
    finish(start(updater), "newt-updater --reproject", NULL);
    double took = now() - begun, beside_it = (double)(committed - at) / took;
    measuring = false;
    double after = rate_for(ALONE_MS);
    ended = true;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(m[i].thread, NULL);
        longest = m[i].longest > longest ? m[i].longest : longest;
    }
    report("reproject", beside_it, "tx/s");
    report("limit:reproject", (before + after) / 2, "tx/s");
    report("reproject_speed", (double)n / took, "objects/s");
    report("reproject_longest", longest * 1000, "ms");
}

/* ---- a program by itself ----------------------------------------------------------------------
 */

static void
child(int64_t n, const char *const *argv)
{
    PGconn *pg = PQconnectdb("");
    struct rusage usage;
    if (PQstatus(pg) != CONNECTION_OK)
        give_up("connect", PQerrorMessage(pg));
    pid_t postmaster = parent_of(PQbackendPID(pg));
    double server = ended_backends(postmaster), begun = now();
    finish(start(argv), argv[0], &usage);
    double took = now() - begun;
    /* its backend has ended when the server does not show it any more */
    PGresult *r;
    for (bool there = true; there; PQclear(r)) {
        r = PQexec(pg, "SELECT FROM pg_stat_activity WHERE application_name = 'newt-updater'");
        there = PQntuples(r) > 0;
    }
    double reaped = now() + 1;
    while (ended_backends(postmaster) == server && now() < reaped)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    report(schema, (double)n / took, "objects/s");
    report_as("%s_memory", schema, (double)usage.ru_maxrss / 1024, "MB");
    report_as("%s_client", schema,
              (seconds(usage.ru_utime) + seconds(usage.ru_stime)) / (double)n * 1e6,
              "us per object");
    report_as("%s_server", schema, (ended_backends(postmaster) - server) / (double)n * 1e6,
              "us per object");
    PQfinish(pg);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(int64_t n, const char *const *argv);
        bool bare; /* without a store */
    } operations[] = {{"cost", cost, false},
                      {"lag", lag, false},
                      {"reproject", reproject, false},
                      {"child", child, true},
                      {NULL, NULL, false}};
    if (argc < 5)
        give_up("usage", "follow OPERATION SCHEMA N ARGUMENT...");
    schema = argv[2];
    for (int i = 0; operations[i].name; i++)
        if (strcmp(operations[i].name, argv[1]) == 0) {
            if (!operations[i].bare)
                open_store(schema, NULL);
            operations[i].run(atoll(argv[3]), (const char *const *)(uintptr_t)(argv + 4));
            if (db)
                newt_db_close(db);
            return 0;
        }
    give_up(argv[1], "no such operation");
}
