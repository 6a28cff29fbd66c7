/* metrics.c - the table of metrics, as text */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <newtdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(metrics, member)

static const struct {
    const char *name, *type;
    size_t at;
    int digits;
    const char *label, *help; /* label: one more, for a metric that has several lines */
} rows[] = {
    {"newt_updated_timestamp_seconds", "gauge", AT(time_s), 3, "", "When these were written."},
    {"newt_start_timestamp_seconds", "gauge", AT(start_s), 3, "", "When the process started."},
    {"newt_active", "gauge", AT(active), 0, "", "1: it follows; 0: a standby, or not connected."},
    {"newt_lag_seconds", "gauge", AT(lag_s), 6, "",
     "Age of the oldest transaction not yet seen; 0: none."},
    {"newt_backlog_transactions", "gauge", AT(backlog), 0, "",
     "Transactions not yet seen; at most 1000000 are counted."},
    {"newt_position_tid", "gauge", AT(position), 0, "", "Everything up to this tid was seen."},
    {"newt_copying", "gauge", AT(copying), 0, "", "1: it copies all objects; the lag says little."},
    {"newt_copied_oid", "gauge", AT(copied), 0, "", "The copy has come to this oid; 0: no copy."},
    {"newt_newest_tid", "gauge", AT(newest), 0, "", "Of the newest transaction."},
    {"newt_transactions_total", "counter", AT(transactions), 0, "", "Transactions seen."},
    {"newt_objects_total", "counter", AT(written), 0, "op=\"write\"",
     "Rows, or lines, written and removed."},
    {"newt_objects_total", "counter", AT(removed), 0, "op=\"remove\"", NULL},
    {"newt_partial_values_total", "counter", AT(partial), 0, "",
     "Values that could be shown only in part."},
    {"newt_rejected_rows_total", "counter", AT(rejected), 0, "", "Rows that the database refused."},
    {"newt_rejects", "gauge", AT(rejects), 0, "", "Objects that have no row, since it is refused."},
    {"newt_batches_total", "counter", AT(batches), 0, "", "Batches committed."},
    {"newt_batch_seconds", "gauge", AT(batch_s), 6, "", "What the last batch took."},
    {"newt_batch_seconds_total", "counter", AT(batches_s), 6, "", "What all of them took."},
    {"newt_errors_total", "counter", AT(errors), 0, "", "Errors that were waited out."},
    {"newt_retries_total", "counter", AT(retries), 0, "",
     "Times that a batch was tried again, since the output was in trouble."},
    {"newt_copies_total", "counter", AT(copies), 0, "",
     "Copies of all objects that were completed, the first one too."},
    {"newt_commit_lock_holder_pid", "gauge", AT(holder_pid), 0, "",
     "Server process that holds the commit lock; 0: nobody."},
    {"newt_commit_lock_seconds", "gauge", AT(holder_s), 6, "",
     "Since the transaction of the holder began."},
    {"newt_oldest_transaction_seconds", "gauge", AT(oldest_s), 6, "",
     "Age of the oldest open transaction in the database."},
    {"newt_retained_transactions", "gauge", AT(kept), 0, "", "Transactions kept, about."},
    {"newt_retained_seconds", "gauge", AT(kept_s), 3, "", "Age of the oldest of them."},
    {"newt_pruned_total", "counter", AT(pruned), 0, "", "Transactions removed by retention."},
};

typedef struct text {
    char *p;
    size_t n;
} text;

__attribute__((format(printf, 2, 3))) static void
put(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->p + t->n, METRICS_TEXT - t->n, format, args);
    va_end(args);
    if (n > 0)
        t->n = t->n + (size_t)n < METRICS_TEXT ? t->n + (size_t)n : METRICS_TEXT - 1;
}

/* A label's value; room for every byte escaped. */
static void
escape(char *out, size_t room, const char *value)
{
    char *o = out;
    for (; *value && o + 3 < out + room; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n')
            *o++ = '\\';
        *o++ = *value == '\n' ? 'n' : *value;
    }
    *o = 0;
}

size_t
metrics_text(const metrics *m, const char *store, const char *follower, const char *sink,
             char out[METRICS_TEXT])
{
    text t = {.p = out};
    char labels[1200], value[512];
    size_t n = 0;
    escape(value, sizeof value, store);
    n = (size_t)snprintf(labels, sizeof labels, "store=\"%s\"", value);
    escape(value, sizeof value, follower);
    snprintf(labels + n, sizeof labels - n, ",follower=\"%s\"", value);
    put(&t,
        "# HELP newt_info What writes: its sink and version.\n# TYPE newt_info gauge\n"
        "newt_info{%s,sink=\"%s\",version=\"" NEWT_VERSION "\"} 1\n",
        labels, sink);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].help)
            put(&t, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                rows[i].type);
        put(&t, "%s{%s%s%s} %.*f\n", rows[i].name, labels, *rows[i].label ? "," : "", rows[i].label,
            rows[i].digits, *(const double *)(const void *)((const char *)m + rows[i].at));
    }
    return t.n;
}

int
metrics_write(const char *path, const char *all, size_t n)
{
    char other[4096];
    int error = 0;
    if ((size_t)snprintf(other, sizeof other, "%s.new", path) >= sizeof other)
        return ENAMETOOLONG;
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    ssize_t got = write(fd, all, n);
    if (got != (ssize_t)n)
        error = got < 0 ? errno : ENOSPC;
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error && rename(other, path) != 0)
        error = errno;
    if (error)
        unlink(other);
    return error;
}
