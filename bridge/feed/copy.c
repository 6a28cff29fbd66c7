/*
 * copy.c - a whole store into another one, with its oids, serials and tids
 *
 * First the classes and the transactions that there are, then all objects as they are, then what
 * has happened meanwhile. The position in the first store is kept in the second, as a follower's,
 * and moved after each part that is there durably; a part that comes twice changes nothing.
 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

static const char follower[] = "newt copy", kind[] = "copy";

enum {
    OBJECTS = 5000, /* of a part; also in newtdb.h */
    BYTES = 8 << 20,
    OF_TRANSACTIONS = 50000 /* objects of the transactions that are recorded at once */
};

/* The transactions of a part, with what they point to. */
typedef struct log {
    newt__transaction *list;
    size_t n, cap;
    int64_t objects;
    bool within; /* the last one has parts that are not here */
} log;

typedef struct copy {
    newt_conn *from, *to;
    newt_copy_options o;
    newt_copy_progress progress;
    newt__standing at;
    newt__found *found; /* objects with their records, malloc'ed */
    size_t n_found, cap_found;
    int64_t *oids; /* that are looked for */
    size_t n_oids, cap_oids;
    log log;
    newt_error e; /* of either store */
    bool here;    /* ... of the second */
} copy;

/* ---- memory ---------------------------------------------------------------------------------- */

static bool
reserve(void *list, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap : 64;
    void **at = list, *p;

    if (n <= *cap)
        return true;
    while (more < n)
        more *= 2;
    p = more < SIZE_MAX / size ? realloc(*at, more * size) : NULL;
    if (!p)
        return false;
    *at = p;
    *cap = more;
    return true;
}

static void
log_clear(log *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const newt__transaction *t = &l->list[i];

        free((void *)(uintptr_t)t->user);
        free((void *)(uintptr_t)t->description);
        free((void *)(uintptr_t)t->extension);
        free((void *)(uintptr_t)t->written);
        free((void *)(uintptr_t)t->removed);
        free((void *)(uintptr_t)t->removed_classes);
    }
    l->n = 0;
    l->objects = 0;
    l->within = false;
}

/* Keeps the first n. */
static void
found_cut(copy *x, size_t n)
{
    while (x->n_found > n)
        free((void *)(uintptr_t)x->found[--x->n_found].record);
}

/* Appends n2 items of a size to n1 that were malloc'ed; NULL and none are the same. */
static bool
append(const void *at, size_t n1, const void *more, size_t n2, size_t size)
{
    void **list = (void **)(uintptr_t)at, *p;

    if (n2 == 0)
        return true;
    p = realloc(*list, (n1 + n2) * size);
    if (!p)
        return false;
    memcpy((char *)p + n1 * size, more, n2 * size);
    *list = p;
    return true;
}

static size_t
texts_size(const char *texts, size_t n)
{
    size_t size = 0;

    for (; texts && n > 0; n--)
        size += strlen(texts + size) + 1;
    return size;
}

/* ---- what the first store hands over ------------------------------------------------------------
 */

/* A transaction, or another part of the last one. */
static int
take_transaction(void *arg, const newt__transaction *t)
{
    copy *x = arg;
    log *l = &x->log;
    newt__transaction *mine;
    bool fine = true;
    size_t classes;

    if (!l->within) {
        if (!reserve(&l->list, l->n + 1, &l->cap, sizeof *l->list))
            return newt__fail_memory(&x->e);
        mine = &l->list[l->n++];
        *mine = (newt__transaction){.at = t->at, .committed_us = t->committed_us};
        mine->user = newt__text_copy(t->user, &fine);
        mine->description = newt__text_copy(t->description, &fine);
        mine->extension = newt__text_copy(t->extension, &fine);
        if (!fine)
            return newt__fail_memory(&x->e);
    }
    mine = &l->list[l->n - 1];
    classes = texts_size(mine->removed_classes, mine->n_removed);
    if (!append(&mine->written, mine->n_written, t->written, t->n_written, sizeof *t->written) ||
        !append(&mine->removed, mine->n_removed, t->removed, t->n_removed, sizeof *t->removed) ||
        !append(&mine->removed_classes, classes, t->removed_classes,
                texts_size(t->removed_classes, t->n_removed), 1))
        return newt__fail_memory(&x->e);
    mine->n_written += t->n_written;
    mine->n_removed += t->n_removed;
    l->objects += (int64_t)(t->n_written + t->n_removed);
    l->within = t->more;
    return NEWT_OK;
}

/* The next transactions, whole ones. */
static int
fetch_log(copy *x, newt__cursor *at)
{
    newt_conn *c = x->from;
    int status;

    log_clear(&x->log);
    do
        status = c->jar.storage->feed->next(c->jar.session, at, OF_TRANSACTIONS, take_transaction,
                                            x, &x->e);
    while (status == NEWT_OK && x->log.within);
    return status;
}

static int
take_oid(void *arg, const newt__found *f)
{
    copy *x = arg;

    if (!reserve(&x->oids, x->n_oids + 1, &x->cap_oids, sizeof *x->oids))
        return newt__fail_memory(&x->e);
    x->oids[x->n_oids++] = f->oid;
    return NEWT_OK;
}

static int
take_object(void *arg, const newt__found *f)
{
    copy *x = arg;
    newt__found mine = *f;
    void *record = f->record ? malloc(f->n + 1) : NULL;

    if ((f->record && !record) ||
        !reserve(&x->found, x->n_found + 1, &x->cap_found, sizeof *x->found)) {
        free(record);
        return newt__fail_memory(&x->e);
    }
    mine.record = record;
    x->found[x->n_found++] = mine;
    if (!record)
        return NEWT_OK; /* too much at once: it is asked for again */
    memcpy(record, f->record, f->n);
    x->progress.bytes += (int64_t)f->n;
    return NEWT_OK;
}

static int
by_oid(const void *pa, const void *pb)
{
    const newt__found *a = pa, *b = pb;

    return (a->oid > b->oid) - (a->oid < b->oid);
}

/* The record that found[i] came without, or no found[i] if it has been removed since. */
static int
look_again(copy *x, size_t i)
{
    newt_conn *c = x->from;
    size_t had = x->n_found;
    int status = c->jar.storage->feed->look(c->jar.session, &x->found[i].oid, 1, NEWT__WHOLE, BYTES,
                                            take_object, x, &x->e);

    if (status != NEWT_OK)
        return status;
    if (x->n_found > had) {
        x->found[i] = x->found[--x->n_found];
    } else {
        memmove(x->found + i, x->found + i + 1, (had - i - 1) * sizeof *x->found);
        x->n_found--;
    }
    return NEWT_OK;
}

/* The first oids that are looked for, with their records, as many as fit; *n: how many of them.
 * found has them by oid, less those that do not exist any more. */
static int
look(copy *x, const int64_t *oids, size_t *n)
{
    newt_conn *c = x->from;
    bool again = false;
    int status = c->jar.storage->feed->look(c->jar.session, oids, *n, NEWT__WHOLE, BYTES,
                                            take_object, x, &x->e);

    if (status == NEWT_OK && x->n_found > 0)
        qsort(x->found, x->n_found, sizeof *x->found, by_oid);
    for (size_t i = 0; status == NEWT_OK && i < x->n_found;) {
        if (x->found[i].record) {
            i++;
        } else if (!again) {
            again = true;
            status = look_again(x, i);
        } else { /* one that is large is enough */
            while (*n > 0 && oids[*n - 1] >= x->found[i].oid)
                --*n;
            found_cut(x, i);
        }
    }
    return status;
}

/* ---- what the second store is given
 * --------------------------------------------------------------
 */

static int
fail_here(copy *x, int status)
{
    x->here |= status != NEWT_OK;
    return status;
}

static int
import(copy *x, const newt__import *what)
{
    newt_conn *c = x->to;
    int status = fail_here(x, c->jar.storage->feed->import(c->jar.session, what, &x->e));

    if (status == NEWT_OK) {
        x->progress.objects += (int64_t)what->n_objects;
        x->progress.transactions += (int64_t)what->n_transactions;
    }
    return status;
}

static int
move(copy *x, const newt__standing *from, newt__position at, int64_t copied)
{
    newt_conn *c = x->to;
    newt__standing to = {at, copied};
    int status = fail_here(
        x, c->jar.storage->feed->move(c->jar.session, follower, kind, from, &to, &x->e));

    if (status == NEWT_OK)
        x->at = to;
    return status;
}

/* Both connections are free to be used. */
static int
check_free(newt_conn *from, newt_conn *to)
{
    int status = newt__outside(from, NULL, "newt_copy");

    if (status == NEWT_OK) {
        status = newt__outside(to, NULL, "newt_copy");
        if (status != NEWT_OK)
            newt__base_fail(&from->jar.base, status, 0, "the second connection: %s",
                            newt_error_message(&to->jar.base.error));
    }
    return status;
}

static int
tell(copy *x)
{
    int status = x->o.progress ? x->o.progress(&x->progress, x->o.arg) : NEWT_OK;

    /* the function may have used them */
    return status == NEWT_OK && x->o.progress ? check_free(x->from, x->to) : status;
}

/* What is registered otherwise stays so; a program that opens the store hears of it. */
static int
pass_over(void *arg, size_t i, const newt__registered *theirs)
{
    (void)arg;
    (void)i;
    (void)theirs;
    return NEWT_OK;
}

static int
take_class(void *arg, const newt__registered *k)
{
    copy *x = arg;
    newt_conn *c = x->to;

    return fail_here(
        x, c->jar.storage->register_classes(c->jar.session, k, 1, pass_over, NULL, &x->e));
}

/* ---- the parts ---------------------------------------------------------------------------- */

static int
fail_alone(copy *x)
{
    newt__error_clear(&x->e);
    newt__fail(&x->e, NEWT_EINVAL, 0, "the store has transactions that newt_copy did not write");
    newt__fail_hint(&x->e, "Copy into a new one, made by newt_store_create().");
    x->here = true;
    return NEWT_EINVAL;
}

static int
pass_by(void *arg, const newt__transaction *t)
{
    (void)arg;
    (void)t;
    return NEWT_OK;
}

/* A run that goes on: nobody else has written there meanwhile. */
static int
check_alone(copy *x)
{
    newt_conn *from = x->from, *to = x->to;
    newt__cursor at = {0};
    int status = fail_here(x, to->jar.storage->feed->newest(to->jar.session, &at.after, &x->e));

    /* a part may have come without the position */
    if (status == NEWT_OK && at.after.tid != x->at.at.tid) {
        status = from->jar.storage->feed->next(from->jar.session, &at, 1, pass_by, NULL, &x->e);
        if (status == NEWT_EMISSING)
            return fail_alone(x);
    }
    return status;
}

/* Into a new store, which has its root: the classes, and the transactions that there are. Objects
 * come later. */
static int
begin(copy *x)
{
    enum {
        ROOT_OID = 1
    };
    newt_conn *from = x->from, *to = x->to;
    newt__import what = {.first = true};
    newt__position newest;
    newt__cursor at = {0};
    int status;

    x->n_oids = 0;
    status = fail_here(
        x, to->jar.storage->feed->scan(to->jar.session, ROOT_OID, 1, take_oid, x, &x->e));
    if (status == NEWT_OK && x->n_oids > 0)
        return fail_alone(x);
    if (status == NEWT_OK)
        status = from->jar.storage->feed->newest(from->jar.session, &newest, &x->e);
    if (status == NEWT_OK)
        status = from->jar.storage->feed->registered(from->jar.session, take_class, x, &x->e);
    while (status == NEWT_OK && (what.first || what.n_transactions > 0)) {
        what = (newt__import){.first = what.first};
        status = fetch_log(x, &at);
        while (x->log.n > what.n_transactions &&
               x->log.list[what.n_transactions].at.tid <= newest.tid)
            what.n_transactions++; /* later ones come with their objects */
        what.transactions = x->log.list;
        if (status == NEWT_OK && (what.first || what.n_transactions > 0))
            status = import(x, &what);
        if (status == NEWT_OK)
            status = tell(x);
        what.first = false;
    }
    return status == NEWT_OK ? move(x, NULL, newest, 0) : status;
}

/* The objects after the last one that was copied. */
static int
copy_objects(copy *x)
{
    newt_conn *c = x->from;
    newt__import what = {.copy = true, .after = x->at.copied, .up_to = INT64_MAX};
    newt__standing from = x->at;
    int status;
    size_t n;

    x->n_oids = 0;
    status = c->jar.storage->feed->scan(c->jar.session, from.copied, (size_t)x->o.objects, take_oid,
                                        x, &x->e);
    n = x->n_oids;
    if (status == NEWT_OK && n > 0)
        status = look(x, x->oids, &n);
    if (n > 0)
        what.up_to = x->oids[n - 1];
    what.objects = x->found;
    what.n_objects = x->n_found;
    if (status == NEWT_OK)
        status = import(x, &what);
    found_cut(x, 0);
    x->progress.oid = what.up_to;
    return status == NEWT_OK ? move(x, &from, from.at, n > 0 ? what.up_to : -1) : status;
}

/* What the transactions have written, each object once. */
static int
list_written(copy *x)
{
    size_t n = 0;

    x->n_oids = 0;
    for (size_t i = 0; i < x->log.n; i++) {
        const newt__transaction *t = &x->log.list[i];

        if (!reserve(&x->oids, x->n_oids + t->n_written + t->n_removed, &x->cap_oids,
                     sizeof *x->oids))
            return newt__fail_memory(&x->e);
        for (size_t k = 0; k < t->n_written; k++)
            x->oids[x->n_oids++] = t->written[k];
        for (size_t k = 0; k < t->n_removed; k++)
            x->oids[x->n_oids++] = t->removed[k];
    }
    if (x->n_oids > 0)
        qsort(x->oids, x->n_oids, sizeof *x->oids, newt__by_oid);
    for (size_t i = 0; i < x->n_oids; i++)
        if (n == 0 || x->oids[n - 1] != x->oids[i])
            x->oids[n++] = x->oids[i];
    x->n_oids = n;
    return NEWT_OK;
}

/* Some of them as they are now; those that were not found do not exist. */
static int
import_some(copy *x, const int64_t *oids, size_t *n)
{
    newt__import what = {0};
    int64_t *removed;
    size_t place = 0;
    int status = look(x, oids, n);

    removed = status == NEWT_OK ? malloc((*n + 1) * sizeof *removed) : NULL;
    if (status == NEWT_OK && !removed)
        status = newt__fail_memory(&x->e);
    if (status == NEWT_OK) {
        for (size_t i = 0; i < *n; i++) {
            while (place < x->n_found && x->found[place].oid < oids[i])
                place++;
            if (place == x->n_found || x->found[place].oid != oids[i])
                removed[what.n_removed++] = oids[i];
        }
        what.objects = x->found;
        what.n_objects = x->n_found;
        what.removed = removed;
        status = import(x, &what);
    }
    found_cut(x, 0);
    free(removed);
    return status;
}

/* The next transactions: their objects as they are now, then themselves. *any: there were some. */
static int
follow(copy *x, bool *any)
{
    newt__standing from = x->at;
    newt__cursor at = {.after = from.at};
    newt__import what = {0};
    int status = fetch_log(x, &at);

    *any = status == NEWT_OK && x->log.n > 0;
    if (status != NEWT_OK || !*any)
        return status;
    status = list_written(x);
    for (size_t i = 0, n; status == NEWT_OK && i < x->n_oids; i += n) {
        n = x->n_oids - i < (size_t)x->o.objects ? x->n_oids - i : (size_t)x->o.objects;
        status = import_some(x, x->oids + i, &n);
    }
    what.transactions = x->log.list;
    what.n_transactions = x->log.n;
    if (status == NEWT_OK)
        status = import(x, &what);
    return status == NEWT_OK ? move(x, &from, at.after, -1) : status;
}

/* The rows of the projection; fails with the second connection's error. */
static int
write_rows(copy *x)
{
    newt_sweep s = {.size = sizeof s, .kind = NEWT_SWEEP_MISSING, .objects = x->o.objects};
    int status = NEWT_OK;

    if (!x->to->jar.storage->feed->project)
        return NEWT_OK;
    while (status == NEWT_OK && !s.over) {
        status = newt_project_sweep(x->to, &s);
        x->progress.projected = s.looked;
        if (status == NEWT_OK)
            status = tell(x);
    }
    return status;
}

static int
copy_all(copy *x)
{
    newt_conn *to = x->to;
    bool known, any = true;
    int status = to->jar.storage->ready(to->jar.session, 0, &x->e);

    if (status == NEWT_OK)
        status = to->jar.storage->feed->follower(to->jar.session, follower, kind, &x->at, &known,
                                                 &x->e);
    fail_here(x, status);
    if (status == NEWT_OK)
        status = x->from->jar.storage->ready(x->from->jar.session, 0, &x->e);
    if (status == NEWT_OK)
        status = known ? check_alone(x) : begin(x);
    while (status == NEWT_OK && x->at.copied != -1) {
        status = copy_objects(x);
        if (status == NEWT_OK)
            status = tell(x);
    }
    while (status == NEWT_OK && any) {
        status = follow(x, &any);
        if (status == NEWT_OK)
            status = tell(x);
    }
    if (status == NEWT_OK && x->o.last)
        status = fail_here(x, to->jar.storage->feed->forget(to->jar.session, follower, &x->e));
    return status;
}

/* An error of the second store, for who asks the first connection. */
static int
fail_there(newt_conn *from, const newt_error *e)
{
    newt_error why = {0};

    newt__fail(&why, e->status, e->oid, "in the store that is copied to: %s",
               newt_error_message(e));
    memcpy(why.sqlstate, e->sqlstate, sizeof why.sqlstate);
    if (e->detail)
        newt__fail_detail(&why, "%s", e->detail);
    if (e->hint)
        newt__fail_hint(&why, "%s", e->hint);
    return newt__feed_fail(from, &why);
}

int
newt_copy(newt_conn *from, newt_conn *to, const newt_copy_options *options)
{
    copy x = {
        .from = from, .to = to, .o = {.size = sizeof x.o}, .progress = {.size = sizeof x.progress}};
    newt_error e = {0};
    int status = check_free(from, to);

    if (status != NEWT_OK)
        return status;
    if (options &&
        newt__options_take(&x.o, sizeof x.o, options, "newt_copy_options", &e) != NEWT_OK)
        return newt__feed_fail(from, &e);
    if (from->db == to->db)
        return newt__base_fail(&from->jar.base, NEWT_EINVAL, 0,
                               "both connections are of the same database");
    if (x.o.objects < 0)
        return newt__base_fail(&from->jar.base, NEWT_EINVAL, 0,
                               "newt_copy_options: objects is negative");
    if (x.o.objects == 0)
        x.o.objects = OBJECTS;
    if (!from->jar.storage->feed->registered) {
        newt__base_fail(&from->jar.base, NEWT_EINVAL, 0, "a layer of changes cannot be copied");
        newt__fail_hint(&from->jar.base.error,
                        "Write it down with newt_db_commit_changes(), and copy its base.");
        return NEWT_EINVAL;
    }
    if (!to->jar.storage->feed->import)
        return newt__base_fail(&from->jar.base, NEWT_EINVAL, 0, "a store in %s cannot be copied to",
                               to->jar.storage->scheme);
    status = copy_all(&x);
    if (x.e.status == NEWT_EMISSING && !x.here)
        newt__fail_hint(&x.e, "Copy into a new store, made by newt_store_create().");
    log_clear(&x.log);
    free(x.log.list);
    found_cut(&x, 0);
    free(x.found);
    free(x.oids);
    if (x.e.status != NEWT_OK && x.here) {
        fail_there(from, &x.e);
        newt__feed_fail(to, &x.e);
    } else if (x.e.status != NEWT_OK) {
        newt__feed_fail(from, &x.e);
    }
    if (status == NEWT_OK) {
        status = write_rows(&x);
        if (status != NEWT_OK && to->jar.base.error.status == status)
            fail_there(from, &to->jar.base.error);
    }
    return status;
}
