/*
 * appendix_a.c - every example of RFC 8949, appendix A
 *
 * Those inside the profile are read, shown and written again with the same bytes. The others are
 * refused with the code, the offset and the rule; where the profile has another way to say the
 * same, that is in the table too, below each group.
 */
#include "check.h"

typedef struct example {
    const char *hex;
    const char *json; /* NULL: refused */
    newt__kind kind;  /* of the first token */
    newt__code code;
    size_t offset; /* in the item */
    const char *reason;
} example;

#define GIVES(kind, json)       json, kind, NEWT__OK, 0, NULL
#define REFUSED(offset, reason) NULL, NEWT__END, NEWT__PROFILE, offset, reason

static const example examples[] = {
    /* integers */
    {"00", GIVES(NEWT__INT, "0")},
    {"01", GIVES(NEWT__INT, "1")},
    {"0a", GIVES(NEWT__INT, "10")},
    {"17", GIVES(NEWT__INT, "23")},
    {"1818", GIVES(NEWT__INT, "24")},
    {"1819", GIVES(NEWT__INT, "25")},
    {"1864", GIVES(NEWT__INT, "100")},
    {"1903e8", GIVES(NEWT__INT, "1000")},
    {"1a000f4240", GIVES(NEWT__INT, "1000000")},
    {"1b000000e8d4a51000", GIVES(NEWT__INT, "1000000000000")},
    {"1bffffffffffffffff", GIVES(NEWT__INT, "18446744073709551615")},
    {"c249010000000000000000", GIVES(NEWT__BIGNUM, "18446744073709551616")},
    {"3bffffffffffffffff", GIVES(NEWT__INT, "-18446744073709551616")},
    {"c349010000000000000000", GIVES(NEWT__BIGNUM, "-18446744073709551617")},
    {"20", GIVES(NEWT__INT, "-1")},
    {"29", GIVES(NEWT__INT, "-10")},
    {"3863", GIVES(NEWT__INT, "-100")},
    {"3903e7", GIVES(NEWT__INT, "-1000")},
    /* floats: half width is never written */
    {"f90000", REFUSED(0, "half")},
    {"f98000", REFUSED(0, "half")},
    {"f93c00", REFUSED(0, "half")},
    {"fb3ff199999999999a", GIVES(NEWT__DOUBLE, "1.1")},
    {"f93e00", REFUSED(0, "half")},
    {"f97bff", REFUSED(0, "half")},
    {"fa47c35000", GIVES(NEWT__FLOAT, "100000")},
    {"fa7f7fffff", GIVES(NEWT__FLOAT, "3.4028235e+38")},
    {"fb7e37e43c8800759c", GIVES(NEWT__DOUBLE, "1e+300")},
    {"f90001", REFUSED(0, "half")},
    {"f90400", REFUSED(0, "half")},
    {"f9c400", REFUSED(0, "half")},
    {"fbc010666666666666", GIVES(NEWT__DOUBLE, "-4.1")},
    {"f97c00", REFUSED(0, "half")},
    {"f97e00", REFUSED(0, "half")},
    {"f9fc00", REFUSED(0, "half")},
    {"fa7f800000", GIVES(NEWT__FLOAT, "\"Infinity\"")},
    {"fa7fc00000", GIVES(NEWT__FLOAT, "\"NaN\"")},
    {"faff800000", GIVES(NEWT__FLOAT, "\"-Infinity\"")},
    {"fb7ff0000000000000", GIVES(NEWT__DOUBLE, "\"Infinity\"")},
    {"fb7ff8000000000000", GIVES(NEWT__DOUBLE, "\"NaN\"")},
    {"fbfff0000000000000", GIVES(NEWT__DOUBLE, "\"-Infinity\"")},
    /* the same values in a width that the profile has */
    {"fa00000000", GIVES(NEWT__FLOAT, "0")},
    {"fa80000000", GIVES(NEWT__FLOAT, "0")},
    {"fa3fc00000", GIVES(NEWT__FLOAT, "1.5")},
    {"fa477fe000", GIVES(NEWT__FLOAT, "65504")},
    {"fac0800000", GIVES(NEWT__FLOAT, "-4")},
    {"fb8000000000000000", GIVES(NEWT__DOUBLE, "0")},
    /* simple values */
    {"f4", GIVES(NEWT__BOOL, "false")},
    {"f5", GIVES(NEWT__BOOL, "true")},
    {"f6", GIVES(NEWT__NULL, "null")},
    {"f7", REFUSED(0, "undefined")},
    {"f0", REFUSED(0, "simple")},
    {"f8ff", REFUSED(0, "simple")},
    /* tags */
    {"c074323031332d30332d32315432303a30343a30305a", REFUSED(0, "tag")},
    {"c11a514b67b0", REFUSED(0, "tag")},
    {"c1fb41d452d9ec200000", REFUSED(0, "tag")},
    {"d74401020304", GIVES(NEWT__TAG, "{\"::tag\":23,\"::v\":{\"::b64\":\"AQIDBA==\"}}")},
    {"d818456449455446", GIVES(NEWT__TAG, "{\"::tag\":24,\"::v\":{\"::b64\":\"ZElFVEY=\"}}")},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d",
     GIVES(NEWT__TAG, "{\"::tag\":32,\"::v\":\"http://www.example.com\"}")},
    {"d903e9a2011a514b67b02500", GIVES(NEWT__TIME, "\"2013-03-21T20:04:00.000000Z\"")},
    {"d903e9a2011a514b67b0251a0007a120", GIVES(NEWT__TIME, "\"2013-03-21T20:04:00.500000Z\"")},
    /* strings */
    {"40", GIVES(NEWT__BYTES, "{\"::b64\":\"\"}")},
    {"4401020304", GIVES(NEWT__BYTES, "{\"::b64\":\"AQIDBA==\"}")},
    {"60", GIVES(NEWT__TEXT, "\"\"")},
    {"6161", GIVES(NEWT__TEXT, "\"a\"")},
    {"6449455446", GIVES(NEWT__TEXT, "\"IETF\"")},
    {"62225c", GIVES(NEWT__TEXT, "\"\\\"\\\\\"")},
    {"62c3bc", GIVES(NEWT__TEXT, "\"\xc3\xbc\"")},
    {"63e6b0b4", GIVES(NEWT__TEXT, "\"\xe6\xb0\xb4\"")},
    {"64f0908591", GIVES(NEWT__TEXT, "\"\xf0\x90\x85\x91\"")},
    /* arrays and maps */
    {"80", GIVES(NEWT__ARRAY, "[]")},
    {"83010203", GIVES(NEWT__ARRAY, "[1,2,3]")},
    {"8301820203820405", GIVES(NEWT__ARRAY, "[1,[2,3],[4,5]]")},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
     GIVES(NEWT__ARRAY, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]")},
    {"a0", GIVES(NEWT__MAP, "{}")},
    {"a201020304", REFUSED(1, "text")},
    {"d90103a201020304",
     GIVES(NEWT__PAIRS, "[{\"k\":1,\"v\":2},{\"k\":3,\"v\":4}]")}, /* as the profile has it */
    {"a26161016162820203", GIVES(NEWT__MAP, "{\"a\":1,\"b\":[2,3]}")},
    {"826161a161626163", GIVES(NEWT__ARRAY, "[\"a\",{\"b\":\"c\"}]")},
    {"a56161614161626142616361436164614461656145",
     GIVES(NEWT__MAP, "{\"a\":\"A\",\"b\":\"B\",\"c\":\"C\",\"d\":\"D\",\"e\":\"E\"}")},
    /* indefinite lengths */
    {"5f42010243030405ff", REFUSED(0, "indefinite")},
    {"7f657374726561646d696e67ff", REFUSED(0, "indefinite")},
    {"9fff", REFUSED(0, "indefinite")},
    {"9f018202039f0405ffff", REFUSED(0, "indefinite")},
    {"9f01820203820405ff", REFUSED(0, "indefinite")},
    {"83018202039f0405ff", REFUSED(5, "indefinite")},
    {"83019f0203ff820405", REFUSED(2, "indefinite")},
    {"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", REFUSED(0, "indefinite")},
    {"bf61610161629f0203ffff", REFUSED(0, "indefinite")},
    {"826161bf61626163ff", REFUSED(3, "indefinite")},
    {"bf6346756ef563416d7421ff", REFUSED(0, "indefinite")},
};

static void
appendix_a(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(examples); i++) {
        const example *x = &examples[i];
        bytes record = record_of(x->hex);
        newt__fault fault = {0};
        if (x->json) {
            newt__reader r;
            newt__token t;
            assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
            assert_int_equal(newt__read(&r, &t), NEWT__OK);
            if (t.kind != x->kind)
                fail_msg("%s: got kind %d, want %d", x->hex, (int)t.kind, (int)x->kind);
            assert_lossless(&env, record.p, record.n, x->hex);
            assert_json(&env, record.p, record.n, x->json, x->hex);
        } else {
            newt__validate(&env, record.p, record.n, &fault);
            assert_fault(&fault, x->code, HEAD + x->offset, x->reason, x->hex);
        }
        free(record.p);
    }
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(appendix_a)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("appendix_a", tests, NULL, NULL);
}
