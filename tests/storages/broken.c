/*
 * broken.c - objects that a program cannot load as their class: of a class it does not have, not as
 * its table says, damaged. Their records stay as they are to the byte; and they can be referred to,
 * moved, walked over, copied, exported and deleted
 */
#include "../bridge/everything.h"
#include "stored.h"

enum {
    N = 100
};

/* A store with random objects of a class that the program of s.a and s.b lacks, in a list of its
 * own. */
typedef struct ground {
    store s;
    newt_db *writer;
    newt_conn *w;
    everything_ref refs[N];
    newt_list_ref list;
    uint8_t *records[N];
    size_t sizes[N];
} ground;

static void
keep_record(ground *x, int i)
{
    newt_conn *c = connect_(x->s.db);
    newt_ref r = x->refs[i].any;
    const newt__header *h;

    begin(c);
    ok(c, newt_prefetch(c, &r, 1));
    h = newt__cache_find(&c->jar.cache, r.oid);
    assert_true(h && h->bag);
    x->sizes[i] = h->record_n;
    x->records[i] = malloc(h->record_n);
    memcpy(x->records[i], h->record, h->record_n);
    newt_close(c);
}

static void
ground_open(ground *x, const char *name)
{
    struct newt_list *list;
    generate g;

    *x = (ground){0};
    generate_init(&g, generate_seed());
    store_open(&x->s, name);
    x->writer = store_db(&x->s, everything_classes, (newt_options){0});
    x->w = connect_(x->writer);
    begin(x->w);
    list = newt_list_new(x->w);
    assert_non_null(list);
    for (int i = 0; i < N; i++) {
        struct everything *e = everything_new(x->w);

        everything_fill(&g, e);
        x->refs[i] = everything_id(e);
        ok(x->w, newt_list_append(list, x->refs[i].any));
        everything_done(e);
    }
    x->list = newt_list_id(list);
    ok(x->w, newt_set_root(x->w, "list", x->list.any));
    commit(x->w);
    for (int i = 0; i < N; i++)
        keep_record(x, i);
}

static void
ground_close(ground *x)
{
    for (int i = 0; i < N; i++)
        free(x->records[i]);
    newt_close(x->w);
    newt_db_close(x->writer);
    store_close(&x->s);
}

/* What a feed gives of the store, which is what leaves it. */
static size_t export(const ground *x, const bool *gone)
{
    newt_feed_options o = {
        .size = sizeof o, .start = NEWT_FEED_COPY, .want = NEWT_FEED_RECORDS | NEWT_FEED_JSON};
    newt_conn *c = connect_(x->s.db);
    const newt_batch *batch;
    size_t found = 0;
    newt_feed *f;

    ok(c, newt_feed_open(c, &f, &o));
    do {
        ok(c, newt_feed_next(f, 0, &batch));
        for (size_t k = 0; batch && k < batch->n_events; k++) {
            const newt_event *e = &batch->events[k];

            for (int i = 0; i < N; i++) {
                if (e->oid != x->refs[i].any.oid)
                    continue;
                assert_false(gone && gone[i]);
                assert_string_equal(e->class_name, "Everything");
                assert_int_equal(e->record_n, x->sizes[i]);
                assert_memory_equal(e->record, x->records[i], x->sizes[i]);
                found++;
            }
        }
    } while (batch);
    newt_feed_close(f);
    newt_close(c);
    return found;
}

static void
test_as_they_are(void **state)
{
    newt_conn *c;
    ground x;

    (void)state;
    ground_open(&x, "as_is");
    c = x.s.a;
    begin(c);
    for (int i = 0; i < N; i++) {
        const newt_bag *b;

        assert_null(item_read(c, item_of(x.refs[i].any)));
        assert_int_equal(newt_status(c), NEWT_ECLASS);
        assert_null(item_write(c, item_of(x.refs[i].any)));
        assert_string_equal(newt_class_name(c, x.refs[i].any), "Everything");
        b = newt_bag_read(c, x.refs[i].any);
        assert_non_null(b);
        newt_bag_done(b);
    }
    commit(c);
    assert_int_equal(export(&x, NULL), N);
    ground_close(&x);
}

/* From one list into another, by a program that knows the lists alone. */
static void
test_moved(void **state)
{
    newt_walk_options o = {.size = sizeof o, .objects = 100000};
    struct newt_list *from, *to;
    int64_t before;
    newt_conn *c;
    newt_ref r;
    ground x;

    (void)state;
    ground_open(&x, "moved");
    c = x.s.a;
    begin(c);
    from = newt_list_write(c, newt_list_of(newt_root(c, "list")));
    to = newt_list_new(c);
    assert_true(from && to);
    for (int i = 0; i < N / 2; i++) {
        ok(c, newt_list_append(to, from->items.items[0]));
        ok(c, newt_list_remove(from, 0));
    }
    ok(c, newt_set_root(c, "other", newt_list_id(to).any));
    commit(c);
    assert_int_equal(export(&x, NULL), N);

    /* they are loaded by a walk, which goes on along their references */
    begin(x.s.b);
    r = newt_root(x.s.b, "other");
    before = stats_of(x.s.b).loads;
    ok(x.s.b, newt_prefetch_walk(x.s.b, &r, 1, &o));
    assert_true(stats_of(x.s.b).loads - before >= N / 2 + 1);
    for (int i = 0; i < N / 2; i++)
        assert_non_null(newt__cache_find(&x.s.b->jar.cache, x.refs[i].any.oid));
    newt_abort(x.s.b);

    /* and are what they were to their own program */
    begin(x.w);
    for (int i = 0; i < N; i++)
        assert_non_null(everything_read(x.w, x.refs[i]));
    newt_abort(x.w);
    ground_close(&x);
}

/* The state of a record, behind format, class and version. */
static const uint8_t *
state_of(const uint8_t *record, size_t n, size_t *left)
{
    newt__reader r;

    assert_int_equal(newt__read_begin(&r, &newt__malloc_env, record, n), NEWT__OK);
    *left = n - r.at;
    return record + r.at;
}

/* As a bag, whose state is the same to the byte. */
static void
test_copied(void **state)
{
    newt_ref copies[N];
    newt_conn *c;
    ground x;

    (void)state;
    ground_open(&x, "copied");
    c = x.s.a;
    begin(c);
    for (int i = 0; i < N; i++) {
        const newt_bag *b = newt_bag_read(c, x.refs[i].any);
        newt_bag *copy = newt_bag_new(c, newt_bag_class(b));
        json_t *json = newt_bag_state(b);

        assert_true(b && copy && json);
        ok(c, newt_bag_replace(copy, json));
        copies[i] = newt_bag_ref(copy);
        json_decref(json);
        /* asked for writing, and not changed, it is not written */
        assert_non_null(newt_bag_write(c, x.refs[i].any));
    }
    commit(c);
    assert_int_equal(export(&x, NULL), N);
    for (int i = 0; i < N; i++) {
        const newt_bag *b = stored(x.s.db, copies[i], &c);
        const newt__header *h = newt__header_of(b);
        size_t n, m;
        const uint8_t *want = state_of(x.records[i], x.sizes[i], &n);
        const uint8_t *got = state_of(h->record, h->record_n, &m);

        assert_bytes(got, m, want, n, "a copy");
        newt_close(c);
    }
    ground_close(&x);
}

static void
test_deleted(void **state)
{
    bool gone[N] = {false};
    newt_conn *c;
    ground x;

    (void)state;
    ground_open(&x, "deleted");
    c = x.s.a;
    begin(c);
    for (int i = 0; i < N; i += 3) {
        ok(c, newt_delete(c, x.refs[i].any));
        gone[i] = true;
    }
    commit(c);
    assert_int_equal(export(&x, gone), N - (N + 2) / 3);
    assert_int_equal(stored_serial(x.s.db, x.refs[0].any), 0);
    assert_true(stored_serial(x.s.db, x.refs[1].any) != 0);
    ground_close(&x);
}

/* ---- not as the table says ----------------------------------------------------------------- */

/* The same class, of the same version, by somebody who has another idea of it. */
struct strange {
    newt_text n;
    item_ref next;
};
NEWT_DECLARE(strange);
NEWT_CLASS(strange, "Strange", 0, NULL, NEWT_FIELD(struct strange, n),
           NEWT_REF(struct strange, next, item));

static void
test_misfits(void **state)
{
    static const newt_class *const list[] = {&strange_class, &item_class, NULL};
    newt_db *without, *db;
    newt_conn *c, *d;
    const newt_bag *b;
    item_ref item;
    json_t *json;
    int64_t savepoint;
    newt_bag *bag;
    newt_ref r;
    store s;

    (void)state;
    store_open(&s, "misfit");
    item = make_item(s.a, "item", 1);
    without = store_db(&s, NULL, (newt_options){0});
    db = store_db(&s, list, (newt_options){0});
    c = connect_(without);
    d = connect_(db);
    begin(c);
    bag = newt_bag_new(c, "Strange");
    assert_non_null(bag);
    json = json_pack("{s:i, s:{s:I}}", "n", 1, "next", "::=>", (json_int_t)item.any.oid);
    ok(c, newt_bag_replace(bag, json));
    r = newt_bag_ref(bag);
    commit(c);
    begin(d);
    assert_null(strange_read(d, strange_of(r)));
    assert_int_equal(newt_status(d), NEWT_ECLASS);
    assert_non_null(strstr(newt_error_message(newt_conn_error(d)), "field \"n\" of Strange"));
    b = newt_bag_read(d, r);
    assert_non_null(b);
    assert_true(json_equal(newt__bag_open(newt__header_of(b)) == NEWT_OK ? b->state : NULL, json));
    newt_bag_done(b);
    assert_null(newt_bag_write(d, r));
    ok(d, newt_prefetch_walk(d, &r, 1, NULL));
    assert_non_null(newt__cache_find(&d->jar.cache, item.any.oid));
    ok(d, newt_set_root(d, "strange", r));
    b = newt_bag_read(d, r); /* rolling back its removal leaves what the program points to */
    assert_non_null(b);
    ok(d, newt_savepoint(d, &savepoint));
    ok(d, newt_delete(d, r));
    ok(d, newt_rollback_to(d, savepoint));
    assert_ptr_equal(newt_bag_read(d, r), b);
    assert_true(json_equal(b->state, json));
    newt_bag_done(b);
    newt_bag_done(b);
    ok(d, newt_delete(d, r));
    commit(d);
    assert_int_equal(stored_serial(s.db, r), 0);
    json_decref(json);
    newt_close(c);
    newt_close(d);
    newt_db_close(without);
    newt_db_close(db);
    store_close(&s);
}

/* ---- damaged -------------------------------------------------------------------------------- */

static void
test_damaged(void **state)
{
    newt_feed_options o = {
        .size = sizeof o, .start = NEWT_FEED_COPY, .want = NEWT_FEED_RECORDS | NEWT_FEED_JSON};
    const newt_batch *batch;
    bool found = false;
    item_ref r, friend;
    newt_feed *f;
    store s;

    (void)state;
    if (!on_sqlite())
        needs_server();
    store_open(&s, "damaged");
    r = make_item(s.a, "a", 1);
    friend = make_item(s.a, "b", 1);
    damage(&s, r.any);
    newt__cache_clear(&s.b->jar);
    begin(s.b);
    assert_null(item_read(s.b, r));
    assert_int_equal(newt_status(s.b), NEWT_EBROKEN);
    assert_null(newt_bag_read(s.b, r.any));
    assert_int_equal(newt_status(s.b), NEWT_EBROKEN);
    assert_null(newt_bag_write(s.b, r.any));
    assert_null(newt_class_name(s.b, r.any));
    ok(s.b, newt_set_root(s.b, "damaged", r.any));
    item_write(s.b, friend)->next = r;
    ok(s.b, newt_prefetch_walk(s.b, &r.any, 1, NULL));
    commit(s.b);
    ok(s.b, newt_feed_open(s.b, &f, &o));
    ok(s.b, newt_feed_next(f, 0, &batch));
    for (size_t i = 0; i < batch->n_events; i++) {
        if (batch->events[i].oid != r.any.oid)
            continue;
        found = true;
        assert_int_equal(batch->events[i].record_n, sizeof damaged_record);
        assert_memory_equal(batch->events[i].record, damaged_record, sizeof damaged_record);
        assert_null(batch->events[i].json);
        assert_string_equal(batch->events[i].class_name, "");
    }
    assert_true(found);
    newt_feed_close(f);
    begin(s.b);
    ok(s.b, newt_delete(s.b, r.any));
    commit(s.b);
    begin(s.a);
    assert_null(item_read(s.a, r));
    assert_int_equal(newt_status(s.a), NEWT_EMISSING);
    newt_abort(s.a);
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_as_they_are), TWICE(test_moved),   TWICE(test_copied),
        TWICE(test_deleted),     TWICE(test_misfits), TWICE(test_damaged),
    };

    return run_all(tests);
}
