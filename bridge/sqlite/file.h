/*
 * file.h - a connection to the file of a store: its statements, its errors, what it waits for
 *
 * Each is used by one thread at a time.
 */
#ifndef NEWT_SQLITE_FILE_H
#define NEWT_SQLITE_FILE_H

#include "../conn.h"

#include <sqlite3.h>

/* ---- where it is (uri.c) ---------------------------------------------------------------- */

typedef enum newt__synchronous {
    NEWT__SYNC_OFF, /* as PRAGMA synchronous numbers them */
    NEWT__SYNC_NORMAL,
    NEWT__SYNC_FULL
} newt__synchronous;

/* What a URI says. */
typedef struct newt__where {
    char *path;     /* absolute, malloc'ed */
    int timeout_ms; /* that a lock is waited for at most */
    newt__synchronous synchronous;
} newt__where;

/* NEWT_EINVAL: what is wrong with it. */
int newt__where_read(newt__where *out, const char *uri, newt_error *e);
void newt__where_free(newt__where *w);

/* ---- the statements (statements.c) ------------------------------------------------------ */

typedef enum newt__sql {
    NEWT__Q_BEGIN, /* a snapshot: it is there with the first statement that reads */
    NEWT__Q_BEGIN_WRITE,
    NEWT__Q_COMMIT,
    NEWT__Q_ROLLBACK,
    NEWT__Q_NEWEST,
    NEWT__Q_SINCE,
    NEWT__Q_PARTS,
    NEWT__Q_LOAD,
    NEWT__Q_LOAD_RUN,
    NEWT__Q_SERIAL,
    NEWT__Q_TAKE_OIDS,
    NEWT__Q_ADD,
    NEWT__Q_REPLACE,
    NEWT__Q_REMOVE,
    NEWT__Q_PROJECT,
    NEWT__Q_UNPROJECT,
    NEWT__Q_REJECT,
    NEWT__Q_UNREJECT,
    NEWT__Q_ANY_REJECT,
    NEWT__Q_TRANSACTION,
    NEWT__Q_PART,
    NEWT__Q_IMPORT_FIRST,
    NEWT__Q_IMPORT_FIRST_PARTS,
    NEWT__Q_IMPORT,
    NEWT__Q_IMPORT_REMOVED,
    NEWT__Q_BETWEEN,
    NEWT__Q_IMPORT_NUMBERS,
    NEWT__Q_STALE,
    NEWT__Q_OWN_PROJECTOR,
    NEWT__Q_ORPHANS,
    NEWT__Q_REFUSED,
    NEWT__Q_IS_REFUSED,
    NEWT__Q_ROW,
    NEWT__Q_EXTRA,
    NEWT__Q_OBJECTS,
    NEWT__Q_REGISTERED,
    NEWT__Q_CLASS,
    NEWT__Q_REGISTER,
    NEWT__Q_FEED,
    NEWT__Q_ORIGIN,
    NEWT__Q_FEED_PART,
    NEWT__Q_FEED_ENDS,
    NEWT__Q_SCAN,
    NEWT__Q_HEAD,
    NEWT__Q_FOLLOWER,
    NEWT__Q_FOLLOW_NEW,
    NEWT__Q_FOLLOW_MOVE,
    NEWT__Q_FOLLOW_FORGET,
    NEWT__Q_PRUNE_LIMIT,
    NEWT__Q_PRUNE_OBJECTS,
    NEWT__Q_PRUNE,
    NEWT__Q_HEALTH,
    NEWT__N_SQL
} newt__sql;

extern const char *const newt__sqls[NEWT__N_SQL];

/* ---- connections (file.c) --------------------------------------------------------------- */

/* Whose statements are compiled, and what they are for. */
typedef enum newt__judging {
    NEWT__OURS,    /* they may do everything */
    NEWT__READS,   /* the program's */
    NEWT__WRITES,  /* the program's, to its own tables */
    NEWT__INDEXES, /* ours, with an expression of the program's: they make indexes and triggers */
} newt__judging;

typedef struct newt__file {
    const newt__where *where;
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *statements[NEWT__N_SQL];
    int64_t until_us; /* a lock is waited for until then */
    bool read_only;   /* nothing can be changed */
    bool listed;      /* among the files that the process has open */
    bool gone;        /* it was found to be replaced */
    newt__judging judging;
    uint64_t device, inode;
} newt__file;

/* Opens it, and looks whether it is a store of this version. On failure it is not open. */
int newt__file_open(newt__file *f, const newt__where *where, newt_error *e);
void newt__file_close(newt__file *f);
/* In a child after fork(): forgets it. SQLite's part of it stays in memory: to end it would take
 * locks for released that the parent has. */
void newt__file_abandon(newt__file *f);
/* Whether another file, or none, is at its place now. */
bool newt__file_replaced(const newt__file *f);
/* NEWT_ELOST: it is. */
int newt__file_fail_replaced(newt__file *f, newt_error *e);
/* Makes the file, which must not be there or be empty, into a store. */
int newt__file_create(const newt__where *where, newt_error *e);

/* The statement, to be bound and stepped; NULL: *e. */
sqlite3_stmt *newt__file_statement(newt__file *f, newt__sql which, newt_error *e);
/* Runs it to its end: it gives no rows. */
int newt__file_run(newt__file *f, sqlite3_stmt *s, newt_error *e);
int newt__file_do(newt__file *f, newt__sql which, newt_error *e); /* one without parameters */
/* Begins a transaction that writes: the lock is taken, and the file is the one that is opened next
 * time. */
int newt__file_lock(newt__file *f, newt_error *e);
/* Ends the transaction that is open, if there is one: nothing of it stays. */
void newt__file_roll_back(newt__file *f);
/* The error of a result code: with what the connection says of it. */
int newt__file_fail(const newt__file *f, int code, newt_error *e);

/* The error of a row that is not as the library has written it; its detail is the caller's. */
int newt__file_fail_damaged(const newt__file *f, newt_error *e);
/* The error of a system call on one of its files. */
int newt__file_fail_system(const newt__file *f, int number, newt_error *e);

/* Text or NULL. */
void newt__bind_text(sqlite3_stmt *s, int i, const char *text);

#endif
