/*
 * metrics.h - what is measured, and its text as Prometheus reads it
 *
 * One table (metrics.c) has the name, the type and the help of each.
 */
#ifndef NEWT_UPDATER_METRICS_H
#define NEWT_UPDATER_METRICS_H

#include <stddef.h>

/* All are numbers of double: they hold integers up to 2^53. */
typedef struct metrics {
    double time_s, start_s, active;
    double lag_s, backlog, position, newest, copying, copied;
    double transactions, written, removed, partial, rejected, rejects;
    double batches, batch_s, batches_s; /* the last one, and all */
    double errors, retries, copies;
    double holder_pid, holder_s, oldest_s;
    double kept, kept_s, pruned;
} metrics;

enum {
    METRICS_TEXT = 16384
};

/* The text, with NUL; its length. */
size_t metrics_text(const metrics *m, const char *store, const char *follower, const char *sink,
                    char out[METRICS_TEXT]);
/* Writes it to path, all at once; 0, or errno. */
int metrics_write(const char *path, const char *all, size_t n);

#endif
