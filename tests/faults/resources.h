/*
 * resources.h - resources of a program that goes on, or is killed, when they are asked to prepare
 * or told to commit
 */
#ifndef NEWT_TESTS_RESOURCES_H
#define NEWT_TESTS_RESOURCES_H

#include "../concurrency/concurrency.h"
#include "../storages/stored.h"

/* The server can keep at most n prepared transactions. */
static inline void
allow_prepared(int n)
{
    PGconn *pg = sql_open();
    bool same = sql_int(pg, "SHOW max_prepared_transactions") == n;

    sql_do(pg, "ALTER SYSTEM SET max_prepared_transactions = %d", n);
    PQfinish(pg);
    if (!same)
        server_do("restart");
}

static inline int
go_on(void *arg)
{
    (void)arg;
    return NEWT_OK;
}

static inline int
go_on_preparing(void *arg, const char *name)
{
    (void)name;
    return go_on(arg);
}

static inline void
do_nothing(void *arg)
{
    (void)arg;
}

static inline int
die(void *arg)
{
    (void)arg;
    kill(getpid(), SIGKILL);
    return NEWT_OK;
}

static inline int
die_preparing(void *arg, const char *name)
{
    (void)name;
    return die(arg);
}

/* The child has killed itself. */
static inline void
assert_died(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif
