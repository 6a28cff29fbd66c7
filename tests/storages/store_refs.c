/*
 * store_refs.c - references to objects of other stores: kept, shown, merged, refused. That they are
 * followed from store to store is in tests/faults/references.c
 */
#include "twins.h"

typedef struct ground {
    store s;
    newt_db *people; /* the same store, under a name */
    newt_conn *of;
    newt_db *db;
    newt_conn *a, *b;
} ground;

static void
ground_open(ground *g, const char *name)
{
    store_open(&g->s, name);
    g->people = named_db(&g->s, "people");
    g->of = connect_(g->people);
    g->db = store_db(&g->s, twins, (newt_options){0});
    g->a = connect_(g->db);
    g->b = connect_(g->db);
}

static void
ground_close(ground *g)
{
    newt_close(g->of);
    newt_close(g->a);
    newt_close(g->b);
    newt_db_close(g->people);
    newt_db_close(g->db);
    store_close(&g->s);
}

static void
assert_twin(newt_conn *c, twin_ref r, const char *name, int64_t oid)
{
    const struct twin *t;

    newt__cache_clear(&c->jar);
    begin(c);
    t = twin_read(c, r);
    if (!t)
        fail_error("twin_read", newt_conn_error(c));
    assert_far(t->other, name, oid);
    assert_int_equal(t->friends.n, 2);
    assert_null(t->friends.items[0].store.s);
    assert_int_equal(t->friends.items[0].oid, 0);
    assert_far(t->friends.items[1], name, oid);
    assert_far(*newt_find(t, named, "k"), name, oid);
    newt_abort(c);
}

static void
test_kept(void **state)
{
    static const int64_t oids[] = {1, 23, 24, 4711, INT64_MAX};
    struct twin *t;
    newt_conn *c;
    int64_t point;
    json_t *json, *expected;
    twin_ref r;
    ground g;

    (void)state;
    ground_open(&g, "kept");
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++) {
        r = make_twin(g.a, g.of, (newt_ref){oids[i]});
        assert_twin(g.a, r, "people", oids[i]);
        assert_twin(g.b, r, "people", oids[i]);
    }
    /* what others see who do not know the class */
    json = newt_bag_state(stored(g.s.db, r.any, &c));
    expected = json_pack("{s:{s:[i,[s,I]]}, s:[n,{s:[i,[s,I]]}], s:{s:{s:[i,[s,I]]}}, s:i}",
                         "other", "::tag", 38401, "people", INT64_MAX, "friends", "::tag", 38401,
                         "people", INT64_MAX, "named", "k", "::tag", 38401, "people", INT64_MAX,
                         "n", 0);
    if (!json_equal(json, expected))
        fail_msg("%s", json_dumps(json, 0));
    json_decref(json);
    json_decref(expected);
    newt_close(c);
    /* through the temporary file, and back */
    begin(g.a);
    t = twin_write(g.a, r);
    assert_non_null(t);
    ok(g.a, newt_store_ref_set(twin_obj(t), &t->other, g.of, (newt_ref){7}));
    ok(g.a, newt_savepoint(g.a, &point));
    ok(g.a, newt_store_ref_set(twin_obj(t), &t->other, NULL, (newt_ref){8}));
    assert_null(t->other.store.s);
    assert_int_equal(t->other.oid, 0);
    ok(g.a, newt_rollback_to(g.a, point));
    assert_far(t->other, "people", 7);
    ok(g.a, newt_store_ref_set(twin_obj(t), &newt_items(t, friends)[1], g.of, (newt_ref){0}));
    commit(g.a);
    begin(g.b);
    assert_far(twin_read(g.b, r)->other, "people", 7);
    assert_null(twin_read(g.b, r)->friends.items[1].store.s);
    newt_abort(g.b);
    ground_close(&g);
}

static void
test_copied(void **state)
{
    twin_ref r;
    newt_db *db;
    newt_conn *c;
    store to;
    ground g;

    (void)state;
    if (!on_sqlite())
        needs_server();
    ground_open(&g, "copied");
    r = make_twin(g.a, g.of, (newt_ref){5});
    store_open(&to, "copy");
    ok(g.a, newt_copy(g.a, to.a, NULL));
    db = store_db(&to, twins, (newt_options){0});
    c = connect_(db);
    assert_twin(c, r, "people", 5);
    newt_close(c);
    newt_db_close(db);
    store_close(&to);
    ground_close(&g);
}

/* The fields that both have changed differ; the merged object has memory of its own. */
static void
test_merged(void **state)
{
    struct twin *t;
    twin_ref r;
    ground g;

    (void)state;
    ground_open(&g, "merged");
    r = make_twin(g.a, g.of, (newt_ref){5});
    begin(g.a);
    begin(g.b);
    t = twin_write(g.a, r);
    assert_non_null(t);
    t->n = 1;
    t = twin_write(g.b, r);
    assert_non_null(t);
    ok(g.b, newt_store_ref_set(twin_obj(t), &t->other, g.of, (newt_ref){6}));
    commit(g.b);
    commit(g.a);
    begin(g.a);
    assert_far(twin_read(g.a, r)->other, "people", 6);
    assert_far(twin_read(g.a, r)->friends.items[1], "people", 5);
    assert_int_equal(twin_read(g.a, r)->n, 1);
    newt_abort(g.a);
    /* both have changed the same one */
    begin(g.a);
    begin(g.b);
    t = twin_write(g.a, r);
    assert_non_null(t);
    ok(g.a, newt_store_ref_set(twin_obj(t), &t->other, g.of, (newt_ref){7}));
    t = twin_write(g.b, r);
    assert_non_null(t);
    ok(g.b, newt_store_ref_set(twin_obj(t), &t->other, g.of, (newt_ref){8}));
    commit(g.b);
    assert_int_equal(newt_commit(g.a), NEWT_ECONFLICT);
    ground_close(&g);
}

struct bond {
    newt_store_ref other;
    int64_t n;
};
NEWT_DECLARE(bond);

static bool shared;

static int
resolve_bond(const void *old, const void *committed, void *ours, void *arg)
{
    const struct bond *theirs = committed, *merged = ours;
    int status = newt_resolve_fields(old, committed, ours, arg);

    shared = merged->other.store.s == theirs->other.store.s;
    return status;
}

static const newt_hooks bond_hooks = {.size = sizeof bond_hooks, .resolve = resolve_bond};
NEWT_CLASS(bond, "Bond", 1, &bond_hooks, NEWT_FIELD(struct bond, other),
           NEWT_FIELD(struct bond, n));
static const newt_class *const bonds[] = {&bond_class, NULL};

/* What others have committed goes: nothing of it is left in what was merged. */
static void
test_merged_alone(void **state)
{
    newt_conn *c[2];
    struct bond *b;
    bond_ref r;
    newt_db *db;
    ground g;

    (void)state;
    ground_open(&g, "alone");
    db = store_db(&g.s, bonds, (newt_options){0});
    for (int i = 0; i < 2; i++)
        c[i] = connect_(db);
    begin(c[0]);
    b = bond_new(c[0]);
    assert_non_null(b);
    ok(c[0], newt_store_ref_set(bond_obj(b), &b->other, g.of, (newt_ref){5}));
    r = bond_id(b);
    commit(c[0]);
    begin(c[0]);
    begin(c[1]);
    b = bond_write(c[0], r);
    assert_non_null(b);
    b->n = 1;
    b = bond_write(c[1], r);
    assert_non_null(b);
    ok(c[1], newt_store_ref_set(bond_obj(b), &b->other, g.of, (newt_ref){6}));
    commit(c[1]);
    shared = true;
    commit(c[0]);
    assert_false(shared);
    begin(c[0]);
    assert_far(bond_read(c[0], r)->other, "people", 6);
    newt_abort(c[0]);
    for (int i = 0; i < 2; i++)
        newt_close(c[i]);
    newt_db_close(db);
    ground_close(&g);
}

/* ---- refused ------------------------------------------------------------------------------ */

static void
assert_words(newt_conn *c, int status, const char *words)
{
    assert_int_equal(newt_status(c), status);
    if (!strstr(newt_error_message(newt_conn_error(c)), words))
        fail_msg("no \"%s\" in \"%s\"", words, newt_error_message(newt_conn_error(c)));
}

static void
test_refused(void **state)
{
    static const struct {
        const char *store;
        int64_t oid;
        const char *words;
    } wrong[] = {
        {"", 1, "refers to a store whose name is empty"},
        {"\xff", 1, "refers to a store whose name is not UTF-8"},
        {"people", 0, "refers to oid 0 of store \"people\""},
        {"people", -1, "refers to oid -1 of store \"people\""},
    };
    struct twin *t;
    twin_ref r;
    ground g;

    (void)state;
    ground_open(&g, "refused");
    r = make_twin(g.a, g.of, (newt_ref){5});
    begin(g.a);
    t = twin_write(g.a, r);
    assert_non_null(t);
    assert_int_equal(newt_store_ref_set(twin_obj(t), &t->other, g.a, r.any), NEWT_EINVAL);
    assert_words(g.a, NEWT_EINVAL, "of a store that has no name");
    assert_far(t->other, "people", 5);
    newt_abort(g.a);
    begin(g.a);
    t = twin_write(g.a, r);
    assert_non_null(t);
    assert_int_equal(newt_store_ref_set(twin_obj(t), &t->other, g.of, (newt_ref){-1}), NEWT_EINVAL);
    assert_words(g.a, NEWT_EINVAL, "a negative oid");
    newt_abort(g.a);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(g.a);
        t = twin_write(g.a, r);
        assert_non_null(t);
        ok(g.a, newt_text_set(twin_obj(t), &t->other.store, wrong[i].store));
        t->other.oid = wrong[i].oid;
        assert_int_equal(newt_commit(g.a), NEWT_EINVAL);
        assert_words(g.a, NEWT_EINVAL, wrong[i].words);
        assert_words(g.a, NEWT_EINVAL, "other");
    }
    assert_twin(g.b, r, "people", 5);
    ground_close(&g);
}

static newt_ref
make_bag(newt_conn *c, const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    newt_bag *bag;
    newt_ref r;

    assert_non_null(json);
    begin(c);
    bag = newt_bag_new(c, "Twin");
    assert_non_null(bag);
    bag->version = 1;
    ok(c, newt_bag_set(bag, "other", json));
    r = newt_bag_ref(bag);
    commit(c);
    json_decref(json);
    return r;
}

/* Records of others: [store, oid] may be anything there, and is kept; as this class it cannot be
 * read. */
static void
test_others(void **state)
{
    static const char *const wrong[] = {
        "{\"::tag\": [38401, [1, 2]]}",
        "{\"::tag\": [38401, [\"\", 2]]}",
        "{\"::tag\": [38401, [\"s\", 0]]}",
        "{\"::tag\": [38401, [\"s\", -2]]}",
        "{\"::tag\": [38401, [\"s\", {\"::int\": \"9223372036854775808\"}]]}",
        "{\"::tag\": [38401, [\"s\", \"2\"]]}",
        "{\"::tag\": [38401, [\"s\", [2]]]}",
        "{\"::tag\": [38401, [null, 2]]}",
        "{\"::tag\": [60000, [\"s\", 2]]}",
        "[\"s\", 2]",
        "{\"::=>\": 2}",
        "7",
    };
    const struct twin *t;
    newt_ref r;
    ground g;

    (void)state;
    ground_open(&g, "others");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r = make_bag(g.s.a, wrong[i]);
        begin(g.a);
        assert_null(twin_read(g.a, (twin_ref){r}));
        assert_words(g.a, NEWT_ECLASS, "other");
        newt_abort(g.a);
    }
    r = make_bag(g.s.a, "{\"::tag\": [38401, [\"s\", 2]]}");
    begin(g.a);
    t = twin_read(g.a, (twin_ref){r});
    if (!t)
        fail_error("twin_read", newt_conn_error(g.a));
    assert_far(t->other, "s", 2);
    newt_abort(g.a);
    ground_close(&g);
}

static void
test_names(void **state)
{
    static const char *const words[] = {"empty", "too long", "not UTF-8"};
    const char *const names[] = {"", "", "a\xc3"};
    char longest[257];
    newt_options o = {.size = sizeof o};
    newt_db *db;
    twin_ref r;
    ground g;

    (void)state;
    ground_open(&g, "names");
    memset(longest, 'x', sizeof longest);
    longest[256] = 0;
    o.schema = store_schema(&g.s);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        o.store_name = i == 1 ? longest : names[i];
        assert_int_equal(newt_db_open(&db, g.s.uri, twins, &o), NEWT_EINVAL);
        assert_non_null(strstr(newt_error_message(newt_db_error(db)), words[i]));
        newt_db_close(db);
    }
    longest[255] = 0;
    db = named_db(&g.s, longest);
    newt_close(g.of);
    g.of = connect_(db);
    memset(longest, 'y', 255); /* it was copied */
    r = make_twin(g.a, g.of, (newt_ref){3});
    memset(longest, 'x', 255);
    assert_twin(g.b, r, longest, 3);
    newt_close(g.of);
    newt_db_close(db);
    g.of = connect_(g.people);
    ground_close(&g);
}

/* One's own store has a name, too; others have to join. */
static void
test_own(void **state)
{
    static const char *const others[] = {"peopl", "people2", "People"};
    const struct twin *t;
    twin_ref r;
    ground g;

    (void)state;
    ground_open(&g, "own");
    r = make_twin(g.of, g.of, (newt_ref){5});
    begin(g.of);
    t = twin_read(g.of, r);
    assert_non_null(t);
    assert_ptr_equal(newt_store_ref_conn(g.of, t->other), g.of);
    assert_null(newt_store_ref_conn(g.of, t->friends.items[0]));
    assert_words(g.of, NEWT_EINVAL, "null");
    /* the whole name counts */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        newt_text name = {.s = others[i], .n = (uint32_t)strlen(others[i])};

        assert_null(newt_store_ref_conn(g.of, (newt_store_ref){.store = name, .oid = 5}));
        assert_words(g.of, NEWT_EMISSING, others[i]);
    }
    newt_abort(g.of);
    begin(g.a);
    t = twin_read(g.a, r);
    assert_non_null(t);
    assert_null(newt_store_ref_conn(g.a, t->other));
    assert_words(g.a, NEWT_EMISSING, "\"people\"");
    commit(g.a); /* it goes on */
    assert_null(newt_store_ref_conn(g.a, (newt_store_ref){0}));
    assert_int_equal(newt_status(g.a), NEWT_EBUSY);
    ground_close(&g);
}

static const struct CMUnitTest store_refs[] = {
    cmocka_unit_test(test_kept),    cmocka_unit_test(test_copied),
    cmocka_unit_test(test_merged),  cmocka_unit_test(test_merged_alone),
    cmocka_unit_test(test_refused), cmocka_unit_test(test_others),
    cmocka_unit_test(test_names),   cmocka_unit_test(test_own),
};

int
main(void)
{
    return run_all(store_refs);
}
