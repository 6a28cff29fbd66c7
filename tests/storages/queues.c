/*
 * queues.c - queues: order, priorities, what is put and pulled by several transactions at a time
 */
#include "../concurrency/concurrency.h"
#include "stored.h"
#include "../brief.h"

#include "../../bridge/btree/btree.h"

static newt_queue_ref
make(newt_conn *c, int lanes, bool by_priority)
{
    newt_queue_options o = {.size = sizeof o, .lanes = lanes, .by_priority = by_priority};
    newt_queue_ref q;

    begin(c);
    q = newt_queue_create(c, &o);
    if (newt_is_null(q.any))
        fail_error("newt_queue_create", newt_conn_error(c));
    commit(c);
    return q;
}

static void
put(newt_conn *c, newt_queue_ref q, int64_t item, int64_t priority)
{
    newt_ref r = {item};

    ok(c, newt_queue_put(c, q, r, priority));
}

/* 0: it is empty */
static int64_t
pull(newt_conn *c, newt_queue_ref q)
{
    newt_ref peeked, r;
    int there = newt_queue_peek(c, q, &peeked), found = newt_queue_pull(c, q, &r);

    if (found < 0 || there < 0)
        fail_error("newt_queue_pull", newt_conn_error(c));
    assert_int_equal(found, there);
    assert_int_equal(found, r.oid != 0);
    assert_int_equal(r.oid, peeked.oid);
    return r.oid;
}

static void
assert_sound_queue(newt_conn *c, newt_queue_ref q)
{
    int64_t problems;

    ok(c, newt_queue_check(c, q, NULL, NULL, &problems));
    assert_int_equal(problems, 0);
}

/* One lane: strictly in order, over transactions, aborts and many nodes. */
static void
test_order(void **state)
{
    enum {
        ITEMS = 1500
    };
    store s;
    newt_queue_ref q;

    (void)state;
    store_open(&s, "queue");
    q = make(s.a, 1, false);
    begin(s.a);
    assert_int_equal(pull(s.a, q), 0);
    for (int i = 1; i <= ITEMS; i++) {
        put(s.a, q, i, ITEMS - i); /* which says nothing here */
        if (i % 100 == 0) {
            commit(s.a);
            begin(s.a);
        }
    }
    put(s.a, q, 999999, 0);
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(newt_queue_length(s.a, q), ITEMS);
    assert_int_equal(pull(s.a, q), 1);
    newt_abort(s.a); /* it stays where it was */
    for (int i = 1; i <= ITEMS; i++) {
        if (i % 100 == 1)
            begin(s.a);
        assert_int_equal(pull(s.a, q), i);
        if (i % 100 == 0)
            commit(s.a);
    }
    begin(s.a);
    assert_int_equal(pull(s.a, q), 0);
    assert_int_equal(newt_queue_length(s.a, q), 0);
    assert_sound_queue(s.a, q);
    ok(s.a, newt_queue_delete(s.a, q));
    commit(s.a);
    store_close(&s);
}

static void
test_priority(void **state)
{
    static const int64_t priorities[] = {5, -3, INT64_MAX, 0, -3, 5, INT64_MIN};
    static const int64_t expected[] = {7, 2, 5, 4, 1, 6, 3};
    store s;
    newt_queue_ref q;

    (void)state;
    for (int lanes = 1; lanes <= 7; lanes += 6) { /* of several the whole queue, in the end */
        store_open(&s, "queue");
        q = make(s.a, lanes, true);
        for (int i = 0; i < 7; i++) {
            begin(s.a);
            put(s.a, q, i + 1, priorities[i]);
            commit(s.a);
        }
        begin(s.a);
        for (int i = 0; i < 7; i++) {
            int64_t got;

            while ((got = pull(s.a, q)) == 0)
                ; /* it has not waited long enough for this lane */
            /* equal ones as they came, in one lane */
            assert_int_equal(priorities[got - 1], priorities[expected[i] - 1]);
            if (lanes == 1)
                assert_int_equal(got, expected[i]);
        }
        assert_int_equal(pull(s.a, q), 0);
        commit(s.a);
        store_close(&s);
    }
}

static void
test_refused(void **state)
{
    newt_queue_options o = {.size = sizeof o, .lanes = 65};
    newt_ref none = {0}, missing = {123456789}, r;
    newt_queue_ref q;
    store s;

    (void)state;
    store_open(&s, "queue");
    q = make(s.a, 0, false);
    begin(s.a);
    assert_true(newt_is_null(newt_queue_create(s.a, &o).any));
    assert_int_equal(newt_error_status(newt_conn_error(s.a)), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "1 to 64 are possible"));
    assert_int_equal(newt_queue_peek(s.a, newt_queue_of(missing), &r), NEWT_EMISSING);
    assert_false(newt_is_doomed(s.a));
    assert_int_equal(newt_queue_put(s.a, q, none, 0), NEWT_EINVAL);
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    begin(s.a);
    assert_int_equal(newt_queue_pull(s.a, newt_queue_of(missing), &r), NEWT_EMISSING);
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    store_close(&s);
}

/* What one connection puts comes into all lanes, and a check looks into all of them. */
static void
test_lanes(void **state)
{
    enum {
        LANES = 4
    };
    const struct newt_queue *queue;
    newt_ref lanes[LANES];
    newt_queue_ref q;
    int64_t problems;
    store s;

    (void)state;
    store_open(&s, "queue");
    q = make(s.a, LANES, false);
    for (int i = 1; i <= 20 * LANES; i++) {
        begin(s.a);
        put(s.a, q, i, 0);
        commit(s.a);
    }
    begin(s.a);
    assert_int_equal(newt_queue_length(s.a, q), 20 * LANES);
    queue = newt_queue_read(s.a, q);
    assert_non_null(queue);
    assert_int_equal(queue->lanes_.n, LANES);
    memcpy(lanes, queue->lanes_.items, sizeof lanes);
    newt_queue_done(queue);
    for (int i = 0; i < LANES; i++)
        assert_true(newt_btree_length(s.a, lanes[i], &newt__lane_class) > 0);
    for (int i = 0; i < LANES; i++) {
        newt__node *root = newt_write(s.a, lanes[i], &newt__lane_class);

        assert_non_null(root);
        root->next_ = lanes[i];
        newt_done((const newt_object *)(void *)root);
        ok(s.a, newt_queue_check(s.a, q, NULL, NULL, &problems));
        assert_int_equal(problems, i + 1);
    }
    newt_abort(s.a);
    store_close(&s);
}

/* A producer and a consumer of one lane at the same time, also of the last item: both commit. */
static void
test_both_ends(void **state)
{
    store s;
    newt_queue_ref q;

    (void)state;
    store_open(&s, "queue");
    q = make(s.a, 1, false);
    begin(s.a);
    put(s.a, q, 1, 0);
    commit(s.a);
    for (int64_t i = 1; i <= 20; i++) {
        begin(s.a);
        begin(s.b);
        assert_int_equal(pull(s.a, q), i);
        put(s.b, q, i + 1, 0);
        if (i % 2) {
            commit(s.a);
            commit(s.b);
        } else {
            commit(s.b);
            commit(s.a);
        }
    }
    begin(s.a);
    begin(s.b);
    assert_int_equal(pull(s.a, q), 21);
    assert_int_equal(pull(s.b, q), 21); /* the same item: one of them gets it */
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    store_close(&s);
}

/* In a new transaction. What was read from the cache may be known to be changed already. */
static void
put_again(newt_conn *c, newt_queue_ref q, const int64_t *items, int n)
{
    int done;

    do {
        begin(c);
        for (done = 0; done < n; done++)
            if (newt_queue_put(c, q, (newt_ref){items[done]}, 0) != NEWT_OK)
                break;
        if (done < n) {
            if (!newt_is_retryable(newt_conn_error(c)))
                fail_error("newt_queue_put", newt_conn_error(c));
            newt_abort(c);
        }
    } while (done < n);
}

/* Six transactions that overlap, at random: each item that was put is pulled once. */
static void
test_random(void **state)
{
    enum {
        PLAYERS = 6,
        ITEMS = 4000
    };
    static uint8_t seen[ITEMS + 1]; /* 1: in the queue; 2: pulled */
    struct {
        newt_conn *c;
        bool open;
        int64_t put[8], pulled[8];
        int n_put, n_pulled;
    } p[PLAYERS];
    chance random = {take_seed()};
    int most = brief() || !on_memory() ? 800 : ITEMS, conflicts = 0, commits = 0, last = 0, out = 0;
    newt_queue_ref q;
    store s;

    (void)state;
    memset(seen, 0, sizeof seen);
    memset(p, 0, sizeof p);
    store_open(&s, "queue");
    q = make(s.a, 8, false);
    for (int i = 0; i < PLAYERS; i++)
        p[i].c = connect_(s.db);
    while (out < most) {
        int i = pick(&random, PLAYERS), found = 0;
        newt_ref item;

        if (!p[i].open) {
            begin(p[i].c);
            p[i].open = true;
            p[i].n_put = p[i].n_pulled = 0;
        }
        if (pick(&random, 3) > 0 && p[i].n_put < 8 && p[i].n_pulled < 8) {
            if (pick(&random, 2) && last < most) {
                p[i].put[p[i].n_put++] = item.oid = ++last;
                found = newt_queue_put(p[i].c, q, item, 0) == NEWT_OK ? 0 : -1;
            } else {
                found = newt_queue_pull(p[i].c, q, &item);
                if (found == 1)
                    p[i].pulled[p[i].n_pulled++] = item.oid;
            }
            if (found >= 0)
                continue;
        }
        p[i].open = false;
        if (found >= 0 && newt_commit(p[i].c) == NEWT_OK) {
            for (int k = 0; k < p[i].n_put; k++)
                seen[p[i].put[k]] = 1;
            for (int k = 0; k < p[i].n_pulled; k++) {
                assert_int_equal(seen[p[i].pulled[k]], 1);
                seen[p[i].pulled[k]] = 2;
                out++;
            }
            commits++;
            continue;
        }
        if (!newt_is_retryable(newt_conn_error(p[i].c)))
            fail_error("a queue", newt_conn_error(p[i].c));
        if (found < 0)
            newt_abort(p[i].c);
        conflicts++;
        put_again(p[i].c, q, p[i].put, p[i].n_put);
        p[i].open = true;
        p[i].n_pulled = 0;
    }
    for (int i = 1; i <= last; i++)
        assert_true(seen[i] == 2 || last > most);
    begin(s.a);
    assert_sound_queue(s.a, q);
    print_message("# %d commits, %d conflicts, %d items\n", commits, conflicts, out);
    for (int i = 0; i < PLAYERS; i++)
        newt_close(p[i].c);
    store_close(&s);
}

static const struct CMUnitTest queues[] = {
    cmocka_unit_test(test_order),   cmocka_unit_test(test_priority),
    cmocka_unit_test(test_refused), cmocka_unit_test(test_both_ends),
    cmocka_unit_test(test_lanes),   cmocka_unit_test(test_random)};

int
main(void)
{
    return run_all(queues);
}
