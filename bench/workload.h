/*
 * workload.h - what both sides of the benchmark share: the Task, its numbers, the clock, and how
 * many messages go over the wire
 *
 * Included once by each program (newt.c and limit.c), so that both do the same work and report it
 * in the same form: one line "operation <tab> value <tab> unit" on stdout for each figure.
 */
#ifndef NEWT_BENCH_WORKLOAD_H
#define NEWT_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    BULK = 20000,      /* new Tasks of the operation bulk ... */
    PER_BULK = 1000,   /* ... and of one of its transactions */
    WARM_UP = 20,      /* transactions before the clock starts */
    TX1 = 3000,        /* transactions of tx1, clients and hot, unless BENCH_TX says other */
    TX100 = 300,       /* transactions of tx100, or fewer if tx1 has fewer */
    STEP = 7919,       /* transaction k changes task (k * STEP) % n */
    PER_TX100 = 100,   /* tasks in each of them */
    FOUND = 100,       /* objects of a search */
    SEARCHES = 100,    /* of them, one after another; the figure is their mean */
    LOADS = 5,         /* times that all are loaded in batches, each with an empty cache */
    FIRST_OID = 1024,  /* Task i is object FIRST_OID + i, in both stores */
    MAX_CLIENTS = 512, /* see clients_asked */
};

/* ---- Task ----------------------------------------------------------------------------- */

static const char *const state_names[] = {"todo", "ready",   "in progress", "review",
                                          "done", "blocked", NULL};

typedef struct task_values {
    char title[41];
    int state;
    int points;
    char tags[3][16];
} task_values;

/* Task number i after its rev-th change. */
static inline void
task_values_of(task_values *t, int64_t i, int64_t rev)
{
    char title[96];
    snprintf(title, sizeof title, "Task %06d r%04d the quick brown fox jumps over the lazy dog",
             (int)i, (int)(rev % 10000));
    memcpy(t->title, title, 40);
    t->title[40] = 0;
    t->state = (int)((i + rev) % 6);
    t->points = (int)(i + rev);
    snprintf(t->tags[0], sizeof t->tags[0], "tag%03d", (int)(i % 200));
    snprintf(t->tags[1], sizeof t->tags[1], "area%02d", (int)(i % 20));
    snprintf(t->tags[2], sizeof t->tags[2], "prio%d", (int)(i % 5));
}

__attribute__((noreturn)) static inline void
give_up(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline int64_t
setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    int64_t n = text ? atoll(text) : 0;
    return n > 0 ? n : otherwise;
}

/* Transactions of tx1, and of all clients together. */
static inline int64_t
tx1_transactions(void)
{
    return setting("BENCH_TX", TX1);
}

/* Added to the revisions that an operation writes: repeated, it must not find its own work done. */
static inline int64_t
first_revision(void)
{
    return setting("BENCH_REVISION", 0);
}

static inline int64_t
tx100_transactions(void)
{
    return tx1_transactions() < TX100 ? tx1_transactions() : TX100;
}

/* How many Tasks tx1 and tx100 change, if there are as many. */
static inline int64_t
tx_changes(void)
{
    int64_t n = WARM_UP + tx1_transactions(), many = tx100_transactions() * PER_TX100;
    return n > many ? n : many;
}

/* The i-th Task to be loaded: the i-th, or, with `among`, one of these, far from the one before. */
static inline int64_t
task_to_load(int64_t i, int64_t among)
{
    return among ? i * STEP % among : i;
}

/* How many clients an argument asks for; 0: it does not. */
static inline int
clients_asked(const char *argument)
{
    int of = argument ? atoi(argument) : 0;
    if (of < 0 || of > MAX_CLIENTS)
        give_up("clients", "0 to 512 are possible");
    return of;
}

/* ---- searches ------------------------------------------------------------------------- */

enum {
    SEARCH_GHOSTS,
    SEARCH_LOADED, /* by a tag that every 200th Task has */
    SEARCH_ONE,    /* the one that refers to another */
    SEARCH_KINDS
};
static const char *const search_names[] = {"search_ghosts", "search_loaded", "search_one"};

/* What the k-th search among n Tasks asks for, and how many it finds. */
static inline int
search_of(char *json, size_t size, int kind, int k, int64_t n)
{
    if (k < 0)
        k = SEARCHES;
    if (kind == SEARCH_ONE) {
        snprintf(json, size, "{\"parent\": {\"::=>\": %lld}}",
                 (long long)(FIRST_OID + (k + 1) * (int64_t)STEP % (n - 1)));
        return 1;
    }
    snprintf(json, size, "{\"tags\": [\"tag%03d\"]}", k % 200);
    return n / 200 < FOUND ? (int)(n / 200) : FOUND;
}

/* ---- clock and report ----------------------------------------------------------------- */

static inline double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void
report(const char *operation, double value, const char *unit)
{
    printf("%s\t%.9g\t%s\n", operation, value, unit);
    fflush(stdout);
}

static inline void *
allocate(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        give_up("allocation", "out of memory");
    return p;
}

/* ---- messages ------------------------------------------------------------------------- */

/*
 * libpq sends and receives through these two: here they also count. A flush is a send; a round
 * trip is a send that is followed by a receive.
 */
typedef struct wire {
    int64_t flushes, round_trips, sent;
    bool sending;
} wire;

static _Thread_local wire on_wire;

__attribute__((visibility("default"))) ssize_t
send(int fd, const void *data, size_t n, int flags)
{
    ssize_t sent = syscall(SYS_sendto, fd, data, n, flags, NULL, 0);
    if (sent > 0) {
        on_wire.flushes++;
        on_wire.sent += sent;
        on_wire.sending = true;
    }
    return sent;
}

__attribute__((visibility("default"))) ssize_t
recv(int fd, void *data, size_t n, int flags)
{
    ssize_t got = syscall(SYS_recvfrom, fd, data, n, flags, NULL, NULL);
    if (got > 0) {
        on_wire.round_trips += on_wire.sending;
        on_wire.sending = false;
    }
    return got;
}

static inline void
report_wire(const char *operation, const wire *before, int64_t transactions)
{
    char name[64];
    snprintf(name, sizeof name, "%s_round_trips", operation);
    report(name, (double)(on_wire.round_trips - before->round_trips) / (double)transactions,
           "per tx");
    snprintf(name, sizeof name, "%s_flushes", operation);
    report(name, (double)(on_wire.flushes - before->flushes) / (double)transactions, "per tx");
    snprintf(name, sizeof name, "%s_sent", operation);
    report(name, (double)(on_wire.sent - before->sent) / (double)transactions, "bytes per tx");
}

#endif
