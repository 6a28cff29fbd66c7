/*
 * feed.c - what a layer does for those who follow it
 *
 * Its transactions are those of the changes. What is committed in the base meanwhile is in the feed
 * of the base alone. A copy has the objects of both, as they are seen through the layer.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static const newt__side *
changes_of(const newt__session *x)
{
    return &x->storage->changes;
}

/* ---- objects as they are now ---------------------------------------------------------------- */

typedef struct looking {
    newt__session *x;
    newt__take_record *take;
    void *arg;
    newt__oids had; /* by the changes */
    bool oids_only;
    int64_t handed; /* bytes */
} looking;

static int
look_taken(void *arg, const newt__found *found)
{
    looking *l = arg;
    newt__found told = *found;

    if (newt__is_first_root(found))
        return NEWT_OK;
    if (!newt__oids_add(&l->had, found->oid))
        return newt__fail_memory(&l->x->why);
    if (!newt__is_object(found))
        return NEWT_OK;
    told.serial = newt__told_serial(l->x->storage, found->serial);
    if (told.serial == 0)
        return newt__serial_too_large(&l->x->why);
    if (l->oids_only)
        told.record = NULL;
    l->handed += told.record ? (int64_t)told.n : 0;
    return l->take(l->arg, &told);
}

static int
look_at(newt__session *x, const int64_t *oids, size_t n, newt__extent extent, int64_t bytes,
        newt__take_record *take, void *arg, newt_error *e)
{
    const newt__side *base = &x->storage->base, *changes = changes_of(x);
    looking l = {.x = x, .take = take, .arg = arg, .oids_only = extent == NEWT__OIDS_ONLY};
    int64_t *rest = malloc((n + 1) * sizeof *rest);
    size_t m = 0;
    int status;

    if (!rest)
        return newt__fail_memory(e);
    /* whether it is an object is in its head */
    status = changes->type->feed->look(x->changes, oids, n, l.oids_only ? NEWT__HEADS : extent,
                                       bytes, look_taken, &l, e);
    newt__oids_sort(&l.had);
    for (size_t i = 0; i < n; i++)
        if (!newt__oids_has(&l.had, oids[i]))
            rest[m++] = oids[i];
    if (status == NEWT_OK && m > 0)
        status = base->type->feed->look(x->base, rest, m, extent,
                                        bytes > l.handed ? bytes - l.handed : 1, take, arg, e);
    free(rest);
    newt__oids_free(&l.had);
    return newt__demo_ended(x, status, e);
}

/* ---- all objects ---------------------------------------------------------------------------- */

/* The next objects of one of the two. */
typedef struct scanned {
    newt__found *list;
    size_t n;
} scanned;

static int
take_scanned(void *arg, const newt__found *found)
{
    scanned *s = arg;

    s->list[s->n++] = (newt__found){.oid = found->oid, .serial = found->serial, .n = found->n};
    return NEWT_OK;
}

typedef struct scanning {
    newt__session *x;
    scanned base, changes;
    newt__oids oids;  /* of the window, in order */
    newt__oids there; /* of them, what the layer shows */
    newt__take_record *take;
    void *arg;
    size_t left; /* objects that may be handed over */
} scanning;

static int
take_there(void *arg, const newt__found *found)
{
    scanning *s = arg;

    if (!newt__oids_add(&s->there, found->oid) || !newt__oids_add(&s->there, found->serial) ||
        !newt__oids_add(&s->there, (int64_t)found->n))
        return newt__fail_memory(&s->x->why);
    return NEWT_OK;
}

/* The oids after which neither has left one out, at most as many as are left; *up_to: the last. */
static bool
make_window(scanning *s, int64_t *up_to)
{
    const scanned *sides[] = {&s->base, &s->changes};
    size_t kept = 0;

    *up_to = INT64_MAX;
    s->oids.n = 0;
    for (int i = 0; i < 2; i++)
        if (sides[i]->n == s->left && sides[i]->list[s->left - 1].oid < *up_to)
            *up_to = sides[i]->list[s->left - 1].oid;
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < sides[i]->n; k++)
            if (sides[i]->list[k].oid <= *up_to && !newt__oids_add(&s->oids, sides[i]->list[k].oid))
                return false;
    newt__oids_sort(&s->oids);
    for (size_t i = 0; i < s->oids.n; i++)
        if (kept == 0 || s->oids.oids[i] != s->oids.oids[kept - 1])
            s->oids.oids[kept++] = s->oids.oids[i];
    s->oids.n = kept;
    if (kept > s->left) {
        s->oids.n = s->left;
        *up_to = s->oids.oids[s->left - 1];
    }
    return true;
}

static int
scan_window(scanning *s, int64_t *after, newt_error *e)
{
    enum {
        EACH = 3 /* numbers of an object in s->there */
    };
    newt__session *x = s->x;
    const newt__side *sides[] = {&x->storage->base, &x->storage->changes};
    newt__session *sessions[] = {x->base, x->changes};
    scanned *out[] = {&s->base, &s->changes};
    int status = NEWT_OK;
    size_t n;

    for (int i = 0; i < 2 && status == NEWT_OK; i++) {
        out[i]->n = 0;
        status = sides[i]->type->feed->scan(sessions[i], *after, s->left, take_scanned, out[i], e);
    }
    if (status == NEWT_OK && !make_window(s, after))
        status = newt__fail_memory(e);
    s->there.n = 0;
    if (status == NEWT_OK && s->oids.n > 0)
        status = look_at(x, s->oids.oids, s->oids.n, NEWT__OIDS_ONLY, INT64_MAX, take_there, s, e);
    if (status != NEWT_OK)
        return newt__demo_ended(x, status, e);
    n = s->there.n / EACH;
    if (n > 1)
        qsort(s->there.oids, n, EACH * sizeof *s->there.oids, newt__by_oid);
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        const int64_t *v = s->there.oids + EACH * i;

        status = s->take(s->arg, &(newt__found){.oid = v[0], .serial = v[1], .n = (size_t)v[2]});
    }
    s->left -= n;
    return status;
}

static int
scan(newt__session *x, int64_t after, size_t n, newt__take_record *take, void *arg, newt_error *e)
{
    scanning s = {.x = x, .take = take, .arg = arg, .left = n};
    int status = NEWT_OK;

    s.base.list = malloc((n + 1) * sizeof *s.base.list);
    s.changes.list = malloc((n + 1) * sizeof *s.changes.list);
    if (!s.base.list || !s.changes.list)
        status = newt__fail_memory(e);
    while (status == NEWT_OK && s.left > 0 && after < INT64_MAX)
        status = scan_window(&s, &after, e);
    free(s.base.list);
    free(s.changes.list);
    newt__oids_free(&s.oids);
    newt__oids_free(&s.there);
    return status;
}

/* ---- transactions ----------------------------------------------------------------------- */

/* A transaction of the changes, or a part of one, until it is known what became of its objects. */
typedef struct kept {
    newt__session *x;
    bool any, failed;
    newt__transaction t; /* its texts and lists are copies */
    char *user, *description, *extension;
    int64_t *written, *removed; /* removed has room for all */
    newt__buffer classes;       /* of the removed */
    newt__oids gone;            /* what was written as a record of ours */
} kept;

static void
kept_clear(kept *k)
{
    free(k->user);
    free(k->description);
    free(k->extension);
    free(k->written);
    free(k->removed);
    newt__buffer_free(&k->classes);
    newt__oids_free(&k->gone);
    *k = (kept){.x = k->x, .classes.env = &newt__malloc_env};
}

static bool
keep(kept *k, const newt__transaction *t)
{
    size_t all = t->n_written + t->n_removed + 1;
    const char *name = t->removed_classes;
    bool fine = true;

    k->t = *t;
    k->written = malloc(all * sizeof *k->written);
    k->removed = malloc(all * sizeof *k->removed);
    k->user = newt__text_copy(t->user, &fine);
    k->description = newt__text_copy(t->description, &fine);
    k->extension = newt__text_copy(t->extension, &fine);
    if (!k->written || !k->removed || !fine)
        return false;
    k->t.n_written = 0;
    for (size_t i = 0; i < t->n_written; i++)
        if (t->written[i] < NEWT__FIRST_LISTS_OID)
            k->written[k->t.n_written++] = t->written[i];
    for (size_t i = 0; i < t->n_removed; i++) {
        size_t n = name ? strlen(name) + 1 : 1;

        k->removed[i] = t->removed[i];
        if (!newt__buffer_append(&k->classes, name ? name : "", n))
            return false;
        name = name ? name + n : NULL;
    }
    return true;
}

/* A newt__take_transaction that takes one. */
static int
take_one(void *arg, const newt__transaction *t)
{
    kept *k = arg;

    if (k->any)
        return 1;
    k->any = true;
    k->failed = !keep(k, t);
    return k->failed ? newt__fail_memory(&k->x->why) : NEWT_OK;
}

/* A newt__take_record: what was written is not an object any more, by this very transaction. */
static int
take_written(void *arg, const newt__found *found)
{
    kept *k = arg;
    const char *name;
    size_t n;

    if (!newt__is_tombstone(found) || found->serial != k->t.at.serial)
        return NEWT_OK;
    name = newt__tombstone_class(found, &n);
    k->removed[k->t.n_removed++] = found->oid;
    if (newt__oids_add(&k->gone, found->oid) && newt__buffer_append(&k->classes, name, n) &&
        newt__buffer_append(&k->classes, "", 1))
        return NEWT_OK;
    return newt__fail_memory(&k->x->why);
}

/* Objects in whose place is a record of ours were removed, not written. */
static int
split(kept *k, newt_error *e)
{
    size_t n = 0;
    int status = NEWT_OK;

    if (k->t.n_written > 0)
        status = changes_of(k->x)->type->feed->look(k->x->changes, k->written, k->t.n_written,
                                                    NEWT__HEADS, INT64_MAX, take_written, k, e);
    newt__oids_sort(&k->gone);
    for (size_t i = 0; i < k->t.n_written; i++)
        if (!newt__oids_has(&k->gone, k->written[i]))
            k->written[n++] = k->written[i];
    k->t.n_written = n;
    k->t.written = k->written;
    k->t.removed = k->removed;
    k->t.removed_classes = k->t.n_removed > 0 ? (const char *)k->classes.data : NULL;
    k->t.at = newt__told_position(k->x->storage, k->t.at);
    k->t.user = k->user;
    k->t.description = k->description;
    k->t.extension = k->extension;
    return newt__demo_ended(k->x, status, e);
}

/* One at a time: to look at its objects, the session must be done with the transactions. */
static int
next(newt__session *x, newt__cursor *c, int64_t objects, newt__take_transaction *take, void *arg,
     newt_error *e)
{
    const newt__feed_type *feed = changes_of(x)->type->feed;
    kept k = {.x = x, .classes.env = &newt__malloc_env};
    int64_t taken = 0;
    int status = NEWT_OK;

    while (status == NEWT_OK && (taken < objects || taken == 0)) {
        newt__cursor moved = *c;

        moved.after = newt__own_position(x->storage, c->after);
        kept_clear(&k);
        status = feed->next(x->changes, &moved, 1, take_one, &k, e);
        if (status == 1) /* there is more than one */
            status = NEWT_OK;
        status = newt__demo_ended(x, status, e);
        if (status != NEWT_OK || !k.any)
            break;
        status = split(&k, e);
        if (status == NEWT_OK)
            status = take(arg, &k.t);
        moved.after = newt__told_position(x->storage, moved.after);
        if (status == NEWT_OK)
            *c = moved;
        taken += (int64_t)(k.t.n_written + k.t.n_removed);
    }
    kept_clear(&k);
    return status;
}

/* ---- what either knows -------------------------------------------------------------------- */

/* Gives the number of the layer to the transaction. */
typedef struct renaming {
    newt__session *x;
    newt__take_transaction *take;
    void *arg;
} renaming;

static int
take_origin(void *arg, const newt__transaction *t)
{
    const renaming *r = arg;
    newt__transaction told = *t;

    told.at = newt__told_position(r->x->storage, t->at);
    return r->take(r->arg, &told);
}

static int
origin(newt__session *x, int64_t serial, newt__take_transaction *take, void *arg, newt_error *e)
{
    const newt__side *base = &x->storage->base;
    renaming r = {x, take, arg};
    int64_t own;

    if (newt__is_of_changes(x->storage, serial, &own))
        return changes_of(x)->type->feed->origin(x->changes, own, take_origin, &r, e);
    return base->type->feed->origin(x->base, serial, take, arg, e);
}

/* ---- what is the changes' ------------------------------------------------------------------ */

static int
wait_for_next(newt__session *x, newt__position after, int at_most_ms, newt_error *e)
{
    return changes_of(x)->type->feed->wait(x->changes, newt__own_position(x->storage, after),
                                           at_most_ms, e);
}

static int
newest(newt__session *x, newt__position *out, newt_error *e)
{
    int status = changes_of(x)->type->feed->newest(x->changes, out, e);

    *out = newt__told_position(x->storage, *out);
    return status;
}

static int
barrier(newt__session *x, newt_error *e)
{
    return changes_of(x)->type->feed->barrier(x->changes, e);
}

static int
holder(newt__session *x, int *pid, int64_t *us, newt_error *e)
{
    return changes_of(x)->type->feed->holder(x->changes, pid, us, e);
}

static int
follower(newt__session *x, const char *name, const char *kind, newt__standing *out, bool *found,
         newt_error *e)
{
    int status = changes_of(x)->type->feed->follower(x->changes, name, kind, out, found, e);

    if (status == NEWT_OK && *found)
        out->at = newt__told_position(x->storage, out->at);
    return status;
}

static int
claim(newt__session *x, const char *name, bool *mine, newt_error *e)
{
    return changes_of(x)->type->feed->claim(x->changes, name, mine, e);
}

static void
release(newt__session *x, const char *name)
{
    changes_of(x)->type->feed->release(x->changes, name);
}

static int
move(newt__session *x, const char *name, const char *kind, const newt__standing *from,
     const newt__standing *to, newt_error *e)
{
    newt__standing own_to = *to, own_from = {0};

    own_to.at = newt__own_position(x->storage, to->at);
    if (from) {
        own_from = *from;
        own_from.at = newt__own_position(x->storage, from->at);
    }
    return changes_of(x)->type->feed->move(x->changes, name, kind, from ? &own_from : NULL, &own_to,
                                           e);
}

static int
forget(newt__session *x, const char *name, newt_error *e)
{
    return changes_of(x)->type->feed->forget(x->changes, name, e);
}

static int
prune(newt__session *x, int64_t at_most, int64_t *pruned, newt_error *e)
{
    return changes_of(x)->type->feed->prune(x->changes, at_most, pruned, e);
}

static int
health(newt__session *x, const char *name, newt_health *out, newt_error *e)
{
    return changes_of(x)->type->feed->health(x->changes, name, out, e);
}

const newt__feed_type newt__demo_feed_type = {
    .next = next,
    .wait = wait_for_next,
    .newest = newest,
    .scan = scan,
    .look = look_at,
    .barrier = barrier,
    .holder = holder,
    .follower = follower,
    .claim = claim,
    .release = release,
    .move = move,
    .forget = forget,
    .origin = origin,
    .prune = prune,
    .health = health,
};
