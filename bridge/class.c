/*
 * class.c - class tables: checked, copied, their fields in encoded order
 *
 * A program's tables are constant data that may come from anywhere (a plug-in, a binding, a
 * generator), so nothing in them is believed. What is built here is immutable, and owns all it
 * points to.
 */
#include "object.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the library's own classes ----------------------------------------------------------- */

NEWT_CLASS(newt_list, "newt.List", 1, NULL, NEWT_LIST(struct newt_list, items));
NEWT_CLASS(newt_map, "newt.Map", 1, NULL, NEWT_MAPOF(struct newt_map, items));
const newt_class newt__root_class = {sizeof(newt_class),
                                     sizeof(newt_field),
                                     sizeof(struct newt_map),
                                     "newt.Root",
                                     1,
                                     1,
                                     newt_map_fields_,
                                     NULL,
                                     0,
                                     {0}};

static const newt_class *const own[] = {&newt_list_class, &newt_map_class, &newt_length_class,
                                        &newt__root_class, NULL};

enum {
    ALL_FIELD_FLAGS = NEWT_F_KEEP_NULL | NEWT_F_REQUIRED | NEWT_F_SKIP,
    ALL_CLASS_FLAGS = NEWT_C_SKIP | NEWT_C_ASYNC | NEWT_C_INLINE,
    FIRST_HOOKS = offsetof(newt_hooks, resolve) /* of a program that knows no later ones */
};

/* ---- a set of classes -------------------------------------------------------------------- */

struct block {
    struct block *next;
    _Alignas(16) char data[];
};

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

struct newt__classes {
    struct block *blocks; /* everything but what follows */
    newt__class **list;   /* the library's own first, then in the order they were met */
    size_t n, cap;
    struct alias *aliases; /* by address, once built; several for a class defined twice alike */
    size_t n_aliases, cap_aliases;
    newt__class **by_name;
    struct names *names;
};

typedef struct builder {
    newt__classes *cs;
    newt_error *e;
} builder;

static void *
take(builder *b, size_t n)
{
    struct block *block = n <= SIZE_MAX - sizeof *block ? malloc(sizeof *block + n) : NULL;

    if (!block) {
        newt__fail_memory(b->e);
        return NULL;
    }
    memset(block->data, 0, n);
    block->next = b->cs->blocks;
    b->cs->blocks = block;
    return block->data;
}

static char *
take_text(builder *b, const char *s, size_t n)
{
    char *copy = take(b, n + 1);

    return copy ? memcpy(copy, s, n) : NULL;
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

__attribute__((format(printf, 2, 3))) static bool
refuse(builder *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    newt__fail_text(b->e, NEWT_ECLASS, 0, format, args);
    va_end(args);
    return false;
}

__attribute__((format(printf, 4, 5))) static bool
refuse_field(builder *b, const newt__class *k, const newt__field *f, const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        *text = 0;
    va_end(args);
    return refuse(b, "field \"%s\" of class \"%s\" %s", f->as, k->name, text);
}

/* ---- checks of a table by itself --------------------------------------------------------- */

/* At most NEWT__MAX_NAME bytes are looked at. */
static size_t
bounded_length(const char *s)
{
    return strnlen(s, NEWT__MAX_NAME + 1);
}

static bool
check_class_name(builder *b, const char *name)
{
    size_t n = bounded_length(name);

    if (n == 0)
        return refuse(b, "a class has an empty name");
    if (n > NEWT__MAX_NAME)
        return refuse(b, "class name \"%.40s...\" is longer than %d bytes", name, NEWT__MAX_NAME);
    if (newt__utf8_valid(name, n) != n)
        return refuse(b, "a class name is not UTF-8");
    if (strncmp(name, "newt.", 5) == 0 || strncmp(name, "::", 2) == 0)
        return refuse(b, "class name \"%s\" begins with \"%s\", which is reserved", name,
                      *name == ':' ? "::" : "newt.");
    return true;
}

static bool
check_table(builder *b, const newt_class *t, bool is_own)
{
    if (t->class_size != sizeof(newt_class) || t->field_size != sizeof(newt_field)) {
        refuse(b, "a class table was compiled with another version of newtdb.h");
        newt__fail_detail(b->e, "Its structs have %u and %u bytes, this library's %zu and %zu.",
                          t->class_size, t->field_size, sizeof(newt_class), sizeof(newt_field));
        newt__fail_hint(b->e, "Compile the program again.");
        return false;
    }
    if (!t->name)
        return refuse(b, "a class has no name");
    if (!is_own && !check_class_name(b, t->name))
        return false;
    if (t->version < 0)
        return refuse(b, "class \"%s\" has the negative version %d", t->name, (int)t->version);
    if (t->size == 0)
        return refuse(b, "class \"%s\" has a struct of size 0", t->name);
    if (t->n_fields > 0 && !t->fields)
        return refuse(b, "class \"%s\" has no table of fields", t->name);
    for (size_t i = 0; i < sizeof t->reserved_ / sizeof *t->reserved_; i++)
        if (t->reserved_[i])
            return refuse(b, "class \"%s\" uses words that are reserved", t->name);
    if (t->flags & ~(uint32_t)ALL_CLASS_FLAGS)
        return refuse(b, "class \"%s\" has unknown flags: 0x%x", t->name, (unsigned)t->flags);
    if ((t->flags & (t->flags - 1)) != 0)
        return refuse(b, "class \"%s\" has flags that contradict each other", t->name);
    if (t->hooks) {
        if (t->hooks->size < FIRST_HOOKS || t->hooks->size > sizeof(newt_hooks))
            return refuse(b, "the hooks of class \"%s\" have the wrong size", t->name);
        if (t->hooks->to_json && (t->flags & NEWT_C_SKIP))
            return refuse(b, "class \"%s\" has to_json, but its objects have no JSONB", t->name);
        if (t->hooks->to_json && (t->flags & NEWT_C_ASYNC)) {
            refuse(b, "class \"%s\" has to_json, which newt-updater cannot call", t->name);
            newt__fail_hint(b->e, "Leave out NEWT_C_ASYNC: the program writes the JSONB itself.");
            return false;
        }
    }
    return true;
}

/* The same definition in another place (two plug-ins with one source). */
static bool
same_field(const newt_field *a, const newt_field *b)
{
    if (!a->name || !b->name || strcmp(a->name, b->name) != 0 || !a->as != !b->as ||
        (a->as && strcmp(a->as, b->as) != 0))
        return false;
    if (a->offset != b->offset || a->size != b->size || a->kind != b->kind ||
        a->shape != b->shape || a->key_kind != b->key_kind || a->flags != b->flags ||
        a->key_size != b->key_size || a->stride != b->stride || a->value_at != b->value_at)
        return false;
    /* types of one name are compared when they are added */
    if (a->type != b->type && (!a->type || !b->type || !a->type->name || !b->type->name ||
                               strcmp(a->type->name, b->type->name) != 0))
        return false;
    if (!a->names != !b->names)
        return false;
    for (size_t i = 0; a->names && a->names != b->names; i++) {
        if (!a->names[i] || !b->names[i])
            return a->names[i] == b->names[i];
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    }
    return true;
}

/* Those that the program does not know are NULL. */
static newt_hooks
hooks_of(const newt_class *t)
{
    newt_hooks hooks = {0};

    if (t->hooks)
        memcpy(&hooks, t->hooks, t->hooks->size);
    return hooks;
}

static bool
same_definition(const newt_class *a, const newt_class *b)
{
    newt_hooks ha = hooks_of(a), hb = hooks_of(b);

    if (a->version != b->version || a->size != b->size || a->flags != b->flags ||
        a->n_fields != b->n_fields || ha.to_json != hb.to_json || ha.upgrade != hb.upgrade ||
        ha.resolve != hb.resolve || ha.arg != hb.arg)
        return false;
    for (uint32_t i = 0; i < a->n_fields; i++)
        if (!same_field(&a->fields[i], &b->fields[i]))
            return false;
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

/* Finds or adds a class by its table; the fields are copied later. NULL: failed. */
static newt__class *
add(builder *b, const newt_class *table, bool stored)
{
    newt__classes *cs = b->cs;
    newt__class *k = by_table(cs, table);
    bool is_own = false;

    if (k) {
        k->stored |= stored;
        return k;
    }
    for (size_t i = 0; own[i]; i++)
        is_own |= own[i] == table;
    if (!check_table(b, table, is_own) ||
        !grow(b, (void **)&cs->aliases, &cs->cap_aliases, cs->n_aliases, sizeof *cs->aliases) ||
        !grow(b, (void **)&cs->list, &cs->cap, cs->n, sizeof *cs->list))
        return NULL;

    for (size_t i = 0; i < cs->n && !k; i++)
        if (strcmp(cs->list[i]->name, table->name) == 0)
            k = cs->list[i];
    if (k) {
        if (!same_definition(k->table, table)) {
            refuse(b, "class \"%s\" is given twice with different definitions", table->name);
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
        k->version = table->version;
        k->size = table->size;
        k->flags = table->flags;
        k->hooks = hooks_of(table);
        cs->list[cs->n++] = k;
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
        return refuse_field(b, k, f, "has no names for its enum");
    while (names[f->n_names])
        if (f->n_names++ == INT32_MAX)
            return refuse_field(b, k, f, "has too many names");
    copy = take(b, (f->n_names + 1) * sizeof *copy);
    f->names_n = take(b, f->n_names * sizeof *f->names_n);
    if (!copy || !f->names_n)
        return false;
    for (uint32_t i = 0; i < f->n_names; i++) {
        size_t n = strlen(names[i]);

        if (n == 0)
            return refuse_field(b, k, f, "has an empty name for %u of its enum", i);
        if (n > NEWT__MAX_NAME || newt__utf8_valid(names[i], n) != n)
            return refuse_field(b, k, f, "has a name for %u of its enum that is %s", i,
                                n > NEWT__MAX_NAME ? "too long" : "not UTF-8");
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(copy[j], names[i]) == 0)
                return refuse_field(b, k, f, "has the name \"%s\" twice in its enum", names[i]);
        copy[i] = take_text(b, names[i], n);
        if (!copy[i])
            return false;
        f->names_n[i] = (uint32_t)n;
    }
    f->f.names = (const char *const *)copy;
    return true;
}

static bool
check_flags(builder *b, const newt__class *k, const newt__field *f)
{
    unsigned nulls = f->f.flags & (NEWT_F_KEEP_NULL | NEWT_F_REQUIRED);

    if (f->f.flags & ~ALL_FIELD_FLAGS)
        return refuse_field(b, k, f, "has unknown flags: 0x%x", f->f.flags);
    if (nulls == (NEWT_F_KEEP_NULL | NEWT_F_REQUIRED))
        return refuse_field(b, k, f, "cannot both keep null and refuse it");
    if (nulls && !(f->f.shape == NEWT_ONE && f->nullable))
        return refuse_field(b, k, f, "is never null, so that NEWT_F_%s has no meaning",
                            nulls == NEWT_F_REQUIRED ? "REQUIRED" : "KEEP_NULL");
    return true;
}

/* The layout: sizes against kinds, everything inside the struct. */
static bool
check_layout(builder *b, const newt__class *k, const newt__field *f)
{
    const newt_field *t = &f->f;
    bool keyed = t->shape == NEWT_MAP_OF || t->shape == NEWT_PAIRS_OF;

    if (!newt__kind_fits(t->kind, t->size) || t->size == 0)
        return refuse_field(b, k, f, "has %u bytes, which is not the size of %s", t->size,
                            newt__kinds[t->kind].name);
    if (t->offset > k->size || newt__field_extent(t) > k->size - t->offset)
        return refuse_field(b, k, f, "lies outside its struct of %u bytes", k->size);
    if (t->shape == NEWT_ONE) {
        if (t->stride || t->key_kind || t->key_size || t->value_at)
            return refuse_field(b, k, f, "is a single value, but has the layout of an array");
        return true;
    }
    if (!keyed) {
        if (t->key_kind || t->key_size || t->value_at || t->stride != t->size)
            return refuse_field(b, k, f, "has an array whose items are not %u bytes", t->size);
        return true;
    }
    if (t->key_kind == 0 || t->key_kind >= NEWT__N_KINDS || !newt__kinds[t->key_kind].key ||
        (t->shape == NEWT_MAP_OF && t->key_kind != NEWT_K_TEXT))
        return refuse_field(b, k, f, "cannot have keys of kind %s", newt__kind_name(t->key_kind));
    if (!newt__kind_fits(t->key_kind, t->key_size) || t->key_size == 0)
        return refuse_field(b, k, f, "has keys of %u bytes, which is not the size of %s",
                            t->key_size, newt__kinds[t->key_kind].name);
    if (t->value_at < t->key_size || t->value_at + t->size > t->stride)
        return refuse_field(b, k, f, "has items of %u bytes, too small for key and value",
                            t->stride);
    return true;
}

static bool
copy_field(builder *b, newt__class *k, const newt_field *t, newt__field *f, uint32_t declared)
{
    const char *as = t->as ? t->as : t->name;
    size_t n;

    if (!as || !*as)
        return refuse(b, "field %u of class \"%s\" has no name", declared + 1, k->name);
    n = bounded_length(as);
    if (n > NEWT__MAX_NAME || newt__utf8_valid(as, n) != n)
        return refuse(b, "the name of field %u of class \"%s\" is %s", declared + 1, k->name,
                      n > NEWT__MAX_NAME ? "too long" : "not UTF-8");
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
            return refuse_field(b, k, f, "is no enum: it has not the size of int");
        return refuse_field(b, k, f, "is of unknown kind %u", t->kind);
    }
    if (t->shape >= NEWT__N_SHAPES)
        return refuse_field(b, k, f, "is of unknown shape %u", t->shape);
    for (size_t i = 0; i < sizeof t->reserved_ / sizeof *t->reserved_; i++)
        if (t->reserved_[i])
            return refuse_field(b, k, f, "uses words that are reserved");
    f->nullable = newt__kinds[t->kind].nullable;
    if (!check_flags(b, k, f) || !check_layout(b, k, f))
        return false;
    if ((t->kind == NEWT_K_ENUM) != (t->names != NULL) && t->kind != NEWT_K_ENUM)
        return refuse_field(b, k, f, "has names, but is no enum");
    if (t->kind == NEWT_K_ENUM)
        return copy_names(b, k, f);
    if (t->kind == NEWT_K_STRUCT) {
        if (!t->type)
            return refuse_field(b, k, f, "is a struct without a class table");
        f->type = add(b, t->type, false);
        if (!f->type)
            return false;
        if (f->type->size != t->size)
            return refuse_field(b, k, f, "has %u bytes, but its class \"%s\" has %u", t->size,
                                f->type->name, f->type->size);
    } else if (t->type && t->kind != NEWT_K_REF) {
        return refuse_field(b, k, f, "has a class table, but is of kind %s",
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

static int
by_offset(const void *a, const void *b)
{
    const newt__field *x = *(newt__field *const *)a, *y = *(newt__field *const *)b;

    return (x->f.offset > y->f.offset) - (x->f.offset < y->f.offset);
}

static bool
check_overlap(builder *b, const newt__class *k)
{
    newt__field **sorted = malloc((k->n_fields ? k->n_fields : 1) * sizeof *sorted);
    bool ok = true;

    if (!sorted) {
        newt__fail_memory(b->e);
        return false;
    }
    for (uint32_t i = 0; i < k->n_fields; i++)
        sorted[i] = &k->fields[i];
    qsort(sorted, k->n_fields, sizeof *sorted, by_offset);
    for (uint32_t i = 1; i < k->n_fields && ok; i++) {
        const newt_field *f = &sorted[i - 1]->f;

        if (newt__field_extent(f) > sorted[i]->f.offset - f->offset)
            ok = refuse(b, "fields \"%s\" and \"%s\" of class \"%s\" overlap", sorted[i - 1]->as,
                        sorted[i]->as, k->name);
    }
    free(sorted);
    return ok;
}

static bool
copy_fields(builder *b, newt__class *k)
{
    const newt_class *t = k->table;

    if (t->n_fields > NEWT__MAX_FIELDS)
        return refuse(b, "class \"%s\" has more than %d fields", k->name, NEWT__MAX_FIELDS);
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
            return refuse(b, "class \"%s\" has two fields named \"%s\"", k->name, k->fields[i].as);
    return check_overlap(b, k);
}

/* ---- checks across classes --------------------------------------------------------------- */

static bool
resolve_refs(builder *b, newt__class *k)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        newt__field *f = &k->fields[i];

        if (f->f.kind != NEWT_K_REF || !f->f.type)
            continue;
        f->type = by_table(b->cs, f->f.type);
        if (!f->type && f->f.type->class_size == sizeof(newt_class) && f->f.type->name)
            for (size_t j = 0; j < b->cs->n && !f->type; j++)
                if (b->cs->list[j]->stored && strcmp(b->cs->list[j]->name, f->f.type->name) == 0)
                    f->type = add(b, f->f.type, true); /* compares the definitions */
        if (b->e->status != NEWT_OK)
            return false;
        if (!f->type || !f->type->stored) {
            refuse_field(b, k, f, "refers to class \"%s\", which is not given",
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
        return refuse(b, "class \"%s\" holds itself as an embedded struct", top->name);
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];

        if (f->f.kind == NEWT_K_STRUCT && f->f.shape == NEWT_ONE) {
            if (f->type == top)
                return refuse(b, "class \"%s\" holds itself as an embedded struct", top->name);
            if (!check_embedding(b, f->type, top, depth + 1))
                return false;
        }
    }
    return true;
}

static uint32_t
align_of(const newt__class *type, uint8_t kind, uint32_t size)
{
    uint32_t most = 1;

    if (kind != NEWT_K_STRUCT)
        return newt__kinds[kind].align ? newt__kinds[kind].align : size;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const newt__field *f = &type->fields[i];
        uint32_t own_align = f->f.shape == NEWT_ONE ? align_of(f->type, f->f.kind, f->f.size)
                                                    : (uint32_t) _Alignof(newt__array_layout);
        if (own_align > most)
            most = own_align;
    }
    return most;
}

static bool
check_alignment(builder *b, const newt__class *k)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        uint32_t value = align_of(f->type, f->f.kind, f->f.size), stride = f->f.stride;
        uint32_t member = f->f.shape == NEWT_ONE ? value : (uint32_t) _Alignof(newt__array_layout);

        if (f->f.offset % member || stride % value || f->f.value_at % value ||
            (f->f.key_kind && stride % align_of(NULL, f->f.key_kind, f->f.key_size))) {
            refuse_field(b, k, f, "is not aligned");
            newt__fail_hint(b->e, "Packed structs cannot be stored.");
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
        switch (f->f.kind) {
        case NEWT_K_TIME: ((newt_time *)(void *)p)->us = NEWT_TIME_NULL; break;
        case NEWT_K_DATE: ((newt_date *)(void *)p)->days = NEWT_DATE_NULL; break;
        case NEWT_K_STRUCT: make_blank(f->type, p); break;
        default: break;
        }
    }
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
    const newt__class *x = *(newt__class *const *)a, *y = *(newt__class *const *)b;

    return newt__key_order(x->name, x->name_n, y->name, y->name_n);
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
    for (size_t i = 0; own[i]; i++)
        if (!add(b, own[i], true))
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

        if (!check_alignment(b, k))
            return false;
        k->blank = take(b, k->size);
        if (!k->blank)
            return false;
        make_blank(k, k->blank);
    }
    qsort(cs->aliases, cs->n_aliases, sizeof *cs->aliases, by_address);
    cs->by_name = take(b, cs->n * sizeof *cs->by_name);
    if (!cs->by_name)
        return false;
    memcpy(cs->by_name, cs->list, cs->n * sizeof *cs->by_name);
    qsort(cs->by_name, cs->n, sizeof *cs->by_name, by_class_name);
    return true;
}

int
newt__classes_build(newt__classes **out, const newt_class *const *classes, newt_error *e)
{
    newt_error own_error = {0};
    builder b = {.cs = calloc(1, sizeof *b.cs), .e = &own_error};

    *out = NULL;
    if (!b.cs)
        return newt__fail_memory(e);
    if (build(&b, classes)) {
        *out = b.cs;
        return NEWT_OK;
    }
    newt__classes_free(b.cs);
    newt__error_move(e, &own_error);
    return e->status;
}

void
newt__classes_free(newt__classes *cs)
{
    if (!cs)
        return;
    for (struct block *next; cs->blocks; cs->blocks = next) {
        next = cs->blocks->next;
        free(cs->blocks);
    }
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

const newt__class *
newt__class_named(const newt__classes *cs, const char *name, size_t n)
{
    size_t low = 0, high = cs->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const newt__class *k = cs->by_name[middle];
        int order = newt__key_order(name, n, k->name, k->name_n);

        if (order == 0)
            return k;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const newt__class *
newt__class_at(const newt__classes *cs, size_t i)
{
    return i < cs->n ? cs->list[i] : NULL;
}

const char *
newt__class_intern(const newt__classes *cs, const char *name, size_t n)
{
    const newt__class *k = newt__class_named(cs, name, n);
    struct interned *found;

    if (k)
        return k->name;
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
