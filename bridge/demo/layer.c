/*
 * layer.c - what is in a layer, to be written to its base
 */
#include "session.h"

#include <stdlib.h>

enum {
    SCANNED = 1000, /* oids at once */
    FETCHED = 64    /* records */
};

typedef struct entry {
    bool is_new;
    int64_t oid;
    int64_t serial; /* that it was read with in the base; 0: it is new */
} entry;

/* A record that was fetched. */
typedef struct fetched {
    int64_t oid;
    size_t at, n;
    bool there;
} fetched;

struct newt__layer {
    newt__session *x;
    newt__position newest; /* of the changes */
    entry *entries;        /* in the order in which they are handed out */
    size_t n, cap, next;
    entry *pairs; /* serials of the base, by oid */
    size_t n_pairs, cap_pairs;
    newt__oids lists; /* objects that these are in */
    int64_t after;
    fetched list[FETCHED]; /* by oid */
    size_t n_fetched, next_fetched;
    newt__buffer records;
};

static bool
add_entry(entry **list, size_t *n, size_t *cap, entry x)
{
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        entry *p = more < SIZE_MAX / sizeof *p ? realloc(*list, more * sizeof *p) : NULL;

        if (!p)
            return false;
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = x;
    return true;
}

static int
by_oid(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;

    return (a->oid > b->oid) - (a->oid < b->oid);
}

/* The order of locks: stored ones by oid, then new ones by oid. */
static int
by_place(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;

    return a->is_new != b->is_new ? a->is_new - b->is_new : by_oid(a, b);
}

/* ---- which objects -------------------------------------------------------------------------- */

static int
take_scanned(void *arg, const newt__found *found)
{
    newt__layer *l = arg;
    bool fits = true;

    l->after = found->oid;
    if (found->oid >= NEWT__FIRST_LISTS_OID)
        fits = newt__oids_add(&l->lists, found->oid);
    else if (!newt__is_first_root(found))
        fits = add_entry(&l->entries, &l->n, &l->cap, (entry){.oid = found->oid});
    return fits ? NEWT_OK : newt__fail_memory(&l->x->why);
}

static int
scan_all(newt__layer *l, newt_error *e)
{
    const newt__feed_type *feed = l->x->storage->changes.type->feed;
    newt__session *changes = l->x->changes;
    int status = feed->newest(changes, &l->newest, e);
    bool more = status == NEWT_OK;

    while (status == NEWT_OK && more) {
        int64_t before = l->after;

        status = feed->scan(changes, l->after, SCANNED, take_scanned, l, e);
        more = l->after > before;
    }
    return newt__demo_ended(l->x, status, e);
}

/* ---- serials of the base -------------------------------------------------------------------- */

static bool
add_pair(void *arg, int64_t oid, int64_t serial)
{
    newt__layer *l = arg;

    return add_entry(&l->pairs, &l->n_pairs, &l->cap_pairs, (entry){.oid = oid, .serial = serial});
}

static int
take_pairs(void *arg, const newt__found *found)
{
    newt__layer *l = arg;

    return newt__pairs_read(found, add_pair, l) ? NEWT_OK : newt__fail_memory(&l->x->why);
}

/* In a snapshot, in which the records will be read as well. */
static int
read_pairs(newt__layer *l, newt_error *e)
{
    newt__session *x = l->x;
    const newt__side *changes = &x->storage->changes;
    newt__position none = {0}, seen;
    int status;

    changes->type->begin(x->changes, none);
    status = changes->type->load(x->changes, l->lists.oids, l->lists.n, take_pairs, l, e);
    if (status != NEWT_OK)
        return newt__demo_ended(x, status, e);
    seen = x->of_changes.said.to;
    if (seen.tid != l->newest.tid || seen.serial != l->newest.serial) {
        newt__fail(e, NEWT_EBUSY, 0, "another program is writing to the changes of the layer");
        newt__fail_hint(e, "Let it end first.");
        return NEWT_EBUSY;
    }
    if (l->n_pairs > 1)
        qsort(l->pairs, l->n_pairs, sizeof *l->pairs, by_oid);
    for (size_t i = 0; i < l->n; i++) {
        entry *own = &l->entries[i];
        const entry *pair = l->n_pairs ? bsearch(own, l->pairs, l->n_pairs, sizeof *pair, by_oid)
                                       : NULL;

        own->serial = pair ? pair->serial : 0;
        own->is_new = !pair;
    }
    if (l->n > 1)
        qsort(l->entries, l->n, sizeof *l->entries, by_place);
    return NEWT_OK;
}

/* ---- from beginning to end -------------------------------------------------------------- */

int
newt__layer_open(newt__layer **out, newt__session *x, newt_error *e)
{
    newt__layer *l = calloc(1, sizeof *l);
    int status;

    *out = NULL;
    if (!l)
        return newt__fail_memory(e);
    l->x = x;
    l->records.env = &newt__malloc_env;
    status = scan_all(l, e);
    if (status == NEWT_OK)
        status = read_pairs(l, e);
    if (status == NEWT_OK)
        *out = l;
    else
        newt__layer_close(l);
    return status;
}

void
newt__layer_close(newt__layer *l)
{
    if (!l)
        return;
    l->x->storage->changes.type->end(l->x->changes);
    free(l->entries);
    free(l->pairs);
    newt__oids_free(&l->lists);
    newt__buffer_free(&l->records);
    free(l);
}

size_t
newt__layer_size(const newt__layer *l)
{
    return l->n;
}

int64_t
newt__layer_serial(const newt__layer *l, int64_t oid)
{
    const entry *pair = l->n_pairs ? bsearch(&(entry){.oid = oid}, l->pairs, l->n_pairs,
                                             sizeof *pair, by_oid)
                                   : NULL;

    return pair ? pair->serial : 0;
}

void
newt__layer_rewind(newt__layer *l)
{
    l->next = l->n_fetched = l->next_fetched = 0;
}

static int
take_record(void *arg, const newt__found *found)
{
    newt__layer *l = arg;

    for (size_t i = 0; i < l->n_fetched; i++) {
        fetched *f = &l->list[i];

        if (f->oid != found->oid)
            continue;
        f->at = l->records.n;
        f->n = found->n;
        f->there = newt__buffer_append(&l->records, found->record, found->n);
        return f->there ? NEWT_OK : newt__fail_memory(&l->x->why);
    }
    return NEWT_OK;
}

static int
fetch(newt__layer *l, newt_error *e)
{
    const newt__side *changes = &l->x->storage->changes;
    int64_t oids[FETCHED];

    l->records.n = l->n_fetched = l->next_fetched = 0;
    for (size_t i = l->next; i < l->n && l->n_fetched < FETCHED; i++) {
        oids[l->n_fetched] = l->entries[i].oid;
        l->list[l->n_fetched++] = (fetched){.oid = l->entries[i].oid};
    }
    return newt__demo_ended(
        l->x, changes->type->load(l->x->changes, oids, l->n_fetched, take_record, l, e), e);
}

int
newt__layer_next(newt__layer *l, newt__change *out, newt_error *e)
{
    while (l->next < l->n) {
        const entry *x = &l->entries[l->next];
        const fetched *f;
        newt__found found;
        int status;

        if (l->next_fetched == l->n_fetched && (status = fetch(l, e)) != NEWT_OK)
            return status;
        f = &l->list[l->next_fetched++];
        l->next++;
        found = (newt__found){.oid = x->oid, .record = l->records.data + f->at, .n = f->n};
        *out = (newt__change){.what = x->is_new ? NEWT__ADD : NEWT__REPLACE,
                              .oid = x->oid,
                              .serial = x->serial,
                              .lossy = true, /* it may be: nobody has looked */
                              .record = found.record,
                              .n = found.n};
        if (!f->there || (x->is_new && newt__is_tombstone(&found)))
            continue;
        if (newt__is_tombstone(&found)) {
            out->what = NEWT__REMOVE;
            out->class_name = newt__tombstone_class(&found, &out->class_n);
            out->lossy = false;
            out->record = NULL;
            out->n = 0;
        }
        return 1;
    }
    return 0;
}
