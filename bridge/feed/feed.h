/*
 * feed.h - what the files of this room share: a feed, from the storage to batches
 *
 * Transactions are fetched from the storage into a queue (queue.c), as far ahead as one batch
 * needs; a batch (batch.c) is made of the first of them, with what there is to know of their
 * objects. position.c knows where the follower stands.
 */
#ifndef NEWT_FEED_H
#define NEWT_FEED_H

#include "../feed_storage.h"
#include "../transaction/transaction.h"

/* Transactions that have been fetched and not been handed out. */
typedef struct newt__fetched {
    newt_event *events;
    size_t next, n, cap; /* from `next` on they are to be handed out */
    newt_feed_transaction *transactions;
    size_t next_transaction, n_transactions, cap_transactions;
} newt__fetched;

/* The objects of a batch under construction. */
typedef struct newt__looked {
    size_t *order; /* places of its events, by oid and place */
    size_t cap;
    newt__buffer texts;          /* records and JSON */
    size_t *record_at, *json_at; /* where there, for each event */
    int64_t bytes;               /* of records and JSON so far */
    size_t average;              /* bytes of a record, as far as was seen */
} newt__looked;

struct newt_feed {
    newt_conn *c;
    newt_feed_options o; /* its pointers are not used; see what follows */
    char *follower, *kind;
    char **classes;
    size_t n_classes;
    int64_t *objects; /* by oid */
    newt__position token;
    bool given; /* the token was */
    bool alone; /* nobody else may follow under the name, while this feed is open */

    bool positioned; /* what follows is known */
    bool stands;     /* `committed` is what the store has */
    newt__standing committed;
    newt__standing handed; /* after the last batch; within a transaction: before that */
    newt__cursor cursor;   /* after what has been fetched */
    bool copying;          /* objects after handed.copied are next */
    bool within;           /* the last batch ended in the middle of a transaction */
    bool ended;
    int64_t until;

    newt__fetched fetched;
    newt__looked looked;
    newt_batch batch;
    newt_feed_transaction *transactions; /* of the batch */
    size_t cap_transactions;
    int64_t *oids; /* of the batch, in order, each once */
    size_t n_oids, cap_oids;
    const char *class_name; /* of the object looked at last; interned */
    char token_text[2][64]; /* of the batch, and as committed */

    int fd; /* a timer; -1: not asked for */
    int64_t pause_us;
    int holder; /* of the commit lock, when it was last looked for */
    int64_t holder_since_us;
    int64_t look_at_us; /* not before */
    bool holder_told;
};

/* ---- the queue (queue.c) ------------------------------------------------------------------ */

/* Fetches the next transactions, as many as a batch has. What has been handed out is gone. */
int newt__feed_fetch(newt_feed *f, newt_error *e);
void newt__feed_discard(newt_feed *f);
/* Whether objects of this class are wanted; n 0: it is not known. */
bool newt__feed_wants_class(const newt_feed *f, const char *name, size_t n);
/* Whether nothing is to be known of objects but their oids. */
static inline bool
newt__feed_is_blind(const newt_feed *f)
{
    return (f->o.want & NEWT_FEED_OIDS) && f->n_classes == 0;
}
bool newt__feed_wants_object(const newt_feed *f, int64_t oid);
/* Room for n events, and as many things about them; false: no memory. */
bool newt__feed_reserve(newt_feed *f, size_t n);

/* ---- batches (batch.c) -------------------------------------------------------------------- */

/* Makes a batch of what has been fetched, or of the next objects of a copy. */
int newt__feed_batch(newt_feed *f, newt_error *e);
int newt__feed_copy(newt_feed *f, newt_error *e);
void newt__feed_batch_free(newt_feed *f);

/* ---- positions (position.c) ------------------------------------------------------------------ */

/* Makes sure that nobody else follows under the name; NEWT_ECONFLICT: somebody does. */
int newt__feed_claim(newt_feed *f, newt_error *e);
/* Whether statements of the program's wait to be committed. */
static inline bool
newt__feed_executes(const newt_feed *f)
{
    return f->c->writer == f;
}
/* Finds out where the feed begins. */
int newt__feed_position(newt_feed *f, newt_error *e);
/* Whoever goes on begins again after the last commit. */
void newt__feed_lose(newt_feed *f);
void newt__token_write(char *to, size_t n, newt__position at);
bool newt__token_read(const char *text, newt__position *out);

/* The error becomes the connection's; returns its status. */
static inline int
newt__feed_fail(newt_conn *c, newt_error *e)
{
    return newt__base_fail_with(&c->jar.base, e);
}

#endif
