/*
 * pooler.c - through PgBouncer in transaction mode: each transaction may find another session of
 * the server, and there are fewer of these than clients
 */
#include "../bridge/proxy.h"
#include "pooler.h"

enum {
    SERVERS = 2,
    WORKERS = 6,
    SHARED = 8
};

static newt_db *
open_as(const char *to, const char *schema, newt_projector projector)
{
    newt_options o = {
        .size = sizeof o, .schema = schema, .projector = projector, .transaction_pooling = true};
    double until = now() + PATIENCE_S;
    newt_db *db;

    while (newt_db_open(&db, to, classes, &o) != NEWT_OK) {
        if (newt_error_status(newt_db_error(db)) != NEWT_ELOST || now() > until)
            fail_error("newt_db_open", newt_db_error(db));
        newt_db_close(db);
        pause_ms(10);
    }
    return db;
}

static newt_db *
open_through(const char *to, const char *schema)
{
    return open_as(to, schema, NEWT_PROJECT_AUTO);
}

/* A store and two connections through the pooler. */
typedef struct pooled {
    store s;
    pooler p;
} pooled;

static void
pooled_open(pooled *x, const char *name, int servers)
{
    use_database(true);
    store_make(&x->s, name);
    pooler_start(&x->p, servers);
    x->s.db = open_through(x->p.uri, x->s.schema);
    x->s.a = connect_(x->s.db);
    x->s.b = connect_(x->s.db);
}

static void
pooled_close(pooled *x)
{
    store_close(&x->s);
    pooler_stop(&x->p);
}

/* ---- one client ----------------------------------------------------------------------- */

/* Without the option nothing is begun that could go wrong later. */
static void
test_option(void **state)
{
    newt_options o = {.size = sizeof o};
    PGconn *pg;
    newt_db *db;
    pooled x;

    (void)state;
    pooled_open(&x, "option", 1);
    o.schema = x.s.schema;
    assert_int_equal(newt_db_open(&db, x.p.uri, classes, &o), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_db_error(db)),
                        "the server is reached through a connection pooler");
    assert_non_null(strstr(newt_error_hint(newt_db_error(db)), "transaction_pooling"));
    newt_db_close(db);
    /* ... and the session that it had was another's then */
    pg = PQconnectdb(x.p.uri);
    assert_sql(pg, "on", "SHOW enable_seqscan");
    assert_sql(pg, "0", "SELECT count(*) FROM pg_prepared_statements");
    PQfinish(pg);
    /* with it, a server without a pooler is as good */
    db = open_through(uri(), x.s.schema);
    newt_close(x.s.b);
    x.s.b = connect_(db);
    make_item(x.s.b, "direct", 1);
    newt_close(x.s.b);
    x.s.b = NULL;
    newt_db_close(db);
    pooled_close(&x);
}

static int64_t
round_trips_of_commit(newt_conn *c, item_ref r)
{
    int64_t before;

    begin(c);
    write_n(c, r, read_n(c, r) + 1);
    before = stats_of(c).round_trips;
    commit(c);
    return stats_of(c).round_trips - before;
}

/* What is asked after a commit goes by the index, though nobody has analyzed the table. */
static void
test_never_analyzed(void **state)
{
    static const char scans[] = "SELECT coalesce(sum(%s), 0) FROM pg_stat_user_tables WHERE relid "
                                "= 'transaction'::regclass";
    int64_t whole, by_index;
    item_ref r;
    pooled x;

    (void)state;
    pooled_open(&x, "never_analyzed", 2);
    sql_do(x.s.pg, "ALTER TABLE transaction SET (autovacuum_enabled = false)");
    r = make_item(x.s.a, "r", 0);
    sql_do(x.s.pg,
           "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT i, -i, 0, "
           "'{}', '{}' FROM generate_series(1, 20000) i");
    whole = sql_int(x.s.pg, scans, "seq_scan");
    by_index = sql_int(x.s.pg, scans, "idx_scan");
    for (int n = 1; n <= 20; n++) {
        newt_conn *c = n % 2 ? x.s.a : x.s.b;

        begin(c);
        write_n(c, r, n);
        commit(c);
    }
    wait_until(sql_int(x.s.pg, scans, "idx_scan") >= by_index + 20);
    assert_int_equal(sql_int(x.s.pg, scans, "seq_scan"), whole);
    pooled_close(&x);
}

/* The usual things, two connections taking turns on two server sessions. */
static void
test_transactions(void **state)
{
    const char *params[] = {"x"};
    newt_result *found;
    json_t *rows;
    item_ref r, gone;
    newt_length_ref length;
    newt_db *db;
    newt_progress progress = {.size = sizeof progress};
    newt_error *e = NULL;
    pooled x;

    (void)state;
    pooled_open(&x, "usual", SERVERS);
    r = make_item(x.s.a, "x", 1);
    gone = make_item(x.s.a, "gone", 1);
    begin(x.s.a);
    length = newt_length_id(newt_length_new(x.s.a));
    commit(x.s.a);
    for (int i = 0; i < 20; i++) {
        newt_conn *c = i % 2 ? x.s.a : x.s.b;

        begin(c);
        write_n(c, r, read_n(c, r) + 1);
        if (i % 3 == 0)
            item_done(new_item(c, "more", i));
        commit(c);
    }
    /* a snapshot holds its session, and the other connection goes on beside it */
    begin(x.s.a);
    ok(x.s.a, newt_where(x.s.a, &found, "state->>'name' = $1", 1, params));
    assert_int_equal(newt_result_size(found), 1);
    begin(x.s.b);
    write_n(x.s.b, r, 100);
    ok(x.s.b, newt_delete(x.s.b, gone.any));
    commit(x.s.b);
    assert_int_equal(read_n(x.s.a, gone), 1);
    newt_result_free(found);
    /* a query that fails fails alone; the settings are the server's own, but for the path */
    assert_int_equal(newt_query(x.s.a, &rows, "SELECT 1/0", 0, NULL), NEWT_ESQL);
    ok(x.s.a,
       newt_query(x.s.a, &rows,
                  "SELECT current_setting('enable_seqscan') AS a, "
                  "current_setting('plan_cache_mode') AS b, "
                  "btrim(split_part(current_setting('search_path'), ',', 1), '\"') = $1 AS c",
                  1, (const char *[]){x.s.schema}));
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "a")), "on");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "b")), "auto");
    assert_true(json_is_true(json_object_get(json_array_get(rows, 0), "c")));
    json_decref(rows);
    write_n(x.s.a, r, 200);
    assert_int_equal(newt_commit(x.s.a), NEWT_ECONFLICT);
    begin(x.s.a);
    assert_int_equal(read_n(x.s.a, r), 100);
    assert_null(item_read(x.s.a, gone));
    newt_abort(x.s.a);
    /* merged */
    begin(x.s.a);
    begin(x.s.b);
    ok(x.s.a, newt_length_change(newt_length_write(x.s.a, length), 1));
    ok(x.s.b, newt_length_change(newt_length_write(x.s.b, length), 2));
    commit(x.s.a);
    commit(x.s.b);
    begin(x.s.a);
    assert_int_equal(newt_length_read(x.s.a, length)->value, 3);
    commit(x.s.a);
    /* large: more numbers than a block has, in a snapshot; more than one chunk */
    begin(x.s.a);
    assert_int_equal(read_n(x.s.a, r), 100);
    for (int i = 0; i < 3000; i++)
        item_done(new_item(x.s.a, "large", i));
    commit(x.s.a);
    assert_sql(x.s.pg, "3000", "SELECT count(*) FROM newt WHERE state->>'name' = 'large'");
    assert_int_equal(round_trips_of_commit(x.s.a, r), 1);
    /* without newt.at_commit() two: the barrier waits for the answer to COMMIT */
    db = open_as(x.p.uri, x.s.schema, NEWT_PROJECT_CLIENT);
    newt_close(x.s.b);
    x.s.b = connect_(db);
    assert_int_equal(round_trips_of_commit(x.s.b, r), 2);
    newt_close(x.s.b);
    newt_db_close(db);
    x.s.b = connect_(x.s.db);
    assert_projection_follows(x.s.pg);
    assert_feed_is_whole(x.s.pg);
    /* a follower, too, and the making of a store */
    sql_do(x.s.pg, "DELETE FROM newt_projection WHERE zoid = %lld", (long long)r.any.oid);
    do
        ok(x.s.b, newt_project(x.s.b, "follower", 1000, &progress));
    while (progress.transactions > 0);
    assert_projection_follows(x.s.pg);
    assert_int_equal(newt_store_create(x.p.uri, "made_through_pooler", &e), NEWT_OK);
    newt_error_free(e);
    pooled_close(&x);
}

/* What belongs to nobody: server sessions are as they were. */
static void
test_nothing_stays(void **state)
{
    PGconn *pg[SERVERS];
    json_t *rows;
    pooled x;

    (void)state;
    pooled_open(&x, "stays", SERVERS);
    for (int i = 0; i < 10; i++) {
        newt_conn *c = i % 2 ? x.s.a : x.s.b;

        make_item(c, "x", i);
        begin(c);
        ok(c, newt_query(c, &rows, "SELECT count(*) FROM newt", 0, NULL));
        json_decref(rows);
        commit(c);
    }
    for (int i = 0; i < SERVERS; i++) { /* each in a session of its own */
        pg[i] = PQconnectdb(x.p.uri);
        sql_do(pg[i], "BEGIN");
        assert_sql(pg[i], "0", "SELECT count(*) FROM pg_prepared_statements");
        assert_sql(pg[i], "public",
                   "SELECT replace(current_setting('search_path'), '\"$user\", ', '')");
        /* what is tracked by the pooler itself is not ours */
        assert_sql(pg[i], "",
                   "SELECT string_agg(name, ' ') FROM pg_settings WHERE source = 'session' AND "
                   "lower(name) NOT IN ('application_name', 'client_encoding', 'datestyle', "
                   "'timezone', 'standard_conforming_strings', 'intervalstyle')");
    }
    for (int i = 0; i < SERVERS; i++)
        PQfinish(pg[i]);
    pooled_close(&x);
}

/* Sequences are asked outside any transaction of ours, where the role's or database's default would
 * hold: so they are asked in one. */
static void
test_read_only_by_default(void **state)
{
    item_ref r;
    pooled x;

    (void)state;
    pooled_open(&x, "reader", SERVERS);
    r = make_item(x.s.a, "r", 1);
    newt_close(x.s.a);
    newt_close(x.s.b);
    newt_db_close(x.s.db);
    pooler_stop(&x.p);
    sql_do(x.s.pg, "ALTER DATABASE %s SET default_transaction_read_only = on", test_database);
    pooler_start(&x.p, SERVERS);
    x.s.db = open_through(x.p.uri, x.s.schema);
    x.s.a = connect_(x.s.db);
    x.s.b = NULL;
    begin(x.s.a);
    assert_int_equal(read_n(x.s.a, r), 1);
    newt_abort(x.s.a);
    begin(x.s.a);
    for (int i = 0; i < 3000; i++) /* several blocks */
        item_done(new_item(x.s.a, "new", i));
    commit(x.s.a);
    begin(x.s.a);
    write_n(x.s.a, r, 2);
    commit(x.s.a);
    sql_do(x.s.pg, "ALTER DATABASE %s RESET default_transaction_read_only", test_database);
    pooled_close(&x);
}

/* Who may only read takes no numbers before the first transaction, and is told when it wants some.
 */
static void
test_readers(void **state)
{
    char role[64], as_role[320];
    item_ref r;
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    use_database(true);
    store_open(&s, "readers");
    r = make_item(s.a, "r", 1);
    snprintf(role, sizeof role, "reader_%d", (int)getpid());
    sql_do(s.pg, "CREATE ROLE %s LOGIN", role);
    sql_do(s.pg, "SELECT newt.grant_store('%s', '%s', 'reader')", s.schema, role);
    snprintf(as_role, sizeof as_role, "postgresql:///%s?host=%s&port=%s&user=%s", test_database,
             getenv("PGHOST"), getenv("PGPORT"), role);
    db = open_through(as_role, s.schema);
    c = connect_(db);
    for (int i = 0; i < 2; i++) {
        begin(c);
        assert_int_equal(read_n(c, r), 1);
        assert_int_equal(stats_of(c).round_trips, 1); /* the second time it is in the cache */
        newt_abort(c);
    }
    begin(c);
    assert_null(item_new(c));
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
    newt_abort(c);
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    newt_abort(c);
    newt_close(c);
    newt_db_close(db);
    sql_do(s.pg, "DROP OWNED BY %s", role);
    sql_do(s.pg, "DROP ROLE %s", role);
    store_close(&s);
}

/* ---- a server that was restarted ------------------------------------------------------- */

static void
crash_server(pooled *x)
{
    PQfinish(x->s.pg);
    server_do("crash");
    server_do("start");
    x->s.pg = sql_open();
    sql_do(x->s.pg, "SET search_path = %s, public", x->s.schema);
}

/* The connection to the pooler lives on, and with it numbers of the life before. */
static void
test_crash_in_between(void **state)
{
    item_ref r, made;
    pooled x;

    (void)state;
    pooled_open(&x, "crash", 1);
    r = make_item(x.s.a, "r", 1);
    begin_behind_commit(x.s.a);
    made = item_id(new_item(x.s.a, "new", 1));
    crash_server(&x);
    assert_int_equal(newt_commit(x.s.a), NEWT_ELOST);
    assert_string_equal(newt_error_detail(newt_conn_error(x.s.a)),
                        "the server was restarted or replaced");
    assert_sql(x.s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid = %lld",
               (long long)made.any.oid);
    begin(x.s.a);
    write_n(x.s.a, r, read_n(x.s.a, r) + 1);
    commit(x.s.a);
    begin(x.s.a);
    assert_int_equal(read_n(x.s.a, r), 2);
    commit(x.s.a);
    assert_feed_is_whole(x.s.pg);
    pooled_close(&x);
}

typedef struct committing {
    newt_conn *c;
    proxy *p;
    item_ref r;
    int status;
} committing;

static void *
commit_in_thread(void *arg)
{
    committing *x = arg;

    x->status = newt_begin(x->c);
    if (x->status == NEWT_OK)
        write_n(x->c, x->r, 2);
    proxy_stall(x->p, -1, 2, false);
    if (x->status == NEWT_OK)
        x->status = newt_commit(x->c);
    return NULL;
}

/* The server crashes after COMMIT, and the barrier finds a restarted one: what is said is what
 * the store has. */
static void
test_crash_before_barrier(void **state)
{
    const char *server = getenv("PGHOST");
    char *host = strdup(server);
    committing commit;
    pthread_t t;
    int64_t found;
    newt_db *db;
    item_ref r;
    pooled x;
    proxy p;

    (void)state;
    pooled_open(&x, "barrier", 1);
    setenv("PGHOST", x.p.dir, 1); /* where the proxy leads to */
    proxy_start(&p);
    db = open_as(p.uri, x.s.schema, NEWT_PROJECT_CLIENT); /* or COMMIT is the barrier */
    commit.c = connect_(db);
    commit.p = &p;
    commit.r = r = make_item(commit.c, "r", 1);
    assert_int_equal(pthread_create(&t, NULL, commit_in_thread, &commit), 0);
    wait_until(proxy_stalled(&p));
    wait_until(sql_int(x.s.pg, "SELECT count(*) FROM transaction") == 3);
    setenv("PGHOST", host, 1);
    crash_server(&x);
    setenv("PGHOST", x.p.dir, 1);
    proxy_go_on(&p);
    pthread_join(t, NULL);
    found = sql_int(x.s.pg, "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    print_message("# %s, and the store has %lld\n", newt_status_text(commit.status),
                  (long long)found);
    assert_true(commit.status == NEWT_OK || commit.status == NEWT_ELOST);
    assert_int_equal(found, commit.status == NEWT_OK ? 2 : 1);
    begin(commit.c);
    write_n(commit.c, r, read_n(commit.c, r) + 10);
    ok(commit.c, newt_commit(commit.c));
    assert_sql(x.s.pg, commit.status == NEWT_OK ? "12" : "11",
               "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    newt_close(commit.c);
    newt_db_close(db);
    proxy_stop(&p);
    setenv("PGHOST", host, 1);
    free(host);
    pooled_close(&x);
}

/* ---- many clients, few sessions ------------------------------------------------------- */

static const char *crowd_uri; /* of the pooler, for the processes */

typedef struct job {
    const crowd *w;
    int me;
    chance *random;
    int64_t number; /* of this piece of work, unique */
} job;

/* Two shared items that add up to nothing, the worker's own counter, and a new object; now and then
 * a query in between, which holds a session. */
static int
work_once(newt_conn *c, void *arg)
{
    job *x = arg;
    struct item *mine = item_write(c, x->w->items[x->me]), *from, *to, *made;
    json_t *rows;

    if (!mine || !(from = item_write(c, x->w->items[WORKERS + pick(x->random, SHARED)])) ||
        !(to = item_write(c, x->w->items[WORKERS + pick(x->random, SHARED)])) ||
        !(made = item_new(c)))
        return newt_status(c);
    mine->n++;
    from->n--;
    to->n++;
    made->n = x->number;
    newt_set(made, name, "made");
    if (pick(x->random, 4) == 0) {
        int status = newt_query(c, &rows, "SELECT count(*) FROM newt", 0, NULL);

        if (status != NEWT_OK)
            return status;
        json_decref(rows);
    }
    return NEWT_OK;
}

static int
sum_up(newt_conn *c, void *arg)
{
    const crowd *w = ((job *)arg)->w;
    int64_t sum = 0;

    for (int i = 0; i < SHARED; i++) {
        const struct item *o = item_read(c, w->items[WORKERS + i]);

        if (!o)
            return newt_status(c);
        sum += o->n;
        item_done(o);
    }
    return sum == 0 ? NEWT_OK : 1;
}

/* '=' number: acknowledged; '!': not committed; '?': the library could not say. */
static void
work_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = open_through(crowd_uri, w->s.schema);
    newt_conn *c = child_connects(db);
    job x = {.w = w, .me = me, .random = random};

    for (;;) {
        int status = newt_transact(c, sum_up, &x, &patient);

        if (status == 1)
            child_fails("the sum is wrong");
        if (status == NEWT_OK) {
            x.number = (int64_t)getpid() << 32 | ++w->progress[me];
            status = newt_transact(c, work_once, &x, &patient);
            dprintf(file, "%c\t%lld\n",
                    status == NEWT_OK         ? '='
                    : status == NEWT_EUNKNOWN ? '?'
                                              : '!',
                    (long long)x.number);
        }
        if (status != NEWT_OK && status != NEWT_EUNKNOWN && !newt_is_retryable(newt_conn_error(c)))
            child_fails("%s", error_text(newt_conn_error(c)));
    }
}

/* Some of the server's processes end, and some of the clients. */
static void
test_bank(void **state)
{
    crowd *w = malloc(sizeof *w);
    double until = now() + duration(3, 60);
    int64_t before = 0, last;
    chance random;
    int ended = 0, killed = 0;
    pooler p;

    (void)state;
    crowd_open(w, "pooled", true);
    pooler_start(&p, SERVERS);
    crowd_uri = p.uri;
    make_items(w, WORKERS + SHARED, 0);
    newt_close(w->s.a);
    newt_close(w->s.b);
    newt_db_close(w->s.db);
    sql_do(w->s.pg, "CALL newt.create_table('%s', 'Item')", w->s.schema);
    random = (chance){w->seed};
    start(w, work_on, WORKERS);
    for (int round = 0; now() < until || round < 10; round++, before = last) {
        pause_ms(pick(&random, 200));
        /* not so often that nobody comes to anything */
        wait_until((last = sql_int(w->s.pg, "SELECT count(*) FROM transaction")) > before + 5 ||
                   waitpid(-1, NULL, WNOHANG) != 0);
        /* of all there is only this pool; a session that ends may still be seen beside its heir */
        wait_until(sql_int(w->s.pg, "SELECT count(*) FROM pg_stat_activity WHERE "
                                    "datname = current_database() AND "
                                    "backend_type = 'client backend' AND "
                                    "pid <> pg_backend_pid()") <= SERVERS);
        if (pick(&random, 3) == 0) {
            int i = pick(&random, WORKERS);

            kill_one(w, i);
            start_one(w, work_on, i);
            killed++;
        } else if (pick(&random, 3) == 0) {
            ended += (int)sql_int(w->s.pg,
                                  "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM "
                                  "pg_stat_activity WHERE datname = current_database() AND "
                                  "backend_type = 'client backend' AND "
                                  "pid <> pg_backend_pid() ORDER BY random() LIMIT 1) k");
        }
    }
    for (int i = 0; i < WORKERS; i++)
        kill_one(w, i);
    pooler_stop(&p);
    wait_until(sql_int(w->s.pg, "SELECT count(*) FROM pg_stat_activity WHERE "
                                "datname = current_database() AND "
                                "backend_type = 'client backend' AND "
                                "pid <> pg_backend_pid()") == 0);
    collect(w, "what text, number bigint");
    print_message("# %d pieces of work acknowledged, %d not; %d clients and %d server processes "
                  "ended\n",
                  (int)sql_int(w->s.pg, "SELECT count(*) FROM note WHERE what = '='"),
                  (int)sql_int(w->s.pg, "SELECT count(*) FROM note WHERE what <> '='"), killed,
                  ended);
    assert_true(sql_int(w->s.pg, "SELECT count(*) FROM note WHERE what = '='") > WORKERS);
    sql_do(w->s.pg, "CREATE TEMP TABLE made AS SELECT (state->>'n')::bigint AS number FROM newt "
                    "WHERE state->>'name' = 'made'");
    assert_sql(w->s.pg, "0",
               "SELECT count(*) FROM note LEFT JOIN made USING (number) WHERE "
               "what = '=' AND made.number IS NULL");
    assert_sql(w->s.pg, "0", "SELECT count(*) FROM note JOIN made USING (number) WHERE what = '!'");
    assert_sql(w->s.pg, "0",
               "SELECT count(*) FROM (SELECT FROM made GROUP BY number HAVING count(*) > 1) d");
    assert_sql(w->s.pg, "t",
               "SELECT sum((state->>'n')::bigint) = (SELECT count(*) FROM made) FROM newt "
               "WHERE zoid IN (%lld, %lld, %lld, %lld, %lld, %lld)",
               (long long)w->items[0].any.oid, (long long)w->items[1].any.oid,
               (long long)w->items[2].any.oid, (long long)w->items[3].any.oid,
               (long long)w->items[4].any.oid, (long long)w->items[5].any.oid);
    assert_projection_follows(w->s.pg);
    assert_feed_is_whole(w->s.pg);
    assert_sql(w->s.pg, "0", "SELECT count(*) FROM newt.check_table('%s', 'Item')", w->s.schema);
    assert_sql(w->s.pg, "0",
               "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    PQfinish(w->s.pg);
    free(w);
}

int
main(void)
{
    static const struct CMUnitTest through_a_pooler[] = {
        cmocka_unit_test(test_option),
        cmocka_unit_test(test_never_analyzed),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_read_only_by_default),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_crash_in_between),
        cmocka_unit_test(test_crash_before_barrier),
        cmocka_unit_test(test_bank),
    };

    return run_all(through_a_pooler);
}
