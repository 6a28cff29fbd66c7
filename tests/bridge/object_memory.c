/*
 * object_memory.c - every allocation fails once: the status is NEWT_ENOMEM, nothing is lost or
 * leaked, and the connection works afterwards
 */
#include "everything.h"

static offline o;
static uint8_t *record;
static size_t n_record;
static json_t *sample;

/* jansson's memory counts and fails with ours. */
static void *
json_memory(size_t n)
{
    return offline_realloc(&o, NULL, n);
}

static void
json_memory_free(void *p)
{
    offline_free(&o, p);
}

/* The objects' own errors are the connection's; a doomed transaction is ended. */
static void
assert_no_memory(const char *what, long at)
{
    if (newt_status(&o.c) != NEWT_ENOMEM)
        fail_msg("%s, allocation %ld: %s \"%s\"", what, at, newt_status_text(newt_status(&o.c)),
                 newt_error_message(&o.c.jar.base.error));
}

/* Runs step with the first, second, ... allocation failing, until it succeeds. */
static void
fail_each(const char *what, bool (*prepare)(void), bool (*step)(void))
{
    for (long at = 1;; at++) {
        bool ok;

        newt__cache_clear(&o.c.jar);
        newt__writer_free(&o.c.jar.coder.writer);
        newt__buffer_free(&o.c.jar.coder.scratch);
        newt__buffer_free(&o.c.jar.coder.image);
        newt__buffer_free(&o.c.jar.coder.fixups);
        if (prepare && !prepare())
            fail_msg("%s: cannot be prepared: %s", what, newt_error_message(&o.c.jar.base.error));
        newt__writer_free(&o.c.jar.coder.writer);
        newt__buffer_free(&o.c.jar.coder.scratch);
        newt__buffer_free(&o.c.jar.coder.image);
        newt__buffer_free(&o.c.jar.coder.fixups);
        o.calls = 0;
        o.fail_at = at;
        ok = step();
        o.fail_at = 0;
        if (!ok)
            assert_no_memory(what, at);
        offline_abort(&o);
        if (ok) {
            print_message("# %s: %ld allocations\n", what, at - 1);
            assert_true(at > 1);
            return;
        }
        assert_true(at < 100000);
    }
}

/* ---- steps --------------------------------------------------------------------------------- */

static bool
load_record(void)
{
    return newt__object_load(&o.c.jar, 7, 70, record, n_record, NULL) == NEWT_OK;
}

static bool
load_and_read(void)
{
    const struct everything *e;

    if (!load_record())
        return false;
    e = newt_read(&o.c, (newt_ref){7}, &everything_class);
    return e && newt__header_of(e)->serial == 70;
}

static bool
write_object(void)
{
    struct everything *e = newt_write(&o.c, (newt_ref){7}, &everything_class);

    return e && newt_set(e, text, "changed") == NEWT_OK;
}

static bool
make_object(void)
{
    generate g;
    struct everything *e = newt_new(&o.c, &everything_class);

    generate_init(&g, 5);
    if (!e)
        return false;
    /* the filler does not expect failures; these are its setters */
    newt_set(e, text, "text");
    newt_bytes_set((newt_object *)e, &e->bytes, "bytes", 5);
    newt_decimal_set((newt_object *)e, &e->decimal, "12345678901234567890.5");
    for (int i = 0; i < 100; i++)
        newt_append(e, longs, (uint64_t)i);
    for (int i = 0; i < 20; i++) {
        char key[16];

        snprintf(key, sizeof key, "key%d", i * 7 % 20);
        newt_map_put_((newt_object *)e, &e->weights, sizeof *e->weights.edit_,
                      offsetof(__typeof__(*e->weights.edit_), value), key, strlen(key));
    }
    return newt_status(&o.c) == NEWT_OK;
}

static bool
set_json(void)
{
    struct everything *e = newt_new(&o.c, &everything_class);
    int status = e ? newt_json_set((newt_object *)e, &e->json, sample) : NEWT_ENOMEM;

    return status == NEWT_OK;
}

static const char json_text[] =
    "{\"a\": [1.50, \"\\u00e9\", 123456789012345678901234567890], \"a\": {\"b\": {}}}";

static bool
set_json_text(void)
{
    struct everything *e = newt_new(&o.c, &everything_class);
    int status = e ? newt_json_set_text((newt_object *)e, &e->json, json_text, SIZE_MAX)
                   : NEWT_ENOMEM;

    return status == NEWT_OK;
}

static bool
encode_object(void)
{
    newt__header *h = newt__cache_find(&o.c.jar.cache, 7);

    return newt__object_encode(&o.c.jar, h, NULL) == NEWT_OK;
}

static bool
load_and_write(void)
{
    return load_record() && write_object();
}

/* Commit itself cannot fail any more: what there is no memory for becomes a ghost. */
static bool
commit(void)
{
    newt__header *h;

    newt__object_encode(&o.c.jar, newt__cache_find(&o.c.jar.cache, 7), NULL);
    if (newt_status(&o.c) != NEWT_OK)
        return false;
    newt__cache_find(&o.c.jar.cache, 7)->written = true;
    newt__objects_committed(&o.c.jar, 71);
    h = newt__cache_find(&o.c.jar.cache, 7);
    if (!h) {
        newt__fail_memory(&o.c.jar.base.error); /* a ghost, for fail_each to go on */
        return false;
    }
    assert_int_equal(h->state, NEWT__UPTODATE);
    assert_int_equal(h->serial, 71);
    return true;
}

static bool
bag_of_object(void)
{
    const newt_bag *b = newt_bag_read(&o.c, (newt_ref){7});
    json_t *state;

    if (!b)
        return false;
    state = newt_bag_state(b);
    json_decref(state);
    return state != NULL;
}

static bool
load_bag(void)
{
    static const uint8_t bag[] = "\x83\x63"
                                 "Bag\x00\xa3\x61"
                                 "a\xc4\x82\x21\x18\x96\x61"
                                 "b\x43\x00\x01\x02\x64::::\xa1\x62\x00\x00\x01";

    return newt__object_load(&o.c.jar, 8, 80, bag, sizeof bag - 1, NULL) == NEWT_OK;
}

static bool
write_bag(void)
{
    newt_bag *b = newt_bag_write(&o.c, (newt_ref){8});
    json_t *value = json_integer(1);
    bool ok = b && newt_bag_set(b, "x", value) == NEWT_OK && newt_bag_delete(b, "a") == NEWT_OK &&
              newt__object_encode(&o.c.jar, newt__header_of(b), NULL) == NEWT_OK;

    if (ok) {
        json_t *got = newt_bag_get(b, "x");

        ok = got != NULL;
        json_decref(got);
    }
    json_decref(value);
    return ok;
}

static bool
bag_text(void)
{
    newt_bag *b = newt_bag_write(&o.c, (newt_ref){8});
    char *text = NULL;

    if (b && newt_bag_set_text(b, "x", json_text, SIZE_MAX) == NEWT_OK)
        text = newt_bag_get_text(b, "x", NULL);
    free(text);
    return text != NULL;
}

static bool
new_bag(void)
{
    return newt_bag_new(&o.c, "Another") != NULL;
}

static bool
project(void)
{
    newt__buffer out = {.env = &o.c.jar.coder.env};
    bool hidden;
    int status = newt__object_project(&o.c.jar, 7, record, n_record, &out, &hidden, NULL);

    newt__buffer_free(&out);
    return status == NEWT_OK;
}

static int
to_json(const void *object, json_t *json, void *arg)
{
    (void)object, (void)arg;
    json_object_set_new(json, "more", json_integer(1));
    return 0;
}
static const newt_hooks hooks = {.size = sizeof hooks, .to_json = to_json};

/* With a to_json class instead. */
static bool
project_reshaped(void)
{
    newt__class *k = (newt__class *)(uintptr_t)newt__class_find(o.db.classes, &everything_class);
    bool ok;

    k->hooks = hooks;
    ok = project();
    k->hooks.to_json = NULL;
    return ok;
}

static bool
check_marks(void)
{
    return newt__marks_check(&o.c.jar) == NEWT_OK;
}

static bool
many_objects(void)
{
    for (int i = 0; i < 60; i++)
        if (!newt_new(&o.c, &thing_class))
            return false;
    return true;
}

/* ---- all of them --------------------------------------------------------------------------- */

static void
every_allocation(void **state)
{
    generate g;
    struct everything *e;

    (void)state;
    offline_open(&o, everything_classes);
    json_set_alloc_funcs(json_memory, json_memory_free);
    generate_init(&g, 11);
    sample = json_loads("{\"list\": [1, {\"::num\": \"123456789012345678901234567890\"},"
                        " {\"::b64\": \"AAAA\"}, {\"::set\": [1, 2]}],"
                        " \"shared\": {\"::id\": 0}, \"raw\": {\"::raw\": \"/w==\"}}",
                        0, NULL);
    assert_non_null(sample);
    e = newt_new(&o.c, &everything_class);
    everything_fill(&g, e);
    record = record_of(&o, e, &n_record);
    offline_abort(&o);

    fail_each("load", NULL, load_record);
    fail_each("load and read", NULL, load_and_read);
    fail_each("new and setters", NULL, make_object);
    fail_each("many new", NULL, many_objects);
    fail_each("newt_json_set", NULL, set_json);
    fail_each("newt_json_set_text", NULL, set_json_text);
    fail_each("write", load_record, write_object);
    fail_each("encode", load_and_write, encode_object);
    fail_each("commit", load_and_write, commit);
    fail_each("bag of an object", load_record, bag_of_object);
    fail_each("load a bag", NULL, load_bag);
    fail_each("write a bag", load_bag, write_bag);
    fail_each("text of a bag", load_bag, bag_text);
    fail_each("new bag", NULL, new_bag);
    fail_each("project", NULL, project);
    fail_each("project with to_json", NULL, project_reshaped);
    o.db.options.debug = true;
    fail_each("load in debug mode", NULL, load_record);
    fail_each("commit in debug mode", load_and_write, commit);
    fail_each("check of marks", load_and_read, check_marks);
    free(record);
    json_decref(sample);
    offline_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_memory", tests, NULL, NULL);
}
