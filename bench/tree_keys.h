/*
 * tree_keys.h - the entries of the trees that are measured, and their order
 *
 * Shared by both sides of the stage "trees" of bench/run: trees.c makes them through Newt,
 * trees_limit.c writes the same records and rows.
 */
#ifndef NEWT_BENCH_TREE_KEYS_H
#define NEWT_BENCH_TREE_KEYS_H

#include "workload.h"

enum {
    TREE_KEY = 32,         /* bytes for the text of a key */
    TREE_PER_COMMIT = 1000 /* random inserts of a transaction */
};

/* Key i of the sorted ones, as a name or an address in an index may be; its length. */
static inline size_t
tree_key_of(char *key, int64_t i)
{
    return (size_t)snprintf(key, TREE_KEY, "entry %010lld", (long long)i);
}

/* A permutation of 0 ... n - 1: the i-th number at random. */
static inline int64_t
tree_random(int64_t i, int64_t n)
{
    static const int64_t step = 618033988749; /* a prime */

    return (int64_t)((unsigned __int128)i * (unsigned __int128)step % (unsigned __int128)n);
}

#endif
