/*
 * nagios.c - how far behind the follower is, in one line for a monitoring system
 *
 * Not by the clock alone: a store in which nothing happens is up to date, however old its last
 * transaction is. With a backlog, or a copy that is not complete, the position is looked at twice:
 * a follower that is behind moves.
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

/* The first of what is waiting is older than this. */
static bool
late(const newt_health *h, int64_t seconds)
{
    return h->waiting && (double)h->behind_us >= (double)seconds * 1e6;
}

static bool
never_ran(const newt_health *h)
{
    return !h->position && !h->copying;
}

static verdict
verdict_of(const settings *set, const newt_health *h, bool moves)
{
    if (never_ran(h))
        return CRITICAL;
    if (!h->copying && !late(h, set->warning_s))
        return FINE;
    return late(h, set->critical_s) || !moves ? CRITICAL : WARNING;
}

static int
judge(const settings *set, const newt_health *h, bool moves)
{
    double behind = (double)h->behind_us * 1e-6;
    verdict v = verdict_of(set, h, moves);
    printf("NEWT %s - %s ", names[v], set->name);
    if (never_ran(h))
        printf("has no position: it has never run");
    else if (h->copying && moves)
        printf("is copying, up to oid %" PRId64, h->copied);
    else if (h->copying)
        printf("is stuck, copying, up to oid %" PRId64 ": is newt-updater running?", h->copied);
    else if (!h->waiting)
        printf("is up to date");
    else if (moves || !late(h, set->warning_s))
        printf("is behind by %" PRId64 " transactions, %.1f s", h->waiting, behind);
    else
        printf("is stuck, behind by %" PRId64 " transactions, %.1f s: is newt-updater running?",
               h->waiting, behind);
    if (h->rejects)
        printf("; the database refuses the rows of %" PRId64 " objects", h->rejects);
    printf(" | behind=%.3fs;%" PRId64 ";%" PRId64 ";0; waiting=%" PRId64 ";;;0; rejects=%" PRId64
           ";;;0;\n",
           behind, set->warning_s, set->critical_s, h->waiting, h->rejects);
    return v;
}

static int
ask(const settings *set, newt_conn *c)
{
    newt_health first = {.size = sizeof first}, h;
    if (newt_store_health(c, set->name, &first) != NEWT_OK)
        return failed(newt_conn_error(c));
    h = first;
    bool moves = false;
    for (int i = 0; i < LOOKS && !moves && (h.copying || late(&h, set->warning_s)); i++) {
        signals_sleep(LOOK_MS);
        h = (newt_health){.size = sizeof h};
        if (newt_store_health(c, set->name, &h) != NEWT_OK)
            return failed(newt_conn_error(c));
        moves = h.position != first.position || h.copying != first.copying ||
                h.copied != first.copied;
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
