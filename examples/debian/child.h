/*
 * child.h - another program, run beside this one
 */
#ifndef DEMO_CHILD_H
#define DEMO_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int out; /* what it writes */
};

/* Starts argv[0], found on PATH, and takes what it writes to standard output; to standard error too
 * if `errors`. False, with errno set: no process could be made. A program that cannot be run ends
 * with status 127. */
bool child_start(struct child *child, const char *const *argv, bool errors);
/* All that it writes, with a NUL after it; *n its length. NULL: out of memory or unreadable. The
 * caller frees it. */
char *child_read(struct child *child, size_t *n);
bool child_running(struct child *child);
/* Waits; returns its exit status, or 128 + the signal that ended it. */
int child_end(struct child *child);

/* Everything there is to read from fd, as child_read gives it. */
char *read_all(int fd, size_t *n);

#endif
