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
report_line(report *r, report_level level, const char *message, const report_field *fields)
{
    char time[48];
    stamp(time, sizeof time);
    if (r->bar)
        fputc('\n', stderr);
    r->bar = false;
    (r->json ? put_line_json : put_line_text)(level, time, message, fields);
    fflush(stderr);
}

void
report_progress(report *r, int64_t done, int64_t total, int64_t objects, double seconds)
{
    enum {
        WIDTH = 40
    };
    char bar[WIDTH + 1];
    double part = total > 0 && done < total ? (double)done / (double)total : 1;
    int full = (int)(part * WIDTH);
    memset(bar, '#', (size_t)full);
    memset(bar + full, '.', (size_t)(WIDTH - full));
    bar[WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3d %%  %" PRId64 " objects, %.0f/s\033[K", bar, (int)(part * 100),
            objects, seconds > 0 ? (double)objects / seconds : 0);
    fflush(stderr);
    r->bar = true;
}
