/*
 * sink_derived.c - derived columns whose mode is updater, and rows of all of them that wait
 *
 * Batches are written by functions of the store (rows.h). A commit that has too many rows to
 * compute writes down which; they are computed here when there is nothing else to do, in steps
 * after which others have most of the time: a step may keep commits waiting. The function ends it
 * after some milliseconds.
 */
#include "clock.h"
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REST = 4 /* after a step: times what it has taken */
};

static const rows_sql derived_sql = {
    .known = "SELECT 1::bigint WHERE pg_catalog.to_regprocedure('newt.copy_derived(text,bigint,"
             "bigint)') IS NOT NULL",
    .lacking = "derived columns are computed by the extension \"newt\", which this database lacks",
    .write = "SELECT newt.follow_derived($1, $2::bigint[])" ROWS_LAZY,
    .copy = "SELECT newt.copy_derived($1, $2::bigint, $3::bigint)" ROWS_LAZY};

typedef struct derived {
    rows rows;
    int64_t number;    /* of the table whose turn was last */
    double not_before; /* the next step */
} derived;

static sink *
derived_open(const settings *set, fault *f)
{
    derived *s = calloc(1, sizeof *s);
    (void)set;
    if (s)
        *s = (derived){.rows = {.base = {.type = &derived_sink, .fault = f}, .sql = &derived_sql}};
    return s ? &s->rows.base : NULL;
}

static sink_status
derived_begin(sink *base, bool anew, const char **token)
{
    (void)anew;
    ((derived *)base)->rows.known = false;
    base->trouble.message[0] = 0;
    *token = NULL;
    return SINK_OK;
}

/* Of which table rows wait, each in its turn; 0: of none, -1: the store's trouble. One that is
 * being filled is left to who fills it. */
static int64_t
waiting(const derived *s, const sink_source *from)
{
    char last[24];
    const char *params[] = {last};
    snprintf(last, sizeof last, "%" PRId64, s->number);
    newt_result *found = rows_ask(
        from,
        "SELECT d.number::bigint FROM newt_derived d WHERE d.stage = 'full' AND EXISTS (SELECT "
        "FROM newt_derived_pending q WHERE q.derived = d.number) ORDER BY d.number <= $1::bigint, "
        "d.number LIMIT 1",
        1, params);
    if (!found)
        return -1;
    int64_t number = newt_result_size(found) > 0 ? newt_result_ref(found, 0).oid : 0;
    newt_result_free(found);
    return number;
}

static sink_status
compute(derived *s, const sink_source *from, int64_t number)
{
    char table[24];
    const char *params[] = {table};
    double begun = clock_now();
    s->number = number;
    snprintf(table, sizeof table, "%" PRId64, number);
    if (newt_feed_exec(from->feed, "SELECT newt_compute_derived($1::integer, 10000)" ROWS_LAZY, 1,
                       params) != NEWT_OK)
        return SINK_STORE;
    fault_at(s->rows.base.fault, FAULT_WRITE);
    if (newt_feed_commit(from->feed) != NEWT_OK)
        return SINK_STORE;
    s->not_before = clock_now() + REST * (clock_now() - begun);
    return SINK_OK;
}

static sink_status
derived_idle(sink *base, const sink_source *from, newt_progress *done)
{
    derived *s = (derived *)base;
    sink_status status = rows_know(&s->rows, from);
    (void)done;
    base->rest_ms = 0;
    if (status == SINK_OK && clock_now() >= s->not_before) {
        int64_t number = waiting(s, from);
        if (number == 0)
            return SINK_OK;
        status = number < 0 ? SINK_STORE : compute(s, from, number);
    }
    if (status == SINK_OK)
        base->rest_ms = 1 + (int64_t)((s->not_before - clock_now()) * 1000);
    return status;
}

static void
derived_close(sink *base)
{
    free(((derived *)base)->rows.oids);
    free(base);
}

const sink_type derived_sink = {
    .name = "derived",
    .want = NEWT_FEED_OIDS | NEWT_FEED_EARLY, /* as for typed tables */
    .open = derived_open,
    .begin = derived_begin,
    .apply = rows_apply,
    .commit = rows_commit,
    .idle = derived_idle,
    .reopen = rows_reopen,
    .close = derived_close,
};
