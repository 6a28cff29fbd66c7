/*
 * session.h - a store in SQLite and a session with it
 */
#ifndef NEWT_SQLITE_SESSION_H
#define NEWT_SQLITE_SESSION_H

#include "../feed_storage.h"
#include "file.h"

struct newt__storage {
    newt__where where;
    const newt_options *options;
    const newt__process *process;
    pthread_mutex_t lock; /* guards what follows */
    newt__file numbers;   /* takes blocks of oids, whatever the sessions are at */
    int64_t next_oid, end_oid;
};

struct newt__session {
    newt__storage *storage;
    newt__file file;
    newt__opened *opened;
    void *opened_arg;
    newt__position position; /* where the cache stands */
    bool within;             /* a transaction has begun */
    bool wanted;             /* a snapshot is to be opened */
    bool reading;            /* one is open */
    bool writing;            /* a transaction of a follower's is open */
    newt__oids others;       /* of the last changes */
    int64_t retried;         /* of refused objects, up to this one */
    int wal;                 /* the descriptor whose locks are the claims; -1: none */
};

/* ---- lists of oids (oids.c) --------------------------------------------------------------- */

/* Appends those of a column, "[1,2]" or null. */
int newt__oids_take(newt__oids *list, const newt__file *f, sqlite3_stmt *s, int column,
                    newt_error *e);
/* Appends the first column of each row of s, whose parameters are bound, and resets s. */
int newt__oids_list(newt__oids *list, newt__file *f, sqlite3_stmt *s, newt_error *e);

/* ---- the row of a transaction (log.c) ------------------------------------------------------- */

/* A list in JSON that grows. */
typedef struct newt__list {
    newt__buffer text;
    size_t n;
} newt__list;

/* A transaction, as it is being recorded. Zero-initialise. */
typedef struct newt__log {
    newt__file *file;
    int64_t serial, parts;
    newt__list written, removed, classes;
} newt__log;

void newt__log_begin(newt__log *l, newt__file *f, int64_t serial);
int newt__log_add(newt__log *l, int64_t oid, bool removed, const void *class_name, size_t n,
                  newt_error *e);
/* Of t all counts but its objects. */
int newt__log_end(newt__log *l, const newt__transaction *t, newt_error *e);
void newt__log_free(newt__log *l);

/* ---- rows of the projection (row.c) ---------------------------------------------------------- */

typedef struct newt__row {
    int64_t oid, serial;
    const char *class_name, *json;
    size_t class_n, json_n; /* json_n 0: there is to be none */
    const json_t *rejects;  /* or NULL */
} newt__row;

/* Writes the row, or removes it, and enters its rejects: those that are there are the caller's to
 * remove. What an index refuses is an error that names the object. */
int newt__row_write(newt__file *f, const newt__row *r, newt_error *e);
/* Whether there is any entry: as a rule there is none, and nothing to be removed. */
int newt__rejects_found(newt__file *f, bool *out, newt_error *e);
int newt__rejects_remove(newt__file *f, int64_t oid, newt_error *e);
/* n 0: the whole row was refused, and why says so. */
int newt__reject_write(newt__file *f, const newt__row *r, int64_t n, const char *path,
                       const char *reason, const newt_error *why, newt_error *e);

/* ---- snapshots (session.c) ---------------------------------------------------------------- */

newt__session *newt__sqlite_connect(newt__storage *s, newt__opened *opened, void *arg,
                                    newt_stats *stats);
void newt__sqlite_disconnect(newt__session *x);
void newt__sqlite_tell(newt__session *x, newt__opened *opened, void *arg);
int newt__sqlite_ready(newt__session *x, int64_t idle_us, newt_error *e);
bool newt__sqlite_alive(const newt__session *x);
void newt__sqlite_abandon(newt__session *x);
void newt__sqlite_begin(newt__session *x, newt__position position);
void newt__sqlite_end(newt__session *x);
int newt__sqlite_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take,
                      void *arg, newt_error *e);
int newt__sqlite_next_oid(newt__session *x, int64_t *oid, newt_error *e);
void newt__snapshot_close(newt__session *x);
/* Opens the snapshot, if it is not yet. */
int newt__snapshot_open(newt__session *x, newt_error *e);
/* What was committed after a position, as seen by the transaction that is open; out->oids are in
 * x->others. */
int newt__changes_list(newt__session *x, newt__position after, newt__changes *out, newt_error *e);
/* Blocks of oids that were taken are not used any more. */
void newt__numbers_forget(newt__storage *s);
int newt__newest_find(newt__session *x, newt__position *out, newt_error *e);

/* ---- retention (upkeep.c) ------------------------------------------------------------------ */

/* Removes the oldest transactions that need not be kept, in the transaction that is open. */
int newt__prune_within(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e);

/* ---- statements of the program's (program.c) ---------------------------------------------- */

/* One statement with its parameters, which must stay as they are; to be finalized, and ended by
 * newt__program_done. as: not NEWT__OURS. */
int newt__program_prepare(newt__session *x, const char *sql, int n, const char *const *params,
                          newt__judging as, sqlite3_stmt **out, newt_error *e);
void newt__program_done(newt__session *x, sqlite3_stmt *s);

/* ---- names of those who follow (claims.c) --------------------------------------------------- */

/* *mine: false if another session has it. */
int newt__claim(newt__session *x, const char *name, bool *mine, newt_error *e);
void newt__claim_end(newt__session *x, const char *name);
/* Of all names. ours: false in a child, to whose parent they belong. */
void newt__claims_end(newt__session *x, bool ours);

/* ---- the functions of the tables that are elsewhere --------------------------------------- */

newt__outcome newt__sqlite_commit(newt__session *x, const newt__writes *w, newt__committed *out,
                                  newt_error *e);
int newt__sqlite_query(newt__session *x, const newt__query *q, bool *over, newt_error *e);
int newt__sqlite_index(newt__session *x, const newt__index *index, newt_error *e);
int newt__sqlite_classes(newt__session *x, const newt__registered *list, size_t n,
                         newt__take_class *take, void *arg, newt_error *e);
int newt__sqlite_register(newt__session *x, const newt__registered *list, size_t n,
                          newt__take_class *take, void *arg, newt_error *e);

int newt__sqlite_next(newt__session *x, newt__cursor *c, int64_t objects,
                      newt__take_transaction *take, void *arg, newt_error *e);
int newt__sqlite_wait(newt__session *x, newt__position after, int at_most_ms, newt_error *e);
int newt__sqlite_origin(newt__session *x, int64_t serial, newt__take_transaction *take, void *arg,
                        newt_error *e);
int newt__sqlite_newest(newt__session *x, newt__position *out, newt_error *e);
int newt__sqlite_scan(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg,
                      newt_error *e);
int newt__sqlite_look(newt__session *x, const int64_t *oids, size_t n, newt__extent extent,
                      int64_t bytes, newt__take_record *take, void *arg, newt_error *e);
int newt__sqlite_barrier(newt__session *x, newt_error *e);
int newt__sqlite_follower(newt__session *x, const char *name, const char *kind, newt__standing *out,
                          bool *found, newt_error *e);
int newt__sqlite_claim(newt__session *x, const char *name, bool *mine, newt_error *e);
void newt__sqlite_release(newt__session *x, const char *name);
int newt__sqlite_move(newt__session *x, const char *name, const char *kind,
                      const newt__standing *from, const newt__standing *to, newt_error *e);
int newt__sqlite_forget(newt__session *x, const char *name, newt_error *e);
int newt__sqlite_execute(newt__session *x, const char *name, const newt__standing *from,
                         const char *sql, int n, const char *const *params, newt_error *e);
void newt__sqlite_undo(newt__session *x);
int newt__sqlite_prune(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e);
int newt__sqlite_health(newt__session *x, const char *follower, newt_health *out, newt_error *e);
int newt__sqlite_registered(newt__session *x, newt__take_registered *take, void *arg,
                            newt_error *e);
int newt__sqlite_import(newt__session *x, const newt__import *what, newt_error *e);
int newt__sqlite_project(newt__session *x, const newt__part *part, newt_progress *out,
                         newt_error *e);
int newt__sqlite_retry(newt__session *x, bool early, int64_t max_objects, newt_progress *out,
                       newt_error *e);
int newt__sqlite_sweep(newt__session *x, newt_sweep *s, newt_error *e);
/* Whether a follower stands there; NEWT_ECONFLICT: it does not. In the transaction that is open. */
int newt__follower_stands(newt__session *x, const char *name, const newt__standing *from,
                          newt_error *e);
int newt__sqlite_projected(newt__session *x, int64_t *tid, bool *any, newt_error *e);

#endif
