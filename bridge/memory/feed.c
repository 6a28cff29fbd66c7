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

    if (!copy)
        return NULL;
    memcpy(copy, from, n);
    copy->user = copy->description = copy->extension = NULL;
    if (newt__copy_text(&copy->user, from->user) &&
        newt__copy_text(&copy->description, from->description) &&
        newt__copy_text(&copy->extension, from->extension))
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
        newt__fail(e, NEWT_EMISSING, 0, "transaction %lld is not in the store",
                   (long long)after.tid);
        newt__fail_detail(e, "A store in memory keeps only the most recent transactions.");
        status = NEWT_EMISSING;
    } else if (found && !(*out = copy_entry(found))) {
        status = newt__fail_memory(e);
    }
    pthread_mutex_unlock(&x->heap->lock);
    return status;
}

int
newt__memory_feed(newt__session *x, newt__position *after, int64_t objects,
                  newt__take_transaction *take, void *arg, newt_error *e)
{
    int64_t taken = 0;
    int status = NEWT_OK;

    while (status == NEWT_OK && (taken < objects || taken == 0)) {
        newt__logged *entry;
        newt__transaction t;

        status = next_entry(x, *after, &entry, e);
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
                                .n_removed = entry->n - entry->n_written};
        status = take(arg, &t);
        if (status == NEWT_OK)
            *after = t.at;
        taken += (int64_t)entry->n;
        newt__logged_free(entry);
    }
    return status;
}

int
newt__memory_wait_feed(newt__session *x, newt__position after, int at_most_ms, newt_error *e)
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
