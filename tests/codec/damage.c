/*
 * damage.c - records cut at every byte, with every byte changed to every other, with bytes put in
 * and taken out
 *
 * Whatever comes out of it keeps the properties: a fault with an offset in it, or a record that is
 * written again with the same bytes.
 */
#include "check.h"
#include "../generate.h"
#include "../properties.h"

/* Every kind, in small records, so that all changes of all bytes are soon tried. */
static const char *const samples[] = {
    "a4 61 61 1903e8 61 62 3903e7 61 63 fb3ff199999999999a 61 64 fa3dcccccd",
    "85 f4 f5 f6 c249010000000000000000 c349010000000000000000",
    "83 c48221196ab3 c4821a000f423f01 c48220c24901 0000000000000000",
    "a2 65 6f776e6572 d99601182a 65 7469746c65 66 66c3bce6b0b4",
    "83 62 6100 d996024361ff62 42 01ff",
    "82 d903e9a2011a514b67b0251a0007a120 d903eaa20120251a000f423f",
    "83 d864192b08 d86420 d82550f81d4fae7dec11d0a76500a0c91e6bf6",
    "d99601 82 63616263 07",
    "d90103 a4 01 61 61 20 f6 61 6b 80 81 01 d99603 f6",
    "d90102 84 02 19012c 61 61 81 f5",
    "d81c a2 61 61 d81c d81b 83 64 53746570 03 a1 61 78 d81d00 61 62 82 d81d01 d81d00",
    "a4 61 61 d99603 01 62 3a3a 02 63 3a3a3d 03 63 780079 04",
    "d99603 a1 61 61 c6 d9ea60 01",
    "98 19 (19 00)",
    "78 19 (18 61) 22",
};

static void
cut(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(samples); i++) {
        bytes record = record_of(samples[i]);
        assert_lossless(&env, record.p, record.n, samples[i]);
        assert_int_equal(properties_hold(record.p, record.n), NEWT__OK);
        for (size_t n = 0; n < record.n; n++) {
            newt__fault fault;
            properties_hold(record.p, n);
            newt__validate(&env, record.p, n, &fault);
            assert_fault(&fault, NEWT__MALFORMED, SIZE_MAX, n ? "cut short" : "empty", samples[i]);
        }
        free(record.p);
    }
}

static void
every_byte_to_every_other(void **state)
{
    (void)state;
    long valid = 0, all = 0;
    for (size_t i = 0; i < LENGTH(samples); i++) {
        bytes record = record_of(samples[i]);
        for (size_t at = 0; at < record.n; at++)
            for (unsigned change = 1; change < 256; change++) {
                record.p[at] ^= (uint8_t)change;
                valid += properties_hold(record.p, record.n) == NEWT__OK;
                all++;
                record.p[at] ^= (uint8_t)change;
            }
        free(record.p);
    }
    printf("# %ld of %ld are valid\n", valid, all);
    assert_true(valid > all / 20 && valid < all / 2);
}

static void
one_byte_more_or_less(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(samples); i++) {
        bytes record = record_of(samples[i]);
        uint8_t *other = malloc(record.n + 1);
        for (size_t at = 0; at < record.n; at++) {
            memcpy(other, record.p, at);
            memcpy(other + at, record.p + at + 1, record.n - at - 1);
            properties_hold(other, record.n - 1);
        }
        for (size_t at = 0; at <= record.n; at++) {
            static const uint8_t more[] = {0x00, 0x18, 0x41, 0x60, 0x81,
                                           0xa1, 0xc4, 0xd8, 0xf6, 0xff};
            memcpy(other, record.p, at);
            memcpy(other + at + 1, record.p + at, record.n - at);
            for (size_t k = 0; k < LENGTH(more); k++) {
                other[at] = more[k];
                newt__code code = properties_hold(other, record.n + 1);
                if (at == record.n)
                    assert_int_equal(code, NEWT__MALFORMED);
            }
        }
        free(other);
        free(record.p);
    }
}

/* Random records, damaged at random, several times each. */
static void
random_damage(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    generate g;
    long valid = 0, all = 0;
    generate_init(&g, generate_seed());
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(generate_record(&g, &w, "T"), NEWT__OK);
        for (int k = 0; k < 10; k++) {
            size_t at = (size_t)generate_below(&g, w.buf.n), n = w.buf.n;
            uint8_t was = w.buf.data[at];
            switch (generate_below(&g, 3)) {
            case 0: n = at; break;
            case 1: w.buf.data[at] ^= (uint8_t)(1u << generate_below(&g, 8)); break;
            default: w.buf.data[at] = (uint8_t)generate_u64(&g);
            }
            valid += properties_hold(w.buf.data, n) == NEWT__OK;
            all++;
            if (generate_below(&g, 2))
                w.buf.data[at] = was;
        }
    }
    printf("# %ld of %ld are valid\n", valid, all);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

static void
random_bytes(void **state)
{
    (void)state;
    generate g;
    uint8_t b[200];
    generate_init(&g, generate_seed());
    for (int i = 0; i < 50000; i++) {
        size_t n = (size_t)generate_below(&g, sizeof b);
        for (size_t k = 0; k < n; k++)
            b[k] = (uint8_t)generate_u64(&g);
        if (n > HEAD && generate_below(&g, 2))
            memcpy(b, "\x83\x61\x54\x01", HEAD);
        properties_hold(b, n);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut),
        cmocka_unit_test(every_byte_to_every_other),
        cmocka_unit_test(one_byte_more_or_less),
        cmocka_unit_test(random_damage),
        cmocka_unit_test(random_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
