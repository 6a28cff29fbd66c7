/*
 * indexed.h - a class with indexes of every kind of key, for the tests of indexes
 */
#ifndef NEWT_TESTS_INDEXED_H
#define NEWT_TESTS_INDEXED_H

#include "../concurrency/concurrency.h"
#include "stored.h"

typedef enum thing_status {
    NEW_THING,
    OPEN_THING,
    CLOSED_THING
} thing_status;
static const char *const statuses[] = {"new", "open", "closed", NULL};

struct thing;
NEWT_DECLARE(thing);
struct thing {
    newt_text code;
    thing_ref owner;
    int32_t priority;
    bool urgent;
    thing_status status;
    newt_date due;
    uint16_t number;
    newt_time at;
    newt_uuid id;
    newt_bytes blob;
    int64_t other; /* in no index */
};

NEWT_DECLARE_INDEX(by_code, thing, code);
NEWT_DECLARE_INDEX2(open_things, thing, owner, priority);
NEWT_DECLARE_INDEX2(by_due, thing, due, code);
NEWT_DECLARE_INDEX3(by_state, thing, status, urgent, number);
NEWT_DECLARE_INDEX3(by_odd, thing, at, id, blob);

UNUSED static bool
is_open(const void *object)
{
    const struct thing *t = object;

    return t->status == OPEN_THING;
}

NEWT_INDEX(by_code, "things.code", thing, code, .unique = true);
NEWT_INDEX2(open_things, "things.open", thing, owner, priority, NEWT_WHERE(is_open));
NEWT_INDEX2(by_due, "things.due", thing, due, code);
NEWT_INDEX3(by_state, "things.state", thing, status, urgent, number);
NEWT_INDEX3(by_odd, "things.odd", thing, at, id, blob);

static const newt_hooks thing_hooks = {.size = sizeof thing_hooks,
                                       .indexes = NEWT_INDEXES(&by_code_index, &open_things_index,
                                                               &by_due_index, &by_state_index,
                                                               &by_odd_index),
                                       .resolve = newt_resolve_fields};
NEWT_CLASS(thing, "Thing", 1, &thing_hooks, NEWT_FIELD(struct thing, code),
           NEWT_REF(struct thing, owner, thing), NEWT_FIELD(struct thing, priority),
           NEWT_FIELD(struct thing, urgent), NEWT_ENUM(struct thing, status, statuses),
           NEWT_FIELD(struct thing, due), NEWT_FIELD(struct thing, number),
           NEWT_FIELD(struct thing, at), NEWT_FIELD(struct thing, id),
           NEWT_FIELD(struct thing, blob), NEWT_FIELD(struct thing, other));

static const newt_class *const things[] = {&thing_class, NULL};

/* Fills an index of the program's, or all. */
UNUSED static void
build(newt_conn *c, const newt_index *x)
{
    newt_index_building b = {.size = sizeof b};

    while (!b.over)
        ok(c, newt_index_build(c, x, &b));
}

UNUSED static int
print_fault(void *arg, newt_ref object, const char *problem)
{
    print_message("# object %lld %s: %s\n", (long long)object.oid, problem,
                  arg ? (const char *)arg : "");
    return NEWT_OK;
}

/* The indexes have what the objects say, and their trees have no fault. */
UNUSED static void
check_indexes(newt_conn *c)
{
    for (const newt_index *const *x = thing_hooks.indexes; *x; x++) {
        newt__index_tree tree;
        int64_t problems;
        char name[64];

        snprintf(name, sizeof name, "%s", (*x)->name);
        begin(c);
        ok(c, newt__index_tree_find(newt__jar_of(c), newt__index_of(newt__jar_of(c), *x), &tree));
        ok(c,
           newt_btree_check(c, tree.tree, &newt__index_node_class, print_fault, name, &problems));
        assert_int_equal(problems, 0);
        newt_abort(c);
        ok(c, newt_index_check(c, *x, false, print_fault, name, &problems));
        assert_int_equal(problems, 0);
    }
}

UNUSED static struct thing *
make_thing(newt_conn *c, const char *code)
{
    struct thing *t = thing_new(c);

    if (!t)
        fail_error("thing_new", newt_conn_error(c));
    newt_set(t, code, code);
    return t;
}

UNUSED static int64_t
count_open(newt_conn *c, thing_ref owner)
{
    const open_things_key key = {.owner = owner};

    return open_things_count(c, &(open_things_range_of){.equal = &key, .parts = 1});
}

#endif
