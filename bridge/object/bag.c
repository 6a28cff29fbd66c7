/*
 * bag.c - the records of objects without a struct: bags of a class that no table has, broken ones
 *
 * A bag keeps its record as it was loaded. Its state is made into jansson when it is first looked
 * at, and back into a record at commit.
 */
#include "object.h"

#include <string.h>

static inline newt_bag *
bag_of(newt__header *h)
{
    return newt__object_of(h);
}

int
newt__bag_load(newt__jar *c, int64_t oid, const void *record, size_t n, newt__header **out)
{
    newt__header *h = newt__header_make(c, sizeof(newt_bag));
    newt__reader r;

    *out = NULL;
    if (!h)
        return NEWT_ENOMEM;
    h->oid = oid;
    h->bag = true;
    if (newt__read_begin(&r, &c->coder.env, record, n) == NEWT__OK) {
        bag_of(h)->class_name = newt__class_intern(c->classes, r.class_name, r.class_n);
        bag_of(h)->version = (int32_t)r.version;
        if (!bag_of(h)->class_name)
            goto no_memory;
    }
    if (!newt__header_keep(h, record, n))
        goto no_memory;
    *out = h;
    return NEWT_OK;

no_memory:
    newt__header_free(h);
    return NEWT_ENOMEM;
}

size_t
newt__json_bytes(const json_t *json)
{
    enum {
        SCALAR = 32,
        ARRAY = 64,
        OBJECT = 256,
        PAIR = 96
    };
    size_t n, i;
    const char *key;
    json_t *value;

    switch (json_typeof(json)) {
    case JSON_STRING: return SCALAR + 16 + json_string_length(json);
    case JSON_ARRAY:
        n = ARRAY + json_array_size(json) * sizeof value;
        json_array_foreach(json, i, value) n += newt__json_bytes(value);
        return n;
    case JSON_OBJECT:
        n = OBJECT;
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
            n += PAIR + strlen(key) + newt__json_bytes(value);
        return n;
    default: return SCALAR;
    }
}

int
newt__bag_encode(newt__jar *c, const newt__header *h, newt_error *e)
{
    const newt_bag *b = (const void *)((const char *)h + NEWT__HEADER);
    newt__writer *w = &c->coder.writer;
    char name[NEWT__NAME_SIZE];
    newt__reader r;

    newt__write_begin(w, b->class_name, strlen(b->class_name), b->version);
    if (b->state) {
        if (b->hidden)
            newt__write_hidden(w);
        newt__json_write(w, b->state);
    } else if (newt__read_begin(&r, &c->coder.env, h->record, h->record_n) == NEWT__OK) {
        newt__write_encoded(w, h->record + r.at, h->record_n - r.at);
    }
    if (newt__write_end(w) == NEWT__OK)
        return NEWT_OK;
    newt__fail_value(e, h->oid, newt__header_name(h, name), &w->fault);
    return newt__header_blame(h, e);
}

int
newt__bag_open(newt__header *h)
{
    newt__jar *c = h->jar;
    newt_bag *b = bag_of(h);
    newt_error e = {0};
    char name[NEWT__NAME_SIZE];
    newt__reader r;
    newt__token t, end;

    if (b->state)
        return NEWT_OK;
    if (newt__read_begin(&r, &c->coder.env, h->record, h->record_n) == NEWT__OK &&
        newt__read(&r, &t) == NEWT__OK) {
        bool hidden = t.hidden;
        json_t *state = newt__json_read(&r, &t, 0);

        if (state && newt__read(&r, &end) == NEWT__OK) {
            b->state = state;
            b->hidden = hidden;
            newt__bag_count(h, newt__json_bytes(state));
            return NEWT_OK;
        }
        json_decref(state);
        if (r.fault.code == NEWT__OK)
            return newt__base_fail_memory(&c->base);
    }
    newt__fail_codec(&e, h->oid, newt__header_name(h, name), &r.fault);
    newt__header_blame(h, &e);
    return newt__base_fail_with(&c->base, &e);
}
