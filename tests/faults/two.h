/*
 * two.h - two stores on one server, an object in each, and one transaction for both
 */
#ifndef NEWT_TESTS_TWO_H
#define NEWT_TESTS_TWO_H

#include "../storages/stored.h"

typedef struct two {
    store a, b;
    item_ref in_a, in_b;
} two;

static inline void
two_open(two *t)
{
    store_open(&t->a, "first");
    store_open(&t->b, "second");
    t->in_a = make_item(t->a.a, "a", 1);
    t->in_b = make_item(t->b.a, "b", 1);
}

static inline void
two_close(two *t)
{
    store_close(&t->a);
    store_close(&t->b);
}

static inline void
change_both(two *t, newt_conn *a, newt_conn *b, int64_t n)
{
    begin(a);
    begin(b);
    ok(a, newt_join_conn(a, b, "b"));
    write_n(a, t->in_a, n);
    write_n(b, t->in_b, n);
}

/* ---- what is left prepared ------------------------------------------------------------------ */

static char listed[1000];

static inline int
list(void *arg, const char *name, int64_t age_us)
{
    (void)arg;
    assert_true(age_us >= 0);
    snprintf(listed + strlen(listed), sizeof listed - strlen(listed), "%s ", name);
    return NEWT_OK;
}

static inline int
prepared(newt_conn *c)
{
    int n = 0;

    *listed = 0;
    ok(c, newt_prepared(c, list, NULL));
    for (const char *s = listed; *s; s++)
        n += *s == ' ';
    return n;
}

/* Who holds the commit lock. */
static inline int
holder(newt_conn *c)
{
    newt_health h = {.size = sizeof h};

    ok(c, newt_store_health(c, NULL, &h));
    assert_int_equal(h.holder_us > 0, h.holder_pid != 0);
    return h.holder_pid;
}

/* As a program does it that comes back after a crash. */
static inline void
settle_all(newt_conn *b, newt_conn *a)
{
    char name[NEWT_RESOURCES_NAME];
    bool committed;

    while (prepared(b) > 0) {
        assert_int_equal(sscanf(listed, "%63s", name), 1);
        ok(a, newt_was_committed(a, name, &committed));
        ok(b, newt_settle(b, name, committed));
    }
}

static inline void
check_both(two *t, int64_t n)
{
    assert_int_equal(stored_int(t->a.db, t->in_a.any, "n"), n);
    assert_int_equal(stored_int(t->b.db, t->in_b.any, "n"), n);
    assert_int_equal(prepared(t->b.b), 0);
    /* nobody holds anything */
    make_item(t->a.b, "x", 1);
    make_item(t->b.b, "x", 1);
}

#endif
