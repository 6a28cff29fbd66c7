/*
 * file.c - a file as a resource: written beside its place, and renamed when all is decided
 */
#define _GNU_SOURCE
#include "joining.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char mark[] = ".newt-"; /* a transaction's name begins so, after the dot */

typedef struct file {
    char *path, *prepared; /* prepared: its place until then; or NULL */
    size_t n;
    char data[];
} file;

static void
file_free(void *arg)
{
    file *f = arg;

    free(f->path);
    free(f->prepared);
    free(f);
}

/* The directory that a path is in has to be as durable as the file. */
static int
sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int status = fd >= 0 && fsync(fd) == 0 ? NEWT_OK : NEWT_EINVAL;

    if (fd >= 0)
        close(fd);
    free(directory);
    return status;
}

static int
write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return NEWT_ELIMIT;
        data += k;
        n -= (size_t)k;
    }
    return fsync(fd) == 0 ? NEWT_OK : NEWT_ELIMIT;
}

static int
prepare(void *arg, const char *name)
{
    file *f = arg;
    int fd, status;

    if (asprintf(&f->prepared, "%s.%s", f->path, name) < 0) {
        f->prepared = NULL;
        return NEWT_ENOMEM;
    }
    fd = open(f->prepared, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return NEWT_EINVAL;
    status = write_all(fd, f->data, f->n);
    if (close(fd) != 0 && status == NEWT_OK)
        status = NEWT_ELIMIT;
    return status == NEWT_OK ? sync_directory(f->prepared) : status;
}

static int
commit(void *arg)
{
    file *f = arg;
    int status = rename(f->prepared, f->path) == 0 ? sync_directory(f->path) : NEWT_EINVAL;

    file_free(f);
    return status;
}

static void
abort_(void *arg)
{
    file *f = arg;

    if (f->prepared)
        unlink(f->prepared);
    file_free(f);
}

int
file_join(newt_conn *c, const char *path, const void *data, size_t n)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = path,
                       .prepare = prepare,
                       .commit = commit,
                       .abort = abort_,
                       .leave = file_free};
    file *f = malloc(sizeof *f + n);
    int status;

    if (!f)
        return NEWT_ENOMEM;
    *f = (file){.path = strdup(path), .n = n};
    memcpy(f->data, data, n);
    r.arg = f;
    status = f->path ? newt_join(c, &r) : NEWT_ENOMEM;
    if (status != NEWT_OK)
        file_free(f);
    return status;
}

static int
settle(newt_conn *c, const char *directory, const char *entry, const char *name)
{
    char *from = NULL, *to = NULL;
    bool committed;
    int status = newt_was_committed(c, name, &committed);

    if (status == NEWT_OK && asprintf(&from, "%s/%s", directory, entry) < 0)
        return NEWT_ENOMEM;
    if (status == NEWT_OK)
        to = strndup(from, strlen(from) - strlen(name) - 1);
    if (status == NEWT_OK && !to)
        status = NEWT_ENOMEM;
    if (status == NEWT_OK && (committed ? rename(from, to) : unlink(from)) != 0)
        status = NEWT_EINVAL;
    if (status == NEWT_OK)
        status = sync_directory(from);
    free(from);
    free(to);
    return status;
}

int
file_recover(newt_conn *c, const char *directory, int *settled)
{
    DIR *d = opendir(directory);
    int status = d ? NEWT_OK : NEWT_EINVAL;

    *settled = 0;
    while (status == NEWT_OK) {
        const struct dirent *e = readdir(d);
        const char *name = e ? strstr(e->d_name, mark) : NULL;

        if (!e)
            break;
        if (!name)
            continue;
        status = settle(c, directory, e->d_name, name + 1);
        *settled += status == NEWT_OK;
    }
    if (d)
        closedir(d);
    return status;
}
