/*
 * child.c - another program, run beside this one; no shell in between, so nothing needs quoting
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool
child_start(struct child *child, const char *const *argv, bool errors)
{
    int ends[2];

    if (pipe(ends) != 0)
        return false;
    child->pid = fork();
    if (child->pid == 0) {
        int null = open("/dev/null", O_RDONLY);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0 ||
            (errors && dup2(ends[1], STDERR_FILENO) < 0))
            _exit(127);
        close(null);
        close(ends[0]);
        close(ends[1]);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    if (child->pid < 0) {
        close(ends[0]);
        return false;
    }
    child->out = ends[0];
    return true;
}

char *
read_all(int fd, size_t *n)
{
    size_t cap = 1 << 16;
    char *text = malloc(cap), *more;
    ssize_t got = 1;

    for (*n = 0; text && got != 0;) {
        if (cap - *n < 2) {
            more = cap <= SIZE_MAX / 2 ? realloc(text, cap * 2) : NULL;
            if (!more)
                break;
            text = more;
            cap *= 2;
        }
        got = read(fd, text + *n, cap - *n - 1);
        if (got < 0 && errno != EINTR)
            break;
        *n += got > 0 ? (size_t)got : 0;
    }
    if (!text || got != 0) {
        free(text);
        return NULL;
    }
    text[*n] = 0;
    return text;
}

char *
child_read(struct child *child, size_t *n)
{
    return read_all(child->out, n);
}

static int
status_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool
child_running(struct child *child)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

int
child_end(struct child *child)
{
    int status = 0;

    close(child->out);
    while (waitpid(child->pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return status_of(status);
}
