/*
 * counts.c - how many objects there are of each class and version
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCANNED = 1000 /* objects at a time, where the storage does not count */
};

typedef struct counting {
    newt_conn *c;
    newt_class_count *list; /* in order */
    size_t n, cap, last;    /* last: where one was counted last */
    int64_t oids[SCANNED];
    size_t n_oids;
} counting;

static int
compare(const newt_class_count *x, const char *name, int32_t version)
{
    int order = strcmp(x->class_name, name);

    return order ? order : (x->version > version) - (x->version < version);
}

/* The place of a class and version, made if need be; NULL: no memory. */
static newt_class_count *
place_of(counting *w, const char *name, int32_t version)
{
    size_t low = 0, high = w->n;

    if (w->last < w->n && compare(&w->list[w->last], name, version) == 0)
        return &w->list[w->last];
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&w->list[middle], name, version) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    w->last = low;
    if (low < w->n && compare(&w->list[low], name, version) == 0)
        return &w->list[low];
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 32;
        newt_class_count *more = cap < SIZE_MAX / sizeof *more
                                     ? realloc(w->list, cap * sizeof *more)
                                     : NULL;

        if (!more)
            return NULL;
        w->list = more;
        w->cap = cap;
    }
    memmove(&w->list[low + 1], &w->list[low], (w->n - low) * sizeof *w->list);
    w->list[low] = (newt_class_count){.class_name = name, .version = version};
    w->n++;
    return &w->list[low];
}

/* A newt__take_count. */
static int
take(void *arg, const newt__counted *x)
{
    counting *w = arg;
    newt_class_count *place;
    const char *name = "";
    int32_t version = 0;
    newt__reader r;

    if (newt__read_begin(&r, &newt__malloc_env, x->head, x->n) == NEWT__OK) {
        name = newt__class_intern(w->c->jar.classes, r.class_name, r.class_n);
        version = (int32_t)r.version;
    }
    place = name ? place_of(w, name, version) : NULL;
    if (!place)
        return NEWT_ENOMEM;
    place->objects += x->objects;
    return NEWT_OK;
}

/* ---- where the storage does not count ------------------------------------------------------- */

static int
take_oid(void *arg, const newt__found *found)
{
    counting *w = arg;

    w->oids[w->n_oids++] = found->oid;
    return NEWT_OK;
}

static int
take_head(void *arg, const newt__found *found)
{
    return take(arg, &(newt__counted){.head = found->record, .n = found->n, .objects = 1});
}

static int
count_all(counting *w, newt_error *e)
{
    const newt__feed_type *feed = w->c->jar.storage->feed;
    newt__session *session = w->c->jar.session;
    int64_t after = 0;
    int status;

    do {
        w->n_oids = 0;
        status = feed->scan(session, after, SCANNED, take_oid, w, e);
        if (status != NEWT_OK || w->n_oids == 0)
            return status;
        after = w->oids[w->n_oids - 1];
        status = feed->look(session, w->oids, w->n_oids, NEWT__HEADS, INT64_MAX, take_head, w, e);
    } while (status == NEWT_OK && w->n_oids == SCANNED);
    return status;
}

int
newt_class_counts(newt_conn *c, newt_class_count **counts, size_t *n)
{
    const newt__feed_type *feed = c->jar.storage->feed;
    int status = newt__outside(c, NULL, "newt_class_counts");
    counting *w;
    newt_error e = {0};

    *counts = NULL;
    *n = 0;
    if (status != NEWT_OK)
        return status;
    if (!(w = calloc(1, sizeof *w)))
        return newt__base_fail_memory(&c->jar.base);
    w->c = c;
    status = feed->count ? feed->count(c->jar.session, take, w, &e) : count_all(w, &e);
    if (status == NEWT_ENOMEM && e.status == NEWT_OK)
        newt__fail_memory(&e);
    if (status == NEWT_OK) {
        *counts = w->list;
        *n = w->n;
    } else {
        free(w->list);
        status = newt__feed_fail(c, &e);
    }
    free(w);
    return status;
}
