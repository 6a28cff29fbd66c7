/*
 * registry.c - what the store's registry says of a class, as JSON; see docs/class-registry.md
 *
 * The text is as PostgreSQL writes a jsonb: keys by length and then by their bytes, a blank after
 * each colon and comma, as jansson writes them. So a store can compare texts, which nearly always
 * are the same, and need not send them.
 */
#include "class.h"
#include "../conn.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    int failed = 0;

    if (kind == NEWT_K_INT || kind == NEWT_K_UINT || kind == NEWT_K_FLOAT)
        failed |= json_object_set_new(to, "bits", json_integer(8 * (json_int_t)size));
    return failed | json_object_set_new(to, "kind", json_string(newt__kind_name(kind)));
}

static int
describe_key(json_t *to, const newt__field *f)
{
    json_t *key = json_object();
    int failed = describe_kind(key, f->f.key_kind, f->f.key_size);

    return failed | json_object_set_new(to, "key", key);
}

static int
describe_names(json_t *to, const newt__field *f)
{
    json_t *names = json_array();
    int failed = 0;

    for (uint32_t i = 0; i < f->n_names; i++)
        failed |= json_array_append_new(names, json_string(f->f.names[i]));
    return failed | json_object_set_new(to, "names", names);
}

static int
describe_flag(json_t *to, const newt__field *f, unsigned flag, const char *name)
{
    return f->f.flags & flag ? json_object_set_new(to, name, json_true()) : 0;
}

/* The names that a field had, the newest first. */
static int
describe_past(json_t *to, const newt__class *k, const newt__field *f)
{
    json_t *was = json_array();
    int failed = was == NULL;
    bool more = true;

    for (uint32_t rank = 0; more && !failed; rank++) {
        more = false;
        for (uint32_t i = 0; i < k->n_past; i++) {
            if (k->past[i].field != f || k->past[i].rank != rank)
                continue;
            failed |= json_array_append_new(was, json_string(k->past[i].name));
            more = true;
        }
    }
    if (json_array_size(was) > 0)
        return failed | json_object_set_new(to, "was", was);
    json_decref(was);
    return failed;
}

/* ---- defaults -------------------------------------------------------------------------------
 */

static void
write_default(newt__writer *w, const newt__field *f)
{
    const void *p = f->f.init;

    switch (f->f.kind) {
    case NEWT_K_TEXT: {
        const newt_text *text = p;

        newt__write_text(w, text->s, text->n);
        break;
    }
    case NEWT_K_BYTES: {
        const newt_bytes *bytes = p;

        newt__write_bytes(w, bytes->p, bytes->n);
        break;
    }
    case NEWT_K_TIME: newt__write_time(w, ((const newt_time *)p)->us); break;
    case NEWT_K_DURATION: newt__write_duration(w, ((const newt_duration *)p)->us); break;
    case NEWT_K_DATE: newt__write_date(w, ((const newt_date *)p)->days); break;
    default: newt__write_uuid(w, ((const newt_uuid *)p)->b);
    }
}

/* In the form that the projection shows. NULL: no memory. */
static json_t *
projected_default(const newt__field *f)
{
    newt__writer w = {.buf.env = &newt__malloc_env};
    newt__buffer text = {.env = &newt__malloc_env};
    json_t *json = NULL;
    newt__fault fault;
    bool hidden;

    newt__write_begin(&w, "d", 1, 0);
    write_default(&w, f);
    if (newt__write_end(&w) == NEWT__OK &&
        newt__project_text(&newt__malloc_env, w.buf.data, w.buf.n, &text, &hidden, &fault) ==
            NEWT__OK)
        json = json_loadb((const char *)text.data, text.n, JSON_DECODE_ANY, NULL);
    newt__buffer_free(&text);
    newt__writer_free(&w);
    return json;
}

static uint64_t
unsigned_of(const void *p, uint32_t size)
{
    switch (size) {
    case 1: return *(const uint8_t *)p;
    case 2: return *(const uint16_t *)p;
    case 4: return *(const uint32_t *)p;
    default: return *(const uint64_t *)p;
    }
}

static int64_t
signed_of(const void *p, uint32_t size)
{
    switch (size) {
    case 1: return *(const int8_t *)p;
    case 2: return *(const int16_t *)p;
    case 4: return *(const int32_t *)p;
    default: return *(const int64_t *)p;
    }
}

/* What is no number is shown by its name. */
static json_t *
float_default(double x)
{
    if (isfinite(x))
        return json_real(x);
    return json_string(isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity");
}

/* By its text: jansson would take its scale. */
static json_t *
decimal_default(const newt_text *digits)
{
    json_t *text = json_stringn(digits->s, digits->n);

    return newt__special_named(digits->s, digits->n) ? text : json_pack("{s:o}", "::num", text);
}

/* jansson has no integers beyond int64: such a one is its text. */
static json_t *
unsigned_default(uint64_t u)
{
    return u <= INT64_MAX ? json_integer((json_int_t)u)
                          : json_pack("{s:o}", "::num", json_sprintf("%" PRIu64, u));
}

static int
describe_default(json_t *to, const newt__field *f)
{
    const void *p = f->f.init;
    json_t *value;

    if (!p)
        return 0;
    switch (f->f.kind) {
    case NEWT_K_BOOL: value = json_boolean(*(const bool *)p); break;
    case NEWT_K_INT: value = json_integer(signed_of(p, f->f.size)); break;
    case NEWT_K_UINT: value = unsigned_default(unsigned_of(p, f->f.size)); break;
    case NEWT_K_FLOAT:
        value = float_default(f->f.size == sizeof(float) ? *(const float *)p : *(const double *)p);
        break;
    case NEWT_K_DECIMAL: value = decimal_default(&((const newt_decimal *)p)->digits); break;
    case NEWT_K_ENUM: value = json_string(f->f.names[*(const int *)p]); break;
    default: value = projected_default(f);
    }
    return json_object_set_new(to, "default", value);
}

/* The keys in jsonb's order. */
static json_t *
describe_field(const newt__class *k, const newt__field *f, const struct open_struct *up)
{
    const struct open_struct *open = up;
    json_t *d = json_object();
    int failed = 0;

    while (open && (f->f.kind != NEWT_K_STRUCT || open->class != f->type))
        open = open->up;
    if (f->f.shape == NEWT_PAIRS_OF)
        failed |= describe_key(d, f);
    failed |= describe_past(d, k, f);
    failed |= describe_kind(d, f->f.kind, f->f.size);
    failed |= json_object_set_new(d, "name", json_string(f->as));
    failed |= describe_flag(d, f, NEWT_F_SKIP, "skip");
    if (f->type)
        failed |= json_object_set_new(d, "class", json_string(f->type->name));
    if (f->f.kind == NEWT_K_ENUM)
        failed |= describe_names(d, f);
    if (f->f.shape != NEWT_ONE)
        failed |= json_object_set_new(d, "shape", json_string(shapes[f->f.shape]));
    if (f->f.kind == NEWT_K_STRUCT && !open)
        failed |= json_object_set_new(d, "fields", describe_fields(f->type, up));
    failed |= describe_default(d, f);
    failed |= describe_flag(d, f, NEWT_F_REQUIRED, "required");
    failed |= describe_flag(d, f, NEWT_F_KEEP_NULL, "keep_null");
    if (open)
        failed |= json_object_set_new(d, "recursive", json_true());
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
        if (!declared || json_array_append_new(list, describe_field(k, declared[i], &open)) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
    }
    free(declared);
    return list;
}

/* jansson escapes control characters with capitals. */
static void
lower_escapes(char *text)
{
    for (char *s = text; (s = strchr(s, '\\')); s += 2)
        if (s[1] == 'u')
            for (char *digit = s + 2; digit < s + 6; digit++)
                *digit |= 0x20;
}

/* What is said of the class itself, as if it were a field that is not shown. */
static int
describe_class(json_t *list, const newt__class *k)
{
    json_t *d = json_object(), *was = json_array();
    int failed = 0;

    for (uint32_t i = 0; i < k->n_was; i++)
        failed |= json_array_append_new(was, json_string(k->was[i]));
    failed |= json_object_set_new(d, "was", was);
    failed |= json_object_set_new(d, "kind", json_string("class"));
    failed |= json_object_set_new(d, "name", json_string(""));
    failed |= json_object_set_new(d, "skip", json_true());
    if (k->tree)
        failed |= json_object_set_new(d, "tree", json_true());
    if (k->flags & NEWT_C_SKIP)
        failed |= json_object_set_new(d, "hidden", json_true());
    if (failed) {
        json_decref(d);
        return failed;
    }
    return json_array_append_new(list, d);
}

char *
newt__class_fields(const newt__class *k)
{
    json_t *list = describe_fields(k, NULL);
    char *text = NULL;
    bool plain = k->n_was == 0 && !k->tree && !(k->flags & NEWT_C_SKIP);

    if (list && (plain || describe_class(list, k) == 0))
        text = newt__json_dump(list, 0);
    json_decref(list);
    if (text)
        lower_escapes(text);
    return text;
}
