/*
 * transact.c - newt_transact: a function in a transaction, again after a conflict
 */
#include "transaction.h"

#include <string.h>
#include <time.h>

enum {
    ATTEMPTS = 10,
    MOST_CONTENDED = 100, /* objects that a new attempt begins with */
    LONGEST_PAUSE_MS = 100
};

static uint64_t
random_number(newt_conn *c)
{
    /* xorshift64*: only spreads the clients apart */
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return c->random * 2685821657736338717u;
}

/* Before the next attempt: anything up to a bound that doubles, so that clients in each other's way
 * spread out. */
static int64_t
pause_us(newt_conn *c, int attempt)
{
    int64_t most_us = LONGEST_PAUSE_MS * 1000;

    if (attempt < 8)
        most_us = (int64_t)1000 << attempt;
    if (most_us > LONGEST_PAUSE_MS * 1000)
        most_us = LONGEST_PAUSE_MS * 1000;
    return (int64_t)(random_number(c) % (uint64_t)most_us);
}

static void
pause_for(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* What the last attempt has failed at, and the next will surely want. */
typedef struct contended {
    int64_t oids[MOST_CONTENDED];
    size_t n;
} contended;

static void
contend(const newt_conn *c, contended *x)
{
    const newt_error *e = &c->jar.base.error;

    x->n = 0;
    for (size_t i = 0; i < e->n_conflicts && i < MOST_CONTENDED; i++)
        x->oids[x->n++] = e->conflicts[i].object.oid;
    if (e->n_conflicts == 0 && e->oid > 0)
        x->oids[x->n++] = e->oid;
}

int
newt_transact(newt_conn *c, newt_work *fn, void *arg, const newt_transact_options *opt)
{
    newt_transact_options o = {.size = sizeof o};
    int64_t deadline, us;
    contended wanted;
    bool queued;
    int rc;

    if (opt) {
        newt_error e = {0};

        if (newt__options_take(&o, sizeof o, opt, "newt_transact_options", &e) != NEWT_OK)
            return newt__base_fail_with(&c->jar.base, &e);
    }
    if (o.attempts <= 0)
        o.attempts = ATTEMPTS;
    wanted.n = 0;
    deadline = newt__clock() + (int64_t)o.deadline_ms * 1000;
    for (int attempt = 1;; attempt++) {
        queued = newt__queue_join(c, fn, attempt > 1,
                                  o.deadline_ms > 0 ? deadline - newt__clock() : INT64_MAX);
        for (size_t i = 0; attempt == 1 && queued && i < c->queue.n; i++)
            wanted.oids[wanted.n++] = c->queue.oids[i];
        rc = newt__begin(c, attempt == 1 && !queued, wanted.oids, wanted.n);
        c->queue.patience_ms = 0;
        if (rc == NEWT_OK) {
            rc = fn(c, arg);
            if (queued)
                newt__queue_used(c);
            if (rc > 0) {
                newt_abort(c);
                break;
            }
            if (rc == NEWT_OK && c->jar.base.phase == NEWT__IDLE) {
                rc = newt__base_fail(&c->jar.base, NEWT_EBUSY, 0,
                                     "the function has ended the transaction itself");
                newt__fail_hint(&c->jar.base.error,
                                "newt_transact begins, commits and aborts; the function must not.");
            } else if (rc == NEWT_OK) {
                rc = newt_commit(c);
            } else {
                /* a function may hand back a status of its own for an object that could not be
                 * read because the transaction was lost already */
                if (newt__base_is_over(&c->jar.base))
                    rc = c->jar.base.error.status;
                newt_abort(c);
            }
        }
        if (rc == NEWT_ECONFLICT)
            newt__queue_conflict(c, fn);
        if (!newt__status_is_retryable(rc) || attempt >= o.attempts)
            break;
        /* a queue spreads the clients as well */
        us = rc == NEWT_ECONFLICT && c->queue.n > 0 && !queued ? 0 : pause_us(c, attempt);
        if (o.deadline_ms > 0 && newt__clock() + us >= deadline)
            break;
        c->jar.stats.retries++;
        contend(c, &wanted);
        pause_for(us);
    }
    return rc;
}
