/*
 * roots.c - the named roots
 *
 * They are a map, oid 1, class newt.Root, made with the store: they are in the snapshot, in the
 * cache and in conflict detection like any other object.
 */
#include "object.h"

enum {
    ROOT_OID = 1
};

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
