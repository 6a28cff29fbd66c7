/*
 * unreachable.c - in debug mode, before a commit: the new objects that no reference leads to
 *
 * They are saved all the same, and may well be meant so: a query can find them. But a program that
 * goes from its roots will never see them again, which is what a forgotten reference looks like.
 */
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_TOLD = 10 /* also in newtdb.h */
};

/* A reference from one new object to another, as places in the list of them. */
typedef struct edge {
    size_t from, to;
} edge;

typedef struct search {
    newt_conn *c;
    newt__pending pending;
    int64_t *oids; /* of the new objects, in order */
    size_t n, cap;
    edge *edges; /* in order of `from` */
    size_t n_edges, cap_edges;
    bool *reached;
    size_t *todo; /* reached, and where they lead to is not known yet */
    size_t n_todo;
} search;

static int
no_memory(search *s)
{
    return newt__fail_memory(&s->c->jar.base.error);
}

static bool
grow(void *list, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap * 2 : 64;
    void **at = list, *p = more < SIZE_MAX / 2 / size ? realloc(*at, more * size) : NULL;

    if (p) {
        *at = p;
        *cap = more;
    }
    return p != NULL;
}

/* Runs through all that the commit will write. */
static int
for_each(search *s, int (*run)(search *s, const newt__change *x))
{
    newt__change x;
    int status = newt__pending_rewind(&s->pending);

    while (status == NEWT_OK && (status = newt__pending_next(&s->pending, &x)) == 1)
        status = run(s, &x);
    return status;
}

static int
list_new(search *s, const newt__change *x)
{
    if (x->what != NEWT__ADD)
        return NEWT_OK;
    if (s->n == s->cap && !grow(&s->oids, &s->cap, sizeof *s->oids))
        return no_memory(s);
    s->oids[s->n++] = x->oid; /* they come in order */
    return NEWT_OK;
}

static bool
place_of(const search *s, int64_t oid, size_t *place)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->oids[middle] < oid)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return low < s->n && s->oids[low] == oid;
}

static void
reach(search *s, size_t place)
{
    if (s->reached[place])
        return;
    s->reached[place] = true;
    s->todo[s->n_todo++] = place;
}

static int
follow_references(search *s, const newt__change *x)
{
    newt__token t = {0};
    newt__reader r;
    size_t from = 0, to;

    if (x->what == NEWT__REMOVE ||
        newt__read_begin(&r, &s->c->jar.coder.env, x->record, x->n) != NEWT__OK)
        return NEWT_OK;
    if (x->what == NEWT__ADD)
        place_of(s, x->oid, &from);
    while (newt__read(&r, &t) == NEWT__OK && (t.kind != NEWT__END || r.depth > 0 || r.at < x->n)) {
        if (t.kind != NEWT__REF || !place_of(s, t.i, &to))
            continue;
        if (x->what != NEWT__ADD) {
            reach(s, to);
            continue;
        }
        if (s->n_edges == s->cap_edges && !grow(&s->edges, &s->cap_edges, sizeof *s->edges))
            return no_memory(s);
        s->edges[s->n_edges++] = (edge){from, to};
    }
    return NEWT_OK;
}

static void
follow_new(search *s)
{
    while (s->n_todo > 0) {
        size_t place = s->todo[--s->n_todo], low = 0, high = s->n_edges;

        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (s->edges[middle].from < place)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < s->n_edges && s->edges[low].from == place; low++)
            reach(s, s->edges[low].to);
    }
}

static void
tell(const search *s, newt_error *notice)
{
    const newt_options *o = s->c->jar.options;

    if (o->notice)
        o->notice(notice, o->notice_arg);
    newt__error_clear(notice);
}

static int
tell_unreached(search *s, const newt__change *x)
{
    newt_error notice = {0};
    newt__reader r;
    size_t place;

    if (x->what != NEWT__ADD || !place_of(s, x->oid, &place) || s->reached[place] ||
        newt__read_begin(&r, &s->c->jar.coder.env, x->record, x->n) != NEWT__OK)
        return NEWT_OK;
    if (s->n_todo++ < MOST_TOLD) { /* now the number of those met */
        newt__fail(&notice, NEWT_OK, x->oid, "no reference leads to the new object %.*s %lld",
                   (int)r.class_n, r.class_name, (long long)x->oid);
        newt__fail_hint(&notice, "Set a root or a field to it; or let a query find it.");
        tell(s, &notice);
    }
    return NEWT_OK;
}

int
newt__unreachable_tell(newt_conn *c)
{
    search s = {.c = c, .pending.c = c};
    newt_error notice = {0};
    int status = NEWT_OK;

    if (!c->jar.options->debug || !c->jar.options->notice)
        return NEWT_OK;
    status = for_each(&s, list_new);
    if (status != NEWT_OK || s.n == 0)
        goto out;
    s.reached = calloc(s.n, sizeof *s.reached);
    s.todo = s.n < SIZE_MAX / sizeof *s.todo ? malloc(s.n * sizeof *s.todo) : NULL;
    if (!s.reached || !s.todo) {
        status = no_memory(&s);
        goto out;
    }
    status = for_each(&s, follow_references);
    if (status != NEWT_OK)
        goto out;
    follow_new(&s);
    status = for_each(&s, tell_unreached);
    if (status == NEWT_OK && s.n_todo > MOST_TOLD) {
        newt__fail(&notice, NEWT_OK, 0, "no reference leads to %zu more new objects",
                   s.n_todo - MOST_TOLD);
        tell(&s, &notice);
    }
out:
    newt__pending_free(&s.pending);
    free(s.oids);
    free(s.edges);
    free(s.reached);
    free(s.todo);
    return status;
}
