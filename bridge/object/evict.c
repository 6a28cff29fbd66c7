/*
 * evict.c - what leaves the cache when that is over its limit, and how it comes back
 *
 * A clean object becomes a ghost. A changed one goes to spill.c, as the record to be written and
 * the record it was loaded from.
 */
#include "object.h"

#include <string.h>

enum {
    MOST_KEPT = 16 /* objects that one sweep looks at and cannot evict */
};

/* ---- out of the cache ---------------------------------------------------------------------- */

/* What spill.c is to keep of it, in c->coder.writer.buf if it is not the record it was loaded from;
 * *same: nothing. An object that is deleted needs no more than its class. */
static int
encode(newt__jar *c, const newt__header *h, newt__spilled *x, bool *same, newt_error *e)
{
    bool deleted = h->state == NEWT__DELETED;
    int status = NEWT_OK;

    *x = (newt__spilled){.oid = h->oid,
                         .serial = h->serial,
                         .state = h->state,
                         .level = (uint16_t)(c->savepoints + 1)};
    if (h->record && h->state != NEWT__NEW) {
        x->old = h->record;
        x->old_n = h->record_n;
    }
    *same = h->state == NEWT__FORGOTTEN;
    if (*same)
        return NEWT_OK;
    if (deleted && x->old) {
        x->record = x->old;
        x->record_n = x->old_n;
        return NEWT_OK;
    }
    status = h->bag ? newt__bag_encode(c, h, e) : newt__image_encode(c, h, !deleted, e);
    x->lossy = c->coder.writer.lossy;
    x->record = c->coder.writer.buf.data;
    x->record_n = c->coder.writer.buf.n;
    *same = h->state == NEWT__CHANGED && x->old_n == x->record_n &&
            memcmp(x->old, x->record, x->old_n) == 0;
    return status;
}

/* It is as it was loaded, but was another at an earlier savepoint. */
static int
note_as_loaded(newt__jar *c, const newt__spilled *x, newt_error *e)
{
    bool has = false;
    int status = newt__spill_has(&c->spill, x->oid, &has, e);

    if (status == NEWT_OK && has &&
        (!newt__oids_add(&c->as_loaded, x->oid) || !newt__oids_add(&c->as_loaded, x->level)))
        status = newt__fail_memory(e);
    return status;
}

/* Failing dooms. */
static int
put(newt__jar *c, const newt__spilled *x, bool same)
{
    newt_error e = {0};
    int status = same && c->savepoints > 0 ? note_as_loaded(c, x, &e) : NEWT_OK;

    if (status == NEWT_OK)
        status = same ? newt__spill_drop(&c->spill, x->oid, x->level, &e)
                      : newt__spill_put(&c->spill, x, &e);
    if (status == NEWT_OK)
        return NEWT_OK;
    newt__base_fail_with(&c->base, &e);
    return newt__base_doom(&c->base);
}

int
newt__object_put(newt__header *h, bool *same)
{
    newt__spilled x;
    newt_error e = {0};
    int status = encode(h->jar, h, &x, same, &e);

    return status == NEWT_OK ? put(h->jar, &x, *same) : newt__base_fail_with(&h->jar->base, &e);
}

/* Keeps the records of a changed, new or deleted object that is about to leave the cache. False: it
 * has to stay, for it cannot be written as it is; or the transaction is doomed. */
static bool
spill(newt__jar *c, const newt__header *h)
{
    newt__spilled x;
    newt_error e = {0};
    bool same, fits = encode(c, h, &x, &same, &e) == NEWT_OK;

    newt__error_clear(&e); /* for the commit to report, or it may be mended until then */
    return fits && put(c, &x, same) == NEWT_OK;
}

/* What a transaction has used before it asks the server must not have been changed by others
 * meanwhile. So its header, which records the use, must stay until the snapshot is opened. */
bool
newt__object_must_stay(const newt__header *h)
{
    return newt__header_pinned(h) || h->current ||
           (h->jar->base.phase == NEWT__LAZY && h->epoch == h->jar->epoch && h->serial != 0);
}

bool
newt__object_evict(newt__header *h)
{
    newt__jar *c = h->jar;

    if (newt__object_must_stay(h))
        return false;
    if (h->saved)
        return true;
    /* of a forgotten one nothing must come back from the file */
    if (h->state == NEWT__FORGOTTEN || newt__next_state(h->state, NEWT__ON_EVICT) == NEWT__SPILLED)
        return spill(c, h);
    if (newt__mark_check(h) == NEWT_OK)
        return true;
    newt__base_doom(&c->base);
    return false;
}

void
newt__cache_sweep(newt__jar *c)
{
    newt__cache *cache = &c->cache;

    /* what is kept (pinned, say) counts as used now, so that not every sweep looks at it again */
    for (int kept = 0;
         kept < MOST_KEPT && newt__cache_is_over(c) && !newt__base_is_over(&c->base);) {
        newt__header *h = newt__cache_oldest(cache);

        if (!h)
            break;
        if (h->oid != cache->last && newt__object_evict(h)) {
            newt__cache_remove(c, h->oid);
            cache->evicted++;
        } else {
            newt__cache_touch(h);
            kept++;
        }
    }
}

/* ---- back into the cache --------------------------------------------------------------------- */

bool
newt__is_spilled(newt__jar *c, int64_t oid)
{
    newt_error e;
    bool has;

    if (!c->spill) /* nearly always; the error is large */
        return false;
    e = (newt_error){0};
    if (newt__spill_has(&c->spill, oid, &has, &e) != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        newt__base_doom(&c->base);
    }
    return has;
}

int
newt__object_restore(newt__jar *c, const newt__spilled *x, newt__header **out)
{
    const newt__class *k = NULL;
    newt__header *h = NULL;
    newt__reader r;
    newt_error e = {0};
    int status;

    if (newt__read_begin(&r, &c->coder.env, x->record, x->record_n) == NEWT__OK)
        k = newt__class_named(c->classes, r.class_name, r.class_n);
    if (k && k->stored)
        status = newt__image_make(c, k, x->oid, x->record, x->record_n, &h, &e);
    else
        status = newt__bag_load(c, x->oid, x->record, x->record_n, &h);
    newt__error_clear(&e);
    if (status != NEWT_OK && status != NEWT_ENOMEM && x->state == NEWT__DELETED)
        status = newt__bag_load(c, x->oid, x->record, x->record_n, &h); /* it was broken, too */
    if (status == NEWT_OK && h->bag && x->state != NEWT__DELETED)
        status = newt__bag_open(h);
    if (status == NEWT_OK && x->old && !newt__header_keep(h, x->old, x->old_n))
        status = NEWT_ENOMEM;
    if (status != NEWT_OK)
        newt__header_free(h);
    else
        *out = h;
    return status;
}

/* It was written here: what fails can only be memory. */
static int
take_back(void *arg, const newt__spilled *x)
{
    newt__jar *c = arg;
    newt__header *h;

    if (newt__object_restore(c, x, &h) != NEWT_OK)
        return NEWT_ENOMEM;
    h->serial = x->serial;
    if (newt__cache_put(c, h) != NEWT_OK) {
        newt__header_free(h);
        return NEWT_ENOMEM;
    }
    h->state = x->state;
    h->epoch = c->epoch;
    newt__cache_save(h, x->level);
    return NEWT_OK;
}

int
newt__unspill(newt__jar *c, int64_t oid)
{
    newt_error e;
    int status;

    if (!c->spill)
        return NEWT_OK;
    e = (newt_error){0};
    status = newt__spill_get(&c->spill, oid, take_back, c, &e);
    if (status == NEWT_OK)
        return NEWT_OK;
    if (e.status == NEWT_OK)
        return newt__base_fail_memory(&c->base);
    newt__base_fail_with(&c->base, &e);
    return newt__base_doom(&c->base);
}

int
newt__spilled_next(newt__jar *c, newt__spilled *out)
{
    newt_error e;
    int found;

    if (!c->spill)
        return 0;
    e = (newt_error){0};
    found = newt__spill_next(&c->spill, out, &e);
    if (found >= 0)
        return found;
    newt__base_fail_with(&c->base, &e);
    return newt__base_doom(&c->base);
}
