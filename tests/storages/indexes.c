/*
 * indexes.c - indexes: what they find, what they refuse, what conflicts
 */
#include "indexed_store.h"

/* ---- one transaction
 * ----------------------------------------------------------------------------- */

static void
test_own_changes(void **state)
{
    int64_t savepoint;
    struct thing *t;
    thing_ref r;
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    t = make_thing(s.a, "first");
    r = thing_id(t);
    assert_true(is_found(s.a, "first", r));
    newt_set(t, code, "second"); /* through a pointer that has been kept */
    assert_true(is_found(s.a, "second", r) && is_missing(s.a, "first"));
    ok(s.a, newt_savepoint(s.a, &savepoint));
    newt_set(t, code, "third");
    assert_true(is_found(s.a, "third", r) && is_missing(s.a, "second"));
    ok(s.a, newt_delete(s.a, r.any));
    assert_true(is_missing(s.a, "third"));
    ok(s.a, newt_rollback_to(s.a, savepoint));
    assert_true(is_found(s.a, "second", r) && is_missing(s.a, "third"));
    newt_set(t, code, "fourth");
    commit(s.a);
    begin(s.b);
    assert_true(is_found(s.b, "fourth", r) && is_missing(s.b, "second"));
    set_code(s.b, r, "fifth");
    assert_true(is_found(s.b, "fifth", r));
    newt_abort(s.b);
    begin(s.b);
    assert_true(is_found(s.b, "fourth", r) && is_missing(s.b, "fifth"));
    ok(s.b, newt_delete(s.b, r.any));
    commit(s.b);
    begin(s.a);
    assert_true(is_missing(s.a, "fourth"));
    newt_abort(s.a);
    check_indexes(s.a);
    store_close(&s);
}

/* What a page of one's own open things is. */
static void
test_page(void **state)
{
    open_things_cursor at;
    open_things_key mine = {.owner = {{0}}};
    thing_ref me, page[10];
    int expected = 20;
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    me = make_with(s.a, "me", (thing_ref){{0}}, 0);
    for (int i = 0; i < 35; i++) {
        char code[20];

        snprintf(code, sizeof code, "%d", i);
        make_with(s.a, code, me, (i * 17) % 35);
    }
    mine.owner = me;
    at = open_things_range(
        s.a, &(open_things_range_of){.equal = &mine, .parts = 1, .offset = 20, .limit = 10});
    while (open_things_next(&at) == 1)
        assert_int_equal(thing_read(s.a, at.ref)->priority, expected++);
    assert_int_equal(expected, 30);
    assert_int_equal(open_things_next(&at), 0);
    assert_int_equal(count_open(s.a, me), 35);
    commit(s.a);
    begin(s.b);
    assert_int_equal(
        open_things_page(
            s.b, &(open_things_range_of){.equal = &mine, .parts = 1, .offset = 30, .limit = 10},
            page, 10),
        5);
    for (int i = 0; i < 5; i++) {
        int64_t asked = stats_of(s.b).round_trips;

        assert_int_equal(thing_read(s.b, page[i])->priority, 30 + i);
        assert_int_equal(stats_of(s.b).round_trips, asked); /* it has been loaded */
    }
    newt_abort(s.b);
    store_close(&s);
}

/* Who is not in an index: nulls, and what the condition refuses. */
static void
test_not_in_it(void **state)
{
    thing_ref me, r;
    struct thing *t;
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    me = make_with(s.a, NULL, (thing_ref){{0}}, 0);
    make_with(s.a, NULL, (thing_ref){{0}}, 0); /* another one without a code */
    r = make_with(s.a, "r", me, 1);
    assert_int_equal(by_code_count(s.a, NULL), 1);
    assert_int_equal(count_open(s.a, me), 1);
    t = thing_write(s.a, r);
    t->status = CLOSED_THING;
    assert_int_equal(count_open(s.a, me), 0);
    t->status = OPEN_THING;
    t->owner = (thing_ref){{0}};
    assert_int_equal(open_things_count(s.a, NULL), 0);
    t->owner = me;
    newt_set(t, code, NULL);
    assert_int_equal(count_open(s.a, me), 1);
    assert_int_equal(by_code_count(s.a, NULL), 0);
    commit(s.a);
    check_indexes(s.b);
    store_close(&s);
}

static void
test_limits(void **state)
{
    char text[1200];
    open_things_key nobody = {.owner = {{0}}};
    by_code_cursor at;
    thing_ref refs[1];
    store s;

    (void)state;
    memset(text, 'x', sizeof text);
    open_store(&s);
    begin(s.a);
    text[NEWT_INDEX_KEY - 2] = 0;
    make_thing(s.a, text);
    commit(s.a);
    begin(s.a);
    text[NEWT_INDEX_KEY - 2] = 'x';
    text[NEWT_INDEX_KEY - 1] = 0;
    make_thing(s.a, text);
    assert_int_equal(newt_commit(s.a), NEWT_ELIMIT);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "things.code"));
    assert_string_equal(newt_error_class(newt_conn_error(s.a)), "Thing");
    begin(s.a);
    assert_int_equal(by_code_get(s.a, coded(text), NULL), NEWT_ELIMIT);
    assert_int_equal(by_code_get(s.a, (by_code_key){{0}}, NULL), NEWT_EINVAL);
    assert_int_equal(open_things_count(s.a, &(open_things_range_of){.equal = &nobody, .parts = 1}),
                     NEWT_EINVAL);
    at = by_code_range(s.a, &(by_code_range_of){.offset = -1});
    assert_int_equal(by_code_next(&at), NEWT_EINVAL);
    assert_int_equal(by_code_page(s.a, NULL, refs, 1), 1);
    at = by_code_range(s.a, NULL);
    newt_abort(s.a);
    by_code_close(&at);
    assert_int_equal(by_code_get(s.a, coded("x"), NULL), NEWT_EBUSY); /* no transaction is open */
    store_close(&s);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void
test_numbers(void **state)
{
    static const newt_class *const list[] = {&wide_class, NULL};
    static const int64_t ints[][3] = {
        {INT8_MIN, 0, 0}, {-1, INT16_MAX, 5},  {0, INT16_MIN, 3}, {0, -1, INT64_MIN}, {0, -1, -1},
        {0, -1, 0},       {0, 0, INT64_MIN},   {0, 0, -256},      {0, 0, 255},        {0, 0, 256},
        {0, 1, -9},       {1, INT16_MIN, -10}, {127, 0, 0}};
    static const uint64_t uints[][3] = {{0, 0, 0},   {0, 0, INT64_MAX}, {0, 0, UINT64_MAX},
                                        {0, 255, 0}, {0, 256, 0},       {0, UINT32_MAX, 0},
                                        {200, 0, 0}, {255, 0, 7}};
    enum {
        INTS = sizeof ints / sizeof *ints,
        UINTS = sizeof uints / sizeof *uints
    };
    by_ints_cursor at;
    by_uints_cursor ut;
    wide_ref found;
    int n = 0;
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = store_db(&s, list, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    begin(s.a);
    for (int i = 0; i < INTS; i++) {
        int j = i * 5 % INTS; /* in another order */
        struct wide *w = wide_new(s.a);

        w->i8 = (int8_t)ints[j][0];
        w->i16 = (int16_t)ints[j][1];
        w->i64 = ints[j][2];
        w->u8 = (uint8_t)uints[j % UINTS][0];
        w->u32 = (uint32_t)uints[j % UINTS][1];
        w->u64 = uints[j % UINTS][2];
        w->weak.oid = j + 1;
    }
    at = by_ints_range(s.a, NULL);
    for (; by_ints_next(&at) == 1; n++) {
        const struct wide *w = wide_read(s.a, at.ref);

        assert_true(w->i8 == ints[n][0] && w->i16 == ints[n][1] && w->i64 == ints[n][2]);
        assert_int_equal(by_weak_get(s.a, (by_weak_key){.weak = w->weak}, &found), 1);
        assert_int_equal(found.any.oid, at.ref.any.oid);
    }
    assert_int_equal(n, INTS);
    ut = by_uints_range(s.a, NULL);
    for (n = 0; by_uints_next(&ut) == 1; n++) {
        const struct wide *w = wide_read(s.a, ut.ref);
        int i = n < 2 * (INTS - UINTS) ? n / 2 : n - (INTS - UINTS);

        assert_true(w->u8 == uints[i][0] && w->u32 == uints[i][1] && w->u64 == uints[i][2]);
    }
    assert_int_equal(n, INTS);
    commit(s.a);
    store_close(&s);
}

/* ---- unique ------------------------------------------------------------------------------------
 */

static void
test_unique(void **state)
{
    const newt_error *e;
    thing_ref a, b;
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    a = make_with(s.a, "a", (thing_ref){{0}}, 0);
    b = make_with(s.a, "b", (thing_ref){{0}}, 0);
    commit(s.a);
    begin(s.b);
    set_code(s.b, b, "a");
    assert_int_equal(newt_commit(s.b), NEWT_EUNIQUE);
    e = newt_conn_error(s.b);
    assert_string_equal(newt_error_constraint(e), "things.code");
    assert_string_equal(newt_error_class(e), "Thing");
    assert_string_equal(newt_error_sqlstate(e), "23505");
    assert_int_equal(newt_error_oid(e), b.any.oid);
    assert_false(newt_is_retryable(e));
    begin(s.b);
    assert_true(is_found(s.b, "a", a) && is_found(s.b, "b", b));
    set_code(s.b, a, "b"); /* they swap */
    set_code(s.b, b, "a");
    commit(s.b);
    begin(s.a);
    assert_true(is_found(s.a, "b", a) && is_found(s.a, "a", b));
    set_code(s.a, a, "b2"); /* one takes what another leaves */
    make_with(s.a, "b", (thing_ref){{0}}, 0);
    commit(s.a);
    begin(s.a);
    ok(s.a, newt_delete(s.a, a.any));
    make_with(s.a, "b2", (thing_ref){{0}}, 0);
    commit(s.a);
    check_indexes(s.a);
    store_close(&s);
}

static int
make_same(newt_conn *c, void *arg)
{
    store *s = arg;

    make_with(c, "same", (thing_ref){{0}}, 0);
    if (s->b) { /* another is faster */
        newt_conn *b = s->b;

        s->b = NULL;
        begin(b);
        make_with(b, "same", (thing_ref){{0}}, 0);
        commit(b);
        newt_close(b);
    }
    return NEWT_OK;
}

/* Two at the same time: a conflict, and then it is refused. */
static void
test_unique_beside(void **state)
{
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    ok(s.a, newt_index_count(s.a, &by_code_index, NULL) == 0 ? NEWT_OK : -1);
    newt_abort(s.a);
    assert_int_equal(newt_transact(s.a, make_same, &s, NULL), NEWT_EUNIQUE);
    assert_int_equal(stats_of(s.a).retries, 1);
    begin(s.a);
    assert_int_equal(by_code_count(s.a, NULL), 1);
    newt_abort(s.a);
    check_indexes(s.a);
    store_close(&s);
}

/* ---- conflicts ------------------------------------------------------------------------------- */

static void
test_merged(void **state)
{
    thing_ref a, b, me;
    int64_t merges;
    store s;

    (void)state;
    open_store(&s);
    begin(s.a);
    me = make_with(s.a, "me", (thing_ref){{0}}, 0);
    a = make_with(s.a, "a", me, 1);
    b = make_with(s.a, "b", me, 2);
    commit(s.a);
    /* different objects, in one leaf */
    begin_now(s.a);
    begin_now(s.b);
    set_code(s.a, a, "a1");
    set_code(s.b, b, "b1");
    make_with(s.a, "x", me, 3);
    make_with(s.b, "y", me, 4);
    commit(s.a);
    commit(s.b);
    /* one object, of which one changes a key */
    begin_now(s.a);
    begin_now(s.b);
    set_priority(s.a, a, 7);
    set_other(s.b, a, 1);
    commit(s.a);
    merges = stats_of(s.b).merges;
    commit(s.b);
    assert_true(stats_of(s.b).merges > merges);
    begin_now(s.a);
    begin_now(s.b);
    set_other(s.a, a, 2);
    set_priority(s.b, a, 8);
    commit(s.a);
    commit(s.b);
    /* each changes another */
    begin_now(s.a);
    begin_now(s.b);
    set_code(s.a, a, "a2");
    set_priority(s.b, a, 9);
    commit(s.a);
    commit(s.b);
    begin(s.a);
    assert_true(is_found(s.a, "a2", a) && is_missing(s.a, "a1"));
    assert_int_equal(thing_read(s.a, a)->priority, 9);
    assert_int_equal(count_open(s.a, me), 4);
    newt_abort(s.a);
    check_indexes(s.a);
    store_close(&s);
}

/* A resolver that makes a key of what both have. */
struct sum;
NEWT_DECLARE(sum);
struct sum {
    int64_t n, m, last;
};
NEWT_DECLARE_INDEX(by_n, sum, n);
NEWT_INDEX(by_n, "sums.n", sum, n);

static int
add_up(const void *old, const void *committed, void *ours, void *arg)
{
    const struct sum *o = old, *c = committed;
    struct sum *s = ours;

    (void)arg;
    s->n += c->n - o->n;
    s->m += c->m - o->m;
    if (s->m > 100)
        s->n = -s->m; /* a key that neither side has */
    return 0;
}

static const newt_hooks sum_hooks = {
    .size = sizeof sum_hooks, .resolve = add_up, .indexes = NEWT_INDEXES(&by_n_index)};
NEWT_CLASS(sum, "Sum", 1, &sum_hooks, NEWT_FIELD(struct sum, n), NEWT_FIELD(struct sum, m),
           NEWT_FIELD(struct sum, last));

typedef struct adding {
    sum_ref r;
    int64_t n, m;
    struct adding *first; /* done by another connection, before the commit */
    newt_conn *c;
} adding;

static int
add(newt_conn *c, void *arg)
{
    adding *x = arg;
    struct sum *s = sum_write(c, x->r);

    assert_non_null(s);
    s->n += x->n;
    s->m += x->m;
    if (x->first) {
        adding *first = x->first;

        x->first = NULL;
        ok(first->c, newt_transact(first->c, add, first, NULL));
    }
    return NEWT_OK;
}

static void
test_resolver_makes_key(void **state)
{
    static const newt_class *const list[] = {&sum_class, NULL};
    static const struct {
        int64_t n, m, their_n, their_m, retries, sum;
    } cases[] = {
        {1, 0, 0, 1, 0, 1},   /* ours is changed */
        {0, 1, 2, 0, 0, 3},   /* theirs */
        {0, 1, 0, 1, 0, 3},   /* neither */
        {1, 0, 1, 0, 1, 5},   /* both: not merged */
        {0, 60, 0, 60, 1, 5}, /* merged into a third one: the same */
    };
    int64_t problems;
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = store_db(&s, list, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    begin(s.a);
    sum_ref r = sum_id(sum_new(s.a));
    commit(s.a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        adding theirs = {r, cases[i].their_n, cases[i].their_m, NULL, s.b};
        adding ours = {r, cases[i].n, cases[i].m, &theirs, s.a};
        int64_t retries = stats_of(s.a).retries;
        sum_ref found = {{0}};

        ok(s.a, newt_transact(s.a, add, &ours, NULL));
        assert_int_equal(stats_of(s.a).retries - retries, cases[i].retries);
        begin(s.b);
        assert_int_equal(by_n_get(s.b, (by_n_key){.n = cases[i].sum}, &found), 1);
        assert_int_equal(found.any.oid, r.any.oid);
        assert_int_equal(by_n_count(s.b, NULL), 1);
        newt_abort(s.b);
        ok(s.a, newt_index_check(s.a, &by_n_index, false, print_fault, NULL, &problems));
        assert_int_equal(problems, 0);
    }
    store_close(&s);
}

static const struct CMUnitTest indexes[] = {
    cmocka_unit_test(test_own_changes),
    cmocka_unit_test(test_page),
    cmocka_unit_test(test_not_in_it),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_unique),
    cmocka_unit_test(test_unique_beside),
    cmocka_unit_test(test_merged),
    cmocka_unit_test(test_resolver_makes_key),
};

int
main(void)
{
    return run_all(indexes);
}
