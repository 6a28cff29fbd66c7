/*
 * transactions.c - begin, snapshots, conflicts, abort, descriptions
 */
#include "stored.h"

static void
test_round_trips(void **state)
{
    newt_stats before, after;
    item_ref r, many[100];
    store s;

    (void)state;
    needs_server();
    store_open(&s, "trips");
    r = make_item(s.a, "one", 1);
    /* an object that is cached, and has been since a moment ago: one round trip in all */
    for (int i = 0; i < 3; i++) {
        begin(s.a);
        read_n(s.a, r);
        commit(s.a);
        begin_alone(s.a);
        before = stats_of(s.a);
        write_n(s.a, r, 10 + i);
        commit(s.a);
        after = stats_of(s.a);
        assert_int_equal(after.round_trips - before.round_trips, 1);
        assert_int_equal(after.commits - before.commits, 1);
    }
    assert_int_equal(after.statements - before.statements, 7);
    /* changed back before commit: nothing is sent at all */
    begin_alone(s.a);
    before = stats_of(s.a);
    write_n(s.a, r, 99);
    write_n(s.a, r, 12);
    commit(s.a);
    after = stats_of(s.a);
    assert_int_equal(after.round_trips, before.round_trips);
    assert_int_equal(after.statements, before.statements);
    /* a hundred objects that are not cached: one round trip, the snapshot included */
    begin(s.a);
    for (int i = 0; i < 100; i++)
        many[i] = item_id(new_item(s.a, "x", i));
    commit(s.a);
    before = stats_of(s.b);
    begin(s.b);
    ok(s.b, newt_prefetch(s.b, &many[0].any, 100));
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 1);
    assert_int_equal(stats_of(s.b).loads - before.loads, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(read_n(s.b, many[i]), i);
    /* ending a snapshot is not waited for */
    commit(s.b);
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 1);
    store_close(&s);
}

static void
test_snapshot(void **state)
{
    item_ref r, q;
    int64_t tid;
    store s;

    (void)state;
    store_open(&s, "snapshot");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 1);
    begin(s.a);
    write_n(s.a, r, 2);
    write_n(s.a, q, 2);
    commit(s.a);
    tid = newt_tid(s.a);
    /* b goes on seeing what it saw, also in what it has not loaded yet */
    assert_int_equal(read_n(s.b, r), 1);
    assert_int_equal(read_n(s.b, q), 1);
    assert_true(newt_tid(s.b) < tid);
    commit(s.b);
    /* what this newt_db has committed is seen by the next transaction, however soon */
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 2);
    assert_int_equal(read_n(s.b, q), 2);
    assert_int_equal(newt_tid(s.b), tid);
    newt_abort(s.b);
    store_close(&s);
}

/* A transaction that began without the server learns at its first contact what others changed. */
static void
test_lazy_begin(void **state)
{
    item_ref used, unused, third;
    other o;
    store s;

    (void)state;
    store_open(&s, "lazy");
    used = make_item(s.a, "used", 1);
    unused = make_item(s.a, "unused", 1);
    third = make_item(s.b, "third", 1);
    o = other_open(&s);

    /* what was not used is just forgotten */
    begin(s.a);
    read_n(s.a, used);
    read_n(s.a, unused);
    commit(s.a);
    begin_alone(s.a);
    assert_int_equal(read_n(s.a, used), 1);
    begin(o.c);
    write_n(o.c, unused, 2);
    commit(o.c);
    assert_int_equal(read_n(s.a, third), 1); /* the contact */
    assert_int_equal(read_n(s.a, unused), 2);
    assert_int_equal(newt_tid(s.a), newt_tid(o.c));
    commit(s.a);

    /* what was used makes a read conflict, at the contact */
    begin(s.a);
    read_n(s.a, used);
    commit(s.a);
    begin_alone(s.a);
    assert_int_equal(read_n(s.a, used), 1);
    begin(o.c);
    write_n(o.c, used, 2);
    third = item_id(new_item(o.c, "new", 7));
    commit(o.c);
    assert_null(item_read(s.a, third));
    assert_int_equal(newt_status(s.a), NEWT_ECONFLICT);
    assert_true(newt_is_retryable(newt_conn_error(s.a)));
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), used.any.oid);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "Item"));
    /* it is doomed, and says the first reason to the end */
    assert_null(item_write(s.a, unused));
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_commit(s.a), NEWT_EBUSY);
    begin(s.a);
    assert_int_equal(read_n(s.a, used), 2);
    assert_int_equal(read_n(s.a, third), 7);
    commit(s.a);
    other_close(&o);
    store_close(&s);
}

static void
test_conflict(void **state)
{
    char expected[160];
    int64_t mine, theirs;
    const newt_error *e;
    item_ref r, q;
    store s;

    (void)state;
    store_open(&s, "conflict");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    begin(s.a);
    begin(s.b);
    write_n(s.a, r, 2);
    write_n(s.b, r, 3);
    write_n(s.b, q, 3);
    item_done(new_item(s.b, "new", 3));
    mine = newt__header_of(item_read(s.a, r))->serial;
    commit(s.a);
    begin(s.a);
    theirs = newt__header_of(item_read(s.a, r))->serial;
    newt_abort(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    e = newt_conn_error(s.b);
    assert_true(newt_is_retryable(e));
    assert_int_equal(newt_error_oid(e), r.any.oid);
    assert_string_equal(newt_error_sqlstate(e), "40001");
    snprintf(expected, sizeof expected, "Item %lld was changed by another transaction",
             (long long)r.any.oid);
    assert_string_equal(newt_error_message(e), expected);
    snprintf(expected, sizeof expected, "It was read with serial %lld and has serial %lld now.",
             (long long)mine, (long long)theirs);
    assert_string_equal(newt_error_detail(e), expected);
    assert_int_equal(stats_of(s.b).conflicts, 1);
    /* nothing of it was written */
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)q.any.oid);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE state->>'name' = 'new'");
    /* and the next transaction sees theirs */
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 2);
    write_n(s.b, r, 4);
    commit(s.b);
    assert_sql(s.pg, "4", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    store_close(&s);
}

static void
test_several_conflicts(void **state)
{
    item_ref r[5];
    store s;

    (void)state;
    store_open(&s, "several");
    for (int i = 0; i < 5; i++)
        r[i] = make_item(s.a, "r", i);
    begin(s.a);
    begin(s.b);
    for (int i = 4; i >= 0; i--)
        write_n(s.b, r[i], 10);
    write_n(s.a, r[2], 20);
    write_n(s.a, r[4], 20);
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(s.b)), r[2].any.oid);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.b)), "and 1 more"));
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE state->>'n' = '10'");
    store_close(&s);
}

static void
test_delete(void **state)
{
    item_ref r, q, root;
    store s;

    (void)state;
    store_open(&s, "delete");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);

    /* removed by one, changed by the other: whoever is second has a conflict */
    begin(s.a);
    begin(s.b);
    ok(s.a, newt_delete(s.a, r.any));
    write_n(s.b, r, 2);
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.b)), "removed"));
    assert_int_equal(newt_error_oid(newt_conn_error(s.b)), r.any.oid);
    begin(s.a);
    begin(s.b);
    ok(s.a, newt_delete(s.a, q.any));
    write_n(s.b, q, 2);
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);

    /* both representations are gone, and readers learn it */
    assert_sql(s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid = %lld",
               (long long)r.any.oid);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    assert_sql(s.pg, "1", "SELECT count(*) FROM transaction WHERE removed = '{%lld}'",
               (long long)r.any.oid);
    begin(s.b);
    assert_null(item_read(s.b, r));
    assert_int_equal(newt_status(s.b), NEWT_EMISSING);
    assert_int_equal(newt_error_oid(newt_conn_error(s.b)), r.any.oid);
    assert_int_equal(read_n(s.b, q), 2); /* the transaction goes on */
    commit(s.b);
    assert_int_equal(newt_status(s.b), NEWT_OK);

    /* a removed one is not resurrected by one who inserts beside it; removed and new in one */
    begin(s.a);
    root = item_id(new_item(s.a, "new", 5));
    ok(s.a, newt_delete(s.a, q.any));
    commit(s.a);
    assert_sql(s.pg, "5", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)root.any.oid);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    store_close(&s);
}

static void
test_abort(void **state)
{
    int64_t transactions;
    item_ref r, gone;
    store s;

    (void)state;
    store_open(&s, "abort");
    r = make_item(s.a, "r", 1);
    transactions = s.pg ? sql_int(s.pg, "SELECT count(*) FROM transaction") : 0;
    begin(s.a);
    write_n(s.a, r, 2);
    gone = item_id(new_item(s.a, "gone", 1));
    newt_abort(s.a);
    newt_abort(s.a); /* of nothing: nothing */
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    assert_null(item_read(s.a, gone));
    newt_abort(s.a);
    if (s.pg) {
        assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM transaction"), transactions);
        /* no transaction is left open on the server */
        wait_until(sql_int(s.pg,
                           "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                           "'newt' AND state LIKE 'idle in transaction%%' AND query LIKE "
                           "'%%%s%%'",
                           s.schema) == 0);
    }
    store_close(&s);
}

static void
test_order_of_calls(void **state)
{
    store s;

    (void)state;
    store_open(&s, "calls");
    assert_int_equal(newt_commit(s.a), NEWT_EBUSY);
    assert_null(item_new(s.a));
    assert_int_equal(newt_status(s.a), NEWT_EBUSY);
    assert_true(newt_is_null(newt_root(s.a, "x")));
    begin(s.a);
    assert_int_equal(newt_begin(s.a), NEWT_EBUSY);
    newt_abort(s.a);
    /* an open transaction is aborted by close */
    begin(s.a);
    item_done(new_item(s.a, "lost", 1));
    newt_close(s.a);
    s.a = connect_(s.db);
    assert_int_equal(newt_commit(s.a), NEWT_EBUSY);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    store_close(&s);
}

static void
test_roots(void **state)
{
    newt_ref none = {0};
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "roots");
    begin(s.a);
    assert_true(newt_is_null(newt_root(s.a, "app")));
    assert_int_equal(newt_status(s.a), NEWT_OK);
    r = item_id(new_item(s.a, "app", 1));
    ok(s.a, newt_set_root(s.a, "app", r.any));
    commit(s.a);
    begin(s.b);
    assert_int_equal(newt_root(s.b, "app").oid, r.any.oid);
    ok(s.b, newt_set_root(s.b, "app", none));
    commit(s.b);
    begin(s.a);
    assert_true(newt_is_null(newt_root(s.a, "app")));
    newt_abort(s.a);
    store_close(&s);
}

/* ---- what a transaction says of itself ------------------------------------------------ */

#define assert_row(s, expected)                                                                    \
    assert_sql((s).pg, expected,                                                                   \
               "SELECT concat_ws('|', CASE username WHEN CURRENT_USER THEN 'me' ELSE username "    \
               "END, coalesce(description, '-'), coalesce(extension::text, '-')) "                 \
               "FROM transaction ORDER BY tid DESC LIMIT 1")

static void
test_describe(void **state)
{
    json_t *extension = json_pack("{s:s, s:i}", "path", "C:\\u0000", "n", 7);
    json_t *list = json_array(), *nul = json_pack("{s:s%}", "x", "\0", (size_t)1);
    json_t *long_one = json_object();
    char *text = malloc(65537);
    newt_stats before;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "describe");
    assert_int_equal(newt_describe(s.a, "u", "d", NULL), NEWT_EBUSY);
    r = make_item(s.a, "r", 1);
    assert_row(s, "me|-|-");
    /* no message more */
    begin(s.a);
    write_n(s.a, r, 2);
    ok(s.a, newt_describe(s.a, "no", NULL, NULL));
    ok(s.a, newt_describe(s.a, "märta", "first; 'quoted'", extension));
    before = stats_of(s.a);
    commit(s.a);
    assert_round_trips(s.a, before, 1);
    assert_row(s, "märta|first; 'quoted'|{\"n\": 7, \"path\": \"C:\\\\u0000\"}");
    /* each may be missing, and the next transaction says nothing */
    begin(s.a);
    write_n(s.a, r, 3);
    ok(s.a, newt_describe(s.a, NULL, "second", NULL));
    commit(s.a);
    assert_row(s, "me|second|-");
    begin(s.a);
    ok(s.a, newt_describe(s.a, "x", "nothing written", NULL));
    commit(s.a);
    begin(s.a);
    ok(s.a, newt_describe(s.a, "x", "aborted", NULL));
    newt_abort(s.a);
    begin(s.a);
    write_n(s.a, r, 4);
    commit(s.a);
    assert_row(s, "me|-|-");
    /* limits, and what cannot be stored; nothing is committed without it */
    memset(text, 'x', 65536);
    text[65536] = 0;
    for (int i = 0; i < 6; i++) {
        static const int statuses[] = {NEWT_ELIMIT, NEWT_ELIMIT, NEWT_EINVAL,
                                       NEWT_EINVAL, NEWT_EINVAL, NEWT_OK};

        begin(s.a);
        write_n(s.a, r, 10 + i);
        if (i == 1) /* {"x":"..."} */
            json_object_set_new(long_one, "x", json_stringn(text, 65535 - 7));
        assert_int_equal(newt_describe(s.a, i == 0 ? text : NULL, i == 2 ? "\xff" : NULL,
                                       i == 1   ? long_one
                                       : i == 3 ? list
                                       : i == 4 ? nul
                                                : NULL),
                         statuses[i]);
        if (i == 5) {
            json_object_set_new(long_one, "x", json_stringn(text, 65535 - 8));
            ok(s.a, newt_describe(s.a, text + 1, text + 1, long_one));
        }
        assert_int_equal(newt_commit(s.a), statuses[i]);
    }
    assert_sql(s.pg, "65535 65535 65527",
               "SELECT concat_ws(' ', length(username), length(description), "
               "length(extension->>'x')) FROM transaction ORDER BY tid DESC LIMIT 1");
    assert_sql(s.pg, "15", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    free(text);
    json_decref(extension);
    json_decref(list);
    json_decref(nul);
    json_decref(long_one);
    store_close(&s);
}

/* ---- positions ------------------------------------------------------------------------ */

/* More changes than a cache asks for one by one: it is dropped as a whole. */
static void
test_many_changes(void **state)
{
    enum {
        OBJECTS = 12000
    };
    item_ref *r = calloc(OBJECTS, sizeof *r), one;
    other o;
    store s;

    (void)state;
    store_open(&s, "many");
    one = make_item(s.a, "one", 1);
    begin(s.a);
    for (int i = 0; i < OBJECTS; i++) {
        r[i] = item_id(new_item(s.a, "x", 0));
    }
    commit(s.a);
    assert_int_equal(stats_of(s.a).objects, OBJECTS + 1);
    o = other_open(&s);
    begin(o.c);
    ok(o.c, newt_prefetch(o.c, &r[0].any, OBJECTS));
    for (int i = 0; i < OBJECTS; i++)
        write_n(o.c, r[i], 1);
    commit(o.c);
    begin(s.a);
    if (newt_tid(s.a) < newt_tid(o.c)) { /* begun without the server: this is the contact */
        item_ref missing = {{1 << 30}};

        assert_null(item_read(s.a, missing));
    }
    assert_int_equal(stats_of(s.a).objects, 0);
    assert_int_equal(read_n(s.a, r[OBJECTS - 1]), 1);
    assert_int_equal(read_n(s.a, one), 1);
    commit(s.a);
    other_close(&o);
    store_close(&s);
    free(r);
}

static int
make_one(newt_conn *c, void *arg)
{
    (void)arg;
    return item_new(c) ? NEWT_OK : newt_status(c);
}

/* The transaction that the cache stands at is gone, or the server was restarted or replaced: all
 * that is cached is doubted. */
static void
test_lost_position(void **state)
{
    item_ref r, q;
    store s;

    (void)state;
    needs_server();
    store_open(&s, "position");
    r = make_item(s.a, "r", 1);
    q = make_item(s.b, "q", 1);
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    /* pruned too early: only the newest is left, which is not the one of this cache */
    sql_do(s.pg, "INSERT INTO transaction (tid, serial, nonce, written, removed) "
                 "SELECT max(tid) + 1, -1, 0, '{}', '{}' FROM transaction");
    sql_do(s.pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    begin(s.a);
    read_n(s.a, q); /* contact, at the latest */
    assert_int_equal(stats_of(s.a).objects, 1);
    assert_int_equal(read_n(s.a, r), 1);
    write_n(s.a, r, 2);
    commit(s.a);

    sql_do(s.pg, "UPDATE newt_incarnation SET id = gen_random_uuid()");
    /* one that begins with the server has lost its numbers with the earlier life, and is retried */
    ok(s.a, newt_transact(s.a, make_one, NULL, NULL));
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 2);
    commit(s.a);
    make_item(s.a, "n", 3);
    /* new blocks: nothing of the earlier life is handed out again */
    assert_true(sql_int(s.pg, "SELECT max(serial) FROM transaction") >= 3072);

    sql_do(s.pg, "DELETE FROM newt_incarnation");
    begin(s.a);
    item_ref missing = {{1 << 30}};
    assert_null(item_read(s.a, missing));
    /* which this transaction has found out, and its snapshot has a position all the same */
    assert_true(newt_tid(s.a) > 0);
    assert_int_equal(newt_tid(s.a), sql_int(s.pg, "SELECT max(tid) FROM transaction"));
    newt_abort(s.a);
    ok(s.a, newt_begin(s.a));
    assert_int_equal(read_n(s.a, r), 2);
    commit(s.a);
    newt_conn *c = connect_(s.db);
    newt_close(c);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_incarnation");
    store_close(&s);
}

static newt_call traced[100];
static int n_traced;

static void
note_call(const newt_call *call, void *arg)
{
    assert_ptr_equal(arg, traced);
    assert_int_equal(call->size, sizeof *call);
    if (n_traced < 100)
        traced[n_traced++] = *call;
}

/* The last one of this name. */
static const newt_call *
last_call(const char *name)
{
    for (int i = n_traced; i-- > 0;)
        if (strcmp(traced[i].name, name) == 0)
            return &traced[i];
    fail_msg("there was no call of \"%s\"", name);
    return NULL;
}

static void
test_trace(void **state)
{
    newt_options o = {.trace = note_call, .trace_arg = traced};
    item_ref r, q;
    store s;

    (void)state;
    store_open_as(&s, "trace", o);
    n_traced = 0;
    begin(s.a);
    r = item_id(new_item(s.a, "r", 1));
    q = item_id(new_item(s.a, "q", 2));
    commit(s.a);
    assert_int_equal(last_call("commit")->objects, 2);
    assert_true(last_call("commit")->bytes > 20);
    assert_int_equal(last_call("commit")->status, NEWT_OK);
    if (s.pg)
        assert_int_equal(last_call("commit")->round_trips, 1);
    begin(s.b);
    ok(s.b, newt_prefetch(s.b, (newt_ref[]){r.any, q.any, {INT64_MAX}}, 3));
    assert_int_equal(last_call("load")->objects, 2);
    assert_true(last_call("load")->us >= 0);
    /* of this call alone */
    assert_true(last_call("load")->us < INT64_C(1000000000));
    if (s.pg)
        assert_int_equal(last_call("load")->round_trips, 1);
    ok(s.b, newt_prefetch(s.b, &(newt_ref){INT64_MAX - 1}, 1));
    assert_int_equal(last_call("load")->objects, 0);
    assert_int_equal(last_call("load")->bytes, 0);
    ok(s.b, newt_prefetch_walk(s.b, &r.any, 1, NULL));
    write_n(s.b, r, 3);
    begin(s.a);
    write_n(s.a, r, 4);
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_int_equal(last_call("commit")->status, NEWT_ECONFLICT);
    store_close(&s);
}

static const struct CMUnitTest transactions[] = {
    cmocka_unit_test(test_trace),          cmocka_unit_test(test_round_trips),
    cmocka_unit_test(test_snapshot),       cmocka_unit_test(test_lazy_begin),
    cmocka_unit_test(test_conflict),       cmocka_unit_test(test_several_conflicts),
    cmocka_unit_test(test_delete),         cmocka_unit_test(test_abort),
    cmocka_unit_test(test_order_of_calls), cmocka_unit_test(test_roots),
    cmocka_unit_test(test_describe),       cmocka_unit_test(test_many_changes),
    cmocka_unit_test(test_lost_position),
};

int
main(void)
{
    return run_all(transactions);
}
