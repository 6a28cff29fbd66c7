/*
 * conflict.c - what others have changed while a transaction ran: merged, or reported
 *
 * The storage says at commit which objects they are. What the resolvers of their classes can merge
 * goes on from what the others have committed, and the rest is reported, every object of it.
 */
#include "transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SPILLED = 1000, /* that are reported or merged at once */
    LIST_SIZE = 900      /* of the conflicts in words */
};

/* An object that others have changed. */
typedef struct newt__clashed {
    int64_t oid, serial;
    int64_t now;          /* its serial; 0: removed */
    newt__header *h;      /* NULL: only read, and not in the cache any more */
    newt__header *merged; /* what takes its place */
    bool only_read;
    bool refused;    /* by its resolver */
    uint8_t *record; /* as the others have committed it; NULL: not asked for */
    size_t n;
} newt__clashed;

/* ---- which ones ----------------------------------------------------------------------- */

static bool
make_room(newt__conflicts *q)
{
    size_t cap = q->cap ? 2 * q->cap : 16;
    newt__clashed *more;

    if (q->n < q->cap)
        return true;
    more = cap < SIZE_MAX / sizeof *more ? realloc(q->list, cap * sizeof *more) : NULL;
    if (more) {
        q->list = more;
        q->cap = cap;
    }
    return more != NULL;
}

int
newt__conflicts_take(void *arg, const newt__found *now, bool only_read)
{
    newt__conflicts *q = arg;
    newt__clashed x = {.oid = now->oid, .now = now->serial, .only_read = only_read};

    if (!only_read && !newt__cache_find(&q->c->jar.cache, x.oid) && ++q->n_spilled > MOST_SPILLED)
        return 1;
    if (now->record) {
        x.record = malloc(now->n + 1);
        x.n = now->n;
        if (x.record)
            memcpy(x.record, now->record, now->n);
    }
    q->failed |= (now->record && !x.record) || !make_room(q);
    if (q->failed) {
        free(x.record);
        return 1;
    }
    q->list[q->n++] = x;
    return 0;
}

static int
by_oid(const void *pa, const void *pb)
{
    const newt__clashed *a = pa, *b = pb;

    return (a->oid > b->oid) - (a->oid < b->oid);
}

static int64_t
serial_read(const newt__jar *jar, const newt__clashed *x)
{
    if (!x->only_read)
        return x->h->serial;
    for (size_t i = 0; i < jar->n_current; i++)
        if (jar->current[i].oid == x->oid)
            return jar->current[i].serial;
    return 0;
}

/* Finds the objects; those that were spilled come back into the cache. */
static int
find_all(newt__conflicts *q)
{
    newt__jar *jar = &q->c->jar;
    int status = NEWT_OK;

    qsort(q->list, q->n, sizeof *q->list, by_oid);
    newt__spill_rewind(jar->spill);
    for (size_t i = 0; i < q->n && status == NEWT_OK; i++) {
        newt__clashed *x = &q->list[i];

        x->h = newt__cache_find(&jar->cache, x->oid);
        if (!x->h && !x->only_read) {
            status = newt__unspill(jar, x->oid);
            x->h = status == NEWT_OK ? newt__cache_find(&jar->cache, x->oid) : NULL;
            x->only_read = !x->h; /* then it is not known here */
        }
        x->serial = serial_read(jar, x);
    }
    return status;
}

/* ---- merging -------------------------------------------------------------------------- */

/* Its record was wanted, which newt__pending_next decides, and it was not removed. */
static bool
can_merge(const newt__clashed *s)
{
    return s->record && s->h;
}

static int
call_resolver(newt_conn *c, const newt__class *k, const newt__header *old,
              const newt__header *committed, newt__header *ours, newt_error *e)
{
    newt_error outside = {0};
    int status;

    /* what goes wrong in its setters is this object's error, not the connection's */
    newt__error_move(&outside, &c->jar.base.error);
    status = k->hooks.resolve((const char *)old + NEWT__HEADER,
                              (const char *)committed + NEWT__HEADER, newt__object_of(ours),
                              k->hooks.arg);
    if (status <= 0 && ours->failed) {
        status = c->jar.base.error.status;
        newt__error_move(e, &c->jar.base.error);
    } else if (status < 0) {
        newt__fail_at(e, status, ours->oid, k, NULL, "could not be merged by its resolver");
    }
    newt__error_clear(&c->jar.base.error);
    newt__error_move(&c->jar.base.error, &outside);
    return status;
}

/* A record that is not what this program's class says is a conflict like others. */
static int
image(newt_conn *c, const newt__header *h, const void *record, size_t n, newt__header **out,
      newt_error *e)
{
    newt__reader head;
    int status;

    if (newt__read_begin(&head, &c->jar.coder.env, record, n) != NEWT__OK ||
        newt__class_named(c->jar.classes, head.class_name, head.class_n) != h->class)
        return NEWT_ECONFLICT;
    status = newt__image_make(&c->jar, h->class, h->oid, record, n, out, e);
    if (status == NEWT_OK || status == NEWT_ENOMEM)
        return status;
    newt__error_clear(e);
    return NEWT_ECONFLICT;
}

/* NEWT_ECONFLICT: it cannot be merged; *e is left as it is then. */
static int
merge(newt__conflicts *q, newt__clashed *s, newt_error *error)
{
    newt_conn *c = q->c;
    newt__header *old = NULL, *committed = NULL, *ours = NULL;
    newt_error e = {0};
    int status = image(c, s->h, s->h->record, s->h->record_n, &old, &e);

    if (status == NEWT_OK)
        status = image(c, s->h, s->record, s->n, &committed, &e);
    if (status == NEWT_OK && committed->fixed)
        status = NEWT_ECONFLICT; /* it has what could not be written back */
    if (status == NEWT_OK)
        status = newt__image_encode(&c->jar, s->h, false, &e);
    if (status == NEWT_OK)
        status = newt__image_make(&c->jar, s->h->class, s->oid, c->jar.coder.writer.buf.data,
                                  c->jar.coder.writer.buf.n, &ours, &e);
    if (status == NEWT_OK) {
        status = call_resolver(c, s->h->class, old, committed, ours, &e);
        s->refused = status > 0;
        status = s->refused ? NEWT_ECONFLICT : status;
    }
    if (status == NEWT_OK && !newt__index_may_merge(s->h->class, old, committed, s->h, ours))
        status = NEWT_ECONFLICT;
    if (status == NEWT_OK && !newt__header_keep(ours, s->record, s->n))
        status = newt__fail_memory(&e);
    if (status == NEWT_OK) {
        /* from now on it is as if it had been loaded from what the others committed; fields that
         * the class lacks are theirs as well */
        ours->extra = committed->extra;
        ours->serial = s->now;
        s->merged = ours;
        ours = NULL;
    }
    newt__header_free(old);
    newt__header_free(committed);
    newt__header_free(ours);
    if (status == NEWT_ECONFLICT)
        newt__error_clear(&e);
    else if (status != NEWT_OK)
        newt__error_move(error, &e);
    return status;
}

/* The merged ones take their places in the cache. */
static int
put_merged(newt__conflicts *q, newt_error *e)
{
    for (size_t i = 0; i < q->n; i++) {
        newt__clashed *s = &q->list[i];

        if (!s->merged)
            continue;
        s->merged->epoch = s->h->epoch;
        if (newt__cache_put(&q->c->jar, s->merged) != NEWT_OK)
            return newt__fail_memory(e);
        s->h = s->merged;
        s->merged = NULL;
        s->h->state = NEWT__CHANGED;
        newt__cache_list(s->h, true);
    }
    return NEWT_OK;
}

/* ---- reporting ------------------------------------------------------------------------ */

static const char *
name_of(const newt__clashed *s, char name[NEWT__NAME_SIZE])
{
    if (s->h)
        return newt__header_name(s->h, name);
    snprintf(name, NEWT__NAME_SIZE, "object %lld", (long long)s->oid);
    return name;
}

/* All in words, as many as fit: `Task 7: read with 1031, now 1042; Task 9: ...`. */
static void
describe(const newt__conflicts *q, char out[LIST_SIZE])
{
    char name[NEWT__NAME_SIZE], one[NEWT__NAME_SIZE + 80];
    size_t at = 0, told = 0;

    for (size_t i = 0; i < q->n; i++) {
        const newt__clashed *s = &q->list[i];
        int n = snprintf(one, sizeof one,
                         s->now ? "%s%s: read with serial %lld, has %lld now"
                                : "%s%s: read with serial %lld, removed",
                         told ? "; " : "", name_of(s, name), (long long)s->serial,
                         (long long)s->now);
        if (n < 0 || at + (size_t)n + 40 > LIST_SIZE)
            break;
        memcpy(out + at, one, (size_t)n);
        at += (size_t)n;
        told++;
    }
    snprintf(out + at, LIST_SIZE - at, told < q->n ? "; and %zu more." : ".", q->n - told);
}

static int
report(const newt__conflicts *q, const newt__clashed *first, newt_error *e)
{
    char name[NEWT__NAME_SIZE], text[LIST_SIZE], more[48] = "";
    newt_conflict *list = calloc(q->n, sizeof *list);
    size_t n = 0;

    if (!list)
        return newt__fail_memory(e);
    for (size_t i = 0; i < q->n; i++) {
        const newt__clashed *s = &q->list[i];

        list[n++] = (newt_conflict){.object = {s->oid},
                                    .class_name = s->h ? newt__header_known_class(s->h) : "",
                                    .serial = s->serial,
                                    .committed = s->now,
                                    .read_current = s->only_read};
    }
    if (n > 1)
        snprintf(more, sizeof more, " (and %zu more objects)", n - 1);
    newt__fail(e, NEWT_ECONFLICT, first->oid, "%s was %s by another transaction%s",
               name_of(first, name), first->now ? "changed" : "removed", more);
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
    if (first->h)
        newt__header_blame(first->h, e);
    e->conflicts = list;
    e->n_conflicts = n;
    if (n > 1) {
        describe(q, text);
        newt__fail_detail(e, "%s", text);
    } else if (first->now) {
        newt__fail_detail(e, "It was read with serial %lld and has serial %lld now.%s",
                          (long long)first->serial, (long long)first->now,
                          first->refused ? " Its resolver did not merge it."
                          : first->only_read
                              ? " It was only read, but newt_read_current was called."
                              : "");
    } else {
        newt__fail_detail(e, "It was read with serial %lld.", (long long)first->serial);
    }
    newt__fail_hint(e, "Run the transaction again, as newt_transact does.");
    return NEWT_ECONFLICT;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int
merge_all(newt__conflicts *q, newt_error *e)
{
    int status = NEWT_OK;

    /* all or none: no resolver runs for nothing */
    for (size_t i = 0; i < q->n; i++)
        if (!can_merge(&q->list[i]))
            return report(q, &q->list[i], e);
    for (size_t i = 0; i < q->n && status == NEWT_OK; i++) {
        status = merge(q, &q->list[i], e);
        if (status == NEWT_ECONFLICT)
            return report(q, &q->list[i], e);
    }
    if (status == NEWT_OK)
        status = put_merged(q, e);
    if (status == NEWT_OK)
        q->c->jar.stats.merges += (int64_t)q->n;
    return status;
}

int
newt__conflicts_settle(newt__conflicts *q, newt_error *e)
{
    int status;

    if (q->failed)
        return newt__fail_memory(e);
    if (q->n == 0)
        return e->status; /* a deadlock, or it could not be asked */
    status = find_all(q);
    if (status != NEWT_OK) { /* the connection's error says why */
        newt__error_clear(e);
        return status;
    }
    return merge_all(q, e);
}

void
newt__conflicts_free(newt__conflicts *q)
{
    for (size_t i = 0; i < q->n; i++) {
        newt__header_free(q->list[i].merged);
        free(q->list[i].record);
    }
    free(q->list);
}
