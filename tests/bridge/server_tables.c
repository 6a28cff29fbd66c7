/*
 * server_tables.c - typed tables, kept by commits: the same rows as the records and as the views
 */
#include "books.h"

/* ---- what a commit keeps ------------------------------------------------------------------- */

static void
test_kept(void **state)
{
    book_ref r[10];
    store s;

    (void)state;
    open_books(&s, "kept", (newt_options){0});
    begin(s.a);
    for (int i = 0; i < 5; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    create_table(&s, "Book"); /* those that were there */
    create_table(&s, "Shelf");
    assert_clean(&s, "Book");
    assert_sql(s.pg, "5 10 4",
               "SELECT (SELECT count(*) FROM book) || ' ' || "
               "(SELECT count(*) FROM book_pages) || ' ' || (SELECT count(*) FROM book_weights)");
    begin(s.a); /* new ones */
    for (int i = 5; i < 10; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    assert_sql(s.pg, "10", "SELECT count(*) FROM book");
    assert_sql(s.pg, "book 7|7000|2023-11-14 22:13:20.000007|{\"tag 0\",\"tag 1\",\"tag 2\"}",
               "SELECT concat_ws('|', name, words, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD "
               "HH24:MI:SS.US'), tags) FROM book WHERE id = %lld",
               (long long)r[7].any.oid);
    assert_sql(s.pg, "1|page 7|0,2|page 8|1",
               "SELECT string_agg(concat_ws('|', n, title, number), ',' ORDER BY n) "
               "FROM book_pages WHERE book_id = %lld",
               (long long)r[7].any.oid);
    assert_sql(s.pg, "key 0=3.5",
               "SELECT string_agg(key || '=' || value, ',' ORDER BY key) FROM book_weights WHERE "
               "book_id = %lld",
               (long long)r[7].any.oid);
    begin(s.b); /* changed: every collection grows or shrinks */
    for (int i = 0; i < 10; i++)
        change_book(s.b, r[i], 17 - i, r[0].any);
    commit(s.b);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "10", "SELECT count(*) FROM book_others WHERE others_id = %lld",
               (long long)r[0].any.oid);
    begin(s.b); /* the same again: nothing is written */
    for (int i = 0; i < 10; i++)
        change_book(s.b, r[i], 17 - i, r[1].any);
    commit(s.b);
    assert_sql(s.pg, "10", "SELECT count(*) FROM book_others WHERE others_id = %lld",
               (long long)r[1].any.oid);
    begin(s.a);
    for (int i = 0; i < 10; i += 2)
        ok(s.a, newt_delete(s.a, r[i].any));
    commit(s.a);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "5 5",
               "SELECT (SELECT count(*) FROM book) || ' ' || (SELECT count(DISTINCT book_id) FROM "
               "book_others)");
    store_close(&s);
}

/* Oids of more than 1,000 objects are in transaction_object; and only what is there is current. */
static void
test_large(void **state)
{
    enum {
        N = 2500
    };
    static book_ref r[N];
    store s;

    (void)state;
    open_books(&s, "large", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    for (int i = 0; i < N; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "2500", "SELECT count(*) FROM book");
    begin(s.a);
    for (int i = 0; i < N; i++)
        if (i % 3)
            change_book(s.a, r[i], i + 1, r[0].any);
        else
            ok(s.a, newt_delete(s.a, r[i].any));
    commit(s.a);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "1666", "SELECT count(*) FROM book");
    store_close(&s);
}

/* Commits that do without newt.at_commit() are served by the trigger. */
static void
test_trigger(void **state)
{
    book_ref one, two;
    store s;

    (void)state;
    open_books(&s, "trigger", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    one = make_book(s.a, 1);
    two = make_book(s.a, 2);
    commit(s.a);
    begin(s.a);
    ok(s.a, newt_read_current(s.a, two.any));
    change_book(s.a, one, 13, two.any);
    commit(s.a);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "13000", "SELECT words FROM book WHERE id = %lld", (long long)one.any.oid);
    sql_do(s.pg, "REVOKE EXECUTE ON FUNCTION newt.at_commit(regclass, bigint, bigint, bigint[], "
                 "bigint[], text, text, text, text[]) FROM PUBLIC");
    sql_do(s.pg, "CREATE ROLE %s_writer LOGIN", s.schema);
    sql_do(s.pg, "SELECT newt.grant_store('%s', '%s_writer', 'application')", s.schema, s.schema);
    {
        char writer_uri[400], role[100];
        newt_options o = {.size = sizeof o, .schema = s.schema};
        newt_db *db;
        newt_conn *c;

        snprintf(role, sizeof role, "%s_writer", s.schema);
        snprintf(writer_uri, sizeof writer_uri, "postgresql:///%s?host=%s&port=%s&user=%s",
                 test_database, getenv("PGHOST"), getenv("PGPORT"), role);
        assert_int_equal(newt_db_open(&db, writer_uri, books, &o), NEWT_OK);
        c = connect_(db);
        begin(c);
        change_book(c, one, 14, two.any);
        (void)make_book(c, 15);
        commit(c);
        newt_close(c);
        sql_do(s.pg, "GRANT EXECUTE ON FUNCTION newt.at_commit(regclass, bigint, bigint, bigint[], "
                     "bigint[], text, text, text, text[]) TO PUBLIC");
        c = connect_(db); /* with the rights of an application, which has none on the table */
        begin(c);
        change_book(c, two, 16, one.any);
        commit(c);
        newt_close(c);
        newt_db_close(db);
    }
    assert_clean(&s, "Book");
    assert_sql(s.pg, "14000,15000,16000",
               "SELECT string_agg(words::text, ',' ORDER BY words) FROM book");
    store_close(&s);
}

/* By who has to wait for the commit lock, too: nobody waits for tables under it. */
static void
test_before_the_lock(void **state)
{
    PGconn *pg;
    PGresult *r;
    int pid;
    store s;

    (void)state;
    open_books(&s, "before", (newt_options){0});
    begin(s.a);
    (void)make_book(s.a, 1);
    commit(s.a);
    create_table(&s, "Book");
    pg = sql_open();
    pid = PQbackendPID(pg);
    sql_do(pg, "SET search_path = %s, public", s.schema);
    sql_do(s.pg, "BEGIN");
    sql_do(s.pg, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    assert_true(PQsendQuery(pg, "SELECT newt.commit('transaction', 424242, 1, ARRAY[zoid], "
                                "ARRAY[serial], ARRAY[state], true, NULL, NULL) FROM object_state "
                                "WHERE newt.class_name(state) = 'Book'"));
    wait_until(sql_int(s.pg,
                       "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %d AND "
                       "relation = 'newt_commit_lock'::regclass",
                       pid) == 1);
    assert_sql(s.pg, "1",
               "SELECT count(*) FROM pg_locks WHERE granted AND pid = %d AND "
               "relation = 'book'::regclass AND mode = 'RowExclusiveLock'",
               pid);
    sql_do(s.pg, "COMMIT");
    r = PQgetResult(pg);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    PQfinish(pg);
    assert_clean(&s, "Book");
    store_close(&s);
}

/* ---- refused ------------------------------------------------------------------------------- */

static void
test_refused(void **state)
{
    char object[40];
    book_ref one, two;
    store s;

    (void)state;
    open_books(&s, "refused", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    one = make_book(s.a, 1);
    two = make_book(s.a, 2);
    commit(s.a);
    sql_do(s.pg, "ALTER TABLE book ADD CONSTRAINT short CHECK (words < 100000)");
    sql_do(s.pg, "ALTER TABLE book ADD UNIQUE (name)");
    sql_do(s.pg, "ALTER TABLE book_pages ADD CONSTRAINT titled CHECK (title <> 'page 44')");
    snprintf(object, sizeof object, "object %lld", (long long)one.any.oid);
    begin(s.a);
    change_book(s.a, two, 3, (newt_ref){0});
    change_book(s.a, one, 200, (newt_ref){0});
    assert_refused(s.a, "23514", (const char *const[]){"book", object, "\"short\"", NULL});
    begin(s.a);
    change_book(s.a, one, 2, (newt_ref){0});
    assert_refused(s.a, "23505", (const char *const[]){"book", object, "book_name_key", NULL});
    begin(s.a);
    change_book(s.a, one, 44, (newt_ref){0});
    assert_refused(s.a, "23514", (const char *const[]){"book_pages", object, "\"titled\"", NULL});
    begin(s.a); /* a new one among many */
    for (int i = 0; i < 300; i++)
        (void)make_book(s.a, i == 150 ? 150 : 1000 + i);
    assert_refused(s.a, "23514", (const char *const[]){"book", "\"short\"", NULL});
    assert_clean(&s, "Book");
    assert_sql(s.pg, "book 1,book 2", "SELECT string_agg(name, ',' ORDER BY id) FROM book");
    assert_sql(s.pg, "2",
               "SELECT count(*) FROM object_state WHERE newt.class_name(state) = 'Book'");
    store_close(&s);
}

/* People read; what they write is refused with a reason. */
static void
test_read_only(void **state)
{
    PGresult *r;
    store s;

    (void)state;
    open_books(&s, "read_only", (newt_options){0});
    begin(s.a);
    (void)make_book(s.a, 1);
    commit(s.a);
    create_table(&s, "Book");
    for (int i = 0; i < 3; i++) {
        static const char *const statements[] = {"UPDATE book SET words = 1",
                                                 "DELETE FROM book_pages", "TRUNCATE book CASCADE"};

        r = PQexec(s.pg, statements[i]);
        assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "55000");
        assert_non_null(strstr(PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL),
                               "computed from the state records"));
        PQclear(r);
    }
    assert_clean(&s, "Book");
    store_close(&s);
}

/* The DBA may add columns, also generated ones, and rename or drop ours. */
static void
test_columns(void **state)
{
    book_ref r;
    store s;

    (void)state;
    open_books(&s, "columns", (newt_options){0});
    create_table(&s, "Book");
    sql_do(s.pg, "ALTER TABLE book ADD note text, ADD initial text GENERATED ALWAYS AS (left(name, "
                 "1)) STORED");
    sql_do(s.pg, "CREATE INDEX ON book (lower(name))");
    begin(s.a);
    r = make_book(s.a, 1);
    commit(s.a);
    sql_do(s.pg, "ALTER TABLE book DISABLE TRIGGER USER");
    sql_do(s.pg, "UPDATE book SET note = 'mine'");
    sql_do(s.pg, "ALTER TABLE book ENABLE TRIGGER USER");
    sql_do(s.pg, "ALTER TABLE book RENAME words TO n_words");
    sql_do(s.pg, "ALTER TABLE book DROP at");
    begin(s.a);
    change_book(s.a, r, 7, (newt_ref){0});
    commit(s.a);
    assert_sql(s.pg, "book 7|mine|b|1000",
               "SELECT concat_ws('|', name, note, initial, n_words) FROM book WHERE lower(name) = "
               "'book 7'");
    assert_clean(&s, "Book");
    sql_do(s.pg, "DROP TABLE book CASCADE"); /* commits go on */
    begin(s.a);
    change_book(s.a, r, 8, (newt_ref){0});
    commit(s.a);
    store_close(&s);
}

/* ---- every kind ---------------------------------------------------------------------------- */

/* Views that go on computing their columns from the JSONB: without its mark none is switched to the
 * typed table. */
static void
make_views(const store *s, const char *class_name)
{
    sql_do(s->pg, "DROP SCHEMA IF EXISTS views CASCADE; CREATE SCHEMA views");
    sql_do(s->pg, "SELECT newt.create_view('%s', '%s', NULL, 'views')", s->schema, class_name);
    sql_do(s->pg, "DO $$ DECLARE v regclass; BEGIN FOR v IN SELECT oid FROM pg_class WHERE "
                  "relnamespace = 'views'::regnamespace LOOP EXECUTE format('COMMENT ON VIEW %%s "
                  "IS NULL', v); "
                  "END LOOP; END $$");
}

/* A view made before the table computes its columns from the JSONB. Bytes that this only counts are
 * left out. */
static void
assert_as_view(const store *s, const char *class_name, const char *name)
{
    char *differ = sql_text(
        s->pg,
        "SELECT string_agg(format('%%s: %%s', t.relation, d.n), ', ') FROM newt_table t, LATERAL ("
        "  SELECT string_agg(quote_ident(x.c->>'column_name'), ', ' ORDER BY x.c->>'column_name') "
        "AS list"
        "    FROM jsonb_array_elements(t.columns) x (c) WHERE x.c->>'kind' <> 'bytes') l, LATERAL ("
        "  SELECT (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM ((SELECT "
        "%%1$s FROM "
        "     %%2$s EXCEPT ALL SELECT %%1$s FROM %%3$s) UNION ALL (SELECT %%1$s FROM %%3$s EXCEPT "
        "ALL SELECT %%1$s "
        "     FROM %%2$s)) d', l.list, t.relation, 'views.' || replace(t.relation::text, '%s', "
        "'%s')), "
        "     true, true, '')))[1]::text::int AS n) d WHERE t.class_name = '%s' AND d.n > 0",
        name, name, class_name);

    assert_string_equal(differ, "");
    free(differ);
    assert_sql(
        s->pg, "t",
        "SELECT bool_and(definition ~ 'newt_projection') FROM pg_views WHERE schemaname = 'views'");
}

static void
test_everything(void **state)
{
    enum {
        N = 200
    };
    static everything_ref refs[N];
    generate g;
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    use_database(true);
    store_make(&s, "everything");
    db = store_db(&s, everything_classes, (newt_options){0});
    c = connect_(db);
    generate_init(&g, generate_seed());
    for (int round = 0; round < 4; round++) {
        begin(c);
        for (int i = round * N / 4; i < (round + 1) * N / 4; i++) {
            struct everything *e = everything_new(c);

            everything_fill(&g, e);
            refs[i] = everything_id(e);
            everything_done(e);
        }
        commit(c);
        if (round == 1) {
            make_views(&s, "Everything");
            create_table(&s, "Everything");
        }
    }
    assert_clean(&s, "Everything");
    assert_as_view(&s, "Everything", "everything");
    assert_sql(s.pg, "200", "SELECT count(*) FROM everything");
    for (int i = 0; i < N; i++) {
        begin(c);
        if (i % 3) {
            struct everything *e = everything_write(c, refs[i]);

            assert_non_null(e);
            random_scalars(&(filler){&g, (newt_object *)e}, e);
            everything_done(e);
        } else {
            ok(c, newt_delete(c, refs[i].any));
        }
        commit(c);
    }
    assert_clean(&s, "Everything");
    assert_as_view(&s, "Everything", "everything");
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* Records that no program of ours has written, and damaged ones. Fields of any kind and shape are
 * looked for in them: nothing comes of it but rows, and views can be made and read. */
static void
test_hostile(void **state)
{
    enum {
        RECORDS = 1500,
        LAYOUTS = 6
    };
    generate g;
    store s;

    (void)state;
    open_books(&s, "hostile", (newt_options){0});
    generate_init(&g, generate_seed());
    sql_do(s.pg, "BEGIN");
    for (int i = 0; i < RECORDS; i++) {
        newt__writer w = {.buf.env = &newt__malloc_env};
        char number[24];
        const char *values[] = {number, NULL};
        int lengths[] = {0, 0}, formats[] = {0, 1};
        PGresult *r;

        if (generate_record(&g, &w, "Named") == NEWT__OK) {
            snprintf(number, sizeof number, "%d", 100000 + i);
            if (i % 8 == 0)
                w.buf.n -= 1 + generate_below(&g, w.buf.n - 1);
            if (i % 8 == 1)
                w.buf.data[generate_below(&g, w.buf.n)] ^= (uint8_t)(1 + generate_below(&g, 255));
            values[1] = (const char *)w.buf.data;
            lengths[1] = (int)w.buf.n;
            r = PQexecParams(s.pg,
                             "INSERT INTO object_state (zoid, serial, state) VALUES ($1::bigint, "
                             "77, $2::bytea)",
                             2, NULL, values, lengths, formats, 0);
            assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
            PQclear(r);
        }
        newt__writer_free(&w);
    }
    sql_do(s.pg, "COMMIT");
    sql_do(s.pg, "INSERT INTO newt_projection SELECT zoid, newt.class_name(state), serial, "
                 "newt.to_jsonb(state) FROM object_state WHERE zoid >= 100000 AND "
                 "newt.try_to_jsonb(state) IS NOT NULL");
    for (int i = 0; i < LAYOUTS; i++) {
        sql_do(s.pg,
               "INSERT INTO newt_class (name, version, fields) SELECT 'Named', %d, jsonb_agg("
               "jsonb_strip_nulls(jsonb_build_object('name', key, 'kind', (ARRAY['bool', 'int', "
               "'float', 'text', 'time', 'duration', 'date', 'uuid', 'decimal', 'json', 'ref', "
               "'weak'])[1 + (n * 5 + %d) %% 12], 'bits', 64, 'shape', (ARRAY[NULL, 'list', NULL, "
               "'set', "
               "'map'])[1 + (n + %d) %% 5]))) FROM (SELECT key, row_number() OVER (ORDER BY "
               "count(*) DESC, key COLLATE \"C\")::integer AS n FROM newt_projection p, "
               "jsonb_object_keys(p.state) key WHERE p.class_name = 'Named' AND "
               "jsonb_typeof(p.state) = 'object' AND key !~ '^::' AND key <> '' GROUP BY 1 "
               "ORDER BY 2 LIMIT 40) k",
               i + 1, i, i);
        make_views(&s, "Named");
        create_table(&s, "Named");
        assert_clean(&s, "Named");
        assert_sql(s.pg, "t", "SELECT count(*) > 500 FROM named");
        assert_sql(s.pg, "t", "SELECT (SELECT count(*) FROM named) = count(*) FROM views.named");
        sql_do(s.pg, "CALL newt.drop_table('%s', 'Named')", s.schema);
    }
    store_close(&s);
}

/* ---- the class changes --------------------------------------------------------------------- */

static void
class_fields(const store *s, int version, const char *fields)
{
    sql_do(s->pg, "INSERT INTO newt_class (name, version, fields) VALUES ('Changing', %d, '%s')",
           version, fields);
}

/* An object by its record's bytes, and a transaction that tells of it. */
static void
put_record(const store *s, int64_t oid, const char *hex)
{
    sql_do(s->pg,
           "BEGIN; INSERT INTO object_state (zoid, serial, state) VALUES (%lld, 5, '\\x%s') ON "
           "CONFLICT (zoid) "
           "DO UPDATE SET state = excluded.state; INSERT INTO transaction (tid, serial, nonce, "
           "written, removed) SELECT max(tid) + 1, "
           "max(serial) + 1, 0, '{%lld}', '{}' FROM transaction; COMMIT",
           (long long)oid, hex, (long long)oid);
}

/* A field that is new, of another kind, without a use, or not projected any more; a collection. */
static void
test_class_changes(void **state)
{
    /* ["Changing", 1, {"a": 1, "b": "x"}], ["Changing", 2, {"a": "one", "b": "x", "c": [true], "d":
     * {"k": 2}}] */
    static const char old[] = "83684368616e67696e6701a261610161626178",
                      new[] = "83684368616e67696e6702a46161636f6e65616261786163"
                              "81f56164a1616b02";
    store s;

    (void)state;
    open_books(&s, "changes", (newt_options){0});
    class_fields(&s, 1,
                 "[{\"name\": \"a\", \"kind\": \"int\", \"bits\": 32}, {\"name\": \"b\", \"kind\": "
                 "\"text\"}]");
    put_record(&s, 5001, old);
    create_table(&s, "Changing");
    assert_sql(s.pg, "5001|1|x", "SELECT concat_ws('|', id, a, b) FROM changing");
    class_fields(&s, 2,
                 "[{\"name\": \"a\", \"kind\": \"text\"}, {\"name\": \"c\", \"kind\": \"bool\", "
                 "\"shape\": \"list\"}, "
                 "{\"name\": \"d\", \"kind\": \"int\", \"bits\": 64, \"shape\": \"map\"}]");
    put_record(&s, 5002, new);
    assert_clean(&s, "Changing");
    sql_do(s.pg, "CALL newt.refresh_table('%s', 'Changing')", s.schema);
    assert_clean(&s, "Changing");
    assert_sql(s.pg, "5001|x;5002|one|x|{t}",
               "SELECT string_agg(concat_ws('|', id, a, b, c), ';' ORDER BY id) FROM changing");
    assert_sql(s.pg, "5002|k|2", "SELECT concat_ws('|', changing_id, key, value) FROM changing_d");
    put_record(&s, 5001, new);
    assert_sql(s.pg, "5001 5002",
               "SELECT string_agg(changing_id::text, ' ' ORDER BY changing_id) FROM changing_d");
    class_fields(&s, 3,
                 "[{\"name\": \"b\", \"kind\": \"text\", \"skip\": true}, {\"name\": \"d\", "
                 "\"kind\": \"int\", \"bits\": 64, \"shape\": \"map\", "
                 "\"skip\": true}]");
    sql_do(s.pg, "CALL newt.refresh_table('%s', 'Changing')", s.schema);
    assert_clean(&s, "Changing");
    assert_sql(s.pg, "id a c",
               "SELECT string_agg(attname, ' ' ORDER BY attname <> 'id', attname) FROM "
               "pg_attribute WHERE attrelid = 'changing'::regclass "
               "AND attnum > 0 AND NOT attisdropped");
    assert_sql(s.pg, "t", "SELECT to_regclass('changing_d') IS NULL");
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt.refresh_table_steps('%s', 'Changing')",
               s.schema);
    sql_do(s.pg, "CALL newt.drop_table('%s', 'Changing')", s.schema);
    assert_sql(s.pg, "0 0",
               "SELECT (SELECT count(*) FROM newt_table) || ' ' || (SELECT count(*) FROM "
               "pg_trigger WHERE tgname = 'newt_keep_tables' AND "
               "tgrelid = 'transaction'::regclass)");
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_kept),
    cmocka_unit_test(test_large),
    cmocka_unit_test(test_before_the_lock),
    cmocka_unit_test(test_trigger),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_columns),
    cmocka_unit_test(test_class_changes),
    cmocka_unit_test(test_everything),
    cmocka_unit_test(test_hostile),
};

int
main(void)
{
    return run_all(tests);
}
