/*
 * layers_conflicts.c - transactions of a layer and of its base: conflicts, and a base that goes on
 */
#include "layers.h"

/* ---- conflicts -------------------------------------------------------------------------- */

/* Two read what is below, and both change it. */
static void
test_conflicts(void **state)
{
    const newt_conflict *k;
    ground g;

    (void)state;
    ground_open(&g, "conflicts");
    for (int round = 0; round < 3; round++) { /* of the base, then of the layer */
        begin(g.s.a);
        begin(g.s.b);
        write_n(g.s.a, g.x, 10 + round);
        write_n(g.s.b, g.x, 20 + round);
        write_n(g.s.b, g.z, 30 + round);
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        k = newt_error_conflict(newt_conn_error(g.s.b), 0);
        assert_int_equal(k->object.oid, g.x.any.oid);
        assert_string_equal(k->class_name, "Item");
        assert_true(k->serial != k->committed && k->committed != 0);
        assert_null(newt_error_conflict(newt_conn_error(g.s.b), 1));
        assert_int_equal(seen(g.s.b, g.x), 10 + round);
        assert_int_equal(seen(g.s.b, g.z), 3);
    }
    /* removed by one, changed by the other; of the base, of the layer, new in it */
    for (int round = 0; round < 3; round++) {
        item_ref r[] = {g.y, g.x, g.z};

        if (round == 2)
            r[2] = make_item(g.s.a, "new", 1);
        begin(g.s.a);
        begin(g.s.b);
        write_n(g.s.b, r[round], 50);
        ok(g.s.a, newt_delete(g.s.a, r[round].any));
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        k = newt_error_conflict(newt_conn_error(g.s.b), 0);
        assert_int_equal(k->object.oid, r[round].any.oid);
        assert_int_equal(k->committed, 0);
        assert_int_equal(seen(g.s.b, r[round]), -1);
    }
    /* the root, which both have from the start */
    begin(g.s.a);
    begin(g.s.b);
    ok(g.s.a, newt_set_root(g.s.a, "a", g.z.any));
    ok(g.s.b, newt_set_root(g.s.b, "b", g.z.any));
    commit(g.s.a);
    commit(g.s.b); /* merged */
    begin(g.s.a);
    assert_int_equal(newt_root(g.s.a, "a").oid, g.z.any.oid);
    assert_int_equal(newt_root(g.s.a, "b").oid, g.z.any.oid);
    begin(g.s.b);
    ok(g.s.a, newt_set_root(g.s.a, "a", g.y.any));
    ok(g.s.b, newt_set_root(g.s.b, "a", g.x.any));
    commit(g.s.a);
    assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.b), 0)->object.oid, 1);
    ground_close(&g);
}

/* Others have changed the base since it was read: that is a conflict like any other. */
static void
test_base_conflicts(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "base_conflicts");
    begin(g.s.a);
    write_n(g.s.a, g.x, 10);
    write_n(g.s.a, g.y, 20);
    write_n(g.s.a, g.z, 30);
    change(g.below.c, g.x, 100);
    remove_item(g.below.c, g.y);
    assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 0)->object.oid, g.x.any.oid);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 1)->object.oid, g.y.any.oid);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 1)->committed, 0);
    assert_null(newt_error_conflict(newt_conn_error(g.s.a), 2));
    assert_int_equal(seen(g.s.a, g.x), 100);
    assert_int_equal(seen(g.s.a, g.y), -1);
    assert_int_equal(seen(g.s.a, g.z), 3);
    /* what the layer hides may change as it likes */
    change(g.s.a, g.x, 10);
    begin(g.s.a);
    write_n(g.s.a, g.x, 11);
    change(g.below.c, g.x, 101);
    commit(g.s.a);
    assert_int_equal(seen(g.s.b, g.x), 11);
    begin_alone(g.s.a);
    read_n(g.s.a, g.x);
    change(g.below.c, g.x, 102);
    assert_int_equal(read_n(g.s.a, g.z), 3); /* this opens the snapshot: no conflict */
    ok(g.s.a, newt_prefetch(g.s.a, &g.y.any, 1));
    commit(g.s.a);
    ground_close(&g);
}

/* A commit that fails has heard of the base, and so has a layer in between: the next begin is told
 * of it all the same. */
static void
test_told_again(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "told_again");
    push(&g.s);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(seen(g.s.a, g.x), round ? 100 + round - 1 : 1);
        begin(g.s.a);
        write_n(g.s.a, round < 2 ? g.z : g.y, 30);
        change(g.s.b, round < 2 ? g.z : g.y, 40 + round);
        change(g.below.c, g.x, 100 + round);
        assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
        begin(g.s.a);
        assert_int_equal(read_n(g.s.a, g.x), 100 + round);
        newt_abort(g.s.a);
    }
    ground_close(&g);
}

/* What resolvers merge, wherever the object was read. */
static void
test_merges(void **state)
{
    newt_length_ref r;
    struct newt_length *l;
    newt_conn *c[2];
    ground g;

    (void)state;
    ground_open(&g, "merges");
    c[0] = g.s.a;
    c[1] = g.s.b;
    begin(g.below.c);
    r = newt_length_id(newt_length_new(g.below.c));
    commit(g.below.c);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            begin(c[i]);
        for (int i = 0; i < 2; i++) {
            l = newt_length_write(c[i], r);
            assert_non_null(l);
            newt_length_change(l, 1 + i);
            newt_length_done(l);
        }
        for (int i = 0; i < 2; i++)
            commit(c[i]);
    }
    /* with the base, too */
    pop(&g.s);
    push(&g.s);
    begin(g.s.a);
    l = newt_length_write(g.s.a, r);
    newt_length_change(l, 5);
    begin(g.below.c);
    l = newt_length_write(g.below.c, r);
    newt_length_change(l, 50);
    commit(g.below.c);
    commit(g.s.a);
    begin(g.s.b);
    assert_int_equal(newt_length_read(g.s.b, r)->value, 55);
    newt_abort(g.s.b);
    assert_int_equal(stats_of(g.s.a).merges, 1);
    ground_close(&g);
}

/* Write skew over what is below: one of two that rely on what the other writes must fail. */
static void
test_read_current(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "read_current");
    for (int round = 0; round < 3; round++) {
        begin(g.s.a);
        begin(g.s.b);
        ok(g.s.a, newt_read_current(g.s.a, g.y.any));
        ok(g.s.b, newt_read_current(g.s.b, g.x.any));
        write_n(g.s.a, g.x, 100 + round);
        write_n(g.s.b, g.y, 100 + round);
        commit(g.s.a);
        assert_int_equal(newt_commit(g.s.b), NEWT_ECONFLICT);
        assert_int_equal(newt_error_conflict(newt_conn_error(g.s.b), 0)->object.oid, g.x.any.oid);
        assert_true(newt_error_conflict(newt_conn_error(g.s.b), 0)->read_current);
    }
    /* and of what others have changed in the base */
    begin(g.s.a);
    ok(g.s.a, newt_read_current(g.s.a, g.z.any));
    write_n(g.s.a, g.x, 7);
    change(g.below.c, g.z, 30);
    assert_int_equal(newt_commit(g.s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(g.s.a), 0)->object.oid, g.z.any.oid);
    /* the root, which is current as it is below, and then is not */
    for (int round = 0; round < 2; round++) {
        begin(g.s.a);
        ok(g.s.a, newt_read_current(g.s.a, (newt_ref){1}));
        write_n(g.s.a, g.x, 8 + round);
        if (round == 1)
            set_root(g.s.b, "x", g.x.any);
        assert_int_equal(newt_commit(g.s.a), round ? NEWT_ECONFLICT : NEWT_OK);
    }
    ground_close(&g);
}

/* ---- the base goes on --------------------------------------------------------------------- */

/* Removals in the base are honoured: of what was read, of what was not; not of what the layer has.
 */
static void
test_removed_below(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "removed_below");
    assert_int_equal(seen(g.s.a, g.x), 1);
    change(g.s.a, g.z, 30);
    remove_item(g.below.c, g.x);
    remove_item(g.below.c, g.y);
    remove_item(g.below.c, g.z);
    assert_int_equal(seen(g.s.b, g.x), -1);
    assert_int_equal(seen(g.s.b, g.y), -1);
    assert_int_equal(seen(g.s.b, g.z), 30);
    assert_int_equal(seen(g.s.a, g.x), -1);
    /* which is gone everywhere, when the layer removes it */
    remove_item(g.s.a, g.z);
    assert_int_equal(seen(g.s.b, g.z), -1);
    pop(&g.s);
    assert_int_equal(seen(g.s.b, g.z), -1);
    ground_close(&g);
}

/* One connection has heard of the base: the others of this database do not miss it. */
static void
test_fresh(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "fresh");
    for (int i = 0; i < 200; i++) {
        assert_int_equal(seen(g.s.a, g.z), 3);
        seen(g.s.b, g.x);
        change(g.below.c, g.x, i);
        assert_int_equal(seen(g.s.a, g.x), i);
        assert_int_equal(read_in(g.s.b, g.x, false), i);
    }
    ground_close(&g);
}

/* A snapshot is one of both. */
static void
test_snapshot(void **state)
{
    ground g;

    (void)state;
    ground_open(&g, "snapshot");
    change(g.s.b, g.y, 20);
    newt_abort(g.s.a);
    begin(g.s.a);
    ok(g.s.a, newt_prefetch(g.s.a, &(newt_ref){INT64_MAX}, 1));
    change(g.below.c, g.x, 100);
    change(g.below.c, g.y, 200);
    remove_item(g.below.c, g.z);
    change(g.s.b, g.y, 21);
    assert_int_equal(read_n(g.s.a, g.x), 1);
    assert_int_equal(read_n(g.s.a, g.y), 20);
    assert_int_equal(read_n(g.s.a, g.z), 3);
    newt_abort(g.s.a);
    assert_int_equal(seen(g.s.a, g.x), 100);
    assert_int_equal(seen(g.s.a, g.y), 21);
    assert_int_equal(seen(g.s.a, g.z), -1);
    ground_close(&g);
}

/* Oids that the base hands out while it lives on are never those of the layer. */
static void
test_oids(void **state)
{
    enum {
        N = 1500
    };
    static int64_t oids[3 * N];
    size_t n = 0;
    item_ref r;
    ground g;

    (void)state;
    ground_open(&g, "oids");
    push(&g.s);
    for (int part = 0; part < 5; part++) {
        newt_conn *c[] = {g.s.a, g.s.b, g.below.c};

        for (int i = 0; i < 3; i++)
            begin(c[i]);
        for (int k = 0; k < N / 5; k++)
            for (int i = 0; i < 3; i++) {
                struct item *x = new_item(c[i], "x", k);

                oids[n++] = item_id(x).any.oid;
                item_done(x);
            }
        for (int i = 0; i < 3; i++)
            commit(c[i]);
    }
    qsort(oids, n, sizeof *oids, newt__by_oid);
    for (size_t i = 1; i < n; i++)
        assert_true(oids[i] > oids[i - 1]);
    /* also after they have come down */
    write_down(&g.s);
    pop(&g.s);
    write_down(&g.s);
    pop(&g.s);
    for (size_t i = 0; i < n; i++) {
        r = item_of((newt_ref){oids[i]});
        assert_true(seen(g.below.c, r) >= 0);
    }
    begin(g.below.c);
    for (int k = 0; k < 3 * N; k++) {
        struct item *x = new_item(g.below.c, "x", k);

        r = item_id(x);
        item_done(x);
        assert_null(bsearch(&r.any.oid, oids, n, sizeof *oids, newt__by_oid));
    }
    commit(g.below.c);
    ground_close(&g);
}

static const struct CMUnitTest layers_conflicts[] = {
    cmocka_unit_test(test_conflicts),    cmocka_unit_test(test_base_conflicts),
    cmocka_unit_test(test_told_again),   cmocka_unit_test(test_merges),
    cmocka_unit_test(test_read_current), cmocka_unit_test(test_removed_below),
    cmocka_unit_test(test_fresh),        cmocka_unit_test(test_snapshot),
    cmocka_unit_test(test_oids),
};

int
main(void)
{
    return run_all(layers_conflicts);
}
