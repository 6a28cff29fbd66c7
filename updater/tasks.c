/* tasks.c - what is done once: refused rows, --check, --compute-missing, --reproject */
#include "updater.h"

#include <stdio.h>

enum {
    SWEEP_MOST =
        5000 /* objects of a step, after which it pauses: others wait no longer than that */
};

phase
task_rejects(updater *u)
{
    newt_progress p = {.size = sizeof p};
    care_pulse(u);
    if (newt_retry_rejects(u->c, u->set.batch, &p) != NEWT_OK)
        return updater_fail(u, newt_conn_error(u->c));
    sink_count(&u->sum, &p);
    if (p.behind_us > 0)
        return REJECTS;
    newt_health h = {.size = sizeof h};
    if (newt_store_health(u->c, u->set.name, &h) == NEWT_OK)
        u->metrics.position = (double)h.position;
    say_work(u, "rejects retried", &u->sum, clock_now() - u->since);
    u->sum = (newt_progress){.size = sizeof u->sum};
    u->set.retry_rejects = false; /* once is enough, also after another connection */
    return BEGIN;
}

/* ---- classes ----------------------------------------------------------------------------- */

/* Registered, or with rows: who cannot look finds no fault. */
static bool
known(updater *u, const char *class_name)
{
    newt_result *r = NULL;
    bool found = newt_begin(u->c) != NEWT_OK ||
                 newt_search(
                     u->c, &r,
                     "SELECT 1::bigint WHERE EXISTS (SELECT FROM newt_class WHERE name = $1)"
                     " OR EXISTS (SELECT FROM newt_projection WHERE class_name = $1)",
                     1, &class_name) != NEWT_OK ||
                 newt_result_size(r) > 0;
    newt_result_free(r);
    newt_abort(u->c);
    return found;
}

bool
task_classes(updater *u, const char *const *classes)
{
    bool all = true;
    for (size_t i = 0; classes[i]; i++) {
        sink_trouble t = {.detail = "",
                          .hint = "Names are compared letter by letter; SELECT DISTINCT name FROM "
                                  "newt_class shows those that are registered."};
        if (known(u, classes[i]))
            continue;
        all = false;
        snprintf(t.message, sizeof t.message, "there is no class \"%.200s\" in this store",
                 classes[i]);
        say_trouble(u, REPORT_WARNING, &t, 0);
    }
    return all;
}

/* ---- sweeps --------------------------------------------------------------------------- */

static void
sweep_begin(updater *u)
{
    const settings *s = &u->set;
    u->sweep = (newt_sweep){.size = sizeof u->sweep,
                            .kind = s->check             ? NEWT_SWEEP_CHECK
                                    : s->compute_missing ? NEWT_SWEEP_MISSING
                                                         : NEWT_SWEEP_REPROJECT,
                            .classes = s->reproject[0] ? s->reproject
                                       : s->classes[0] ? s->classes
                                                       : NULL,
                            .objects = s->batch < SWEEP_MOST ? s->batch : SWEEP_MOST,
                            .dry_run = s->dry_run};
    u->progress.total = updater_greatest_oid(u); /* for the bar */
}

static phase
sweep_end(updater *u)
{
    const newt_sweep *s = &u->sweep;
    report_progress(&u->report, &u->progress, true);
    say_sweep(u, s->kind == NEWT_SWEEP_CHECK     ? "checked"
                 : s->kind == NEWT_SWEEP_MISSING ? "missing rows computed"
                                                 : "reprojected");
    /* what is missing is of a class that there is */
    if (s->classes && s->missing + s->refused == 0 && !task_classes(u, s->classes))
        u->status = EXIT_PERMANENT;
    if (s->kind == NEWT_SWEEP_CHECK && s->missing + s->stale + s->wrong + s->extra > 0)
        u->status = EXIT_DIFFERENT;
    return END;
}

/* Works for its share of the time, then leaves the server to others. */
phase
task_sweep(updater *u)
{
    newt_sweep *s = &u->sweep;
    care_pulse(u);
    if (!s->size)
        sweep_begin(u);
    double begun = clock_now();
    if (newt_project_sweep(u->c, s) != NEWT_OK)
        return updater_fail(u, newt_conn_error(u->c));
    double t = clock_now();
    u->back_off_ms = 0;
    u->progress.done = s->over ? u->progress.total : s->after;
    u->progress.objects = s->looked;
    u->progress.seconds = t - u->start;
    u->progress.now = t;
    report_progress(&u->report, &u->progress, false);
    if (s->over)
        return sweep_end(u);
    double share = s->kind == NEWT_SWEEP_REPROJECT ? (double)u->set.throttle : 100;
    return updater_wait(u, (int64_t)((t - begun) * 1e3 * (100 - share) / share), SWEEP);
}

/* ---- files ---------------------------------------------------------------------------- */

phase
task_compare(updater *u)
{
    comparison c;
    if (!compare_files(u, &c))
        return updater_fail(u, newt_conn_error(u->c));
    if (*c.trouble) {
        sink_trouble t = {.detail = "", .hint = ""};
        snprintf(t.message, sizeof t.message, "%s", c.trouble);
        say_trouble(u, REPORT_ERROR, &t, 0);
        u->status = EXIT_PERMANENT;
        return END;
    }
    say_comparison(u, &c);
    if (c.looked + c.later == 0 && !task_classes(u, u->set.classes))
        u->status = EXIT_PERMANENT;
    if (c.missing + c.wrong + c.extra > 0)
        u->status = EXIT_DIFFERENT;
    return END;
}
