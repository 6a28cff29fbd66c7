/*
 * flush.c - trees put right: what the objects that were changed are to be found under now
 *
 * First everything is collected that is to leave a tree or to come into one, then all of it leaves,
 * and then comes in: so two objects may swap what is unique. It goes in the order of the keys,
 * which meets each node once.
 */
#include "index.h"

#include <stdlib.h>

/* One entry. */
typedef struct entry {
    const newt__class_index *x;
    size_t tree; /* in the list of trees */
    size_t at;   /* of the key, in the bytes of all */
    newt_bytes key;
    int64_t oid;
} entry;

typedef struct entries {
    entry *list;
    size_t n, cap;
} entries;

typedef struct opened {
    const newt__class_index *x;
    newt__index_tree tree;
} opened;

typedef struct flush {
    newt__jar *c;
    bool last;
    entries leave, come;
    newt__buffer keys; /* of all entries */
    newt__buffer note; /* of one object, as it was noted, and as it is to be */
    newt__buffer next_note;
    opened *trees;
    size_t n_trees, cap_trees;
} flush;

static int
no_memory(newt__jar *c)
{
    return newt__base_fail_memory(&c->base);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool
grow(void *list, size_t *cap, size_t n, size_t size)
{
    size_t more = *cap ? *cap * 2 : 16;
    void **at = list, *p;

    if (n < *cap)
        return true;
    p = more < SIZE_MAX / 2 / size ? realloc(*at, more * size) : NULL;
    if (p) {
        *at = p;
        *cap = more;
    }
    return p != NULL;
}

static int
add_entry(flush *f, entries *l, const newt__class_index *x, size_t tree, const newt__index_key *key,
          int64_t oid)
{
    if (!grow(&l->list, &l->cap, l->n, sizeof *l->list))
        return no_memory(f->c);
    l->list[l->n++] = (entry){x, tree, f->keys.n, {NULL, key->n, 0}, oid};
    return newt__buffer_append(&f->keys, key->bytes, key->n) ? NEWT_OK : no_memory(f->c);
}

/* The place of an index among those that are open. */
static int
open_tree(flush *f, const newt__class_index *x, size_t *place)
{
    for (*place = 0; *place < f->n_trees; ++*place)
        if (f->trees[*place].x == x)
            return NEWT_OK;
    if (!grow(&f->trees, &f->cap_trees, f->n_trees, sizeof *f->trees))
        return no_memory(f->c);
    f->trees[f->n_trees++].x = x;
    return newt__index_tree_find(f->c, x, &f->trees[*place].tree);
}

/* ---- notes: the keys of an object, each with its length in front -------------------------------
 */

enum {
    ABSENT = UINT16_MAX /* as a length */
};

static bool
write_key(newt__buffer *b, const newt__index_key *key)
{
    uint16_t n = key->absent ? ABSENT : key->n;

    return newt__buffer_append(b, &n, sizeof n) &&
           (key->absent || newt__buffer_append(b, key->bytes, key->n));
}

/* The notes are this process's own. */
static void
read_key(const newt__buffer *b, size_t *at, newt__index_key *key)
{
    uint16_t n;

    memcpy(&n, b->data + *at, sizeof n);
    *at += sizeof n;
    key->absent = n == ABSENT;
    key->n = key->absent ? 0 : n;
    memcpy(key->bytes, b->data + *at, key->n);
    *at += key->n;
}

/* A failure of the file. */
static int
lose(flush *f, newt_error *e)
{
    newt__base_fail_with(&f->c->base, e);
    return newt__base_doom(&f->c->base);
}

/* ---- one object ------------------------------------------------------------------------------ */

static int
refuse_long(flush *f, const newt__header *h, const newt__class_index *x)
{
    char name[NEWT__NAME_SIZE];

    newt__header_fail(h, NEWT_ELIMIT, "the key of %s for the index \"%s\" is longer than %d bytes",
                      newt__header_name(h, name), x->name, NEWT_INDEX_KEY);
    return f->c->base.error.status;
}

/* h: the object; NULL: it has been made and deleted. old: as it was loaded; NULL: it was not in the
 * store. */
static int
compare(flush *f, const newt__class *k, int64_t oid, const newt__header *h, const void *old,
        const void *now, bool noted)
{
    newt__index_key before, after;
    size_t at = sizeof k, tree;
    bool changed = false;
    newt_error e = {0};

    f->next_note.n = 0;
    if (!newt__buffer_append(&f->next_note, &k, sizeof k))
        return no_memory(f->c);
    for (uint32_t i = 0; i < k->n_indexes; i++) {
        const newt__class_index *x = &k->indexes[i];
        int status = open_tree(f, x, &tree);

        if (status != NEWT_OK)
            return status;
        if (newt__index_key_of(x, oid, now, &after) != NEWT_OK)
            return refuse_long(f, h, x);
        if (noted)
            read_key(&f->note, &at, &before);
        else if (newt__index_key_of(x, oid, old, &before) != NEWT_OK)
            before.absent = true;
        if (!f->last && !write_key(&f->next_note, &after))
            return no_memory(f->c);
        if (newt__index_key_same(&before, &after))
            continue;
        changed = true;
        if (!before.absent)
            status = add_entry(f, &f->leave, x, tree, &before, oid);
        if (status == NEWT_OK && !after.absent)
            status = add_entry(f, &f->come, x, tree, &after, oid);
        if (status != NEWT_OK)
            return status;
    }
    if (!changed || f->last)
        return NEWT_OK;
    return newt__spill_note(&f->c->spill, oid, (uint16_t)(f->c->savepoints + 1), f->next_note.data,
                            f->next_note.n, &e) == NEWT_OK
               ? NEWT_OK
               : lose(f, &e);
}

static int
look_at(flush *f, newt__header *h, bool noted)
{
    newt__header *image = NULL;
    newt_error e = {0};
    const void *now = h->state == NEWT__DELETED || h->state == NEWT__FORGOTTEN ? NULL
                                                                               : newt__object_of(h);
    const void *old = h->serial == 0 ? NULL : newt__object_of(h);
    int status;

    if (old && h->record && !noted) {
        if (newt__image_make(f->c, h->class, h->oid, h->record, h->record_n, &image, &e) != NEWT_OK)
            return newt__base_fail_with(&f->c->base, &e);
        old = newt__object_of(image);
    }
    status = compare(f, h->class, h->oid, h, old, now, noted);
    newt__header_free(image);
    return status;
}

/* Brings an object into the cache, if there is something to be known of it. */
static int
bring(flush *f, int64_t oid, bool noted, newt__header **out)
{
    newt__jar *c = f->c;
    int status = NEWT_OK;

    *out = newt__cache_find(&c->cache, oid);
    if (!*out) {
        status = newt__unspill(c, oid);
        *out = newt__cache_find(&c->cache, oid);
    }
    if (!*out && noted && status == NEWT_OK) { /* it is as it is stored again, or nowhere */
        status = newt__load(c, &oid, 1);
        *out = newt__cache_find(&c->cache, oid);
    }
    return status;
}

/* *stays: the program has a pointer to the object, and may go on changing it. */
static int
collect(flush *f, int64_t oid, bool *stays)
{
    newt__header *h;
    bool noted;
    newt_error e = {0};
    int status = newt__spill_noted(&f->c->spill, oid, &f->note, &noted, &e);

    *stays = false;
    if (status != NEWT_OK)
        return lose(f, &e);
    status = bring(f, oid, noted, &h);
    if (status != NEWT_OK)
        return status;
    if (!h && noted) {
        const newt__class *k;

        memcpy(&k, f->note.data, sizeof k);
        return compare(f, k, oid, NULL, NULL, NULL, true);
    }
    if (!h || !h->class)
        return NEWT_OK;
    newt__object_use(h);
    *stays = newt__header_pinned(h);
    newt__object_pin(h);
    status = look_at(f, h, noted);
    newt_done(newt__object_of(h));
    if (status == NEWT_OK)
        h->to_index = *stays;
    newt__cache_sweep(f->c);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int
by_key(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    uint32_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
    int order = (a->tree > b->tree) - (a->tree < b->tree);

    if (order == 0)
        order = memcmp(a->key.p, b->key.p, n);
    return order ? order : (a->key.n > b->key.n) - (a->key.n < b->key.n);
}

static void
sort(const flush *f, entries *l)
{
    for (size_t i = 0; i < l->n; i++)
        l->list[i].key.p = f->keys.data + l->list[i].at;
    if (l->n > 1)
        qsort(l->list, l->n, sizeof *l->list, by_key);
}

static int
apply(flush *f)
{
    int status = NEWT_OK;

    sort(f, &f->leave);
    sort(f, &f->come);
    for (size_t i = 0; i < f->leave.n && status >= 0; i++) {
        const entry *x = &f->leave.list[i];

        status = newt__index_remove(f->c, x->x, &f->trees[x->tree].tree, x->key, x->oid);
    }
    for (size_t i = 0; i < f->come.n && status >= 0; i++) {
        const entry *x = &f->come.list[i];

        status = newt__index_insert(f->c, x->x, &f->trees[x->tree].tree, x->key, x->oid);
    }
    return status < 0 ? status : NEWT_OK;
}

int
newt__index_flush(newt__jar *c, bool last)
{
    flush f = {.c = c, .last = last};
    newt__oids *l = &c->to_index;
    size_t n = 0;
    int status = NEWT_OK;

    if (NEWT__SELDOM(l->failed)) {
        no_memory(c);
        return newt__base_break(&c->base);
    }
    if (l->n == 0)
        return NEWT_OK;
    f.keys.env = f.note.env = f.next_note.env = &c->coder.env;
    newt__oids_sort(l);
    for (size_t i = 0; i < l->n && status == NEWT_OK; i++) {
        bool stays = false;

        if (i == 0 || l->oids[i] != l->oids[i - 1])
            status = collect(&f, l->oids[i], &stays);
        if (stays)
            l->oids[n++] = l->oids[i];
    }
    if (status == NEWT_OK) {
        l->n = n;
        status = apply(&f);
    }
    newt__buffer_free(&f.keys);
    newt__buffer_free(&f.note);
    newt__buffer_free(&f.next_note);
    free(f.leave.list);
    free(f.come.list);
    free(f.trees);
    return status == NEWT_OK ? NEWT_OK : newt__base_break(&c->base);
}
