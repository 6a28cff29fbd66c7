/*
 * lookup.c - objects by their keys: one, a range, a page, how many there are
 */
#include "index.h"

enum {
    GOES_ON = 1,
    FROM = 0,
    TO = 1
};

/* Makes an index fit to be asked. */
static int
prepare(newt__jar *c, const newt_index *table, const newt__class_index **x, newt__index_tree *tree)
{
    int status = newt__base_enter(&c->base);

    if (status != NEWT_OK)
        return status;
    *x = newt__index_of(c, table);
    if (!*x)
        return c->base.error.status;
    status = newt__index_flush(c, false);
    if (status == NEWT_OK)
        status = newt__index_tree_find(c, *x, tree);
    if (status != NEWT_OK || tree->filled)
        return status;
    status = newt__base_fail(&c->base, NEWT_EBUSY, 0, "the index \"%s\" is not filled yet",
                             (*x)->name);
    newt__fail_hint(&c->base.error, "Call newt_index_build until it says that it is over.");
    return status;
}

static int
refuse_key(newt__jar *c, const newt__class_index *x, int status)
{
    if (status == NEWT_ELIMIT)
        return newt__base_fail(&c->base, status, 0,
                               "a key for the index \"%s\" is longer than %d bytes", x->name,
                               NEWT_INDEX_KEY);
    return newt__base_fail(&c->base, status, 0, "a key for the index \"%s\" is null", x->name);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static uint32_t
parts_of(const newt__class_index *x, uint8_t given)
{
    return given == 0 || given > x->n_parts ? x->n_parts : given;
}

/* Where a range begins (the first key) or ends (the first that is not in it). after: what begins
 * with the key is before the bound. *none: nothing is after it. */
static int
bound(const newt__class_index *x, const void *key, uint8_t parts, bool after, newt__index_key *out,
      bool *none)
{
    int status = newt__index_key_given(x, key, parts_of(x, parts), out);

    *none = status == NEWT_OK && after && !newt__index_key_next(out);
    return status;
}

static void
set_bound(newt_index_cursor *at, int which, const newt__index_key *key)
{
    memcpy(at->bytes_[which], key->bytes, key->n);
    at->bounds_[which].n = key->n;
}

/* The cursor may have been copied elsewhere. */
static const void *
bound_of(newt_index_cursor *at, int which)
{
    at->bounds_[which].p = at->bytes_[which];
    return at->bounds_[which].n > 0 ? &at->bounds_[which] : NULL;
}

/* *empty: nothing can be in it. */
static int
set_bounds(newt_index_cursor *at, const newt__class_index *x, const newt_index_range *r,
           bool *empty)
{
    const void *from = r->equal ? r->equal : r->from, *to = r->equal ? r->equal : r->to;
    newt__index_key key;
    bool none = false;
    int status = NEWT_OK;

    *empty = false;
    if (from) {
        status = bound(x, from, r->equal ? r->parts : r->from_parts, !r->equal && r->after_from,
                       &key, empty);
        if (status == NEWT_OK && !*empty)
            set_bound(at, FROM, &key);
    }
    if (to && status == NEWT_OK) {
        status = bound(x, to, r->equal ? r->parts : r->to_parts, r->equal || !r->before_to, &key,
                       &none);
        if (status == NEWT_OK && !none)
            set_bound(at, TO, &key);
    }
    return status;
}

/* ---- cursors --------------------------------------------------------------------------------- */

static int
step(newt_index_cursor *at, newt_ref *out)
{
    at->at_.range.from = bound_of(at, FROM);
    at->at_.range.to = bound_of(at, TO);
    return newt_btree_next(&at->at_, &at->key_, out);
}

void
newt_index_close(newt_index_cursor *at)
{
    newt_btree_close(&at->at_);
    if (at->status_ == GOES_ON)
        at->status_ = 0;
}

static int
open_at(newt_index_cursor *at, newt_conn *c, const newt_index *table, const newt_index_range *r)
{
    newt_btree_range range = {.before_to = true, .descending = r->descending};
    const newt__class_index *x;
    newt__index_tree tree;
    newt_ref skipped;
    bool empty;
    int status = prepare(newt__jar_of(c), table, &x, &tree);

    if (status != NEWT_OK)
        return status;
    status = set_bounds(at, x, r, &empty);
    if (status != NEWT_OK)
        return refuse_key(newt__jar_of(c), x, status);
    if (r->offset < 0 || r->limit < 0)
        return newt__base_fail(&newt__jar_of(c)->base, NEWT_EINVAL, 0,
                               "newt_index_range: offset or limit is negative");
    at->left_ = r->limit > 0 ? r->limit : -1;
    at->at_ = newt_btree_open(c, tree.tree, &newt__index_node_class, &range);
    status = empty ? 0 : GOES_ON;
    for (int64_t i = 0; i < r->offset && status == GOES_ON; i++)
        status = step(at, &skipped);
    if (status != GOES_ON)
        newt_btree_close(&at->at_);
    return status;
}

newt_index_cursor
newt_index_open(newt_conn *c, const newt_index *table, const newt_index_range *range)
{
    static const newt_index_range all;
    newt_index_cursor at;

    memset(&at, 0, offsetof(newt_index_cursor, bytes_));
    at.status_ = open_at(&at, c, table, range ? range : &all);
    return at;
}

int
newt_index_next(newt_index_cursor *at, newt_ref *out)
{
    if (at->status_ == GOES_ON && at->left_ == 0)
        newt_index_close(at);
    if (at->status_ != GOES_ON)
        return at->status_;
    at->status_ = step(at, out);
    if (at->left_ > 0)
        at->left_--;
    return at->status_;
}

/* ---- the public functions -------------------------------------------------------------------- */

int
newt_index_get(newt_conn *conn, const newt_index *table, const void *key, newt_ref *out)
{
    newt__jar *c = newt__jar_of(conn);
    const newt__class_index *x;
    newt__index_tree tree;
    newt__index_key found;
    newt_index_range range = {.equal = key, .limit = 1};
    newt_index_cursor at;
    newt_bytes bytes;
    newt_ref r;
    int status;

    if (!table || !table->unique) {
        at = newt_index_open(conn, table, &range);
        status = newt_index_next(&at, &r);
        newt_index_close(&at);
    } else {
        status = prepare(c, table, &x, &tree);
        if (status != NEWT_OK)
            return status;
        status = newt__index_key_given(x, key, x->n_parts, &found);
        if (status != NEWT_OK)
            return refuse_key(c, x, status);
        bytes = newt__index_key_bytes(&found);
        status = newt_btree_get(conn, tree.tree, &newt__index_node_class, &bytes, &r);
    }
    if (status == 1 && out)
        *out = r;
    return status;
}

int64_t
newt_index_count(newt_conn *c, const newt_index *table, const newt_index_range *range)
{
    newt_index_range all = range ? *range : (newt_index_range){0};
    newt_index_cursor at;
    newt_ref r;
    int64_t n = 0;
    int status;

    all.offset = all.limit = 0;
    at = newt_index_open(c, table, &all);
    while ((status = newt_index_next(&at, &r)) == 1)
        n++;
    return status < 0 ? status : n;
}

int64_t
newt_index_page(newt_conn *c, const newt_index *table, const newt_index_range *range,
                newt_ref *refs, size_t n)
{
    newt_index_cursor at = newt_index_open(c, table, range);
    size_t found = 0;
    int status = at.status_;

    while (found < n && (status = newt_index_next(&at, &refs[found])) == 1)
        found++;
    newt_index_close(&at);
    if (status >= 0)
        status = newt_prefetch(c, refs, found);
    return status < 0 ? status : (int64_t)found;
}
