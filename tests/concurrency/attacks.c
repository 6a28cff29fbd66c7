/*
 * attacks.c - many writers against many readers; crossing updates and removals
 */
#include "crowd.h"

/* ---- a snapshot is a prefix in the order of tids --------------------------------------- */

/*
 * Items 0 ... 15 count the transactions of one writer each; the others are shared, and their sum
 * never changes. Writers note the tid of every transaction, readers their position and what they
 * see: exactly the transactions up to there.
 */
enum {
    WRITERS = 16,
    LOOKERS = 6,
    SHARED = 20
};

static bool
writers_ended(const crowd *w)
{
    for (int i = 0; i < WRITERS; i++)
        if (!w->progress[i])
            return false;
    return true;
}

typedef struct count {
    const crowd *w;
    int me;
    chance *random;
    int64_t n;
} count;

static int
count_one(newt_conn *c, void *arg)
{
    count *x = arg;
    int i = WRITERS + pick(x->random, SHARED), j = WRITERS + pick(x->random, SHARED);
    struct item *mine = item_write(c, x->w->items[x->me]), *from, *to;

    if (!mine)
        return newt_status(c);
    x->n = ++mine->n;
    if (pick(x->random, 2))
        return 0;
    if (!(from = item_write(c, x->w->items[i])) || !(to = item_write(c, x->w->items[j])))
        return newt_status(c);
    from->n -= 5;
    to->n += 5;
    return 0;
}

static void
write_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, classes);
    newt_conn *c = child_connects(db);
    double until = now() + duration(3, 60);
    count x = {.w = w, .me = me, .random = random};

    do {
        if (newt_transact(c, count_one, &x, &patient) != NEWT_OK)
            child_fails("count: %s", error_text(newt_conn_error(c)));
        dprintf(file, "w\t%d\t%lld\t%lld\n", me, (long long)x.n, (long long)newt_tid(c));
    } while (now() < until);
    w->progress[me] = 1;
    newt_close(c);
    newt_db_close(db);
}

typedef struct look {
    const crowd *w;
    bool sql;
    int64_t seen[WRITERS];
    int64_t tid;
} look;

static int
look_at_all(newt_conn *c, void *arg)
{
    look *x = arg;
    int64_t sum = 0;

    if (newt_prefetch(c, &x->w->items[0].any, WRITERS + SHARED) != NEWT_OK)
        return newt_status(c);
    for (int i = 0; i < WRITERS + SHARED; i++) {
        const struct item *o = item_read(c, x->w->items[i]);

        if (!o)
            return newt_status(c);
        if (i < WRITERS)
            x->seen[i] = o->n;
        else
            sum += o->n;
    }
    if (sum != 0)
        child_fails("a snapshot whose shared items sum up to %lld", (long long)sum);
    if (x->sql) { /* the projection and the feed, in the same snapshot */
        json_t *rows, *row;
        size_t i;

        if (newt_query(c, &rows,
                       "SELECT zoid, (state->>'n')::bigint AS n, (SELECT max(tid) FROM "
                       "transaction) AS tid FROM newt WHERE class_name = 'Item'",
                       0, NULL) != NEWT_OK)
            return newt_status(c);
        json_array_foreach(rows, i, row)
        {
            int64_t zoid = json_integer_value(json_object_get(row, "zoid"));

            if (json_integer_value(json_object_get(row, "tid")) != newt_tid(c))
                child_fails("a snapshot at %lld that holds another newest transaction",
                            (long long)newt_tid(c));
            for (int k = 0; k < WRITERS; k++)
                if (x->w->items[k].any.oid == zoid &&
                    json_integer_value(json_object_get(row, "n")) != x->seen[k])
                    child_fails("the projection differs from the record");
        }
        json_decref(rows);
    }
    x->tid = newt_tid(c);
    return 0;
}

static void
look_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, classes);
    newt_conn *c = child_connects(db);
    look x = {.w = w};
    bool last;

    do {
        last = writers_ended(w);
        x.sql = pick(random, 3) == 0;
        if (newt_transact(c, look_at_all, &x, &patient) != NEWT_OK)
            child_fails("look: %s", error_text(newt_conn_error(c)));
        for (int i = 0; i < WRITERS; i++)
            dprintf(file, "r\t%d\t%lld\t%lld\n", i, (long long)x.seen[i], (long long)x.tid);
    } while (!last);
    (void)me;
    newt_close(c);
    newt_db_close(db);
}

/* Polls for tid > last, as followers do: nothing may come behind its back. */
static void
follow_on(const crowd *w, int me, int file, chance *random)
{
    PGconn *pg = PQconnectdb(uri());
    char sql[200], last[32] = "0";
    PGresult *r;
    bool over;

    (void)me;
    (void)random;
    do {
        over = writers_ended(w);
        snprintf(sql, sizeof sql,
                 "SELECT tid, serial FROM %s.transaction WHERE tid > %s ORDER BY tid", w->s.schema,
                 last);
        r = PQexec(pg, sql);
        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            child_fails("%s", PQerrorMessage(pg));
        for (int i = 0; i < PQntuples(r); i++) {
            dprintf(file, "f\t0\t%s\t%s\n", PQgetvalue(r, i, 1), PQgetvalue(r, i, 0));
            snprintf(last, sizeof last, "%s", PQgetvalue(r, i, 0));
        }
        PQclear(r);
    } while (!over);
    PQfinish(pg);
}

static void
test_prefix(void **state)
{
    crowd *w = malloc(sizeof *w);
    PGconn *pg;

    (void)state;
    crowd_open(w, "prefix", true);
    make_items(w, WRITERS + SHARED, 0);
    start(w, write_on, WRITERS);
    start(w, look_on, LOOKERS);
    start(w, follow_on, 1);
    wait_for_all(w);
    pg = w->s.pg;
    collect(w, "what text, item int, n bigint, tid bigint");
    sql_do(pg, "CREATE INDEX ON note (item, n) WHERE what = 'w'");
    sql_do(pg, "ANALYZE note");
    print_message("# %d transactions, %d looks\n",
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = 'w'"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = 'r'") / WRITERS);
    assert_true(sql_int(pg, "SELECT count(*) FROM note WHERE what = 'r' AND n > 0") > 0);
    /* who saw the n-th transaction of a writer, and not the next, stands between the two */
    assert_sql(pg, "0",
               "SELECT count(*) FROM note r LEFT JOIN note a ON a.what = 'w' AND "
               "a.item = r.item AND a.n = r.n LEFT JOIN note b ON b.what = 'w' AND "
               "b.item = r.item AND b.n = r.n + 1 WHERE r.what = 'r' AND "
               "(a.tid > r.tid OR b.tid <= r.tid OR (a.tid IS NULL AND r.n > 0))");
    assert_sql(pg, "0",
               "SELECT count(*) FROM transaction t LEFT JOIN note n ON n.what = 'f' AND "
               "n.tid = t.tid AND n.n = t.serial WHERE n.tid IS NULL");
    assert_sql(pg, "0",
               "SELECT count(*) FROM (SELECT FROM note WHERE what = 'w' GROUP BY item, n "
               "HAVING count(*) > 1) d");
    assert_projection_follows(pg);
    assert_feed_is_whole(pg);
    store_close(&w->s);
    free(w);
}

/* ---- crossing updates and removals ------------------------------------------------------ */

/* Each of the roots refers to one leaf. A transaction changes many roots and leaves in an order of
 * its own, and replaces some of the leaves. */
enum {
    CROSSERS = 8,
    ROOTS = 20,
    TOUCHED = 6
};

static int
cross_once(newt_conn *c, void *arg)
{
    count *x = arg;

    for (int i = 0; i < TOUCHED; i++) {
        struct item *root = item_write(c, x->w->items[pick(x->random, ROOTS)]), *leaf;

        if (!root)
            return newt_status(c);
        leaf = item_write(c, root->next);
        if (!leaf)
            return newt_status(c);
        root->n++;
        leaf->n++;
        if (pick(x->random, 4) == 0) {
            int64_t n = leaf->n;

            if (newt_delete(c, root->next.any) != NEWT_OK || !(leaf = item_new(c)))
                return newt_status(c);
            leaf->n = n;
            root->next = item_id(leaf);
        }
    }
    return 0;
}

static void
cross_on(const crowd *w, int me, int file, chance *random)
{
    newt_db *db = child_opens(w->s.schema, classes);
    newt_conn *c = child_connects(db);
    double until = now() + duration(2, 30);
    count x = {.w = w, .me = me, .random = random};
    int64_t done = 0;

    while (done < 10 || now() < until) { /* enough that they meet */
        if (newt_transact(c, cross_once, &x, &patient) != NEWT_OK)
            child_fails("cross: %s", error_text(newt_conn_error(c)));
        done++;
    }
    dprintf(file, "%lld\t%lld\n", (long long)done, (long long)stats_of(c).conflicts);
    newt_close(c);
    newt_db_close(db);
}

static void
crossing(bool extension)
{
    crowd *w = malloc(sizeof *w);
    PGconn *pg;

    crowd_open(w, "crossing", extension);
    make_items(w, ROOTS, 0);
    begin(w->s.a);
    for (int i = 0; i < ROOTS; i++) {
        struct item *root = item_write(w->s.a, w->items[i]);

        assert_non_null(root);
        root->next = item_id(new_item(w->s.a, "leaf", 0));
    }
    commit(w->s.a);
    start(w, cross_on, CROSSERS);
    wait_for_all(w);
    pg = w->s.pg;
    collect(w, "done bigint, conflicts bigint");
    print_message("# %d transactions, %d conflicts\n",
                  (int)sql_int(pg, "SELECT sum(done) FROM note"),
                  (int)sql_int(pg, "SELECT sum(conflicts) FROM note"));
    assert_true(sql_int(pg, "SELECT sum(conflicts) FROM note") > 0);
    /* every transaction is there once, whole */
    assert_sql(pg, "t",
               "SELECT (SELECT sum((state->>'n')::bigint) FROM newt WHERE class_name = 'Item') = "
               "2 * %d * (SELECT sum(done) FROM note)",
               TOUCHED);
    assert_sql(pg, "0",
               "SELECT count(*) FROM newt r LEFT JOIN newt l ON l.zoid = "
               "(r.state->'next'->>'::=>')::bigint WHERE r.state ? 'next' AND "
               "r.state->'n' IS DISTINCT FROM l.state->'n'");
    assert_int_equal(sql_int(pg, "SELECT count(*) FROM object_state WHERE zoid > 1"), 2 * ROOTS);
    assert_int_equal(sql_int(pg, "SELECT count(*) FROM newt WHERE zoid > 1"), 2 * ROOTS);
    if (extension)
        assert_projection_follows(pg);
    /* the processes have ended, and with them what they had not yet told the statistics */
    wait_until(sql_int(pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'newt' "
                           "AND datname = current_database()") == 2);
    assert_sql(pg, "0",
               "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    store_close(&w->s);
    free(w);
}

static void
test_crossing_server(void **state)
{
    (void)state;
    crossing(true);
}

static void
test_crossing_client(void **state)
{
    (void)state;
    crossing(false);
}

static const struct CMUnitTest attacks[] = {
    cmocka_unit_test(test_prefix),
    cmocka_unit_test(test_crossing_server),
    cmocka_unit_test(test_crossing_client),
};

int
main(void)
{
    return run_all(attacks);
}
