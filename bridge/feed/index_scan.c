/*
 * index_scan.c - the next objects of a class, by oid, for indexes
 */
#include "index_build.h"

#include <stdlib.h>

static int
take_oid(void *arg, const newt__found *found)
{
    newt__index_scan *s = arg;

    s->last = found->oid;
    s->scanned[s->n_scanned++] = found->oid;
    return NEWT_OK;
}

static int
take_head(void *arg, const newt__found *found)
{
    newt__index_scan *s = arg;
    newt__reader r;

    if (newt__read_begin(&r, &newt__malloc_env, found->record, found->n) == NEWT__OK &&
        newt__class_named(s->c->jar.classes, r.class_name, r.class_n) == s->k)
        s->refs[s->n++].oid = found->oid;
    return NEWT_OK;
}

int
newt__index_scan_next(newt__index_scan *s, int64_t after, size_t most)
{
    const newt__feed_type *feed = s->c->jar.storage->feed;
    newt__session *session = s->c->jar.session;
    newt_error e = {0};
    int status;

    if (most > NEWT__INDEX_BATCH)
        most = NEWT__INDEX_BATCH;
    s->n_scanned = s->n = 0;
    s->last = after;
    status = feed->scan(session, after, most, take_oid, s, &e);
    if (status == NEWT_OK && s->n_scanned > 0)
        status = feed->look(session, s->scanned, s->n_scanned, NEWT__HEADS, INT64_MAX, take_head, s,
                            &e);
    s->over = s->n_scanned < most;
    if (s->n > 1) /* a newt_ref is its oid */
        qsort(s->refs, s->n, sizeof *s->refs, newt__by_oid);
    return e.status != NEWT_OK ? newt__feed_fail(s->c, &e) : status;
}
