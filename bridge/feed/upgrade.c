/*
 * upgrade.c - all objects of a class, written as its table says now
 *
 * Objects are gone through by oid. Those of the class are loaded, in a transaction, and recorded;
 * what gives another record than it has is written with the commit. So nothing is decided by a
 * version alone, and what is up to date costs no write. A writer who was faster is a conflict: the
 * objects are loaded again, fewer at a time, and nearly always there is nothing left to be done.
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS = 1000, /* looked at in one call; also in newtdb.h */
    MOST_TRIES = 10,
    MOST_TOLD = 10 /* the same */
};

typedef struct upgrading {
    newt_conn *c;
    const newt__class *k;
    newt_upgrade u;
    int64_t *scanned, *oids; /* oids: those of the class; both in order */
    size_t n_scanned, n;
    int told;
} upgrading;

/* ---- which objects ------------------------------------------------------------------------ */

static int
take_oid(void *arg, const newt__found *found)
{
    upgrading *w = arg;

    w->scanned[w->n_scanned++] = found->oid;
    return NEWT_OK;
}

static int
take_head(void *arg, const newt__found *found)
{
    upgrading *w = arg;
    newt__reader r;

    if (newt__read_begin(&r, &newt__malloc_env, found->record, found->n) == NEWT__OK &&
        newt__class_named(w->c->jar.classes, r.class_name, r.class_n) == w->k)
        w->oids[w->n++] = found->oid;
    return NEWT_OK;
}

static int
find(upgrading *w)
{
    const newt__feed_type *feed = w->c->jar.storage->feed;
    newt__session *session = w->c->jar.session;
    newt_error e = {0};
    int status = feed->scan(session, w->u.after, (size_t)w->u.objects, take_oid, w, &e);

    if (status == NEWT_OK && w->n_scanned > 0)
        status = feed->look(session, w->scanned, w->n_scanned, NEWT__HEADS, INT64_MAX, take_head, w,
                            &e);
    if (w->n > 0)
        qsort(w->oids, w->n, sizeof *w->oids, newt__by_oid);
    return e.status != NEWT_OK ? newt__feed_fail(w->c, &e) : status;
}

/* ---- one object --------------------------------------------------------------------------- */

/* It stays as it is; takes the error. */
static void
leave_broken(upgrading *w, int64_t oid, newt_error *why)
{
    const newt_options *o = w->c->jar.options;
    newt_error e = {0};

    if (o->notice && w->told++ < MOST_TOLD) {
        newt__fail(&e, NEWT_OK, oid, "%s %lld is not upgraded: %s", w->k->name, (long long)oid,
                   newt_error_message(why));
        newt__fail_class(&e, w->k->name, w->k->name_n);
        newt__fail_hint(&e, "%s", newt_error_hint(why));
        o->notice(&e, o->notice_arg);
        newt__error_clear(&e);
    }
    newt__error_clear(why);
    w->u.broken++;
}

/* One that could not be loaded as the class: why not. */
static int
explain(upgrading *w, const newt__header *h)
{
    newt__header *image;
    newt_error e = {0};
    int status = newt__image_make(&w->c->jar, w->k, h->oid, h->record, h->record_n, &image, &e);

    newt__header_free(image);
    if (status == NEWT_ENOMEM)
        return newt__base_fail_with(&w->c->jar.base, &e);
    leave_broken(w, h->oid, &e);
    return NEWT_OK;
}

/* Marks it, if its record is to be another. */
static int
write_anew(upgrading *w, newt__header *h)
{
    newt__jar *jar = &w->c->jar;
    newt_error e = {0};
    int status = newt__image_encode(jar, h, true, &e);

    if (status == NEWT_ENOMEM)
        return newt__base_fail_with(&jar->base, &e);
    if (status != NEWT_OK) {
        leave_broken(w, h->oid, &e);
        return NEWT_OK;
    }
    if (h->record_n == jar->coder.writer.buf.n &&
        memcmp(h->record, jar->coder.writer.buf.data, h->record_n) == 0)
        return NEWT_OK;
    w->u.written++;
    return w->u.dry_run ? NEWT_OK : newt__object_change(h);
}

/* The record is a copy: a savepoint that work rolls back to makes the object anew. */
static int
call_work(upgrading *w, newt__header *h)
{
    newt__jar *jar = &w->c->jar;
    uint8_t *copy = malloc(h->record_n + (size_t)1);
    newt_record record = {.env = &jar->coder.env, .data = copy, .n = h->record_n};
    bool same;
    int status = copy ? newt__object_change(h) : newt__base_fail_memory(&jar->base);

    if (status == NEWT_OK) {
        memcpy(copy, h->record, record.n);
        newt__object_pin(h);
        status = w->u.work(w->c, newt__object_of(h), &record, w->u.arg);
        if (status == NEWT_OK && jar->base.phase == NEWT__IDLE)
            status = newt__base_fail(&jar->base, NEWT_EBUSY, 0,
                                     "newt_upgrade.work has ended the transaction itself");
    }
    free(copy);
    if (status != NEWT_OK)
        return status;
    newt_done(newt__object_of(h));
    if (h->state != NEWT__CHANGED) /* it has deleted the object */
        return NEWT_OK;
    status = newt__object_encode(jar, h, &same);
    w->u.written += !same;
    return status;
}

static int
upgrade_one(upgrading *w, int64_t oid)
{
    newt__jar *jar = &w->c->jar;
    newt__header *h = newt__object_find(jar, (newt_ref){oid}, NEWT__ON_READ);
    int status;

    if (!h) {
        status = newt_status(w->c);
        return status == NEWT_EMISSING ? NEWT_OK : status; /* removed meanwhile, or by work */
    }
    if (h->bag) {
        const newt_bag *b = newt__object_of(h);

        if (!b->class_name ||
            newt__class_named(jar->classes, b->class_name, strlen(b->class_name)) != w->k)
            return NEWT_OK; /* replaced meanwhile */
        w->u.found++;
        return explain(w, h);
    }
    if (h->class != w->k)
        return NEWT_OK;
    w->u.found++;
    if (h->future) {
        w->u.newer++;
        return NEWT_OK;
    }
    if (h->fixed) {
        newt_error e = {0};

        newt__fail(&e, NEWT_ECLASS, oid, "its record has fields that could not be kept");
        newt__fail_hint(&e, "Add them to the class table, or to what it drops.");
        leave_broken(w, oid, &e);
        return NEWT_OK;
    }
    status = w->u.work && !w->u.dry_run ? call_work(w, h) : write_anew(w, h);
    newt__cache_sweep(jar);
    return status;
}

/* ---- some of them ------------------------------------------------------------------------- */

static int
upgrade_some(upgrading *w, const int64_t *oids, size_t n)
{
    newt__jar *jar = &w->c->jar;
    newt_upgrade before = w->u;
    int status = newt_begin(w->c);

    if (status != NEWT_OK)
        return status;
    jar->keep = true;
    for (size_t i = 0; i < n; i++) /* what is cached may have no record */
        newt__object_invalidate(jar, oids[i]);
    status = newt__load(jar, oids, n);
    for (size_t i = 0; i < n && status == NEWT_OK; i++)
        status = upgrade_one(w, oids[i]);
    jar->keep = false;
    if (status == NEWT_OK && !w->u.dry_run)
        status = newt_commit(w->c);
    else
        newt_abort(w->c);
    if (status != NEWT_OK)
        w->u = before;
    return status;
}

/* What the database refuses (an index or a constraint over the projection) stays as it is, if it is
 * one of these objects: it leaves the list. */
static bool
leave_refused(upgrading *w, size_t at, int status)
{
    newt_error *why = &w->c->jar.base.error;
    int64_t oid = why->oid;

    if (status != NEWT_EUNIQUE && status != NEWT_ESQL)
        return false;
    for (size_t i = at; i < w->n; i++) {
        if (w->oids[i] != oid)
            continue;
        memmove(&w->oids[i], &w->oids[i + 1], (--w->n - i) * sizeof *w->oids);
        w->u.found++;
        leave_broken(w, oid, why);
        return true;
    }
    return false;
}

static int
upgrade_batch(upgrading *w)
{
    size_t at = 0, step = w->n, m;
    int tries = 0, status = NEWT_OK;

    while (status == NEWT_OK && at < w->n) {
        m = step < w->n - at ? step : w->n - at;
        status = upgrade_some(w, w->oids + at, m);
        if (status == NEWT_ECONFLICT && (m > 1 || ++tries < MOST_TRIES)) {
            step = m > 1 ? m / 2 : 1;
            status = NEWT_OK;
            continue;
        }
        if (leave_refused(w, at, status)) {
            status = NEWT_OK;
            continue;
        }
        if (status == NEWT_ECONFLICT) {
            w->u.busy++;
            w->u.found++;
            status = NEWT_OK;
        }
        if (status == NEWT_OK) {
            at += m;
            step = 2 * m;
            tries = 0;
            w->u.after = w->oids[at - 1];
        }
    }
    if (status == NEWT_OK) {
        newt__error_clear(&w->c->jar.base.error);
        w->u.over = w->n_scanned < (size_t)w->u.objects;
        if (w->n_scanned > 0)
            w->u.after = w->scanned[w->n_scanned - 1];
    }
    for (size_t i = 0; i < w->n_scanned && w->scanned[i] <= w->u.after; i++)
        w->u.looked++;
    return status;
}

/* ---- the call ----------------------------------------------------------------------------- */

static int
check(newt_conn *c, const newt_class *table, newt_upgrade *upgrade, upgrading *w)
{
    newt_error e = {0};

    if (!upgrade)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "newt_upgrade_all needs a newt_upgrade");
    if (newt__options_take(&w->u, sizeof w->u, upgrade, "newt_upgrade", &e) != NEWT_OK)
        return newt__feed_fail(c, &e);
    w->k = newt__class_find(c->jar.classes, table);
    if (!w->k || !w->k->stored)
        return newt__base_fail(
            &c->jar.base, NEWT_ECLASS, 0, "class \"%s\" is not one of this database%s",
            table && table->name ? table->name : "", w->k ? ", but only embedded in others" : "");
    if (w->u.objects < 0 || w->u.objects > INT32_MAX || w->u.after < 0)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "newt_upgrade: objects or after is out of its range");
    return NEWT_OK;
}

int
newt_upgrade_all(newt_conn *c, const newt_class *table, newt_upgrade *upgrade)
{
    upgrading w = {.c = c};
    int64_t objects;
    int status = newt__outside(c, NULL, "newt_upgrade_all");

    if (status == NEWT_OK)
        status = check(c, table, upgrade, &w);
    if (status != NEWT_OK || w.u.over)
        return status;
    objects = w.u.objects;
    w.u.objects = objects ? objects : OBJECTS;
    w.scanned = malloc((size_t)w.u.objects * sizeof *w.scanned);
    w.oids = malloc((size_t)w.u.objects * sizeof *w.oids);
    if (!w.scanned || !w.oids)
        status = newt__base_fail_memory(&c->jar.base);
    if (status == NEWT_OK)
        status = find(&w);
    if (status == NEWT_OK)
        status = upgrade_batch(&w);
    free(w.scanned);
    free(w.oids);
    w.u.objects = objects;
    memcpy(upgrade, &w.u, w.u.size);
    return status;
}
