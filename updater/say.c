/* say.c - the log lines of the updater */
#include "updater.h"

#include <string.h>

/* What the server does not say: what to do where waiting does not help. */
static const char *
advice(const newt_error *e)
{
    static const struct {
        const char *sqlstate, *hint;
    } all[] = {
        {"42P10", "If newt_projection has lost its primary key: ALTER TABLE newt_projection ADD "
                  "PRIMARY KEY (zoid). Then start newt-updater again; nothing is lost."},
        {"42501", "newt.grant_store() gives a role the rights of an updater."},
        {"42",
         "A table of the store, or what its indexes and triggers use, was changed or dropped: "
         "undo that, and start newt-updater again. Nothing is lost."},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strncmp(newt_error_sqlstate(e), all[i].sqlstate, strlen(all[i].sqlstate)) == 0)
            return all[i].hint;
    return "";
}

void
say_error(updater *u, report_level level, const newt_error *e, int64_t pause_ms)
{
    int status = newt_error_status(e);
    int64_t oid = newt_error_oid(e);
    const char *hint = newt_error_hint(e);
    if (!*hint && level == REPORT_ERROR)
        hint = advice(e);
    report_field fields[] = {{"detail", newt_error_detail(e), 0},
                             {"hint", hint, 0},
                             {"status", status == NEWT_OK ? "" : newt_status_text(status), 0},
                             {"sqlstate", newt_error_sqlstate(e), 0},
                             {"oid", oid ? NULL : "", oid},
                             {"class", newt_error_class(e), 0},
                             {"constraint", newt_error_constraint(e), 0},
                             {"retry_in_ms", pause_ms ? NULL : "", pause_ms},
                             {NULL, NULL, 0}};
    report_line(&u->report, level, newt_error_message(e), fields);
}

/* Of an object that has been left out, since the database refuses its row, and other things that
 * are no errors; in the thread that has met them. */
void
say_notice(const newt_error *e, void *arg)
{
    say_error(arg, REPORT_WARNING, e, 0);
}

void
say_trouble(updater *u, report_level level, const sink_trouble *t, int64_t pause_ms)
{
    report_field fields[] = {{"detail", t->detail, 0},
                             {"hint", t->hint, 0},
                             {"retry_in_ms", pause_ms ? NULL : "", pause_ms},
                             {NULL, NULL, 0}};
    report_line(&u->report, level, t->message, fields);
}

void
say_work(updater *u, const char *message, const newt_progress *p, double seconds)
{
    double rate = seconds > 0 ? (double)(p->written + p->removed) / seconds : 0;
    int64_t position = p->tid ? p->tid : (int64_t)u->metrics.position;
    report_field fields[] = {{"transactions", NULL, p->transactions},
                             {"written", NULL, p->written},
                             {"removed", NULL, p->removed},
                             {"partial", NULL, p->rejects},
                             {"rejects", NULL, p->refused},
                             {"objects_per_s", NULL, (int64_t)rate},
                             {"position", position ? NULL : "", position},
                             {"behind_ms", NULL, p->behind_us / 1000},
                             {NULL, NULL, 0}};
    report_line(&u->report, REPORT_INFO, message, fields);
}

/* The last line. A task that has come to its end has said so. */
void
say_end(updater *u, const char *message)
{
    bool task = u->set.check || u->set.compute_missing || u->set.reproject[0];
    if (u->catching_up && !u->status)
        report_progress(&u->report, &u->progress, true);
    if (u->sweep.size && !u->sweep.over)
        say_sweep(u, message);
    else if (u->attached && !task)
        say_work(u, message, &u->all, clock_now() - u->start);
}

void
say_following(updater *u, const newt_health *h)
{
    report_field fields[] = {{"follower", u->set.name, 0},
                             {"schema", u->set.schema, 0},
                             {"sink", u->sink->type->name, 0},
                             {"position", NULL, h->position},
                             {"behind_ms", NULL, h->behind_us / 1000},
                             {NULL, NULL, 0}};
    report_line(&u->report, REPORT_INFO, "following", fields);
}

void
say_sweep(updater *u, const char *message)
{
    const newt_sweep *s = &u->sweep;
    double seconds = clock_now() - u->start;
    double rate = seconds > 0 ? (double)s->looked / seconds : 0;
    report_field fields[] = {{"objects", NULL, s->looked},
                             {"missing", NULL, s->missing},
                             {"stale", NULL, s->stale},
                             {"wrong", NULL, s->wrong},
                             {"extra", NULL, s->extra},
                             {"written", NULL, s->written},
                             {"rejects", NULL, s->refused},
                             {"objects_per_s", NULL, (int64_t)rate},
                             {NULL, NULL, 0}};
    report_line(&u->report, REPORT_INFO, message, fields);
}

void
say_comparison(updater *u, const comparison *c)
{
    report_field fields[] = {
        {"objects", NULL, c->looked},      {"missing", c->whole ? NULL : "", c->missing},
        {"wrong", NULL, c->wrong},         {"extra", NULL, c->extra},
        {"changed_later", NULL, c->later}, {NULL, NULL, 0}};
    if (!c->whole)
        report_line(&u->report, REPORT_WARNING,
                    "the files do not begin with a copy: only the objects in them were compared",
                    NULL);
    report_line(&u->report, REPORT_INFO, "checked", fields);
}
