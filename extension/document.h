/*
 * document.h - a jsonb argument, unpacked no further than is needed and no more often than it
 * changes
 */
#ifndef NEWT_PG_DOCUMENT_H
#define NEWT_PG_DOCUMENT_H

#include "newt_pg.h"

#define NEWT_PG_WHOLE SIZE_MAX

/* The document of an argument: at least its first need bytes, as counted from its root; *have: how
 * many there are, NEWT_PG_WHOLE if all. It is valid until the next call, and must not be changed.
 */
extern const Jsonb *newt_pg_document(Datum argument, Size need, Size *have);

#endif
