/*
 * merge.c - whether objects that a resolver merges are where the trees have them
 *
 * Each side has put the trees right for the key that it has made. If one side alone has changed the
 * key, the trees are merged to have that side's key, so the merged object must have it, too. If
 * both have, the object would be there twice.
 */
#include "index.h"

static bool
key_of(const newt__class_index *x, const newt__header *h, newt__index_key *out)
{
    return newt__index_key_of(x, h->oid, (const char *)h + NEWT__HEADER, out) == NEWT_OK;
}

bool
newt__index_may_merge(const newt__class *k, const newt__header *old, const newt__header *committed,
                      const newt__header *before, const newt__header *after)
{
    for (uint32_t i = 0; i < k->n_indexes; i++) {
        const newt__class_index *x = &k->indexes[i];
        newt__index_key was, theirs, ours, merged;

        if (!key_of(x, old, &was) || !key_of(x, committed, &theirs) || !key_of(x, before, &ours) ||
            !key_of(x, after, &merged))
            return false;
        if (!(newt__index_key_same(&theirs, &was) && newt__index_key_same(&merged, &ours)) &&
            !(newt__index_key_same(&ours, &was) && newt__index_key_same(&merged, &theirs)))
            return false;
    }
    return true;
}
