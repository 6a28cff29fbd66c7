/*
 * header.c - headers of objects: their states and their memory
 *
 * A header holds the loaded record only where something needs it: a changed object (to see at
 * commit whether it differs), one with fields that its table lacks, one of another version or with
 * older names, a bag, a tree's node after a change, and every object in debug mode. For the others
 * it is made again from the struct when they are marked changed; equal state gives equal bytes.
 */
#include "object.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- states ------------------------------------------------------------------------------ */

/* clang-format off */
static const uint8_t transitions[NEWT__N_STATES][NEWT__N_EVENTS] = {
    /*                   read             write            delete           commit           abort            invalidate       evict */
    [NEWT__UPTODATE]  = {NEWT__UPTODATE,  NEWT__CHANGED,   NEWT__DELETED,   NEWT__UPTODATE,  NEWT__UPTODATE,  NEWT__GHOST,     NEWT__GHOST},
    [NEWT__CHANGED]   = {NEWT__CHANGED,   NEWT__CHANGED,   NEWT__DELETED,   NEWT__UPTODATE,  NEWT__GHOST,     NEWT__CHANGED,   NEWT__SPILLED},
    [NEWT__NEW]       = {NEWT__NEW,       NEWT__NEW,       NEWT__FORGOTTEN, NEWT__UPTODATE,  NEWT__GHOST,     NEWT__NEW,       NEWT__SPILLED},
    [NEWT__DELETED]   = {NEWT__REFUSED,   NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__DELETED,   NEWT__SPILLED},
    [NEWT__FORGOTTEN] = {NEWT__REFUSED,   NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__FORGOTTEN, NEWT__GHOST},
    [NEWT__IMAGE]     = {NEWT__IMAGE,     NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__IMAGE,     NEWT__IMAGE},
};
/* clang-format on */

newt__state
newt__next_state(newt__state state, newt__event event)
{
    return (newt__state)transitions[state][event];
}

/* ---- bags ------------------------------------------------------------------------------- */

static inline newt_bag *
bag_of(newt__header *h)
{
    return newt__object_of(h);
}

void
newt__bag_count(newt__header *h, size_t bytes)
{
    if (h->state != NEWT__IMAGE)
        h->jar->cache.bytes += bytes - bag_of(h)->bytes;
    bag_of(h)->bytes = bytes;
}

void
newt__bag_clear(newt__header *h)
{
    newt__bag_count(h, 0);
    json_decref(bag_of(h)->state);
    bag_of(h)->state = NULL;
}

/* ---- memory ------------------------------------------------------------------------------ */

newt__header *
newt__header_make(newt__jar *c, uint32_t size)
{
    newt__header *h = c->coder.env.realloc(c->coder.env.arg, NULL, (size_t)NEWT__HEADER + size);

    if (h) {
        memset(h, 0, (size_t)NEWT__HEADER + size);
        h->jar = c;
        h->size = size;
        h->state = NEWT__IMAGE;
    }
    return h;
}

void
newt__header_forget(newt__header *h)
{
    newt__env *env = &h->jar->coder.env;

    if (!h->record)
        return;
    if (h->state != NEWT__IMAGE)
        h->jar->cache.bytes -= NEWT__BLOCK + h->record_n;
    env->free(env->arg, h->record);
    h->record = NULL;
    h->record_n = 0;
}

bool
newt__header_keep(newt__header *h, const void *record, size_t n)
{
    newt__env *env = &h->jar->coder.env;
    uint8_t *copy = n <= UINT32_MAX ? env->realloc(env->arg, NULL, n ? n : 1) : NULL;

    if (!copy)
        return false;
    memcpy(copy, record, n);
    newt__header_forget(h);
    h->record = copy;
    h->record_n = (uint32_t)n;
    if (h->state != NEWT__IMAGE)
        h->jar->cache.bytes += NEWT__BLOCK + n;
    return true;
}

void
newt__header_free(newt__header *h)
{
    newt__env *env;

    if (!h)
        return;
    env = &h->jar->coder.env;
    h->state = NEWT__IMAGE; /* the cache does not count it any more */
    if (h->bag)
        newt__bag_clear(h);
    for (newt__chunk *next; h->chunks; h->chunks = next) {
        next = h->chunks->next;
        env->free(env->arg, h->chunks);
    }
    env->free(env->arg, h->record);
    env->free(env->arg, h);
}

size_t
newt__header_bytes(const newt__header *h)
{
    size_t n = (size_t)NEWT__BLOCK + NEWT__HEADER + h->size;

    if (h->bag)
        n += ((const newt_bag *)(const void *)((const char *)h + NEWT__HEADER))->bytes;

    if (h->record)
        n += NEWT__BLOCK + h->record_n;
    for (const newt__chunk *chunk = h->chunks; chunk; chunk = chunk->next)
        n += NEWT__BLOCK + sizeof *chunk + chunk->n;
    return n;
}

void *
newt__header_alloc(newt__header *h, size_t n, bool aligned)
{
    enum {
        SMALLEST = 176,
        LARGEST = 4096 - sizeof(newt__chunk)
    };
    newt__env *env = &h->jar->coder.env;
    newt__chunk *chunk = h->chunks;
    size_t want, at = chunk ? chunk->used : 0;

    if (aligned)
        at = (at + 15) & ~(size_t)15;
    if (!chunk || at > chunk->n || n > chunk->n - at) {
        want = chunk ? 2 * chunk->n : SMALLEST;
        want = want > LARGEST ? LARGEST : want;
        want = want < n ? n : want;
        if (want > NEWT__MAX_OBJECT)
            return NULL;
        chunk = env->realloc(env->arg, NULL, sizeof *chunk + want);
        if (!chunk)
            return NULL;
        chunk->n = want;
        chunk->next = h->chunks;
        h->chunks = chunk;
        at = 0;
        if (h->state != NEWT__IMAGE)
            h->jar->cache.bytes += NEWT__BLOCK + sizeof *chunk + want;
    }
    chunk->used = at + n;
    return chunk->data + at;
}

/* ---- asking ------------------------------------------------------------------------------ */

bool
newt__header_pinned(const newt__header *h)
{
    return h->epoch == h->jar->epoch && h->pins > 0;
}

const char *
newt__header_known_class(const newt__header *h)
{
    const newt_bag *bag = h->bag ? newt__object_of((newt__header *)(uintptr_t)h) : NULL;
    const char *name = bag ? bag->class_name : h->class ? h->class->name : NULL;

    return name ? name : "";
}

const char *
newt__header_class(const newt__header *h)
{
    const char *name = newt__header_known_class(h);

    return *name ? name : "object";
}

const char *
newt__header_name(const newt__header *h, char name[NEWT__NAME_SIZE])
{
    snprintf(name, NEWT__NAME_SIZE, "%s %lld", newt__header_class(h), (long long)h->oid);
    return name;
}

int
newt__header_blame(const newt__header *h, newt_error *e)
{
    const char *name = newt__header_known_class(h);

    if (*name && e->status != NEWT_ENOMEM)
        newt__fail_class(e, name, strlen(name));
    return e->status;
}

int
newt__header_fail(const newt__header *h, int status, const char *format, ...)
{
    newt_error e = {0};
    va_list args;

    va_start(args, format);
    newt__fail_text(&e, status, h->oid, format, args);
    va_end(args);
    newt__header_blame(h, &e);
    return newt__base_fail_with(&h->jar->base, &e);
}
