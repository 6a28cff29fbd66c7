/*
 * numbered.h - trees of numbers, and a store for each test, shared by tests of what is done with
 * whole trees
 */
#ifndef NEWT_TESTS_NUMBERED_H
#define NEWT_TESTS_NUMBERED_H

#include "trees.h"

typedef struct numbers {
    int64_t i, n, step, factor;
    int64_t fail_at, status; /* entry at which the source gives this status; or 0 */
} numbers;

UNUSED static int
next_number(void *arg, int64_t *key, int64_t *value)
{
    numbers *x = arg;

    if (x->fail_at && x->i == x->fail_at)
        return (int)x->status;
    if (x->i == x->n)
        return 0;
    *key = x->i * x->step;
    *value = *key * x->factor;
    x->i++;
    return 1;
}

/* A tree of n numbers, 0, step, 2 step, ..., with values factor times as large. */
UNUSED static int_tree_ref
numbers_of(newt_conn *c, int64_t n, int64_t step, int64_t factor)
{
    numbers x = {.n = n, .step = step, .factor = factor};
    int_tree_ref tree = int_tree_create(c);

    ok(c, int_tree_load(c, tree, next_number, &x));
    return tree;
}

UNUSED static void
assert_failed(newt_conn *c, int status, const char *words)
{
    const newt_error *e = newt_conn_error(c);

    if (newt_error_status(e) != status || !strstr(newt_error_message(e), words))
        fail_msg("\"%s\" (%d) and not \"%s\"", newt_error_message(e), newt_error_status(e), words);
}

static store s;
static int lost; /* new objects that nothing refers to */

UNUSED static void
note_lost(const newt_error *e, void *arg)
{
    (void)e, (void)arg;
    lost++;
}

UNUSED static int
open_store(void **state)
{
    (void)state;
    store_make(&s, "sets");
    s.db = store_db(&s, trees, (newt_options){.debug = true, .notice = note_lost});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    return 0;
}

UNUSED static int
close_store(void **state)
{
    (void)state;
    store_close(&s);
    return 0;
}

#endif
