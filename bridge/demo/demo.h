/*
 * demo.h - a storage over two others: changes over a base that is only read
 *
 * What is not in the changes comes from the base; what is committed goes to the changes. The base
 * may be anything, also another of these, so layers lie on each other to any depth. Nothing here
 * knows URIs but how they nest: who opens the two storages decides which they are.
 *
 * In the changes lie objects as they are now, and two kinds of records of ours: one in the place of
 * an object that was removed but that the base has, and, at oids that no object has, lists of the
 * serials that objects had in the base when they were first changed. newt__layer reads them back.
 */
#ifndef NEWT_DEMO_H
#define NEWT_DEMO_H

#include "../storage.h"

/* Not opened by its URI: open is absent. */
extern const newt__storage_type newt__demo;

enum {
    NEWT__MOST_LAYERS = 1000 /* on one another; also in newtdb.h */
};

/* The two parts of "demo:(BASE)(CHANGES)", malloc'ed; *changes NULL: not given. */
int newt__demo_parts(const char *uri, char **base, char **changes, newt_error *e);

/* A storage that is part of another. */
typedef struct newt__side {
    const newt__storage_type *type;
    newt__storage *storage;
    char *uri; /* malloc'ed, and freed with it; or NULL: of a layer that was pushed */
} newt__side;

void newt__side_close(newt__side *side);

/* A layer over a base. NEWT_OK: both are its own now, and closed with it. */
int newt__demo_over(newt__storage **out, const newt__side *base, const newt__side *changes,
                    const newt__process *process, newt_error *e);
const newt__side *newt__demo_base(const newt__storage *s);
/* Whether nobody else can see the changes, which go with the storage. */
bool newt__demo_is_private(const newt__storage *s);
/* The layer alone is closed; its base is the caller's from now on. */
void newt__demo_uncover(newt__storage *s);

/* A session with the layer that has none with the base yet; NULL: no memory. */
newt__session *newt__demo_session(newt__storage *s, newt__opened *opened, void *arg,
                                  newt_stats *stats);
/* Gives it one, or takes it away again, outside of a transaction. Who takes it away says who is
 * told by it. */
void newt__demo_session_put(newt__session *x, newt__session *base);
newt__session *newt__demo_session_take(newt__session *x);
newt__session *newt__demo_session_base(newt__session *x);

/* ---- what is in a layer (layer.c) --------------------------------------------------------- */

typedef struct newt__layer newt__layer;

/* All objects of the changes, outside of a transaction. NEWT_EBUSY: somebody else is changing
 * them. */
int newt__layer_open(newt__layer **out, newt__session *x, newt_error *e);
void newt__layer_close(newt__layer *l);
size_t newt__layer_size(const newt__layer *l); /* objects */
/* As newt__writes has it, for the base: stored objects with the serials that they were read with
 * there. The projection is left open. */
void newt__layer_rewind(newt__layer *l);
int newt__layer_next(newt__layer *l, newt__change *out, newt_error *e);
/* The serial that the object was read with in the base; 0: it is new. */
int64_t newt__layer_serial(const newt__layer *l, int64_t oid);

#endif
