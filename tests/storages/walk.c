/*
 * walk.c - what newt_prefetch_walk loads, with the server following references and without:
 * the same; bounds, fields, what is in the cache already, damaged and missing objects, rights
 */
#include "../bridge/server.h"

#include "../generate.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

#include <sys/resource.h>

/* ---- graphs -------------------------------------------------------------------------------- */

struct node;
NEWT_DECLARE(node);
struct node {
    int64_t n;
    node_ref next;
    NEWT_ARRAY(newt_ref) others;
};
NEWT_CLASS(node, "Node", 1, NULL, NEWT_FIELD(struct node, n), NEWT_REF(struct node, next, node),
           NEWT_LIST(struct node, others));
static const newt_class *const node_classes[] = {&node_class, NULL};

typedef struct nodes {
    store s;
    node_ref r[400];
    size_t n;
} nodes;

static void
nodes_open_as(nodes *g, size_t n, newt_options o)
{
    *g = (nodes){.n = n};
    store_make(&g->s, "walk");
    g->s.db = store_db(&g->s, node_classes, o);
    g->s.a = connect_(g->s.db);
    g->s.b = connect_(g->s.db);
    assert_true(n <= sizeof g->r / sizeof *g->r);
    begin(g->s.a);
    for (size_t i = 0; i < n; i++) {
        struct node *node = node_new(g->s.a);

        assert_non_null(node);
        node->n = (int64_t)i;
        g->r[i] = node_id(node);
        node_done(node);
    }
    commit(g->s.a);
}

static void
nodes_open(nodes *g, size_t n)
{
    nodes_open_as(g, n, (newt_options){0});
}

/* Node i refers to node i + 1, the last to none. */
static void
chain(nodes *g)
{
    begin(g->s.a);
    for (size_t i = 0; i + 1 < g->n; i++) {
        struct node *node = node_write(g->s.a, g->r[i]);

        node->next = g->r[i + 1];
        node_done(node);
    }
    commit(g->s.a);
}

/* The connection has nothing in its cache, and walks as it is told. */
static void
forget(newt_conn *c, bool server)
{
    newt__cache_clear(&c->jar);
    if (on_server())
        c->jar.session->has_walk = server;
}

static bool
loaded(const newt_conn *c, node_ref r)
{
    return newt__cache_find(&c->jar.cache, r.any.oid) != NULL;
}

static size_t
count_loaded(const nodes *g, const newt_conn *c)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += loaded(c, g->r[i]);
    return n;
}

static void
walk(newt_conn *c, node_ref r, newt_walk_options o)
{
    o.size = sizeof o;
    ok(c, newt_prefetch_walk(c, &r.any, 1, &o));
}

/* ---- with and without the server's help ---------------------------------------------------- */

/* Random graphs, some nodes gone, some damaged: both ways load the same, for any bounds. */
static void
test_same(void **state)
{
    static const char *const some[] = {"next", NULL}, *const both[] = {"others", "next", NULL};
    generate r;
    nodes g;

    (void)state;
    needs_server();
    generate_init(&r, generate_seed());
    nodes_open(&g, 300);
    begin(g.s.a);
    for (size_t i = 0; i < g.n; i++) {
        struct node *node = node_write(g.s.a, g.r[i]);

        if (generate_below(&r, 2))
            node->next = g.r[generate_below(&r, g.n)];
        for (uint64_t k = generate_below(&r, 4); k > 0; k--)
            ok(g.s.a, newt_append(node, others, g.r[generate_below(&r, g.n)].any));
        node_done(node);
    }
    for (int i = 0; i < 20; i++)
        if (newt_delete(g.s.a, g.r[generate_below(&r, g.n)].any) != NEWT_OK)
            assert_int_equal(newt_status(g.s.a), NEWT_EMISSING);
    commit(g.s.a);
    for (int i = 0; i < 20; i++)
        sql_do(g.s.pg, "UPDATE object_state SET state = state || '\\x00' WHERE zoid = %lld",
               (long long)g.r[generate_below(&r, g.n)].any.oid);
    for (int round = 0; round < 200; round++) {
        newt_walk_options o = {.size = sizeof o,
                               .depth = (int64_t)generate_below(&r, 8),
                               .objects = (int64_t)generate_below(&r, g.n)};
        newt_ref roots[3];

        if (round % 4 == 1)
            o.fields = some;
        if (round % 4 == 2)
            o.fields = both;
        for (int i = 0; i < 3; i++)
            roots[i] = g.r[generate_below(&r, g.n)].any;
        forget(g.s.a, true);
        forget(g.s.b, false);
        begin(g.s.a);
        begin(g.s.b);
        ok(g.s.a, newt_prefetch_walk(g.s.a, roots, 3, &o));
        ok(g.s.b, newt_prefetch_walk(g.s.b, roots, 3, &o));
        for (size_t i = 0; i < g.n; i++)
            if (loaded(g.s.a, g.r[i]) != loaded(g.s.b, g.r[i]))
                fail_msg("round %d: %lld was loaded by the %s alone", round,
                         (long long)g.r[i].any.oid, loaded(g.s.a, g.r[i]) ? "server" : "client");
        assert_int_equal(stats_of(g.s.a).objects, stats_of(g.s.b).objects);
        newt_abort(g.s.a);
        newt_abort(g.s.b);
    }
    store_close(&g.s);
}

/* A database without the extension walks by itself. */
static void
test_extension(void **state)
{
    (void)state;
    needs_server();
    for (int extension = 0; extension < 2; extension++) {
        newt_stats before, after;
        nodes g;

        use_database(extension);
        nodes_open(&g, 10);
        chain(&g);
        assert_int_equal(g.s.b->jar.session->has_walk, extension);
        before = stats_of(g.s.b);
        begin(g.s.b);
        walk(g.s.b, g.r[2], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 8);
        /* the snapshot was opened on the way; a level each, or all at once */
        after = stats_of(g.s.b);
        assert_int_equal(after.round_trips - before.round_trips, extension ? 1 : 8);
        assert_int_equal(after.loads - before.loads, 8);
        for (size_t i = 2; i < 10; i++) {
            const struct node *node = node_read(g.s.b, g.r[i]);

            assert_int_equal(node->n, i);
            node_done(node);
        }
        assert_int_equal(stats_of(g.s.b).round_trips, after.round_trips);
        commit(g.s.b);
        store_close(&g.s);
    }
    use_database(true);
}

/* Nothing is prepared in a session that may be another in the next transaction. */
static void
test_pooling(void **state)
{
    nodes g;

    (void)state;
    nodes_open_as(&g, 10, (newt_options){.transaction_pooling = true});
    chain(&g);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 10);
        commit(g.s.b);
    }
    store_close(&g.s);
}

/* ---- bounds -----------------------------------------------------------------------------------
 */

static void
test_bounds(void **state)
{
    nodes g;

    (void)state;
    nodes_open(&g, 20);
    chain(&g);
    for (int server = 0; server < 2; server++) {
        for (int k = 1; k <= 20; k++) {
            forget(g.s.b, server);
            begin(g.s.b);
            walk(g.s.b, g.r[0], (newt_walk_options){.objects = k});
            assert_int_equal(count_loaded(&g, g.s.b), k);
            newt_abort(g.s.b);
            forget(g.s.b, server);
            begin(g.s.b);
            walk(g.s.b, g.r[0], (newt_walk_options){.depth = k});
            assert_int_equal(count_loaded(&g, g.s.b), k < 19 ? k + 1 : 20);
            newt_abort(g.s.b);
        }
    }
    store_close(&g.s);
}

/* The default, and the most. */
static void
test_limits(void **state)
{
    enum {
        DEFAULT = 10000,
        MOST = 1000000
    };
    newt_walk_options o = {.size = sizeof o};
    newt_stats before;
    nodes g;

    (void)state;
    needs_server();
    nodes_open(&g, 1);
    /* a record that refers to many, which are all there; [ "Node", 1, { "others": [...] } ] */
    sql_do(g.s.pg,
           "INSERT INTO object_state SELECT i, 1, '\\x83644e6f646501a0' "
           "FROM generate_series(1000001, 1000000 + %d) i",
           DEFAULT);
    sql_do(g.s.pg,
           "UPDATE object_state SET state = '\\x83644e6f646501a1666f7468657273992710' || "
           "(SELECT string_agg('\\xd996011a'::bytea || int4send(i), '' ORDER BY i) "
           "FROM generate_series(1000001, 1000000 + %d) i) WHERE zoid = %lld",
           DEFAULT, (long long)g.r[0].any.oid);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        before = stats_of(g.s.b);
        ok(g.s.b, newt_prefetch_walk(g.s.b, &g.r[0].any, 1, NULL));
        assert_int_equal(stats_of(g.s.b).loads - before.loads, DEFAULT);
        assert_int_equal(stats_of(g.s.b).objects, DEFAULT);
        newt_abort(g.s.b);
        forget(g.s.b, server);
        begin(g.s.b);
        o.objects = MOST;
        ok(g.s.b, newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o));
        assert_int_equal(stats_of(g.s.b).objects, DEFAULT + 1);
        o.objects = MOST + 1;
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o), NEWT_ELIMIT);
        assert_non_null(strstr(newt_error_message(newt_conn_error(g.s.b)), "1000001"));
        o.objects = 0;
        o.depth = INT64_MAX;
        ok(g.s.b, newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o));
        o.depth = 0;
        commit(g.s.b); /* nothing was doomed */
    }
    store_close(&g.s);
}

static void
test_arguments(void **state)
{
    newt_walk_options o = {.size = sizeof o};
    newt_ref null[2] = {{0}, {0}};
    int64_t before;
    nodes g;

    (void)state;
    nodes_open(&g, 2);
    assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, NULL), NEWT_EBUSY);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        before = stats_of(g.s.b).round_trips;
        ok(g.s.b, newt_prefetch_walk(g.s.b, NULL, 0, NULL));
        ok(g.s.b, newt_prefetch_walk(g.s.b, null, 2, NULL));
        o.depth = -1;
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o), NEWT_EINVAL);
        o = (newt_walk_options){.size = sizeof o, .objects = -1};
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o), NEWT_EINVAL);
        o = (newt_walk_options){.size = sizeof o + 1};
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o), NEWT_EINVAL);
        o = (newt_walk_options){.size = sizeof o.size - 1};
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o), NEWT_EINVAL);
        assert_int_equal(stats_of(g.s.b).round_trips, before); /* nobody was asked */
        /* options of an older program end earlier */
        o = (newt_walk_options){.size = offsetof(newt_walk_options, fields), .depth = 1};
        ok(g.s.b, newt_prefetch_walk(g.s.b, &g.r[0].any, 1, &o));
        assert_true(loaded(g.s.b, g.r[0]));
        /* a reference to nothing */
        null[1].oid = 123456789;
        ok(g.s.b, newt_prefetch_walk(g.s.b, null, 2, NULL));
        null[1].oid = 0;
        commit(g.s.b);
        o = (newt_walk_options){.size = sizeof o};
    }
    store_close(&g.s);
}

/* ---- what is in the cache already ----------------------------------------------------------- */

static void
test_kept(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        const struct node *read;
        struct node *changed, *made;
        nodes g;

        nodes_open(&g, 8);
        chain(&g);
        forget(g.s.b, server);
        begin(g.s.b);
        read = node_read(g.s.b, g.r[1]);
        changed = node_write(g.s.b, g.r[2]);
        changed->n = 222;
        changed->next = g.r[0]; /* the stored one is followed */
        made = node_new(g.s.b);
        made->next = g.r[7]; /* is not stored, and leads nowhere yet */
        assert_int_equal(newt_delete(g.s.b, g.r[4].any), NEWT_OK);
        walk(g.s.b, node_id(made), (newt_walk_options){0});
        assert_false(loaded(g.s.b, g.r[7]));
        walk(g.s.b, g.r[1], (newt_walk_options){.depth = 4});
        assert_int_equal(count_loaded(&g, g.s.b), 5); /* 1 .. 5 */
        assert_false(loaded(g.s.b, g.r[0]));
        assert_ptr_equal(node_read(g.s.b, g.r[1]), read);
        assert_ptr_equal(node_read(g.s.b, g.r[2]), changed);
        assert_int_equal(changed->n, 222);
        assert_null(node_read(g.s.b, g.r[4]));
        assert_int_equal(newt_status(g.s.b), NEWT_EMISSING);
        commit(g.s.b);
        begin(g.s.a);
        read = node_read(g.s.a, g.r[2]);
        assert_int_equal(read->n, 222);
        assert_int_equal(read->next.any.oid, g.r[0].any.oid);
        assert_null(node_read(g.s.a, g.r[4]));
        newt_abort(g.s.a);
        store_close(&g.s);
    }
}

/* More than the cache holds, changed objects among it. */
static void
test_small_cache(void **state)
{
    enum {
        N = 400,
        ROOM = 20
    };

    (void)state;
    for (int server = 0; server < 2; server++) {
        nodes g;

        nodes_open_as(&g, N, (newt_options){.cache_objects = ROOM});
        chain(&g);
        forget(g.s.b, server);
        begin(g.s.b);
        for (size_t i = 0; i < N; i += 4) {
            struct node *node = node_write(g.s.b, g.r[i]);

            node->n = -(int64_t)i;
            node_done(node);
        }
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_true(stats_of(g.s.b).objects <= ROOM + 1);
        for (size_t i = 0; i < N; i++) {
            const struct node *node = node_read(g.s.b, g.r[i]);

            assert_non_null(node);
            assert_int_equal(node->n, i % 4 ? (int64_t)i : -(int64_t)i);
            node_done(node);
        }
        commit(g.s.b);
        if (g.s.pg)
            assert_int_equal(sql_int(g.s.pg, "SELECT count(*) FROM newt "
                                             "WHERE (state->>'n')::int < 0"),
                             N / 4 - 1);
        store_close(&g.s);
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what is freed */
/* A walk much larger than the cache: neither side has it in memory as a whole, nor in a file. */
static void
test_streams(void **state)
{
    enum {
        BYTES = 100000,
        N = 1000
    };
    struct rusage before, after;
    nodes g;

    (void)state;
    needs_server();
    nodes_open_as(&g, 1, (newt_options){.cache_bytes = 1 << 20});
    sql_do(
        g.s.pg,
        "INSERT INTO object_state SELECT i, 1, '\\x83644e6f646501a2646e657874d996011a'::bytea || "
        "int4send(i + 1) || '\\x656f74686572'::bytea || '\\x59'::bytea || "
        "substring(int4send(%d) from 3) || convert_to(repeat('x', %d), 'UTF8') "
        "FROM generate_series(1000001, 1000000 + %d) i",
        BYTES / 2, BYTES / 2, N);
    for (int server = 0; server < 2; server++) {
        newt_stats was = stats_of(g.s.b), is;
        newt_ref first = {1000001};

        forget(g.s.b, server);
        begin(g.s.b);
        getrusage(RUSAGE_SELF, &before);
        ok(g.s.b, newt_prefetch_walk(g.s.b, &first, 1, NULL));
        getrusage(RUSAGE_SELF, &after);
        is = stats_of(g.s.b);
        assert_int_equal(is.loads - was.loads, N);
        assert_int_equal(is.round_trips - was.round_trips, server ? 1 : N + 1);
        assert_true(is.bytes < 2 << 20);
        assert_true(after.ru_maxrss - before.ru_maxrss < 20000);
        commit(g.s.b);
    }
    if (sql_int(g.s.pg, "SELECT pg_size_bytes(current_setting('work_mem'))") >= 4 << 20)
        assert_sql(g.s.pg, "0",
                   "SELECT temp_files FROM pg_stat_database WHERE datname = current_database()");
    store_close(&g.s);
}
#endif

/* ---- broken and missing -----------------------------------------------------------------------
 */

static void
test_broken(void **state)
{
    nodes g;

    (void)state;
    needs_server();
    nodes_open(&g, 6);
    chain(&g);
    sql_do(g.s.pg, "UPDATE object_state SET state = state || '\\x00' WHERE zoid = %lld",
           (long long)g.r[3].any.oid);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 4); /* it is loaded, and leads nowhere */
        assert_null(node_read(g.s.b, g.r[3]));
        assert_int_equal(newt_status(g.s.b), NEWT_EBROKEN);
        newt_abort(g.s.b);
    }
    sql_do(g.s.pg, "DELETE FROM object_state WHERE zoid = %lld", (long long)g.r[2].any.oid);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 2);
        commit(g.s.b);
    }
    store_close(&g.s);
}

/* ---- snapshots ---------------------------------------------------------------------------------
 */

static void
test_snapshot(void **state)
{
    nodes g;

    (void)state;
    nodes_open(&g, 6);
    chain(&g);
    for (int server = 0; server < 2; server++) {
        const struct node *node;

        forget(g.s.b, server);
        begin(g.s.b);
        (void)newt_root(g.s.b, "none"); /* opens the snapshot */
        begin(g.s.a);
        node_write(g.s.a, g.r[1])->n += 100;
        commit(g.s.a);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        node = node_read(g.s.b, g.r[1]);
        assert_int_equal(node->n, 1 + server * 100);
        commit(g.s.b);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        node = node_read(g.s.b, g.r[1]);
        assert_int_equal(node->n, 101 + server * 100);
        commit(g.s.b);
    }
    store_close(&g.s);
}

/* ---- failures ----------------------------------------------------------------------------------
 */

/* Who may not read records is told so; who may read some gets these. */
static void
test_rights(void **state)
{
    newt_options o = {.size = sizeof o};
    char role[64], as_role[256];
    newt_db *db;
    newt_conn *c;
    nodes g;

    (void)state;
    needs_server();
    nodes_open(&g, 10);
    chain(&g);
    o.schema = g.s.schema;
    snprintf(role, sizeof role, "walker_%d", (int)getpid());
    sql_do(g.s.pg, "CREATE ROLE %s LOGIN", role);
    sql_do(g.s.pg, "ALTER ROLE %s SET row_security = on", role); /* which is what is tried here */
    sql_do(g.s.pg, "GRANT USAGE ON SCHEMA %s TO %s", g.s.schema, role);
    sql_do(g.s.pg, "GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s", g.s.schema, role);
    snprintf(as_role, sizeof as_role, "postgresql:///%s?host=%s&port=%s&user=%s", PQdb(g.s.pg),
             getenv("PGHOST"), getenv("PGPORT"), role);
    if (newt_db_open(&db, as_role, node_classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    for (int server = 0; server < 2; server++) {
        sql_do(g.s.pg, "REVOKE SELECT ON object_state FROM %s", role);
        forget(c, server);
        begin(c);
        assert_int_equal(newt_prefetch_walk(c, &g.r[0].any, 1, NULL), NEWT_ESQL);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
        newt_abort(c);
        sql_do(g.s.pg, "GRANT SELECT ON object_state TO %s", role);
        sql_do(g.s.pg, "ALTER TABLE object_state ENABLE ROW LEVEL SECURITY");
        sql_do(g.s.pg, "CREATE POLICY visible ON object_state USING (zoid <> %lld)",
               (long long)g.r[6].any.oid);
        begin(c);
        walk(c, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, c), 6);
        newt_abort(c);
        sql_do(g.s.pg, "DROP POLICY visible ON object_state");
        sql_do(g.s.pg, "ALTER TABLE object_state DISABLE ROW LEVEL SECURITY");
    }
    /* a function that may not be called is done without */
    newt_close(c);
    newt_db_close(db);
    sql_do(g.s.pg, "REVOKE EXECUTE ON FUNCTION newt.walk FROM PUBLIC");
    if (newt_db_open(&db, as_role, node_classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    assert_false(c->jar.session->has_walk);
    assert_true(c->jar.session->has_extension);
    begin(c);
    walk(c, g.r[0], (newt_walk_options){0});
    assert_int_equal(count_loaded(&g, c), 10);
    newt_abort(c);
    newt_close(c);
    newt_db_close(db);
    sql_do(g.s.pg, "GRANT EXECUTE ON FUNCTION newt.walk TO PUBLIC");
    sql_do(g.s.pg, "DROP OWNED BY %s", role);
    sql_do(g.s.pg, "DROP ROLE %s", role);
    store_close(&g.s);
}

static void
test_lost(void **state)
{
    nodes g;

    (void)state;
    needs_server();
    nodes_open(&g, 10);
    chain(&g);
    for (int server = 0; server < 2; server++) {
        forget(g.s.b, server);
        begin(g.s.b);
        (void)newt_root(g.s.b, "none");
        sql_do(g.s.pg, "SELECT pg_terminate_backend(%d, 60000)",
               PQbackendPID(g.s.b->jar.session->pg));
        assert_int_equal(newt_prefetch_walk(g.s.b, &g.r[0].any, 1, NULL), NEWT_ELOST);
        assert_true(newt_is_retryable(newt_conn_error(g.s.b)));
        newt_abort(g.s.b);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 10);
        commit(g.s.b);
    }
    store_close(&g.s);
}

/* Memory that ends at any place: an error, and a connection that works afterwards. */
static long allocations, failing;

static void *
failing_realloc(void *arg, void *p, size_t n)
{
    (void)arg;
    return ++allocations == failing ? NULL : realloc(p, n);
}

static void
test_memory(void **state)
{
    nodes g;

    (void)state;
    nodes_open(&g, 40);
    chain(&g);
    for (int server = 0; server < 2; server++) {
        void *(*usual)(void *, void *, size_t) = g.s.b->jar.coder.env.realloc;
        bool done = false;

        for (failing = 1; !done; failing++) {
            int status;

            assert_true(failing < 1000);
            forget(g.s.b, server);
            begin(g.s.b);
            allocations = 0;
            g.s.b->jar.coder.env.realloc = failing_realloc;
            status = newt_prefetch_walk(g.s.b, &g.r[0].any, 1, NULL);
            g.s.b->jar.coder.env.realloc = usual;
            done = allocations < failing;
            if (done)
                assert_int_equal(status, NEWT_OK);
            else if (status != NEWT_OK) /* else it was done without */
                assert_true(status == NEWT_ENOMEM || status == NEWT_ELIMIT);
            newt_abort(g.s.b);
        }
        forget(g.s.b, server);
        begin(g.s.b);
        walk(g.s.b, g.r[0], (newt_walk_options){0});
        assert_int_equal(count_loaded(&g, g.s.b), 40);
        commit(g.s.b);
    }
    store_close(&g.s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_extension),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_small_cache),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_pooling),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(test_streams),
#endif

    };
    use_database(true);
    return run_all(tests);
}
