/*
 * transaction.c - begin, snapshots, what others changed, abort, newt_transact
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /* A transaction may begin without the server if the position of the cache was confirmed less
     * than this ago: by so much can it miss what other programs have committed. What this newt_db
     * has committed is never missed. */
    FRESH_US = 100 * 1000,
    MOST_CHANGES = 10000, /* beyond that the cache is dropped; these two are also in S_CHANGES */
    MOST_TRANSACTIONS = 5000,
    ATTEMPTS = 10,
    MOST_CONTENDED = 100, /* objects that a new attempt begins with */
    LONGEST_PAUSE_MS = 100
};

/* ---- phases --------------------------------------------------------------------------- */

typedef enum event {
    BEGIN,   /* newt_begin */
    CONTACT, /* the snapshot is open */
    DOOM,    /* a failure that only an abort can follow */
    END,     /* commit or abort, done */
    N_EVENTS
} event;

enum {
    NONE = -1
};

static const signed char transitions[NEWT__N_PHASES][N_EVENTS] = {
    /*                  BEGIN        CONTACT      DOOM          END        */
    [NEWT__IDLE] = {NEWT__LAZY, NONE, NEWT__IDLE, NEWT__IDLE},
    [NEWT__LAZY] = {NONE, NEWT__OPEN, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__OPEN] = {NONE, NONE, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__DOOMED] = {NONE, NONE, NEWT__DOOMED, NEWT__IDLE},
};

static bool
move(newt_conn *c, event e)
{
    int to = transitions[c->phase][e];

    if (to != NONE)
        c->phase = (newt__phase)to;
    newt__cache_quicken(c);
    return to != NONE;
}

int
newt__conn_fail(newt_conn *c, int status, int64_t oid, const char *format, ...)
{
    va_list args;

    if (c->phase == NEWT__DOOMED)
        return c->error.status;
    va_start(args, format);
    newt__fail_text(&c->error, status, oid, format, args);
    va_end(args);
    return status;
}

int
newt__doom(newt_conn *c)
{
    move(c, DOOM);
    return c->error.status;
}

int
newt__conn_enter(newt_conn *c)
{
    if (NEWT__SELDOM(!*c->here) || (NEWT__SELDOM(!c->db->wiped) && !newt__process_is(c->db)))
        return newt__process_fail(c->db, &c->error);
    if (c->phase == NEWT__IDLE) {
        newt__conn_fail(c, NEWT_EBUSY, 0, "no transaction is open");
        newt__fail_hint(&c->error, "Call newt_begin(), or work inside newt_transact().");
        return NEWT_EBUSY;
    }
    if (!pthread_equal(c->owner, pthread_self())) {
        /* what the other thread is doing with the connection's error is not touched */
        return NEWT_ETHREAD;
    }
    return c->phase == NEWT__DOOMED ? c->error.status : NEWT_OK;
}

int
newt_status(const newt_conn *c)
{
    return c->error.status;
}

int64_t
newt_tid(const newt_conn *c)
{
    return c->committed_tid ? c->committed_tid : c->tid;
}

int64_t
newt__clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void
newt__transaction_over(newt_conn *c)
{
    newt__turn_over(c);
    move(c, END);
    c->oids.used = c->serials.used = 0;
    newt__description_clear(c);
}

/* ---- snapshots ------------------------------------------------------------------------ */

static int64_t
newest_tid(newt_db *db)
{
    int64_t tid;

    pthread_mutex_lock(&db->mutex);
    tid = db->newest_tid;
    pthread_mutex_unlock(&db->mutex);
    return tid;
}

/* The cache can be used as it is. */
static bool
fresh(newt_conn *c)
{
    if (c->cache.n == 0)
        return true; /* everything will come from the snapshot */
    return !c->doubtful && c->tid >= newest_tid(c->db) && newt__clock() - c->checked_us < FRESH_US;
}

static bool
has_position(const newt_conn *c)
{
    return c->tid != 0 && c->cache.n > 0;
}

void
newt__changes_send(newt_conn *c, int64_t own_serial, bool within)
{
    bool positioned = has_position(c), of_session = within && !c->db->options.transaction_pooling;
    newt__params p = {0};

    if (positioned)
        newt__param_int(&p, c->tid);
    if (of_session) {
        if (positioned)
            newt__param_int(&p, c->tid_serial);
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
from_the_store(const newt__header *h)
{
    return h->serial != 0;
}

static int
read_conflict(newt_conn *c, const newt__header *h)
{
    char name[NEWT__NAME_SIZE];

    newt__conn_fail(c, NEWT_ECONFLICT, h->oid, "%s was changed by another transaction",
                    newt__object_name(h, name));
    newt__fail_detail(&c->error, "It was read from the cache, as of transaction %lld.",
                      (long long)c->tid);
    c->checked_us = 0; /* the next begin asks the server */
    c->stats.conflicts++;
    return NEWT_ECONFLICT;
}

/*
 * Forgets the given objects (others changed them), or all: all that is cached and not used in this
 * transaction. What is used makes a conflict; then the position of the cache stays where it was, so
 * that the next begin hears of all this again.
 */
static int
invalidate(newt_conn *c, newt__oids *changed, bool all)
{
    newt__header *h;

    if (all && c->phase == NEWT__IDLE) {
        newt__cache_clear(c);
        return NEWT_OK;
    }
    if (all) {
        changed->n = 0;
        for (size_t i = 0; i < c->cache.cap && !changed->failed; i++)
            if (c->cache.slots[i].h && from_the_store(c->cache.slots[i].h))
                newt__oids_add(changed, c->cache.slots[i].oid);
    }
    if (changed->failed)
        return newt__fail_memory(&c->error);
    for (size_t i = 0; i < changed->n; i++)
        if (newt__object_used(c, changed->oids[i]) &&
            (h = newt__cache_find(&c->cache, changed->oids[i])) && from_the_store(h))
            return read_conflict(c, h);
    for (size_t i = 0; i < changed->n; i++)
        newt__object_invalidate(c, changed->oids[i]);
    return NEWT_OK;
}

int
newt__cache_drop(newt_conn *c)
{
    newt__oids all = {0};
    int rc = invalidate(c, &all, true);

    free(all.oids);
    c->doubtful = rc != NEWT_OK;
    return rc;
}

/* What the commit of this serial has written is newer than all that was changed before it. */
static void
drop_written(const newt_conn *c, int64_t serial, newt__oids *changed)
{
    size_t n = 0;

    for (size_t i = 0; i < changed->n; i++) {
        const newt__header *h = newt__cache_find(&c->cache, changed->oids[i]);

        if (!h || h->serial != serial)
            changed->oids[n++] = changed->oids[i];
    }
    changed->n = n;
}

static bool
same_life_as(const newt_conn *c, const PGresult *r)
{
    int last = PQntuples(r) - 1;

    return last >= 0 && PQgetlength(r, last, 2) == sizeof c->incarnation &&
           memcmp(PQgetvalue(r, last, 2), c->incarnation, sizeof c->incarnation) == 0;
}

/* What the answer says: the position that it leads to, and the oids on the way there. */
typedef struct changes {
    bool same_life;
    bool follows; /* they go on from where the cache stands, and there are not too many */
    int64_t tid, serial;
    newt__oids oids;
} changes;

/* A row for each transaction, the first where the cache stands. False: there is none at all. */
static bool
read_rows(const newt_conn *c, const PGresult *r, int64_t own_serial, bool positioned, changes *x)
{
    int n = PQntuples(r);

    x->same_life = same_life_as(c, r);
    x->follows = n > 0 && n <= MOST_TRANSACTIONS;
    if (n > 0) {
        x->tid = newt__field_int(r, n - 1, 0);
        x->serial = newt__field_int(r, n - 1, 1);
    }
    /* after a commit a cache without a position has nothing but what it has made */
    if (positioned)
        x->follows &= newt__field_int(r, 0, 0) == c->tid &&
                      newt__field_int(r, 0, 1) == c->tid_serial;
    else
        x->follows = own_serial != 0;
    for (int i = 1; i < n && positioned && x->follows; i++) {
        x->follows = newt__field_oids(r, i, 3, &x->oids) && x->oids.n <= MOST_CHANGES;
        if (newt__field_int(r, i, 1) == own_serial)
            drop_written(c, own_serial, &x->oids); /* merged, else they had been a conflict */
    }
    return n > 0 || positioned;
}

/* Of newt.committed(), which a session is asked after its commit: its tid, the new position's tid
 * and serial, whether it follows, then the oids, with a 0 in the place of that commit. */
static bool
read_committed(const newt_conn *c, const PGresult *r, int64_t own_serial, changes *x)
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
            newt__oids_add(&x->oids, l.oids[i]);
        else
            drop_written(c, own_serial, &x->oids);
    free(l.oids);
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
        free(l.oids);
        return tid;
    }
    for (int i = PQntuples(r) - 1; i >= 0 && tid == 0; i--)
        if (newt__field_int(r, i, 1) == own_serial)
            tid = newt__field_int(r, i, 0);
    return tid;
}

bool
newt__changes_same_life(newt_conn *c, const PGresult *r)
{
    if (!c->db->options.transaction_pooling || same_life_as(c, r))
        return true;
    newt__fail(&c->talk->error, NEWT_ELOST, 0, "the server was restarted or replaced");
    c->broken = true;
    return false;
}

int
newt__changes_apply(newt_conn *c, const PGresult *r, int64_t own_serial)
{
    bool positioned = has_position(c);
    changes x = {0};
    int rc = NEWT_OK;

    if (PQnfields(r) == 1 ? !read_committed(c, r, own_serial, &x)
                          : !read_rows(c, r, own_serial, positioned, &x)) {
        rc = newt__conn_fail(c, NEWT_ESTORE, 0, "the store has no transactions");
        newt__fail_detail(&c->error, "Its table \"transaction\" is empty.");
        goto out;
    }
    if (!x.same_life) {
        newt__blocks_drop(&c->oids);
        newt__blocks_drop(&c->serials);
    }
    rc = invalidate(c, &x.oids, !x.same_life || !x.follows);
    if (rc != NEWT_OK)
        goto out;
    c->tid = x.tid;
    c->tid_serial = x.serial;
    if (!x.same_life) {
        /* the next transaction connects anew, and db.c sees to it */
        c->checked_us = 0;
        c->reopen = true;
        goto out;
    }
    c->checked_us = newt__clock();
    pthread_mutex_lock(&c->db->mutex);
    if (c->tid > c->db->newest_tid)
        c->db->newest_tid = c->tid;
    pthread_mutex_unlock(&c->db->mutex);
out:
    free(x.oids.oids);
    return rc;
}

bool
newt__snapshot_send(newt_conn *c)
{
    if (c->phase != NEWT__LAZY)
        return false;
    newt__queue_send(c);
    newt__send(c, NEWT__S_BEGIN_READ, NULL);
    newt__changes_send(c, 0, false);
    c->in_transaction = true;
    c->savepoint = false;
    return true;
}

int
newt__snapshot_take(newt_conn *c)
{
    PGresult *r;
    int rc;

    newt__queue_take(c);
    newt__take_done(c);
    r = newt__take(c);
    if (!r)
        return c->talk->error.status;
    rc = newt__changes_apply(c, r, 0);
    PQclear(r);
    if (rc != NEWT_OK)
        return newt__doom(c);
    move(c, CONTACT);
    return NEWT_OK;
}

/* ---- begin, abort --------------------------------------------------------------------- */

/* Ends what is open on the server, without waiting for the answer. */
static void
end_snapshot(newt_conn *c)
{
    if (!c->in_transaction)
        return;
    c->in_transaction = false;
    if (c->broken)
        return;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_ROLLBACK, NULL);
    newt__sync(c);
    newt__forget(c);
}

void
newt_abort(newt_conn *c)
{
    if (!c || c->phase == NEWT__IDLE)
        return;
    if (!newt__process_is(c->db))
        newt__process_detach(c);
    newt__objects_aborted(c);
    end_snapshot(c);
    newt__transaction_over(c);
}

/* At once, and with these objects if there are any: in one round trip. */
static int
open_snapshot(newt_conn *c, const newt__oids *wanted)
{
    int rc = NEWT_OK;

    move(c, BEGIN);
    if (wanted && wanted->n > 0) {
        for (size_t i = 0; i < wanted->n; i++)
            newt__object_invalidate(c, wanted->oids[i]);
        rc = newt__load(c, wanted->oids, wanted->n);
    }
    if (rc != NEWT_OK || c->phase != NEWT__LAZY) {
        if (rc != NEWT_OK)
            newt_abort(c);
        return rc;
    }
    newt__talk_begin(c);
    newt__snapshot_send(c);
    newt__sync(c);
    rc = newt__snapshot_take(c);
    newt__take_rest(c);
    if (rc == NEWT_OK || c->talk->error.status != NEWT_OK)
        rc = newt__talk_end(c);
    if (rc != NEWT_OK)
        newt_abort(c);
    return rc;
}

static int
begin(newt_conn *c, bool lazily, const newt__oids *wanted)
{
    int rc = NEWT_OK;

    if (!newt__process_is(c->db))
        return newt__process_fail(c->db, &c->error);
    if (c->phase != NEWT__IDLE) {
        newt__conn_fail(c, NEWT_EBUSY, 0, "a transaction is open already");
        return NEWT_EBUSY;
    }
    newt__error_clear(&c->error);
    c->owner = pthread_self();
    c->committed_tid = 0;
    if (lazily && !c->broken && fresh(c)) {
        move(c, BEGIN);
        return NEWT_OK;
    }
    /* a connection that was idle may turn out to be dead; a new one is not */
    for (int attempt = 0; attempt < 2; attempt++) {
        rc = newt__conn_server(c);
        if (rc == NEWT_OK)
            rc = open_snapshot(c, wanted);
        if (rc != NEWT_ELOST)
            break;
    }
    return rc;
}

int
newt_begin(newt_conn *c)
{
    return begin(c, true, NULL);
}

/* ---- newt_transact -------------------------------------------------------------------- */

static uint64_t
random_number(newt_conn *c)
{
    /* xorshift64*: only spreads the clients apart */
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return c->random * 2685821657736338717u;
}

/* Before the next attempt: anything up to a bound that doubles, so that clients in each other's way
 * spread out. */
static int64_t
pause_us(newt_conn *c, int attempt)
{
    int64_t most_us = LONGEST_PAUSE_MS * 1000;

    if (attempt < 8)
        most_us = (int64_t)1000 << attempt;
    if (most_us > LONGEST_PAUSE_MS * 1000)
        most_us = LONGEST_PAUSE_MS * 1000;
    return (int64_t)(random_number(c) % (uint64_t)most_us);
}

static void
pause_for(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* What the last attempt has failed at, and the next will surely want. */
static void
contend(const newt_conn *c, newt__oids *contended)
{
    contended->n = 0;
    for (size_t i = 0; i < c->error.n_conflicts && i < MOST_CONTENDED; i++)
        newt__oids_add(contended, c->error.conflicts[i].object.oid);
    if (c->error.n_conflicts == 0 && c->error.oid > 0)
        newt__oids_add(contended, c->error.oid);
}

int
newt_transact(newt_conn *c, newt_work *fn, void *arg, const newt_transact_options *opt)
{
    newt_transact_options o = {.size = sizeof o};
    int64_t deadline, us;
    newt__oids contended = {0};
    bool queued;
    int rc;

    if (opt) {
        if (opt->size < sizeof opt->size || opt->size > sizeof o)
            return newt__conn_fail(c, NEWT_EINVAL, 0,
                                   "newt_transact_options.size is %zu, but must be at most %zu",
                                   opt->size, sizeof o);
        memcpy(&o, opt, opt->size);
    }
    if (o.attempts <= 0)
        o.attempts = ATTEMPTS;
    deadline = newt__clock() + (int64_t)o.deadline_ms * 1000;
    for (int attempt = 1;; attempt++) {
        queued = newt__queue_join(c, fn, attempt > 1,
                                  o.deadline_ms > 0 ? deadline - newt__clock() : INT64_MAX);
        for (size_t i = 0; attempt == 1 && queued && i < c->queue.n; i++)
            newt__oids_add(&contended, c->queue.oids[i]);
        rc = begin(c, attempt == 1 && !queued, &contended);
        c->queue.patience_ms = 0;
        if (rc == NEWT_OK) {
            rc = fn(c, arg);
            if (queued)
                newt__queue_used(c);
            if (rc > 0) {
                newt_abort(c);
                break;
            }
            if (rc == NEWT_OK) {
                rc = newt_commit(c);
            } else {
                /* a function may hand back a status of its own for an object that could not be
                 * read because the transaction was lost already */
                if (c->phase == NEWT__DOOMED)
                    rc = c->error.status;
                newt_abort(c);
            }
        }
        if (rc == NEWT_ECONFLICT)
            newt__queue_conflict(c, fn);
        if ((rc != NEWT_ECONFLICT && rc != NEWT_ELOST) || attempt >= o.attempts)
            break;
        /* a queue spreads the clients as well */
        us = rc == NEWT_ECONFLICT && c->queue.n > 0 && !queued ? 0 : pause_us(c, attempt);
        if (o.deadline_ms > 0 && newt__clock() + us >= deadline)
            break;
        c->stats.retries++;
        contend(c, &contended);
        pause_for(us);
    }
    free(contended.oids);
    return rc;
}
