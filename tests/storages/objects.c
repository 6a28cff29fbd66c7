/*
 * objects.c - objects of every kind in a store, seen by another program; what cannot be
 * read or written there
 */
#include "../bridge/everything.h"
#include "../bridge/server.h"

/* ---- every kind ---------------------------------------------------------------------------- */

static uint8_t *
encoded(newt_conn *c, const void *object, size_t *n)
{
    newt_error e = {0};
    uint8_t *copy;

    if (newt__image_encode(newt__jar_of(c), newt__header_of(object), false, &e) != NEWT_OK)
        fail_error("newt__encode", &e);
    *n = newt__jar_of(c)->coder.writer.buf.n;
    copy = malloc(*n);
    memcpy(copy, newt__jar_of(c)->coder.writer.buf.data, *n);
    return copy;
}

/* Random objects, written by one and read by another; their rows are the server's own answer. */
static void
every_kind(newt_projector projector)
{
    enum {
        N = 400
    };
    static everything_ref refs[N];
    static uint8_t *records[N];
    static size_t sizes[N];
    newt_db *writer, *reader;
    newt_conn *w, *r;
    generate g;
    store s;

    generate_init(&g, generate_seed());
    store_make(&s, "kinds");
    writer = store_db(&s, everything_classes, (newt_options){.projector = projector});
    reader = store_db(&s, everything_classes, (newt_options){0});
    w = connect_(writer);
    r = connect_(reader);
    for (int i = 0; i < N;) {
        begin(w);
        for (int end = i + N / 4; i < end; i++) {
            struct everything *e = everything_new(w);

            everything_fill(&g, e);
            refs[i] = everything_id(e);
            records[i] = encoded(w, e, &sizes[i]);
            everything_done(e);
        }
        commit(w);
    }
    begin(r);
    ok(r, newt_prefetch(r, &refs[0].any, N / 2));
    for (int i = 0; i < N; i++) {
        const struct everything *e = everything_read(r, refs[i]);
        uint8_t *again;
        size_t n;

        if (!e)
            fail_error("everything_read", newt_conn_error(r));
        again = encoded(r, e, &n);
        assert_bytes(again, n, records[i], sizes[i], "of another program");
        free(again);
        free(records[i]);
        everything_done(e);
    }
    newt_abort(r);
    assert_sql(s.pg, "400", "SELECT count(*) FROM object_state WHERE zoid >= 1024");
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o LEFT JOIN newt n USING (zoid)"
               " WHERE n.state IS DISTINCT FROM newt.to_jsonb(o.state) AND zoid >= 1024");
    newt_close(w);
    newt_close(r);
    newt_db_close(writer);
    newt_db_close(reader);
    PQfinish(s.pg);
}

static void
projected_by_the_client(void **state)
{
    (void)state;
    use_database(true);
    every_kind(NEWT_PROJECT_CLIENT);
}

static void
projected_by_the_server(void **state)
{
    (void)state;
    if (on_storage("layer-stored")) /* whose server is without the extension */
        skip();
    use_database(true);
    every_kind(NEWT_PROJECT_SERVER);
}

/* ---- ghosts of nothing --------------------------------------------------------------------- */

static void
missing(void **state)
{
    item_ref r = {{987654}};
    store s;

    (void)state;
    store_open(&s, "missing");
    begin(s.a);
#define MISSES(call)                                                                               \
    assert_false(call);                                                                            \
    assert_error(newt_conn_error(s.a), NEWT_EMISSING, "object 987654 does not exist")
    MISSES(item_read(s.a, r));
    MISSES(item_write(s.a, r));
    MISSES(newt_delete(s.a, r.any) != NEWT_EMISSING);
    MISSES(newt_class_name(s.a, r.any));
    MISSES(newt_bag_read(s.a, r.any));
    MISSES(newt_bag_write(s.a, r.any));
#undef MISSES
    new_item(s.a, "goes on", 1);
    commit(s.a);
    store_close(&s);
}

/* ---- damage in the store ------------------------------------------------------------------- */

static void
damaged(void **state)
{
    newt_ref refs[4];
    store s;

    (void)state;
    needs_server();
    store_open(&s, "damaged");
    for (int i = 0; i < 3; i++)
        refs[i] = make_item(s.a, "x", i).any;
    refs[3].oid = 987654;
    sql_do(s.pg, "UPDATE object_state SET state = substr(state, 1, 9) WHERE zoid = %lld",
           (long long)refs[1].oid);
    newt_close(s.b); /* whatever it has cached */
    s.b = connect_(s.db);
    begin(s.b);
    newt__cache_clear(newt__jar_of(s.b));
    ok(s.b, newt_prefetch(s.b, refs, 4)); /* one for all, whatever they are */
    assert_int_equal(read_n(s.b, item_of(refs[0])), 0);
    assert_int_equal(read_n(s.b, item_of(refs[2])), 2);
    assert_null(item_read(s.b, item_of(refs[1])));
    assert_error(newt_conn_error(s.b), NEWT_EBROKEN, "cut short");
    assert_null(item_write(s.b, item_of(refs[1])));
    assert_null(newt_bag_read(s.b, refs[1]));
    write_n(s.b, item_of(refs[0]), 10);
    commit(s.b);
    assert_sql(s.pg, "9", "SELECT length(state) FROM object_state WHERE zoid = %lld",
               (long long)refs[1].oid);
    begin(s.b);
    ok(s.b, newt_delete(s.b, refs[1]));
    commit(s.b);
    assert_sql(s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid = %lld",
               (long long)refs[1].oid);
    store_close(&s);
}

/* ---- bags ---------------------------------------------------------------------------------- */

static int64_t
committed_n(newt_conn *c, item_ref r)
{
    int64_t n;

    begin(c);
    n = read_n(c, r);
    newt_abort(c);
    return n;
}

/* Made by a program without tables, read by one that has them, and the other way round. */
static void
bags_and_structs(void **state)
{
    static const newt_class *const none[] = {NULL};
    newt_db *bare;
    newt_conn *c;
    newt_bag *b;
    const newt_bag *read;
    json_t *value;
    newt_ref made;
    item_ref item;
    store s;

    (void)state;
    store_open(&s, "bags");
    bare = store_db(&s, none, (newt_options){0});
    c = connect_(bare);
    item = make_item(s.a, "one", 1);

    begin(c);
    read = newt_bag_read(c, item.any);
    assert_non_null(read);
    assert_string_equal(newt_bag_class(read), "Item");
    b = newt_bag_write(c, item.any);
    assert_ptr_equal(b, read);
    value = json_integer(41);
    ok(c, newt_bag_set(b, "n", value));
    json_decref(value);
    b = newt_bag_new(c, "Note");
    made = newt_bag_ref(b);
    value = newt_json_ref(item.any);
    ok(c, newt_bag_set(b, "about", value));
    json_decref(value);
    commit(c);

    /* what another program has committed may be seen a moment later */
    wait_until(committed_n(s.a, item) == 41);
    begin(s.a);
    read = newt_bag_read(s.a, made);
    value = newt_bag_get(read, "about");
    assert_int_equal(newt_json_to_ref(value).oid, item.any.oid);
    json_decref(value);
    assert_null(item_read(s.a, item_of(made)));
    assert_error(newt_conn_error(s.a), NEWT_ECLASS, "of class \"Note\", not \"Item\"");
    newt_abort(s.a);
    assert_sql(s.pg, "1",
               "SELECT count(*) FROM newt WHERE class_name = 'Note'"
               " AND state = '{\"about\": {\"::=>\": %lld}}'",
               (long long)item.any.oid);
    newt_close(c);
    newt_db_close(bare);
    store_close(&s);
}

/* ---- to_json ------------------------------------------------------------------------------- */

struct shaped {
    newt_text title;
    uint64_t huge;
    newt_ref owner;
};
NEWT_DECLARE(shaped);

static bool forge;

static int
to_json(const void *object, struct json_t *json, void *arg)
{
    const struct shaped *s = object;

    (void)arg;
    json_object_set_new(json, "length", json_integer((json_int_t)s->title.n));
    if (forge)
        json_object_set_new(json, "owner", newt_json_ref((newt_ref){7}));
    return 0;
}
static const newt_hooks hooks = {.size = sizeof hooks, .to_json = to_json};
NEWT_CLASS(shaped, "Shaped", 0, &hooks, NEWT_FIELD(struct shaped, title),
           NEWT_FIELD(struct shaped, huge), NEWT_FIELD(struct shaped, owner));

static void
reshaped(void **state)
{
    static const newt_class *const list[] = {&shaped_class, NULL};
    struct shaped *x;
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "shaped");
    db = store_db(&s, list, (newt_options){0});
    c = connect_(db);
    begin(c);
    x = shaped_new(c);
    newt_set(x, title, "four");
    x->huge = UINT64_MAX;
    x->owner.oid = 5;
    commit(c);
    assert_sql(s.pg, "t",
               "SELECT state = '{\"huge\": 18446744073709551615, \"owner\": {\"::=>\": 5},"
               " \"title\": \"four\", \"length\": 4}' FROM newt WHERE class_name = 'Shaped'");
    forge = true;
    begin(c);
    x = shaped_new(c);
    assert_int_equal(newt_commit(c), NEWT_EINVAL);
    assert_error(newt_conn_error(c), NEWT_EINVAL, "has a to_json that makes keys");
    assert_sql(s.pg, "1", "SELECT count(*) FROM object_state WHERE zoid >= 1024");
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* ---- nothing half-written ------------------------------------------------------------------ */

struct strict {
    newt_text name;
    enum color color;
};
NEWT_DECLARE(strict);
NEWT_CLASS(strict, "Strict", 0, NULL, NEWT_FIELD(struct strict, name, .flags = NEWT_F_REQUIRED),
           NEWT_ENUM(struct strict, color, color_names));

static void
refused_commits(void **state)
{
    static const newt_class *const list[] = {&strict_class, &thing_class, NULL};
    struct strict *x;
    struct thing *t;
    newt_db *db;
    newt_conn *c;
    store s;
    char *huge = malloc(300u << 20);

    (void)state;
    assert_non_null(huge);
    store_make(&s, "refused");
    db = store_db(&s, list, (newt_options){0});
    c = connect_(db);
#define REFUSED(status, words, ...)                                                                \
    begin(c);                                                                                      \
    t = thing_new(c);                                                                              \
    newt_set(t, name, "beside it");                                                                \
    x = strict_new(c);                                                                             \
    newt_set(x, name, "name");                                                                     \
    __VA_ARGS__;                                                                                   \
    assert_int_equal(newt_commit(c), status);                                                      \
    assert_error(newt_conn_error(c), status, words);                                               \
    assert_sql(s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid >= 1024")
    REFUSED(NEWT_EINVAL, "is null, but required", newt_set(x, name, NULL));
    REFUSED(NEWT_EINVAL, "field \"color\" of Strict", x->color = (enum color)17);
    REFUSED(NEWT_ELIMIT, "field \"name\" of Strict",
            newt_text_setn(strict_obj(x), &x->name, huge, 300u << 20));
    REFUSED(NEWT_EINVAL, "has no array of items of this size",
            (void)!newt_array_grow(strict_obj(x), &x->color, 1, 1));
    begin(c);
    x = strict_new(c);
    newt_set(x, name, "fine");
    commit(c);
    assert_sql(s.pg, "1", "SELECT count(*) FROM object_state WHERE zoid >= 1024");
    free(huge);
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* Debug mode: what was changed through a cast is not taken for saved. */
static void
forgotten_mark(void **state)
{
    item_ref r;
    store s;

    (void)state;
    store_open_as(&s, "marks", (newt_options){.debug = true});
    r = make_item(s.a, "one", 1);
    begin(s.a);
    ((struct item *)(uintptr_t)item_read(s.a, r))->n = 2;
    assert_int_equal(newt_commit(s.a), NEWT_EINVAL);
    assert_error(newt_conn_error(s.a), NEWT_EINVAL,
                 "was changed without being asked for writing: field \"n\"");
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    begin(s.a);
    write_n(s.a, r, 3);
    commit(s.a);
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    store_close(&s);
}

/* New objects that nothing leads to are saved, and in debug mode told. */
typedef struct notices {
    int n, others;
    int64_t oids[16];
    char last[200];
} notices;

static void
take_notice(const newt_error *e, void *arg)
{
    notices *all = arg;

    assert_int_equal(newt_error_status(e), NEWT_OK);
    if (newt_error_oid(e))
        all->oids[all->n++] = newt_error_oid(e);
    else
        all->others++;
    snprintf(all->last, sizeof all->last, "%s", newt_error_message(e));
}

static void
unreachable(void **state)
{
    notices all = {0};
    newt_options o = {.debug = true, .notice = take_notice, .notice_arg = &all};
    struct item *i, *first, *second;
    item_ref stored, lost;
    json_t *json;
    newt_bag *b;
    char want[100];
    store s;

    (void)state;
    store_open_as(&s, "unreachable", o);
    /* by a root, by a list that is in a root, by a bag, by each other from there on */
    begin(s.a);
    i = new_item(s.a, "rooted", 1);
    stored = item_id(i);
    i->next = item_id(new_item(s.a, "next", 2));
    b = newt_bag_new(s.a, "Bag");
    json = newt_json_ref(item_id(i).any);
    assert_int_equal(newt_bag_set(b, "item", json), NEWT_OK);
    json_decref(json);
    ok(s.a, newt_set_root(s.a, "bag", newt_bag_ref(b)));
    commit(s.a);
    assert_int_equal(all.n, 0);
    /* by a stored object that is changed: it was read only, then it is */
    begin(s.a);
    lost = item_id(new_item(s.a, "lost", 3));
    i = item_write(s.a, stored);
    i->n++;
    commit(s.a);
    assert_int_equal(all.n, 1);
    assert_int_equal(all.oids[0], lost.any.oid);
    snprintf(want, sizeof want, "no reference leads to the new object Item %lld",
             (long long)lost.any.oid);
    assert_string_equal(all.last, want);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt WHERE zoid = %lld", (long long)lost.any.oid);
    begin(s.a);
    i = item_write(s.a, stored);
    i->next = item_id(new_item(s.a, "found", 4));
    commit(s.a);
    assert_int_equal(all.n, 1);
    /* two that refer to each other, and to a third: nothing leads there */
    begin(s.a);
    first = new_item(s.a, "first", 5);
    second = new_item(s.a, "second", 6);
    first->next = item_id(second);
    second->next = item_id(first);
    commit(s.a);
    assert_int_equal(all.n, 3);
    /* what is not saved is not told; of many, ten */
    begin(s.a);
    ok(s.a, newt_delete(s.a, item_id(new_item(s.a, "gone", 7)).any));
    commit(s.a);
    assert_int_equal(all.n, 3);
    all = (notices){0};
    begin(s.a);
    for (int k = 0; k < 25000; k++)
        item_done(new_item(s.a, "many", k));
    commit(s.a);
    assert_int_equal(all.n, 10);
    assert_int_equal(all.others, 1);
    assert_string_equal(all.last, "no reference leads to 24990 more new objects");
    store_close(&s);
}

static int
record_bytes(const char *dump)
{
    int n;

    assert_int_equal(sscanf(strstr(dump, "\n  record   "), " record %d bytes", &n), 1);
    return n;
}

static void
test_dump(void **state)
{
    newt_cache cache = {.size = sizeof cache};
    char expected[300], *text;
    item_ref r, q;
    int before;
    store s;

    (void)state;
    store_open(&s, "dump");
    begin(s.a);
    q = item_id(new_item(s.a, "q", 1));
    r = item_id(new_item(s.a, "r\n", 2));
    item_write(s.a, r)->next = q;
    text = newt_dump(s.a, r.any);
    assert_non_null(text);
    assert_non_null(strstr(text, ", new in this transaction\n"));
    assert_null(strstr(text, "serial"));
    free(text);
    ok(s.a, newt_describe(s.a, "ada", "two of them", NULL));
    commit(s.a);
    begin(s.b);
    text = newt_dump(s.b, r.any);
    assert_non_null(text);
    snprintf(expected, sizeof expected, "Item %lld, as it is stored\n  record   ",
             (long long)r.any.oid);
    assert_memory_equal(text, expected, strlen(expected));
    snprintf(expected, sizeof expected, " UTC, transaction %lld, by ada: two of them\n",
             (long long)newt_tid(s.a));
    assert_non_null(strstr(text, expected));
    snprintf(expected, sizeof expected, "\n  n: 2\n  name: \"r\\n\"\n  next: {\"::=>\": %lld}\n",
             (long long)q.any.oid);
    assert_non_null(strstr(text, expected));
    before = record_bytes(text);
    free(text);
    write_n(s.b, r, 3000000);
    text = newt_dump(s.b, r.any);
    assert_non_null(strstr(text, ", asked for writing in this transaction\n"));
    assert_non_null(strstr(text, "\n  n: 3000000\n"));
    assert_int_equal(record_bytes(text), before + 4); /* as it would be written now */
    free(text);
    newt_cache_stats(s.b, &cache);
    assert_int_equal(cache.pinned, 0);
    ok(s.b, newt_delete(s.b, r.any));
    assert_null(newt_dump(s.b, r.any));
    assert_int_equal(newt_status(s.b), NEWT_EMISSING);
    newt_abort(s.b);
    assert_null(newt_dump(s.b, r.any));
    assert_int_equal(newt_status(s.b), NEWT_EBUSY);
    store_close(&s);
}

static const struct CMUnitTest objects[] = {
    cmocka_unit_test(test_dump),
    cmocka_unit_test(missing),
    cmocka_unit_test(damaged),
    cmocka_unit_test(bags_and_structs),
    cmocka_unit_test(reshaped),
    cmocka_unit_test(refused_commits),
    cmocka_unit_test(forgotten_mark),
    cmocka_unit_test(unreachable),
    cmocka_unit_test(projected_by_the_client),
    cmocka_unit_test(projected_by_the_server),
};

int
main(void)
{
    return run_all(objects);
}
