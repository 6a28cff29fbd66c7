/*
 * json_text.c - a sink that writes compact JSON text
 */
#include "json_text.h"

static const char hex[] = "0123456789abcdef";

/* What follows the backslash; 'u': four hexadecimal digits. 0: no escape. */
static inline char
escape(uint8_t c)
{
    static const char control[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

    return c < 0x20 ? control[c] : c == '"' || c == '\\' ? (char)c : 0;
}

size_t
newt__escaped_length(const char *s, size_t n)
{
    size_t length = n, i;
    char e;

    for (i = 0; i < n; i++) {
        e = escape((uint8_t)s[i]);
        length += e == 0 ? 0 : e == 'u' ? 5 : 1;
    }
    return length;
}

static bool
put_escaped(newt__buffer *b, const char *s, size_t n)
{
    size_t at = 0, run;
    uint8_t c;

    while (at < n) {
        run = newt__plain_run(s + at, n - at);
        /* the run, and one escape */
        if (!newt__room(b, run + 6))
            return false;
        newt__copy(b->data + b->n, s + at, run);
        b->n += run;
        at += run;
        if (at == n)
            break;
        c = (uint8_t)s[at++];
        newt__put_byte(b, '\\');
        newt__put_byte(b, escape(c));
        if (escape(c) == 'u') {
            newt__put_byte(b, '0');
            newt__put_byte(b, '0');
            newt__put_byte(b, hex[c >> 4]);
            newt__put_byte(b, hex[c & 15]);
        }
    }
    return true;
}

bool
newt__put_string(newt__buffer *b, const char *s, size_t n, char follow)
{
    if (!newt__room(b, n <= SIZE_MAX - 3 ? n + 3 : n))
        return false;
    newt__put_byte(b, '"');
    if (!put_escaped(b, s, n) || !newt__room(b, 2))
        return false;
    newt__put_byte(b, '"');
    newt__put_byte(b, follow);
    return true;
}

static int
event(void *arg, const newt__json *e)
{
    newt__json_text *text = arg;

    if (!newt__put(text->out, e))
        return -1;
    if (e->kind == NEWT__JSON_OBJECT || e->kind == NEWT__JSON_ARRAY)
        text->depth++;
    else if (e->kind == NEWT__JSON_OBJECT_END || e->kind == NEWT__JSON_ARRAY_END)
        text->depth--;
    if (text->depth == 0)
        text->out->n--; /* the comma */
    return 0;
}

static void
restart(void *arg)
{
    newt__json_text *text = arg;

    text->out->n = text->start;
    text->depth = 0;
}

void
newt__json_text_sink(newt__sink *sink, newt__json_text *text, newt__buffer *out)
{
    text->out = out;
    text->start = out->n;
    text->depth = 0;
    sink->event = event;
    sink->restart = restart;
    sink->reject = NULL;
    sink->arg = text;
}
