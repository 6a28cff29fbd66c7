/*
 * follow.c - followers of the transactions, and the projection they write
 *
 * A batch is one READ COMMITTED transaction. It first moves the follower's position by
 * compare-and-set: one worker at a time writes under a name. Which transactions come next was read
 * before; what is after the position never changes, for tid order is the order of visibility.
 *
 * Then, a chunk of objects at a time, one statement (hence one snapshot) reads each record together
 * with the serial of its row. Rows that are of their record already are left alone; others are
 * computed and written by compare-and-set on the serial seen, or inserted where none was seen. A
 * lost comparison is right: an inline writer has been there whose transaction this snapshot did not
 * have, and its row is newer. If that writer removed the object, and this follower then inserts a
 * row for it, the removal is in a transaction after the new position: the next batch deletes it.
 *
 * The database may refuse a row: an index, a constraint or a trigger. Then the batch
 * is rolled back and done once more, in pieces that a savepoint keeps apart and that are halved
 * until the row is found. It is left out, and entered in newt_reject; all others are written, and
 * the position moves on. What was refused because another object has the same value may only have
 * come too early, so it is tried again after the others of its batch, and when there is nothing
 * else to do.
 *
 * A new name has no position, and the transactions since the beginning may have been pruned, as may
 * those after a position that is very old. Then all objects are gone through once, in zoid order
 * and in batches of their own; the position is that of before, so nothing is missed, and what is
 * done twice is left alone the second time.
 */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 5000, /* objects of one statement when all are gone through */
    REST = 20      /* between two attempts at the same objects: times what one has taken */
};

/* Where a connection is that goes through all objects. */
struct newt__scan {
    int64_t old_tid; /* its position until now; 0: none */
    int64_t tid;     /* its position afterwards */
    int64_t zoid;    /* everything up to here is done */
    bool orphans;    /* objects are done, rows without an object are next */
    char name[];
};

typedef newt__follow batch;

/* ---- a list of objects ---------------------------------------------------------------- */

static int
compare_oids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Rising, each once; new objects mostly are. */
static void
sort(newt__oids *l)
{
    size_t n = 1;

    while (n < l->n && l->oids[n - 1] < l->oids[n])
        n++;
    if (n >= l->n)
        return;
    qsort(l->oids, l->n, sizeof *l->oids, compare_oids);
    n = 1;
    for (size_t i = 1; i < l->n; i++)
        if (l->oids[i] != l->oids[n - 1])
            l->oids[n++] = l->oids[i];
    l->n = n;
}

/* Those of some transactions; in the server this takes longer. */
static void
take_oids(batch *b, newt__oids *l)
{
    PGresult *r = newt__take(b->c);

    l->n = 0;
    for (int row = 0; r && row < PQntuples(r) && b->status == NEWT_OK; row++)
        if (!newt__field_oids(r, row, 0, l))
            b->status = l->failed ? NEWT_ENOMEM : NEWT_ESTORE;
    PQclear(r);
    sort(l);
}

/* A transaction whose oids are in chunks. */
static void
write_large(batch *b, int64_t serial)
{
    newt__oids l = {0};

    for (int64_t n = 0; newt__follow_going(b); n++) {
        newt__params p = {0};

        newt__param_int(&p, serial);
        newt__param_int(&p, n);
        newt__send(b->c, NEWT__S_FOLLOW_CHUNK, &p);
        newt__sync(b->c);
        take_oids(b, &l);
        newt__take_sync(b->c);
        if (l.n == 0)
            break;
        newt__chunks_write(b, &l);
    }
    free(l.oids);
}

/* ---- one batch ------------------------------------------------------------------------ */

static void
begin(batch *b)
{
    newt__send(b->c, NEWT__S_BEGIN_WRITE, NULL);
    newt__send(b->c, NEWT__S_FOLLOW_UNTIMED, NULL);
    b->c->in_transaction = true;
}

static void
take_begin(batch *b)
{
    newt__take_done(b->c);
    newt__take_done(b->c);
}

/* What would be checked by COMMIT is checked with each piece. */
static void
send_constraints(batch *b)
{
    if (b->careful)
        newt__send(b->c, NEWT__S_CONSTRAINTS, NULL);
}

static void
take_constraints(batch *b)
{
    if (b->careful)
        newt__take_done(b->c);
}

static void
send_client_classes(batch *b)
{
    newt__send(b->c, NEWT__S_FOLLOW_CLIENT_CLASSES, NULL);
}

/* The names come as an array, and go out again as one. */
static void
take_client_classes(batch *b)
{
    PGresult *r = newt__take(b->c);
    const char *s = r ? PQgetvalue(r, 0, 0) : NULL;
    size_t n = r ? (size_t)PQgetlength(r, 0, 0) : 0;

    newt__array_begin(&b->classes, NEWT__OID_TEXT);
    if (n > 20) {
        b->classes.buf.n = 0;
        b->classes.failed = newt__buffer_append(&b->classes.buf, s, n) ? NEWT_OK : NEWT_ENOMEM;
        b->classes.n = (uint32_t)(uint8_t)s[12] << 24 | (uint32_t)(uint8_t)s[13] << 16 |
                       (uint32_t)(uint8_t)s[14] << 8 | (uint8_t)s[15];
    }
    PQclear(r);
}

/* Ends the transaction: everything is there, or nothing. */
static int
finish(batch *b)
{
    newt__session *c = b->c;
    newt_error *e = &c->talk->error;
    PGresult *r;

    newt__take_rest(c);
    if (newt__follow_going(b)) {
        newt__send(c, NEWT__S_COMMIT, NULL);
        newt__sync(c);
        r = newt__take(c);
        if (r && strcmp(PQcmdStatus(r), "COMMIT") != 0)
            newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
        PQclear(r);
        newt__take_sync(c);
    } else {
        if (b->status == NEWT_ENOMEM)
            newt__fail_memory(e);
        else if (b->status != NEWT_OK)
            newt__fail(e, b->status, 0, "the store's transactions are not as they should be");
        newt__send(c, NEWT__S_ROLLBACK, NULL);
        newt__sync(c);
        newt__forget(c);
    }
    c->in_transaction = false;
    return newt__talk_end(c);
}

static int
follow(batch *b, int64_t old_tid, const newt__oids *large)
{
    newt__session *c = b->c;
    newt__params move = {0}, range = {0};
    newt__oids l = {0};

    newt__param_text(&move, b->name);
    newt__param_int(&move, old_tid);
    newt__param_int(&move, b->progress.tid);
    newt__param_int(&range, old_tid);
    newt__param_int(&range, b->progress.tid);
    newt__talk_begin(c);
    begin(b);
    send_constraints(b);
    newt__send(c, NEWT__S_FOLLOW_MOVE, &move);
    send_client_classes(b);
    newt__send(c, NEWT__S_FOLLOW_OBJECTS, &range);
    newt__sync(c);
    take_begin(b);
    take_constraints(b);
    newt__take_done(c);
    take_client_classes(b);
    take_oids(b, &l);
    newt__take_sync(c);
    newt__chunks_write(b, &l);
    for (size_t i = 0; i < large->n && newt__follow_going(b); i++)
        write_large(b, large->oids[i]);
    free(l.oids);
    newt__chunks_early(b);
    return finish(b);
}

/* ---- all objects, for a new follower -------------------------------------------------- */

static int
begin_scan(batch *b, int64_t old_tid, int64_t newest)
{
    struct newt__scan *scan = calloc(1, sizeof *scan + strlen(b->name) + 1);

    if (!scan)
        return newt__fail_memory(&b->c->error);
    strcpy(scan->name, b->name);
    scan->old_tid = old_tid;
    scan->tid = newest;
    free(b->c->scan);
    b->c->scan = scan;
    return NEWT_OK;
}

/* The position that the follower has from now on. */
static int
end_scan(batch *b)
{
    newt__session *c = b->c;
    const struct newt__scan *scan = c->scan;
    newt__params p = {0};

    newt__param_text(&p, scan->name);
    if (scan->old_tid)
        newt__param_int(&p, scan->old_tid);
    newt__param_int(&p, scan->tid);
    newt__talk_begin(c);
    begin(b);
    newt__send(c, scan->old_tid ? NEWT__S_FOLLOW_MOVE : NEWT__S_FOLLOW_NEW, &p);
    newt__sync(c);
    take_begin(b);
    newt__take_done(c);
    newt__take_sync(c);
    b->progress.tid = scan->tid;
    free(c->scan);
    c->scan = NULL;
    return finish(b);
}

/* Brings the objects up to date that a statement finds, which gives how many there are, the last,
 * and those that matter. */
static int
write_window(batch *b, newt__statement s, const newt__params *p, int64_t *n, int64_t *last)
{
    newt__session *c = b->c;
    newt__oids l = {0};
    PGresult *r;

    *n = *last = 0;
    newt__talk_begin(c);
    begin(b);
    send_constraints(b);
    send_client_classes(b);
    newt__send(c, s, p);
    newt__sync(c);
    take_begin(b);
    take_constraints(b);
    take_client_classes(b);
    r = newt__take(c);
    newt__take_sync(c);
    if (r && PQntuples(r) == 1) {
        *n = newt__field_int(r, 0, 0);
        *last = newt__field_int(r, 0, 1);
        if (!newt__field_oids(r, 0, 2, &l))
            b->status = NEWT_ENOMEM;
    }
    PQclear(r);
    newt__chunks_write(b, &l);
    free(l.oids);
    newt__chunks_early(b);
    return finish(b);
}

static int
scan_on(batch *b, int64_t max_objects)
{
    struct newt__scan *scan = b->c->scan;
    int64_t limit = max_objects < WINDOW ? max_objects : WINDOW, n, last;
    newt__params p = {0};
    int status;

    newt__param_int(&p, scan->zoid);
    newt__param_int(&p, limit);
    status = write_window(b, scan->orphans ? NEWT__S_FOLLOW_ORPHANS : NEWT__S_FOLLOW_SCAN, &p, &n,
                          &last);
    if (status != NEWT_OK)
        return status;
    b->progress.tid = scan->old_tid;
    if (n == limit) {
        scan->zoid = last;
    } else if (!scan->orphans) {
        scan->orphans = true;
        scan->zoid = 0;
    } else {
        return end_scan(b);
    }
    return NEWT_OK;
}

/* ---- what was refused ----------------------------------------------------------------- */

/* Tries the next of them again; *zoid: everything up to here has been tried, 0 after the last. */
static int
retry_refused(batch *b, bool only_early, int64_t max_objects, int64_t *zoid)
{
    int64_t limit = max_objects < WINDOW ? max_objects : WINDOW, n, last;
    newt__params p = {0};
    int status;

    newt__param_int(&p, *zoid);
    newt__param_int(&p, limit);
    newt__param_int(&p, only_early);
    b->careful = b->again = true;
    status = write_window(b, NEWT__S_FOLLOW_REFUSED, &p, &n, &last);
    if (status == NEWT_OK) {
        b->progress.transactions = n > 0;
        *zoid = n == limit ? last : 0;
    }
    return status;
}

/* When there is nothing else to do: what another object's row was in the way of, if rows have
 * changed since it was last tried. Never for more than a small part of the time. */
static int
retry_early(batch *b, int64_t max_objects)
{
    newt__refusals *f = &b->c->refusals;
    int64_t begun = newt__clock(), tid = b->progress.tid;
    int status;

    if (f->settled || begun < f->not_before_us)
        return NEWT_OK;
    status = retry_refused(b, true, max_objects, &f->early_zoid);
    if (status != NEWT_OK)
        return status;
    f->left |= b->progress.refused > 0;
    if (f->early_zoid == 0) {
        f->settled = true;
        f->none_early = !f->left;
        f->left = false;
    }
    f->not_before_us = newt__clock() + REST * (newt__clock() - begun);
    /* these are no news; a batch that has done something is followed by another look */
    newt__chunks_forget(b);
    b->progress.refused = 0;
    b->progress.transactions = b->progress.written > 0;
    b->progress.tid = tid;
    return NEWT_OK;
}

/* After a batch, by whichever follower: what was refused early is worth another attempt. */
static void
remember(batch *b)
{
    newt__refusals *f = &b->c->refusals;

    if (b->early.n > 0)
        f->none_early = false;
    if (!f->none_early) {
        f->settled = false;
        f->early_zoid = 0;
    }
}

/* ---- newt_project --------------------------------------------------------------------- */

/* The next transactions, or (large NULL) the next of all objects; once more if a row is refused. */
static int
carefully(batch *b, int64_t max_objects, int64_t old_tid, const newt__oids *large)
{
    const newt_progress before = b->progress;
    int status;

    for (;;) {
        status = large ? follow(b, old_tid, large) : scan_on(b, max_objects);
        /* the store's own primary key has refused what newt.project_new() did not see */
        if (status == NEWT_OK || b->careful ||
            (!newt__is_of_a_row(&b->c->error) && !b->c->error.own))
            break;
        b->careful = true;
        b->progress = before;
    }
    if (status == NEWT_OK)
        remember(b);
    return status;
}

static int
next_batch(batch *b, int64_t max_objects)
{
    newt__session *c = b->c;
    newt__oids large = {0};
    newt__params p = {0};
    int64_t old_tid, newest;
    bool known;
    PGresult *r;
    int status;

    newt__param_text(&p, b->name);
    newt__param_int(&p, max_objects);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_FOLLOW_NEXT, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    status = newt__talk_end(c);
    if (status != NEWT_OK || !r) {
        PQclear(r);
        return status;
    }
    old_tid = newt__field_int(r, 0, 0);
    known = newt__field_bool(r, 0, 1);
    b->progress.transactions = newt__field_int(r, 0, 2);
    b->progress.tid = newt__field_int(r, 0, 3);
    if (!newt__field_oids(r, 0, 4, &large))
        b->status = NEWT_ENOMEM;
    b->progress.behind_us = newt__field_int(r, 0, 5);
    newest = newt__field_int(r, 0, 6);
    PQclear(r);
    if (!known) {
        b->progress.transactions = 1;
        if (!c->scan || strcmp(c->scan->name, b->name) != 0 || c->scan->old_tid != old_tid)
            status = begin_scan(b, old_tid, newest);
        if (status == NEWT_OK)
            status = carefully(b, max_objects, old_tid, NULL);
    } else if (b->progress.transactions > 0) {
        status = carefully(b, max_objects, old_tid, &large);
    } else if (b->progress.behind_us == 0) {
        status = retry_early(b, max_objects);
    }
    free(large.oids);
    return status;
}

typedef int batch_work(batch *b, int64_t max_objects);

static int
next_refused(batch *b, int64_t max_objects)
{
    int64_t *zoid = &b->c->refusals.zoid;
    int status = retry_refused(b, false, max_objects, zoid);

    b->progress.behind_us = status == NEWT_OK && *zoid != 0;
    return status;
}

/* One batch. */
static int
run(newt__session *c, const char *follower, batch_work *work, int64_t max_objects,
    newt_progress *out)
{
    batch b = {.c = c, .name = follower};
    int status;

    b.classes.buf.env = b.zoids.buf.env = b.seen.buf.env = b.names.buf.env = &newt__malloc_env;
    b.serials.buf.env = b.documents.buf.env = b.json.env = &newt__malloc_env;
    for (int attempt = 0; attempt < 2; attempt++) {
        status = newt__session_server(c);
        if (status == NEWT_OK)
            status = work(&b, max_objects);
        if (status != NEWT_ELOST || !c->reopen)
            break;
        /* the server has changed under the connection: nothing was written, and another looks */
        b.careful = b.again = false;
        b.status = NEWT_OK;
        b.progress = (newt_progress){0};
        b.early.n = 0;
        newt__chunks_forget(&b);
        newt__error_clear(&c->error);
    }
    if (strcmp(c->error.sqlstate, "40001") == 0)
        newt__fail_hint(&c->error, "Only one process at a time can follow as \"%s\".", follower);
    json_decref(b.rejects);
    newt__buffer_free(&b.classes.buf);
    newt__buffer_free(&b.zoids.buf);
    newt__buffer_free(&b.seen.buf);
    newt__buffer_free(&b.names.buf);
    newt__buffer_free(&b.serials.buf);
    newt__buffer_free(&b.documents.buf);
    newt__buffer_free(&b.json);
    free(b.early.oids);
    if (status == NEWT_OK) {
        newt__error_clear(&c->error); /* of a batch that was done once more */
        *out = b.progress;
        newt__chunks_tell(&b);
    }
    newt__chunks_forget(&b);
    return status;
}

int
newt__session_project(newt__session *c, const char *name, int64_t max_objects, newt_progress *out)
{
    return run(c, name, next_batch, max_objects, out);
}

int
newt__session_retry(newt__session *c, int64_t max_objects, newt_progress *out)
{
    return run(c, "rejects", next_refused, max_objects, out);
}
