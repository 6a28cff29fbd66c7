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

static void
tell(newt__session *c, newt__opened *opened, void *arg)
{
    c->opened = opened;
    c->opened_arg = arg;
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
prepare(newt__session *c, const newt__writes *w, const char *name, newt__committed *out,
        newt_error *e)
{
    newt__outcome outcome;

    *out = (newt__committed){0};
    outcome = newt__session_commit(c, w, name, out);
    if (outcome != NEWT__DONE && outcome != NEWT__STOPPED)
        newt__error_move(e, &c->error);
    newt__error_clear(&c->error);
    return outcome;
}

static newt__outcome
commit(newt__session *c, const newt__writes *w, newt__committed *out, newt_error *e)
{
    return prepare(c, w, NULL, out, e);
}

static int
settle(newt__session *c, const char *name, bool commit_it, newt_error *e)
{
    return done(c, newt__session_settle(c, name, commit_it), e);
}

static int
list_prepared(newt__session *c, newt__take_prepared *take, void *arg, newt_error *e)
{
    return done(c, newt__session_prepared(c, take, arg), e);
}

static int
classes(newt__session *c, const newt__registered *list, size_t n, newt__take_class *take, void *arg,
        newt_error *e)
{
    return done(c, newt__session_classes(c, list, n, take, arg), e);
}

static int
register_classes(newt__session *c, const newt__registered *list, size_t n, newt__take_class *take,
                 void *arg, newt_error *e)
{
    return done(c, newt__session_register(c, list, n, take, arg), e);
}

/* ---- for those who follow ------------------------------------------------------------------ */

/* The server has changed under the connection, before anything was handed over: the same again over
 * a new one. */
static bool
changed(newt__session *c, int status)
{
    if (status != NEWT_ELOST || !c->reopen)
        return false;
    newt__error_clear(&c->error);
    return true;
}

static int
feed_next(newt__session *c, newt__cursor *at, int64_t objects, newt__take_transaction *take,
          void *arg, newt_error *e)
{
    int status = newt__session_feed(c, at, objects, take, arg);

    if (changed(c, status))
        status = newt__session_feed(c, at, objects, take, arg);
    return done(c, status, e);
}

static int
origin(newt__session *c, int64_t serial, newt__take_transaction *take, void *arg, newt_error *e)
{
    return done(c, newt__session_origin(c, serial, take, arg), e);
}

static int
feed_wait(newt__session *c, newt__position after, int at_most_ms, newt_error *e)
{
    return done(c, newt__session_wait_feed(c, after, at_most_ms), e);
}

static int
newest(newt__session *c, newt__position *out, newt_error *e)
{
    int status = newt__session_newest(c, out);

    if (changed(c, status))
        status = newt__session_newest(c, out);
    return done(c, status, e);
}

static int
scan(newt__session *c, int64_t after, size_t n, newt__take_record *take, void *arg, newt_error *e)
{
    int status = newt__session_scan(c, after, n, take, arg);

    if (changed(c, status))
        status = newt__session_scan(c, after, n, take, arg);
    return done(c, status, e);
}

static int
look_at(newt__session *c, const int64_t *oids, size_t n, newt__extent extent, int64_t bytes,
        newt__take_record *take, void *arg, newt_error *e)
{
    int status = newt__session_look(c, oids, n, extent, bytes, take, arg);

    if (changed(c, status))
        status = newt__session_look(c, oids, n, extent, bytes, take, arg);
    return done(c, status, e);
}

static int
count(newt__session *c, newt__take_count *take, void *arg, newt_error *e)
{
    return done(c, newt__session_count(c, take, arg), e);
}

static int
barrier(newt__session *c, newt_error *e)
{
    return done(c, newt__session_barrier(c), e);
}

static int
holder(newt__session *c, int *pid, int64_t *us, newt_error *e)
{
    return done(c, newt__session_holder(c, pid, us), e);
}

static int
follower(newt__session *c, const char *name, const char *kind, newt__standing *out, bool *found,
         newt_error *e)
{
    int status = newt__session_follower(c, name, kind, out, found);

    if (changed(c, status))
        status = newt__session_follower(c, name, kind, out, found);
    return done(c, status, e);
}

static int
claim(newt__session *c, const char *name, bool *mine, newt_error *e)
{
    return done(c, newt__session_claim(c, name, mine), e);
}

static int
move(newt__session *c, const char *name, const char *kind, const newt__standing *from,
     const newt__standing *to, newt_error *e)
{
    return done(c, newt__session_move(c, name, kind, from, to), e);
}

static int
forget(newt__session *c, const char *name, newt_error *e)
{
    return done(c, newt__session_forget_follower(c, name), e);
}

static int
prune(newt__session *c, int64_t at_most, int64_t *pruned, newt_error *e)
{
    return done(c, newt__session_prune(c, at_most, pruned), e);
}

static int
health(newt__session *c, const char *name, newt_health *out, newt_error *e)
{
    return done(c, newt__session_health(c, name, out), e);
}

static int
registered(newt__session *c, newt__take_registered *take, void *arg, newt_error *e)
{
    return done(c, newt__session_registered(c, take, arg), e);
}

static int
import(newt__session *c, const newt__import *what, newt_error *e)
{
    return done(c, newt__session_import(c, what), e);
}

static int
execute(newt__session *c, const char *name, const newt__standing *from, const char *sql, int n,
        const char *const *params, newt_error *e)
{
    return done(c, newt__session_execute(c, name, from, sql, n, params), e);
}

static int
project(newt__session *c, const newt__part *part, newt_progress *out, newt_error *e)
{
    return done(c, newt__session_project(c, part, out), e);
}

static int
retry(newt__session *c, bool early, int64_t max_objects, newt_progress *out, newt_error *e)
{
    return done(c, newt__session_retry(c, early, max_objects, out), e);
}

static int
sweep(newt__session *c, newt_sweep *s, newt_error *e)
{
    return done(c, newt__session_sweep(c, s), e);
}

static int
projected(newt__session *c, int64_t *tid, bool *any, newt_error *e)
{
    return done(c, newt__session_projected(c, tid, any), e);
}

static const newt__feed_type feed = {
    .next = feed_next,
    .origin = origin,
    .wait = feed_wait,
    .newest = newest,
    .scan = scan,
    .look = look_at,
    .count = count,
    .barrier = barrier,
    .holder = holder,
    .follower = follower,
    .claim = claim,
    .release = newt__session_release,
    .move = move,
    .forget = forget,
    .prune = prune,
    .health = health,
    .registered = registered,
    .import = import,
    .execute = execute,
    .undo = newt__session_undo,
    .project = project,
    .retry = retry,
    .sweep = sweep,
    .projected = projected,
};

const newt__storage_type newt__postgres = {
    .scheme = "postgresql",
    .has_schemas = true,
    .create = newt__postgres_create,
    .open = storage_open,
    .features = storage_features,
    .close = storage_close,
    .connect = newt__session_new,
    .disconnect = newt__session_free,
    .tell = tell,
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
    .prepare = prepare,
    .settle = settle,
    .prepared = list_prepared,
    .classes = classes,
    .register_classes = register_classes,
    .feed = &feed,
};
