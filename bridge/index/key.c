/*
 * key.c - keys of indexes, as bytes that memcmp() orders
 *
 * Numbers are big-endian, with the sign turned over. In texts and bytes each 0 is followed by 0xff,
 * and 0 0 ends them, so that what follows in a composite key does not matter before they end.
 */
#include "index.h"

#include <string.h>

enum {
    IS_NULL = 1
};

static int
put_bytes(newt__index_key *k, const void *p, size_t n)
{
    if (n > (size_t)(NEWT_INDEX_KEY - k->n))
        return NEWT_ELIMIT;
    memcpy(k->bytes + k->n, p, n);
    k->n = (uint16_t)(k->n + n);
    return NEWT_OK;
}

/* The lowest n bytes of a number. */
static int
put_number(newt__index_key *k, uint64_t x, size_t n)
{
    uint8_t bytes[sizeof x];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(x >> 8 * (n - 1 - i));
    return put_bytes(k, bytes, n);
}

static int
put_signed(newt__index_key *k, int64_t x)
{
    return put_number(k, (uint64_t)x ^ UINT64_C(1) << 63, sizeof x);
}

static int
put_text(newt__index_key *k, const newt_bytes *t)
{
    const uint8_t *p = t->p, *end = t->p + t->n;
    int status = NEWT_OK;

    while (status == NEWT_OK && p < end) {
        const uint8_t *zero = memchr(p, 0, (size_t)(end - p));
        const uint8_t *to = zero ? zero : end;

        status = put_bytes(k, p, (size_t)(to - p));
        if (status == NEWT_OK && zero)
            status = put_bytes(k, "\0\xff", 2);
        p = zero ? zero + 1 : end;
    }
    return status == NEWT_OK ? put_bytes(k, "\0\0", 2) : status;
}

static int64_t
read_int(const void *p, uint32_t size)
{
    switch (size) {
    case 1: return *(const int8_t *)p;
    case 2: return *(const int16_t *)p;
    case 4: return *(const int32_t *)p;
    default: return *(const int64_t *)p;
    }
}

static uint64_t
read_uint(const void *p, uint32_t size)
{
    switch (size) {
    case 1: return *(const uint8_t *)p;
    case 2: return *(const uint16_t *)p;
    case 4: return *(const uint32_t *)p;
    default: return *(const uint64_t *)p;
    }
}

/* One value; IS_NULL: there is none. */
static int
put_value(newt__index_key *k, const newt__field *f, const void *p)
{
    if (f->nullable && newt__is_null(f->f.kind, p))
        return IS_NULL;
    switch (f->f.kind) {
    case NEWT_K_BOOL: return put_number(k, *(const bool *)p, 1);
    case NEWT_K_UINT: return put_number(k, read_uint(p, f->f.size), sizeof(uint64_t));
    case NEWT_K_TEXT:
    case NEWT_K_BYTES: return put_text(k, p);
    case NEWT_K_DATE:
        return put_number(k, (uint32_t)((const newt_date *)p)->days ^ UINT32_C(1) << 31,
                          sizeof(int32_t));
    case NEWT_K_UUID: return put_bytes(k, p, sizeof(newt_uuid));
    default: /* an int, an enum, a time, a reference */
        return put_signed(k, read_int(p, f->f.size));
    }
}

int
newt__index_key_of(const newt__class_index *x, int64_t oid, const void *object,
                   newt__index_key *out)
{
    int status = NEWT_OK;

    out->n = 0;
    out->absent = !object || (x->where && !x->where(object));
    for (uint32_t i = 0; i < x->n_parts && !out->absent && status == NEWT_OK; i++) {
        status = put_value(out, x->parts[i], (const char *)object + x->parts[i]->f.offset);
        if (status == IS_NULL) {
            out->absent = true;
            status = NEWT_OK;
        }
    }
    if (status != NEWT_OK || out->absent || x->unique)
        return status;
    for (size_t i = 0; i < sizeof oid; i++)
        out->bytes[out->n++] = (uint8_t)((uint64_t)oid >> 8 * (sizeof oid - 1 - i));
    return NEWT_OK;
}

int
newt__index_key_given(const newt__class_index *x, const void *key, uint32_t parts,
                      newt__index_key *out)
{
    int status = NEWT_OK;

    out->n = 0;
    out->absent = false;
    for (uint32_t i = 0; i < parts && status == NEWT_OK; i++)
        status = put_value(out, x->parts[i], (const char *)key + x->key_at[i]);
    return status == IS_NULL ? NEWT_EINVAL : status;
}

bool
newt__index_key_next(newt__index_key *k)
{
    while (k->n > 0 && k->bytes[k->n - 1] == UINT8_MAX)
        k->n--;
    if (k->n > 0)
        k->bytes[k->n - 1]++;
    return k->n > 0;
}
