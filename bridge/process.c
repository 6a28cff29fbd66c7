/*
 * process.c - a database and its connections belong to the process that opened them
 *
 * After fork() the child has a copy of them, and of the socket: what it said there, its parent
 * would be taken to have said. A page that the kernel gives to the child as zeros tells the two
 * apart for the price of a load, so that reading from the cache can afford it. Where there are no
 * such pages, the number of the process is asked for.
 */
#include "bridge.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE = 4096
};

/* In memory that the kernel wipes at fork(), hence `here` false in a child. */
struct newt__process {
    bool here;
};

int
newt__process_open(newt_db *db)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return newt__fail_memory(&db->error);
#ifdef MADV_WIPEONFORK
    db->wiped = madvise(page, PAGE, MADV_WIPEONFORK) == 0;
#endif
    db->pid = getpid();
    db->process = page;
    db->process->here = true;
    return NEWT_OK;
}

void
newt__process_close(newt_db *db)
{
    if (db->process)
        munmap(db->process, PAGE);
}

const bool *
newt__process_here(const newt_db *db)
{
    return &db->process->here;
}

bool
newt__process_is(const newt_db *db)
{
    return !db->process || (db->process->here && (db->wiped || getpid() == db->pid));
}

int
newt__process_fail(const newt_db *db, newt_error *e)
{
    newt__fail(e, NEWT_ETHREAD, 0, "this is a copy, made by fork(), of what belongs to process %ld",
               (long)db->pid);
    newt__fail_hint(e, "Open a database in each process, after fork(). Closing the copy frees its "
                       "memory and leaves the other process's connection alone.");
    return NEWT_ETHREAD;
}

/* Not a byte of what libpq says at its end may reach the server. */
void
newt__process_detach(newt_conn *c)
{
    int nowhere, fd = c->pg ? PQsocket(c->pg) : -1;

    c->broken = true;
    if (fd < 0)
        return;
    nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, fd);
        close(nowhere);
    } else {
        close(fd); /* libpq will find it closed */
    }
}
