/*
 * commit.c - the pipeline of a commit
 *
 * One flush, in the order of its segments:
 *
 *   - the read snapshot ends; BEGIN; objects that were changed or removed are compared and set on
 *     their serials, new ones inserted, the projection written. A wrong count raises in the
 *     server, so that nothing after it runs.
 *   - the commit lock, and a sync: should the rest not arrive, a time-out frees the lock
 *   - what was only read but must be current is compared; the transaction row with its tid;
 *     COMMIT, which does not wait for the disk
 *   - the barrier, whose commit does; and what others have committed meanwhile
 *
 * With newt_options.strict COMMIT itself waits for the disk, and there is no barrier.
 *
 * With the extension the lock and the row are part of the server's COMMIT (newt.at_commit()), which
 * also waits for the disk, when the lock is free again: one message, one sync, and nothing is
 * waited for under the lock. Comparing what must be current, newt_options.strict and a pooler need
 * it as above.
 *
 * All that takes time or bytes is done before the lock. The commit is done when the answers to
 * COMMIT and to the barrier have come. If a comparison fails, what others have changed may be
 * merged (conflict.c), and the commit is tried again.
 */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OIDS_IN_ROW = 1000,   /* more go to transaction_object, before the lock */
    OIDS_IN_CHUNK = 5000, /* there */
    SPARE_SERIALS = 16,   /* fewer left: the next block comes with the barrier */
    MOST_MERGES = 10      /* of one commit; also in newtdb.h */
};

typedef struct work {
    newt_conn *c;
    newt__batch batch;
    int64_t serial, nonce, tid;
    int64_t n_chunks; /* of transaction_object */
    int64_t oid_blocks, serial_blocks;
    int merges;         /* so many attempts have been merged with what others committed */
    bool again;         /* the last one has: the next is to follow */
    bool reopened;      /* the next begins with a new connection */
    bool large;         /* its oids are in transaction_object */
    bool barrier;       /* is sent, and makes blocks safe too */
    bool current;       /* objects that were only read are compared */
    bool within;        /* lock, row and barrier are part of COMMIT */
    bool row_sent;      /* with the object */
    int64_t ahead;      /* then: statements before COMMIT whose results have not been taken */
    bool commit_queued; /* libpq has been given COMMIT: it may have been sent */
} work;

/* ---- sending -------------------------------------------------------------------------- */

static void
send_chunks(work *w)
{
    newt__batch *b = &w->batch;

    for (size_t from = 0, to; from < b->n; from = to) {
        newt__params p = {0};

        to = b->n - from > OIDS_IN_CHUNK ? from + OIDS_IN_CHUNK : b->n;
        newt__param_int(&p, w->serial);
        newt__param_int(&p, w->n_chunks++);
        newt__batch_oids(b, from, to, &p);
        newt__send(w->c, NEWT__S_TRANSACTION_OBJECT, &p);
    }
}

/* The objects: nearly always one batch, which goes with the rest. Of more, each is answered before
 * the one after the next is made, and all are before the lock. */
static int
send_batches(work *w, int64_t *taken)
{
    newt_conn *c = w->c;
    newt__batch *b = &w->batch;
    bool only = b->last;
    int status, syncs = 0;

    w->large = !only || b->n > OIDS_IN_ROW;
    b->nonce = only && w->within && !c->description ? w->nonce : 0;
    w->row_sent = b->nonce != 0;
    for (;;) {
        status = newt__batch_send(b, w->serial);
        if (status == NEWT_OK && w->large)
            send_chunks(w);
        if (status != NEWT_OK || only) {
            w->row_sent &= b->nonce == 0;
            return status;
        }
        newt__sync(c);
        for (syncs++; syncs > (b->last ? 0 : 1); syncs--)
            if (!newt__take_sync(c))
                return c->talk->error.status;
        *taken = c->talk->asked;
        if (b->last)
            return NEWT_OK;
        status = newt__batch_next(b);
        if (status != NEWT_OK)
            return status;
    }
}

static void
send_transaction_row(work *w)
{
    newt__statement s = w->within           ? NEWT__S_AT_COMMIT
                        : w->c->description ? NEWT__S_TRANSACTION_DESCRIBED
                                            : NEWT__S_TRANSACTION;
    newt__params p = {0};

    newt__param_int(&p, w->serial);
    newt__param_int(&p, w->nonce);
    if (w->large) {
        newt__param_bytes(&p, NULL, 0);
        newt__param_bytes(&p, NULL, 0);
    } else {
        newt__batch_oids(&w->batch, 0, w->batch.n, &p);
    }
    if (!w->within)
        newt__param_text(&p, w->c->db->options.strict ? NULL : "off");
    if (w->c->description)
        newt__description_params(w->c, &p);
    for (int i = 0; w->within && !w->c->description && i < 3; i++)
        newt__param_text(&p, NULL);
    newt__send(w->c, s, &p);
}

/* Blocks that the next transactions will want come with the barrier, which makes them safe. */
static void
want_blocks(work *w)
{
    newt_conn *c = w->c;
    int64_t left = newt__blocks_left(&c->oids, c->db->oid_block);

    if (left < 2 * c->oids.used)
        w->oid_blocks = newt__blocks_for(2 * c->oids.used - left, c->db->oid_block);
    if (newt__blocks_left(&c->serials, c->db->serial_block) < SPARE_SERIALS)
        w->serial_blocks = 1;
}

/* Non-zero: the server is to roll back, before the lock: for its own error, which is the talk's, or
 * for one of this side. */
static int
send_all(work *w)
{
    newt_conn *c = w->c;
    int64_t taken = c->talk->asked;
    int status;

    if (c->in_transaction)
        newt__send(c, NEWT__S_COMMIT, NULL);
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    c->in_transaction = true;
    newt__turn_pass(c);
    w->within = c->at_commit && c->n_current == 0;
    status = send_batches(w, &taken);
    if (status != NEWT_OK)
        return status;
    if (!w->within) {
        newt__send(c, NEWT__S_LOCK, NULL);
        newt__sync(c);
        w->current = newt__current_send(c);
    }
    if (!w->row_sent)
        send_transaction_row(w);
    w->ahead = c->talk->asked - taken;
    w->commit_queued = !c->broken;
    newt__send(c, NEWT__S_COMMIT, NULL);
    if (!w->within)
        newt__sync(c);
    want_blocks(w);
    newt__blocks_send(c, w->oid_blocks, w->serial_blocks);
    w->barrier = (!w->within && !c->db->options.strict) || w->oid_blocks > 0 ||
                 w->serial_blocks > 0;
    if (w->barrier)
        newt__send(c, NEWT__S_BARRIER, NULL);
    newt__changes_send(c, w->serial, w->within);
    newt__sync(c);
    return NEWT_OK;
}

/* ---- taking --------------------------------------------------------------------------- */

/* What a failure so far means for a COMMIT after it. */
static newt__outcome
failed_before_commit(const work *w)
{
    const newt_error *e = &w->c->talk->error;

    return !w->commit_queued || e->sqlstate[0] != 0 || !w->c->broken ? NEWT__NOT_COMMITTED
                                                                     : NEWT__UNKNOWN;
}

/* All before COMMIT; the end of the old snapshot is in here too: it is as lost as the rest if it
 * fails. */
static bool
take_ahead(work *w)
{
    newt_conn *c = w->c;
    PGresult *r;

    if (w->within) {
        for (; w->ahead > 0; w->ahead--)
            if (!newt__take_done(c))
                return false;
        return true;
    }
    if (!newt__take_sync(c) || (w->current && !newt__take_done(c)))
        return false;
    r = newt__take(c);
    if (r)
        w->tid = newt__field_int(r, 0, 0);
    PQclear(r);
    return r != NULL;
}

static newt__outcome
take_commit(work *w)
{
    newt_conn *c = w->c;
    newt_error *e = &c->talk->error;
    PGresult *r;
    bool committed;

    if (!take_ahead(w))
        return failed_before_commit(w);
    newt__error_clear(&c->talk->warning); /* the next is of COMMIT */
    r = newt__take(c);
    if (!r) /* an error that ends the server process may come after the commit itself */
        return c->broken ? NEWT__UNKNOWN : NEWT__NOT_COMMITTED;
    committed = strcmp(PQcmdStatus(r), "COMMIT") == 0;
    PQclear(r);
    if (!w->within)
        newt__take_sync(c);
    if (!committed)
        newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
    return committed ? NEWT__COMMITTED : NEWT__NOT_COMMITTED;
}

/* The tid of what is committed, where its answer has failed. */
static void
ask_tid(work *w)
{
    newt_conn *c = w->c;
    newt__params p = {0};
    PGresult *r;

    newt__take_rest(c);
    newt__param_int(&p, w->serial);
    newt__send(c, NEWT__S_NONCE, &p);
    newt__sync(c);
    r = newt__take(c);
    if (r && PQntuples(r) == 1)
        w->tid = newt__field_int(r, 0, 1);
    PQclear(r);
    newt__take_rest(c);
}

/* Behind COMMIT: what must have worked for it to be durable. */
static PGresult *
take_barrier(work *w)
{
    newt_conn *c = w->c;
    newt_error *warning = &c->talk->warning;
    PGresult *changes;
    bool ok;

    if (newt__blocks_result(c, w->oid_blocks, w->serial_blocks) != NEWT_OK)
        newt__error_clear(&c->error); /* no memory: then there are none */
    if (w->barrier)
        newt__take_done(c);
    changes = newt__take(c);
    if (w->within && changes)
        w->tid = newt__changes_tid(changes, w->serial);
    ok = newt__take_sync(c) && warning->status == NEWT_OK && newt__changes_same_life(c, changes);
    if (w->tid == 0 && !c->broken)
        ask_tid(w);
    if (ok)
        return changes;
    newt__blocks_drop(&c->oids);
    newt__blocks_drop(&c->serials);
    PQclear(changes);
    return NULL;
}

/* ---- failures ------------------------------------------------------------------------- */

/* What others have changed is merged (then the commit is tried again), or becomes the error. */
static void
conflict(work *w)
{
    newt_conn *c = w->c;
    newt_error why = {0};

    newt__error_move(&why, &c->talk->error);
    if (newt__conflicts(c, w->merges < MOST_MERGES, &why) == NEWT_OK) {
        newt__error_clear(&why);
        w->merges++;
        w->again = true;
        return;
    }
    if (w->merges == MOST_MERGES)
        newt__fail_hint(&why, "It was merged %d times, and each time changed again.", MOST_MERGES);
    newt__error_move(&c->talk->error, &why);
}

/* The error that the connection is left with when nothing was committed; or w->again. */
static int
not_committed(work *w)
{
    newt_conn *c = w->c;
    newt_error *e = &c->talk->error;
    int status;

    newt__take_rest(c);
    c->checked_us = 0; /* the next begin asks the server what has happened */
    if (c->talk->outdated && !w->reopened) {
        newt__error_clear(e);
        c->in_transaction = false;
        c->reopen = w->again = w->reopened = true;
        return NEWT_OK;
    }
    c->talk->outdated = false; /* the error is what it says */
    if (e->status == NEWT_ECONFLICT) {
        if (!c->broken)
            conflict(w);
        if (w->again)
            return NEWT_OK;
        c->stats.conflicts += e->status == NEWT_ECONFLICT;
    } else if (newt__is_of_a_row(e)) {
        newt_error why = {0};

        newt__error_move(&why, e);
        newt__refused(&w->batch, w->serial, &why);
        newt__error_move(&c->talk->error, &why);
    } else if (strcmp(e->sqlstate, "23505") == 0) {
        /* numbers that somebody else has used cannot be right */
        newt__blocks_drop(&c->oids);
        newt__blocks_drop(&c->serials);
    }
    if (e->status == NEWT_ELOST || (c->broken && e->status == NEWT_OK)) {
        newt_error why = *e;

        *e = (newt_error){0};
        newt__fail(e, NEWT_ELOST, 0, "the server connection was lost; nothing was committed");
        memcpy(e->sqlstate, why.sqlstate, sizeof e->sqlstate);
        newt__fail_detail(e, "%s", newt_error_message(&why));
        newt__error_clear(&why);
    }
    status = newt__talk_end(c);
    newt_abort(c);
    return status;
}

/* ---- commit --------------------------------------------------------------------------- */

static void
commit_done(work *w, const PGresult *changes)
{
    newt_conn *c = w->c;

    c->in_transaction = false;
    if (c->queue.turn == NEWT__LAST_TURN)
        c->queue.turn = NEWT__NO_TURN;
    newt__objects_committed(c, w->serial);
    newt__transaction_over(c);
    c->stats.commits++;
    c->committed_tid = w->tid;
    pthread_mutex_lock(&c->db->mutex);
    if (w->tid > c->db->newest_tid)
        c->db->newest_tid = w->tid;
    pthread_mutex_unlock(&c->db->mutex);
    if (changes && newt__changes_apply(c, changes, w->serial) != NEWT_OK) {
        /* no memory to hear what others changed: start afresh */
        newt__cache_clear(c);
        c->tid = c->tid_serial = 0;
    }
}

static int
write_all(work *w)
{
    newt_conn *c = w->c;
    PGresult *changes = NULL;
    bool durable = false, answered = false;
    newt__outcome o;
    int status;

    newt__talk_begin(c);
    status = send_all(w);
    if (status != NEWT_OK && c->talk->error.status != NEWT_OK)
        return not_committed(w);
    if (status != NEWT_OK) {
        newt__sync(c);
        newt__take_rest(c);
        newt__error_clear(&c->talk->error);
        newt_abort(c);
        return status;
    }
    o = take_commit(w);
    if (o == NEWT__COMMITTED) {
        durable = (w->within || c->db->options.strict) && c->talk->warning.status == NEWT_OK;
        changes = take_barrier(w);
        durable |= changes != NULL;
        answered = true;
    }
    if (o == NEWT__UNKNOWN || (o == NEWT__COMMITTED && c->broken && (!durable || w->tid == 0))) {
        newt_error why = c->talk->error;
        newt__outcome found;

        c->talk->error = (newt_error){0};
        c->in_transaction = false;
        found = newt__resolve(c, w->serial, w->nonce, answered, &w->tid);
        if (!durable && found != NEWT__UNKNOWN) {
            durable = true;
            o = found;
        }
        newt__error_move(&c->talk->error, &why);
    }
    if (o == NEWT__NOT_COMMITTED)
        return not_committed(w);
    if (o == NEWT__UNKNOWN) {
        newt__error_clear(&c->error);
        newt__fail(&c->error, NEWT_EUNKNOWN, 0,
                   "the server connection was lost during COMMIT: it is not known whether the "
                   "transaction was committed");
        newt__fail_detail(&c->error, "Its serial is %lld.", (long long)w->serial);
        newt__error_clear(&c->talk->error);
        newt_abort(c);
        c->tid = c->tid_serial = 0; /* what is cached may be of before or of after it */
        return NEWT_EUNKNOWN;
    }
    commit_done(w, changes);
    PQclear(changes);
    newt__error_clear(&c->error);
    if (!durable) {
        const newt_error *why = c->talk->error.status ? &c->talk->error : &c->talk->warning;

        newt__fail(&c->error, NEWT_EUNKNOWN, 0,
                   "transaction %lld is committed, but it is not known to be durable",
                   (long long)w->tid);
        newt__fail_detail(&c->error, "%s", newt_error_message(why));
        newt__error_clear(&c->talk->error);
        return NEWT_EUNKNOWN;
    }
    newt__error_clear(&c->talk->error);
    return NEWT_OK;
}

static void
end_snapshot(newt_conn *c)
{
    if (!c->in_transaction)
        return;
    c->in_transaction = false;
    if (c->broken)
        return;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    newt__forget(c); /* nothing rests on the answer */
}

static void
end_reading(newt_conn *c)
{
    end_snapshot(c);
    newt__objects_committed(c, 0);
    newt__transaction_over(c);
    newt__error_clear(&c->error);
}

static int
try_commit(work *w)
{
    newt_conn *c = w->c;
    newt__batch *b = &w->batch;
    /* who projects is known when the connection is */
    int status = w->reopened ? newt__conn_server(c) : NEWT_OK;

    if (status == NEWT_OK)
        status = newt__batch_begin(b, c);
    if (status == NEWT_OK)
        status = newt__batch_next(b);
    if (status == NEWT_OK && b->n > 0) {
        w->nonce = (int64_t)c->nonce++;
        /* a block cannot be taken in the snapshot; and what was read in it was read, whatever has
         * become of the connection since */
        if (c->in_transaction && (newt__blocks_left(&c->serials, 1) == 0 || !newt__conn_alive(c)))
            end_snapshot(c);
        status = newt__conn_server(c);
        if (status == NEWT_OK)
            status = newt__next_serial(c, &w->serial);
    }
    if (status != NEWT_OK)
        newt_abort(c);
    else if (b->n > 0)
        status = write_all(w);
    else
        end_reading(c);
    return status;
}

int
newt_commit(newt_conn *c)
{
    work w = {.c = c};
    int status = newt__conn_enter(c);

    if (status == NEWT_EBUSY || status == NEWT_ETHREAD)
        return status;
    if (status == NEWT_OK)
        status = newt__marks_check(c);
    if (status == NEWT_OK)
        status = newt__unreachable_tell(c);
    if (status != NEWT_OK)
        newt_abort(c);
    else
        status = try_commit(&w);
    while (w.again) {
        w = (work){.c = c, .batch = w.batch, .merges = w.merges, .reopened = w.reopened};
        status = try_commit(&w);
    }
    newt__batch_free(&w.batch);
    return status;
}
