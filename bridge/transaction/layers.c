/*
 * layers.c - layers over a database's storage: pushed, popped, written down into what is below
 *
 * All of it is done while no connection is in a transaction. A connection keeps its session, which
 * becomes the base of the new layer's session, and gets it back when that goes: a test program that
 * pushes and pops for each test does not connect for each.
 */
#include "transaction.h"
#include "../demo/demo.h"
#include "../memory/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the database is at rest; else the status, and the error says why not. */
static int
rest(newt_db *db, const char *function)
{
    bool busy = false;

    if (!db->opened)
        return db->error.status;
    if (!newt__process_is(&db->process))
        return newt__process_fail(&db->process, &db->error);
    newt__error_clear(&db->error);
    pthread_mutex_lock(&db->mutex);
    for (const newt_conn *c = db->all; c; c = c->next_of_all)
        busy |= c->jar.base.phase != NEWT__IDLE || c->writer;
    pthread_mutex_unlock(&db->mutex);
    if (!busy)
        return NEWT_OK;
    newt__fail(&db->error, NEWT_EBUSY, 0, "%s is called while a transaction is open", function);
    newt__fail_hint(&db->error, "End the transactions of all connections of this database first.");
    return NEWT_EBUSY;
}

/* The connection is on another storage: nothing that it knows is true there. */
static void
move_conn(newt_conn *c, const newt__storage_type *type, newt__session *session)
{
    if (c->rider)
        c->rider_close(c->rider);
    c->rider = NULL;
    newt__cache_clear(&c->jar);
    c->jar.storage = type;
    c->jar.session = session;
    c->position = (newt__position){0};
    c->committed_tid = 0;
    c->queue = (newt__queue){0};
}

/* ---- push ------------------------------------------------------------------------------- */

/* A layer that is ready, with a session for each connection. */
typedef struct layer {
    newt__storage *storage;
    newt__session **sessions; /* in the order of newt_db.all */
    size_t n;
} layer;

static void
layer_discard(layer *l)
{
    for (size_t i = 0; i < l->n; i++)
        newt__demo.disconnect(l->sessions[i]);
    free(l->sessions);
    if (l->storage)
        newt__demo_uncover(l->storage);
    *l = (layer){0};
}

/* A layer over this base that nobody uses yet. */
static int
layer_prepare(newt_db *db, const newt__side *base, layer *l)
{
    newt__side changes = {.type = &newt__memory};
    size_t n = 0;
    int status = changes.type->open(&changes.storage, "memory:", &db->options, &db->process,
                                    &db->error);

    if (status == NEWT_OK)
        status = newt__demo_over(&l->storage, base, &changes, &db->process, &db->error);
    if (status != NEWT_OK) {
        newt__side_close(&changes);
        return status;
    }
    for (const newt_conn *c = db->all; c; c = c->next_of_all)
        n++;
    l->sessions = calloc(n + 1, sizeof *l->sessions);
    for (newt_conn *c = db->all; l->sessions && c; c = c->next_of_all) {
        newt__session *x = newt__demo_session(l->storage, newt__transaction_opened, c,
                                              &c->jar.stats);

        if (!x)
            break;
        l->sessions[l->n++] = x;
    }
    if (l->n == n && l->sessions)
        return NEWT_OK;
    layer_discard(l);
    return newt__fail_memory(&db->error);
}

/* The storage below the layer on top, and its session of a connection, is the database's again. */
static void
uncover(newt_db *db)
{
    const newt__side base = *newt__demo_base(db->storage);
    newt__storage *top = db->storage;

    for (newt_conn *c = db->all; c; c = c->next_of_all) {
        newt__session *x = c->jar.session, *below = newt__demo_session_take(x);

        base.type->tell(below, newt__transaction_opened, c);
        move_conn(c, base.type, below);
        newt__demo.disconnect(x);
    }
    db->type = base.type;
    db->storage = base.storage;
    db->newest_tid = 0;
    newt__demo_uncover(top);
}

static void
cover(newt_db *db, layer *l)
{
    size_t i = 0;

    for (newt_conn *c = db->all; c; c = c->next_of_all) {
        newt__session *x = l->sessions[i++], *below = c->jar.session;

        newt__demo_session_put(x, below);
        move_conn(c, &newt__demo, x);
    }
    db->type = &newt__demo;
    db->storage = l->storage;
    db->newest_tid = 0;
    free(l->sessions);
}

int
newt_db_push(newt_db *db)
{
    layer l = {0};
    int status = rest(db, "newt_db_push");

    if (status == NEWT_OK)
        status = layer_prepare(db, &(newt__side){.type = db->type, .storage = db->storage}, &l);
    if (status != NEWT_OK)
        return status;
    cover(db, &l);
    db->pushed++;
    return NEWT_OK;
}

int
newt_db_pop(newt_db *db)
{
    int status = rest(db, "newt_db_pop");

    if (status != NEWT_OK)
        return status;
    if (db->pushed == 0) {
        newt__fail(&db->error, NEWT_EINVAL, 0, "there is no layer that newt_db_push has made");
        newt__fail_hint(&db->error, "A layer that the URI names stays.");
        return NEWT_EINVAL;
    }
    uncover(db);
    db->pushed--;
    return NEWT_OK;
}

/* ---- what is written down ------------------------------------------------------------------- */

/* An object that others have changed in the base. */
typedef struct changed {
    int64_t oid, now;
} changed;

typedef struct work {
    newt_conn *c;
    newt__layer *layer;
    newt_error *e;
    changed *list;
    size_t n, cap;
    bool failed; /* no memory for it */
} work;

static int
rewind_layer(void *arg)
{
    newt__layer_rewind(((work *)arg)->layer);
    return NEWT_OK;
}

static int
next(void *arg, newt__change *out)
{
    work *w = arg;
    int found = newt__layer_next(w->layer, out, w->e);

    if (found == 1 && out->what != NEWT__REMOVE)
        out->projection = newt__record_projection(w->c, out->record, out->n);
    return found;
}

static int
project(void *arg, int64_t oid, const void *record, size_t n, newt__buffer *out, bool *hidden,
        json_t *rejects)
{
    work *w = arg;

    return newt__object_project(&w->c->jar, oid, record, n, out, hidden, rejects);
}

static int
clash(void *arg, const newt__found *now, bool only_read)
{
    work *w = arg;

    (void)only_read;
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 16;
        changed *more = cap < SIZE_MAX / sizeof *more ? realloc(w->list, cap * sizeof *more) : NULL;

        w->failed = !more;
        if (!more)
            return 1;
        w->list = more;
        w->cap = cap;
    }
    w->list[w->n++] = (changed){now->oid, now->serial};
    return 0;
}

/* Nothing was written; *e is what the base says. */
static int
report(work *w)
{
    newt_error *e = w->e;
    newt_conflict *list;
    char more[48] = "";

    if (w->failed || e->status != NEWT_ECONFLICT)
        return w->failed ? newt__fail_memory(e) : e->status;
    if (w->n == 0)
        return e->status;
    list = calloc(w->n, sizeof *list);
    if (!list)
        return newt__fail_memory(e);
    qsort(w->list, w->n, sizeof *w->list, newt__by_oid);
    for (size_t i = 0; i < w->n; i++)
        list[i] = (newt_conflict){.object = {w->list[i].oid},
                                  .class_name = "",
                                  .serial = newt__layer_serial(w->layer, w->list[i].oid),
                                  .committed = w->list[i].now};
    w->c->jar.storage->end(w->c->jar.session); /* the snapshot in which the layer was read */
    if (newt_begin(w->c) == NEWT_OK)
        for (size_t i = 0; i < w->n; i++) {
            const char *name = newt_class_name(w->c, list[i].object);

            list[i].class_name = name ? name : ""; /* removed */
        }
    newt_abort(w->c);
    if (w->n > 1)
        snprintf(more, sizeof more, " (and %zu more objects)", w->n - 1);
    newt__fail(e, NEWT_ECONFLICT, w->list[0].oid, "%s %lld was %s in the base%s",
               *list[0].class_name ? list[0].class_name : "object", (long long)w->list[0].oid,
               w->list[0].now ? "changed" : "removed", more);
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
    newt__fail_class(e, list[0].class_name, strlen(list[0].class_name));
    newt__fail_detail(e, "The layer's change was made to serial %lld.", (long long)list[0].serial);
    newt__fail_hint(e, "Nothing was written, and the layer is as it was: discard it, or make its "
                       "changes again over the base as it is now.");
    e->conflicts = list;
    e->n_conflicts = w->n;
    return NEWT_ECONFLICT;
}

/* One transaction of the base. *written: it is, or may be. */
static int
commit(work *w, const newt__side *base, newt__session *session, bool *written)
{
    newt__writes writes = {
        .arg = w, .next = next, .rewind = rewind_layer, .project = project, .clash = clash};
    newt_error e = {0};
    newt__committed x;
    int status;

    *written = false;
    switch (base->type->commit(session, &writes, &x, &e)) {
    case NEWT__DONE: *written = true; return NEWT_OK;
    case NEWT__IN_DOUBT: *written = x.serial != 0; break;
    case NEWT__STOPPED: /* the reason is in *w->e, or with the connection */
        if (w->e->status == NEWT_OK)
            newt__error_move(w->e, &w->c->jar.base.error);
        return x.status;
    case NEWT__CLASH:
    case NEWT__FAILED: break;
    }
    status = e.status;
    newt__error_move(w->e, &e);
    return status;
}

/* With the base in the place of the layer: what it has to know, and then the objects. */
static int
write_down(work *w, const newt__side *base, bool *written)
{
    newt_conn *c = w->c;
    newt_db *db = c->db;
    const newt__side top = {.type = db->type, .storage = db->storage};
    newt__session *own = c->jar.session, *session = newt__demo_session_base(own);
    int status;

    db->type = c->jar.storage = base->type;
    db->storage = base->storage;
    c->jar.session = session;
    status = newt__register_classes(c, w->e);
    if (status == NEWT_OK)
        status = commit(w, base, session, written);
    base->type->end(session);
    db->type = c->jar.storage = top.type;
    db->storage = top.storage;
    c->jar.session = own;
    return status;
}

/* In the place of the layer on top, one that is empty. */
static void
replace(newt_db *db, layer *l)
{
    uncover(db);
    cover(db, l);
}

int
newt_db_commit_changes(newt_db *db)
{
    work w = {0};
    layer empty = {0};
    newt_error e = {0};
    const newt__side *base;
    bool written = false;
    int status = rest(db, "newt_db_commit_changes");

    if (status != NEWT_OK)
        return status;
    if (db->type != &newt__demo) {
        newt__fail(&db->error, NEWT_EINVAL, 0, "the database has no layer of changes");
        newt__fail_hint(&db->error, "newt_db_push makes one; or open demo:(BASE).");
        return NEWT_EINVAL;
    }
    base = newt__demo_base(db->storage);
    w.e = &e;
    status = newt_connect(db, &w.c);
    if (status != NEWT_OK && w.c)
        newt__error_move(&e, &w.c->jar.base.error);
    else if (status != NEWT_OK)
        newt__fail_memory(&e);
    if (status == NEWT_OK)
        status = newt__layer_open(&w.layer, w.c->jar.session, &e);
    if (status == NEWT_OK && newt__demo_is_private(db->storage))
        status = layer_prepare(db, base, &empty);
    if (status == NEWT_OK && newt__layer_size(w.layer) > 0)
        status = write_down(&w, base, &written);
    if (status != NEWT_OK && !written)
        status = e.status != NEWT_OK ? report(&w) : status;
    newt__layer_close(w.layer);
    newt_close(w.c);
    if (written && empty.storage)
        replace(db, &empty);
    else
        layer_discard(&empty);
    free(w.list);
    if (e.status != NEWT_OK)
        newt__error_move(&db->error, &e);
    return status;
}
