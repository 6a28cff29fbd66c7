/*
 * indexed.h - classes whose objects are in indexes that programs keep (bridge/index/)
 */
#ifndef NEWT_PG_INDEXED_H
#define NEWT_PG_INDEXED_H

#include "newt_pg.h"

/* The name of an index that has objects of the class; NULL: none. Within SPI. *as_of: the state of
 * the store's list of indexes, of this session's counting. */
extern const char *newt_pg_index_of(const char *store, Oid schema, const char *class_name,
                                    uint64 *as_of);
/* Whether the list is not as it was then. Within SPI. */
extern bool newt_pg_indexes_changed(Oid schema, uint64 as_of);

#endif
