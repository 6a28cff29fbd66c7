/*
 * index_build.c - indexes filled with the objects that there are, while others write
 *
 * Objects are gone through by oid, some in each transaction; how far it has come is kept in the
 * store. What is put in must be current when it is committed, so whoever changes an object at the
 * same time makes this a conflict. Who changes it later has read a tree without it, cannot remove
 * it, and asks for that place to be current (index/entry.c): so that one conflicts.
 */
#include "index_build.h"

#include <stdlib.h>

enum {
    OBJECTS = 1000, /* also in newtdb_index.h */
    FEW_TRIES = 3
};

typedef struct filling {
    const newt__class_index *x;
    newt_index_building *b;
    newt__index_scan scan;
    newt__index_tree tree;
    newt_ref progress;
    int64_t after, added, broken;
    bool rebuild;
    bool moved; /* somebody else has gone on filling it */
} filling;

/* ---- what the store says -----------------------------------------------------------------------
 */

/* A newt_work: makes the store have the index, and finds how far it is filled. */
static int
look(newt_conn *c, void *arg)
{
    filling *f = arg;
    const struct newt__index_state *s;
    const struct newt_length *after;
    int status = newt__index_tree_find(&c->jar, f->x, &f->tree);

    if (status == NEWT_EMISSING || (f->rebuild && (status == NEWT_OK || status == NEWT_ECLASS))) {
        status = newt__index_register(&c->jar, f->x);
        if (status == NEWT_OK)
            status = newt__index_tree_find(&c->jar, f->x, &f->tree);
    }
    if (status != NEWT_OK || f->tree.filled)
        return status;
    s = newt_read(c, f->tree.state, &newt__index_state_class);
    f->progress = s ? s->after : (newt_ref){0};
    newt__index_state_done(s);
    after = s ? newt_read(c, f->progress, &newt_length_class) : NULL;
    if (!after)
        return newt_status(c);
    f->after = after->value;
    newt_length_done(after);
    return NEWT_OK;
}

/* ---- filling -----------------------------------------------------------------------------------
 */

static int
put_in(filling *f, newt_conn *c, newt_ref r)
{
    newt__header *h = newt__object_find(&c->jar, r, NEWT__ON_READ);
    newt__index_key key;
    int status;

    if (!h)
        return newt_status(c) == NEWT_EMISSING ? NEWT_OK : newt_status(c);
    if (h->class != f->x->class) {
        f->broken += h->bag;
        return NEWT_OK;
    }
    status = newt_read_current(c, r);
    if (status != NEWT_OK)
        return status;
    if (newt__index_key_of(f->x, r.oid, newt__object_of(h), &key) != NEWT_OK) {
        newt__header_fail(h, NEWT_ELIMIT,
                          "the key of %s %lld for the index \"%s\" is longer than "
                          "%d bytes",
                          h->class->name, (long long)r.oid, f->x->name, NEWT_INDEX_KEY);
        return NEWT_ELIMIT;
    }
    if (key.absent)
        return NEWT_OK;
    status = newt__index_insert(&c->jar, f->x, &f->tree, newt__index_key_bytes(&key), r.oid);
    f->added += status == 1;
    return status < 0 ? status : NEWT_OK;
}

static int
go_on(filling *f, newt_conn *c)
{
    struct newt__index_state *s;
    struct newt_length *after;

    if (!f->scan.over) {
        after = newt_write(c, f->progress, &newt_length_class);
        return after ? newt_length_change(after, f->scan.last - f->after) : newt_status(c);
    }
    s = newt_write(c, f->tree.state, &newt__index_state_class);
    if (!s)
        return newt_status(c);
    s->after = (newt_ref){0};
    newt__index_state_done(s);
    return newt_delete(c, f->progress);
}

/* A newt_work: the objects that were scanned. */
static int
fill(newt_conn *c, void *arg)
{
    filling *f = arg;
    int64_t expected = f->after;
    int status = look(c, f);

    f->added = f->broken = 0;
    f->moved = status == NEWT_OK && (f->tree.filled || f->after != expected);
    f->after = expected;
    if (status != NEWT_OK || f->moved)
        return status;
    /* of two that fill it, one is to fail: what counts is not added up */
    status = newt_read_current(c, f->progress);
    if (status == NEWT_OK)
        status = newt_prefetch(c, f->scan.refs, f->scan.n);
    for (size_t i = 0; i < f->scan.n && status == NEWT_OK; i++)
        status = put_in(f, c, f->scan.refs[i]);
    return status == NEWT_OK ? go_on(f, c) : status;
}

/* The next objects, in one transaction; NEWT_ECONFLICT: others have changed one of them, again and
 * again. */
static int
fill_some(filling *f, newt_conn *c, size_t most)
{
    newt_transact_options few = {.size = sizeof few, .attempts = most > 1 ? FEW_TRIES : 0};
    int status = newt__index_scan_next(&f->scan, f->after, most);

    return status == NEWT_OK ? newt_transact(c, fill, f, &few) : status;
}

/* Fills one index, as far as the call goes. *over: all of it. */
static int
build_one(filling *f, newt_conn *c, int64_t *left, bool *over)
{
    size_t step = NEWT__INDEX_BATCH;
    int status = newt_transact(c, look, f, NULL);

    *over = f->tree.filled;
    while (status == NEWT_OK && !*over && *left > 0) {
        status = fill_some(f, c, (int64_t)step < *left ? step : (size_t)*left);
        if (status == NEWT_ECONFLICT && f->scan.n_scanned > 1) {
            step = f->scan.n_scanned / 2; /* fewer are sooner done */
            status = NEWT_OK;
            continue;
        }
        if (status != NEWT_OK)
            break;
        if (f->moved) {
            status = newt_transact(c, look, f, NULL);
            *over = f->tree.filled;
            continue;
        }
        step = step < NEWT__INDEX_BATCH / 2 ? 2 * step : NEWT__INDEX_BATCH;
        *over = f->scan.over;
        *left -= (int64_t)f->scan.n_scanned;
        f->b->looked += (int64_t)f->scan.n_scanned;
        f->b->added += f->added;
        f->b->broken += f->broken;
        f->b->after = f->after = f->scan.last;
    }
    return status;
}

/* ---- the call ----------------------------------------------------------------------------------
 */

static void
begin(filling *f, newt_conn *c, const newt__class_index *x, newt_index_building *b)
{
    *f = (filling){.x = x, .b = b};
    f->scan.c = c;
    f->scan.k = x->class;
}

/* The next index of the database after x; NULL: there is none. */
static const newt__class_index *
next_index(newt_conn *c, const newt__class_index *x, size_t *at)
{
    const newt__class *k = newt__class_at(c->jar.classes, *at);

    if (x && ++x < k->indexes + k->n_indexes)
        return x;
    *at += x != NULL;
    for (; (k = newt__class_at(c->jar.classes, *at)); ++*at)
        if (k->stored && k->n_indexes > 0)
            return k->indexes;
    return NULL;
}

static const newt__class_index *
first_index(newt_conn *c, const newt_index *table, size_t *at)
{
    *at = 0;
    return table ? newt__index_of(&c->jar, table) : next_index(c, NULL, at);
}

int
newt_index_build(newt_conn *c, const newt_index *table, newt_index_building *building)
{
    int status = newt__outside(c, NULL, "newt_index_build");
    const newt__class_index *x;
    newt_index_building b = {0};
    filling *f = NULL;
    size_t at = 0;
    int64_t left;
    newt_error e = {0};

    if (status != NEWT_OK)
        return status;
    if (!building)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "newt_index_build needs a newt_index_building");
    if (newt__options_take(&b, sizeof b, building, "newt_index_building", &e) != NEWT_OK)
        return newt__feed_fail(c, &e);
    if (b.objects < 0 || b.objects > INT32_MAX)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "newt_index_building.objects is out of its range");
    if (b.over)
        return NEWT_OK;
    if (table && !newt__index_of(&c->jar, table))
        return c->jar.base.error.status;
    f = malloc(sizeof *f);
    if (!f)
        return newt__base_fail_memory(&c->jar.base);
    for (x = first_index(c, table, &at); x && status == NEWT_OK && b.rebuild;
         x = table ? NULL : next_index(c, x, &at)) {
        begin(f, c, x, &b);
        f->rebuild = true;
        status = newt_transact(c, look, f, NULL);
    }
    b.rebuild &= status != NEWT_OK;
    left = b.objects ? b.objects : OBJECTS;
    b.over = true;
    for (x = first_index(c, table, &at); x && status == NEWT_OK && b.over;
         x = table ? NULL : next_index(c, x, &at)) {
        begin(f, c, x, &b);
        status = build_one(f, c, &left, &b.over);
    }
    b.over &= status == NEWT_OK;
    free(f);
    memcpy(building, &b, b.size);
    return status;
}
