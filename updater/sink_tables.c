/*
 * sink_tables.c - typed tables whose mode is updater
 *
 * Batches are written by the extension (rows.h). What the database refuses is tried again here when
 * there is nothing else to do.
 */
#include "clock.h"
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 1000,   /* refused ones */
    LOOK_S = 1,      /* between two looks for them */
    REST = 20,       /* between two attempts at the same: times what one has taken */
    ANY_AFTER_S = 60 /* ... or so long, where no row has changed: a constraint may have gone */
};

#define REGISTRY "pg_catalog.to_regclass(pg_catalog.format('%I.newt_table', $1::text))"

static const rows_sql tables_sql = {
    .known = "SELECT 1::bigint WHERE pg_catalog.to_regprocedure('newt.copy_tables(regclass,bigint,"
             "bigint)') IS NOT NULL",
    .lacking = "typed tables are written by the extension \"newt\", which this database lacks",
    .write = "SELECT newt.write_tables(" REGISTRY ", $2::bigint[], false)" ROWS_LAZY,
    .copy = "SELECT newt.copy_tables(" REGISTRY ", $2::bigint, $3::bigint)" ROWS_LAZY};

typedef struct tables {
    rows rows;
    bool changed;      /* rows, since the refused ones were tried */
    double looked;     /* when it was asked for refused ones last */
    double tried;      /* when all of them had been tried last, 0: not yet */
    double not_before; /* the next attempt */
    int64_t after;     /* those up to this oid have been tried in this round */
    int64_t refused;   /* how many there are, as last told */
} tables;

static sink *
tables_open(const settings *set, fault *f)
{
    tables *s = calloc(1, sizeof *s);
    (void)set;
    if (s)
        s->rows = (rows){.base = {.type = &tables_sink, .fault = f}, .sql = &tables_sql};
    return s ? &s->rows.base : NULL;
}

static sink_status
tables_begin(sink *base, bool anew, const char **token)
{
    tables *s = (tables *)base;
    (void)anew;
    s->rows.known = false;
    s->changed = true;
    s->looked = s->tried = s->not_before = 0;
    s->after = 0;
    base->trouble.message[0] = 0;
    *token = NULL;
    return SINK_OK;
}

static sink_status
tables_apply(sink *base, const sink_source *from, const newt_batch *b, newt_progress *done)
{
    ((tables *)base)->changed |= b->n_events > 0;
    return rows_apply(base, from, b, done);
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
    newt_result *found = rows_ask(
        from,
        "SELECT DISTINCT zoid FROM newt_reject_entry WHERE n < 0 AND zoid > "
        "$1::bigint ORDER BY zoid LIMIT $2::bigint",
        2, params);
    if (!found)
        return SINK_STORE;
    size_t n = newt_result_size(found);
    bool fits = true;
    for (size_t i = 0; i < n && fits; i++) {
        s->after = newt_result_ref(found, i).oid;
        fits = rows_add(&s->rows, s->after);
    }
    newt_result_free(found);
    if (!fits)
        return rows_no_memory(&s->rows);
    if (n > 0 && (rows_write(&s->rows, from) != SINK_OK || newt_feed_commit(from->feed) != NEWT_OK))
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
        s->rows.base.trouble.detail = "They have no rows; all others have.";
        s->rows.base.trouble.hint =
            "See newt.rejects_report(). They are tried again when they are next "
            "written, and when there is nothing else to do.";
        snprintf(s->rows.base.trouble.message, sizeof s->rows.base.trouble.message,
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
    sink_status status = rows_know(&s->rows, from);
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
tables_close(sink *base)
{
    free(((tables *)base)->rows.oids);
    free(base);
}

const sink_type tables_sink = {
    .name = "tables",
    /* the rows are in the same database, as those of the projection */
    .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY,
    .open = tables_open,
    .begin = tables_begin,
    .apply = tables_apply,
    .commit = rows_commit,
    .idle = tables_idle,
    .reopen = rows_reopen,
    .close = tables_close,
};
