/*
 * btree_writers.c - processes that write into one tree, and are killed while they do
 *
 * Each transaction is committed by newt_commit itself: what others have done to the same nodes is
 * merged, and what cannot be is a conflict that the writer is told of, and tries again.
 */
#include "crowd.h"

#include "../brief.h"

enum {
    WRITERS = 4,
    /* what is counted for each, in crowd.progress */
    DONE = 0,
    CONFLICTS = WRITERS,
    MERGES = 2 * WRITERS
};

NEWT_DECLARE_BTREE(large, int64_t, int64_t);
NEWT_DECLARE_BTREE(small, int64_t, int64_t);
NEWT_BTREE(large, "Large", NEWT_VALUES(large)); /* nodes as they are by default */
NEWT_BTREE(small, "Small", NEWT_VALUES(small), .node_bytes = NEWT_BTREE_SMALLEST);

static const newt_class *const trees[] = {&large_class, &small_class, NULL};

static newt_ref tree; /* before the fork */
static int64_t most;  /* of what each writer does */
static bool ascending;

/* ---- keys ------------------------------------------------------------------------------------ */

/* Number n of a writer: keys anywhere, or those of all writers in order. */
static int64_t
key_of(int me, int64_t n)
{
    chance c = {(uint64_t)(n * WRITERS + me)};

    return ascending ? n * WRITERS + me : (int64_t)(draw(&c) >> 1);
}

/* ---- writers --------------------------------------------------------------------------------- */

/* Commits; false: it is to be tried again. */
static bool
is_committed(newt_conn *c, const crowd *w, int me)
{
    newt_stats before = stats_of(c);
    int status = newt_commit(c);

    w->progress[MERGES + me] += stats_of(c).merges - before.merges;
    if (status == NEWT_OK)
        return true;
    if (status != NEWT_ECONFLICT)
        child_fails("newt_commit: %s", error_text(newt_conn_error(c)));
    w->progress[CONFLICTS + me]++;
    return false;
}

static void
child_begins(newt_conn *c)
{
    if (newt_begin(c) != NEWT_OK)
        child_fails("newt_begin: %s", error_text(newt_conn_error(c)));
}

/* One key a transaction. */
static void
insert_all(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, trees);
    newt_conn *c = child_connects(db);

    (void)file;
    (void)random;
    while (w->progress[DONE + me] < most) {
        int64_t n = w->progress[DONE + me];

        child_begins(c);
        large_put(c, large_of(tree), key_of(me, n), n);
        if (is_committed(c, w, me))
            w->progress[DONE + me]++;
    }
    newt_close(c);
    newt_db_close(db);
}

/* Puts a key and removes an old one, in small nodes: they are split and emptied all the time. */
static void
turn_over(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, trees);
    newt_conn *c = child_connects(db);

    (void)file;
    (void)random;
    for (;;) {
        int64_t n = w->progress[DONE + me];

        child_begins(c);
        small_put(c, small_of(tree), key_of(me, n), n);
        if (n >= most)
            small_remove(c, small_of(tree), key_of(me, n - most));
        if (is_committed(c, w, me))
            w->progress[DONE + me]++;
    }
}

/* ---- what is there at the end -----------------------------------------------------------------
 */

static int
tell(void *arg, newt_ref node, const char *problem)
{
    (void)arg;
    print_message("# node %lld %s\n", (long long)node.oid, problem);
    return NEWT_OK;
}

static int64_t
total(const crowd *w, int what)
{
    int64_t n = 0;

    for (int i = 0; i < WRITERS; i++)
        n += w->progress[what + i];
    return n;
}

static double
print_share(const crowd *w, const char *what)
{
    double share = 100.0 * (double)total(w, CONFLICTS) / (double)total(w, DONE);

    print_message("# %s: %lld commits, %lld nodes merged, %lld conflicts that reached the writer: "
                  "%.2f %%\n",
                  what, (long long)total(w, DONE), (long long)total(w, MERGES),
                  (long long)total(w, CONFLICTS), share);
    return share;
}

static newt_conn *
look(const crowd *w, const newt_class *k, newt_db **db)
{
    int64_t problems;
    newt_conn *c;

    *db = store_db(&w->s, trees, (newt_options){0});
    c = connect_(*db);
    begin(c);
    ok(c, newt_btree_check(c, tree, k, tell, NULL, &problems));
    assert_int_equal(problems, 0);
    return c;
}

static void
make_tree(const crowd *w, const newt_class *k)
{
    newt_db *db = store_db(&w->s, trees, (newt_options){0});
    newt_conn *c = connect_(db);

    begin(c);
    tree = newt_btree_create(c, k);
    commit(c);
    newt_close(c);
    newt_db_close(db);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void
insert_together(const char *what, bool in_order, double most_conflicts)
{
    bool soak = getenv("NEWT_SOAK");
    newt_db *db;
    newt_conn *c;
    crowd w;
    double share;

    ascending = in_order;
    most = soak ? 50000 : brief() ? 500 : 2500;
    crowd_open(&w, "writers", true);
    make_tree(&w, &large_class);
    start(&w, insert_all, WRITERS);
    wait_for_all(&w);
    share = print_share(&w, what);
    /* most of them come while the tree has few nodes */
    assert_true(brief() || share < (soak ? most_conflicts : 4 * most_conflicts));
    c = look(&w, &large_class, &db);
    assert_int_equal(large_length(c, large_of(tree)), WRITERS * most);
    for (int me = 0; me < WRITERS; me++)
        for (int64_t n = 0; n < most; n++) {
            int64_t v;

            assert_int_equal(large_get(c, large_of(tree), key_of(me, n), &v), 1);
            assert_int_equal(v, n);
        }
    newt_close(c);
    newt_db_close(db);
    collect(&w, "nothing text");
    store_close(&w.s);
}

static void
test_keys_anywhere(void **state)
{
    (void)state;
    insert_together("keys anywhere", false, 1);
}

/* All writers are at the end of the tree. */
static void
test_keys_in_order(void **state)
{
    (void)state;
    insert_together("keys in order", true, 2);
}

/* Number n is done, whole. */
static bool
is_done(newt_conn *c, int me, int64_t n)
{
    bool has = small_has(c, small_of(tree), key_of(me, n)) == 1;

    if (n >= most)
        assert_int_equal(small_has(c, small_of(tree), key_of(me, n - most)), !has);
    return has;
}

static void
test_killed(void **state)
{
    int kills = getenv("NEWT_SOAK") ? 500 : brief() ? 10 : 30;
    int64_t length = 0;
    chance random;
    newt_db *db;
    newt_conn *c;
    crowd w;

    (void)state;
    ascending = false;
    most = 100;
    crowd_open(&w, "killed", true);
    random.state = w.seed;
    make_tree(&w, &small_class);
    start(&w, turn_over, WRITERS);
    for (int i = 0; i < kills; i++) {
        int victim = pick(&random, WRITERS);
        int64_t until = w.progress[DONE + victim] + pick(&random, 40);

        wait_until(w.progress[DONE + victim] >= until);
        pause_ms(pick(&random, 3));
        kill_one(&w, victim);
        start_one(&w, turn_over, victim);
    }
    for (int i = 0; i < WRITERS; i++) {
        wait_until(w.progress[DONE + i] > 2 * most);
        kill_one(&w, i);
    }
    newt_close(w.s.a);
    newt_close(w.s.b);
    newt_db_close(w.s.db);
    /* what they had sent is committed, or not, when their sessions have ended */
    wait_until(sql_int(w.s.pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                               "'newt' AND datname = current_database()") == 0);
    print_share(&w, "killed");
    c = look(&w, &small_class, &db);
    for (int me = 0; me < WRITERS; me++) {
        int64_t done = w.progress[DONE + me], first;

        done += is_done(c, me, done); /* nobody was told of it */
        first = done > most ? done - most : 0;
        for (int64_t n = 0; n < done; n++)
            assert_int_equal(small_has(c, small_of(tree), key_of(me, n)), n >= first);
        length += done - first;
    }
    assert_int_equal(small_length(c, small_of(tree)), length);
    newt_close(c);
    w.s.db = db;
    w.s.a = connect_(db);
    w.s.b = connect_(db);
    collect(&w, "nothing text");
    store_close(&w.s);
}

static const struct CMUnitTest btree_writers[] = {cmocka_unit_test(test_keys_anywhere),
                                                  cmocka_unit_test(test_keys_in_order),
                                                  cmocka_unit_test(test_killed)};

int
main(void)
{
    return run_all(btree_writers);
}
