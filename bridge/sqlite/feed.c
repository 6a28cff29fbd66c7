/*
 * feed.c - transactions in their order, and objects as they are now
 *
 * A statement that is stepped through is a snapshot of its own.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_PAUSE_US = 500,
    LONGEST_PAUSE_US = 20 * 1000
};

/* What is being handed over. */
typedef struct feed {
    newt__session *x;
    newt__take_transaction *take;
    void *arg;
    newt_error *e;
    newt__cursor *at;
    int64_t wanted, objects; /* so far */
    newt__oids written, removed;
    newt__buffer classes;
    bool missing; /* a part of a large transaction is */
} feed;

/* ---- transactions ----------------------------------------------------------------------- */

static int
fail_classes(feed *f, const newt__transaction *t)
{
    newt__file_fail_damaged(&f->x->file, f->e);
    newt__fail_detail(f->e, "removed_classes of transaction %lld is not a list.",
                      (long long)t->at.serial);
    return NEWT_ESTORE;
}

/* The names of a list in JSON, each with a NUL after it. */
static int
read_classes(feed *f, const newt__transaction *t, const char *text)
{
    json_t *list = json_loads(text, 0, NULL), *name;
    newt__code code = list ? NEWT__OK : newt__json_check(text);
    int status = NEWT_OK;
    size_t i;

    if (!list && (code == NEWT__OK || code == NEWT__NOMEM))
        return newt__fail_memory(f->e);
    if (!json_is_array(list))
        status = fail_classes(f, t);
    json_array_foreach(list, i, name)
    {
        const char *s = json_is_string(name) ? json_string_value(name) : "";

        if (status == NEWT_OK && !newt__buffer_append(&f->classes, s, strlen(s) + 1))
            status = newt__fail_memory(f->e);
    }
    json_decref(list);
    return status;
}

/* The objects of a row, whose columns begin at this one. */
static int
read_objects(feed *f, newt__transaction *t, sqlite3_stmt *s, int column)
{
    const char *classes = (const char *)sqlite3_column_text(s, column + 2);
    int status;

    f->written.n = f->removed.n = f->classes.n = 0;
    status = newt__oids_take(&f->written, &f->x->file, s, column, f->e);
    if (status == NEWT_OK)
        status = newt__oids_take(&f->removed, &f->x->file, s, column + 1, f->e);
    if (status == NEWT_OK && classes)
        status = read_classes(f, t, classes);
    else if (status == NEWT_OK && sqlite3_column_type(s, column + 2) != SQLITE_NULL)
        status = newt__fail_memory(f->e);
    t->written = f->written.oids;
    t->n_written = f->written.n;
    t->removed = f->removed.oids;
    t->n_removed = f->removed.n;
    if (status == NEWT_OK && !newt__removed_classes_set(t, &f->classes))
        status = newt__fail_memory(f->e);
    f->objects += (int64_t)(t->n_written + t->n_removed);
    return status;
}

static bool
enough(const feed *f)
{
    return f->objects >= f->wanted && f->objects > 0;
}

/* The parts of a large transaction that come next. */
static int
hand_over_parts(feed *f, newt__transaction *t)
{
    int status = NEWT_OK;

    do {
        sqlite3_stmt *s = newt__file_statement(&f->x->file, NEWT__Q_FEED_PART, f->e);
        int code;

        if (!s)
            return f->e->status;
        sqlite3_bind_int64(s, 1, t->at.serial);
        sqlite3_bind_int64(s, 2, f->at->parts);
        code = sqlite3_step(s);
        f->missing = code == SQLITE_DONE;
        if (code == SQLITE_ROW) {
            t->more = sqlite3_column_int(s, 3) != 0;
            status = read_objects(f, t, s, 0);
            if (status == NEWT_OK)
                status = f->take(f->arg, t);
            if (status == NEWT_OK)
                *f->at = t->more ? (newt__cursor){f->at->after, f->at->parts + 1, t->at.serial}
                                 : (newt__cursor){.after = t->at};
        } else if (code != SQLITE_DONE) {
            status = newt__file_fail(&f->x->file, code, f->e);
        }
        sqlite3_reset(s);
    } while (status == NEWT_OK && !f->missing && t->more && !enough(f));
    return status;
}

static int
hand_over(feed *f, sqlite3_stmt *s)
{
    newt__transaction t = {.at = {sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)},
                           .committed_us = sqlite3_column_int64(s, 2),
                           .user = (const char *)sqlite3_column_text(s, 3),
                           .description = (const char *)sqlite3_column_text(s, 4),
                           .extension = (const char *)sqlite3_column_text(s, 5)};
    int status;

    /* that of which there were parts is gone */
    f->missing = f->at->parts > 0 && f->at->serial != t.at.serial;
    if (f->missing)
        return NEWT_OK;
    if (sqlite3_column_type(s, 6) == SQLITE_NULL)
        return hand_over_parts(f, &t);
    status = read_objects(f, &t, s, 6);
    if (status == NEWT_OK)
        status = f->take(f->arg, &t);
    if (status == NEWT_OK)
        *f->at = (newt__cursor){.after = t.at};
    return status;
}

/* The position is not in the store: what has become of it. */
static int
fail_missing(newt__session *x, newt__position after, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_FEED_ENDS, e);
    int64_t oldest = 0, newest = 0;
    int code;

    if (!s)
        return e->status;
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        oldest = sqlite3_column_int64(s, 0);
        newest = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    if (code != SQLITE_ROW)
        return newt__file_fail(&x->file, code, e);
    newt__fail_missing(e, after.tid);
    if (after.tid < oldest)
        newt__fail_detail(
            e,
            "It was pruned, or is of another store: the oldest transaction that is kept is %lld.",
            (long long)oldest);
    else if (after.tid > newest)
        newt__fail_detail(e, "The newest one is %lld: the file was replaced by an older copy.",
                          (long long)newest);
    else
        newt__fail_detail(e, "Another history has taken its place: the file was replaced by an "
                             "older copy.");
    return NEWT_EMISSING;
}

/* Whether the first row is that of the position. */
static bool
is_known(sqlite3_stmt *s, int code, newt__position after)
{
    return after.tid == 0 || (code == SQLITE_ROW && sqlite3_column_int64(s, 0) == after.tid &&
                              (after.serial == 0 || sqlite3_column_int64(s, 1) == after.serial));
}

static int
follow(feed *f)
{
    newt__session *x = f->x;
    newt__position after = f->at->after;
    sqlite3_stmt *s = newt__file_statement(&x->file, NEWT__Q_FEED, f->e);
    int code, status = NEWT_OK;

    if (!s)
        return f->e->status;
    sqlite3_bind_int64(s, 1, after.tid);
    code = sqlite3_step(s);
    f->missing = !is_known(s, code, after) && (code == SQLITE_ROW || code == SQLITE_DONE);
    if (after.tid != 0 && code == SQLITE_ROW)
        code = sqlite3_step(s);
    while (code == SQLITE_ROW && status == NEWT_OK && !f->missing && !enough(f)) {
        status = hand_over(f, s);
        if (status == NEWT_OK && f->at->parts == 0)
            code = sqlite3_step(s);
        else
            break;
    }
    if (status == NEWT_OK && code != SQLITE_ROW && code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, f->e);
    sqlite3_reset(s);
    return status;
}

int
newt__sqlite_next(newt__session *x, newt__cursor *c, int64_t objects, newt__take_transaction *take,
                  void *arg, newt_error *e)
{
    feed f = {.x = x,
              .take = take,
              .arg = arg,
              .e = e,
              .at = c,
              .wanted = objects,
              .classes.env = &newt__malloc_env};
    int status = newt__sqlite_ready(x, 0, e);

    if (status == NEWT_OK)
        status = follow(&f);
    if (status == NEWT_OK && f.missing)
        status = fail_missing(x, c->after, e);
    newt__oids_free(&f.written);
    newt__oids_free(&f.removed);
    newt__buffer_free(&f.classes);
    return status;
}

int
newt__sqlite_origin(newt__session *x, int64_t serial, newt__take_transaction *take, void *arg,
                    newt_error *e)
{
    int code, status = x->file.db ? NEWT_OK : newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_ORIGIN, e) : NULL;
    newt__transaction t;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, serial);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        t = (newt__transaction){.at = {sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)},
                                .committed_us = sqlite3_column_int64(s, 2),
                                .user = (const char *)sqlite3_column_text(s, 3),
                                .description = (const char *)sqlite3_column_text(s, 4),
                                .extension = (const char *)sqlite3_column_text(s, 5)};
        status = take(arg, &t);
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_reset(s);
    return status;
}

int
newt__sqlite_newest(newt__session *x, newt__position *out, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);

    return status == NEWT_OK ? newt__newest_find(x, out, e) : status;
}

/* Nobody tells that another process has committed: it is looked for, which costs microseconds. */
int
newt__sqlite_wait(newt__session *x, newt__position after, int at_most_ms, newt_error *e)
{
    int64_t until = newt__clock() + (int64_t)at_most_ms * 1000, pause = FIRST_PAUSE_US;
    newt__position newest;
    int status;

    while ((status = newt__sqlite_newest(x, &newest, e)) == NEWT_OK && newest.tid <= after.tid) {
        int64_t left = until - newt__clock(), us = left < pause ? left : pause;
        struct timespec t = {.tv_nsec = us * 1000};

        if (left <= 0)
            return 0;
        nanosleep(&t, NULL);
        pause = 2 * pause < LONGEST_PAUSE_US ? 2 * pause : LONGEST_PAUSE_US;
    }
    return status != NEWT_OK ? status : 1;
}

/* ---- objects ------------------------------------------------------------------------------ */

int
newt__sqlite_scan(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
                  newt_error *e)
{
    int code = SQLITE_DONE, status = newt__sqlite_ready(x, 0, e);
    sqlite3_stmt *s = status == NEWT_OK ? newt__file_statement(&x->file, NEWT__Q_SCAN, e) : NULL;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, n < INT64_MAX ? (int64_t)n : INT64_MAX);
    while (status == NEWT_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
        status = take(arg, &(newt__found){.oid = sqlite3_column_int64(s, 0),
                                          .serial = sqlite3_column_int64(s, 1)});
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&x->file, code, e);
    sqlite3_reset(s);
    return status;
}

static int
look_at(newt__session *x, const int64_t *oids, size_t n, newt__extent extent, int64_t bytes,
        newt__take_record *take, void *arg, newt_error *e)
{
    static const newt__sql statements[] = {[NEWT__OIDS_ONLY] = NEWT__Q_HEAD,
                                           [NEWT__HEADS] = NEWT__Q_HEAD,
                                           [NEWT__WHOLE] = NEWT__Q_LOAD};
    sqlite3_stmt *s = newt__file_statement(&x->file, statements[extent], e);
    int64_t handed = 0;
    int status = NEWT_OK;

    if (!s)
        return e->status;
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        int code;

        sqlite3_bind_int64(s, 1, oids[i]);
        code = sqlite3_step(s);
        if (code == SQLITE_ROW) {
            newt__found found = {.oid = oids[i],
                                 .serial = sqlite3_column_int64(s, 0),
                                 .record = sqlite3_column_blob(s, 1),
                                 .n = (size_t)sqlite3_column_bytes(s, 1)};

            if (!found.record && found.n > 0)
                status = newt__fail_memory(e);
            if (handed > 0 && handed + (int64_t)found.n > bytes)
                found.record = NULL;
            handed += (int64_t)found.n;
            if (status == NEWT_OK)
                status = take(arg, &found);
        } else if (code != SQLITE_DONE) {
            status = newt__file_fail(&x->file, code, e);
        }
        sqlite3_reset(s);
    }
    return status;
}

/* All of them as of one moment. */
int
newt__sqlite_look(newt__session *x, const int64_t *oids, size_t n, newt__extent extent,
                  int64_t bytes, newt__take_record *take, void *arg, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);
    bool begun = x->writing;

    if (status == NEWT_OK && !begun)
        status = newt__file_do(&x->file, NEWT__Q_BEGIN, e);
    if (status != NEWT_OK)
        return status;
    status = look_at(x, oids, n, extent, bytes, take, arg, e);
    if (!begun)
        newt__file_roll_back(&x->file);
    return status;
}

/* Others may write without waiting for the disk. What is in the -wal file, or was before it came
 * from there into the other one, is durable when the -wal file is. */
int
newt__sqlite_barrier(newt__session *x, newt_error *e)
{
    int status = newt__sqlite_ready(x, 0, e);
    int wal = -1;

    if (status != NEWT_OK || x->file.read_only)
        return status;
    wal = open(sqlite3_filename_wal(sqlite3_db_filename(x->file.db, "main")), O_RDONLY | O_CLOEXEC);
    if (wal < 0 || fdatasync(wal) != 0)
        status = newt__file_fail_system(&x->file, errno, e);
    if (wal >= 0)
        close(wal);
    return status;
}
