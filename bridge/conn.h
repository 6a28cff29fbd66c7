/*
 * conn.h - the ground: the process, error, phase and owner of a connection, whatever stands on it
 *
 * A newt_conn begins with a newt__jar (object/object.h), which begins with a newt__base: each room
 * takes the part that it knows.
 */
#ifndef NEWT_CONN_H
#define NEWT_CONN_H

#include "error.h"

#include <pthread.h>
#include <sys/types.h>

/* For the path of a read that finds its object loaded. */
#define NEWT__SELDOM(x) __builtin_expect(!!(x), 0)

/* ---- processes (process.c) --------------------------------------------------------------- */

/* The process that a database and its connections belong to. */
typedef struct newt__process {
    bool *here; /* false in a child: the kernel wipes it at fork() */
    pid_t pid;
    bool wiped; /* the kernel does; else the number of the process is asked for */
} newt__process;

int newt__process_open(newt__process *p, newt_error *e);
void newt__process_close(newt__process *p);
/* Whether this is that process. */
bool newt__process_is(const newt__process *p);
/* The error of all others. */
int newt__process_fail(const newt__process *p, newt_error *e);

/* ---- connections (conn.c) ---------------------------------------------------------------- */

typedef enum newt__phase {
    NEWT__IDLE, /* no transaction */
    NEWT__LAZY, /* begun; the storage has not been asked yet */
    NEWT__OPEN, /* begun; a snapshot is open in the storage */
    /* begun; a change has failed, and the error says which: it can be rolled back to a savepoint,
     * or aborted. LAZY or OPEN besides. */
    NEWT__BROKEN_LAZY,
    NEWT__BROKEN_OPEN,
    NEWT__DOOMED, /* begun; can only be aborted, and the error says why */
    NEWT__N_PHASES
} newt__phase;

/* What takes a transaction from one phase to another. */
typedef enum newt__passage {
    NEWT__BEGINS, /* newt_begin */
    NEWT__OPENS,  /* the snapshot is open */
    NEWT__BREAKS, /* a change has failed */
    NEWT__MENDS,  /* rolled back to a savepoint */
    NEWT__DOOMS,  /* a failure that only an abort can follow */
    NEWT__ENDS,   /* commit or abort is done */
    NEWT__N_PASSAGES
} newt__passage;

typedef struct newt__base {
    newt_error error;
    bool kept; /* no other takes its place: hooks run because of it */
    newt__phase phase;
    /* called after each passage; or NULL */
    void (*moved)(struct newt__base *b);
    const newt__process *process;
    const bool *here; /* that of the process */
    pthread_t owner;  /* the thread of the transaction */
} newt__base;

/* False: it does not lead out of this phase. */
bool newt__base_move(newt__base *b, newt__passage passage);
/* Records an error and returns its status; a transaction that is doomed or broken keeps its first.
 */
int newt__base_fail(newt__base *b, int status, int64_t oid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int newt__base_fail_with(newt__base *b, newt_error *e); /* the same, taking e */
int newt__base_fail_memory(newt__base *b);
/* The error just recorded dooms the transaction; returns its status. */
int newt__base_doom(newt__base *b);
/* The same, but the transaction can be rolled back to a savepoint: what has failed is a change. */
int newt__base_break(newt__base *b);
/* Whether the transaction goes on no further as it is. */
bool newt__base_is_over(const newt__base *b);
/* NEWT_OK if a transaction has begun, and this is its thread. */
int newt__base_own(newt__base *b);
/* The same, and it is neither doomed nor broken. */
int newt__base_enter(newt__base *b);

/* Memory of malloc, for what is made without a connection. */
extern const newt__env newt__malloc_env;
/* Microseconds of a clock that only rises. */
int64_t newt__clock(void);
/* Microseconds since 1970, as tids are. */
int64_t newt__time(void);
/* How long ago that was, in microseconds; 1 if the clock says that it is to come. */
int64_t newt__age(int64_t tid);
/* The text of a value, malloc'ed; flags: of json_dumps(). NULL: no memory (json.c). */
struct json_t;
char *newt__json_dump(const struct json_t *json, size_t flags);
/* Whether a text is JSON; NEWT__NOMEM: that cannot be told. */
newt__code newt__json_check(const char *text);
/* Compares two int64_t, for qsort and bsearch. */
int newt__by_oid(const void *a, const void *b);

#endif
