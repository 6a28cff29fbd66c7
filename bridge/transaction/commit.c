/*
 * commit.c - commits: what is written goes to the storage, what clashes is merged or reported
 */
#include "transaction.h"

enum {
    MOST_MERGES = 10 /* of one commit; also in newtdb.h */
};

typedef struct work {
    newt_conn *c;
    const char *name; /* it is prepared under this; or NULL */
    newt__committed prepared;
    newt__pending pending;
    newt__conflicts conflicts;
    int merges; /* this many attempts have been merged with what others committed */
} work;

/* ---- what the storage asks for ---------------------------------------------------------- */

static int
next(void *arg, newt__change *out)
{
    work *w = arg;
    int found = newt__pending_next(&w->pending, out);

    if (found == 1)
        newt__call_hands(&w->c->jar, out->n);
    return found;
}

static int
rewind_all(void *arg)
{
    work *w = arg;

    w->c->jar.handed = w->c->jar.handed_bytes = 0; /* what is pulled again is written once */
    return newt__pending_rewind(&w->pending);
}

static int
project(void *arg, int64_t oid, const void *record, size_t n, newt__buffer *out, bool *hidden,
        json_t *rejects)
{
    work *w = arg;

    return newt__object_project(&w->c->jar, oid, record, n, out, hidden, rejects);
}

static bool
current(void *arg, size_t i, int64_t *oid, int64_t *serial)
{
    newt__jar *jar = &((work *)arg)->c->jar;

    *oid = jar->current[i].oid;
    *serial = jar->current[i].serial;
    return newt__current_only_read(jar, i);
}

static int
clash(void *arg, const newt__found *now, bool only_read)
{
    work *w = arg;

    return newt__conflicts_take(&w->conflicts, now, only_read);
}

/* ---- what has become of it ---------------------------------------------------------------- */

static void
read_only(newt_conn *c)
{
    newt__objects_committed(&c->jar, 0);
    newt__transaction_over(c);
    newt__error_clear(&c->jar.base.error);
}

static void
done(newt_conn *c, const newt__committed *x)
{
    newt__objects_committed(&c->jar, x->serial);
    newt__transaction_over(c);
    c->jar.stats.commits++;
    c->committed_tid = x->tid;
    newt__tid_seen(c->db, x->tid);
    if (x->has_others && newt__changes_apply(c, &x->others, x->serial) != NEWT_OK) {
        /* no memory to hear what others changed: start afresh */
        newt__cache_clear(&c->jar);
        c->position = (newt__position){0};
    }
    newt__error_clear(&c->jar.base.error);
}

/* Nothing was written, and *e says why; it becomes the connection's error, unless that has one
 * already. */
static int
failed(newt_conn *c, newt_error *e)
{
    int status;

    c->jar.stats.conflicts += e->status == NEWT_ECONFLICT;
    newt__base_fail_with(&c->jar.base, e);
    status = c->jar.base.error.status;
    newt__abort(c);
    return status;
}

/* What others have changed is merged (*again: the commit is to be tried once more), or becomes the
 * error. */
static int
conflict(work *w, newt_error *e, bool *again)
{
    int status = newt__conflicts_settle(&w->conflicts, e);

    if (status == NEWT_OK) {
        newt__error_clear(e);
        w->merges++;
        *again = true;
        return NEWT_OK;
    }
    if (w->merges == MOST_MERGES)
        newt__fail_hint(e, "It was merged %d times, and each time changed again.", MOST_MERGES);
    return failed(w->c, e);
}

/* ---- commit ------------------------------------------------------------------------------ */

static int
attempt(work *w, bool *again)
{
    newt_conn *c = w->c;
    newt__writes writes = {.arg = w,
                           .next = next,
                           .rewind = rewind_all,
                           .project = project,
                           .current = current,
                           .n_current = c->jar.n_current,
                           /* what is to be current is checked for all that end together */
                           .wants_row = w->name && c->jar.n_current > 0,
                           .clash = clash};
    newt__call call = newt__call_begin(&c->jar);
    newt__outcome outcome;
    newt__committed x;
    newt_error e = {0};
    int status = NEWT_OK;

    *again = false;
    newt__description_get(c, &writes);
    newt__resources_describe(c, &writes);
    if (c->jar.cache.n > 0)
        writes.cache = c->position;
    w->pending.may_merge = w->merges < MOST_MERGES;
    w->conflicts = (newt__conflicts){.c = c};
    outcome = w->name ? c->jar.storage->prepare(c->jar.session, &writes, w->name, &x, &e)
                      : c->jar.storage->commit(c->jar.session, &writes, &x, &e);
    newt__call_end(&c->jar, &call, w->name ? "prepare" : "commit", NULL,
                   outcome == NEWT__STOPPED ? x.status : e.status);
    switch (outcome) {
    case NEWT__DONE:
        if (x.serial == 0)
            read_only(c);
        else if (w->name)
            w->prepared = x;
        else
            done(c, &x);
        break;
    case NEWT__IN_DOUBT:
        status = e.status;
        if (x.serial != 0) {
            done(c, &x);
        } else {
            newt__abort(c);
            c->position = (newt__position){0}; /* what is cached may be of before or of after it */
        }
        newt__error_move(&c->jar.base.error, &e);
        break;
    case NEWT__CLASH:
        c->checked_us = 0; /* the next begin asks what has happened */
        status = conflict(w, &e, again);
        break;
    case NEWT__FAILED:
        c->checked_us = 0;
        status = failed(c, &e);
        break;
    case NEWT__STOPPED:
        status = x.status;
        newt__abort(c);
        break;
    }
    newt__conflicts_free(&w->conflicts);
    return status;
}

static int
check_doomed(newt_conn *c)
{
    if (!c->doomed)
        return NEWT_OK;
    newt__base_fail(&c->jar.base, NEWT_EDOOMED, 0, "the transaction is doomed");
    newt__fail_hint(&c->jar.base.error,
                    "newt_doom() was called, or one that had joined it has ended: it "
                    "can only be aborted.");
    return NEWT_EDOOMED;
}

/* Up to where all that can fail has been tried, but for the store. */
static int
prepare(newt_conn *c)
{
    newt__writes own = {0};
    int status = newt__hooks_run(c, NEWT_BEFORE_COMMIT);

    if (status == NEWT_OK)
        status = newt__base_enter(&c->jar.base);
    if (status == NEWT_OK)
        status = check_doomed(c);
    if (status == NEWT_OK)
        status = newt__marks_check(&c->jar);
    if (status == NEWT_OK)
        status = newt__index_flush(&c->jar, true);
    if (status == NEWT_OK)
        status = newt__unreachable_tell(c);
    newt__description_get(c, &own);
    if (status == NEWT_OK)
        status = newt__resources_prepare(c, own.extension);
    /* a resource may have doomed it, or have ended a transaction that had joined */
    return status == NEWT_OK ? check_doomed(c) : status;
}

/* The resources follow the store. */
static int
follow(newt_conn *c, int status)
{
    if (status == NEWT_OK)
        return newt__resources_commit(c);
    if (status != NEWT_EUNKNOWN)
        newt__resources_abort(c);
    else if (c->committed_tid == 0)
        newt__resources_leave(c);
    else
        (void)newt__resources_commit(c); /* the error is that of the store */
    return status;
}

/* The store's part. */
static int
attempt_all(work *w)
{
    bool again = true;
    int status = NEWT_OK;

    while (again)
        status = attempt(w, &again);
    newt__pending_free(&w->pending);
    return status;
}

int
newt_commit(newt_conn *c)
{
    work w = {.c = c, .pending.c = c};
    int status = newt__base_enter(&c->jar.base);

    if (status == NEWT_EBUSY || status == NEWT_ETHREAD)
        return status;
    if (c->ending || c->leader) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0,
                        c->ending ? "a hook of this transaction is running"
                                  : "the transaction has joined another one: commit that one");
        if (c->ending)
            newt__fail_hint(&c->jar.base.error, "A hook returns, and the transaction ends; "
                                                "newt_doom() keeps it from being committed.");
        return NEWT_EBUSY;
    }
    if (status == NEWT_OK)
        status = prepare(c);
    if (status == NEWT_OK) {
        status = follow(c, attempt_all(&w));
    } else { /* the store was not asked, whatever the status says */
        newt__abort(c);
        newt__resources_abort(c);
    }
    newt__hooks_end(c, NEWT_AFTER_COMMIT, status);
    return status;
}

/* ---- in two phases ------------------------------------------------------------------------ */

int
newt__commit_prepare(newt_conn *c, const char *name, newt__committed *out)
{
    work w = {.c = c, .name = name, .pending.c = c};
    int status = newt__base_enter(&c->jar.base);

    if (status == NEWT_OK)
        status = prepare(c);
    if (status != NEWT_OK)
        newt__abort(c);
    else
        status = attempt_all(&w);
    *out = w.prepared;
    if (status != NEWT_OK)
        newt__hooks_end(c, NEWT_AFTER_COMMIT, status);
    return status;
}

/* It may be committed yet: nothing of the cache is certain. */
static void
forget(newt_conn *c)
{
    if (c->jar.base.phase != NEWT__IDLE)
        newt__abort(c);
    c->position = (newt__position){0};
    newt__cache_clear(&c->jar);
}

void
newt__commit_leave(newt_conn *c)
{
    forget(c);
    newt__hooks_end(c, NEWT_AFTER_COMMIT, NEWT_EUNKNOWN);
}

int
newt__commit_settle(newt_conn *c, const char *name, const newt__committed *x, bool commit)
{
    newt__call call = newt__call_begin(&c->jar);
    newt_error e = {0};
    int status = NEWT_OK;

    if (x->serial != 0) {
        status = c->jar.storage->settle(c->jar.session, name, commit, &e);
        newt__call_end(&c->jar, &call, "settle", NULL, status);
    }
    if (status != NEWT_OK || !commit)
        forget(c);
    else if (x->serial != 0)
        done(c, x);
    if (status != NEWT_OK)
        newt__base_fail_with(&c->jar.base, &e);
    newt__hooks_end(c, NEWT_AFTER_COMMIT, commit ? status : NEWT_EDOOMED);
    return status;
}
