/*
 * follow.h - a batch of a follower: between follow.c, which finds the objects, and chunk.c, which
 * writes their rows
 */
#ifndef NEWT_FOLLOW_H
#define NEWT_FOLLOW_H

#include "session.h"

enum {
    NEWT__MOST_TOLD = 10 /* refused objects that a batch tells of one by one */
};

typedef struct newt__follow {
    newt__session *c;
    newt_progress progress;
    newt__array classes; /* names of those that clients project */
    bool virtual;        /* the store has no rows ... */
    newt__array others;  /* ... but for these classes it is the other way round */
    newt__array zoids, seen, names, serials, documents; /* under construction */
    newt__buffer json;
    json_t *rejects;
    int status;       /* a failure on this side */
    bool careful;     /* in pieces */
    bool again;       /* these have been refused before */
    newt__oids early; /* refused because of another object: to be tried again */
    newt_error told[NEWT__MOST_TOLD];
    size_t n_told;
} newt__follow;

/* Nothing has failed yet, on either side. */
bool newt__follow_going(const newt__follow *b);
/* Brings the rows of these objects up to date. */
void newt__chunks_write(newt__follow *b, const int64_t *oids, size_t n);
/* Tries those again that were refused because of another object's row, as long as that helps. */
void newt__chunks_early(newt__follow *b);
/* Tells the program of what was refused, when it is committed. */
void newt__chunks_tell(newt__follow *b);
void newt__chunks_forget(newt__follow *b);

#endif
