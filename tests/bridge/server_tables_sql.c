/*
 * server_tables_sql.c - typed tables, with records put by SQL alone: who may write them, whose they
 * are, and what mends them
 */
#include "server.h"

/* ---- helpers ------------------------------------------------------------------------------- */

static const char fields[] =
    "[{\"name\": \"a\", \"kind\": \"int\", \"bits\": 64}, {\"name\": \"b\", \"kind\": \"text\"}, "
    "{\"name\": \"f\", \"kind\": \"float\", \"bits\": 64}, {\"name\": \"p\", \"kind\": \"struct\", "
    "\"shape\": \"list\", \"fields\": [{\"name\": \"x\", \"kind\": \"int\", \"bits\": 32}]}, "
    "{\"name\": \"q\", \"kind\": \"text\", \"shape\": \"pairs\", \"key\": {\"kind\": \"int\", "
    "\"bits\": 64}}]";

/* {"a": a, "b": "x", "f": -0.0, "p": [{"x": 1}, {"x": 2}, {"x": 3}]}, of class Note. */
#define NOTE(a)                                                                                    \
    "83644e6f746501a46161" a "616261786166fb80000000000000006170"                                  \
    "83a1617801a1617802a1617803"

/* The same but for the items. */
#define ITEMS(a) "83644e6f746501a36161" a "616261786166fb8000000000000000"

static void
open_notes(store *s, const char *name)
{
    use_database(true);
    store_open(s, name);
    sql_do(s->pg, "INSERT INTO newt_class (name, version, fields) VALUES ('Note', 1, '%s')",
           fields);
    sql_do(s->pg, "SET client_min_messages = warning");
    sql_do(s->pg, "SET quote_all_identifiers = off");
}

static void
call(const store *s, const char *procedure)
{
    sql_do(s->pg, "CALL newt.%s('%s', 'Note')", procedure, s->schema);
}

/* One statement, which may stand between others of a transaction. */
static void
put(PGconn *pg, int64_t oid, const char *hex)
{
    sql_do(pg,
           "WITH o AS (INSERT INTO object_state (zoid, serial, state) VALUES (%lld, 5, '\\x%s') "
           "ON CONFLICT (zoid) DO UPDATE SET state = excluded.state) SELECT 1",
           (long long)oid, hex);
}

/* Tells of it, which is what a commit does last. */
static void
tell(PGconn *pg, int64_t oid, int64_t serial)
{
    sql_do(pg,
           "INSERT INTO transaction (tid, serial, nonce, written, removed) "
           "SELECT max(tid) + 1, %lld, 0, '{%lld}', '{}' FROM transaction",
           (long long)serial, (long long)oid);
}

static void
commit_note(PGconn *pg, int64_t oid, const char *hex)
{
    int64_t serial = sql_int(pg, "SELECT max(serial) + 1 FROM transaction");

    sql_do(pg, "BEGIN");
    put(pg, oid, hex);
    tell(pg, oid, serial);
    sql_do(pg, "COMMIT");
}

static void
assert_clean(const store *s)
{
    assert_sql(s->pg, "",
               "SELECT problem || ' ' || objects || ' ' || coalesce(examples::text, '') "
               "FROM newt.check_table('%s', 'Note')",
               s->schema);
}

static void
assert_error(PGconn *pg, const char *sqlstate, const char *word, const char *sql)
{
    PGresult *r = PQexec(pg, sql);

    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), sqlstate);
    if (!strstr(PQresultErrorMessage(r), word))
        fail_msg("no \"%s\" in \"%s\"", word, PQresultErrorMessage(r));
    PQclear(r);
}

static PGconn *
another(const store *s)
{
    PGconn *pg = sql_open();

    sql_do(pg, "SET search_path = %s, public", s->schema);
    return pg;
}

/* ---- whose they are ------------------------------------------------------------------------ */

/* newt_table names a table of somebody else: it is not written. */
static void
test_owner(void **state)
{
    store s;

    (void)state;
    open_notes(&s, "owner");
    commit_note(s.pg, 5001, NOTE("01"));
    call(&s, "create_table");
    sql_do(s.pg, "CREATE ROLE %s_other", s.schema);
    sql_do(s.pg, "ALTER TABLE note OWNER TO %s_other", s.schema);
    commit_note(s.pg, 5001, NOTE("02"));
    assert_sql(s.pg, "1", "SELECT a FROM note");
    sql_do(s.pg, "ALTER TABLE note OWNER TO CURRENT_USER"); /* the same session sees it */
    commit_note(s.pg, 5001, NOTE("03"));
    assert_sql(s.pg, "3", "SELECT a FROM note");
    assert_clean(&s);
    sql_do(s.pg, "ALTER TABLE note_p RENAME n TO place"); /* no key that we know: neither */
    commit_note(s.pg, 5001, NOTE("04"));
    assert_sql(s.pg, "3", "SELECT a FROM note");
    sql_do(s.pg, "ALTER TABLE note_p RENAME place TO n");
    commit_note(s.pg, 5001, NOTE("05"));
    assert_sql(s.pg, "5", "SELECT a FROM note");
    assert_clean(&s);
    sql_do(s.pg, "ALTER TABLE note RENAME id TO oid_");
    commit_note(s.pg, 5001, NOTE("06"));
    assert_sql(s.pg, "5", "SELECT a FROM note");
    sql_do(s.pg, "DROP ROLE %s_other", s.schema);
    store_close(&s);
}

/* Who may read the store reads all of its tables, and writes none. */
static void
test_rights(void **state)
{
    static const char *const statements[] = {
        "SELECT newt.write_tables('newt_table', '{5001}', true)",
        "SELECT newt.copy_tables('newt_table', 0, 9000)",
        "SELECT newt.sync_table('newt_table', 'Note', 'repair', 0, 9000)",
        "SELECT newt.sync_table('newt_table', 'Note', 'fill', 0, 9000)",
        "SELECT newt.tables_changed('newt_table')"};
    store s;

    (void)state;
    open_notes(&s, "rights");
    commit_note(s.pg, 5001, NOTE("01"));
    sql_do(s.pg, "CREATE ROLE %s_reader", s.schema);
    sql_do(s.pg, "SELECT newt.grant_store('%s', '%s_reader', 'reader')", s.schema, s.schema);
    /* in a schema without privileges by default */
    sql_do(s.pg, "CALL newt.create_table('%s', 'Note', '%s_reports')", s.schema, s.schema);
    sql_do(s.pg, "SET ROLE %s_reader", s.schema);
    assert_sql(s.pg, "1 3",
               "SELECT a || ' ' || (SELECT count(*) FROM %s_reports.note_p) FROM %s_reports.note",
               s.schema, s.schema);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        assert_error(s.pg, "42501", "newt_table", statements[i]);
    sql_do(s.pg, "RESET ROLE");
    store_close(&s);
}

/* What an index calls runs as the tables' owner, so it must not get hold of the session. */
static void
test_restricted(void **state)
{
    store s;

    (void)state;
    open_notes(&s, "restricted");
    call(&s, "create_table");
    sql_do(s.pg, "CREATE FUNCTION sly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
                 "$$BEGIN PERFORM set_config('role', 'none', true); RETURN $1; END$$");
    sql_do(s.pg, "CREATE INDEX ON note (sly(b))");
    sql_do(s.pg, "BEGIN");
    put(s.pg, 5001, NOTE("01"));
    assert_error(s.pg, "42501", "within security-restricted operation",
                 "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + "
                 "1, max(serial) + 1, 0, '{5001}', '{}' FROM transaction");
    sql_do(s.pg, "ROLLBACK");
    assert_clean(&s);
    store_close(&s);
}

/* ---- what is current ----------------------------------------------------------------------- */

/* A transaction that was undone, and another with the same serial, which is kept as well. */
static void
test_undone(void **state)
{
    int64_t serial;
    store s;

    (void)state;
    open_notes(&s, "undone");
    call(&s, "create_table");
    commit_note(s.pg, 5001, NOTE("01"));
    serial = sql_int(s.pg, "SELECT max(serial) + 1 FROM transaction");
    for (int i = 0; i < 2; i++) {
        sql_do(s.pg, "BEGIN");
        put(s.pg, 5001, NOTE("02"));
        tell(s.pg, 5001, serial);
        sql_do(s.pg, i == 0 ? "ROLLBACK" : "COMMIT");
        assert_clean(&s);
    }
    assert_sql(s.pg, "2", "SELECT a FROM note");
    store_close(&s);
}

/* A snapshot that is older than the table hides it from nobody who commits. */
static void
test_old_snapshot(void **state)
{
    PGconn *old;
    store s;

    (void)state;
    open_notes(&s, "old_snapshot");
    commit_note(s.pg, 5001, NOTE("01"));
    old = another(&s);
    sql_do(old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    sql_do(old, "SELECT count(*) FROM newt_table");
    call(&s, "create_table");
    put(old, 5002, NOTE("02"));
    sql_do(old, "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + "
                "1, max(serial) + 1, 0, '{5002}', '{}' FROM transaction");
    sql_do(old, "COMMIT");
    assert_clean(&s);
    commit_note(old, 5001, NOTE("03"));
    assert_clean(&s);
    assert_sql(s.pg, "3 2", "SELECT string_agg(a::text, ' ' ORDER BY id) FROM note");
    PQfinish(old);
    store_close(&s);
}

/* A commit that knew nothing of the table, and ends after it has been made. */
static void
test_writer_before(void **state)
{
    char create[200];
    int64_t pid;
    bool waits = false;
    PGconn *writer;
    store s;

    (void)state;
    open_notes(&s, "before");
    sql_do(s.pg, "CALL newt.create_table('%s', 'Item')", s.schema); /* the trigger is there */
    writer = another(&s);
    pid = sql_int(s.pg, "SELECT pg_backend_pid()");
    sql_do(writer, "BEGIN");
    put(writer, 5001, NOTE("01"));
    tell(writer, 5001, sql_int(writer, "SELECT max(serial) + 1 FROM transaction"));
    snprintf(create, sizeof create, "CALL newt.create_table('%s', 'Note')", s.schema);
    assert_int_equal(PQsendQuery(s.pg, create), 1);
    for (time_t until = time(NULL) + PATIENCE_S; time(NULL) < until && !waits;) {
        assert_int_equal(PQconsumeInput(s.pg), 1);
        if (!PQisBusy(s.pg))
            break;
        waits = sql_int(writer, "SELECT cardinality(pg_blocking_pids(%lld))", (long long)pid) > 0;
    }
    assert_true(waits);
    sql_do(writer, "COMMIT");
    for (PGresult *r; (r = PQgetResult(s.pg)); PQclear(r))
        assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    assert_clean(&s);
    assert_sql(s.pg, "1", "SELECT count(*) FROM note");
    PQfinish(writer);
    store_close(&s);
}

/* ---- mended -------------------------------------------------------------------------------- */

static void
by_hand(const store *s, const char *statement)
{
    sql_do(s->pg, "SET session_replication_role = replica");
    sql_do(s->pg, "%s", statement);
    sql_do(s->pg, "RESET session_replication_role");
}

/* Whatever is wrong with the rows is found, and mended, and only that is written. */
static void
test_mended(void **state)
{
    static const struct {
        const char *statement, *problem;
    } wrong[] = {
        {"DELETE FROM note_p WHERE n = 1 AND note_id = 5001", "different 1 {5001}"},
        {"DELETE FROM note_p WHERE n = 2 AND note_id = 5001", "different 1 {5001}"},
        {"DELETE FROM note_p WHERE n = 3 AND note_id = 5001", "different 1 {5001}"},
        {"DELETE FROM note_p WHERE note_id = 5001", "different 1 {5001}"},
        {"UPDATE note_p SET x = 9 WHERE n = 2", "different 2 {5001,5002}"},
        {"UPDATE note_p SET n = 0 WHERE n = 1", "different 2 {5001,5002}"},
        {"INSERT INTO note_p VALUES (5002, 4, 4)", "different 1 {5002}"},
        {"INSERT INTO note_p VALUES (5002, -1, 4)", "different 1 {5002}"},
        {"INSERT INTO note_q VALUES (5002, 1, 'x')", "different 1 {5002}"},
        {"UPDATE note SET a = NULL WHERE id = 5001", "different 1 {5001}"},
        {"UPDATE note SET f = -f WHERE id = 5001", "different 1 {5001}"},
        {"DELETE FROM note WHERE id = 5002", "missing 1 {5002}"},
        {"INSERT INTO note VALUES (7000)", "note has rows of no such object 1 {7000}"},
    };
    store s;

    (void)state;
    open_notes(&s, "mended");
    commit_note(s.pg, 5001, NOTE("01"));
    call(&s, "create_table");
    commit_note(s.pg, 5002, NOTE("02"));
    assert_sql(s.pg, "5001 1 x 0,5002 2 x 0",
               "SELECT string_agg(concat_ws(' ', id, a, b, f), ',' ORDER BY id) FROM note");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        by_hand(&s, wrong[i].statement);
        assert_sql(s.pg, wrong[i].problem,
                   "SELECT replace(problem, '%s.', '') || ' ' || objects || ' ' || examples::text "
                   "FROM newt.check_table('%s', 'Note')",
                   s.schema, s.schema);
        if (strncmp(wrong[i].problem, "missing", 7) == 0) /* its items are there: no new ones */
            by_hand(&s, "DELETE FROM note_p WHERE note_id = 5002");
        call(&s, "fill_table");
        assert_clean(&s);
        assert_sql(s.pg, "6 2 0",
                   "SELECT (SELECT count(*) FROM note_p) || ' ' || (SELECT count(*) "
                   "FROM note) || ' ' || (SELECT count(*) FROM note_q)");
    }
    store_close(&s);
}

static bool
waits_for(PGconn *asks, PGconn *who, PGconn *whom)
{
    return sql_int(asks, "SELECT (%d = ANY (pg_blocking_pids(%d)))::int", PQbackendPID(whom),
                   PQbackendPID(who)) > 0;
}

static void
until_waits(PGconn *asks, PGconn *who, PGconn *whom)
{
    bool waits = false;

    for (time_t until = time(NULL) + PATIENCE_S; time(NULL) < until && !waits;)
        waits = waits_for(asks, who, whom);
    assert_true(waits);
}

/* Whoever mends locks rows in the order in which commits do, wherever they lie: no deadlock. */
static void
test_mended_in_order(void **state)
{
    char fill[200];
    PGconn *writer, *gate;
    store s;

    (void)state;
    open_notes(&s, "in_order");
    call(&s, "create_table");
    commit_note(s.pg, 5002, NOTE("01"));
    commit_note(s.pg, 5001, NOTE("01"));
    writer = another(&s);
    gate = another(&s);
    for (int i = 0; i < 2; i++) { /* first only items change */
        by_hand(&s, "DELETE FROM note_p WHERE n = 3 AND note_id = 5001");
        sql_do(gate, "BEGIN; LOCK TABLE note IN ROW EXCLUSIVE MODE");
        snprintf(fill, sizeof fill, "CALL newt.fill_table('%s', 'Note')", s.schema);
        assert_int_equal(PQsendQuery(s.pg, fill), 1);
        until_waits(writer, s.pg, gate); /* so it has not locked a row yet */
        sql_do(writer, "BEGIN");
        put(writer, 5001, i == 0 ? ITEMS("01") : NOTE("02"));
        tell(writer, 5001, sql_int(writer, "SELECT max(serial) + 1 FROM transaction"));
        sql_do(gate, "COMMIT");
        until_waits(gate, s.pg, writer);
        put(writer, 5002, NOTE("02"));
        tell(writer, 5002, sql_int(writer, "SELECT max(serial) + 1 FROM transaction"));
        sql_do(writer, "COMMIT");
        for (PGresult *r; (r = PQgetResult(s.pg)); PQclear(r))
            assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
        assert_clean(&s);
    }
    PQfinish(writer);
    PQfinish(gate);
    store_close(&s);
}

/* What an older version of the class has as keys, and cannot be one now, has no row. */
static void
test_other_keys(void **state)
{
    store s;

    (void)state;
    open_notes(&s, "other_keys");
    commit_note(s.pg, 5001, "83644e6f746501a16171a1616b6176"); /* {"q": {"k": "v"}} */
    call(&s, "create_table");
    commit_note(s.pg, 5002, "83644e6f746501a16171a1616b6176");
    assert_sql(s.pg, "2 0", "SELECT count(*) || ' ' || (SELECT count(*) FROM note_q) FROM note");
    assert_clean(&s);
    store_close(&s);
}

/* An object that is named twice, by its record and by its row, is refused once. */
static void
test_refused_once(void **state)
{
    store s;

    (void)state;
    open_notes(&s, "refused_once");
    commit_note(s.pg, 5000, NOTE("01"));
    commit_note(s.pg, 5001, NOTE("01"));
    sql_do(s.pg, "CALL newt.create_table('%s', 'Note', mode => 'updater')", s.schema);
    sql_do(s.pg, "ALTER TABLE note ADD CHECK (a <> 2)");
    commit_note(s.pg, 5001, NOTE("02"));
    assert_sql(s.pg, "1", "SELECT newt.copy_tables('newt_table', 0, 9000)");
    assert_sql(s.pg, "1 1",
               "SELECT count(*) || ' ' || (SELECT count(*) FROM note) FROM "
               "newt_reject_entry");
    assert_sql(s.pg, "0", "SELECT newt.write_tables('newt_table', '{5001,5001}', false)");
    sql_do(s.pg, "DELETE FROM newt_reject_entry");
    assert_sql(s.pg, "0", "SELECT newt.write_tables('newt_table', '{5001,5001}', false)");
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_reject_entry");
    commit_note(s.pg, 5001, NOTE("03"));
    assert_sql(s.pg, "1", "SELECT newt.write_tables('newt_table', '{5001,5001}', false)");
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt_reject_entry");
    assert_clean(&s);
    store_close(&s);
}

/* A view reads the table when all rows are there, not before. */
static void
test_view_of_half(void **state)
{
    store s;

    (void)state;
    open_notes(&s, "half");
    commit_note(s.pg, 5001, NOTE("01"));
    sql_do(s.pg, "INSERT INTO newt_projection (zoid, class_name, serial, state) SELECT zoid, "
                 "'Note', serial, "
                 "newt.to_jsonb(state) FROM object_state WHERE zoid = 5001 ON CONFLICT DO NOTHING");
    sql_do(s.pg, "CREATE SCHEMA %s_views", s.schema);
    sql_do(s.pg, "SELECT newt.create_view('%s', 'Note', NULL, '%s_views')", s.schema, s.schema);
    call(&s, "create_table");
    /* as a filling leaves it that was ended */
    by_hand(&s, "DELETE FROM note_p; DELETE FROM note; UPDATE newt_table SET filled = false");
    for (int i = 0; i < 2; i++) {
        sql_do(s.pg, "SELECT newt.refresh_views('%s')", s.schema);
        assert_sql(s.pg, "1 3",
                   "SELECT a || ' ' || (SELECT count(*) FROM %s_views.note_p) FROM %s_views.note",
                   s.schema, s.schema);
        assert_sql(s.pg, i == 0 ? "f" : "t",
                   "SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite w ON d.objid = w.oid "
                   "WHERE d.refobjid = 'note'::regclass AND w.ev_class = "
                   "'%s_views.note'::regclass)",
                   s.schema);
        if (i == 0)
            call(&s, "fill_table");
    }
    assert_clean(&s);
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_owner),           cmocka_unit_test(test_rights),
    cmocka_unit_test(test_restricted),      cmocka_unit_test(test_undone),
    cmocka_unit_test(test_old_snapshot),    cmocka_unit_test(test_writer_before),
    cmocka_unit_test(test_mended),          cmocka_unit_test(test_view_of_half),
    cmocka_unit_test(test_mended_in_order), cmocka_unit_test(test_other_keys),
    cmocka_unit_test(test_refused_once),
};

int
main(void)
{
    return run_all(tests);
}
