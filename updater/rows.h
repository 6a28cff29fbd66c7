/*
 * rows.h - sinks whose rows are written by functions in the store's database
 *
 * A batch is handed to a function in the transaction that moves the position. It is cut in pieces,
 * so that no statement is long; and a large transaction comes in several batches, which bear
 * repetition. A copy goes through all objects, and all rows.
 */
#ifndef NEWT_UPDATER_ROWS_H
#define NEWT_UPDATER_ROWS_H

#include "sink.h"

/* ... and a crash takes rows and position back together */
#define ROWS_LAZY ", pg_catalog.set_config('synchronous_commit', 'off', true)"

typedef struct rows_sql {
    const char *known;   /* gives a row where the database has these functions */
    const char *lacking; /* else the trouble */
    const char *write;   /* the rows that come from these objects: $1 schema, $2 oids */
    const char *copy;    /* from all objects of a range: $1 schema, $2 after, $3 up to */
} rows_sql;

typedef struct rows {
    sink base;
    const rows_sql *sql;
    bool known; /* the database has what is called here */
    char *oids; /* '{1,2,...}' */
    size_t n_oids, room;
} rows;

/* Once for each connection; begin clears `known`. */
sink_status rows_know(rows *s, const sink_source *from);
sink_status rows_apply(sink *base, const sink_source *from, const newt_batch *b,
                       newt_progress *done);
sink_status rows_commit(sink *base, const sink_source *from, const newt_batch *b);
void rows_reopen(sink *base, const settings *set);

/* Numbers that a query finds; NULL: the store's trouble. */
newt_result *rows_ask(const sink_source *from, const char *sql, int n, const char *const *params);
/* Writes the rows of the objects that were added since the last time. False: no memory. */
bool rows_add(rows *s, int64_t oid);
sink_status rows_write(rows *s, const sink_source *from);
sink_status rows_no_memory(rows *s);

#endif
