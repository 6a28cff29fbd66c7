/*
 * memory.c - stores in memory: their names, how long they live, what they cannot do
 */
#include "../bridge/server.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define needs_memory() needs_storage("memory")

static newt_db *
open_at(const char *where, const char *schema)
{
    newt_options o = {.size = sizeof o, .schema = schema};
    newt_db *db;

    if (newt_db_open(&db, where, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    return db;
}

/* What stands at a root, or 0. */
static int64_t
value_of(newt_db *db)
{
    newt_conn *c = connect_(db);
    newt_ref r;
    int64_t n = 0;

    begin(c);
    r = newt_root(c, "value");
    if (r.oid)
        n = read_n(c, item_of(r));
    newt_close(c);
    return n;
}

static void
set_value(newt_db *db, int64_t n)
{
    newt_conn *c = connect_(db);

    begin(c);
    ok(c, newt_set_root(c, "value", item_id(new_item(c, "value", n)).any));
    commit(c);
    newt_close(c);
}

static void
test_names(void **state)
{
    newt_db *a, *b, *c, *d;

    (void)state;
    needs_memory();
    /* without a name: each by itself */
    a = open_at("memory:", NULL);
    b = open_at("memory:", NULL);
    set_value(a, 1);
    assert_int_equal(value_of(a), 1);
    assert_int_equal(value_of(b), 0);
    newt_db_close(a);
    newt_db_close(b);
    /* with one: shared, in the same schema */
    a = open_at("memory:names", NULL);
    b = open_at("memory:names", "public");
    c = open_at("memory:names", "other");
    d = open_at("memory:others", NULL);
    set_value(a, 2);
    assert_int_equal(value_of(b), 2);
    assert_int_equal(value_of(c), 0);
    assert_int_equal(value_of(d), 0);
    newt_db_close(a);
    assert_int_equal(value_of(b), 2);
    a = open_at("memory:names", NULL);
    newt_db_close(b);
    assert_int_equal(value_of(a), 2);
    newt_db_close(a);
    /* the last has closed it */
    a = open_at("memory:names", NULL);
    assert_int_equal(value_of(a), 0);
    newt_db_close(a);
    newt_db_close(c);
    newt_db_close(d);
}

static void
test_create(void **state)
{
    newt_error *e = NULL;
    newt_db *db;

    (void)state;
    needs_memory();
    assert_int_equal(newt_store_create("memory:created", NULL, NULL), NEWT_OK);
    assert_int_equal(newt_store_create("memory:created", "other", NULL), NEWT_OK);
    assert_int_equal(newt_store_create("memory:created", NULL, &e), NEWT_ESTORE);
    assert_string_equal(newt_error_message(e),
                        "there is a Newt store \"memory:created\" in schema \"public\" already");
    newt_error_free(e);
    db = open_at("memory:created", NULL);
    assert_int_equal(newt_store_create("memory:created", NULL, NULL), NEWT_ESTORE);
    newt_db_close(db);
    assert_int_equal(newt_store_create("memory:created", NULL, NULL), NEWT_OK);
    assert_int_equal(newt_store_create("memory:", NULL, &e), NEWT_EINVAL);
    assert_string_equal(newt_error_hint(e), "newt_db_open creates it, private to that newt_db.");
    newt_error_free(e);
    for (int i = 0; i < 2; i++)
        newt_db_close(open_at("memory:created", i ? "other" : NULL));
    /* what PostgreSQL would refuse */
    for (int i = 0; i < 3; i++) {
        newt_options o = {.size = sizeof o, .schema = (const char *[]){"newt", "pg_x", ""}[i]};

        assert_int_equal(newt_store_create("memory:created", o.schema, NULL), NEWT_EINVAL);
        assert_int_equal(newt_db_open(&db, "memory:created", classes, &o), NEWT_EINVAL);
        newt_db_close(db);
    }
}

/* What is no URI of a store in memory, but looks like one, does not lead to a server. */
static void
test_mistyped(void **state)
{
    static const char *const uris[] = {":memory:", "Memory:", "MEMORY:x"};
    newt_error *e;
    newt_db *db;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(newt_db_open(&db, uris[i], classes, NULL), NEWT_EINVAL);
        assert_non_null(strstr(newt_error_message(newt_db_error(db)), uris[i]));
        assert_non_null(strstr(newt_error_hint(newt_db_error(db)), "\"memory:NAME\""));
        newt_db_close(db);
        assert_int_equal(newt_store_create(uris[i], NULL, &e), NEWT_EINVAL);
        newt_error_free(e);
    }
}

static void
test_no_sql(void **state)
{
    newt_progress p = {.size = sizeof p};
    newt_result *r;
    json_t *rows;
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_memory();
    db = open_at("memory:", NULL);
    c = connect_(db);
#define REFUSES(call)                                                                              \
    assert_int_equal(call, NEWT_EINVAL);                                                           \
    assert_non_null(                                                                               \
        strstr(newt_error_message(newt_conn_error(c)), " needs a store in PostgreSQL or SQLite")); \
    assert_string_equal(newt_error_detail(newt_conn_error(c)),                                     \
                        "This one is in memory: it has no SQL and no JSONB.")
    REFUSES(newt_project(c, "x", 1, &p));
    REFUSES(newt_retry_rejects(c, 1, &p));
    begin(c);
    item_done(new_item(c, "x", 1));
    REFUSES(newt_search(c, &r, "SELECT 1", 0, NULL));
    REFUSES(newt_where(c, &r, "true", 0, NULL));
    REFUSES(newt_page(c, &r, "SELECT 1", 0, NULL, 0, 1));
    REFUSES(newt_query(c, &rows, "SELECT 1", 0, NULL));
#undef REFUSES
    commit(c); /* the transaction goes on */
    newt_close(c);
    newt_db_close(db);
}

/* The registry is shared, too. */
struct other_item;
NEWT_DECLARE(other_item);
struct other_item {
    newt_text name;
};
NEWT_CLASS(other_item, "Item", 1, NULL, NEWT_FIELD(struct other_item, name));
struct later_item;
NEWT_DECLARE(later_item);
struct later_item {
    newt_text name;
};
NEWT_CLASS(later_item, "Item", 2, NULL, NEWT_FIELD(struct later_item, name));

static void
test_registry(void **state)
{
    static const newt_class *const others[] = {&other_item_class, NULL};
    static const newt_class *const later[] = {&later_item_class, NULL};
    newt_db *a, *b;

    (void)state;
    needs_memory();
    a = open_at("memory:registry", NULL);
    assert_int_equal(newt_db_open(&b, "memory:registry", others, NULL), NEWT_ECLASS);
    assert_non_null(strstr(newt_error_message(newt_db_error(b)),
                           "version 1 is registered with other fields: field \"n\" differs"));
    newt_db_close(b);
    assert_int_equal(newt_db_open(&b, "memory:registry", later, NULL), NEWT_OK);
    newt_db_close(b);
    b = open_at("memory:registry", NULL);
    newt_db_close(b);
    newt_db_close(a);
}

/* ---- what is kept ------------------------------------------------------------------------- */

/* Neither an idle snapshot nor long descriptions keep what nobody can see. */
static void
test_bounded(void **state)
{
    enum {
        TEXT = 60000,
        MOST = 20 << 20
    };
    char *text;
    newt_conn *a, *idle;
    struct item *x;
    size_t before;
    item_ref r;
    newt_db *db;

    (void)state;
    needs_memory();
    text = malloc(TEXT + 1);
    assert_non_null(text);
    memset(text, 'x', TEXT);
    text[TEXT] = 0;
    db = open_at("memory:", NULL);
    a = connect_(db);
    idle = connect_(db);
    r = make_item(a, "x", 0);
    begin(idle);
    assert_int_equal(read_n(idle, r), 0);
    before = mallinfo2().uordblks;
    for (int i = 1; i <= 3000; i++) {
        begin(a);
        if (i % 3 == 0)
            ok(a, newt_describe(a, NULL, text, NULL));
        x = item_write(a, r);
        assert_non_null(x);
        ok(a, newt_text_setn(item_obj(x), &x->name, text, TEXT));
        x->n = i;
        commit(a);
        if (i % 500 == 0) {
            assert_int_equal(read_n(idle, r), 0);
            if (mallinfo2().uordblks - before > MOST)
                fail_msg("%zu bytes are kept", mallinfo2().uordblks - before);
        }
    }
    newt_abort(idle);
    newt_close(idle);
    newt_close(a);
    newt_db_close(db);
    free(text);
}

/* A child has no part in the stores of its parent, whatever another thread was doing. */
static atomic_bool forked_enough;

static void *
commit_until(void *arg)
{
    newt_conn *c = connect_(arg);
    item_ref r = make_item(c, "x", 0);

    for (int i = 1; !forked_enough; i++) {
        begin(c);
        write_n(c, r, i);
        commit(c);
    }
    newt_close(c);
    return NULL;
}

static void
test_fork(void **state)
{
    pthread_t t;
    newt_db *db, *own;

    (void)state;
    needs_memory();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their own locks are not those of a child */
#endif
    db = open_at("memory:forked", NULL);
    set_value(db, 1);
    assert_int_equal(pthread_create(&t, NULL, commit_until, db), 0);
    for (int i = 0; i < 100; i++) {
        int status;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            alarm(PATIENCE_S); /* should it hang */
            for (int k = 0; k < 2; k++) {
                own = open_at("memory:forked", NULL);
                if (value_of(own) != 0)
                    _exit(1);
                set_value(own, 2);
                if (value_of(own) != 2)
                    _exit(2);
                newt_db_close(own);
            }
            newt_db_close(db);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    forked_enough = true;
    pthread_join(t, NULL);
    assert_int_equal(value_of(db), 1);
    newt_db_close(db);
}

/* ---- turns
 * --------------------------------------------------------------------------------------- */

enum {
    WORKERS = 6,
    TIMES = 200
};

typedef struct worker {
    pthread_t thread;
    newt_db *db;
    item_ref r[2];
    int64_t calls;
    int status;
} worker;

static int
add_to_both(newt_conn *c, void *arg)
{
    worker *w = arg;

    w->calls++;
    for (int i = 0; i < 2; i++) {
        struct item *x = item_write(c, w->r[i]);

        if (!x)
            return newt_status(c);
        x->n++;
    }
    return 0;
}

static void *
work(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 100000};
    worker *w = arg;
    newt_conn *c;

    w->status = newt_connect(w->db, &c);
    for (int i = 0; i < TIMES && w->status == NEWT_OK; i++)
        w->status = newt_transact(c, add_to_both, w, &patient);
    newt_close(c);
    return NULL;
}

/* Threads in each other's way take turns: none starves, and little work is lost. */
static void
test_turns(void **state)
{
    worker w[WORKERS];
    newt_db *db;
    newt_conn *c;
    int64_t calls = 0;
    item_ref r[2];

    (void)state;
    needs_memory();
    db = open_at("memory:", NULL);
    c = connect_(db);
    r[0] = make_item(c, "a", 0);
    r[1] = make_item(c, "b", 0);
    for (int i = 0; i < WORKERS; i++) {
        w[i] = (worker){.db = db, .r = {r[i % 2], r[1 - i % 2]}};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].status, NEWT_OK);
        calls += w[i].calls;
    }
    print_message("# %lld calls for %d transactions\n", (long long)calls, WORKERS * TIMES);
    assert_true(calls < 3 * WORKERS * TIMES);
    begin(c);
    assert_int_equal(read_n(c, r[0]), WORKERS * TIMES);
    assert_int_equal(read_n(c, r[1]), WORKERS * TIMES);
    newt_close(c);
    newt_db_close(db);
}

/* Who holds a turn and does not go on is waited for, but not for ever. */
typedef struct waiting {
    newt_conn *other, *third;
    item_ref r;
    int outer, inner;
} waiting;

/* Its first attempt meets a conflict with the third. */
static int
waits(newt_conn *c, void *arg)
{
    waiting *w = arg;

    write_n(c, w->r, 1);
    if (w->inner++ == 0) {
        begin(w->third);
        write_n(w->third, w->r, 2);
        commit(w->third);
    }
    return 0;
}

/* Its second attempt has the turn, and lets the other wait. */
static int
holds(newt_conn *c, void *arg)
{
    newt_transact_options soon = {.size = sizeof soon, .deadline_ms = 500};
    waiting *w = arg;

    write_n(c, w->r, 3);
    if (w->outer++ == 0) {
        begin(w->third);
        write_n(w->third, w->r, 4);
        commit(w->third);
        return 0;
    }
    ok(w->other, newt_transact(w->other, waits, w, &soon));
    assert_int_equal(w->inner, 2);
    return 1;
}

static void
test_wait_has_an_end(void **state)
{
    newt_db *db;
    newt_conn *c;
    waiting w = {0};

    (void)state;
    needs_memory();
    db = open_at("memory:", NULL);
    c = connect_(db);
    w.other = connect_(db);
    w.third = connect_(db);
    w.r = make_item(c, "x", 0);
    assert_int_equal(newt_transact(c, holds, &w, NULL), 1);
    assert_int_equal(w.outer, 2);
    /* and what was held is free now */
    w.outer = w.inner = 0;
    ok(w.other, newt_transact(w.other, waits, &w, NULL));
    newt_close(w.third);
    newt_close(w.other);
    newt_close(c);
    newt_db_close(db);
}

static const struct CMUnitTest memory[] = {
    cmocka_unit_test(test_names),           cmocka_unit_test(test_mistyped),
    cmocka_unit_test(test_bounded),         cmocka_unit_test(test_fork),
    cmocka_unit_test(test_create),          cmocka_unit_test(test_no_sql),
    cmocka_unit_test(test_registry),        cmocka_unit_test(test_turns),
    cmocka_unit_test(test_wait_has_an_end),
};

int
main(void)
{
    return run_all(memory);
}
