/*
 * server_modes.c - inline, async and virtual: the same rows, byte for byte; and who says which
 *
 * Random records of all kinds, damaged ones and the fuzzers' corpus, in stores whose rows come
 * about in every way there is.
 */
#include "server.h"

#include "../../bridge/conn.h"
#include "../generate.h"

#include <dirent.h>

enum {
    RANDOM = 3000,
    RARE = 1000,   /* one value in so many is unusual */
    FIRST = 100000 /* oid */
};

static void
insert(PGconn *pg, int64_t oid, const void *record, size_t n)
{
    char number[24];
    const char *values[] = {number, record};
    int lengths[] = {0, (int)n}, formats[] = {0, 1};
    PGresult *r;

    snprintf(number, sizeof number, "%lld", (long long)oid);
    r = PQexecParams(pg,
                     "INSERT INTO object_state (zoid, serial, state) VALUES ($1::bigint, 77, "
                     "$2::bytea)",
                     2, NULL, values, lengths, formats, 0);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
}

static void
insert_corpus(PGconn *pg, int64_t *oid)
{
    const char *path = "tests/fuzz/corpus/decoder";
    DIR *dir = opendir(path);
    struct dirent *d;

    assert_non_null(dir);
    while ((d = readdir(dir))) {
        static uint8_t bytes[1 << 20];
        char name[512];
        size_t n;
        FILE *f;

        if (*d->d_name == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, d->d_name);
        f = fopen(name, "rb");
        assert_non_null(f);
        n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        insert(pg, ++*oid, bytes, n);
    }
    closedir(dir);
}

static void
write_fields(newt__writer *w, int n)
{
    char key[16];

    newt__write_map(w, (size_t)n);
    for (int i = 0; i < n; i++) {
        newt__write_text(w, key, (size_t)snprintf(key, sizeof key, "k%07d", i));
        newt__write_int(w, i * 1000);
    }
}

static void
write_items(newt__writer *w, int n)
{
    newt__write_map(w, 1);
    newt__write_text(w, "a", 1);
    newt__write_array(w, (size_t)n);
    for (int i = 0; i < n; i++)
        newt__write_text(w, "item", (size_t)(i % 5));
}

static void
write_nested(newt__writer *w, int n)
{
    for (int i = 0; i < n; i++) {
        if (i % 3 == 2) {
            newt__write_array(w, 1);
        } else {
            newt__write_map(w, 1);
            newt__write_text(w, "in", 2);
        }
    }
    newt__write_text(w, "end", 3);
}

/* A bit of everything that is mostly in records. */
static void
write_usual(newt__writer *w, int n)
{
    static const int64_t numbers[] = {-1,           0,         9999,      10000,    100000000,
                                      123400000000, INT32_MAX, INT64_MIN, INT64_MAX};

    newt__write_map(w, 8);
    newt__write_text(w, "b", 1);
    newt__write_bool(w, n % 2);
    newt__write_text(w, "n", 1);
    newt__write_null(w);
    newt__write_text(w, "x", 1);
    newt__write_double(w, 1.5 * n);
    newt__write_text(w, "at", 2);
    newt__write_time(w, INT64_C(1700000000000000) + n);
    newt__write_text(w, "of", 2);
    newt__write_ref(w, 123456 + n);
    newt__write_text(w, "nums", 4);
    newt__write_array(w, sizeof numbers / sizeof *numbers);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        newt__write_int(w, numbers[i]);
    newt__write_text(w, "tags", 4);
    newt__write_map(w, 2);
    newt__write_text(w, "hue", 3);
    newt__write_text(w, "gr\u00fcn", 5);
    newt__write_text(w, "size", 4);
    newt__write_text(w, "large", 5);
    newt__write_text(w, "title", 5);
    newt__write_text(w, "A title of more than sixteen bytes", 34);
}

static void
write_record(newt__writer *w, void (*state)(newt__writer *, int), int n)
{
    newt__write_begin(w, "Edge", 4, 1);
    state(w, n);
    assert_int_equal(newt__write_end(w), NEWT__OK);
}

/* Counts and depths about which something changes; and a record that is cut short, or has one other
 * byte, at every place. */
static void
insert_edges(PGconn *pg, int64_t *oid)
{
    static const int counts[] = {0, 1, 23, 24, 31, 32, 33, 63, 64, 65, 255, 256, 257, 65535, 65536};
    /* heads that are longer than they have to be */
    static const struct {
        const char *bytes;
        size_t n;
    } longer[] = {
#define RECORD(state) {"\x83\x61K\x01" state, sizeof state + 3}
        RECORD("\xb8\x01\x61x\x01"),
        RECORD("\xb9\x00\x01\x61x\x01"),
        RECORD("\xa1\x78\x01x\x01"),
        RECORD("\xa1\x61x\x78\x01y"),
        RECORD("\xa1\x61x\x98\x01\x01"),
        RECORD("\xa1\x61x\x99\x00\x01\x01"),
        RECORD("\xa1\x61x\x18\x01"),
        RECORD("\xa1\x61x\x19\x00\x01"),
        RECORD("\xa1\x61x\x38\x01"),
        RECORD("\xa1\x61x\xd9\x96\x01\x18\x01"),
        RECORD("\xa1\x61x\x1a\x00\x00\x00\x01"),
        RECORD("\xa1\x61x\x1b\x00\x00\x00\x00\x00\x00\x00\x01")
#undef RECORD
    };
    static const uint8_t others[] = {0x00, 0x60, 0x78, 0xa1, 0xd9, 0xf6, 0xff};
    newt__writer w = {.buf.env = &newt__malloc_env};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        write_record(&w, write_fields, counts[i]);
        insert(pg, ++*oid, w.buf.data, w.buf.n);
        write_record(&w, write_items, counts[i]);
        insert(pg, ++*oid, w.buf.data, w.buf.n);
    }
    for (int depth = 1; depth <= 20; depth++) {
        write_record(&w, write_nested, depth);
        insert(pg, ++*oid, w.buf.data, w.buf.n);
    }
    write_record(&w, write_usual, 3);
    for (size_t n = 0; n <= w.buf.n; n++)
        insert(pg, ++*oid, w.buf.data, n);
    for (size_t at = 0; at < w.buf.n; at++) {
        uint8_t byte = w.buf.data[at];

        for (size_t i = 0; i < sizeof others; i++) {
            w.buf.data[at] = others[i];
            insert(pg, ++*oid, w.buf.data, w.buf.n);
        }
        w.buf.data[at] = (uint8_t)(byte ^ 1);
        insert(pg, ++*oid, w.buf.data, w.buf.n);
        w.buf.data[at] = byte;
    }
    newt__writer_free(&w);
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        insert(pg, ++*oid, longer[i].bytes, longer[i].n);
}

static int64_t
fill(PGconn *pg, uint64_t seed)
{
    int64_t oid = FIRST;
    generate g;

    generate_init(&g, seed);
    sql_do(pg, "BEGIN");
    for (int i = 0; i < RANDOM; i++) {
        newt__writer w = {.buf.env = &newt__malloc_env};

        g.rarity = i % 2 ? RARE : 12;
        if (generate_record(&g, &w, i % 3 ? NULL : "Named") == NEWT__OK) {
            insert(pg, ++oid, w.buf.data, w.buf.n);
            if (i % 10 == 0) /* damaged */
                insert(pg, ++oid, w.buf.data, w.buf.n - 1);
            w.buf.data[generate_below(&g, w.buf.n)] ^= (uint8_t)(1 << generate_below(&g, 8));
            insert(pg, ++oid, w.buf.data, w.buf.n);
        }
        newt__writer_free(&w);
    }
    insert_corpus(pg, &oid);
    insert_edges(pg, &oid);
    sql_do(pg, "INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT "
               "max(tid) + 1, 77, 0, array(SELECT zoid FROM object_state WHERE serial = 77), '{}' "
               "FROM transaction");
    sql_do(pg, "COMMIT");
    return oid;
}

/* All rows of a view or a query, as one hash each. */
static char *
rows_of(PGconn *pg, const char *what)
{
    return sql_text(pg,
                    "SELECT count(*) || ' ' || md5(coalesce(string_agg(zoid || class_name || "
                    "serial || state::text, '|' ORDER BY zoid), '')) FROM (%s) r "
                    "WHERE zoid >= %d",
                    what, FIRST);
}

static char *
drained(const store *s)
{
    newt_db *db = store_db(s, NULL, (newt_options){0});
    newt_conn *c = connect_(db);
    newt_progress p = {.size = sizeof p};

    do
        ok(c, newt_project(c, "updater", 1000, &p));
    while (p.transactions > 0);
    newt_close(c);
    newt_db_close(db);
    return rows_of(s->pg, "SELECT * FROM newt");
}

static void
test_same(void **state)
{
    uint64_t seed = generate_seed();
    char *in_client, *in_server, *computed, *virtual;
    store s;

    (void)state;
    use_database(false);
    store_open(&s, "client");
    fill(s.pg, seed);
    in_client = drained(&s);
    store_close(&s);
    use_database(true);
    store_open(&s, "server");
    fill(s.pg, seed);
    in_server = drained(&s);
    computed = rows_of(s.pg, "SELECT zoid, newt.class_name(state) AS class_name, serial, "
                             "newt.to_jsonb(state) AS state FROM object_state "
                             "WHERE newt.try_to_jsonb(state) IS NOT NULL");
    sql_do(s.pg, "SELECT newt.set_projection('%s', NULL, 'virtual')", s.schema);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt_projection");
    virtual = rows_of(s.pg, "SELECT * FROM newt");
    store_close(&s);
    assert_string_equal(in_client, in_server);
    assert_string_equal(in_server, computed);
    assert_string_equal(in_server, virtual);
    assert_true(atoi(in_client) > RANDOM * 3 / 4);
    free(in_client);
    free(in_server);
    free(computed);
    free(virtual);
}

/* Rows of a class that becomes virtual go, those of others stay; and come back. */
static void
test_virtual_class(void **state)
{
    newt_sweep w = {.size = sizeof w, .kind = NEWT_SWEEP_MISSING};
    newt_progress p = {.size = sizeof p};
    item_ref r;
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    use_database(true);
    store_open(&s, "virtual_class");
    r = make_item(s.a, "x", 1);
    sql_do(s.pg, "UPDATE newt_class SET projection = 'virtual'"); /* without rows being removed */
    begin(s.a);
    write_n(s.a, r, 2); /* a program that was there before goes on as it did */
    commit(s.a);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
    db = store_db(&s, classes, (newt_options){0});
    c = connect_(db);
    begin(c);
    write_n(c, r, 3); /* one that opens the store now writes no row */
    commit(c);
    assert_sql(s.pg, "2", "SELECT state->>'n' FROM newt_projection WHERE class_name = 'Item'");
    do
        ok(c, newt_project(c, "updater", 1000, &p));
    while (p.transactions > 0);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_projection");
    sql_do(s.pg, "SELECT newt.set_projection('%s', 'Item', 'virtual')", s.schema);
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE class_name = 'Item'");
    w.kind = NEWT_SWEEP_CHECK;
    while (!w.over)
        ok(c, newt_project_sweep(c, &w));
    assert_int_equal(w.missing + w.wrong + w.stale + w.extra, 0);
    sql_do(s.pg, "SELECT newt.set_projection('%s', 'Item', 'async')", s.schema);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    w = (newt_sweep){.size = sizeof w, .kind = NEWT_SWEEP_MISSING};
    while (!w.over)
        ok(c, newt_project_sweep(c, &w));
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE class_name = 'Item'");
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

static void
project_all(newt_conn *c)
{
    newt_progress p = {.size = sizeof p};

    do
        ok(c, newt_project(c, "updater", 1000, &p));
    while (p.transactions > 0);
}

/* A follower writes no rows of a virtual class, and removes those that it meets, wherever they are
 * computed; where the store is virtual it writes those of the classes that are not. */
static void
test_virtual_followed(void **state)
{
    for (int extension = 0; extension < 2; extension++) {
        item_ref r;
        newt_db *db;
        newt_conn *c;
        store s;

        (void)state;
        use_database(extension);
        store_open(&s, "followed");
        r = make_item(s.a, "x", 1);
        sql_do(s.pg, "UPDATE newt_class SET projection = 'virtual'");
        db = store_db(&s, classes, (newt_options){.no_inline = true});
        c = connect_(db);
        project_all(c);
        assert_sql(s.pg, "1", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
        for (int i = 0; i < 3; i++)
            make_item(c, "new", i);
        project_all(c);
        assert_sql(s.pg, "1", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
        begin(c);
        write_n(c, r, 2);
        commit(c);
        project_all(c);
        assert_sql(s.pg, "0", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
        sql_do(s.pg, "UPDATE newt_store SET projection = 'virtual'");
        sql_do(s.pg, "UPDATE newt_class SET projection = 'async'");
        begin(c);
        write_n(c, r, 3);
        commit(c);
        make_item(c, "new", 1);
        project_all(c);
        assert_sql(s.pg, "2", "SELECT count(*) FROM newt_projection WHERE class_name = 'Item'");
        newt_close(c);
        newt_db_close(db);
        store_close(&s);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_same),
    cmocka_unit_test(test_virtual_class),
    cmocka_unit_test(test_virtual_followed),
};

int
main(void)
{
    return run_all(tests);
}
