/*
 * sqlite_session.c - what sessions find in a file in SQLite that others have changed: rows that are
 * damaged
 */
#include "stored.h"

#include "../bridge/feeds.h"

/* ---- rows that are damaged ------------------------------------------------------------------- */

enum {
    N = 3
};

static void
make_items(newt_conn *c, item_ref items[N])
{
    begin(c);
    for (int i = 0; i < N; i++)
        items[i] = item_id(new_item(c, "x", i));
    commit(c);
}

static void
remove_items(newt_conn *c, const item_ref items[N])
{
    begin(c);
    for (int i = 0; i < N; i++)
        ok(c, newt_delete(c, items[i].any));
    commit(c);
}

/* Fewer classes than objects: those of the others are not known. */
static void
test_few_classes(void **state)
{
    item_ref items[2][N];
    const newt_batch *b;
    newt_feed *f;
    store s;

    (void)state;
    needs_storage("sqlite");
    store_open(&s, "few_classes");
    make_items(s.a, items[0]);
    make_items(s.a, items[1]);
    f = open_feed(s.b, (newt_feed_options){.follower = "f"});
    nothing(s.b, f);
    remove_items(s.a, items[0]);
    remove_items(s.a, items[1]);
    free(file_text(s.file, "UPDATE \"transaction\" SET removed_classes = '[\"Item\"]' "
                           "WHERE tid = (SELECT max(tid) FROM \"transaction\")"));
    b = next(s.b, f);
    assert_int_equal(b->n_events, 2 * N);
    for (int i = 0; i < 2 * N; i++) {
        assert_int_equal(b->events[i].kind, NEWT_EVENT_REMOVED);
        assert_string_equal(b->events[i].class_name, i <= N ? "Item" : "");
    }
    newt_feed_close(f);
    store_close(&s);
}

/* Lists that are none: the store is damaged, and it is not memory that is lacking. */
static void
test_damaged_lists(void **state)
{
    static const struct {
        const char *sql, *column;
    } damages[] = {
        {"UPDATE \"transaction\" SET removed_classes = '[\"Item'", "removed_classes"},
        {"UPDATE \"transaction\" SET removed_classes = '{}'", "removed_classes"},
        {"UPDATE \"transaction\" SET written = '[1,'", "\"written\""},
        {"UPDATE \"transaction\" SET written = '1'", "\"written\""},
        {"UPDATE \"transaction\" SET written = ''", "\"written\""},
        {"UPDATE \"transaction\" SET removed = '[x]'", "\"removed\""},
        {"UPDATE \"transaction\" SET removed = '[-1]'", "\"removed\""},
        {"UPDATE \"transaction\" SET removed = '[1]]'", "\"removed\""},
    };

    (void)state;
    needs_storage("sqlite");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char name[40];
        item_ref items[N];
        const newt_batch *b;
        newt_feed *f;
        store s;

        snprintf(name, sizeof name, "damaged_%zu", i);
        store_open(&s, name);
        f = open_feed(s.b, (newt_feed_options){.follower = "f"});
        nothing(s.b, f);
        make_items(s.a, items);
        remove_items(s.a, items);
        free(file_text(s.file, damages[i].sql));
        assert_int_equal(newt_feed_next(f, 0, &b), NEWT_ESTORE);
        assert_string_equal(newt_error_sqlstate(newt_conn_error(s.b)), "XX001");
        if (!strstr(newt_error_detail(newt_conn_error(s.b)), damages[i].column))
            fail_error(damages[i].sql, newt_conn_error(s.b));
        newt_feed_close(f);
        newt_close(s.a);
        newt_close(s.b);
        newt_db_close(s.db);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_few_classes),
    cmocka_unit_test(test_damaged_lists),
};

int
main(void)
{
    return run_all(tests);
}
