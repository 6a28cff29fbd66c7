/*
 * plain.h - tables of a store that are as they were created, written without a statement of SQL
 */
#ifndef NEWT_PG_PLAIN_H
#define NEWT_PG_PLAIN_H

#include "by_zoid.h"

#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"

enum {
    NEWT_PG_ROWS = 200,           /* written together, at most ... */
    NEWT_PG_ROW_BYTES = 256 << 10 /* ... or as many as have this size */
};

typedef struct newt_pg_plain_column {
    const char *name;
    Oid type;
} newt_pg_plain_column;

/*
 * A table whose rows are written here. Its indexes and constraints are served, there are no
 * triggers (but those of an insert, see newt_pg_plain_open), rules or policies, and the caller has
 * all rights that are needed. Zeros at first.
 */
typedef struct newt_pg_plain {
    newt_pg_by_zoid rows;
    int n_columns; /* the first ones */
    PGFunction needless;
    bool has_checks;
    EState *estate;        /* as soon as something is written */
    ResultRelInfo *result; /* with its indexes open, as soon as one gets an entry */
    TupleTableSlot *old, *new;

    /* rows that wait to be written together */
    TupleDesc desc; /* of their slots, and not counted for each */
    TupleTableSlot *slots[NEWT_PG_ROWS];
    int n_slots, made;     /* that wait; that were made */
    MemoryContext waiting; /* for their values; reset when they are written */
    size_t bytes;          /* of those that wait, as the caller counts */
    int64 written;
} newt_pg_plain;

/* The columns of newt_projection. */
enum {
    NEWT_PG_ROW_ZOID,
    NEWT_PG_ROW_CLASS_NAME,
    NEWT_PG_ROW_SERIAL,
    NEWT_PG_ROW_STATE,
    NEWT_PG_N_ROW
};

extern const newt_pg_plain_column newt_pg_row_columns[NEWT_PG_N_ROW];

/* Whether it is a plain table that the caller may use in all these ways. */
extern bool newt_pg_is_plain(Relation heap, AclMode rights);
/* Whether it has these columns first, and after them none but what was dropped. */
extern bool newt_pg_has_columns(Relation heap, const newt_pg_plain_column *columns, int n);

/* Opens and locks it, and its primary key, which is its first column; false: it is not plain, has
 * another key, other columns, or triggers. needless: of this function, triggers need not be
 * called; and as rows are inserted alone, others may be there that an insert fires before it. */
extern bool newt_pg_plain_open(newt_pg_plain *t, Oid table, AclMode rights,
                               const newt_pg_plain_column *columns, int n, PGFunction needless);
/* The lock stays. */
extern void newt_pg_plain_close(newt_pg_plain *t);

/* The row to be written next by one of these two: values go into its slot. */
extern TupleTableSlot *newt_pg_plain_row(newt_pg_plain *t);
/* In the place of the row in t->old; false: somebody else has changed that since the snapshot. */
extern bool newt_pg_plain_update(newt_pg_plain *t);
/* The row in t->old, for which the caller has the right; false: the same. */
extern bool newt_pg_plain_delete(newt_pg_plain *t);
extern void newt_pg_plain_insert(newt_pg_plain *t);
/* Which an insert does, if it was not done before. */
extern void newt_pg_plain_open_indexes(newt_pg_plain *t);
/* As INSERT ... ON CONFLICT DO NOTHING; false: there is such a row, and its transaction is over. */
extern bool newt_pg_plain_insert_unless(newt_pg_plain *t);

/* Many rows: next gives the slot of another one that waits. What its values point to is in
 * t->waiting, or stays until the end. */
extern void newt_pg_plain_begin_many(newt_pg_plain *t);
extern TupleTableSlot *newt_pg_plain_next(newt_pg_plain *t);
extern bool newt_pg_plain_is_full(const newt_pg_plain *t);
extern void newt_pg_plain_flush(newt_pg_plain *t);

/* The same for any table with this primary key: the row is complete, and was checked. */
extern bool newt_pg_insert_unless(ResultRelInfo *result, EState *estate, Oid key,
                                  TupleTableSlot *slot);

#endif
