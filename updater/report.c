/* report.c - log lines and the progress bar */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static const char *const level_names[] = {"info", "warning", "error"};

/* Time in UTC with milliseconds, as RFC 3339 has it. */
static void
stamp(char *out, size_t n)
{
    struct timeval t;
    struct tm utc;
    char seconds[32];
    gettimeofday(&t, NULL);
    time_t s = t.tv_sec;
    gmtime_r(&s, &utc);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, n, "%s.%03dZ", seconds, (int)(t.tv_usec / 1000));
}

/* Text as a JSON string. What comes here is UTF-8: from the server, or the program's own. */
static void
put_json(const char *s)
{
    fputc('"', stderr);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(stderr, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            fprintf(stderr, "\\u%04x", *s);
        else
            fputc(*s, stderr);
    }
    fputc('"', stderr);
}

/* Text on one line of the log. */
static void
put_text(const char *s)
{
    for (; *s; s++)
        fputc((unsigned char)*s < 0x20 ? ' ' : *s, stderr);
}

static void
put_line_json(report_level level, const char *time, const char *message, const report_field *f)
{
    fprintf(stderr, "{\"time\": \"%s\", \"level\": \"%s\", \"message\": ", time,
            level_names[level]);
    put_json(message);
    for (; f && f->name; f++) {
        if (f->text && !*f->text)
            continue;
        fprintf(stderr, ", \"%s\": ", f->name);
        if (f->text)
            put_json(f->text);
        else
            fprintf(stderr, "%" PRId64, f->number);
    }
    fputs("}\n", stderr);
}

static void
put_line_text(report_level level, const char *time, const char *message, const report_field *f)
{
    const char *between = " (";
    fprintf(stderr, "%s newt-updater: %s: ", time, level_names[level]);
    put_text(message);
    for (; f && f->name; f++) {
        if (f->text && !*f->text)
            continue;
        fprintf(stderr, "%s%s: ", between, f->name);
        if (f->text)
            put_text(f->text);
        else
            fprintf(stderr, "%" PRId64, f->number);
        between = ", ";
    }
    fputs(*between == ',' ? ")\n" : "\n", stderr);
}

void
report_init(report *r)
{
    *r = (report){.json = false};
    pthread_mutex_init(&r->lock, NULL);
}

void
report_line(report *r, report_level level, const char *message, const report_field *fields)
{
    char time[48];
    stamp(time, sizeof time);
    pthread_mutex_lock(&r->lock);
    if (r->bar)
        fputc('\n', stderr);
    r->bar = false;
    (r->json ? put_line_json : put_line_text)(level, time, message, fields);
    fflush(stderr);
    pthread_mutex_unlock(&r->lock);
}

/* ---- progress ------------------------------------------------------------------------- */

static void
put_bar(report *r, const report_done *d, double part, double rate, int64_t left)
{
    enum {
        WIDTH = 40
    };
    char bar[WIDTH + 1], time[32] = "";
    int full = (int)(part * WIDTH);
    memset(bar, '#', (size_t)full);
    memset(bar + full, '.', (size_t)(WIDTH - full));
    bar[WIDTH] = 0;
    if (left > 0)
        snprintf(time, sizeof time, ", %" PRId64 ":%02d:%02d left", left / 3600,
                 (int)(left / 60 % 60), (int)(left % 60));
    pthread_mutex_lock(&r->lock);
    fprintf(stderr, "\r[%s] %3d %%  %" PRId64 " objects, %.0f/s%s\033[K", bar, (int)(part * 100),
            d->objects, rate, time);
    fflush(stderr);
    r->bar = true;
    pthread_mutex_unlock(&r->lock);
}

void
report_progress(report *r, const report_done *d, bool last)
{
    const double pause = r->terminal ? 0.1 : 5;
    if (r->shown == 0) /* nothing is said of what is done soon */
        r->shown = r->terminal ? d->now - pause : d->now;
    if (last ? !r->terminal : d->now - r->shown < pause)
        return;
    r->shown = d->now;
    double part = d->total > 0 && d->done < d->total ? (double)d->done / (double)d->total : 1;
    double rate = d->seconds > 0 ? (double)d->objects / d->seconds : 0;
    int64_t left = part > 0 && part < 1 ? (int64_t)(d->seconds / part * (1 - part) + 0.5) : 0;
    if (r->terminal) {
        put_bar(r, d, part, rate, left);
        return;
    }
    report_field fields[] = {{"percent", NULL, (int64_t)(part * 100)},
                             {"objects", NULL, d->objects},
                             {"objects_per_s", NULL, (int64_t)rate},
                             {"seconds_left", NULL, left},
                             {NULL, NULL, 0}};
    report_line(r, REPORT_INFO, "progress", fields);
}
