/*
 * containers.c - every kind that holds others: the bytes that the writer gives, the JSON that
 * stands for them, and where the reader's tokens begin and end
 */
#include "check.h"

static void
text(newt__writer *w, const char *s)
{
    newt__write_text(w, s, strlen(s));
}

static void
empty_array(newt__writer *w)
{
    newt__write_array(w, 0);
}

static void
empty_collected_array(newt__writer *w)
{
    newt__collect_array(w);
    newt__collected(w);
}

static void
empty_map(newt__writer *w)
{
    newt__write_map(w, 0);
}

static void
empty_collected_map(newt__writer *w)
{
    newt__collect_map(w);
    newt__collected(w);
}

static void
empty_pairs(newt__writer *w)
{
    newt__collect_pairs(w);
    newt__collected(w);
}

static void
empty_set(newt__writer *w)
{
    newt__collect_set(w);
    newt__collected(w);
}

static void
empty_object(newt__writer *w)
{
    newt__write_object(w, "Step", 4, 0);
    newt__write_map(w, 0);
}

static void
array_of_arrays(newt__writer *w)
{
    newt__write_array(w, 2);
    newt__write_int(w, 1);
    newt__collect_array(w);
    newt__write_int(w, 2);
    newt__write_null(w);
    newt__collected(w);
}

static void
numbers_of(newt__writer *w, int n, bool collect)
{
    if (collect)
        newt__collect_array(w);
    else
        newt__write_array(w, (size_t)n);
    for (int i = 0; i < n; i++)
        newt__write_bool(w, true);
    if (collect)
        newt__collected(w);
}

static void
array_23(newt__writer *w)
{
    numbers_of(w, 23, true);
}

static void
array_24(newt__writer *w)
{
    numbers_of(w, 24, true);
}

static void
array_24_counted(newt__writer *w)
{
    numbers_of(w, 24, false);
}

static void
array_256(newt__writer *w)
{
    numbers_of(w, 256, true);
}

static void
array_65536(newt__writer *w)
{
    numbers_of(w, 65536, true);
}

/* Shorter keys first, then bytewise, in whatever order they came. */
static void
map_collected(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "owner");
    newt__write_ref(w, 7);
    text(w, "b");
    newt__write_int(w, 2);
    text(w, "");
    newt__write_int(w, 0);
    text(w, "aa");
    newt__collect_map(w);
    text(w, "z");
    newt__write_bool(w, false);
    text(w, "y");
    newt__write_bool(w, true);
    newt__collected(w);
    text(w, "a");
    newt__write_int(w, 1);
    newt__collected(w);
}

static void
map_counted(newt__writer *w)
{
    newt__write_map(w, 5);
    text(w, "");
    newt__write_int(w, 0);
    text(w, "a");
    newt__write_int(w, 1);
    text(w, "b");
    newt__write_int(w, 2);
    text(w, "aa");
    newt__write_map(w, 2);
    text(w, "y");
    newt__write_bool(w, true);
    text(w, "z");
    newt__write_bool(w, false);
    text(w, "owner");
    newt__write_ref(w, 7);
}

static void
map_with_raw_key(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "\xff");
    newt__write_int(w, 2);
    text(w, "a");
    newt__write_int(w, 1);
    newt__collected(w);
}

static void
pairs(newt__writer *w)
{
    newt__collect_pairs(w);
    newt__write_int(w, -1);
    text(w, "minus");
    newt__write_array(w, 1);
    newt__write_int(w, 1);
    text(w, "array");
    text(w, "k");
    text(w, "text");
    newt__write_int(w, 10);
    text(w, "ten");
    newt__collected(w);
}

static void
pairs_of_text(newt__writer *w)
{
    newt__collect_pairs(w);
    text(w, "k");
    newt__write_int(w, 1);
    newt__collected(w);
}

static void
set(newt__writer *w)
{
    newt__collect_set(w);
    text(w, "b");
    newt__write_int(w, 300);
    text(w, "a");
    newt__write_int(w, 2);
    text(w, "b");
    newt__write_int(w, 300);
    newt__collected(w);
}

static void
object(newt__writer *w)
{
    newt__write_object(w, "Step", 4, 3);
    newt__write_map(w, 1);
    text(w, "x");
    newt__write_null(w);
}

static void
collected_object(newt__writer *w)
{
    newt__write_object(w, "Step", 4, 3);
    newt__collect_map(w);
    text(w, "y");
    newt__write_int(w, 2);
    text(w, "x");
    newt__write_int(w, 1);
    newt__collected(w);
}

static void
shared_twice(newt__writer *w)
{
    newt__write_array(w, 3);
    newt__write_shared(w);
    newt__write_map(w, 1);
    text(w, "x");
    newt__write_int(w, 1);
    newt__write_shared(w);
    object(w);
    newt__write_array(w, 2);
    newt__write_sharedref(w, 1);
    newt__write_sharedref(w, 0);
}

static void
cyclic(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_map(w, 1);
    text(w, "self");
    newt__write_sharedref(w, 0);
}

static void
hidden_value(newt__writer *w)
{
    newt__write_map(w, 2);
    text(w, "a");
    newt__write_hidden(w);
    newt__write_int(w, 1);
    text(w, "b");
    newt__write_int(w, 2);
}

static void
hidden_state(newt__writer *w)
{
    newt__write_hidden(w);
    newt__write_map(w, 1);
    text(w, "a");
    newt__write_int(w, 1);
}

static void
unknown_tag(newt__writer *w)
{
    newt__write_tag(w, 38400);
    newt__write_array(w, 2);
    newt__write_int(w, 1);
    newt__write_tag(w, 23);
    newt__write_bytes(w, "\1", 1);
}

static void
null(newt__writer *w)
{
    newt__write_null(w);
}

static void
booleans(newt__writer *w)
{
    newt__write_array(w, 2);
    newt__write_bool(w, false);
    newt__write_bool(w, true);
}

static void
encoded(newt__writer *w)
{
    newt__write_array(w, 2);
    newt__write_encoded(w, "\x82\x01\x61\x61", 4);
    newt__write_encoded(w, "\xf6", 1);
}

typedef struct container {
    const char *name;
    void (*write)(newt__writer *w);
    const char *hex;
    const char *json; /* NULL: hidden; "": not compared */
} container;

#define OF(f, hex, json)                                                                           \
    {                                                                                              \
#        f, f, hex, json                                                                           \
    }

static const container containers[] = {
    OF(null, "f6", "null"),
    OF(booleans, "82 f4 f5", "[false,true]"),
    OF(encoded, "82 82 01 61 61 f6", "[[1,\"a\"],null]"),
    OF(empty_array, "80", "[]"),
    OF(empty_collected_array, "80", "[]"),
    OF(empty_map, "a0", "{}"),
    OF(empty_collected_map, "a0", "{}"),
    OF(empty_pairs, "d9 01 03 a0", "[]"),
    OF(empty_set, "d9 01 02 80", "[]"),
    OF(empty_object, "d8 1b 83 64 53 74 65 70 00 a0", "{\"::\":\"Step\"}"),
    OF(array_of_arrays, "82 01 82 02 f6", "[1,[2,null]]"),
    OF(array_23, "97 (17 f5)", ""),
    OF(array_24, "98 18 (18 f5)", ""),
    OF(array_24_counted, "98 18 (18 f5)", ""),
    OF(array_256, "99 01 00 (100 f5)", ""),
    OF(array_65536, "9a 00 01 00 00 (10000 f5)", ""),
    OF(map_collected,
       "a5 60 00 61 61 01 61 62 02 62 61 61 a2 61 79 f5 61 7a f4"
       "65 6f 77 6e 65 72 d9 96 01 07",
       "{\"\":0,\"a\":1,\"b\":2,\"aa\":{\"y\":true,\"z\":false},\"owner\":{\"::=>\":7}}"),
    OF(map_counted,
       "a5 60 00 61 61 01 61 62 02 62 61 61 a2 61 79 f5 61 7a f4"
       "65 6f 77 6e 65 72 d9 96 01 07",
       "{\"\":0,\"a\":1,\"b\":2,\"aa\":{\"y\":true,\"z\":false},\"owner\":{\"::=>\":7}}"),
    OF(map_with_raw_key, "d9 01 03 a2 61 61 01 d9 96 02 41 ff 02",
       "[{\"k\":\"a\",\"v\":1},{\"k\":{\"::b64\":\"/w==\",\"::text\":\"\xef\xbf\xbd\"},\"v\":2}]"),
    OF(pairs,
       "d9 01 03 a4 0a 63 74 65 6e 20 65 6d 69 6e 75 73 61 6b 64 74 65 78 74"
       "81 01 65 61 72 72 61 79",
       "[{\"k\":10,\"v\":\"ten\"},{\"k\":-1,\"v\":\"minus\"},{\"k\":\"k\",\"v\":\"text\"},"
       "{\"k\":[1],\"v\":\"array\"}]"),
    OF(pairs_of_text, "d9 01 03 a1 61 6b 01", "[{\"k\":\"k\",\"v\":1}]"),
    OF(set, "d9 01 02 84 02 19 01 2c 61 61 61 62", "[2,300,\"a\",\"b\"]"),
    OF(object, "d8 1b 83 64 53 74 65 70 03 a1 61 78 f6", "{\"::\":\"Step\",\"x\":null}"),
    OF(collected_object, "d8 1b 83 64 53 74 65 70 03 a2 61 78 01 61 79 02",
       "{\"::\":\"Step\",\"x\":1,\"y\":2}"),
    OF(shared_twice,
       "83 d8 1c a1 61 78 01 d8 1c d8 1b 83 64 53 74 65 70 03 a1 61 78 f6"
       "82 d8 1d 01 d8 1d 00",
       "[{\"::id\":0,\"x\":1},{\"::\":\"Step\",\"::id\":1,\"x\":null},[{\"::->\":1},{\"::->\":0}]"
       "]"),
    OF(cyclic, "d8 1c a1 64 73 65 6c 66 d8 1d 00", "{\"::id\":0,\"self\":{\"::->\":0}}"),
    OF(hidden_value, "a2 61 61 d9 96 03 01 61 62 02", "{\"b\":2}"),
    OF(hidden_state, "d9 96 03 a1 61 61 01", NULL),
    OF(unknown_tag, "d9 96 00 82 01 d7 41 01",
       "{\"::tag\":38400,\"::v\":[1,{\"::tag\":23,\"::v\":{\"::b64\":\"AQ==\"}}]}"),
};

static void
every_container(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    for (size_t i = 0; i < LENGTH(containers); i++) {
        const container *x = &containers[i];
        bytes want = record_of(x->hex);
        newt__write_begin(&w, "T", 1, 1);
        x->write(&w);
        if (newt__write_end(&w) != NEWT__OK)
            fail_msg("%s: %s", x->name, w.fault.reason);
        assert_bytes(w.buf.data, w.buf.n, want.p, want.n, x->name);
        assert_lossless(&env, want.p, want.n, x->name);
        if (!x->json || *x->json)
            assert_json(&env, want.p, want.n, x->json, x->name);
        free(want.p);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* Where each token begins and ends, so that an item can be cut out of a record. */
static void
offsets(void **state)
{
    (void)state;
    /* {"a": hidden [1], "b": shared Step {"x": 24}} */
    bytes record = record_of("a2 6161 d99603 8101 6162 d81c d81b 83 6453746570 03 a1 6178 1818");
    static const struct {
        newt__kind kind;
        size_t offset, end, start; /* in the record; start of an END */
        bool is_key, hidden, shared;
    } want[] = {
        {NEWT__MAP, 4, 5, 0, false, false, false},     {NEWT__TEXT, 5, 7, 0, true, false, false},
        {NEWT__ARRAY, 7, 11, 0, false, true, false},   {NEWT__INT, 11, 12, 0, false, false, false},
        {NEWT__END, 0, 12, 7, false, false, false},    {NEWT__TEXT, 12, 14, 0, true, false, false},
        {NEWT__OBJECT, 14, 26, 0, false, false, true}, {NEWT__TEXT, 26, 28, 0, true, false, false},
        {NEWT__INT, 28, 30, 0, false, false, false},   {NEWT__END, 0, 30, 14, false, false, false},
        {NEWT__END, 0, 30, 4, false, false, false},    {NEWT__END, 0, 30, 0, false, false, false},
    };
    memory m;
    newt__env env = memory_env(&m);
    newt__reader r;
    newt__token t;
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(r.class_n, 1);
    assert_memory_equal(r.class_name, "T", 1);
    assert_int_equal(r.version, 1);
    for (size_t i = 0; i < LENGTH(want); i++) {
        assert_int_equal(newt__read(&r, &t), NEWT__OK);
        if (t.kind != want[i].kind || t.end != want[i].end ||
            (t.kind == NEWT__END ? i + 1 < LENGTH(want) && t.start != want[i].start
                                 : t.offset != want[i].offset) ||
            (t.kind != NEWT__END && (t.is_key != want[i].is_key || t.hidden != want[i].hidden ||
                                     t.shared != want[i].shared)))
            fail_msg("token %zu: kind %d, %zu .. %zu, start %zu", i, (int)t.kind, t.offset, t.end,
                     t.start);
    }
    free(record.p);
}

/* Skipping an item stands where reading it would have stood, and validates what it skips. */
static void
skipping(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__reader r;
    newt__token t;
    bytes record = record_of("83 a2 6161 80 6162 a1 6163 01 d90102 8101 07");
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(t.kind, NEWT__MAP);
    assert_int_equal(newt__read_skip(&r, &t), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(t.kind, NEWT__SET);
    assert_int_equal(newt__read_skip(&r, &t), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(t.kind, NEWT__INT);
    assert_true(t.u == 7);
    assert_int_equal(newt__read_skip(&r, &t), NEWT__OK); /* a scalar: nothing to skip */
    assert_int_equal(newt__read_rest(&r), NEWT__OK);
    free(record.p);

    record = record_of("81 a2 6162 01 6161 02");
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(newt__read_skip(&r, &t), NEWT__PROFILE);
    assert_int_equal(newt__read_rest(&r), NEWT__PROFILE); /* a failure sticks */
    assert_int_equal(newt__read(&r, &t), NEWT__PROFILE);
    free(record.p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_container), cmocka_unit_test(offsets),
                                       cmocka_unit_test(skipping)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
