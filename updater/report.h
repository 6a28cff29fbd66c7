/*
 * report.h - what the updater says on stderr: log lines for people or programs, a progress bar
 */
#ifndef NEWT_UPDATER_REPORT_H
#define NEWT_UPDATER_REPORT_H

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
    bool json; /* one JSON object a line instead of text */
    bool bar;  /* the progress bar stands on the last line of the terminal */
} report;

void report_line(report *r, report_level level, const char *message, const report_field *fields);

/* Draws the bar: done of total transactions, objects so far and a second. */
void report_progress(report *r, int64_t done, int64_t total, int64_t objects, double seconds);

#endif
