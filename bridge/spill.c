/*
 * spill.c - the records of changed objects that have left the cache, in a temporary file
 *
 * A table of SQLite's, in a database without a name: its pages stay in a small cache of theirs, and
 * what does not fit lies in a file that nobody else sees and that ends with the connection. Nothing
 * of it outlives the transaction, so it needs no journal. Rows are in the order in which a commit
 * writes them.
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
    N_QUERIES
} query;

static const char *const queries[N_QUERIES] = {
    [PUT] = "INSERT OR REPLACE INTO spilled VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [HAS] = "SELECT 1 FROM spilled WHERE place IN (?1, ?2)",
    [GET] = "SELECT * FROM spilled WHERE place IN (?1, ?2)",
    [DROP] = "DELETE FROM spilled WHERE place = ?1",
    [NEXT] = "SELECT * FROM spilled ORDER BY place",
    [EMPTY] = "DELETE FROM spilled",
};

/* place: stored objects first, see place_of */
static const char setup[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE; "
                            "PRAGMA page_size = 16384; PRAGMA cache_size = -4096; "
                            "CREATE TABLE spilled (place INTEGER PRIMARY KEY, serial INTEGER, "
                            "state INTEGER, lossy INTEGER, record BLOB, old BLOB); BEGIN";

struct newt__spill {
    sqlite3 *db;
    sqlite3_stmt *statements[N_QUERIES];
    size_t n;
};

/* ---- SQLite ------------------------------------------------------------------------------ */

static void
close_file(newt_conn *c)
{
    newt__spill *s = c->spill;

    if (!s)
        return;
    for (int i = 0; i < N_QUERIES; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    free(s);
    c->spill = NULL;
}

/* What was in the file cannot be trusted now, and the next transaction shall not find it. */
static int
fail(newt_conn *c, int code)
{
    newt_error e = {0};

    close_file(c);
    if ((code & 0xff) == SQLITE_NOMEM) {
        newt__fail_memory(&e);
    } else {
        newt__fail(&e, NEWT_ELIMIT, 0, "changed objects cannot be kept in a temporary file");
        newt__fail_detail(&e, "%s.", sqlite3_errstr(code));
        newt__fail_hint(&e, "Make room in the directory for temporary files, name another in "
                            "TMPDIR, raise newt_options.cache_bytes, or commit more often.");
    }
    newt__conn_fail_with(c, &e);
    return newt__doom(c);
}

static int
open_file(newt_conn *c)
{
    newt__spill *s = calloc(1, sizeof *s);
    int code = SQLITE_NOMEM;

    if (!s)
        return fail(c, code);
    c->spill = s;
    code = sqlite3_open_v2("", &s->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, setup, NULL, NULL, NULL);
    for (int i = 0; i < N_QUERIES && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(s->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &s->statements[i], NULL);
    if (code == SQLITE_OK)
        return NEWT_OK;
    close_file(c);
    return fail(c, code);
}

/* A statement that gives no row. */
static int
run(newt_conn *c, query q)
{
    sqlite3_stmt *s = c->spill->statements[q];
    int code = sqlite3_step(s);

    sqlite3_reset(s);
    return code == SQLITE_DONE ? NEWT_OK : fail(c, code);
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

static void
fill(newt__spilled *out, sqlite3_stmt *s)
{
    int64_t place = sqlite3_column_int64(s, 0);

    *out = (newt__spilled){
        .oid = place > 0 ? place : place - INT64_MIN,
        .serial = sqlite3_column_int64(s, 1),
        .state = (newt__state)sqlite3_column_int(s, 2),
        .lossy = sqlite3_column_int(s, 3) != 0,
        .record = sqlite3_column_blob(s, 4),
        .record_n = (size_t)sqlite3_column_bytes(s, 4),
        .old = sqlite3_column_blob(s, 5),
        .old_n = (size_t)sqlite3_column_bytes(s, 5),
    };
}

/* ---- in ------------------------------------------------------------------------------- */

/* Its record into c->writer.buf; *same: nothing of it is new. */
static bool
encode(newt_conn *c, newt__header *h, bool *same)
{
    newt_error e = {0};
    int status;

    if (!h->bag) /* what a deleted one lacks does not matter */
        status = newt__encode(c, h, h->state != NEWT__DELETED, &e);
    else if (((newt_bag *)newt__object_of(h))->class_name)
        status = newt__bag_encode(c, h, &e);
    else
        status = NEWT_EBROKEN;
    newt__error_clear(&e);
    *same = status == NEWT_OK && h->state == NEWT__CHANGED && h->record_n == c->writer.buf.n &&
            memcmp(h->record, c->writer.buf.data, h->record_n) == 0;
    return status == NEWT_OK;
}

bool
newt__spill_put(newt_conn *c, newt__header *h)
{
    sqlite3_stmt *s;
    bool same;

    /* an error of its own is for the commit to report, or may be mended until then */
    if (!encode(c, h, &same))
        return false;
    if (same)
        return true;
    if (!c->spill && open_file(c) != NEWT_OK)
        return false;
    s = c->spill->statements[PUT];
    sqlite3_bind_int64(s, 1, place_of(h->oid, h->state == NEWT__NEW));
    sqlite3_bind_int64(s, 2, h->serial);
    sqlite3_bind_int(s, 3, h->state);
    sqlite3_bind_int(s, 4, c->writer.lossy);
    sqlite3_bind_blob64(s, 5, c->writer.buf.data, c->writer.buf.n, SQLITE_STATIC);
    if (h->record && h->state != NEWT__NEW)
        sqlite3_bind_blob64(s, 6, h->record, h->record_n, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, 6);
    if (run(c, PUT) != NEWT_OK)
        return false;
    c->spill->n++;
    return true;
}

/* ---- out ------------------------------------------------------------------------------ */

size_t
newt__spill_n(const newt_conn *c)
{
    return c->spill ? c->spill->n : 0;
}

bool
newt__spill_has(newt_conn *c, int64_t oid)
{
    sqlite3_stmt *s;
    int code;

    if (newt__spill_n(c) == 0)
        return false;
    s = c->spill->statements[HAS];
    bind_places(s, oid);
    code = sqlite3_step(s);
    sqlite3_reset(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail(c, code);
    return code == SQLITE_ROW;
}

static int
restore(newt_conn *c, const newt__spilled *x, newt__header **out)
{
    const newt__class *k = NULL;
    newt__header *h = NULL;
    newt__reader r;
    newt_error e = {0};
    int status;

    if (newt__read_begin(&r, &c->env, x->record, x->record_n) == NEWT__OK)
        k = newt__class_named(c->db->classes, r.class_name, r.class_n);
    if (k && k->stored)
        status = newt__decode(c, k, x->oid, x->record, x->record_n, &h, &e);
    else
        status = newt__bag_load(c, x->oid, x->record, x->record_n, &h);
    newt__error_clear(&e);
    if (status != NEWT_OK && status != NEWT_ENOMEM && x->state == NEWT__DELETED)
        status = newt__bag_load(c, x->oid, x->record, x->record_n, &h); /* it was broken, too */
    if (status == NEWT_OK && h->bag && x->state != NEWT__DELETED)
        status = newt__bag_open(h);
    if (status == NEWT_OK && x->old && !newt__object_keep(h, x->old, x->old_n))
        status = NEWT_ENOMEM;
    if (status != NEWT_OK)
        newt__object_free(h);
    else
        *out = h;
    return status;
}

int
newt__spill_take(newt_conn *c, int64_t oid)
{
    newt__header *h;
    newt__spilled x;
    sqlite3_stmt *s;
    newt_error e = {0};
    int status, code;

    if (newt__spill_n(c) == 0)
        return NEWT_OK;
    s = c->spill->statements[GET];
    bind_places(s, oid);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW) {
        sqlite3_reset(s);
        return code == SQLITE_DONE ? NEWT_OK : fail(c, code);
    }
    fill(&x, s);
    status = restore(c, &x, &h);
    sqlite3_reset(s);
    if (status == NEWT_OK) {
        h->serial = x.serial;
        if (newt__cache_put(c, h) != NEWT_OK) {
            newt__object_free(h);
            status = NEWT_ENOMEM;
        }
    }
    if (status != NEWT_OK) { /* it was written here: there can be no other reason */
        newt__fail_memory(&e);
        return newt__conn_fail_with(c, &e);
    }
    h->state = (uint8_t)x.state;
    h->epoch = c->epoch;
    newt__cache_list(h, true);
    s = c->spill->statements[DROP];
    sqlite3_bind_int64(s, 1, place_of(oid, x.state == NEWT__NEW));
    c->spill->n--;
    return run(c, DROP);
}

void
newt__spill_rewind(newt_conn *c)
{
    if (c->spill)
        sqlite3_reset(c->spill->statements[NEXT]);
}

int
newt__spill_next(newt_conn *c, newt__spilled *out)
{
    sqlite3_stmt *s;
    int code;

    if (newt__spill_n(c) == 0)
        return 0;
    s = c->spill->statements[NEXT];
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        fill(out, s);
        return 1;
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE ? 0 : fail(c, code);
}

void
newt__spill_clear(newt_conn *c)
{
    enum {
        KEPT = 10000 /* of more the file is given back */
    };

    if (newt__spill_n(c) == 0)
        return;
    newt__spill_rewind(c);
    if (c->spill->n > KEPT || sqlite3_step(c->spill->statements[EMPTY]) != SQLITE_DONE) {
        close_file(c);
        return;
    }
    sqlite3_reset(c->spill->statements[EMPTY]);
    c->spill->n = 0;
}

void
newt__spill_free(newt_conn *c)
{
    close_file(c);
}
