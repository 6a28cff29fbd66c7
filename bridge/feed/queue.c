/*
 * queue.c - transactions fetched from the storage, and which of their objects are wanted
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is wanted ------------------------------------------------------------------------ */

bool
newt__feed_wants_class(const newt_feed *f, const char *name, size_t n)
{
    if (f->n_classes == 0)
        return true;
    for (size_t i = 0; i < f->n_classes; i++)
        if (strlen(f->classes[i]) == n && memcmp(f->classes[i], name, n) == 0)
            return true;
    return false;
}

bool
newt__feed_wants_object(const newt_feed *f, int64_t oid)
{
    return !f->objects ||
           bsearch(&oid, f->objects, f->o.n_objects, sizeof oid, newt__by_oid) != NULL;
}

/* ---- room ----------------------------------------------------------------------------------- */

static bool
grow(void *array, size_t size, size_t n, size_t *cap)
{
    size_t more = *cap ? *cap : 64;
    void **at = array, *p;

    while (more < n)
        more *= 2;
    if (more == *cap)
        return true;
    p = more < SIZE_MAX / size ? realloc(*at, more * size) : NULL;
    if (!p)
        return false;
    *at = p;
    *cap = more;
    return true;
}

bool
newt__feed_reserve(newt_feed *f, size_t n)
{
    newt__looked *l = &f->looked;
    size_t cap = l->cap, same;

    if (!grow(&f->fetched.events, sizeof *f->fetched.events, n, &f->fetched.cap))
        return false;
    if (cap >= n)
        return true;
    same = cap;
    if (!grow(&l->order, sizeof *l->order, n, &same))
        return false;
    same = cap;
    if (!grow(&l->record_at, sizeof *l->record_at, n, &same))
        return false;
    same = cap;
    if (!grow(&l->json_at, sizeof *l->json_at, n, &same))
        return false;
    same = f->cap_oids;
    if (!grow(&f->oids, sizeof *f->oids, n, &same))
        return false;
    f->cap_oids = same;
    l->cap = n;
    return true;
}

static bool
reserve_transaction(newt_feed *f)
{
    newt__fetched *q = &f->fetched;

    return grow(&q->transactions, sizeof *q->transactions, q->n_transactions + 1,
                &q->cap_transactions) &&
           grow(&f->transactions, sizeof *f->transactions, q->n_transactions + 1,
                &f->cap_transactions);
}

/* ---- in --------------------------------------------------------------------------------- */

static void
free_texts(newt_feed_transaction *t)
{
    free((char *)(uintptr_t)t->user);
    free((char *)(uintptr_t)t->description);
    free((char *)(uintptr_t)t->extension);
}

/* Forgets what has been handed out. */
static void
compact(newt__fetched *q)
{
    size_t n = q->n_transactions - q->next_transaction;

    for (size_t i = 0; i < q->next_transaction; i++)
        free_texts(&q->transactions[i]);
    if (n > 0)
        memmove(q->transactions, q->transactions + q->next_transaction,
                n * sizeof *q->transactions);
    for (size_t i = 0; i < n; i++)
        q->transactions[i].first_event -= q->next;
    if (q->n > q->next)
        memmove(q->events, q->events + q->next, (q->n - q->next) * sizeof *q->events);
    q->n -= q->next;
    q->next = q->next_transaction = 0;
    q->n_transactions = n;
}

void
newt__feed_discard(newt_feed *f)
{
    f->fetched.next = f->fetched.n;
    f->fetched.next_transaction = f->fetched.n_transactions;
    compact(&f->fetched);
    f->batch = (newt_batch){0};
    f->n_oids = 0;
}

static void
add_event(newt_feed *f, const newt__transaction *t, int64_t oid, newt_event_kind kind,
          const char *class_name)
{
    f->fetched.events[f->fetched.n++] = (newt_event){
        .oid = oid, .tid = t->at.tid, .kind = kind, .class_name = class_name};
}

static bool
add_removed(newt_feed *f, const newt__transaction *t)
{
    const char *name = t->removed_classes;

    for (size_t i = 0; i < t->n_removed; i++) {
        size_t n = name ? strlen(name) : 0;
        const char *interned = n > 0 ? newt__class_present(f->c->jar.classes, name, n) : "";

        if (!interned)
            return false;
        if (newt__feed_wants_object(f, t->removed[i]) &&
            newt__feed_wants_class(f, interned, strlen(interned)))
            add_event(f, t, t->removed[i], NEWT_EVENT_REMOVED,
                      newt__feed_is_blind(f) ? "" : interned);
        if (name)
            name += n + 1;
    }
    return true;
}

/* A newt__take_transaction. */
static int
take(void *arg, const newt__transaction *t)
{
    newt_feed *f = arg;
    newt__fetched *q = &f->fetched;
    newt_feed_transaction *x;
    bool fine = true;

    if (f->until && t->at.tid > f->until)
        return 1;
    if (!newt__feed_reserve(f, q->n + t->n_written + t->n_removed) || !reserve_transaction(f))
        return NEWT_ENOMEM;
    x = &q->transactions[q->n_transactions];
    *x = (newt_feed_transaction){.tid = t->at.tid,
                                 .serial = t->at.serial,
                                 .committed_us = t->committed_us,
                                 .first_event = q->n,
                                 .begun = f->cursor.parts > 0,
                                 .more = t->more};
    q->n_transactions++; /* its texts are freed with it, also if there is no memory for all */
    x->user = newt__text_copy(t->user, &fine);
    x->description = newt__text_copy(t->description, &fine);
    x->extension = newt__text_copy(t->extension, &fine);
    if (!fine)
        return NEWT_ENOMEM;
    for (size_t i = 0; i < t->n_written; i++)
        if (newt__feed_wants_object(f, t->written[i]))
            add_event(f, t, t->written[i], NEWT_EVENT_WRITTEN, "");
    if (!add_removed(f, t))
        return NEWT_ENOMEM;
    x->n_events = q->n - x->first_event;
    return NEWT_OK;
}

/* One object more than a batch has tells that there is something after it. */
int
newt__feed_fetch(newt_feed *f, newt_error *e)
{
    newt__fetched *q = &f->fetched;
    newt__call call;
    int64_t wanted;
    int status;

    compact(q);
    wanted = f->o.batch_objects + 1 - (int64_t)q->n;
    if (wanted <= 0)
        return NEWT_OK;
    call = newt__call_begin(&f->c->jar);
    status = f->c->jar.storage->feed->next(f->c->jar.session, &f->cursor, wanted, take, f, e);
    newt__call_end(&f->c->jar, &call, "transactions", NULL, status == 1 ? NEWT_OK : status);
    if (status == 1) {
        f->ended = q->n_transactions == 0;
        return NEWT_OK;
    }
    if (status == NEWT_OK && q->n_transactions == 0)
        f->ended = f->until && f->cursor.after.tid >= f->until;
    if (status == NEWT_ENOMEM && e->status == NEWT_OK)
        newt__fail_memory(e);
    if (status != NEWT_OK)
        newt__feed_discard(f);
    return status;
}
