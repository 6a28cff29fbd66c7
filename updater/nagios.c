/*
 * nagios.c - how far behind the follower is, in one line for a monitoring system
 *
 * Not by the clock alone: a store in which nothing happens is up to date, however old its last
 * transaction is. With a backlog the position is looked at twice: a follower that is behind moves.
 */
#include "signals.h"
#include "updater.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_MS = 100,
    LOOKS = 20 /* before a position that did not move counts as stuck */
};

typedef enum verdict {
    FINE,
    WARNING,
    CRITICAL,
    UNKNOWN
} verdict;

static const char *const names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static int
failed(const newt_error *e)
{
    /* a server that cannot be reached is what the plugin is there to tell; else it is set up wrong
     */
    verdict v = newt_error_status(e) == NEWT_ELOST ? CRITICAL : UNKNOWN;
    char text[512];
    snprintf(text, sizeof text, "%s", newt_error_message(e));
    text[strcspn(text, "\n|")] = 0; /* what follows would be performance data */
    printf("NEWT %s - %s\n", names[v], text);
    return v;
}

static int
judge(const settings *set, const newt_health *h, bool moves)
{
    double behind = (double)h->behind_us * 1e-6;
    bool late = behind >= (double)set->warning_s, very = behind >= (double)set->critical_s;
    verdict v = !h->waiting ? FINE : !late ? FINE : very || !moves ? CRITICAL : WARNING;
    printf("NEWT %s - %s ", names[h->position ? v : CRITICAL], set->name);
    if (!h->position)
        printf("has no position: it has never run");
    else if (!h->waiting)
        printf("is up to date");
    else if (moves || !late)
        printf("is behind by %" PRId64 " transactions, %.1f s", h->waiting, behind);
    else
        printf("is stuck, behind by %" PRId64 " transactions, %.1f s: is newt-updater running?",
               h->waiting, behind);
    if (h->rejects)
        printf("; %" PRId64 " objects without a row, since it is refused", h->rejects);
    printf(" | behind=%.3fs;%" PRId64 ";%" PRId64 ";0; waiting=%" PRId64 ";;;0; rejects=%" PRId64
           ";;;0;\n",
           behind, set->warning_s, set->critical_s, h->waiting, h->rejects);
    return h->position ? v : CRITICAL;
}

static int
ask(const settings *set, newt_conn *c)
{
    newt_health first = {.size = sizeof first}, h;
    if (newt_store_health(c, set->name, &first) != NEWT_OK)
        return failed(newt_conn_error(c));
    h = first;
    bool moves = false;
    double late = (double)set->warning_s * 1e6;
    for (int i = 0; i < LOOKS && h.waiting && (double)h.behind_us >= late && !moves; i++) {
        signals_sleep(LOOK_MS);
        h = (newt_health){.size = sizeof h};
        if (newt_store_health(c, set->name, &h) != NEWT_OK)
            return failed(newt_conn_error(c));
        moves = h.position != first.position;
    }
    return judge(set, &h, moves);
}

int
nagios(const settings *set)
{
    static const newt_class *const no_classes[] = {NULL};
    newt_options options = {.size = sizeof options,
                            .schema = set->schema,
                            .transaction_pooling = set->transaction_pooling};
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int status;
    if (newt_db_open(&db, set->connection, no_classes, &options) != NEWT_OK ||
        newt_connect(db, &c) != NEWT_OK)
        status = failed(newt_last_error(db, c));
    else
        status = ask(set, c);
    newt_close(c);
    newt_db_close(db);
    return status;
}
