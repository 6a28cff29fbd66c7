/*
 * item.h - what the codec's files share among themselves: limits, memory words, text scans
 */
#ifndef NEWT_ITEM_H
#define NEWT_ITEM_H

#include <string.h>

#include "codec.h"

#define NEWT__LIKELY(x)   __builtin_expect(!!(x), 1)
#define NEWT__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NEWT__COLD        __attribute__((noinline, cold))
#define NEWT__INLINE      static inline __attribute__((always_inline))

/* CBOR's major types */
enum {
    NEWT__UINT_TYPE,
    NEWT__NINT_TYPE,
    NEWT__BYTES_TYPE,
    NEWT__TEXT_TYPE,
    NEWT__ARRAY_TYPE,
    NEWT__MAP_TYPE,
    NEWT__TAG_TYPE,
    NEWT__SIMPLE_TYPE
};

/* No byte of a record becomes more than this many bytes of JSON text, commas included. What a
 * container adds for its items is charged to these, each at least a byte: an entry of pairs,
 * {"k":,"v":}, 13 for two items and the comma, a key 3 for itself and one more for its "::". The
 * worst item is a decimal of 6 bytes (c4 82 19 018f 01: 10^399) with 400 digits, 67 a byte; in 5
 * bytes the exponent ends at -256, 53 a byte; a byte of a longer mantissa adds less than 3. Then
 * come an unknown tag of one byte, {"::tag":6,"::v":}, 17; text of one NUL, 31 in two bytes; empty
 * bytes, {"::b64":""}, 12; control characters, 6. */
enum {
    NEWT__EXPANSION = 72
};

static inline size_t
newt__max_json(const newt__env *env)
{
    return env->max_json ? env->max_json : NEWT__MAX_JSON;
}

/* Whether n bytes of a record could become a document that is too large. */
static inline bool
newt__may_be_too_large(const newt__env *env, size_t n)
{
    return n > newt__max_json(env) / NEWT__EXPANSION;
}

static inline size_t
newt__max_record(const newt__env *env)
{
    return env->max_record ? env->max_record : NEWT__MAX_RECORD;
}

static inline uint32_t
newt__max_depth(const newt__env *env)
{
    return env->max_depth && env->max_depth < NEWT__MAX_DEPTH ? env->max_depth : NEWT__MAX_DEPTH;
}

/* ---- big-endian words ------------------------------------------------------------------- */

static inline uint16_t
newt__get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
newt__get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t
newt__get64(const uint8_t *p)
{
    return (uint64_t)newt__get32(p) << 32 | newt__get32(p + 4);
}

static inline void
newt__put16(uint8_t *p, uint16_t x)
{
    p[0] = (uint8_t)(x >> 8);
    p[1] = (uint8_t)x;
}

static inline void
newt__put32(uint8_t *p, uint32_t x)
{
    newt__put16(p, (uint16_t)(x >> 16));
    newt__put16(p + 2, (uint16_t)x);
}

static inline void
newt__put64(uint8_t *p, uint64_t x)
{
    newt__put32(p, (uint32_t)(x >> 32));
    newt__put32(p + 4, (uint32_t)x);
}

/* ---- text --------------------------------------------------------------------------------- */

/* What a scan of text found. Plain text needs no escapes in JSON. */
enum {
    NEWT__SCAN_HIGH = 1,   /* a byte from 0x80 up: look at the UTF-8 */
    NEWT__SCAN_SPECIAL = 2 /* a byte below 0x20, a quote or a backslash */
};

#define NEWT__EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Of eight bytes at once. The borrows of "- 0x20" and "- 1" can only spoil bytes above a hit, so
 * that whether there is one is exact. */
static inline unsigned
newt__scan_word(uint64_t w)
{
    uint64_t high = w & NEWT__EACH(0x80);
    uint64_t quote = w ^ NEWT__EACH('"');
    uint64_t slash = w ^ NEWT__EACH('\\');
    uint64_t low = (w - NEWT__EACH(0x20)) & ~w;
    uint64_t hit = low | ((quote - NEWT__EACH(1)) & ~quote) | ((slash - NEWT__EACH(1)) & ~slash);

    return (high ? NEWT__SCAN_HIGH : 0) | (hit & NEWT__EACH(0x80) ? NEWT__SCAN_SPECIAL : 0);
}

/* How many bytes at s need no escapes in JSON. */
static inline size_t
newt__plain_run(const char *s, size_t n)
{
    size_t at = 0;
    uint64_t w;

    for (; n - at >= 8; at += 8) {
        memcpy(&w, s + at, 8);
        if (newt__scan_word(w) & NEWT__SCAN_SPECIAL)
            break;
    }
    while (at < n && (uint8_t)s[at] >= 0x20 && s[at] != '"' && s[at] != '\\')
        at++;
    return at;
}

/* Text below 8 bytes in a word, its ends overlapping; spaces fill it up. */
static inline uint64_t
newt__short_word(const uint8_t *s, size_t n)
{
    uint32_t a, b;
    uint16_t c, d;

    if (n >= 4) {
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        return (uint64_t)a << 32 | b;
    }
    if (n >= 2) {
        memcpy(&c, s, 2);
        memcpy(&d, s + n - 2, 2);
        return NEWT__EACH(0x20) << 32 | (uint32_t)c << 16 | d;
    }
    return (NEWT__EACH(0x20) << 8) | (n ? s[0] : 0x20);
}

/* Sixteen bytes at once, in the compiler's own vectors: every processor that has any gets them. */
typedef uint8_t newt__vector __attribute__((vector_size(16)));

static inline newt__vector
newt__load_vector(const uint8_t *s)
{
    newt__vector x;

    memcpy(&x, s, sizeof x);
    return x;
}

static inline newt__vector
newt__special(newt__vector x)
{
    return (newt__vector)(x < 0x20) | (newt__vector)(x == '"') | (newt__vector)(x == '\\');
}

/* All of a vector's bits, as one word that is 0 only if they are. */
static inline uint64_t
newt__any(newt__vector x)
{
    uint64_t half[2];

    memcpy(half, &x, sizeof half);
    return half[0] | half[1];
}

static inline unsigned
newt__scan(const uint8_t *s, size_t n)
{
    newt__vector x, high = {0}, special = {0};
    uint64_t first, last;
    size_t i;

    if (n < 8)
        return newt__scan_word(newt__short_word(s, n));
    if (n < 16) {
        memcpy(&first, s, 8);
        memcpy(&last, s + n - 8, 8);
        return newt__scan_word(first) | newt__scan_word(last);
    }
    for (i = 0; i + 16 <= n; i += 16) {
        x = newt__load_vector(s + i);
        high |= x;
        special |= newt__special(x);
    }
    x = newt__load_vector(s + n - 16);
    high |= x;
    special |= newt__special(x);
    return (newt__any(high & 0x80) ? NEWT__SCAN_HIGH : 0) |
           (newt__any(special) ? NEWT__SCAN_SPECIAL : 0);
}

/* Whether n bytes are all ASCII that needs no escapes, where `left` may be read. */
static inline bool
newt__is_simple(const uint8_t *s, size_t n, size_t left)
{
    static const uint8_t mask[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    newt__vector x;

    if (NEWT__UNLIKELY(n > 16 || left < 16))
        return newt__scan(s, n) == 0;
    x = newt__load_vector(s);
    x = (newt__special(x) | (x & 0x80)) & newt__load_vector(mask + 16 - n);
    return newt__any(x) == 0;
}

/* memcpy for what is mostly short; no call below 32 bytes. */
static inline void
newt__copy(uint8_t *to, const void *from, size_t n)
{
    const uint8_t *s = from;

    if (n >= 16) {
        if (n > 64) {
            memcpy(to, s, n);
            return;
        }
        memcpy(to, s, 16);
        if (n > 32) {
            memcpy(to + 16, s + 16, 16);
            if (n > 48)
                memcpy(to + 32, s + 32, 16);
        }
        memcpy(to + n - 16, s + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, s, 8);
        memcpy(to + n - 8, s + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, s, 4);
        memcpy(to + n - 4, s + n - 4, 4);
    } else if (n > 0) {
        to[0] = s[0];
        to[n >> 1] = s[n >> 1];
        to[n - 1] = s[n - 1];
    }
}

/* memcmp for what is mostly short. */
static inline int
newt__compare(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t x = 0, y = 0;

    if (n > 16)
        return memcmp(a, b, n);
    if (n >= 8) {
        x = newt__get64(a);
        y = newt__get64(b);
        if (x == y) {
            x = newt__get64(a + n - 8);
            y = newt__get64(b + n - 8);
        }
    } else if (n >= 4) {
        x = (uint64_t)newt__get32(a) << 32 | newt__get32(a + n - 4);
        y = (uint64_t)newt__get32(b) << 32 | newt__get32(b + n - 4);
    } else if (n > 0) {
        x = (uint64_t)a[0] << 16 | (uint64_t)a[n >> 1] << 8 | a[n - 1];
        y = (uint64_t)b[0] << 16 | (uint64_t)b[n >> 1] << 8 | b[n - 1];
    }
    return (x > y) - (x < y);
}

static inline bool
newt__holds_nul(const void *s, size_t n)
{
    return n > 0 && memchr(s, 0, n) != NULL;
}

/* ---- buffers ------------------------------------------------------------------------------ */

static inline bool
newt__room(newt__buffer *b, size_t extra)
{
    return NEWT__LIKELY(b->cap - b->n >= extra) || newt__buffer_reserve(b, extra);
}

/* ---- numbers ------------------------------------------------------------------------------ */

enum {
    NEWT__UINT_TEXT = 20 /* digits of the largest uint64_t */
};

/* Writes x's digits (at most NEWT__UINT_TEXT, no NUL); returns how many. */
size_t newt__uint_text(uint64_t x, char *out);

/* Whether the number's text could be longer than NEWT__MAX_DIGITS. */
bool newt__number_may_be_long(const newt__number *x);

/* ---- tokens ------------------------------------------------------------------------------- */

static inline bool
newt__is_container(newt__kind kind)
{
    return kind == NEWT__STORE_REF || kind >= NEWT__ARRAY;
}

#endif
