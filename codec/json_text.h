/*
 * json_text.h - JSON events as text, shared by the text sink and the projection's way to text
 *
 * Each value is followed by a comma, which the bracket that closes its container takes back; what
 * stands last, with depth 0, is for the caller to take back.
 */
#ifndef NEWT_JSON_TEXT_H
#define NEWT_JSON_TEXT_H

#include "item.h"

/* Bytes of s with its escapes. */
size_t newt__escaped_length(const char *s, size_t n);

static inline void
newt__put_byte(newt__buffer *b, char c)
{
    b->data[b->n++] = (uint8_t)c;
}

static inline bool
newt__put_open(newt__buffer *b, char bracket)
{
    if (!newt__room(b, 1))
        return false;
    newt__put_byte(b, bracket);
    return true;
}

static inline bool
newt__put_close(newt__buffer *b, char bracket)
{
    if (!newt__room(b, 2))
        return false;
    b->n -= b->data[b->n - 1] == ',';
    newt__put_byte(b, bracket);
    newt__put_byte(b, ',');
    return true;
}

/* A string that needs no escapes, or any string, and what follows it: ':' or ','. */
NEWT__INLINE bool
newt__put_plain(newt__buffer *b, const char *s, size_t n, char follow)
{
    uint8_t *p;

    if (!newt__room(b, n <= SIZE_MAX - 3 ? n + 3 : n))
        return false;
    p = b->data + b->n;
    b->n += n + 3;
    p[0] = '"';
    newt__copy(p + 1, s, n);
    p[n + 1] = '"';
    p[n + 2] = (uint8_t)follow;
    return true;
}

bool newt__put_string(newt__buffer *b, const char *s, size_t n, char follow);

/* What newt__project_text does with records for which there is no short cut (project.c). */
newt__code newt__record_text(const newt__env *env, const void *record, size_t n, newt__buffer *out,
                             bool *hidden, newt__fault *fault);

static inline bool
newt__put_int(newt__buffer *b, int64_t i)
{
    if (!newt__room(b, NEWT__UINT_TEXT + 2))
        return false;
    if (i < 0)
        newt__put_byte(b, '-');
    b->n += newt__uint_text(i < 0 ? 0 - (uint64_t)i : (uint64_t)i, (char *)b->data + b->n);
    newt__put_byte(b, ',');
    return true;
}

/* A number's text, true, false or null. */
static inline bool
newt__put_word(newt__buffer *b, const char *s, size_t n)
{
    if (!newt__room(b, n + 1))
        return false;
    newt__copy(b->data + b->n, s, n);
    b->n += n;
    newt__put_byte(b, ',');
    return true;
}

NEWT__INLINE bool
newt__put(newt__buffer *b, const newt__json *e)
{
    switch (e->kind) {
    case NEWT__JSON_OBJECT: return newt__put_open(b, '{');
    case NEWT__JSON_OBJECT_END: return newt__put_close(b, '}');
    case NEWT__JSON_ARRAY: return newt__put_open(b, '[');
    case NEWT__JSON_ARRAY_END: return newt__put_close(b, ']');
    case NEWT__JSON_KEY:
    case NEWT__JSON_STRING:
        if (NEWT__LIKELY(e->plain))
            return newt__put_plain(b, e->s, e->n, e->kind == NEWT__JSON_KEY ? ':' : ',');
        return newt__put_string(b, e->s, e->n, e->kind == NEWT__JSON_KEY ? ':' : ',');
    case NEWT__JSON_INT: return newt__put_int(b, e->i);
    case NEWT__JSON_NUMBER: return newt__put_word(b, e->s, e->n);
    case NEWT__JSON_TRUE: return newt__put_word(b, "true", 4);
    case NEWT__JSON_FALSE: return newt__put_word(b, "false", 5);
    default: return newt__put_word(b, "null", 4);
    }
}

#endif
