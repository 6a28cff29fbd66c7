/*
 * bridge.h - what the files of the library share
 *
 *   error.c        newt_error, the one map from SQLSTATE and codec faults to a status
 *   class.c        class tables: checked, copied, their fields in encoded order
 *   kind.c         the kinds of values     registry.c     a class as the registry's JSON
 *   encode.c       struct -> record        decode.c       record -> struct
 *   object.c       headers, states, pins; new, read, write, edit, done; ends of transactions
 *   setter.c       texts, arrays, maps
 *   cache.c        oid -> object of one connection, and its limit
 *   marks.c        what was changed and not marked, in debug mode
 *   spill.c        what was changed and finds no room in the cache
 *   json_read.c    values -> jansson       json_write.c   jansson -> values
 *   json_exact.c   JSON text kept as it is json_text.c    the server's JSON -> jansson
 *   bag.c          objects without struct  collection.c   lists, maps, named roots
 *   projection.c   JSON of an object, to_json
 *   db.c           newt_db, pool, store check   register.c   classes known to the store
 *   create.c       the making of a store
 *   store.c        every SQL statement of the library     talk.c   sending them, taking results
 *   transaction.c  begin, snapshots, invalidation, abort, newt_transact
 *   blocks.c       oids and serials, taken in blocks
 *   commit.c       the pipeline of a commit     batch.c      what it writes, and the statements
 *   unreachable.c  new objects that nothing refers to, in debug mode
 *   resolve.c      one whose answer was lost
 *   conflict.c     what others have changed: found, merged, reported
 *   merge.c        ready-made resolvers         describe.c   what a transaction says of itself
 *   load.c         records by oid            walk.c   those reached through references
 *   search.c       queries                    follow.c followers and the projection they write
 */
#ifndef NEWT_BRIDGE_H
#define NEWT_BRIDGE_H

#include "newtdb.h"
#include "../codec/codec.h"

#include <jansson.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <sys/types.h>
#include <stdarg.h>

/* For the way that reads of loaded objects take. */
#define NEWT__SELDOM(x) __builtin_expect(!!(x), 0)

/* ---- errors (error.c) ---------------------------------------------------------------------- */

struct newt_error {
    int status;
    int64_t oid;
    char sqlstate[6];
    size_t position;               /* of JSON text: the byte that is wrong, from 1; else 0 */
    char *message, *detail, *hint; /* malloc'ed or NULL; never longer than a few hundred bytes */
    char *class_name, *constraint; /* the same */
    bool own;                      /* the constraint is one of the store's own */
    newt_conflict *conflicts;      /* malloc'ed or NULL */
    size_t n_conflicts;
    char fallback[160]; /* used for message when there is no memory */
};

/* Sets e and returns status. The format is printf's. */
int newt__fail(newt_error *e, int status, int64_t oid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int newt__fail_text(newt_error *e, int status, int64_t oid, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
void newt__fail_detail(newt_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void newt__fail_hint(newt_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
int newt__fail_memory(newt_error *e);
/* From a failed result (or, if result is NULL, from the connection's message). store: the schema of
 * the store whose own constraints are to be known, or NULL. */
int newt__fail_sql(newt_error *e, const PGconn *pg, const PGresult *result, const char *store);
bool newt__is_fatal(const PGresult *result); /* it ends the session */
/* Whether the server refused a row for what is in it, rather than for the state that the server,
 * the session or the schema is in: without that row the statement would have worked. */
bool newt__is_of_a_row(const newt_error *e);
/* Whether a statement of the library's failed as it does if something was dropped or replaced. */
bool newt__is_outdated(const newt_error *e);
void newt__fail_class(newt_error *e, const char *name, size_t n);
/* From a codec fault; what: "record of Task 42", "field \"title\" of Task 42". */
int newt__fail_codec(newt_error *e, int64_t oid, const char *what, const newt__fault *fault);
void newt__error_clear(newt_error *e);
void newt__error_move(newt_error *to, newt_error *from);

/* ---- classes (class.c) ----------------------------------------------------------------------- */

typedef struct newt__class newt__class;

typedef struct newt__field {
    newt_field f;   /* copied; names and texts owned by the class */
    const char *as; /* name in the record */
    uint32_t as_n;
    const newt__class *type; /* REF with a class, STRUCT */
    uint32_t n_names;        /* ENUM */
    uint32_t *names_n;       /* ENUM: their lengths */
    uint32_t declared;       /* place in the program's table */
    bool nullable;           /* the kind has a null */
} newt__field;

struct newt__class {
    const newt_class *table; /* as the program gave it: a key, not read later */
    char *name;
    uint32_t name_n;
    int32_t version;
    uint32_t size, flags, n_fields;
    newt__field *fields; /* in encoded order of their keys */
    newt_hooks hooks;    /* all zero if there are none */
    uint8_t *blank;      /* an object whose times and dates are null */
    bool stored;         /* given to newt_db_open or built in; else only embedded */
};

typedef struct newt__classes newt__classes;
int newt__classes_build(newt__classes **out, const newt_class *const *classes, newt_error *e);
void newt__classes_free(newt__classes *cs);
const newt__class *newt__class_find(const newt__classes *cs, const newt_class *table);
const newt__class *newt__class_named(const newt__classes *cs, const char *name, size_t n);
const newt__class *newt__class_at(const newt__classes *cs, size_t i); /* NULL after the last */
/* What newt_class.fields holds for the registry: [{"name":, "kind":, ...}, ...] in the order of
 * the program's table, see docs/class-registry.md; new reference, NULL: no memory. */
json_t *newt__class_fields(const newt__class *k);
/* The text of a class name that no table has, valid as long as the classes; NULL: no memory. */
const char *newt__class_intern(const newt__classes *cs, const char *name, size_t n);

/* The classes of the library's own objects. */
extern const newt_class newt__root_class; /* newt.Root: the named roots, a struct newt_map; oid 1 */

/* ---- objects (object.c, cache.c) --------------------------------------------------------- */

/* The states of an object in a connection. Transitions are one table in object.c, explained in
 * docs/c-api-states.md; a ghost has no header at all. */
typedef enum newt__state {
    NEWT__UPTODATE,
    NEWT__CHANGED,
    NEWT__NEW,
    NEWT__DELETED,   /* of a stored object */
    NEWT__FORGOTTEN, /* a deleted new object: commit passes over it; lives on for its pointers */
    NEWT__IMAGE,     /* detached: belongs to no cache (hooks, bags of objects with a table) */
    NEWT__N_STATES,
    NEWT__GHOST = NEWT__N_STATES, /* the next state of what loses its header */
    NEWT__SPILLED,                /* the same; its state and its records are kept by spill.c */
    NEWT__REFUSED                 /* this cannot be done to it: it is deleted, or detached */
} newt__state;

/* In front of every struct; the struct follows at NEWT__HEADER bytes. What reading an object
 * touches is at the end, beside the struct. */
typedef struct newt__header {
    int64_t oid;
    int64_t serial;             /* 0: new */
    struct newt__header *newer; /* in its ring; of an image: the next view */
    struct newt__header *older;
    struct newt__chunk *chunks; /* texts and arrays set since the load */
    uint8_t *record; /* as loaded; always there while CHANGED, see object.c for the others */
    uint32_t record_n;
    uint32_t size;    /* of the struct and what was loaded with it */
    uint8_t state;    /* newt__state */
    bool listed : 1;  /* is in the ring of changed ones */
    bool written : 1; /* set by batch.c: its record is in the commit under way */
    bool bag : 1;     /* the struct is a newt_bag; class is NULL */
    bool extra : 1;   /* record has fields that the table lacks; they are kept */
    bool fixed : 1;   /* ... inside an embedded struct, where they cannot be: read-only */
    bool failed : 1;  /* IMAGE: a setter failed */
    bool current : 1; /* is in the connection's list of objects that must be current */
    uint32_t pins;
    const newt__class *class; /* NULL: bag or broken object */
    newt_conn *conn;
    const newt_class *read_as; /* has been found readable as this, and not deleted since; or NULL */
    union {
        struct {
            uint32_t epoch; /* of the transaction that used it last, which pins count in */
            uint32_t tick;  /* when that was */
        };
        uint64_t used; /* both */
    };
} newt__header;

enum {
    NEWT__HEADER = (sizeof(newt__header) + 15) / 16 * 16
};

static inline newt__header *
newt__header_of(const void *object)
{
    return (newt__header *)((char *)(uintptr_t)object - NEWT__HEADER);
}
static inline void *
newt__object_of(newt__header *h)
{
    return (char *)h + NEWT__HEADER;
}

/*
 * Makes an object from a record that has just been loaded, and puts it into the cache, in the
 * place of a header of this oid that must not be pinned or changed. What is wrong with the record
 * (damaged, of a newer version of the class, not as the class table says) does not fail here: the
 * object is a broken one that keeps its record, and newt_read says what is wrong. Fails only for
 * want of memory, or with the status of an upgrade hook.
 */
int newt__object_load(newt_conn *c, int64_t oid, int64_t serial, const void *record, size_t n,
                      newt__header **out);
/* The record of a new or changed object as it is now, in c->writer.buf. The error names object
 * and field. *same (may be NULL): it is the record that was loaded, nothing needs to be written. */
int newt__object_encode(newt_conn *c, newt__header *h, bool *same);
/* In debug mode: NEWT_EINVAL if an object was changed without being marked; one of them, or any
 * that this transaction has used (marks.c). */
int newt__mark_check(newt__header *h);
int newt__marks_check(newt_conn *c);
/* Whether this transaction has read, pinned or changed the object. */
bool newt__object_used(const newt_conn *c, int64_t oid);
/* Whether the program has a pointer to it. */
bool newt__object_pinned(const newt__header *h);
/* Whether the object can leave the cache now: it is in use by nobody, and what was changed about it
 * is kept elsewhere. */
bool newt__object_evict(newt__header *h);
/* Somebody else changed or removed it: forgets what is cached. An object used in this transaction
 * is left as it is (a changed one will be a conflict at commit). */
void newt__object_invalidate(newt_conn *c, int64_t oid);
/* The end of a transaction: what was changed is no more. Committed: headers that are `written` take
 * the serial. Aborted: what was new, changed or deleted is a ghost again. */
void newt__objects_committed(newt_conn *c, int64_t serial);
void newt__objects_aborted(newt_conn *c);
void newt__object_free(newt__header *h);
/* Forgets what newt_read_current was told (conflict.c). */
void newt__current_clear(newt_conn *c);
/* The JSON text of an object for the projection, from its record (and to_json of its class),
 * appended to out; *hidden: no row. rejects: an array of {"path": [...], "reason": ...} appended to
 * if not NULL. */
int newt__object_project(newt_conn *c, int64_t oid, const void *record, size_t n, newt__buffer *out,
                         bool *hidden, json_t *rejects);
/* "Task 1057", for messages; from any object in the cache. */
enum {
    NEWT__NAME_SIZE = 320
};
const char *newt__object_name(const newt__header *h, char name[NEWT__NAME_SIZE]);

typedef struct newt__slot {
    int64_t oid; /* here as well: a search touches no object but the one it is for */
    newt__header *h;
} newt__slot;

/* Objects by their last use. */
typedef struct newt__ring {
    newt__header *newest, *oldest;
    size_t n;
} newt__ring;

/* Everything in the cache is in one of the two rings. */
typedef struct newt__cache {
    newt__slot *slots; /* open addressing by oid; a power of two, at least two groups */
    size_t n, cap;
    unsigned shift; /* 64 less the binary logarithm of cap */
    size_t bytes;   /* of the objects */
    newt__ring clean, changed;
    size_t came;     /* bytes since the connection's tick last rose */
    int64_t last;    /* the one that came last, which a sweep leaves in peace */
    int64_t evicted; /* objects, of both kinds, ever */
} newt__cache;

enum {
    NEWT__GROUP = 32 /* slots; the smallest table has two */
};

/* Where a search for the oid begins. Consecutive oids, which related objects tend to have, lie side
 * by side in a group; the golden ratio spreads the groups evenly, by the highest bits of the
 * product. */
static inline size_t
newt__cache_home(const newt__cache *cache, int64_t oid)
{
    uint64_t x = (uint64_t)oid, group = x / NEWT__GROUP, place = x % NEWT__GROUP;

    return (size_t)((group * UINT64_C(0x9E3779B97F4A7C15) >> cache->shift) ^ place);
}

/* And where it goes on: at the same place of the next group, so that those of a group whose slots
 * are taken meet one other each, not all of them. Behind the last group follows the next place of
 * the first, so all slots are in one circle. */
static inline size_t
newt__cache_next(const newt__cache *cache, size_t i)
{
    i += NEWT__GROUP;
    return i < cache->cap ? i : (i + 1) % NEWT__GROUP;
}

/* The slot that holds the oid, or the empty one where it would be; the cache has slots. */
static inline size_t
newt__cache_slot(const newt__cache *cache, int64_t oid)
{
    size_t i = newt__cache_home(cache, oid);

    while (NEWT__SELDOM(cache->slots[i].oid != oid) && cache->slots[i].h)
        i = newt__cache_next(cache, i);
    return i;
}

static inline newt__header *
newt__cache_find(const newt__cache *cache, int64_t oid)
{
    return cache->cap ? cache->slots[newt__cache_slot(cache, oid)].h : NULL;
}

int newt__cache_put(newt_conn *c, newt__header *h); /* frees another of the same oid */
void newt__cache_remove(newt_conn *c, int64_t oid); /* frees */
void newt__cache_clear(newt_conn *c);
void newt__cache_quicken(newt_conn *c); /* sets newt_conn.quick */
/* Used now; into the ring that its `listed` says. */
void newt__cache_touch(newt__header *h);
/* Makes an object one of the changed ones, or one of the others again. */
void newt__cache_list(newt__header *h, bool changed);
/* Evicts what was used longest ago if the cache is over its limit: for callers that hold no pointer
 * to an object that is not pinned. Changed ones go to spill.c; failing there dooms. */
void newt__cache_sweep(newt_conn *c);

/* ---- changed objects outside the cache (spill.c) ------------------------------------------- */

typedef struct newt__spill newt__spill;

/* One of them; what it points to is valid until the next call. */
typedef struct newt__spilled {
    int64_t oid, serial;
    newt__state state;     /* CHANGED, NEW or DELETED */
    bool lossy;            /* the projection may show it only in part */
    const uint8_t *record; /* as it is to be written */
    size_t record_n;
    const uint8_t *old; /* as it was loaded; NULL: not kept, or new */
    size_t old_n;
} newt__spilled;

/* How many there are. */
size_t newt__spill_n(const newt_conn *c);
/* Keeps the records of a changed, new or deleted object that is about to leave the cache. False: it
 * has to stay, for it cannot be written as it is; or the transaction is doomed. */
bool newt__spill_put(newt_conn *c, newt__header *h);
bool newt__spill_has(newt_conn *c, int64_t oid);
/* Brings an object back into the cache; NEWT_OK also if it is not there. */
int newt__spill_take(newt_conn *c, int64_t oid);
/* All of them, stored ones by oid, then new ones by oid: the first after a rewind. 1: *out is the
 * next; 0: there is none; else a status. */
void newt__spill_rewind(newt_conn *c);
int newt__spill_next(newt_conn *c, newt__spilled *out);
void newt__spill_clear(newt_conn *c);
void newt__spill_free(newt_conn *c);

/* ---- databases and connections (db.c, transaction.c, commit.c, load.c, store.c) ---------- */

struct newt_db {
    newt_error error;
    newt__classes *classes;
    char *uri, *schema;
    newt_options options;
    struct newt__sql *sql; /* statements with the schema's name in place */
    int64_t oid_block, serial_block;
    bool async; /* the store's projection, where a class does not say otherwise */
    struct newt__process *process; /* which it belongs to, see process.c */
    pid_t pid;
    bool wiped;            /* in a child, that is seen without asking for its number */
    pthread_mutex_t mutex; /* guards what follows */
    newt_conn *idle;       /* last in, first out */
    int64_t newest_tid;    /* the highest committed or seen by any connection */
};

/* Who writes the projection of an object, as class, store and program say together. */
typedef enum newt__projection {
    NEWT__PROJECT_NOT,    /* hidden: there is no row */
    NEWT__PROJECT_ASYNC,  /* newt-updater */
    NEWT__PROJECT_CLIENT, /* this library, as JSON text */
    NEWT__PROJECT_SERVER  /* this library, through newt.to_jsonb */
} newt__projection;

/* Blocks of numbers taken from a sequence of the store. */
typedef struct newt__blocks {
    int64_t next, end; /* of the block in use */
    int64_t *starts;   /* the others */
    size_t n, cap;
    int64_t used; /* numbers handed out in this transaction */
} newt__blocks;

/* An object that was read and has to be current at commit (conflict.c). */
typedef struct newt__current {
    int64_t oid, serial;
} newt__current;

typedef enum newt__phase {
    NEWT__IDLE,   /* no transaction */
    NEWT__LAZY,   /* begun, the server has not been asked yet */
    NEWT__OPEN,   /* begun, a snapshot is open on the server */
    NEWT__DOOMED, /* begun, can only be aborted; error says why */
    NEWT__N_PHASES
} newt__phase;

enum {
    NEWT__MOST_QUEUES = 8 /* that one transaction waits in */
};

typedef enum newt__turn {
    NEWT__NO_TURN,
    NEWT__TURN,     /* the session has it, or may have */
    NEWT__LAST_TURN /* the transaction that writes has been given it, and ends it */
} newt__turn;

/* The objects at which others were in the way of newt_transact, and the turns at them (queue.c). */
typedef struct newt__queue {
    int64_t oids[NEWT__MOST_QUEUES];
    size_t n;
    newt_work *fn;         /* what was run then */
    int64_t busy_us;       /* when somebody was in the way last */
    int64_t away_until_us; /* no queue before, for the last wait was too long */
    int patience_ms; /* the next snapshot waits for its turn, at most so long; 0: not at all */
    bool asked;      /* that has been sent, and not been taken */
    newt__turn turn;
    int32_t keys[NEWT__MOST_QUEUES]; /* of the turns */
    size_t n_keys;
} newt__queue;

enum {
    NEWT__N_PLAN_SETTINGS = 8 /* planner settings of the session, see store.c */
};

/* What a follower knows of rows that the database has refused (follow.c). */
typedef struct newt__refusals {
    bool settled;          /* nothing has changed since those that came early were last tried */
    bool none_early;       /* there are none of them */
    bool left;             /* some of those tried so far are refused still */
    int64_t early_zoid;    /* how far that is; 0: at the beginning */
    int64_t not_before_us; /* the next attempt, by newt__clock */
    int64_t zoid;          /* how far newt_retry_rejects is; 0: at the beginning */
} newt__refusals;

struct newt_conn {
    newt_db *db;
    newt_conn *next_idle;
    newt_error error;
    PGconn *pg;
    struct newt__talk *talk; /* what has been sent to it, see store.h */
    newt__phase phase;
    const bool *here;        /* true in the process that the connection belongs to */
    const newt__slot *quick; /* those of the cache, if objects used already can be read without
                              * further checks: a transaction is open, not doomed, and not in debug
                              * mode; else NULL */
    union {
        struct {
            uint32_t epoch; /* rises with every end of a transaction, in object.c */
            uint32_t tick;  /* rises while objects come in: the time by which they are old */
        };
        uint64_t now; /* both */
    };
    pthread_t owner;
    newt__env env;              /* malloc */
    newt__writer writer;        /* for encoding, reused */
    newt__buffer scratch;       /* free for any function that calls no other of the library */
    newt__buffer image, fixups; /* decode.c */
    newt__header *views;        /* bags of objects with a table, until the transaction's end */
    newt__cache cache;
    newt__spill *spill;     /* or NULL */
    newt__current *current; /* of newt_read_current, in this transaction */
    size_t n_current, cap_current;
    struct newt__description *description; /* of newt_describe, in this transaction; or NULL */
    int64_t tid, tid_serial;               /* the cache is as of this transaction; 0: of none */
    int64_t committed_tid; /* of the last commit; 0: a transaction has begun since */
    int64_t checked_us;    /* monotonic clock of the last contact that confirmed tid */
    newt__blocks oids, serials;
    uint8_t incarnation[16]; /* what the cache and the blocks belong to */
    int64_t system, timeline, database;
    char *plans[NEWT__N_PLAN_SETTINGS]; /* the server's own, for queries of the application */
    struct newt__scan *scan;            /* of a new follower, see follow.c; or NULL */
    newt__refusals refusals;            /* of its follower */
    uint64_t random;                    /* state of a generator for pauses */
    uint64_t nonce;                     /* of the next commit; where they begin is random */
    newt__queue queue;                  /* of newt_transact */
    newt_stats stats;
    bool in_transaction; /* the server has been told BEGIN and not yet its end */
    bool savepoint;      /* ... and the savepoint that queries go back to */
    bool has_extension;  /* newt.to_jsonb can be called */
    bool has_walk;       /* newt.walk can be called */
    bool standby;        /* the server was one when it was connected to */
    bool at_commit;      /* newt.at_commit can, and is wanted */
    bool async;          /* where a class does not say otherwise */
    int64_t looked_us;   /* monotonic clock of the last look at all these */
    uint64_t seen;       /* what that look has found */
    bool doubtful;       /* the cache is of another life of the server */
    bool reopen;         /* the server connection is to be replaced at the next chance */
    bool broken;         /* ... is of no use any more */
};

/* ---- processes (process.c) --------------------------------------------------------------- */

int newt__process_open(newt_db *db);
void newt__process_close(newt_db *db);
const bool *newt__process_here(const newt_db *db);
/* Whether this is the process that opened the database. */
bool newt__process_is(const newt_db *db);
/* The error of all others. */
int newt__process_fail(const newt_db *db, newt_error *e);
/* In a child: closes its copy of the connection's socket without a word. */
void newt__process_detach(newt_conn *c);

/* Records an error of this connection and returns its status; a doomed transaction keeps its
 * first. */
int newt__conn_fail(newt_conn *c, int status, int64_t oid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int newt__conn_fail_with(newt_conn *c, newt_error *e); /* the same, taking e */
/* The error just recorded dooms the transaction; returns its status. */
int newt__doom(newt_conn *c);
/* NEWT_OK if a transaction is open and not doomed, and this is its thread. */
int newt__conn_enter(newt_conn *c);
/* Loads what is not in the cache, in one round trip (opens the snapshot if need be). */
int newt__load(newt_conn *c, const int64_t *oids, size_t n);
/* Loads the level that the walk has come to, and gives it the records, also those of objects that
 * are here already. */
int newt__load_level(newt_conn *c, newt__walk *w);
/* Takes the object in this row (zoid, serial, state), if it is not here already. */
int newt__load_row(newt_conn *c, const PGresult *r, int row);
int newt__next_oid(newt_conn *c, int64_t *oid);
newt__projection newt__conn_projection(const newt_conn *c, const newt__class *k);

#endif
