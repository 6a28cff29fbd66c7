/*
 * follow.c - those who follow: where they stand, who may, and what they write with their position
 *
 * Positions are moved by compare-and-set, whoever has claimed the name.
 */
#include "session.h"

#include <string.h>

/* ---- claims ------------------------------------------------------------------------------- */

int
newt__sqlite_claim(newt__session *x, const char *name, bool *mine, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    *mine = true;
    return status == NEWT_OK && !x->file.read_only ? newt__claim(x, name, mine, e) : status;
}

void
newt__sqlite_release(newt__session *x, const char *name)
{
    newt__claim_end(x, name);
}

/* ---- where they stand --------------------------------------------------------------------- */

int
newt__sqlite_follower(newt__session *x, const char *name, const char *kind, newt__standing *out,
                      bool *found, newt_error *e)
{
    int code, status = newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_FOLLOWER, e)
                                        : NULL;
    const char *theirs;

    *found = false;
    if (!s)
        return e->status;
    newt__bind_text(s, 1, name);
    code = sqlite3_step(s);
    *found = code == SQLITE_ROW;
    if (*found) {
        *out = (newt__standing){.at = {sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)},
                                .copied = sqlite3_column_int64(s, 2)};
        theirs = (const char *)sqlite3_column_text(s, 3);
        if (kind && theirs && strcmp(theirs, kind) != 0)
            status = newt__fail_kind(e, name, theirs, kind);
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}

static int
begin_writing(newt__session *x, newt_error *e)
{
    int status = x->writing ? NEWT_OK : newt__file_lock(&x->file, e);

    x->writing |= status == NEWT_OK;
    return status;
}

/* The end of what begin_writing has begun. */
static int
finish(newt__session *x, int status, newt_error *e)
{
    if (status == NEWT_OK)
        status = newt__file_do(&x->file, NEWT__Q_COMMIT, e);
    if (status != NEWT_OK)
        newt__file_roll_back(&x->file);
    x->writing = false;
    return status;
}

static int
move_it(newt__session *x, const char *name, const char *kind, const newt__standing *from,
        const newt__standing *to, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file,
                                           from ? NEWT__Q_FOLLOW_MOVE : NEWT__Q_FOLLOW_NEW, e);
    int status;

    if (!s)
        return e->status;
    newt__bind_text(s, 1, name);
    sqlite3_bind_int64(s, 2, to->at.tid);
    sqlite3_bind_int64(s, 3, to->at.serial);
    sqlite3_bind_int64(s, 4, to->copied);
    newt__bind_text(s, 5, kind);
    sqlite3_bind_int64(s, 6, newt__time());
    if (from) {
        sqlite3_bind_int64(s, 7, from->at.tid);
        sqlite3_bind_int64(s, 8, from->copied);
    }
    status = newt__file_run(&x->file, s, e);
    if (status == NEWT_OK && sqlite3_changes(x->file.db) != 1)
        status = newt__fail_follower(e, name);
    return status;
}

int
newt__sqlite_move(newt__session *x, const char *name, const char *kind, const newt__standing *from,
                  const newt__standing *to, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    if (status == NEWT_OK)
        status = begin_writing(x, e);
    if (status != NEWT_OK)
        return status;
    return finish(x, move_it(x, name, kind, from, to, e), e);
}

int
newt__sqlite_forget(newt__session *x, const char *name, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_FOLLOW_FORGET, e)
                                        : NULL;

    if (!s)
        return e->status;
    newt__bind_text(s, 1, name);
    return newt__file_run(&x->file, s, e);
}

/* ---- statements of the program's -------------------------------------------------------- */

/* It is at this position, and stays: nobody else can write until this transaction ends. */
int
newt__follower_stands(newt__session *x, const char *name, const newt__standing *from, newt_error *e)
{
    newt__standing at;
    bool found;
    int status = newt__sqlite_follower(x, name, NULL, &at, &found, e);

    if (status == NEWT_OK && (!found || at.at.tid != from->at.tid || at.copied != from->copied))
        status = newt__fail_follower(e, name);
    return status;
}

static int
run(newt__session *x, const char *sql, int n, const char *const *params, newt_error *e)
{
    sqlite3_stmt *s;
    int code, status = newt__program_prepare(x, sql, n, params, NEWT__WRITES, &s, e);

    if (status != NEWT_OK)
        return status;
    do
        code = sqlite3_step(s);
    while (code == SQLITE_ROW);
    if (code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    newt__program_done(x, s);
    return status;
}

int
newt__sqlite_execute(newt__session *x, const char *name, const newt__standing *from,
                     const char *sql, int n, const char *const *params, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);
    bool begun = x->writing;

    if (status == NEWT_OK)
        status = begin_writing(x, e);
    if (status != NEWT_OK)
        return status;
    if (!begun)
        status = newt__follower_stands(x, name, from, e);
    if (status == NEWT_OK)
        status = run(x, sql, n, params, e);
    if (status != NEWT_OK)
        newt__sqlite_undo(x);
    return status;
}

void
newt__sqlite_undo(newt__session *x)
{
    if (!x->writing)
        return;
    x->writing = false;
    newt__file_roll_back(&x->file);
}
