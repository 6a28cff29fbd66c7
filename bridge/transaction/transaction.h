/*
 * transaction.h - databases and connections, and what the files about transactions share
 */
#ifndef NEWT_TRANSACTION_H
#define NEWT_TRANSACTION_H

#include "../index/index.h"

struct newt_db {
    newt_error error;
    newt__classes *classes;
    char *uri, *schema;
    newt_options options;
    char *store_name;
    newt_options without_schema; /* the same, for parts of a layer that have no schemas */
    newt__process process;
    const newt__storage_type *type;
    newt__storage *storage;
    size_t pushed;         /* layers, by newt_db_push */
    bool opened;           /* connections can be had */
    pthread_mutex_t mutex; /* guards what follows */
    newt_conn *idle;       /* last in, first out */
    newt_conn *all;        /* the idle ones, and the program's */
    int64_t newest_tid;    /* the highest committed or seen by any connection */
};

/* The objects at which others were in the way of newt_transact (queue.c). */
typedef struct newt__queue {
    int64_t oids[NEWT__MOST_TURNS];
    size_t n;
    newt_work *fn;         /* what was run then */
    int64_t busy_us;       /* when another session was in the way last */
    int64_t away_until_us; /* no queue before, for the last wait was too long */
    int patience_ms; /* the next snapshot waits for its turn, for at most that; 0: not at all */
} newt__queue;

struct newt_conn {
    newt__jar jar; /* the first: see newt__jar_of() */
    newt_db *db;
    newt_conn *next_idle, *next_of_all;
    struct newt__description *description; /* of newt_describe, in this transaction; or NULL */
    newt__position position;               /* the cache is as of this transaction; tid 0: of none */
    int64_t committed_tid; /* of the last commit; 0: a transaction has begun since */
    int64_t *savepoints;   /* their numbers, as many as jar.savepoints; or NULL */
    int64_t last_savepoint;
    struct newt__hooks *hooks;            /* of this transaction; or NULL */
    struct newt__resources *resources;    /* the same */
    newt_conn *leader;                    /* with whose transaction this one ends; or NULL */
    newt_conn *followers, *next_follower; /* whose leader this one is; of the same leader */
    void (*leaving)(void *joined);        /* called before it ends by itself all the same */
    void *joined;
    bool doomed;        /* by newt_doom */
    bool ending;        /* a hook is running */
    int64_t checked_us; /* monotonic clock of the last contact that confirmed the position */
    uint64_t random;    /* state of a generator for pauses */
    newt__queue queue;
    bool connected; /* the session has been ready once, and at its last use */
    void *rider;    /* what a room above keeps with the connection, and how it is closed; or NULL */
    void (*rider_close)(void *rider);
    const void *writer; /* the feed whose statements wait to be committed; or NULL */
};

/* The connection to the store of this name, of those that end together; NULL: there is none. */
newt_conn *newt__joined_store(newt_conn *c, newt_text name); /* store_ref.c */

/* ---- calls outside of transactions (outside.c) ---------------------------------------------- */

/* Whether the connection may be used now for a call that is made outside of transactions; writer:
 * the feed that may have one of its own open, or NULL. Clears the error. */
int newt__outside(newt_conn *c, const void *writer, const char *function);

/* ---- transactions (transaction.c) ------------------------------------------------------- */

/* lazily: if the cache may be used as it is, the storage is asked at first need. wanted: are loaded
 * with the snapshot, in one round trip; or NULL. */
int newt__begin(newt_conn *c, bool lazily, const int64_t *wanted, size_t n);
/* The end of a transaction; what becomes of its objects is said before, in object.c. */
void newt__transaction_over(newt_conn *c);
/* Ends it without its changes, without hooks and resources. */
void newt__abort(newt_conn *c);
/* What others have changed: the callback that sessions are given. */
int newt__transaction_opened(void *arg, const newt__changes *changes);
/* The same after the own commit. */
int newt__changes_apply(newt_conn *c, const newt__changes *changes, int64_t own_serial);
/* A transaction of this number is visible. */
void newt__tid_seen(newt_db *db, int64_t tid);

/* ---- what a commit writes (changes.c) --------------------------------------------------- */

/* All that was changed in this transaction: from the cache and from spill.c, in one order. */
typedef struct newt__pending {
    newt_conn *c;
    newt__header **cached; /* in that order */
    size_t n_cached, next_cached;
    newt__spilled spilled; /* the next; oid 0: none */
    bool handed_out;       /* it has been, so it is to be followed by another */
    bool may_merge;        /* records of others are wanted for what has a resolver */
} newt__pending;

/* Begins with the first, as often as it is called. */
int newt__pending_rewind(newt__pending *p);
/* 1: *out is the next, of what differs from what was loaded; 0: there are no more; else a status,
 * and the connection's error names object and field. */
int newt__pending_next(newt__pending *p, newt__change *out);
void newt__pending_free(newt__pending *p);
/* What the class says of who writes the JSONB. k NULL: it has no table. */
newt__projection newt__class_projection(const newt__class *k);
/* The same of the class of a record. */
newt__projection newt__record_projection(newt_conn *c, const void *record, size_t n);

/* ---- conflicts (conflict.c) ------------------------------------------------------------- */

/* What the storage has told of one commit. */
typedef struct newt__conflicts {
    newt_conn *c;
    struct newt__clashed *list;
    size_t n, cap;
    size_t n_spilled; /* of them */
    bool failed;      /* no memory */
} newt__conflicts;

newt__clash newt__conflicts_take;
/* NEWT_OK: all that others have changed has been merged, and the commit is to be tried again.
 * Else *e, on entry the storage's error, says what was changed. */
int newt__conflicts_settle(newt__conflicts *x, newt_error *e);
void newt__conflicts_free(newt__conflicts *x);

/* ---- turns (queue.c) -------------------------------------------------------------------- */

/* The commit of fn has met conflicts, which are the error. */
void newt__queue_conflict(newt_conn *c, newt_work *fn);
/* Whether a transaction of fn is to begin with a turn, the first attempt or another; then the next
 * snapshot waits for it, but for no longer than is left. */
bool newt__queue_join(newt_conn *c, newt_work *fn, bool again, int64_t left_us);
/* Forgets the objects that this transaction, which has joined, has not used. */
void newt__queue_used(newt_conn *c);
/* What has become of the wait. */
void newt__queue_came(newt__queue *q, const newt__changes *changes);

/* ---- hooks (hooks.c) ---------------------------------------------------------------------- */

/* Runs those of a moment before the end; what the first returns that fails. */
int newt__hooks_run(newt_conn *c, newt_moment when);
/* Forgets all, and runs those of a moment after the end. */
void newt__hooks_end(newt_conn *c, newt_moment when, int status);
void newt__hooks_free(newt_conn *c);

/* ---- what else is committed (resources.c) -------------------------------------------------- */

int newt__resources_savepoint(newt_conn *c, int64_t savepoint);
/* place: of the savepoint among those there are. Failing dooms. */
int newt__resources_rollback(newt_conn *c, uint16_t place, int64_t savepoint);
void newt__resources_release(newt_conn *c, uint16_t place);
/* extension: of the transaction, or NULL. After a failure newt__resources_abort follows. */
int newt__resources_prepare(newt_conn *c, const char *extension);
/* What the transaction's row is to say, once they are prepared. */
void newt__resources_describe(const newt_conn *c, newt__writes *w);
/* The end: as the store has ended, or, if that is not known, neither. */
int newt__resources_commit(newt_conn *c);
void newt__resources_abort(newt_conn *c);
void newt__resources_leave(newt_conn *c);
void newt__resources_free(newt_conn *c);

/* ---- in two phases (commit.c, joined.c) ------------------------------------------------------ */

/* All but the decision; what out says is for newt__commit_settle. After a failure the transaction
 * has ended. */
int newt__commit_prepare(newt_conn *c, const char *name, newt__committed *out);
int newt__commit_settle(newt_conn *c, const char *name, const newt__committed *x, bool commit);
/* The decision is not known here: it stays prepared. */
void newt__commit_leave(newt_conn *c);

/* ---- what a transaction says of itself (describe.c) ------------------------------------- */

/* User, description, extension: NULL where not given. */
void newt__description_get(const newt_conn *c, newt__writes *w);
void newt__description_clear(newt_conn *c);

/* ---- others ------------------------------------------------------------------------------- */

/* The error of what a storage without SQL cannot do; its status (db.c). */
int newt__no_sql(newt_conn *c, const char *what);
/* In debug mode: tells the program of new objects that nothing refers to (unreachable.c). */
int newt__unreachable_tell(newt_conn *c);
/* Registers the classes of the database that the store does not know yet (register.c). */
int newt__register_classes(newt_conn *c, newt_error *e);

#endif
