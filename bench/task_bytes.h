/*
 * task_bytes.h - the Task as the bytes that the limit sends: record and JSON, made beforehand
 */
#ifndef NEWT_BENCH_TASK_BYTES_H
#define NEWT_BENCH_TASK_BYTES_H

#include "workload.h"

#include <libpq-fe.h>

/* ---- bytes ---------------------------------------------------------------------------- */

/* A growing run of bytes, and numbers in network order as PostgreSQL's binary formats want them. */
typedef struct bytes {
    uint8_t *data;
    size_t n, cap;
} bytes;

static inline void
put(bytes *b, const void *p, size_t n)
{
    if (b->cap - b->n < n) {
        b->cap = (b->cap + n) * 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            give_up("allocation", "out of memory");
    }
    memcpy(b->data + b->n, p, n);
    b->n += n;
}

static inline void
put_number(bytes *b, uint64_t x, int size)
{
    uint8_t be[8];
    for (int i = 0; i < size; i++)
        be[i] = (uint8_t)(x >> (8 * (size - 1 - i)));
    put(b, be, (size_t)size);
}

static inline int64_t
number_at(const void *p, int size)
{
    uint64_t x = 0;
    for (int i = 0; i < size; i++)
        x = x << 8 | ((const uint8_t *)p)[i];
    return (int64_t)x;
}

/* A field of COPY BINARY, an element of a binary array: its length in front. */
static inline void
put_field(bytes *b, const void *p, size_t n)
{
    put_number(b, n, 4);
    put(b, p, n);
}

static inline void
put_bigint(bytes *b, int64_t x)
{
    put_number(b, 8, 4);
    put_number(b, (uint64_t)x, 8);
}

static inline void
begin_array(bytes *b, Oid element, size_t n)
{
    b->n = 0;
    put_number(b, 1, 4);
    put_number(b, 0, 4);
    put_number(b, element, 4);
    put_number(b, n, 4);
    put_number(b, 1, 4);
}

/* ---- the Task as record and as JSON ------------------------------------------------------ */

enum {
    INT8_OID = 20,
    BYTEA_OID = 17,
    TEXT_OID = 25,
    JSONB_OID = 3802
};

typedef struct task_bytes {
    uint8_t record[184];
    char json[240]; /* as jsonb's binary format: a version byte, then text */
    int record_n, json_n;
} task_bytes;

static inline uint8_t *
cbor_head(uint8_t *p, int major, uint64_t x)
{
    int size = x < 24 ? 0 : x <= UINT8_MAX ? 1 : x <= UINT16_MAX ? 2 : x <= UINT32_MAX ? 4 : 8;
    *p++ = (uint8_t)(major << 5 | (size == 0   ? (int)x
                                   : size == 1 ? 24
                                   : size == 2 ? 25
                                   : size == 4 ? 26
                                               : 27));
    for (int i = size - 1; i >= 0; i--)
        *p++ = (uint8_t)(x >> (8 * i));
    return p;
}

static inline uint8_t *
cbor_text(uint8_t *p, const char *s)
{
    size_t n = strlen(s);
    p = cbor_head(p, 3, n);
    memcpy(p, s, n);
    return p + n;
}

static inline uint8_t *
cbor_ref(uint8_t *p, int64_t oid)
{
    return cbor_head(cbor_head(p, 6, 38401), 0, (uint64_t)oid);
}

static inline void
task_bytes_of(task_bytes *t, int64_t i, int64_t rev)
{
    task_values v;
    task_values_of(&v, i, rev);
    uint8_t *p = cbor_head(t->record, 4, 3);
    p = cbor_head(cbor_text(p, "Task"), 0, 1);
    p = cbor_head(p, 5, i > 0 ? 5 : 4);
    p = cbor_head(cbor_text(p, "tags"), 4, 3);
    for (int k = 0; k < 3; k++)
        p = cbor_text(p, v.tags[k]);
    p = cbor_text(cbor_text(p, "state"), state_names[v.state]);
    p = cbor_text(cbor_text(p, "title"), v.title);
    if (i > 0)
        p = cbor_ref(cbor_text(p, "parent"), FIRST_OID + i - 1);
    p = cbor_head(cbor_text(p, "points"), 0, (uint64_t)v.points);
    t->record_n = (int)(p - t->record);

    char parent[48] = "";
    if (i > 0)
        snprintf(parent, sizeof parent, "\"parent\":{\"::=>\":%lld},",
                 (long long)(FIRST_OID + i - 1));
    t->json_n = snprintf(t->json, sizeof t->json,
                         "\001{\"tags\":[\"%s\",\"%s\",\"%s\"],\"state\":\"%s\",\"title\":\"%s\","
                         "%s\"points\":%d}",
                         v.tags[0], v.tags[1], v.tags[2], state_names[v.state], v.title, parent,
                         v.points);
}

/* The root: the record of {"items": {"last": reference}}. */
static inline void
root_bytes_of(task_bytes *t, int64_t last)
{
    uint8_t *p = cbor_head(t->record, 4, 3);
    p = cbor_head(cbor_text(p, "newt.Root"), 0, 1);
    p = cbor_head(cbor_text(cbor_head(p, 5, 1), "items"), 5, 1);
    p = cbor_ref(cbor_text(p, "last"), FIRST_OID + last);
    t->record_n = (int)(p - t->record);
    t->json_n = snprintf(t->json, sizeof t->json, "\001{\"items\":{\"last\":{\"::=>\":%lld}}}",
                         (long long)(FIRST_OID + last));
}

/* The parent's oid in a record, 0: none. All that a bare walk reads of it. */
static inline int64_t
parent_in(const uint8_t *record, int n)
{
    static const uint8_t key[] = {0x66, 'p', 'a', 'r', 'e', 'n', 't', 0xd9, 0x96, 0x01};
    for (const uint8_t *p = record; p + sizeof key < record + n; p++)
        if (*p == key[0] && memcmp(p, key, sizeof key) == 0) {
            p += sizeof key;
            int additional = *p & 31;
            return additional < 24 ? additional : number_at(p + 1, 1 << (additional - 24));
        }
    return 0;
}

#endif
