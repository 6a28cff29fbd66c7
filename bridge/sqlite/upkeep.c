/*
 * upkeep.c - retention, and what those who watch a store want to know
 */
#include "session.h"

enum {
    MOST_COUNTED = 1000000 /* transactions that a follower has not seen; also in newtdb.h */
};

/* ---- retention ---------------------------------------------------------------------------- */

/* Transactions before *tid may go. */
static int
find_limit(newt__session *x, int64_t *tid, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_PRUNE_LIMIT, e);
    int code, status = NEWT_OK;

    *tid = 0;
    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, newt__time());
    code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *tid = sqlite3_column_int64(s, 0);
    else if (code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    return status;
}

static int
delete_oldest(newt__session *x, newt__sql which, int64_t before, int64_t at_most, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, which, e);

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, before);
    sqlite3_bind_int64(s, 2, at_most);
    return newt__file_run(&x->file, s, e);
}

int
newt__prune_within(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e)
{
    int64_t before;
    int status = find_limit(x, &before, e);

    if (status == NEWT_OK)
        status = delete_oldest(x, NEWT__Q_PRUNE_OBJECTS, before, at_most, e);
    if (status == NEWT_OK)
        status = delete_oldest(x, NEWT__Q_PRUNE, before, at_most, e);
    *pruned = status == NEWT_OK ? sqlite3_changes(x->file.db) : 0;
    return status;
}

int
newt__sqlite_prune(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    *pruned = 0;
    if (status == NEWT_OK)
        status = newt__file_lock(&x->file, e);
    if (status != NEWT_OK)
        return status;
    status = newt__prune_within(x, at_most, pruned, e);
    if (status == NEWT_OK)
        status = newt__file_do(&x->file, NEWT__Q_COMMIT, e);
    if (status != NEWT_OK) {
        *pruned = 0;
        newt__file_roll_back(&x->file);
    }
    return status;
}

/* ---- watching ----------------------------------------------------------------------------- */

/* Rows of the projection are part of each commit: nobody follows to write them. */
int
newt__sqlite_projected(newt__session *x, int64_t *tid, bool *any, newt_error *e)
{
    (void)x;
    (void)e;
    *tid = 0;
    *any = false;
    return NEWT_OK;
}

int
newt__sqlite_health(newt__session *x, const char *follower, newt_health *out, newt_error *e)
{
    int code, status = newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_HEALTH, e) : NULL;

    if (!s)
        return e->status;
    newt__bind_text(s, 1, follower);
    sqlite3_bind_int64(s, 2, MOST_COUNTED);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        out->newest_tid = sqlite3_column_int64(s, 0);
        out->oldest_tid = sqlite3_column_int64(s, 1);
        out->transactions = sqlite3_column_int64(s, 2);
        out->position = sqlite3_column_int64(s, 3);
        out->waiting = out->position ? sqlite3_column_int64(s, 4) : 0;
        if (sqlite3_column_type(s, 5) != SQLITE_NULL)
            out->behind_us = newt__age(sqlite3_column_int64(s, 5));
        out->rejects = sqlite3_column_int64(s, 6);
        out->copying = sqlite3_column_type(s, 7) != SQLITE_NULL;
        out->copied = sqlite3_column_int64(s, 7);
    } else {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}
