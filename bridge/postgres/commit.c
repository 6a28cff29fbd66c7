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
 * waited for under the lock. Where one statement can write all, it is a transaction of its own
 * (newt.commit()), which the server commits before it says that the statement is done: no BEGIN, no
 * COMMIT, and it answers what others have committed. Comparing what must be current,
 * newt_options.strict and a pooler need it as above.
 *
 * A transaction that is prepared goes that long way, with PREPARE TRANSACTION in the place of
 * COMMIT, which waits for the disk: lock and row are the prepared transaction's (prepare.c).
 *
 * All that takes time or bytes is done before the lock. The commit is done when the answers to
 * COMMIT and to the barrier have come. If a comparison fails, clash.c finds out where.
 */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE_SERIALS = 16 /* fewer left: the next block comes with the barrier */
};

typedef struct work {
    newt__session *c;
    const newt__writes *writes;
    const char *name; /* it is prepared under this; or NULL */
    newt__batch batch;
    int64_t serial, nonce, tid;
    int64_t n_chunks; /* of transaction_object */
    int64_t oid_blocks, serial_blocks;
    bool again;         /* the last attempt has found the server changed: the next is to follow */
    bool reopened;      /* it begins with a new connection */
    bool large;         /* its oids are in transaction_object */
    bool barrier;       /* is sent, and makes blocks safe too */
    bool current;       /* objects that were only read are compared */
    bool within;        /* lock, row and barrier are part of COMMIT */
    bool alone;         /* ... and that is part of the one statement ... */
    bool answers;       /* ... which tells what others have committed before it */
    bool described;     /* the transaction is, by newt_describe */
    bool row_sent;      /* with the objects */
    int64_t ahead;      /* then: statements before COMMIT whose results have not been taken */
    PGresult *answer;   /* of the one statement: what others have changed */
    bool commit_queued; /* libpq has been given COMMIT: it may have been sent */
} work;

/* ---- sending -------------------------------------------------------------------------- */

static void
send_chunks(work *w)
{
    newt__batch *b = &w->batch;

    for (size_t from = 0, to; from < b->n; from = to) {
        newt__params p = {0};

        to = b->n - from > NEWT__OIDS_IN_PART ? from + NEWT__OIDS_IN_PART : b->n;
        newt__param_int(&p, w->serial);
        newt__param_int(&p, w->n_chunks++);
        newt__batch_oids(b, from, to, &p);
        newt__batch_removed_classes(b, from, to, &p);
        newt__send(w->c, NEWT__S_TRANSACTION_OBJECT, &p);
    }
}

/* The objects: nearly always one batch, which goes with the rest. Of more, each is answered before
 * the one after the next is made, and all are before the lock. */
static int
send_batches(work *w, int64_t *taken)
{
    newt__session *c = w->c;
    newt__batch *b = &w->batch;
    bool only = b->last;
    int status, syncs = 0;

    w->large = !only || b->n > NEWT__OIDS_IN_ROW;
    b->nonce = only && w->within && !w->described && !w->large ? w->nonce : 0;
    b->alone = w->alone;
    b->answers = w->answers;
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

/* Under the lock: compares the serials of what must be current. False: there is nothing to compare,
 * and no statement was queued. */
static bool
send_current(work *w)
{
    newt__array oids = {.buf.env = &newt__malloc_env}, serials = {.buf.env = &newt__malloc_env};
    newt__params p = {0};
    int64_t oid, serial;
    bool any;

    if (w->writes->n_current == 0)
        return false;
    newt__array_begin(&oids, NEWT__OID_INT8);
    newt__array_begin(&serials, NEWT__OID_INT8);
    for (size_t i = 0; i < w->writes->n_current; i++) {
        if (w->writes->current(w->writes->arg, i, &oid, &serial)) {
            newt__array_int(&oids, oid);
            newt__array_int(&serials, serial);
        }
    }
    any = oids.n > 0 || oids.failed;
    if (any) {
        newt__param_array(&p, &oids);
        newt__param_array(&p, &serials);
        newt__param_int(&p, oids.n);
        newt__send(w->c, NEWT__S_CURRENT, &p);
    }
    newt__buffer_free(&oids.buf);
    newt__buffer_free(&serials.buf);
    return any;
}

static void
send_transaction_row(work *w)
{
    newt__statement s = w->within      ? NEWT__S_AT_COMMIT
                        : w->described ? NEWT__S_TRANSACTION_DESCRIBED
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
        newt__param_text(&p, w->c->storage->options->strict || w->name ? NULL : "off");
    if (w->described || w->within) {
        newt__param_text(&p, w->writes->user);
        newt__param_text(&p, w->writes->description);
        newt__param_text(&p, w->writes->extension);
    }
    if (w->large)
        newt__param_bytes(&p, NULL, 0);
    else
        newt__batch_removed_classes(&w->batch, 0, w->batch.n, &p);
    newt__send(w->c, s, &p);
}

/* Blocks that the next transactions will want come with the barrier, which makes them safe. */
static void
want_blocks(work *w)
{
    newt__session *c = w->c;
    int64_t left = newt__blocks_left(&c->oids, c->storage->oid_block);

    if (left < 2 * c->oids.used)
        w->oid_blocks = newt__blocks_for(2 * c->oids.used - left, c->storage->oid_block);
    if (newt__blocks_left(&c->serials, c->storage->serial_block) < SPARE_SERIALS)
        w->serial_blocks = 1;
}

/* Non-zero: the server is to roll back, before the lock: for its own error, which is the talk's, or
 * for one of this side. */
static int
send_all(work *w)
{
    newt__session *c = w->c;
    int64_t taken = c->talk->asked, queued;
    int status;

    if (c->in_transaction)
        newt__send(c, NEWT__S_COMMIT, NULL);
    w->within = c->at_commit && w->writes->n_current == 0 && !w->name;
    w->alone = w->within && !w->described && c->turns.turn == NEWT__NO_TURN &&
               !c->storage->options->transaction_pooling && w->batch.n <= NEWT__OIDS_IN_ROW &&
               newt__batch_is_one_statement(&w->batch);
    /* Where others are busy, more is committed while this waits for the disk. To hear of that, too,
     * takes another statement, and saves the next transaction a round trip. */
    w->answers = w->alone && c->others.n == 0;
    if (w->alone) {
        c->in_transaction = false;
        w->ahead = c->talk->asked - taken;
    } else {
        newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
        c->in_transaction = true;
        if (w->name) /* which cannot keep a turn */
            newt__turn_over(c);
        else
            newt__turn_pass(c);
    }
    queued = c->talk->asked;
    status = send_batches(w, &taken);
    if (status != NEWT_OK)
        return status;
    if (w->alone) /* for lack of memory it may not have been */
        w->commit_queued = c->talk->asked > queued;
    if (!w->within) {
        newt__send(c, NEWT__S_LOCK, NULL);
        newt__sync(c);
        w->current = send_current(w);
    }
    if (!w->row_sent)
        send_transaction_row(w);
    if (!w->alone) {
        w->ahead = c->talk->asked - taken;
        w->commit_queued = !c->broken;
        if (w->name)
            newt__prepare_send(c, w->name);
        else
            newt__send(c, NEWT__S_COMMIT, NULL);
    }
    if (!w->within)
        newt__sync(c);
    want_blocks(w);
    newt__blocks_send(c, w->oid_blocks, w->serial_blocks);
    w->barrier = (!w->within && !c->storage->options->strict && !w->name) || w->oid_blocks > 0 ||
                 w->serial_blocks > 0;
    if (w->barrier)
        newt__send(c, NEWT__S_BARRIER, NULL);
    if (!w->answers && !w->name)
        newt__changes_send(c, w->serial, w->within);
    newt__sync(c);
    return NEWT_OK;
}

/* ---- taking --------------------------------------------------------------------------- */

/* What a failure so far means for a COMMIT after it. */
static newt__resolved
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
    newt__session *c = w->c;
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

static newt__resolved
take_commit(work *w)
{
    newt__session *c = w->c;
    newt_error *e = &c->talk->error;
    PGresult *r;
    bool committed;

    if (!take_ahead(w))
        return failed_before_commit(w);
    newt__error_clear(&c->talk->warning); /* the next is of the commit */
    r = newt__take(c);
    if (!r) /* an error that ends the server process may come after the commit itself */
        return c->broken && w->commit_queued ? NEWT__UNKNOWN : NEWT__NOT_COMMITTED;
    committed = w->alone || strcmp(PQcmdStatus(r), w->name ? "PREPARE TRANSACTION" : "COMMIT") == 0;
    if (w->answers)
        w->answer = r;
    else
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
    newt__session *c = w->c;
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

/* After COMMIT: what must have worked for it to be durable. */
static PGresult *
take_barrier(work *w)
{
    newt__session *c = w->c;
    newt_error *warning = &c->talk->warning;
    PGresult *changes;
    bool ok;

    if (newt__blocks_result(c, w->oid_blocks, w->serial_blocks) != NEWT_OK)
        newt__error_clear(&c->error); /* no memory: then there are none */
    if (w->barrier)
        newt__take_done(c);
    changes = w->answers ? w->answer : newt__take(c);
    w->answer = NULL;
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

/* What the session is left with when nothing was committed; or w->again. */
static newt__outcome
not_committed(work *w)
{
    newt__session *c = w->c;
    newt_error *e = &c->talk->error;
    newt__outcome outcome = NEWT__FAILED;

    newt__take_rest(c);
    if (c->talk->outdated && !w->reopened) {
        newt__error_clear(e);
        c->in_transaction = false;
        c->reopen = w->again = w->reopened = true;
        return NEWT__FAILED;
    }
    c->talk->outdated = false; /* the error is what it says */
    if (c->writes_plainly && !c->broken && strcmp(e->sqlstate, "0A000") == 0) {
        /* what newt.write() needs of the tables is more than the look has found: see PLAIN_TABLES
         */
        newt__error_clear(e);
        if (!w->alone)
            newt__snapshot_end(c, NEWT__S_ROLLBACK);
        c->writes_plainly = false;
        w->again = true;
        return NEWT__FAILED;
    }
    if (e->status == NEWT_ECONFLICT) {
        newt_error why = {0};

        newt__error_move(&why, e);
        if (!c->broken)
            (void)newt__clashes(&w->batch); /* what cannot be found out is not told */
        newt__error_clear(&c->error);
        newt__error_move(&c->talk->error, &why);
        outcome = NEWT__CLASH;
    } else if (newt__is_of_a_row(e)) {
        newt_error why = {0};

        newt__error_move(&why, e);
        newt__refused(&w->batch, w->serial, &why);
        newt__error_move(&c->talk->error, &why);
    } else if (strcmp(e->sqlstate, "23505") == 0) {
        /* numbers that another session has used cannot be right */
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
    newt__talk_end(c);
    return outcome;
}

/* ---- commit --------------------------------------------------------------------------- */

/* What has failed before anything was sent, or on this side: the session's error, or a callback's
 * status. */
static newt__outcome
stopped(const work *w, int status, newt__committed *out)
{
    out->status = status;
    return w->c->error.status != NEWT_OK ? NEWT__FAILED : NEWT__STOPPED;
}

static newt__outcome
committed(work *w, const PGresult *changes, bool durable, newt__committed *out)
{
    newt__session *c = w->c;
    const newt_error *why = c->talk->error.status ? &c->talk->error : &c->talk->warning;

    c->in_transaction = false;
    if (c->turns.turn == NEWT__LAST_TURN)
        c->turns.turn = NEWT__NO_TURN;
    out->serial = w->serial;
    out->tid = w->tid;
    /* without memory to hear what others have changed the cache starts afresh */
    out->has_others = changes != NULL;
    if (changes && newt__changes_read(c, changes, w->serial, &out->others, &c->others) != NEWT_OK)
        out->others = (newt__changes){.all = true};
    newt__error_clear(&c->error);
    if (!durable) {
        newt__fail(&c->error, NEWT_EUNKNOWN, 0,
                   "transaction %lld is committed, but it is not known to be durable",
                   (long long)w->tid);
        newt__fail_detail(&c->error, "%s", newt_error_message(why));
    }
    newt__error_clear(&c->talk->error);
    return durable ? NEWT__DONE : NEWT__IN_DOUBT;
}

/* Whatever became of what went with it. */
static newt__outcome
prepared(work *w, newt__committed *out)
{
    newt__session *c = w->c;

    if (newt__blocks_result(c, w->oid_blocks, w->serial_blocks) != NEWT_OK)
        newt__error_clear(&c->error); /* no memory: then there are none */
    newt__take_rest(c);
    newt__error_clear(&c->talk->error);
    c->in_transaction = false;
    out->serial = w->serial;
    out->tid = w->tid;
    return NEWT__DONE;
}

static newt__outcome
unknown(work *w)
{
    newt__session *c = w->c;

    newt__error_clear(&c->error);
    newt__fail(&c->error, NEWT_EUNKNOWN, 0,
               "the server connection was lost during COMMIT: it is not known whether the "
               "transaction was committed");
    newt__fail_detail(&c->error, "Its serial is %lld.", (long long)w->serial);
    newt__error_clear(&c->talk->error);
    return NEWT__IN_DOUBT;
}

/* Whatever has become of PREPARE TRANSACTION, whose answer was lost. Where that fails,
 * newt_prepared finds it. */
static void
undo_prepare(work *w, int backend)
{
    newt__session *c = w->c;
    newt_error why = c->talk->error;

    c->talk->error = (newt_error){0};
    newt__prepare_undo(c, w->name, backend);
    newt__error_move(&c->talk->error, &why);
}

static newt__outcome
write_all(work *w, newt__committed *out)
{
    newt__session *c = w->c;
    int backend = PQbackendPID(c->pg);
    PGresult *changes = NULL;
    bool durable = false, answered = false;
    newt__outcome outcome;
    newt__resolved o;
    int status;

    newt__talk_begin(c);
    status = send_all(w);
    if (status != NEWT_OK && c->talk->error.status != NEWT_OK)
        return not_committed(w);
    if (status != NEWT_OK) {
        newt__sync(c);
        newt__take_rest(c);
        newt__error_clear(&c->talk->error);
        return stopped(w, status, out);
    }
    o = take_commit(w);
    if (w->name) {
        c->in_transaction &= !c->broken;
        if (o == NEWT__UNKNOWN)
            undo_prepare(w, backend);
        return o == NEWT__COMMITTED ? prepared(w, out) : not_committed(w);
    }
    if (o == NEWT__COMMITTED) {
        durable = (w->within || c->storage->options->strict) && c->talk->warning.status == NEWT_OK;
        changes = take_barrier(w);
        durable |= changes != NULL;
        answered = true;
    }
    if (o == NEWT__UNKNOWN || (o == NEWT__COMMITTED && c->broken && (!durable || w->tid == 0))) {
        newt_error why = c->talk->error;
        newt__resolved found;

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
    if (o == NEWT__UNKNOWN)
        return unknown(w);
    outcome = committed(w, changes, durable, out);
    PQclear(changes);
    return outcome;
}

static newt__outcome
try_commit(work *w, newt__committed *out)
{
    newt__session *c = w->c;
    newt__batch *b = &w->batch;
    /* who projects is known when the connection is */
    int status = w->reopened ? newt__session_server(c) : NEWT_OK;

    if (status == NEWT_OK)
        status = newt__batch_begin(b, c, w->writes);
    if (status == NEWT_OK)
        status = newt__batch_next(b);
    if (status == NEWT_OK && b->n == 0 && !w->writes->wants_row) {
        newt__snapshot_end(c, NEWT__S_COMMIT);
        return NEWT__DONE;
    }
    if (status == NEWT_OK) {
        w->nonce = (int64_t)c->nonce++;
        /* a block cannot be taken in the snapshot; and what was read in it was read, whatever has
         * become of the connection since */
        if (c->in_transaction &&
            (newt__blocks_left(&c->serials, 1) == 0 || !newt__session_alive(c)))
            newt__snapshot_end(c, NEWT__S_COMMIT);
        status = newt__session_server(c);
        if (status == NEWT_OK)
            status = newt__next_serial(c, &w->serial);
    }
    return status == NEWT_OK ? write_all(w, out) : stopped(w, status, out);
}

newt__outcome
newt__session_commit(newt__session *c, const newt__writes *writes, const char *name,
                     newt__committed *out)
{
    work w = {.c = c,
              .writes = writes,
              .name = name,
              .described = writes->user || writes->description || writes->extension};
    newt__outcome outcome;

    c->position = writes->cache;
    outcome = try_commit(&w, out);
    while (w.again) {
        w = (work){.c = c,
                   .writes = writes,
                   .name = name,
                   .batch = w.batch,
                   .described = w.described,
                   .reopened = w.reopened};
        outcome = try_commit(&w, out);
    }
    newt__batch_free(&w.batch);
    return outcome;
}
