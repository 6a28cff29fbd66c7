/*
 * turns.h - three clients of newt_transact that meet at two objects, and what they do in their turn
 */
#ifndef NEWT_TESTS_BRIDGE_TURNS_H
#define NEWT_TESTS_BRIDGE_TURNS_H

#include "server.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

typedef struct scene {
    store s;      /* a and b are the ones that queue */
    newt_conn *c; /* is in their way */
    item_ref x, y;
} scene;

static void
scene_open(scene *t, const char *name)
{
    store_open(&t->s, name);
    t->c = connect_(t->s.db);
    t->x = make_item(t->c, "x", 0);
    t->y = make_item(t->c, "y", 0);
}

static void
scene_close(scene *t)
{
    newt_close(t->c);
    store_close(&t->s);
}

/* Turns at objects of this store: those that somebody has, or waits for. */
static int64_t
turns(const scene *t, bool had)
{
    return sql_int(t->s.pg,
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND "
                   "classid = 'newt_commit_lock'::regclass AND granted = %s AND database = (SELECT "
                   "oid FROM pg_database WHERE datname = current_database())",
                   had ? "true" : "false");
}

static int64_t
turns_of(const scene *t, const newt_conn *c)
{
    return sql_int(t->s.pg,
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND "
                   "pid = %d",
                   PQbackendPID(c->jar.session->pg));
}

static void
disturb(scene *t, item_ref r)
{
    begin(t->c);
    write_n(t->c, r, read_n(t->c, r) + 100);
    commit(t->c);
}

/* ---- work ---------------------------------------------------------------------------- */

typedef struct job {
    scene *t;
    item_ref r;
    int disturb;                              /* attempts that meet somebody else */
    int (*then)(newt_conn *c, struct job *j); /* what the one after them does; NULL: the same */
    int64_t x;
    int calls;
} job;

static int
add_one(newt_conn *c, item_ref r)
{
    struct item *i = item_write(c, r);

    if (!i)
        return newt_status(c);
    i->n++;
    item_done(i);
    return NEWT_OK;
}

static int
work(newt_conn *c, void *arg)
{
    job *j = arg;
    int rc;

    j->calls++;
    if (j->calls > j->disturb && j->then)
        return j->then(c, j);
    rc = add_one(c, j->r);
    if (rc == NEWT_OK && j->calls <= j->disturb)
        disturb(j->t, j->r);
    return rc;
}

static int
with_turn(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 1);
    return add_one(c, j->r);
}

static int
without_turn(newt_conn *c, job *j)
{
    assert_int_equal(turns_of(j->t, c), 0);
    return add_one(c, j->r);
}

static int
without_asking(newt_conn *c, job *j)
{
    assert_int_equal(c->jar.session->turns.turn, NEWT__NO_TURN);
    return without_turn(c, j);
}

/* No turn was ended twice. */
static void
test_log(void **state)
{
    static const char mistake[] = "you don't own a lock";
    FILE *f = fopen(getenv("NEWT_PGLOG"), "r");
    char line[4096];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strstr(line, mistake))
            fail_msg("%s", line);
    fclose(f);
}

static int
with(void **state)
{
    (void)state;
    use_database(true);
    return 0;
}

static int
without(void **state)
{
    (void)state;
    use_database(false);
    return 0;
}

#endif
