/*
 * server_start.c - how little a process asks before its first object, and that it knows all then
 */
#include "bridge/transaction/transaction.h"
#include "proxy.h"

static const char *const odd_names[] = {"a \"quoted\" one",     "back\\slash",
                                        "tab\tand\nline",       "\b\f\r\x01\x1f\x7f",
                                        "gr\xc3\xbc\xc3\x9f /", NULL};
struct inner {
    newt_date day;
    NEWT_ARRAY(struct inner) within;
};
NEWT_DECLARE(inner);
NEWT_CLASS(inner, "Inner", 1, NULL, NEWT_FIELD(struct inner, day),
           NEWT_STRUCTS(struct inner, within, inner));
struct odd;
NEWT_DECLARE(odd);
struct odd {
    int kind;
    double weight;
    newt_text needed, kept, skipped;
    struct inner inner;
    NEWT_ARRAY(struct inner) list;
    NEWT_ARRAY(newt_text) tags;
    NEWT_MAP(odd_ref) members;
    NEWT_PAIRS(int16_t, newt_date) days;
    odd_ref self;
    newt_ref any;
};
/* clang-format off */
#define O struct odd
NEWT_CLASS(odd, "Odd \"class\"", 1, NULL, NEWT_ENUM(O, kind, odd_names), NEWT_FIELD(O, weight),
           NEWT_FIELD(O, needed, .flags = NEWT_F_REQUIRED, .as = "needed\\by\t\"us\""),
           NEWT_FIELD(O, kept, .flags = NEWT_F_KEEP_NULL),
           NEWT_FIELD(O, skipped, .flags = NEWT_F_SKIP), NEWT_STRUCT(O, inner, inner),
           NEWT_STRUCTS(O, list, inner), NEWT_SET(O, tags), NEWT_MAPOF_REFS(O, members, odd),
           NEWT_PAIRSOF(O, days), NEWT_REF(O, self, odd), NEWT_FIELD(O, any));
#undef O
/* clang-format on */
struct empty {
    int unused;
};
NEWT_DECLARE(empty);
static const newt_class empty_table = {.class_size = sizeof(newt_class),
                                       .field_size = sizeof(newt_field),
                                       .size = sizeof(struct empty),
                                       .name = "Empty"};
static const newt_class *const odd_classes[] = {&odd_class, &item_class, &empty_table, NULL};

/* The server compares texts: they must be what it makes of the same JSON. */
static void
test_text(void **state)
{
    store s;

    (void)state;
    store_make(&s, "text");
    s.db = store_db(&s, odd_classes, (newt_options){0});
    for (const newt_class *const *k = odd_classes; *k; k++) {
        char *text = newt__class_fields(newt__class_find(s.db->classes, *k));
        const char *params[] = {(*k)->name, text};
        PGresult *r = PQexecParams(s.pg,
                                   "SELECT fields::text, fields::text = $2 FROM newt_class "
                                   "WHERE name = $1",
                                   2, NULL, params, NULL, NULL, 0);

        assert_int_equal(PQntuples(r), 1);
        if (*PQgetvalue(r, 0, 1) != 't')
            fail_msg("the server has %s, the library %s", PQgetvalue(r, 0, 0), text);
        PQclear(r);
        free(text);
    }
    store_close(&s);
}

/* Opens, reads one object, ends. */
static proxy
count(proxy *p, const store *s, const newt_class *const *list, item_ref r)
{
    newt_options o = {.size = sizeof o, .schema = s->schema};
    newt_conn *c;
    newt_db *db;

    proxy_arm(p, -1, -1, -1);
    if (newt_db_open(&db, p->uri, list, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    assert_int_equal(stats_of(c).round_trips, 0);
    assert_int_equal(stats_of(c).statements, 0);
    begin(c);
    assert_int_equal(read_n(c, r), 7);
    newt_abort(c);
    newt_close(c);
    newt_db_close(db);
    return proxy_counts(p);
}

static void
test_round_trips(void **state)
{
    static const newt_class *const items[] = {&item_class, NULL};
    proxy p, counts;
    item_ref r;
    store s;

    (void)state;
    use_database(true);
    store_open(&s, "round_trips");
    r = make_item(s.a, "one", 7);
    proxy_start(&p);
    /* the opening, the first read, the end of its transaction */
    counts = count(&p, &s, items, r);
    assert_int_equal(counts.syncs, 3);
    assert_true(counts.server_bytes < 8192);
    /* others must be registered: once */
    counts = count(&p, &s, odd_classes, r);
    assert_int_equal(counts.syncs, 4);
    counts = count(&p, &s, odd_classes, r);
    assert_int_equal(counts.syncs, 3);
    proxy_stop(&p);
    store_close(&s);
}

static const struct CMUnitTest start[] = {
    cmocka_unit_test(test_text),
    cmocka_unit_test(test_round_trips),
};

int
main(void)
{
    return run_all(start);
}
