/*
 * progress.c - how far a load is, on standard error: a bar on a terminal, else a line now and then
 */
#include "page.h"

#include <stdio.h>
#include <unistd.h>

enum {
    CELLS = 32
};

void
progress_open(struct progress *p, const struct page *page, const char *what, uint64_t from,
              uint64_t total)
{
    *p = (struct progress){.what = what, .from = from, .done = from, .total = total};
    p->started = p->shown = now();
    p->bar = isatty(STDERR_FILENO);
    p->utf8 = page->utf8;
    fflush(stdout);
}

static void
bar(const struct progress *p, struct text rate)
{
    int full = p->total ? (int)(p->done * CELLS / p->total) : CELLS;

    fprintf(stderr, "\r  %-12s ", p->what);
    for (int i = 0; i < CELLS; i++)
        if (p->utf8)
            fputs(i < full ? "\xE2\x96\x88" : "\xE2\x96\x91", stderr);
        else
            fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, " %s of %s  %s/s\033[K", number(p->done).s, number(p->total).s, rate.s);
    fflush(stderr);
}

void
progress_to(struct progress *p, uint64_t done)
{
    double t = now();
    struct text rate = rate_text(done - p->from, t - p->started);

    p->done = done;
    if (t - p->shown < (p->bar ? 0.1 : 1.0))
        return;
    p->shown = t;
    if (p->bar)
        bar(p, rate);
    else
        fprintf(stderr, "demo: %s: %s of %s, %s/s\n", p->what, number(done).s, number(p->total).s,
                rate.s);
}

void
progress_close(struct progress *p)
{
    if (p->bar)
        fputs("\r\033[K", stderr); /* the table that follows tells the rest */
}
