/*
 * oids.c - lists of oids that grow
 */
#include "storage.h"

#include <stdlib.h>

bool
newt__oids_add(newt__oids *l, int64_t oid)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        int64_t *more = cap < SIZE_MAX / sizeof *more ? realloc(l->oids, cap * sizeof *more) : NULL;

        if (!more) {
            l->failed = true;
            return false;
        }
        l->oids = more;
        l->cap = cap;
    }
    l->oids[l->n++] = oid;
    return true;
}

void
newt__oids_sort(newt__oids *l)
{
    if (l->n > 1)
        qsort(l->oids, l->n, sizeof *l->oids, newt__by_oid);
}

bool
newt__oids_has(const newt__oids *l, int64_t oid)
{
    return l->n > 0 && bsearch(&oid, l->oids, l->n, sizeof oid, newt__by_oid) != NULL;
}

void
newt__oids_free(newt__oids *l)
{
    free(l->oids);
    *l = (newt__oids){0};
}
