/*
 * import.c - takes over objects and transactions of another store, with their numbers
 */
#include "session.h"

#include <string.h>

static int
put_objects(newt__session *x, const newt__import *what, newt_error *e)
{
    int status = NEWT_OK;

    for (size_t i = 0; i < what->n_objects && status == NEWT_OK; i++) {
        sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_IMPORT, e);
        int code;

        if (!s)
            return e->status;
        sqlite3_bind_int64(s, 1, what->objects[i].oid);
        sqlite3_bind_int64(s, 2, what->objects[i].serial);
        code = sqlite3_bind_blob64(s, 3, what->objects[i].record, what->objects[i].n,
                                   SQLITE_STATIC);
        status = code == SQLITE_OK ? newt__file_run(&x->file, s, e)
                                   : newt__file_fail(&x->file, code, e);
    }
    return status;
}

/* With its row, and what that could not show. */
static int
drop_object(newt__session *x, int64_t oid, newt_error *e)
{
    newt__row none = {.oid = oid};
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_IMPORT_REMOVED, e);
    int status;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, oid);
    status = newt__file_run(&x->file, s, e);
    if (status == NEWT_OK)
        status = newt__row_write(&x->file, &none, e);
    return status == NEWT_OK ? newt__rejects_remove(&x->file, oid, e) : status;
}

/* Objects between two oids, in order. */
static int
list_between(newt__session *x, int64_t after, int64_t up_to, newt__oids *out, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_BETWEEN, e);

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, up_to);
    return newt__oids_list(out, &x->file, s, e);
}

/* Those that are here and not among what was handed over, which is in order. */
static int
drop_others(newt__session *x, const newt__import *what, newt_error *e)
{
    newt__oids here = {0};
    int status = list_between(x, what->after, what->up_to, &here, e);
    size_t at = 0;

    for (size_t i = 0; i < here.n && status == NEWT_OK; i++) {
        while (at < what->n_objects && what->objects[at].oid < here.oids[i])
            at++;
        if (at == what->n_objects || what->objects[at].oid != here.oids[i])
            status = drop_object(x, here.oids[i], e);
    }
    newt__oids_free(&here);
    return status;
}

static int
record(newt__session *x, newt__log *log, const newt__transaction *t, newt_error *e)
{
    const char *name = t->removed_classes;
    int status = NEWT_OK;

    newt__log_begin(log, &x->file, t->at.serial);
    for (size_t i = 0; i < t->n_written && status == NEWT_OK; i++)
        status = newt__log_add(log, t->written[i], false, NULL, 0, e);
    for (size_t i = 0; i < t->n_removed && status == NEWT_OK; i++) {
        size_t n = name ? strlen(name) : 0;

        status = newt__log_add(log, t->removed[i], true, name, n, e);
        name = name ? name + n + 1 : NULL;
    }
    return status == NEWT_OK ? newt__log_end(log, t, e) : status;
}

static int
take_over(newt__session *x, const newt__import *what, newt_error *e)
{
    newt__log log = {0};
    int status = put_objects(x, what, e);

    if (status == NEWT_OK && what->copy)
        status = drop_others(x, what, e);
    for (size_t i = 0; i < what->n_removed && status == NEWT_OK; i++)
        status = drop_object(x, what->removed[i], e);
    if (status == NEWT_OK && what->first)
        status = newt__file_do(&x->file, NEWT__Q_IMPORT_FIRST_PARTS, e);
    if (status == NEWT_OK && what->first)
        status = newt__file_do(&x->file, NEWT__Q_IMPORT_FIRST, e);
    for (size_t i = 0; i < what->n_transactions && status == NEWT_OK; i++)
        status = record(x, &log, &what->transactions[i], e);
    newt__log_free(&log);
    return status == NEWT_OK ? newt__file_do(&x->file, NEWT__Q_IMPORT_NUMBERS, e) : status;
}

int
newt__sqlite_import(newt__session *x, const newt__import *what, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    if (status == NEWT_OK)
        status = newt__file_lock(&x->file, e);
    if (status != NEWT_OK)
        return status;
    status = take_over(x, what, e);
    if (status == NEWT_OK)
        status = newt__file_do(&x->file, NEWT__Q_COMMIT, e);
    if (status != NEWT_OK)
        newt__file_roll_back(&x->file);
    newt__numbers_forget(x->storage); /* they may be in use now */
    return status;
}
