/*
 * registry.c - which indexes a store has, and their trees
 */
#include "index.h"

static const char root_name[] = "newt.indexes";

NEWT_CLASS(newt__index_state, "newt.Index", 1, NULL, NEWT_FIELD(struct newt__index_state, name),
           NEWT_FIELD(struct newt__index_state, class_name, .as = "class"),
           NEWT_FIELD(struct newt__index_state, definition),
           NEWT_FIELD(struct newt__index_state, tree), NEWT_FIELD(struct newt__index_state, after));
/* Not counted: writers would meet in the counters. A node is changed far more often than read from
 * the store, and in PostgreSQL a record that is larger than a quarter of a page is compressed and
 * goes to a table of its own: four times the time of a commit. */
NEWT_BTREE(newt__index_node, "newt.IndexNode", NEWT_VALUES(newt__index_node), .not_counted = true,
           .node_bytes = 1700);

const newt__class_index *
newt__index_of(newt__jar *c, const newt_index *table)
{
    const newt__class *k = table && table->size == sizeof *table
                               ? newt__class_find(c->classes, table->class_)
                               : NULL;

    for (uint32_t i = 0; k && i < k->n_indexes; i++)
        if (k->indexes[i].table == table)
            return &k->indexes[i];
    /* that of a class that was given twice */
    for (uint32_t i = 0; k && i < k->n_indexes; i++)
        if (strcmp(k->indexes[i].name, table->name) == 0)
            return &k->indexes[i];
    newt__base_fail(&c->base, NEWT_ECLASS, 0, "index \"%s\" is none of this database's classes",
                    table && table->size == sizeof *table ? table->name : "");
    newt__fail_hint(&c->base.error, "List it in newt_hooks.indexes of its class.");
    return NULL;
}

/* ---- finding ------------------------------------------------------------------------------ */

/* What a map refers to under a name: 0: nothing. Negative: the map cannot be read. */
static int
find_in(newt_conn *c, newt_ref map, const newt_class *k, const char *name, newt_ref *out)
{
    const void *m = newt_read(c, map, k);

    *out = (newt_ref){0};
    if (!m)
        return newt__jar_of(c)->base.error.status;
    *out = newt_map_get(m, name);
    newt_done(m);
    return !newt_is_null(*out);
}

int
newt__index_state_find(newt__jar *c, const char *name, newt_ref *out)
{
    newt_conn *conn = newt__conn_of(c);
    newt_ref root = {NEWT__ROOT}, map;
    int found = find_in(conn, root, &newt__root_class, root_name, &map);

    *out = (newt_ref){0};
    return found == 1 ? find_in(conn, map, &newt_map_class, name, out) : found;
}

static int
fail_missing(newt__jar *c, const newt__class_index *x)
{
    newt_error e = {0};

    newt__fail(&e, NEWT_EMISSING, 0, "the store does not have the index \"%s\"", x->name);
    newt__fail_class(&e, x->class->name, x->class->name_n);
    newt__fail_hint(&e, "Call newt_index_build when the program starts.");
    return newt__base_fail_with(&c->base, &e);
}

static int
fail_differs(newt__jar *c, const newt__class_index *x)
{
    newt_error e = {0};

    newt__fail(&e, NEWT_ECLASS, 0, "the store has the index \"%s\" with another definition",
               x->name);
    newt__fail_class(&e, x->class->name, x->class->name_n);
    newt__fail_detail(&e, "Its class, fields, kinds, unique or where differ.");
    newt__fail_hint(&e, "Give it another name, or call newt_index_build with rebuild when no "
                        "program with the other definition is left.");
    return newt__base_fail_with(&c->base, &e);
}

int
newt__index_tree_find(newt__jar *c, const newt__class_index *x, newt__index_tree *out)
{
    const struct newt__index_state *s;
    int found = newt__index_state_find(c, x->name, &out->state);
    bool differs;

    if (found != 1)
        return found == 0 ? fail_missing(c, x) : found;
    s = newt_read(newt__conn_of(c), out->state, &newt__index_state_class);
    if (!s)
        return c->base.error.status;
    differs = !s->definition.s || !newt__index_is(x, s->definition.s) || !s->class_name.s ||
              newt__class_named(c->classes, s->class_name.s, s->class_name.n) != x->class;
    out->tree = s->tree;
    out->filled = newt_is_null(s->after);
    newt__index_state_done(s);
    return differs ? fail_differs(c, x) : NEWT_OK;
}

/* ---- making ------------------------------------------------------------------------------- */

static int
broken(newt__jar *c)
{
    return newt__base_break(&c->base);
}

/* Adds the state to the map, which is made if there is none. */
static int
list_state(newt__jar *c, const char *name, newt_ref state)
{
    newt_conn *conn = newt__conn_of(c);
    newt_ref r = newt_root(conn, root_name);
    struct newt_map *map = newt_is_null(r) ? newt_new(conn, &newt_map_class)
                                           : newt_write(conn, r, &newt_map_class);
    int status;

    if (!map)
        return broken(c);
    status = newt_map_put(map, name, state);
    if (status == NEWT_OK && newt_is_null(r))
        status = newt_set_root(conn, root_name, newt_map_id(map).any);
    newt_map_done(map);
    return status;
}

int
newt__index_register(newt__jar *c, const newt__class_index *x)
{
    newt_conn *conn = newt__conn_of(c);
    newt_ref r, tree;
    struct newt_length *after;
    struct newt__index_state *s;
    int found = newt__index_state_find(c, x->name, &r), status = NEWT_OK;

    if (found < 0)
        return broken(c);
    tree = newt_btree_create(conn, &newt__index_node_class);
    after = newt_new(conn, &newt_length_class);
    s = found ? newt_write(conn, r, &newt__index_state_class)
              : newt_new(conn, &newt__index_state_class);
    if (!s || !after || newt_is_null(tree)) {
        newt_length_done(after);
        newt__index_state_done(s);
        return broken(c);
    }
    if (!newt_is_null(s->tree))
        status = newt_btree_delete(conn, s->tree, &newt__index_node_class);
    if (status == NEWT_OK && !newt_is_null(s->after))
        status = newt_delete(conn, s->after);
    s->tree = tree;
    s->after = newt_length_id(after).any;
    newt_set(s, name, x->name);
    newt_set(s, class_name, x->class->name);
    newt_set(s, definition, x->definition);
    if (status == NEWT_OK && !found)
        status = list_state(c, x->name, newt__index_state_id(s).any);
    newt_length_done(after);
    newt__index_state_done(s);
    return status == NEWT_OK && newt__base_is_over(&c->base) ? c->base.error.status : status;
}

int
newt_index_forget(newt_conn *conn, const char *name)
{
    newt__jar *c = newt__jar_of(conn);
    const struct newt__index_state *s;
    struct newt_map *map;
    newt_ref r;
    int found = newt__base_enter(&c->base), status;

    if (found != NEWT_OK)
        return found;
    found = newt__index_state_find(c, name ? name : "", &r);
    if (found == 0)
        newt__base_fail(&c->base, NEWT_EMISSING, 0, "the store does not have the index \"%s\"",
                        name ? name : "");
    s = found == 1 ? newt_read(conn, r, &newt__index_state_class) : NULL;
    if (!s)
        return broken(c);
    status = newt_btree_delete(conn, s->tree, &newt__index_node_class);
    if (status == NEWT_OK && !newt_is_null(s->after))
        status = newt_delete(conn, s->after);
    newt__index_state_done(s);
    if (status == NEWT_OK)
        status = newt_delete(conn, r);
    map = status == NEWT_OK ? newt_write(conn, newt_root(conn, root_name), &newt_map_class) : NULL;
    if (!map)
        return broken(c);
    newt_map_remove(map, name);
    newt_map_done(map);
    return NEWT_OK;
}
