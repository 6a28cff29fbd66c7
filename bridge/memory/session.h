/*
 * session.h - a session with a store in memory (session.c, commit.c, feed.c, follow.c)
 */
#ifndef NEWT_MEMORY_SESSION_H
#define NEWT_MEMORY_SESSION_H

#include "heap.h"

#include <time.h>

struct newt__storage {
    newt__heap *heap;
    bool named; /* shared with others, who have its name */
    const newt__process *process;
};

struct newt__session {
    newt__storage *storage;
    newt__heap *heap;
    newt__opened *opened;
    void *opened_arg;
    newt__position position; /* where the cache stands */
    int64_t told;            /* the last transaction that was told of */
    bool wanted;             /* a snapshot is to be opened */
    newt__view view;
    int64_t turns[NEWT__MOST_TURNS]; /* to wait for */
    size_t n_turns;
    int patience_ms;
    bool has_turns;
    int64_t next_oid, end_oid;
    int64_t *oids; /* of the last changes */
    int64_t *scan; /* oids of a scan under way, in order */
    size_t n_scan;
    int64_t scan_tid;             /* the last transaction when they were listed */
    int64_t scan_from, scan_upto; /* where the last part began, and what it ended with */
};

/* Lists what was committed after the session's position; the lock is held. */
int newt__list_changes(newt__session *x, newt__changes *out, newt_error *e);
/* The end of a wait, on the monotonic clock. */
struct timespec newt__after_ms(int ms);

/* The functions of the table; see storage.h. */

newt__session *newt__memory_connect(newt__storage *s, newt__opened *opened, void *arg,
                                    newt_stats *stats);
void newt__memory_end(newt__session *x);
void newt__memory_disconnect(newt__session *x);
void newt__memory_tell(newt__session *x, newt__opened *opened, void *arg);
int newt__memory_ready(newt__session *x, int64_t idle_us, newt_error *e);
bool newt__memory_alive(const newt__session *x);
void newt__memory_abandon(newt__session *x);
void newt__memory_begin(newt__session *x, newt__position position);
void newt__memory_ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms);
int newt__memory_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take,
                      void *arg, newt_error *e);
int newt__memory_walk(newt__session *x, const int64_t *roots, size_t n,
                      const newt_walk_options *options, newt__take_record *take, void *arg,
                      newt_error *e);
int newt__memory_next_oid(newt__session *x, int64_t *oid, newt_error *e);

newt__outcome newt__memory_commit(newt__session *x, const newt__writes *w, newt__committed *out,
                                  newt_error *e);
extern const newt__feed_type newt__memory_feed_type;

/* The functions of that table which follow.c has. */

int newt__memory_scan(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
                      newt_error *e);
int newt__memory_look(newt__session *x, const int64_t *oids, size_t n, newt__extent extent,
                      int64_t bytes, newt__take_record *take, void *arg, newt_error *e);
int newt__memory_follower(newt__session *x, const char *name, const char *kind, newt__standing *out,
                          bool *found, newt_error *e);
int newt__memory_claim(newt__session *x, const char *name, bool *mine, newt_error *e);
void newt__memory_release(newt__session *x, const char *name);
/* All names that the session holds. */
void newt__memory_unclaim(newt__session *x);
int newt__memory_move(newt__session *x, const char *name, const char *kind,
                      const newt__standing *from, const newt__standing *to, newt_error *e);
int newt__memory_forget(newt__session *x, const char *name, newt_error *e);
int newt__memory_registered(newt__session *x, newt__take_registered *take, void *arg,
                            newt_error *e);

#endif
