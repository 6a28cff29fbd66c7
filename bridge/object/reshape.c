/*
 * reshape.c - the JSON of an object as this side computes it, with to_json of its class
 *
 * Without to_json it is the record's (record/projection.c). A to_json callback gets it as jansson,
 * which has no number but int64 and double: a number that is neither goes through as a real that
 * stands for it, or beyond these as its text, and is written out exactly if the callback has left
 * it alone.
 */
#include "object.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- to_json: the projection as jansson -------------------------------------------------- */

/* A number that jansson cannot hold: which node stands for it, with what value. */
typedef struct exact {
    json_t *node; /* owned, so that its address stays its own */
    double value; /* of a real */
    size_t at, n; /* text, in tree.numbers */
} exact;

typedef struct tree {
    const newt__env *env;
    json_t *root;
    newt__buffer open; /* json_t *[]: the containers that are being filled, borrowed */
    newt__buffer key;  /* of the value that comes next */
    newt__buffer numbers;
    newt__buffer exact;    /* exact[], sorted by address before it is searched */
    newt__buffer reserved; /* uint64_t[]: hashes of the objects with "::" keys */
    json_t *rejects;
    size_t n_rejects;
} tree;

static void
tree_restart(void *arg)
{
    tree *t = arg;
    exact *numbers = (void *)t->exact.data;

    for (size_t i = 0; i < t->exact.n / sizeof *numbers; i++)
        json_decref(numbers[i].node);
    t->exact.n = t->numbers.n = t->key.n = t->open.n = 0;
    json_decref(t->root);
    t->root = NULL;
    newt__reject_truncate(t->rejects, t->n_rejects);
}

static json_t *
tree_number(tree *t, const newt__json *e)
{
    char text[NEWT__FLOAT_TEXT];
    exact x = {.at = t->numbers.n, .n = e->n};
    json_t *node;

    if (newt__is_jansson_number(e->s, e->n))
        node = json_loadb(e->s, e->n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    else
        node = json_stringn_nocheck(e->s, e->n);
    if (!node)
        return NULL;
    x.value = json_real_value(node);
    if (json_is_real(node) && newt__double_text(x.value, text) == e->n &&
        memcmp(text, e->s, e->n) == 0)
        return node;
    x.node = node;
    if (!newt__buffer_append(&t->numbers, e->s, e->n) ||
        !newt__buffer_append(&t->exact, &x, sizeof x)) {
        json_decref(node);
        return NULL;
    }
    return json_incref(node);
}

static json_t *
tree_value(tree *t, const newt__json *e)
{
    switch (e->kind) {
    case NEWT__JSON_OBJECT: return json_object();
    case NEWT__JSON_ARRAY: return json_array();
    case NEWT__JSON_STRING: return json_stringn_nocheck(e->s, e->n);
    case NEWT__JSON_INT: return json_integer(e->i);
    case NEWT__JSON_NUMBER: return tree_number(t, e);
    case NEWT__JSON_TRUE: return json_true();
    case NEWT__JSON_FALSE: return json_false();
    default: return json_null();
    }
}

static int
tree_event(void *arg, const newt__json *e)
{
    tree *t = arg;
    json_t *in = NULL, *value;

    if (e->kind == NEWT__JSON_OBJECT_END || e->kind == NEWT__JSON_ARRAY_END) {
        t->open.n -= sizeof value;
        return 0;
    }
    if (e->kind == NEWT__JSON_KEY) {
        t->key.n = 0;
        return newt__buffer_append(&t->key, e->s, e->n) && newt__buffer_append(&t->key, "", 1) ? 0
                                                                                               : -1;
    }
    value = tree_value(t, e);
    if (!value)
        return -1;
    if (t->open.n > 0)
        in = ((json_t **)(void *)t->open.data)[t->open.n / sizeof in - 1];
    if (!in)
        t->root = value;
    else if (json_is_array(in) ? json_array_append_new(in, value)
                               : json_object_set_new_nocheck(in, (char *)t->key.data, value))
        return -1;
    if ((e->kind == NEWT__JSON_OBJECT || e->kind == NEWT__JSON_ARRAY) &&
        !newt__buffer_append(&t->open, &value, sizeof value))
        return -1;
    return 0;
}

static int
tree_reject(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    tree *t = arg;

    return !t->rejects || newt__reject_add(t->rejects, path, n, reason) ? 0 : -1;
}

/* ---- to_json: keys that begin with "::" -------------------------------------------------- */

/* Such a key says what a value is: {"::=>": 42} is a reference. The callback may keep, move and
 * remove values that have one, but make none: after it each must have been there before, whole. */

enum {
    DEEPEST = 2 * NEWT__MAX_DEPTH + 8
};

static uint64_t
mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *s = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h ^ h >> 29;
}

static bool
is_reserved(const char *key)
{
    return key[0] == ':' && key[1] == ':' && key[2] != ':';
}

typedef bool visit_reserved(void *arg, uint64_t hash);

/* A hash of the whole value; visit gets that of each object inside that has a reserved key. false:
 * visit said so, or the nesting is too deep. Depth is bounded. */
static bool
hash_of(const json_t *json, uint32_t depth, visit_reserved *visit, void *arg, uint64_t *out)
{
    uint64_t type = (uint64_t)json_typeof(json), h = mix(UINT64_C(0xcbf29ce484222325), &type, 8), x;
    json_t *container = (json_t *)(uintptr_t)json;
    bool reserved = false;

    if (depth > DEEPEST)
        return false;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        for (void *i = json_object_iter(container); i; i = json_object_iter_next(container, i)) {
            const char *key = json_object_iter_key(i);

            if (!hash_of(json_object_iter_value(i), depth + 1, visit, arg, &x))
                return false;
            h += mix(x, key, strlen(key)); /* in any order */
            reserved |= is_reserved(key);
        }
        break;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(json); i++) {
            if (!hash_of(json_array_get(json, i), depth + 1, visit, arg, &x))
                return false;
            h = mix(h, &x, sizeof x);
        }
        break;
    case JSON_STRING: h = mix(h, json_string_value(json), json_string_length(json)); break;
    case JSON_INTEGER: {
        json_int_t i = json_integer_value(json);

        h = mix(h, &i, sizeof i);
        break;
    }
    case JSON_REAL: {
        double d = json_real_value(json);

        h = mix(h, &d, sizeof d);
        break;
    }
    default: break;
    }
    *out = h;
    return !reserved || visit(arg, h);
}

static bool
note_reserved(void *arg, uint64_t hash)
{
    tree *t = arg;

    return newt__buffer_append(&t->reserved, &hash, sizeof hash);
}

static int
by_hash(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool
was_reserved(void *arg, uint64_t hash)
{
    tree *t = arg;

    return t->reserved.n > 0 && bsearch(&hash, t->reserved.data, t->reserved.n / sizeof hash,
                                        sizeof hash, by_hash) != NULL;
}

/* ---- to_json: back to text --------------------------------------------------------------- */

static int
by_node(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const exact *)a)->node, y = (uintptr_t)((const exact *)b)->node;

    return (x > y) - (x < y);
}

/* The number that the node stands for as long as it has the value it was given. */
static bool
exact_event(tree *t, json_t *json, newt__json *e)
{
    exact key = {.node = json}, *found = NULL;
    const char *text;

    if (t->exact.n > 0)
        found = bsearch(&key, t->exact.data, t->exact.n / sizeof key, sizeof key, by_node);
    if (!found)
        return false;
    text = (const char *)t->numbers.data + found->at;
    if (json_is_real(json) ? json_real_value(json) != found->value
                           : json_string_length(json) != found->n ||
                                 memcmp(json_string_value(json), text, found->n) != 0)
        return false;
    *e = (newt__json){.kind = NEWT__JSON_NUMBER, .s = text, .n = found->n};
    return true;
}

/* Why a callback's result cannot be stored; NULL: it can, or (then *memory is false) no memory. */
static const char *
put(tree *t, const newt__sink *sink, json_t *json, uint32_t depth, bool *memory)
{
    char number[NEWT__FLOAT_TEXT];
    newt__json e = {0};
    const char *wrong = NULL;

    if (depth > DEEPEST)
        return "is nested too deep";
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        e.kind = NEWT__JSON_OBJECT;
        *memory &= sink->event(sink->arg, &e) == 0;
        for (void *i = json_object_iter(json); i && !wrong && *memory;
             i = json_object_iter_next(json, i)) {
            e.kind = NEWT__JSON_KEY;
            e.s = json_object_iter_key(i);
            e.n = strlen(e.s);
            if (newt__utf8_valid(e.s, e.n) < e.n)
                return "has a key that is not UTF-8";
            *memory &= sink->event(sink->arg, &e) == 0;
            wrong = put(t, sink, json_object_iter_value(i), depth + 1, memory);
        }
        e.kind = NEWT__JSON_OBJECT_END;
        break;
    case JSON_ARRAY:
        e.kind = NEWT__JSON_ARRAY;
        *memory &= sink->event(sink->arg, &e) == 0;
        for (size_t i = 0; i < json_array_size(json) && !wrong && *memory; i++)
            wrong = put(t, sink, json_array_get(json, i), depth + 1, memory);
        e.kind = NEWT__JSON_ARRAY_END;
        break;
    case JSON_STRING:
        if (exact_event(t, json, &e))
            break;
        e.kind = NEWT__JSON_STRING;
        e.s = json_string_value(json);
        e.n = json_string_length(json);
        if (memchr(e.s, 0, e.n) || newt__utf8_valid(e.s, e.n) < e.n)
            return "has text with a NUL, or that is not UTF-8";
        break;
    case JSON_INTEGER:
        e.kind = NEWT__JSON_INT;
        e.i = json_integer_value(json);
        break;
    case JSON_REAL:
        if (exact_event(t, json, &e))
            break;
        if (!isfinite(json_real_value(json)))
            return "has a number that is not finite";
        e.kind = NEWT__JSON_NUMBER;
        e.n = newt__double_text(json_real_value(json), number);
        e.s = number;
        break;
    case JSON_TRUE: e.kind = NEWT__JSON_TRUE; break;
    case JSON_FALSE: e.kind = NEWT__JSON_FALSE; break;
    case JSON_NULL: e.kind = NEWT__JSON_NULL; break;
    }
    if (!wrong && *memory)
        *memory = sink->event(sink->arg, &e) == 0;
    return wrong;
}

static bool
put_too_large(newt__buffer *out, size_t record_n, json_t *rejects)
{
    char text[64];
    int n = snprintf(text, sizeof text, "{\"::err\":\"too-large\",\"::bin\":%zu}", record_n);

    return newt__buffer_append(out, text, (size_t)n) &&
           (!rejects || newt__reject_add(rejects, NULL, 0, "too-large"));
}

static void
tree_free(tree *t)
{
    t->rejects = NULL;
    tree_restart(t);
    newt__buffer_free(&t->open);
    newt__buffer_free(&t->key);
    newt__buffer_free(&t->numbers);
    newt__buffer_free(&t->exact);
    newt__buffer_free(&t->reserved);
}

/* Calls to_json on the projection in t->root. */
static int
call_hook(newt__jar *c, const newt__class *k, int64_t oid, const void *record, size_t n, tree *t,
          newt_error *e)
{
    newt__header *image = NULL;
    uint64_t hash;
    int status;

    if (!hash_of(t->root, 0, note_reserved, t, &hash))
        return newt__fail_memory(e);
    if (t->reserved.n > 0)
        qsort(t->reserved.data, t->reserved.n / sizeof hash, sizeof hash, by_hash);
    status = newt__image_make(c, k, oid, record, n, &image, e);
    if (status != NEWT_OK)
        return status;
    status = k->hooks.to_json(newt__object_of(image), t->root, k->hooks.arg);
    newt__header_free(image);
    if (status != NEWT_OK)
        return newt__fail_at(e, status > 0 ? status : NEWT_EINVAL, oid, k, NULL,
                             "could not be projected: to_json returned %d", status);
    if (!hash_of(t->root, 0, was_reserved, t, &hash)) {
        newt__fail_at(e, NEWT_EINVAL, oid, k, NULL,
                      "has a to_json that makes keys beginning with \"::\"");
        newt__fail_hint(e, "Such keys are Newt's own; a name of yours gets one more colon.");
        return NEWT_EINVAL;
    }
    return NEWT_OK;
}

static int
reshape(newt__jar *c, const newt__class *k, int64_t oid, const void *record, size_t n, tree *t,
        newt__buffer *out, newt_error *e)
{
    size_t start = out->n, most = c->coder.env.max_json ? c->coder.env.max_json : NEWT__MAX_JSON;
    newt__json_text text;
    newt__sink sink;
    const char *wrong;
    bool memory = true;

    /* what is too large has no fields to reshape */
    if (!json_object_get(t->root, "::err") && call_hook(c, k, oid, record, n, t, e) != NEWT_OK)
        return e->status;
    if (t->exact.n > 0)
        qsort(t->exact.data, t->exact.n / sizeof(exact), sizeof(exact), by_node);
    newt__json_text_sink(&sink, &text, out);
    wrong = put(t, &sink, t->root, 0, &memory);
    if (wrong)
        return newt__fail_at(e, NEWT_EINVAL, oid, k, NULL, "has a to_json whose result %s", wrong);
    if (memory && out->n - start > most) {
        out->n = start;
        memory = put_too_large(out, n, t->rejects);
    }
    return memory ? NEWT_OK : newt__fail_memory(e);
}

/* The class whose to_json is to be called for this record. */
static const newt__class *
with_to_json(const newt__jar *c, const void *record, size_t n)
{
    const newt__class *k = NULL;
    newt__reader r;

    if (newt__read_begin(&r, &c->coder.env, record, n) == NEWT__OK)
        k = newt__class_named(c->classes, r.class_name, r.class_n);
    return k && k->stored && k->hooks.to_json ? k : NULL;
}

static newt__code
project_reshaped(newt__jar *c, const newt__class *k, int64_t oid, const void *record, size_t n,
                 newt__buffer *out, bool *hidden, json_t *rejects, newt__fault *fault,
                 newt_error *e)
{
    const newt__env *env = &c->coder.env;
    tree t = {.env = env,
              .open.env = env,
              .key.env = env,
              .numbers.env = env,
              .exact.env = env,
              .reserved.env = env,
              .rejects = rejects,
              .n_rejects = json_array_size(rejects)};
    newt__sink sink = {tree_event, tree_restart, tree_reject, &t};
    newt__code code = newt__project(env, record, n, &sink, hidden, fault);

    if (code == NEWT__OK && !*hidden)
        reshape(c, k, oid, record, n, &t, out, e);
    tree_free(&t);
    return code == NEWT__SINK ? NEWT__NOMEM : code; /* our callbacks fail for nothing else */
}

int
newt__object_project(newt__jar *c, int64_t oid, const void *record, size_t n, newt__buffer *out,
                     bool *hidden, json_t *rejects)
{
    const newt__class *k = with_to_json(c, record, n);
    newt__fault fault = {0};
    newt_error e = {0};
    size_t start = out->n;
    newt__code code;

    *hidden = false;
    if (k)
        code = project_reshaped(c, k, oid, record, n, out, hidden, rejects, &fault, &e);
    else
        code = newt__record_project(&c->coder.env, record, n, out, hidden, rejects, &fault);
    if (code != NEWT__OK) {
        char name[40];

        snprintf(name, sizeof name, "object %lld", (long long)oid);
        fault.code = code;
        newt__fail_codec(&e, oid, name, &fault);
    }
    if (e.status == NEWT_OK)
        return NEWT_OK;
    out->n = start;
    return newt__base_fail_with(&c->base, &e);
}
