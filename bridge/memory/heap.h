/*
 * heap.h - what a store in memory holds: versions of objects, snapshots, transactions, turns,
 * classes
 *
 * All of it is used with the heap's lock taken. The bytes of a version that is visible in an open
 * snapshot stay where they are as long as that is open, and may be read without.
 */
#ifndef NEWT_HEAP_H
#define NEWT_HEAP_H

#include "../feed_storage.h"

/* An object as one transaction has written it. */
typedef struct newt__version {
    struct newt__version *older;
    struct newt__version *next; /* in a view's list */
    int64_t oid, serial;
    int64_t tid;  /* from this one on */
    bool removed; /* there is no object, and the record is the name of its class */
    size_t n;     /* bytes */
    uint8_t record[];
} newt__version;

/* An open snapshot, in the list of them; the one that opened first comes first, and is the oldest.
 */
typedef struct newt__view {
    struct newt__view *newer, *older;
    int64_t tid;               /* the last transaction that is visible; 0: it is not open */
    newt__version *superseded; /* those that this view is the newest to see */
} newt__view;

/* A transaction that has been committed. */
typedef struct newt__logged {
    int64_t tid, serial;
    char *user, *description, *extension; /* malloc'ed or NULL */
    char *classes;    /* of the removed, each with a NUL after it; malloc'ed or NULL */
    size_t classes_n; /* bytes */
    size_t bytes;     /* set by newt__heap_put */
    size_t n, n_written;
    int64_t oids[]; /* written, then removed */
} newt__logged;

/* A follower, and where it stands. */
typedef struct newt__named_place {
    struct newt__named_place *next;
    newt__standing place;
    const void *holder; /* the session that follows under this name; NULL: none */
    bool known;         /* it has a place */
    char *kind;         /* what it writes; malloc'ed */
    char name[];
} newt__named_place;

typedef struct newt__place_of {
    int64_t oid;
    newt__version *newest; /* NULL: the place is free */
} newt__place_of;

typedef struct newt__held_turn {
    int64_t oid;
    const void *holder;
} newt__held_turn;

typedef struct newt__kept_class {
    struct newt__kept_class *next;
    newt__registered k; /* its texts follow */
} newt__kept_class;

typedef struct newt__heap {
    pthread_mutex_t lock;
    pthread_cond_t turn_over, committed;
    newt__place_of *places; /* by oid: open addressing, linear probing; a power of two */
    size_t n, cap;
    unsigned shift;      /* 64 less the binary logarithm of cap */
    int64_t tid, serial; /* of the last transaction */
    int64_t next_oid;
    newt__view *oldest, *newest; /* open snapshots */
    newt__logged **log;          /* a ring, by tid; a power of two */
    size_t log_at, n_log, cap_log;
    size_t log_bytes;         /* in all of them */
    newt__position forgotten; /* the last transaction that is no longer in the log */
    newt__held_turn *turns;
    size_t n_turns, cap_turns;
    newt__kept_class *classes;
    newt__named_place *followers;
} newt__heap;

int newt__heap_new(newt__heap **out, newt_error *e);
void newt__heap_free(newt__heap *h);

/* The object as it is now, or at a transaction; NULL: there is none. */
newt__version *newt__heap_now(const newt__heap *h, int64_t oid);
const newt__version *newt__heap_at(const newt__heap *h, int64_t oid, int64_t tid);

void newt__heap_open(newt__heap *h, newt__view *v); /* at the last transaction */
void newt__heap_close(newt__heap *h,
                      newt__view *v); /* if it is open; frees what nobody can see now */

/* Makes sure that a transaction of n objects can be put: false: no memory. */
bool newt__heap_reserve(newt__heap *h, size_t n);
/* Puts a transaction, which must have been reserved; takes over the log entry, whose tid and serial
 * are set, and the versions, whose serial and tid are. */
void newt__heap_put(newt__heap *h, newt__logged *entry, newt__version **versions);
/* The oids of the transactions after one, up to the last; at most `most` of them. false: they are
 * too many, or not known any more, or (*memory false) there is no memory. *list is realloc'ed. */
bool newt__heap_changes(const newt__heap *h, int64_t after, size_t most, int64_t **list, size_t *n,
                        bool *memory);

/* The first transaction after a position; NULL: there is none. *known: the position is one of this
 * heap (tid 0: its beginning, as far as it is known), and all since then are in the log. */
const newt__logged *newt__heap_next(const newt__heap *h, newt__position after, bool *known);
void newt__logged_free(newt__logged *entry);

/* Turns. false: another session has it; or there is no memory, and *memory is false. */
bool newt__heap_take_turn(newt__heap *h, int64_t oid, const void *holder, bool *memory);
void newt__heap_end_turns(newt__heap *h, const void *holder);

#endif
