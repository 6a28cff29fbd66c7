/*
 * page.h - what the demo shows: headings, lines, tables, a progress bar
 *
 * Results go to standard output, progress to standard error. Colours and the moving bar are for
 * terminals; NO_COLOR turns the colours off.
 */
#ifndef DEMO_PAGE_H
#define DEMO_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page {
    bool colour, utf8;
    int width; /* of a line */
};

struct text { /* a short text by value: number(5).s */
    char s[48];
};

void page_open(struct page *page);
void heading(const struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line or more, indented. */
void say(const struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* SQL or output of a program, shown as it is but set back. */
void quote(const struct page *page, const char *text);
/* What a step took, or which index answered it: less prominent. */
void aside(const struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void complain(const struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct text number(uint64_t n);        /* 63,666 */
struct text size_text(uint64_t bytes); /* 4.2 GB */
struct text time_text(double seconds); /* 3.1 ms */
struct text rate_text(uint64_t n, double seconds);
double now(void); /* seconds, of a clock that only goes forward */

/* ---- tables: columns as wide as they need, the last one cut to the line --------------------- */

struct table {
    const char *align; /* a letter a column: 'l' or 'r' */
    char **cells;      /* NULL: there was no memory for it */
    size_t columns, n, cap;
};

/* The headers follow, as many as align has letters. */
void table_open(struct table *table, const char *align, ...);
void table_row(struct table *table, ...);
void table_cell(struct table *table, const char *text);        /* or cell by cell */
void table_show(struct table *table, const struct page *page); /* and closes it */
void table_close(struct table *table);

/* ---- progress ------------------------------------------------------------------------------- */

struct progress {
    const char *what;
    uint64_t from, done, total;
    double started, shown;
    bool bar, utf8;
};

void progress_open(struct progress *p, const struct page *page, const char *what, uint64_t from,
                   uint64_t total);
void progress_to(struct progress *p, uint64_t done);
void progress_close(struct progress *p);

#endif
