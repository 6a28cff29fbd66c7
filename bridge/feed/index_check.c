/*
 * index_check.c - indexes compared with the objects, and mended
 *
 * First by the objects: each is to be under its key. Then by the entries: each is to lead to an
 * object that has the key. Each step is a transaction, so what it compares is of one moment.
 */
#include "index_build.h"

#include <stdlib.h>

typedef enum fault {
    NOT_IN_IT,
    TAKEN,
    NO_OBJECT,
    NOT_ITS_KEY
} fault;

static const char *const faults[] = {
    [NOT_IN_IT] = "is not in the index under its key",
    [TAKEN] = "has the same key as another object, which the index has once",
    [NO_OBJECT] = "is in the index, but does not exist",
    [NOT_ITS_KEY] = "is in the index under a key that it does not have",
};

typedef struct checking {
    newt_conn *c;
    const newt__class_index *x;
    newt__index_tree tree;
    newt__index_scan scan;
    newt__index_key after; /* entries up to this key have been looked at; n 0: none */
    bool mend, over;
    /* of the step under way */
    struct {
        int64_t oid;
        fault what;
    } found[NEWT__INDEX_BATCH];
    size_t n;
    newt__index_key keys[NEWT__INDEX_BATCH];
    newt_ref refs[NEWT__INDEX_BATCH];
    size_t n_keys;
} checking;

static int
begin_step(checking *k)
{
    int status = newt__index_tree_find(&k->c->jar, k->x, &k->tree);

    k->n = 0;
    if (status == NEWT_OK && !k->tree.filled)
        status = newt__base_fail(&k->c->jar.base, NEWT_EBUSY, 0,
                                 "the index \"%s\" is not filled yet", k->x->name);
    return status;
}

static void
note(checking *k, int64_t oid, fault what)
{
    k->found[k->n].oid = oid;
    k->found[k->n++].what = what;
}

/* ---- by the objects ----------------------------------------------------------------------------
 */

static int
look_up(checking *k, const newt__index_key *key, newt_ref *there)
{
    newt_bytes bytes = newt__index_key_bytes(key);

    return newt_btree_get(k->c, k->tree.tree, &newt__index_node_class, &bytes, there);
}

static int
check_object(checking *k, newt_ref r)
{
    newt__jar *jar = &k->c->jar;
    newt__header *h = newt__object_find(jar, r, NEWT__ON_READ);
    newt__index_key key;
    newt_ref there;
    int status, taken = 0;

    if (!h)
        return newt_status(k->c) == NEWT_EMISSING ? NEWT_OK : newt_status(k->c);
    if (h->class != k->x->class ||
        newt__index_key_of(k->x, r.oid, newt__object_of(h), &key) != NEWT_OK || key.absent)
        return NEWT_OK;
    status = look_up(k, &key, &there);
    if (status < 0 || (status == 1 && there.oid == r.oid))
        return status < 0 ? status : NEWT_OK;
    if (status == 1)
        taken = newt__index_has_key(jar, k->x, newt__index_key_bytes(&key), there);
    if (taken < 0)
        return taken;
    note(k, r.oid, taken ? TAKEN : NOT_IN_IT);
    if (!k->mend || taken)
        return NEWT_OK;
    status = newt_read_current(k->c, r);
    if (status == NEWT_OK)
        status = newt__index_insert(jar, k->x, &k->tree, newt__index_key_bytes(&key), r.oid);
    return status < 0 ? status : NEWT_OK;
}

/* A newt_work. */
static int
check_objects(newt_conn *c, void *arg)
{
    checking *k = arg;
    int status = begin_step(k);

    if (status == NEWT_OK)
        status = newt_prefetch(c, k->scan.refs, k->scan.n);
    for (size_t i = 0; i < k->scan.n && status == NEWT_OK; i++)
        status = check_object(k, k->scan.refs[i]);
    return status;
}

/* ---- by the entries ----------------------------------------------------------------------------
 */

/* The next entries, copied: mending changes the tree. */
static int
read_entries(checking *k)
{
    newt_bytes from = newt__index_key_bytes(&k->after), key;
    newt_btree_range range = {.from = from.n ? &from : NULL, .after_from = true};
    newt_btree_cursor at = newt_btree_open(k->c, k->tree.tree, &newt__index_node_class, &range);
    int status = 1;

    k->n_keys = 0;
    while (k->n_keys < NEWT__INDEX_BATCH &&
           (status = newt_btree_next(&at, &key, &k->refs[k->n_keys])) == 1) {
        newt__index_key *copy = &k->keys[k->n_keys++];

        if (key.n > sizeof copy->bytes)
            key.n = sizeof copy->bytes; /* it is no key of ours, and will be found so */
        copy->n = (uint16_t)key.n;
        memcpy(copy->bytes, key.p, key.n);
    }
    newt_btree_close(&at);
    k->over = status == 0;
    return status < 0 ? status : NEWT_OK;
}

static int
check_entry(checking *k, const newt__index_key *key, newt_ref r)
{
    newt__jar *jar = &k->c->jar;
    newt_bytes bytes = newt__index_key_bytes(key);
    int status = newt__index_has_key(jar, k->x, bytes, r);
    newt__header *h;

    if (status != 0)
        return status < 0 ? status : NEWT_OK;
    h = newt__object_find(jar, r, NEWT__ON_READ);
    if (!h && newt__base_is_over(&jar->base))
        return jar->base.error.status;
    newt__error_clear(&jar->base.error);
    note(k, r.oid, h ? NOT_ITS_KEY : NO_OBJECT);
    if (!k->mend)
        return NEWT_OK;
    status = h ? newt_read_current(k->c, r) : NEWT_OK;
    if (status == NEWT_OK)
        status = newt_btree_pop(k->c, k->tree.tree, &newt__index_node_class, &bytes, NULL);
    return status < 0 ? status : NEWT_OK;
}

/* A newt_work. */
static int
check_entries(newt_conn *c, void *arg)
{
    checking *k = arg;
    int status = begin_step(k);

    if (status == NEWT_OK)
        status = read_entries(k);
    if (status == NEWT_OK)
        status = newt_prefetch(c, k->refs, k->n_keys);
    for (size_t i = 0; i < k->n_keys && status == NEWT_OK; i++)
        status = check_entry(k, &k->keys[i], k->refs[i]);
    return status;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static int
tell_all(const checking *k, newt_index_tell *tell, void *arg, int64_t *problems)
{
    int status = NEWT_OK;

    *problems += (int64_t)k->n;
    for (size_t i = 0; i < k->n && tell && status == NEWT_OK; i++)
        status = tell(arg, (newt_ref){k->found[i].oid}, faults[k->found[i].what]);
    return status;
}

int
newt_index_check(newt_conn *c, const newt_index *table, bool mend, newt_index_tell *tell, void *arg,
                 int64_t *problems)
{
    int status = newt__outside(c, NULL, "newt_index_check");
    const newt__class_index *x = status == NEWT_OK ? newt__index_of(&c->jar, table) : NULL;
    checking *k;

    *problems = 0;
    if (!x)
        return status == NEWT_OK ? c->jar.base.error.status : status;
    k = calloc(1, sizeof *k);
    if (!k)
        return newt__base_fail_memory(&c->jar.base);
    k->c = k->scan.c = c;
    k->x = x;
    k->scan.k = x->class;
    k->mend = mend;
    while (status == NEWT_OK && !k->scan.over) {
        status = newt__index_scan_next(&k->scan, k->scan.last, NEWT__INDEX_BATCH);
        if (status == NEWT_OK)
            status = newt_transact(c, check_objects, k, NULL);
        if (status == NEWT_OK)
            status = tell_all(k, tell, arg, problems);
    }
    while (status == NEWT_OK && !k->over) {
        status = newt_transact(c, check_entries, k, NULL);
        if (status != NEWT_OK)
            break;
        if (k->n_keys > 0)
            k->after = k->keys[k->n_keys - 1];
        status = tell_all(k, tell, arg, problems);
    }
    free(k);
    return status;
}
