/*
 * access.c - objects for the program: new, read, write, edit, done, delete
 */
#include "object.h"

#include <string.h>

/* Why an object cannot be read as class k. A broken one is decoded once more, to hear the reason;
 * if it works by now (memory, an upgrade hook), the object takes its place. */
static newt__header *
explain(newt__jar *c, newt__header *h, const newt_class *table)
{
    const newt__class *k = newt__class_find(c->classes, table);
    const newt_bag *bag = h->bag ? newt__object_of(h) : NULL;
    newt_error e = {0};
    newt__header *image;

    if (!k) {
        newt__header_fail(h, NEWT_ECLASS, "class \"%s\" is not one of this database",
                          table && table->name ? table->name : "");
        newt__fail_hint(&c->base.error, "List its table in the classes of newt_db_open.");
        return NULL;
    }
    if (!bag || (bag->class_name &&
                 newt__class_named(c->classes, bag->class_name, strlen(bag->class_name)) != k)) {
        newt__header_fail(h, NEWT_ECLASS, "object %lld is of class \"%s\", not \"%s\"",
                          (long long)h->oid, newt__header_class(h), k->name);
        return NULL;
    }
    if (newt__header_pinned(h)) {
        newt__header_fail(h, NEWT_EBUSY, "%s %lld is in use as a bag", k->name, (long long)h->oid);
        newt__fail_hint(&c->base.error, "Call newt_bag_done first.");
        return NULL;
    }
    if (newt__image_make(c, k, h->oid, h->record, h->record_n, &image, &e) != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        return NULL;
    }
    image->current = h->current;
    image->serial = h->serial;
    image->state = NEWT__UPTODATE;
    if (newt__cache_put(c, image) != NEWT_OK) {
        newt__header_free(image);
        newt__fail_memory(&e);
        newt__base_fail_with(&c->base, &e);
        return NULL;
    }
    return image;
}

static newt__header *
find_as(newt__jar *c, newt_ref r, newt__event event, const newt_class *table)
{
    newt__header *h = newt__object_find(c, r, event);

    if (!h)
        return NULL;
    if (!h->class ||
        (h->class->table != table && newt__class_find(c->classes, table) != h->class)) {
        h = explain(c, h, table);
        if (!h)
            return NULL;
        newt__object_use(h);
    }
    h->read_as = table;
    return h;
}

/* ---- the public functions ---------------------------------------------------------------- */

void *
newt_new(newt_conn *conn, const newt_class *table)
{
    newt__jar *c = newt__jar_of(conn);
    const newt__class *k;
    newt__header *h;
    newt_error e = {0};
    int64_t oid;

    if (newt__base_enter(&c->base) != NEWT_OK)
        return NULL;
    k = newt__class_find(c->classes, table);
    if (!k || !k->stored || table == &newt__root_class) {
        newt__base_fail(&c->base, NEWT_ECLASS, 0, "class \"%s\" is not one of this database%s",
                        table && table->name ? table->name : "",
                        k ? ", but only embedded in others" : "");
        newt__fail_hint(&c->base.error, "List its table in the classes of newt_db_open.");
        return NULL;
    }
    if (newt__next_oid(c, &oid) != NEWT_OK)
        return NULL;
    h = newt__header_make(c, k->size);
    if (!h) {
        newt__fail_memory(&e);
        newt__base_fail_with(&c->base, &e);
        return NULL;
    }
    memcpy(newt__object_of(h), k->blank, k->size);
    h->class = k;
    if (newt__object_add(c, h, oid) != NEWT_OK) {
        newt__header_free(h);
        return NULL;
    }
    return newt__object_of(h);
}

/* What newt_read does not know, or not any more. */
static __attribute__((noinline)) const void *
read_slowly(newt__jar *c, newt_ref r, const newt_class *table)
{
    newt__header *h = find_as(c, r, NEWT__ON_READ, table);

    if (!h)
        return NULL;
    newt__object_pin(h);
    return newt__object_of(h);
}

const void *
newt_read(newt_conn *conn, newt_ref r, const newt_class *table)
{
    newt__jar *c = newt__jar_of(conn);
    const newt__slot *slots = c->quick;
    newt__header *h;
    size_t i;

    if (NEWT__SELDOM(!slots || !*c->base.here))
        return read_slowly(c, r, table);
    i = newt__cache_home(&c->cache, r.oid);
    while (NEWT__SELDOM(slots[i].oid != r.oid) && slots[i].h)
        i = newt__cache_next(&c->cache, i);
    h = slots[i].h;
    /* used before, in this transaction and of late, as this class: all has been looked at then */
    if (NEWT__SELDOM(!h || !table || h->used != c->now || h->read_as != table))
        return read_slowly(c, r, table);
    newt__object_pin(h);
    return newt__object_of(h);
}

void *
newt_write(newt_conn *conn, newt_ref r, const newt_class *table)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h = find_as(c, r, NEWT__ON_WRITE, table);

    if (!h || newt__object_change(h) != NEWT_OK)
        return NULL;
    newt__object_pin(h);
    newt__cache_sweep(c);
    return newt__object_of(h);
}

void *
newt_edit(const newt_object *o)
{
    newt__header *h = o ? newt__header_of(o) : NULL;
    newt__jar *c;

    if (!h || newt__base_enter(&h->jar->base) != NEWT_OK)
        return NULL;
    c = h->jar;
    if (h->state == NEWT__IMAGE || h->epoch != c->epoch) {
        newt__header_fail(h, NEWT_EINVAL,
                          h->state == NEWT__IMAGE ? "a detached image cannot be edited"
                                                  : "the pointer is of an earlier transaction");
        return NULL;
    }
    if (newt__next_state(h->state, NEWT__ON_WRITE) == NEWT__REFUSED) {
        newt__header_fail(h, NEWT_EMISSING, "%s %lld has been deleted in this transaction",
                          newt__header_class(h), (long long)h->oid);
        return NULL;
    }
    return newt__object_change(h) == NEWT_OK ? newt__object_of(h) : NULL;
}

void
newt_done(const newt_object *o)
{
    newt__header *h = o ? newt__header_of(o) : NULL;

    if (h && h->pins > 0) /* pins of an earlier transaction do not count, so one less is as good */
        h->pins--;
}

newt_ref
newt_ref_of(const newt_object *o)
{
    newt_ref r = {o ? newt__header_of(o)->oid : 0};

    return r;
}

newt_conn *
newt_conn_of(const newt_object *o)
{
    const newt__header *h = o ? newt__header_of(o) : NULL;

    return h && h->state != NEWT__IMAGE ? newt__conn_of(h->jar) : NULL;
}

int
newt_delete(newt_conn *conn, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    int status = newt__base_enter(&c->base);
    newt__header *h;

    if (status != NEWT_OK)
        return status;
    h = newt__object_find(c, r, NEWT__ON_DELETE);
    if (!h) {
        if (c->base.error.status != NEWT_EMISSING)
            newt__base_break(&c->base);
        return c->base.error.status;
    }
    if (h->class && h->class->table == &newt__root_class) {
        newt__header_fail(h, NEWT_EINVAL, "the root cannot be deleted");
        return newt__base_break(&c->base);
    }
    h->state = (uint8_t)newt__next_state(h->state, NEWT__ON_DELETE);
    h->read_as = NULL; /* the next newt_read will see the state */
    newt__object_list(h);
    return NEWT_OK;
}

const char *
newt_class_name(newt_conn *conn, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h = newt__object_find(c, r, NEWT__ON_READ);
    const newt_bag *bag;

    if (!h)
        return NULL;
    if (h->class)
        return h->class->name;
    bag = newt__object_of(h);
    if (bag->class_name)
        return newt__class_present(c->classes, bag->class_name, strlen(bag->class_name));
    newt__header_fail(h, NEWT_EBROKEN, "the record of object %lld is damaged", (long long)h->oid);
    return NULL;
}

/* That an object is not there is no failure here: the connection's error stays. */
int
newt_weak_alive(newt_conn *conn, newt_weak w, bool *alive)
{
    newt__jar *c = newt__jar_of(conn);
    int status = newt__base_enter(&c->base);
    newt__header *h = NULL;

    *alive = false;
    if (status == NEWT_OK && w.oid < 0)
        status = newt__base_fail(&c->base, NEWT_EINVAL, 0, "a reference has a negative oid: %lld",
                                 (long long)w.oid);
    if (status == NEWT_OK)
        status = newt__load(c, &w.oid, 1);
    if (status == NEWT_OK && w.oid > 0)
        h = newt__cache_find(&c->cache, w.oid);
    if (h && newt__next_state(h->state, NEWT__ON_READ) != NEWT__REFUSED) {
        newt__object_use(h);
        *alive = true;
    }
    return status;
}
