/*
 * merge_keys.c - resolvers of maps and sets: by key, and by element
 *
 * As ZODB's buckets do it. What one side alone has done with a key counts. What both have put or
 * removed is a conflict, even alike: each may have been told that the key was new, or was there,
 * and have gone on from that.
 */
#include "object.h"

#define ITEM_SIZE(m) sizeof(*(m)->items.edit_)
#define VALUE_AT(m)  offsetof(__typeof__(*(m)->items.edit_), value)

/* ---- maps -------------------------------------------------------------------------------- */

static const newt_ref *
find(const struct newt_map *m, const newt_text *key)
{
    return newt_map_find_(&m->items, ITEM_SIZE(m), VALUE_AT(m), key->s, key->n);
}

/* NULL: the key is not there. */
static bool
same(const newt_ref *a, const newt_ref *b)
{
    return a && b ? a->oid == b->oid : a == b;
}

/* Others had `was` at the key, and have `now`. */
static int
take(struct newt_map *ours, const newt_text *key, const newt_ref *was, const newt_ref *now)
{
    newt_object *o = newt_map_obj(ours);
    newt_ref *value;

    if (same(was, now))
        return 0;
    if (!same(was, find(ours, key)))
        return 1;
    if (!now)
        return newt_map_remove_(o, &ours->items, ITEM_SIZE(ours), key->s, key->n) ? 0 : NEWT_ENOMEM;
    value = newt_map_put_(o, &ours->items, ITEM_SIZE(ours), VALUE_AT(ours), key->s, key->n);
    if (!value)
        return NEWT_ENOMEM;
    *value = *now;
    return 0;
}

int
newt__merge_map(const void *old, const void *committed, void *ours, void *arg)
{
    const struct newt_map *before = old, *theirs = committed;
    int status = 0;

    (void)arg;
    for (uint32_t i = 0; i < theirs->items.n && status == 0; i++) {
        const newt_text *key = &theirs->items.items[i].key;

        status = take(ours, key, find(before, key), &theirs->items.items[i].value);
    }
    for (uint32_t i = 0; i < before->items.n && status == 0; i++) {
        const newt_text *key = &before->items.items[i].key;

        if (!find(theirs, key))
            status = take(ours, key, &before->items.items[i].value, NULL);
    }
    return status;
}

/* ---- sets -------------------------------------------------------------------------------- */

/* What of `from` is not in `less` has been added by others, or (removed) taken away. */
static int
take_elements(struct newt_set *ours, const struct newt_set *from, const struct newt_set *less,
              bool removed)
{
    for (uint32_t i = 0; i < from->items.n; i++) {
        newt_ref r = from->items.items[i];

        if (newt_set_has(less, r))
            continue;
        if (newt_set_has(ours, r) != removed)
            return 1;
        if (!(removed ? newt_set_remove : newt_set_add)(ours, r))
            return NEWT_ENOMEM;
    }
    return 0;
}

int
newt__merge_set(const void *old, const void *committed, void *ours, void *arg)
{
    int status = take_elements(ours, committed, old, false);

    (void)arg;
    return status == 0 ? take_elements(ours, old, committed, true) : status;
}
