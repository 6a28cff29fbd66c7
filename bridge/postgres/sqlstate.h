/*
 * sqlstate.h - what the server reports, as an error
 */
#ifndef NEWT_SQLSTATE_H
#define NEWT_SQLSTATE_H

#include "../error.h"

#include <libpq-fe.h>

/* From a failed result (or, if result is NULL, from the connection's message). store: the schema of
 * the store whose own constraints are to be known, or NULL. */
int newt__fail_sql(newt_error *e, const PGconn *pg, const PGresult *result, const char *store);
bool newt__is_fatal(const PGresult *result); /* it ends the session */
/* Whether the server refused a row for what is in it, rather than for the state that the server,
 * the session or the schema is in: without that row the statement would have worked. */
bool newt__is_of_a_row(const newt_error *e);
/* Whether a statement of the library's failed as it does if something was dropped or replaced. */
bool newt__is_outdated(const newt_error *e);

#endif
