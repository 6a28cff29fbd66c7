/*
 * weak_refs.c - references that keep nothing: kept, shown, not followed; whether their object is
 * there; fields that become weak, and strong again
 */
#include "stored.h"

struct guest;
NEWT_DECLARE(guest);
struct guest {
    newt_text name;
    newt_weak host;
    newt_ref kept;
    NEWT_ARRAY(newt_weak) friends;
    NEWT_ARRAY(newt_weak) seen; /* a set */
    NEWT_MAP(newt_weak) named;
    NEWT_PAIRS(newt_weak, newt_weak) between;
    newt_json any;
};
/* clang-format off */
static const newt_hooks guest_hooks = {.size = sizeof guest_hooks, .resolve = newt_resolve_fields};
NEWT_CLASS(guest, "Guest", 1, &guest_hooks, NEWT_FIELD(struct guest, name),
           NEWT_FIELD(struct guest, host), NEWT_FIELD(struct guest, kept),
           NEWT_LIST(struct guest, friends), NEWT_SET(struct guest, seen),
           NEWT_MAPOF(struct guest, named), NEWT_PAIRSOF(struct guest, between),
           NEWT_FIELD(struct guest, any));
/* clang-format on */
static const newt_class *const guests[] = {&guest_class, &item_class, NULL};

static void
guests_open(store *s, const char *name, newt_options o)
{
    store_make(s, name);
    s->db = store_db(s, guests, o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

static newt_weak
weak(int64_t oid)
{
    return newt_weak_to((newt_ref){oid});
}

/* A committed one, with weak references everywhere. */
static guest_ref
make_guest(newt_conn *c, newt_ref to)
{
    struct guest *g;
    guest_ref made;
    json_t *json;

    begin(c);
    g = guest_new(c);
    assert_non_null(g);
    g->host = newt_weak_to(to);
    ok(c, newt_append(g, friends, newt_weak_to(to)));
    ok(c, newt_append(g, friends, weak(0)));
    ok(c, newt_append(g, seen, weak(300)));
    ok(c, newt_append(g, seen, newt_weak_to(to)));
    ok(c, newt_append(g, seen, weak(300)));
    *newt_put(g, named, "k") = newt_weak_to(to);
    assert_non_null(newt_array_grow(guest_obj(g), &g->between, sizeof *g->between.edit_, 1));
    newt_items(g, between)->key = weak(9);
    newt_items(g, between)->value = newt_weak_to(to);
    json = json_pack("[o]", newt_json_weak(newt_weak_to(to)));
    ok(c, newt_json_set(guest_obj(g), &g->any, json));
    json_decref(json);
    made = guest_id(g);
    commit(c);
    return made;
}

static void
assert_guest(newt_conn *c, guest_ref r, int64_t oid)
{
    const struct guest *g;
    json_t *json;

    newt__cache_clear(&c->jar);
    begin(c);
    g = guest_read(c, r);
    if (!g)
        fail_error("guest_read", newt_conn_error(c));
    assert_int_equal(newt_weak_ref(g->host).oid, oid);
    assert_int_equal(g->friends.n, 2);
    assert_int_equal(g->friends.items[0].oid, oid);
    assert_int_equal(g->friends.items[1].oid, 0);
    assert_int_equal(g->seen.n, 2);
    assert_int_equal(g->seen.items[0].oid, oid < 300 ? oid : 300);
    assert_int_equal(g->seen.items[1].oid, oid < 300 ? 300 : oid);
    assert_int_equal(newt_find(g, named, "k")->oid, oid);
    assert_int_equal(g->between.items[0].key.oid, 9);
    assert_int_equal(g->between.items[0].value.oid, oid);
    json = newt_json_get(&g->any);
    assert_int_equal(newt_json_to_weak(json_array_get(json, 0)).oid, oid);
    json_decref(json);
    newt_abort(c);
}

static void
test_kept(void **state)
{
    static const int64_t oids[] = {1, 23, 24, 4711, INT64_MAX};
    json_t *json, *expected;
    struct guest *g;
    int64_t point;
    newt_conn *c;
    guest_ref r;
    store s;

    (void)state;
    guests_open(&s, "kept", (newt_options){0});
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++) {
        r = make_guest(s.a, (newt_ref){oids[i]});
        assert_guest(s.a, r, oids[i]);
        assert_guest(s.b, r, oids[i]);
    }
    /* what others see who do not know the class; a null field is left out */
    json = newt_bag_state(stored(s.db, make_guest(s.a, (newt_ref){7}).any, &c));
    expected = json_loads("{\"host\": {\"::~>\": 7}, \"friends\": [{\"::~>\": 7}, null],"
                          " \"seen\": {\"::set\": [{\"::~>\": 7}, {\"::~>\": 300}]},"
                          " \"named\": {\"k\": {\"::~>\": 7}},"
                          " \"between\": {\"::pairs\": [[{\"::~>\": 9}, {\"::~>\": 7}]]},"
                          " \"any\": [{\"::~>\": 7}]}",
                          0, NULL);
    if (!json_equal(json, expected))
        fail_msg("%s", json_dumps(json, 0));
    json_decref(json);
    json_decref(expected);
    newt_close(c);
    assert_sql(s.pg, "7",
               "SELECT state->'host'->>'::~>' FROM newt WHERE state @> "
               "'{\"named\": {\"k\": {\"::~>\": 7}}}'");
    /* through the temporary file, and back */
    begin(s.a);
    g = guest_write(s.a, r);
    assert_non_null(g);
    g->host = weak(8);
    ok(s.a, newt_savepoint(s.a, &point));
    g->host = weak(0);
    ok(s.a, newt_rollback_to(s.a, point));
    assert_int_equal(g->host.oid, 8);
    g->host.oid = -1;
    assert_int_equal(newt_commit(s.a), NEWT_EINVAL);
    assert_non_null(
        strstr(newt_error_message(newt_conn_error(s.a)), "refers to the negative oid -1"));
    store_close(&s);
}

static void
test_copied(void **state)
{
    guest_ref r;
    store s, to;

    (void)state;
    if (!on_sqlite())
        needs_server();
    guests_open(&s, "copied", (newt_options){0});
    guests_open(&to, "copy", (newt_options){0});
    r = make_guest(s.a, (newt_ref){5});
    ok(s.a, newt_copy(s.a, to.a, NULL));
    assert_guest(to.a, r, 5);
    store_close(&to);
    store_close(&s);
}

static void
test_merged(void **state)
{
    struct guest *g;
    guest_ref r;
    store s;

    (void)state;
    guests_open(&s, "merged", (newt_options){0});
    r = make_guest(s.a, (newt_ref){5});
    begin(s.a);
    begin(s.b);
    newt_set(guest_write(s.a, r), name, "Ada");
    guest_write(s.b, r)->host = weak(6);
    commit(s.b);
    commit(s.a);
    begin(s.a);
    assert_int_equal(guest_read(s.a, r)->host.oid, 6);
    assert_string_equal(guest_read(s.a, r)->name.s, "Ada");
    newt_abort(s.a);
    begin(s.a);
    begin(s.b);
    g = guest_write(s.a, r);
    *newt_put(g, named, "k") = weak(1);
    g = guest_write(s.b, r);
    *newt_put(g, named, "k") = weak(2);
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    store_close(&s);
}

/* ---- whether the object is there ------------------------------------------------------------- */

static bool
alive(newt_conn *c, newt_ref r)
{
    bool is = false;

    ok(c, newt_weak_alive(c, newt_weak_to(r), &is));
    return is;
}

static void
test_alive(void **state)
{
    newt_ref kept, gone, made;
    bool is = true;
    newt_bag *b;
    store s;

    (void)state;
    guests_open(&s, "alive", (newt_options){0});
    assert_int_equal(newt_weak_alive(s.a, weak(1), &is), NEWT_EBUSY);
    assert_false(is);
    kept = make_item(s.a, "kept", 1).any;
    gone = make_item(s.a, "gone", 2).any;
    begin(s.b);
    assert_true(alive(s.b, kept));
    assert_int_equal(newt_class_name(s.b, kept) != NULL, true);
    /* what is new, and what is removed, in this transaction */
    begin(s.a);
    assert_false(alive(s.a, (newt_ref){0}));
    assert_false(alive(s.a, (newt_ref){INT64_MAX}));
    assert_true(alive(s.a, gone));
    made = item_id(new_item(s.a, "new", 3)).any;
    assert_true(alive(s.a, made));
    ok(s.a, newt_delete(s.a, gone));
    assert_false(alive(s.a, gone));
    assert_true(alive(s.a, (newt_ref){1})); /* the root */
    /* nothing of this was a failure */
    assert_int_equal(newt_status(s.a), NEWT_OK);
    commit(s.a);
    /* an earlier snapshot has it still; a later one has not */
    assert_true(alive(s.b, gone));
    newt_abort(s.b);
    begin(s.b);
    assert_false(alive(s.b, gone));
    assert_true(alive(s.b, made));
    assert_true(alive(s.b, kept));
    newt_abort(s.b);
    /* of a class that this program lacks */
    begin(s.a);
    b = newt_bag_new(s.a, "Unknown");
    assert_non_null(b);
    made = newt_bag_ref(b);
    commit(s.a);
    begin(s.b);
    assert_true(alive(s.b, made));
    is = true;
    assert_int_equal(newt_weak_alive(s.b, weak(-5), &is), NEWT_EINVAL);
    assert_false(is);
    newt_abort(s.b);
    if (s.pg || *s.file) {
        damage(&s, kept);
        newt__cache_clear(&s.b->jar);
        begin(s.b);
        assert_true(alive(s.b, kept));
        assert_null(newt_read(s.b, kept, &item_class));
        newt_abort(s.b);
    }
    store_close(&s);
}

/* Rolled back, what was removed is there again, and what was made is not. */
static void
test_alive_again(void **state)
{
    newt_ref old, made;
    int64_t point;
    store s;

    (void)state;
    guests_open(&s, "again", (newt_options){.cache_objects = 10});
    old = make_item(s.a, "old", 1).any;
    begin(s.a);
    ok(s.a, newt_savepoint(s.a, &point));
    ok(s.a, newt_delete(s.a, old));
    made = item_id(new_item(s.a, "new", 2)).any;
    for (int i = 0; i < 100; i++) /* they leave the cache */
        item_done(new_item(s.a, "many", i));
    assert_false(alive(s.a, old));
    assert_true(alive(s.a, made));
    ok(s.a, newt_rollback_to(s.a, point));
    assert_true(alive(s.a, old));
    assert_false(alive(s.a, made));
    commit(s.a);
    store_close(&s);
}

/* ---- not followed ---------------------------------------------------------------------------- */

static void
test_not_walked(void **state)
{
    newt_stats before;
    newt_ref r[2];
    struct guest *g;
    store s;

    (void)state;
    guests_open(&s, "walked", (newt_options){0});
    r[0] = make_item(s.a, "weak", 1).any;
    r[1] = make_item(s.a, "strong", 2).any;
    r[0] = make_guest(s.a, r[0]).any;
    begin(s.a);
    g = newt_write(s.a, r[0], &guest_class);
    assert_non_null(g);
    g->kept = r[1];
    commit(s.a);
    newt__cache_clear(&s.b->jar);
    before = stats_of(s.b);
    begin(s.b);
    ok(s.b, newt_prefetch_walk(s.b, r, 1, NULL));
    assert_int_equal(stats_of(s.b).loads, before.loads + 2);
    newt_abort(s.b);
    store_close(&s);
}

static void
count_notice(const newt_error *e, void *arg)
{
    assert_non_null(strstr(newt_error_message(e), "no reference leads to the new object Item"));
    ++*(int *)arg;
}

static void
test_not_reached(void **state)
{
    int notices = 0;
    guest_ref r;
    struct guest *g;
    store s;

    (void)state;
    guests_open(&s, "reached",
                (newt_options){.debug = true, .notice = count_notice, .notice_arg = &notices});
    begin(s.a);
    g = guest_new(s.a);
    r = guest_id(g);
    ok(s.a, newt_set_root(s.a, "guest", r.any));
    g->host = newt_weak_to(item_id(new_item(s.a, "weak", 1)).any);
    commit(s.a);
    assert_int_equal(notices, 1);
    begin(s.a);
    g = guest_write(s.a, r);
    g->kept = item_id(new_item(s.a, "strong", 2)).any;
    g->host = newt_weak_to(g->kept);
    commit(s.a);
    assert_int_equal(notices, 1);
    store_close(&s);
}

/* ---- from strong to weak, and back ------------------------------------------------------------
 */

struct strong {
    newt_ref owner;
    NEWT_ARRAY(newt_ref) others;
};
struct slack {
    newt_weak owner;
    NEWT_ARRAY(newt_weak) others;
};
struct again {
    newt_ref owner;
    NEWT_ARRAY(newt_ref) others;
};
NEWT_DECLARE(strong);
NEWT_DECLARE(slack);
NEWT_DECLARE(again);

static int
to_weak(int32_t from, const newt_record *record, void *object, void *arg)
{
    struct slack *o = object;
    json_t *owner = newt_record_get(record, "owner"), *others = newt_record_get(record, "others");

    (void)arg;
    (void)from;
    o->owner = newt_weak_to(newt_json_to_ref(owner));
    for (size_t i = 0; i < json_array_size(others); i++)
        (void)newt_append(o, others, newt_weak_to(newt_json_to_ref(json_array_get(others, i))));
    json_decref(owner);
    json_decref(others);
    return 0;
}

static int
to_strong(int32_t from, const newt_record *record, void *object, void *arg)
{
    struct again *o = object;
    json_t *owner = newt_record_get(record, "owner"), *others = newt_record_get(record, "others");

    (void)arg;
    (void)from;
    o->owner = newt_weak_ref(newt_json_to_weak(owner));
    for (size_t i = 0; i < json_array_size(others); i++)
        (void)newt_append(o, others, newt_weak_ref(newt_json_to_weak(json_array_get(others, i))));
    json_decref(owner);
    json_decref(others);
    return 0;
}

static const newt_hooks slack_hooks = {.size = sizeof slack_hooks, .upgrade = to_weak};
static const newt_hooks again_hooks = {.size = sizeof again_hooks, .upgrade = to_strong};
NEWT_CLASS(strong, "Owned", 1, NULL, NEWT_FIELD(struct strong, owner),
           NEWT_LIST(struct strong, others));
NEWT_CLASS(slack, "Owned", 2, &slack_hooks, NEWT_FIELD(struct slack, owner),
           NEWT_LIST(struct slack, others));
NEWT_CLASS(again, "Owned", 3, &again_hooks, NEWT_FIELD(struct again, owner),
           NEWT_LIST(struct again, others));

static void
test_of_another_kind(void **state)
{
    static const newt_class *const tables[] = {&strong_class, &slack_class, &again_class};
    const struct slack *seen;
    const struct strong *was;
    struct strong *o;
    newt_conn *c[3];
    newt_db *db[3];
    newt_ref r;
    store s;

    (void)state;
    store_make(&s, "kinds");
    for (int i = 0; i < 3; i++) {
        db[i] = store_db(&s, (const newt_class *const[]){tables[i], NULL}, (newt_options){0});
        c[i] = connect_(db[i]);
    }
    begin(c[0]);
    o = strong_new(c[0]);
    assert_non_null(o);
    o->owner.oid = 1;
    ok(c[0], newt_append(o, others, (newt_ref){700}));
    r = strong_id(o).any;
    commit(c[0]);
    begin(c[1]);
    seen = newt_read(c[1], r, &slack_class);
    if (!seen)
        fail_error("newt_read", newt_conn_error(c[1]));
    assert_int_equal(seen->owner.oid, 1);
    assert_int_equal(seen->others.items[0].oid, 700);
    assert_non_null(newt_edit((const newt_object *)seen));
    commit(c[1]);
    assert_sql(s.pg, "{\"owner\": {\"::~>\": 1}, \"others\": [{\"::~>\": 700}]}",
               "SELECT state FROM newt WHERE zoid = %lld", (long long)r.oid);
    /* the program that has strong ones sees none, and changes nothing; that after it does */
    newt__cache_clear(&c[0]->jar);
    begin(c[0]);
    was = newt_read(c[0], r, &strong_class);
    assert_non_null(was);
    assert_int_equal(was->owner.oid, 0);
    assert_null(newt_write(c[0], r, &strong_class));
    assert_int_equal(newt_error_status(newt_conn_error(c[0])), NEWT_ECLASS);
    newt_abort(c[0]);
    begin(c[2]);
    assert_non_null(newt_write(c[2], r, &again_class));
    commit(c[2]);
    assert_sql(s.pg, "{\"owner\": {\"::=>\": 1}, \"others\": [{\"::=>\": 700}]}",
               "SELECT state FROM newt WHERE zoid = %lld", (long long)r.oid);
    for (int i = 0; i < 3; i++) {
        newt_close(c[i]);
        newt_db_close(db[i]);
    }
    store_close(&s);
}

static const struct CMUnitTest weak_refs[] = {
    cmocka_unit_test(test_kept),        cmocka_unit_test(test_copied),
    cmocka_unit_test(test_merged),      cmocka_unit_test(test_alive),
    cmocka_unit_test(test_alive_again), TWICE(test_not_walked),
    cmocka_unit_test(test_not_reached), cmocka_unit_test(test_of_another_kind),
};

int
main(void)
{
    return run_all(weak_refs);
}
