/*
 * joined.c - a transaction of another store that ends with this one; what a crash left prepared
 */
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

/* The numbers of a savepoint here and there. */
typedef struct pair {
    int64_t outer, inner;
} pair;

typedef struct joined {
    newt_conn *c; /* NULL: it has ended its transaction by itself */
    char name[NEWT_RESOURCES_NAME];
    newt__committed prepared;
    bool is_prepared;
    pair *savepoints;
    size_t n, cap;
} joined;

/* It has no leader any more. */
static void
part(newt_conn *c)
{
    newt_conn **at = &c->leader->followers;

    while (*at != c)
        at = &(*at)->next_follower;
    *at = c->next_follower;
    c->next_follower = c->leader = NULL;
}

static void
joined_free(joined *j)
{
    if (j->c)
        part(j->c);
    free(j->savepoints);
    free(j);
}

static int
prepare(void *arg, const char *name)
{
    joined *j = arg;
    int status;

    if (!j->c)
        return NEWT_EBUSY;
    snprintf(j->name, sizeof j->name, "%s", name);
    status = newt__commit_prepare(j->c, j->name, &j->prepared);
    j->is_prepared = status == NEWT_OK;
    if (status != NEWT_OK)
        newt__base_fail_with(&j->c->leader->jar.base, &j->c->jar.base.error);
    return status;
}

static int
commit(void *arg)
{
    joined *j = arg;
    int status = NEWT_EBUSY;

    if (j->c)
        status = newt__commit_settle(j->c, j->name, &j->prepared, true);
    joined_free(j);
    return status;
}

static void
abort_(void *arg)
{
    joined *j = arg;
    newt_conn *c = j->c;

    if (c && j->is_prepared)
        (void)newt__commit_settle(c, j->name, &j->prepared, false);
    joined_free(j);
    newt_abort(c);
}

static void
leave(void *arg)
{
    joined *j = arg;
    newt_conn *c = j->c;

    joined_free(j);
    if (c)
        newt__commit_leave(c);
}

/* The program ends the transaction by itself, though it has joined another one, which can only be
 * aborted now. */
static void
leaving(void *arg)
{
    joined *j = arg;
    newt_error e = {0};

    if (j->is_prepared)
        (void)j->c->jar.storage->settle(j->c->jar.session, j->name, false, &e);
    newt__error_clear(&e);
    newt_doom(j->c->leader);
    part(j->c);
    j->c = NULL;
}

static int
savepoint(void *arg, int64_t outer)
{
    joined *j = arg;
    pair x = {.outer = outer};
    int status;

    if (!j->c)
        return NEWT_EBUSY;
    while (j->n > 0 && j->savepoints[j->n - 1].outer >= outer)
        j->n--; /* those that are over are not told of */
    if (j->n == j->cap) {
        size_t cap = j->cap ? 2 * j->cap : 8;
        pair *more = realloc(j->savepoints, cap * sizeof *more);

        if (!more)
            return NEWT_ENOMEM;
        j->savepoints = more;
        j->cap = cap;
    }
    status = newt_savepoint(j->c, &x.inner);
    if (status == NEWT_OK)
        j->savepoints[j->n++] = x;
    return status;
}

static int
rollback(void *arg, int64_t outer)
{
    joined *j = arg;

    if (!j->c)
        return NEWT_EBUSY;
    while (j->n > 0 && j->savepoints[j->n - 1].outer > outer)
        j->n--;
    if (j->n == 0)
        return NEWT_EINVAL;
    return newt_rollback_to(j->c, j->savepoints[j->n - 1].inner);
}

static int
fail_name(newt_conn *c, const char *name)
{
    newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                    "a store \"%s\" is part of the transaction already", name);
    newt__fail_hint(&c->jar.base.error,
                    "Give each store a newt_options.store_name of its own, and join each once.");
    return NEWT_EINVAL;
}

int
newt_join_conn(newt_conn *c, newt_conn *with, const char *sort_key)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = sort_key,
                       .prepare = prepare,
                       .commit = commit,
                       .abort = abort_,
                       .leave = leave,
                       .savepoint = savepoint,
                       .rollback = rollback};
    joined *j;
    const char *name = with->db->options.store_name;
    int status = newt__base_enter(&c->jar.base);

    if (status != NEWT_OK)
        return status;
    status = newt__base_enter(&with->jar.base);
    if (status != NEWT_OK)
        return newt__base_fail(&c->jar.base, status, 0, "the connection that is to join: %s",
                               newt_error_message(&with->jar.base.error));
    if (c == with || with->leader || with->resources)
        return newt__base_fail(
            &c->jar.base, NEWT_EINVAL, 0,
            with->resources ? "a transaction with resources cannot join another"
            : c == with     ? "a transaction cannot join itself"
                            : "the connection that is to join has joined a transaction already");
    if (!with->jar.storage->prepare) {
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "a transaction in %s cannot be prepared",
                                 with->jar.storage->scheme);
        newt__fail_hint(&c->jar.base.error,
                        "Swap the two connections, if the other store is in PostgreSQL.");
        return status;
    }
    if (with->db->options.transaction_pooling) {
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "through a pooler no transaction can be prepared");
        newt__fail_hint(&c->jar.base.error, "Connect to the server itself.");
        return status;
    }
    if (name && newt__joined_store(c, (newt_text){.s = name, .n = (uint32_t)strlen(name)}))
        return fail_name(c, name);
    j = calloc(1, sizeof *j);
    if (!j)
        return newt__base_fail_memory(&c->jar.base);
    j->c = with;
    r.arg = j;
    status = newt_join(c, &r);
    if (status == NEWT_OK) {
        with->leader = c;
        with->next_follower = c->followers;
        c->followers = with;
        with->leaving = leaving;
        with->joined = j;
    } else {
        free(j);
    }
    return status;
}

/* ---- what a crash left prepared ------------------------------------------------------------ */

static int
ready(newt_conn *c, const char *function)
{
    newt_error e = {0};
    int status = newt__outside(c, NULL, function);

    if (status == NEWT_OK)
        status = c->jar.storage->ready(c->jar.session, 0, &e);
    return e.status == NEWT_OK ? status : newt__base_fail_with(&c->jar.base, &e);
}

int
newt_prepared(newt_conn *c, newt_take_prepared *take, void *arg)
{
    newt_error e = {0};
    int status = ready(c, "newt_prepared");

    if (status != NEWT_OK || !c->jar.storage->prepared)
        return status; /* where nothing can be prepared, nothing is */
    status = c->jar.storage->prepared(c->jar.session, take, arg, &e);
    return e.status == NEWT_OK ? status : newt__base_fail_with(&c->jar.base, &e);
}

int
newt_settle(newt_conn *c, const char *name, bool commit_it)
{
    newt_error e = {0};
    int status = ready(c, "newt_settle");

    if (status != NEWT_OK)
        return status;
    if (!c->jar.storage->settle)
        return newt__base_fail(&c->jar.base, NEWT_EMISSING, 0,
                               "nothing is prepared as \"%s\" in this store", name);
    status = c->jar.storage->settle(c->jar.session, name, commit_it, &e);
    return status == NEWT_OK ? NEWT_OK : newt__base_fail_with(&c->jar.base, &e);
}
