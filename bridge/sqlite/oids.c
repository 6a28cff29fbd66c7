/*
 * oids.c - lists of oids: in a column, as JSON, or a row each
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static int
fail_list(const newt__file *f, sqlite3_stmt *s, int column, newt_error *e)
{
    newt__file_fail_damaged(f, e);
    newt__fail_detail(e, "\"%s\" of a transaction is not a list of oids.",
                      sqlite3_column_name(s, column));
    return NEWT_ESTORE;
}

int
newt__oids_take(newt__oids *list, const newt__file *f, sqlite3_stmt *s, int column, newt_error *e)
{
    const char *json = (const char *)sqlite3_column_text(s, column);
    char *end;

    if (!json)
        return sqlite3_column_type(s, column) == SQLITE_NULL ? NEWT_OK : newt__fail_memory(e);
    if (strcmp(json, "[]") == 0)
        return NEWT_OK;
    if (*json != '[')
        return fail_list(f, s, column, e);
    do {
        int64_t oid = strtoll(++json, &end, 10);

        if (end == json || oid < 1)
            return fail_list(f, s, column, e);
        if (!newt__oids_add(list, oid))
            return newt__fail_memory(e);
        json = end;
    } while (*json == ',');
    return strcmp(json, "]") == 0 ? NEWT_OK : fail_list(f, s, column, e);
}

int
newt__oids_list(newt__oids *list, newt__file *f, sqlite3_stmt *s, newt_error *e)
{
    int code = SQLITE_ROW, status = NEWT_OK;

    while (status == NEWT_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
        if (!newt__oids_add(list, sqlite3_column_int64(s, 0)))
            status = newt__fail_memory(e);
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(f, code, e);
    sqlite3_reset(s);
    return status;
}
