/*
 * follow.c - followers of the transactions, and the projection that is written for them
 *
 * A follower's position is moved by compare-and-set: what comes after it was read before, and never
 * changes, for tid order is the order of visibility. Rows of the projection are written before it
 * is moved, by one session or by several side by side, each in a READ COMMITTED transaction that
 * holds the follower's row as long as it lasts: nobody can have moved it meanwhile, so nobody has
 * seen a later removal. Who writes the same rows once more leaves them alone.
 *
 * A chunk of objects at a time, one statement (hence one snapshot) reads each record together with
 * the serial of its row. Rows that are of their record already are left alone; others are computed
 * and written by compare-and-set on the serial seen, or inserted where none was seen. A lost
 * comparison is right: an inline writer has been there whose transaction this snapshot did not
 * have, and its row is newer. If that writer removed the object, and this follower then inserts a
 * row for it, the removal is in a transaction after the position: the next batch deletes it.
 *
 * The database may refuse a row: an index, a constraint or a trigger. Then the transaction is
 * rolled back and done once more, in pieces that a savepoint keeps apart and that are halved until
 * the row is found. It is left out, and entered in newt_reject; all others are written, and the
 * position moves on. What was refused because another object has the same value may only have come
 * too early, so it is tried again after the others of its part, and when there is nothing else to
 * do.
 *
 * Who copies all objects goes through them in the order of their oids; rows without an object, of
 * oids that were passed, go on the way.
 */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 5000, /* refused objects of one statement */
    REST = 20,     /* between two attempts at the same objects: times what one has taken */
    ANY_AFTER_US = 60 * 1000000 /* ... or so long, where nothing says that one may help */
};

typedef newt__follow batch;

/* ---- where followers stand ------------------------------------------------------------------ */

int
newt__session_follower(newt__session *c, const char *name, const char *kind, newt__standing *out,
                       bool *found)
{
    int status = newt__session_server(c);
    newt__params p = {0};
    PGresult *r;

    *found = false;
    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_FOLLOWER, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    *found = r && PQntuples(r) == 1;
    if (*found)
        *out = (newt__standing){.at = {newt__field_int(r, 0, 0), newt__field_int(r, 0, 1)},
                                .copied = newt__field_int(r, 0, 2)};
    if (*found && kind && !PQgetisnull(r, 0, 3) && strcmp(PQgetvalue(r, 0, 3), kind) != 0)
        newt__fail_kind(&c->talk->error, name, PQgetvalue(r, 0, 3), kind);
    PQclear(r);
    return newt__talk_end(c);
}

/* The place of a claim; NULL: it is not there. name NULL: a free one. */
static char **
claim_of(newt__session *c, const char *name)
{
    for (int i = 0; i < NEWT__MOST_CLAIMS; i++)
        if (name ? c->claims[i] && strcmp(c->claims[i], name) == 0 : !c->claims[i])
            return &c->claims[i];
    return NULL;
}

/* A lock of the server's session: when that ends, whatever the reason, another can have it. */
int
newt__session_claim(newt__session *c, const char *name, bool *mine)
{
    int status = newt__session_server(c);
    newt__params p = {0};
    char **free_claim;
    PGresult *r;

    *mine = c->storage->options->transaction_pooling || c->standby || claim_of(c, name);
    if (status != NEWT_OK || *mine)
        return status;
    free_claim = claim_of(c, NULL);
    if (!free_claim) {
        newt__fail(&c->error, NEWT_ELIMIT, 0,
                   "a connection can follow under %d names, and not also as \"%s\"",
                   NEWT__MOST_CLAIMS, name);
        newt__fail_hint(&c->error, "Use another connection for it.");
        return NEWT_ELIMIT;
    }
    *free_claim = strdup(name);
    if (!*free_claim)
        return newt__fail_memory(&c->error);
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_CLAIM, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    *mine = r && newt__field_bool(r, 0, 0);
    PQclear(r);
    status = newt__talk_end(c);
    if ((status != NEWT_OK || !*mine) && (free_claim = claim_of(c, name))) {
        free(*free_claim);
        *free_claim = NULL;
    }
    return status;
}

void
newt__session_release(newt__session *c, const char *name)
{
    char **claim = claim_of(c, name);
    newt__params p = {0};

    if (!claim || c->broken || !c->pg)
        return;
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_RELEASE_CLAIM, &p);
    newt__sync(c);
    newt__take_rest(c);
    (void)!newt__talk_end(c);
    newt__error_clear(&c->error);
    free(*claim);
    *claim = NULL;
}

/* durable: when its COMMIT is answered; else a crash may take it away. */
static void
begin(newt__session *c, bool durable)
{
    newt__params p = {0};

    newt__param_text(&p, durable ? NULL : "off");
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    newt__send(c, NEWT__S_FOLLOW_UNTIMED, &p);
    c->in_transaction = true;
}

static void
take_begin(newt__session *c)
{
    newt__take_done(c);
    newt__take_done(c);
}

static int
roll_back(newt__session *c)
{
    newt__take_rest(c);
    newt__send(c, NEWT__S_ROLLBACK, NULL);
    newt__sync(c);
    newt__forget(c);
    c->in_transaction = false;
    return newt__talk_end(c);
}

/* The answer to COMMIT: everything is there, or nothing. What failed before it, it was not run. */
static int
take_commit(newt__session *c)
{
    newt_error *e = &c->talk->error;
    PGresult *r = newt__take(c);

    if (r && strcmp(PQcmdStatus(r), "COMMIT") != 0)
        newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
    PQclear(r);
    newt__take_sync(c);
    if (e->status != NEWT_OK)
        return roll_back(c);
    c->in_transaction = false;
    return newt__talk_end(c);
}

/* Ends the transaction. */
static int
finish(newt__session *c, bool commit)
{
    newt__take_rest(c);
    if (!commit || c->talk->error.status != NEWT_OK || c->broken)
        return roll_back(c);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    return take_commit(c);
}

/* The error of a comparison that failed says what to do. */
static int
explain(newt__session *c, const char *name, int status)
{
    if (strcmp(c->error.sqlstate, "40001") == 0)
        newt__fail_hint(&c->error, "Only one process at a time can follow as \"%s\".", name);
    return status;
}

static void
add_place(newt__params *p, const newt__standing *place)
{
    newt__param_int(p, place->at.tid);
    newt__param_int(p, place->copied);
}

int
newt__session_move(newt__session *c, const char *name, const char *kind, const newt__standing *from,
                   const newt__standing *to)
{
    bool begun = c->in_transaction;
    int status = newt__session_server(c);
    newt__params p = {0};

    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    if (from)
        add_place(&p, from);
    newt__param_int(&p, to->at.tid);
    newt__param_int(&p, to->at.serial);
    newt__param_int(&p, to->copied);
    newt__param_text(&p, kind);
    newt__talk_begin(c);
    /* a position alone may be lost, and what comes after it is done once more */
    if (!begun)
        begin(c, false);
    newt__send(c, from ? NEWT__S_FOLLOW_MOVE : NEWT__S_FOLLOW_NEW, &p);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    if (!begun)
        take_begin(c);
    newt__take_done(c);
    return explain(c, name, take_commit(c));
}

int
newt__session_forget_follower(newt__session *c, const char *name)
{
    int status = newt__session_server(c);
    newt__params p = {0};

    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    newt__talk_begin(c);
    begin(c, true);
    newt__send(c, NEWT__S_FOLLOW_FORGET, &p);
    newt__sync(c);
    take_begin(c);
    newt__take_done(c);
    newt__take_sync(c);
    return finish(c, true);
}

/* ---- statements of the program's --------------------------------------------------------------
 */

/* The savepoint is missed if the statement has ended the transaction. */
int
newt__session_execute(newt__session *c, const char *name, const newt__standing *from,
                      const char *sql, int n, const char *const *params)
{
    bool begun = c->in_transaction;
    int status = newt__session_server(c);
    newt__params p = {0};

    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    add_place(&p, from);
    newt__talk_begin(c);
    if (!begun) {
        begin(c, true);
        if (name)
            newt__send(c, NEWT__S_FOLLOW_HOLD_ALONE, &p);
        newt__plans_send(c);
    }
    newt__send(c, NEWT__S_SAVEPOINT, NULL);
    newt__send_query(c, sql, n, params);
    newt__send(c, NEWT__S_RELEASE, NULL);
    newt__sync(c);
    if (!begun) {
        take_begin(c);
        if (name)
            newt__take_done(c);
        newt__take_done(c);
    }
    newt__take_done(c);
    PQclear(newt__take(c));
    newt__take_done(c);
    newt__take_sync(c);
    if (c->talk->error.status == NEWT_OK && !c->broken)
        return newt__talk_end(c);
    return explain(c, name ? name : "", finish(c, false));
}

void
newt__session_undo(newt__session *c)
{
    if (!c->in_transaction)
        return;
    if (!c->broken) {
        newt__talk_begin(c);
        (void)!finish(c, false);
        newt__error_clear(&c->error);
    }
    c->in_transaction = false;
}

/* ---- the projection
 * ------------------------------------------------------------------------------ */

/* What would be checked by COMMIT is checked with each piece. */
static void
send_constraints(batch *b)
{
    if (b->careful)
        newt__send(b->c, NEWT__S_CONSTRAINTS, NULL);
}

static void
take_constraints(batch *b)
{
    if (b->careful)
        newt__take_done(b->c);
}

static void
send_classes(batch *b)
{
    newt__send(b->c, NEWT__S_FOLLOW_CLASSES, NULL);
}

/* Names come as arrays, and go out again as such. */
static void
take_classes(batch *b)
{
    PGresult *r = newt__take(b->c);

    newt__array_begin(&b->classes, NEWT__OID_TEXT);
    newt__array_begin(&b->others, NEWT__OID_TEXT);
    if (r) {
        newt__array_copy(&b->classes, r, 0, 0);
        b->virtual = newt__field_bool(r, 0, 1);
        newt__array_copy(&b->others, r, 0, 2);
    }
    PQclear(r);
}

/* Ends the transaction of a batch. */
static int
finish_batch(batch *b)
{
    if (b->status == NEWT_ENOMEM)
        newt__fail_memory(&b->c->talk->error);
    else if (b->status != NEWT_OK)
        newt__fail(&b->c->talk->error, b->status, 0,
                   "the store's objects are not as they should be");
    return finish(b->c, newt__follow_going(b));
}

/* Rows without an object. */
static void
delete_orphans(batch *b, const newt__part *part)
{
    newt__params p = {0};
    PGresult *r;

    newt__param_int(&p, part->after);
    newt__param_int(&p, part->up_to);
    newt__send(b->c, NEWT__S_FOLLOW_ORPHANS, &p);
    newt__sync(b->c);
    r = newt__take(b->c);
    newt__take_sync(b->c);
    if (r && PQntuples(r) == 1)
        b->progress.removed += newt__field_int(r, 0, 0);
    PQclear(r);
}

static int
write_part(batch *b, const newt__part *part)
{
    newt__session *c = b->c;
    newt__params hold = {0};

    newt__param_text(&hold, part->follower);
    add_place(&hold, &part->from);
    newt__talk_begin(c);
    begin(c, false);
    send_constraints(b);
    newt__send(c, NEWT__S_FOLLOW_HOLD, &hold);
    send_classes(b);
    newt__sync(c);
    take_begin(c);
    take_constraints(b);
    newt__take_done(c);
    take_classes(b);
    newt__take_sync(c);
    newt__chunks_write(b, part->oids, part->n);
    if (part->copy && newt__follow_going(b))
        delete_orphans(b, part);
    newt__chunks_early(b);
    return finish_batch(b);
}

/* ---- what was refused ----------------------------------------------------------------- */

/* Tries the next of them again; *zoid: everything up to here has been tried, 0 after the last. */
static int
retry_refused(batch *b, bool only_early, int64_t max_objects, int64_t *zoid)
{
    int64_t limit = max_objects < WINDOW ? max_objects : WINDOW, n = 0, last = 0;
    newt__session *c = b->c;
    newt__params p = {0};
    newt__oids l = {0};
    PGresult *r;
    int status;

    newt__param_int(&p, *zoid);
    newt__param_int(&p, limit);
    newt__param_int(&p, only_early);
    b->careful = b->again = true;
    newt__talk_begin(c);
    begin(c, false);
    send_constraints(b);
    send_classes(b);
    newt__send(c, NEWT__S_FOLLOW_REFUSED, &p);
    newt__sync(c);
    take_begin(c);
    take_constraints(b);
    take_classes(b);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1) {
        n = newt__field_int(r, 0, 0);
        last = newt__field_int(r, 0, 1);
        if (!newt__field_oids(r, 0, 2, &l))
            b->status = NEWT_ENOMEM;
    }
    PQclear(r);
    newt__chunks_write(b, l.oids, l.n);
    free(l.oids);
    newt__chunks_early(b);
    status = finish_batch(b);
    if (status == NEWT_OK) {
        b->progress.transactions = n > 0;
        *zoid = n == limit ? last : 0;
    }
    return status;
}

/* When there is nothing else to do: what another object's row was in the way of, if rows have
 * changed since it was last tried. Never for more than a small part of the time. */
static int
retry_early(batch *b, int64_t max_objects)
{
    newt__refusals *f = &b->c->refusals;
    int64_t begun = newt__clock(), tid = b->progress.tid;
    int status;

    if (f->settled || begun < f->not_before_us)
        return NEWT_OK;
    status = retry_refused(b, true, max_objects, &f->early_zoid);
    if (status != NEWT_OK)
        return status;
    f->left |= b->progress.refused > 0;
    if (f->early_zoid == 0) {
        f->settled = true;
        f->none_early = !f->left;
        f->left = false;
    }
    f->not_before_us = newt__clock() + REST * (newt__clock() - begun);
    /* these are no news; a batch that has done something is followed by another look */
    newt__chunks_forget(b);
    b->progress.refused = 0;
    b->progress.transactions = b->progress.written > 0;
    b->progress.tid = tid;
    return NEWT_OK;
}

/* What was refused for any reason: an index or a constraint may have gone. */
static int
retry_any(batch *b, int64_t max_objects)
{
    newt__refusals *f = &b->c->refusals;
    int64_t begun = newt__clock(), took;
    int status = NEWT_OK;

    if (f->any_not_before_us == 0) {
        f->any_not_before_us = begun + ANY_AFTER_US;
    } else if (begun >= f->any_not_before_us) {
        b->early.n = 0;
        status = retry_refused(b, false, max_objects, &f->any_zoid);
        took = newt__clock() - begun;
        f->any_not_before_us = newt__clock() + REST * took + (f->any_zoid ? 0 : ANY_AFTER_US);
        newt__chunks_forget(b); /* no news either */
        b->progress.refused = 0;
        b->progress.transactions = b->progress.written > 0;
    }
    return status;
}

/* After a batch, by whichever follower: what was refused early is worth another attempt. */
static void
remember(batch *b)
{
    newt__refusals *f = &b->c->refusals;

    if (b->early.n > 0)
        f->none_early = false;
    if (!f->none_early) {
        f->settled = false;
        f->early_zoid = 0;
    }
}

/* ---- what a session does -----------------------------------------------------------------------
 */

typedef int batch_work(batch *b, const void *arg);

/* The same once more in pieces, if a row is refused. */
static int
project(batch *b, const void *arg)
{
    const newt_progress before = b->progress;
    int status;

    for (;;) {
        status = write_part(b, arg);
        /* the store's own primary key has refused what newt.project_new() did not see */
        if (status == NEWT_OK || b->careful ||
            (!newt__is_of_a_row(&b->c->error) && !b->c->error.own))
            break;
        b->careful = true;
        b->progress = before;
    }
    if (status == NEWT_OK)
        remember(b);
    return status;
}

static int
retry(batch *b, const void *arg)
{
    int64_t *zoid = &b->c->refusals.zoid;
    int status = retry_refused(b, false, *(const int64_t *)arg, zoid);

    b->progress.behind_us = status == NEWT_OK && *zoid != 0;
    return status;
}

static int
retry_in_passing(batch *b, const void *arg)
{
    int64_t max_objects = *(const int64_t *)arg;
    int status = retry_early(b, max_objects);

    return status == NEWT_OK && b->progress.written == 0 ? retry_any(b, max_objects) : status;
}

static int
run(newt__session *c, const char *follower, batch_work *work, const void *arg, newt_progress *out)
{
    batch b = {.c = c};
    int status;

    b.others.buf.env = &newt__malloc_env;
    b.classes.buf.env = b.zoids.buf.env = b.seen.buf.env = b.names.buf.env = &newt__malloc_env;
    b.serials.buf.env = b.documents.buf.env = b.json.env = &newt__malloc_env;
    for (int attempt = 0; attempt < 2; attempt++) {
        status = newt__session_server(c);
        if (status == NEWT_OK)
            status = work(&b, arg);
        if (status != NEWT_ELOST || !c->reopen)
            break;
        /* the server has changed under the connection: nothing was written, and another looks */
        b.careful = b.again = false;
        b.status = NEWT_OK;
        b.progress = (newt_progress){0};
        b.early.n = 0;
        newt__chunks_forget(&b);
        newt__error_clear(&c->error);
    }
    explain(c, follower, status);
    json_decref(b.rejects);
    newt__buffer_free(&b.classes.buf);
    newt__buffer_free(&b.others.buf);
    newt__buffer_free(&b.zoids.buf);
    newt__buffer_free(&b.seen.buf);
    newt__buffer_free(&b.names.buf);
    newt__buffer_free(&b.serials.buf);
    newt__buffer_free(&b.documents.buf);
    newt__buffer_free(&b.json);
    free(b.early.oids);
    if (status == NEWT_OK) {
        newt__error_clear(&c->error); /* of a batch that was done once more */
        *out = b.progress;
        newt__chunks_tell(&b);
    }
    newt__chunks_forget(&b);
    return status;
}

int
newt__session_project(newt__session *c, const newt__part *part, newt_progress *out)
{
    return run(c, part->follower, project, part, out);
}

int
newt__session_retry(newt__session *c, bool early, int64_t max_objects, newt_progress *out)
{
    return run(c, "rejects", early ? retry_in_passing : retry, &max_objects, out);
}
