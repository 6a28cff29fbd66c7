/*
 * server_changes.c - what changes on the server under an open connection: programs go on
 */
#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"
#include "server.h"

static void
open_store(store *s)
{
    use_database(true);
    store_open(s, "changes");
}

static void
extension(const store *s, bool there)
{
    sql_do(s->pg, there ? "CREATE EXTENSION newt" : "DROP EXTENSION newt CASCADE");
}

/* All that a program does, by both connections, with plain calls and without a retry. */
static void
work(store *s, item_ref r)
{
    newt_progress p = {.size = sizeof p};
    newt_conn *c[] = {s->a, s->b};
    newt_result *found;
    static int64_t n;

    for (int i = 0; i < 2; i++) {
        begin(c[i]);
        write_n(c[i], r, ++n);
        commit(c[i]);
        assert_sql(s->pg, "t", "SELECT (state->>'n')::int = %d FROM newt WHERE zoid = %lld", (int)n,
                   (long long)r.any.oid);
        begin(c[i]);
        for (int k = 0; k < 3; k++)
            item_done(new_item(c[i], "x", k));
        write_n(c[i], r, ++n);
        commit(c[i]);
        begin(c[i]);
        ok(c[i], newt_where(c[i], &found, "state @> '{\"name\": \"r\"}'", 0, NULL));
        assert_int_equal(newt_result_size(found), 1);
        newt_result_free(found);
        commit(c[i]);
        ok(c[i], newt_project(c[i], "follower", 1000, &p));
    }
    assert_sql(s->pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN newt_projection p "
               "USING (zoid, serial) WHERE p.zoid IS NULL");
}

/* The next use of the server looks at it again, however short ago the last look was. */
static void
look_again(store *s)
{
    s->a->jar.session->looked_us = s->b->jar.session->looked_us = -3600 * INT64_C(1000000);
    s->a->checked_us = s->b->checked_us = 0;
}

static void
test_extension_dropped(void **state)
{
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    work(&s, r);
    assert_true(s.a->jar.session->has_extension && s.b->jar.session->at_commit);
    for (int i = 0; i < 2; i++) {
        extension(&s, false);
        work(&s, r);
        assert_false(s.a->jar.session->has_extension || s.b->jar.session->has_extension);
        extension(&s, true);
        work(&s, r);
        assert_false(s.a->jar.session->has_extension); /* nothing has failed */
        look_again(&s);
        work(&s, r);
        assert_true(s.a->jar.session->has_extension && s.b->jar.session->has_extension &&
                    s.a->jar.session->at_commit && s.a->jar.session->has_walk);
    }
    store_close(&s);
}

/* While a transaction is open, with a snapshot and without, and one that merges. */
static void
test_dropped_in_between(void **state)
{
    item_ref r, q;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        begin(s.b);
        if (snapshot)
            assert_int_equal(read_n(s.b, q), 1);
        write_n(s.b, r, 10 + snapshot);
        extension(&s, false);
        commit(s.b);
        assert_false(s.b->jar.session->has_extension);
        assert_sql(s.pg, snapshot ? "11" : "10", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
                   (long long)r.any.oid);
        extension(&s, true);
        look_again(&s);
        begin(s.b);
        write_n(s.b, q, 1);
        commit(s.b);
    }
    /* somebody else's change is a conflict there too */
    make_item(s.b, "x", 1);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 11);
    write_n(s.b, r, 12);
    begin(s.a);
    write_n(s.a, r, 13);
    commit(s.a);
    extension(&s, false);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(s.b)), r.any.oid);
    extension(&s, true);
    store_close(&s);
}

static int
walk_from(newt_conn *c, void *arg)
{
    newt_walk_options o = {.size = sizeof o, .depth = 10};
    item_ref *r = arg;
    newt_stats before;
    int rc;

    rc = newt_prefetch_walk(c, &r->any, 1, &o);
    before = stats_of(c);
    if (rc == NEWT_OK && !item_read(c, *r))
        rc = newt_status(c);
    assert_int_equal(stats_of(c).loads, before.loads);
    return rc;
}

static void
test_walks(void **state)
{
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    ok(s.b, newt_transact(s.b, walk_from, &r, NULL));
    extension(&s, false);
    begin(s.a);
    write_n(s.a, r, 2); /* so that it is not in the cache any more */
    commit(s.a);
    ok(s.b, newt_transact(s.b, walk_from, &r, NULL));
    assert_false(s.b->jar.session->has_walk);
    /* by hand: an error that says that a new attempt may help, and it does */
    extension(&s, true);
    look_again(&s);
    begin(s.a);
    write_n(s.a, r, 3);
    commit(s.a);
    ok(s.b, newt_transact(s.b, walk_from, &r, NULL));
    extension(&s, false);
    begin(s.a);
    write_n(s.a, r, 4);
    commit(s.a);
    begin(s.b);
    assert_int_equal(walk_from(s.b, &r), NEWT_ELOST);
    assert_true(newt_is_retryable(newt_conn_error(s.b)));
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.b)), "has changed"));
    newt_abort(s.b);
    begin(s.b);
    assert_int_equal(walk_from(s.b, &r), NEWT_OK);
    commit(s.b);
    extension(&s, true);
    store_close(&s);
}

/* What is done to the store and its server, and how programs take it. */
static const struct {
    const char *what, *sql, *back;
    bool look; /* noticed with the next look, not at once */
} changes[] = {
    {"functions replaced",
     "ALTER EXTENSION newt DROP FUNCTION newt.committed(regclass, bigint, "
     "bigint); DROP FUNCTION newt.committed(regclass, bigint, bigint)",
     "DROP EXTENSION newt CASCADE; CREATE EXTENSION newt", true},
    {"a column added", "ALTER TABLE object_state ADD COLUMN more text",
     "ALTER TABLE object_state DROP COLUMN more", false},
    {"tables rewritten", "VACUUM FULL object_state", "REINDEX TABLE newt_projection", false},
    {"an index built", "CREATE INDEX i ON newt_projection ((state->>'name'))", "DROP INDEX i",
     false},
    {"the view replaced",
     "CREATE OR REPLACE VIEW newt WITH (security_invoker = true) AS SELECT zoid, class_name, "
     "serial, state, 1 AS one FROM newt_projection",
     "ANALYZE newt_projection", false},
    {"statistics and plans", "ANALYZE", "ANALYZE", false},
    {"a type that plans rest on", "ALTER TABLE transaction ALTER username TYPE varchar(100)",
     "ALTER TABLE transaction ALTER username TYPE text", false},
};

static void
run_all_of(PGconn *pg, const char *sql)
{
    char *all = strdup(sql), *save = NULL;

    for (char *one = strtok_r(all, ";", &save); one; one = strtok_r(NULL, ";", &save))
        sql_do(pg, "%s", one);
    free(all);
}

static void
test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        item_ref r;
        store s;

        print_message("# %s\n", changes[i].what);
        open_store(&s);
        r = make_item(s.a, "r", 1);
        work(&s, r);
        run_all_of(s.pg, changes[i].sql);
        work(&s, r);
        run_all_of(s.pg, changes[i].back);
        work(&s, r);
        store_close(&s);
    }
}

/* The store's mode: the next look finds it. */
static void
test_mode(void **state)
{
    newt_progress p = {.size = sizeof p};
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    sql_do(s.pg, "UPDATE newt_store SET projection = 'async'");
    look_again(&s);
    begin(s.a);
    write_n(s.a, r, 2);
    commit(s.a);
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    do
        ok(s.a, newt_project(s.a, "f", 1000, &p));
    while (p.behind_us > 0 || p.transactions > 0);
    assert_sql(s.pg, "2", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    sql_do(s.pg, "UPDATE newt_store SET projection = 'inline'");
    look_again(&s);
    begin(s.a);
    write_n(s.a, r, 3);
    commit(s.a);
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    store_close(&s);
}

/* Tables that newt.write() takes, and no longer takes, and takes again. Each time the commit
 * arrives. */
static void
test_not_plain(void **state)
{
    static const struct {
        const char *ddl, *undo;
        bool noticed; /* by the look; else the first commit is told */
    } tables[] = {
        {"ALTER TABLE newt_projection ADD extra text", "ALTER TABLE newt_projection DROP extra",
         true},
        {"CREATE TRIGGER t BEFORE UPDATE ON newt_projection FOR EACH ROW EXECUTE FUNCTION "
         "suppress_redundant_updates_trigger()",
         "DROP TRIGGER t ON newt_projection", true},
        {"CREATE RULE r AS ON DELETE TO object_state DO ALSO NOTHING",
         "DROP RULE r ON object_state", true},
        {"ALTER TABLE newt_projection DROP CONSTRAINT newt_projection_pkey, ADD UNIQUE (zoid)",
         "ALTER TABLE newt_projection ADD CONSTRAINT newt_projection_pkey PRIMARY KEY (zoid)",
         false},
        {"ALTER TABLE object_state DROP CONSTRAINT object_state_pkey, ADD PRIMARY KEY (serial, "
         "zoid), ADD UNIQUE (zoid)",
         "ALTER TABLE object_state DROP CONSTRAINT object_state_pkey, ADD PRIMARY KEY (zoid)",
         false},
    };
    int64_t n = 1;
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", n);
    assert_true(s.a->jar.session->writes_plainly);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        newt_conn *c;

        sql_do(s.pg, "%s", tables[i].ddl);
        for (int k = 0; k < 2; k++) {
            begin(s.a);
            write_n(s.a, r, ++n);
            commit(s.a);
            assert_false(s.a->jar.session->writes_plainly);
        }
        c = connect_(s.db);
        c->jar.session->reopen = true; /* it may be of before */
        begin(c);
        write_n(c, r, ++n);
        assert_true(c->jar.session->writes_plainly == !tables[i].noticed);
        commit(c);
        newt_close(c);
        sql_do(s.pg, "%s", tables[i].undo);
        s.a->jar.session->reopen = true; /* as a minute later */
        begin(s.a);
        write_n(s.a, r, ++n);
        commit(s.a);
        assert_true(s.a->jar.session->writes_plainly);
        assert_int_equal(
            sql_int(s.pg, "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid),
            n);
    }
    store_close(&s);
}

/* Rights that are taken and given back. Without them the error is the server's own, every time. */
static void
test_rights(void **state)
{
    newt_options o = {.size = sizeof o};
    char as[300];
    newt_conn *c;
    newt_db *db;
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    sql_do(s.pg, "CREATE ROLE %s_user LOGIN", s.schema);
    sql_do(s.pg, "GRANT USAGE ON SCHEMA %s TO %s_user", s.schema, s.schema);
    sql_do(s.pg, "GRANT ALL ON ALL TABLES IN SCHEMA %s TO %s_user", s.schema, s.schema);
    sql_do(s.pg, "GRANT ALL ON ALL SEQUENCES IN SCHEMA %s TO %s_user", s.schema, s.schema);
    snprintf(as, sizeof as, "postgresql:///%s?host=%s&port=%s&user=%s_user", PQdb(s.pg),
             getenv("PGHOST"), getenv("PGPORT"), s.schema);
    o.schema = s.schema;
    if (newt_db_open(&db, as, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    begin(c);
    write_n(c, r, 2);
    commit(c);
    /* a function of the extension: it does without */
    sql_do(s.pg, "REVOKE EXECUTE ON FUNCTION newt.to_jsonb(bytea), newt.commit FROM PUBLIC");
    begin(c);
    write_n(c, r, 3);
    commit(c);
    assert_false(c->jar.session->has_extension);
    sql_do(s.pg, "GRANT EXECUTE ON FUNCTION newt.to_jsonb(bytea), newt.commit TO PUBLIC");
    sql_do(s.pg, "REVOKE ALL ON SCHEMA newt FROM PUBLIC");
    begin(c);
    write_n(c, r, 4);
    commit(c);
    sql_do(s.pg, "GRANT USAGE ON SCHEMA newt TO PUBLIC");
    /* a table: nothing can be done without it */
    sql_do(s.pg, "REVOKE UPDATE ON object_state FROM %s_user", s.schema);
    for (int i = 0; i < 3; i++) {
        begin(c);
        write_n(c, r, 5);
        assert_int_equal(newt_commit(c), NEWT_ESQL);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
    }
    sql_do(s.pg, "GRANT UPDATE ON object_state TO %s_user", s.schema);
    begin(c);
    write_n(c, r, 6);
    commit(c);
    assert_sql(s.pg, "6", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    newt_close(c);
    newt_db_close(db);
    sql_do(s.pg, "DROP OWNED BY %s_user", s.schema);
    sql_do(s.pg, "DROP ROLE %s_user", s.schema);
    store_close(&s);
}

/* Another store under the name of the old one: nothing of the old is seen, or written into it. */
static void
test_store_replaced(void **state)
{
    newt_error *e = NULL;
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    sql_do(s.pg, "DROP SCHEMA %s CASCADE", s.schema);
    begin(s.b);
    assert_null(item_read(s.b, r));
    assert_true(newt_status(s.b) == NEWT_ELOST || newt_status(s.b) == NEWT_ESTORE);
    newt_abort(s.b);
    assert_int_equal(newt_begin(s.b) ? newt_status(s.b) : (item_read(s.b, r), newt_status(s.b)),
                     NEWT_ESTORE);
    newt_abort(s.b);
    assert_int_equal(newt_store_create(uri(), s.schema, &e), NEWT_OK);
    newt_error_free(e);
    s.a->checked_us = 0;
    begin(s.a);
    assert_null(item_read(s.a, r));
    newt_abort(s.a);
    r = make_item(s.a, "new", 2);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 2);
    commit(s.b);
    store_close(&s);
}

/* What a query of the application does to the session ends with it. */
static void
test_session(void **state)
{
    static const char *const queries[] = {"SELECT set_config('role', 'pg_read_all_data', false)",
                                          "SELECT set_config('search_path', 'nowhere', false)",
                                          "RESET ALL", "SET ROLE pg_read_all_data",
                                          "DEALLOCATE ALL"};
    json_t *rows;
    item_ref r;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        begin(s.a);
        if (newt_query(s.a, &rows, queries[i], 0, NULL) == NEWT_OK)
            json_decref(rows);
        newt_abort(s.a);
        begin(s.a);
        if (!item_read(s.a, r)) { /* once, with an error that a new attempt cures */
            assert_true(newt_is_retryable(newt_conn_error(s.a)));
            newt_abort(s.a);
            begin(s.a);
        }
        write_n(s.a, r, (int64_t)i);
        if (newt_commit(s.a) != NEWT_OK) {
            assert_true(newt_is_retryable(newt_conn_error(s.a)));
            begin(s.a);
            write_n(s.a, r, (int64_t)i);
            commit(s.a);
        }
    }
    store_close(&s);
}

/* What is gone for good is an error that no retry gets over, in whatever is tried again and again.
 */
static void
test_table_gone(void **state)
{
    int last = NEWT_OK;
    item_ref r, q;
    store s;

    (void)state;
    open_store(&s);
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 2);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 1);
    commit(s.b);
    sql_do(s.pg, "ALTER TABLE object_state RENAME TO elsewhere");
    for (int i = 0; i < 4; i++) {
        if (newt_begin(s.b) == NEWT_OK)
            assert_null(item_read(s.b, q));
        last = newt_error_status(newt_conn_error(s.b));
        newt_abort(s.b);
    }
    assert_int_equal(last, NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.b)), "42P01");
    sql_do(s.pg, "ALTER TABLE elsewhere RENAME TO object_state");
    begin(s.b);
    assert_int_equal(read_n(s.b, q), 2);
    commit(s.b);
    store_close(&s);
}

static const struct CMUnitTest server_changes[] = {
    cmocka_unit_test(test_table_gone),
    cmocka_unit_test(test_extension_dropped),
    cmocka_unit_test(test_dropped_in_between),
    cmocka_unit_test(test_walks),
    cmocka_unit_test(test_changes),
    cmocka_unit_test(test_mode),
    cmocka_unit_test(test_not_plain),
    cmocka_unit_test(test_rights),
    cmocka_unit_test(test_store_replaced),
    cmocka_unit_test(test_session),
};

int
main(void)
{
    return run_all(server_changes);
}
