/*
 * indexes.c - indexes: what they find, what they refuse, how they are filled, changed and mended
 */
#include "indexed.h"
#include "../brief.h"

/* ---- stores ------------------------------------------------------------------------------------
 */

static void
open_store(store *s)
{
    store_make(s, "indexes");
    s->db = store_db(s, things, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
    build(s->a, NULL);
}

/* The same class, to a program that knows nothing of the indexes. */
static const newt_hooks plain_hooks = {.size = sizeof plain_hooks, .resolve = newt_resolve_fields};
static newt_class plain_class;
static newt_field plain_fields[16];
static const newt_class *const plain[] = {&plain_class, NULL};

/* The class of things with other hooks. */
static void
make_variant(newt_class *k, newt_field *fields, const newt_hooks *hooks)
{
    memcpy(fields, thing_class.fields, thing_class.n_fields * sizeof *fields);
    for (uint32_t i = 0; i < thing_class.n_fields; i++)
        if (fields[i].type == &thing_class)
            fields[i].type = k;
    *k = thing_class;
    k->fields = fields;
    k->hooks = hooks;
}

static newt_db *
open_plain(const store *s)
{
    make_variant(&plain_class, plain_fields, &plain_hooks);
    return store_db(s, plain, (newt_options){0});
}

static thing_ref
make_with(newt_conn *c, const char *code, thing_ref owner, int priority)
{
    struct thing *t = make_thing(c, code);
    thing_ref r = thing_id(t);

    t->owner = owner;
    t->priority = priority;
    t->status = OPEN_THING;
    thing_done(t);
    return r;
}

/* With a snapshot of now: what others commit from now on is met at commit. */
static void
begin_now(newt_conn *c)
{
    newt_ref missing = {INT64_MAX};

    begin(c);
    ok(c, newt_prefetch(c, &missing, 1));
}

static by_code_key
coded(const char *code)
{
    return (by_code_key){.code = newt_str(code)};
}

static bool
is_found(newt_conn *c, const char *code, thing_ref r)
{
    thing_ref found = {{0}};
    int status = by_code_get(c, coded(code), &found);

    if (status < 0)
        fail_error("by_code_get", newt_conn_error(c));
    return status == 1 && found.any.oid == r.any.oid;
}

static bool
is_missing(newt_conn *c, const char *code)
{
    int status = by_code_get(c, coded(code), NULL);

    if (status < 0)
        fail_error("by_code_get", newt_conn_error(c));
    return status == 0;
}

static void
set_code(newt_conn *c, thing_ref r, const char *code)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    newt_set(t, code, code);
    thing_done(t);
}

static void
set_priority(newt_conn *c, thing_ref r, int priority)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    t->priority = priority;
    thing_done(t);
}

static void
set_other(newt_conn *c, thing_ref r, int64_t value)
{
    struct thing *t = thing_write(c, r);

    assert_non_null(t);
    t->other = value;
    thing_done(t);
}

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

struct wide;
NEWT_DECLARE(wide);
struct wide {
    int8_t i8;
    int16_t i16;
    int64_t i64;
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    newt_weak weak;
};
NEWT_DECLARE_INDEX3(by_ints, wide, i8, i16, i64);
NEWT_DECLARE_INDEX3(by_uints, wide, u8, u32, u64);
NEWT_DECLARE_INDEX(by_weak, wide, weak);
NEWT_INDEX3(by_ints, "wide.ints", wide, i8, i16, i64);
NEWT_INDEX3(by_uints, "wide.uints", wide, u8, u32, u64);
NEWT_INDEX(by_weak, "wide.weak", wide, weak);
static const newt_hooks wide_hooks = {
    .size = sizeof wide_hooks,
    .indexes = NEWT_INDEXES(&by_ints_index, &by_uints_index, &by_weak_index)};
NEWT_CLASS(wide, "Wide", 1, &wide_hooks, NEWT_FIELD(struct wide, i8), NEWT_FIELD(struct wide, i16),
           NEWT_FIELD(struct wide, i64), NEWT_FIELD(struct wide, u8), NEWT_FIELD(struct wide, u32),
           NEWT_FIELD(struct wide, u64), NEWT_FIELD(struct wide, weak));

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

/* ---- filling ------------------------------------------------------------------------------------
 */

enum {
    OLD_THINGS = 230
};

static void
make_old(newt_db *db, thing_ref refs[OLD_THINGS])
{
    newt_conn *c = connect_(db);

    begin(c);
    for (int i = 0; i < OLD_THINGS; i++) {
        struct thing *t = newt_new(c, &plain_class);
        char code[20];

        assert_non_null(t);
        snprintf(code, sizeof code, "old %d", i);
        newt_set(t, code, code);
        t->due.days = i;
        refs[i] = thing_id(t);
    }
    commit(c);
    newt_close(c);
}

/* Objects that are older than the index, while others are written. */
static void
test_build(void **state)
{
    newt_index_building b = {.size = sizeof b, .objects = 50};
    thing_ref refs[OLD_THINGS];
    int64_t calls = 0;
    newt_db *old;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.b);
    assert_int_equal(by_code_get(s.b, coded("old 7"), NULL), NEWT_EMISSING);
    newt_abort(s.b);
    begin(s.b);
    set_code(s.b, refs[7], "new 7");
    assert_int_equal(newt_commit(s.b), NEWT_EMISSING);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.b)), "newt_index_build"));
    for (const newt_index *const *x = thing_hooks.indexes; x[1]; x++)
        build(s.a, *x); /* all but the last, which need not be done for what follows */
    begin(s.b);
    assert_int_equal(by_odd_count(s.b, NULL), NEWT_EMISSING);
    newt_abort(s.b);
    ok(s.a, newt_index_build(s.a, &by_odd_index, &b));
    ok(s.a,
       newt_index_build(s.a, &by_due_index,
                        &(newt_index_building){.size = sizeof b, .objects = 50, .rebuild = true}));
    b = (newt_index_building){.size = sizeof b, .objects = 50};
    while (!b.over) {
        int at = (int)(calls * 40 % OLD_THINGS);

        begin(s.b); /* before, at and after the place that has been reached */
        assert_int_equal(by_due_count(s.b, NULL), NEWT_EBUSY);
        assert_true(is_found(s.b, "old 3", refs[3])); /* the others can be asked */
        set_code(s.b, refs[(at + 5) % OLD_THINGS], calls % 2 ? "x" : "y");
        ok(s.b, newt_delete(s.b, refs[(at + 11) % OLD_THINGS].any));
        make_thing(s.b, calls % 2 ? "new x" : "new y");
        commit(s.b);
        begin(s.b); /* open while the next ones are put in */
        set_code(s.b, refs[(at + 60) % OLD_THINGS], "z");
        ok(s.a, newt_index_build(s.a, NULL, &b));
        if (newt_commit(s.b) != NEWT_OK)
            assert_int_equal(newt_error_status(newt_conn_error(s.b)), NEWT_ECONFLICT);
        if (++calls == 2)
            break;
    }
    while (!b.over)
        ok(s.a, newt_index_build(s.a, NULL, &b));
    assert_true(b.looked >= OLD_THINGS - 3);
    check_indexes(s.a);
    newt_index_building again = {.size = sizeof again};
    ok(s.a, newt_index_build(s.a, NULL, &again));
    assert_true(again.over && again.looked == 0);
    store_close(&s);
}

/* An object is changed between its reading and the commit of its entry. */
typedef struct overtaking {
    store *s;
    thing_ref r;
    int commits; /* of the filling, seen so far */
    bool done;
} overtaking;

static void
overtake(const newt_call *call, void *arg)
{
    overtaking *x = arg;

    x->commits += strcmp(call->name, "commit") == 0;
    if (x->done || x->commits == 0 || strcmp(call->name, "load") != 0)
        return;
    x->done = true;
    begin(x->s->b);
    set_code(x->s->b, x->r, "overtaken");
    commit(x->s->b);
}

static void
test_build_overtaken(void **state)
{
    newt_index_building b = {.size = sizeof b, .objects = 20}; /* few: the tree is not split */
    overtaking x = {.commits = -1000};
    thing_ref refs[OLD_THINGS];
    newt_options traced = {.trace = overtake, .trace_arg = &x};
    newt_db *old, *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    x.s = &s;
    x.r = refs[3];
    db = store_db(&s, things, traced);
    c = connect_(db);
    x.commits = 0; /* the first makes the index empty */
    b.rebuild = true;
    while (!b.over)
        ok(c, newt_index_build(c, &by_code_index, &b));
    assert_true(x.done);
    assert_int_equal(stats_of(c).retries, 1);
    newt_close(c);
    newt_db_close(db);
    check_indexes(s.a);
    store_close(&s);
}

/* Writers that never rest, while all indexes are filled anew. */
typedef struct writer {
    pthread_t thread;
    store *s;
    const thing_ref *refs;
    uint64_t seed;
    bool *stop;
    const char *failed;
    int64_t written;
} writer;

static int
write_any(newt_conn *c, void *arg)
{
    writer *w = arg;
    chance random = {w->seed + (uint64_t)w->written * 77};

    for (int i = pick(&random, 4); i >= 0; i--) {
        thing_ref r = w->refs[pick(&random, OLD_THINGS)];
        struct thing *t = pick(&random, 8) ? thing_write(c, r) : make_thing(c, NULL);
        char code[40];

        if (!t && newt_status(c) != NEWT_EMISSING)
            return newt_status(c);
        if (!t)
            continue;
        snprintf(code, sizeof code, "%llu %lld %d", (unsigned long long)w->seed,
                 (long long)w->written, i);
        newt_set(t, code, code);
        t->due.days = pick(&random, 40);
        t->number = (uint16_t)pick(&random, 5);
        if (pick(&random, 10) == 0 && newt_delete(c, thing_id(t).any) != NEWT_OK)
            return newt_status(c);
        thing_done(t);
    }
    return NEWT_OK;
}

static void *
write_all(void *arg)
{
    writer *w = arg;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    newt_conn *c;

    if (newt_connect(w->s->db, &c) != NEWT_OK)
        w->failed = "newt_connect";
    while (!w->failed && !__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        int status = newt_transact(c, write_any, w, &patient);

        if (status != NEWT_OK) {
            print_message("# %s\n", error_text(newt_conn_error(c)));
            w->failed = "newt_transact";
        }
        __atomic_fetch_add(&w->written, 1, __ATOMIC_RELAXED);
        pause_ms(on_memory() ? 0 : 1); /* the store is not theirs alone */
    }
    newt_close(c);
    return NULL;
}

enum {
    WRITERS = 3
};

static int64_t
written_by(const writer writers[WRITERS])
{
    int64_t n = 0;

    for (int i = 0; i < WRITERS; i++)
        n += __atomic_load_n(&writers[i].written, __ATOMIC_RELAXED);
    return n;
}

static void
test_build_beside(void **state)
{
    thing_ref refs[OLD_THINGS];
    writer writers[WRITERS];
    int64_t enough = brief() ? 100 : 500;
    int rounds = 0;
    bool stop = false;
    newt_db *old;
    uint64_t seed = take_seed();
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.s = &s, .refs = refs, .seed = seed + (uint64_t)i, .stop = &stop};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    for (; rounds < 3 || written_by(writers) < enough; rounds++) {
        newt_index_building b = {.size = sizeof b, .objects = 20, .rebuild = true};

        while (!b.over) {
            int status = newt_index_build(s.a, NULL, &b);

            if (status != NEWT_OK && status != NEWT_ECONFLICT)
                fail_error("newt_index_build", newt_conn_error(s.a));
        }
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        if (writers[i].failed)
            fail_msg("%s", writers[i].failed);
    }
    print_message("# filled %d times beside %lld transactions\n", rounds,
                  (long long)written_by(writers));
    check_indexes(s.a);
    store_close(&s);
}

static void
test_build_duplicates(void **state)
{
    newt_index_building b = {.size = sizeof b};
    thing_ref refs[OLD_THINGS];
    newt_db *old;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    c = connect_(old);
    begin(c);
    struct thing *t = newt_write(c, refs[9].any, &plain_class);
    newt_set(t, code, "old 100");
    commit(c);
    newt_close(c);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    assert_int_equal(newt_index_build(s.a, &by_code_index, &b), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), refs[100].any.oid);
    for (const newt_index *const *x = thing_hooks.indexes + 1; *x; x++)
        build(s.b, *x);
    begin(s.b);
    set_code(s.b, refs[9], "old 9");
    commit(s.b);
    build(s.a, &by_code_index);
    check_indexes(s.a);
    store_close(&s);
}

/* ---- definitions
 * ---------------------------------------------------------------------------------- */

/* The class with one index, which a test changes. */
static newt_index changed_index;
static const newt_index *const changed_indexes[] = {&changed_index, NULL};
static const newt_hooks changed_hooks = {.size = sizeof changed_hooks, .indexes = changed_indexes};
static newt_class changed_class;
static newt_field changed_fields[16];
static const newt_class *const changed[] = {&changed_class, NULL};

static newt_db *
open_changed(const store *s, newt_index x)
{
    changed_index = x;
    changed_index.class_ = &changed_class;
    make_variant(&changed_class, changed_fields, &changed_hooks);
    return store_db(s, changed, (newt_options){0});
}

static bool
never(const void *object)
{
    (void)object;
    return false;
}

static void
test_definitions(void **state)
{
    static const newt_index_part parts[] = {{"number", 0, 2}, {"code", 8, 16}};
    newt_index x = by_due_index, others[5];
    thing_ref refs[OLD_THINGS];
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = open_plain(&s);
    make_old(s.db, refs);
    db = open_changed(&s, x);
    c = connect_(db);
    build(c, &changed_index);
    newt_close(c);
    newt_db_close(db);
    for (int i = 0; i < 5; i++)
        others[i] = x;
    others[0].unique = true;
    others[1].n_parts = 1;
    others[2].parts[0] = parts[0];
    others[3].where = is_open;
    others[3].where_name = "is_open";
    others[4].where = never;
    others[4].where_name = "never";
    for (int i = 0; i < 5; i++) {
        newt_index_building b = {.size = sizeof b};
        by_due_key key = {.due = {5}, .code = newt_str("old 5")};

        db = open_changed(&s, others[i]);
        c = connect_(db);
        assert_int_equal(newt_index_build(c, &changed_index, &b), NEWT_ECLASS);
        begin(c);
        assert_int_equal(newt_index_get(c, &changed_index, &key, NULL), NEWT_ECLASS);
        struct thing *t = newt_write(c, refs[0].any, &changed_class);
        t->other++;
        assert_int_equal(newt_commit(c), NEWT_ECLASS);
        assert_non_null(strstr(newt_error_message(newt_conn_error(c)), "things.due"));
        b.rebuild = true;
        while (!b.over)
            ok(c, newt_index_build(c, &changed_index, &b));
        begin(c);
        assert_int_equal(newt_index_count(c, &changed_index, NULL), i < 3 ? OLD_THINGS : 0);
        t = newt_write(c, refs[0].any, &changed_class);
        t->other++;
        commit(c);
        newt_close(c);
        newt_db_close(db);
    }
    db = open_changed(&s, others[4]);
    c = connect_(db);
    begin(c);
    ok(c, newt_index_forget(c, "things.due"));
    commit(c);
    begin(c);
    assert_int_equal(newt_index_count(c, &changed_index, NULL), NEWT_EMISSING);
    assert_int_equal(newt_index_forget(c, "things.due"), NEWT_EMISSING);
    newt_abort(c);
    build(c, NULL);
    newt_close(c);
    newt_db_close(db);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    store_close(&s);
}

/* More names of an enum are no other definition; other ones are. */
static void
test_enum_names(void **state)
{
    static const char *const more[] = {"new", "open", "closed", "lost", NULL};
    static const char *const renamed[] = {"new", "closed", "open", NULL};
    newt_field fields[16];
    newt_class k;
    newt_hooks hooks = {.size = sizeof hooks};
    newt_index x = by_state_index;
    const newt_index *list[] = {&x, NULL};
    const newt_class *classes_of[] = {&k, NULL};
    static const char *const *const names[] = {statuses, more, statuses, renamed};
    store s;

    (void)state;
    store_make(&s, "indexes");
    s.db = store_db(&s, classes, (newt_options){0});
    make_variant(&k, fields, &hooks);
    hooks.indexes = list;
    x.class_ = &k;
    for (int i = 0; i < 4; i++) {
        newt_index_building b = {.size = sizeof b};
        newt_db *db;
        newt_conn *c;

        k.version = i + 1;
        for (uint32_t j = 0; j < k.n_fields; j++)
            if (fields[j].names)
                fields[j].names = names[i];
        db = store_db(&s, classes_of, (newt_options){0});
        c = connect_(db);
        assert_int_equal(newt_index_build(c, &x, &b), i < 3 ? NEWT_OK : NEWT_ECLASS);
        newt_close(c);
        newt_db_close(db);
    }
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    store_close(&s);
}

/* ---- what is left behind
 * --------------------------------------------------------------------------- */

static void
test_check(void **state)
{
    thing_ref refs[OLD_THINGS];
    int64_t problems;
    struct thing *t;
    newt_db *old;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    c = connect_(old);
    begin(c); /* a program that does not know the indexes */
    t = newt_write(c, refs[1].any, &plain_class);
    newt_set(t, code, "changed");
    ok(c, newt_delete(c, refs[2].any));
    t = newt_new(c, &plain_class);
    newt_set(t, code, "made");
    commit(c);
    ok(s.a, newt_index_check(s.a, &by_code_index, false, NULL, NULL, &problems));
    /* changed: not in it, and under the old key; deleted; made */
    assert_int_equal(problems, 4);
    begin(s.b); /* what is met is put right */
    make_with(s.b, "old 1", (thing_ref){{0}}, 0);
    make_with(s.b, "old 2", (thing_ref){{0}}, 0);
    commit(s.b);
    ok(s.a, newt_index_check(s.a, &by_code_index, false, NULL, NULL, &problems));
    assert_int_equal(problems, 2);
    for (const newt_index *const *x = thing_hooks.indexes; *x; x++)
        ok(s.a, newt_index_check(s.a, *x, true, NULL, NULL, &problems));
    check_indexes(s.a);
    begin(c); /* two with one code */
    t = newt_new(c, &plain_class);
    newt_set(t, code, "made");
    commit(c);
    for (const newt_index *const *x = thing_hooks.indexes + 1; *x; x++)
        ok(s.a, newt_index_check(s.a, *x, true, NULL, NULL, &problems));
    ok(s.a, newt_index_check(s.a, &by_code_index, true, NULL, NULL, &problems));
    assert_int_equal(problems, 1);
    ok(s.a, newt_index_check(s.a, &by_code_index, true, NULL, NULL, &problems));
    assert_int_equal(problems, 1); /* it cannot be mended */
    newt_close(c);
    newt_db_close(old);
    store_close(&s);
}

/* What newt_upgrade_all changes is put right, too. */
static int
delay(newt_conn *c, void *object, const newt_record *record, void *arg)
{
    struct thing *t = object;

    (void)c;
    (void)record;
    (void)arg;
    t->due.days += 1000;
    return NEWT_OK;
}

static void
test_upgraded(void **state)
{
    newt_upgrade u = {.size = sizeof u, .work = delay};
    by_due_key from = {.due = {1000}, .code = newt_str("")};
    thing_ref refs[OLD_THINGS];
    newt_db *old;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    while (!u.over)
        ok(s.a, newt_upgrade_all(s.a, &thing_class, &u));
    begin(s.a);
    assert_int_equal(by_due_count(s.a, &(by_due_range_of){.from = &from}), OLD_THINGS);
    assert_int_equal(by_due_count(s.a, NULL), OLD_THINGS);
    newt_abort(s.a);
    check_indexes(s.b);
    store_close(&s);
}

/* ---- tables
 * ------------------------------------------------------------------------------------------ */

static void
expect_refusal(const store *s, newt_index x, const char *message)
{
    newt_options o = {.size = sizeof o, .schema = store_schema(s)};
    newt_db *db;

    changed_index = x;
    make_variant(&changed_class, changed_fields, &changed_hooks);
    if (changed_index.class_ == &thing_class)
        changed_index.class_ = &changed_class;
    assert_int_equal(newt_db_open(&db, s->uri, changed, &o), NEWT_ECLASS);
    if (!strstr(newt_error_message(newt_db_error(db)), message))
        fail_msg("\"%s\", not \"%s\"", newt_error_message(newt_db_error(db)), message);
    newt_db_close(db);
}

static void
test_refused(void **state)
{
    newt_index x;
    newt_ref r;
    store s;

    (void)state;
    open_store(&s);
    x = by_code_index;
    x.size = 4;
    expect_refusal(&s, x, "wrong size");
    x = by_code_index;
    x.name = "";
    expect_refusal(&s, x, "is empty");
    x = by_code_index;
    x.class_ = &item_class;
    expect_refusal(&s, x, "of another class");
    x = by_code_index;
    x.n_parts = 4;
    expect_refusal(&s, x, "key of 4 parts");
    x = by_code_index;
    x.parts[0].field = "cod";
    expect_refusal(&s, x, "no field of class");
    x = by_code_index;
    x.parts[0].size = 8;
    expect_refusal(&s, x, "16 bytes, but 8");
    x = by_code_index;
    x.where = is_open;
    expect_refusal(&s, x, "without where_name");
    begin(s.a);
    x = by_code_index;
    assert_int_equal(newt_index_get(s.a, &by_ints_index, &x, &r), NEWT_ECLASS);
    newt_abort(s.a);
    assert_int_equal(newt_index_build(s.a, &by_ints_index,
                                      &(newt_index_building){.size = sizeof(newt_index_building)}),
                     NEWT_ECLASS);
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
    cmocka_unit_test(test_build),
    cmocka_unit_test(test_build_overtaken),
    cmocka_unit_test(test_build_beside),
    cmocka_unit_test(test_build_duplicates),
    cmocka_unit_test(test_definitions),
    cmocka_unit_test(test_enum_names),
    cmocka_unit_test(test_check),
    cmocka_unit_test(test_upgraded),
    cmocka_unit_test(test_refused),
};

int
main(void)
{
    return run_all(indexes);
}
