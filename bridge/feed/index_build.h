/*
 * index_build.h - what the filling and the checking of indexes share
 */
#ifndef NEWT_INDEX_BUILD_H
#define NEWT_INDEX_BUILD_H

#include "feed.h"

enum {
    NEWT__INDEX_BATCH = 1000 /* objects of a transaction */
};

/* Objects of one class (index_scan.c). */
typedef struct newt__index_scan {
    newt_conn *c;
    const newt__class *k;
    int64_t scanned[NEWT__INDEX_BATCH];
    newt_ref refs[NEWT__INDEX_BATCH]; /* those of the class, in order */
    size_t n_scanned, n;
    int64_t last; /* the highest that was scanned */
    bool over;    /* there are no more */
} newt__index_scan;

/* The next ones after an oid, at most this many. */
int newt__index_scan_next(newt__index_scan *s, int64_t after, size_t most);

#endif
