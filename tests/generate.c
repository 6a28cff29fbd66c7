/* generate.c - random state records over every kind, from a seed */
#include "generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_BYTES = 4096, /* a bound on max_bytes, so that scratch space is an array */
    MAX_ENTRIES = 40
};

static void item(generate *g, newt__writer *w);
static void visible(generate *g, newt__writer *w);

/* ---- random numbers ---------------------------------------------------------------------- */

uint64_t
generate_u64(generate *g)
{
    /* splitmix64 (public domain, Vigna): any seed will do, and it is the same everywhere */
    uint64_t z = g->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t
generate_below(generate *g, uint64_t n)
{
    return generate_u64(g) % n;
}

uint64_t
generate_spread(generate *g)
{
    uint64_t bits = generate_below(g, 65);
    return bits == 0 ? 0 : generate_u64(g) >> (64 - bits);
}

static bool
rare(generate *g)
{
    return generate_below(g, g->rarity ? g->rarity : 1) == 0;
}

uint64_t
generate_seed(void)
{
    const char *given = getenv("NEWT_SEED");
    uint64_t seed;
    if (given && *given) {
        seed = strtoull(given, NULL, 0);
    } else {
        struct timespec now;
        timespec_get(&now, TIME_UTC);
        seed = (uint64_t)now.tv_sec * 1000003u ^ (uint64_t)now.tv_nsec;
        seed &= UINT64_C(0xFFFFFFFFFFFF); /* short enough to copy by hand */
    }
    printf("# NEWT_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

void
generate_init(generate *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    g->state = seed;
    g->max_depth = 6;
    g->max_items = 60;
    g->max_bytes = 64;
    g->rarity = 12;
}

/* ---- text and bytes ------------------------------------------------------------------------ */

static const char *const words[] = {"a",
                                    "id",
                                    "name",
                                    "title",
                                    "state",
                                    "owner",
                                    "k",
                                    "v",
                                    "in progress",
                                    "tags",
                                    "::",
                                    "::=>",
                                    "::id",
                                    "::->",
                                    "::text",
                                    "::b64",
                                    "::bin",
                                    "::tag",
                                    "::v",
                                    "::err",
                                    "::x",
                                    ":::",
                                    ":",
                                    "",
                                    "naïve",
                                    "Ελληνικά",
                                    "日本語",
                                    "𝄞",
                                    "\"",
                                    "\\",
                                    "a\tb",
                                    "\n\r",
                                    "\x01",
                                    "\x7f",
                                    "\xc2\x80",
                                    "\xed\x9f\xbf",
                                    "\xef\xbf\xbf",
                                    "\xf4\x8f\xbf\xbf",
                                    "a\"b\\c/d",
                                    "long enough to need a length byte"};

/* Code points at the edges of UTF-8's lengths, and of the surrogates. */
static const uint32_t edges[] = {0x1,     0x1F,   0x20,   0x22,   0x5C,    0x7F,   0x80,
                                 0x7FF,   0x800,  0xD7FF, 0xE000, 0xFFFD,  0xFFFF, 0x10000,
                                 0x1F600, 0x2028, 0x2029, 0xFEFF, 0x10FFFF};

/* Stretches of bytes that are not UTF-8, whole and cut. */
static const char *const bad[] = {"\x80",         "\xc0\x80", "\xc1\xbf",     "\xe0\x80\x80",
                                  "\xed\xa0\x80", "\xf0\x80", "\xf4\x90\x80", "\xf5",
                                  "\xff",         "\xe2\x82", "\xf0\x9f\x98", "\xc3"};

static size_t
put_code_point(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

static uint32_t
code_point(generate *g)
{
    switch (generate_below(g, 4)) {
    case 0: return edges[generate_below(g, sizeof edges / sizeof *edges)];
    case 1: {
        uint32_t c = (uint32_t)generate_below(g, 0x10FFFF) + 1;
        return c >= 0xD800 && c < 0xE000 ? 0xFFFD : c;
    }
    default: return 0x20 + (uint32_t)generate_below(g, 0x5F);
    }
}

static size_t
length(generate *g)
{
    size_t max = g->max_bytes < MAX_BYTES - 4 ? g->max_bytes : MAX_BYTES - 4;
    if (max > 257 && generate_below(g, 8) == 0)
        return 254 + (size_t)generate_below(g, 4); /* the edge of what is shown inline */
    if (max > 26 && generate_below(g, 8) == 0)
        return 22 + (size_t)generate_below(g, 4); /* the edge of a head of one byte */
    return (size_t)generate_below(g, (generate_below(g, 4) == 0 ? max : max / 4) + 1);
}

/* out holds MAX_BYTES. Valid UTF-8 unless `wild`, which adds NUL or what is not UTF-8. */
static size_t
text(generate *g, uint8_t *out, bool wild)
{
    size_t n = 0;
    if (generate_below(g, 2) == 0) {
        const char *word = words[generate_below(g, sizeof words / sizeof *words)];
        n = strlen(word);
        memcpy(out, word, n);
    } else {
        for (size_t want = length(g); n < want;)
            n += put_code_point(out + n, code_point(g));
    }
    if (wild && n + 8 < MAX_BYTES) {
        const char *spoil = bad[generate_below(g, sizeof bad / sizeof *bad)];
        size_t at = (size_t)generate_below(g, n + 1), m = strlen(spoil);
        if (generate_below(g, 3) == 0) {
            spoil = "";
            m = 1;
        }
        memmove(out + at + m, out + at, n - at);
        memcpy(out + at, spoil, m);
        n += m;
    }
    return n;
}

static void
write_random_text(generate *g, newt__writer *w)
{
    uint8_t s[MAX_BYTES];
    size_t n = text(g, s, rare(g));
    newt__write_text(w, s, n);
}

static void
write_random_bytes(generate *g, newt__writer *w)
{
    uint8_t s[MAX_BYTES];
    size_t n = length(g);
    for (size_t i = 0; i < n; i++)
        s[i] = (uint8_t)generate_u64(g);
    newt__write_bytes(w, s, n);
}

/* A class name: 1 .. 255 bytes, UTF-8, no NUL. */
static size_t
name(generate *g, uint8_t *out)
{
    size_t n;
    do
        n = text(g, out, false);
    while (n == 0 || n > NEWT__MAX_NAME);
    return n;
}

static int32_t
version(generate *g)
{
    return (int32_t)(generate_spread(g) & INT32_MAX);
}

/* ---- numbers and times ----------------------------------------------------------------------- */

static int64_t
signed_number(generate *g)
{
    /* of any size, and beside every power of two often enough */
    uint64_t u = generate_spread(g);
    if (generate_below(g, 4) == 0)
        u = (UINT64_C(1) << generate_below(g, 64)) + generate_below(g, 3) - 1;
    u &= INT64_MAX;
    return generate_below(g, 2) ? (int64_t)u : -1 - (int64_t)u;
}

static double
real_number(generate *g)
{
    static const double known[] = {
        0.0,    -0.0,   1.0,   -1.0,  0.1,    1.5,      1e15,
        1e16,   1e17,   1e21,  1e22,  1e23,   1e-4,     1e-5,
        1e-6,   1e-7,   1e100, 1e308, 5e-324, 2.5e-308, 1.7976931348623157e308,
        0x1p53, 0x1p63, 0x1p64};
    double x;
    uint64_t bits = generate_u64(g);
    switch (generate_below(g, 4)) {
    case 0: return known[generate_below(g, sizeof known / sizeof *known)];
    case 1: return (double)signed_number(g);
    case 2: return (double)signed_number(g) / 1000;
    default:
        memcpy(&x, &bits, sizeof x);
        if (x != x) /* a NaN's bits are tried by name, in the tests of kinds */
            return 1e-3;
        return x;
    }
}

static void
write_random_number(generate *g, newt__writer *w, bool decimal)
{
    uint8_t magnitude[200];
    newt__number x = {0};
    x.n = (size_t)generate_below(g, decimal ? 14 : 30);
    if (!decimal)
        x.n += 8;
    if (rare(g))
        x.n = 160 + (size_t)generate_below(g, 20); /* about 400 digits */
    for (size_t i = 0; i < x.n; i++)
        magnitude[i] = (uint8_t)generate_u64(g);
    if (x.n > 0 && magnitude[0] == 0)
        magnitude[0] = 1;
    x.magnitude = magnitude;
    x.negative = generate_below(g, 2);
    if (decimal) {
        x.exponent = (int32_t)generate_below(g, 24) - 16;
        if (rare(g))
            x.exponent = (int32_t)generate_below(g, 900) - 450;
        if (rare(g))
            x.exponent = generate_below(g, 2) ? INT32_MAX : INT32_MIN;
    }
    newt__write_number(w, &x, decimal);
}

static int64_t
microseconds(generate *g)
{
    static const int64_t known[] = {0,
                                    -1,
                                    1,
                                    999999,
                                    -999999,
                                    -1000000,
                                    INT64_C(-62135596800000000), /* 0001-01-01 */
                                    INT64_C(-62135596800000001), /* the moment before */
                                    INT64_C(253402300799999999), /* the end of 9999 */
                                    INT64_C(253402300800000000), /* the moment after */
                                    INT64_C(951782400000000),    /* 2000-02-29 */
                                    INT64_MAX,
                                    INT64_MIN};
    switch (generate_below(g, 4)) {
    case 0: return known[generate_below(g, sizeof known / sizeof *known)];
    case 1: return signed_number(g);
    default: return INT64_C(1700000000000000) + (int64_t)(generate_u64(g) >> 16);
    }
}

static int64_t
days(generate *g)
{
    static const int64_t known[] = {0,       -1,        11016,     -719162,   -719163,  2932896,
                                    2932897, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    switch (generate_below(g, 4)) {
    case 0: return known[generate_below(g, sizeof known / sizeof *known)];
    case 1: return signed_number(g);
    default: return (int64_t)generate_below(g, 40000) - 10000;
    }
}

/* ---- containers --------------------------------------------------------------------------------
 */

static bool
enter(generate *g)
{
    if (g->open >= g->max_depth)
        return false;
    g->open++;
    return true;
}

static size_t
entries(generate *g)
{
    size_t n = (size_t)generate_below(g, generate_below(g, 4) == 0 ? MAX_ENTRIES : 6);
    return n < g->left ? n : g->left;
}

/* n keys, distinct and in jsonb's order, and after each a value. */
static void
sorted_map(generate *g, newt__writer *w, const char *class_name, size_t n_class)
{
    struct {
        uint8_t s[MAX_BYTES];
        size_t n;
    } *key = NULL, last;
    size_t want = entries(g), n = 0;
    if (want > 0)
        key = malloc(want * sizeof *key);
    for (size_t k = 0; key && k < want; k++) {
        uint32_t max = g->max_bytes;
        if (max > 24)
            g->max_bytes = 24;
        last.n = text(g, last.s, false);
        g->max_bytes = max;
        if (generate_below(g, (uint64_t)g->rarity * 8 + 1) == 0)
            last.s[last.n++] = 0; /* a NUL turns the whole map into pairs in JSON */
        size_t i = n;
        while (i > 0 && newt__key_order(key[i - 1].s, key[i - 1].n, last.s, last.n) > 0)
            i--;
        if (i > 0 && newt__key_order(key[i - 1].s, key[i - 1].n, last.s, last.n) == 0)
            continue;
        memmove(key + i + 1, key + i, (n - i) * sizeof *key);
        memcpy(key[i].s, last.s, last.n);
        key[i].n = last.n;
        n++;
    }
    if (class_name)
        newt__write_object(w, class_name, n_class, version(g));
    newt__write_map(w, n);
    for (size_t i = 0; i < n; i++) {
        newt__write_text(w, key[i].s, key[i].n);
        item(g, w);
    }
    free(key);
}

static void
object(generate *g, newt__writer *w)
{
    uint8_t s[MAX_BYTES];
    size_t n = name(g, s);
    sorted_map(g, w, (const char *)s, n);
}

static void
array(generate *g, newt__writer *w)
{
    size_t n = entries(g);
    if (generate_below(g, 2)) {
        newt__write_array(w, n);
        while (n-- > 0)
            item(g, w);
    } else {
        newt__collect_array(w);
        while (n-- > 0)
            item(g, w);
        newt__collected(w);
    }
}

/* Entries in any order, for the writer to sort. Keys end in a number, so that none is twice. */
static void
collected_map(generate *g, newt__writer *w, bool pairs)
{
    size_t n = entries(g);
    uint32_t salt = (uint32_t)generate_u64(g) & 31;
    g->reordered++;
    if (pairs)
        newt__collect_pairs(w);
    else
        newt__collect_map(w);
    for (size_t i = 0; i < n; i++) {
        uint32_t unique = ((uint32_t)i ^ salt) * 7919;
        if (pairs && generate_below(g, 2)) {
            switch (generate_below(g, 5)) {
            case 0: newt__write_int(w, (int64_t)unique - 1000); break;
            case 1: newt__write_date(w, (int64_t)unique); break;
            case 2: newt__write_ref(w, (int64_t)unique + 1); break;
            case 3: newt__write_weak(w, (int64_t)unique + 1); break;
            default:
                newt__write_array(w, 2);
                newt__write_uint(w, unique);
                item(g, w);
            }
        } else {
            uint8_t s[MAX_BYTES + 16];
            size_t m = text(g, s, rare(g) && rare(g));
            m += (size_t)sprintf((char *)s + m, "#%u", unique);
            newt__write_text(w, s, m);
        }
        item(g, w);
    }
    newt__collected(w);
    g->reordered--;
}

static void
set(generate *g, newt__writer *w)
{
    g->reordered++;
    newt__collect_set(w);
    for (size_t n = entries(g); n > 0; n--)
        item(g, w);
    newt__collected(w);
    g->reordered--;
}

static uint64_t
unknown_tag(generate *g)
{
    static const uint64_t known[] = {
        6,     23,    24,    32,    63,    255,        256 + 1,           260,       260, 999, 1003,
        38399, 38400, 38405, 65535, 65536, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    return known[generate_below(g, sizeof known / sizeof *known)];
}

/* The reserved reference into another store. Its array is a level of its own. */
static void
store_ref(generate *g, newt__writer *w)
{
    if (!enter(g)) {
        newt__write_null(w);
        return;
    }
    newt__write_tag(w, NEWT__TAG_REF);
    newt__write_array(w, 2);
    item(g, w);
    item(g, w);
    g->open--;
}

/* ---- items
 * --------------------------------------------------------------------------------------- */

static void
scalar(generate *g, newt__writer *w)
{
    uint8_t uuid[16];
    switch (generate_below(g, 18)) {
    case 0: newt__write_null(w); break;
    case 1: newt__write_bool(w, generate_below(g, 2)); break;
    case 2:
    case 3: newt__write_int(w, signed_number(g)); break;
    case 4: newt__write_uint(w, generate_spread(g)); break;
    case 5: {
        double x = real_number(g);
        /* beyond a float's range the conversion is undefined in C */
        newt__write_float(w,
                          x > 3.4e38 || x < -3.4e38 ? (float)(x > 0 ? 3.4e38 : -3.4e38) : (float)x);
        break;
    }
    case 6: newt__write_double(w, real_number(g)); break;
    case 7: newt__write_double(w, rare(g) ? strtod("nan", NULL) : strtod("-inf", NULL)); break;
    case 8:
    case 9:
    case 10: write_random_text(g, w); break;
    case 11: write_random_bytes(g, w); break;
    case 12: write_random_number(g, w, false); break;
    case 13: write_random_number(g, w, true); break;
    case 14: newt__write_time(w, microseconds(g)); break;
    case 15: newt__write_duration(w, microseconds(g)); break;
    case 16: newt__write_date(w, days(g)); break;
    default:
        if (generate_below(g, 2)) {
            (generate_below(g, 4) ? newt__write_ref : newt__write_weak)(
                w, 1 + (int64_t)(generate_spread(g) & (INT64_MAX - 1)));
        } else {
            for (size_t i = 0; i < sizeof uuid; i++)
                uuid[i] = (uint8_t)generate_u64(g);
            newt__write_uuid(w, uuid);
        }
    }
}

static void
container(generate *g, newt__writer *w)
{
    switch (generate_below(g, 13)) {
    case 0:
    case 1:
    case 2: array(g, w); break;
    case 3:
    case 4: sorted_map(g, w, NULL, 0); break;
    case 5: object(g, w); break;
    case 6: collected_map(g, w, false); break;
    case 7: collected_map(g, w, true); break;
    case 8: set(g, w); break;
    case 9:
        if (g->reordered == 0) {
            g->shared++;
            newt__write_shared(w);
        }
        if (generate_below(g, 2))
            sorted_map(g, w, NULL, 0);
        else
            object(g, w);
        break;
    case 10: store_ref(g, w); break;
    default:
        newt__write_tag(w, unknown_tag(g));
        item(g, w);
        break;
    }
}

static void
item(generate *g, newt__writer *w)
{
    if (g->left > 0)
        g->left--;
    if (rare(g))
        newt__write_hidden(w);
    visible(g, w);
}

/* An item without tag 38403, which must not stand twice. */
static void
visible(generate *g, newt__writer *w)
{
    if (g->shared > 0 && g->reordered == 0 && rare(g)) {
        newt__write_sharedref(w, generate_below(g, g->shared));
        return;
    }
    if (g->left > 0 && generate_below(g, 3) == 0 && enter(g)) {
        container(g, w);
        g->open--;
        return;
    }
    scalar(g, w);
}

newt__code
generate_record(generate *g, newt__writer *w, const char *class_name)
{
    uint8_t s[MAX_BYTES];
    if (class_name)
        newt__write_begin(w, class_name, strlen(class_name), version(g));
    else
        newt__write_begin(w, (const char *)s, name(g, s), version(g));
    g->left = g->max_items;
    g->open = g->reordered = 0;
    g->shared = 0;
    if (generate_below(g, (uint64_t)g->rarity * 8 + 1) == 0)
        newt__write_hidden(w);
    switch (generate_below(g, 16)) {
    case 0: visible(g, w); break; /* a state may be any item */
    case 1:
        /* one chain as deep as is allowed, since depth is a limit of its own */
        for (g->open = 0; g->open + 1 < g->max_depth; g->open++)
            newt__write_array(w, 1);
        scalar(g, w);
        break;
    default:
        g->open = 1;
        if (generate_below(g, 4) == 0 && g->max_depth > 0) {
            newt__write_shared(w);
            g->shared++;
        }
        sorted_map(g, w, NULL, 0);
    }
    return newt__write_end(w);
}
