/*
 * batch.h - what a commit writes, a batch at a time: between batch.c, commit.c, clash.c and
 * refused.c
 */
#ifndef NEWT_BATCH_H
#define NEWT_BATCH_H

#include "session.h"

/* Who writes the row of an object. */
typedef enum newt__row {
    NEWT__ROW_NONE,   /* hidden: there is no row */
    NEWT__ROW_ASYNC,  /* newt-updater */
    NEWT__ROW_CLIENT, /* this library, as JSON text */
    NEWT__ROW_SERVER  /* this library, through newt.to_jsonb */
} newt__row;

/* An object to be written or removed. */
typedef struct newt__entry {
    int64_t oid, serial;
    size_t at, n; /* its record in the batch; if it is removed, its class */
    uint8_t what; /* of newt__change */
    uint8_t row;
    bool lossy;        /* its projection may show it only in part */
    bool wants_record; /* of newt__change */
    bool projected;    /* by the statement that writes its record */
} newt__entry;

/* The statements of a batch that write rows of the projection, in the order in which they run. */
typedef enum newt__step {
    NEWT__STEP_UPDATE, /* with the record */
    NEWT__STEP_DELETE,
    NEWT__STEP_INSERT, /* with the record */
    NEWT__STEP_SERVER,
    NEWT__STEP_CLIENT,
    NEWT__STEP_CLIENT_NEW,
    NEWT__STEP_UNPROJECT,
    NEWT__N_STEPS
} newt__step;

typedef struct newt__batch {
    newt__session *c;
    const newt__writes *writes;
    /* stored ones by oid, changed and removed; then the new ones by oid */
    newt__entry *entries;
    size_t n, cap, n_stored, n_removed;
    size_t made; /* batches since it began */
    bool last;   /* of this commit */
    newt__buffer records, json;
    newt__array oids, serials, values; /* parameters under construction */
    json_t *rejects;
    /* not 0: what writes all objects of the commit may also give the transaction its row, with
     * this nonce; then it is set to 0. Or it may be all of the commit. */
    int64_t nonce;
    bool alone, answers; /* answers: and is to tell what others have committed */
} newt__batch;

/* Begins with the first of all changes, as often as it is called. */
int newt__batch_begin(newt__batch *b, newt__session *c, const newt__writes *writes);
/* Fills the next batch; n == 0: there is nothing more. A status without an error of the session's
 * is that of a callback. */
int newt__batch_next(newt__batch *b);
/* Whether one statement can write it, and be all of its commit. */
bool newt__batch_is_one_statement(const newt__batch *b);
/* Sends the statements that write it. */
int newt__batch_send(newt__batch *b, int64_t serial);
/* Which of the statements last sent writes the row of an entry. */
newt__step newt__batch_step(const newt__batch *b, size_t i);
/* Sends them for one of its entries alone, in the same way. */
int newt__batch_send_one(newt__batch *b, size_t i, int64_t serial);
/* The class of an entry that is not removed, in its record: not terminated, n bytes. */
const char *newt__batch_class(const newt__batch *b, size_t i, size_t *n);
/* Whether an entry is removed. */
bool newt__batch_removes(const newt__batch *b, size_t i);
/* The oids of entries [from, to), those written and those removed, as the next two parameters;
 * valid until the next call. */
void newt__batch_oids(newt__batch *b, size_t from, size_t to, newt__params *p);
/* The classes of those removed, in the order of their oids, as the next parameter; the same. */
void newt__batch_removed_classes(newt__batch *b, size_t from, size_t to, newt__params *p);
void newt__batch_free(newt__batch *b);
/* The server has refused a row of this commit, which is *e: adds which object it was to *e, if that
 * can be found out. On the way the batch is made again, and the server's transaction is rolled back
 * (refused.c). */
void newt__refused(newt__batch *b, int64_t serial, newt_error *e);
/* A comparison has failed: rolls back, and calls writes->clash for what others have changed or
 * removed (clash.c). */
int newt__clashes(newt__batch *b);

#endif
