/*
 * opened.h - which files this process has open
 */
#ifndef NEWT_SQLITE_OPENED_H
#define NEWT_SQLITE_OPENED_H

#include "../conn.h"

/* Another connection to this file. NEWT_ETHREAD: the process is a copy of one that had it open. */
int newt__opened_add(uint64_t device, uint64_t inode, const char *path, newt_error *e);
/* One less. */
void newt__opened_remove(uint64_t device, uint64_t inode);

#endif
