/*
 * process.c - a database and its connections belong to the process that opened them
 *
 * After fork() the child has a copy of them, and of the socket: what it said there, its parent
 * would be taken to have said. A page that the kernel gives to the child as zeros tells the two
 * apart for the price of a load, so that reading from the cache can afford it. Where there are no
 * such pages, the number of the process is asked for.
 */
#include "conn.h"

#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE = 4096
};

int
newt__process_open(newt__process *p, newt_error *e)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return newt__fail_memory(e);
#ifdef MADV_WIPEONFORK
    p->wiped = madvise(page, PAGE, MADV_WIPEONFORK) == 0;
#endif
    p->pid = getpid();
    p->here = page;
    *p->here = true;
    return NEWT_OK;
}

void
newt__process_close(newt__process *p)
{
    if (p->here)
        munmap(p->here, PAGE);
    p->here = NULL;
}

bool
newt__process_is(const newt__process *p)
{
    return !p->here || (*p->here && (p->wiped || getpid() == p->pid));
}

int
newt__process_fail(const newt__process *p, newt_error *e)
{
    newt__fail(e, NEWT_ETHREAD, 0, "this is a copy, made by fork(), of what belongs to process %ld",
               (long)p->pid);
    newt__fail_hint(e, "Open a database in each process, after fork(). Closing the copy frees its "
                       "memory and leaves the other process's connection alone.");
    return NEWT_ETHREAD;
}
