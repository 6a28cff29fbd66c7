/*
 * read.h - the reader's straight path, inlined where records are read in bulk
 *
 * newt__read_token is newt__read. What is rare in it is in read.c.
 */
#ifndef NEWT_READ_H
#define NEWT_READ_H

#include "simple.h"

#define NEWT__FIRST     SIZE_MAX /* level.last_n while there is no previous key or element */
#define newt__cut_short "record is cut short"

enum {
    NEWT__TICKS = 4096 /* tokens between two interrupt checks */
};

newt__code newt__read_fail(newt__reader *r, newt__code code, const char *reason, size_t offset);
bool newt__read_long_argument(newt__reader *r, uint64_t *u);
bool newt__read_utf8(newt__reader *r, const char *s, size_t n);
newt__code newt__read_disorder(newt__reader *r, const struct newt__level *level, bool twice,
                               size_t at);
newt__code newt__read_order(newt__reader *r, struct newt__level *level, size_t start, size_t end);
newt__code newt__read_simple(newt__reader *r, newt__token *t);
newt__code newt__read_tagged(newt__reader *r, newt__token *t);
newt__code newt__read_close(newt__reader *r, newt__token *t, const struct newt__level *level);
newt__code newt__read_end(newt__reader *r, newt__token *t);

static inline bool
newt__read_tick(newt__reader *r)
{
    if (NEWT__LIKELY(++r->ticks < NEWT__TICKS))
        return true;
    r->ticks = 0;
    if (r->env->interrupt != NULL && r->env->interrupt(r->env->arg)) {
        newt__read_fail(r, NEWT__INTERRUPTED, "interrupted", r->at);
        return false;
    }
    return true;
}

/* Takes a head apart; not for major type 7. */
static inline bool
newt__read_head(newt__reader *r, unsigned *major, uint64_t *u)
{
    uint8_t b;

    if (NEWT__UNLIKELY(r->at >= r->n)) {
        newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, r->at);
        return false;
    }
    b = r->data[r->at];
    *major = b >> 5;
    *u = b & 31;
    if (NEWT__LIKELY(*u < 24)) {
        r->at++;
        return true;
    }
    return newt__read_long_argument(r, u);
}

/* n bytes of the string whose head is at `at`. */
static inline bool
newt__read_take(newt__reader *r, size_t at, uint64_t n, const char **s)
{
    if (NEWT__UNLIKELY(n > r->n - r->at)) {
        newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
        return false;
    }
    *s = (const char *)r->data + r->at;
    r->at += (size_t)n;
    return true;
}

/* The text of a map's key, after the last one. */
static inline newt__code
newt__order_text(newt__reader *r, struct newt__level *level, const newt__token *t)
{
    size_t last_n = level->last_n, at = (size_t)((const uint8_t *)t->s - r->data);
    int order;

    if (last_n != NEWT__FIRST && t->n <= last_n) {
        order = t->n < last_n ? 1 : newt__compare(r->data + level->last, r->data + at, last_n);
        if (NEWT__UNLIKELY(order >= 0))
            return newt__read_disorder(r, level, order == 0, t->offset);
    }
    level->last = at;
    level->last_n = t->n;
    return NEWT__OK;
}

/* ---- containers --------------------------------------------------------------------------- */

static inline newt__code
newt__open_level(newt__reader *r, newt__token *t, newt__kind kind, uint64_t left)
{
    struct newt__level *level;

    if (NEWT__UNLIKELY(r->depth >= r->max_depth))
        return newt__read_fail(r, NEWT__LIMIT, "nesting is too deep", t->offset);
    level = &r->level[r->depth++];
    level->kind = (uint8_t)kind;
    level->is_key = t->is_key;
    level->left = left;
    level->offset = t->offset;
    level->last = 0;
    level->last_n = NEWT__FIRST;
    t->kind = kind;
    t->end = r->at;
    return NEWT__OK;
}

/* Counts of items are believed only as far as there are bytes for them. */
static inline newt__code
newt__open_list(newt__reader *r, newt__token *t, newt__kind kind, uint64_t n)
{
    if (NEWT__UNLIKELY(n > r->n - r->at))
        return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, t->offset);
    t->n = (size_t)n;
    return newt__open_level(r, t, kind, n);
}

static inline newt__code
newt__open_map(newt__reader *r, newt__token *t, newt__kind kind, uint64_t n)
{
    if (NEWT__UNLIKELY(n > (r->n - r->at) / 2))
        return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, t->offset);
    t->n = (size_t)n;
    return newt__open_level(r, t, kind, 2 * n);
}

static inline bool
newt__has_text_keys(uint8_t kind)
{
    return kind == NEWT__MAP || kind == NEWT__OBJECT;
}

/* ---- items -------------------------------------------------------------------------------- */

/* An item without tags in front of it. */
static inline newt__code
newt__read_untagged(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    uint64_t u;
    unsigned major, found;

    if (NEWT__UNLIKELY(at < r->n && r->data[at] >> 5 == NEWT__SIMPLE_TYPE))
        return newt__read_simple(r, t);
    if (!newt__read_head(r, &major, &u))
        return r->fault.code;
    switch (major) {
    case NEWT__TEXT_TYPE:
        if (!newt__read_take(r, at, u, &t->s))
            return r->fault.code;
        t->kind = NEWT__TEXT;
        t->n = (size_t)u;
        found = newt__scan((const uint8_t *)t->s, t->n);
        t->plain = !(found & NEWT__SCAN_SPECIAL);
        if (NEWT__UNLIKELY(found & NEWT__SCAN_HIGH) && !newt__read_utf8(r, t->s, t->n))
            return r->fault.code;
        return NEWT__OK;
    case NEWT__UINT_TYPE:
    case NEWT__NINT_TYPE:
        t->kind = NEWT__INT;
        t->number.negative = major == NEWT__NINT_TYPE;
        t->u = u;
        return NEWT__OK;
    case NEWT__BYTES_TYPE:
        if (!newt__read_take(r, at, u, &t->s))
            return r->fault.code;
        t->kind = NEWT__BYTES;
        t->n = (size_t)u;
        return NEWT__OK;
    case NEWT__ARRAY_TYPE: return newt__open_list(r, t, NEWT__ARRAY, u);
    default: return newt__open_map(r, t, NEWT__MAP, u);
    }
}

NEWT__INLINE newt__code
newt__read_token(newt__reader *r, newt__token *t)
{
    struct newt__level *level = NULL;
    uint8_t kind = NEWT__NULL; /* of the container around the item; none */

    if (NEWT__UNLIKELY(r->fault.code != NEWT__OK) || !newt__read_tick(r))
        return r->fault.code;
    t->is_key = t->hidden = t->shared = false;
    t->offset = r->at;
    if (NEWT__LIKELY(r->depth > 0)) {
        level = &r->level[r->depth - 1];
        if (level->left == 0)
            return newt__read_close(r, t, level);
        kind = level->kind;
        if (newt__has_text_keys(kind) || kind == NEWT__PAIRS)
            t->is_key = (level->left & 1) == 0;
        level->left--;
    } else {
        if (r->done)
            return newt__read_end(r, t);
        r->done = true;
    }

    if (NEWT__UNLIKELY(r->at >= r->n))
        return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, r->at);
    if (t->is_key && newt__has_text_keys(kind)) {
        if (NEWT__UNLIKELY(r->data[r->at] >> 5 != NEWT__TEXT_TYPE))
            return newt__read_fail(r, NEWT__PROFILE, "map key is not text", r->at);
        if (newt__read_untagged(r, t) != NEWT__OK)
            return r->fault.code;
        t->end = r->at;
        return newt__order_text(r, level, t);
    }
    if (r->data[r->at] >> 5 == NEWT__TAG_TYPE)
        newt__read_tagged(r, t);
    else
        newt__read_untagged(r, t);
    t->end = r->at;
    if (NEWT__UNLIKELY(r->fault.code != NEWT__OK))
        return r->fault.code;
    if (NEWT__UNLIKELY(kind == NEWT__SET || (kind == NEWT__PAIRS && t->is_key)) &&
        !newt__is_container(t->kind))
        return newt__read_order(r, level, t->offset, t->end);
    if (NEWT__UNLIKELY(kind == NEWT__STORE_REF) && (t->kind != NEWT__ARRAY || t->hidden))
        return newt__read_fail(r, NEWT__PROFILE, "reference to another store is not [store, oid]",
                               t->offset);
    return NEWT__OK;
}

#endif
