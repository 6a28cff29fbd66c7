/*
 * session.c - a session with both storages: snapshots, loads, oids
 *
 * The snapshot of the changes is opened first, then that of the base. What the changes hold was
 * committed by transactions that had seen a base no newer than that, so a reader sees no result of
 * something in the base that it does not see.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BUFFERED = 1000, /* objects of the changes that may wait until the base is open */
    OIDS = 256,      /* that a session takes at once: a power of two */
    ATTEMPTS = 16    /* at a block that nobody has taken */
};

/* ---- what the two tell ---------------------------------------------------------------------- */

int
newt__serial_too_large(newt_error *e)
{
    newt__fail(e, NEWT_ELIMIT, 0, "the store has serials of more than %d bits", NEWT__SERIAL_BITS);
    newt__fail_detail(e, "A layer tells its own from those of its base by the bits above.");
    return NEWT_ELIMIT;
}

int
newt__demo_ended(newt__session *x, int status, newt_error *e)
{
    if (x->why.status != NEWT_OK && e->status == NEWT_OK)
        newt__error_move(e, &x->why);
    newt__error_clear(&x->why);
    return status;
}

/* A storage was restarted or replaced: nothing is known any more. */
static int
forget(newt__session *x)
{
    const newt__changes all = {.all = true};

    x->at.base = x->at.changes = (newt__position){0};
    x->at.number++;
    x->known = false;
    return x->opened(x->opened_arg, &all);
}

static bool
hear(newt__heard *to, const newt__changes *said)
{
    to->said = *said;
    to->said.oids = NULL;
    to->oids.n = 0;
    for (size_t i = 0; i < said->n; i++)
        if (!newt__oids_add(&to->oids, said->oids[i]))
            return false;
    return true;
}

static void
base_seen(newt__storage *s, int64_t tid)
{
    pthread_mutex_lock(&s->lock);
    if (tid > s->base_tid)
        s->base_tid = tid;
    pthread_mutex_unlock(&s->lock);
}

void
newt__demo_stand(newt__session *x, newt__position changes, bool base)
{
    x->at.changes = changes;
    x->at.number++;
    if (!base)
        return;
    x->at.base = x->of_base.said.to;
    x->base_us = newt__clock();
    base_seen(x->storage, x->at.base.tid);
}

bool
newt__demo_knows(const newt__session *x, newt__position position)
{
    return position.tid != 0 && position.tid == x->at.changes.tid &&
           position.serial == x->at.number;
}

/* Both snapshots are open. What others have changed is what either says. */
static int
tell(newt__session *x)
{
    const newt__changes *c = &x->of_changes.said;
    newt__changes both = {.to = {c->to.tid, x->at.number + 1},
                          .all = !x->known || c->all || x->of_base.said.all,
                          .waited = c->waited,
                          .in_vain = c->in_vain};
    const newt__oids *lists[] = {&x->of_base.oids, &x->of_changes.oids};
    int status;

    x->wanted = false;
    x->list.n = 0;
    for (int i = 0; i < 2 && !both.all; i++)
        for (size_t k = 0; k < lists[i]->n; k++)
            if (!newt__oids_add(&x->list, lists[i]->oids[k]))
                return newt__fail_memory(&x->why);
    both.oids = x->list.oids;
    both.n = x->list.n;
    status = x->opened(x->opened_arg, &both);
    if (status == NEWT_OK)
        newt__demo_stand(x, c->to, true);
    return status;
}

/* A newt__opened, of the session with the changes. */
static int
changes_opened(void *arg, const newt__changes *said)
{
    newt__session *x = arg;

    if (said->to.tid == 0)
        return forget(x);
    return hear(&x->of_changes, said) ? NEWT_OK : newt__fail_memory(&x->why);
}

/* The same of the base, which opens second. */
static int
base_opened(void *arg, const newt__changes *said)
{
    newt__session *x = arg;
    int status = NEWT_OK;

    if (said->to.tid == 0)
        return forget(x);
    if (!hear(&x->of_base, said))
        return newt__fail_memory(&x->why);
    if (!x->wanted)
        return NEWT_OK;
    if (!said->all)
        status = newt__demo_hide(x, &x->of_base.oids, &x->why);
    return status == NEWT_OK ? tell(x) : status;
}

/* ---- sessions --------------------------------------------------------------------------- */

newt__session *
newt__demo_session(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->storage = s;
    x->opened = opened;
    x->opened_arg = arg;
    x->changes = s->changes.type->connect(s->changes.storage, changes_opened, x, stats);
    if (!x->changes) {
        free(x);
        return NULL;
    }
    return x;
}

void
newt__demo_session_put(newt__session *x, newt__session *base)
{
    x->base = base;
    x->storage->base.type->tell(base, base_opened, x);
}

newt__session *
newt__demo_session_take(newt__session *x)
{
    newt__session *base = x->base;

    x->base = NULL;
    return base;
}

newt__session *
newt__demo_session_base(newt__session *x)
{
    return x->base;
}

newt__session *
newt__demo_connect(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *x = newt__demo_session(s, opened, arg, stats);

    if (!x)
        return NULL;
    x->base = s->base.type->connect(s->base.storage, base_opened, x, stats);
    if (!x->base) {
        newt__demo_disconnect(x);
        return NULL;
    }
    return x;
}

void
newt__demo_disconnect(newt__session *x)
{
    if (x->base)
        x->storage->base.type->disconnect(x->base);
    x->storage->changes.type->disconnect(x->changes);
    newt__error_clear(&x->why);
    newt__oids_free(&x->of_base.oids);
    newt__oids_free(&x->of_changes.oids);
    newt__oids_free(&x->list);
    free(x);
}

void
newt__demo_tell(newt__session *x, newt__opened *opened, void *arg)
{
    x->opened = opened;
    x->opened_arg = arg;
}

int
newt__demo_ready(newt__session *x, int64_t idle_us, newt_error *e)
{
    const newt__storage *s = x->storage;
    int status = s->base.type->ready(x->base, idle_us, e);

    if (status == NEWT_OK)
        status = s->changes.type->ready(x->changes, idle_us, e);
    return newt__demo_ended(x, status, e);
}

/* The caller compares the position of the changes alone; how fresh that of the base is, it is told
 * here. Before anything was told, nothing is cached. */
bool
newt__demo_alive(const newt__session *x)
{
    newt__storage *s = x->storage;
    bool newest;

    if (!s->base.type->alive(x->base))
        return false;
    if (x->at.base.tid == 0)
        return true;
    if (!s->changes.type->alive(x->changes) || newt__clock() - x->base_us >= NEWT__FRESH_US)
        return false;
    pthread_mutex_lock(&s->lock);
    newest = x->at.base.tid >= s->base_tid;
    pthread_mutex_unlock(&s->lock);
    return newest;
}

void
newt__demo_abandon(newt__session *x)
{
    if (x->base)
        x->storage->base.type->abandon(x->base);
    x->storage->changes.type->abandon(x->changes);
}

/* ---- transactions ----------------------------------------------------------------------- */

void
newt__demo_begin(newt__session *x, newt__position position)
{
    static const newt__position none;
    bool cached = position.tid != 0;

    x->known = !cached || newt__demo_knows(x, position);
    x->wanted = true;
    x->storage->changes.type->begin(x->changes, cached && x->known ? x->at.changes : none);
    x->storage->base.type->begin(x->base, cached && x->known ? x->at.base : none);
}

void
newt__demo_ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms)
{
    x->storage->changes.type->ask_turn(x->changes, oids, n, at_most_ms);
}

void
newt__demo_end(newt__session *x)
{
    x->wanted = false;
    x->storage->changes.type->end(x->changes);
    if (x->base)
        x->storage->base.type->end(x->base);
}

void
newt__demo_renew_base(newt__session *x)
{
    static const newt__position none;

    x->storage->base.type->end(x->base);
    x->storage->base.type->begin(x->base, x->known ? x->at.base : none);
}

/* ---- loads ---------------------------------------------------------------------------------- */

/* A record of the changes that waits until the base's snapshot is open. */
typedef struct waiting {
    int64_t oid, serial;
    size_t at, n;
} waiting;

typedef struct loading {
    newt__session *x;
    newt__take_record *take;
    void *arg;
    newt__oids had; /* by the changes: the base is not asked */
    newt__buffer records;
    waiting *list;
    size_t n, cap;
} loading;

static int
no_record(void *arg, const newt__found *found)
{
    (void)arg;
    (void)found;
    return NEWT_OK;
}

static bool
keep(loading *l, const newt__found *found)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        waiting *more = realloc(l->list, cap * sizeof *more);

        if (!more)
            return false;
        l->list = more;
        l->cap = cap;
    }
    l->list[l->n] = (waiting){found->oid, found->serial, l->records.n, found->n};
    if (!newt__buffer_append(&l->records, found->record, found->n))
        return false;
    l->n++;
    return true;
}

static int
take_of_changes(void *arg, const newt__found *found)
{
    loading *l = arg;
    newt__session *x = l->x;
    newt__found told = *found;

    if (newt__is_first_root(found))
        return NEWT_OK;
    if (!newt__oids_add(&l->had, found->oid))
        return newt__fail_memory(&x->why);
    if (!newt__is_object(found))
        return NEWT_OK;
    told.serial = newt__told_serial(x->storage, found->serial);
    if (told.serial == 0)
        return newt__serial_too_large(&x->why);
    if (!x->wanted)
        return l->take(l->arg, &told);
    return keep(l, &told) ? NEWT_OK : newt__fail_memory(&x->why);
}

static int
take_of_base(void *arg, const newt__found *found)
{
    loading *l = arg;

    if (found->serial >> NEWT__SERIAL_BITS >= l->x->storage->layer)
        return newt__serial_too_large(&l->x->why);
    return l->take(l->arg, found);
}

/* Loads from the base what the changes do not have. */
static int
load_rest(loading *l, const int64_t *oids, size_t n, newt_error *e)
{
    newt__session *x = l->x;
    const newt__side *base = &x->storage->base;
    int64_t *rest = NULL;
    size_t m = n;
    int status;

    if (l->had.n > 0) {
        rest = malloc((n + 1) * sizeof *rest);
        if (!rest)
            return newt__fail_memory(e);
        newt__oids_sort(&l->had);
        m = 0;
        for (size_t i = 0; i < n; i++)
            if (!newt__oids_has(&l->had, oids[i]))
                rest[m++] = oids[i];
    }
    status = m > 0 || x->wanted
                 ? base->type->load(x->base, rest ? rest : oids, m, take_of_base, l, e)
                 : NEWT_OK;
    free(rest);
    return newt__demo_ended(x, status, e);
}

/* Opens both snapshots, or that of the changes alone. */
static int
open_snapshots(newt__session *x, bool base, newt_error *e)
{
    const newt__storage *s = x->storage;
    int status = s->changes.type->load(x->changes, NULL, 0, no_record, NULL, e);

    if (status == NEWT_OK && base)
        status = s->base.type->load(x->base, NULL, 0, no_record, NULL, e);
    return newt__demo_ended(x, status, e);
}

int
newt__demo_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
                newt_error *e)
{
    const newt__side *changes = &x->storage->changes;
    loading l = {.x = x, .take = take, .arg = arg, .records.env = &newt__malloc_env};
    int status = x->wanted && n > BUFFERED ? open_snapshots(x, true, e) : NEWT_OK;

    if (status == NEWT_OK)
        status = newt__demo_ended(
            x, changes->type->load(x->changes, oids, n, take_of_changes, &l, e), e);
    if (status == NEWT_OK)
        status = load_rest(&l, oids, n, e);
    for (size_t i = 0; i < l.n && status == NEWT_OK; i++) {
        const waiting *w = &l.list[i];

        status = take(arg, &(newt__found){w->oid, w->serial, l.records.data + w->at, w->n});
    }
    newt__oids_free(&l.had);
    free(l.list);
    newt__buffer_free(&l.records);
    return status;
}

static int
note(void *arg, const newt__found *found)
{
    loading *l = arg;

    if (newt__is_first_root(found) || newt__oids_add(&l->had, found->oid))
        return NEWT_OK;
    return newt__fail_memory(&l->x->why);
}

int
newt__demo_hide(newt__session *x, newt__oids *l, newt_error *e)
{
    loading found = {.x = x};
    size_t kept = 0;
    int status = NEWT_OK;

    if (l->n > 0)
        status = newt__demo_ended(
            x, x->storage->changes.type->load(x->changes, l->oids, l->n, note, &found, e), e);
    newt__oids_sort(&found.had);
    for (size_t i = 0; i < l->n; i++)
        if (!newt__oids_has(&found.had, l->oids[i]))
            l->oids[kept++] = l->oids[i];
    if (status == NEWT_OK)
        l->n = kept;
    newt__oids_free(&found.had);
    return status;
}

/* ---- what only the base can do ---------------------------------------------------------------
 */

/* Whether nothing has been committed to the changes, as far as the snapshot sees, which is opened.
 */
static int
look_if_empty(newt__session *x, bool *empty, newt_error *e)
{
    int status = x->wanted ? open_snapshots(x, false, e) : NEWT_OK;

    *empty = status == NEWT_OK && x->of_changes.said.to.serial == NEWT__FIRST_SERIAL;
    return status;
}

int
newt__demo_walk(newt__session *x, const int64_t *roots, size_t n, const newt_walk_options *options,
                newt__take_record *take, void *arg, newt_error *e)
{
    loading l = {.x = x, .take = take, .arg = arg};
    bool empty;
    int status = look_if_empty(x, &empty, e);

    if (status != NEWT_OK || !empty)
        return status != NEWT_OK ? status : 1;
    status = x->storage->base.type->walk(x->base, roots, n, options, take_of_base, &l, e);
    return newt__demo_ended(x, status, e);
}

int
newt__demo_query(newt__session *x, const newt__query *q, bool *over, newt_error *e)
{
    const newt__side *base = &x->storage->base;
    bool empty;
    int status = look_if_empty(x, &empty, e);

    *over = status != NEWT_OK;
    if (status != NEWT_OK)
        return status;
    if (!base->type->query) {
        newt__fail(e, NEWT_EINVAL, 0, "a query needs a store in PostgreSQL or SQLite");
        newt__fail_detail(e, "The base of this layer has no SQL.");
        return NEWT_EINVAL;
    }
    if (!empty) {
        newt__fail(e, NEWT_EINVAL, 0, "a query would not find what this layer has changed");
        newt__fail_detail(e, "Its SQL is that of the base, and the layer has objects of its own.");
        newt__fail_hint(e, "Search the base through a database that is opened on it, or write the "
                           "layer down with newt_db_commit_changes().");
        return NEWT_EINVAL;
    }
    return newt__demo_ended(x, base->type->query(x->base, q, over, e), e);
}

/* ---- oids ------------------------------------------------------------------------------------
 */

static int
count(void *arg, const newt__found *found)
{
    (void)found;
    ++*(size_t *)arg;
    return NEWT_OK;
}

/* Where no sequence of a store's comes to. *from: the first oid of a block. */
static int
random_block(int64_t *from, newt_error *e)
{
    uint64_t x;

    if (getentropy(&x, sizeof x) != 0)
        return newt__fail(e, NEWT_EINVAL, 0, "the system gives no random numbers");
    *from = (int64_t)(x & (uint64_t)(NEWT__FIRST_LAYER_OID - 1) & ~(uint64_t)(OIDS - 1)) +
            NEWT__FIRST_LAYER_OID;
    return NEWT_OK;
}

/* The block after the last one, so that what is made together lies together; the first is anywhere.
 * The base hands out others, and need not be asked for any. */
static int
take_block(newt__session *x, newt_error *e)
{
    int64_t block[OIDS], from = x->end_oid;
    size_t found = 1;
    int status = NEWT_OK;

    for (int i = 0; i < ATTEMPTS && found > 0 && status == NEWT_OK; i++) {
        if (i > 0 || from == 0 || from == 2 * NEWT__FIRST_LAYER_OID)
            status = random_block(&from, e);
        for (int k = 0; k < OIDS; k++)
            block[k] = from + k;
        found = 0;
        if (status == NEWT_OK)
            status = newt__demo_load(x, block, OIDS, count, &found, e);
    }
    if (status == NEWT_OK && found > 0)
        status = newt__fail(e, NEWT_ESTORE, 0, "no block of unused oids was found");
    if (status == NEWT_OK) {
        x->next_oid = from;
        x->end_oid = from + OIDS;
    }
    return status;
}

int
newt__demo_next_oid(newt__session *x, int64_t *oid, newt_error *e)
{
    int status = x->next_oid == x->end_oid ? take_block(x, e) : NEWT_OK;

    if (status == NEWT_OK)
        *oid = x->next_oid++;
    return status;
}
