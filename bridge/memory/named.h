/*
 * named.h - stores in memory, found by name
 */
#ifndef NEWT_NAMED_H
#define NEWT_NAMED_H

#include "heap.h"

/* Makes a store that nobody has opened yet; NEWT_ESTORE: there is one. */
int newt__named_create(const char *name, const char *schema, newt_error *e);
/* Opens one, and makes it if it is not there. */
int newt__named_open(newt__heap **out, const char *name, const char *schema, newt_error *e);
/* The last of those who have opened it frees it. */
void newt__named_close(newt__heap *heap);

#endif
