/*
 * sqlite.h - a storage in a file of SQLite's
 *
 * "sqlite:PATH" or "sqlite:PATH?OPTION=VALUE&...", one file for one store, which several processes
 * may have open. newt_store_create makes it.
 */
#ifndef NEWT_SQLITE_H
#define NEWT_SQLITE_H

#include "../storage.h"

extern const newt__storage_type newt__sqlite;

#endif
