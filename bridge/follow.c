/*
 * follow.c - followers of the transactions, and the projection they write
 *
 * A batch is one READ COMMITTED transaction. It first moves the follower's position by
 * compare-and-set: one worker at a time writes under a name. Which transactions come next was read
 * before; what is behind the position never changes, for tid order is the order of visibility.
 *
 * Then, a chunk of objects at a time, one statement (hence one snapshot) reads each record together
 * with the serial of its row. Rows that are of their record already are left alone; others are
 * computed and written by compare-and-set on the serial seen, or inserted where none was seen. A
 * lost comparison is right: an inline writer has been there whose transaction this snapshot did not
 * have, and its row is newer. If that writer removed the object, and this follower then inserts a
 * row for it, the removal is in a transaction behind the new position: the next batch deletes it.
 *
 * A new name has no position, and the transactions since the beginning may have been pruned, as may
 * those behind a position that is very old. Then all objects are gone through once, in zoid order
 * and in batches of their own; the position is that of before, so nothing is missed, and what is
 * done twice is left alone the second time.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 1000,          /* objects of one statement */
    CHUNK_IN_CLIENT = 200, /* ... whose records come here */
    WINDOW = 5000          /* objects of one statement when all are gone through */
};

/* Where a connection is that goes through all objects. */
struct newt__scan {
    char *name;
    int64_t old_tid; /* its position until now; 0: none */
    int64_t tid;     /* its position afterwards */
    int64_t zoid;    /* everything up to here is done */
    bool orphans;    /* objects are done, rows without an object are next */
};

typedef struct batch {
    newt_conn *c;
    const char *name;
    newt_progress progress;
    newt__array classes;                                /* names of those that clients project */
    newt__array zoids, seen, names, serials, documents; /* under construction */
    newt__buffer json;
    json_t *rejects;
    int status; /* a failure on this side */
} batch;

void
newt__scan_free(struct newt__scan *scan)
{
    if (scan)
        free(scan->name);
    free(scan);
}

/* ---- one chunk, computed in the server ------------------------------------------------ */

static void
send_server(batch *b, const int64_t *oids, size_t n)
{
    newt__params p = {0};

    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&b->zoids, oids[i]);
    newt__param_array(&p, &b->zoids);
    newt__param_array(&p, &b->classes);
    newt__send(b->c, NEWT__S_FOLLOW_SERVER, &p);
    newt__sync(b->c);
}

static void
take_written(batch *b)
{
    PGresult *r = newt__take(b->c);

    newt__take_sync(b->c);
    if (r && PQntuples(r) == 1) {
        b->progress.written += newt__field_int(r, 0, 0);
        b->progress.removed += newt__field_int(r, 0, 1);
        b->progress.rejects += newt__field_int(r, 0, 2);
    }
    PQclear(r);
}

/* ---- one chunk, computed here --------------------------------------------------------- */

static bool
is_client_class(const batch *b, const char *name, size_t n)
{
    /* the array as it is sent: length and bytes of each, behind the head */
    const uint8_t *at = b->classes.buf.data + b->classes.buf.n, *end = at;

    at = b->classes.buf.data + 20;
    while (b->classes.n > 0 && end - at >= 4) {
        size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];

        at += 4;
        if (length == n && memcmp(at, name, n) == 0)
            return true;
        at += length;
    }
    return false;
}

static int
add_rejects(batch *b, int64_t oid, json_t *rejects)
{
    json_t *item;
    size_t i;

    json_array_foreach(rejects, i, item)
    {
        if (json_object_set_new(item, "zoid", json_integer(oid)) != 0 ||
            json_array_append(b->rejects, item) != 0)
            return NEWT_ENOMEM;
    }
    return NEWT_OK;
}

/* Adds what a record's row is to be to the arrays. */
static int
compute(batch *b, const PGresult *r, int row)
{
    int64_t oid = newt__field_int(r, row, 0);
    const char *record = PQgetvalue(r, row, 2);
    size_t n = (size_t)PQgetlength(r, row, 2);
    json_t *rejects = json_array();
    bool none = PQgetisnull(r, row, 2), hidden = false;
    newt__reader head;
    int status = NEWT_OK;

    if (!rejects)
        return NEWT_ENOMEM;
    b->json.n = 0;
    if (!none && newt__read_begin(&head, &b->c->env, record, n) != NEWT__OK)
        none = true;
    if (!none && is_client_class(b, head.class_name, head.class_n)) {
        /* ... unless its class is hidden: then nobody writes a row */
        status = newt__object_project(b->c, oid, record, n, &b->json, &hidden, NULL);
        if (status != NEWT_OK || !hidden)
            goto out;
        none = true;
    }
    if (!none) {
        status = newt__object_project(b->c, oid, record, n, &b->json, &hidden, rejects);
        none = status != NEWT_OK || hidden; /* not a record after all */
        if (status == NEWT_ENOMEM)
            goto out;
        status = NEWT_OK;
    }
    if (none && PQgetisnull(r, row, 3))
        goto out;
    newt__array_int(&b->zoids, oid);
    if (PQgetisnull(r, row, 3))
        newt__array_null(&b->seen);
    else
        newt__array_int(&b->seen, newt__field_int(r, row, 3));
    if (none) {
        newt__array_null(&b->names);
        newt__array_null(&b->serials);
        newt__array_null(&b->documents);
    } else {
        newt__array_bytes(&b->names, head.class_name, head.class_n);
        newt__array_int(&b->serials, newt__field_int(r, row, 1));
        newt__array_json(&b->documents, b->json.data, b->json.n);
        status = add_rejects(b, oid, rejects);
    }
out:
    json_decref(rejects);
    return status;
}

static void
write_here(batch *b, const int64_t *oids, size_t n)
{
    newt_conn *c = b->c;
    newt__params p = {0};
    PGresult *r;
    char *rejects;

    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&b->zoids, oids[i]);
    newt__param_array(&p, &b->zoids);
    newt__send(c, NEWT__S_FOLLOW_READ, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    newt__array_begin(&b->seen, NEWT__OID_INT8);
    newt__array_begin(&b->names, NEWT__OID_TEXT);
    newt__array_begin(&b->serials, NEWT__OID_INT8);
    newt__array_begin(&b->documents, NEWT__OID_JSONB);
    json_decref(b->rejects);
    b->rejects = json_array();
    if (!b->rejects)
        b->status = NEWT_ENOMEM;
    for (int i = 0; r && b->status == NEWT_OK && i < PQntuples(r); i++)
        b->status = compute(b, r, i);
    PQclear(r);
    if (b->status != NEWT_OK || b->zoids.n == 0)
        return;
    rejects = json_dumps(b->rejects, JSON_COMPACT);
    if (!rejects) {
        b->status = NEWT_ENOMEM;
        return;
    }
    p = (newt__params){0};
    newt__param_array(&p, &b->zoids);
    newt__param_array(&p, &b->seen);
    newt__param_array(&p, &b->names);
    newt__param_array(&p, &b->serials);
    newt__param_array(&p, &b->documents);
    newt__param_text(&p, rejects);
    newt__send(c, NEWT__S_FOLLOW_WRITE, &p);
    newt__sync(c);
    take_written(b);
    free(rejects);
}

/* ---- a list of objects ---------------------------------------------------------------- */

/* Nothing has failed yet, on either side. */
static bool
going(const batch *b)
{
    return b->status == NEWT_OK && b->c->talk->error.status == NEWT_OK && !b->c->broken;
}

static void
write_objects(batch *b, const newt__oids *l)
{
    size_t chunk = b->c->has_extension ? CHUNK : CHUNK_IN_CLIENT, sent = 0;

    if (l->failed)
        b->status = NEWT_ENOMEM;
    for (size_t i = 0; i < l->n && going(b); i += chunk) {
        size_t n = l->n - i < chunk ? l->n - i : chunk;

        if (b->c->has_extension) {
            /* the next one is on its way while this one is worked on */
            send_server(b, l->oids + i, n);
            if (++sent > 1)
                take_written(b), sent--;
        } else {
            write_here(b, l->oids + i, n);
        }
    }
    for (; sent > 0; sent--)
        take_written(b);
}

static void
take_oids(batch *b, newt__oids *l)
{
    PGresult *r = newt__take(b->c);

    l->n = 0;
    if (r && (PQntuples(r) != 1 || !newt__field_oids(r, 0, 0, l)))
        b->status = l->failed ? NEWT_ENOMEM : NEWT_ESTORE;
    PQclear(r);
}

/* A transaction whose oids are in chunks. */
static void
write_large(batch *b, int64_t serial)
{
    newt__oids l = {0};

    for (int64_t n = 0; going(b); n++) {
        newt__params p = {0};

        newt__param_int(&p, serial);
        newt__param_int(&p, n);
        newt__send(b->c, NEWT__S_FOLLOW_CHUNK, &p);
        newt__sync(b->c);
        take_oids(b, &l);
        newt__take_sync(b->c);
        if (l.n == 0)
            break;
        write_objects(b, &l);
    }
    free(l.oids);
}

/* ---- one batch ------------------------------------------------------------------------ */

static void
begin(batch *b)
{
    newt__send(b->c, NEWT__S_BEGIN_WRITE, NULL);
    b->c->in_transaction = true;
}

static void
send_client_classes(batch *b)
{
    newt__send(b->c, NEWT__S_FOLLOW_CLIENT_CLASSES, NULL);
}

/* The names come as an array, and go out again as one. */
static void
take_client_classes(batch *b)
{
    PGresult *r = newt__take(b->c);
    const char *s = r ? PQgetvalue(r, 0, 0) : NULL;
    size_t n = r ? (size_t)PQgetlength(r, 0, 0) : 0;

    newt__array_begin(&b->classes, NEWT__OID_TEXT);
    if (n > 20) {
        b->classes.buf.n = 0;
        b->classes.failed = newt__buffer_append(&b->classes.buf, s, n) ? NEWT_OK : NEWT_ENOMEM;
        b->classes.n = (uint32_t)(uint8_t)s[12] << 24 | (uint32_t)(uint8_t)s[13] << 16 |
                       (uint32_t)(uint8_t)s[14] << 8 | (uint8_t)s[15];
    }
    PQclear(r);
}

/* Ends the transaction: everything is there, or nothing. */
static int
finish(batch *b)
{
    newt_conn *c = b->c;
    newt_error *e = &c->talk->error;
    PGresult *r;

    newt__take_rest(c);
    if (going(b)) {
        newt__send(c, NEWT__S_COMMIT, NULL);
        newt__sync(c);
        r = newt__take(c);
        if (r && strcmp(PQcmdStatus(r), "COMMIT") != 0)
            newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
        PQclear(r);
        newt__take_sync(c);
    } else {
        if (b->status == NEWT_ENOMEM)
            newt__fail_memory(e);
        else if (b->status != NEWT_OK)
            newt__fail(e, b->status, 0, "the store's transactions are not as they should be");
        newt__send(c, NEWT__S_ROLLBACK, NULL);
        newt__sync(c);
        newt__forget(c);
    }
    c->in_transaction = false;
    return newt__talk_end(c);
}

static int
follow(batch *b, int64_t old_tid, const newt__oids *large)
{
    newt_conn *c = b->c;
    newt__params move = {0}, range = {0};
    newt__oids l = {0};

    newt__param_text(&move, b->name);
    newt__param_int(&move, old_tid);
    newt__param_int(&move, b->progress.tid);
    newt__param_int(&range, old_tid);
    newt__param_int(&range, b->progress.tid);
    newt__talk_begin(c);
    begin(b);
    newt__send(c, NEWT__S_FOLLOW_MOVE, &move);
    send_client_classes(b);
    newt__send(c, NEWT__S_FOLLOW_OBJECTS, &range);
    newt__sync(c);
    newt__take_done(c);
    newt__take_done(c);
    take_client_classes(b);
    take_oids(b, &l);
    newt__take_sync(c);
    write_objects(b, &l);
    for (size_t i = 0; i < large->n && going(b); i++)
        write_large(b, large->oids[i]);
    free(l.oids);
    return finish(b);
}

/* ---- all objects, for a new follower -------------------------------------------------- */

static int
begin_scan(batch *b, int64_t old_tid, int64_t newest)
{
    struct newt__scan *scan = calloc(1, sizeof *scan);

    if (!scan || !(scan->name = strdup(b->name))) {
        free(scan);
        return newt__fail_memory(&b->c->error);
    }
    scan->old_tid = old_tid;
    scan->tid = newest;
    newt__scan_free(b->c->scan);
    b->c->scan = scan;
    return NEWT_OK;
}

/* The position that the follower has from now on. */
static int
end_scan(batch *b)
{
    newt_conn *c = b->c;
    const struct newt__scan *scan = c->scan;
    newt__params p = {0};

    newt__param_text(&p, scan->name);
    if (scan->old_tid)
        newt__param_int(&p, scan->old_tid);
    newt__param_int(&p, scan->tid);
    newt__talk_begin(c);
    begin(b);
    newt__send(c, scan->old_tid ? NEWT__S_FOLLOW_MOVE : NEWT__S_FOLLOW_NEW, &p);
    newt__sync(c);
    newt__take_done(c);
    newt__take_done(c);
    newt__take_sync(c);
    b->progress.tid = scan->tid;
    newt__scan_free(c->scan);
    c->scan = NULL;
    return finish(b);
}

static int
scan_on(batch *b, int64_t max_objects)
{
    newt_conn *c = b->c;
    struct newt__scan *scan = c->scan;
    int64_t limit = max_objects < WINDOW ? max_objects : WINDOW, n = 0, last = 0;
    newt__params p = {0};
    newt__oids l = {0};
    PGresult *r;
    int status;

    newt__param_int(&p, scan->zoid);
    newt__param_int(&p, limit);
    newt__talk_begin(c);
    begin(b);
    send_client_classes(b);
    newt__send(c, scan->orphans ? NEWT__S_FOLLOW_ORPHANS : NEWT__S_FOLLOW_SCAN, &p);
    newt__sync(c);
    newt__take_done(c);
    take_client_classes(b);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1) {
        n = newt__field_int(r, 0, 0);
        last = newt__field_int(r, 0, 1);
        if (!newt__field_oids(r, 0, 2, &l))
            b->status = NEWT_ENOMEM;
    }
    PQclear(r);
    write_objects(b, &l);
    free(l.oids);
    status = finish(b);
    if (status != NEWT_OK)
        return status;
    b->progress.tid = scan->old_tid;
    if (n == limit) {
        scan->zoid = last;
    } else if (!scan->orphans) {
        scan->orphans = true;
        scan->zoid = 0;
    } else {
        return end_scan(b);
    }
    return NEWT_OK;
}

/* ---- newt_project --------------------------------------------------------------------- */

static int
next_batch(batch *b, int64_t max_objects)
{
    newt_conn *c = b->c;
    newt__oids large = {0};
    newt__params p = {0};
    int64_t old_tid, newest;
    bool known;
    PGresult *r;
    int status;

    newt__param_text(&p, b->name);
    newt__param_int(&p, max_objects);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_FOLLOW_NEXT, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    status = newt__talk_end(c);
    if (status != NEWT_OK || !r) {
        PQclear(r);
        return status;
    }
    old_tid = newt__field_int(r, 0, 0);
    known = newt__field_bool(r, 0, 1);
    b->progress.transactions = newt__field_int(r, 0, 2);
    b->progress.tid = newt__field_int(r, 0, 3);
    if (!newt__field_oids(r, 0, 4, &large))
        b->status = NEWT_ENOMEM;
    b->progress.behind_us = newt__field_int(r, 0, 5);
    newest = newt__field_int(r, 0, 6);
    PQclear(r);
    if (!known) {
        b->progress.transactions = 1;
        if (!c->scan || strcmp(c->scan->name, b->name) != 0 || c->scan->old_tid != old_tid)
            status = begin_scan(b, old_tid, newest);
        if (status == NEWT_OK)
            status = scan_on(b, max_objects);
    } else if (b->progress.transactions > 0) {
        status = follow(b, old_tid, &large);
    }
    free(large.oids);
    return status;
}

int
newt_project(newt_conn *c, const char *name, int64_t max_objects, newt_progress *out)
{
    batch b = {.c = c, .name = name};
    size_t size = out ? out->size : 0;
    int status;

    if (c->phase != NEWT__IDLE) {
        newt__conn_fail(c, NEWT_EBUSY, 0, "newt_project is called inside a transaction");
        return NEWT_EBUSY;
    }
    newt__error_clear(&c->error);
    if (!name || !*name || max_objects < 1 || size < sizeof size || size > sizeof *out)
        return newt__conn_fail(c, NEWT_EINVAL, 0,
                               "newt_project without a name, with less than one object, or with a "
                               "newt_progress of another size");
    b.classes.buf.env = b.zoids.buf.env = b.seen.buf.env = b.names.buf.env = &c->env;
    b.serials.buf.env = b.documents.buf.env = b.json.env = &c->env;
    status = newt__conn_server(c);
    if (status == NEWT_OK)
        status = next_batch(&b, max_objects);
    if (strcmp(c->error.sqlstate, "40001") == 0)
        newt__fail_hint(&c->error, "Only one process at a time can follow as \"%s\".", name);
    json_decref(b.rejects);
    newt__buffer_free(&b.classes.buf);
    newt__buffer_free(&b.zoids.buf);
    newt__buffer_free(&b.seen.buf);
    newt__buffer_free(&b.names.buf);
    newt__buffer_free(&b.serials.buf);
    newt__buffer_free(&b.documents.buf);
    newt__buffer_free(&b.json);
    if (status == NEWT_OK) {
        newt__error_clear(&c->error); /* of records that are none: they have no row */
        b.progress.size = size;
        memcpy(out, &b.progress, size);
    }
    return status;
}
