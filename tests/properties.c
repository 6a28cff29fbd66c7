/* properties.c - what holds for any bytes given to the codec */
#include "properties.h"
#include "recorder.h"
#include "reencode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

typedef struct input {
    const uint8_t *data;
    size_t n;
    long live; /* blocks not freed */
} input;

static void
broken(const input *in, const char *property, const char *detail)
{
    fprintf(stderr, "property broken: %s (%s) by %zu bytes:\n", property, detail ? detail : "",
            in->n);
    for (size_t i = 0; i < in->n; i++)
        fprintf(stderr, "%02x", in->data[i]);
    fprintf(stderr, "\n");
    abort();
}

#define HOLDS(condition, property, detail)                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken(in, property, detail);                                                          \
    } while (0)

static void *
grow(void *arg, void *p, size_t n)
{
    input *in = arg;
    void *q = realloc(p, n ? n : 1);
    if (q && !p)
        in->live++;
    return q;
}

static void
drop(void *arg, void *p)
{
    input *in = arg;
    if (p)
        in->live--;
    free(p);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* jansson has no numbers beyond double and int64; the recorder has checked their grammar. */
static size_t
without_numbers(char *to, const char *from, size_t n)
{
    size_t m = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (from[i] == '\\')
                to[m++] = from[i++];
            else if (from[i] == '"')
                in_string = false;
        } else if (from[i] == '"') {
            in_string = true;
        } else if (from[i] == '-' || (from[i] >= '0' && from[i] <= '9')) {
            i += strspn(from + i, "-+.eE0123456789") - 1;
            to[m++] = '0';
            continue;
        }
        to[m++] = from[i];
    }
    return m;
}

static void
jansson_reads(const input *in, const char *text, size_t n)
{
    char *plain = malloc(n + 1);
    json_error_t error;
    json_t *json;
    if (!plain)
        return;
    json = json_loadb(plain, without_numbers(plain, text, n),
                      JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    HOLDS(json, "the projection is JSON", error.text);
    json_decref(json);
    free(plain);
}

/* ---- the projection ----------------------------------------------------------------------------
 */

static bool
same(const newt__buffer *b, const void *p, size_t n)
{
    return b->n == n && (n == 0 || memcmp(b->data, p, n) == 0);
}

static void
limit_is_exact(const input *in, const newt__env *env, const newt__buffer *text)
{
    newt__env small = *env;
    newt__buffer out = {.env = &small};
    newt__fault fault = {0};
    bool hidden = true;
    char error[80];
    size_t n = (size_t)sprintf(error, "{\"::err\":\"too-large\",\"::bin\":%zu}", in->n);
    small.max_json = text->n;
    HOLDS(newt__project_text(&small, in->data, in->n, &out, &hidden, &fault) == NEWT__OK &&
              same(&out, text->data, text->n),
          "with a limit of its size the document is given", fault.reason);
    out.n = 0;
    small.max_json = text->n - 1;
    if (small.max_json > 0) /* 0 is the default */
        HOLDS(newt__project_text(&small, in->data, in->n, &out, &hidden, &fault) == NEWT__OK &&
                  same(&out, error, n),
              "with a limit of one byte less it is not", fault.reason);
    newt__buffer_free(&out);
}

/* A plain map is what its items are, one by one. */
static void
items_are_the_whole(const input *in, const newt__env *env, const newt__buffer *text,
                    newt__buffer *out)
{
    newt__reader r;
    newt__token t, key;
    newt__sink sink;
    newt__json_text state;
    newt__fault fault = {0};
    out->n = 0;
    if (newt__read_begin(&r, env, in->data, in->n) || newt__read(&r, &t) || t.kind != NEWT__MAP ||
        t.shared)
        return;
    newt__buffer_append(out, "{", 1);
    while (newt__read(&r, &key) == NEWT__OK && key.kind != NEWT__END) {
        if (!key.plain || (key.n >= 2 && memcmp(key.s, "::", 2) == 0) || newt__read(&r, &t) ||
            t.hidden)
            return; /* a key that JSON has in another form, or a value that is left out */
        if (out->n > 1)
            newt__buffer_append(out, ",", 1);
        newt__buffer_append(out, "\"", 1);
        newt__buffer_append(out, key.s, key.n);
        newt__buffer_append(out, "\":", 2);
        newt__json_text_sink(&sink, &state, out);
        HOLDS(newt__project_item(&r, &t, &sink, &fault) == NEWT__OK, "an item is projected",
              fault.reason);
    }
    newt__buffer_append(out, "}", 1);
    HOLDS(same(out, text->data, text->n), "item by item the projection is the same", NULL);
}

static void
projection_holds(const input *in, const newt__env *env, bool lossy)
{
    static recorder rec; /* large, and every call begins it anew */
    newt__buffer text = {.env = env}, items = {.env = env};
    newt__fault fault = {0};
    newt__sink sink;
    bool hidden = false, hidden_too = false;
    HOLDS(newt__project_text(env, in->data, in->n, &text, &hidden, &fault) == NEWT__OK,
          "a valid record is projected", fault.reason);
    HOLDS(text.n <= (size_t)72 * in->n, "no byte becomes more than 72 bytes of JSON", NULL);
    recorder_begin(&rec, &sink, in->data, in->n);
    HOLDS(newt__project(env, in->data, in->n, &sink, &hidden_too, &fault) == NEWT__OK,
          "a valid record is projected", rec.broken ? rec.broken : fault.reason);
    HOLDS(hidden == hidden_too, "both sinks hear of a hidden class", NULL);
    if (hidden) {
        HOLDS(text.n == 0 && rec.events == 0, "a hidden class gives nothing", NULL);
    } else {
        recorder_end(&rec);
        HOLDS(!rec.broken, "the events are a document", rec.broken);
        HOLDS(same(&text, rec.json, rec.n), "both sinks give the same", rec.json);
        HOLDS(lossy || rec.n_reject == 0, "what is not lossy has no rejects", rec.rejects);
        jansson_reads(in, rec.json, rec.n);
        if (rec.n_reject == 0 || !strstr(rec.rejects, "too-large")) {
            limit_is_exact(in, env, &text);
            items_are_the_whole(in, env, &text, &items);
        }
    }
    recorder_free(&rec);
    newt__buffer_free(&text);
    newt__buffer_free(&items);
}

/* ---- the record ---------------------------------------------------------------------------------
 */

static bool
lossless(const input *in, const newt__env *env)
{
    newt__writer w = {.buf.env = env};
    newt__fault fault = {0};
    newt__reader r;
    newt__token t;
    size_t from;
    bool lossy;
    HOLDS(reencode_record(env, in->data, in->n, &w, &fault) == NEWT__OK,
          "a valid record can be written", w.fault.code ? w.fault.reason : fault.reason);
    HOLDS(same(&w.buf, in->data, in->n), "the tokens give the record again", NULL);
    lossy = w.lossy;

    /* and so does its state as one item */
    newt__read_begin(&r, env, in->data, in->n);
    from = r.at;
    HOLDS(newt__read(&r, &t) == NEWT__OK && t.offset == from, "the state begins after the head",
          NULL);
    HOLDS(newt__read_skip(&r, &t) == NEWT__OK && r.at == in->n, "skipping the state is the end",
          NULL);
    HOLDS(newt__read_rest(&r) == NEWT__OK, "nothing comes after the state", NULL);
    newt__write_begin(&w, r.class_name, r.class_n, (int32_t)r.version);
    newt__write_encoded(&w, in->data + from, in->n - from);
    HOLDS(newt__write_end(&w) == NEWT__OK && same(&w.buf, in->data, in->n),
          "the state can be written as one item", w.fault.reason);
    HOLDS(w.lossy == lossy, "an item is as lossy as its tokens", NULL);
    newt__writer_free(&w);
    return lossy;
}

/* ---- references ---------------------------------------------------------------------------- */

typedef struct found {
    const input *in;
    newt__walk *walk;
    size_t n;
} found;

static int
find_again(void *arg, int64_t oid)
{
    found *f = arg;
    const input *in = f->in;
    size_t known = f->walk->n;
    f->n++;
    HOLDS(oid > 0, "a reference is to an object", NULL);
    return newt__walk_add(f->walk, oid) != NEWT__OK || f->walk->n != known;
}

/* A walk has just those objects that the record refers to, and of a damaged one none. */
static void
walk_holds(const input *in, const newt__env *env, newt__code code)
{
    newt__walk w = {.env = env, .max_depth = 1, .max_objects = 1000};
    found f = {in, &w, 0};
    HOLDS(newt__walk_add(&w, INT64_MAX) == NEWT__OK && newt__walk_level(&w), "a walk begins", NULL);
    HOLDS(newt__walk_record(&w, in->data, in->n) == NEWT__OK, "any record can be come to", NULL);
    if (code == NEWT__OK)
        HOLDS(newt__refs(env, in->data, in->n, NULL, 0, find_again, &f, NULL) == NEWT__OK &&
                  w.n <= f.n + 1,
              "a walk knows what the record refers to", NULL);
    else
        HOLDS(w.n == 1, "a damaged record leads nowhere", NULL);
    newt__walk_free(&w);
}

newt__code
properties_hold(const void *data, size_t n)
{
    input input_ = {NULL, n, 0}, *in = &input_;
    newt__env env = {.realloc = grow, .free = drop, .arg = in};
    newt__fault fault = {0}, again = {0};
    newt__buffer text = {.env = &env};
    uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond is seen */
    newt__code code;
    bool hidden = false;
    if (!exact)
        abort();
    if (n > 0)
        memcpy(exact, data, n);
    in->data = exact;

    code = newt__validate(&env, exact, n, &fault);
    HOLDS(code == fault.code, "the fault has the code", NULL);
    if (code == NEWT__OK) {
        projection_holds(in, &env, lossless(in, &env));
    } else {
        HOLDS(code >= NEWT__MALFORMED && code <= NEWT__LIMIT, "a fault is the record's", NULL);
        HOLDS(fault.offset <= n, "an offset lies in the record", fault.reason);
        HOLDS(fault.reason && *fault.reason, "a fault has a reason", NULL);
        HOLDS(newt__project_text(&env, exact, n, &text, &hidden, &again) == code &&
                  again.offset == fault.offset && strcmp(again.reason, fault.reason) == 0,
              "the projection gives the reader's fault", again.reason);
        HOLDS(text.n == 0, "a failure appends nothing", NULL);
    }
    walk_holds(in, &env, code);
    newt__buffer_free(&text);
    HOLDS(in->live == 0, "memory is given back", NULL);
    free(exact);
    return code;
}
