/*
 * store_ref.c - references to objects of other stores: made, and followed within transactions that
 * end together
 */
#include "transaction.h"

#include <string.h>

int
newt_store_ref_set(newt_object *o, newt_store_ref *f, const newt_conn *of, newt_ref r)
{
    newt__header *h = newt__writable(o, f, false);
    const char *name = of ? of->db->options.store_name : NULL;
    bool null = !of || r.oid == 0;
    int status;

    if (!h)
        return newt__not_writable(o);
    if (!null && !name) {
        newt__refuse(h, NEWT_EINVAL, f, "was given an object of a store that has no name");
        newt__fail_hint(&h->jar->base.error, "newt_options.store_name names it in newt_db_open().");
        return NEWT_EINVAL;
    }
    if (r.oid < 0)
        return newt__refuse(h, NEWT_EINVAL, f, "was given a negative oid");
    status = newt_text_set(o, &f->store, null ? NULL : name);
    if (status == NEWT_OK)
        f->oid = null ? 0 : r.oid;
    return status;
}

static bool
is_named(const newt_conn *c, newt_text name)
{
    const char *own = c->db->options.store_name;

    return own && strlen(own) == name.n && memcmp(own, name.s, name.n) == 0;
}

newt_conn *
newt__joined_store(newt_conn *c, newt_text name)
{
    newt_conn *found = c->leader ? c->leader : c;

    if (is_named(found, name))
        return found;
    for (found = found->followers; found && !is_named(found, name); found = found->next_follower)
        ;
    return found;
}

newt_conn *
newt_store_ref_conn(newt_conn *c, newt_store_ref r)
{
    newt_conn *found;

    if (newt__base_enter(&c->jar.base) != NEWT_OK)
        return NULL;
    if (!r.store.s) {
        newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "a null reference to another store");
        return NULL;
    }
    found = newt__joined_store(c, r.store);
    if (!found) {
        newt__base_fail(&c->jar.base, NEWT_EMISSING, r.oid,
                        "no transaction of store \"%.*s\" ends with this one", (int)r.store.n,
                        r.store.s);
        newt__fail_hint(&c->jar.base.error,
                        "newt_join_conn() lets it end with this one; the name is that of "
                        "newt_options.store_name.");
    }
    return found;
}
