/*
 * storage.c - SQLite as a storage
 */
#include "sqlite.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- the store --------------------------------------------------------------------------- */

static int
check_schema(const char *schema, newt_error *e)
{
    if (strcmp(schema, "public") == 0)
        return NEWT_OK;
    newt__fail(e, NEWT_EINVAL, 0, "a store in SQLite has no schema \"%s\"", schema);
    newt__fail_hint(e, "Each store is a file of its own.");
    return NEWT_EINVAL;
}

static int
create(const char *uri, const char *schema, newt_error *e)
{
    newt__where where;
    int status = check_schema(schema, e);

    if (status == NEWT_OK)
        status = newt__where_read(&where, uri, e);
    if (status != NEWT_OK)
        return status;
    status = newt__file_create(&where, e);
    newt__where_free(&where);
    return status;
}

static int
storage_open(newt__storage **out, const char *uri, const newt_options *options,
             const newt__process *process, newt_error *e)
{
    newt__storage *s = calloc(1, sizeof *s);
    int status;

    *out = NULL;
    if (!s)
        return newt__fail_memory(e);
    status = check_schema(options->schema, e);
    if (status == NEWT_OK)
        status = newt__where_read(&s->where, uri, e);
    if (status != NEWT_OK) {
        free(s);
        return status;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->options = options;
    s->process = process;
    *out = s;
    return NEWT_OK;
}

static unsigned
features(const newt__storage *s)
{
    (void)s;
    return 0;
}

/* In a child the lock is left as it is: another thread may have held it during fork(). */
static void
storage_close(newt__storage *s)
{
    if (newt__process_is(s->process)) {
        newt__file_close(&s->numbers);
        pthread_mutex_destroy(&s->lock);
    }
    newt__where_free(&s->where);
    free(s);
}

/* ---- what is not there ----------------------------------------------------------------------- */

/* Clients in each other's way wait for the lock, and try again. */
static void
ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms)
{
    (void)x, (void)oids, (void)n, (void)at_most_ms;
}

static int
walk(newt__session *x, const int64_t *roots, size_t n, const newt_walk_options *options,
     newt__take_record *take, void *arg, newt_error *e)
{
    (void)x, (void)roots, (void)n, (void)options, (void)take, (void)arg, (void)e;
    return 1; /* level by level is as good */
}

/* Which process has the lock SQLite does not tell. */
static int
holder(newt__session *x, int *pid, int64_t *us, newt_error *e)
{
    (void)x;
    (void)e;
    *pid = 0;
    *us = 0;
    return NEWT_OK;
}

/* ---- the tables --------------------------------------------------------------------------- */

static const newt__feed_type feed = {
    .next = newt__sqlite_next,
    .origin = newt__sqlite_origin,
    .wait = newt__sqlite_wait,
    .newest = newt__sqlite_newest,
    .scan = newt__sqlite_scan,
    .look = newt__sqlite_look,
    .barrier = newt__sqlite_barrier,
    .holder = holder,
    .follower = newt__sqlite_follower,
    .claim = newt__sqlite_claim,
    .release = newt__sqlite_release,
    .move = newt__sqlite_move,
    .forget = newt__sqlite_forget,
    .prune = newt__sqlite_prune,
    .health = newt__sqlite_health,
    .execute = newt__sqlite_execute,
    .undo = newt__sqlite_undo,
    .registered = newt__sqlite_registered,
    .import = newt__sqlite_import,
    .project = newt__sqlite_project,
    .retry = newt__sqlite_retry,
    .sweep = newt__sqlite_sweep,
    .projected = newt__sqlite_projected,
};

const newt__storage_type newt__sqlite = {
    .scheme = "sqlite",
    .create = create,
    .open = storage_open,
    .features = features,
    .close = storage_close,
    .connect = newt__sqlite_connect,
    .disconnect = newt__sqlite_disconnect,
    .tell = newt__sqlite_tell,
    .ready = newt__sqlite_ready,
    .alive = newt__sqlite_alive,
    .abandon = newt__sqlite_abandon,
    .begin = newt__sqlite_begin,
    .ask_turn = ask_turn,
    .end = newt__sqlite_end,
    .load = newt__sqlite_load,
    .walk = walk,
    .query = newt__sqlite_query,
    .index = newt__sqlite_index,
    .next_oid = newt__sqlite_next_oid,
    .commit = newt__sqlite_commit,
    .classes = newt__sqlite_classes,
    .register_classes = newt__sqlite_register,
    .feed = &feed,
};
