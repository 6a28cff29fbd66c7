/*
 * check.c - whether a tree is what it should be
 */
#include "btree.h"

#include <stdlib.h>
#include <string.h>

/* ---- checking ---------------------------------------------------------------------------- */

typedef struct checking {
    newt__btree b;
    newt_btree_tell *tell;
    void *arg;
    int64_t problems, entries;
    newt_ref last_leaf, expected; /* the leaf that was looked at last, and its `next` */
    int status;                   /* of tell */
} checking;

/* False: tell wants no more. */
static bool
tell(checking *x, newt_ref r, const char *problem)
{
    x->problems++;
    if (x->tell && x->status == NEWT_OK)
        x->status = x->tell(x->arg, r, problem);
    return x->status == NEWT_OK;
}

/* A node that is pinned; NULL: it has been told why there is none. */
static const newt__node *
open_node(checking *x, newt_ref r, int level)
{
    const newt__node *node = newt_read(newt__conn_of(x->b.c), r, x->b.table);
    const char *fault;

    if (!node) {
        if (newt__base_is_over(&x->b.c->base))
            x->status = x->b.c->base.error.status;
        else
            tell(x, r, newt_error_message(&x->b.c->base.error));
        newt__error_clear(&x->b.c->base.error);
        return NULL;
    }
    fault = newt__node_fault(x->b.t, node, level);
    if (!fault)
        return node;
    tell(x, r, fault);
    newt__node_done(node);
    return NULL;
}

/* The keys of a node by themselves, and within [low, high); NULL: no such limit. */
static void
check_keys(checking *x, newt_ref r, const newt__node *node, const newt__key *low,
           const newt__key *high)
{
    const newt__tree *t = x->b.t;
    uint32_t n = newt__node_n(t, node);
    bool has_high = newt__node_has_high(t, node);
    newt__key key;

    for (uint32_t i = 1; i < n; i++) {
        newt__key_get(t, t->keys, node, i, &key);
        if (newt__key_compare(t, t->keys, node, i - 1, &key, t->n_keys) >= 0) {
            tell(x, r, "has keys that are not in order");
            break;
        }
    }
    if (n > 0 && low && newt__key_compare(t, t->keys, node, 0, low, t->n_keys) < 0)
        tell(x, r, "has a key that belongs to its left neighbour");
    if (n > 0 && high && newt__key_compare(t, t->keys, node, n - 1, high, t->n_keys) >= 0)
        tell(x, r, "has a key that belongs to its right neighbour");
    if (has_high != (high != NULL) ||
        (high && newt__key_compare(t, t->high, node, 0, high, t->n_keys) != 0))
        tell(x, r, "does not end where the node above says");
}

static void
check_leaf(checking *x, newt_ref r, const newt__node *node)
{
    if (newt__node_n(x->b.t, node) == 0 && !node->root_)
        tell(x, r, "is empty, and still there");
    if (x->last_leaf.oid && x->expected.oid != r.oid)
        tell(x, x->last_leaf, "is not linked to the leaf after it");
    x->last_leaf = r;
    x->expected = node->next_;
    x->entries += newt__node_n(x->b.t, node);
}

static void
check_node(checking *x, newt_ref r, int level, const newt__key *low, const newt__key *high)
{
    const newt__tree *t = x->b.t;
    const newt__node *node = open_node(x, r, level);
    uint32_t n;

    if (!node)
        return;
    n = newt__node_n(t, node);
    check_keys(x, r, node, low, high);
    if (r.oid != x->b.root.oid && (node->root_ || node->counts_.n > 0))
        tell(x, r, "is said to be the root");
    if (node->level_ == 0)
        check_leaf(x, r, node);
    else if (node->next_.oid)
        tell(x, r, "is linked to another, which only leaves are");
    for (uint32_t i = 0; node->level_ > 0 && i <= n && x->status == NEWT_OK; i++) {
        newt__key from, to;

        if (i % NEWT__MOST_AHEAD == 0) {
            uint32_t more = n + 1 - i < NEWT__MOST_AHEAD ? n + 1 - i : NEWT__MOST_AHEAD;

            x->status = newt_prefetch(newt__conn_of(x->b.c), node->children_.items + i, more);
            if (x->status != NEWT_OK)
                break;
        }
        if (i > 0)
            newt__key_get(t, t->keys, node, i - 1, &from);
        if (i < n)
            newt__key_get(t, t->keys, node, i, &to);
        check_node(x, node->children_.items[i], node->level_ - 1, i > 0 ? &from : low,
                   i < n ? &to : high);
    }
    newt__node_done(node);
}

int
newt_btree_check(newt_conn *c, newt_ref r, const newt_class *k, newt_btree_tell *told, void *arg,
                 int64_t *problems)
{
    checking x = {.tell = told, .arg = arg};
    int status = newt__btree_open(&x.b, c, r, k);
    int64_t length;

    *problems = 0;
    if (status == NEWT_EBROKEN) { /* the root is */
        const char *message = newt_error_message(&newt__jar_of(c)->base.error);

        x.status = NEWT_OK;
        tell(&x, r, message);
        *problems = x.problems;
        newt__error_clear(&newt__jar_of(c)->base.error);
        return x.status;
    }
    if (status != NEWT_OK)
        return status;
    check_node(&x, r, -1, NULL, NULL);
    if (x.status == NEWT_OK && x.expected.oid)
        tell(&x, x.last_leaf, "is the last leaf, but linked to another");
    if (x.status == NEWT_OK && x.problems == 0) {
        length = newt_btree_length(c, r, k);
        if (length < 0)
            x.status = (int)length;
        else if (length != x.entries)
            tell(&x, r, "has counters that do not give the number of its entries");
    }
    *problems = x.problems;
    return x.status;
}
