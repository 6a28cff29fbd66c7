/*
 * index_definitions.c - indexes that are changed, damaged, upgraded or refused
 */
#include "indexed_store.h"

/* ---- definitions
 * ---------------------------------------------------------------------------------- */

/* The class with one index, which a test changes. */
static newt_index changed_index;
static const newt_index *const changed_indexes[] = {&changed_index, NULL};
static const newt_hooks changed_hooks = {.size = sizeof changed_hooks, .indexes = changed_indexes};
static newt_class changed_class;
static newt_field changed_fields[16];
static const newt_class *const changed[] = {&changed_class, NULL};

static newt_db *
open_changed(const store *s, newt_index x)
{
    changed_index = x;
    changed_index.class_ = &changed_class;
    make_variant(&changed_class, changed_fields, &changed_hooks);
    return store_db(s, changed, (newt_options){0});
}

static bool
never(const void *object)
{
    (void)object;
    return false;
}

static void
test_definitions(void **state)
{
    static const newt_index_part parts[] = {{"number", 0, 2}, {"code", 8, 16}};
    newt_index x = by_due_index, others[5];
    thing_ref refs[OLD_THINGS];
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = open_plain(&s);
    make_old(s.db, refs);
    db = open_changed(&s, x);
    c = connect_(db);
    build(c, &changed_index);
    newt_close(c);
    newt_db_close(db);
    for (int i = 0; i < 5; i++)
        others[i] = x;
    others[0].unique = true;
    others[1].n_parts = 1;
    others[2].parts[0] = parts[0];
    others[3].where = is_open;
    others[3].where_name = "is_open";
    others[4].where = never;
    others[4].where_name = "never";
    for (int i = 0; i < 5; i++) {
        newt_index_building b = {.size = sizeof b};
        by_due_key key = {.due = {5}, .code = newt_str("old 5")};

        db = open_changed(&s, others[i]);
        c = connect_(db);
        assert_int_equal(newt_index_build(c, &changed_index, &b), NEWT_ECLASS);
        begin(c);
        assert_int_equal(newt_index_get(c, &changed_index, &key, NULL), NEWT_ECLASS);
        struct thing *t = newt_write(c, refs[0].any, &changed_class);
        t->other++;
        assert_int_equal(newt_commit(c), NEWT_ECLASS);
        assert_non_null(strstr(newt_error_message(newt_conn_error(c)), "things.due"));
        b.rebuild = true;
        while (!b.over)
            ok(c, newt_index_build(c, &changed_index, &b));
        begin(c);
        assert_int_equal(newt_index_count(c, &changed_index, NULL), i < 3 ? OLD_THINGS : 0);
        t = newt_write(c, refs[0].any, &changed_class);
        t->other++;
        commit(c);
        newt_close(c);
        newt_db_close(db);
    }
    db = open_changed(&s, others[4]);
    c = connect_(db);
    begin(c);
    ok(c, newt_index_forget(c, "things.due"));
    commit(c);
    begin(c);
    assert_int_equal(newt_index_count(c, &changed_index, NULL), NEWT_EMISSING);
    assert_int_equal(newt_index_forget(c, "things.due"), NEWT_EMISSING);
    newt_abort(c);
    build(c, NULL);
    newt_close(c);
    newt_db_close(db);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    store_close(&s);
}

/* More names of an enum are no other definition; other ones are. */
static void
test_enum_names(void **state)
{
    static const char *const more[] = {"new", "open", "closed", "lost", NULL};
    static const char *const renamed[] = {"new", "closed", "open", NULL};
    newt_field fields[16];
    newt_class k;
    newt_hooks hooks = {.size = sizeof hooks};
    newt_index x = by_state_index;
    const newt_index *list[] = {&x, NULL};
    const newt_class *classes_of[] = {&k, NULL};
    static const char *const *const names[] = {statuses, more, statuses, renamed};
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = store_db(&s, classes, (newt_options){0});
    make_variant(&k, fields, &hooks);
    hooks.indexes = list;
    x.class_ = &k;
    for (int i = 0; i < 4; i++) {
        newt_index_building b = {.size = sizeof b};
        newt_db *db;
        newt_conn *c;

        k.version = i + 1;
        for (uint32_t j = 0; j < k.n_fields; j++)
            if (fields[j].names)
                fields[j].names = names[i];
        db = store_db(&s, classes_of, (newt_options){0});
        c = connect_(db);
        assert_int_equal(newt_index_build(c, &x, &b), i < 3 ? NEWT_OK : NEWT_ECLASS);
        newt_close(c);
        newt_db_close(db);
    }
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    store_close(&s);
}

/* ---- what is left behind
 * --------------------------------------------------------------------------- */

static void
test_check(void **state)
{
    thing_ref refs[OLD_THINGS];
    int64_t problems;
    struct thing *t;
    newt_db *old;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    c = connect_(old);
    begin(c); /* a program that does not know the indexes */
    t = newt_write(c, refs[1].any, &plain_class);
    newt_set(t, code, "changed");
    ok(c, newt_delete(c, refs[2].any));
    t = newt_new(c, &plain_class);
    newt_set(t, code, "made");
    commit(c);
    ok(s.a, newt_index_check(s.a, &by_code_index, false, NULL, NULL, &problems));
    /* changed: not in it, and under the old key; deleted; made */
    assert_int_equal(problems, 4);
    begin(s.b); /* what is met is put right */
    make_with(s.b, "old 1", (thing_ref){{0}}, 0);
    make_with(s.b, "old 2", (thing_ref){{0}}, 0);
    commit(s.b);
    ok(s.a, newt_index_check(s.a, &by_code_index, false, NULL, NULL, &problems));
    assert_int_equal(problems, 2);
    for (const newt_index *const *x = thing_hooks.indexes; *x; x++)
        ok(s.a, newt_index_check(s.a, *x, true, NULL, NULL, &problems));
    check_indexes(s.a);
    begin(c); /* two with one code */
    t = newt_new(c, &plain_class);
    newt_set(t, code, "made");
    commit(c);
    for (const newt_index *const *x = thing_hooks.indexes + 1; *x; x++)
        ok(s.a, newt_index_check(s.a, *x, true, NULL, NULL, &problems));
    ok(s.a, newt_index_check(s.a, &by_code_index, true, NULL, NULL, &problems));
    assert_int_equal(problems, 1);
    ok(s.a, newt_index_check(s.a, &by_code_index, true, NULL, NULL, &problems));
    assert_int_equal(problems, 1); /* it cannot be mended */
    newt_close(c);
    newt_db_close(old);
    store_close(&s);
}

/* What newt_upgrade_all changes is put right, too. */
static int
delay(newt_conn *c, void *object, const newt_record *record, void *arg)
{
    struct thing *t = object;

    (void)c;
    (void)record;
    (void)arg;
    t->due.days += 1000;
    return NEWT_OK;
}

static void
test_upgraded(void **state)
{
    newt_upgrade u = {.size = sizeof u, .work = delay};
    by_due_key from = {.due = {1000}, .code = newt_str("")};
    thing_ref refs[OLD_THINGS];
    newt_db *old;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    while (!u.over)
        ok(s.a, newt_upgrade_all(s.a, &thing_class, &u));
    begin(s.a);
    assert_int_equal(by_due_count(s.a, &(by_due_range_of){.from = &from}), OLD_THINGS);
    assert_int_equal(by_due_count(s.a, NULL), OLD_THINGS);
    newt_abort(s.a);
    check_indexes(s.b);
    store_close(&s);
}

/* ---- tables
 * ------------------------------------------------------------------------------------------ */

static void
expect_refusal(const store *s, newt_index x, const char *message)
{
    newt_options o = {.size = sizeof o, .schema = store_schema(s)};
    newt_db *db;

    changed_index = x;
    make_variant(&changed_class, changed_fields, &changed_hooks);
    if (changed_index.class_ == &thing_class)
        changed_index.class_ = &changed_class;
    assert_int_equal(newt_db_open(&db, s->uri, changed, &o), NEWT_ECLASS);
    if (!strstr(newt_error_message(newt_db_error(db)), message))
        fail_msg("\"%s\", not \"%s\"", newt_error_message(newt_db_error(db)), message);
    newt_db_close(db);
}

static void
test_refused(void **state)
{
    newt_index x;
    newt_ref r;
    store s;

    (void)state;
    open_store(&s);
    x = by_code_index;
    x.size = 4;
    expect_refusal(&s, x, "wrong size");
    x = by_code_index;
    x.name = "";
    expect_refusal(&s, x, "is empty");
    x = by_code_index;
    x.class_ = &item_class;
    expect_refusal(&s, x, "of another class");
    x = by_code_index;
    x.n_parts = 4;
    expect_refusal(&s, x, "key of 4 parts");
    x = by_code_index;
    x.parts[0].field = "cod";
    expect_refusal(&s, x, "no field of class");
    x = by_code_index;
    x.parts[0].size = 8;
    expect_refusal(&s, x, "16 bytes, but 8");
    x = by_code_index;
    x.where = is_open;
    expect_refusal(&s, x, "without where_name");
    begin(s.a);
    x = by_code_index;
    assert_int_equal(newt_index_get(s.a, &by_ints_index, &x, &r), NEWT_ECLASS);
    newt_abort(s.a);
    assert_int_equal(newt_index_build(s.a, &by_ints_index,
                                      &(newt_index_building){.size = sizeof(newt_index_building)}),
                     NEWT_ECLASS);
    store_close(&s);
}

static const struct CMUnitTest index_definitions[] = {
    cmocka_unit_test(test_definitions), cmocka_unit_test(test_enum_names),
    cmocka_unit_test(test_check),       cmocka_unit_test(test_upgraded),
    cmocka_unit_test(test_refused),
};

int
main(void)
{
    return run_all(index_definitions);
}
