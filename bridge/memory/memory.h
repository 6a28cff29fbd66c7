/*
 * memory.h - a storage in the memory of the process
 *
 * "memory:" is private to a newt_db; "memory:NAME" is shared by all who open that name and schema
 * in this process, and is freed when the last newt_db on it is closed. Both are created by opening
 * them. Nothing is durable, and there is no SQL.
 */
#ifndef NEWT_MEMORY_H
#define NEWT_MEMORY_H

#include "../storage.h"

extern const newt__storage_type newt__memory;

#endif
