/*
 * sweep.c - all objects once: rows checked, computed anew, or written where they are missing
 *
 * Rows are written as any follower writes them, by one that copies all objects and is forgotten
 * then: an object that is removed meanwhile keeps no row.
 */
#include "feed.h"

#include <string.h>

static const char follower[] = "newt sweep";

enum {
    OBJECTS = 1000 /* also in newtdb.h */
};

static int
open_feed(newt_conn *c, const newt_sweep *s, newt_feed **out)
{
    newt_feed_options o = {.size = sizeof o,
                           .follower = follower,
                           .start = NEWT_FEED_COPY,
                           .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
                           .classes = s->classes,
                           .batch_objects = s->objects ? s->objects : OBJECTS,
                           .until = s->until_,
                           .kind = "sweep"};

    return newt_feed_open(c, out, &o);
}

/* When the copy is done, what is to be followed ends with the transactions that there are then. */
static int
end_of_copy(newt_conn *c, newt_sweep *s)
{
    newt__position newest;
    newt_error e = {0};

    if (s->after != INT64_MAX || s->until_ != 0)
        return NEWT_OK;
    if (c->jar.storage->feed->newest(c->jar.session, &newest, &e) != NEWT_OK)
        return newt__feed_fail(c, &e);
    s->until_ = newest.tid;
    return NEWT_OK;
}

static int
write_missing(newt_conn *c, newt_sweep *s)
{
    newt_progress p = {.size = sizeof p};
    const newt_batch *batch;
    newt_feed *f;
    int status = NEWT_OK;

    /* one that was left off may have been of other classes */
    if (s->after == 0 && s->until_ == 0)
        status = newt_feed_forget(c, follower);
    if (status == NEWT_OK)
        status = open_feed(c, s, &f);
    if (status != NEWT_OK)
        return status;
    status = newt_feed_next(f, 0, &batch);
    if (status == NEWT_EMISSING) { /* of a sweep that was interrupted long ago */
        status = newt_feed_forget(c, follower);
        s->after = 0;
    } else if (status == NEWT_OK && batch) {
        status = newt_feed_project(f, c, 0, 1, &p);
        if (status == NEWT_OK)
            status = newt_feed_commit(f);
        if (status == NEWT_OK) {
            s->looked += (int64_t)batch->n_events;
            s->written += p.written + p.removed;
            s->refused += p.refused;
            s->after = batch->copy ? batch->up_to : INT64_MAX;
            status = end_of_copy(c, s);
        }
    } else if (status == NEWT_OK) {
        status = newt_feed_forget(c, follower);
        s->over = status == NEWT_OK;
    }
    newt_feed_close(f);
    return status;
}

int
newt_project_sweep(newt_conn *c, newt_sweep *sweep)
{
    int status = newt__outside(c, NULL, "newt_project_sweep");
    newt_sweep s = {0};
    newt_error e = {0};

    if (status != NEWT_OK)
        return status;
    if (!sweep || newt__options_take(&s, sizeof s, sweep, "newt_sweep", &e) != NEWT_OK)
        return sweep ? newt__feed_fail(c, &e)
                     : newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "newt_project_sweep of NULL");
    if (!c->jar.storage->feed->sweep)
        return newt__no_sql(c, "newt_project_sweep");
    if (s.kind > NEWT_SWEEP_REPROJECT || s.objects < 0 || s.after < 0)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "newt_sweep: kind, objects or after is out of its range");
    if (s.over)
        return NEWT_OK;
    if (s.dry_run)
        s.kind = NEWT_SWEEP_CHECK;
    if (s.kind == NEWT_SWEEP_MISSING)
        status = write_missing(c, &s);
    else
        status = c->jar.storage->feed->sweep(c->jar.session, &s, &e);
    if (e.status != NEWT_OK)
        return newt__feed_fail(c, &e);
    s.kind = sweep->kind;
    if (status == NEWT_OK)
        memcpy(sweep, &s, s.size);
    return status;
}
