/*
 * indexed_store.h - a store of things with indexes, for programs that have them and one that has
 * not
 */
#ifndef NEWT_TESTS_INDEXED_STORE_H
#define NEWT_TESTS_INDEXED_STORE_H

#include "indexed.h"

/* ---- stores ------------------------------------------------------------------------------------
 */

UNUSED static void
open_store(store *s)
{
    store_make(s, "indexes");
    s->db = store_db(s, things, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
    build(s->a, NULL);
}

/* The same class, to a program that knows nothing of the indexes. */
static const newt_hooks plain_hooks = {.size = sizeof plain_hooks, .resolve = newt_resolve_fields};
UNUSED static newt_class plain_class;
UNUSED static newt_field plain_fields[16];
UNUSED static const newt_class *const plain[] = {&plain_class, NULL};

/* The class of things with other hooks. */
UNUSED static void
make_variant(newt_class *k, newt_field *fields, const newt_hooks *hooks)
{
    memcpy(fields, thing_class.fields, thing_class.n_fields * sizeof *fields);
    for (uint32_t i = 0; i < thing_class.n_fields; i++)
        if (fields[i].type == &thing_class)
            fields[i].type = k;
    *k = thing_class;
    k->fields = fields;
    k->hooks = hooks;
}

UNUSED static newt_db *
open_plain(const store *s)
{
    make_variant(&plain_class, plain_fields, &plain_hooks);
    return store_db(s, plain, (newt_options){0});
}

UNUSED static thing_ref
make_with(newt_conn *c, const char *code, thing_ref owner, int priority)
{
    struct thing *t = make_thing(c, code);
    thing_ref r = thing_id(t);

    t->owner = owner;
    t->priority = priority;
    t->status = OPEN_THING;
    thing_done(t);
    return r;
}

/* With a snapshot of now: what others commit from now on is met at commit. */
UNUSED static void
begin_now(newt_conn *c)
{
    newt_ref missing = {INT64_MAX};

    begin(c);
    ok(c, newt_prefetch(c, &missing, 1));
}

UNUSED static by_code_key
coded(const char *code)
{
    return (by_code_key){.code = newt_str(code)};
}

UNUSED static bool
is_found(newt_conn *c, const char *code, thing_ref r)
{
    thing_ref found = {{0}};
    int status = by_code_get(c, coded(code), &found);

    if (status < 0)
        fail_error("by_code_get", newt_conn_error(c));
    return status == 1 && found.any.oid == r.any.oid;
}

UNUSED static bool
is_missing(newt_conn *c, const char *code)
{
    int status = by_code_get(c, coded(code), NULL);

    if (status < 0)
        fail_error("by_code_get", newt_conn_error(c));
    return status == 0;
}

UNUSED static void
set_code(newt_conn *c, thing_ref r, const char *code)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    newt_set(t, code, code);
    thing_done(t);
}

UNUSED static void
set_priority(newt_conn *c, thing_ref r, int priority)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    t->priority = priority;
    thing_done(t);
}

UNUSED static void
set_other(newt_conn *c, thing_ref r, int64_t value)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    t->other = value;
    thing_done(t);
}

/* Numbers of all sizes. */
struct wide;
NEWT_DECLARE(wide);
struct wide {
    int8_t i8;
    int16_t i16;
    int64_t i64;
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    newt_weak weak;
};
NEWT_DECLARE_INDEX3(by_ints, wide, i8, i16, i64);
NEWT_DECLARE_INDEX3(by_uints, wide, u8, u32, u64);
NEWT_DECLARE_INDEX(by_weak, wide, weak);
NEWT_INDEX3(by_ints, "wide.ints", wide, i8, i16, i64);
NEWT_INDEX3(by_uints, "wide.uints", wide, u8, u32, u64);
NEWT_INDEX(by_weak, "wide.weak", wide, weak);
UNUSED static const newt_hooks wide_hooks = {
    .size = sizeof wide_hooks,
    .indexes = NEWT_INDEXES(&by_ints_index, &by_uints_index, &by_weak_index)};
NEWT_CLASS(wide, "Wide", 1, &wide_hooks, NEWT_FIELD(struct wide, i8), NEWT_FIELD(struct wide, i16),
           NEWT_FIELD(struct wide, i64), NEWT_FIELD(struct wide, u8), NEWT_FIELD(struct wide, u32),
           NEWT_FIELD(struct wide, u64), NEWT_FIELD(struct wide, weak));

/* ---- things from before there was an index -----------------------------------------------------
 */

enum {
    OLD_THINGS = 230
};

UNUSED static void
make_old(newt_db *db, thing_ref refs[OLD_THINGS])
{
    newt_conn *c = connect_(db);

    begin(c);
    for (int i = 0; i < OLD_THINGS; i++) {
        struct thing *t = newt_new(c, &plain_class);
        char code[20];

        assert_non_null(t);
        snprintf(code, sizeof code, "old %d", i);
        newt_set(t, code, code);
        t->due.days = i;
        refs[i] = thing_id(t);
    }
    commit(c);
    newt_close(c);
}

#endif
