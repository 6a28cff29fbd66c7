/*
 * upkeep.c - retention, and what those who watch a store want to know
 */
#include "session.h"

enum {
    MOST_COUNTED = 1000000 /* transactions that a follower has not seen; also in newtdb.h */
};

int
newt__session_prune(newt__session *c, int64_t at_most, int64_t *pruned)
{
    newt__params p = {0};
    PGresult *r;
    int status;

    newt__param_int(&p, at_most);
    status = newt__ask_row(c, NEWT__S_PRUNE, &p, &r);
    *pruned = r ? newt__field_int(r, 0, 0) : 0;
    PQclear(r);
    return status;
}

int
newt__session_projected(newt__session *c, int64_t *tid, bool *any)
{
    PGresult *r;
    int status = newt__ask_row(c, NEWT__S_PROJECTED, NULL, &r);

    *tid = r ? newt__field_int(r, 0, 0) : 0;
    *any = r && newt__field_int(r, 0, 1) > 0;
    PQclear(r);
    return status;
}

int
newt__session_health(newt__session *c, const char *follower, newt_health *out)
{
    newt__params p = {0};
    PGresult *r;
    int status;

    newt__param_text(&p, follower);
    newt__param_int(&p, MOST_COUNTED);
    status = newt__ask_row(c, NEWT__S_HEALTH, &p, &r);
    if (r) {
        out->newest_tid = newt__field_int(r, 0, 0);
        out->oldest_tid = newt__field_int(r, 0, 1);
        out->transactions = newt__field_int(r, 0, 2);
        out->position = newt__field_int(r, 0, 3);
        out->waiting = newt__field_int(r, 0, 4);
        out->behind_us = newt__field_int(r, 0, 5);
        out->rejects = newt__field_int(r, 0, 6);
        out->oldest_us = newt__field_int(r, 0, 7);
        out->copying = newt__field_bool(r, 0, 8);
        out->copied = newt__field_int(r, 0, 9);
    }
    PQclear(r);
    if (status == NEWT_OK)
        status = newt__session_holder(c, &out->holder_pid, &out->holder_us);
    return status;
}
