/*
 * fields.c - a class as the registry has it (docs/class-registry.md)
 */
#include "fields.h"

#include "values.h"

#include "miscadmin.h"

const char *const newt_pg_kind_names[NEWT_PG_N_KINDS] = {
    [NEWT_PG_K_BOOL] = "bool",       [NEWT_PG_K_INT] = "int",
    [NEWT_PG_K_UINT] = "uint",       [NEWT_PG_K_FLOAT] = "float",
    [NEWT_PG_K_TEXT] = "text",       [NEWT_PG_K_BYTES] = "bytes",
    [NEWT_PG_K_TIME] = "time",       [NEWT_PG_K_DURATION] = "duration",
    [NEWT_PG_K_DATE] = "date",       [NEWT_PG_K_UUID] = "uuid",
    [NEWT_PG_K_DECIMAL] = "decimal", [NEWT_PG_K_JSON] = "json",
    [NEWT_PG_K_ENUM] = "enum",       [NEWT_PG_K_REF] = "ref",
    [NEWT_PG_K_STRUCT] = "struct",   [NEWT_PG_K_STORE_REF] = "store_ref",
    [NEWT_PG_K_WEAK] = "weak",
};

/* Kinds that have no null: it is neither stored nor given for them. */
static const bool is_never_null[NEWT_PG_N_KINDS] = {
    [NEWT_PG_K_BOOL] = true,  [NEWT_PG_K_INT] = true,  [NEWT_PG_K_UINT] = true,
    [NEWT_PG_K_FLOAT] = true, [NEWT_PG_K_ENUM] = true, [NEWT_PG_K_DURATION] = true,
    [NEWT_PG_K_STRUCT] = true};

/* Kinds of several sizes. */
static const bool is_number[NEWT_PG_N_KINDS] = {
    [NEWT_PG_K_INT] = true, [NEWT_PG_K_UINT] = true, [NEWT_PG_K_FLOAT] = true};

static const char *const shapes[] = {[NEWT_PG_ONE] = "",
                                     [NEWT_PG_LIST_OF] = "list",
                                     [NEWT_PG_SET_OF] = "set",
                                     [NEWT_PG_MAP_OF] = "map",
                                     [NEWT_PG_PAIRS_OF] = "pairs"};

/* What is being read: the structs around it, for those that hold arrays of themselves. */
typedef struct open_struct {
    const struct open_struct *up;
    const newt_pg_struct *fields;
} open_struct;

static void read_fields(newt_pg_struct *k, const JsonbContainer *list, const open_struct *up,
                        newt_pg_class *class);

NEWT_PG_NORETURN static void
unreadable(const char *class_name, const char *what)
{
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("the registry's entry of class \"%s\" cannot be read", class_name),
                    errdetail("%s", what)));
}

/* ---- entries of an object --------------------------------------------------------------------
 */

static JsonbValue *
entry(const JsonbContainer *object, const char *key)
{
    return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, object), key, (int)strlen(key),
                                        NULL);
}

static newt__name
name_of(const JsonbContainer *object, const char *key)
{
    JsonbValue *v = entry(object, key);

    return v && v->type == jbvString ? (newt__name){v->val.string.val, (size_t)v->val.string.len}
                                     : (newt__name){NULL, 0};
}

static bool
is_named(newt__name name, const char *s)
{
    return name.s && name.n == strlen(s) && memcmp(name.s, s, name.n) == 0;
}

static bool
flag(const JsonbContainer *object, const char *key)
{
    JsonbValue *v = entry(object, key);

    return v && v->type == jbvBool && v->val.boolean;
}

static const JsonbContainer *
list_of(const JsonbContainer *object, const char *key)
{
    JsonbValue *v = entry(object, key);

    return v && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data)
               ? v->val.binary.data
               : NULL;
}

/* Appends the texts of a list. */
static void
add_names(newt__name **names, int *n, const JsonbContainer *list)
{
    int more = list ? (int)JsonContainerSize(list) : 0;

    if (more == 0)
        return;
    *names = *names ? repalloc(*names, (*n + more) * sizeof **names)
                    : palloc(more * sizeof **names);
    for (int i = 0; i < more; i++) {
        JsonbValue v;

        newt_pg_read_entry(list, (uint32)i, (const char *)&list->children[more], &v);
        if (v.type == jbvString)
            (*names)[(*n)++] = (newt__name){v.val.string.val, (size_t)v.val.string.len};
    }
}

/* ---- fields -----------------------------------------------------------------------------------
 */

static void
read_type(newt_pg_value_type *t, const JsonbContainer *from, const char *class_name)
{
    newt__name kind = name_of(from, "kind");
    JsonbValue *bits = entry(from, "bits");
    int64 n = 0;

    t->kind = 0;
    while (t->kind < NEWT_PG_N_KINDS && !is_named(kind, newt_pg_kind_names[t->kind]))
        t->kind++;
    if (t->kind == NEWT_PG_N_KINDS)
        unreadable(class_name, "It has a kind of field that this extension does not know.");
    t->nullable = !is_never_null[t->kind];
    if (is_number[t->kind] && (!bits || !newt_pg_to_int64(bits, &n) || n < 8 || n > 64))
        unreadable(class_name, "It has a number of impossible size.");
    t->bits = (int)n;
}

/* The struct around with this name: those that hold themselves are described once. */
static const newt_pg_struct *
struct_around(newt__name name, const open_struct *up)
{
    for (; up; up = up->up)
        if (is_named(name, up->fields->class_name))
            return up->fields;
    return NULL;
}

static void
read_field(newt_pg_member *f, newt_pg_struct *k, const JsonbContainer *from, const open_struct *up,
           newt_pg_class *class)
{
    newt__name shape = name_of(from, "shape"), of = name_of(from, "class");
    const JsonbContainer *inner = list_of(from, "fields");
    JsonbValue *key = entry(from, "key");

    *f = (newt_pg_member){.name = name_of(from, "name"),
                          .required = flag(from, "required"),
                          .keep_null = flag(from, "keep_null"),
                          .skip = flag(from, "skip"),
                          .initial = entry(from, "default"),
                          .key = {.kind = NEWT_PG_K_TEXT}};
    if (!f->name.s)
        unreadable(k->class_name, "A field has no name.");
    while (shape.s && f->shape < lengthof(shapes) - 1 && !is_named(shape, shapes[f->shape]))
        f->shape++;
    read_type(&f->value, from, k->class_name);
    if (key && key->type == jbvBinary)
        read_type(&f->key, key->val.binary.data, k->class_name);
    add_names(unconstify(newt__name **, &f->value.names), &f->value.n_names,
              list_of(from, "names"));
    add_names(&k->was, &k->n_was, list_of(from, "was"));
    if (f->value.kind != NEWT_PG_K_STRUCT)
        return;
    if (inner) {
        newt_pg_struct *fields = palloc0(sizeof *fields);

        fields->class_name = of.s ? pnstrdup(of.s, of.n) : "";
        f->value.fields = fields;
        read_fields(fields, inner, up, class);
    } else {
        f->value.fields = struct_around(of, up);
    }
    if (!f->value.fields)
        unreadable(k->class_name, "It has a struct without fields.");
}

static int
by_key(const void *a, const void *b)
{
    const newt_pg_member *x = a, *y = b;

    return newt__key_order(x->name.s, x->name.n, y->name.s, y->name.n);
}

static void
read_fields(newt_pg_struct *k, const JsonbContainer *list, const open_struct *up,
            newt_pg_class *class)
{
    open_struct here = {up, k};
    int n = (int)JsonContainerSize(list);

    check_stack_depth();
    k->fields = palloc((n + 1) * sizeof *k->fields);
    for (int i = 0; i < n; i++) {
        const JsonbContainer *from;
        JsonbValue v;

        newt_pg_read_entry(list, (uint32)i, (const char *)&list->children[n], &v);
        if (v.type != jbvBinary || !JsonContainerIsObject(v.val.binary.data))
            unreadable(k->class_name, "A field is no object.");
        from = v.val.binary.data;
        if (is_named(name_of(from, "kind"), "class")) { /* says something of the class itself */
            class->hidden |= !up && flag(from, "hidden");
            class->is_tree |= !up && flag(from, "tree");
        } else {
            read_field(&k->fields[k->n++], k, from, &here, class);
        }
    }
    qsort(k->fields, k->n, sizeof *k->fields, by_key);
}

newt_pg_class *
newt_pg_read_class(const char *name, int32 version, const Jsonb *fields)
{
    newt_pg_class *class = palloc0(sizeof *class);

    class->version = version;
    class->state.class_name = pstrdup(name);
    if (!JsonContainerIsArray(&fields->root) || JsonContainerIsScalar(&fields->root))
        unreadable(name, "It is no list of fields.");
    read_fields(&class->state, &fields->root, NULL, class);
    return class;
}

const newt_pg_member *
newt_pg_member_named(const newt_pg_struct *k, const char *s, size_t n)
{
    int low = 0, high = k->n;

    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = newt__key_order(s, n, k->fields[middle].name.s, k->fields[middle].name.n);

        if (order == 0)
            return &k->fields[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
