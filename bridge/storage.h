/*
 * storage.h - what a storage must do for the objects and transactions above it
 *
 * A storage is where records are. It is one constant table of functions; db.c finds it by the
 * scheme of the URI. Nothing here knows a cache, an object's state or a struct of the program's,
 * and nothing in a storage knows how conflicts are merged. A storage never calls the rooms above by
 * name: what must travel up goes through a callback that it was given.
 *
 * A newt__storage belongs to one newt_db and is shared by its threads; a newt__session belongs to
 * one newt_conn and is used by one thread at a time. Functions return NEWT_OK or a negative status
 * and fill *e. What a callback is handed is valid until it returns. A callback that returns a
 * non-zero value stops the call, which returns that value and leaves *e alone: the caller that gave
 * the callback knows why.
 */
#ifndef NEWT_STORAGE_H
#define NEWT_STORAGE_H

#include "conn.h"

#include <jansson.h>

typedef struct newt__storage newt__storage;
typedef struct newt__session newt__session;
typedef struct newt__feed_type newt__feed_type; /* feed_storage.h */

/* Optional features. */
enum {
    NEWT__HAS_TURNS = 1, /* ask_turn does something */
    NEWT__ASYNC = 2      /* the JSONB of an object is written later, if its class leaves it open */
};

enum {
    NEWT__MOST_CHANGES = 10000, /* more are not listed: the cache is dropped */
    NEWT__MOST_TURNS = 8,       /* that one transaction waits for */
    /* A transaction may begin without the storage if the position of the cache was confirmed less
     * than this ago: by so much can it miss what other programs have committed. What this newt_db
     * has committed is never missed. */
    NEWT__FRESH_US = 100 * 1000
};

enum {
    NEWT__ROOT = 1, /* the oid of the root, which a store has from the start */
    NEWT__FIRST_SERIAL =
        1 /* of the transaction that made it, and of the root until it is changed */
};

/* Oids from here on are those of layers (bridge/demo/), which may come into any store: what a store
 * hands out itself stays below, whatever it holds. */
#define NEWT__FIRST_LAYER_OID (INT64_C(1) << 52)

/* ---- positions and changes ------------------------------------------------------------------- */

/* A place in the order of commits: the last transaction that is visible there. tid 0: none. */
typedef struct newt__position {
    int64_t tid, serial;
} newt__position;

/* Oids in a list that grows (oids.c). */
typedef struct newt__oids {
    int64_t *oids;
    size_t n, cap;
    bool failed; /* there was no memory for one of them */
} newt__oids;

bool newt__oids_add(newt__oids *l, int64_t oid); /* false: no memory */
void newt__oids_sort(newt__oids *l);
bool newt__oids_has(const newt__oids *l, int64_t oid); /* it is sorted */
void newt__oids_free(newt__oids *l);

/* What others have committed between two positions. */
typedef struct newt__changes {
    newt__position to; /* tid 0: no snapshot is open, see connect */
    /* Too much to list, or the first position does not lead to the second (a restore, a failover,
     * pruned transactions, a server that was replaced): all that is cached is to be dropped. */
    bool all;
    const int64_t *oids; /* written or removed; an oid may be there twice */
    size_t n;
    /* of newt__committed: the first `before` of them were changed before the own transaction, which
     * may have written them again */
    size_t before;
    /* of a turn that was asked for */
    bool waited;  /* another session had it */
    bool in_vain; /* it did not come in time */
} newt__changes;

typedef int newt__opened(void *arg, const newt__changes *changes);

typedef struct newt__found {
    int64_t oid, serial;
    const void *record;
    size_t n; /* bytes */
} newt__found;

typedef int newt__take_record(void *arg, const newt__found *found);

/* ---- what a commit writes -------------------------------------------------------------------- */

/* Who writes the JSONB of an object, as far as its class says. */
typedef enum newt__projection {
    NEWT__PROJECT_STORE,  /* as the store and newt_options say */
    NEWT__PROJECT_NOT,    /* there is none */
    NEWT__PROJECT_ASYNC,  /* it is written later */
    NEWT__PROJECT_INLINE, /* in the transaction */
    NEWT__PROJECT_CALLER  /* in the transaction, and by newt__writes.project alone */
} newt__projection;

typedef struct newt__change {
    enum {
        NEWT__ADD, /* if there is one of this oid all the same, nothing is written */
        NEWT__REPLACE,
        NEWT__REMOVE
    } what;
    newt__projection projection;
    bool lossy;        /* its JSON may show the object only in part */
    bool wants_record; /* if others have changed it, their record is wanted */
    int64_t oid;
    int64_t serial; /* that it was read with; 0: new */
    const void *record;
    size_t n;               /* bytes; 0: removed */
    const char *class_name; /* of one that is removed; class_n 0: it is not known */
    size_t class_n;
} newt__change;

/* An object that others have changed (serial: its own now) or removed (0). record NULL: not wanted.
 * only_read: it was to be current. Non-zero: enough of them. */
typedef int newt__clash(void *arg, const newt__found *now, bool only_read);

/* Pulled by the storage, so that ten million objects stream. */
typedef struct newt__writes {
    void *arg;
    /* Stored objects by oid, then new ones by oid: the order of locks. 1: *out is the next, valid
     * until the next call; 0: there are no more; negative: a status, and the call fails with it. */
    int (*next)(void *arg, newt__change *out);
    /* From the first again, as often as the storage likes. */
    int (*rewind)(void *arg);
    /* Appends the JSON of a record to out; *hidden: it has none. rejects: what it cannot show is
     * appended as {"path": [...], "reason": ...}; or NULL. */
    int (*project)(void *arg, int64_t oid, const void *record, size_t n, newt__buffer *out,
                   bool *hidden, json_t *rejects);
    /* What was only read, but must not have changed; serial 0: there must be none. i < n_current;
     * false: it is written, so there is nothing to compare. Asked when all changes have been
     * pulled.
     */
    bool (*current)(void *arg, size_t i, int64_t *oid, int64_t *serial);
    size_t n_current;
    newt__clash *clash;
    const char *user, *description, *extension; /* of the transaction; NULL: not given */
    bool wants_row; /* it is recorded, even if there is nothing to write */
    newt__position
        cache; /* what others have changed is told from here on; tid 0: nothing is cached */
} newt__writes;

typedef enum newt__outcome {
    NEWT__DONE,  /* visible and durable; serial 0: there was nothing to write */
    NEWT__CLASH, /* nothing is written: `clash` was called for objects that others have changed; for
                  * none: *e is all there is to know */
    NEWT__FAILED,   /* nothing is written: *e */
    NEWT__STOPPED,  /* nothing is written: `next`, `rewind` or `project` has failed */
    NEWT__IN_DOUBT, /* *e; serial not 0: visible, but perhaps not durable; 0: it is not known
                     * whether anything was written */
} newt__outcome;

typedef struct newt__committed {
    int64_t serial;
    int64_t tid;          /* 0: it could not be found out */
    bool has_others;      /* what follows is known */
    newt__changes others; /* since writes.cache, without our own; valid until the session's next
                             call but end */
    int status;           /* NEWT__STOPPED: what the callback returned */
} newt__committed;

typedef int newt__take_prepared(void *arg, const char *name, int64_t age_us);

/* ---- SQL ------------------------------------------------------------------------------------- */

/* How a value of a column is shown in JSON. */
typedef enum newt__column_kind {
    NEWT__COLUMN_TEXT,
    NEWT__COLUMN_BOOL,
    NEWT__COLUMN_INTEGER, /* of 2, 4 or 8 bytes */
    NEWT__COLUMN_REAL,
    NEWT__COLUMN_NUMERIC,
    NEWT__COLUMN_JSON
} newt__column_kind;

typedef struct newt__column {
    const char *name;
    newt__column_kind kind;
} newt__column;

typedef struct newt__query {
    enum {
        NEWT__QUERY,       /* as it stands */
        NEWT__QUERY_WHERE, /* sql is a condition on the view newt; gives zoids */
        NEWT__QUERY_PAGE   /* of sql's first column: total, zoid (null: none here), place */
    } what;
    const char *sql;
    int n; /* parameters, as text; NULL: null */
    const char *const *params;
    int64_t offset, limit; /* of a page */
    void *arg;
    /* once, before the rows */
    int (*columns)(void *arg, const newt__column *columns, int n);
    /* values[i] NULL: null; else of lengths[i] bytes. kinds: of the values, where they are not all
     * as their columns are; or NULL */
    int (*row)(void *arg, const newt__column_kind *kinds, const char *const *values,
               const size_t *lengths);
} newt__query;

/* An index over the projection, in SQL of the storage's. */
typedef struct newt__index {
    const char *name;       /* an identifier, not of the store's own */
    const char *class_name; /* of objects of this class alone; NULL: of all */
    const char *what;       /* NULL: it is to go */
    unsigned flags;         /* of newt_index_create */
} newt__index;

/* ---- the registry ----------------------------------------------------------------------- */

/* A version of a class, as docs/class-registry.md says. */
typedef struct newt__registered {
    const char *name;
    int32_t version;
    const char *fields;     /* JSON text */
    const char *projection; /* NULL: as the store says */
} newt__registered;

/* Place i of a list is registered otherwise: as it is there, fields NULL if they are the same text;
 * or, theirs NULL, not at all. */
typedef int newt__take_class(void *arg, size_t i, const newt__registered *theirs);

/* ---- the table -------------------------------------------------------------------------- */

typedef struct newt__storage_type {
    const char *scheme; /* of the URI, as messages call it */
    bool has_schemas;   /* newt_options.schema says which store of several */
    /* Makes a store; NEWT_ESTORE: there is one. */
    int (*create)(const char *uri, const char *schema, newt_error *e);
    /* uri may be NULL; uri, options and process stay as they are until close. Nothing is asked yet:
     * the first session that gets ready finds out whether there is a store. */
    int (*open)(newt__storage **out, const char *uri, const newt_options *options,
                const newt__process *process, newt_error *e);
    unsigned (*features)(const newt__storage *s); /* when a session has been ready */
    void (*close)(newt__storage *s);              /* after its sessions */

    /* A session, not ready yet; NULL: no memory. It calls `opened` whenever it has opened a
     * snapshot, before it hands over anything from it; and at any time, with all and without a
     * position, when it finds that the store was restarted or replaced. What it does is added to
     * *stats: round trips and statements. */
    newt__session *(*connect)(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats);
    void (*disconnect)(newt__session *x);
    /* From now on it calls this one. Outside of a transaction. */
    void (*tell)(newt__session *x, newt__opened *opened, void *arg);
    /* Makes sure that the session is of use, outside of a transaction; idle_us: since its last use.
     */
    int (*ready)(newt__session *x, int64_t idle_us, newt_error *e);
    /* Whether a transaction may begin on what was told of the last position: nothing is known that
     * speaks against it. Asks nobody. */
    bool (*alive)(const newt__session *x);
    /* This process is a copy, made by fork(): from now on the session says nothing to anybody. */
    void (*abandon)(newt__session *x);

    /* A transaction. Costs nothing: the first load, walk or query opens its snapshot in the same
     * round trip. position: where the cache stands; tid 0: nothing is cached. */
    void (*begin)(newt__session *x, newt__position position);
    /* The snapshot first waits for its turn at these objects (at most NEWT__MOST_TURNS), at most
     * at_most_ms in all, an equal share for each. After begin. Only an optimisation: correctness
     * does not depend on it. After a wait in vain some of the turns may be held until end. */
    void (*ask_turn)(newt__session *x, const int64_t *oids, size_t n, int at_most_ms);
    /* In any case, also after commit. */
    void (*end)(newt__session *x);

    /* Found records in any order; what does not exist is no error. n 0: only opens the snapshot.
     * Outside of a transaction, if the session has had one: as it is committed then. */
    int (*load)(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
                newt_error *e);
    /* What can be reached, and in any order. options: depth and objects are given, and within the
     * limits. 1: it cannot be done here, and the caller is to go level by level. */
    int (*walk)(newt__session *x, const int64_t *roots, size_t n, const newt_walk_options *options,
                newt__take_record *take, void *arg, newt_error *e);
    /* Absent without SQL. *over: the transaction can only be aborted; else the query has failed
     * alone. */
    int (*query)(newt__session *x, const newt__query *q, bool *over, newt_error *e);

    /* Makes an index, or drops it; outside of a transaction. One that is there as it is to be
     * stays. Absent where it is made in SQL. */
    int (*index)(newt__session *x, const newt__index *index, newt_error *e);

    /* An unused oid, which nobody else is given, ever. */
    int (*next_oid)(newt__session *x, int64_t *oid, newt_error *e);
    /* Ends the snapshot. After NEWT__CLASH it may be called again; what is loaded in between is as
     * it is committed then. */
    newt__outcome (*commit)(newt__session *x, const newt__writes *w, newt__committed *out,
                            newt_error *e);

    /* What follows is absent where nothing can be prepared. */

    /* As commit, but NEWT__DONE says that it is prepared, under this name, and will stay so
     * whatever happens, until settle; serial 0: there was nothing to write, and nothing is
     * prepared. Until then nobody else commits. NEWT__IN_DOUBT does not come. */
    newt__outcome (*prepare)(newt__session *x, const newt__writes *w, const char *name,
                             newt__committed *out, newt_error *e);
    /* Commits or discards what was prepared. NEWT_EMISSING: there is nothing of this name. Outside
     * of a transaction, or in the one that was prepared. */
    int (*settle)(newt__session *x, const char *name, bool commit, newt_error *e);
    /* What is prepared, the oldest first. */
    int (*prepared)(newt__session *x, newt__take_prepared *take, void *arg, newt_error *e);

    /* Hands over what is registered otherwise than the list says. Outside of a transaction; a
     * session that is not ready gets so with it. */
    int (*classes)(newt__session *x, const newt__registered *list, size_t n, newt__take_class *take,
                   void *arg, newt_error *e);
    /* Registers them first; those that are there already stay as they are. */
    int (*register_classes)(newt__session *x, const newt__registered *list, size_t n,
                            newt__take_class *take, void *arg, newt_error *e);

    /* What it does for those who follow it; all of it is outside of a transaction. */
    const newt__feed_type *feed;
} newt__storage_type;

#endif
