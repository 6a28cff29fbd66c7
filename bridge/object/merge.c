/*
 * merge.c - ready-made resolvers: a counter, the last writer, by fields
 *
 * By fields: what counts is how a field is recorded. Each is by itself, since in a whole record the
 * numbers of shared values depend on the fields before.
 */
#include "object.h"

#include <stdlib.h>
#include <string.h>

/* ---- counters ---------------------------------------------------------------------------- */

int
newt_length_change(struct newt_length *l, int64_t delta)
{
    newt_object *o = newt_length_obj(l);
    int64_t value;

    if (!newt__writable(o, l ? &l->value : NULL, false))
        return newt__not_writable(o);
    if (__builtin_add_overflow(l->value, delta, &value))
        return newt__refuse(newt__header_of(o), NEWT_EINVAL, &l->value,
                            "would become a number that 64 bits cannot hold");
    l->value = value;
    return NEWT_OK;
}

/* ---- the last writer --------------------------------------------------------------------- */

int
newt_resolve_last_writer(const void *old, const void *committed, void *ours, void *arg)
{
    (void)old;
    (void)committed;
    (void)ours;
    (void)arg;
    return 0;
}

/* ---- by fields --------------------------------------------------------------------------- */

/* The fields of an object, each recorded by itself: field i lies in [ends[i - 1], ends[i]). */
typedef struct state {
    newt__buffer bytes;
    size_t *ends;
} state;

enum {
    OLD,
    COMMITTED,
    OURS,
    N_STATES
};

static int
record_fields(newt__jar *c, const newt__header *h, state *s)
{
    newt__source x = newt__image_source(h);
    const newt__class *k = h->class;
    newt_error e = {0};

    s->ends = calloc((size_t)k->n_fields + 1, sizeof *s->ends);
    if (!s->ends)
        return NEWT_ENOMEM;
    for (uint32_t i = 0; i < k->n_fields; i++) {
        int status = newt__encode_field(&c->coder, &x, &k->fields[i], &e);

        newt__error_clear(&e);
        if (status != NEWT_OK)
            return status;
        if (!newt__buffer_append(&s->bytes, c->coder.writer.buf.data, c->coder.writer.buf.n))
            return NEWT_ENOMEM;
        s->ends[i] = s->bytes.n;
    }
    return NEWT_OK;
}

static bool
same(const state *a, const state *b, uint32_t i)
{
    size_t from_a = i ? a->ends[i - 1] : 0, from_b = i ? b->ends[i - 1] : 0;

    return a->ends[i] - from_a == b->ends[i] - from_b &&
           memcmp(a->bytes.data + from_a, b->bytes.data + from_b, a->ends[i] - from_a) == 0;
}

static bool take_fields(newt__header *h, const newt__class *k, char *at);

bool
newt__value_take(newt__header *h, const newt__field *f, uint8_t kind, void *p)
{
    newt_bytes *bytes = p; /* the layout of all that is bytes */
    uint8_t *copy;

    if (kind == NEWT_K_STRUCT)
        return take_fields(h, f->type, p);
    if (kind != NEWT_K_TEXT && kind != NEWT_K_BYTES && kind != NEWT_K_DECIMAL &&
        kind != NEWT_K_JSON && kind != NEWT_K_STORE_REF)
        return true;
    if (!bytes->p)
        return true;
    copy = newt__header_alloc(h, (size_t)bytes->n + 1, false);
    if (!copy)
        return false;
    memcpy(copy, bytes->p, bytes->n);
    copy[bytes->n] = 0;
    bytes->p = copy;
    return true;
}

static bool
take_field(newt__header *h, const newt__field *f, char *at)
{
    newt__array_layout *a = (void *)at;
    char *items;

    if (f->f.shape == NEWT_ONE)
        return newt__value_take(h, f, f->f.kind, at);
    if (a->n == 0) {
        a->items = NULL;
        a->cap_ = 0;
        return true;
    }
    items = newt__header_alloc(h, (size_t)a->n * f->f.stride, true);
    if (!items)
        return false;
    memcpy(items, a->items, (size_t)a->n * f->f.stride);
    a->edit_ = items;
    a->cap_ = a->n;
    for (uint32_t i = 0; i < a->n; i++, items += f->f.stride)
        if ((f->f.key_kind && !newt__value_take(h, f, f->f.key_kind, items)) ||
            !newt__value_take(h, f, f->f.kind, items + f->f.value_at))
            return false;
    return true;
}

static bool
take_fields(newt__header *h, const newt__class *k, char *at)
{
    for (uint32_t i = 0; i < k->n_fields; i++)
        if (!take_field(h, &k->fields[i], at + k->fields[i].f.offset))
            return false;
    return true;
}

static int
merge_fields(newt__header *const h[N_STATES], const state s[N_STATES])
{
    const newt__class *k = h[OURS]->class;
    const char *from = newt__object_of(h[COMMITTED]);
    char *to = newt__object_of(h[OURS]);

    for (uint32_t i = 0; i < k->n_fields; i++)
        if (!same(&s[OLD], &s[COMMITTED], i) && !same(&s[OLD], &s[OURS], i) &&
            !same(&s[COMMITTED], &s[OURS], i))
            return 1;
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];

        if (same(&s[COMMITTED], &s[OURS], i) || !same(&s[OLD], &s[OURS], i))
            continue;
        memcpy(to + f->f.offset, from + f->f.offset, newt__field_extent(&f->f));
        if (!take_field(h[OURS], f, to + f->f.offset))
            return NEWT_ENOMEM;
    }
    return 0;
}

int
newt_resolve_fields(const void *old, const void *committed, void *ours, void *arg)
{
    newt__header *h[N_STATES] = {newt__header_of(old), newt__header_of(committed),
                                 newt__header_of(ours)};
    newt__jar *c = h[OURS]->jar;
    state s[N_STATES];
    int status = NEWT_OK;

    (void)arg;
    for (int i = 0; i < N_STATES; i++)
        s[i] = (state){.bytes.env = &c->coder.env};
    for (int i = 0; i < N_STATES && status == NEWT_OK; i++)
        status = h[i]->state != NEWT__IMAGE || h[i]->class != h[OURS]->class ? NEWT_EINVAL
                                                                             : record_fields(
                                                                                   c, h[i], &s[i]);
    if (status == NEWT_OK)
        status = merge_fields(h, s);
    for (int i = 0; i < N_STATES; i++) {
        newt__buffer_free(&s[i].bytes);
        free(s[i].ends);
    }
    return status;
}
