/*
 * three_producers.c - client, server and updater give byte-identical jsonb
 *
 * Random records over all kinds are put into a store. Then every one is projected by the client
 * (newt__project_text, its text parsed by jsonb's input), by the server (newt.to_jsonb), and by
 * newt-updater, once with the extension in the database and once without. The images of the
 * values are compared, not their meaning. NEWT_SEED replays, NEWT_RECORDS says how many.
 */
#include "../brief.h"
#include "daemon.h"

#include "../generate.h"

#include <jansson.h>

enum {
    RECORDS = 20000,
    RECORDS_OF_BRIEF = 7000,
    RECORDS_OF_SOAK = 100000
};

enum {
    FIRST = 1024,
    PER_TRANSACTION = 500
};

static uint64_t seed;
static long records;

static void *
grow(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n);
}

static void
release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static const newt__env env = {.realloc = grow, .free = release};

/* ---- COPY BINARY ---------------------------------------------------------------------- */

typedef struct copy {
    PGconn *pg;
    newt__buffer buf;
} copy;

static void
copy_number(copy *c, uint64_t x, int size)
{
    uint8_t be[8];
    for (int i = 0; i < size; i++)
        be[i] = (uint8_t)(x >> (8 * (size - 1 - i)));
    assert_true(newt__buffer_append(&c->buf, be, (size_t)size));
}

static void
copy_bytes(copy *c, const void *p, size_t n)
{
    copy_number(c, n, 4);
    assert_true(newt__buffer_append(&c->buf, p, n));
}

static void
copy_bigint(copy *c, int64_t x)
{
    copy_number(c, 8, 4);
    copy_number(c, (uint64_t)x, 8);
}

static void
copy_flush(copy *c)
{
    assert_int_equal(PQputCopyData(c->pg, (const char *)c->buf.data, (int)c->buf.n), 1);
    c->buf.n = 0;
}

static copy
copy_begin(PGconn *pg, const char *table)
{
    char sql[128];
    copy c = {.pg = pg, .buf = {.env = &env}};
    snprintf(sql, sizeof sql, "COPY %s FROM STDIN BINARY", table);
    PGresult *r = PQexec(pg, sql);
    assert_int_equal(PQresultStatus(r), PGRES_COPY_IN);
    PQclear(r);
    assert_true(newt__buffer_append(&c.buf, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19));
    return c;
}

static void
copy_end(copy *c)
{
    copy_number(c, UINT16_MAX, 2);
    copy_flush(c);
    assert_int_equal(PQputCopyEnd(c->pg, NULL), 1);
    PGresult *r = PQgetResult(c->pg);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s", PQerrorMessage(c->pg));
    PQclear(r);
    assert_null(PQgetResult(c->pg));
    newt__buffer_free(&c->buf);
}

/* ---- the store ------------------------------------------------------------------------ */

/* Records as they are in the store, and rows of transactions that the updater finds them by. */
static void
put_records(PGconn *pg)
{
    generate g;
    generate_init(&g, seed);
    newt__writer w = {.buf = {.env = &env}};
    copy c = copy_begin(pg, "object_state (zoid, serial, state)");
    for (long i = 0; i < records; i++) {
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        copy_number(&c, 3, 2);
        copy_bigint(&c, FIRST + i);
        copy_bigint(&c, 2 + i / PER_TRANSACTION);
        copy_bytes(&c, w.buf.data, w.buf.n);
        copy_flush(&c);
    }
    copy_end(&c);
    newt__writer_free(&w);
    sql_do(pg, "INSERT INTO transaction (tid, serial, nonce, written, removed)"
               " SELECT (SELECT max(tid) FROM transaction) + row_number() OVER (ORDER BY serial),"
               "        serial, 0, array_agg(zoid ORDER BY zoid), '{}'"
               "   FROM object_state WHERE serial > 1 GROUP BY serial");
    sql_do(pg, "SELECT setval('newt_oid', %ld)", (FIRST + records + 1023) / 1024 * 1024);
    sql_do(pg, "ANALYZE");
}

/* The client's jsonb of every record, hidden classes left out. */
static void
put_client_projection(PGconn *pg)
{
    generate g;
    generate_init(&g, seed);
    newt__writer w = {.buf = {.env = &env}};
    newt__buffer text = {.env = &env};
    sql_do(pg, "CREATE UNLOGGED TABLE client (zoid bigint PRIMARY KEY, state jsonb)");
    copy c = copy_begin(pg, "client (zoid, state)");
    for (long i = 0; i < records; i++) {
        bool hidden;
        newt__fault fault;
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        text.n = 0;
        if (newt__project_text(&env, w.buf.data, w.buf.n, &text, &hidden, &fault) != NEWT__OK)
            fail_msg("object %ld: %s", FIRST + i, fault.reason);
        if (hidden)
            continue;
        copy_number(&c, 2, 2);
        copy_bigint(&c, FIRST + i);
        copy_number(&c, 1 + text.n, 4);
        copy_number(&c, 1, 1); /* version of jsonb's binary format */
        assert_true(newt__buffer_append(&c.buf, text.data, text.n));
        copy_flush(&c);
    }
    copy_end(&c);
    newt__buffer_free(&text);
    newt__writer_free(&w);
}

/* Two databases with the same store and the client's projection of it, one with the extension. */
static int
make_databases(void **state)
{
    char conninfo[64];
    double start = now();
    (void)state;
    PGconn *pg = make_database("daemon_plain_producers", false, conninfo);
    make_store(conninfo, "public");
    put_records(pg);
    put_client_projection(pg);
    PQfinish(pg);
    pg = sql_open("newt");
    sql_do(pg, "DROP DATABASE IF EXISTS daemon_producers");
    sql_do(pg, "CREATE DATABASE daemon_producers TEMPLATE daemon_plain_producers");
    PQfinish(pg);
    pg = sql_open("daemon_producers");
    sql_do(pg, "CREATE EXTENSION newt");
    PQfinish(pg);
    printf("# %ld records put in %.1f s\n", records, now() - start);
    return 0;
}

static void
compare(const char *database)
{
    char conninfo[64];
    double start = now();
    snprintf(conninfo, sizeof conninfo, "dbname=%s", database);
    PGconn *pg = sql_open(database);
    drain_with(conninfo, "public", "f");
    double drained = now();
    assert_exact(pg, "public"); /* the updater and the server */
    assert_int_equal(wrong_rejects(pg, "public"), 0);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM client c"
                                    "  FULL JOIN (SELECT * FROM newt_projection WHERE zoid > 1) p"
                                    " USING (zoid)"
                                    " WHERE c.zoid IS NULL OR p.zoid IS NULL"
                                    "    OR NOT record_image_eq(ROW(c.state), ROW(p.state))"),
                     0);
    printf("# %lld rows, %lld rejects: drained in %.1f s, compared in %.1f s\n",
           (long long)sql_number(pg, "SELECT count(*) FROM newt"),
           (long long)sql_number(pg, "SELECT count(*) FROM newt_reject"), drained - start,
           now() - drained);
    PQfinish(pg);
}

static void
client_server_and_updater_agree(void **state)
{
    (void)state;
    compare("daemon_producers");
}

static void
so_does_the_updater_without_the_extension(void **state)
{
    (void)state;
    compare("daemon_plain_producers");
}

/* ---- commits -------------------------------------------------------------------------- */

/* A new object of the class and state of another, read and written as jansson. A state that is no
 * map becomes a field: *wrapped. That a state is hidden does not go with it. */
static newt_bag *
copy_object(newt_conn *c, newt_ref from, bool *wrapped)
{
    const newt_bag *was = newt_bag_read(c, from);
    const char *name = was ? newt_bag_class(was) : NULL;
    if (name && (strncmp(name, "::", 2) == 0 || strncmp(name, "newt.", 5) == 0))
        name = "Reserved"; /* such a record may be there, but cannot be made */
    newt_bag *b = name ? newt_bag_new(c, name) : NULL;
    json_t *json = b ? newt_bag_state(was) : NULL;
    *wrapped = json && !json_is_object(json);
    if (*wrapped)
        json = json_pack("{s:o}", "value", json);
    if (!json || newt_bag_replace(b, json) != NEWT_OK)
        fail_msg("object %lld: %s", (long long)from.oid, newt_error_message(newt_conn_error(c)));
    json_decref(json);
    newt_bag_done(was);
    return b;
}

/* The objects once more, each new and committed inline: none fails, and the rows
 * are what they should be. */
static void
commit_inline(newt_projector projector)
{
    enum {
        COPIES = 2000,
        PER_COMMIT = 40
    };
    static const newt_class *const no_classes[] = {NULL};
    newt_options options = {.size = sizeof options, .projector = projector};
    newt_db *db = NULL;
    PGconn *pg = sql_open("daemon_producers");
    if (newt_db_open(&db, "dbname=daemon_producers", no_classes, &options) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_db_error(db)));
    newt_conn *c = open_conn(db);
    sql_do(pg, "DROP TABLE IF EXISTS pair");
    sql_do(pg, "CREATE UNLOGGED TABLE pair (old bigint, new bigint, wrapped boolean)");
    copy pairs = copy_begin(pg, "pair");
    for (long i = 0; i < COPIES && i < records; i++) {
        if (i % PER_COMMIT == 0)
            assert_newt(c, newt_begin(c));
        bool wrapped;
        newt_bag *b = copy_object(c, (newt_ref){FIRST + i}, &wrapped);
        copy_number(&pairs, 3, 2);
        copy_bigint(&pairs, FIRST + i);
        copy_bigint(&pairs, newt_bag_ref(b).oid);
        copy_number(&pairs, 1, 4);
        copy_number(&pairs, wrapped, 1);
        newt_bag_done(b);
        if (i % PER_COMMIT == PER_COMMIT - 1 || i == COPIES - 1 || i == records - 1)
            assert_newt(c, newt_commit(c));
    }
    copy_end(&pairs);
    assert_exact(pg, "public");
    assert_int_equal(wrong_rejects(pg, "public"), 0);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM pair"),
                     records < COPIES ? records : COPIES);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM pair p"
                                    "  JOIN object_state o ON o.zoid = p.old"
                                    "  LEFT JOIN object_state n ON n.zoid = p.new"
                                    " WHERE NOT wrapped AND newt.to_jsonb(o.state) IS NOT NULL"
                                    "   AND NOT record_image_eq(ROW(newt.to_jsonb(o.state)),"
                                    "                           ROW(newt.to_jsonb(n.state)))"),
                     0);
    sql_do(pg, "DROP TABLE pair");
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

static void
any_object_is_committed_with_json_from_the_client(void **state)
{
    (void)state;
    commit_inline(NEWT_PROJECT_CLIENT);
}

static void
any_object_is_committed_with_json_from_the_server(void **state)
{
    (void)state;
    commit_inline(NEWT_PROJECT_SERVER);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_server_and_updater_agree),
        cmocka_unit_test(any_object_is_committed_with_json_from_the_client),
        cmocka_unit_test(any_object_is_committed_with_json_from_the_server),
        cmocka_unit_test(so_does_the_updater_without_the_extension),
    };
    const char *text = getenv("NEWT_RECORDS");
    records = text                  ? atol(text)
              : getenv("NEWT_SOAK") ? RECORDS_OF_SOAK
              : brief()             ? RECORDS_OF_BRIEF
                                    : RECORDS;
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("three_producers", tests, make_databases, NULL);
}
