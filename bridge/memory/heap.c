/*
 * heap.c - versions of objects by oid, and when they can go
 *
 * Each commit puts new versions in front of old ones. An old one stays as long as an open snapshot
 * can see it: the newest of these lists it, and when that is closed, the next older one that can
 * see it does; if there is none, it is freed. So one old snapshot keeps one version of an object,
 * however often the object is changed meanwhile.
 */
#include "heap.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_OID = 1024,
    FIRST_CAP = 64,
    FIRST_SHIFT = 64 - 6,
    MOST_LOGGED = 4096,         /* transactions */
    MOST_LOGGED_BYTES = 2 << 20 /* of all of them, except the last */
};

/* [ "newt.Root", 1, { "items": {} } ], as sql/store.sql has it */
static const uint8_t root[] = {0x83, 0x69, 'n',  'e',  'w', 't', '.', 'R', 'o', 'o',
                               't',  0x01, 0xa1, 0x65, 'i', 't', 'e', 'm', 's', 0xa0};

/* ---- versions by oid ----------------------------------------------------------------------- */

static size_t
home(const newt__heap *h, int64_t oid)
{
    return (size_t)((uint64_t)oid * UINT64_C(0x9E3779B97F4A7C15) >> h->shift);
}

/* The place of the oid, or the free one where it would be. */
static size_t
place(const newt__heap *h, int64_t oid)
{
    size_t i = home(h, oid);

    while (h->places[i].newest && h->places[i].oid != oid)
        i = (i + 1) & (h->cap - 1);
    return i;
}

newt__version *
newt__heap_now(const newt__heap *h, int64_t oid)
{
    newt__version *v = h->places[place(h, oid)].newest;

    return v && !v->removed ? v : NULL;
}

const newt__version *
newt__heap_at(const newt__heap *h, int64_t oid, int64_t tid)
{
    const newt__version *v = h->places[place(h, oid)].newest;

    while (v && v->tid > tid)
        v = v->older;
    return v && !v->removed ? v : NULL;
}

/* Moves back what follows, so that a search ends at the first free place. */
static void
free_place(newt__heap *h, size_t hole)
{
    size_t mask = h->cap - 1;

    for (size_t i = (hole + 1) & mask; h->places[i].newest; i = (i + 1) & mask) {
        /* one whose home lies in (hole, i] stays */
        if (((i - home(h, h->places[i].oid)) & mask) >= ((i - hole) & mask)) {
            h->places[hole] = h->places[i];
            hole = i;
        }
    }
    h->places[hole] = (newt__place_of){0};
    h->n--;
}

static void
free_versions(newt__version *v)
{
    for (newt__version *older; v; v = older) {
        older = v->older;
        free(v);
    }
}

/* Frees a version that is not the newest; and a removal in front that hides nothing any more. */
static void
drop(newt__heap *h, newt__version *v)
{
    size_t i = place(h, v->oid);
    newt__version *newer = h->places[i].newest;

    while (newer->older != v)
        newer = newer->older;
    newer->older = v->older;
    free(v);
    if (newer == h->places[i].newest && newer->removed && !newer->older) {
        free(newer);
        free_place(h, i);
    }
}

/* A version that is not the newest: lists it with the view if that can see it. */
static void
supersede(newt__heap *h, newt__version *v, newt__view *view)
{
    if (view && view->tid >= v->tid) {
        v->next = view->superseded;
        view->superseded = v;
    } else {
        drop(h, v);
    }
}

/* ---- room ------------------------------------------------------------------------------------ */

static newt__logged *
logged(const newt__heap *h, size_t i)
{
    return h->log[(h->log_at + i) & (h->cap_log - 1)];
}

/* One more entry fits into the log. */
static bool
grow_log(newt__heap *h)
{
    size_t cap = h->cap_log ? 2 * h->cap_log : 16;
    newt__logged **bigger;

    if (h->n_log < h->cap_log)
        return true;
    bigger = malloc(cap * sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < h->n_log; i++)
        bigger[i] = logged(h, i);
    free(h->log);
    h->log = bigger;
    h->cap_log = cap;
    h->log_at = 0;
    return true;
}

/* At most three quarters of the places are taken. */
static bool
grow_places(newt__heap *h, size_t more)
{
    newt__heap bigger = *h;

    if (more > SIZE_MAX / 8 / sizeof *h->places - h->n)
        return false;
    while (bigger.cap == 0 || h->n + more > bigger.cap / 4 * 3) {
        bigger.shift = bigger.cap ? bigger.shift - 1 : FIRST_SHIFT;
        bigger.cap = bigger.cap ? 2 * bigger.cap : FIRST_CAP;
    }
    if (bigger.cap == h->cap)
        return true;
    bigger.places = calloc(bigger.cap, sizeof *bigger.places);
    if (!bigger.places)
        return false;
    for (size_t i = 0; i < h->cap; i++)
        if (h->places[i].newest)
            bigger.places[place(&bigger, h->places[i].oid)] = h->places[i];
    free(h->places);
    h->places = bigger.places;
    h->cap = bigger.cap;
    h->shift = bigger.shift;
    return true;
}

bool
newt__heap_reserve(newt__heap *h, size_t n)
{
    return grow_places(h, n) && grow_log(h);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

void
newt__heap_open(newt__heap *h, newt__view *v)
{
    v->tid = h->tid;
    v->older = h->newest;
    v->newer = NULL;
    v->superseded = NULL;
    *(h->newest ? &h->newest->newer : &h->oldest) = v;
    h->newest = v;
}

void
newt__heap_close(newt__heap *h, newt__view *v)
{
    newt__version *next;

    if (v->tid == 0)
        return;
    *(v->newer ? &v->newer->older : &h->newest) = v->older;
    *(v->older ? &v->older->newer : &h->oldest) = v->newer;
    v->tid = 0;
    for (newt__version *x = v->superseded; x; x = next) {
        next = x->next;
        supersede(h, x, v->older);
    }
}

/* ---- transactions ----------------------------------------------------------------------- */

/* Microseconds of the clock, but never one that was given. */
static int64_t
next_tid(const newt__heap *h)
{
    int64_t us = newt__time();

    return us > h->tid ? us : h->tid + 1;
}

void
newt__logged_free(newt__logged *entry)
{
    if (!entry)
        return;
    free(entry->user);
    free(entry->description);
    free(entry->extension);
    free(entry->classes);
    free(entry);
}

static size_t
size_of(const newt__logged *entry)
{
    const char *texts[] = {entry->user, entry->description, entry->extension};
    size_t bytes = sizeof *entry + entry->n * sizeof *entry->oids + entry->classes_n;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    return bytes;
}

static void
forget_oldest(newt__heap *h)
{
    newt__logged *entry = logged(h, 0);

    h->forgotten = (newt__position){entry->tid, entry->serial};
    h->log_bytes -= entry->bytes;
    newt__logged_free(entry);
    h->log_at = (h->log_at + 1) & (h->cap_log - 1);
    h->n_log--;
}

void
newt__heap_put(newt__heap *h, newt__logged *entry, newt__version **versions)
{
    entry->tid = h->tid = next_tid(h);
    entry->serial = ++h->serial;
    for (size_t i = 0; i < entry->n; i++) {
        newt__version *v = versions[i];
        size_t at = place(h, v->oid);

        v->tid = entry->tid;
        v->serial = entry->serial;
        v->older = h->places[at].newest;
        h->n += !v->older;
        h->places[at] = (newt__place_of){v->oid, v};
        if (v->older)
            supersede(h, v->older, h->newest);
    }
    h->log[(h->log_at + h->n_log++) & (h->cap_log - 1)] = entry;
    entry->bytes = size_of(entry);
    h->log_bytes += entry->bytes;
    while (h->n_log > 1 && (h->n_log > MOST_LOGGED || h->log_bytes > MOST_LOGGED_BYTES))
        forget_oldest(h);
    pthread_cond_broadcast(&h->committed);
}

const newt__logged *
newt__heap_next(const newt__heap *h, newt__position after, bool *known)
{
    size_t low = 0, high = h->n_log;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (logged(h, middle)->tid > after.tid)
            high = middle;
        else
            low = middle + 1;
    }
    *known = after.tid == 0 ||
             (after.tid == h->forgotten.tid &&
              (after.serial == 0 || after.serial == h->forgotten.serial)) ||
             (low > 0 && logged(h, low - 1)->tid == after.tid &&
              (after.serial == 0 || logged(h, low - 1)->serial == after.serial));
    return low < h->n_log ? logged(h, low) : NULL;
}

bool
newt__heap_changes(const newt__heap *h, int64_t after, size_t most, int64_t **list, size_t *n,
                   bool *memory)
{
    size_t first = h->n_log, all = 0;
    int64_t *more;

    *n = 0;
    *memory = true;
    if (after < h->forgotten.tid)
        return false;
    while (first > 0 && logged(h, first - 1)->tid > after)
        all += logged(h, --first)->n;
    if (all > most)
        return false;
    more = all > 0 ? realloc(*list, all * sizeof *more) : *list;
    if (all > 0 && !more) {
        *memory = false;
        return false;
    }
    *list = more;
    for (; first < h->n_log; first++) {
        const newt__logged *entry = logged(h, first);

        memcpy(more + *n, entry->oids, entry->n * sizeof *more);
        *n += entry->n;
    }
    return true;
}

/* ---- turns ------------------------------------------------------------------------------ */

bool
newt__heap_take_turn(newt__heap *h, int64_t oid, const void *holder, bool *memory)
{
    *memory = true;
    for (size_t i = 0; i < h->n_turns; i++)
        if (h->turns[i].oid == oid)
            return h->turns[i].holder == holder;
    if (h->n_turns == h->cap_turns) {
        size_t cap = h->cap_turns ? 2 * h->cap_turns : 16;
        newt__held_turn *more = realloc(h->turns, cap * sizeof *more);

        *memory = more != NULL;
        if (!more)
            return false;
        h->turns = more;
        h->cap_turns = cap;
    }
    h->turns[h->n_turns++] = (newt__held_turn){oid, holder};
    return true;
}

void
newt__heap_end_turns(newt__heap *h, const void *holder)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_turns; i++)
        if (h->turns[i].holder != holder)
            h->turns[n++] = h->turns[i];
    if (n < h->n_turns)
        pthread_cond_broadcast(&h->turn_over);
    h->n_turns = n;
}

/* ---- from beginning to end -------------------------------------------------------------- */

static bool
put_root(newt__heap *h)
{
    newt__version *v = calloc(1, sizeof *v + sizeof root);
    newt__logged *entry = calloc(1, sizeof *entry + sizeof *entry->oids);

    if (!v || !entry || !newt__heap_reserve(h, 1)) {
        free(v);
        free(entry);
        return false;
    }
    v->oid = NEWT__ROOT;
    v->n = sizeof root;
    memcpy(v->record, root, sizeof root);
    entry->n = entry->n_written = 1;
    entry->oids[0] = NEWT__ROOT;
    newt__heap_put(h, entry, &v);
    return true;
}

int
newt__heap_new(newt__heap **out, newt_error *e)
{
    newt__heap *h = calloc(1, sizeof *h);
    pthread_condattr_t attr;

    *out = NULL;
    if (!h)
        return newt__fail_memory(e);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->turn_over, &attr);
    pthread_cond_init(&h->committed, &attr);
    pthread_condattr_destroy(&attr);
    h->next_oid = FIRST_OID;
    if (!put_root(h)) {
        newt__heap_free(h);
        return newt__fail_memory(e);
    }
    *out = h;
    return NEWT_OK;
}

void
newt__heap_free(newt__heap *h)
{
    for (size_t i = 0; i < h->cap; i++)
        free_versions(h->places[i].newest);
    while (h->n_log > 0)
        forget_oldest(h);
    for (newt__kept_class *next; h->classes; h->classes = next) {
        next = h->classes->next;
        free(h->classes);
    }
    for (newt__named_place *next; h->followers; h->followers = next) {
        next = h->followers->next;
        free(h->followers->kind);
        free(h->followers);
    }
    free(h->places);
    free(h->log);
    free(h->turns);
    pthread_cond_destroy(&h->turn_over);
    pthread_cond_destroy(&h->committed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
