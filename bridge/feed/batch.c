/*
 * batch.c - batches, and what they tell of objects
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_LOOK = 64, /* objects whose records are fetched at once, before their size is known */
    NOT_THERE = 0    /* of record_at and json_at, which are one more than the place */
};

/* ---- which objects -------------------------------------------------------------------------- */

static bool
rising(const newt_event *events, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (events[i].oid <= events[i - 1].oid)
            return false;
    return true;
}

typedef struct keyed {
    int64_t oid;
    size_t place;
} keyed;

static int
by_key(const void *pa, const void *pb)
{
    const keyed *a = pa, *b = pb;

    if (a->oid != b->oid)
        return a->oid < b->oid ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* Puts the events in order of their oids, and finds those that are superseded. */
static bool
arrange(newt_feed *f, newt_event *events, size_t n)
{
    size_t *order = f->looked.order;
    keyed *keys;

    f->n_oids = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        events[i].superseded = false;
    }
    if (!rising(events, n)) {
        keys = malloc(n * sizeof *keys);
        if (!keys)
            return false;
        for (size_t i = 0; i < n; i++)
            keys[i] = (keyed){events[i].oid, i};
        qsort(keys, n, sizeof *keys, by_key);
        for (size_t i = 0; i < n; i++)
            order[i] = keys[i].place;
        free(keys);
    }
    for (size_t i = 0; i < n; i++) {
        newt_event *x = &events[order[i]];

        if (i + 1 < n && events[order[i + 1]].oid == x->oid)
            x->superseded = true;
        else
            f->oids[f->n_oids++] = x->oid;
    }
    return true;
}

/* The last event of an object, or NULL. *hint: where the last one was found. */
static newt_event *
last_event(const newt_feed *f, newt_event *events, size_t n, int64_t oid, size_t *hint)
{
    const size_t *order = f->looked.order;
    size_t low = 0, high = n;

    if (*hint < n && events[order[*hint]].oid == oid)
        low = *hint;
    else
        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (events[order[middle]].oid < oid)
                low = middle + 1;
            else
                high = middle;
        }
    while (low + 1 < n && events[order[low + 1]].oid == oid)
        low++;
    *hint = low + 1;
    return low < n && events[order[low]].oid == oid ? &events[order[low]] : NULL;
}

/* ---- looking at them ------------------------------------------------------------------------- */

typedef struct look {
    newt_feed *f;
    newt_event *events;
    size_t n, hint;
    int64_t *left_out; /* objects whose records were too long, malloc'ed */
    size_t n_left_out;
} look;

static const char *
class_of(newt_feed *f, const void *record, size_t n)
{
    newt__reader r;

    if (newt__read_begin(&r, &newt__malloc_env, record, n) != NEWT__OK)
        return "";
    if (!f->class_name || strlen(f->class_name) != r.class_n ||
        memcmp(f->class_name, r.class_name, r.class_n) != 0)
        f->class_name = newt__class_present(f->c->jar.classes, r.class_name, r.class_n);
    return f->class_name;
}

static bool
add_json(newt_feed *f, size_t place, newt_event *x, const newt__found *found)
{
    newt__buffer *texts = &f->looked.texts;
    size_t at = texts->n;
    newt__fault fault;
    bool hidden = false;
    newt__code code = newt__record_project(&newt__malloc_env, found->record, found->n, texts,
                                           &hidden, NULL, &fault);

    if (code == NEWT__NOMEM)
        return false;
    if (code != NEWT__OK || hidden) {
        texts->n = at;
        return true;
    }
    f->looked.json_at[place] = at + 1;
    x->json_n = texts->n - at;
    f->looked.bytes += (int64_t)x->json_n;
    return true;
}

static bool
add_record(newt_feed *f, size_t place, newt_event *x, const newt__found *found)
{
    newt__buffer *texts = &f->looked.texts;

    f->looked.record_at[place] = texts->n + 1;
    x->record_n = found->n;
    f->looked.bytes += (int64_t)found->n;
    return newt__buffer_append(texts, found->record, found->n);
}

/* A newt__take_record. */
static int
take(void *arg, const newt__found *found)
{
    look *l = arg;
    newt_feed *f = l->f;
    newt_event *x = last_event(f, l->events, l->n, found->oid, &l->hint);
    size_t place;

    if (!x)
        return NEWT_OK;
    place = (size_t)(x - l->events);
    if (!found->record) {
        l->left_out[l->n_left_out++] = found->oid;
        return NEWT_OK;
    }
    x->serial = found->serial;
    x->class_name = class_of(f, found->record, found->n);
    if (!x->class_name || ((f->o.want & NEWT_FEED_RECORDS) && !add_record(f, place, x, found)) ||
        ((f->o.want & NEWT_FEED_JSON) && !add_json(f, place, x, found)))
        return NEWT_ENOMEM;
    return NEWT_OK;
}

/* Those of the events from `at` on whose objects are to be looked at, at most `most` of them. */
static size_t
list_next(newt_feed *f, const newt_event *events, size_t n, size_t *at, size_t most, int64_t *oids)
{
    size_t m = 0;

    for (; *at < n && m < most; ++*at)
        if (events[*at].kind == NEWT_EVENT_WRITTEN && !events[*at].superseded &&
            events[*at].serial == 0 && f->looked.record_at[*at] == NOT_THERE)
            oids[m++] = events[*at].oid;
    return m;
}

/* Objects that were too long to come with others, one at a time. */
static int
look_singly(look *l, newt__extent extent, newt_error *e)
{
    newt_feed *f = l->f;
    int status = NEWT_OK;
    size_t n = l->n_left_out;

    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        int64_t oid = l->left_out[i];

        status = f->c->jar.storage->feed->look(f->c->jar.session, &oid, 1, extent, INT64_MAX, take,
                                               l, e);
    }
    return status;
}

/* Looks at the objects of the first *n events; after *n is reduced, those before are arranged anew,
 * and the few that have become the last of their object are looked at, whatever their size. */
static int
look_at(newt_feed *f, newt_event *events, size_t *n, bool may_reduce, newt_error *e)
{
    newt__extent extent = f->o.want & (NEWT_FEED_RECORDS | NEWT_FEED_JSON) ? NEWT__WHOLE
                                                                           : NEWT__HEADS;
    look l = {.f = f, .events = events, .n = *n};
    int64_t *oids = malloc((*n + 1) * 2 * sizeof *oids);
    size_t at = 0, most, m;
    int64_t before;
    int status = oids ? NEWT_OK : newt__fail_memory(e);

    l.left_out = oids ? oids + *n + 1 : NULL;
    while (status == NEWT_OK && at < *n) {
        int64_t left = f->o.batch_bytes - f->looked.bytes;

        if (may_reduce && left <= 0 && at > 0)
            break;
        most = *n;
        if (extent == NEWT__WHOLE)
            most = f->looked.average ? (size_t)(left > 0 ? left : 1) / f->looked.average + 1
                                     : FIRST_LOOK;
        m = list_next(f, events, *n, &at, most, oids);
        before = f->looked.bytes;
        l.n_left_out = 0;
        l.hint = 0;
        if (m == 0)
            continue;
        status = f->c->jar.storage->feed->look(f->c->jar.session, oids, m, extent,
                                               left > 0 ? left : 1, take, &l, e);
        if (status == NEWT_OK)
            status = look_singly(&l, extent, e);
        f->looked.average = ((size_t)(f->looked.bytes - before) / m + f->looked.average) / 2 + 1;
    }
    if (status == NEWT_ENOMEM && e->status == NEWT_OK)
        newt__fail_memory(e);
    free(oids);
    *n = at < *n ? at : *n;
    return status;
}

/* Pointers to texts, now that these stay where they are; and the class of an object is that of all
 * its events. */
static void
settle(newt_feed *f, newt_event *events, size_t n)
{
    const newt__looked *l = &f->looked;
    const char *base = (const char *)l->texts.data;

    for (size_t i = 0; i < n; i++) {
        if (l->record_at[i] != NOT_THERE)
            events[i].record = base + l->record_at[i] - 1;
        if (l->json_at[i] != NOT_THERE)
            events[i].json = base + l->json_at[i] - 1;
    }
    for (size_t i = n; i-- > 1;) {
        newt_event *x = &events[l->order[i - 1]], *after = &events[l->order[i]];

        if (x->superseded && !*x->class_name)
            x->class_name = after->class_name;
    }
}

/* What there is to know of the first *n events; *n is less afterwards if they are too large. */
static int
look_at_all(newt_feed *f, newt_event *events, size_t *n, newt_error *e)
{
    newt__looked *l = &f->looked;
    size_t all = *n;
    int status;

    l->texts.n = 0;
    l->bytes = 0;
    memset(l->record_at, 0, *n * sizeof *l->record_at);
    memset(l->json_at, 0, *n * sizeof *l->json_at);
    if (!arrange(f, events, *n))
        return newt__fail_memory(e);
    if (newt__feed_is_blind(f))
        return NEWT_OK;
    status = look_at(f, events, n, true, e);
    if (status == NEWT_OK && *n < all) {
        if (!arrange(f, events, *n))
            return newt__fail_memory(e);
        status = look_at(f, events, n, false, e);
    }
    if (status == NEWT_OK)
        settle(f, events, *n);
    return status;
}

/* ---- batches ---------------------------------------------------------------------------- */

/* Leaves out the events of a class that is not wanted. */
static size_t
drop_unwanted(const newt_feed *f, newt_event *events, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (newt__feed_wants_class(f, events[i].class_name, strlen(events[i].class_name)))
            events[kept++] = events[i];
    return kept;
}

static int
make_durable(newt_feed *f, newt_error *e)
{
    if (f->o.want & NEWT_FEED_EARLY)
        return NEWT_OK;
    return f->c->jar.storage->feed->barrier(f->c->jar.session, e);
}

/* How many of the fetched events the next batch has: those of whole transactions, as far as they
 * fit; of one that does not, a part. *transactions: that begin in it. */
static size_t
measure(const newt_feed *f, size_t *transactions)
{
    const newt__fetched *q = &f->fetched;
    size_t most = (size_t)f->o.batch_objects, n = 0, i = q->next_transaction;

    *transactions = 0;
    for (; i < q->n_transactions; i++) {
        const newt_feed_transaction *t = &q->transactions[i];
        size_t end = t->first_event + t->n_events, more = end - q->next - n;

        if (n + more > most && n > 0)
            break;
        n += more;
        ++*transactions;
        if (n > most || t->more)
            break;
    }
    return n < most ? n : most;
}

/* The transactions of n events of the batch, whose own numbers they get. Those that were handed out
 * whole leave the queue. */
static void
list_transactions(newt_feed *f, size_t n, newt_event *events)
{
    newt__fetched *q = &f->fetched;
    size_t end = q->next + n, out = 0, kept = 0;
    bool whole = true;

    while (q->next_transaction < q->n_transactions && whole) {
        newt_feed_transaction *t = &q->transactions[q->next_transaction];
        newt_feed_transaction *x = &f->transactions[out];
        size_t last = t->first_event + t->n_events;

        if (t->first_event > end || (t->first_event == end && t->n_events > 0))
            break;
        whole = last <= end;
        if (out > 0 && x[-1].tid == t->tid) { /* another part of the same */
            x--;
            out--;
        } else {
            *x = *t;
            x->first_event = kept;
            x->n_events = 0;
        }
        for (size_t i = t->first_event; i < last && i < end; i++) {
            const newt_event *v = &events[i - q->next];

            if (newt__feed_wants_class(f, v->class_name, strlen(v->class_name))) {
                events[kept++] = *v;
                x->n_events++;
            }
        }
        x->more = !whole || t->more;
        out++;
        if (whole) {
            q->next_transaction++;
            if (!t->more)
                f->handed.at = (newt__position){t->tid, t->serial};
        } else {
            t->n_events = last - end;
            t->first_event = end;
            t->begun = true;
        }
        f->within = x->more;
    }
    q->next = end;
    if (kept < n)
        (void)arrange(f, events, kept);
    f->batch.events = events;
    f->batch.n_events = kept;
    f->batch.transactions = f->transactions;
    f->batch.n_transactions = out;
}

int
newt__feed_batch(newt_feed *f, newt_error *e)
{
    newt__fetched *q = &f->fetched;
    newt_event *events = q->events + q->next;
    size_t transactions, n = measure(f, &transactions);
    int status = look_at_all(f, events, &n, e);

    if (status == NEWT_OK)
        status = make_durable(f, e);
    if (status != NEWT_OK)
        return status;
    f->batch = (newt_batch){0};
    list_transactions(f, n, events);
    if (!f->within) {
        newt__token_write(f->token_text[0], sizeof f->token_text[0], f->handed.at);
        f->batch.token = f->token_text[0];
        f->batch.tid = f->handed.at.tid;
    }
    if (q->next_transaction < q->n_transactions)
        f->batch.behind_us = newt__age(q->transactions[q->next_transaction].tid);
    else if (f->within)
        f->batch.behind_us = newt__age(q->transactions[q->n_transactions - 1].tid);
    return NEWT_OK;
}

/* ---- copies ----------------------------------------------------------------------------- */

/* A newt__take_record of a scan. */
static int
take_scanned(void *arg, const newt__found *found)
{
    newt_feed *f = arg;

    f->batch.up_to = found->oid;
    f->fetched.events[f->fetched.n++] = (newt_event){
        .oid = found->oid, .kind = NEWT_EVENT_WRITTEN, .class_name = ""};
    return NEWT_OK;
}

int
newt__feed_copy(newt_feed *f, newt_error *e)
{
    newt__fetched *q = &f->fetched;
    size_t most = (size_t)f->o.batch_objects, n, all;
    int status;

    newt__feed_discard(f);
    if (!newt__feed_reserve(f, most))
        return newt__fail_memory(e);
    f->batch.after = f->handed.copied;
    f->batch.copy = true;
    status = f->c->jar.storage->feed->scan(f->c->jar.session, f->handed.copied, most, take_scanned,
                                           f, e);
    if (status != NEWT_OK)
        return status;
    n = all = q->n;
    status = look_at_all(f, q->events, &n, e);
    if (status == NEWT_OK)
        status = make_durable(f, e);
    if (status != NEWT_OK)
        return status;
    if (n < all)
        f->batch.up_to = q->events[n - 1].oid;
    else if (all < most)
        f->batch.up_to = INT64_MAX;
    /* what was removed since the scan has nothing; what is not wanted, nobody */
    q->n = 0;
    for (size_t i = 0; i < n; i++)
        if (newt__feed_wants_object(f, q->events[i].oid) &&
            (q->events[i].serial != 0 || newt__feed_is_blind(f)))
            q->events[q->n++] = q->events[i];
    f->batch.events = q->events;
    f->batch.n_events = drop_unwanted(f, q->events, q->n);
    if (f->batch.n_events < all)
        (void)arrange(f, q->events, f->batch.n_events);
    q->next = q->n;
    f->handed.copied = f->batch.up_to == INT64_MAX ? -1 : f->batch.up_to;
    f->copying = f->handed.copied >= 0;
    f->batch.behind_us = f->copying ? newt__age(f->handed.at.tid) : 0;
    if (!f->copying) {
        newt__token_write(f->token_text[0], sizeof f->token_text[0], f->handed.at);
        f->batch.token = f->token_text[0];
        f->batch.tid = f->handed.at.tid;
    }
    return NEWT_OK;
}

void
newt__feed_batch_free(newt_feed *f)
{
    newt__feed_discard(f);
    free(f->fetched.events);
    free(f->fetched.transactions);
    free(f->transactions);
    free(f->looked.order);
    free(f->looked.record_at);
    free(f->looked.json_at);
    newt__buffer_free(&f->looked.texts);
    free(f->oids);
}
