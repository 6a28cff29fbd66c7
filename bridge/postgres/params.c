/*
 * params.c - parameters of statements and fields of their results, in binary
 */
#include "session.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ----------------------------------------------------------------------- */

static void
put32(uint8_t *to, uint32_t x)
{
    for (int i = 3; i >= 0; i--, x >>= 8)
        to[i] = (uint8_t)x;
}

static void
put64(uint8_t *to, uint64_t x)
{
    put32(to, (uint32_t)(x >> 32));
    put32(to + 4, (uint32_t)x);
}

enum {
    ARRAY_HEAD = 20
};

static void
array_append(newt__array *a, const void *prefix, size_t prefix_n, const void *p, size_t n)
{
    uint8_t length[4];

    if (a->failed)
        return;
    if (n > NEWT__LONGEST_MESSAGE || a->buf.n > NEWT__LONGEST_MESSAGE - n || a->n == INT32_MAX) {
        a->failed = NEWT_ELIMIT;
        return;
    }
    put32(length, (uint32_t)(n + prefix_n));
    if (!newt__buffer_reserve(&a->buf, sizeof length + prefix_n + n) ||
        !newt__buffer_append(&a->buf, length, sizeof length) ||
        (prefix_n > 0 && !newt__buffer_append(&a->buf, prefix, prefix_n)) ||
        (n > 0 && !newt__buffer_append(&a->buf, p, n)))
        a->failed = NEWT_ENOMEM;
    a->n++;
}

void
newt__array_begin(newt__array *a, uint32_t element_type)
{
    uint8_t head[ARRAY_HEAD];

    put32(head, 1); /* dimensions */
    put32(head + 4, 0);
    put32(head + 8, element_type);
    put32(head + 12, 0);
    put32(head + 16, 1); /* lower bound */
    a->buf.n = 0;
    a->n = 0;
    a->failed = newt__buffer_append(&a->buf, head, sizeof head) ? NEWT_OK : NEWT_ENOMEM;
}

void
newt__array_int(newt__array *a, int64_t x)
{
    uint8_t bytes[8];

    put64(bytes, (uint64_t)x);
    array_append(a, NULL, 0, bytes, sizeof bytes);
}

void
newt__array_int4(newt__array *a, int32_t x)
{
    uint8_t bytes[4];

    put32(bytes, (uint32_t)x);
    array_append(a, NULL, 0, bytes, sizeof bytes);
}

void
newt__array_bytes(newt__array *a, const void *p, size_t n)
{
    array_append(a, NULL, 0, p, n);
}

void
newt__array_json(newt__array *a, const void *p, size_t n)
{
    array_append(a, "\1", 1, p, n); /* the version of jsonb's binary form */
}

void
newt__array_null(newt__array *a)
{
    static const uint8_t null[4] = {0xff, 0xff, 0xff, 0xff};

    if (a->failed)
        return;
    if (!newt__buffer_append(&a->buf, null, sizeof null))
        a->failed = NEWT_ENOMEM;
    if (!a->failed)
        a->buf.data[7] = 1; /* "has nulls" */
    a->n++;
}

static void
param(newt__params *p, const void *s, size_t n)
{
    if (p->n == NEWT__MAX_PARAMS || n > NEWT__LONGEST_MESSAGE ||
        p->total > NEWT__LONGEST_MESSAGE - n) {
        p->failed = NEWT_ELIMIT;
        return;
    }
    p->values[p->n] = s;
    p->lengths[p->n] = (int)n;
    p->total += n;
    p->n++;
}

void
newt__param_int(newt__params *p, int64_t x)
{
    if (p->n < NEWT__MAX_PARAMS) {
        put64(p->small[p->n], (uint64_t)x);
        param(p, p->small[p->n], 8);
    } else {
        p->failed = NEWT_ELIMIT;
    }
}

void
newt__param_bytes(newt__params *p, const void *s, size_t n)
{
    param(p, s, s ? n : 0);
}

void
newt__param_text(newt__params *p, const char *s)
{
    param(p, s, s ? strlen(s) : 0);
}

void
newt__param_array(newt__params *p, newt__array *a)
{
    if (a->failed) {
        p->failed = a->failed;
        return;
    }
    if (a->n == 0)
        put32(a->buf.data, 0); /* an empty array has no dimensions */
    else
        put32(a->buf.data + 12, a->n);
    param(p, a->buf.data, a->n == 0 ? 12 : a->buf.n);
}

/* ---- results -------------------------------------------------------------------------- */

static int64_t
get(const char *s, int n)
{
    uint64_t x = 0;

    for (int i = 0; i < n; i++)
        x = x << 8 | (uint8_t)s[i];
    if (n == 4)
        return (int32_t)(uint32_t)x;
    return (int64_t)x;
}

int64_t
newt__field_int(const PGresult *r, int row, int column)
{
    int n = PQgetlength(r, row, column);

    return n == 8 || n == 4 ? get(PQgetvalue(r, row, column), n) : 0;
}

bool
newt__field_bool(const PGresult *r, int row, int column)
{
    return PQgetlength(r, row, column) == 1 && *PQgetvalue(r, row, column) != 0;
}

bool
newt__field_oids(const PGresult *r, int row, int column, newt__oids *l)
{
    const char *s = PQgetvalue(r, row, column);
    size_t n = (size_t)PQgetlength(r, row, column);
    int64_t count;

    if (PQgetisnull(r, row, column) || (n == 12 && get(s, 4) == 0))
        return true;
    if (n < ARRAY_HEAD || get(s, 4) != 1 || get(s + 4, 4) != 0 || get(s + 8, 4) != NEWT__OID_INT8)
        return false;
    count = get(s + 12, 4);
    if (count < 0 || (n - ARRAY_HEAD) / 12 != (size_t)count || (n - ARRAY_HEAD) % 12 != 0)
        return false;
    for (s += ARRAY_HEAD; count > 0; count--, s += 12)
        (void)newt__oids_add(l, get(s + 4, 8));
    return !l->failed;
}

/* The element of a text[] that begins at *s, which moves to the next: its length; -1: there is
 * none.
 */
static int64_t
next_text(const char **s, const char *end)
{
    int64_t n;

    if (end - *s < 4)
        return -1;
    n = get(*s, 4);
    *s += 4;
    if (n < 0)
        n = 0; /* null */
    if (n > end - *s)
        n = end - *s;
    *s += n;
    return n;
}

bool
newt__field_texts(const PGresult *r, int row, int column, newt__buffer *out)
{
    const char *s = PQgetvalue(r, row, column), *end = s + PQgetlength(r, row, column);
    int64_t count, n;

    if (PQgetisnull(r, row, column) || end - s < ARRAY_HEAD || get(s, 4) != 1 ||
        get(s + 8, 4) != NEWT__OID_TEXT)
        return true;
    count = get(s + 12, 4);
    for (s += ARRAY_HEAD; count > 0 && (n = next_text(&s, end)) >= 0; count--)
        if (!newt__buffer_append(out, s - n, (size_t)n) || !newt__buffer_append(out, "", 1))
            return false;
    return true;
}

void
newt__array_copy(newt__array *a, const PGresult *r, int row, int column)
{
    const char *s = PQgetvalue(r, row, column);
    size_t n = (size_t)PQgetlength(r, row, column);

    if (n <= ARRAY_HEAD) /* it is empty */
        return;
    a->buf.n = 0;
    a->failed = newt__buffer_append(&a->buf, s, n) ? NEWT_OK : NEWT_ENOMEM;
    a->n = a->failed ? 0 : (uint32_t)get(s + 12, 4);
}

bool
newt__array_has(const newt__array *a, const void *p, size_t n)
{
    const char *s = (const char *)a->buf.data + ARRAY_HEAD;
    const char *end = (const char *)a->buf.data + a->buf.n;

    for (uint32_t i = 0; i < a->n; i++) {
        int64_t length = next_text(&s, end);

        if (length == (int64_t)n && memcmp(s - n, p, n) == 0)
            return true;
    }
    return false;
}
