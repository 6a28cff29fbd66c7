/*
 * savepoint.c - savepoints for the program: which of them there are
 */
#include "transaction.h"

#include <stdlib.h>

static int
fail_gone(newt_conn *c, int64_t savepoint)
{
    newt_error e = {0};

    newt__fail(&e, NEWT_EINVAL, 0, "savepoint %lld does not exist", (long long)savepoint);
    newt__fail_hint(&e, "A savepoint ends with its transaction, when it or an earlier one is "
                        "released, and when an earlier one is rolled back to.");
    return newt__base_fail_with(&c->jar.base, &e);
}

/* Its place among those there are, from 1; 0: it is not one of them. They rise. */
static uint16_t
place_of(const newt_conn *c, int64_t savepoint)
{
    uint16_t low = 0, high = c->jar.savepoints;

    while (low < high) {
        uint16_t middle = (uint16_t)(low + (high - low) / 2);

        if (c->savepoints[middle] < savepoint)
            low = (uint16_t)(middle + 1);
        else
            high = middle;
    }
    return low < c->jar.savepoints && c->savepoints[low] == savepoint ? (uint16_t)(low + 1) : 0;
}

static int
make_room(newt_conn *c)
{
    size_t n = c->jar.savepoints;
    int64_t *more;

    if (n == NEWT__MOST_SAVEPOINTS)
        return newt__base_fail(&c->jar.base, NEWT_ELIMIT, 0,
                               "more than %d savepoints within each other", NEWT__MOST_SAVEPOINTS);
    if (n & (n - 1)) /* room is made for powers of two */
        return NEWT_OK;
    more = realloc(c->savepoints, (n ? 2 * n : 1) * sizeof *more);
    if (!more)
        return newt__base_fail_memory(&c->jar.base);
    c->savepoints = more;
    return NEWT_OK;
}

int
newt_savepoint(newt_conn *c, int64_t *savepoint)
{
    int status = newt__base_enter(&c->jar.base);

    *savepoint = 0;
    if (status == NEWT_OK)
        status = make_room(c);
    if (status == NEWT_OK)
        status = newt__marks_check(&c->jar);
    if (status == NEWT_OK)
        status = newt__index_flush(&c->jar, false);
    if (status == NEWT_OK)
        status = newt__resources_savepoint(c, c->last_savepoint + 1);
    if (status == NEWT_OK)
        status = newt__objects_save(&c->jar);
    if (status == NEWT_OK)
        c->savepoints[c->jar.savepoints - 1] = *savepoint = ++c->last_savepoint;
    return status;
}

int
newt_rollback_to(newt_conn *c, int64_t savepoint)
{
    int status = newt__base_own(&c->jar.base);
    uint16_t place;

    if (status != NEWT_OK)
        return status;
    if (c->jar.base.phase == NEWT__DOOMED)
        return c->jar.base.error.status;
    place = place_of(c, savepoint);
    if (place == 0)
        return fail_gone(c, savepoint);
    newt__base_move(&c->jar.base, NEWT__MENDS);
    newt__error_clear(&c->jar.base.error);
    status = newt__objects_back(&c->jar, place);
    return status == NEWT_OK ? newt__resources_rollback(c, place, savepoint) : status;
}

int
newt_release(newt_conn *c, int64_t savepoint)
{
    int status = newt__base_enter(&c->jar.base);
    uint16_t place;

    if (status != NEWT_OK)
        return status;
    place = place_of(c, savepoint);
    if (place == 0)
        return fail_gone(c, savepoint);
    newt__resources_release(c, place);
    return newt__objects_merge(&c->jar, place);
}
