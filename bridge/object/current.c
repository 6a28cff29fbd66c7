/*
 * current.c - objects that were only read, but must be current at commit
 */
#include "object.h"

#include <stdlib.h>

enum {
    MOST_CURRENT = 10000 /* their serials may be compared under a lock that all commits take */
};

int
newt_read_current(newt_conn *conn, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h;
    int status = newt__base_enter(&c->base);

    if (status != NEWT_OK)
        return status;
    h = newt__object_find(c, r, NEWT__ON_READ);
    if (!h)
        return newt__base_break(&c->base);
    if (h->serial == 0 || h->current)
        return NEWT_OK;
    if (c->n_current == MOST_CURRENT) {
        newt__base_fail(&c->base, NEWT_ELIMIT, r.oid,
                        "more than %d objects are to be current at commit", MOST_CURRENT);
        return newt__base_break(&c->base);
    }
    if (c->n_current == c->cap_current) {
        size_t cap = c->cap_current ? 2 * c->cap_current : 16;
        newt__current *more = realloc(c->current, cap * sizeof *more);

        if (!more) {
            newt__fail_memory(&c->base.error);
            return newt__base_break(&c->base);
        }
        c->current = more;
        c->cap_current = cap;
    }
    c->current[c->n_current++] = (newt__current){h->oid, h->serial};
    h->current = true;
    return NEWT_OK;
}

bool
newt__current_only_read(newt__jar *c, size_t i)
{
    const newt__current *x = &c->current[i];
    const newt__header *h = newt__cache_find(&c->cache, x->oid);

    return h ? !h->written && !h->saved : !newt__is_spilled(c, x->oid);
}
