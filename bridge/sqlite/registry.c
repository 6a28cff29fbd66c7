/*
 * registry.c - the classes that programs have registered in a store, as rows
 */
#include "session.h"

#include <string.h>

static bool
same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is there may be damaged, as anything in a file. */
static int
check_json(const newt__session *x, const char *text, const newt__registered *k, newt_error *e)
{
    newt__code code = newt__json_check(text);

    if (code == NEWT__OK)
        return NEWT_OK;
    if (code == NEWT__NOMEM)
        return newt__fail_memory(e);
    newt__file_fail_damaged(&x->file, e);
    newt__fail_detail(e, "What is registered of class \"%s\" version %d is not JSON.", k->name,
                      (int)k->version);
    return NEWT_ESTORE;
}

/* Hands over place i if it is there otherwise. */
static int
look_up(newt__session *x, const newt__registered *list, size_t i, newt__take_class *take, void *arg,
        newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_CLASS, e);
    int code, status = NEWT_OK;

    if (!s)
        return e->status;
    newt__bind_text(s, 1, list[i].name);
    sqlite3_bind_int64(s, 2, list[i].version);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        newt__registered theirs = {.version = list[i].version,
                                   .fields = (const char *)sqlite3_column_text(s, 0),
                                   .projection = (const char *)sqlite3_column_text(s, 1)};

        if (!theirs.fields)
            status = newt__fail_memory(e);
        else if (strcmp(theirs.fields, list[i].fields) == 0)
            theirs.fields = NULL;
        else
            status = check_json(x, theirs.fields, &list[i], e);
        if (status == NEWT_OK &&
            (theirs.fields || !same_text(theirs.projection, list[i].projection)))
            status = take(arg, i, &theirs);
    } else if (code == SQLITE_DONE) {
        status = take(arg, i, NULL);
    } else {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}

int
newt__sqlite_classes(newt__session *x, const newt__registered *list, size_t n,
                     newt__take_class *take, void *arg, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    for (size_t i = 0; i < n && status == NEWT_OK; i++)
        status = look_up(x, list, i, take, arg, e);
    return status;
}

static int
add(newt__session *x, const newt__registered *k, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_REGISTER, e);

    if (!s)
        return e->status;
    newt__bind_text(s, 1, k->name);
    sqlite3_bind_int64(s, 2, k->version);
    newt__bind_text(s, 3, k->fields);
    newt__bind_text(s, 4, k->projection);
    return newt__file_run(&x->file, s, e);
}

int
newt__sqlite_register(newt__session *x, const newt__registered *list, size_t n,
                      newt__take_class *take, void *arg, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    if (status == NEWT_OK)
        status = newt__file_lock(&x->file, e);
    if (status != NEWT_OK)
        return status;
    for (size_t i = 0; i < n && status == NEWT_OK; i++)
        status = add(x, &list[i], e);
    if (status == NEWT_OK)
        status = newt__file_do(&x->file, NEWT__Q_COMMIT, e);
    if (status != NEWT_OK) {
        newt__file_roll_back(&x->file);
        return status;
    }
    return newt__sqlite_classes(x, list, n, take, arg, e);
}

int
newt__sqlite_registered(newt__session *x, newt__take_registered *take, void *arg, newt_error *e)
{
    int code = SQLITE_ROW, status = newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_REGISTERED, e)
                                        : NULL;

    if (!s)
        return e->status;
    while (status == NEWT_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        newt__registered k = {.name = (const char *)sqlite3_column_text(s, 0),
                              .version = sqlite3_column_int(s, 1),
                              .fields = (const char *)sqlite3_column_text(s, 2),
                              .projection = (const char *)sqlite3_column_text(s, 3)};

        status = k.name && k.fields ? take(arg, &k) : newt__fail_memory(e);
    }
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    return status;
}
