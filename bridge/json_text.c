/*
 * json_text.c - JSON text that the server made, as a jansson value
 *
 * jansson holds integers of 64 bits with a sign and doubles, and refuses a text that has any other
 * number in it. So those numbers are found first, and put in another form, each by itself: an
 * integer that a double holds exactly becomes a real, any other number its text. The rest of the
 * document is as it was.
 */
#include "object.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DIGITS = 400 /* of an integer that may be a double: the largest has 309 */
};

typedef enum form {
    AS_IT_IS,
    REAL,
    TEXT
} form;

static bool
is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The number at s, as it is in JSON. */
static form
form_of(const char *s, size_t n)
{
    char text[MOST_DIGITS + 2], back[MOST_DIGITS + 2];
    bool integer = true;
    double x;

    for (size_t i = 0; i < n; i++)
        integer &= s[i] == '-' || (s[i] >= '0' && s[i] <= '9');
    if (integer && n < 19)
        return AS_IT_IS;
    if (n > MOST_DIGITS)
        return TEXT;
    memcpy(text, s, n);
    text[n] = 0;
    if (integer) {
        errno = 0;
        (void)strtoll(text, NULL, 10);
        if (errno == 0)
            return AS_IT_IS;
        x = strtod(text, NULL);
        if (!isfinite(x) || snprintf(back, sizeof back, "%.0f", x) != (int)n)
            return TEXT;
        return memcmp(back, text, n) == 0 ? REAL : TEXT;
    }
    return isfinite(strtod(text, NULL)) ? AS_IT_IS : TEXT;
}

/* The end of the string that begins at s. */
static size_t
string_end(const char *s, size_t n, size_t at)
{
    for (at++; at < n && s[at] != '"'; at++)
        at += s[at] == '\\';
    return at < n ? at + 1 : n;
}

/* A copy with every number in a form that jansson takes; NULL: no memory. */
static char *
suitable(const char *s, size_t n, size_t *out_n)
{
    char *out = n < SIZE_MAX / 4 ? malloc(3 * n + 1) : NULL, *to = out;
    size_t end;

    for (size_t at = 0; out && at < n; at = end) {
        form f = AS_IT_IS;

        end = at + 1;
        if (s[at] == '"') {
            end = string_end(s, n, at);
        } else if (is_of_number(s[at]) && s[at] != 'e') { /* not the one of true and false */
            while (end < n && is_of_number(s[end]))
                end++;
            f = form_of(s + at, end - at);
        }
        if (f == TEXT)
            *to++ = '"';
        memcpy(to, s + at, end - at);
        to += end - at;
        if (f == TEXT)
            *to++ = '"';
        if (f == REAL) {
            memcpy(to, ".0", 2);
            to += 2;
        }
    }
    *out_n = out ? (size_t)(to - out) : 0;
    return out;
}

json_t *
newt__json_of_text(const char *s, size_t n)
{
    /* nearly always at once; duplicate keys of a json column: the last counts, as in jsonb */
    json_t *json = json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    size_t m;
    char *text;

    if (json)
        return json;
    text = suitable(s, n, &m);
    if (!text)
        return NULL;
    json = json_loadb(text, m, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    free(text);
    /* what is left is nested deeper than jansson goes, or no JSON after all */
    return json ? json : json_stringn(s, n);
}
