/*
 * server_tables_dba.c - what a DBA does to typed tables, also beside four writers
 */
#include "books.h"

/* The same in another case. */
struct loud {
    int64_t n;
};
NEWT_DECLARE(loud);
NEWT_CLASS(loud, "BOOK", 1, NULL, NEWT_FIELD(struct loud, n));

/* ---- what the DBA does --------------------------------------------------------------------- */

/* Objects change places, and hand on what is unique: what counts is how they are at the end. */
static void
test_unique(void **state)
{
    static const char *const constraints[] = {
        "UNIQUE (name)", "UNIQUE (name) DEFERRABLE INITIALLY DEFERRED",
        "EXCLUDE USING hash (name WITH =)",
        "EXCLUDE USING btree (lower(name) WITH =) WHERE (name > '') DEFERRABLE"};
    enum {
        N = 700,     /* more than are written together */
        LARGE = 2500 /* more than stand in the transaction's row */
    };
    static book_ref r[LARGE];
    store s;

    (void)state;
    open_books(&s, "unique", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    for (int i = 0; i < N; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    sql_do(s.pg, "ALTER TABLE book_pages ADD UNIQUE (book_id, title)");
    for (size_t k = 0; k < sizeof constraints / sizeof *constraints; k++) {
        const char *code = strstr(constraints[k], "EXCLUDE") ? "23P01" : "23505";

        sql_do(s.pg, "ALTER TABLE book ADD CONSTRAINT one_name %s", constraints[k]);
        begin(s.a); /* the first ones have the last ones' names */
        for (int i = 0; i < N; i++)
            change_book(s.a, r[i], k % 2 ? i : N - 1 - i, (newt_ref){0});
        commit(s.a);
        begin(s.a); /* a new one has that of one that goes, and that one's of another */
        ok(s.a, newt_delete(s.a, r[5].any));
        change_book(s.a, r[0], k % 2 ? 5 : N - 6, (newt_ref){0});
        r[5] = make_book(s.a, k % 2 ? 0 : N - 1);
        commit(s.a);
        assert_clean(&s, "Book");
        begin(s.a);
        change_book(s.a, r[7], 10, (newt_ref){0});
        change_book(s.a, r[8], 10, (newt_ref){0});
        assert_refused(s.a, code, (const char *const[]){"book", "object", "\"one_name\"", NULL});
        begin(s.a);
        (void)make_book(s.a, 10);
        assert_refused(s.a, code, (const char *const[]){"book", "object", "\"one_name\"", NULL});
        begin(s.a);
        change_book(s.a, r[0], k % 2 ? 0 : N - 1, (newt_ref){0});
        change_book(s.a, r[5], k % 2 ? 5 : N - 6, (newt_ref){0});
        commit(s.a);
        assert_clean(&s, "Book");
        assert_sql(s.pg, "0",
                   "SELECT count(*) FROM book b, LATERAL (SELECT count(*) AS n FROM book o "
                   "WHERE o.name = b.name) x WHERE x.n <> 1"); /* the index leads to each */
        sql_do(s.pg, "ALTER TABLE book DROP CONSTRAINT one_name");
    }
    sql_do(s.pg, "ALTER TABLE book ADD UNIQUE (name)");
    begin(s.a);
    for (int i = N; i < LARGE; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < LARGE; i++)
        change_book(s.a, r[i], LARGE - i, (newt_ref){0});
    commit(s.a);
    assert_clean(&s, "Book");
    sql_do(s.pg, "UPDATE newt_table SET filled = false");
    sql_do(s.pg, "SELECT newt.tables_changed('newt_table')");
    begin(s.a); /* one that is made before another gives its name up, while the table is filled */
    change_book(s.a, r[2], 9000, (newt_ref){0});
    change_book(s.a, r[1], LARGE - 2, (newt_ref){0});
    r[0] = make_book(s.a, LARGE - 1);
    commit(s.a);
    begin(s.a);
    (void)make_book(s.a, 9000);
    assert_refused(s.a, "23505", (const char *const[]){"book", "object", "book_name_key", NULL});
    assert_clean(&s, "Book");
    sql_do(s.pg, "CREATE EXTENSION IF NOT EXISTS amcheck");
    assert_sql(s.pg, "",
               "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid "
               "= i.indexrelid WHERE i.indrelid = 'book'::regclass AND c.relam = 403");
    store_close(&s);
}

/* Columns of the DBA's own have their defaults, a partition its bounds, a type its length. */
static void
test_dba(void **state)
{
    book_ref r;
    store s;

    (void)state;
    open_books(&s, "dba", (newt_options){0});
    create_table(&s, "Book");
    sql_do(s.pg,
           "ALTER TABLE book ADD seen timestamptz NOT NULL DEFAULT now(), ADD number int "
           "GENERATED ALWAYS AS IDENTITY, ADD source text NOT NULL DEFAULT repeat('x', 9000), "
           "ADD pair int[] DEFAULT '{1,2}'");
    sql_do(s.pg, "ALTER TABLE book_pages ADD mine text NOT NULL DEFAULT 'a page'");
    begin(s.a);
    for (int i = 0; i < 250; i++)
        r = make_book(s.a, i);
    commit(s.a);
    assert_sql(s.pg, "250|250|9000|2",
               "SELECT concat_ws('|', count(DISTINCT number), count(seen), min(length(source)), "
               "min(cardinality(pair))) FROM book");
    assert_sql(s.pg, "a page", "SELECT DISTINCT mine FROM book_pages");
    begin(s.a); /* what it has it keeps */
    change_book(s.a, r, 251, (newt_ref){0});
    commit(s.a);
    assert_sql(s.pg, "250|9000", "SELECT number || '|' || length(source) FROM book WHERE id = %lld",
               (long long)r.any.oid);
    assert_clean(&s, "Book");
    sql_do(s.pg, "UPDATE newt_table SET filled = false");
    sql_do(s.pg, "SELECT newt.tables_changed('newt_table')");
    begin(s.a);
    r = make_book(s.a, 300);
    commit(s.a);
    assert_sql(s.pg, "251|9000", "SELECT number || '|' || length(source) FROM book WHERE id = %lld",
               (long long)r.any.oid);
    sql_do(s.pg, "UPDATE newt_table SET filled = true");
    sql_do(s.pg, "SELECT newt.tables_changed('newt_table')");
    /* a column that cannot hold what we would write is not ours */
    sql_do(s.pg, "ALTER TABLE book ALTER at TYPE timestamptz(0)");
    begin(s.a);
    change_book(s.a, r, 301, (newt_ref){0});
    commit(s.a);
    assert_sql(
        s.pg, "20231114 221320",
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD HH24MISS') FROM book WHERE id = %lld",
        (long long)r.any.oid);
    sql_do(s.pg, "ALTER TABLE book DROP words");
    sql_do(s.pg, "ALTER TABLE book ADD words bigint GENERATED ALWAYS AS (id) STORED");
    begin(s.a);
    change_book(s.a, r, 302, (newt_ref){0});
    commit(s.a);
    assert_sql(s.pg, "t", "SELECT words = id FROM book WHERE id = %lld", (long long)r.any.oid);
    /* one part of a table that the DBA has made of many */
    sql_do(s.pg, "CREATE TABLE all_books (LIKE book INCLUDING GENERATED) PARTITION BY LIST (name)");
    sql_do(s.pg, "ALTER TABLE all_books ALTER number DROP NOT NULL");
    sql_do(s.pg, "ALTER TABLE book ALTER number DROP IDENTITY, ALTER number DROP NOT NULL");
    sql_do(s.pg, "CREATE TABLE other_books PARTITION OF all_books FOR VALUES IN ('book 44444')");
    sql_do(s.pg, "ALTER TABLE all_books ATTACH PARTITION book DEFAULT");
    begin(s.a);
    change_book(s.a, r, 44444, (newt_ref){0});
    assert_refused(s.a, "23514", (const char *const[]){"book", "object", "partition", NULL});
    begin(s.a);
    (void)make_book(s.a, 44444);
    assert_refused(s.a, "23514", (const char *const[]){"book", "object", "partition", NULL});
    begin(s.a);
    change_book(s.a, r, 303, (newt_ref){0});
    commit(s.a);
    assert_clean(&s, "Book");
    store_close(&s);
}

/* What PostgreSQL 18 added: columns that are computed where they are read, but checked when they
 * are written, and keys that are ranges. */
static void
test_of_18(void **state)
{
    book_ref r[2];
    store s;

    (void)state;
    open_books(&s, "of_18", (newt_options){0});
    if (PQserverVersion(s.pg) < 180000) {
        store_close(&s);
        skip();
    }
    create_table(&s, "Book");
    sql_do(s.pg,
           "ALTER TABLE book ADD half bigint GENERATED ALWAYS AS (nullif(words::bigint, 4000) / 2) "
           "VIRTUAL NOT NULL CONSTRAINT small CHECK (half < 2500)");
    sql_do(s.pg, "ALTER TABLE book ADD key int8range GENERATED ALWAYS AS (int8range(words::bigint, "
                 "words::bigint, '[]')) STORED, ADD span int8range DEFAULT '[1,2)', "
                 "ADD CONSTRAINT one_key UNIQUE (key, span WITHOUT OVERLAPS)");
    begin(s.a);
    r[0] = make_book(s.a, 1);
    r[1] = make_book(s.a, 2);
    commit(s.a);
    for (int i = 0; i < 2; i++) { /* they change places */
        begin(s.a);
        change_book(s.a, r[i], 2, (newt_ref){0});
        change_book(s.a, r[!i], 1, (newt_ref){0});
        commit(s.a);
    }
    assert_sql(s.pg, "500,1000", "SELECT string_agg(half::text, ',' ORDER BY half) FROM book");
    for (int isnew = 0; isnew < 2; isnew++) {
        static const struct {
            int n;
            const char *code, *word;
        } refused[] = {{2, "23P01", "one_key"}, {4, "23502", "half"}, {5, "23514", "small"}};

        for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
            begin(s.a);
            if (isnew)
                (void)make_book(s.a, refused[k].n);
            else
                change_book(s.a, r[0], refused[k].n, (newt_ref){0});
            if (!isnew && refused[k].n == 2)
                change_book(s.a, r[1], 2, (newt_ref){0});
            assert_refused(s.a, refused[k].code,
                           (const char *const[]){"book", "object", refused[k].word, NULL});
        }
    }
    assert_clean(&s, "Book");
    store_close(&s);
}

/* Beside commits, or between them: the table is made anew, as a whole or its indexes. */
static void
test_made_anew(void **state)
{
    static const char *const statements[] = {
        "CLUSTER book USING book_pkey",
        "VACUUM (FULL, ANALYZE) book",
        "REINDEX TABLE CONCURRENTLY book",
        "REINDEX TABLE CONCURRENTLY book_pages",
        "CREATE UNIQUE INDEX CONCURRENTLY one_name ON book (name)",
        "ALTER TABLE book SET (fillfactor = 50)",
        "CREATE INDEX ON book USING brin (words)",
        "CREATE INDEX ON book USING hash (name)",
        "CREATE INDEX ON book USING gin (tags)",
        "CREATE INDEX ON book USING gist (tstzrange(at, NULL))",
        "CREATE INDEX ON book USING spgist (name)",
        "ALTER TABLE book ALTER name SET STORAGE external",
        "ALTER TABLE book SET TABLESPACE pg_default",
        "ALTER TABLE book ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE book FORCE ROW LEVEL SECURITY",
        "CREATE TABLE more_books () INHERITS (book)",
        "CREATE STATISTICS book_names (mcv) ON name, words FROM book",
        "ALTER TABLE book CLUSTER ON one_name",
        "CLUSTER book",
        "ALTER TABLE book RENAME TO \"Bücher\"",
    };
    enum {
        N = 300
    };
    book_ref r[N];
    store s;

    (void)state;
    open_books(&s, "anew", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    for (int i = 0; i < N; i++)
        r[i] = make_book(s.a, i);
    commit(s.a);
    for (size_t k = 0; k < sizeof statements / sizeof *statements; k++) {
        sql_do(s.pg, "%s", statements[k]);
        begin(s.b);
        for (int i = 0; i < N; i += 7)
            change_book(s.b, r[i], N + (int64_t)k * N + i, (newt_ref){0});
        commit(s.b);
        assert_clean(&s, "Book");
    }
    store_close(&s);
}

/* Policies hide rows from readers, by the view too, and stop no commit. What would be overlooked
 * when rows are compared is an error. */
static void
test_policies(void **state)
{
    PGresult *r;
    store s;

    (void)state;
    open_books(&s, "policies", (newt_options){0});
    sql_do(s.pg, "CREATE ROLE %s_reader", s.schema);
    sql_do(s.pg, "SELECT newt.grant_store('%s', '%s_reader', 'reader')", s.schema, s.schema);
    create_table(&s, "Book");
    sql_do(s.pg, "CREATE SCHEMA %s_views", s.schema);
    sql_do(s.pg, "SELECT newt.create_view('%s', 'Book', schema_name => '%s_views')", s.schema,
           s.schema);
    sql_do(s.pg, "GRANT USAGE ON SCHEMA %s_views TO %s_reader", s.schema, s.schema);
    sql_do(s.pg, "GRANT SELECT ON %s_views.book TO %s_reader", s.schema, s.schema);
    sql_do(s.pg, "SET row_security = on");
    sql_do(s.pg, "ALTER TABLE book ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    sql_do(s.pg, "CREATE POLICY few ON book USING (words < 3000)");
    begin(s.a);
    for (int i = 0; i < 10; i++)
        (void)make_book(s.a, i);
    commit(s.a);
    assert_clean(&s, "Book");
    assert_sql(s.pg, "10", "SELECT count(*) FROM book");
    sql_do(s.pg, "SET ROLE %s_reader", s.schema);
    assert_sql(s.pg, "3", "SELECT count(*) FROM book");
    assert_sql(s.pg, "3", "SELECT count(*) FROM %s_views.book", s.schema);
    r = PQexec(s.pg, "SELECT * FROM newt.check_table(current_schema(), 'Book')");
    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "42501");
    assert_non_null(strstr(PQresultErrorMessage(r), "row-level security"));
    PQclear(r);
    sql_do(s.pg, "RESET ROLE");
    sql_do(s.pg, "CALL newt.fill_table('%s', 'Book')", s.schema);
    assert_sql(s.pg, "on", "SHOW row_security");
    store_close(&s);
}

/* A name that differs in case alone is another class, whose table needs another name. */
static void
test_same_name(void **state)
{
    const newt_class *const both[] = {&book_class, &shelf_class, &loud_class, NULL};
    newt_conn *c;
    newt_db *db;
    PGresult *r;
    char sql[200];
    store s;

    (void)state;
    open_books(&s, "same_name", (newt_options){0});
    db = store_db(&s, both, (newt_options){0});
    c = connect_(db);
    create_table(&s, "Book");
    snprintf(sql, sizeof sql, "CALL newt.create_table('%s', 'BOOK')", s.schema);
    r = PQexec(s.pg, sql);
    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "42P07");
    assert_non_null(strstr(PQresultErrorField(r, PG_DIAG_MESSAGE_HINT), "table_name => 'book_2'"));
    PQclear(r);
    sql_do(s.pg, "CALL newt.create_table('%s', 'BOOK', table_name => 'book_2')", s.schema);
    begin(c);
    loud_new(c)->n = 5;
    (void)make_book(c, 1);
    commit(c);
    assert_clean(&s, "Book");
    assert_clean(&s, "BOOK");
    assert_sql(s.pg, "1 5", "SELECT (SELECT count(*) FROM book) || ' ' || n FROM book_2");
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- beside writers ------------------------------------------------------------------------ */

typedef struct writer {
    pthread_t thread;
    newt_db *db;
    book_ref *shared;
    int n_shared;
    uint64_t seed;
    bool stop, failed;
    int64_t commits;
} writer;

static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = connect_(w->db);
    book_ref own[50] = {{{0}}};
    generate g;

    generate_init(&g, w->seed);
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED) && !w->failed) {
        int k = (int)generate_below(&g, 50);
        int status = newt_begin(c);

        if (status == NEWT_OK && own[k].any.oid && generate_below(&g, 3) == 0) {
            status = newt_delete(c, own[k].any);
            own[k].any.oid = 0;
        } else if (status == NEWT_OK && own[k].any.oid) {
            change_book(c, own[k], (int64_t)generate_below(&g, 1000), (newt_ref){0});
        } else if (status == NEWT_OK) {
            own[k] = make_book(c, (int64_t)generate_below(&g, 1000));
        }
        if (status == NEWT_OK) /* one that others write to as well */
            change_book(c, w->shared[generate_below(&g, (uint64_t)w->n_shared)],
                        (int64_t)generate_below(&g, 1000), (newt_ref){0});
        if (status == NEWT_OK)
            status = newt_commit(c);
        if (status == NEWT_ECONFLICT) {
            memset(own, 0, sizeof own); /* it is not known which there are */
            newt_abort(c);
        } else if (status != NEWT_OK) {
            print_error("%s\n", newt_error_message(newt_conn_error(c)));
            w->failed = true;
        } else {
            __atomic_fetch_add(&w->commits, 1, __ATOMIC_RELAXED);
        }
    }
    newt_close(c);
    return NULL;
}

/* Made, filled, mended, dropped and made again while four write. */
static void
test_beside_writers(void **state)
{
    enum {
        N = 3000,
        WRITERS = 4,
        ROUNDS = 3
    };
    static book_ref shared[N];
    writer w[WRITERS];
    uint64_t seed = generate_seed();
    store s;

    (void)state;
    open_books(&s, "beside", (newt_options){0});
    begin(s.a);
    for (int i = 0; i < N; i++)
        shared[i] = make_book(s.a, i);
    commit(s.a);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (writer){.db = s.db, .shared = shared, .n_shared = N, .seed = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        int64_t before = __atomic_load_n(&w[0].commits, __ATOMIC_RELAXED);

        wait_until(__atomic_load_n(&w[0].commits, __ATOMIC_RELAXED) > before + 20 || w[0].failed);
        sql_do(s.pg, "CALL newt.create_table('%s', 'Book')", s.schema);
        before = __atomic_load_n(&w[1].commits, __ATOMIC_RELAXED);
        wait_until(__atomic_load_n(&w[1].commits, __ATOMIC_RELAXED) > before + 20 || w[1].failed);
        assert_clean(&s, "Book");
        sql_do(s.pg, "CALL newt.fill_table('%s', 'Book', 100)", s.schema);
        assert_clean(&s, "Book");
        if (round + 1 < ROUNDS)
            sql_do(s.pg, "CALL newt.drop_table('%s', 'Book')", s.schema);
    }
    for (int i = 0; i < WRITERS; i++) {
        __atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(w[i].thread, NULL);
        assert_false(w[i].failed);
    }
    assert_clean(&s, "Book");
    store_close(&s);
}

/* The DBA's work beside four who write. */
static void
test_dba_beside_writers(void **state)
{
    static const char *const statements[] = {
        "CREATE INDEX CONCURRENTLY again ON book (name)",
        "REINDEX INDEX CONCURRENTLY again",
        "CREATE INDEX CONCURRENTLY pages ON book_pages (lower(title)) WHERE number > 1",
        "CREATE UNIQUE INDEX CONCURRENTLY one_page ON book_pages (book_id, title)",
        "VACUUM (FULL, ANALYZE) book",
        "REINDEX TABLE CONCURRENTLY book",
        "CLUSTER book_pages USING book_pages_pkey",
        "REINDEX TABLE CONCURRENTLY book_pages",
        "ALTER TABLE book ADD mine int DEFAULT 7 NOT NULL",
        "ALTER TABLE book ALTER words TYPE numeric",
        "ALTER TABLE book SET (fillfactor = 60)",
        "DROP INDEX CONCURRENTLY again",
        "VACUUM (FREEZE) book",
        "REINDEX TABLE book_weights",
        "ALTER TABLE book_pages DROP number",
        "ALTER TABLE book ADD CONSTRAINT later CHECK (mine = 7) NOT VALID",
        "ALTER TABLE book VALIDATE CONSTRAINT later",
        "DROP INDEX CONCURRENTLY one_page",
        "ALTER TABLE book DROP mine",
    };
    enum {
        N = 500,
        WRITERS = 4
    };
    static book_ref shared[N];
    writer w[WRITERS];
    uint64_t seed = generate_seed();
    store s;

    (void)state;
    open_books(&s, "dba_beside", (newt_options){0});
    create_table(&s, "Book");
    begin(s.a);
    for (int i = 0; i < N; i++)
        shared[i] = make_book(s.a, i);
    commit(s.a);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (writer){.db = s.db, .shared = shared, .n_shared = N, .seed = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
    for (size_t k = 0; k < sizeof statements / sizeof *statements; k++) {
        int64_t before = __atomic_load_n(&w[0].commits, __ATOMIC_RELAXED);

        sql_do(s.pg, "%s", statements[k]);
        wait_until(__atomic_load_n(&w[0].commits, __ATOMIC_RELAXED) > before + 2 || w[0].failed);
    }
    for (int i = 0; i < WRITERS; i++) {
        __atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(w[i].thread, NULL);
        assert_false(w[i].failed);
    }
    assert_clean(&s, "Book");
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unique),         cmocka_unit_test(test_dba),
    cmocka_unit_test(test_of_18),          cmocka_unit_test(test_made_anew),
    cmocka_unit_test(test_policies),       cmocka_unit_test(test_same_name),
    cmocka_unit_test(test_beside_writers), cmocka_unit_test(test_dba_beside_writers),
};

int
main(void)
{
    return run_all(tests);
}
