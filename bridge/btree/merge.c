/*
 * merge.c - what two transactions have done to one node, merged
 *
 * Entry by entry, as ZODB's buckets are: what one side has put, changed or removed stays so, and
 * what both have touched is a conflict, also if both did the same. An inner node is merged in the
 * same way, as a map from keys to children.
 *
 * That this is right for a whole tree rests on one rule: whoever takes a part of a node's range
 * from it changes the node. A split moves the second half to the right and lowers `high`; a node
 * that has become empty is removed, so its object is. Nobody moves the beginning of a range
 * upwards. So what a transaction has put into a node as it was belongs there still if the node is
 * there and the keys are below the `high` it has now, whatever has become of the nodes above; and
 * that is looked at here. Two changes that are merged never reach the same range through different
 * nodes, since each of them is in the nodes that its range is in. ZODB, whose buckets do not know
 * where they end, refuses every split, and has each writer check the nodes above.
 *
 * What ZODB's BTrees refuse, with their numbers of reasons, and is merged here:
 *
 *   0   `next`, and where the node ends, were changed: may be, by one side
 *   11  a node above leaves: is a map like others
 *   12  one side is empty: may be a root, for nothing follows from that
 *   13  the first key was removed: nobody keeps where a node begins
 *
 * All else that they refuse (a key that both sides have touched) is refused here, and all that they
 * merge is merged to the same. tests/zodb compares both.
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

enum {
    CONFLICT = 1
};

typedef enum side {
    OLD,
    COMMITTED,
    OURS,
    N_SIDES
} side;

typedef struct merging {
    const newt__tree *t;
    const newt__node *nodes[N_SIDES];
    newt__header *h; /* of ours */
} merging;

/* An item of the result. */
typedef struct pick {
    const newt__node *from;
    uint32_t at;
} pick;

/* ---- values ------------------------------------------------------------------------------ */

static bool same_fields(const newt__class *k, const char *a, const char *b);

static bool
same_value(const newt__field *f, uint8_t kind, const void *a, const void *b, size_t size)
{
    const newt_bytes *x = a, *y = b; /* the layout of all that is bytes */

    switch (kind) {
    case NEWT_K_TEXT:
    case NEWT_K_BYTES:
    case NEWT_K_DECIMAL:
    case NEWT_K_JSON:
        return x->n == y->n && !x->p == !y->p && (x->n == 0 || memcmp(x->p, y->p, x->n) == 0);
    case NEWT_K_STORE_REF:
        return same_value(f, NEWT_K_TEXT, a, b, 0) &&
               ((const newt_store_ref *)a)->oid == ((const newt_store_ref *)b)->oid;
    case NEWT_K_STRUCT: return same_fields(f->type, a, b);
    default: return memcmp(a, b, size) == 0;
    }
}

static bool
same_fields(const newt__class *k, const char *a, const char *b)
{
    for (uint32_t i = 0; i < k->n_fields; i++) {
        const newt__field *f = &k->fields[i];
        const char *x = a + f->f.offset, *y = b + f->f.offset;
        const newt__array_layout *p = (const void *)x, *q = (const void *)y;

        if (f->f.shape == NEWT_ONE) {
            if (!same_value(f, f->f.kind, x, y, f->f.size))
                return false;
            continue;
        }
        if (p->n != q->n)
            return false;
        for (uint32_t j = 0; j < p->n; j++) {
            x = p->items + (size_t)j * f->f.stride;
            y = q->items + (size_t)j * f->f.stride;
            if ((f->f.key_kind && !same_value(f, f->f.key_kind, x, y, f->f.key_size)) ||
                !same_value(f, f->f.kind, x + f->f.value_at, y + f->f.value_at, f->f.size))
                return false;
        }
    }
    return true;
}

/* What stands for the key at a place: a value, or a child. */
static bool
same_item(const merging *m, side a, uint32_t i, side b, uint32_t j)
{
    const newt__node *x = m->nodes[a], *y = m->nodes[b];
    const newt__field *f = m->t->values;

    if (x->level_ > 0)
        return x->children_.items[i + 1].oid == y->children_.items[j + 1].oid;
    return !f || same_value(f, f->f.kind, newt__column_of(x, f)->items + (size_t)i * f->f.size,
                            newt__column_of(y, f)->items + (size_t)j * f->f.size, f->f.size);
}

/* ---- items ------------------------------------------------------------------------------- */

/* The next key of the three sides, and which of them have it; false: no more. */
static bool
next_key(const merging *m, const uint32_t at[N_SIDES], bool has[N_SIDES])
{
    newt__key least, key;
    bool any = false;

    for (side s = OLD; s < N_SIDES; s++) {
        int order = 1;

        has[s] = false;
        if (at[s] == newt__node_n(m->t, m->nodes[s]))
            continue;
        newt__key_get(m->t, m->t->keys, m->nodes[s], at[s], &key);
        order = any ? newt__keys_compare(m->t, &key, &least, m->t->n_keys) : -1;
        if (order < 0) {
            memset(has, 0, N_SIDES * sizeof *has);
            least = key;
        }
        has[s] = order <= 0;
        any = true;
    }
    return any;
}

/* Which side's item of this key there is in the end; OLD: none. Negative: a conflict. */
static int
choose(const merging *m, const uint32_t at[N_SIDES], const bool has[N_SIDES])
{
    bool theirs_same, ours_same;

    if (!has[OLD])
        return has[COMMITTED] && has[OURS] ? -1 : has[OURS] ? OURS : COMMITTED;
    if (!has[COMMITTED] && !has[OURS])
        return -1;
    theirs_same = has[COMMITTED] && same_item(m, OLD, at[OLD], COMMITTED, at[COMMITTED]);
    ours_same = has[OURS] && same_item(m, OLD, at[OLD], OURS, at[OURS]);
    if (theirs_same)
        return has[OURS] ? OURS : OLD;
    if (ours_same)
        return has[COMMITTED] ? COMMITTED : OLD;
    return -1;
}

static int
pick_items(const merging *m, pick *picks, uint32_t *n)
{
    uint32_t at[N_SIDES] = {0};
    bool has[N_SIDES];

    *n = 0;
    while (next_key(m, at, has)) {
        int chosen = choose(m, at, has);

        if (chosen < 0)
            return CONFLICT;
        if (chosen != OLD)
            picks[(*n)++] = (pick){m->nodes[chosen], at[chosen]};
        for (side s = OLD; s < N_SIDES; s++)
            at[s] += has[s];
    }
    return NEWT_OK;
}

/* A column of ours is made of those that were picked; at: 1 for children, which the keys are
 * between. */
static bool
build_column(const merging *m, const newt__field *f, const pick *picks, uint32_t n)
{
    newt__array_layout *column = newt__column_of(m->nodes[OURS], f);
    char *items = newt__header_alloc(m->h, (size_t)n * f->f.size + 1, true);

    if (!items)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        char *item = items + (size_t)i * f->f.size;

        memcpy(item, newt__column_of(picks[i].from, f)->items + (size_t)picks[i].at * f->f.size,
               f->f.size);
        if (picks[i].from != m->nodes[OURS] && !newt__value_take(m->h, f, f->f.kind, item))
            return false;
    }
    column->edit_ = items;
    column->n = column->cap_ = n;
    return true;
}

static bool
build_children(const merging *m, newt_ref first, const pick *picks, uint32_t n)
{
    newt__array_layout *column = newt__children_of(m->nodes[OURS]);
    newt_ref *items = newt__header_alloc(m->h, ((size_t)n + 1) * sizeof *items, true);

    if (!items)
        return false;
    items[0] = first;
    for (uint32_t i = 0; i < n; i++)
        items[i + 1] = picks[i].from->children_.items[picks[i].at + 1];
    column->edit_ = (char *)items;
    column->n = column->cap_ = n + 1;
    return true;
}

/* ---- what else a node has ----------------------------------------------------------------- */

/* The side that has changed something, ours if none has; negative: both have. */
static int
changed_side(bool theirs_same, bool ours_same)
{
    return theirs_same ? OURS : ours_same ? COMMITTED : -1;
}

static bool
same_high(const merging *m, side a, side b)
{
    newt__key x, y;
    bool has = newt__node_has_high(m->t, m->nodes[a]);

    if (has != newt__node_has_high(m->t, m->nodes[b]))
        return false;
    if (!has)
        return true;
    newt__key_get(m->t, m->t->high, m->nodes[a], 0, &x);
    newt__key_get(m->t, m->t->high, m->nodes[b], 0, &y);
    return newt__keys_compare(m->t, &x, &y, m->t->n_keys) == 0;
}

static bool
same_refs(const merging *m, side a, side b)
{
    const newt__node *x = m->nodes[a], *y = m->nodes[b];

    return x->counts_.n == y->counts_.n &&
           (x->counts_.n == 0 ||
            memcmp(x->counts_.items, y->counts_.items, x->counts_.n * sizeof(newt_ref)) == 0);
}

/* The last key is before the end that the node has now. */
static bool
is_within(const merging *m, const newt__node *end, const pick *picks, uint32_t n)
{
    newt__key high;

    if (n == 0 || !newt__node_has_high(m->t, end))
        return true;
    newt__key_get(m->t, m->t->high, end, 0, &high);
    return newt__key_compare(m->t, m->t->keys, picks[n - 1].from, picks[n - 1].at, &high,
                             m->t->n_keys) < 0;
}

static int
build(const merging *m, const pick *picks, uint32_t n)
{
    const newt__tree *t = m->t;
    const newt__node *const *nodes = m->nodes;
    newt__node *ours = (newt__node *)(uintptr_t)nodes[OURS];
    int next = changed_side(nodes[COMMITTED]->next_.oid == nodes[OLD]->next_.oid,
                            nodes[OURS]->next_.oid == nodes[OLD]->next_.oid);
    int high = changed_side(same_high(m, OLD, COMMITTED), same_high(m, OLD, OURS));
    int first = OURS;

    if (ours->level_ > 0)
        first = changed_side(nodes[COMMITTED]->children_.items[0].oid ==
                                 nodes[OLD]->children_.items[0].oid,
                             ours->children_.items[0].oid == nodes[OLD]->children_.items[0].oid);
    if (next < 0 || high < 0 || first < 0 || !same_refs(m, OLD, COMMITTED) ||
        !same_refs(m, OLD, OURS) || !is_within(m, nodes[high], picks, n))
        return CONFLICT;
    if (ours->level_ > 0 && !build_children(m, nodes[first]->children_.items[0], picks, n))
        return NEWT_ENOMEM;
    if (ours->level_ == 0 && t->values && !build_column(m, t->values, picks, n))
        return NEWT_ENOMEM;
    for (uint32_t part = t->n_keys; part-- > 0;)
        if (!build_column(m, t->keys[part], picks, n))
            return NEWT_ENOMEM;
    ours->next_ = nodes[next]->next_;
    if (high == COMMITTED) {
        const pick end = {nodes[COMMITTED], 0};

        for (uint32_t part = 0; part < t->n_keys; part++)
            if (!build_column(m, t->high[part], &end, newt__node_has_high(t, nodes[COMMITTED])))
                return NEWT_ENOMEM;
    }
    ours->bytes_ = 0;
    return NEWT_OK;
}

/* ---- all of it --------------------------------------------------------------------------- */

static int
merge_nodes(const void *old, const void *committed, void *ours, void *arg)
{
    merging m = {.nodes = {old, committed, ours}, .h = newt__header_of(ours)};
    const newt__node *const *nodes = m.nodes;
    uint64_t most = 0;
    uint32_t n;
    pick *picks;
    int status;

    (void)arg;
    m.t = m.h->class ? m.h->class->tree : NULL;
    if (!m.t)
        return NEWT_EINVAL;
    for (side s = OLD; s < N_SIDES; s++) {
        if (newt__node_fault(m.t, nodes[s], nodes[OLD]->level_) ||
            nodes[s]->root_ != nodes[OLD]->root_)
            return CONFLICT;
        most += newt__node_n(m.t, nodes[s]);
    }
    /* what was emptied, or would be, is no longer there */
    if (nodes[OLD]->level_ == 0 && !nodes[OLD]->root_ &&
        (newt__node_n(m.t, nodes[COMMITTED]) == 0 || newt__node_n(m.t, nodes[OURS]) == 0))
        return CONFLICT;
    picks = malloc((most + 1) * sizeof *picks);
    if (!picks)
        return NEWT_ENOMEM;
    status = pick_items(&m, picks, &n);
    if (status == NEWT_OK && n == 0 && nodes[OLD]->level_ == 0 && !nodes[OLD]->root_)
        status = CONFLICT;
    if (status == NEWT_OK)
        status = build(&m, picks, n);
    free(picks);
    return status;
}

const newt_hooks newt_btree_hooks = {.size = sizeof newt_btree_hooks, .resolve = merge_nodes};
