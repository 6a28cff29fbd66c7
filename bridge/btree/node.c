/*
 * node.c - nodes of a tree: read, checked, searched, measured
 *
 * What is in a record may be damaged, so each node is looked at when it is read: that its columns
 * are of one length, and its level is what the one above says, which also ends every descent. That
 * its keys are in order is left to newt_btree_check.
 */
#include "btree.h"

#include <string.h>

/* ---- failures ---------------------------------------------------------------------------- */

int
newt__node_broken(const newt__btree *b, newt_ref r, const char *what)
{
    newt_error e = {0};

    newt__fail(&e, NEWT_EBROKEN, r.oid, "node %lld of the tree %s %lld %s", (long long)r.oid,
               b->table->name, (long long)b->root.oid, what);
    newt__fail_class(&e, b->table->name, strlen(b->table->name));
    newt__fail_hint(&e, "newt_btree_check looks at the whole tree, newt_btree_repair makes it "
                        "anew of its leaves.");
    return newt__base_fail_with(&b->c->base, &e);
}

int
newt__btree_break(const newt__btree *b)
{
    return newt__base_break(&b->c->base);
}

const char *
newt__node_fault(const newt__tree *t, const newt__node *node, int level)
{
    uint32_t n = newt__node_n(t, node), children = node->children_.n, high;

    if (level >= 0 && node->level_ != level)
        return "is of another level than the node above says";
    if (node->level_ >= NEWT__MOST_LEVELS)
        return "is of a level that no tree has";
    for (uint32_t i = 1; i < t->n_keys; i++)
        if (newt__column_of(node, t->keys[i])->n != n)
            return "has columns of keys that differ in length";
    high = newt__column_of(node, t->high[0])->n;
    for (uint32_t i = 1; i < t->n_keys; i++)
        if (newt__column_of(node, t->high[i])->n != high)
            return "ends at a key that is not whole";
    if (high > 1)
        return "ends at more than one key";
    if (node->level_ > 0 ? children == 0 || children - 1 != n : children != 0)
        return "has keys that are not those between its children";
    if (t->values && newt__column_of(node, t->values)->n != (node->level_ > 0 ? 0 : n))
        return "has not one value for each key";
    return NULL;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* What a node that is read for the first time is looked at for; NULL: it is sound. */
static __attribute__((noinline)) const char *
fault_of(const newt__tree *t, const newt__node *node, int level)
{
    const char *fault = newt__node_fault(t, node, level);

    /* changes keep it so; what is loaded anew has not been looked at */
    ((newt__node *)(uintptr_t)node)->sound_ = !fault;
    return fault;
}

int
newt__btree_open(newt__btree *b, newt_conn *conn, newt_ref r, const newt_class *k)
{
    newt__jar *c = newt__jar_of(conn);
    const newt__node *node = newt_read(conn, r, k);
    const newt__header *h;
    const char *fault;

    if (NEWT__SELDOM(!node)) {
        if (r.oid == 0 && c->base.error.status == NEWT_EINVAL)
            newt__base_fail(&c->base, NEWT_EINVAL, 0,
                            "the reference to a tree of class \"%s\" is null", k ? k->name : "");
        return c->base.error.status;
    }
    newt__node_done(node);
    h = newt__header_of(node);
    *b = (newt__btree){.c = c, .table = k, .t = h->class->tree, .root = r, .top = node};
    if (NEWT__SELDOM(!b->t))
        return newt__base_fail(&c->base, NEWT_EINVAL, r.oid, "%s is no class of trees",
                               h->class->name);
    fault = node->sound_ ? NULL : fault_of(b->t, node, -1);
    if (NEWT__SELDOM(fault))
        return newt__node_broken(b, r, fault);
    if (NEWT__SELDOM(!node->root_))
        return newt__base_fail(&c->base, NEWT_EINVAL, r.oid, "%s %lld is a node inside of a tree",
                               h->class->name, (long long)r.oid);
    return NEWT_OK;
}

const newt__node *
newt__node_read(const newt__btree *b, newt_ref r, int level)
{
    const newt__node *node = newt_read(newt__conn_of(b->c), r, b->table);
    const char *fault;

    if (NEWT__SELDOM(!node)) {
        if (b->c->base.error.status == NEWT_EMISSING || b->c->base.error.status == NEWT_EINVAL)
            newt__node_broken(b, r, "does not exist");
        return NULL;
    }
    newt__node_done(node);
    if (NEWT__SELDOM(!node->sound_ || (level >= 0 && node->level_ != level))) {
        fault = fault_of(b->t, node, level);
        if (fault) {
            newt__node_broken(b, r, fault);
            return NULL;
        }
    }
    return node;
}

newt__node *
newt__node_write(const newt__btree *b, newt_ref r, int level)
{
    const newt__node *node = newt__node_read(b, r, level);
    bool as_loaded = node && newt__header_of(node)->state == NEWT__UPTODATE;
    newt__node *writable = node ? newt_write(newt__conn_of(b->c), r, b->table) : NULL;

    if (!writable)
        newt__btree_break(b);
    else if (as_loaded && newt__header_of(writable)->record_n > b->t->base_bytes)
        writable->bytes_ = newt__header_of(writable)->record_n - b->t->base_bytes;
    if (writable)
        writable->heads_n_ = writable->looked_ = 0;
    return writable;
}

newt__node *
newt__node_new(const newt__btree *b, uint8_t level)
{
    newt__node *node = newt_new(newt__conn_of(b->c), b->table);

    if (node)
        node->level_ = level;
    else
        newt__btree_break(b);
    return node;
}

/* ---- keys -------------------------------------------------------------------------------- */

static inline int
compare_bytes(const newt_bytes *a, const newt_bytes *b)
{
    uint32_t n = a->n < b->n ? a->n : b->n;
    int order = n ? memcmp(a->p, b->p, n) : 0;

    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static inline int
compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Two values of one kind. */
static inline int
compare(uint8_t kind, const void *a, const void *b)
{
    switch (kind) {
    case NEWT_K_TEXT:
    case NEWT_K_BYTES: return compare_bytes(a, b);
    case NEWT_K_UINT:
        return (*(const uint64_t *)a > *(const uint64_t *)b) -
               (*(const uint64_t *)a < *(const uint64_t *)b);
    case NEWT_K_DATE:
        return compare_int(((const newt_date *)a)->days, ((const newt_date *)b)->days);
    case NEWT_K_UUID: return memcmp(a, b, sizeof(newt_uuid));
    default: /* an int, a time, a reference: all are an int64_t */
        return compare_int(*(const int64_t *)a, *(const int64_t *)b);
    }
}

int
newt__key_compare(const newt__tree *t, const newt__field *const columns[], const void *node,
                  uint32_t i, const void *key, uint32_t parts)
{
    int order = 0;

    for (uint32_t part = 0; order == 0 && part < parts; part++) {
        const newt__field *f = columns[part];

        order = compare(f->f.kind, newt__column_of(node, f)->items + (size_t)i * f->f.size,
                        (const char *)key + t->key_at[part]);
    }
    return order;
}

int
newt__keys_compare(const newt__tree *t, const void *a, const void *b, uint32_t parts)
{
    int order = 0;

    for (uint32_t part = 0; order == 0 && part < parts; part++)
        order = compare(t->keys[part]->f.kind, (const char *)a + t->key_at[part],
                        (const char *)b + t->key_at[part]);
    return order;
}

/* The commonest keys, without asking for the kind at each step. */
static uint32_t
search_ints(const int64_t *items, uint32_t n, int64_t key, bool after)
{
    uint32_t low = 0;

    while (n > 0) {
        uint32_t half = n / 2;
        bool right;

        /* what the next step needs is on its way, whichever it is */
        __builtin_prefetch(&items[low + half / 2]);
        __builtin_prefetch(&items[low + half + half / 2 + 1]);
        right = after ? items[low + half] <= key : items[low + half] < key;

        low = right ? low + half + 1 : low;
        n = right ? n - half - 1 : half;
    }
    return low;
}

static uint32_t
search_bytes(const newt_bytes *items, uint32_t n, const newt_bytes *key, bool after)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_bytes(&items[middle], key);

        if (after ? order <= 0 : order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t
newt__node_search(const newt__tree *t, const newt__node *node, const void *key, uint32_t parts,
                  bool after)
{
    const newt__array_layout *first = newt__column_of(node, t->keys[0]);
    uint32_t low = 0, high = first->n;

    if (parts == 1) {
        switch (t->keys[0]->f.kind) {
        case NEWT_K_TEXT:
        case NEWT_K_BYTES: return search_bytes((const void *)first->items, high, key, after);
        case NEWT_K_INT:
        case NEWT_K_TIME:
        case NEWT_K_REF:
            return search_ints((const void *)first->items, high, *(const int64_t *)key, after);
        default: break;
        }
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = newt__key_compare(t, t->keys, node, middle, key, parts);

        if (after ? order <= 0 : order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- heads of texts ---------------------------------------------------------------------- */

/*
 * To compare texts in a leaf that is not in the processor's cache costs two misses each. So one in
 * which is looked often gets a column of its keys' heads: the four bytes after what all of them
 * begin with. That is searched, and what is found compared.
 */

enum {
    OFTEN = 3,
    HEAD = 4 /* bytes */
};

static inline uint32_t
head_of(const uint8_t *p, uint32_t n)
{
    uint32_t head = 0;

    if (NEWT__SELDOM(n < HEAD)) {
        for (uint32_t i = 0; i < n; i++)
            head |= (uint32_t)p[i] << (24 - 8 * i);
        return head;
    }
    memcpy(&head, p, sizeof head);
    return __builtin_bswap32(head);
}

static __attribute__((noinline)) void
make_heads(newt__node *leaf, const newt_bytes *keys, uint32_t n)
{
    uint32_t skip = 0, *heads;

    while (skip < keys[0].n && skip < keys[n - 1].n && keys[0].p[skip] == keys[n - 1].p[skip])
        skip++;
    for (uint32_t i = 0; i < n; i++)
        if (keys[i].n < skip)
            return; /* they are not in order */
    heads = newt__header_alloc(newt__header_of(leaf), n * sizeof *heads, true);
    if (!heads)
        return; /* then without them */
    for (uint32_t i = 0; i < n; i++)
        heads[i] = head_of(keys[i].p + skip, keys[i].n - skip);
    leaf->skip_ = skip;
    leaf->heads_ = heads;
    leaf->heads_n_ = n;
}

/* False: it is not there, or there are no heads. */
static bool
find_by_head(const newt__node *leaf, const newt_bytes *keys, const newt_bytes *key, uint32_t *at)
{
    const uint32_t *heads = leaf->heads_;
    uint32_t low = 0, n = leaf->heads_n_, head;

    if (key->n < leaf->skip_)
        return false;
    head = head_of(key->p + leaf->skip_, key->n - leaf->skip_);
    while (n > 0) {
        uint32_t half = n / 2;
        bool right;

        __builtin_prefetch(&heads[low + half / 2]);
        __builtin_prefetch(&heads[low + half + half / 2 + 1]);
        right = heads[low + half] < head;
        low = right ? low + half + 1 : low;
        n = right ? n - half - 1 : half;
    }
    for (; low < leaf->heads_n_ && heads[low] == head; low++) {
        if (keys[low].n == key->n && memcmp(keys[low].p, key->p, key->n) == 0) {
            *at = low;
            return true;
        }
    }
    return false;
}

bool
newt__leaf_find(const newt__tree *t, const newt__node *leaf, const void *key, uint32_t *at)
{
    const newt__array_layout *first = newt__column_of(leaf, t->keys[0]);
    uint8_t kind = t->keys[0]->f.kind;

    if (t->n_keys == 1 && (kind == NEWT_K_TEXT || kind == NEWT_K_BYTES) && first->n > 0) {
        newt__node *counted = (newt__node *)(uintptr_t)leaf;

        if (NEWT__SELDOM(leaf->heads_n_ == 0) && ++counted->looked_ > OFTEN)
            make_heads(counted, (const void *)first->items, first->n);
        if (leaf->heads_n_ > 0 && find_by_head(leaf, (const void *)first->items, key, at))
            return true;
    }
    *at = newt__node_search(t, leaf, key, t->n_keys, false);
    return newt__node_has(t, leaf, *at, key);
}

/* ---- keys and values, copied --------------------------------------------------------------- */

void
newt__key_get(const newt__tree *t, const newt__field *const columns[], const void *node, uint32_t i,
              void *key)
{
    for (uint32_t part = 0; part < t->n_keys; part++) {
        const newt__field *f = columns[part];

        memcpy((char *)key + t->key_at[part],
               newt__column_of(node, f)->items + (size_t)i * f->f.size, f->f.size);
    }
}

bool
newt__node_has(const newt__tree *t, const newt__node *node, uint32_t at, const void *key)
{
    return at < newt__node_n(t, node) &&
           newt__key_compare(t, t->keys, node, at, key, t->n_keys) == 0;
}

/* "a key", or "part 2 of a key", for messages. */
static const char *
part_name(const newt__tree *t, uint32_t part)
{
    static const char *const names[NEWT__MOST_KEYS] = {"part 1 of a key", "part 2 of a key",
                                                       "part 3 of a key"};

    return t->n_keys == 1 ? "a key" : names[part];
}

static bool
is_null(const newt__field *f, const void *p)
{
    return f->nullable && newt__is_null(f->f.kind, p);
}

int
newt__bound_check(const newt__btree *b, const void *key, uint32_t parts)
{
    for (uint32_t part = 0; part < parts; part++) {
        if (!is_null(b->t->keys[part], (const char *)key + b->t->key_at[part]))
            continue;
        newt__base_fail(&b->c->base, NEWT_EINVAL, b->root.oid,
                        "a bound of a range of the tree %s %lld is null in %s", b->table->name,
                        (long long)b->root.oid, part_name(b->t, part));
        if (part > 0)
            newt__fail_hint(&b->c->base.error,
                            ".parts says how many parts of the bounds are compared.");
        return NEWT_EINVAL;
    }
    return NEWT_OK;
}

int
newt__key_check(const newt__btree *b, const void *key)
{
    const newt__tree *t = b->t;

    for (uint32_t part = 0; part < t->n_keys; part++) {
        const newt__field *f = t->keys[part];
        const void *p = (const char *)key + t->key_at[part];

        if (is_null(f, p))
            return newt__base_fail(&b->c->base, NEWT_EINVAL, b->root.oid,
                                   "the tree %s %lld was given null as %s", b->table->name,
                                   (long long)b->root.oid, part_name(t, part));
        if (f->f.kind == NEWT_K_REF && ((const newt_ref *)p)->oid < 0)
            return newt__base_fail(&b->c->base, NEWT_EINVAL, b->root.oid,
                                   "the tree %s %lld was given a negative oid as %s",
                                   b->table->name, (long long)b->root.oid, part_name(t, part));
        if ((f->f.kind == NEWT_K_TEXT || f->f.kind == NEWT_K_BYTES) &&
            ((const newt_bytes *)p)->n > NEWT_BTREE_KEY)
            return newt__base_fail(&b->c->base, NEWT_ELIMIT, b->root.oid,
                                   "the tree %s %lld was given %u bytes as %s, but the limit is %d",
                                   b->table->name, (long long)b->root.oid,
                                   ((const newt_bytes *)p)->n, part_name(t, part), NEWT_BTREE_KEY);
    }
    return NEWT_OK;
}

/* ---- what the program is given ----------------------------------------------------------- */

static bool
points(const newt__field *f)
{
    switch (f->f.kind) {
    case NEWT_K_TEXT:
    case NEWT_K_BYTES:
    case NEWT_K_DECIMAL:
    case NEWT_K_JSON:
    case NEWT_K_STRUCT:
    case NEWT_K_STORE_REF: return true;
    default: return false;
    }
}

/* What points into the node keeps it until the end of the transaction. */
static void
keep(const newt__node *leaf)
{
    newt__object_pin(newt__header_of(leaf));
}

void
newt__value_get(const newt__tree *t, const newt__node *leaf, uint32_t i, void *out)
{
    const newt__field *f = t->values;

    if (!out || !f)
        return;
    memcpy(out, newt__column_of(leaf, f)->items + (size_t)i * f->f.size, f->f.size);
    if (points(f))
        keep(leaf);
}

void
newt__key_give(const newt__tree *t, const newt__node *leaf, uint32_t i, void *out)
{
    if (!out)
        return;
    newt__key_get(t, t->keys, leaf, i, out);
    for (uint32_t part = 0; part < t->n_keys; part++)
        if (points(t->keys[part]))
            keep(leaf);
}

/* ---- sizes ------------------------------------------------------------------------------- */

/* Of a CBOR head with this argument. */
static inline uint32_t
head_bytes(uint64_t x)
{
    return x < 24 ? 1 : x <= UINT8_MAX ? 2 : x <= UINT16_MAX ? 3 : x <= UINT32_MAX ? 5 : 9;
}

static uint32_t
value_bytes(const newt__field *f, const void *p)
{
    enum {
        TAG = 3,  /* 2 to 5 bytes */
        TIME = 15 /* tag, map, two keys, seconds */
    };
    const newt_bytes *bytes = p; /* the layout of all that is bytes */
    int64_t x;

    switch (f->f.kind) {
    case NEWT_K_TEXT:
    case NEWT_K_BYTES:
    case NEWT_K_DECIMAL: return head_bytes(bytes->n) + bytes->n;
    case NEWT_K_JSON: return 1 + bytes->n;
    case NEWT_K_INT:
        if (f->f.size != sizeof x)
            return f->f.size;
        memcpy(&x, p, sizeof x);
        return head_bytes(x < 0 ? ~(uint64_t)x : (uint64_t)x);
    case NEWT_K_WEAK:
    case NEWT_K_REF: return TAG + 2 + head_bytes((uint64_t)((const newt_ref *)p)->oid);
    case NEWT_K_TIME: return TIME + 5;
    case NEWT_K_UUID: return TAG + sizeof(newt_uuid);
    case NEWT_K_STRUCT: return f->f.size + 8 * f->type->n_fields; /* about: names are in it */
    default: return 1 + f->f.size;
    }
}

uint32_t
newt__entry_bytes(const newt__tree *t, const newt__node *node, uint32_t i)
{
    uint32_t n = 0;

    for (uint32_t part = 0; part < t->n_keys; part++) {
        const newt__field *f = t->keys[part];

        n += value_bytes(f, newt__column_of(node, f)->items + (size_t)i * f->f.size);
    }
    if (node->level_ == 0 && t->values)
        n += value_bytes(t->values,
                         newt__column_of(node, t->values)->items + (size_t)i * t->values->f.stride);
    if (node->level_ > 0) {
        enum {
            REF = 8
        };
        n += REF;
    }
    return n;
}

uint32_t
newt__node_bytes(const newt__tree *t, const newt__node *node)
{
    uint32_t bytes = 0, n = newt__node_n(t, node);

    for (uint32_t i = 0; i < n; i++)
        bytes += newt__entry_bytes(t, node, i);
    return bytes;
}
