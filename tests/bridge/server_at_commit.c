/*
 * server_at_commit.c - newt.at_commit(): when the transaction ends, when it fails, and what
 * triggers do at that moment
 */
#include "projectors.h"

/* A COMMIT that fails after newt.at_commit() has done its part, in another extension's, leaves
 * nothing of it: no row, and synchronous_commit as it was. */
static void
test_commit_fails_late(void **state)
{
    PGconn *pg;
    PGresult *r;
    store s;

    (void)state;
    store_open(&s, "late");
    if (sql_int(s.pg, "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'") ==
        0) {
        print_message("# no postgres_fdw here\n");
        store_close(&s);
        skip();
    }
    sql_do(s.pg, "CREATE EXTENSION postgres_fdw");
    sql_do(s.pg,
           "CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', "
           "dbname '%s', options '-c default_transaction_read_only=off')",
           getenv("PGHOST"), getenv("PGPORT"), PQdb(s.pg));
    sql_do(s.pg, "CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user '%s')",
           getenv("PGUSER"));
    sql_do(s.pg, "CREATE TABLE there (x integer UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    sql_do(s.pg,
           "CREATE FOREIGN TABLE far (x integer) SERVER here OPTIONS (schema_name '%s', "
           "table_name 'there')",
           s.schema);
    pg = sql_open();
    sql_do(pg, "SET search_path = %s, public", s.schema);
    /* what is loaded first is asked last */
    sql_do(pg, "SELECT count(*) FROM far");
    sql_do(pg, "SELECT newt.committed('transaction', NULL, NULL)");
    sql_do(pg, "BEGIN");
    sql_do(pg, "INSERT INTO far VALUES (1), (1)");
    sql_do(pg, "SELECT newt.at_commit('transaction', 424242, 1, '{1}', '{}', NULL, NULL, NULL)");
    r = PQexec(pg, "COMMIT");
    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "23505");
    PQclear(r);
    assert_sql(pg, "on", "SHOW synchronous_commit");
    assert_sql(pg, "0", "SELECT count(*) FROM transaction WHERE serial = 424242");
    sql_do(pg, "BEGIN");
    sql_do(pg, "SELECT newt.at_commit('transaction', 424242, 1, '{1}', '{}', NULL, NULL, NULL)");
    sql_do(pg, "COMMIT");
    assert_sql(pg, "1", "SELECT count(*) FROM transaction WHERE serial = 424242");
    PQfinish(pg);
    sql_do(s.pg, "DROP EXTENSION postgres_fdw CASCADE");
    store_close(&s);
}

/* Outside of a block newt.at_commit() ends the transaction with its statement, before what follows
 * in the pipeline; within one, of whatever sort, it does not. */
static void
test_commits_by_itself(void **state)
{
    static const struct {
        const char *before, *after, *rows;
    } cases[] = {{NULL, "SELECT 1 / 0", "1"},
                 {"BEGIN", "SELECT 1 / 0", "0"},
                 {"SELECT 1", "SELECT 1 / 0", "0"}, /* the pipeline is a block by now */
                 {"SELECT 1", "SELECT 1", "1"},
                 {"COMMIT", "SELECT 1 / 0", "1"}};
    PGconn *pg;
    PGresult *r;
    store s;

    (void)state;
    store_open(&s, "itself");
    pg = sql_open();
    sql_do(pg, "SET search_path = %s, public", s.schema);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sql_do(s.pg, "DELETE FROM transaction WHERE serial = 424242");
        assert_true(PQenterPipelineMode(pg));
        if (cases[i].before)
            assert_true(PQsendQueryParams(pg, cases[i].before, 0, NULL, NULL, NULL, NULL, 0));
        assert_true(PQsendQueryParams(pg,
                                      "SELECT newt.at_commit('transaction', 424242, 1, '{1}', "
                                      "'{}', NULL, NULL, NULL)",
                                      0, NULL, NULL, NULL, NULL, 0));
        assert_true(PQsendQueryParams(pg, cases[i].after, 0, NULL, NULL, NULL, NULL, 0));
        assert_true(PQpipelineSync(pg));
        for (bool synced = false; !synced;) {
            r = PQgetResult(pg);
            synced = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
            PQclear(r);
        }
        assert_true(PQexitPipelineMode(pg));
        if (PQtransactionStatus(pg) != PQTRANS_IDLE)
            sql_do(pg, "ROLLBACK");
        assert_sql(s.pg, cases[i].rows, "SELECT count(*) FROM transaction WHERE serial = 424242");
    }
    r = PQexec(pg, "SELECT newt.at_commit('transaction', 434343, 1, '{1}', '{}', NULL, NULL, NULL);"
                   "SELECT 1 / 0");
    assert_int_equal(PQresultStatus(r), PGRES_FATAL_ERROR);
    PQclear(r);
    assert_sql(s.pg, "0", "SELECT count(*) FROM transaction WHERE serial = 434343");
    PQfinish(pg);
    store_close(&s);
}

/* What triggers warn of says nothing about the commit; an error of a deferred one is its error. */
static void
test_triggers(void **state)
{
    item_ref r, q;
    store s;

    store_open_as(&s, "triggers", *(newt_options *)*state);
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    sql_do(s.pg, "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "RAISE WARNING 'beware'; IF (NEW.state->>'n')::int = 7 THEN RAISE EXCEPTION "
                 "'no sevens'; END IF; RETURN NEW; END $$");
    sql_do(s.pg, "SET client_min_messages = error");
    sql_do(s.pg, "CREATE TRIGGER now AFTER UPDATE ON newt_projection FOR EACH ROW EXECUTE "
                 "FUNCTION warn()");
    for (int deferred = 0; deferred < 2; deferred++) {
        for (int way = 0; way < 3; way++) { /* one object, with words, two */
            begin(s.a);
            write_n(s.a, r, 3 + way + 10 * deferred);
            if (way == 2)
                write_n(s.a, q, 2 + 10 * deferred);
            commit(s.a);
            begin(s.a);
            write_n(s.a, r, 7);
            if (way == 2)
                write_n(s.a, q, 8);
            if (way == 1)
                ok(s.a, newt_describe(s.a, NULL, "words", NULL));
            assert_int_equal(newt_commit(s.a), NEWT_ESQL);
            begin(s.b);
            assert_int_equal(read_n(s.b, r), 3 + way + 10 * deferred);
            commit(s.b);
        }
        sql_do(s.pg, "DROP TRIGGER now ON newt_projection");
        sql_do(s.pg, "CREATE CONSTRAINT TRIGGER now AFTER UPDATE ON newt_projection DEFERRABLE "
                     "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()");
    }
    store_close(&s);
}

/* One object, and words about the transaction: the position is its own all the same. */
static void
test_described(void **state)
{
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "described");
    r = make_item(s.a, "r", 1);
    for (int n = 2; n < 5; n++) {
        begin(s.a);
        write_n(s.a, r, n);
        if (n != 3)
            ok(s.a, newt_describe(s.a, "somebody", "why", NULL));
        commit(s.a);
        assert_int_equal(newt_tid(s.a), sql_int(s.pg, "SELECT max(tid) FROM transaction"));
        assert_sql(s.pg, n == 3 ? "" : "why",
                   "SELECT coalesce(description, '') FROM transaction ORDER BY tid DESC LIMIT 1");
    }
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_commit_fails_late),
    cmocka_unit_test(test_commits_by_itself),
    cmocka_unit_test(test_described),
    with(test_triggers, client),
    with(test_triggers, server),
};

int
main(void)
{
    use_database(true);
    return run_all(tests);
}
