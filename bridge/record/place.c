/*
 * place.c - where in an object something is wrong, for messages
 */
#include "record.h"

#include <stdio.h>
#include <string.h>

enum {
    LONGEST_PLACE = 200
};

/* "steps[2].hours", the outermost first; cut at its end. */
static size_t
place_text(const newt__place *place, char *out, size_t n)
{
    const newt__place *steps[32];
    size_t depth = 0, at = 0, skip = 0;

    for (const newt__place *p = place; p; p = p->up)
        skip++;
    skip = skip > sizeof steps / sizeof *steps ? skip - sizeof steps / sizeof *steps : 0;
    for (const newt__place *p = place; p; p = p->up) {
        if (skip > 0)
            skip--;
        else
            steps[depth++] = p;
    }
    *out = 0;
    while (depth > 0 && at < n - 1) {
        const newt__place *p = steps[--depth];
        int more;

        if (p->field)
            more = snprintf(out + at, n - at, "%s%s", at ? "." : "", p->field->as);
        else if (p->key)
            more = snprintf(out + at, n - at, "[\"%.*s\"]", p->key->n < 60 ? (int)p->key->n : 60,
                            p->key->s ? p->key->s : "");
        else
            more = snprintf(out + at, n - at, "[%zu]", p->index);
        if (more < 0)
            break;
        at += (size_t)more;
    }
    return at;
}

const char *
newt__place_name(char out[NEWT__PLACE_SIZE], int64_t oid, const newt__class *k,
                 const newt__place *place)
{
    enum {
        n = NEWT__PLACE_SIZE
    };
    char where[LONGEST_PLACE];

    if (place) {
        place_text(place, where, sizeof where);
        snprintf(out, n, "field \"%s\" of %s %lld", where, k->name, (long long)oid);
    } else {
        snprintf(out, n, "%s %lld", k->name, (long long)oid);
    }
    return out;
}

int
newt__fail_at(newt_error *e, int status, int64_t oid, const newt__class *k,
              const newt__place *place, const char *format, ...)
{
    char name[NEWT__PLACE_SIZE], text[300];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        *text = 0;
    va_end(args);
    newt__fail(e, status, oid, "%s %s", newt__place_name(name, oid, k, place), text);
    if (k)
        newt__fail_class(e, k->name, strlen(k->name));
    return status;
}
