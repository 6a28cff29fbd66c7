/*
 * statements.h - what SQL functions that write objects ask of a store in SQL
 */
#ifndef NEWT_PG_STATEMENTS_H
#define NEWT_PG_STATEMENTS_H

#include "newt_pg.h"

typedef enum newt_pg_statement {
    NEWT_PG_S_LOCK,         /* $1 zoid: serial, state; locked for an update */
    NEWT_PG_S_LOCK_REMOVED, /* the same, for a removal */
    NEWT_PG_S_CLASS,        /* $1 name, $2 version: version, fields, projection */
    NEWT_PG_S_NEWEST_CLASS, /* $1 name: the same of its newest version */
    NEWT_PG_S_CLASS_NAMES,  /* $1 store, $2 name: those that the class has and had */
    NEWT_PG_S_OID_BLOCK,    /* the first number of a block and how many it has */
    NEWT_PG_S_SERIAL_BLOCK,
    NEWT_PG_S_SERIAL,      /* $1 zoid: serial */
    NEWT_PG_S_STATE,       /* $1 zoid: state */
    NEWT_PG_S_UPDATE,      /* $1 zoid, $2 serial that it has, $3 serial, $4 state */
    NEWT_PG_S_INSERT,      /* $1 zoid, $2 serial, $3 state */
    NEWT_PG_S_PROJECT,     /* $1 zoid, $2 serial, $3 state: its row, which is there */
    NEWT_PG_S_PROJECT_NEW, /* the same, where it may be missing */
    NEWT_PG_S_UNPROJECT,   /* $1 zoid */
    NEWT_PG_S_REMOVE,      /* $1 zoid, $2 serial that it has */
    NEWT_PG_S_FORGET,      /* $1 zoid: its entries of newt_reject_entry */
    NEWT_PG_S_REJECTS,     /* $1 zoid, $2 serial, $3 state: makes them */
    NEWT_PG_S_PART,        /* $1 serial, $2 n, $3 written, $4 removed, $5 classes of those */
    NEWT_PG_N_STATEMENTS
} newt_pg_statement;

/* Runs one within SPI, on a store that is a schema. How many rows; the result is in SPI_tuptable.
 */
extern uint64 newt_pg_run(Oid schema, newt_pg_statement s, Datum *values);
/* A column of a row of the result, from 1. A null is an error. */
extern Datum newt_pg_result(uint64 row, int column);

#endif
