/*
 * server_write.c - newt.write() and newt.commit() while somebody else writes the same rows, or
 * holds the commit lock
 */
#include "projectors.h"

/* A store, and the sessions of the two. */
typedef struct pair {
    store s;
    PGconn *other;
} pair;

static void
pair_open(pair *p, const char *name)
{
    *p = (pair){0};
    store_make(&p->s, name);
    /* ["W", 1, {"a": n}] */
    sql_do(p->s.pg, "CREATE FUNCTION rec(n bigint) RETURNS bytea LANGUAGE sql AS $$ SELECT "
                    "'\\x83615701a16161'::bytea || set_byte('\\x1800', 1, n::integer) $$");
    /* the same, of which there is no row */
    sql_do(p->s.pg, "CREATE FUNCTION hid(n bigint) RETURNS bytea LANGUAGE sql AS $$ SELECT "
                    "'\\x83615701d99603a16161'::bytea || set_byte('\\x1800', 1, n::integer) $$");
    p->other = sql_open();
    sql_do(p->other, "SET search_path = %s, public", p->s.schema);
}

/* Six objects of the serial 100, and no others. */
static void
make_six(pair *p, int64_t step)
{
    sql_do(p->s.pg, "DELETE FROM object_state");
    sql_do(p->s.pg, "DELETE FROM newt_projection");
    sql_do(p->s.pg,
           "SELECT newt.write('object_state', ARRAY(SELECT 11 + n * %lld FROM generate_series(0, "
           "5) n), '{0,0,0,0,0,0}', ARRAY(SELECT rec(30 + n) FROM generate_series(0, 5) n), 100, "
           "true)",
           (long long)step);
}

static void
pair_close(pair *p)
{
    PQfinish(p->other);
    PQfinish(p->s.pg);
}

/* Until the session waits for the other one. */
static void
await_blocked(pair *p)
{
    wait_until(sql_int(p->other,
                       "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND "
                       "pg_backend_pid() = ANY(pg_blocking_pids(pid))",
                       PQbackendPID(p->s.pg)) == 1);
}

/* How what was sent has ended: its SQLSTATE, or "". */
static void
assert_ended(pair *p, const char *expected)
{
    PGresult *r = PQgetResult(p->s.pg), *next;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    assert_string_equal(state ? state : "", expected);
    while ((next = PQgetResult(p->s.pg)))
        PQclear(next);
    PQclear(r);
}

/* Changes all six, once the other session has changed the third, and in some cases later ones. The
 * other one ends its transaction as soon as it is waited for. */
static void
race(pair *p, const char *made, const char *before, const char *change, const char *end,
     const char *expected)
{
    char sql[300];

    for (int64_t step = 1; step < 1000000; step += 99999) { /* close together, and far apart */
        make_six(p, step);
        if (before)
            sql_do(p->s.pg, before, (long long)(11 + 2 * step));
        sql_do(p->other, "BEGIN");
        sql_do(p->other, change, (long long)(11 + 2 * step));
        snprintf(sql, sizeof sql,
                 "SELECT newt.write('object_state', array_agg(zoid), array_agg(100::bigint), "
                 "array_agg(%s(49 + n)), 200, true) FROM (SELECT zoid, row_number() OVER (ORDER BY "
                 "zoid) n FROM object_state ORDER BY zoid) o",
                 made);
        assert_true(PQsendQuery(p->s.pg, sql));
        await_blocked(p);
        sql_do(p->other, "%s", end);
        assert_ended(p, expected);
        assert_sql(p->s.pg, *expected ? "0" : "6",
                   "SELECT count(*) FROM object_state WHERE serial = 200");
        if (*expected)
            continue;
        if (strcmp(made, "hid") == 0) {
            assert_sql(p->s.pg, "0", "SELECT count(*) FROM newt_projection");
            continue;
        }
        check_projection(&p->s);
        assert_sql(p->s.pg, "50 51 52 53 54 55",
                   "SELECT string_agg(state->>'a', ' ' ORDER BY zoid) FROM newt_projection");
    }
}

#define ROW                                                                                        \
    "INSERT INTO newt_projection (zoid, class_name, serial, state) VALUES (%lld, 'W', 99, '{}')"

static void
test_same_rows(void **state)
{
    static const struct {
        const char *before, *change, *end, *expected;
    } cases[] = {
        /* an object, and those after it, without a change of its serial */
        {NULL, "UPDATE object_state SET state = state WHERE zoid = %lld", "COMMIT", ""},
        {NULL, "UPDATE object_state SET state = state WHERE zoid >= %lld", "COMMIT", ""},
        {NULL, "UPDATE object_state SET state = state WHERE zoid = %lld", "ROLLBACK", ""},
        {NULL,
         "WITH o AS (UPDATE object_state SET state = state WHERE zoid > 11) "
         "UPDATE newt_projection SET serial = 99 WHERE zoid >= %lld",
         "COMMIT", ""},
        /* with one */
        {NULL, "UPDATE object_state SET serial = 101 WHERE zoid = %lld", "COMMIT", "40001"},
        {NULL, "UPDATE object_state SET serial = 99 WHERE zoid = %lld", "COMMIT", "40001"},
        {NULL, "UPDATE object_state SET serial = 101 WHERE zoid = %lld", "ROLLBACK", ""},
        {NULL, "DELETE FROM object_state WHERE zoid = %lld", "COMMIT", "40001"},
        /* rows, as a follower does */
        {NULL, "UPDATE newt_projection SET serial = 99 WHERE zoid = %lld", "COMMIT", ""},
        {NULL, "UPDATE newt_projection SET serial = 99 WHERE zoid >= %lld", "COMMIT", ""},
        {NULL, "DELETE FROM newt_projection WHERE zoid = %lld", "COMMIT", ""},
        {NULL, "DELETE FROM newt_projection WHERE zoid >= %lld", "COMMIT", ""},
        {NULL, "DELETE FROM newt_projection WHERE zoid = %lld", "ROLLBACK", ""},
        {"DELETE FROM newt_projection WHERE zoid = %lld", ROW, "COMMIT", ""},
        {"DELETE FROM newt_projection WHERE zoid = %lld", ROW, "ROLLBACK", ""},
    };
    pair p;

    (void)state;
    pair_open(&p, "rows");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        race(&p, "rec", cases[i].before, cases[i].change, cases[i].end, cases[i].expected);
        if (!cases[i].before) /* a row that is to go */
            race(&p, "hid", NULL, cases[i].change, cases[i].end, cases[i].expected);
    }
    pair_close(&p);
}

/* What is committed while the lock is waited for has a lower tid, and is in the answer. */
static void
test_commit_lock(void **state)
{
    static const char *const cases[][2] = {
        {"NULL, NULL", "{}"},
        {"(SELECT max(tid) FROM transaction), (SELECT max(serial) FROM transaction)", "{7,8,9,0}"},
        /* it has stood still for long: what came before the lock is read ahead of it */
        {"17, 17", "{5,7,8,9,0}"},
        {"17, 18", "{}"}, /* of no transaction */
    };
    PGresult *r;
    char sql[600];
    pair p;

    (void)state;
    pair_open(&p, "lock");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_six(&p, 1);
        sql_do(p.s.pg, "DELETE FROM transaction");
        sql_do(p.s.pg, "INSERT INTO transaction (tid, serial, nonce, written, removed) VALUES "
                       "(17, 17, 1, '{}', '{}'), (18, 18, 1, '{5}', '{}')");
        sql_do(p.other, "BEGIN");
        sql_do(p.other, "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
        snprintf(sql, sizeof sql,
                 "SELECT (newt.commit('transaction', 300, 1, '{11}', '{100}', ARRAY[rec(40)], "
                 "true, %s))[5:]",
                 cases[i][0]);
        assert_true(PQsendQuery(p.s.pg, sql));
        await_blocked(&p);
        /* its clock is ahead */
        sql_do(p.other,
               "INSERT INTO transaction (tid, serial, nonce, written, removed) VALUES "
               "(extract(epoch FROM now() + interval '1 hour') * 1000000, 290, 1, '{7,8}', "
               "'{9}')");
        sql_do(p.other, "COMMIT");
        r = PQgetResult(p.s.pg);
        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            fail_msg("%s", PQerrorMessage(p.s.pg));
        assert_string_equal(PQgetvalue(r, 0, 0), cases[i][1]);
        PQclear(r);
        while ((r = PQgetResult(p.s.pg)))
            PQclear(r);
        assert_sql(p.s.pg, "17 18 290 300",
                   "SELECT string_agg(serial::text, ' ' ORDER BY tid) FROM transaction");
    }
    pair_close(&p);
}

#define COMMIT_11                                                                                  \
    "SELECT newt.commit('transaction', 300, 1, '{11}', '{100}', ARRAY[rec(40)], true, NULL, NULL)"

/* It is committed before what follows in a pipeline, which may fail; what comes before it would
 * hold the commit lock with it, and so it is refused. */
static void
test_pipeline(void **state)
{
    static const struct {
        const char *sent[3], *failed, *serial;
    } cases[] = {{{"SELECT 1", COMMIT_11}, "25001", "100"},
                 {{COMMIT_11, "SELECT 1 / 0"}, "22012", "300"},
                 {{"COMMIT", COMMIT_11, "SELECT 1 / 0"}, "22012", "300"}};
    pair p;

    (void)state;
    pair_open(&p, "pipeline");
    sql_do(p.other, "SET client_min_messages = error"); /* COMMIT warns */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char failed[6] = "";

        make_six(&p, 1);
        sql_do(p.s.pg, "DELETE FROM transaction");
        assert_true(PQenterPipelineMode(p.other));
        for (int k = 0; k < 3 && cases[i].sent[k]; k++)
            assert_true(PQsendQueryParams(p.other, cases[i].sent[k], 0, NULL, NULL, NULL, NULL, 0));
        assert_true(PQpipelineSync(p.other));
        for (bool synced = false; !synced;) {
            PGresult *r = PQgetResult(p.other);
            const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE);

            if (code && PQresultStatus(r) == PGRES_FATAL_ERROR)
                snprintf(failed, sizeof failed, "%s", code);
            synced = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
            PQclear(r);
        }
        assert_true(PQexitPipelineMode(p.other));
        assert_string_equal(failed, cases[i].failed);
        assert_sql(p.s.pg, cases[i].serial, "SELECT serial FROM object_state WHERE zoid = 11");
    }
    pair_close(&p);
}

/* A few objects whose bytes take more than one statement are one transaction. */
static void
test_bytes(void **state)
{
    enum {
        N = 900,
        SIZE = 4000
    };
    char *name = malloc(SIZE + 1);
    store s;

    (void)state;
    assert_non_null(name);
    memset(name, 'x', SIZE);
    name[SIZE] = 0;
    store_open(&s, "bytes");
    (void)make_item(s.a, "small", 1);
    sql_do(s.pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    begin(s.a);
    for (int i = 0; i < N; i++)
        (void)new_item(s.a, name, i);
    commit(s.a);
    assert_sql(s.pg, "2", "SELECT count(*) FROM transaction");
    assert_sql(s.pg, "900",
               "SELECT count(*) FROM object_state WHERE serial = (SELECT serial FROM transaction "
               "ORDER BY tid DESC LIMIT 1)");
    check_projection(&s);
    store_close(&s);
    free(name);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_same_rows),
    cmocka_unit_test(test_commit_lock),
    cmocka_unit_test(test_pipeline),
    cmocka_unit_test(test_bytes),
};

int
main(void)
{
    use_database(true);
    return run_all(tests);
}
