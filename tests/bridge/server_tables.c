/*
 * server_tables.c - typed tables, kept by commits: the same rows as the records, whatever happens
 */
#include "everything.h"
#include "server.h"

struct shelf;
struct book;
NEWT_DECLARE(shelf);
NEWT_DECLARE(book);
struct page {
    newt_text title;
    int32_t number;
    NEWT_ARRAY(book_ref) see;
};
NEWT_DECLARE(page);
struct book {
    newt_text name;
    uint64_t words;
    newt_time at;
    shelf_ref shelf;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(struct page) pages;
    NEWT_ARRAY(newt_ref) others; /* a set */
    NEWT_MAP(double) weights;
};
struct shelf {
    newt_text name;
};
/* clang-format off */
NEWT_CLASS(page, "Page", 0, NULL, NEWT_FIELD(struct page, title), NEWT_FIELD(struct page, number),
           NEWT_REFS(struct page, see, book));
NEWT_CLASS(shelf, "Shelf", 1, NULL, NEWT_FIELD(struct shelf, name));
NEWT_CLASS(book, "Book", 1, NULL, NEWT_FIELD(struct book, name), NEWT_FIELD(struct book, words),
           NEWT_FIELD(struct book, at), NEWT_REF(struct book, shelf, shelf),
           NEWT_LIST(struct book, tags), NEWT_STRUCTS(struct book, pages, page),
           NEWT_SET(struct book, others),
           NEWT_MAPOF(struct book, weights));
/* clang-format on */

/* The same in another case. */
struct loud {
    int64_t n;
};
NEWT_DECLARE(loud);
NEWT_CLASS(loud, "BOOK", 1, NULL, NEWT_FIELD(struct loud, n));

static const newt_class *const books[] = {&book_class, &shelf_class, NULL};

/* ---- helpers ------------------------------------------------------------------------------- */

static void
open_books(store *s, const char *name, newt_options o)
{
    use_database(true);
    store_make(s, name);
    s->db = store_db(s, books, o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

static void
create_table(const store *s, const char *class_name)
{
    sql_do(s->pg, "CALL newt.create_table('%s', '%s')", s->schema, class_name);
}

static void
assert_clean(const store *s, const char *class_name)
{
    assert_sql(s->pg, "",
               "SELECT problem || ' ' || objects || ' ' || coalesce(examples::text, '') "
               "FROM newt.check_table('%s', '%s')",
               s->schema, class_name);
}

/* A book with as many items of each collection as n says. */
static void
write_book(struct book *b, int64_t n, newt_ref other)
{
    char text[40];

    snprintf(text, sizeof text, "book %lld", (long long)n);
    newt_set(b, name, text);
    b->words = (uint64_t)n * 1000;
    b->at.us = 1700000000000000 + n;
    b->tags.n = b->pages.n = b->others.n = 0;
    for (int64_t i = 0; i < n % 4; i++) {
        newt_append(b, tags, (newt_text){0});
        snprintf(text, sizeof text, "tag %lld", (long long)i);
        newt_text_set((newt_object *)b, &newt_items(b, tags)[i], text);
    }
    for (int64_t i = 0; i < n % 5; i++) {
        newt_append(b, pages, (struct page){.number = (int32_t)i});
        snprintf(text, sizeof text, "page %lld", (long long)(n + i));
        newt_text_set((newt_object *)b, &newt_items(b, pages)[i].title, text);
    }
    if (other.oid)
        newt_append(b, others, other);
    for (int64_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "key %lld", (long long)i);
        if (i < n % 3)
            *newt_put(b, weights, text) = (double)n / 2;
        else
            newt_drop(b, weights, text);
    }
}

static book_ref
make_book(newt_conn *c, int64_t n)
{
    struct book *b = book_new(c);

    assert_non_null(b);
    write_book(b, n, (newt_ref){0});
    return book_id(b);
}

static void
change_book(newt_conn *c, book_ref r, int64_t n, newt_ref other)
{
    struct book *b = book_write(c, r);

    if (!b)
        fail_error("book_write", newt_conn_error(c));
    write_book(b, n, other);
    book_done(b);
}

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

/* ---- refused ------------------------------------------------------------------------------- */

static void
assert_refused(newt_conn *c, const char *sqlstate, const char *const *words)
{
    const newt_error *e;

    assert_int_not_equal(newt_commit(c), NEWT_OK);
    e = newt_conn_error(c);
    assert_string_equal(newt_error_sqlstate(e), sqlstate);
    for (; *words; words++)
        if (!strstr(newt_error_message(e), *words))
            fail_msg("no \"%s\" in \"%s\"", *words, newt_error_message(e));
    newt_abort(c);
}

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

/* ---- every kind ---------------------------------------------------------------------------- */

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
            sql_do(s.pg, "CREATE SCHEMA views");
            sql_do(s.pg, "SELECT newt.create_view('%s', 'Everything', NULL, 'views')", s.schema);
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
    cmocka_unit_test(test_kept),
    cmocka_unit_test(test_large),
    cmocka_unit_test(test_trigger),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_columns),
    cmocka_unit_test(test_class_changes),
    cmocka_unit_test(test_everything),
    cmocka_unit_test(test_beside_writers),
    cmocka_unit_test(test_unique),
    cmocka_unit_test(test_dba),
    cmocka_unit_test(test_made_anew),
    cmocka_unit_test(test_policies),
    cmocka_unit_test(test_same_name),
    cmocka_unit_test(test_dba_beside_writers),
};

int
main(void)
{
    return run_all(tests);
}
