/*
 * batch.c - what a commit writes: batches of records, and their statements
 *
 * Objects are pulled in the order of their oids, first those stored already, and go to the server
 * in batches. So neither their number nor their bytes are bounded by memory, and transactions that
 * cross wait for each other instead of deadlocking.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_OBJECTS = 10000,         /* of a batch */
    MOST_BYTES = 2 * 1024 * 1024, /* of records: the batch is full then; of JSON: it is sent in
                                   * parts */
};

static bool
is_removed(const newt__entry *e)
{
    return e->what == NEWT__REMOVE;
}

/* ---- the next batch ------------------------------------------------------------------- */

int
newt__batch_begin(newt__batch *b, newt__session *c, const newt__writes *writes)
{
    b->c = c;
    b->writes = writes;
    b->records.env = b->json.env = &newt__malloc_env;
    b->oids.buf.env = b->serials.buf.env = b->values.buf.env = &newt__malloc_env;
    b->n = b->made = 0;
    b->last = b->alone = b->answers = false;
    b->nonce = 0;
    return writes->rewind(writes->arg);
}

/* As class, store and program say together. */
static newt__row
row_of(const newt__session *c, newt__projection wish)
{
    const newt_options *o = c->storage->options;

    if (wish == NEWT__PROJECT_NOT)
        return NEWT__ROW_NONE;
    if (wish == NEWT__PROJECT_CALLER)
        return NEWT__ROW_CLIENT;
    if (o->no_inline || wish == NEWT__PROJECT_ASYNC || (c->async && wish != NEWT__PROJECT_INLINE))
        return NEWT__ROW_ASYNC;
    return o->projector != NEWT_PROJECT_CLIENT && c->has_extension ? NEWT__ROW_SERVER
                                                                   : NEWT__ROW_CLIENT;
}

static int
add(newt__batch *b, const newt__change *x)
{
    newt__entry e = {.oid = x->oid,
                     .serial = x->serial,
                     .at = b->records.n,
                     .what = (uint8_t)x->what,
                     .lossy = x->lossy,
                     .wants_record = x->wants_record};

    e.n = is_removed(&e) ? x->class_n : x->n;
    if (!newt__buffer_append(&b->records, is_removed(&e) ? x->class_name : x->record, e.n))
        return newt__fail_memory(&b->c->error);
    if (!is_removed(&e))
        e.row = (uint8_t)row_of(b->c, x->projection);
    b->entries[b->n++] = e;
    b->n_stored += x->what != NEWT__ADD;
    b->n_removed += is_removed(&e);
    return NEWT_OK;
}

static int
make_room(newt__batch *b)
{
    newt__entry *more;
    size_t cap = b->cap ? 2 * b->cap : 16;

    if (b->n < b->cap)
        return NEWT_OK;
    more = realloc(b->entries, cap * sizeof *more);
    if (!more)
        return newt__fail_memory(&b->c->error);
    b->entries = more;
    b->cap = cap;
    return NEWT_OK;
}

int
newt__batch_next(newt__batch *b)
{
    int status = NEWT_OK;

    b->n = b->n_stored = b->n_removed = b->records.n = 0;
    b->made++;
    while (status == NEWT_OK && b->n < MOST_OBJECTS && b->records.n < MOST_BYTES && !b->last) {
        newt__change x;
        int found = b->writes->next(b->writes->arg, &x);

        if (found < 0)
            return found;
        b->last = found == 0;
        if (b->last)
            break;
        status = make_room(b);
        if (status == NEWT_OK)
            status = add(b, &x);
    }
    return status;
}

/* ---- sending -------------------------------------------------------------------------- */

static const uint8_t *
record_of(const newt__batch *b, const newt__entry *e)
{
    return b->records.data + e->at;
}

/* The name of its class, in the record. */
static const char *
class_of(const newt__batch *b, const newt__entry *e, size_t *n)
{
    newt__reader r;

    newt__read_begin(&r, &newt__malloc_env, record_of(b, e), e->n);
    *n = r.class_n;
    return r.class_name;
}

/* The JSON of an object into b->json, after jsonb's version; what it cannot show into b->rejects.
 */
static int
project(newt__batch *b, const newt__entry *e, bool *hidden)
{
    newt__session *c = b->c;
    json_t *rejects = NULL, *item;
    size_t i;
    int status;

    b->json.n = 0;
    if (!newt__buffer_append(&b->json, "\1", 1))
        return newt__fail_memory(&c->error);
    if (e->lossy) {
        rejects = json_array();
        if (!rejects || (!b->rejects && !(b->rejects = json_array()))) {
            json_decref(rejects);
            return newt__fail_memory(&c->error);
        }
    }
    status = b->writes->project(b->writes->arg, e->oid, record_of(b, e), e->n, &b->json, hidden,
                                rejects);
    json_array_foreach(rejects, i, item)
    {
        if (status == NEWT_OK && (json_object_set_new(item, "zoid", json_integer(e->oid)) != 0 ||
                                  json_array_append(b->rejects, item) != 0))
            status = newt__fail_memory(&c->error);
    }
    json_decref(rejects);
    return status;
}

/* One changed object: the usual transaction, in one statement. */
static int
send_update_one(newt__batch *b, int64_t serial, const newt__entry *e)
{
    static const newt__statement by_row[] = {
        [NEWT__ROW_NONE] = NEWT__S_UPDATE_ONE,
        [NEWT__ROW_ASYNC] = NEWT__S_UPDATE_ONE,
        [NEWT__ROW_CLIENT] = NEWT__S_UPDATE_ONE_CLIENT,
        [NEWT__ROW_SERVER] = NEWT__S_UPDATE_ONE_SERVER,
    };
    newt__statement s = by_row[e->row];
    bool inline_row = e->row >= NEWT__ROW_CLIENT, hidden;
    newt__params p = {0};
    const char *name;
    size_t name_n;
    int status;

    newt__param_int(&p, e->oid);
    newt__param_int(&p, e->serial);
    newt__param_int(&p, serial);
    newt__param_bytes(&p, record_of(b, e), e->n);
    if (inline_row) {
        name = class_of(b, e, &name_n);
        newt__param_bytes(&p, name, name_n);
    }
    if (e->row == NEWT__ROW_CLIENT) {
        status = project(b, e, &hidden);
        if (status != NEWT_OK)
            return status;
        newt__param_bytes(&p, b->json.data, b->json.n);
    }
    newt__send(b->c, s, &p);
    return NEWT_OK;
}

/* If newt.write() can do it: all are changed or new, and the server projects all of them, or none.
 * When it projects, it removes rows of what is hidden now. */
static bool
is_plain(const newt__batch *b, bool *projected)
{
    size_t n[NEWT__ROW_SERVER + 1] = {0}, may_have_rows = 0;

    *projected = false;
    if (b->n == 0 || !b->c->writes_plainly || b->n_removed > 0)
        return false;
    for (size_t i = 0; i < b->n; i++) {
        const newt__entry *e = &b->entries[i];

        /* a layer's own objects have no row, and do not say so */
        if (e->row == NEWT__ROW_NONE && !newt__is_hidden(&newt__malloc_env, record_of(b, e), e->n))
            return false;
        n[e->row]++;
        may_have_rows += e->row == NEWT__ROW_NONE && e->what != NEWT__ADD;
    }
    *projected = n[NEWT__ROW_SERVER] > 0 || may_have_rows > 0;
    return n[NEWT__ROW_CLIENT] == 0 && (n[NEWT__ROW_ASYNC] == 0 || !*projected);
}

static void
send_plain(newt__batch *b, int64_t serial, bool projected)
{
    newt__statement s = b->alone        ? NEWT__S_WRITE_AND_COMMIT
                        : b->nonce != 0 ? NEWT__S_WRITE_AT_COMMIT
                                        : NEWT__S_WRITE;
    const newt__position *cache = &b->c->position;
    newt__params p = {0};

    newt__array_begin(&b->oids, NEWT__OID_INT8);
    newt__array_begin(&b->serials, NEWT__OID_INT8);
    newt__array_begin(&b->values, NEWT__OID_BYTEA);
    for (size_t i = 0; i < b->n; i++) {
        newt__entry *e = &b->entries[i];

        newt__array_int(&b->oids, e->oid);
        newt__array_int(&b->serials, i < b->n_stored ? e->serial : 0);
        newt__array_bytes(&b->values, record_of(b, e), e->n);
        e->projected = projected;
    }
    newt__param_array(&p, &b->oids);
    newt__param_array(&p, &b->serials);
    newt__param_array(&p, &b->values);
    newt__param_int(&p, serial);
    newt__param_int(&p, projected);
    if (s != NEWT__S_WRITE)
        newt__param_int(&p, b->nonce);
    for (int i = 0; i < 2 && b->alone; i++) {
        if (cache->tid == 0 || !b->answers)
            newt__param_bytes(&p, NULL, 0);
        else
            newt__param_int(&p, i == 0 ? cache->tid : cache->serial);
    }
    b->nonce = 0;
    newt__send(b->c, s, &p);
}

/* The entries [from, to) of one statement. If the server projects all that is left of them, it
 * does so as their records pass by. */
static bool
project_along(newt__batch *b, size_t from, size_t to)
{
    bool any = false;

    for (size_t i = from; i < to; i++) {
        if (is_removed(&b->entries[i]))
            continue;
        if (b->entries[i].row != NEWT__ROW_SERVER)
            return false;
        any = true;
    }
    for (size_t i = from; any && i < to; i++)
        b->entries[i].projected = true;
    return any;
}

static void
send_update_many(newt__batch *b, int64_t serial)
{
    newt__params p = {0};

    newt__array_begin(&b->oids, NEWT__OID_INT8);
    newt__array_begin(&b->serials, NEWT__OID_INT8);
    newt__array_begin(&b->values, NEWT__OID_BYTEA);
    for (size_t i = 0; i < b->n_stored; i++) {
        const newt__entry *e = &b->entries[i];

        newt__array_int(&b->oids, e->oid);
        newt__array_int(&b->serials, e->serial);
        if (is_removed(e))
            newt__array_null(&b->values);
        else
            newt__array_bytes(&b->values, record_of(b, e), e->n);
    }
    newt__param_array(&p, &b->oids);
    newt__param_array(&p, &b->serials);
    newt__param_array(&p, &b->values);
    newt__param_int(&p, serial);
    newt__param_int(&p, b->oids.n);
    newt__send(b->c,
               project_along(b, 0, b->n_stored) ? NEWT__S_UPDATE_MANY_SERVER : NEWT__S_UPDATE_MANY,
               &p);
}

static void
send_inserts(newt__batch *b, int64_t serial)
{
    newt__params p = {0};

    newt__array_begin(&b->oids, NEWT__OID_INT8);
    newt__array_begin(&b->values, NEWT__OID_BYTEA);
    for (size_t i = b->n_stored; i < b->n; i++) {
        newt__array_int(&b->oids, b->entries[i].oid);
        newt__array_bytes(&b->values, record_of(b, &b->entries[i]), b->entries[i].n);
    }
    newt__param_array(&p, &b->oids);
    newt__param_int(&p, serial);
    newt__param_array(&p, &b->values);
    newt__send(
        b->c,
        project_along(b, b->n_stored, b->n) ? NEWT__S_INSERT_MANY_SERVER : NEWT__S_INSERT_MANY, &p);
}

/* A statement about some of the entries by their oids alone, if there are any. */
static void
send_oids(newt__batch *b, newt__statement s, bool (*wanted)(const newt__entry *e))
{
    newt__params p = {0};

    newt__array_begin(&b->oids, NEWT__OID_INT8);
    for (size_t i = 0; i < b->n; i++)
        if (wanted(&b->entries[i]))
            newt__array_int(&b->oids, b->entries[i].oid);
    if (b->oids.n == 0 && !b->oids.failed)
        return;
    newt__param_array(&p, &b->oids);
    newt__send(b->c, s, &p);
}

static bool
wants_server(const newt__entry *e)
{
    return !is_removed(e) && e->row == NEWT__ROW_SERVER && !e->projected;
}

/* Hidden now; a row may be there from when its class was projected. */
static bool
wants_no_row(const newt__entry *e)
{
    return !is_removed(e) && e->row == NEWT__ROW_NONE && e->what != NEWT__ADD && !e->projected;
}

/* Rows of the entries [from, to), as far as they are the client's to make. */
static int
send_client_rows(newt__batch *b, int64_t serial, size_t from, size_t to, newt__statement s)
{
    newt__array names = {.buf.env = &newt__malloc_env};
    const char *name;
    size_t name_n;
    bool hidden;
    int status = NEWT_OK;

    for (size_t i = from; i < to && status == NEWT_OK;) {
        newt__params p = {0};

        newt__array_begin(&b->oids, NEWT__OID_INT8);
        newt__array_begin(&names, NEWT__OID_TEXT);
        newt__array_begin(&b->values, NEWT__OID_JSONB);
        for (; i < to && status == NEWT_OK && b->values.buf.n < MOST_BYTES; i++) {
            const newt__entry *e = &b->entries[i];

            if (is_removed(e) || e->row != NEWT__ROW_CLIENT)
                continue;
            status = project(b, e, &hidden);
            name = class_of(b, e, &name_n);
            newt__array_int(&b->oids, e->oid);
            newt__array_bytes(&names, name, name_n);
            newt__array_json(&b->values, b->json.data + 1, b->json.n - 1);
        }
        if (status != NEWT_OK || b->oids.n == 0)
            break;
        newt__param_array(&p, &b->oids);
        newt__param_array(&p, &names);
        newt__param_int(&p, serial);
        newt__param_array(&p, &b->values);
        newt__send(b->c, s, &p);
    }
    newt__buffer_free(&names.buf);
    return status;
}

static int
send_rejects(newt__batch *b, int64_t serial)
{
    newt__params p = {0};
    bool hidden;
    char *text;
    int status;

    /* the server projects these; what it cannot show, the client finds out just the same */
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].lossy && b->entries[i].row == NEWT__ROW_SERVER &&
            (status = project(b, &b->entries[i], &hidden)) != NEWT_OK)
            return status;
    if (!b->rejects || json_array_size(b->rejects) == 0)
        return NEWT_OK;
    text = newt__json_dump(b->rejects, JSON_COMPACT);
    if (!text)
        return newt__fail_memory(&b->c->error);
    newt__param_int(&p, serial);
    newt__param_text(&p, text);
    newt__send(b->c, NEWT__S_REJECTS, &p);
    free(text);
    return NEWT_OK;
}

static bool
is_one_update(const newt__batch *b)
{
    return b->n == 1 && b->n_stored == 1 && b->n_removed == 0;
}

bool
newt__batch_is_one_statement(const newt__batch *b)
{
    bool lossy = false, projected;

    for (size_t i = 0; i < b->n; i++)
        lossy |= b->entries[i].lossy && b->entries[i].row == NEWT__ROW_SERVER;
    return b->last && !lossy && is_plain(b, &projected);
}

int
newt__batch_send(newt__batch *b, int64_t serial)
{
    bool projected;
    int status = NEWT_OK;

    json_decref(b->rejects);
    b->rejects = NULL;
    for (size_t i = 0; i < b->n; i++)
        b->entries[i].projected = false;
    if (is_plain(b, &projected)) {
        send_plain(b, serial, projected);
    } else if (is_one_update(b)) {
        status = send_update_one(b, serial, &b->entries[0]);
    } else {
        if (b->n_stored > 0)
            send_update_many(b, serial);
        /* before new rows, which may have values that a unique index allows once */
        if (b->n_removed > 0)
            send_oids(b, NEWT__S_DELETE_MANY, is_removed);
        if (b->n > b->n_stored)
            send_inserts(b, serial);
        send_oids(b, NEWT__S_PROJECT_SERVER, wants_server);
        status = send_client_rows(b, serial, 0, b->n_stored, NEWT__S_PROJECT_CLIENT);
        if (status == NEWT_OK)
            status = send_client_rows(b, serial, b->n_stored, b->n, NEWT__S_PROJECT_NEW);
    }
    send_oids(b, NEWT__S_UNPROJECT, wants_no_row);
    return status == NEWT_OK ? send_rejects(b, serial) : status;
}

newt__step
newt__batch_step(const newt__batch *b, size_t i)
{
    const newt__entry *e = &b->entries[i];
    bool stored = e->what != NEWT__ADD;

    if (is_removed(e))
        return NEWT__STEP_DELETE;
    if (e->row == NEWT__ROW_SERVER && !e->projected)
        return NEWT__STEP_SERVER;
    if (e->row == NEWT__ROW_CLIENT)
        return stored ? NEWT__STEP_CLIENT : NEWT__STEP_CLIENT_NEW;
    if (e->row == NEWT__ROW_NONE && stored)
        return NEWT__STEP_UNPROJECT;
    return stored ? NEWT__STEP_UPDATE : NEWT__STEP_INSERT;
}

int
newt__batch_send_one(newt__batch *b, size_t i, int64_t serial)
{
    newt__batch one = *b;
    int status;

    one.entries = &b->entries[i];
    one.entries->projected = false;
    one.n = 1;
    one.n_stored = one.entries->what != NEWT__ADD;
    one.n_removed = is_removed(one.entries);
    one.nonce = 0;
    one.alone = false;
    status = newt__batch_send(&one, serial);
    /* what it has allocated on the way */
    b->json = one.json;
    b->oids = one.oids;
    b->serials = one.serials;
    b->values = one.values;
    b->rejects = one.rejects;
    return status;
}

const char *
newt__batch_class(const newt__batch *b, size_t i, size_t *n)
{
    return class_of(b, &b->entries[i], n);
}

bool
newt__batch_removes(const newt__batch *b, size_t i)
{
    return is_removed(&b->entries[i]);
}

void
newt__batch_oids(newt__batch *b, size_t from, size_t to, newt__params *p)
{
    newt__array_begin(&b->oids, NEWT__OID_INT8);
    newt__array_begin(&b->serials, NEWT__OID_INT8);
    for (size_t i = from; i < to; i++)
        newt__array_int(is_removed(&b->entries[i]) ? &b->serials : &b->oids, b->entries[i].oid);
    newt__param_array(p, &b->oids);
    newt__param_array(p, &b->serials);
}

void
newt__batch_removed_classes(newt__batch *b, size_t from, size_t to, newt__params *p)
{
    newt__array_begin(&b->values, NEWT__OID_TEXT);
    for (size_t i = from; i < to; i++) {
        if (is_removed(&b->entries[i]))
            newt__array_bytes(&b->values, record_of(b, &b->entries[i]), b->entries[i].n);
    }
    if (b->values.n > 0)
        newt__param_array(p, &b->values);
    else
        newt__param_bytes(p, NULL, 0);
}

void
newt__batch_free(newt__batch *b)
{
    json_decref(b->rejects);
    free(b->entries);
    newt__buffer_free(&b->records);
    newt__buffer_free(&b->json);
    newt__buffer_free(&b->oids.buf);
    newt__buffer_free(&b->serials.buf);
    newt__buffer_free(&b->values.buf);
}
