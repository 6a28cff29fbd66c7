/*
 * server_follow.c - followers: exact, in the extension and without it, beside other writers
 *
 * Every test runs in a database with the extension and in one without.
 */
#include "server.h"

#include <stdatomic.h>

static bool with_extension;

static const newt_options leave = {.no_inline = true}; /* leaves rows to the follower */

typedef struct setting {
    store s; /* a and b write their rows themselves */
    newt_db *lazy_db;
    newt_conn *lazy; /* leaves them to the follower */
    newt_db *follow_db;
    newt_conn *f; /* knows no classes, like the updater */
} setting;

static void
open_setting(setting *x, const char *name, void **state)
{
    with_extension = *(const bool *)*state;
    use_database(with_extension);
    store_open(&x->s, name);
    x->lazy_db = store_db(&x->s, classes, leave);
    x->lazy = connect_(x->lazy_db);
    x->follow_db = store_db(&x->s, NULL, (newt_options){0});
    x->f = connect_(x->follow_db);
}

static void
close_setting(setting *x)
{
    newt_close(x->lazy);
    newt_db_close(x->lazy_db);
    newt_close(x->f);
    newt_db_close(x->follow_db);
    store_close(&x->s);
}

static newt_progress
project(newt_conn *c, const char *name, int64_t max)
{
    newt_progress p = {.size = sizeof p};

    ok(c, newt_project(c, name, max, &p));
    return p;
}

/* Batch after batch until there is nothing to do; the sums. */
static newt_progress
drain(newt_conn *c, const char *name, int64_t max)
{
    newt_progress sum = {0}, p;

    do {
        p = project(c, name, max);
        sum.transactions += p.transactions;
        sum.written += p.written;
        sum.removed += p.removed;
        sum.rejects += p.rejects;
        sum.tid = p.tid;
        sum.behind_us = p.behind_us;
    } while (p.transactions > 0);
    return sum;
}

/* A row for every record, of its serial, and nothing else. */
static void
check_exact(const store *s)
{
    assert_sql(s->pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE o.serial IS DISTINCT FROM p.serial");
    if (with_extension)
        assert_sql(s->pg, "0",
                   "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
                   "WHERE p.state::text IS DISTINCT FROM newt.to_jsonb(o.state)::text "
                   "OR p.class_name IS DISTINCT FROM newt.class_name(o.state)");
}

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
    check_exact(&x.s);
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
    check_exact(&x.s);
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
    check_exact(&x.s);
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
    check_exact(&x.s);
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
    check_exact(&x.s);
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
    check_exact(&x.s);
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

/* ---- misuse, rivals ------------------------------------------------------------------- */

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
        check_exact(&x.s);
        sql_do(x.s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK ((state->>'n')::int "
                       "<> 2) NOT VALID");
        begin(x.lazy);
        write_n(x.lazy, r, 2);
        commit(x.lazy);
        drain(c, "updater", 100);
        assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt_reject WHERE constraint_name = 'fine'");
        sql_do(x.s.pg, "ALTER TABLE newt_projection DROP CONSTRAINT fine");
        ok(c, newt_retry_rejects(c, 100, &(newt_progress){.size = sizeof(newt_progress)}));
        check_exact(&x.s);
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

typedef struct rival {
    newt_conn *c;
    newt_progress p;
    int status;
} rival;

static void *
project_in_thread(void *arg)
{
    rival *r = arg;

    r->p = (newt_progress){.size = sizeof r->p};
    r->status = newt_project(r->c, "updater", 1000, &r->p);
    return NULL;
}

/* In a statement on the store; or in COMMIT, before its commit lock. */
static int64_t
waiting(const store *s)
{
    return sql_int(s->pg,
                   "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE "
                   "NOT granted AND a.datname = current_database() AND (query LIKE '%%\"%s\"%%' "
                   "OR l.relation = 'newt_commit_lock'::regclass)",
                   s->schema);
}

static void
test_two_of_a_name(void **state)
{
    rival r;
    pthread_t t;
    PGconn *pg;
    setting x;

    open_setting(&x, "rivals", state);
    drain(x.f, "updater", 100);
    make_item(x.lazy, "x", 1);
    /* another one is in the middle of the same batch */
    pg = sql_open();
    sql_do(pg, "SET search_path = %s", x.s.schema);
    sql_do(pg, "BEGIN");
    sql_do(pg, "UPDATE newt_follower SET serial = NULL, tid = (SELECT max(tid) FROM transaction)");
    r = (rival){.c = x.f};
    assert_int_equal(pthread_create(&t, NULL, project_in_thread, &r), 0);
    wait_until(waiting(&x.s) == 1);
    sql_do(pg, "COMMIT");
    pthread_join(t, NULL);
    assert_int_equal(r.status, NEWT_ECONFLICT);
    assert_string_equal(newt_error_message(newt_conn_error(x.f)),
                        "another process follows under this name");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(x.f)), "\"updater\""));
    /* nothing of its batch is there; if the other one gives up, it goes on */
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    sql_do(pg, "BEGIN");
    sql_do(pg, "UPDATE newt_follower SET tid = 1");
    sql_do(pg, "ROLLBACK");
    make_item(x.lazy, "y", 1);
    drain(x.f, "updater", 100);
    assert_sql(x.s.pg, "1", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    PQfinish(pg);
    close_setting(&x);
}

/* ---- beside inline writers ------------------------------------------------------------ */

typedef struct writer {
    newt_conn *c;
    item_ref r;
    int64_t n; /* negative: remove it */
    int status;
} writer;

static void *
write_in_thread(void *arg)
{
    writer *w = arg;

    w->status = newt_begin(w->c);
    if (w->status == NEWT_OK) {
        if (w->n < 0)
            w->status = newt_delete(w->c, w->r.any);
        else
            write_n(w->c, w->r, w->n);
        w->status = newt_commit(w->c);
    }
    return NULL;
}

enum {
    COMMITS,
    DIES
};

/*
 * The follower reads while an inline writer of the same object stands before its commit lock, with
 * its row written and locked. had_row: the follower saw an older row; else none.
 */
static void
race(setting *x, bool had_row, int64_t n, int how, const char *expected)
{
    item_ref r = make_item(had_row ? x->s.a : x->lazy, "raced", 1);
    writer w = {.c = x->s.b, .r = r, .n = n};
    rival f = {.c = x->f};
    pthread_t wt, ft;
    bool blocks;
    PGconn *pg;

    drain(x->f, "other", 1000); /* had_row: it leaves it alone */
    if (!had_row) {
        sql_do(x->s.pg, "DELETE FROM newt_projection WHERE zoid = %lld", (long long)r.any.oid);
        begin(x->lazy);
        write_n(x->lazy, r, 2);
        commit(x->lazy);
    } else {
        begin(x->lazy);
        write_n(x->lazy, r, 2);
        commit(x->lazy);
    }
    pg = sql_open();
    sql_do(pg, "SET search_path = %s", x->s.schema);
    sql_do(pg, "BEGIN");
    sql_do(pg, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    assert_int_equal(pthread_create(&wt, NULL, write_in_thread, &w), 0);
    wait_until(waiting(&x->s) == 1);
    assert_int_equal(pthread_create(&ft, NULL, project_in_thread, &f), 0);
    /* it waits for the writer's row, unless the writer has none */
    blocks = n >= 0 || had_row;
    if (blocks)
        wait_until(waiting(&x->s) == 2);
    else
        pthread_join(ft, NULL);
    if (how == DIES)
        sql_do(x->s.pg, "SELECT pg_terminate_backend(l.pid, 60000) FROM pg_locks l JOIN pg_class k "
                        "ON k.oid = l.relation JOIN pg_database d ON d.oid = l.database "
                        "WHERE datname = current_database() AND NOT granted "
                        "AND relname = 'newt_commit_lock'");
    sql_do(pg, "COMMIT");
    pthread_join(wt, NULL);
    if (blocks)
        pthread_join(ft, NULL);
    assert_int_equal(f.status, NEWT_OK);
    assert_int_equal(w.status, how == DIES ? NEWT_ELOST : NEWT_OK);
    assert_sql(x->s.pg, expected, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r.any.oid);
    drain(x->f, "updater", 1000);
    check_exact(&x->s);
    PQfinish(pg);
}

static void
test_races(void **state)
{
    setting x;

    open_setting(&x, "races", state);
    drain(x.f, "updater", 100);
    race(&x, true, 3, COMMITS, "3"); /* the writer's row is newer and stays */
    race(&x, false, 3, COMMITS, "3");
    race(&x, true, 3, DIES, "2"); /* it never was: the follower's row counts */
    race(&x, false, 3, DIES, "2");
    race(&x, true, -1, COMMITS, "");   /* removed */
    race(&x, false, -1, COMMITS, "2"); /* ... from under a row that the next batch takes away */
    race(&x, true, -1, DIES, "2");
    close_setting(&x);
}

/* ---- all at once ---------------------------------------------------------------------- */

enum {
    OBJECTS = 60,
    WRITERS = 3,
    ROUNDS = 60
};

typedef struct stress {
    newt_db *db;
    item_ref *r;
    uint64_t seed;
    int status;
    bool follow;
    const char *name;
    atomic_bool *stop;
} stress;

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static int
stress_work(newt_conn *c, void *arg)
{
    stress *s = arg;

    for (int k = (int)(next_random(&s->seed) % 8) + 1; k > 0; k--) {
        item_ref r = s->r[next_random(&s->seed) % OBJECTS];
        struct item *i = item_write(c, r);

        if (!i && newt_status(c) == NEWT_EMISSING)
            continue;
        if (!i)
            return newt_status(c);
        i->n++;
        if (next_random(&s->seed) % 16 == 0) {
            int status = newt_delete(c, r.any);

            if (status != NEWT_OK)
                return status;
        }
    }
    if (next_random(&s->seed) % 2 == 0)
        item_done(new_item(c, "more", 1));
    return 0;
}

static void *
stress_thread(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    newt_progress p = {.size = sizeof p};
    stress *s = arg;
    newt_conn *c = NULL;

    s->status = newt_connect(s->db, &c);
    if (s->follow) {
        while (s->status == NEWT_OK && !*s->stop) {
            s->status = newt_project(c, s->name, 20, &p);
            if (s->status == NEWT_ECONFLICT) /* a deadlock with an inline writer is possible */
                s->status = NEWT_OK;
        }
    } else {
        for (int i = 0; i < ROUNDS && s->status == NEWT_OK; i++)
            s->status = newt_transact(c, stress_work, s, &patient);
    }
    newt_close(c);
    return NULL;
}

static void
test_stress(void **state)
{
    const char *given = getenv("NEWT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003 + 7;
    pthread_t t[WRITERS + 2];
    stress w[WRITERS + 2];
    atomic_bool stop = false;
    item_ref r[OBJECTS];
    setting x;

    open_setting(&x, "stress", state);
    print_message("# NEWT_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < OBJECTS; i++)
        r[i] = make_item(i % 2 ? x.s.a : x.lazy, "x", i);
    for (int i = 0; i < WRITERS + 2; i++) {
        bool follow = i >= WRITERS;

        w[i] = (stress){.db = follow  ? x.follow_db
                              : i % 2 ? x.s.db
                                      : x.lazy_db,
                        .r = r,
                        .seed = seed * (uint64_t)(i + 1) | 1,
                        .follow = follow,
                        .name = i == WRITERS ? "one" : "two",
                        .stop = &stop};
        assert_int_equal(pthread_create(&t[i], NULL, stress_thread, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS + 2; i++) {
        if (i == WRITERS)
            stop = true;
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].status, NEWT_OK);
    }
    /* a row that one has put back under a removal goes in its own next batch: both have to end */
    drain(x.f, "one", 20);
    drain(x.f, "two", 20);
    check_exact(&x.s);
    close_setting(&x);
}

static const bool with = true, without = false;

#define both(f)                                                                                    \
    {#f " (in the server)", f, NULL, NULL, (void *)(uintptr_t)&with},                              \
    {                                                                                              \
#        f " (in the client)", f, NULL, NULL, (void *)(uintptr_t)&without                          \
    }

static const struct CMUnitTest follow[] = {
    both(test_follow),  both(test_inline_rows), both(test_new_follower),  both(test_large),
    both(test_classes), both(test_misuse),      both(test_two_of_a_name), both(test_races),
    both(test_stress),  both(test_time_limits),
};

int
main(void)
{
    return run_all(follow);
}
