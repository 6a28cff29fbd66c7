/*
 * commit.h - the transaction of what SQL functions write
 *
 * Each of them is part of the transaction under way, which gets one row for all of them when it
 * commits. What they have done is noted in changes.c.
 */
#ifndef NEWT_PG_COMMIT_H
#define NEWT_PG_COMMIT_H

#include "newt_pg.h"

/* Whether one of them has written to the store before, and with which serial. An error if the
 * transaction cannot have such a row, or has one already. table: the store's `transaction`. */
extern bool newt_pg_has_transaction(const char *function, Oid table, int64 *serial);
/* This is the first one. */
extern void newt_pg_begin_transaction(const char *function, Oid table, int64 serial,
                                      uint64 indexes_as_of);

#endif
