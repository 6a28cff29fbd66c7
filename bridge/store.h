/*
 * store.h - how the library talks to the server: its statements (store.c), and exchanges of them
 * (talk.c)
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
 * for its transaction, unseen by whoever takes results.
 */
#ifndef NEWT_STORE_H
#define NEWT_STORE_H

#include "bridge.h"

enum {
    NEWT__STORE_VERSION = 1,
    NEWT__OID_INT8 = 20, /* pg_type.oid of what we send and ask about; they never change */
    NEWT__OID_INT2 = 21,
    NEWT__OID_INT4 = 23,
    NEWT__OID_TEXT = 25,
    NEWT__OID_BYTEA = 17,
    NEWT__OID_JSONB = 3802,
    NEWT__MAX_PARAMS = 8,
    /* of one parameter, and of all of a statement: the server's limit on a message is 1 GiB */
    NEWT__LONGEST_MESSAGE = 1000 * 1000 * 1000
};

/* Every statement of the library; its SQL is in store.c. */
typedef enum newt__statement {
    NEWT__S_BEGIN_READ,
    NEWT__S_BEGIN_WRITE,
    NEWT__S_SETTINGS,
    NEWT__S_LOOK,
    NEWT__S_PROJECTION,
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
    NEWT__S_UPDATE_ONE_AT_COMMIT,
    NEWT__S_UPDATE_ONE_SERVER_AT_COMMIT,
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
    NEWT__S_CLASSES,
    NEWT__S_REGISTER,
    NEWT__S_FOLLOW_UNTIMED,
    NEWT__S_FOLLOW_NEXT,
    NEWT__S_FOLLOW_MOVE,
    NEWT__S_FOLLOW_NEW,
    NEWT__S_FOLLOW_CLIENT_CLASSES,
    NEWT__S_FOLLOW_OBJECTS,
    NEWT__S_FOLLOW_CHUNK,
    NEWT__S_FOLLOW_SCAN,
    NEWT__S_FOLLOW_ORPHANS,
    NEWT__S_FOLLOW_SERVER,
    NEWT__S_FOLLOW_READ,
    NEWT__S_FOLLOW_WRITE,
    NEWT__S_FOLLOW_REFUSE,
    NEWT__S_FOLLOW_REFUSED,
    NEWT__N_STATEMENTS
} newt__statement;

/* The statements with the store's quoted schema in them. */
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

/* ---- parameters: binary, in the order of $1, $2, ... ---------------------------------- */

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

/* Values are borrowed until they have been sent. */
void newt__param_int(newt__params *p, int64_t x);
void newt__param_bytes(newt__params *p, const void *s, size_t n); /* NULL: null; bytea and text */
void newt__param_text(newt__params *p, const char *s);            /* NULL: null */
void newt__param_array(newt__params *p, newt__array *a);

/* Fields of binary results. A field that is null or of another size gives 0. */
int64_t newt__field_int(const PGresult *r, int row, int column);
bool newt__field_bool(const PGresult *r, int row, int column);
/* A list of oids that grows. */
typedef struct newt__oids {
    int64_t *oids;
    size_t n, cap;
    bool failed; /* no memory */
} newt__oids;
void newt__oids_add(newt__oids *l, int64_t oid);
/* Adds the elements of a bigint[] to the list; false: it is not one. */
bool newt__field_oids(const PGresult *r, int row, int column, newt__oids *l);

/* Some rows of a result that is taken row by row. */
typedef void newt__rows(void *arg, const PGresult *r);

/* ---- exchanges ------------------------------------------------------------------------ */

struct newt__talk {
    newt_error error;               /* the first failure of this exchange */
    newt_error warning;             /* the last WARNING of the server since newt__talk_begin */
    uint16_t *queue;                /* what has been sent and not been taken: a ring */
    size_t head, n, cap, forgotten; /* the first `forgotten` of them are nobody's */
    int64_t asked;                  /* statements sent so far whose results are to be taken */
    bool waiting;                   /* something has been sent since the last wait */
    newt__rows *rows;               /* of newt__take_rows, while it runs */
    void *rows_arg;
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
    size_t syncs; /* so many of them have been sent and not been answered */
    PGresult **answers; /* which came early: a list, whose first answers_at were taken */
    size_t answers_at, answers_n, answers_cap;
};

void newt__talk_begin(newt_conn *c);
void newt__send(newt_conn *c, newt__statement s, const newt__params *p); /* p NULL: none */
/* SQL that is not ours: one statement, parameters and results as text. */
void newt__send_query(newt_conn *c, const char *sql, int n, const char *const *params);
void newt__sync(newt_conn *c);
void newt__forget(newt_conn *c);
/* The result of the next statement, which the caller clears; NULL: it failed or did not run. */
PGresult *newt__take(newt_conn *c);
/* The same for a result that is not to be in memory as a whole: rows gets them as they arrive, some
 * at a time, and may take nothing itself. False: it failed, perhaps after some rows. */
bool newt__take_rows(newt_conn *c, newt__rows *rows, void *arg);
/* The same where only success matters. */
bool newt__take_done(newt_conn *c);
bool newt__take_sync(newt_conn *c);
/* Passes over whatever has not been taken. */
void newt__take_rest(newt_conn *c);
/* Ends the exchange; its failure becomes the connection's error. */
int newt__talk_end(newt_conn *c);
/* What has failed may work now: the server has changed. */
void newt__talk_forgive(struct newt__talk *talk);
/* Forgets everything about the server connection, which is being closed. */
void newt__talk_reset(struct newt__talk *talk);
void newt__talk_notice(void *talk, const PGresult *notice);

/* ---- connections and snapshots (db.c, transaction.c) ---------------------------------- */

void newt__scan_free(struct newt__scan *scan);
void newt__conn_free(newt_conn *c);
/* Connects, or connects anew; drops what belonged to another life of the server. */
int newt__conn_open(newt_conn *c);
/* Whether the server is there still, as far as can be seen without asking it. */
bool newt__conn_alive(newt_conn *c);
/* A live server connection for this thread; the transaction may be idle or begun. */
int newt__conn_server(newt_conn *c);
/* Queues the statements that open the snapshot, if it is not open: true. Their results are then
 * taken first, by newt__snapshot_take. */
bool newt__snapshot_send(newt_conn *c);
int newt__snapshot_take(newt_conn *c);
/* Queues the question what others have changed; own_serial: after our commit, or 0; within: that
 * was newt.at_commit's. */
void newt__changes_send(newt_conn *c, int64_t own_serial, bool within);
/* The tid of our commit in the answer; 0: it is not there. */
int64_t newt__changes_tid(const PGresult *r, int64_t own_serial);
/* Whether the answer is of the life of the server that the connection knows. Only through a pooler
 * can it be of another one all of a sudden; the connection is then of no use any more. */
bool newt__changes_same_life(newt_conn *c, const PGresult *r);
/* Applies the answer. */
int newt__changes_apply(newt_conn *c, const PGresult *r, int64_t own_serial);
/* Forgets all that is cached; a conflict if this transaction has used some of it. */
int newt__cache_drop(newt_conn *c);
/* The end of a transaction; what becomes of its objects is said before, in object.c. */
void newt__transaction_over(newt_conn *c);
/* Takes blocks of oids and serials, so many that this many of each are there. */
int newt__blocks_take(newt_conn *c, int64_t oids, int64_t serials);
void newt__blocks_send(newt_conn *c, int64_t oid_blocks, int64_t serial_blocks);
int newt__blocks_result(newt_conn *c, int64_t oid_blocks, int64_t serial_blocks);
/* Blocks to take for so many numbers. */
int64_t newt__blocks_for(int64_t numbers, int64_t size);
int64_t newt__blocks_left(const newt__blocks *b, int64_t size);
void newt__blocks_drop(newt__blocks *b);
int newt__next_serial(newt_conn *c, int64_t *serial);
/* In the commit, under the lock: compares the serials of what must be current. False: there is
 * nothing to compare, and no statement was queued (conflict.c). */
bool newt__current_send(newt_conn *c);
/* What newt_describe was told, as the next three parameters; there must be some (describe.c). */
void newt__description_params(const newt_conn *c, newt__params *p);
void newt__description_clear(newt_conn *c);
/* A comparison has failed: rolls back and finds out what others have changed or removed. NEWT_OK:
 * all that was has been merged (may_merge), and the commit is to be tried again. Else *e, on entry
 * the server's error, says what was. */
int newt__conflicts(newt_conn *c, bool may_merge, newt_error *e);
/* What became of a commit whose connection was lost (resolve.c); answered: COMMIT was, and only the
 * barrier was not. Connects anew. */
typedef enum newt__outcome {
    NEWT__COMMITTED,
    NEWT__NOT_COMMITTED, /* the server said so, or COMMIT never left */
    NEWT__UNKNOWN
} newt__outcome;
newt__outcome newt__resolve(newt_conn *c, int64_t serial, int64_t nonce, bool answered,
                            int64_t *tid);
/* Turns at contended objects (queue.c). The commit of fn has met conflicts, which are the error. */
void newt__queue_conflict(newt_conn *c, newt_work *fn);
/* Whether a transaction of fn is to begin with a turn, the first attempt or another; then the next
 * snapshot waits for it, but for no longer than is left. */
bool newt__queue_join(newt_conn *c, newt_work *fn, bool again, int64_t left_us);
/* Forgets the objects that this transaction, which has joined, has not used. */
void newt__queue_used(newt_conn *c);
/* In front of a snapshot's BEGIN, if it is to wait; and its result. */
void newt__queue_send(newt_conn *c);
void newt__queue_take(newt_conn *c);
/* In the transaction that writes, before all else: the turn ends with it. */
void newt__turn_pass(newt_conn *c);
/* Ends the turn, if there is one, outside of a transaction or in one that has not failed. */
void newt__turn_over(newt_conn *c);
/* Registers the classes of the database that the store does not know yet (register.c). */
int newt__register_classes(newt_conn *c, newt_error *e);
/* A connection to uri with the library's time-outs; and whether that server will do. */
PGconn *newt__connect_to(const char *uri, int timeout);
int newt__check_server(const PGconn *pg, newt_error *e);
/* A statement outside pipeline mode, parameters and results as text; NULL: e says why. */
PGresult *newt__ask(PGconn *pg, newt_error *e, const char *sql, int n, const char *const *params);
/* Microseconds of a clock that only rises. */
int64_t newt__clock(void);

#endif
