/*
 * upkeep.c - waiting for the projection, retention, health
 */
#include "feed.h"

#include <string.h>
#include <time.h>

enum {
    FIRST_PAUSE_US = 1000,
    LONGEST_PAUSE_US = 50 * 1000
};

int
newt_wait_for(newt_conn *c, int64_t tid, int timeout_ms)
{
    int64_t until = newt__clock() + (int64_t)timeout_ms * 1000, pause = FIRST_PAUSE_US, seen;
    newt_error e = {0};
    bool any = true;
    int status = newt__outside(c, NULL, "newt_wait_for");

    if (status != NEWT_OK)
        return status;
    if (!c->jar.storage->feed->projected)
        return newt__no_sql(c, "newt_wait_for");
    for (;;) {
        int64_t left;
        struct timespec t;

        status = c->jar.storage->feed->projected(c->jar.session, &seen, &any, &e);
        if (status != NEWT_OK || !any || seen >= tid)
            break;
        left = until - newt__clock();
        if (left <= 0) {
            status = newt__fail(&e, NEWT_EBUSY, 0,
                                "the projection has not reached transaction %lld within %d ms",
                                (long long)tid, timeout_ms);
            newt__fail_detail(&e, "It has reached %lld.", (long long)seen);
            newt__fail_hint(&e, "See newt.freshness(), and whether newt-updater is running.");
            break;
        }
        if (left < pause)
            pause = left;
        t = (struct timespec){.tv_nsec = pause * 1000};
        nanosleep(&t, NULL);
        pause = 2 * pause < LONGEST_PAUSE_US ? 2 * pause : LONGEST_PAUSE_US;
    }
    if (status == NEWT_OK && !any) {
        newt__fail(&e, NEWT_EMISSING, 0, "nobody writes the projection of this store");
        newt__fail_hint(&e, "Start newt-updater. In an inline store there is nothing to wait for.");
    }
    return e.status != NEWT_OK ? newt__feed_fail(c, &e) : status;
}

int
newt_prune(newt_conn *c, int64_t at_most, int64_t *pruned)
{
    newt_error e = {0};
    int status = newt__outside(c, NULL, "newt_prune");

    *pruned = 0;
    if (status == NEWT_OK && at_most < 1)
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "newt_prune of less than one transaction");
    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->feed->prune(c->jar.session, at_most, pruned, &e);
    return e.status != NEWT_OK ? newt__feed_fail(c, &e) : status;
}

int
newt_store_health(newt_conn *c, const char *follower, newt_health *out)
{
    newt_health health = {0};
    newt_error e = {0};
    size_t size = out ? out->size : 0;
    int status = newt__outside(c, NULL, "newt_store_health");

    if (status == NEWT_OK && (size < sizeof size || size > sizeof *out))
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "newt_store_health with a newt_health of another size");
    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->feed->health(c->jar.session, follower, &health, &e);
    if (e.status != NEWT_OK)
        return newt__feed_fail(c, &e);
    health.size = size;
    memcpy(out, &health, size);
    return status;
}
