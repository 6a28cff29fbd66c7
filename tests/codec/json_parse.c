/*
 * json_parse.c - JSON text into an item, and an item as JSON text
 *
 * What is accepted is held to PostgreSQL's jsonb by tests/bridge/server_json.c; here are the bytes
 * that come out, the places of faults, the limits, and text that comes back.
 */
#include "check.h"
#include "../brief.h"
#include "../generate.h"

#include <math.h>

static memory m;
static newt__env env;

/* ---- the two directions -------------------------------------------------------------------- */

static newt__code
parse(newt__writer *w, const char *text, size_t n, newt__fault *fault)
{
    /* no byte beyond the text is read */
    char *copy = malloc(n ? n : 1);
    newt__code code;

    memcpy(copy, text, n);
    newt__write_begin(w, "T", 1, 1);
    code = newt__write_json(w, copy, n, fault);
    assert_int_equal(code, fault->code);
    free(copy);
    if (code == NEWT__OK)
        code = newt__write_end(w);
    if (code == NEWT__OK)
        assert_lossless(&env, w->buf.data, w->buf.n, text);
    return code;
}

/* The item's text, NUL-terminated, for free(). */
static char *
text_of(const void *item, size_t n)
{
    newt__buffer out = {.env = &env};
    newt__fault fault;
    char *text;

    if (newt__item_text(&env, item, n, NEWT__MAX_DEPTH, 0, &out, &fault) != NEWT__OK)
        fail_msg("no text: code %d at %zu: %s", (int)fault.code, fault.offset, fault.reason);
    text = malloc(out.n + 1);
    memcpy(text, out.data, out.n);
    text[out.n] = 0;
    newt__buffer_free(&out);
    return text;
}

static int
start(void **state)
{
    (void)state;
    env = memory_env(&m);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    assert_int_equal(m.live, 0);
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const struct {
    const char *text, *item, *again; /* again NULL: as it was */
} values[] = {
    {"null", "f6", NULL},
    {"true", "f5", NULL},
    {" false\r\n\t", "f4", "false"},
    {"0", "00", NULL},
    {"-0", "00", "0"},
    {"-1", "20", NULL},
    {"999999999999999999", "1b0de0b6b3a763ffff", NULL},
    {"9223372036854775807", "1b7fffffffffffffff", NULL},
    {"-9223372036854775808", "3b7fffffffffffffff", NULL},
    {"18446744073709551615", "1bffffffffffffffff", NULL},
    {"18446744073709551616", "c249010000000000000000", NULL},
    {"-18446744073709551617", "c349010000000000000000", NULL},
    /* a double where the projection shows it as the same number with the same scale */
    {"1.5", "fb3ff8000000000000", NULL},
    {"-0.1", "fbbfb999999999999a", NULL},
    {"0.30000000000000004", "fb3fd3333333333334", NULL},
    {"2.5e-280", "fb05e226ed86db3333", NULL},
    {"1.7976931348623157e308", "fb7fefffffffffffff", "1.7976931348623157e+308"},
    {"1e2", "fb4059000000000000", "100"},
    {"1E+22", "fb4480f0cf064dd592", "1e+22"},
    {"1e23", "fb44b52d02c7e14af6", "1e+23"},
    {"-9e22", "fbc4b30ee8e7179044", "-9e+22"},
    {"1.5e1", "fb402e000000000000", "15"},
    {"0e7", "fb0000000000000000", "0"},
    /* else a decimal */
    {"1.0", "c482200a", NULL},
    {"1.50", "c482211896", NULL},
    {"-0.0", "c4822000", "0.0"},
    {"0.1000000000000000055511151231257827", NULL, NULL},
    {"123456789012345678.9", NULL, NULL},
    {"1e400", "c48219019001", "1E+400"},
    {"-1.25e-400", NULL, "-1.25E-400"},
    {"1e131071", NULL, "1E+131071"},
    /* text */
    {"\"\"", "60", NULL},
    {"\"a\\/b\"", "63612f62", "\"a/b\""},
    {"\"\\\"\\\\\\b\\f\\n\\r\\t\"", "67225c080c0a0d09", NULL},
    {"\"\\u0001\\u001F\\u007f\"", "63011f7f", "\"\\u0001\\u001f\x7f\""},
    {"\"\\u00e9\\u20AC\\ud83D\\uDE00\"", "69c3a9e282acf09f9880",
     "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"\"\xf4\x8f\xbf\xbf\\uffff\"", "67f48fbfbfefbfbf", "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\""},
    /* containers: sorted, of one key the last value counts */
    {"[]", "80", NULL},
    {"{}", "a0", NULL},
    {"[ ]", "80", "[]"},
    {"[1 ,[ ],{}]", "830180a0", "[1,[],{}]"},
    {"{\"b\":1,\"a\":2}", "a2616102616201", "{\"a\":2,\"b\":1}"},
    {"{\"a\":1,\"b\":{},\"a\":[2],\"a\":3}", "a26161036162a0", "{\"a\":3,\"b\":{}}"},
    {"{\"a\":1,\"a\":2}", "a1616102", "{\"a\":2}"},
    {"{\"aa\":1,\"b\":2}", "a261620262616101", "{\"b\":2,\"aa\":1}"},
    /* keys that begin with "::" are keys */
    {"{\"::=>\":42}", "a1643a3a3d3e182a", NULL},
    {"{\":\":1,\"::after\":{\"::\":[]}}", NULL, NULL},
    {"{\"\":0}", "a16000", NULL},
};

static void
test_values(void **state)
{
    newt__writer w = {.buf.env = &env};
    newt__fault fault;

    (void)state;
    for (size_t i = 0; i < LENGTH(values); i++) {
        const char *text = values[i].text;
        bytes item = bytes_of(values[i].item ? values[i].item : "");
        char *again;

        if (parse(&w, text, strlen(text), &fault) != NEWT__OK)
            fail_msg("%s: refused at %zu: %s", text, fault.offset, fault.reason);
        if (item.n > 0)
            assert_bytes(w.buf.data + HEAD, w.buf.n - HEAD, item.p, item.n, text);
        again = text_of(w.buf.data + HEAD, w.buf.n - HEAD);
        assert_string_equal(again, values[i].again ? values[i].again : text);
        free(again);
        free(item.p);
    }
    newt__writer_free(&w);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    size_t n, offset; /* n 0: strlen */
    const char *reason;
} faults[] = {
    {"", 0, 0, "no value"},
    {" \n ", 0, 3, "no value"},
    {"nul", 0, 0, "expected a value"},
    {"nulls", 0, 4, "expected the end"},
    {"True", 0, 0, "expected a value"},
    {"NaN", 0, 0, "expected a value"},
    {"'a'", 0, 0, "expected a value"},
    {"\xef\xbb\xbf"
     "1",
     0, 0, "expected a value"},
    {"\x0b"
     "1",
     0, 0, "expected a value"},
    {"1\0", 2, 1, "expected the end"},
    {"1 2", 0, 2, "expected the end"},
    {"-", 0, 0, "not a number"},
    {"+1", 0, 0, "expected a value"},
    {"01", 0, 0, "not a number"},
    {"-01", 0, 0, "not a number"},
    {".5", 0, 0, "expected a value"},
    {"1.", 0, 0, "not a number"},
    {"1.e1", 0, 0, "not a number"},
    {"1e", 0, 0, "not a number"},
    {"1e+", 0, 0, "not a number"},
    {"1.2.3", 0, 3, "expected the end"},
    {"0x1", 0, 1, "expected the end"},
    {"1e131072", 0, 0, "numeric"},
    {"1e-16384", 0, 0, "numeric"},
    {"0.5e-16383", 0, 0, "numeric"},
    {"0e1073741823", 0, 0, "numeric"},
    {"1e99999999999999999999999", 0, 0, "numeric"},
    {"[1e-99999999999999999999]", 0, 1, "numeric"},
    {"\"", 0, 0, "not closed"},
    {"[\"abc", 0, 1, "not closed"},
    {"\"\\", 0, 0, "not closed"},
    {"\"\\\"", 0, 0, "not closed"},
    {"\"a\nb\"", 0, 2, "control character"},
    {"\"a\0b\"", 5, 2, "control character"},
    {"\"ab\\x\"", 0, 3, "escape"},
    {"\"\\u12g4\"", 0, 1, "hexadecimal"},
    {"\"\\u12", 0, 1, "hexadecimal"},
    {"\"\\u0000\"", 0, 1, "\\u0000"},
    {"{\"a\\u0000\":1}", 0, 3, "\\u0000"},
    {"\"\\ud800\"", 0, 1, "surrogate"},
    {"\"\\ud800\\n\"", 0, 1, "surrogate"},
    {"\"\\ud800\\ud800\"", 0, 1, "surrogate"},
    {"\"\\ud800\\ue000\"", 0, 1, "surrogate"},
    {"\"x\\udc00\\ud800\"", 0, 2, "surrogate"},
    {"\"\xff\"", 0, 1, "UTF-8"},
    {"\"\xed\xa0\x80\"", 0, 1, "UTF-8"},
    {"[", 0, 1, "ends too early"},
    {"[1", 0, 2, "ends too early"},
    {"[1,", 0, 3, "ends too early"},
    {"{\"a\":1,", 0, 7, "ends too early"},
    {"{\"a\":", 0, 5, "ends too early"},
    {"]", 0, 0, "expected a value"},
    {"[1,]", 0, 3, "expected a value"},
    {"[,1]", 0, 1, "expected a value"},
    {"[1 2]", 0, 3, "\",\" or \"]\""},
    {"[1}", 0, 2, "\",\" or \"]\""},
    {"{1:2}", 0, 1, "key"},
    {"{\"a\" 1}", 0, 5, "\":\""},
    {"{\"a\":}", 0, 5, "expected a value"},
    {"{\"a\":1,}", 0, 7, "key"},
    {"{\"a\":1]", 0, 6, "\",\" or \"}\""},
    {"{\"a\":1 \"b\":2}", 0, 7, "\",\" or \"}\""},
    {"{,}", 0, 1, "key"},
    {"[1] // x", 0, 4, "expected the end"},
};

static void
test_faults(void **state)
{
    newt__writer w = {.buf.env = &env};
    newt__fault fault;

    (void)state;
    for (size_t i = 0; i < LENGTH(faults); i++) {
        const char *text = faults[i].text;
        size_t n = faults[i].n ? faults[i].n : strlen(text);

        if (parse(&w, text, n, &fault) == NEWT__OK)
            fail_msg("%s: accepted", text);
        assert_fault(&fault, fault.code, faults[i].offset, faults[i].reason, text);
        assert_int_equal(w.fault.code, fault.code);
    }
    newt__writer_free(&w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static char *
nested(size_t depth)
{
    char *text = malloc(2 * depth + 1);

    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = 0;
    return text;
}

static void
test_limits(void **state)
{
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    char *text = nested(NEWT__MAX_DEPTH), *digits, *again;

    (void)state;
    assert_int_equal(parse(&w, text, strlen(text), &fault), NEWT__OK);
    free(text);
    text = nested(NEWT__MAX_DEPTH + 1);
    assert_int_equal(parse(&w, text, strlen(text), &fault), NEWT__LIMIT);
    assert_fault(&fault, NEWT__LIMIT, NEWT__MAX_DEPTH, "nesting", "depth");
    free(text);

    /* the digits of a numeric: 131,072 before the point, 16,383 after it */
    digits = malloc(131072 + 16384 + 3);
    memset(digits, '7', 131072 + 16384 + 2);
    assert_int_equal(parse(&w, digits, 131072, &fault), NEWT__OK);
    again = text_of(w.buf.data + HEAD, w.buf.n - HEAD);
    assert_int_equal(strlen(again), 131072);
    assert_memory_equal(again, digits, 131072);
    free(again);
    assert_int_equal(parse(&w, digits, 131073, &fault), NEWT__LIMIT);
    digits[1] = '.';
    assert_int_equal(parse(&w, digits, 2 + 16383, &fault), NEWT__OK);
    assert_int_equal(parse(&w, digits, 2 + 16384, &fault), NEWT__LIMIT);
    free(digits);

    /* the record's own size */
    env.max_record = 100;
    text = malloc(200);
    memset(text, 'a', 200);
    text[0] = text[199] = '"';
    assert_int_equal(parse(&w, text, 200, &fault), NEWT__LIMIT);
    env.max_record = 0;
    free(text);

    /* interrupted */
    text = malloc(20001);
    text[0] = '[';
    for (size_t i = 1; i < 20000; i += 2)
        memcpy(text + i, "1,", 2);
    text[20000] = ']';
    m.stop_at = m.ticks + 2;
    assert_int_equal(parse(&w, text, 20001, &fault), NEWT__INTERRUPTED);
    m.stop_at = 0;
    assert_int_equal(parse(&w, text, 20001, &fault), NEWT__OK);
    free(text);
    newt__writer_free(&w);
}

static void
test_memory(void **state)
{
    static const char text[] = "{\"a\":[1,2.50,\"x\\ny\",123456789012345678901234567890],"
                               "\"b\":{\"c\":null,\"b\":1,\"c\":2},\"a\":\"\\u00e9\"}";
    newt__fault fault = {0};
    newt__code code = NEWT__NOMEM;

    (void)state;
    for (long i = 1; code != NEWT__OK; i++) {
        newt__writer w = {.buf.env = &env};

        m.fail_at = m.calls + i;
        newt__write_begin(&w, "T", 1, 1);
        code = newt__write_json(&w, text, strlen(text), &fault);
        if (code == NEWT__OK)
            code = newt__write_end(&w);
        m.fail_at = 0;
        assert_true(code == NEWT__OK || code == NEWT__NOMEM);
        newt__writer_free(&w);
        assert_int_equal(m.live, 0);
    }
}

/* ---- doubles --------------------------------------------------------------------------------- */

/* Every double's text is read as that double; the C library judges doubles near others. */
static void
test_doubles(void **state)
{
    const int doubles = brief() ? 60000 : 300000;
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    for (int i = 0; i < doubles; i++) {
        uint64_t bits = generate_u64(&g);
        char text[NEWT__FLOAT_TEXT], *again;
        newt__reader r;
        newt__token t;
        double x;
        size_t n;

        if (i % 3 == 0) { /* of the sizes that people write */
            x = (double)(int64_t)(bits >> (11 + bits % 50)) / 1000;
            memcpy(&bits, &x, sizeof bits);
        }
        memcpy(&x, &bits, sizeof x);
        if (!isnormal(x) || fabs(x) < 1e-270) /* those are kept as decimals */
            continue;
        n = newt__double_text(x, text);
        newt__write_begin(&w, "T", 1, 1);
        assert_int_equal(newt__write_json(&w, text, n, &fault), NEWT__OK);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        assert_int_equal(newt__read_begin(&r, &env, w.buf.data, w.buf.n), NEWT__OK);
        assert_int_equal(newt__read(&r, &t), NEWT__OK);
        if (t.kind == NEWT__DOUBLE) {
            assert_true(t.bits == bits);
        } else { /* an integer: no point, no exponent */
            assert_null(memchr(text, '.', n));
            assert_null(memchr(text, 'e', n));
        }
        again = text_of(w.buf.data + HEAD, w.buf.n - HEAD);
        assert_string_equal(again, text);
        free(again);
    }
    newt__writer_free(&w);
    assert_true(newt__near_double(0, 5) == 0);
    assert_true(newt__near_double(1, -400) == 0);
    assert_true(newt__near_double(1, 309) == 0);
    assert_true(newt__near_double(17976931348623159, 292) == 0);
    assert_true(newt__near_double(22250738585072014, -324) == 0);
    assert_true(newt__near_double(1, -292) == 1e-292);
}

/* ---- records of every kind ---------------------------------------------------------------------
 */

/* Every record has a text, it is JSON, and what it says is read again. */
static void
test_records(void **state)
{
    const int records = brief() ? 4000 : 20000;
    newt__writer w = {.buf.env = &env}, again = {.buf.env = &env};
    newt__fault fault;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    for (int i = 0; i < records; i++) {
        char *text, *second;
        newt__reader r;

        g.max_depth = i % 10 == 0 ? 40 : 6;
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        assert_int_equal(newt__read_begin(&r, &env, w.buf.data, w.buf.n), NEWT__OK);
        text = text_of(w.buf.data + r.at, w.buf.n - r.at);
        newt__write_begin(&again, "T", 1, 1);
        if (newt__write_json(&again, text, strlen(text), &fault) != NEWT__OK) {
            /* a NUL in a text, or a number that no numeric holds; or it became deeper */
            assert_true(strstr(fault.reason, "0000") || fault.code == NEWT__LIMIT);
        } else {
            assert_int_equal(newt__write_end(&again), NEWT__OK);
            second = text_of(again.buf.data + HEAD, again.buf.n - HEAD);
            /* once in the order of keys it stays */
            newt__write_begin(&w, "T", 1, 1);
            assert_int_equal(newt__write_json(&w, second, strlen(second), &fault), NEWT__OK);
            assert_int_equal(newt__write_end(&w), NEWT__OK);
            assert_bytes(w.buf.data, w.buf.n, again.buf.data, again.buf.n, second);
            free(second);
        }
        free(text);
    }
    newt__writer_free(&w);
    newt__writer_free(&again);
}

/* What the projection leaves out or shortens is all there. */
static const struct {
    const char *item, *text;
} whole[] = {
    {"d99603 01", "1"},
    {"82 01 d99603 a1 61 61 02", "[1,{\"a\":2}]"},
    {"a1 61 61 d99603 01", "{\"a\":1}"},
    {"63 61 00 62", "\"a\\u0000b\""},
    {"a2 61 62 01 62 61 00 02", "{\"b\":1,\"a\\u0000\":2}"},
    {"d90103 a1 01 d99603 02", "[{\"k\":1,\"v\":2}]"},
    {"d90103 a1 d99603 01 02", "[{\"k\":1,\"v\":2}]"},
    {"d90103 a1 81 01 d99603 02", "[{\"k\":[1],\"v\":2}]"},
    {"d99601 18 2a", "{\"::=>\":42}"},
    {"a1 64 3a 3a 3d 3e 01", "{\"::=>\":1}"},
    {"fb 7ff8000000000000", "\"NaN\""},
    {"d8 64 00", "\"1970-01-01\""},
};

static void
test_whole(void **state)
{
    bytes item;
    char *text;

    (void)state;
    for (size_t i = 0; i < LENGTH(whole); i++) {
        item = bytes_of(whole[i].item);
        text = text_of(item.p, item.n);
        assert_string_equal(text, whole[i].text);
        free(text);
        free(item.p);
    }
    /* bytes of any number, base64 */
    item = bytes_of("59 012c");
    bytes_hex(&item, "(12c ff)");
    text = text_of(item.p, item.n);
    assert_int_equal(strlen(text), strlen("{\"::b64\":\"\"}") + 300 / 3 * 4);
    assert_memory_equal(text, "{\"::b64\":\"////", 13);
    free(text);
    free(item.p);
    item = bytes_of("59 012d");
    bytes_hex(&item, "(12d 00)");
    text = text_of(item.p, item.n);
    assert_non_null(strstr(text, "AAAAAA==\"}"));
    free(text);
    free(item.p);
}

/* What is damaged has no text, and leaves the buffer as it was. */
static void
test_damaged(void **state)
{
    static const char *const items[] = {"", "82 01", "a2 61 62 01 61 61 02", "01 02", "62 c3 28"};
    newt__buffer out = {.env = &env};
    newt__fault fault;

    (void)state;
    assert_true(newt__buffer_append(&out, "x", 1));
    for (size_t i = 0; i < LENGTH(items); i++) {
        bytes item = bytes_of(items[i]);

        assert_int_not_equal(
            newt__item_text(&env, item.p, item.n, NEWT__MAX_DEPTH, 0, &out, &fault), NEWT__OK);
        assert_int_not_equal(fault.code, NEWT__OK);
        assert_int_equal(out.n, 1);
        free(item.p);
    }
    newt__buffer_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, start, stop),
        cmocka_unit_test_setup_teardown(test_faults, start, stop),
        cmocka_unit_test_setup_teardown(test_limits, start, stop),
        cmocka_unit_test_setup_teardown(test_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_doubles, start, stop),
        cmocka_unit_test_setup_teardown(test_records, start, stop),
        cmocka_unit_test_setup_teardown(test_whole, start, stop),
        cmocka_unit_test_setup_teardown(test_damaged, start, stop),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("json_parse", tests, NULL, NULL);
}
