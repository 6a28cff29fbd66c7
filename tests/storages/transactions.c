/*
 * transactions.c - begin, snapshots, conflicts, abort, retries
 */
#include "../bridge/server.h"

#include "../../bridge/transaction/transaction.h"

/* A newt_db of its own: like another program. */
typedef struct other {
    newt_db *db;
    newt_conn *c;
} other;

static other
other_open(const store *s)
{
    other o = {.db = store_db(s, classes, (newt_options){0})};

    o.c = connect_(o.db);
    return o;
}

static void
other_close(other *o)
{
    newt_close(o->c);
    newt_db_close(o->db);
}

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

/* ---- newt_transact -------------------------------------------------------------------- */

typedef struct job {
    store *s;
    item_ref r;
    int calls, disturb, give;
    int64_t round_trips; /* before the first call did anything */
} job;

static int
increment(newt_conn *c, void *arg)
{
    job *j = arg;

    if (j->calls++ == 0)
        j->round_trips = stats_of(c).round_trips;
    if (j->give)
        return j->give;
    write_n(c, j->r, read_n(c, j->r) + 1);
    if (j->disturb-- > 0) {
        begin(j->s->b);
        write_n(j->s->b, j->r, read_n(j->s->b, j->r) + 10);
        commit(j->s->b);
    }
    return 0;
}

/* Conflicts, and takes longer than the deadline. */
static int
dawdle(newt_conn *c, void *arg)
{
    double until = now() + 0.020;
    int rc = increment(c, arg);

    while (now() < until)
        ;
    return rc;
}

/* Clients in each other's way pause for different times; no attempt begins after the deadline. */
static void
test_pauses(void **state)
{
    newt_transact_options seven = {.size = sizeof seven, .attempts = 7};
    newt_transact_options soon = {.size = sizeof soon, .attempts = 1000, .deadline_ms = 20};
    newt_stats before;
    uint64_t random[2];
    item_ref r;
    store s;
    job j;

    (void)state;
    store_open(&s, "pauses");
    r = make_item(s.a, "r", 0);
    random[0] = s.a->random;
    random[1] = s.b->random;
    assert_true(random[0] != random[1]);
    j = (job){.s = &s, .r = r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &seven), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 7);
    assert_int_equal(stats_of(s.a).retries, 6);
    assert_true(s.a->random != random[0]);
    assert_true(s.b->random == random[1]);
    before = stats_of(s.a);
    j = (job){.s = &s, .r = r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, dawdle, &j, &soon), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 1);
    assert_int_equal(stats_of(s.a).retries, before.retries);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r.any.oid);
    /* the next attempt begins with what it wants, in one round trip: commit, what others have
     * changed; begin; commit */
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    j = (job){.s = &s, .r = r, .disturb = 1};
    ok(s.a, newt_transact(s.a, increment, &j, NULL));
    assert_int_equal(j.calls, 2);
    if (!on_memory())
        assert_int_equal(stats_of(s.a).round_trips - j.round_trips, 4);
    store_close(&s);
}

/* A read that fails because the transaction is lost already, reported with a status of its own. */
static int
mistaken(newt_conn *c, void *arg)
{
    increment(c, arg);
    return newt_status(c) ? NEWT_EMISSING : 0;
}

/* Does what newt_transact does for it. */
static int
commits(newt_conn *c, void *arg)
{
    ((job *)arg)->calls++;
    return newt_commit(c);
}

static void
test_transact(void **state)
{
    newt_transact_options two = {.size = sizeof two, .attempts = 2};
    newt_transact_options soon = {.size = sizeof soon, .attempts = 1000, .deadline_ms = 50};
    job j;
    store s;

    (void)state;
    store_open(&s, "transact");
    j = (job){.s = &s, .r = make_item(s.a, "r", 0), .disturb = 2};
    ok(s.a, newt_transact(s.a, increment, &j, NULL));
    assert_int_equal(j.calls, 3);
    assert_int_equal(stats_of(s.a).retries, 2);
    assert_int_equal(newt_status(s.a), NEWT_OK);
    begin(s.b);
    assert_int_equal(read_n(s.b, j.r), 21);
    commit(s.b);

    /* attempts and deadline have an end */
    j = (job){.s = &s, .r = j.r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 2);
    j = (job){.s = &s, .r = j.r, .disturb = 1000};
    assert_int_equal(newt_transact(s.a, increment, &j, &soon), NEWT_ECONFLICT);
    assert_in_range(j.calls, 1, 999);

    /* the application's own codes come back after an abort; negative ones are not repeated */
    j = (job){.s = &s, .r = j.r, .give = 42};
    assert_int_equal(newt_transact(s.a, increment, &j, NULL), 42);
    j = (job){.s = &s, .r = j.r, .give = NEWT_EINVAL};
    assert_int_equal(newt_transact(s.a, increment, &j, NULL), NEWT_EINVAL);
    assert_int_equal(j.calls, 1);
    j = (job){.s = &s, .r = j.r, .give = NEWT_ECONFLICT};
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_ECONFLICT);
    assert_int_equal(j.calls, 2);
    j = (job){.s = &s, .r = j.r};
    ok(s.a, newt_transact(s.a, mistaken, &j, NULL));
    j.calls = 0;
    assert_int_equal(newt_transact(s.a, commits, &j, NULL), NEWT_EBUSY);
    assert_int_equal(j.calls, 1);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "the function has ended the transaction itself");
    /* the size of the options */
    two.size = 0;
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_EINVAL);
    assert_string_equal(newt_error_hint(newt_conn_error(s.a)),
                        "Set it to sizeof(newt_transact_options).");
    two.size = sizeof two + 8;
    assert_int_equal(newt_transact(s.a, increment, &j, &two), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.a)), "later version"));
    store_close(&s);
}

/* ---- threads -------------------------------------------------------------------------- */

static void *
use_in_thread(void *arg)
{
    store *s = arg;
    newt_ref any = {5000};

    if (item_new(s->a) || newt_delete(s->a, any) != NEWT_ETHREAD ||
        newt_read_current(s->a, any) != NEWT_ETHREAD ||
        newt_prefetch(s->a, &any, 1) != NEWT_ETHREAD)
        return NULL;
    return (void *)(intptr_t)newt_commit(s->a);
}

static void
test_thread_is_checked(void **state)
{
    pthread_t t;
    void *status;
    item_ref make;
    store s;

    (void)state;
    store_open(&s, "thread");
    begin(s.a);
    assert_int_equal(pthread_create(&t, NULL, use_in_thread, &s), 0);
    pthread_join(t, &status);
    assert_int_equal((intptr_t)status, NEWT_ETHREAD);
    assert_int_equal(newt_status(s.a), NEWT_OK);
    make = item_id(new_item(s.a, "x", 1));
    commit(s.a); /* its own thread goes on */
    begin(s.b);
    assert_int_equal(read_n(s.b, make), 1);
    commit(s.b);
    store_close(&s);
}

typedef struct adder {
    newt_db *db;
    item_ref r;
    int times, status;
    int64_t retries;
} adder;

static int
add_one(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    return 0;
}

static void *
add_in_thread(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    adder *a = arg;
    newt_conn *c = NULL;

    a->status = newt_connect(a->db, &c);
    for (int i = 0; i < a->times && a->status == NEWT_OK; i++)
        a->status = newt_transact(c, add_one, &a->r, &patient);
    if (c)
        a->retries = stats_of(c).retries;
    newt_close(c);
    return NULL;
}

static void
test_threads(void **state)
{
    enum {
        THREADS = 4,
        TIMES = 50
    };
    pthread_t t[THREADS];
    adder a[THREADS];
    store s;
    item_ref r;

    (void)state;
    store_open(&s, "threads");
    r = make_item(s.a, "counter", 0);
    for (int i = 0; i < THREADS; i++) {
        a[i] = (adder){.db = s.db, .r = r, .times = TIMES};
        assert_int_equal(pthread_create(&t[i], NULL, add_in_thread, &a[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(a[i].status, NEWT_OK);
    }
    begin(s.a);
    assert_int_equal(read_n(s.a, r), THREADS * TIMES);
    commit(s.a);
    /* tids rise, and stand beside the serials of the objects */
    assert_sql(s.pg, "t",
               "SELECT bool_and(tid > before) FROM (SELECT tid, lag(tid, 1, 0::bigint) "
               "OVER (ORDER BY tid) AS before FROM transaction) t");
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN transaction t "
               "USING (serial) WHERE t.tid IS NULL");
    store_close(&s);
}

/* Crossing updates and removals of many objects wait for each other instead of deadlocking. */
typedef struct crosser {
    newt_db *db;
    item_ref *r;
    int n, times, backwards, status;
} crosser;

static int
change_all(newt_conn *c, void *arg)
{
    crosser *x = arg;

    for (int i = 0; i < x->n; i++) {
        struct item *o = item_write(c, x->r[x->backwards ? x->n - 1 - i : i]);

        if (!o)
            return newt_status(c);
        o->n++;
    }
    return 0;
}

static void *
cross(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    crosser *x = arg;
    newt_conn *c = NULL;

    x->status = newt_connect(x->db, &c);
    for (int i = 0; i < x->times && x->status == NEWT_OK; i++)
        x->status = newt_transact(c, change_all, x, &patient);
    newt_close(c);
    return NULL;
}

static void
test_no_deadlock(void **state)
{
    enum {
        THREADS = 4,
        TIMES = 20,
        OBJECTS = 50
    };
    pthread_t t[THREADS];
    crosser x[THREADS];
    item_ref r[OBJECTS];
    int64_t deadlocks;
    store s;

    (void)state;
    store_open(&s, "deadlock");
    begin(s.a);
    for (int i = 0; i < OBJECTS; i++)
        r[i] = item_id(new_item(s.a, "x", 0));
    commit(s.a);
    deadlocks = s.pg ? sql_int(s.pg, "SELECT deadlocks FROM pg_stat_database WHERE datname = "
                                     "current_database()")
                     : 0;
    for (int i = 0; i < THREADS; i++) {
        x[i] = (crosser){.db = s.db, .r = r, .n = OBJECTS, .times = TIMES, .backwards = i % 2};
        assert_int_equal(pthread_create(&t[i], NULL, cross, &x[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(x[i].status, NEWT_OK);
    }
    assert_sql(s.pg, "t", "SELECT bool_and(state->>'n' = '%d') FROM newt WHERE class_name = 'Item'",
               THREADS * TIMES);
    if (s.pg) {
        sql_do(s.pg, "SELECT pg_stat_clear_snapshot()");
        assert_int_equal(sql_int(s.pg, "SELECT deadlocks FROM pg_stat_database WHERE datname = "
                                       "current_database()"),
                         deadlocks);
    }
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

static const struct CMUnitTest transactions[] = {
    cmocka_unit_test(test_round_trips),
    cmocka_unit_test(test_snapshot),
    cmocka_unit_test(test_lazy_begin),
    cmocka_unit_test(test_conflict),
    cmocka_unit_test(test_several_conflicts),
    cmocka_unit_test(test_delete),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_order_of_calls),
    cmocka_unit_test(test_roots),
    cmocka_unit_test(test_describe),
    cmocka_unit_test(test_transact),
    cmocka_unit_test(test_pauses),
    cmocka_unit_test(test_thread_is_checked),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_no_deadlock),
    cmocka_unit_test(test_many_changes),
    cmocka_unit_test(test_lost_position),
};

int
main(void)
{
    return run_all(transactions);
}
