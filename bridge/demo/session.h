/*
 * session.h - a session with two storages, and what the files of this room share
 */
#ifndef NEWT_DEMO_SESSION_H
#define NEWT_DEMO_SESSION_H

#include "../feed_storage.h"
#include "demo.h"

/*
 * A serial of the changes is told with the number of the layer in its highest bits, so that it is
 * never the same as one of the base; one of the base is told as it is.
 */
enum {
    NEWT__SERIAL_BITS = 53
};

/* Oids. What is new takes them at random, from NEWT__FIRST_LAYER_OID up to twice that: no sequence
 * of a store comes there, and doubles still hold them exactly, for those who read JSON. Those of
 * our own records are above all others. */
#define NEWT__FIRST_LISTS_OID (INT64_C(1) << 62)

struct newt__storage {
    newt__side base, changes;
    const newt__process *process;
    int64_t layer; /* how many storages are below the changes: the number in serials */
    pthread_mutex_t lock;
    int64_t base_tid; /* the newest transaction of the base that a session has seen */
};

/* What one of the two has told of its snapshot. */
typedef struct newt__heard {
    newt__changes said; /* without its oids */
    newt__oids oids;
} newt__heard;

struct newt__session {
    newt__storage *storage;
    newt__session *base, *changes;
    newt__opened *opened;
    void *opened_arg;
    newt_error why; /* of a callback of ours, which has failed */
    /* What was told last, and taken. Others know it by the tid of the changes and a number that no
     * other place of this session has: a tid alone says nothing about the base. */
    struct {
        newt__position base, changes;
        int64_t number;
    } at;
    int64_t base_us; /* when the base was asked last */
    bool wanted;     /* both snapshots are to be opened, and then told of */
    bool known;      /* where the cache stands is `at` */
    newt__heard of_base, of_changes;
    newt__oids list; /* as told */
    int64_t next_oid, end_oid;
};

/* Whether the record is one of ours, where an object was removed. */
bool newt__is_tombstone(const newt__found *found);
/* Whether a record of the changes is an object; else there is none, whatever the base has. */
bool newt__is_object(const newt__found *found);
/* Whether the changes have it, or the base is to be asked: a root that nobody has changed there. */
static inline bool
newt__is_first_root(const newt__found *found)
{
    return found->oid == NEWT__ROOT && found->serial == NEWT__FIRST_SERIAL;
}

/* A serial of the changes as it is told; 0: it is too large. */
static inline int64_t
newt__told_serial(const newt__storage *s, int64_t serial)
{
    return serial >> NEWT__SERIAL_BITS == 0 ? s->layer << NEWT__SERIAL_BITS | serial : 0;
}

/* Whether an object was read from the changes; *serial: that it has there. */
static inline bool
newt__is_of_changes(const newt__storage *s, int64_t told, int64_t *serial)
{
    *serial = told & ((INT64_C(1) << NEWT__SERIAL_BITS) - 1);
    return told >> NEWT__SERIAL_BITS == s->layer;
}

/* The number of a transaction of the changes, as it is told, in a position of theirs; and back: of
 * one that is not theirs there is none like it. */
static inline newt__position
newt__told_position(const newt__storage *s, newt__position at)
{
    if (at.serial != 0)
        at.serial = newt__told_serial(s, at.serial);
    return at;
}

static inline newt__position
newt__own_position(const newt__storage *s, newt__position at)
{
    int64_t own;

    if (at.serial != 0)
        at.serial = newt__is_of_changes(s, at.serial, &own) ? own : -1;
    return at;
}

int newt__serial_too_large(newt_error *e);

/* The functions of the table; see storage.h. */

newt__session *newt__demo_connect(newt__storage *s, newt__opened *opened, void *arg,
                                  newt_stats *stats);
void newt__demo_disconnect(newt__session *x);
void newt__demo_tell(newt__session *x, newt__opened *opened, void *arg);
int newt__demo_ready(newt__session *x, int64_t idle_us, newt_error *e);
bool newt__demo_alive(const newt__session *x);
void newt__demo_abandon(newt__session *x);
void newt__demo_begin(newt__session *x, newt__position position);
void newt__demo_ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms);
void newt__demo_end(newt__session *x);
int newt__demo_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take,
                    void *arg, newt_error *e);
int newt__demo_walk(newt__session *x, const int64_t *roots, size_t n,
                    const newt_walk_options *options, newt__take_record *take, void *arg,
                    newt_error *e);
int newt__demo_query(newt__session *x, const newt__query *q, bool *over, newt_error *e);
int newt__demo_next_oid(newt__session *x, int64_t *oid, newt_error *e);
newt__outcome newt__demo_commit(newt__session *x, const newt__writes *w, newt__committed *out,
                                newt_error *e);
extern const newt__feed_type newt__demo_feed_type;

/* The end of a call of one of the two: the error of our own callback, if that has failed. */
int newt__demo_ended(newt__session *x, int status, newt_error *e);
/* Opens the base's snapshot anew, outside of the one that was told of. */
void newt__demo_renew_base(newt__session *x);
/* What was heard of the base is where the session stands now. */
void newt__demo_stand(newt__session *x, newt__position changes, bool base);
/* Whether this is the place that was told last. */
bool newt__demo_knows(const newt__session *x, newt__position position);
/* Objects that the changes have are left out of a list that the base has told. */
int newt__demo_hide(newt__session *x, newt__oids *l, newt_error *e);

/* ---- records of ours (record.c) ------------------------------------------------------------- */

/* In the place of an object that was removed. */
newt__code newt__tombstone_write(newt__writer *w, const char *class_name, size_t n);
const char *newt__tombstone_class(const newt__found *found, size_t *n);

/* Pairs of an oid and its serial in the base. */
newt__code newt__pairs_write(newt__writer *w, const int64_t *pairs, size_t n);
/* How many pairs the record has; add gets each. False: no memory, which add has said. */
bool newt__pairs_read(const newt__found *found, bool (*add)(void *arg, int64_t oid, int64_t serial),
                      void *arg);

#endif
