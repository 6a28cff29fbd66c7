/*
 * utf8.c - validity of UTF-8, and its lossy form
 *
 * The reference knows no ranges: it encodes every code point that exists and remembers every
 * prefix of what came out. A maximal invalid part is then what Unicode (3.9, "U+FFFD substitution
 * of maximal subparts") says: the longest prefix of a well-formed sequence, or one byte.
 */
#include "check.h"
#include "../generate.h"

static uint8_t whole1[256 / 8], whole2[65536 / 8], whole3[(1 << 24) / 8];
static uint8_t part1[256 / 8], part2[65536 / 8], part3[(1 << 24) / 8];

static void
mark(uint8_t *bits, size_t i)
{
    bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static bool
marked(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static int
learn(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        uint32_t b0, b1, b2;
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        if (c < 0x80) {
            mark(whole1, c);
        } else if (c < 0x800) {
            b0 = 0xC0 + c / 64;
            mark(part1, b0);
            mark(whole2, b0 * 256 + 0x80 + c % 64);
        } else if (c < 0x10000) {
            b0 = 0xE0 + c / 4096;
            b1 = 0x80 + c / 64 % 64;
            mark(part1, b0);
            mark(part2, b0 * 256 + b1);
            mark(whole3, b0 * 65536 + b1 * 256 + 0x80 + c % 64);
        } else {
            b0 = 0xF0 + c / 262144;
            b1 = 0x80 + c / 4096 % 64;
            b2 = 0x80 + c / 64 % 64;
            mark(part1, b0);
            mark(part2, b0 * 256 + b1);
            mark(part3, b0 * 65536 + b1 * 256 + b2);
        }
    }
    return 0;
}

/* Length of the well-formed sequence at s, or 0 and in *part the length of the invalid part. */
static size_t
sequence(const uint8_t *s, size_t n, size_t *part)
{
    size_t two = n > 1 ? s[0] * 256u + s[1] : 0, three = n > 2 ? two * 256 + s[2] : 0;
    if (marked(whole1, s[0]))
        return 1;
    if (n > 1 && marked(whole2, two))
        return 2;
    if (n > 2 && marked(whole3, three))
        return 3;
    if (n > 3 && marked(part3, three) && s[3] >= 0x80 && s[3] < 0xC0)
        return 4;
    *part = n > 2 && marked(part3, three) ? 3 : n > 1 && marked(part2, two) ? 2 : 1;
    return 0;
}

static size_t
valid(const uint8_t *s, size_t n)
{
    size_t i = 0, part;
    while (i < n) {
        size_t k = sequence(s + i, n - i, &part);
        if (k == 0)
            break;
        i += k;
    }
    return i;
}

static size_t
lossy(const uint8_t *s, size_t n, uint8_t *out)
{
    size_t m = 0, part;
    for (size_t i = 0; i < n;) {
        size_t k = sequence(s + i, n - i, &part);
        if (k == 0 || s[i] == 0) {
            memcpy(out + m, "\xef\xbf\xbd", 3);
            m += 3;
            i += k ? k : part;
        } else {
            memcpy(out + m, s + i, k);
            m += k;
            i += k;
        }
    }
    return m;
}

static void
same_valid(const uint8_t *s, size_t n)
{
    size_t got = newt__utf8_valid(s, n), want = valid(s, n);
    if (got != want)
        fail_msg("%zu bytes %02x %02x %02x %02x ...: %zu valid, want %zu", n, s[0], s[1], s[2],
                 s[3], got, want);
}

static void
same_lossy(newt__buffer *out, const uint8_t *s, size_t n)
{
    uint8_t want[3 * 64];
    size_t m = lossy(s, n, want);
    out->n = 0;
    assert_true(newt__utf8_lossy(out, s, n));
    if (out->n != m || (m > 0 && memcmp(out->data, want, m) != 0)) { /* no data at first */
        char what[64];
        sprintf(what, "%zu bytes %02x %02x %02x %02x", n, s[0], s[1], s[2], s[3]);
        assert_bytes(out->data, out->n, want, m, what);
    }
}

static const uint8_t edge[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                               0xC0, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF};

static void
exhaustive(void **state)
{
    (void)state;
    uint8_t s[4] = {0};
    assert_int_equal(newt__utf8_valid(s, 0), 0);
    for (unsigned a = 0; a < 256; a++) {
        s[0] = (uint8_t)a;
        same_valid(s, 1);
        for (unsigned b = 0; b < 256; b++) {
            s[1] = (uint8_t)b;
            s[2] = 0;
            same_valid(s, 2);
            for (unsigned c = 0; c < 256; c++) {
                s[2] = (uint8_t)c;
                same_valid(s, 3);
            }
        }
    }
}

static void
four_bytes(void **state)
{
    (void)state;
    uint8_t s[4];
    for (unsigned a = 0xE0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            for (size_t c = 0; c < LENGTH(edge); c++)
                for (size_t d = 0; d < LENGTH(edge); d++) {
                    s[0] = (uint8_t)a;
                    s[1] = (uint8_t)b;
                    s[2] = edge[c];
                    s[3] = edge[d];
                    same_valid(s, 4);
                }
}

static void
lossy_parts(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer out = {.env = &env};
    uint8_t s[4] = {0};
    for (unsigned a = 0; a < 256; a++) {
        s[0] = (uint8_t)a;
        same_lossy(&out, s, 1);
        for (unsigned b = 0; b < 256; b++) {
            s[1] = (uint8_t)b;
            same_lossy(&out, s, 2);
            for (size_t c = 0; c < LENGTH(edge); c++) {
                s[2] = edge[c];
                same_lossy(&out, s, 3);
            }
            if (a < 0xE0)
                continue;
            for (size_t c = 0; c < LENGTH(edge); c++) {
                s[2] = edge[c];
                s[3] = edge[(a + b + c) % LENGTH(edge)];
                same_lossy(&out, s, 4);
            }
        }
    }
    newt__buffer_free(&out);
    assert_int_equal(m.live, 0);
}

/* The example of the Unicode standard, table 3-8, and NUL, which is replaced though it is valid. */
static void
lossy_known(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer out = {.env = &env};
    static const struct {
        const char *s;
        size_t n;
        const char *want;
    } cases[] = {
        {"", 0, ""},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", 13,
         "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
         "b\xef\xbf\xbd"
         "c\xef\xbf\xbd\xef\xbf\xbd"
         "d"},
        {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98", 3, "\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xef\xbf\xbd", 3, "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        out.n = 0;
        assert_true(newt__utf8_lossy(&out, cases[i].s, cases[i].n));
        assert_bytes(out.data, out.n, cases[i].want, strlen(cases[i].want), cases[i].s);
    }
    newt__buffer_free(&out);
}

/* Longer texts at every alignment, since a fast path may look at eight bytes at once. */
static void
random_texts(void **state)
{
    (void)state;
    static const char *const good[] = {"a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer out = {.env = &env};
    generate g;
    generate_init(&g, generate_seed());
    for (int round = 0; round < 200000; round++) {
        uint8_t s[64 + 8] = {0};
        size_t at = (size_t)generate_below(&g, 8), n = 0, want = (size_t)generate_below(&g, 50);
        while (n < want) {
            const char *piece = good[generate_below(&g, generate_below(&g, 2) ? 1 : LENGTH(good))];
            memcpy(s + at + n, piece, strlen(piece));
            n += strlen(piece);
        }
        if (n > 0 && generate_below(&g, 2))
            s[at + generate_below(&g, n)] = (uint8_t)generate_u64(&g);
        uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond is seen */
        memcpy(exact, s + at, n);
        assert_int_equal(newt__utf8_valid(exact, n), valid(s + at, n));
        assert_int_equal(newt__utf8_valid(s + at, n), valid(s + at, n));
        free(exact);
        same_lossy(&out, s + at, n);
    }
    newt__buffer_free(&out);
}

static void
order_of_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"",   "\x01", "Z",  "a",        "b",  "\xc3",
                                       "aa", "ab",   "b ", "\xc3\xa9", "aaa"};
    for (size_t i = 0; i < LENGTH(keys); i++)
        for (size_t k = 0; k < LENGTH(keys); k++) {
            int c = newt__key_order(keys[i], strlen(keys[i]), keys[k], strlen(keys[k]));
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustive),   cmocka_unit_test(four_bytes),
        cmocka_unit_test(lossy_parts),  cmocka_unit_test(lossy_known),
        cmocka_unit_test(random_texts), cmocka_unit_test(order_of_keys),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("utf8", tests, learn, NULL);
}
