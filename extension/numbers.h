/*
 * numbers.h - oids and serials, which a session takes in blocks
 */
#ifndef NEWT_PG_NUMBERS_H
#define NEWT_PG_NUMBERS_H

#include "newt_pg.h"

typedef enum newt_pg_sequence {
    NEWT_PG_OIDS,
    NEWT_PG_SERIALS,
    NEWT_PG_N_SEQUENCES
} newt_pg_sequence;

/* The next number of a store, within SPI. It is never given again, whatever becomes of the
 * transaction. */
extern int64 newt_pg_next_number(Oid schema, newt_pg_sequence which);

#endif
