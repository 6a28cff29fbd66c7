/*
 * conflict.c - what others have changed while a transaction ran
 *
 * The server compares serials at commit, and raises. Then, in one round trip, it is asked which
 * objects they are; what the resolvers of their classes can merge goes on from what the others have
 * committed, and the rest is reported, every object of it. Nothing is locked meanwhile: another
 * commit in between is another conflict.
 */
#include "object.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_CURRENT = 10000, /* their array travels under the commit lock */
    MOST_ASKED = 10000,   /* spilled objects, at once */
    MOST_BACK = 1000,     /* of them are reported or merged */
    LIST_SIZE = 900       /* of the conflicts in words */
};

/* ---- what was only read, but must be current ------------------------------------------ */

int
newt_read_current(newt_conn *c, newt_ref r)
{
    newt__header *h;
    int status = newt__conn_enter(c);

    if (status != NEWT_OK)
        return status;
    h = newt__object_find(c, r, NEWT__ON_READ);
    if (!h)
        return newt__doom(c);
    if (h->serial == 0 || h->current)
        return NEWT_OK;
    if (c->n_current == MOST_CURRENT) {
        newt__conn_fail(c, NEWT_ELIMIT, r.oid, "more than %d objects are to be current at commit",
                        MOST_CURRENT);
        return newt__doom(c);
    }
    if (c->n_current == c->cap_current) {
        size_t cap = c->cap_current ? 2 * c->cap_current : 16;
        newt__current *more = realloc(c->current, cap * sizeof *more);

        if (!more) {
            newt__fail_memory(&c->error);
            return newt__doom(c);
        }
        c->current = more;
        c->cap_current = cap;
    }
    c->current[c->n_current++] = (newt__current){h->oid, h->serial};
    h->current = true;
    return NEWT_OK;
}

void
newt__current_clear(newt_conn *c)
{
    for (size_t i = 0; i < c->n_current; i++) {
        newt__header *h = newt__cache_find(&c->cache, c->current[i].oid);

        if (h)
            h->current = false;
    }
    c->n_current = 0;
}

/* What is written is compared when it is. */
static bool
only_read(newt_conn *c, const newt__current *x)
{
    const newt__header *h = newt__cache_find(&c->cache, x->oid);

    return h ? !h->written : !newt__spill_has(c, x->oid);
}

bool
newt__current_send(newt_conn *c)
{
    newt__array oids = {.buf.env = &c->env}, serials = {.buf.env = &c->env};
    newt__params p = {0};
    bool any;

    if (c->n_current == 0)
        return false;
    newt__array_begin(&oids, NEWT__OID_INT8);
    newt__array_begin(&serials, NEWT__OID_INT8);
    for (size_t i = 0; i < c->n_current; i++) {
        if (only_read(c, &c->current[i])) {
            newt__array_int(&oids, c->current[i].oid);
            newt__array_int(&serials, c->current[i].serial);
        }
    }
    any = oids.n > 0 || oids.failed;
    if (any) {
        newt__param_array(&p, &oids);
        newt__param_array(&p, &serials);
        newt__param_int(&p, oids.n);
        newt__send(c, NEWT__S_CURRENT, &p);
    }
    newt__buffer_free(&oids.buf);
    newt__buffer_free(&serials.buf);
    return any;
}

/* ---- which ones ----------------------------------------------------------------------- */

/* An object that may be one of those that others have changed. */
typedef struct suspect {
    int64_t oid, serial;
    newt__header *h;      /* NULL: only read, and not in the cache any more */
    newt__header *merged; /* what takes its place */
    bool current;         /* only read */
    bool conflict;        /* it is one */
    int64_t now;          /* its serial; 0: removed */
    int row;              /* of the answer */
} suspect;

typedef struct inquiry {
    newt_conn *c;
    newt_error *e;
    suspect *list; /* by oid */
    size_t n, n_conflicts;
    bool may_merge;
    PGresult *r;
} inquiry;

static int
by_oid(const void *pa, const void *pb)
{
    const suspect *a = pa, *b = pb;

    return (a->oid > b->oid) - (a->oid < b->oid);
}

static suspect *
find(const inquiry *q, int64_t oid)
{
    suspect key = {.oid = oid};

    return bsearch(&key, q->list, q->n, sizeof key, by_oid);
}

static bool
is_written(const newt__header *h)
{
    return h->written && h->state != NEWT__NEW;
}

static bool
can_merge(const inquiry *q, const suspect *s)
{
    return q->may_merge && !s->current && !s->h->current && s->h->state == NEWT__CHANGED &&
           s->h->class && s->h->class->hooks.resolve;
}

static int
list_suspects(inquiry *q)
{
    newt_conn *c = q->c;
    size_t n = c->n_current + c->cache.changed.n;

    q->list = n < SIZE_MAX / sizeof *q->list ? calloc(n + 1, sizeof *q->list) : NULL;
    if (!q->list)
        return newt__fail_memory(q->e);
    for (newt__header *h = c->cache.changed.oldest; h; h = h->newer)
        if (is_written(h))
            q->list[q->n++] = (suspect){.oid = h->oid, .serial = h->serial, .h = h};
    for (size_t i = 0; i < c->n_current; i++)
        if (only_read(c, &c->current[i]))
            q->list[q->n++] = (suspect){.oid = c->current[i].oid,
                                        .serial = c->current[i].serial,
                                        .h = newt__cache_find(&c->cache, c->current[i].oid),
                                        .current = true};
    qsort(q->list, q->n, sizeof *q->list, by_oid);
    return NEWT_OK;
}

/* What is asked about objects: their oids, the serials they were read with, and which records are
 * wanted. */
typedef struct question {
    newt__array oids, serials, wanted;
} question;

static void
question_begin(question *a, newt_conn *c)
{
    newt__array *arrays[] = {&a->oids, &a->serials, &a->wanted};

    for (int i = 0; i < 3; i++) {
        arrays[i]->buf.env = &c->env;
        newt__array_begin(arrays[i], NEWT__OID_INT8);
    }
}

static void
question_add(question *a, int64_t oid, int64_t serial, bool wanted)
{
    newt__array_int(&a->oids, oid);
    newt__array_int(&a->serials, serial);
    newt__array_int(&a->wanted, wanted);
}

/* The answer, or NULL; outside of a transaction. */
static PGresult *
answer(question *a, newt_conn *c)
{
    newt__params p = {0};
    PGresult *r;

    newt__param_array(&p, &a->oids);
    newt__param_array(&p, &a->serials);
    newt__param_array(&p, &a->wanted);
    newt__talk_begin(c);
    if (c->in_transaction)
        newt__send(c, NEWT__S_ROLLBACK, NULL);
    newt__send(c, NEWT__S_CONFLICTS, &p);
    newt__sync(c);
    if (c->in_transaction)
        newt__take_done(c);
    c->in_transaction = false;
    r = newt__take(c);
    newt__take_rest(c);
    newt__error_clear(&c->talk->error);
    newt__buffer_free(&a->oids.buf);
    newt__buffer_free(&a->serials.buf);
    newt__buffer_free(&a->wanted.buf);
    return r;
}

/* Those of the spilled objects that others have changed come back into the cache: the first of
 * them, as many as are reported. */
static int
take_spilled(newt_conn *c)
{
    newt__oids back = {0};
    newt__spilled x;
    int found = 1, status = NEWT_OK;

    newt__spill_rewind(c);
    while (found == 1 && back.n < MOST_BACK) {
        question a = {0};
        PGresult *r;

        question_begin(&a, c);
        while (a.oids.n < MOST_ASKED && (found = newt__spill_next(c, &x)) == 1 &&
               x.state != NEWT__NEW)
            question_add(&a, x.oid, x.serial, false);
        if (found == 1 && x.state == NEWT__NEW)
            found = 0; /* and so are all after it */
        r = answer(&a, c);
        for (int i = 0; r && i < PQntuples(r) && back.n < MOST_BACK; i++)
            newt__oids_add(&back, newt__field_int(r, i, 0));
        if (!r)
            found = 0;
        PQclear(r);
    }
    newt__spill_rewind(c);
    if (found < 0)
        status = found;
    if (back.failed)
        status = newt__fail_memory(&c->error);
    for (size_t i = 0; i < back.n && status == NEWT_OK; i++) {
        newt__header *h;

        status = newt__spill_take(c, back.oids[i]);
        h = newt__cache_find(&c->cache, back.oids[i]);
        if (status == NEWT_OK && h)
            h->written = true;
    }
    free(back.oids);
    return status;
}

/* Marks those that others have changed; without an answer there are none. */
static void
ask(inquiry *q)
{
    newt_conn *c = q->c;
    question a = {0};

    question_begin(&a, c);
    for (size_t i = 0; i < q->n; i++)
        question_add(&a, q->list[i].oid, q->list[i].serial, can_merge(q, &q->list[i]));
    q->r = answer(&a, c);
    for (int i = 0; q->r && i < PQntuples(q->r); i++) {
        suspect *s = find(q, newt__field_int(q->r, i, 0));

        if (!s)
            continue;
        s->conflict = true;
        s->now = newt__field_int(q->r, i, 1);
        s->row = i;
        q->n_conflicts++;
    }
}

/* ---- merging -------------------------------------------------------------------------- */

static int
call_resolver(newt_conn *c, const newt__class *k, const newt__header *old,
              const newt__header *committed, newt__header *ours, newt_error *e)
{
    newt_error outside = {0};
    int status;

    /* what goes wrong in its setters is this object's error, not the connection's */
    newt__error_move(&outside, &c->error);
    status = k->hooks.resolve((const char *)old + NEWT__HEADER,
                              (const char *)committed + NEWT__HEADER, newt__object_of(ours),
                              k->hooks.arg);
    if (status <= 0 && ours->failed) {
        status = c->error.status;
        newt__error_move(e, &c->error);
    } else if (status < 0) {
        newt__fail_at(e, status, ours->oid, k, NULL, "could not be merged by its resolver");
    }
    newt__error_clear(&c->error);
    newt__error_move(&c->error, &outside);
    return status;
}

/* A record that is not what this program's class says is a conflict like others. */
static int
image(newt_conn *c, const newt__header *h, const void *record, size_t n, newt__header **out,
      newt_error *e)
{
    newt__reader head;
    int status;

    if (newt__read_begin(&head, &c->env, record, n) != NEWT__OK ||
        newt__class_named(c->db->classes, head.class_name, head.class_n) != h->class)
        return NEWT_ECONFLICT;
    status = newt__decode(c, h->class, h->oid, record, n, out, e);
    if (status == NEWT_OK || status == NEWT_ENOMEM)
        return status;
    newt__error_clear(e);
    return NEWT_ECONFLICT;
}

/* NEWT_ECONFLICT: it cannot be merged; *e is left as it is then. */
static int
merge(inquiry *q, suspect *s)
{
    newt_conn *c = q->c;
    const void *record = PQgetvalue(q->r, s->row, 2);
    size_t n = (size_t)PQgetlength(q->r, s->row, 2);
    newt__header *old = NULL, *committed = NULL, *ours = NULL;
    newt_error e = {0};
    int status = image(c, s->h, s->h->record, s->h->record_n, &old, &e);

    if (status == NEWT_OK)
        status = image(c, s->h, record, n, &committed, &e);
    if (status == NEWT_OK && committed->fixed)
        status = NEWT_ECONFLICT; /* it has what could not be written back */
    if (status == NEWT_OK)
        status = newt__encode(c, s->h, false, &e);
    if (status == NEWT_OK)
        status = newt__decode(c, s->h->class, s->oid, c->writer.buf.data, c->writer.buf.n, &ours,
                              &e);
    if (status == NEWT_OK) {
        status = call_resolver(c, s->h->class, old, committed, ours, &e);
        status = status > 0 ? NEWT_ECONFLICT : status;
    }
    if (status == NEWT_OK && !newt__object_keep(ours, record, n))
        status = newt__fail_memory(&e);
    if (status == NEWT_OK) {
        /* from now on it is as if it had been loaded from what the others committed; fields that
         * the class lacks are theirs as well */
        ours->extra = committed->extra;
        ours->serial = s->now;
        s->merged = ours;
        ours = NULL;
    }
    newt__object_free(old);
    newt__object_free(committed);
    newt__object_free(ours);
    if (status == NEWT_ECONFLICT)
        newt__error_clear(&e);
    else if (status != NEWT_OK)
        newt__error_move(q->e, &e);
    return status;
}

/* The merged ones take their places in the cache. */
static int
put_merged(inquiry *q)
{
    for (size_t i = 0; i < q->n; i++) {
        suspect *s = &q->list[i];

        if (!s->merged)
            continue;
        s->merged->epoch = s->h->epoch;
        if (newt__cache_put(q->c, s->merged) != NEWT_OK)
            return newt__fail_memory(q->e);
        s->h = s->merged;
        s->merged = NULL;
        s->h->state = NEWT__CHANGED;
        newt__cache_list(s->h, true);
    }
    return NEWT_OK;
}

/* ---- reporting ------------------------------------------------------------------------ */

static const char *
name_of(const suspect *s, char name[NEWT__NAME_SIZE])
{
    if (s->h)
        return newt__object_name(s->h, name);
    snprintf(name, NEWT__NAME_SIZE, "object %lld", (long long)s->oid);
    return name;
}

static const char *
class_of(const newt__header *h)
{
    const char *name = "";

    if (h && h->class)
        name = h->class->name;
    else if (h)
        name = ((const newt_bag *)(const void *)((const char *)h + NEWT__HEADER))->class_name;
    return name ? name : "";
}

/* All in words, as many as fit: `Task 7: read with 1031, now 1042; Task 9: ...`. */
static void
describe(const inquiry *q, char out[LIST_SIZE])
{
    char name[NEWT__NAME_SIZE], one[NEWT__NAME_SIZE + 80];
    size_t at = 0, told = 0;

    for (size_t i = 0; i < q->n; i++) {
        const suspect *s = &q->list[i];
        int n;

        if (!s->conflict)
            continue;
        n = snprintf(one, sizeof one,
                     s->now ? "%s%s: read with serial %lld, has %lld now"
                            : "%s%s: read with serial %lld, removed",
                     told ? "; " : "", name_of(s, name), (long long)s->serial, (long long)s->now);
        if (n < 0 || at + (size_t)n + 40 > LIST_SIZE)
            break;
        memcpy(out + at, one, (size_t)n);
        at += (size_t)n;
        told++;
    }
    snprintf(out + at, LIST_SIZE - at, told < q->n_conflicts ? "; and %zu more." : ".",
             q->n_conflicts - told);
}

static int
report(inquiry *q, const suspect *first)
{
    newt_error *e = q->e;
    char name[NEWT__NAME_SIZE], text[LIST_SIZE], more[48] = "";
    newt_conflict *list = calloc(q->n_conflicts, sizeof *list);
    size_t n = 0;

    if (!list)
        return newt__fail_memory(e);
    for (size_t i = 0; i < q->n; i++) {
        const suspect *s = &q->list[i];

        if (s->conflict)
            list[n++] = (newt_conflict){.object = {s->oid},
                                        .class_name = class_of(s->h),
                                        .serial = s->serial,
                                        .committed = s->now,
                                        .read_current = s->current};
    }
    if (n > 1)
        snprintf(more, sizeof more, " (and %zu more objects)", n - 1);
    newt__fail(e, NEWT_ECONFLICT, first->oid, "%s was %s by another transaction%s",
               name_of(first, name), first->now ? "changed" : "removed", more);
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
    e->conflicts = list;
    e->n_conflicts = n;
    if (n > 1) {
        describe(q, text);
        newt__fail_detail(e, "%s", text);
    } else if (first->now) {
        newt__fail_detail(e, "It was read with serial %lld and has serial %lld now.",
                          (long long)first->serial, (long long)first->now);
    } else {
        newt__fail_detail(e, "It was read with serial %lld.", (long long)first->serial);
    }
    return NEWT_ECONFLICT;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int
merge_all(inquiry *q)
{
    int status = NEWT_OK;

    /* all or none: no resolver runs in vain */
    for (size_t i = 0; i < q->n; i++)
        if (q->list[i].conflict && (q->list[i].now == 0 || !can_merge(q, &q->list[i])))
            return report(q, &q->list[i]);
    for (size_t i = 0; i < q->n && status == NEWT_OK; i++) {
        if (!q->list[i].conflict)
            continue;
        status = merge(q, &q->list[i]);
        if (status == NEWT_ECONFLICT)
            return report(q, &q->list[i]);
    }
    if (status == NEWT_OK)
        status = put_merged(q);
    if (status == NEWT_OK)
        q->c->stats.merges += (int64_t)q->n_conflicts;
    return status;
}

int
newt__conflicts(newt_conn *c, bool may_merge, newt_error *e)
{
    inquiry q = {.c = c, .e = e, .may_merge = may_merge};
    int status = newt__spill_n(c) > 0 ? take_spilled(c) : NEWT_OK;

    if (status != NEWT_OK)
        newt__error_move(e, &c->error);
    else
        status = list_suspects(&q);

    if (status == NEWT_OK) {
        if (q.n > 0)
            ask(&q);
        /* none: a deadlock, or no answer */
        status = q.n_conflicts > 0 ? merge_all(&q) : e->status;
    }
    for (size_t i = 0; i < q.n; i++)
        newt__object_free(q.list[i].merged);
    PQclear(q.r);
    free(q.list);
    return status;
}
