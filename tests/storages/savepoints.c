/*
 * savepoints.c - savepoints one by one; property.c has them at random
 */
#include "stored.h"

enum {
    MANY = 20000
};

struct strict;
NEWT_DECLARE(strict);
struct strict {
    newt_text name;
};
NEWT_CLASS(strict, "Strict", 1, NULL, NEWT_FIELD(struct strict, name, .flags = NEWT_F_REQUIRED));
static const newt_class *const both[] = {&item_class, &strict_class, NULL};

static newt_cache
cache_of(const newt_conn *c)
{
    newt_cache x = {.size = sizeof x};

    newt_cache_stats(c, &x);
    return x;
}

static int64_t
savepoint(newt_conn *c)
{
    int64_t p;

    ok(c, newt_savepoint(c, &p));
    assert_true(p > 0);
    return p;
}

/* A savepoint that is over cannot be used in any way, which harms nothing. */
#define assert_over(c, p)                                                                          \
    do {                                                                                           \
        assert_int_equal(newt_rollback_to(c, p), NEWT_EINVAL);                                     \
        assert_string_equal(newt_error_message(newt_conn_error(c)), over_text(p));                 \
        assert_int_equal(newt_release(c, p), NEWT_EINVAL);                                         \
    } while (0)

static const char *
over_text(int64_t p)
{
    static char text[64];

    snprintf(text, sizeof text, "savepoint %lld does not exist", (long long)p);
    return text;
}

/* Changed, and changed back after a savepoint: what is read then is clean, and still goes back. */
static void
test_read_as_loaded(void **state)
{
    static const struct {
        bool saved;    /* by another savepoint; else evicted */
        bool released; /* that savepoint */
        bool pinned;   /* the program has a pointer to it at the rollback */
    } ways[] = {{true, false, false}, {true, false, true},   {true, true, false},
                {true, true, true},   {false, false, false}, {false, false, true}};
    item_ref r, others[20];
    store s;

    (void)state;
    store_open_as(&s, "changed_back", (newt_options){.cache_objects = 4});
    for (int i = 0; i < 20; i++)
        others[i] = make_item(s.b, "other", i);
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        const struct item *held = NULL;
        int64_t one, two;

        r = make_item(s.a, "a", 1);
        begin(s.a);
        write_n(s.a, r, 2);
        one = savepoint(s.a);
        write_n(s.a, r, 1);
        if (ways[k].saved) {
            two = savepoint(s.a);
            if (ways[k].released)
                ok(s.a, newt_release(s.a, two));
        } else {
            for (int i = 0; i < 20; i++)
                item_done(item_read(s.a, others[i]));
        }
        held = item_read(s.a, r);
        assert_non_null(held);
        assert_int_equal(held->n, 1);
        if (!ways[k].pinned)
            item_done(held);
        ok(s.a, newt_rollback_to(s.a, one));
        if (ways[k].pinned)
            assert_int_equal(held->n, 2);
        assert_int_equal(item_read(s.a, r)->n, 2);
        commit(s.a);
        begin(s.a);
        assert_int_equal(item_read(s.a, r)->n, 2);
        write_n(s.a, r, 3);
        commit(s.a);
        assert_int_equal(stored_int(s.db, r.any, "n"), 3);
    }
    store_close(&s);
}

static void
test_nested(void **state)
{
    int64_t one, two, three;
    item_ref r, fresh;
    store s;

    (void)state;
    store_open(&s, "nested");
    r = make_item(s.a, "r", 1);
    begin(s.a);
    write_n(s.a, r, 2);
    one = savepoint(s.a);
    write_n(s.a, r, 3);
    two = savepoint(s.a);
    write_n(s.a, r, 4);
    fresh = item_id(new_item(s.a, "fresh", 1));
    three = savepoint(s.a);
    write_n(s.a, r, 5);
    write_n(s.a, fresh, 2);
    /* the same one twice */
    ok(s.a, newt_rollback_to(s.a, three));
    assert_int_equal(read_n(s.a, r), 4);
    assert_int_equal(read_n(s.a, fresh), 1);
    write_n(s.a, r, 6);
    ok(s.a, newt_rollback_to(s.a, three));
    assert_int_equal(read_n(s.a, r), 4);
    ok(s.a, newt_rollback_to(s.a, one));
    assert_over(s.a, three);
    assert_over(s.a, two);
    assert_int_equal(read_n(s.a, r), 2);
    assert_null(item_read(s.a, fresh));
    assert_int_equal(newt_status(s.a), NEWT_EMISSING);
    commit(s.a);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 2);
    assert_null(item_read(s.b, fresh));
    commit(s.b);
    store_close(&s);
}

static void
test_over(void **state)
{
    int64_t one, two;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "over");
    r = make_item(s.a, "r", 1);
    assert_int_equal(newt_savepoint(s.a, &one), NEWT_EBUSY);
    assert_int_equal(newt_rollback_to(s.a, 1), NEWT_EBUSY);
    assert_int_equal(newt_release(s.a, 1), NEWT_EBUSY);
    begin(s.a);
    one = savepoint(s.a);
    commit(s.a);
    begin(s.a);
    assert_over(s.a, one);
    assert_over(s.a, 0);
    one = savepoint(s.a);
    newt_abort(s.a);
    begin(s.a);
    assert_over(s.a, one);
    /* released: what it kept belongs to the one before */
    one = savepoint(s.a);
    write_n(s.a, r, 2);
    two = savepoint(s.a);
    write_n(s.a, r, 3);
    ok(s.a, newt_release(s.a, two));
    assert_over(s.a, two);
    assert_true(savepoint(s.a) > two); /* a number comes once */
    assert_over(s.a, two);
    assert_int_equal(read_n(s.a, r), 3);
    ok(s.a, newt_rollback_to(s.a, one));
    assert_int_equal(read_n(s.a, r), 1);
    write_n(s.a, r, 4);
    ok(s.a, newt_release(s.a, one));
    assert_over(s.a, one);
    commit(s.a);
    assert_int_equal(stored_int(s.db, r.any, "n"), 4);
    store_close(&s);
}

/* Changed, saved, changed back, saved: then there is nothing to write, and each step can be undone.
 */
static void
test_changed_back(void **state)
{
    int64_t one, two, tid;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "back");
    r = make_item(s.a, "r", 1);
    tid = newt_tid(s.a);
    begin(s.a);
    write_n(s.a, r, 2);
    one = savepoint(s.a);
    write_n(s.a, r, 1);
    two = savepoint(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    ok(s.a, newt_rollback_to(s.a, one));
    assert_int_equal(read_n(s.a, r), 2);
    write_n(s.a, r, 1);
    two = savepoint(s.a);
    write_n(s.a, r, 3);
    ok(s.a, newt_rollback_to(s.a, two));
    assert_int_equal(read_n(s.a, r), 1);
    /* in the file it is once, or not at all */
    assert_int_equal(cache_of(s.a).spilled, 0);
    for (int i = 2; i < 5; i++) {
        write_n(s.a, r, i);
        savepoint(s.a);
        assert_int_equal(cache_of(s.a).spilled, 1);
    }
    ok(s.a, newt_rollback_to(s.a, two));
    assert_int_equal(cache_of(s.a).spilled, 0);
    commit(s.a);
    assert_int_equal(stored_tid(s.db), tid);
    store_close(&s);
}

static void
test_deleted(void **state)
{
    int64_t one, two;
    item_ref r, fresh;
    const struct item *held;
    store s;

    (void)state;
    store_open(&s, "deleted");
    r = make_item(s.a, "r", 1);
    begin(s.a);
    fresh = item_id(new_item(s.a, "fresh", 7));
    held = item_read(s.a, r);
    one = savepoint(s.a);
    ok(s.a, newt_delete(s.a, r.any));
    ok(s.a, newt_delete(s.a, fresh.any));
    two = savepoint(s.a);
    assert_null(item_read(s.a, r));
    assert_null(item_read(s.a, fresh));
    ok(s.a, newt_rollback_to(s.a, one));
    assert_int_equal(held->n, 1);
    assert_int_equal(read_n(s.a, r), 1);
    assert_int_equal(read_n(s.a, fresh), 7);
    ok(s.a, newt_delete(s.a, r.any));
    ok(s.a, newt_delete(s.a, fresh.any));
    two = savepoint(s.a);
    ok(s.a, newt_rollback_to(s.a, two));
    assert_null(item_read(s.a, r));
    commit(s.a);
    assert_int_equal(stored_serial(s.db, r.any), 0);
    assert_int_equal(stored_serial(s.db, fresh.any), 0);
    store_close(&s);
}

/* Pointers stay valid, and what they point to is as it was. */
static void
test_pointers(void **state)
{
    struct item *w, *fresh, *kept;
    const struct item *read;
    item_ref r, q;
    newt_text was;
    int64_t one;
    store s;

    (void)state;
    store_open(&s, "pointers");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    begin(s.a);
    kept = new_item(s.a, "kept", 1);
    w = item_write(s.a, r);
    read = item_read(s.a, q);
    newt_set(w, name, "before");
    one = savepoint(s.a);
    newt_set(w, name, "a name that is longer than the one before");
    w->n = 2; /* without a call */
    was = w->name;
    kept->n = 2;
    write_n(s.a, q, 2);
    fresh = new_item(s.a, "fresh", 1);
    ok(s.a, newt_rollback_to(s.a, one));
    assert_string_equal(was.s, "a name that is longer than the one before");
    assert_string_equal(w->name.s, "before");
    assert_int_equal(w->n, 1);
    assert_ptr_equal(item_read(s.a, r), w);
    assert_int_equal(read->n, 1);
    assert_ptr_equal(item_read(s.a, q), read);
    assert_int_equal(kept->n, 1);
    assert_string_equal(kept->name.s, "kept");
    assert_null(item_read(s.a, item_id(fresh)));
    assert_null(item_edit(fresh));
    /* they can be written through */
    w->n = 3;
    kept->n = 3;
    q = item_id(kept);
    commit(s.a);
    assert_int_equal(stored_int(s.db, r.any, "n"), 3);
    assert_int_equal(stored_int(s.db, q.any, "n"), 3);
    store_close(&s);
}

/* What cannot be committed cannot be kept either, and the transaction goes on. */
static void
test_refused(void **state)
{
    struct strict *x;
    int64_t p;
    store s;

    (void)state;
    store_make(&s, "refused");
    s.db = store_db(&s, both, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    x = strict_new(s.a);
    assert_int_equal(newt_savepoint(s.a, &p), NEWT_EINVAL);
    assert_int_equal(p, 0);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), strict_id(x).any.oid);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "\"name\""));
    newt_set(x, name, "there");
    p = savepoint(s.a);
    newt_set(x, name, NULL);
    ok(s.a, newt_rollback_to(s.a, p));
    assert_string_equal(x->name.s, "there");
    commit(s.a);
    store_close(&s);
}

/* A change that has failed is undone with the others; what the snapshot has lost is not. */
static void
test_broken(void **state)
{
    item_ref r, q;
    int64_t p;
    store s;

    (void)state;
    store_open(&s, "broken");
    r = make_item(s.a, "r", 1);
    q = make_item(s.b, "q", 1); /* which a has not in its cache */
    begin(s.a);
    write_n(s.a, r, 2);
    p = savepoint(s.a);
    write_n(s.a, r, 3);
    assert_int_equal(newt_set_root(s.a, "", r.any), NEWT_EINVAL);
    assert_true(newt_is_doomed(s.a));
    assert_null(item_read(s.a, r));
    assert_int_equal(newt_savepoint(s.a, &(int64_t){0}), NEWT_EINVAL);
    assert_int_equal(newt_release(s.a, p), NEWT_EINVAL);
    ok(s.a, newt_rollback_to(s.a, p));
    assert_false(newt_is_doomed(s.a));
    assert_int_equal(newt_status(s.a), NEWT_OK);
    assert_int_equal(read_n(s.a, r), 2);
    commit(s.a);
    /* begun on a cache that others make out of date */
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 2);
    commit(s.a);
    begin_alone(s.a);
    assert_int_equal(read_n(s.a, r), 2);
    p = savepoint(s.a);
    write_n(s.a, r, 3);
    ok(s.a, newt_rollback_to(s.a, p)); /* that it was read is not undone */
    begin(s.b);
    write_n(s.b, r, 10);
    commit(s.b);
    assert_int_equal(newt_prefetch(s.a, &q.any, 1), NEWT_ECONFLICT);
    assert_true(newt_is_doomed(s.a));
    assert_int_equal(newt_rollback_to(s.a, p), NEWT_ECONFLICT);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_int_equal(stored_int(s.db, q.any, "n"), 1);
    store_close(&s);
}

static void
test_bags(void **state)
{
    newt_bag *bag, *second;
    json_t *json;
    newt_ref r, gone;
    int64_t one;
    store s;

    (void)state;
    store_open(&s, "bags");
    begin(s.a);
    bag = newt_bag_new(s.a, "Loose");
    ok(s.a, newt_bag_set_text(bag, "x", "1", 1));
    r = newt_bag_ref(bag);
    commit(s.a);
    begin(s.a);
    bag = newt_bag_write(s.a, r);
    one = savepoint(s.a);
    ok(s.a, newt_bag_set_text(bag, "x", "2", 1));
    second = newt_bag_new(s.a, "Loose");
    ok(s.a, newt_bag_set_text(second, "x", "3", 1));
    gone = newt_bag_ref(second);
    newt_bag_done(second);
    ok(s.a, newt_rollback_to(s.a, one));
    json = newt_bag_get(bag, "x");
    assert_int_equal(json_integer_value(json), 1);
    json_decref(json);
    assert_null(newt_bag_read(s.a, gone));
    ok(s.a, newt_bag_set_text(bag, "x", "4", 1));
    newt_bag_done(bag);
    one = savepoint(s.a);
    bag = newt_bag_write(s.a, r);
    ok(s.a, newt_bag_set_text(bag, "x", "5", 1));
    newt_bag_done(bag);
    ok(s.a, newt_rollback_to(s.a, one));
    commit(s.a);
    assert_int_equal(stored_int(s.db, r, "x"), 4);
    store_close(&s);
}

/* What newt_read_current was told stays, also of an object whose change is undone. */
static void
test_read_current(void **state)
{
    item_ref r, q;
    int64_t p;
    store s;

    (void)state;
    store_open(&s, "current");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    begin(s.a);
    p = savepoint(s.a);
    ok(s.a, newt_read_current(s.a, r.any));
    write_n(s.a, r, 2);
    ok(s.a, newt_rollback_to(s.a, p));
    write_n(s.a, q, 2);
    begin(s.b);
    write_n(s.b, r, 5);
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r.any.oid);
    store_close(&s);
}

/* What lies in the file and is deleted then is not committed, though it leaves the cache. */
static void
test_deleted_and_evicted(void **state)
{
    newt_options small = {.cache_objects = 100};
    struct item *x;
    item_ref r;
    store s;

    (void)state;
    store_open_as(&s, "deleted_and_evicted", small);
    begin(s.a);
    x = new_item(s.a, "r", 1);
    r = item_id(x);
    item_done(x);
    savepoint(s.a);
    ok(s.a, newt_delete(s.a, r.any));
    for (int i = 0; i < 1000; i++)
        item_done(new_item(s.a, "x", i));
    assert_null(item_read(s.a, r));
    commit(s.a);
    assert_int_equal(stored_serial(s.db, r.any), 0);
    store_close(&s);
}

/* What a rollback leaves to the pointers that there are counts as memory of the cache; so does what
 * lies in the file and is pinned. */
static void
test_counted(void **state)
{
    enum {
        LONG = 100000,
        TIMES = 10
    };
    char *text = calloc(1, LONG + 1);
    const struct item *saved;
    struct item *w;
    int64_t p, before;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "counted");
    memset(text, 'x', LONG);
    begin(s.a);
    w = new_item(s.a, "w", 1);
    newt_set(w, name, text);
    free(text);
    p = savepoint(s.a);
    before = cache_of(s.a).bytes;
    for (int i = 0; i < TIMES; i++) {
        w->n = i;
        ok(s.a, newt_rollback_to(s.a, p));
    }
    assert_true(cache_of(s.a).bytes >= before + TIMES * LONG);
    r = item_id(w);
    item_done(w);
    savepoint(s.a);
    assert_int_equal(cache_of(s.a).pinned, 0);
    saved = item_read(s.a, r);
    assert_int_equal(cache_of(s.a).pinned, 1);
    item_done(saved);
    commit(s.a);
    store_close(&s);
}

/* More than the cache holds, of which each savepoint writes what is new alone. */
static void
test_many(void **state)
{
    newt_options small = {.cache_objects = 500};
    static item_ref refs[MANY];
    int64_t points[4];
    store s;

    (void)state;
    store_open_as(&s, "many", small);
    begin(s.a);
    for (int i = 0; i < MANY; i++) {
        struct item *x = new_item(s.a, "x", i);

        refs[i] = item_id(x);
        item_done(x);
        if ((i + 1) % (MANY / 4) == 0)
            points[i / (MANY / 4)] = savepoint(s.a);
    }
    assert_true(cache_of(s.a).objects <= 501);
    assert_int_equal(cache_of(s.a).spilled, MANY);
    assert_int_equal(cache_of(s.a).changed, 0);
    for (int i = 0; i < MANY; i += 7)
        write_n(s.a, refs[i], -1);
    ok(s.a, newt_rollback_to(s.a, points[1]));
    assert_int_equal(cache_of(s.a).spilled, MANY / 2);
    for (int i = 0; i < MANY; i += 97) {
        const struct item *x = item_read(s.a, refs[i]);

        assert_true(i < MANY / 2 ? x && x->n == i : x == NULL);
        item_done(x);
    }
    commit(s.a);
    assert_int_equal(stored_int(s.db, refs[MANY / 2 - 1].any, "n"), MANY / 2 - 1);
    assert_int_equal(stored_serial(s.db, refs[MANY / 2].any), 0);
    store_close(&s);
}

static void
test_limit(void **state)
{
    int64_t p = 0, first;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "limit");
    r = make_item(s.a, "r", 0);
    begin(s.a);
    first = savepoint(s.a);
    for (int i = 1; i < NEWT__MOST_SAVEPOINTS; i++) {
        if (i % 100 == 0)
            write_n(s.a, r, i);
        p = savepoint(s.a);
    }
    assert_int_equal(newt_savepoint(s.a, &p), NEWT_ELIMIT);
    ok(s.a, newt_rollback_to(s.a, first));
    assert_int_equal(read_n(s.a, r), 0);
    /* one after another there may be any number */
    for (int i = 0; i < 3 * NEWT__MOST_SAVEPOINTS; i++) {
        p = savepoint(s.a);
        write_n(s.a, r, i);
        ok(s.a, i % 2 ? newt_rollback_to(s.a, p) : newt_release(s.a, p));
        if (i % 2)
            ok(s.a, newt_release(s.a, p));
    }
    commit(s.a);
    assert_int_equal(stored_int(s.db, r.any, "n"), 3 * NEWT__MOST_SAVEPOINTS - 2);
    store_close(&s);
}

/* In debug mode a savepoint finds what was changed without being asked for. */
static void
test_debug(void **state)
{
    newt_options debug = {.debug = true};
    const struct item *x;
    int64_t p;
    item_ref r;
    store s;

    (void)state;
    store_open_as(&s, "debug", debug);
    r = make_item(s.a, "r", 1);
    begin(s.a);
    x = item_read(s.a, r);
    p = savepoint(s.a);
    ((struct item *)(uintptr_t)x)->n = 2;
    assert_int_equal(newt_savepoint(s.a, &p), NEWT_EINVAL);
    newt_abort(s.a);
    store_close(&s);
}

static const struct CMUnitTest savepoints[] = {
    cmocka_unit_test(test_counted),      cmocka_unit_test(test_deleted_and_evicted),
    cmocka_unit_test(test_nested),       cmocka_unit_test(test_read_as_loaded),
    cmocka_unit_test(test_changed_back), cmocka_unit_test(test_over),
    cmocka_unit_test(test_changed_back), cmocka_unit_test(test_deleted),
    cmocka_unit_test(test_pointers),     cmocka_unit_test(test_refused),
    cmocka_unit_test(test_broken),       cmocka_unit_test(test_bags),
    cmocka_unit_test(test_read_current), cmocka_unit_test(test_many),
    cmocka_unit_test(test_limit),        cmocka_unit_test(test_debug),
};

int
main(void)
{
    return run_all(savepoints);
}
