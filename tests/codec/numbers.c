/*
 * numbers.c - floats as their shortest decimal, and decimal text in both directions
 *
 * The C library is the independent judge: strtod says whether the text reads back as the same
 * bits, and the shortest "%.*e" that does so says how many digits are needed.
 */
#include "check.h"
#include "../generate.h"

#include <locale.h>
#include <math.h>
#include <time.h>

/* ---- floats -------------------------------------------------------------------------------- */

typedef struct decimal {
    char digits[40]; /* without leading and trailing zeros; "0" for zero */
    int n;
    int exponent; /* of the first digit: 1.5 has 0 */
    bool negative;
} decimal;

/* Reads JSON's grammar of a number, and nothing else. */
static bool
parse_json_number(const char *s, decimal *d)
{
    int point = 0, exponent = 0, n = 0;
    bool sign = false;
    d->negative = *s == '-';
    s += d->negative;
    if (*s == '0') {
        if (s[1] >= '0' && s[1] <= '9')
            return false;
        s++;
    } else {
        if (*s < '1' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++, point++)
            d->digits[n++] = *s;
    }
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++) {
            if (n == 0 && *s == '0')
                point--;
            else
                d->digits[n++] = *s;
        }
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        sign = *s == '-';
        if (*s == '-' || *s == '+')
            s++;
        if (*s < '0' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++)
            exponent = exponent * 10 + *s - '0';
    }
    while (n > 0 && d->digits[n - 1] == '0')
        n--;
    if (n == 0) {
        d->digits[n++] = '0';
        point = 1;
    }
    d->n = n;
    d->digits[n] = 0;
    d->exponent = point - 1 + (sign ? -exponent : exponent);
    return *s == 0;
}

/* The exact value has these p digits, and then a 5 and nothing more: either neighbour is nearest.
 */
static bool
tie(double x, int p)
{
    char exact[1200];
    snprintf(exact, sizeof exact, "%.1100e", fabs(x));
    /* d.ddd...: p digits are at 0 and 2 .. p */
    const char *rest = exact + (p == 1 ? 2 : p + 1);
    return *rest == '5' && strspn(rest + 1, "0") == strcspn(rest + 1, "e");
}

static bool
beside(const char *a, const char *b)
{
    return llabs(strtoll(a, NULL, 10) - strtoll(b, NULL, 10)) <= 1;
}

/* Below a power of two the neighbour is nearer than above it; a decimal that is not the nearest of
 * its length may then still read back. */
static bool
power_of_two(double x)
{
    int e;
    return fabs(frexp(x, &e)) == 0.5;
}

static double
read_back(const char *s, bool single)
{
    return single ? (double)strtof(s, NULL) : strtod(s, NULL);
}

static size_t
text_of(double x, bool single, char *out)
{
    return single ? newt__float_text((float)x, out) : newt__double_text(x, out);
}

static void
check_text(double x, bool single)
{
    char got[NEWT__FLOAT_TEXT];
    decimal d;
    memset(got, 'x', sizeof got);
    size_t n = text_of(x, single, got);
    if (n >= sizeof got || got[n] != 0 || strlen(got) != n)
        fail_msg("%a: no end within NEWT__FLOAT_TEXT", x);
    if (!parse_json_number(got, &d))
        fail_msg("%a: \"%s\" is not JSON", x, got);
    double back = read_back(got, single);
    if (back != x || (x != 0 && signbit(back) != signbit(x)))
        fail_msg("%a: \"%s\" reads back as %a", x, got, back);
}

static void
check_shortest(double x, bool single)
{
    char got[NEWT__FLOAT_TEXT], want[64];
    decimal d, w;
    int p = 1, most = single ? 9 : 17;
    if (x == 0)
        return;
    text_of(x, single, got);
    assert_true(parse_json_number(got, &d));
    for (; p <= most; p++) {
        snprintf(want, sizeof want, "%.*e", p - 1, x);
        if (read_back(want, single) == x)
            break;
    }
    assert_true(parse_json_number(want, &w));
    if (d.n == w.n && d.exponent == w.exponent && strcmp(d.digits, w.digits) == 0)
        return;
    if (d.n < w.n && power_of_two(x))
        return;
    if (d.n <= w.n && d.exponent == w.exponent && tie(x, p) && beside(d.digits, w.digits))
        return;
    fail_msg("%a: \"%s\" is not the shortest and nearest, \"%s\" is", x, got, want);
}

static double
of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double
of_bits4(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void
every_form(double x, bool single)
{
    if (!isfinite(x))
        return;
    check_text(x, single);
    check_text(-x, single);
    check_shortest(x, single);
}

static void
round_double(double x)
{
    every_form(x, false);
    if (isfinite(x)) {
        every_form(nextafter(x, INFINITY), false);
        every_form(nextafter(x, -INFINITY), false);
    }
}

static void
round_float(double x)
{
    float f = (float)x;
    every_form(f, true);
    if (isfinite(f)) {
        every_form(nextafterf(f, INFINITY), true);
        every_form(nextafterf(f, -INFINITY), true);
    }
}

static void
powers(void **state)
{
    (void)state;
    char s[32];
    for (int e = -1074; e <= 1023; e++)
        round_double(ldexp(1, e));
    for (int e = -149; e <= 127; e++)
        round_float(ldexp(1, e));
    for (int e = -324; e <= 308; e++) {
        for (int d = 1; d <= 9; d++) {
            snprintf(s, sizeof s, "%de%d", d, e);
            round_double(strtod(s, NULL));
            if (e >= -46 && e <= 38)
                round_float(strtof(s, NULL));
        }
    }
    for (int i = -1000; i <= 1000; i++) {
        round_double(i);
        round_double(i / 100.0);
        round_float(i);
        round_float(i / 100.0);
    }
}

static bool
time_left(clock_t since, double seconds)
{
    return (double)(clock() - since) < seconds * CLOCKS_PER_SEC;
}

/* Every exponent equally often. Bounded by number and by time, for the machine may be slow. */
static void
random_bits(void **state)
{
    (void)state;
    generate g;
    clock_t start = clock();
    long n = 0;
    generate_init(&g, generate_seed());
    for (; n < 2000000 && (n % 1024 || time_left(start, 1.5)); n++) {
        uint64_t bits = generate_u64(&g);
        double x = of_bits(bits), f = of_bits4((uint32_t)bits);
        if (isfinite(x))
            check_text(x, false);
        if (isfinite(f))
            check_text(f, true);
        if (n % 8 == 0 && isfinite(x))
            check_shortest(x, false);
        if (n % 8 == 1 && isfinite(f))
            check_shortest(f, true);
        if (n % 8 == 2) /* as people write them: few digits */
            every_form((double)generate_below(&g, 1000000) / 1000, false);
    }
    printf("# %ld bit patterns\n", n);
}

typedef struct known {
    double x;
    const char *text;
} known;

static void
known_doubles(void **state)
{
    (void)state;
    static const known cases[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {10.0, "10"},
        {1.5, "1.5"},
        {-0.25, "-0.25"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100.0, "100"},
        {123456.789, "123456.789"},
        {9007199254740992.0, "9007199254740992"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {2.2250738585072011e-308, "2.225073858507201e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {-1.7976931348623157e308, "-1.7976931348623157e+308"},
        {9e-265, "9e-265"},
        {1e23, "1e+23"},
        {9.5e-5, "9.5e-5"},
        /* the edges of the positional form */
        {1e16, "10000000000000000"},
        {12345678901234568.0, "12345678901234568"},
        {99999999999999984.0, "99999999999999980"}, /* 9999999999999998e1 is enough */
        {1e17, "1e+17"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {1e21, "1e+21"},
        {0.001, "0.001"},
        {0.0001, "0.0001"},
        {0.000123, "0.000123"},
        {0.000099999999999999999, "0.0001"},
        {0.00001, "1e-5"},
        {0.000012, "1.2e-5"},
        {0.0000001, "1e-7"},
    };
    char got[NEWT__FLOAT_TEXT];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t n = newt__double_text(cases[i].x, got);
        assert_string_equal(got, cases[i].text);
        assert_int_equal(n, strlen(got));
    }
}

static void
known_floats(void **state)
{
    (void)state;
    static const known cases[] = {
        {0.0f, "0"},
        {-0.0f, "0"},
        {1.0f, "1"},
        {0.1f, "0.1"},
        {0.3f, "0.3"},
        {16777216.0f, "16777216"},
        {3.4028235e38f, "3.4028235e+38"},
        {1e-45f, "1e-45"},
        {1.17549435e-38f, "1.1754944e-38"},
        {8388608.5f, "8388608"},
        {33554432.0f, "33554432"},
        {1e10f, "10000000000"},
    };
    char got[NEWT__FLOAT_TEXT];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        newt__float_text((float)cases[i].x, got);
        assert_string_equal(got, cases[i].text);
    }
}

/* A comma for the point must not get in, whatever the program around us has set. */
static void
locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nb_NO.UTF-8"};
    char got[NEWT__FLOAT_TEXT];
    const char *set = NULL;
    for (size_t i = 0; i < LENGTH(names) && !set; i++)
        set = setlocale(LC_ALL, names[i]);
    newt__double_text(1.5, got);
    assert_string_equal(got, "1.5");
    newt__float_text(1e-30f, got);
    assert_string_equal(got, "1e-30");
    printf("# locale: %s\n", set ? set : "none with a comma is installed; C alone");
    setlocale(LC_ALL, "C");
}

/* ---- numbers as text ------------------------------------------------------------------------- */

/* digits -> big-endian bytes without leading zeros, by long multiplication: slow and plain */
static size_t
magnitude_of(const char *digits, size_t n, uint8_t *out)
{
    size_t m = 0; /* little-endian while growing */
    for (size_t i = 0; i < n; i++) {
        unsigned carry = (unsigned)(digits[i] - '0');
        for (size_t k = 0; k < m; k++) {
            carry += out[k] * 10u;
            out[k] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            out[m++] = (uint8_t)carry;
    }
    for (size_t k = 0; k < m / 2; k++) {
        uint8_t b = out[k];
        out[k] = out[m - 1 - k];
        out[m - 1 - k] = b;
    }
    return m;
}

/* CBOR counts negative numbers from -1: magnitude - 1. */
static size_t
minus_one(uint8_t *b, size_t n)
{
    for (size_t k = n; k-- > 0;)
        if (b[k]-- != 0)
            break;
    if (n > 0 && b[0] == 0) {
        memmove(b, b + 1, n - 1);
        n--;
    }
    return n;
}

typedef struct parsed {
    const char *text;
    bool negative;
    const char *magnitude; /* hex */
    int32_t exponent;
    const char *again; /* NULL: the same text */
} parsed;

static void
known_numbers(void **state)
{
    (void)state;
    static const parsed cases[] = {
        {"0", false, "", 0, NULL},
        {"-0", false, "", 0, "0"},
        {"0.00", false, "", -2, NULL},
        {"-0.00", false, "", -2, "0.00"},
        {"1", false, "01", 0, NULL},
        {"-1", true, "", 0, NULL},
        {"-256", true, "ff", 0, NULL},
        {"-257", true, "01 00", 0, NULL},
        {"255", false, "ff", 0, NULL},
        {"256", false, "01 00", 0, NULL},
        {"1.50", false, "96", -2, NULL},
        {"-12.50", true, "04 e1", -2, NULL},
        {"0.1", false, "01", -1, NULL},
        {"-0.1", true, "", -1, NULL},
        {"123456789012345678901234567890", false, "01 8e e9 0f f6 c3 73 e0 ee 4e 3f 0a d2", 0,
         NULL},
        {"1E+3", false, "01", 3, "1000"},
        {"1e3", false, "01", 3, "1000"},
        {"1.5E+3", false, "0f", 2, "1500"},
        {"1.50e-3", false, "96", -5, "0.00150"},
        {"1E+999999", false, "01", 999999, NULL},
        {"-1.5E-999999", true, "0e", -1000000, NULL},
        {"007", false, "07", 0, "7"},
    };
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const parsed *x = &cases[i];
        newt__buffer magnitude = {.env = &env}, out = {.env = &env};
        newt__number number;
        bytes want = bytes_of(x->magnitude);
        bool positional = false;
        if (newt__number_parse(x->text, strlen(x->text), &magnitude, &number) != NEWT__OK)
            fail_msg("\"%s\" is refused", x->text);
        if (number.negative != x->negative || number.exponent != x->exponent)
            fail_msg("\"%s\": negative %d, exponent %d", x->text, number.negative,
                     (int)number.exponent);
        assert_bytes(number.magnitude, number.n, want.p, want.n, x->text);
        assert_int_equal(newt__number_text(&out, &number, &positional), NEWT__OK);
        if (!x->again)
            assert_bytes(out.data, out.n, x->text, strlen(x->text), x->text);
        else
            assert_bytes(out.data, out.n, x->again, strlen(x->again), x->text);
        assert_int_equal(positional, memchr(out.data, 'E', out.n) == NULL);
        newt__buffer_free(&magnitude);
        newt__buffer_free(&out);
        free(want.p);
    }
    assert_int_equal(m.live, 0);
}

static void
not_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "-",   "+",     ".",   "-.",  "1.2.3", "1e",
                                      "1e+",  "1 ",  " 1",    "--1", "NaN", "inf",   "Infinity",
                                      "0x10", "1,5", "1e1.5", "1\n", "e5",  "1_000", "\xd9\xa1"};
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer magnitude = {.env = &env};
    newt__number number;
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (newt__number_parse(bad[i], strlen(bad[i]), &magnitude, &number) != NEWT__MALFORMED)
            fail_msg("\"%s\" is taken for a number", bad[i]);
    assert_int_equal(newt__number_parse("1\0", 2, &magnitude, &number), NEWT__MALFORMED);
    /* an exponent that int32 cannot hold, also after the point has been counted in */
    static const char *const large[] = {"1E+2147483648", "1E-2147483649", "1.5E-2147483648",
                                        "1E+99999999999999999999"};
    for (size_t i = 0; i < LENGTH(large); i++)
        if (newt__number_parse(large[i], strlen(large[i]), &magnitude, &number) != NEWT__LIMIT)
            fail_msg("\"%s\" is within the limit", large[i]);
    newt__buffer_free(&magnitude);
    assert_int_equal(m.live, 0);
}

/* Digits at random, with the point anywhere: to bytes as long multiplication has them, and back. */
static void
random_numbers(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer magnitude = {.env = &env}, out = {.env = &env};
    generate g;
    clock_t start = clock();
    long round = 0;
    generate_init(&g, generate_seed());
    for (; round < 200000 && (round % 256 || time_left(start, 1)); round++) {
        char digits[420], s[440];
        uint8_t want[200];
        size_t n = 1 + (size_t)generate_below(&g, generate_below(&g, 10) ? 30 : 397);
        size_t scale = generate_below(&g, 3) ? 0 : (size_t)generate_below(&g, n);
        bool negative = generate_below(&g, 2), positional = false, zero = true;
        newt__number number;
        for (size_t i = 0; i < n; i++) {
            digits[i] = (char)('0' + generate_below(&g, 10));
            if (i == 0 && n > 1 && n - scale > 1 && digits[i] == '0')
                digits[i] = '1';
            if (digits[i] != '0')
                zero = false;
        }
        size_t k = 0;
        if (negative && !zero)
            s[k++] = '-';
        memcpy(s + k, digits, n - scale);
        k += n - scale;
        if (scale) {
            s[k++] = '.';
            memcpy(s + k, digits + n - scale, scale);
            k += scale;
        }
        s[k] = 0;
        size_t n_want = magnitude_of(digits, n, want);
        if (negative && !zero)
            n_want = minus_one(want, n_want);
        magnitude.n = out.n = 0;
        assert_int_equal(newt__number_parse(s, k, &magnitude, &number), NEWT__OK);
        assert_int_equal(number.negative, negative && !zero);
        assert_int_equal(number.exponent, -(int32_t)scale);
        assert_bytes(number.magnitude, number.n, want, n_want, s);
        assert_int_equal(newt__number_text(&out, &number, &positional), NEWT__OK);
        assert_true(positional);
        assert_bytes(out.data, out.n, s, k, s);
    }
    printf("# %ld numbers\n", round);
    newt__buffer_free(&magnitude);
    newt__buffer_free(&out);
    assert_int_equal(m.live, 0);
}

/* Any mantissa and exponent: what is written reads back, and says itself which form it has. */
static void
random_scales(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer magnitude = {.env = &env}, out = {.env = &env}, out2 = {.env = &env};
    generate g;
    generate_init(&g, generate_seed());
    for (long round = 0; round < 50000; round++) {
        uint8_t b[24];
        newt__number x = {.magnitude = b, .negative = generate_below(&g, 2)}, y;
        bool positional = false, positional2 = false;
        x.n = (size_t)generate_below(&g, sizeof b);
        for (size_t i = 0; i < x.n; i++)
            b[i] = (uint8_t)generate_u64(&g);
        if (x.n > 0 && b[0] == 0)
            b[0] = 1;
        x.exponent = (int32_t)generate_below(&g, 1000) - 500;
        if (generate_below(&g, 4) == 0)
            x.exponent = (int32_t)generate_u64(&g);
        magnitude.n = out.n = out2.n = 0;
        assert_int_equal(newt__number_text(&out, &x, &positional), NEWT__OK);
        assert_true(out.n <= NEWT__MAX_DIGITS || !positional);
        assert_int_equal(positional, memchr(out.data, 'E', out.n) == NULL);
        assert_int_equal(newt__number_parse((const char *)out.data, out.n, &magnitude, &y),
                         NEWT__OK);
        if (!positional || x.exponent <= 0) {
            assert_int_equal(y.negative, x.negative);
            assert_int_equal(y.exponent, x.exponent);
            assert_bytes(y.magnitude, y.n, x.magnitude, x.n, "number");
        }
        assert_int_equal(newt__number_text(&out2, &y, &positional2), NEWT__OK);
        assert_bytes(out2.data, out2.n, out.data, out.n, "number, again");
    }
    newt__buffer_free(&magnitude);
    newt__buffer_free(&out);
    newt__buffer_free(&out2);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_doubles),
        cmocka_unit_test(known_floats),
        cmocka_unit_test(powers),
        cmocka_unit_test(random_bits),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(known_numbers),
        cmocka_unit_test(not_numbers),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(random_scales),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
