/*
 * sink_projection.c - the rows of the view newt
 *
 * A batch is written in parts, each in a transaction of its own: at the same time over several
 * connections, or one after the other where one would take long; and then the position is moved. A
 * part may be written again.
 */
#include "clock.h"
#include "sink.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_PARTS = 64,
    PART_LEAST = 100, /* events that are worth a thread, or a measurement */
    LOOK_S = 1,       /* between two looks for refused rows, while there are none */
    TRANSACTION_S = 1,
    MOST_ROUNDS = 1000
};

typedef struct part {
    pthread_t thread;
    newt_db *db;
    newt_feed *feed;
    newt_conn *c;
    int number, of;
    bool started;
    int status;
    newt_progress done;
} part;

typedef struct projection {
    sink base;
    bool wrote;      /* rows, since the position was committed last */
    bool settled;    /* nothing is left that another row was in the way of */
    bool refused;    /* the database may have refused rows */
    double looked;   /* when that was asked last */
    double object_s; /* that the rows of one object take, about */
} projection;

static sink *
projection_open(const settings *set, fault *f)
{
    projection *s = calloc(1, sizeof *s);
    (void)set;
    if (s)
        s->base = (sink){.type = &projection_sink, .fault = f};
    return s ? &s->base : NULL;
}

static sink_status
projection_begin(sink *base, bool anew, const char **token)
{
    projection *s = (projection *)base;
    (void)anew;
    s->wrote = s->settled = false;
    s->refused = true;
    *token = NULL;
    return SINK_OK;
}

static void *
work(void *arg)
{
    part *p = arg;
    p->done = (newt_progress){.size = sizeof p->done};
    if (!p->c)
        p->status = newt_connect(p->db, &p->c);
    if (p->status == NEWT_OK)
        p->status = newt_feed_project(p->feed, p->c, p->number, p->of, &p->done);
    return NULL;
}

/* Part 0 is written over the feed's connection, here. A thread that cannot be had is no loss. */
static sink_status
write_parts(projection *s, const sink_source *from, int first, int n, int of, newt_progress *done)
{
    part parts[MOST_PARTS];
    sink_status status = SINK_OK;
    for (int i = 0; i < n; i++) {
        parts[i] = (part){.db = from->db, .feed = from->feed, .number = first + i, .of = of};
        if (i == 0)
            parts[i].c = from->c;
        else
            parts[i].started = pthread_create(&parts[i].thread, NULL, work, &parts[i]) == 0;
    }
    for (int i = 0; i < n; i++)
        if (!parts[i].started)
            work(&parts[i]);
    for (int i = 0; i < n; i++) {
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
        sink_count(done, &parts[i].done);
        s->wrote |= parts[i].done.written + parts[i].done.removed > 0;
        s->refused |= parts[i].done.refused > 0;
        s->settled = false;
        if (parts[i].status != NEWT_OK && status == SINK_OK) {
            status = SINK_STORE;
            s->base.culprit = i ? parts[i].c : NULL;
        } else if (i > 0) {
            newt_close(parts[i].c);
        }
        if (first + i + 1 < of)
            fault_at(s->base.fault, FAULT_WRITE);
    }
    return status;
}

/* How many transactions a batch takes at each connection, so that none is much longer than a
 * second: objects may be large, and indexes slow. */
static int
rounds_of(const projection *s, int64_t objects)
{
    double seconds = s->object_s * (double)objects;
    int64_t n = seconds > TRANSACTION_S ? (int64_t)(seconds / TRANSACTION_S) + 1 : 1;
    n = n < objects ? n : objects;
    return (int)(n < 1 ? 1 : n < MOST_ROUNDS ? n : MOST_ROUNDS);
}

static sink_status
projection_apply(sink *base, const sink_source *from, const newt_batch *b, newt_progress *done)
{
    projection *s = (projection *)base;
    int64_t most = (int64_t)b->n_events / PART_LEAST;
    int n = (int)(most < 1 ? 1 : most < from->set->workers ? most : from->set->workers);
    int rounds = rounds_of(s, (int64_t)b->n_events);
    double begun = clock_now();
    sink_status status = SINK_OK;
    for (int i = 0; i < rounds && status == SINK_OK; i++)
        status = write_parts(s, from, i * n, n, rounds * n, done);
    if (b->n_events >= PART_LEAST) /* of fewer it is the batch that takes its time */
        s->object_s = (s->object_s + (clock_now() - begun) / (double)b->n_events) / 2;
    return status;
}

/* One notice a batch, in the transaction of the position: nobody waits for its lock but followers.
 * Nor does that wait for the disk: rows and position that a crash takes are written again. */
static int
notify(const sink_source *from, const newt_batch *b)
{
    int64_t tid = b->tid              ? b->tid
                  : b->n_transactions ? b->transactions[b->n_transactions - 1].tid
                                      : 0;
    char payload[300];
    const char *params[] = {payload};
    snprintf(payload, sizeof payload, "%.255s %" PRId64, from->set->schema, tid);
    return newt_feed_exec(from->feed,
                          "SELECT pg_catalog.pg_notify('newt', $1), "
                          "pg_catalog.set_config('synchronous_commit', 'off', true)",
                          1, params);
}

static sink_status
projection_commit(sink *base, const sink_source *from, const newt_batch *b)
{
    projection *s = (projection *)base;
    fault_at(base->fault, FAULT_SYNC);
    if (s->wrote && notify(from, b) != NEWT_OK)
        return SINK_STORE;
    fault_at(base->fault, FAULT_COMMIT);
    if (newt_feed_commit(from->feed) != NEWT_OK)
        return SINK_STORE;
    s->wrote = false;
    return SINK_OK;
}

/* Rows that other rows were in the way of. newt_project tries them where it has nothing else to do;
 * if it had, the feed is to begin after that. Where nothing was refused, somebody else may have
 * met something since: that is asked once a second. */
static sink_status
projection_idle(sink *base, const sink_source *from, newt_progress *done)
{
    projection *s = (projection *)base;
    newt_health h = {.size = sizeof h};
    newt_progress p = {.size = sizeof p};
    if (s->settled || (!s->refused && clock_now() < s->looked + LOOK_S))
        return SINK_OK;
    s->looked = clock_now();
    if (newt_store_health(from->c, from->set->name, &h) != NEWT_OK)
        return SINK_STORE;
    s->refused = h.rejects > 0;
    s->settled = !s->refused;
    if (s->settled)
        return SINK_OK;
    if (newt_project(from->c, from->set->name, from->set->batch, &p) != NEWT_OK)
        return SINK_STORE;
    sink_count(done, &p);
    return p.tid == h.position ? SINK_OK : SINK_BEGIN;
}

static void
projection_reopen(sink *base, const settings *set)
{
    (void)base;
    (void)set;
}

static void
projection_close(sink *base)
{
    free(base);
}

const sink_type projection_sink = {
    .name = "projection",
    /* rows are in the same database: what a crash of the server takes back, it takes from them, too
     */
    .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
    .open = projection_open,
    .begin = projection_begin,
    .apply = projection_apply,
    .commit = projection_commit,
    .idle = projection_idle,
    .reopen = projection_reopen,
    .close = projection_close,
};
