/*
 * chunk.c - the rows of some objects, brought up to date in a follower's transaction
 *
 * A chunk is one statement, by which the server computes the rows; those of new objects it has
 * written by another before, which is quicker. Or the records come here, and the rows go back. In a
 * careful batch a chunk that the server refuses is halved until the row is found; savepoints keep
 * the pieces apart.
 */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 1000,         /* objects of one statement */
    CHUNK_IN_CLIENT = 200 /* ... whose records come here */
};

typedef newt__follow batch;

/* ---- one chunk, computed in the server ------------------------------------------------ */

static void
send_server(batch *b, newt__statement s, const int64_t *oids, size_t n)
{
    newt__params p = {0};

    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&b->zoids, oids[i]);
    newt__param_array(&p, &b->zoids);
    newt__param_array(&p, &b->classes);
    newt__param_array(&p, &b->others);
    newt__param_int(&p, b->virtual);
    newt__send(b->c, s, &p);
    newt__sync(b->c);
}

static void
take_written(batch *b)
{
    PGresult *r = newt__take(b->c);

    newt__take_sync(b->c);
    if (r && PQntuples(r) == 1) {
        b->progress.written += newt__field_int(r, 0, 0);
        b->progress.removed += newt__field_int(r, 0, 1);
        b->progress.rejects += newt__field_int(r, 0, 2);
    }
    PQclear(r);
}

/* rest NULL: by the statement that leaves nothing; else what is left is added to it. */
static void
take_chunk(batch *b, newt__oids *rest)
{
    PGresult *r;

    if (!rest) {
        take_written(b);
        return;
    }
    r = newt__take(b->c);
    newt__take_sync(b->c);
    if (r && PQntuples(r) == 1) {
        b->progress.written += newt__field_int(r, 0, 0);
        if (!newt__field_oids(r, 0, 1, rest))
            b->status = rest->failed ? NEWT_ENOMEM : NEWT_ESTORE;
    }
    PQclear(r);
}

static void
write_in_server(batch *b, const int64_t *oids, size_t n, newt__oids *rest)
{
    newt__statement s = rest ? NEWT__S_FOLLOW_NEW_ROWS : NEWT__S_FOLLOW_SERVER;
    size_t sent = 0;

    for (size_t i = 0; i < n && newt__follow_going(b); i += CHUNK) {
        /* the next one is on its way while this one is worked on */
        send_server(b, s, oids + i, n - i < CHUNK ? n - i : CHUNK);
        if (++sent > 1)
            take_chunk(b, rest), sent--;
    }
    for (; sent > 0; sent--)
        take_chunk(b, rest);
}

/* ---- one chunk, computed here --------------------------------------------------------- */

static int
add_rejects(batch *b, int64_t oid, json_t *rejects)
{
    json_t *item;
    size_t i;

    json_array_foreach(rejects, i, item)
    {
        if (json_object_set_new(item, "zoid", json_integer(oid)) != 0 ||
            json_array_append(b->rejects, item) != 0)
            return NEWT_ENOMEM;
    }
    return NEWT_OK;
}

static newt__code
project(batch *b, const void *record, size_t n, bool *hidden, json_t *rejects)
{
    newt__fault fault;

    b->json.n = 0;
    return newt__record_project(&newt__malloc_env, record, n, &b->json, hidden, rejects, &fault);
}

/* Adds what a record's row is to be to the arrays. */
static int
compute(batch *b, const PGresult *r, int row)
{
    int64_t oid = newt__field_int(r, row, 0);
    const char *record = PQgetvalue(r, row, 2);
    size_t n = (size_t)PQgetlength(r, row, 2);
    json_t *rejects = json_array();
    bool none = PQgetisnull(r, row, 2), hidden = false;
    newt__reader head;
    int status = NEWT_OK;

    if (!rejects)
        return NEWT_ENOMEM;
    if (!none && newt__read_begin(&head, &newt__malloc_env, record, n) != NEWT__OK)
        none = true;
    if (!none && newt__array_has(&b->others, head.class_name, head.class_n) != b->virtual)
        none = true; /* it is computed where it is read */
    if (!none && newt__array_has(&b->classes, head.class_name, head.class_n)) {
        /* ... unless its class is hidden: then nobody writes a row */
        newt__code code = project(b, record, n, &hidden, NULL);

        status = code == NEWT__NOMEM ? NEWT_ENOMEM : NEWT_OK;
        if (code != NEWT__OK || !hidden)
            goto out;
        none = true;
    }
    if (!none) {
        newt__code code = project(b, record, n, &hidden, rejects);

        none = code != NEWT__OK || hidden; /* not a record after all */
        if (code == NEWT__NOMEM) {
            status = NEWT_ENOMEM;
            goto out;
        }
    }
    if (none && PQgetisnull(r, row, 3))
        goto out;
    newt__array_int(&b->zoids, oid);
    if (PQgetisnull(r, row, 3))
        newt__array_null(&b->seen);
    else
        newt__array_int(&b->seen, newt__field_int(r, row, 3));
    if (none) {
        newt__array_null(&b->names);
        newt__array_null(&b->serials);
        newt__array_null(&b->documents);
    } else {
        newt__array_bytes(&b->names, head.class_name, head.class_n);
        newt__array_int(&b->serials, newt__field_int(r, row, 1));
        newt__array_json(&b->documents, b->json.data, b->json.n);
        status = add_rejects(b, oid, rejects);
    }
out:
    json_decref(rejects);
    return status;
}

static void
write_here(batch *b, const int64_t *oids, size_t n)
{
    newt__session *c = b->c;
    newt__params p = {0};
    PGresult *r;
    char *rejects;

    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&b->zoids, oids[i]);
    newt__param_array(&p, &b->zoids);
    newt__send(c, NEWT__S_FOLLOW_READ, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    newt__array_begin(&b->zoids, NEWT__OID_INT8);
    newt__array_begin(&b->seen, NEWT__OID_INT8);
    newt__array_begin(&b->names, NEWT__OID_TEXT);
    newt__array_begin(&b->serials, NEWT__OID_INT8);
    newt__array_begin(&b->documents, NEWT__OID_JSONB);
    json_decref(b->rejects);
    b->rejects = json_array();
    if (!b->rejects)
        b->status = NEWT_ENOMEM;
    for (int i = 0; r && b->status == NEWT_OK && i < PQntuples(r); i++)
        b->status = compute(b, r, i);
    PQclear(r);
    if (b->status != NEWT_OK || b->zoids.n == 0)
        return;
    rejects = newt__json_dump(b->rejects, JSON_COMPACT);
    if (!rejects) {
        b->status = NEWT_ENOMEM;
        return;
    }
    p = (newt__params){0};
    newt__param_array(&p, &b->zoids);
    newt__param_array(&p, &b->seen);
    newt__param_array(&p, &b->names);
    newt__param_array(&p, &b->serials);
    newt__param_array(&p, &b->documents);
    newt__param_text(&p, rejects);
    newt__send(c, NEWT__S_FOLLOW_WRITE, &p);
    newt__sync(c);
    take_written(b);
    free(rejects);
}

/* ---- in pieces ------------------------------------------------------------------------ */

bool
newt__follow_going(const newt__follow *b)
{
    return b->status == NEWT_OK && b->c->talk->error.status == NEWT_OK && !b->c->broken;
}

static void
begin_piece(batch *b)
{
    newt__send(b->c, NEWT__S_SAVEPOINT, NULL);
    newt__sync(b->c);
    newt__take_done(b->c);
    newt__take_sync(b->c);
}

static void
end_piece(batch *b, bool undo)
{
    if (undo)
        newt__send(b->c, NEWT__S_ROLLBACK_TO, NULL);
    newt__send(b->c, NEWT__S_RELEASE, NULL);
    newt__sync(b->c);
    if (undo)
        newt__take_done(b->c);
    newt__take_done(b->c);
    newt__take_sync(b->c);
}

/* Writes all of these objects: true. Or the server has refused one, none is written, and *why says
 * so; or something else has failed, and nothing is going on. */
static bool
write_piece(batch *b, const int64_t *oids, size_t n, newt_error *why)
{
    begin_piece(b);
    if (b->c->has_extension) {
        send_server(b, NEWT__S_FOLLOW_SERVER, oids, n);
        take_written(b);
    } else {
        write_here(b, oids, n);
    }
    if (newt__follow_going(b)) {
        end_piece(b, false);
        return newt__follow_going(b);
    }
    if (b->status == NEWT_OK && !b->c->broken && newt__is_of_a_row(&b->c->talk->error)) {
        newt__error_move(why, &b->c->talk->error);
        end_piece(b, true);
    }
    return false;
}

/* Keeps what is to be told of a refused object, when the batch is committed. */
static void
note(batch *b, int64_t oid, const PGresult *r, newt_error *why)
{
    newt__reader head;
    newt_error *e;

    if (b->n_told == NEWT__MOST_TOLD)
        return;
    e = &b->told[b->n_told++];
    if (newt__read_begin(&head, &newt__malloc_env, PQgetvalue(r, 0, 0),
                         (size_t)PQgetlength(r, 0, 0)) != NEWT__OK)
        head.class_n = 0;
    newt__fail(e, NEWT_OK, oid, "the database refuses the JSONB of %.*s %lld: %s",
               head.class_n ? (int)head.class_n : 6, head.class_n ? head.class_name : "object",
               (long long)oid, newt_error_message(why));
    if (head.class_n)
        newt__fail_class(e, head.class_name, head.class_n);
    newt__fail_detail(e, "%s", newt_error_detail(why));
    newt__fail_hint(e, "See newt_reject. It is tried again when the object is next written, and by "
                       "newt_retry_rejects() or newt-updater --retry-rejects.");
    memcpy(e->sqlstate, why->sqlstate, sizeof e->sqlstate);
    e->constraint = why->constraint;
    why->constraint = NULL;
}

/* The row of this object is left out. */
static void
refuse(batch *b, int64_t oid, newt_error *why)
{
    newt__session *c = b->c;
    const char *constraint = newt_error_constraint(why);
    newt__params p = {0};
    PGresult *r;

    newt__param_int(&p, oid);
    newt__param_text(&p, newt_error_message(why));
    newt__param_text(&p, why->sqlstate);
    newt__param_text(&p, *constraint ? constraint : NULL);
    newt__send(c, NEWT__S_FOLLOW_REFUSE, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1 && newt__field_bool(r, 0, 1)) {
        b->progress.refused++;
        if (why->status == NEWT_EUNIQUE)
            (void)newt__oids_add(&b->early, oid);
        if (b->early.failed)
            b->status = NEWT_ENOMEM;
        if (why->status != NEWT_EUNIQUE || b->again)
            note(b, oid, r, why);
    }
    PQclear(r);
}

/* Writes all that the server does not refuse. The recursion ends with single objects: it is no
 * deeper than the binary logarithm of a chunk. */
static void
divide(batch *b, const int64_t *oids, size_t n)
{
    newt_error why = {0};

    if (!write_piece(b, oids, n, &why) && newt__follow_going(b)) {
        if (n == 1) {
            refuse(b, oids[0], &why);
        } else {
            divide(b, oids, n / 2);
            if (newt__follow_going(b))
                divide(b, oids + n / 2, n - n / 2);
        }
    }
    newt__error_clear(&why);
}

static void
forget_told(batch *b, size_t from)
{
    while (b->n_told > from)
        newt__error_clear(&b->told[--b->n_told]);
}

void
newt__chunks_early(newt__follow *b)
{
    size_t told = b->n_told;
    bool again = b->again;
    newt__oids now = {0};

    if (b->early.n == 0)
        return;
    b->again = true;
    do {
        forget_told(b, told);
        newt__oids_free(&now);
        now = b->early;
        b->early = (newt__oids){0};
        b->progress.refused -= (int64_t)now.n;
        for (size_t i = 0; i < now.n && newt__follow_going(b); i++)
            divide(b, now.oids + i, 1);
    } while (newt__follow_going(b) && b->early.n > 0 && b->early.n < now.n);
    b->again = again;
    newt__oids_free(&now);
}

void
newt__chunks_tell(newt__follow *b)
{
    const newt_options *o = b->c->storage->options;
    newt_error rest = {0};

    for (size_t i = 0; o->notice && i < b->n_told; i++)
        o->notice(&b->told[i], o->notice_arg);
    if (o->notice && b->progress.refused > (int64_t)b->n_told) {
        newt__fail(&rest, NEWT_OK, 0, "the database refuses the JSONB of %lld more objects",
                   (long long)(b->progress.refused - (int64_t)b->n_told));
        newt__fail_hint(&rest, "See newt_reject.");
        o->notice(&rest, o->notice_arg);
        newt__error_clear(&rest);
    }
}

/* ---- a list of objects ---------------------------------------------------------------- */

void
newt__chunks_write(newt__follow *b, const int64_t *oids, size_t n)
{
    size_t chunk = b->c->has_extension ? CHUNK : CHUNK_IN_CLIENT;
    newt__oids rest = {0};

    if (b->c->has_extension && !b->careful) {
        bool quick = b->c->has_project_new && !b->virtual;

        if (quick) {
            write_in_server(b, oids, n, &rest);
            oids = rest.oids;
            n = rest.n;
        }
        write_in_server(b, oids, n, NULL);
        newt__oids_free(&rest);
        return;
    }
    for (size_t i = 0; i < n && newt__follow_going(b); i += chunk) {
        size_t m = n - i < chunk ? n - i : chunk;

        if (b->careful)
            divide(b, oids + i, m);
        else
            write_here(b, oids + i, m);
    }
}

void
newt__chunks_forget(newt__follow *b)
{
    forget_told(b, 0);
}
