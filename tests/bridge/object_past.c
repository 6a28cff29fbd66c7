/*
 * object_past.c - fields that had other names, that have defaults, that are dropped
 */
#include "offline.h"

struct door {
    newt_text knob;
    int32_t color;
};
struct house {
    newt_text title;
    int32_t floors;
    newt_text street;
    newt_time built;
    newt_decimal price;
    bool lit;
    double area;
    newt_json more;
    struct door door;
    NEWT_ARRAY(struct door) doors;
    NEWT_ARRAY(int32_t) rooms;
};
NEWT_DECLARE(door);
NEWT_DECLARE(house);
#define H struct house
NEWT_CLASS_PAST(door, "Door", 0, NULL, 0, (.dropped = NEWT_NAMES("bell")),
                NEWT_FIELD(struct door, knob, .was = "handle"),
                NEWT_FIELD(struct door, color, NEWT_INIT(int32_t, 9)));
NEWT_CLASS_PAST(house, "House", 2, NULL, 0, (.dropped = NEWT_NAMES("gas", "coal")),
                NEWT_FIELD(H, title, .was = "name", .were = NEWT_NAMES("label", "caption")),
                NEWT_FIELD(H, floors, NEWT_INIT(int32_t, 1)),
                NEWT_FIELD(H, street, NEWT_INIT_TEXT("Main")),
                NEWT_FIELD(H, built, NEWT_INIT(newt_time, 5)),
                NEWT_FIELD(H, price, NEWT_INIT(newt_decimal, {"1.50", 4, 0})),
                NEWT_FIELD(H, lit, NEWT_INIT(bool, true)),
                NEWT_FIELD(H, area, NEWT_INIT(double, 0.5)), NEWT_FIELD(H, more, .was = "extras"),
                NEWT_STRUCT(H, door, door, .was = "gate"), NEWT_STRUCTS(H, doors, door),
                NEWT_LIST(H, rooms, .was = "chambers"));
static const newt_class *const classes[] = {&house_class, NULL};

static offline o;

static int
start(void **state)
{
    (void)state;
    offline_open(&o, classes);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    offline_close(&o);
    return 0;
}

/* The record of class House with this state, for free(). */
static uint8_t *
record_of_json(int32_t version, const char *state, size_t *n)
{
    newt__writer w = {.buf.env = &newt__malloc_env};
    json_t *json = json_loads(state, JSON_DECODE_ANY, NULL);
    uint8_t *copy;

    if (!json)
        fail_msg("not JSON: %s", state);
    newt__write_begin(&w, "House", 5, version);
    newt__json_write(&w, json);
    if (newt__write_end(&w) != NEWT__OK)
        fail_msg("%s: %s", state, w.fault.reason);
    json_decref(json);
    *n = w.buf.n;
    copy = malloc(*n);
    memcpy(copy, w.buf.data, *n);
    newt__writer_free(&w);
    return copy;
}

static const struct house *
load_house(int32_t version, const char *state)
{
    const struct house *h;
    uint8_t *record;
    size_t n;

    record = record_of_json(version, state, &n);
    load(&o, 7, record, n);
    free(record);
    h = house_read(&o.c, house_of((newt_ref){7}));
    if (!h)
        fail_msg("%s: %s", state, newt_error_message(newt_conn_error(&o.c)));
    return h;
}

/* The state as it is written, for json_decref(). */
static json_t *
saved(void)
{
    const newt_bag *b;
    json_t *got;

    assert_non_null(house_write(&o.c, house_of((newt_ref){7})));
    offline_commit(&o, 77);
    b = newt_bag_read(&o.c, (newt_ref){7});
    assert_non_null(b);
    got = newt_bag_state(b);
    offline_abort(&o);
    return got;
}

static const char *
text_at(const json_t *state, const char *key)
{
    return json_string_value(json_object_get(state, key));
}

/* ---- names -------------------------------------------------------------------------------- */

/* The newest name that is there counts, wherever it stands in the record. */
static void
old_names(void **state)
{
    static const struct {
        const char *state, *title;
    } cases[] = {
        {"{\"title\": \"a\"}", "a"},
        {"{\"name\": \"b\"}", "b"},
        {"{\"label\": \"c\"}", "c"},
        {"{\"caption\": \"d\"}", "d"},
        {"{\"title\": \"a\", \"name\": \"b\"}", "a"},
        {"{\"title\": \"a\", \"caption\": \"d\", \"label\": \"c\"}", "a"},
        {"{\"name\": \"b\", \"label\": \"c\", \"caption\": \"d\"}", "b"},
        {"{\"label\": \"c\", \"caption\": \"d\"}", "c"},
        {"{\"title\": null, \"name\": \"b\"}", NULL},
        {"{\"name\": null, \"label\": \"c\"}", NULL},
        {"{\"caption\": \"a text that is a little longer\", \"z\": [1, {\"x\": 1}], \"zz\": {}}",
         "a text that is a little longer"},
    };

    (void)state;
    for (int32_t version = 1; version <= 2; version++) {
        for (size_t i = 0; i < LENGTH(cases); i++) {
            const struct house *h = load_house(version, cases[i].state);
            json_t *got;

            if (!h->title.s || !cases[i].title ? h->title.s != cases[i].title
                                               : strcmp(h->title.s, cases[i].title) != 0)
                fail_msg("%s: %s", cases[i].state, h->title.s ? h->title.s : "null");
            /* what is written has the new name alone, and all that nobody knows */
            got = saved();
            if (cases[i].title)
                assert_string_equal(text_at(got, "title"), cases[i].title);
            assert_null(json_object_get(got, "name"));
            assert_null(json_object_get(got, "label"));
            assert_null(json_object_get(got, "caption"));
            assert_int_equal(json_object_get(got, "zz") != NULL,
                             strstr(cases[i].state, "zz") != NULL);
            json_decref(got);
        }
    }
}

/* It is written even if nothing has changed but the name. */
static void
rewritten(void **state)
{
    bool same;

    (void)state;
    load_house(2, "{\"name\": \"b\"}");
    assert_non_null(house_write(&o.c, house_of((newt_ref){7})));
    assert_int_equal(newt__object_encode(&o.c.jar, newt__cache_find(&o.c.jar.cache, 7), &same),
                     NEWT_OK);
    assert_false(same);
    json_decref(saved());
    assert_non_null(house_write(&o.c, house_of((newt_ref){7})));
    assert_int_equal(newt__object_encode(&o.c.jar, newt__cache_find(&o.c.jar.cache, 7), &same),
                     NEWT_OK);
    assert_true(same);
}

static void
lists_and_structs(void **state)
{
    const struct house *h = load_house(
        2, "{\"chambers\": [1, 2, 3], \"gate\": {\"handle\": \"brass\", \"bell\": 1},"
           " \"doors\": [{\"handle\": \"a\", \"knob\": \"b\"}, {\"bell\": 2, \"color\": 4}],"
           " \"extras\": {\"::id\": 0, \"x\": [{\"::->\": 0}]}}");
    json_t *got, *inner;

    (void)state;
    assert_int_equal(h->rooms.n, 3);
    assert_int_equal(h->rooms.items[2], 3);
    assert_string_equal(h->door.knob.s, "brass");
    assert_int_equal(h->door.color, 9);
    assert_string_equal(h->doors.items[0].knob.s, "b");
    assert_int_equal(h->doors.items[0].color, 9);
    assert_null(h->doors.items[1].knob.s);
    assert_int_equal(h->doors.items[1].color, 4);
    got = saved();
    assert_int_equal(json_array_size(json_object_get(got, "rooms")), 3);
    inner = json_object_get(got, "door");
    assert_string_equal(text_at(inner, "knob"), "brass");
    assert_int_equal(json_object_size(inner), 2);
    assert_int_equal(json_object_size(json_array_get(json_object_get(got, "doors"), 1)), 1);
    inner = json_object_get(got, "more");
    assert_int_equal(json_integer_value(json_object_get(inner, "::id")), 0);
    assert_null(json_object_get(got, "extras"));
    json_decref(got);

    /* what the struct neither has nor drops cannot be kept there */
    load_house(2, "{\"gate\": {\"handle\": \"brass\", \"lock\": 1}}");
    assert_null(house_write(&o.c, house_of((newt_ref){7})));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "House 7 can only be read");
}

/* What does not fit under an old name is as under the new one. */
static void
misfits(void **state)
{
    uint8_t *record;
    size_t n;

    (void)state;
    assert_null(load_house(1, "{\"name\": [[1, {}]], \"floors\": \"x\"}")->title.s);
    assert_int_equal(load_house(1, "{\"name\": [[1, {}]], \"floors\": \"x\"}")->floors, 1);
    offline_abort(&o);
    record = record_of_json(2, "{\"name\": 1}", &n);
    assert_true(load(&o, 7, record, n)->bag);
    free(record);
    assert_null(house_read(&o.c, house_of((newt_ref){7})));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS,
                 "field \"title\" of House 7 is int in its record, but text");
}

static void
dropped(void **state)
{
    json_t *got;

    (void)state;
    for (int32_t version = 1; version <= 2; version++) {
        load_house(version, "{\"gas\": 1, \"coal\": {\"x\": [1]}, \"wood\": 2, \"title\": \"t\"}");
        got = saved();
        assert_null(json_object_get(got, "gas"));
        assert_null(json_object_get(got, "coal"));
        assert_int_equal(json_integer_value(json_object_get(got, "wood")), 2);
        json_decref(got);
    }
}

/* ---- defaults ------------------------------------------------------------------------------- */

static void
assert_defaults(const struct house *h)
{
    assert_int_equal(h->floors, 1);
    assert_string_equal(h->street.s, "Main");
    assert_int_equal(h->street.n, 4);
    assert_int_equal(h->built.us, 5);
    assert_string_equal(h->price.digits.s, "1.50");
    assert_true(h->lit);
    assert_true(h->area == 0.5);
    assert_int_equal(h->door.color, 9);
}

static void
defaults(void **state)
{
    struct house *h = house_new(&o.c);
    struct door *d;
    json_t *got;

    (void)state;
    assert_non_null(h);
    assert_defaults(h);
    d = newt_array_grow(house_obj(h), &h->doors, sizeof *d, 2);
    assert_int_equal(d[1].color, 9);
    house_done(h);
    for (int32_t version = 1; version <= 3; version++)
        assert_defaults(load_house(version, "{\"zz\": 1}"));
    load_house(2, "{}");
    got = saved();
    assert_string_equal(text_at(got, "street"), "Main");
    assert_int_equal(json_integer_value(json_object_get(got, "floors")), 1);
    json_decref(got);
}

/* Null is a value of its own, and stays. */
static void
null_is_no_default(void **state)
{
    const struct house *h = load_house(2, "{\"street\": null, \"built\": null, \"price\": null}");
    struct house *w;
    json_t *got;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_null(h->street.s);
        assert_true(h->built.us == NEWT_TIME_NULL);
        assert_null(h->price.digits.s);
        got = saved();
        assert_true(json_is_null(json_object_get(got, "street")));
        json_decref(got);
        w = house_write(&o.c, house_of((newt_ref){7}));
        assert_non_null(w);
        newt_set(w, street, i ? NULL : "Side");
        newt_set(w, street, NULL);
        w->floors = i;
        offline_commit(&o, 78 + i);
        h = house_read(&o.c, house_of((newt_ref){7}));
        assert_non_null(h);
        assert_int_equal(h->floors, i);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

static void
every_allocation(void **state)
{
    static const char *const text =
        "{\"caption\": \"d\", \"label\": \"c\", \"chambers\": [1, 2], \"gas\": 1, \"wood\": 2,"
        " \"gate\": {\"handle\": \"brass\"}}";
    bool ok = false;
    uint8_t *record;
    size_t n;
    long at;

    (void)state;
    record = record_of_json(1, text, &n);
    for (at = 1; !ok; at++) {
        newt__cache_clear(&o.c.jar);
        newt__coder_free(&o.c.jar.coder);
        o.calls = 0;
        o.fail_at = at;
        ok = newt__object_load(&o.c.jar, 7, 70, record, n, NULL) == NEWT_OK &&
             house_write(&o.c, house_of((newt_ref){7})) &&
             newt__object_encode(&o.c.jar, newt__cache_find(&o.c.jar.cache, 7), NULL) == NEWT_OK;
        o.fail_at = 0;
        if (!ok)
            assert_int_equal(newt_status(&o.c), NEWT_ENOMEM);
        offline_abort(&o);
    }
    assert_true(at > 5);
    free(record);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(old_names), TEST(rewritten), TEST(lists_and_structs),  TEST(misfits),
        TEST(dropped),   TEST(defaults),  TEST(null_is_no_default), TEST(every_allocation),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_past", tests, NULL, NULL);
}
