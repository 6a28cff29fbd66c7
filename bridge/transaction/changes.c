/*
 * changes.c - what a commit writes: which objects, in which order, their records
 *
 * Objects come in the order of their oids, first those stored already, from the cache and from
 * spill.c together, one at a time: their number is not bounded by memory.
 */
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

/* ---- where they come from ------------------------------------------------------------- */

/* Which of two comes first, each given as new object or not, and oid. */
static int
compare(bool new_a, int64_t a, bool new_b, int64_t b)
{
    return new_a != new_b ? new_a - new_b : (a > b) - (a < b);
}

static int
by_place(const void *pa, const void *pb)
{
    const newt__header *a = *(newt__header *const *)pa, *b = *(newt__header *const *)pb;

    return compare(a->serial == 0, a->oid, b->serial == 0, b->oid);
}

static int
next_spilled(newt__pending *p)
{
    int found = newt__spilled_next(&p->c->jar, &p->spilled);

    if (found != 1)
        p->spilled = (newt__spilled){0};
    return found < 0 ? found : NEWT_OK;
}

int
newt__pending_rewind(newt__pending *p)
{
    newt__cache *cache = &p->c->jar.cache;
    size_t n = cache->changed.n;

    free(p->cached);
    p->cached = n < SIZE_MAX / sizeof *p->cached ? malloc((n + 1) * sizeof *p->cached) : NULL;
    if (!p->cached)
        return newt__base_fail_memory(&p->c->jar.base);
    p->n_cached = p->next_cached = 0;
    for (newt__header *h = cache->changed.oldest; h; h = h->newer)
        p->cached[p->n_cached++] = h;
    qsort(p->cached, p->n_cached, sizeof *p->cached, by_place);
    p->handed_out = false;
    newt__spill_rewind(p->c->jar.spill);
    return next_spilled(p);
}

void
newt__pending_free(newt__pending *p)
{
    free(p->cached);
}

/* ---- one of them ------------------------------------------------------------------------ */

newt__projection
newt__class_projection(const newt__class *k)
{
    uint32_t flags = k ? k->flags : 0;

    if (flags & NEWT_C_SKIP)
        return NEWT__PROJECT_NOT;
    if (k && k->hooks.to_json)
        return NEWT__PROJECT_CALLER;
    if (flags & NEWT_C_ASYNC)
        return NEWT__PROJECT_ASYNC;
    return flags & NEWT_C_INLINE ? NEWT__PROJECT_INLINE : NEWT__PROJECT_STORE;
}

newt__projection
newt__record_projection(newt_conn *c, const void *record, size_t n)
{
    const newt__class *k = NULL;
    newt__reader r;

    if (newt__read_begin(&r, &c->jar.coder.env, record, n) == NEWT__OK)
        k = newt__class_named(c->jar.classes, r.class_name, r.class_n);
    if (k && k->stored)
        return newt__class_projection(k);
    return newt__is_hidden(&c->jar.coder.env, record, n) ? NEWT__PROJECT_NOT : NEWT__PROJECT_STORE;
}

static void
describe(const newt__pending *p, uint8_t state, const newt__class *k, newt__change *out)
{
    out->what = state == NEWT__NEW       ? NEWT__ADD
                : state == NEWT__DELETED ? NEWT__REMOVE
                                         : NEWT__REPLACE;
    if (out->what == NEWT__REMOVE) {
        if (out->class_n == 0 && k) {
            out->class_name = k->name;
            out->class_n = strlen(k->name);
        }
        out->record = NULL;
        out->n = 0;
        out->lossy = false;
        return;
    }
    out->projection = newt__class_projection(k);
    if (!k && newt__is_hidden(&p->c->jar.coder.env, out->record, out->n))
        out->projection = NEWT__PROJECT_NOT;
    out->wants_record = p->may_merge && out->what == NEWT__REPLACE && k && k->hooks.resolve;
}

/* 1: it is the next; 0: there is nothing to write. */
static int
take_cached(newt__pending *p, newt__header *h, newt__change *out)
{
    newt__jar *jar = &p->c->jar;
    bool same = false;
    int status = NEWT_OK;

    h->written = false; /* as a failed attempt may have left it */
    if (h->state == NEWT__FORGOTTEN)
        return 0;
    if (h->state != NEWT__DELETED)
        status = newt__object_encode(jar, h, &same);
    if (status != NEWT_OK || same)
        return status;
    *out = (newt__change){.oid = h->oid,
                          .serial = h->serial,
                          .lossy = jar->coder.writer.lossy,
                          .record = jar->coder.writer.buf.data,
                          .n = jar->coder.writer.buf.n};
    if (h->bag && ((newt_bag *)newt__object_of(h))->class_name) {
        out->class_name = ((newt_bag *)newt__object_of(h))->class_name;
        out->class_n = strlen(out->class_name);
    }
    describe(p, h->state, h->class, out);
    out->wants_record &= !h->current; /* newt_read_current: it must not have been changed at all */
    h->written = true;
    return 1;
}

static void
take_spilled(newt__pending *p, newt__change *out)
{
    const newt__spilled *x = &p->spilled;
    const newt__header *h = newt__cache_find(&p->c->jar.cache, x->oid);
    const newt__class *k = NULL;
    newt__reader r;

    *out = (newt__change){.oid = x->oid,
                          .serial = x->serial,
                          .lossy = x->lossy,
                          .record = x->record,
                          .n = x->record_n};
    if (newt__read_begin(&r, &p->c->jar.coder.env, x->record, x->record_n) == NEWT__OK) {
        k = newt__class_named(p->c->jar.classes, r.class_name, r.class_n);
        out->class_name = r.class_name;
        out->class_n = r.class_n;
    }
    describe(p, x->state, k && k->stored ? k : NULL, out);
    out->wants_record &= !h || !h->current;
}

int
newt__pending_next(newt__pending *p, newt__change *out)
{
    for (;;) {
        newt__header *h = p->next_cached < p->n_cached ? p->cached[p->next_cached] : NULL;
        const newt__spilled *x = &p->spilled;
        int status, order;

        if (p->handed_out) {
            p->handed_out = false;
            status = next_spilled(p);
            if (status != NEWT_OK)
                return status;
        }
        if (!h && x->oid == 0)
            return 0;
        order = !h ? 1 : x->oid == 0 ? -1 : compare(h->serial == 0, h->oid, x->serial == 0, x->oid);
        if (order > 0) {
            take_spilled(p, out);
            p->handed_out = true;
            return 1;
        }
        p->next_cached++;
        if (order == 0) { /* it has been changed since it was saved */
            status = next_spilled(p);
            if (status != NEWT_OK)
                return status;
        }
        status = take_cached(p, h, out);
        if (status != NEWT_OK)
            return status;
    }
}
