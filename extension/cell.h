/*
 * cell.h - a value of a record as a value of a column
 */
#ifndef NEWT_PG_CELL_H
#define NEWT_PG_CELL_H

#include "newt_pg.h"

/* What a column's values are: the registry's kinds, as far as their columns differ. */
typedef enum newt_pg_cell_kind {
    NEWT_PG_CELL_BOOL,
    NEWT_PG_CELL_INT,
    NEWT_PG_CELL_FLOAT,
    NEWT_PG_CELL_NUMERIC,
    NEWT_PG_CELL_TEXT,
    NEWT_PG_CELL_BYTES,
    NEWT_PG_CELL_TIME,
    NEWT_PG_CELL_DURATION,
    NEWT_PG_CELL_DATE,
    NEWT_PG_CELL_UUID,
    NEWT_PG_CELL_REF,
    NEWT_PG_CELL_JSON,
    NEWT_PG_CELL_N_KINDS
} newt_pg_cell_kind;

/* The kind whose column is of this type; false: there is none. */
extern bool newt_pg_cell_kind_of(Oid type, bool is_ref, newt_pg_cell_kind *kind);
extern Oid newt_pg_cell_type(newt_pg_cell_kind kind);

/*
 * The value that begins with token t, which was just read; r stands after the value then. Gives
 * what the typed view's accessor gives for the same value in the projection, so null for what is
 * no such value, and for what the type cannot hold.
 * The result is in the current memory context.
 */
extern Datum newt_pg_cell(newt__reader *r, const newt__token *t, newt_pg_cell_kind kind,
                          bool *isnull);
/* The same of an array or a set: an array of its items. */
extern Datum newt_pg_cells(newt__reader *r, const newt__token *t, newt_pg_cell_kind kind,
                           bool *isnull);

/* The value as the projection shows it. */
extern Jsonb *newt_pg_cell_document(newt__reader *r, const newt__token *t);

extern void newt_pg_next_token(newt__reader *r, newt__token *t);
extern void newt_pg_skip(newt__reader *r, const newt__token *t);

#endif
