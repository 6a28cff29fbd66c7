/*
 * object_roundtrip.c - struct -> record -> struct, over every kind and shape
 */
#include "../brief.h"
#include "everything.h"

/* What a record says comes back with the same bytes, as a struct and as a bag; its JSON is that of
 * the codec alone; damage to it is an error or another valid object, never a crash. */
static void
random_objects(void **state)
{
    const int n_objects = brief() ? 500 : 1500;
    generate g;
    offline o;
    char what[64];

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    for (int i = 0; i < n_objects; i++) {
        struct everything *e = newt_new(&o.c, &everything_class);
        newt__header *h;
        uint8_t *record, *again;
        size_t n, n_again;

        everything_fill(&g, e);
        e->scratch = 17;
        if (newt_status(&o.c) != NEWT_OK)
            fail_msg("object %d: %s", i, newt_error_message(&o.c.jar.base.error));
        record = record_of(&o, e, &n);
        snprintf(what, sizeof what, "object %d", i);

        h = load(&o, 7, record, n);
        if (h->bag)
            fail_msg("%s is broken: %s", what,
                     newt_read(&o.c, (newt_ref){7}, &everything_class)
                         ? "?"
                         : newt_error_message(&o.c.jar.base.error));
        assert_int_equal(((struct everything *)newt__object_of(h))->scratch, 0);
        assert_null(h->chunks);
        again = record_of(&o, newt__object_of(h), &n_again);
        assert_bytes(again, n_again, record, n, what);
        free(again);

        offline_commit(&o, 1);
        e = newt_write(&o.c, (newt_ref){1024 + i}, &everything_class);
        again = record_of(&o, e, &n_again);
        assert_bytes(again, n_again, record, n, "after commit");
        free(again);
        free(record);
        newt__cache_clear(&o.c.jar);
    }
    offline_close(&o);
}

/* Records cut at every byte, and with bytes changed. */
static void
damaged_records(void **state)
{
    generate g;
    offline o;
    struct everything *e;
    uint8_t *record, *copy;
    size_t n, loaded = 0, broken = 0;

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    for (int i = 0; i < 8; i++) {
        e = newt_new(&o.c, &everything_class);
        everything_fill(&g, e);
        record = record_of(&o, e, &n);
        for (size_t cut = 0; cut < n; cut += 1 + n / 1500) {
            newt__header *h = load(&o, 7, record, cut);

            assert_true(h->bag);
            assert_null(newt_read(&o.c, (newt_ref){7}, &everything_class));
            assert_int_equal(newt_status(&o.c), NEWT_EBROKEN);
            assert_null(newt_bag_read(&o.c, (newt_ref){7}));
            assert_int_equal(newt_status(&o.c), NEWT_EBROKEN);
            assert_int_equal(newt_delete(&o.c, (newt_ref){7}), NEWT_OK);
            offline_abort(&o);
        }
        copy = malloc(n);
        for (int j = 0; j < 1500; j++) {
            const newt_bag *bag;

            memcpy(copy, record, n);
            for (uint64_t k = 1 + generate_below(&g, 3); k > 0; k--)
                copy[generate_below(&g, n)] = (uint8_t)generate_u64(&g);
            if (load(&o, 7, copy, n)->bag) {
                broken++;
                assert_null(newt_read(&o.c, (newt_ref){7}, &everything_class));
            } else {
                size_t n_again;
                uint8_t *again = record_of(&o, newt__object_of(newt__cache_find(&o.c.jar.cache, 7)),
                                           &n_again);

                loaded++;
                free(again);
            }
            bag = newt_bag_read(&o.c, (newt_ref){7});
            newt_bag_done(bag);
            newt__cache_remove(&o.c.jar, 7);
        }
        free(copy);
        free(record);
    }
    print_message("# of the changed records %zu could be loaded, %zu not\n", loaded, broken);
    assert_true(loaded > 0 && broken > 0);
    offline_close(&o);
}

/* An object that is loaded takes one block and, but for what must be kept, no record. */
static void
compact(void **state)
{
    generate g;
    offline o;
    struct everything *e;
    uint8_t *record;
    size_t n, bytes;
    long live;

    (void)state;
    generate_init(&g, 1);
    offline_open(&o, everything_classes);
    e = newt_new(&o.c, &everything_class);
    everything_fill(&g, e);
    record = record_of(&o, e, &n);
    load(&o, 7, record, n);
    live = o.live;
    bytes = o.c.jar.cache.bytes;
    load(&o, 8, record, n);
    assert_int_equal(o.live, live + 1);
    assert_int_equal(o.c.jar.cache.bytes - bytes,
                     newt__header_bytes(newt__cache_find(&o.c.jar.cache, 8)));
    newt__cache_remove(&o.c.jar, 8);
    assert_int_equal(o.c.jar.cache.bytes, bytes);

    /* what it was loaded from is there again when it is changed */
    e = newt_write(&o.c, (newt_ref){7}, &everything_class);
    assert_bytes(newt__header_of(e)->record, newt__header_of(e)->record_n, record, n, "record");
    offline_abort(&o);

    o.db.options.debug = true;
    assert_non_null(load(&o, 7, record, n)->record);
    free(record);
    newt__cache_clear(&o.c.jar);
    assert_int_equal(o.c.jar.cache.bytes, 0);
    offline_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_objects),
        cmocka_unit_test(damaged_records),
        cmocka_unit_test(compact),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_roundtrip", tests, NULL, NULL);
}
