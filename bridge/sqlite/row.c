/*
 * row.c - an object's row of the projection, and what of the object that cannot show
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* "UNIQUE constraint failed: index 'name'", or the columns. */
static void
take_constraint(newt_error *e)
{
    const char *at = strstr(newt_error_message(e), "failed: ");
    size_t n;

    if (!at)
        return;
    at += strlen("failed: ");
    if (strncmp(at, "index '", 7) == 0)
        at += 7;
    n = strlen(at);
    if (n > 0 && at[n - 1] == '\'')
        n--;
    free(e->constraint);
    e->constraint = strndup(at, n);
}

/* Names the object whose row was refused. */
static int
fail_row(const newt__row *r, newt_error *e)
{
    newt_error named = {0};
    int n = (int)r->class_n;

    take_constraint(e);
    newt__fail(&named, e->status, r->oid, "%.*s %lld: %s", n ? n : 6, n ? r->class_name : "object",
               (long long)r->oid, newt_error_message(e));
    memcpy(named.sqlstate, e->sqlstate, sizeof named.sqlstate);
    if (n)
        newt__fail_class(&named, r->class_name, r->class_n);
    named.constraint = e->constraint;
    e->constraint = NULL;
    newt__error_move(e, &named);
    return e->status;
}

static int
write_rejects(newt__file *f, const newt__row *r, newt_error *e)
{
    int status = NEWT_OK;
    json_t *reject;
    size_t i;

    json_array_foreach(r->rejects, i, reject)
    {
        char *path = json_dumps(json_object_get(reject, "path"), JSON_COMPACT);

        if (status == NEWT_OK)
            status = path ? newt__reject_write(f, r, (int64_t)i + 1, path,
                                               json_string_value(json_object_get(reject, "reason")),
                                               NULL, e)
                          : newt__fail_memory(e);
        free(path);
    }
    return status;
}

int
newt__row_write(newt__file *f, const newt__row *r, newt_error *e)
{
    bool there = r->json_n > 0;
    sqlite3_stmt *s = newt__file_statement(f, there ? NEWT__Q_PROJECT : NEWT__Q_UNPROJECT, e);
    int code = SQLITE_OK, status;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, r->oid);
    if (there) {
        code = sqlite3_bind_text64(s, 2, r->class_name, r->class_n, SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_int64(s, 3, r->serial);
    }
    if (there && code == SQLITE_OK)
        code = sqlite3_bind_text64(s, 4, r->json, r->json_n, SQLITE_STATIC, SQLITE_UTF8);
    if (code != SQLITE_OK)
        return newt__file_fail(f, code, e);
    status = newt__file_run(f, s, e);
    /* of a constraint, or of a function in an index or a trigger */
    if (status != NEWT_OK && (!*e->sqlstate || strncmp(e->sqlstate, "23", 2) == 0))
        return fail_row(r, e);
    if (status == NEWT_OK && json_array_size(r->rejects) > 0)
        status = write_rejects(f, r, e);
    return status;
}

int
newt__rejects_found(newt__file *f, bool *out, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(f, NEWT__Q_ANY_REJECT, e);
    int code;

    if (!s)
        return e->status;
    code = sqlite3_step(s);
    *out = code == SQLITE_ROW;
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? NEWT_OK : newt__file_fail(f, code, e);
}

int
newt__rejects_remove(newt__file *f, int64_t oid, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(f, NEWT__Q_UNREJECT, e);

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, oid);
    return newt__file_run(f, s, e);
}

int
newt__reject_write(newt__file *f, const newt__row *r, int64_t n, const char *path,
                   const char *reason, const newt_error *why, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(f, NEWT__Q_REJECT, e);

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, r->oid);
    sqlite3_bind_int64(s, 2, r->serial);
    sqlite3_bind_int64(s, 3, n);
    newt__bind_text(s, 4, path);
    newt__bind_text(s, 5, reason);
    newt__bind_text(s, 6, why ? why->sqlstate : NULL);
    newt__bind_text(s, 7, why ? why->constraint : NULL);
    return newt__file_run(f, s, e);
}
