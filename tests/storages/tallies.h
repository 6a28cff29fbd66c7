/*
 * tallies.h - a class whose conflicts are merged: each side's changes are added up
 */
#ifndef NEWT_TESTS_TALLIES_H
#define NEWT_TESTS_TALLIES_H

#include "stored.h"

struct tally;
NEWT_DECLARE(tally);
struct tally {
    newt_text log;
    int64_t n;
    tally_ref peer;
};

/* What the resolver is to do, and what it has seen. */
static struct {
    int calls, give;
    int64_t old, committed, ours;
    bool too_large;
    int disturb;
    newt_conn *disturber;
    newt_ref disturbed;
} resolver;

static int sum(const void *old, const void *committed, void *ours, void *arg);
static const newt_hooks sums = {.size = sizeof sums, .resolve = sum, .arg = &resolver};
NEWT_CLASS(tally, "Tally", 1, &sums, NEWT_FIELD(struct tally, log), NEWT_FIELD(struct tally, n),
           NEWT_REF(struct tally, peer, tally));

static void
add(newt_conn *c, tally_ref r, int64_t n)
{
    struct tally *t = tally_write(c, r);

    if (!t)
        fail_error("tally_write", newt_conn_error(c));
    t->n += n;
    tally_done(t);
}

static int
sum(const void *old, const void *committed, void *ours, void *arg)
{
    const struct tally *a = old, *b = committed;
    struct tally *t = ours;
    char text[100];

    assert_ptr_equal(arg, &resolver);
    resolver.calls++;
    resolver.old = a->n;
    resolver.committed = b->n;
    resolver.ours = t->n;
    if (resolver.disturb-- > 0) {
        begin(resolver.disturber);
        add(resolver.disturber, tally_of(resolver.disturbed), 100);
        commit(resolver.disturber);
    }
    if (resolver.give)
        return resolver.give;
    assert_null(newt_conn_of(old));
    assert_null(newt_conn_of(ours));
    assert_int_equal(newt_ref_of(ours).oid, newt_ref_of(old).oid);
    t->n = t->n + b->n - a->n;
    if (resolver.too_large)
        return newt_text_setn((newt_object *)ours, &t->log, "x", UINT32_MAX);
    snprintf(text, sizeof text, "%s+%s", b->log.s, t->log.s);
    newt_set(t, log, text);
    return 0;
}

static const newt_class *const merging[] = {&tally_class, &item_class, NULL};

/* A store with one tally, and its two connections. */
typedef struct two {
    store s;
    newt_conn *a, *b;
    tally_ref r;
} two;

static tally_ref
make_tally(newt_conn *c, int64_t n)
{
    struct tally *t;
    tally_ref r;

    begin(c);
    t = tally_new(c);
    assert_non_null(t);
    newt_set(t, log, "0");
    t->n = n;
    t->peer = r = tally_id(t);
    commit(c);
    return r;
}

static void
two_open(two *t, const char *name)
{
    memset(&resolver, 0, sizeof resolver);
    store_make(&t->s, name);
    t->s.db = store_db(&t->s, merging, (newt_options){0});
    t->a = t->s.a = connect_(t->s.db);
    t->b = t->s.b = connect_(t->s.db);
    t->r = make_tally(t->a, 10);
}

static int64_t
tally_n(newt_conn *c, tally_ref r)
{
    const struct tally *t = tally_read(c, r);

    if (!t)
        fail_error("tally_read", newt_conn_error(c));
    return t->n;
}

/* The serial an object has in the store; 0: there is none. */
static int64_t
serial_of(const two *t, newt_ref r)
{
    return stored_serial(t->s.db, r);
}

/* Both representations, and the order of transactions. */
static void
check_store(const two *t, tally_ref r, int64_t n)
{
    char expected[32];

    snprintf(expected, sizeof expected, "%lld", (long long)n);
    assert_int_equal(stored_int(t->s.db, r.any, "n"), n);
    assert_sql(t->s.pg, expected, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r.any.oid);
    assert_sql(t->s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "LEFT JOIN transaction t ON t.serial = o.serial "
               "WHERE o.serial IS DISTINCT FROM p.serial OR t.tid IS NULL");
}

#endif
