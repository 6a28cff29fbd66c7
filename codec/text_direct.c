/*
 * text_direct.c - a record's state becomes compact JSON text as it is read
 *
 * Most states are maps of short ASCII text, integers, references, and arrays and maps of these, in
 * their simplest forms. They need neither a pass that validates nor tokens: what is read is checked
 * and written at once. Scalars of other kinds are shown by the projection. Whatever else stands
 * there, and anything wrong, is left to the projection altogether: the text starts again.
 */
#include "json_text.h"
#include "simple.h"

enum {
    DEPTH = 16,          /* containers nested */
    LONGEST = 256 * 1024 /* of a record: nobody asks for interrupts here */
};

typedef struct direct {
    const newt__env *env;
    newt__buffer *out;
    const uint8_t *end; /* of the record */
    bool no_memory;     /* why it ended */
} direct;

static const uint8_t *put_value(direct *d, const uint8_t *at, int depth);

/* What is after the item that was put; NULL: it was not, for lack of memory. */
static inline const uint8_t *
after(direct *d, bool put, const uint8_t *at)
{
    d->no_memory |= !put;
    return put ? at : NULL;
}

static const uint8_t *
put_array(direct *d, const uint8_t *at, int depth)
{
    uint32_t n;

    at = newt__short_count(at, d->end, &n);
    if (at != NULL)
        at = after(d, newt__put_open(d->out, '['), at);
    for (; n > 0 && at != NULL; n--)
        at = put_value(d, at, depth + 1);
    return at != NULL ? after(d, newt__put_close(d->out, ']'), at) : NULL;
}

static const uint8_t *
put_map(direct *d, const uint8_t *at, int depth)
{
    const char *key = NULL;
    size_t length = 0;
    uint32_t n;

    at = newt__short_count(at, d->end, &n);
    if (at != NULL)
        at = after(d, newt__put_open(d->out, '{'), at);
    for (; n > 0 && at != NULL; n--) {
        at = newt__short_key(at, d->end, &key, &length);
        if (at != NULL)
            at = after(d, newt__put_plain(d->out, key, length, ':'), at);
        if (at != NULL)
            at = put_value(d, at, depth + 1);
    }
    return at != NULL ? after(d, newt__put_close(d->out, '}'), at) : NULL;
}

/* The sink's argument is that of the text, which comes first. */
typedef struct shown {
    newt__json_text text;
    bool refused;
} shown;

static int
refuse(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    shown *x = arg;

    (void)path;
    (void)n;
    (void)reason;
    x->refused = true;
    return 1;
}

/* Any other scalar, as the projection shows it. */
static const uint8_t *
put_shown(direct *d, const uint8_t *at)
{
    shown x = {.refused = false};
    newt__reader r;
    newt__token t;
    newt__sink sink;
    newt__code code;

    newt__read_item_begin(&r, d->env, at, (size_t)(d->end - at), 0, 0);
    code = newt__read(&r, &t);
    if (code == NEWT__OK && t.hidden)
        return NULL;
    if (code == NEWT__OK && t.kind == NEWT__TEXT && (t.plain || !newt__holds_nul(t.s, t.n)))
        return after(d, newt__put_string(d->out, t.s, t.n, ','), r.data + r.at);
    newt__json_text_sink(&sink, &x.text, d->out);
    sink.reject = refuse;
    if (code == NEWT__OK)
        code = newt__project_item(&r, &t, &sink, NULL);
    if (code != NEWT__OK) {
        d->no_memory |= code == NEWT__NOMEM || (code == NEWT__SINK && !x.refused);
        return NULL;
    }
    return after(d, newt__put_open(d->out, ','), r.data + r.at);
}

static bool
put_ref(newt__buffer *out, int64_t oid)
{
    return newt__put_open(out, '{') && newt__put_plain(out, "::=>", 4, ':') &&
           newt__put_int(out, oid) && newt__put_close(out, '}');
}

static const uint8_t *
put_value(direct *d, const uint8_t *at, int depth)
{
    static const struct {
        const char *s;
        size_t n;
    } words[] = {{"false", 5}, {"true", 4}, {"null", 4}};
    const uint8_t *next = NULL;
    const char *s;
    size_t n;
    int64_t i;
    bool put = true;

    if (at == d->end)
        return NULL;
    switch (*at >> 5) {
    case NEWT__TEXT_TYPE:
        next = newt__short_text(at, d->end, &s, &n);
        if (next != NULL)
            put = newt__put_plain(d->out, s, n, ',');
        break;
    case NEWT__UINT_TYPE:
        next = newt__short_uint(at, d->end, &i);
        if (next != NULL)
            put = newt__put_int(d->out, i);
        break;
    case NEWT__TAG_TYPE:
        next = newt__short_ref(at, d->end, &i);
        if (next != NULL)
            put = put_ref(d->out, i);
        break;
    case NEWT__SIMPLE_TYPE:
        if (*at < 0xf4 || *at > 0xf6)
            break;
        put = newt__put_word(d->out, words[*at - 0xf4].s, words[*at - 0xf4].n);
        next = at + 1;
        break;
    case NEWT__ARRAY_TYPE:
    case NEWT__MAP_TYPE:
        if (depth >= DEPTH)
            return NULL;
        return (*at >> 5 == NEWT__ARRAY_TYPE ? put_array : put_map)(d, at, depth);
    default: break;
    }
    return next != NULL ? after(d, put, next) : put_shown(d, at);
}

newt__code
newt__project_text(const newt__env *env, const void *record, size_t n, newt__buffer *out,
                   bool *hidden, newt__fault *fault)
{
    size_t start = out->n;
    newt__reader head;
    direct d = {.env = env, .out = out};
    const uint8_t *at;

    if (n <= LONGEST && !newt__may_be_too_large(env, n) &&
        (env->max_depth == 0 || env->max_depth >= 2 * DEPTH) &&
        newt__read_begin(&head, env, record, n) == NEWT__OK) {
        d.end = head.data + head.n;
        at = head.data + head.at;
        if (at < d.end && *at >> 5 == NEWT__MAP_TYPE && put_map(&d, at, 0) == d.end) {
            out->n--; /* the comma */
            *hidden = false;
            if (fault != NULL)
                *fault = (newt__fault){0};
            return NEWT__OK;
        }
        out->n = start;
    }
    if (!d.no_memory)
        return newt__record_text(env, record, n, out, hidden, fault);
    if (fault != NULL)
        *fault = (newt__fault){.code = NEWT__NOMEM};
    return NEWT__NOMEM;
}
