/*
 * cache.c - the objects of one connection, by oid
 *
 * Open addressing with linear probing; an entry is removed by moving back those behind it, so that
 * there are no tombstones and a search ends at the first empty slot.
 */
#include "object.h"

#include <string.h>

enum {
    FIRST_CAP = 64
};

static inline size_t
home(const newt__cache *cache, int64_t oid)
{
    /* the golden ratio spreads the consecutive oids of a block; the upper half is the mixed one */
    return (size_t)(((uint64_t)oid * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (cache->cap - 1);
}

/* The slot that holds the oid, or the empty one where it would be. */
static size_t
slot_of(const newt__cache *cache, int64_t oid)
{
    size_t i = home(cache, oid);

    while (cache->slots[i].h && cache->slots[i].oid != oid)
        i = (i + 1) & (cache->cap - 1);
    return i;
}

newt__header *
newt__cache_find(const newt__cache *cache, int64_t oid)
{
    return cache->cap ? cache->slots[slot_of(cache, oid)].h : NULL;
}

/* At most three quarters are in use. */
static bool
make_room(newt_conn *c)
{
    newt__cache *cache = &c->cache, bigger = *cache;

    if (cache->cap && cache->n < cache->cap / 4 * 3)
        return true;
    bigger.cap = cache->cap ? 2 * cache->cap : FIRST_CAP;
    if (bigger.cap > SIZE_MAX / 2 / sizeof *bigger.slots)
        return false;
    bigger.slots = c->env.realloc(c->env.arg, NULL, bigger.cap * sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < cache->cap; i++)
        if (cache->slots[i].h)
            bigger.slots[slot_of(&bigger, cache->slots[i].oid)] = cache->slots[i];
    c->env.free(c->env.arg, cache->slots);
    *cache = bigger;
    return true;
}

int
newt__cache_put(newt_conn *c, newt__header *h)
{
    newt__cache *cache = &c->cache;
    newt__header *old;
    size_t i;

    if (!make_room(c))
        return NEWT_ENOMEM;
    i = slot_of(cache, h->oid);
    old = cache->slots[i].h;
    if (old == h)
        return NEWT_OK;
    if (old) {
        cache->bytes -= newt__object_bytes(old);
        newt__object_free(old);
    } else {
        cache->n++;
    }
    cache->slots[i] = (newt__slot){h->oid, h};
    cache->bytes += newt__object_bytes(h);
    return NEWT_OK;
}

void
newt__cache_remove(newt_conn *c, int64_t oid)
{
    newt__cache *cache = &c->cache;
    size_t hole, i, mask = cache->cap - 1;
    newt__header *h;

    if (!cache->cap)
        return;
    hole = slot_of(cache, oid);
    h = cache->slots[hole].h;
    if (!h)
        return;
    cache->bytes -= newt__object_bytes(h);
    cache->n--;
    newt__object_free(h);
    for (i = (hole + 1) & mask; cache->slots[i].h; i = (i + 1) & mask) {
        /* one whose home lies cyclically in (hole, i] stays */
        if (((i - home(cache, cache->slots[i].oid)) & mask) >= ((i - hole) & mask)) {
            cache->slots[hole] = cache->slots[i];
            hole = i;
        }
    }
    cache->slots[hole] = (newt__slot){0};
}

void
newt__cache_clear(newt_conn *c)
{
    newt__cache *cache = &c->cache;

    for (size_t i = 0; i < cache->cap; i++)
        if (cache->slots[i].h)
            newt__object_free(cache->slots[i].h);
    c->env.free(c->env.arg, cache->slots);
    *cache = (newt__cache){0};
}
