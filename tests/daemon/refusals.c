/*
 * refusals.c - rows that the database refuses do not stop the feed: they are left out and told of,
 * all others are written, and what can be written later is
 */
#include "../brief.h"
#include "daemon.h"

static const bool without = false, with = true;

typedef struct store {
    PGconn *pg;
    char conninfo[64];
    newt_db *db;
    newt_conn *c;
} store;

static void
open_as(void **state, store *s, const char *name)
{
    char database[32];

    snprintf(database, sizeof database, "refusals_%s_%d", name, *(const bool *)*state);
    s->pg = make_database(database, *(const bool *)*state, s->conninfo);
    make_store(s->conninfo, "public");
    s->db = open_db(s->conninfo, "public", true);
    s->c = open_conn(s->db);
}

static void
close_store(store *s)
{
    newt_close(s->c);
    newt_db_close(s->db);
    PQfinish(s->pg);
}

static void
begin(newt_conn *c)
{
    if (newt_begin(c) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(c)));
}

static void
commit(newt_conn *c)
{
    if (newt_commit(c) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(c)));
}

/* A new object in the open transaction. */
static item_ref
add(newt_conn *c, const char *name)
{
    struct item *i = item_new(c);
    item_ref r;

    assert_non_null(i);
    newt_set(i, name, name);
    r = item_id(i);
    item_done(i);
    return r;
}

static void
name_it(newt_conn *c, item_ref r, const char *name)
{
    struct item *i = item_write(c, r);

    assert_non_null(i);
    newt_set(i, name, name);
    item_done(i);
}

/* The updater, once; what it says is in text. */
static void
drain(const store *s, const char *option, char *text, size_t n)
{
    updater u;
    int status;

    updater_start(&u, "--once", "--log-format", "json", s->conninfo, option, NULL);
    status = updater_wait(&u);
    updater_said(&u, text, n);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
}

static int64_t
rows(const store *s)
{
    return sql_number(s->pg, "SELECT count(*) FROM newt WHERE class_name = 'Item'");
}

static int64_t
refused(const store *s)
{
    return sql_number(s->pg, "SELECT count(*) FROM newt_reject WHERE sqlstate IS NOT NULL");
}

#define UNIQUE "CREATE UNIQUE INDEX one_name ON newt_projection ((state->>'name'))"

/* What refuses the name "bad" (or "taken", or a long one), in which way, and what makes an end of
 * it. */
static const struct {
    const char *name, *ddl, *end, *sqlstate, *constraint;
} obstacles[] = {
    {"taken", UNIQUE, "DROP INDEX one_name", "23505", "one_name"},
    {"taken",
     "ALTER TABLE newt_projection ADD CONSTRAINT apart EXCLUDE ((state->>'name') WITH =) "
     "DEFERRABLE INITIALLY DEFERRED",
     "ALTER TABLE newt_projection DROP CONSTRAINT apart", "23P01", "apart"},
    {"bad",
     "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK (state->>'name' <> 'bad') NOT VALID",
     "ALTER TABLE newt_projection DROP CONSTRAINT fine", "23514", "fine"},
    {NULL, "CREATE INDEX by_name ON newt_projection ((state->>'name'))", "DROP INDEX by_name",
     "54000", NULL},
    {"bad",
     "CREATE INDEX by_number ON newt_projection (((state->>'name')::integer)) WHERE "
     "state->>'name' = 'bad'",
     "DROP INDEX by_number", "22P02", ""},
    {"bad",
     "CREATE INDEX by_words ON newt_projection USING gin (string_to_array(repeat('x', "
     "1 / CASE WHEN state->>'name' = 'bad' THEN 0 ELSE 1 END), ' '))",
     "DROP INDEX by_words", "22012", ""},
    {"bad",
     "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF "
     "new.state->>''name'' = ''bad'' THEN RAISE ''not this one'' USING ERRCODE = ''AP001''; END "
     "IF; RETURN new; END'; CREATE TRIGGER no_bad BEFORE INSERT OR UPDATE ON newt_projection FOR "
     "EACH ROW EXECUTE FUNCTION no_bad()",
     "DROP TRIGGER no_bad ON newt_projection", "AP001", ""},
};

/* Text that does not compress to what an index row holds. */
static const char *
long_name(void)
{
    static char text[100001];
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < sizeof text - 1; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        text[i] = (char)('a' + x % 26);
    }
    return text;
}

static void
test_one_row(void **state)
{
    char text[65536], name[40];

    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++) {
        const char *bad = obstacles[i].name ? obstacles[i].name : long_name();
        item_ref old, new = {{0}};
        struct item *again;
        store s;

        if (brief() && i % 2 == *(const bool *)*state) /* half with the extension, half without */
            continue;
        printf("# %s\n", obstacles[i].ddl);
        open_as(state, &s, "one");
        sql_do(s.pg, "%s", obstacles[i].ddl);
        begin(s.c);
        add(s.c, "taken");
        old = add(s.c, "good");
        commit(s.c);
        drain(&s, NULL, text, sizeof text);
        assert_int_equal(rows(&s), 2);
        /* one that had a row, one that had none, and 500 others */
        begin(s.c);
        for (int k = 0; k < 500; k++) {
            snprintf(name, sizeof name, "%d", k);
            add(s.c, name);
            if (k == 333)
                new = add(s.c, bad);
        }
        name_it(s.c, old, i == 0 ? "taken" : bad);
        commit(s.c);
        drain(&s, NULL, text, sizeof text);
        assert_int_equal(rows(&s), 501);
        assert_int_equal(refused(&s), 2);
        assert_int_equal(
            sql_number(s.pg, "SELECT count(*) FROM newt WHERE zoid = %lld", (long long)old.any.oid),
            0);
        assert_int_equal(sql_number(s.pg,
                                    "SELECT count(*) FROM newt_reject WHERE sqlstate = '%s' AND "
                                    "reason <> '' AND path = '{}' AND tid > 0 AND zoid IN (%lld, "
                                    "%lld)",
                                    obstacles[i].sqlstate, (long long)old.any.oid,
                                    (long long)new.any.oid),
                         2);
        if (obstacles[i].constraint)
            assert_int_equal(sql_number(s.pg,
                                        "SELECT count(*) FROM newt_reject WHERE "
                                        "coalesce(constraint_name, '') = '%s'",
                                        obstacles[i].constraint),
                             2);
        snprintf(name, sizeof name, "\"oid\": %lld", (long long)new.any.oid);
        assert_non_null(strstr(text, name));
        assert_non_null(strstr(text, obstacles[i].sqlstate));
        assert_non_null(strstr(text, "\"class\": \"Item\""));
        assert_non_null(strstr(text, "\"rejects\": 2"));
        /* as long as nothing changes it stays so; the feed goes on */
        begin(s.c);
        add(s.c, "another");
        commit(s.c);
        drain(&s, "--retry-rejects", text, sizeof text);
        assert_non_null(strstr(text, "\"rejects\": 2"));
        assert_int_equal(refused(&s), 2);
        assert_int_equal(rows(&s), 502);
        /* written again, and refused again: one entry, of what it is now */
        begin(s.c);
        again = item_write(s.c, old);
        assert_non_null(again);
        again->n++;
        item_done(again);
        commit(s.c);
        drain(&s, NULL, text, sizeof text);
        assert_int_equal(refused(&s), 2);
        assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt_reject_entry"), 2);
        /* written again, and fine */
        begin(s.c);
        name_it(s.c, old, "good again");
        commit(s.c);
        drain(&s, NULL, text, sizeof text);
        assert_int_equal(refused(&s), 1);
        assert_int_equal(rows(&s), 503);
        /* ... or the obstacle goes */
        sql_do(s.pg, "%s", obstacles[i].end);
        drain(&s, "--retry-rejects", text, sizeof text);
        assert_int_equal(refused(&s), 0);
        assert_exact(s.pg, "public");
        assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt_reject_entry"), 0);
        close_store(&s);
    }
}

/* A new follower, which goes through all objects, and large transactions, whose oids are in chunks.
 */
static void
test_many_rows(void **state)
{
    const int N = brief() ? 2400 : 6000; /* 6000: in more than one of their chunks */
    char text[65536], name[40];
    int64_t position;
    store s;

    open_as(state, &s, "many");
    sql_do(s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK "
                 "((state->>'n')::bigint %% 6 <> 0)");
    for (int round = 0; round < 2; round++) {
        begin(s.c);
        for (int i = 0; i < N; i++) {
            struct item *o = item_new(s.c);

            assert_non_null(o);
            snprintf(name, sizeof name, "%d", i);
            newt_set(o, name, name);
            o->n = i;
            item_done(o);
        }
        commit(s.c);
        drain(&s, NULL, text, sizeof text);
        assert_int_equal(rows(&s), (round + 1) * (N - N / 6));
        assert_int_equal(refused(&s), (round + 1) * N / 6);
        if (!strstr(text, "more objects"))
            fail_msg("nothing is said of the others: %s", text);
    }
    position = sql_number(s.pg, "SELECT tid FROM newt_follower");
    assert_int_equal(position, sql_number(s.pg, "SELECT max(tid) FROM transaction"));
    /* a new follower finds the same */
    sql_do(s.pg, "DELETE FROM newt_follower");
    sql_do(s.pg, "DELETE FROM newt_reject_entry");
    drain(&s, NULL, text, sizeof text);
    assert_int_equal(refused(&s), 2 * N / 6);
    sql_do(s.pg, "ALTER TABLE newt_projection DROP CONSTRAINT fine");
    drain(&s, "--retry-rejects", text, sizeof text);
    assert_int_equal(refused(&s), 0);
    assert_exact(s.pg, "public");
    close_store(&s);
}

/* To find one row costs at most the logarithm of a chunk, in statements that fail; counted where
 * the server does. */
static void
test_cost(void **state)
{
    enum {
        N = 4000
    };
    newt_progress p = {.size = sizeof p};
    int64_t rolled_back, log2_chunk = *(const bool *)*state ? 10 : 8;
    char name[40];
    newt_conn *follower;
    newt_stats before = {.size = sizeof before}, after = before;
    store s;

    open_as(state, &s, "cost");
    follower = open_conn(s.db);
    assert_int_equal(newt_project(follower, "f", N, &p), NEWT_OK);
    while (p.behind_us > 0 || p.transactions > 0)
        assert_int_equal(newt_project(follower, "f", N, &p), NEWT_OK);
    sql_do(s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK (state->>'name' <> 'bad')");
    newt_conn_stats(follower, &before);
    for (int bad = 0; bad < 2; bad++) {
        begin(s.c);
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "%d %d", bad, i);
            add(s.c, bad && i == N / 3 ? "bad" : name);
        }
        commit(s.c);
        newt_conn_stats(follower, &before);
        assert_int_equal(newt_project(follower, "f", N, &p), NEWT_OK);
        assert_int_equal(p.refused, bad);
        assert_int_equal(p.written, N - bad);
        newt_conn_stats(follower, &after);
        printf("# %d refused: %d statements, %d round trips\n", bad,
               (int)(after.statements - before.statements),
               (int)(after.round_trips - before.round_trips));
    }
    /* a piece is at most five statements: savepoint, read, write, back, release; each level has two
     */
    rolled_back = after.statements - before.statements;
    assert_true(rolled_back <=
                5 * (2 * log2_chunk + 2 * N / (*(const bool *)*state ? 1000 : 200)) + 20);
    newt_close(follower);
    close_store(&s);
}

/* A unique value that objects hand on to one another, or swap: within a batch, and across batches,
 * whatever the order. In the end all have their rows. */
static void
test_handed_over(void **state)
{
    char text[65536];
    item_ref a, b, c;
    updater u;
    store s;

    open_as(state, &s, "handed");
    sql_do(s.pg, UNIQUE);
    begin(s.c);
    a = add(s.c, "a");
    b = add(s.c, "b");
    c = add(s.c, "c");
    commit(s.c);
    drain(&s, NULL, text, sizeof text);
    begin(s.c); /* a swap */
    name_it(s.c, a, "b");
    name_it(s.c, b, "a");
    commit(s.c);
    drain(&s, NULL, text, sizeof text);
    assert_int_equal(refused(&s), 0);
    if (strstr(text, "warning"))
        fail_msg("%s", text);
    assert_exact(s.pg, "public");
    begin(s.c); /* a chain, the last first */
    name_it(s.c, c, "d");
    name_it(s.c, b, "c");
    name_it(s.c, a, "a");
    commit(s.c);
    drain(&s, NULL, text, sizeof text);
    assert_int_equal(refused(&s), 0);
    assert_exact(s.pg, "public");
    /* two transactions, each a batch of its own: the first one's object is read with the state that
     * the second gave it, and comes too early */
    begin(s.c);
    name_it(s.c, a, "x");
    commit(s.c);
    begin(s.c);
    name_it(s.c, c, "free");
    commit(s.c);
    begin(s.c);
    name_it(s.c, a, "d");
    commit(s.c);
    updater_start(&u, "--batch=1", s.conninfo, NULL);
    wait_until(refused(&s) == 0 && rows(&s) == 3 &&
               sql_number(s.pg, "SELECT tid FROM newt_follower") ==
                   sql_number(s.pg, "SELECT max(tid) FROM transaction"));
    assert_exact(s.pg, "public");
    /* refused for a while; the other lets it go when nobody expects it any more */
    begin(s.c);
    name_it(s.c, b, "d");
    commit(s.c);
    wait_until(refused(&s) == 1);
    begin(s.c);
    if (newt_delete(s.c, a.any) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_conn_error(s.c)));
    commit(s.c);
    wait_until(refused(&s) == 0);
    assert_exact(s.pg, "public");
    updater_stop(&u);
    close_store(&s);
}

/* An error that is not about a row ends it, and says so: nothing is thrown away. */
static void
test_not_of_a_row(void **state)
{
    char text[65536];
    updater u;
    store s;

    open_as(state, &s, "not");
    sql_do(s.pg, "CREATE FUNCTION inner_one(jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT "
                 "$1->>''name'''");
    sql_do(s.pg, "CREATE FUNCTION outer_one(jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS "
                 "'BEGIN RETURN public.inner_one($1); END'");
    sql_do(s.pg, "CREATE INDEX by_function ON newt_projection (outer_one(state))");
    begin(s.c);
    add(s.c, "a");
    commit(s.c);
    drain(&s, NULL, text, sizeof text);
    sql_do(s.pg, "DROP FUNCTION inner_one");
    begin(s.c);
    add(s.c, "b");
    commit(s.c);
    updater_start(&u, "--once", s.conninfo, NULL);
    assert_int_equal(updater_wait(&u), 1);
    assert_true(updater_says(&u, "42883"));
    updater_forget(&u, false);
    assert_int_equal(rows(&s), 1);
    assert_int_equal(refused(&s), 0);
    sql_do(s.pg, "DROP INDEX by_function");
    drain(&s, NULL, text, sizeof text);
    assert_exact(s.pg, "public");
    close_store(&s);
}

/* Another writes a row while the updater, that did not see it, is about to write it too. That is
 * not refused, and the row stays as it is: it may be newer. */
static void
test_other_first(void **state)
{
    PGconn *other;
    item_ref r;
    updater u;
    store s;

    open_as(state, &s, "first");
    other = sql_open(PQdb(s.pg));
    begin(s.c);
    add(s.c, "a");
    r = add(s.c, "b");
    add(s.c, "c");
    commit(s.c);
    sql_do(other, "BEGIN");
    sql_do(other,
           "INSERT INTO newt_projection SELECT zoid, 'Item', serial, '{\"name\": \"first\"}' FROM "
           "object_state WHERE zoid = %lld",
           (long long)r.any.oid);
    updater_start(&u, "--once", s.conninfo, NULL);
    wait_until(sql_number(s.pg, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                                "current_database() AND wait_event_type = 'Lock'") == 1);
    sql_do(other, "COMMIT");
    assert_int_equal(updater_wait(&u), 0);
    updater_forget(&u, false);
    assert_int_equal(rows(&s), 3);
    assert_int_equal(refused(&s), 0);
    assert_int_equal(sql_number(s.pg, "SELECT count(*) FROM newt WHERE state->>'name' = 'first'"),
                     1);
    PQfinish(other);
    close_store(&s);
}

#define TWICE(test)                                                                                \
    {#test, test, NULL, NULL, (void *)(uintptr_t)&without},                                        \
    {                                                                                              \
#        test "_extension", test, NULL, NULL, (void *)(uintptr_t)&with                             \
    }

static const struct CMUnitTest refusals[] = {
    TWICE(test_one_row),     TWICE(test_many_rows),    TWICE(test_cost),
    TWICE(test_handed_over), TWICE(test_not_of_a_row), TWICE(test_other_first),
};

int
main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(refusals, NULL, NULL);
}
