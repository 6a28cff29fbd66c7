/*
 * cache.c - transactions that are larger than the cache
 */
#include "../bridge/server.h"
#include "../brief.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A class that merges by field. */
struct tally;
NEWT_DECLARE(tally);
struct tally {
    int64_t a, b;
};
static const newt_hooks merge_fields = {.size = sizeof merge_fields,
                                        .resolve = newt_resolve_fields};
NEWT_CLASS(tally, "Tally", 1, &merge_fields, NEWT_FIELD(struct tally, a),
           NEWT_FIELD(struct tally, b));

static const newt_class *const both[] = {&item_class, &tally_class, NULL};

enum {
    ROOM = 300 /* objects in the cache */
};

static int N; /* of a transaction: more than a batch of a commit; a multiple of 3 */

static void
open_small(store *s, const char *name, newt_options o)
{
    store_make(s, name);
    o.cache_objects = ROOM;
    s->db = store_db(s, both, o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

static newt_cache
cache_of(const newt_conn *c)
{
    newt_cache s = {.size = sizeof s};

    newt_cache_stats(c, &s);
    return s;
}

static item_ref *
make_chain(newt_conn *c, int n)
{
    item_ref *r = calloc((size_t)n, sizeof *r);

    for (int i = 0; i < n; i++) {
        struct item *o = new_item(c, "one of very many", i);

        r[i] = item_id(o);
        if (i > 0)
            o->next = r[i - 1];
        item_done(o);
    }
    return r;
}

/* ---- more than fits, written and read ---------------------------------------------------- */

static void
test_larger_than_the_cache(void **state)
{
    item_ref *r;
    store s;

    open_small(&s, "larger", *(newt_options *)*state);
    begin(s.a);
    r = make_chain(s.a, N);
    assert_int_equal(cache_of(s.a).spilled + cache_of(s.a).changed, N);
    assert_true(cache_of(s.a).objects <= ROOM);
    commit(s.a);
    assert_int_equal(cache_of(s.a).spilled, 0);
    assert_sql(s.pg, "t t t",
               "SELECT concat_ws(' ', count(*) = %d, sum((state->>'n')::bigint) = %lld, "
               "count(state->'next') = %d) FROM newt WHERE class_name = 'Item'",
               N, (long long)N * (N - 1) / 2, N - 1);

    /* another client reads it all, in one go and one by one */
    begin(s.b);
    ok(s.b, newt_prefetch(s.b, &r[0].any, N));
    assert_int_equal(cache_of(s.b).objects, ROOM);
    for (int i = N - 1; i >= 0; i -= 7) {
        const struct item *o = item_read(s.b, r[i]);

        assert_int_equal(o->n, i);
        assert_int_equal(o->next.any.oid, i > 0 ? r[i - 1].any.oid : 0);
        item_done(o);
    }
    assert_true(cache_of(s.b).objects <= ROOM);

    /* and changes, removes and adds, in any order, more than once */
    for (int i = 0; i < N; i += 3)
        write_n(s.b, r[i], -1);
    for (int i = 1; i < N; i += 3)
        ok(s.b, newt_delete(s.b, r[i].any));
    for (int i = N - 3; i >= 0; i -= 3)
        write_n(s.b, r[i], read_n(s.b, r[i]) - 1);
    free(make_chain(s.b, 1000));
    assert_null(item_read(s.b, r[1]));
    assert_int_equal(newt_status(s.b), NEWT_EMISSING);
    assert_true(cache_of(s.b).objects <= ROOM);
    commit(s.b);
    assert_sql(s.pg, "t t t",
               "SELECT concat_ws(' ', count(*) = %d, count(*) FILTER (WHERE state->>'n' = '-2') "
               "= %d, count(*) FILTER (WHERE (state->>'n')::int < 1000 AND zoid > %lld) = 1000) "
               "FROM newt WHERE class_name = 'Item'",
               N / 3 * 2 + 1000, N / 3, (long long)r[N - 1].any.oid);
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE o.serial IS DISTINCT FROM p.serial AND zoid <> 1");
    assert_sql(s.pg, "t t",
               "SELECT concat_ws(' ', sum(cardinality(written)) = %d, sum(cardinality(removed)) "
               "= %d) FROM transaction_object WHERE serial = (SELECT serial FROM transaction "
               "ORDER BY tid DESC LIMIT 1)",
               N / 3 + 1000, N / 3);
    /* the first client hears of it */
    begin(s.a);
    assert_null(item_read(s.a, r[1]));
    assert_int_equal(read_n(s.a, r[0]), -2);
    assert_int_equal(read_n(s.a, r[2]), 2);
    commit(s.a);

    /* nothing of an aborted one */
    begin(s.a);
    for (int i = 0; i < N; i += 3)
        write_n(s.a, r[i], 1);
    assert_true(cache_of(s.a).spilled > 0);
    newt_abort(s.a);
    assert_int_equal(cache_of(s.a).spilled, 0);
    begin(s.a);
    assert_int_equal(read_n(s.a, r[0]), -2);
    commit(s.a);
    store_close(&s);
    free(r);
}

/* ---- conflicts --------------------------------------------------------------------------- */

static void
test_conflict_of_spilled(void **state)
{
    const newt_conflict *x;
    item_ref *r;
    store s;

    (void)state;
    open_small(&s, "conflict", (newt_options){0});
    begin(s.a);
    r = make_chain(s.a, N);
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < N; i++)
        write_n(s.a, r[i], -i);
    begin(s.b);
    write_n(s.b, r[5], 5555);
    ok(s.b, newt_delete(s.b, r[N / 3 * 2].any));
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    x = newt_error_conflict(newt_conn_error(s.a), 0);
    assert_int_equal(x->object.oid, r[5].any.oid);
    assert_string_equal(x->class_name, "Item");
    assert_true(x->committed != 0 && x->committed != x->serial);
    x = newt_error_conflict(newt_conn_error(s.a), 1);
    assert_int_equal(x->object.oid, r[N / 3 * 2].any.oid);
    assert_int_equal(x->committed, 0);
    assert_null(newt_error_conflict(newt_conn_error(s.a), 2));
    assert_int_equal(cache_of(s.a).spilled, 0);
    begin(s.a);
    assert_int_equal(read_n(s.a, r[5]), 5555);
    assert_int_equal(read_n(s.a, r[6]), 6);
    commit(s.a);
    store_close(&s);
    free(r);
}

static void
test_merge_of_spilled(void **state)
{
    enum {
        TALLIES = 5000
    };
    static tally_ref r[TALLIES];
    struct tally *t;
    store s;

    (void)state;
    open_small(&s, "merge", (newt_options){0});
    begin(s.a);
    for (int i = 0; i < TALLIES; i++) {
        t = tally_new(s.a);
        t->a = i;
        r[i] = tally_id(t);
        tally_done(t);
    }
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < TALLIES; i++) {
        t = tally_write(s.a, r[i]);
        t->a++;
        tally_done(t);
    }
    begin(s.b);
    for (int i = 0; i < TALLIES; i += 100) {
        t = tally_write(s.b, r[i]);
        t->b = i + 7;
        tally_done(t);
    }
    commit(s.b);
    commit(s.a);
    assert_int_equal(stats_of(s.a).merges, TALLIES / 100);
    begin(s.b);
    for (int i = 0; i < TALLIES; i++) {
        const struct tally *u = tally_read(s.b, r[i]);

        assert_int_equal(u->a, i + 1);
        assert_int_equal(u->b, i % 100 ? 0 : i + 7);
        tally_done(u);
    }
    commit(s.b);
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM newt WHERE class_name = 'Tally' AND (state->>'b')::int <> "
               "CASE WHEN (state->>'a')::int %% 100 = 1 THEN (state->>'a')::int + 6 ELSE 0 END");
    assert_sql(s.pg, "5000 12502500",
               "SELECT count(*) || ' ' || sum((state->>'a')::int) FROM newt "
               "WHERE class_name = 'Tally'");
    store_close(&s);
}

/* What is to be current and was written, too, is compared once: when it is written. */
static void
test_current_and_spilled(void **state)
{
    item_ref *r;
    store s;

    (void)state;
    open_small(&s, "current", (newt_options){0});
    begin(s.a);
    r = make_chain(s.a, 3000);
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < 50; i++)
        ok(s.a, newt_read_current(s.a, r[i].any));
    for (int i = 0; i < 3000; i++)
        write_n(s.a, r[i], -1);
    commit(s.a);
    begin(s.a);
    for (int i = 0; i < 50; i++)
        ok(s.a, newt_read_current(s.a, r[i].any));
    for (int i = 50; i < 3000; i++)
        write_n(s.a, r[i], -2);
    begin(s.b);
    write_n(s.b, r[7], 0);
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    store_close(&s);
    free(r);
}

/* What JSON cannot show of an object is told, also of one that has left the cache. */
static void
test_rejects_of_spilled(void **state)
{
    enum {
        ITEMS = 2 * ROOM
    };
    store s;

    open_small(&s, "rejects", *(newt_options *)*state);
    begin(s.a);
    for (int i = 0; i < ITEMS; i++) {
        struct item *o = new_item(s.a, "", i);

        ok(s.a, newt_text_setn(item_obj(o), &o->name, "a\xff", 2));
        item_done(o);
    }
    assert_true(cache_of(s.a).spilled > 0);
    commit(s.a);
    assert_sql(s.pg, "600", "SELECT count(*) FROM newt_reject");
    if (on_sqlite())
        assert_file(s.file, "600", "SELECT count(*) FROM newt_reject");
    store_close(&s);
}

/* ---- failures ---------------------------------------------------------------------------- */

/* New items with texts of `bytes` bytes, at most `most`, until one cannot be made. */
static int
make_items(newt_conn *c, size_t bytes, int most)
{
    char *text = malloc(bytes);
    int n = 0;

    memset(text, 'x', bytes);
    for (struct item *o; n < most && (o = item_new(c)); n++) {
        newt_text_setn(item_obj(o), &o->name, text, bytes);
        item_done(o);
    }
    free(text);
    return n;
}

/* No room for the file: an error that says what to do, nothing is committed, and the connection
 * works on, with a file of its own if it needs one. */
static void
test_no_room(void **state)
{
    static const struct {
        size_t bytes;
        int n;
    } sizes[] = {{80, 200000}, {100000, 400}};
    struct rlimit before, small;
    int64_t there = 0;
    store s;

    (void)state;
    open_small(&s, "room", (newt_options){0});
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2 * 1024 * 1024;
    for (int i = 0; i < 2; i++) {
        int made;

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        begin(s.a);
        made = make_items(s.a, sizes[i].bytes, sizes[i].n);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_in_range(made, ROOM, sizes[i].n - 1);
        assert_int_equal(newt_status(s.a), NEWT_ELIMIT);
        assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                            "changed objects cannot be kept in a temporary file");
        assert_non_null(strstr(newt_error_hint(newt_conn_error(s.a)), "TMPDIR"));
        assert_int_equal(newt_commit(s.a), NEWT_ELIMIT);
        if (s.pg)
            assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state WHERE zoid <> 1"),
                             there);
        begin(s.a);
        assert_int_equal(make_items(s.a, sizes[i].bytes, ROOM + 50), ROOM + 50);
        assert_true(cache_of(s.a).spilled > 0);
        commit(s.a);
        there += ROOM + 50;
        if (s.pg)
            assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state WHERE zoid <> 1"),
                             there);
    }
    store_close(&s);
}

/* The server refuses a batch in the middle of a commit. */
static void
test_refused_in_the_middle(void **state)
{
    char text[2000] = "";
    struct item *o;
    item_ref *r;
    store s;

    (void)state;
    needs_server();
    open_small(&s, "middle", (newt_options){0});
    sql_do(s.pg, "ALTER TABLE object_state ADD CHECK (length(state) < 1000)");
    begin(s.a);
    r = make_chain(s.a, N);
    o = item_write(s.a, r[N / 2]);
    memset(text, 'x', sizeof text - 1);
    newt_set(o, name, text);
    item_done(o);
    assert_int_equal(newt_commit(s.a), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "23514");
    assert_sql(s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid <> 1");
    free(r);
    begin(s.a);
    r = make_chain(s.a, N);
    commit(s.a);
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state WHERE zoid <> 1"), N);
    free(r);
    store_close(&s);
}

/* A process that ends the server process of a writer that has written something already. Until then
 * it holds the commit lock, so that it does not come too late. */
static pid_t
start_killer(const store *s)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        PGconn *holder = sql_open(), *pg = sql_open();

        sql_do(holder, "BEGIN");
        sql_do(holder, "LOCK TABLE %s.newt_commit_lock IN EXCLUSIVE MODE", s->schema);
        assert_int_equal(write(ready[1], "", 1), 1);
        wait_until(sql_int(pg, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                               "WHERE application_name = 'newt' AND datname = current_database() "
                               "AND backend_xid IS NOT NULL") == 1);
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

/* The server process ends in the middle of a commit: nothing of it is there, and it is done again.
 */
static void
test_lost_in_the_middle(void **state)
{
    item_ref *r;
    pid_t killer;
    int status;
    store s;

    (void)state;
    needs_server();
    open_small(&s, "lost", (newt_options){0});
    begin(s.a);
    r = make_chain(s.a, 3 * N);
    free(r);
    killer = start_killer(&s);
    assert_int_equal(newt_commit(s.a), NEWT_ELOST);
    assert_int_equal(waitpid(killer, &status, 0), killer);
    assert_int_equal(status, 0);
    assert_true(newt_is_retryable(newt_conn_error(s.a)));
    assert_int_equal(cache_of(s.a).spilled, 0);
    assert_sql(s.pg, "0", "SELECT count(*) FROM object_state WHERE zoid <> 1");
    begin(s.a);
    r = make_chain(s.a, N);
    commit(s.a);
    assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM object_state WHERE zoid <> 1"), N);
    free(r);
    store_close(&s);
}

/* ---- streaming --------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true; /* which takes its own memory */
#else
static const bool sanitized = false;
#endif

/* Many objects in one transaction each are written, read and changed, through a small cache, by
 * processes that stay small. Whole: 10,000,000 objects, 64 MiB, below 100 MB. */
typedef struct stream {
    store s;
    int n;
    size_t room;
    newt_ref last;
} stream;

static void
stream_write(newt_conn *c, const stream *x)
{
    item_ref last = {{0}};

    begin(c);
    for (int i = 0; i < x->n; i++) {
        struct item *o = new_item(c, "one of very many", i);

        o->next = last;
        last = item_id(o);
        item_done(o);
    }
    ok(c, newt_set_root(c, "last", last.any));
    commit(c);
}

/* In batches, in the order of the chain, whose oids rise. */
static void
stream_read(newt_conn *c, const stream *x)
{
    int64_t sum = 0, oid;
    newt_ref some[1000];

    begin(c);
    oid = newt_root(c, "last").oid;
    for (int left = x->n; left > 0;) {
        size_t k = 0;

        for (; k < 1000 && oid > 0; k++)
            some[k].oid = oid--;
        ok(c, newt_prefetch(c, some, k));
        for (size_t i = 0; i < k; i++) {
            const struct item *o = item_read(c, item_of(some[i]));

            if (!o)
                continue; /* oids of the root, of blocks not used up */
            sum += o->n;
            item_done(o);
            left--;
        }
        assert_true(k > 0 || left == 0);
    }
    assert_int_equal(sum, (int64_t)x->n * (x->n - 1) / 2);
    commit(c);
}

static void
stream_change(newt_conn *c, const stream *x)
{
    item_ref r;

    begin(c);
    r = item_of(newt_root(c, "last"));
    for (int i = 0; i < x->n / 10; i++) {
        struct item *o;

        if (i % 1000 == 0) {
            newt_ref some[1000];

            for (int k = 0; k < 1000; k++)
                some[k].oid = r.any.oid - k;
            ok(c, newt_prefetch(c, some, 1000));
        }
        o = item_write(c, r);
        o->n = -o->n;
        r = o->next;
        item_done(o);
    }
    commit(c);
}

/* Memory of this process at most, in kB. */
static long
in_a_process(const char *what, void (*work)(newt_conn *c, const stream *x), const stream *x)
{
    double start = now();
    struct rusage u;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        newt_db *db = store_db(&x->s, classes, (newt_options){.cache_bytes = x->room});
        newt_conn *c = connect_(db);

        work(c, x);
        _exit(cache_of(c).bytes <= (int64_t)x->room ? 0 : 1);
    }
    assert_int_equal(wait4(pid, &status, 0, &u), pid);
    assert_int_equal(status, 0);
    print_message("# %s in %.1f s, at most %ld kB\n", what, now() - start, u.ru_maxrss);
    return u.ru_maxrss;
}

static void
test_streaming(void **state)
{
    static const struct {
        const char *what;
        void (*work)(newt_conn *c, const stream *x);
    } works[] = {
        {"written", stream_write}, {"read", stream_read}, {"a tenth changed", stream_change}};
    bool whole = getenv("NEWT_SOAK") != NULL;
    const long most_kb = whole ? 100 * 1000 : 40 * 1000;
    stream x = {.n = whole       ? 10 * 1000 * 1000
                     : sanitized ? 50 * 1000
                                 : 200 * 1000,
                .room = whole ? 64 << 20 : 4 << 20};

    (void)state;
    needs_server();
    store_make(&x.s, "streaming");
    for (int i = 0; i < 3; i++) {
        long kb = in_a_process(works[i].what, works[i].work, &x);

        if (!sanitized)
            assert_true(kb < most_kb);
    }
    assert_sql(x.s.pg, "t",
               "SELECT count(*) = %d AND count(*) FILTER (WHERE (state->>'n')::int < 0) = %d "
               "FROM newt WHERE class_name = 'Item'",
               x.n, x.n / 10);
    PQfinish(x.s.pg);
}

static newt_options as_default = {0}, by_client = {.projector = NEWT_PROJECT_CLIENT};

static const struct CMUnitTest caches[] = {
    {"test_larger_than_the_cache", test_larger_than_the_cache, NULL, NULL, &as_default},
    {"test_larger_than_the_cache (client)", test_larger_than_the_cache, NULL, NULL, &by_client},
    cmocka_unit_test(test_conflict_of_spilled),
    cmocka_unit_test(test_merge_of_spilled),
    cmocka_unit_test(test_current_and_spilled),
    {"test_rejects_of_spilled", test_rejects_of_spilled, NULL, NULL, &as_default},
    {"test_rejects_of_spilled (client)", test_rejects_of_spilled, NULL, NULL, &by_client},
    cmocka_unit_test(test_no_room),
    cmocka_unit_test(test_refused_in_the_middle),
    cmocka_unit_test(test_lost_in_the_middle),
    cmocka_unit_test(test_streaming),
};

int
main(void)
{
    N = brief() ? 12000 : 30000;
    use_database(true);
    return run_all(caches);
}
