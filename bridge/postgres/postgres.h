/*
 * postgres.h - the storage in PostgreSQL
 */
#ifndef NEWT_POSTGRES_H
#define NEWT_POSTGRES_H

#include "../storage.h"

extern const newt__storage_type newt__postgres;

#endif
