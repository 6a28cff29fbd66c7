/*
 * json_values.c - records to jansson and back, without loss (docs/json-values.md)
 */
#include "../brief.h"
#include "offline.h"

#include <float.h>
#include <math.h>

enum {
    HEAD = 4 /* bytes of the head of the records made here */
};

static const newt_class *const no_classes[] = {NULL};

/* A value's item, for free(); fails the test if it is refused. */
static uint8_t *
item_of(offline *o, const json_t *json, size_t *n)
{
    newt__writer w = {.buf.env = &o->c.jar.coder.env};
    uint8_t *copy;

    newt__write_begin(&w, "j", 1, 0);
    newt__json_write(&w, json);
    if (newt__write_end(&w) != NEWT__OK)
        fail_msg("refused: %s", w.fault.reason);
    *n = w.buf.n - HEAD;
    copy = malloc(*n);
    memcpy(copy, w.buf.data + HEAD, *n);
    newt__writer_free(&w);
    return copy;
}

static json_t *
json_of_record(offline *o, const void *record, size_t n, bool *hidden)
{
    newt__reader r;
    newt__token t;

    assert_int_equal(newt__read_begin(&r, &o->c.jar.coder.env, record, n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    *hidden = t.hidden;
    return newt__json_read(&r, &t, 0);
}

/* Every record that the codec's generator makes. */
static void
random_records(void **state)
{
    const int n_records = brief() ? 4000 : 12000;
    newt__writer w = {0}, again = {0};
    generate g;
    offline o;
    size_t bytes = 0;

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, no_classes);
    w.buf.env = again.buf.env = &o.c.jar.coder.env;
    for (int i = 0; i < n_records; i++) {
        newt__reader r;
        json_t *json, *parsed;
        bool hidden;
        char *text;

        g.max_depth = i % 10 == 0 ? 40 : 6;
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        json = json_of_record(&o, w.buf.data, w.buf.n, &hidden);
        assert_non_null(json);
        assert_int_equal(newt__read_begin(&r, &o.c.jar.coder.env, w.buf.data, w.buf.n), NEWT__OK);
        newt__write_begin(&again, r.class_name, r.class_n, (int32_t)r.version);
        if (hidden)
            newt__write_hidden(&again);
        newt__json_write(&again, json);
        if (newt__write_end(&again) != NEWT__OK)
            fail_msg("record %d refused: %s", i, again.fault.reason);
        assert_bytes(again.buf.data, again.buf.n, w.buf.data, w.buf.n, "record");

        /* and it is JSON: through text and back it is the same value */
        text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        assert_non_null(text);
        parsed = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!parsed || !json_equal(json, parsed))
            fail_msg("record %d is not the same through text: %s", i, text);
        json_decref(parsed);
        free(text);
        json_decref(json);
        bytes += w.buf.n;
    }
    print_message("# %zu bytes\n", bytes);
    newt__writer_free(&w);
    newt__writer_free(&again);
    offline_close(&o);
}

static const struct {
    const char *json;
    const char *item; /* hex */
} words[] = {
    /* what JSON has words for */
    {"null", "f6"},
    {"true", "f5"},
    {"-7", "26"},
    {"9223372036854775807", "1b7fffffffffffffff"},
    {"1.5", "fb3ff8000000000000"},
    {"1.0", "fb3ff0000000000000"},
    {"\"a\"", "6161"},
    {"\"a\\u0000b\"", "63610062"},
    {"[1, []]", "820180"},
    {"{\"b\": 1, \"a\": 2, \"\": 3}", "a36003616102616201"},
    /* and what it has none for */
    {"{\"::=>\": 42}", "d99601182a"},
    {"{\"::~>\": 42}", "d99604182a"},
    {"{\"::b64\": \"AAH/\"}", "430001ff"},
    {"{\"::b64\": \"\"}", "40"},
    {"{\"::us\": 1500000}", "d903e9a20101251a0007a120"},
    {"{\"::us\": -1}", "d903e9a20120251a000f423f"},
    {"{\"::us\": [9223372036854775807, 999999]}", "d903e9a2011b7fffffffffffffff251a000f423f"},
    {"{\"::duration\": -1}", "d903eaa20120251a000f423f"},
    {"{\"::days\": -1}", "d86420"},
    {"{\"::uuid\": \"00112233-4455-6677-8899-aabbccddeeff\"}",
     "d8255000112233445566778899aabbccddeeff"},
    {"{\"::num\": \"1.50\"}", "c4822118 96"},
    {"{\"::num\": \"1E+10\"}", "c4820a01"},
    {"{\"::int\": \"18446744073709551615\"}", "1bffffffffffffffff"},
    {"{\"::int\": \"18446744073709551616\"}", "c249010000000000000000"},
    {"{\"::int\": \"-18446744073709551616\"}", "3bffffffffffffffff"},
    {"{\"::f32\": 1.5}", "fa3fc00000"},
    {"{\"::f32\": \"NaN\"}", "fa7fc00000"},
    {"{\"::f32\": \"NaN:ffc00001\"}", "faffc00001"},
    {"{\"::f64\": \"-Infinity\"}", "fbfff0000000000000"},
    {"{\"::f64\": \"NaN:7ff8000000000001\"}", "fb7ff8000000000001"},
    {"{\"::set\": [2, 1]}", "d9010282 0102"},
    {"{\"::pairs\": [[1, 2], [0, 3]]}", "d90103a200030102"},
    {"{\"::raw\": \"/w==\"}", "d9960241ff"},
    {"{\"::object\": [\"C\", 1, {\"a\": 1}]}", "d81b83614301a1616101"},
    {"{\"::hidden\": 1}", "d9960301"},
    {"{\"::tag\": [6, 1]}", "c601"},
    {"{\"::tag\": [{\"::int\": \"18446744073709551615\"}, 1]}", "dbffffffffffffffff01"},
    {"{\"::tag\": [38401, [\"s\", 2]]}", "d9960182617302"},
    {"{\"::map\": [[\"a\\u0000\", 1], [\"\", 2]]}", "a260026261 0001"},
    {"{\"::id\": 0, \"a\": {\"::->\": 0}}", "d81ca16161d81d00"},
    {"{\"::id\": 7, \"::object\": [\"C\", 0, {\"a\": {\"::->\": 7}}]}",
     "d81cd81b83614300a16161d81d00"},
    {"{\"::id\": 1, \"::map\": [[\"\\u0000\", 1]]}", "d81ca1610001"},
    /* keys that look like ours */
    {"{\":::=>\": 42}", "a1643a3a3d3e182a"},
    {"{\"::::\": 1}", "a1633a3a3a01"},
    {"{\":\": 1}", "a1613a01"},
};

static size_t
from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; *hex; hex += *hex == ' ' ? 1 : 2)
        if (*hex != ' ') {
            unsigned x;

            sscanf(hex, "%2x", &x);
            out[n++] = (uint8_t)x;
        }
    return n;
}

static void
every_word(void **state)
{
    offline o;

    (void)state;
    offline_open(&o, no_classes);
    for (size_t i = 0; i < LENGTH(words); i++) {
        json_t *json = json_loads(words[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        uint8_t want[64], *got;
        size_t n, n_want = from_hex(words[i].item, want);

        assert_non_null(json);
        got = item_of(&o, json, &n);
        assert_bytes(got, n, want, n_want, words[i].json);
        free(got);
        json_decref(json);
    }
    offline_close(&o);
}

/* The tables of the page, in both directions. */
static void
documented(void **state)
{
    char *page = page_text("docs/json-values.md"), *rest = NULL;
    size_t rows = 0;
    offline o;

    (void)state;
    offline_open(&o, no_classes);
    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *cells[3], *value;
        uint8_t record[64] = {0x83, 0x61, 'j', 0}, *item;
        size_t n, n_item;
        json_t *json, *got;
        bool hidden;

        if (row_cells(line, cells, 3) != 3 || strcmp(cells[0], "value") == 0 || cells[0][0] == '-')
            continue;
        value = cells[1];
        json = json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!json)
            fail_msg("not JSON: %s", value);
        n = from_hex(cells[2], record + HEAD);
        item = item_of(&o, json, &n_item);
        assert_bytes(item, n_item, record + HEAD, n, value);
        got = json_of_record(&o, record, HEAD + n, &hidden);
        assert_non_null(got);
        if (hidden)
            got = json_pack("{s:o}", "::hidden", got);
        if (!json_equal(json, got))
            fail_msg("not read as %s", value);
        json_decref(got);
        json_decref(json);
        free(item);
        rows++;
    }
    assert_true(rows > 30);
    free(page);
    offline_close(&o);
}

static const struct {
    const char *json;
    const char *reason;
} wrong[] = {
    {"{\"::\": 1}", "unknown key"},
    {"{\"::x\": 1}", "unknown key"},
    {"{\"::=>\": 1, \"a\": 2}", "unknown key"},
    {"{\"a\": {\"::=>\": 1, \"::us\": 2}}", "unknown key"},
    {"{\"::=>\": 0}", "wants an oid"},
    {"{\"::=>\": \"1\"}", "wants an oid"},
    {"{\"::=>\": -5}", "wants an oid"},
    {"{\"::~>\": 0}", "wants an oid"},
    {"{\"::~>\": [\"s\", 2]}", "wants an oid"},
    {"{\"::~>\": 1, \"::=>\": 1}", "unknown key"},
    {"{\"::tag\": [38404, 1]}", "not allowed"},
    {"{\"::b64\": \"AAA\"}", "base64"},
    {"{\"::b64\": \"AAA*\"}", "base64"},
    {"{\"::b64\": \"AB==\"}", "base64"},
    {"{\"::b64\": \"AA=A\"}", "base64"},
    {"{\"::b64\": \"=AAA\"}", "base64"},
    {"{\"::b64\": \"AA==AAAA\"}", "base64"},
    {"{\"::b64\": 1}", "base64"},
    {"{\"::us\": \"now\"}", "microseconds"},
    {"{\"::us\": [1, 1000000]}", "microseconds"},
    {"{\"::us\": [1, -1]}", "microseconds"},
    {"{\"::duration\": [1]}", "microseconds"},
    {"{\"::days\": 1.5}", "integer"},
    {"{\"::uuid\": \"00112233-4455-6677-8899-aabbccddeef\"}", "UUID"},
    {"{\"::uuid\": \"00112233-4455-6677-8899-aabbccddeeffa\"}", "UUID"},
    {"{\"::uuid\": \"0011223344556677-8899-aabbccddeeff00\"}", "UUID"},
    {"{\"::uuid\": \"g0112233-4455-6677-8899-aabbccddeeff\"}", "UUID"},
    {"{\"::uuid\": 1}", "UUID"},
    {"{\"::num\": \"many\"}", "number"},
    {"{\"::num\": 1}", "number"},
    {"{\"::num\": \"1E+9999999999\"}", "digits"},
    {"{\"::int\": \"1.5\"}", "integer"},
    {"{\"::int\": \"1E+3\"}", "integer"},
    {"{\"::int\": \"\"}", "integer"},
    {"{\"::f32\": 0.1}", "float can hold"},
    {"{\"::f32\": 1e300}", "float can hold"},
    {"{\"::f32\": \"nan\"}", "wants a number"},
    {"{\"::f64\": \"NaN:7ff800000000000g\"}", "wants a number"},
    {"{\"::f64\": \"NaN:7ff8\"}", "wants a number"},
    {"{\"::f64\": []}", "wants a number"},
    {"{\"::set\": {}}", "array"},
    {"{\"::pairs\": [[1]]}", "[key, value]"},
    {"{\"::pairs\": [[1, 2], [1, 3]]}", "twice"},
    {"{\"::pairs\": {}}", "[key, value]"},
    {"{\"::map\": [[1, 2]]}", "[text, value]"},
    {"{\"::map\": [[\"a\", 1], [\"a\", 2]]}", "twice"},
    {"{\"::map\": 1}", "[text, value]"},
    {"{\"::map\": [], \"a\": 1}", "unknown key"},
    {"{\"::object\": [\"C\", 1]}", "[class, version, {...}]"},
    {"{\"::object\": [\"\", 1, {}]}", "empty"},
    {"{\"::object\": [\"C\", -1, {}]}", "[class, version, {...}]"},
    {"{\"::object\": [\"C\", 1, []]}", "[class, version, {...}]"},
    {"{\"::object\": [\"C\", 1, {\"::=>\": 1}]}", "[class, version, {...}]"},
    {"{\"::hidden\": {\"::hidden\": 1}}", ""},
    {"{\"::tag\": [\"6\", 1]}", "[number, value]"},
    {"{\"::tag\": [-1, 1]}", "[number, value]"},
    {"{\"::tag\": [0, 1]}", "not allowed"},
    {"{\"::tag\": [38403, 1]}", "not allowed"},
    {"{\"::tag\": [6]}", "[number, value]"},
    {"{\"::->\": 0}", "does not stand before"},
    {"{\"::->\": \"a\"}", "wants the number"},
    {"[{\"::->\": 0}, {\"::id\": 0}]", "does not stand before"},
    {"[{\"::id\": 0}, {\"::id\": 0}]", "stands twice"},
    {"[{\"::id\": 3}, {\"::id\": 4}, {\"::id\": 3}]", "stands twice"},
    {"{\"::id\": \"a\"}", "wants a number"},
    {"{\"::id\": 1, \"::set\": []}", "unknown key"},
};

static void
every_refusal(void **state)
{
    newt__writer w = {0};
    offline o;

    (void)state;
    offline_open(&o, no_classes);
    w.buf.env = &o.c.jar.coder.env;
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        json_t *json = json_loads(wrong[i].json, JSON_DECODE_ANY, NULL);

        if (!json)
            fail_msg("not JSON: %s", wrong[i].json);
        newt__write_begin(&w, "j", 1, 0);
        newt__json_write(&w, json);
        if (newt__write_end(&w) == NEWT__OK)
            fail_msg("taken: %s", wrong[i].json);
        if (!strstr(w.fault.reason, wrong[i].reason))
            fail_msg("%s: %s", wrong[i].json, w.fault.reason);
        json_decref(json);
    }
    newt__writer_free(&w);
    offline_close(&o);
}

/* Nested so deeply, array or object or wrapper, that no record can hold it. */
static void
deep_values(void **state)
{
    newt__writer w = {0};
    offline o;

    (void)state;
    offline_open(&o, no_classes);
    w.buf.env = &o.c.jar.coder.env;
    for (int kind = 0; kind < 4; kind++) {
        for (int depth = 499; depth <= 10000; depth = depth == 499   ? 500
                                                      : depth == 500 ? 501
                                                                     : depth * 20) {
            json_t *json = json_integer(1);

            for (int i = 0; i < depth; i++) {
                json_t *outer;

                if (kind == 0)
                    outer = json_pack("[o]", json);
                else if (kind == 1)
                    outer = json_pack("{s:o}", "a", json);
                else if (kind == 2)
                    outer = json_pack("{s:[i,o]}", "::tag", 6, json);
                else
                    outer = json_pack("{s:[o]}", "::set", json);
                json = outer;
            }
            newt__write_begin(&w, "j", 1, 0);
            newt__json_write(&w, json);
            assert_int_equal(newt__write_end(&w), depth <= 500 ? NEWT__OK : NEWT__LIMIT);
            if (depth <= 500) {
                bool hidden;
                json_t *again = json_of_record(&o, w.buf.data, w.buf.n, &hidden);

                assert_non_null(again);
                json_decref(again);
            }
            json_decref(json);
        }
    }
    newt__writer_free(&w);
    offline_close(&o);
}

static void
references(void **state)
{
    json_t *json = newt_json_ref((newt_ref){42});

    (void)state;
    assert_int_equal(newt_json_to_ref(json).oid, 42);
    json_object_set_new(json, "x", json_null());
    assert_int_equal(newt_json_to_ref(json).oid, 0);
    json_decref(json);
    json = newt_json_ref((newt_ref){0});
    assert_true(json_is_null(json));
    assert_int_equal(newt_json_to_ref(json).oid, 0);
    assert_int_equal(newt_json_to_ref(NULL).oid, 0);
    json_decref(json);
    json = json_pack("{s:i}", "::=>", -1);
    assert_int_equal(newt_json_to_ref(json).oid, 0);
    json_decref(json);
    json = newt_json_weak(newt_weak_to((newt_ref){42}));
    assert_int_equal(newt_json_to_weak(json).oid, 42);
    assert_int_equal(newt_json_to_ref(json).oid, 0);
    json_object_set_new(json, "x", json_null());
    assert_int_equal(newt_json_to_weak(json).oid, 0);
    json_decref(json);
    json = newt_json_weak((newt_weak){0});
    assert_true(json_is_null(json));
    assert_int_equal(newt_json_to_weak(json).oid, 0);
    json_decref(json);
}

/* ---- in a field ---------------------------------------------------------------------------- */

struct box {
    newt_json a, b;
    NEWT_ARRAY(newt_json) list;
    newt_json hidden;
};
NEWT_DECLARE(box);
NEWT_CLASS(box, "Box", 0, NULL, NEWT_FIELD(struct box, a), NEWT_FIELD(struct box, b),
           NEWT_LIST(struct box, list), NEWT_FIELD(struct box, hidden, .flags = NEWT_F_SKIP));
static const newt_class *const box_classes[] = {&box_class, NULL};

static void
set(struct box *b, newt_json *f, const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(json);
    newt_json_set(box_obj(b), f, json);
    json_decref(json);
}

static void
assert_value(const newt_json *f, const char *text)
{
    json_t *want = json_loads(text, JSON_DECODE_ANY, NULL), *got = newt_json_get(f);

    if (!json_equal(got, want)) {
        char *s = json_dumps(got, JSON_ENCODE_ANY);

        fail_msg("got %s, want %s", s ? s : "nothing", text);
    }
    json_decref(got);
    json_decref(want);
}

/* Each field's shared values are numbered by themselves in C, and by the record in the record. */
static void
shared_values(void **state)
{
    static const char *const cycle = "{\"::id\": 0, \"me\": {\"::->\": 0}}";
    static const char *const two =
        "[{\"::id\": 0}, {\"::id\": 1, \"a\": {\"::->\": 0}}, {\"::->\": 1}]";
    offline o;
    struct box *b;
    const struct box *again;
    uint8_t *record;
    size_t n;

    (void)state;
    offline_open(&o, box_classes);
    b = box_new(&o.c);
    set(b, &b->a, two);
    set(b, &b->b, cycle);
    assert_non_null(newt_array_grow(box_obj(b), &b->list, sizeof *b->list.edit_, 2));
    set(b, &b->list.edit_[0], cycle);
    set(b, &b->list.edit_[1], two);
    assert_int_equal(newt_status(&o.c), NEWT_OK);
    record = record_of(&o, b, &n);
    again = newt__object_of(load(&o, 7, record, n));
    assert_false(newt__header_of(again)->bag);
    assert_value(&again->a, two);
    assert_value(&again->b, cycle);
    assert_value(&again->list.items[0], cycle);
    assert_value(&again->list.items[1], two);
    free(record);

    /* moved to other places, they are still right */
    b = box_write(&o.c, box_of((newt_ref){7}));
    b->a = again->list.items[0];
    b->b = again->list.items[1];
    newt_array_remove(box_obj(b), &b->list, sizeof *b->list.edit_, 0, 2);
    record = record_of(&o, b, &n);
    again = newt__object_of(load(&o, 8, record, n));
    assert_value(&again->a, cycle);
    assert_value(&again->b, two);
    free(record);
    offline_close(&o);
}

/* More than 23 of them, so that their numbers change length. */
static void
many_shared_values(void **state)
{
    offline o;
    struct box *b;
    const struct box *again;
    uint8_t *record;
    json_t *list = json_array();
    char *text;
    size_t n;

    (void)state;
    offline_open(&o, box_classes);
    for (int i = 0; i < 300; i++) {
        json_array_append_new(list, json_pack("{s:i, s:i}", "::id", i, "n", i));
        json_array_append_new(list, json_pack("{s:i}", "::->", i / 2));
    }
    text = json_dumps(list, 0);
    b = box_new(&o.c);
    set(b, &b->a, text);
    set(b, &b->b, text);
    record = record_of(&o, b, &n);
    again = newt__object_of(load(&o, 7, record, n));
    assert_value(&again->a, text);
    assert_value(&again->b, text);
    free(record);
    free(text);
    json_decref(list);
    offline_close(&o);
}

static void
hidden_values(void **state)
{
    offline o;
    struct box *b;
    const struct box *again;
    uint8_t *record;
    size_t n;

    (void)state;
    offline_open(&o, box_classes);
    b = box_new(&o.c);
    set(b, &b->a, "{\"::hidden\": {\"x\": 1}}");
    set(b, &b->b, "{\"x\": 1, \"y\": {\"::hidden\": 2}}");
    set(b, &b->hidden, "[1, {\"::=>\": 5}]");
    assert_json_text(&o, b, "{\"b\":{\"x\":1},\"list\":[]}");
    record = record_of(&o, b, &n);
    again = newt__object_of(load(&o, 7, record, n));
    assert_value(&again->a, "{\"::hidden\": {\"x\": 1}}");
    assert_value(&again->b, "{\"x\": 1, \"y\": {\"::hidden\": 2}}");
    free(record);
    record = record_of(&o, again, &n);
    load(&o, 8, record, n);
    free(record);
    offline_close(&o);
}

static void
setting(void **state)
{
    offline o;
    struct box *b;
    json_t *bad;

    (void)state;
    offline_open(&o, box_classes);
    b = box_new(&o.c);
    assert_value(&b->a, "null");
    set(b, &b->a, "[1]");
    set(b, &b->a, "null");
    assert_null(b->a.item.p);
    newt_json_set(box_obj(b), &b->a, NULL);
    assert_null(b->a.item.p);
    bad = json_pack("{s:i}", "::nonsense", 1);
    assert_int_equal(newt_json_set(box_obj(b), &b->b, bad), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "field \"b\" of Box 1024");
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "unknown key");
    assert_true(newt__base_is_over(&o.c.jar.base));
    json_decref(bad);
    offline_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_records), cmocka_unit_test(every_word),
        cmocka_unit_test(documented),     cmocka_unit_test(every_refusal),
        cmocka_unit_test(deep_values),    cmocka_unit_test(references),
        cmocka_unit_test(shared_values),  cmocka_unit_test(many_shared_values),
        cmocka_unit_test(hidden_values),  cmocka_unit_test(setting),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("json_values", tests, NULL, NULL);
}
