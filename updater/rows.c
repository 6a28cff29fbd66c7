/* rows.c - a batch for the functions of the store's database that write rows */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 2000 /* objects of one statement */
};

newt_result *
rows_ask(const sink_source *from, const char *sql, int n, const char *const *params)
{
    newt_result *found = NULL;
    if (newt_begin(from->c) != NEWT_OK || newt_search(from->c, &found, sql, n, params) != NEWT_OK)
        return NULL;
    newt_abort(from->c);
    return found;
}

sink_status
rows_know(rows *s, const sink_source *from)
{
    if (s->known)
        return SINK_OK;
    newt_result *found = rows_ask(from, s->sql->known, 0, NULL);
    if (!found)
        return SINK_STORE;
    s->known = newt_result_size(found) > 0;
    newt_result_free(found);
    if (s->known)
        return SINK_OK;
    s->base.trouble.detail = "";
    s->base.trouble.hint = "CREATE EXTENSION newt; or, if there is an older version, ALTER "
                           "EXTENSION newt UPDATE.";
    snprintf(s->base.trouble.message, sizeof s->base.trouble.message, "%s", s->sql->lacking);
    return SINK_END;
}

/* ---- a batch -------------------------------------------------------------------------- */

bool
rows_add(rows *s, int64_t oid)
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

sink_status
rows_no_memory(rows *s)
{
    s->base.trouble.detail = s->base.trouble.hint = "";
    snprintf(s->base.trouble.message, sizeof s->base.trouble.message, "out of memory");
    return SINK_END;
}

sink_status
rows_write(rows *s, const sink_source *from)
{
    if (s->n_oids == 0)
        return SINK_OK;
    strcpy(s->oids + s->n_oids, "}");
    s->n_oids = 0;
    const char *params[] = {from->set->schema, s->oids};
    return newt_feed_exec(from->feed, s->sql->write, 2, params) == NEWT_OK ? SINK_OK : SINK_STORE;
}

static sink_status
copy_range(const rows *s, const sink_source *from, int64_t after, int64_t up_to)
{
    char range[2][24];
    const char *params[] = {from->set->schema, range[0], range[1]};
    snprintf(range[0], sizeof range[0], "%" PRId64, after);
    snprintf(range[1], sizeof range[1], "%" PRId64, up_to);
    return newt_feed_exec(from->feed, s->sql->copy, 3, params) == NEWT_OK ? SINK_OK : SINK_STORE;
}

/* A copy's events come in the order of their oids. */
static sink_status
copy(rows *s, const sink_source *from, const newt_batch *b)
{
    int64_t after = b->after;
    for (size_t i = PIECE; i < b->n_events; i += PIECE) {
        if (copy_range(s, from, after, b->events[i - 1].oid) != SINK_OK)
            return SINK_STORE;
        after = b->events[i - 1].oid;
        fault_at(s->base.fault, FAULT_WRITE);
    }
    return copy_range(s, from, after, b->up_to);
}

static sink_status
write_events(rows *s, const sink_source *from, const newt_batch *b)
{
    size_t n = 0;
    s->n_oids = 0;
    for (size_t i = 0; i < b->n_events; i++) {
        if (b->events[i].superseded)
            continue;
        if (n > 0 && n % PIECE == 0) {
            if (rows_write(s, from) != SINK_OK)
                return SINK_STORE;
            fault_at(s->base.fault, FAULT_WRITE);
        }
        if (!rows_add(s, b->events[i].oid))
            return rows_no_memory(s);
        n++;
    }
    return rows_write(s, from);
}

sink_status
rows_apply(sink *base, const sink_source *from, const newt_batch *b, newt_progress *done)
{
    rows *s = (rows *)base;
    sink_status status = rows_know(s, from);
    if (status == SINK_OK)
        status = b->copy ? copy(s, from, b) : write_events(s, from, b);
    if (status != SINK_OK)
        return status;
    for (size_t i = 0; i < b->n_events; i++) {
        done->written += b->events[i].kind == NEWT_EVENT_WRITTEN && !b->events[i].superseded;
        done->removed += b->events[i].kind == NEWT_EVENT_REMOVED;
    }
    return SINK_OK;
}

sink_status
rows_commit(sink *base, const sink_source *from, const newt_batch *b)
{
    (void)b;
    fault_at(base->fault, FAULT_SYNC);
    fault_at(base->fault, FAULT_COMMIT);
    return newt_feed_commit(from->feed) == NEWT_OK ? SINK_OK : SINK_STORE;
}

void
rows_reopen(sink *base, const settings *set)
{
    (void)base;
    (void)set;
}
