/*
 * followed.h - what the tests of followers share: a store whose rows are left to them
 *
 * Every test runs in a database with the extension and in one without.
 */
#ifndef NEWT_TESTS_BRIDGE_FOLLOWED_H
#define NEWT_TESTS_BRIDGE_FOLLOWED_H

#include "feeds.h"

static const newt_options leave = {.no_inline = true}; /* leaves rows to the follower */

/* What the followers have said. */
typedef struct notices {
    int n;
    int64_t oid;
    char text[400], hint[200];
} notices;

static void
take_notice(const newt_error *e, void *arg)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    notices *t = arg;

    pthread_mutex_lock(&mutex);
    t->n++;
    t->oid = newt_error_oid(e);
    snprintf(t->text, sizeof t->text, "%s", newt_error_message(e));
    snprintf(t->hint, sizeof t->hint, "%s", newt_error_hint(e));
    pthread_mutex_unlock(&mutex);
}

typedef struct setting {
    store s;
    newt_db *lazy_db, *follow_db;
    newt_conn *lazy;  /* leaves rows to the follower; those of the store write them */
    newt_conn *f, *g; /* know no classes, like the updater */
    notices told;
    bool extension;
} setting;

static void
open_setting(setting *x, const char *name, void **state)
{
    memset(x, 0, sizeof *x);
    x->extension = *(const bool *)*state;
    use_database(x->extension);
    store_open(&x->s, name);
    x->lazy_db = store_db(&x->s, classes, leave);
    x->lazy = connect_(x->lazy_db);
    x->follow_db = store_db(&x->s, NULL,
                            (newt_options){.notice = take_notice, .notice_arg = &x->told});
    x->f = connect_(x->follow_db);
    x->g = connect_(x->follow_db);
}

static void
close_setting(setting *x)
{
    newt_close(x->lazy);
    newt_db_close(x->lazy_db);
    newt_close(x->f);
    newt_close(x->g);
    newt_db_close(x->follow_db);
    store_close(&x->s);
}

UNUSED static newt_progress
project(newt_conn *c, const char *name, int64_t max)
{
    newt_progress p = {.size = sizeof p};

    ok(c, newt_project(c, name, max, &p));
    return p;
}

/* Batch after batch until there is nothing to do; the sums. */
UNUSED static newt_progress
drain(newt_conn *c, const char *name, int64_t max)
{
    newt_progress sum = {0}, p;

    do {
        p = project(c, name, max);
        sum.transactions += p.transactions;
        sum.written += p.written;
        sum.removed += p.removed;
        sum.rejects += p.rejects;
        sum.tid = p.tid;
        sum.behind_us = p.behind_us;
    } while (p.transactions > 0);
    return sum;
}

/* A row for every record, of its serial, and nothing else. */
UNUSED static void
check_exact(const setting *x)
{
    assert_sql(x->s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE o.serial IS DISTINCT FROM p.serial");
    if (x->extension)
        assert_sql(x->s.pg, "0",
                   "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
                   "WHERE p.state::text IS DISTINCT FROM newt.to_jsonb(o.state)::text "
                   "OR p.class_name IS DISTINCT FROM newt.class_name(o.state)");
}

static bool with_it = true, without_it = false;
#define BOTH(test)                                                                                 \
    {#test " (in the server)", test, NULL, NULL, &with_it},                                        \
    {                                                                                              \
#        test " (in the client)", test, NULL, NULL, &without_it                                    \
    }

#endif
