/*
 * transaction.c - begin, snapshots, what others have changed, abort
 */
#include "transaction.h"

#include <stdlib.h>

_Static_assert(offsetof(newt_conn, jar) == 0, "a newt_conn begins with its newt__jar");

/* ---- asking ------------------------------------------------------------------------------ */

int
newt_status(const newt_conn *c)
{
    return c->jar.base.error.status;
}

int64_t
newt_tid(const newt_conn *c)
{
    return c->committed_tid ? c->committed_tid : c->position.tid;
}

/* ---- what others have changed ------------------------------------------------------------ */

static int64_t
newest_tid(newt_db *db)
{
    int64_t tid;

    pthread_mutex_lock(&db->mutex);
    tid = db->newest_tid;
    pthread_mutex_unlock(&db->mutex);
    return tid;
}

void
newt__tid_seen(newt_db *db, int64_t tid)
{
    pthread_mutex_lock(&db->mutex);
    if (tid > db->newest_tid)
        db->newest_tid = tid;
    pthread_mutex_unlock(&db->mutex);
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

    newt__header_fail(h, NEWT_ECONFLICT, "%s was changed by another transaction",
                      newt__header_name(h, name));
    newt__fail_detail(&c->jar.base.error, "It was read from the cache, as of transaction %lld.",
                      (long long)c->position.tid);
    c->checked_us = 0; /* the next begin asks the server */
    c->jar.stats.conflicts++;
    return NEWT_ECONFLICT;
}

/* All that is cached and not used in this transaction. */
static int
invalidate_all(newt_conn *c)
{
    const newt__cache *cache = &c->jar.cache;
    int64_t *oids;
    size_t n = 0;

    if (c->jar.base.phase == NEWT__IDLE) {
        newt__cache_clear(&c->jar);
        return NEWT_OK;
    }
    for (size_t i = 0; i < cache->cap; i++) {
        newt__header *h = cache->slots[i].h;

        if (h && from_the_store(h) && newt__object_used(&c->jar, h->oid))
            return read_conflict(c, h);
    }
    oids = malloc((cache->n + 1) * sizeof *oids);
    if (!oids)
        return newt__fail_memory(&c->jar.base.error);
    for (size_t i = 0; i < cache->cap; i++) /* removing moves them */
        if (cache->slots[i].h && from_the_store(cache->slots[i].h))
            oids[n++] = cache->slots[i].oid;
    for (size_t i = 0; i < n; i++)
        newt__object_invalidate(&c->jar, oids[i]);
    free(oids);
    return NEWT_OK;
}

/* What the own commit has written is newer than all that was changed before it. */
static bool
is_older(const newt_conn *c, const newt__changes *x, size_t i, int64_t own_serial)
{
    const newt__header *h = i < x->before ? newt__cache_find(&c->jar.cache, x->oids[i]) : NULL;

    return h && h->serial == own_serial;
}

/*
 * Forgets what others have changed. What is used in this transaction makes a conflict; then the
 * position of the cache stays where it was, so that the next begin hears of all this again.
 */
static int
invalidate(newt_conn *c, const newt__changes *x, int64_t own_serial)
{
    newt__header *h;

    for (size_t i = 0; i < x->n; i++)
        if (newt__object_used(&c->jar, x->oids[i]) &&
            (h = newt__cache_find(&c->jar.cache, x->oids[i])) && from_the_store(h) &&
            !is_older(c, x, i, own_serial))
            return read_conflict(c, h);
    for (size_t i = 0; i < x->n; i++)
        if (!is_older(c, x, i, own_serial))
            newt__object_invalidate(&c->jar, x->oids[i]);
    return NEWT_OK;
}

int
newt__changes_apply(newt_conn *c, const newt__changes *x, int64_t own_serial)
{
    int status = x->all ? invalidate_all(c) : invalidate(c, x, own_serial);

    if (status != NEWT_OK)
        return status;
    c->position = x->to;
    c->checked_us = newt__clock();
    newt__tid_seen(c->db, x->to.tid);
    return NEWT_OK;
}

int
newt__transaction_opened(void *arg, const newt__changes *x)
{
    newt_conn *c = arg;
    int status = newt__changes_apply(c, x, 0);

    newt__queue_came(&c->queue, x);
    if (status != NEWT_OK) {
        newt__base_doom(&c->jar.base);
        return status;
    }
    if (x->to.tid != 0)
        newt__base_move(&c->jar.base, NEWT__OPENS);
    return NEWT_OK;
}

/* The cache can be used as it is. */
static bool
fresh(newt_conn *c)
{
    if (!c->jar.storage->alive(c->jar.session))
        return false;
    if (c->jar.cache.n == 0)
        return true; /* everything will come from the snapshot */
    return c->position.tid >= newest_tid(c->db) && newt__clock() - c->checked_us < NEWT__FRESH_US;
}

/* ---- begin, abort --------------------------------------------------------------------- */

static void
start(newt_conn *c)
{
    static const newt__position none;

    c->jar.storage->begin(c->jar.session, c->jar.cache.n > 0 ? c->position : none);
    newt__base_move(&c->jar.base, NEWT__BEGINS);
}

void
newt__transaction_over(newt_conn *c)
{
    c->jar.storage->end(c->jar.session);
    newt__base_move(&c->jar.base, NEWT__ENDS);
    newt__description_clear(c);
    c->doomed = false;
}

void
newt__abort(newt_conn *c)
{
    if (!newt__process_is(&c->db->process))
        c->jar.storage->abandon(c->jar.session);
    newt__objects_aborted(&c->jar);
    newt__transaction_over(c);
}

void
newt_abort(newt_conn *c)
{
    if (!c || c->jar.base.phase == NEWT__IDLE || c->ending)
        return;
    if (!newt__process_is(&c->db->process)) { /* what has joined, and hooks, are the parent's */
        newt__resources_free(c);
        newt__abort(c);
        newt__hooks_free(c);
        return;
    }
    if (c->leader)
        c->leaving(c->joined);
    (void)newt__hooks_run(c, NEWT_BEFORE_ABORT);
    newt__resources_abort(c);
    newt__abort(c);
    newt__hooks_end(c, NEWT_AFTER_ABORT, NEWT_OK);
}

void
newt_doom(newt_conn *c)
{
    if (newt__base_own(&c->jar.base) == NEWT_OK)
        c->doomed = true;
}

bool
newt_is_doomed(const newt_conn *c)
{
    return c->doomed || newt__base_is_over(&c->jar.base);
}

static int
no_record(void *arg, const newt__found *found)
{
    (void)arg;
    (void)found;
    return NEWT_OK;
}

/* At once, and with these objects if there are any: in one round trip. */
static int
open_snapshot(newt_conn *c, const int64_t *wanted, size_t n)
{
    newt_error e = {0};
    int status = NEWT_OK;

    start(c);
    if (c->queue.patience_ms > 0)
        c->jar.storage->ask_turn(c->jar.session, c->queue.oids, c->queue.n, c->queue.patience_ms);
    for (size_t i = 0; i < n; i++)
        newt__object_invalidate(&c->jar, wanted[i]);
    if (n > 0)
        status = newt__load(&c->jar, wanted, n);
    if (status == NEWT_OK && c->jar.base.phase == NEWT__LAZY) {
        newt__call call = newt__call_begin(&c->jar);

        status = c->jar.storage->load(c->jar.session, NULL, 0, no_record, NULL, &e);
        newt__call_end(&c->jar, &call, "snapshot", NULL, status);
        if (e.status != NEWT_OK)
            newt__base_fail_with(&c->jar.base, &e);
    }
    if (status != NEWT_OK)
        newt__abort(c);
    return status;
}

int
newt__begin(newt_conn *c, bool lazily, const int64_t *wanted, size_t n)
{
    int status = NEWT_OK;

    if (!newt__process_is(&c->db->process))
        return newt__process_fail(&c->db->process, &c->jar.base.error);
    if (c->jar.base.phase != NEWT__IDLE) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0, "a transaction is open already");
        return NEWT_EBUSY;
    }
    if (c->writer || c->ending) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0,
                        c->writer ? "newt_feed_exec has begun a transaction"
                                  : "a hook of the last transaction is running");
        return NEWT_EBUSY;
    }
    c->jar.base.owner = pthread_self();
    c->committed_tid = 0;
    newt__error_clear(&c->jar.base.error);
    if (lazily && fresh(c)) {
        start(c);
        return NEWT_OK;
    }
    /* a connection that was idle may turn out to be dead; a new one is not */
    for (int attempt = 0; attempt < 2; attempt++) {
        newt_error e = {0};

        newt__error_clear(&c->jar.base.error);
        status = c->jar.storage->ready(c->jar.session, 0, &e);
        c->connected = status == NEWT_OK;
        if (status != NEWT_OK)
            newt__base_fail_with(&c->jar.base, &e);
        else
            status = open_snapshot(c, wanted, n);
        if (status != NEWT_ELOST)
            break;
    }
    return status;
}

int
newt_begin(newt_conn *c)
{
    return newt__begin(c, true, NULL, 0);
}
