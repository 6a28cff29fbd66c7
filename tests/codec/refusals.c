/*
 * refusals.c - what is not a record, and where, and why
 *
 * One row for each rule of the profile: the code, the offset that the error names, and a word of
 * the reason.
 */
#include "check.h"

typedef struct refusal {
    const char *hex;
    newt__code code;
    size_t offset;
    const char *reason;
} refusal;

#define BAD NEWT__MALFORMED
#define OUT NEWT__PROFILE

/* ---- the head of a record: offsets are the record's ----------------------------------------- */

static const refusal heads[] = {
    {"", BAD, 0, "empty"},
    {"83", BAD, 1, "cut short"},
    {"83 61", BAD, 1, "cut short"},
    {"83 61 54", BAD, 3, "cut short"},
    {"83 61 54 01", BAD, 4, "cut short"},
    {"83 61 54 01 f6 f6", BAD, 5, "after"},
    {"83 61 54 01 80 00", BAD, 5, "after"},
    /* other formats, told by their first two bytes */
    {"84 61 54 01 f6 f6", NEWT__NEWER, 0, "newer"},
    {"90", NEWT__NEWER, 0, "newer"},
    {"97 00", NEWT__NEWER, 0, "newer"},
    {"80 02 63", NEWT__FOREIGN, 0, "pickle"},
    {"80 03", NEWT__FOREIGN, 0, "pickle"},
    {"80 04", NEWT__FOREIGN, 0, "pickle"},
    {"80 05 95", NEWT__FOREIGN, 0, "pickle"},
    {"28 63", NEWT__FOREIGN, 0, "pickle"},
    {"63 61", NEWT__FOREIGN, 0, "pickle"},
    {"2e 7a 78 9c", NEWT__FOREIGN, 0, "zlib"},
    {"2e 65 00", NEWT__FOREIGN, 0, "encrypted"},
    {"80", BAD, 0, "not a state record"},
    {"80 01", BAD, 0, "not a state record"},
    {"80 06", BAD, 0, "not a state record"},
    {"2e", BAD, 0, "not a state record"},
    {"2e 78", BAD, 0, "not a state record"},
    {"00", BAD, 0, "not a state record"},
    {"7b 22 61 22", BAD, 0, "not a state record"},
    {"82 61 54 01", BAD, 0, "not a state record"},
    {"98 03 61 54 01 f6", BAD, 0, "not a state record"},
    {"9f 61 54 01 f6 ff", BAD, 0, "not a state record"},
    {"a0", BAD, 0, "not a state record"},
    {"d9 d9 f7 83 61 54 01 f6", BAD, 0, "not a state record"},
    {"ff ff", BAD, 0, "not a state record"},
    /* the class */
    {"83 01 01 f6", OUT, 1, "class name"},
    {"83 f6 01 f6", OUT, 1, "class name"},
    {"83 41 54 01 f6", OUT, 1, "class name"},
    {"83 60 01 f6", OUT, 1, "class name"},
    {"83 63 61 00 62 01 f6", OUT, 1, "class name"},
    {"83 62 54 ff 01 f6", OUT, 3, "UTF-8"},
    {"83 63 ed a0 80 01 f6", OUT, 2, "UTF-8"},
    {"83 78 01 54 01 f6", OUT, 1, "shortest"},
    {"83 79 01 00 (100 54) 01 f6", NEWT__LIMIT, 1, "class name"},
    {"83 7f 61 54 ff 01 f6", OUT, 1, "indefinite"},
    {"83 64 54", BAD, 1, "cut short"},
    /* its version */
    {"83 61 54 20 f6", OUT, 3, "version"},
    {"83 61 54 1a 80 00 00 00 f6", OUT, 3, "version"},
    {"83 61 54 61 31 f6", OUT, 3, "version"},
    {"83 61 54 f6 f6", OUT, 3, "version"},
    {"83 61 54 fb 3f f0 00 00 00 00 00 00 f6", OUT, 3, "version"},
    {"83 61 54 18 01 f6", OUT, 3, "shortest"},
};

/* ---- the state: offsets are the item's ------------------------------------------------------- */

static const refusal items[] = {
    /* heads: shortest, definite, known */
    {"18 17", OUT, 0, "shortest"},
    {"19 00 ff", OUT, 0, "shortest"},
    {"1a 00 00 ff ff", OUT, 0, "shortest"},
    {"1b 00 00 00 00 ff ff ff ff", OUT, 0, "shortest"},
    {"38 17", OUT, 0, "shortest"},
    {"39 00 ff", OUT, 0, "shortest"},
    {"3b 00 00 00 00 ff ff ff ff", OUT, 0, "shortest"},
    {"58 01 00", OUT, 0, "shortest"},
    {"59 00 01 00", OUT, 0, "shortest"},
    {"78 01 61", OUT, 0, "shortest"},
    {"98 01 f6", OUT, 0, "shortest"},
    {"b8 00", OUT, 0, "shortest"},
    {"d8 17 00", OUT, 0, "shortest"},
    {"d9 00 ff 00", OUT, 0, "shortest"},
    {"da 00 00 96 01 01", OUT, 0, "shortest"},
    {"82 01 18 02", OUT, 2, "shortest"},
    {"5f 41 00 ff", OUT, 0, "indefinite"},
    {"7f 61 61 ff", OUT, 0, "indefinite"},
    {"9f 01 ff", OUT, 0, "indefinite"},
    {"bf ff", OUT, 0, "indefinite"},
    {"1c", BAD, 0, "reserved"},
    {"1d", BAD, 0, "reserved"},
    {"1e", BAD, 0, "reserved"},
    {"1f", BAD, 0, "reserved"},
    {"3f", BAD, 0, "reserved"},
    {"5c", BAD, 0, "reserved"},
    {"9e", BAD, 0, "reserved"},
    {"fc", BAD, 0, "reserved"},
    {"fe", BAD, 0, "reserved"},
    {"ff", BAD, 0, "break"},
    {"82 01 ff", BAD, 2, "break"},
    /* cut short, where lengths promise more than there is */
    {"18", BAD, 0, "cut short"},
    {"19 01", BAD, 0, "cut short"},
    {"1a 00 01 00", BAD, 0, "cut short"},
    {"1b 00 00 00 01 00 00 00", BAD, 0, "cut short"},
    {"41", BAD, 0, "cut short"},
    {"61", BAD, 0, "cut short"},
    {"5b ff ff ff ff ff ff ff ff 00", BAD, 0, "cut short"},
    {"7b 7f ff ff ff ff ff ff ff 00", BAD, 0, "cut short"},
    {"81", BAD, 0, "cut short"},
    {"82 01", BAD, 0, "cut short"},
    {"82 81 01", BAD, 3, "cut short"},
    {"9b ff ff ff ff ff ff ff ff 00", BAD, 0, "cut short"},
    {"9a 00 01 00 00 (20 f6)", BAD, 0, "cut short"},
    {"a1 61 61", BAD, 3, "cut short"},
    {"a1", BAD, 0, "cut short"},
    {"bb ff ff ff ff ff ff ff ff 00", BAD, 0, "cut short"},
    {"bb 80 00 00 00 00 00 00 00 60 f6", BAD, 0, "cut short"},
    {"c1", OUT, 0, "tag"},
    {"c6", BAD, 1, "cut short"},
    {"fa 00 00 00", BAD, 0, "cut short"},
    {"fb 00 00 00 00 00 00 00", BAD, 0, "cut short"},
    {"f8", BAD, 0, "cut short"},
    /* simple values and floats */
    {"e0", OUT, 0, "simple"},
    {"f3", OUT, 0, "simple"},
    {"f7", OUT, 0, "undefined"},
    {"f8 18", BAD, 0, "reserved"},
    {"f8 20", OUT, 0, "simple"},
    {"f8 ff", OUT, 0, "simple"},
    {"f9 3c 00", OUT, 0, "half"},
    /* text */
    {"61 ff", OUT, 1, "UTF-8"},
    {"63 61 62 80", OUT, 3, "UTF-8"},
    {"62 c0 80", OUT, 1, "UTF-8"},
    {"63 ed a0 80", OUT, 1, "UTF-8"},
    {"64 f4 90 80 80", OUT, 1, "UTF-8"},
    {"62 e2 82", OUT, 1, "UTF-8"},
    {"78 20 (1f 61) c3", OUT, 33, "UTF-8"},
    {"d9 96 02 40", OUT, 3, "raw text"},
    {"d9 96 02 41 61", OUT, 3, "raw text"},
    {"d9 96 02 41 00", OUT, 3, "raw text"},
    {"d9 96 02 61 61", OUT, 3, "raw text"},
    /* maps: text keys, in order, once */
    {"a1 01 02", OUT, 1, "text"},
    {"a1 20 02", OUT, 1, "text"},
    {"a1 41 61 02", OUT, 1, "text"},
    {"a1 f6 02", OUT, 1, "text"},
    {"a1 80 02", OUT, 1, "text"},
    {"a1 d9 96 02 41 ff 02", OUT, 1, "text"},
    {"a1 d9 96 03 61 61 02", OUT, 1, "text"},
    {"a2 61 62 01 61 61 02", OUT, 4, "order"},
    {"a2 62 61 61 01 61 62 02", OUT, 5, "order"},
    {"a2 61 61 01 60 02", OUT, 4, "order"},
    {"a2 61 61 01 61 61 02", OUT, 4, "twice"},
    {"a2 60 01 60 02", OUT, 3, "twice"},
    {"a3 61 61 01 61 62 02 61 61 03", OUT, 7, "order"},
    {"81 a2 61 62 01 61 61 02", OUT, 5, "order"},
    /* pairs: any keys, in order, once */
    {"d9 01 03 80", OUT, 3, "map"},
    {"d9 01 03 f6", OUT, 3, "map"},
    {"d9 01 03 a2 02 00 01 00", OUT, 6, "order"},
    {"d9 01 03 a2 01 00 01 00", OUT, 6, "twice"},
    {"d9 01 03 a2 61 61 00 01 00", OUT, 7, "order"},
    {"d9 01 03 a2 81 02 00 81 01 00", OUT, 7, "order"},
    {"d9 01 03 a2 81 02 00 81 02 00", OUT, 7, "twice"},
    {"d9 01 03 a2 d9 96 03 01 00 d9 96 03 01 00", OUT, 9, "twice"},
    /* sets */
    {"d9 01 02 a0", OUT, 3, "array"},
    {"d9 01 02 82 02 01", OUT, 5, "order"},
    {"d9 01 02 82 01 01", OUT, 5, "twice"},
    {"d9 01 02 82 80 80", OUT, 5, "twice"},
    {"d9 01 02 82 61 61 01", OUT, 6, "order"},
    {"d9 01 02 82 81 02 81 01", OUT, 6, "order"},
    /* bignums */
    {"c2 40", OUT, 1, "integer"},
    {"c2 41 01", OUT, 1, "integer"},
    {"c2 48 ff ff ff ff ff ff ff ff", OUT, 1, "integer"},
    {"c3 48 ff ff ff ff ff ff ff ff", OUT, 1, "integer"},
    {"c2 49 00 ff ff ff ff ff ff ff ff", OUT, 1, "zeros"},
    {"c2 01", OUT, 1, "bytes"},
    {"c2 61 61", OUT, 1, "bytes"},
    {"c2 c2 41 01", OUT, 1, "bytes"},
    {"c2 5f 41 01 ff", OUT, 1, "indefinite"},
    {"c2 5a 00 01 00 01 (10001 01)", NEWT__LIMIT, 1, "long"},
    /* decimals */
    {"c4 01", OUT, 1, "decimal"},
    {"c4 81 01", OUT, 1, "decimal"},
    {"c4 83 01 01 01", OUT, 1, "decimal"},
    {"c4 82 61 31 01", OUT, 2, "decimal"},
    {"c4 82 f6 01", OUT, 2, "decimal"},
    {"c4 82 01 61 31", OUT, 3, "decimal"},
    {"c4 82 01 f6", OUT, 3, "decimal"},
    {"c4 82 01 fb 3f f0 00 00 00 00 00 00", OUT, 3, "decimal"},
    {"c4 82 1a 80 00 00 00 01", OUT, 2, "exponent"},
    {"c4 82 3a 80 00 00 00 01", OUT, 2, "exponent"},
    {"c4 82 c2 49 01 00 00 00 00 00 00 00 00 01", OUT, 2, "decimal"},
    {"c4 82 00 c2 41 01", OUT, 4, "integer"},
    {"c4 82 00 c2 49 00 ff ff ff ff ff ff ff ff", OUT, 4, "zeros"},
    {"c4 82 00 c4 82 00 01", OUT, 3, "decimal"},
    {"c4 9f 00 01 ff", OUT, 1, "indefinite"},
    /* time and duration */
    {"d9 03 e9 00", OUT, 3, "time"},
    {"d9 03 e9 a0", OUT, 3, "time"},
    {"d9 03 e9 a1 01 00", OUT, 3, "time"},
    {"d9 03 e9 a2 25 00 01 00", OUT, 4, "time"},
    {"d9 03 e9 a2 01 00 28 00", OUT, 6, "time"},
    {"d9 03 e9 a2 01 00 22 00", OUT, 6, "time"},
    {"d9 03 e9 a2 04 00 25 00", OUT, 4, "time"},
    {"d9 03 e9 a3 01 00 25 00 28 00", OUT, 3, "time"},
    {"d9 03 e9 a2 01 fb 3f f0 00 00 00 00 00 00 25 00", OUT, 5, "time"},
    {"d9 03 e9 a2 01 61 31 25 00", OUT, 5, "time"},
    {"d9 03 e9 a2 01 00 25 20", OUT, 7, ""},
    {"d9 03 e9 a2 01 00 25 1a 00 0f 42 40", OUT, 7, "microseconds"},
    {"d9 03 e9 a2 01 1b 80 00 00 00 00 00 00 00 25 00", OUT, 5, "range"},
    {"d9 03 e9 a2 01 3b 80 00 00 00 00 00 00 00 25 00", OUT, 5, "range"},
    {"d9 03 ea 00", OUT, 3, "duration"},
    {"d9 03 ea a2 01 00 25 1a 00 0f 42 40", OUT, 7, "microseconds"},
    /* date, UUID */
    {"d8 64 61 31", OUT, 2, "date"},
    {"d8 64 fb 3f f0 00 00 00 00 00 00", OUT, 2, "date"},
    {"d8 64 1b 80 00 00 00 00 00 00 00", OUT, 2, "range"},
    {"d8 64 c2 49 01 00 00 00 00 00 00 00 00", OUT, 2, "date"},
    {"d8 25 4f (f 00)", OUT, 2, "UUID"},
    {"d8 25 51 (11 00)", OUT, 2, "UUID"},
    {"d8 25 70 (10 61)", OUT, 2, "UUID"},
    {"d8 25 50 (f 00)", BAD, 2, "cut short"},
    /* references */
    {"d9 96 01 00", OUT, 3, "object id"},
    {"d9 96 01 20", OUT, 3, "object id"},
    {"d9 96 01 1b 80 00 00 00 00 00 00 00", OUT, 3, "object id"},
    {"d9 96 01 61 31", OUT, 3, "object id"},
    {"d9 96 01 f6", OUT, 3, "object id"},
    {"d9 96 04 00", OUT, 3, "object id"},
    {"d9 96 04 20", OUT, 3, "object id"},
    {"d9 96 04 1b 80 00 00 00 00 00 00 00", OUT, 3, "object id"},
    {"d9 96 04 82 61 73 07", OUT, 3, "object id"},
    {"d9 96 04 d9 96 01 01", OUT, 3, "object id"},
    {"d9 96 01 81 01", OUT, 3, "object id"},
    {"d9 96 01 83 01 02 03", OUT, 3, "object id"},
    /* objects */
    {"d8 1b 80", OUT, 2, "object"},
    {"d8 1b 82 61 54 01", OUT, 2, "object"},
    {"d8 1b 84 61 54 01 a0 a0", OUT, 2, "object"},
    {"d8 1b a0", OUT, 2, "object"},
    {"d8 1b f6", OUT, 2, "object"},
    {"d8 1b 83 01 01 a0", OUT, 3, "class name"},
    {"d8 1b 83 60 01 a0", OUT, 3, "class name"},
    {"d8 1b 83 61 00 01 a0", OUT, 3, "class name"},
    {"d8 1b 83 61 ff 01 a0", OUT, 4, "UTF-8"},
    {"d8 1b 83 79 01 00 (100 54) 01 a0", NEWT__LIMIT, 3, "class name"},
    {"d8 1b 83 61 54 20 a0", OUT, 5, "version"},
    {"d8 1b 83 61 54 01 80", OUT, 6, "object"},
    {"d8 1b 83 61 54 01 f6", OUT, 6, "object"},
    {"d8 1b 83 61 54 01 a1 01 02", OUT, 7, "text"},
    {"d8 1b 83 61 54 01 a2 61 62 01 61 61 02", OUT, 10, "order"},
    {"d8 1b 83 61 54 01 d9 01 03 a0", OUT, 6, "object"},
    /* shared */
    {"d8 1c 80", OUT, 2, "shared"},
    {"d8 1c 01", OUT, 2, "shared"},
    {"d8 1c 61 61", OUT, 2, "shared"},
    {"d8 1c f6", OUT, 2, "shared"},
    {"d8 1c d9 01 03 a0", OUT, 2, "shared"},
    {"d8 1c d9 01 02 80", OUT, 2, "shared"},
    {"d8 1c d9 96 03 a0", OUT, 2, "shared"},
    {"d8 1c d8 1c a0", OUT, 2, "shared"},
    {"d8 1d 00", OUT, 2, "not there yet"},
    {"82 d8 1c a0 d8 1d 01", OUT, 6, "not there yet"},
    {"82 d8 1d 00 d8 1c a0", OUT, 3, "not there yet"},
    {"82 d8 1c a0 d8 1d 20", OUT, 6, "number"},
    {"82 d8 1c a0 d8 1d 61 30", OUT, 6, "number"},
    /* hidden */
    {"d9 96 03", BAD, 3, "cut short"},
    {"d9 96 03 d9 96 03 f6", OUT, 3, "hidden twice"},
    {"d9 96 03 f7", OUT, 3, "undefined"},
    /* tags that are never written */
    {"c0 60", OUT, 0, "tag"},
    {"c1 00", OUT, 0, "tag"},
    {"c5 82 00 01", OUT, 0, "tag"},
    {"d8 19 00", OUT, 0, "tag"},
    {"d9 01 00 80", OUT, 0, "tag"},
    {"d9 d9 f7 80", OUT, 0, "tag"},
    {"d9 96 03 c0 60", OUT, 3, "tag"},
    {"c6 c0 60", OUT, 1, "tag"},
    /* and what comes after an unknown tag is looked at as well */
    {"c6 18 01", OUT, 1, "shortest"},
    {"c6 c6", BAD, 2, "cut short"},
};

static void
check(const refusal *x, bytes record, size_t base)
{
    memory m;
    newt__env env = memory_env(&m);
    newt__fault fault = {0};
    newt__buffer out = {.env = &env};
    newt__writer w = {.buf.env = &env};
    bool hidden = false;
    assert_int_equal(newt__validate(&env, record.p, record.n, &fault), x->code);
    assert_fault(&fault, x->code, base + x->offset, x->reason, x->hex);
    assert_true(fault.offset <= record.n);
    /* every way in says the same */
    newt__fault again = {0};
    assert_int_equal(newt__project_text(&env, record.p, record.n, &out, &hidden, &again), x->code);
    assert_fault(&again, x->code, base + x->offset, x->reason, x->hex);
    assert_int_equal(out.n, 0);
    assert_int_equal(reencode_record(&env, record.p, record.n, &w, &again), x->code);
    assert_fault(&again, x->code, base + x->offset, x->reason, x->hex);
    assert_int_equal(newt__validate(&env, record.p, record.n, NULL), x->code);
    newt__writer_free(&w);
    newt__buffer_free(&out);
    assert_int_equal(m.live, 0);
}

static void
of_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(heads); i++) {
        bytes record = bytes_of(heads[i].hex);
        check(&heads[i], record, 0);
        free(record.p);
    }
}

static void
of_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(items); i++) {
        bytes record = record_of(items[i].hex);
        check(&items[i], record, HEAD);
        free(record.p);
    }
}

/* The same refusals after a value that is good, and inside a tag, an array and a map. */
static void
of_items_deeper(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t offset;
    } places[] = {
        {"82 01", "", 2},
        {"c6", "", 1},
        {"a1 61 61", "", 3},
        {"d9 01 03 a1 01", "", 5},
        {"d8 1b 83 61 54 01 a1 61 61", "", 9},
    };
    for (size_t p = 0; p < LENGTH(places); p++)
        for (size_t i = 0; i < LENGTH(items); i++) {
            bytes record = record_of(places[p].before);
            bytes_hex(&record, items[i].hex);
            bytes_hex(&record, places[p].after);
            check(&items[i], record, HEAD + places[p].offset);
            free(record.p);
        }
}

/* Every tag below 2^16 is either one of the profile's, forbidden, or kept as it is. */
static void
every_tag(void **state)
{
    (void)state;
    static const uint64_t known[] = {2,   3,    4,    27,    28,    29,    37,  100,
                                     258, 1001, 1002, 38401, 38402, 38403, 259, 38404};
    static const uint64_t never[] = {0, 1, 5, 25, 256, 55799};
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    for (uint64_t tag = 0; tag < 65536; tag++) {
        bool is_known = false, is_never = false;
        for (size_t i = 0; i < LENGTH(known); i++)
            is_known |= known[i] == tag;
        for (size_t i = 0; i < LENGTH(never); i++)
            is_never |= never[i] == tag;
        newt__write_begin(&w, "T", 1, 1);
        newt__write_tag(&w, tag);
        newt__write_null(&w);
        newt__code code = newt__write_end(&w);
        if ((code != NEWT__OK) != (is_known || is_never))
            fail_msg("tag %u: the writer gives %d", (unsigned)tag, (int)code);
        if (code == NEWT__OK)
            assert_lossless(&env, w.buf.data, w.buf.n, "an unknown tag");
    }
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_heads),
        cmocka_unit_test(of_items),
        cmocka_unit_test(of_items_deeper),
        cmocka_unit_test(every_tag),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
