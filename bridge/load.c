/*
 * load.c - records by oid
 */
#include "store.h"

#include <stdlib.h>

enum {
    /* A batch is several statements: the objects of one are unpacked while the server reads the
     * next. */
    PARTS = 4, /* at least, of */
    CHUNK_MIN = 50,
    CHUNK_MAX = 250,
    WINDOW = 16 /* statements sent together */
};

int
newt__load_row(newt_conn *c, const PGresult *r, int row)
{
    int64_t oid = newt__field_int(r, row, 0);
    int status;

    if (newt__cache_find(&c->cache, oid) || newt__spill_has(c, oid))
        return NEWT_OK;
    status = newt__object_load(c, oid, newt__field_int(r, row, 1), PQgetvalue(r, row, 2),
                               (size_t)PQgetlength(r, row, 2), NULL);
    c->stats.loads++;
    newt__cache_sweep(c);
    return status;
}

static int
take_chunk(newt_conn *c, newt__walk *w)
{
    PGresult *r = newt__take(c);
    int status = NEWT_OK;

    for (int i = 0, n = r ? PQntuples(r) : 0; i < n && status == NEWT_OK; i++) {
        if (w && newt__walk_record(w, PQgetvalue(r, i, 2), (size_t)PQgetlength(r, i, 2))) {
            newt_error e = {0};

            newt__fail_memory(&e);
            status = newt__conn_fail_with(c, &e);
        } else {
            status = newt__load_row(c, r, i);
        }
    }
    PQclear(r);
    return status;
}

/* Loads these, or the level of a walk, all in one round trip if they are few; the snapshot is
 * opened on the same way. */
static int
load(newt_conn *c, const int64_t *oids, size_t n, newt__walk *w)
{
    newt__array array = {.buf.env = &c->env};
    size_t sent = 0, chunk = n / PARTS;
    bool opening;
    int status = NEWT_OK, first;

    chunk = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    while (status == NEWT_OK && sent < n) {
        int chunks = 0;

        for (; chunks < WINDOW && sent < n; chunks++) {
            newt__params p = {0};

            newt__array_begin(&array, NEWT__OID_INT8);
            for (size_t end = n - sent > chunk ? sent + chunk : n; sent < end; sent++)
                newt__array_int(&array, w ? w->queue[w->from + sent] : oids[sent]);
            newt__param_array(&p, &array);
            newt__send(c, NEWT__S_LOAD, &p);
        }
        newt__sync(c);
        if (opening)
            status = newt__snapshot_take(c);
        opening = false;
        for (; chunks > 0 && status == NEWT_OK; chunks--)
            status = take_chunk(c, w);
        if (status == NEWT_OK && !newt__take_sync(c))
            status = c->talk->error.status;
    }
    newt__buffer_free(&array.buf);
    newt__take_rest(c);
    first = newt__talk_end(c);
    if (first != NEWT_OK)
        return newt__doom(c); /* the server's transaction cannot go on */
    return status;
}

int
newt__load(newt_conn *c, const int64_t *oids, size_t n)
{
    int64_t *missing = NULL, one;
    size_t m = 0;
    int status = NEWT_OK;

    if (n > 1 && !(missing = malloc(n * sizeof *missing))) {
        newt_error e = {0};

        newt__fail_memory(&e);
        return newt__conn_fail_with(c, &e);
    }
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        if (oids[i] > 0 && !newt__cache_find(&c->cache, oids[i]))
            status = newt__spill_take(c, oids[i]);
        if (oids[i] > 0 && !newt__cache_find(&c->cache, oids[i]))
            *(missing ? &missing[m] : &one) = oids[i], m++;
        newt__cache_sweep(c);
    }
    if (status == NEWT_OK && m > 0)
        status = newt__conn_server(c);
    if (status == NEWT_OK && m > 0)
        status = load(c, missing ? missing : &one, m, NULL);
    free(missing);
    return status;
}

int
newt__load_level(newt_conn *c, newt__walk *w)
{
    int status = newt__conn_server(c);

    return status == NEWT_OK ? load(c, NULL, w->to - w->from, w) : status;
}

int
newt_prefetch(newt_conn *c, const newt_ref *r, size_t n)
{
    int status = newt__conn_enter(c);

    /* a newt_ref is its oid */
    _Static_assert(sizeof(newt_ref) == sizeof(int64_t), "newt_ref holds an oid alone");
    return status == NEWT_OK ? newt__load(c, &r->oid, n) : status;
}
