/*
 * turns.c - turns at contended objects
 *
 * A turn is an advisory lock of the session for each of the objects. It is taken before the
 * snapshot, which then sees what the client before has committed; and it is handed to the
 * transaction that writes, so that the server's COMMIT ends it, as it does the locks of the rows,
 * and not the wait for the disk. Any other end of the transaction ends it too.
 *
 * A session waits for a turn only while it has nothing that others wait for: no row, no commit
 * lock, no turn but those of this very wait, which come in one order. The wait has a bound, after
 * which the transaction goes on without a turn; so it does after any other failure of the wait.
 * What is committed never rests on turns: they only save work. Who queues, and when, is decided in
 * transaction/queue.c.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static int
by_key(const void *pa, const void *pb)
{
    int32_t a = *(const int32_t *)pa, b = *(const int32_t *)pb;

    return (a > b) - (a < b);
}

/* The second keys of the locks, in their order; the first is the store's. Objects may share one. */
void
newt__turns_ask(newt__session *c, const int64_t *oids, size_t n, int at_most_ms)
{
    newt__turns *q = &c->turns;
    int32_t keys[NEWT__MOST_TURNS];

    if (c->storage->options->transaction_pooling || c->standby)
        return;
    n = n > NEWT__MOST_TURNS ? NEWT__MOST_TURNS : n;
    for (size_t i = 0; i < n; i++)
        keys[i] = (int32_t)(uint32_t)((uint64_t)oids[i] ^ (uint64_t)oids[i] >> 32);
    qsort(keys, n, sizeof *keys, by_key);
    q->n_keys = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            q->keys[q->n_keys++] = keys[i];
    q->patience_ms = at_most_ms;
}

/* False: no memory; then it goes on without. */
static bool
send_keys(newt__session *c, newt__statement s, const char *patience)
{
    newt__array a = {.buf.env = &newt__malloc_env};
    newt__params p = {0};

    newt__array_begin(&a, NEWT__OID_INT4);
    for (size_t i = 0; i < c->turns.n_keys; i++)
        newt__array_int4(&a, c->turns.keys[i]);
    newt__param_array(&p, &a);
    if (patience)
        newt__param_text(&p, patience);
    if (!p.failed)
        newt__send(c, s, &p);
    newt__buffer_free(&a.buf);
    return !p.failed;
}

void
newt__turns_send(newt__session *c)
{
    newt__turns *q = &c->turns;
    char patience[16];
    int each;

    if (q->patience_ms == 0 || q->n_keys == 0)
        return;
    /* lock_timeout is for each of them; 0 would be none */
    each = q->patience_ms / (int)q->n_keys;
    snprintf(patience, sizeof patience, "%d", each > 0 ? each : 1);
    q->asked = send_keys(c, NEWT__S_QUEUE, patience);
    if (!q->asked)
        return;
    newt__sync(c);
    q->turn = NEWT__TURN;
}

void
newt__turns_take(newt__session *c)
{
    newt__turns *q = &c->turns;
    PGresult *r;

    if (!q->asked)
        return;
    q->asked = false;
    q->patience_ms = 0;
    r = newt__take(c);
    for (int i = 0; r && i < PQntuples(r); i++)
        if (newt__field_bool(r, i, 0))
            q->waited = true;
    newt__take_sync(c);
    if (!r && !c->broken) {
        /* it may have some of the turns; they are over at the end of the transaction */
        newt__error_clear(&c->talk->error);
        q->n_keys = 0;
        q->in_vain = true;
    }
    PQclear(r);
}

void
newt__turn_pass(newt__session *c)
{
    newt__turns *q = &c->turns;

    if (q->turn == NEWT__TURN && q->n_keys > 0 && send_keys(c, NEWT__S_LAST_TURN, NULL))
        q->turn = NEWT__LAST_TURN;
}

void
newt__turn_over(newt__session *c)
{
    if (c->turns.turn == NEWT__NO_TURN)
        return;
    c->turns.turn = NEWT__NO_TURN;
    newt__send(c, NEWT__S_TURN_OVER, NULL);
    newt__sync(c);
    newt__forget(c);
    if (c->broken) /* given up by this side: nobody is to wait until it is replaced */
        shutdown(PQsocket(c->pg), SHUT_RDWR);
}
