/*
 * record.c - records of ours in the changes: removed objects, and serials of the base
 *
 *   [ "newt.Removed", 1, { "class": "Task" } ]
 *   [ "newt.Layer", 1, { "base": h'oid, serial, oid, serial, ...' } ]   of 8 bytes each, big-endian
 */
#include "session.h"

#include <string.h>

static const char removed[] = "newt.Removed", pairs_class[] = "newt.Layer";

enum {
    PAIR = 16 /* bytes */
};

/* The record's head: an array of three, and the name. */
static bool
is_of(const newt__found *found, const char *name)
{
    const uint8_t *p = found->record;
    size_t n = strlen(name);

    return found->record && found->n > n + 2 && p[0] == 0x83 && p[1] == 0x60 + n &&
           memcmp(p + 2, name, n) == 0;
}

bool
newt__is_tombstone(const newt__found *found)
{
    return is_of(found, removed);
}

bool
newt__is_object(const newt__found *found)
{
    return !is_of(found, removed) && !is_of(found, pairs_class);
}

static newt__code
write_field(newt__writer *w, const char *class_name, const char *field, const void *p, size_t n,
            bool text)
{
    newt__write_begin(w, class_name, strlen(class_name), 1);
    newt__write_map(w, 1);
    newt__write_text(w, field, strlen(field));
    if (text)
        newt__write_text(w, p, n);
    else
        newt__write_bytes(w, p, n);
    return newt__write_end(w);
}

/* The value of the one field, or "". */
static const char *
read_field(const newt__found *found, size_t *n)
{
    newt__reader r;
    newt__token t = {0};

    *n = 0;
    if (newt__read_begin(&r, &newt__malloc_env, found->record, found->n) != NEWT__OK ||
        newt__read(&r, &t) != NEWT__OK || t.kind != NEWT__MAP || newt__read(&r, &t) != NEWT__OK ||
        newt__read(&r, &t) != NEWT__OK || (t.kind != NEWT__TEXT && t.kind != NEWT__BYTES))
        return "";
    *n = t.n;
    return t.s;
}

newt__code
newt__tombstone_write(newt__writer *w, const char *class_name, size_t n)
{
    return write_field(w, removed, "class", class_name, n, true);
}

const char *
newt__tombstone_class(const newt__found *found, size_t *n)
{
    return read_field(found, n);
}

static void
put_number(uint8_t *to, int64_t x)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)((uint64_t)x >> (56 - 8 * i));
}

static int64_t
get_number(const uint8_t *from)
{
    uint64_t x = 0;

    for (int i = 0; i < 8; i++)
        x = x << 8 | from[i];
    return (int64_t)x;
}

newt__code
newt__pairs_write(newt__writer *w, const int64_t *pairs, size_t n)
{
    newt__buffer bytes = {.env = &newt__malloc_env};
    newt__code code = NEWT__NOMEM;

    if (newt__buffer_reserve(&bytes, n * PAIR)) {
        for (size_t i = 0; i < 2 * n; i++)
            put_number(bytes.data + 8 * i, pairs[i]);
        code = write_field(w, pairs_class, "base", bytes.data, n * PAIR, false);
    }
    newt__buffer_free(&bytes);
    return code;
}

bool
newt__pairs_read(const newt__found *found, bool (*add)(void *arg, int64_t oid, int64_t serial),
                 void *arg)
{
    size_t n;
    const uint8_t *p;

    if (!is_of(found, pairs_class))
        return true;
    p = (const uint8_t *)read_field(found, &n);
    for (size_t i = 0; i + PAIR <= n; i += PAIR)
        if (!add(arg, get_number(p + i), get_number(p + i + 8)))
            return false;
    return true;
}
