/*
 * text.c - UTF-8, the order of keys
 */
#include "item.h"

/* Length of the character that begins s (n > 0), or 0 and in *bad the length of the maximal part
 * that begins no character. */
static inline size_t
character(const uint8_t *s, size_t n, size_t *bad)
{
    uint8_t lead = s[0], from = 0x80, to = 0xbf;
    size_t length, i;

    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4) {
        *bad = 1;
        return 0;
    }
    if (lead < 0xe0) {
        length = 2;
    } else if (lead < 0xf0) {
        length = 3;
        if (lead == 0xe0)
            from = 0xa0; /* overlong */
        else if (lead == 0xed)
            to = 0x9f; /* surrogates */
    } else {
        length = 4;
        if (lead == 0xf0)
            from = 0x90; /* overlong */
        else if (lead == 0xf4)
            to = 0x8f; /* above U+10FFFF */
    }
    for (i = 1; i < length; i++) {
        if (i >= n || s[i] < from || s[i] > to) {
            *bad = i;
            return 0;
        }
        from = 0x80;
        to = 0xbf;
    }
    return length;
}

size_t
newt__utf8_valid(const void *text, size_t n)
{
    const uint8_t *s = text;
    size_t at = 0, bad, length;
    uint64_t w;

    for (;;) {
        while (n - at >= 8) {
            memcpy(&w, s + at, 8);
            if (w & NEWT__EACH(0x80))
                break;
            at += 8;
        }
        /* a word's worth of characters before the next look for ASCII */
        do {
            if (at >= n)
                return n;
            length = character(s + at, n - at, &bad);
            if (length == 0)
                return at;
            at += length;
        } while (at < n && s[at] >= 0x80);
    }
}

bool
newt__utf8_lossy(newt__buffer *out, const void *text, size_t n)
{
    static const char replacement[3] = {'\xef', '\xbf', '\xbd'};
    const uint8_t *s = text;
    size_t from = 0, at = 0, bad = 1, length;

    while (at < n) {
        length = s[at] == 0 ? 0 : character(s + at, n - at, &bad);
        if (length > 0) {
            at += length;
            continue;
        }
        if (!newt__buffer_append(out, s + from, at - from) ||
            !newt__buffer_append(out, replacement, sizeof replacement))
            return false;
        at += s[at] == 0 ? 1 : bad;
        from = at;
    }
    return newt__buffer_append(out, s + from, at - from);
}

int
newt__key_order(const void *a, size_t na, const void *b, size_t nb)
{
    if (na != nb)
        return na < nb ? -1 : 1;
    return na > 0 ? memcmp(a, b, na) : 0;
}
