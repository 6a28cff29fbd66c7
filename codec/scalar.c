/*
 * scalar.c - how the projection shows what is no container
 */
#include "emit.h"

/* {"key": integer} */
static bool
wrapped_uint(struct newt__projection *p, const char *key, uint64_t u)
{
    return newt__word(p, NEWT__JSON_OBJECT) && newt__own_key(p, key) && newt__unsigned(p, u) &&
           newt__word(p, NEWT__JSON_OBJECT_END);
}

/* "::b64", or if there are too many bytes "::bin" */
static bool
bytes_entry(struct newt__projection *p, const char *s, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char small[(NEWT__MAX_INLINE + 2) / 3 * 4], *out = small;
    size_t at, k = 0;

    if (n > NEWT__MAX_INLINE) {
        if (!p->complete)
            return newt__own_key(p, "::bin") && newt__unsigned(p, n);
        p->scratch.n = 0;
        if (!newt__room(&p->scratch, n / 3 * 4 + 4))
            return newt__stop_memory(p);
        out = (char *)p->scratch.data;
    }
    for (at = 0; at < n; at += 3) {
        size_t left = n - at;
        uint32_t x = (uint32_t)(uint8_t)s[at] << 16;

        if (left > 1)
            x |= (uint32_t)(uint8_t)s[at + 1] << 8;
        if (left > 2)
            x |= (uint8_t)s[at + 2];
        out[k++] = alphabet[x >> 18];
        out[k++] = alphabet[x >> 12 & 63];
        out[k++] = left > 1 ? alphabet[x >> 6 & 63] : '=';
        out[k++] = left > 2 ? alphabet[x & 63] : '=';
    }
    return newt__own_key(p, "::b64") && newt__text(p, NEWT__JSON_STRING, out, k, true);
}

static bool
bytes(struct newt__projection *p, const newt__token *t)
{
    return newt__word(p, NEWT__JSON_OBJECT) && bytes_entry(p, t->s, t->n) &&
           newt__word(p, NEWT__JSON_OBJECT_END);
}

/* Text with NUL or not UTF-8: its bytes, and what can be read of it. */
static bool
lossy(struct newt__projection *p, const newt__token *t)
{
    if (p->counting && t->n > p->limit)
        return newt__stop(p, NEWT__STOP_TOO_LARGE);
    if (!newt__reject(p, "text") || !newt__word(p, NEWT__JSON_OBJECT) ||
        !bytes_entry(p, t->s, t->n) || !newt__own_key(p, "::text"))
        return false;
    p->scratch.n = 0;
    if (!newt__utf8_lossy(&p->scratch, t->s, t->n))
        return newt__stop_memory(p);
    return newt__text(p, NEWT__JSON_STRING, p->scratch.data, p->scratch.n, false) &&
           newt__word(p, NEWT__JSON_OBJECT_END);
}

/* "1.23E+2", which has all of an integer's digits, as "123". */
static void
as_integer(newt__buffer *text)
{
    uint8_t *point = memchr(text->data, '.', text->n), *end = memchr(text->data, 'E', text->n);

    memmove(point, point + 1, (size_t)(end - point) - 1);
    text->n = (size_t)(end - text->data) - 1;
}

static bool
number(struct newt__projection *p, const newt__number *x)
{
    bool positional;
    newt__code code;

    p->scratch.n = 0;
    code = newt__number_text(&p->scratch, x, &positional);
    if (code != NEWT__OK)
        return newt__stop_fault(p, code, code == NEWT__NOMEM ? "out of memory" : "interrupted");
    if (!positional && p->complete && x->exponent == 0)
        as_integer(&p->scratch);
    if (positional || p->complete)
        return newt__text(p, NEWT__JSON_NUMBER, p->scratch.data, p->scratch.n, true);
    return newt__reject(p, "number") && newt__word(p, NEWT__JSON_OBJECT) &&
           newt__own_key(p, "::num") &&
           newt__text(p, NEWT__JSON_STRING, p->scratch.data, p->scratch.n, true) &&
           newt__word(p, NEWT__JSON_OBJECT_END);
}

/* An integer that int64 does not hold. */
static bool
large_integer(struct newt__projection *p, const newt__token *t)
{
    uint8_t magnitude[8];
    newt__number x = {t->number.negative, magnitude, sizeof magnitude, 0};

    newt__put64(magnitude, t->u);
    return number(p, &x);
}

static bool
real(struct newt__projection *p, const newt__token *t)
{
    char out[NEWT__FLOAT_TEXT];
    bool single = t->kind == NEWT__FLOAT;
    uint64_t exponent = single ? UINT64_C(0xff) << 23 : UINT64_C(0x7ff) << 52;
    uint64_t fraction = single ? (UINT64_C(1) << 23) - 1 : (UINT64_C(1) << 52) - 1;

    if ((t->bits & exponent) != exponent) {
        size_t n = single ? newt__float_text((float)t->real, out) : newt__double_text(t->real, out);

        return newt__text(p, NEWT__JSON_NUMBER, out, n, true);
    }
    if (t->bits & fraction)
        return newt__text(p, NEWT__JSON_STRING, "NaN", 3, true);
    if (t->bits >> (single ? 31 : 63))
        return newt__text(p, NEWT__JSON_STRING, "-Infinity", 9, true);
    return newt__text(p, NEWT__JSON_STRING, "Infinity", 8, true);
}

/* ---- times -------------------------------------------------------------------------------- */

enum {
    FIRST_DAY = -719162, /* 0001-01-01 */
    LAST_DAY = 2932896,  /* 9999-12-31 */
    DAY = 86400
};

/* n digits of x, zeros in front */
static void
digits(char *out, size_t n, uint32_t x)
{
    while (n-- > 0) {
        out[n] = (char)('0' + x % 10);
        x /= 10;
    }
}

/* YYYY-MM-DD: the calendar is computed in years that begin with March. */
static void
date_text(char *out, int32_t day)
{
    /* days since 0000-03-01, of the 400-year cycle, of the year */
    uint32_t since = (uint32_t)(day + 719468), cycle = since / 146097, of_cycle = since % 146097;
    uint32_t of_400 = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    uint32_t of_year = of_cycle - (365 * of_400 + of_400 / 4 - of_400 / 100);
    uint32_t march = (5 * of_year + 2) / 153;
    uint32_t month = march < 10 ? march + 3 : march - 9;

    digits(out, 4, 400 * cycle + of_400 + (month <= 2));
    out[4] = '-';
    digits(out + 5, 2, month);
    out[7] = '-';
    digits(out + 8, 2, of_year - (153 * march + 2) / 5 + 1);
}

static bool
integer(struct newt__projection *p, int64_t i)
{
    return newt__emit_int(p, i);
}

static bool
date(struct newt__projection *p, const newt__token *t)
{
    char out[10];

    if (t->i < FIRST_DAY || t->i > LAST_DAY)
        return newt__word(p, NEWT__JSON_OBJECT) && newt__own_key(p, "::days") && integer(p, t->i) &&
               newt__word(p, NEWT__JSON_OBJECT_END);
    date_text(out, (int32_t)t->i);
    return newt__text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

/* All of a time or duration in microseconds; int64 may not hold it. */
static bool
microseconds(struct newt__projection *p, const newt__token *t)
{
    char out[NEWT__UINT_TEXT + 8];
    uint64_t seconds;
    uint32_t us = (uint32_t)t->us;
    size_t n = 0;

    if (t->seconds > INT64_MIN / 1000000 && t->seconds < INT64_MAX / 1000000)
        return integer(p, t->seconds * 1000000 + t->us);
    if (t->seconds < 0) {
        out[n++] = '-';
        seconds = 0 - (uint64_t)t->seconds - (us > 0);
        us = us > 0 ? 1000000 - us : 0;
    } else {
        seconds = (uint64_t)t->seconds;
    }
    n += newt__uint_text(seconds, out + n);
    digits(out + n, 6, us);
    return newt__text(p, NEWT__JSON_NUMBER, out, n + 6, true);
}

static bool
time_of_day(struct newt__projection *p, const newt__token *t)
{
    char out[27];
    int32_t day;
    uint32_t s;

    if (t->seconds < (int64_t)FIRST_DAY * DAY || t->seconds >= ((int64_t)LAST_DAY + 1) * DAY)
        return newt__word(p, NEWT__JSON_OBJECT) && newt__own_key(p, "::us") && microseconds(p, t) &&
               newt__word(p, NEWT__JSON_OBJECT_END);
    day = (int32_t)((t->seconds - (int64_t)FIRST_DAY * DAY) / DAY) + FIRST_DAY;
    s = (uint32_t)(t->seconds - (int64_t)day * DAY);
    date_text(out, day);
    out[10] = 'T';
    digits(out + 11, 2, s / 3600);
    out[13] = ':';
    digits(out + 14, 2, s / 60 % 60);
    out[16] = ':';
    digits(out + 17, 2, s % 60);
    out[19] = '.';
    digits(out + 20, 6, (uint32_t)t->us);
    out[26] = 'Z';
    return newt__text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

static bool
uuid(struct newt__projection *p, const newt__token *t)
{
    static const char hex[] = "0123456789abcdef";
    char out[36];
    size_t i, k = 0;

    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[k++] = '-';
        out[k++] = hex[(uint8_t)t->s[i] >> 4];
        out[k++] = hex[(uint8_t)t->s[i] & 15];
    }
    return newt__text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

/* ---- all of them -------------------------------------------------------------------------- */

bool
newt__rare_scalar(struct newt__projection *p, const newt__token *t)
{
    switch (t->kind) {
    case NEWT__TEXT:
    case NEWT__RAW_TEXT: return lossy(p, t);
    case NEWT__INT: return large_integer(p, t);
    case NEWT__NULL: return newt__word(p, NEWT__JSON_NULL);
    case NEWT__BOOL: return newt__word(p, t->boolean ? NEWT__JSON_TRUE : NEWT__JSON_FALSE);
    case NEWT__FLOAT:
    case NEWT__DOUBLE: return real(p, t);
    case NEWT__BIGNUM:
    case NEWT__DECIMAL: return number(p, &t->number);
    case NEWT__BYTES: return bytes(p, t);
    case NEWT__TIME: return time_of_day(p, t);
    case NEWT__DURATION: return microseconds(p, t);
    case NEWT__DATE: return date(p, t);
    case NEWT__UUID: return uuid(p, t);
    case NEWT__WEAK: return wrapped_uint(p, "::~>", (uint64_t)t->i);
    default: return wrapped_uint(p, "::->", t->u);
    }
}
