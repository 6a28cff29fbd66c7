/*
 * commit.c - commits to a store in memory: compares with what is there now, and puts the versions
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    NEW = -1 /* in place of a serial */
};

/* What a commit is going to put. */
typedef struct work {
    newt__session *x;
    const newt__writes *w;
    newt__version **versions;
    int64_t *read_with; /* their serials, or NEW */
    bool *wants_record;
    size_t n, cap;
    int64_t *current; /* oids that must be current, each with its serial; 0: there must be none */
    size_t n_current;
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
    size_t n = c->what == NEWT__REMOVE ? c->class_n : c->n;
    newt__version *v;

    if ((k->n == k->cap && !grow(k)) || n > SIZE_MAX - sizeof *v)
        return false;
    v = malloc(sizeof *v + n);
    if (!v)
        return false;
    v->oid = c->oid;
    v->removed = c->what == NEWT__REMOVE;
    v->n = n;
    if (n > 0)
        memcpy(v->record, v->removed ? c->class_name : c->record, n);
    k->read_with[k->n] = c->what == NEWT__ADD ? NEW : c->serial;
    k->wants_record[k->n] = c->wants_record;
    k->versions[k->n++] = v;
    return true;
}

/* The classes of what is removed. */
static bool
list_classes(work *k, newt__logged *entry)
{
    char *at;

    for (size_t i = 0; i < k->n; i++)
        entry->classes_n += k->versions[i]->removed ? k->versions[i]->n + 1 : 0;
    if (entry->classes_n == 0)
        return true;
    at = entry->classes = calloc(1, entry->classes_n);
    for (size_t i = 0; at && i < k->n; i++) {
        if (!k->versions[i]->removed)
            continue;
        memcpy(at, k->versions[i]->record, k->versions[i]->n);
        at += k->versions[i]->n + 1;
    }
    return at != NULL;
}

static bool
make_entry(work *k)
{
    newt__logged *entry = calloc(1, sizeof *entry + k->n * sizeof *entry->oids);
    size_t removed = k->n;
    bool fine = true;

    k->entry = entry;
    if (!entry)
        return false;
    entry->n = k->n;
    for (size_t i = k->n; i-- > 0;)
        if (k->versions[i]->removed)
            entry->oids[--removed] = k->versions[i]->oid;
    for (size_t i = 0; i < k->n; i++)
        if (!k->versions[i]->removed)
            entry->oids[entry->n_written++] = k->versions[i]->oid;
    entry->user = newt__text_copy(k->w->user, &fine);
    entry->description = newt__text_copy(k->w->description, &fine);
    entry->extension = newt__text_copy(k->w->extension, &fine);
    return list_classes(k, entry) && fine;
}

/* What must be current; before the lock, since to ask may take time. */
static bool
list_current(work *k)
{
    if (k->w->n_current == 0)
        return true;
    k->current = calloc(k->w->n_current, 2 * sizeof *k->current);
    for (size_t i = 0; k->current && i < k->w->n_current; i++) {
        int64_t *at = k->current + 2 * k->n_current;

        k->n_current += k->w->current(k->w->arg, i, &at[0], &at[1]);
    }
    return k->current != NULL;
}

static bool
clashes(work *k, int64_t oid, bool only_read, bool wanted)
{
    size_t most = k->n + k->n_current, i = k->n_clashed;

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
    for (size_t i = 0; i < k->n; i++) {
        const newt__version *now = newt__heap_now(k->x->heap, k->versions[i]->oid);

        if ((now ? now->serial : NEW) != k->read_with[i] &&
            !clashes(k, k->versions[i]->oid, false, k->wants_record[i]))
            return false;
    }
    for (size_t i = 0; i < k->n_current; i++) {
        int64_t oid = k->current[2 * i], serial = k->current[2 * i + 1];
        const newt__version *now = newt__heap_now(k->x->heap, oid);

        if ((now ? now->serial : 0) != serial && !clashes(k, oid, true, false))
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
        /* the records that are handed over, without the lock, must stay until then */
        newt__heap_close(x->heap, &x->view);
        newt__heap_open(x->heap, &x->view);
        return NEWT__CLASH;
    }
    x->position = k->w->cache;
    out->has_others = true;
    if (newt__list_changes(x, &out->others, e) != NEWT_OK) {
        newt__error_clear(e);
        out->others = (newt__changes){.all = true};
    }
    out->others.before = out->others.n;
    /* after a commit a cache without a position has nothing but what it has made */
    out->others.all &= x->position.tid != 0;
    newt__heap_close(x->heap, &x->view); /* what it alone can see need not be kept */
    newt__heap_put(x->heap, k->entry, k->versions);
    out->serial = k->entry->serial;
    out->tid = x->told = k->entry->tid;
    out->others.to = (newt__position){out->tid, out->serial};
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
    newt__fail_changed(e);
}

newt__outcome
newt__memory_commit(newt__session *x, const newt__writes *w, newt__committed *out, newt_error *e)
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
    if (k.n == 0 && !w->wants_row) {
        outcome = NEWT__DONE;
        goto out;
    }
    if (!make_entry(&k) || !list_current(&k)) {
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
    free(k.current);
    newt__logged_free(k.entry);
    free(k.found);
    free(k.clashed);
    free(k.only_read);
    free(k.wanted);
    return outcome;
}
