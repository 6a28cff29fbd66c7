/*
 * object_merge.c - the ready-made resolvers, without a server: every kind in every shape; maps and
 * sets against a model
 */
#include "everything.h"

static offline o;

static int
start(void **state)
{
    (void)state;
    offline_open(&o, everything_classes);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    offline_close(&o);
    assert_int_equal(o.live, 0);
    return 0;
}

/* ---- by fields --------------------------------------------------------------------------- */

enum {
    ROUNDS = 300
};

typedef struct record {
    uint8_t *p;
    size_t n;
} record;

static record
recorded(const newt__header *h)
{
    newt_error e = {0};
    record r;

    if (newt__image_encode(&o.c.jar, h, false, &e) != NEWT_OK)
        fail_msg("%s", newt_error_message(&e));
    r.n = o.c.jar.coder.writer.buf.n;
    r.p = malloc(r.n);
    assert_non_null(r.p);
    memcpy(r.p, o.c.jar.coder.writer.buf.data, r.n);
    return r;
}

static record
random_record(generate *g)
{
    struct everything *e = everything_new(&o.c);
    record r;

    assert_non_null(e);
    everything_fill(g, e);
    r = recorded(newt__header_of(e));
    offline_abort(&o);
    return r;
}

static newt__header *
image_of(const newt_class *table, record r)
{
    const newt__class *k = newt__class_find(o.db.classes, table);
    newt_error e = {0};
    newt__header *h;

    if (newt__image_make(&o.c.jar, k, 7, r.p, r.n, &h, &e) != NEWT_OK)
        fail_msg("%s", newt_error_message(&e));
    return h;
}

static newt__header *
image(record r)
{
    return image_of(&everything_class, r);
}

/* A field as another image has it; its memory stays the other's. */
static void
borrow(newt__header *to, const newt__header *from, uint32_t i)
{
    const newt_field *f = &to->class->fields[i].f;

    memcpy((char *)to + NEWT__HEADER + f->offset, (const char *)from + NEWT__HEADER + f->offset,
           newt__field_extent(f));
}

static bool
differ(newt__header *a, newt__header *b, uint32_t i)
{
    newt__source x_a = newt__image_source(a), x_b = newt__image_source(b);
    newt_error e = {0};
    record x;
    bool same;

    assert_int_equal(newt__encode_field(&o.c.jar.coder, &x_a, &a->class->fields[i], &e), NEWT_OK);
    x = (record){malloc(o.c.jar.coder.writer.buf.n), o.c.jar.coder.writer.buf.n};
    assert_non_null(x.p);
    memcpy(x.p, o.c.jar.coder.writer.buf.data, x.n);
    assert_int_equal(newt__encode_field(&o.c.jar.coder, &x_b, &b->class->fields[i], &e), NEWT_OK);
    same = x.n == o.c.jar.coder.writer.buf.n &&
           memcmp(x.p, o.c.jar.coder.writer.buf.data, x.n) == 0;
    free(x.p);
    return !same;
}

static int
resolve(newt__header *old, newt__header *committed, newt__header *ours)
{
    return newt_resolve_fields(newt__object_of(old), newt__object_of(committed),
                               newt__object_of(ours), NULL);
}

/* After each text there is a NUL. */
static void
assert_ends(const struct everything *e)
{
    assert_true(!e->text.s || e->text.s[e->text.n] == 0);
    for (uint32_t i = 0; i < e->texts.n; i++)
        assert_true(!e->texts.items[i].s || e->texts.items[i].s[e->texts.items[i].n] == 0);
}

/* Each field is changed by nobody, by one side, by the other, or by both alike. */
static void
one_round(generate *g, bool with_conflict)
{
    record before = random_record(g), after = random_record(g), third = random_record(g);
    newt__header *old = image(before), *committed = image(before), *ours = image(before);
    newt__header *theirs = image(after), *mine = image(after), *expected = image(before);
    newt__header *other = image(third);
    uint32_t n = old->class->n_fields, first = (uint32_t)generate_below(g, n);
    record got, want;
    bool conflict = false;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t who = generate_below(g, 4);

        if (who & 1)
            borrow(committed, theirs, i);
        if (who & 2)
            borrow(ours, mine, i);
        if (who)
            borrow(expected, mine, i);
    }
    for (uint32_t i = first; i < n && with_conflict && !conflict; i++) {
        conflict = differ(old, theirs, i) && differ(old, other, i) && differ(theirs, other, i);
        if (conflict) {
            borrow(committed, theirs, i);
            borrow(ours, other, i);
        }
    }
    if (conflict) {
        want = recorded(ours); /* stays as it is */
        assert_int_equal(resolve(old, committed, ours), 1);
    } else {
        assert_int_equal(resolve(old, committed, ours), 0);
        want = recorded(expected);
    }
    assert_ends(newt__object_of(ours));
    /* what it took is its own */
    newt__header_free(old);
    newt__header_free(committed);
    newt__header_free(theirs);
    got = recorded(ours);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, got.n);
    newt__header_free(ours);
    newt__header_free(mine);
    newt__header_free(other);
    newt__header_free(expected);
    free(got.p);
    free(want.p);
    free(before.p);
    free(after.p);
    free(third.p);
}

static void
test_fields(void **state)
{
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    for (int i = 0; i < ROUNDS; i++)
        one_round(&g, i % 4 == 3);
}

/* Every allocation fails once: a status, and nothing lost. */
static void
test_fields_without_memory(void **state)
{
    newt__header *old, *committed, *ours, *theirs;
    record before, after;
    int status = NEWT_ENOMEM;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    before = random_record(&g);
    after = random_record(&g);
    newt__writer_free(&o.c.jar.coder.writer); /* which kept its memory */
    o.c.jar.coder.writer.buf.env = &o.c.jar.coder.env;
    for (long n = 1; status != 0; n++) {
        old = image(before);
        ours = image(before);
        committed = image(before);
        theirs = image(after);
        for (uint32_t i = 0; i < old->class->n_fields; i++)
            borrow(committed, theirs, i);
        o.calls = 0;
        o.fail_at = n;
        status = resolve(old, committed, ours);
        assert_true(status == NEWT_ENOMEM || status == 0);
        o.fail_at = 0;
        newt__header_free(old);
        newt__header_free(ours);
        newt__header_free(committed);
        newt__header_free(theirs);
    }
    free(before.p);
    free(after.p);
}

/* Called for what are no images of one class. */
static void
test_misuse(void **state)
{
    struct everything *e = everything_new(&o.c), *f = everything_new(&o.c);
    struct thing *t = thing_new(&o.c);

    (void)state;
    assert_non_null(e);
    assert_non_null(f);
    assert_non_null(t);
    assert_int_equal(newt_resolve_fields(e, f, e, NULL), NEWT_EINVAL);
    assert_int_equal(newt_resolve_fields(e, t, e, NULL), NEWT_EINVAL);
}

/* ---- by keys ----------------------------------------------------------------------------- */

enum {
    KEYS = 10,
    KEY_ROUNDS = 20000,
    ABSENT = -1
};

/* What a map or a set has: a value at each key; of a set all values are alike. */
typedef struct keyed {
    int value[KEYS];
} keyed;

static const char *const map_keys[KEYS] = {"",  "a",  "b",   "::",   "::=>",
                                           "é", "zz", "aaa", "\xff", "a key that is longer"};
static const int64_t elements[KEYS] = {
    1, 2, 23, 24, 255, 65535, 65536, INT64_C(1) << 32, INT64_C(1) << 60, INT64_MAX};

static record
record_of_keyed(const newt_class *table, const keyed *x)
{
    void *object = newt_new(&o.c, table);
    record r;

    assert_non_null(object);
    for (int i = KEYS - 1; i >= 0; i--) {
        if (x->value[i] == ABSENT)
            continue;
        if (table == &newt_set_class)
            assert_true(newt_set_add(object, (newt_ref){elements[i]}));
        else
            assert_int_equal(newt_map_put(object, map_keys[i], (newt_ref){x->value[i]}), NEWT_OK);
    }
    r = recorded(newt__header_of(object));
    offline_abort(&o);
    return r;
}

static void
change_keys(generate *g, keyed *x, uint64_t one_in, bool set)
{
    for (int i = 0; i < KEYS; i++)
        if (generate_below(g, one_in) == 0)
            x->value[i] = (int)generate_below(g, set ? 2 : 4) - 1; /* 0: a null reference */
}

/* False: a conflict. */
static bool
merge_keyed(const keyed *old, const keyed *committed, const keyed *ours, keyed *merged)
{
    for (int i = 0; i < KEYS; i++) {
        bool theirs = committed->value[i] != old->value[i], mine = ours->value[i] != old->value[i];

        if (theirs && mine)
            return false;
        merged->value[i] = theirs ? committed->value[i] : ours->value[i];
    }
    return true;
}

enum {
    OLD,
    COMMITTED,
    OURS,
    MERGED,
    STATES
};

static void
make_keyed(generate *g, const newt_class *table, uint64_t one_in, keyed x[STATES])
{
    change_keys(g, &x[OLD], 1, table == &newt_set_class);
    x[COMMITTED] = x[OURS] = x[OLD];
    change_keys(g, &x[COMMITTED], one_in, table == &newt_set_class);
    change_keys(g, &x[OURS], one_in, table == &newt_set_class);
}

/* ours: for the caller to free; the fail_at-th allocation fails, 0: none. */
static int
resolve_keyed(const newt_class *table, const record r[STATES], long fail_at, newt__header **ours)
{
    newt__header *old = image_of(table, r[OLD]), *committed = image_of(table, r[COMMITTED]);
    int status;

    *ours = image_of(table, r[OURS]);
    o.calls = 0;
    o.fail_at = fail_at;
    status = table->hooks->resolve(newt__object_of(old), newt__object_of(committed),
                                   newt__object_of(*ours), NULL);
    o.fail_at = 0;
    newt__header_free(old);
    newt__header_free(committed);
    return status;
}

static const newt_class *const by_keys[] = {&newt_map_class, &newt_set_class, NULL};

static void
test_keys(void **state)
{
    int merged = 0, conflicts = 0;
    newt__header *ours;
    generate g;

    (void)state;
    generate_init(&g, generate_seed());
    for (int round = 0; round < KEY_ROUNDS; round++) {
        const newt_class *table = by_keys[round % 2];
        record r[STATES], got;
        keyed x[STATES];

        make_keyed(&g, table, 2 + generate_below(&g, 8), x);
        x[MERGED] = x[OLD];
        if (merge_keyed(&x[OLD], &x[COMMITTED], &x[OURS], &x[MERGED]))
            merged++;
        else
            x[MERGED].value[0] = -2;
        for (int i = 0; i < MERGED; i++)
            r[i] = record_of_keyed(table, &x[i]);
        if (x[MERGED].value[0] == -2) {
            conflicts++;
            assert_int_equal(resolve_keyed(table, r, 0, &ours), 1);
        } else {
            assert_int_equal(resolve_keyed(table, r, 0, &ours), 0);
            r[MERGED] = record_of_keyed(table, &x[MERGED]);
            got = recorded(ours);
            assert_int_equal(got.n, r[MERGED].n);
            assert_memory_equal(got.p, r[MERGED].p, got.n);
            free(got.p);
            free(r[MERGED].p);
        }
        newt__header_free(ours);
        for (int i = 0; i < MERGED; i++)
            free(r[i].p);
    }
    print_message("# %d merged, %d conflicts\n", merged, conflicts);
    assert_true(merged > KEY_ROUNDS / 10 && conflicts > KEY_ROUNDS / 10);
    /* the named roots are merged as maps are, lists are not */
    assert_ptr_equal(newt__root_class.hooks, newt_map_class.hooks);
    assert_null(newt_list_class.hooks);
}

static void
test_keys_without_memory(void **state)
{
    newt__header *ours;
    record r[STATES];

    (void)state;
    for (int k = 0; k < 2; k++) {
        keyed empty = {{0}}, full;
        int status = NEWT_ENOMEM;

        for (int i = 0; i < KEYS; i++) {
            empty.value[i] = ABSENT;
            full.value[i] = 0;
        }
        r[OLD] = r[OURS] = record_of_keyed(by_keys[k], &empty);
        r[COMMITTED] = record_of_keyed(by_keys[k], &full);
        for (long n = 1; status != 0; n++) {
            status = resolve_keyed(by_keys[k], r, n, &ours);
            assert_true(status == NEWT_ENOMEM || status == 0);
            assert_int_equal(ours->failed, status != 0);
            newt__header_free(ours);
        }
        newt__error_clear(&o.c.jar.base.error);
        free(r[OLD].p);
        free(r[COMMITTED].p);
    }
}

/* ---- counters ---------------------------------------------------------------------------- */

static void
test_length(void **state)
{
    const newt_hooks *hooks = newt_length_class.hooks;
    static const struct {
        int64_t old, committed, ours, merged;
        int status;
    } cases[] = {
        {0, 0, 0, 0, 0},
        {10, 11, 12, 13, 0},
        {10, 0, 10, 0, 0},
        {0, INT64_MAX, 0, INT64_MAX, 0},
        {0, INT64_MAX - 1, 1, INT64_MAX, 0},
        {0, INT64_MAX, 1, 0, 1},
        {0, INT64_MIN, -1, 0, 1},
        {-1, INT64_MAX, -1, 0, 1},
        {INT64_MAX, INT64_MIN, INT64_MAX, 0, 1},
    };
    struct newt_length *l;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct newt_length old = {cases[i].old}, committed = {cases[i].committed},
                           ours = {cases[i].ours};

        assert_int_equal(hooks->resolve(&old, &committed, &ours, NULL), cases[i].status);
        if (cases[i].status == 0)
            assert_true(ours.value == cases[i].merged);
    }
    l = newt_length_new(&o.c);
    assert_non_null(l);
    assert_int_equal(newt_length_change(l, INT64_MAX), NEWT_OK);
    assert_int_equal(newt_length_change(l, -5), NEWT_OK);
    assert_true(l->value == INT64_MAX - 5);
    assert_int_equal(newt_length_change(l, 6), NEWT_EINVAL);
    assert_true(l->value == INT64_MAX - 5);
    assert_true(newt__base_is_over(&o.c.jar.base));
    assert_non_null(
        strstr(newt_error_message(&o.c.jar.base.error), "field \"value\" of newt.Length 1024"));
    offline_abort(&o);
    assert_int_equal(newt_length_change(NULL, 1), NEWT_EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields), TEST(test_fields_without_memory), TEST(test_misuse),
        TEST(test_keys),   TEST(test_keys_without_memory),   TEST(test_length),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
