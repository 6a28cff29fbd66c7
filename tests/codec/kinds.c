/*
 * kinds.c - every kind of the profile: the bytes that the writer gives, the token that the reader
 * gives for them, and the JSON that stands for both
 */
#include "check.h"

typedef enum op {
    INT,
    UINT,
    FLOAT,  /* u: the bits */
    DOUBLE, /* u: the bits */
    TEXT,
    BYTES,
    NUMBER,  /* s: its digits */
    DECIMAL, /* s: its digits */
    TIME,
    DURATION,
    DATE,
    UUID,
    REF
} op;

typedef struct scalar {
    op op;
    int64_t i;
    uint64_t u;
    const char *s;
    size_t n;
    const char *hex;
    const char *json;
} scalar;

#define OF_INT(x, hex, json)                                                                       \
    {                                                                                              \
        INT, x, 0, NULL, 0, hex, json                                                              \
    }
#define OF_UINT(x, hex, json)                                                                      \
    {                                                                                              \
        UINT, 0, x, NULL, 0, hex, json                                                             \
    }
#define OF_BITS(op, x, hex, json)                                                                  \
    {                                                                                              \
        op, 0, UINT64_C(x), NULL, 0, hex, json                                                     \
    }
#define OF_STRING(op, s, hex, json)                                                                \
    {                                                                                              \
        op, 0, 0, s, sizeof(s) - 1, hex, json                                                      \
    }
#define OF_SIGNED(op, x, hex, json)                                                                \
    {                                                                                              \
        op, x, 0, NULL, 0, hex, json                                                               \
    }

static const scalar scalars[] = {
    /* integers: the shortest form, at every step */
    OF_INT(0, "00", "0"),
    OF_INT(23, "17", "23"),
    OF_INT(24, "1818", "24"),
    OF_INT(255, "18ff", "255"),
    OF_INT(256, "190100", "256"),
    OF_INT(65535, "19ffff", "65535"),
    OF_INT(65536, "1a00010000", "65536"),
    OF_INT(4294967295, "1affffffff", "4294967295"),
    OF_INT(4294967296, "1b0000000100000000", "4294967296"),
    OF_INT(INT64_MAX, "1b7fffffffffffffff", "9223372036854775807"),
    OF_INT(-1, "20", "-1"),
    OF_INT(-24, "37", "-24"),
    OF_INT(-25, "3818", "-25"),
    OF_INT(-256, "38ff", "-256"),
    OF_INT(-257, "390100", "-257"),
    OF_INT(-65536, "39ffff", "-65536"),
    OF_INT(-65537, "3a00010000", "-65537"),
    OF_INT(-4294967296, "3affffffff", "-4294967296"),
    OF_INT(-4294967297, "3b0000000100000000", "-4294967297"),
    OF_INT(INT64_MIN, "3b7fffffffffffffff", "-9223372036854775808"),
    OF_UINT(0, "00", "0"),
    OF_UINT(UINT64_C(1) << 63, "1b8000000000000000", "9223372036854775808"),
    OF_UINT(UINT64_MAX, "1bffffffffffffffff", "18446744073709551615"),
    /* numbers given as digits: integers where they fit, bignums beyond */
    OF_STRING(NUMBER, "0", "00", "0"),
    OF_STRING(NUMBER, "-1", "20", "-1"),
    OF_STRING(NUMBER, "1000000", "1a000f4240", "1000000"),
    OF_STRING(NUMBER, "18446744073709551615", "1bffffffffffffffff", "18446744073709551615"),
    OF_STRING(NUMBER, "18446744073709551616", "c249010000000000000000", "18446744073709551616"),
    OF_STRING(NUMBER, "-18446744073709551616", "3bffffffffffffffff", "-18446744073709551616"),
    OF_STRING(NUMBER, "-18446744073709551617", "c349010000000000000000", "-18446744073709551617"),
    OF_STRING(NUMBER, "340282366920938463463374607431768211455",
              "c250ffffffffffffffffffffffffffffffff", "340282366920938463463374607431768211455"),
    /* decimals: the scale is kept */
    OF_STRING(DECIMAL, "0", "c4820000", "0"),
    OF_STRING(DECIMAL, "0.00", "c4822100", "0.00"),
    OF_STRING(DECIMAL, "1", "c4820001", "1"),
    OF_STRING(DECIMAL, "1.0", "c482200a", "1.0"),
    OF_STRING(DECIMAL, "1.50", "c482211896", "1.50"),
    OF_STRING(DECIMAL, "-12.50", "c482213904e1", "-12.50"),
    OF_STRING(DECIMAL, "273.15", "c48221196ab3", "273.15"), /* RFC 8949, 3.4.4 */
    OF_STRING(DECIMAL, "0.001", "c4822201", "0.001"),
    OF_STRING(DECIMAL, "-0.5", "c4822024", "-0.5"),
    OF_STRING(DECIMAL, "1E+3", "c4820301", "1000"),
    OF_STRING(DECIMAL, "1E+999999", "c4821a000f423f01", "{\"::num\":\"1E+999999\"}"),
    OF_STRING(DECIMAL, "-25E-999999", "c4823a000f423e3818", "{\"::num\":\"-2.5E-999998\"}"),
    OF_STRING(DECIMAL, "1E+2147483647", "c4821a7fffffff01", "{\"::num\":\"1E+2147483647\"}"),
    OF_STRING(DECIMAL, "1E-2147483648", "c4823a7fffffff01", "{\"::num\":\"1E-2147483648\"}"),
    OF_STRING(DECIMAL, "18446744073709551616.5",
              "c48220c249"
              "0a0000000000000005",
              "18446744073709551616.5"),
    OF_STRING(DECIMAL, "-1844674407370955161.7",
              "c48220c349"
              "010000000000000000",
              "-1844674407370955161.7"),
    /* floats: the width stays, and so do the bits */
    OF_BITS(FLOAT, 0x00000000, "fa00000000", "0"),
    OF_BITS(FLOAT, 0x80000000, "fa80000000", "0"),
    OF_BITS(FLOAT, 0x3f800000, "fa3f800000", "1"),
    OF_BITS(FLOAT, 0x3dcccccd, "fa3dcccccd", "0.1"),
    OF_BITS(FLOAT, 0x00000001, "fa00000001", "1e-45"),
    OF_BITS(FLOAT, 0x7f7fffff, "fa7f7fffff", "3.4028235e+38"),
    OF_BITS(FLOAT, 0x7f800000, "fa7f800000", "\"Infinity\""),
    OF_BITS(FLOAT, 0xff800000, "faff800000", "\"-Infinity\""),
    OF_BITS(FLOAT, 0x7fc00000, "fa7fc00000", "\"NaN\""),
    OF_BITS(FLOAT, 0xffc12345, "faffc12345", "\"NaN\""),
    OF_BITS(DOUBLE, 0x0000000000000000, "fb0000000000000000", "0"),
    OF_BITS(DOUBLE, 0x8000000000000000, "fb8000000000000000", "0"),
    OF_BITS(DOUBLE, 0x3ff0000000000000, "fb3ff0000000000000", "1"),
    OF_BITS(DOUBLE, 0x3ff8000000000000, "fb3ff8000000000000", "1.5"),
    OF_BITS(DOUBLE, 0x3fb999999999999a, "fb3fb999999999999a", "0.1"),
    OF_BITS(DOUBLE, 0x3fd3333333333334, "fb3fd3333333333334", "0.30000000000000004"),
    OF_BITS(DOUBLE, 0x0000000000000001, "fb0000000000000001", "5e-324"),
    OF_BITS(DOUBLE, 0x000fffffffffffff, "fb000fffffffffffff", "2.225073858507201e-308"),
    OF_BITS(DOUBLE, 0x7fefffffffffffff, "fb7fefffffffffffff", "1.7976931348623157e+308"),
    OF_BITS(DOUBLE, 0x7ff0000000000000, "fb7ff0000000000000", "\"Infinity\""),
    OF_BITS(DOUBLE, 0xfff0000000000000, "fbfff0000000000000", "\"-Infinity\""),
    OF_BITS(DOUBLE, 0x7ff8000000000000, "fb7ff8000000000000", "\"NaN\""),
    OF_BITS(DOUBLE, 0xfff0123456789abc, "fbfff0123456789abc", "\"NaN\""),
    /* text */
    OF_STRING(TEXT, "", "60", "\"\""),
    OF_STRING(TEXT, "a", "6161", "\"a\""),
    OF_STRING(TEXT, "::=>", "643a3a3d3e", "\"::=>\""), /* values are not escaped, keys are */
    OF_STRING(TEXT, "\xc3\xbc", "62c3bc", "\"\xc3\xbc\""),
    OF_STRING(TEXT, "\"\\/\b\f\n\r\t\x1f\x7f", "6a225c2f080c0a0d091f7f",
              "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\x7f\""),
    OF_STRING(TEXT, "a\0b", "63610062",
              "{\"::b64\":\"YQBi\",\"::text\":\"a\xef\xbf\xbd"
              "b\"}"),
    OF_STRING(TEXT, "\0", "6100", "{\"::b64\":\"AA==\",\"::text\":\"\xef\xbf\xbd\"}"),
    OF_STRING(TEXT, "a\xff", "d996024261ff", "{\"::b64\":\"Yf8=\",\"::text\":\"a\xef\xbf\xbd\"}"),
    OF_STRING(TEXT, "\xe2\x82", "d9960242e282", "{\"::b64\":\"4oI=\",\"::text\":\"\xef\xbf\xbd\"}"),
    /* bytes */
    OF_STRING(BYTES, "", "40", "{\"::b64\":\"\"}"),
    OF_STRING(BYTES, "\0", "4100", "{\"::b64\":\"AA==\"}"),
    OF_STRING(BYTES, "\x01\x02", "420102", "{\"::b64\":\"AQI=\"}"),
    OF_STRING(BYTES, "\x01\x02\x03", "43010203", "{\"::b64\":\"AQID\"}"),
    OF_STRING(BYTES, "\xfb\xef\xff", "43fbefff", "{\"::b64\":\"++//\"}"),
    /* time and duration: seconds are floored */
    OF_SIGNED(TIME, 0, "d903e9a201002500", "\"1970-01-01T00:00:00.000000Z\""),
    OF_SIGNED(TIME, 1, "d903e9a201002501", "\"1970-01-01T00:00:00.000001Z\""),
    OF_SIGNED(TIME, -1, "d903e9a20120251a000f423f", "\"1969-12-31T23:59:59.999999Z\""),
    OF_SIGNED(TIME, -1000000, "d903e9a201202500", "\"1969-12-31T23:59:59.000000Z\""),
    OF_SIGNED(TIME, INT64_C(951782400000000), "d903e9a2011a38bb0c002500",
              "\"2000-02-29T00:00:00.000000Z\""),
    OF_SIGNED(TIME, INT64_C(4107542400000000), "d903e9a2011af4d41f802500",
              "\"2100-03-01T00:00:00.000000Z\""),
    OF_SIGNED(TIME, INT64_C(-62135596800000000), "d903e9a2013b0000000e7791f6ff2500",
              "\"0001-01-01T00:00:00.000000Z\""),
    OF_SIGNED(TIME, INT64_C(-62135596800000001), "d903e9a2013b0000000e7791f700251a000f423f",
              "{\"::us\":-62135596800000001}"),
    OF_SIGNED(TIME, INT64_C(253402300799999999), "d903e9a2011b0000003afff4417f251a000f423f",
              "\"9999-12-31T23:59:59.999999Z\""),
    OF_SIGNED(TIME, INT64_C(253402300800000000), "d903e9a2011b0000003afff441802500",
              "{\"::us\":253402300800000000}"),
    OF_SIGNED(TIME, INT64_MAX, "d903e9a2011b000008637bd05af6251a000bd67f",
              "{\"::us\":9223372036854775807}"),
    OF_SIGNED(TIME, INT64_MIN, "d903e9a2013b000008637bd05af6251a00036bc0",
              "{\"::us\":-9223372036854775808}"),
    OF_SIGNED(DURATION, 0, "d903eaa201002500", "0"),
    OF_SIGNED(DURATION, 1500000, "d903eaa20101251a0007a120", "1500000"),
    OF_SIGNED(DURATION, -1, "d903eaa20120251a000f423f", "-1"),
    OF_SIGNED(DURATION, INT64_MAX, "d903eaa2011b000008637bd05af6251a000bd67f",
              "9223372036854775807"),
    OF_SIGNED(DURATION, INT64_MIN, "d903eaa2013b000008637bd05af6251a00036bc0",
              "-9223372036854775808"),
    /* date */
    OF_SIGNED(DATE, 0, "d86400", "\"1970-01-01\""),
    OF_SIGNED(DATE, -1, "d86420", "\"1969-12-31\""),
    OF_SIGNED(DATE, 11016, "d864192b08", "\"2000-02-29\""),
    OF_SIGNED(DATE, -719162, "d8643a000af939", "\"0001-01-01\""),
    OF_SIGNED(DATE, -719163, "d8643a000af93a", "{\"::days\":-719163}"),
    OF_SIGNED(DATE, 2932896, "d8641a002cc0a0", "\"9999-12-31\""),
    OF_SIGNED(DATE, 2932897, "d8641a002cc0a1", "{\"::days\":2932897}"),
    OF_SIGNED(DATE, INT32_MIN, "d8643a7fffffff", "{\"::days\":-2147483648}"),
    /* identity */
    OF_STRING(UUID, "\xf8\x1d\x4f\xae\x7d\xec\x11\xd0\xa7\x65\x00\xa0\xc9\x1e\x6b\xf6",
              "d82550f81d4fae7dec11d0a76500a0c91e6bf6", "\"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\""),
    OF_SIGNED(REF, 1, "d9960101", "{\"::=>\":1}"),
    OF_SIGNED(REF, 42, "d99601182a", "{\"::=>\":42}"),
    OF_SIGNED(REF, INT64_MAX, "d996011b7fffffffffffffff", "{\"::=>\":9223372036854775807}"),
};

static void
write_scalar(newt__writer *w, const scalar *x)
{
    newt__buffer magnitude = {.env = w->buf.env};
    newt__number number;
    uint32_t bits = (uint32_t)x->u;
    float single;
    double real;
    switch (x->op) {
    case INT: newt__write_int(w, x->i); break;
    case UINT: newt__write_uint(w, x->u); break;
    case FLOAT:
        memcpy(&single, &bits, sizeof single);
        newt__write_float(w, single);
        break;
    case DOUBLE:
        memcpy(&real, &x->u, sizeof real);
        newt__write_double(w, real);
        break;
    case TEXT: newt__write_text(w, x->s, x->n); break;
    case BYTES: newt__write_bytes(w, x->s, x->n); break;
    case NUMBER:
    case DECIMAL:
        assert_int_equal(newt__number_parse(x->s, x->n, &magnitude, &number), NEWT__OK);
        newt__write_number(w, &number, x->op == DECIMAL);
        newt__buffer_free(&magnitude);
        break;
    case TIME: newt__write_time(w, x->i); break;
    case DURATION: newt__write_duration(w, x->i); break;
    case DATE: newt__write_date(w, x->i); break;
    case UUID: newt__write_uuid(w, (const uint8_t *)x->s); break;
    case REF: newt__write_ref(w, x->i); break;
    }
}

static void
check_token(const newt__token *t, const scalar *x)
{
    uint64_t bits = 0;
    uint32_t bits4;
    float single;
    switch (x->op) {
    case INT:
    case UINT:
        assert_int_equal(t->kind, NEWT__INT);
        assert_int_equal(t->number.negative, x->i < 0);
        assert_true(t->u == (x->i < 0       ? (uint64_t)(-1 - x->i)
                             : x->op == INT ? (uint64_t)x->i
                                            : x->u));
        break;
    case FLOAT:
        assert_int_equal(t->kind, NEWT__FLOAT);
        single = (float)t->real;
        memcpy(&bits4, &single, sizeof bits4);
        assert_true(bits4 == x->u);
        break;
    case DOUBLE:
        assert_int_equal(t->kind, NEWT__DOUBLE);
        memcpy(&bits, &t->real, sizeof bits);
        assert_true(bits == x->u);
        break;
    case TEXT:
        assert_int_equal(t->kind,
                         newt__utf8_valid(x->s, x->n) == x->n ? NEWT__TEXT : NEWT__RAW_TEXT);
        assert_int_equal(t->n, x->n);
        assert_memory_equal(t->s, x->s, x->n);
        break;
    case BYTES:
        assert_int_equal(t->kind, NEWT__BYTES);
        assert_int_equal(t->n, x->n);
        assert_memory_equal(t->s, x->s, x->n);
        break;
    case NUMBER: assert_true(t->kind == NEWT__INT || t->kind == NEWT__BIGNUM); break;
    case DECIMAL: assert_int_equal(t->kind, NEWT__DECIMAL); break;
    case TIME:
    case DURATION: {
        int64_t us = x->i % 1000000, s = x->i / 1000000;
        if (us < 0) {
            us += 1000000;
            s--;
        }
        assert_int_equal(t->kind, x->op == TIME ? NEWT__TIME : NEWT__DURATION);
        assert_true(t->seconds == s);
        assert_int_equal(t->us, us);
        break;
    }
    case DATE:
        assert_int_equal(t->kind, NEWT__DATE);
        assert_true(t->i == x->i);
        break;
    case UUID:
        assert_int_equal(t->kind, NEWT__UUID);
        assert_memory_equal(t->s, x->s, 16);
        break;
    case REF:
        assert_int_equal(t->kind, NEWT__REF);
        assert_true(t->i == x->i);
        break;
    }
}

static void
every_scalar(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    for (size_t i = 0; i < LENGTH(scalars); i++) {
        const scalar *x = &scalars[i];
        bytes want = record_of(x->hex);
        newt__reader r;
        newt__token t;
        newt__write_begin(&w, "T", 1, 1);
        write_scalar(&w, x);
        if (newt__write_end(&w) != NEWT__OK)
            fail_msg("%s: %s", x->hex, w.fault.reason);
        assert_bytes(w.buf.data, w.buf.n, want.p, want.n, x->json);
        assert_int_equal(newt__read_begin(&r, &env, want.p, want.n), NEWT__OK);
        assert_int_equal(newt__read(&r, &t), NEWT__OK);
        assert_false(t.is_key);
        assert_false(t.hidden);
        assert_false(t.shared);
        assert_int_equal(t.offset, HEAD);
        assert_int_equal(t.end, want.n);
        check_token(&t, x);
        assert_int_equal(newt__read(&r, &t), NEWT__OK);
        assert_int_equal(t.kind, NEWT__END);
        assert_lossless(&env, want.p, want.n, x->hex);
        assert_json(&env, want.p, want.n, x->json, x->hex);
        free(want.p);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* ---- containers ----------------------------------------------------------------------------- */

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

/* A float's bits survive, also those of a signalling NaN, which a conversion to double would
 * change. */
static void
every_float_bit(void **state)
{
    (void)state;
    static const char *const hex[] = {"fa7f800001",         "faffbfffff",         "fa7fffffff",
                                      "fb7ff0000000000001", "fbfff7ffffffffffff", "fa807fffff"};
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(hex); i++) {
        bytes record = record_of(hex[i]);
        assert_lossless(&env, record.p, record.n, hex[i]);
        free(record.p);
    }
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar),    cmocka_unit_test(every_container),
        cmocka_unit_test(every_float_bit), cmocka_unit_test(offsets),
        cmocka_unit_test(skipping),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("kinds", tests, NULL, NULL);
}
