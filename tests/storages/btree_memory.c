/*
 * btree_memory.c - every allocation fails, one after the other, while trees and queues are changed
 *
 * Whatever has failed: the transaction is there as a whole or not at all, and the trees are sound.
 * The linker gives the library's malloc, calloc, realloc and strdup; leaks are found by the
 * sanitized build.
 */
#include "trees.h"
#include "../failing_memory.h"

enum {
    KEYS = 60, /* at first; more come */
    MORE = 30
};

typedef struct ground {
    store s; /* s.a is what fails */
    text_set_ref set;
    date_tree_ref dates;
    newt_queue_ref queue;
    int64_t round;
} ground;

static int
failed(newt_conn *c)
{
    assert_int_not_equal(newt_status(c), NEWT_OK);
    return newt_status(c);
}

/* Splits, removals of nodes, values that grow, a savepoint, cursors, a load and a repair. */
static int
change_all(ground *g, newt_conn *c)
{
    int64_t savepoint, entries;
    date_tree_cursor at;
    text_set_ref both;
    newt_ref item;
    any k, v;
    int status = newt_begin(c);

    for (int i = 0; i < MORE && status >= 0; i++) {
        text_key(&k, KEYS + i);
        status = text_set_insert(c, g->set, k.text);
        date_key(&k, i * 3);
        text_value(&v, g->round % 90 + i);
        if (status >= 0)
            status = date_tree_put(c, g->dates, k.date, v.text);
    }
    if (status >= 0)
        status = newt_savepoint(c, &savepoint);
    for (int i = 0; i < KEYS + MORE && status >= 0; i++) {
        text_key(&k, i);
        status = text_set_remove(c, g->set, k.text);
    }
    if (status >= 0)
        status = newt_rollback_to(c, savepoint);
    if (status >= 0) {
        at = date_tree_range(c, g->dates, NULL);
        while ((status = date_tree_next(&at)) == 1)
            if (at.key.days % 2 && (status = date_tree_at_remove(&at)) != NEWT_OK)
                break;
        date_tree_close(&at);
    }
    if (status >= 0) {
        both = text_set_combine(c, NEWT_UNION, g->set, g->set);
        status = newt_is_null(both.any) ? failed(c)
                                        : newt_btree_delete(c, both.any, &text_set_class);
    }
    if (status >= 0)
        status = newt_btree_repair(c, g->set.any, &text_set_class, &entries);
    if (status >= 0)
        status = newt_queue_put(c, g->queue, g->set.any, 0);
    if (status >= 0)
        status = newt_queue_pull(c, g->queue, &item);
    if (status >= 0)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

/* The texts are there or not, with the rest; the queue has one item, whichever. */
static void
check_all(ground *g, newt_conn *c, bool changed)
{
    int64_t problems;

    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    check_tree(c, g->set.any, &text_set_class);
    check_tree(c, g->dates.any, &date_tree_class);
    ok(c, newt_queue_check(c, g->queue, NULL, NULL, &problems));
    assert_int_equal(problems, 0);
    assert_int_equal(newt_queue_length(c, g->queue), 1);
    assert_int_equal(text_set_length(c, g->set), changed ? KEYS + MORE : KEYS);
    /* as it was, for the next one */
    for (int i = 0; i < MORE; i++) {
        any k;

        text_key(&k, KEYS + i);
        assert_int_equal(text_set_remove(c, g->set, k.text), changed);
    }
    commit(c);
}

/* All of it, with the at-th allocation failing; false: there are fewer. */
static bool
run_failing(ground *g, bool all)
{
    int status;

    g->round++;
    memory.calls = 0;
    memory.all = all;
    memory.armed = true;
    status = change_all(g, g->s.a);
    memory.armed = false;
    if (status != NEWT_OK && status != NEWT_ENOMEM)
        fail_error("what failed", newt_conn_error(g->s.a));
    check_all(g, g->s.b, status == NEWT_OK);
    return memory.calls >= memory.at;
}

static void
test_memory(void **state)
{
    ground g = {.round = 0};

    (void)state;
    store_make(&g.s, "trees");
    g.s.db = store_db(&g.s, trees, (newt_options){0});
    g.s.a = connect_(g.s.db);
    g.s.b = connect_(g.s.db);
    begin(g.s.b);
    g.set = text_set_create(g.s.b);
    g.dates = date_tree_create(g.s.b);
    g.queue = newt_queue_create(g.s.b, NULL);
    ok(g.s.b, newt_queue_put(g.s.b, g.queue, g.set.any, 0));
    for (int i = 0; i < KEYS; i++) {
        any k, v;

        text_key(&k, i);
        assert_int_equal(text_set_insert(g.s.b, g.set, k.text), 1);
        date_key(&k, i);
        text_value(&v, i);
        ok(g.s.b, date_tree_put(g.s.b, g.dates, k.date, v.text));
    }
    commit(g.s.b);
    for (int all = 0; all < 2; all++)
        for (memory.at = 1; run_failing(&g, all); memory.at += on_memory() ? 1 : 7)
            ;
    print_message("# %ld allocations\n", memory.at);
    store_close(&g.s);
}

static const struct CMUnitTest btree_memory[] = {cmocka_unit_test(test_memory)};

int
main(void)
{
    return run_all(btree_memory);
}
