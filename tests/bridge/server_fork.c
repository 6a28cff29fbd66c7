/*
 * server_fork.c - fork(): the child can use nothing that its parent has opened, closing it there
 * leaves the parent alone, and both can work with a database each
 */
#include "../../bridge/transaction/transaction.h"
#include "server.h"

#include <stdatomic.h>
#include <sys/wait.h>

/* In the child a failed check ends the process: cmocka's own would go on with the parent's tests.
 */
#define expect(x)                                                                                  \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "in the child, line %d: %s\n", __LINE__, #x);                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static pid_t
begin_child(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        alarm(PATIENCE_S); /* should it hang */
    return pid;
}

static void
end_child(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("the child ended with %x", status);
}

static bool
says_so(const newt_error *e)
{
    return newt_error_status(e) == NEWT_ETHREAD && strstr(newt_error_message(e), "fork()") &&
           strstr(newt_error_hint(e), "in each process") && !newt_is_retryable(e);
}
#define expect_refused(c, call) expect((call) == NEWT_ETHREAD && says_so(newt_conn_error(c)))

static int
nothing(newt_conn *c, void *arg)
{
    (void)c;
    (void)arg;
    _exit(2);
}

/* Every kind of call, in a transaction or outside of one. */
static void
try_all(store *s, newt_conn *c, item_ref loaded, item_ref ghost, struct item *written)
{
    newt_progress p = {.size = sizeof p};
    newt_walk_options walk = {.size = sizeof walk};
    newt_result *found;
    newt_conn *another;
    json_t *rows;

    expect(!item_read(c, loaded));
    expect_refused(c, newt_status(c));
    expect(!item_read(c, ghost));
    expect(!item_write(c, loaded));
    expect(!item_new(c));
    expect_refused(c, newt_begin(c));
    if (written) {
        expect_refused(c, newt_set(written, name, "by the child"));
    }
    expect_refused(c, newt_prefetch(c, &ghost.any, 1));
    expect_refused(c, newt_prefetch_walk(c, &ghost.any, 1, &walk));
    expect_refused(c, newt_delete(c, loaded.any));
    expect_refused(c, newt_read_current(c, loaded.any));
    expect_refused(c, newt_set_root(c, "root", loaded.any));
    expect_refused(c, newt_where(c, &found, "true", 0, NULL));
    expect_refused(c, newt_query(c, &rows, "SELECT 1", 0, NULL));
    expect_refused(c, newt_describe(c, "who", NULL, NULL));
    expect_refused(c, newt_commit(c));
    expect_refused(c, newt_project(c, "follower", 1, &p));
    expect_refused(c, newt_transact(c, nothing, NULL, NULL));
    expect(newt_connect(s->db, &another) == NEWT_ETHREAD && !another);
    expect(strstr(newt_error_message(newt_last_error(s->db, another)), "fork()"));
}

/* A database of the child's own. */
static void
work_alone(const store *s, const char *name)
{
    newt_options o = {.size = sizeof o, .schema = s->schema};
    newt_conn *c;
    newt_db *db;

    expect(newt_db_open(&db, uri(), classes, &o) == NEWT_OK);
    expect(newt_connect(db, &c) == NEWT_OK);
    expect(newt_begin(c) == NEWT_OK);
    expect(item_new(c));
    new_item(c, name, 7);
    expect(newt_commit(c) == NEWT_OK);
    newt_close(c);
    newt_db_close(db);
}

static void
close_all(store *s)
{
    newt_close(s->a);
    newt_close(s->b);
    newt_db_close(s->db);
}

static void
test_in_transaction(void **state)
{
    item_ref loaded, written, ghost;
    struct item *w;
    store s;

    (void)state;
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        char *backend;
        pid_t pid;

        use_database(true);
        store_open(&s, "fork");
        loaded = make_item(s.a, "loaded", 1);
        written = make_item(s.a, "written", 1);
        ghost = make_item(s.b, "ghost", 1);
        begin(s.a);
        assert_int_equal(read_n(s.a, loaded), 1);
        if (snapshot) {
            ok(s.a, newt_prefetch(s.a, &ghost.any, 1));
            backend = sql_text(s.pg, "SELECT pid FROM pg_stat_activity WHERE application_name = "
                                     "'newt' AND state = 'idle in transaction' AND datname = "
                                     "current_database()");
            assert_true(*backend);
            free(backend);
        }
        w = item_write(s.a, written);
        assert_non_null(w);
        w->n = 2;
        if ((pid = begin_child()) == 0) {
            try_all(&s, s.a, loaded, ghost, w);
            newt_abort(s.a);
            try_all(&s, s.b, loaded, ghost, NULL);
            work_alone(&s, "child");
            close_all(&s);
            _exit(0);
        }
        /* at the same time */
        assert_int_equal(read_n(s.a, ghost), 1);
        end_child(pid);
        assert_int_equal(read_n(s.a, loaded), 1);
        commit(s.a);
        assert_sql(s.pg, "2", "SELECT state->>'n' FROM newt WHERE zoid = %lld",
                   (long long)written.any.oid);
        assert_sql(s.pg, "1", "SELECT count(*) FROM newt WHERE state->>'name' = 'child'");
        begin(s.b);
        assert_int_equal(read_n(s.b, written), 2);
        commit(s.b);
        store_close(&s);
    }
}

/* What has been sent, and whose answer nobody has read; and a child that just ends. */
static void
test_on_the_way(void **state)
{
    item_ref r;
    pid_t pid;
    store s;

    (void)state;
    store_open(&s, "way");
    r = make_item(s.a, "r", 1);
    for (int i = 0; i < 4; i++) {
        newt_conn *c;

        begin(s.a);
        (void)!item_read(s.a, (item_ref){{r.any.oid + 100000}});
        newt_abort(s.a); /* its ROLLBACK is on the way */
        if ((pid = begin_child()) == 0) {
            if (i % 2)
                close_all(&s);
            exit(0);
        }
        c = s.a;
        begin(c);
        write_n(c, r, 10 + i);
        commit(c);
        end_child(pid);
        begin(c);
        assert_int_equal(read_n(c, r), 10 + i);
        write_n(c, r, 20 + i);
        commit(c);
    }
    store_close(&s);
}

/* Objects in a temporary file, which both have open. */
static void
test_spilled(void **state)
{
    enum {
        N = 20000
    };
    newt_options o = {.cache_bytes = 1 << 20};
    pid_t pid;
    store s;

    (void)state;
    store_open_as(&s, "spilled", o);
    begin(s.a);
    for (int i = 0; i < N; i++)
        item_done(new_item(s.a, "one that does not fit into the cache with all the others", i));
    if ((pid = begin_child()) == 0) {
        newt_abort(s.a);
        close_all(&s);
        exit(0);
    }
    end_child(pid);
    for (int i = 0; i < N; i++)
        item_done(new_item(s.a, "one that does not fit into the cache with all the others", i));
    commit(s.a);
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM newt WHERE class_name = 'Item'"), 2 * N);
    store_close(&s);
}

typedef struct busy {
    newt_db *db;
    atomic_bool stop;
    atomic_long done;
} busy;

static void *
keep_busy(void *arg)
{
    busy *x = arg;

    while (!x->stop) {
        newt_conn *c = connect_(x->db);

        make_item(c, "busy", 1);
        newt_close(c);
        x->done++;
    }
    return NULL;
}

/* Another thread holds whatever lock there is at that moment. */
static void
test_beside_threads(void **state)
{
    pthread_t t[2];
    busy x = {0};
    store s;

    (void)state;
    store_open(&s, "threads");
    x.db = s.db;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, keep_busy, &x), 0);
    for (int i = 0; i < 30; i++) {
        pid_t pid;
        long done = x.done;

        if ((pid = begin_child()) == 0) {
            newt_conn *c;

            expect(newt_connect(s.db, &c) == NEWT_ETHREAD);
            newt_abort(s.a);
            close_all(&s);
            _exit(0);
        }
        end_child(pid);
        wait_until(x.done > done);
    }
    x.stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM newt WHERE class_name = 'Item'"), x.done);
    store_close(&s);
}

/* A lock that somebody holds at that moment is held in the child for ever. */
static void
test_lock_held(void **state)
{
    pid_t pid;
    store s;

    (void)state;
    store_open(&s, "lock");
    make_item(s.a, "r", 1);
    newt_close(s.a); /* into the pool */
    pthread_mutex_lock(&s.db->mutex);
    if ((pid = begin_child()) == 0) {
        newt_conn *c;

        expect(newt_connect(s.db, &c) == NEWT_ETHREAD);
        newt_close(c);
        newt_close(s.b);
        newt_db_close(s.db);
        _exit(0);
    }
    pthread_mutex_unlock(&s.db->mutex);
    end_child(pid);
    s.a = connect_(s.db);
    make_item(s.a, "r", 2);
    store_close(&s);
}

static const struct CMUnitTest forks[] = {
    cmocka_unit_test(test_lock_held),      cmocka_unit_test(test_in_transaction),
    cmocka_unit_test(test_on_the_way),     cmocka_unit_test(test_spilled),
    cmocka_unit_test(test_beside_threads),
};

int
main(void)
{
    return run_all(forks);
}
