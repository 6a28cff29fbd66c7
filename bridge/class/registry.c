/*
 * registry.c - what the store's registry says of a class, as JSON; see docs/class-registry.md
 */
#include "class.h"

#include <stdlib.h>

static const char *const shapes[NEWT__N_SHAPES] = {
    [NEWT_ONE] = NULL,     [NEWT_LIST_OF] = "list",   [NEWT_SET_OF] = "set",
    [NEWT_MAP_OF] = "map", [NEWT_PAIRS_OF] = "pairs",
};

/* Structs that are being described, so that one that holds arrays of itself comes to an end. */
struct open_struct {
    const struct open_struct *up;
    const newt__class *class;
};

static json_t *describe_fields(const newt__class *k, const struct open_struct *up);

static int
describe_kind(json_t *to, uint8_t kind, uint32_t size)
{
    int failed = json_object_set_new(to, "kind", json_string(newt__kind_name(kind)));

    if (kind == NEWT_K_INT || kind == NEWT_K_UINT || kind == NEWT_K_FLOAT)
        failed |= json_object_set_new(to, "bits", json_integer(8 * (json_int_t)size));
    return failed;
}

static int
describe_struct(json_t *to, const newt__field *f, const struct open_struct *up)
{
    const struct open_struct *open = up;

    while (open && open->class != f->type)
        open = open->up;
    if (open)
        return json_object_set_new(to, "recursive", json_true());
    return json_object_set_new(to, "fields", describe_fields(f->type, up));
}

static json_t *
describe_field(const newt__field *f, const struct open_struct *up)
{
    static const struct {
        unsigned flag;
        const char *name;
    } flags[] = {
        {NEWT_F_KEEP_NULL, "keep_null"}, {NEWT_F_REQUIRED, "required"}, {NEWT_F_SKIP, "skip"}};
    json_t *d = json_object();
    int failed = json_object_set_new(d, "name", json_string(f->as));

    failed |= describe_kind(d, f->f.kind, f->f.size);
    if (f->f.shape != NEWT_ONE)
        failed |= json_object_set_new(d, "shape", json_string(shapes[f->f.shape]));
    if (f->f.shape == NEWT_PAIRS_OF) {
        json_t *key = json_object();

        failed |= describe_kind(key, f->f.key_kind, f->f.key_size);
        failed |= json_object_set_new(d, "key", key);
    }
    if (f->type)
        failed |= json_object_set_new(d, "class", json_string(f->type->name));
    if (f->f.kind == NEWT_K_STRUCT)
        failed |= describe_struct(d, f, up);
    if (f->f.kind == NEWT_K_ENUM) {
        json_t *names = json_array();

        for (uint32_t i = 0; i < f->n_names; i++)
            failed |= json_array_append_new(names, json_string(f->f.names[i]));
        failed |= json_object_set_new(d, "names", names);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (f->f.flags & flags[i].flag)
            failed |= json_object_set_new(d, flags[i].name, json_true());
    if (failed) {
        json_decref(d);
        return NULL;
    }
    return d;
}

/* In the order of the program's table: a view's columns come in it. */
static json_t *
describe_fields(const newt__class *k, const struct open_struct *up)
{
    struct open_struct open = {up, k};
    const newt__field **declared = malloc((k->n_fields ? k->n_fields : 1) * sizeof *declared);
    json_t *list = json_array();

    for (uint32_t i = 0; declared && i < k->n_fields; i++)
        declared[k->fields[i].declared] = &k->fields[i];
    for (uint32_t i = 0; i < k->n_fields || !declared; i++) {
        if (!declared || json_array_append_new(list, describe_field(declared[i], &open)) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
    }
    free(declared);
    return list;
}

json_t *
newt__class_fields(const newt__class *k)
{
    return describe_fields(k, NULL);
}
