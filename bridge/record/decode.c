/*
 * decode.c - record -> struct, driven by the class table
 *
 * An object is built in a buffer that grows, with offsets where its pointers will be, and copied
 * to one block of just its size when it is whole: one pass over the record, one allocation, and
 * all that belongs to the object side by side.
 */
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT_BUFFER = 1 << 20 /* a larger image's buffer is given back */
};

typedef struct decoder {
    newt__coder *cd;
    newt_error *e;
    const newt__class *top;
    int64_t oid;
    newt__buffer *image;
    newt__buffer *fixups; /* offsets, as size_t, of the pointers in image; see SORT */
    int status;
    bool lenient; /* the record is of another version of the class: what does not fit is left out */
    bool past, extra, fixed;
    newt__reader *r;
} decoder;

/* Pointers lie at multiples of 8, so that the low bits of a fixup can say that it is something
 * else: the offset of an array of keyed items to be sorted, followed by their size. */
enum {
    SORT = 1
};

typedef newt__array_layout array;

static bool fields(decoder *d, const newt__place *up, const newt__class *k, size_t at, bool top);

/* ---- failures ---------------------------------------------------------------------------- */

static bool
no_memory(decoder *d)
{
    d->status = newt__fail_memory(d->e);
    return false;
}

static bool
damaged(decoder *d, const newt__place *place)
{
    char name[NEWT__PLACE_SIZE];

    d->status = newt__fail_codec(d->e, d->oid, newt__place_name(name, d->oid, d->top, place),
                                 &d->r->fault);
    return false;
}

#define MISFIT(d, place, status_, ...)                                                             \
    ((d)->status = newt__fail_at((d)->e, (status_), (d)->oid, (d)->top, (place), __VA_ARGS__),     \
     false)

static const char *
token_name(const newt__token *t)
{
    static const char *const names[] = {
        [NEWT__NULL] = "null",
        [NEWT__BOOL] = "bool",
        [NEWT__INT] = "int",
        [NEWT__BIGNUM] = "a large integer",
        [NEWT__DECIMAL] = "decimal",
        [NEWT__FLOAT] = "float",
        [NEWT__DOUBLE] = "float",
        [NEWT__TEXT] = "text",
        [NEWT__RAW_TEXT] = "text",
        [NEWT__BYTES] = "bytes",
        [NEWT__TIME] = "time",
        [NEWT__DURATION] = "duration",
        [NEWT__DATE] = "date",
        [NEWT__UUID] = "uuid",
        [NEWT__REF] = "ref",
        [NEWT__WEAK] = "weak",
        [NEWT__STORE_REF] = "a reference to another store",
        [NEWT__SHAREDREF] = "a shared value",
        [NEWT__ARRAY] = "list",
        [NEWT__MAP] = "a map",
        [NEWT__PAIRS] = "pairs",
        [NEWT__SET] = "set",
        [NEWT__OBJECT] = "a value of a class",
        [NEWT__TAG] = "a value with an unknown tag",
    };

    if (t->shared)
        return "a shared value";
    return (size_t)t->kind < sizeof names / sizeof *names && names[t->kind] ? names[t->kind]
                                                                            : "something else";
}

static bool
wrong_kind(decoder *d, const newt__place *place, const newt__token *t, const char *wanted)
{
    return MISFIT(d, place, NEWT_ECLASS, "is %s in its record, but %s in the class table",
                  token_name(t), wanted);
}

static bool
out_of_range(decoder *d, const newt__place *place, const char *kind, uint32_t size)
{
    return MISFIT(d, place, NEWT_ECLASS, "has a value in its record that %s of %u bits cannot hold",
                  kind, 8 * size);
}

/* ---- the image --------------------------------------------------------------------------- */

static inline void *
at_offset(decoder *d, size_t at)
{
    return d->image->data + at;
}

/* Room for n bytes, not zeroed; align is a power of two. */
static bool
reserve(decoder *d, size_t n, size_t align, size_t *at)
{
    size_t start = (d->image->n + align - 1) & ~(align - 1);

    if (n > NEWT__MAX_OBJECT || start > NEWT__MAX_OBJECT - n)
        return MISFIT(d, NULL, NEWT_ELIMIT, "needs more than %zu bytes of memory",
                      (size_t)NEWT__MAX_OBJECT);
    if (d->image->cap - d->image->n < start - d->image->n + n &&
        !newt__buffer_reserve(d->image, start - d->image->n + n))
        return no_memory(d);
    memset(d->image->data + d->image->n, 0, start - d->image->n);
    d->image->n = start + n;
    *at = start;
    return true;
}

static bool
fix(decoder *d, size_t slot)
{
    newt__buffer *b = d->fixups;

    if (b->cap - b->n < sizeof slot && !newt__buffer_reserve(b, sizeof slot))
        return no_memory(d);
    memcpy(b->data + b->n, &slot, sizeof slot);
    b->n += sizeof slot;
    return true;
}

/* Text and bytes have one layout; both get a NUL after them. */
static bool
put_text(decoder *d, size_t slot, const void *s, size_t n, uint32_t priv)
{
    newt_text *text;
    size_t at;

    if (!reserve(d, n + 1, 1, &at) || !fix(d, slot))
        return false;
    memcpy(at_offset(d, at), s, n);
    ((char *)at_offset(d, at))[n] = 0;
    text = at_offset(d, slot);
    text->s = (const char *)(uintptr_t)at;
    text->n = (uint32_t)n;
    text->priv_ = priv;
    return true;
}

/* ---- values ------------------------------------------------------------------------------ */

static bool
integer(decoder *d, const newt__place *place, const newt__token *t, bool is_signed, uint32_t size,
        void *p)
{
    uint64_t most = UINT64_MAX >> (64 - 8 * size);
    bool negative;
    int64_t x;

    if (t->kind == NEWT__BIGNUM)
        return out_of_range(d, place, is_signed ? "an int" : "a uint", size);
    if (t->kind != NEWT__INT)
        return wrong_kind(d, place, t, is_signed ? "int" : "uint");
    negative = t->number.negative;
    if (t->u > (is_signed ? most >> 1 : most) || (negative && !is_signed))
        return out_of_range(d, place, is_signed ? "an int" : "a uint", size);
    x = negative ? -1 - (int64_t)t->u : (int64_t)t->u;
    switch (size) {
    case 1: *(int8_t *)p = (int8_t)x; break;
    case 2: *(int16_t *)p = (int16_t)x; break;
    case 4: *(int32_t *)p = (int32_t)x; break;
    default: *(int64_t *)p = x;
    }
    return true;
}

static bool
real(decoder *d, const newt__place *place, const newt__token *t, uint32_t size, void *p)
{
    if (t->kind != NEWT__FLOAT && t->kind != NEWT__DOUBLE)
        return wrong_kind(d, place, t, "float");
    if (size == sizeof(double)) {
        if (t->kind == NEWT__DOUBLE)
            memcpy(p, &t->bits, sizeof(double));
        else
            *(double *)p = t->real;
        return true;
    }
    if (t->kind == NEWT__FLOAT) {
        uint32_t single = (uint32_t)t->bits;

        memcpy(p, &single, sizeof single);
        return true;
    }
    /* a double in the store: taken if nothing is lost */
    if (isfinite(t->real) && (fabs(t->real) > 3.4028234663852886e38 || (float)t->real != t->real))
        return out_of_range(d, place, "a float", size);
    *(float *)p = (float)t->real;
    return true;
}

static bool
microseconds(decoder *d, const newt__place *place, const newt__token *t, int64_t least, int64_t *us)
{
    int64_t x;

    if (!newt__microseconds(t, &x) || x < least)
        return MISFIT(d, place, NEWT_ECLASS, "is out of range: more than 292,000 years from 1970");
    *us = x;
    return true;
}

static bool
decimal(decoder *d, const newt__place *place, const newt__token *t, size_t slot)
{
    newt__buffer *text = &d->cd->scratch;

    if (t->kind == NEWT__DOUBLE && !isfinite(t->real)) {
        const char *s = isnan(t->real) ? "NaN" : t->real > 0 ? "Infinity" : "-Infinity";

        return put_text(d, slot, s, strlen(s), 0);
    }
    if (t->kind != NEWT__DECIMAL)
        return wrong_kind(d, place, t, "decimal");
    text->n = 0;
    switch (newt__decimal_text(text, &t->number)) {
    case NEWT__OK: return put_text(d, slot, text->data, text->n, 0);
    case NEWT__NOMEM: return no_memory(d);
    default: return MISFIT(d, place, NEWT_ELIMIT, "has a decimal with too many digits");
    }
}

static bool
enumerator(decoder *d, const newt__place *place, const newt__field *f, const newt__token *t, int *p)
{
    if (t->kind != NEWT__TEXT)
        return wrong_kind(d, place, t, "enum");
    for (uint32_t i = 0; i < f->n_names; i++) {
        if (f->names_n[i] == t->n && memcmp(f->f.names[i], t->s, t->n) == 0) {
            *p = (int)i;
            return true;
        }
    }
    return MISFIT(d, place, NEWT_EBROKEN, "is \"%.*s\" in its record, a name that its enum lacks",
                  t->n < 100 ? (int)t->n : 100, t->s);
}

/* A whole item as it stands, with what newt__item_write needs to renumber its shared values. */
static bool
any(decoder *d, const newt__place *place, newt__token *t, size_t slot)
{
    uint64_t first = t->shared ? t->share : d->r->shared;
    uint32_t depth = d->r->depth;
    size_t start = t->offset;
    newt__kind kind = t->kind;

    if (newt__is_open(kind))
        depth--;
    for (;;) {
        if (t->kind == NEWT__SHAREDREF && t->u < first)
            return MISFIT(d, place, NEWT_ECLASS, "refers to a value that another field shares");
        if (d->r->depth == depth)
            break;
        if (newt__read(d->r, t) != NEWT__OK)
            return damaged(d, place);
    }
    return put_text(d, slot, d->r->data + start, d->r->at - start,
                    d->r->shared > first ? (uint32_t)first + 1 : 0);
}

/* The next token is of this kind; damaged, or another one, is said. */
static bool
next_is(decoder *d, const newt__place *place, newt__kind kind, newt__token *t)
{
    if (newt__read(d->r, t) != NEWT__OK)
        return damaged(d, place);
    return t->kind == kind || wrong_kind(d, place, t, "[store, oid]");
}

static bool
store_ref(decoder *d, const newt__place *place, newt__token *t, size_t at)
{
    if (t->kind != NEWT__STORE_REF)
        return wrong_kind(d, place, t, newt__kind_name(NEWT_K_STORE_REF));
    if (!next_is(d, place, NEWT__ARRAY, t) || !next_is(d, place, NEWT__TEXT, t))
        return false;
    if (t->n == 0)
        return MISFIT(d, place, NEWT_ECLASS, "refers to a store without a name in its record");
    if (!put_text(d, at, t->s, t->n, 0) || !next_is(d, place, NEWT__INT, t))
        return false;
    if (t->number.negative || t->u == 0 || t->u > INT64_MAX)
        return out_of_range(d, place, "an oid", sizeof(int64_t));
    ((newt_store_ref *)at_offset(d, at))->oid = (int64_t)t->u;
    return next_is(d, place, NEWT__END, t) && next_is(d, place, NEWT__END, t);
}

/* A value that is not null; the token has been read. */
static bool
value(decoder *d, const newt__place *place, const newt__field *f, uint8_t kind, uint32_t size,
      size_t at, newt__token *t)
{
    void *p = at_offset(d, at);

    switch (kind) {
    case NEWT_K_BOOL:
        if (t->kind != NEWT__BOOL)
            break;
        *(bool *)p = t->boolean;
        return true;
    case NEWT_K_INT: return integer(d, place, t, true, size, p);
    case NEWT_K_UINT: return integer(d, place, t, false, size, p);
    case NEWT_K_FLOAT: return real(d, place, t, size, p);
    case NEWT_K_TEXT:
        if (t->kind != NEWT__TEXT && t->kind != NEWT__RAW_TEXT)
            break;
        return put_text(d, at, t->s, t->n, 0);
    case NEWT_K_BYTES:
        if (t->kind != NEWT__BYTES)
            break;
        return put_text(d, at, t->s, t->n, 0);
    case NEWT_K_TIME:
        if (t->kind != NEWT__TIME)
            break;
        return microseconds(d, place, t, NEWT_TIME_NULL + 1, &((newt_time *)p)->us);
    case NEWT_K_DURATION:
        if (t->kind != NEWT__DURATION)
            break;
        return microseconds(d, place, t, INT64_MIN, &((newt_duration *)p)->us);
    case NEWT_K_DATE:
        if (t->kind != NEWT__DATE)
            break;
        if (t->i <= NEWT_DATE_NULL || t->i > INT32_MAX)
            return out_of_range(d, place, "a date", sizeof(newt_date));
        ((newt_date *)p)->days = (int32_t)t->i;
        return true;
    case NEWT_K_UUID:
        if (t->kind != NEWT__UUID)
            break;
        memcpy(p, t->s, sizeof(newt_uuid));
        return true;
    case NEWT_K_DECIMAL: return decimal(d, place, t, at);
    case NEWT_K_JSON: return any(d, place, t, at);
    case NEWT_K_ENUM: return enumerator(d, place, f, t, p);
    case NEWT_K_REF:
        if (t->kind != NEWT__REF)
            break;
        ((newt_ref *)p)->oid = t->i;
        return true;
    case NEWT_K_WEAK:
        if (t->kind != NEWT__WEAK)
            break;
        ((newt_weak *)p)->oid = t->i;
        return true;
    case NEWT_K_STORE_REF: return store_ref(d, place, t, at);
    case NEWT_K_STRUCT:
        if (t->kind != NEWT__MAP || t->shared)
            break;
        return fields(d, place, f->type, at, false);
    default: break;
    }
    return wrong_kind(d, place, t, newt__kind_name(kind));
}

/* ---- arrays ------------------------------------------------------------------------------ */

static void
blank_value(const newt__field *f, void *p)
{
    switch (f->f.kind) {
    case NEWT_K_TIME: ((newt_time *)p)->us = NEWT_TIME_NULL; break;
    case NEWT_K_DATE: ((newt_date *)p)->days = NEWT_DATE_NULL; break;
    case NEWT_K_STRUCT: memcpy(p, f->type->blank, f->type->size); break;
    default: break;
    }
}

void
newt__blank_items(const newt__field *f, void *items, size_t n)
{
    size_t stride = f->f.stride;

    memset(items, 0, n * stride);
    if (f->f.kind != NEWT_K_TIME && f->f.kind != NEWT_K_DATE && f->f.kind != NEWT_K_STRUCT)
        return;
    for (size_t i = 0; i < n; i++)
        blank_value(f, (char *)items + i * stride + f->f.value_at);
}

static bool
reserve_items(decoder *d, const newt__place *place, const newt__field *f, size_t slot, size_t n,
              size_t *items)
{
    array *a = at_offset(d, slot);

    a->n = a->cap_ = 0;
    *items = 0;
    if (n == 0)
        return true;
    if (n > NEWT__MAX_OBJECT / f->f.stride)
        return MISFIT(d, place, NEWT_ELIMIT, "has too many items");
    if (!reserve(d, n * f->f.stride, 16, items) || !fix(d, slot))
        return false;
    newt__blank_items(f, at_offset(d, *items), n);
    a = at_offset(d, slot);
    a->items = (const char *)(uintptr_t)*items;
    a->n = a->cap_ = (uint32_t)n;
    return true;
}

static bool
list(decoder *d, const newt__place *up, const newt__field *f, size_t slot, newt__token *t)
{
    newt__kind wanted = f->f.shape == NEWT_SET_OF ? NEWT__SET : NEWT__ARRAY;
    newt__place place = {.up = up};
    size_t n = t->n, items;

    if (t->kind != wanted)
        return wrong_kind(d, up, t, wanted == NEWT__SET ? "set" : "list");
    if (!reserve_items(d, up, f, slot, n, &items))
        return false;
    for (size_t i = 0; i < n; i++) {
        place.index = i;
        if (newt__read(d->r, t) != NEWT__OK)
            return damaged(d, &place);
        if (t->kind != NEWT__NULL &&
            !value(d, &place, f, f->f.kind, f->f.size, items + i * f->f.stride, t))
            return false;
    }
    if (newt__read(d->r, t) != NEWT__OK) /* the END */
        return damaged(d, up);
    return true;
}

static bool
keyed(decoder *d, const newt__place *up, const newt__field *f, size_t slot, newt__token *t)
{
    bool map = f->f.shape == NEWT_MAP_OF;
    newt__place place = {.up = up};
    size_t n = t->n, items;
    newt__kind kind = t->kind;

    if (kind != NEWT__PAIRS && !(map && kind == NEWT__MAP && !t->shared))
        return wrong_kind(d, up, t, map ? "map" : "pairs");
    if (!reserve_items(d, up, f, slot, n, &items))
        return false;
    if (map && kind == NEWT__PAIRS && n > 1 && (!fix(d, slot | SORT) || !fix(d, f->f.stride)))
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t at = items + i * f->f.stride;

        place.index = i;
        place.key = NULL;
        if (newt__read(d->r, t) != NEWT__OK)
            return damaged(d, &place);
        if (!value(d, &place, f, f->f.key_kind, f->f.key_size, at, t) ||
            (newt__read(d->r, t) != NEWT__OK && !damaged(d, &place)))
            return false;
        if (t->kind != NEWT__NULL &&
            !value(d, &place, f, f->f.kind, f->f.size, at + f->f.value_at, t))
            return false;
    }
    if (newt__read(d->r, t) != NEWT__OK)
        return damaged(d, up);
    return true;
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool
member(decoder *d, const newt__place *up, const newt__field *f, size_t base, newt__token *t)
{
    newt__place place = {.up = up, .field = f};
    size_t at = base + f->f.offset;

    if (t->kind == NEWT__NULL) {
        if (f->f.init) /* which stands there */
            newt__set_null(f->f.kind, at_offset(d, at), f->f.size);
        return true;
    }
    if (f->f.shape == NEWT_ONE)
        return value(d, &place, f, f->f.kind, f->f.size, at, t);
    return f->f.shape <= NEWT_SET_OF ? list(d, &place, f, at, t) : keyed(d, &place, f, at, t);
}

/* What does not fit in a record of another version is, of an older one, left to the upgrade hook:
 * the member is as if the record did not have it. */
static bool
lenient_member(decoder *d, const newt__field *f, size_t base, newt__token *t)
{
    size_t fixups = d->fixups->n;
    uint32_t depth = d->r->depth - newt__is_open(t->kind);

    if (member(d, NULL, f, base, t))
        return true;
    if (d->r->fault.code != NEWT__OK || d->status == NEWT_ENOMEM)
        return false;
    d->status = NEWT_OK;
    newt__error_clear(d->e);
    d->fixups->n = fixups;
    memcpy(at_offset(d, base + f->f.offset), d->top->blank + f->f.offset,
           newt__field_extent(&f->f));
    while (d->r->depth > depth)
        if (newt__read(d->r, t) != NEWT__OK)
            return damaged(d, NULL);
    return true;
}

static bool
field(decoder *d, const newt__place *up, const newt__field *f, size_t base, bool top,
      newt__token *t)
{
    return top && d->lenient ? lenient_member(d, f, base, t) : member(d, up, f, base, t);
}

/* A place in the record: the first entry of a map that has been entered. */
typedef struct mark {
    size_t at;
    uint64_t shared;
    struct newt__level level;
} mark;

/* Whether the map has no newer name of the field. Of several names the newest counts; what is under
 * the others is out of date. */
static __attribute__((noinline)) bool
newest_name(const decoder *d, const newt__class *k, const newt__past *p, const mark *first)
{
    newt__reader r = *d->r; /* large */
    newt__token key, t;

    r.at = first->at;
    r.shared = first->shared;
    r.level[r.depth - 1] = first->level;
    while (newt__read(&r, &key) == NEWT__OK && key.kind != NEWT__END) {
        const newt__past *q = newt__class_past(k, key.s, key.n);

        if ((q && q->field == p->field && q->rank < p->rank) ||
            newt__key_order(p->field->as, p->field->as_n, key.s, key.n) == 0)
            return false;
        if (newt__read(&r, &t) != NEWT__OK || newt__read_skip(&r, &t) != NEWT__OK)
            break; /* what is damaged will be met again */
    }
    return true;
}

/* An entry that is no field by its present name; its key has been read. Seldom: kept out of the
 * loop that all objects go through. */
static __attribute__((noinline)) bool
other_entry(decoder *d, const newt__place *up, const newt__class *k, size_t base, bool top,
            const mark *first, newt__token *t)
{
    const newt__past *p = newt__class_past(k, t->s, t->n);
    bool renamed = p && p->field && newest_name(d, k, p, first);

    if (p)
        d->past = true;
    else if (top)
        d->extra = true;
    else
        d->fixed = true;
    if (newt__read(d->r, t) != NEWT__OK)
        return damaged(d, up);
    if (renamed)
        return field(d, up, p->field, base, top, t);
    return newt__read_skip(d->r, t) == NEWT__OK || damaged(d, up);
}

/* The entries of a map that has been entered. Both sides are in encoded order. */
static bool
fields(decoder *d, const newt__place *up, const newt__class *k, size_t base, bool top)
{
    uint32_t i = 0;
    newt__token t;
    mark first;

    if (NEWT__SELDOM(k->n_past > 0))
        first = (mark){d->r->at, d->r->shared, d->r->level[d->r->depth - 1]};
    for (;;) {
        int order = 1;

        if (newt__read(d->r, &t) != NEWT__OK)
            return damaged(d, up);
        if (t.kind == NEWT__END)
            return true;
        while (i < k->n_fields &&
               (order = newt__key_order(k->fields[i].as, k->fields[i].as_n, t.s, t.n)) < 0)
            i++;
        if (i < k->n_fields && order == 0) {
            if (newt__read(d->r, &t) != NEWT__OK)
                return damaged(d, up);
            if (!field(d, up, &k->fields[i], base, top, &t))
                return false;
            i++;
        } else if (!other_entry(d, up, k, base, top, &first, &t)) {
            return false;
        }
    }
}

/* ---- whole objects ----------------------------------------------------------------------- */

static int
by_text_key(const void *a, const void *b)
{
    const newt_text *x = a, *y = b;

    return newt__key_order(x->s, x->n, y->s, y->n);
}

/* The image in a block of its own, offsets turned into pointers. */
static void *
settle(decoder *d)
{
    const newt__env *env = &d->cd->env;
    size_t n = d->image->n, n_fixups = d->fixups->n / sizeof(size_t), slot, stride;
    const uint8_t *fixup = d->fixups->data;
    char *block = env->realloc(env->arg, NULL, n), *p;
    bool sort = false;

    if (!block) {
        no_memory(d);
        return NULL;
    }
    memcpy(block, d->image->data, n);
    for (size_t i = 0; i < n_fixups; i++) {
        memcpy(&slot, fixup + i * sizeof slot, sizeof slot);
        if (slot & SORT) {
            sort = true;
            i++;
            continue;
        }
        memcpy(&p, block + slot, sizeof p);
        p = block + (uintptr_t)p;
        memcpy(block + slot, &p, sizeof p);
    }
    for (size_t i = 0; sort && i < n_fixups; i++) {
        memcpy(&slot, fixup + i * sizeof slot, sizeof slot);
        if (slot & SORT) {
            const array *a = (void *)(block + (slot & ~(size_t)SORT));

            memcpy(&stride, fixup + ++i * sizeof slot, sizeof stride);
            qsort(a->edit_, a->n, stride, by_text_key);
        }
    }
    return block;
}

static void
shrink(newt__buffer *b)
{
    if (b->cap > KEPT_BUFFER)
        newt__buffer_free(b);
    b->n = 0;
}

static bool
read_state(decoder *d, size_t prefix)
{
    newt__token t;
    size_t at;

    d->image->n = d->fixups->n = 0;
    if (!reserve(d, prefix + d->top->size, 16, &at))
        return false;
    memset(d->image->data, 0, prefix);
    memcpy(d->image->data + prefix, d->top->blank, d->top->size);
    if (newt__read(d->r, &t) != NEWT__OK)
        return damaged(d, NULL);
    if (t.kind != NEWT__MAP || t.shared)
        return MISFIT(d, NULL, NEWT_ECLASS, "has a state that is %s, not a map of fields",
                      token_name(&t));
    if (!fields(d, NULL, d->top, prefix, true))
        return false;
    return newt__read(d->r, &t) == NEWT__OK || damaged(d, NULL); /* the record's end */
}

int
newt__decode(newt__coder *cd, const newt__class *k, int64_t oid, const void *record, size_t n,
             size_t prefix, newt__decoded *out, newt_error *e)
{
    newt__reader r; /* large: not cleared with the rest */
    decoder d = {.cd = cd,
                 .e = e,
                 .top = k,
                 .oid = oid,
                 .image = &cd->image,
                 .fixups = &cd->fixups,
                 .r = &r};

    out->block = NULL;
    if (newt__read_begin(&r, &cd->env, record, n) != NEWT__OK) {
        damaged(&d, NULL);
        return d.status;
    }
    out->older = r.version < k->version;
    out->newer = r.version > k->version;
    d.lenient = out->older || out->newer;
    d.past = r.class_n != k->name_n || memcmp(r.class_name, k->name, k->name_n) != 0;
    if (read_state(&d, prefix))
        out->block = settle(&d);
    if (out->block) {
        out->size = (uint32_t)(d.image->n - prefix);
        out->version = (int32_t)r.version;
        out->past = d.past;
        out->extra = d.extra;
        /* numbers of shared values cannot be kept apart from the fields around them; what an
         * embedded struct of an older version had besides may go */
        out->fixed = out->newer || (d.fixed && !out->older) || (d.extra && r.shared > 0);
    }
    shrink(d.image);
    shrink(d.fixups);
    shrink(&cd->scratch);
    return d.status;
}
