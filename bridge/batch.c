/*
 * batch.c - what a commit writes: which objects, their records, the statements
 *
 * Objects come in the order of their oids, first those stored already, from the cache and from
 * spill.c together, and go to the server in batches. So neither their number nor their bytes are
 * bounded by memory, and transactions that cross wait for each other instead of deadlocking.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_OBJECTS = 10000,         /* of a batch */
    MOST_BYTES = 2 * 1024 * 1024, /* a batch is full behind so many bytes of records; of JSON, it
                                   * is sent in parts */
};

static bool
is_removed(const newt__entry *e)
{
    return e->state == NEWT__DELETED;
}

/* ---- where they come from ------------------------------------------------------------- */

/* Whether (a new object or not, oid) comes before the other. */
static int
compare(bool new_a, int64_t a, bool new_b, int64_t b)
{
    return new_a != new_b ? new_a - new_b : (a > b) - (a < b);
}

static int
by_place(const void *pa, const void *pb)
{
    const newt__header *a = *(newt__header *const *)pa, *b = *(newt__header *const *)pb;

    return compare(a->state == NEWT__NEW, a->oid, b->state == NEWT__NEW, b->oid);
}

static int
next_spilled(newt__batch *b)
{
    int found = newt__spill_next(b->c, &b->spilled);

    if (found != 1)
        b->spilled = (newt__spilled){0};
    return found < 0 ? found : NEWT_OK;
}

int
newt__batch_begin(newt__batch *b, newt_conn *c)
{
    size_t n = c->cache.changed.n;

    b->c = c;
    b->records.env = b->json.env = &c->env;
    b->oids.buf.env = b->serials.buf.env = b->values.buf.env = &c->env;
    free(b->cached);
    b->cached = n < SIZE_MAX / sizeof *b->cached ? malloc((n + 1) * sizeof *b->cached) : NULL;
    if (!b->cached)
        return newt__fail_memory(&c->error);
    b->n_cached = b->next_cached = 0;
    for (newt__header *h = c->cache.changed.oldest; h; h = h->newer)
        if (h->state != NEWT__FORGOTTEN)
            b->cached[b->n_cached++] = h;
    qsort(b->cached, b->n_cached, sizeof *b->cached, by_place);
    b->n = b->made = 0;
    b->last = false;
    newt__spill_rewind(c);
    return next_spilled(b);
}

/* ---- the next batch ------------------------------------------------------------------- */

/* Whether the state of a record is under tag 38403: of an object without a class table. */
static bool
is_hidden(newt_conn *c, const void *record, size_t n)
{
    newt__reader r;
    newt__token t;

    return newt__read_begin(&r, &c->env, record, n) == NEWT__OK && newt__read(&r, &t) == NEWT__OK &&
           t.hidden;
}

static int
add(newt__batch *b, newt__entry e, const newt__class *k, const void *record, size_t n)
{
    newt_conn *c = b->c;

    e.at = b->records.n;
    if (!is_removed(&e)) {
        e.n = n;
        if (!newt__buffer_append(&b->records, record, n))
            return newt__fail_memory(&c->error);
        e.projection = newt__conn_projection(c, k);
        if (!k && is_hidden(c, record, n))
            e.projection = NEWT__PROJECT_NOT;
    }
    b->entries[b->n++] = e;
    b->n_stored += e.state != NEWT__NEW;
    b->n_removed += is_removed(&e);
    return NEWT_OK;
}

static int
add_cached(newt__batch *b, newt__header *h)
{
    newt_conn *c = b->c;
    newt__entry e = {.oid = h->oid, .serial = h->serial, .state = h->state};
    bool same = false;
    int status = NEWT_OK;

    h->written = false; /* as a failed attempt may have left it */
    if (!is_removed(&e))
        status = newt__object_encode(c, h, &same);
    if (status != NEWT_OK || same)
        return status;
    e.lossy = !is_removed(&e) && c->writer.lossy;
    status = add(b, e, h->class, c->writer.buf.data, c->writer.buf.n);
    h->written = status == NEWT_OK;
    return status;
}

static int
add_spilled(newt__batch *b, const newt__spilled *x)
{
    newt_conn *c = b->c;
    newt__entry e = {
        .oid = x->oid, .serial = x->serial, .state = (uint8_t)x->state, .lossy = x->lossy};
    const newt__class *k = NULL;
    newt__reader r;

    if (newt__read_begin(&r, &c->env, x->record, x->record_n) == NEWT__OK)
        k = newt__class_named(c->db->classes, r.class_name, r.class_n);
    return add(b, e, k && k->stored ? k : NULL, x->record, x->record_n);
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
    while (status == NEWT_OK && b->n < MOST_OBJECTS && b->records.n < MOST_BYTES) {
        newt__header *h = b->next_cached < b->n_cached ? b->cached[b->next_cached] : NULL;
        const newt__spilled *x = b->spilled.oid ? &b->spilled : NULL;

        b->last = !h && !x;
        if (b->last)
            break;
        status = make_room(b);
        if (status != NEWT_OK)
            break;
        if (h &&
            (!x || compare(h->state == NEWT__NEW, h->oid, x->state == NEWT__NEW, x->oid) < 0)) {
            b->next_cached++;
            status = add_cached(b, h);
        } else {
            status = add_spilled(b, x);
            if (status == NEWT_OK)
                status = next_spilled(b);
        }
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

    newt__read_begin(&r, &b->c->env, record_of(b, e), e->n);
    *n = r.class_n;
    return r.class_name;
}

/* The JSON of an object into b->json, behind jsonb's version; what it cannot show into b->rejects.
 */
static int
project(newt__batch *b, const newt__entry *e, bool *hidden)
{
    newt_conn *c = b->c;
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
    status = newt__object_project(c, e->oid, record_of(b, e), e->n, &b->json, hidden, rejects);
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
    static const newt__statement by_projection[] = {
        [NEWT__PROJECT_NOT] = NEWT__S_UPDATE_ONE,
        [NEWT__PROJECT_ASYNC] = NEWT__S_UPDATE_ONE,
        [NEWT__PROJECT_CLIENT] = NEWT__S_UPDATE_ONE_CLIENT,
        [NEWT__PROJECT_SERVER] = NEWT__S_UPDATE_ONE_SERVER,
    };
    newt__statement s = by_projection[e->projection];
    bool inline_row = e->projection >= NEWT__PROJECT_CLIENT, hidden;
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
    if (e->projection == NEWT__PROJECT_CLIENT) {
        status = project(b, e, &hidden);
        if (status != NEWT_OK)
            return status;
        newt__param_bytes(&p, b->json.data, b->json.n);
    }
    if (b->nonce != 0 && e->projection != NEWT__PROJECT_CLIENT) {
        newt__param_int(&p, b->nonce);
        b->nonce = 0;
        s = inline_row ? NEWT__S_UPDATE_ONE_SERVER_AT_COMMIT : NEWT__S_UPDATE_ONE_AT_COMMIT;
    }
    newt__send(b->c, s, &p);
    return NEWT_OK;
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
        if (b->entries[i].projection != NEWT__PROJECT_SERVER)
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
    return !is_removed(e) && e->projection == NEWT__PROJECT_SERVER && !e->projected;
}

/* Hidden now; a row may be there from when its class was projected. */
static bool
wants_no_row(const newt__entry *e)
{
    return !is_removed(e) && e->projection == NEWT__PROJECT_NOT && e->state != NEWT__NEW;
}

/* Rows of the entries [from, to), as far as they are the client's to make. */
static int
send_client_rows(newt__batch *b, int64_t serial, size_t from, size_t to, newt__statement s)
{
    newt__array names = {.buf.env = &b->c->env};
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

            if (is_removed(e) || e->projection != NEWT__PROJECT_CLIENT)
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
        if (b->entries[i].lossy && b->entries[i].projection == NEWT__PROJECT_SERVER &&
            (status = project(b, &b->entries[i], &hidden)) != NEWT_OK)
            return status;
    if (!b->rejects || json_array_size(b->rejects) == 0)
        return NEWT_OK;
    text = json_dumps(b->rejects, JSON_COMPACT);
    if (!text)
        return newt__fail_memory(&b->c->error);
    newt__param_int(&p, serial);
    newt__param_text(&p, text);
    newt__send(b->c, NEWT__S_REJECTS, &p);
    free(text);
    return NEWT_OK;
}

int
newt__batch_send(newt__batch *b, int64_t serial)
{
    int status = NEWT_OK;

    json_decref(b->rejects);
    b->rejects = NULL;
    if (b->n == 1 && b->n_stored == 1 && b->n_removed == 0) {
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
    bool stored = e->state != NEWT__NEW;

    if (is_removed(e))
        return NEWT__STEP_DELETE;
    if (e->projection == NEWT__PROJECT_SERVER && !e->projected)
        return NEWT__STEP_SERVER;
    if (e->projection == NEWT__PROJECT_CLIENT)
        return stored ? NEWT__STEP_CLIENT : NEWT__STEP_CLIENT_NEW;
    if (e->projection == NEWT__PROJECT_NOT && stored)
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
    one.n_stored = one.entries->state != NEWT__NEW;
    one.n_removed = is_removed(one.entries);
    one.nonce = 0;
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
newt__batch_free(newt__batch *b)
{
    json_decref(b->rejects);
    free(b->cached);
    free(b->entries);
    newt__buffer_free(&b->records);
    newt__buffer_free(&b->json);
    newt__buffer_free(&b->oids.buf);
    newt__buffer_free(&b->serials.buf);
    newt__buffer_free(&b->values.buf);
}
