/*
 * server_json_texts.c - texts, good and bad, taken and refused as by PostgreSQL's jsonb
 */
#include "papers.h"

#include "../generate.h"

/* What somebody may send: good and bad. Each is tried as it is, in an array, and as a field. */
static const char *const texts[] = {
    /* words */
    "null",
    "true",
    "false",
    "nul",
    "nulll",
    "True",
    "NULL",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "truefalse",
    "t",
    "",
    /* numbers */
    "0",
    "-0",
    "-0.0",
    "0.0",
    "1",
    "-1",
    "00",
    "01",
    "-01",
    "+1",
    "1.",
    ".1",
    "-.1",
    "1.0",
    "1.50",
    "100",
    "1e0",
    "1e2",
    "1E2",
    "1e+2",
    "1e-2",
    "1.5e1",
    "1.50e1",
    "1.25e-3",
    "0e5",
    "0.0e5",
    "0e-5",
    "-0e-5",
    "1e",
    "1e+",
    "1e1.5",
    "1.e1",
    "0x10",
    "1_000",
    "1,5",
    "--1",
    "-",
    "-a",
    "1a",
    "1.5.5",
    "1e5e5",
    "0.1",
    "0.30000000000000004",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "4.9e-324",
    "1e308",
    "1e309",
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740993",
    "9007199254740993.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678",
    "1234567890123456789",
    "123456789012345678.25",
    "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
    "-0.00000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    "3.14159265358979323846264338327950288419716939937510",
    "1e131071",
    "1e131072",
    "9.9e131071",
    "99e131070",
    "99e131071",
    "1e-16383",
    "1e-16384",
    "1.0e-16383",
    "10e-16384",
    "0e131072",
    "0e1000000",
    "0e-16383",
    "0e-16384",
    "1e2147483647",
    "0e1073000000",
    "0e2000000000",
    "0e-2000000000",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    /* text */
    "\"\"",
    "\"a\"",
    "\"",
    "\"a",
    "a\"",
    "'a'",
    "\"a\" \"b\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\/\"",
    "\"\\b\\f\\n\\r\\t\"",
    "\"\\a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\x41\"",
    "\"\\U0041\"",
    "\"\\u0041\"",
    "\"\\u041\"",
    "\"\\u004g\"",
    "\"\\u\"",
    "\"\\\"",
    "\"\\",
    "\"\\u00",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\u0001\"",
    "\"\\u001f\\u007f\\u0080\"",
    "\"\\u00E9\\u00e9\"",
    "\"\\uFFFE\\uffff\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uD83D\\uDE00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83dx\"",
    "\"\\ud83d\\n\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83d\\ud83d\\ude00\"",
    "\"\\ude00\\ud83d\"",
    "\"\\udbff\\udfff\"",
    "\"\\ud83d\\\\ude00\"",
    "\"\t\"",
    "\"a\nb\"",
    "\"\r\"",
    "\"\x1f\"",
    "\"\x7f\"",
    "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
    "\"\xef\xbf\xbf\"",
    "\"\xf4\x8f\xbf\xbf\"",
    "\"\xff\"",
    "\"\xc3\"",
    "\"\xc3\x28\"",
    "\"\xc0\x80\"",
    "\"\xe0\x80\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf8\x88\x80\x80\x80\"",
    "\xc3\xa9",
    "\xe2\x80\xa8"
    "1",
    "\"\xe2\x80\xa8\"",
    "\xef\xbb\xbf"
    "1",
    "\xc2\xa0"
    "1",
    /* blanks */
    " 1",
    "1 ",
    "\t1\n",
    "\r\n1",
    "\v1",
    "\f1",
    "1\v",
    " ",
    "\n",
    /* arrays */
    "[]",
    "[ ]",
    "[1]",
    "[1,2]",
    "[1 , 2]",
    "[1,]",
    "[,1]",
    "[,]",
    "[1 2]",
    "[1,,2]",
    "[",
    "]",
    "[1",
    "[1,",
    "[]]",
    "[[]",
    "[}",
    "[1}",
    "[1:2]",
    "[[],[[]]]",
    "[\"a\",1.50,null,{}]",
    "[1]x",
    "[1] [2]",
    "[//\n]",
    "[/**/]",
    "[#\n]",
    /* objects */
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\" : 1}",
    "{\"a\":1,\"b\":2}",
    "{\"b\":1,\"a\":2,\"aa\":3,\"\":4}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{:1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,,\"b\":2}",
    "{",
    "}",
    "{\"a\":1",
    "{\"a\":",
    "{\"a",
    "{\"a\":1]",
    "{]",
    "{}}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"x\":1},\"b\":0,\"a\":[1],\"a\":{\"y\":2}}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"a\":\"\\u0000\",\"a\":1}",
    "{\"a\":1e999999,\"a\":1}",
    "{\"\\u0000\":1}",
    "{\"\\ud800\":1}",
    "{\"::\":1}",
    "{\"::=>\":42}",
    "{\"::after\":{\"::id\":0,\":::x\":{\"::num\":\"1\"}}}",
    "{\"::->\":0}",
    "{\"::int\":\"1\",\"::map\":[]}",
    "{\":\":1}",
    "{\"\xc3\xa9\":1,\"e\":2}",
    /* what documents look like */
    "{\"id\": 18446744073709551615, \"price\": 12.50, \"tags\": [\"a\", \"b\"], \"geo\": "
    "{\"lat\": 48.208174, \"lon\": 16.373819}, \"ok\": true, \"note\": null, \"n\": -1.0e-7}",
    "{\"::after\": {\"syntax\": \"/* :: */\"}, \"::before\": {\"status\": \"standard\"}}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
    "]]]]]]]]]]]]]]]",
};

enum {
    N_TEXTS = sizeof texts / sizeof *texts
};

/* ---- beside jsonb ---------------------------------------------------------------------------- */

/* What the server makes of it, or NULL. */
static char *
jsonb_of(PGconn *pg, const char *text)
{
    PGresult *r = PQexecParams(pg, "SELECT $1::text::jsonb::text", 1, NULL, &text, NULL, NULL, 0);
    char *json = PQresultStatus(r) == PGRES_TUPLES_OK ? strdup(PQgetvalue(r, 0, 0)) : NULL;

    PQclear(r);
    return json;
}

/* What a query of two texts gives. */
static void
assert_params(PGconn *pg, const char *want, const char *sql, const char *a, const char *b)
{
    const char *params[] = {a, b};
    PGresult *r = PQexecParams(pg, sql, 2, NULL, params, NULL, NULL, 0);

    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", a, PQerrorMessage(pg));
    if (strcmp(PQgetvalue(r, 0, 0), want) != 0)
        fail_msg("%s of %s and %s: %s", sql, a, b, PQgetvalue(r, 0, 0));
    PQclear(r);
}

static size_t n_accepted, n_refused;

/* A text as the field of a new object: taken and refused as by the server, and equal. */
static void
compare(store *s, const char *text)
{
    char *want = jsonb_of(s->pg, text), *kept, *got;
    struct paper *p;
    size_t n;
    int status;

    begin(s->a);
    p = paper_new(s->a);
    assert_non_null(p);
    status = newt_json_set_text(paper_obj(p), &p->any, text, SIZE_MAX);
    if ((status == NEWT_OK) != (want != NULL))
        fail_msg("%s: %s here (%s: %s), %s by the server", text,
                 status == NEWT_OK ? "accepted" : "refused", newt_status_text(status),
                 newt_error_message(newt_conn_error(s->a)), want ? "accepted" : "refused");
    if (status == NEWT_OK) {
        kept = newt_json_get_text(&p->any, &n);
        assert_non_null(kept);
        assert_int_equal(strlen(kept), n);
        got = jsonb_of(s->pg, kept);
        if (!got || strcmp(got, want) != 0)
            fail_msg("%s: kept as %s, which the server reads as %s, not %s", text, kept,
                     got ? got : "nothing", want);
        free(got);
        free(kept);
        n_accepted++;
    } else {
        size_t at = newt_error_position(newt_conn_error(s->a));

        assert_true(at >= 1 && at <= strlen(text) + 1);
        assert_non_null(
            strstr(newt_error_message(newt_conn_error(s->a)), "field \"any\" of Paper"));
        assert_non_null(strstr(newt_error_detail(newt_conn_error(s->a)), "Line "));
        n_refused++;
    }
    paper_done(p);
    newt_abort(s->a);
    free(want);
}

static void
test_texts(void **state)
{
    store s;

    (void)state;
    open_papers(&s);
    for (size_t i = 0; i < N_TEXTS; i++) {
        char inside[1000];

        compare(&s, texts[i]);
        snprintf(inside, sizeof inside, "[0, %s, \"x\"]", texts[i]);
        compare(&s, inside);
        snprintf(inside, sizeof inside, "{\"x\": {\"y\":%s}, \"z\": 1}", texts[i]);
        compare(&s, inside);
    }
    print_message("# %zu accepted, %zu refused\n", n_accepted, n_refused);
    store_close(&s);
}

/* The same texts with bytes changed, left out, doubled, and put together. */
static void
test_changed_texts(void **state)
{
    const char *good[N_TEXTS];
    size_t n_good = 0;
    static const char bytes[] = "{}[],:\"\\u0123456789abcdefED.+- \t\nntrls/\xc3\xa9\xed\xf0\x01";
    generate g;
    store s;

    (void)state;
    open_papers(&s);
    generate_init(&g, generate_seed());
    for (size_t i = 0; i < N_TEXTS; i++) {
        char *json = jsonb_of(s.pg, texts[i]);

        if (json)
            good[n_good++] = texts[i];
        free(json);
    }
    n_accepted = n_refused = 0;
    for (int i = 0; i < 4000; i++) {
        char text[2000];
        size_t n = 0, at, changes = generate_below(&g, 4);

        for (size_t parts = 1 + generate_below(&g, 3); parts > 0; parts--)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s", n == 0 ? "[" : ",",
                                  good[generate_below(&g, n_good)], parts == 1 ? "]" : "");
        while (changes-- > 0) {
            at = generate_below(&g, n);
            switch (generate_below(&g, 3)) {
            case 0: text[at] = bytes[generate_below(&g, sizeof bytes - 1)]; break;
            case 1:
                memmove(text + at, text + at + 1, n - at);
                n--;
                break;
            default:
                memmove(text + at + 1, text + at, n - at + 1);
                n++;
                break;
            }
        }
        compare(&s, text);
    }
    print_message("# %zu accepted, %zu refused\n", n_accepted, n_refused);
    assert_true(n_accepted > 1000 && n_refused > 1000);
    store_close(&s);
}

/* ---- kept ------------------------------------------------------------------------------------ */

/* The projection has one more colon in keys that begin with two, and numbers of more than 400
 * characters as text; else it is the server's own jsonb. */
static bool
is_shown_as_it_is(const char *text)
{
    return !strstr(text, "\"::") && !strstr(text, "e131071") && !strstr(text, "e131070") &&
           !strstr(text, "e-16383") && !strstr(text, "e400") && !strstr(text, "e-400");
}

static void
test_committed(void **state)
{
    static paper_ref refs[N_TEXTS];
    char *want, *got, oid[24];
    store s;

    (void)state;
    open_papers(&s);
    begin(s.a);
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct paper *p;

        want = jsonb_of(s.pg, texts[i]);
        if (!want)
            continue;
        free(want);
        p = paper_new(s.a);
        ok(s.a, newt_json_set_text(paper_obj(p), &p->any, texts[i], strlen(texts[i])));
        refs[i] = paper_id(p);
        paper_done(p);
    }
    commit(s.a);
    begin(s.b);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const struct paper *p;

        if (refs[i].any.oid == 0)
            continue;
        p = paper_read(s.b, refs[i]);
        assert_non_null(p);
        got = newt_json_get_text(&p->any, NULL);
        want = jsonb_of(s.pg, texts[i]);
        snprintf(oid, sizeof oid, "%lld", (long long)refs[i].any.oid);
        assert_params(s.pg, "t", "SELECT $1::jsonb::text = $2::jsonb::text", got, want);
        if (is_shown_as_it_is(texts[i]))
            assert_params(s.pg, "t",
                          "SELECT coalesce(state->'any', 'null')::text = $1::jsonb::text FROM newt "
                          "WHERE zoid = $2::bigint",
                          want, oid);
        paper_done(p);
        free(want);
        free(got);
    }
    commit(s.b);
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_changed_texts),
        cmocka_unit_test(test_committed),
    };

    return run_all(tests);
}
