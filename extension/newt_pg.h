/*
 * newt_pg.h - what the extension's files share
 *
 * The codec does the parsing, in an environment made of PostgreSQL's memory and interrupts.
 */
#ifndef NEWT_PG_H
#define NEWT_PG_H

#include "compat.h"
#include "utils/jsonb.h"
#include "../codec/codec.h"

/* ---- env.c -------------------------------------------------------------------------------- */

extern const newt__env newt_pg_env;

/* Raises the error for a fault found in a record of n bytes. */
NEWT_PG_NORETURN extern void newt_pg_raise(const newt__fault *fault, size_t n);

/* An error in a database whose text is not UTF-8, as that of records is. */
extern void newt_pg_need_utf8(void);

/* A fault that says something about the bytes, not about the server: try_to_jsonb gives NULL. */
extern bool newt_pg_is_bad_record(newt__code code);

/* ---- projection.c -------------------------------------------------------------------------- */

/* The record's projection; NULL when it is not valid (*fault says why) or its class is hidden. */
extern Jsonb *newt_pg_project(const void *record, size_t n, newt__fault *fault);

#endif
