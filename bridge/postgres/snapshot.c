/*
 * snapshot.c - snapshots, and what others have changed since the last one
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_TRANSACTIONS = 5000 /* this one and NEWT__MOST_CHANGES are also in S_CHANGES */
};

/* ---- the question, and its answer ---------------------------------------------------------- */

void
newt__changes_send(newt__session *c, int64_t own_serial, bool within)
{
    bool positioned = c->position.tid != 0;
    bool of_session = within && !c->storage->options->transaction_pooling;
    newt__params p = {0};

    if (positioned)
        newt__param_int(&p, c->position.tid);
    if (of_session) {
        if (positioned)
            newt__param_int(&p, c->position.serial);
        for (int i = 0; !positioned && i < 2; i++)
            newt__param_bytes(&p, NULL, 0);
        newt__send(c, NEWT__S_COMMITTED, &p);
        return;
    }
    if (!positioned && own_serial == 0) {
        newt__send(c, NEWT__S_NEWEST, NULL);
        return;
    }
    newt__param_int(&p, own_serial);
    newt__send(c, positioned ? NEWT__S_CHANGES : NEWT__S_OWN, &p);
}

static bool
same_life_as(const newt__session *c, const PGresult *r)
{
    int last = PQntuples(r) - 1;

    return last >= 0 && PQgetlength(r, last, 2) == sizeof c->incarnation &&
           memcmp(PQgetvalue(r, last, 2), c->incarnation, sizeof c->incarnation) == 0;
}

/* What the answer says: the position that it leads to, and the oids on the way there. */
typedef struct answer {
    bool same_life;
    bool follows; /* they go on from where the cache stands, and there are not too many */
    int64_t tid, serial;
    newt__oids *oids;
    size_t before; /* the own transaction */
} answer;

/* A row for each transaction, the first where the cache stands. False: there is none at all. */
static bool
read_rows(const newt__session *c, const PGresult *r, int64_t own_serial, answer *x)
{
    bool positioned = c->position.tid != 0;
    int n = PQntuples(r);

    x->same_life = same_life_as(c, r);
    x->follows = n > 0 && n <= MOST_TRANSACTIONS;
    if (n > 0) {
        x->tid = newt__field_int(r, n - 1, 0);
        x->serial = newt__field_int(r, n - 1, 1);
    }
    /* after a commit a cache without a position has nothing but what it has made */
    if (positioned)
        x->follows &= newt__field_int(r, 0, 0) == c->position.tid &&
                      newt__field_int(r, 0, 1) == c->position.serial;
    else
        x->follows = own_serial != 0;
    for (int i = 1; i < n && positioned && x->follows; i++) {
        x->follows = newt__field_oids(r, i, 3, x->oids) && x->oids->n <= NEWT__MOST_CHANGES;
        if (newt__field_int(r, i, 1) == own_serial)
            x->before = x->oids->n;
    }
    return n > 0 || positioned;
}

/* Of newt.committed(), which a session is asked after its commit: its tid, the new position's tid
 * and serial, whether it follows, then the oids, with a 0 in the place of that commit. */
static bool
read_committed(const PGresult *r, answer *x)
{
    enum {
        HEAD = 4
    };
    newt__oids l = {0};
    bool ok = PQntuples(r) == 1 && newt__field_oids(r, 0, 0, &l) && l.n >= HEAD;

    if (ok) {
        x->same_life = true; /* the session has not ended in between */
        x->tid = l.oids[1];
        x->serial = l.oids[2];
        x->follows = l.oids[3] != 0;
    }
    for (size_t i = HEAD; i < l.n; i++)
        if (l.oids[i] != 0)
            (void)newt__oids_add(x->oids, l.oids[i]);
        else
            x->before = x->oids->n;
    newt__oids_free(&l);
    return ok;
}

int64_t
newt__changes_tid(const PGresult *r, int64_t own_serial)
{
    newt__oids l = {0};
    int64_t tid = 0;

    if (PQnfields(r) == 1) {
        if (PQntuples(r) == 1 && newt__field_oids(r, 0, 0, &l) && l.n > 0)
            tid = l.oids[0];
        newt__oids_free(&l);
        return tid;
    }
    for (int i = PQntuples(r) - 1; i >= 0 && tid == 0; i--)
        if (newt__field_int(r, i, 1) == own_serial)
            tid = newt__field_int(r, i, 0);
    return tid;
}

bool
newt__changes_same_life(newt__session *c, const PGresult *r)
{
    if (!c->storage->options->transaction_pooling || same_life_as(c, r))
        return true;
    newt__fail(&c->talk->error, NEWT_ELOST, 0, "the server was restarted or replaced");
    c->broken = true;
    return false;
}

int
newt__changes_read(newt__session *c, const PGresult *r, int64_t own_serial, newt__changes *out,
                   newt__oids *oids)
{
    answer x = {.oids = oids};

    oids->n = 0;
    if (PQnfields(r) == 1 ? !read_committed(r, &x) : !read_rows(c, r, own_serial, &x)) {
        newt__fail(&c->error, NEWT_ESTORE, 0, "the store has no transactions");
        newt__fail_detail(&c->error, "Its table \"transaction\" is empty.");
        return NEWT_ESTORE;
    }
    if (!x.same_life) {
        newt__blocks_drop(&c->oids);
        newt__blocks_drop(&c->serials);
        c->reopen = true; /* the next transaction reconnects, and server.c sees to it */
    }
    if (oids->failed)
        return newt__fail_memory(&c->error);
    *out = (newt__changes){.to = {x.tid, x.serial},
                           .all = !x.same_life || !x.follows,
                           .oids = oids->oids,
                           .n = oids->n,
                           .before = x.before};
    return NEWT_OK;
}

/* ---- opening and ending ------------------------------------------------------------------ */

bool
newt__snapshot_send(newt__session *c)
{
    if (c->snapshot != NEWT__SNAPSHOT_WANTED)
        return false;
    newt__turns_send(c);
    newt__send(c, NEWT__S_BEGIN_READ, NULL);
    newt__changes_send(c, 0, false);
    c->in_transaction = true;
    c->savepoint = false;
    return true;
}

int
newt__snapshot_take(newt__session *c)
{
    newt__oids oids = {0};
    newt__changes changes;
    PGresult *r;
    int status;

    newt__turns_take(c);
    newt__take_done(c);
    r = newt__take(c);
    if (!r)
        return c->talk->error.status;
    status = newt__changes_read(c, r, 0, &changes, &oids);
    PQclear(r);
    if (status == NEWT_OK) {
        changes.waited = c->turns.waited;
        changes.in_vain = c->turns.in_vain;
        status = c->opened(c->opened_arg, &changes);
    }
    if (status == NEWT_OK)
        c->snapshot = NEWT__SNAPSHOT_OPEN;
    newt__oids_free(&oids);
    return status;
}

void
newt__snapshot_end(newt__session *c, newt__statement how)
{
    if (!c->in_transaction)
        return;
    c->in_transaction = false;
    if (c->broken)
        return;
    newt__talk_begin(c);
    newt__send(c, how, NULL);
    newt__sync(c);
    newt__forget(c);
}
