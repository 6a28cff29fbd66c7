/*
 * load.c - objects from the storage, by oid
 */
#include "object.h"

#include <stdlib.h>
#include <string.h>

int
newt__object_load(newt__jar *c, int64_t oid, int64_t serial, const void *record, size_t n,
                  newt__header **out)
{
    const newt__class *k = NULL;
    newt__header *h = NULL;
    newt__reader head;
    newt_error e = {0};
    int status = NEWT_OK;

    if (out)
        *out = NULL;
    if (newt__read_begin(&head, &c->coder.env, record, n) == NEWT__OK)
        k = newt__class_named(c->classes, head.class_name, head.class_n);
    if (k && k->stored) {
        status = newt__image_make(c, k, oid, record, n, &h, &e);
        newt__error_clear(&e);
        if (status == NEWT_ENOMEM)
            goto no_memory;
    }
    if (!h && newt__bag_load(c, oid, record, n, &h) != NEWT_OK)
        goto no_memory;
    h->serial = serial;
    if (newt__cache_put(c, h) != NEWT_OK)
        goto no_memory;
    h->state = NEWT__UPTODATE;
    if (out)
        *out = h;
    return NEWT_OK;

no_memory:
    newt__header_free(h);
    newt__fail_memory(&e);
    return newt__base_fail_with(&c->base, &e);
}

/* What is taking records, and the first failure of it. */
typedef struct loading {
    newt__jar *c;
    newt__walk *walk; /* is given the records too, or NULL */
    int status;
} loading;

/* Takes an object, if it is not here already. */
static int
take(void *arg, const newt__found *x)
{
    loading *l = arg;
    newt__jar *c = l->c;

    newt__call_hands(c, x->n);
    if (l->walk && newt__walk_record(l->walk, x->record, x->n))
        return l->status = newt__base_fail_memory(&c->base);
    if (newt__cache_find(&c->cache, x->oid) || newt__is_spilled(c, x->oid))
        return NEWT_OK;
    l->status = newt__object_load(c, x->oid, x->serial, x->record, x->n, NULL);
    c->stats.loads++;
    newt__cache_sweep(c);
    return l->status;
}

/* What a call to the storage has brought, which took records by `take`: what fails there is lost to
 * the transaction, what fails here is not. */
static int
done(newt__jar *c, int status, newt_error *e, int taking)
{
    if (status == NEWT_OK || taking != NEWT_OK)
        return taking;
    if (e->status != NEWT_OK)
        newt__base_fail_with(&c->base, e);
    return newt__base_doom(&c->base);
}

int
newt__load(newt__jar *c, const int64_t *oids, size_t n)
{
    loading l = {.c = c};
    int64_t *missing = NULL, one;
    newt__call call;
    newt_error e = {0};
    size_t m = 0;
    int status = NEWT_OK;

    if (n > 1 && !(missing = malloc(n * sizeof *missing)))
        return newt__base_fail_memory(&c->base);
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        if (oids[i] > 0 && !newt__cache_find(&c->cache, oids[i]))
            status = newt__unspill(c, oids[i]);
        if (oids[i] > 0 && !newt__cache_find(&c->cache, oids[i]))
            *(missing ? &missing[m] : &one) = oids[i], m++;
        newt__cache_sweep(c);
    }
    if (status == NEWT_OK && m > 0) {
        call = newt__call_begin(c);
        status = c->storage->load(c->session, missing ? missing : &one, m, take, &l, &e);
        status = done(c, newt__call_end(c, &call, "load", NULL, status), &e, l.status);
    }
    free(missing);
    return status;
}

int
newt_prefetch(newt_conn *conn, const newt_ref *r, size_t n)
{
    newt__jar *c = newt__jar_of(conn);
    int status = newt__base_enter(&c->base);

    /* a newt_ref is its oid */
    _Static_assert(sizeof(newt_ref) == sizeof(int64_t), "newt_ref holds an oid alone");
    return status == NEWT_OK ? newt__load(c, &r->oid, n) : status;
}

/* ---- walks --------------------------------------------------------------------------------------
 */

/* The storage walks, or this side does, level by level; both take the same steps (newt__walk of the
 * codec), so they load the same objects. */

static int
read_options(newt__jar *c, const newt_walk_options *opt, newt_walk_options *out)
{
    enum {
        OBJECTS = 10000 /* unless the options say otherwise */
    };
    newt_walk_options o = {.size = sizeof o};

    if (opt) {
        newt_error e = {0};

        if (newt__options_take(&o, sizeof o, opt, "newt_walk_options", &e) != NEWT_OK)
            return newt__base_fail_with(&c->base, &e);
    }
    if (o.depth < 0 || o.objects < 0)
        return newt__base_fail(&c->base, NEWT_EINVAL, 0,
                               "a walk of negative depth or number of objects");
    if (o.objects > NEWT__MAX_WALK)
        return newt__base_fail(&c->base, NEWT_ELIMIT, 0,
                               "a walk of %lld objects, but the limit is %d", (long long)o.objects,
                               NEWT__MAX_WALK);
    if (o.objects == 0)
        o.objects = OBJECTS;
    if (o.depth == 0 || o.depth > NEWT__MAX_WALK)
        o.depth = NEWT__MAX_WALK; /* no walk is longer than it has objects */
    *out = o;
    return NEWT_OK;
}

static int
walk_here(newt__jar *c, const newt_ref *r, size_t n, const newt_walk_options *o)
{
    newt__walk steps = {
        .env = &c->coder.env, .max_depth = (uint64_t)o->depth, .max_objects = (size_t)o->objects};
    newt__name *fields;
    int status = NEWT_OK;

    while (o->fields && o->fields[steps.n_fields])
        steps.n_fields++;
    steps.fields = fields = malloc((steps.n_fields + 1) * sizeof *fields);
    if (!fields)
        return newt__base_fail_memory(&c->base);
    for (size_t i = 0; i < steps.n_fields; i++)
        fields[i] = (newt__name){o->fields[i], strlen(o->fields[i])};
    for (size_t i = 0; i < n && status == NEWT_OK; i++)
        if (newt__walk_add(&steps, r[i].oid) != NEWT__OK)
            status = newt__base_fail_memory(&c->base);
    while (status == NEWT_OK && newt__walk_level(&steps)) {
        loading l = {.c = c, .walk = &steps};
        size_t m = steps.to - steps.from;
        int64_t *level = malloc((m + 1) * sizeof *level);
        newt__call call = newt__call_begin(c);
        newt_error e = {0};

        if (!level) {
            status = newt__base_fail_memory(&c->base);
            break;
        }
        /* the queue may move while it grows */
        memcpy(level, steps.queue + steps.from, m * sizeof *level);
        status = c->storage->load(c->session, level, m, take, &l, &e);
        status = done(c, newt__call_end(c, &call, "load", NULL, status), &e, l.status);
        free(level);
    }
    newt__walk_free(&steps);
    free(fields);
    return status;
}

int
newt_prefetch_walk(newt_conn *conn, const newt_ref *r, size_t n, const newt_walk_options *opt)
{
    newt__jar *c = newt__jar_of(conn);
    loading l = {.c = c};
    newt_walk_options o;
    newt__call call;
    newt_error e = {0};
    int status = newt__base_enter(&c->base);

    if (status == NEWT_OK)
        status = read_options(c, opt, &o);
    while (n > 0 && r->oid <= 0) /* null, at first */
        r++, n--;
    if (status != NEWT_OK || n == 0)
        return status;
    call = newt__call_begin(c);
    status = c->storage->walk(c->session, &r->oid, n, &o, take, &l, &e);
    if (status != 1)
        newt__call_end(c, &call, "walk", NULL, status);
    return status == 1 ? walk_here(c, r, n, &o) : done(c, status, &e, l.status);
}
