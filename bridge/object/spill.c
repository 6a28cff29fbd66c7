/*
 * spill.c - the records of changed objects that have left the cache, in a temporary file
 *
 * A table of SQLite's, in a database without a name: its pages stay in a small cache of theirs, and
 * what does not fit lies in a file that nobody else sees and that ends with the connection. Nothing
 * of it outlives the transaction, so it needs no syncs. Rows are in the order in which a commit
 * writes them. A second table has notes about objects, for indexes.
 *
 * Savepoints are SQLite's: what is rolled back is undone page by page. One is set only when there
 * is something to write after it.
 */
#include "object.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

typedef enum query {
    PUT,
    HAS,
    GET,
    DROP,
    NEXT,
    EMPTY,
    SET,
    BACK,
    RELEASE,
    NOTE,
    NOTED,
    FORGET,
    N_QUERIES
} query;

static const char *const queries[N_QUERIES] = {
    [PUT] = "INSERT OR REPLACE INTO spilled VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [HAS] = "SELECT 1 FROM spilled WHERE place IN (?1, ?2)",
    [GET] = "SELECT * FROM spilled WHERE place IN (?1, ?2)",
    [DROP] = "DELETE FROM spilled WHERE place IN (?1, ?2)",
    [NEXT] = "SELECT * FROM spilled ORDER BY place",
    [EMPTY] = "DELETE FROM spilled",
    [SET] = "SAVEPOINT s", /* the last of the name is meant */
    [BACK] = "ROLLBACK TO s",
    [RELEASE] = "RELEASE s",
    [NOTE] = "INSERT OR REPLACE INTO noted VALUES (?1, ?2)",
    [NOTED] = "SELECT note FROM noted WHERE oid = ?1",
    [FORGET] = "DELETE FROM noted",
};

/* place: stored objects first, see place_of */
static const char setup[] = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; "
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE; "
                            "PRAGMA page_size = 16384; PRAGMA cache_size = -4096; "
                            "CREATE TABLE spilled (place INTEGER PRIMARY KEY, serial INTEGER, "
                            "state INTEGER, lossy INTEGER, level INTEGER, record BLOB, old BLOB); "
                            "CREATE TABLE noted (oid INTEGER PRIMARY KEY, note BLOB); "
                            "BEGIN";

struct newt__spill {
    sqlite3 *db;
    sqlite3_stmt *statements[N_QUERIES];
    size_t n;
    size_t *n_at;   /* how many there were at each savepoint */
    size_t n_noted; /* this many times, in this transaction */
    uint16_t depth, cap;
};

/* ---- SQLite ------------------------------------------------------------------------------ */

static void
close_file(newt__spill **at)
{
    newt__spill *s = *at;

    if (!s)
        return;
    for (int i = 0; i < N_QUERIES; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    free(s->n_at);
    free(s);
    *at = NULL;
}

/* What was in the file cannot be trusted now, and the next transaction shall not find it. */
static int
fail(newt__spill **s, int code, newt_error *e)
{
    close_file(s);
    if ((code & 0xff) == SQLITE_NOMEM)
        return newt__fail_memory(e);
    newt__fail(e, NEWT_ELIMIT, 0, "changed objects cannot be kept in a temporary file");
    newt__fail_detail(e, "%s.", sqlite3_errstr(code));
    newt__fail_hint(e, "Make room in the directory for temporary files, name another in TMPDIR, "
                       "raise newt_options.cache_bytes, or commit more often.");
    return NEWT_ELIMIT;
}

static int
open_file(newt__spill **at, newt_error *e)
{
    newt__spill *s = calloc(1, sizeof *s);
    int code;

    *at = s;
    if (!s)
        return fail(at, SQLITE_NOMEM, e);
    code = sqlite3_open_v2("", &s->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, setup, NULL, NULL, NULL);
    for (int i = 0; i < N_QUERIES && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(s->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &s->statements[i], NULL);
    return code == SQLITE_OK ? NEWT_OK : fail(at, code, e);
}

/* A statement that gives no row. */
static int
run(newt__spill **at, query q, newt_error *e)
{
    sqlite3_stmt *s = (*at)->statements[q];
    int code = sqlite3_step(s);

    sqlite3_reset(s);
    return code == SQLITE_DONE ? NEWT_OK : fail(at, code, e);
}

/* Stored ones by oid, then new ones by oid; oids are positive. */
static int64_t
place_of(int64_t oid, bool new)
{
    return new ? oid : oid + INT64_MIN;
}

static void
bind_places(sqlite3_stmt *s, int64_t oid)
{
    sqlite3_bind_int64(s, 1, place_of(oid, false));
    sqlite3_bind_int64(s, 2, place_of(oid, true));
}

/* False: no memory. */
static bool
fill(newt__spilled *out, sqlite3_stmt *s)
{
    int64_t place = sqlite3_column_int64(s, 0);

    *out = (newt__spilled){
        .oid = place > 0 ? place : place - INT64_MIN,
        .serial = sqlite3_column_int64(s, 1),
        .state = (uint8_t)sqlite3_column_int(s, 2),
        .lossy = sqlite3_column_int(s, 3) != 0,
        .level = (uint16_t)sqlite3_column_int(s, 4),
        .record = sqlite3_column_blob(s, 5),
        .record_n = (size_t)sqlite3_column_bytes(s, 5),
        .old = sqlite3_column_blob(s, 6),
        .old_n = (size_t)sqlite3_column_bytes(s, 6),
    };
    return sqlite3_errcode(sqlite3_db_handle(s)) != SQLITE_NOMEM;
}

/* ---- savepoints ----------------------------------------------------------------------- */

static int
set(newt__spill **at, newt_error *e)
{
    newt__spill *s = *at;

    if (s->depth == s->cap) {
        uint16_t cap = s->cap ? (uint16_t)(2 * s->cap) : 16;
        size_t *more = realloc(s->n_at, cap * sizeof *more);

        if (!more)
            return fail(at, SQLITE_NOMEM, e);
        s->n_at = more;
        s->cap = cap;
    }
    s->n_at[s->depth++] = s->n;
    return run(at, SET, e);
}

/* Before something of this level is written. */
static int
set_all(newt__spill **at, uint16_t level, newt_error *e)
{
    int status = NEWT_OK;

    while (status == NEWT_OK && (*at)->depth + 1 < level)
        status = set(at, e);
    return status;
}

int
newt__spill_back(newt__spill **at, uint16_t level, newt_error *e)
{
    int status = NEWT_OK;

    if (*at)
        newt__spill_rewind(*at);
    while (status == NEWT_OK && *at && (*at)->depth >= level) {
        status = run(at, BACK, e);
        if (status == NEWT_OK)
            (*at)->n = (*at)->n_at[--(*at)->depth];
        if (status == NEWT_OK)
            status = run(at, RELEASE, e);
    }
    return status;
}

int
newt__spill_merge(newt__spill **at, uint16_t level, newt_error *e)
{
    int status = NEWT_OK;

    while (status == NEWT_OK && *at && (*at)->depth >= level) {
        (*at)->depth--;
        status = run(at, RELEASE, e);
    }
    return status;
}

/* ---- in ------------------------------------------------------------------------------- */

int
newt__spill_put(newt__spill **at, const newt__spilled *x, newt_error *e)
{
    sqlite3_stmt *s;
    int status = *at ? NEWT_OK : open_file(at, e), code;
    bool has = false;

    if (status == NEWT_OK)
        status = set_all(at, x->level, e);
    if (status == NEWT_OK)
        status = newt__spill_has(at, x->oid, &has, e);
    if (status != NEWT_OK)
        return status;
    s = (*at)->statements[PUT];
    sqlite3_bind_int64(s, 1, place_of(x->oid, x->state == NEWT__NEW));
    sqlite3_bind_int64(s, 2, x->serial);
    sqlite3_bind_int(s, 3, x->state);
    sqlite3_bind_int(s, 4, x->lossy);
    sqlite3_bind_int(s, 5, x->level);
    code = sqlite3_bind_blob64(s, 6, x->record, x->record_n, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = x->old ? sqlite3_bind_blob64(s, 7, x->old, x->old_n, SQLITE_STATIC)
                      : sqlite3_bind_null(s, 7);
    if (code != SQLITE_OK)
        return fail(at, code, e);
    status = run(at, PUT, e);
    if (status == NEWT_OK)
        (*at)->n += !has;
    return status;
}

int
newt__spill_drop(newt__spill **at, int64_t oid, uint16_t level, newt_error *e)
{
    bool has;
    int status = newt__spill_has(at, oid, &has, e);

    if (status == NEWT_OK && has)
        status = set_all(at, level, e);
    if (status != NEWT_OK || !has)
        return status;
    bind_places((*at)->statements[DROP], oid);
    (*at)->n--;
    return run(at, DROP, e);
}

/* ---- out ------------------------------------------------------------------------------ */

size_t
newt__spill_n(const newt__spill *s)
{
    return s ? s->n : 0;
}

int
newt__spill_has(newt__spill **at, int64_t oid, bool *has, newt_error *e)
{
    sqlite3_stmt *s;
    int code;

    *has = false;
    if (newt__spill_n(*at) == 0)
        return NEWT_OK;
    s = (*at)->statements[HAS];
    bind_places(s, oid);
    code = sqlite3_step(s);
    sqlite3_reset(s);
    *has = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? NEWT_OK : fail(at, code, e);
}

int
newt__spill_get(newt__spill **at, int64_t oid, int (*take)(void *arg, const newt__spilled *x),
                void *arg, newt_error *e)
{
    newt__spilled x;
    sqlite3_stmt *s;
    int status = NEWT_OK, code;
    bool filled;

    if (newt__spill_n(*at) == 0)
        return NEWT_OK;
    s = (*at)->statements[GET];
    bind_places(s, oid);
    code = sqlite3_step(s);
    filled = code == SQLITE_ROW && fill(&x, s);
    if (filled)
        status = take(arg, &x);
    sqlite3_reset(s);
    if (code == SQLITE_ROW && !filled)
        code = SQLITE_NOMEM;
    return filled || code == SQLITE_DONE ? status : fail(at, code, e);
}

/* ---- notes ---------------------------------------------------------------------------- */

int
newt__spill_note(newt__spill **at, int64_t oid, uint16_t level, const void *note, size_t n,
                 newt_error *e)
{
    int status = *at ? NEWT_OK : open_file(at, e), code;
    sqlite3_stmt *s;

    if (status == NEWT_OK)
        status = set_all(at, level, e);
    if (status != NEWT_OK)
        return status;
    s = (*at)->statements[NOTE];
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_bind_blob64(s, 2, note, n, SQLITE_STATIC);
    if (code != SQLITE_OK)
        return fail(at, code, e);
    (*at)->n_noted++;
    return run(at, NOTE, e);
}

int
newt__spill_noted(newt__spill **at, int64_t oid, newt__buffer *out, bool *noted, newt_error *e)
{
    sqlite3_stmt *s;
    int code;

    *noted = false;
    if (!*at || (*at)->n_noted == 0)
        return NEWT_OK;
    s = (*at)->statements[NOTED];
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const void *note = sqlite3_column_blob(s, 0);

        *noted = true;
        out->n = 0;
        if (!newt__buffer_append(out, note, (size_t)sqlite3_column_bytes(s, 0)))
            code = SQLITE_NOMEM;
    }
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? NEWT_OK : fail(at, code, e);
}

/* ---- all of them ---------------------------------------------------------------------- */

void
newt__spill_rewind(newt__spill *s)
{
    if (s)
        sqlite3_reset(s->statements[NEXT]);
}

int
newt__spill_next(newt__spill **at, newt__spilled *out, newt_error *e)
{
    sqlite3_stmt *s;
    int code;

    if (newt__spill_n(*at) == 0)
        return 0;
    s = (*at)->statements[NEXT];
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        if (fill(out, s))
            return 1;
        sqlite3_reset(s);
        return fail(at, SQLITE_NOMEM, e);
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE ? 0 : fail(at, code, e);
}

/* One of the tables, if there is anything in it. */
static bool
empty(newt__spill *s, query q, size_t *n)
{
    if (*n > 0 && sqlite3_step(s->statements[q]) != SQLITE_DONE)
        return false;
    if (*n > 0)
        sqlite3_reset(s->statements[q]);
    *n = 0;
    return true;
}

void
newt__spill_clear(newt__spill **at)
{
    enum {
        KEPT = 10000 /* of more the file is given back */
    };
    newt__spill *s = *at;

    if (!s)
        return;
    newt__spill_rewind(s);
    for (; s->depth > 0; s->depth--) {
        if (sqlite3_step(s->statements[RELEASE]) != SQLITE_DONE) {
            close_file(at);
            return;
        }
        sqlite3_reset(s->statements[RELEASE]);
    }
    if (s->n > KEPT || s->n_noted > KEPT || !empty(s, EMPTY, &s->n) ||
        !empty(s, FORGET, &s->n_noted))
        close_file(at);
}

void
newt__spill_free(newt__spill **at)
{
    close_file(at);
}
