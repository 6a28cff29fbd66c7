/*
 * memory.c - a storage in the memory of the process: stores, classes, and the table
 */
#include "memory.h"
#include "named.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

static const char scheme[] = "memory:";

/* ---- stores ---------------------------------------------------------------------------------- */

static int
create(const char *uri, const char *schema, newt_error *e)
{
    const char *name = uri + strlen(scheme);

    if (!*name) {
        newt__fail(e, NEWT_EINVAL, 0, "\"memory:\" has no name and cannot be created beforehand");
        newt__fail_hint(e, "newt_db_open creates it, private to that newt_db.");
        return NEWT_EINVAL;
    }
    return newt__named_create(name, schema, e);
}

static int
storage_open(newt__storage **out, const char *uri, const newt_options *options,
             const newt__process *process, newt_error *e)
{
    const char *name = uri + strlen(scheme);
    newt__storage *s = calloc(1, sizeof *s);
    int status;

    *out = NULL;
    if (!s)
        return newt__fail_memory(e);
    s->process = process;
    s->named = *name != 0;
    status = s->named ? newt__named_open(&s->heap, name, options->schema, e)
                      : newt__heap_new(&s->heap, e);
    if (status == NEWT_OK)
        *out = s;
    else
        free(s);
    return status;
}

static unsigned
features(const newt__storage *s)
{
    (void)s;
    return NEWT__HAS_TURNS;
}

/* In a child the store is left as it is: another thread may have been at it during fork(). */
static void
storage_close(newt__storage *s)
{
    if (!newt__process_is(s->process)) {
        free(s);
        return;
    }
    if (s->named)
        newt__named_close(s->heap);
    else
        newt__heap_free(s->heap);
    free(s);
}

/* ---- the registry ----------------------------------------------------------------------- */

/* Others are added in front of what is there, which stays as it is: who has the beginning needs no
 * lock to go on. */
static const newt__kept_class *
first_class(newt__session *x)
{
    const newt__kept_class *first;

    pthread_mutex_lock(&x->heap->lock);
    first = x->heap->classes;
    pthread_mutex_unlock(&x->heap->lock);
    return first;
}

static const newt__kept_class *
class_in(const newt__kept_class *first, const newt__registered *k)
{
    while (first && (strcmp(first->k.name, k->name) != 0 || first->k.version != k->version))
        first = first->next;
    return first;
}

static int
classes(newt__session *x, const newt__registered *list, size_t n, newt__take_class *take, void *arg,
        newt_error *e)
{
    const newt__kept_class *first = first_class(x);
    int status = NEWT_OK;

    (void)e;
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        const newt__kept_class *c = class_in(first, &list[i]);
        const char *ours = list[i].projection ? list[i].projection : "";
        newt__registered theirs;

        if (!c) {
            status = take(arg, i, NULL);
            continue;
        }
        theirs = c->k;
        if (strcmp(theirs.fields, list[i].fields) == 0)
            theirs.fields = NULL;
        if (theirs.fields || strcmp(theirs.projection ? theirs.projection : "", ours) != 0)
            status = take(arg, i, &theirs);
    }
    return status;
}

static newt__kept_class *
keep_class(const newt__registered *k)
{
    size_t name = strlen(k->name) + 1, fields = strlen(k->fields) + 1;
    size_t projection = k->projection ? strlen(k->projection) + 1 : 0;
    newt__kept_class *c = malloc(sizeof *c + name + fields + projection);
    char *at;

    if (!c)
        return NULL;
    at = (char *)(c + 1);
    c->k.version = k->version;
    c->k.name = memcpy(at, k->name, name);
    c->k.fields = memcpy(at + name, k->fields, fields);
    c->k.projection = projection ? memcpy(at + name + fields, k->projection, projection) : NULL;
    return c;
}

static int
register_classes(newt__session *x, const newt__registered *list, size_t n, newt__take_class *take,
                 void *arg, newt_error *e)
{
    int status = NEWT_OK;

    pthread_mutex_lock(&x->heap->lock);
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        newt__kept_class *c;

        if (class_in(x->heap->classes, &list[i]))
            continue;
        c = keep_class(&list[i]);
        if (!c) {
            status = newt__fail_memory(e);
            break;
        }
        c->next = x->heap->classes;
        x->heap->classes = c;
    }
    pthread_mutex_unlock(&x->heap->lock);
    return status == NEWT_OK ? classes(x, list, n, take, arg, e) : status;
}

const newt__storage_type newt__memory = {
    .scheme = "memory",
    .has_schemas = true,
    .create = create,
    .open = storage_open,
    .features = features,
    .close = storage_close,
    .connect = newt__memory_connect,
    .disconnect = newt__memory_disconnect,
    .tell = newt__memory_tell,
    .ready = newt__memory_ready,
    .alive = newt__memory_alive,
    .abandon = newt__memory_abandon,
    .begin = newt__memory_begin,
    .ask_turn = newt__memory_ask_turn,
    .end = newt__memory_end,
    .load = newt__memory_load,
    .walk = newt__memory_walk,
    .next_oid = newt__memory_next_oid,
    .commit = newt__memory_commit,
    .classes = classes,
    .register_classes = register_classes,
    .feed = &newt__memory_feed_type,
};
