/*
 * server_names.c - schemas, classes and fields of any name: what is quoted in one place and pasted
 * into a string in another is found by one of them
 */
#include "../brief.h"
#include "server.h"

#define SIXTY_THREE "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const char *const names[] = {
    "a'b",     "a\"b",    "a''b\"\"c", "two words",     " ",           "$1",
    "$x$",     "%s",      "%I%L%",     "a.b",           "\"a\".\"b\"", "MiXed",
    "größe",   "数据",    "select",    "user",          "table",       "a\\b",
    "a\\'b",   "@store@", "@literal@", "@incarnation@", "a;b",         "--",
    "/* a */", "E'x'",    "a\tb\nc",   "pg_temp",       "::text",      "{a,b}",
    "newt_x",  "null",    SIXTY_THREE,
};

static void
check(const char *schema, bool extension)
{
    newt_options o = {.size = sizeof o, .schema = schema};
    newt_progress p = {.size = sizeof p};
    newt_walk_options walk = {.size = sizeof walk};
    newt_result *found;
    newt_error *e = NULL;
    newt_conn *a, *b;
    newt_db *db;
    char *quoted;
    item_ref r;
    PGconn *pg = sql_open();

    if (newt_store_create(uri(), schema, &e) != NEWT_OK)
        fail_error(schema, e);
    newt_error_free(e);
    if (newt_db_open(&db, uri(), classes, &o) != NEWT_OK)
        fail_error(schema, newt_db_error(db));
    a = connect_(db);
    b = connect_(db);
    r = make_item(a, "x", 1);
    for (int i = 0; i < 2; i++) { /* one object, then several, described and current */
        begin(a);
        write_n(a, r, 2 + i);
        commit(a);
        begin(a);
        item_done(new_item(a, "y", i));
        write_n(a, r, 10 + i);
        ok(a, newt_describe(a, schema, schema, NULL));
        commit(a);
        begin(a);
        item_done(new_item(a, "z", i));
        ok(a, newt_read_current(a, r.any));
        commit(a);
    }
    /* a conflict, and the turn after it */
    begin(b);
    begin(a);
    assert_int_equal(read_n(a, r), 11);
    write_n(a, r, 12);
    write_n(b, r, 13);
    commit(b);
    assert_int_equal(newt_commit(a), NEWT_ECONFLICT);
    begin(a);
    ok(a, newt_prefetch_walk(a, &r.any, 1, &walk));
    assert_int_equal(read_n(a, r), 13);
    ok(a, newt_where(a, &found, "state->>'n' = '13'", 0, NULL));
    assert_int_equal(newt_result_size(found), 1);
    newt_result_free(found);
    commit(a);
    do
        ok(a, newt_project(a, schema, 100, &p));
    while (p.behind_us > 0 || p.transactions > 0);
    quoted = PQescapeIdentifier(pg, schema, strlen(schema));
    sql_do(pg, "SET search_path = %s, public", quoted);
    assert_sql(pg, "13", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    assert_sql(pg, "1", "SELECT count(*) FROM newt_follower");
    if (extension) {
        static const char *const calls[] = {
            "newt.create_text_index($1, 'Item', 'simple', 'name:A')",
            "newt.create_principals_index($1, 'Item', 'name')",
            "newt.create_field_index($1, 'Item', 'name', 'nocase')",
            "newt.create_path_index($1, 'Item', '{name}')",
            "newt.create_expression_index($1, 'Item', '(%s->''n'')')",
            "newt.indexes($1)",
            "newt.create_view($1, 'Item')",
            "newt.create_view($1, 'Item', $1)",
            "newt.store_version($1)",
            "newt.set_retention($1, '1 h')",
            "newt.prune($1)",
            "newt.freshness($1)",
            "newt.wait_for(1, '1 s', $1, (SELECT name FROM newt_follower))",
            "newt.health($1)",
            "newt.rejects_report($1)",
            "newt.set_projection($1, 'Item', 'virtual')",
            "newt.create_principals_index($1, 'Item', 'name')"};
        const char *params[] = {schema};

        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            char sql[200];
            PGresult *result;

            snprintf(sql, sizeof sql, "SELECT %s, $1", calls[i]);
            result = PQexecParams(pg, sql, 1, NULL, params, NULL, NULL, 0);
            if (PQresultStatus(result) != PGRES_TUPLES_OK)
                fail_msg("%s: %s: %s", schema, sql, PQerrorMessage(pg));
            PQclear(result);
        }
        assert_sql(pg, "13", "SELECT n FROM %s WHERE id = %lld", quoted, (long long)r.any.oid);
        assert_sql(pg, "13", "SELECT n FROM item WHERE id = %lld", (long long)r.any.oid);
    }
    newt_close(a);
    newt_close(b);
    newt_db_close(db);
    sql_do(pg, "DROP SCHEMA %s CASCADE", quoted);
    PQfreemem(quoted);
    PQfinish(pg);
}

static void
test_schemas(void **state)
{
    (void)state;
    for (int extension = 0; extension < 2; extension++) {
        use_database(extension);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strncmp(names[i], "pg_", 3) == 0) /* which PostgreSQL keeps for itself */
                continue;
            if (!brief() || i % 2 == (size_t)extension) /* half with the extension, half without */
                check(names[i], extension);
        }
    }
}

/* A class of this name, all of whose fields are called like one of the names, or like what the
 * projection and a view have themselves. */
static void
test_classes(void **state)
{
    static const char *const more[] = {
        "zoid",          "serial",        "state", "class_name", "ctid", "xmin",
        "tableoid",      "oid",           "id",    "u",          "p",    "*",
        SIXTY_THREE "1", SIXTY_THREE "2", "n"};
    enum {
        N = sizeof names / sizeof *names,
        MORE = sizeof more / sizeof *more
    };
    static const char *const indexes[] = {
        ("SELECT newt.create_field_index($1, $2, l.path[1])"
         "  FROM newt.class_layout($1, $2) l WHERE l.role = 'value'"),
        "SELECT newt.create_principals_index($1, $2, 'n')",
        "SELECT newt.create_text_index($1, $2, 'simple', 'n')",
        "SELECT newt.create_path_index($1, $2, ARRAY[$2])",
    };
    static newt_field fields[N + MORE];
    const char *params[3];

    (void)state;
    for (int i = 0; i < N + MORE; i++) {
        fields[i] = (newt_field){.name = i < N ? names[i] : more[i - N],
                                 .offset = (uint32_t)(i * sizeof(newt_text)),
                                 .size = sizeof(newt_text),
                                 .kind = NEWT_K_TEXT};
        if (strncmp(fields[i].name, "::", 2) == 0) /* ... which no field may begin with */
            fields[i].name = "text";
    }
    use_database(true);
    for (int i = 0; i < N; i += brief() ? 3 : 1) {
        newt_class k = {.class_size = sizeof k,
                        .field_size = sizeof(newt_field),
                        .size = sizeof(newt_text) * (N + MORE),
                        .name = names[i],
                        .version = 1,
                        .n_fields = N + MORE,
                        .fields = fields};
        const newt_class *list[] = {&k, NULL};
        newt_text *object;
        PGresult *r;
        store s;

        if (strncmp(names[i], "::", 2) == 0 || strncmp(names[i], "newt", 4) == 0)
            continue; /* names that classes cannot have */
        store_make(&s, "names");
        s.db = store_db(&s, list, (newt_options){0});
        s.a = connect_(s.db);
        s.b = connect_(s.db);
        begin(s.a);
        object = (newt_text *)newt_new(s.a, &k);
        assert_non_null(object);
        for (int f = 0; f < N + MORE; f++)
            assert_int_equal(newt_text_set((newt_object *)object, &object[f], fields[f].name),
                             NEWT_OK);
        commit(s.a);
        params[0] = s.schema;
        params[1] = names[i];
        params[2] = "the view";
        r = PQexecParams(s.pg, "SELECT newt.create_view($1, $2, $3)", 3, NULL, params, NULL, NULL,
                         0);
        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            fail_msg("%s: %s", names[i], PQerrorMessage(s.pg));
        PQclear(r);
        r = PQexec(s.pg, "SELECT * FROM \"the view\"");
        assert_int_equal(PQntuples(r), 1);
        assert_int_equal(PQnfields(r), 1 + N + MORE);
        for (int f = 0; f < N + MORE; f++)
            assert_string_equal(PQgetvalue(r, 0, 1 + f), fields[f].name);
        PQclear(r);
        sql_do(s.pg, "DROP VIEW \"the view\"");
        r = PQexecParams(s.pg, "SELECT newt.create_view($1, $2)", 2, NULL, params, NULL, NULL, 0);
        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            fail_msg("%s: %s", names[i], PQerrorMessage(s.pg));
        PQclear(r);
        /* an index on each field is enough for one class */
        for (int n = i == 0 ? 0 : 1; n < 4; n++) {
            r = PQexecParams(s.pg, indexes[n], 2, NULL, params, NULL, NULL, 0);
            if (PQresultStatus(r) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", names[i], PQerrorMessage(s.pg));
            PQclear(r);
        }
        r = PQexecParams(s.pg,
                         "SELECT count(DISTINCT purpose) FROM newt.indexes($1)"
                         " WHERE class_name = $2",
                         2, NULL, params, NULL, NULL, 0);
        assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
        assert_int_equal(atoi(PQgetvalue(r, 0, 0)), i == 0 ? 3 + N + MORE : 3);
        PQclear(r);
        store_close(&s);
    }
}

#define RECORD "'\\x83617801a1616e63c3bc62'::bytea" /* ["x", 1, {"n": "\u00fcb"}] */

/* A database of another encoding is refused before anything is made in it, and shows no text of a
 * record, which would read as something else there. */
static void
test_encodings(void **state)
{
    static const char *const encodings[] = {"SQL_ASCII", "LATIN1"};
    static const char *const readers[] = {
        "SELECT newt.to_jsonb(" RECORD ")",          "SELECT newt.try_to_jsonb(" RECORD ")",
        "SELECT newt.get(" RECORD ", 'n')",          "SELECT newt.get_text(" RECORD ", 'n')",
        "SELECT path FROM newt.rejects(" RECORD ")", "SELECT newt.class_name(" RECORD ")",
    };
    PGconn *pg;

    (void)state;
    *test_uri = 0;
    pg = sql_open();
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        newt_error *e = NULL;
        char there[300];
        PGconn *other;
        PGresult *r;

        sql_do(pg,
               "CREATE DATABASE other_%s ENCODING '%s' LOCALE 'C' "
               "LOCALE_PROVIDER libc TEMPLATE template0",
               encodings[i], encodings[i]);
        snprintf(there, sizeof there, "postgresql:///other_%s?host=%s&port=%s&user=%s",
                 strcmp(encodings[i], "LATIN1") == 0 ? "latin1" : "sql_ascii", getenv("PGHOST"),
                 getenv("PGPORT"), getenv("PGUSER"));
        assert_int_equal(newt_store_create(there, "s", &e), NEWT_ESTORE);
        assert_non_null(strstr(newt_error_message(e), encodings[i]));
        assert_non_null(strstr(newt_error_hint(e), "UTF8"));
        newt_error_free(e);
        other = PQconnectdb(there);
        PQclear(PQexec(other, "SET default_transaction_read_only = off; "
                              "SET standard_conforming_strings = on"));
        r = PQexec(other, "CREATE EXTENSION newt");
        if (PQresultStatus(r) == PGRES_COMMAND_OK) {
            PQclear(r);
            r = PQexec(other, "SELECT newt.create_store('s')");
            assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "0A000");
            assert_non_null(strstr(PQresultErrorMessage(r), encodings[i]));
            assert_non_null(strstr(PQresultErrorMessage(r), "HINT"));
            for (size_t k = 0; k < sizeof readers / sizeof *readers; k++) {
                PQclear(r);
                r = PQexec(other, readers[k]);
                if (PQresultStatus(r) == PGRES_TUPLES_OK)
                    fail_msg("%s in %s: %s", readers[k], encodings[i], PQgetvalue(r, 0, 0));
                assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "0A000");
                assert_non_null(strstr(PQresultErrorMessage(r), encodings[i]));
            }
        }
        PQclear(r);
        assert_sql(other, "0", "SELECT count(*) FROM pg_namespace WHERE nspname = 's'");
        PQfinish(other);
        sql_do(pg, "DROP DATABASE other_%s", encodings[i]);
    }
    PQfinish(pg);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_schemas),
    cmocka_unit_test(test_classes),
    cmocka_unit_test(test_encodings),
};

int
main(void)
{
    return run_all(tests);
}
