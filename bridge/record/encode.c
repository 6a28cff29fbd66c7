/*
 * encode.c - struct -> record, driven by the class table
 *
 * Recursion follows embedded structs and arrays of structs; the writer's limit on nesting ends it.
 */
#include "record.h"

#include <string.h>

/* ---- values ------------------------------------------------------------------------------ */

typedef struct encoder {
    newt__coder *cd;
    newt__writer *w;
    newt_error *e;
    const newt__source *x;
    bool strict;
    int status;
} encoder;

static void fields(encoder *en, const newt__place *up, const newt__class *k, const char *base);

/* A writer's fault belongs to the value that was being written. */
static bool
fine(encoder *en, const newt__place *place)
{
    char name[NEWT__PLACE_SIZE];

    if (en->status != NEWT_OK)
        return false;
    if (en->w->fault.code == NEWT__OK)
        return true;
    en->status = newt__fail_value(
        en->e, en->x->oid, newt__place_name(name, en->x->oid, en->x->class, place), &en->w->fault);
    return false;
}

#define REFUSE(en, place, ...)                                                                     \
    ((en)->status = newt__fail_at((en)->e, NEWT_EINVAL, (en)->x->oid, (en)->x->class, (place),     \
                                  __VA_ARGS__))

static void
number(newt__writer *w, uint8_t kind, const void *p, size_t size)
{
    if (kind == NEWT_K_FLOAT) {
        uint32_t single;
        uint64_t bits;

        if (size == sizeof single) {
            memcpy(&single, p, sizeof single);
            newt__write_float_bits(w, single);
        } else {
            memcpy(&bits, p, sizeof bits);
            newt__write_double_bits(w, bits);
        }
        return;
    }
    if (kind == NEWT_K_INT) {
        switch (size) {
        case 1: newt__write_int(w, *(const int8_t *)p); break;
        case 2: newt__write_int(w, *(const int16_t *)p); break;
        case 4: newt__write_int(w, *(const int32_t *)p); break;
        default: newt__write_int(w, *(const int64_t *)p);
        }
        return;
    }
    switch (size) {
    case 1: newt__write_uint(w, *(const uint8_t *)p); break;
    case 2: newt__write_uint(w, *(const uint16_t *)p); break;
    case 4: newt__write_uint(w, *(const uint32_t *)p); break;
    default: newt__write_uint(w, *(const uint64_t *)p);
    }
}

static void
decimal(encoder *en, const newt__place *place, const newt_text *digits)
{
    const newt__special *special = newt__special_named(digits->s, digits->n);
    newt__buffer *magnitude = &en->cd->scratch;
    newt__number x;
    newt__code code;

    if (special) {
        newt__write_double_bits(en->w, special->bits);
        return;
    }
    magnitude->n = 0;
    code = newt__number_parse(digits->s, digits->n, magnitude, &x);
    if (code == NEWT__NOMEM)
        en->status = newt__fail_memory(en->e);
    else if (code == NEWT__LIMIT)
        en->status = newt__fail_at(en->e, NEWT_ELIMIT, en->x->oid, en->x->class, place,
                                   "has a decimal with too many digits");
    else if (code != NEWT__OK)
        REFUSE(en, place, "is no decimal number: \"%.*s\"", digits->n < 60 ? (int)digits->n : 60,
               digits->s);
    else
        newt__write_number(en->w, &x, true);
}

static void
enumerator(encoder *en, const newt__place *place, const newt__field *f, int value)
{
    if (value >= 0 && (uint32_t)value < f->n_names) {
        newt__write_text(en->w, f->f.names[value], f->names_n[value]);
        return;
    }
    REFUSE(en, place, "has the value %d, which its enum has no name for", value);
    newt__fail_detail(en->e, "The names stand for 0 to %u.", f->n_names - 1);
}

static void
store_ref(encoder *en, const newt__place *place, const newt_store_ref *r)
{
    if (r->store.n == 0 || newt__utf8_valid(r->store.s, r->store.n) != r->store.n)
        REFUSE(en, place, "refers to a store whose name is %s", r->store.n ? "not UTF-8" : "empty");
    else if (r->oid < 1)
        REFUSE(en, place, "refers to oid %lld of store \"%.*s\"", (long long)r->oid,
               r->store.n < 60 ? (int)r->store.n : 60, r->store.s);
    else {
        newt__write_tag(en->w, NEWT__TAG_REF);
        newt__write_array(en->w, 2);
        newt__write_text(en->w, r->store.s, r->store.n);
        newt__write_int(en->w, r->oid);
    }
}

static void
reference(encoder *en, const newt__place *place, int64_t oid,
          void (*write)(newt__writer *w, int64_t oid))
{
    if (oid < 0)
        REFUSE(en, place, "refers to the negative oid %lld", (long long)oid);
    else
        write(en->w, oid);
}

/* One value that is not null. */
static void
value(encoder *en, const newt__place *place, const newt__field *f, uint8_t kind, const void *p,
      size_t size)
{
    newt__writer *w = en->w;

    switch (kind) {
    case NEWT_K_BOOL: newt__write_bool(w, *(const bool *)p); break;
    case NEWT_K_INT:
    case NEWT_K_UINT:
    case NEWT_K_FLOAT: number(w, kind, p, size); break;
    case NEWT_K_TEXT:
        newt__write_text(w, ((const newt_text *)p)->s, ((const newt_text *)p)->n);
        break;
    case NEWT_K_BYTES:
        newt__write_bytes(w, ((const newt_bytes *)p)->p, ((const newt_bytes *)p)->n);
        break;
    case NEWT_K_TIME: newt__write_time(w, ((const newt_time *)p)->us); break;
    case NEWT_K_DURATION: newt__write_duration(w, ((const newt_duration *)p)->us); break;
    case NEWT_K_DATE: newt__write_date(w, ((const newt_date *)p)->days); break;
    case NEWT_K_UUID: newt__write_uuid(w, ((const newt_uuid *)p)->b); break;
    case NEWT_K_DECIMAL: decimal(en, place, &((const newt_decimal *)p)->digits); break;
    case NEWT_K_JSON: newt__item_write(w, &((const newt_json *)p)->item); break;
    case NEWT_K_ENUM: enumerator(en, place, f, *(const int *)p); break;
    case NEWT_K_REF: reference(en, place, ((const newt_ref *)p)->oid, newt__write_ref); break;
    case NEWT_K_WEAK: reference(en, place, ((const newt_weak *)p)->oid, newt__write_weak); break;
    case NEWT_K_STORE_REF: store_ref(en, place, p); break;
    default: fields(en, place, f->type, p);
    }
    fine(en, place);
}

static void
value_or_null(encoder *en, const newt__place *place, const newt__field *f, const void *p)
{
    if (f->nullable && newt__is_null(f->f.kind, p))
        newt__write_null(en->w);
    else
        value(en, place, f, f->f.kind, p, f->f.size);
}

/* ---- arrays ------------------------------------------------------------------------------ */

typedef newt__array_layout array;

/* One value, which may be null, of the kinds that long lists have; false: it is of another kind. */
static inline bool
common_value(newt__writer *w, const newt__field *f, const char *p)
{
    int64_t oid;

    switch (f->f.kind) {
    case NEWT_K_TEXT:
        if (((const newt_text *)(const void *)p)->s)
            newt__write_text(w, ((const newt_text *)(const void *)p)->s,
                             ((const newt_text *)(const void *)p)->n);
        else
            newt__write_null(w);
        return true;
    case NEWT_K_INT:
        if (f->f.size != sizeof(int64_t))
            return false;
        newt__write_int(w, *(const int64_t *)(const void *)p);
        return true;
    case NEWT_K_REF:
        oid = ((const newt_ref *)(const void *)p)->oid;
        if (oid < 0)
            return false;
        if (oid > 0)
            newt__write_ref(w, oid);
        else
            newt__write_null(w);
        return true;
    default: return false;
    }
}

static void
list(encoder *en, const newt__place *up, const newt__field *f, const array *a)
{
    newt__place place = {.up = up};

    if (f->f.shape == NEWT_SET_OF)
        newt__collect_set(en->w);
    else
        newt__write_array(en->w, a->n);
    for (size_t i = 0; i < a->n && en->status == NEWT_OK; i++) {
        const char *p = a->items + i * f->f.stride;

        if (common_value(en->w, f, p) && en->w->fault.code == NEWT__OK)
            continue;
        place.index = i;
        if (en->w->fault.code == NEWT__OK)
            value_or_null(en, &place, f, p);
        else
            fine(en, &place);
    }
    if (f->f.shape == NEWT_SET_OF)
        newt__collected(en->w);
}

/* Whether the keys are UTF-8 and in order, as newt_map_put keeps them. */
static bool
in_order(const newt__field *f, const array *a)
{
    const newt_text *last = NULL;

    for (size_t i = 0; i < a->n; i++) {
        const newt_text *key = (const void *)(a->items + i * f->f.stride);

        if ((last && newt__key_order(last->s, last->n, key->s, key->n) >= 0) ||
            newt__utf8_valid(key->s, key->n) != key->n)
            return false;
        last = key;
    }
    return true;
}

static void
keyed(encoder *en, const newt__place *up, const newt__field *f, const array *a)
{
    bool texts = f->f.key_kind == NEWT_K_TEXT, counted;
    newt__place place = {.up = up};

    for (size_t i = 0; i < a->n; i++) {
        if (newt__is_null(f->f.key_kind, a->items + i * f->f.stride)) {
            place.index = i;
            REFUSE(en, &place, "has a null key");
            return;
        }
    }
    counted = f->f.shape == NEWT_MAP_OF && in_order(f, a);
    if (counted)
        newt__write_map(en->w, a->n);
    else if (f->f.shape == NEWT_MAP_OF)
        newt__collect_map(en->w);
    else
        newt__collect_pairs(en->w);
    for (size_t i = 0; i < a->n && en->status == NEWT_OK; i++) {
        const char *item = a->items + i * f->f.stride;

        place.index = i;
        place.key = texts ? (const void *)item : NULL;
        value(en, &place, f, f->f.key_kind, item, f->f.key_size);
        if (en->status == NEWT_OK)
            value_or_null(en, &place, f, item + f->f.value_at);
    }
    if (!counted)
        newt__collected(en->w);
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool
left_out(const newt__field *f, const void *p)
{
    return f->nullable && f->f.shape == NEWT_ONE && !(f->f.flags & NEWT_F_KEEP_NULL) &&
           newt__is_null(f->f.kind, p);
}

static void
member(encoder *en, const newt__place *up, const newt__field *f, const char *base)
{
    const char *p = base + f->f.offset;
    newt__place place = {.up = up, .field = f};

    newt__write_text(en->w, f->as, f->as_n);
    if ((f->f.flags & NEWT_F_SKIP) &&
        !(f->f.kind == NEWT_K_JSON && f->f.shape == NEWT_ONE &&
          newt__item_hidden(&((const newt_json *)(const void *)p)->item)))
        newt__write_hidden(en->w);
    if (f->f.shape == NEWT_ONE) {
        value_or_null(en, &place, f, p);
    } else {
        const array *a = (const void *)p;

        if (a->n > 0 && !a->items)
            REFUSE(en, &place, "has %u items, but no memory for them", (unsigned)a->n);
        else if (f->f.shape <= NEWT_SET_OF)
            list(en, &place, f, a);
        else
            keyed(en, &place, f, a);
    }
    fine(en, &place);
}

static bool
has_required(encoder *en, const newt__place *up, const newt__field *f)
{
    newt__place place = {.up = up, .field = f};

    if (!(f->f.flags & NEWT_F_REQUIRED) || !en->strict)
        return true;
    REFUSE(en, &place, "is null, but required");
    return false;
}

static void
fields(encoder *en, const newt__place *up, const newt__class *k, const char *base)
{
    size_t n = 0;

    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];

        if (!left_out(f, base + f->f.offset))
            n++;
        else if (!has_required(en, up, f))
            return;
    }
    newt__write_map(en->w, n);
    for (uint32_t i = 0; i < k->n_fields && en->status == NEWT_OK; i++)
        if (!left_out(&k->fields[i], base + k->fields[i].f.offset))
            member(en, up, &k->fields[i], base);
}

/* ---- fields that the table lacks --------------------------------------------------------- */

/* The next field of the loaded record that the table lacks, and does not drop; false: no more, or
 * no valid record. */
static bool
next_extra(newt__reader *r, const newt__class *k, newt__token *key, newt__token *item, size_t *end)
{
    while (newt__read(r, key) == NEWT__OK && key->kind != NEWT__END) {
        bool known = newt__class_past(k, key->s, key->n) != NULL;

        for (uint32_t i = 0; i < k->n_fields && !known; i++)
            known = newt__key_order(k->fields[i].as, k->fields[i].as_n, key->s, key->n) == 0;
        if (newt__read(r, item) != NEWT__OK || newt__read_skip(r, item) != NEWT__OK)
            break;
        *end = r->at;
        if (!known)
            return true;
    }
    return false;
}

static bool
begin_extras(encoder *en, newt__reader *r)
{
    newt__token t;

    return newt__read_begin(r, &en->cd->env, en->x->record, en->x->record_n) == NEWT__OK &&
           newt__read(r, &t) == NEWT__OK && t.kind == NEWT__MAP;
}

/* The state of an object whose record has such fields: they are merged in, at their places. */
static void
fields_and_extras(encoder *en, const newt__class *k, const char *base)
{
    newt__reader r;
    newt__token key, item;
    size_t n = 0, end = 0;
    uint32_t i = 0;
    bool more;

    for (bool ok = begin_extras(en, &r); ok && next_extra(&r, k, &key, &item, &end);)
        n++;
    for (i = 0; i < k->n_fields; i++) {
        if (!left_out(&k->fields[i], base + k->fields[i].f.offset))
            n++;
        else if (!has_required(en, NULL, &k->fields[i]))
            return;
    }
    newt__write_map(en->w, n);
    more = begin_extras(en, &r) && next_extra(&r, k, &key, &item, &end);
    for (i = 0; (i < k->n_fields || more) && en->status == NEWT_OK;) {
        const newt__field *f = i < k->n_fields ? &k->fields[i] : NULL;

        if (f && left_out(f, base + f->f.offset)) {
            i++;
        } else if (f && (!more || newt__key_order(f->as, f->as_n, key.s, key.n) < 0)) {
            member(en, NULL, f, base);
            i++;
        } else {
            newt__write_text(en->w, key.s, key.n);
            newt__write_encoded(en->w, en->x->record + item.offset, end - item.offset);
            fine(en, NULL);
            more = next_extra(&r, k, &key, &item, &end);
        }
    }
}

/* ---- records ----------------------------------------------------------------------------- */

int
newt__encode(newt__coder *cd, const newt__source *x, bool strict, newt_error *e)
{
    const newt__class *k = x->class;
    encoder en = {.cd = cd, .w = &cd->writer, .e = e, .x = x, .strict = strict};

    newt__write_begin(en.w, k->name, k->name_n, k->version);
    if (k->flags & NEWT_C_SKIP)
        newt__write_hidden(en.w);
    if (x->extra)
        fields_and_extras(&en, k, x->data);
    else
        fields(&en, NULL, k, x->data);
    if (en.status == NEWT_OK) {
        newt__write_end(en.w);
        fine(&en, NULL);
    }
    return en.status;
}

int
newt__encode_field(newt__coder *cd, const newt__source *x, const newt__field *f, newt_error *e)
{
    encoder en = {.cd = cd, .w = &cd->writer, .e = e, .x = x};

    newt__write_begin(en.w, x->class->name, x->class->name_n, x->class->version);
    newt__write_map(en.w, 1);
    member(&en, NULL, f, x->data);
    if (en.status == NEWT_OK) {
        newt__write_end(en.w);
        fine(&en, NULL);
    }
    return en.status;
}
