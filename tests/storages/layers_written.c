/*
 * layers_written.c - a layer is written down into its base
 */
#include "../concurrency/concurrency.h"
#include "layers.h"

/* ---- written down ----------------------------------------------------------------------- */

static void
test_written_down(void **state)
{
    item_ref new_one, gone;
    ground g;

    (void)state;
    ground_open(&g, "written_down");
    write_down(&g.s); /* nothing */
    change(g.s.a, g.x, 10);
    remove_item(g.s.b, g.y);
    new_one = make_item(g.s.a, "new", 4);
    gone = make_item(g.s.a, "gone", 5);
    remove_item(g.s.a, gone);
    set_root(g.s.b, "new", new_one.any);
    assert_int_equal(seen(g.below.c, g.x), 1);
    write_down(&g.s);
    assert_int_equal(seen(g.below.c, g.x), 10);
    assert_int_equal(seen(g.below.c, g.y), -1);
    assert_int_equal(seen(g.below.c, new_one), 4);
    assert_int_equal(seen(g.below.c, gone), -1);
    assert_int_equal(root_item(g.below.c, "new").any.oid, new_one.any.oid);
    /* the layer is there still, and empty */
    assert_int_equal(seen(g.s.a, g.x), 10);
    change(g.below.c, g.x, 11);
    assert_int_equal(seen(g.s.b, g.x), 11);
    change(g.s.a, g.x, 12);
    assert_int_equal(seen(g.below.c, g.x), 11);
    write_down(&g.s);
    assert_int_equal(seen(g.below.c, g.x), 12);
    pop(&g.s);
    assert_int_equal(seen(g.s.a, g.x), 12);
    if (!on_layer()) {
        assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_EINVAL);
        assert_string_equal(newt_error_message(newt_db_error(g.s.db)),
                            "the database has no layer of changes");
    }
    ground_close(&g);
}

/* A layer that a URI has made, in private memory, is empty afterwards, too; one of a name stays. */
static void
test_opened(void **state)
{
    item_ref r;
    ground g;

    (void)state;
    ground_open(&g, "opened");
    for (int named = 0; named < 2; named++) {
        newt_options o = {.size = sizeof o, .schema = store_schema(&g.s)};
        char layer[600];
        newt_conn *c;
        newt_db *db;

        snprintf(layer, sizeof layer, "demo:(%s)%s", g.s.uri, named ? "(memory:opened)" : "");
        if (newt_db_open(&db, layer, classes, &o) != NEWT_OK)
            fail_error(layer, newt_db_error(db));
        c = connect_(db);
        assert_int_equal(newt_db_pop(db), NEWT_EINVAL);
        change(c, g.x, 10 + named);
        r = make_item(c, "new", 1);
        assert_int_equal(newt_db_commit_changes(db), NEWT_OK);
        assert_int_equal(seen(g.below.c, g.x), 10 + named);
        assert_int_equal(seen(g.below.c, r), 1);
        change(g.below.c, g.x, 20);
        assert_int_equal(seen(c, g.x), named ? 11 : 20);
        if (named) {
            change(c, g.x, 12);
            assert_int_equal(newt_db_commit_changes(db), NEWT_ECONFLICT);
        } else {
            change(c, g.x, 12);
            assert_int_equal(newt_db_commit_changes(db), NEWT_OK);
        }
        assert_int_equal(seen(g.below.c, g.x), named ? 20 : 12);
        newt_close(c);
        newt_db_close(db);
    }
    ground_close(&g);
}

/* In a child nothing works, and what it closes stays as it is for the parent. */
static void
test_fork(void **state)
{
    pid_t child;
    int status;
    ground g;

    (void)state;
    ground_open(&g, "fork");
    change(g.s.a, g.x, 10);
    begin(g.s.b);
    child = fork_child();
    if (child == 0) {
        alarm(PATIENCE_S);
        status = newt_db_push(g.s.db) == NEWT_ETHREAD && newt_db_pop(g.s.db) == NEWT_ETHREAD &&
                 newt_db_commit_changes(g.s.db) == NEWT_ETHREAD;
        newt_close(g.s.a);
        newt_close(g.s.b);
        newt_db_close(g.s.db);
        _exit(status ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read_n(g.s.b, g.x), 10);
    newt_abort(g.s.b);
    pop(&g.s);
    assert_int_equal(seen(g.s.a, g.x), 1);
    ground_close(&g);
}

/* One into the next, and that into the store. */
static void
test_written_through(void **state)
{
    item_ref r[3];
    ground g;

    (void)state;
    ground_open(&g, "written_through");
    change(g.s.a, g.x, 10);
    r[0] = make_item(g.s.a, "first", 1);
    push(&g.s);
    change(g.s.a, g.x, 20);
    change(g.s.a, g.z, 30);
    r[1] = make_item(g.s.a, "second", 2);
    remove_item(g.s.a, r[0]); /* below: only in the layer */
    push(&g.s);
    change(g.s.a, g.x, 40);
    remove_item(g.s.a, g.y);
    remove_item(g.s.a, g.z);
    r[2] = make_item(g.s.a, "third", 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen(g.below.c, g.x), 1);
        write_down(&g.s);
        pop(&g.s);
    }
    for (int i = 0; i < 2; i++) {
        newt_conn *c = i ? g.below.c : g.s.b;

        assert_int_equal(seen(c, g.x), 40);
        assert_int_equal(seen(c, g.y), -1);
        assert_int_equal(seen(c, g.z), -1);
        assert_int_equal(seen(c, r[0]), -1);
        assert_int_equal(seen(c, r[1]), 2);
        assert_int_equal(seen(c, r[2]), 3);
    }
    ground_close(&g);
}

/* Others have changed the same below: nothing is written, and all of them are told. */
static void
test_down_conflicts(void **state)
{
    const newt_error *e;
    item_ref new_one;
    ground g;

    (void)state;
    ground_open(&g, "down_conflicts");
    change(g.s.a, g.x, 10);
    change(g.s.a, g.x, 11);
    change(g.s.a, g.y, 20);
    remove_item(g.s.a, g.z);
    new_one = make_item(g.s.a, "new", 4);
    change(g.below.c, g.x, 100);
    remove_item(g.below.c, g.y);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    e = newt_db_error(g.s.db);
    assert_true(newt_is_retryable(e));
    assert_string_equal(newt_error_sqlstate(e), "40001");
    assert_string_equal(newt_error_class(e), "Item");
    assert_int_equal(newt_error_oid(e), g.x.any.oid);
    assert_non_null(strstr(newt_error_message(e), "was changed in the base (and 1 more objects)"));
    assert_int_equal(newt_error_conflict(e, 0)->object.oid, g.x.any.oid);
    assert_string_equal(newt_error_conflict(e, 0)->class_name, "Item");
    assert_int_equal(newt_error_conflict(e, 1)->object.oid, g.y.any.oid);
    assert_int_equal(newt_error_conflict(e, 1)->committed, 0);
    assert_null(newt_error_conflict(e, 2));
    assert_int_equal(newt_error_conflict(e, 0)->committed, stored_serial(g.below.db, g.x.any));
    /* nothing is written, and the layer stays */
    assert_int_equal(seen(g.below.c, g.x), 100);
    assert_int_equal(seen(g.below.c, g.z), 3);
    assert_int_equal(seen(g.below.c, new_one), -1);
    assert_int_equal(seen(g.s.b, g.x), 11);
    assert_int_equal(seen(g.s.b, g.z), -1);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    newt_close(connect_(g.s.db));
    pop(&g.s);
    /* removed by both is a conflict as well */
    push(&g.s);
    remove_item(g.s.a, g.x);
    remove_item(g.below.c, g.x);
    assert_int_equal(newt_db_commit_changes(g.s.db), NEWT_ECONFLICT);
    assert_string_equal(newt_error_class(newt_db_error(g.s.db)), "");
    ground_close(&g);
}

/* More than one question, one list of serials and one batch hold. */
static void
test_many(void **state)
{
    enum {
        N = 10000
    };
    static newt_ref refs[N];
    ground g;

    (void)state;
    ground_open(&g, "many");
    begin(g.below.c);
    for (int i = 0; i < N; i++) {
        struct item *x = new_item(g.below.c, "x", i);

        refs[i] = item_id(x).any;
        item_done(x);
    }
    commit(g.below.c);
    for (int round = 1; round < 4; round++) { /* of the base; of the layer; of both, and new ones */
        newt_stats before = stats_of(g.s.a);

        newt_abort(g.s.a);
        begin(g.s.a);
        ok(g.s.a, newt_prefetch(g.s.a, refs, N));
        assert_true(stats_of(g.s.a).round_trips - before.round_trips < 20);
        if (round == 3) {
            newt_abort(g.s.a);
            write_down(&g.s);
            begin(g.s.b);
            for (int i = 0; i < N; i += 2)
                write_n(g.s.b, item_of(refs[i]), 4 * N);
            commit(g.s.b);
            begin(g.s.a);
        }
        for (int i = 0; i < N; i++) {
            if (round == 3 && i % 5 == 0)
                ok(g.s.a, newt_delete(g.s.a, refs[i]));
            else
                write_n(g.s.a, item_of(refs[i]), i + round * N);
            if (i % 10 == 0)
                item_done(new_item(g.s.a, "new", i));
        }
        commit(g.s.a);
    }
    assert_int_equal(seen(g.below.c, item_of(refs[1])), 2 * N + 1);
    write_down(&g.s);
    pop(&g.s);
    begin(g.s.b);
    ok(g.s.b, newt_prefetch(g.s.b, refs, N));
    for (int i = 0; i < N; i++) {
        const struct item *x = item_read(g.s.b, item_of(refs[i]));

        if (i % 5 == 0)
            assert_null(x);
        else
            assert_int_equal(x->n, i + 3 * N);
    }
    newt_abort(g.s.b);
    ground_close(&g);
}

static const struct CMUnitTest layers_written[] = {
    cmocka_unit_test(test_written_down),   cmocka_unit_test(test_opened),
    cmocka_unit_test(test_fork),           cmocka_unit_test(test_written_through),
    cmocka_unit_test(test_down_conflicts), cmocka_unit_test(test_many),
};

int
main(void)
{
    return run_all(layers_written);
}
