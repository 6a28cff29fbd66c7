/*
 * text_value.c - values whose JSON is a text, read back from it
 *
 * The reverse of what scalar.c shows. What it does not show is not taken, but for the capitals of a
 * UUID where the caller allows them.
 */
#include "item.h"

/* n digits at s as a number, or -1. */
static int64_t
digits(const char *s, size_t n)
{
    int64_t x = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        x = x * 10 + (s[i] - '0');
    }
    return x;
}

/* As date_text() in scalar.c: years that begin with March. */
bool
newt__parse_date(const char *s, size_t n, int64_t *days)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month, day, march, of_year;
    bool leap;

    if (n != 10 || s[4] != '-' || s[7] != '-')
        return false;
    year = digits(s, 4);
    month = digits(s + 5, 2);
    day = digits(s + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (leap && month == 2))
        return false;
    year -= month <= 2;
    march = month > 2 ? month - 3 : month + 9;
    of_year = (153 * march + 2) / 5 + day - 1;
    *days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719468;
    return true;
}

bool
newt__parse_time(const char *s, size_t n, int64_t *us)
{
    int64_t days, hour, minute, second, rest;

    if (n != 27 || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[26] != 'Z' ||
        !newt__parse_date(s, 10, &days))
        return false;
    hour = digits(s + 11, 2);
    minute = digits(s + 14, 2);
    second = digits(s + 17, 2);
    rest = digits(s + 20, 6);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || rest < 0)
        return false;
    *us = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000 + rest;
    return true;
}

bool
newt__parse_uuid(const char *s, size_t n, bool capitals, uint8_t out[16])
{
    static const char hex[] = "0123456789abcdef";
    size_t nibbles = 0;

    if (n != 36)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = capitals && s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] | 0x20) : s[i];
        const char *digit;

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return false;
            continue;
        }
        digit = memchr(hex, c, sizeof hex - 1);
        if (digit == NULL)
            return false;
        if (nibbles % 2 == 0)
            out[nibbles / 2] = (uint8_t)((digit - hex) << 4);
        else
            out[nibbles / 2] |= (uint8_t)(digit - hex);
        nibbles++;
    }
    return true;
}

newt__code
newt__parse_base64(newt__buffer *out, const char *s, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (n % 4 != 0)
        return NEWT__MALFORMED;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t x = 0;
        size_t pad = 0;
        uint8_t three[3];

        for (size_t j = 0; j < 4; j++) {
            const char *digit = memchr(alphabet, s[i + j], sizeof alphabet - 1);

            if (s[i + j] == '=' && i + 4 == n && j >= 2)
                pad++;
            else if (digit == NULL || pad > 0)
                return NEWT__MALFORMED;
            x = x << 6 | (digit != NULL ? (uint32_t)(digit - alphabet) : 0);
        }
        if ((pad == 1 && (x & 0xff)) || (pad == 2 && (x & 0xffff)))
            return NEWT__MALFORMED;
        three[0] = (uint8_t)(x >> 16);
        three[1] = (uint8_t)(x >> 8);
        three[2] = (uint8_t)x;
        if (!newt__buffer_append(out, three, 3 - pad))
            return NEWT__NOMEM;
    }
    return NEWT__OK;
}
