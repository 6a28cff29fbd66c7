/*
 * talk.c - exchanges with the server in pipeline mode, see session.h
 */
#include "session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the queue of what was sent ------------------------------------------------------- */

/* Entries of the queue; the last two stand for a statement being prepared, and being run. */
enum {
    SYNC,
    QUERY,    /* the application's */
    SETTINGS, /* that a BEGIN has brought along */
    PREPARE,
    STATEMENT = PREPARE + NEWT__N_STATEMENTS
};

static bool
enqueue(struct newt__talk *t, unsigned entry)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        uint16_t *queue = malloc(cap * sizeof *queue);

        if (!queue)
            return false;
        for (size_t i = 0; i < t->n; i++)
            queue[i] = t->queue[(t->head + i) % t->cap];
        free(t->queue);
        t->queue = queue;
        t->cap = cap;
        t->head = 0;
    }
    t->queue[(t->head + t->n) % t->cap] = (uint16_t)entry;
    t->n++;
    return true;
}

static unsigned
dequeue(struct newt__talk *t)
{
    unsigned entry = t->queue[t->head];

    t->head = (t->head + 1) % t->cap;
    t->n--;
    return entry;
}

void
newt__talk_reset(struct newt__talk *t)
{
    while (t->answers_at < t->answers_n)
        PQclear(t->answers[t->answers_at++]);
    t->answers_at = t->answers_n = 0;
    t->n = t->head = t->forgotten = t->syncs = 0;
    t->waiting = t->open = t->alone = t->settle = false;
    memset(t->prepared, 0, sizeof t->prepared);
    memset(t->worked, 0, sizeof t->worked); /* blamed stays: it is about more than this session */
}

void
newt__talk_forgive(struct newt__talk *t)
{
    memset(t->blamed, 0, sizeof t->blamed);
}

/* Keeps the first failure. What goes wrong on the way of messages leaves a connection in an unknown
 * state, which is not used again. */
static void
lost(newt__session *c, const PGresult *r)
{
    if (c->talk->error.status == NEWT_OK)
        newt__fail_sql(&c->talk->error, c->pg, r, c->storage->schema);
    c->broken = true;
}

void
newt__talk_begin(newt__session *c)
{
    newt__error_clear(&c->talk->error);
    newt__error_clear(&c->talk->warning);
    c->talk->outdated = false;
}

int
newt__talk_end(newt__session *c)
{
    newt_error *e = &c->talk->error;
    int status = e->status;

    if (status != NEWT_OK && c->talk->outdated) {
        newt_error why = {0};

        c->reopen = true;
        newt__error_move(&why, e);
        status = newt__fail(e, NEWT_ELOST, 0, "the server has changed under the connection: %s",
                            newt_error_message(&why));
        memcpy(e->sqlstate, why.sqlstate, sizeof e->sqlstate);
        newt__error_clear(&why);
    }
    if (status == NEWT_OK)
        newt__error_clear(&c->talk->error);
    else
        newt__error_move(&c->error, &c->talk->error);
    return status;
}

/* That a wait for standbys was given up. A trigger may warn of what it likes: the server says where
 * in it a warning is from. */
void
newt__talk_notice(void *talk, const PGresult *notice)
{
    struct newt__talk *t = talk;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);

    if (severity && strcmp(severity, "WARNING") == 0 &&
        (!function || strcmp(function, "SyncRepWaitForLSN") == 0))
        newt__fail_sql(&t->warning, NULL, notice, NULL);
}

/* Writes out what libpq holds, reading meanwhile: a server that cannot send its results would not
 * read on either. */
static bool
push(newt__session *c)
{
    int left;

    while ((left = PQflush(c->pg)) > 0) {
        struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN | POLLOUT};

        if (poll(&fd, 1, -1) > 0 && (fd.revents & POLLIN) && !PQconsumeInput(c->pg))
            break;
    }
    if (left != 0)
        lost(c, NULL);
    return left == 0;
}

/* ---- results -------------------------------------------------------------------------- */

static PGresult *
fetch(newt__session *c)
{
    PGresult *r = PQgetResult(c->pg);

    if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
        c->talk->syncs--;
    return r;
}

static PGresult *
next_result(newt__session *c)
{
    struct newt__talk *t = c->talk;

    return t->answers_at < t->answers_n ? t->answers[t->answers_at++] : fetch(c);
}

static bool
keep(struct newt__talk *t, PGresult *r)
{
    if (t->answers_n == t->answers_cap) {
        size_t cap = t->answers_cap ? t->answers_cap * 2 : 32;
        PGresult **answers = realloc(t->answers, cap * sizeof *answers);

        if (!answers) {
            newt__fail_memory(&t->error);
            return false;
        }
        t->answers = answers;
        t->answers_cap = cap;
    }
    t->answers[t->answers_n++] = r;
    return true;
}

/*
 * Waits for the answers to all that was sent, and keeps them for who will take them. To be done
 * after each end of a transaction through a pooler: PgBouncer 1.18 takes a session that it has
 * seen idle for free, when its client goes, although answers to what that has sent on are still to
 * come, and the next client is given them.
 */
static bool
settle(newt__session *c)
{
    struct newt__talk *t = c->talk;
    bool pause = false;

    t->settle = false;
    if (t->answers_at == t->answers_n)
        t->answers_at = t->answers_n = 0;
    if (!push(c))
        return false;
    if (t->waiting)
        c->stats->round_trips++;
    t->waiting = false;
    while (t->syncs > 0 && PQstatus(c->pg) != CONNECTION_BAD) {
        PGresult *r = fetch(c);

        if ((!r && pause) || !keep(t, r)) {
            PQclear(r);
            lost(c, NULL);
            return false;
        }
        pause = !r;
    }
    return true;
}

/* ---- sending -------------------------------------------------------------------------- */

/* After a failure of the connection nothing more is sent; after one of a statement it is, for the
 * server passes over it by itself. */
static bool
sent(newt__session *c, int ok, unsigned entry, size_t size)
{
    if (!ok || !enqueue(c->talk, entry)) {
        if (ok)
            newt__fail_memory(&c->talk->error);
        lost(c, NULL);
        return false;
    }
    c->talk->waiting = true;
    return size < 65536 || push(c);
}

static const int binary[NEWT__MAX_PARAMS] = {1, 1, 1, 1, 1, 1, 1, 1, 1};

static bool
send_unnamed(newt__session *c, newt__statement s, const newt__params *p, unsigned entry)
{
    if (c->talk->settle && !settle(c))
        return false;
    c->stats->statements++;
    return sent(c,
                PQsendQueryParams(c->pg, c->storage->sql->text[c->standby][s], p ? p->n : 0, NULL,
                                  p ? p->values : NULL, p ? p->lengths : NULL, binary, 1),
                entry, p ? p->total : 0);
}

/* The settings of a transaction. Who writes must be in the life of the server that its numbers are
 * from; who reads will hear from S_CHANGES. */
static void
send_settings(newt__session *c, bool writes)
{
    newt__params p = {0};

    newt__param_bytes(&p, writes ? c->incarnation : NULL, sizeof c->incarnation);
    newt__param_text(&p, "0");
    newt__param_text(&p, c->storage->sql->schema);
    send_unnamed(c, NEWT__S_SETTINGS, &p, SETTINGS);
}

/* What writes, and is sent outside of a transaction. */
static bool
writes_alone(newt__statement s)
{
    return s == NEWT__S_BLOCKS || s == NEWT__S_BARRIER || s == NEWT__S_REGISTER ||
           s == NEWT__S_NEW_LIFE;
}

/* What looks into tables that grow, and is sent outside of a transaction. */
static bool
reads_alone(newt__statement s)
{
    return s == NEWT__S_CHANGES || s == NEWT__S_OWN || s == NEWT__S_NEWEST || s == NEWT__S_NONCE;
}

static void
send_pooled(newt__session *c, newt__statement s, const newt__params *p)
{
    bool begin = s == NEWT__S_BEGIN_READ || s == NEWT__S_BEGIN_WRITE;

    /* the session's defaults are not ours: they may be read-only */
    if (!c->talk->open && writes_alone(s)) {
        if (!send_unnamed(c, NEWT__S_BEGIN_WRITE, NULL, SETTINGS))
            return;
        c->talk->open = c->talk->alone = true;
    }
    /* all up to the next sync is one transaction */
    if (!c->talk->open && reads_alone(s) && !send_unnamed(c, NEWT__S_BY_INDEX, NULL, SETTINGS))
        return;
    if (!send_unnamed(c, s, p, STATEMENT + s))
        return;
    if (begin)
        send_settings(c, s == NEWT__S_BEGIN_WRITE);
    c->talk->open = (c->talk->open || begin) && s != NEWT__S_COMMIT && s != NEWT__S_ROLLBACK;
}

void
newt__send(newt__session *c, newt__statement s, const newt__params *p)
{
    const char *name;

    if (c->broken)
        return;
    if (p && p->failed) {
        /* what follows must not run without it */
        if (c->talk->error.status == NEWT_OK && p->failed == NEWT_ENOMEM)
            newt__fail_memory(&c->talk->error);
        else if (c->talk->error.status == NEWT_OK)
            newt__fail(&c->talk->error, NEWT_ELIMIT, 0, "statement with more than %d bytes",
                       NEWT__LONGEST_MESSAGE);
        c->broken = true;
        return;
    }
    c->talk->asked++;
    if (c->storage->options->transaction_pooling) {
        send_pooled(c, s, p);
        return;
    }
    if (c->talk->opening) {
        send_unnamed(c, s, p, STATEMENT + s);
        return;
    }
    name = c->storage->sql->name[s];
    if (!c->talk->prepared[s]) {
        if (!sent(c, PQsendPrepare(c->pg, name, c->storage->sql->text[c->standby][s], 0, NULL),
                  PREPARE + s, 0))
            return;
        c->talk->prepared[s] = true; /* until its result says otherwise */
    }
    c->stats->statements++;
    sent(c,
         PQsendQueryPrepared(c->pg, name, p ? p->n : 0, p ? p->values : NULL, p ? p->lengths : NULL,
                             binary, 1),
         STATEMENT + s, p ? p->total : 0);
}

void
newt__send_query(newt__session *c, const char *sql, int n, const char *const *params)
{
    if (c->broken || (c->talk->settle && !settle(c)))
        return;
    c->stats->statements++;
    sent(c, PQsendQueryParams(c->pg, sql, n, NULL, params, NULL, NULL, 0), QUERY, SIZE_MAX);
}

void
newt__sync(newt__session *c)
{
    int ok;

    if (c->broken || (c->talk->settle && !settle(c)))
        return;
    if (c->talk->alone) {
        c->talk->alone = c->talk->open = false;
        if (!send_unnamed(c, NEWT__S_COMMIT, NULL, SETTINGS))
            return;
    }
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    ok = PQsendPipelineSync(c->pg);
#else
    ok = PQpipelineSync(c->pg);
#endif
    c->talk->syncs++;
    if (sent(c, ok, SYNC, 0))
        c->talk->settle = c->storage->options->transaction_pooling && !c->talk->open;
}

void
newt__forget(newt__session *c)
{
    c->talk->forgotten = c->talk->n;
    if (!c->broken)
        push(c);
}

/* ---- taking results ------------------------------------------------------------------- */

/* Hands on rows as they arrive; the result after them has none. */
static PGresult *
stream(newt__session *c)
{
    struct newt__talk *t = c->talk;
    PGresult *r;

#ifdef LIBPQ_HAS_CHUNK_MODE
    enum {
        ROWS = 64
    };
    PQsetChunkedRowsMode(c->pg, ROWS);
    while ((r = next_result(c)) && PQresultStatus(r) == PGRES_TUPLES_CHUNK) {
#else
    PQsetSingleRowMode(c->pg);
    while ((r = next_result(c)) && PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
#endif
        t->rows(t->rows_arg, r);
        PQclear(r);
    }
    return r;
}

/* What libpq reports of itself, as that it has no memory, says nothing of what the server has done
 * or will do; and it is not sure to notice where the next result begins. */
static bool
is_of_server(const PGresult *r)
{
    return PQresultStatus(r) == PGRES_EMPTY_QUERY || PQresultErrorField(r, PG_DIAG_SQLSTATE);
}

/* A statement of ours has failed, perhaps since something that it rests on was dropped, replaced or
 * taken from this role after the connection had looked. Another connection looks again. If the same
 * statement fails there too, that was not it. */
static void
blame(struct newt__talk *t, unsigned entry)
{
    unsigned s;

    if (entry < PREPARE || !newt__is_outdated(&t->error))
        return;
    s = entry < STATEMENT ? entry - PREPARE : entry - STATEMENT;
    /* rights that were never there are nothing new */
    t->outdated = !t->blamed[s] && (t->worked[s] || strcmp(t->error.sqlstate, "42501") != 0);
    t->blamed[s] = true;
}

/* Through a pooler: in a transaction of its own, whose end was passed over. */
static bool
leaves_open(const newt__session *c, unsigned entry)
{
    return c->storage->options->transaction_pooling && entry >= STATEMENT &&
           writes_alone((newt__statement)(entry - STATEMENT));
}

static void
worked(struct newt__talk *t, unsigned s)
{
    t->worked[s] = true;
    t->blamed[s] = false;
}

/* The result of the oldest entry; NULL: it failed, did not run, or is a sync that has come. */
static PGresult *
take_entry(newt__session *c, unsigned *entry)
{
    struct newt__talk *t = c->talk;
    PGresult *r, *more;

    if (c->broken || t->n == 0)
        return NULL;
    if (t->waiting) {
        if (!push(c))
            return NULL;
        t->waiting = false;
        c->stats->round_trips++;
    }
    *entry = dequeue(t);
    if (t->forgotten > 0)
        t->forgotten--;
    r = t->rows && *entry >= STATEMENT ? stream(c) : next_result(c);
    if (!r) {
        lost(c, NULL);
        return NULL;
    }
    if (*entry == SYNC) {
        /* an error here is one of the implicit transaction's commit */
        while (r && PQresultStatus(r) != PGRES_PIPELINE_SYNC) {
            bool own = !is_of_server(r);

            if (t->error.status == NEWT_OK)
                newt__fail_sql(&t->error, c->pg, r, c->storage->schema);
            PQclear(r);
            if (own || PQstatus(c->pg) == CONNECTION_BAD)
                r = NULL;
            else if (!(r = next_result(c)))
                r = next_result(c); /* the end of that error's results */
        }
        if (!r)
            lost(c, NULL);
        PQclear(r);
        return NULL;
    }
    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        while ((more = next_result(c)))
            PQclear(more);
        if (*entry >= STATEMENT)
            worked(t, *entry - STATEMENT);
        return r;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        if (t->error.status == NEWT_OK)
            newt__fail(&t->error, NEWT_EINVAL, 0, "COPY is not possible in a query");
        c->broken = true;
        break;
    case PGRES_PIPELINE_ABORTED:
        while ((more = next_result(c)))
            PQclear(more);
        break;
    default:
        if (t->error.status == NEWT_OK) {
            if (PQresultStatus(r) == PGRES_EMPTY_QUERY)
                newt__fail(&t->error, NEWT_EINVAL, 0, "query is empty");
            else
                newt__fail_sql(&t->error, c->pg, r, c->storage->schema);
            blame(t, *entry);
        }
        if (PQstatus(c->pg) == CONNECTION_BAD || !is_of_server(r) || newt__is_fatal(r) ||
            (*entry != QUERY && strcmp(t->error.sqlstate, "26000") == 0) || /* DEALLOCATE ALL */
            *entry == SETTINGS || leaves_open(c, *entry))
            c->broken = true;
        while (!c->broken && (more = next_result(c)))
            PQclear(more);
        break;
    }
    if (*entry >= PREPARE && *entry < STATEMENT)
        t->prepared[*entry - PREPARE] = false;
    PQclear(r);
    return NULL;
}

static void
take_forgotten(newt__session *c)
{
    unsigned entry;
    newt_error kept = c->talk->error;

    c->talk->error = (newt_error){0};
    while (c->talk->forgotten > 0 && !c->broken)
        PQclear(take_entry(c, &entry));
    if (kept.status != NEWT_OK || !c->broken)
        newt__error_move(&c->talk->error, &kept);
}

PGresult *
newt__take(newt__session *c)
{
    unsigned entry = SYNC;
    PGresult *r;

    take_forgotten(c);
    for (;;) {
        r = take_entry(c, &entry);
        if (c->broken || entry >= STATEMENT || entry == QUERY)
            return r;
        PQclear(r);
        if (entry == SYNC) {
            /* a statement that was never sent */
            if (c->talk->error.status == NEWT_OK)
                newt__fail(&c->talk->error, NEWT_EINVAL, 0, "a result is missing");
            c->broken = true;
            return NULL;
        }
    }
}

bool
newt__take_rows(newt__session *c, newt__rows *rows, void *arg)
{
    PGresult *r;

    take_forgotten(c);
    c->talk->rows = rows;
    c->talk->rows_arg = arg;
    r = newt__take(c);
    c->talk->rows = NULL;
    if (r && PQntuples(r) > 0) /* libpq has kept them all */
        rows(arg, r);
    PQclear(r);
    return r != NULL;
}

bool
newt__take_done(newt__session *c)
{
    PGresult *r = newt__take(c);

    PQclear(r);
    return r != NULL;
}

bool
newt__take_sync(newt__session *c)
{
    unsigned entry = STATEMENT;
    PGresult *r;

    take_forgotten(c);
    while (!c->broken && c->talk->n > 0 && entry != SYNC) {
        r = take_entry(c, &entry);
        PQclear(r);
    }
    return !c->broken && c->talk->error.status == NEWT_OK;
}

void
newt__take_rest(newt__session *c)
{
    take_forgotten(c);
    while (!c->broken && c->talk->n > 0)
        newt__take_sync(c);
}
