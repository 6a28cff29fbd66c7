/*
 * server_staging.c - layers over a store in PostgreSQL: staged by a role that may only read,
 * searched where that is honest, written down with its rows
 */
#include "server.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

enum {
    ITEMS = 12000,
    CHANGES = 10000
};

struct note;
NEWT_DECLARE(note);
struct note {
    newt_text text;
};
NEWT_CLASS(note, "Note", 1, NULL, NEWT_FIELD(struct note, text));
static const newt_class *const with_note[] = {&item_class, &note_class, NULL};

static item_ref items[ITEMS];

static void
open_with_items(store *s, const char *name, int n)
{
    store_open(s, name);
    begin(s->a);
    for (int i = 0; i < n; i++) {
        struct item *x = new_item(s->a, "item", i);

        items[i] = item_id(x);
        item_done(x);
    }
    commit(s->a);
}

/* Everything that is in the store: rows of all its tables, and its sequences. */
static char *
checksum(const store *s)
{
    return sql_text(
        s->pg,
        "SELECT md5(concat((SELECT string_agg(o::text, ',' ORDER BY zoid) FROM object_state o), "
        "(SELECT string_agg(p::text, ',' ORDER BY zoid) FROM newt_projection p), "
        "(SELECT string_agg(t::text, ',' ORDER BY tid) FROM transaction t), "
        "(SELECT string_agg(c::text, ',' ORDER BY c::text) FROM newt_class c), "
        "(SELECT last_value FROM newt_oid), (SELECT last_value FROM newt_serial)))");
}

static size_t
found(newt_conn *c, const char *condition)
{
    newt_result *r;
    size_t n;

    newt_abort(c);
    begin(c);
    ok(c, newt_where(c, &r, condition, 0, NULL));
    n = newt_result_size(r);
    newt_result_free(r);
    newt_abort(c);
    return n;
}

/* 10,000 changes over a store that the role cannot change. */
static void
test_staging(void **state)
{
    char role[64], layer[400], *before, *after;
    newt_options o = {.size = sizeof o};
    newt_conn *c;
    newt_db *db;
    note_ref n = {{0}};
    store s;
    int rc;

    (void)state;
    open_with_items(&s, "staging", ITEMS);
    snprintf(role, sizeof role, "staging_%d", (int)getpid());
    sql_do(s.pg, "CREATE ROLE %s LOGIN", role);
    sql_do(s.pg, "SELECT newt.grant_store('%s', '%s', 'reader')", s.schema, role);
    before = checksum(&s);
    snprintf(layer, sizeof layer, "demo:(postgresql:///%s?host=%s&port=%s&user=%s)", PQdb(s.pg),
             getenv("PGHOST"), getenv("PGPORT"), role);
    o.schema = s.schema;
    if (newt_db_open(&db, layer, with_note, &o) != NEWT_OK) /* with a class that the base lacks */
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    assert_int_equal(found(c, "state->>'n' = '7'"), 1);
    for (int part = 0; part < 10; part++) {
        begin(c);
        for (int i = part * CHANGES / 10; i < (part + 1) * CHANGES / 10; i++) {
            if (i % 10 == 0)
                ok(c, newt_delete(c, items[i].any));
            else if (i % 10 < 8)
                write_n(c, items[i], -i);
            else
                n = note_id(note_new(c));
        }
        commit(c);
    }
    begin(c);
    assert_null(item_read(c, items[10]));
    assert_int_equal(read_n(c, items[11]), -11);
    assert_int_equal(read_n(c, items[19]), 19);
    assert_int_equal(read_n(c, items[CHANGES + 1]), CHANGES + 1);
    assert_non_null(note_read(c, n));
    newt_abort(c);
    after = checksum(&s);
    assert_string_equal(before, after);
    free(after);
    assert_int_equal(found(s.b, "state->>'n' = '11'"), 1);
    assert_int_equal(found(s.b, "(state->>'n')::bigint < 0"), 0);
    /* it cannot be written down by this role, and stays */
    rc = newt_db_commit_changes(db);
    assert_int_equal(rc, NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_db_error(db)), "42501");
    begin(c);
    assert_int_equal(read_n(c, items[11]), -11);
    newt_close(c);
    newt_db_close(db);
    after = checksum(&s);
    assert_string_equal(before, after);
    free(before);
    free(after);
    sql_do(s.pg, "DROP OWNED BY %s", role);
    sql_do(s.pg, "DROP ROLE %s", role);
    store_close(&s);
}

/* Staged in a file, which goes on where it was; then written down. */
static void
test_in_a_file(void **state)
{
    char file[200], layer[900];
    store s;

    (void)state;
    open_with_items(&s, "in_a_file", 10);
    snprintf(file, sizeof file, "sqlite:%s/staged.newt", files());
    snprintf(layer, sizeof layer, "demo:(%s)(%s)", s.uri, file);
    assert_int_equal(newt_store_create(file, NULL, NULL), NEWT_OK);
    for (int round = 0; round < 3; round++) {
        newt_options o = {.size = sizeof o, .schema = s.schema};
        newt_conn *c;
        newt_db *db;

        if (newt_db_open(&db, layer, classes, &o) != NEWT_OK)
            fail_error("newt_db_open", newt_db_error(db));
        c = connect_(db);
        begin(c);
        for (int i = 0; i < 10; i++)
            if (i == 9 && round > 0)
                assert_null(item_read(c, items[i]));
            else
                assert_int_equal(read_n(c, items[i]), i < round ? 100 + i : i);
        if (round < 2)
            write_n(c, items[round], 100 + round);
        if (round == 0)
            ok(c, newt_delete(c, items[9].any));
        commit(c);
        assert_int_equal(found(s.a, "(state->>'n')::bigint >= 100"), 0);
        if (round == 2)
            assert_int_equal(newt_db_commit_changes(db), NEWT_OK);
        newt_close(c);
        newt_db_close(db);
    }
    assert_int_equal(found(s.a, "(state->>'n')::bigint >= 100"), 2);
    assert_int_equal(found(s.a, "state->>'n' = '9'"), 0);
    store_close(&s);
}

/* Searches, as long as the layer has nothing that they would miss. */
static void
test_searches(void **state)
{
    newt_stats before;
    newt_result *r;
    json_t *rows;
    store s;

    (void)state;
    open_with_items(&s, "searches", 20);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    newt_close(s.b);
    s.b = connect_(s.db);
    before = stats_of(s.b);
    assert_int_equal(found(s.b, "state->>'name' = 'item'"), 20);
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 1);
    begin(s.a);
    assert_int_equal(newt_query(s.a, &rows, "SELECT nothing", 0, NULL), NEWT_ESQL);
    assert_int_equal(read_n(s.a, items[3]), 3);
    write_n(s.a, items[3], 300);
    ok(s.a, newt_where(s.a, &r, "true", 0, NULL)); /* as in any transaction: before its changes */
    newt_result_free(r);
    commit(s.a);
    begin(s.b);
    assert_int_equal(newt_where(s.b, &r, "state->>'name' = 'item'", 0, NULL), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(s.b)),
                        "a query would not find what this layer has changed");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.b)), "newt_db_commit_changes()"));
    assert_int_equal(newt_query(s.b, &rows, "SELECT 1", 0, NULL), NEWT_EINVAL);
    assert_int_equal(read_n(s.b, items[3]), 300); /* the transaction goes on */
    newt_abort(s.b);
    assert_int_equal(newt_db_commit_changes(s.db), NEWT_OK);
    assert_int_equal(found(s.b, "state->>'n' = '300'"), 1);
    assert_int_equal(newt_db_pop(s.db), NEWT_OK);
    assert_int_equal(found(s.b, "state->>'n' = '300'"), 1);
    store_close(&s);
}

/* What lies in the layer costs nothing of the base: loads are one round trip, and so is a commit of
 * what comes from below; what is in the layer alone needs none. */
static void
test_round_trips(void **state)
{
    newt_ref refs[100];
    newt_stats before;
    store s;

    (void)state;
    open_with_items(&s, "round_trips", 100);
    for (int i = 0; i < 100; i++)
        refs[i] = items[i].any;
    before = stats_of(s.a);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    assert_int_equal(newt_db_pop(s.db), NEWT_OK);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    assert_int_equal(stats_of(s.a).round_trips, before.round_trips);
    begin(s.a);
    ok(s.a, newt_prefetch(s.a, refs, 100));
    assert_int_equal(stats_of(s.a).round_trips - before.round_trips, 1);
    write_n(s.a, items[0], 1);
    before = stats_of(s.a);
    commit(s.a);
    assert_int_equal(stats_of(s.a).round_trips - before.round_trips, 1);
    begin_alone(s.a);
    write_n(s.a, items[0], 2);
    before = stats_of(s.a);
    commit(s.a);
    assert_int_equal(stats_of(s.a).round_trips - before.round_trips, 0);
    /* where the extension walks, it walks in the base as long as the layer is empty */
    newt__cache_clear(&s.b->jar);
    assert_int_equal(newt_db_pop(s.db), NEWT_OK);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    before = stats_of(s.b);
    begin(s.b);
    ok(s.b, newt_prefetch_walk(s.b, refs, 100, NULL));
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 1);
    store_close(&s);
}

/* What is written down has its rows, whoever makes them. */
static void
test_rows(void **state)
{
    const newt_options how[] = {
        {.projector = NEWT_PROJECT_AUTO}, {.projector = NEWT_PROJECT_CLIENT}, {.strict = true}};
    store s;

    (void)state;
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        item_ref r[3], made;

        store_open_as(&s, "rows", how[i]);
        for (int k = 0; k < 3; k++)
            r[k] = make_item(s.a, "r", k);
        assert_int_equal(newt_db_push(s.db), NEWT_OK);
        begin(s.a);
        write_n(s.a, r[0], 10);
        ok(s.a, newt_delete(s.a, r[1].any));
        made = item_id(new_item(s.a, "made \xff", 4)); /* is not UTF-8 */
        ok(s.a, newt_set_root(s.a, "made", made.any));
        commit(s.a);
        assert_int_equal(newt_db_commit_changes(s.db), NEWT_OK);
        assert_sql(s.pg, "10,-,2,4",
                   "SELECT string_agg(coalesce(state->>'n', '-'), ',' ORDER BY i) FROM "
                   "unnest('{%lld,%lld,%lld,%lld}'::bigint[]) WITH ORDINALITY AS o(zoid, i) "
                   "LEFT JOIN newt USING (zoid)",
                   (long long)r[0].any.oid, (long long)r[1].any.oid, (long long)r[2].any.oid,
                   (long long)made.any.oid);
        assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state o FULL JOIN "
                                       "newt_projection p USING (zoid, serial) WHERE o.zoid IS "
                                       "NULL OR p.zoid IS NULL"),
                         0);
        /* ours stay in the layer */
        assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM newt WHERE class_name LIKE 'newt.%%' "
                                       "AND class_name <> 'newt.Root'"),
                         0);
        assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state WHERE zoid >= 1::bigint "
                                       "<< 53"),
                         0);
        store_close(&s);
    }
}

/* Numbers of a sequence that has come too far: told, and nothing is mistaken. */
static void
test_large_serials(void **state)
{
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "large_serials");
    r = make_item(s.a, "r", 1);
    sql_do(s.pg, "UPDATE object_state SET serial = 1::bigint << 53 WHERE zoid = %lld",
           (long long)r.any.oid);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    begin(s.a);
    assert_null(item_read(s.a, r));
    assert_int_equal(newt_status(s.a), NEWT_ELIMIT);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "the store has serials of more than 53 bits");
    newt_abort(s.a);
    store_close(&s);
}

/* The base is lost, and comes back: the layer has what it had. */
static void
test_lost(void **state)
{
    int status;
    store s;

    (void)state;
    open_with_items(&s, "lost", 5);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    begin(s.a);
    write_n(s.a, items[0], 10);
    commit(s.a);
    begin(s.a);
    ok(s.a, newt_prefetch(s.a, &(newt_ref){INT64_MAX}, 1));
    sql_do(s.pg,
           "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = "
           "current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'");
    assert_null(item_read(s.a, items[1]));
    assert_int_equal(newt_status(s.a), NEWT_ELOST);
    newt_abort(s.a);
    for (int i = 0; i < 2; i++) {
        newt_conn *c = i ? s.b : s.a;

        status = newt_begin(c);
        assert_int_equal(status, NEWT_OK);
        assert_int_equal(read_n(c, items[0]), 10);
        assert_int_equal(read_n(c, items[4]), 4);
        write_n(c, items[1 + i], 20);
        commit(c);
    }
    assert_int_equal(newt_db_commit_changes(s.db), NEWT_OK);
    assert_int_equal(found(s.b, "state->>'n' = '20'"), 2);
    store_close(&s);
}

static const struct CMUnitTest staging[] = {
    cmocka_unit_test(test_staging),  cmocka_unit_test(test_in_a_file),
    cmocka_unit_test(test_searches), cmocka_unit_test(test_round_trips),
    cmocka_unit_test(test_rows),     cmocka_unit_test(test_large_serials),
    cmocka_unit_test(test_lost),
};

int
main(void)
{
    use_database(true);
    return run_all(staging);
}
