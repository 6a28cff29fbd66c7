/*
 * cell.h - a value of a record as a value of a column
 */
#ifndef NEWT_PG_CELL_H
#define NEWT_PG_CELL_H

#include "values.h"

/* The type of a column, one of newt_pg_types (NEWT_PG_BOOL, ...); -1: there is none of this oid. */
extern int newt_pg_type_of(Oid type, bool is_ref);

/*
 * The value that begins with token t, which was just read; r stands after the value then. Gives
 * what the typed view's accessor gives for the same value in the projection, so null for what is
 * no such value, and for what the type cannot hold.
 * The result is in the current memory context.
 */
extern Datum newt_pg_cell(newt__reader *r, const newt__token *t, int type, bool *isnull);
/* The same of an array or a set: an array of its items. */
extern Datum newt_pg_cells(newt__reader *r, const newt__token *t, int type, bool *isnull);

/* The value as the projection shows it. */
extern Jsonb *newt_pg_cell_document(newt__reader *r, const newt__token *t);

extern void newt_pg_next_token(newt__reader *r, newt__token *t);
extern void newt_pg_skip(newt__reader *r, const newt__token *t);

#endif
