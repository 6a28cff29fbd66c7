/*
 * project.c - rows of the projection anew: for those who follow, and in a sweep over all objects
 *
 * Each commit writes the rows of its objects, so there is seldom anything to be done: after a store
 * was copied, after an index that refused rows has gone, or when the library computes them
 * otherwise.
 */
#include "../record/record.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS = 1000 /* of a sweep's window; also in newtdb.h */
};

/* What is being done. */
typedef struct projecting {
    newt__session *x;
    newt_error *e;
    newt_progress *out;
    newt__buffer record, json;
    char class_name[256];
    bool all; /* also rows that are of their record */
} projecting;

/* ---- one row -------------------------------------------------------------------------------- */

/* 1: programs with a to_json write rows of this class; 0: they do not; else a status. */
static int
is_others(const projecting *p, const char *class_name, size_t n)
{
    sqlite3_stmt *s = newt__file_statement(&p->x->file, NEWT__Q_OWN_PROJECTOR, p->e);
    int code, found;

    if (!s)
        return p->e->status;
    sqlite3_bind_text(s, 1, class_name, (int)n, SQLITE_STATIC);
    code = sqlite3_step(s);
    found = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        found = newt__file_fail(&p->x->file, code, p->e);
    sqlite3_reset(s);
    return found;
}

/* What the row of a record should be. 1: it is not for us; json_n 0: there is to be none. */
static int
compute(projecting *p, newt__row *row, const void *record, size_t n, json_t *rejects)
{
    newt__reader head;
    newt__fault fault;
    bool hidden = true;
    newt__code code = newt__read_begin(&head, &newt__malloc_env, record, n);
    int status;

    p->json.n = 0;
    row->json_n = 0;
    if (code == NEWT__OK) {
        status = is_others(p, head.class_name, head.class_n);
        if (status != 0)
            return status;
        memcpy(p->class_name, head.class_name, head.class_n); /* at most 255 bytes */
        row->class_name = p->class_name;
        row->class_n = head.class_n;
        code = newt__record_project(&newt__malloc_env, record, n, &p->json, &hidden, rejects,
                                    &fault);
    }
    if (code == NEWT__NOMEM)
        return newt__fail_memory(p->e);
    if (code == NEWT__OK && !hidden) {
        row->json = (const char *)p->json.data;
        row->json_n = p->json.n;
    }
    return NEWT_OK;
}

/* The database refuses it: it has none, and an entry that says why. */
static int
refuse(projecting *p, const newt__row *row)
{
    newt__row none = {.oid = row->oid, .serial = row->serial};
    newt_error why = {0};
    int status;

    newt__error_move(&why, p->e);
    status = newt__row_write(&p->x->file, &none, p->e);
    if (status == NEWT_OK)
        status = newt__rejects_remove(&p->x->file, row->oid, p->e);
    if (status == NEWT_OK)
        status = newt__reject_write(&p->x->file, row, 0, "[]", newt_error_message(&why), &why,
                                    p->e);
    p->out->refused += status == NEWT_OK;
    newt__error_clear(&why);
    return status;
}

static int
write_row(projecting *p, newt__row *row, bool had)
{
    json_t *rejects = json_array();
    int status;

    if (!rejects)
        return newt__fail_memory(p->e);
    status = compute(p, row, p->record.data, p->record.n, rejects);
    if (status == 1) {
        json_decref(rejects);
        return NEWT_OK;
    }
    row->rejects = rejects;
    if (status == NEWT_OK)
        status = newt__rejects_remove(&p->x->file, row->oid, p->e);
    if (status == NEWT_OK)
        status = newt__row_write(&p->x->file, row, p->e);
    if (status == NEWT_OK) {
        p->out->written += row->json_n > 0;
        p->out->removed += row->json_n == 0 && had;
        p->out->rejects += (int64_t)json_array_size(rejects);
    } else if (p->e->oid == row->oid) { /* see newt__row_write */
        status = refuse(p, row);
    }
    json_decref(rejects);
    return status;
}

/* Brings the row of an object up to date, whatever there is. */
static int
project_one(projecting *p, int64_t oid)
{
    sqlite3_stmt *s = newt__file_statement(&p->x->file, NEWT__Q_STALE, p->e);
    newt__row row = {.oid = oid};
    bool there = false, had = false, same = false;
    int code, status = NEWT_OK;

    if (!s)
        return p->e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const void *record = sqlite3_column_blob(s, 1);
        size_t n = (size_t)sqlite3_column_bytes(s, 1);

        there = sqlite3_column_type(s, 0) != SQLITE_NULL;
        had = sqlite3_column_type(s, 2) != SQLITE_NULL;
        row.serial = sqlite3_column_int64(s, 0);
        same = there == had && row.serial == sqlite3_column_int64(s, 2);
        p->record.n = 0;
        if ((!record && n > 0) || !newt__buffer_append(&p->record, record, n))
            status = newt__fail_memory(p->e);
    } else {
        status = newt__file_fail(&p->x->file, code, p->e);
    }
    sqlite3_reset(s);
    if (status != NEWT_OK || (same && !p->all) || (!there && !had))
        return status;
    if (there)
        return write_row(p, &row, had);
    p->out->removed++;
    status = newt__row_write(&p->x->file, &row, p->e);
    return status == NEWT_OK ? newt__rejects_remove(&p->x->file, oid, p->e) : status;
}

static void
projecting_free(projecting *p)
{
    newt__buffer_free(&p->record);
    newt__buffer_free(&p->json);
}

/* A check writes nothing: nobody waits for it, and it waits for nobody. */
static int
begin(projecting *p, newt__session *x, bool writes, newt_progress *out, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    *p = (projecting){.x = x, .e = e, .out = out};
    p->record.env = p->json.env = &newt__malloc_env;
    if (status != NEWT_OK)
        return status;
    return writes ? newt__file_lock(&x->file, e) : newt__file_do(&x->file, NEWT__Q_BEGIN, e);
}

static int
finish(projecting *p, int status)
{
    if (status == NEWT_OK)
        status = newt__file_do(&p->x->file, NEWT__Q_COMMIT, p->e);
    if (status != NEWT_OK)
        newt__file_roll_back(&p->x->file);
    projecting_free(p);
    return status;
}

/* ---- for those who follow ------------------------------------------------------------------- */

static int
drop_orphans(projecting *p, int64_t after, int64_t up_to)
{
    sqlite3_stmt *s = newt__file_statement(&p->x->file, NEWT__Q_ORPHANS, p->e);
    int status;

    if (!s)
        return p->e->status;
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, up_to);
    status = newt__file_run(&p->x->file, s, p->e);
    if (status == NEWT_OK)
        p->out->removed += sqlite3_changes(p->x->file.db);
    return status;
}

int
newt__sqlite_project(newt__session *x, const newt__part *part, newt_progress *out, newt_error *e)
{
    projecting p;
    int status = begin(&p, x, true, out, e);

    if (status != NEWT_OK)
        return status;
    status = newt__follower_stands(x, part->follower, &part->from, e);
    for (size_t i = 0; i < part->n && status == NEWT_OK; i++)
        status = project_one(&p, part->oids[i]);
    if (status == NEWT_OK && part->copy)
        status = drop_orphans(&p, part->after, part->up_to);
    return finish(&p, status);
}

/* The next objects that were refused. */
static int
list_refused(newt__session *x, int64_t after, int64_t at_most, newt__oids *out, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_REFUSED, e);

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, at_most);
    return newt__oids_list(out, &x->file, s, e);
}

/* early: by those who follow all the time, which has no purpose here. */
int
newt__sqlite_retry(newt__session *x, bool early, int64_t max_objects, newt_progress *out,
                   newt_error *e)
{
    newt__oids oids = {0};
    projecting p;
    int status;

    if (early)
        return NEWT_OK;
    status = begin(&p, x, true, out, e);
    if (status != NEWT_OK)
        return status;
    status = list_refused(x, x->retried, max_objects, &oids, e);
    for (size_t i = 0; i < oids.n && status == NEWT_OK; i++)
        status = project_one(&p, oids.oids[i]);
    status = finish(&p, status);
    if (status == NEWT_OK) {
        out->behind_us = oids.n == (size_t)max_objects;
        x->retried = out->behind_us ? oids.oids[oids.n - 1] : 0;
    }
    newt__oids_free(&oids);
    return status;
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static bool
is_wanted(const newt_sweep *s, const newt__row *row)
{
    for (size_t i = 0; s->classes && s->classes[i]; i++)
        if (strlen(s->classes[i]) == row->class_n &&
            memcmp(s->classes[i], row->class_name, row->class_n) == 0)
            return true;
    return !s->classes;
}

static int
is_refused(projecting *p, const newt__row *row, bool *out)
{
    sqlite3_stmt *s = newt__file_statement(&p->x->file, NEWT__Q_IS_REFUSED, p->e);
    int code;

    if (!s)
        return p->e->status;
    sqlite3_bind_int64(s, 1, row->oid);
    sqlite3_bind_int64(s, 2, row->serial);
    code = sqlite3_step(s);
    *out = code == SQLITE_ROW;
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? NEWT_OK
                                                     : newt__file_fail(&p->x->file, code, p->e);
}

static bool
same_bytes(sqlite3_stmt *s, int column, const void *bytes, size_t n)
{
    const void *theirs = sqlite3_column_blob(s, column);

    return (size_t)sqlite3_column_bytes(s, column) == n && (n == 0 || theirs) &&
           (n == 0 || memcmp(theirs, bytes, n) == 0);
}

/* Compares the row that is there with what it should be. */
static int
compare(projecting *p, const newt__row *row, newt__row_fault *fault)
{
    sqlite3_stmt *s = newt__file_statement(&p->x->file, NEWT__Q_ROW, p->e);
    bool refused = false;
    int code, status = NEWT_OK;

    *fault = NEWT__ROW_FINE;
    if (!s)
        return p->e->status;
    sqlite3_bind_int64(s, 1, row->oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        if (sqlite3_column_int64(s, 0) != row->serial)
            *fault = NEWT__ROW_STALE;
        else if (row->json_n == 0 || !same_bytes(s, 1, row->class_name, row->class_n) ||
                 !same_bytes(s, 2, row->json, row->json_n))
            *fault = NEWT__ROW_WRONG;
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&p->x->file, code, p->e);
    } else if (row->json_n > 0) {
        *fault = NEWT__ROW_MISSING;
    }
    sqlite3_reset(s);
    if (status == NEWT_OK && *fault == NEWT__ROW_MISSING)
        status = is_refused(p, row, &refused);
    if (refused)
        *fault = NEWT__ROW_REFUSED;
    return status;
}

static void
count(projecting *p, newt_sweep *s, int64_t oid, newt__row_fault fault, int *told)
{
    if (fault != NEWT__ROW_FINE)
        newt__row_fault_count(s, p->x->storage->options, oid, fault,
                              s->kind == NEWT_SWEEP_CHECK && ++*told <= NEWT__FAULTS_TOLD);
}

/* The objects of a window; *last: the last of them. */
static int
sweep_objects(projecting *p, newt_sweep *s, int64_t objects, newt__oids *faulty, int64_t *last,
              int *told)
{
    sqlite3_stmt *q = newt__file_statement(&p->x->file, NEWT__Q_OBJECTS, p->e);
    int code = SQLITE_ROW, status = NEWT_OK;
    int64_t n = 0;

    if (!q)
        return p->e->status;
    sqlite3_bind_int64(q, 1, s->after);
    sqlite3_bind_int64(q, 2, objects);
    while (status == NEWT_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        newt__row row = {.oid = sqlite3_column_int64(q, 0), .serial = sqlite3_column_int64(q, 1)};
        const void *record = sqlite3_column_blob(q, 2);
        newt__row_fault fault = NEWT__ROW_FINE;

        n++;
        *last = row.oid;
        status = compute(p, &row, record, (size_t)sqlite3_column_bytes(q, 2), NULL);
        if (status == NEWT_OK && is_wanted(s, &row)) {
            status = compare(p, &row, &fault);
            count(p, s, row.oid, fault, told);
        }
        if (status == 1)
            status = NEWT_OK;
        if (status == NEWT_OK && fault != NEWT__ROW_FINE && !newt__oids_add(faulty, row.oid))
            status = newt__fail_memory(p->e);
    }
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&p->x->file, code, p->e);
    sqlite3_reset(q);
    s->looked += n;
    if (n < objects)
        *last = INT64_MAX;
    return status;
}

/* Rows of the window that have no object. */
static int
sweep_extra(projecting *p, newt_sweep *s, int64_t up_to, newt__oids *faulty, int *told)
{
    sqlite3_stmt *q = newt__file_statement(&p->x->file, NEWT__Q_EXTRA, p->e);
    int code = SQLITE_ROW, status = NEWT_OK;

    if (!q)
        return p->e->status;
    sqlite3_bind_int64(q, 1, s->after);
    sqlite3_bind_int64(q, 2, up_to);
    while (status == NEWT_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t oid = sqlite3_column_int64(q, 0);

        count(p, s, oid, NEWT__ROW_EXTRA, told);
        if (!newt__oids_add(faulty, oid))
            status = newt__fail_memory(p->e);
    }
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&p->x->file, code, p->e);
    sqlite3_reset(q);
    return status;
}

/* All at once when it is a reprojection, so that readers see the old rows or the new ones. */
int
newt__sqlite_sweep(newt__session *x, newt_sweep *s, newt_error *e)
{
    bool writes = s->kind == NEWT_SWEEP_REPROJECT;
    int64_t objects = writes ? INT64_MAX : s->objects ? s->objects : OBJECTS, last = s->after;
    newt_progress out = {0};
    newt__oids faulty = {0};
    projecting p;
    int told = 0, status = begin(&p, x, writes, &out, e);

    if (status != NEWT_OK)
        return status;
    p.all = true;
    status = sweep_objects(&p, s, objects, &faulty, &last, &told);
    if (status == NEWT_OK)
        status = sweep_extra(&p, s, last, &faulty, &told);
    for (size_t i = 0; writes && i < faulty.n && status == NEWT_OK; i++)
        status = project_one(&p, faulty.oids[i]);
    status = finish(&p, status);
    if (status == NEWT_OK) {
        s->after = last;
        s->over = last == INT64_MAX;
        s->written += out.written + out.removed;
        s->refused += out.refused;
    }
    newt__oids_free(&faulty);
    return status;
}
