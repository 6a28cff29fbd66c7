/*
 * object.c - finding, changing and adding objects; what the end of a transaction does to them
 */
#include "object.h"

#include <string.h>

/* ---- finding ----------------------------------------------------------------------------- */

void
newt__object_use(newt__header *h)
{
    if (h->epoch != h->jar->epoch) {
        h->epoch = h->jar->epoch;
        h->pins = 0;
    }
    if (h->tick != h->jar->tick)
        newt__cache_touch(h);
}

newt__header *
newt__object_find(newt__jar *c, newt_ref r, newt__event event)
{
    newt__header *h;

    if (newt__base_enter(&c->base) != NEWT_OK)
        return NULL;
    h = newt__cache_find(&c->cache, r.oid);
    if (!h) {
        if (r.oid == 0)
            newt__base_fail(&c->base, NEWT_EINVAL, 0, "the reference is null");
        else if (r.oid < 0)
            newt__base_fail(&c->base, NEWT_EINVAL, 0, "a reference has a negative oid: %lld",
                            (long long)r.oid);
        if (r.oid <= 0)
            return NULL;
        if (newt__load(c, &r.oid, 1) != NEWT_OK)
            return NULL;
        h = newt__cache_find(&c->cache, r.oid);
        if (!h) {
            newt__base_fail(&c->base, NEWT_EMISSING, r.oid, "object %lld does not exist",
                            (long long)r.oid);
            return NULL;
        }
    }
    if (newt__next_state(h->state, event) == NEWT__REFUSED) {
        char name[NEWT__NAME_SIZE];

        newt__base_fail(&c->base, NEWT_EMISSING, r.oid, "%s has been deleted in this transaction",
                        newt__header_name(h, name));
        return NULL;
    }
    newt__object_use(h);
    return h;
}

/* ---- changing ---------------------------------------------------------------------------- */

void
newt__object_list(newt__header *h)
{
    h->written = false;
    if (NEWT__SELDOM(h->class && h->class->n_indexes > 0 && !h->to_index))
        h->to_index = newt__oids_add(&h->jar->to_index, h->oid);
    if (!h->listed)
        newt__cache_list(h, true);
}

/* It is fixed. */
static int
refuse_change(newt__header *h)
{
    newt__jar *c = h->jar;
    char name[NEWT__NAME_SIZE];
    newt__reader r;

    newt__header_name(h, name);
    if (h->future && newt__read_begin(&r, &c->coder.env, h->record, h->record_n) == NEWT__OK)
        newt__header_fail(h, NEWT_ECLASS,
                          "%s can only be read: it was written with version %d of its class, which "
                          "is newer than this program's version %d",
                          name, (int)r.version, (int)h->class->version);
    else
        newt__header_fail(h, NEWT_ECLASS,
                          "%s can only be read: its record has fields that this program could not "
                          "keep",
                          name);
    if (c->base.error.status == NEWT_ECLASS)
        newt__fail_hint(&c->base.error, h->future ? "Use a program with that version of the class."
                                                  : "Update the program's class table.");
    return NEWT_ECLASS;
}

int
newt__object_change(newt__header *h)
{
    newt__jar *c = h->jar;
    newt_error e = {0};

    if (h->state == NEWT__CHANGED || h->state == NEWT__NEW) {
        newt__object_list(h); /* it may have been saved as it was */
        return NEWT_OK;
    }
    if (h->fixed)
        return refuse_change(h);
    if (!h->record) {
        if (newt__image_encode(c, h, false, &e) == NEWT_OK &&
            !newt__header_keep(h, c->coder.writer.buf.data, c->coder.writer.buf.n))
            newt__fail_memory(&e);
        if (e.status != NEWT_OK)
            return newt__base_fail_with(&c->base, &e);
    }
    h->state = (uint8_t)newt__next_state(h->state, NEWT__ON_WRITE);
    newt__object_list(h);
    return NEWT_OK;
}

int
newt__object_add(newt__jar *c, newt__header *h, int64_t oid)
{
    h->oid = oid;
    if (newt__cache_put(c, h) != NEWT_OK) {
        newt_error e = {0};

        newt__fail_memory(&e);
        return newt__base_fail_with(&c->base, &e);
    }
    h->state = NEWT__NEW;
    newt__object_use(h);
    newt__object_pin(h);
    newt__object_list(h);
    newt__cache_sweep(c);
    return NEWT_OK;
}

int
newt__next_oid(newt__jar *c, int64_t *oid)
{
    newt__call call = newt__call_begin(c);
    int64_t asked = c->stats.round_trips;
    newt_error e = {0};
    int status = c->storage->next_oid(c->session, oid, &e);

    if (status != NEWT_OK || c->stats.round_trips != asked) /* nearly all are here already */
        newt__call_end(c, &call, "oids", NULL, status);
    if (status == NEWT_OK)
        return NEWT_OK;
    newt__base_fail_with(&c->base, &e);
    return newt__base_doom(&c->base);
}

/* ---- load and commit --------------------------------------------------------------------- */

int
newt__object_encode(newt__jar *c, newt__header *h, bool *same)
{
    newt_error e = {0};
    int status = h->bag ? newt__bag_encode(c, h, &e) : newt__image_encode(c, h, true, &e);

    if (status != NEWT_OK)
        return newt__base_fail_with(&c->base, &e);
    if (same)
        *same = h->state == NEWT__CHANGED && h->record_n == c->coder.writer.buf.n &&
                memcmp(h->record, c->coder.writer.buf.data, h->record_n) == 0;
    return NEWT_OK;
}

bool
newt__object_used(const newt__jar *c, int64_t oid)
{
    const newt__header *h = newt__cache_find(&c->cache, oid);

    return h && h->epoch == c->epoch;
}

void
newt__object_invalidate(newt__jar *c, int64_t oid)
{
    const newt__header *h = newt__cache_find(&c->cache, oid);

    if (h && h->epoch != c->epoch && newt__next_state(h->state, NEWT__ON_INVALIDATE) == NEWT__GHOST)
        newt__cache_remove(c, oid);
}

/* ---- the end of a transaction ------------------------------------------------------------ */

/* Whether a node that was made in this transaction has hardly more memory than a loaded one: most
 * of a tree that was filled at once are so. */
static bool
is_compact(const newt__header *h)
{
    const newt__tree *t = h->class->tree;
    const newt__node *node = (const void *)((const char *)h + NEWT__HEADER);
    const newt__array_layout *column;
    size_t used = node->bytes_ + (size_t)node->children_.n * sizeof(newt_ref);
    size_t all = newt__header_bytes(h) - NEWT__HEADER - h->size;

    for (uint32_t i = 0; i <= t->n_keys; i++) {
        const newt__field *f = i < t->n_keys ? t->keys[i] : t->values;

        if (!f)
            continue;
        column = (const void *)((const char *)node + f->f.offset);
        used += (size_t)column->n * f->f.size;
    }
    return all <= used + used / 4;
}

/* After commit an object is as if it had been loaded: in one block, its replaced values gone. What
 * there is no memory for becomes a ghost. */
static void
load_again(newt__jar *c, newt__header *h)
{
    newt__header *fresh = NULL;
    newt_error e = {0};
    int status;

    if (h->bag) {
        if (newt__bag_encode(c, h, &e) == NEWT_OK &&
            newt__header_keep(h, c->coder.writer.buf.data, c->coder.writer.buf.n))
            newt__bag_clear(h);
        else
            newt__cache_remove(c, h->oid);
        newt__error_clear(&e);
        return;
    }
    if (!h->extra && !c->options->debug &&
        (!h->chunks || (h->class->tree && !h->record && is_compact(h)))) {
        newt__header_forget(h);
        return;
    }
    status = newt__image_encode(c, h, false, &e);
    if (status == NEWT_OK) {
        /* the decoder reads what the writer holds, and writes elsewhere */
        status = newt__image_make(c, h->class, h->oid, c->coder.writer.buf.data,
                                  c->coder.writer.buf.n, &fresh, &e);
    }
    newt__error_clear(&e);
    /* a node that was changed will be changed again, and is large: its record is kept, which else
     * is made anew then */
    if (status == NEWT_OK && h->class->tree && h->record && !fresh->record)
        (void)newt__header_keep(fresh, c->coder.writer.buf.data, c->coder.writer.buf.n);
    if (status == NEWT_OK) {
        fresh->serial = h->serial;
        fresh->epoch = h->epoch;
        if (newt__cache_put(c, fresh) == NEWT_OK) {
            fresh->state = NEWT__UPTODATE;
            return;
        }
        newt__header_free(fresh);
    }
    newt__cache_remove(c, h->oid);
}

/* Forgets what newt_read_current was told. */
static void
forget_current(newt__jar *c)
{
    for (size_t i = 0; i < c->n_current; i++) {
        newt__header *h = newt__cache_find(&c->cache, c->current[i].oid);

        if (h)
            h->current = false;
    }
    c->n_current = 0;
}

/* Forgets what indexes were to look at. */
static void
forget_to_index(newt__jar *c)
{
    for (size_t i = 0; i < c->to_index.n; i++) {
        newt__header *h = newt__cache_find(&c->cache, c->to_index.oids[i]);

        if (h)
            h->to_index = false;
    }
    c->to_index.n = 0;
    c->to_index.failed = false;
}

/* Those of the changed or of the saved ones. */
static void
finish_ring(newt__jar *c, newt__header *oldest, newt__event event, int64_t serial)
{
    for (newt__header *h = oldest, *next; h; h = next) {
        newt__state state = newt__next_state(h->state, event);
        bool written = h->written || h->saved;

        next = h->newer;
        newt__cache_list(h, false);
        if (state == NEWT__GHOST) {
            newt__cache_remove(c, h->oid);
            continue;
        }
        h->state = (uint8_t)state;
        if (written)
            h->serial = serial;
        h->written = false;
        load_again(c, h);
    }
}

static void
finish(newt__jar *c, newt__event event, int64_t serial)
{
    enum {
        KEPT_BUFFER = 1 << 20
    };
    newt__header *h, *next;

    forget_current(c);
    forget_to_index(c);
    newt__spill_clear(&c->spill);
    c->savepoints = 0;
    c->as_loaded.n = 0;
    finish_ring(c, c->cache.changed.oldest, event, serial);
    finish_ring(c, c->cache.saved.oldest, event, serial);
    for (h = c->views; h; h = next) {
        next = h->newer;
        newt__header_free(h);
    }
    c->views = NULL;
    if (c->coder.writer.buf.cap > KEPT_BUFFER)
        newt__buffer_free(&c->coder.writer.buf);
    c->epoch++; /* pins and pointers end here; what others changed may be invalidated now */
    newt__cache_sweep(c);
}

void
newt__objects_committed(newt__jar *c, int64_t serial)
{
    finish(c, NEWT__ON_COMMIT, serial);
}

void
newt__objects_aborted(newt__jar *c)
{
    finish(c, NEWT__ON_ABORT, 0);
}
