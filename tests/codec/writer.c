/*
 * writer.c - what the writer refuses, and what it promises about a writer used again
 */
#include "check.h"

static void
text(newt__writer *w, const char *s)
{
    newt__write_text(w, s, strlen(s));
}

static const uint8_t one_byte[] = {1};

/* ---- misuse: each writes the state of a record
 * --------------------------------------------------- */

static void
nothing_at_all(newt__writer *w)
{
    (void)w;
}

static void
two_states(newt__writer *w)
{
    newt__write_null(w);
    newt__write_null(w);
}

static void
array_not_full(newt__writer *w)
{
    newt__write_array(w, 2);
    newt__write_null(w);
}

static void
array_too_full(newt__writer *w)
{
    newt__write_array(w, 1);
    newt__write_null(w);
    newt__write_null(w);
}

static void
map_not_full(newt__writer *w)
{
    newt__write_map(w, 1);
    text(w, "a");
}

static void
map_key_not_text(newt__writer *w)
{
    newt__write_map(w, 1);
    newt__write_int(w, 1);
    newt__write_null(w);
}

static void
map_key_not_utf8(newt__writer *w)
{
    newt__write_map(w, 1);
    text(w, "\xff");
    newt__write_null(w);
}

static void
map_key_hidden(newt__writer *w)
{
    newt__write_map(w, 1);
    newt__write_hidden(w);
    text(w, "a");
    newt__write_null(w);
}

static void
map_key_container(newt__writer *w)
{
    newt__collect_map(w);
    newt__write_array(w, 0);
    newt__write_null(w);
    newt__collected(w);
}

static void
collected_key_twice(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "a");
    newt__write_null(w);
    text(w, "b");
    newt__write_null(w);
    text(w, "a");
    newt__write_null(w);
    newt__collected(w);
}

static void
collected_key_twice_in_order(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "a");
    newt__write_null(w);
    text(w, "a");
    newt__write_null(w);
    newt__collected(w);
}

static void
pairs_key_twice(newt__writer *w)
{
    newt__collect_pairs(w);
    newt__write_int(w, 1);
    newt__write_null(w);
    newt__write_int(w, 1);
    newt__write_null(w);
    newt__collected(w);
}

static void
collected_odd(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "a");
    newt__collected(w);
}

static void
not_collected(newt__writer *w)
{
    newt__collect_array(w);
    newt__write_null(w);
}

static void
collected_too_often(newt__writer *w)
{
    newt__collect_array(w);
    newt__collected(w);
    newt__collected(w);
}

static void
collected_in_a_counted(newt__writer *w)
{
    newt__collect_array(w);
    newt__write_array(w, 1);
    newt__collected(w);
}

static void
collected_behind_a_tag(newt__writer *w)
{
    newt__collect_array(w);
    newt__write_hidden(w);
    newt__collected(w);
}

static void
object_without_map(newt__writer *w)
{
    newt__write_object(w, "T", 1, 1);
    newt__write_null(w);
}

static void
object_at_the_end(newt__writer *w)
{
    newt__write_object(w, "T", 1, 1);
}

static void
object_of_pairs(newt__writer *w)
{
    newt__write_object(w, "T", 1, 1);
    newt__collect_pairs(w);
    newt__collected(w);
}

static void
object_with_raw_key(newt__writer *w)
{
    newt__write_object(w, "T", 1, 1);
    newt__collect_map(w);
    text(w, "\xff");
    newt__write_null(w);
    newt__collected(w);
}

static void
object_name_with_nul(newt__writer *w)
{
    newt__write_object(w, "T\0U", 3, 1);
    newt__write_map(w, 0);
}

static void
object_name_not_utf8(newt__writer *w)
{
    newt__write_object(w, "T\xff", 2, 1);
    newt__write_map(w, 0);
}

static void
object_version_negative(newt__writer *w)
{
    newt__write_object(w, "T", 1, -1);
    newt__write_map(w, 0);
}

static void
shared_scalar(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_int(w, 1);
}

static void
shared_array(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_array(w, 0);
}

static void
shared_pairs(newt__writer *w)
{
    newt__write_shared(w);
    newt__collect_pairs(w);
    newt__collected(w);
}

static void
shared_twice(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_shared(w);
    newt__write_map(w, 0);
}

static void
shared_then_hidden(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_hidden(w);
    newt__write_map(w, 0);
}

static void
shared_at_the_end(newt__writer *w)
{
    newt__write_shared(w);
}

static void
shared_out_of_order(newt__writer *w)
{
    newt__collect_map(w);
    text(w, "b");
    newt__write_shared(w);
    newt__write_map(w, 0);
    text(w, "a");
    newt__write_shared(w);
    newt__write_map(w, 0);
    newt__collected(w);
}

static void
sharedref_to_nothing(newt__writer *w)
{
    newt__write_sharedref(w, 0);
}

static void
hidden_twice(newt__writer *w)
{
    newt__write_hidden(w);
    newt__write_hidden(w);
    newt__write_null(w);
}

static void
hidden_at_the_end(newt__writer *w)
{
    newt__write_hidden(w);
}

static void
tag_at_the_end(newt__writer *w)
{
    newt__write_tag(w, 6);
}

static void
tag_of_the_profile(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_UUID);
    newt__write_bytes(w, one_byte, 1);
}

static void
tag_never_written(newt__writer *w)
{
    newt__write_tag(w, 0);
    text(w, "2000-01-01");
}

static void
store_ref_of_three(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_REF);
    newt__write_array(w, 3);
    newt__write_null(w);
    newt__write_null(w);
    newt__write_null(w);
}

static void
store_ref_of_nothing(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_REF);
    newt__write_null(w);
}

static void
store_ref_collected(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_REF);
    newt__collect_array(w);
    newt__write_null(w);
    newt__collected(w);
}

static void
ref_zero(newt__writer *w)
{
    newt__write_ref(w, 0);
}

static void
ref_negative(newt__writer *w)
{
    newt__write_ref(w, -1);
}

static void
weak_zero(newt__writer *w)
{
    newt__write_weak(w, 0);
}

static void
weak_by_its_tag(newt__writer *w)
{
    newt__write_tag(w, NEWT__TAG_WEAK);
    newt__write_int(w, 1);
}

static void
integer_with_exponent(newt__writer *w)
{
    newt__number x = {.magnitude = one_byte, .n = 1, .exponent = 1};
    newt__write_number(w, &x, false);
}

static void
encoded_cut_short(newt__writer *w)
{
    newt__write_encoded(w, "\x82\x01", 2);
}

static void
encoded_with_rest(newt__writer *w)
{
    newt__write_encoded(w, "\x01\x01", 2);
}

static void
encoded_empty(newt__writer *w)
{
    newt__write_encoded(w, "", 0);
}

static void
encoded_not_of_the_profile(newt__writer *w)
{
    newt__write_encoded(w, "\xa2\x61\x62\x01\x61\x61\x01", 7);
}

static void
encoded_sharedref_to_nothing(newt__writer *w)
{
    newt__write_encoded(w, "\xd8\x1d\x00", 3);
}

static void
encoded_key_not_text(newt__writer *w)
{
    newt__write_map(w, 1);
    newt__write_encoded(w, "\x01", 1);
    newt__write_null(w);
}

static void
encoded_behind_shared(newt__writer *w)
{
    newt__write_shared(w);
    newt__write_encoded(w, "\x80", 1);
}

static void
encoded_hidden_twice(newt__writer *w)
{
    newt__write_hidden(w);
    newt__write_encoded(w, "\xd9\x96\x03\xf6", 4);
}

typedef struct misuse {
    const char *name;
    void (*write)(newt__writer *w);
    newt__code code;
    const char *reason;
} misuse;

#define OF(f, reason)                                                                              \
    {                                                                                              \
#        f, f, NEWT__PROFILE, reason                                                               \
    }
#define CUT(f, reason)                                                                             \
    {                                                                                              \
#        f, f, NEWT__MALFORMED, reason                                                             \
    }

static const misuse misuses[] = {
    OF(nothing_at_all, "not complete"),
    OF(two_states, "one item too many"),
    OF(array_not_full, "not complete"),
    OF(array_too_full, "one item too many"),
    OF(map_not_full, "not complete"),
    OF(map_key_not_text, "not text"),
    OF(map_key_not_utf8, "UTF-8"),
    OF(map_key_hidden, "not text"),
    OF(map_key_container, "not text"),
    OF(collected_key_twice, "twice"),
    OF(collected_key_twice_in_order, "twice"),
    OF(pairs_key_twice, "twice"),
    OF(collected_odd, "no value"),
    OF(not_collected, "not complete"),
    OF(collected_too_often, "nothing is being collected"),
    OF(collected_in_a_counted, "nothing is being collected"),
    OF(collected_behind_a_tag, "nothing is being collected"),
    OF(object_without_map, "map"),
    OF(object_at_the_end, "not complete"),
    OF(object_of_pairs, "map"),
    OF(object_with_raw_key, "UTF-8"),
    OF(object_name_with_nul, "NUL"),
    OF(object_name_not_utf8, "UTF-8"),
    OF(object_version_negative, "negative"),
    OF(shared_scalar, "no map and no object"),
    OF(shared_array, "no map and no object"),
    OF(shared_pairs, "no map and no object"),
    OF(shared_twice, "no map and no object"),
    OF(shared_then_hidden, "first"),
    OF(shared_at_the_end, "not complete"),
    OF(shared_out_of_order, "order"),
    OF(sharedref_to_nothing, "not there yet"),
    OF(hidden_twice, "hidden twice"),
    OF(hidden_at_the_end, "not complete"),
    OF(tag_at_the_end, "not complete"),
    OF(tag_of_the_profile, "not allowed"),
    OF(tag_never_written, "not allowed"),
    OF(store_ref_of_three, "[store, oid]"),
    OF(store_ref_collected, "[store, oid]"),
    OF(store_ref_of_nothing, "another store"),
    OF(ref_zero, "object id"),
    OF(ref_negative, "object id"),
    OF(weak_zero, "object id"),
    OF(weak_by_its_tag, "not allowed"),
    OF(integer_with_exponent, "exponent"),
    CUT(encoded_cut_short, "cut short"),
    CUT(encoded_with_rest, "after"),
    CUT(encoded_empty, "cut short"),
    OF(encoded_not_of_the_profile, "order"),
    OF(encoded_sharedref_to_nothing, "not there yet"),
    OF(encoded_key_not_text, "not text"),
    OF(encoded_behind_shared, "no map and no object"),
    OF(encoded_hidden_twice, "tag"),
};

/* Refused; what comes after changes nothing; and the next record is as good as any. */
static void
every_misuse(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    bytes good = record_of("a1 61 61 01");
    for (size_t i = 0; i < LENGTH(misuses); i++) {
        const misuse *x = &misuses[i];
        for (int around = 0; around < 3; around++) {
            newt__fault first;
            newt__write_begin(&w, "T", 1, 1);
            if (around == 1)
                newt__write_array(&w, 1);
            if (around == 2) {
                newt__write_map(&w, 1);
                text(&w, "key");
            }
            x->write(&w);
            newt__code code = newt__write_end(&w);
            if (code != x->code)
                fail_msg("%s gives %d", x->name, (int)code);
            assert_fault(&w.fault, x->code, SIZE_MAX, x->reason, x->name);
            first = w.fault;
            newt__write_null(&w);
            newt__collected(&w);
            newt__collect_set(&w);
            newt__write_number(&w, &(newt__number){0}, true);
            assert_int_equal(newt__write_end(&w), x->code);
            assert_true(first.reason == w.fault.reason && first.offset == w.fault.offset);
        }
        newt__write_begin(&w, "T", 1, 1);
        newt__collect_map(&w);
        text(&w, "a");
        newt__write_int(&w, 1);
        newt__collected(&w);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        assert_false(w.lossy);
        assert_bytes(w.buf.data, w.buf.n, good.p, good.n, x->name);
    }
    newt__writer_free(&w);
    free(good.p);
    assert_int_equal(m.live, 0);
}

/* Numbers that could be written in more than one way are written in the one of the profile. */
static void
numbers_are_normal(void **state)
{
    (void)state;
    static const uint8_t zeros[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
    static const struct {
        size_t n;
        bool negative, decimal;
        const char *hex;
    } cases[] = {{11, false, false, "05"},         {11, true, false, "25"},
                 {10, false, false, "00"},         {10, true, false, "20"},
                 {0, false, false, "00"},          {0, true, false, "20"},
                 {11, false, true, "c4 82 00 05"}, {10, true, true, "c4 82 00 20"}};
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        newt__number x = {.magnitude = zeros, .n = cases[i].n, .negative = cases[i].negative};
        bytes want = record_of(cases[i].hex);
        newt__write_begin(&w, "T", 1, 1);
        newt__write_number(&w, &x, cases[i].decimal);
        assert_int_equal(newt__write_end(&w), NEWT__OK);
        assert_bytes(w.buf.data, w.buf.n, want.p, want.n, cases[i].hex);
        free(want.p);
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* The same entries in every order give the same bytes. */
static void
order_does_not_matter(void **state)
{
    (void)state;
    static const char *const keys[] = {"b", "a", "", "aa", "\xc3\xa9", "z", "k0", "k1"};
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env}, first = {.buf.env = &env};
    for (unsigned step = 1; step < 8; step += 2) { /* odd: comes round to every key of 8 */
        for (unsigned from = 0; from < 8; from++) {
            newt__writer *x = step == 1 && from == 0 ? &first : &w;
            newt__write_begin(x, "T", 1, 1);
            newt__write_array(x, 3);
            newt__collect_map(x);
            for (unsigned i = 0; i < 8; i++) {
                text(x, keys[(from + i * step) % 8]);
                newt__write_uint(x, (from + i * step) % 8 * 1000);
            }
            newt__collected(x);
            newt__collect_set(x);
            for (unsigned i = 0; i < 16; i++) /* each twice */
                text(x, keys[(from + i * step) % 8]);
            newt__collected(x);
            newt__collect_pairs(x);
            for (unsigned i = 0; i < 8; i++) {
                newt__collect_array(x);
                newt__write_uint(x, (from + i * step) % 8 * 100);
                newt__collected(x);
                newt__write_bool(x, true);
            }
            newt__collected(x);
            assert_int_equal(newt__write_end(x), NEWT__OK);
            if (x == &w)
                assert_bytes(w.buf.data, w.buf.n, first.buf.data, first.buf.n, "record");
        }
    }
    assert_lossless(&env, first.buf.data, first.buf.n, "record");
    newt__writer_free(&w);
    newt__writer_free(&first);
    assert_int_equal(m.live, 0);
}

/* 100,000 entries backwards: sorting is no quadratic affair. */
static void
many_entries(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    newt__write_begin(&w, "T", 1, 1);
    newt__collect_map(&w);
    for (int i = 100000; i > 0; i--) {
        char key[16];
        newt__write_text(&w, key, (size_t)sprintf(key, "%d", i));
        newt__write_int(&w, i);
    }
    newt__collected(&w);
    assert_int_equal(newt__write_end(&w), NEWT__OK);
    assert_lossless(&env, w.buf.data, w.buf.n, "record");
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_misuse),
        cmocka_unit_test(numbers_are_normal),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(many_entries),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
