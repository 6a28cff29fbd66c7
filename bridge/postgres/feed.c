/*
 * feed.c - transactions in the order in which they became visible
 */
#include "session.h"

#include <stdlib.h>
#include <time.h>

enum {
    ROWS = 1000, /* of one statement */
    FIRST_PAUSE_MS = 10,
    LONGEST_PAUSE_MS = 250
};

/* What is being handed over. */
typedef struct feed {
    newt__session *c;
    newt__take_transaction *take;
    void *arg;
    int64_t objects; /* so far */
    newt__oids written, removed;
} feed;

/* The oids of a large transaction; in one statement, so that they are all of one state. */
static int
add_chunks(feed *f, int64_t serial)
{
    newt__session *c = f->c;
    newt__params p = {0};
    PGresult *r;

    newt__param_int(&p, serial);
    newt__send(c, NEWT__S_FEED_CHUNKS, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    for (int i = 0; r && i < PQntuples(r); i++)
        if (!newt__field_oids(r, i, 0, &f->written) || !newt__field_oids(r, i, 1, &f->removed))
            newt__fail_memory(&c->talk->error);
    if (r && PQntuples(r) == 0)
        newt__fail(&c->talk->error, NEWT_EMISSING, 0,
                   "the oids of the transaction with serial %lld are not in the store",
                   (long long)serial);
    PQclear(r);
    return c->talk->error.status;
}

static const char *
text_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

static int
hand_over(feed *f, const PGresult *r, int row)
{
    newt__transaction t = {.at = {newt__field_int(r, row, 0), newt__field_int(r, row, 1)},
                           .committed_us = newt__field_int(r, row, 2),
                           .user = text_at(r, row, 3),
                           .description = text_at(r, row, 4),
                           .extension = text_at(r, row, 5)};
    int status = NEWT_OK;

    f->written.n = f->removed.n = 0;
    if (PQgetisnull(r, row, 6))
        status = add_chunks(f, t.at.serial);
    else if (!newt__field_oids(r, row, 6, &f->written) || !newt__field_oids(r, row, 7, &f->removed))
        status = newt__fail_memory(&f->c->error);
    if (status != NEWT_OK)
        return status;
    t.written = f->written.oids;
    t.n_written = f->written.n;
    t.removed = f->removed.oids;
    t.n_removed = f->removed.n;
    f->objects += (int64_t)(t.n_written + t.n_removed);
    return f->take(f->arg, &t);
}

/* Where the new ones begin in the answer; -1: the position is not there. */
static int
first_new(const PGresult *r, const newt__position *after)
{
    if (after->tid == 0)
        return 0;
    return PQntuples(r) > 0 && newt__field_int(r, 0, 0) == after->tid &&
                   newt__field_int(r, 0, 1) == after->serial
               ? 1
               : -1;
}

int
newt__session_feed(newt__session *c, newt__position *after, int64_t objects,
                   newt__take_transaction *take, void *arg)
{
    feed f = {.c = c, .take = take, .arg = arg};
    int status = newt__session_server(c), first = 0, rows = ROWS;

    while (status == NEWT_OK && rows == ROWS && (f.objects < objects || f.objects == 0)) {
        newt__params p = {0};
        PGresult *r;

        newt__param_int(&p, after->tid);
        newt__param_int(&p, ROWS);
        newt__talk_begin(c);
        newt__send(c, NEWT__S_FEED, &p);
        newt__sync(c);
        r = newt__take(c);
        newt__take_sync(c);
        rows = r ? PQntuples(r) : 0;
        first = r ? first_new(r, after) : 0;
        for (int i = first < 0 ? rows : first;
             status == NEWT_OK && i < rows && (f.objects < objects || f.objects == 0); i++) {
            status = hand_over(&f, r, i);
            if (status == NEWT_OK)
                *after = (newt__position){newt__field_int(r, i, 0), newt__field_int(r, i, 1)};
        }
        PQclear(r);
        newt__take_rest(c);
        if (c->talk->error.status != NEWT_OK)
            status = newt__talk_end(c);
        else if (first < 0)
            status = newt__fail(&c->error, NEWT_EMISSING, 0, "transaction %lld is not in the store",
                                (long long)after->tid);
    }
    if (first < 0)
        newt__fail_detail(&c->error, "It was pruned, or the store was restored.");
    free(f.written.oids);
    free(f.removed.oids);
    return status;
}

/* Whether there is a transaction after this one: 1, 0 or a status. */
static int
look(newt__session *c, newt__position after)
{
    int status = newt__session_server(c);
    PGresult *r;
    bool more;

    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_NEWEST, NULL);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    more = r && PQntuples(r) == 1 && newt__field_int(r, 0, 0) > after.tid;
    PQclear(r);
    status = newt__talk_end(c);
    return status != NEWT_OK ? status : more;
}

int
newt__session_wait_feed(newt__session *c, newt__position after, int at_most_ms)
{
    int64_t until = newt__clock() + (int64_t)at_most_ms * 1000, pause = FIRST_PAUSE_MS * 1000;
    int found;

    while ((found = look(c, after)) == 0) {
        int64_t left = until - newt__clock();
        int64_t us = left < pause ? left : pause;
        struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

        if (left <= 0)
            break;
        nanosleep(&t, NULL);
        pause = 2 * pause < LONGEST_PAUSE_MS * 1000 ? 2 * pause : LONGEST_PAUSE_MS * 1000;
    }
    return found;
}
