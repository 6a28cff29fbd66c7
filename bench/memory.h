/*
 * memory.h - the memory of this process, in bytes
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static inline double
resident(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
        give_up("memory", "/proc/self/statm cannot be read");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* The most that it has had. */
static inline double
peak(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        give_up("memory", "getrusage");
    return (double)usage.ru_maxrss * 1024;
}

#endif
