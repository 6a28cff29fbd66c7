/*
 * json_read.c - values of any shape -> jansson, without loss (docs/json-values.md)
 *
 * What JSON has a word for is plain; all else is an object whose keys begin with "::". Keys of the
 * value's own that begin so get one more colon.
 */
#include "record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars ----------------------------------------------------------------------------- */

static json_t *
wrap(const char *key, json_t *value)
{
    json_t *o = json_object();

    if (json_object_set_new_nocheck(o, key, value) != 0) { /* also when o or value is NULL */
        json_decref(o);
        return NULL;
    }
    return o;
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static json_t *
base64(const newt__env *env, const void *p, size_t n)
{
    const uint8_t *s = p;
    size_t length = (n + 2) / 3 * 4, at = 0;
    char *out = env->realloc(env->arg, NULL, length + 1);
    json_t *json;

    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)s[i] << 16;

        x |= i + 1 < n ? (uint32_t)s[i + 1] << 8 : 0;
        x |= i + 2 < n ? s[i + 2] : 0;
        out[at++] = digits64[x >> 18];
        out[at++] = digits64[x >> 12 & 63];
        out[at++] = i + 1 < n ? digits64[x >> 6 & 63] : '=';
        out[at++] = i + 2 < n ? digits64[x & 63] : '=';
    }
    json = json_stringn_nocheck(out, at);
    env->free(env->arg, out);
    return json;
}

static json_t *
number_text(const newt__env *env, const char *key, const newt__number *x)
{
    newt__buffer text = {.env = env};
    json_t *json = NULL;

    if (newt__decimal_text(&text, x) == NEWT__OK)
        json = wrap(key, json_stringn_nocheck((const char *)text.data, text.n));
    newt__buffer_free(&text);
    return json;
}

static json_t *
integer(const newt__env *env, bool negative, uint64_t u)
{
    uint8_t magnitude[8];
    newt__number x = {.negative = negative, .magnitude = magnitude, .n = sizeof magnitude};

    if (u <= INT64_MAX)
        return json_integer(negative ? -1 - (json_int_t)u : (json_int_t)u);
    for (int i = 0; i < 8; i++)
        magnitude[i] = (uint8_t)(u >> (56 - 8 * i));
    return number_text(env, "::int", &x);
}

static json_t *
real(const newt__token *t)
{
    bool single = t->kind == NEWT__FLOAT;
    const char *key = single ? "::f32" : "::f64";
    char text[32];

    if (isfinite(t->real))
        return single ? wrap(key, json_real(t->real)) : json_real(t->real);
    for (const newt__special *x = newt__specials; x->name; x++)
        if (t->bits == (single ? x->single : x->bits))
            return wrap(key, json_string_nocheck(x->name));
    snprintf(text, sizeof text, "NaN:%0*" PRIx64, single ? 8 : 16, t->bits);
    return wrap(key, json_string_nocheck(text));
}

static json_t *
microseconds(const newt__token *t, const char *key)
{
    int64_t us;

    if (newt__microseconds(t, &us))
        return wrap(key, json_integer(us));
    return wrap(key, json_pack("[I,i]", (json_int_t)t->seconds, (int)t->us));
}

static json_t *
uuid(const newt__token *t)
{
    const uint8_t *b = (const uint8_t *)t->s;
    char text[37];

    snprintf(text, sizeof text,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return wrap("::uuid", json_string_nocheck(text));
}

static json_t *
scalar(const newt__reader *r, const newt__token *t, uint64_t first)
{
    switch (t->kind) {
    case NEWT__NULL: return json_null();
    case NEWT__BOOL: return json_boolean(t->boolean);
    case NEWT__INT: return integer(r->env, t->number.negative, t->u);
    case NEWT__BIGNUM: return number_text(r->env, "::int", &t->number);
    case NEWT__DECIMAL: return number_text(r->env, "::num", &t->number);
    case NEWT__FLOAT:
    case NEWT__DOUBLE: return real(t);
    case NEWT__TEXT: return json_stringn_nocheck(t->s, t->n);
    case NEWT__RAW_TEXT: return wrap("::raw", base64(r->env, t->s, t->n));
    case NEWT__BYTES: return wrap("::b64", base64(r->env, t->s, t->n));
    case NEWT__TIME: return microseconds(t, "::us");
    case NEWT__DURATION: return microseconds(t, "::duration");
    case NEWT__DATE: return wrap("::days", json_integer(t->i));
    case NEWT__UUID: return uuid(t);
    case NEWT__REF: return wrap("::=>", json_integer(t->i));
    case NEWT__WEAK: return wrap("::~>", json_integer(t->i));
    case NEWT__SHAREDREF: return wrap("::->", json_integer((json_int_t)(t->u - first)));
    default: return NULL;
    }
}

/* ---- containers -------------------------------------------------------------------------- */

/* A container that is being filled. */
typedef struct frame {
    newt__kind kind;
    bool hidden;
    bool listed;   /* a map whose keys JSON cannot hold: inner is an array of [key, value] */
    json_t *whole; /* what its own container gets */
    json_t *inner; /* borrowed from whole: what takes the items */
    json_t *key;   /* of pairs, and of a listed map: waits for its value */
    const char *s; /* key of a map, into the record */
    size_t n;
} frame;

typedef struct builder {
    const newt__env *env;
    uint64_t first;
    frame *frames;
    size_t n, cap;
    json_t *result;
} builder;

static bool
is_map(newt__kind kind)
{
    return kind == NEWT__MAP || kind == NEWT__OBJECT;
}

/* Puts `inner` into the wrappers that its kind and its tags ask for. */
static json_t *
frame_whole(const newt__token *t, json_t *inner, const newt__env *env, uint64_t first)
{
    json_t *whole = inner;

    switch (t->kind) {
    case NEWT__SET: whole = wrap("::set", inner); break;
    case NEWT__PAIRS: whole = wrap("::pairs", inner); break;
    case NEWT__TAG:
    case NEWT__STORE_REF:
        if (json_array_append_new(inner, integer(env, false, t->u)) != 0) {
            json_decref(inner);
            return NULL;
        }
        whole = wrap("::tag", inner);
        break;
    case NEWT__OBJECT: {
        json_t *three = json_array();
        int failed = json_array_append_new(three, json_stringn_nocheck(t->s, t->n_name));

        failed |= json_array_append_new(three, json_integer(t->i));
        failed |= json_array_append_new(three, inner);
        whole = wrap("::object", three);
        if (failed) {
            json_decref(whole);
            whole = NULL;
        }
        break;
    }
    default: break;
    }
    if (whole && t->shared) {
        json_int_t label = (json_int_t)(t->share - first);

        if (json_object_set_new_nocheck(whole, "::id", json_integer(label)) != 0) {
            json_decref(whole);
            whole = NULL;
        }
    }
    return whole;
}

static bool
push(builder *b, const newt__token *t)
{
    json_t *inner = is_map(t->kind) ? json_object() : json_array();
    json_t *whole = inner ? frame_whole(t, inner, b->env, b->first) : NULL;

    if (!whole)
        return false;
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 16;
        frame *more = b->env->realloc(b->env->arg, b->frames, cap * sizeof *more);

        if (!more) {
            json_decref(whole);
            return false;
        }
        b->frames = more;
        b->cap = cap;
    }
    b->frames[b->n++] = (frame){
        .kind = t->kind, .hidden = t->hidden, .whole = whole, .inner = inner};
    return true;
}

/* A map key as JSON has it: one more colon before those that begin with two. NULL: no memory. */
static char *
escaped_key(const newt__env *env, const char *s, size_t n)
{
    size_t more = n >= 2 && s[0] == ':' && s[1] == ':';
    char *key = env->realloc(env->arg, NULL, n + more + 1);

    if (key) {
        key[0] = ':';
        memcpy(key + more, s, n);
        key[n + more] = 0;
    }
    return key;
}

static bool
append_pair(json_t *list, json_t *key, json_t *value)
{
    json_t *two = json_array();
    int failed = json_array_append_new(two, key);

    failed |= json_array_append_new(two, value);
    failed |= json_array_append_new(list, two);
    return !failed;
}

/* The map has a key with NUL: its entries so far become a list of pairs. What keys begin with
 * "::id" came from the tag, not from the map. */
static bool
list_map(frame *f)
{
    json_t *list = json_array(), *holder, *value;
    const char *key;
    bool ok = list != NULL;

    json_object_foreach(f->inner, key, value)
    {
        size_t more = strncmp(key, ":::", 3) == 0;

        if (strcmp(key, "::id") != 0 && ok)
            ok = append_pair(list, json_string_nocheck(key + more), json_incref(value));
    }
    if (!ok) {
        json_decref(list);
        return false;
    }
    if (f->kind == NEWT__OBJECT) {
        holder = wrap("::map", list);
        if (!holder || json_array_set_new(json_object_get(f->whole, "::object"), 2, holder) != 0)
            return false;
    } else {
        json_t *id = json_incref(json_object_get(f->inner, "::id"));

        json_object_clear(f->inner);
        if ((id && json_object_set_new_nocheck(f->inner, "::id", id) != 0) ||
            json_object_set_new_nocheck(f->inner, "::map", list) != 0)
            return false;
    }
    f->inner = list;
    f->listed = true;
    return true;
}

/* Gives a value to the innermost container. Consumes it, also on failure. */
static bool
deliver(builder *b, json_t *value, bool is_key)
{
    frame *f = b->n ? &b->frames[b->n - 1] : NULL;
    char *key;
    int failed;

    if (!value)
        return false;
    if (!f) {
        b->result = value;
        return true;
    }
    if (is_key) {
        f->key = value;
        return true;
    }
    if (f->kind == NEWT__PAIRS || f->listed) {
        json_t *k = f->key;

        f->key = NULL;
        return append_pair(f->inner, k, value);
    }
    if (!is_map(f->kind))
        return json_array_append_new(f->inner, value) == 0;
    if (f->n < 2 || f->s[0] != ':') {
        /* jansson copies the key, but wants a NUL after it */
        char small[64];

        if (f->n < sizeof small) {
            memcpy(small, f->s, f->n);
            small[f->n] = 0;
            return json_object_set_new_nocheck(f->inner, small, value) == 0;
        }
    }
    key = escaped_key(b->env, f->s, f->n);
    if (!key) {
        json_decref(value);
        return false;
    }
    failed = json_object_set_new_nocheck(f->inner, key, value);
    b->env->free(b->env->arg, key);
    return !failed;
}

/* A text where a map's key stands. */
static bool
map_key(builder *b, const newt__token *t)
{
    frame *f = &b->frames[b->n - 1];

    f->s = t->s;
    f->n = t->n;
    if (!f->listed && t->n > 0 && memchr(t->s, 0, t->n) && !list_map(f))
        return false;
    return !f->listed || deliver(b, json_stringn_nocheck(t->s, t->n), true);
}

/* Takes one token; false: no memory. */
static bool
take(builder *b, newt__reader *r, newt__token *t)
{
    json_t *value;
    bool hidden = t->hidden;

    if (t->kind == NEWT__END) {
        value = b->frames[--b->n].whole;
        hidden = b->frames[b->n].hidden;
    } else if (b->n > 0 && t->is_key && is_map(b->frames[b->n - 1].kind)) {
        return map_key(b, t);
    } else if (newt__is_open(t->kind)) {
        return push(b, t);
    } else {
        value = scalar(r, t, b->first);
    }
    if (hidden && b->n > 0 && value)
        value = wrap("::hidden", value);
    return deliver(b, value, t->is_key);
}

json_t *
newt__json_read(newt__reader *r, newt__token *t, uint64_t first)
{
    builder b = {.env = r->env, .first = first};

    while (take(&b, r, t)) {
        if (b.n == 0)
            break;
        if (newt__read(r, t) != NEWT__OK)
            break;
    }
    while (b.n > 0) { /* it failed */
        b.n--;
        json_decref(b.frames[b.n].key);
        json_decref(b.frames[b.n].whole);
    }
    r->env->free(r->env->arg, b.frames);
    return b.result;
}

json_t *
newt__json_field(const newt__env *env, const void *record, size_t n, const char *field,
                 size_t field_n, newt__fault *fault)
{
    json_t *json = NULL;
    newt__reader r;
    newt__token t;

    *fault = (newt__fault){NEWT__OK, NULL, 0};
    if (newt__read_begin(&r, env, record, n) != NEWT__OK || newt__read(&r, &t) != NEWT__OK)
        goto out;
    if (!is_map(t.kind))
        return NULL;
    while (newt__read(&r, &t) == NEWT__OK && t.kind != NEWT__END) {
        bool found = t.n == field_n && memcmp(t.s, field, field_n) == 0;

        if (newt__read(&r, &t) != NEWT__OK)
            break;
        if (found) {
            json = newt__json_read(&r, &t, 0);
            if (!json && r.fault.code == NEWT__OK)
                *fault = (newt__fault){NEWT__NOMEM, "out of memory", t.offset};
            break;
        }
        if (newt__read_skip(&r, &t) != NEWT__OK)
            break;
    }
out:
    if (r.fault.code != NEWT__OK)
        *fault = r.fault;
    return json;
}

/* ---- the public functions ---------------------------------------------------------------- */

json_t *
newt_json_get(const newt_json *f)
{
    uint64_t first = f->item.priv_ ? f->item.priv_ - 1 : 0;
    newt__reader r;
    newt__token t;
    json_t *json, *hidden;

    if (!f->item.p)
        return json_null();
    newt__read_item_begin(&r, &newt__malloc_env, f->item.p, f->item.n, NEWT__MAX_DEPTH, first);
    if (newt__read(&r, &t) != NEWT__OK)
        return NULL;
    json = newt__json_read(&r, &t, first);
    if (!json || !newt__item_hidden(&f->item))
        return json;
    hidden = wrap("::hidden", json);
    return hidden;
}

json_t *
newt_json_ref(newt_ref r)
{
    return newt_is_null(r) ? json_null() : wrap("::=>", json_integer(r.oid));
}

json_t *
newt_json_weak(newt_weak w)
{
    return w.oid == 0 ? json_null() : wrap("::~>", json_integer(w.oid));
}

static int64_t
wrapped_oid(const json_t *json, const char *key)
{
    const json_t *oid = json_object_get(json, key);

    return json_object_size(json) == 1 && json_is_integer(oid) && json_integer_value(oid) > 0
               ? json_integer_value(oid)
               : 0;
}

newt_ref
newt_json_to_ref(const json_t *json)
{
    return (newt_ref){wrapped_oid(json, "::=>")};
}

newt_weak
newt_json_to_weak(const json_t *json)
{
    return (newt_weak){wrapped_oid(json, "::~>")};
}

json_t *
newt_record_get(const newt_record *r, const char *field)
{
    newt__fault fault;

    return newt__json_field(r->env, r->data, r->n, field, strlen(field), &fault);
}
