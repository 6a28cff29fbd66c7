/*
 * btree_range.c - the entries of a tree in a range, in order, as far as they are wanted
 *
 * The nodes on the way from the root to a leaf are kept; the next leaf is found through them, not
 * from leaf to leaf, so that both directions are the same. A node is read when its turn comes, all
 * by one query (lookup.c), thus in one snapshot.
 */
#include "btree.h"

#include "values.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* ---- failures ------------------------------------------------------------------------------- */

void
newt_pg_range_broken(const newt_pg_range *range, int64 zoid, const char *what)
{
    const newt_pg_tree_node *root = &range->steps[0].node;

    ereport(ERROR,
            (errcode(ERRCODE_DATA_CORRUPTED),
             errmsg("node " INT64_FORMAT " of the tree %.*s " INT64_FORMAT " %s", zoid,
                    root->class_n, root->class_name, range->zoid, what),
             errhint("newt_btree_check looks at the whole tree, newt_btree_repair makes it anew of "
                     "its leaves.")));
    pg_unreachable();
}

/* Of a record that is none. */
static void
add_context(void *arg)
{
    errcontext("node " INT64_FORMAT " of a tree", *(const int64 *)arg);
}

static const char *
read_node(newt_pg_tree_node *x, const bytea *record, int64 zoid, bool *is_node)
{
    ErrorContextCallback context = {
        .previous = error_context_stack, .callback = add_context, .arg = &zoid};
    const char *fault;

    error_context_stack = &context;
    fault = newt_pg_tree_node_read(x, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record), is_node);
    error_context_stack = context.previous;
    return fault;
}

/* ---- bounds --------------------------------------------------------------------------------- */

NEWT_PG_NORETURN static void
refuse(const newt_pg_range *range, const newt_pg_bound *bound, int part, int n_parts)
{
    const newt_pg_tree_node *root = &range->steps[0].node;
    char *detail;

    if (part < 0)
        detail = psprintf("A key has %d parts, and is an array of them or of the first ones.",
                          n_parts);
    else if (n_parts > 1)
        detail = psprintf("Part %d of a key is %s.", part + 1,
                          newt_pg_part_noun(range->kinds[part]));
    else
        detail = psprintf("A key is %s.", newt_pg_part_noun(range->kinds[part]));
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("%s is no key of the tree %.*s " INT64_FORMAT, bound->name,
                           root->class_n, root->class_name, range->zoid),
                    errdetail_internal("%s", detail)));
    pg_unreachable();
}

static void
read_parts(const newt_pg_range *range, newt_pg_bound *bound, int n_parts)
{
    const JsonbContainer *root = &bound->given->root;
    bool is_array = JsonContainerIsArray(root) && !JsonContainerIsScalar(root);
    JsonbValue v;

    if (n_parts > 1) {
        uint32 n = is_array ? JsonContainerSize(root) : 0;

        if (n < 1 || n > (uint32)n_parts)
            refuse(range, bound, -1, n_parts);
        bound->key.n = (int)n;
    } else
        bound->key.n = 1;
    for (int i = 0; i < bound->key.n; i++) {
        if (n_parts > 1 || JsonContainerIsScalar(root))
            newt_pg_read_entry(root, (uint32)i,
                               (const char *)&root->children[JsonContainerSize(root)], &v);
        else {
            v.type = jbvBinary;
            v.val.binary.data = unconstify(JsonbContainer *, root);
            v.val.binary.len = (int)(VARSIZE(bound->given) - VARHDRSZ);
        }
        if (!newt_pg_part_of_json(&v, range->kinds[i], &bound->key.parts[i]))
            refuse(range, bound, i, n_parts);
    }
    bound->is_known = true;
}

static void
learn_kinds(newt_pg_range *range, const newt_pg_tree_node *x)
{
    for (int part = 0; part < x->n_parts; part++)
        range->kinds[part] = x->keys[part][0].kind;
    if (range->from.given)
        read_parts(range, &range->from, x->n_parts);
    if (range->to.given)
        read_parts(range, &range->to, x->n_parts);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static bool
has_other_keys(const newt_pg_range *range, const newt_pg_tree_node *x)
{
    bool other = x->n_parts != range->steps[0].node.n_parts;

    for (int part = 0; part < x->n_parts && !other; part++)
        other = x->keys[part][0].kind != range->kinds[part];
    return other;
}

static void
check_place(const newt_pg_range *range, const newt_pg_step *step, int64 zoid)
{
    const newt_pg_tree_node *x = &step->node;

    if (x->has_values != range->steps[0].node.has_values)
        newt_pg_range_broken(range, zoid, "is of a tree with other values");
    if (x->n == 0)
        return;
    if (has_other_keys(range, x))
        newt_pg_range_broken(range, zoid, "is of a tree with other keys");
    if (step->has_low && newt_pg_tree_node_compare(x, 0, &step->low) < 0)
        newt_pg_range_broken(range, zoid, "begins before the node above says");
    if (step->has_high && newt_pg_tree_node_compare(x, x->n - 1, &step->high) >= 0)
        newt_pg_range_broken(range, zoid, "goes on beyond what the node above says");
}

/* Reads the node of a step; false: there is no such object. */
static bool
load(newt_pg_range *range, int depth, int64 zoid)
{
    newt_pg_step *step = &range->steps[depth];
    MemoryContext before = MemoryContextSwitchTo(range->memory);
    TupleTableSlot *slot;
    const char *fault;
    bytea *record;
    Datum state;
    bool is_null, is_node;

    CHECK_FOR_INTERRUPTS();
    slot = newt_pg_lookup_find(&range->records, zoid);
    state = slot ? slot_getattr(slot, NEWT_PG_LOOKUP_STATE + 1, &is_null) : (Datum)0;
    if (!slot || is_null) {
        MemoryContextSwitchTo(before);
        return false;
    }
    if (step->memory)
        MemoryContextReset(step->memory);
    else
        step->memory = AllocSetContextCreate(range->memory, "newt tree node", ALLOCSET_SMALL_SIZES);
    MemoryContextSwitchTo(step->memory);
    record = DatumGetByteaPCopy(state);
    fault = read_node(&step->node, record, zoid, &is_node);
    if (depth == 0 && (!is_node || (!fault && !step->node.is_root)))
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg(is_node ? "%.*s " INT64_FORMAT " is a node inside of a tree"
                                       : "%.*s " INT64_FORMAT " is no tree",
                               step->node.class_n, step->node.class_name, zoid)));
    if (fault)
        newt_pg_range_broken(range, zoid, fault);
    MemoryContextSwitchTo(range->memory);
    if (range->kinds[0] == NEWT__END && step->node.n > 0)
        learn_kinds(range, &step->node);
    MemoryContextSwitchTo(before);
    check_place(range, step, zoid);
    return true;
}

/* The child to which a step leads. */
static newt_pg_step *
load_child(newt_pg_range *range, int depth)
{
    newt_pg_step *up = &range->steps[depth], *step = up + 1;
    int64 zoid = up->node.children[up->at];

    step->has_low = up->at > 0 || up->has_low;
    step->has_high = up->at < up->node.n || up->has_high;
    if (up->at > 0)
        newt_pg_tree_node_key(&up->node, up->at - 1, &step->low);
    else if (up->has_low)
        step->low = up->low;
    if (up->at < up->node.n)
        newt_pg_tree_node_key(&up->node, up->at, &step->high);
    else if (up->has_high)
        step->high = up->high;
    if (!load(range, depth + 1, zoid))
        newt_pg_range_broken(range, zoid, "does not exist");
    if (step->node.level != up->node.level - 1)
        newt_pg_range_broken(range, zoid, "is of another level than the node above says");
    return step;
}

/* ---- ways ----------------------------------------------------------------------------------- */

static void
enter_leaf(newt_pg_range *range, int depth)
{
    const newt_pg_tree_node *leaf = &range->steps[depth].node;

    range->depth = depth;
    if (range->descending)
        range->stop = range->from.is_known
                          ? newt_pg_tree_node_search(leaf, &range->from.key, range->from.without)
                          : 0;
    else
        range->stop = range->to.is_known
                          ? newt_pg_tree_node_search(leaf, &range->to.key, !range->to.without)
                          : leaf->n;
}

/* To the leaf where the range begins. A key that equals the one between two children is in the
 * second; what begins with a part of a key may be in the first, too. */
static void
descend(newt_pg_range *range)
{
    const newt_pg_bound *begin = range->descending ? &range->to : &range->from;
    bool after = range->descending ? !begin->without : begin->without;
    newt_pg_step *step = &range->steps[0];

    for (int depth = 0;; depth++) {
        const newt_pg_tree_node *x = &step->node;

        if (begin->is_known)
            step->at = newt_pg_tree_node_search(
                x, &begin->key, after || (x->level > 0 && begin->key.n == x->n_parts));
        else
            step->at = range->descending ? x->n : 0;
        if (x->level == 0) {
            enter_leaf(range, depth);
            return;
        }
        step = load_child(range, depth);
    }
}

/* Whether no other leaf is in the range. */
static bool
ends_here(const newt_pg_range *range)
{
    const newt_pg_step *leaf = &range->steps[range->depth];
    int order;

    if (range->descending) {
        if (range->stop > 0)
            return true;
        if (!leaf->has_low || !range->from.is_known)
            return false;
        /* other keys are less than low */
        order = 0;
        for (int part = 0; part < range->from.key.n && order == 0; part++)
            order = newt_pg_part_compare(&leaf->low.parts[part], &range->from.key.parts[part]);
        return order < 0 ||
               (order == 0 && (range->from.without || range->from.key.n == leaf->low.n));
    }
    if (range->stop < leaf->node.n)
        return true;
    if (!leaf->has_high || !range->to.is_known)
        return false;
    order = 0;
    for (int part = 0; part < range->to.key.n && order == 0; part++)
        order = newt_pg_part_compare(&leaf->high.parts[part], &range->to.key.parts[part]);
    return order > 0 || (order == 0 && range->to.without);
}

/* To the next leaf; false: there is none. */
static bool
next_leaf(newt_pg_range *range)
{
    int depth = range->depth - 1;
    newt_pg_step *step;

    while (depth >= 0 &&
           range->steps[depth].at == (range->descending ? 0 : range->steps[depth].node.n))
        depth--;
    if (depth < 0)
        return false;
    range->steps[depth].at += range->descending ? -1 : 1;
    do {
        step = load_child(range, depth++);
        step->at = range->descending ? step->node.n : 0;
    } while (step->node.level > 0);
    enter_leaf(range, depth);
    return true;
}

/* ---- for others ----------------------------------------------------------------------------- */

const newt_pg_tree_node *
newt_pg_range_open(newt_pg_range *range)
{
    range->memory = CurrentMemoryContext;
    range->from.name = "from_key";
    range->to.name = "to_key";
    if (!range->records.plan)
        newt_pg_lookup_begin(&range->records, range->store);
    range->is_open = load(range, 0, range->zoid);
    return range->is_open ? &range->steps[0].node : NULL;
}

const newt_pg_tree_node *
newt_pg_range_next(newt_pg_range *range, uint32 *i)
{
    newt_pg_step *leaf;

    if (!range->is_open)
        return NULL;
    if (!range->is_begun)
        descend(range);
    range->is_begun = true;
    for (;;) {
        leaf = &range->steps[range->depth];
        if (range->descending ? leaf->at > range->stop : leaf->at < range->stop) {
            *i = range->descending ? --leaf->at : leaf->at++;
            return &leaf->node;
        }
        if (ends_here(range) || !next_leaf(range))
            return NULL;
    }
}

void
newt_pg_range_close(newt_pg_range *range)
{
    newt_pg_lookup_end(&range->records);
}
