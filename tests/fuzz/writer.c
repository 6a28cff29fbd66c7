/*
 * writer.c - libFuzzer: any sequence of calls to the writer
 *
 * The writer trusts its caller with the order of counted maps alone. Whatever else is asked of it,
 * it refuses or writes a record that the reader accepts.
 */
#include "tests/fuzz/memory.h"
#include "tests/properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct script {
    const uint8_t *at;
    size_t left;
} script;

static uint64_t
take(script *s, size_t n)
{
    uint64_t u = 0;
    for (; n > 0 && s->left > 0; n--, s->at++, s->left--)
        u = u << 8 | *s->at;
    return u;
}

/* A run of the script's own bytes. */
static const uint8_t *
run(script *s, size_t *n)
{
    const uint8_t *p = s->at;
    *n = (size_t)take(s, 1);
    if (*n > s->left)
        *n = s->left;
    p = s->at;
    s->at += *n;
    s->left -= *n;
    return p;
}

static uint64_t
number(script *s)
{
    return take(s, (size_t)1 << take(s, 1) % 4);
}

static void
call(newt__writer *w, script *s)
{
    static const uint64_t tags[] = {0, 2, 6, 27, 29, 38401, 38404, 60000};
    newt__buffer magnitude = {.env = w->buf.env};
    newt__number x = {0};
    const uint8_t *p;
    size_t n;
    unsigned op = (unsigned)take(s, 1);
    switch (op % 32) {
    case 0: newt__write_null(w); break;
    case 1: newt__write_bool(w, op & 32); break;
    case 2: newt__write_int(w, (int64_t)number(s)); break;
    case 3: newt__write_int(w, -1 - (int64_t)(number(s) & INT64_MAX)); break;
    case 4: newt__write_uint(w, number(s)); break;
    case 5: newt__write_float_bits(w, (uint32_t)number(s)); break;
    case 6: newt__write_double_bits(w, number(s)); break;
    case 7:
    case 8:
        p = run(s, &n);
        newt__write_text(w, p, n);
        break;
    case 9:
        p = run(s, &n);
        newt__write_bytes(w, p, n);
        break;
    case 10:
        x.negative = op & 32;
        x.exponent = op & 64 ? (int32_t)number(s) : 0;
        x.magnitude = run(s, &x.n);
        newt__write_number(w, &x, op & 128);
        break;
    case 11:
        p = run(s, &n);
        if (newt__number_parse((const char *)p, n, &magnitude, &x) == NEWT__OK)
            newt__write_number(w, &x, true);
        newt__buffer_free(&magnitude);
        break;
    case 12: newt__write_time(w, (int64_t)number(s)); break;
    case 13: newt__write_duration(w, (int64_t)number(s)); break;
    case 14: newt__write_date(w, (int64_t)number(s)); break;
    case 15:
        p = run(s, &n);
        if (n >= 16)
            newt__write_uuid(w, p);
        break;
    case 16: (op & 32 ? newt__write_weak : newt__write_ref)(w, (int64_t)number(s)); break;
    case 17: newt__write_array(w, (size_t)take(s, 1) % 8); break;
    case 18: newt__write_map(w, (size_t)take(s, 1) % 4); break;
    case 19:
        p = run(s, &n);
        newt__write_object(w, (const char *)p, n, (int32_t)take(s, 1));
        break;
    case 20: newt__write_hidden(w); break;
    case 21: newt__write_shared(w); break;
    case 22: newt__write_sharedref(w, take(s, 1)); break;
    case 23: newt__write_tag(w, op & 32 ? number(s) : tags[take(s, 1) % 8]); break;
    case 24:
        p = run(s, &n);
        newt__write_encoded(w, p, n);
        break;
    case 25: newt__collect_map(w); break;
    case 26: newt__collect_pairs(w); break;
    case 27: newt__collect_set(w); break;
    case 28: newt__collect_array(w); break;
    case 29: newt__write_array(w, (size_t)number(s)); break;
    default: newt__collected(w); break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    newt__env env = {.realloc = grow, .free = drop, .max_depth = 20};
    newt__writer w = {.buf.env = &env};
    script s = {data, n};
    newt__fault fault = {0};
    unsigned ends = (unsigned)take(&s, 1) % 8;
    newt__write_begin(&w, "T", 1, 1);
    while (s.left > 0)
        call(&w, &s);
    while (ends-- > 0 && w.kind != 0)
        newt__collected(&w);
    if (newt__write_end(&w) == NEWT__OK) {
        newt__code code = newt__validate(&env, w.buf.data, w.buf.n, &fault);
        if (code == NEWT__OK) {
            properties_hold(w.buf.data, w.buf.n);
        } else if (code != NEWT__PROFILE ||
                   (strcmp(fault.reason, "map keys are not in order") != 0 &&
                    strcmp(fault.reason, "map key stands twice") != 0)) {
            fprintf(stderr, "written, but refused at %zu: %s\n", fault.offset, fault.reason);
            abort();
        }
    } else if (w.fault.code == NEWT__OK || !w.fault.reason) {
        abort();
    }
    newt__writer_free(&w);
    return 0;
}
