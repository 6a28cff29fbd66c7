/*
 * follow.c - objects of a store in memory as they are now, and those who follow it
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- objects ------------------------------------------------------------------------------- */

/* The oids of all objects, in order. What is committed meanwhile is in later transactions. */
static int
list_oids(newt__session *x, newt_error *e)
{
    newt__heap *h = x->heap;

    free(x->scan);
    x->n_scan = 0;
    pthread_mutex_lock(&h->lock);
    x->scan_tid = h->tid;
    x->scan = malloc((h->n + 1) * sizeof *x->scan);
    for (size_t i = 0; x->scan && i < h->cap; i++)
        if (h->places[i].newest && !h->places[i].newest->removed)
            x->scan[x->n_scan++] = h->places[i].oid;
    pthread_mutex_unlock(&h->lock);
    if (!x->scan)
        return newt__fail_memory(e);
    qsort(x->scan, x->n_scan, sizeof *x->scan, newt__by_oid);
    return NEWT_OK;
}

int
newt__memory_look(newt__session *x, const int64_t *oids, size_t n, newt__extent extent,
                  int64_t bytes, newt__take_record *take, void *arg, newt_error *e)
{
    int64_t handed = 0;
    int status = NEWT_OK;

    (void)e;
    pthread_mutex_lock(&x->heap->lock);
    newt__heap_open(x->heap, &x->view);
    pthread_mutex_unlock(&x->heap->lock);
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        const newt__version *v;
        bool fits;

        pthread_mutex_lock(&x->heap->lock);
        v = newt__heap_at(x->heap, oids[i], x->view.tid);
        pthread_mutex_unlock(&x->heap->lock);
        if (!v)
            continue;
        fits = handed == 0 || handed + (int64_t)v->n <= bytes;
        handed += (int64_t)v->n;
        status = take(arg,
                      &(newt__found){.oid = v->oid,
                                     .serial = v->serial,
                                     .record = fits && extent != NEWT__OIDS_ONLY ? v->record : NULL,
                                     .n = v->n});
    }
    pthread_mutex_lock(&x->heap->lock);
    newt__heap_close(x->heap, &x->view);
    pthread_mutex_unlock(&x->heap->lock);
    return status;
}

/* Counts what is handed over: what has been removed since the list was made is not. */
typedef struct handing {
    newt__session *x;
    newt__take_record *take;
    void *arg;
    size_t n;
} handing;

static int
hand(void *arg, const newt__found *found)
{
    handing *h = arg;

    h->n++;
    h->x->scan_upto = found->oid;
    return h->take(h->arg, found);
}

/* Whether the list is right for a scan that goes on after an oid: nothing has changed since, or it
 * is the scan under way. */
static bool
goes_on(newt__session *x, int64_t after)
{
    bool same;

    pthread_mutex_lock(&x->heap->lock);
    same = x->heap->tid == x->scan_tid;
    pthread_mutex_unlock(&x->heap->lock);
    return x->scan && after != 0 && (same || (after >= x->scan_from && after <= x->scan_upto));
}

int
newt__memory_scan(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
                  newt_error *e)
{
    handing h = {.x = x, .take = take, .arg = arg};
    size_t low = 0, high;
    int status = goes_on(x, after) ? NEWT_OK : list_oids(x, e);

    high = x->n_scan;
    if (status != NEWT_OK)
        return status;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (x->scan[middle] > after)
            high = middle;
        else
            low = middle + 1;
    }
    x->scan_from = x->scan_upto = after;
    while (status == NEWT_OK && h.n < n && low < x->n_scan) {
        size_t m = n - h.n < x->n_scan - low ? n - h.n : x->n_scan - low;

        status = newt__memory_look(x, x->scan + low, m, NEWT__OIDS_ONLY, INT64_MAX, hand, &h, e);
        low += m;
    }
    if (low == x->n_scan)
        x->scan_from = INT64_MAX; /* it is over */
    return status;
}

/* ---- followers; the lock is held ----------------------------------------------------------- */

static newt__named_place *
find(const newt__heap *h, const char *name)
{
    newt__named_place *f = h->followers;

    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f;
}

static newt__named_place *
find_or_add(newt__heap *h, const char *name)
{
    newt__named_place *f = find(h, name);

    if (f)
        return f;
    f = calloc(1, sizeof *f + strlen(name) + 1);
    if (!f)
        return NULL;
    strcpy(f->name, name);
    f->next = h->followers;
    h->followers = f;
    return f;
}

int
newt__memory_follower(newt__session *x, const char *name, const char *kind, newt__standing *out,
                      bool *found, newt_error *e)
{
    const newt__named_place *f;
    int status = NEWT_OK;

    pthread_mutex_lock(&x->heap->lock);
    f = find(x->heap, name);
    *found = f && f->known;
    if (*found)
        *out = f->place;
    if (*found && kind && strcmp(f->kind, kind) != 0)
        status = newt__fail_kind(e, name, f->kind, kind);
    pthread_mutex_unlock(&x->heap->lock);
    /* who goes on with a copy must not be given a list that is older than where that began */
    if (*found && out->copied >= 0) {
        free(x->scan);
        x->scan = NULL;
    }
    return status;
}

int
newt__memory_claim(newt__session *x, const char *name, bool *mine, newt_error *e)
{
    newt__named_place *f;

    pthread_mutex_lock(&x->heap->lock);
    f = find_or_add(x->heap, name);
    *mine = f && (!f->holder || f->holder == x);
    if (*mine)
        f->holder = x;
    pthread_mutex_unlock(&x->heap->lock);
    return f ? NEWT_OK : newt__fail_memory(e);
}

void
newt__memory_release(newt__session *x, const char *name)
{
    newt__named_place *f;

    pthread_mutex_lock(&x->heap->lock);
    f = find(x->heap, name);
    if (f && f->holder == x)
        f->holder = NULL;
    pthread_mutex_unlock(&x->heap->lock);
}

void
newt__memory_unclaim(newt__session *x)
{
    if (!newt__process_is(x->storage->process))
        return;
    pthread_mutex_lock(&x->heap->lock);
    for (newt__named_place *f = x->heap->followers; f; f = f->next)
        if (f->holder == x)
            f->holder = NULL;
    pthread_mutex_unlock(&x->heap->lock);
}

static bool
stands_at(const newt__named_place *f, const newt__standing *from)
{
    if (!from)
        return !f->known;
    return f->known && f->place.at.tid == from->at.tid && f->place.copied == from->copied;
}

int
newt__memory_move(newt__session *x, const char *name, const char *kind, const newt__standing *from,
                  const newt__standing *to, newt_error *e)
{
    newt__named_place *f;
    char *copy = strdup(kind);
    bool moved;

    if (!copy)
        return newt__fail_memory(e);
    pthread_mutex_lock(&x->heap->lock);
    f = find_or_add(x->heap, name);
    moved = f && stands_at(f, from);
    if (moved) {
        f->place = *to;
        f->known = true;
        free(f->kind);
        f->kind = copy;
        copy = NULL;
    }
    pthread_mutex_unlock(&x->heap->lock);
    free(copy);
    if (!f)
        return newt__fail_memory(e);
    return moved ? NEWT_OK : newt__fail_follower(e, name);
}

int
newt__memory_forget(newt__session *x, const char *name, newt_error *e)
{
    newt__named_place *f;

    (void)e;
    pthread_mutex_lock(&x->heap->lock);
    f = find(x->heap, name);
    if (f)
        f->known = false;
    pthread_mutex_unlock(&x->heap->lock);
    return NEWT_OK;
}

/* ---- classes ------------------------------------------------------------------------------- */

int
newt__memory_registered(newt__session *x, newt__take_registered *take, void *arg, newt_error *e)
{
    const newt__kept_class *k;
    int status = NEWT_OK;

    (void)e;
    pthread_mutex_lock(&x->heap->lock);
    k = x->heap->classes; /* those that are there stay as they are */
    pthread_mutex_unlock(&x->heap->lock);
    for (; k && status == NEWT_OK; k = k->next)
        status = take(arg, &k->k);
    return status;
}
