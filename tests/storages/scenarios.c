/*
 * scenarios.c - what the test suites of ZODB and RelStorage ask of a storage and of its caches,
 * expressed anew; each test names the scenario that it stands for
 */
#include "../concurrency/concurrency.h"
#include "stored.h"

static void
set_n(newt_conn *c, item_ref r, int64_t n)
{
    do {
        begin(c);
        write_n(c, r, n);
    } while (newt_commit(c) == NEWT_ECONFLICT);
    assert_int_equal(newt_status(c), NEWT_OK);
}

static int64_t
serial_of(const store *s, item_ref r)
{
    return stored_serial(s->db, r.any);
}

/* ---- ZODB, BasicStorage ----------------------------------------------------------------- */

/* checkNonVersionStoreAndLoad, checkStoreTwoObjects, checkGetSerial: revision after revision, the
 * last one is loaded, each has a serial of its own */
static void
test_store_and_load(void **state)
{
    int64_t last = 0, last_tid = 0;
    item_ref r, q;
    store s;

    (void)state;
    store_open(&s, "load");
    r = make_item(s.a, "r", 7);
    q = make_item(s.a, "q", 51);
    assert_true(r.any.oid != q.any.oid);
    assert_true(serial_of(&s, r) != serial_of(&s, q));
    for (int i = 13; i < 22; i++) {
        set_n(s.a, r, i);
        assert_true(serial_of(&s, r) != last);
        assert_true(newt_tid(s.a) > last_tid);
        last = serial_of(&s, r);
        last_tid = newt_tid(s.a);
    }
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 21);
    assert_int_equal(read_n(s.b, q), 51);
    commit(s.b);
    store_close(&s);
}

/* checkConflicts, checkWriteAfterAbort, checkAbortAfterVote: what fails at its last step leaves
 * nothing, and the next transaction works */
static void
test_write_after_failure(void **state)
{
    item_ref r, lost;
    store s;

    (void)state;
    store_open(&s, "failure");
    r = make_item(s.a, "r", 11);
    begin(s.b);
    assert_int_equal(read_n(s.b, r), 11);
    set_n(s.a, r, 12);
    write_n(s.b, r, 13);
    lost = item_id(new_item(s.b, "lost", 5));
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    begin(s.b);
    lost = item_id(new_item(s.b, "lost", 5));
    newt_abort(s.b);
    begin(s.b);
    assert_null(item_read(s.b, lost));
    assert_int_equal(read_n(s.b, r), 12);
    write_n(s.b, r, 14);
    lost = item_id(new_item(s.b, "kept", 6));
    commit(s.b);
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 14);
    assert_int_equal(read_n(s.a, lost), 6);
    commit(s.a);
    assert_sql(s.pg, "2", "SELECT count(*) FROM object_state WHERE zoid > 1");
    store_close(&s);
}

/* ---- ZODB, testmvcc --------------------------------------------------------------------- */

/* An object that a transaction loads for the first time after others have changed it, twice, is as
 * it was when the transaction began; one that was made since is not there. */
static void
test_late_load(void **state)
{
    item_ref a, b, made;
    other o;
    store s;

    (void)state;
    store_open(&s, "late");
    a = make_item(s.a, "a", 1);
    b = make_item(s.a, "b", 1);
    o = other_open(&s);
    begin(o.c);
    assert_int_equal(read_n(o.c, a), 1); /* its snapshot */
    set_n(s.a, b, 2);
    set_n(s.a, b, 3);
    set_n(s.a, a, 2);
    made = make_item(s.a, "made", 1);
    begin(s.a);
    ok(s.a, newt_delete(s.a, made.any));
    made = item_id(new_item(s.a, "made", 1));
    commit(s.a);
    assert_int_equal(read_n(o.c, b), 1);
    assert_int_equal(read_n(o.c, a), 1);
    assert_null(item_read(o.c, made));
    assert_int_equal(newt_status(o.c), NEWT_EMISSING);
    commit(o.c);
    /* with the next transaction everything is of one moment again */
    begin(o.c);
    assert_int_equal(read_n(o.c, made), 1);
    assert_int_equal(read_n(o.c, a), 2);
    assert_int_equal(read_n(o.c, b), 3);
    commit(o.c);
    other_close(&o);
    store_close(&s);
}

/* Storing what was read from an old snapshot is a conflict, also long after. */
static void
test_stale_store(void **state)
{
    item_ref a;
    other o;
    store s;

    (void)state;
    store_open(&s, "stale");
    a = make_item(s.a, "a", 1);
    o = other_open(&s);
    begin(o.c);
    assert_int_equal(read_n(o.c, a), 1);
    for (int i = 2; i < 40; i++)
        set_n(s.a, a, i);
    write_n(o.c, a, 100);
    assert_int_equal(newt_commit(o.c), NEWT_ECONFLICT);
    begin(o.c);
    assert_int_equal(read_n(o.c, a), 39);
    commit(o.c);
    other_close(&o);
    store_close(&s);
}

/* ---- ZODB, racetest and MTStorage; RelStorage, newly created objects ---------------------- */

/*
 * check_race_loadopen_vs_local_invalidate (connections of one newt_db) and
 * check_race_load_vs_external_invalidate (programs of their own): pairs that are changed together
 * are equal in every transaction that loads them, from cache or server. And a root never refers to
 * an object that is not there yet, or not any more.
 */
typedef struct racer {
    newt_db *db;
    item_ref a, b, root;
    bool writes;
    double until;
    int64_t done;
    uint64_t seed;
    char failure[200];
} racer;

static int
race_once(newt_conn *c, void *arg)
{
    racer *x = arg;
    struct item *a, *b, *root, *old, *made;

    if (!x->writes) {
        const struct item *p = item_read(c, x->a), *q = item_read(c, x->b), *r, *n;

        if (!p || !q || !(r = item_read(c, x->root)))
            return newt_status(c);
        n = item_read(c, r->next);
        if (!n && newt_status(c) != NEWT_EMISSING)
            return newt_status(c);
        if (!n)
            snprintf(x->failure, sizeof x->failure, "object %lld is missing",
                     (long long)r->next.any.oid);
        else if (p->n != q->n || n->n != r->n)
            snprintf(x->failure, sizeof x->failure, "%lld beside %lld, %lld beside %lld",
                     (long long)p->n, (long long)q->n, (long long)n->n, (long long)r->n);
        return *x->failure ? 1 : 0;
    }
    if (!(a = item_write(c, x->a)) || !(b = item_write(c, x->b)) ||
        !(root = item_write(c, x->root)) || !(old = item_write(c, root->next)) ||
        !(made = item_new(c)))
        return newt_status(c);
    if (a->n != b->n || root->n != old->n)
        snprintf(x->failure, sizeof x->failure, "a writer found %lld beside %lld", (long long)a->n,
                 (long long)b->n);
    b->n = ++a->n;
    made->n = ++root->n;
    if (newt_delete(c, root->next.any) != NEWT_OK)
        return newt_status(c);
    root->next = item_id(made);
    return *x->failure ? 1 : 0;
}

static void *
race(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 100000};
    racer *x = arg;
    newt_conn *c = NULL;
    int status = newt_connect(x->db, &c);

    while (status == NEWT_OK && (x->done == 0 || now() < x->until)) {
        status = newt_transact(c, race_once, x, &patient);
        x->done += status == NEWT_OK;
        if (x->seed++ % 7 == 0) { /* back to the pool, and perhaps another one */
            newt_close(c);
            status = status ? status : newt_connect(x->db, &c);
            if (status)
                c = NULL;
        }
    }
    if (status != NEWT_OK && !*x->failure)
        snprintf(x->failure, sizeof x->failure, "status %d: %s", status,
                 c ? newt_error_message(newt_conn_error(c)) : "");
    newt_close(c);
    return NULL;
}

static void
races(bool one_db)
{
    enum {
        THREADS = 6
    };
    racer x[THREADS];
    pthread_t t[THREADS];
    item_ref a, b, root;
    struct item *i;
    store s;

    store_open(&s, "race");
    a = make_item(s.a, "a", 0);
    b = make_item(s.a, "b", 0);
    begin(s.a);
    i = new_item(s.a, "root", 0);
    i->next = item_id(new_item(s.a, "next", 0));
    root = item_id(i);
    commit(s.a);
    for (int k = 0; k < THREADS; k++) {
        x[k] = (racer){.db = one_db ? s.db : store_db(&s, classes, (newt_options){0}),
                       .a = a,
                       .b = b,
                       .root = root,
                       .writes = k % 3 == 0,
                       .until = now() + duration(1, 20),
                       .seed = (uint64_t)k};
        assert_int_equal(pthread_create(&t[k], NULL, race, &x[k]), 0);
    }
    for (int k = 0; k < THREADS; k++) {
        pthread_join(t[k], NULL);
        if (*x[k].failure)
            fail_msg("%s", x[k].failure);
        assert_true(x[k].done > 0);
        if (!one_db)
            newt_db_close(x[k].db);
    }
    begin(s.b);
    assert_int_equal(read_n(s.b, root), x[0].done + x[3].done);
    commit(s.b);
    print_message("# %d writes, %d reads\n", (int)(x[0].done + x[3].done),
                  (int)(x[1].done + x[2].done + x[4].done + x[5].done));
    store_close(&s);
}

static void
test_race_of_one_database(void **state)
{
    (void)state;
    races(true);
}

static void
test_race_of_programs(void **state)
{
    (void)state;
    races(false);
}

/* ---- RelStorage -------------------------------------------------------------------------- */

/* checkAutoReconnect, checkAutoReconnectOnSync, and that a reconnected cache hears what it has
 * missed: the server process ends while a connection is idle */
static void
test_reconnect(void **state)
{
    item_ref r, q;
    other o;
    store s;

    (void)state;
    needs_server();
    store_open(&s, "reconnect");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    o = other_open(&s);
    for (int i = 2; i < 5; i++) {
        begin(o.c);
        read_n(o.c, r);
        commit(o.c);
        sql_do(s.pg, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
                     "application_name = 'newt' AND datname = current_database()");
        set_n(s.a, r, i);
        set_n(s.a, q, i);
        do { /* a read conflict is possible, a wrong value is not */
            const struct item *x, *y;

            begin(o.c);
            x = item_read(o.c, q);
            y = x ? item_read(o.c, r) : NULL;
            if (x && y) {
                assert_int_equal(x->n, y->n);
                break;
            }
            assert_int_equal(newt_status(o.c), NEWT_ECONFLICT);
            newt_abort(o.c);
        } while (true);
        commit(o.c);
    }
    other_close(&o);
    store_close(&s);
}

/* checkBackwardTimeTravelWithRevertWhenStale: the database goes back to an older state, as after a
 * restore; what is cached of the later one must not be used */
static void
test_back_in_time(void **state)
{
    item_ref r, q;
    int64_t tid;
    other o;
    store s;

    (void)state;
    needs_server();
    store_open(&s, "back");
    r = make_item(s.a, "r", 1);
    q = make_item(s.a, "q", 1);
    tid = newt_tid(s.a);
    sql_do(s.pg, "CREATE TEMP TABLE old_state AS TABLE object_state");
    sql_do(s.pg, "CREATE TEMP TABLE old_json AS TABLE newt_projection");
    set_n(s.a, r, 2);
    o = other_open(&s);
    begin(o.c);
    assert_int_equal(read_n(o.c, r), 2);
    commit(o.c);
    sql_do(s.pg,
           "BEGIN; TRUNCATE object_state, newt_projection; "
           "INSERT INTO object_state TABLE old_state; "
           "INSERT INTO newt_projection TABLE old_json; "
           "DELETE FROM transaction WHERE tid > %lld; COMMIT",
           (long long)tid);
    begin(o.c);
    if (newt_tid(o.c) > tid) { /* begun without the server: q is the contact */
        assert_int_equal(read_n(o.c, q), 1);
        assert_true(newt_tid(o.c) <= tid); /* 0: not known in this transaction */
    }
    assert_int_equal(read_n(o.c, r), 1);
    write_n(o.c, r, 3);
    commit(o.c);
    assert_true(newt_tid(o.c) > tid);
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    other_close(&o);
    store_close(&s);
}

/* A dump brings the row of newt_incarnation along, and sequences that stand where they stood:
 * blocks of oids that were taken later belong to the database that is gone. A copy stands for the
 * dump. */
static void
test_restored_copy(void **state)
{
    newt_db *db;
    newt_conn *c;
    char conninfo[sizeof test_uri];
    PGconn *pg;

    (void)state;
    needs_server();
    pg = sql_open();
    sql_do(pg, "CREATE DATABASE original_%d", (int)getpid());
    snprintf(conninfo, sizeof conninfo, "postgresql:///original_%d?host=%s&port=%s&user=%s",
             (int)getpid(), getenv("PGHOST"), getenv("PGPORT"), getenv("PGUSER"));
    assert_int_equal(newt_store_create(conninfo, NULL, NULL), NEWT_OK);
    sql_do(pg, "CREATE DATABASE copy_%d TEMPLATE original_%d", (int)getpid(), (int)getpid());
    assert_int_equal(newt_db_open(&db, conninfo, classes, NULL), NEWT_OK);
    assert_int_equal(newt_connect(db, &c), NEWT_OK);
    begin(c);
    assert_non_null(item_new(c)); /* has a block now, and nothing in its cache */
    newt_abort(c);
    sql_do(pg,
           "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
           "datname = 'original_%d'",
           (int)getpid());
    sql_do(pg, "DROP DATABASE original_%d", (int)getpid());
    sql_do(pg, "ALTER DATABASE copy_%d RENAME TO original_%d", (int)getpid(), (int)getpid());
    begin(c);
    if (newt_root(c, "x").oid == 0 && newt_status(c) != NEWT_OK) { /* notices the loss only now */
        assert_int_equal(newt_status(c), NEWT_ELOST);
        newt_abort(c);
        begin(c);
        newt_root(c, "x");
    }
    assert_non_null(item_new(c));
    commit(c);
    PQfinish(pg);
    pg = PQconnectdb(conninfo);
    assert_sql(pg, "t",
               "SELECT max(zoid) < last_value + 1024 AND is_called FROM "
               "public.object_state, public.newt_oid GROUP BY last_value, is_called");
    PQfinish(pg);
    newt_close(c);
    newt_db_close(db);
    pg = sql_open();
    sql_do(pg, "DROP DATABASE original_%d WITH (FORCE)", (int)getpid());
    PQfinish(pg);
}

/* check16KObject, check16MObject, check99X1900Objects: sizes at which storages have failed */
static void
test_sizes(void **state)
{
    static const size_t sizes[] = {0, 16 * 1024 - 1, 16 * 1024, 65535, 65536, 16 * 1024 * 1024};
    char *text = malloc(16 * 1024 * 1024);
    const struct item *i;
    struct item *j;
    item_ref r[6];
    store s;

    (void)state;
    memset(text, 'x', 16 * 1024 * 1024);
    store_open(&s, "sizes");
    for (int k = 0; k < 6; k++) {
        begin(s.a);
        j = new_item(s.a, "", k);
        ok(s.a, newt_text_setn(item_obj(j), &j->name, text, sizes[k]));
        r[k] = item_id(j);
        commit(s.a);
    }
    for (int k = 0; k < 6; k++) {
        begin(s.b);
        i = item_read(s.b, r[k]);
        assert_non_null(i);
        assert_int_equal(i->name.n, sizes[k]);
        assert_true(i->name.n == 0 || memcmp(i->name.s, text, i->name.n) == 0);
        commit(s.b);
    }
    free(text);
    store_close(&s);
}

/* ---- begins of a stale cache ----------------------------------------------------------------- */

/* checkCachePolling, and the bound that Newt adds to it: who begins later than a tenth of a second
 * after a commit sees it, however idle the connection was; another connection of the newt_db that
 * has committed sees it at once. */
static void
test_stale_begin(void **state)
{
    const double bound = 0.1;
    int lazy = 0;
    item_ref r;
    other o;
    store s;

    (void)state;
    store_open(&s, "bound");
    r = make_item(s.a, "r", 0);
    o = other_open(&s);
    for (int64_t n = 1; n <= 8; n++) {
        double committed, begun;
        int64_t got;

        begin(o.c); /* in its cache */
        read_n(o.c, r);
        commit(o.c);
        begin(s.b);
        read_n(s.b, r);
        commit(s.b);
        set_n(s.a, r, n);
        committed = now();
        begin(s.b);
        assert_int_equal(read_n(s.b, r), n);
        commit(s.b);
        do {
            begun = now();
            begin(o.c);
            got = read_n(o.c, r);
            lazy += got < n;
            assert_true(got == n || (got == n - 1 && begun - committed < bound));
            commit(o.c);
        } while (got < n);
    }
    print_message("# %d transactions on a cache of before\n", lazy);
    other_close(&o);
    store_close(&s);
}

/* What was used from a stale cache is noticed at the contact, whatever that is; what was only
 * written is noticed at commit. */
static void
test_stale_use(void **state)
{
    item_ref r, q, unknown;
    newt_result *found;
    bool contact_seen[4] = {0};
    newt_stats before;
    other o;
    store s;

    (void)state;
    store_open(&s, "contact");
    r = make_item(s.a, "r", 0);
    q = make_item(s.a, "q", 0);
    o = other_open(&s);
    for (int kind = 0; kind < 4; kind++) {
        double until = now() + PATIENCE_S;

        contact_seen[kind] = kind == 1 && !on_server() && !on_sqlite();
        while (!contact_seen[kind] && now() < until) {
            int status;

            unknown = make_item(s.a, "unknown", 1);
            begin(o.c);
            read_n(o.c, r);
            read_n(o.c, q);
            commit(o.c);
            before = stats_of(o.c);
            begin(o.c);
            if (stats_of(o.c).round_trips > before.round_trips) {
                newt_abort(o.c); /* with the server: not what this is about */
                continue;
            }
            if (kind == 3)
                write_n(o.c, r, 100);
            else
                read_n(o.c, r);
            set_n(s.a, r, stored_int(s.db, r.any, "n") + 1);
            switch (kind) {
            case 0: /* a load */
                assert_null(item_read(o.c, unknown));
                status = newt_status(o.c);
                newt_abort(o.c);
                break;
            case 1: /* a query */
                status = newt_where(o.c, &found, "true", 0, NULL);
                newt_result_free(found);
                newt_abort(o.c);
                break;
            case 2: /* none: q is written on what r was; that is a snapshot of before */
                write_n(o.c, q, kind);
                status = newt_commit(o.c);
                assert_int_equal(status, NEWT_OK);
                status = NEWT_ECONFLICT;
                break;
            default: /* the commit itself */ status = newt_commit(o.c);
            }
            assert_int_equal(status, NEWT_ECONFLICT);
            contact_seen[kind] = true;
        }
        assert_true(contact_seen[kind]);
    }
    other_close(&o);
    store_close(&s);
}

static const struct CMUnitTest scenarios[] = {
    cmocka_unit_test(test_store_and_load),
    cmocka_unit_test(test_write_after_failure),
    cmocka_unit_test(test_late_load),
    cmocka_unit_test(test_stale_store),
    cmocka_unit_test(test_race_of_one_database),
    cmocka_unit_test(test_race_of_programs),
    cmocka_unit_test(test_reconnect),
    cmocka_unit_test(test_back_in_time),
    cmocka_unit_test(test_restored_copy),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_stale_begin),
    cmocka_unit_test(test_stale_use),
};

int
main(void)
{
    return run_all(scenarios);
}
