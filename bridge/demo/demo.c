/*
 * demo.c - layers: what they are made of, their classes, and the table
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- layers ----------------------------------------------------------------------------- */

static int
create(const char *uri, const char *schema, newt_error *e)
{
    (void)schema;
    newt__fail(e, NEWT_EINVAL, 0, "\"%.200s\" is a layer over a store, and no store by itself",
               uri);
    newt__fail_hint(e, "Create its base, and the store of its changes if that has a name.");
    return NEWT_EINVAL;
}

void
newt__side_close(newt__side *side)
{
    if (side->storage)
        side->type->close(side->storage);
    free(side->uri);
    *side = (newt__side){0};
}

int
newt__demo_over(newt__storage **out, const newt__side *base, const newt__side *changes,
                const newt__process *process, newt_error *e)
{
    int64_t below = base->type == &newt__demo ? base->storage->layer : 0;
    newt__storage *s;

    *out = NULL;
    if (below == NEWT__MOST_LAYERS)
        return newt__fail(e, NEWT_ELIMIT, 0, "more than %d layers on one store", NEWT__MOST_LAYERS);
    s = calloc(1, sizeof *s);
    if (!s)
        return newt__fail_memory(e);
    s->base = *base;
    s->changes = *changes;
    s->process = process;
    s->layer = below + 1;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return NEWT_OK;
}

const newt__side *
newt__demo_base(const newt__storage *s)
{
    return &s->base;
}

bool
newt__demo_is_private(const newt__storage *s)
{
    return !s->changes.uri || strcmp(s->changes.uri, "memory:") == 0;
}

void
newt__demo_uncover(newt__storage *s)
{
    newt__side_close(&s->changes);
    if (newt__process_is(s->process))
        pthread_mutex_destroy(&s->lock);
    free(s);
}

static void
storage_close(newt__storage *s)
{
    newt__side_close(&s->base);
    newt__demo_uncover(s);
}

/* What is written, and for whose turn is waited, is in the changes. */
static unsigned
features(const newt__storage *s)
{
    return s->changes.type->features(s->changes.storage);
}

/* ---- the registry ----------------------------------------------------------------------- */

/* A question to one of the two about some of the list. */
typedef struct asking {
    newt__take_class *take;
    void *arg;
    size_t *places; /* in the list, of those that are asked about; NULL: all */
    size_t *missing, n_missing;
} asking;

static int
take_class(void *arg, size_t i, const newt__registered *theirs)
{
    asking *a = arg;
    size_t place = a->places ? a->places[i] : i;

    if (theirs || !a->missing)
        return a->take(a->arg, place, theirs);
    a->missing[a->n_missing++] = place;
    return NEWT_OK;
}

/* What the base has registered counts; what it has not, is the changes' to know. */
static int
ask_both(newt__session *x, const newt__registered *list, size_t n, asking *a, bool add,
         newt_error *e)
{
    const newt__side *base = &x->storage->base, *changes = &x->storage->changes;
    newt__registered *rest = malloc((n + 1) * sizeof *rest);
    int status;

    a->missing = malloc((n + 1) * sizeof *a->missing);
    if (!rest || !a->missing) {
        free(rest);
        return newt__fail_memory(e);
    }
    status = base->type->classes(x->base, list, n, take_class, a, e);
    for (size_t i = 0; i < a->n_missing; i++)
        rest[i] = list[a->missing[i]];
    a->places = a->missing;
    a->missing = NULL;
    if (status == NEWT_OK && a->n_missing > 0 && add)
        status = changes->type->register_classes(x->changes, rest, a->n_missing, take_class, a, e);
    else if (status == NEWT_OK && a->n_missing > 0)
        status = changes->type->classes(x->changes, rest, a->n_missing, take_class, a, e);
    free(rest);
    return newt__demo_ended(x, status, e);
}

static int
classes(newt__session *x, const newt__registered *list, size_t n, newt__take_class *take, void *arg,
        newt_error *e)
{
    asking a = {.take = take, .arg = arg};
    /* who asks wants to know of the changes, too, what they are */
    int status = newt__demo_ready(x, 0, e);

    if (status == NEWT_OK)
        status = ask_both(x, list, n, &a, false, e);
    free(a.places);
    free(a.missing);
    return status;
}

static int
register_classes(newt__session *x, const newt__registered *list, size_t n, newt__take_class *take,
                 void *arg, newt_error *e)
{
    asking a = {.take = take, .arg = arg};
    int status = ask_both(x, list, n, &a, true, e);

    free(a.places);
    free(a.missing);
    return status;
}

const newt__storage_type newt__demo = {
    .scheme = "demo",
    .create = create,
    .features = features,
    .close = storage_close,
    .connect = newt__demo_connect,
    .disconnect = newt__demo_disconnect,
    .tell = newt__demo_tell,
    .ready = newt__demo_ready,
    .alive = newt__demo_alive,
    .abandon = newt__demo_abandon,
    .begin = newt__demo_begin,
    .ask_turn = newt__demo_ask_turn,
    .end = newt__demo_end,
    .load = newt__demo_load,
    .walk = newt__demo_walk,
    .query = newt__demo_query,
    .next_oid = newt__demo_next_oid,
    .commit = newt__demo_commit,
    .classes = classes,
    .register_classes = register_classes,
    .feed = &newt__demo_feed_type,
};
