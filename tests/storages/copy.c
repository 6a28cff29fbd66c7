/*
 * copy.c - a store copied into a new one: from memory and from another of its kind
 */
#include "../concurrency/concurrency.h"
#include "stored.h"

enum {
    OBJECTS = 3000,
    STOP = 77
};

typedef struct copying {
    store from, to;
    newt_db *memory; /* the first one, if that is in memory */
    newt_conn *a, *b;
    item_ref refs[OBJECTS];
} copying;

static void
make_some(copying *x)
{
    begin(x->a);
    for (int i = 0; i < OBJECTS; i++) { /* a large transaction */
        struct item *t = new_item(x->a, "text", i);

        x->refs[i] = item_id(t);
        if (i > 0)
            t->next = x->refs[i - 1];
        item_done(t);
    }
    ok(x->a, newt_set_root(x->a, "last", x->refs[OBJECTS - 1].any));
    ok(x->a, newt_describe(x->a, "somebody", "all of them", NULL));
    commit(x->a);
    for (int i = 0; i < 20; i++) {
        begin(x->a);
        write_n(x->a, x->refs[i * 7], -i);
        if (i % 5 == 0)
            ok(x->a, newt_delete(x->a, x->refs[1000 + i].any));
        commit(x->a);
    }
}

static void
copying_open(copying *x, bool from_memory)
{
    *x = (copying){0};
    store_open(&x->to, "copied");
    if (from_memory) {
        assert_int_equal(newt_db_open(&x->memory, "memory:", classes, NULL), NEWT_OK);
        x->a = connect_(x->memory);
        x->b = connect_(x->memory);
    } else {
        store_open(&x->from, "original");
        x->a = x->from.a;
        x->b = x->from.b;
    }
    make_some(x);
}

static void
copying_close(copying *x)
{
    store_close(&x->to);
    if (x->memory) {
        newt_close(x->a);
        newt_close(x->b);
        newt_db_close(x->memory);
    } else {
        store_close(&x->from);
    }
}

/* ---- what both hold ------------------------------------------------------------------------- */

typedef struct seen {
    newt_feed *f;
    const newt_batch *batch;
} seen;

static void
look(seen *s, newt_conn *c, newt_feed_start start)
{
    newt_feed_options o = {.size = sizeof o,
                           .start = start,
                           .want = NEWT_FEED_RECORDS,
                           .batch_objects = 1000000,
                           .batch_bytes = INT32_MAX};

    ok(c, newt_feed_open(c, &s->f, &o));
    ok(c, newt_feed_next(s->f, 0, &s->batch));
    assert_non_null(s->batch);
}

static bool
same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void
compare(copying *x)
{
    seen a, b;

    look(&a, x->b, NEWT_FEED_COPY);
    look(&b, x->to.b, NEWT_FEED_COPY);
    assert_int_equal(a.batch->n_events, b.batch->n_events);
    for (size_t i = 0; i < a.batch->n_events; i++) {
        const newt_event *p = &a.batch->events[i], *q = &b.batch->events[i];

        assert_int_equal(p->oid, q->oid);
        assert_int_equal(p->serial, q->serial);
        assert_int_equal(p->record_n, q->record_n);
        assert_memory_equal(p->record, q->record, p->record_n);
    }
    newt_feed_close(a.f);
    newt_feed_close(b.f);
    look(&a, x->b, NEWT_FEED_OLDEST);
    look(&b, x->to.b, NEWT_FEED_OLDEST);
    assert_int_equal(a.batch->n_transactions, b.batch->n_transactions);
    for (size_t i = 0; i < a.batch->n_transactions; i++) {
        const newt_feed_transaction *p = &a.batch->transactions[i], *q = &b.batch->transactions[i];

        assert_int_equal(p->tid, q->tid);
        assert_int_equal(p->serial, q->serial);
        assert_int_equal(p->committed_us, q->committed_us);
        assert_int_equal(p->n_events, q->n_events);
        assert_true(same_text(p->description, q->description));
        assert_true(p->user == NULL || same_text(p->user, q->user));
        for (size_t k = 0; k < p->n_events; k++) {
            const newt_event *e = &a.batch->events[p->first_event + k],
                             *g = &b.batch->events[q->first_event + k];

            assert_int_equal(e->oid, g->oid);
            assert_int_equal(e->kind, g->kind);
            if (e->kind == NEWT_EVENT_REMOVED)
                assert_string_equal(e->class_name, g->class_name);
        }
    }
    newt_feed_close(a.f);
    newt_feed_close(b.f);
    /* and each object has its row */
    assert_sql(
        x->to.pg, "0",
        "SELECT count(*) FROM object_state o FULL JOIN newt USING (zoid) WHERE zoid <> 1 AND "
        "o.serial IS DISTINCT FROM newt.serial");
    if (*x->to.file) {
        assert_file(x->to.file, "0",
                    "SELECT count(*) FROM object_state o LEFT JOIN newt_projection p "
                    "ON p.zoid = o.zoid WHERE p.serial IS NOT o.serial");
        assert_sound(x->to.file);
    }
    if (x->from.pg)
        assert_sql(x->to.pg, "0",
                   "SELECT count(*) FROM %s.newt a FULL JOIN %s.newt b USING (zoid) WHERE "
                   "a.state IS DISTINCT FROM b.state OR a.class_name IS DISTINCT FROM b.class_name",
                   x->from.schema, x->to.schema);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void
test_whole(void **state)
{
    copying x;

    (void)state;
    if (on_memory() || on_layer()) /* nothing can be copied to one */
        skip();
    for (int memory = 0; memory < 2; memory++) {
        copying_open(&x, memory);
        begin(x.to.a); /* takes oids, which will be in use */
        new_item(x.to.a, "none", 1);
        newt_abort(x.to.a);
        ok(x.a, newt_copy(x.a, x.to.a, NULL));
        compare(&x);
        /* once more: nothing */
        ok(x.a, newt_copy(x.a, x.to.a, NULL));
        compare(&x);
        /* what has changed since */
        begin(x.a);
        write_n(x.a, x.refs[5], 1234);
        ok(x.a, newt_delete(x.a, x.refs[6].any));
        x.refs[6] = item_id(new_item(x.a, "new", 1));
        commit(x.a);
        ok(x.a, newt_copy(x.a, x.to.a,
                          &(newt_copy_options){.size = sizeof(newt_copy_options), .last = true}));
        compare(&x);
        /* the second goes on by itself: no number is given out twice */
        begin(x.to.a);
        assert_int_equal(newt_root(x.to.a, "last").oid, x.refs[OBJECTS - 1].any.oid);
        assert_true(item_id(new_item(x.to.a, "own", 1)).any.oid > x.refs[6].any.oid);
        commit(x.to.a);
        assert_true(newt_tid(x.to.a) > newt_tid(x.a));
        assert_int_equal(newt_copy(x.a, x.to.a, NULL), NEWT_EINVAL);
        assert_int_equal(newt_error_status(newt_conn_error(x.to.a)), NEWT_EINVAL);
        copying_close(&x);
    }
}

typedef struct stop {
    int64_t calls, at;
    copying *x;
    chance *random;
} stop;

static int
stop_there(const newt_copy_progress *p, void *arg)
{
    stop *s = arg;

    assert_int_equal(p->size, sizeof *p);
    return ++s->calls == s->at ? STOP : NEWT_OK;
}

/* Stopped after each part, and gone on with, in small parts. */
static void
test_stopped(void **state)
{
    newt_copy_options o = {.size = sizeof o, .objects = 700, .progress = stop_there};
    int status = STOP, runs = 0;
    copying x;

    (void)state;
    if (on_memory() || on_layer()) /* nothing can be copied to one */
        skip();
    copying_open(&x, false);
    while (status == STOP) {
        stop s = {.at = 1};

        o.arg = &s;
        status = newt_copy(x.a, x.to.a, &o);
        /* a run that only goes through rows that are there ends */
        if (++runs > 8)
            o.progress = NULL;
    }
    ok(x.a, status);
    assert_true(runs > 5);
    compare(&x);
    copying_close(&x);
}

/* What the program does in between ends before the copy goes on. */
static int
begin_there(const newt_copy_progress *p, void *arg)
{
    (void)p;
    begin(arg);
    return NEWT_OK;
}

static void
test_begun(void **state)
{
    newt_copy_options o = {.size = sizeof o, .objects = 700, .progress = begin_there};
    copying x;

    (void)state;
    if (on_memory() || on_layer())
        skip();
    copying_open(&x, false);
    for (int i = 0; i < 2; i++) {
        o.arg = i ? x.a : x.to.a;
        assert_int_equal(newt_copy(x.a, x.to.a, &o), NEWT_EBUSY);
        assert_non_null(strstr(newt_error_message(newt_conn_error(x.a)), "inside a transaction"));
        newt_abort(o.arg);
    }
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    compare(&x);
    copying_close(&x);
}

/* The first store goes on being written, by another connection. */
static int
write_meanwhile(const newt_copy_progress *p, void *arg)
{
    stop *s = arg;
    newt_conn *c = s->x->b;

    (void)p;
    if (s->calls++ > 40)
        return NEWT_OK;
    begin(c);
    for (int i = 0; i < 30; i++) {
        int k = pick(s->random, OBJECTS);
        struct item *t = item_write(c, s->x->refs[k]);

        if (!t || pick(s->random, 5) == 0) {
            if (t)
                ok(c, newt_delete(c, s->x->refs[k].any));
            item_done(t);
            t = new_item(c, "later", k);
            s->x->refs[k] = item_id(t);
        }
        t->n = s->calls;
        item_done(t);
    }
    commit(c);
    return NEWT_OK;
}

static void
test_online(void **state)
{
    chance random = {take_seed()};
    copying x;

    (void)state;
    if (on_memory() || on_layer()) /* nothing can be copied to one */
        skip();
    for (int memory = 0; memory < 2; memory++) {
        stop s = {.x = &x, .random = &random};
        newt_copy_options o = {
            .size = sizeof o, .objects = 400, .progress = write_meanwhile, .arg = &s};

        copying_open(&x, memory);
        ok(x.a, newt_copy(x.a, x.to.a, &o));
        assert_true(s.calls > 10);
        ok(x.a, newt_copy(x.a, x.to.a, NULL));
        compare(&x);
        copying_close(&x);
    }
}

/* The first store is under a layer for a while. */
static void
test_another(void **state)
{
    copying x;

    (void)state;
    if (on_memory() || on_layer())
        skip();
    copying_open(&x, true);
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    assert_int_equal(newt_db_push(x.memory), NEWT_OK);
    make_item(x.a, "in a layer", 1);
    assert_int_equal(newt_copy(x.a, x.to.a, NULL), NEWT_EINVAL);
    assert_int_equal(newt_db_pop(x.memory), NEWT_OK);
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    compare(&x);
    copying_close(&x);
}

/* A copy that goes on finds that somebody else has written to the second store. */
static void
test_not_alone(void **state)
{
    copying x;

    (void)state;
    if (on_memory() || on_layer()) /* nothing can be copied to one */
        skip();
    copying_open(&x, true);
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    begin(x.to.b);
    write_n(x.to.b, x.refs[5], 1);
    commit(x.to.b);
    assert_int_equal(newt_copy(x.a, x.to.a, NULL), NEWT_EINVAL);
    assert_string_equal(
        newt_error_message(newt_conn_error(x.a)),
        "in the store that is copied to: the store has transactions that newt_copy did not write");
    assert_string_equal(newt_error_message(newt_conn_error(x.to.a)),
                        "the store has transactions that newt_copy did not write");
    assert_int_equal(stored_int(x.to.db, x.refs[5].any, "n"), 1);
    copying_close(&x);
}

static int
count_up(const newt_copy_progress *p, void *arg)
{
    newt_copy_progress *last = arg;

    assert_true(p->objects >= last->objects && p->bytes >= last->bytes &&
                p->transactions >= last->transactions && p->projected >= last->projected);
    *last = *p;
    return NEWT_OK;
}

/* Objects of which few fit into a part. */
static void
test_large(void **state)
{
    enum {
        LARGE = 5,
        BYTES = 3 << 20,
        MANY = 2000
    };
    newt_copy_progress last = {0};
    newt_copy_options o = {.size = sizeof o, .progress = count_up, .arg = &last};
    char *text = calloc(1, BYTES + 1);
    item_ref gone[LARGE];
    static item_ref many[MANY];
    int64_t round_trips;
    copying x;

    (void)state;
    if (on_memory() || on_layer()) { /* nothing can be copied to one */
        free(text);
        skip();
    }
    memset(text, 'x', BYTES);
    copying_open(&x, false);
    for (int later = 0; later < 2; later++) { /* as they are, and as they have changed since */
        for (int i = 0; i < LARGE; i++)
            gone[i] = make_item(x.a, text, i);
        begin(x.a);
        for (int i = 0; i < MANY; i++)
            many[i] = item_id(new_item(x.a, "one of many", i));
        commit(x.a);
        last = (newt_copy_progress){0};
        ok(x.a, newt_copy(x.a, x.to.a, &o));
        compare(&x);
        assert_true(last.bytes >= (int64_t)LARGE * BYTES);
        assert_true(last.objects >= MANY);
        if (later == 0)
            assert_int_equal(last.projected, OBJECTS + LARGE + MANY - 4 + 1);
    }
    /* they go, without being asked for one by one */
    begin(x.a);
    for (int i = 0; i < LARGE; i++)
        ok(x.a, newt_delete(x.a, gone[i].any));
    for (int i = 0; i < MANY; i++)
        ok(x.a, newt_delete(x.a, many[i].any));
    commit(x.a);
    round_trips = stats_of(x.a).round_trips;
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    assert_true(stats_of(x.a).round_trips - round_trips < 100);
    compare(&x);
    free(text);
    copying_close(&x);
}

/* A damaged record is copied as it is, and stops nothing. */
static void
test_damaged(void **state)
{
    copying x;
    item_ref r;

    (void)state;
    if (!on_sqlite())
        needs_server();
    copying_open(&x, false);
    r = x.refs[1];
    damage(&x.from, r.any);
    ok(x.a, newt_copy(x.a, x.to.a, NULL));
    begin(x.to.b);
    assert_null(item_read(x.to.b, r));
    assert_int_equal(newt_status(x.to.b), NEWT_EBROKEN);
    assert_int_equal(read_n(x.to.b, x.refs[2]), 2);
    newt_abort(x.to.b);
    copying_close(&x);
}

static void
test_refused(void **state)
{
    newt_copy_options o = {.size = sizeof o, .objects = -1};
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    if (on_layer())
        skip();
    store_open(&s, "refused");
    make_item(s.a, "x", 1);
    assert_int_equal(newt_db_open(&db, "memory:", classes, NULL), NEWT_OK);
    c = connect_(db);
    assert_int_equal(newt_copy(s.a, c, NULL), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "a store in memory cannot be copied to");
    begin(c);
    assert_int_equal(newt_copy(s.a, c, NULL), NEWT_EBUSY);
    assert_int_equal(newt_copy(c, s.a, NULL), NEWT_EBUSY);
    newt_abort(c);
    assert_int_equal(newt_copy(c, s.a, &o), NEWT_EINVAL);
    assert_int_equal(newt_copy(c, s.a, NULL), NEWT_EINVAL); /* it has a transaction */
    if (!strstr(newt_error_message(newt_conn_error(c)), "cannot be copied to")) {
        assert_string_equal(newt_error_message(newt_conn_error(c)),
                            "in the store that is copied to: the store has transactions that "
                            "newt_copy did not write");
        assert_string_equal(newt_error_hint(newt_conn_error(c)),
                            "Copy into a new one, made by newt_store_create().");
        assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                            "the store has transactions that newt_copy did not write");
    }
    assert_int_equal(newt_copy(s.a, s.b, NULL), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "both connections are of the same database");
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

static const struct CMUnitTest copies[] = {
    cmocka_unit_test_setup(test_whole, with),
    cmocka_unit_test_setup(test_stopped, with),
    cmocka_unit_test_setup(test_online, with),
    cmocka_unit_test_setup(test_whole, without),
    cmocka_unit_test_setup(test_not_alone, with),
    cmocka_unit_test(test_begun),
    cmocka_unit_test(test_another),
    cmocka_unit_test_setup(test_large, with),
    cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_refused),
};

int
main(void)
{
    return run_all(copies);
}
