/*
 * queue.c - who waits for a turn at contended objects
 *
 * Of clients that have read the same object and change it, one commits, and the work of the others
 * is lost. So a transaction of newt_transact that met a conflict waits for its turn before it reads
 * again; the storage knows whose turn it is. What is committed never rests on turns: they only
 * save work.
 */
#include "transaction.h"

enum {
    PATIENCE_MS = 1000,     /* for each turn; also in newtdb.h and docs/transactions.md */
    AWAY_US = 10 * 1000000, /* for so long there is no queue, when that was not enough */
    RECENT_US =
        100 * 1000 /* if another client was in the way this recently, the next transaction queues */
};

static bool
has(const newt__queue *q, int64_t oid)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->oids[i] == oid)
            return true;
    return false;
}

void
newt__queue_conflict(newt_conn *c, newt_work *fn)
{
    newt__queue *q = &c->queue;
    int64_t now = newt__clock(), oid;

    if (q->fn != fn)
        q->n = 0;
    if (!(c->db->type->features(c->db->storage) & NEWT__HAS_TURNS) || now < q->away_until_us)
        return;
    for (size_t i = 0; i < c->jar.base.error.n_conflicts && q->n < NEWT__MOST_TURNS; i++)
        if (!has(q, oid = c->jar.base.error.conflicts[i].object.oid))
            q->oids[q->n++] = oid;
    q->fn = fn;
    q->busy_us = now;
}

bool
newt__queue_join(newt_conn *c, newt_work *fn, bool again, int64_t left_us)
{
    newt__queue *q = &c->queue;

    if (!again && newt__clock() - q->busy_us >= RECENT_US)
        q->n = 0;
    q->patience_ms = 0;
    if (q->n > 0 && q->fn == fn) {
        q->patience_ms = PATIENCE_MS * (int)q->n;
        if (left_us < q->patience_ms * INT64_C(1000))
            q->patience_ms = (int)(left_us / 1000);
    }
    return q->patience_ms > 0;
}

void
newt__queue_used(newt_conn *c)
{
    newt__queue *q = &c->queue;
    size_t n = 0;

    for (size_t i = 0; i < q->n; i++)
        if (newt__object_used(&c->jar, q->oids[i]))
            q->oids[n++] = q->oids[i];
    q->n = n;
}

void
newt__queue_came(newt__queue *q, const newt__changes *x)
{
    if (x->waited)
        q->busy_us = newt__clock();
    if (!x->in_vain)
        return;
    if (q->patience_ms == PATIENCE_MS * (int)q->n)
        q->away_until_us = newt__clock() + AWAY_US;
    q->n = 0;
}
