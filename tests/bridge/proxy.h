/*
 * proxy.h - stands between library and server: counts messages, holds answers back, cuts
 *
 * Listens on a unix socket of its own, and passes on whole messages of the protocol. What it does
 * beyond that is armed for the next messages of all its connections, and done once.
 */
#ifndef NEWT_TESTS_PROXY_H
#define NEWT_TESTS_PROXY_H

#ifdef NEWT_TESTS_DAEMON_H
static char test_database[64]; /* the updater's tests have others than those of the library */
#else
#    include "server.h"
#endif

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct proxy {
    char dir[32], uri[200];
    int listener;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    bool stop;
    int connections; /* threads that are at work */
    /* since they were reset */
    int from_client, from_server, syncs, client_turns;
    int64_t client_bytes, server_bytes;
    /* armed: negative is off */
    int hold_syncs; /* syncs that must have come from the client before an answer is passed on */
    int cut_client; /* messages of the client that are passed on before both sides are cut */
    int cut_server; /* the same of the server */
    int then_cut;  /* after that cut: messages of the server on later connections, then cut again */
    bool cut;      /* has happened */
    int cuts;      /* how many times */
    bool farewell; /* before it cuts it tells the client so, as PgBouncer does */
    /* messages of the client that are passed on before its connection stands still, in both
     * directions, until it is let go on; abandon: at once cut on the client's side, so that the
     * server gets the rest late, from nobody */
    int stall_client, stall_syncs; /* ... or of its syncs */
    int first_sync;                /* the messages that came before it */
    bool abandon, stalled, go_on;
    bool rolls_back; /* each COMMIT that the client prepares from now on is a ROLLBACK */
} proxy;

typedef struct proxied {
    proxy *p;
    int client, server;
    bool started; /* the start-up message, which has no type, is through */
    bool stalled;
} proxied;

typedef struct proxy_buffer {
    char *data;
    size_t n, cap;
} proxy_buffer;

static bool
proxy_read(int fd, proxy_buffer *b)
{
    ssize_t got;

    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 65536;
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            abort();
    }
    got = recv(fd, b->data + b->n, b->cap - b->n, 0);
    if (got <= 0)
        return false;
    b->n += (size_t)got;
    return true;
}

static bool
proxy_write(int fd, const char *s, size_t n)
{
    while (n > 0) {
        ssize_t put = send(fd, s, n, MSG_NOSIGNAL);

        if (put <= 0)
            return false;
        s += put;
        n -= (size_t)put;
    }
    return true;
}

/* The length of the first message; 0: it is not complete. */
static size_t
proxy_message(const proxy_buffer *b, bool typed)
{
    const unsigned char *s = (const unsigned char *)b->data + typed;
    size_t n;

    if (b->n < 4u + typed)
        return 0;
    n = ((size_t)s[0] << 24 | (size_t)s[1] << 16 | (size_t)s[2] << 8 | s[3]) + typed;
    return b->n >= n ? n : 0;
}

static void
proxy_take(proxy_buffer *b, size_t n)
{
    memmove(b->data, b->data + n, b->n - n);
    b->n -= n;
}

/* What PgBouncer says when it has lost the server. */
static void
proxy_farewell(int client)
{
    static const char fields[] = "SFATAL\0C08P01\0Mserver conn crashed?\0";
    unsigned char head[5] = {'E', 0, 0, 0, 4 + sizeof fields};

    proxy_write(client, (const char *)head, sizeof head);
    proxy_write(client, fields, sizeof fields);
}

/* The first message, if it is a Parse of COMMIT, becomes one of ROLLBACK. */
static void
proxy_roll_back(proxy_buffer *b, size_t *n)
{
    static const char from[] = "COMMIT", to[] = "ROLLBACK";
    enum {
        HEAD = 5,
        MORE = sizeof to - sizeof from
    };
    size_t name = *n > HEAD && *b->data == 'P' ? strnlen(b->data + HEAD, *n - HEAD) : *n;
    size_t at = HEAD + name + 1, length = *n - 1 + MORE;

    if (at + sizeof from > *n || memcmp(b->data + at, from, sizeof from) != 0)
        return;
    if (b->cap - b->n < MORE) {
        b->cap += 65536;
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            abort();
    }
    memmove(b->data + at + sizeof to, b->data + at + sizeof from, b->n - at - sizeof from);
    memcpy(b->data + at, to, sizeof to);
    for (int i = 0; i < 4; i++)
        b->data[1 + i] = (char)(length >> (24 - 8 * i));
    b->n += MORE;
    *n += MORE;
}

/* Passes on what has come; false: the connection ends here. */
static bool
proxy_pass(proxied *x, proxy_buffer *b, bool to_server)
{
    proxy *p = x->p;
    size_t n;

    while ((n = proxy_message(b, !to_server || x->started)) > 0) {
        bool counts = !to_server || x->started, cut = false, hold = false;

        pthread_mutex_lock(&p->mutex);
        if (counts && to_server && (p->stall_client == 0 || p->stall_syncs == p->syncs)) {
            x->stalled = p->stalled = true;
            p->stall_client = p->stall_syncs = -1;
        }
        x->stalled &= !p->go_on;
        hold = x->stalled;
        if (hold) {
            pthread_mutex_unlock(&p->mutex);
            return true;
        }
        if (counts && to_server && p->rolls_back)
            proxy_roll_back(b, &n);
        if (counts && to_server) {
            p->stall_client -= p->stall_client > 0;
            cut = p->cut_client == 0;
            p->cut_client -= p->cut_client > 0;
            p->from_client += !cut;
            p->client_bytes += (int64_t)n;
            if (b->data[0] == 'S' && !cut && p->syncs++ == 0)
                p->first_sync = p->from_client - 1;
        } else if (counts) {
            hold = p->hold_syncs > p->syncs;
            cut = !hold && p->cut_server == 0;
            p->cut_server -= !hold && p->cut_server > 0;
            p->from_server += !hold && !cut;
            p->server_bytes += hold ? 0 : (int64_t)n;
        }
        if (cut) {
            p->cut = true;
            p->cuts++;
            p->cut_client = -1;
            p->cut_server = p->then_cut;
            p->then_cut = -1;
        }
        pthread_mutex_unlock(&p->mutex);
        if (cut && p->farewell)
            proxy_farewell(x->client);
        if (cut)
            return false;
        if (hold)
            return true;
        if (!proxy_write(to_server ? x->server : x->client, b->data, n))
            return false;
        if (to_server)
            x->started = true;
        proxy_take(b, n);
    }
    return true;
}

static void *
proxy_connection(void *arg)
{
    proxied *x = arg;
    proxy_buffer up = {0}, down = {0};
    bool up_next = true;

    for (;;) {
        struct pollfd fd[2] = {{x->client, POLLIN, 0}, {x->server, POLLIN, 0}};

        if (poll(fd, 2, x->stalled ? 5 : 50) < 0)
            break;
        if (x->stalled && x->p->abandon && x->client >= 0 && !fd[0].revents) {
            close(x->client); /* all that it has sent is here */
            x->client = -1;
        }
        if (fd[0].revents && !proxy_read(x->client, &up))
            break;
        if (fd[0].revents && up_next) {
            pthread_mutex_lock(&x->p->mutex);
            x->p->client_turns++;
            pthread_mutex_unlock(&x->p->mutex);
            up_next = false;
        }
        if (!proxy_pass(x, &up, true))
            break;
        if (fd[1].revents && !proxy_read(x->server, &down)) {
            proxy_pass(x, &down, false);
            break;
        }
        if (x->client < 0) { /* nobody to tell; the server has read all when it closes */
            down.n = 0;
            if (!x->stalled && up.n == 0)
                shutdown(x->server, SHUT_WR);
            continue;
        }
        if (!proxy_pass(x, &down, false))
            break;
        if (fd[1].revents && down.n == 0)
            up_next = true;
    }
    close(x->client);
    close(x->server);
    free(up.data);
    free(down.data);
    pthread_mutex_lock(&x->p->mutex);
    x->p->connections--;
    pthread_mutex_unlock(&x->p->mutex);
    free(x);
    return NULL;
}

static int
proxy_socket(struct sockaddr_un *address, const char *dir)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s/.s.PGSQL.5432", dir);
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void *
proxy_listen(void *arg)
{
    proxy *p = arg;
    struct sockaddr_un address;

    for (;;) {
        proxied *x = calloc(1, sizeof *x);
        pthread_t t;
        bool stop;

        x->p = p;
        x->client = accept(p->listener, NULL, NULL);
        pthread_mutex_lock(&p->mutex);
        stop = p->stop;
        pthread_mutex_unlock(&p->mutex);
        x->server = proxy_socket(&address, getenv("PGHOST"));
        if (stop || x->client < 0 ||
            connect(x->server, (struct sockaddr *)&address, sizeof address) != 0) {
            close(x->client);
            close(x->server);
            free(x);
            if (stop)
                return NULL;
            continue;
        }
        pthread_mutex_lock(&p->mutex);
        p->connections++;
        pthread_mutex_unlock(&p->mutex);
        if (pthread_create(&t, NULL, proxy_connection, x) != 0)
            abort();
        pthread_detach(t);
    }
}

UNUSED static void
proxy_start(proxy *p)
{
    struct sockaddr_un address;

    *p = (proxy){.hold_syncs = -1,
                 .cut_client = -1,
                 .cut_server = -1,
                 .then_cut = -1,
                 .stall_client = -1,
                 .stall_syncs = -1};
    pthread_mutex_init(&p->mutex, NULL);
    strcpy(p->dir, "/tmp/newt_proxy_XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->listener = proxy_socket(&address, p->dir);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_listen, p), 0);
    snprintf(p->uri, sizeof p->uri, "postgresql:///%s?host=%s&port=5432&user=%s",
             *test_database ? test_database : getenv("PGDATABASE"), p->dir, getenv("PGUSER"));
}

static int
proxy_connections(proxy *p)
{
    int n;

    pthread_mutex_lock(&p->mutex);
    n = p->connections;
    pthread_mutex_unlock(&p->mutex);
    return n;
}

/* After the end of all that led through it. */
UNUSED static void
proxy_stop(proxy *p)
{
    char path[64];
    struct sockaddr_un address;
    int knock = proxy_socket(&address, p->dir);

    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_mutex_unlock(&p->mutex);
    connect(knock, (struct sockaddr *)&address, sizeof address);
    pthread_join(p->thread, NULL);
    wait_until(proxy_connections(p) == 0);
    pthread_mutex_destroy(&p->mutex);
    close(knock);
    close(p->listener);
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", p->dir);
    unlink(path);
    rmdir(p->dir);
}

/* Counts from now on, and arms. */
UNUSED static void
proxy_arm(proxy *p, int hold_syncs, int cut_client, int cut_server)
{
    pthread_mutex_lock(&p->mutex);
    p->from_client = p->from_server = p->syncs = p->client_turns = 0;
    p->client_bytes = p->server_bytes = 0;
    p->hold_syncs = hold_syncs;
    p->cut_client = cut_client;
    p->cut_server = cut_server;
    p->then_cut = -1;
    p->cuts = 0;
    p->cut = p->stalled = p->go_on = false;
    p->stall_client = p->stall_syncs = -1;
    pthread_mutex_unlock(&p->mutex);
}

/* Arms a second cut, after the one that is armed. */
UNUSED static void
proxy_then_cut(proxy *p, int cut_server)
{
    pthread_mutex_lock(&p->mutex);
    p->then_cut = cut_server;
    pthread_mutex_unlock(&p->mutex);
}

/* Arms a standstill. */
UNUSED static void
proxy_stall(proxy *p, int at, int syncs, bool abandon)
{
    proxy_arm(p, -1, -1, -1);
    pthread_mutex_lock(&p->mutex);
    p->stall_client = at;
    p->stall_syncs = syncs;
    p->abandon = abandon;
    pthread_mutex_unlock(&p->mutex);
}

UNUSED static void
proxy_rolls_back(proxy *p)
{
    pthread_mutex_lock(&p->mutex);
    p->rolls_back = true;
    pthread_mutex_unlock(&p->mutex);
}

UNUSED static bool
proxy_stalled(proxy *p)
{
    bool stalled;

    pthread_mutex_lock(&p->mutex);
    stalled = p->stalled;
    pthread_mutex_unlock(&p->mutex);
    return stalled;
}

UNUSED static void
proxy_go_on(proxy *p)
{
    pthread_mutex_lock(&p->mutex);
    p->go_on = true;
    p->stall_client = p->stall_syncs = -1;
    pthread_mutex_unlock(&p->mutex);
}

/* What it has counted; and nothing is armed any more. */
UNUSED static proxy
proxy_counts(proxy *p)
{
    proxy counts;

    pthread_mutex_lock(&p->mutex);
    counts = *p;
    p->hold_syncs = p->cut_client = p->cut_server = p->then_cut = -1;
    pthread_mutex_unlock(&p->mutex);
    return counts;
}

#endif
