/*
 * class.c - class tables: checked, copied, their fields in encoded order
 *
 * A program's tables are constant data that may come from anywhere (a plug-in, a binding, a
 * generator), so nothing in them is believed. What is built here is immutable, and owns all it
 * points to.
 */
#include "build.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- a set of classes -------------------------------------------------------------------- */

struct interned {
    struct interned *next;
    size_t n;
    char s[];
};

/* Names of classes that no table has; grows while connections meet them. */
struct names {
    pthread_mutex_t mutex;
    struct interned *first;
};

struct alias {
    const newt_class *table;
    newt__class *class;
};

/* A name of a class: its own, or one that it had. */
struct named {
    const char *name;
    size_t n;
    newt__class *class;
};

struct newt__classes {
    newt__block *blocks; /* everything but what follows */
    newt__class **list;  /* the library's own first, then in the order they were met */
    size_t n, cap;
    struct alias *aliases; /* by address, once built; several for a class defined twice alike */
    size_t n_aliases, cap_aliases;
    struct named *by_name; /* in encoded order */
    size_t n_named;
    struct names *names;
};

typedef struct builder {
    newt__classes *cs;
    const newt_class *const *own; /* the library's */
    newt_error *e;
    newt__class **slots; /* of cs->list, by name: open addressing, at most half of them in use */
    size_t n_slots;      /* a power of two */
} builder;

static void *
take(builder *b, size_t n)
{
    return newt__block_take(&b->cs->blocks, n, b->e);
}

static char *
take_text(builder *b, const char *s, size_t n)
{
    return newt__block_text(&b->cs->blocks, s, n, b->e);
}

static bool
grow(builder *b, void **list, size_t *cap, size_t n, size_t size)
{
    size_t more = *cap ? 2 * *cap : 16;
    void *p;

    if (n < *cap)
        return true;
    p = more <= SIZE_MAX / size ? realloc(*list, more * size) : NULL;
    if (!p) {
        newt__fail_memory(b->e);
        return false;
    }
    *list = p;
    *cap = more;
    return true;
}

/* ---- adding ------------------------------------------------------------------------------ */

static newt__class *
by_table(const newt__classes *cs, const newt_class *table)
{
    for (size_t i = 0; i < cs->n_aliases; i++)
        if (cs->aliases[i].table == table)
            return cs->aliases[i].class;
    return NULL;
}

/* The slot of the class of this name, or the empty one for it; there are slots. */
static newt__class **
slot_of(const builder *b, const char *name)
{
    uint32_t hash = 2166136261u;
    size_t i;

    for (const char *s = name; *s; s++)
        hash = (hash ^ (uint8_t)*s) * 16777619u;
    for (i = hash & (b->n_slots - 1); b->slots[i] && strcmp(b->slots[i]->name, name) != 0;)
        i = (i + 1) & (b->n_slots - 1);
    return &b->slots[i];
}

static newt__class *
by_name(const builder *b, const char *name)
{
    return b->n_slots ? *slot_of(b, name) : NULL;
}

static bool
list_class(builder *b, newt__class *k)
{
    newt__classes *cs = b->cs;

    if (!grow(b, (void **)&cs->list, &cs->cap, cs->n, sizeof *cs->list))
        return false;
    if (2 * (cs->n + 1) > b->n_slots) {
        size_t n = b->n_slots ? 2 * b->n_slots : 64;
        newt__class **slots = calloc(n, sizeof *slots);

        if (!slots) {
            newt__fail_memory(b->e);
            return false;
        }
        free(b->slots);
        b->slots = slots;
        b->n_slots = n;
        for (size_t i = 0; i < cs->n; i++)
            *slot_of(b, cs->list[i]->name) = cs->list[i];
    }
    *slot_of(b, k->name) = k;
    cs->list[cs->n++] = k;
    return true;
}

/* A list of names that ends with NULL. */
static bool
copy_list(builder *b, const char *const *names, char ***out, uint32_t *n)
{
    for (*n = 0; names && names[*n]; ++*n)
        ;
    *out = take(b, (*n + (size_t)1) * sizeof **out);
    for (uint32_t i = 0; *out && i < *n; i++)
        if (!((*out)[i] = take_text(b, names[i], strlen(names[i]))))
            return false;
    return *out != NULL;
}

/* Finds or adds a class by its table; the fields are copied later. NULL: failed. */
static newt__class *
add(builder *b, const newt_class *table, bool stored)
{
    newt__classes *cs = b->cs;
    newt__class *k;
    bool is_own = false;

    for (size_t i = 0; b->own[i]; i++)
        is_own |= b->own[i] == table;
    if (!newt__check_table(b->e, table, is_own))
        return NULL;
    k = by_name(b, table->name);
    if (k && (k->table == table || by_table(cs, table))) {
        k->stored |= stored;
        return k;
    }
    if (!grow(b, (void **)&cs->aliases, &cs->cap_aliases, cs->n_aliases, sizeof *cs->aliases))
        return NULL;
    if (k) {
        if (!newt__same_definition(k->table, table)) {
            newt__class_refuse(b->e, "class \"%s\" is given twice with different definitions",
                               table->name);
            return NULL;
        }
    } else {
        k = take(b, sizeof *k);
        if (!k)
            return NULL;
        k->table = table;
        k->name_n = (uint32_t)strlen(table->name);
        k->name = take_text(b, table->name, k->name_n);
        if (!k->name)
            return NULL;
        k->version = table->tree ? table->tree->version : table->version;
        k->size = table->size;
        k->flags = table->flags;
        k->hooks = newt__class_hooks(table);
        if (!copy_list(b, table->was, &k->was, &k->n_was) || !list_class(b, k))
            return NULL;
    }
    k->stored |= stored;
    cs->aliases[cs->n_aliases++] = (struct alias){table, k};
    return k;
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool
copy_names(builder *b, const newt__class *k, newt__field *f)
{
    const char *const *names = f->f.names;
    char **copy;

    if (!names || !names[0])
        return newt__field_refuse(b->e, k, f, "has no names for its enum");
    while (names[f->n_names])
        if (f->n_names++ == INT32_MAX)
            return newt__field_refuse(b->e, k, f, "has too many names");
    copy = take(b, (f->n_names + 1) * sizeof *copy);
    f->names_n = take(b, f->n_names * sizeof *f->names_n);
    if (!copy || !f->names_n)
        return false;
    for (uint32_t i = 0; i < f->n_names; i++) {
        size_t n = strlen(names[i]);

        if (n == 0)
            return newt__field_refuse(b->e, k, f, "has an empty name for %u of its enum", i);
        if (n > NEWT__MAX_NAME || newt__utf8_valid(names[i], n) != n)
            return newt__field_refuse(b->e, k, f, "has a name for %u of its enum that is %s", i,
                                      n > NEWT__MAX_NAME ? "too long" : "not UTF-8");
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(copy[j], names[i]) == 0)
                return newt__field_refuse(b->e, k, f, "has the name \"%s\" twice in its enum",
                                          names[i]);
        copy[i] = take_text(b, names[i], n);
        if (!copy[i])
            return false;
        f->names_n[i] = (uint32_t)n;
    }
    f->f.names = (const char *const *)copy;
    return true;
}

/* A field's default. Null is written then, so that a record without the field is one of a program
 * that did not have it. */
static bool
copy_init(builder *b, const newt__class *k, newt__field *f)
{
    const newt_field *t = &f->f;
    uint8_t *copy;

    if (!newt__check_init(b->e, k, f))
        return false;
    if (!t->init)
        return true;
    if (!(copy = take(b, t->size)))
        return false;
    memcpy(copy, t->init, t->size);
    if (t->kind == NEWT_K_TEXT || t->kind == NEWT_K_BYTES || t->kind == NEWT_K_DECIMAL) {
        newt_text *text = (void *)copy; /* the layout of all three */

        text->s = take_text(b, text->s, text->n);
        text->priv_ = 0;
        if (!text->s)
            return false;
    }
    f->f.init = copy;
    if (f->nullable && !(t->flags & NEWT_F_REQUIRED))
        f->f.flags |= NEWT_F_KEEP_NULL;
    return true;
}

static bool
copy_field(builder *b, newt__class *k, const newt_field *t, newt__field *f, uint32_t declared)
{
    const char *as = t->as ? t->as : t->name;
    size_t n;

    if (!as || !*as)
        return newt__class_refuse(b->e, "field %u of class \"%s\" has no name", declared + 1,
                                  k->name);
    n = newt__name_length(as);
    if (n > NEWT__MAX_NAME || newt__utf8_valid(as, n) != n)
        return newt__class_refuse(b->e, "the name of field %u of class \"%s\" is %s", declared + 1,
                                  k->name, n > NEWT__MAX_NAME ? "too long" : "not UTF-8");
    f->f = *t;
    f->as = take_text(b, as, n);
    f->f.name = take_text(b, t->name ? t->name : as, strlen(t->name ? t->name : as));
    if (!f->as || !f->f.name)
        return false;
    f->f.as = f->as;
    f->as_n = (uint32_t)n;
    f->declared = declared;
    if (t->kind == 0 || t->kind >= NEWT__N_KINDS) {
        if (t->kind == 0 && t->names) /* what NEWT_ENUM gives */
            return newt__field_refuse(b->e, k, f, "is no enum: it has not the size of int");
        return newt__field_refuse(b->e, k, f, "is of unknown kind %u", t->kind);
    }
    if (t->shape >= NEWT__N_SHAPES)
        return newt__field_refuse(b->e, k, f, "is of unknown shape %u", t->shape);
    for (size_t i = 0; i < sizeof t->reserved_ / sizeof *t->reserved_; i++)
        if (t->reserved_[i])
            return newt__field_refuse(b->e, k, f, "uses words that are reserved");
    f->nullable = newt__kinds[t->kind].nullable;
    if (!newt__check_flags(b->e, k, f) || !newt__check_layout(b->e, k, f))
        return false;
    if ((t->kind == NEWT_K_ENUM) != (t->names != NULL) && t->kind != NEWT_K_ENUM)
        return newt__field_refuse(b->e, k, f, "has names, but is no enum");
    if ((t->kind == NEWT_K_ENUM && !copy_names(b, k, f)) || !copy_init(b, k, f))
        return false;
    if (t->kind == NEWT_K_STRUCT) {
        if (!t->type)
            return newt__field_refuse(b->e, k, f, "is a struct without a class table");
        f->type = add(b, t->type, false);
        if (!f->type)
            return false;
        if (f->type->size != t->size)
            return newt__field_refuse(b->e, k, f, "has %u bytes, but its class \"%s\" has %u",
                                      t->size, f->type->name, f->type->size);
    } else if (t->type && t->kind != NEWT_K_REF) {
        return newt__field_refuse(b->e, k, f, "has a class table, but is of kind %s",
                                  newt__kinds[t->kind].name);
    }
    return true;
}

static int
by_key(const void *a, const void *b)
{
    const newt__field *x = a, *y = b;

    return newt__key_order(x->as, x->as_n, y->as, y->as_n);
}

static bool
copy_fields(builder *b, newt__class *k)
{
    const newt_class *t = k->table;

    if (t->n_fields > NEWT__MAX_FIELDS)
        return newt__class_refuse(b->e, "class \"%s\" has more than %d fields", k->name,
                                  NEWT__MAX_FIELDS);
    k->n_fields = t->n_fields;
    k->fields = take(b, (size_t)t->n_fields * sizeof *k->fields);
    if (!k->fields)
        return false;
    for (uint32_t i = 0; i < t->n_fields; i++)
        if (!copy_field(b, k, &t->fields[i], &k->fields[i], i))
            return false;
    qsort(k->fields, k->n_fields, sizeof *k->fields, by_key);
    for (uint32_t i = 1; i < k->n_fields; i++)
        if (by_key(&k->fields[i - 1], &k->fields[i]) == 0)
            return newt__class_refuse(b->e, "class \"%s\" has two fields named \"%s\"", k->name,
                                      k->fields[i].as);
    return newt__check_overlap(b->e, k) && newt__past_copy(&b->cs->blocks, k, b->e) &&
           newt__tree_build(&b->cs->blocks, k, b->e) &&
           newt__indexes_build(&b->cs->blocks, k, b->e);
}

/* ---- across classes --------------------------------------------------------------- */

static bool
resolve_refs(builder *b, newt__class *k)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        newt__field *f = &k->fields[i];
        const newt_class *to = f->f.type;
        newt__class *named;

        if (f->f.kind != NEWT_K_REF || !to)
            continue;
        named = to->class_size == sizeof *to && to->name ? by_name(b, to->name) : NULL;
        if (named && named->table == to)
            f->type = named;
        else if (!(f->type = by_table(b->cs, to)) && named && named->stored)
            f->type = add(b, to, true); /* compares the definitions */
        if (b->e->status != NEWT_OK)
            return false;
        if (!f->type || !f->type->stored) {
            newt__field_refuse(b->e, k, f, "refers to class \"%s\", which is not given",
                               f->type ? f->type->name
                               : f->f.type->class_size == sizeof(newt_class) && f->f.type->name
                                   ? f->f.type->name
                                   : "?");
            newt__fail_hint(b->e, "List its table in the classes of newt_db_open.");
            return false;
        }
    }
    return true;
}

/* Follows structs that lie in structs. A struct cannot hold itself, and what does would make
 * everything after this endless; depth is bounded by the number of classes. */
static bool
check_embedding(builder *b, const newt__class *k, const newt__class *top, size_t depth)
{
    if (depth > b->cs->n)
        return newt__class_refuse(b->e, "class \"%s\" holds itself as an embedded struct",
                                  top->name);
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];

        if (f->f.kind == NEWT_K_STRUCT && f->f.shape == NEWT_ONE) {
            if (f->type == top)
                return newt__class_refuse(b->e, "class \"%s\" holds itself as an embedded struct",
                                          top->name);
            if (!check_embedding(b, f->type, top, depth + 1))
                return false;
        }
    }
    return true;
}

static void
make_blank(const newt__class *k, uint8_t *at)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        uint8_t *p = at + f->f.offset;

        if (f->f.shape != NEWT_ONE)
            continue;
        if (f->f.init) {
            memcpy(p, f->f.init, f->f.size);
            continue;
        }
        switch (f->f.kind) {
        case NEWT_K_TIME: ((newt_time *)(void *)p)->us = NEWT_TIME_NULL; break;
        case NEWT_K_DATE: ((newt_date *)(void *)p)->days = NEWT_DATE_NULL; break;
        case NEWT_K_STRUCT: make_blank(f->type, p); break;
        default: break;
        }
    }
}

/* An index is known by its name in the whole store. */
static bool
check_indexes(builder *b, size_t at)
{
    const newt__class *k = b->cs->list[at], *other;

    for (size_t i = 0; k->n_indexes > 0 && i < at; i++)
        for (uint32_t j = 0; other = b->cs->list[i], j < other->n_indexes; j++)
            for (uint32_t m = 0; m < k->n_indexes; m++)
                if (strcmp(other->indexes[j].name, k->indexes[m].name) == 0)
                    return newt__class_refuse(
                        b->e, "classes \"%s\" and \"%s\" both have an index named \"%s\"",
                        other->name, k->name, k->indexes[m].name);
    return true;
}

/* ---- building ---------------------------------------------------------------------------- */

static int
by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct alias *)a)->table;
    uintptr_t y = (uintptr_t)((const struct alias *)b)->table;

    return (x > y) - (x < y);
}

static int
by_class_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return newt__key_order(x->name, x->n, y->name, y->n);
}

/* Two names that are the same; at most one of them is a class's own. */
static bool
refuse_name(builder *b, const struct named *x, const struct named *y)
{
    const struct named *own = x->name == x->class->name ? x : y, *old = own == x ? y : x;

    if (x->class == y->class)
        return newt__class_refuse(b->e, "class \"%s\" was \"%s\", which is %s", x->class->name,
                                  x->name,
                                  own->name == own->class->name ? "its name" : "listed twice");
    if (own->name == own->class->name)
        newt__class_refuse(b->e, "class \"%s\" was \"%s\", which is another class of this program",
                           old->class->name, old->name);
    else
        newt__class_refuse(b->e, "classes \"%s\" and \"%s\" both were \"%s\"", x->class->name,
                           y->class->name, x->name);
    newt__fail_hint(b->e, "A record of that name can be read as one class alone.");
    return false;
}

static bool
sort_names(builder *b)
{
    newt__classes *cs = b->cs;
    size_t n = cs->n;

    for (size_t i = 0; i < cs->n; i++)
        n += cs->list[i]->n_was;
    if (!(cs->by_name = take(b, n * sizeof *cs->by_name)))
        return false;
    for (size_t i = 0; i < cs->n; i++) {
        newt__class *k = cs->list[i];

        cs->by_name[cs->n_named++] = (struct named){k->name, k->name_n, k};
        for (uint32_t j = 0; j < k->n_was; j++)
            cs->by_name[cs->n_named++] = (struct named){k->was[j], strlen(k->was[j]), k};
    }
    qsort(cs->by_name, n, sizeof *cs->by_name, by_class_name);
    for (size_t i = 1; i < n; i++)
        if (by_class_name(&cs->by_name[i - 1], &cs->by_name[i]) == 0)
            return refuse_name(b, &cs->by_name[i - 1], &cs->by_name[i]);
    return true;
}

static bool
build(builder *b, const newt_class *const *classes)
{
    newt__classes *cs = b->cs;

    cs->names = calloc(1, sizeof *cs->names);
    if (!cs->names || pthread_mutex_init(&cs->names->mutex, NULL) != 0) {
        free(cs->names);
        cs->names = NULL;
        newt__fail_memory(b->e);
        return false;
    }
    for (size_t i = 0; b->own[i]; i++)
        if (!add(b, b->own[i], true))
            return false;
    for (size_t i = 0; classes && classes[i]; i++)
        if (!add(b, classes[i], true))
            return false;
    for (size_t i = 0; i < cs->n; i++) /* embedded ones join the list meanwhile */
        if (!copy_fields(b, cs->list[i]))
            return false;
    for (size_t i = 0; i < cs->n; i++)
        if (!resolve_refs(b, cs->list[i]) || !check_embedding(b, cs->list[i], cs->list[i], 0))
            return false;
    for (size_t i = 0; i < cs->n; i++) {
        newt__class *k = cs->list[i];

        if (!newt__check_alignment(b->e, k) || !check_indexes(b, i))
            return false;
        k->blank = take(b, k->size);
        if (!k->blank)
            return false;
        make_blank(k, k->blank);
    }
    qsort(cs->aliases, cs->n_aliases, sizeof *cs->aliases, by_address);
    return sort_names(b);
}

int
newt__classes_build(newt__classes **out, const newt_class *const *own,
                    const newt_class *const *classes, newt_error *e)
{
    newt_error failure = {0};
    builder b = {.cs = calloc(1, sizeof *b.cs), .own = own, .e = &failure};

    *out = NULL;
    if (!b.cs)
        return newt__fail_memory(e);
    if (build(&b, classes)) {
        free(b.slots);
        *out = b.cs;
        return NEWT_OK;
    }
    free(b.slots);
    newt__classes_free(b.cs);
    newt__error_move(e, &failure);
    return e->status;
}

void
newt__classes_free(newt__classes *cs)
{
    if (!cs)
        return;
    newt__block_free(cs->blocks);
    if (cs->names) {
        for (struct interned *next; cs->names->first; cs->names->first = next) {
            next = cs->names->first->next;
            free(cs->names->first);
        }
        pthread_mutex_destroy(&cs->names->mutex);
        free(cs->names);
    }
    free(cs->aliases);
    free(cs->list);
    free(cs);
}

/* ---- asking ------------------------------------------------------------------------------ */

const newt__class *
newt__class_find(const newt__classes *cs, const newt_class *table)
{
    struct alias key = {.table = table};
    struct alias *found = bsearch(&key, cs->aliases, cs->n_aliases, sizeof *cs->aliases,
                                  by_address);

    return found ? found->class : NULL;
}

static const struct named *
find_named(const newt__classes *cs, const char *name, size_t n)
{
    size_t low = 0, high = cs->n_named;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct named *x = &cs->by_name[middle];
        int order = newt__key_order(name, n, x->name, x->n);

        if (order == 0)
            return x;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const newt__class *
newt__class_named(const newt__classes *cs, const char *name, size_t n)
{
    const struct named *found = find_named(cs, name, n);

    return found ? found->class : NULL;
}

const newt__class *
newt__class_at(const newt__classes *cs, size_t i)
{
    return i < cs->n ? cs->list[i] : NULL;
}

const char *
newt__class_intern(const newt__classes *cs, const char *name, size_t n)
{
    const struct named *known = find_named(cs, name, n);
    struct interned *found;

    if (known)
        return known->name;
    pthread_mutex_lock(&cs->names->mutex);
    for (found = cs->names->first; found; found = found->next)
        if (found->n == n && memcmp(found->s, name, n) == 0)
            break;
    if (!found) {
        found = malloc(sizeof *found + n + 1);
        if (found) {
            memcpy(found->s, name, n);
            found->s[n] = 0;
            found->n = n;
            found->next = cs->names->first;
            cs->names->first = found;
        }
    }
    pthread_mutex_unlock(&cs->names->mutex);
    return found ? found->s : NULL;
}

const char *
newt__class_present(const newt__classes *cs, const char *name, size_t n)
{
    const newt__class *k = newt__class_named(cs, name, n);

    return k ? k->name : newt__class_intern(cs, name, n);
}
