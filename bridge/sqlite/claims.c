/*
 * claims.c - locks on the names of those who follow
 *
 * A lock on a byte of the -wal file, far past its end. It belongs to the open file, so sessions of
 * one process are in each other's way as well, and it ends with the process whatever happens: with
 * the last one, if it has children that have not let go of the file. So a session gives up its
 * locks itself.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST_LOCK ((off_t)1 << 48)

static int
lock_name(const newt__session *x, const char *name, short type)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    l.l_start = FIRST_LOCK + hash;
    return fcntl(x->wal, F_OFD_SETLK, &l);
}

int
newt__claim(newt__session *x, const char *name, bool *mine, newt_error *e)
{
    *mine = true;
    if (x->wal < 0)
        x->wal = open(sqlite3_filename_wal(sqlite3_db_filename(x->file.db, "main")),
                      O_RDWR | O_CLOEXEC);
    if (x->wal < 0)
        return newt__file_fail_system(&x->file, errno, e);
    if (lock_name(x, name, F_WRLCK) == 0)
        return NEWT_OK;
    *mine = false;
    return errno == EAGAIN || errno == EACCES ? NEWT_OK
                                              : newt__file_fail_system(&x->file, errno, e);
}

void
newt__claim_end(newt__session *x, const char *name)
{
    if (x->wal >= 0)
        (void)lock_name(x, name, F_UNLCK);
}

void
newt__claims_end(newt__session *x, bool ours)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = FIRST_LOCK};

    if (x->wal < 0)
        return;
    if (ours)
        (void)fcntl(x->wal, F_OFD_SETLK, &all);
    close(x->wal);
    x->wal = -1;
}
