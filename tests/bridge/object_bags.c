/*
 * object_bags.c - objects without a struct
 */
#include "everything.h"

static offline o;

static int
start(void **state)
{
    (void)state;
    offline_open(&o, everything_classes);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    offline_close(&o);
    return 0;
}

static json_t *
parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    if (!json)
        fail_msg("not JSON: %s", text);
    return json;
}

static void
assert_state(const newt_bag *b, const char *text)
{
    json_t *want = parse(text), *got = newt_bag_state(b);

    if (!json_equal(got, want)) {
        char *s = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;

        fail_msg("got %s, want %s", s ? s : "nothing", text);
    }
    json_decref(got);
    json_decref(want);
}

static void
set(newt_bag *b, const char *key, const char *text)
{
    json_t *value = parse(text);

    assert_int_equal(newt_bag_set(b, key, value), NEWT_OK);
    json_decref(value);
}

static newt__header *
load_bag(const char *class_name, int32_t version, bool hidden, const char *state)
{
    newt__writer w = {.buf.env = &o.c.jar.coder.env};
    json_t *json = parse(state);
    newt__header *h;

    newt__write_begin(&w, class_name, strlen(class_name), version);
    if (hidden)
        newt__write_hidden(&w);
    newt__json_write(&w, json);
    assert_int_equal(newt__write_end(&w), NEWT__OK);
    h = load(&o, 7, w.buf.data, w.buf.n);
    newt__writer_free(&w);
    json_decref(json);
    return h;
}

static void
life(void **state)
{
    newt_bag *b = newt_bag_new(&o.c, "Note");
    newt_ref r = newt_bag_ref(b);
    const newt_bag *read;
    json_t *value;

    (void)state;
    assert_string_equal(newt_bag_class(b), "Note");
    assert_string_equal(newt_class_name(&o.c, r), "Note");
    assert_state(b, "{}");
    set(b, "title", "\"first\"");
    set(b, "about", "{\"::=>\": 42}");
    set(b, "::odd", "1"); /* a key of the program's own: the colon is added and taken off again */
    assert_int_equal(newt_bag_set(b, "nothing", NULL), NEWT_OK);
    value = newt_bag_get(b, "::odd");
    assert_int_equal(json_integer_value(value), 1);
    json_decref(value);
    value = newt_bag_get(b, "about");
    assert_int_equal(newt_json_to_ref(value).oid, 42);
    json_decref(value);
    assert_null(newt_bag_get(b, "nobody"));
    newt_bag_done(b);
    offline_commit(&o, 20);

    read = newt_bag_read(&o.c, r);
    assert_state(read, "{\"title\": \"first\", \"about\": {\"::=>\": 42}, \":::odd\": 1,"
                       " \"nothing\": null}");
    newt_bag_done(read);
    b = newt_bag_write(&o.c, r);
    assert_ptr_equal(b, read); /* one of an oid */
    assert_int_equal(newt_bag_delete(b, "::odd"), NEWT_OK);
    assert_int_equal(newt_bag_delete(b, "nobody"), NEWT_OK);
    offline_commit(&o, 21);
    read = newt_bag_read(&o.c, r);
    assert_state(read, "{\"title\": \"first\", \"about\": {\"::=>\": 42}, \"nothing\": null}");
    assert_int_equal(newt__cache_find(&o.c.jar.cache, r.oid)->serial, 21);

    /* changed to what it was: the same record */
    b = newt_bag_write(&o.c, r);
    set(b, "title", "\"other\"");
    set(b, "title", "\"first\"");
    offline_commit(&o, 22);
    assert_int_equal(newt__cache_find(&o.c.jar.cache, r.oid)->serial, 21);

    /* copied in and out */
    b = newt_bag_write(&o.c, r);
    value = parse("{\"list\": [1]}");
    assert_int_equal(newt_bag_replace(b, value), NEWT_OK);
    json_array_append_new(json_object_get(value, "list"), json_integer(2));
    json_decref(value);
    assert_state(b, "{\"list\": [1]}");
    value = newt_bag_state(b);
    json_object_clear(value);
    json_decref(value);
    assert_state(b, "{\"list\": [1]}");
    assert_int_equal(newt_delete(&o.c, r), NEWT_OK);
    assert_null(newt_bag_read(&o.c, r));
    assert_int_equal(newt_status(&o.c), NEWT_EMISSING);
}

/* Version, hidden state, shared values: what the record says is kept. */
static void
kept(void **state)
{
    newt_bag *b;
    newt__header *h;
    uint8_t *record;
    size_t n;

    (void)state;
    h = load_bag("Old", 7, true,
                 "{\"a\": {\"::id\": 0, \"x\": {\"::->\": 0}}, \"b\": {\"::->\": 0}, \"n\":"
                 " {\"::num\": \"1.50\"}}");
    record = malloc(h->record_n);
    n = h->record_n;
    memcpy(record, h->record, n);
    b = newt_bag_write(&o.c, (newt_ref){7});
    set(b, "z", "1");
    offline_commit(&o, 2);
    b = newt_bag_write(&o.c, (newt_ref){7});
    newt_bag_delete(b, "z");
    offline_commit(&o, 3);
    h = newt__cache_find(&o.c.jar.cache, 7);
    assert_bytes(h->record, h->record_n, record, n, "kept");
    assert_int_equal(h->serial, 3);
    free(record);
    b = newt_bag_write(&o.c, (newt_ref){7}); /* and if nobody looks at the state */
    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(b), &(bool){0}), NEWT_OK);
}

static void
no_map(void **state)
{
    newt_bag *b;

    (void)state;
    load_bag("List", 0, false, "[1, 2]");
    b = newt_bag_write(&o.c, (newt_ref){7});
    assert_state(b, "[1, 2]");
    assert_null(newt_bag_get(b, "x"));
    assert_int_equal(newt_bag_set(b, "x", NULL), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "List 7 has a state that is no map");
    assert_true(newt__base_is_over(&o.c.jar.base));
}

/* An object that has a struct, as a bag: a copy of it as it is. */
static void
views(void **state)
{
    struct thing *t = thing_new(&o.c);
    newt_ref r = thing_id(t).any;
    const newt_bag *b, *later;
    long live;

    (void)state;
    newt_set(t, name, "one");
    b = newt_bag_read(&o.c, r);
    assert_state(b, "{\"name\": \"one\", \"n\": 0}");
    assert_string_equal(newt_bag_class(b), "Thing");
    assert_int_equal(newt_bag_ref(b).oid, r.oid);
    newt_set(t, name, "two");
    assert_state(b, "{\"name\": \"one\", \"n\": 0}");
    later = newt_bag_read(&o.c, r);
    assert_state(later, "{\"name\": \"two\", \"n\": 0}");
    assert_null(newt_bag_write(&o.c, r));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "\"Thing\", which has a table");
    assert_null(newt_conn_of((const newt_object *)b));
    assert_null(newt_edit((const newt_object *)b));
    newt_bag_done(b);
    live = o.live;
    newt_bag_done(later);
    assert_true(o.live < live);
    newt_bag_done(NULL);
    assert_non_null(newt_bag_read(&o.c, r)); /* freed by the transaction's end */
    offline_abort(&o);
    assert_null(o.c.jar.views);
}

static void
changed_view(void **state)
{
    struct thing *t = thing_new(&o.c);
    newt_bag *b = (newt_bag *)(uintptr_t)newt_bag_read(&o.c, thing_id(t).any);

    (void)state;
    assert_int_equal(newt_bag_set(b, "n", NULL), NEWT_EINVAL);
    assert_true(newt__base_is_over(&o.c.jar.base));
}

static void
class_names(void **state)
{
    static char long_name[257];
    static const struct {
        const char *name;
        int status;
        const char *words;
    } bad[] = {
        {NULL, NEWT_EINVAL, "is empty"},        {"", NEWT_EINVAL, "is empty"},
        {long_name, NEWT_EINVAL, "too long"},   {"\xff", NEWT_EINVAL, "not UTF-8"},
        {"newt.Foo", NEWT_EINVAL, "reserved"},  {"::Foo", NEWT_EINVAL, "reserved"},
        {"Thing", NEWT_ECLASS, "use newt_new"},
    };

    (void)state;
    memset(long_name, 'x', 256);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        assert_null(newt_bag_new(&o.c, bad[i].name));
        assert_error(newt_conn_error(&o.c), bad[i].status, bad[i].words);
    }
    long_name[255] = 0;
    assert_non_null(newt_bag_new(&o.c, long_name));
}

/* A struct is asked for, but the class is known nowhere. */
static void
unknown_class(void **state)
{
    (void)state;
    load_bag("Ghostly", 0, false, "{\"a\": 1}");
    assert_null(thing_read(&o.c, thing_of((newt_ref){7})));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS,
                 "object 7 is of class \"Ghostly\", not \"Thing\"");
    assert_non_null(newt_bag_read(&o.c, (newt_ref){7}));
}

static const struct {
    const char *record;
    size_t n;
    const char *words;
} damaged[] = {
#define R(text, words)                                                                             \
    {                                                                                              \
        text, sizeof(text) - 1, words                                                              \
    }
    R("", "record is empty"),
    R("\x83", "cut short"),
    R("\x83\x65Thing", "cut short"),
    R("\x83\x65Thing\x00", "cut short"),
    R("\x83\x65Thing\x00\xa1\x61n", "cut short"),
    R("\x83\x65Thing\x00\xa0\x00", "bytes after the record's end"),
    R("\x83\x65Thing\x00\xa2\x64name\x60\x61n\x00", "not in order"),
    R("\x84\x65Thing\x00\xa0", "newer format"),
    R("\x80\x03}q\x00.", "Python pickle"),
    R(".zxyz", "zlib"),
    R(".exyz", "encrypted"),
    R("junk", "not a state record"),
#undef R
};

static void
damaged_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(damaged); i++) {
        newt__header *h = load(&o, 7, damaged[i].record, damaged[i].n);

        assert_true(h->bag);
        assert_null(newt_bag_read(&o.c, (newt_ref){7}));
        assert_error(newt_conn_error(&o.c), NEWT_EBROKEN, damaged[i].words);
        assert_error(newt_conn_error(&o.c), NEWT_EBROKEN, "7");
        assert_null(newt_bag_write(&o.c, (newt_ref){7}));
        assert_null(thing_read(&o.c, thing_of((newt_ref){7})));
        assert_error(newt_conn_error(&o.c), NEWT_EBROKEN, damaged[i].words);
        assert_null(thing_write(&o.c, thing_of((newt_ref){7})));
        /* never overwritten: what was loaded is there still */
        h = newt__cache_find(&o.c.jar.cache, 7);
        assert_bytes(h->record, h->record_n, damaged[i].record, damaged[i].n, "record");
        assert_int_equal(newt_delete(&o.c, (newt_ref){7}), NEWT_OK);
        offline_abort(&o);
    }
    load(&o, 7, "junk", 4);
    assert_null(newt_class_name(&o.c, (newt_ref){7}));
    assert_int_equal(newt_status(&o.c), NEWT_EBROKEN);
}

static void
wrong_changes(void **state)
{
    newt_bag *b = newt_bag_new(&o.c, "Note");
    json_t *bad = parse("{\"::nonsense\": 1}"), *list = parse("[]");
    bool same;

    (void)state;
    /* what is wrong inside is found at commit */
    assert_int_equal(newt_bag_set(b, "x", bad), NEWT_OK);
    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(b), &same), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "Note 1024: an object has an unknown key");
    offline_begin(&o);
    assert_int_equal(newt_bag_replace(b, list), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "Note 1024 was given a state that is no object");
    assert_true(newt__base_is_over(&o.c.jar.base));
    offline_abort(&o);
    b = newt_bag_new(&o.c, "Note");
    assert_int_equal(newt_bag_set(b, "\xff", NULL), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "not UTF-8");
    offline_abort(&o);
    b = newt_bag_new(&o.c, "Note");
    assert_int_equal(newt_text_set((newt_object *)b, &(newt_text){0}, "x"), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "is a bag");
    offline_abort(&o);

    /* only read */
    load_bag("Note", 0, false, "{}");
    b = (newt_bag *)(uintptr_t)newt_bag_read(&o.c, (newt_ref){7});
    assert_int_equal(newt_bag_set(b, "x", NULL), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "was not asked for writing");
    json_decref(bad);
    json_decref(list);
}

/* Random states through a bag that is changed and changed back. */
static void
random_bags(void **state)
{
    newt__writer w = {.buf.env = &o.c.jar.coder.env};
    generate g;
    int maps = 0;

    (void)state;
    generate_init(&g, generate_seed());
    for (int i = 0; i < 3000; i++) {
        newt__header *h;
        newt_bag *b;

        assert_int_equal(generate_record(&g, &w, "Random"), NEWT__OK);
        load(&o, 7, w.buf.data, w.buf.n);
        b = newt_bag_write(&o.c, (newt_ref){7});
        assert_non_null(b);
        if (newt_bag_set(b, "added field", NULL) == NEWT_OK) {
            bool same;
            int status = newt__object_encode(&o.c.jar, newt__header_of(b), &same);

            /* a state that is itself a wrapper takes no fields */
            if (status == NEWT_OK) {
                assert_false(same);
                maps++;
            }
            newt_bag_delete(b, "added field");
        }
        offline_begin(&o);
        offline_commit(&o, 3);
        h = newt__cache_find(&o.c.jar.cache, 7);
        assert_bytes(h->record, h->record_n, w.buf.data, w.buf.n, "random");
        assert_int_equal(h->serial, 70);
    }
    assert_true(maps > 1000);
    newt__writer_free(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(life),          TEST(kept),        TEST(no_map),        TEST(views),
        TEST(changed_view),  TEST(class_names), TEST(unknown_class), TEST(damaged_records),
        TEST(wrong_changes), TEST(random_bags),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_bags", tests, NULL, NULL);
}
