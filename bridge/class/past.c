/*
 * past.c - what older records of a class have: the names that its fields had, and what is dropped
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

static bool
add_past(newt__block **blocks, newt__class *k, const newt__field *f, uint32_t rank,
         const char *name, newt_error *e)
{
    newt__past *p = &k->past[k->n_past];

    if (!newt__check_past_name(e, k, f, name))
        return false;
    *p = (newt__past){.n = (uint32_t)strlen(name), .rank = rank, .field = f};
    p->name = newt__block_text(blocks, name, p->n, e);
    k->n_past++;
    return p->name != NULL;
}

static int
by_past_name(const void *a, const void *b)
{
    const newt__past *x = a, *y = b;

    return newt__key_order(x->name, x->n, y->name, y->n);
}

bool
newt__past_copy(newt__block **blocks, newt__class *k, newt_error *e)
{
    const char *const *dropped = k->table->dropped;
    size_t n = 0;

    for (; dropped && dropped[n]; n++)
        ;
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt_field *t = &k->fields[i].f;

        n += t->was != NULL;
        for (size_t j = 0; t->were && t->were[j]; j++)
            n++;
    }
    if (n > NEWT__MAX_FIELDS)
        return newt__class_refuse(e, "class \"%s\" has more than %d names of older fields", k->name,
                                  NEWT__MAX_FIELDS);
    if (n == 0)
        return true;
    if (!(k->past = newt__block_take(blocks, n * sizeof *k->past, e)))
        return false;
    for (size_t i = 0; dropped && dropped[i]; i++)
        if (!add_past(blocks, k, NULL, 0, dropped[i], e))
            return false;
    for (uint32_t i = 0; i < k->n_fields; i++) {
        newt_field *t = &k->fields[i].f;
        uint32_t rank = 0;

        if (t->was && !add_past(blocks, k, &k->fields[i], rank++, t->was, e))
            return false;
        for (size_t j = 0; t->were && t->were[j]; j++)
            if (!add_past(blocks, k, &k->fields[i], rank++, t->were[j], e))
                return false;
        t->was = NULL; /* the program's */
        t->were = NULL;
    }
    qsort(k->past, k->n_past, sizeof *k->past, by_past_name);
    return newt__check_past(e, k);
}

const newt__past *
newt__class_past(const newt__class *k, const char *name, size_t n)
{
    size_t low = 0, high = k->n_past;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const newt__past *p = &k->past[middle];
        int order = newt__key_order(name, n, p->name, p->n);

        if (order == 0)
            return p;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
