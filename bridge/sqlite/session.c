/*
 * session.c - sessions with a store in SQLite: snapshots, loads, oids
 *
 * A session is a connection of its own, and a snapshot is a transaction that reads. In WAL mode
 * that waits for nobody, and nobody for it; but what it can see stays in the -wal file.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    OIDS = 1024, /* that a newt_db takes at once */
    CLOSE = 3,   /* oids no farther apart are close */
    RUN = 4      /* from this many close ones on, they are read together */
};

/* ---- sessions ----------------------------------------------------------------------------- */

newt__session *
newt__sqlite_connect(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *x = calloc(1, sizeof *x);

    (void)stats; /* there is no server to wait for */
    if (!x)
        return NULL;
    x->storage = s;
    x->opened = opened;
    x->opened_arg = arg;
    x->wal = -1;
    return x;
}

void
newt__sqlite_abandon(newt__session *x)
{
    newt__claims_end(x, false);
    newt__file_abandon(&x->file);
    x->within = x->wanted = x->reading = x->writing = false;
}

static void
close_file(newt__session *x)
{
    newt__claims_end(x, true);
    newt__file_close(&x->file);
    x->reading = x->writing = false;
}

void
newt__sqlite_tell(newt__session *x, newt__opened *opened, void *arg)
{
    x->opened = opened;
    x->opened_arg = arg;
}

void
newt__sqlite_disconnect(newt__session *x)
{
    if (!newt__process_is(x->storage->process))
        newt__sqlite_abandon(x);
    close_file(x);
    newt__oids_free(&x->others);
    free(x);
}

static void
forget_numbers(newt__storage *s)
{
    newt__file_close(&s->numbers);
    s->next_oid = s->end_oid = 0;
}

void
newt__numbers_forget(newt__storage *s)
{
    pthread_mutex_lock(&s->lock);
    forget_numbers(s);
    pthread_mutex_unlock(&s->lock);
}

/* A store that was put in the place of this one, from a copy perhaps, is another one. */
int
newt__sqlite_ready(newt__session *x, int64_t idle_us, newt_error *e)
{
    const newt__changes changes = {.all = true};
    int status;

    (void)idle_us;
    if (x->file.db && !x->writing && newt__file_replaced(&x->file)) {
        close_file(x);
        newt__numbers_forget(x->storage);
        status = x->opened(x->opened_arg, &changes);
        if (status != NEWT_OK)
            return status;
    }
    return x->file.db ? NEWT_OK : newt__file_open(&x->file, &x->storage->where, e);
}

bool
newt__sqlite_alive(const newt__session *x)
{
    return x->file.db && !x->file.gone;
}

/* ---- snapshots ---------------------------------------------------------------------------- */

/* A cache was confirmed a moment ago; where there is none, it may have been long ago that the file
 * was opened. */
void
newt__sqlite_begin(newt__session *x, newt__position position)
{
    if (position.tid == 0 && x->file.db && newt__file_replaced(&x->file))
        close_file(x);
    x->position = position;
    x->within = x->wanted = true;
}

void
newt__snapshot_close(newt__session *x)
{
    x->wanted = false;
    if (!x->reading)
        return;
    x->reading = false;
    newt__file_roll_back(&x->file);
}

void
newt__sqlite_end(newt__session *x)
{
    newt__snapshot_close(x);
    x->within = false;
}

int
newt__newest_find(newt__session *x, newt__position *out, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_NEWEST, e);
    int code, status = NEWT_OK;

    *out = (newt__position){0};
    if (!s)
        return e->status;
    code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *out = (newt__position){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    else if (code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    return status;
}

/* What was written and removed, as columns from this one on. */
static int
take_lists(newt__session *x, sqlite3_stmt *s, int column, newt_error *e)
{
    int status = newt__oids_take(&x->others, &x->file, s, column, e);

    return status == NEWT_OK ? newt__oids_take(&x->others, &x->file, s, column + 1, e) : status;
}

/* Objects of a large transaction. */
static int
list_parts(newt__session *x, int64_t serial, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_PARTS, e);
    int code, status = NEWT_OK;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, serial);
    while (status == NEWT_OK && x->others.n <= NEWT__MOST_CHANGES &&
           (code = sqlite3_step(s)) != SQLITE_DONE) {
        status = code == SQLITE_ROW ? take_lists(x, s, 0, e) : newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}

/* The first row is that of the position, or the position is not there. */
int
newt__changes_list(newt__session *x, newt__position after, newt__changes *out, newt_error *e)
{
    sqlite3_stmt *s;
    int code = SQLITE_ROW, status = NEWT_OK;

    *out = (newt__changes){.all = true};
    x->others.n = 0;
    s = after.tid ? newt__file_statement(&x->file, NEWT__Q_SINCE, e) : NULL;
    if (s) {
        sqlite3_bind_int64(s, 1, after.tid);
        code = sqlite3_step(s);
        if (code == SQLITE_ROW)
            out->all = sqlite3_column_int64(s, 0) != after.tid ||
                       sqlite3_column_int64(s, 1) != after.serial;
        out->to = after;
    } else if (after.tid) {
        return e->status;
    }
    while (!out->all && status == NEWT_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        out->to = (newt__position){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
        status = sqlite3_column_type(s, 2) == SQLITE_NULL ? list_parts(x, out->to.serial, e)
                                                          : take_lists(x, s, 2, e);
        out->all = x->others.n > NEWT__MOST_CHANGES;
    }
    if (status == NEWT_OK && code != SQLITE_ROW && code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    if (status == NEWT_OK && out->all)
        status = newt__newest_find(x, &out->to, e);
    out->oids = x->others.oids;
    out->n = out->all ? 0 : x->others.n;
    return status;
}

int
newt__snapshot_open(newt__session *x, newt_error *e)
{
    newt__changes changes;
    int status;

    if (!x->wanted && x->reading)
        return NEWT_OK;
    if (!x->file.db && (status = newt__sqlite_ready(x, 0, e)) != NEWT_OK)
        return status;
    if (x->wanted && newt__file_replaced(&x->file))
        return newt__file_fail_replaced(&x->file, e);
    status = newt__file_do(&x->file, NEWT__Q_BEGIN, e);
    if (status != NEWT_OK)
        return status;
    x->reading = true;
    if (!x->wanted) /* between a clash and the end */
        return NEWT_OK;
    status = newt__changes_list(x, x->position, &changes, e);
    if (status != NEWT_OK) {
        newt__snapshot_close(x);
        x->wanted = true;
        return status;
    }
    x->wanted = false;
    return x->opened(x->opened_arg, &changes);
}

/* ---- loads -------------------------------------------------------------------------------- */

static int
load_one(newt__session *x, int64_t oid, newt__take_record *take, void *arg, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_LOAD, e);
    int code, status = NEWT_OK;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        newt__found found = {.oid = oid,
                             .serial = sqlite3_column_int64(s, 0),
                             .record = sqlite3_column_blob(s, 1),
                             .n = (size_t)sqlite3_column_bytes(s, 1)};

        status = found.record || found.n == 0 ? take(arg, &found) : newt__fail_memory(e);
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}

/* Objects whose oids are close to each other, in order: those that lie between are passed over. */
static int
load_run(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
         newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_LOAD_RUN, e);
    int code = SQLITE_ROW, status = NEWT_OK;
    size_t i = 0;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, oids[0]);
    sqlite3_bind_int64(s, 2, oids[n - 1]);
    while (status == NEWT_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        newt__found found = {.oid = sqlite3_column_int64(s, 0)};

        while (oids[i] < found.oid)
            i++;
        if (oids[i] != found.oid)
            continue;
        found.serial = sqlite3_column_int64(s, 1);
        found.record = sqlite3_column_blob(s, 2);
        found.n = (size_t)sqlite3_column_bytes(s, 2);
        status = found.record || found.n == 0 ? take(arg, &found) : newt__fail_memory(e);
    }
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    return status;
}

/* In their order. To step to the next row is a third of the work of finding one. */
static int
load_sorted(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
            newt_error *e)
{
    int status = NEWT_OK;

    for (size_t i = 0, end; i < n && status == NEWT_OK; i = end) {
        end = i + 1;
        while (end < n && oids[end] - oids[end - 1] <= CLOSE)
            end++;
        if (end - i >= RUN) {
            status = load_run(x, oids + i, end - i, take, arg, e);
            continue;
        }
        for (; i < end && status == NEWT_OK; i++)
            status = load_one(x, oids[i], take, arg, e);
    }
    return status;
}

static bool
are_sorted(const int64_t *oids, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (oids[i] < oids[i - 1])
            return false;
    return true;
}

/* Outside of a transaction nothing keeps the snapshot open. */
int
newt__sqlite_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take,
                  void *arg, newt_error *e)
{
    int status = newt__snapshot_open(x, e);
    int64_t *sorted = NULL;

    if (status == NEWT_OK && !are_sorted(oids, n)) {
        sorted = malloc(n * sizeof *sorted);
        if (sorted) {
            memcpy(sorted, oids, n * sizeof *sorted);
            qsort(sorted, n, sizeof *sorted, newt__by_oid);
        } else {
            status = newt__fail_memory(e);
        }
    }
    if (status == NEWT_OK)
        status = load_sorted(x, sorted ? sorted : oids, n, take, arg, e);
    free(sorted);
    if (!x->within)
        newt__snapshot_close(x);
    return status;
}

/* ---- oids --------------------------------------------------------------------------------- */

/* By a connection of its own, for a snapshot cannot write. It does not wait for the disk: what is
 * committed with such an oid comes after it in the -wal file, and makes it durable. */
static int
take_oids(newt__storage *s, newt_error *e)
{
    sqlite3_stmt *take;
    int code, status = NEWT_OK;

    if (!s->numbers.db) {
        status = newt__file_open(&s->numbers, &s->where, e);
        if (status == NEWT_OK && s->where.synchronous == NEWT__SYNC_FULL &&
            (code = sqlite3_exec(s->numbers.db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL)) !=
                SQLITE_OK)
            status = newt__file_fail(&s->numbers, code, e);
    }
    take = status == NEWT_OK ? newt__file_statement(&s->numbers, NEWT__Q_TAKE_OIDS, e) : NULL;
    if (!take)
        return e->status;
    sqlite3_bind_int64(take, 1, OIDS);
    code = sqlite3_step(take);
    if (code == SQLITE_ROW) {
        int64_t first = sqlite3_column_int64(take, 0);

        code = sqlite3_step(take);
        if (code == SQLITE_DONE) {
            s->next_oid = first;
            s->end_oid = first + OIDS;
        }
    }
    if (code != SQLITE_DONE)
        status = newt__file_fail(&s->numbers, code, e);
    sqlite3_reset(take);
    return status;
}

static bool
same_file(const newt__file *a, const newt__file *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Oids of a file are of no use in the one that has taken its place. */
int
newt__sqlite_next_oid(newt__session *x, int64_t *oid, newt_error *e)
{
    newt__storage *s = x->storage;
    int status = x->file.db ? NEWT_OK : newt__sqlite_ready(x, 0, e);

    if (status != NEWT_OK)
        return status;
    pthread_mutex_lock(&s->lock);
    if (!same_file(&s->numbers, &x->file))
        forget_numbers(s);
    if (s->next_oid == s->end_oid)
        status = take_oids(s, e);
    if (status == NEWT_OK && !same_file(&s->numbers, &x->file))
        status = newt__file_fail_replaced(&x->file, e);
    if (status == NEWT_OK)
        *oid = s->next_oid++;
    pthread_mutex_unlock(&s->lock);
    return status;
}
