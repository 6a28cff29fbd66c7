/*
 * load.c - records by oid, and those reached through references
 */
#include "session.h"

#include <string.h>

enum {
    /* A load is several statements: the records of one are unpacked while the server reads the
     * next. */
    PARTS = 4, /* at least, of */
    CHUNK_MIN = 50,
    CHUNK_MAX = 250,
    WINDOW = 16 /* statements sent together */
};

/* Who takes the records, and the first status that is not NEWT_OK. */
typedef struct taking {
    newt__take_record *take;
    void *arg;
    int status;
} taking;

static void
take_rows(void *arg, const PGresult *r)
{
    taking *t = arg;

    for (int i = 0, n = PQntuples(r); i < n && t->status == NEWT_OK; i++) {
        newt__found x = {.oid = newt__field_int(r, i, 0),
                         .serial = newt__field_int(r, i, 1),
                         .record = PQgetvalue(r, i, 2),
                         .n = (size_t)PQgetlength(r, i, 2)};

        t->status = t->take(t->arg, &x);
    }
}

static void
take_chunk(newt__session *c, taking *t)
{
    PGresult *r = newt__take(c);

    if (r)
        take_rows(t, r);
    PQclear(r);
}

/* All in one round trip if they are few; the snapshot is opened on the same way. */
int
newt__session_load(newt__session *c, const int64_t *oids, size_t n, newt__take_record *take,
                   void *arg)
{
    newt__array array = {.buf.env = &newt__malloc_env};
    taking t = {.take = take, .arg = arg, .status = newt__session_server(c)};
    size_t sent = 0, chunk = n / PARTS;
    bool opening;
    int first;

    if (t.status != NEWT_OK)
        return t.status;
    chunk = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    while (t.status == NEWT_OK && (sent < n || opening)) {
        int chunks = 0;

        for (; chunks < WINDOW && sent < n; chunks++) {
            newt__params p = {0};

            newt__array_begin(&array, NEWT__OID_INT8);
            for (size_t end = n - sent > chunk ? sent + chunk : n; sent < end; sent++)
                newt__array_int(&array, oids[sent]);
            newt__param_array(&p, &array);
            newt__send(c, NEWT__S_LOAD, &p);
        }
        newt__sync(c);
        if (opening)
            t.status = newt__snapshot_take(c);
        opening = false;
        for (; chunks > 0 && t.status == NEWT_OK; chunks--)
            take_chunk(c, &t);
        if (t.status == NEWT_OK && !newt__take_sync(c))
            t.status = c->talk->error.status;
    }
    newt__buffer_free(&array.buf);
    newt__take_rest(c);
    first = newt__talk_end(c);
    return first != NEWT_OK ? first : t.status;
}

int
newt__session_walk(newt__session *c, const int64_t *oids, size_t n, const newt_walk_options *o,
                   newt__take_record *take, void *arg)
{
    newt__array roots = {.buf.env = &newt__malloc_env}, fields = {.buf.env = &newt__malloc_env};
    taking t = {.take = take, .arg = arg, .status = newt__session_server(c)};
    newt__params p = {0};
    bool opening;
    int first;

    if (t.status != NEWT_OK || !c->has_walk)
        return t.status != NEWT_OK ? t.status : 1;
    newt__array_begin(&roots, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&roots, oids[i]);
    newt__array_begin(&fields, NEWT__OID_TEXT);
    for (size_t i = 0; o->fields && o->fields[i]; i++)
        newt__array_bytes(&fields, o->fields[i], strlen(o->fields[i]));
    newt__param_text(&p, c->storage->schema);
    newt__param_array(&p, &roots);
    newt__param_int(&p, o->depth);
    newt__param_int(&p, o->objects);
    newt__param_array(&p, &fields);

    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    newt__send(c, NEWT__S_WALK, &p);
    newt__sync(c);
    if (opening)
        t.status = newt__snapshot_take(c);
    if (t.status == NEWT_OK)
        newt__take_rows(c, take_rows, &t);
    newt__take_rest(c);
    newt__buffer_free(&roots.buf);
    newt__buffer_free(&fields.buf);
    first = newt__talk_end(c);
    return first != NEWT_OK ? first : t.status;
}
