/*
 * btree_scenarios.c - how trees of ZODB's BTrees were damaged, tried on trees here
 *
 * Numbers with # are issues of zopefoundation/BTrees; other faults are from its change log, its
 * tests and the list zodb-dev. What went wrong there is said at each test.
 */
#include "trees.h"

#include "../../bridge/btree/btree.h"

enum {
    KEYS = 800,   /* that are there in the beginning, with room between them */
    STEP = 8,     /* places from one to the next */
    END = 16000,  /* places for keys */
    IN_LEAF = 200 /* keys, at most */
};

/* A tree of small nodes, and the places that should be taken. */
typedef struct shelf {
    store s;
    newt_ref tree;
    bool has[END];
} shelf;

/* ---- what a transaction does ------------------------------------------------------------------
 */

static int64_t
key_of(int place)
{
    return (place - END / 2) * (INT64_MAX / END); /* 9 bytes in a record */
}
static int
place_of(int64_t key)
{
    return (int)(key / (INT64_MAX / END)) + END / 2;
}

static void
put(newt_conn *c, const shelf *t, int place)
{
    ok(c, int_tree_put(c, int_tree_of(t->tree), key_of(place), place));
}

static void
drop(newt_conn *c, const shelf *t, int place)
{
    assert_int_equal(int_tree_remove(c, int_tree_of(t->tree), key_of(place)), 1);
}

static int
get(newt_conn *c, const shelf *t, int place, int64_t *v)
{
    return int_tree_get(c, int_tree_of(t->tree), key_of(place), v);
}

static newt__btree
opened(newt_conn *c, const shelf *t)
{
    newt__btree b;

    ok(c, newt__btree_open(&b, c, t->tree, &int_tree_class));
    return b;
}

/* The node of a level where a place is; *at: its number in the one above. */
static newt_ref
node_of(newt_conn *c, const shelf *t, int level, int place, uint32_t *at)
{
    newt__btree b = opened(c, t);
    newt__path path;
    int64_t key = key_of(place);

    assert_non_null(newt__descend(&b, &key, 1, false, &path));
    assert_true(level + 1 < path.levels);
    if (at)
        *at = path.steps[level + 1].at;
    return path.steps[level].node;
}

/* Whether two places are in one node of a level. */
static bool
together(newt_conn *c, const shelf *t, int level, int p, int q)
{
    return node_of(c, t, level, p, NULL).oid == node_of(c, t, level, q, NULL).oid;
}

static struct int_tree *
write_node(newt_conn *c, newt_ref r)
{
    struct int_tree *node = newt_write(c, r, &int_tree_class);

    assert_non_null(node);
    return node;
}

/* The keys of the leaf of a place. */
typedef struct leaf {
    int n, places[IN_LEAF];
} leaf;

static leaf
leaf_of(newt_conn *c, const shelf *t, int place)
{
    const struct int_tree *node = newt_read(c, node_of(c, t, 0, place, NULL), &int_tree_class);
    leaf l = {0};

    assert_true(node && node->keys_.n <= IN_LEAF);
    for (; l.n < (int)node->keys_.n; l.n++)
        l.places[l.n] = place_of(node->keys_.items[l.n]);
    newt_done((const newt_object *)node);
    return l;
}

static leaf
leaf_after(newt_conn *c, const shelf *t, const leaf *l)
{
    return leaf_of(c, t, l->places[l->n - 1] + STEP);
}

/* Removes all of a leaf. */
static void
empty(newt_conn *c, const shelf *t, const leaf *l)
{
    for (int i = 0; i < l->n; i++)
        drop(c, t, l->places[i]);
}

/* ---- what is there ----------------------------------------------------------------------------
 */

static void
note(shelf *t, const leaf *l, bool has)
{
    for (int i = 0; i < l->n; i++)
        t->has[l->places[i]] = has;
}

static void
open_shelf(shelf *t, const char *name, int n)
{
    *t = (shelf){.has = {false}};
    store_make(&t->s, name);
    t->s.db = store_db(&t->s, trees, (newt_options){0});
    t->s.a = connect_(t->s.db);
    t->s.b = connect_(t->s.db);
    begin(t->s.a);
    t->tree = int_tree_create(t->s.a).any;
    for (int i = 0; i < n; i++) {
        int place = i * 7 % n * STEP; /* not in order, so that nodes are half full */

        put(t->s.a, t, place);
        t->has[place] = true;
    }
    commit(t->s.a);
    if (n < KEYS)
        return;
    begin(t->s.a); /* of three levels */
    assert_false(together(t->s.a, t, 1, 0, KEYS * STEP));
    commit(t->s.a);
}

/* Leaves two keys at both ends of the leaf of a place, so that it has room for others. */
static void
make_room(shelf *t, int place)
{
    leaf l;

    begin(t->s.a);
    l = leaf_of(t->s.a, t, place);
    assert_true(l.n >= 5);
    for (int i = 2; i < l.n - 2; i++) {
        drop(t->s.a, t, l.places[i]);
        t->has[l.places[i]] = false;
    }
    commit(t->s.a);
}

/* In the transaction of a connection: by look-ups, along the tree, along the links of leaves. */
static void
check_in(newt_conn *c, const shelf *t)
{
    newt__btree b;
    const newt__node *node;
    int_tree_cursor at = int_tree_range(c, int_tree_of(t->tree), NULL);
    int64_t n = 0, v, linked = 0;
    newt_ref r;

    check_tree(c, t->tree, &int_tree_class);
    for (int i = 0; i < END; i++) {
        assert_int_equal(get(c, t, i, &v), t->has[i]);
        if (!t->has[i])
            continue;
        assert_int_equal(v, i);
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, i);
        n++;
    }
    assert_int_equal(int_tree_next(&at), 0);
    assert_int_equal(int_tree_length(c, int_tree_of(t->tree)), n);
    b = opened(c, t);
    node = newt__descend(&b, NULL, 0, false, NULL);
    for (;; node = newt__node_read(&b, r, 0)) {
        assert_non_null(node);
        linked += newt__node_n(b.t, node);
        r = node->next_;
        if (newt_is_null(r))
            break;
    }
    assert_int_equal(linked, n);
}

/* With a cache that has nothing yet. */
static void
check_shelf(const shelf *t)
{
    newt_db *db = store_db(&t->s, trees, (newt_options){0});
    newt_conn *c = connect_(db);

    begin(c);
    check_in(c, t);
    newt_close(c);
    newt_db_close(db);
}

static void
close_shelf(shelf *t)
{
    check_shelf(t);
    store_close(&t->s);
}

/* Both transactions begin, so that each has all as it is now. */
static void
begin_both(shelf *t)
{
    newt_ref missing = {INT64_MAX};

    begin(t->s.a);
    begin(t->s.b);
    ok(t->s.a, newt_prefetch(t->s.a, &missing, 1));
    ok(t->s.b, newt_prefetch(t->s.b, &missing, 1));
}

static void
commit_both(shelf *t)
{
    commit(t->s.a);
    commit(t->s.b);
}

/* The second is refused. */
static void
refuse_second(shelf *t)
{
    commit(t->s.a);
    assert_int_equal(newt_commit(t->s.b), NEWT_ECONFLICT);
}

/* ---- one transaction --------------------------------------------------------------------------
 */

/*
 * #68, #118: the link of a leaf led to one that was no longer in the tree, and an emptied leaf
 * stayed in it: what goes from leaf to leaf found other keys than what goes by the tree, and each
 * of the two checks saw one fault alone. The leaf before an emptied one may be under another node.
 */
static void
test_emptied_first_below_a_node(void **state)
{
    int emptied = 0;
    shelf t;

    (void)state;
    open_shelf(&t, "links", KEYS);
    for (int i = STEP; i < KEYS * STEP; i += STEP) {
        begin(t.s.a);
        if (!together(t.s.a, &t, 1, i - STEP, i)) {
            leaf l = leaf_of(t.s.a, &t, i);

            assert_int_equal(l.places[0], i);
            empty(t.s.a, &t, &l);
            note(&t, &l, false);
            check_in(t.s.a, &t);
            i = l.places[l.n - 1];
            emptied++;
        }
        commit(t.s.a);
    }
    assert_true(emptied > 1);
    check_shelf(&t);
    for (int i = 0; i < KEYS * STEP; i += STEP) { /* what they stood for can be filled again */
        begin(t.s.a);
        put(t.s.a, &t, i);
        t.has[i] = true;
        commit(t.s.a);
    }
    close_shelf(&t);
}

/* A tree of BTrees stays as high as it has been, also with one key left. */
static void
test_grows_lower(void **state)
{
    const struct int_tree *root;
    shelf t;

    (void)state;
    for (int kept = 0; kept < KEYS; kept += KEYS / 4) {
        open_shelf(&t, "lower", KEYS);
        for (int i = 0; i < KEYS; i++) {
            int other_ = (i * 11 + kept) % KEYS;

            begin(t.s.a);
            if (other_ != kept) {
                drop(t.s.a, &t, other_ * STEP);
                t.has[other_ * STEP] = false;
            }
            commit(t.s.a);
        }
        begin(t.s.a);
        root = newt_read(t.s.a, t.tree, &int_tree_class);
        assert_non_null(root);
        assert_int_equal(root->level_, 0);
        assert_int_equal(root->counts_.n, 0);
        newt_done((const newt_object *)root);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* Changes of small trees were not saved: only the first of a transaction marked the object (#11),
 * removals did not (#13), and a removal below a node did not mark that (#118). */
static void
test_changed_again(void **state)
{
    shelf t;

    (void)state;
    open_shelf(&t, "again", 0);
    for (int round = 0; round < 3; round++) {
        begin(t.s.a);
        for (int i = 0; i < 3; i++) {
            put(t.s.a, &t, round * 3 + i);
            t.has[round * 3 + i] = true;
        }
        commit(t.s.a);
        check_shelf(&t);
        begin(t.s.a);
        drop(t.s.a, &t, round * 3);
        drop(t.s.a, &t, round * 3 + 1);
        t.has[round * 3] = t.has[round * 3 + 1] = false;
        commit(t.s.a);
        check_shelf(&t);
    }
    close_shelf(&t);
}

/* "The bucket being iterated changed size", or every other key was passed over: a range that was
 * gone through while its keys were removed (zodb-dev, January 2003). */
static void
test_removed_while_iterated(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 6; how++) {
        int_tree_range_of range = {.descending = how % 2};
        int_tree_cursor at;
        int seen = 0;

        open_shelf(&t, "iterated", KEYS);
        begin(t.s.a);
        at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
        while (int_tree_next(&at) == 1) {
            int place = (int)at.value;

            assert_int_equal(place, (range.descending ? KEYS - 1 - seen : seen) * STEP);
            if (how < 2)
                assert_int_equal(int_tree_at_remove(&at), NEWT_OK);
            else
                drop(t.s.a, &t, place);
            t.has[place] = false;
            place += range.descending ? 1 : -1; /* where it has been */
            if (how >= 4 && place >= 0) {
                put(t.s.a, &t, place);
                t.has[place] = true;
            }
            seen++;
        }
        assert_int_equal(seen, KEYS);
        check_in(t.s.a, &t);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* A tree that was filled from its own keys had no end, or ended anywhere. */
static void
test_filled_while_iterated(void **state)
{
    int64_t last = key_of(KEYS * STEP);
    int_tree_range_of range = {.to = &last};
    int_tree_cursor at;
    shelf t;
    int seen = 0;

    (void)state;
    open_shelf(&t, "filled", KEYS);
    begin(t.s.a);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
    while (int_tree_next(&at) == 1) {
        int ahead = (KEYS + 1) * STEP + (int)at.value;

        assert_int_equal(at.value, seen++ * STEP);
        put(t.s.a, &t, ahead);
        t.has[ahead] = true;
    }
    assert_int_equal(seen, KEYS);
    commit(t.s.a);
    close_shelf(&t);
}

/* A range that was still held when its tree was cleared led to freed buckets. */
static void
test_cleared_under_a_cursor(void **state)
{
    int_tree_cursor at;
    shelf t;

    (void)state;
    open_shelf(&t, "cleared", KEYS);
    begin(t.s.a);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(int_tree_next(&at), 1);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    memset(t.has, 0, sizeof t.has);
    put(t.s.a, &t, 10);
    put(t.s.a, &t, 9000);
    t.has[10] = t.has[9000] = true;
    assert_int_equal(int_tree_next(&at), 1);
    assert_int_equal(at.value, 9000);
    assert_int_equal(int_tree_next(&at), 0);
    at = int_tree_range(t.s.a, int_tree_of(t.tree), NULL);
    assert_int_equal(int_tree_next(&at), 1);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    assert_int_equal(int_tree_next(&at), 0);
    put(t.s.a, &t, 10);
    put(t.s.a, &t, 9000);
    commit(t.s.a);
    close_shelf(&t);
}

/* Buckets became ghosts, or were changed, under what was still reading them (#22, #226). Here nodes
 * leave the cache while cursors are between them, changed ones too. */
static void
test_evicted_under_a_cursor(void **state)
{
    newt_options few = {.cache_objects = 3};
    int_tree_range_of back = {.descending = true};
    int_tree_cursor at[2];
    newt_db *db;
    newt_conn *c;
    shelf t;
    int64_t v;

    (void)state;
    open_shelf(&t, "evicted", KEYS);
    db = store_db(&t.s, trees, few);
    c = connect_(db);
    begin(c);
    at[0] = int_tree_range(c, int_tree_of(t.tree), NULL);
    at[1] = int_tree_range(c, int_tree_of(t.tree), &back);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(int_tree_next(&at[0]), 1);
        assert_int_equal(at[0].value, i * STEP);
        assert_int_equal(get(c, &t, i * 37 % KEYS * STEP, &v), 1); /* elsewhere */
        assert_int_equal(int_tree_next(&at[1]), 1);
        assert_int_equal(at[1].value, (KEYS - 1 - i) * STEP);
        ok(c, int_tree_at_put(&at[0], i * STEP + 1));
        ok(c, int_tree_at_put(&at[0], i * STEP));
        put(c, &t, i * STEP + 1); /* passed by the second one, or not yet */
        drop(c, &t, i * STEP + 1);
    }
    assert_int_equal(int_tree_next(&at[0]), 0);
    assert_int_equal(int_tree_next(&at[1]), 0);
    check_in(c, &t);
    commit(c);
    newt_close(c);
    newt_db_close(db);
    close_shelf(&t);
}

/* The leaf in which a cursor is was made after a savepoint, and goes with the rollback: what it had
 * is no longer seen. */
static void
test_rolled_back_under_a_cursor(void **state)
{
    shelf t;

    (void)state;
    for (int back = 0; back < 2; back++) {
        int_tree_range_of range = {.descending = back};
        int_tree_cursor at;
        int64_t savepoint;
        leaf l;
        int last;

        open_shelf(&t, "rolled", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        last = l.places[l.n - 1];
        ok(t.s.a, newt_savepoint(t.s.a, &savepoint));
        for (int i = l.places[0] + 1; i <= last + 1; i++)
            if (!t.has[i])
                put(t.s.a, &t, i);
        at = int_tree_range(t.s.a, int_tree_of(t.tree), &range);
        while (int_tree_next(&at) == 1 && at.value != last)
            ;
        ok(t.s.a, newt_rollback_to(t.s.a, savepoint));
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, back ? last - STEP : last + STEP);
        check_in(t.s.a, &t);
        commit(t.s.a);
        close_shelf(&t);
    }
}

/* Keys beyond what fits came as other numbers, and None beside numbers had no place in the order:
 * such trees could not be searched. Here a key is of one type, and the ends of its range are keys.
 */
static void
test_keys_at_the_ends(void **state)
{
    static const int64_t ints[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN, -1, 0,
                                   1,         UINT32_MAX,    INT64_MAX};
    static const uint64_t uints[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    enum {
        N = sizeof ints / sizeof *ints,
        M = sizeof uints / sizeof *uints
    };
    const newt_text texts[N] = {newt_strn("", 0),     newt_strn("\0", 1), newt_str("a"),
                                newt_strn("a\0", 2),  newt_str("ab"),     newt_str("\x7f"),
                                newt_str("\xc3\xa9"), newt_str("\xff")};
    uint_tree_range_of above = {.from = &uints[2], .after_from = true};
    uint_tree_cursor u;
    int_tree_cursor i;
    text_set_cursor x;
    uint_tree_ref unsigned_;
    text_set_ref text;
    int_tree_ref signed_;
    shelf t;

    (void)state;
    open_shelf(&t, "ends", 0);
    begin(t.s.a);
    signed_ = int_tree_create(t.s.a);
    unsigned_ = uint_tree_create(t.s.a);
    text = text_set_create(t.s.a);
    for (int n = N; n-- > 0;) {
        ok(t.s.a, int_tree_put(t.s.a, signed_, ints[n], n));
        assert_int_equal(text_set_insert(t.s.a, text, texts[n]), 1);
    }
    for (int n = M; n-- > 0;)
        ok(t.s.a, uint_tree_put(t.s.a, unsigned_, uints[n], (uint64_t)n));
    commit(t.s.a);
    begin(t.s.b);
    i = int_tree_range(t.s.b, signed_, NULL);
    x = text_set_range(t.s.b, text, NULL);
    for (int n = 0; n < N; n++) {
        assert_int_equal(int_tree_next(&i), 1);
        assert_true(i.key == ints[n] && i.value == n);
        assert_int_equal(text_set_next(&x), 1);
        assert_true(same_bytes(x.key.s, x.key.n, texts[n].s, texts[n].n));
    }
    assert_int_equal(int_tree_next(&i), 0);
    assert_int_equal(text_set_next(&x), 0);
    u = uint_tree_range(t.s.b, unsigned_, &above);
    for (int n = 3; n < M; n++) {
        assert_int_equal(uint_tree_next(&u), 1);
        assert_true(u.key == uints[n] && u.value == (uint64_t)n);
    }
    assert_int_equal(uint_tree_next(&u), 0);
    check_tree(t.s.b, signed_.any, &int_tree_class);
    check_tree(t.s.b, unsigned_.any, &uint_tree_class);
    check_tree(t.s.b, text.any, &text_set_class);
    commit(t.s.b);
    close_shelf(&t);
}

/* ---- two transactions -------------------------------------------------------------------------
 */

/*
 * #102: a key was put into a bucket that another transaction had split, after the bucket's new
 * end. Iteration showed it, and no look-up found it.
 */
static void
test_put_where_others_have_split(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 4; how++) {
        bool after = how % 2, splits_last = how / 2;
        newt_conn *splitter, *other_;
        leaf l, more = {0};
        int place;

        open_shelf(&t, "split", KEYS);
        splitter = splits_last ? t.s.b : t.s.a;
        other_ = splits_last ? t.s.a : t.s.b;
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        place = after ? l.places[l.n - 1] + 1 : l.places[0] + 1;
        for (int i = l.places[0] + 2; together(splitter, &t, 0, l.places[0], l.places[l.n - 1]);
             i += STEP) {
            more.places[more.n++] = i;
            put(splitter, &t, i);
        }
        put(other_, &t, place);
        if (after)
            refuse_second(&t);
        else
            commit_both(&t);
        note(&t, &more, !after || !splits_last);
        t.has[place] = !after || splits_last;
        close_shelf(&t);
    }
}

/*
 * Each of two transactions removed some of a bucket's keys; merged, it was empty and stayed in the
 * tree, and the next one that came along crashed (zodb-dev, January 2003).
 */
static void
test_emptied_by_two(void **state)
{
    shelf t;
    leaf l;

    (void)state;
    open_shelf(&t, "halves", KEYS);
    begin_both(&t);
    l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
    for (int i = 0; i < l.n; i++)
        drop(i % 2 ? t.s.a : t.s.b, &t, l.places[i]);
    refuse_second(&t);
    for (int i = 0; i < l.n; i++)
        t.has[l.places[i]] = i % 2 == 0;
    close_shelf(&t);
}

/*
 * One transaction emptied a bucket, so that it went, another put a key into it: the changes were
 * merged each by itself, and the key was gone with the bucket (zodb-dev, March 2005).
 */
static void
test_put_where_others_have_emptied(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        leaf l;

        open_shelf(&t, "emptied", KEYS);
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        empty(order ? t.s.b : t.s.a, &t, &l);
        put(order ? t.s.a : t.s.b, &t, l.places[1] + 1);
        refuse_second(&t);
        note(&t, &l, order);
        t.has[l.places[1] + 1] = order;
        close_shelf(&t);
    }
}

/* What an emptied bucket stood for is its neighbour's, which another transaction has changed: both
 * stay, and what comes then goes to that neighbour, after its last key or before its first. */
static void
test_put_beside_what_others_have_emptied(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++)
        for (int left = 0; left < 2; left++) {
            leaf l, beside;
            int place;

            open_shelf(&t, "beside", KEYS);
            begin(t.s.a);
            l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
            commit(t.s.a);
            make_room(&t, left ? l.places[0] - STEP : l.places[l.n - 1] + STEP);
            begin_both(&t);
            beside = left ? leaf_of(t.s.a, &t, l.places[0] - STEP) : leaf_after(t.s.a, &t, &l);
            place = left ? beside.places[beside.n - 1] + 1 : beside.places[0] - 1;
            place = left || together(t.s.a, &t, 0, place, beside.places[0]) ? place
                                                                            : beside.places[0] + 1;
            empty(order ? t.s.b : t.s.a, &t, &l);
            put(order ? t.s.a : t.s.b, &t, place);
            commit_both(&t);
            note(&t, &l, false);
            t.has[place] = true;
            check_shelf(&t);
            begin(t.s.a);
            for (int i = 0; i < l.n; i++)
                put(t.s.a, &t, l.places[i] + 3);
            commit(t.s.a);
            for (int i = 0; i < l.n; i++)
                t.has[l.places[i] + 3] = true;
            close_shelf(&t);
        }
}

/*
 * When a bucket's first key was removed, the key above it was brought up to date; what another
 * transaction had put between the old key and the new one could not be found then. BTrees refuse
 * it since (reason 13); here the key above stays, and both are merged.
 */
static void
test_first_key_removed_beside_a_put(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        int first;

        open_shelf(&t, "first", KEYS);
        make_room(&t, KEYS / 2 * STEP);
        begin_both(&t);
        first = leaf_of(t.s.a, &t, KEYS / 2 * STEP).places[0];
        drop(order ? t.s.b : t.s.a, &t, first);
        put(order ? t.s.a : t.s.b, &t, first + 1);
        commit_both(&t);
        t.has[first] = false;
        t.has[first + 1] = true;
        check_shelf(&t);
        begin(t.s.a); /* and it comes again, before all that are there */
        put(t.s.a, &t, first);
        commit(t.s.a);
        t.has[first] = true;
        close_shelf(&t);
    }
}

/* Changes of one inner node were never merged: two transactions that emptied or split any two
 * buckets below it met there. */
static void
test_far_apart_below_one_node(void **state)
{
    shelf t;

    (void)state;
    for (int how = 0; how < 3; how++) { /* how many of the two split a node */
        leaf l[2], between, more[2] = {{0}};

        open_shelf(&t, "apart", 60); /* the root is the one node, and has room */
        begin_both(&t);
        l[0] = leaf_of(t.s.a, &t, 0);
        between = leaf_after(t.s.a, &t, &l[0]);
        l[1] = leaf_after(t.s.a, &t, &between); /* neighbours are linked to each other */
        assert_true(l[1].places[0] > between.places[0]);
        for (int side = 0; side < 2; side++) {
            newt_conn *c = side ? t.s.b : t.s.a;

            if (side < how) {
                for (int i = 0;
                     together(c, &t, 0, l[side].places[0], l[side].places[l[side].n - 1]); i++) {
                    more[side].places[more[side].n++] = l[side].places[i] + 1;
                    put(c, &t, l[side].places[i] + 1);
                }
            } else {
                empty(c, &t, &l[side]);
                note(&t, &l[side], false);
            }
            note(&t, &more[side], true);
        }
        commit_both(&t);
        close_shelf(&t);
    }
}

/* Two buckets beside each other emptied: the link of the one is the other's to write. */
static void
test_neighbours_emptied(void **state)
{
    shelf t;
    leaf l[2];

    (void)state;
    for (int order = 0; order < 2; order++) {
        open_shelf(&t, "neighbours", KEYS);
        begin_both(&t);
        l[0] = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        l[1] = leaf_after(t.s.a, &t, &l[0]);
        empty(t.s.a, &t, &l[order]);
        empty(t.s.b, &t, &l[!order]);
        refuse_second(&t);
        note(&t, &l[order], false);
        close_shelf(&t);
    }
}

/*
 * The last node of its level goes, so the one on its left ends later; and that one is split by
 * another transaction, so it ends earlier. Neither has touched a key of the other's.
 */
static void
test_ends_later_and_earlier(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        newt_conn *splitter, *remover;
        int last = (KEYS - 1) * STEP, first = last, left;
        leaf l, more = {0};

        open_shelf(&t, "later", KEYS);
        begin(t.s.a); /* first: of the node that goes, which has one leaf then */
        while (together(t.s.a, &t, 1, first - STEP, last))
            first -= STEP;
        l = leaf_of(t.s.a, &t, last);
        for (int i = first; i < l.places[0]; i += STEP) {
            drop(t.s.a, &t, i);
            t.has[i] = false;
        }
        commit(t.s.a);
        check_shelf(&t);
        begin_both(&t);
        splitter = order ? t.s.a : t.s.b;
        remover = order ? t.s.b : t.s.a;
        for (left = first - STEP; left > 0 && together(t.s.a, &t, 1, left - STEP, first - STEP);)
            left -= STEP;
        for (int i = left + 1; together(splitter, &t, 1, left, first - STEP);
             i += i % STEP == 7 ? 2 : 1)
            if (!t.has[i] && more.n < IN_LEAF) {
                more.places[more.n++] = i;
                put(splitter, &t, i);
            }
        l = leaf_of(remover, &t, last);
        empty(remover, &t, &l);
        refuse_second(&t);
        note(&t, &more, order);
        note(&t, &l, order);
        close_shelf(&t);
    }
}

/* A tree that one transaction cleared while others put keys into its buckets. */
static void
test_cleared_beside_a_put(void **state)
{
    shelf t;

    (void)state;
    for (int order = 0; order < 2; order++) {
        newt_conn *clears;

        open_shelf(&t, "clear", KEYS);
        begin_both(&t);
        clears = order ? t.s.b : t.s.a;
        ok(clears, int_tree_clear(clears, int_tree_of(t.tree)));
        put(order ? t.s.a : t.s.b, &t, 5);
        refuse_second(&t);
        if (!order)
            memset(t.has, 0, sizeof t.has);
        t.has[5] = order;
        close_shelf(&t);
    }
    /* of one node: what it had is gone, what came beside stays */
    open_shelf(&t, "clear", 5);
    begin_both(&t);
    ok(t.s.a, int_tree_clear(t.s.a, int_tree_of(t.tree)));
    put(t.s.b, &t, 7);
    commit_both(&t);
    memset(t.has, 0, sizeof t.has);
    t.has[7] = true;
    close_shelf(&t);
}

/* Values that differ in little: what others have made of one stays beside a change of this
 * transaction's to the same leaf. */
static void
test_values_that_differ_in_little(void **state)
{
    static const struct {
        const char *name;
        int n_name, words;
    } values[] = {{NULL, 0, 0}, {"", 0, 0}, {"", 0, 1}, {"", 0, 2}, {"a", 1, 2}, {"b", 1, 2}};
    newt_text words[2] = {newt_str("w"), newt_str("v")};
    newt_ref one = {1}, two = {2};

    for (size_t i = 0; i < 2 * (sizeof values / sizeof *values - 1); i++) {
        struct part v[2] = {{.n = 1}, {.n = 1}}, found;
        newt_text text;
        date_tree_ref texts;
        ref_tree_ref tree;
        shelf t;

        (void)state;
        for (int k = 0; k < 2; k++) {
            size_t which = i / 2 + (size_t)(k ^ (int)(i % 2));

            v[k].name = (newt_text){.s = values[which].name, .n = (uint32_t)values[which].n_name};
            v[k].words.items = words;
            v[k].words.n = (uint32_t)values[which].words;
        }
        open_shelf(&t, "little", 0);
        begin(t.s.a);
        tree = ref_tree_create(t.s.a);
        texts = date_tree_create(t.s.a);
        ok(t.s.a, ref_tree_put(t.s.a, tree, one, v[0]));
        ok(t.s.a, date_tree_put(t.s.a, texts, (newt_date){1}, v[0].name));
        commit(t.s.a);
        begin_both(&t);
        ok(t.s.a, ref_tree_put(t.s.a, tree, one, v[1]));
        ok(t.s.a, date_tree_put(t.s.a, texts, (newt_date){1}, v[1].name));
        ok(t.s.b, ref_tree_put(t.s.b, tree, two, v[0]));
        ok(t.s.b, date_tree_put(t.s.b, texts, (newt_date){2}, v[0].name));
        commit_both(&t);
        begin(t.s.b);
        assert_int_equal(ref_tree_get(t.s.b, tree, one, &found), 1);
        assert_true(same_bytes(found.name.s, found.name.n, v[1].name.s, v[1].name.n));
        assert_int_equal(found.words.n, v[1].words.n);
        assert_int_equal(date_tree_get(t.s.b, texts, (newt_date){1}, &text), 1);
        assert_true(same_bytes(text.s, text.n, v[1].name.s, v[1].name.n));
        commit(t.s.b);
        close_shelf(&t);
    }
}

/* A last key removed on each side leaves a tree without keys, which goes on as a new one does. */
static void
test_emptied_tree(void **state)
{
    shelf t;

    (void)state;
    open_shelf(&t, "last", 2);
    begin_both(&t);
    drop(t.s.a, &t, 0);
    drop(t.s.b, &t, STEP);
    commit_both(&t);
    t.has[0] = t.has[STEP] = false;
    check_shelf(&t);
    begin_both(&t);
    put(t.s.a, &t, 3);
    put(t.s.b, &t, 4);
    commit_both(&t);
    t.has[3] = t.has[4] = true;
    close_shelf(&t);
}

/*
 * A key that is not there cannot be changed by others, so "put it if it is not there" needs more
 * than that it was looked up. (BTrees had to have each writer check the nodes above a bucket, lest
 * it was removed meanwhile; here a removed node is a conflict by itself.)
 */
static void
test_looked_up_in_vain(void **state)
{
    int64_t key = key_of(1), v;
    shelf t;

    (void)state;
    open_shelf(&t, "vain", KEYS);
    begin_both(&t);
    assert_int_equal(get(t.s.b, &t, 1, &v), 0);
    ok(t.s.b, newt_btree_read_current(t.s.b, t.tree, &int_tree_class, &key));
    drop(t.s.b, &t, 100 * STEP); /* for that reason */
    put(t.s.a, &t, 1);
    refuse_second(&t);
    t.has[1] = true;
    close_shelf(&t);
}

/* What a cursor goes through is one state, whatever others empty, fill and commit meanwhile. */
static void
test_changed_by_others_under_a_cursor(void **state)
{
    int_tree_cursor at;
    shelf t;

    (void)state;
    open_shelf(&t, "others", KEYS);
    begin_both(&t);
    at = int_tree_range(t.s.b, int_tree_of(t.tree), NULL);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(int_tree_next(&at), 1);
        assert_int_equal(at.value, i * STEP);
        if (i % 20 || i + 30 > KEYS)
            continue;
        for (int j = i + 10; j < i + 30; j++) {
            drop(t.s.a, &t, j * STEP);
            put(t.s.a, &t, i * STEP + j);
            t.has[j * STEP] = false;
            t.has[i * STEP + j] = true;
        }
        commit(t.s.a);
        begin(t.s.a);
    }
    assert_int_equal(int_tree_next(&at), 0);
    commit_both(&t);
    close_shelf(&t);
}

/* ---- damaged ones -----------------------------------------------------------------------------
 */

static void
check_finds(newt_conn *c, const shelf *t, bool damaged)
{
    int64_t problems;

    begin(c);
    ok(c, newt_btree_check(c, t->tree, &int_tree_class, print_problem, NULL, &problems));
    assert_true((problems > 0) == damaged);
    newt_abort(c);
}

/* #161: a node that was missing was taken for a key that is not there: get() gave its default, and
 * nobody heard of the damage. */
static void
test_missing_node(void **state)
{
    int_tree_ref tree;
    int_tree_cursor at;
    shelf t;
    int64_t v, key = key_of(KEYS / 2 * STEP), last;
    bool found;
    int i = 0;

    (void)state;
    open_shelf(&t, "missing", KEYS);
    tree = int_tree_of(t.tree);
    begin(t.s.a);
    ok(t.s.a, newt_delete(t.s.a, node_of(t.s.a, &t, 0, KEYS / 2 * STEP, NULL)));
    commit(t.s.a);
    check_finds(t.s.b, &t, true);
    begin(t.s.b);
    assert_int_equal(int_tree_get(t.s.b, tree, key, &v), NEWT_EBROKEN);
    assert_int_equal(int_tree_has(t.s.b, tree, key), NEWT_EBROKEN);
    assert_int_equal(int_tree_get_many(t.s.b, tree, &key, 1, &v, &found), NEWT_EBROKEN);
    at = int_tree_range(t.s.b, tree, NULL);
    while (int_tree_next(&at) == 1)
        assert_int_equal(at.value, i++ * STEP);
    assert_true(i > 0 && i <= KEYS / 2);
    assert_int_equal(int_tree_next(&at), NEWT_EBROKEN);
    assert_int_equal(int_tree_last(t.s.b, tree, &last, &v), 1); /* elsewhere all is well */
    assert_int_equal(v, (KEYS - 1) * STEP);
    commit(t.s.b);
    begin(t.s.b);
    assert_int_equal(int_tree_pop(t.s.b, tree, key, &v), NEWT_EBROKEN);
    assert_int_not_equal(newt_commit(t.s.b), NEWT_OK);
    begin(t.s.b);
    assert_int_equal(int_tree_put(t.s.b, tree, key, 0), NEWT_EBROKEN);
    assert_int_not_equal(newt_commit(t.s.b), NEWT_OK);
    store_close(&t.s);
}

/* PR 143: a child of a class that no node is of was read as if it were a bucket. */
static void
test_child_of_another_class(void **state)
{
    struct int_tree *root;
    struct part *part;
    shelf t;
    int64_t v;
    int refused = 0;

    (void)state;
    open_shelf(&t, "class", KEYS);
    begin(t.s.a);
    part = part_new(t.s.a);
    assert_non_null(part);
    root = write_node(t.s.a, t.tree);
    newt_items(root, children_)[1] = part_id(part).any;
    commit(t.s.a);
    check_finds(t.s.b, &t, true);
    begin(t.s.b);
    for (int i = 0; i < KEYS; i++) {
        int found = get(t.s.b, &t, i * STEP, &v);

        assert_true(found == 1 || found == NEWT_ECLASS);
        refused += found < 0;
    }
    assert_true(refused > 0 && refused < KEYS);
    commit(t.s.b);
    store_close(&t.s);
}

/* The damage of #68, #102 and #118, made by hand: the one check finds each, and after a repair
 * every key that is still somewhere is found. */
static void
test_damage_is_found_and_repaired(void **state)
{
    enum {
        LINK,
        BEYOND,
        EMPTIED,
        N_DAMAGES
    };
    shelf t;

    (void)state;
    for (int what = LINK; what < N_DAMAGES; what++) {
        struct int_tree *node;
        int64_t entries, n = 0;
        int beyond;
        leaf l;

        open_shelf(&t, "damage", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        beyond = l.places[l.n - 1] + STEP + 1; /* in the next one's range */
        node = write_node(t.s.a, node_of(t.s.a, &t, 0, l.places[0], NULL));
        switch (what) {
        case LINK: node->next_ = node_of(t.s.a, &t, 0, 0, NULL); break;
        case BEYOND:
            newt_items(node, keys_)[l.n - 1] = key_of(beyond);
            newt_items(node, values_)[l.n - 1] = beyond;
            t.has[l.places[l.n - 1]] = false;
            t.has[beyond] = true;
            break;
        default: node->keys_.n = node->values_.n = 0; note(&t, &l, false);
        }
        commit(t.s.a);
        check_finds(t.s.b, &t, true);
        begin(t.s.b);
        ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
        commit(t.s.b);
        check_finds(t.s.a, &t, false);
        for (int i = 0; i < END; i++)
            n += t.has[i];
        assert_int_equal(entries, n);
        close_shelf(&t);
    }
}

/* A key that two leaves have, or one leaf twice: the entry that is found first stays. */
static void
test_found_twice(void **state)
{
    shelf t;

    (void)state;
    for (int within = 0; within < 2; within++) {
        struct int_tree *node;
        int64_t entries, v;
        leaf l, next;
        int twice;

        open_shelf(&t, "twice", KEYS);
        begin(t.s.a);
        l = leaf_of(t.s.a, &t, KEYS / 2 * STEP);
        next = leaf_after(t.s.a, &t, &l);
        twice = within ? l.places[l.n - 2] : next.places[0];
        node = write_node(t.s.a, node_of(t.s.a, &t, 0, l.places[0], NULL));
        newt_items(node, keys_)[l.n - 1] = key_of(twice);
        newt_items(node, values_)[l.n - 1] = -7;
        t.has[l.places[l.n - 1]] = false;
        commit(t.s.a);
        check_finds(t.s.b, &t, true);
        begin(t.s.b);
        ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS - 1);
        assert_int_equal(get(t.s.b, &t, twice, &v), 1);
        assert_int_equal(v, within ? twice : -7);
        put(t.s.b, &t, twice);
        commit(t.s.b);
        check_finds(t.s.a, &t, false);
        close_shelf(&t);
    }
}

/* A repair that did not last, and another one: it finds all that the first has found. */
static void
test_repaired_again(void **state)
{
    int64_t entries, savepoint;
    shelf t;

    (void)state;
    open_shelf(&t, "repaired", KEYS);
    for (int i = 0; i < 3; i++) {
        begin(t.s.a);
        ok(t.s.a, newt_btree_repair(t.s.a, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS);
        newt_abort(t.s.a);
    }
    begin(t.s.a);
    for (int i = 0; i < 3; i++) {
        ok(t.s.a, newt_savepoint(t.s.a, &savepoint));
        ok(t.s.a, newt_btree_repair(t.s.a, t.tree, &int_tree_class, &entries));
        assert_int_equal(entries, KEYS);
        if (i == 0)
            ok(t.s.a, newt_rollback_to(t.s.a, savepoint));
    }
    check_in(t.s.a, &t);
    commit(t.s.a);
    /* others have put a key meanwhile: the repair is refused, and done once more */
    begin_both(&t);
    put(t.s.a, &t, 1);
    t.has[1] = true;
    ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
    refuse_second(&t);
    begin(t.s.b);
    ok(t.s.b, newt_btree_repair(t.s.b, t.tree, &int_tree_class, &entries));
    assert_int_equal(entries, KEYS + 1);
    commit(t.s.b);
    close_shelf(&t);
}

/* ---- combined ---------------------------------------------------------------------------------
 */

/* Unions of a tree with itself, and with an empty one. */
static void
test_combined_with_itself(void **state)
{
    static const struct {
        newt_btree_op op;
        bool with_empty;
        int64_t n;
    } cases[] = {{NEWT_UNION, false, KEYS},    {NEWT_INTERSECTION, false, KEYS},
                 {NEWT_DIFFERENCE, false, 0},  {NEWT_UNION, true, KEYS},
                 {NEWT_INTERSECTION, true, 0}, {NEWT_DIFFERENCE, true, KEYS}};
    int_tree_ref tree, none;
    shelf t;

    (void)state;
    open_shelf(&t, "itself", KEYS);
    tree = int_tree_of(t.tree);
    begin(t.s.a);
    none = int_tree_create(t.s.a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int_tree_ref both = int_tree_combine(t.s.a, cases[i].op, tree,
                                             cases[i].with_empty ? none : tree);

        assert_int_equal(int_tree_length(t.s.a, both), cases[i].n);
        check_tree(t.s.a, both.any, &int_tree_class);
    }
    check_in(t.s.a, &t);
    commit(t.s.a);
    close_shelf(&t);
}

static const struct CMUnitTest btree_scenarios[] = {
    cmocka_unit_test(test_emptied_first_below_a_node),
    cmocka_unit_test(test_grows_lower),
    cmocka_unit_test(test_changed_again),
    cmocka_unit_test(test_removed_while_iterated),
    cmocka_unit_test(test_filled_while_iterated),
    cmocka_unit_test(test_cleared_under_a_cursor),
    cmocka_unit_test(test_evicted_under_a_cursor),
    cmocka_unit_test(test_rolled_back_under_a_cursor),
    cmocka_unit_test(test_keys_at_the_ends),
    cmocka_unit_test(test_put_where_others_have_split),
    cmocka_unit_test(test_emptied_by_two),
    cmocka_unit_test(test_put_where_others_have_emptied),
    cmocka_unit_test(test_put_beside_what_others_have_emptied),
    cmocka_unit_test(test_first_key_removed_beside_a_put),
    cmocka_unit_test(test_far_apart_below_one_node),
    cmocka_unit_test(test_neighbours_emptied),
    cmocka_unit_test(test_ends_later_and_earlier),
    cmocka_unit_test(test_cleared_beside_a_put),
    cmocka_unit_test(test_values_that_differ_in_little),
    cmocka_unit_test(test_emptied_tree),
    cmocka_unit_test(test_looked_up_in_vain),
    cmocka_unit_test(test_changed_by_others_under_a_cursor),
    cmocka_unit_test(test_missing_node),
    cmocka_unit_test(test_child_of_another_class),
    cmocka_unit_test(test_damage_is_found_and_repaired),
    cmocka_unit_test(test_found_twice),
    cmocka_unit_test(test_repaired_again),
    cmocka_unit_test(test_combined_with_itself),
};

int
main(void)
{
    return run_all(btree_scenarios);
}
