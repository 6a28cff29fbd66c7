/*
 * memory.h - the fuzzers' memory, for a newt__env
 */
#ifndef NEWT_TESTS_FUZZ_MEMORY_H
#define NEWT_TESTS_FUZZ_MEMORY_H

#include <stdlib.h>

static void *
grow(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n ? n : 1);
}

static void
drop(void *arg, void *p)
{
    (void)arg;
    free(p);
}

#endif
