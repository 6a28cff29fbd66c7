/*
 * conn.c - the phases of a transaction, and what a connection reports
 */
#include "conn.h"

#include <stdlib.h>
#include <time.h>

enum {
    NONE = -1
};

/* clang-format off */
static const signed char transitions[NEWT__N_PHASES][NEWT__N_PASSAGES] = {
    /*                     begins      opens       breaks             mends       dooms         ends       */
    [NEWT__IDLE]        = {NEWT__LAZY, NONE,       NEWT__IDLE,        NONE,       NEWT__IDLE,   NEWT__IDLE},
    [NEWT__LAZY]        = {NONE,       NEWT__OPEN, NEWT__BROKEN_LAZY, NEWT__LAZY, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__OPEN]        = {NONE,       NONE,       NEWT__BROKEN_OPEN, NEWT__OPEN, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__BROKEN_LAZY] = {NONE,       NONE,       NEWT__BROKEN_LAZY, NEWT__LAZY, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__BROKEN_OPEN] = {NONE,       NONE,       NEWT__BROKEN_OPEN, NEWT__OPEN, NEWT__DOOMED, NEWT__IDLE},
    [NEWT__DOOMED]      = {NONE,       NONE,       NEWT__DOOMED,      NONE,       NEWT__DOOMED, NEWT__IDLE},
};
/* clang-format on */

bool
newt__base_move(newt__base *b, newt__passage passage)
{
    int to = transitions[b->phase][passage];

    if (to != NONE)
        b->phase = (newt__phase)to;
    if (b->moved)
        b->moved(b);
    return to != NONE;
}

int
newt__base_fail(newt__base *b, int status, int64_t oid, const char *format, ...)
{
    va_list args;

    if (newt__base_is_over(b))
        return b->error.status;
    if (b->kept)
        return status;
    va_start(args, format);
    newt__fail_text(&b->error, status, oid, format, args);
    va_end(args);
    return status;
}

int
newt__base_fail_with(newt__base *b, newt_error *e)
{
    int status = e->status;

    if (newt__base_is_over(b) || b->kept)
        newt__error_clear(e);
    else
        newt__error_move(&b->error, e);
    return status;
}

int
newt__base_fail_memory(newt__base *b)
{
    newt_error e = {0};

    newt__fail_memory(&e);
    return newt__base_fail_with(b, &e);
}

int
newt__base_doom(newt__base *b)
{
    newt__base_move(b, NEWT__DOOMS);
    return b->error.status;
}

int
newt__base_break(newt__base *b)
{
    newt__base_move(b, NEWT__BREAKS);
    return b->error.status;
}

bool
newt__base_is_over(const newt__base *b)
{
    return b->phase >= NEWT__BROKEN_LAZY;
}

int
newt__base_own(newt__base *b)
{
    if (NEWT__SELDOM(!*b->here) ||
        (NEWT__SELDOM(!b->process->wiped) && !newt__process_is(b->process)))
        return newt__process_fail(b->process, &b->error);
    if (b->phase == NEWT__IDLE) {
        newt__base_fail(b, NEWT_EBUSY, 0, "no transaction is open");
        newt__fail_hint(&b->error, "Call newt_begin(), or work inside newt_transact().");
        return NEWT_EBUSY;
    }
    if (!pthread_equal(b->owner, pthread_self())) {
        /* what the other thread is doing with the connection's error is not touched */
        return NEWT_ETHREAD;
    }
    return NEWT_OK;
}

int
newt__base_enter(newt__base *b)
{
    int status = newt__base_own(b);

    return status == NEWT_OK && newt__base_is_over(b) ? b->error.status : status;
}

static void *
plain_realloc(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n);
}

static void
plain_free(void *arg, void *p)
{
    (void)arg;
    free(p);
}

const newt__env newt__malloc_env = {.realloc = plain_realloc, .free = plain_free};

static int64_t
read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
newt__clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
newt__time(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t
newt__age(int64_t tid)
{
    int64_t us = newt__time() - tid;

    return us > 0 ? us : 1;
}

int
newt__by_oid(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;

    return (a > b) - (a < b);
}
