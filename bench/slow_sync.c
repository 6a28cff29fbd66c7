/*
 * slow_sync.c - makes fsync and fdatasync of a process take longer by a time that can be changed
 * while it runs: a usual disk, where the machine has a quick one
 *
 * Loaded into the benchmark's private server (LD_PRELOAD). SLOW_SYNC in its environment names a
 * file of at least 16 bytes that begins with a number: microseconds added to each call; 0: none.
 * The wait follows the call itself and gives the processor away, as a disk would. sync_file_range
 * is left alone: PostgreSQL starts writing with it and waits for nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE = 16
};

static const volatile char *added; /* NULL: nothing is */
static int (*real_fsync)(int fd), (*real_fdatasync)(int fd);

__attribute__((constructor)) static void
start(void)
{
    const char *name = getenv("SLOW_SYNC");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (at != MAP_FAILED)
        added = at;
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

static void
linger(void)
{
    struct timespec until;
    long us = 0;

    for (int i = 0; added && i < SIZE && added[i] >= '0' && added[i] <= '9'; i++)
        us = us * 10 + added[i] - '0';
    if (us <= 0 || us > 1000000)
        return;
    prctl(PR_SET_TIMERSLACK, 1);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    prctl(PR_SET_TIMERSLACK, 0);
}

static int
slowed(int (*sync)(int), int fd)
{
    int rc = sync(fd), kept = errno;

    linger();
    errno = kept;
    return rc;
}

int
fsync(int fd)
{
    return slowed(real_fsync, fd);
}

int
fdatasync(int fd)
{
    return slowed(real_fdatasync, fd);
}
