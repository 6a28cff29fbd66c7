/*
 * hooks.c - functions of the program that run before and after a transaction ends
 */
#include "transaction.h"

#include <stdlib.h>

typedef struct hook {
    newt_moment when;
    newt_hook *fn;
    void *arg;
} hook;

struct newt__hooks {
    size_t n, cap;
    hook list[];
};

int
newt_on(newt_conn *c, newt_moment when, newt_hook *fn, void *arg)
{
    struct newt__hooks *h = c->hooks;
    size_t cap = h ? 2 * h->cap : 8;
    int status = newt__base_own(&c->jar.base);

    if (status != NEWT_OK)
        return status;
    if ((unsigned)when > NEWT_AFTER_ABORT || !fn)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "newt_on: %s",
                               fn ? "the moment is none of newt_moment"
                                  : "there is no function to call");
    if (!h || h->n == h->cap) {
        h = cap < SIZE_MAX / 2 / sizeof *h->list ? realloc(h, sizeof *h + cap * sizeof *h->list)
                                                 : NULL;
        if (!h)
            return newt__base_fail_memory(&c->jar.base);
        if (!c->hooks)
            h->n = 0;
        h->cap = cap;
        c->hooks = h;
    }
    h->list[h->n++] = (hook){when, fn, arg};
    return NEWT_OK;
}

/* What a hook calls may fail; whoever ends the transaction asks why that has failed. */
static void
keep_error(newt_conn *c, bool keep)
{
    c->jar.base.kept = keep && c->jar.base.error.status != NEWT_OK;
}

int
newt__hooks_run(newt_conn *c, newt_moment when)
{
    int status = NEWT_OK;

    c->ending = true;
    keep_error(c, when == NEWT_BEFORE_ABORT);
    /* one may add others, which are run as well */
    for (size_t i = 0; status == NEWT_OK && c->hooks && i < c->hooks->n; i++) {
        hook x = c->hooks->list[i];

        if (x.when == when)
            status = x.fn(c, NEWT_OK, x.arg);
    }
    keep_error(c, false);
    c->ending = false;
    return status;
}

void
newt__hooks_free(newt_conn *c)
{
    free(c->hooks);
    c->hooks = NULL;
}

void
newt__hooks_end(newt_conn *c, newt_moment when, int status)
{
    struct newt__hooks *h = c->hooks;

    if (!h)
        return;
    c->hooks = NULL;
    c->ending = true;
    keep_error(c, status != NEWT_OK || when == NEWT_AFTER_ABORT);
    for (size_t i = 0; i < h->n; i++)
        if (h->list[i].when == when)
            h->list[i].fn(c, status, h->list[i].arg);
    keep_error(c, false);
    c->ending = false;
    free(h);
}
