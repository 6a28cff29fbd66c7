/*
 * layers.h - a store with a layer over it, and another program that goes on changing the store
 *
 * s.db is what gets the layers; another database on the same store is the other program. The
 * scenarios are those that are known of ZODB's DemoStorage, and of the reports about it.
 */
#ifndef TEST_LAYERS_H
#define TEST_LAYERS_H

#include "stored.h"

/* A store with one layer over it, and objects below, which `below` has made. */
typedef struct ground {
    store s;
    other below;
    item_ref x, y, z;
} ground;

#define push(s)                                                                                    \
    do {                                                                                           \
        if (newt_db_push((s)->db) != NEWT_OK)                                                      \
            fail_error("newt_db_push", newt_db_error((s)->db));                                    \
    } while (0)
#define pop(s)                                                                                     \
    do {                                                                                           \
        if (newt_db_pop((s)->db) != NEWT_OK)                                                       \
            fail_error("newt_db_pop", newt_db_error((s)->db));                                     \
    } while (0)
#define write_down(s)                                                                              \
    do {                                                                                           \
        if (newt_db_commit_changes((s)->db) != NEWT_OK)                                            \
            fail_error("newt_db_commit_changes", newt_db_error((s)->db));                          \
    } while (0)

static inline void
ground_open(ground *g, const char *name)
{
    store_open(&g->s, name);
    g->below = other_open(&g->s);
    g->x = make_item(g->below.c, "x", 1);
    g->y = make_item(g->below.c, "y", 2);
    g->z = make_item(g->below.c, "z", 3);
    push(&g->s);
}

static inline void
ground_close(ground *g)
{
    other_close(&g->below);
    store_close(&g->s);
}

/* What a new transaction reads, which may begin without asking; -1: there is no such object. */
static inline int64_t
read_in(newt_conn *c, item_ref r, bool ask)
{
    const struct item *i;
    int64_t n = -1;

    newt_abort(c);
    begin(c);
    if (ask)
        ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    i = item_read(c, r);
    if (i)
        n = i->n;
    else
        assert_int_equal(newt_status(c), NEWT_EMISSING);
    newt_abort(c);
    return n;
}

static inline int64_t
seen(newt_conn *c, item_ref r)
{
    return read_in(c, r, true);
}

static inline void
change(newt_conn *c, item_ref r, int64_t n)
{
    begin(c);
    write_n(c, r, n);
    commit(c);
}

static inline void
remove_item(newt_conn *c, item_ref r)
{
    begin(c);
    ok(c, newt_delete(c, r.any));
    commit(c);
}

static inline item_ref
root_item(newt_conn *c, const char *name)
{
    newt_ref r;

    newt_abort(c);
    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    r = newt_root(c, name);
    newt_abort(c);
    return item_of(r);
}

static inline void
set_root(newt_conn *c, const char *name, newt_ref r)
{
    begin(c);
    ok(c, newt_set_root(c, name, r));
    commit(c);
}

#endif
