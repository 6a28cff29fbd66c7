/*
 * memory.h - a storage in the memory of the process
 *
 * "memory:" is a store of the newt_db's own; "memory:NAME" is one that all of the process share who
 * name it, in the same schema, and that ends when the last newt_db that opened it is closed. Both
 * are made by opening them. Nothing is durable, and there is no SQL.
 */
#ifndef NEWT_MEMORY_H
#define NEWT_MEMORY_H

#include "../storage.h"

extern const newt__storage_type newt__memory;

#endif
