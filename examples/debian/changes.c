/*
 * changes.c - a second program comes and changes objects: who sees what, and what happens when two
 * change the same
 */
#include "demo.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one object, seen from everywhere ------------------------------------------------------- */

struct look {
    package_ref ref;
    struct table *table;
    const char *who;
    double seconds;
};

static int
look(newt_conn *c, void *arg)
{
    struct look *l = arg;
    double started = now();
    const struct package *p = package_read(c, l->ref);

    if (!p)
        return newt_status(c);
    l->seconds = now() - started;
    if (l->table)
        table_row(l->table, l->who, time_text(l->seconds).s, p->held ? "yes" : "no",
                  priority_names[p->priority], p->summary.s ? p->summary.s : "");
    package_done(p);
    return NEWT_OK;
}

/* What a reviewer does: holds the package, raises its priority, leaves a note in the summary. */
static int
review(newt_conn *c, void *arg)
{
    package_ref *ref = arg;
    struct package *p = package_write(c, *ref);
    char summary[512];
    const char *note;
    size_t n;

    if (!p)
        return newt_status(c);
    p->held = true;
    p->priority = p->priority == REQUIRED ? EXTRA : p->priority - 1;
    p->reviews++;
    note = p->summary.s ? strstr(p->summary.s, " (reviewed") : NULL;
    n = note ? (size_t)(note - p->summary.s) : p->summary.n;
    snprintf(summary, sizeof summary, "%.*s (reviewed %u)", n < 480 ? (int)n : 480,
             p->summary.s ? p->summary.s : "", p->reviews);
    newt_set(p, summary, summary);
    package_done(p);
    return NEWT_OK;
}

static bool
look_in_sql(struct demo *d, const struct look *l)
{
    json_t *rows;
    double started = now();
    char zoid[24];
    const char *params[] = {zoid};

    snprintf(zoid, sizeof zoid, "%lld", (long long)l->ref.any.oid);
    if (!demo_rows(d, &rows, d->dialect->look, 1, params))
        return false;
    started = now() - started;
    table_cell(l->table, "SQL");
    table_cell(l->table, time_text(started).s);
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(rows, 0), name, value)
        table_cell(l->table, json_is_string(value) ? json_string_value(value) : "");
    json_decref(rows);
    return true;
}

static bool
change_one(struct demo *d, const char *name, package_ref *ref)
{
    struct look l = {.who = "before"};
    newt_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    newt_conn *fresh = NULL, *cached = NULL;
    struct table table;
    double seconds;
    char words[80];
    bool ok = false;
    int rc;

    heading(&d->page, "Changing %s: who sees it", name);
    table_open(&table, "lrlll", "seen by", "time", "held", "priority", "summary");
    rc = newt_begin(d->c);
    if (!rc)
        rc = demo_find(d->dialect, d->c, name, ref);
    if (rc)
        demo_failed(d, d->c, "search");
    newt_abort(d->c);
    if (rc)
        goto out;
    l.ref = *ref;
    l.table = &table;
    rc = newt_connect(d->db, &cached);
    if (!rc)
        rc = newt_transact(cached, look, &l, NULL); /* now this connection has it in its cache */
    if (rc) {
        demo_failed(d, cached, "read");
        goto out;
    }
    newt_conn_stats(d->c, &before);
    seconds = now();
    rc = newt_transact(d->c, review, ref, NULL);
    seconds = now() - seconds;
    newt_conn_stats(d->c, &after);
    if (rc) {
        demo_failed(d, d->c, "review");
        goto out;
    }
    l.who = "C, a new connection";
    rc = newt_connect(d->db, &fresh);
    if (!rc)
        rc = newt_transact(fresh, look, &l, NULL);
    if (rc) {
        demo_failed(d, fresh, "read");
        goto out;
    }
    l.who = "C, old state in its cache";
    rc = newt_transact(cached, look, &l, NULL);
    if (rc) {
        demo_failed(d, cached, "read");
        goto out;
    }
    if (!look_in_sql(d, &l))
        goto out;
    table_show(&table, &d->page);
    aside(&d->page, "changed in %s by transaction %lld; round trips: %s", time_text(seconds).s,
          (long long)newt_tid(d->c), number((uint64_t)(after.round_trips - before.round_trips)).s);
    say(&d->page, "\nIts new word is in the text index at once:");
    snprintf(words, sizeof words, "%s reviewed", name);
    ok = demo_show(d, "tsvector_idx", d->dialect->reviewed, 1, &(const char *){words});
out:
    table_close(&table);
    newt_close(fresh);
    newt_close(cached);
    return ok;
}

/* ---- many objects in one transaction -------------------------------------------------------- */

struct hold {
    const struct question *q;
    size_t n, changed;
};

static int
hold_all(newt_conn *c, void *arg)
{
    struct hold *h = arg;
    newt_result *r = NULL;
    int rc = newt_search(c, &r, h->q->sql, 1, h->q->params);

    if (!rc)
        rc = newt_result_load(r);
    h->n = newt_result_size(r);
    h->changed = 0;
    for (size_t i = 0; i < h->n && !rc; i++) {
        const struct package *p = package_read(c, package_of(newt_result_ref(r, i)));
        struct package *w;

        if (!p) {
            rc = newt_status(c);
            break;
        }
        if (!p->held) {
            w = package_edit(p);
            if (w) {
                w->held = true;
                h->changed++;
            } else {
                rc = newt_status(c);
            }
        }
        package_done(p);
    }
    newt_result_free(r);
    return rc;
}

static bool
change_many(struct demo *d)
{
    struct hold h = {.q = &d->dialect->readable};
    double seconds;

    heading(&d->page, "Holding all that group:kernel may see: many objects, one transaction");
    seconds = now();
    if (newt_transact(d->c, hold_all, &h, NULL))
        return demo_failed(d, d->c, "hold");
    seconds = now() - seconds;
    say(&d->page, "C found %s packages, loaded them in one round trip and changed %s.",
        number(h.n).s, number(h.changed).s);
    aside(&d->page, "%s, commit included", time_text(seconds).s);
    return demo_show(d, d->dialect->held.index, d->dialect->held.sql, 1, d->dialect->held.params);
}

/* ---- two at once ---------------------------------------------------------------------------- */

struct count {
    package_ref ref;
    newt_conn *rival; /* changes the same object during the first attempt */
    int attempts;
    uint32_t reviews;
};

static int
count_review(newt_conn *c, void *arg)
{
    struct count *n = arg;
    struct package *p = package_write(c, n->ref);

    if (!p)
        return newt_status(c);
    n->reviews = ++p->reviews;
    package_done(p);
    n->attempts++;
    if (n->rival && n->attempts == 1) {
        struct count other = {.ref = n->ref};
        int rc = newt_transact(n->rival, count_review, &other, NULL);

        if (rc)
            return rc;
    }
    return NEWT_OK;
}

static int
reviews_of(newt_conn *c, void *arg)
{
    struct count *n = arg;
    const struct package *p = package_read(c, n->ref);

    if (!p)
        return newt_status(c);
    n->reviews = p->reviews;
    package_done(p);
    return NEWT_OK;
}

/* By hand: both begin, both change it, the second to commit is told. */
static bool
collide(struct demo *d, newt_conn *rival, package_ref ref)
{
    struct count mine = {.ref = ref}, other = {.ref = ref};
    int rc = newt_begin(d->c);
    char told[512];

    if (!rc)
        rc = count_review(d->c, &mine);
    if (rc || newt_transact(rival, count_review, &other, NULL)) {
        newt_abort(d->c);
        return demo_failed(d, rc ? d->c : rival, "conflict");
    }
    rc = newt_commit(d->c);
    if (rc != NEWT_ECONFLICT) {
        complain(&d->page, "expected a conflict, but commit gave %s", newt_status_text(rc));
        return false;
    }
    snprintf(told, sizeof told, "%s: %s\n%s", newt_status_text(rc),
             newt_error_message(newt_conn_error(d->c)), newt_error_detail(newt_conn_error(d->c)));
    say(&d->page, "Two connections change one object. The second to commit is told, and nothing of "
                  "its\ntransaction is written:");
    quote(&d->page, told);
    return true;
}

static bool
conflict(struct demo *d, const char *name, package_ref ref)
{
    struct count before = {.ref = ref}, n = {.ref = ref}, after = {.ref = ref};
    newt_conn *rival = NULL;
    double seconds;
    bool ok = false;

    heading(&d->page, "A conflict");
    if (newt_connect(d->db, &rival)) {
        demo_failed(d, rival, "connect");
        goto out;
    }
    if (!collide(d, rival, ref))
        goto out;
    n.rival = rival;
    seconds = now();
    if (newt_transact(rival, reviews_of, &before, NULL) ||
        newt_transact(d->c, count_review, &n, NULL) ||
        newt_transact(rival, reviews_of, &after, NULL)) {
        demo_failed(d, newt_status(d->c) ? d->c : rival, "conflict");
        goto out;
    }
    seconds = now() - seconds;
    say(&d->page,
        "\nnewt_transact runs the function again, on what the other one wrote: %d attempts,\n"
        "and %s has %u reviews where it had %u. Neither is lost.",
        n.attempts, name, after.reviews, before.reviews);
    aside(&d->page, "%s", time_text(seconds).s);
    ok = after.reviews == before.reviews + 2;
    if (!ok)
        complain(&d->page, "a change was lost");
out:
    newt_close(rival);
    return ok;
}

bool
demo_change(struct demo *d)
{
    static const char *const names[] = {"bash", "postgresql-15", "zlib1g", NULL};
    package_ref ref;
    char name[64];

    return demo_pick(d, names, name) && change_one(d, name, &ref) && change_many(d) &&
           conflict(d, name, ref);
}
