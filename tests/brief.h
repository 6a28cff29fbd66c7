/*
 * brief.h - whether a test should do less of the same: with the sanitizers, except in make soak
 */
#ifndef NEWT_TESTS_BRIEF_H
#define NEWT_TESTS_BRIEF_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool
brief(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return getenv("NEWT_SOAK") == NULL;
#else
    return false;
#endif
}

#endif
