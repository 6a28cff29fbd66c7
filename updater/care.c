/* care.c - what is done beside following: metrics, retention, the service manager */
#include "updater.h"

#include <stdio.h>
#include <string.h>

enum {
    PRUNE_S = 5,          /* between two looks for what need not be kept */
    PRUNE_AT_MOST = 1000, /* transactions in one of them: they are short */
    PRUNE_SHARE = 10,     /* of the time, one part at most goes into removing, under load */
    HEALTH_SHARE = 20     /* ... and into looking at the store */
};

static void
publish(updater *u)
{
    char text[METRICS_TEXT], status[160], copy[64] = "";
    metrics *m = &u->metrics;
    u->publish_at = clock_now() + 1;
    m->time_s = clock_time();
    m->active = u->active;
    m->transactions = (double)u->all.transactions;
    m->written = (double)u->all.written;
    m->removed = (double)u->all.removed;
    m->partial = (double)u->all.rejects;
    m->rejected = (double)u->all.refused;
    if (u->manager.ready) {
        if (m->copying > 0)
            snprintf(copy, sizeof copy, ", copying, up to oid %.0f", m->copied);
        snprintf(status, sizeof status, "%s%s, %.3f s behind, %.0f transactions seen",
                 u->stuck     ? "the output is in trouble"
                 : u->active  ? "following"
                 : u->standby ? "standby"
                              : "waiting for the server",
                 copy, m->lag_s, m->transactions);
        manager_status(&u->manager, status);
    }
    if (!u->serve && !u->set.status_file)
        return;
    size_t n = metrics_text(m, u->set.schema, u->set.name, u->set.sink, text);
    if (u->serve)
        serve_publish(u->serve, text, n);
    int error = u->set.status_file ? metrics_write(u->set.status_file, text, n) : 0;
    if (error) {
        sink_trouble t = {.detail = strerror(error), .hint = "It is not tried again."};
        snprintf(t.message, sizeof t.message, "cannot write \"%s\"", u->set.status_file);
        say_trouble(u, REPORT_WARNING, &t, 0);
        u->set.status_file = NULL; /* until SIGHUP */
    }
}

void
care_start(updater *u)
{
    u->metrics.start_s = clock_time();
    manager_init(&u->manager);
    publish(u);
}

void
care_pulse(updater *u)
{
    double t = clock_now();
    manager_alive(&u->manager, t);
    if (t >= u->publish_at)
        publish(u);
}

/* ---- the store ------------------------------------------------------------------------ */

/* Once for each connection: a role that may not, or a server that is going away. */
static void
give_up(updater *u, bool *flag)
{
    const newt_error *e = newt_conn_error(u->c);
    *flag = true;
    if (newt_error_status(e) == NEWT_ESQL)
        say_error(u, REPORT_WARNING, e, 0);
}

static void
look(updater *u)
{
    newt_health h = {.size = sizeof h};
    metrics *m = &u->metrics;
    double begun = clock_now();
    if (newt_store_health(u->c, u->set.name, &h) != NEWT_OK) {
        give_up(u, &u->no_health);
        return;
    }
    m->lag_s = h.waiting ? (double)h.behind_us * 1e-6 : 0;
    m->backlog = (double)h.waiting;
    m->position = (double)h.position;
    m->newest = (double)h.newest_tid;
    m->copying = h.copying;
    m->copied = (double)h.copied;
    m->rejects = (double)h.rejects;
    m->holder_pid = h.holder_pid;
    m->holder_s = (double)h.holder_us * 1e-6;
    m->oldest_s = (double)h.oldest_us * 1e-6;
    m->kept = (double)h.transactions;
    m->kept_s = h.oldest_tid ? clock_time() - (double)h.oldest_tid * 1e-6 : 0;
    double t = clock_now(), pause = (t - begun) * HEALTH_SHARE;
    u->health_at = t + (pause > 1 ? pause : 1);
}

bool
care_prune(updater *u)
{
    int64_t pruned = 0;
    double begun = clock_now();
    u->prune_at = begun + PRUNE_S;
    if (!u->set.retention || u->no_prune)
        return false;
    if (newt_prune(u->c, PRUNE_AT_MOST, &pruned) != NEWT_OK) {
        give_up(u, &u->no_prune);
        return false;
    }
    u->metrics.pruned += (double)pruned;
    if (pruned < PRUNE_AT_MOST)
        return false;
    u->prune_at = clock_now() + (clock_now() - begun) * PRUNE_SHARE;
    return true;
}

void
care(updater *u)
{
    double t = clock_now();
    bool watched = u->serve || u->set.status_file || u->manager.fd >= 0;
    if (watched && !u->no_health && t >= u->health_at)
        look(u);
    if (u->active && t >= u->prune_at)
        care_prune(u);
    care_pulse(u);
}

void
care_end(updater *u)
{
    u->active = u->standby = false;
    publish(u);
    manager_stopping(&u->manager);
    serve_stop(u->serve);
    u->serve = NULL;
}
