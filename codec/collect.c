/*
 * collect.c - containers whose items come in any order, or in unknown number
 *
 * The items are written without a head, with a mark at each; newt__collected sorts them and puts
 * the head in front.
 */
#include "write.h"

static void
collect(newt__writer *w, enum newt__what what, uint8_t kind)
{
    if (newt__item(w, what, 0))
        newt__enter(w, kind, NEWT__COLLECTED_LEFT);
}

void
newt__collect_map(newt__writer *w)
{
    collect(w, NEWT__WRITE_FIELDS, NEWT__OPEN_COLLECTED_MAP);
}

void
newt__collect_fields(newt__writer *w)
{
    newt__collect_map(w);
    if (w->fault.code == NEWT__OK)
        w->open[w->n_open - 1].last = true;
}

void
newt__collect_pairs(newt__writer *w)
{
    collect(w, NEWT__WRITE_OTHER, NEWT__OPEN_COLLECTED_PAIRS);
}

void
newt__collect_set(newt__writer *w)
{
    collect(w, NEWT__WRITE_OTHER, NEWT__OPEN_COLLECTED_SET);
}

void
newt__collect_array(newt__writer *w)
{
    if (w->pending == NEWT__PENDING_STORE) {
        newt__write_fail(w, NEWT__PROFILE, "reference to another store is not [store, oid]");
        return;
    }
    collect(w, NEWT__WRITE_LIST, NEWT__OPEN_COLLECTED_ARRAY);
}

/* The marks of one container as entries: each begins at mark[i * stride], its key ends where the
 * next mark is. */
typedef struct entries {
    const uint8_t *data;
    const size_t *mark; /* one more than there are items */
    size_t n, stride;
} entries;

static int
compare(const entries *e, size_t a, size_t b)
{
    const size_t *x = e->mark + a * e->stride, *y = e->mark + b * e->stride;
    size_t nx = x[1] - x[0], ny = y[1] - y[0];
    int order = memcmp(e->data + x[0], e->data + y[0], nx < ny ? nx : ny);

    return order ? order : (nx > ny) - (nx < ny);
}

/* Merges upwards; stable. The result is in what is returned, order or spare. */
static size_t *
sort(const entries *e, size_t *order, size_t *spare)
{
    size_t width, from, i, j, k, middle, end;

    for (width = 1; width < e->n; width *= 2) {
        size_t *swap = order;

        for (from = 0; from < e->n; from = end) {
            middle = e->n - from > width ? from + width : e->n;
            end = e->n - middle > width ? middle + width : e->n;
            for (i = from, j = middle, k = from; k < end; k++) {
                if (i < middle && (j == end || compare(e, order[i], order[j]) <= 0))
                    spare[k] = order[i++];
                else
                    spare[k] = order[j++];
            }
        }
        order = spare;
        spare = swap;
    }
    return order;
}

/* Brings the entries into order. Of equal elements, and of fields with one key where the last
 * counts, only the last stays. *n is what is left. */
static bool
reorder(newt__writer *w, const struct newt__open *open, entries *e, size_t *n)
{
    const newt__env *env = w->buf.env;
    size_t *memory, *order;
    size_t size = w->buf.n - open->begin, i;
    uint8_t *to;
    bool ok = false;

    if (w->shared != open->shared)
        return newt__write_fail(w, NEWT__PROFILE, "shared values are not written in order");
    if (e->n > SIZE_MAX / 2 / sizeof *order)
        return newt__write_fail(w, NEWT__NOMEM, "out of memory");
    memory = env->realloc(env->arg, NULL, 2 * e->n * sizeof *order);
    if (memory == NULL)
        return newt__write_fail(w, NEWT__NOMEM, "out of memory");
    if (!newt__buffer_reserve(&w->buf, size)) {
        newt__write_fail(w, NEWT__NOMEM, "out of memory");
        goto out;
    }
    e->data = w->buf.data;
    for (i = 0; i < e->n; i++)
        memory[i] = i;
    order = sort(e, memory, memory + e->n);

    /* a sorted copy at the end, and back */
    to = w->buf.data + w->buf.n;
    *n = 0;
    for (i = 0; i < e->n; i++) {
        const size_t *x = e->mark + order[i] * e->stride;
        size_t length = x[e->stride] - x[0];

        if (i + 1 < e->n && compare(e, order[i], order[i + 1]) == 0) {
            if (open->kind == NEWT__OPEN_COLLECTED_SET || open->last)
                continue;
            newt__write_fail(w, NEWT__PROFILE, "map key stands twice");
            goto out;
        }
        memcpy(to, e->data + x[0], length);
        to += length;
        ++*n;
    }
    size = (size_t)(to - (w->buf.data + w->buf.n));
    memcpy(w->buf.data + open->begin, w->buf.data + w->buf.n, size);
    w->buf.n = open->begin + size;
    ok = true;
out:
    env->free(env->arg, memory);
    return ok;
}

/* Sorts a collected map, pairs or set; *n is how many entries it has in the end. */
static bool
put_in_order(newt__writer *w, const struct newt__open *open, size_t *n)
{
    entries e;
    size_t i;
    int order = -1;

    e.stride = open->kind == NEWT__OPEN_COLLECTED_SET ? 1 : 2;
    e.n = (w->n_marks - open->marks) / e.stride;
    if (!newt__write_mark(w)) /* the end */
        return false;
    e.data = w->buf.data;
    e.mark = w->marks + open->marks;
    for (i = 1; i < e.n && order < 0; i++)
        order = compare(&e, i - 1, i);
    *n = e.n;
    return order < 0 || reorder(w, open, &e, n);
}

void
newt__collected(newt__writer *w)
{
    struct newt__open *open;
    uint8_t front[2 * NEWT__HEAD];
    uint8_t *p = front;
    size_t n;

    if (w->fault.code != NEWT__OK)
        return;
    if (w->kind < NEWT__OPEN_COLLECTED_ARRAY || w->n_open == 0 ||
        w->pending != NEWT__PENDING_NOTHING) {
        newt__write_fail(w, NEWT__PROFILE, "nothing is being collected here");
        return;
    }
    open = &w->open[w->n_open - 1];
    n = (size_t)(NEWT__COLLECTED_LEFT - w->left);
    if ((w->kind == NEWT__OPEN_COLLECTED_MAP || w->kind == NEWT__OPEN_COLLECTED_PAIRS) &&
        n % 2 != 0) {
        newt__write_fail(w, NEWT__PROFILE, "map key has no value");
        return;
    }
    if (w->kind != NEWT__OPEN_COLLECTED_ARRAY && !put_in_order(w, open, &n))
        return;

    if (w->kind == NEWT__OPEN_COLLECTED_SET)
        p = newt__put_head(p, NEWT__TAG_TYPE, NEWT__TAG_SET);
    else if (w->kind == NEWT__OPEN_COLLECTED_PAIRS || open->raw)
        p = newt__put_head(p, NEWT__TAG_TYPE, NEWT__TAG_PAIRS);
    p = newt__put_head(p,
                       w->kind == NEWT__OPEN_COLLECTED_MAP || w->kind == NEWT__OPEN_COLLECTED_PAIRS
                           ? NEWT__MAP_TYPE
                           : NEWT__ARRAY_TYPE,
                       n);
    if (!newt__write_room(w, (size_t)(p - front)))
        return;
    memmove(w->buf.data + open->begin + (p - front), w->buf.data + open->begin,
            w->buf.n - open->begin);
    memcpy(w->buf.data + open->begin, front, (size_t)(p - front));
    w->buf.n += (size_t)(p - front);

    w->n_marks = open->marks;
    w->kind = open->outer_kind;
    w->left = open->outer_left;
    w->n_open--;
    w->depth--;
    if (w->left == 0)
        newt__close_full(w);
}
