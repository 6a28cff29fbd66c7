/*
 * registry.h - the classes of a store, as its registry has them
 */
#ifndef NEWT_PG_REGISTRY_H
#define NEWT_PG_REGISTRY_H

#include "fields.h"

/* Who writes the projection of a class. */
typedef enum newt_pg_projector {
    NEWT_PG_INLINE,  /* who commits */
    NEWT_PG_ASYNC,   /* newt-updater */
    NEWT_PG_VIRTUAL, /* nobody: it is computed when it is read */
    NEWT_PG_CLIENT,  /* a callback in the class's programs */
    NEWT_PG_N_PROJECTORS
} newt_pg_projector;

/* A version of a class; version < 0: the newest. Within SPI. NULL: it is not registered. Valid
 * until the next call. */
extern const newt_pg_class *newt_pg_registered(Oid schema, const char *name, int32 version,
                                               newt_pg_projector *projector);

#endif
