/*
 * standby.c - commits that wait for a standby; reading on a hot standby, which has no incarnation
 * and takes no changes; and what becomes of it when it is promoted
 */
#include "../bridge/server.h"

#include <signal.h>
#include <stdatomic.h>

/* The standby has all that the primary has written so far. */
static void
catch_up(PGconn *primary)
{
    PGconn *standby = PQconnectdb(getenv("NEWT_STANDBY_URI"));
    char *at = sql_text(primary, "SELECT pg_current_wal_insert_lsn()");

    wait_until(sql_int(standby, "SELECT (pg_last_wal_replay_lsn() >= '%s')::int", at) == 1);
    free(at);
    PQfinish(standby);
}

static newt_db *
open_standby(const store *s, const newt_class *const *list)
{
    newt_options o = {.size = sizeof o, .schema = s->schema};
    newt_db *db;

    if (newt_db_open(&db, getenv("NEWT_STANDBY_URI"), list, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    return db;
}

static int64_t
seen(newt_conn *c, item_ref r)
{
    int64_t n;

    begin(c);
    n = read_n(c, r);
    commit(c);
    return n;
}

static int
add_one(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    item_done(i);
    return 0;
}

/* ---- commits that wait ---------------------------------------------------------------- */

typedef struct waiting {
    newt_conn *c;
    item_ref r;
    int status;
    atomic_bool done;
} waiting;

static void *
add_in_thread(void *arg)
{
    waiting *w = arg;

    w->status = newt_transact(w->c, add_one, &w->r, NULL);
    w->done = true;
    return NULL;
}

/* A commit returns when the standby has it, and not before. The standby stands still by its process
 * that receives, which is stopped. */
static void
synchronous(bool extension)
{
    waiting w = {0};
    char conninfo[256], *written;
    PGconn *standby;
    pthread_t t;
    pid_t receiver;
    store s;

    use_database(extension);
    store_open(&s, "synchronous");
    w.c = s.a;
    w.r = make_item(s.a, "r", 1);
    catch_up(s.pg);
    snprintf(conninfo, sizeof conninfo, "postgresql:///%s?host=%s&port=5433&user=%s", PQdb(s.pg),
             getenv("PGHOST"), getenv("PGUSER"));
    standby = PQconnectdb(conninfo);
    sql_do(standby, "SET search_path = %s", s.schema);
    for (int round = 0; round < 2; round++) {
        wait_until((receiver = (pid_t)sql_int(standby, "SELECT pid FROM pg_stat_wal_receiver "
                                                       "WHERE status = 'streaming'")) > 0);
        assert_int_equal(kill(receiver, SIGSTOP), 0);
        synchronous_standby(s.pg, "walreceiver");
        w.done = false;
        assert_int_equal(pthread_create(&t, NULL, add_in_thread, &w), 0);
        wait_until(sql_int(s.pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                 "'newt' AND wait_event = 'SyncRep'") == 1);
        assert_false(w.done);
        written = sql_text(s.pg, "SELECT pg_current_wal_flush_lsn()");
        assert_sql(standby, "f", "SELECT pg_last_wal_receive_lsn() >= '%s'", written);
        assert_int_equal(kill(receiver, SIGCONT), 0);
        pthread_join(t, NULL);
        assert_int_equal(w.status, NEWT_OK);
        /* others may have written something after it by then */
        wait_until(sql_int(standby, "SELECT (pg_last_wal_receive_lsn() >= '%s')::int", written));
        wait_until(sql_int(standby, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
                           (long long)w.r.any.oid) == 2 * round + 2);
        /* with a standby that answers, a commit is one like any other */
        ok(s.b, newt_transact(s.b, add_one, &w.r, NULL));
        wait_until(sql_int(standby, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
                           (long long)w.r.any.oid) == 2 * round + 3);
        synchronous_standby(s.pg, "");
        free(written);
    }
    PQfinish(standby);
    store_close(&s);
}

static void
test_synchronous(void **state)
{
    (void)state;
    synchronous(false);
}

static void
test_synchronous_extension(void **state)
{
    (void)state;
    synchronous(true);
    *test_uri = 0; /* the other test's database is the private server's own */
}

/* ---- reading -------------------------------------------------------------------------- */

static void
assert_refused(newt_conn *c, int status)
{
    assert_int_equal(status, NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "25006");
    assert_string_equal(newt_error_message(newt_conn_error(c)),
                        "the server is a standby, which takes no changes");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(c)), "primary"));
}

struct stranger {
    int32_t n;
};
NEWT_DECLARE(stranger);
NEWT_CLASS(stranger, "Stranger", 0, NULL, NEWT_FIELD(struct stranger, n));
static const newt_class *const with_stranger[] = {&item_class, &stranger_class, NULL};

static void
test_standby(void **state)
{
    newt_options o = {.size = sizeof o};
    newt_db *db, *unknown;
    item_ref r, other;
    int64_t difference;
    newt_result *found;
    newt_stats before;
    newt_conn *c, *pooled;
    int status;
    store s;

    (void)state;
    store_open(&s, "standby");
    r = make_item(s.a, "r", 1);
    other = make_item(s.a, "other", 10);
    catch_up(s.pg);
    db = open_standby(&s, classes);
    c = connect_(db);

    /* it reads, searches, and keeps what it has read while nothing changes */
    wait_until(seen(c, r) == 1);
    assert_int_equal(seen(c, other), 10);
    before = stats_of(c);
    assert_int_equal(seen(c, r) + seen(c, other), 11);
    assert_int_equal(stats_of(c).loads, before.loads);
    begin(c);
    ok(c, newt_where(c, &found, "state @> '{\"name\": \"other\"}'", 0, NULL));
    assert_int_equal(newt_result_size(found), 1);
    newt_result_free(found);
    commit(c);

    /* what the primary commits arrives, in its order */
    for (int i = 0; i < 20; i++) {
        begin(s.a);
        write_n(s.a, r, 100 + i);
        write_n(s.a, other, 200 + i);
        commit(s.a);
        begin(c);
        difference = read_n(c, other) - read_n(c, r);
        assert_true(difference == 100 || difference == 9); /* nothing has arrived yet */
        commit(c);
    }
    wait_until(seen(c, r) == 119);
    assert_int_equal(seen(c, other), 219);

    /* it takes no changes, and says so; nothing is lost by it */
    begin(c);
    write_n(c, r, 5);
    assert_refused(c, newt_commit(c));
    begin(c);
    assert_null(item_new(c));
    assert_refused(c, newt_status(c));
    newt_abort(c);
    status = newt_transact(c, add_one, &r, NULL);
    assert_refused(c, status);
    assert_int_equal(seen(c, r), 119);
    o.schema = s.schema;
    assert_int_not_equal(newt_db_open(&unknown, getenv("NEWT_STANDBY_URI"), with_stranger, &o),
                         NEWT_OK);
    assert_string_equal(newt_error_sqlstate(newt_db_error(unknown)), "25006");
    newt_db_close(unknown);

    /* where each transaction may find another session, too, and numbers are taken before the first
     */
    o.transaction_pooling = true;
    if (newt_db_open(&unknown, getenv("NEWT_STANDBY_URI"), classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(unknown));
    pooled = connect_(unknown);
    assert_int_equal(seen(pooled, r), 119);
    newt_close(pooled);
    newt_db_close(unknown);

    /* promoted, it is a primary like others, with an incarnation of its own */
    server_do("promote");
    wait_until(newt_transact(c, add_one, &r, NULL) == NEWT_OK);
    assert_int_equal(seen(c, r), 120);
    assert_int_equal(seen(s.a, r), 119); /* the old one goes on by itself */
    other = make_item(c, "of the new primary", 7);
    assert_int_equal(seen(c, other), 7);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

static const struct CMUnitTest standbys[] = {
    cmocka_unit_test(test_synchronous),
    cmocka_unit_test(test_synchronous_extension),
    cmocka_unit_test(test_standby),
};

int
main(void)
{
    server_do("standby");
    return run_all(standbys);
}
