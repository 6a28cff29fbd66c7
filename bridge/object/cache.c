/*
 * cache.c - the objects of one connection, by oid and by their last use
 *
 * Open addressing with linear probing, by groups of slots; an entry is removed by moving back those
 * after it, so that there are no tombstones and a search ends at the first empty slot.
 *
 * Time is counted in ticks, of which there are some 64 while the whole content is replaced. An
 * object moves to the newest end of its ring at its first use in a tick, so that using one again
 * and again costs no more than a comparison.
 */
#include "object.h"

#include <string.h>

enum {
    FIRST_CAP = 64,
    FIRST_SHIFT = 64 - 6,
    TICKS = 64,
    DEFAULT_BYTES = 256 * 1024 * 1024
};

/* ---- rings ------------------------------------------------------------------------------- */

static newt__ring *
ring_of(newt__header *h)
{
    newt__cache *cache = &h->jar->cache;

    return h->listed ? &cache->changed : h->saved ? &cache->saved : &cache->clean;
}

static inline void
leave(newt__header *h)
{
    newt__ring *ring = ring_of(h);

    *(h->newer ? &h->newer->older : &ring->newest) = h->older;
    *(h->older ? &h->older->newer : &ring->oldest) = h->newer;
    ring->n--;
}

static void
enter(newt__header *h)
{
    newt__ring *ring = ring_of(h);

    h->tick = h->jar->tick;
    h->newer = NULL;
    h->older = ring->newest;
    *(ring->newest ? &ring->newest->newer : &ring->oldest) = h;
    ring->newest = h;
    ring->n++;
}

void
newt__cache_touch(newt__header *h)
{
    leave(h);
    enter(h);
}

void
newt__cache_list(newt__header *h, bool changed)
{
    leave(h);
    h->listed = changed;
    h->saved = false;
    enter(h);
}

void
newt__cache_save(newt__header *h, uint16_t level)
{
    leave(h);
    h->listed = false;
    h->saved = true;
    h->level = level;
    enter(h);
}

/* ---- oids -------------------------------------------------------------------------------- */

/* The way from one slot to another, in steps of newt__cache_next. */
static size_t
distance(const newt__cache *cache, size_t from, size_t to)
{
    size_t groups = cache->cap / NEWT__GROUP;

    return (to % NEWT__GROUP * groups + to / NEWT__GROUP -
            (from % NEWT__GROUP * groups + from / NEWT__GROUP)) &
           (cache->cap - 1);
}

/* At most three quarters are in use. */
static bool
make_room(newt__jar *c)
{
    newt__cache *cache = &c->cache, bigger = *cache;

    if (cache->cap && cache->n < cache->cap / 4 * 3)
        return true;
    bigger.cap = cache->cap ? 2 * cache->cap : FIRST_CAP;
    bigger.shift = cache->cap ? cache->shift - 1 : FIRST_SHIFT;
    if (bigger.cap > SIZE_MAX / 2 / sizeof *bigger.slots)
        return false;
    bigger.slots = c->coder.env.realloc(c->coder.env.arg, NULL, bigger.cap * sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < cache->cap; i++)
        if (cache->slots[i].h)
            bigger.slots[newt__cache_slot(&bigger, cache->slots[i].oid)] = cache->slots[i];
    c->coder.env.free(c->coder.env.arg, cache->slots);
    *cache = bigger;
    newt__cache_quicken(c);
    return true;
}

int
newt__cache_put(newt__jar *c, newt__header *h)
{
    newt__cache *cache = &c->cache;
    newt__header *old;
    size_t i;

    if (!make_room(c))
        return NEWT_ENOMEM;
    i = newt__cache_slot(cache, h->oid);
    old = cache->slots[i].h;
    if (old == h)
        return NEWT_OK;
    if (old) {
        leave(old);
        cache->bytes -= newt__header_bytes(old);
        newt__header_free(old);
    } else {
        cache->n++;
    }
    cache->slots[i] = (newt__slot){h->oid, h};
    cache->bytes += newt__header_bytes(h);
    cache->came += newt__header_bytes(h);
    if (cache->came > cache->bytes / TICKS) {
        cache->came = 0;
        c->tick++;
    }
    cache->last = h->oid;
    enter(h);
    return NEWT_OK;
}

void
newt__cache_remove(newt__jar *c, int64_t oid)
{
    newt__cache *cache = &c->cache;
    size_t hole, i;
    newt__header *h;

    if (!cache->cap)
        return;
    hole = newt__cache_slot(cache, oid);
    h = cache->slots[hole].h;
    if (!h)
        return;
    leave(h);
    cache->bytes -= newt__header_bytes(h);
    cache->n--;
    newt__header_free(h);
    for (i = newt__cache_next(cache, hole); cache->slots[i].h; i = newt__cache_next(cache, i)) {
        /* one whose home lies in (hole, i] stays */
        size_t home = newt__cache_home(cache, cache->slots[i].oid);

        if (distance(cache, home, i) >= distance(cache, hole, i)) {
            cache->slots[hole] = cache->slots[i];
            hole = i;
        }
    }
    cache->slots[hole] = (newt__slot){0};
}

void
newt__cache_clear(newt__jar *c)
{
    newt__cache *cache = &c->cache;

    for (size_t i = 0; i < cache->cap; i++)
        if (cache->slots[i].h)
            newt__header_free(cache->slots[i].h);
    c->coder.env.free(c->coder.env.arg, cache->slots);
    *cache = (newt__cache){.evicted = cache->evicted};
    newt__cache_quicken(c);
}

void
newt__cache_quicken(newt__jar *c)
{
    bool open = c->base.phase == NEWT__LAZY || c->base.phase == NEWT__OPEN;

    c->quick = open && !c->options->debug ? c->cache.slots : NULL;
}

/* ---- the limit --------------------------------------------------------------------------- */

static size_t
limit(const newt__jar *c)
{
    return c->options->cache_bytes ? c->options->cache_bytes : DEFAULT_BYTES;
}

bool
newt__cache_is_over(const newt__jar *c)
{
    const newt__cache *cache = &c->cache;
    size_t most = c->options->cache_objects;

    return cache->bytes + cache->cap * sizeof *cache->slots > limit(c) || (most && cache->n > most);
}

newt__header *
newt__cache_oldest(const newt__cache *cache)
{
    newt__header *const rings[] = {cache->clean.oldest, cache->saved.oldest, cache->changed.oldest};
    newt__header *oldest = NULL;

    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
        if (rings[i] && (!oldest || (int32_t)(rings[i]->tick - oldest->tick) < 0))
            oldest = rings[i];
    return oldest;
}

static int64_t
count_pinned(const newt__ring *ring)
{
    int64_t n = 0;

    for (const newt__header *h = ring->oldest; h; h = h->newer)
        n += newt__header_pinned(h);
    return n;
}

void
newt_cache_stats(const newt_conn *conn, newt_cache *out)
{
    const newt__jar *c = newt__jar_of((newt_conn *)(uintptr_t)conn);
    const newt__cache *cache = &c->cache;
    newt_cache s = {.objects = (int64_t)cache->n,
                    .bytes = (int64_t)(cache->bytes + cache->cap * sizeof *cache->slots),
                    .most_objects = (int64_t)c->options->cache_objects,
                    .most_bytes = limit(c) > INT64_MAX ? INT64_MAX : (int64_t)limit(c),
                    .changed = (int64_t)cache->changed.n,
                    .pinned = count_pinned(&cache->clean) + count_pinned(&cache->changed) +
                              count_pinned(&cache->saved),
                    .spilled = (int64_t)newt__spill_n(c->spill),
                    .evicted = cache->evicted};
    size_t n = out->size < sizeof s ? out->size : sizeof s;

    s.size = n;
    memcpy(out, &s, n);
}
