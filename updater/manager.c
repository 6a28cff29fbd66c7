/* manager.c - tells the service manager */
#include "manager.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
manager_init(manager *m)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"),
               *pid = getenv("WATCHDOG_PID");
    size_t n = path ? strlen(path) : 0;
    *m = (manager){.fd = -1};
    if (n < 2 || n >= sizeof to.sun_path || (*path != '/' && *path != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (*path == '@') /* the abstract namespace */
        to.sun_path[0] = 0;
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (m->fd >= 0 && connect(m->fd, (struct sockaddr *)&to, size) != 0) {
        close(m->fd);
        m->fd = -1;
    }
    if (usec && (!pid || atol(pid) == (long)getpid()))
        m->watchdog_s = atof(usec) / 2e6;
}

static void
tell(manager *m, const char *text)
{
    if (m->fd >= 0 && send(m->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* the manager's own trouble: nothing rests on it */
}

void
manager_status(manager *m, const char *status)
{
    char text[256];
    snprintf(text, sizeof text, "%sSTATUS=%s", m->ready ? "" : "READY=1\n", status);
    m->ready = true;
    tell(m, text);
}

void
manager_alive(manager *m, double now)
{
    if (m->watchdog_s > 0 && now - m->alive >= m->watchdog_s) {
        tell(m, "WATCHDOG=1");
        m->alive = now;
    }
}

void
manager_stopping(manager *m)
{
    tell(m, "STOPPING=1");
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}
