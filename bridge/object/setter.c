/*
 * setter.c - texts, bytes, decimals, arrays and maps of an object that is being changed
 *
 * Setters copy into memory of the object. What they replace stays where it is until the end of the
 * transaction, so that pointers read earlier stay valid. A failure dooms the transaction.
 */
#include "object.h"

#include <string.h>

typedef newt__array_layout array;

/* ---- where a pointer points -------------------------------------------------------------- */

static bool
inside(const char *p, const char *from, size_t n)
{
    return (uintptr_t)p >= (uintptr_t)from && (uintptr_t)p - (uintptr_t)from < n;
}

/* budget: what a program has copied into itself has no end. */
static const newt__field *
field_in(const newt__class *k, const char *base, const char *p, size_t *budget)
{
    const newt__field *found = NULL;

    for (uint32_t i = 0; *budget > 0 && i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        const char *at = base + f->f.offset;
        const array *a = (const void *)at;

        --*budget;
        if (f->f.shape == NEWT_ONE) {
            if (f->f.kind == NEWT_K_STRUCT && inside(p, at, f->f.size))
                return field_in(f->type, at, p, budget);
            if (p == at)
                return f;
        } else if (p == at) {
            return f;
        } else if (a->items && inside(p, a->items, (size_t)a->n * f->f.stride)) {
            size_t within = (size_t)(p - a->items) % f->f.stride;

            if (f->f.kind != NEWT_K_STRUCT || within < f->f.value_at)
                return f;
            return field_in(f->type, p - within + f->f.value_at, p, budget);
        }
    }
    /* what the arrays of structs in it point to */
    for (uint32_t i = 0; !found && i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        const char *at = base + f->f.offset;
        const array *a = (const void *)at;

        if (f->f.kind != NEWT_K_STRUCT)
            continue;
        if (f->f.shape == NEWT_ONE)
            found = field_in(f->type, at, p, budget);
        else
            for (size_t j = 0; !found && *budget > 0 && a->items && j < a->n; j++)
                found = field_in(f->type, a->items + j * f->f.stride + f->f.value_at, p, budget);
    }
    return found;
}

const newt__field *
newt__field_at(const newt__header *h, const void *p)
{
    size_t budget = 1000000;

    return h->class ? field_in(h->class, (const char *)h + NEWT__HEADER, p, &budget) : NULL;
}

/* ---- failures ---------------------------------------------------------------------------- */

static int
fail_with(newt__header *h, newt_error *e)
{
    newt__header_blame(h, e);
    if (h->state == NEWT__IMAGE && !h->bag) {
        h->failed = true;
        newt__error_move(&h->jar->base.error, e);
        return h->jar->base.error.status;
    }
    newt__base_fail_with(&h->jar->base, e);
    return newt__base_break(&h->jar->base);
}

static int
no_memory(newt__header *h)
{
    newt_error e = {0};

    newt__fail_memory(&e);
    return fail_with(h, &e);
}

/* p: the value or array that was to be changed */
int
newt__refuse(newt__header *h, int status, const void *p, const char *reason)
{
    const newt__field *f = newt__field_at(h, p);
    newt__place place = {.field = f};
    char name[NEWT__NAME_SIZE];
    newt_error e = {0};

    if (h->class)
        newt__fail_at(&e, status, h->oid, h->class, f ? &place : NULL, "%s", reason);
    else
        newt__fail(&e, status, h->oid, "%s %s", newt__header_name(h, name), reason);
    return fail_with(h, &e);
}

/* How messages call p, or the field `key` of a bag; NULL: the object. */
static void
name_of(const newt__header *h, const void *p, const char *key, char out[NEWT__PLACE_SIZE])
{
    enum {
        LONGEST_KEY = 100
    };
    const newt__field *f = newt__field_at(h, p);
    newt__place place = {.field = f};
    char object[NEWT__NAME_SIZE];

    if (h->class)
        newt__place_name(out, h->oid, h->class, f ? &place : NULL);
    else if (key)
        snprintf(out, NEWT__PLACE_SIZE, "field \"%.*s\" of %s",
                 (int)newt__utf8_valid(key, strnlen(key, LONGEST_KEY)), key,
                 newt__header_name(h, object));
    else
        newt__header_name(h, out);
}

int
newt__refuse_fault(newt__header *h, const void *p, const newt__fault *fault)
{
    char name[NEWT__PLACE_SIZE];
    newt_error e = {0};

    name_of(h, p, NULL, name);
    newt__fail_value(&e, h->oid, name, fault);
    return fail_with(h, &e);
}

int
newt__refuse_json(newt__header *h, const void *p, const char *key, const char *text,
                  const newt__fault *fault)
{
    char name[NEWT__PLACE_SIZE];
    size_t line = 1, column = 1;
    newt_error e = {0};

    name_of(h, p, key, name);
    if (fault->code == NEWT__MALFORMED)
        newt__fail(&e, NEWT_EINVAL, h->oid, "%s: invalid JSON text: %s", name, fault->reason);
    else
        newt__fail_value(&e, h->oid, name, fault);
    for (size_t i = 0; i < fault->offset; i++) {
        line += text[i] == '\n';
        column = text[i] == '\n' ? 1 : column + ((text[i] & 0xc0) != 0x80);
    }
    if (fault->code != NEWT__NOMEM) {
        e.position = fault->offset + 1;
        newt__fail_detail(&e, "Line %zu, column %zu of the JSON text.", line, column);
    }
    return fail_with(h, &e);
}

/* The header of an object that may be changed now, or NULL. */
newt__header *
newt__writable(newt_object *o, const void *p, bool bag)
{
    newt__header *h = o ? newt__header_of(o) : NULL;

    if (!h)
        return NULL;
    if (h->bag != bag) {
        newt__refuse(h, NEWT_EINVAL, p, bag ? "is no bag" : "is a bag, which has no struct");
        return NULL;
    }
    if (h->state == NEWT__IMAGE && !bag)
        return h;
    if (newt__base_enter(&h->jar->base) != NEWT_OK)
        return NULL;
    if (h->epoch != h->jar->epoch || (h->state != NEWT__CHANGED && h->state != NEWT__NEW)) {
        newt__refuse(h, NEWT_EINVAL, p,
                     "was not asked for writing in this transaction (newt_write or newt_edit)");
        return NULL;
    }
    return h;
}

int
newt__not_writable(const newt_object *o)
{
    const newt__header *h = o ? newt__header_of(o) : NULL;

    int status = h && h->state != NEWT__IMAGE ? newt__base_enter(&h->jar->base) : NEWT_OK;

    if (status == NEWT_OK && h)
        status = h->jar->base.error.status;
    return status != NEWT_OK ? status : NEWT_EINVAL;
}

/* ---- texts ------------------------------------------------------------------------------- */

/* Both kinds have one layout, and a NUL after the bytes. */
static int
set_bytes(newt_object *o, void *to, const void *s, size_t n)
{
    newt__header *h = newt__writable(o, to, false);
    newt_bytes *f = to;
    size_t most;
    uint8_t *copy;

    if (!h)
        return newt__not_writable(o);
    if (!s && n > 0)
        return newt__refuse(h, NEWT_EINVAL, f, "was given no bytes, but a length");
    most = h->jar->coder.env.max_record ? h->jar->coder.env.max_record : NEWT__MAX_RECORD;
    if (n > most)
        return newt__refuse(h, NEWT_ELIMIT, f, "was given more bytes than a record can hold");
    if (!s) {
        *f = (newt_bytes){0};
        return NEWT_OK;
    }
    copy = newt__header_alloc(h, n + 1, false);
    if (!copy)
        return no_memory(h);
    memcpy(copy, s, n);
    copy[n] = 0;
    *f = (newt_bytes){copy, (uint32_t)n, 0};
    return NEWT_OK;
}

int
newt_text_setn(newt_object *o, newt_text *f, const void *s, size_t n)
{
    return set_bytes(o, f, s, n);
}

int
newt_text_set(newt_object *o, newt_text *f, const char *s)
{
    return set_bytes(o, f, s, s ? strlen(s) : 0);
}

int
newt_bytes_set(newt_object *o, newt_bytes *f, const void *p, size_t n)
{
    return set_bytes(o, f, p, n);
}

int
newt_decimal_set(newt_object *o, newt_decimal *f, const char *digits)
{
    newt__header *h = newt__writable(o, f, false);
    newt__buffer magnitude = {.env = h ? &h->jar->coder.env : NULL};
    newt__number x;
    newt__code code = NEWT__OK;

    if (!h)
        return newt__not_writable(o);
    if (digits && !newt__special_named(digits, strlen(digits))) {
        code = newt__number_parse(digits, strlen(digits), &magnitude, &x);
        newt__buffer_free(&magnitude);
    }
    if (code == NEWT__NOMEM)
        return no_memory(h);
    if (code != NEWT__OK)
        return newt__refuse(h, code == NEWT__LIMIT ? NEWT_ELIMIT : NEWT_EINVAL, f,
                            code == NEWT__LIMIT ? "was given a decimal with too many digits"
                                                : "was given what is no decimal number");
    return newt_text_set(o, &f->digits, digits);
}

/* ---- arrays ------------------------------------------------------------------------------ */

/* The field of an array; NULL: refused. */
static const newt__field *
array_field(newt__header *h, const void *p, size_t item_size)
{
    const newt__field *f = newt__field_at(h, p);

    if (f && f->f.shape != NEWT_ONE && f->f.stride == item_size)
        return f;
    newt__refuse(h, NEWT_EINVAL, p, "has no array of items of this size here");
    return NULL;
}

bool
newt__array_room(newt__header *h, array *a, size_t item_size, size_t extra)
{
    size_t most = NEWT__MAX_OBJECT / item_size, need, cap;
    void *items;

    if (extra > most || a->n > most - extra) {
        newt__refuse(h, NEWT_ELIMIT, a, "would have too many items");
        return false;
    }
    need = a->n + extra;
    if (need <= a->cap_ && a->items)
        return true;
    cap = a->cap_ < most / 2 ? 2 * (size_t)a->cap_ : most;
    cap = cap < 4 ? 4 : cap;
    cap = cap < need ? need : cap > most ? most : cap;
    items = newt__header_alloc(h, cap * item_size, true);
    if (!items) {
        no_memory(h);
        return false;
    }
    if (a->n > 0)
        memcpy(items, a->items, a->n * item_size);
    a->items = items;
    a->cap_ = (uint32_t)cap;
    return true;
}

void *
newt_array_grow(newt_object *o, void *p, size_t item_size, size_t extra)
{
    newt__header *h = newt__writable(o, p, false);
    const newt__field *f = h ? array_field(h, p, item_size) : NULL;
    array *a = p;
    char *first;

    if (!f || !newt__array_room(h, a, item_size, extra))
        return NULL;
    first = a->edit_ + a->n * item_size;
    newt__blank_items(f, first, extra);
    a->n += (uint32_t)extra;
    return first;
}

int
newt_array_remove(newt_object *o, void *p, size_t item_size, size_t at, size_t n)
{
    newt__header *h = newt__writable(o, p, false);
    array *a = p;

    if (!h || !array_field(h, p, item_size))
        return newt__not_writable(o);
    if (at > a->n || n > a->n - at)
        return newt__refuse(h, NEWT_EINVAL, p, "has no such items to remove");
    if (n > 0)
        memmove(a->edit_ + at * item_size, a->edit_ + (at + n) * item_size,
                (a->n - at - n) * item_size);
    a->n -= (uint32_t)n;
    return NEWT_OK;
}

/* ---- maps -------------------------------------------------------------------------------- */

static inline size_t
key_length(const char *key, size_t n)
{
    return n == SIZE_MAX && key ? strlen(key) : n;
}

/* Where the key is, or (false) would be. */
static bool
search(const array *a, size_t item_size, const char *key, size_t n, size_t *at)
{
    size_t low = 0, high = a->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const newt_text *k = (const void *)(a->items + middle * item_size);
        int order = newt__key_order(key, n, k->s, k->n);

        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *at = low;
    return false;
}

void *
newt_map_put_(newt_object *o, void *map, size_t item_size, size_t value_at, const char *key,
              size_t n)
{
    newt__header *h = newt__writable(o, map, false);
    const newt__field *f = h ? array_field(h, map, item_size) : NULL;
    newt_text copy = {0};
    array *a = map;
    char *item;
    size_t at;

    if (!f)
        return NULL;
    if (f->f.shape != NEWT_MAP_OF || f->f.value_at != value_at || !key) {
        newt__refuse(h, NEWT_EINVAL, map,
                     key ? "is no map of this layout" : "cannot have a null key");
        return NULL;
    }
    n = key_length(key, n);
    if (search(a, item_size, key, n, &at))
        return a->edit_ + at * item_size + value_at;
    if (newt_text_setn(o, &copy, key, n) != NEWT_OK || !newt__array_room(h, a, item_size, 1))
        return NULL;
    item = a->edit_ + at * item_size;
    memmove(item + item_size, item, (a->n - at) * item_size);
    newt__blank_items(f, item, 1);
    memcpy(item, &copy, sizeof copy);
    a->n++;
    return item + value_at;
}

const void *
newt_map_find_(const void *map, size_t item_size, size_t value_at, const char *key, size_t n)
{
    const array *a = map;
    size_t at;

    if (!key || !search(a, item_size, key, key_length(key, n), &at))
        return NULL;
    return a->items + at * item_size + value_at;
}

bool
newt_map_remove_(newt_object *o, void *map, size_t item_size, const char *key, size_t n)
{
    size_t at;

    if (!newt__writable(o, map, false) || !key ||
        !search(map, item_size, key, key_length(key, n), &at))
        return false;
    return newt_array_remove(o, map, item_size, at, 1) == NEWT_OK;
}
