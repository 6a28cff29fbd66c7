/*
 * storage.c - PostgreSQL as a storage
 */
#include "postgres.h"
#include "session.h"

#include <stdlib.h>

enum {
    PING_AFTER_US = 60 * 1000 * 1000 /* a connection that was idle for so long is asked first */
};

/* ---- the store --------------------------------------------------------------------------- */

static int
storage_open(newt__storage **out, const char *uri, const newt_options *options,
             const newt__process *process, newt_error *e)
{
    newt__storage *s = calloc(1, sizeof *s);

    *out = s;
    if (!s)
        return newt__fail_memory(e);
    s->uri = uri;
    s->schema = options->schema;
    s->options = options;
    s->process = process;
    return NEWT_OK;
}

static unsigned
storage_features(const newt__storage *s)
{
    return (s->options->transaction_pooling ? 0 : NEWT__HAS_TURNS) | (s->async ? NEWT__ASYNC : 0);
}

static void
storage_close(newt__storage *s)
{
    newt__sql_free(s->sql);
    free(s);
}

/* ---- sessions ----------------------------------------------------------------------------- */

/* The end of a call: its error is the caller's. */
static int
done(newt__session *c, int status, newt_error *e)
{
    if (c->error.status != NEWT_OK)
        newt__error_move(e, &c->error);
    return status;
}

static int
ready(newt__session *c, int64_t idle_us, newt_error *e)
{
    if (newt__session_alive(c) && idle_us > PING_AFTER_US) {
        newt__talk_begin(c);
        newt__sync(c);
        newt__take_rest(c);
        newt__error_clear(&c->talk->error);
    }
    return done(c, newt__session_server(c), e);
}

static bool
alive(const newt__session *c)
{
    return !c->broken && !c->reopen && !c->doubtful;
}

static void
begin(newt__session *c, newt__position position)
{
    c->position = position;
    c->snapshot = NEWT__SNAPSHOT_WANTED;
    c->turns.waited = c->turns.in_vain = false;
}

/* ---- what they do -------------------------------------------------------------------------- */

static int
load(newt__session *c, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
     newt_error *e)
{
    return done(c, newt__session_load(c, oids, n, take, arg), e);
}

static int
walk(newt__session *c, const int64_t *roots, size_t n, const newt_walk_options *options,
     newt__take_record *take, void *arg, newt_error *e)
{
    return done(c, newt__session_walk(c, roots, n, options, take, arg), e);
}

static int
query(newt__session *c, const newt__query *q, bool *over, newt_error *e)
{
    return done(c, newt__session_query(c, q, over), e);
}

static int
next_oid(newt__session *c, int64_t *oid, newt_error *e)
{
    return done(c, newt__next_number(c, oid), e);
}

static newt__outcome
commit(newt__session *c, const newt__writes *w, newt__committed *out, newt_error *e)
{
    newt__outcome outcome;

    *out = (newt__committed){0};
    outcome = newt__session_commit(c, w, out);
    if (outcome != NEWT__DONE && outcome != NEWT__STOPPED)
        newt__error_move(e, &c->error);
    newt__error_clear(&c->error);
    return outcome;
}

static int
classes(newt__session *c, const char *const *names, size_t n, newt__take_class *take, void *arg,
        newt_error *e)
{
    return done(c, newt__session_classes(c, names, n, take, arg), e);
}

static int
register_classes(newt__session *c, const newt__registered *list, size_t n, newt_error *e)
{
    return done(c, newt__session_register(c, list, n), e);
}

static int
feed(newt__session *c, newt__position *after, int64_t objects, newt__take_transaction *take,
     void *arg, newt_error *e)
{
    return done(c, newt__session_feed(c, after, objects, take, arg), e);
}

static int
wait_feed(newt__session *c, newt__position after, int at_most_ms, newt_error *e)
{
    return done(c, newt__session_wait_feed(c, after, at_most_ms), e);
}

static int
project(newt__session *c, const char *name, int64_t max_objects, newt_progress *out, newt_error *e)
{
    return done(c, newt__session_project(c, name, max_objects, out), e);
}

static int
retry_rejects(newt__session *c, int64_t max_objects, newt_progress *out, newt_error *e)
{
    return done(c, newt__session_retry(c, max_objects, out), e);
}

const newt__storage_type newt__postgres = {
    .scheme = "postgresql",
    .create = newt__postgres_create,
    .open = storage_open,
    .features = storage_features,
    .close = storage_close,
    .connect = newt__session_new,
    .disconnect = newt__session_free,
    .ready = ready,
    .alive = alive,
    .abandon = newt__session_abandon,
    .begin = begin,
    .ask_turn = newt__turns_ask,
    .end = newt__session_end,
    .load = load,
    .walk = walk,
    .query = query,
    .next_oid = next_oid,
    .commit = commit,
    .classes = classes,
    .register_classes = register_classes,
    .feed = feed,
    .wait_feed = wait_feed,
    .project = project,
    .retry_rejects = retry_rejects,
};
