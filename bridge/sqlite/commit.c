/*
 * commit.c - commits: changes are gathered, and written in one short transaction
 *
 * Up to MOST_HELD bytes of records and JSON are made before the lock is taken, so that a program's
 * to_json holds up nobody; what is more is gathered and written in turns, with the lock. The first
 * object that others have changed ends the writing: what comes after it is only compared, so that
 * all of them are told.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_HELD = 2 * 1024 * 1024,
    MOST_OBJECTS = 10000, /* that are held */
    PRUNE_EVERY = 64,     /* one commit in 64 also removes some of the oldest transactions */
    PRUNED = 128
};

/* A change that is held. Its texts are places in work.bytes. */
typedef struct held {
    newt__change c;
    size_t record, class_name, json;
    size_t json_n; /* 0: no row of the projection */
    json_t *rejects;
} held;

typedef struct work {
    newt__session *x;
    const newt__writes *w;
    newt__committed *out;
    newt_error *e;
    held *held;
    size_t n, cap;
    newt__buffer bytes, json; /* json: of one object */
    bool writing;             /* the lock is taken */
    bool has_rejects;         /* there are entries of objects that could not be projected */
    bool last;                /* all has been pulled */
    bool clashed, enough;     /* others have changed something; no more of it is to be told */
    int64_t tid;              /* of this transaction; also its serial */
    newt__log log;
    int stopped; /* what a callback has returned */
} work;

/* ---- gathering ------------------------------------------------------------------------------ */

static bool
make_room(work *k)
{
    size_t cap = k->cap ? 2 * k->cap : 8;
    held *more;

    if (k->n < k->cap)
        return true;
    more = realloc(k->held, cap * sizeof *more); /* at most MOST_OBJECTS of them */
    if (!more)
        return false;
    k->held = more;
    k->cap = cap;
    return true;
}

static int
project(work *k, held *h)
{
    bool hidden = false;
    int status;

    if (h->c.lossy && !(h->rejects = json_array()))
        return newt__fail_memory(k->e);
    k->json.n = 0;
    status = k->w->project(k->w->arg, h->c.oid, k->bytes.data + h->record, h->c.n, &k->json,
                           &hidden, h->rejects);
    if (status != NEWT_OK) {
        k->stopped = status;
        return status;
    }
    h->json = k->bytes.n;
    h->json_n = hidden ? 0 : k->json.n;
    return newt__buffer_append(&k->bytes, k->json.data, h->json_n) ? NEWT_OK
                                                                   : newt__fail_memory(k->e);
}

static int
hold(work *k, const newt__change *c)
{
    held *h;
    newt__reader head;

    if (!make_room(k))
        return newt__fail_memory(k->e);
    h = &k->held[k->n++];
    *h = (held){.c = *c, .record = k->bytes.n};
    if (!newt__buffer_append(&k->bytes, c->record, c->n))
        return newt__fail_memory(k->e);
    h->class_name = k->bytes.n;
    if (c->what != NEWT__REMOVE) {
        h->c.class_n = 0;
        if (newt__read_begin(&head, &newt__malloc_env, c->record, c->n) == NEWT__OK) {
            h->c.class_name = head.class_name;
            h->c.class_n = head.class_n;
        }
    }
    if (!newt__buffer_append(&k->bytes, h->c.class_name, h->c.class_n))
        return newt__fail_memory(k->e);
    return c->what == NEWT__REMOVE || c->projection == NEWT__PROJECT_NOT ? NEWT_OK : project(k, h);
}

static void
let_go(work *k)
{
    for (size_t i = 0; i < k->n; i++)
        json_decref(k->held[i].rejects);
    k->n = k->bytes.n = 0;
}

/* The next changes, as many as are held at once. */
static int
gather(work *k)
{
    newt__change c;
    int found = 0, status = NEWT_OK;

    let_go(k);
    while (status == NEWT_OK && k->n < MOST_OBJECTS && k->bytes.n < MOST_HELD &&
           (found = k->w->next(k->w->arg, &c)) == 1)
        status = hold(k, &c);
    if (status != NEWT_OK)
        return status;
    if (found < 0)
        return k->stopped = found;
    k->last = found == 0;
    return NEWT_OK;
}

/* ---- what others have changed -------------------------------------------------------- */

/* The object as it is now. */
static int
tell_clash(work *k, int64_t oid, bool only_read, bool wants_record)
{
    sqlite3_stmt *s = newt__file_statement(&k->x->file, NEWT__Q_LOAD, k->e);
    newt__found now = {.oid = oid};
    int code, status = NEWT_OK;

    k->clashed = true;
    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        now.serial = sqlite3_column_int64(s, 0);
        if (wants_record) {
            now.record = sqlite3_column_blob(s, 1);
            now.n = (size_t)sqlite3_column_bytes(s, 1);
        }
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&k->x->file, code, k->e);
    }
    if (status == NEWT_OK && k->w->clash(k->w->arg, &now, only_read) != 0)
        k->enough = true;
    sqlite3_reset(s);
    return status;
}

/* 1: it has this serial (0: it is not there); 0: it has not. */
static int
compare(work *k, int64_t oid, int64_t serial)
{
    sqlite3_stmt *s = newt__file_statement(&k->x->file, NEWT__Q_SERIAL, k->e);
    int code, same = serial == 0;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        same = sqlite3_column_int64(s, 0) == serial;
    else if (code != SQLITE_DONE)
        same = newt__file_fail(&k->x->file, code, k->e);
    sqlite3_reset(s);
    return same;
}

/* What was only to be current. */
static int
check_current(work *k)
{
    int status = NEWT_OK;

    for (size_t i = 0; i < k->w->n_current && status == NEWT_OK && !k->enough; i++) {
        int64_t oid, serial;
        int same = 1;

        if (k->w->current(k->w->arg, i, &oid, &serial))
            same = compare(k, oid, serial);
        status = same == 0 ? tell_clash(k, oid, true, false) : same < 0 ? same : NEWT_OK;
    }
    return status;
}

/* ---- objects ------------------------------------------------------------------------------ */

static int
write_row(work *k, const held *h)
{
    newt__row row = {.oid = h->c.oid,
                     .serial = k->tid,
                     .class_name = (const char *)k->bytes.data + h->class_name,
                     .class_n = h->c.class_n,
                     .json = (const char *)k->bytes.data + h->json,
                     .json_n = h->c.what == NEWT__REMOVE ? 0 : h->json_n,
                     .rejects = h->rejects};
    int status = k->has_rejects ? newt__rejects_remove(&k->x->file, row.oid, k->e) : NEWT_OK;

    if (status != NEWT_OK || (row.json_n == 0 && h->c.what == NEWT__ADD))
        return status;
    return newt__row_write(&k->x->file, &row, k->e);
}

static int
write_state(work *k, const held *h, bool *changed)
{
    static const newt__sql statements[] = {[NEWT__ADD] = NEWT__Q_ADD,
                                           [NEWT__REPLACE] = NEWT__Q_REPLACE,
                                           [NEWT__REMOVE] = NEWT__Q_REMOVE};
    newt__file *f = &k->x->file;
    sqlite3_stmt *s = newt__file_statement(f, statements[h->c.what], k->e);
    int code = SQLITE_OK, status;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, h->c.oid);
    sqlite3_bind_int64(s, 2, h->c.what == NEWT__REMOVE ? h->c.serial : k->tid);
    if (h->c.what != NEWT__REMOVE)
        code = sqlite3_bind_blob64(s, 3, k->bytes.data + h->record, h->c.n, SQLITE_STATIC);
    if (h->c.what == NEWT__REPLACE)
        sqlite3_bind_int64(s, 4, h->c.serial);
    if (code != SQLITE_OK)
        return newt__file_fail(f, code, k->e);
    status = newt__file_run(f, s, k->e);
    *changed = status == NEWT_OK && sqlite3_changes(f->db) == 1;
    return status;
}

static int
write_one(work *k, const held *h)
{
    bool changed = true;
    int same, status;

    if (k->clashed) { /* nothing will stay */
        same = compare(k, h->c.oid, h->c.what == NEWT__ADD ? 0 : h->c.serial);
        return same == 0  ? tell_clash(k, h->c.oid, false, h->c.wants_record)
               : same < 0 ? same
                          : NEWT_OK;
    }
    status = write_state(k, h, &changed);
    if (status == NEWT_OK && !changed)
        return tell_clash(k, h->c.oid, false, h->c.wants_record);
    if (status == NEWT_OK)
        status = write_row(k, h);
    return status == NEWT_OK ? newt__log_add(&k->log, h->c.oid, h->c.what == NEWT__REMOVE,
                                             k->bytes.data + h->class_name, h->c.class_n, k->e)
                             : status;
}

/* ---- from beginning to end ---------------------------------------------------------------- */

/* Ends the snapshot, takes the lock, and finds out what has been committed since. */
static int
begin_writing(work *k)
{
    newt__session *x = k->x;
    newt__changes *others = &k->out->others;
    int status;

    newt__snapshot_close(x);
    if (!x->file.db && (status = newt__sqlite_ready(x, 0, k->e)) != NEWT_OK)
        return status;
    status = newt__file_lock(&x->file, k->e);
    if (status != NEWT_OK)
        return status;
    k->writing = true;
    status = newt__changes_list(x, k->w->cache, others, k->e);
    if (status != NEWT_OK)
        return status;
    k->tid = newt__time();
    if (k->tid <= others->to.tid)
        k->tid = others->to.tid + 1;
    status = newt__rejects_found(&x->file, &k->has_rejects, k->e);
    if (status != NEWT_OK)
        return status;
    newt__log_begin(&k->log, &x->file, k->tid);
    others->before = others->n;
    /* after a commit a cache without a position has nothing but what it has made */
    others->all &= k->w->cache.tid != 0;
    others->to = (newt__position){k->tid, k->tid};
    k->out->has_others = true;
    return NEWT_OK;
}

/* Gathers and writes all. */
static int
write_all(work *k)
{
    int status = NEWT_OK;

    while (!k->last && !k->enough && status == NEWT_OK) {
        status = gather(k);
        if (status == NEWT_OK && (k->n > 0 || k->w->wants_row) && !k->writing)
            status = begin_writing(k);
        for (size_t i = 0; i < k->n && status == NEWT_OK && !k->enough; i++)
            status = write_one(k, &k->held[i]);
    }
    return status;
}

static int
write_transaction(work *k)
{
    newt__transaction t = {.at = {k->tid, k->tid},
                           .committed_us = newt__time(),
                           .user = k->w->user,
                           .description = k->w->description,
                           .extension = k->w->extension};

    return newt__log_end(&k->log, &t, k->e);
}

/* Nobody else is there to do it. Times are as good as chance: programs that commit once and end
 * take their turns, too. */
static int
prune_sometimes(work *k)
{
    int64_t pruned;

    return k->tid % PRUNE_EVERY == 0 ? newt__prune_within(k->x, PRUNED, &pruned, k->e) : NEWT_OK;
}

/* What has been written becomes visible, and is durable by then. An error of the disk may have hit
 * the record that says so: then a crash may show the transaction to be there. */
static newt__outcome
make_visible(work *k)
{
    int status = newt__file_do(&k->x->file, NEWT__Q_COMMIT, k->e);

    if (status == NEWT_OK) {
        k->writing = false;
        k->out->serial = k->out->tid = k->tid;
        return NEWT__DONE;
    }
    if (strcmp(k->e->sqlstate, "58030") != 0)
        return NEWT__FAILED;
    k->e->status = NEWT_EUNKNOWN;
    return NEWT__IN_DOUBT;
}

static newt__outcome
carry_out(work *k)
{
    int status = k->w->rewind(k->w->arg);

    if (status != NEWT_OK) {
        k->stopped = status;
        return NEWT__STOPPED;
    }
    status = write_all(k);
    if (k->stopped != NEWT_OK)
        return NEWT__STOPPED;
    if (status == NEWT_OK && !k->writing) { /* there is nothing */
        newt__snapshot_close(k->x);
        return NEWT__DONE;
    }
    if (status == NEWT_OK && !k->enough)
        status = check_current(k);
    if (status == NEWT_OK && k->clashed) {
        newt__fail_changed(k->e);
        return NEWT__CLASH;
    }
    if (status == NEWT_OK)
        status = write_transaction(k);
    if (status == NEWT_OK)
        status = prune_sometimes(k);
    return status == NEWT_OK ? make_visible(k) : NEWT__FAILED;
}

newt__outcome
newt__sqlite_commit(newt__session *x, const newt__writes *w, newt__committed *out, newt_error *e)
{
    work k = {.x = x, .w = w, .out = out, .e = e};
    newt__outcome outcome;

    *out = (newt__committed){0};
    k.bytes.env = k.json.env = &newt__malloc_env;
    x->wanted = false;
    outcome = carry_out(&k);
    out->status = k.stopped;
    if (outcome != NEWT__DONE)
        newt__snapshot_close(x);
    if (k.writing)
        newt__file_roll_back(&x->file);
    let_go(&k);
    free(k.held);
    newt__buffer_free(&k.bytes);
    newt__buffer_free(&k.json);
    newt__log_free(&k.log);
    return outcome;
}
