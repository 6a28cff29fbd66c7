/*
 * object_projection.c - the JSON that the client computes, with and without to_json
 */
#include "everything.h"

#include <math.h>

static offline o;

/* ---- without to_json ----------------------------------------------------------------------- */

/* The codec's, byte for byte; what it could not show is listed. */
static void
plain(void **state)
{
    newt__writer w = {0};
    generate g;
    size_t rejected = 0, hidden_ones = 0;

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    w.buf.env = &o.c.jar.coder.env;
    for (int i = 0; i < 5000; i++) {
        newt__buffer want = {.env = &o.c.jar.coder.env}, got = {.env = &o.c.jar.coder.env};
        bool hidden, hidden_too;
        json_t *rejects = json_array();
        newt__fault fault;

        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        newt__buffer_append(&got, "\1", 1); /* what stands before it stays */
        assert_int_equal(
            newt__project_text(&o.c.jar.coder.env, w.buf.data, w.buf.n, &want, &hidden, &fault),
            NEWT__OK);
        assert_int_equal(
            newt__object_project(&o.c.jar, 7, w.buf.data, w.buf.n, &got, &hidden_too, rejects),
            NEWT_OK);
        assert_int_equal(hidden, hidden_too);
        assert_bytes(got.data + 1, got.n - 1, want.data, want.n, "projection");
        if (json_array_size(rejects) > 0 && !w.lossy)
            fail_msg("rejects, but not lossy");
        rejected += json_array_size(rejects);
        hidden_ones += hidden;
        json_decref(rejects);
        newt__buffer_free(&want);
        newt__buffer_free(&got);
    }
    assert_true(rejected > 0 && hidden_ones > 0);
    newt__writer_free(&w);
    offline_close(&o);
}

static void
rejects_named(void **state)
{
    struct everything *e;
    uint8_t *record;
    size_t n;
    newt__buffer out = {0};
    bool hidden;
    json_t *rejects = json_array();
    char *text;

    (void)state;
    offline_open(&o, everything_classes);
    out.env = &o.c.jar.coder.env;
    e = everything_new(&o.c);
    newt_text_set(everything_obj(e), newt_array_grow(everything_obj(e), &e->texts, 16, 2), "good");
    newt_text_set(everything_obj(e), &e->texts.edit_[1], "\xff");
    newt_decimal_set(everything_obj(e), &e->decimal, "1E+999");
    record = record_of(&o, e, &n);
    assert_int_equal(newt__object_project(&o.c.jar, 7, record, n, &out, &hidden, rejects), NEWT_OK);
    text = json_dumps(rejects, JSON_COMPACT);
    assert_string_equal(text, "[{\"path\":[\"texts\",1],\"reason\":\"text\"},"
                              "{\"path\":[\"decimal\"],\"reason\":\"number\"}]");
    free(text);
    free(record);
    json_decref(rejects);
    newt__buffer_free(&out);

    assert_int_equal(newt__object_project(&o.c.jar, 7, "junk", 4, &out, &hidden, NULL),
                     NEWT_EBROKEN);
    assert_error(newt_conn_error(&o.c), NEWT_EBROKEN, "object 7: not a state record");
    offline_close(&o);
}

/* ---- with to_json -------------------------------------------------------------------------- */

struct deed {
    newt_text title;
    uint64_t huge;
    double pi;
    float third;
    newt_decimal price;
    newt_ref owner;
    newt_bytes seal;
    newt_json extras;
    NEWT_ARRAY(newt_ref) heirs;
};
NEWT_DECLARE(deed);

static int (*shape)(const struct deed *d, json_t *json);
static int
to_json(const void *object, json_t *json, void *arg)
{
    assert_ptr_equal(arg, &shape);
    assert_null(newt_conn_of(object));
    return shape(object, json);
}
static const newt_hooks hooks = {.size = sizeof hooks, .to_json = to_json, .arg = &shape};
NEWT_CLASS(deed, "Deed", 0, &hooks, NEWT_FIELD(struct deed, title), NEWT_FIELD(struct deed, huge),
           NEWT_FIELD(struct deed, pi), NEWT_FIELD(struct deed, third),
           NEWT_FIELD(struct deed, price), NEWT_FIELD(struct deed, owner),
           NEWT_FIELD(struct deed, seal), NEWT_FIELD(struct deed, extras),
           NEWT_LIST(struct deed, heirs));
static const newt_class *const classes[] = {&deed_class, NULL};

static struct deed *d;

static int
start(void **state)
{
    json_t *extras = json_pack("{s:i, s:{s:i}, s:{s:s}}", "::::x", 1, "r", "::=>", 5, "t", "::num",
                               "0.10");

    (void)state;
    offline_open(&o, classes);
    d = deed_new(&o.c);
    newt_set(d, title, "Farm");
    d->huge = UINT64_MAX;
    d->pi = 0.1;
    d->third = 1.1f;
    newt_decimal_set(deed_obj(d), &d->price, "1.50");
    d->owner.oid = 42;
    newt_bytes_set(deed_obj(d), &d->seal, "\1", 1);
    newt_json_set(deed_obj(d), &d->extras, extras);
    newt_append(d, heirs, (newt_ref){7});
    json_decref(extras);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    offline_close(&o);
    return 0;
}

#define EXACT                                                                                      \
    "\"pi\":0.1,\"huge\":18446744073709551615,\"seal\":{\"::b64\":\"AQ==\"},"                      \
    "\"heirs\":[{\"::=>\":7}],\"owner\":{\"::=>\":42},\"price\":1.50,\"third\":1.1,"

static int
leave_alone(const struct deed *deed, json_t *json)
{
    assert_string_equal(deed->title.s, "Farm");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "owner"), "::=>")),
                     42);
    /* beyond what jansson holds: its text */
    assert_string_equal(json_string_value(json_object_get(json, "huge")), "18446744073709551615");
    assert_true(json_real_value(json_object_get(json, "price")) == 1.5);
    return 0;
}

/* Numbers that jansson cannot hold come through exactly. */
static void
left_alone(void **state)
{
    (void)state;
    shape = leave_alone;
    assert_json_text(&o, d,
                     "{" EXACT "\"title\":\"Farm\",\"extras\":{\"r\":{\"::=>\":5},\"t\":0.10,"
                     "\"::::x\":1}}");
}

static int
reshape(const struct deed *deed, json_t *json)
{
    json_object_set_new(json, "length", json_integer((json_int_t)deed->title.n));
    json_object_del(json, "extras");
    json_object_del(json, "third");
    json_object_set(json, "sum", json_object_get(json, "price")); /* moved, exact */
    json_object_del(json, "price");
    json_real_set(json_object_get(json, "pi"), 3.5);
    json_object_set_new(json, "copy", json_deep_copy(json_object_get(json, "owner")));
    json_object_set_new(json, ":::mine", json_integer(1)); /* escaped: a key like any other */
    json_array_append(json_object_get(json, "heirs"), json_object_get(json, "owner"));
    return 0;
}

static void
reshaped(void **state)
{
    (void)state;
    shape = reshape;
    assert_json_text(&o, d,
                     "{\"pi\":3.5,\"huge\":18446744073709551615,\"seal\":{\"::b64\":\"AQ==\"},"
                     "\"heirs\":[{\"::=>\":7},{\"::=>\":42}],\"owner\":{\"::=>\":42},"
                     "\"title\":\"Farm\",\"length\":4,\"sum\":1.50,\"copy\":{\"::=>\":42},"
                     "\":::mine\":1}");
}

static int
change_number(const struct deed *deed, json_t *json)
{
    (void)deed;
    json_string_set(json_object_get(json, "huge"), "184467440737095516150");
    json_object_set_new(json, "title", json_real(0.1));
    json_object_set_new(json, "copy", json_string("18446744073709551615"));
    json_real_set(json_object_get(json, "price"), 2.5);
    return 0;
}

static void
changed_number(void **state)
{
    char *text;

    (void)state;
    shape = change_number;
    text = json_of(&o, d);
    assert_non_null(strstr(text, "\"huge\":\"184467440737095516150\","));
    assert_non_null(strstr(text, "\"price\":2.5,"));
    assert_non_null(strstr(text, "\"copy\":\"18446744073709551615\"")); /* not the node itself */
    assert_non_null(strstr(text, "\"title\":0.1,"));
    free(text);
}

/* ---- forged, and what jsonb cannot hold ---------------------------------------------------- */

static int
forge_reference(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json, "title", newt_json_ref((newt_ref){43}));
}
static int
change_reference(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json_object_get(json, "owner"), "::=>", json_integer(43));
}
static int
add_to_reference(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json_object_get(json, "owner"), "name", json_string("Ann"));
}
static int
forge_at_top(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json, "::", json_string("Class"));
}
static int
forge_deep_inside(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json, "x", json_pack("[[{s:[{s:i}]}]]", "a", "::id", 1));
}
static int
nul_in_text(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json, "x", json_stringn("a\0b", 3));
}
static int
bad_text(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new(json, "x", json_string_nocheck("\xff"));
}
static int
bad_key(const struct deed *deed, json_t *json)
{
    (void)deed;
    return json_object_set_new_nocheck(json, "\xff", json_null());
}
static int
too_deep(const struct deed *deed, json_t *json)
{
    json_t *x = json_null();

    (void)deed;
    for (int i = 0; i < 3000; i++)
        x = json_pack("[o]", x);
    return json_object_set_new(json, "x", x);
}
static int
code_of_its_own(const struct deed *deed, json_t *json)
{
    (void)deed;
    (void)json;
    return 12;
}
static int
negative_code(const struct deed *deed, json_t *json)
{
    (void)deed;
    (void)json;
    return -1;
}

static const struct {
    int (*shape)(const struct deed *d, json_t *json);
    int status;
    const char *words;
} refusals[] = {
    {forge_reference, NEWT_EINVAL, "Deed 7 has a to_json that makes keys beginning with \"::\""},
    {change_reference, NEWT_EINVAL, "makes keys"},
    {add_to_reference, NEWT_EINVAL, "makes keys"},
    {forge_at_top, NEWT_EINVAL, "makes keys"},
    {forge_deep_inside, NEWT_EINVAL, "makes keys"},
    {nul_in_text, NEWT_EINVAL, "Deed 7 has a to_json whose result has text with a NUL"},
    {bad_text, NEWT_EINVAL, "not UTF-8"},
    {bad_key, NEWT_EINVAL, "key that is not UTF-8"},
    {too_deep, NEWT_EINVAL, "Deed 7"},
    {code_of_its_own, 12, "Deed 7 could not be projected: to_json returned 12"},
    {negative_code, NEWT_EINVAL, "to_json returned -1"},
};

static void
refused(void **state)
{
    uint8_t *record;
    size_t n;

    (void)state;
    record = record_of(&o, d, &n);
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        newt__buffer out = {.env = &o.c.jar.coder.env};
        bool hidden;

        newt__buffer_append(&out, "x", 1);
        shape = refusals[i].shape;
        if (newt__object_project(&o.c.jar, 7, record, n, &out, &hidden, NULL) != refusals[i].status)
            fail_msg("refusal %zu: %s", i, newt_error_message(&o.c.jar.base.error));
        assert_error(newt_conn_error(&o.c), refusals[i].status, refusals[i].words);
        assert_int_equal(out.n, 1);
        newt__buffer_free(&out);
    }
    free(record);
}

static int
grow(const struct deed *deed, json_t *json)
{
    char text[2000];

    (void)deed;
    memset(text, 'x', sizeof text);
    return json_object_set_new(json, "x", json_stringn(text, sizeof text));
}

/* Over the limit of a document, by the callback or before it. */
static void
too_large(void **state)
{
    newt__buffer out = {.env = &o.c.jar.coder.env};
    uint8_t *record;
    size_t n;
    bool hidden;
    json_t *rejects = json_array();
    char want[64];

    (void)state;
    record = record_of(&o, d, &n);
    shape = grow;
    o.c.jar.coder.env.max_json = 1000;
    assert_int_equal(newt__object_project(&o.c.jar, 7, record, n, &out, &hidden, rejects), NEWT_OK);
    snprintf(want, sizeof want, "{\"::err\":\"too-large\",\"::bin\":%zu}", n);
    assert_bytes(out.data, out.n, want, strlen(want), "too large");
    assert_int_equal(json_array_size(rejects), 1);
    shape = code_of_its_own; /* is not called */
    o.c.jar.coder.env.max_json = 100;
    out.n = 0;
    assert_int_equal(newt__object_project(&o.c.jar, 7, record, n, &out, &hidden, rejects), NEWT_OK);
    assert_bytes(out.data, out.n, want, strlen(want), "too large before");
    assert_int_equal(json_array_size(rejects), 2);
    json_decref(rejects);
    newt__buffer_free(&out);
    free(record);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain), cmocka_unit_test(rejects_named),
        TEST(left_alone),        TEST(reshaped),
        TEST(changed_number),    TEST(refused),
        TEST(too_large),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_projection", tests, NULL, NULL);
}
