/*
 * shelf.h - a tree of small nodes, two connections that change it, and what should be in it
 */
#ifndef NEWT_TESTS_SHELF_H
#define NEWT_TESTS_SHELF_H

#include "trees.h"

#include "../../bridge/btree/btree.h"

enum {
    KEYS = 800,   /* that are there in the beginning, with room between them */
    STEP = 8,     /* places from one to the next */
    END = 16000,  /* places for keys */
    IN_LEAF = 200 /* keys, at most */
};

/* A tree of small nodes, and the places that should be taken. */
typedef struct shelf {
    store s;
    newt_ref tree;
    bool has[END];
} shelf;

/* ---- what a transaction does ------------------------------------------------------------------
 */

UNUSED static int64_t
key_of(int place)
{
    return (place - END / 2) * (INT64_MAX / END); /* 9 bytes in a record */
}
UNUSED static int
place_of(int64_t key)
{
    return (int)(key / (INT64_MAX / END)) + END / 2;
}

UNUSED static void
put(newt_conn *c, const shelf *t, int place)
{
    ok(c, int_tree_put(c, int_tree_of(t->tree), key_of(place), place));
}

UNUSED static void
drop(newt_conn *c, const shelf *t, int place)
{
    assert_int_equal(int_tree_remove(c, int_tree_of(t->tree), key_of(place)), 1);
}

UNUSED static int
get(newt_conn *c, const shelf *t, int place, int64_t *v)
{
    return int_tree_get(c, int_tree_of(t->tree), key_of(place), v);
}

UNUSED static newt__btree
opened(newt_conn *c, const shelf *t)
{
    newt__btree b;

    ok(c, newt__btree_open(&b, c, t->tree, &int_tree_class));
    return b;
}

/* The node of a level where a place is; *at: its number in the one above. */
UNUSED static newt_ref
node_of(newt_conn *c, const shelf *t, int level, int place, uint32_t *at)
{
    newt__btree b = opened(c, t);
    newt__path path;
    int64_t key = key_of(place);

    assert_non_null(newt__descend(&b, &key, 1, false, &path));
    assert_true(level + 1 < path.levels);
    if (at)
        *at = path.steps[level + 1].at;
    return path.steps[level].node;
}

/* Whether two places are in one node of a level. */
UNUSED static bool
together(newt_conn *c, const shelf *t, int level, int p, int q)
{
    return node_of(c, t, level, p, NULL).oid == node_of(c, t, level, q, NULL).oid;
}

UNUSED static struct int_tree *
write_node(newt_conn *c, newt_ref r)
{
    struct int_tree *node = newt_write(c, r, &int_tree_class);

    assert_non_null(node);
    return node;
}

/* The keys of the leaf of a place. */
typedef struct leaf {
    int n, places[IN_LEAF];
} leaf;

UNUSED static leaf
leaf_of(newt_conn *c, const shelf *t, int place)
{
    const struct int_tree *node = newt_read(c, node_of(c, t, 0, place, NULL), &int_tree_class);
    leaf l = {0};

    assert_true(node && node->keys_.n <= IN_LEAF);
    for (; l.n < (int)node->keys_.n; l.n++)
        l.places[l.n] = place_of(node->keys_.items[l.n]);
    newt_done((const newt_object *)node);
    return l;
}

UNUSED static leaf
leaf_after(newt_conn *c, const shelf *t, const leaf *l)
{
    return leaf_of(c, t, l->places[l->n - 1] + STEP);
}

/* Removes all of a leaf. */
UNUSED static void
empty(newt_conn *c, const shelf *t, const leaf *l)
{
    for (int i = 0; i < l->n; i++)
        drop(c, t, l->places[i]);
}

/* ---- what is there ----------------------------------------------------------------------------
 */

UNUSED static void
note(shelf *t, const leaf *l, bool has)
{
    for (int i = 0; i < l->n; i++)
        t->has[l->places[i]] = has;
}

UNUSED static void
open_shelf(shelf *t, const char *name, int n)
{
    *t = (shelf){.has = {false}};
    store_make(&t->s, name);
    t->s.db = store_db(&t->s, trees, (newt_options){0});
    t->s.a = connect_(t->s.db);
    t->s.b = connect_(t->s.db);
    begin(t->s.a);
    t->tree = int_tree_create(t->s.a).any;
    for (int i = 0; i < n; i++) {
        int place = i * 7 % n * STEP; /* not in order, so that nodes are half full */

        put(t->s.a, t, place);
        t->has[place] = true;
    }
    commit(t->s.a);
    if (n < KEYS)
        return;
    begin(t->s.a); /* of three levels */
    assert_false(together(t->s.a, t, 1, 0, KEYS * STEP));
    commit(t->s.a);
}

/* Leaves two keys at both ends of the leaf of a place, so that it has room for others. */
UNUSED static void
make_room(shelf *t, int place)
{
    leaf l;

    begin(t->s.a);
    l = leaf_of(t->s.a, t, place);
    assert_true(l.n >= 5);
    for (int i = 2; i < l.n - 2; i++) {
        drop(t->s.a, t, l.places[i]);
        t->has[l.places[i]] = false;
    }
    commit(t->s.a);
}

/* In the transaction of a connection: by look-ups, along the tree, along the links of leaves. */
UNUSED static void
check_in(newt_conn *c, const shelf *t)
{
    newt__btree b;
    const newt__node *node;
    int_tree_cursor at = int_tree_range(c, int_tree_of(t->tree), NULL);
    int64_t n = 0, v, linked = 0;
    newt_ref r;

    check_tree(c, t->tree, &int_tree_class);
    for (int i = 0; i < END; i++) {
        assert_int_equal(get(c, t, i, &v), t->has[i]);
        if (!t->has[i])
            continue;
        assert_int_equal(v, i);
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, i);
        n++;
    }
    assert_int_equal(int_tree_next(&at), 0);
    assert_int_equal(int_tree_length(c, int_tree_of(t->tree)), n);
    b = opened(c, t);
    node = newt__descend(&b, NULL, 0, false, NULL);
    for (;; node = newt__node_read(&b, r, 0)) {
        assert_non_null(node);
        linked += newt__node_n(b.t, node);
        r = node->next_;
        if (newt_is_null(r))
            break;
    }
    assert_int_equal(linked, n);
}

/* With a cache that has nothing yet. */
UNUSED static void
check_shelf(const shelf *t)
{
    newt_db *db = store_db(&t->s, trees, (newt_options){0});
    newt_conn *c = connect_(db);

    begin(c);
    check_in(c, t);
    newt_close(c);
    newt_db_close(db);
}

UNUSED static void
close_shelf(shelf *t)
{
    check_shelf(t);
    store_close(&t->s);
}

/* Both transactions begin, so that each has all as it is now. */
UNUSED static void
begin_both(shelf *t)
{
    newt_ref missing = {INT64_MAX};

    begin(t->s.a);
    begin(t->s.b);
    ok(t->s.a, newt_prefetch(t->s.a, &missing, 1));
    ok(t->s.b, newt_prefetch(t->s.b, &missing, 1));
}

UNUSED static void
commit_both(shelf *t)
{
    commit(t->s.a);
    commit(t->s.b);
}

/* The second is refused. */
UNUSED static void
refuse_second(shelf *t)
{
    commit(t->s.a);
    assert_int_equal(newt_commit(t->s.b), NEWT_ECONFLICT);
}

#endif
