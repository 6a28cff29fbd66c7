/*
 * projection.c - the JSON that stands for a record, line by line of the table in
 * docs/state-record.md, with the rejects that go with it
 */
#include "check.h"
#include "../recorder.h"

/* U+FFFD */
#define R "\xef\xbf\xbd"

typedef struct shown {
    const char *hex;
    const char *json;    /* NULL: hidden */
    const char *rejects; /* "path: reason\n" each */
} shown;

static const shown table[] = {
    /* integers, signed or not, and bignums */
    {"1bffffffffffffffff", "18446744073709551615", ""},
    {"3bffffffffffffffff", "-18446744073709551616", ""},
    {"c249010000000000000000", "18446744073709551616", ""},
    {"c349ffffffffffffffffff", "-4722366482869645213696", ""},
    /* floats */
    {"fa3dcccccd", "0.1", ""},
    {"fb3fb99999a0000000", "0.10000000149011612", ""},
    {"fb8000000000000000", "0", ""},
    {"fb4340000000000000", "9007199254740992", ""},
    {"83 fb7ff8000000000000 fb7ff0000000000000 faff800000", "[\"NaN\",\"Infinity\",\"-Infinity\"]",
     ""},
    /* decimals */
    {"c4822200", "0.000", ""},
    {"c482201863", "9.9", ""},
    {"c4820201", "100", ""},
    {"c4821a000f423f01", "{\"::num\":\"1E+999999\"}", ": number\n"},
    {"a1 61 61 82 00 c4821a000f423f01", "{\"a\":[0,{\"::num\":\"1E+999999\"}]}", "a,1: number\n"},
    /* text, and what is wrong with it */
    {"6161", "\"a\"", ""},
    {"642f3c3e26", "\"/<>&\"", ""},
    {"63c280 7f", "\"\xc2\x80\x7f\"", ""},
    {"6100", "{\"::b64\":\"AA==\",\"::text\":\"" R "\"}", ": text\n"},
    {"d9960241ff", "{\"::b64\":\"/w==\",\"::text\":\"" R "\"}", ": text\n"},
    {"a1 61 61 a1 61 62 82 f6 62 00 61",
     "{\"a\":{\"b\":[null,{\"::b64\":\"AGE=\",\"::text\":\"" R "a\"}]}}", "a,b,1: text\n"},
    {"82 6100 6100",
     "[{\"::b64\":\"AA==\",\"::text\":\"" R "\"},{\"::b64\":\"AA==\",\"::text\":\"" R "\"}]",
     "0: text\n1: text\n"},
    /* bytes */
    {"43616263", "{\"::b64\":\"YWJj\"}", ""},
    {"4461626364", "{\"::b64\":\"YWJjZA==\"}", ""},
    {"59 01 01 (101 00)", "{\"::bin\":257}", ""},
    /* time, date, duration, UUID, reference */
    {"d903e9a2011a386d43802500", "\"2000-01-01T00:00:00.000000Z\"", ""},
    {"d903e9a2011b7fffffffffffffff251a000f423f", "{\"::us\":9223372036854775807999999}", ""},
    {"d903e9a2013b7fffffffffffffff2500", "{\"::us\":-9223372036854775808000000}", ""},
    {"d903eaa2013b7fffffffffffffff251a000f423f", "-9223372036854775807000001", ""},
    {"d8641b7fffffffffffffff", "{\"::days\":9223372036854775807}", ""},
    {"d8643b7fffffffffffffff", "{\"::days\":-9223372036854775808}", ""},
    {"d9960101", "{\"::=>\":1}", ""},
    {"d9960401", "{\"::~>\":1}", ""},
    {"d99601 82 63616263 07", "{\"::tag\":38401,\"::v\":[\"abc\",7]}", ""},
    /* containers */
    {"a2 61 61 01 61 62 80", "{\"a\":1,\"b\":[]}", ""},
    {"d81b 83 6154 01 a1 61 61 01", "{\"::\":\"T\",\"a\":1}", ""},
    {"d81b 83 6154 01 a0", "{\"::\":\"T\"}", ""},
    {"d81b 83 62223a 01 a0", "{\"::\":\"\\\":\"}", ""},
    {"d90103 a0", "[]", ""},
    {"d90103 a2 01 f6 61 61 f5", "[{\"k\":1,\"v\":null},{\"k\":\"a\",\"v\":true}]", ""},
    {"d90103 a1 d90103 a1 01 02 d90103 a0", "[{\"k\":[{\"k\":1,\"v\":2}],\"v\":[]}]", ""},
    {"d90103 a1 d9960241ff 01", "[{\"k\":{\"::b64\":\"/w==\",\"::text\":\"" R "\"},\"v\":1}]",
     "0,k: text\n"},
    {"d90102 83 01 61 61 80", "[1,\"a\",[]]", ""},
    /* keys that begin with "::" have one ":" more, everywhere; others stay as they are */
    {"a1 62 3a3a 01", "{\":::\":1}", ""},
    {"a1 64 3a3a3d3e 182a", "{\":::=>\":42}", ""},
    {"a1 63 3a3a3a 01", "{\"::::\":1}", ""},
    {"a1 61 3a 01", "{\":\":1}", ""},
    {"a1 62 613a 01", "{\"a:\":1}", ""},
    {"a1 62 3a61 01", "{\":a\":1}", ""},
    {"81 a1 61 61 a1 64 3a3a6964 00", "[{\"a\":{\":::id\":0}}]", ""},
    {"d81b 83 6154 01 a1 62 3a3a 6158", "{\"::\":\"T\",\":::\":\"X\"}", ""},
    {"d81c a1 64 3a3a6964 07", "{\"::id\":0,\":::id\":7}", ""},
    {"c6 a1 63 3a3a76 01", "{\"::tag\":6,\"::v\":{\":::v\":1}}", ""},
    {"d90103 a1 62 3a3a 62 3a3a", "[{\"k\":\"::\",\"v\":\"::\"}]", ""}, /* no keys here */
    {"a1 63 3a3a22 00", "{\":::\\\"\":0}", ""},
    {"a1 63 3a3a00 00", "[{\"k\":{\"::b64\":\"OjoA\",\"::text\":\"::" R "\"},\"v\":0}]",
     "0,k: text\n"},
    /* a key with NUL: the map is shown as pairs, wherever the key stands */
    {"a1 61 00 01", "[{\"k\":{\"::b64\":\"AA==\",\"::text\":\"" R "\"},\"v\":1}]", "0,k: text\n"},
    {"a2 61 61 01 62 61 00 02",
     "[{\"k\":\"a\",\"v\":1},{\"k\":{\"::b64\":\"YQA=\",\"::text\":\"a" R "\"},\"v\":2}]",
     "1,k: text\n"},
    {"a2 61 61 a1 61 00 6100 61 62 02",
     "{\"a\":[{\"k\":{\"::b64\":\"AA==\",\"::text\":\"" R
     "\"},\"v\":{\"::b64\":\"AA==\",\"::text\":\"" R "\"}}],\"b\":2}",
     "a,0,k: text\na,0,v: text\n"},
    {"d81b 83 6154 01 a2 61 00 01 61 61 02",
     "{\"::\":\"T\",\"::v\":[{\"k\":{\"::b64\":\"AA==\",\"::text\":\"" R
     "\"},\"v\":1},{\"k\":\"a\",\"v\":2}]}",
     "::v,0,k: text\n"},
    {"d81c a1 61 00 d81d00",
     "{\"::id\":0,\"::v\":[{\"k\":{\"::b64\":\"AA==\",\"::text\":\"" R "\"},\"v\":{\"::->\":0}}]}",
     "::v,0,k: text\n"},
    {"d81c d81b 83 6154 01 a1 61 00 01",
     "{\"::\":\"T\",\"::id\":0,\"::v\":[{\"k\":{\"::b64\":\"AA==\",\"::text\":\"" R
     "\"},\"v\":1}]}",
     "::v,0,k: text\n"},
    /* shared and cyclic */
    {"82 d81c a0 d81d00", "[{\"::id\":0},{\"::->\":0}]", ""},
    {"d81c a2 61 61 d81c a1 61 78 d81d00 61 62 d81d01",
     "{\"::id\":0,\"a\":{\"::id\":1,\"x\":{\"::->\":0}},\"b\":{\"::->\":1}}", ""},
    {"d81c d81b 83 6154 01 a1 61 6d d81d00", "{\"::\":\"T\",\"::id\":0,\"m\":{\"::->\":0}}", ""},
    /* unknown tags */
    {"c6 01", "{\"::tag\":6,\"::v\":1}", ""},
    {"dbffffffffffffffff f6", "{\"::tag\":18446744073709551615,\"::v\":null}", ""},
    {"c6 c7 80", "{\"::tag\":6,\"::v\":{\"::tag\":7,\"::v\":[]}}", ""},
    /* null */
    {"a1 61 61 f6", "{\"a\":null}", ""},
    /* hidden, at every place */
    {"d99603 f6", NULL, ""},
    {"d99603 a1 61 61 01", NULL, ""},
    {"a1 61 61 d99603 01", "{}", ""},
    {"a3 61 61 d99603 01 61 62 02 61 63 d99603 a1 61 78 01", "{\"b\":2}", ""},
    {"83 d99603 01 02 d99603 6100", "[2]", ""},
    {"81 d99603 80", "[]", ""},
    {"82 d99603 6100 6100", "[{\"::b64\":\"AA==\",\"::text\":\"" R "\"}]", "0: text\n"},
    {"d90102 82 01 d99603 02", "[1]", ""},
    {"d90103 a2 01 d99603 02 03 04", "[{\"k\":3,\"v\":4}]", ""},
    {"d90103 a2 03 04 d99603 01 02", "[{\"k\":3,\"v\":4}]", ""},
    {"d90103 a1 81 01 d99603 02", "[]", ""},
    {"d90103 a2 6100 d99603 02 6101 03", "[{\"k\":\"\\u0001\",\"v\":3}]", ""},
    {"d90103 a1 82 6100 f6 d99603 02", "[]", ""},
    {"d81b 83 6154 01 a1 61 61 d99603 01", "{\"::\":\"T\"}", ""},
    {"a2 61 61 d99603 d81c a0 61 62 d81d00", "{\"b\":{\"::->\":0}}", ""},
    {"a2 61 61 d99603 d81c a1 61 78 d81c a0 61 62 d81c a0", "{\"b\":{\"::id\":2}}", ""},
    {"a1 61 00 d99603 01", "{}", ""}, /* nothing with NUL is left */
    {"a2 61 00 d99603 01 61 61 02", "{\"a\":2}", ""},
    {"c6 d99603 01", "{\"::tag\":6}", ""},
};

static recorder rec;

static void
check(const newt__env *env, const shown *x, long *restarts)
{
    bytes record = record_of(x->hex);
    newt__sink sink;
    newt__fault fault = {0};
    bool hidden = false;
    recorder_begin(&rec, &sink, record.p, record.n);
    if (newt__project(env, record.p, record.n, &sink, &hidden, &fault) != NEWT__OK)
        fail_msg("%s: %s", x->hex, rec.broken ? rec.broken : fault.reason);
    if (!hidden)
        recorder_end(&rec);
    if (rec.broken)
        fail_msg("%s: %s: %s", x->hex, rec.broken, rec.json);
    assert_int_equal(hidden, x->json == NULL);
    if (x->json && strcmp(rec.json, x->json) != 0)
        fail_msg("%s: got %s, want %s", x->hex, rec.json, x->json);
    if (strcmp(rec.rejects, x->rejects) != 0)
        fail_msg("%s: got rejects %s, want %s", x->hex, rec.rejects, x->rejects);
    assert_json(env, record.p, record.n, x->json, x->hex);
    assert_lossless(env, record.p, record.n, x->hex);
    *restarts = rec.restarts;
    free(record.p);
}

static void
every_line(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    long restarts;
    for (size_t i = 0; i < LENGTH(table); i++)
        check(&env, &table[i], &restarts);
    assert_int_equal(m.live, 0);
}

/* The same values one level down: their reject's path is longer by one, and a hidden value takes
 * its key along. */
static void
every_line_deeper(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(table); i++) {
        const shown *x = &table[i];
        char want[1024], rejects[256] = "";
        bytes record = record_of("a2 61 61 82 00");
        newt__sink sink;
        newt__fault fault = {0};
        bool hidden = false;
        bytes_hex(&record, x->hex);
        bytes_hex(&record, "62 7a7a f5");
        recorder_begin(&rec, &sink, record.p, record.n);
        assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
        recorder_end(&rec);
        assert_null(rec.broken);
        snprintf(want, sizeof want, "{\"a\":[0%s%s],\"zz\":true}", x->json ? "," : "",
                 x->json ? x->json : "");
        assert_string_equal(rec.json, want);
        for (const char *line = x->rejects; *line; line = strchr(line, '\n') + 1) {
            strcat(rejects, strncmp(line, ": ", 2) == 0 ? "a,1" : "a,1,");
            strncat(rejects, line, (size_t)(strchr(line, '\n') + 1 - line));
        }
        assert_string_equal(rec.rejects, rejects);
        free(record.p);
    }
    assert_int_equal(m.live, 0);
}

/* Only what cannot be known in advance begins the document anew, and then no more than needed. */
static void
restarts_are_few(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        long at_most;
    } cases[] = {
        {"a2 61 61 01 61 62 80", 0},
        {"a1 63 3a3a22 00", 0},
        {"d90103 a2 01 d99603 02 03 04", 0},
        {"d99603 f6", 0},
        {"a2 61 61 01 62 61 00 02", 1},
        /* many maps with such keys, beside one another and nested */
        {"82 a2 61 61 01 62 61 00 02 a2 61 61 01 62 61 00 02", 1},
        {"a2 61 61 a2 61 61 01 62 61 00 02 62 61 00 03", 1},
    };
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bytes record = record_of(cases[i].hex);
        newt__sink sink;
        newt__fault fault = {0};
        bool hidden = false;
        recorder_begin(&rec, &sink, record.p, record.n);
        assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
        if (rec.restarts > cases[i].at_most)
            fail_msg("%s: %ld restarts", cases[i].hex, rec.restarts);
        free(record.p);
    }
    recorder_free(&rec);
    assert_int_equal(m.live, 0);
}

/* Too large: the whole document is the error, its one reject has no path, and what was rejected
 * before is forgotten. */
static void
too_large(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    bytes record = record_of("a2 61 61 6100 61 62 78 20 (20 78)");
    newt__sink sink;
    newt__fault fault = {0};
    bool hidden = false;
    env.max_json = 60;
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
    recorder_end(&rec);
    assert_null(rec.broken);
    assert_string_equal(rec.json, "{\"::err\":\"too-large\",\"::bin\":45}");
    assert_string_equal(rec.rejects, ": too-large\n");
    assert_int_equal(record.n, 45);
    assert_json(&env, record.p, record.n, rec.json, "too large");
    free(record.p);

    /* what is malformed after the point where it became too large is an error all the same */
    record = record_of("83 78 20 (20 78) 78 20 (20 78) f7");
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault),
                     NEWT__PROFILE);
    assert_int_equal(fault.offset, HEAD + 1 + 34 + 34);
    free(record.p);
    /* and so is what stands in a hidden class */
    record = record_of("d99603 82 01 f7");
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault),
                     NEWT__PROFILE);
    free(record.p);
    recorder_free(&rec);
    assert_int_equal(m.live, 0);
}

/* A record whose JSON is much larger than itself stops in time, whatever it is made of. */
static void
no_blow_up(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    /* 65,536 decimals of six bytes, 400 characters each */
    bytes record = record_of("9a 00 01 00 00");
    size_t at = record.n, n = record.n + 65536 * 6;
    newt__sink sink;
    newt__fault fault = {0};
    bool hidden = false;
    record.p = realloc(record.p, n);
    for (; at < n; at += 6)
        memcpy(record.p + at, "\xc4\x82\x39\x01\x8d\x01", 6); /* 1E-398 */
    record.n = n;
    env.max_json = 1 << 20;
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
    assert_string_equal(rec.rejects, ": too-large\n");
    assert_true(rec.events < 10000);
    free(record.p);
    recorder_free(&rec);
    assert_int_equal(m.live, 0);
}

/* One item of a record, as newt.get asks for it. */
static void
single_items(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    bytes record = record_of("a4 61 61 01 61 62 82 01 6100 61 63 d99603 a1 61 78 01 61 64 d81d 00");
    static const char *const want[] = {
        "1", "[1,{\"::b64\":\"AA==\",\"::text\":\"" R "\"}]",
        "{\"x\":1}" /* that it is hidden is for the caller to look at */};
    static const char *const rejects[] = {"", "1: text\n", ""};
    newt__reader r;
    newt__token key, t;
    newt__sink sink;
    newt__fault fault = {0};
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    for (size_t i = 0; i < LENGTH(want); i++) {
        assert_int_equal(newt__read(&r, &key), NEWT__OK);
        assert_int_equal(newt__read(&r, &t), NEWT__OK);
        recorder_begin(&rec, &sink, record.p, record.n);
        assert_int_equal(newt__project_item(&r, &t, &sink, &fault), NEWT__OK);
        recorder_end(&rec);
        assert_null(rec.broken);
        assert_string_equal(rec.json, want[i]);
        assert_string_equal(rec.rejects, rejects[i]);
    }
    assert_int_equal(newt__read(&r, &key), NEWT__OK);
    assert_memory_equal(key.s, "d", 1);
    assert_int_equal(newt__read(&r, &t), NEWT__PROFILE); /* nothing is shared in this record */
    free(record.p);

    /* an item that is not whole */
    record = record_of("82 83 01 02 f7 03");
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project_item(&r, &t, &sink, &fault), NEWT__PROFILE);
    assert_fault(&fault, NEWT__PROFILE, HEAD + 4, "undefined", "an item");
    free(record.p);
    recorder_free(&rec);
    assert_int_equal(m.live, 0);
}

/* The text goes after what the buffer holds, and leaves it alone. */
static void
text_is_appended(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__buffer out = {.env = &env};
    newt__fault fault;
    bool hidden = false;
    bytes record = record_of("a2 61 61 01 62 61 00 02"); /* begins anew on the way */
    newt__buffer_append(&out, "before ", 7);
    assert_int_equal(newt__project_text(&env, record.p, record.n, &out, &hidden, &fault), NEWT__OK);
    assert_bytes(out.data, 8, "before [", 8, "text");
    newt__buffer_free(&out);
    free(record.p);
    record = record_of("82 01 f7");
    newt__buffer_append(&out, "before", 6);
    assert_int_equal(newt__project_text(&env, record.p, record.n, &out, &hidden, &fault),
                     NEWT__PROFILE);
    assert_bytes(out.data, out.n, "before", 6, "text");
    newt__buffer_free(&out);
    free(record.p);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line),       cmocka_unit_test(every_line_deeper),
        cmocka_unit_test(restarts_are_few), cmocka_unit_test(too_large),
        cmocka_unit_test(no_blow_up),       cmocka_unit_test(single_items),
        cmocka_unit_test(text_is_appended),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("projection", tests, NULL, NULL);
}
