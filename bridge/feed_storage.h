/*
 * feed_storage.h - what a storage must do for those who follow it
 *
 * The other half of storage.h: transactions in the order in which they became visible, objects as
 * they are now, where followers stand, and the projection that is written later. Everything here is
 * called outside of a transaction. Functions return NEWT_OK or a negative status and fill *e; see
 * storage.h for callbacks.
 */
#ifndef NEWT_FEED_STORAGE_H
#define NEWT_FEED_STORAGE_H

#include "storage.h"

#include <string.h>

/* The row of a transaction, in stores that have tables. */
enum {
    NEWT__OIDS_IN_ROW = 1000, /* more go to transaction_object */
    NEWT__OIDS_IN_PART = 5000 /* a row there */
};

/* A committed transaction, or a part of a large one. */
typedef struct newt__transaction {
    newt__position at;
    int64_t committed_us; /* since 1970, by the storage's clock */
    /* Of newt_describe. user, if not given: what the storage calls the session, or NULL. extension:
     * JSON, but not byte for byte. */
    const char *user, *description, *extension;
    const int64_t *written, *removed; /* oids */
    size_t n_written, n_removed;
    /* of the removed, in their order, each with a NUL after it; "": not known; NULL: none is */
    const char *removed_classes;
    bool more; /* there is another part */
} newt__transaction;

/* One of its texts, strdup'ed, or NULL; without memory *fine is false. */
static inline char *
newt__text_copy(const char *text, bool *fine)
{
    char *copy = text ? strdup(text) : NULL;

    *fine &= copy || !text;
    return copy;
}

/* Sets removed_classes of *t to what a store has of them, each with a NUL after it. As many names
 * as objects, whatever the store has: what is missing is not known. False: no memory. */
static inline bool
newt__removed_classes_set(newt__transaction *t, newt__buffer *names)
{
    size_t n = 0;

    t->removed_classes = NULL;
    if (names->n == 0)
        return true;
    for (size_t i = 0; i < names->n; i++)
        n += names->data[i] == 0;
    for (; n < t->n_removed; n++)
        if (!newt__buffer_append(names, "", 1))
            return false;
    t->removed_classes = (const char *)names->data;
    return true;
}

typedef int newt__take_transaction(void *arg, const newt__transaction *t);

/* How far somebody has read: everything up to a transaction (tid 0: nothing, from the first that is
 * known; serial 0: it is not compared), and this many parts of the next one. */
typedef struct newt__cursor {
    newt__position after;
    int64_t parts;
    int64_t serial; /* of that next one, if there are parts */
} newt__cursor;

/* Where a follower stands. */
typedef struct newt__standing {
    newt__position at;
    int64_t copied; /* objects up to this oid have been copied; -1: all have been */
} newt__standing;

/* Objects whose records begin alike: with a class and a version. */
typedef struct newt__counted {
    const void *head; /* the beginning of a record, or all of it */
    size_t n;
    int64_t objects;
} newt__counted;

typedef int newt__take_count(void *arg, const newt__counted *x);

/* How much of a record is wanted. */
typedef enum newt__extent {
    NEWT__OIDS_ONLY,
    NEWT__HEADS, /* enough of it to tell its class and version */
    NEWT__WHOLE
} newt__extent;

/* Some objects whose rows of the projection are to be brought up to date. */
typedef struct newt__part {
    const char *follower;
    newt__standing from; /* only if it stands there still */
    const int64_t *oids;
    size_t n;
    bool copy; /* rows of other objects with an oid in (after, up_to] go */
    int64_t after, up_to;
} newt__part;

typedef int newt__take_registered(void *arg, const newt__registered *k);

/* What is taken over from another store, with its numbers. */
typedef struct newt__import {
    bool first;                 /* transactions that are here, of the making of the store, go */
    const newt__found *objects; /* as they are there, in place of what is here */
    size_t n_objects;
    const int64_t *removed; /* objects that are not there any more */
    size_t n_removed;
    bool copy; /* objects with an oid in (after, up_to] that are none of these are not there either
                */
    int64_t after, up_to;
    /* to be recorded, whole ones; those that are here already stay as they are */
    const newt__transaction *transactions;
    size_t n_transactions;
} newt__import;

struct newt__feed_type {
    /* The transactions after the cursor, in order: at least one part if there is any, and no more
     * once they have `objects` objects. *c moves on with each that was taken. NEWT_EMISSING: its
     * transaction is not in the store, or what came after it is not any more. */
    int (*next)(newt__session *x, newt__cursor *c, int64_t objects, newt__take_transaction *take,
                void *arg, newt_error *e);
    /* Hands over the transaction of this serial, without its objects, if it is kept; also within a
     * transaction. */
    int (*origin)(newt__session *x, int64_t serial, newt__take_transaction *take, void *arg,
                  newt_error *e);
    /* 1: there are transactions after the position; 0: there were none for so long. */
    int (*wait)(newt__session *x, newt__position after, int at_most_ms, newt_error *e);
    /* The newest transaction that is visible. */
    int (*newest)(newt__session *x, newt__position *out, newt_error *e);
    /* Objects with an oid after this one, by oid, at most n of them, without their records. */
    int (*scan)(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
                newt_error *e);
    /* These objects as they are now, in any order; those that do not exist are left out. Whole
     * records may be left out (NULL, and n is their size) so that all together have no more than
     * `bytes`; that of a single object is not. */
    int (*look)(newt__session *x, const int64_t *oids, size_t n, newt__extent extent, int64_t bytes,
                newt__take_record *take, void *arg, newt_error *e);
    /* All objects, counted; a head may come several times. Absent: to be found by scan and look. */
    int (*count)(newt__session *x, newt__take_count *take, void *arg, newt_error *e);
    /* Returns when everything that was visible at the call is durable. */
    int (*barrier)(newt__session *x, newt_error *e);
    /* Who holds the lock that all commits wait for; *pid 0: nobody; -1: a prepared transaction.
     * *us: since it began, or was prepared. */
    int (*holder)(newt__session *x, int *pid, int64_t *us, newt_error *e);

    /* Followers, by name. *found: there is one; NEWT_EINVAL: it writes something else than kind
     * (NULL: anything). */
    int (*follower)(newt__session *x, const char *name, const char *kind, newt__standing *out,
                    bool *found, newt_error *e);
    /* Makes this session the only one that follows under the name, until release or its end. *mine
     * false: another one is. A storage that cannot tell says true: follow decides. */
    int (*claim)(newt__session *x, const char *name, bool *mine, newt_error *e);
    void (*release)(newt__session *x, const char *name);
    /* Moves a follower, if it stands at `from` (NULL: if there is none); ends what `execute` has
     * begun. NEWT_ECONFLICT: it stands elsewhere, and nothing is committed. */
    int (*move)(newt__session *x, const char *name, const char *kind, const newt__standing *from,
                const newt__standing *to, newt_error *e);
    int (*forget)(newt__session *x, const char *name, newt_error *e);
    /* Removes at most at_most transactions that need not be kept. */
    int (*prune)(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e);
    int (*health)(newt__session *x, const char *follower, newt_health *out, newt_error *e);
    /* All classes that are registered. Absent where a store cannot be copied. */
    int (*registered)(newt__session *x, newt__take_registered *take, void *arg, newt_error *e);
    /* Takes over a part of another store, in one transaction that is durable then; absent where
     * nothing can be. It is not recorded by a row of its own, and rows of the projection are not
     * written. Nobody else is to write here. */
    int (*import)(newt__session *x, const newt__import *what, newt_error *e);

    /* What follows is absent without SQL. */

    /* A statement in a transaction that move commits, for as long as the follower stands at `from`.
     * After a failure nothing is left of the transaction. */
    int (*execute)(newt__session *x, const char *name, const newt__standing *from, const char *sql,
                   int n, const char *const *params, newt_error *e);
    /* Discards what execute has begun. */
    void (*undo)(newt__session *x);
    /* Writes rows of the projection, in one transaction. */
    int (*project)(newt__session *x, const newt__part *part, newt_progress *out, newt_error *e);
    /* Tries again what the database has refused; early: only where another object's row was in the
     * way, and not too often. */
    int (*retry)(newt__session *x, bool early, int64_t max_objects, newt_progress *out,
                 newt_error *e);
    int (*sweep)(newt__session *x, newt_sweep *s, newt_error *e);
    /* The position that all followers have reached who write the projection; *any: there are. */
    int (*projected)(newt__session *x, int64_t *tid, bool *any, newt_error *e);
};

/* ---- what a sweep finds (row_fault.c) -------------------------------------------------------- */

/* What is wrong with the row of an object. PostgreSQL's statement gives these numbers. */
typedef enum newt__row_fault {
    NEWT__ROW_FINE,
    NEWT__ROW_MISSING,
    NEWT__ROW_STALE,
    NEWT__ROW_WRONG,
    NEWT__ROW_EXTRA,
    NEWT__ROW_REFUSED,
    NEWT__N_ROW_FAULTS
} newt__row_fault;

enum {
    NEWT__FAULTS_TOLD = 10 /* rows that a call of newt_sweep tells of one by one */
};

/* Counts a fault, not NEWT__ROW_FINE, in *s; if told, the notice function is told of it. */
void newt__row_fault_count(newt_sweep *s, const newt_options *options, int64_t oid,
                           newt__row_fault fault, bool told);

/* ---- errors that all storages raise ---------------------------------------------------------- */

/* The error of a position that is not known, or whose successors are not; why is its detail. */
static inline int
newt__fail_missing(newt_error *e, int64_t tid)
{
    newt__fail(e, NEWT_EMISSING, 0, "transaction %lld is not in the store", (long long)tid);
    newt__fail_hint(e, "Start over with a copy of all objects (NEWT_FEED_COPY); "
                       "newt_feed_forget() forgets a follower.");
    return NEWT_EMISSING;
}

/* The error of a follower that writes something else. */
static inline int
newt__fail_kind(newt_error *e, const char *name, const char *is, const char *wanted)
{
    newt__fail(e, NEWT_EINVAL, 0, "follower \"%s\" writes \"%s\", not \"%s\"", name, is, wanted);
    newt__fail_hint(e, "Choose another name, or forget that follower.");
    return NEWT_EINVAL;
}

/* The error of a follower that another process has moved. */
static inline int
newt__fail_follower(newt_error *e, const char *name)
{
    newt__fail(e, NEWT_ECONFLICT, 0, "another process follows as \"%s\"", name);
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
    newt__fail_hint(e, "Only one process at a time can follow as \"%s\".", name);
    return NEWT_ECONFLICT;
}

#endif
