/*
 * collection.c - lists, sets and maps of references that are objects of their own
 *
 * A set is kept by oid, which is the order that its record has.
 */
#include "object.h"

#include <string.h>

#define ITEM_SIZE(m) sizeof(*(m)->items.edit_)
#define VALUE_AT(m)  offsetof(__typeof__(*(m)->items.edit_), value)

/* ---- lists ------------------------------------------------------------------------------- */

int
newt_list_append(struct newt_list *l, newt_ref r)
{
    return newt_list_insert(l, l ? l->items.n : 0, r);
}

int
newt_list_insert(struct newt_list *l, size_t at, newt_ref r)
{
    newt_object *o = newt_list_obj(l);
    newt_ref *items;

    if (l && at > l->items.n)
        return newt_array_remove(o, &l->items, sizeof r, at, 0); /* refuses, with the reason */
    if (!l || !newt_array_grow(o, &l->items, sizeof r, 1))
        return newt__not_writable(o);
    items = l->items.edit_;
    memmove(items + at + 1, items + at, (l->items.n - 1 - at) * sizeof r);
    items[at] = r;
    return NEWT_OK;
}

int
newt_list_set(struct newt_list *l, size_t at, newt_ref r)
{
    newt_object *o = newt_list_obj(l);

    if (!newt__writable(o, l ? &l->items : NULL, false))
        return newt__not_writable(o);
    if (at >= l->items.n)
        return newt__refuse(newt__header_of(l), NEWT_EINVAL, &l->items, "has no such item to set");
    l->items.edit_[at] = r;
    return NEWT_OK;
}

int
newt_list_remove(struct newt_list *l, size_t at)
{
    newt_object *o = newt_list_obj(l);

    return l ? newt_array_remove(o, &l->items, sizeof(newt_ref), at, 1) : newt__not_writable(o);
}

int
newt_list_clear(struct newt_list *l)
{
    newt_object *o = newt_list_obj(l);

    return l ? newt_array_remove(o, &l->items, sizeof(newt_ref), 0, l->items.n)
             : newt__not_writable(o);
}

newt_ref
newt_list_get(const struct newt_list *l, size_t at)
{
    newt_ref none = {0};

    return l && at < l->items.n ? l->items.items[at] : none;
}

size_t
newt_list_find(const struct newt_list *l, newt_ref r)
{
    for (size_t i = 0; l && i < l->items.n; i++)
        if (l->items.items[i].oid == r.oid)
            return i;
    return SIZE_MAX;
}

/* ---- sets -------------------------------------------------------------------------------- */

/* Where an element is, or (false) would be. */
static bool
search(const struct newt_set *s, newt_ref r, size_t *at)
{
    size_t low = 0, high = s->items.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        /* a null, which only others can have put there, is recorded as the last */
        if ((uint64_t)s->items.items[middle].oid - 1 < (uint64_t)r.oid - 1)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < s->items.n && s->items.items[low].oid == r.oid;
}

bool
newt_set_add(struct newt_set *s, newt_ref r)
{
    newt_object *o = newt_set_obj(s);
    newt__header *h = newt__writable(o, s ? &s->items : NULL, false);
    newt_ref *items;
    size_t at;

    if (h && newt_is_null(r))
        newt__refuse(h, NEWT_EINVAL, &s->items, "cannot have a null reference as an element");
    if (!h || newt_is_null(r) || search(s, r, &at) || !newt_array_grow(o, &s->items, sizeof r, 1))
        return false;
    items = s->items.edit_;
    memmove(items + at + 1, items + at, (s->items.n - 1 - at) * sizeof r);
    items[at] = r;
    return true;
}

bool
newt_set_has(const struct newt_set *s, newt_ref r)
{
    size_t at;

    return s && search(s, r, &at);
}

bool
newt_set_remove(struct newt_set *s, newt_ref r)
{
    newt_object *o = newt_set_obj(s);
    size_t at;

    return newt__writable(o, s ? &s->items : NULL, false) && search(s, r, &at) &&
           newt_array_remove(o, &s->items, sizeof r, at, 1) == NEWT_OK;
}

int
newt_set_clear(struct newt_set *s)
{
    newt_object *o = newt_set_obj(s);

    return s ? newt_array_remove(o, &s->items, sizeof(newt_ref), 0, s->items.n)
             : newt__not_writable(o);
}

/* ---- maps -------------------------------------------------------------------------------- */

int
newt_map_put(struct newt_map *m, const char *key, newt_ref r)
{
    newt_object *o = newt_map_obj(m);
    newt_ref *value = m ? newt_map_put_(o, &m->items, ITEM_SIZE(m), VALUE_AT(m), key,
                                        key ? strlen(key) : 0)
                        : NULL;

    if (!value)
        return newt__not_writable(o);
    *value = r;
    return NEWT_OK;
}

static const newt_ref *
find(const struct newt_map *m, const char *key)
{
    return m ? newt_map_find_(&m->items, ITEM_SIZE(m), VALUE_AT(m), key, SIZE_MAX) : NULL;
}

newt_ref
newt_map_get(const struct newt_map *m, const char *key)
{
    const newt_ref *value = find(m, key);
    newt_ref none = {0};

    return value ? *value : none;
}

bool
newt_map_has(const struct newt_map *m, const char *key)
{
    return find(m, key) != NULL;
}

bool
newt_map_remove(struct newt_map *m, const char *key)
{
    return m && newt_map_remove_(newt_map_obj(m), &m->items, ITEM_SIZE(m), key, SIZE_MAX);
}

int
newt_map_clear(struct newt_map *m)
{
    newt_object *o = newt_map_obj(m);

    return m ? newt_array_remove(o, &m->items, ITEM_SIZE(m), 0, m->items.n) : newt__not_writable(o);
}
