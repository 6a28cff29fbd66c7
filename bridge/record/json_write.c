/*
 * json_write.c - jansson -> values of any shape (docs/json-values.md)
 */
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ----------------------------------------------------------------------------- */

typedef struct emitter {
    newt__writer *w;
    const newt__env *env;
    json_int_t *labels; /* "::id"s in the order of their numbers */
    size_t n_labels, cap_labels;
    bool scattered; /* labels are not 0, 1, 2 ... */
    uint64_t first; /* number of labels[0] */
    uint32_t depth;
} emitter;

static void emit(emitter *em, const json_t *json);

static void
fault(emitter *em, newt__code code, const char *reason)
{
    if (em->w->fault.code == NEWT__OK)
        em->w->fault = (newt__fault){code, reason, em->w->buf.n};
}

static void
refuse(emitter *em, const char *reason)
{
    fault(em, NEWT__PROFILE, reason);
}

static void
no_memory(emitter *em)
{
    fault(em, NEWT__NOMEM, "out of memory");
}

static const char *
text_of(const json_t *json, size_t *n)
{
    *n = json_string_length(json);
    return json_string_value(json);
}

static void
emit_number(emitter *em, const json_t *json, bool decimal)
{
    newt__buffer magnitude = {.env = em->env};
    newt__number x;
    newt__code code = NEWT__MALFORMED;
    size_t n;
    const char *s = text_of(json, &n);

    if (s)
        code = newt__number_parse(s, n, &magnitude, &x);
    if (code == NEWT__NOMEM)
        no_memory(em);
    else if (code == NEWT__LIMIT)
        fault(em, NEWT__LIMIT, "number has too many digits");
    else if (code != NEWT__OK)
        refuse(em, decimal ? "\"::num\" wants the text of a number"
                           : "\"::int\" wants the text of an integer");
    else if (!decimal && x.exponent != 0)
        refuse(em, "\"::int\" wants the text of an integer");
    else
        newt__write_number(em->w, &x, decimal);
    newt__buffer_free(&magnitude);
}

static void
emit_int(emitter *em, const json_t *json)
{
    emit_number(em, json, false);
}

static void
emit_num(emitter *em, const json_t *json)
{
    emit_number(em, json, true);
}

/* The bits of "NaN", "-Infinity", "NaN:7fc00001" ...; false: none of these. */
static bool
special_bits(const json_t *json, bool single, uint64_t *bits)
{
    const char *s = json_string_value(json);
    unsigned digits = single ? 8 : 16;
    char *end;

    for (const newt__special *x = newt__specials; s && x->name; x++) {
        if (strcmp(s, x->name) == 0) {
            *bits = single ? x->single : x->bits;
            return true;
        }
    }
    if (!s || strncmp(s, "NaN:", 4) != 0 || strspn(s + 4, "0123456789abcdef") != digits ||
        strlen(s) != 4 + digits)
        return false;
    *bits = strtoull(s + 4, &end, 16);
    return true;
}

static void
emit_f32(emitter *em, const json_t *json)
{
    double x = json_number_value(json);
    uint64_t bits;

    if (json_is_number(json)) {
        if (fabs(x) > 3.4028234663852886e38 || (double)(float)x != x)
            refuse(em, "\"::f32\" wants a number that a float can hold");
        else
            newt__write_float(em->w, (float)x);
    } else if (special_bits(json, true, &bits)) {
        newt__write_float_bits(em->w, (uint32_t)bits);
    } else {
        refuse(em, "\"::f32\" wants a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
    }
}

static void
emit_f64(emitter *em, const json_t *json)
{
    uint64_t bits;

    if (json_is_number(json))
        newt__write_double(em->w, json_number_value(json));
    else if (special_bits(json, false, &bits))
        newt__write_double_bits(em->w, bits);
    else
        refuse(em, "\"::f64\" wants a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
}

static void
emit_base64(emitter *em, const json_t *json, bool raw_text)
{
    newt__buffer bytes = {.env = em->env};
    size_t n;
    const char *s = text_of(json, &n);
    newt__code code = s ? newt__parse_base64(&bytes, s, n) : NEWT__MALFORMED;

    if (code == NEWT__NOMEM) {
        no_memory(em);
    } else if (code != NEWT__OK) {
        refuse(em, raw_text ? "\"::raw\" wants base64" : "\"::b64\" wants base64");
    } else if (raw_text) {
        newt__write_text(em->w, bytes.data, bytes.n);
    } else {
        newt__write_bytes(em->w, bytes.data, bytes.n);
    }
    newt__buffer_free(&bytes);
}

static void
emit_raw(emitter *em, const json_t *json)
{
    emit_base64(em, json, true);
}

static void
emit_b64(emitter *em, const json_t *json)
{
    emit_base64(em, json, false);
}

/* CBOR's argument in its shortest form; returns its length. */
static size_t
put_head(uint8_t *out, uint8_t major, uint64_t u)
{
    unsigned info = u < 24 ? (unsigned)u : u < 0x100 ? 24 : u < 0x10000 ? 25 : u >> 32 ? 27 : 26;
    size_t n = info < 24 ? 0 : (size_t)1 << (info - 24);

    out[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 0; i < n; i++)
        out[1 + i] = (uint8_t)(u >> 8 * (n - 1 - i));
    return 1 + n;
}

/* Microseconds, or [seconds, microseconds] where int64 cannot hold them. */
static void
emit_micros(emitter *em, const json_t *json, bool is_time)
{
    const json_t *seconds = json_array_get(json, 0), *rest = json_array_get(json, 1);
    json_int_t s = json_integer_value(seconds), us = json_integer_value(rest);
    uint8_t item[24] = {0xd9, 0x03, is_time ? 0xe9 : 0xea, 0xa2, 0x01};
    size_t n = 5;

    if (json_is_integer(json)) {
        if (is_time)
            newt__write_time(em->w, json_integer_value(json));
        else
            newt__write_duration(em->w, json_integer_value(json));
        return;
    }
    if (json_array_size(json) != 2 || !json_is_integer(seconds) || !json_is_integer(rest) ||
        us < 0 || us > 999999) {
        refuse(em, is_time ? "\"::us\" wants microseconds" : "\"::duration\" wants microseconds");
        return;
    }
    n += put_head(item + n, s < 0, s < 0 ? ~(uint64_t)s : (uint64_t)s);
    item[n++] = 0x25;
    n += put_head(item + n, 0, (uint64_t)us);
    newt__write_encoded(em->w, item, n);
}

static void
emit_us(emitter *em, const json_t *json)
{
    emit_micros(em, json, true);
}

static void
emit_duration(emitter *em, const json_t *json)
{
    emit_micros(em, json, false);
}

static void
emit_days(emitter *em, const json_t *json)
{
    if (json_is_integer(json))
        newt__write_date(em->w, json_integer_value(json));
    else
        refuse(em, "\"::days\" wants an integer");
}

static void
emit_uuid(emitter *em, const json_t *json)
{
    uint8_t b[16];
    size_t n;
    const char *s = text_of(json, &n);

    if (s && newt__parse_uuid(s, n, true, b))
        newt__write_uuid(em->w, b);
    else
        refuse(em, "\"::uuid\" wants the text of a UUID");
}

static void
emit_ref(emitter *em, const json_t *json)
{
    if (json_is_integer(json) && json_integer_value(json) > 0)
        newt__write_ref(em->w, json_integer_value(json));
    else
        refuse(em, "\"::=>\" wants an oid");
}

static void
emit_weak(emitter *em, const json_t *json)
{
    if (json_is_integer(json) && json_integer_value(json) > 0)
        newt__write_weak(em->w, json_integer_value(json));
    else
        refuse(em, "\"::~>\" wants an oid");
}

static void
emit_sharedref(emitter *em, const json_t *json)
{
    json_int_t label = json_integer_value(json);

    if (!json_is_integer(json)) {
        refuse(em, "\"::->\" wants the number of an \"::id\"");
        return;
    }
    if (label >= 0 && (uint64_t)label < em->n_labels && em->labels[label] == label) {
        newt__write_sharedref(em->w, em->first + (uint64_t)label);
        return;
    }
    for (size_t i = 0; i < em->n_labels; i++) {
        if (em->labels[i] == label) {
            newt__write_sharedref(em->w, em->first + i);
            return;
        }
    }
    refuse(em, "\"::->\" refers to an \"::id\" that does not stand before it");
}

/* ---- containers -------------------------------------------------------------------------- */

static void
emit_set(emitter *em, const json_t *json)
{
    if (!json_is_array(json)) {
        refuse(em, "\"::set\" wants an array");
        return;
    }
    newt__collect_set(em->w);
    for (size_t i = 0; i < json_array_size(json); i++)
        emit(em, json_array_get(json, i));
    newt__collected(em->w);
}

static void
emit_pairs(emitter *em, const json_t *json)
{
    size_t n = json_array_size(json);

    for (size_t i = 0; i < n; i++)
        if (json_array_size(json_array_get(json, i)) != 2)
            json = NULL;
    if (!json_is_array(json)) {
        refuse(em, "\"::pairs\" wants an array of [key, value]");
        return;
    }
    newt__collect_pairs(em->w);
    for (size_t i = 0; i < n; i++) {
        emit(em, json_array_get(json_array_get(json, i), 0));
        emit(em, json_array_get(json_array_get(json, i), 1));
    }
    newt__collected(em->w);
}

static void
emit_tag(emitter *em, const json_t *json)
{
    const json_t *n = json_array_get(json, 0);
    const char *s = json_string_value(json_object_get(n, "::int"));
    uint64_t tag = (uint64_t)json_integer_value(n);
    char *end = NULL;

    if (s && *s >= '1' && *s <= '9')
        tag = strtoull(s, &end, 10);
    if (json_array_size(json) != 2 || !((json_is_integer(n) && json_integer_value(n) >= 0) ||
                                        (end && !*end && tag > INT64_MAX))) {
        refuse(em, "\"::tag\" wants [number, value]");
        return;
    }
    newt__write_tag(em->w, tag);
    emit(em, json_array_get(json, 1));
}

static void
emit_hidden(emitter *em, const json_t *json)
{
    newt__write_hidden(em->w);
    emit(em, json);
}

/* An entry of a map, its key as the record has it. */
typedef struct entry {
    const char *s;
    size_t n;
    const json_t *value;
} entry;

static int
by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    return newt__key_order(x->s, x->n, y->s, y->n);
}

/* Keys with NUL cannot be told apart by the rest of jansson, and would be cut. */
static bool
whole_key(void *iter)
{
#if JANSSON_VERSION_HEX >= 0x020e00
    return strlen(json_object_iter_key(iter)) == json_object_iter_key_len(iter);
#else
    (void)iter;
    return true;
#endif
}

/* The entries of a plain object without its "::id". */
static size_t
object_entries(emitter *em, const json_t *json, entry *to)
{
    json_t *map = (json_t *)(uintptr_t)json;
    size_t n = 0;

    for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i)) {
        const char *key = json_object_iter_key(i);

        if (!whole_key(i))
            refuse(em, "a key holds a NUL: write the map as {\"::map\": [[key, value], ...]}");
        if (strncmp(key, "::", 2) == 0 && key[2] != ':')
            continue;
        key += strncmp(key, ":::", 3) == 0;
        to[n++] = (entry){key, strlen(key), json_object_iter_value(i)};
    }
    return n;
}

static size_t
list_entries(emitter *em, const json_t *list, entry *to)
{
    size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);

        if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0))) {
            refuse(em, "\"::map\" wants an array of [text, value]");
            return 0;
        }
        to[i].s = text_of(json_array_get(pair, 0), &to[i].n);
        to[i].value = json_array_get(pair, 1);
    }
    return n;
}

/* In the order of the keys, counted: shared values inside are numbered by their place. */
static void
emit_map(emitter *em, const json_t *json)
{
    const json_t *list = json_object_get(json, "::map");
    size_t n = list ? json_array_size(list) : json_object_size(json);
    entry *entries = NULL;

    if (list && !json_is_array(list))
        refuse(em, "\"::map\" wants an array of [text, value]");
    if (n > 0 && n <= SIZE_MAX / sizeof *entries) {
        entries = em->env->realloc(em->env->arg, NULL, n * sizeof *entries);
        if (!entries) {
            no_memory(em);
            return;
        }
        n = list ? list_entries(em, list, entries) : object_entries(em, json, entries);
        qsort(entries, n, sizeof *entries, by_key);
    }
    for (size_t i = 1; i < n; i++)
        if (by_key(&entries[i - 1], &entries[i]) == 0)
            refuse(em, "a map has a key twice");
    newt__write_map(em->w, n);
    for (size_t i = 0; i < n && em->w->fault.code == NEWT__OK; i++) {
        newt__write_text(em->w, entries[i].s, entries[i].n);
        emit(em, entries[i].value);
    }
    em->env->free(em->env->arg, entries);
}

/* Where a plain map is meant: an object without wrappers, but maybe with "::id" or as "::map". */
static bool
is_plain_map(const json_t *json, bool id_too)
{
    json_t *map = (json_t *)(uintptr_t)json;

    if (!json_is_object(json))
        return false;
    for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i)) {
        const char *key = json_object_iter_key(i);

        if (strncmp(key, "::", 2) == 0 && key[2] != ':' && strcmp(key, "::map") != 0 &&
            !(id_too && strcmp(key, "::id") == 0))
            return false;
        if (strcmp(key, "::map") == 0 &&
            json_object_size(json) != (id_too && json_object_get(json, "::id") ? 2u : 1u))
            return false;
    }
    return true;
}

static void
emit_object(emitter *em, const json_t *json)
{
    const json_t *name = json_array_get(json, 0), *version = json_array_get(json, 1);
    const json_t *map = json_array_get(json, 2);
    json_int_t v = json_integer_value(version);
    size_t n;
    const char *s = text_of(name, &n);

    if (json_array_size(json) != 3 || !s || !json_is_integer(version) || v < 0 || v > INT32_MAX ||
        !is_plain_map(map, false)) {
        refuse(em, "\"::object\" wants [class, version, {...}]");
        return;
    }
    newt__write_object(em->w, s, n, (int32_t)v);
    emit_map(em, map);
}

static bool
add_label(emitter *em, const json_t *json)
{
    json_int_t label = json_integer_value(json);

    if (!json_is_integer(json)) {
        refuse(em, "\"::id\" wants a number");
        return false;
    }
    /* mostly they are called 0, 1, 2 ..., and need not be compared with all before */
    em->scattered |= label != (json_int_t)em->n_labels;
    for (size_t i = 0; em->scattered && i < em->n_labels; i++) {
        if (em->labels[i] == label) {
            refuse(em, "an \"::id\" stands twice");
            return false;
        }
    }
    if (em->n_labels == em->cap_labels) {
        size_t cap = em->cap_labels ? 2 * em->cap_labels : 16;
        json_int_t *more = em->env->realloc(em->env->arg, em->labels, cap * sizeof *more);

        if (!more) {
            no_memory(em);
            return false;
        }
        em->labels = more;
        em->cap_labels = cap;
    }
    em->labels[em->n_labels++] = label;
    return true;
}

static const struct {
    const char *key;
    void (*emit)(emitter *em, const json_t *json);
} wrappers[] = {
    {"::=>", emit_ref},      {"::b64", emit_b64},           {"::us", emit_us},
    {"::days", emit_days},   {"::duration", emit_duration}, {"::uuid", emit_uuid},
    {"::num", emit_num},     {"::int", emit_int},           {"::f32", emit_f32},
    {"::f64", emit_f64},     {"::raw", emit_raw},           {"::set", emit_set},
    {"::pairs", emit_pairs}, {"::object", emit_object},     {"::hidden", emit_hidden},
    {"::tag", emit_tag},     {"::->", emit_sharedref},      {"::~>", emit_weak},
};

static void
emit_wrapped(emitter *em, const json_t *json)
{
    const json_t *id = json_object_get(json, "::id"), *object = json_object_get(json, "::object");
    json_t *map = (json_t *)(uintptr_t)json;
    const char *key;

    if (is_plain_map(json, true)) {
        if (id && add_label(em, id))
            newt__write_shared(em->w);
        emit_map(em, json);
        return;
    }
    if (id && object && json_object_size(json) == 2) {
        if (add_label(em, id))
            newt__write_shared(em->w);
        emit_object(em, object);
        return;
    }
    key = json_object_iter_key(json_object_iter(map));
    for (size_t i = 0; json_object_size(json) == 1 && i < sizeof wrappers / sizeof *wrappers; i++) {
        if (strcmp(key, wrappers[i].key) == 0) {
            wrappers[i].emit(em, json_object_get(json, key));
            return;
        }
    }
    refuse(em, "an object has an unknown key that begins with \"::\" (one more colon in front "
               "makes it a key like any other)");
}

static void
emit(emitter *em, const json_t *json)
{
    enum {
        DEEPEST = 3 * NEWT__MAX_DEPTH
    };
    size_t n;

    if (em->w->fault.code != NEWT__OK)
        return;
    if (em->depth >= DEEPEST) {
        fault(em, NEWT__LIMIT, "nesting is too deep");
        return;
    }
    em->depth++;
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_NULL: newt__write_null(em->w); break;
    case JSON_TRUE: newt__write_bool(em->w, true); break;
    case JSON_FALSE: newt__write_bool(em->w, false); break;
    case JSON_INTEGER: newt__write_int(em->w, json_integer_value(json)); break;
    case JSON_REAL: newt__write_double(em->w, json_real_value(json)); break;
    case JSON_STRING: {
        const char *s = text_of(json, &n);

        newt__write_text(em->w, s, n);
        break;
    }
    case JSON_ARRAY:
        newt__write_array(em->w, json_array_size(json));
        for (size_t i = 0; i < json_array_size(json) && em->w->fault.code == NEWT__OK; i++)
            emit(em, json_array_get(json, i));
        break;
    case JSON_OBJECT: emit_wrapped(em, json); break;
    }
    em->depth--;
}

void
newt__json_write(newt__writer *w, const json_t *json)
{
    emitter em = {.w = w, .env = w->buf.env, .first = w->shared};

    emit(&em, json);
    em.env->free(em.env->arg, em.labels);
}

/* ---- items ------------------------------------------------------------------------------- */

bool
newt__item_hidden(const newt_bytes *item)
{
    static const uint8_t tag[] = {0xd9, 0x96, 0x03};

    return item->n > sizeof tag && memcmp(item->p, tag, sizeof tag) == 0;
}

/* Lengths and counts in CBOR are of items, not of bytes: the item is copied but for the numbers of
 * its shared values, which are counted from where it now stands. */
static newt__code
renumber(newt__writer *w, const newt_bytes *item, newt__buffer *out)
{
    uint64_t first = item->priv_ - 1;
    newt__reader r;
    newt__token t;
    size_t copied = 0;

    newt__read_item_begin(&r, out->env, item->p, item->n, w->max_depth - w->depth, first);
    do {
        uint8_t head[12] = {0xd8, NEWT__TAG_SHAREDREF};
        size_t at, n;

        if (newt__read(&r, &t) != NEWT__OK)
            return r.fault.code;
        if (t.kind != NEWT__SHAREDREF)
            continue;
        at = t.offset + (t.hidden ? 3 : 0);
        n = 2 + put_head(head + 2, 0, t.u - first + w->shared);
        if (!newt__buffer_append(out, item->p + copied, at - copied) ||
            !newt__buffer_append(out, head, n))
            return NEWT__NOMEM;
        copied = t.end;
    } while (r.depth > 0);
    return newt__buffer_append(out, item->p + copied, item->n - copied) ? NEWT__OK : NEWT__NOMEM;
}

void
newt__item_write(newt__writer *w, const newt_bytes *item)
{
    newt__buffer copy = {.env = w->buf.env};
    newt__code code;

    if (item->priv_ == 0 || item->priv_ == w->shared + 1) {
        newt__write_encoded(w, item->p, item->n);
        return;
    }
    code = renumber(w, item, &copy);
    if (code == NEWT__OK)
        newt__write_encoded(w, copy.data, copy.n);
    else if (w->fault.code == NEWT__OK)
        w->fault = (newt__fault){code, "a dynamic value is damaged", w->buf.n};
    newt__buffer_free(&copy);
}
