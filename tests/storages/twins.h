/*
 * twins.h - a class with references to other stores, in every shape
 */
#ifndef NEWT_TESTS_TWINS_H
#define NEWT_TESTS_TWINS_H

#include "stored.h"

struct twin;
NEWT_DECLARE(twin);
struct twin {
    newt_text name;
    newt_store_ref other;
    NEWT_ARRAY(newt_store_ref) friends;
    NEWT_MAP(newt_store_ref) named;
    int64_t n;
};
/* clang-format off */
static const newt_hooks twin_hooks = {.size = sizeof twin_hooks, .resolve = newt_resolve_fields};
NEWT_CLASS(twin, "Twin", 1, &twin_hooks, NEWT_FIELD(struct twin, name),
           NEWT_FIELD(struct twin, other), NEWT_LIST(struct twin, friends),
           NEWT_MAPOF(struct twin, named), NEWT_FIELD(struct twin, n));
/* clang-format on */

static const newt_class *const twins[] = {&twin_class, NULL};

UNUSED static void
assert_far(newt_store_ref r, const char *name, int64_t oid)
{
    assert_string_equal(r.store.s, name);
    assert_int_equal(r.store.n, strlen(name));
    assert_int_equal(r.oid, oid);
}

/* A database of the store under a name by which others refer to it. */
UNUSED static newt_db *
named_db(const store *s, const char *name)
{
    return store_db(s, twins, (newt_options){.store_name = name});
}

/* A committed one, which refers to r in the store of `of` everywhere. */
UNUSED static twin_ref
make_twin(newt_conn *c, const newt_conn *of, newt_ref r)
{
    struct twin *t;
    twin_ref made;

    begin(c);
    t = twin_new(c);
    assert_non_null(t);
    ok(c, newt_store_ref_set(twin_obj(t), &t->other, of, r));
    ok(c, newt_append(t, friends, (newt_store_ref){0}));
    ok(c, newt_append(t, friends, (newt_store_ref){0}));
    ok(c, newt_store_ref_set(twin_obj(t), &newt_items(t, friends)[1], of, r));
    ok(c, newt_store_ref_set(twin_obj(t), newt_put(t, named, "k"), of, r));
    made = twin_id(t);
    commit(c);
    return made;
}

#endif
