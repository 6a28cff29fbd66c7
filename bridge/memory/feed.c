/*
 * feed.c - the transactions of a store in memory, in their order
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A copy, which can be handed over without the lock; NULL: no memory. */
static newt__logged *
copy_entry(const newt__logged *from)
{
    size_t n = sizeof *from + from->n * sizeof *from->oids;
    newt__logged *copy = malloc(n);
    bool fine;

    if (!copy)
        return NULL;
    memcpy(copy, from, n);
    copy->classes = from->classes ? malloc(from->classes_n) : NULL;
    if (copy->classes)
        memcpy(copy->classes, from->classes, from->classes_n);
    fine = copy->classes || !from->classes;
    copy->user = newt__text_copy(from->user, &fine);
    copy->description = newt__text_copy(from->description, &fine);
    copy->extension = newt__text_copy(from->extension, &fine);
    if (fine)
        return copy;
    newt__logged_free(copy);
    return NULL;
}

/* The next transaction after the position, or NULL with NEWT_OK: there is none. */
static int
next_entry(newt__session *x, newt__position after, newt__logged **out, newt_error *e)
{
    const newt__logged *found;
    int status = NEWT_OK;
    bool known;

    *out = NULL;
    pthread_mutex_lock(&x->heap->lock);
    found = newt__heap_next(x->heap, after, &known);
    if (!known) {
        status = newt__fail_missing(e, after.tid);
        newt__fail_detail(e,
                          "A store in memory keeps only the most recent transactions, and is gone "
                          "with its process.");
    } else if (found && !(*out = copy_entry(found))) {
        status = newt__fail_memory(e);
    }
    pthread_mutex_unlock(&x->heap->lock);
    return status;
}

static int
next(newt__session *x, newt__cursor *c, int64_t objects, newt__take_transaction *take, void *arg,
     newt_error *e)
{
    int64_t taken = 0;
    int status = NEWT_OK;

    while (status == NEWT_OK && (taken < objects || taken == 0)) {
        newt__logged *entry;
        newt__transaction t;

        status = next_entry(x, c->after, &entry, e);
        if (!entry)
            break;
        t = (newt__transaction){.at = {entry->tid, entry->serial},
                                .committed_us = entry->tid,
                                .user = entry->user,
                                .description = entry->description,
                                .extension = entry->extension,
                                .written = entry->oids,
                                .n_written = entry->n_written,
                                .removed = entry->oids + entry->n_written,
                                .n_removed = entry->n - entry->n_written,
                                .removed_classes = entry->classes};
        status = take(arg, &t);
        if (status == NEWT_OK)
            c->after = t.at;
        taken += (int64_t)entry->n;
        newt__logged_free(entry);
    }
    return status;
}

static int
origin(newt__session *x, int64_t serial, newt__take_transaction *take, void *arg, newt_error *e)
{
    newt__logged *entry = NULL;
    newt__transaction t;
    int status = NEWT_OK;

    pthread_mutex_lock(&x->heap->lock);
    for (size_t i = 0; i < x->heap->n_log && !entry && status == NEWT_OK; i++) {
        const newt__logged *l = x->heap->log[(x->heap->log_at + i) & (x->heap->cap_log - 1)];

        if (l->serial == serial && !(entry = copy_entry(l)))
            status = newt__fail_memory(e);
    }
    pthread_mutex_unlock(&x->heap->lock);
    if (!entry)
        return status;
    t = (newt__transaction){.at = {entry->tid, entry->serial},
                            .committed_us = entry->tid,
                            .user = entry->user,
                            .description = entry->description,
                            .extension = entry->extension};
    status = take(arg, &t);
    newt__logged_free(entry);
    return status;
}

static int
wait_for_next(newt__session *x, newt__position after, int at_most_ms, newt_error *e)
{
    struct timespec until = newt__after_ms(at_most_ms);
    int found, over = 0;

    (void)e;
    pthread_mutex_lock(&x->heap->lock);
    while (!(found = x->heap->tid > after.tid) && over != ETIMEDOUT)
        over = pthread_cond_timedwait(&x->heap->committed, &x->heap->lock, &until);
    pthread_mutex_unlock(&x->heap->lock);
    return found;
}

static int
newest(newt__session *x, newt__position *out, newt_error *e)
{
    (void)e;
    pthread_mutex_lock(&x->heap->lock);
    *out = (newt__position){x->heap->tid, x->heap->serial};
    pthread_mutex_unlock(&x->heap->lock);
    return NEWT_OK;
}

/* Nothing here is more durable than it is visible. */
static int
barrier(newt__session *x, newt_error *e)
{
    (void)x;
    (void)e;
    return NEWT_OK;
}

/* A commit holds the lock for no longer than it takes to put its versions. */
static int
holder(newt__session *x, int *pid, int64_t *us, newt_error *e)
{
    (void)x;
    (void)e;
    *pid = 0;
    *us = 0;
    return NEWT_OK;
}

/* The heap forgets what it has no room for. */
static int
prune(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e)
{
    (void)x;
    (void)at_most;
    (void)e;
    *pruned = 0;
    return NEWT_OK;
}

static int
health(newt__session *x, const char *follower, newt_health *out, newt_error *e)
{
    newt__heap *h = x->heap;
    newt__standing place;
    bool found = false, known;
    int status = follower ? newt__memory_follower(x, follower, NULL, &place, &found, e) : NEWT_OK;

    if (status != NEWT_OK)
        return status;
    pthread_mutex_lock(&h->lock);
    out->newest_tid = h->tid;
    out->transactions = (int64_t)h->n_log;
    out->oldest_tid = h->tid;
    if (h->n_log > 0)
        out->oldest_tid = h->log[h->log_at]->tid;
    if (found) {
        const newt__logged *first = newt__heap_next(h, place.at, &known);

        out->position = place.at.tid;
        out->copying = place.copied >= 0;
        out->copied = out->copying ? place.copied : 0;
        for (size_t i = 0; i < h->n_log; i++)
            out->waiting += h->log[(h->log_at + i) & (h->cap_log - 1)]->tid > place.at.tid;
        if (first)
            out->behind_us = newt__age(first->tid);
    }
    pthread_mutex_unlock(&h->lock);
    return NEWT_OK;
}

const newt__feed_type newt__memory_feed_type = {
    .next = next,
    .origin = origin,
    .wait = wait_for_next,
    .newest = newest,
    .scan = newt__memory_scan,
    .look = newt__memory_look,
    .barrier = barrier,
    .holder = holder,
    .follower = newt__memory_follower,
    .claim = newt__memory_claim,
    .release = newt__memory_release,
    .move = newt__memory_move,
    .forget = newt__memory_forget,
    .prune = prune,
    .registered = newt__memory_registered,
    .health = health,
};
