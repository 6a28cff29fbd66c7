/*
 * cursor.c - through a tree in the order of its keys
 *
 * A cursor pins the leaf in which it is. Before each step it looks whether its key is still where
 * it was; if not, it looks for the key anew, so whatever becomes of the tree cannot lead it astray.
 */
#include "btree.h"

#include <string.h>

enum {
    BEGINS,  /* at no entry yet */
    AT,      /* an entry, that of the program's key */
    REMOVED, /* the same, but it was removed */
    CLOSED
};

static void
leave(newt_btree_cursor *at)
{
    if (at->leaf_)
        newt__node_done(at->leaf_);
    at->leaf_ = NULL;
}

void
newt_btree_close(newt_btree_cursor *at)
{
    /* the end of the transaction has forgotten all pins, and may have freed the leaf */
    if (at->c && at->epoch_ == newt__jar_of(at->c)->epoch)
        leave(at);
    at->leaf_ = NULL;
    at->state_ = CLOSED;
}

newt_btree_cursor
newt_btree_open(newt_conn *c, newt_ref tree, const newt_class *k, const newt_btree_range *range)
{
    newt_btree_cursor at = {.c = c, .class_ = k, .tree = tree, .ahead_ = 2};
    newt__btree b;

    if (range)
        at.range = *range;
    at.epoch_ = newt__jar_of(c)->epoch;
    at.status_ = newt__btree_open(&b, c, tree, k);
    if (at.status_ == NEWT_OK && at.range.parts > b.t->n_keys)
        at.status_ = newt__base_fail(&b.c->base, NEWT_EINVAL, tree.oid,
                                     "a range over %u parts of the keys of %s, which have %u",
                                     at.range.parts, k->name, b.t->n_keys);
    if (at.status_ == NEWT_OK && at.range.parts == 0)
        at.range.parts = (uint8_t)b.t->n_keys;
    if (at.status_ == NEWT_OK && at.range.from)
        at.status_ = newt__bound_check(&b, at.range.from, at.range.parts);
    if (at.status_ == NEWT_OK && at.range.to)
        at.status_ = newt__bound_check(&b, at.range.to, at.range.parts);
    if (at.status_ != NEWT_OK)
        at.state_ = CLOSED;
    return at;
}

/* ---- finding ----------------------------------------------------------------------------- */

/* The first place at all, or (descending) that after the last. */
static const newt__node *
find_begin(const newt_btree_cursor *at, const newt__btree *b, newt__path *path)
{
    const newt_btree_range *r = &at->range;

    if (r->descending)
        return newt__descend(b, r->to, r->parts, !r->to || !r->before_to, path);
    return newt__descend(b, r->from, r->parts, r->from && r->after_from, path);
}

/* Whether the entry at a place is beyond the end. */
static bool
is_beyond(const newt_btree_cursor *at, const newt__btree *b, const newt__node *leaf, uint32_t i)
{
    const newt_btree_range *r = &at->range;
    const void *end = r->descending ? r->from : r->to;
    int order;

    if (!end)
        return false;
    order = newt__key_compare(b->t, b->t->keys, leaf, i, end, r->parts);
    return r->descending ? order < 0 || (order == 0 && r->after_from)
                         : order > 0 || (order == 0 && r->before_to);
}

/* Makes the leaf at the end of a path the cursor's. */
static void
enter(newt_btree_cursor *at, const newt__node *leaf)
{
    if (leaf == at->leaf_)
        return;
    newt__object_pin(newt__header_of(leaf));
    leave(at);
    at->leaf_ = leaf;
    at->node_ = newt__node_ref(leaf);
}

/* The leaf after (before) that of the path, which may be evicted meanwhile. *leaf NULL: none. */
static int
next_leaf(newt_btree_cursor *at, const newt__btree *b, newt__path *path, const newt__node **leaf)
{
    const newt_btree_range *r = &at->range;
    newt__ahead ahead = {at->ahead_, r->descending ? r->from : r->to, r->parts};

    if (at->ahead_ < NEWT__MOST_AHEAD)
        at->ahead_ *= 2;
    return newt__path_step(b, path, r->descending, &ahead, leaf);
}

/* Whether the entry at which the cursor was is where it was. */
static bool
is_in_place(const newt_btree_cursor *at, const newt__btree *b, const void *key)
{
    const newt__node *leaf = at->leaf_;
    newt__state state = leaf ? newt__header_of(leaf)->state : NEWT__DELETED;

    return at->state_ == AT && state != NEWT__DELETED && state != NEWT__FORGOTTEN &&
           newt__node_has(b->t, leaf, at->at_, key);
}

/* The next entry, from the one at which the cursor is. 1, 0 or a status. */
static int
step(newt_btree_cursor *at, const newt__btree *b, const void *key)
{
    bool back = at->range.descending, in_place = is_in_place(at, b, key);
    const newt__node *leaf = at->leaf_;
    newt__path path = {.levels = 0};
    int status;

    if (in_place && (back ? at->at_ > 0 : at->at_ + 1 < newt__node_n(b->t, leaf))) {
        at->at_ += back ? -1 : 1;
        return !is_beyond(at, b, leaf, at->at_);
    }
    at->moved_ = at->state_ == AT && !in_place;
    leaf = at->state_ == BEGINS ? find_begin(at, b, &path)
                                : newt__descend(b, key, b->t->n_keys, !back, &path);
    if (!leaf)
        return b->c->base.error.status;
    while (back ? path.steps[0].at == 0 : path.steps[0].at >= newt__node_n(b->t, leaf)) {
        status = next_leaf(at, b, &path, &leaf);
        if (status != NEWT_OK || !leaf)
            return status;
    }
    enter(at, leaf);
    at->at_ = path.steps[0].at - back;
    return !is_beyond(at, b, leaf, at->at_);
}

/* ---- for the program --------------------------------------------------------------------- */

/* The tree of a cursor that may be used. */
static int
resume(newt_btree_cursor *at, newt__btree *b)
{
    newt__jar *c = newt__jar_of(at->c);
    int status = newt__base_enter(&c->base);

    if (status != NEWT_OK)
        return status;
    if (at->epoch_ != c->epoch) {
        at->leaf_ = NULL; /* its pin has ended, and it may be gone */
        return newt__base_fail(&c->base, NEWT_EINVAL, at->tree.oid,
                               "the cursor is of an earlier transaction");
    }
    if (at->state_ == CLOSED)
        return newt__base_fail(&c->base, at->status_ < 0 ? at->status_ : NEWT_EINVAL, at->tree.oid,
                               at->status_ < 0 ? "the cursor could not be opened"
                                               : "the cursor is closed");
    return newt__btree_open(b, at->c, at->tree, at->class_);
}

int
newt_btree_next(newt_btree_cursor *at, void *key, void *value)
{
    newt__btree b;
    int status;

    if (at->state_ == CLOSED && (at->status_ == 0 || newt__jar_of(at->c)->base.error.status != 0))
        return at->status_;
    status = resume(at, &b);
    if (status == NEWT_OK)
        status = step(at, &b, key);
    if (status != 1) {
        at->status_ = status;
        newt_btree_close(at);
        return status;
    }
    at->state_ = AT;
    newt__key_get(b.t, b.t->keys, at->leaf_, at->at_, key);
    if (value && b.t->values)
        memcpy(value,
               newt__column_of(at->leaf_, b.t->values)->items +
                   (size_t)at->at_ * b.t->values->f.size,
               b.t->values->f.size);
    return 1;
}

/* The way to the entry at which the cursor is; its tree is being changed. */
static int
way_to(newt_btree_cursor *at, newt__btree *b, const void *key, newt__path *path)
{
    const newt__node *leaf;
    int status = resume(at, b);

    if (status == NEWT_OK) {
        leaf = newt__descend(b, key, b->t->n_keys, false, path);
        if (!leaf)
            status = b->c->base.error.status;
        else if (at->state_ != AT || !newt__node_has(b->t, leaf, path->steps[0].at, key))
            status = newt__base_fail(&b->c->base, NEWT_EINVAL, at->tree.oid,
                                     "the cursor is at no entry of the tree %s %lld",
                                     at->class_->name, (long long)at->tree.oid);
    }
    return status == NEWT_OK ? NEWT_OK : newt__base_break(&newt__jar_of(at->c)->base);
}

int
newt_btree_cursor_put(newt_btree_cursor *at, const void *key, const void *value)
{
    newt__btree b;
    newt__path path;
    int status = way_to(at, &b, key, &path);

    return status == NEWT_OK ? newt__entry_set(&b, &path, value) : status;
}

int
newt_btree_cursor_remove(newt_btree_cursor *at, const void *key)
{
    newt__btree b;
    newt__path path;
    int status = way_to(at, &b, key, &path);

    if (status == NEWT_OK)
        status = newt__entry_remove(&b, &path);
    if (status == NEWT_OK)
        at->state_ = REMOVED;
    return status;
}
