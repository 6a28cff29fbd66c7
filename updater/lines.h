/*
 * lines.h - the lines of the NDJSON sink, see docs/ndjson.md
 *
 * A batch's lines are put together in one piece of memory: numbers and names by hand, the state as
 * it comes. Lines that begin with {"newt": are about the stream; those that tell a position are its
 * marks, and can be read again.
 */
#ifndef NEWT_UPDATER_LINES_H
#define NEWT_UPDATER_LINES_H

#include <newtdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lines {
    char *p;
    size_t n, room;
    bool failed; /* no memory */
    /* the class named last, as JSON */
    char class_name[256], class_json[256 * 6 + 2];
    size_t class_n;
} lines;

void lines_free(lines *l);
void lines_break(lines *l); /* an empty line */

/* The line of an event: {"oid":...}. */
void lines_event(lines *l, const newt_event *e);
/* Before a transaction that was described. */
void lines_transaction(lines *l, const newt_feed_transaction *t);

typedef enum mark_kind {
    MARK_FILE,       /* a file, or a stream, begins: where it goes on */
    MARK_BATCH,      /* all up to here is complete */
    MARK_COPY_BEGIN, /* objects as they are come next, in the order of their oids */
    MARK_COPY,       /* all objects up to this oid have been given */
    MARK_COPY_END
} mark_kind;

enum {
    MARK_TOKEN = 256, /* bytes of a token that a mark can have, with its NUL */
    MARK_LONGEST = 4096
};

/* What a mark tells. Within a copy there is no token, but the oid up to which it has come. */
typedef struct mark {
    mark_kind kind;
    char token[MARK_TOKEN]; /* "": none */
    int64_t tid;
    bool copying;
    int64_t after, up_to;
    /* MARK_FILE; not read again. classes: those that are written; NULL: all */
    const char *follower, *schema;
    const char *const *classes;
} mark;

void lines_mark(lines *l, const mark *m);
/* A file's line has the same classes. */
bool lines_same_classes(const char *line, size_t n, const char *const *classes);
/* Reads a line of n bytes without its end; false: it is no mark. */
bool mark_read(const char *line, size_t n, mark *m);

/* What every line about the stream begins with, and no other line. */
#define MARK_PREFIX "{\"newt\":1,\"type\":\""

#endif
