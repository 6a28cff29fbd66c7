/*
 * scalars.c - every kind that is no container: the bytes that the writer gives, the token that the
 * reader gives for them, and the JSON that stands for both
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
    REF,
    WEAK
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
    OF_SIGNED(WEAK, 1, "d9960401", "{\"::~>\":1}"),
    OF_SIGNED(WEAK, INT64_MAX, "d996041b7fffffffffffffff", "{\"::~>\":9223372036854775807}"),
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
    case WEAK: newt__write_weak(w, x->i); break;
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
    case WEAK:
        assert_int_equal(t->kind, x->op == REF ? NEWT__REF : NEWT__WEAK);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_scalar),
                                       cmocka_unit_test(every_float_bit)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("scalars", tests, NULL, NULL);
}
