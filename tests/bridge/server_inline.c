/*
 * server_inline.c - the projection that a commit writes: rows, rejects, and who writes them
 */
#include "projectors.h"

/* New, changed and removed objects, one and many of each, a bag, a root. */
static void
test_projection(void **state)
{
    json_t *json = json_pack("{s:i, s:[i, s]}", "x", 1, "list", 2, "three");
    item_ref r[20];
    newt_bag *bag;
    newt_ref dynamic;
    store s;

    store_open_as(&s, "projection", *(newt_options *)*state);
    r[0] = make_item(s.a, "first", 0);
    check_projection(&s);
    begin(s.a);
    write_n(s.a, r[0], 1);
    commit(s.a);
    check_projection(&s);
    begin(s.a);
    for (int i = 1; i < 20; i++)
        r[i] = item_id(new_item(s.a, "more", i));
    bag = newt_bag_new(s.a, "Dynamic");
    assert_non_null(bag);
    ok(s.a, newt_bag_replace(bag, json));
    dynamic = newt_bag_ref(bag);
    ok(s.a, newt_set_root(s.a, "r", r[0].any));
    commit(s.a);
    check_projection(&s);
    begin(s.b);
    for (int i = 0; i < 20; i++) {
        if (i % 3 == 0)
            ok(s.b, newt_delete(s.b, r[i].any));
        else
            write_n(s.b, r[i], 100 + i);
    }
    bag = newt_bag_write(s.b, dynamic);
    assert_non_null(bag);
    ok(s.b, newt_bag_set(bag, "y", json));
    newt_bag_done(bag);
    item_done(new_item(s.b, "last", 1));
    commit(s.b);
    check_projection(&s);
    assert_sql(s.pg, "14 1 1",
               "SELECT count(*) FILTER (WHERE class_name = 'Item') || ' ' || "
               "count(*) FILTER (WHERE class_name = 'Dynamic') || ' ' || count(*) "
               "FILTER (WHERE class_name = 'newt.Root') FROM newt");
    assert_sql(s.pg, "{\"x\": 1, \"list\": [2, \"three\"]}",
               "SELECT state->>'y' FROM newt WHERE class_name = 'Dynamic'");
    json_decref(json);
    store_close(&s);
}

/* Statements on a table of the store fail, or do again: what belongs to a commit fails with it. */
static void
refuse(const store *s, const char *what, const char *table, bool refused)
{
    if (refused)
        sql_do(s->pg,
               "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
               "'no'; END $$; CREATE TRIGGER no BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION no()",
               what, table);
    else
        sql_do(s->pg, "DROP FUNCTION no() CASCADE");
}

/* What JSONB cannot show as it is stands in newt_reject, as long as it is so. */
static void
test_rejects(void **state)
{
    struct item *i;
    item_ref r, q;
    store s;

    store_open_as(&s, "rejects", *(newt_options *)*state);
    begin(s.a);
    i = new_item(s.a, "", 1);
    ok(s.a, newt_text_setn((newt_object *)i, &i->name, "a\0b", 3));
    r = item_id(i);
    i = new_item(s.a, "", 2);
    ok(s.a, newt_text_setn((newt_object *)i, &i->name, "\xff", 1));
    q = item_id(i);
    item_done(new_item(s.a, "fine", 3));
    commit(s.a);
    check_projection(&s);
    assert_sql(s.pg, "2", "SELECT count(*) FROM newt_reject");
    assert_sql(s.pg, "{name} text",
               "SELECT path::text || ' ' || reason FROM newt_reject WHERE zoid = %lld",
               (long long)r.any.oid);
    assert_sql(s.pg, "t",
               "SELECT bool_and(tid = (SELECT max(tid) FROM transaction)) FROM newt_reject");
    refuse(&s, "INSERT", "newt_reject_entry", true);
    begin(s.a);
    write_n(s.a, r, 9);
    assert_int_equal(newt_commit(s.a), NEWT_ESQL);
    refuse(&s, "INSERT", "newt_reject_entry", false);
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    for (int n = 0; n < 2; n++) { /* alone in its transaction, and not */
        begin(s.a);
        write_n(s.a, r, 10 + n);
        if (n == 1)
            write_n(s.a, q, 11);
        commit(s.a);
        assert_sql(s.pg, "2", "SELECT count(*) FROM newt_reject");
        assert_sql(s.pg, "2", "SELECT count(*) FROM newt_reject_entry");
    }
    begin(s.a);
    i = item_write(s.a, r);
    newt_set(i, name, "whole");
    commit(s.a);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_reject");
    begin(s.a);
    ok(s.a, newt_delete(s.a, q.any));
    commit(s.a);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt_reject");
    check_projection(&s);
    store_close(&s);
}

/* ---- who writes it -------------------------------------------------------------------- */

struct hidden {
    int64_t n;
};
NEWT_DECLARE(hidden);
NEWT_CLASS_AS(hidden, "Hidden", 2, NULL, NEWT_C_SKIP, NEWT_FIELD(struct hidden, n));
struct visible {
    int64_t n;
};
NEWT_DECLARE(visible);
NEWT_CLASS(visible, "Hidden", 1, NULL, NEWT_FIELD(struct visible, n));

struct at_once {
    int64_t n;
};
NEWT_DECLARE(at_once);
NEWT_CLASS_AS(at_once, "AtOnce", 1, NULL, NEWT_C_INLINE, NEWT_FIELD(struct at_once, n));

static int
add_key(const void *object, json_t *json, void *arg)
{
    (void)arg;
    return json_object_set_new(json, "double",
                               json_integer(2 * ((const struct at_once *)object)->n));
}

static const newt_hooks adding = {.size = sizeof adding, .to_json = add_key};

struct shown {
    int64_t n;
};
NEWT_DECLARE(shown);
NEWT_CLASS(shown, "Shown", 1, &adding, NEWT_FIELD(struct shown, n));

static int64_t
rows_of(const store *s, const char *class_name)
{
    return sql_int(s->pg, "SELECT count(*) FROM newt WHERE class_name = '%s'", class_name);
}

static void
test_modes(void **state)
{
    static const newt_class *const modes[] = {&later_class, &at_once_class, &shown_class,
                                              &item_class, NULL};
    static const newt_class *const no_hooks[] = {&later_class, &at_once_class, &item_class, NULL};
    newt_options o = {.no_inline = true};
    struct later *l;
    newt_conn *c;
    newt_db *db;
    store s;

    store_make(&s, "modes");
    for (int round = 0; round < 3; round++) {
        /* inline; inline, but this program leaves it to the updater; a store that does */
        if (round == 2)
            sql_do(s.pg, "UPDATE newt_store SET projection = 'async'");
        sql_do(s.pg, "TRUNCATE newt_projection");
        db = store_db(&s, round == 2 ? no_hooks : modes, round == 1 ? o : *(newt_options *)*state);
        c = connect_(db);
        begin(c);
        l = later_new(c);
        assert_non_null(l);
        l->n = 1;
        assert_non_null(at_once_new(c));
        item_done(new_item(c, "x", 1));
        if (round < 2) {
            struct shown *x = shown_new(c);

            assert_non_null(x);
            x->n = 21;
        }
        commit(c);
        assert_int_equal(rows_of(&s, "Later"), 0);
        assert_int_equal(rows_of(&s, "AtOnce"), round != 1);
        assert_int_equal(rows_of(&s, "Item"), round == 0);
        assert_int_equal(rows_of(&s, "Shown"), round < 2); /* nobody else could */
        assert_sql(s.pg, "0",
                   "SELECT count(*) FROM newt_projection p JOIN object_state o "
                   "USING (zoid) WHERE p.serial <> o.serial");
        if (round < 2)
            assert_sql(s.pg, "42", "SELECT state->>'double' FROM newt WHERE class_name = 'Shown'");
        newt_close(c);
        newt_db_close(db);
    }
    PQfinish(s.pg);
}

/* A class that is not projected any more: its rows go when its objects are written. */
static void
test_hidden(void **state)
{
    static const newt_class *const before[] = {&visible_class, &item_class, NULL};
    static const newt_class *const after[] = {&hidden_class, &item_class, NULL};
    visible_ref r[3];
    newt_conn *c;
    newt_db *db;
    store s;

    store_make(&s, "hidden");
    db = store_db(&s, before, *(newt_options *)*state);
    c = connect_(db);
    begin(c);
    for (int i = 0; i < 3; i++) {
        struct visible *v = visible_new(c);

        assert_non_null(v);
        v->n = i;
        r[i] = visible_id(v);
    }
    commit(c);
    newt_close(c);
    newt_db_close(db);
    assert_int_equal(rows_of(&s, "Hidden"), 3);
    db = store_db(&s, after, *(newt_options *)*state);
    c = connect_(db);
    refuse(&s, "DELETE", "newt_projection", true);
    begin(c);
    hidden_write(c, hidden_of(r[0].any))->n = 5;
    assert_int_equal(newt_commit(c), NEWT_ESQL);
    refuse(&s, "DELETE", "newt_projection", false);
    assert_int_equal(rows_of(&s, "Hidden"), 3);
    begin(c);
    assert_int_equal(hidden_read(c, hidden_of(r[0].any))->n, 0);
    newt_abort(c);
    for (int i = 0; i < 2; i++) {
        begin(c);
        for (int k = i; k <= 2 * i; k++) { /* one; two */
            struct hidden *h = hidden_write(c, hidden_of(r[k].any));

            assert_non_null(h);
            h->n += 10;
        }
        if (i == 1)
            assert_non_null(hidden_new(c));
        commit(c);
        assert_int_equal(rows_of(&s, "Hidden"), i == 0 ? 2 : 0);
    }
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* What is hidden takes part in a commit of one statement: alone, and beside what is shown. */
static void
test_hidden_together(void **state)
{
    static const newt_class *const both[] = {&hidden_class, &item_class, NULL};
    bool by_server = ((newt_options *)*state)->projector == NEWT_PROJECT_SERVER;
    struct hidden *h;
    hidden_ref r;
    item_ref item;
    newt_conn *c;
    newt_db *db;
    store s;

    store_make(&s, "together");
    db = store_db(&s, both, *(newt_options *)*state);
    c = connect_(db);
    begin(c);
    h = hidden_new(c);
    assert_non_null(h);
    r = hidden_id(h);
    item = item_id(new_item(c, "x", 1));
    commit(c);
    for (int i = 0; i < 4; i++) {
        int64_t before;

        begin(c);
        h = hidden_write(c, r);
        assert_non_null(h);
        h->n = i + 10;
        if (i % 2)
            write_n(c, item, i);
        if (i == 3)
            assert_non_null(hidden_new(c));
        before = stats_of(c).statements;
        commit(c);
        if (by_server)
            assert_int_equal(stats_of(c).statements - before, 1);
        assert_int_equal(rows_of(&s, "Hidden"), 0);
        assert_sql(s.pg, i < 3 ? "1" : "3",
                   "SELECT state->>'n' FROM newt WHERE class_name = 'Item'");
    }
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

static const struct CMUnitTest commits[] = {
    with(test_projection, client),      with(test_projection, server),
    with(test_rejects, client),         with(test_rejects, server),
    with(test_modes, client),           with(test_modes, server),
    with(test_hidden, client),          with(test_hidden, server),
    with(test_hidden_together, client), with(test_hidden_together, server),
};

int
main(void)
{
    use_database(true);
    return run_all(commits);
}
