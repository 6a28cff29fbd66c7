/*
 * json_text.c - JSON text that the server made, as a jansson value
 *
 * jansson refuses a whole text for one part that it cannot hold: a number that is neither a 64-bit
 * integer with a sign nor a double, half of a surrogate pair, a key with a NUL (a json column may
 * have these, a jsonb has neither), what is nested below its limit. So each such part is found and
 * put in another form by itself: an integer that a double holds exactly becomes a real; any other
 * number and what is nested too deep become their text; of a string the escape sequence stays as it
 * is written. The rest of the document is as it was.
 */
#include "record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DIGITS = 400, /* of an integer that may be a double: the largest has 309 */
    DEEPEST = 2047     /* containers that jansson takes, with a value in the innermost */
};

typedef enum form {
    AS_IT_IS,
    REAL,
    TEXT
} form;

static bool
jansson_takes(const char *s, size_t n)
{
    json_t *json = json_loadb(s, n, JSON_DECODE_ANY, NULL);

    json_decref(json);
    return json != NULL;
}

/* The number at s, as it is in JSON. */
static form
form_of(const char *s, size_t n)
{
    char text[MOST_DIGITS + 2], back[MOST_DIGITS + 2];
    double x;

    if (n < 19 && !memchr(s, 'e', n) && !memchr(s, 'E', n))
        return AS_IT_IS;
    if (jansson_takes(s, n))
        return AS_IT_IS;
    if (n > MOST_DIGITS || strspn(s, "-0123456789") < n)
        return TEXT;
    memcpy(text, s, n);
    text[n] = 0;
    x = strtod(text, NULL);
    if (!isfinite(x) || snprintf(back, sizeof back, "%.0f", x) != (int)n)
        return TEXT;
    return memcmp(back, text, n) == 0 ? REAL : TEXT;
}

bool
newt__is_jansson_number(const char *s, size_t n)
{
    return form_of(s, n) != TEXT;
}

/* ---- a text that jansson has refused ------------------------------------------------------- */

/* A text that is being copied; to has room for three times the bytes that are left. */
typedef struct copy {
    const char *s;
    size_t n, at;
    char *to;
} copy;

static bool
is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void
put(copy *c, const char *s, size_t n)
{
    memcpy(c->to, s, n);
    c->to += n;
}

static void
number(copy *c)
{
    size_t begin = c->at;
    form f;

    while (c->at < c->n && is_of_number(c->s[c->at]))
        c->at++;
    f = form_of(c->s + begin, c->at - begin);
    put(c, "\"", f == TEXT);
    put(c, c->s + begin, c->at - begin);
    put(c, "\"", f == TEXT);
    put(c, ".0", f == REAL ? 2 : 0);
}

/* Where the string that begins at `at` has ended. */
static size_t
string_end(const copy *c, size_t at)
{
    for (at++; at < c->n && c->s[at] != '"'; at++)
        at += c->s[at] == '\\';
    return at < c->n ? at + 1 : c->n;
}

/* The code unit that the escape sequence at s stands for; -1: it is not of this kind. */
static long
unit(const char *s, const char *end)
{
    char digits[5] = {0};

    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    memcpy(digits, s + 2, 4);
    return strtol(digits, NULL, 16);
}

static void
string(copy *c)
{
    const char *s = c->s + c->at, *end;
    size_t next;
    bool key;

    next = c->at = string_end(c, c->at);
    end = c->s + c->at;
    while (next < c->n && strchr(" \t\r\n", c->s[next]))
        next++;
    key = next < c->n && c->s[next] == ':';
    while (s < end) {
        long u = unit(s, end);
        size_t n = u >= 0 ? 6 : *s == '\\' && end - s > 1 ? 2 : 1;

        if (u >= 0xd800 && u < 0xdc00 && unit(s + 6, end) >= 0xdc00 && unit(s + 6, end) < 0xe000)
            n = 12; /* a pair */
        else if ((u >= 0xd800 && u < 0xe000) || (u == 0 && key))
            put(c, "\\", 1);
        put(c, s, n);
        s += n;
    }
}

/* The container that begins here, as a string of its text. */
static void
as_text(copy *c)
{
    size_t depth = 0, end;

    put(c, "\"", 1);
    do {
        end = c->s[c->at] == '"' ? string_end(c, c->at) : c->at + 1;
        depth += c->s[c->at] == '[' || c->s[c->at] == '{';
        depth -= c->s[c->at] == ']' || c->s[c->at] == '}';
        for (; c->at < end; c->at++) {
            char x = c->s[c->at];

            if (x == '"' || x == '\\')
                put(c, "\\", 1);
            put(c, strchr("\t\r\n", x) ? " " : &x, 1);
        }
    } while (depth > 0 && c->at < c->n);
    put(c, "\"", 1);
}

/* A copy that jansson takes; NULL: no memory. */
static char *
suitable(const char *s, size_t n, size_t *out_n)
{
    char *out = n < SIZE_MAX / 4 ? malloc(3 * n + 1) : NULL;
    copy c = {s, n, 0, out};
    size_t depth = 0;

    while (out && c.at < n) {
        char x = s[c.at];

        if (x == '"') {
            string(&c);
        } else if (is_of_number(x) && x != 'e') { /* not the one of true and false */
            number(&c);
        } else if ((x == '[' || x == '{') && depth == DEEPEST) {
            as_text(&c);
        } else {
            depth += x == '[' || x == '{';
            depth -= x == ']' || x == '}';
            put(&c, s + c.at++, 1);
        }
    }
    *out_n = out ? (size_t)(c.to - out) : 0;
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
    return json ? json : json_stringn(s, n);
}
