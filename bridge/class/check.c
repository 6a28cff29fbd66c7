/*
 * check.c - what is wrong with a class table, and whether two are the same
 */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALL_FIELD_FLAGS = NEWT_F_KEEP_NULL | NEWT_F_REQUIRED | NEWT_F_SKIP,
    ALL_CLASS_FLAGS = NEWT_C_SKIP | NEWT_C_ASYNC | NEWT_C_INLINE,
    FIRST_HOOKS = offsetof(newt_hooks, resolve) /* of a program that knows no later ones */
};

bool
newt__class_refuse(newt_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    newt__fail_text(e, NEWT_ECLASS, 0, format, args);
    va_end(args);
    return false;
}

bool
newt__field_refuse(newt_error *e, const newt__class *k, const newt__field *f, const char *format,
                   ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        *text = 0;
    va_end(args);
    return newt__class_refuse(e, "field \"%s\" of class \"%s\" %s", f->as, k->name, text);
}

/* ---- checks of a table by itself --------------------------------------------------------- */

/* At most NEWT__MAX_NAME bytes are looked at. */
size_t
newt__name_length(const char *s)
{
    return strnlen(s, NEWT__MAX_NAME + 1);
}

static bool
check_class_name(newt_error *e, const char *name)
{
    size_t n = newt__name_length(name);

    if (n == 0)
        return newt__class_refuse(e, "a class has an empty name");
    if (n > NEWT__MAX_NAME)
        return newt__class_refuse(e, "class name \"%.40s...\" is longer than %d bytes", name,
                                  NEWT__MAX_NAME);
    if (newt__utf8_valid(name, n) != n)
        return newt__class_refuse(e, "a class name is not UTF-8");
    if (strncmp(name, "newt.", 5) == 0 || strncmp(name, "::", 2) == 0)
        return newt__class_refuse(e, "class name \"%s\" begins with \"%s\", which is reserved",
                                  name, *name == ':' ? "::" : "newt.");
    return true;
}

bool
newt__check_table(newt_error *e, const newt_class *t, bool is_own)
{
    if (t->class_size != sizeof(newt_class) || t->field_size != sizeof(newt_field)) {
        newt__class_refuse(e, "a class table was compiled with another version of newtdb.h");
        newt__fail_detail(e, "Its structs have %u and %u bytes, this library's %zu and %zu.",
                          t->class_size, t->field_size, sizeof(newt_class), sizeof(newt_field));
        newt__fail_hint(e, "Compile the program again.");
        return false;
    }
    if (!t->name)
        return newt__class_refuse(e, "a class has no name");
    if (!is_own && !check_class_name(e, t->name))
        return false;
    if (t->version < 0)
        return newt__class_refuse(e, "class \"%s\" has the negative version %d", t->name,
                                  (int)t->version);
    if (t->size == 0)
        return newt__class_refuse(e, "class \"%s\" has a struct of size 0", t->name);
    if (t->n_fields > 0 && !t->fields)
        return newt__class_refuse(e, "class \"%s\" has no table of fields", t->name);
    for (size_t i = 0; i < sizeof t->reserved_ / sizeof *t->reserved_; i++)
        if (t->reserved_[i])
            return newt__class_refuse(e, "class \"%s\" uses words that are reserved", t->name);
    if (t->flags & ~(uint32_t)ALL_CLASS_FLAGS)
        return newt__class_refuse(e, "class \"%s\" has unknown flags: 0x%x", t->name,
                                  (unsigned)t->flags);
    if ((t->flags & (t->flags - 1)) != 0)
        return newt__class_refuse(e, "class \"%s\" has flags that contradict each other", t->name);
    if (t->hooks) {
        if (t->hooks->size < FIRST_HOOKS || t->hooks->size > sizeof(newt_hooks))
            return newt__class_refuse(e, "the hooks of class \"%s\" have the wrong size", t->name);
        if (t->hooks->to_json && (t->flags & NEWT_C_SKIP))
            return newt__class_refuse(e, "class \"%s\" has to_json, but its objects have no JSONB",
                                      t->name);
        if (t->hooks->to_json && (t->flags & NEWT_C_ASYNC)) {
            newt__class_refuse(e, "class \"%s\" has to_json, which newt-updater cannot call",
                               t->name);
            newt__fail_hint(e, "Leave out NEWT_C_ASYNC: the program writes the JSONB itself.");
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
newt_hooks
newt__class_hooks(const newt_class *t)
{
    newt_hooks hooks = {0};

    if (t->hooks)
        memcpy(&hooks, t->hooks, t->hooks->size);
    return hooks;
}

bool
newt__same_definition(const newt_class *a, const newt_class *b)
{
    newt_hooks ha = newt__class_hooks(a), hb = newt__class_hooks(b);

    if (a->version != b->version || a->size != b->size || a->flags != b->flags ||
        a->n_fields != b->n_fields || ha.to_json != hb.to_json || ha.upgrade != hb.upgrade ||
        ha.resolve != hb.resolve || ha.arg != hb.arg)
        return false;
    for (uint32_t i = 0; i < a->n_fields; i++)
        if (!same_field(&a->fields[i], &b->fields[i]))
            return false;
    return true;
}

bool
newt__check_flags(newt_error *e, const newt__class *k, const newt__field *f)
{
    unsigned nulls = f->f.flags & (NEWT_F_KEEP_NULL | NEWT_F_REQUIRED);

    if (f->f.flags & ~ALL_FIELD_FLAGS)
        return newt__field_refuse(e, k, f, "has unknown flags: 0x%x", f->f.flags);
    if (nulls == (NEWT_F_KEEP_NULL | NEWT_F_REQUIRED))
        return newt__field_refuse(e, k, f, "cannot both keep null and refuse it");
    if (nulls && !(f->f.shape == NEWT_ONE && f->nullable))
        return newt__field_refuse(e, k, f, "is never null, so that NEWT_F_%s has no meaning",
                                  nulls == NEWT_F_REQUIRED ? "REQUIRED" : "KEEP_NULL");
    return true;
}

/* The layout: sizes against kinds, everything inside the struct. */
bool
newt__check_layout(newt_error *e, const newt__class *k, const newt__field *f)
{
    const newt_field *t = &f->f;
    bool keyed = t->shape == NEWT_MAP_OF || t->shape == NEWT_PAIRS_OF;

    if (!newt__kind_fits(t->kind, t->size) || t->size == 0)
        return newt__field_refuse(e, k, f, "has %u bytes, which is not the size of %s", t->size,
                                  newt__kinds[t->kind].name);
    if (t->offset > k->size || newt__field_extent(t) > k->size - t->offset)
        return newt__field_refuse(e, k, f, "lies outside its struct of %u bytes", k->size);
    if (t->shape == NEWT_ONE) {
        if (t->stride || t->key_kind || t->key_size || t->value_at)
            return newt__field_refuse(e, k, f, "is a single value, but has the layout of an array");
        return true;
    }
    if (!keyed) {
        if (t->key_kind || t->key_size || t->value_at || t->stride != t->size)
            return newt__field_refuse(e, k, f, "has an array whose items are not %u bytes",
                                      t->size);
        return true;
    }
    if (t->key_kind == 0 || t->key_kind >= NEWT__N_KINDS || !newt__kinds[t->key_kind].key ||
        (t->shape == NEWT_MAP_OF && t->key_kind != NEWT_K_TEXT))
        return newt__field_refuse(e, k, f, "cannot have keys of kind %s",
                                  newt__kind_name(t->key_kind));
    if (!newt__kind_fits(t->key_kind, t->key_size) || t->key_size == 0)
        return newt__field_refuse(e, k, f, "has keys of %u bytes, which is not the size of %s",
                                  t->key_size, newt__kinds[t->key_kind].name);
    if (t->value_at < t->key_size || t->value_at + t->size > t->stride)
        return newt__field_refuse(e, k, f, "has items of %u bytes, too small for key and value",
                                  t->stride);
    return true;
}

static int
by_offset(const void *a, const void *b)
{
    const newt__field *x = *(newt__field *const *)a, *y = *(newt__field *const *)b;

    return (x->f.offset > y->f.offset) - (x->f.offset < y->f.offset);
}

bool
newt__check_overlap(newt_error *e, const newt__class *k)
{
    newt__field **sorted = malloc((k->n_fields ? k->n_fields : 1) * sizeof *sorted);
    bool ok = true;

    if (!sorted) {
        newt__fail_memory(e);
        return false;
    }
    for (uint32_t i = 0; i < k->n_fields; i++)
        sorted[i] = &k->fields[i];
    qsort(sorted, k->n_fields, sizeof *sorted, by_offset);
    for (uint32_t i = 1; i < k->n_fields && ok; i++) {
        const newt_field *f = &sorted[i - 1]->f;

        if (newt__field_extent(f) > sorted[i]->f.offset - f->offset)
            ok = newt__class_refuse(e, "fields \"%s\" and \"%s\" of class \"%s\" overlap",
                                    sorted[i - 1]->as, sorted[i]->as, k->name);
    }
    free(sorted);
    return ok;
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

bool
newt__check_alignment(newt_error *e, const newt__class *k)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        uint32_t value = align_of(f->type, f->f.kind, f->f.size), stride = f->f.stride;
        uint32_t member = f->f.shape == NEWT_ONE ? value : (uint32_t) _Alignof(newt__array_layout);

        if (f->f.offset % member || stride % value || f->f.value_at % value ||
            (f->f.key_kind && stride % align_of(NULL, f->f.key_kind, f->f.key_size))) {
            newt__field_refuse(e, k, f, "is not aligned");
            newt__fail_hint(e, "Packed structs cannot be stored.");
            return false;
        }
    }
    return true;
}
