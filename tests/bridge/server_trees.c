/*
 * server_trees.c - trees as SQL reads them, beside cursors of the library
 */
#include "../storages/trees.h"

#include <inttypes.h>

enum {
    KEYS = 1000,
    RANGES = 40
};

/* ---- keys and values as the projection has them ---------------------------------------------- */

/* SQL that makes such a value, in a buffer that lives until the next sixteen calls. */
static const char *sql_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *
sql_of(const char *format, ...)
{
    static char buffers[16][600];
    static int next;
    char *buffer = buffers[next++ % 16];
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(buffer, sizeof *buffers, format, args) < (int)sizeof *buffers);
    va_end(args);
    return buffer;
}

static const char *
sql_of_hex(const void *p, size_t n)
{
    static char hex[256];

    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)p)[i]);
    hex[2 * n] = 0;
    return hex;
}

static const char *
sql_of_text(newt_text t)
{
    if (!memchr(t.s, 0, t.n))
        return sql_of("to_jsonb('%.*s'::text)", (int)t.n, t.s);
    return sql_of("jsonb_build_object('::b64', encode('\\x%s'::bytea, 'base64'), "
                  "'::text', '%.*s\xef\xbf\xbd'::text)",
                  sql_of_hex(t.s, t.n), (int)t.n - 1, t.s);
}

static const char *
sql_of_bytes(newt_bytes b)
{
    return sql_of("jsonb_build_object('::b64', encode('\\x%s'::bytea, 'base64'))",
                  sql_of_hex(b.p, b.n));
}

static const char *
sql_of_date(newt_date d)
{
    return sql_of("to_jsonb(to_char(date '1970-01-01' + %d, 'YYYY-MM-DD'))", (int)d.days);
}

static const char *
sql_of_time(newt_time t)
{
    int64_t us = (t.us % 1000000 + 1000000) % 1000000;
    time_t seconds = (time_t)((t.us - us) / 1000000);
    char text[32];
    struct tm tm;

    assert_non_null(gmtime_r(&seconds, &tm));
    assert_int_equal(strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm), 19);
    return sql_of("to_jsonb('%s.%06dZ'::text)", text, (int)us);
}

static const char *
sql_of_uuid(const newt_uuid *u)
{
    return sql_of("to_jsonb('%s'::uuid::text)", sql_of_hex(u->b, sizeof u->b));
}

static const char *
sql_of_ref(newt_ref r)
{
    return r.oid ? sql_of("jsonb_build_object('::=>', %lld)", (long long)r.oid) : "'null'::jsonb";
}

static const char *
sql_of_key(const kind *x, int i)
{
    any k;

    memset(&k, 0, sizeof k);
    x->key(&k, i);
    if (x->key == int_key)
        return sql_of("to_jsonb(%lld::numeric)", (long long)k.i);
    if (x->key == uint_key)
        return sql_of("to_jsonb(%" PRIu64 "::numeric)", k.u);
    if (x->key == text_key)
        return sql_of_text(k.text);
    if (x->key == bytes_key)
        return sql_of_bytes(k.bytes);
    if (x->key == time_key)
        return sql_of_time(k.time);
    if (x->key == date_key)
        return sql_of_date(k.date);
    if (x->key == uuid_key)
        return sql_of_uuid(&k.uuid);
    if (x->key == ref_key)
        return sql_of_ref(k.ref);
    if (x->key == pair_key)
        return sql_of("jsonb_build_array(%s, %lld)", sql_of_text(k.pair.a), (long long)k.pair.b);
    if (x->key == triple_key)
        return sql_of("jsonb_build_array(%s, %s, %" PRIu64 "::numeric)", sql_of_date(k.triple.a),
                      sql_of_uuid(&k.triple.b), k.triple.c);
    assert_ptr_equal(x->key, pair_set_key_of);
    return sql_of("jsonb_build_array(%lld, %s)", (long long)k.refs.a, sql_of_ref(k.refs.b));
}

static const char *
sql_of_value(const kind *x, int64_t i)
{
    any v;

    if (!x->value)
        return "NULL";
    memset(&v, 0, sizeof v);
    x->value(&v, i);
    if (x->value == int_value)
        return sql_of("to_jsonb(%lld)", (long long)v.i);
    if (x->value == uint_value)
        return sql_of("to_jsonb(%" PRIu64 "::numeric)", v.u);
    if (x->value == ref_value)
        return sql_of_ref(v.ref);
    if (x->value == bytes_value)
        return i ? sql_of_bytes(v.bytes) : "'null'::jsonb";
    if (x->value == double_value)
        return sql_of("to_jsonb(%.17g::float8)", v.d);
    if (x->value == text_value)
        return i ? sql_of_text(v.text) : "'null'::jsonb";
    if (x->value == json_value)
        return sql_of("jsonb_build_array(%lld)", (long long)i);
    assert_ptr_equal(x->value, part_value);
    return sql_of("jsonb_build_object('name', 'part %lld', 'n', %lld, 'words', "
                  "to_jsonb(('{part,%lld}'::text[])[1:%d]))",
                  (long long)i, (long long)i, (long long)i, (int)(i % 3));
}

/* ---- trees ----------------------------------------------------------------------------------- */

typedef struct grown {
    const kind *x;
    store s;
    newt_ref tree;
    bool is_there[KEYS];
    int64_t numbers[KEYS]; /* of the values */
} grown;

/* Some keys of a kind, in a tree, and all of them in a table that says which number each is of. */
static void
grow(grown *g, const kind *x, chance *random)
{
    *g = (grown){.x = x};
    store_make(&g->s, "kinds");
    g->s.db = store_db(&g->s, trees, (newt_options){0});
    g->s.a = connect_(g->s.db);
    g->s.b = connect_(g->s.db);
    sql_do(g->s.pg, "SET extra_float_digits = 1"); /* else to_jsonb has fewer digits */
    sql_do(g->s.pg, "CREATE TEMP TABLE model (n int, key jsonb, value jsonb)");
    sql_do(g->s.pg, "BEGIN");
    begin(g->s.a);
    g->tree = newt_btree_create(g->s.a, x->k);
    assert_false(newt_is_null(g->tree));
    for (int i = 0; i < KEYS; i++) {
        int64_t number = x->value ? pick(random, 400) : 0;
        any k, v;

        g->is_there[i] = pick(random, 5) < 2;
        g->numbers[i] = number;
        x->key(&k, i);
        if (x->value)
            x->value(&v, number);
        if (g->is_there[i])
            assert_int_equal(newt_btree_insert(g->s.a, g->tree, x->k, &k, &v), 1);
        sql_do(g->s.pg, "INSERT INTO model VALUES (%d, %s, %s)", i, sql_of_key(x, i),
               sql_of_value(x, number));
    }
    commit(g->s.a);
    sql_do(g->s.pg, "COMMIT");
}

static void
fell(grown *g)
{
    sql_do(g->s.pg, "DROP TABLE model");
    store_close(&g->s);
}

/* The numbers of the entries that a cursor gives, as text. */
static char *
by_cursor(const grown *g, const newt_btree_range *range)
{
    char *text = calloc(KEYS, 5), *end = text;
    newt_btree_cursor at;
    int i = range->descending ? KEYS - 1 : 0, status;
    any k, v;

    assert_non_null(text);
    begin(g->s.b);
    at = newt_btree_open(g->s.b, g->tree, g->x->k, range);
    while ((status = newt_btree_next(&at, &k, &v)) == 1) {
        while (!is_key(g->x, &k, i))
            i += range->descending ? -1 : 1;
        assert_true(is_value(g->x, &v, g->numbers[i]));
        end += sprintf(end, end == text ? "%d" : " %d", i);
    }
    assert_int_equal(status, 0);
    commit(g->s.b);
    return text;
}

static char *
by_sql(const grown *g, const char *from, const char *to, const newt_btree_range *range)
{
    char *text, *unknown;
    char call[2000];

    snprintf(call, sizeof call,
             "SELECT row_number() OVER () AS place, key, value FROM newt.btree_items('%s', %lld, "
             "%s, %s, %s, %s, %s)",
             g->s.schema, (long long)g->tree.oid, from, to, range->after_from ? "true" : "false",
             range->before_to ? "true" : "false", range->descending ? "true" : "false");
    text = sql_text(g->s.pg,
                    "SELECT string_agg(m.n::text, ' ' ORDER BY i.place) FROM (%s) i JOIN model m "
                    "ON m.key = i.key AND m.value IS NOT DISTINCT FROM i.value",
                    call);
    unknown = sql_text(g->s.pg,
                       "SELECT i.key, i.value FROM (%s) i WHERE NOT EXISTS (SELECT FROM model m "
                       "WHERE m.key = i.key AND m.value IS NOT DISTINCT FROM i.value)",
                       call);
    if (*unknown)
        fail_msg("%s has what it should not: %s", g->x->k->name, unknown);
    free(unknown);
    return text;
}

static void
check_range(const grown *g, const char *from, const char *to, const newt_btree_range *range)
{
    char *expected = by_cursor(g, range), *got = by_sql(g, from, to, range);

    if (strcmp(expected, got) != 0)
        fail_msg("%s, from %s%s to %s%s%s: %s, not %s", g->x->k->name,
                 range->after_from ? "after " : "", from, range->before_to ? "before " : "", to,
                 range->descending ? ", descending" : "", got, expected);
    free(expected);
    free(got);
}

static int
parts_of(const kind *x)
{
    return x->key == triple_key ? 3 : x->key == pair_key || x->key == pair_set_key_of ? 2 : 1;
}

/* A bound in SQL: of a composite key its first parts. */
static const char *
bound(const grown *g, int i, int parts)
{
    const char *key = sql_of_key(g->x, i);

    if (parts == parts_of(g->x))
        return key;
    return parts == 1 ? sql_of("(%s) - 1 - 1", key) : sql_of("(%s) - 2", key);
}

static void
check_ranges(const grown *g, chance *random)
{
    newt_btree_range range = {0};

    for (int descending = 0; descending < 2; descending++) {
        range.descending = descending;
        check_range(g, "NULL", "NULL", &range);
    }
    for (int n = 0; n < RANGES; n++) {
        int from = pick(random, KEYS), to = pick(random, KEYS), most = pick(random, 3) ? 30 : KEYS;
        any low, high;

        to = from + to % most < KEYS ? from + to % most : to;
        g->x->key(&low, from);
        g->x->key(&high, to);
        range = (newt_btree_range){.from = pick(random, 4) ? &low : NULL,
                                   .to = pick(random, 4) ? &high : NULL,
                                   .after_from = pick(random, 2),
                                   .before_to = pick(random, 2),
                                   .descending = pick(random, 2),
                                   .parts = (uint8_t)(1 + pick(random, parts_of(g->x)))};
        check_range(g, range.from ? bound(g, from, range.parts) : "NULL",
                    range.to ? bound(g, to, range.parts) : "NULL", &range);
    }
}

static void
check_lookups(const grown *g, chance *random)
{
    const char *schema = g->s.schema;
    long long tree = g->tree.oid;
    int n = 0;

    for (int i = 0; i < KEYS; i++)
        n += g->is_there[i];
    assert_int_equal(sql_int(g->s.pg, "SELECT newt.btree_length('%s', %lld)", schema, tree), n);
    for (int times = 0; times < 100; times++) {
        int i = pick(random, KEYS);

        assert_sql(g->s.pg, g->is_there[i] ? "t" : "f",
                   "SELECT newt.btree_get('%s', %lld, m.key) IS NOT NULL FROM model m WHERE n = %d",
                   schema, tree, i);
        assert_sql(g->s.pg, g->is_there[i] ? "t" : "",
                   "SELECT newt.btree_get('%s', %lld, m.key) = coalesce(m.value, 'true') "
                   "FROM model m WHERE n = %d",
                   schema, tree, i);
    }
    /* references as ids */
    assert_int_equal(sql_int(g->s.pg,
                             "SELECT count(*) FROM newt.btree_refs('%s', %lld) r JOIN model m "
                             "ON m.key = r.key AND newt.ref(m.value) IS NOT DISTINCT FROM "
                             "r.value_id",
                             schema, tree),
                     n);
}

static void
test_kinds(void **state)
{
    chance random = {take_seed()};

    (void)state;
    for (int i = 0; i < N_KINDS; i++) {
        grown g;

        grow(&g, &kinds[i], &random);
        check_ranges(&g, &random);
        check_lookups(&g, &random);
        fell(&g);
    }
}

/* ---- how much is read ------------------------------------------------------------------------ */

/* A tree of a given number of entries, whose keys are their numbers with six digits, in large
 * nodes.
 */
NEWT_DECLARE_BTREE(book, newt_text, int64_t);
NEWT_BTREE(book, "Book", NEWT_VALUES(book), .node_bytes = 6000);
static const newt_class *const books[] = {&book_class, NULL};

typedef struct counting {
    int64_t i, n;
    char text[16];
} counting;

static int
next_word(void *arg, void *key, void *value)
{
    counting *at = arg;

    if (at->i == at->n)
        return 0;
    snprintf(at->text, sizeof at->text, "w%06lld", (long long)at->i);
    *(newt_text *)key = newt_str(at->text);
    *(int64_t *)value = at->i++;
    return 1;
}

static newt_ref
load_book(store *s, const char *name, int64_t n)
{
    counting at = {.n = n};
    newt_ref tree;

    store_make(s, name);
    s->db = store_db(s, books, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
    begin(s->a);
    tree = newt_btree_create(s->a, &book_class);
    ok(s->a, newt_btree_load(s->a, tree, &book_class, next_word, &at));
    commit(s->a);
    return tree;
}

/* Look-ups of objects by this session, as far as the statistics have not been sent. */
static int64_t
lookups(const store *s)
{
    return sql_int(s->pg,
                   "SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relid = "
                   "'%s.object_state'::regclass",
                   s->schema);
}

/* Records that a query reads. */
static int64_t
records_read(const store *s, const char *query)
{
    int64_t before, n;

    sql_do(s->pg, "BEGIN"); /* none are sent within */
    before = lookups(s);
    sql_do(s->pg, "%s", query);
    n = lookups(s) - before;
    sql_do(s->pg, "COMMIT");
    return n;
}

static void
test_lazily(void **state)
{
    enum {
        HEIGHT = 2 /* leaves of some 500 entries below one root */
    };
    static const struct {
        const char *query;
        int64_t least, most;
    } cases[] = {
        {"SELECT * FROM newt.btree_items('%s', %lld) LIMIT 10", HEIGHT, HEIGHT},
        {"SELECT * FROM newt.btree_items('%s', %lld, descending => true) LIMIT 10", HEIGHT, HEIGHT},
        {"SELECT * FROM newt.btree_refs('%s', %lld) LIMIT 10", HEIGHT, HEIGHT},
        {"SELECT * FROM newt.btree_items('%s', %lld, '\"w050000\"', '\"w050009\"')", HEIGHT,
         HEIGHT + 1},
        {"SELECT * FROM newt.btree_items('%s', %lld, '\"w050000\"', '\"w050009\"', "
         "descending => true)",
         HEIGHT, HEIGHT + 1},
        {"SELECT * FROM newt.btree_items('%s', %lld, '\"w050\"') LIMIT 10", HEIGHT, HEIGHT + 1},
        {"SELECT * FROM newt.btree_items('%s', %lld, '\"x\"')", HEIGHT, HEIGHT},
        {"SELECT * FROM newt.btree_items('%s', %lld, '\"w05\"', '\"w04\"')", HEIGHT, HEIGHT},
        {"SELECT newt.btree_get('%s', %lld, '\"w077777\"')", HEIGHT, HEIGHT},
        {"SELECT newt.btree_get('%s', %lld, '\"w0777777\"')", HEIGHT, HEIGHT},
        {"SELECT newt.btree_length('%s', %lld)", 1, 1 + 16},
        {"SELECT count(*) FROM newt.btree_items('%s', %lld)", 100, 2000},
    };
    store s;
    newt_ref tree;

    (void)state;
    tree = load_book(&s, "lazily", 100000);
    assert_sql(s.pg, "100000", "SELECT newt.btree_length('%s', %lld)", s.schema,
               (long long)tree.oid);
    assert_sql(s.pg, "100000", "SELECT count(*) FROM newt.btree_items('%s', %lld)", s.schema,
               (long long)tree.oid);
    /* a range that ends with its leaf does not look into the next one */
    for (int back = 0; back < 2; back++) {
        char query[512];

        snprintf(query, sizeof query,
                 "SELECT count(*) FROM generate_series(50000, 50999) i, newt.btree_items('%s', "
                 "%lld, to_jsonb('w0' || i), to_jsonb('w0' || i + %d), before_to => %s, "
                 "descending => %s)",
                 s.schema, (long long)tree.oid, !back, back ? "false" : "true",
                 back ? "true" : "false");
        assert_sql(s.pg, "1000", "%s", query);
        assert_int_equal(records_read(&s, query), 1000 * HEIGHT);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char query[256];
        int64_t n;

        snprintf(query, sizeof query, cases[i].query, s.schema, (long long)tree.oid);
        n = records_read(&s, query);
        print_message("# %s: %lld records\n", query, (long long)n);
        assert_in_range(n, cases[i].least, cases[i].most);
    }
    store_close(&s);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void
put(newt_conn *c, newt_ref tree, const char *key, int64_t value)
{
    newt_text k = newt_str(key);

    ok(c, newt_btree_put(c, tree, &book_class, &k, &value));
}

static void
test_snapshots(void **state)
{
    const char *get = "SELECT newt.btree_get('%s', %lld, '\"w000500\"'), "
                      "newt.btree_length('%s', %lld)";
    newt_ref tree;
    json_t *rows;
    char sql[256];
    store s;

    (void)state;
    tree = load_book(&s, "snapshots", 1000);
    snprintf(sql, sizeof sql, get, s.schema, (long long)tree.oid, s.schema, (long long)tree.oid);
    begin(s.b);
    ok(s.b, newt_query(s.b, &rows, sql, 0, NULL)); /* opens the snapshot */
    json_decref(rows);
    sql_do(s.pg, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_sql(s.pg, "500", "%s", sql);
    sql_do(s.pg, "DECLARE c CURSOR FOR SELECT value FROM newt.btree_items('%s', %lld)", s.schema,
           (long long)tree.oid);
    assert_sql(s.pg, "0", "FETCH c");

    begin(s.a);
    put(s.a, tree, "w000500", -1);
    for (int i = 0; i < 1000; i++) { /* leaves are split */
        char key[16];

        snprintf(key, sizeof key, "v%06d", i);
        put(s.a, tree, key, i);
    }
    assert_sql(s.pg, "500", "%s", sql); /* not committed */
    commit(s.a);
    assert_sql(s.pg, "500", "%s", sql);
    assert_sql(s.pg, "1", "FETCH c"); /* goes on where it was */
    assert_sql(s.pg, "2", "FETCH c");
    assert_sql(s.pg, "999", "FETCH RELATIVE 997 c");
    sql_do(s.pg, "COMMIT");
    assert_sql(s.pg, "-1", "%s", sql);
    ok(s.b, newt_query(s.b, &rows, sql, 0, NULL));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "btree_get")),
                     500);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "btree_length")),
                     1000);
    json_decref(rows);
    commit(s.b);
    assert_int_equal(
        sql_int(s.pg, "SELECT newt.btree_length('%s', %lld)", s.schema, (long long)tree.oid), 2000);
    store_close(&s);
}

/* ---- typed views ----------------------------------------------------------------------------- */

struct shop;
NEWT_DECLARE(shop);
struct shop {
    newt_text name;
    text_tree_ref by_name;
    ref_tree_ref parts;
    triple_tree_ref sales;
    text_set_ref words;
    pair_set_ref pairs;
    uuid_tree_ref nothing;
};
NEWT_CLASS(shop, "Shop", 1, NULL, NEWT_FIELD(struct shop, name),
           NEWT_REF(struct shop, by_name, text_tree), NEWT_REF(struct shop, parts, ref_tree),
           NEWT_REF(struct shop, sales, triple_tree), NEWT_REF(struct shop, words, text_set),
           NEWT_REF(struct shop, pairs, pair_set), NEWT_REF(struct shop, nothing, uuid_tree));
static const newt_class *const shops[] = {&shop_class,     &part_class,        &text_tree_class,
                                          &ref_tree_class, &triple_tree_class, &text_set_class,
                                          &pair_set_class, &uuid_tree_class,   NULL};

static newt_ref
fill(newt_conn *c, const kind *x, int n)
{
    newt_ref tree = newt_btree_create(c, x->k);

    for (int i = 0; i < n; i++) {
        any k, v;

        x->key(&k, i);
        if (x->value)
            x->value(&v, i);
        assert_int_equal(newt_btree_insert(c, tree, x->k, &k, &v), 1);
    }
    return tree;
}

static const kind *
kind_of(const newt_class *k)
{
    int i = 0;

    while (kinds[i].k != k)
        i++;
    return &kinds[i];
}

static void
test_views(void **state)
{
    static const struct {
        const char *name, *columns, *query, *count;
    } views[] = {
        {"by_name", "shop_id bigint, key text, value_id bigint",
         "SELECT count(*) FROM shop_by_name", "21"},
        {"parts", "shop_id bigint, key_id bigint, name text, n bigint, words text[]",
         "SELECT count(*) FROM shop_parts WHERE name = 'part ' || n AND cardinality(words) = n % 3 "
         "AND key_id = (n + 1) * 1000000",
         "20"},
        {"sales", "shop_id bigint, key_1 date, key_2 uuid, key_3 bigint, value bigint",
         "SELECT count(*) FROM shop_sales WHERE key_1 = date '1970-01-01' - 20 + (value / 25)::int",
         "20"},
        {"words", "shop_id bigint, key text", "SELECT count(*) FROM shop_words", "20"},
        {"pairs", "shop_id bigint, key_1 bigint, key_2_id bigint",
         "SELECT count(*) FROM shop_pairs WHERE key_1 < -90 AND key_2_id BETWEEN 1 AND 3", "20"},
        {"nothing", "shop_id bigint, key uuid, value jsonb", "SELECT count(*) FROM shop_nothing",
         "0"},
    };
    newt_text word = newt_str("before c");
    newt_ref ref;
    struct shop *shop;
    struct part *part;
    store s;

    (void)state;
    store_make(&s, "views");
    s.db = store_db(&s, shops, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    for (int i = 0; i < 2; i++) {
        shop = newt_new(s.a, &shop_class);
        assert_non_null(shop);
        shop->by_name.any = fill(s.a, kind_of(&text_tree_class), 10);
        shop->parts.any = fill(s.a, kind_of(&ref_tree_class), 10);
        shop->sales.any = fill(s.a, kind_of(&triple_tree_class), 10);
        shop->words.any = fill(s.a, kind_of(&text_set_class), 10);
        shop->pairs.any = fill(s.a, kind_of(&pair_set_class), 10);
    }
    part = newt_new(s.a, &part_class); /* the last shop has one that there is */
    assert_non_null(part);
    part->n = 5;
    ref = part_id(part).any;
    assert_int_equal(newt_btree_insert(s.a, shop->by_name.any, &text_tree_class, &word, &ref), 1);
    ok(s.a, newt_set(shop, name, "last"));
    commit(s.a);
    /* trees have no view, what refers to them has one for each */
    assert_sql(s.pg, "2", "SELECT newt.create_views('%s')", s.schema);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        assert_sql(s.pg, views[i].columns,
                   "SELECT string_agg(attname || ' ' || replace(format_type(atttypid, NULL), '\"', "
                   "''), ', ' ORDER BY "
                   "attnum) FROM pg_attribute WHERE attrelid = 'shop_%s'::regclass AND attnum > 0",
                   views[i].name);
        assert_sql(s.pg, views[i].count, "%s", views[i].query);
        assert_sql(s.pg, "0",
                   "SELECT count(*) FROM pg_attribute WHERE attrelid = 'shop_%s'::regclass AND "
                   "attnum > 0 AND col_description(attrelid, attnum) IS NULL",
                   views[i].name);
    }
    assert_sql(s.pg, "by_name: reference to Part",
               "SELECT col_description('shop_by_name'::regclass, 3)");
    assert_sql(s.pg, "10",
               "SELECT count(*) FROM shop s JOIN shop_words w ON w.shop_id = s.id "
               "WHERE s.id = (SELECT min(id) FROM shop)");
    /* forms of values that these trees have not */
    assert_sql(s.pg, "key_1_id bigint {0} ref|key_2 date {1} date|value_id bigint {} ref",
               "SELECT string_agg(concat_ws(' ', column_name, data_type, path, kind), '|' ORDER BY "
               "place) FROM newt.tree_columns('[{\"name\": \"keys\", \"kind\": \"ref\"}, "
               "{\"name\": \"keys2\", \"kind\": \"date\"}, {\"name\": \"values\", "
               "\"kind\": \"weak\", \"class\": \"Part\"}]')");
    assert_sql(s.pg,
               "key uuid|a text {a}|b_id bigint {b}|c_ids bigint[] {c}|d jsonb {d}|e jsonb {e}",
               "SELECT string_agg(concat_ws(' ', column_name, data_type, nullif(path, '{}')), '|' "
               "ORDER BY place) FROM newt.tree_columns('[{\"name\": \"keys\", \"kind\": "
               "\"uuid\"}, {\"name\": \"values\", \"kind\": \"struct\", \"fields\": ["
               "{\"name\": \"a\", \"kind\": \"enum\", \"names\": [\"x\"]}, "
               "{\"name\": \"b\", \"kind\": \"ref\"}, {\"name\": \"c\", \"kind\": "
               "\"ref\", \"shape\": \"list\"}, {\"name\": \"d\", \"kind\": \"struct\", "
               "\"fields\": [{\"name\": \"x\", \"kind\": \"int\"}]}, {\"name\": \"e\", "
               "\"kind\": \"int\", \"shape\": \"map\"}, {\"name\": \"f\", \"kind\": "
               "\"int\", \"skip\": true}]}]')");
    /* docs/collections.md */
    assert_sql(s.pg, "last \"before c\" 5",
               "SELECT concat_ws(' ', s.name, i.key, p.n) FROM shop s, newt.btree_refs('%s', "
               "s.by_name_id, '\"b\"', '\"c\"') i JOIN part p ON p.id = i.value_id",
               s.schema);
    assert_sql(s.pg, "11",
               "SELECT count(*) FROM shop s JOIN shop_by_name n ON n.shop_id = s.id WHERE s.name = "
               "'last' GROUP BY s.name");
    /* within a query they are no function that is run to its end */
    assert_sql(s.pg, "true false",
               "SELECT (p ~ 'ProjectSet') || ' ' || (p ~ 'Function Scan') FROM (SELECT "
               "newt.plan_of('SELECT * FROM shop_by_name LIMIT 1')::text) x (p)");
    /* to be joined by their columns, with bounds */
    assert_sql(s.pg, "6",
               "SELECT count(*) FROM shop s, newt.btree_items('%s', s.sales_id, "
               "'[\"1969-12-12\", \"00000000-0000-0000-0000-000000000002\"]', "
               "'[\"1969-12-12\"]', before_to => false) i WHERE newt.int8(i.value) > 6",
               s.schema);
    /* there are no tables of trees */
    sql_do(s.pg, "CALL newt.create_tables('%s', '%s_tables')", s.schema, s.schema);
    assert_sql(s.pg, "part shop",
               "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE "
               "c.relkind = 'r' AND c.relnamespace = '%s_tables'::regnamespace",
               s.schema);
    /* refreshed, they stay; of a class that is no tree any more, they go */
    assert_sql(s.pg, "replaced",
               "SELECT what FROM newt.refresh_views('%s') WHERE relation LIKE '%%shop_by_name%%'",
               s.schema);
    assert_sql(s.pg, "21", "SELECT count(*) FROM shop_by_name");
    sql_do(s.pg, "SELECT newt.set_projection('%s', 'Shop', 'virtual')", s.schema);
    assert_sql(s.pg, "21", "SELECT count(*) FROM shop_by_name");
    sql_do(s.pg, "UPDATE newt_class SET fields = fields - (jsonb_array_length(fields) - 1) WHERE "
                 "name = 'TextSet'");
    assert_sql(s.pg, "dropped",
               "SELECT what FROM newt.refresh_views('%s') WHERE relation LIKE '%%shop_words%%'",
               s.schema);
    sql_do(s.pg, "DROP SCHEMA %s_tables CASCADE", s.schema);
    store_close(&s);
}

/* ---- records at random ----------------------------------------------------------------------- */

/* Records of nodes with a few bytes changed: rows or an error that is expected, never more. */
static void
test_damaged(void **state)
{
    chance random = {take_seed()};
    int64_t damaged = 0, refused = 0, n = getenv("NEWT_SOAK") ? 20000 : 400;

    (void)state;
    for (int i = 0; i < N_KINDS; i++) {
        grown g;

        grow(&g, &kinds[i], &random);
        for (int64_t times = 0; times < n; times++) {
            const char *state_of;
            PGresult *r;
            char sql[1000];

            sql_do(g.s.pg, "BEGIN");
            sql_do(
                g.s.pg,
                "UPDATE object_state SET state = set_byte(state, floor(length(state) * %f)::int, "
                "%d) WHERE zoid = (SELECT o.zoid FROM object_state o WHERE "
                "newt.class_name(o.state) = '%s' ORDER BY o.zoid OFFSET floor(%f * (SELECT "
                "count(*) FROM object_state o WHERE newt.class_name(o.state) = '%s')) LIMIT 1)",
                pick(&random, 100000) / 100000.0, pick(&random, 256), kinds[i].k->name,
                pick(&random, 1000) / 1000.0, kinds[i].k->name);
            snprintf(sql, sizeof sql,
                     "SELECT count(*), count(key), min(value::text) FROM "
                     "newt.btree_items('%s', %lld, descending => %s)",
                     g.s.schema, (long long)g.tree.oid, times % 2 ? "true" : "false");
            r = PQexec(g.s.pg, sql);
            state_of = PQresultErrorField(r, PG_DIAG_SQLSTATE);
            damaged++;
            if (state_of) {
                refused++;
                if (strcmp(state_of, "22P03") != 0 && strcmp(state_of, "XX001") != 0 &&
                    strcmp(state_of, "42809") != 0 && strcmp(state_of, "54000") != 0 &&
                    strcmp(state_of, "0A000") != 0)
                    fail_msg("%s: %s", state_of, PQresultErrorMessage(r));
            }
            PQclear(r);
            sql_do(g.s.pg, "ROLLBACK");
        }
        fell(&g);
    }
    print_message("# %lld damaged, %lld refused\n", (long long)damaged, (long long)refused);
    assert_true(refused > damaged / 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_kinds, with),     cmocka_unit_test_setup(test_lazily, with),
    cmocka_unit_test_setup(test_snapshots, with), cmocka_unit_test_setup(test_views, with),
    cmocka_unit_test_setup(test_damaged, with),
};

int
main(void)
{
    return run_all(tests);
}
