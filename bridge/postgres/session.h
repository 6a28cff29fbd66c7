/*
 * session.h - what the files of this room share: a session, its statements, exchanges of them
 *
 * A connection is in pipeline mode all its life. An exchange queues statements and
 * syncs, and only then takes their results, in order; libpq sends nothing of its own before. The
 * first failure is kept in the exchange and makes everything after it do nothing, so that
 * sending needs no checks: newt__take gives NULL, and newt__talk_end says why.
 *
 *     newt__talk_begin(c);
 *     newt__send(c, NEWT__S_LOAD, &params);
 *     newt__sync(c);
 *     result = newt__take(c);      waits: one round trip for everything sent so far
 *     newt__take_sync(c);
 *     return newt__talk_end(c);
 *
 * What is sent with newt__forget is not waited for: its results are passed over when the next
 * exchange takes its own.
 *
 * With newt_options.transaction_pooling nothing is left in the server's session, which may be
 * another one in the next transaction: nothing is prepared, and a BEGIN brings the settings along
 * for its transaction, unseen by the function that takes results.
 */
#ifndef NEWT_SESSION_H
#define NEWT_SESSION_H

#include "../record/record.h"
#include "../feed_storage.h"
#include "sqlstate.h"

enum {
    NEWT__STORE_VERSION = 1,
    NEWT__OID_INT8 = 20, /* pg_type.oid of what we send and ask about; they never change */
    NEWT__OID_INT2 = 21,
    NEWT__OID_INT4 = 23,
    NEWT__OID_TEXT = 25,
    NEWT__OID_BYTEA = 17,
    NEWT__OID_JSONB = 3802,
    NEWT__MAX_PARAMS = 9,
    /* of one parameter, and of all of a statement: the server's limit on a message is 1 GiB */
    NEWT__LONGEST_MESSAGE = 1000 * 1000 * 1000
};

/* ---- statements (statements.c) -------------------------------------------------------------- */

/* Every statement of the library; its SQL is in statements.c. */
typedef enum newt__statement {
    NEWT__S_BEGIN_READ,
    NEWT__S_BEGIN_WRITE,
    NEWT__S_SETTINGS,
    NEWT__S_BY_INDEX,
    NEWT__S_LOOK,
    NEWT__S_VERSION,
    NEWT__S_STORE,
    NEWT__S_LIFE,
    NEWT__S_NEW_LIFE,
    NEWT__S_COMMIT,
    NEWT__S_ROLLBACK,
    NEWT__S_SAVEPOINT,
    NEWT__S_ROLLBACK_TO,
    NEWT__S_RELEASE,
    NEWT__S_CONSTRAINTS,
    NEWT__S_USER_PLANS,
    NEWT__S_CHANGES,
    NEWT__S_NEWEST,
    NEWT__S_OWN,
    NEWT__S_COMMITTED,
    NEWT__S_BARRIER,
    NEWT__S_BLOCKS,
    NEWT__S_LOAD,
    NEWT__S_WALK,
    NEWT__S_CONFLICTS,
    NEWT__S_QUEUE,
    NEWT__S_LAST_TURN,
    NEWT__S_TURN_OVER,
    NEWT__S_UPDATE_ONE,
    NEWT__S_UPDATE_ONE_CLIENT,
    NEWT__S_UPDATE_ONE_SERVER,
    NEWT__S_WRITE,
    NEWT__S_WRITE_AT_COMMIT,
    NEWT__S_WRITE_AND_COMMIT,
    NEWT__S_UPDATE_MANY,
    NEWT__S_UPDATE_MANY_SERVER,
    NEWT__S_DELETE_MANY,
    NEWT__S_INSERT_MANY,
    NEWT__S_INSERT_MANY_SERVER,
    NEWT__S_PROJECT_NEW,
    NEWT__S_PROJECT_CLIENT,
    NEWT__S_PROJECT_SERVER,
    NEWT__S_UNPROJECT,
    NEWT__S_REJECTS,
    NEWT__S_TRANSACTION_OBJECT,
    NEWT__S_PATIENCE,
    NEWT__S_LOCK,
    NEWT__S_CURRENT,
    NEWT__S_TRANSACTION,
    NEWT__S_TRANSACTION_DESCRIBED,
    NEWT__S_AT_COMMIT,
    NEWT__S_NONCE,
    NEWT__S_ORIGIN,
    NEWT__S_PREPARED,
    NEWT__S_IS_RUNNING,
    NEWT__S_REGISTERED,
    NEWT__S_IMPORT_FIRST,
    NEWT__S_IMPORT_OBJECTS,
    NEWT__S_IMPORT_GAP,
    NEWT__S_IMPORT_TRANSACTION,
    NEWT__S_IMPORT_PART,
    NEWT__S_IMPORT_NUMBERS,
    NEWT__S_CLASSES,
    NEWT__S_REGISTER,
    NEWT__S_FEED,
    NEWT__S_FEED_PART,
    NEWT__S_FEED_ENDS,
    NEWT__S_FEED_SCAN,
    NEWT__S_FEED_LOOK,
    NEWT__S_FEED_HEADS,
    NEWT__S_COUNT,
    NEWT__S_HOLDER,
    NEWT__S_FOLLOWER,
    NEWT__S_CLAIM,
    NEWT__S_RELEASE_CLAIM,
    NEWT__S_FOLLOW_UNTIMED,
    NEWT__S_FOLLOW_MOVE,
    NEWT__S_FOLLOW_NEW,
    NEWT__S_FOLLOW_HOLD,
    NEWT__S_FOLLOW_HOLD_ALONE,
    NEWT__S_FOLLOW_FORGET,
    NEWT__S_FOLLOW_CLASSES,
    NEWT__S_FOLLOW_ORPHANS,
    NEWT__S_FOLLOW_SERVER,
    NEWT__S_FOLLOW_NEW_ROWS,
    NEWT__S_FOLLOW_READ,
    NEWT__S_FOLLOW_WRITE,
    NEWT__S_FOLLOW_REFUSE,
    NEWT__S_FOLLOW_REFUSED,
    NEWT__S_SWEEP_READ,
    NEWT__S_CHECK_SERVER,
    NEWT__S_CHECK_HERE,
    NEWT__S_REPROJECTION,
    NEWT__S_REPROJECT_BEGIN,
    NEWT__S_REPROJECT_SERVER,
    NEWT__S_REPROJECT_HERE,
    NEWT__S_REPROJECT_MOVE,
    NEWT__S_REPROJECT_SWAP,
    NEWT__S_PROJECTED,
    NEWT__S_PRUNE,
    NEWT__S_HEALTH,
    NEWT__N_STATEMENTS
} newt__statement;

/* With marks for what sql.c puts in: the quoted schema (@store@), the schema within a string with
 * escapes (@literal@), and this. */
#define NEWT__INCARNATION "@incarnation@"
extern const char *const newt__statements[NEWT__N_STATEMENTS];

/* The statements with the store's quoted schema in them (sql.c). */
struct newt__sql {
    char *text[2][NEWT__N_STATEMENTS]; /* for a primary, and for a standby */
    char name[NEWT__N_STATEMENTS][12]; /* as prepared */
    char *schema;                      /* quoted */
    char *oid_sequence;                /* qualified and quoted, for nextval */
    char *serial_sequence;
};
struct newt__sql *newt__sql_new(PGconn *pg, const char *schema); /* NULL: no memory */
/* text with every @store@ replaced by the quoted schema; malloc'ed, NULL: no memory */
char *newt__sql_expand(const char *text, const char *schema);
void newt__sql_free(struct newt__sql *sql);

/* ---- parameters: binary, in the order of $1, $2, ... (params.c) ------------------------------ */

typedef struct newt__params {
    int n;
    int failed; /* NEWT_ELIMIT: a value too long; NEWT_ENOMEM */
    size_t total;
    const char *values[NEWT__MAX_PARAMS];
    int lengths[NEWT__MAX_PARAMS];
    uint8_t small[NEWT__MAX_PARAMS][8];
} newt__params;

/* An array of one dimension being built in PostgreSQL's binary form. Zero-initialise with buf.env
 * set; newt__array_begin starts afresh and keeps the memory. */
typedef struct newt__array {
    newt__buffer buf;
    uint32_t n;
    int failed; /* as of parameters */
} newt__array;

void newt__array_begin(newt__array *a, uint32_t element_type);
void newt__array_int(newt__array *a, int64_t x);
void newt__array_int4(newt__array *a, int32_t x);
void newt__array_bytes(newt__array *a, const void *p, size_t n); /* bytea and text */
void newt__array_json(newt__array *a, const void *p, size_t n);  /* jsonb, from its text */
void newt__array_null(newt__array *a);
/* Takes the array of a field as it is: it has been begun with the same type of elements. */
void newt__array_copy(newt__array *a, const PGresult *r, int row, int column);
/* Whether this is one of its elements, none of which is null: bytea and text. */
bool newt__array_has(const newt__array *a, const void *p, size_t n);

/* Values are borrowed until they have been sent. */
void newt__param_int(newt__params *p, int64_t x);
void newt__param_bytes(newt__params *p, const void *s, size_t n); /* NULL: null; bytea and text */
void newt__param_text(newt__params *p, const char *s);            /* NULL: null */
void newt__param_array(newt__params *p, newt__array *a);

/* Fields of binary results. A field that is null or of another size gives 0. */
int64_t newt__field_int(const PGresult *r, int row, int column);
bool newt__field_bool(const PGresult *r, int row, int column);
/* Adds the elements of a bigint[] to the list; false: it is not one. */
bool newt__field_oids(const PGresult *r, int row, int column, newt__oids *l);
/* Appends the elements of a text[], each with a NUL after it; false: no memory. */
bool newt__field_texts(const PGresult *r, int row, int column, newt__buffer *out);

/* Some rows of a result that is taken row by row. */
typedef void newt__rows(void *arg, const PGresult *r);

/* ---- sessions --------------------------------------------------------------------------- */

/* Blocks of numbers taken from a sequence of the store. */
typedef struct newt__blocks {
    int64_t next, end; /* of the block in use */
    int64_t *starts;   /* the others */
    size_t n, cap;
    int64_t used; /* numbers handed out in this transaction */
} newt__blocks;

enum {
    NEWT__MOST_CLAIMS = 4,
    NEWT__N_PLAN_SETTINGS = 8 /* planner settings of the session, see statements.c */
};

typedef enum newt__turn {
    NEWT__NO_TURN,
    NEWT__TURN,     /* the session has it, or may have */
    NEWT__LAST_TURN /* the transaction that writes has been given it, and ends it */
} newt__turn;

/* Turns at contended objects (turns.c). */
typedef struct newt__turns {
    int patience_ms; /* the next snapshot waits for its turn, for at most that; 0: not at all */
    bool asked;      /* that has been sent, and not been taken */
    newt__turn turn;
    int32_t keys[NEWT__MOST_TURNS]; /* in order */
    size_t n_keys;
    bool waited, in_vain; /* of newt__changes */
} newt__turns;

/* What a follower knows of rows that the database has refused (follow.c). */
typedef struct newt__refusals {
    bool settled;              /* nothing has changed since those that came early were last tried */
    bool none_early;           /* there are none of them */
    bool left;                 /* some of those tried so far are refused still */
    int64_t early_zoid;        /* how far that is; 0: at the beginning */
    int64_t not_before_us;     /* the next attempt, by newt__clock */
    int64_t zoid;              /* how far newt_retry_rejects is; 0: at the beginning */
    int64_t any_zoid;          /* the same of the attempts at all of them in passing */
    int64_t any_not_before_us; /* the next of these; 0: none has been thought of */
} newt__refusals;

struct newt__storage {
    const char *uri, *schema;
    const newt_options *options;
    const newt__process *process;
    struct newt__sql *sql; /* statements with the schema's name in place */
    int64_t oid_block, serial_block;
    bool async; /* the store's projection, where a class does not say otherwise */
};

typedef enum newt__snapshot {
    NEWT__NO_SNAPSHOT,
    NEWT__SNAPSHOT_WANTED, /* the next exchange opens it */
    NEWT__SNAPSHOT_OPEN
} newt__snapshot;

struct newt__session {
    newt__storage *storage;
    newt__opened *opened;
    void *opened_arg;
    newt_stats *stats;
    newt_error error; /* of the present call */
    PGconn *pg;
    struct newt__talk *talk; /* what has been sent to it */
    newt__snapshot snapshot;
    newt__position position; /* where the cache stands */
    newt__turns turns;
    newt__blocks oids, serials;
    uint8_t incarnation[16]; /* what the cache and the blocks belong to */
    int64_t system, timeline, database;
    char *plans[NEWT__N_PLAN_SETTINGS]; /* the server's own, for queries of the application */
    newt__refusals refusals;            /* of its follower */
    int64_t per_transaction;            /* objects, of those it has followed; 0: none yet */
    uint64_t nonce;                     /* of the next commit; where they begin is random */
    newt__oids others;                  /* of the last commit */
    uint64_t opened_n;                  /* connections to the server, so far */
    uint64_t read_n;                    /* the one of these over which a feed has read last */
    bool in_transaction;                /* the server has been told BEGIN and not yet its end */
    bool savepoint;                     /* ... and the savepoint that queries go back to */
    char *claims[NEWT__MOST_CLAIMS];    /* names that it alone follows under; malloc'ed or NULL */
    bool has_extension;                 /* newt.to_jsonb can be called */
    bool has_walk;                      /* newt.walk can be called */
    bool has_project_new;               /* newt.project_new can be called */
    bool may_number;                    /* the role may take numbers here */
    bool standby;                       /* the server was one when it was connected to */
    bool at_commit;                     /* newt.at_commit can, and is wanted */
    bool writes_plainly;                /* newt.write and newt.commit can be called, and may */
    bool async;        /* no row is written, or later, where a class does not say otherwise */
    int64_t looked_us; /* monotonic clock of the last look at all these */
    uint64_t seen;     /* what that look has found */
    const newt__params *along; /* of NEWT__S_CLASSES, if the opening is to ask that too; or NULL */
    PGresult *brought;         /* ... and its answer */
    bool nameless;             /* this life of the server has no name yet */
    bool doubtful;             /* the cache is of a server that was restarted or replaced since */
    bool reopen;               /* the server connection is to be replaced at the next chance */
    bool broken;               /* ... is of no use any more */
};

/* Takes e as the error of the present call; returns its status. */
static inline int
newt__session_fail(newt__session *c, newt_error *e)
{
    int status = e->status;

    newt__error_move(&c->error, e);
    return status;
}

/* ---- exchanges (talk.c) ----------------------------------------------------------------- */

struct newt__talk {
    newt_error error;               /* the first failure of this exchange */
    newt_error warning;             /* the last WARNING of the server since newt__talk_begin */
    uint16_t *queue;                /* what has been sent and not been taken: a ring */
    size_t head, n, cap, forgotten; /* the first `forgotten` of them are nobody's */
    int64_t asked;                  /* statements sent so far whose results are to be taken */
    bool waiting;                   /* something has been sent since the last wait */
    newt__rows *rows;               /* of newt__take_rows, while it runs */
    void *rows_arg;
    bool opening; /* nothing is prepared yet: it is not known whether the session is ours */
    bool prepared[NEWT__N_STATEMENTS];
    /* a statement failed as it does if something was dropped or replaced: nothing is known to be as
     * it was when the connection was opened, and a new one is to look */
    bool outdated;
    bool blamed[NEWT__N_STATEMENTS]; /* this one did, and has not worked since */
    bool worked[NEWT__N_STATEMENTS]; /* in this session */
    /* through a pooler, see settle() */
    bool open;    /* the last statement sent leaves a transaction open */
    bool alone;   /* ... which is one for what writes outside of any, and ends with the sync */
    bool settle;  /* all that was sent must be answered before the next is sent */
    size_t syncs; /* sent and not answered yet */
    PGresult **answers; /* which came early: a list, whose first answers_at were taken */
    size_t answers_at, answers_n, answers_cap;
};

void newt__talk_begin(newt__session *c);
void newt__send(newt__session *c, newt__statement s, const newt__params *p); /* p NULL: none */
/* SQL that is not ours: one statement, parameters and results as text. */
void newt__send_query(newt__session *c, const char *sql, int n, const char *const *params);
void newt__sync(newt__session *c);
void newt__forget(newt__session *c);
/* The result of the next statement, which the caller clears; NULL: it failed or did not run. */
PGresult *newt__take(newt__session *c);
/* The same for a result that is not to be in memory as a whole: rows gets them as they arrive, some
 * at a time, and may take nothing itself. False: it failed, perhaps after some rows. */
bool newt__take_rows(newt__session *c, newt__rows *rows, void *arg);
/* The same where only success matters. */
bool newt__take_done(newt__session *c);
bool newt__take_sync(newt__session *c);
/* Passes over whatever has not been taken. */
void newt__take_rest(newt__session *c);
/* Ends the exchange; its failure becomes the session's error. */
int newt__talk_end(newt__session *c);
/* What has failed may work now: the server has changed. */
void newt__talk_forgive(struct newt__talk *talk);
/* Forgets everything about the server connection, which is being closed. */
void newt__talk_reset(struct newt__talk *talk);
void newt__talk_notice(void *talk, const PGresult *notice);

/* ---- sessions (session.c) --------------------------------------------------------------- */

newt__session *newt__session_new(newt__storage *s, newt__opened *opened, void *arg,
                                 newt_stats *stats);
void newt__session_end(newt__session *c); /* the end of a transaction, whatever became of it */
void newt__session_abandon(newt__session *c);
void newt__session_free(newt__session *c);

/* ---- servers (server.c) ----------------------------------------------------------------- */

/* A connection to uri with the library's time-outs; and whether that server will do. */
PGconn *newt__connect_to(const char *uri, int timeout);
int newt__check_server(const PGconn *pg, newt_error *e);
/* Asks the server that has just been connected to for all that a session knows of it (open.c). */
int newt__session_learn(newt__session *c, newt_error *e);
/* Connects or reconnects; drops what belonged to a server that was restarted or replaced. */
int newt__session_open(newt__session *c);
/* Whether the server is there still, as far as can be seen without asking it. */
bool newt__session_alive(newt__session *c);
/* A live server connection; the transaction may be idle or begun. */
int newt__session_server(newt__session *c);
/* The answer to one statement, outside of a transaction or in the one that is open; the caller
 * clears it. NULL: it has no row, or a status says why. */
int newt__ask_row(newt__session *c, newt__statement s, const newt__params *p, PGresult **out);
void newt__session_close(newt__session *c);

/* ---- snapshots (snapshot.c) ------------------------------------------------------------- */

/* Queues the statements that open the snapshot, if it is not open: true. Their results are then
 * taken first, by newt__snapshot_take. */
bool newt__snapshot_send(newt__session *c);
int newt__snapshot_take(newt__session *c);
/* Ends what is open on the server, without waiting for the answer: nothing rests on it. how:
 * NEWT__S_COMMIT or NEWT__S_ROLLBACK. */
void newt__snapshot_end(newt__session *c, newt__statement how);
/* Queues the question what others have changed; own_serial: after our commit, or 0; within: that
 * was newt.at_commit's. */
void newt__changes_send(newt__session *c, int64_t own_serial, bool within);
/* The tid of our commit in the answer; 0: it is not there. */
int64_t newt__changes_tid(const PGresult *r, int64_t own_serial);
/* Whether the answer is of the life of the server that the session knows. Only through a pooler
 * can it be of another one all of a sudden; the session is then of no use any more. */
bool newt__changes_same_life(newt__session *c, const PGresult *r);
/* What the answer says; its oids are in *oids. */
int newt__changes_read(newt__session *c, const PGresult *r, int64_t own_serial, newt__changes *out,
                       newt__oids *oids);

/* ---- numbers for objects and transactions (blocks.c, numbers.c) ------------------------- */

void newt__blocks_send(newt__session *c, int64_t oid_blocks, int64_t serial_blocks);
int newt__blocks_result(newt__session *c, int64_t oid_blocks, int64_t serial_blocks);
/* Blocks to take for this many numbers. */
int64_t newt__blocks_for(int64_t numbers, int64_t size);
int64_t newt__blocks_left(const newt__blocks *b, int64_t size);
bool newt__blocks_next(newt__blocks *b, int64_t size, int64_t *x);
void newt__blocks_drop(newt__blocks *b);
/* Takes blocks outside of a transaction, over a connection that is there. */
int newt__blocks_fetch(newt__session *c, int64_t oids, int64_t serials);
int newt__next_number(newt__session *c, int64_t *oid);
int newt__next_serial(newt__session *c, int64_t *serial);

/* ---- turns (turns.c) -------------------------------------------------------------------- */

void newt__turns_ask(newt__session *c, const int64_t *oids, size_t n, int at_most_ms);
/* In front of a snapshot's BEGIN, if it is to wait; and its result. */
void newt__turns_send(newt__session *c);
void newt__turns_take(newt__session *c);
/* In the transaction that writes, before all else: the turn ends with it. */
void newt__turn_pass(newt__session *c);
/* Ends the turn, if there is one, outside of a transaction or in one that has not failed. */
void newt__turn_over(newt__session *c);

/* ---- commits (commit.c) ----------------------------------------------------------------- */

/* name: prepares it under this, instead; NULL: commits. */
newt__outcome newt__session_commit(newt__session *c, const newt__writes *writes, const char *name,
                                   newt__committed *out);
/* What became of a commit whose connection was lost (resolve.c); answered: COMMIT was, and only the
 * barrier was not. Reconnects. */
typedef enum newt__resolved {
    NEWT__COMMITTED,
    NEWT__NOT_COMMITTED, /* the server said so, or COMMIT never left */
    NEWT__UNKNOWN
} newt__resolved;
newt__resolved newt__resolve(newt__session *c, int64_t serial, int64_t nonce, bool answered,
                             int64_t *tid);

/* While a server is away. */
void newt__wait_a_little(void);

/* ---- prepared transactions (prepare.c) --------------------------------------------------------
 */

/* Queues PREPARE TRANSACTION. */
void newt__prepare_send(newt__session *c, const char *name);
int newt__session_settle(newt__session *c, const char *name, bool commit);
/* The answer to PREPARE TRANSACTION was lost with the connection: rolls back what was prepared,
 * which the server process `backend` may be at still. */
void newt__prepare_undo(newt__session *c, const char *name, int backend);
int newt__session_prepared(newt__session *c, newt__take_prepared *take, void *arg);

/* ---- transactions of followers (standing.c) ------------------------------------------------- */

/* Queues what begins one, whose results are taken first. durable: when its COMMIT is answered; else
 * a crash may take it away, and it is done again. */
void newt__follower_begin(newt__session *c, bool durable);
void newt__follower_begun(newt__session *c);
/* Queues what fails if the follower does not stand there, and keeps it there until the end. how:
 * NEWT__S_FOLLOW_HOLD, or NEWT__S_FOLLOW_HOLD_ALONE. */
void newt__follower_hold(newt__session *c, const char *name, const newt__standing *at,
                         newt__statement how);
/* Ends the transaction and the exchange: it is committed, unless it is not to be or something has
 * failed. */
int newt__follower_finish(newt__session *c, bool commit);
/* The error of a comparison that failed says what to do; returns the status. */
int newt__follower_explain(newt__session *c, const char *name, int status);

/* ---- everything else that a storage does (load.c, query.c, registry.c, feed.c, standing.c,
 * follow.c, sweep.c, upkeep.c, create.c) ------------------------------------------------------ */

int newt__session_load(newt__session *c, const int64_t *oids, size_t n, newt__take_record *take,
                       void *arg);
int newt__session_walk(newt__session *c, const int64_t *roots, size_t n,
                       const newt_walk_options *options, newt__take_record *take, void *arg);
int newt__session_query(newt__session *c, const newt__query *q, bool *over);
int newt__session_classes(newt__session *c, const newt__registered *list, size_t n,
                          newt__take_class *take, void *arg);
int newt__session_register(newt__session *c, const newt__registered *list, size_t n,
                           newt__take_class *take, void *arg);
int newt__session_registered(newt__session *c, newt__take_registered *take, void *arg);
int newt__session_import(newt__session *c, const newt__import *what); /* import.c */
int newt__session_feed(newt__session *c, newt__cursor *at, int64_t objects,
                       newt__take_transaction *take, void *arg);
int newt__session_origin(newt__session *c, int64_t serial, newt__take_transaction *take, void *arg);
int newt__session_wait_feed(newt__session *c, newt__position after, int at_most_ms);
int newt__session_newest(newt__session *c, newt__position *out);
int newt__session_scan(newt__session *c, int64_t after, size_t n, newt__take_record *take,
                       void *arg);
int newt__session_look(newt__session *c, const int64_t *oids, size_t n, newt__extent extent,
                       int64_t bytes, newt__take_record *take, void *arg);
int newt__session_count(newt__session *c, newt__take_count *take, void *arg);
int newt__session_barrier(newt__session *c);
int newt__session_holder(newt__session *c, int *pid, int64_t *us);
int newt__session_follower(newt__session *c, const char *name, const char *kind,
                           newt__standing *out, bool *found);
int newt__session_claim(newt__session *c, const char *name, bool *mine);
void newt__session_release(newt__session *c, const char *name);
int newt__session_move(newt__session *c, const char *name, const char *kind,
                       const newt__standing *from, const newt__standing *to);
int newt__session_forget_follower(newt__session *c, const char *name);
int newt__session_execute(newt__session *c, const char *name, const newt__standing *from,
                          const char *sql, int n, const char *const *params);
void newt__session_undo(newt__session *c);
int newt__session_project(newt__session *c, const newt__part *part, newt_progress *out);
int newt__session_retry(newt__session *c, bool early, int64_t max_objects, newt_progress *out);
int newt__session_sweep(newt__session *c, newt_sweep *s);
int newt__session_prune(newt__session *c, int64_t at_most, int64_t *pruned);
int newt__session_health(newt__session *c, const char *follower, newt_health *out);
int newt__session_projected(newt__session *c, int64_t *tid, bool *any);
/* The server's own planner settings, for a statement of the application's (query.c). */
void newt__plans_send(newt__session *c);
int newt__postgres_create(const char *uri, const char *schema, newt_error *e);

#endif
