/*
 * limits.c - every limit at N and at N + 1, in the reader, in the writer and in the projection
 */
#include "check.h"

static newt__code
validate(const newt__env *env, bytes record, newt__fault *fault)
{
    memset(fault, 0, sizeof *fault);
    return newt__validate(env, record.p, record.n, fault);
}

/* ---- depth ----------------------------------------------------------------------------------- */

typedef struct nesting {
    const char *name;
    const char *open; /* hex of what stands before the item inside */
    const char *close;
    uint32_t levels;
    void (*write)(newt__writer *w);
    void (*end)(newt__writer *w);
} nesting;

static void
open_array(newt__writer *w)
{
    newt__write_array(w, 1);
}

static void
open_collected_array(newt__writer *w)
{
    newt__collect_array(w);
}

static void
open_map(newt__writer *w)
{
    newt__write_map(w, 1);
    newt__write_text(w, "", 0);
}

static void
open_collected_map(newt__writer *w)
{
    newt__collect_map(w);
    newt__write_text(w, "", 0);
}

static void
open_pairs(newt__writer *w)
{
    newt__collect_pairs(w);
    newt__write_null(w);
}

static void
open_key(newt__writer *w)
{
    newt__collect_pairs(w);
}

static void
close_key(newt__writer *w)
{
    newt__write_null(w);
    newt__collected(w);
}

static void
open_set(newt__writer *w)
{
    newt__collect_set(w);
}

static void
open_object(newt__writer *w)
{
    newt__write_object(w, "T", 1, 1);
    open_map(w);
}

static void
open_tag(newt__writer *w)
{
    newt__write_tag(w, 6);
}

static void
open_store_ref(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_REF);
    newt__write_array(w, 2);
    newt__write_int(w, 0);
}

static void
open_hidden(newt__writer *w)
{
    newt__write_hidden(w);
    newt__write_array(w, 1);
}

static void
open_shared(newt__writer *w)
{
    newt__write_shared(w);
    open_map(w);
}

static void
nothing(newt__writer *w)
{
    (void)w;
}

static const nesting nestings[] = {
    {"arrays", "81", "", 1, open_array, nothing},
    {"collected arrays", "81", "", 1, open_collected_array, newt__collected},
    {"maps", "a1 60", "", 1, open_map, nothing},
    {"collected maps", "a1 60", "", 1, open_collected_map, newt__collected},
    {"pairs", "d90103 a1 f6", "", 1, open_pairs, newt__collected},
    {"keys", "d90103 a1", "f6", 1, open_key, close_key},
    {"sets", "d90102 81", "", 1, open_set, newt__collected},
    {"objects", "d81b 83 6154 01 a1 60", "", 1, open_object, nothing},
    {"unknown tags", "c6", "", 1, open_tag, nothing},
    {"references to other stores", "d99601 82 00", "", 2, open_store_ref, nothing},
    /* these tags are no level of their own */
    {"hidden arrays", "d99603 81", "", 1, open_hidden, nothing},
    {"shared maps", "d81c a1 60", "", 1, open_shared, nothing},
};

static bytes
nested(const nesting *x, uint32_t n)
{
    bytes record = bytes_of(HEAD_HEX), open = bytes_of(x->open), close = bytes_of(x->close);
    size_t size = HEAD + n * (open.n + close.n) + 1;
    record.p = realloc(record.p, size);
    for (uint32_t i = 0; i < n; i++, record.n += open.n)
        memcpy(record.p + record.n, open.p, open.n);
    record.p[record.n++] = 0xf6;
    for (uint32_t i = 0; i < n && close.n > 0; i++, record.n += close.n)
        memcpy(record.p + record.n, close.p, close.n);
    free(open.p);
    free(close.p);
    return record;
}

static void
check_depth(const newt__env *env, const nesting *x, uint32_t limit)
{
    uint32_t n = limit / x->levels;
    bytes good = nested(x, n), bad = nested(x, n + 1);
    bytes open = bytes_of(x->open);
    newt__fault fault;
    newt__writer w = {.buf.env = env};
    newt__buffer text = {.env = env};
    bool hidden;
    if (validate(env, good, &fault) != NEWT__OK)
        fail_msg("%u %s: %s", n, x->name, fault.reason);
    assert_int_equal(newt__project_text(env, good.p, good.n, &text, &hidden, &fault), NEWT__OK);
    assert_int_equal(validate(env, bad, &fault), NEWT__LIMIT);
    /* of two levels the outer one may still fit */
    assert_fault(&fault, NEWT__LIMIT,
                 HEAD + n * open.n + (x->levels == 2 && limit % 2 == 1 ? 3 : 0), "deep", x->name);
    for (uint32_t k = n; k <= n + 1; k++) {
        newt__write_begin(&w, "T", 1, 1);
        for (uint32_t i = 0; i < k; i++)
            x->write(&w);
        newt__write_null(&w);
        for (uint32_t i = 0; i < k; i++)
            x->end(&w);
        newt__write_end(&w);
        if (k == n)
            assert_bytes(w.buf.data, w.buf.n, good.p, good.n, x->name);
        else
            assert_fault(&w.fault, NEWT__LIMIT, SIZE_MAX, "deep", x->name);
    }
    newt__writer_free(&w);
    newt__buffer_free(&text);
    free(good.p);
    free(bad.p);
    free(open.p);
}

static void
depth(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(nestings); i++) {
        env.max_depth = 0; /* the default */
        check_depth(&env, &nestings[i], NEWT__MAX_DEPTH);
        env.max_depth = 500;
        check_depth(&env, &nestings[i], 500);
        env.max_depth = 100000; /* is cut */
        check_depth(&env, &nestings[i], NEWT__MAX_DEPTH);
        env.max_depth = 7;
        check_depth(&env, &nestings[i], 7);
        env.max_depth = 2;
        check_depth(&env, &nestings[i], 2);
    }
    assert_int_equal(m.live, 0);
}

static void
nesting_of_10000(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__fault fault;
    for (size_t i = 0; i < LENGTH(nestings); i++) {
        bytes record = nested(&nestings[i], 10000);
        assert_int_equal(validate(&env, record, &fault), NEWT__LIMIT);
        free(record.p);
    }
    assert_int_equal(m.live, 0);
}

/* ---- size of a record --------------------------------------------------------------------------
 */

static void
record_size(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    env.max_record = 100;
    for (size_t n = 80; n <= 110; n++) {
        /* head 4, text head 2 */
        char text[128];
        memset(text, 'x', sizeof text);
        newt__write_begin(&w, "T", 1, 1);
        newt__write_text(&w, text, n - 6);
        assert_int_equal(newt__write_end(&w), n <= 100 ? NEWT__OK : NEWT__LIMIT);
        if (n > 100)
            assert_fault(&w.fault, NEWT__LIMIT, SIZE_MAX, "record is too large", "writer");
        bytes record = record_of("f6");
        record.p = realloc(record.p, n);
        record.p[4] = 0x78;
        record.p[5] = (uint8_t)(n - 6);
        memset(record.p + 6, 'x', n - 6);
        record.n = n;
        assert_int_equal(validate(&env, record, &fault), n <= 100 ? NEWT__OK : NEWT__LIMIT);
        if (n > 100)
            assert_fault(&fault, NEWT__LIMIT, 0, "record is too large", "reader");
        free(record.p);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* The default, by a value of 300 MB that is never looked at: refused for its size alone. */
static void
record_size_default(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    bytes record = {NULL, (size_t)NEWT__MAX_RECORD + 1};
    record.p = calloc(1, record.n);
    assert_non_null(record.p);
    memcpy(record.p, "\x83\x61\x54\x01\x5a\x0f\xff\xff\xf8", 9); /* bytes, to the limit + 1 */
    assert_int_equal(validate(&env, record, &fault), NEWT__LIMIT);
    assert_fault(&fault, NEWT__LIMIT, 0, "record is too large", "reader");
    /* one byte less: within the limit, and then cut short */
    record.n--;
    assert_int_equal(validate(&env, record, &fault), NEWT__MALFORMED);
    newt__write_begin(&w, "T", 1, 1);
    newt__write_bytes(&w, record.p, (size_t)300 << 20); /* refused before it is read */
    assert_int_equal(newt__write_end(&w), NEWT__LIMIT);
    newt__write_begin(&w, "T", 1, 1);
    newt__write_text(&w, "", 0);
    newt__write_end(&w);
    assert_true(w.buf.cap < 1 << 20);
    newt__writer_free(&w);
    free(record.p);
    assert_int_equal(m.live, 0);
}

/* ---- JSON text
 * ----------------------------------------------------------------------------------- */

static void
json_size(void **state)
{
    (void)state;
    static const char *const items[] = {
        "78 20 (20 61)",             /* plain text */
        "78 20 (20 22)",             /* that doubles */
        "78 20 (20 01)",             /* that grows by six */
        "82 6100 d9960241ff",        /* lossy text */
        "58 40 (40 ff)",             /* base64 */
        "a2 61 61 01 62 3a3a 02",    /* an escaped key */
        "a2 61 00 01 61 61 02",      /* a map with NUL */
        "d90103 a1 81 01 d99603 f6", /* a pair that turns out hidden */
        "c4 82 38 63 01",            /* a long number */
        "83 80 a0 d90103 a0",        /* empty containers */
        "d81b 83 6154 01 a1 61 61 d99601 18 2a",
        "d903e9a201002500",
        "fb3ff199999999999a",
        "d81c a1 61 61 d81d 00",
        "c6 c6 f6",
        "f5",
        "20",
        "1bffffffffffffffff",
        "fb7ff8000000000000",
        "d825 50 (10 00)",
        "d864 00"};
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(items); i++) {
        bytes record = record_of(items[i]);
        char want[64];
        char *text;
        env.max_json = 0;
        text = json_of(&env, record.p, record.n, items[i]);
        env.max_json = strlen(text);
        assert_json(&env, record.p, record.n, text, items[i]);
        env.max_json--;
        snprintf(want, sizeof want, "{\"::err\":\"too-large\",\"::bin\":%zu}", record.n);
        assert_json(&env, record.p, record.n, want, items[i]);
        free(text);
        free(record.p);
    }
    assert_int_equal(m.live, 0);
}

static void
json_size_default(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    for (size_t extra = 0; extra <= 1; extra++) {
        size_t n = NEWT__MAX_JSON - 2 + extra; /* and two quotes */
        char *s = malloc(n);
        memset(s, 'x', n);
        newt__write_begin(&w, "T", 1, 1);
        newt__write_text(&w, s, n);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        assert_true(w.lossy);
        char *json = json_of(&env, w.buf.data, w.buf.n, "a long text");
        if (extra)
            assert_string_equal(json, "{\"::err\":\"too-large\",\"::bin\":33554440}");
        else
            assert_int_equal(strlen(json), NEWT__MAX_JSON);
        free(json);
        free(s);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* ---- names
 * --------------------------------------------------------------------------------------- */

static void
names(void **state)
{
    (void)state;
    static const struct {
        const char *head;   /* of a record whose class this is */
        const char *object; /* of an item whose class this is */
        newt__code code;
    } cases[] = {
        {"83 61 54 01 f6", "d81b 83 61 54 01 a0", NEWT__OK},
        {"83 78 ff (ff 54) 01 f6", "d81b 83 78 ff (ff 54) 01 a0", NEWT__OK},
        {"83 79 01 00 (100 54) 01 f6", "d81b 83 79 01 00 (100 54) 01 a0", NEWT__LIMIT},
        {"83 60 01 f6", "d81b 83 60 01 a0", NEWT__PROFILE},
    };
    static const size_t lengths[] = {1, 255, 256, 0};
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    char name[256];
    memset(name, 'T', sizeof name);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bytes head = bytes_of(cases[i].head), object = record_of(cases[i].object);
        assert_int_equal(validate(&env, head, &fault), cases[i].code);
        assert_int_equal(validate(&env, object, &fault), cases[i].code);
        newt__write_begin(&w, name, lengths[i], 1);
        newt__write_null(&w);
        assert_int_equal(newt__write_end(&w), cases[i].code);
        if (cases[i].code == NEWT__OK)
            assert_bytes(w.buf.data, w.buf.n, head.p, head.n, "head");
        newt__write_begin(&w, "T", 1, 1);
        newt__write_object(&w, name, lengths[i], 1);
        newt__write_map(&w, 0);
        assert_int_equal(newt__write_end(&w), cases[i].code);
        if (cases[i].code == NEWT__OK)
            assert_bytes(w.buf.data, w.buf.n, object.p, object.n, "object");
        free(head.p);
        free(object.p);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

static void
versions(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__reader r;
    newt__write_begin(&w, "T", 1, INT32_MAX);
    newt__write_null(&w);
    assert_int_equal(newt__write_end(&w), NEWT__OK);
    assert_int_equal(newt__read_begin(&r, &env, w.buf.data, w.buf.n), NEWT__OK);
    assert_int_equal(r.version, INT32_MAX);
    newt__write_begin(&w, "T", 1, -1);
    newt__write_null(&w);
    assert_int_equal(newt__write_end(&w), NEWT__PROFILE);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* ---- numbers
 * ---------------------------------------------------------------------------------------- */

/* Sign and point are counted. */
static void
digits(void **state)
{
    (void)state;
    static const struct {
        int sign, whole, fraction;
    } cases[] = {{0, 400, 0}, {1, 399, 0}, {0, 1, 398}, {0, 399, 0},  {1, 1, 397},
                 {0, 401, 0}, {1, 400, 0}, {0, 1, 399}, {0, 1000, 0}, {1, 1, 398}};
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__buffer magnitude = {.env = &env};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[1100];
        newt__number x;
        int n = 0, whole = cases[i].whole, fraction = cases[i].fraction;
        if (cases[i].sign)
            text[n++] = '-';
        for (int k = 0; k < whole; k++)
            text[n++] = (char)('1' + k % 9);
        if (fraction)
            text[n++] = '.';
        for (int k = 0; k < fraction; k++)
            text[n++] = (char)('1' + k % 9);
        text[n] = 0;
        magnitude.n = 0;
        assert_int_equal(newt__number_parse(text, (size_t)n, &magnitude, &x), NEWT__OK);
        newt__write_begin(&w, "T", 1, 1);
        newt__write_number(&w, &x, fraction > 0);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        char *json = json_of(&env, w.buf.data, w.buf.n, "number");
        if (n <= NEWT__MAX_DIGITS)
            assert_string_equal(json, text);
        else
            assert_memory_equal(json, "{\"::num\":\"", 10);
        assert_true(n <= NEWT__MAX_DIGITS || w.lossy);
        free(json);
    }
    newt__buffer_free(&magnitude);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

static void
magnitudes(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__fault fault;
    uint8_t *big = malloc(NEWT__MAX_MAGNITUDE + 1);
    memset(big, 0xff, NEWT__MAX_MAGNITUDE + 1);
    for (int decimal = 0; decimal <= 1; decimal++) {
        newt__number x = {.magnitude = big, .n = NEWT__MAX_MAGNITUDE};
        newt__write_begin(&w, "T", 1, 1);
        newt__write_number(&w, &x, decimal);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        assert_int_equal(newt__validate(&env, w.buf.data, w.buf.n, &fault), NEWT__OK);
        x.n++;
        newt__write_begin(&w, "T", 1, 1);
        newt__write_number(&w, &x, decimal);
        assert_int_equal(newt__write_end(&w), NEWT__LIMIT);
    }
    bytes record = record_of("c2 5a 00 01 00 01 (10001 ff)");
    assert_int_equal(validate(&env, record, &fault), NEWT__LIMIT);
    free(record.p);
    record = record_of("c4 82 00 c3 5a 00 01 00 01 (10001 ff)");
    assert_int_equal(validate(&env, record, &fault), NEWT__LIMIT);
    free(record.p);
    free(big);

    /* as text, the longest that is taken has about 157,826 digits */
    newt__buffer magnitude = {.env = &env};
    newt__number x;
    char *text = malloc(200000);
    memset(text, '9', 200000);
    assert_int_equal(newt__number_parse(text, 157826, &magnitude, &x), NEWT__OK);
    assert_int_equal(x.n, NEWT__MAX_MAGNITUDE);
    magnitude.n = 0;
    assert_int_equal(newt__number_parse(text, 157827, &magnitude, &x), NEWT__LIMIT);
    magnitude.n = 0;
    assert_int_equal(newt__number_parse(text, 200000, &magnitude, &x), NEWT__LIMIT);
    free(text);
    newt__buffer_free(&magnitude);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* ---- bytes
 * ------------------------------------------------------------------------------------------ */

static void
inline_bytes(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    uint8_t s[257];
    for (size_t n = 256; n <= 257; n++) {
        for (int kind = 0; kind < 3; kind++) { /* bytes, text with NUL, text that is not UTF-8 */
            memset(s, 'a', sizeof s);
            s[0] = kind == 1 ? 0 : kind == 2 ? 0xff : 'a';
            newt__write_begin(&w, "T", 1, 1);
            if (kind == 0)
                newt__write_bytes(&w, s, n);
            else
                newt__write_text(&w, s, n);
            assert_int_equal(newt__write_end(&w), NEWT__OK);
            char *json = json_of(&env, w.buf.data, w.buf.n, "bytes");
            assert_int_equal(strstr(json, "::b64") != NULL, n == 256);
            assert_int_equal(strstr(json, "\"::bin\":257") != NULL, n == 257);
            assert_int_equal(strstr(json, "\"::text\":\"\xef\xbf\xbd"
                                          "aaa") != NULL,
                             kind > 0);
            free(json);
        }
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth),        cmocka_unit_test(nesting_of_10000),
        cmocka_unit_test(record_size),  cmocka_unit_test(record_size_default),
        cmocka_unit_test(json_size),    cmocka_unit_test(json_size_default),
        cmocka_unit_test(names),        cmocka_unit_test(versions),
        cmocka_unit_test(digits),       cmocka_unit_test(magnitudes),
        cmocka_unit_test(inline_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
