/*
 * simple.h - the commonest items in their simplest forms, for callers that can do without tokens
 *
 * Each function returns what is after the item, or NULL if something else stands there, which says
 * nothing about it: it is the reader's then, which knows all forms and what is wrong.
 */
#ifndef NEWT_SIMPLE_H
#define NEWT_SIMPLE_H

#include "item.h"

/* Text below 256 bytes, all of it ASCII that needs no escapes. */
static inline const uint8_t *
newt__short_text(const uint8_t *at, const uint8_t *end, const char **s, size_t *n)
{
    size_t left = (size_t)(end - at), length;

    if (left < 2)
        return NULL;
    length = (size_t)at[0] - 0x60;
    if (length < 24) {
        at++;
        left--;
    } else {
        if (at[0] != 0x78 || at[1] < 24)
            return NULL;
        length = at[1];
        at += 2;
        left -= 2;
    }
    if (length > left || !newt__is_simple(at, length, left))
        return NULL;
    *s = (const char *)at;
    *n = length;
    return at + length;
}

static inline const uint8_t *
newt__short_uint(const uint8_t *at, const uint8_t *end, int64_t *i)
{
    size_t left = (size_t)(end - at);

    if (left > 0 && at[0] < 24) {
        *i = at[0];
        return at + 1;
    }
    if (left > 1 && at[0] == 0x18 && at[1] >= 24) {
        *i = at[1];
        return at + 2;
    }
    if (left > 2 && at[0] == 0x19 && at[1] > 0) {
        *i = newt__get16(at + 1);
        return at + 3;
    }
    if (left > 4 && at[0] == 0x1a && newt__get16(at + 1) > 0) {
        *i = newt__get32(at + 1);
        return at + 5;
    }
    return NULL;
}

static inline const uint8_t *
newt__short_ref(const uint8_t *at, const uint8_t *end, int64_t *oid)
{
    if (end - at < 4 || at[0] != 0xd9 || newt__get16(at + 1) != NEWT__TAG_REF)
        return NULL;
    at = newt__short_uint(at + 3, end, oid);
    return at != NULL && *oid > 0 ? at : NULL;
}

/* The head of an array or a map of at most 65,535 items or fields; the major type has been seen. */
static inline const uint8_t *
newt__short_count(const uint8_t *at, const uint8_t *end, uint32_t *n)
{
    *n = at[0] & 31;
    if (*n < 24)
        return at + 1;
    if (end - at > 1 && at[0] % 32 == 24 && at[1] >= 24) {
        *n = at[1];
        return at + 2;
    }
    if (end - at > 2 && at[0] % 32 == 25 && at[1] > 0) {
        *n = newt__get16(at + 1);
        return at + 3;
    }
    return NULL;
}

/* Any item, of which only the lengths are looked at. */
const uint8_t *newt__skip_bytes(const uint8_t *at, const uint8_t *end);

static inline const uint8_t *
newt__skip_item(const uint8_t *at, const uint8_t *end)
{
    size_t length;

    if (at < end && at[0] < 24)
        return at + 1;
    length = at < end ? (size_t)at[0] - 0x60 : SIZE_MAX;
    return length < 24 && length < (size_t)(end - at) ? at + length + 1 : newt__skip_bytes(at, end);
}

/* A key that begins with "::" gets one more colon in the projection. */
static inline bool
newt__is_wrapper(const char *s, size_t n)
{
    return n >= 2 && s[0] == ':' && s[1] == ':';
}

/* The key of a field, after the last one; NULL: this is the first. */
NEWT__INLINE const uint8_t *
newt__short_key(const uint8_t *at, const uint8_t *end, const char **key, size_t *n)
{
    const char *last = *key;
    size_t last_n = *n;

    at = newt__short_text(at, end, key, n);
    if (at == NULL || newt__is_wrapper(*key, *n))
        return NULL;
    if (last != NULL &&
        (*n < last_n ||
         (*n == last_n && newt__compare((const uint8_t *)last, (const uint8_t *)*key, *n) >= 0)))
        return NULL;
    return at;
}

#endif
