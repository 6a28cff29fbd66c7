/*
 * tree.c - class tables of trees: whether the fields are those of a node
 *
 * The macros of newtdb_btree.h make them so, but a binding may fill a table by hand.
 */
#include "build.h"

#include <string.h>

/* What every node has, at its place. */
static const struct member {
    const char *name;
    uint32_t offset;
    uint8_t kind, shape;
} members[] = {
    {"level", offsetof(newt__node, level_), NEWT_K_UINT, NEWT_ONE},
    {"root", offsetof(newt__node, root_), NEWT_K_BOOL, NEWT_ONE},
    {"next", offsetof(newt__node, next_), NEWT_K_REF, NEWT_ONE},
    {"children", offsetof(newt__node, children_), NEWT_K_REF, NEWT_LIST_OF},
    {"counts", offsetof(newt__node, counts_), NEWT_K_REF, NEWT_LIST_OF},
};

static const newt__field *
named(const newt__class *k, const char *name)
{
    for (uint32_t i = 0; i < k->n_fields; i++)
        if (strcmp(k->fields[i].as, name) == 0)
            return &k->fields[i];
    return NULL;
}

static bool
is_member(const newt__class *k, const struct member *m)
{
    const newt__field *f = named(k, m->name);

    return f && f->f.offset == m->offset && f->f.kind == m->kind && f->f.shape == m->shape &&
           (m->kind != NEWT_K_UINT || f->f.size == 1);
}

/* Kinds whose order is that of what they are, and which have one form of each value. */
static bool
can_be_key(const newt__field *f)
{
    switch (f->f.kind) {
    case NEWT_K_INT:
    case NEWT_K_UINT: return f->f.size == sizeof(int64_t);
    case NEWT_K_TEXT:
    case NEWT_K_BYTES:
    case NEWT_K_TIME:
    case NEWT_K_DATE:
    case NEWT_K_UUID:
    case NEWT_K_REF: return true;
    default: return false;
    }
}

/* Part i of the keys, and where it is in a key: a struct of the parts. */
static bool
add_part(newt__tree *t, const newt__class *k, uint32_t i, newt_error *e)
{
    static const char *const keys[NEWT__MOST_KEYS] = {"keys", "keys2", "keys3"};
    static const char *const high[NEWT__MOST_KEYS] = {"high", "high2", "high3"};
    const newt__field *f = t->keys[i] = named(k, keys[i]);
    uint32_t align;

    t->high[i] = named(k, high[i]);
    if (!f || !t->high[i] || f->f.shape != NEWT_LIST_OF || t->high[i]->f.shape != NEWT_LIST_OF ||
        f->f.kind != t->high[i]->f.kind || f->f.size != t->high[i]->f.size ||
        f->f.stride != f->f.size || t->high[i]->f.stride != f->f.size)
        return newt__class_refuse(
            e, "class \"%s\" of trees lacks fields \"%s\" and \"%s\" of one kind", k->name, keys[i],
            high[i]);
    if (!can_be_key(f)) {
        newt__field_refuse(e, k, f, "cannot be the key of a tree: it is of kind %s with %u bytes",
                           newt__kind_name(f->f.kind), f->f.size);
        newt__fail_hint(e, "Keys are int64_t, uint64_t, newt_text, newt_bytes, newt_time, "
                           "newt_date, newt_uuid or newt_ref.");
        return false;
    }
    align = newt__kinds[f->f.kind].align ? newt__kinds[f->f.kind].align : f->f.size;
    t->key_at[i] = (t->key_size + align - 1) / align * align;
    t->key_size = t->key_at[i] + f->f.size;
    return true;
}

bool
newt__tree_build(newt__block **blocks, newt__class *k, newt_error *e)
{
    const struct newt_tree *given = k->table->tree;
    uint32_t align = 1, n_fields;
    newt__tree *t;

    if (!given)
        return true;
    if (given->n_keys < 1 || given->n_keys > NEWT__MOST_KEYS)
        return newt__class_refuse(e, "class \"%s\" of trees has keys of %u parts, not of 1 to %d",
                                  k->name, given->n_keys, NEWT__MOST_KEYS);
    if (given->node_bytes &&
        (given->node_bytes < NEWT_BTREE_SMALLEST || given->node_bytes > NEWT_BTREE_LARGEST))
        return newt__class_refuse(e, "class \"%s\" of trees has nodes of %u bytes, not of %d to %d",
                                  k->name, given->node_bytes, NEWT_BTREE_SMALLEST,
                                  NEWT_BTREE_LARGEST);
    if (!(t = newt__block_take(blocks, sizeof *t, e)))
        return false;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (k->size < sizeof(newt__node) || !is_member(k, &members[i]))
            return newt__class_refuse(e, "class \"%s\" of trees lacks the field \"%s\" of a node",
                                      k->name, members[i].name);
    for (; t->n_keys < given->n_keys; t->n_keys++) {
        const newt__field *f;

        if (!add_part(t, k, t->n_keys, e))
            return false;
        f = t->keys[t->n_keys];
        align = newt__kinds[f->f.kind].align > align ? newt__kinds[f->f.kind].align : align;
        align = !newt__kinds[f->f.kind].align && f->f.size > align ? f->f.size : align;
    }
    t->key_size = (t->key_size + align - 1) / align * align;
    t->values = named(k, "values");
    if (t->values && t->values->f.shape != NEWT_LIST_OF)
        return newt__field_refuse(e, k, t->values,
                                  "is no list, so it cannot be the values of a tree");
    n_fields = (uint32_t)(sizeof members / sizeof *members) + 2 * t->n_keys + (t->values != NULL);
    if (k->n_fields != n_fields)
        return newt__class_refuse(e, "class \"%s\" of trees has fields that no node has", k->name);
    if (k->size !=
        sizeof(newt__node) + (2 * t->n_keys + (t->values != NULL)) * sizeof(newt__array_layout)) {
        newt__class_refuse(e,
                           "class \"%s\" of trees has keys of %u parts, but its struct has others",
                           k->name, t->n_keys);
        newt__fail_hint(e,
                        "What NEWT_DECLARE_BTREE2 declares is defined by NEWT_BTREE2, and so on.");
        return false;
    }
    t->node_bytes = given->node_bytes ? given->node_bytes : NEWT_BTREE_NODE;
    t->base_bytes = k->name_n;
    for (uint32_t i = 0; i < k->n_fields; i++)
        t->base_bytes += k->fields[i].as_n + 3;
    t->counted = !given->not_counted;
    k->tree = t;
    return true;
}
