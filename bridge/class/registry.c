/*
 * registry.c - what the store's registry says of a class, as JSON; see docs/class-registry.md
 *
 * The text is written as PostgreSQL writes a jsonb: keys by length and then by their bytes, one
 * blank after each colon and comma. So a store can compare texts, which nearly always are the same,
 * and need not send them.
 */
#include "class.h"
#include "../conn.h"

#include <stdio.h>
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

typedef struct text {
    newt__buffer out;
    bool failed; /* no memory */
} text;

static void write_fields(text *t, const newt__class *k, const struct open_struct *up);

static void
append(text *t, const char *s, size_t n)
{
    if (!newt__buffer_append(&t->out, s, n))
        t->failed = true;
}

static void
write_plain(text *t, const char *s)
{
    append(t, s, strlen(s));
}

static void
write_string(text *t, const char *s)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    write_plain(t, "\"");
    for (size_t n; *s; s += n) {
        const char *form = short_forms;
        char escaped[12];

        for (n = 0; (unsigned char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\'; n++)
            continue;
        append(t, s, n);
        if (!s[n])
            break;
        while (*form && *form != s[n])
            form += 2;
        if (*form)
            snprintf(escaped, sizeof escaped, "\\%c", form[1]);
        else
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)s[n]);
        write_plain(t, escaped);
        n++;
    }
    write_plain(t, "\"");
}

/* Keys are in the order of their calls. */
static void
write_key(text *t, const char *key)
{
    if (t->out.n > 0 && t->out.data[t->out.n - 1] != '{')
        write_plain(t, ", ");
    write_string(t, key);
    write_plain(t, ": ");
}

static void
write_member(text *t, const char *key, const char *value)
{
    write_key(t, key);
    write_string(t, value);
}

static void
write_true(text *t, const char *key, bool is)
{
    if (!is)
        return;
    write_key(t, key);
    write_plain(t, "true");
}

static void
write_kind(text *t, uint8_t kind, uint32_t size)
{
    char bits[16];

    if (kind == NEWT_K_INT || kind == NEWT_K_UINT || kind == NEWT_K_FLOAT) {
        write_key(t, "bits");
        snprintf(bits, sizeof bits, "%u", 8 * size);
        write_plain(t, bits);
    }
    write_member(t, "kind", newt__kind_name(kind));
}

static void
write_names(text *t, const newt__field *f)
{
    write_key(t, "names");
    write_plain(t, "[");
    for (uint32_t i = 0; i < f->n_names; i++) {
        if (i > 0)
            write_plain(t, ", ");
        write_string(t, f->f.names[i]);
    }
    write_plain(t, "]");
}

static void
write_field(text *t, const newt__field *f, const struct open_struct *up)
{
    const struct open_struct *open = up;

    if (f->f.kind == NEWT_K_STRUCT)
        while (open && open->class != f->type)
            open = open->up;
    else
        open = NULL;
    write_plain(t, "{");
    if (f->f.shape == NEWT_PAIRS_OF) {
        write_key(t, "key");
        write_plain(t, "{");
        write_kind(t, f->f.key_kind, f->f.key_size);
        write_plain(t, "}");
    }
    write_kind(t, f->f.kind, f->f.size);
    write_member(t, "name", f->as);
    write_true(t, "skip", f->f.flags & NEWT_F_SKIP);
    if (f->type)
        write_member(t, "class", f->type->name);
    if (f->f.kind == NEWT_K_ENUM)
        write_names(t, f);
    if (f->f.shape != NEWT_ONE)
        write_member(t, "shape", shapes[f->f.shape]);
    if (f->f.kind == NEWT_K_STRUCT && !open) {
        write_key(t, "fields");
        write_fields(t, f->type, up);
    }
    write_true(t, "required", f->f.flags & NEWT_F_REQUIRED);
    write_true(t, "keep_null", f->f.flags & NEWT_F_KEEP_NULL);
    write_true(t, "recursive", open != NULL);
    write_plain(t, "}");
}

/* In the order of the program's table: a view's columns come in it. */
static void
write_fields(text *t, const newt__class *k, const struct open_struct *up)
{
    struct open_struct open = {up, k};
    const newt__field **declared = malloc((k->n_fields ? k->n_fields : 1) * sizeof *declared);

    if (!declared) {
        t->failed = true;
        return;
    }
    for (uint32_t i = 0; i < k->n_fields; i++)
        declared[k->fields[i].declared] = &k->fields[i];
    write_plain(t, "[");
    for (uint32_t i = 0; i < k->n_fields; i++) {
        if (i > 0)
            write_plain(t, ", ");
        write_field(t, declared[i], &open);
    }
    write_plain(t, "]");
    free(declared);
}

char *
newt__class_fields(const newt__class *k)
{
    text t = {.out.env = &newt__malloc_env};

    write_fields(&t, k, NULL);
    append(&t, "", 1);
    if (!t.failed)
        return (char *)t.out.data;
    newt__buffer_free(&t.out);
    return NULL;
}
