/*
 * queue.c - turns at contended objects
 *
 * Of clients that have read the same object and change it, one commits, and the others have worked
 * in vain. So a transaction of newt_transact that met a conflict waits for its turn before it reads
 * again. A turn is an advisory lock of the session for each of the objects. It is taken before the
 * snapshot, which then sees what the client before has committed; and it is handed to the
 * transaction that writes, so that the server's COMMIT ends it, as it does the locks of the rows,
 * and not the wait for the disk. Any other end of the transaction ends it too.
 *
 * A session waits for a turn only while it has nothing that others wait for: no row, no commit
 * lock, no turn but those of this very wait, which come in one order. The wait has a bound, behind
 * which the transaction goes on without a turn; so it does after any other failure of the wait.
 * What is committed never rests on turns: they only save work.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    PATIENCE_MS = 1000,     /* for a turn; also in newtdb.h and docs/transactions.md */
    AWAY_US = 10 * 1000000, /* for so long there is no queue, when that was not enough */
    RECENT_US = 100 * 1000  /* was another client in the way: then the next transaction queues */
};

/* ---- who queues ----------------------------------------------------------------------- */

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
    if (c->db->options.transaction_pooling || c->standby || now < q->away_until_us)
        return;
    for (size_t i = 0; i < c->error.n_conflicts && q->n < NEWT__MOST_QUEUES; i++)
        if (!has(q, oid = c->error.conflicts[i].object.oid))
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
    if (q->n > 0 && q->fn == fn)
        q->patience_ms = left_us < PATIENCE_MS * 1000 ? (int)(left_us / 1000) : PATIENCE_MS;
    return q->patience_ms > 0;
}

void
newt__queue_used(newt_conn *c)
{
    newt__queue *q = &c->queue;
    size_t n = 0;

    for (size_t i = 0; i < q->n; i++)
        if (newt__object_used(c, q->oids[i]))
            q->oids[n++] = q->oids[i];
    q->n = n;
}

/* ---- waiting, and the end ------------------------------------------------------------- */

static int
by_key(const void *pa, const void *pb)
{
    int32_t a = *(const int32_t *)pa, b = *(const int32_t *)pb;

    return (a > b) - (a < b);
}

/* The second keys of the locks, in their order; the first is the store's. Objects may share one. */
static void
list_keys(newt__queue *q)
{
    int32_t keys[NEWT__MOST_QUEUES];

    for (size_t i = 0; i < q->n; i++)
        keys[i] = (int32_t)(uint32_t)((uint64_t)q->oids[i] ^ (uint64_t)q->oids[i] >> 32);
    qsort(keys, q->n, sizeof *keys, by_key);
    q->n_keys = 0;
    for (size_t i = 0; i < q->n; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            q->keys[q->n_keys++] = keys[i];
}

/* False: no memory; then it goes on without. */
static bool
send_keys(newt_conn *c, newt__statement s, const char *patience)
{
    newt__array a = {.buf.env = &c->env};
    newt__params p = {0};

    newt__array_begin(&a, NEWT__OID_INT4);
    for (size_t i = 0; i < c->queue.n_keys; i++)
        newt__array_int4(&a, c->queue.keys[i]);
    newt__param_array(&p, &a);
    if (patience)
        newt__param_text(&p, patience);
    if (!p.failed)
        newt__send(c, s, &p);
    newt__buffer_free(&a.buf);
    return !p.failed;
}

void
newt__queue_send(newt_conn *c)
{
    newt__queue *q = &c->queue;
    char patience[16];

    if (q->patience_ms == 0)
        return;
    list_keys(q);
    snprintf(patience, sizeof patience, "%d", q->patience_ms);
    q->asked = send_keys(c, NEWT__S_QUEUE, patience);
    if (!q->asked)
        return;
    newt__sync(c);
    q->turn = NEWT__TURN;
}

void
newt__queue_take(newt_conn *c)
{
    newt__queue *q = &c->queue;
    PGresult *r;

    if (!q->asked)
        return;
    q->asked = false;
    r = newt__take(c);
    for (int i = 0; r && i < PQntuples(r); i++)
        if (newt__field_bool(r, i, 0))
            q->busy_us = newt__clock();
    newt__take_sync(c);
    if (!r && !c->broken) {
        /* it may have some of the turns; they are over at the end of the transaction */
        newt__error_clear(&c->talk->error);
        q->n = q->n_keys = 0;
        if (q->patience_ms == PATIENCE_MS)
            q->away_until_us = newt__clock() + AWAY_US;
    }
    PQclear(r);
}

void
newt__turn_pass(newt_conn *c)
{
    newt__queue *q = &c->queue;

    if (q->turn == NEWT__TURN && q->n_keys > 0 && send_keys(c, NEWT__S_LAST_TURN, NULL))
        q->turn = NEWT__LAST_TURN;
}

void
newt__turn_over(newt_conn *c)
{
    if (c->queue.turn == NEWT__NO_TURN)
        return;
    c->queue.turn = NEWT__NO_TURN;
    newt__send(c, NEWT__S_TURN_OVER, NULL);
    newt__sync(c);
    newt__forget(c);
    if (c->broken) /* given up by this side: nobody is to wait until it is replaced */
        shutdown(PQsocket(c->pg), SHUT_RDWR);
}
