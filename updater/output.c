/* output.c - files, FIFOs and standard output */
#include "output.h"

#include "tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE = 1 << 20,
    PIPE_PIECE = 4096, /* PIPE_BUF: where a pipe is writable, that many bytes do not block */
    READER_MS = 100    /* a slow reader is waited for so long at a time */
};

__attribute__((format(printf, 4, 5))) static sink_status
trouble(sink_status status, sink_trouble *t, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->message, sizeof t->message, format, args);
    va_end(args);
    t->detail = "";
    t->hint = hint;
    return status;
}

/* ---- opening -------------------------------------------------------------------------- */

/* A new file is in its directory also after the power fails. */
static void
sync_directory(const char *path)
{
    char name[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n >= sizeof name)
        return;
    memcpy(name, n ? path : ".", n ? n : 1);
    name[n ? n : 1] = 0;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Cuts off what follows the last mark. A file that newt-updater has not written is left alone. */
static sink_status
open_regular(output *o, sink_trouble *t, off_t size, mark *last, bool *found)
{
    char begin[sizeof MARK_PREFIX - 1];
    if (flock(o->fd, LOCK_EX | LOCK_NB) != 0)
        return trouble(SINK_TAKEN, t, "", "another process writes to \"%s\"", o->path);
    *found = tail_last(o->fd, size, last, NULL, &o->settled);
    if (!*found) {
        size_t n = size < (off_t)sizeof begin ? (size_t)size : sizeof begin;
        if (pread(o->fd, begin, n, 0) != (ssize_t)n || memcmp(begin, MARK_PREFIX, n) != 0)
            return trouble(SINK_END, t, "Move it away, or name another output.",
                           "\"%s\" was not written by newt-updater", o->path);
        o->settled = 0;
        sync_directory(o->path);
    }
    if (o->settled < size && ftruncate(o->fd, o->settled) != 0)
        return trouble(SINK_WAIT, t, "", "cannot truncate \"%s\": %s", o->path, strerror(errno));
    return SINK_OK;
}

/* A FIFO without a reader cannot be opened: it is waited for. */
static sink_status
open_path(output *o, sink_trouble *t)
{
    struct stat st;
    if (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->fd = open(o->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (o->fd < 0 && errno == ENXIO)
            return trouble(SINK_WAIT, t, "", "nobody reads from \"%s\"", o->path);
    } else {
        o->fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    }
    o->refused = o->fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
                               errno == EISDIR || errno == EROFS);
    if (o->fd < 0)
        return trouble(SINK_WAIT, t, "", "cannot open \"%s\": %s", o->path, strerror(errno));
    return SINK_OK;
}

sink_status
output_open(output *o, sink_trouble *t, mark *last, bool *found)
{
    struct stat st;
    sink_status status = SINK_OK;
    *found = o->refused = false;
    o->standard = strcmp(o->path, "-") == 0;
    o->fd = o->standard ? STDOUT_FILENO : -1;
    if (!o->standard)
        status = open_path(o, t);
    if (status == SINK_OK && fstat(o->fd, &st) != 0)
        status = trouble(SINK_WAIT, t, "", "cannot look at \"%s\": %s", o->path, strerror(errno));
    if (status == SINK_OK) {
        o->regular = !o->standard && S_ISREG(st.st_mode);
        o->device = st.st_dev;
        o->inode = st.st_ino;
        o->settled = 0;
        if (o->regular)
            status = open_regular(o, t, st.st_size, last, found);
    }
    if (status != SINK_OK)
        output_close(o);
    return status;
}

void
output_close(output *o)
{
    if (o->fd >= 0 && !o->standard)
        close(o->fd);
    o->fd = -1;
}

bool
output_moved(const output *o)
{
    struct stat there, here;
    if (o->fd < 0 || o->standard)
        return false;
    if (stat(o->path, &there) != 0)
        return true;
    return there.st_dev != o->device || there.st_ino != o->inode ||
           (o->regular && (fstat(o->fd, &here) != 0 || here.st_size != o->settled));
}

bool
output_back(output *o, int64_t up_to)
{
    off_t begin, end;
    mark m;
    if (!o->regular || !tail_last(o->fd, o->settled, &m, &begin, NULL) ||
        !tail_last(o->fd, begin, &m, NULL, &end) || !m.copying || m.up_to != up_to ||
        ftruncate(o->fd, end) != 0)
        return false;
    o->settled = end;
    return true;
}

/* ---- writing -------------------------------------------------------------------------- */

/* Trouble: back to what is complete. */
static sink_status
broken(output *o, sink_trouble *t, int error, size_t *done)
{
    *done = 0;
    if (o->regular) {
        if (ftruncate(o->fd, o->settled) != 0)
            output_close(o); /* begin will cut it */
        return trouble(SINK_WAIT, t, "It is written again when there is room.",
                       "cannot write to \"%s\": %s", o->path, strerror(error));
    }
    if (error == EPIPE && o->standard)
        return trouble(SINK_END, t, "", "the reader of standard output has closed it");
    if (error == EPIPE) {
        output_close(o);
        return trouble(SINK_WAIT, t, "What it had not read is written again.",
                       "the reader of \"%s\" has closed it", o->path);
    }
    return trouble(SINK_WAIT, t, "", "cannot write to %s: %s",
                   o->standard ? "standard output" : o->path, strerror(error));
}

sink_status
output_write(output *o, sink_trouble *t, const char *p, size_t n, size_t *done)
{
    size_t most = o->regular ? PIECE : PIPE_PIECE, want = n - *done < most ? n - *done : most;
    struct pollfd room = {.fd = o->fd, .events = POLLOUT};
    t->message[0] = 0;
    if (!o->regular && poll(&room, 1, READER_MS) == 0)
        return SINK_WAIT;
    ssize_t got = o->regular ? pwrite(o->fd, p + *done, want, o->settled + (off_t)*done)
                             : write(o->fd, p + *done, want);
    if (got >= 0) {
        *done += (size_t)got;
        return SINK_OK;
    }
    if (errno == EINTR || errno == EAGAIN)
        return SINK_WAIT;
    if (!o->regular && errno != EPIPE) { /* what was written stays written: go on from there */
        size_t kept = *done;
        sink_status status = broken(o, t, errno, done);
        *done = kept;
        return status;
    }
    return broken(o, t, errno, done);
}

/* Bytes that the reader has not taken; 0 where that cannot be asked. */
static int
unread(const output *o)
{
    int n = 0;
    struct stat st;
    if (fstat(o->fd, &st) == 0 && S_ISFIFO(st.st_mode) && ioctl(o->fd, FIONREAD, &n) != 0)
        n = 0;
    return n;
}

sink_status
output_settle(output *o, sink_trouble *t, size_t n, bool durable, size_t *done)
{
    t->message[0] = 0;
    if (o->regular) {
        /* what could not be synced is perhaps no longer in memory, although a second try succeeds
         */
        if (durable && fdatasync(o->fd) != 0)
            return broken(o, t, errno, done);
        o->settled += (off_t)n;
        return SINK_OK;
    }
    if (unread(o) == 0)
        return SINK_OK;
    struct pollfd gone = {.fd = o->fd};
    if (poll(&gone, 1, 1) > 0 && gone.revents & POLLERR && unread(o) > 0)
        return broken(o, t, EPIPE, done);
    return SINK_WAIT;
}
