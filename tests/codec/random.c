/*
 * random.c - random records over every kind keep every property
 *
 * NEWT_SOAK makes fifty times as many.
 */
#include "../brief.h"
#include "check.h"
#include "../generate.h"
#include "../properties.h"

static generate g;

static int
seed(void **state)
{
    (void)state;
    generate_init(&g, generate_seed());
    return 0;
}

static void
rounds(long n, uint32_t depth, uint32_t items, uint32_t text, uint32_t rarity)
{
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    uint64_t total = 0;
    g.max_depth = depth;
    g.max_items = items;
    g.max_bytes = text;
    g.rarity = rarity;
    n = getenv("NEWT_SOAK") ? 50 * n : brief() ? n / 3 : n;
    for (long i = 0; i < n; i++) {
        uint64_t before = g.state;
        if (generate_record(&g, &w, NULL) != NEWT__OK)
            fail_msg("record %ld (state %llu) is refused: %s", i, (unsigned long long)before,
                     w.fault.reason);
        assert_int_equal(properties_hold(w.buf.data, w.buf.n), NEWT__OK);
        total += w.buf.n;
    }
    printf("# %ld records, %llu bytes\n", n, (unsigned long long)total);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

static void
usual(void **state)
{
    (void)state;
    rounds(5000, 6, 60, 64, 12);
}

static void
hostile(void **state)
{
    (void)state;
    rounds(5000, 8, 40, 300, 2);
}

static void
large(void **state)
{
    (void)state;
    rounds(300, 12, 2000, 400, 30);
}

static void
deep(void **state)
{
    (void)state;
    rounds(300, NEWT__MAX_DEPTH, 2000, 16, 12);
}

/* The same seed gives the same records, or a seed in a report is worth nothing. */
static void
same_seed_same_records(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer a = {.buf.env = &env}, b = {.buf.env = &env};
    generate one, two;
    generate_init(&one, 42);
    generate_init(&two, 42);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(generate_record(&one, &a, NULL), NEWT__OK);
        assert_int_equal(generate_record(&two, &b, NULL), NEWT__OK);
        assert_bytes(a.buf.data, a.buf.n, b.buf.data, b.buf.n, "record");
    }
    newt__writer_free(&a);
    newt__writer_free(&b);
    assert_int_equal(m.live, 0);
}

/* Every kind comes out of the generator, each of them often. */
static void
every_kind(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    long seen[NEWT__TAG + 1] = {0}, hidden = 0, shared = 0, states = 0;
    g.max_depth = 6;
    g.max_items = 60;
    g.max_bytes = 64;
    g.rarity = 12;
    for (int i = 0; i < 3000; i++) {
        newt__reader r;
        newt__token t;
        assert_int_equal(generate_record(&g, &w, "T"), NEWT__OK);
        assert_int_equal(newt__read_begin(&r, &env, w.buf.data, w.buf.n), NEWT__OK);
        do {
            assert_int_equal(newt__read(&r, &t), NEWT__OK);
            seen[t.kind]++;
            hidden += t.hidden;
            shared += t.shared;
            states += t.hidden && r.depth <= 1;
        } while (t.kind != NEWT__END || r.depth > 0);
    }
    for (int k = 0; k <= NEWT__TAG; k++)
        if (seen[k] < 30)
            fail_msg("kind %d came %ld times", k, seen[k]);
    assert_true(hidden > 100);
    assert_true(shared > 100);
    assert_true(states > 10);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual),
        cmocka_unit_test(hostile),
        cmocka_unit_test(large),
        cmocka_unit_test(deep),
        cmocka_unit_test(same_seed_same_records),
        cmocka_unit_test(every_kind),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("random", tests, seed, NULL);
}
