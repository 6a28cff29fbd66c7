/*
 * conflicts.c - what others have changed meanwhile: found and reported; what is to be current
 */
#include "tallies.h"

#include "../../bridge/postgres/session.h"

/* ---- what is listed ------------------------------------------------------------------ */

static void
test_listed(void **state)
{
    const newt_conflict *x;
    int64_t before[4];
    const newt_error *e;
    tally_ref quiet;
    item_ref item;
    newt_ref list[4], dynamic;
    newt_bag *bag;
    json_t *seven = json_integer(7);
    two t;

    (void)state;
    two_open(&t, "listed");
    quiet = make_tally(t.a, 1);
    item = make_item(t.a, "item", 1);
    begin(t.a);
    bag = newt_bag_new(t.a, "Dynamic");
    assert_non_null(bag);
    ok(t.a, newt_bag_set(bag, "x", seven));
    dynamic = newt_bag_ref(bag);
    commit(t.a);
    list[0] = t.r.any; /* in the order of oids */
    list[1] = item.any;
    list[2] = dynamic;
    for (int i = 0; i < 3; i++)
        before[i] = serial_of(&t, list[i]);

    begin(t.a);
    begin(t.b);
    add(t.b, quiet, 5);
    add(t.b, t.r, 5);
    write_n(t.b, item, 5);
    bag = newt_bag_write(t.b, dynamic);
    assert_non_null(bag);
    ok(t.b, newt_bag_set(bag, "y", seven));
    add(t.a, t.r, 1);
    ok(t.a, newt_delete(t.a, item.any));
    bag = newt_bag_write(t.a, dynamic);
    assert_non_null(bag);
    ok(t.a, newt_bag_set(bag, "z", seven));
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    /* with one that cannot be merged, none is: the resolver does not even run */
    assert_int_equal(resolver.calls, 0);
    e = newt_conn_error(t.b);
    assert_true(newt_is_retryable(e));
    assert_string_equal(newt_error_sqlstate(e), "40001");
    assert_int_equal(newt_error_oid(e), item.any.oid);
    assert_non_null(strstr(newt_error_message(e), "was removed by another transaction"));
    assert_non_null(strstr(newt_error_message(e), "(and 2 more objects)"));
    for (int i = 0; i < 3; i++) {
        char text[100];

        x = newt_error_conflict(e, (size_t)i);
        assert_non_null(x);
        assert_int_equal(x->object.oid, list[i].oid);
        assert_int_equal(x->serial, before[i]);
        assert_int_equal(x->committed, serial_of(&t, list[i]));
        assert_string_equal(x->class_name, i == 0 ? "Tally" : i == 1 ? "Item" : "Dynamic");
        assert_false(x->read_current);
        snprintf(text, sizeof text,
                 x->committed ? "%s %lld: read with serial %lld, has %lld now"
                              : "%s %lld: read with serial %lld, removed",
                 x->class_name, (long long)x->object.oid, (long long)x->serial,
                 (long long)x->committed);
        assert_non_null(strstr(newt_error_detail(e), text));
    }
    assert_null(newt_error_conflict(e, 3));
    assert_null(newt_error_conflict(NULL, 0));
    check_store(&t, quiet, 1);
    check_store(&t, t.r, 11);
    begin(t.b);
    assert_null(newt_error_conflict(newt_conn_error(t.b), 0));
    assert_int_equal(tally_n(t.b, t.r), 11);
    newt_abort(t.b);
    json_decref(seven);
    store_close(&t.s);
}

/* More than an error's text holds: all are listed nevertheless. */
static void
test_long_list(void **state)
{
    enum {
        N = 300
    };
    const newt_error *e;
    item_ref r[N];
    size_t n = 0;
    two t;

    (void)state;
    two_open(&t, "long");
    begin(t.a);
    for (int i = 0; i < N; i++)
        r[i] = item_id(new_item(t.a, "x", i));
    commit(t.a);
    begin(t.a);
    begin(t.b);
    for (int i = 0; i < N; i++) {
        write_n(t.a, r[i], -1);
        write_n(t.b, r[i], -2);
    }
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    e = newt_conn_error(t.b);
    for (; newt_error_conflict(e, n); n++)
        assert_int_equal(newt_error_conflict(e, n)->object.oid, r[n].any.oid);
    assert_int_equal(n, N);
    assert_non_null(strstr(newt_error_detail(e), " more."));
    store_close(&t.s);
}

/* ---- newt_read_current ---------------------------------------------------------------- */

/* Two accounts that must not both be empty: each transaction reads both and empties one. */
static void
test_write_skew(void **state)
{
    int64_t statements;
    newt_stats before;
    item_ref x, y;
    two t;

    (void)state;
    two_open(&t, "skew");
    for (int current = 0; current < 2; current++) {
        x = make_item(t.a, "x", 1);
        y = make_item(t.a, "y", 1);
        begin_alone(t.a);
        begin(t.b);
        if (read_n(t.a, x) + read_n(t.a, y) > 1)
            write_n(t.a, x, 0);
        if (read_n(t.b, x) + read_n(t.b, y) > 1)
            write_n(t.b, y, 0);
        if (current) {
            ok(t.a, newt_read_current(t.a, y.any));
            ok(t.b, newt_read_current(t.b, x.any));
        }
        /* what must be current is compared under the lock, by a statement before COMMIT */
        statements = !on_server() ? 0 : current ? 8 : t.a->jar.session->has_extension ? 1 : 7;
        before = stats_of(t.a);
        commit(t.a);
        assert_round_trips(t.a, before, 1);
        if (on_server())
            assert_int_equal(stats_of(t.a).statements - before.statements, statements);
        assert_int_equal(newt_commit(t.b), current ? NEWT_ECONFLICT : NEWT_OK);
        if (current) {
            const newt_error *e = newt_conn_error(t.b);

            assert_int_equal(newt_error_oid(e), x.any.oid);
            assert_true(newt_error_conflict(e, 0)->read_current);
            assert_int_equal(newt_error_conflict(e, 0)->committed, serial_of(&t, x.any));
            assert_null(newt_error_conflict(e, 1));
            assert_non_null(strstr(newt_error_message(e), "changed by another transaction"));
            assert_non_null(strstr(newt_error_detail(e), "newt_read_current was called"));
            assert_string_equal(newt_error_class(e), "Item");
        }
        assert_int_equal(stored_int(t.s.db, x.any, "n") + stored_int(t.s.db, y.any, "n"), current);
    }
    store_close(&t.s);
}

static void
test_read_current(void **state)
{
    newt_ref none = {0}, missing = {1000000000};
    newt_stats before;
    item_ref x, y, z;
    two t;

    (void)state;
    two_open(&t, "current");
    x = make_item(t.a, "x", 1);
    y = make_item(t.a, "y", 1);
    assert_int_equal(newt_read_current(t.a, x.any), NEWT_EBUSY);

    /* nothing written: nothing checked, and nothing sent but for the load */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, x.any));
    begin(t.a);
    write_n(t.a, x, 2);
    commit(t.a);
    before = stats_of(t.b);
    commit(t.b);
    assert_int_equal(stats_of(t.b).round_trips, before.round_trips);

    /* changed back, so that it is not written: it is compared all the same; asked for twice; new */
    begin(t.b);
    write_n(t.b, x, 3);
    write_n(t.b, x, 2);
    ok(t.b, newt_read_current(t.b, x.any));
    ok(t.b, newt_read_current(t.b, x.any));
    write_n(t.b, y, 2);
    z = item_id(new_item(t.b, "z", 1));
    ok(t.b, newt_read_current(t.b, z.any));
    begin(t.a);
    write_n(t.a, x, 4);
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(t.b)), x.any.oid);

    /* removed; and the next transaction has forgotten all about it */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, x.any));
    write_n(t.b, y, 3);
    begin(t.a);
    ok(t.a, newt_delete(t.a, x.any));
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(t.b), 0)->committed, 0);
    begin(t.b);
    write_n(t.b, y, 3);
    commit(t.b);

    /* written as well: it is compared once, and the class's resolver does not merge it */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, t.r.any));
    add(t.b, t.r, 1);
    begin(t.a);
    add(t.a, t.r, 1);
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(resolver.calls, 0);
    assert_false(newt_error_conflict(newt_conn_error(t.b), 0)->read_current);
    begin(t.b);
    ok(t.b, newt_read_current(t.b, t.r.any));
    add(t.b, t.r, 1);
    commit(t.b);
    check_store(&t, t.r, 12);

    /* what is not there cannot be current */
    for (int i = 0; i < 2; i++) {
        int status = i ? NEWT_EMISSING : NEWT_EINVAL;

        begin(t.b);
        write_n(t.b, y, 9);
        assert_int_equal(newt_read_current(t.b, i ? missing : none), status);
        assert_int_equal(newt_commit(t.b), status);
    }
    check_store(&t, t.r, 12);
    store_close(&t.s);
}

/* 10,000 objects of a transaction can be asked for, and no more. */
static void
test_read_current_limit(void **state)
{
    enum {
        N = 10000
    };
    newt_ref *r = calloc(N + 1, sizeof *r);
    item_ref x;
    two t;

    (void)state;
    assert_non_null(r);
    two_open(&t, "limit");
    x = make_item(t.a, "x", 0);
    begin(t.a);
    for (int i = 0; i <= N; i++)
        r[i] = item_id(new_item(t.a, "y", i)).any;
    commit(t.a);
    for (int extra = 0; extra < 2; extra++) {
        begin(t.b);
        ok(t.b, newt_prefetch(t.b, r, N + 1));
        write_n(t.b, x, extra + 1);
        for (int i = 0; i < N; i++)
            ok(t.b, newt_read_current(t.b, r[i]));
        if (extra)
            assert_int_equal(newt_read_current(t.b, r[N]), NEWT_ELIMIT);
        assert_int_equal(newt_commit(t.b), extra ? NEWT_ELIMIT : NEWT_OK);
    }
    begin(t.a);
    assert_int_equal(read_n(t.a, x), 1);
    commit(t.a);
    free(r);
    store_close(&t.s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_listed),       TWICE(test_long_list),          TWICE(test_write_skew),
        TWICE(test_read_current), TWICE(test_read_current_limit),
    };

    return run_all(tests);
}
