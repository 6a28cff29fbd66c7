/*
 * check.h - what the codec's test programs share: memory that counts and fails, hex, and records
 * made from one item
 */
#ifndef NEWT_TESTS_CODEC_CHECK_H
#define NEWT_TESTS_CODEC_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../codec/codec.h"
#include "../reencode.h"

#define UNUSED    __attribute__((unused))
#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- memory ------------------------------------------------------------------------------ */

typedef struct memory {
    long calls;     /* to realloc */
    long fail_at;   /* this call fails; 0: none does */
    bool fail_once; /* and none after it */
    long live;      /* blocks not freed */
    long ticks;     /* calls to interrupt */
    long stop_at;   /* this call of interrupt says stop; 0: none does */
} memory;

static void *
memory_realloc(void *arg, void *p, size_t n)
{
    memory *m = arg;
    void *q;
    m->calls++;
    if (m->fail_at && (m->fail_once ? m->calls == m->fail_at : m->calls >= m->fail_at))
        return NULL;
    q = realloc(p, n ? n : 1);
    if (q && !p)
        m->live++;
    return q;
}

static void
memory_free(void *arg, void *p)
{
    memory *m = arg;
    if (p)
        m->live--;
    free(p);
}

static int
memory_interrupt(void *arg)
{
    memory *m = arg;
    m->ticks++;
    return m->stop_at && m->ticks >= m->stop_at;
}

UNUSED static newt__env
memory_env(memory *m)
{
    newt__env env = {
        .realloc = memory_realloc, .free = memory_free, .interrupt = memory_interrupt, .arg = m};
    memset(m, 0, sizeof *m);
    return env;
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* A block of exactly n bytes, so that the sanitizers see a read beyond it. */
typedef struct bytes {
    uint8_t *p;
    size_t n;
} bytes;

static int
nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Appends the bytes of "83 61..." to b; "(20 61)" stands for 32 times 61, since limits are long.
 * Ends the test at anything that is not hex. */
UNUSED static void
bytes_hex(bytes *b, const char *hex)
{
    size_t cap = b->n + 64;
    b->p = realloc(b->p, cap);
    for (const char *c = hex; *c;) {
        size_t times = 1;
        if (*c == ' ') {
            c++;
            continue;
        }
        if (*c == '(') {
            times = strtoul(c + 1, (char **)&c, 16);
            while (*c == ' ')
                c++;
        }
        int hi = nibble(c[0]), lo = hi < 0 ? -1 : nibble(c[1]);
        if (lo < 0)
            fail_msg("not hex: \"%s\"", c);
        c += 2;
        if (times != 1 && *c++ != ')')
            fail_msg("not a repetition: \"%s\"", hex);
        if (b->n + times > cap)
            b->p = realloc(b->p, cap = 2 * (b->n + times));
        memset(b->p + b->n, hi << 4 | lo, times);
        b->n += times;
    }
    b->p = realloc(b->p, b->n ? b->n : 1);
}

UNUSED static bytes
bytes_of(const char *hex)
{
    bytes b = {NULL, 0};
    bytes_hex(&b, hex);
    return b;
}

/* The record of class "T", version 1, whose state is this item. */
#define HEAD_HEX "83 61 54 01"
enum {
    HEAD = 4
};

UNUSED static bytes
record_of(const char *item_hex)
{
    bytes b = bytes_of(HEAD_HEX);
    bytes_hex(&b, item_hex);
    return b;
}

UNUSED static void
assert_bytes(const void *got, size_t n_got, const void *want, size_t n_want, const char *what)
{
    if (n_got == n_want && (n_got == 0 || memcmp(got, want, n_got) == 0))
        return;
    char g[161] = "", w[161] = "";
    for (size_t i = 0; i < n_got && i < 80; i++)
        sprintf(g + 2 * i, "%02x", ((const uint8_t *)got)[i]);
    for (size_t i = 0; i < n_want && i < 80; i++)
        sprintf(w + 2 * i, "%02x", ((const uint8_t *)want)[i]);
    fail_msg("%s: got %zu bytes %s, want %zu bytes %s", what, n_got, g, n_want, w);
}

UNUSED static void
assert_fault(const newt__fault *fault, newt__code code, size_t offset, const char *reason,
             const char *what)
{
    if (fault->code != code || (offset != SIZE_MAX && fault->offset != offset) || !fault->reason ||
        !strstr(fault->reason, reason))
        fail_msg("%s: got code %d at %zu \"%s\", want code %d at %zu \"%s\"", what,
                 (int)fault->code, fault->offset, fault->reason ? fault->reason : "(null)",
                 (int)code, offset, reason);
}

/* ---- records ------------------------------------------------------------------------------- */

/* The record is valid, and its tokens give its bytes again. */
UNUSED static void
assert_lossless(const newt__env *env, const void *record, size_t n, const char *what)
{
    newt__fault fault = {0};
    newt__writer w = {.buf.env = env};
    if (newt__validate(env, record, n, &fault) != NEWT__OK)
        fail_msg("%s: refused at %zu: %s", what, fault.offset, fault.reason);
    if (reencode_record(env, record, n, &w, &fault) != NEWT__OK)
        fail_msg("%s: not written again: code %d at %zu: %s", what, (int)fault.code, fault.offset,
                 fault.reason ? fault.reason : "");
    assert_bytes(w.buf.data, w.buf.n, record, n, what);
    newt__writer_free(&w);
}

/* The record's JSON text, NUL-terminated, for free(); NULL if its class is hidden. */
UNUSED static char *
json_of(const newt__env *env, const void *record, size_t n, const char *what)
{
    newt__buffer out = {.env = env};
    newt__fault fault = {0};
    bool hidden = false;
    char *text = NULL;
    if (newt__project_text(env, record, n, &out, &hidden, &fault) != NEWT__OK)
        fail_msg("%s: not projected: code %d at %zu: %s", what, (int)fault.code, fault.offset,
                 fault.reason ? fault.reason : "");
    if (!hidden) {
        text = malloc(out.n + 1);
        memcpy(text, out.data, out.n);
        text[out.n] = 0;
    }
    newt__buffer_free(&out);
    return text;
}

UNUSED static void
assert_json(const newt__env *env, const void *record, size_t n, const char *want, const char *what)
{
    char *got = json_of(env, record, n, what);
    if (want ? !got || strcmp(got, want) != 0 : got != NULL)
        fail_msg("%s: got %s, want %s", what, got ? got : "(hidden)", want ? want : "(hidden)");
    free(got);
}

#endif
