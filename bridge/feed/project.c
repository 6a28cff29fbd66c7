/*
 * project.c - the JSONB that is written later: for the objects of a batch, and batch by batch
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

enum {
    COPIED = 5000 /* objects of one call, at most, when all are gone through; also in newtdb.h */
};

/* ---- progress --------------------------------------------------------------------------- */

static int
check_progress(newt_conn *c, const char *function, const newt_progress *out)
{
    size_t size = out ? out->size : 0;

    if (size < sizeof size || size > sizeof *out)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "%s with a newt_progress of another size", function);
    if (!c->jar.storage->feed->project)
        return newt__no_sql(c, function);
    return NEWT_OK;
}

static void
give(newt_progress *out, newt_progress *progress)
{
    size_t size = out->size;

    progress->size = size;
    memcpy(out, progress, size);
}

/* ---- one batch -------------------------------------------------------------------------- */

static int
project(newt_feed *f, newt_conn *c, int part, int parts, newt_progress *progress, newt_error *e)
{
    size_t from = f->n_oids / (size_t)parts * (size_t)part;
    size_t to = part + 1 == parts ? f->n_oids : f->n_oids / (size_t)parts * ((size_t)part + 1);
    newt__part p = {.follower = f->follower,
                    .from = f->committed,
                    .oids = f->oids + from,
                    .n = to - from,
                    .copy = f->batch.copy && part == 0 && f->n_classes == 0 && !f->objects,
                    .after = f->batch.after,
                    .up_to = f->batch.up_to};
    int status = NEWT_OK;

    if (p.n > 0 || p.copy)
        status = c->jar.storage->feed->project(c->jar.session, &p, progress, e);
    progress->tid = f->handed.at.tid;
    progress->transactions = f->batch.copy ? 1 : (int64_t)f->batch.n_transactions;
    progress->behind_us = f->batch.behind_us;
    return status;
}

int
newt_feed_project(newt_feed *f, newt_conn *c, int part, int parts, newt_progress *out)
{
    newt_progress progress = {0};
    newt_error e = {0};
    int status = newt__outside(c, NULL, "newt_feed_project");

    if (status == NEWT_OK)
        status = check_progress(c, "newt_feed_project", out);
    if (status != NEWT_OK)
        return status;
    if (!f->follower || !f->positioned || parts < 1 || part < 0 || part >= parts ||
        f->c->db != c->db)
        newt__fail(&e, NEWT_EINVAL, 0,
                   "newt_feed_project without a follower or a batch, for part %d of %d, or over a "
                   "connection of another database",
                   part, parts);
    if (e.status == NEWT_OK)
        status = project(f, c, part, parts, &progress, &e);
    if (e.status != NEWT_OK)
        return newt__feed_fail(c, &e);
    give(out, &progress);
    return status;
}

/* ---- batch by batch --------------------------------------------------------------------- */

static void
close_projector(void *feed)
{
    newt_feed_close(feed);
}

/* The feed of newt_project under this name. */
static int
open_projector(newt_conn *c, const char *name, int64_t max_objects, newt_feed **out)
{
    newt_feed_options o = {.size = sizeof o,
                           .follower = name,
                           .start = NEWT_FEED_COPY,
                           .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
                           .kind = "projection"};
    newt_feed *f = c->rider;
    int status = NEWT_OK;

    if (!f || strcmp(f->follower, name) != 0) {
        newt_feed_close(f);
        c->rider = NULL;
        status = newt_feed_open(c, &f, &o);
        c->rider = f;
        c->rider_close = close_projector;
    }
    if (status != NEWT_OK)
        return status;
    f->alone = false; /* whoever comes first may do the next batch */
    f->positioned = false;
    f->o.batch_objects = max_objects;
    *out = f;
    return NEWT_OK;
}

/* All objects once more, since the transactions after the position are not known. */
static int
start_over(newt_feed *f, newt_error *e)
{
    const newt__feed_type *type = f->c->jar.storage->feed;
    newt__standing place = {.copied = 0};
    int status;

    newt__error_clear(e);
    status = type->newest(f->c->jar.session, &place.at, e);
    return status != NEWT_OK
               ? status
               : type->move(f->c->jar.session, f->follower, f->kind, &f->committed, &place, e);
}

static int
next_batch(newt_feed *f, int64_t max_objects, newt_progress *progress, newt_error *e)
{
    const newt__feed_type *type = f->c->jar.storage->feed;
    int status = newt__feed_position(f, e);

    if (status == NEWT_OK && f->copying) {
        f->o.batch_objects = max_objects < COPIED ? max_objects : COPIED;
        status = newt__feed_copy(f, e);
    } else if (status == NEWT_OK) {
        status = newt__feed_fetch(f, e);
        if (status == NEWT_EMISSING) {
            status = start_over(f, e);
            return status != NEWT_OK ? status : next_batch(f, max_objects, progress, e);
        }
        if (status == NEWT_OK && f->fetched.n_transactions == 0) {
            status = type->retry(f->c->jar.session, true, max_objects, progress, e);
            progress->tid = f->committed.at.tid;
            progress->behind_us = 0;
            return status;
        }
        /* a large transaction goes as a whole: the position is known for no other */
        if (status == NEWT_OK)
            status = newt__feed_batch(f, e);
    }
    if (status == NEWT_OK)
        status = project(f, f->c, 0, 1, progress, e);
    return status;
}

/* The rest of a large transaction. */
static int
finish_transaction(newt_feed *f, newt_progress *progress, newt_error *e)
{
    int status = NEWT_OK;

    while (status == NEWT_OK && f->within) {
        newt_progress more = {0};

        status = newt__feed_fetch(f, e);
        if (status == NEWT_OK)
            status = newt__feed_batch(f, e);
        if (status == NEWT_OK)
            status = project(f, f->c, 0, 1, &more, e);
        progress->written += more.written;
        progress->removed += more.removed;
        progress->rejects += more.rejects;
        progress->refused += more.refused;
        progress->tid = more.tid;
        progress->behind_us = more.behind_us;
        progress->transactions += more.transactions - 1;
    }
    return status;
}

int
newt_project(newt_conn *c, const char *name, int64_t max_objects, newt_progress *out)
{
    newt_progress progress = {0};
    newt_error e = {0};
    newt_feed *f;
    int status = newt__outside(c, NULL, "newt_project");

    if (status == NEWT_OK)
        status = check_progress(c, "newt_project", out);
    if (status == NEWT_OK && (!name || !*name || max_objects < 1))
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "newt_project without a name, or with less than one object");
    if (status == NEWT_OK)
        status = open_projector(c, name, max_objects, &f);
    if (status != NEWT_OK)
        return status;
    status = next_batch(f, max_objects, &progress, &e);
    if (status == NEWT_OK)
        status = finish_transaction(f, &progress, &e);
    if (status != NEWT_OK)
        return newt__feed_fail(c, &e);
    if (f->batch.n_transactions > 0 || f->batch.copy)
        status = newt_feed_commit(f);
    if (status == NEWT_OK)
        give(out, &progress);
    return status;
}

int
newt_retry_rejects(newt_conn *c, int64_t max_objects, newt_progress *out)
{
    newt_progress progress = {0};
    newt_error e = {0};
    int status = newt__outside(c, NULL, "newt_retry_rejects");

    if (status == NEWT_OK)
        status = check_progress(c, "newt_retry_rejects", out);
    if (status == NEWT_OK && max_objects < 1)
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "newt_retry_rejects with less than one object");
    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->feed->retry(c->jar.session, false, max_objects, &progress, &e);
    if (e.status != NEWT_OK)
        return newt__feed_fail(c, &e);
    give(out, &progress);
    return status;
}
