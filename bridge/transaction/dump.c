/*
 * dump.c - an object as text, for people
 */
#include "transaction.h"

#include "../feed_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const states[NEWT__N_STATES] = {
    [NEWT__UPTODATE] = "as it is stored",
    [NEWT__CHANGED] = "asked for writing in this transaction",
    [NEWT__NEW] = "new in this transaction",
};

static bool append(newt__buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool
append(newt__buffer *out, const char *format, ...)
{
    char text[1200];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return n >= 0 && newt__buffer_append(out, text, strlen(text));
}

/* A newt__take_transaction. */
static int
tell_origin(void *arg, const newt__transaction *t)
{
    time_t s = (time_t)(t->committed_us / 1000000);
    char when[40] = "";
    struct tm utc;

    if (gmtime_r(&s, &utc))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &utc);
    return append(arg, "  written  %s.%06d UTC, transaction %lld%s%s%s%s\n", when,
                  (int)(t->committed_us % 1000000), (long long)t->at.tid, t->user ? ", by " : "",
                  t->user ? t->user : "", t->description ? ": " : "",
                  t->description ? t->description : "")
               ? NEWT_OK
               : NEWT_ENOMEM;
}

/* A line for each field, as JSON. */
static bool
tell_fields(newt__buffer *out, json_t *state)
{
    const char *key;
    json_t *value;
    bool ok = true;

    json_object_foreach(state, key, value)
    {
        char *text = newt__json_dump(value, JSON_ENCODE_ANY);

        ok = ok && text && append(out, "  %.255s: ", key) &&
             newt__buffer_append(out, text, strlen(text)) && newt__buffer_append(out, "\n", 1);
        free(text);
    }
    return ok;
}

/* What cannot be read has a reason instead of fields. */
static bool
tell_state(newt_conn *c, newt_ref r, newt__buffer *out)
{
    const newt_bag *bag = newt_bag_read(c, r);
    json_t *state;
    bool ok;

    if (!bag)
        return append(out, "  %s\n", newt_error_message(newt_conn_error(c)));
    state = newt_bag_state(bag);
    ok = state && tell_fields(out, state);
    json_decref(state);
    newt_bag_done(bag);
    return ok;
}

char *
newt_dump(newt_conn *c, newt_ref r)
{
    newt__jar *jar = &c->jar;
    newt__buffer out = {.env = &newt__malloc_env};
    newt__header *h = newt__object_find(jar, r, NEWT__ON_READ);
    char name[NEWT__NAME_SIZE];
    newt_error e = {0};
    size_t n;
    bool ok;
    int status = NEWT_OK;

    if (!h)
        return NULL;
    newt__object_pin(h);
    n = h->record_n;
    if (!h->bag && newt__image_encode(jar, h, false, &e) == NEWT_OK)
        n = jar->coder.writer.buf.n;
    newt__error_clear(&e);
    ok = append(&out, "%s, %s\n  record   %zu bytes\n", newt__header_name(h, name),
                states[h->state], n);
    if (ok && h->serial != 0) {
        ok = append(&out, "  serial   %lld\n", (long long)h->serial);
        status = jar->storage->feed->origin(jar->session, h->serial, tell_origin, &out, &e);
    }
    ok = ok && status == NEWT_OK && tell_state(c, r, &out) && newt__buffer_append(&out, "", 1);
    newt_done(newt__object_of(h));
    if (ok)
        return (char *)out.data;
    newt__buffer_free(&out);
    if (e.status != NEWT_OK)
        newt__base_fail_with(&jar->base, &e);
    else
        newt__base_fail_memory(&jar->base);
    return NULL;
}
