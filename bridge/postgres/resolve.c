/*
 * resolve.c - a COMMIT whose answer was lost
 *
 * It is never blindly repeated, and never just looked for: a first attempt that is still on its way
 * would commit after the look. Instead its place is taken: under the commit lock, a tombstone with
 * the same serial is inserted. If that works, the first attempt has not committed and never can; if
 * the serial is there already, the nonce tells whose it is. If the server was restarted or
 * replaced, nothing is on its way any more, so a look is enough.
 */
#include "session.h"

#include <string.h>
#include <time.h>

enum {
    PATIENCE_MS = 30000 /* for a server to come back, and for the lock's time-out */
};

typedef struct question {
    newt__session *c;
    int64_t serial, nonce;
    int64_t tid; /* found */
} question;

/* Whether there is a transaction of this serial, and ours; NEWT__UNKNOWN: there is none, or the
 * exchange has failed. What it sees is durable. */
static newt__resolved
look_up(question *q)
{
    newt__session *c = q->c;
    newt__params p = {0};
    newt__resolved o = NEWT__UNKNOWN;
    PGresult *r;

    newt__param_int(&p, q->serial);
    newt__talk_begin(c);
    /* in one transaction, of one life of the server; what writes comes first, see writes_alone() */
    newt__send(c, NEWT__S_BARRIER, NULL);
    newt__send(c, NEWT__S_NONCE, &p);
    newt__sync(c);
    newt__take_done(c);
    r = newt__take(c);
    if (newt__take_sync(c) && r && PQntuples(r) == 1) {
        o = newt__field_int(r, 0, 0) == q->nonce ? NEWT__COMMITTED : NEWT__NOT_COMMITTED;
        q->tid = newt__field_int(r, 0, 1);
    }
    PQclear(r);
    return o;
}

/* A transaction row without objects. */
static void
send_tombstone(const question *q)
{
    newt__array none = {.buf.env = &newt__malloc_env};
    newt__params p = {0};

    newt__array_begin(&none, NEWT__OID_INT8);
    newt__param_int(&p, q->serial);
    newt__param_int(&p, ~q->nonce);
    newt__param_array(&p, &none);
    newt__param_array(&p, &none);
    newt__param_text(&p, "off"); /* a barrier follows */
    newt__param_bytes(&p, NULL, 0);
    newt__send(q->c, NEWT__S_TRANSACTION, &p);
    newt__buffer_free(&none.buf);
}

static newt__resolved
put_tombstone(question *q)
{
    newt__session *c = q->c;
    PGresult *r;
    bool committed;

    newt__talk_begin(c);
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    newt__send(c, NEWT__S_PATIENCE, NULL);
    newt__send(c, NEWT__S_LOCK, NULL);
    newt__sync(c);
    send_tombstone(q);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    newt__take_sync(c);
    newt__take_done(c);
    r = newt__take(c);
    committed = r && strcmp(PQcmdStatus(r), "COMMIT") == 0;
    PQclear(r);
    newt__take_sync(c);
    if (c->broken)
        return NEWT__UNKNOWN;
    if (!committed) {
        bool taken = strcmp(c->talk->error.sqlstate, "23505") == 0;

        newt__send(c, NEWT__S_ROLLBACK, NULL);
        newt__sync(c);
        newt__take_rest(c);
        return taken ? look_up(q) : NEWT__UNKNOWN;
    }
    /* durable before anybody acts on it */
    newt__send(c, NEWT__S_BARRIER, NULL);
    newt__sync(c);
    newt__take_done(c);
    return newt__take_sync(c) ? NEWT__NOT_COMMITTED : NEWT__UNKNOWN;
}

void
newt__wait_a_little(void)
{
    struct timespec t = {.tv_nsec = 50 * 1000 * 1000};

    nanosleep(&t, NULL);
}

newt__resolved
newt__resolve(newt__session *c, int64_t serial, int64_t nonce, bool answered, int64_t *tid)
{
    question q = {.c = c, .serial = serial, .nonce = nonce, .tid = *tid};
    int64_t system = c->system, timeline = c->timeline, database = c->database,
            until = newt__clock() + PATIENCE_MS * 1000LL;
    uint8_t incarnation[sizeof c->incarnation];
    newt__resolved o = NEWT__UNKNOWN;
    bool same_life;

    memcpy(incarnation, c->incarnation, sizeof incarnation);
    while (o == NEWT__UNKNOWN && newt__clock() < until) {
        if (newt__session_open(c) != NEWT_OK) {
            if (c->error.status != NEWT_ELOST)
                break;
            newt__wait_a_little();
            continue;
        }
        same_life = memcmp(incarnation, c->incarnation, sizeof incarnation) == 0 &&
                    system == c->system && timeline == c->timeline && database == c->database;
        o = same_life && !answered ? put_tombstone(&q) : look_up(&q);
        if (o == NEWT__UNKNOWN && !c->broken) {
            /* the row cannot have been pruned since: what this server lost in its crash was not
             * committed */
            if (!same_life && system == c->system && c->talk->error.status == NEWT_OK)
                o = NEWT__NOT_COMMITTED;
            break;
        }
    }
    *tid = q.tid;
    return o;
}
