/*
 * report.h - what the updater says on stderr: log lines for people or programs, a progress bar
 */
#ifndef NEWT_UPDATER_REPORT_H
#define NEWT_UPDATER_REPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum report_level {
    REPORT_INFO,
    REPORT_WARNING,
    REPORT_ERROR
} report_level;

/* A named value of a line: text, or a number where text is NULL. Fields end with a NULL name;
 * empty text is left out. */
typedef struct report_field {
    const char *name;
    const char *text;
    int64_t number;
} report_field;

typedef struct report {
    pthread_mutex_t lock; /* threads that write rows tell of refused ones */
    bool json;            /* one JSON object a line instead of text */
    bool terminal;        /* progress is a bar; else a line from time to time */
    bool bar;             /* it stands on the last line of the terminal */
    double shown;         /* when progress was shown last */
} report;

void report_init(report *r);
void report_line(report *r, report_level level, const char *message, const report_field *fields);

typedef struct report_done {
    int64_t done, total; /* 0: not known */
    int64_t objects;
    double seconds, now;
} report_done;

/* Shows how far it is, if it is time to; `last`: whatever the time, on a terminal. */
void report_progress(report *r, const report_done *d, bool last);

#endif
