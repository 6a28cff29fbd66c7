/*
 * float.c - the shortest decimal of a float or double
 *
 * Raffaello Giulietti's Schubfach ("The Schubfach way to render doubles", 2020): of the decimals
 * that read back as x, the shortest, and of those the closest. The interval around x is scaled by
 * a power of ten so that it holds at least one and at most ten integers or so, with 128 (64) bits
 * of that power and a sticky last bit ("round to odd") standing for all that is cut off.
 */
#include "item.h"
#include "pow10.h"

/* a decimal: digits * 10^exponent */
typedef struct decimal {
    uint64_t digits;
    int exponent;
} decimal;

/* floor(log2(10^e)), for |e| <= 1233 */
static inline int
log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

/* floor(log10(2^e)), or floor(log10(3/4 * 2^e)), for |e| <= 1500 */
static inline int
log10_pow2(int e, bool three_quarters)
{
    return (e * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* the high 64 bits of a product, its low ones in *low */
static inline uint64_t
multiply(uint64_t a, uint64_t b, uint64_t *low)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 p = (unsigned __int128)a * b;

    *low = (uint64_t)p;
    return (uint64_t)(p >> 64);
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
    uint64_t middle = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;

    *low = middle << 32 | (uint32_t)p00;
    return p11 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
#endif
}

static inline uint64_t
round_to_odd(const struct newt__pow10 *g, uint64_t c)
{
    uint64_t x0, x1, y0, y1;

    x1 = multiply(g->lo, c, &x0);
    y1 = multiply(g->hi, c, &y0);
    y0 += x1;
    y1 += y0 < x1;
    return y1 | (y0 > 1);
}

static inline uint64_t
round_to_odd_single(uint64_t g, uint32_t c)
{
    uint64_t low = (g & 0xffffffff) * c;
    uint64_t p = (g >> 32) * c + (low >> 32);

    return (p >> 32) | ((uint32_t)p > 1);
}

/* From the scaled x and its neighbourhood, each times 4: the integer or multiple of ten to take. */
static inline decimal
choose(uint64_t x, uint64_t lower, uint64_t upper, int k)
{
    uint64_t s = x / 4;
    bool down, up;

    if (s >= 10) {
        uint64_t tens = s / 10;

        down = lower <= 40 * tens;
        up = 40 * tens + 40 <= upper;
        if (down != up)
            return (decimal){tens + up, k + 1};
    }
    down = lower <= 4 * s;
    up = 4 * s + 4 <= upper;
    if (down != up)
        return (decimal){s + up, k};
    /* both or none: the closer one, the even one in the middle */
    up = x > 4 * s + 2 || (x == 4 * s + 2 && (s & 1) != 0);
    return (decimal){s + up, k};
}

/* |x| = c * 2^q, c of a normal number with its leading bit */
static decimal
shortest(uint64_t c, int q, bool closer_below)
{
    bool odd = c & 1;
    int k = log10_pow2(q, closer_below);
    int h = q + log2_pow10(-k) + 1;
    const struct newt__pow10 *g = &newt__pow10[-k - NEWT__POW10_LOW];
    uint64_t lower = round_to_odd(g, (4 * c - 2 + closer_below) << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h);

    return choose(round_to_odd(g, 4 * c << h), lower + odd, upper - odd, k);
}

static decimal
shortest_single(uint32_t c, int q, bool closer_below)
{
    bool odd = c & 1;
    int k = log10_pow2(q, closer_below);
    int h = q + log2_pow10(-k) + 1;
    const struct newt__pow10 *p = &newt__pow10[-k - NEWT__POW10_LOW];
    uint64_t g = p->hi + (p->lo != 0);
    uint64_t lower = round_to_odd_single(g, (4 * c - 2 + closer_below) << h);
    uint64_t upper = round_to_odd_single(g, (4 * c + 2) << h);

    return choose(round_to_odd_single(g, 4 * c << h), lower + odd, upper - odd, k);
}

/* Lays out the digits; see codec.h for where the exponent form begins. */
static size_t
lay_out(bool negative, decimal d, char *out)
{
    char digits[NEWT__UINT_TEXT];
    char *p = out;
    size_t n;
    int point; /* digits before the decimal point */

    while (d.digits % 10 == 0 && d.digits > 0) {
        d.digits /= 10;
        d.exponent++;
    }
    n = newt__uint_text(d.digits, digits);
    point = (int)n + d.exponent;
    if (negative)
        *p++ = '-';
    if (point > 17 || point < -3) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, n - 1);
            p += n - 1;
        }
        *p++ = 'e';
        *p++ = point > 0 ? '+' : '-';
        p += newt__uint_text(point > 0 ? (uint64_t)point - 1 : 1 - (uint64_t)point, p);
    } else if (point <= 0) {
        *p++ = '0';
        *p++ = '.';
        memset(p, '0', (size_t)-point);
        p += -point;
        memcpy(p, digits, n);
        p += n;
    } else if ((size_t)point >= n) {
        memcpy(p, digits, n);
        memset(p + n, '0', (size_t)point - n);
        p += point;
    } else {
        memcpy(p, digits, (size_t)point);
        p += point;
        *p++ = '.';
        memcpy(p, digits + point, n - (size_t)point);
        p += n - (size_t)point;
    }
    *p = '\0';
    return (size_t)(p - out);
}

static size_t
zero(char *out)
{
    out[0] = '0';
    out[1] = '\0';
    return 1;
}

size_t
newt__double_text(double x, char *out)
{
    uint64_t bits, fraction, c;
    int biased, q;

    memcpy(&bits, &x, sizeof bits);
    fraction = bits & ((UINT64_C(1) << 52) - 1);
    biased = (int)(bits >> 52 & 0x7ff);
    if (fraction == 0 && biased == 0)
        return zero(out);
    c = biased ? fraction | UINT64_C(1) << 52 : fraction;
    q = (biased ? biased : 1) - 1075;
    /* integers have no shorter form that is closer */
    if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return lay_out(bits >> 63, (decimal){c >> -q, 0}, out);
    return lay_out(bits >> 63, shortest(c, q, fraction == 0 && biased > 1), out);
}

size_t
newt__float_text(float x, char *out)
{
    uint32_t bits, fraction, c;
    int biased, q;

    memcpy(&bits, &x, sizeof bits);
    fraction = bits & ((UINT32_C(1) << 23) - 1);
    biased = (int)(bits >> 23 & 0xff);
    if (fraction == 0 && biased == 0)
        return zero(out);
    c = biased ? fraction | UINT32_C(1) << 23 : fraction;
    q = (biased ? biased : 1) - 150;
    if (q <= 0 && q > -24 && (c & ((UINT32_C(1) << -q) - 1)) == 0)
        return lay_out(bits >> 31, (decimal){c >> -q, 0}, out);
    return lay_out(bits >> 31, shortest_single(c, q, fraction == 0 && biased > 1), out);
}

/* ---- and back ----------------------------------------------------------------------------- */

double
newt__near_double(uint64_t digits, int exponent)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t c, bits;
    int shift, power;
    double x;

    if (digits == 0)
        return 0;
    if (digits >> 53 == 0 && exponent >= -22 && exponent <= 22)
        return exponent < 0 ? (double)digits / exact[-exponent] : (double)digits * exact[exponent];
    if (exponent < NEWT__POW10_LOW || exponent > 308)
        return 0;
    /* 10^e is g * 2^(floor(log2(10^e)) - 127); the product keeps its 64 leading bits */
    shift = __builtin_clzll(digits);
    c = round_to_odd(&newt__pow10[exponent - NEWT__POW10_LOW], digits << shift);
    power = log2_pow10(exponent) - 127 - shift + 128;
    if (c >> 63 == 0) {
        c <<= 1;
        power--;
    }
    /* to 53 bits, ties to even: 1e23 is one */
    c = (c >> 11) + ((c >> 10 & 1) && (c & 0x3ff || c >> 11 & 1));
    power += 11;
    if (c >> 53) {
        c >>= 1;
        power++;
    }
    if (power + 1075 < 1 || power + 1075 > 2046)
        return 0;
    bits = (c & ((UINT64_C(1) << 52) - 1)) | (uint64_t)(power + 1075) << 52;
    memcpy(&x, &bits, sizeof x);
    return x;
}
