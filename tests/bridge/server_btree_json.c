/*
 * server_btree_json.c - trees whose class asks for JSONB of its nodes: what SQL sees of a small one
 */
#include "server.h"

NEWT_DECLARE_BTREE(shown, newt_text, int64_t);
NEWT_BTREE_AS(shown, "Shown", 0, NEWT_VALUES(shown));
NEWT_DECLARE_BTREE(hidden, newt_text, int64_t);
NEWT_BTREE(hidden, "Hidden", NEWT_VALUES(hidden));
static const newt_class *const tree_classes[] = {&shown_class, &hidden_class, NULL};

static void
test_small(void **state)
{
    shown_ref tree;
    hidden_ref other;
    char *text;
    store s;

    (void)state;
    store_make(&s, "shown");
    s.db = store_db(&s, tree_classes, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    tree = shown_create(s.a);
    other = hidden_create(s.a);
    for (int64_t i = 1; i <= 3; i++) {
        const char *words[] = {"fox", "dog", "cat"};

        ok(s.a, shown_put(s.a, tree, newt_str(words[i - 1]), i));
        ok(s.a, hidden_put(s.a, other, newt_str(words[i - 1]), i));
    }
    commit(s.a);
    text = sql_text(
        s.pg, "SELECT string_agg(format('%%s %%s %%s', zoid, state->'keys', state->'values'), ';')"
              " FROM newt WHERE class_name IN ('Shown', 'Hidden')");
    {
        char expected[100];

        snprintf(expected, sizeof expected, "%lld [\"cat\", \"dog\", \"fox\"] [3, 2, 1]",
                 (long long)tree.any.oid);
        assert_string_equal(text, expected);
    }
    free(text);
    store_close(&s);
}

static const struct CMUnitTest btree_json[] = {cmocka_unit_test(test_small)};

int
main(void)
{
    return run_all(btree_json);
}
