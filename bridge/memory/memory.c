/*
 * memory.c - a storage in the memory of the process: sessions, snapshots, commits
 */
#include "memory.h"
#include "named.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MOST_CHANGES = 10000, /* more are not listed: the cache is dropped */
    MOST_TURNS = 8,       /* that one transaction waits for */
    OIDS = 64,            /* that a session takes at once */
    LOOKED_UP = 64        /* objects, under one lock */
};

static const char scheme[] = "memory:";

struct newt__storage {
    newt__heap *heap;
    bool named; /* shared with others, who have its name */
    const newt__process *process;
};

struct newt__session {
    newt__storage *storage;
    newt__heap *heap;
    newt__opened *opened;
    void *opened_arg;
    newt__position position; /* where the cache stands */
    int64_t told;            /* the last transaction that was told of */
    bool wanted;             /* a snapshot is to be opened */
    newt__view view;
    int64_t turns[MOST_TURNS]; /* to wait for */
    size_t n_turns;
    int patience_ms;
    bool has_turns;
    int64_t next_oid, end_oid;
    int64_t *oids; /* of the last changes */
};

/* ---- stores ---------------------------------------------------------------------------------- */

static int
create(const char *uri, const char *schema, newt_error *e)
{
    const char *name = uri + strlen(scheme);

    if (!*name) {
        newt__fail(e, NEWT_EINVAL, 0,
                   "a store in memory without a name cannot be created beforehand");
        newt__fail_hint(e, "newt_db_open makes it, for itself alone.");
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

/* ---- sessions ----------------------------------------------------------------------------------
 */

static newt__session *
session_new(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *x = calloc(1, sizeof *x);

    (void)stats; /* nobody is asked */
    if (!x)
        return NULL;
    x->storage = s;
    x->heap = s->heap;
    x->opened = opened;
    x->opened_arg = arg;
    return x;
}

static void
end(newt__session *x)
{
    x->wanted = false;
    x->patience_ms = 0;
    if ((x->view.tid == 0 && !x->has_turns) || !newt__process_is(x->storage->process))
        return;
    pthread_mutex_lock(&x->heap->lock);
    newt__heap_close(x->heap, &x->view);
    newt__heap_end_turns(x->heap, x);
    pthread_mutex_unlock(&x->heap->lock);
    x->has_turns = false;
}

static void
session_free(newt__session *x)
{
    end(x);
    free(x->oids);
    free(x);
}

static int
ready(newt__session *x, int64_t idle_us, newt_error *e)
{
    (void)x;
    (void)idle_us;
    (void)e;
    return NEWT_OK;
}

/* Nobody has committed since: it costs nothing to know. */
static bool
alive(const newt__session *x)
{
    bool same;

    pthread_mutex_lock(&x->heap->lock);
    same = x->told == x->heap->tid;
    pthread_mutex_unlock(&x->heap->lock);
    return same;
}

static void
abandon(newt__session *x)
{
    (void)x; /* there is nobody to talk to */
}

/* ---- snapshots ---------------------------------------------------------------------------------
 */

static void
begin(newt__session *x, newt__position position)
{
    x->position = position;
    x->wanted = true;
}

static void
ask_turn(newt__session *x, const int64_t *oids, size_t n, int at_most_ms)
{
    x->n_turns = n > MOST_TURNS ? MOST_TURNS : n;
    memcpy(x->turns, oids, x->n_turns * sizeof *oids);
    x->patience_ms = at_most_ms;
}

static int
by_oid(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;

    return (a > b) - (a < b);
}

static struct timespec
after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* In the order of the oids, so that sessions wait for each other in one direction. The lock is
 * held, but for the wait. */
static void
take_turns(newt__session *x, newt__changes *changes)
{
    struct timespec until = after_ms(x->patience_ms);
    bool memory = true;

    qsort(x->turns, x->n_turns, sizeof *x->turns, by_oid);
    x->has_turns = true;
    for (size_t i = 0; i < x->n_turns && !changes->in_vain; i++) {
        while (!newt__heap_take_turn(x->heap, x->turns[i], x, &memory) && !changes->in_vain) {
            changes->waited |= memory;
            changes->in_vain = !memory ||
                               pthread_cond_timedwait(&x->heap->turn_over, &x->heap->lock,
                                                      &until) == ETIMEDOUT;
        }
    }
    if (changes->in_vain)
        newt__heap_end_turns(x->heap, x);
    x->patience_ms = 0;
}

/* What was committed after the position; the lock is held. */
static int
list_changes(newt__session *x, newt__changes *out, newt_error *e)
{
    bool memory;

    out->to = (newt__position){x->heap->tid, x->heap->serial};
    out->all = x->position.tid == 0 || !newt__heap_changes(x->heap, x->position.tid, MOST_CHANGES,
                                                           &x->oids, &out->n, &memory);
    if (x->position.tid != 0 && !memory)
        return newt__fail_memory(e);
    out->oids = x->oids;
    x->told = out->to.tid;
    return NEWT_OK;
}

static int
open_snapshot(newt__session *x, newt_error *e)
{
    newt__changes changes = {0};
    int status;

    if (!x->wanted)
        return NEWT_OK;
    pthread_mutex_lock(&x->heap->lock);
    if (x->patience_ms > 0)
        take_turns(x, &changes);
    status = list_changes(x, &changes, e);
    if (status == NEWT_OK)
        newt__heap_open(x->heap, &x->view);
    pthread_mutex_unlock(&x->heap->lock);
    if (status != NEWT_OK)
        return status;
    x->wanted = false;
    return x->opened(x->opened_arg, &changes);
}

static int
load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
     newt_error *e)
{
    const newt__version *found[LOOKED_UP];
    int status = open_snapshot(x, e);

    for (size_t at = 0; status == NEWT_OK && at < n;) {
        size_t m = 0;

        pthread_mutex_lock(&x->heap->lock);
        for (; m < LOOKED_UP && at + m < n; m++)
            found[m] = newt__heap_at(x->heap, oids[at + m], x->view.tid);
        pthread_mutex_unlock(&x->heap->lock);
        at += m;
        for (size_t i = 0; i < m && status == NEWT_OK; i++) {
            const newt__version *v = found[i];

            if (v)
                status = take(arg, &(newt__found){v->oid, v->serial, v->record, v->n});
        }
    }
    return status;
}

static int
walk(newt__session *x, const int64_t *roots, size_t n, const newt_walk_options *options,
     newt__take_record *take, void *arg, newt_error *e)
{
    (void)x, (void)roots, (void)n, (void)options, (void)take, (void)arg, (void)e;
    return 1; /* level by level is as good */
}

static int
next_oid(newt__session *x, int64_t *oid, newt_error *e)
{
    (void)e;
    if (x->next_oid == x->end_oid) {
        pthread_mutex_lock(&x->heap->lock);
        x->next_oid = x->heap->next_oid;
        x->end_oid = x->heap->next_oid += OIDS;
        pthread_mutex_unlock(&x->heap->lock);
    }
    *oid = x->next_oid++;
    return NEWT_OK;
}

/* ---- commits -----------------------------------------------------------------------------------
 */

/* What a commit is going to put. */
typedef struct work {
    newt__session *x;
    const newt__writes *w;
    newt__version **versions;
    int64_t *read_with; /* their serials; -1: new */
    bool *wants_record;
    size_t n, cap;
    newt__logged *entry;
    /* those that others have changed, as they are now; NULL in found: removed */
    const newt__version **found;
    int64_t *clashed;
    bool *only_read, *wanted;
    size_t n_clashed;
} work;

static bool
grow(work *k)
{
    size_t cap = k->cap ? 2 * k->cap : 8;
    void *versions = realloc(k->versions, cap * sizeof *k->versions), *serials, *wants;

    if (!versions)
        return false;
    k->versions = versions;
    serials = realloc(k->read_with, cap * sizeof *k->read_with);
    if (!serials)
        return false;
    k->read_with = serials;
    wants = realloc(k->wants_record, cap * sizeof *k->wants_record);
    if (!wants)
        return false;
    k->wants_record = wants;
    k->cap = cap;
    return true;
}

/* There is no JSONB. But a class's to_json is called all the same: a program's tests are to meet
 * what is wrong with it. */
static int
try_to_json(work *k, const newt__version *v)
{
    newt__buffer text = {.env = &newt__malloc_env};
    bool hidden;
    int status = k->w->project(k->w->arg, v->oid, v->record, v->n, &text, &hidden, NULL);

    newt__buffer_free(&text);
    return status;
}

static bool
add(work *k, const newt__change *c)
{
    newt__version *v;

    if ((k->n == k->cap && !grow(k)) || c->n > SIZE_MAX - sizeof *v)
        return false;
    v = malloc(sizeof *v + c->n);
    if (!v)
        return false;
    v->oid = c->oid;
    v->removed = c->what == NEWT__REMOVE;
    v->n = c->n;
    if (c->n > 0)
        memcpy(v->record, c->record, c->n);
    k->read_with[k->n] = c->what == NEWT__ADD ? -1 : c->serial;
    k->wants_record[k->n] = c->wants_record;
    k->versions[k->n++] = v;
    return true;
}

static bool
make_entry(work *k)
{
    k->entry = malloc(sizeof *k->entry + k->n * sizeof *k->entry->oids);
    if (!k->entry)
        return false;
    k->entry->n = k->n;
    for (size_t i = 0; i < k->n; i++)
        k->entry->oids[i] = k->versions[i]->oid;
    return true;
}

static bool
clashes(work *k, int64_t oid, bool only_read, bool wanted)
{
    size_t most = k->n + k->w->n_current, i = k->n_clashed;

    if (!k->found) {
        k->found = calloc(most, sizeof *k->found);
        k->clashed = calloc(most, sizeof *k->clashed);
        k->only_read = calloc(most, sizeof *k->only_read);
        k->wanted = calloc(most, sizeof *k->wanted);
    }
    if (!k->found || !k->clashed || !k->only_read || !k->wanted)
        return false;
    k->found[i] = newt__heap_now(k->x->heap, oid);
    k->clashed[i] = oid;
    k->only_read[i] = only_read;
    k->wanted[i] = wanted;
    k->n_clashed++;
    return true;
}

/* Compares the serials of what was read with those of now; false: no memory. */
static bool
compare(work *k)
{
    int64_t oid, serial;

    for (size_t i = 0; i < k->n; i++) {
        const newt__version *now;

        if (k->read_with[i] < 0)
            continue;
        now = newt__heap_now(k->x->heap, k->versions[i]->oid);
        if ((!now || now->serial != k->read_with[i]) &&
            !clashes(k, k->versions[i]->oid, false, k->wants_record[i]))
            return false;
    }
    for (size_t i = 0; i < k->w->n_current; i++) {
        const newt__version *now;

        if (!k->w->current(k->w->arg, i, &oid, &serial))
            continue;
        now = newt__heap_now(k->x->heap, oid);
        if ((!now || now->serial != serial) && !clashes(k, oid, true, false))
            return false;
    }
    return true;
}

/* Puts everything, if nothing clashes; the lock is held. */
static newt__outcome
put(work *k, newt__committed *out, newt_error *e)
{
    newt__session *x = k->x;

    if (!compare(k) || (k->n_clashed == 0 && !newt__heap_reserve(x->heap, k->n))) {
        newt__fail_memory(e);
        return NEWT__FAILED;
    }
    if (k->n_clashed > 0) {
        /* the records that are handed over must stay until then */
        if (x->view.tid == 0)
            newt__heap_open(x->heap, &x->view);
        return NEWT__CLASH;
    }
    x->position = k->w->cache;
    out->has_others = true;
    if (list_changes(x, &out->others, e) != NEWT_OK) {
        newt__error_clear(e);
        out->others = (newt__changes){.all = true};
    }
    out->others.before = out->others.n;
    /* after a commit a cache without a position has nothing but what it has made */
    out->others.all &= x->position.tid != 0;
    newt__heap_put(x->heap, k->entry, k->versions);
    out->serial = k->entry->serial;
    out->tid = x->told = k->entry->tid;
    out->others.to = (newt__position){out->tid, out->serial};
    newt__heap_close(x->heap, &x->view);
    newt__heap_end_turns(x->heap, x);
    x->has_turns = false;
    return NEWT__DONE;
}

static void
tell_clashes(work *k, newt_error *e)
{
    for (size_t i = 0; i < k->n_clashed; i++) {
        const newt__version *v = k->found[i];
        newt__found now = {.oid = k->clashed[i], .serial = v ? v->serial : 0};

        if (v && k->wanted[i]) {
            now.record = v->record;
            now.n = v->n;
        }
        if (k->w->clash(k->w->arg, &now, k->only_read[i]) != 0)
            break;
    }
    newt__fail(e, NEWT_ECONFLICT, 0, "object was changed by another transaction");
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
}

static newt__outcome
commit(newt__session *x, const newt__writes *w, newt__committed *out, newt_error *e)
{
    work k = {.x = x, .w = w};
    newt__outcome outcome = NEWT__FAILED;
    newt__change change;
    int found = w->rewind(w->arg);

    *out = (newt__committed){0};
    x->wanted = false;
    if (found == NEWT_OK) {
        while ((found = w->next(w->arg, &change)) == 1) {
            if (!add(&k, &change)) {
                newt__fail_memory(e);
                goto out;
            }
            if (change.projection == NEWT__PROJECT_CALLER && change.what != NEWT__REMOVE &&
                (found = try_to_json(&k, k.versions[k.n - 1])) != NEWT_OK)
                break;
        }
    }
    if (found != 0) {
        out->status = found;
        outcome = NEWT__STOPPED;
        goto out;
    }
    if (k.n == 0) {
        outcome = NEWT__DONE;
        goto out;
    }
    if (!make_entry(&k)) {
        newt__fail_memory(e);
        goto out;
    }
    pthread_mutex_lock(&x->heap->lock);
    outcome = put(&k, out, e);
    pthread_mutex_unlock(&x->heap->lock);
    if (outcome == NEWT__DONE) {
        k.n = 0; /* they belong to the heap */
        k.entry = NULL;
    } else if (outcome == NEWT__CLASH) {
        tell_clashes(&k, e);
    }
out:
    if (outcome != NEWT__DONE) {
        pthread_mutex_lock(&x->heap->lock);
        newt__heap_close(x->heap, &x->view);
        pthread_mutex_unlock(&x->heap->lock);
    }
    for (size_t i = 0; i < k.n; i++)
        free(k.versions[i]);
    free(k.versions);
    free(k.read_with);
    free(k.wants_record);
    free(k.entry);
    free(k.found);
    free(k.clashed);
    free(k.only_read);
    free(k.wanted);
    return outcome;
}

/* ---- the registry
 * -------------------------------------------------------------------------------- */

/* What is there stays as it is, so only the beginning of the list needs the lock. */
static const newt__kept_class *
first_class(newt__session *x)
{
    const newt__kept_class *first;

    pthread_mutex_lock(&x->heap->lock);
    first = x->heap->classes;
    pthread_mutex_unlock(&x->heap->lock);
    return first;
}

static int
classes(newt__session *x, const char *const *names, size_t n, newt__take_class *take, void *arg,
        newt_error *e)
{
    int status = NEWT_OK;

    (void)e;
    for (const newt__kept_class *c = first_class(x); c && status == NEWT_OK; c = c->next)
        for (size_t i = 0; i < n && status == NEWT_OK; i++)
            if (strcmp(names[i], c->k.name) == 0)
                status = take(arg, &c->k);
    return status;
}

static newt__kept_class *
keep_class(const newt__registered *k)
{
    size_t name = strlen(k->name) + 1, fields = strlen(k->fields) + 1;
    size_t projection = k->projection ? strlen(k->projection) + 1 : 0;
    newt__kept_class *c = malloc(sizeof *c + name + fields + projection);
    char *at = (char *)(c + 1);

    if (!c)
        return NULL;
    c->k.version = k->version;
    c->k.name = memcpy(at, k->name, name);
    c->k.fields = memcpy(at + name, k->fields, fields);
    c->k.projection = projection ? memcpy(at + name + fields, k->projection, projection) : NULL;
    return c;
}

static int
register_classes(newt__session *x, const newt__registered *list, size_t n, newt_error *e)
{
    int status = NEWT_OK;

    pthread_mutex_lock(&x->heap->lock);
    for (size_t i = 0; i < n && status == NEWT_OK; i++) {
        newt__kept_class *c = x->heap->classes;

        while (c && (strcmp(c->k.name, list[i].name) != 0 || c->k.version != list[i].version))
            c = c->next;
        if (c)
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
    return status;
}

const newt__storage_type newt__memory = {
    .scheme = "memory",
    .create = create,
    .open = storage_open,
    .features = features,
    .close = storage_close,
    .connect = session_new,
    .disconnect = session_free,
    .ready = ready,
    .alive = alive,
    .abandon = abandon,
    .begin = begin,
    .ask_turn = ask_turn,
    .end = end,
    .load = load,
    .walk = walk,
    .next_oid = next_oid,
    .commit = commit,
    .classes = classes,
    .register_classes = register_classes,
};
