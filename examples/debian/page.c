/*
 * page.c - headings, lines and tables on standard output
 */
#include "page.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    WIDEST = 110,
    USUAL = 96,
    INDENT = 2,
    MOST_COLUMNS = 12
};

static const char bold[] = "\033[1m", blue[] = "\033[1;34m", red[] = "\033[31m", grey[] = "\033[2m",
                  cyan[] = "\033[36m", plain[] = "\033[0m";

void
page_open(struct page *page)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size = {0};

    /* of the locale only the characters: numbers keep their points */
    page->utf8 = setlocale(LC_CTYPE, "") && MB_CUR_MAX > 1;
    page->width = USUAL;
    page->colour = false;
    if (isatty(STDOUT_FILENO)) {
        page->colour = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
            page->width = size.ws_col < WIDEST ? size.ws_col : WIDEST;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static const char *
ink(const struct page *page, const char *colour)
{
    return page->colour ? colour : "";
}

void
heading(const struct page *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("\n%s", ink(page, blue));
    vprintf(format, args);
    printf("%s\n\n", ink(page, plain));
    va_end(args);
}

static void
lines(const char *before, const char *text, const char *after)
{
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        if (end == text)
            printf("\n");
        else
            printf("%s%.*s%s\n", before, (int)(end - text), text, after);
    }
}

static void
show(const struct page *page, const char *colour, const char *format, va_list args)
{
    char text[2048], before[32];

    vsnprintf(text, sizeof text, format, args);
    snprintf(before, sizeof before, "%*s%s", INDENT, "", ink(page, colour));
    lines(before, text, *colour ? ink(page, plain) : "");
}

void
say(const struct page *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    show(page, "", format, args);
    va_end(args);
}

void
aside(const struct page *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    show(page, grey, format, args);
    va_end(args);
}

void
quote(const struct page *page, const char *text)
{
    char before[32];

    snprintf(before, sizeof before, "%*s%s", INDENT + 2, "", ink(page, cyan));
    lines(before, text, ink(page, plain));
}

void
complain(const struct page *page, const char *format, ...)
{
    bool colour = page->colour && isatty(STDERR_FILENO);
    va_list args;

    fflush(stdout);
    va_start(args, format);
    fprintf(stderr, "%sdemo: ", colour ? red : "");
    vfprintf(stderr, format, args);
    fprintf(stderr, "%s\n", colour ? plain : "");
    va_end(args);
}

/* ---- numbers -------------------------------------------------------------------------------- */

struct text
number(uint64_t n)
{
    struct text digits, out;
    size_t length = (size_t)snprintf(digits.s, sizeof digits.s, "%llu", (unsigned long long)n);
    char *to = out.s;

    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits.s[i];
    }
    *to = 0;
    return out;
}

struct text
size_text(uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double x = (double)bytes;
    size_t unit = 0;
    struct text out;

    for (; x >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        x /= 1000;
    snprintf(out.s, sizeof out.s, "%.*f %s", unit && x < 99.95, x, units[unit]);
    return out;
}

struct text
time_text(double seconds)
{
    struct text out;

    if (seconds < 0.9995)
        snprintf(out.s, sizeof out.s, "%.*f ms", seconds < 0.01 ? 2 : seconds < 0.1,
                 seconds * 1000);
    else
        snprintf(out.s, sizeof out.s, "%.1f s", seconds);
    return out;
}

struct text
rate_text(uint64_t n, double seconds)
{
    return number(seconds > 0 ? (uint64_t)((double)n / seconds) : 0);
}

double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- tables --------------------------------------------------------------------------------- */

void
table_cell(struct table *table, const char *text)
{
    if (table->n == table->cap) {
        size_t cap = table->cap ? table->cap * 2 : 64;
        char **more = realloc(table->cells, cap * sizeof *more);

        if (!more)
            return;
        table->cells = more;
        table->cap = cap;
    }
    table->cells[table->n++] = strdup(text);
}

static void
row(struct table *table, va_list args)
{
    for (size_t i = 0; i < table->columns; i++)
        table_cell(table, va_arg(args, const char *));
}

void
table_open(struct table *table, const char *align, ...)
{
    va_list args;

    *table = (struct table){.align = align, .columns = strlen(align)};
    va_start(args, align);
    row(table, args);
    va_end(args);
}

void
table_row(struct table *table, ...)
{
    va_list args;

    va_start(args, table);
    row(table, args);
    va_end(args);
}

/* Characters, counted as bytes that begin one. */
static int
characters(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* The bytes of at most n characters, and only of the first line. */
static int
cut(const char *s, int n)
{
    int i = 0;

    for (; s[i] && s[i] != '\n'; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80 && n-- == 0)
            break;
    return i;
}

static void
cell(const struct table *table, const struct page *page, size_t i, int width, bool last)
{
    const char *s = table->cells[i] ? table->cells[i] : "?", *dots = "";
    int length = characters(s), bytes = (int)strlen(s), pad;

    if (length > width || strchr(s, '\n')) {
        dots = page->utf8 ? "\xE2\x80\xA6" : "...";
        bytes = cut(s, width - (page->utf8 ? 1 : 3));
        length = width;
    }
    pad = width > length ? width - length : 0;
    if (table->align[i % table->columns] == 'r')
        printf("%*s%.*s%s", pad, "", bytes, s, dots);
    else
        printf("%.*s%s%*s", bytes, s, dots, last ? 0 : pad, "");
}

void
table_show(struct table *table, const struct page *page)
{
    size_t columns = table->columns, rows = table->n / columns;
    int widths[MOST_COLUMNS] = {0}, left = page->width - INDENT;

    for (size_t i = 0; i < table->n; i++) {
        int n = table->cells[i] ? characters(table->cells[i]) : 1;

        if (n > widths[i % columns])
            widths[i % columns] = n;
    }
    for (size_t c = 0; c < columns; c++) {
        if (widths[c] > left)
            widths[c] = left > 8 ? left : 8;
        left -= widths[c] + 2;
    }
    for (size_t r = 0; r < rows; r++) {
        printf("%*s%s", INDENT, "", r ? "" : ink(page, bold));
        for (size_t c = 0; c < columns; c++) {
            cell(table, page, r * columns + c, widths[c], c + 1 == columns);
            if (c + 1 < columns)
                printf("  ");
        }
        printf("%s\n", r ? "" : ink(page, plain));
    }
    table_close(table);
}

void
table_close(struct table *table)
{
    for (size_t i = 0; i < table->n; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}
