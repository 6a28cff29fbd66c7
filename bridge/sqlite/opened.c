/*
 * opened.c - which files this process has open
 *
 * SQLite keeps for the whole process which locks it has on a file. A child made by fork() has a
 * copy of that, but none of the locks: what it reads could be overwritten under its eyes. So a file
 * that was open at that moment cannot be opened in the child. (After exec() all is forgotten.)
 * There is one list for the process, with a lock, which is made anew in the child: another thread
 * may have held it.
 */
#include "opened.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct entry {
    struct entry *next;
    uint64_t device, inode;
    pid_t pid; /* the process that has opened it */
    size_t n;  /* connections */
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *first;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

static void
watch_forks(void)
{
    pthread_atfork(NULL, NULL, begin_in_child);
}

static entry **
find(uint64_t device, uint64_t inode)
{
    entry **at = &first;

    while (*at && ((*at)->device != device || (*at)->inode != inode))
        at = &(*at)->next;
    return at;
}

static entry *
add(uint64_t device, uint64_t inode)
{
    entry *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->device = device;
    x->inode = inode;
    x->pid = getpid();
    x->next = first;
    return first = x;
}

int
newt__opened_add(uint64_t device, uint64_t inode, const char *path, newt_error *e)
{
    int status = NEWT_OK;
    entry *x;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    x = *find(device, inode);
    if (!x && !(x = add(device, inode))) {
        status = newt__fail_memory(e);
    } else if (x->pid != getpid()) {
        status = newt__fail(e, NEWT_ETHREAD, 0, "process %ld had \"%s\" open when it was forked",
                            (long)x->pid, path);
        newt__fail_detail(e,
                          "SQLite keeps its locks for the whole process, and a child has not got "
                          "them.");
        newt__fail_hint(e, "Fork before the store is opened, close it first, or call exec().");
    } else {
        x->n++;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void
newt__opened_remove(uint64_t device, uint64_t inode)
{
    entry **at, *x;

    pthread_mutex_lock(&lock);
    at = find(device, inode);
    x = *at;
    if (x && --x->n == 0) {
        *at = x->next;
        free(x);
    }
    pthread_mutex_unlock(&lock);
}
