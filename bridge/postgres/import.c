/*
 * import.c - takes over objects and transactions of another store, with their numbers
 */
#include "session.h"

#include <string.h>

static void
send_objects(newt__session *c, const newt__import *x)
{
    const newt__array empty = {.buf.env = &newt__malloc_env};
    newt__array oids = empty, serials = empty, records = empty;
    newt__params p = {0}, gap = {0};

    newt__array_begin(&oids, NEWT__OID_INT8);
    newt__array_begin(&serials, NEWT__OID_INT8);
    newt__array_begin(&records, NEWT__OID_BYTEA);
    for (size_t i = 0; i < x->n_objects; i++) {
        newt__array_int(&oids, x->objects[i].oid);
        newt__array_int(&serials, x->objects[i].serial);
        newt__array_bytes(&records, x->objects[i].record, x->objects[i].n);
    }
    newt__param_array(&p, &oids);
    newt__param_array(&p, &serials);
    newt__param_array(&p, &records);
    if (x->n_objects > 0)
        newt__send(c, NEWT__S_IMPORT_OBJECTS, &p);
    if (x->copy) {
        newt__param_array(&gap, &oids);
        newt__param_int(&gap, x->after);
        newt__param_int(&gap, x->up_to);
        newt__param_int(&gap, (int64_t)x->n_objects);
        newt__send(c, NEWT__S_IMPORT_GAP, &gap);
    }
    newt__buffer_free(&oids.buf);
    newt__buffer_free(&serials.buf);
    newt__buffer_free(&records.buf);
}

static void
fill_oids(newt__array *a, const int64_t *oids, size_t from, size_t to)
{
    newt__array_begin(a, NEWT__OID_INT8);
    for (size_t i = from; i < to; i++)
        newt__array_int(a, oids[i]);
}

static void
send_removed(newt__session *c, const newt__import *x)
{
    newt__array oids = {.buf.env = &newt__malloc_env};
    newt__params p = {0};

    if (x->n_removed == 0)
        return;
    fill_oids(&oids, x->removed, 0, x->n_removed);
    newt__param_array(&p, &oids);
    newt__send(c, NEWT__S_DELETE_MANY, &p);
    newt__buffer_free(&oids.buf);
}

/* What a row, or a part, says of some of a transaction's objects: the first ones are written, the
 * others removed. *classes stands at those of the removed. */
typedef struct objects {
    newt__array written, removed, classes;
} objects;

static void
param_objects(newt__params *p, objects *o, const newt__transaction *t, size_t from, size_t to,
              const char **classes)
{
    size_t w = t->n_written;

    fill_oids(&o->written, t->written, from < w ? from : w, to < w ? to : w);
    fill_oids(&o->removed, t->removed, from > w ? from - w : 0, to > w ? to - w : 0);
    newt__param_array(p, &o->written);
    newt__param_array(p, &o->removed);
    if (!*classes) {
        newt__param_bytes(p, NULL, 0);
        return;
    }
    newt__array_begin(&o->classes, NEWT__OID_TEXT);
    for (uint32_t i = 0; i < o->removed.n; i++) {
        size_t n = strlen(*classes);

        newt__array_bytes(&o->classes, *classes, n);
        *classes += n + 1;
    }
    newt__param_array(p, &o->classes);
}

static void
send_transaction(newt__session *c, objects *o, const newt__transaction *t)
{
    size_t n = t->n_written + t->n_removed;
    const char *classes = t->removed_classes;
    newt__params p = {0};

    newt__param_int(&p, t->at.tid);
    newt__param_int(&p, t->at.serial);
    newt__param_int(&p, t->committed_us);
    newt__param_text(&p, t->user);
    newt__param_text(&p, t->description);
    newt__param_text(&p, t->extension);
    if (n <= NEWT__OIDS_IN_ROW)
        param_objects(&p, o, t, 0, n, &classes);
    for (int i = 0; n > NEWT__OIDS_IN_ROW && i < 3; i++)
        newt__param_bytes(&p, NULL, 0);
    newt__send(c, NEWT__S_IMPORT_TRANSACTION, &p);
    if (n <= NEWT__OIDS_IN_ROW)
        return;
    for (size_t from = 0; from < n; from += NEWT__OIDS_IN_PART) {
        newt__params q = {0};

        newt__param_int(&q, t->at.serial);
        newt__param_int(&q, (int64_t)(from / NEWT__OIDS_IN_PART));
        param_objects(&q, o, t, from, n - from > NEWT__OIDS_IN_PART ? from + NEWT__OIDS_IN_PART : n,
                      &classes);
        newt__send(c, NEWT__S_IMPORT_PART, &q);
    }
}

int
newt__session_import(newt__session *c, const newt__import *x)
{
    const newt__array empty = {.buf.env = &newt__malloc_env};
    objects o = {empty, empty, empty};
    int status = newt__session_server(c);

    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    c->in_transaction = true;
    send_objects(c, x);
    send_removed(c, x);
    newt__send(c, NEWT__S_LOCK, NULL);
    if (x->first)
        newt__send(c, NEWT__S_IMPORT_FIRST, NULL);
    for (size_t i = 0; i < x->n_transactions; i++)
        send_transaction(c, &o, &x->transactions[i]);
    newt__send(c, NEWT__S_IMPORT_NUMBERS, NULL);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    newt__take_rest(c);
    if (c->talk->error.status != NEWT_OK && !c->broken)
        newt__snapshot_end(c, NEWT__S_ROLLBACK);
    c->in_transaction = false;
    newt__blocks_drop(&c->oids); /* they may be in use now */
    newt__blocks_drop(&c->serials);
    newt__buffer_free(&o.written.buf);
    newt__buffer_free(&o.removed.buf);
    newt__buffer_free(&o.classes.buf);
    return newt__talk_end(c);
}
