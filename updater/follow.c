/* follow.c - the phases of following: from the feed to the sink, batch after batch */
#include "updater.h"

#include <stdio.h>
#include <string.h>

enum {
    SLOW_READER_MS = 1 /* before a slow reader is looked at again; the sink has waited already */
};

static sink_source
source(const updater *u)
{
    return (sink_source){.set = &u->set, .db = u->db, .c = u->c, .feed = u->feed};
}

static void
close_feed(updater *u)
{
    newt_feed_close(u->feed);
    newt_close(u->sink->culprit); /* its error has been told */
    u->sink->culprit = NULL;
    u->feed = NULL;
    u->batch = NULL;
    u->active = false;
}

/* ---- what may come in the way --------------------------------------------------------- */

/* Another process follows, or writes there: this one is ready to take over. */
static phase
stand_by(updater *u, phase next)
{
    if (!u->standby)
        manager_status(&u->manager, "standby");
    u->standby = true;
    u->active = false;
    return updater_wait(u, u->set.max_pause_ms, next);
}

/* The position is not in the store any more: what happened is said, then a copy of all objects
 * takes the place of the transactions that are missing. */
static phase
start_over(updater *u, const newt_error *e)
{
    sink_trouble t = {
        .detail = "", .hint = "", .message = "starting over with a copy of all objects"};
    say_error(u, REPORT_WARNING, e, 0);
    close_feed(u);
    if (newt_feed_forget(u->c, u->set.name) != NEWT_OK)
        return updater_fail(u, newt_conn_error(u->c));
    say_trouble(u, REPORT_WARNING, &t, 0);
    u->anew = true;
    u->copying = false;
    return updater_back_off(u, BEGIN);
}

static void
say_taken(updater *u)
{
    sink_trouble t = {.detail = "This one takes over when it ends.",
                      .hint = "If it has another output, give each of them a --name."};
    snprintf(t.message, sizeof t.message, "another process follows as \"%.200s\"", u->set.name);
    say_trouble(u, REPORT_INFO, &t, 0);
}

static phase
store_trouble(updater *u, phase at)
{
    const newt_error *e = u->sink->culprit ? newt_conn_error(u->sink->culprit)
                                           : newt_last_error(u->db, u->c);
    switch (newt_error_status(e)) {
    case NEWT_EMISSING: return start_over(u, e);
    case NEWT_ECONFLICT:
        if (at == FOLLOW) {
            if (!u->standby)
                say_taken(u);
            return stand_by(u, FOLLOW);
        }
        /* it was not committed: begin where the output and the store stand then */
        say_error(u, REPORT_INFO, e, u->set.interval_ms);
        close_feed(u);
        return updater_wait(u, u->set.interval_ms, BEGIN);
    default: return updater_fail(u, e);
    }
}

/* A sink's call did not go well; it comes again in phase `at`. */
static phase
sink_trouble_of(updater *u, sink_status status, phase at)
{
    const sink_trouble *t = &u->sink->trouble;
    switch (status) {
    case SINK_STORE: return store_trouble(u, at);
    case SINK_BEGIN: close_feed(u); return BEGIN;
    case SINK_TAKEN:
        if (!u->standby)
            say_trouble(u, REPORT_INFO, t, 0);
        return stand_by(u, at);
    case SINK_WAIT:
        if (!*t->message)
            return updater_wait(u, SLOW_READER_MS, at);
        phase next = updater_back_off(u, at);
        u->metrics.retries++;
        if (!u->stuck) {
            say_trouble(u, REPORT_WARNING, t, u->wait_ms);
            manager_status(&u->manager, t->message);
        }
        u->stuck = true;
        return next;
    default:
        say_trouble(u, REPORT_ERROR, t, 0);
        u->status = EXIT_PERMANENT;
        return END;
    }
}

/* A call went well: what was in trouble is not any more. */
static void
fine(updater *u)
{
    if (u->stuck) {
        sink_trouble t = {.detail = "", .hint = "", .message = "the output is written again"};
        say_trouble(u, REPORT_INFO, &t, 0);
    }
    u->stuck = false;
    u->back_off_ms = 0;
}

/* ---- the phases ----------------------------------------------------------------------- */

phase
follow_begin(updater *u)
{
    const char *token = NULL;
    const settings *s = &u->set;
    care_pulse(u);
    sink_status status = u->sink->type->begin(u->sink, u->anew, &token);
    if (status != SINK_OK)
        return sink_trouble_of(u, status, BEGIN);
    if (*u->sink->trouble.message)
        say_trouble(u, REPORT_WARNING, &u->sink->trouble, 0);
    newt_feed_options options = {.size = sizeof options,
                                 .follower = s->name,
                                 .token = token,
                                 .start = NEWT_FEED_COPY,
                                 .want = u->sink->type->want,
                                 .classes = s->classes[0] ? s->classes : NULL,
                                 .batch_objects = s->batch,
                                 .batch_bytes = s->batch_bytes,
                                 .until = s->once ? -1 : 0,
                                 .kind = u->sink->type->name};
    if (newt_feed_open(u->c, &u->feed, &options) != NEWT_OK)
        return store_trouble(u, BEGIN);
    u->anew = false;
    return FOLLOW;
}

/* The first answer of the feed: nobody else follows under this name. */
static void
become_active(updater *u)
{
    newt_health h = {.size = sizeof h};
    u->active = true;
    u->standby = false;
    u->metrics.active = 1;
    if (newt_store_health(u->c, u->set.name, &h) != NEWT_OK)
        h = (newt_health){.size = sizeof h}; /* what it was asked for can do without */
    if (h.position)
        u->metrics.position = (double)h.position;
    u->catching_up = u->set.once || h.waiting > u->set.batch || !h.position;
    u->progress.total = h.waiting;
    if (!u->report.terminal || !u->set.once)
        say_following(u, &h);
    if (!u->classes_seen)
        (void)task_classes(u, u->set.classes); /* they may come later */
    u->classes_seen = true;
    manager_status(&u->manager, "following");
}

/* A copy of all objects, or the rest of one that another process has begun. */
static void
count_copy(updater *u, size_t n)
{
    if (!u->copying) {
        u->copy_begun = clock_now();
        u->copy_objects = 0;
    }
    u->copying = true;
    u->copy_objects += (int64_t)n;
}

static void
end_copy(updater *u)
{
    report_field fields[] = {{"objects", NULL, u->copy_objects},
                             {"seconds", NULL, (int64_t)(clock_now() - u->copy_begun + 0.5)},
                             {NULL, NULL, 0}};
    if (u->copying)
        report_line(&u->report, REPORT_INFO, "all objects have been copied", fields);
    u->metrics.copies += u->copying;
    u->copying = false;
}

phase
follow_next(updater *u)
{
    const newt_batch *b = NULL;
    care(u);
    if (newt_feed_next(u->feed, 0, &b) != NEWT_OK)
        return store_trouble(u, FOLLOW);
    if (!u->active)
        become_active(u);
    u->back_off_ms = 0;
    if (b ? !b->copy : newt_feed_token(u->feed) != NULL)
        end_copy(u);
    if (!b)
        return IDLE;
    fault_at(&u->fault, FAULT_FETCH);
    u->batch = b;
    u->batch_begun = clock_now();
    u->batch_done = (newt_progress){.size = sizeof u->batch_done, .tid = b->tid};
    u->batch_done.behind_us = b->behind_us;
    for (size_t i = 0; i < b->n_transactions; i++)
        u->batch_done.transactions += !b->transactions[i].begun;
    if (u->catching_up && b->copy && !u->by_oid) {
        u->by_oid = true;
        u->progress.total = updater_greatest_oid(u);
    }
    return APPLY;
}

phase
follow_apply(updater *u)
{
    sink_source from = source(u);
    care_pulse(u);
    sink_status status = u->sink->type->apply(u->sink, &from, u->batch, &u->batch_done);
    if (status != SINK_OK)
        return sink_trouble_of(u, status, APPLY);
    fine(u);
    fault_at(&u->fault, FAULT_APPLY);
    return COMMIT;
}

static void
add(newt_progress *sum, const newt_progress *p)
{
    if (p->tid)
        sum->tid = p->tid;
    sum->behind_us = p->behind_us;
    sum->transactions += p->transactions;
    sink_count(sum, p);
}

/* Counts a batch; from time to time there is a line about what has been done. */
static void
account(updater *u, int64_t up_to)
{
    double t = clock_now();
    metrics *m = &u->metrics;
    add(&u->sum, &u->batch_done);
    add(&u->all, &u->batch_done);
    m->batch_s = t - u->batch_begun;
    m->batches_s += m->batch_s;
    m->batches++;
    m->lag_s = (double)u->batch_done.behind_us * 1e-6;
    if (u->batch_done.tid)
        m->position = (double)u->batch_done.tid;
    if (u->catching_up) {
        u->progress.done = u->by_oid ? up_to : u->all.transactions;
        u->progress.objects = u->all.written + u->all.removed;
        u->progress.seconds = t - u->start;
        u->progress.now = t;
        report_progress(&u->report, &u->progress, false);
    }
    if (u->set.summary_s > 0 && !u->set.once && t - u->since >= (double)u->set.summary_s) {
        if (u->sum.transactions)
            say_work(u, "summary", &u->sum, t - u->since);
        u->sum = (newt_progress){.size = sizeof u->sum};
        u->since = t;
    }
}

phase
follow_commit(updater *u)
{
    sink_source from = source(u);
    const newt_batch *b = u->batch;
    /* the batch is gone after the commit */
    int64_t up_to = b->copy ? b->up_to : 0;
    bool copy = b->copy, copied = copy && b->token;
    size_t n = b->n_events;
    bool more = b->copy || !b->token || b->behind_us > 0;
    care_pulse(u);
    sink_status status = u->sink->type->commit(u->sink, &from, b);
    if (status != SINK_OK)
        return sink_trouble_of(u, status, COMMIT);
    fine(u);
    fault_at(&u->fault, FAULT_COMMITTED);
    u->batch = NULL;
    u->tried_again = false;
    account(u, up_to);
    if (copy)
        count_copy(u, n);
    if (copied)
        end_copy(u);
    u->pause_ms = 0;
    return more ? FOLLOW : IDLE;
}

static void
caught_up(updater *u)
{
    if (u->catching_up && !u->set.once)
        report_progress(&u->report, &u->progress, true);
    u->catching_up = false;
}

phase
follow_idle(updater *u)
{
    sink_source from = source(u);
    newt_progress done = {.size = sizeof done};
    u->sink->trouble.message[0] = 0;
    sink_status status = u->sink->type->idle(u->sink, &from, &done);
    if (status != SINK_OK)
        return sink_trouble_of(u, status, IDLE);
    fine(u);
    if (*u->sink->trouble.message)
        say_trouble(u, REPORT_WARNING, &u->sink->trouble, 0);
    done.tid = u->all.tid;
    add(&u->sum, &done);
    add(&u->all, &done);
    bool ended = u->set.once && newt_feed_ended(u->feed);
    bool more = (ended || clock_now() >= u->prune_at) && care_prune(u);
    if (ended && !more && u->sink->rest_ms == 0)
        return END;
    if (!u->set.once)
        caught_up(u);
    if (u->sink->rest_ms > 0)
        return updater_wait(u, u->sink->rest_ms, FOLLOW);
    u->pause_ms *= 2;
    if (u->pause_ms < u->set.interval_ms)
        u->pause_ms = u->set.interval_ms;
    if (u->pause_ms > u->set.max_pause_ms)
        u->pause_ms = u->set.max_pause_ms;
    return updater_wait(u, more ? 0 : u->pause_ms, FOLLOW);
}
