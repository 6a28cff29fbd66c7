/*
 * entry.c - entries of an index: put in, removed, and what a unique one refuses
 */
#include "index.h"

#include <stdlib.h>

static int
broken(newt__jar *c)
{
    return newt__base_break(&c->base);
}

int
newt__index_remove(newt__jar *c, const newt__class_index *x, const newt__index_tree *tree,
                   newt_bytes key, int64_t oid)
{
    newt_conn *conn = newt__conn_of(c);
    newt_ref there = {oid};
    int found = x->unique ? newt_btree_get(conn, tree->tree, &newt__index_node_class, &key, &there)
                          : 1;

    if (found == 1)
        found = there.oid == oid
                    ? newt_btree_pop(conn, tree->tree, &newt__index_node_class, &key, NULL)
                    : 0;
    /* who fills the index may be putting it in: one of the two is to fail */
    if (found == 0 && !tree->filled)
        found = newt_btree_read_current(conn, tree->tree, &newt__index_node_class, &key);
    return found < 0 ? broken(c) : found;
}

/* ---- what is there already ----------------------------------------------------------------- */

int
newt__index_has_key(newt__jar *c, const newt__class_index *x, newt_bytes key, newt_ref other)
{
    const void *object = newt_read(newt__conn_of(c), other, x->class->table);
    newt__index_key own;
    int status;

    if (!object) {
        status = c->base.error.status;
        if (newt__base_is_over(&c->base) || status == NEWT_ENOMEM)
            return status;
        newt__error_clear(&c->base.error); /* removed, or no such object */
        return 0;
    }
    status = newt__index_key_of(x, other.oid, object, &own);
    newt_done(object);
    return status == NEWT_OK && !own.absent && own.n == key.n &&
           memcmp(own.bytes, key.p, key.n) == 0;
}

static int
refuse(newt__jar *c, const newt__class_index *x, int64_t oid, newt_ref other)
{
    newt_error e = {0};

    newt__fail(&e, NEWT_EUNIQUE, oid,
               "%s %lld and %lld have the same key, which the index \"%s\" has once",
               x->class->name, (long long)oid, (long long)other.oid, x->name);
    newt__fail_class(&e, x->class->name, x->class->name_n);
    memcpy(e.sqlstate, "23505", sizeof e.sqlstate);
    e.constraint = strdup(x->name);
    return newt__base_fail_with(&c->base, &e);
}

int
newt__index_insert(newt__jar *c, const newt__class_index *x, const newt__index_tree *tree,
                   newt_bytes key, int64_t oid)
{
    newt_conn *conn = newt__conn_of(c);
    newt_ref own = {oid}, there;
    int status = newt_btree_insert(conn, tree->tree, &newt__index_node_class, &key, &own);

    if (status != 0)
        return status == 1 ? 1 : broken(c);
    status = newt_btree_get(conn, tree->tree, &newt__index_node_class, &key, &there);
    if (status != 1)
        return broken(c);
    if (there.oid == oid) { /* newt_index_check may be removing it */
        status = newt_btree_read_current(conn, tree->tree, &newt__index_node_class, &key);
        return status == NEWT_OK ? 0 : broken(c);
    }
    status = newt__index_has_key(c, x, key, there);
    if (status == 1)
        status = refuse(c, x, oid, there);
    /* what a program that does not know the index has left */
    if (status == 0)
        status = newt_btree_put(conn, tree->tree, &newt__index_node_class, &key, &own);
    return status == NEWT_OK ? 1 : broken(c);
}
