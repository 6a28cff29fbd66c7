/*
 * object.h - the objects of a connection: headers, states, cache, setters, access
 */
#ifndef NEWT_OBJECT_H
#define NEWT_OBJECT_H

#include "../record/record.h"
#include "../storage.h"

typedef struct newt__jar newt__jar;

/* ---- headers (header.c) --------------------------------------------------------------------- */

/* The states of an object in a connection. Transitions are one table in header.c, explained in
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
    uint8_t *record; /* as loaded; always there while CHANGED, see header.c for the others */
    uint32_t record_n;
    uint32_t size;       /* of the struct and what was loaded with it */
    uint8_t state;       /* newt__state */
    bool listed : 1;     /* is in the ring of changed ones */
    bool written : 1;    /* its record is in the commit under way */
    bool bag : 1;        /* the struct is a newt_bag; class is NULL */
    bool extra : 1;      /* record has fields that the table lacks; they are kept */
    bool fixed : 1;      /* record has what could not be kept: read-only */
    bool failed : 1;     /* IMAGE: a setter failed */
    bool current : 1;    /* is in the connection's list of objects that must be current */
    bool to_index : 1;   /* is in the connection's list of objects to be looked at by indexes */
    uint16_t future : 1; /* record is of a newer version of the class; fixed, too */
    uint16_t saved : 1;  /* NEW, CHANGED or DELETED, and spill.c has it as it is */
    uint16_t level : 14; /* of spill.c, if it is saved */
    uint32_t pins;
    const newt__class *class; /* NULL: bag or broken object */
    struct newt__jar *jar;
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
_Static_assert(NEWT__HEADER == 96 || sizeof(void *) != 8, "an object's header has grown");

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

/* Events; header.c has the table of what each does to each state. */
typedef enum newt__event {
    NEWT__ON_READ,
    NEWT__ON_WRITE,
    NEWT__ON_DELETE,
    NEWT__ON_COMMIT,
    NEWT__ON_ABORT,
    NEWT__ON_INVALIDATE,
    NEWT__ON_EVICT,
    NEWT__N_EVENTS
} newt__event;

newt__state newt__next_state(newt__state state, newt__event event);

enum {
    NEWT__BLOCK = 16 /* what malloc adds to a block, about; the cache counts it */
};

typedef struct newt__chunk {
    struct newt__chunk *next;
    size_t n, used; /* of data */
    _Alignas(16) char data[];
} newt__chunk;

/* A header with `size` bytes after it, zeroed; belongs to no cache yet. */
newt__header *newt__header_make(newt__jar *c, uint32_t size);
void newt__header_free(newt__header *h);
/* All of an object's memory. */
size_t newt__header_bytes(const newt__header *h);
/* Memory that lives as long as the object's present state; aligned to 16 or to 1. NULL: none. */
void *newt__header_alloc(newt__header *h, size_t n, bool aligned);
/* Keeps a copy of the record it was loaded from; false: no memory. */
bool newt__header_keep(newt__header *h, const void *record, size_t n);
void newt__header_forget(newt__header *h); /* that record */
/* "Task 1057", for messages; from any object in the cache. */
const char *newt__header_name(const newt__header *h, char name[NEWT__NAME_SIZE]);
const char *newt__header_class(const newt__header *h);       /* "object" if it is not known */
const char *newt__header_known_class(const newt__header *h); /* "" if it is not known */
/* The connection's error is about this object: its oid, its class. Returns the status. */
int newt__header_fail(const newt__header *h, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Names the object's class in an error, if it is known. Returns the error's status. */
int newt__header_blame(const newt__header *h, newt_error *e);
/* Whether the program has a pointer to it. */
bool newt__header_pinned(const newt__header *h);

struct newt_bag {
    const char *class_name; /* interned; NULL: the record is damaged */
    int32_t version;
    bool hidden;   /* the state is not projected */
    json_t *state; /* NULL: not converted from the record yet */
    size_t bytes;  /* of the state, as far as can be known */
};

void newt__bag_count(newt__header *h, size_t bytes); /* the state is of this size now */
void newt__bag_clear(newt__header *h);

/* ---- the cache (cache.c) --------------------------------------------------------------------- */

typedef struct newt__slot {
    int64_t oid; /* here as well: a search touches no object but the one it is for */
    newt__header *h;
} newt__slot;

/* Objects by their last use. */
typedef struct newt__ring {
    newt__header *newest, *oldest;
    size_t n;
} newt__ring;

/* Everything in the cache is in one of the rings. */
typedef struct newt__cache {
    newt__slot *slots; /* open addressing by oid; a power of two, at least two groups */
    size_t n, cap;
    unsigned shift; /* 64 less the binary logarithm of cap */
    size_t bytes;   /* of the objects */
    newt__ring clean, changed, saved;
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
 * are taken meet one other each, not all of them. After the last group comes the next place of
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

int newt__cache_put(newt__jar *c, newt__header *h); /* frees another of the same oid */
void newt__cache_remove(newt__jar *c, int64_t oid); /* frees */
void newt__cache_clear(newt__jar *c);
void newt__cache_quicken(newt__jar *c); /* sets newt__jar.quick */
/* Used now; into the ring that its `listed` says. */
void newt__cache_touch(newt__header *h);
/* Makes an object one of the changed ones, or one of the others again; it is not saved then. */
void newt__cache_list(newt__header *h, bool changed);
void newt__cache_save(newt__header *h, uint16_t level);     /* one of the saved ones */
bool newt__cache_is_over(const newt__jar *c);               /* its limit */
newt__header *newt__cache_oldest(const newt__cache *cache); /* the one to go next, or NULL */

/* ---- changed objects outside the cache (spill.c) -------------------------------------------- */

/* Levels: what is put is of the level of the savepoint that is going to be taken, so one more than
 * there are. */
typedef struct newt__spill newt__spill;

enum {
    NEWT__MOST_SAVEPOINTS = 10000 /* within each other; also in newtdb.h */
};

/* One of them; what it points to is valid until the next call. */
typedef struct newt__spilled {
    int64_t oid, serial;
    uint8_t state;         /* CHANGED, NEW or DELETED */
    bool lossy;            /* the projection may show it only in part */
    uint16_t level;        /* at which it was put */
    const uint8_t *record; /* as it is to be written */
    size_t record_n;
    const uint8_t *old; /* as it was loaded; NULL: not kept, or new */
    size_t old_n;
} newt__spilled;

/* *s is NULL as long as there are none. A function that fails has closed the file, *s is NULL then,
 * and *e says why. */
size_t newt__spill_n(const newt__spill *s);
int newt__spill_put(newt__spill **s, const newt__spilled *x, newt_error *e); /* in place of it */
int newt__spill_drop(newt__spill **s, int64_t oid, uint16_t level,
                     newt_error *e); /* if it is there */
int newt__spill_has(newt__spill **s, int64_t oid, bool *has, newt_error *e);
/* Hands one of them to `take`; if that does not return NEWT_OK, returns its status and leaves *e
 * alone. NEWT_OK also if there is none of this oid. */
int newt__spill_get(newt__spill **s, int64_t oid, int (*take)(void *arg, const newt__spilled *x),
                    void *arg, newt_error *e);
/* As it was when what was put was of this level for the last time. */
int newt__spill_back(newt__spill **s, uint16_t level, newt_error *e);
/* Ends this level and those above: what was put at them stays, and goes back with that below. */
int newt__spill_merge(newt__spill **s, uint16_t level, newt_error *e);
/* All of them, stored ones by oid, then new ones by oid: the first after a rewind. 1: *out is the
 * next; 0: there is none; else a status. */
void newt__spill_rewind(newt__spill *s);
int newt__spill_next(newt__spill **s, newt__spilled *out, newt_error *e);
/* A note about an object, in place of the last; it goes back with the level. */
int newt__spill_note(newt__spill **s, int64_t oid, uint16_t level, const void *note, size_t n,
                     newt_error *e);
int newt__spill_noted(newt__spill **s, int64_t oid, newt__buffer *out, bool *noted, newt_error *e);
void newt__spill_clear(newt__spill **s);
void newt__spill_free(newt__spill **s);

/* ---- connections ------------------------------------------------------------------------------
 */

/* An object that was read and has to be current at commit (current.c). */
typedef struct newt__current {
    int64_t oid, serial;
} newt__current;

/* The part of a connection that the objects know; a newt_conn begins with it. */
struct newt__jar {
    newt__base base;
    const newt__slot *quick; /* those of the cache, if objects used already can be read without
                              * further checks: a transaction is open, not doomed, and not in debug
                              * mode; else NULL */
    union {
        struct {
            uint32_t epoch; /* rises with every end of a transaction */
            uint32_t tick;  /* rises while objects come in: the time by which they are old */
        };
        uint64_t now; /* both */
    };
    newt__cache cache;
    const newt__classes *classes;
    const newt_options *options;
    const newt__storage_type *storage;
    newt__session *session;
    newt__coder coder;
    newt__header *views;    /* bags of objects with a table, until the transaction's end */
    newt__spill *spill;     /* or NULL */
    uint16_t savepoints;    /* within each other */
    newt__oids as_loaded;   /* oid, level, oid, level, ...: changed back, see savepoint.c */
    newt__oids to_index;    /* asked for writing, made or deleted since indexes were put right; an
                             * oid may be there more than once */
    bool keep;              /* what is loaded keeps its record */
    newt__current *current; /* of newt_read_current, in this transaction */
    size_t n_current, cap_current;
    newt_stats stats;
    uint64_t lane_seed; /* the lanes of queues that this connection keeps to (btree/queue.c) */
    int64_t lane_conflicts, lane_us; /* when that was chosen; the last item put */
    int64_t handed, handed_bytes;    /* objects of the call to the storage under way, either way */
};

static inline newt__jar *
newt__jar_of(newt_conn *c)
{
    return (newt__jar *)(void *)c;
}
static inline newt_conn *
newt__conn_of(newt__jar *c)
{
    return (newt_conn *)(void *)c;
}

/* Of a jar whose memory is zero. */
void newt__jar_init(newt__jar *c, const newt__env *env);
void newt__jar_free(newt__jar *c);

/* ---- calls to the storage, as newt_options.trace is told of them (trace.c) ---------------------
 */

typedef struct newt__call {
    int64_t began_us, round_trips, statements;
} newt__call;

newt__call newt__call_traced(newt__jar *c);
void newt__call_tell(newt__jar *c, const newt__call *x, const char *name, const char *sql,
                     int status);

static inline newt__call
newt__call_begin(newt__jar *c)
{
    return NEWT__SELDOM(c->options->trace) ? newt__call_traced(c) : (newt__call){0};
}
/* name, sql: as newt_call has them. Returns the status. */
static inline int
newt__call_end(newt__jar *c, const newt__call *x, const char *name, const char *sql, int status)
{
    if (NEWT__SELDOM(c->options->trace))
        newt__call_tell(c, x, name, sql, status);
    return status;
}
/* An object that the storage gives, or is given. */
static inline void
newt__call_hands(newt__jar *c, size_t bytes)
{
    if (!NEWT__SELDOM(c->options->trace))
        return;
    c->handed++;
    c->handed_bytes += (int64_t)bytes;
}

/* ---- images: objects that belong to no cache (image.c) -----------------------------------------
 */

/* An object of class k from a record of that class; an older one is upgraded by its hook. */
int newt__image_make(newt__jar *c, const newt__class *k, int64_t oid, const void *record, size_t n,
                     newt__header **out, newt_error *e);
/* The struct of an object, to be recorded. */
newt__source newt__image_source(const newt__header *h);
/* The record of an object that is no bag, in c->coder.writer.buf. */
int newt__image_encode(newt__jar *c, const newt__header *h, bool strict, newt_error *e);

/* ---- records of bags (bag.c) -------------------------------------------------------------------
 */

/* A header for a record that no table takes. */
int newt__bag_load(newt__jar *c, int64_t oid, const void *record, size_t n, newt__header **out);
/* Makes the state from the record, which may be replaced then. A damaged record stays as it is. */
int newt__bag_open(newt__header *h);
int newt__bag_encode(newt__jar *c, const newt__header *h, newt_error *e);
/* What jansson takes for a value, with what malloc adds: it does not tell. */
size_t newt__json_bytes(const json_t *json);

/* ---- in debug mode (marks.c) --------------------------------------------------------------------
 */

/* NEWT_EINVAL if an object was changed without being marked; one of them, or any that this
 * transaction has used. */
int newt__mark_check(newt__header *h);
int newt__marks_check(newt__jar *c);

/* ---- what leaves the cache, and comes back (evict.c) --------------------------------------------
 */

/* Evicts what was used longest ago if the cache is over its limit: for callers that hold no pointer
 * to an object that is not pinned. Changed ones go to spill.c; failing there dooms. */
void newt__cache_sweep(newt__jar *c);
/* Whether the object can leave the cache now: it is in use by nobody, and what was changed about it
 * is kept elsewhere. */
bool newt__object_evict(newt__header *h);
/* Whether its header is needed where it is. */
bool newt__object_must_stay(const newt__header *h);
bool newt__is_spilled(newt__jar *c, int64_t oid);
/* Puts an object of the changed ones into spill.c as it is; *same: it needs not be there, for there
 * is nothing to write, and is not. The error names what cannot be recorded; failing to write dooms.
 */
int newt__object_put(newt__header *h, bool *same);
/* Makes an object from what spill.c has of it; it belongs to no cache yet. */
int newt__object_restore(newt__jar *c, const newt__spilled *x, newt__header **out);
/* Brings an object back into the cache; NEWT_OK also if it is not there. */
int newt__unspill(newt__jar *c, int64_t oid);
/* As newt__spill_next; failing dooms. */
int newt__spilled_next(newt__jar *c, newt__spilled *out);

/* ---- savepoints (savepoint.c) --------------------------------------------------------------- */

/* Keeps everything as it is now, as one savepoint more. The error names what cannot be recorded;
 * then there is no savepoint. Objects may be in the temporary file all the same, as they are. */
int newt__objects_save(newt__jar *c);
/* Makes everything as it was at a savepoint (1: the first); those after it are over. Failing dooms.
 */
int newt__objects_back(newt__jar *c, uint16_t savepoint);
/* Ends a savepoint and those after it; everything stays as it is. Failing dooms. */
int newt__objects_merge(newt__jar *c, uint16_t savepoint);

/* ---- loading (load.c)
 * ---------------------------------------------------------------------------- */

/*
 * Makes an object from a record that has just been loaded, and puts it into the cache, in the
 * place of a header of this oid that must not be pinned or changed. What is wrong with the record
 * (damaged, not as the class table says) does not fail here: the object is a broken one that keeps
 * its record, and newt_read says what is wrong. Fails only for want of memory, or with the status
 * of an upgrade hook.
 */
int newt__object_load(newt__jar *c, int64_t oid, int64_t serial, const void *record, size_t n,
                      newt__header **out);
/* Loads what is not in the cache, in one round trip (opens the snapshot if need be). */
int newt__load(newt__jar *c, const int64_t *oids, size_t n);

/* ---- objects (object.c)
 * -------------------------------------------------------------------------- */

/* The header of an object, loaded if need be; NULL: the error says why. */
newt__header *newt__object_find(newt__jar *c, newt_ref r, newt__event event);
void newt__object_use(newt__header *h); /* in this transaction */
static inline void
newt__object_pin(newt__header *h)
{
    if (NEWT__SELDOM(h->pins == UINT32_MAX))
        return; /* it stays pinned for long */
    h->pins++;
}
/* Marks it changed; the loaded record is kept from now on. */
int newt__object_change(newt__header *h);
/* Puts it among what commit looks at, after a change of its state. */
void newt__object_list(newt__header *h);
/* Adds a new object to the cache and to what commit writes. */
int newt__object_add(newt__jar *c, newt__header *h, int64_t oid);
int newt__next_oid(newt__jar *c, int64_t *oid);
/* The record of a new or changed object as it is now, in c->coder.writer.buf. The error names
 * object and field. *same (may be NULL): it is the record that was loaded, nothing needs to be
 * written. */
int newt__object_encode(newt__jar *c, newt__header *h, bool *same);
/* Whether this transaction has read, pinned or changed the object. */
bool newt__object_used(const newt__jar *c, int64_t oid);
/* Another transaction changed or removed it: forgets what is cached. An object used in this
 * transaction is left as it is (a changed one will be a conflict at commit). */
void newt__object_invalidate(newt__jar *c, int64_t oid);
/* The end of a transaction: what was changed is discarded. Committed: headers that are `written`
 * take the serial. Aborted: what was new, changed or deleted is a ghost again. */
void newt__objects_committed(newt__jar *c, int64_t serial);
void newt__objects_aborted(newt__jar *c);

/* ---- what must be current (current.c)
 * ------------------------------------------------------------ */

/* Whether the i-th of them is only read: what is written is compared when it is. */
bool newt__current_only_read(newt__jar *c, size_t i);

/* ---- setters (setter.c)
 * --------------------------------------------------------------------------- */

/* Looks up the field (of the object's class or of a struct inside it) whose value or array is at p;
 * NULL: p is none of this object's. */
const newt__field *newt__field_at(const newt__header *h, const void *p);
/* The header of an object (a bag or not) that may be changed now; p: what is to be changed. NULL:
 * it has been refused; newt__not_writable gives the status. */
newt__header *newt__writable(newt_object *o, const void *p, bool bag);
int newt__not_writable(const newt_object *o);
/* Room for `extra` more items of an array of h, not in use yet; false: refused. */
bool newt__array_room(newt__header *h, newt__array_layout *a, size_t item_size, size_t extra);
/* What the value at p, of this kind, has elsewhere is copied to h's memory; false: there is none
 * (merge.c). */
bool newt__value_take(newt__header *h, const newt__field *f, uint8_t kind, void *p);
/* A setter's failure: recorded, and the transaction doomed. */
int newt__refuse(newt__header *h, int status, const void *p, const char *reason);
int newt__refuse_fault(newt__header *h, const void *p, const newt__fault *fault);
/* The same of JSON text: fault->offset is in it. key: the field of a bag, or NULL. */
int newt__refuse_json(newt__header *h, const void *p, const char *key, const char *text,
                      const newt__fault *fault);

/* ---- the library's own classes (builtin.c)
 * --------------------------------------------------------- */

/* newt.Root: the named roots, a struct newt_map; oid 1. */
extern const newt_class newt__root_class;
/* newt.Count: a struct newt_length that has no JSONB, for what is counted by the library. */
extern const newt_class newt__count_class;

/* Resolvers of maps and sets (merge_keys.c). */
int newt__merge_map(const void *old, const void *committed, void *ours, void *arg);
int newt__merge_set(const void *old, const void *committed, void *ours, void *arg);

/* ---- the projection of an object (reshape.c)
 * ------------------------------------------------------- */

/* The JSON text of an object for the projection, from its record (and to_json of its class),
 * appended to out; *hidden: no row. rejects: as newt__record_project has them. */
int newt__object_project(newt__jar *c, int64_t oid, const void *record, size_t n, newt__buffer *out,
                         bool *hidden, json_t *rejects);

#endif
