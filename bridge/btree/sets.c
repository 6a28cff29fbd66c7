/*
 * sets.c - new trees of others: union, intersection, difference, with weights
 *
 * The sources are gone through side by side, and the result is loaded as it comes.
 */
#include "btree.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tree that is gone through. */
typedef struct source {
    newt_btree_cursor at;
    newt__key key;
    char *value;
    bool there; /* key and value are its next entry */
    bool used;  /* and have been taken */
} source;

typedef struct mix {
    const newt__btree *b; /* the result */
    source *sources;
    size_t n;
    newt_btree_op op;
    bool weighed;
    double weights[2];
} mix;

/* ---- weights ----------------------------------------------------------------------------- */

static int
out_of_range(const mix *m)
{
    return newt__base_fail(&m->b->c->base, NEWT_EINVAL, 0,
                           "a weighted sum of the tree %s is out of the range of its values",
                           m->b->table->name);
}

/* Exact for whole weights, else to the nearest. */
static int
weigh(const mix *m, const void *a, const void *b, void *out)
{
    const newt__field *f = m->b->t->values;
    long double sum = 0;
    int64_t x = 0, y = 0;
    double real;

    if (f->f.kind == NEWT_K_FLOAT) {
        real = (a ? m->weights[0] * *(const double *)a : 0) +
               (b ? m->weights[1] * *(const double *)b : 0);
        memcpy(out, &real, sizeof real);
        return NEWT_OK;
    }
    if (f->f.kind == NEWT_K_INT && fabs(m->weights[0]) < 0x1p53 && fabs(m->weights[1]) < 0x1p53 &&
        m->weights[0] == rint(m->weights[0]) && m->weights[1] == rint(m->weights[1])) {
        if ((a && __builtin_mul_overflow(*(const int64_t *)a, (int64_t)m->weights[0], &x)) ||
            (b && __builtin_mul_overflow(*(const int64_t *)b, (int64_t)m->weights[1], &y)) ||
            __builtin_add_overflow(x, y, (int64_t *)out))
            return out_of_range(m);
        return NEWT_OK;
    }
    if (f->f.kind == NEWT_K_INT) {
        sum += a ? (long double)m->weights[0] * *(const int64_t *)a : 0;
        sum += b ? (long double)m->weights[1] * *(const int64_t *)b : 0;
        sum = rintl(sum);
        if (!(sum >= -0x1p63L && sum < 0x1p63L))
            return out_of_range(m);
        *(int64_t *)out = (int64_t)sum;
        return NEWT_OK;
    }
    sum += a ? (long double)m->weights[0] * *(const uint64_t *)a : 0;
    sum += b ? (long double)m->weights[1] * *(const uint64_t *)b : 0;
    sum = rintl(sum);
    if (!(sum >= 0 && sum < 0x1p64L))
        return out_of_range(m);
    *(uint64_t *)out = (uint64_t)sum;
    return NEWT_OK;
}

/* ---- the next entry ------------------------------------------------------------------------ */

/* All sources whose entry was taken go on. What it pointed to is no longer needed. */
static int
advance(const mix *m)
{
    for (size_t i = 0; i < m->n; i++) {
        source *s = &m->sources[i];
        int status = s->used ? newt_btree_next(&s->at, &s->key, s->value) : 0;

        if (status < 0)
            return status;
        if (s->used)
            s->there = status == 1;
        s->used = false;
    }
    return NEWT_OK;
}

/* The source whose key is the least; the first of equal ones. NULL: none has any. */
static source *
least(const mix *m)
{
    source *found = NULL;

    for (size_t i = 0; i < m->n; i++) {
        source *s = &m->sources[i];

        if (s->there &&
            (!found || newt__keys_compare(m->b->t, &s->key, &found->key, m->b->t->n_keys) < 0))
            found = s;
    }
    return found;
}

/* Whether a key is in the result that the first source has, or not, and another has, or not. */
static bool
is_wanted(newt_btree_op op, bool a, bool b)
{
    switch (op) {
    case NEWT_INTERSECTION: return a && b;
    case NEWT_DIFFERENCE: return a && !b;
    default: return true;
    }
}

static int
next_entry(void *arg, void *key, void *value)
{
    const mix *m = arg;
    const newt__tree *t = m->b->t;
    int status;

    while ((status = advance(m)) == NEWT_OK) {
        const source *first = least(m);
        bool has[2] = {false, false};

        if (!first)
            return 0;
        for (size_t i = 0; i < m->n; i++) {
            source *s = &m->sources[i];

            s->used = s->there && newt__keys_compare(t, &s->key, &first->key, t->n_keys) == 0;
            has[i > 0] |= s->used;
        }
        if (!is_wanted(m->op, has[0], has[1]))
            continue;
        memcpy(key, &first->key, t->key_size);
        if (m->weighed)
            status = weigh(m, has[0] ? m->sources[0].value : NULL,
                           has[1] ? m->sources[1].value : NULL, value);
        else if (t->values)
            memcpy(value, first->value, t->values->f.size);
        return status == NEWT_OK ? 1 : status;
    }
    return status;
}

/* ---- for the program --------------------------------------------------------------------- */

/* Fills m->b, a new tree, from all sources. */
static int
mix_all(mix *m, newt_conn *c, const newt_ref *trees, const newt_class *k)
{
    size_t size = m->b->t->values ? m->b->t->values->f.size : 1;
    int status = NEWT_OK;

    m->sources = calloc(m->n + 1, sizeof *m->sources);
    if (!m->sources)
        status = newt__base_fail_memory(&m->b->c->base);
    for (size_t i = 0; i < m->n && status == NEWT_OK; i++) {
        source *s = &m->sources[i];

        s->value = malloc(size);
        if (!s->value)
            status = newt__base_fail_memory(&m->b->c->base);
        if (status != NEWT_OK || newt_is_null(trees[i]))
            continue;
        s->at = newt_btree_open(c, trees[i], k, NULL);
        status = s->at.status_;
        s->used = true; /* so that its first entry comes */
    }
    if (status == NEWT_OK)
        status = newt__btree_fill(m->b, next_entry, m);
    for (size_t i = 0; m->sources && i < m->n; i++) {
        if (m->sources[i].at.c)
            newt_btree_close(&m->sources[i].at);
        free(m->sources[i].value);
    }
    free(m->sources);
    return status;
}

static newt_ref
make(newt_conn *c, mix *m, const newt_ref *trees, const newt_class *k)
{
    newt_ref none = {0}, r = newt_btree_create(c, k);
    newt__btree b;

    if (newt_is_null(r) || newt__btree_open(&b, c, r, k) != NEWT_OK)
        return none;
    m->b = &b;
    if (m->op < NEWT_UNION || m->op > NEWT_DIFFERENCE) {
        newt__base_fail(&b.c->base, NEWT_EINVAL, 0, "%d is no operation on trees", (int)m->op);
        newt__btree_break(&b);
        return none;
    }
    if (m->weighed &&
        (m->op == NEWT_DIFFERENCE || !b.t->values || b.t->values->f.size != sizeof(int64_t) ||
         (b.t->values->f.kind != NEWT_K_INT && b.t->values->f.kind != NEWT_K_UINT &&
          b.t->values->f.kind != NEWT_K_FLOAT))) {
        newt__base_fail(&b.c->base, NEWT_EINVAL, 0,
                        m->op == NEWT_DIFFERENCE ? "a difference has no weights"
                                                 : "the values of the tree %s are no numbers of 64 "
                                                   "bits, so they have no weighted sum",
                        k->name);
        newt__btree_break(&b);
        return none;
    }
    return mix_all(m, c, trees, k) == NEWT_OK ? r : none;
}

newt_ref
newt_btree_combine(newt_conn *c, newt_btree_op op, newt_ref a, newt_ref b, const newt_class *k)
{
    newt_ref trees[2] = {a, b};
    mix m = {.n = 2, .op = op};

    return make(c, &m, trees, k);
}

newt_ref
newt_btree_union_of(newt_conn *c, const newt_ref *trees, size_t n, const newt_class *k)
{
    mix m = {.n = n, .op = NEWT_UNION};

    return make(c, &m, trees, k);
}

newt_ref
newt_btree_weigh(newt_conn *c, newt_btree_op op, newt_ref a, double weight_a, newt_ref b,
                 double weight_b, const newt_class *k)
{
    newt_ref trees[2] = {a, b};
    mix m = {.n = 2, .op = op, .weighed = true, .weights = {weight_a, weight_b}};

    return make(c, &m, trees, k);
}
