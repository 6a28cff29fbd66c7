/*
 * server_follow.c - followers: exact, in the extension and without it
 */
#include "followed.h"

static void
test_follow(void **state)
{
    newt_progress p;
    item_ref r[30];
    setting x;

    open_setting(&x, "follow", state);
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.written, 0); /* the root has its row */
    assert_int_equal(p.behind_us, 0);
    assert_int_equal(project(x.f, "updater", 100).transactions, 0);
    for (int i = 0; i < 30; i++)
        r[i] = make_item(x.lazy, "x", i);
    begin(x.lazy);
    write_n(x.lazy, r[0], 100);
    ok(x.lazy, newt_delete(x.lazy, r[1].any));
    commit(x.lazy);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    /* objects at a time, at least one transaction */
    p = project(x.f, "updater", 10);
    assert_int_equal(p.transactions, 10);
    assert_int_equal(p.written, 9); /* one of them is gone by now */
    assert_true(p.behind_us > 0);
    assert_sql(x.s.pg, "100", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r[0].any.oid);
    p = drain(x.f, "updater", 1);
    assert_int_equal(p.transactions, 21);
    assert_int_equal(p.written, 20);
    assert_int_equal(p.behind_us, 0);
    check_exact(&x);
    assert_int_equal(p.tid, sql_int(x.s.pg, "SELECT max(tid) FROM transaction"));
    assert_int_equal(p.tid, sql_int(x.s.pg, "SELECT tid FROM newt_follower"));
    /* changed, and removed once it had a row */
    begin(x.lazy);
    for (int i = 2; i < 10; i++)
        write_n(x.lazy, r[i], 200);
    for (int i = 10; i < 15; i++)
        ok(x.lazy, newt_delete(x.lazy, r[i].any));
    commit(x.lazy);
    p = drain(x.f, "updater", 1000);
    assert_int_equal(p.transactions, 1);
    assert_int_equal(p.written, 8);
    check_exact(&x);
    close_setting(&x);
}

/* Rows that are right already are not touched. */
static void
test_inline_rows(void **state)
{
    newt_progress p;
    item_ref r;
    setting x;

    open_setting(&x, "inline", state);
    r = make_item(x.s.a, "x", 1);
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.written, 0);
    begin(x.s.a);
    write_n(x.s.a, r, 2);
    for (int i = 0; i < 10; i++)
        item_done(new_item(x.s.a, "y", i));
    commit(x.s.a);
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.transactions, 1);
    assert_int_equal(p.written, 0);
    check_exact(&x);
    close_setting(&x);
}

/* Everything is gone through once, although the transactions are not there any more. */
static void
test_new_follower(void **state)
{
    newt_progress p, sum = {0};
    item_ref r[100];
    int calls = 0;
    setting x;

    open_setting(&x, "new", state);
    for (int i = 0; i < 100; i += 10) {
        begin(x.lazy);
        for (int k = i; k < i + 10; k++)
            r[k] = item_id(new_item(x.lazy, "x", k));
        commit(x.lazy);
    }
    sql_do(x.s.pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    sql_do(x.s.pg,
           "INSERT INTO newt_projection VALUES (77, 'Orphan', 1, '{}'), (%lld, 'Item', 1, "
           "'{\"old\": true}')",
           (long long)r[50].any.oid);
    do {
        p = project(x.f, "updater", 30);
        sum.written += p.written;
        sum.removed += p.removed;
        calls++;
        if (calls == 2) { /* meanwhile others go on, before and behind */
            assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_follower WHERE copied > 0");
            begin(x.lazy);
            write_n(x.lazy, r[1], 1000);
            write_n(x.lazy, r[99], 1000);
            ok(x.lazy, newt_delete(x.lazy, r[2].any));
            item_done(new_item(x.lazy, "late", 1));
            commit(x.lazy);
        }
    } while (p.transactions > 0);
    assert_in_range(calls, 5, 12);
    assert_true(sum.written >= 101);
    assert_in_range(sum.removed, 1, 2);
    check_exact(&x);
    assert_int_equal(p.tid, sql_int(x.s.pg, "SELECT max(tid) FROM transaction"));

    /* a position that was pruned away is as good as none */
    begin(x.lazy);
    write_n(x.lazy, r[5], 5000);
    commit(x.lazy);
    begin(x.lazy);
    write_n(x.lazy, r[6], 6000);
    commit(x.lazy);
    sql_do(x.s.pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    drain(x.f, "updater", 1000);
    check_exact(&x);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_follower");
    close_setting(&x);
}

static void
test_large(void **state)
{
    enum {
        LARGE = 30000
    };
    item_ref *r = calloc(LARGE, sizeof *r);
    newt_progress p;
    setting x;

    open_setting(&x, "large", state);
    drain(x.f, "updater", 100);
    make_item(x.lazy, "before", 1);
    begin(x.lazy);
    for (int i = 0; i < LARGE; i++)
        r[i] = item_id(new_item(x.lazy, "x", i));
    commit(x.lazy);
    begin(x.lazy);
    for (int i = 0; i < LARGE; i += 2)
        write_n(x.lazy, r[i], -1);
    for (int i = 1; i < LARGE; i += 30)
        ok(x.lazy, newt_delete(x.lazy, r[i].any));
    commit(x.lazy);
    make_item(x.lazy, "after", 1);
    p = drain(x.f, "updater", 500);
    assert_int_equal(p.transactions, 4);
    check_exact(&x);
    assert_sql(x.s.pg, "29002", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    close_setting(&x);
    free(r);
}

/* ---- classes -------------------------------------------------------------------------- */

struct thing {
    newt_text name;
    int64_t n;
};
NEWT_DECLARE(thing);
NEWT_CLASS(thing, "Thing", 1, NULL, NEWT_FIELD(struct thing, name), NEWT_FIELD(struct thing, n));
struct hidden_thing {
    newt_text name;
    int64_t n;
};
NEWT_DECLARE(hidden_thing);
NEWT_CLASS_AS(hidden_thing, "Thing", 2, NULL, NEWT_C_SKIP, NEWT_FIELD(struct hidden_thing, name),
              NEWT_FIELD(struct hidden_thing, n));
static int
to_json(const void *object, json_t *json, void *arg)
{
    (void)object;
    (void)arg;
    return json_object_set_new(json, "made", json_string("by a callback"));
}
static const newt_hooks hooks = {.size = sizeof hooks, .to_json = to_json};
struct shown {
    int64_t n;
};
NEWT_DECLARE(shown);
NEWT_CLASS(shown, "Shown", 1, &hooks, NEWT_FIELD(struct shown, n));

static void
test_classes(void **state)
{
    static const newt_class *const first[] = {&thing_class, &shown_class, NULL};
    static const newt_class *const second[] = {&hidden_thing_class, &shown_class, NULL};
    thing_ref r, q, text;
    struct hidden_thing *h;
    struct thing *t;
    struct shown *s;
    newt_progress p;
    newt_conn *c;
    newt_db *db;
    setting x;

    open_setting(&x, "classes", state);
    drain(x.f, "updater", 100);
    db = store_db(&x.s, first, leave);
    c = connect_(db);
    begin(c);
    assert_non_null(t = thing_new(c));
    r = thing_id(t);
    assert_non_null(t = thing_new(c));
    q = thing_id(t);
    assert_non_null(t = thing_new(c));
    ok(c, newt_text_setn((newt_object *)t, &t->name, "a\0b", 3));
    text = thing_id(t);
    assert_non_null(s = shown_new(c));
    s->n = 1;
    commit(c);
    /* classes with a callback are their programs' own; what cannot be shown is said */
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.written, 3);
    assert_int_equal(p.rejects, 1);
    assert_sql(x.s.pg, "by a callback",
               "SELECT state->>'made' FROM newt WHERE class_name = 'Shown'");
    assert_sql(x.s.pg, "{name} text",
               "SELECT path::text || ' ' || reason FROM newt_reject "
               "WHERE zoid = %lld",
               (long long)text.any.oid);
    begin(c);
    assert_non_null(t = thing_write(c, text));
    t->n = 5;
    commit(c);
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.rejects, 1);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_reject");
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_reject_entry");
    begin(c);
    assert_non_null(t = thing_write(c, text));
    newt_set(t, name, "whole");
    commit(c);
    drain(x.f, "updater", 100);
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt_reject");
    newt_close(c);
    newt_db_close(db);

    /* hidden from now on: the rows go; a record that is none has none */
    db = store_db(&x.s, second, leave);
    c = connect_(db);
    begin(c);
    assert_non_null(h = hidden_thing_write(c, hidden_thing_of(r.any)));
    h->n = 9;
    assert_non_null(hidden_thing_new(c));
    commit(c);
    sql_do(x.s.pg, "UPDATE object_state SET serial = 99, state = '\\x8301' WHERE zoid = %lld",
           (long long)q.any.oid);
    sql_do(x.s.pg,
           "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) "
           "+ 1, 99, 0, '{%lld}', '{}' FROM transaction",
           (long long)q.any.oid);
    p = drain(x.f, "updater", 100);
    assert_int_equal(p.written, 0);
    assert_int_equal(p.removed, 1); /* the writer has taken away the hidden one's */
    assert_int_equal(newt_status(x.f), NEWT_OK);
    assert_sql(x.s.pg, "2", "SELECT count(*) FROM newt WHERE class_name IN ('Thing', 'Shown')");
    newt_close(c);
    newt_db_close(db);
    close_setting(&x);
}

/* ---- misuse, limits ------------------------------------------------------------------ */

static void
test_misuse(void **state)
{
    newt_progress p = {.size = sizeof p};
    newt_stats before;
    setting x;

    open_setting(&x, "misuse", state);
    begin(x.f);
    assert_int_equal(newt_project(x.f, "updater", 10, &p), NEWT_EBUSY);
    newt_abort(x.f);
    before = stats_of(x.f);
    assert_int_equal(newt_project(x.f, "", 10, &p), NEWT_EINVAL);
    assert_int_equal(newt_project(x.f, NULL, 10, &p), NEWT_EINVAL);
    assert_int_equal(newt_project(x.f, "updater", 0, &p), NEWT_EINVAL);
    p.size = sizeof p + 8;
    assert_int_equal(newt_project(x.f, "updater", 10, &p), NEWT_EINVAL);
    p.size = 0;
    assert_int_equal(newt_project(x.f, "updater", 10, &p), NEWT_EINVAL);
    assert_int_equal(stats_of(x.f).statements, before.statements);
    p.size = offsetof(newt_progress, transactions); /* of an older header */
    ok(x.f, newt_project(x.f, "updater", 10, &p));
    close_setting(&x);
}

/* A batch is not a query that a role's limit is meant for: cancelled, it would be begun again for
 * ever. The transaction's own limit, which other transactions of the session keep. */
static void
test_time_limits(void **state)
{
    static const char *const limits[] = {"statement_timeout", "transaction_timeout"};
    newt_conn *c;
    newt_db *db;
    setting x;
    size_t n;

    open_setting(&x, "limits", state);
    n = PQserverVersion(x.s.pg) < 170000 ? 1 : 2;
    for (size_t i = 0; i < n; i++)
        sql_do(x.s.pg, "ALTER DATABASE %s SET %s = '10min'", PQdb(x.s.pg), limits[i]);
    db = store_db(&x.s, NULL, (newt_options){0});
    c = connect_(db);
    for (size_t i = 0; i < n; i++) {
        json_t *rows;
        item_ref r;

        sql_do(x.s.pg,
               "CREATE OR REPLACE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS "
               "'BEGIN IF current_setting(''%s'') <> ''0'' THEN RAISE query_canceled; END IF; "
               "RETURN NEW; END'",
               limits[i]);
        sql_do(x.s.pg, "CREATE TRIGGER limited BEFORE INSERT ON newt_projection FOR EACH ROW "
                       "EXECUTE FUNCTION limited()");
        r = make_item(x.lazy, "refused", 1);
        drain(c, "updater", 100);
        make_item(x.lazy, "in a transaction that is followed", 1);
        drain(c, "updater", 100);
        check_exact(&x);
        sql_do(x.s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK ((state->>'n')::int "
                       "<> 2) NOT VALID");
        begin(x.lazy);
        write_n(x.lazy, r, 2);
        commit(x.lazy);
        drain(c, "updater", 100);
        assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_reject WHERE constraint_name = 'fine'");
        sql_do(x.s.pg, "ALTER TABLE newt_projection DROP CONSTRAINT fine");
        ok(c, newt_retry_rejects(c, 100, &(newt_progress){.size = sizeof(newt_progress)}));
        check_exact(&x);
        begin(c);
        ok(c, newt_query(c, &rows, "SELECT current_setting($1) AS limit", 1, &limits[i]));
        assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "limit")),
                            "10min");
        json_decref(rows);
        commit(c);
        sql_do(x.s.pg, "DROP TRIGGER limited ON newt_projection");
        sql_do(x.s.pg, "ALTER DATABASE %s RESET %s", PQdb(x.s.pg), limits[i]);
    }
    newt_close(c);
    newt_db_close(db);
    close_setting(&x);
}

static const struct CMUnitTest tests[] = {
    BOTH(test_follow),  BOTH(test_inline_rows), BOTH(test_new_follower), BOTH(test_large),
    BOTH(test_classes), BOTH(test_misuse),      BOTH(test_time_limits),
};

int
main(void)
{
    return run_all(tests);
}
