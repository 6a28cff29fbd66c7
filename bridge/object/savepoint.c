/*
 * savepoint.c - savepoints: what was changed is kept as it is, and comes back as it was
 *
 * Taking one puts the records of what was changed since the last into spill.c; the objects are
 * saved then and cost the next one nothing. Rolling back undoes the file; objects leave the cache,
 * as if evicted, or are made again in place if the program has a pointer to them.
 */
#include "object.h"

#include <string.h>

/* ---- taking ------------------------------------------------------------------------------- */

/* One that the program points to may be changed without a call: it stays among the changed ones. */
static int
save(newt__header *h)
{
    newt__jar *c = h->jar;
    bool same;
    int status = newt__object_put(h, &same);

    if (status != NEWT_OK || newt__header_pinned(h))
        return status;
    if (!same) {
        newt__cache_save(h, (uint16_t)(c->savepoints + 1));
    } else if (h->state == NEWT__FORGOTTEN) {
        if (!newt__object_must_stay(h))
            newt__cache_remove(c, h->oid);
    } else {
        h->state = NEWT__UPTODATE;
        newt__cache_list(h, false);
        if (!h->extra && !h->bag && !c->options->debug)
            newt__header_forget(h);
    }
    return NEWT_OK;
}

int
newt__objects_save(newt__jar *c)
{
    int status = NEWT_OK;

    for (newt__header *h = c->cache.changed.oldest, *next; h && status == NEWT_OK; h = next) {
        next = h->newer;
        status = save(h);
    }
    if (status == NEWT_OK)
        c->savepoints++;
    newt__cache_sweep(c);
    return status;
}

/* ---- rolling back --------------------------------------------------------------------------- */

/* Gives the object the state of another, whose memory it takes over; pointers to it stay valid, and
 * so do those to what it had. */
static void
become(newt__header *h, newt__header *fresh)
{
    newt__env *env = &h->jar->coder.env;
    newt__cache *cache = &h->jar->cache;
    size_t before = newt__header_bytes(h);
    uint8_t state = h->state, *record = h->record;
    newt__chunk **end = &h->chunks, *block;

    h->state = NEWT__IMAGE; /* not counted meanwhile */
    h->record = fresh->record;
    h->record_n = fresh->record_n;
    h->extra = fresh->extra;
    h->fixed = fresh->fixed;
    h->future = fresh->future;
    fresh->record = NULL;
    env->free(env->arg, record);
    if (h->bag) {
        newt_bag *mine = newt__object_of(h), *its = newt__object_of(fresh), had = *mine;

        *mine = *its;
        its->state = had.state;
        its->bytes = had.bytes;
        newt__header_free(fresh);
    } else {
        memcpy(newt__object_of(h), newt__object_of(fresh), h->class->size);
        /* the block becomes one more chunk, for what the struct points to lies there */
        while (*end)
            end = &(*end)->next;
        *end = fresh->chunks;
        block = (newt__chunk *)(void *)fresh;
        *block = (newt__chunk){.next = h->chunks,
                               .n = NEWT__HEADER + fresh->size - sizeof *block,
                               .used = NEWT__HEADER + fresh->size - sizeof *block};
        h->chunks = block;
    }
    h->state = state;
    cache->bytes += newt__header_bytes(h) - before;
}

_Static_assert(sizeof(newt__chunk) <= NEWT__HEADER, "a header's block can become a chunk");

/* As it was at the savepoint, from what spill.c has. */
typedef struct saved {
    newt__header *h;
    bool found;
} saved;

static int
take_saved(void *arg, const newt__spilled *x)
{
    saved *s = arg;
    newt__header *fresh;

    s->found = true;
    if (x->state != NEWT__DELETED) { /* else it cannot be looked at */
        if (newt__object_restore(s->h->jar, x, &fresh) != NEWT_OK)
            return NEWT_ENOMEM;
        become(s->h, fresh);
    }
    s->h->state = x->state;
    newt__object_list(s->h);
    return NEWT_OK;
}

/* Whether it is of a class that has a table, but is not as that says, or cannot be read at all:
 * then it could only be deleted. */
static bool
is_misfit(newt__header *h)
{
    const char *name = h->bag ? ((const newt_bag *)newt__object_of(h))->class_name : NULL;

    return h->bag && (!name || newt__class_named(h->jar->classes, name, strlen(name)));
}

/* As it was loaded: nothing had been changed about it. */
static int
unchanged(newt__header *h)
{
    newt__spilled x = {.oid = h->oid, .state = NEWT__CHANGED};
    newt__header *fresh;

    if (!h->record || is_misfit(h)) { /* it was deleted as it was */
        h->state = NEWT__UPTODATE;
        newt__cache_list(h, false);
        return NEWT_OK;
    }
    x.record = x.old = h->record;
    x.record_n = x.old_n = h->record_n;
    if (newt__object_restore(h->jar, &x, &fresh) != NEWT_OK)
        return NEWT_ENOMEM;
    become(h, fresh);
    h->state = NEWT__CHANGED; /* the program may write to it still */
    newt__object_list(h);
    return NEWT_OK;
}

/* The file is as it was at the savepoint. */
static int
undo(newt__header *h)
{
    newt__jar *c = h->jar;
    saved s = {.h = h};
    newt_error e = {0};
    int status;

    if (!newt__object_must_stay(h)) {
        newt__cache_remove(c, h->oid);
        return NEWT_OK;
    }
    status = newt__spill_get(&c->spill, h->oid, take_saved, &s, &e);
    if (e.status != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        return newt__base_doom(&c->base);
    }
    if (status == NEWT_OK && !s.found) {
        if (h->serial != 0) {
            status = unchanged(h);
        } else { /* it did not exist */
            h->state = NEWT__FORGOTTEN;
            h->read_as = NULL;
            newt__object_list(h);
        }
    }
    if (status != NEWT_OK) {
        newt__base_fail_memory(&c->base);
        newt__base_doom(&c->base);
    }
    return status;
}

/* What was changed back since, and was saved or evicted then, has no entry in the file since: if it
 * is in the cache it is clean, and not what it was at the savepoint. */
static int
undo_as_loaded(newt__jar *c, uint16_t savepoint)
{
    newt__oids *l = &c->as_loaded;
    newt_error e = {0};
    size_t n = 0;
    int status = NEWT_OK;

    for (size_t i = 0; i < l->n; i += 2) {
        newt__header *h = newt__cache_find(&c->cache, l->oids[i]);
        bool has = false;

        if (l->oids[i + 1] <= savepoint) {
            l->oids[n++] = l->oids[i];
            l->oids[n++] = l->oids[i + 1];
        } else if (status == NEWT_OK && h && !h->listed && !h->saved) {
            status = newt__spill_has(&c->spill, h->oid, &has, &e);
            if (has)
                status = undo(h);
        }
    }
    l->n = n;
    if (e.status == NEWT_OK)
        return status;
    newt__base_fail_with(&c->base, &e);
    return newt__base_doom(&c->base);
}

int
newt__objects_back(newt__jar *c, uint16_t savepoint)
{
    newt__header *next, *last;
    newt_error e = {0};
    int status = newt__spill_back(&c->spill, savepoint, &e);

    if (status != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        return newt__base_doom(&c->base);
    }
    c->savepoints = savepoint;
    last = c->cache.changed.newest; /* what is restored comes after it */
    for (newt__header *h = c->cache.changed.oldest; h && status == NEWT_OK; h = next) {
        next = h == last ? NULL : h->newer;
        status = undo(h);
    }
    for (newt__header *h = c->cache.saved.oldest; h && status == NEWT_OK; h = next) {
        next = h->newer;
        if (h->level > savepoint)
            status = undo(h);
    }
    if (status == NEWT_OK)
        status = undo_as_loaded(c, savepoint);
    newt__cache_sweep(c);
    return status;
}

int
newt__objects_merge(newt__jar *c, uint16_t savepoint)
{
    newt_error e = {0};

    if (newt__spill_merge(&c->spill, savepoint, &e) != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        return newt__base_doom(&c->base);
    }
    c->savepoints = (uint16_t)(savepoint - 1);
    return NEWT_OK;
}
