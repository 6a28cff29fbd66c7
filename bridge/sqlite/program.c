/*
 * program.c - statements of the program's: compiled, judged, bound
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static int
fail(newt_error *e, const char *sqlstate, const char *message, const char *hint)
{
    newt__fail(e, NEWT_ESQL, 0, "%s", message);
    memcpy(e->sqlstate, sqlstate, sizeof e->sqlstate);
    if (hint)
        newt__fail_hint(e, "%s", hint);
    return NEWT_ESQL;
}

/* What follows the first statement must be white space and comments. */
static int
check_rest(newt__session *x, const char *rest, newt_error *e)
{
    sqlite3_stmt *another = NULL;
    int code = SQLITE_OK;

    while (*rest && !another && code == SQLITE_OK)
        code = sqlite3_prepare_v2(x->file.db, rest, -1, &another, &rest);
    sqlite3_finalize(another);
    if ((code & 0xff) == SQLITE_NOMEM)
        return newt__fail_memory(e);
    if (!another && code == SQLITE_OK)
        return NEWT_OK;
    return fail(e, "42601", "there is more than one statement", "Each call takes one.");
}

/* $1 and ?1 are the first parameter; a ? is the next. */
static int
bind_all(newt__session *x, sqlite3_stmt *s, int n, const char *const *params, newt_error *e)
{
    for (int i = 1; i <= sqlite3_bind_parameter_count(s); i++) {
        const char *name = sqlite3_bind_parameter_name(s, i);
        char *end = NULL;
        long number = name ? strtol(name + 1, &end, 10) : i;
        int code;

        if (number < 1 || number > n || (end && *end)) {
            newt__fail(e, NEWT_ESQL, 0, "there is no parameter %s: %d were given",
                       name ? name : "?", n);
            memcpy(e->sqlstate, "42P02", sizeof e->sqlstate);
            newt__fail_hint(e, "Parameters are $1, $2, ...");
            return NEWT_ESQL;
        }
        code = params[number - 1] ? sqlite3_bind_text(s, i, params[number - 1], -1, SQLITE_STATIC)
                                  : sqlite3_bind_null(s, i);
        if (code != SQLITE_OK)
            return newt__file_fail(&x->file, code, e);
    }
    return NEWT_OK;
}

static int
prepare(newt__session *x, const char *sql, int n, const char *const *params, newt__judging as,
        sqlite3_stmt **out, newt_error *e)
{
    const char *rest;
    int code = sqlite3_prepare_v2(x->file.db, sql, -1, out, &rest), status;

    if (code == SQLITE_AUTH)
        return fail(e, "42501", "the statement may not do this",
                    as != NEWT__READS
                        ? "The library begins and ends transactions; tables of the store, "
                          "files and most settings are left alone."
                        : "A query only reads. Objects are changed through the library; "
                          "newt_feed_exec() changes tables of the program's.");
    if (code != SQLITE_OK)
        return newt__file_fail(&x->file, code, e);
    if (!*out)
        return fail(e, "42601", "there is no statement", NULL);
    status = check_rest(x, rest, e);
    if (status == NEWT_OK && as == NEWT__READS && !sqlite3_stmt_readonly(*out))
        return fail(e, "25006", "a query cannot change anything",
                    "Objects are changed through the library; newt_feed_exec() changes tables of "
                    "the program's.");
    return status == NEWT_OK ? bind_all(x, *out, n, params, e) : status;
}

int
newt__program_prepare(newt__session *x, const char *sql, int n, const char *const *params,
                      newt__judging as, sqlite3_stmt **out, newt_error *e)
{
    int status;

    *out = NULL;
    x->file.judging = as;
    status = prepare(x, sql, n, params, as, out, e);
    if (status != NEWT_OK) {
        newt__program_done(x, *out);
        *out = NULL;
    }
    return status;
}

void
newt__program_done(newt__session *x, sqlite3_stmt *s)
{
    sqlite3_finalize(s);
    x->file.judging = NEWT__OURS;
}
