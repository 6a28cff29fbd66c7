/*
 * check.c - what is wrong with a class table, and whether two are the same
 */
#include "build.h"
#include "../conn.h"

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
    if (t->tree && t->tree->size != sizeof *t->tree)
        return newt__class_refuse(e, "newt_class.tree of class \"%s\" has the wrong size", t->name);
    if (t->version < 0 || (t->tree && t->tree->version < 0))
        return newt__class_refuse(e, "class \"%s\" has the negative version %d", t->name,
                                  (int)(t->tree ? t->tree->version : t->version));
    if (t->size == 0)
        return newt__class_refuse(e, "class \"%s\" has a struct of size 0", t->name);
    if (t->n_fields > 0 && !t->fields)
        return newt__class_refuse(e, "class \"%s\" has no table of fields", t->name);
    for (size_t i = 0; t->was && t->was[i]; i++)
        if (!check_class_name(e, t->was[i])) {
            newt__fail_detail(e, "Class \"%s\" says that it had this name.", t->name);
            return false;
        }
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

/* Lists of names that end with NULL; NULL is an empty one. */
static bool
same_names(const char *const *a, const char *const *b)
{
    static const char *const none[] = {NULL};

    a = a ? a : none;
    b = b ? b : none;
    while (*a && *b && strcmp(*a, *b) == 0)
        a++, b++;
    return *a == *b; /* both are at the end */
}

static bool
same_init(const newt_field *a, const newt_field *b)
{
    const newt_bytes *x = a->init, *y = b->init; /* the layout of all that is bytes */

    if (!x != !y || a->init_size != b->init_size || !x || x == y)
        return !x == !y && a->init_size == b->init_size;
    if (a->init_size != a->size || b->init_size != b->size)
        return true; /* refused anyway */
    if (a->kind != NEWT_K_TEXT && a->kind != NEWT_K_BYTES && a->kind != NEWT_K_DECIMAL)
        return memcmp(x, y, a->size) == 0;
    return x->n == y->n && !x->p == !y->p && (!x->p || memcmp(x->p, y->p, x->n) == 0);
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
    return !a->names == !b->names && same_names(a->names, b->names) && !a->was == !b->was &&
           (!a->was || strcmp(a->was, b->was) == 0) && same_names(a->were, b->were) &&
           same_init(a, b);
}

static bool
same_indexes(const newt_index *const *a, const newt_index *const *b)
{
    for (; a && b && *a && *b; a++, b++) {
        const newt_index *x = *a, *y = *b;

        if (x->size != y->size || x->size != sizeof *x || !x->name || !y->name ||
            strcmp(x->name, y->name) != 0 || x->unique != y->unique || x->where != y->where ||
            x->n_parts != y->n_parts || x->n_parts > NEWT_INDEX_PARTS)
            return false;
        for (uint32_t i = 0; i < x->n_parts; i++)
            if (!x->parts[i].field || !y->parts[i].field || x->parts[i].at != y->parts[i].at ||
                strcmp(x->parts[i].field, y->parts[i].field) != 0)
                return false;
    }
    return (!a || !*a) && (!b || !*b);
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
        ha.resolve != hb.resolve || ha.arg != hb.arg || !same_indexes(ha.indexes, hb.indexes) ||
        !same_names(a->was, b->was) || !same_names(a->dropped, b->dropped) ||
        !a->tree != !b->tree ||
        (a->tree &&
         (a->tree->n_keys != b->tree->n_keys || a->tree->node_bytes != b->tree->node_bytes ||
          a->tree->not_counted != b->tree->not_counted)))
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

/* ---- what was, and what is at first ------------------------------------------------------ */

static bool
is_decimal(newt_error *e, const newt_text *digits)
{
    newt__buffer magnitude = {.env = &newt__malloc_env};
    newt__number x;
    newt__code code;

    if (newt__special_named(digits->s, digits->n))
        return true;
    code = newt__number_parse(digits->s, digits->n, &magnitude, &x);
    newt__buffer_free(&magnitude);
    if (code == NEWT__NOMEM)
        newt__fail_memory(e);
    return code == NEWT__OK;
}

bool
newt__check_init(newt_error *e, const newt__class *k, const newt__field *f)
{
    const newt_field *t = &f->f;

    if (!t->init)
        return t->init_size == 0 ||
               newt__field_refuse(e, k, f, "has the size of a default, but none");
    if (t->shape != NEWT_ONE || t->kind == NEWT_K_JSON || t->kind == NEWT_K_REF ||
        t->kind == NEWT_K_STORE_REF || t->kind == NEWT_K_WEAK || t->kind == NEWT_K_STRUCT)
        return newt__field_refuse(e, k, f, "cannot have a default: it is %s",
                                  t->shape != NEWT_ONE ? "no single value"
                                                       : newt__kinds[t->kind].name);
    if (t->init_size != t->size)
        return newt__field_refuse(e, k, f, "has %u bytes, but a default of %u", t->size,
                                  t->init_size);
    if (newt__is_null(t->kind, t->init))
        return newt__field_refuse(e, k, f, "has null as its default: leave it out");
    if (t->kind == NEWT_K_ENUM &&
        (*(const int *)t->init < 0 || (uint32_t) * (const int *)t->init >= f->n_names))
        return newt__field_refuse(e, k, f, "has the default %d, which its enum has no name for",
                                  *(const int *)t->init);
    if (t->kind == NEWT_K_DECIMAL && !is_decimal(e, t->init))
        return e->status == NEWT_OK
                   ? newt__field_refuse(e, k, f, "has a default that is no decimal number")
                   : false;
    return true;
}

bool
newt__check_past_name(newt_error *e, const newt__class *k, const newt__field *f, const char *name)
{
    size_t n = newt__name_length(name);
    const char *wrong = n == 0                           ? "empty"
                        : n > NEWT__MAX_NAME             ? "too long"
                        : newt__utf8_valid(name, n) != n ? "not UTF-8"
                                                         : NULL;

    if (!wrong)
        return true;
    if (f)
        return newt__field_refuse(e, k, f, "has an older name that is %s", wrong);
    return newt__class_refuse(e, "class \"%s\" drops a field whose name is %s", k->name, wrong);
}

/* An older name that is the name of a field. */
static bool
refuse_present(newt_error *e, const newt__class *k, const newt__past *p, const newt__field *f)
{
    if (!p->field)
        return newt__class_refuse(e, "class \"%s\" drops \"%s\", but has a field of this name",
                                  k->name, p->name);
    return newt__field_refuse(e, k, p->field, "was \"%s\", which is %s", p->name,
                              p->field == f ? "its name" : "the name of another field");
}

static bool
refuse_twice(newt_error *e, const newt__class *k, const newt__past *p, const newt__past *q)
{
    const newt__past *kept = p->field ? p : q, *other = p->field ? q : p;

    if (!kept->field)
        return newt__class_refuse(e, "class \"%s\" drops \"%s\" twice", k->name, p->name);
    if (!other->field)
        return newt__class_refuse(e, "class \"%s\" drops \"%s\", which its field \"%s\" was",
                                  k->name, p->name, kept->field->as);
    if (p->field == q->field)
        return newt__field_refuse(e, k, p->field, "was \"%s\" twice", p->name);
    return newt__class_refuse(e, "fields \"%s\" and \"%s\" of class \"%s\" both were \"%s\"",
                              p->field->as, q->field->as, k->name, p->name);
}

bool
newt__check_past(newt_error *e, const newt__class *k)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < k->n_past; i++) {
        const newt__past *p = &k->past[i];
        int order = -1;

        while (at < k->n_fields &&
               (order = newt__key_order(k->fields[at].as, k->fields[at].as_n, p->name, p->n)) < 0)
            at++;
        if (at < k->n_fields && order == 0)
            return refuse_present(e, k, p, &k->fields[at]);
        if (i > 0 && newt__key_order(p[-1].name, p[-1].n, p->name, p->n) == 0)
            return refuse_twice(e, k, p - 1, p);
    }
    return true;
}

/* ---- layouts ------------------------------------------------------------------------------ */

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
