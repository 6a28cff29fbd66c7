/*
 * simple.c - items that are gone past
 */
#include "simple.h"

/* Bounded by the bytes: each turn takes at least one. */
const uint8_t *
newt__skip_bytes(const uint8_t *at, const uint8_t *end)
{
    for (uint64_t items = 1; items > 0; items--) {
        unsigned major, info;
        size_t width;
        uint64_t u;

        if (at >= end)
            return NULL;
        major = *at >> 5;
        info = *at++ & 31;
        width = info < 24 ? 0 : (size_t)1 << (info - 24) % 4;
        if (info > 27 || width > (size_t)(end - at))
            return NULL;
        u = width ? 0 : info;
        for (size_t i = 0; i < width; i++)
            u = u << 8 | *at++;
        if (major >= NEWT__BYTES_TYPE && major <= NEWT__MAP_TYPE && u > (size_t)(end - at))
            return NULL;
        switch (major) {
        case NEWT__BYTES_TYPE:
        case NEWT__TEXT_TYPE: at += u; break;
        case NEWT__ARRAY_TYPE: items += u; break;
        case NEWT__MAP_TYPE: items += 2 * u; break;
        case NEWT__TAG_TYPE: items++; break;
        default: break;
        }
    }
    return at;
}
