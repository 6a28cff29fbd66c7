/*
 * number.c - texts of integers, bignums and decimals, both ways
 *
 * A magnitude is worked on in limbs of 32 bits, least significant first; a decimal is worked on in
 * groups of nine digits, likewise. Both ways take time that grows with the square of the length,
 * which NEWT__MAX_MAGNITUDE bounds.
 */
#include "item.h"

enum {
    GROUP = 9,
    GROUP_BASE = 1000000000,
    AT_ONCE = 4,
    SMALL_LIMBS = 48, /* of the numbers that are written positionally, more or less */
    MAX_LIMBS = NEWT__MAX_MAGNITUDE / 4 + 1
};

static const char pairs[201] = "00010203040506070809"
                               "10111213141516171819"
                               "20212223242526272829"
                               "30313233343536373839"
                               "40414243444546474849"
                               "50515253545556575859"
                               "60616263646566676869"
                               "70717273747576777879"
                               "80818283848586878889"
                               "90919293949596979899";

size_t
newt__uint_text(uint64_t x, char *out)
{
    char digits[NEWT__UINT_TEXT];
    char *p = digits + sizeof digits;
    size_t n;

    while (x >= 100) {
        p -= 2;
        memcpy(p, pairs + 2 * (x % 100), 2);
        x /= 100;
    }
    if (x >= 10) {
        p -= 2;
        memcpy(p, pairs + 2 * x, 2);
    } else {
        *--p = (char)('0' + x);
    }
    n = (size_t)(digits + sizeof digits - p);
    memcpy(out, p, n);
    return n;
}

bool
newt__number_may_be_long(const newt__number *x)
{
    /* a byte is 2.41 digits; sign, carry, "0." */
    size_t digits = x->n * 5 / 2 + 4;
    int64_t exponent = x->exponent;

    return digits + (uint64_t)(exponent < 0 ? -exponent : exponent) > NEWT__MAX_DIGITS;
}

/* ---- a number's text ---------------------------------------------------------------------- */

/* The magnitude as limbs, one more if negative (-1 - m is written as m + 1); how many. */
static size_t
to_limbs(const newt__number *x, uint32_t *limb)
{
    size_t n = 0, left = x->n, i;

    while (left >= 4) {
        left -= 4;
        limb[n++] = newt__get32(x->magnitude + left);
    }
    if (left > 0) {
        limb[n] = 0;
        for (i = 0; i < left; i++)
            limb[n] = limb[n] << 8 | x->magnitude[i];
        n++;
    }
    if (x->negative) {
        for (i = 0; i < n && ++limb[i] == 0; i++)
            ;
        if (i == n)
            limb[n++] = 1;
    }
    while (n > 0 && limb[n - 1] == 0)
        n--;
    return n;
}

/* One step of a division by 10^9, from the top: *limb becomes a digit of the quotient. */
static inline void
divide(uint32_t *limb, uint64_t *rest)
{
    uint64_t x = *rest << 32 | *limb;

    *limb = (uint32_t)(x / GROUP_BASE);
    *rest = x % GROUP_BASE;
}

/* Divides the limbs by 10^9 until nothing is left; each remainder is a group. A sweep does
 * AT_ONCE divisions, each of the quotient of the one before: the processor overlaps them. */
static size_t
to_groups(const newt__env *env, uint32_t *limb, size_t n, uint32_t *group)
{
    size_t groups = 0, i, k;

    while (n > 0) {
        uint64_t rest[AT_ONCE] = {0};

        for (i = n; i-- > 0;) {
            divide(&limb[i], &rest[0]);
            divide(&limb[i], &rest[1]);
            divide(&limb[i], &rest[2]);
            divide(&limb[i], &rest[3]);
        }
        for (k = 0; k < AT_ONCE; k++)
            group[groups++] = (uint32_t)rest[k];
        while (n > 0 && limb[n - 1] == 0)
            n--;
        if (n > 4096 && env->interrupt != NULL && groups % 64 == 0 && env->interrupt(env->arg))
            return SIZE_MAX;
    }
    while (groups > 0 && group[groups - 1] == 0)
        groups--;
    return groups;
}

static inline size_t
group_text(uint32_t x, char *out)
{
    size_t i;

    for (i = GROUP; i-- > 0; x /= 10)
        out[i] = (char)('0' + x % 10);
    return GROUP;
}

/* Lays out n digits, which are the last in out, with sign and exponent; out has room. */
static void
lay_out(newt__buffer *out, const newt__number *x, const char *digit, size_t n, bool positional)
{
    char *p = (char *)out->data + out->n;
    int64_t exponent = x->exponent;

    if (x->negative)
        *p++ = '-';
    if (!positional) {
        exponent += (int64_t)n - 1;
        *p++ = digit[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digit + 1, n - 1);
            p += n - 1;
        }
        *p++ = 'E';
        *p++ = exponent < 0 ? '-' : '+';
        p += newt__uint_text((uint64_t)(exponent < 0 ? -exponent : exponent), p);
    } else if (exponent >= 0) {
        memcpy(p, digit, n);
        p += n;
        if (n > 1 || digit[0] != '0') {
            memset(p, '0', (size_t)exponent);
            p += exponent;
        }
    } else {
        size_t scale = (size_t)-exponent;

        if (n > scale) {
            memcpy(p, digit, n - scale);
            p += n - scale;
            *p++ = '.';
            memcpy(p, digit + n - scale, scale);
            p += scale;
        } else {
            *p++ = '0';
            *p++ = '.';
            memset(p, '0', scale - n);
            p += scale - n;
            memcpy(p, digit, n);
            p += n;
        }
    }
    out->n = (size_t)(p - (char *)out->data);
}

/* Characters of the positional form. */
static uint64_t
positional_length(const newt__number *x, const char *digit, size_t n)
{
    int64_t exponent = x->exponent;
    uint64_t length = x->negative;

    if (exponent >= 0)
        return length + n + (n > 1 || digit[0] != '0' ? (uint64_t)exponent : 0);
    if ((int64_t)n > -exponent)
        return length + n + 1;
    return length + (uint64_t)-exponent + 2;
}

newt__code
newt__number_text(newt__buffer *out, const newt__number *x, bool *positional)
{
    const newt__env *env = out->env;
    uint32_t small[2 * SMALL_LIMBS + SMALL_LIMBS / 4 + AT_ONCE];
    char small_digits[NEWT__MAX_DIGITS + (4 + AT_ONCE) * GROUP];
    uint32_t *limb = small, *group;
    char *digit = small_digits;
    size_t limbs, groups, n, max_groups;
    newt__code code = NEWT__OK;

    if (x->n > NEWT__MAX_MAGNITUDE)
        return NEWT__LIMIT;
    limbs = x->n / 4 + 2;
    max_groups = limbs + limbs / 14 + 1 + AT_ONCE; /* 32 bits are 1.0704 groups */
    if (limbs > SMALL_LIMBS || max_groups * GROUP > sizeof small_digits) {
        size_t words = limbs + max_groups;

        limb = env->realloc(env->arg, NULL, words * sizeof *limb + max_groups * GROUP);
        if (limb == NULL)
            return NEWT__NOMEM;
        digit = (char *)(limb + words);
    }
    group = limb + limbs;

    limbs = to_limbs(x, limb);
    groups = to_groups(env, limb, limbs, group);
    if (groups == SIZE_MAX) {
        code = NEWT__INTERRUPTED;
        goto out;
    }
    n = 0;
    if (groups == 0) {
        digit[n++] = '0';
    } else {
        n = newt__uint_text(group[--groups], digit);
        while (groups > 0)
            n += group_text(group[--groups], digit + n);
    }

    *positional = positional_length(x, digit, n) <= NEWT__MAX_DIGITS;
    if (!newt__room(out, n + NEWT__MAX_DIGITS + 32)) {
        code = NEWT__NOMEM;
        goto out;
    }
    lay_out(out, x, digit, n, *positional);
out:
    if (limb != small)
        env->free(env->arg, limb);
    return code;
}

/* ---- and back ----------------------------------------------------------------------------- */

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number's parts, still text. */
typedef struct parts {
    bool negative;
    const char *digits; /* without the leading zeros; may hold a point */
    size_t span, n;     /* bytes there; digits among them */
    int64_t exponent;
} parts;

static bool
take_apart(const char *s, size_t n, parts *out)
{
    const char *end = s + n;
    bool point = false, any = false;
    int64_t exponent = 0;
    size_t scale = 0;

    out->negative = false;
    out->n = 0;
    if (s < end && (*s == '-' || *s == '+'))
        out->negative = *s++ == '-';
    out->digits = s;
    for (; s < end && (is_digit(*s) || (*s == '.' && !point)); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        any = true;
        scale += point;
        if (out->n > 0 || *s != '0') {
            if (out->n++ == 0)
                out->digits = s;
        }
    }
    if (!any)
        return false;
    out->span = out->n > 0 ? (size_t)(s - out->digits) : 0;
    if (s < end && (*s == 'e' || *s == 'E')) {
        bool minus = false;

        s++;
        if (s < end && (*s == '-' || *s == '+'))
            minus = *s++ == '-';
        if (s == end)
            return false;
        for (; s < end && is_digit(*s); s++) {
            if (exponent < INT64_MAX / 4 / 10)
                exponent = exponent * 10 + (*s - '0');
        }
        if (minus)
            exponent = -exponent;
    }
    out->exponent = exponent - (int64_t)scale;
    return s == end;
}

/* The digits in limbs of 32 bits, the lowest first. There is room for all of them. */
static newt__code
read_digits(const newt__env *env, parts *number, uint32_t *limb, size_t *n)
{
    uint32_t group = 0, base = 1;
    size_t limbs = 0;

    for (; number->span > 0; number->span--) {
        char c = *number->digits++;
        uint64_t carry;

        if (c == '.')
            continue;
        group = group * 10 + (uint32_t)(c - '0');
        base *= 10;
        number->n--;
        /* the first group is the short one */
        if (number->n % GROUP != 0)
            continue;
        carry = group;
        for (size_t i = 0; i < limbs; i++) {
            carry += (uint64_t)limb[i] * base;
            limb[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry > 0)
            limb[limbs++] = (uint32_t)carry;
        group = 0;
        base = 1;
        if (limbs > 4096 && env->interrupt != NULL && number->n / GROUP % 64 == 0 &&
            env->interrupt(env->arg))
            return NEWT__INTERRUPTED;
    }
    *n = limbs;
    return NEWT__OK;
}

/* The limbs as bytes, the highest first, without leading zeros; appended to magnitude. */
static newt__code
put_magnitude(const uint32_t *limb, size_t limbs, newt__buffer *magnitude, newt__number *out)
{
    if (!newt__room(magnitude, 4 * limbs + 1))
        return NEWT__NOMEM;
    out->magnitude = magnitude->data + magnitude->n;
    out->n = 0;
    for (size_t i = 4 * limbs; i-- > 0;) {
        uint8_t byte = (uint8_t)(limb[i / 4] >> 8 * (i % 4));

        if (out->n > 0 || byte != 0)
            magnitude->data[magnitude->n + out->n++] = byte;
    }
    if (out->n > NEWT__MAX_MAGNITUDE) {
        out->n = 0;
        return NEWT__LIMIT;
    }
    magnitude->n += out->n;
    return NEWT__OK;
}

newt__code
newt__number_parse(const char *s, size_t n, newt__buffer *magnitude, newt__number *out)
{
    const newt__env *env = magnitude->env;
    uint32_t small[SMALL_LIMBS];
    uint32_t *limb = small;
    size_t limbs, max_limbs;
    parts number;
    newt__code code;

    if (!take_apart(s, n, &number))
        return NEWT__MALFORMED;
    if (number.exponent < INT32_MIN || number.exponent > INT32_MAX)
        return NEWT__LIMIT;
    /* 9 digits are 0.9343 limbs */
    if (number.n / GROUP > MAX_LIMBS + MAX_LIMBS / 8)
        return NEWT__LIMIT;
    max_limbs = number.n / GROUP + 2;
    if (max_limbs > SMALL_LIMBS) {
        limb = env->realloc(env->arg, NULL, max_limbs * sizeof *limb);
        if (limb == NULL)
            return NEWT__NOMEM;
    }
    code = read_digits(env, &number, limb, &limbs);
    if (code == NEWT__OK) {
        out->negative = number.negative && limbs > 0;
        out->exponent = (int32_t)number.exponent;
        if (out->negative) { /* the magnitude less one */
            for (size_t i = 0; limb[i]-- == 0; i++)
                ;
            if (limb[limbs - 1] == 0)
                limbs--;
        }
        code = put_magnitude(limb, limbs, magnitude, out);
    }
    if (limb != small)
        env->free(env->arg, limb);
    return code;
}
