/*
 * text_values.c - dates, times, UUIDs and bytes, read back from the texts that the projection shows
 */
#include "check.h"

static memory used;
static newt__env lent;
static const newt__env *const env = &lent;

/* The projection of a record that holds one item; a string without its quotes. */
static char *
shown(newt__writer *w)
{
    newt__buffer text = {.env = env};
    newt__fault fault;
    bool hidden;
    char *s;

    assert_int_equal(newt__write_end(w), NEWT__OK);
    assert_int_equal(newt__project_text(env, w->buf.data, w->buf.n, &text, &hidden, &fault),
                     NEWT__OK);
    s = strndup((char *)text.data + 1, text.n - 2);
    newt__buffer_free(&text);
    return s;
}

static void
test_dates(void **state)
{
    newt__writer w = {.buf.env = env};

    (void)state;
    for (int64_t day = -719162; day <= 2932896; day += day % 7 == 0 ? 1 : 13) {
        int64_t back = INT64_MIN;
        char *s;

        newt__write_begin(&w, "T", 1, 1);
        newt__write_date(&w, day);
        s = shown(&w);
        assert_true(newt__parse_date(s, strlen(s), &back));
        assert_int_equal(back, day);
        free(s);
    }
    newt__writer_free(&w);
}

static void
test_times(void **state)
{
    static const int64_t some[] = {0,
                                   -1,
                                   1,
                                   999999,
                                   1714555800000000,
                                   -62135596800000000, /* 0001-01-01 */
                                   253402300799999999 /* the last of 9999 */};
    newt__writer w = {.buf.env = env};

    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        int64_t back = 7;
        char *s;

        newt__write_begin(&w, "T", 1, 1);
        newt__write_time(&w, some[i]);
        s = shown(&w);
        assert_true(newt__parse_time(s, strlen(s), &back));
        assert_int_equal(back, some[i]);
        free(s);
    }
    newt__writer_free(&w);
}

static void
test_no_dates(void **state)
{
    static const char *const none[] = {"2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01",
                                       "2024-04-31", "2024-01-00", "0000-01-01", "2024/01/01",
                                       "2024-1-01",  "02024-1-01", "-024-01-01", ""};
    static const char *const no_times[] = {
        "2024-05-01T24:00:00.000000Z", "2024-05-01T23:60:00.000000Z",
        "2024-05-01T23:59:60.000000Z", "2024-05-01 23:59:00.000000Z",
        "2024-05-01T23:59:00.00000Z",  "2024-05-01T23:59:00Z",
        "2024-02-30T23:59:00.000000Z", "2024-05-01T23:59:00.000000z",
        "2024-05-01T23:59:0x.000000Z"};
    int64_t x;

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(newt__parse_date(none[i], strlen(none[i]), &x));
    assert_true(newt__parse_date("2024-02-29", 10, &x));
    assert_true(newt__parse_date("2000-02-29", 10, &x));
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++)
        assert_false(newt__parse_time(no_times[i], strlen(no_times[i]), &x));
}

static void
test_uuids(void **state)
{
    static const char text[] = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    static const char capitals[] = "F81D4fae-7dec-11d0-A765-00a0c91e6bf6";
    uint8_t b[16], c[16];
    newt__writer w = {.buf.env = env};
    char *s;

    (void)state;
    assert_true(newt__parse_uuid(text, 36, false, b));
    newt__write_begin(&w, "T", 1, 1);
    newt__write_uuid(&w, b);
    s = shown(&w);
    assert_string_equal(s, text);
    free(s);
    newt__writer_free(&w);
    assert_false(newt__parse_uuid(capitals, 36, false, c));
    assert_true(newt__parse_uuid(capitals, 36, true, c));
    assert_memory_equal(b, c, sizeof b);
    assert_false(newt__parse_uuid(text, 35, true, c));
    assert_false(newt__parse_uuid("f81d4fae07dec-11d0-a765-00a0c91e6bf6", 36, true, c));
    assert_false(newt__parse_uuid("g81d4fae-7dec-11d0-a765-00a0c91e6bf6", 36, true, c));
}

static void
test_base64(void **state)
{
    static const char *const none[] = {"A",    "AA",   "AAA",      "=AAA", "A===", "AA=A",
                                       "AB==", "AAB=", "AA==AA==", "A A=", "AA\n="};
    newt__buffer out = {.env = env};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        out.n = 0;
        assert_int_equal(newt__parse_base64(&out, none[i], strlen(none[i])), NEWT__MALFORMED);
    }
    out.n = 0;
    assert_int_equal(newt__parse_base64(&out, "AQID", 4), NEWT__OK);
    assert_int_equal(newt__parse_base64(&out, "/w==", 4), NEWT__OK);
    assert_int_equal(newt__parse_base64(&out, "+/A=", 4), NEWT__OK);
    assert_int_equal(newt__parse_base64(&out, "", 0), NEWT__OK);
    assert_int_equal(out.n, 6);
    assert_memory_equal(out.data, "\1\2\3\xff\xfb\xf0", 6);
    newt__buffer_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),    cmocka_unit_test(test_times),
        cmocka_unit_test(test_no_dates), cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_base64),
    };

    lent = memory_env(&used);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
