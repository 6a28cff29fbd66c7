/*
 * server_search.c - SQL of the application in the transaction's snapshot
 */
#include "server.h"

#include <locale.h>

static item_ref items[25];

static void
open_with_items(store *s, const char *name)
{
    store_open(s, name);
    begin(s->a);
    for (int i = 0; i < 25; i++) {
        char text[16];

        snprintf(text, sizeof text, "name%d", i % 5);
        items[i] = item_id(new_item(s->a, text, i));
    }
    commit(s->a);
}

static void
test_search(void **state)
{
    const char *params[2] = {"name3", "10"};
    newt_stats before;
    newt_result *r;
    store s;

    (void)state;
    open_with_items(&s, "search");
    begin(s.b);
    before = stats_of(s.b);
    ok(s.b, newt_search(s.b, &r,
                        "SELECT zoid FROM newt WHERE state->>'name' = $1 AND "
                        "(state->>'n')::bigint >= $2::bigint ORDER BY zoid DESC",
                        2, params));
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 1);
    assert_int_equal(newt_result_size(r), 3); /* 23, 18, 13 */
    assert_int_equal(newt_result_total(r), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(newt_result_ref(r, (size_t)i).oid, items[23 - 5 * i].any.oid);
    assert_true(newt_is_null(newt_result_ref(r, 3)));
    /* they are ghosts; one round trip loads them all */
    assert_int_equal(stats_of(s.b).loads, before.loads);
    ok(s.b, newt_result_load(r));
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_n(s.b, item_of(newt_result_ref(r, (size_t)i))), 23 - 5 * i);
    assert_int_equal(stats_of(s.b).round_trips - before.round_trips, 2);
    newt_result_free(r);
    newt_result_free(NULL);

    ok(s.b, newt_where(s.b, &r, "state->>'name' = $1 ORDER BY zoid", 1, params));
    assert_int_equal(newt_result_size(r), 5);
    assert_int_equal(newt_result_ref(r, 0).oid, items[3].any.oid);
    newt_result_free(r);
    /* NULL parameters are null */
    params[0] = NULL;
    ok(s.b, newt_where(s.b, &r, "state->>'name' IS NOT DISTINCT FROM $1", 1, params));
    assert_int_equal(newt_result_size(r), 1); /* the root has no name */
    newt_result_free(r);
    commit(s.b);
    store_close(&s);
}

static void
test_page(void **state)
{
    static const struct {
        int64_t offset, limit;
        size_t size;
        int first;
    } pages[] = {{0, 10, 10, 24}, {10, 10, 10, 14},  {20, 10, 5, 4},    {30, 10, 0, 0},
                 {24, 0, 0, 0},   {0, 1000, 25, 24}, {1000000, 1, 0, 0}};
    const char *params[1] = {"Item"};
    newt_result *r;
    store s;

    (void)state;
    open_with_items(&s, "page");
    begin(s.b);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        ok(s.b, newt_page(s.b, &r,
                          "SELECT zoid, state FROM newt WHERE class_name = $1 "
                          "ORDER BY (state->>'n')::int DESC -- the newest first\n ; ",
                          1, params, pages[i].offset, pages[i].limit));
        assert_int_equal(newt_result_total(r), 25);
        assert_int_equal(newt_result_size(r), pages[i].size);
        for (size_t k = 0; k < pages[i].size; k++)
            assert_int_equal(newt_result_ref(r, k).oid, items[pages[i].first - (int)k].any.oid);
        newt_result_free(r);
    }
    ok(s.b, newt_page(s.b, &r, "SELECT zoid FROM newt WHERE false", 0, NULL, 0, 10));
    assert_int_equal(newt_result_total(r), 0);
    assert_int_equal(newt_result_size(r), 0);
    newt_result_free(r);
    assert_int_equal(newt_page(s.b, &r, "SELECT zoid FROM newt", 0, NULL, -1, 10), NEWT_EINVAL);
    assert_null(r);
    assert_int_equal(newt_page(s.b, &r, "SELECT zoid FROM newt", 0, NULL, 0, -1), NEWT_EINVAL);
    commit(s.b);
    store_close(&s);
}

static void
check_query(newt_conn *c, const char *sql, const char *expected)
{
    json_t *rows, *wanted = json_loads(expected, JSON_ALLOW_NUL, NULL);
    char *got;

    assert_non_null(wanted);
    ok(c, newt_query(c, &rows, sql, 0, NULL));
    got = json_dumps(rows, JSON_SORT_KEYS);
    if (!json_equal(rows, wanted))
        fail_msg("%s gives %s, not %s", sql, got, expected);
    free(got);
    json_decref(rows);
    json_decref(wanted);
}

static void
test_query(void **state)
{
    store s;

    (void)state;
    open_with_items(&s, "query");
    begin(s.b);
    check_query(s.b,
                "SELECT count(*), min((state->>'n')::int) AS least FROM newt "
                "WHERE class_name = 'Item'",
                "[{\"count\": 25, \"least\": 0}]");
    check_query(s.b, "SELECT 1 AS a WHERE false", "[]");
    check_query(s.b,
                "SELECT 1::smallint AS a, -2::int AS b, 9223372036854775807 AS c, "
                "4294967295::oid AS d, true AS e, false AS f, NULL::int AS g",
                "[{\"a\": 1, \"b\": -2, \"c\": 9223372036854775807, \"d\": 4294967295, "
                "\"e\": true, \"f\": false, \"g\": null}]");
    check_query(s.b,
                "SELECT 1.5::float8 AS a, 1e300::float8 AS b, 0.1::float4 AS c, "
                "2::float8 AS d, 'NaN'::float8 AS e, '-Infinity'::float4 AS f",
                "[{\"a\": 1.5, \"b\": 1e300, \"c\": 0.1, \"d\": 2.0, \"e\": \"NaN\", "
                "\"f\": \"-Infinity\"}]");
    /* decimals: integers, what a double prints the same, else their text */
    check_query(s.b,
                "SELECT 12.50::numeric AS a, 7::numeric AS b, -0.1::numeric AS c, "
                "12345678901234567.5::numeric AS d, 'NaN'::numeric AS e, "
                "123456789012345678901234567890::numeric AS f",
                "[{\"a\": 12.5, \"b\": 7, \"c\": -0.1, \"d\": \"12345678901234567.5\", "
                "\"e\": \"NaN\", \"f\": \"123456789012345678901234567890\"}]");
    check_query(s.b,
                "SELECT '{\"x\": [1, null]}'::jsonb AS a, '\"s\"'::json AS b, "
                "'18446744073709551615'::jsonb AS c",
                "[{\"a\": {\"x\": [1, null]}, \"b\": \"s\", \"c\": \"18446744073709551615\"}]");
    /* one number that does not fit leaves the rest of the document as it is */
    check_query(s.b,
                "SELECT '{\"title\": \"a 18446744073709551615, {b\", \"n\": 18446744073709551615, "
                "\"e\": [true, false, null, -1.5, 9223372036854775807, -9223372036854775808, "
                "9223372036854775808, -9223372036854775809]}'::jsonb AS d",
                "[{\"d\": {\"title\": \"a 18446744073709551615, {b\", \"n\": "
                "\"18446744073709551615\", \"e\": [true, false, null, -1.5, 9223372036854775807, "
                "-9223372036854775808, 9223372036854775808.0, \"-9223372036854775809\"]}}]");
    check_query(
        s.b,
        "SELECT to_jsonb(1e21::float8) AS f, jsonb_build_object('x', 1e21::float8, 'z', 'e') "
        "AS g, '{\"a\": 1, \"a\": 1e-400}'::json AS h, 18446744073709551616::numeric AS i, "
        "'[1e400, 1E400, -1e400, 0e400]'::json AS j",
        "[{\"f\": 1e21, \"g\": {\"x\": 1e21, \"z\": \"e\"}, \"h\": {\"a\": 0.0}, "
        "\"i\": 18446744073709551616.0, \"j\": [\"1e400\", \"1E400\", \"-1e400\", 0.0]}]");
    check_query(s.b,
                "SELECT 'text' AS a, E'\\\\x01ff'::bytea AS b, ARRAY[1,2] AS c, "
                "DATE '2024-02-29' AS d",
                "[{\"a\": \"text\", \"b\": \"\\\\x01ff\", \"c\": \"{1,2}\", "
                "\"d\": \"2024-02-29\"}]");
    /* the store's own tables are meant, and nothing of this transaction is seen */
    item_done(new_item(s.b, "unseen", 1));
    check_query(s.b, "SELECT count(*) FROM newt WHERE state->>'name' = 'unseen'",
                "[{\"count\": 0}]");
    check_query(s.b,
                "SELECT count(*) FROM transaction t JOIN object_state o USING (serial) "
                "WHERE zoid <> 1",
                "[{\"count\": 25}]");
    commit(s.b);
    begin(s.b);
    check_query(s.b, "SELECT count(*) FROM newt WHERE state->>'name' = 'unseen'",
                "[{\"count\": 1}]");
    commit(s.b);
    store_close(&s);
}

static void
fails(newt_conn *c, const char *sql, int status, const char *sqlstate)
{
    json_t *rows = NULL;
    const newt_error *e;

    assert_int_equal(newt_query(c, &rows, sql, 0, NULL), status);
    assert_null(rows);
    e = newt_conn_error(c);
    assert_int_equal(newt_error_status(e), status);
    assert_string_equal(newt_error_sqlstate(e), sqlstate);
    assert_true(*newt_error_message(e));
}

/* A query that fails fails alone. */
/* A json column may hold what jansson refuses; that alone comes in another form. */
static void
test_query_json(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nb_NO.UTF-8"};
    static const char innermost[] = "{\"k\": \"]\\\"\"}";
    const char *set = NULL, *text;
    json_t *rows, *inner;
    size_t depth = 0;
    store s;

    (void)state;
    open_with_items(&s, "query_json");
    begin(s.b);
    check_query(
        s.b,
        "SELECT $${\"title\": \"t\", \"half\": \"a\\ud800b\", \"other\": \"\\udc00\\ud800\", "
        "\"pair\": \"\\ud83d\\ude00 \\\\ud800\", \"nul\": \"x\\u0000y\"}$$::json AS d",
        "[{\"d\": {\"title\": \"t\", \"half\": \"a\\\\ud800b\", \"other\": "
        "\"\\\\udc00\\\\ud800\", \"pair\": \"\\ud83d\\ude00 \\\\ud800\", "
        "\"nul\": \"x\\u0000y\"}}]");
    check_query(
        s.b,
        "SELECT $$[{\"a\\u0000b\" \t: \"\\u0000\", \"\\ud800\":1, \"\\\\u0000\":2}, 1e999]$$::json "
        "AS d",
        "[{\"d\": [{\"a\\\\u0000b\": \"\\u0000\", \"\\\\ud800\": 1, \"\\\\u0000\": 2}, "
        "\"1e999\"]}]");

    /* nested deeper than jansson goes: from there on its text */
    ok(s.b,
       newt_query(s.b, &rows,
                  "SELECT (repeat('[', 2500) || $${\"k\": \"]\\\"\"}$$ || repeat(']', 2500))::json "
                  "AS d",
                  0, NULL));
    for (inner = json_object_get(json_array_get(rows, 0), "d"); json_is_array(inner); depth++)
        inner = json_array_get(inner, 0);
    assert_int_equal(depth, 2047);
    assert_true(json_is_string(inner));
    text = json_string_value(inner);
    assert_int_equal(strlen(text), 2 * (2500 - 2047) + strlen(innermost));
    assert_memory_equal(text + 2500 - 2047, innermost, strlen(innermost));
    json_decref(rows);
    ok(s.b,
       newt_query(s.b, &rows, "SELECT (repeat('[', 2047) || '1' || repeat(']', 2047))::json AS d",
                  0, NULL));
    assert_true(json_is_array(json_object_get(json_array_get(rows, 0), "d")));
    json_decref(rows);

    /* whatever the program's locale has for a point */
    for (size_t i = 0; i < sizeof commas / sizeof *commas && !set; i++)
        set = setlocale(LC_ALL, commas[i]);
    print_message("# locale: %s\n", set ? set : "none with a comma is installed; C alone");
    check_query(s.b, "SELECT '{\"t\": 1.5, \"a\": 1.5e999, \"b\": [2.5e-3, 1e21]}'::json AS d",
                "[{\"d\": {\"t\": 1.5, \"a\": \"1.5e999\", \"b\": [2.5e-3, 1e21]}}]");
    setlocale(LC_ALL, "C");
    commit(s.b);
    store_close(&s);
}

static void
test_errors(void **state)
{
    char *plans;
    const char *params[1] = {"x"};
    newt_result *r;
    store s;

    (void)state;
    open_with_items(&s, "errors");
    begin(s.b);
    write_n(s.b, items[0], 100);
    fails(s.b, "SELEC 1", NEWT_ESQL, "42601");
    assert_string_equal(newt_error_detail(newt_conn_error(s.b)),
                        "At character 1 of the statement.");
    fails(s.b, "SELECT 1/0", NEWT_ESQL, "22012");
    fails(s.b, "SELECT * FROM nothing", NEWT_ESQL, "42P01");
    fails(s.b, "SELECT 1; SELECT 2", NEWT_ESQL, "42601"); /* one statement */
    fails(s.b, "", NEWT_EINVAL, "");
    fails(s.b, "SELECT $1", NEWT_ESQL, "08P01"); /* a parameter that is not there */
    fails(s.b, "DELETE FROM newt_projection", NEWT_ESQL, "25006"); /* read-only */
    fails(s.b, "CREATE TABLE t ()", NEWT_ESQL, "25006");
    assert_int_equal(newt_search(s.b, &r, "SELECT 'x'::text", 0, NULL), NEWT_EINVAL);
    assert_null(r);
    assert_int_equal(newt_search(s.b, &r, "SELECT zoid FROM newt WHERE zoid = $1", 1, params),
                     NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.b)), "22P02");
    assert_int_equal(newt_search(s.b, &r, NULL, 0, NULL), NEWT_EINVAL);
    assert_int_equal(newt_search(s.b, &r, "SELECT 1", 70000, params), NEWT_EINVAL);
    /* what a query sets does not stay */
    check_query(s.b, "SELECT set_config('newt_test.x', 'y', false) AS a", "[{\"a\": \"y\"}]");
    check_query(s.b, "SELECT nullif(current_setting('newt_test.x', true), '') AS a",
                "[{\"a\": null}]");
    /* queries are planned as the server would, our own statements are not */
    sql_do(s.pg, "RESET jit");
    plans = sql_text(s.pg, "SELECT json_build_array(json_build_object('a', "
                           "current_setting('enable_seqscan'), 'b', "
                           "current_setting('plan_cache_mode'), 'c', current_setting('jit')))");
    check_query(s.b,
                "SELECT current_setting('enable_seqscan') AS a, "
                "current_setting('plan_cache_mode') AS b, current_setting('jit') AS c",
                plans);
    free(plans);
    assert_int_equal(read_n(s.b, items[1]), 1);
    commit(s.b);
    assert_sql(s.pg, "100", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)items[0].any.oid);
    store_close(&s);
}

/* SQL that ends the transaction, or takes over the connection, is found out. */
static void
test_escapes(void **state)
{
    static const char *const sql[] = {"COMMIT", "ROLLBACK", "RELEASE SAVEPOINT newt",
                                      "COMMIT AND CHAIN"};
    json_t *rows;
    store s;

    (void)state;
    open_with_items(&s, "escapes");
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        begin(s.b);
        read_n(s.b, items[0]);
        assert_int_equal(newt_query(s.b, &rows, sql[i], 0, NULL), NEWT_EINVAL);
        assert_int_equal(newt_commit(s.b), NEWT_EINVAL);
    }
    begin(s.b);
    assert_int_not_equal(newt_query(s.b, &rows, "COPY newt_projection TO STDOUT", 0, NULL),
                         NEWT_OK);
    newt_abort(s.b);
    begin(s.b);
    assert_int_not_equal(newt_query(s.b, &rows, "COPY newt_class FROM STDIN", 0, NULL), NEWT_OK);
    newt_abort(s.b);
    begin(s.b);
    check_query(s.b, "SELECT 1 AS a", "[{\"a\": 1}]");
    /* our prepared statements may be gone; the next transaction has new ones */
    (void)!newt_query(s.b, &rows, "DEALLOCATE ALL", 0, NULL);
    newt_abort(s.b);
    for (int i = 0; i < 2; i++)
        if (newt_begin(s.b) == NEWT_OK) {
            (void)!item_read(s.b, items[2]);
            newt_abort(s.b);
        }
    begin(s.b);
    assert_int_equal(read_n(s.b, items[3]), 3);
    commit(s.b);
    store_close(&s);
}

static const struct CMUnitTest search[] = {
    cmocka_unit_test(test_search), cmocka_unit_test(test_page),
    cmocka_unit_test(test_query),  cmocka_unit_test(test_query_json),
    cmocka_unit_test(test_errors), cmocka_unit_test(test_escapes),
};

int
main(void)
{
    return run_all(search);
}
