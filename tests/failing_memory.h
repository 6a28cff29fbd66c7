/*
 * failing_memory.h - allocations of the library that fail, one after the other
 *
 * The linker gives the library's malloc, calloc, realloc and strdup (see the Makefile).
 */
#ifndef NEWT_TESTS_FAILING_MEMORY_H
#define NEWT_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static struct {
    bool armed, all; /* all: from there on */
    long calls, at;
} memory;

static bool
fails(void)
{
    if (!memory.armed)
        return false;
    memory.calls++;
    return memory.calls == memory.at || (memory.all && memory.calls > memory.at);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *
__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

#endif
