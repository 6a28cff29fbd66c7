/*
 * sink_tables.c - typed tables whose mode is updater
 *
 * A batch is written by the extension, in the transaction that moves the position. It is cut in
 * pieces, so that no statement is long; and a large transaction comes in several batches, which
 * bear repetition. A copy goes through all objects and all rows. What the database refuses is tried
 * again here when there is nothing else to do.
 */
#include "clock.h"
#include "sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 2000,    /* objects of one statement */
    WINDOW = 1000,   /* refused ones */
    LOOK_S = 1,      /* between two looks for them */
    REST = 20,       /* between two attempts at the same: times what one has taken */
    ANY_AFTER_S = 60 /* ... or so long, where no row has changed: a constraint may have gone */
};

#define REGISTRY "pg_catalog.to_regclass(pg_catalog.format('%I.newt_table', $1::text))"
/* a crash takes rows and position back together */
#define LAZY ", pg_catalog.set_config('synchronous_commit', 'off', true)"

typedef struct tables {
    sink base;
    bool known;        /* the server has what is called here */
    bool changed;      /* rows, since the refused ones were tried */
    double looked;     /* when it was asked for refused ones last */
    double tried;      /* when all of them had been tried last, 0: not yet */
    double not_before; /* the next attempt */
    int64_t after;     /* those up to this oid have been tried in this round */
    int64_t refused;   /* how many there are, as last told */
    char *oids;        /* '{1,2,...}' */
    size_t n_oids, room;
} tables;

static sink *
tables_open(const settings *set, fault *f)
{
    tables *s = calloc(1, sizeof *s);
    (void)set;
    if (s)
        s->base = (sink){.type = &tables_sink, .fault = f};
    return s ? &s->base : NULL;
}

static sink_status
tables_begin(sink *base, bool anew, const char **token)
{
    tables *s = (tables *)base;
    (void)anew;
    s->known = false;
    s->changed = true;
    s->looked = s->tried = s->not_before = 0;
    s->after = 0;
    base->trouble.message[0] = 0;
    *token = NULL;
    return SINK_OK;
}

/* Oids that a query finds; NULL: the store's trouble. */
static newt_result *
ask(const sink_source *from, const char *sql, int n, const char *const *params)
{
    newt_result *found = NULL;
    if (newt_begin(from->c) != NEWT_OK || newt_search(from->c, &found, sql, n, params) != NEWT_OK)
        return NULL;
    newt_abort(from->c);
    return found;
}

/* Once for each connection. */
static sink_status
know_server(tables *s, const sink_source *from)
{
    if (s->known)
        return SINK_OK;
    newt_result *found = ask(from,
                             "SELECT 1::bigint WHERE pg_catalog.to_regprocedure('newt.copy_tables("
                             "regclass,bigint,bigint)') IS NOT NULL",
                             0, NULL);
    if (!found)
        return SINK_STORE;
    s->known = newt_result_size(found) > 0;
    newt_result_free(found);
    if (s->known)
        return SINK_OK;
    s->base.trouble.detail = "";
    s->base.trouble.hint = "CREATE EXTENSION newt; or, if there is an older version, ALTER "
                           "EXTENSION newt UPDATE.";
    snprintf(s->base.trouble.message, sizeof s->base.trouble.message,
             "typed tables are written by the extension \"newt\", which this database lacks");
    return SINK_END;
}

/* ---- a batch -------------------------------------------------------------------------- */

static bool
add_oid(tables *s, int64_t oid)
{
    enum {
        LONGEST = 24
    };
    if (s->n_oids + LONGEST > s->room) {
        size_t room = s->room ? 2 * s->room : 4096;
        char *oids = realloc(s->oids, room);
        if (!oids)
            return false;
        s->oids = oids;
        s->room = room;
    }
    s->n_oids += (size_t)snprintf(s->oids + s->n_oids, LONGEST, "%c%" PRId64, s->n_oids ? ',' : '{',
                                  oid);
    return true;
}

static sink_status
no_memory(tables *s)
{
    s->base.trouble.detail = s->base.trouble.hint = "";
    snprintf(s->base.trouble.message, sizeof s->base.trouble.message, "out of memory");
    return SINK_END;
}

/* The rows of the oids that were added. */
static sink_status
write_oids(tables *s, const sink_source *from)
{
    if (s->n_oids == 0)
        return SINK_OK;
    strcpy(s->oids + s->n_oids, "}");
    s->n_oids = 0;
    const char *params[] = {from->set->schema, s->oids};
    return newt_feed_exec(from->feed,
                          "SELECT newt.write_tables(" REGISTRY ", $2::bigint[], false)" LAZY, 2,
                          params) == NEWT_OK
               ? SINK_OK
               : SINK_STORE;
}

static sink_status
copy_range(const sink_source *from, int64_t after, int64_t up_to)
{
    char range[2][24];
    const char *params[] = {from->set->schema, range[0], range[1]};
    snprintf(range[0], sizeof range[0], "%" PRId64, after);
    snprintf(range[1], sizeof range[1], "%" PRId64, up_to);
    return newt_feed_exec(from->feed,
                          "SELECT newt.copy_tables(" REGISTRY ", $2::bigint, $3::bigint)" LAZY, 3,
                          params) == NEWT_OK
               ? SINK_OK
               : SINK_STORE;
}

/* A copy's events come in the order of their oids. */
static sink_status
copy(tables *s, const sink_source *from, const newt_batch *b)
{
    int64_t after = b->after;
    for (size_t i = PIECE; i < b->n_events; i += PIECE) {
        if (copy_range(from, after, b->events[i - 1].oid) != SINK_OK)
            return SINK_STORE;
        after = b->events[i - 1].oid;
        fault_at(s->base.fault, FAULT_WRITE);
    }
    return copy_range(from, after, b->up_to);
}

static sink_status
write_events(tables *s, const sink_source *from, const newt_batch *b)
{
    size_t n = 0;
    s->n_oids = 0;
    for (size_t i = 0; i < b->n_events; i++) {
        if (b->events[i].superseded)
            continue;
        if (n > 0 && n % PIECE == 0) {
            if (write_oids(s, from) != SINK_OK)
                return SINK_STORE;
            fault_at(s->base.fault, FAULT_WRITE);
        }
        if (!add_oid(s, b->events[i].oid))
            return no_memory(s);
        n++;
    }
    return write_oids(s, from);
}

static sink_status
tables_apply(sink *base, const sink_source *from, const newt_batch *b, newt_progress *done)
{
    tables *s = (tables *)base;
    sink_status status = know_server(s, from);
    if (status == SINK_OK)
        status = b->copy ? copy(s, from, b) : write_events(s, from, b);
    if (status != SINK_OK)
        return status;
    s->changed |= b->n_events > 0;
    for (size_t i = 0; i < b->n_events; i++) {
        done->written += b->events[i].kind == NEWT_EVENT_WRITTEN && !b->events[i].superseded;
        done->removed += b->events[i].kind == NEWT_EVENT_REMOVED;
    }
    return SINK_OK;
}

static sink_status
tables_commit(sink *base, const sink_source *from, const newt_batch *b)
{
    (void)b;
    fault_at(base->fault, FAULT_SYNC);
    fault_at(base->fault, FAULT_COMMIT);
    return newt_feed_commit(from->feed) == NEWT_OK ? SINK_OK : SINK_STORE;
}

/* ---- what was refused ----------------------------------------------------------------- */

/* Tries the next ones again. */
static sink_status
try_refused(tables *s, const sink_source *from)
{
    char after[24], most[24];
    const char *params[] = {after, most};
    double begun = clock_now();
    snprintf(after, sizeof after, "%" PRId64, s->after);
    snprintf(most, sizeof most, "%d", WINDOW);
    newt_result *found = ask(from,
                             "SELECT DISTINCT zoid FROM newt_reject_entry WHERE n < 0 AND zoid > "
                             "$1::bigint ORDER BY zoid LIMIT $2::bigint",
                             2, params);
    if (!found)
        return SINK_STORE;
    size_t n = newt_result_size(found);
    bool fits = true;
    s->n_oids = 0;
    for (size_t i = 0; i < n && fits; i++) {
        s->after = newt_result_ref(found, i).oid;
        fits = add_oid(s, s->after);
    }
    newt_result_free(found);
    if (!fits)
        return no_memory(s);
    if (n > 0 && (write_oids(s, from) != SINK_OK || newt_feed_commit(from->feed) != NEWT_OK))
        return SINK_STORE;
    s->not_before = clock_now() + REST * (clock_now() - begun);
    if (n < WINDOW) {
        s->after = 0;
        s->tried = clock_now();
        s->changed = false;
    }
    return SINK_OK;
}

/* More than there were. */
static void
tell_refused(tables *s, newt_progress *done, int64_t now)
{
    if (now > s->refused) {
        done->refused += now - s->refused;
        s->base.trouble.detail = "They have no rows; all others have.";
        s->base.trouble.hint = "See newt.rejects_report(). They are tried again when they are next "
                               "written, and when there is nothing else to do.";
        snprintf(s->base.trouble.message, sizeof s->base.trouble.message,
                 "the database refuses the typed rows of %" PRId64 " objects", now);
    }
    s->refused = now;
}

static sink_status
tables_idle(sink *base, const sink_source *from, newt_progress *done)
{
    tables *s = (tables *)base;
    newt_health h = {.size = sizeof h};
    double now = clock_now();
    sink_status status = know_server(s, from);
    if (status != SINK_OK || now < s->looked + LOOK_S)
        return status;
    s->looked = now;
    if (newt_store_health(from->c, from->set->name, &h) != NEWT_OK)
        return SINK_STORE;
    if (h.rejects > 0) {
        bool first = s->tried == 0, due = s->changed || now >= s->tried + ANY_AFTER_S;
        do /* at the beginning all: it may end at once */
            status = (due || s->after > 0) && now >= s->not_before ? try_refused(s, from) : SINK_OK;
        while (first && status == SINK_OK && s->after > 0);
        if (status == SINK_OK && newt_store_health(from->c, from->set->name, &h) != NEWT_OK)
            status = SINK_STORE;
    }
    if (status == SINK_OK)
        tell_refused(s, done, h.rejects);
    return status;
}

static void
tables_reopen(sink *base, const settings *set)
{
    (void)base;
    (void)set;
}

static void
tables_close(sink *base)
{
    free(((tables *)base)->oids);
    free(base);
}

const sink_type tables_sink = {
    .name = "tables",
    /* the rows are in the same database, as those of the projection */
    .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
    .open = tables_open,
    .begin = tables_begin,
    .apply = tables_apply,
    .commit = tables_commit,
    .idle = tables_idle,
    .reopen = tables_reopen,
    .close = tables_close,
};
