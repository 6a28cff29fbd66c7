/*
 * write.h - a record being written: what write.c and collect.c share
 *
 * Each item asks newt__item first, which refuses what may not stand here and makes room.
 */
#ifndef NEWT_WRITE_H
#define NEWT_WRITE_H

#include "item.h"

/* what is open; the counted ones close by themselves */
enum {
    NEWT__OPEN_ROOT,
    NEWT__OPEN_ARRAY,
    NEWT__OPEN_MAP,
    NEWT__OPEN_TAG,
    NEWT__OPEN_COLLECTED_ARRAY,
    NEWT__OPEN_COLLECTED_MAP,
    NEWT__OPEN_COLLECTED_PAIRS,
    NEWT__OPEN_COLLECTED_SET
};

/* what has been written and waits for its item */
enum {
    NEWT__PENDING_NOTHING,
    NEWT__PENDING_HIDDEN,
    NEWT__PENDING_SHARED, /* a map or an object */
    NEWT__PENDING_OBJECT, /* a map */
    NEWT__PENDING_STORE   /* an array of two */
};

/* what is to be written, as far as it matters to where it may stand */
enum newt__what {
    NEWT__WRITE_SCALAR,
    NEWT__WRITE_TEXT,
    NEWT__WRITE_RAW_TEXT,
    NEWT__WRITE_LIST,
    NEWT__WRITE_OTHER,
    NEWT__WRITE_FIELDS,
    NEWT__WRITE_OBJECT,
    NEWT__WRITE_TAG
};

#define NEWT__COLLECTED_LEFT (UINT64_MAX - 1) /* even, as a map's at a key */

enum {
    NEWT__HEAD = 9 /* bytes of the longest head */
};

/* An open container, and what it will give way to when it closes. */
struct newt__open {
    uint8_t kind;
    bool fields; /* collected map: must be one, tag 28 or 27 stands in front */
    bool raw;    /* collected map: a key is not UTF-8 */
    bool last;   /* collected map: a key may come again, its last value counts */
    uint8_t outer_kind;
    uint64_t outer_left;
    size_t begin;    /* collected: where the items begin */
    size_t marks;    /* and their marks */
    uint64_t shared; /* numbers given before */
};

NEWT__COLD bool newt__write_fail(newt__writer *w, newt__code code, const char *reason);
NEWT__COLD bool newt__write_grow(newt__writer *w, size_t extra);

static inline bool
newt__write_room(newt__writer *w, size_t extra)
{
    return NEWT__LIKELY(w->buf.cap - w->buf.n >= extra) || newt__write_grow(w, extra);
}

/* Notes that an item of a collected container begins here. */
bool newt__write_mark(newt__writer *w);

bool newt__may_follow(newt__writer *w, enum newt__what what);
bool newt__may_stand(newt__writer *w, enum newt__what what);

/* Whether an item may be written now; makes room for `extra` bytes. */
static inline bool
newt__item(newt__writer *w, enum newt__what what, size_t extra)
{
    if (NEWT__UNLIKELY(w->fault.code != NEWT__OK))
        return false;
    if (NEWT__UNLIKELY(w->left == 0))
        return newt__write_fail(w, NEWT__PROFILE, "one item too many");
    if (NEWT__UNLIKELY(w->pending != NEWT__PENDING_NOTHING)) {
        if (!newt__may_follow(w, what))
            return false;
    } else if (w->kind != NEWT__OPEN_ARRAY && !newt__may_stand(w, what)) {
        return false;
    }
    return newt__write_room(w, extra);
}

/* Enters a container whose head has just been written (or will be put in front). */
bool newt__enter(newt__writer *w, uint8_t kind, uint64_t left);

/* Closes the counted containers that are full. */
void newt__close_full(newt__writer *w);

/* Writes a head at p, where there is room; what is after it. */
static inline uint8_t *
newt__put_head(uint8_t *p, unsigned major, uint64_t u)
{
    uint8_t type = (uint8_t)(major << 5);

    if (NEWT__LIKELY(u < 24)) {
        p[0] = (uint8_t)(type | u);
        return p + 1;
    }
    if (u < 0x100) {
        p[0] = type | 24;
        p[1] = (uint8_t)u;
        return p + 2;
    }
    if (u < 0x10000) {
        p[0] = type | 25;
        newt__put16(p + 1, (uint16_t)u);
        return p + 3;
    }
    if (u < UINT64_C(0x100000000)) {
        p[0] = type | 26;
        newt__put32(p + 1, (uint32_t)u);
        return p + 5;
    }
    p[0] = type | 27;
    newt__put64(p + 1, u);
    return p + 9;
}

#endif
