/*
 * index.c - by what the objects of a class are found: the indexes of a class table
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

static const newt__field *
member(const newt__class *k, const char *name)
{
    for (uint32_t i = 0; name && i < k->n_fields; i++)
        if (strcmp(k->fields[i].f.name, name) == 0)
            return &k->fields[i];
    return NULL;
}

/* Kinds that have an order, and one form of each value. */
static bool
can_be_key(const newt__field *f)
{
    switch (f->f.kind) {
    case NEWT_K_BOOL:
    case NEWT_K_INT:
    case NEWT_K_UINT:
    case NEWT_K_ENUM:
    case NEWT_K_TEXT:
    case NEWT_K_BYTES:
    case NEWT_K_TIME:
    case NEWT_K_DATE:
    case NEWT_K_UUID:
    case NEWT_K_REF:
    case NEWT_K_WEAK: return f->f.shape == NEWT_ONE;
    default: return false;
    }
}

static bool
add_part(newt__class_index *x, const newt_index_part *part, newt_error *e)
{
    const newt__field *f = member(x->class, part->field);

    if (!f)
        return newt__class_refuse(e,
                                  "index \"%s\" is over \"%s\", which is no field of class \"%s\"",
                                  x->name, part->field ? part->field : "", x->class->name);
    if (!can_be_key(f)) {
        newt__field_refuse(e, x->class, f, "cannot be in the key of index \"%s\"", x->name);
        newt__fail_hint(e, "Keys are bools, integers, enums, texts, bytes, times, dates, UUIDs and "
                           "references, one of them a field.");
        return false;
    }
    if (part->size != f->f.size)
        return newt__field_refuse(e, x->class, f, "has %u bytes, but %u in the key of index \"%s\"",
                                  f->f.size, part->size, x->name);
    x->key_at[x->n_parts] = part->at;
    x->parts[x->n_parts++] = f;
    return true;
}

/* ---- what the store remembers ---------------------------------------------------------------- */

/*
 * Lines: "unique" or "several"; "where NAME", if there is one; then for each part its name and
 * kind, the names of an enum, and an empty line.
 */
static bool
describe(newt__block **blocks, newt__class_index *x, const char *where, newt_error *e)
{
    size_t n = 32 + (where ? strlen(where) : 0);
    char *at;

    for (uint32_t i = 0; i < x->n_parts; i++) {
        n += x->parts[i]->as_n + 16;
        for (uint32_t j = 0; j < x->parts[i]->n_names; j++)
            n += x->parts[i]->names_n[j] + (size_t)1;
    }
    at = x->definition = newt__block_take(blocks, n, e);
    if (!at)
        return false;
    at = stpcpy(at, x->unique ? "unique\n" : "several\n");
    if (where)
        at = stpcpy(stpcpy(stpcpy(at, "where "), where), "\n");
    for (uint32_t i = 0; i < x->n_parts; i++) {
        const newt__field *f = x->parts[i];

        at = stpcpy(stpcpy(at, f->as), " ");
        at = stpcpy(stpcpy(at, newt__kind_name(f->f.kind)), "\n");
        for (uint32_t j = 0; j < f->n_names; j++)
            at = stpcpy(stpcpy(at, f->f.names[j]), "\n");
        at = stpcpy(at, "\n");
    }
    return true;
}

/* After the names that one list has more than the other, which ends here. */
static const char *
skip_names(const char *s)
{
    const char *end = strstr(s, "\n\n");

    return end ? end + 1 : s;
}

bool
newt__index_is(const newt__class_index *x, const char *definition)
{
    const char *a = x->definition, *b = definition;

    for (;; a++, b++) {
        if (*a == *b) {
            if (!*a)
                return true;
            continue;
        }
        if (a == x->definition || a[-1] != '\n')
            return false;
        if (*a == '\n')
            b = skip_names(b);
        else if (*b == '\n')
            a = skip_names(a);
        if (*a != *b)
            return false;
    }
}

/* ---- building -------------------------------------------------------------------------------- */

static bool
build_index(newt__block **blocks, newt__class *k, const newt_index *given, newt__class_index *x,
            newt_error *e)
{
    size_t n;

    if (given->size != sizeof *given)
        return newt__class_refuse(e, "an index of class \"%s\" has the wrong size", k->name);
    n = given->name ? newt__name_length(given->name) : 0;
    if (n == 0 || n > NEWT__MAX_NAME || newt__utf8_valid(given->name, n) != n)
        return newt__class_refuse(e, "the name of an index of class \"%s\" is %s", k->name,
                                  n == 0               ? "empty"
                                  : n > NEWT__MAX_NAME ? "too long"
                                                       : "not UTF-8");
    x->table = given;
    x->class = k;
    x->unique = given->unique;
    x->where = given->where;
    if (!(x->name = newt__block_text(blocks, given->name, n, e)))
        return false;
    if (given->class_ != k->table && !newt__same_definition(given->class_, k->table))
        return newt__class_refuse(e, "index \"%s\" is of another class than \"%s\", which lists it",
                                  x->name, k->name);
    if (given->n_parts < 1 || given->n_parts > NEWT_INDEX_PARTS)
        return newt__class_refuse(e, "index \"%s\" has a key of %u parts, not of 1 to %d", x->name,
                                  given->n_parts, NEWT_INDEX_PARTS);
    if (given->where && (!given->where_name || !*given->where_name))
        return newt__class_refuse(e, "index \"%s\" has a where without where_name", x->name);
    for (uint32_t i = 0; i < given->n_parts; i++)
        if (!add_part(x, &given->parts[i], e))
            return false;
    return describe(blocks, x, given->where ? given->where_name : NULL, e);
}

bool
newt__indexes_build(newt__block **blocks, newt__class *k, newt_error *e)
{
    const newt_index *const *given = k->hooks.indexes;
    newt__class_index *list;
    uint32_t n = 0;

    while (given && given[n])
        n++;
    if (n == 0)
        return true;
    if (!(list = newt__block_take(blocks, n * sizeof *list, e)))
        return false;
    k->indexes = list;
    for (; k->n_indexes < n; k->n_indexes++) {
        if (!build_index(blocks, k, given[k->n_indexes], &list[k->n_indexes], e))
            return false;
        for (uint32_t i = 0; i < k->n_indexes; i++)
            if (strcmp(list[i].name, list[k->n_indexes].name) == 0)
                return newt__class_refuse(e, "class \"%s\" has two indexes named \"%s\"", k->name,
                                          list[i].name);
    }
    return true;
}
