/*
 * prepared.c - two stores in one transaction: what a crash of the program or of the server leaves
 * behind at each phase, and how it is settled
 */
#include "resources.h"
#include "two.h"

/* ---- without a crash ------------------------------------------------------------------------ */

static void
test_together(void **state)
{
    int64_t p, commits;
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    change_both(&t, t.a.a, t.b.a, 2);
    commits = stats_of(t.b.a).commits;
    commit(t.a.a);
    assert_true(newt_tid(t.b.a) > 0);
    assert_int_equal(stats_of(t.b.a).commits, commits + 1);
    check_both(&t, 2);
    begin(t.b.a); /* the cache goes on */
    assert_int_equal(read_n(t.b.a, t.in_b), 2);
    commit(t.b.a);
    /* aborted */
    change_both(&t, t.a.a, t.b.a, 3);
    newt_abort(t.a.a);
    assert_int_equal(newt_commit(t.b.a), NEWT_EBUSY); /* it has ended as well */
    check_both(&t, 2);
    /* savepoints */
    change_both(&t, t.a.a, t.b.a, 4);
    ok(t.a.a, newt_savepoint(t.a.a, &p));
    write_n(t.a.a, t.in_a, 5);
    write_n(t.b.a, t.in_b, 5);
    ok(t.a.a, newt_rollback_to(t.a.a, p));
    commit(t.a.a);
    check_both(&t, 4);
    /* a conflict in either: nothing is committed in both */
    for (int i = 0; i < 2; i++) {
        newt_conn *other_c = i ? t.b.b : t.a.b;

        change_both(&t, t.a.a, t.b.a, 9);
        begin(other_c);
        write_n(other_c, i ? t.in_b : t.in_a, 4 + i);
        write_n(other_c, i ? t.in_b : t.in_a, 40);
        commit(other_c);
        assert_int_equal(newt_commit(t.a.a), NEWT_ECONFLICT);
        begin(other_c);
        write_n(other_c, i ? t.in_b : t.in_a, 4);
        commit(other_c);
        check_both(&t, 4);
    }
    /* nothing to write there, or here */
    begin(t.a.a);
    begin(t.b.a);
    ok(t.a.a, newt_join_conn(t.a.a, t.b.a, "b"));
    write_n(t.a.a, t.in_a, 6);
    assert_int_equal(read_n(t.b.a, t.in_b), 4);
    commit(t.a.a);
    begin(t.a.a);
    begin(t.b.a);
    ok(t.a.a, newt_join_conn(t.a.a, t.b.a, "b"));
    write_n(t.b.a, t.in_b, 6);
    commit(t.a.a);
    check_both(&t, 6);
    /* it ends its transaction by itself */
    change_both(&t, t.a.a, t.b.a, 7);
    assert_int_equal(newt_commit(t.b.a), NEWT_EBUSY);
    newt_abort(t.b.a);
    assert_int_equal(newt_commit(t.a.a), NEWT_EDOOMED);
    change_both(&t, t.a.a, t.b.a, 7);
    newt_close(t.b.a);
    assert_int_equal(newt_commit(t.a.a), NEWT_EDOOMED);
    t.b.a = connect_(t.b.db);
    change_both(&t, t.a.a, t.b.a, 7);
    ok(t.a.a, newt_savepoint(t.a.a, &p));
    newt_abort(t.b.a);
    assert_int_equal(newt_savepoint(t.a.a, &(int64_t){0}), NEWT_EBUSY);
    assert_int_equal(newt_rollback_to(t.a.a, p), NEWT_EBUSY);
    assert_true(newt_is_doomed(t.a.a));
    newt_abort(t.a.a);
    check_both(&t, 6);
    two_close(&t);
}

/* The hooks of the one that has joined hear what has become of both. */
static int
note_status(newt_conn *c, int status, void *arg)
{
    (void)c;
    *(int *)arg = status;
    return NEWT_OK;
}

static int
refuse_preparing(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NEWT_ELIMIT;
}

static void
test_hooks(void **state)
{
    newt_resource last = {.size = sizeof last,
                          .sort_key = "c",
                          .prepare = refuse_preparing,
                          .commit = go_on,
                          .abort = do_nothing};
    int heard;
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    heard = -1;
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.b.a, newt_on(t.b.a, NEWT_AFTER_COMMIT, note_status, &heard));
    commit(t.a.a);
    assert_int_equal(heard, NEWT_OK);
    /* it was prepared, and the other one is not committed */
    heard = -1;
    change_both(&t, t.a.a, t.b.a, 3);
    ok(t.b.a, newt_on(t.b.a, NEWT_AFTER_COMMIT, note_status, &heard));
    ok(t.a.a, newt_join(t.a.a, &last));
    assert_int_equal(newt_commit(t.a.a), NEWT_ELIMIT);
    assert_int_equal(heard, NEWT_EDOOMED);
    check_both(&t, 2);
    /* it cannot be prepared */
    heard = -1;
    change_both(&t, t.a.a, t.b.a, 3);
    ok(t.b.a, newt_on(t.b.a, NEWT_AFTER_COMMIT, note_status, &heard));
    newt_doom(t.b.a);
    assert_int_equal(newt_commit(t.a.a), NEWT_EDOOMED);
    assert_string_equal(newt_error_message(newt_conn_error(t.a.a)), "the transaction is doomed");
    assert_int_equal(heard, NEWT_EDOOMED);
    check_both(&t, 2);
    two_close(&t);
}

/* What a resource does to the transaction that has joined, whose key comes before it. */
static int
abort_preparing(void *arg, const char *name)
{
    (void)name;
    newt_abort(arg);
    return NEWT_OK;
}

static int
abort_committing(void *arg)
{
    newt_abort(arg);
    return NEWT_OK;
}

/* A program ends it by itself in the middle: while both can be undone both are, and after the
 * decision the error says what is not committed. */
static void
test_by_itself(void **state)
{
    newt_resource early = {.size = sizeof early,
                           .sort_key = "c",
                           .prepare = abort_preparing,
                           .commit = go_on,
                           .abort = do_nothing};
    newt_resource late = {.size = sizeof late,
                          .sort_key = "a",
                          .prepare = go_on_preparing,
                          .commit = abort_committing,
                          .abort = do_nothing};
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    early.arg = late.arg = t.b.a;
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.a.a, newt_join(t.a.a, &early));
    assert_int_equal(newt_commit(t.a.a), NEWT_EDOOMED);
    check_both(&t, 1);
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.a.a, newt_join(t.a.a, &late));
    assert_int_equal(newt_commit(t.a.a), NEWT_EUNKNOWN);
    assert_non_null(strstr(newt_error_message(newt_conn_error(t.a.a)), "resource \"b\" is not"));
    assert_int_equal(stored_int(t.a.db, t.in_a.any, "n"), 2);
    assert_int_equal(stored_int(t.b.db, t.in_b.any, "n"), 1);
    assert_int_equal(prepared(t.b.b), 0);
    change_both(&t, t.a.a, t.b.a, 3);
    commit(t.a.a);
    check_both(&t, 3);
    two_close(&t);
}

/* The first store does not know whether it has committed: the other one stays prepared, its hooks
 * hear so, and its connection can be used. */
static void
test_left(void **state)
{
    int heard = -1;
    other hasty;
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.b.a, newt_on(t.b.a, NEWT_AFTER_COMMIT, note_status, &heard));
    ok(t.a.a, newt__resources_prepare(t.a.a, NULL));
    newt__resources_leave(t.a.a);
    newt_abort(t.a.a);
    assert_int_equal(heard, NEWT_EUNKNOWN);
    assert_int_equal(prepared(t.b.b), 1);
    heard = -1;
    begin(t.b.a);
    assert_int_equal(read_n(t.b.a, t.in_b), 1);
    commit(t.b.a);
    assert_int_equal(heard, -1);
    /* who commits there waits, for as long as its lock_timeout says */
    setenv("PGOPTIONS", "-c lock_timeout=200", 1);
    hasty = other_open(&t.b);
    unsetenv("PGOPTIONS");
    begin(hasty.c);
    write_n(hasty.c, t.in_b, 7);
    assert_int_equal(newt_commit(hasty.c), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(hasty.c)), "55P03");
    other_close(&hasty);
    settle_all(t.b.b, t.a.b);
    check_both(&t, 1);
    two_close(&t);
}

/* Somebody settles by hand what a program is about to commit. */
static newt_conn *meddler;

static int
stop_listing(void *arg, const char *name, int64_t age_us)
{
    (void)age_us;
    snprintf(arg, NEWT_RESOURCES_NAME, "%s", name);
    return 7;
}

static int
meddle(void *arg)
{
    char name[NEWT_RESOURCES_NAME];

    (void)arg;
    assert_int_equal(newt_prepared(meddler, stop_listing, name), 7);
    return newt_settle(meddler, name, false);
}

static void
test_meddled(void **state)
{
    newt_resource first = {.size = sizeof first,
                           .sort_key = "a",
                           .prepare = go_on_preparing,
                           .commit = meddle,
                           .abort = do_nothing};
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    meddler = t.b.b;
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.a.a, newt_join(t.a.a, &first));
    assert_int_equal(newt_commit(t.a.a), NEWT_EUNKNOWN);
    assert_non_null(strstr(newt_error_message(newt_conn_error(t.a.a)), "resource \"b\" is not"));
    assert_int_equal(stored_int(t.a.db, t.in_a.any, "n"), 2);
    assert_int_equal(stored_int(t.b.db, t.in_b.any, "n"), 1);
    begin(t.b.a);
    assert_int_equal(read_n(t.b.a, t.in_b), 1);
    write_n(t.b.a, t.in_b, 2);
    commit(t.b.a);
    check_both(&t, 2);
    two_close(&t);
}

static void
test_refused(void **state)
{
    newt_options pooled = {.transaction_pooling = true};
    newt_resource idle = {.size = sizeof idle,
                          .sort_key = "x",
                          .prepare = go_on_preparing,
                          .commit = go_on,
                          .abort = do_nothing};
    newt_db *db, *memory;
    newt_conn *c, *m;
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    begin(t.a.a);
    assert_int_equal(newt_join_conn(t.a.a, t.a.a, "x"), NEWT_EINVAL);
    assert_int_equal(newt_join_conn(t.a.a, t.b.a, "x"), NEWT_EBUSY); /* it has no transaction */
    begin(t.b.a);
    ok(t.a.a, newt_join_conn(t.a.a, t.b.a, "x"));
    begin(t.b.b);
    assert_int_equal(newt_join_conn(t.b.b, t.b.a, "x"), NEWT_EINVAL); /* one of them alone */
    assert_int_equal(newt_join_conn(t.b.b, t.a.a, "x"), NEWT_EINVAL); /* it leads another */
    assert_int_equal(newt_join_conn(t.b.a, t.b.b, "x"), NEWT_EINVAL); /* it follows another */
    assert_int_equal(newt_join(t.b.a, &idle), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(t.b.a)), "has joined another"));
    newt_abort(t.b.b);
    newt_abort(t.a.a);
    db = store_db(&t.a, classes, pooled);
    c = connect_(db);
    begin(c);
    begin(t.b.a);
    assert_int_equal(newt_join_conn(t.b.a, c, "x"), NEWT_EINVAL);
    newt_abort(c);
    newt_abort(t.b.a);
    newt_close(c);
    newt_db_close(db);
    /* a store in memory leads, and cannot follow */
    assert_int_equal(newt_db_open(&memory, "memory:", classes, NULL), NEWT_OK);
    m = connect_(memory);
    assert_int_equal(prepared(m), 0);
    assert_int_equal(newt_settle(m, "newt-0", true), NEWT_EMISSING);
    assert_int_equal(newt_settle(t.b.b, "newt-0", true), NEWT_EMISSING);
    assert_int_equal(newt_settle(t.b.b, "newt-0'; --", true), NEWT_EMISSING);
    assert_int_equal(newt_settle(t.b.b, "newt-0' x", true), NEWT_EMISSING);
    begin(m);
    begin(t.b.a);
    assert_int_equal(newt_join_conn(t.b.a, m, "x"), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(t.b.a)), "memory"));
    ok(m, newt_join_conn(m, t.b.a, "x"));
    new_item(m, "m", 1);
    write_n(t.b.a, t.in_b, 8);
    commit(m);
    assert_int_equal(stored_int(t.b.db, t.in_b.any, "n"), 8);
    newt_close(m);
    newt_db_close(memory);
    two_close(&t);
    /* a server that keeps none */
    allow_prepared(0);
    two_open(&t);
    change_both(&t, t.a.a, t.b.a, 2);
    assert_int_equal(newt_commit(t.a.a), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(t.a.a)), "55000");
    check_both(&t, 1);
    two_close(&t);
}

/* ---- with one ------------------------------------------------------------------------------- */

typedef enum phase {
    BEFORE,    /* nothing is prepared */
    PREPARED,  /* both could still go either way */
    COMMITTED, /* the first store has */
    DONE,      /* so have both */
    N_PHASES
} phase;

static const char *const keys[N_PHASES] = {"a", "c", "a", "c"}; /* the second store's is b */

static void
die_in(const two *t, phase when)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = keys[when],
                       .prepare = when <= PREPARED ? die_preparing : go_on_preparing,
                       .commit = when > PREPARED ? die : go_on,
                       .abort = do_nothing};
    pid_t child = fork_child();

    if (child == 0) {
        two mine = *t;
        newt_conn *a, *b;

        alarm(PATIENCE_S);
        a = connect_(store_db(&t->a, classes, (newt_options){0}));
        b = connect_(store_db(&t->b, classes, (newt_options){0}));
        change_both(&mine, a, b, 10 + (int)when);
        ok(a, newt_join(a, &r));
        (void)!newt_commit(a);
        _exit(1);
    }
    assert_died(child);
}

static void
test_killed(void **state)
{
    two t;

    (void)state;
    allow_prepared(5);
    for (int crash = 0; crash < 2; crash++) {
        for (phase when = BEFORE; when < N_PHASES; when++) {
            two_open(&t);
            die_in(&t, when);
            if (crash) {
                server_do("crash");
                server_do("start");
            }
            /* the server may be about to notice that the client has gone */
            wait_until(newt_prepared(t.b.b, list, NULL) == NEWT_OK);
            assert_int_equal(prepared(t.b.b), when == PREPARED || when == COMMITTED);
            assert_int_equal(holder(t.b.b), prepared(t.b.b) ? -1 : 0);
            assert_int_equal(prepared(t.a.b), 0); /* those of another store are not listed */
            settle_all(t.b.b, t.a.b);
            check_both(&t, when >= COMMITTED ? 10 + (int)when : 1);
            two_close(&t);
        }
    }
}

/* The server crashes between the two phases; the program goes on. */
static int
crash_server(void *arg)
{
    (void)arg;
    server_do("crash");
    server_do("start");
    return NEWT_OK;
}

static void
test_server_crash(void **state)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = "a",
                       .prepare = go_on_preparing,
                       .commit = crash_server,
                       .abort = do_nothing};
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    change_both(&t, t.a.a, t.b.a, 2);
    ok(t.a.a, newt_join(t.a.a, &r));
    commit(t.a.a);
    wait_until(newt_prepared(t.b.b, list, NULL) == NEWT_OK);
    check_both(&t, 2);
    two_close(&t);
}

/* What is to be current in the one that only reads is checked, too. */
static void
test_read_current(void **state)
{
    two t;

    (void)state;
    allow_prepared(5);
    two_open(&t);
    for (int changed = 0; changed < 2; changed++) {
        begin(t.a.a);
        begin(t.b.a);
        ok(t.a.a, newt_join_conn(t.a.a, t.b.a, "b"));
        write_n(t.a.a, t.in_a, 10 + changed);
        ok(t.b.a, newt_read_current(t.b.a, t.in_b.any));
        if (changed) {
            begin(t.b.b);
            write_n(t.b.b, t.in_b, 5);
            commit(t.b.b);
        }
        assert_int_equal(newt_commit(t.a.a), changed ? NEWT_ECONFLICT : NEWT_OK);
        if (changed)
            assert_int_equal(newt_error_conflict(newt_conn_error(t.a.a), 0)->object.oid,
                             t.in_b.any.oid);
        assert_int_equal(stored_int(t.a.db, t.in_a.any, "n"), 10);
        assert_int_equal(prepared(t.b.b), 0);
    }
    two_close(&t);
}

static const struct CMUnitTest two_stores[] = {
    cmocka_unit_test(test_read_current), cmocka_unit_test(test_together),
    cmocka_unit_test(test_hooks),        cmocka_unit_test(test_by_itself),
    cmocka_unit_test(test_left),         cmocka_unit_test(test_meddled),
    cmocka_unit_test(test_refused),      cmocka_unit_test(test_killed),
    cmocka_unit_test(test_server_crash),
};

int
main(void)
{
    return run_all(two_stores);
}
