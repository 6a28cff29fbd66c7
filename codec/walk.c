/*
 * walk.c - the objects that a record refers to, and walks along these references
 */
#include "read.h"

#include <stdlib.h>

/* ---- references ----------------------------------------------------------------------------- */

static bool
named(const newt__name *names, size_t n, const newt__token *t)
{
    for (size_t i = 0; i < n; i++)
        if (names[i].n == t->n && (t->n == 0 || memcmp(names[i].s, t->s, t->n) == 0))
            return true;
    return false;
}

newt__code
newt__refs(const newt__env *env, const void *record, size_t n, const newt__name *fields,
           size_t n_fields, newt__ref_found *found, void *arg, newt__fault *fault)
{
    bool wanted = n_fields == 0;
    newt__reader r;
    newt__token t;
    uint32_t depth;

    if (newt__read_begin(&r, env, record, n) != NEWT__OK)
        goto out;
    do {
        depth = r.depth;
        if (newt__read_token(&r, &t) != NEWT__OK)
            break;
        if (n_fields > 0 && depth == 1 && t.is_key && t.kind != NEWT__END)
            wanted = t.kind == NEWT__TEXT && named(fields, n_fields, &t);
        else if (t.kind == NEWT__REF && wanted && found(arg, t.i)) {
            newt__read_fail(&r, NEWT__SINK, NULL, t.offset);
            break;
        }
    } while (t.kind != NEWT__END || r.depth > 0 || r.at < r.n);
out:
    if (fault != NULL)
        *fault = r.fault;
    return r.fault.code;
}

/* ---- the objects of a walk ------------------------------------------------------------------ */

enum {
    FIRST_SLOTS = 64
};

/* The slot that holds the oid, or the empty one where it would be. */
static size_t
slot_of(const newt__walk *w, int64_t oid)
{
    /* the golden ratio spreads consecutive oids; the upper half is the mixed one */
    size_t mask = w->n_slots - 1,
           i = (size_t)(((uint64_t)oid * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;

    while (w->slots[i] != 0 && w->slots[i] != oid)
        i = (i + 1) & mask;
    return i;
}

/* Three quarters of the slots may be in use, and the queue is as long. */
static bool
make_room(newt__walk *w)
{
    const newt__env *env = w->env;
    size_t n_slots = w->n_slots ? 2 * w->n_slots : FIRST_SLOTS;
    int64_t *more;

    if (w->n < w->n_slots / 4 * 3)
        return true;
    if (n_slots > SIZE_MAX / 2 / sizeof *w->slots)
        return false;
    more = env->realloc(env->arg, w->queue, n_slots / 4 * 3 * sizeof *w->queue);
    if (more == NULL)
        return false;
    w->queue = more;
    more = env->realloc(env->arg, NULL, n_slots * sizeof *w->slots);
    if (more == NULL)
        return false;
    env->free(env->arg, w->slots);
    w->slots = memset(more, 0, n_slots * sizeof *w->slots);
    w->n_slots = n_slots;
    /* in the order of the queue, so that what was put in last can be taken out again */
    for (size_t i = 0; i < w->n; i++)
        w->slots[slot_of(w, w->queue[i])] = w->queue[i];
    return true;
}

newt__code
newt__walk_add(newt__walk *w, int64_t oid)
{
    size_t i;

    if (oid <= 0 || w->n >= w->max_objects)
        return NEWT__OK;
    if (!make_room(w))
        return NEWT__NOMEM;
    i = slot_of(w, oid);
    if (w->slots[i] == 0) {
        w->slots[i] = oid;
        w->queue[w->n++] = oid;
    }
    return NEWT__OK;
}

static int
compare_oids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

bool
newt__walk_level(newt__walk *w)
{
    if (w->to > 0)
        w->depth++;
    w->from = w->to;
    w->to = w->n;
    if (w->to - w->from > 1)
        qsort(w->queue + w->from, w->to - w->from, sizeof *w->queue, compare_oids);
    return w->to > w->from;
}

static int
add_found(void *arg, int64_t oid)
{
    return newt__walk_add(arg, oid) != NEWT__OK;
}

newt__code
newt__walk_record(newt__walk *w, const void *record, size_t n)
{
    size_t before = w->n;
    newt__code code;

    if (w->depth >= w->max_depth || w->n >= w->max_objects)
        return NEWT__OK;
    code = newt__refs(w->env, record, n, w->fields, w->n_fields, add_found, w, NULL);
    if (code == NEWT__OK)
        return NEWT__OK;
    /* last in, first out: to remove them moves no other entry */
    while (w->n > before)
        w->slots[slot_of(w, w->queue[--w->n])] = 0;
    return code == NEWT__SINK ? NEWT__NOMEM : code == NEWT__INTERRUPTED ? code : NEWT__OK;
}

void
newt__walk_free(newt__walk *w)
{
    w->env->free(w->env->arg, w->queue);
    w->env->free(w->env->arg, w->slots);
    w->queue = w->slots = NULL;
    w->n = w->n_slots = w->from = w->to = 0;
}
