/*
 * jsonb.h - jsonb values, written byte by byte
 *
 * In the form of utils/jsonb.h, since pushJsonbValue and JsonbValueToJsonb cost twice the whole
 * conversion, and gigabytes for millions of small containers. An object is its header, the entries
 * of its keys, the entries of its values, and the data of all of them in the same order; an array
 * has one entry for each element. An entry is the length of its data, or for every 32nd the end of
 * it. Containers and numbers are aligned.
 */
#ifndef NEWT_PG_JSONB_H
#define NEWT_PG_JSONB_H

#include "newt_pg.h"
#include "../codec/simple.h"

/* ---- the bytes --------------------------------------------------------------------------------
 */

typedef struct newt_pg_output {
    char *data;
    uint32 n, cap;
} newt_pg_output;

/* of one container */
typedef struct newt_pg_entries {
    uint32 at;     /* in the output: the next one */
    uint32 n;      /* written */
    uint32 length; /* of the data of all of them */
} newt_pg_entries;

enum {
    NEWT_PG_INT_DIGITS = 5, /* of an int64, to the base 10,000 */
    NEWT_PG_INT_ROOM = 32   /* a numeric of as many, aligned */
};

extern void newt_pg_output_begin(newt_pg_output *out, Size size);
extern void newt_pg_output_grow(newt_pg_output *out, Size room);
extern Jsonb *newt_pg_output_end(newt_pg_output *out);

static pg_attribute_always_inline void
newt_pg_output_room(newt_pg_output *out, Size room)
{
    if (unlikely(out->cap - out->n < room))
        newt_pg_output_grow(out, room);
}

static pg_attribute_always_inline void
newt_pg_put_entry(newt_pg_output *out, newt_pg_entries *entries, uint32 type, uint32 length)
{
    JEntry entry;

    entries->length += length;
    entry = entries->n++ % JB_OFFSET_STRIDE == 0 ? type | entries->length | JENTRY_HAS_OFF
                                                 : type | length;
    memcpy(out->data + entries->at, &entry, sizeof entry);
    entries->at += sizeof entry;
}

/* There is room. */
static pg_attribute_always_inline void
newt_pg_output_align(newt_pg_output *out)
{
    static const char zeros[sizeof(int32)];

    memcpy(out->data + out->n, zeros, sizeof zeros);
    out->n = INTALIGN(out->n);
}

static pg_attribute_always_inline void
newt_pg_put_header(newt_pg_output *out, newt_pg_entries *entries, uint32 header, Size n)
{
    newt_pg_output_room(out, sizeof(int32) + sizeof header + n * sizeof(JEntry));
    newt_pg_output_align(out);
    memcpy(out->data + out->n, &header, sizeof header);
    *entries = (newt_pg_entries){.at = out->n + sizeof header};
    out->n += (uint32)(sizeof header + n * sizeof(JEntry));
}

static pg_attribute_always_inline void
newt_pg_put_text(newt_pg_output *out, newt_pg_entries *entries, const char *s, size_t n)
{
    newt_pg_output_room(out, n);
    newt__copy((uint8_t *)out->data + out->n, s, n);
    out->n += (uint32)n;
    newt_pg_put_entry(out, entries, JENTRY_ISSTRING, (uint32)n);
}

/*
 * The numeric that int64_to_numeric would make, in numeric's short form on disk: a header of sign,
 * scale (none) and weight, then digits to the base 10,000 without zeros at either end. Made in
 * place it takes a tenth of the time, and most numbers are integers.
 */
static pg_attribute_always_inline void
newt_pg_put_int(newt_pg_output *out, newt_pg_entries *entries, int64 i)
{
    uint64 rest = i < 0 ? -(uint64)i : (uint64)i;
    int16 digits[NEWT_PG_INT_DIGITS];
    int n = 0, weight;
    uint32 start = out->n, size;
    uint16 header;
    char *to;

    newt_pg_output_room(out, NEWT_PG_INT_ROOM);
    newt_pg_output_align(out);
    to = out->data + out->n;
    if (rest < 10000) { /* the commonest */
        digits[0] = (int16)rest;
        n = rest > 0;
        weight = 0;
        memcpy(to + VARHDRSZ + sizeof header, digits, sizeof *digits);
    } else {
        while (rest > 0) {
            digits[NEWT_PG_INT_DIGITS - ++n] = (int16)(rest % 10000);
            rest /= 10000;
        }
        weight = n - 1;
        memcpy(to + VARHDRSZ + sizeof header, digits + NEWT_PG_INT_DIGITS - n,
               (size_t)n * sizeof *digits);
        for (int last = NEWT_PG_INT_DIGITS - 1; digits[last] == 0; last--)
            n--;
    }
    header = (uint16)(0x8000 | (i < 0 ? 0x2000 : 0) | weight);
    memcpy(to + VARHDRSZ, &header, sizeof header);
    size = VARHDRSZ + sizeof header + (uint32)n * sizeof *digits;
    SET_VARSIZE(to, size);
    out->n += size;
    newt_pg_put_entry(out, entries, JENTRY_ISNUMERIC, out->n - start);
}

/* ---- jsonb.c: what the codec's projection tells ------------------------------------------------
 */

/* A key, a value, or the beginning of an object or array. */
typedef struct newt_pg_node {
    uint8 kind;    /* newt__json_kind; NEWT__JSON_STRING for keys too */
    bool unsorted; /* object whose keys may not stand in jsonb's order */
    uint32 n;      /* bytes of a string; pairs or elements */
    union {
        const char *s;
        int64 i;
        Numeric number;
        uint32 link; /* the container around it; once it is closed: the node after it */
    } u;
} newt_pg_node;

/*
 * A document as the codec tells it, to be written as jsonb. Strings that lie in the record are
 * borrowed from it until newt_pg_jsonb_finish has copied them.
 */
typedef struct newt_pg_jsonb {
    newt_pg_node *nodes;
    uint32 n, cap;
    uint32 open; /* the innermost container that is open */
    size_t size; /* of the jsonb value, at most */
    uint32 n_text;
    char text[512]; /* strings that do not lie in the record, as long as there is room */
    newt_pg_node few[64];
} newt_pg_jsonb;

extern void newt_pg_jsonb_sink(newt__sink *sink, newt_pg_jsonb *out);
extern Jsonb *newt_pg_jsonb_finish(newt_pg_jsonb *out);

/* The same as a value of a container. */
extern void newt_pg_jsonb_put(const newt_pg_jsonb *nodes, newt_pg_output *out,
                              newt_pg_entries *entries);

/* ---- jsonb_direct.c ---------------------------------------------------------------------------
 */

/* The state of a record whose head has been read, if it is one that is written as it is read, and
 * is shown unchanged. Else NULL: the projection does it, or says what is wrong. */
extern Jsonb *newt_pg_jsonb_direct(const newt__reader *head);

#endif
