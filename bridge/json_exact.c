/*
 * json_exact.c - JSON text that is kept as it is
 *
 * A field's text becomes its item without jansson in between (codec/json_parse.c). A bag's state is
 * jansson, but in the form that loses nothing (docs/json-values.md): it is made from the item, and
 * an item is made from it.
 */
#include "object.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD = 4 /* bytes of the head of a record of a class with a name of one byte */
};

/* The text's item, in w after HEAD bytes. */
static bool
parse(newt__writer *w, const char *text, size_t n, newt__fault *fault)
{
    newt__write_begin(w, "j", 1, 0);
    if (newt__write_json(w, text, n, fault) == NEWT__OK && newt__write_end(w) != NEWT__OK)
        *fault = (newt__fault){w->fault.code, w->fault.reason, 0};
    return fault->code == NEWT__OK;
}

/* An item's text, for free(); NULL: no memory, or it is damaged. */
static char *
text_of(const void *item, size_t item_n, uint64_t shared, size_t *n)
{
    newt__buffer out = {.env = &newt__malloc_env};
    newt__fault fault;

    if (newt__item_text(out.env, item, item_n, NEWT__MAX_DEPTH, shared, &out, &fault) != NEWT__OK ||
        !newt__buffer_append(&out, "", 1)) {
        newt__buffer_free(&out);
        return NULL;
    }
    if (n)
        *n = out.n - 1;
    return (char *)out.data;
}

/* ---- fields ------------------------------------------------------------------------------ */

int
newt_json_set_text(newt_object *o, newt_json *f, const char *text, size_t n)
{
    newt__header *h = newt__writable(o, f, false);
    newt__writer w = {.buf.env = h ? &h->conn->env : NULL};
    newt__fault fault;
    int status;

    if (!h)
        return newt__not_writable(o);
    if (!text) {
        *f = (newt_json){0};
        return NEWT_OK;
    }
    if (parse(&w, text, n == SIZE_MAX ? strlen(text) : n, &fault))
        status = newt_bytes_set(o, &f->item, w.buf.data + HEAD, w.buf.n - HEAD);
    else
        status = newt__refuse_json(h, f, NULL, text, &fault);
    newt__writer_free(&w);
    return status;
}

char *
newt_json_get_text(const newt_json *f, size_t *n)
{
    static const uint8_t null[] = {0xf6};

    if (!f->item.p)
        return text_of(null, sizeof null, 0, n);
    return text_of(f->item.p, f->item.n, f->item.priv_ ? f->item.priv_ - 1 : 0, n);
}

/* ---- bags -------------------------------------------------------------------------------- */

static int
no_memory(newt__header *h)
{
    newt__fault fault = {NEWT__NOMEM, NULL, 0};

    return newt__refuse_fault(h, NULL, &fault);
}

/* The text as a bag has it. *status: why it is NULL. */
static json_t *
value_of(newt_bag *b, const char *key, const char *text, size_t n, int *status)
{
    newt__header *h = newt__writable((newt_object *)b, NULL, true);
    newt__writer w = {.buf.env = h ? &h->conn->env : NULL};
    json_t *json = NULL;
    newt__fault fault;
    newt__reader r;
    newt__token t;

    if (!h) {
        *status = newt__not_writable((newt_object *)b);
        return NULL;
    }
    if (!text) {
        text = "null";
        n = SIZE_MAX;
    }
    if (parse(&w, text, n == SIZE_MAX ? strlen(text) : n, &fault)) {
        newt__read_item_begin(&r, w.buf.env, w.buf.data + HEAD, w.buf.n - HEAD, NEWT__MAX_DEPTH, 0);
        if (newt__read(&r, &t) == NEWT__OK)
            json = newt__json_read(&r, &t, 0);
        if (!json)
            *status = no_memory(h);
    } else {
        *status = newt__refuse_json(h, NULL, key, text, &fault);
    }
    newt__writer_free(&w);
    return json;
}

int
newt_bag_set_text(newt_bag *b, const char *key, const char *text, size_t n)
{
    int status = NEWT_OK;
    json_t *json = value_of(b, key, text, n, &status);

    if (json)
        status = newt_bag_set(b, key, json);
    json_decref(json);
    return status;
}

int
newt_bag_replace_text(newt_bag *b, const char *text, size_t n)
{
    int status = NEWT_OK;
    json_t *json = value_of(b, NULL, text, n, &status);

    if (json)
        status = newt_bag_replace(b, json);
    json_decref(json);
    return status;
}

/* Consumes json. */
static char *
json_text(json_t *json, size_t *n)
{
    newt__writer w = {.buf.env = &newt__malloc_env};
    char *text = NULL;

    if (json) {
        newt__write_begin(&w, "j", 1, 0);
        newt__json_write(&w, json);
        if (newt__write_end(&w) == NEWT__OK)
            text = text_of(w.buf.data + HEAD, w.buf.n - HEAD, 0, n);
        newt__writer_free(&w);
    }
    json_decref(json);
    return text;
}

char *
newt_bag_get_text(const newt_bag *b, const char *key, size_t *n)
{
    return json_text(newt_bag_get(b, key), n);
}

char *
newt_bag_state_text(const newt_bag *b, size_t *n)
{
    return json_text(newt_bag_state(b), n);
}
