/*
 * sqlite_session.c - what sessions find in a file in SQLite that others have changed: rows that are
 * damaged, and another file in its place; what the program's statements must leave alone; what
 * waits for whom, and who has a name
 */
#include "stored.h"

#include "../bridge/feeds.h"

#include <float.h>
#include <locale.h>
#include <sys/wait.h>

/* ---- rows that are damaged ------------------------------------------------------------------- */

enum {
    N = 3
};

static void
make_items(newt_conn *c, item_ref items[N])
{
    begin(c);
    for (int i = 0; i < N; i++)
        items[i] = item_id(new_item(c, "x", i));
    commit(c);
}

static void
remove_items(newt_conn *c, const item_ref items[N])
{
    begin(c);
    for (int i = 0; i < N; i++)
        ok(c, newt_delete(c, items[i].any));
    commit(c);
}

/* Fewer classes than objects: those of the others are not known. */
static void
test_few_classes(void **state)
{
    item_ref items[2][N];
    const newt_batch *b;
    newt_feed *f;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "few_classes");
    make_items(s.a, items[0]);
    make_items(s.a, items[1]);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    remove_items(s.a, items[0]);
    remove_items(s.a, items[1]);
    free(file_text(s.file, "UPDATE \"transaction\" SET removed_classes = '[\"Item\"]' "
                           "WHERE tid = (SELECT max(tid) FROM \"transaction\")"));
    b = next(s.b, f);
    assert_int_equal(b->n_events, 2 * N);
    for (int i = 0; i < 2 * N; i++) {
        assert_int_equal(b->events[i].kind, NEWT_EVENT_REMOVED);
        assert_string_equal(b->events[i].class_name, i <= N ? "Item" : "");
    }
    newt_feed_close(f);
    store_close(&s);
}

/* Lists that are none: the store is damaged, and it is not memory that is lacking. */
static void
test_damaged_lists(void **state)
{
    static const struct {
        const char *sql, *column;
    } damages[] = {
        {"UPDATE \"transaction\" SET removed_classes = '[\"Item'", "removed_classes"},
        {"UPDATE \"transaction\" SET removed_classes = '{}'", "removed_classes"},
        {"UPDATE \"transaction\" SET written = '[1,'", "\"written\""},
        {"UPDATE \"transaction\" SET written = '1'", "\"written\""},
        {"UPDATE \"transaction\" SET written = ''", "\"written\""},
        {"UPDATE \"transaction\" SET removed = '[x]'", "\"removed\""},
        {"UPDATE \"transaction\" SET removed = '[-1]'", "\"removed\""},
        {"UPDATE \"transaction\" SET written = '[0]'", "\"written\""},
        {"UPDATE \"transaction\" SET removed = '[1]]'", "\"removed\""},
    };

    (void)state;
    needs_storage("sqlite");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char name[40];
        item_ref items[N];
        const newt_batch *b;
        newt_feed *f;
        store s;

        snprintf(name, sizeof name, "damaged_%zu", i);
        store_open(&s, name);
        f = open_feed(s.b, (newt_feed_options){.follower = "f"});
        nothing(s.b, f);
        make_items(s.a, items);
        remove_items(s.a, items);
        free(file_text(s.file, damages[i].sql));
        assert_int_equal(newt_feed_next(f, 0, &b), NEWT_ESTORE);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(s.b)), "XX001");
        if (!strstr(newt_error_detail(newt_conn_error(s.b)), damages[i].column))
            fail_error(damages[i].sql, newt_conn_error(s.b));
        newt_feed_close(f);
        newt_close(s.a);
        newt_close(s.b);
        newt_db_close(s.db);
    }
}

/* ---- files that are replaced ----------------------------------------------------------------- */

static void
copy_file(const char *from, const char *to)
{
    char command[500];

    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* The store as it is now is put beside it, and goes on in a file that is not the same. */
static void
keep_copy(store *s, char copy[sizeof s->file + 5], item_ref *r)
{
    *r = make_item(s->a, "x", 1);
    free(file_text(s->file, "PRAGMA wal_checkpoint(TRUNCATE)"));
    snprintf(copy, sizeof s->file + 5, "%s.copy", s->file);
    copy_file(s->file, copy);
}

static void
replace(const store *s, const char *copy)
{
    char beside[sizeof s->file + 4];

    for (int i = 0; i < 2; i++) {
        snprintf(beside, sizeof beside, "%s-%s", s->file, i ? "wal" : "shm");
        assert_int_equal(unlink(beside), 0);
    }
    assert_int_equal(rename(copy, s->file), 0);
}

/* A connection that has read nothing yet, and one with a cache: what begins afterwards is for the
 * file that is there. */
static void
test_begun_after(void **state)
{
    char copy[sizeof(((store *)0)->file) + 5];
    newt_conn *c;
    item_ref r;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "begun_after");
    keep_copy(&s, copy, &r);
    c = connect_(s.db);
    replace(&s, copy);
    begin(c);
    item_done(new_item(c, "y", 2));
    commit(c);
    begin(s.a);
    write_n(s.a, r, 3);
    commit(s.a);
    assert_file(s.file, "2 5",
                "SELECT count(*) || ' ' || sum(state->>'n') FROM newt WHERE class_name = 'Item'");
    newt_close(c);
    store_close(&s);
}

/* What has begun before fails, whether the storage was asked by then or not; nothing is written
 * anywhere that could be lost, and it succeeds when it is run again. */
static void
test_begun_before(void **state)
{
    (void)state;
    needs_storage("sqlite");
    for (int lazy = 0; lazy < 2; lazy++) {
        char copy[sizeof(((store *)0)->file) + 5];
        item_ref r, later;
        store s;

        store_open(&s, lazy ? "begun_lazy" : "begun_before");
        keep_copy(&s, copy, &r);
        later = make_item(s.a, "y", 2);
        begin(s.a);
        if (!lazy)
            write_n(s.a, later, 3);
        replace(&s, copy);
        if (lazy)
            item_done(new_item(s.a, "z", 3));
        assert_int_equal(newt_commit(s.a), NEWT_ELOST);
        assert_true(newt_is_retryable(newt_conn_error(s.a)));
        assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "08006");
        assert_file(s.file, "1", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
        begin(s.a);
        write_n(s.a, r, 3);
        commit(s.a);
        assert_file(s.file, "3", "SELECT state->>'n' FROM newt WHERE class_name = 'Item'");
        store_close(&s);
    }
}

/* Oids that were taken from the first file may be in use in the second. */
static void
test_oids_of_replaced(void **state)
{
    char copy[sizeof(((store *)0)->file) + 5];
    newt_conn *c;
    item_ref r;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "oids");
    keep_copy(&s, copy, &r);
    for (int i = 0; i < 2000; i++) {
        begin(s.a);
        item_done(new_item(s.a, "y", i));
        commit(s.a);
    }
    begin(s.b); /* of the old file as long as it is open */
    assert_int_equal(read_n(s.b, r), 1);
    replace(&s, copy);
    c = connect_(s.db);
    make_item(c, "z", 3);
    assert_file(s.file, "1", "SELECT max(zoid) < next_oid FROM object_state, newt_store");
    assert_null(item_new(s.b));
    assert_int_equal(newt_status(s.b), NEWT_ELOST);
    newt_close(c);
    store_close(&s);
}

/* ---- tables of the store's ----------------------------------------------------------------- */

/* What a program's statements must not do to them, whatever the case of the names. */
static void
test_own_tables(void **state)
{
    static const char *const wrong[] = {
        "ALTER TABLE object_state ADD COLUMN x",
        "ALTER TABLE newt_follower RENAME TO mine2",
        "ALTER TABLE \"transaction\" DROP COLUMN extension",
        "ALTER TABLE shadow RENAME TO object_state",
        "DROP TABLE object_state",
        "DROP TABLE main.Newt_Projection",
        "DROP VIEW newt",
        "DROP TRIGGER newt_no_insert",
        "DROP INDEX by_class",
        "CREATE TRIGGER t AFTER INSERT ON object_state BEGIN SELECT 1; END",
        "CREATE TRIGGER t AFTER INSERT ON NEWT_PROJECTION BEGIN SELECT 1; END",
        "CREATE TRIGGER t INSTEAD OF INSERT ON newt BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER t AFTER INSERT ON object_state BEGIN SELECT 1; END",
        "CREATE INDEX i ON object_state (serial)",
        "CREATE UNIQUE INDEX i ON newt_projection (class_name)",
        "CREATE TABLE newt_mine (x)",
        "CREATE TABLE TRANSACTION_mine (x)",
        "CREATE TEMP TABLE Object_State (zoid, serial, state)",
        "CREATE TEMP TABLE newt_follower (name)",
        "CREATE TEMP VIEW newt AS SELECT 1",
        "CREATE VIEW newt_x AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.object_state USING fts5(x)",
        "INSERT INTO mine VALUES (1)",         /* a trigger removes objects */
        "UPDATE seen SET x = 1",               /* the same, by a view */
        "DELETE FROM OBJECT_STATE WHERE true", /* in any case */
        "UPDATE newt_store SET next_oid = 1",
        "INSERT OR REPLACE INTO main.newt_class VALUES ('x', 1, '', '', 1)",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO '/tmp/x'",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 2",
        "UPDATE sqlite_schema SET sql = ''",
        "DELETE FROM sqlite_schema",
        "SELECT load_extension('x')",
    };
    static const char *const right[] = {
        "CREATE TABLE words (x)",
        "CREATE INDEX words_x ON words (x)",
        "CREATE TRIGGER words_t AFTER INSERT ON words BEGIN INSERT INTO log VALUES (new.x); END",
        "INSERT INTO words SELECT class_name FROM newt",
        "ALTER TABLE words RENAME TO words2",
        "REINDEX words2",
        "ANALYZE words2",
        "CREATE TEMP TABLE aside AS SELECT * FROM words2",
        "DROP TABLE aside",
        "DROP TRIGGER words_t",
        "DROP INDEX words_x",
        "DROP TABLE words2",
    };
    newt_feed *f;
    item_ref r;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "own_tables");
    free(file_text(s.file, "CREATE TABLE mine (x)"));
    free(file_text(s.file, "CREATE TABLE log (x)"));
    free(file_text(s.file, "CREATE TRIGGER mine_t AFTER INSERT ON mine BEGIN "
                           "DELETE FROM object_state; END"));
    free(file_text(s.file, "CREATE VIEW seen AS SELECT x FROM mine"));
    free(file_text(s.file, "CREATE TRIGGER seen_t INSTEAD OF UPDATE ON seen BEGIN "
                           "DELETE FROM object_state; END"));
    free(file_text(s.file, "CREATE INDEX by_class ON newt_projection (class_name)"));
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    r = make_item(s.a, "x", 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        next(s.b, f);
        if (strstr(wrong[i], "shadow"))
            ok(s.b, newt_feed_exec(f, "CREATE TEMP TABLE shadow (x)", 0, NULL));
        if (newt_feed_exec(f, wrong[i], 0, NULL) != NEWT_ESQL)
            fail_msg("%s", wrong[i]);
    }
    next(s.b, f);
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        ok(s.b, newt_feed_exec(f, right[i], 0, NULL));
    ok(s.b, newt_feed_commit(f));
    newt_feed_close(f);
    assert_file(s.file, "2", "SELECT count(*) FROM log");
    begin(s.b);
    write_n(s.b, r, 2);
    commit(s.b);
    store_close(&s);
}

/* ---- entries of what was refused ------------------------------------------------------------- */

/* They go with the object, and when it is written so that it has a row. */
static void
test_entries(void **state)
{
    item_ref items[N];
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "entries");
    make_items(s.a, items);
    free(file_text(s.file, "DELETE FROM newt_projection"));
    free(file_text(s.file, "CREATE UNIQUE INDEX one ON newt_projection (class_name)"));
    assert_int_equal(sweep_all(s.a, NEWT_SWEEP_MISSING).refused, N - 1);
    assert_file(s.file, "2", "SELECT count(*) FROM newt_reject_entry");
    free(file_text(s.file, "DROP INDEX one"));
    begin(s.a);
    write_n(s.a, items[N - 1], 7);
    commit(s.a);
    assert_file(s.file, "1", "SELECT count(*) FROM newt_reject_entry");
    begin(s.a);
    ok(s.a, newt_delete(s.a, items[N - 2].any));
    commit(s.a);
    assert_file(s.file, "0", "SELECT count(*) FROM newt_reject_entry");
    assert_int_equal(sweep_all(s.a, NEWT_SWEEP_CHECK).missing, 0);
    store_close(&s);
}

/* A check waits for nobody who writes. */
static void
test_check_beside_writer(void **state)
{
    item_ref items[N];
    char uri[300];
    newt_conn *c;
    newt_db *db;
    sqlite3 *raw;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "check");
    make_items(s.a, items);
    snprintf(uri, sizeof uri, "sqlite:%s?timeout=1", s.file);
    assert_int_equal(newt_db_open(&db, uri, classes, NULL), NEWT_OK);
    c = connect_(db);
    assert_int_equal(sqlite3_open(s.file, &raw), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(raw, "BEGIN IMMEDIATE; DELETE FROM newt_projection", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sweep_all(c, NEWT_SWEEP_CHECK).missing, 0); /* it is not committed */
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    assert_int_equal(sweep_all(c, NEWT_SWEEP_CHECK).missing, N + 1); /* with the root */
    assert_int_equal(sweep_all(c, NEWT_SWEEP_MISSING).written, N + 1);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- claims --------------------------------------------------------------------------------- */

/* Who closes a feed gives its name free, though a child has the file open, too. */
static void
test_claim_beside_child(void **state)
{
    const newt_batch *b;
    newt_feed *f;
    int status, p[2];
    pid_t child;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "claim");
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    assert_int_equal(pipe(p), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;

        close(p[1]);
        _exit(read(p[0], &byte, 1) == 0 ? 0 : 1); /* until the parent closes it, or ends */
    }
    close(p[0]);
    newt_feed_close(f);
    newt_close(s.b);
    newt_close(s.a);
    newt_db_close(s.db);
    s.db = store_db(&s, classes, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    ok(s.b, newt_feed_next(f, 0, &b));
    newt_feed_close(f);
    close(p[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(&s);
}

/* A name that somebody has is in nobody's way who has another one. */
static void
test_claims_of_two(void **state)
{
    const newt_batch *b;
    newt_feed *f, *g;
    item_ref r;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "claims");
    f = open_feed(s.a, (newt_feed_options){.follower = "f"});
    nothing(s.a, f);
    g = open_feed(s.b, (newt_feed_options){.follower = "g"});
    nothing(s.b, g);
    r = make_item(s.b, "x", 1);
    for (int i = 0; i < 2; i++) {
        b = next(i ? s.b : s.a, i ? g : f);
        assert_int_equal(b->n_events, 1);
        assert_int_equal(b->events[0].oid, r.any.oid);
    }
    newt_feed_close(f);
    newt_feed_close(g);
    store_close(&s);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Numbers come through to the last digit, whatever the locale. */
static void
test_reals(void **state)
{
    static const char *const locales[] = {"C", "de_DE.UTF-8", "de_DE.utf8"};
    json_t *rows, *expected;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "reals");
    for (size_t k = 0; k < sizeof locales / sizeof *locales; k++) {
        if (!setlocale(LC_NUMERIC, locales[k]))
            continue;
        begin(s.a);
        ok(s.a, newt_query(s.a, &rows,
                           "SELECT 0.1 AS a, -2.5 AS b, 1e300 AS c, 5e-324 AS d, 3.0 AS e, "
                           "0.1 + 0.2 AS f, 1.7976931348623157e308 AS g, 9e999 AS h, -9e999 AS i",
                           0, NULL));
        expected = json_pack("[{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s,s:s}]", "a", 0.1, "b", -2.5, "c",
                             1e300, "d", 5e-324, "e", 3.0, "f", 0.1 + 0.2, "g", DBL_MAX, "h",
                             "Infinity", "i", "-Infinity");
        if (!json_equal(rows, expected))
            fail_msg("%s: %s", locales[k], json_dumps(rows, 0));
        json_decref(rows);
        json_decref(expected);
        newt_abort(s.a);
    }
    setlocale(LC_NUMERIC, "C");
    store_close(&s);
}

/* ---- indexes of words ---------------------------------------------------------------------------
 */

/* Long names are not cut; an empty part of one is refused. */
static void
test_index_names(void **state)
{
    static const char *const wrong[] = {"a..b", ".a", "a.", "..", "a.b..c"};
    char dotted[128];
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "index_names");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(newt_index_create(s.a, "bad", "Item", wrong[i], NEWT_INDEX_TEXT),
                         NEWT_EINVAL);
    for (size_t i = 0; i < sizeof dotted - 1; i++)
        dotted[i] = i % 2 ? '.' : 'x';
    dotted[sizeof dotted - 1] = 0; /* 127 bytes */
    ok(s.a, newt_index_create(s.a, "deep", "Item", dotted, NEWT_INDEX_TEXT));
    make_item(s.a, "x", 1);
    assert_file(s.file, "64",
                "SELECT (length(sql) - length(replace(sql, '\"x\"', ''))) / 3 FROM sqlite_schema "
                "WHERE type = 'view' AND sql LIKE '%\"x\".\"x\"%'");
    store_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_few_classes),
    cmocka_unit_test(test_damaged_lists),
    cmocka_unit_test(test_begun_after),
    cmocka_unit_test(test_begun_before),
    cmocka_unit_test(test_oids_of_replaced),
    cmocka_unit_test(test_own_tables),
    cmocka_unit_test(test_entries),
    cmocka_unit_test(test_check_beside_writer),
    cmocka_unit_test(test_claim_beside_child),
    cmocka_unit_test(test_claims_of_two),
    cmocka_unit_test(test_reals),
    cmocka_unit_test(test_index_names),
};

int
main(void)
{
    return run_all(tests);
}
