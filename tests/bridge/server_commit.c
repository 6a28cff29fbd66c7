/*
 * server_commit.c - what a commit writes of its transaction, and how; when it writes nothing
 */
#include "../brief.h"
#include "projectors.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

/* ---- failures in the middle ----------------------------------------------------------- */

struct refused {
    int64_t n;
};
NEWT_DECLARE(refused);

static int
refuse(const void *object, json_t *json, void *arg)
{
    (void)json;
    (void)arg;
    return ((const struct refused *)object)->n == 13 ? 77 : 0;
}

static const newt_hooks refusing = {.size = sizeof refusing, .to_json = refuse};

NEWT_CLASS(refused, "Refused", 1, &refusing, NEWT_FIELD(struct refused, n));

/* Whatever the server or a callback refuses: nothing is written, and the connection is good. */
static void
check_nothing_written(store *s, newt_conn *c, item_ref r, int64_t transactions)
{
    assert_false(newt_is_retryable(newt_conn_error(c)));
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    commit(c);
    assert_int_equal(sql_int(s->pg, "SELECT count(*) FROM transaction"), transactions);
    assert_sql(s->pg, "1", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
}

static void
test_refusals(void **state)
{
    static const newt_class *const list[] = {&refused_class, &item_class, NULL};
    struct refused *x;
    int64_t transactions;
    newt_conn *c;
    newt_db *db;
    item_ref r;
    store s;

    (void)state;
    store_make(&s, "refusals");
    db = store_db(&s, list, client);
    c = connect_(db);
    r = make_item(c, "r", 1);
    transactions = sql_int(s.pg, "SELECT count(*) FROM transaction");

    /* a callback, once some statements are on their way */
    begin(c);
    write_n(c, r, 2);
    for (int i = 0; i < 14; i++) {
        x = refused_new(c);
        assert_non_null(x);
        x->n = i;
    }
    assert_int_equal(newt_commit(c), 77);
    check_nothing_written(&s, c, r, transactions);

    /* an index of the projection */
    sql_do(s.pg, "CREATE INDEX ON newt_projection ((1 / (13 - (state->>'n')::bigint)))");
    for (int many = 0; many < 2; many++) {
        begin(c);
        write_n(c, r, 13);
        if (many)
            item_done(new_item(c, "x", 1));
        assert_int_equal(newt_commit(c), NEWT_ESQL);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "22012");
        check_nothing_written(&s, c, r, transactions);
    }

    /* COMMIT itself: a deferred constraint */
    sql_do(s.pg,
           "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$");
    sql_do(s.pg, "CREATE CONSTRAINT TRIGGER no AFTER UPDATE ON object_state DEFERRABLE INITIALLY "
                 "DEFERRED FOR EACH ROW EXECUTE FUNCTION no()");
    begin(c);
    write_n(c, r, 2);
    assert_int_equal(newt_commit(c), NEWT_ESQL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(c)), ": no"));
    assert_int_equal(newt_error_oid(newt_conn_error(c)), r.any.oid);
    check_nothing_written(&s, c, r, transactions);
    sql_do(s.pg, "DROP TRIGGER no ON object_state");

    /* oids that somebody else has used: said, and not met again */
    begin(c);
    item_done(new_item(c, "x", 1));
    sql_do(s.pg,
           "INSERT INTO object_state SELECT zoid, 1, '' FROM generate_series(%lld, %lld) zoid "
           "ON CONFLICT DO NOTHING",
           (long long)r.any.oid, (long long)r.any.oid + 200);
    assert_int_equal(newt_commit(c), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "23505");
    make_item(c, "x", 1);
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* ---- transaction rows ----------------------------------------------------------------- */

static void
test_transaction_rows(void **state)
{
    enum {
        LARGE = 12345
    };
    item_ref *r = calloc(LARGE, sizeof *r);
    int64_t before;
    store s;

    (void)state;
    store_open(&s, "rows");
    for (int n = 1000; n <= 1001; n++) { /* the limit, and beyond it */
        begin(s.a);
        for (int i = 0; i < n; i++)
            r[i] = item_id(new_item(s.a, "x", i));
        commit(s.a);
        assert_sql(
            s.pg, n == 1000 ? "1000 0" : " 1",
            "SELECT coalesce(cardinality(written)::text, '') || ' ' || (SELECT count(*) FROM "
            "transaction_object x WHERE x.serial = t.serial) FROM transaction t "
            "ORDER BY tid DESC LIMIT 1");
    }
    begin(s.a);
    for (int i = 0; i < 1001; i++)
        ok(s.a, newt_delete(s.a, r[i].any));
    for (int i = 0; i < LARGE; i++)
        r[i] = item_id(new_item(s.a, "x", i));
    commit(s.a);
    /* every oid once, in chunks */
    assert_sql(s.pg, "3 12345 1001",
               "SELECT count(*) || ' ' || sum(cardinality(written)) || ' ' || "
               "sum(cardinality(removed)) FROM transaction_object WHERE serial = (SELECT serial "
               "FROM transaction ORDER BY tid DESC LIMIT 1)");
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o WHERE zoid <> 1 AND NOT EXISTS "
               "(SELECT FROM transaction_object x WHERE x.serial = o.serial AND o.zoid = "
               "ANY (x.written)) AND NOT EXISTS (SELECT FROM transaction t WHERE "
               "t.serial = o.serial AND o.zoid = ANY (t.written))");
    /* another client's cache learns of it */
    begin(s.b);
    ok(s.b, newt_prefetch(s.b, &r[0].any, LARGE));
    assert_int_equal(stats_of(s.b).objects, LARGE);
    commit(s.b);
    before = newt_tid(s.b);
    begin(s.a);
    for (int i = 0; i < 2000; i++)
        write_n(s.a, r[i], 7777);
    commit(s.a);
    begin(s.b);
    assert_true(newt_tid(s.b) > before);
    assert_int_equal(stats_of(s.b).objects, LARGE - 2000);
    for (int i = 0; i < LARGE; i += 500)
        assert_int_equal(read_n(s.b, r[i]), i < 2000 ? 7777 : i);
    commit(s.b);
    store_close(&s);
    free(r);
}

static void
test_large_transaction(void **state)
{
    const int large = brief() ? 30000 : 100000;
    item_ref *r = calloc((size_t)large, sizeof *r);
    char want[40];
    newt_stats before;
    store s;

    store_open_as(&s, "large", *(newt_options *)*state);
    before = stats_of(s.a);
    begin(s.a);
    for (int i = 0; i < large; i++) {
        struct item *o = new_item(s.a, "one of very many", i);

        r[i] = item_id(o);
        if (i > 0)
            o->next = r[i - 1];
        item_done(o);
    }
    commit(s.a);
    /* blocks come in growing numbers, and the rest goes in batches of 10,000 */
    assert_in_range(stats_of(s.a).round_trips - before.round_trips, 1, 16 + large / 10000);
    begin(s.b);
    for (int i = 0; i < large; i += 10)
        ok(s.b, newt_delete(s.b, r[i].any));
    for (int i = 1; i < large; i += 2)
        write_n(s.b, r[i], -i);
    commit(s.b);
    snprintf(want, sizeof want, "%d %d", large - large / 10, large / 2);
    assert_sql(s.pg, want,
               "SELECT count(*) || ' ' || count(*) FILTER (WHERE state->>'n' "
               "LIKE '-%%') FROM newt WHERE class_name = 'Item'");
    check_projection(&s);
    begin(s.a);
    assert_int_equal(read_n(s.a, r[large - 1]), 1 - large);
    assert_null(item_read(s.a, r[0]));
    commit(s.a);
    store_close(&s);
    free(r);
}

/* What others changed between the begin and the commit of a transaction that has nothing to do with
 * it is not read from the cache afterwards. */
static void
test_changed_in_between(void **state)
{
    newt_options o = *(newt_options *)*state;
    newt_db *db;
    newt_conn *other;
    item_ref x, y;
    store s;

    store_open_as(&s, "between", o);
    x = make_item(s.a, "x", 1);
    y = make_item(s.a, "y", 1);
    db = store_db(&s, classes, o);
    other = connect_(db);
    for (int i = 2; i < 5; i++) {
        begin(s.a);
        begin(other);
        write_n(other, x, i);
        commit(other);
        write_n(s.a, y, i);
        commit(s.a);
        begin(s.a);
        assert_int_equal(read_n(s.a, x), i);
        assert_int_equal(read_n(s.a, y), i);
        commit(s.a);
    }
    newt_close(other);
    newt_db_close(db);
    store_close(&s);
}

/* The same where others changed more objects than a cache follows: nothing cached is used again. */
static void
test_too_many_changed_in_between(void **state)
{
    enum {
        TOO_MANY = 10001
    };
    newt_options o = *(newt_options *)*state;
    newt_db *db;
    newt_conn *other;
    item_ref x, y;
    store s;

    store_open_as(&s, "too_many", o);
    x = make_item(s.a, "x", 1);
    y = make_item(s.a, "y", 1);
    db = store_db(&s, classes, o);
    other = connect_(db);
    begin(other);
    assert_int_equal(read_n(other, x), 1);
    begin_alone(s.a);
    write_n(other, x, 2);
    for (int i = 0; i < TOO_MANY; i++)
        item_done(new_item(other, "one of too many", i));
    commit(other);
    write_n(s.a, y, 2);
    commit(s.a);
    assert_int_equal(stats_of(s.a).objects, 0);
    begin(s.a);
    assert_int_equal(read_n(s.a, x), 2);
    assert_int_equal(read_n(s.a, y), 2);
    commit(s.a);
    newt_close(other);
    newt_db_close(db);
    store_close(&s);
}

/* Tids rise by one while the newest is ahead of the clock. */
static void
test_tids_ahead_of_the_clock(void **state)
{
    item_ref r;
    int64_t ahead;
    store s;

    store_open_as(&s, "ahead", *(newt_options *)*state);
    r = make_item(s.a, "r", 0);
    sql_do(s.pg, "UPDATE transaction SET tid = tid + 3600000000 "
                 "WHERE tid = (SELECT max(tid) FROM transaction)");
    ahead = sql_int(s.pg, "SELECT max(tid) FROM transaction");
    for (int i = 1; i < 4; i++) {
        begin(s.b);
        write_n(s.b, r, i);
        commit(s.b);
        assert_int_equal(newt_tid(s.b), ahead + i);
        assert_int_equal(sql_int(s.pg, "SELECT max(tid) FROM transaction"), ahead + i);
    }
    store_close(&s);
}

/* All kinds of commits; the rows of their transactions, objects counted from the first. */
static char *
history(const char *name, newt_options o, bool at_commit)
{
    static const char by_number[] =
        "ARRAY(SELECT x - (SELECT min(zoid) FROM object_state WHERE zoid > 1) FROM "
        "unnest(%s) WITH ORDINALITY AS u(x, n) ORDER BY n)";
    char written[300], removed[300], *rows;
    item_ref r[3], many[1001];
    store s;

    store_open_as(&s, name, o);
    assert_int_equal(s.a->jar.session->at_commit, at_commit);
    begin(s.a);
    for (int i = 0; i < 3; i++)
        r[i] = item_id(new_item(s.a, "x", i));
    commit(s.a);
    begin(s.a);
    write_n(s.a, r[0], 10);
    commit(s.a);
    begin(s.a);
    write_n(s.a, r[0], 20);
    ok(s.a, newt_describe(s.a, "somebody", "what", NULL));
    commit(s.a);
    begin(s.a);
    write_n(s.a, r[0], 30);
    write_n(s.a, r[1], 30);
    item_done(new_item(s.a, "y", 1));
    ok(s.a, newt_delete(s.a, r[2].any));
    commit(s.a);
    begin(s.a);
    write_n(s.a, r[0], 40);
    ok(s.a, newt_read_current(s.a, r[1].any));
    commit(s.a);
    begin(s.a);
    ok(s.a, newt_delete(s.a, r[1].any));
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < 1001; i++)
        many[i] = item_id(new_item(s.a, "x", i));
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < 1001; i++)
        ok(s.a, newt_delete(s.a, many[i].any));
    commit(s.a);
    snprintf(written, sizeof written, by_number, "t.written");
    snprintf(removed, sizeof removed, by_number, "t.removed");
    sql_do(s.pg,
           "CREATE TEMP VIEW rows AS SELECT row_number() OVER (ORDER BY t.tid) AS n, "
           "t.written IS NULL AS large, %s AS written, %s AS removed, username, description, "
           "extension, abs(extract(epoch FROM committed_at) * 1000000 - tid) < 60000000 AS timely, "
           "(SELECT count(*) || ' ' || sum(cardinality(x.written)) || ' ' || "
           "sum(cardinality(x.removed)) FROM transaction_object x WHERE x.serial = t.serial) "
           "AS chunks FROM transaction t WHERE serial > 1",
           written, removed);
    rows = sql_text(s.pg, "SELECT string_agg(to_jsonb(r)::text, chr(10) ORDER BY n) FROM rows r");
    store_close(&s);
    return rows;
}

/* The statements of the last step are twice, here and in the extension. */
static void
test_both_ways(void **state)
{
    newt_options strict = server;
    char *at_commit = history("ways", server, true), *rows;

    (void)state;
    assert_non_null(strstr(at_commit, "somebody"));
    strict.strict = true;
    rows = history("ways", strict, false);
    assert_string_equal(at_commit, rows);
    free(rows);
    rows = history("ways", client, false);
    assert_string_equal(at_commit, rows);
    free(rows);
    free(at_commit);
}

static void
test_nothing_to_write(void **state)
{
    newt_stats before;
    int64_t transactions;
    newt_ref gone;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "nothing");
    r = make_item(s.a, "r", 1);
    transactions = sql_int(s.pg, "SELECT count(*) FROM transaction");
    begin(s.a);
    item_done(new_item(s.a, "gone", 1));
    newt_abort(s.a);
    begin_alone(s.a);
    before = stats_of(s.a);
    gone = item_id(new_item(s.a, "gone", 1)).any;
    ok(s.a, newt_delete(s.a, gone));
    write_n(s.a, r, 1);
    commit(s.a);
    assert_int_equal(stats_of(s.a).statements, before.statements);
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM transaction"), transactions);
    store_close(&s);
}

/* ---- plans ---------------------------------------------------------------------------- */

/* The plan of a prepared statement, in the session that the library uses. */
static void
check_plan(newt_conn *c, newt__statement s, const char *args, bool loop)
{
    char sql[2000], plan[20000] = "";
    const char *outer, *inner;
    PGresult *r;

    assert_true(c->jar.session->talk->prepared[s]);
    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE newt_%d%s", (int)s, args);
    PQclear(PQexec(c->jar.session->pg, "SET quote_all_identifiers = off"));
    r = PQexec(c->jar.session->pg, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(c->jar.session->pg));
    for (int i = 0; i < PQntuples(r); i++) {
        strncat(plan, PQgetvalue(r, i, 0), sizeof plan - strlen(plan) - 1);
        strncat(plan, "\n", sizeof plan - strlen(plan) - 1);
    }
    PQclear(r);
    if (strstr(plan, "Hash Join") || strstr(plan, "Merge Join") || strstr(plan, "Seq Scan"))
        fail_msg("statement %d is not by index:\n%s", (int)s, plan);
    outer = strstr(plan, "CTE Scan on u");
    inner = strstr(plan, "Index Scan using newt_projection_pkey");
    if (outer && inner && inner < outer)
        fail_msg("statement %d looks for the row before it changes the object:\n%s", (int)s, plan);
    if (loop) { /* the array outside, and so its order */
        outer = strstr(plan, "Function Scan");
        inner = strstr(plan, "Index Scan using object_state_pkey");
        if (!strstr(plan, "Nested Loop") || !outer || !inner || inner < outer)
            fail_msg("statement %d is not in the order of its array:\n%s", (int)s, plan);
    }
}

static void
check_plans(newt_conn *c)
{
    newt__take_rest(c->jar.session);
    assert_true(PQexitPipelineMode(c->jar.session->pg));
    check_plan(c, NEWT__S_UPDATE_MANY, "('{1,2}', '{1,1}', '{a,b}', 5, 2)", true);
    check_plan(c, NEWT__S_UPDATE_MANY_SERVER, "('{1,2}', '{1,1}', '{a,b}', 5, 2)", true);
    check_plan(c, NEWT__S_PROJECT_SERVER, "('{1,2}')", true);
    check_plan(c, NEWT__S_DELETE_MANY, "('{1,2}')", false);
    check_plan(c, NEWT__S_LOAD, "('{1,2}')", false);
    check_plan(c, NEWT__S_UPDATE_ONE_SERVER, "(1, 1, 2, '', 'x')", false);
    check_plan(c, NEWT__S_TRANSACTION, "(1, 1, '{1}', '{}', NULL, NULL)", false);
    check_plan(c, NEWT__S_CHANGES, "(1, 1)", false);
    check_plan(c, NEWT__S_NEWEST, "", false);
    if (c->jar.session->talk->prepared[NEWT__S_OWN]) /* where newt.committed() is not asked */
        check_plan(c, NEWT__S_OWN, "(1)", false);
    assert_true(PQenterPipelineMode(c->jar.session->pg));
}

/* The same with the settings that a transaction makes for itself through a pooler, in a session
 * that has none of them. */
static void
check_plans_of_transaction(store *s)
{
    newt_options o = {.projector = NEWT_PROJECT_SERVER, .transaction_pooling = true};
    newt_db *db = store_db(s, classes, o);
    newt_conn *c = connect_(db);
    const char *params[] = {NULL, "0", db->storage->sql->schema}; /* of no process alone */
    PGresult *r;

    newt__take_rest(c->jar.session);
    assert_true(PQexitPipelineMode(c->jar.session->pg));
    assert_sql(c->jar.session->pg, "on", "SHOW enable_seqscan");
    sql_do(c->jar.session->pg, "BEGIN");
    r = PQexecParams(c->jar.session->pg, db->storage->sql->text[false][NEWT__S_SETTINGS], 3, NULL,
                     params, NULL, NULL, 0);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    for (int i = 0; i < NEWT__N_STATEMENTS; i++) {
        char name[16];

        snprintf(name, sizeof name, "newt_%d", i);
        r = PQprepare(c->jar.session->pg, name, db->storage->sql->text[false][i], 0, NULL);
        assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
        PQclear(r);
        c->jar.session->talk->prepared[i] = true;
    }
    assert_true(PQenterPipelineMode(c->jar.session->pg));
    check_plans(c);
    newt_close(c);
    newt_db_close(db);
}

/* Prepares each statement on a connection, in transactions. */
static void
use_all_statements(newt_conn *c)
{
    struct later *l;
    item_ref r[4];

    begin(c);
    assert_null(newt_read(c, (newt_ref){1000000}, &item_class));
    commit(c);
    c->jar.session->writes_plainly = false; /* newt.write() has no plan */
    begin(c);
    for (int i = 0; i < 4; i++)
        r[i] = item_id(new_item(c, "x", i));
    commit(c);
    begin(c);
    write_n(c, r[0], 10);
    write_n(c, r[1], 10);
    ok(c, newt_delete(c, r[2].any));
    commit(c);
    begin(c);
    write_n(c, r[3], 10);
    ok(c, newt_read_current(c, r[1].any)); /* the lock is a statement then */
    commit(c);
    begin(c);
    write_n(c, r[3], 11);
    commit(c);
    begin(c); /* who projects them is not one and the same */
    write_n(c, r[1], 20);
    write_n(c, r[3], 20);
    l = later_new(c);
    assert_non_null(l);
    item_done(new_item(c, "beside", 1));
    commit(c);
    begin(c);
    ok(c, newt_delete(c, r[0].any));
    ok(c, newt_delete(c, r[1].any));
    commit(c);
    begin(c);
    assert_null(item_read(c, r[2]));
    commit(c);
}

/* By index and in order: on a new store that has no statistics, on a large one that has none or
 * those of a small one, and with fresh ones. */
static void
test_plans(void **state)
{
    static const newt_class *const list[] = {&item_class, &later_class, NULL};
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "plans");
    s.db = store_db(&s, list, server);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    use_all_statements(s.a);
    check_plans(s.a);
    sql_do(s.pg, "ANALYZE object_state, newt_projection, transaction, transaction_object");
    use_all_statements(s.a);
    check_plans(s.a);
    sql_do(s.pg, "INSERT INTO object_state SELECT 1000000 + i, 1, '\\x00' FROM "
                 "generate_series(1, 520000) i");
    sql_do(s.pg, "SELECT setval('newt_oid', 2000000)");
    sql_do(s.pg, "INSERT INTO newt_projection SELECT 1000000 + i, 'x', 1, '{}' FROM "
                 "generate_series(1, 520000) i");
    sql_do(s.pg, "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT i, -i, 0, "
                 "'{}', '{}' FROM generate_series(2, 100000) i");
    use_all_statements(s.a); /* planned when the tables were small */
    check_plans(s.a);
    use_all_statements(s.b);
    check_plans(s.b);
    sql_do(s.pg, "ANALYZE object_state, newt_projection, transaction, transaction_object");
    use_all_statements(s.a);
    check_plans(s.a);
    c = connect_(s.db);
    use_all_statements(c);
    check_plans(c);
    newt_close(c);
    check_plans_of_transaction(&s);
    store_close(&s);
}

static const struct CMUnitTest commits[] = {
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_transaction_rows),
    with(test_large_transaction, client),
    with(test_large_transaction, server),
    with(test_changed_in_between, client),
    with(test_changed_in_between, server),
    with(test_too_many_changed_in_between, client),
    with(test_too_many_changed_in_between, server),
    with(test_tids_ahead_of_the_clock, client),
    with(test_tids_ahead_of_the_clock, server),
    cmocka_unit_test(test_both_ways),
    cmocka_unit_test(test_nothing_to_write),
    cmocka_unit_test(test_plans),
};

int
main(void)
{
    use_database(true);
    return run_all(commits);
}
