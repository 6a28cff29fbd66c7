/*
 * commit.c - a commit to the changes, of objects that were read from either
 *
 * What was read from the base is compared with a snapshot of the base that is opened now, and then
 * added to the changes, which refuse it if they have got the object meanwhile. So whatever happens
 * in the base after that snapshot is as if it had happened after this commit, which hides it.
 *
 * The changes write what they have stored first, then what is new to them: two runs through what is
 * written, if there is both. A run before that compares, and finds out.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COMPARED = 1000, /* objects, with one question */
    LISTED = 4000    /* serials of the base in one record */
};

/* What is asked about an object. */
typedef struct question {
    int64_t oid, told; /* the serial that was read */
    bool wants_record, only_read;
    bool removed; /* it is to go from the changes: does the base have it? */
    bool answered;
} question;

typedef struct work {
    newt__session *x;
    const newt__writes *w;
    bool any;          /* something is written */
    bool base_asked;   /* its snapshot has been renewed */
    bool of_base;      /* some of it are objects that the changes do not have yet */
    bool of_stored;    /* ... and that they have */
    bool root;         /* the root, which was read from the base and is in both */
    bool differ;       /* others have changed something */
    bool told;         /* the transaction has been told of an object that others have changed */
    bool enough;       /* ... and wants to hear no more */
    newt__oids hidden; /* removed from the changes, and in the base */
    question *list;
    size_t n;
    /* what is handed down */
    newt__writer record;
    bool first_run;
    bool pulled; /* both runs are over */
    int64_t list_oid, next_list_oid;
    int64_t *pairs;
    size_t n_pairs;
} work;

/* ---- questions -------------------------------------------------------------------------- */

static question *
question_of(work *k, int64_t oid)
{
    return bsearch(&oid, k->list, k->n, sizeof *k->list, newt__by_oid);
}

typedef int answer(work *k, newt_error *e);

/* Asks as soon as there are enough of them. */
static int
put_question(work *k, const question *q, answer *ask, newt_error *e)
{
    int status = NEWT_OK;

    if (!k->list && !(k->list = malloc(COMPARED * sizeof *k->list)))
        return newt__fail_memory(e);
    if (k->n == COMPARED) {
        status = ask(k, e);
        k->n = 0;
    }
    k->list[k->n++] = *q;
    return status;
}

static int
last_questions(work *k, answer *ask, newt_error *e)
{
    int status = k->n > 0 ? ask(k, e) : NEWT_OK;

    k->n = 0;
    return status;
}

/* The oids that are asked about; the questions are in order then. */
static void
list_questions(work *k, int64_t oids[COMPARED])
{
    if (k->n > 0)
        qsort(k->list, k->n, sizeof *k->list, newt__by_oid);
    for (size_t i = 0; i < k->n; i++)
        oids[i] = k->list[i].oid;
}

/* What is only read, and must be current, if it is of one of the two. */
static int
ask_about_current(work *k, bool base_alone, answer *ask, newt_error *e)
{
    int64_t own;
    int status = NEWT_OK;

    for (size_t i = 0; i < k->w->n_current && status == NEWT_OK; i++) {
        question q = {.only_read = true};

        if (k->w->current(k->w->arg, i, &q.oid, &q.told) &&
            !(base_alone && newt__is_of_changes(k->x->storage, q.told, &own)))
            status = put_question(k, &q, ask, e);
    }
    return status;
}

/* ---- comparing with the base ---------------------------------------------------------------- */

static int
take_compared(void *arg, const newt__found *found)
{
    work *k = arg;
    question *q = question_of(k, found->oid);

    if (!q)
        return NEWT_OK;
    q->answered = true;
    if (q->removed && !newt__oids_add(&k->hidden, q->oid))
        return newt__fail_memory(&k->x->why);
    k->differ |= !q->removed && found->serial != q->told;
    return NEWT_OK;
}

static int
compare(work *k, newt_error *e)
{
    const newt__side *base = &k->x->storage->base;
    int64_t oids[COMPARED];
    int status;

    if (!k->base_asked)
        newt__demo_renew_base(k->x);
    k->base_asked = true;
    list_questions(k, oids);
    status = newt__demo_ended(k->x, base->type->load(k->x->base, oids, k->n, take_compared, k, e),
                              e);
    for (size_t i = 0; i < k->n; i++)
        k->differ |= !k->list[i].answered && !k->list[i].removed;
    return status;
}

/* Runs through all that is written. *stopped: the caller's callback has, with this status. */
static int
compare_all(work *k, bool *stopped, newt_error *e)
{
    newt__change c;
    int64_t own;
    int found = k->w->rewind(k->w->arg), status = NEWT_OK;

    while (found == NEWT_OK && status == NEWT_OK && (found = k->w->next(k->w->arg, &c)) == 1) {
        question q = {.oid = c.oid, .told = c.serial};
        bool stored = c.what != NEWT__ADD && newt__is_of_changes(k->x->storage, c.serial, &own);

        found = NEWT_OK;
        k->any = true;
        q.removed = stored && c.what == NEWT__REMOVE;
        k->root |= !stored && c.oid == NEWT__ROOT;
        k->of_stored |= stored || k->root;
        k->of_base |= c.what != NEWT__ADD && !stored && c.oid != NEWT__ROOT;
        if (c.what != NEWT__ADD && (!stored || q.removed))
            status = put_question(k, &q, compare, e);
    }
    *stopped = found != NEWT_OK;
    if (*stopped)
        return found;
    if (status == NEWT_OK && k->any)
        status = ask_about_current(k, true, compare, e);
    if (status == NEWT_OK)
        status = last_questions(k, compare, e);
    newt__oids_sort(&k->hidden);
    return status;
}

/* ---- what others have changed --------------------------------------------------------------- */

static bool
tell(work *k, const question *q, const newt__found *now)
{
    newt__found x = {.oid = q->oid, .serial = now ? now->serial : 0};

    if (now && q->wants_record) {
        x.record = now->record;
        x.n = now->n;
    }
    k->told = true;
    k->enough |= k->w->clash(k->w->arg, &x, q->only_read) != 0;
    return !k->enough;
}

static int
take_current(void *arg, const newt__found *found)
{
    work *k = arg;
    question *q = question_of(k, found->oid);

    if (!q)
        return NEWT_OK;
    q->answered = true;
    return found->serial == q->told || tell(k, q, found) ? NEWT_OK : 1;
}

/* As it is committed now, in either. */
static int
tell_changed(work *k, newt_error *e)
{
    int64_t oids[COMPARED];
    int status;

    list_questions(k, oids);
    status = newt__demo_load(k->x, oids, k->n, take_current, k, e);
    for (size_t i = 0; i < k->n && status == NEWT_OK && !k->enough; i++)
        if (!k->list[i].answered)
            (void)tell(k, &k->list[i], NULL);
    return k->enough ? 1 : status;
}

/* Something differs: what it is, is asked of the present, of which each object has one state. What
 * cannot be found out is not told. */
static void
tell_all_changed(work *k)
{
    newt_error e = {0};
    newt__change c;
    int status = k->w->rewind(k->w->arg);

    newt__demo_end(k->x);
    k->n = 0;
    while (status == NEWT_OK && k->w->next(k->w->arg, &c) == 1) {
        question q = {.oid = c.oid, .told = c.serial, .wants_record = c.wants_record};

        if (c.what != NEWT__ADD)
            status = put_question(k, &q, tell_changed, &e);
    }
    if (status == NEWT_OK)
        status = ask_about_current(k, false, tell_changed, &e);
    if (status == NEWT_OK)
        (void)last_questions(k, tell_changed, &e);
    newt__error_clear(&e);
}

static newt__outcome
clash(work *k, newt_error *e)
{
    tell_all_changed(k);
    newt__fail_changed(e);
    return NEWT__CLASH;
}

/* ---- what is handed down ---------------------------------------------------------------- */

static int
rewind_down(void *arg)
{
    work *k = arg;

    k->first_run = k->of_stored;
    k->pulled = false;
    k->n_pairs = 0;
    k->next_list_oid = k->list_oid;
    return k->w->rewind(k->w->arg);
}

/* A record of ours in the place of a change's. */
static int
give_record(work *k, newt__code code, newt__change *c)
{
    if (code != NEWT__OK)
        return newt__fail_memory(&k->x->why);
    c->record = k->record.buf.data;
    c->n = k->record.buf.n;
    c->projection = NEWT__PROJECT_NOT;
    c->lossy = c->wants_record = false;
    return 1;
}

/* The serials of the base that have been collected, as an object of their own. */
static int
give_pairs(work *k, newt__change *out)
{
    int status;

    *out = (newt__change){.what = NEWT__ADD, .oid = k->next_list_oid++};
    status = give_record(k, newt__pairs_write(&k->record, k->pairs, k->n_pairs), out);
    k->n_pairs = 0;
    return status;
}

static int
give_tombstone(work *k, newt__change *c)
{
    return give_record(k, newt__tombstone_write(&k->record, c->class_name, c->class_n), c);
}

/* An object of the base: it is new to the changes, unless it is the root, which they have from the
 * start. */
static int
give_of_base(work *k, newt__change *c)
{
    bool removed = c->what == NEWT__REMOVE;

    k->pairs[2 * k->n_pairs] = c->oid;
    k->pairs[2 * k->n_pairs++ + 1] = c->serial;
    c->what = c->oid == NEWT__ROOT ? NEWT__REPLACE : NEWT__ADD;
    c->serial = c->oid == NEWT__ROOT ? NEWT__FIRST_SERIAL : 0;
    c->wants_record = false;
    return removed ? give_tombstone(k, c) : 1;
}

/* One that the changes have. */
static int
give_stored(work *k, newt__change *c, int64_t serial)
{
    c->serial = serial;
    c->wants_record = false;
    if (c->what != NEWT__REMOVE || !newt__oids_has(&k->hidden, c->oid))
        return 1;
    c->what = NEWT__REPLACE;
    return give_tombstone(k, c);
}

static int
next_down(void *arg, newt__change *out)
{
    work *k = arg;
    int64_t own;
    int found = 0;

    if (k->n_pairs == LISTED)
        return give_pairs(k, out);
    while (!k->pulled && (found = k->w->next(k->w->arg, out)) >= 0) {
        bool added = out->what == NEWT__ADD;
        bool stored = found == 1 && !added && newt__is_of_changes(k->x->storage, out->serial, &own);
        bool first = stored || (found == 1 && !added && out->oid == NEWT__ROOT);

        if (k->first_run && (found == 0 || added) && k->of_base) {
            k->first_run = false;
            found = k->w->rewind(k->w->arg);
            if (found != NEWT_OK)
                return found;
            continue;
        }
        if (found == 0) {
            k->pulled = true;
            break;
        }
        if (added)
            return 1;
        if (first == k->first_run)
            return stored ? give_stored(k, out, own) : give_of_base(k, out);
    }
    if (found < 0)
        return found;
    return k->n_pairs > 0 ? give_pairs(k, out) : 0;
}

static int
project_down(void *arg, int64_t oid, const void *record, size_t n, newt__buffer *out, bool *hidden,
             json_t *rejects)
{
    const newt__writes *w = ((work *)arg)->w;

    return w->project(w->arg, oid, record, n, out, hidden, rejects);
}

/* What was read from the base must not be in the changes by now. */
static bool
current_down(void *arg, size_t i, int64_t *oid, int64_t *serial)
{
    work *k = arg;
    int64_t told;

    if (!k->w->current(k->w->arg, i, oid, &told))
        return false;
    if (!newt__is_of_changes(k->x->storage, told, serial))
        *serial = *oid == NEWT__ROOT ? NEWT__FIRST_SERIAL : 0;
    return true;
}

/* It is asked afterwards, of both. */
static int
clash_down(void *arg, const newt__found *now, bool only_read)
{
    (void)arg;
    (void)now;
    (void)only_read;
    return 1;
}

/* ---- what has become of it ---------------------------------------------------------------- */

/* What others have changed: first in the base, up to the snapshot that was compared with. */
static void
list_others(work *k, newt__committed *out)
{
    newt__session *x = k->x;
    const newt__heard *base = &x->of_base;
    newt__changes *others = &out->others;
    bool cached = k->w->cache.tid != 0;

    if (!out->has_others)
        return;
    x->list.n = 0;
    others->all |= cached && (!x->known || (k->base_asked && base->said.all));
    for (size_t i = 0; k->base_asked && cached && !others->all && i < base->oids.n; i++)
        out->has_others &= newt__oids_add(&x->list, base->oids.oids[i]);
    others->before += x->list.n;
    for (size_t i = 0; !others->all && i < others->n; i++)
        out->has_others &= newt__oids_add(&x->list, others->oids[i]);
    others->oids = x->list.oids;
    others->n = others->all ? 0 : x->list.n;
    if (!out->has_others)
        return;
    newt__demo_stand(x, others->to, k->base_asked);
    others->to.serial = x->at.number;
}

/* The number of a transaction, as serials of the changes are told. */
static newt__outcome
number(work *k, newt__outcome outcome, newt__committed *out, newt_error *e)
{
    int64_t serial = out->serial;

    if (serial == 0)
        return outcome;
    out->serial = newt__told_serial(k->x->storage, serial);
    if (out->serial != 0) {
        list_others(k, out);
        return outcome;
    }
    newt__error_clear(e); /* it is committed, but cannot be told from others: nothing is known */
    newt__serial_too_large(e);
    return NEWT__IN_DOUBT;
}

static newt__outcome
commit_down(work *k, newt__committed *out, newt_error *e)
{
    newt__session *x = k->x;
    const newt__side *changes = &x->storage->changes;
    newt__writes down = {.arg = k,
                         .next = next_down,
                         .rewind = rewind_down,
                         .project = project_down,
                         .current = current_down,
                         .n_current = k->w->n_current,
                         .clash = clash_down,
                         .user = k->w->user,
                         .description = k->w->description,
                         .extension = k->w->extension,
                         .wants_row = k->w->wants_row};
    uint64_t random;
    newt__outcome outcome;

    if (k->of_base || k->root) {
        if (getentropy(&random, sizeof random) != 0) {
            newt__fail(e, NEWT_EINVAL, 0, "the system gives no random numbers");
            return NEWT__FAILED;
        }
        k->list_oid = (int64_t)(random % (uint64_t)(NEWT__FIRST_LISTS_OID / 2)) +
                      NEWT__FIRST_LISTS_OID;
        k->pairs = malloc(2 * LISTED * sizeof *k->pairs);
        if (!k->pairs) {
            newt__fail_memory(e);
            return NEWT__FAILED;
        }
    }
    if (k->w->cache.tid != 0 && x->known)
        down.cache = x->at.changes;
    outcome = changes->type->commit(x->changes, &down, out, e);
    if (outcome == NEWT__STOPPED && x->why.status != NEWT_OK) {
        newt__error_move(e, &x->why);
        return NEWT__FAILED;
    }
    if (outcome == NEWT__CLASH)
        return clash(k, e);
    if (outcome == NEWT__FAILED && k->of_base && strcmp(e->sqlstate, "23505") == 0) {
        /* added by another transaction, or by a constraint of the program's that is none of ours */
        tell_all_changed(k);
        return k->told ? NEWT__CLASH : NEWT__FAILED;
    }
    return outcome == NEWT__DONE || outcome == NEWT__IN_DOUBT ? number(k, outcome, out, e)
                                                              : outcome;
}

newt__outcome
newt__demo_commit(newt__session *x, const newt__writes *w, newt__committed *out, newt_error *e)
{
    work k = {.x = x, .w = w, .record.buf.env = &newt__malloc_env};
    newt__outcome outcome = NEWT__DONE;
    bool stopped;
    int status;

    *out = (newt__committed){0};
    x->wanted = false;
    x->known = newt__demo_knows(x, w->cache);
    status = compare_all(&k, &stopped, e);
    if (stopped) {
        out->status = status;
        outcome = NEWT__STOPPED;
    } else if (status != NEWT_OK) {
        outcome = NEWT__FAILED;
    } else if (k.differ) {
        outcome = clash(&k, e);
    } else if (k.any || w->wants_row) {
        outcome = commit_down(&k, out, e);
    }
    if (outcome != NEWT__CLASH)
        newt__demo_end(x);
    free(k.list);
    free(k.pairs);
    newt__oids_free(&k.hidden);
    newt__writer_free(&k.record);
    return outcome;
}
