/*
 * object_evolution.c - records that were not written by this class table: other fields, other
 * kinds, other versions
 */
#include "offline.h"

enum mood {
    CALM,
    CROSS
};
static const char *const mood_names[] = {"calm", "cross", NULL};

struct paw {
    int32_t claws;
};
struct cat {
    newt_text name;
    int8_t lives;
    uint8_t kittens;
    float weight;
    double length;
    enum mood mood;
    newt_date born;
    newt_time fed;
    newt_ref owner;
    newt_uuid chip;
    newt_decimal price;
    bool tame;
    newt_bytes photo;
    newt_duration sleep;
    newt_json extras;
    struct paw paw;
    NEWT_ARRAY(newt_text) toys;
    NEWT_ARRAY(int32_t) marks; /* a set */
    NEWT_MAP(double) foods;
    NEWT_PAIRS(int32_t, newt_text) years;
    NEWT_ARRAY(struct paw) paws;
    newt_text must;
};
NEWT_DECLARE(paw);
NEWT_DECLARE(cat);
#define C struct cat
NEWT_CLASS(paw, "Paw", 0, NULL, NEWT_FIELD(struct paw, claws));
#define FIELDS                                                                                     \
    NEWT_FIELD(C, name), NEWT_FIELD(C, lives), NEWT_FIELD(C, kittens), NEWT_FIELD(C, weight),      \
        NEWT_FIELD(C, length), NEWT_ENUM(C, mood, mood_names), NEWT_FIELD(C, born),                \
        NEWT_FIELD(C, fed), NEWT_FIELD(C, owner), NEWT_FIELD(C, chip), NEWT_FIELD(C, price),       \
        NEWT_FIELD(C, tame), NEWT_FIELD(C, photo), NEWT_FIELD(C, sleep), NEWT_FIELD(C, extras),    \
        NEWT_STRUCT(C, paw, paw), NEWT_LIST(C, toys), NEWT_SET(C, marks), NEWT_MAPOF(C, foods),    \
        NEWT_PAIRSOF(C, years), NEWT_STRUCTS(C, paws, paw),                                        \
        NEWT_FIELD(C, must, .flags = NEWT_F_REQUIRED)
NEWT_CLASS(cat, "Cat", 2, NULL, FIELDS);
static const newt_class *const classes[] = {&cat_class, NULL};

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

/* The record of class Cat with this state, in the JSON of docs/json-values.md. Loaded as object 7.
 */
static newt__header *
load_json(int32_t version, const char *state)
{
    newt__writer w = {.buf.env = &o.c.jar.coder.env};
    json_t *json = json_loads(state, JSON_DECODE_ANY, NULL);
    newt__header *h;

    if (!json)
        fail_msg("not JSON: %s", state);
    newt__write_begin(&w, "Cat", 3, version);
    newt__json_write(&w, json);
    if (newt__write_end(&w) != NEWT__OK)
        fail_msg("%s: %s", state, w.fault.reason);
    h = load(&o, 7, w.buf.data, w.buf.n);
    newt__writer_free(&w);
    json_decref(json);
    return h;
}

static const struct cat *
read_cat(void)
{
    return cat_read(&o.c, cat_of((newt_ref){7}));
}

/* ---- kinds and ranges -------------------------------------------------------------------- */

static const struct {
    const char *state;
    int status;
    const char *words;
} misfits[] = {
    {"{\"name\": 1}", NEWT_ECLASS, "field \"name\" of Cat 7 is int in its record, but text"},
    {"{\"name\": [\"a\"]}", NEWT_ECLASS, "field \"name\" of Cat 7 is list"},
    {"{\"name\": {\"::b64\": \"\"}}", NEWT_ECLASS, "field \"name\" of Cat 7 is bytes"},
    {"{\"lives\": \"9\"}", NEWT_ECLASS, "field \"lives\" of Cat 7 is text in its record, but int"},
    {"{\"lives\": 128}", NEWT_ECLASS, "an int of 8 bits cannot hold"},
    {"{\"lives\": -129}", NEWT_ECLASS, "field \"lives\" of Cat 7"},
    {"{\"lives\": {\"::int\": \"99999999999999999999\"}}", NEWT_ECLASS, "cannot hold"},
    {"{\"lives\": 1.0}", NEWT_ECLASS, "is float in its record, but int"},
    {"{\"kittens\": 256}", NEWT_ECLASS, "a uint of 8 bits cannot hold"},
    {"{\"kittens\": -1}", NEWT_ECLASS, "field \"kittens\" of Cat 7"},
    {"{\"weight\": 0.1}", NEWT_ECLASS, "a float of 32 bits cannot hold"},
    {"{\"weight\": 1e300}", NEWT_ECLASS, "a float of 32 bits cannot hold"},
    {"{\"length\": 1}", NEWT_ECLASS, "is int in its record, but float"},
    {"{\"mood\": \"sleepy\"}", NEWT_EBROKEN,
     "field \"mood\" of Cat 7 is \"sleepy\" in its record, a name that its enum lacks"},
    {"{\"mood\": \"\"}", NEWT_EBROKEN, "lacks"},
    {"{\"mood\": 1}", NEWT_ECLASS, "but enum"},
    {"{\"born\": {\"::days\": 2147483648}}", NEWT_ECLASS, "a date of 32 bits cannot hold"},
    {"{\"born\": {\"::days\": -2147483648}}", NEWT_ECLASS, "a date of 32 bits cannot hold"},
    {"{\"born\": \"2020-01-01\"}", NEWT_ECLASS, "but date"},
    {"{\"fed\": {\"::us\": [9223372036855, 0]}}", NEWT_ECLASS, "out of range"},
    {"{\"fed\": {\"::us\": -9223372036854775808}}", NEWT_ECLASS, "out of range"},
    {"{\"fed\": {\"::duration\": 1}}", NEWT_ECLASS, "is duration in its record, but time"},
    {"{\"sleep\": {\"::duration\": [-9223372036856, 0]}}", NEWT_ECLASS, "out of range"},
    {"{\"sleep\": {\"::us\": 1}}", NEWT_ECLASS, "is time in its record, but duration"},
    {"{\"owner\": 5}", NEWT_ECLASS, "but ref"},
    {"{\"owner\": {\"::~>\": 5}}", NEWT_ECLASS, "is weak in its record, but ref"},
    {"{\"owner\": {\"::tag\": [38401, [1, 2]]}}", NEWT_ECLASS, "reference to another store"},
    {"{\"chip\": \"x\"}", NEWT_ECLASS, "but uuid"},
    {"{\"price\": 1}", NEWT_ECLASS, "but decimal"},
    {"{\"price\": 1.5}", NEWT_ECLASS, "but decimal"},
    {"{\"tame\": 1}", NEWT_ECLASS, "but bool"},
    {"{\"photo\": \"x\"}", NEWT_ECLASS, "but bytes"},
    {"{\"paw\": []}", NEWT_ECLASS, "but struct"},
    {"{\"paw\": {\"claws\": \"x\"}}", NEWT_ECLASS, "field \"paw.claws\" of Cat 7"},
    {"{\"paw\": {\"::object\": [\"Paw\", 0, {}]}}", NEWT_ECLASS, "a value of a class"},
    {"{\"paw\": {\"::id\": 0}}", NEWT_ECLASS, "a shared value"},
    {"{\"toys\": \"x\"}", NEWT_ECLASS, "is text in its record, but list"},
    {"{\"toys\": {\"::set\": []}}", NEWT_ECLASS, "is set in its record, but list"},
    {"{\"toys\": [\"a\", 1]}", NEWT_ECLASS, "field \"toys[1]\" of Cat 7 is int"},
    {"{\"marks\": [1]}", NEWT_ECLASS, "is list in its record, but set"},
    {"{\"foods\": []}", NEWT_ECLASS, "but map"},
    {"{\"foods\": {\"fish\": 1}}", NEWT_ECLASS, "field \"foods[0]\" of Cat 7 is int"},
    {"{\"foods\": {\"::pairs\": [[1, 1.5]]}}", NEWT_ECLASS, "field \"foods[0]\" of Cat 7"},
    {"{\"years\": {\"a\": \"b\"}}", NEWT_ECLASS, "is a map in its record, but pairs"},
    {"{\"years\": {\"::pairs\": [[\"a\", \"b\"]]}}", NEWT_ECLASS, "field \"years[0]\" of Cat 7"},
    {"{\"paws\": [{}, {\"claws\": null}, {\"claws\": \"x\"}]}", NEWT_ECLASS,
     "field \"paws[2].claws\" of Cat 7"},
    {"{\"extras\": {\"::->\": 0}, \"aaa\": {\"::id\": 0}}", NEWT_ECLASS,
     "field \"extras\" of Cat 7 refers to a value that another field shares"},
    {"[1]", NEWT_ECLASS, "Cat 7 has a state that is list, not a map"},
    {"\"x\"", NEWT_ECLASS, "has a state that is text"},
    {"{\"::id\": 0, \"name\": \"a\"}", NEWT_ECLASS, "has a state that is a shared value"},
    {"{\"name\": {\"::tag\": [6, \"a\"]}}", NEWT_ECLASS, "a value with an unknown tag"},
};

static void
every_misfit(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(misfits); i++) {
        newt__header *h = load_json(2, misfits[i].state);
        json_t *as_bag, *want;
        const newt_bag *b;

        if (!h->bag || read_cat())
            fail_msg("loaded: %s", misfits[i].state);
        assert_error(newt_conn_error(&o.c), misfits[i].status, misfits[i].words);
        assert_null(cat_write(&o.c, cat_of((newt_ref){7})));
        assert_error(newt_conn_error(&o.c), misfits[i].status, misfits[i].words);
        assert_int_equal(newt_error_oid(newt_conn_error(&o.c)), 7);
        assert_string_equal(newt_class_name(&o.c, (newt_ref){7}), "Cat");

        /* nothing is lost: it can be read as a bag, and not be written as one */
        b = newt_bag_read(&o.c, (newt_ref){7});
        assert_non_null(b);
        as_bag = newt_bag_state(b);
        want = json_loads(misfits[i].state, JSON_DECODE_ANY, NULL);
        assert_true(json_equal(as_bag, want));
        json_decref(as_bag);
        json_decref(want);
        assert_null(newt_bag_write(&o.c, (newt_ref){7}));
        assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "has a table");
        offline_abort(&o);
    }
}

static void
what_fits(void **state)
{
    const struct cat *c;

    (void)state;
    /* widened without loss; null is null or zero; what is missing is too */
    load_json(2,
              "{\"lives\": -128, \"kittens\": 255, \"weight\": 0.5, \"length\": {\"::f32\": 1.5},"
              " \"name\": null, \"tame\": null, \"toys\": null, \"foods\": null, \"paw\": null}");
    c = read_cat();
    assert_non_null(c);
    assert_int_equal(c->lives, -128);
    assert_int_equal(c->kittens, 255);
    assert_true(c->weight == 0.5f && c->length == 1.5);
    assert_null(c->name.s);
    assert_int_equal(c->toys.n, 0);
    assert_true(c->fed.us == NEWT_TIME_NULL && c->born.days == NEWT_DATE_NULL);
    assert_int_equal(c->mood, CALM);

    /* the least and the greatest time and date */
    load_json(2,
              "{\"fed\": {\"::us\": -9223372036854775807}, \"born\": {\"::days\": -2147483647}}");
    assert_true(read_cat()->fed.us == INT64_MIN + 1);
    assert_true(read_cat()->born.days == INT32_MIN + 1);
    load_json(2, "{\"sleep\": {\"::duration\": -9223372036854775808}}");
    assert_true(read_cat()->sleep.us == INT64_MIN);

    /* a map with a key that is not UTF-8 is in order in C */
    load_json(2, "{\"foods\": {\"::pairs\": [[\"long\", 1.0], [\"b\", 2.0], [{\"::raw\": "
                 "\"/w==\"}, 3.0]]}}");
    c = read_cat();
    assert_int_equal(c->foods.n, 3);
    assert_string_equal(c->foods.items[0].key.s, "b");
    assert_string_equal(c->foods.items[1].key.s, "\xff");
    assert_string_equal(c->foods.items[2].key.s, "long");
    assert_true(c->foods.items[2].value == 1.0);
}

/* ---- fields that the table lacks --------------------------------------------------------- */

static json_t *
state_after_commit(void)
{
    const newt_bag *b;
    json_t *got;

    offline_commit(&o, 77);
    b = newt_bag_read(&o.c, (newt_ref){7});
    assert_non_null(b);
    got = newt_bag_state(b);
    offline_abort(&o);
    return got;
}

/* They are kept and written again, in their places. */
static void
unknown_fields(void **state)
{
    static const char *const extras =
        "{\"a\": [1, {\"::=>\": 5}], \"zz\": 2, \"name\": \"Tom\", \"tail\": {\"x\": 1},"
        " \"very long name of a field\": null}";
    struct cat *c;
    newt__header *h;
    json_t *got, *want = json_loads(extras, 0, NULL), *item;
    const char *key;
    bool same;

    (void)state;
    for (int debug = 0; debug < 2; debug++) {
        o.db.options.debug = debug;
        h = load_json(2, extras);
        assert_false(h->bag);
        for (int round = 0; round < 3; round++) {
            c = cat_write(&o.c, cat_of((newt_ref){7}));
            assert_non_null(c);
            newt_set(c, must, "present");
            c->lives = (int8_t)round;
            got = state_after_commit();
            json_object_foreach(want, key, item)
                assert_true(json_equal(json_object_get(got, key), item));
            assert_int_equal(json_integer_value(json_object_get(got, "lives")), round);
            json_decref(got);
        }
        /* and the same state is still the same record */
        c = cat_write(&o.c, cat_of((newt_ref){7}));
        assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(c), &same), NEWT_OK);
        assert_true(same);
        offline_abort(&o);
    }
    json_decref(want);
}

/* In a struct inside, there is no place to keep them: such an object can be read only. */
static void
unknown_fields_inside(void **state)
{
    static const char *const states[] = {"{\"paw\": {\"claws\": 3, \"fur\": 1}}",
                                         "{\"paws\": [{\"claws\": 3}, {\"fur\": 1}]}",
                                         /* and what numbers shared values cannot be kept either */
                                         "{\"tail\": {\"::id\": 0}}"};

    (void)state;
    for (size_t i = 0; i < LENGTH(states); i++) {
        load_json(2, states[i]);
        assert_non_null(read_cat());
        assert_null(cat_write(&o.c, cat_of((newt_ref){7})));
        assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "Cat 7 can only be read");
        assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "class table");
        assert_null(cat_edit(read_cat()));
        assert_int_equal(newt_delete(&o.c, (newt_ref){7}), NEWT_OK);
        offline_abort(&o);
    }
}

/* ---- required ---------------------------------------------------------------------------- */

static void
required(void **state)
{
    struct cat *c;
    bool same;

    (void)state;
    /* an object that lacks it can be read, and marked; but not be saved */
    load_json(2, "{\"name\": \"Tom\"}");
    assert_non_null(read_cat());
    c = cat_write(&o.c, cat_of((newt_ref){7}));
    assert_non_null(c);
    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(c), &same), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "field \"must\" of Cat 7 is null, but required");
}

/* ---- versions ---------------------------------------------------------------------------- */

/* What fits can be read; nothing can be changed. */
static void
newer_version(void **state)
{
    static const char *const newer =
        "{\"name\": \"Tom\", \"lives\": \"nine\", \"mood\": \"sleepy\", "
        "\"fur\": 1, \"paw\": {\"claws\": 3, \"fur\": 1}}";
    json_t *got, *want = json_loads(newer, 0, NULL);
    const struct cat *c;
    const newt_bag *b;
    newt__header *h = load_json(3, newer);

    (void)state;
    assert_false(h->bag);
    c = read_cat();
    assert_non_null(c);
    assert_string_equal(c->name.s, "Tom");
    assert_int_equal(c->lives, 0);
    assert_int_equal(c->mood, CALM);
    assert_int_equal(c->paw.claws, 3);
    assert_null(cat_write(&o.c, cat_of((newt_ref){7})));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS,
                 "Cat 7 can only be read: it was written with version 3 of its class, which is "
                 "newer than this program's version 2");
    assert_string_equal(newt_error_class(newt_conn_error(&o.c)), "Cat");
    assert_null(cat_edit(c));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "Cat 7 can only be read");

    /* as a bag it has all that its record has */
    b = newt_bag_read(&o.c, (newt_ref){7});
    assert_non_null(b);
    got = newt_bag_state(b);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
    assert_null(newt_bag_write(&o.c, (newt_ref){7}));
    assert_int_equal(newt_delete(&o.c, (newt_ref){7}), NEWT_OK);
}

/* Without a hook: what has the same name and fits is loaded, the rest null. The object is saved
 * even if nothing else differs, and keeps what the table lacks. */
static void
older_version(void **state)
{
    struct cat *c;
    const struct cat *read;
    json_t *got;
    bool same;

    (void)state;
    load_json(1, "{\"name\": \"Tom\", \"lives\": \"nine\", \"toys\": [\"a\", 1, [[]]], \"old\": 1,"
                 " \"paw\": {\"claws\": 3, \"fur\": 1}, \"mood\": \"sleepy\", \"kittens\": 999,"
                 " \"foods\": {\"::pairs\": [[\"b\", 1.0], [1, 2.0]]}, \"must\": \"m\"}");
    read = read_cat();
    assert_non_null(read);
    assert_string_equal(read->name.s, "Tom");
    assert_int_equal(read->lives, 0);
    assert_int_equal(read->kittens, 0);
    assert_int_equal(read->toys.n, 0);
    assert_null(read->toys.items);
    assert_int_equal(read->foods.n, 0);
    assert_int_equal(read->paw.claws, 3);
    c = cat_edit(read);
    assert_non_null(c);
    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(c), &same), NEWT_OK);
    assert_false(same);
    got = state_after_commit();
    assert_int_equal(json_integer_value(json_object_get(got, "old")), 1);
    assert_null(json_object_get(json_object_get(got, "paw"), "fur"));
    assert_string_equal(json_string_value(json_object_get(got, "name")), "Tom");
    json_decref(got);
    assert_non_null(read_cat());
}

/* ---- upgrade hooks ----------------------------------------------------------------------- */

static int hook_status;
static bool hook_fails, hook_ran;

static int
upgrade(int32_t from, const newt_record *record, void *object, void *arg)
{
    struct cat *c = object;
    json_t *old = newt_record_get(record, "lives"), *none = newt_record_get(record, "nobody");

    hook_ran = true;
    assert_int_equal(from, 1);
    assert_ptr_equal(arg, &hook_status);
    assert_null(none);
    assert_null(newt_conn_of((newt_object *)c));
    assert_string_equal(c->name.s, "Tom");
    assert_null(newt_edit((newt_object *)c));
    if (old) {
        assert_string_equal(json_string_value(old), "nine");
        c->lives = 9;
        json_decref(old);
    }
    newt_set(c, must, "upgraded");
    newt_append(c, paws, (struct paw){5});
    if (hook_fails)
        newt_text_setn(cat_obj(c), &c->name, NULL, 3);
    return hook_status;
}

static const newt_hooks hooks = {.size = sizeof hooks, .upgrade = upgrade, .arg = &hook_status};
static const newt_field cat_fields[] = {FIELDS};
static const newt_class upgrading = {.class_size = sizeof(newt_class),
                                     .field_size = sizeof(newt_field),
                                     .size = sizeof(C),
                                     .name = "Cat",
                                     .version = 2,
                                     .n_fields = LENGTH(cat_fields),
                                     .fields = cat_fields,
                                     .hooks = &hooks};
static const newt_class *const upgrading_classes[] = {&upgrading, NULL};

static int
start_upgrading(void **state)
{
    (void)state;
    offline_open(&o, upgrading_classes);
    hook_status = 0;
    hook_fails = hook_ran = false;
    return 0;
}

static void
upgrading_objects(void **state)
{
    static const char *const old = "{\"name\": \"Tom\", \"lives\": \"nine\"}";
    const struct cat *c;
    newt__header *h;

    (void)state;
    h = load_json(1, old);
    assert_false(h->bag);
    c = newt_read(&o.c, (newt_ref){7}, &upgrading);
    assert_int_equal(c->lives, 9);
    assert_string_equal(c->must.s, "upgraded");
    assert_int_equal(c->paws.items[0].claws, 5);
    assert_int_equal(newt_status(&o.c), NEWT_OK);

    /* saved as it is now, and not upgraded again */
    assert_non_null(newt_write(&o.c, (newt_ref){7}, &upgrading));
    offline_commit(&o, 3);
    hook_ran = false;
    c = newt_read(&o.c, (newt_ref){7}, &upgrading);
    assert_int_equal(c->lives, 9);
    assert_false(hook_ran);
    assert_int_equal(newt__cache_find(&o.c.jar.cache, 7)->serial, 3);

    /* a record of this version is not upgraded */
    load_json(2, "{\"name\": \"Jerry\"}");
    assert_false(hook_ran);
}

static void
failing_upgrades(void **state)
{
    static const char *const old = "{\"name\": \"Tom\"}";
    const newt_bag *b;
    newt__header *h;

    (void)state;
    hook_status = 42;
    h = load_json(1, old);
    assert_true(h->bag);
    assert_null(newt_read(&o.c, (newt_ref){7}, &upgrading));
    assert_error(newt_conn_error(&o.c), 42, "Cat 7 could not be upgraded from version 1 to 2");
    assert_int_equal(o.c.jar.base.phase, NEWT__OPEN);

    hook_status = 0;
    hook_fails = true;
    assert_null(newt_read(&o.c, (newt_ref){7}, &upgrading));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "field \"name\" of Cat 7 was given no bytes");
    assert_int_equal(o.c.jar.base.phase, NEWT__OPEN);

    /* as soon as it works, the object is there; but not in the place of a bag that is in use */
    hook_fails = false;
    b = newt_bag_read(&o.c, (newt_ref){7});
    assert_non_null(b);
    assert_null(newt_read(&o.c, (newt_ref){7}, &upgrading));
    assert_error(newt_conn_error(&o.c), NEWT_EBUSY, "newt_bag_done");
    newt_bag_done(b);
    assert_int_equal(newt_read_current(&o.c, (newt_ref){7}), NEWT_OK);
    assert_non_null(newt_read(&o.c, (newt_ref){7}, &upgrading));
    assert_int_equal(newt_read_current(&o.c, (newt_ref){7}), NEWT_OK);
    assert_int_equal(o.c.jar.n_current, 1); /* still once */
    assert_non_null(newt_write(&o.c, (newt_ref){7}, &upgrading));
}

/* ---- size in memory ---------------------------------------------------------------------- */

/* A byte of the record that becomes 64 kB in memory, often enough for more than there may be. */
struct wide {
    int32_t n;
    char padding[65524];
};
struct hall {
    NEWT_ARRAY(struct wide) items;
};
NEWT_DECLARE(wide);
NEWT_DECLARE(hall);
NEWT_CLASS(wide, "Wide", 0, NULL, NEWT_FIELD(struct wide, n));
NEWT_CLASS(hall, "Hall", 0, NULL, NEWT_STRUCTS(struct hall, items, wide));

static void
too_large_for_memory(void **state)
{
    static const newt_class *const halls[] = {&hall_class, NULL};
    enum {
        N = UINT32_MAX / sizeof(struct wide) + 1
    };
    newt__writer w = {0};
    long calls;

    (void)state;
    offline_open(&o, halls);
    w.buf.env = &o.c.jar.coder.env;
    newt__write_begin(&w, "Hall", 4, 0);
    newt__write_map(&w, 1);
    newt__write_text(&w, "items", 5);
    newt__write_array(&w, N);
    for (int i = 0; i < N; i++)
        newt__write_map(&w, 0);
    assert_int_equal(newt__write_end(&w), NEWT__OK);
    calls = o.calls;
    assert_true(load(&o, 7, w.buf.data, w.buf.n)->bag);
    assert_null(hall_read(&o.c, hall_of((newt_ref){7})));
    assert_error(newt_conn_error(&o.c), NEWT_ELIMIT,
                 "field \"items\" of Hall 7 has too many items");
    assert_true(o.calls - calls < 20);
    newt__writer_free(&w);
    offline_close(&o);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_misfit),
        TEST(what_fits),
        TEST(unknown_fields),
        TEST(unknown_fields_inside),
        TEST(required),
        TEST(newer_version),
        TEST(older_version),
        cmocka_unit_test(too_large_for_memory),
        cmocka_unit_test_setup_teardown(upgrading_objects, start_upgrading, stop),
        cmocka_unit_test_setup_teardown(failing_upgrades, start_upgrading, stop),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_evolution", tests, NULL, NULL);
}
