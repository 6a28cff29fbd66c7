/*
 * collection.c - lists and maps of references that are objects of their own, and the named roots
 *
 * The roots are a map too, oid 1, class newt.Root, made with the store: they are in the snapshot,
 * in the cache and in conflict detection like any other object.
 */
#include "object.h"

#include <string.h>

enum {
    ROOT_OID = 1
};

#define ITEM_SIZE(m) sizeof(*(m)->items.edit_)
#define VALUE_AT(m)  offsetof(__typeof__(*(m)->items.edit_), value)

/* ---- lists ------------------------------------------------------------------------------- */

int
newt_list_append(struct newt_list *l, newt_ref r)
{
    return newt_list_insert(l, l->items.n, r);
}

int
newt_list_insert(struct newt_list *l, size_t at, newt_ref r)
{
    newt_object *o = newt_list_obj(l);
    newt_ref *items;

    if (at > l->items.n)
        return newt_array_remove(o, &l->items, sizeof r, at, 0); /* refuses, with the reason */
    if (!newt_array_grow(o, &l->items, sizeof r, 1))
        return newt__header_of(l)->jar->base.error.status;
    items = l->items.edit_;
    memmove(items + at + 1, items + at, (l->items.n - 1 - at) * sizeof r);
    items[at] = r;
    return NEWT_OK;
}

int
newt_list_remove(struct newt_list *l, size_t at)
{
    return newt_array_remove(newt_list_obj(l), &l->items, sizeof(newt_ref), at, 1);
}

/* ---- maps -------------------------------------------------------------------------------- */

int
newt_map_put(struct newt_map *m, const char *key, newt_ref r)
{
    newt_ref *value = newt_map_put_(newt_map_obj(m), &m->items, ITEM_SIZE(m), VALUE_AT(m), key,
                                    key ? strlen(key) : 0);

    if (!value)
        return newt__header_of(m)->jar->base.error.status;
    *value = r;
    return NEWT_OK;
}

newt_ref
newt_map_get(const struct newt_map *m, const char *key)
{
    const newt_ref *value = newt_map_find_(&m->items, ITEM_SIZE(m), VALUE_AT(m), key,
                                           key ? strlen(key) : 0);
    newt_ref none = {0};

    return value ? *value : none;
}

bool
newt_map_remove(struct newt_map *m, const char *key)
{
    return newt_map_remove_(newt_map_obj(m), &m->items, ITEM_SIZE(m), key, key ? strlen(key) : 0);
}

/* ---- named roots ------------------------------------------------------------------------- */

newt_ref
newt_root(newt_conn *conn, const char *name)
{
    newt_ref root = {ROOT_OID}, none = {0};
    const struct newt_map *m = newt_read(conn, root, &newt__root_class);

    if (!m)
        return none;
    newt_done((const newt_object *)m);
    return newt_map_get(m, name);
}

int
newt_set_root(newt_conn *conn, const char *name, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    newt_ref root = {ROOT_OID};
    struct newt_map *m;
    int status = NEWT_OK;

    if (!name || !*name) {
        newt__base_fail(&c->base, NEWT_EINVAL, r.oid, "a root has no name");
        return newt__base_break(&c->base);
    }
    m = newt_write(conn, root, &newt__root_class);
    if (!m)
        return newt__base_break(&c->base);
    if (newt_is_null(r))
        newt_map_remove(m, name);
    else
        status = newt_map_put(m, name, r);
    newt_done((const newt_object *)m);
    return status;
}
