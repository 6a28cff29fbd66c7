/*
 * commit.c - the pipeline of a commit
 *
 * One flush, in the order of its segments:
 *
 *   - the read snapshot ends; BEGIN; objects that were changed or removed are compared and set on
 *     their serials, new ones inserted, the projection written. A wrong count raises in the
 *     server, so that nothing behind it runs.
 *   - the commit lock, and a sync: should the rest not arrive, a time-out frees the lock
 *   - what was only read but must be current is compared; the transaction row with its tid;
 *     COMMIT, which does not wait for the disk
 *   - the barrier, whose commit does; and what others have committed meanwhile
 *
 * All that takes time or bytes is done before the lock. The commit is done when the answers to
 * COMMIT and to the barrier have come. If a comparison fails, what others have changed may be
 * merged (conflict.c), and the commit is tried again.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OIDS_IN_ROW = 1000,            /* more go to transaction_object, before the lock */
    OIDS_IN_CHUNK = 5000,          /* there */
    CHUNK_OBJECTS = 10000,         /* of one statement */
    CHUNK_BYTES = 8 * 1024 * 1024, /* ... after so many bytes it is sent */
    SPARE_SERIALS = 16,            /* fewer left: the next block comes with the barrier */
    MOST_MERGES = 10               /* of one commit; also in newtdb.h */
};

typedef struct entry {
    newt__header *h;
    size_t at, n; /* its record in work.records */
    uint8_t projection;
    bool lossy;     /* its projection may show it only in part */
    bool projected; /* by the statement that writes its record */
} entry;

typedef struct work {
    newt_conn *c;
    /* stored ones by oid, changed and removed; then the new ones by oid */
    entry *entries;
    size_t n, n_stored, n_removed;
    newt__buffer records, json;
    newt__array a, b, d; /* parameters under construction */
    json_t *rejects;
    int64_t serial, nonce, tid;
    int64_t oid_blocks, serial_blocks;
    int merges;         /* so many attempts have been merged with what others committed */
    bool again;         /* the last one has: the next is to follow */
    bool current;       /* objects that were only read are compared */
    bool commit_queued; /* libpq has been given COMMIT: it may have been sent */
} work;

/* ---- what there is to write ----------------------------------------------------------- */

static bool
is_removed(const entry *e)
{
    return e->h->state == NEWT__DELETED;
}

static int
by_place(const void *pa, const void *pb)
{
    const newt__header *a = ((const entry *)pa)->h, *b = ((const entry *)pb)->h;
    bool new_a = a->state == NEWT__NEW, new_b = b->state == NEWT__NEW;

    if (new_a != new_b)
        return new_a - new_b;
    return (a->oid > b->oid) - (a->oid < b->oid);
}

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
gather_one(work *w, newt__header *h)
{
    newt_conn *c = w->c;
    entry *e = &w->entries[w->n];
    bool same;
    int status;

    *e = (entry){.h = h, .at = w->records.n};
    h->written = false; /* as a failed attempt may have left it */
    if (h->state == NEWT__DELETED) {
        w->n_removed++;
    } else {
        status = newt__object_encode(c, h, &same);
        if (status != NEWT_OK)
            return status;
        if (same)
            return NEWT_OK;
        e->n = c->writer.buf.n;
        e->lossy = c->writer.lossy;
        if (!newt__buffer_append(&w->records, c->writer.buf.data, e->n))
            return newt__fail_memory(&c->error);
        e->projection = newt__conn_projection(c, h->class);
        if (!h->class && is_hidden(c, w->records.data + e->at, e->n))
            e->projection = NEWT__PROJECT_NOT;
    }
    h->written = true;
    w->n++;
    if (h->state != NEWT__NEW)
        w->n_stored++;
    return NEWT_OK;
}

static int
gather(work *w)
{
    newt_conn *c = w->c;
    size_t n = 0;
    int status;

    for (const newt__header *h = c->changed; h; h = h->next_changed)
        n++;
    if (n == 0)
        return NEWT_OK;
    w->entries = n > SIZE_MAX / sizeof *w->entries ? NULL : malloc(n * sizeof *w->entries);
    if (!w->entries)
        return newt__fail_memory(&c->error);
    for (newt__header *h = c->changed; h; h = h->next_changed) {
        if (h->state == NEWT__FORGOTTEN)
            continue;
        status = gather_one(w, h);
        if (status != NEWT_OK)
            return status;
    }
    qsort(w->entries, w->n, sizeof *w->entries, by_place);
    return NEWT_OK;
}

/* ---- sending: the objects ------------------------------------------------------------- */

static const uint8_t *
record_of(const work *w, const entry *e)
{
    return w->records.data + e->at;
}

/* The name of its class, in the record. */
static const char *
class_of(const work *w, const entry *e, size_t *n)
{
    newt__reader r;

    newt__read_begin(&r, &w->c->env, record_of(w, e), e->n);
    *n = r.class_n;
    return r.class_name;
}

/* The JSON of an object into w->json, behind jsonb's version; what it cannot show into w->rejects.
 */
static int
project(work *w, const entry *e, bool *hidden)
{
    newt_conn *c = w->c;
    json_t *rejects = NULL, *item;
    size_t i;
    int status;

    w->json.n = 0;
    if (!newt__buffer_append(&w->json, "\1", 1))
        return newt__fail_memory(&c->error);
    if (e->lossy) {
        rejects = json_array();
        if (!rejects || (!w->rejects && !(w->rejects = json_array()))) {
            json_decref(rejects);
            return newt__fail_memory(&c->error);
        }
    }
    status = newt__object_project(c, e->h->oid, record_of(w, e), e->n, &w->json, hidden, rejects);
    json_array_foreach(rejects, i, item)
    {
        if (status == NEWT_OK && (json_object_set_new(item, "zoid", json_integer(e->h->oid)) != 0 ||
                                  json_array_append(w->rejects, item) != 0))
            status = newt__fail_memory(&c->error);
    }
    json_decref(rejects);
    return status;
}

/* One changed object: the usual transaction, in one statement. */
static int
send_update_one(work *w, const entry *e)
{
    static const newt__statement by_projection[] = {
        [NEWT__PROJECT_NOT] = NEWT__S_UPDATE_ONE,
        [NEWT__PROJECT_ASYNC] = NEWT__S_UPDATE_ONE,
        [NEWT__PROJECT_CLIENT] = NEWT__S_UPDATE_ONE_CLIENT,
        [NEWT__PROJECT_SERVER] = NEWT__S_UPDATE_ONE_SERVER,
    };
    bool inline_row = e->projection >= NEWT__PROJECT_CLIENT, hidden;
    newt__params p = {0};
    const char *name;
    size_t name_n;
    int status;

    newt__param_int(&p, e->h->oid);
    newt__param_int(&p, e->h->serial);
    newt__param_int(&p, w->serial);
    newt__param_bytes(&p, record_of(w, e), e->n);
    if (inline_row) {
        name = class_of(w, e, &name_n);
        newt__param_bytes(&p, name, name_n);
    }
    if (e->projection == NEWT__PROJECT_CLIENT) {
        status = project(w, e, &hidden);
        if (status != NEWT_OK)
            return status;
        newt__param_bytes(&p, w->json.data, w->json.n);
    }
    newt__send(w->c, by_projection[e->projection], &p);
    return NEWT_OK;
}

static bool
chunk_full(const newt__array *a, const newt__buffer *bytes)
{
    return a->n >= CHUNK_OBJECTS || bytes->n >= CHUNK_BYTES;
}

/* The entries [from, to) of one statement. If the server projects all that is left of them, it
 * does so as their records pass by. */
static bool
project_along(work *w, size_t from, size_t to)
{
    bool any = false;

    for (size_t i = from; i < to; i++) {
        if (is_removed(&w->entries[i]))
            continue;
        if (w->entries[i].projection != NEWT__PROJECT_SERVER)
            return false;
        any = true;
    }
    for (size_t i = from; any && i < to; i++)
        w->entries[i].projected = true;
    return any;
}

static void
send_update_many(work *w)
{
    for (size_t i = 0, from; i < w->n_stored;) {
        newt__params p = {0};

        from = i;

        newt__array_begin(&w->a, NEWT__OID_INT8);
        newt__array_begin(&w->b, NEWT__OID_INT8);
        newt__array_begin(&w->d, NEWT__OID_BYTEA);
        for (; i < w->n_stored && !chunk_full(&w->a, &w->d.buf); i++) {
            const entry *e = &w->entries[i];

            newt__array_int(&w->a, e->h->oid);
            newt__array_int(&w->b, e->h->serial);
            if (is_removed(e))
                newt__array_null(&w->d);
            else
                newt__array_bytes(&w->d, record_of(w, e), e->n);
        }
        newt__param_array(&p, &w->a);
        newt__param_array(&p, &w->b);
        newt__param_array(&p, &w->d);
        newt__param_int(&p, w->serial);
        newt__param_int(&p, w->a.n);
        newt__send(
            w->c, project_along(w, from, i) ? NEWT__S_UPDATE_MANY_SERVER : NEWT__S_UPDATE_MANY, &p);
    }
}

static void
send_inserts(work *w)
{
    for (size_t i = w->n_stored, from; i < w->n;) {
        newt__params p = {0};

        from = i;
        newt__array_begin(&w->a, NEWT__OID_INT8);
        newt__array_begin(&w->d, NEWT__OID_BYTEA);
        for (; i < w->n && !chunk_full(&w->a, &w->d.buf); i++) {
            newt__array_int(&w->a, w->entries[i].h->oid);
            newt__array_bytes(&w->d, record_of(w, &w->entries[i]), w->entries[i].n);
        }
        newt__param_array(&p, &w->a);
        newt__param_int(&p, w->serial);
        newt__param_array(&p, &w->d);
        newt__send(
            w->c, project_along(w, from, i) ? NEWT__S_INSERT_MANY_SERVER : NEWT__S_INSERT_MANY, &p);
    }
}

/* A statement about some of the entries by their oids alone. */
static void
send_oids(work *w, newt__statement s, bool (*wanted)(const entry *e))
{
    newt__params p = {0};

    newt__array_begin(&w->a, NEWT__OID_INT8);
    for (size_t i = 0; i <= w->n; i++) {
        if (i < w->n && wanted(&w->entries[i]))
            newt__array_int(&w->a, w->entries[i].h->oid);
        if (w->a.n == CHUNK_OBJECTS || (i == w->n && w->a.n > 0)) {
            p = (newt__params){0};
            newt__param_array(&p, &w->a);
            newt__send(w->c, s, &p);
            newt__array_begin(&w->a, NEWT__OID_INT8);
        }
    }
}

static bool
wants_server(const entry *e)
{
    return !is_removed(e) && e->projection == NEWT__PROJECT_SERVER && !e->projected;
}

/* Hidden now; a row may be there from when its class was projected. */
static bool
wants_no_row(const entry *e)
{
    return !is_removed(e) && e->projection == NEWT__PROJECT_NOT && e->h->state != NEWT__NEW;
}

/* Rows of the entries [from, to), as far as they are the client's to make. */
static int
send_client_rows(work *w, size_t from, size_t to, newt__statement s)
{
    newt__array names = {.buf.env = &w->c->env};
    const char *name;
    size_t name_n;
    bool hidden;
    int status = NEWT_OK;

    for (size_t i = from; i < to && status == NEWT_OK;) {
        newt__params p = {0};

        newt__array_begin(&w->a, NEWT__OID_INT8);
        newt__array_begin(&names, NEWT__OID_TEXT);
        newt__array_begin(&w->d, NEWT__OID_JSONB);
        for (; i < to && status == NEWT_OK && !chunk_full(&w->a, &w->d.buf); i++) {
            const entry *e = &w->entries[i];

            if (is_removed(e) || e->projection != NEWT__PROJECT_CLIENT)
                continue;
            status = project(w, e, &hidden);
            name = class_of(w, e, &name_n);
            newt__array_int(&w->a, e->h->oid);
            newt__array_bytes(&names, name, name_n);
            newt__array_json(&w->d, w->json.data + 1, w->json.n - 1);
        }
        if (status != NEWT_OK || w->a.n == 0)
            break;
        newt__param_array(&p, &w->a);
        newt__param_array(&p, &names);
        newt__param_int(&p, w->serial);
        newt__param_array(&p, &w->d);
        newt__send(w->c, s, &p);
    }
    newt__buffer_free(&names.buf);
    return status;
}

static int
send_rejects(work *w)
{
    newt__params p = {0};
    bool hidden;
    char *text;
    int status;

    /* the server projects these; what it cannot show, the client finds out just the same */
    for (size_t i = 0; i < w->n; i++)
        if (w->entries[i].lossy && w->entries[i].projection == NEWT__PROJECT_SERVER &&
            (status = project(w, &w->entries[i], &hidden)) != NEWT_OK)
            return status;
    if (!w->rejects || json_array_size(w->rejects) == 0)
        return NEWT_OK;
    text = json_dumps(w->rejects, JSON_COMPACT);
    if (!text)
        return newt__fail_memory(&w->c->error);
    newt__param_int(&p, w->serial);
    newt__param_text(&p, text);
    newt__send(w->c, NEWT__S_REJECTS, &p);
    free(text);
    return NEWT_OK;
}

static int
send_objects(work *w)
{
    bool one = w->n == 1 && w->n_stored == 1 && w->n_removed == 0;
    bool no_row = false;
    int status = NEWT_OK;

    for (size_t i = 0; i < w->n; i++)
        no_row |= wants_no_row(&w->entries[i]);
    if (one) {
        status = send_update_one(w, &w->entries[0]);
    } else {
        send_update_many(w);
        send_inserts(w);
        if (w->n_removed > 0)
            send_oids(w, NEWT__S_DELETE_MANY, is_removed);
        send_oids(w, NEWT__S_PROJECT_SERVER, wants_server);
        status = send_client_rows(w, 0, w->n_stored, NEWT__S_PROJECT_CLIENT);
        if (status == NEWT_OK)
            status = send_client_rows(w, w->n_stored, w->n, NEWT__S_PROJECT_NEW);
    }
    if (no_row)
        send_oids(w, NEWT__S_UNPROJECT, wants_no_row);
    return status == NEWT_OK ? send_rejects(w) : status;
}

/* ---- sending: the transaction --------------------------------------------------------- */

/* Oids [from, to) of the entries, those removed and the others, as the next two parameters. */
static void
oid_params(work *w, size_t from, size_t to, newt__params *p)
{
    newt__array_begin(&w->a, NEWT__OID_INT8);
    newt__array_begin(&w->b, NEWT__OID_INT8);
    for (size_t i = from; i < to; i++)
        newt__array_int(is_removed(&w->entries[i]) ? &w->b : &w->a, w->entries[i].h->oid);
    newt__param_array(p, &w->a);
    newt__param_array(p, &w->b);
}

static void
send_large(work *w)
{
    int64_t n = 0;

    for (size_t from = 0, to; from < w->n; from = to, n++) {
        newt__params p = {0};

        to = w->n - from > OIDS_IN_CHUNK ? from + OIDS_IN_CHUNK : w->n;
        newt__param_int(&p, w->serial);
        newt__param_int(&p, n);
        oid_params(w, from, to, &p);
        newt__send(w->c, NEWT__S_TRANSACTION_OBJECT, &p);
    }
}

static void
send_transaction_row(work *w)
{
    newt__params p = {0};

    newt__param_int(&p, w->serial);
    newt__param_int(&p, w->nonce);
    if (w->n > OIDS_IN_ROW) {
        newt__param_bytes(&p, NULL, 0);
        newt__param_bytes(&p, NULL, 0);
    } else {
        oid_params(w, 0, w->n, &p);
    }
    if (w->c->description)
        newt__description_params(w->c, &p);
    newt__send(w->c, w->c->description ? NEWT__S_TRANSACTION_DESCRIBED : NEWT__S_TRANSACTION, &p);
}

/* Blocks that the next transactions will want come with the barrier, which makes them safe. */
static void
want_blocks(work *w)
{
    newt_conn *c = w->c;
    int64_t left = newt__blocks_left(&c->oids, c->db->oid_block);

    if (left < 2 * c->oids.used)
        w->oid_blocks = newt__blocks_for(2 * c->oids.used - left, c->db->oid_block);
    if (newt__blocks_left(&c->serials, c->db->serial_block) < SPARE_SERIALS)
        w->serial_blocks = 1;
}

/* Non-zero: this side has given up before the lock, and the server is to roll back. */
static int
send_all(work *w)
{
    newt_conn *c = w->c;
    int status;

    if (c->in_transaction)
        newt__send(c, NEWT__S_COMMIT, NULL);
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    c->in_transaction = true;
    status = send_objects(w);
    if (status != NEWT_OK)
        return status;
    if (w->n > OIDS_IN_ROW)
        send_large(w);
    newt__send(c, NEWT__S_LOCK, NULL);
    newt__sync(c);
    w->current = newt__current_send(c);
    send_transaction_row(w);
    w->commit_queued = !c->broken;
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    want_blocks(w);
    newt__blocks_send(c, w->oid_blocks, w->serial_blocks);
    newt__send(c, NEWT__S_BARRIER, NULL);
    newt__changes_send(c, w->serial);
    newt__sync(c);
    return NEWT_OK;
}

/* ---- taking --------------------------------------------------------------------------- */

/* What a failure so far means for a COMMIT behind it. */
static newt__outcome
failed_before_commit(const work *w)
{
    const newt_error *e = &w->c->talk->error;

    return !w->commit_queued || e->sqlstate[0] != 0 || !w->c->broken ? NEWT__NOT_COMMITTED
                                                                     : NEWT__UNKNOWN;
}

static newt__outcome
take_commit(work *w)
{
    newt_conn *c = w->c;
    newt_error *e = &c->talk->error;
    PGresult *r;
    bool committed;

    /* the end of the old snapshot is in here too: it is as lost as the rest if it fails */
    if (!newt__take_sync(c))
        return failed_before_commit(w);
    if (w->current && !newt__take_done(c))
        return failed_before_commit(w);
    r = newt__take(c);
    if (!r)
        return failed_before_commit(w);
    w->tid = newt__field_int(r, 0, 0);
    PQclear(r);
    r = newt__take(c);
    if (!r) /* an error that ends the server process may come behind the commit itself */
        return c->broken ? NEWT__UNKNOWN : NEWT__NOT_COMMITTED;
    committed = strcmp(PQcmdStatus(r), "COMMIT") == 0;
    PQclear(r);
    newt__take_sync(c);
    if (!committed)
        newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
    return committed ? NEWT__COMMITTED : NEWT__NOT_COMMITTED;
}

/* Behind COMMIT: what must have worked for it to be durable. */
static PGresult *
take_barrier(work *w)
{
    newt_conn *c = w->c;
    newt_error *warning = &c->talk->warning;
    PGresult *changes;

    newt__error_clear(warning);
    if (newt__blocks_result(c, w->oid_blocks, w->serial_blocks) != NEWT_OK)
        newt__error_clear(&c->error); /* no memory: then there are none */
    newt__take_done(c);
    changes = newt__take(c);
    if (newt__take_sync(c) && warning->status == NEWT_OK)
        return changes;
    newt__blocks_drop(&c->oids);
    newt__blocks_drop(&c->serials);
    PQclear(changes);
    return NULL;
}

/* ---- failures ------------------------------------------------------------------------- */

/* What others have changed is merged (then the commit is tried again), or becomes the error. */
static void
conflict(work *w)
{
    newt_conn *c = w->c;
    newt_error why = {0};

    newt__error_move(&why, &c->talk->error);
    if (newt__conflicts(c, w->merges < MOST_MERGES, &why) == NEWT_OK) {
        newt__error_clear(&why);
        w->merges++;
        w->again = true;
        return;
    }
    if (w->merges == MOST_MERGES)
        newt__fail_hint(&why, "It was merged %d times, and each time changed again.", MOST_MERGES);
    newt__error_move(&c->talk->error, &why);
}

/* The error that the connection is left with when nothing was committed; or w->again. */
static int
not_committed(work *w)
{
    newt_conn *c = w->c;
    newt_error *e = &c->talk->error;
    int status;

    newt__take_rest(c);
    c->checked_us = 0; /* the next begin asks the server what has happened */
    if (e->status == NEWT_ECONFLICT) {
        if (!c->broken)
            conflict(w);
        if (w->again)
            return NEWT_OK;
        c->stats.conflicts += e->status == NEWT_ECONFLICT;
    } else if (strcmp(e->sqlstate, "23505") == 0) {
        /* numbers that somebody else has used cannot be right */
        newt__blocks_drop(&c->oids);
        newt__blocks_drop(&c->serials);
    }
    if (e->status == NEWT_ELOST || (c->broken && e->status == NEWT_OK)) {
        newt_error why = *e;

        *e = (newt_error){0};
        newt__fail(e, NEWT_ELOST, 0, "the server connection was lost; nothing was committed");
        memcpy(e->sqlstate, why.sqlstate, sizeof e->sqlstate);
        newt__fail_detail(e, "%s", newt_error_message(&why));
        newt__error_clear(&why);
    }
    status = newt__talk_end(c);
    newt_abort(c);
    return status;
}

/* ---- commit --------------------------------------------------------------------------- */

static void
commit_done(work *w, const PGresult *changes)
{
    newt_conn *c = w->c;

    c->in_transaction = false;
    newt__objects_committed(c, w->serial);
    newt__transaction_over(c);
    c->stats.commits++;
    c->committed_tid = w->tid;
    pthread_mutex_lock(&c->db->mutex);
    if (w->tid > c->db->newest_tid)
        c->db->newest_tid = w->tid;
    pthread_mutex_unlock(&c->db->mutex);
    if (changes && newt__changes_apply(c, changes, w->serial) != NEWT_OK) {
        /* no memory to hear what others changed: start afresh */
        newt__cache_clear(c);
        c->tid = c->tid_serial = 0;
    }
}

static int
write_all(work *w)
{
    newt_conn *c = w->c;
    PGresult *changes = NULL;
    bool durable = false, answered = false;
    newt__outcome o;
    int status;

    newt__talk_begin(c);
    status = send_all(w);
    if (status != NEWT_OK) {
        /* projecting an object has failed; what was sent already is rolled back */
        newt__sync(c);
        newt__take_rest(c);
        newt__error_clear(&c->talk->error);
        newt_abort(c);
        return status;
    }
    o = take_commit(w);
    if (o == NEWT__COMMITTED) {
        changes = take_barrier(w);
        durable = changes != NULL;
        answered = true;
    }
    if (o == NEWT__UNKNOWN || (!durable && o == NEWT__COMMITTED && c->broken)) {
        newt_error why = c->talk->error;
        newt__outcome found;

        c->talk->error = (newt_error){0};
        c->in_transaction = false;
        found = newt__resolve(c, w->serial, w->nonce, answered, &w->tid);
        durable = found != NEWT__UNKNOWN;
        if (durable)
            o = found;
        newt__error_move(&c->talk->error, &why);
    }
    if (o == NEWT__NOT_COMMITTED)
        return not_committed(w);
    if (o == NEWT__UNKNOWN) {
        newt__error_clear(&c->error);
        newt__fail(&c->error, NEWT_EUNKNOWN, 0,
                   "the server connection was lost during COMMIT: it is not known whether the "
                   "transaction was committed");
        newt__fail_detail(&c->error, "Its serial is %lld.", (long long)w->serial);
        newt__error_clear(&c->talk->error);
        newt_abort(c);
        c->tid = c->tid_serial = 0; /* what is cached may be of before or of after it */
        return NEWT_EUNKNOWN;
    }
    commit_done(w, changes);
    PQclear(changes);
    newt__error_clear(&c->error);
    if (!durable) {
        const newt_error *why = c->talk->error.status ? &c->talk->error : &c->talk->warning;

        newt__fail(&c->error, NEWT_EUNKNOWN, 0,
                   "transaction %lld is committed, but it is not known to be durable",
                   (long long)w->tid);
        newt__fail_detail(&c->error, "%s", newt_error_message(why));
        newt__error_clear(&c->talk->error);
        return NEWT_EUNKNOWN;
    }
    newt__error_clear(&c->talk->error);
    return NEWT_OK;
}

static void
end_snapshot(newt_conn *c)
{
    if (!c->in_transaction)
        return;
    c->in_transaction = false;
    if (c->broken)
        return;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    newt__forget(c); /* nothing rests on the answer */
}

static void
end_reading(newt_conn *c)
{
    end_snapshot(c);
    newt__objects_committed(c, 0);
    newt__transaction_over(c);
    newt__error_clear(&c->error);
}

static void
start_afresh(work *w)
{
    newt_conn *c = w->c;
    newt__buffer records = w->records;
    int merges = w->merges;

    free(w->entries);
    json_decref(w->rejects);
    records.n = 0;
    *w = (work){.c = c,
                .records = records,
                .json = w->json,
                .a = w->a,
                .b = w->b,
                .d = w->d,
                .merges = merges};
}

static int
try_commit(work *w)
{
    newt_conn *c = w->c;
    int status = gather(w);

    if (status == NEWT_OK && w->n > 0) {
        if (getentropy(&w->nonce, sizeof w->nonce) != 0)
            status = newt__conn_fail(c, NEWT_ESQL, 0, "the system gives no random numbers");
        /* a block cannot be taken in the snapshot; and what was read in it was read, whatever has
         * become of the connection since */
        if (newt__blocks_left(&c->serials, 1) == 0 || !newt__conn_alive(c))
            end_snapshot(c);
        if (status == NEWT_OK)
            status = newt__conn_server(c);
        if (status == NEWT_OK)
            status = newt__next_serial(c, &w->serial);
    }
    if (status != NEWT_OK)
        newt_abort(c);
    else if (w->n > 0)
        status = write_all(w);
    else
        end_reading(c);
    return status;
}

int
newt_commit(newt_conn *c)
{
    work w = {.c = c};
    int status = newt__conn_enter(c);

    if (status == NEWT_EBUSY || status == NEWT_ETHREAD)
        return status;
    w.records.env = w.json.env = &c->env;
    w.a.buf.env = w.b.buf.env = w.d.buf.env = &c->env;
    if (status == NEWT_OK)
        status = newt__objects_check(c);
    if (status != NEWT_OK)
        newt_abort(c);
    else
        status = try_commit(&w);
    while (w.again) {
        start_afresh(&w);
        status = try_commit(&w);
    }
    free(w.entries);
    json_decref(w.rejects);
    newt__buffer_free(&w.records);
    newt__buffer_free(&w.json);
    newt__buffer_free(&w.a.buf);
    newt__buffer_free(&w.b.buf);
    newt__buffer_free(&w.d.buf);
    return status;
}
