/*
 * hermitage.c - the anomalies of Adya's and Berenson's definitions, by the names and in the order
 * of steps of the Hermitage tests: which of them a transaction of Newt can meet
 *
 * Objects a (10) and b (20). Each transaction is of a program of its own, on a connection of its
 * own; the table in docs/transactions.md names these tests.
 */
#include "../concurrency/concurrency.h"

typedef struct stage {
    store s;
    newt_db *db[3];
    newt_conn *t1, *t2, *t3;
    item_ref a, b;
} stage;

static void
stage_open(stage *x, const char *name)
{
    newt_conn **c[] = {&x->t1, &x->t2, &x->t3};

    store_open(&x->s, name);
    x->a = make_item(x->s.a, "a", 10);
    x->b = make_item(x->s.a, "b", 20);
    for (int i = 0; i < 3; i++) {
        x->db[i] = store_db(&x->s, classes, (newt_options){0});
        *c[i] = connect_(x->db[i]);
    }
}

static void
stage_close(stage *x)
{
    newt_conn *c[] = {x->t1, x->t2, x->t3};

    for (int i = 0; i < 3; i++) {
        newt_close(c[i]);
        newt_db_close(x->db[i]);
    }
    store_close(&x->s);
}

/* How many objects meet a condition, in the transaction's snapshot. */
static size_t
count(newt_conn *c, const char *condition)
{
    newt_result *r;
    size_t n;

    ok(c, newt_where(c, &r, condition, 0, NULL));
    n = newt_result_size(r);
    newt_result_free(r);
    return n;
}

/* Where there are questions. */
#define has_sql() (on_server() || on_sqlite())
#define needs_sql()                                                                                \
    do {                                                                                           \
        if (!has_sql())                                                                            \
            skip();                                                                                \
    } while (0)
#define assert_count(c, condition, n) assert_int_equal(!has_sql() ? (n) : count(c, condition), n)

/* Begins, with a snapshot of now. */
static void
begin_now(newt_conn *c)
{
    newt_ref missing = {INT64_MAX};

    begin(c);
    ok(c, newt_prefetch(c, &missing, 1));
}

static void
assert_conflict(newt_conn *c, item_ref r)
{
    assert_int_equal(newt_commit(c), NEWT_ECONFLICT);
    assert_true(newt_is_retryable(newt_conn_error(c)));
    assert_int_equal(newt_error_oid(newt_conn_error(c)), r.any.oid);
}

static void
assert_final(stage *x, int64_t a, int64_t b)
{
    begin_now(x->t3);
    assert_int_equal(read_n(x->t3, x->a), a);
    assert_int_equal(read_n(x->t3, x->b), b);
    commit(x->t3);
    if (!x->s.pg)
        return;
    assert_int_equal(
        sql_int(x->s.pg, "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)x->a.any.oid),
        a);
    assert_int_equal(
        sql_int(x->s.pg, "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)x->b.any.oid),
        b);
}

/* ---- prevented ---------------------------------------------------------------------------- */

static void
test_g0_dirty_write(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g0");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 11);
    write_n(x.t2, x.a, 12);
    write_n(x.t1, x.b, 21);
    commit(x.t1);
    write_n(x.t2, x.b, 22);
    assert_conflict(x.t2, x.a);
    assert_final(&x, 11, 21);
    stage_close(&x);
}

static void
test_g1a_aborted_read(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g1a");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 101);
    assert_int_equal(read_n(x.t2, x.a), 10);
    newt_abort(x.t1);
    assert_int_equal(read_n(x.t2, x.a), 10);
    commit(x.t2);
    /* one that fails at commit has shown nothing either */
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 101);
    write_n(x.t1, x.b, 201);
    write_n(x.t2, x.b, 21);
    commit(x.t2);
    assert_conflict(x.t1, x.b);
    assert_final(&x, 10, 21);
    stage_close(&x);
}

static void
test_g1b_intermediate_read(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g1b");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 101);
    assert_int_equal(read_n(x.t2, x.a), 10);
    write_n(x.t1, x.a, 11);
    commit(x.t1);
    assert_int_equal(read_n(x.t2, x.a), 10);
    commit(x.t2);
    assert_final(&x, 11, 20);
    stage_close(&x);
}

static void
test_g1c_circular_information_flow(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g1c");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 11);
    write_n(x.t2, x.b, 22);
    assert_int_equal(read_n(x.t1, x.b), 20);
    assert_int_equal(read_n(x.t2, x.a), 10);
    commit(x.t1);
    commit(x.t2);
    assert_final(&x, 11, 22);
    stage_close(&x);
}

static void
test_otv_observed_transaction_vanishes(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "otv");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 11);
    write_n(x.t1, x.b, 19);
    write_n(x.t2, x.a, 12);
    commit(x.t1);
    begin_now(x.t3);
    assert_int_equal(read_n(x.t3, x.a), 11);
    write_n(x.t2, x.b, 18);
    assert_int_equal(read_n(x.t3, x.b), 19);
    assert_conflict(x.t2, x.a);
    assert_int_equal(read_n(x.t3, x.b), 19);
    assert_int_equal(read_n(x.t3, x.a), 11);
    commit(x.t3);
    assert_final(&x, 11, 19);
    stage_close(&x);
}

static void
test_pmp_predicate_many_preceders(void **state)
{
    stage x;

    (void)state;
    needs_sql();
    stage_open(&x, "pmp");
    begin_now(x.t1);
    assert_count(x.t1, "CAST(state->>'n' AS integer) = 30", 0);
    begin_now(x.t2);
    item_done(new_item(x.t2, "c", 30));
    commit(x.t2);
    assert_count(x.t1, "CAST(state->>'n' AS integer) % 3 = 0", 0);
    commit(x.t1);
    assert_final(&x, 10, 20);
    stage_close(&x);
}

/* One changes everything, the other removes what meets a condition that is no longer true. */
static void
test_pmp_for_writes(void **state)
{
    newt_result *r;
    stage x;

    (void)state;
    needs_sql();
    stage_open(&x, "pmpw");
    begin_now(x.t1);
    begin_now(x.t2);
    write_n(x.t1, x.a, 20);
    write_n(x.t1, x.b, 30);
    ok(x.t2, newt_where(x.t2, &r, "CAST(state->>'n' AS integer) = 20", 0, NULL));
    assert_int_equal(newt_result_size(r), 1);
    assert_int_equal(newt_result_ref(r, 0).oid, x.b.any.oid);
    ok(x.t2, newt_delete(x.t2, newt_result_ref(r, 0)));
    newt_result_free(r);
    commit(x.t1);
    assert_conflict(x.t2, x.b);
    assert_final(&x, 20, 30);
    stage_close(&x);
}

static void
test_p4_lost_update(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "p4");
    begin_now(x.t1);
    begin_now(x.t2);
    assert_int_equal(read_n(x.t1, x.a), 10);
    assert_int_equal(read_n(x.t2, x.a), 10);
    write_n(x.t1, x.a, 11);
    write_n(x.t2, x.a, 11);
    commit(x.t1);
    assert_conflict(x.t2, x.a); /* although it would write the same value */
    assert_final(&x, 11, 20);
    stage_close(&x);
}

static void
test_p2_fuzzy_read(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "p2");
    begin_now(x.t1);
    assert_int_equal(read_n(x.t1, x.a), 10);
    begin_now(x.t2);
    write_n(x.t2, x.a, 12);
    commit(x.t2);
    assert_int_equal(read_n(x.t1, x.a), 10);
    assert_count(x.t1, "CAST(state->>'n' AS integer) = 10", 1); /* by SQL as well */
    assert_count(x.t1, "CAST(state->>'n' AS integer) = 12", 0);
    commit(x.t1);
    assert_final(&x, 12, 20);
    stage_close(&x);
}

static void
test_p3_phantom(void **state)
{
    stage x;

    (void)state;
    needs_sql();
    stage_open(&x, "p3");
    begin_now(x.t1);
    assert_count(x.t1, "class_name = 'Item'", 2);
    begin_now(x.t2);
    item_done(new_item(x.t2, "c", 30));
    ok(x.t2, newt_delete(x.t2, x.a.any));
    commit(x.t2);
    assert_count(x.t1, "class_name = 'Item'", 2);
    assert_int_equal(read_n(x.t1, x.a), 10);
    commit(x.t1);
    begin_now(x.t1);
    assert_count(x.t1, "class_name = 'Item'", 2);
    assert_count(x.t1, "CAST(state->>'n' AS integer) = 30", 1);
    assert_null(item_read(x.t1, x.a));
    newt_abort(x.t1);
    stage_close(&x);
}

static void
test_g_single_read_skew(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "gsingle");
    begin_now(x.t1);
    assert_int_equal(read_n(x.t1, x.a), 10);
    begin_now(x.t2);
    assert_int_equal(read_n(x.t2, x.a), 10);
    assert_int_equal(read_n(x.t2, x.b), 20);
    write_n(x.t2, x.a, 12);
    write_n(x.t2, x.b, 18);
    commit(x.t2);
    assert_int_equal(read_n(x.t1, x.b), 20);
    assert_count(x.t1, "CAST(state->>'n' AS integer) % 5 = 0", 2);
    /* and what it makes of that is not written */
    write_n(x.t1, x.b, 30);
    assert_conflict(x.t1, x.b);
    assert_final(&x, 12, 18);
    stage_close(&x);
}

/* ---- not prevented by snapshots alone ------------------------------------------------------- */

/* Possible. Its pair, with newt_read_current(b) in t1 and newt_read_current(a) in t2, belongs
 * after it when there is newt_read_current: there the second commit is a conflict. */
static void
test_g2_item_write_skew(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g2item");
    begin_now(x.t1);
    begin_now(x.t2);
    assert_int_equal(read_n(x.t1, x.a) + read_n(x.t1, x.b), 30);
    assert_int_equal(read_n(x.t2, x.a) + read_n(x.t2, x.b), 30);
    write_n(x.t1, x.a, 11);
    write_n(x.t2, x.b, 21);
    commit(x.t1);
    commit(x.t2);
    assert_final(&x, 11, 21);
    stage_close(&x);
}

/* What a program can do about it: write what the decision rests on. */
static void
test_g2_item_by_writing(void **state)
{
    stage x;

    (void)state;
    stage_open(&x, "g2write");
    begin_now(x.t1);
    begin_now(x.t2);
    assert_int_equal(read_n(x.t1, x.a) + read_n(x.t1, x.b), 30);
    assert_int_equal(read_n(x.t2, x.a) + read_n(x.t2, x.b), 30);
    write_n(x.t1, x.a, 11);
    write_n(x.t1, x.b, 19);
    write_n(x.t2, x.b, 21);
    write_n(x.t2, x.a, 9);
    commit(x.t1);
    assert_conflict(x.t2, x.a);
    assert_final(&x, 11, 19);
    stage_close(&x);
}

static void
test_g2_predicate(void **state)
{
    stage x;

    (void)state;
    needs_sql();
    stage_open(&x, "g2");
    begin_now(x.t1);
    begin_now(x.t2);
    assert_count(x.t1, "CAST(state->>'n' AS integer) % 3 = 0", 0);
    assert_count(x.t2, "CAST(state->>'n' AS integer) % 3 = 0", 0);
    item_done(new_item(x.t1, "c", 30));
    item_done(new_item(x.t2, "d", 42));
    commit(x.t1);
    commit(x.t2);
    begin_now(x.t3);
    assert_count(x.t3, "CAST(state->>'n' AS integer) % 3 = 0", 2);
    commit(x.t3);
    stage_close(&x);
}

static const struct CMUnitTest hermitage[] = {
    cmocka_unit_test(test_g0_dirty_write),
    cmocka_unit_test(test_g1a_aborted_read),
    cmocka_unit_test(test_g1b_intermediate_read),
    cmocka_unit_test(test_g1c_circular_information_flow),
    cmocka_unit_test(test_otv_observed_transaction_vanishes),
    cmocka_unit_test(test_pmp_predicate_many_preceders),
    cmocka_unit_test(test_pmp_for_writes),
    cmocka_unit_test(test_p4_lost_update),
    cmocka_unit_test(test_p2_fuzzy_read),
    cmocka_unit_test(test_p3_phantom),
    cmocka_unit_test(test_g_single_read_skew),
    cmocka_unit_test(test_g2_item_write_skew),
    cmocka_unit_test(test_g2_item_by_writing),
    cmocka_unit_test(test_g2_predicate),
};

int
main(void)
{
    return run_all(hermitage);
}
