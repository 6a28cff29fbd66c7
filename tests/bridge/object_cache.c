/*
 * object_cache.c - the limit of the cache: what leaves it, in which order, and comes back
 */
#include "everything.h"

/* Room for about n things of make_things; a limit in objects is exact. */
enum {
    THINGS = 40
};

static thing_ref
make_thing(offline *o, int n)
{
    struct thing *t = thing_new(&o->c);
    thing_ref r;

    assert_non_null(t);
    r = thing_id(t);
    t->n = n;
    newt_set(t, name, "a thing of the cache");
    thing_done(t);
    return r;
}

static void
make_things(offline *o, thing_ref *r, int n)
{
    for (int i = 0; i < n; i++)
        r[i] = make_thing(o, i);
}

static bool
cached(const offline *o, thing_ref r)
{
    return newt__cache_find(&o->c.jar.cache, r.any.oid) != NULL;
}

static newt_cache
figures(const offline *o)
{
    newt_cache s = {.size = sizeof s};

    newt_cache_stats(&o->c, &s);
    assert_int_equal(s.size, sizeof s);
    return s;
}

/* What is in the rings is what is in the table, each in the right one, by its last use. */
static void
check_rings(const offline *o)
{
    const newt__cache *cache = &o->c.jar.cache;
    const newt__ring *rings[] = {&cache->clean, &cache->changed, &cache->saved};
    size_t bytes = 0;

    assert_int_equal(cache->clean.n + cache->changed.n + cache->saved.n, cache->n);
    for (int i = 0; i < 3; i++) {
        const newt__header *older = NULL;
        size_t n = 0;

        for (const newt__header *h = rings[i]->oldest; h; older = h, h = h->newer, n++) {
            assert_ptr_equal(h->older, older);
            assert_int_equal(h->listed ? 1 : h->saved ? 2 : 0, i);
            assert_ptr_equal(newt__cache_find(cache, h->oid), h);
            if (older)
                assert_true((int32_t)(h->tick - older->tick) >= 0);
            bytes += newt__header_bytes(h);
        }
        assert_ptr_equal(rings[i]->newest, older);
        assert_int_equal(rings[i]->n, n);
    }
    assert_int_equal(cache->bytes, bytes);
}

/* ---- order ------------------------------------------------------------------------------- */

static void
least_recently_used(void **state)
{
    thing_ref r[THINGS], more;
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    make_things(&o, r, THINGS);
    offline_commit(&o, 1);
    o.db.options.cache_objects = THINGS;
    /* used again in another order: even ones last */
    for (int odd = 1; odd >= 0; odd--) {
        o.c.jar.tick++;
        for (int i = odd; i < THINGS; i += 2)
            thing_done(thing_read(&o.c, r[i]));
    }
    check_rings(&o);
    for (int i = 0; i < THINGS / 2; i++) {
        more = make_thing(&o, i);
        assert_true(cached(&o, more));
        assert_int_equal(o.c.jar.cache.n, THINGS);
        for (int k = 0; k < THINGS; k++)
            assert_int_equal(cached(&o, r[k]), k % 2 == 0 || k / 2 > i);
    }
    assert_int_equal(figures(&o).evicted, THINGS / 2);
    assert_int_equal(figures(&o).spilled, 0);
    check_rings(&o);
    offline_close(&o);
}

/* N objects fit, N + 1 do not; the one that has just come stays in any case. */
static void
limits(void **state)
{
    thing_ref r[3];
    offline o;
    size_t bytes;

    (void)state;
    offline_open(&o, everything_classes);
    make_things(&o, r, 2);
    bytes = (size_t)figures(&o).bytes;
    offline_abort(&o);
    assert_int_equal(o.c.jar.cache.n, 0);

    o.db.options.cache_bytes = bytes;
    make_things(&o, r, 2);
    assert_int_equal(figures(&o).bytes, bytes);
    assert_int_equal(figures(&o).evicted, 0);
    assert_int_equal(figures(&o).most_bytes, bytes);
    offline_abort(&o);
    o.db.options.cache_bytes = bytes - 1;
    make_things(&o, r, 2);
    /* the text of the second was set when it was in already */
    r[2] = make_thing(&o, 3);
    assert_true(figures(&o).evicted > 0);
    assert_true(cached(&o, r[2]));
    offline_abort(&o);

    o.db.options.cache_bytes = 1;
    make_things(&o, r, 3);
    assert_int_equal(o.c.jar.cache.n, 1);
    assert_true(cached(&o, r[2]));
    assert_int_equal(figures(&o).spilled, 2);
    assert_int_equal(thing_read(&o.c, r[0])->n, 0);
    assert_true(cached(&o, r[0]));
    offline_close(&o);
}

static void
pinned_ones_stay(void **state)
{
    enum {
        PINNED = 100
    };
    const struct thing *t[PINNED];
    thing_ref r;
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    o.db.options.cache_objects = 10;
    for (int i = 0; i < PINNED; i++) {
        t[i] = thing_read(&o.c, make_thing(&o, i));
        make_thing(&o, -1);
    }
    assert_int_equal(figures(&o).pinned, PINNED);
    for (int i = 0; i < PINNED; i++) {
        assert_int_equal(t[i]->n, i);
        assert_string_equal(t[i]->name.s, "a thing of the cache");
        assert_int_equal(newt__header_of(t[i])->pins, 1);
        thing_done(t[i]);
    }
    assert_int_equal(figures(&o).pinned, 0);
    for (int i = 0; i < PINNED; i++)
        r = make_thing(&o, i);
    assert_int_equal(o.c.jar.cache.n, 10);
    assert_true(cached(&o, r));
    check_rings(&o);
    offline_close(&o);
}

/* Room for ten, and ten times as many come. */
static void
press(offline *o)
{
    o->db.options.cache_objects = 10;
    for (int i = 0; i < 100; i++)
        make_thing(o, i);
    assert_int_equal(o->c.jar.cache.n, 10);
}

/* As many reads as dones, in any order, be the object known already (the short way through
 * newt_read) or not. */
static void
pins_are_counted(void **state)
{
    thing_ref x[3];
    const struct thing *a, *b, *c;
    offline o;

    (void)state;
    for (int known = 0; known < 2; known++) {
        offline_open(&o, everything_classes);
        make_things(&o, x, 3);
        offline_commit(&o, 1);
        for (int i = 0; known && i < 3; i++)
            thing_done(thing_read(&o.c, x[i]));
        a = thing_read(&o.c, x[0]);
        b = thing_read(&o.c, x[1]);
        c = thing_read(&o.c, x[2]);
        assert_ptr_equal(thing_read(&o.c, x[2]), c);
        assert_int_equal(figures(&o).pinned, 3);
        thing_done(b);
        thing_done(c);
        assert_int_equal(figures(&o).pinned, 2);
        press(&o);
        assert_true(cached(&o, x[0]));
        assert_false(cached(&o, x[1]));
        assert_true(cached(&o, x[2]));
        assert_int_equal(a->n, 0);
        assert_int_equal(c->n, 2);
        thing_done(a);
        assert_int_equal(figures(&o).pinned, 1);
        press(&o);
        assert_false(cached(&o, x[0]));
        assert_true(cached(&o, x[2]));
        thing_done(c);
        assert_int_equal(figures(&o).pinned, 0);
        press(&o);
        assert_false(cached(&o, x[2]));
        offline_close(&o);
    }
}

/* A transaction that ends takes its pins along; what is done with too late takes none away. */
static void
pins_end(void **state)
{
    thing_ref r[2];
    const struct thing *t[2];
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    make_things(&o, r, 2);
    offline_commit(&o, 1);
    for (int i = 0; i < 2; i++)
        for (int times = 0; times < 3; times++)
            t[i] = thing_read(&o.c, r[i]);
    assert_int_equal(figures(&o).pinned, 2);
    offline_abort(&o);
    assert_int_equal(figures(&o).pinned, 0);
    thing_done(t[0]);
    assert_int_equal(figures(&o).pinned, 0);
    assert_ptr_equal(thing_read(&o.c, r[0]), t[0]);
    assert_int_equal(figures(&o).pinned, 1);
    press(&o);
    assert_true(cached(&o, r[0]));
    assert_false(cached(&o, r[1]));
    thing_done(t[0]);
    press(&o);
    assert_false(cached(&o, r[0]));
    offline_close(&o);
}

/* Before the server has been asked, what was read must be known as used. */
static void
used_before_contact(void **state)
{
    thing_ref r[THINGS];
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    make_things(&o, r, THINGS);
    offline_commit(&o, 1);
    o.db.options.cache_objects = THINGS / 2;
    o.c.jar.base.phase = NEWT__LAZY;
    for (int i = 0; i < THINGS; i += 2)
        thing_done(thing_read(&o.c, r[i]));
    for (int i = 0; i < 3 * THINGS; i++)
        make_thing(&o, i);
    for (int i = 0; i < THINGS; i++)
        assert_int_equal(cached(&o, r[i]), i % 2 == 0);
    o.c.jar.base.phase = NEWT__OPEN;
    for (int i = 0; i < 3 * THINGS; i++)
        make_thing(&o, i);
    for (int i = 0; i < THINGS; i++)
        assert_false(cached(&o, r[i]));
    offline_close(&o);
}

/* ---- spilling ---------------------------------------------------------------------------- */

static bool
is_new(const newt__spilled *x)
{
    return x->state == NEWT__NEW;
}

/* Against a plain array: things that are made, changed, deleted and read in any order, with room
 * for a tenth of them. */
static void
spill_model(void **state)
{
    enum {
        N = 400,
        STEPS = 20000
    };
    static struct {
        thing_ref r;
        int n;
        bool there, deleted;
    } model[N];
    generate g;
    offline o;
    newt__spilled x, last = {0};
    const newt__header *h;
    size_t seen = 0, both = 0;
    bool fits = false;

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    memset(model, 0, sizeof model);
    for (int i = 0; i < N; i += 2) {
        model[i].r = make_thing(&o, i);
        model[i].n = i;
        model[i].there = true;
    }
    offline_commit(&o, 50);
    /* the store keeps what is clean: so that nothing of it is asked for, all of it is changed */
    for (int i = 0; i < N; i += 2) {
        struct thing *t = thing_write(&o.c, model[i].r);

        t->n = model[i].n = -1;
        thing_done(t);
    }
    o.db.options.cache_objects = N / 10;
    for (int step = 0; step < STEPS; step++) {
        size_t i = generate_below(&g, N);
        struct thing *t;

        if (!model[i].there) {
            model[i].r = make_thing(&o, step);
            model[i].n = step;
            model[i].there = true;
        } else if (model[i].deleted) {
            assert_null(thing_read(&o.c, model[i].r));
            assert_int_equal(newt_status(&o.c), NEWT_EMISSING);
            newt__error_clear(&o.c.jar.base.error);
        } else if (generate_below(&g, 50) == 0 && i % 2 == 0) {
            assert_int_equal(newt_delete(&o.c, model[i].r.any), NEWT_OK);
            model[i].deleted = true;
        } else if (generate_below(&g, 2) == 0) {
            t = thing_write(&o.c, model[i].r);
            assert_non_null(t);
            assert_int_equal(t->n, model[i].n);
            t->n = model[i].n = step;
            newt_set(t, name, step % 3 ? "short" : "a longer name than the one it had before");
            thing_done(t);
        } else {
            const struct thing *read = thing_read(&o.c, model[i].r);

            assert_non_null(read);
            assert_int_equal(read->n, model[i].n);
            thing_done(read);
        }
        /* from the first on that needs room */
        fits |= o.c.jar.cache.n <= N / 10;
        assert_true(o.c.jar.cache.n <= N / 10 || !fits);
        if (step % 1000 == 0)
            check_rings(&o);
    }
    assert_true(fits);
    /* none is lost, the file gives them in order, and what it has of one in the cache is as that
     * is, unless it is listed */
    newt__spill_rewind(o.c.jar.spill);
    while (newt__spilled_next(&o.c.jar, &x) == 1) {
        if (seen++)
            assert_true(is_new(&last) < is_new(&x) ||
                        (is_new(&last) == is_new(&x) && last.oid < x.oid));
        h = newt__cache_find(&o.c.jar.cache, x.oid);
        assert_true(!h || h->saved != h->listed);
        both += h && h->listed;
        assert_int_equal(x.serial, is_new(&x) ? 0 : 50);
        assert_int_equal(x.old_n == 0, is_new(&x));
        last = x;
    }
    assert_int_equal(seen, newt__spill_n(o.c.jar.spill));
    assert_int_equal(o.c.jar.cache.changed.n + seen - both, N);
    offline_abort(&o);
    assert_int_equal(newt__spill_n(o.c.jar.spill), 0);
    offline_close(&o);
}

/* Everything that a struct can hold, and bags, through the file and back. */
static void
spilled_whole(void **state)
{
    enum {
        N = 200
    };
    generate g;
    offline o;
    everything_ref r[N];
    newt_ref bags[N];
    uint8_t *records[N];
    size_t sizes[N];
    json_t *value = json_pack("{s:[i,{s:s}],s:f}", "a", 1, "b", "text", "c", 0.5);

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    o.db.options.cache_objects = 3;
    for (int i = 0; i < N; i++) {
        struct everything *e = everything_new(&o.c);
        newt_bag *b;

        everything_fill(&g, e);
        r[i] = everything_id(e);
        records[i] = record_of(&o, e, &sizes[i]);
        everything_done(e);
        b = newt_bag_new(&o.c, "Elsewhere");
        bags[i] = newt_bag_ref(b);
        assert_int_equal(newt_bag_set(b, "value", value), NEWT_OK);
        newt_bag_done(b);
    }
    assert_true(figures(&o).spilled >= 2 * N - 4);
    for (int i = N - 1; i >= 0; i--) {
        const struct everything *e = everything_read(&o.c, r[i]);
        const newt_bag *b = newt_bag_read(&o.c, bags[i]);
        json_t *back;
        uint8_t *again;
        size_t n;

        assert_non_null(e);
        assert_non_null(b);
        again = record_of(&o, e, &n);
        assert_bytes(again, n, records[i], sizes[i], "from the file");
        back = newt_bag_get(b, "value");
        assert_true(json_equal(back, value));
        json_decref(back);
        free(again);
        free(records[i]);
        everything_done(e);
        newt_bag_done(b);
        check_rings(&o);
    }
    json_decref(value);
    offline_close(&o);
}

/* Asked for writing and not changed: nothing to keep. */
static void
unchanged_is_not_spilled(void **state)
{
    thing_ref r[THINGS];
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    make_things(&o, r, THINGS);
    offline_commit(&o, 1);
    for (int i = 0; i < THINGS; i++)
        thing_done(thing_write(&o.c, r[i]));
    o.db.options.cache_objects = 1;
    make_thing(&o, 0);
    assert_int_equal(o.c.jar.cache.n, 1);
    assert_int_equal(newt__spill_n(o.c.jar.spill), 0);
    offline_close(&o);
}

/* Objects that their class cannot read, deleted: they stay deleted through the file. */
static void
deleted_and_broken(void **state)
{
    static const uint8_t newer[] = "\x83\x65Thing\x18\x63\xa1\x61n\x05"; /* of version 99 */
    static const uint8_t damaged[] = "\x83\x69"
                                     "Elsewhere\x00\xa1\x61n"; /* ends too early */
    const newt_ref r[2] = {{7}, {8}};
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    load(&o, 7, newer, sizeof newer - 1);
    load(&o, 8, damaged, sizeof damaged - 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(newt_delete(&o.c, r[i]), NEWT_OK);
    o.db.options.cache_objects = 1;
    make_thing(&o, 1);
    make_thing(&o, 2);
    for (int i = 0; i < 2; i++) {
        assert_null(newt_bag_read(&o.c, r[i]));
        assert_error(newt_conn_error(&o.c), NEWT_EMISSING, "has been deleted");
    }
    offline_close(&o);
}

/* In debug mode an object is compared when it leaves, as at commit. */
static void
forgotten_mark_is_found(void **state)
{
    thing_ref r[THINGS];
    const struct thing *t;
    offline o;

    (void)state;
    offline_open(&o, everything_classes);
    o.db.options.debug = true;
    make_things(&o, r, THINGS);
    offline_commit(&o, 1);
    t = thing_read(&o.c, r[0]);
    ((struct thing *)(uintptr_t)t)->n = 77;
    thing_done(t);
    o.db.options.cache_objects = 1;
    make_thing(&o, 0);
    assert_true(newt__base_is_over(&o.c.jar.base));
    assert_int_equal(o.c.jar.base.error.status, NEWT_EINVAL);
    assert_non_null(
        strstr(newt_error_message(&o.c.jar.base.error), "was changed without being asked"));
    offline_close(&o);
}

/* Memory fails at each place of spilling and coming back: the object is there, or the error. */
static void
no_memory(void **state)
{
    offline o;
    thing_ref r[8];

    (void)state;
    offline_open(&o, everything_classes);
    for (long at = 1;; at++) {
        long calls;
        const struct thing *t;

        o.db.options.cache_objects = 2;
        make_things(&o, r, 8);
        o.calls = 0;
        o.fail_at = at;
        t = thing_read(&o.c, r[0]);
        calls = o.calls;
        o.fail_at = 0;
        if (!t) {
            assert_int_equal(newt_status(&o.c), NEWT_ENOMEM);
            newt__error_clear(&o.c.jar.base.error);
        }
        for (int i = 0; i < 8; i++) {
            t = thing_read(&o.c, r[i]);
            assert_non_null(t);
            assert_int_equal(t->n, i);
            thing_done(t);
        }
        check_rings(&o);
        offline_abort(&o);
        if (calls < at)
            break;
    }
    offline_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_recently_used),
        cmocka_unit_test(limits),
        cmocka_unit_test(pinned_ones_stay),
        cmocka_unit_test(pins_are_counted),
        cmocka_unit_test(pins_end),
        cmocka_unit_test(used_before_contact),
        cmocka_unit_test(spill_model),
        cmocka_unit_test(spilled_whole),
        cmocka_unit_test(unchanged_is_not_spilled),
        cmocka_unit_test(deleted_and_broken),
        cmocka_unit_test(forgotten_mark_is_found),
        cmocka_unit_test(no_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_cache", tests, NULL, NULL);
}
