/*
 * feeds.h - what the tests of feeds share: a feed is opened, and gives batches
 */
#ifndef NEWT_TESTS_BRIDGE_FEEDS_H
#define NEWT_TESTS_BRIDGE_FEEDS_H

#include "server.h"

enum {
    WAIT_MS = PATIENCE_S * 1000
};

UNUSED static newt_feed *
open_feed(newt_conn *c, newt_feed_options o)
{
    newt_feed *f;

    o.size = sizeof o;
    ok(c, newt_feed_open(c, &f, &o));
    return f;
}

UNUSED static const newt_batch *
next(newt_conn *c, newt_feed *f)
{
    const newt_batch *b;

    ok(c, newt_feed_next(f, WAIT_MS, &b));
    assert_non_null(b);
    return b;
}

UNUSED static void
nothing(newt_conn *c, newt_feed *f)
{
    const newt_batch *b;

    ok(c, newt_feed_next(f, 0, &b));
    assert_null(b);
}

/* To its end. */
UNUSED static newt_sweep
sweep(newt_conn *c, newt_sweep s)
{
    s.size = sizeof s;
    while (!s.over)
        ok(c, newt_project_sweep(c, &s));
    return s;
}

/* In several calls. */
UNUSED static newt_sweep
sweep_all(newt_conn *c, newt_sweep_kind kind)
{
    return sweep(c, (newt_sweep){.kind = kind, .objects = 3});
}

#endif
