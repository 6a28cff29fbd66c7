/*
 * server_numbers.c - oids and serials, in blocks from the store's sequences
 */
#include "server.h"

/* The oids that the next transaction will want come with a commit: however many transactions of one
 * size there are, each is one round trip. */
static void
test_numbers_in_time(void **state)
{
    newt_stats before;
    store s;

    store_open_as(&s, "in_time", *(newt_options *)*state);
    for (int i = 0; i < 12; i++) {
        begin_alone(s.a);
        before = stats_of(s.a);
        for (int k = 0; k < 400; k++)
            item_done(new_item(s.a, "one of many", k));
        commit(s.a);
        if (i >= 2) /* the first ones could not know */
            assert_int_equal(stats_of(s.a).round_trips - before.round_trips, 1);
    }
    store_close(&s);
}

/* Numbers whose block is not known to be durable are not used: the next transaction asks again. */
static void
test_numbers_without_barrier(void **state)
{
    newt_options o = {.size = sizeof o};
    char *user, *database, *emit;
    newt_db *db;
    newt_conn *c;
    char as[300];
    store s;

    (void)state;
    store_open(&s, "barrier");
    user = sql_text(s.pg, "SELECT '%s_user'", s.schema);
    database = sql_text(s.pg, "SELECT current_database()");
    sql_do(s.pg, "CREATE ROLE %s LOGIN", user);
    sql_do(s.pg, "GRANT USAGE ON SCHEMA %s TO %s", s.schema, user);
    sql_do(s.pg, "GRANT ALL ON ALL TABLES IN SCHEMA %s TO %s", s.schema, user);
    sql_do(s.pg, "GRANT ALL ON ALL SEQUENCES IN SCHEMA %s TO %s", s.schema, user);
    /* PostgreSQL 17 has given it one more argument */
    emit = sql_text(s.pg, "SELECT oid::regprocedure FROM pg_proc WHERE proname = "
                          "'pg_logical_emit_message' AND proargtypes[2] = 'text'::regtype");
    sql_do(s.pg, "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC", emit);
    snprintf(as, sizeof as, "postgresql:///%s?host=%s&port=%s&user=%s", database, getenv("PGHOST"),
             getenv("PGPORT"), user);
    o.schema = s.schema;
    if (newt_db_open(&db, as, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    for (int i = 0; i < 2; i++) {
        begin(c);
        assert_null(item_new(c));
        assert_int_equal(newt_status(c), NEWT_ESQL);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
        newt_abort(c);
    }
    sql_do(s.pg, "GRANT EXECUTE ON FUNCTION %s TO PUBLIC", emit);
    make_item(c, "now", 1);
    newt_close(c);
    newt_db_close(db);
    sql_do(s.pg, "DROP OWNED BY %s", user);
    sql_do(s.pg, "DROP ROLE %s", user);
    free(database);
    free(user);
    free(emit);
    store_close(&s);
}

/* One statement of docs/operations.md. */
#define SET_SEQUENCES                                                                              \
    "SELECT setval('newt_oid', greatest(nextval('newt_oid'), (SELECT max(zoid) FROM "              \
    "object_state WHERE zoid < 4503599627370496))), setval('newt_serial', "                        \
    "greatest(nextval('newt_serial'), (SELECT max(serial) "                                        \
    "FROM object_state), (SELECT max(serial) FROM transaction)))"

/* Restored, or replicated logically, without the values of its sequences: numbers that are in use
 * are not given again, whatever needs them. */
static void
test_sequences_left_out(void **state)
{
    static const char *const sequences[] = {"newt_oid", "newt_serial"};
    item_ref r, q;
    store s;

    (void)state;
    store_open(&s, "sequences");
    sql_do(s.pg, "SELECT setval('newt_serial', 10240)"); /* there have been others */
    r = make_item(s.a, "r", 1);
    begin(s.a);
    for (int i = 0; i < 5000; i++)
        item_done(new_item(s.a, "many", i));
    commit(s.a);
    /* one that was made in a layer says nothing about the sequence */
    sql_do(s.pg,
           "INSERT INTO object_state SELECT 1::bigint << 52, serial, state FROM object_state "
           "WHERE zoid = %lld",
           (long long)r.any.oid);
    for (size_t i = 0; i < 2; i++) {
        newt_db *db = store_db(&s, classes, (newt_options){0});
        newt_conn *c = connect_(db);
        int64_t serials = sql_int(s.pg, "SELECT count(DISTINCT serial) FROM object_state");

        /* the numbers of a later block than the sequence's next */
        sql_do(s.pg, "SELECT setval('%s', 1024, false)", sequences[i]);
        for (int attempt = 0; attempt < 2; attempt++) {
            begin(c);
            if (i == 0) {
                assert_null(item_new(c));
                assert_int_equal(newt_commit(c), NEWT_ESTORE);
            } else {
                write_n(c, r, 7);
                assert_int_equal(newt_commit(c), NEWT_ESTORE);
            }
            assert_non_null(strstr(newt_error_message(newt_conn_error(c)), sequences[i]));
            assert_non_null(strstr(newt_error_hint(newt_conn_error(c)), "operations.md"));
            assert_int_equal(sql_int(s.pg, "SELECT count(DISTINCT serial) FROM object_state"),
                             serials);
        }
        sql_do(s.pg, SET_SEQUENCES);
        begin(c);
        q = item_id(new_item(c, "after", 1));
        write_n(c, r, 8 + (int64_t)i);
        commit(c);
        assert_sql(s.pg, "1",
                   "SELECT count(*) FROM newt WHERE zoid = %lld AND zoid BETWEEN 5001 AND "
                   "100000",
                   (long long)q.any.oid);
        newt_close(c);
        newt_db_close(db);
    }
    store_close(&s);
}

static newt_options client = {.projector = NEWT_PROJECT_CLIENT}, server;

static const struct CMUnitTest numbers[] = {
    {"test_numbers_in_time (client)", test_numbers_in_time, NULL, NULL, &client},
    {"test_numbers_in_time (server)", test_numbers_in_time, NULL, NULL, &server},
    cmocka_unit_test(test_numbers_without_barrier),
    cmocka_unit_test(test_sequences_left_out),
};

int
main(void)
{
    use_database(true);
    return run_all(numbers);
}
