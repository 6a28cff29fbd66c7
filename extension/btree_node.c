/*
 * btree_node.c - a record as a node of a tree
 *
 * Levels that fall from a node to those below it end every descent; that is for who descends to
 * see. Here is checked what a node is in itself, the order of its keys included: what is in order
 * cannot be gone through without end.
 */
#include "btree.h"

#include "cell.h"

/* ---- lists ---------------------------------------------------------------------------------- */

/* So many items follow; else what is wrong. */
static const char *
begin_list(const newt__reader *r, const newt__token *list, uint32 *n)
{
    if (list->kind != NEWT__ARRAY || list->n > r->n - r->at)
        return "has a field that is no list";
    if (list->n > NEWT_PG_NODE_ITEMS)
        return "has more items than a node can have";
    *n = (uint32)list->n;
    return NULL;
}

static void
end_list(newt__reader *r)
{
    newt__token end;

    newt_pg_next_token(r, &end);
    Assert(end.kind == NEWT__END);
}

static const char *
read_keys(newt__reader *r, const newt__token *list, newt_pg_part **keys, uint32 *n)
{
    const char *fault = begin_list(r, list, n);
    newt__token t;

    if (fault)
        return fault;
    *keys = palloc(*n * sizeof **keys + 1);
    for (uint32 i = 0; i < *n; i++) {
        newt_pg_part *key = &(*keys)[i];

        newt_pg_next_token(r, &t);
        if (t.hidden || !newt_pg_part_read(&t, key))
            return "has a key of a kind that no key is of";
        if (key->kind != (*keys)[0].kind)
            return "has keys of several kinds";
        key->item = (newt_pg_item){.offset = (uint32)t.offset, .end = (uint32)t.end};
    }
    end_list(r);
    return NULL;
}

static const char *
read_refs(newt__reader *r, const newt__token *list, int64 **refs, uint32 *n)
{
    const char *fault = begin_list(r, list, n);
    newt__token t;

    if (fault)
        return fault;
    *refs = palloc(*n * sizeof **refs + 1);
    for (uint32 i = 0; i < *n; i++) {
        newt_pg_next_token(r, &t);
        if (t.kind != NEWT__REF)
            return "refers to no object where a node should be";
        (*refs)[i] = t.i;
    }
    end_list(r);
    return NULL;
}

static const char *
read_values(newt__reader *r, const newt__token *list, newt_pg_tree_node *x)
{
    const char *fault = begin_list(r, list, &x->n_values);
    newt__token t;

    if (fault)
        return fault;
    x->has_values = true;
    x->values = palloc(x->n_values * sizeof *x->values + 1);
    for (uint32 i = 0; i < x->n_values; i++) {
        newt_pg_item *value = &x->values[i];

        value->shared = (uint32)r->shared;
        newt_pg_next_token(r, &t);
        value->offset = (uint32)t.offset;
        value->hidden = t.hidden || list->hidden;
        newt_pg_skip(r, &t);
        value->end = (uint32)r->at;
    }
    end_list(r);
    return NULL;
}

/* ---- fields --------------------------------------------------------------------------------- */

typedef enum what {
    LEVEL,
    ROOT,
    KEYS,
    HIGH = KEYS + NEWT_PG_KEY_PARTS,
    CHILDREN = HIGH + NEWT_PG_KEY_PARTS,
    COUNTS,
    VALUES,
    N_FIELDS
} what;

static const char *const names[N_FIELDS] = {
    [LEVEL] = "level",       [ROOT] = "root",     [KEYS] = "keys",      [KEYS + 1] = "keys2",
    [KEYS + 2] = "keys3",    [HIGH] = "high",     [HIGH + 1] = "high2", [HIGH + 2] = "high3",
    [CHILDREN] = "children", [COUNTS] = "counts", [VALUES] = "values",
};

static int
field_of(const newt__token *key)
{
    int i = 0;

    while (i < N_FIELDS && (strlen(names[i]) != key->n || memcmp(names[i], key->s, key->n) != 0))
        i++;
    return i;
}

typedef struct fields {
    bool has[N_FIELDS];
    uint32 n[N_FIELDS]; /* items */
} fields;

static const char *
read_field(newt_pg_tree_node *x, newt__reader *r, const newt__token *t, int field, fields *f)
{
    newt_pg_part *high;

    f->has[field] = true;
    switch (field) {
    case LEVEL:
        if (t->kind != NEWT__INT || t->number.negative || t->u >= NEWT_PG_TREE_LEVELS)
            return "is of a level that no tree has";
        x->level = (uint32)t->u;
        return NULL;
    case ROOT:
        if (t->kind != NEWT__BOOL)
            return "does not say whether it is the root";
        x->is_root = t->boolean;
        return NULL;
    case CHILDREN: return read_refs(r, t, &x->children, &x->n_children);
    case COUNTS: return read_refs(r, t, &x->counts, &x->n_counts);
    case VALUES: return read_values(r, t, x);
    case HIGH:
    case HIGH + 1:
    case HIGH + 2: return read_keys(r, t, &high, &f->n[field]);
    default: return read_keys(r, t, &x->keys[field - KEYS], &f->n[field]);
    }
}

/* ---- the node ------------------------------------------------------------------------------- */

/* Strictly rising. */
static bool
is_in_order(const newt_pg_tree_node *x)
{
    for (uint32 i = 1; i < x->n; i++) {
        int order = 0;

        for (int part = 0; part < x->n_parts && order == 0; part++)
            order = newt_pg_part_compare(&x->keys[part][i - 1], &x->keys[part][i]);
        if (order >= 0)
            return false;
    }
    return true;
}

static const char *
fault_of(newt_pg_tree_node *x, const fields *f)
{
    x->n = f->n[KEYS];
    for (x->n_parts = 1; x->n_parts < NEWT_PG_KEY_PARTS && f->has[KEYS + x->n_parts]; x->n_parts++)
        if (f->n[KEYS + x->n_parts] != x->n)
            return "has columns of keys that differ in length";
    for (int part = 0; part < NEWT_PG_KEY_PARTS; part++)
        if (f->has[KEYS + part] != (part < x->n_parts) ||
            f->has[HIGH + part] != (part < x->n_parts) ||
            (part < x->n_parts && f->n[HIGH + part] != f->n[HIGH]))
            return "ends at a key that is not whole";
    if (f->n[HIGH] > 1)
        return "ends at more than one key";
    if (x->level > 0 ? x->n_children != x->n + 1 : x->n_children != 0)
        return "has keys that are not those between its children";
    if (x->has_values && x->n_values != (x->level > 0 ? 0 : x->n))
        return "has not one value for each key";
    return is_in_order(x) ? NULL : "has keys that are not in order";
}

const char *
newt_pg_tree_node_read(newt_pg_tree_node *x, const char *record, size_t size, bool *is_node)
{
    fields f = {0};
    const char *fault = NULL;
    newt__reader r;
    newt__token t;

    *x = (newt_pg_tree_node){.record = record};
    *is_node = true;
    if (newt__read_begin(&r, &newt_pg_env, record, size))
        newt_pg_raise(&r.fault, size);
    x->class_name = r.class_name;
    x->class_n = (int)r.class_n;
    newt_pg_next_token(&r, &t);
    *is_node = t.kind == NEWT__MAP;
    if (!*is_node)
        return "is no node";
    for (;;) {
        const char *wrong = NULL;
        int field;

        newt_pg_next_token(&r, &t);
        if (t.kind == NEWT__END)
            break;
        field = field_of(&t);
        newt_pg_next_token(&r, &t);
        if (field == N_FIELDS)
            newt_pg_skip(&r, &t);
        else
            wrong = read_field(x, &r, &t, field, &f);
        while (wrong && r.depth > 1) /* what is left of the field */
            newt_pg_next_token(&r, &t);
        fault = fault ? fault : wrong;
    }
    if (newt__read_rest(&r))
        newt_pg_raise(&r.fault, size);
    *is_node = f.has[LEVEL] && f.has[ROOT] && f.has[KEYS] && f.has[HIGH];
    if (!*is_node)
        return "is no node";
    return fault ? fault : fault_of(x, &f);
}

void
newt_pg_tree_node_key(const newt_pg_tree_node *x, uint32 i, newt_pg_key *key)
{
    key->n = x->n_parts;
    for (int part = 0; part < x->n_parts; part++)
        key->parts[part] = x->keys[part][i];
}

uint32
newt_pg_tree_node_search(const newt_pg_tree_node *x, const newt_pg_key *key, bool after)
{
    uint32 low = 0, high = x->n;

    while (low < high) {
        uint32 middle = low + (high - low) / 2;
        int order = newt_pg_tree_node_compare(x, middle, key);

        if (after ? order <= 0 : order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
