/*
 * session.c - sessions with a store in memory: snapshots, turns, loads
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    OIDS = 64,     /* that a session takes at once */
    LOOKED_UP = 64 /* objects, under one lock */
};

/* ---- sessions --------------------------------------------------------------------------- */

newt__session *
newt__memory_connect(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *x = calloc(1, sizeof *x);

    (void)stats; /* nobody is asked */
    if (!x)
        return NULL;
    x->storage = s;
    x->heap = s->heap;
    x->opened = opened;
    x->opened_arg = arg;
    return x;
}

void
newt__memory_end(newt__session *x)
{
    x->wanted = false;
    x->patience_ms = 0;
    if ((x->view.tid == 0 && !x->has_turns) || !newt__process_is(x->storage->process))
        return;
    pthread_mutex_lock(&x->heap->lock);
    newt__heap_close(x->heap, &x->view);
    newt__heap_end_turns(x->heap, x);
    pthread_mutex_unlock(&x->heap->lock);
    x->has_turns = false;
}

void
newt__memory_disconnect(newt__session *x)
{
    newt__memory_end(x);
    newt__memory_unclaim(x);
    free(x->scan);
    free(x->oids);
    free(x);
}

void
newt__memory_tell(newt__session *x, newt__opened *opened, void *arg)
{
    x->opened = opened;
    x->opened_arg = arg;
}

int
newt__memory_ready(newt__session *x, int64_t idle_us, newt_error *e)
{
    (void)x;
    (void)idle_us;
    (void)e;
    return NEWT_OK;
}

/* Nobody has committed since: it costs nothing to know. */
bool
newt__memory_alive(const newt__session *x)
{
    bool same;

    pthread_mutex_lock(&x->heap->lock);
    same = x->told == x->heap->tid;
    pthread_mutex_unlock(&x->heap->lock);
    return same;
}

void
newt__memory_abandon(newt__session *x)
{
    (void)x; /* there is nobody to talk to */
}

/* ---- snapshots -------------------------------------------------------------------------- */

void
newt__memory_begin(newt__session *x, newt__position position)
{
    x->position = position;
    x->wanted = true;
}

void
newt__memory_ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms)
{
    x->n_turns = n > NEWT__MOST_TURNS ? NEWT__MOST_TURNS : n;
    memcpy(x->turns, oids, x->n_turns * sizeof *oids);
    x->patience_ms = at_most_ms;
}

struct timespec
newt__after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* In the order of the oids, so that sessions wait for each other in one direction. The lock is
 * held, but for the wait. */
static void
take_turns(newt__session *x, newt__changes *changes)
{
    int each = x->n_turns ? x->patience_ms / (int)x->n_turns : 0;
    bool memory = true;

    qsort(x->turns, x->n_turns, sizeof *x->turns, newt__by_oid);
    x->has_turns = true;
    for (size_t i = 0; i < x->n_turns && !changes->in_vain; i++) {
        struct timespec until = newt__after_ms(each);

        while (!newt__heap_take_turn(x->heap, x->turns[i], x, &memory) && !changes->in_vain) {
            changes->waited |= memory;
            changes->in_vain = !memory ||
                               pthread_cond_timedwait(&x->heap->turn_over, &x->heap->lock,
                                                      &until) == ETIMEDOUT;
        }
    }
    if (changes->in_vain)
        newt__heap_end_turns(x->heap, x);
    x->patience_ms = 0;
}

int
newt__list_changes(newt__session *x, newt__changes *out, newt_error *e)
{
    bool memory;

    out->to = (newt__position){x->heap->tid, x->heap->serial};
    out->all = x->position.tid == 0 ||
               !newt__heap_changes(x->heap, x->position.tid, NEWT__MOST_CHANGES, &x->oids, &out->n,
                                   &memory);
    if (x->position.tid != 0 && !memory)
        return newt__fail_memory(e);
    out->oids = x->oids;
    x->told = out->to.tid;
    return NEWT_OK;
}

static int
open_snapshot(newt__session *x, newt_error *e)
{
    newt__changes changes = {0};
    int status;

    if (!x->wanted && x->view.tid != 0)
        return NEWT_OK;
    pthread_mutex_lock(&x->heap->lock);
    if (!x->wanted) { /* between a clash and the end */
        newt__heap_open(x->heap, &x->view);
        pthread_mutex_unlock(&x->heap->lock);
        return NEWT_OK;
    }
    if (x->patience_ms > 0)
        take_turns(x, &changes);
    status = newt__list_changes(x, &changes, e);
    if (status == NEWT_OK)
        newt__heap_open(x->heap, &x->view);
    pthread_mutex_unlock(&x->heap->lock);
    if (status != NEWT_OK)
        return status;
    x->wanted = false;
    return x->opened(x->opened_arg, &changes);
}

int
newt__memory_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take,
                  void *arg, newt_error *e)
{
    const newt__version *found[LOOKED_UP];
    int status = open_snapshot(x, e);

    for (size_t at = 0; status == NEWT_OK && at < n;) {
        size_t m = 0;

        pthread_mutex_lock(&x->heap->lock);
        for (; m < LOOKED_UP && at + m < n; m++)
            found[m] = newt__heap_at(x->heap, oids[at + m], x->view.tid);
        pthread_mutex_unlock(&x->heap->lock);
        at += m;
        for (size_t i = 0; i < m && status == NEWT_OK; i++) {
            const newt__version *v = found[i];

            if (v)
                status = take(arg, &(newt__found){v->oid, v->serial, v->record, v->n});
        }
    }
    return status;
}

int
newt__memory_walk(newt__session *x, const int64_t *roots, size_t n,
                  const newt_walk_options *options, newt__take_record *take, void *arg,
                  newt_error *e)
{
    (void)x, (void)roots, (void)n, (void)options, (void)take, (void)arg, (void)e;
    return 1; /* level by level is as good */
}

int
newt__memory_next_oid(newt__session *x, int64_t *oid, newt_error *e)
{
    (void)e;
    if (x->next_oid == x->end_oid) {
        pthread_mutex_lock(&x->heap->lock);
        x->next_oid = x->heap->next_oid;
        x->end_oid = x->heap->next_oid += OIDS;
        pthread_mutex_unlock(&x->heap->lock);
    }
    *oid = x->next_oid++;
    return NEWT_OK;
}
