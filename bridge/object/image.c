/*
 * image.c - objects that belong to no cache: made from a record, recorded again
 */
#include "object.h"

/* Older versions go through the upgrade hook of the class. */
static int
upgrade(newt__jar *c, newt__header *h, const newt__decoded *x, const void *record, size_t n,
        newt_error *e)
{
    const newt_hooks *hooks = &h->class->hooks;
    newt_record old = {.env = &c->coder.env, .data = record, .n = n};
    newt_error outside = {0};
    int status;

    /* what goes wrong in the hook's setters is this object's error, not the connection's */
    newt__error_move(&outside, &c->base.error);
    status = hooks->upgrade(x->version, &old, newt__object_of(h), hooks->arg);
    if (status == NEWT_OK && h->failed) {
        status = c->base.error.status;
        newt__error_move(e, &c->base.error);
    } else if (status != NEWT_OK) {
        newt__fail_at(e, status, h->oid, h->class, NULL,
                      "could not be upgraded from version %d to %d", (int)x->version,
                      (int)h->class->version);
    }
    newt__error_clear(&c->base.error);
    newt__error_move(&c->base.error, &outside);
    return status;
}

int
newt__image_make(newt__jar *c, const newt__class *k, int64_t oid, const void *record, size_t n,
                 newt__header **out, newt_error *e)
{
    newt__decoded x;
    newt__header *h;
    int status = newt__decode(&c->coder, k, oid, record, n, NEWT__HEADER, &x, e);

    *out = NULL;
    if (status != NEWT_OK)
        return status;
    h = x.block;
    h->jar = c;
    h->class = k;
    h->oid = oid;
    h->size = x.size;
    h->state = NEWT__IMAGE;
    h->extra = x.extra;
    h->fixed = x.fixed;
    h->future = x.newer;
    if ((x.extra || x.fixed || x.older || x.past || c->keep || c->options->debug) &&
        !newt__header_keep(h, record, n))
        status = newt__fail_memory(e);
    else if (x.older && k->hooks.upgrade)
        status = upgrade(c, h, &x, record, n, e);
    if (status == NEWT_OK)
        *out = h;
    else
        newt__header_free(h);
    return status;
}

newt__source
newt__image_source(const newt__header *h)
{
    return (newt__source){.class = h->class,
                          .oid = h->oid,
                          .data = (const char *)h + NEWT__HEADER,
                          .record = h->record,
                          .record_n = h->record_n,
                          .extra = h->extra};
}

int
newt__image_encode(newt__jar *c, const newt__header *h, bool strict, newt_error *e)
{
    newt__source x = newt__image_source(h);

    return newt__encode(&c->coder, &x, strict, e);
}
