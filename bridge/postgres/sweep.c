/*
 * sweep.c - all objects once: whether their rows are right, or their rows computed anew
 *
 * A window of objects at a time, by oid, each in a statement of its own. The server computes what
 * the rows should be, or the records come here and the documents go back. New rows are collected
 * beside the projection, with the place that has been reached, and put in their places all at once:
 * who reads sees the old ones or the new ones, and who is interrupted goes on.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS = 1000,         /* of a window; also in newtdb.h */
    OBJECTS_IN_CLIENT = 200 /* whose records come here */
};

typedef struct sweep {
    newt__session *c;
    newt_sweep *s;
    newt__array classes, zoids, names, serials, documents;
    newt__buffer json;
    int status;
} sweep;

/* ---- a window ------------------------------------------------------------------------------ */

static void
add_window(sweep *w, newt__params *p, int64_t objects)
{
    newt__param_int(p, w->s->after);
    newt__param_int(p, objects);
    if (w->s->classes)
        newt__param_array(p, &w->classes);
    else
        newt__param_bytes(p, NULL, 0);
}

static void
list_classes(sweep *w)
{
    newt__array_begin(&w->classes, NEWT__OID_TEXT);
    for (size_t i = 0; w->s->classes && w->s->classes[i]; i++)
        newt__array_bytes(&w->classes, w->s->classes[i], strlen(w->s->classes[i]));
}

static int
compute(sweep *w, const PGresult *r, int row)
{
    const char *record = PQgetvalue(r, row, 2);
    size_t n = (size_t)PQgetlength(r, row, 2);
    newt__reader head;
    newt__fault fault;
    bool hidden = true;
    newt__code code;

    newt__array_int(&w->zoids, newt__field_int(r, row, 0));
    newt__array_int(&w->serials, newt__field_int(r, row, 1));
    w->json.n = 0;
    code = newt__read_begin(&head, &newt__malloc_env, record, n);
    if (code == NEWT__OK)
        code = newt__record_project(&newt__malloc_env, record, n, &w->json, &hidden, NULL, &fault);
    if (code == NEWT__NOMEM)
        return NEWT_ENOMEM;
    if (code != NEWT__OK || hidden) {
        newt__array_null(&w->names);
        newt__array_null(&w->documents);
    } else {
        newt__array_bytes(&w->names, head.class_name, head.class_n);
        newt__array_json(&w->documents, w->json.data, w->json.n);
    }
    return NEWT_OK;
}

/* Fetches the records of a window, and adds what their rows should be to the parameters. */
static void
compute_window(sweep *w, newt__params *p, int64_t objects)
{
    newt__params window = {0};
    PGresult *r;

    newt__param_int(&window, w->s->after);
    newt__param_int(&window, objects);
    newt__send(w->c, NEWT__S_SWEEP_READ, &window);
    newt__sync(w->c);
    r = newt__take(w->c);
    newt__take_sync(w->c);
    newt__array_begin(&w->zoids, NEWT__OID_INT8);
    newt__array_begin(&w->names, NEWT__OID_TEXT);
    newt__array_begin(&w->serials, NEWT__OID_INT8);
    newt__array_begin(&w->documents, NEWT__OID_JSONB);
    for (int i = 0; r && w->status == NEWT_OK && i < PQntuples(r); i++)
        w->status = compute(w, r, i);
    PQclear(r);
    newt__param_array(p, &w->zoids);
    newt__param_array(p, &w->names);
    newt__param_array(p, &w->serials);
    newt__param_array(p, &w->documents);
}

/* Sends the statement for the next window: the first where the server computes, else the second. */
static void
send_window(sweep *w, newt__statement in_server, newt__statement here)
{
    int64_t objects = w->s->objects ? w->s->objects : OBJECTS;
    newt__params p = {0};

    if (!w->c->has_extension && objects > OBJECTS_IN_CLIENT)
        objects = OBJECTS_IN_CLIENT;
    add_window(w, &p, objects);
    if (!w->c->has_extension)
        compute_window(w, &p, objects);
    newt__send(w->c, w->c->has_extension ? in_server : here, &p);
}

static void
advance(sweep *w, int64_t n, int64_t last)
{
    w->s->looked += n;
    w->s->after = last;
    w->s->over = last == INT64_MAX;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void
count(sweep *w, const newt__oids *oids, const newt__oids *faults)
{
    for (size_t i = 0; i < oids->n && i < faults->n; i++) {
        int64_t fault = faults->oids[i];

        if (fault > NEWT__ROW_FINE && fault < NEWT__N_ROW_FAULTS)
            newt__row_fault_count(w->s, w->c->storage->options, oids->oids[i],
                                  (newt__row_fault)fault, i < NEWT__FAULTS_TOLD);
    }
}

static int
check(sweep *w)
{
    newt__session *c = w->c;
    newt__oids oids = {0}, faults = {0};
    int64_t n = 0, last = 0;
    bool known = false;
    PGresult *r;
    int status;

    newt__talk_begin(c);
    send_window(w, NEWT__S_CHECK_SERVER, NEWT__S_CHECK_HERE);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    known = r && PQntuples(r) == 1;
    if (known) {
        n = newt__field_int(r, 0, 0);
        last = newt__field_int(r, 0, 1);
        if (!newt__field_oids(r, 0, 2, &oids) || !newt__field_oids(r, 0, 3, &faults))
            w->status = NEWT_ENOMEM;
    }
    PQclear(r);
    status = newt__talk_end(c);
    if (status == NEWT_OK && w->status == NEWT_OK && known) {
        advance(w, n, last);
        count(w, &oids, &faults);
    }
    newt__oids_free(&oids);
    newt__oids_free(&faults);
    return status;
}

/* ---- reprojection ----------------------------------------------------------------------- */

/* Where the reprojection is; it begins if there is none. */
static int
place(sweep *w)
{
    newt__session *c = w->c;
    newt__params p = {0};
    bool there, same = false;
    PGresult *r;
    int status;

    if (w->s->classes)
        newt__param_array(&p, &w->classes);
    else
        newt__param_bytes(&p, NULL, 0);
    newt__talk_begin(c);
    newt__follower_begin(c, false);
    newt__send(c, NEWT__S_REPROJECT_BEGIN, &p);
    newt__send(c, NEWT__S_REPROJECTION, &p);
    newt__sync(c);
    newt__follower_begun(c);
    newt__take_done(c);
    r = newt__take(c);
    newt__take_sync(c);
    there = r && PQntuples(r) == 1;
    if (there) {
        w->s->after = newt__field_int(r, 0, 0);
        same = newt__field_bool(r, 0, 1);
    }
    PQclear(r);
    status = newt__follower_finish(c, w->status == NEWT_OK);
    if (status == NEWT_OK && !same) {
        status = newt__fail(&c->error, NEWT_EBUSY, 0,
                            "a reprojection of other classes is under way in this store");
        newt__fail_hint(&c->error, "Finish it, or empty newt_reprojection and newt_reprojected.");
    }
    return status;
}

static int
reproject_window(sweep *w)
{
    newt__session *c = w->c;
    newt__params p = {0};
    int64_t n = 0, last = 0, differ = 0, from = w->s->after;
    PGresult *r;
    int status;

    newt__talk_begin(c);
    newt__follower_begin(c, false);
    newt__sync(c);
    newt__follower_begun(c);
    newt__take_sync(c);
    send_window(w, NEWT__S_REPROJECT_SERVER, NEWT__S_REPROJECT_HERE);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1) {
        n = newt__field_int(r, 0, 0);
        last = newt__field_int(r, 0, 1);
        differ = newt__field_int(r, 0, 2);
    }
    PQclear(r);
    newt__param_int(&p, from);
    newt__param_int(&p, last);
    newt__send(c, NEWT__S_REPROJECT_MOVE, &p);
    newt__sync(c);
    newt__take_done(c);
    newt__take_sync(c);
    status = newt__follower_finish(c, w->status == NEWT_OK);
    if (status == NEWT_OK) {
        advance(w, n, last);
        w->s->over = false;
        w->s->wrong += differ;
    } else if (status == NEWT_ECONFLICT) {
        newt__fail_hint(&c->error, "One of them is enough: stop this one, or call again.");
    }
    return status;
}

static int
swap(sweep *w)
{
    newt__session *c = w->c;
    int64_t written = 0;
    PGresult *r;
    int status;

    newt__talk_begin(c);
    newt__follower_begin(c, false);
    newt__send(c, NEWT__S_REPROJECT_SWAP, NULL);
    newt__sync(c);
    newt__follower_begun(c);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1)
        written = newt__field_int(r, 0, 0);
    PQclear(r);
    status = newt__follower_finish(c, w->status == NEWT_OK);
    if (status == NEWT_OK) {
        w->s->written += written;
        w->s->over = true;
    }
    return status;
}

static int
reproject(sweep *w)
{
    int status = place(w);

    if (status != NEWT_OK)
        return status;
    return w->s->after == INT64_MAX ? swap(w) : reproject_window(w);
}

/* ---- what a session does ---------------------------------------------------------------- */

int
newt__session_sweep(newt__session *c, newt_sweep *s)
{
    sweep w = {.c = c, .s = s, .json.env = &newt__malloc_env};
    int status = newt__session_server(c);

    w.classes.buf.env = w.zoids.buf.env = w.names.buf.env = &newt__malloc_env;
    w.serials.buf.env = w.documents.buf.env = &newt__malloc_env;
    if (status == NEWT_OK) {
        list_classes(&w);
        status = s->kind == NEWT_SWEEP_CHECK ? check(&w) : reproject(&w);
    }
    if (status == NEWT_OK && w.status != NEWT_OK)
        status = newt__fail_memory(&c->error);
    newt__buffer_free(&w.classes.buf);
    newt__buffer_free(&w.zoids.buf);
    newt__buffer_free(&w.names.buf);
    newt__buffer_free(&w.serials.buf);
    newt__buffer_free(&w.documents.buf);
    newt__buffer_free(&w.json);
    return status;
}
