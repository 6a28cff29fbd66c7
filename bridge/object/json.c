/*
 * json.c - JSON values and JSON text of fields and bags
 *
 * Text is kept as it is: a field's text becomes its item without jansson in between
 * (codec/json_parse.c). A bag's state is jansson, but in the form that loses nothing
 * (docs/json-values.md): it is made from the item, and an item is made from it.
 */
#include "object.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t null_item[] = {0xf6};

static newt_bytes
item_of(const newt__writer *w)
{
    return (newt_bytes){.p = w->buf.data + NEWT__ITEM_HEAD,
                        .n = (uint32_t)(w->buf.n - NEWT__ITEM_HEAD)};
}

static bool
is_null(const newt_bytes *item)
{
    return item->n == sizeof null_item && *item->p == *null_item;
}

/* The text's item, in w. */
static bool
parse(newt__writer *w, const char *text, size_t n, newt__fault *fault)
{
    newt__item_begin(w);
    if (newt__write_json(w, text, n, fault) == NEWT__OK && newt__write_end(w) != NEWT__OK)
        *fault = (newt__fault){w->fault.code, w->fault.reason, 0};
    return fault->code == NEWT__OK;
}

/* An item's text, for free(); NULL: no memory, or it is damaged. */
static char *
text_of(const newt_bytes *item, size_t *n)
{
    uint64_t shared = item->priv_ ? item->priv_ - 1 : 0;
    newt__buffer out = {.env = &newt__malloc_env};
    newt__fault fault;

    if (newt__item_text(out.env, item->p, item->n, NEWT__MAX_DEPTH, shared, &out, &fault) !=
            NEWT__OK ||
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
newt_json_set(newt_object *o, newt_json *f, const json_t *json)
{
    newt__header *h = newt__writable(o, f, false);
    newt__writer w = {.buf.env = h ? &h->jar->coder.env : NULL};
    int status;

    if (!h)
        return newt__not_writable(o);
    if (!json || json_is_null(json)) {
        *f = (newt_json){0};
        return NEWT_OK;
    }
    newt__item_begin(&w);
    newt__json_write(&w, json);
    if (newt__write_end(&w) == NEWT__OK) {
        status = newt_bytes_set(o, &f->item, w.buf.data + NEWT__ITEM_HEAD,
                                w.buf.n - NEWT__ITEM_HEAD);
        f->item.priv_ = status == NEWT_OK && w.shared > 0;
    } else {
        status = newt__refuse_fault(h, f, &w.fault);
    }
    newt__writer_free(&w);
    return status;
}

int
newt_json_set_text(newt_object *o, newt_json *f, const char *text, size_t n)
{
    newt__header *h = newt__writable(o, f, false);
    newt__writer w = {.buf.env = h ? &h->jar->coder.env : NULL};
    newt_bytes item = {0};
    newt__fault fault;
    int status;

    if (!h)
        return newt__not_writable(o);
    if (text && !parse(&w, text, n == SIZE_MAX ? strlen(text) : n, &fault)) {
        status = newt__refuse_json(h, f, NULL, text, &fault);
    } else {
        if (text)
            item = item_of(&w);
        if (!text || is_null(&item))
            item = (newt_bytes){0};
        status = newt_bytes_set(o, &f->item, item.p, item.n);
    }
    newt__writer_free(&w);
    return status;
}

char *
newt_json_get_text(const newt_json *f, size_t *n)
{
    const newt_bytes null = {.p = null_item, .n = sizeof null_item};

    return text_of(f->item.p ? &f->item : &null, n);
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
    newt__writer w = {.buf.env = h ? &h->jar->coder.env : NULL};
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
        newt_bytes item = item_of(&w);

        newt__read_item_begin(&r, w.buf.env, item.p, item.n, NEWT__MAX_DEPTH, 0);
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

/* The text of a value of the bag's, which is consumed. NULL: it was, or the connection has the
 * error. */
static char *
json_text(const newt_bag *b, json_t *json, size_t *n)
{
    const newt__header *h = newt__header_of(b);
    newt__writer w = {.buf.env = &h->jar->coder.env};
    newt__fault fault = {NEWT__NOMEM, NULL, 0};
    char name[NEWT__NAME_SIZE], *text = NULL;
    newt_error e = {0};
    newt_bytes item;

    if (!json)
        return NULL;
    newt__item_begin(&w);
    newt__json_write(&w, json);
    if (newt__write_end(&w) == NEWT__OK) {
        item = item_of(&w);
        text = text_of(&item, n);
    } else {
        fault = w.fault;
    }
    if (!text) {
        newt__fail_value(&e, h->oid, newt__header_name(h, name), &fault);
        newt__header_blame(h, &e);
        newt__base_fail_with(&h->jar->base, &e);
    }
    newt__writer_free(&w);
    json_decref(json);
    return text;
}

char *
newt_bag_get_text(const newt_bag *b, const char *key, size_t *n)
{
    return json_text(b, newt_bag_get(b, key), n);
}

char *
newt_bag_state_text(const newt_bag *b, size_t *n)
{
    return json_text(b, newt_bag_state(b), n);
}
