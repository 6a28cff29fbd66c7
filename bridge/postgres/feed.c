/*
 * feed.c - transactions in the order in which they became visible, and objects as they are now
 */
#include "session.h"

#include <stdlib.h>
#include <time.h>

enum {
    FIRST_ROWS = 16, /* of the first statement */
    MOST_ROWS = 1000,
    FIRST_PAUSE_MS = 10,
    LONGEST_PAUSE_MS = 250,
    SHORTEST_RECORD = 1024, /* that may be left out of many */
    LOOKED_UP = 1000        /* objects of one statement */
};

/* What is being handed over. */
typedef struct feed {
    newt__session *c;
    newt__take_transaction *take;
    void *arg;
    newt__cursor *at;
    int64_t wanted, objects; /* so far */
    int64_t taken;           /* transactions */
    newt__oids written, removed;
    newt__buffer classes;
    bool missing; /* a part of a large transaction is */
} feed;

/* ---- transactions ----------------------------------------------------------------------- */

static const char *
text_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

/* The objects of a row, whose columns begin at this one. */
static int
read_objects(feed *f, newt__transaction *t, const PGresult *r, int row, int column)
{
    f->written.n = f->removed.n = f->classes.n = 0;
    if (!newt__field_oids(r, row, column, &f->written) ||
        !newt__field_oids(r, row, column + 1, &f->removed) ||
        !newt__field_texts(r, row, column + 2, &f->classes))
        return newt__fail_memory(&f->c->error);
    t->written = f->written.oids;
    t->n_written = f->written.n;
    t->removed = f->removed.oids;
    t->n_removed = f->removed.n;
    f->objects += (int64_t)(t->n_written + t->n_removed);
    f->taken++;
    return newt__removed_classes_set(t, &f->classes) ? NEWT_OK : newt__fail_memory(&f->c->error);
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
    newt__session *c = f->c;
    int status = NEWT_OK;

    do {
        newt__params p = {0};
        PGresult *r;

        newt__param_int(&p, t->at.serial);
        newt__param_int(&p, f->at->parts);
        newt__send(c, NEWT__S_FEED_PART, &p);
        newt__sync(c);
        r = newt__take(c);
        newt__take_sync(c);
        f->missing = r && PQntuples(r) == 0;
        if (r && !f->missing) {
            status = read_objects(f, t, r, 0, 0);
            t->more = newt__field_bool(r, 0, 3);
            if (status == NEWT_OK)
                status = f->take(f->arg, t);
            if (status == NEWT_OK)
                *f->at = t->more ? (newt__cursor){f->at->after, f->at->parts + 1, t->at.serial}
                                 : (newt__cursor){.after = t->at};
        }
        PQclear(r);
        if (!r || f->missing)
            return c->talk->error.status;
    } while (status == NEWT_OK && t->more && !enough(f));
    return status;
}

static int
hand_over(feed *f, const PGresult *r, int row)
{
    newt__transaction t = {.at = {newt__field_int(r, row, 0), newt__field_int(r, row, 1)},
                           .committed_us = newt__field_int(r, row, 2),
                           .user = text_at(r, row, 3),
                           .description = text_at(r, row, 4),
                           .extension = text_at(r, row, 5)};
    int status;

    /* that of which there were parts is gone */
    f->missing = f->at->parts > 0 && f->at->serial != t.at.serial;
    if (f->missing)
        return NEWT_OK;
    if (PQgetisnull(r, row, 6))
        return hand_over_parts(f, &t);
    status = read_objects(f, &t, r, row, 6);
    if (status == NEWT_OK)
        status = f->take(f->arg, &t);
    if (status == NEWT_OK)
        *f->at = (newt__cursor){.after = t.at};
    return status;
}

/* Where the new ones begin in the answer; -1: the position is not there. */
static int
first_new(const PGresult *r, const newt__position *after)
{
    if (after->tid == 0)
        return 0;
    return PQntuples(r) > 0 && newt__field_int(r, 0, 0) == after->tid &&
                   (after->serial == 0 || newt__field_int(r, 0, 1) == after->serial)
               ? 1
               : -1;
}

/* The position is not in the store: what has become of it. */
static int
missing(newt__session *c, newt__position after)
{
    int64_t oldest, newest;
    PGresult *r;
    int status = newt__ask_row(c, NEWT__S_FEED_ENDS, NULL, &r);

    oldest = r ? newt__field_int(r, 0, 0) : 0;
    newest = r ? newt__field_int(r, 0, 1) : 0;
    PQclear(r);
    if (status != NEWT_OK)
        return status;
    status = newt__fail_missing(&c->error, after.tid);
    if (after.tid < oldest)
        newt__fail_detail(
            &c->error,
            "It was pruned, or is of another store: the oldest transaction that is kept is %lld.",
            (long long)oldest);
    else if (after.tid > newest)
        newt__fail_detail(&c->error,
                          "The newest one is %lld: the store was restored from an older backup, or "
                          "a standby was promoted that lacked the last transactions.",
                          (long long)newest);
    else
        newt__fail_detail(&c->error, "Another history has taken its place: the store was restored, "
                                     "or a standby was promoted that lacked this transaction.");
    return status;
}

/* The number of rows to ask for to get about this many objects, judged by the transactions read so
 * far. */
static int
rows_for(const newt__session *c, int64_t objects)
{
    int64_t rows = c->per_transaction ? objects / c->per_transaction + 2 : FIRST_ROWS;

    return (int)(rows < MOST_ROWS ? rows : MOST_ROWS);
}

int
newt__session_feed(newt__session *c, newt__cursor *at, int64_t objects,
                   newt__take_transaction *take, void *arg)
{
    feed f = {.c = c,
              .take = take,
              .arg = arg,
              .at = at,
              .wanted = objects,
              .classes.env = &newt__malloc_env};
    int status = newt__session_server(c), first = 0, asked = 0, rows = 0;

    while (status == NEWT_OK && rows == asked && !f.missing && !enough(&f)) {
        newt__params p = {0};
        PGresult *r;

        newt__param_int(&p, at->after.tid);
        asked = 1 + rows_for(c, objects - f.objects); /* the one that is known comes first */
        newt__param_int(&p, asked);
        newt__talk_begin(c);
        newt__send(c, NEWT__S_FEED, &p);
        newt__sync(c);
        r = newt__take(c);
        newt__take_sync(c);
        rows = r ? PQntuples(r) : 0;
        first = r ? first_new(r, &at->after) : 0;
        for (int i = first < 0 ? rows : first;
             status == NEWT_OK && i < rows && at->parts == 0 && !f.missing && !enough(&f); i++)
            status = hand_over(&f, r, i);
        /* in the middle of a large one */
        if (status == NEWT_OK && first >= 0 && first < rows && at->parts > 0 && !enough(&f))
            status = hand_over(&f, r, first);
        PQclear(r);
        newt__take_rest(c);
        if (c->talk->error.status != NEWT_OK)
            status = newt__talk_end(c);
        else if (first < 0)
            f.missing = true;
        if (f.taken > 0)
            c->per_transaction = (c->per_transaction + f.objects / f.taken) / 2 + 1;
    }
    c->read_n = c->opened_n;
    if (status == NEWT_OK && f.missing)
        status = missing(c, at->after);
    newt__oids_free(&f.written);
    newt__oids_free(&f.removed);
    newt__buffer_free(&f.classes);
    return status;
}

int
newt__session_origin(newt__session *c, int64_t serial, newt__take_transaction *take, void *arg)
{
    newt__params p = {0};
    newt__transaction t;
    PGresult *r;
    int status;

    newt__param_int(&p, serial);
    status = newt__ask_row(c, NEWT__S_ORIGIN, &p, &r);
    if (status == NEWT_OK && r) {
        t = (newt__transaction){.at = {newt__field_int(r, 0, 0), newt__field_int(r, 0, 1)},
                                .committed_us = newt__field_int(r, 0, 2),
                                .user = text_at(r, 0, 3),
                                .description = text_at(r, 0, 4),
                                .extension = text_at(r, 0, 5)};
        status = take(arg, &t);
    }
    PQclear(r);
    return status;
}

int
newt__session_newest(newt__session *c, newt__position *out)
{
    PGresult *r;
    int status = newt__ask_row(c, NEWT__S_NEWEST, NULL, &r);

    *out = (newt__position){0};
    if (r)
        *out = (newt__position){newt__field_int(r, 0, 0), newt__field_int(r, 0, 1)};
    PQclear(r);
    return status;
}

int
newt__session_wait_feed(newt__session *c, newt__position after, int at_most_ms)
{
    int64_t until = newt__clock() + (int64_t)at_most_ms * 1000, pause = FIRST_PAUSE_MS * 1000;
    newt__position newest;
    int status;

    while ((status = newt__session_newest(c, &newest)) == NEWT_OK && newest.tid <= after.tid) {
        int64_t left = until - newt__clock();
        int64_t us = left < pause ? left : pause;
        struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

        if (left <= 0)
            return 0;
        nanosleep(&t, NULL);
        pause = 2 * pause < LONGEST_PAUSE_MS * 1000 ? 2 * pause : LONGEST_PAUSE_MS * 1000;
    }
    return status != NEWT_OK ? status : 1;
}

/* ---- objects ------------------------------------------------------------------------------ */

/* Who takes them, and the first status that is not NEWT_OK. */
typedef struct taking {
    newt__take_record *take;
    void *arg;
    int status;
} taking;

static void
take_rows(void *arg, const PGresult *r)
{
    taking *t = arg;
    bool records = PQnfields(r) > 2;

    for (int i = 0, n = PQntuples(r); i < n && t->status == NEWT_OK; i++) {
        newt__found x = {.oid = newt__field_int(r, i, 0), .serial = newt__field_int(r, i, 1)};

        if (records && !PQgetisnull(r, i, 2)) {
            x.record = PQgetvalue(r, i, 2);
            x.n = (size_t)PQgetlength(r, i, 2);
        } else if (records) {
            x.n = (size_t)newt__field_int(r, i, 3);
        }
        t->status = t->take(t->arg, &x);
    }
}

int
newt__session_scan(newt__session *c, int64_t after, size_t n, newt__take_record *take, void *arg)
{
    taking t = {.take = take, .arg = arg, .status = newt__session_server(c)};
    newt__params p = {0};
    int first;

    if (t.status != NEWT_OK)
        return t.status;
    newt__param_int(&p, after);
    newt__param_int(&p, (int64_t)n);
    newt__talk_begin(c);
    c->read_n = c->opened_n;
    newt__send(c, NEWT__S_FEED_SCAN, &p);
    newt__sync(c);
    newt__take_rows(c, take_rows, &t);
    newt__take_rest(c);
    first = newt__talk_end(c);
    return first != NEWT_OK ? first : t.status;
}

int
newt__session_look(newt__session *c, const int64_t *oids, size_t n, newt__extent extent,
                   int64_t bytes, newt__take_record *take, void *arg)
{
    newt__array array = {.buf.env = &newt__malloc_env};
    taking t = {.take = take, .arg = arg, .status = newt__session_server(c)};
    int64_t longest = n > 0 ? bytes / (int64_t)n : bytes;
    size_t sent = 0;
    int first;

    if (t.status != NEWT_OK)
        return t.status;
    if (n == 1)
        longest = INT64_MAX;
    else if (longest < SHORTEST_RECORD)
        longest = SHORTEST_RECORD;
    newt__talk_begin(c);
    /* the server works on all of them, while the rows of the first are taken */
    while (sent < n) {
        newt__params p = {0};

        newt__array_begin(&array, NEWT__OID_INT8);
        for (size_t end = n - sent > LOOKED_UP ? sent + LOOKED_UP : n; sent < end; sent++)
            newt__array_int(&array, oids[sent]);
        newt__param_array(&p, &array);
        newt__param_int(&p, longest);
        newt__send(c, extent == NEWT__WHOLE ? NEWT__S_FEED_LOOK : NEWT__S_FEED_HEADS, &p);
    }
    newt__sync(c);
    for (size_t i = 0; i < n && t.status == NEWT_OK; i += LOOKED_UP)
        newt__take_rows(c, take_rows, &t);
    newt__buffer_free(&array.buf);
    newt__take_rest(c);
    first = newt__talk_end(c);
    return first != NEWT_OK ? first : t.status;
}

int
newt__session_count(newt__session *c, newt__take_count *take, void *arg)
{
    int status = newt__session_server(c);
    PGresult *r;

    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_COUNT, NULL);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    status = newt__talk_end(c);
    for (int i = 0; r && status == NEWT_OK && i < PQntuples(r); i++)
        status = take(arg, &(newt__counted){.head = PQgetvalue(r, i, 0),
                                            .n = (size_t)PQgetlength(r, i, 0),
                                            .objects = newt__field_int(r, i, 1)});
    PQclear(r);
    return status;
}

/* ---- what is durable, and who is in the way ------------------------------------------------- */

/* What a standby has, the primary had made durable before it sent it. Of what was read over an
 * earlier connection nothing is known: the server may have crashed since, or be another. */
int
newt__session_barrier(newt__session *c)
{
    int status = newt__session_server(c);

    if (status == NEWT_OK && c->read_n != c->opened_n)
        status = newt__fail(&c->error, NEWT_ELOST, 0, "the server connection was lost");
    if (status != NEWT_OK || c->standby)
        return status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_BARRIER, NULL);
    newt__sync(c);
    newt__take_done(c);
    newt__take_sync(c);
    return newt__talk_end(c);
}

int
newt__session_holder(newt__session *c, int *pid, int64_t *us)
{
    PGresult *r;
    int status = newt__ask_row(c, NEWT__S_HOLDER, NULL, &r);

    *pid = r ? (int)newt__field_int(r, 0, 0) : 0;
    *us = r ? newt__field_int(r, 0, 1) : 0;
    PQclear(r);
    return status;
}
