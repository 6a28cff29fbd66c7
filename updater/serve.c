/* serve.c - a very small HTTP server, in a thread of its own */
#include "serve.h"

#include "clock.h"
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REQUEST = 2048,
    HEAD = 256
};

typedef struct client {
    int fd; /* -1: free */
    double until;
    size_t got, sent, n; /* n > 0: it is being answered */
    char request[REQUEST];
    char answer[HEAD + METRICS_TEXT];
} client;

struct serve {
    pthread_t thread;
    pthread_mutex_t lock;
    int listener, wake[2]; /* closing wake[1] ends the thread */
    char path[108];        /* of a Unix socket; "": none */
    size_t n;              /* the text, under the lock */
    char text[METRICS_TEXT];
    client clients[SERVE_CLIENTS];
};

/* ---- addresses ------------------------------------------------------------------------ */

static int
listen_at(int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address, size) == 0 && listen(fd, 16) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A socket that nobody listens to any more is in the way, and goes. */
static int
listen_unix(serve *s, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(at.sun_path, path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe >= 0 && connect(probe, (struct sockaddr *)&at, sizeof at) != 0 &&
        errno == ECONNREFUSED && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    if (probe >= 0)
        close(probe);
    int fd = listen_at(AF_UNIX, (struct sockaddr *)&at, sizeof at);
    if (fd >= 0)
        strcpy(s->path, path);
    return fd;
}

static int
listen_tcp(const char *address, char *why, size_t n)
{
    char host[256] = "localhost";
    const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *all = NULL;
    if (colon) {
        bool brackets = *address == '[' && colon > address + 1 && colon[-1] == ']';
        snprintf(host, sizeof host, "%.*s", (int)(colon - address - 2 * brackets),
                 address + brackets);
    }
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &all), fd = -1;
    if (rc != 0) {
        snprintf(why, n, "%s", gai_strerror(rc));
        return -1;
    }
    for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = listen_at(a->ai_family, a->ai_addr, a->ai_addrlen);
    if (fd < 0)
        snprintf(why, n, "%s", strerror(errno));
    freeaddrinfo(all);
    return fd;
}

/* ---- one client ----------------------------------------------------------------------- */

static void
hang_up(client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void
answer(serve *s, client *c)
{
    bool get = strncmp(c->request, "GET ", 4) == 0;
    const char *path = c->request + 4, *status = "200 OK";
    size_t length = strcspn(path, " ?\r\n");
    pthread_mutex_lock(&s->lock);
    size_t n = s->n;
    if (!get)
        status = "405 Method Not Allowed", n = 0;
    else if (length != 8 || memcmp(path, "/metrics", 8) != 0)
        status = "404 Not Found", n = 0;
    int head = snprintf(c->answer, HEAD,
                        "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                        status, n);
    memcpy(c->answer + head, s->text, n);
    pthread_mutex_unlock(&s->lock);
    c->n = (size_t)head + n;
    c->sent = 0;
}

/* Reads a request up to its empty line, then writes the answer, as far as either goes now. */
static void
serve_client(serve *s, client *c)
{
    if (c->n == 0) {
        ssize_t n = recv(c->fd, c->request + c->got, REQUEST - 1 - c->got, 0);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != EINTR))
                hang_up(c);
            return;
        }
        c->got += (size_t)n;
        c->request[c->got] = 0;
        if (!strstr(c->request, "\r\n\r\n") && !strstr(c->request, "\n\n")) {
            if (c->got == REQUEST - 1)
                hang_up(c);
            return;
        }
        answer(s, c);
    }
    ssize_t n = send(c->fd, c->answer + c->sent, c->n - c->sent, MSG_NOSIGNAL);
    if (n > 0)
        c->sent += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || c->sent == c->n) {
        shutdown(c->fd, SHUT_WR);
        hang_up(c);
    }
}

/* Where all places are taken, the client that has been there longest gives way. */
static void
accept_client(serve *s)
{
    client *c = &s->clients[0];
    for (int i = 0; i < SERVE_CLIENTS && c->fd >= 0; i++)
        if (s->clients[i].fd < 0 || s->clients[i].until < c->until)
            c = &s->clients[i];
    if (c->fd >= 0)
        hang_up(c);
    c->fd = accept(s->listener, NULL, NULL);
    c->got = c->sent = c->n = 0;
    c->until = clock_now() + SERVE_SECONDS;
    if (c->fd >= 0)
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

/* ---- all of them ---------------------------------------------------------------------- */

static void *
run(void *arg)
{
    serve *s = arg;
    for (;;) {
        struct pollfd fds[SERVE_CLIENTS + 2] = {{.fd = s->wake[0], .events = POLLIN}};
        int busy = 0;
        for (int i = 0; i < SERVE_CLIENTS; i++) {
            const client *c = &s->clients[i];
            fds[i + 2] = (struct pollfd){.fd = c->fd, .events = c->n ? POLLOUT : POLLIN};
            busy += c->fd >= 0;
        }
        fds[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
        poll(fds, SERVE_CLIENTS + 2, busy ? 200 : -1);
        if (fds[0].revents)
            return NULL;
        for (int i = 0; i < SERVE_CLIENTS; i++) {
            client *c = &s->clients[i];
            if (c->fd >= 0 && fds[i + 2].revents)
                serve_client(s, c);
            if (c->fd >= 0 && clock_now() > c->until)
                hang_up(c);
        }
        if (fds[1].revents)
            accept_client(s);
    }
}

serve *
serve_start(const char *address, char *why, size_t n)
{
    sigset_t all, before;
    serve *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(why, n, "out of memory");
        return NULL;
    }
    for (int i = 0; i < SERVE_CLIENTS; i++)
        s->clients[i].fd = -1;
    s->wake[0] = s->wake[1] = -1;
    pthread_mutex_init(&s->lock, NULL);
    if (strncmp(address, "unix:", 5) == 0) {
        s->listener = listen_unix(s, address + 5);
        snprintf(why, n, "%s", strerror(errno));
    } else {
        s->listener = listen_tcp(address, why, n);
    }
    /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = s->listener >= 0 && pipe(s->wake) == 0 &&
                   pthread_create(&s->thread, NULL, run, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        return s;
    if (s->listener >= 0)
        close(s->listener);
    for (int i = 0; i < 2; i++)
        if (s->wake[i] >= 0)
            close(s->wake[i]);
    free(s);
    return NULL;
}

void
serve_publish(serve *s, const char *text, size_t n)
{
    pthread_mutex_lock(&s->lock);
    memcpy(s->text, text, n);
    s->n = n;
    pthread_mutex_unlock(&s->lock);
}

void
serve_stop(serve *s)
{
    if (!s)
        return;
    close(s->wake[1]);
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->listener);
    for (int i = 0; i < SERVE_CLIENTS; i++)
        if (s->clients[i].fd >= 0)
            close(s->clients[i].fd);
    if (*s->path)
        unlink(s->path);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
