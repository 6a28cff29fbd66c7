/*
 * serve.h - one text, served by HTTP as GET /metrics
 *
 * A thread of its own hands out what was published last, so that an answer comes although the
 * server does not. At most SERVE_CLIENTS at a time, each for SERVE_SECONDS: others wait to be
 * accepted.
 */
#ifndef NEWT_UPDATER_SERVE_H
#define NEWT_UPDATER_SERVE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    SERVE_CLIENTS = 8,
    SERVE_SECONDS = 5
};

typedef struct serve serve;

/* address: [HOST:]PORT, the host being localhost, or unix:PATH. NULL: *why says why not. */
serve *serve_start(const char *address, char *why, size_t n);
void serve_publish(serve *s, const char *text, size_t n);
void serve_stop(serve *s); /* NULL is fine */

#endif
