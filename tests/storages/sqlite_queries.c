/*
 * sqlite_queries.c - SQL on a store in SQLite: searches, pages, rows, what they must not do;
 * indexes; rows that a follower writes
 */
#include "stored.h"

#include "../bridge/feeds.h"

/* A class with values that JSON shows in part. */
struct note;
NEWT_DECLARE(note);
struct note {
    newt_text title, body;
    double weight;
    bool done;
};
NEWT_CLASS(note, "Note", 1, NULL, NEWT_FIELD(struct note, title), NEWT_FIELD(struct note, body),
           NEWT_FIELD(struct note, weight), NEWT_FIELD(struct note, done));

struct secret;
NEWT_DECLARE(secret);
struct secret {
    int64_t n;
};
NEWT_CLASS_AS(secret, "Secret", 1, NULL, NEWT_C_SKIP, NEWT_FIELD(struct secret, n));

static const newt_class *const all[] = {&note_class, &item_class, &secret_class, NULL};

static void
open_all(store *s, const char *name)
{
    store_make(s, name);
    s->db = store_db(s, all, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

static note_ref
make_note(newt_conn *c, const char *title, const char *body)
{
    struct note *n;
    note_ref r;

    begin(c);
    n = note_new(c);
    assert_non_null(n);
    newt_set(n, title, title);
    newt_set(n, body, body);
    n->weight = 0.1;
    r = note_id(n);
    commit(c);
    return r;
}

/* The names of the items that a search finds, in order. */
static void
assert_found(newt_conn *c, newt_result *r, const char *expected)
{
    char names[200] = "";

    for (size_t i = 0; i < newt_result_size(r); i++) {
        const struct item *x = item_read(c, item_of(newt_result_ref(r, i)));

        assert_non_null(x);
        strcat(names, x->name.s);
        item_done(x);
    }
    assert_string_equal(names, expected);
    newt_result_free(r);
}

static void
test_searches(void **state)
{
    const char *params[] = {"c", "1", NULL};
    newt_result *r;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "searches");
    for (int i = 0; i < 5; i++)
        make_item(s.a, (const char *[]){"a", "b", "c", "d", "e"}[i], i);
    begin(s.b);
    ok(s.b, newt_where(s.b, &r, "state->>'name' >= $1 ORDER BY zoid DESC", 1, params));
    assert_int_equal(newt_result_total(r), 3);
    ok(s.b, newt_result_load(r));
    assert_found(s.b, r, "edc");
    ok(s.b, newt_where(s.b, &r,
                       "state->>'n' > CAST($2 AS integer) AND state->>'name' <= $1 "
                       "AND $3 IS NULL ORDER BY zoid",
                       3, params));
    assert_found(s.b, r, "c");
    ok(s.b,
       newt_where(s.b, &r, "state->>'name' = ? AND state->>'n' > CAST(? AS integer)", 2, params));
    assert_found(s.b, r, "c");
    ok(s.b, newt_where(s.b, &r, "CAST(?2 AS integer) = 1 AND state->>'name' = ?1", 2, params));
    assert_found(s.b, r, "c");
    ok(s.b, newt_search(s.b, &r,
                        "SELECT zoid, state FROM newt WHERE class_name = 'Item' "
                        "ORDER BY state->>'name' DESC; -- all",
                        0, NULL));
    assert_found(s.b, r, "edcba");
    ok(s.b, newt_page(s.b, &r, "SELECT zoid, 1 FROM newt WHERE class_name = 'Item' ORDER BY zoid;",
                      0, NULL, 1, 3));
    assert_int_equal(newt_result_total(r), 5);
    assert_found(s.b, r, "bcd");
    ok(s.b, newt_page(s.b, &r, "SELECT zoid FROM newt WHERE class_name = 'Item'", 0, NULL, 9, 3));
    assert_int_equal(newt_result_total(r), 5);
    assert_int_equal(newt_result_size(r), 0);
    newt_result_free(r);
    ok(s.b, newt_search(s.b, &r, "SELECT zoid FROM newt WHERE false", 0, NULL));
    assert_int_equal(newt_result_total(r), 0);
    newt_result_free(r);
    ok(s.b,
       newt_page(s.b, &r, "SELECT max(zoid) FROM newt WHERE class_name = 'Item'", 0, NULL, 0, 0));
    assert_int_equal(newt_result_total(r), 1);
    newt_result_free(r);
    /* the snapshot is that of the transaction */
    make_item(s.a, "f", 6);
    ok(s.b, newt_search(s.b, &r, "SELECT zoid FROM newt WHERE class_name = 'Item'", 0, NULL));
    assert_int_equal(newt_result_total(r), 5);
    newt_result_free(r);
    commit(s.b);
    store_close(&s);
}

static void
test_rows(void **state)
{
    json_t *rows, *expected;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "rows");
    make_item(s.a, "x", 7);
    begin(s.b);
    ok(s.b, newt_query(s.b, &rows,
                       "SELECT state, state->>'n' AS n, 0.1 AS real, 1e300 * 1e300 AS inf, NULL AS "
                       "nil, x'00ff' AS bytes, 'a' || char(0) AS nul, CAST(x'61ff' AS text) AS "
                       "latin, state->'name' AS text, 9223372036854775807 AS most FROM newt "
                       "WHERE class_name = 'Item'",
                       0, NULL));
    expected = json_pack("[{s:{s:s, s:i}, s:i, s:f, s:s, s:n, s:s, s:s%, s:s, s:s, s:I}]", "state",
                         "name", "x", "n", 7, "n", 7, "real", 0.1, "inf", "Infinity", "nil",
                         "bytes", "\\x00ff", "nul", "a\0", (size_t)2, "latin", "a\xef\xbf\xbd",
                         "text", "\"x\"", "most", (json_int_t)INT64_MAX);
    assert_non_null(expected);
    if (!json_equal(rows, expected))
        fail_msg("%s", json_dumps(rows, 0));
    json_decref(rows);
    json_decref(expected);
    /* a column whose values are of several types */
    ok(s.b, newt_query(s.b, &rows, "SELECT 1 AS v UNION ALL SELECT 'one' UNION ALL SELECT 1.5", 0,
                       NULL));
    expected = json_pack("[{s:i},{s:s},{s:f}]", "v", 1, "v", "one", "v", 1.5);
    assert_true(json_equal(rows, expected));
    json_decref(rows);
    json_decref(expected);
    ok(s.b, newt_query(s.b, &rows, "SELECT zoid FROM newt WHERE false", 0, NULL));
    assert_int_equal(json_array_size(rows), 0);
    json_decref(rows);
    ok(s.b, newt_query(s.b, &rows, "PRAGMA table_info(newt_projection)", 0, NULL));
    assert_int_equal(json_array_size(rows), 4);
    json_decref(rows);
    commit(s.b);
    store_close(&s);
}

/* What a query must not do; the transaction goes on. */
static void
test_refused(void **state)
{
    static const struct {
        const char *sql, *sqlstate;
    } wrong[] = {
        {"SELEC 1", ""},
        {"SELECT nothing FROM newt", ""},
        {"", "42601"},
        {"-- nothing", "42601"},
        {"SELECT 1; SELECT 2", "42601"},
        {"SELECT 1; DELETE FROM mine", "42601"},
        {"DELETE FROM mine", "25006"},
        {"DELETE FROM object_state", "42501"},
        {"UPDATE newt SET state = '{}'", "42501"},
        {"CREATE TABLE yours (x)", "25006"},
        {"COMMIT", "42501"},
        {"ROLLBACK", "42501"},
        {"SAVEPOINT x", "42501"},
        {"ATTACH ':memory:' AS x", "42501"},
        {"PRAGMA synchronous = off", "42501"},
        {"PRAGMA query_only", "42501"},
        {"SELECT $1", "42P02"},
        {"SELECT :name", "42P02"},
        {"SELECT json('{')", ""},
    };
    newt_result *r;
    item_ref x;
    json_t *rows;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "refused");
    free(file_text(s.file, "CREATE TABLE mine (x)"));
    x = make_item(s.a, "x", 1);
    begin(s.a);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (newt_query(s.a, &rows, wrong[i].sql, 0, NULL) != NEWT_ESQL ||
            strcmp(newt_error_sqlstate(newt_conn_error(s.a)), wrong[i].sqlstate) != 0)
            fail_error(wrong[i].sql, newt_conn_error(s.a));
        assert_null(rows);
    }
    assert_int_equal(newt_search(s.a, &r, "SELECT class_name FROM newt", 0, NULL), NEWT_EINVAL);
    assert_int_equal(newt_search(s.a, &r, "SELECT 'x' || zoid FROM newt", 0, NULL), NEWT_EINVAL);
    assert_int_equal(newt_page(s.a, &r, "SELECT 'x' || zoid FROM newt", 0, NULL, 0, 1),
                     NEWT_EINVAL);
    assert_int_equal(newt_where(s.a, &r, "1; DROP TABLE object_state", 0, NULL), NEWT_ESQL);
    assert_null(r);
    write_n(s.a, x, 2);
    commit(s.a);
    /* and what is no query of the library's meets the view's trigger */
    {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(s.file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "UPDATE newt SET state = '{}'", NULL, NULL, NULL),
                         SQLITE_CONSTRAINT);
        assert_non_null(strstr(sqlite3_errmsg(db), "cannot write to newt"));
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    store_close(&s);
}

/* What a class leaves out, and what JSON shows in part. */
static void
test_projection(void **state)
{
    struct note *n;
    note_ref r;
    store s;

    (void)state;
    needs_storage("sqlite");
    open_all(&s, "projection");
    begin(s.a);
    secret_done(secret_new(s.a));
    n = note_new(s.a);
    assert_non_null(n);
    r = note_id(n);
    ok(s.a, newt_text_setn(note_obj(n), &n->title, "a\xff", 2));
    commit(s.a);
    assert_file(s.file, "3", "SELECT count(*) FROM object_state");
    assert_file(s.file, "2", "SELECT count(*) FROM newt");
    assert_file(s.file, "1", "SELECT count(*) FROM newt_reject WHERE path = '[\"title\"]'");
    begin(s.a);
    n = note_write(s.a, r);
    assert_non_null(n);
    newt_set(n, title, "clean");
    commit(s.a);
    assert_file(s.file, "0", "SELECT count(*) FROM newt_reject");
    store_close(&s);
}

/* ---- indexes --------------------------------------------------------------------------------- */

static void
index_refused(newt_conn *c, const char *name, const char *what, unsigned flags, int status,
              const char *said)
{
    assert_int_equal(newt_index_create(c, name, NULL, what, flags), status);
    if (!strstr(newt_error_message(newt_conn_error(c)), said))
        fail_error(said, newt_conn_error(c));
}

static void
test_indexes(void **state)
{
    static const char *const names[] = {"",     "1a",           "a b",      "a\"b", "a;b", "newt_x",
                                        "NEWT", "object_state", "sqlite_x", "a.b",  "x'y", NULL};
    json_t *rows;
    item_ref x;
    char *plan;
    store s;

    (void)state;
    needs_storage("sqlite");
    open_all(&s, "indexes");
    x = make_item(s.a, "a", 1);
    make_item(s.a, "b", 1);
    ok(s.a, newt_index_create(s.a, "item_name", "Item", "state->>'name'", NEWT_INDEX_UNIQUE));
    ok(s.a, newt_index_create(s.a, "item_name", "Item", "state->>'name'", NEWT_INDEX_UNIQUE));
    ok(s.a, newt_index_create(s.a, "by_n", NULL, "state->>'n', zoid", 0));
    /* it is used, and keeps its promise */
    begin(s.a);
    ok(s.a, newt_query(s.a, &rows,
                       "EXPLAIN QUERY PLAN SELECT zoid FROM newt WHERE class_name = 'Item' AND "
                       "state->>'name' = $1",
                       1, (const char *[]){"a"}));
    plan = json_dumps(rows, 0);
    assert_non_null(strstr(plan, "USING INDEX item_name"));
    free(plan);
    json_decref(rows);
    item_done(new_item(s.a, "b", 3));
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_string_equal(newt_error_constraint(newt_conn_error(s.a)), "item_name");
    assert_string_equal(newt_error_class(newt_conn_error(s.a)), "Item");
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "23505");
    assert_true(newt_error_oid(newt_conn_error(s.a)) > x.any.oid);
    make_note(s.a, "b", "is of another class");
    assert_file(s.file, "2", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    /* what cannot be */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        index_refused(s.a, names[i], "zoid", 0, NEWT_EINVAL, "cannot be the name of an index");
    index_refused(s.a, "x", "zoid", 3, NEWT_EINVAL, "flags");
    index_refused(s.a, "x", "zoid", 4, NEWT_EINVAL, "flags");
    index_refused(s.a, "x", "nowhere", 0, NEWT_ESQL, "index \"x\": no such column: nowhere");
    index_refused(s.a, "x", "", 0, NEWT_EINVAL, "index \"x\" is of nothing");
    index_refused(s.a, "x", NULL, 0, NEWT_EINVAL, "index \"x\" is of nothing");
    index_refused(s.a, "x", "random()", 0, NEWT_ESQL, "non-deterministic");
    index_refused(s.a, "x", "zoid); DROP TABLE object_state; --", 0, NEWT_ESQL, "more than one");
    index_refused(s.a, "x", "state->>'n'", NEWT_INDEX_UNIQUE, NEWT_EUNIQUE, "index \"x\"");
    index_refused(s.a, "by_n", "zoid", 0, NEWT_EINVAL, "another \"by_n\"");
    index_refused(s.a, "item_name", "title", NEWT_INDEX_TEXT, NEWT_ESQL, "item_name");
    begin(s.a);
    index_refused(s.a, "x", "zoid", 0, NEWT_EBUSY, "inside a transaction");
    commit(s.a);
    assert_int_equal(newt_index_drop(s.a, "x"), NEWT_EINVAL);
    /* names are SQL's: in any case */
    assert_int_equal(newt_index_create(s.a, "ITEM_NAME", NULL, "state->>'n'", 0), NEWT_EINVAL);
    ok(s.a, newt_index_drop(s.a, "Item_Name"));
    assert_int_equal(newt_index_drop(s.a, "item_name"), NEWT_EINVAL);
    make_item(s.a, "b", 1);
    assert_file(s.file, "by_n",
                "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'index' "
                "AND sql IS NOT NULL");
    store_close(&s);
}

/* The objects that have the words, by their place. */
static size_t
count_words(newt_conn *c, const char *sql, const char *words)
{
    newt_result *r;
    size_t n;

    begin(c);
    ok(c, newt_search(c, &r, sql, 1, &words));
    n = newt_result_size(r);
    newt_result_free(r);
    commit(c);
    return n;
}

static void
test_words(void **state)
{
    static const char sql[] = "SELECT rowid FROM note_words($1) ORDER BY rank";
    static const char *const fields[] = {"",   "title,", ",title", "a\"b",
                                         ".a", "a.",     "a\\b",   "a..b"};
    char longest[129];
    note_ref first, last;
    struct note *n;
    store s;

    (void)state;
    needs_storage("sqlite");
    open_all(&s, "words");
    first = make_note(s.a, "The newt", "lives in ponds");
    make_item(s.a, "a newt, but no note", 1);
    ok(s.a, newt_index_create(s.a, "note_words", "Note", "title, body", NEWT_INDEX_TEXT));
    ok(s.a, newt_index_create(s.a, "note_words", "Note", "title, body", NEWT_INDEX_TEXT));
    last = make_note(s.a, "Ponds", "with newts");
    assert_int_equal(count_words(s.b, sql, "newt"), 1);
    assert_int_equal(count_words(s.b, sql, "ponds"), 2);
    assert_int_equal(count_words(s.b, sql, "title:ponds"), 1);
    assert_int_equal(count_words(s.b, sql, "newt*"), 2);
    /* changed, removed, aborted */
    begin(s.a);
    n = note_write(s.a, first);
    assert_non_null(n);
    newt_set(n, body, "lives in lakes");
    ok(s.a, newt_delete(s.a, last.any));
    commit(s.a);
    begin(s.a);
    n = note_new(s.a);
    newt_set(n, body, "ponds again");
    newt_abort(s.a);
    assert_int_equal(count_words(s.b, sql, "ponds"), 0);
    assert_int_equal(count_words(s.b, sql, "lakes"), 1);
    free(file_text(s.file, "INSERT INTO note_words(note_words) VALUES ('integrity-check')"));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        index_refused(s.a, "x", fields[i], NEWT_INDEX_TEXT, NEWT_EINVAL, "cannot be a field");
    memset(longest, 'x', sizeof longest);
    longest[128] = 0;
    index_refused(s.a, "x", longest, NEWT_INDEX_TEXT, NEWT_EINVAL, "cannot be a field");
    longest[127] = 0;
    ok(s.a, newt_index_create(s.a, "x", NULL, longest, NEWT_INDEX_TEXT));
    ok(s.a, newt_index_drop(s.a, "x"));
    index_refused(s.a, "x", "rank", NEWT_INDEX_TEXT, NEWT_ESQL, "rank");
    index_refused(s.a, "note_words", "title", NEWT_INDEX_TEXT, NEWT_EINVAL, "another");
    assert_int_equal(newt_index_create(s.a, "note_words", NULL, "title, body", NEWT_INDEX_TEXT),
                     NEWT_EINVAL);
    ok(s.a, newt_index_drop(s.a, "note_words"));
    assert_file(s.file, "",
                "SELECT group_concat(name) FROM sqlite_schema WHERE name LIKE "
                "'note%'");
    /* fields within others, and a class whose name has quotes */
    ok(s.a,
       newt_index_create(s.a, "note_words", "O'Note\"", "a.b.c, it's, title", NEWT_INDEX_TEXT));
    make_note(s.a, "ponds", "");
    assert_int_equal(count_words(s.b, sql, "ponds"), 0);
    ok(s.a, newt_index_drop(s.a, "note_words"));
    store_close(&s);
}

/* The next version of Note, whose title is a headline. */
struct headed {
    newt_text headline;
};
NEWT_DECLARE(headed);
NEWT_CLASS(headed, "Note", 2, NULL, NEWT_FIELD(struct headed, headline, .was = "title"));
static const newt_class *const renamed[] = {&headed_class, NULL};

/* An index goes by the name in the JSON, so it is made again after a field was renamed. */
static void
test_renamed(void **state)
{
    static const char sql[] = "SELECT rowid FROM note_words($1)";
    newt_upgrade u = {.size = sizeof u};
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    needs_storage("sqlite");
    open_all(&s, "renamed");
    make_note(s.a, "newt", NULL);
    ok(s.a, newt_index_create(s.a, "note_words", "Note", "title", NEWT_INDEX_TEXT));
    db = store_db(&s, renamed, (newt_options){0});
    c = connect_(db);
    assert_int_equal(count_words(c, sql, "newt"), 1);
    ok(c, newt_upgrade_all(c, &headed_class, &u));
    assert_int_equal(u.written, 1);
    assert_int_equal(count_words(c, sql, "newt"), 0);
    assert_int_equal(newt_index_create(c, "note_words", "Note", "headline", NEWT_INDEX_TEXT),
                     NEWT_EINVAL);
    ok(c, newt_index_drop(c, "note_words"));
    ok(c, newt_index_create(c, "note_words", "Note", "headline", NEWT_INDEX_TEXT));
    assert_int_equal(count_words(c, sql, "newt"), 1);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* Elsewhere it is said that there are none. */
static void
test_no_indexes(void **state)
{
    store s;

    (void)state;
    if (on_sqlite())
        skip();
    store_open(&s, "none");
    index_refused(s.a, "x", "zoid", 0, NEWT_EINVAL, "newt_index_create needs a store in SQLite");
    assert_int_equal(newt_index_drop(s.a, "x"), NEWT_EINVAL);
    store_close(&s);
}

/* ---- followers ------------------------------------------------------------------------------- */

/* A table that is written with the follower's position: each change once. */
static void
test_exec(void **state)
{
    newt_feed *f;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "exec");
    free(file_text(s.file, "CREATE TABLE seen (oid INTEGER, n INTEGER)"));
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    for (int i = 0; i < 3; i++) {
        char oid[24];
        const char *params[] = {oid};
        const newt_batch *b;

        snprintf(oid, sizeof oid, "%lld", (long long)make_item(s.a, "x", i).any.oid);
        b = next(s.b, f);
        assert_int_equal(b->n_events, 1);
        ok(s.b, newt_feed_exec(f, "INSERT INTO seen VALUES ($1, 1)", 1, params));
        assert_int_equal(newt_begin(s.b), NEWT_EBUSY);
        if (i == 1) { /* fails: nothing of it stays, and it comes again */
            assert_int_equal(newt_feed_exec(f, "INSERT INTO nowhere VALUES (1)", 0, NULL),
                             NEWT_ESQL);
            assert_int_equal(next(s.b, f)->n_events, 1);
            assert_int_equal(newt_feed_exec(f, "COMMIT", 0, NULL), NEWT_ESQL);
            assert_int_equal(next(s.b, f)->n_events, 1);
            assert_int_equal(newt_feed_exec(f, "DELETE FROM object_state", 0, NULL), NEWT_ESQL);
            assert_int_equal(next(s.b, f)->n_events, 1);
            ok(s.b, newt_feed_exec(f, "INSERT INTO seen VALUES ($1, 1)", 1, params));
        }
        ok(s.b, newt_feed_commit(f));
    }
    assert_file(s.file, "3 3", "SELECT count(*) || ' ' || count(DISTINCT oid) FROM seen");
    newt_feed_close(f);
    store_close(&s);
}

/* What need not be kept goes, by a call and little by little with commits; not what a follower has
 * not seen. */
static void
test_retention(void **state)
{
    newt_health h = {.size = sizeof h};
    int64_t pruned;
    newt_feed *f;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "retention");
    for (int i = 0; i < 20; i++)
        make_item(s.a, "x", i);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    for (int i = 0; i < 10; i++)
        make_item(s.a, "x", i);
    free(file_text(s.file, "UPDATE newt_store SET keep_age = 0"));
    ok(s.a, newt_prune(s.a, 5, &pruned));
    assert_int_equal(pruned, 5);
    ok(s.a, newt_prune(s.a, 1000, &pruned));
    assert_int_equal(pruned, 15); /* the follower's own stays */
    ok(s.a, newt_store_health(s.a, "f", &h));
    assert_int_equal(h.transactions, 11);
    assert_int_equal(h.waiting, 10);
    newt_feed_close(f);
    ok(s.a, newt_feed_forget(s.a, "f"));
    for (int i = 0; h.transactions > 5; i++) {
        assert_true(i < 100000);
        make_item(s.a, "x", i);
        ok(s.a, newt_store_health(s.a, NULL, &h));
    }
    free(file_text(s.file, "UPDATE newt_store SET keep_age = 86400, keep_rows = 3"));
    for (int i = 0; i < 10; i++)
        make_item(s.a, "x", i);
    ok(s.a, newt_prune(s.a, 1000, &pruned));
    ok(s.a, newt_store_health(s.a, NULL, &h));
    assert_int_equal(h.transactions, 3);
    newt_close(s.a);
    newt_close(s.b);
    newt_db_close(s.db);
    assert_file(s.file, "ok", "PRAGMA integrity_check");
}

/* ---- rows that are not what they should be ------------------------------------------- */

static void
assert_faults(newt_conn *c, int64_t missing, int64_t stale, int64_t wrong, int64_t extra)
{
    newt_sweep s = sweep_all(c, NEWT_SWEEP_CHECK);

    assert_int_equal(s.looked, 11); /* with the root */
    assert_int_equal(s.missing, missing);
    assert_int_equal(s.stale, stale);
    assert_int_equal(s.wrong, wrong);
    assert_int_equal(s.extra, extra);
}

static void
test_sweeps(void **state)
{
    static const char damage[] =
        "DELETE FROM newt_projection WHERE state->>'n' = 1;"
        "UPDATE newt_projection SET serial = serial - 1 WHERE state->>'n' = 2;"
        "UPDATE newt_projection SET state = '{\"n\":7}' WHERE state->>'n' = 3;"
        "UPDATE newt_projection SET class_name = 'X' WHERE state->>'n' = 4;"
        "INSERT INTO newt_projection VALUES (500, 'Item', 1, '{}');";
    newt_progress p = {.size = sizeof p};
    int64_t batches = 0;
    store s;

    (void)state;
    needs_storage("sqlite");
    open_all(&s, "sweeps");
    for (int i = 0; i < 10; i++)
        make_item(s.a, "x", i);
    assert_faults(s.a, 0, 0, 0, 0);
    for (int round = 0; round < 2; round++) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(s.file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damage, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_faults(s.a, 1, 1, 2, 1);
        if (round == 0) {
            assert_int_equal(sweep_all(s.a, NEWT_SWEEP_MISSING).written, 3); /* and the extra one */
            assert_faults(s.a, 0, 0, 2, 0);
        } else {
            assert_int_equal(sweep_all(s.a, NEWT_SWEEP_REPROJECT).written, 5);
        }
        assert_int_equal(sweep_all(s.a, NEWT_SWEEP_REPROJECT).written, round == 0 ? 2 : 0);
        assert_faults(s.a, 0, 0, 0, 0);
    }
    /* what an index refuses has no row, and an entry that says why; when the index has gone, it has
     */
    free(file_text(s.file, "DELETE FROM newt_projection WHERE state->>'n' > 7"));
    free(file_text(s.file, "CREATE UNIQUE INDEX even ON newt_projection (state->>'n' % 8) "
                           "WHERE class_name = 'Item'"));
    assert_int_equal(sweep_all(s.a, NEWT_SWEEP_MISSING).refused, 2);
    assert_int_equal(sweep_all(s.a, NEWT_SWEEP_CHECK).refused, 2);
    assert_file(s.file, "even 23505",
                "SELECT DISTINCT constraint_name || ' ' || sqlstate FROM newt_reject");
    ok(s.a, newt_retry_rejects(s.a, 100, &p));
    assert_int_equal(p.refused, 2);
    free(file_text(s.file, "DROP INDEX even"));
    ok(s.a, newt_retry_rejects(s.a, 1, &p));
    assert_int_equal(p.written, 1);
    assert_int_equal(p.behind_us, 1);
    ok(s.a, newt_retry_rejects(s.a, 1, &p));
    assert_int_equal(p.written, 1);
    assert_faults(s.a, 0, 0, 0, 0);
    assert_file(s.file, "0", "SELECT count(*) FROM newt_reject");
    /* a follower that writes rows finds nothing to do, nor where there is to be no row */
    begin(s.a);
    assert_non_null(secret_new(s.a));
    commit(s.a);
    do {
        ok(s.a, newt_project(s.a, "p", 1000, &p));
        batches += p.transactions;
        assert_int_equal(p.written, 0);
        assert_int_equal(p.removed, 0);
    } while (p.transactions > 0);
    assert_true(batches > 0);
    assert_int_equal(newt_wait_for(s.a, newt_tid(s.a), 1000), NEWT_EMISSING);
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_searches), cmocka_unit_test(test_rows),
    cmocka_unit_test(test_refused),  cmocka_unit_test(test_projection),
    cmocka_unit_test(test_indexes),  cmocka_unit_test(test_words),
    cmocka_unit_test(test_renamed),  cmocka_unit_test(test_no_indexes),
    cmocka_unit_test(test_exec),     cmocka_unit_test(test_retention),
    cmocka_unit_test(test_sweeps),
};

int
main(void)
{
    return run_all(tests);
}
