/*
 * conflicts.c - what others have changed meanwhile: found, merged, reported
 */
#include "stored.h"

#include "../../bridge/postgres/session.h"

/* ---- a class that merges -------------------------------------------------------------- */

struct tally;
NEWT_DECLARE(tally);
struct tally {
    newt_text log;
    int64_t n;
    tally_ref peer;
};

/* What the resolver is to do, and what it has seen. */
static struct {
    int calls, give;
    int64_t old, committed, ours;
    bool too_large;
    int disturb;
    newt_conn *disturber;
    newt_ref disturbed;
} resolver;

static int sum(const void *old, const void *committed, void *ours, void *arg);
static const newt_hooks sums = {.size = sizeof sums, .resolve = sum, .arg = &resolver};
NEWT_CLASS(tally, "Tally", 1, &sums, NEWT_FIELD(struct tally, log), NEWT_FIELD(struct tally, n),
           NEWT_REF(struct tally, peer, tally));

static void
add(newt_conn *c, tally_ref r, int64_t n)
{
    struct tally *t = tally_write(c, r);

    if (!t)
        fail_error("tally_write", newt_conn_error(c));
    t->n += n;
    tally_done(t);
}

static int
sum(const void *old, const void *committed, void *ours, void *arg)
{
    const struct tally *a = old, *b = committed;
    struct tally *t = ours;
    char text[100];

    assert_ptr_equal(arg, &resolver);
    resolver.calls++;
    resolver.old = a->n;
    resolver.committed = b->n;
    resolver.ours = t->n;
    if (resolver.disturb-- > 0) {
        begin(resolver.disturber);
        add(resolver.disturber, tally_of(resolver.disturbed), 100);
        commit(resolver.disturber);
    }
    if (resolver.give)
        return resolver.give;
    assert_null(newt_conn_of(old));
    assert_null(newt_conn_of(ours));
    assert_int_equal(newt_ref_of(ours).oid, newt_ref_of(old).oid);
    t->n = t->n + b->n - a->n;
    if (resolver.too_large)
        return newt_text_setn((newt_object *)ours, &t->log, "x", UINT32_MAX);
    snprintf(text, sizeof text, "%s+%s", b->log.s, t->log.s);
    newt_set(t, log, text);
    return 0;
}

static const newt_class *const merging[] = {&tally_class, &item_class, NULL};

/* A store with one tally, and its two connections. */
typedef struct two {
    store s;
    newt_conn *a, *b;
    tally_ref r;
} two;

static tally_ref
make_tally(newt_conn *c, int64_t n)
{
    struct tally *t;
    tally_ref r;

    begin(c);
    t = tally_new(c);
    assert_non_null(t);
    newt_set(t, log, "0");
    t->n = n;
    t->peer = r = tally_id(t);
    commit(c);
    return r;
}

static void
two_open(two *t, const char *name)
{
    memset(&resolver, 0, sizeof resolver);
    store_make(&t->s, name);
    t->s.db = store_db(&t->s, merging, (newt_options){0});
    t->a = t->s.a = connect_(t->s.db);
    t->b = t->s.b = connect_(t->s.db);
    t->r = make_tally(t->a, 10);
}

static int64_t
tally_n(newt_conn *c, tally_ref r)
{
    const struct tally *t = tally_read(c, r);

    if (!t)
        fail_error("tally_read", newt_conn_error(c));
    return t->n;
}

/* The serial an object has in the store; 0: there is none. */
static int64_t
serial_of(const two *t, newt_ref r)
{
    return stored_serial(t->s.db, r);
}

/* Both representations, and the order of transactions. */
static void
check_store(const two *t, tally_ref r, int64_t n)
{
    char expected[32];

    snprintf(expected, sizeof expected, "%lld", (long long)n);
    assert_int_equal(stored_int(t->s.db, r.any, "n"), n);
    assert_sql(t->s.pg, expected, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
               (long long)r.any.oid);
    assert_sql(t->s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "LEFT JOIN transaction t ON t.serial = o.serial "
               "WHERE o.serial IS DISTINCT FROM p.serial OR t.tid IS NULL");
}

static void
test_merged(void **state)
{
    const struct tally *p;
    newt_stats before;
    item_ref created;
    two t;

    (void)state;
    two_open(&t, "merged");
    begin(t.a);
    begin(t.b);
    add(t.a, t.r, 1);
    add(t.b, t.r, 2);
    created = item_id(new_item(t.b, "beside", 1));
    commit(t.a);
    before = stats_of(t.b);
    commit(t.b);
    /* the first attempt, the question, the second attempt */
    assert_round_trips(t.b, before, 3);
    assert_int_equal(stats_of(t.b).merges, 1);
    assert_int_equal(stats_of(t.b).conflicts, 0);
    assert_int_equal(stats_of(t.b).commits, before.commits + 1);
    assert_int_equal(newt_status(t.b), NEWT_OK);
    assert_int_equal(resolver.calls, 1);
    assert_int_equal(resolver.old, 10);
    assert_int_equal(resolver.committed, 11);
    assert_int_equal(resolver.ours, 12);
    check_store(&t, t.r, 13);
    assert_sql(t.s.pg, "1", "SELECT count(*) FROM newt WHERE zoid = %lld",
               (long long)created.any.oid);
    /* one transaction, with all it wrote */
    assert_sql(t.s.pg, "2", "SELECT cardinality(written) FROM transaction WHERE tid = %lld",
               (long long)newt_tid(t.b));
    /* the merged state is in the cache, with its texts, and can be changed again */
    before = stats_of(t.b);
    begin(t.b);
    p = tally_read(t.b, t.r);
    assert_int_equal(p->n, 13);
    assert_string_equal(p->log.s, "0+0");
    assert_int_equal(p->peer.any.oid, t.r.any.oid);
    assert_int_equal(stats_of(t.b).loads, before.loads);
    add(t.b, t.r, 1);
    commit(t.b);
    check_store(&t, t.r, 14);
    begin(t.a);
    assert_int_equal(tally_n(t.a, t.r), 14);
    commit(t.a);
    store_close(&t.s);
}

/* Many at once, some of them not changed by others, one merged into what is there already. */
static void
test_many_merged(void **state)
{
    tally_ref r[50];
    two t;

    (void)state;
    two_open(&t, "many");
    for (int i = 0; i < 50; i++)
        r[i] = make_tally(t.a, i);
    begin(t.a);
    begin(t.b);
    for (int i = 49; i >= 0; i--)
        add(t.b, r[i], 1000);
    for (int i = 0; i < 50; i += 2)
        add(t.a, r[i], 100);
    commit(t.a);
    commit(t.b);
    assert_int_equal(stats_of(t.b).merges, 25);
    for (int i = 0; i < 50; i++)
        check_store(&t, r[i], i + 1000 + (i % 2 ? 0 : 100));
    begin(t.b);
    for (int i = 0; i < 50; i++)
        assert_int_equal(tally_n(t.b, r[i]), i + 1000 + (i % 2 ? 0 : 100));
    commit(t.b);
    store_close(&t.s);
}

/* Changed again while the resolver runs: merged again, from what it was merged with. */
static void
test_merged_again(void **state)
{
    two t;

    (void)state;
    two_open(&t, "again");
    resolver.disturb = 3;
    resolver.disturber = t.a;
    resolver.disturbed = t.r.any;
    begin(t.b);
    add(t.b, t.r, 2);
    begin(t.a);
    add(t.a, t.r, 1);
    commit(t.a);
    commit(t.b);
    assert_int_equal(resolver.calls, 4);
    assert_int_equal(stats_of(t.b).merges, 4);
    assert_int_equal(resolver.old, 211); /* what the one before was merged with */
    assert_int_equal(resolver.committed, 311);
    assert_int_equal(resolver.ours, 213);
    check_store(&t, t.r, 313);
    store_close(&t.s);
}

/* Ten attempts are merged, an eleventh is not: a conflict that newt_transact retries. */
static int
add_two(newt_conn *c, void *arg)
{
    two *t = arg;

    add(c, t->r, 2);
    begin(t->a);
    add(t->a, t->r, 1);
    commit(t->a);
    return 0;
}

static void
test_merged_too_often(void **state)
{
    newt_transact_options twice = {.size = sizeof twice, .attempts = 2};
    const newt_conflict *x;
    two t;

    (void)state;
    two_open(&t, "often");
    resolver.disturb = 9; /* and the first commit: ten in all, the last of which succeeds */
    resolver.disturber = t.a;
    resolver.disturbed = t.r.any;
    ok(t.b, newt_transact(t.b, add_two, &t, NULL));
    assert_int_equal(resolver.calls, 10);
    assert_int_equal(stats_of(t.b).retries, 0);
    check_store(&t, t.r, 10 + 1 + 900 + 2);

    resolver.disturb = 1000;
    resolver.calls = 0;
    assert_int_equal(newt_transact(t.b, add_two, &t, &twice), NEWT_ECONFLICT);
    assert_int_equal(resolver.calls, 20);
    assert_int_equal(stats_of(t.b).retries, 1);
    assert_int_equal(stats_of(t.b).conflicts, 2);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(t.b)), "merged 10 times"));
    x = newt_error_conflict(newt_conn_error(t.b), 0);
    assert_non_null(x);
    assert_int_equal(x->committed, serial_of(&t, t.r.any));
    check_store(&t, t.r, 913 + 2 * 1001);

    /* with the others gone it works */
    resolver.disturb = 0;
    ok(t.b, newt_transact(t.b, add_two, &t, &twice));
    check_store(&t, t.r, 913 + 2 * 1001 + 3);
    store_close(&t.s);
}

/* Merged into exactly what the others have committed: nothing is left to write. */
static int
give_way(const void *old, const void *committed, void *ours, void *arg)
{
    (void)old;
    (void)arg;
    ((struct item *)ours)->n = ((const struct item *)committed)->n;
    return 0;
}
static const newt_hooks giving_way = {.size = sizeof giving_way, .resolve = give_way};
struct yielding {
    newt_text name;
    int64_t n;
    item_ref next;
};
NEWT_DECLARE(yielding);
NEWT_CLASS(yielding, "Yielding", 1, &giving_way, NEWT_FIELD(struct yielding, name),
           NEWT_FIELD(struct yielding, n), NEWT_REF(struct yielding, next, item));

static void
test_nothing_left(void **state)
{
    static const newt_class *const list[] = {&yielding_class, &item_class, NULL};
    struct yielding *y;
    yielding_ref r;
    store s;

    (void)state;
    store_make(&s, "nothing");
    s.db = store_db(&s, list, (newt_options){.debug = true});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    r = yielding_id(yielding_new(s.a));
    commit(s.a);
    begin(s.a);
    begin(s.b);
    for (int i = 0; i < 2; i++) {
        y = yielding_write(i ? s.b : s.a, r);
        assert_non_null(y);
        y->n = i + 1;
    }
    commit(s.a);
    commit(s.b);
    assert_sql(s.pg, "1", "SELECT state->>'n' FROM newt WHERE class_name = 'Yielding'");
    assert_sql(s.pg, "3", "SELECT count(*) FROM transaction");
    begin(s.b);
    assert_int_equal(yielding_read(s.b, r)->n, 1);
    commit(s.b);
    store_close(&s);
}

/* ---- conflicts that remain ------------------------------------------------------------ */

static void
test_listed(void **state)
{
    const newt_conflict *x;
    int64_t before[4];
    const newt_error *e;
    tally_ref quiet;
    item_ref item;
    newt_ref list[4], dynamic;
    newt_bag *bag;
    json_t *seven = json_integer(7);
    two t;

    (void)state;
    two_open(&t, "listed");
    quiet = make_tally(t.a, 1);
    item = make_item(t.a, "item", 1);
    begin(t.a);
    bag = newt_bag_new(t.a, "Dynamic");
    assert_non_null(bag);
    ok(t.a, newt_bag_set(bag, "x", seven));
    dynamic = newt_bag_ref(bag);
    commit(t.a);
    list[0] = t.r.any; /* in the order of oids */
    list[1] = item.any;
    list[2] = dynamic;
    for (int i = 0; i < 3; i++)
        before[i] = serial_of(&t, list[i]);

    begin(t.a);
    begin(t.b);
    add(t.b, quiet, 5);
    add(t.b, t.r, 5);
    write_n(t.b, item, 5);
    bag = newt_bag_write(t.b, dynamic);
    assert_non_null(bag);
    ok(t.b, newt_bag_set(bag, "y", seven));
    add(t.a, t.r, 1);
    ok(t.a, newt_delete(t.a, item.any));
    bag = newt_bag_write(t.a, dynamic);
    assert_non_null(bag);
    ok(t.a, newt_bag_set(bag, "z", seven));
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    /* with one that cannot be merged, none is: the resolver does not even run */
    assert_int_equal(resolver.calls, 0);
    e = newt_conn_error(t.b);
    assert_true(newt_is_retryable(e));
    assert_string_equal(newt_error_sqlstate(e), "40001");
    assert_int_equal(newt_error_oid(e), item.any.oid);
    assert_non_null(strstr(newt_error_message(e), "was removed by another transaction"));
    assert_non_null(strstr(newt_error_message(e), "(and 2 more objects)"));
    for (int i = 0; i < 3; i++) {
        char text[100];

        x = newt_error_conflict(e, (size_t)i);
        assert_non_null(x);
        assert_int_equal(x->object.oid, list[i].oid);
        assert_int_equal(x->serial, before[i]);
        assert_int_equal(x->committed, serial_of(&t, list[i]));
        assert_string_equal(x->class_name, i == 0 ? "Tally" : i == 1 ? "Item" : "Dynamic");
        assert_false(x->read_current);
        snprintf(text, sizeof text,
                 x->committed ? "%s %lld: read with serial %lld, has %lld now"
                              : "%s %lld: read with serial %lld, removed",
                 x->class_name, (long long)x->object.oid, (long long)x->serial,
                 (long long)x->committed);
        assert_non_null(strstr(newt_error_detail(e), text));
    }
    assert_null(newt_error_conflict(e, 3));
    assert_null(newt_error_conflict(NULL, 0));
    check_store(&t, quiet, 1);
    check_store(&t, t.r, 11);
    begin(t.b);
    assert_null(newt_error_conflict(newt_conn_error(t.b), 0));
    assert_int_equal(tally_n(t.b, t.r), 11);
    newt_abort(t.b);
    json_decref(seven);
    store_close(&t.s);
}

/* More than an error's text holds: all are listed nevertheless. */
static void
test_long_list(void **state)
{
    enum {
        N = 300
    };
    const newt_error *e;
    item_ref r[N];
    size_t n = 0;
    two t;

    (void)state;
    two_open(&t, "long");
    begin(t.a);
    for (int i = 0; i < N; i++)
        r[i] = item_id(new_item(t.a, "x", i));
    commit(t.a);
    begin(t.a);
    begin(t.b);
    for (int i = 0; i < N; i++) {
        write_n(t.a, r[i], -1);
        write_n(t.b, r[i], -2);
    }
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    e = newt_conn_error(t.b);
    for (; newt_error_conflict(e, n); n++)
        assert_int_equal(newt_error_conflict(e, n)->object.oid, r[n].any.oid);
    assert_int_equal(n, N);
    assert_non_null(strstr(newt_error_detail(e), " more."));
    store_close(&t.s);
}

static void
test_refused(void **state)
{
    newt_ref r;
    two t;

    (void)state;
    two_open(&t, "refused");
    r = t.r.any;
    for (int i = 0; i < 4; i++) {
        static const int gives[] = {1, NEWT_ENOMEM, NEWT_OK, NEWT_OK};
        static const int statuses[] = {NEWT_ECONFLICT, NEWT_ENOMEM, NEWT_ELIMIT, NEWT_ECONFLICT};

        resolver.give = gives[i];
        resolver.too_large = i == 2; /* a setter fails */
        begin(t.a);
        begin(t.b);
        if (i == 3)
            ok(t.b, newt_delete(t.b, r));
        else
            add(t.b, t.r, 1);
        add(t.a, t.r, 10);
        commit(t.a);
        assert_int_equal(newt_commit(t.b), statuses[i]);
        assert_int_equal(newt_status(t.b), statuses[i]);
        assert_int_equal(newt_error_oid(newt_conn_error(t.b)), r.oid);
        assert_string_equal(newt_error_class(newt_conn_error(t.b)), "Tally");
        assert_int_equal(i == 0, strstr(newt_error_detail(newt_conn_error(t.b)),
                                        "Its resolver did not merge it.") != NULL);
        if (statuses[i] == NEWT_ECONFLICT)
            assert_string_equal(newt_error_hint(newt_conn_error(t.b)),
                                "Run the transaction again, as newt_transact does.");
        assert_int_equal(resolver.calls, i < 3 ? i + 1 : 3);
        check_store(&t, t.r, 10 + 10 * (i + 1));
        /* the connection goes on */
        begin(t.b);
        assert_int_equal(tally_n(t.b, t.r), 10 + 10 * (i + 1));
        commit(t.b);
    }
    assert_int_equal(stats_of(t.b).merges, 0);
    store_close(&t.s);
}

/* Fields that this program's table lacks: what the others made of them stays. */
struct whole {
    newt_text log, more;
    int64_t n;
};
NEWT_DECLARE(whole);
NEWT_CLASS(whole, "Part", 1, NULL, NEWT_FIELD(struct whole, log), NEWT_FIELD(struct whole, more),
           NEWT_FIELD(struct whole, n));
struct part {
    newt_text log;
    int64_t n;
};
NEWT_DECLARE(part);
static int
add_up(const void *old, const void *committed, void *ours, void *arg)
{
    (void)arg;
    ((struct part *)ours)->n += ((const struct part *)committed)->n - ((const struct part *)old)->n;
    return 0;
}
static const newt_hooks adding_up = {.size = sizeof adding_up, .resolve = add_up};
NEWT_CLASS(part, "Part", 1, &adding_up, NEWT_FIELD(struct part, log), NEWT_FIELD(struct part, n));

static int
change_whole(newt_conn *c, void *arg)
{
    struct whole *w = whole_write(c, whole_of(*(newt_ref *)arg));

    if (!w)
        return newt_status(c);
    newt_set(w, more, w->n < 10 ? "first" : "second");
    w->n += 10;
    return 0;
}

static void
test_unknown_fields(void **state)
{
    static const newt_class *const wholes[] = {&whole_class, NULL};
    static const newt_class *const parts[] = {&part_class, NULL};
    struct whole *w;
    struct part *p;
    newt_conn *a, *b;
    newt_db *da, *db;
    newt_ref r;
    store s;

    (void)state;
    needs_server(); /* where the registry can forget */
    store_make(&s, "unknown");
    da = store_db(&s, wholes, (newt_options){0});
    sql_do(s.pg, "DELETE FROM newt_class"); /* which would not have both */
    db = store_db(&s, parts, (newt_options){0});
    a = connect_(da);
    b = connect_(db);
    begin(a);
    w = whole_new(a);
    r = whole_id(w).any;
    commit(a);
    for (int i = 1; i <= 2; i++) { /* the first time there is none yet */
        begin(b);
        p = part_write(b, part_of(r));
        assert_non_null(p);
        p->n += 1;
        ok(a, newt_transact(a, change_whole, &r, NULL));
        commit(b);
    }
    assert_sql(s.pg, "{\"n\": 22, \"more\": \"second\"}",
               "SELECT state FROM newt WHERE zoid = %lld", (long long)r.oid);
    newt_close(a);
    newt_close(b);
    newt_db_close(da);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* ---- newt_read_current ---------------------------------------------------------------- */

/* Two accounts that must not both be empty: each transaction reads both and empties one. */
static void
test_write_skew(void **state)
{
    int64_t statements;
    newt_stats before;
    item_ref x, y;
    two t;

    (void)state;
    two_open(&t, "skew");
    for (int current = 0; current < 2; current++) {
        x = make_item(t.a, "x", 1);
        y = make_item(t.a, "y", 1);
        begin_alone(t.a);
        begin(t.b);
        if (read_n(t.a, x) + read_n(t.a, y) > 1)
            write_n(t.a, x, 0);
        if (read_n(t.b, x) + read_n(t.b, y) > 1)
            write_n(t.b, y, 0);
        if (current) {
            ok(t.a, newt_read_current(t.a, y.any));
            ok(t.b, newt_read_current(t.b, x.any));
        }
        /* what must be current is compared under the lock, by a statement before COMMIT */
        statements = on_memory() ? 0 : current ? 8 : t.a->jar.session->has_extension ? 4 : 7;
        before = stats_of(t.a);
        commit(t.a);
        assert_round_trips(t.a, before, 1);
        assert_int_equal(stats_of(t.a).statements - before.statements, statements);
        assert_int_equal(newt_commit(t.b), current ? NEWT_ECONFLICT : NEWT_OK);
        if (current) {
            const newt_error *e = newt_conn_error(t.b);

            assert_int_equal(newt_error_oid(e), x.any.oid);
            assert_true(newt_error_conflict(e, 0)->read_current);
            assert_int_equal(newt_error_conflict(e, 0)->committed, serial_of(&t, x.any));
            assert_null(newt_error_conflict(e, 1));
            assert_non_null(strstr(newt_error_message(e), "changed by another transaction"));
            assert_non_null(strstr(newt_error_detail(e), "newt_read_current was called"));
            assert_string_equal(newt_error_class(e), "Item");
        }
        assert_int_equal(stored_int(t.s.db, x.any, "n") + stored_int(t.s.db, y.any, "n"), current);
    }
    store_close(&t.s);
}

static void
test_read_current(void **state)
{
    newt_ref none = {0}, missing = {1000000000};
    newt_stats before;
    item_ref x, y, z;
    two t;

    (void)state;
    two_open(&t, "current");
    x = make_item(t.a, "x", 1);
    y = make_item(t.a, "y", 1);
    assert_int_equal(newt_read_current(t.a, x.any), NEWT_EBUSY);

    /* nothing written: nothing checked, and nothing sent but for the load */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, x.any));
    begin(t.a);
    write_n(t.a, x, 2);
    commit(t.a);
    before = stats_of(t.b);
    commit(t.b);
    assert_int_equal(stats_of(t.b).round_trips, before.round_trips);

    /* changed back, so that it is not written: it is compared all the same; asked for twice; new */
    begin(t.b);
    write_n(t.b, x, 3);
    write_n(t.b, x, 2);
    ok(t.b, newt_read_current(t.b, x.any));
    ok(t.b, newt_read_current(t.b, x.any));
    write_n(t.b, y, 2);
    z = item_id(new_item(t.b, "z", 1));
    ok(t.b, newt_read_current(t.b, z.any));
    begin(t.a);
    write_n(t.a, x, 4);
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(t.b)), x.any.oid);

    /* removed; and the next transaction has forgotten all about it */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, x.any));
    write_n(t.b, y, 3);
    begin(t.a);
    ok(t.a, newt_delete(t.a, x.any));
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(t.b), 0)->committed, 0);
    begin(t.b);
    write_n(t.b, y, 3);
    commit(t.b);

    /* written as well: it is compared once, and the class's resolver does not merge it */
    begin(t.b);
    ok(t.b, newt_read_current(t.b, t.r.any));
    add(t.b, t.r, 1);
    begin(t.a);
    add(t.a, t.r, 1);
    commit(t.a);
    assert_int_equal(newt_commit(t.b), NEWT_ECONFLICT);
    assert_int_equal(resolver.calls, 0);
    assert_false(newt_error_conflict(newt_conn_error(t.b), 0)->read_current);
    begin(t.b);
    ok(t.b, newt_read_current(t.b, t.r.any));
    add(t.b, t.r, 1);
    commit(t.b);
    check_store(&t, t.r, 12);

    /* what is not there cannot be current */
    for (int i = 0; i < 2; i++) {
        int status = i ? NEWT_EMISSING : NEWT_EINVAL;

        begin(t.b);
        write_n(t.b, y, 9);
        assert_int_equal(newt_read_current(t.b, i ? missing : none), status);
        assert_int_equal(newt_commit(t.b), status);
    }
    check_store(&t, t.r, 12);
    store_close(&t.s);
}

/* 10,000 objects of a transaction can be asked for, and no more. */
static void
test_read_current_limit(void **state)
{
    enum {
        N = 10000
    };
    newt_ref *r = calloc(N + 1, sizeof *r);
    item_ref x;
    two t;

    (void)state;
    assert_non_null(r);
    two_open(&t, "limit");
    x = make_item(t.a, "x", 0);
    begin(t.a);
    for (int i = 0; i <= N; i++)
        r[i] = item_id(new_item(t.a, "y", i)).any;
    commit(t.a);
    for (int extra = 0; extra < 2; extra++) {
        begin(t.b);
        ok(t.b, newt_prefetch(t.b, r, N + 1));
        write_n(t.b, x, extra + 1);
        for (int i = 0; i < N; i++)
            ok(t.b, newt_read_current(t.b, r[i]));
        if (extra)
            assert_int_equal(newt_read_current(t.b, r[N]), NEWT_ELIMIT);
        assert_int_equal(newt_commit(t.b), extra ? NEWT_ELIMIT : NEWT_OK);
    }
    begin(t.a);
    assert_int_equal(read_n(t.a, x), 1);
    commit(t.a);
    free(r);
    store_close(&t.s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_merged),           TWICE(test_many_merged),  TWICE(test_merged_again),
        TWICE(test_merged_too_often), TWICE(test_nothing_left), TWICE(test_listed),
        TWICE(test_long_list),        TWICE(test_refused),      TWICE(test_unknown_fields),
        TWICE(test_write_skew),       TWICE(test_read_current), TWICE(test_read_current_limit),
    };

    return run_all(tests);
}
