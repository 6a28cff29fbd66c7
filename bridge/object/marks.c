/*
 * marks.c - in debug mode: objects that were changed without being asked for writing
 *
 * The compiler sees to it that they are asked for, unless a cast takes the const away. Then what
 * was only read is no longer what its record says; in debug mode every object keeps that.
 */
#include "object.h"

#include <stdio.h>
#include <string.h>

/* The first field that two records of one class do not have alike. */
static void
differing_field(const newt__env *env, const newt__header *h, const newt__buffer *now, char *out,
                size_t n)
{
    newt__reader a, b;
    newt__token x, y;

    snprintf(out, n, "?");
    if (newt__read_begin(&a, env, h->record, h->record_n) != NEWT__OK ||
        newt__read_begin(&b, env, now->data, now->n) != NEWT__OK ||
        newt__read(&a, &x) != NEWT__OK || newt__read(&b, &y) != NEWT__OK)
        return;
    while (newt__read(&a, &x) == NEWT__OK && newt__read(&b, &y) == NEWT__OK) {
        size_t in_a = x.offset, in_b = y.offset;
        const newt__token *first = &x;

        if (x.kind == NEWT__END || (y.kind != NEWT__END && newt__key_order(y.s, y.n, x.s, x.n) < 0))
            first = &y;
        if (first->kind == NEWT__END)
            return;
        snprintf(out, n, "%.*s", first->n < 100 ? (int)first->n : 100, first->s);
        if (newt__read(&a, &x) != NEWT__OK || newt__read_skip(&a, &x) != NEWT__OK ||
            newt__read(&b, &y) != NEWT__OK || newt__read_skip(&b, &y) != NEWT__OK ||
            a.at - in_a != b.at - in_b || memcmp(a.data + in_a, b.data + in_b, a.at - in_a) != 0)
            return;
    }
}

/* Whether the struct is still what its record says, as this table reads it: others may write the
 * same state in other words (a null that this class leaves out). On NEWT_OK and *changed the
 * struct's record is in c->coder.writer.buf. */
static int
compare_clean(newt__jar *c, newt__header *h, bool *changed, newt_error *e)
{
    newt__header *image = NULL;
    uint8_t *record = NULL;
    size_t n = 0;
    int status = newt__image_make(c, h->class, h->oid, h->record, h->record_n, &image, e);

    if (status == NEWT_OK)
        status = newt__image_encode(c, image, false, e);
    if (status == NEWT_OK) {
        n = c->coder.writer.buf.n;
        record = c->coder.env.realloc(c->coder.env.arg, NULL, n);
        if (record)
            memcpy(record, c->coder.writer.buf.data, n);
        else
            status = newt__fail_memory(e);
    }
    if (status == NEWT_OK)
        status = newt__image_encode(c, h, false, e);
    if (status == NEWT_OK)
        *changed = n != c->coder.writer.buf.n || memcmp(record, c->coder.writer.buf.data, n) != 0;
    c->coder.env.free(c->coder.env.arg, record);
    newt__header_free(image);
    return status;
}

int
newt__mark_check(newt__header *h)
{
    newt__jar *c = h->jar;
    char name[NEWT__NAME_SIZE], field[128];
    bool changed = false;
    newt_error e = {0};

    if (!c->options->debug || h->epoch != c->epoch || h->state != NEWT__UPTODATE || h->bag ||
        h->fixed)
        return NEWT_OK;
    if (compare_clean(c, h, &changed, &e) == NEWT_OK && changed) {
        differing_field(&c->coder.env, h, &c->coder.writer.buf, field, sizeof field);
        newt__fail(&e, NEWT_EINVAL, h->oid,
                   "%s was changed without being asked for writing: field \"%s\"",
                   newt__header_name(h, name), field);
        newt__header_blame(h, &e);
        newt__fail_hint(&e, "Change objects through pointers from newt_write or newt_edit.");
    }
    return e.status == NEWT_OK ? NEWT_OK : newt__base_fail_with(&c->base, &e);
}

int
newt__marks_check(newt__jar *c)
{
    int status = NEWT_OK;

    if (!c->options->debug)
        return NEWT_OK; /* the cache is large */
    for (newt__header *h = c->cache.clean.oldest; h && status == NEWT_OK; h = h->newer)
        status = newt__mark_check(h);
    return status;
}
