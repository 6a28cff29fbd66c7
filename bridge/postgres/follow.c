/*
 * follow.c - the projection that is written for followers
 *
 * Rows of the projection are written before the follower is moved, by one session or by several
 * side by side, each in a READ COMMITTED transaction that holds the follower's row as long as it
 * lasts: nobody can have moved it meanwhile, so nobody has seen a later removal. Who writes the
 * same rows once more leaves them alone.
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

/* ---- the projection --------------------------------------------------------------------- */

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
    return newt__follower_finish(b->c, newt__follow_going(b));
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

    newt__talk_begin(c);
    newt__follower_begin(c, false);
    send_constraints(b);
    newt__follower_hold(c, part->follower, &part->from, NEWT__S_FOLLOW_HOLD);
    send_classes(b);
    newt__sync(c);
    newt__follower_begun(c);
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
    newt__follower_begin(c, false);
    send_constraints(b);
    send_classes(b);
    newt__send(c, NEWT__S_FOLLOW_REFUSED, &p);
    newt__sync(c);
    newt__follower_begun(c);
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
    newt__oids_free(&l);
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

/* ---- what a session does ---------------------------------------------------------------- */

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
    newt__follower_explain(c, follower, status);
    json_decref(b.rejects);
    newt__buffer_free(&b.classes.buf);
    newt__buffer_free(&b.others.buf);
    newt__buffer_free(&b.zoids.buf);
    newt__buffer_free(&b.seen.buf);
    newt__buffer_free(&b.names.buf);
    newt__buffer_free(&b.serials.buf);
    newt__buffer_free(&b.documents.buf);
    newt__buffer_free(&b.json);
    newt__oids_free(&b.early);
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
