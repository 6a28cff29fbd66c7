/*
 * server_json.c - JSON text as fields and bags keep it
 */
#include "papers.h"

static void
assert_text(char *text, const char *want)
{
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void
test_null(void **state)
{
    struct paper *p;
    char *text;
    store s;
    int64_t oid;
    size_t n;

    (void)state;
    open_papers(&s);
    begin(s.a);
    p = paper_new(s.a);
    text = newt_json_get_text(&p->any, &n);
    assert_string_equal(text, "null");
    assert_int_equal(n, 4);
    free(text);
    ok(s.a, newt_json_set_text(paper_obj(p), &p->any, "[1]   and more", 5));
    text = newt_json_get_text(&p->any, NULL);
    assert_string_equal(text, "[1]");
    free(text);
    ok(s.a, newt_json_set_text(paper_obj(p), &p->any, NULL, 0));
    assert_null(p->any.item.p);
    /* the same null as everywhere: a field without a value */
    ok(s.a, newt_json_set_text(paper_obj(p), &p->any, "[1]", 3));
    ok(s.a, newt_json_set_text(paper_obj(p), &p->any, " null ", SIZE_MAX));
    assert_null(p->any.item.p);
    oid = paper_id(p).any.oid;
    paper_done(p);
    commit(s.a);
    assert_sql(s.pg, "f", "SELECT state ? 'any' FROM newt WHERE zoid = %lld", (long long)oid);
    store_close(&s);
}

/* jansson sees the same value, in the form that loses nothing. */
static void
test_both_ways(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,2.50],\"b\":18446744073709551616,\"::after\":true}";
    json_t *json, *want;
    struct paper *p;
    char *again;
    store s;

    (void)state;
    open_papers(&s);
    begin(s.a);
    p = paper_new(s.a);
    ok(s.a, newt_json_set_text(paper_obj(p), &p->any, text, SIZE_MAX));
    json = newt_json_get(&p->any);
    want = json_loads("{\"a\": [1, 2.5, {\"::num\": \"2.50\"}], "
                      "\"b\": {\"::int\": \"18446744073709551616\"}, \":::after\": true}",
                      0, NULL);
    assert_true(json_equal(json, want));
    ok(s.a, newt_json_set(paper_obj(p), &p->any, json));
    again = newt_json_get_text(&p->any, NULL);
    assert_string_equal(again, text);
    free(again);
    json_decref(json);
    json_decref(want);
    paper_done(p);
    commit(s.a);
    store_close(&s);
}

/* A value that holds shared ones has a text wherever in its record it stands. */
static void
test_shared(void **state)
{
    static const char shared[] = "[{\"::id\": 0, \"a\": 1}, {\"::->\": 0}]";
    json_t *json = json_loads(shared, 0, NULL);
    struct paper *p;
    const struct paper *read;
    paper_ref r;
    store s;

    (void)state;
    open_papers(&s);
    begin(s.a);
    p = paper_new(s.a);
    ok(s.a, newt_json_set(paper_obj(p), &p->any, json));
    ok(s.a, newt_json_set(paper_obj(p), &p->other, json));
    assert_text(newt_json_get_text(&p->other, NULL), "[{\"::id\":0,\"a\":1},{\"::->\":0}]");
    r = paper_id(p);
    paper_done(p);
    commit(s.a);
    begin(s.b);
    read = paper_read(s.b, r);
    assert_non_null(read);
    assert_text(newt_json_get_text(&read->any, NULL), "[{\"::id\":0,\"a\":1},{\"::->\":0}]");
    /* numbered as in the record */
    assert_text(newt_json_get_text(&read->other, NULL), "[{\"::id\":1,\"a\":1},{\"::->\":1}]");
    paper_done(read);
    commit(s.b);
    json_decref(json);
    store_close(&s);
}

static void
test_where(void **state)
{
    const newt_error *e;
    struct paper *p;
    store s;

    (void)state;
    open_papers(&s);
    begin(s.a);
    p = paper_new(s.a);
    assert_int_equal(newt_json_set_text(paper_obj(p), &p->any,
                                        "{\"\xc3\xa9\":\n [\"\xe2\x82\xac\",]}", SIZE_MAX),
                     NEWT_EINVAL);
    e = newt_conn_error(s.a);
    assert_int_equal(newt_error_oid(e), paper_id(p).any.oid);
    assert_non_null(strstr(newt_error_message(e), ": invalid JSON text: expected a value"));
    assert_string_equal(newt_error_detail(e), "Line 2, column 7 of the JSON text.");
    assert_int_equal(newt_error_position(e), 16);
    paper_done(p);
    assert_int_equal(newt_commit(s.a), NEWT_EINVAL); /* doomed, as by every setter */
    newt_abort(s.a);

    begin(s.a);
    p = paper_new(s.a);
    assert_int_equal(newt_json_set_text(paper_obj(p), &p->any, "1e131072", SIZE_MAX), NEWT_ELIMIT);
    assert_int_equal(newt_error_position(newt_conn_error(s.a)), 1);
    paper_done(p);
    newt_abort(s.a);
    assert_int_equal(newt_json_set_text(NULL, NULL, "1", 1), NEWT_EINVAL);
    store_close(&s);
}

/* ---- bags ------------------------------------------------------------------------------------ */

static void
test_bags(void **state)
{
    static const char whole[] =
        "{\"b\":1.50,\"::a\":[12345678901234567890123456789012345],\"c\":0.1}";
    const newt_bag *read;
    json_t *wrong;
    newt_bag *b;
    newt_ref r;
    store s;
    size_t n;

    (void)state;
    open_papers(&s);
    begin(s.a);
    b = newt_bag_new(s.a, "Received");
    ok(s.a, newt_bag_replace_text(b, whole, SIZE_MAX));
    r = newt_bag_ref(b);
    ok(s.a, newt_bag_set_text(b, "::x", "{\"::=>\": 1, \"k\": 1e400}", SIZE_MAX));
    ok(s.a, newt_bag_set_text(b, "c", "\"\\u00e9\" rest", 8));
    ok(s.a, newt_bag_set_text(b, "nothing", NULL, 0));
    assert_text(newt_bag_get_text(b, "::x", &n), "{\"k\":1E+400,\"::=>\":1}");
    assert_int_equal(n, strlen("{\"k\":1E+400,\"::=>\":1}"));
    assert_null(newt_bag_get_text(b, "none", &n));
    newt_bag_done(b);
    commit(s.a);

    begin(s.b);
    read = newt_bag_read(s.b, r);
    assert_text(newt_bag_get_text(read, "::a", NULL), "[12345678901234567890123456789012345]");
    assert_text(newt_bag_get_text(read, "b", NULL), "1.50");
    assert_text(newt_bag_get_text(read, "c", NULL), "\"\xc3\xa9\"");
    assert_text(newt_bag_get_text(read, "nothing", NULL), "null");
    assert_text(newt_bag_state_text(read, &n),
                "{\"b\":1.50,\"c\":\"\xc3\xa9\",\"::a\":[12345678901234567890123456789012345],"
                "\"::x\":{\"k\":1E+400,\"::=>\":1},\"nothing\":null}");
    assert_int_equal(newt_bag_set_text((newt_bag *)(uintptr_t)read, "b", "1", 1), NEWT_EINVAL);
    newt_bag_done(read);
    newt_abort(s.b);
    assert_sql(s.pg, "1.50", "SELECT state->>'b' FROM newt WHERE zoid = %lld", (long long)r.oid);
    assert_sql(s.pg, "[12345678901234567890123456789012345]",
               "SELECT state->>':::a' FROM newt WHERE zoid = %lld", (long long)r.oid);

    begin(s.a);
    b = newt_bag_write(s.a, r);
    assert_int_equal(newt_bag_set_text(b, "b", "{\"x\":01}", SIZE_MAX), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "field \"b\" of "));
    assert_int_equal(newt_error_position(newt_conn_error(s.a)), 6);
    newt_bag_done(b);
    newt_abort(s.a);
    /* what is no value in the form of docs/json-values.md has no text, and the error says so */
    begin(s.a);
    b = newt_bag_write(s.a, r);
    wrong = json_pack("{s:i}", "::what", 1);
    ok(s.a, newt_bag_set(b, "w", wrong));
    json_decref(wrong);
    assert_null(newt_bag_get_text(b, "w", NULL));
    assert_int_equal(newt_error_status(newt_conn_error(s.a)), NEWT_EINVAL);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r.oid);
    newt_bag_done(b);
    newt_abort(s.a);
    begin(s.a);
    b = newt_bag_write(s.a, r);
    assert_int_equal(newt_bag_replace_text(b, "[1]", SIZE_MAX), NEWT_EINVAL);
    newt_bag_done(b);
    newt_abort(s.a);
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null),   cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_shared), cmocka_unit_test(test_where),
        cmocka_unit_test(test_bags),
    };

    return run_all(tests);
}
