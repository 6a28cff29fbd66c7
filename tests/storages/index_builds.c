/*
 * index_builds.c - indexes that are filled with what is there, beside those who write
 */
#include "indexed_store.h"
#include "../brief.h"

/* ---- filling ------------------------------------------------------------------------------------
 */

/* Objects that are older than the index, while others are written. */
static void
test_build(void **state)
{
    newt_index_building b = {.size = sizeof b, .objects = 50};
    thing_ref refs[OLD_THINGS];
    int64_t calls = 0;
    newt_db *old;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.b);
    assert_int_equal(by_code_get(s.b, coded("old 7"), NULL), NEWT_EMISSING);
    newt_abort(s.b);
    begin(s.b);
    set_code(s.b, refs[7], "new 7");
    assert_int_equal(newt_commit(s.b), NEWT_EMISSING);
    assert_non_null(strstr(newt_error_hint(newt_conn_error(s.b)), "newt_index_build"));
    for (const newt_index *const *x = thing_hooks.indexes; x[1]; x++)
        build(s.a, *x); /* all but the last, which need not be done for what follows */
    begin(s.b);
    assert_int_equal(by_odd_count(s.b, NULL), NEWT_EMISSING);
    newt_abort(s.b);
    ok(s.a, newt_index_build(s.a, &by_odd_index, &b));
    ok(s.a,
       newt_index_build(s.a, &by_due_index,
                        &(newt_index_building){.size = sizeof b, .objects = 50, .rebuild = true}));
    b = (newt_index_building){.size = sizeof b, .objects = 50};
    while (!b.over) {
        int at = (int)(calls * 40 % OLD_THINGS);

        begin(s.b); /* before, at and after the place that has been reached */
        assert_int_equal(by_due_count(s.b, NULL), NEWT_EBUSY);
        assert_true(is_found(s.b, "old 3", refs[3])); /* the others can be asked */
        set_code(s.b, refs[(at + 5) % OLD_THINGS], calls % 2 ? "x" : "y");
        ok(s.b, newt_delete(s.b, refs[(at + 11) % OLD_THINGS].any));
        make_thing(s.b, calls % 2 ? "new x" : "new y");
        commit(s.b);
        begin(s.b); /* open while the next ones are put in */
        set_code(s.b, refs[(at + 60) % OLD_THINGS], "z");
        ok(s.a, newt_index_build(s.a, NULL, &b));
        if (newt_commit(s.b) != NEWT_OK)
            assert_int_equal(newt_error_status(newt_conn_error(s.b)), NEWT_ECONFLICT);
        if (++calls == 2)
            break;
    }
    while (!b.over)
        ok(s.a, newt_index_build(s.a, NULL, &b));
    assert_true(b.looked >= OLD_THINGS - 3);
    check_indexes(s.a);
    newt_index_building again = {.size = sizeof again};
    ok(s.a, newt_index_build(s.a, NULL, &again));
    assert_true(again.over && again.looked == 0);
    store_close(&s);
}

/* An object is changed between its reading and the commit of its entry. */
typedef struct overtaking {
    store *s;
    thing_ref r;
    int commits; /* of the filling, seen so far */
    bool done;
} overtaking;

static void
overtake(const newt_call *call, void *arg)
{
    overtaking *x = arg;

    x->commits += strcmp(call->name, "commit") == 0;
    if (x->done || x->commits == 0 || strcmp(call->name, "load") != 0)
        return;
    x->done = true;
    begin(x->s->b);
    set_code(x->s->b, x->r, "overtaken");
    commit(x->s->b);
}

static void
test_build_overtaken(void **state)
{
    newt_index_building b = {.size = sizeof b, .objects = 20}; /* few: the tree is not split */
    overtaking x = {.commits = -1000};
    thing_ref refs[OLD_THINGS];
    newt_options traced = {.trace = overtake, .trace_arg = &x};
    newt_db *old, *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    x.s = &s;
    x.r = refs[3];
    db = store_db(&s, things, traced);
    c = connect_(db);
    x.commits = 0; /* the first makes the index empty */
    b.rebuild = true;
    while (!b.over)
        ok(c, newt_index_build(c, &by_code_index, &b));
    assert_true(x.done);
    assert_int_equal(stats_of(c).retries, 1);
    newt_close(c);
    newt_db_close(db);
    check_indexes(s.a);
    store_close(&s);
}

/* Writers that never rest, while all indexes are filled anew. */
typedef struct writer {
    pthread_t thread;
    store *s;
    const thing_ref *refs;
    uint64_t seed;
    bool *stop;
    const char *failed;
    int64_t written;
} writer;

static int
write_any(newt_conn *c, void *arg)
{
    writer *w = arg;
    chance random = {w->seed + (uint64_t)w->written * 77};

    for (int i = pick(&random, 4); i >= 0; i--) {
        thing_ref r = w->refs[pick(&random, OLD_THINGS)];
        struct thing *t = pick(&random, 8) ? thing_write(c, r) : make_thing(c, NULL);
        char code[40];

        if (!t && newt_status(c) != NEWT_EMISSING)
            return newt_status(c);
        if (!t)
            continue;
        snprintf(code, sizeof code, "%llu %lld %d", (unsigned long long)w->seed,
                 (long long)w->written, i);
        newt_set(t, code, code);
        t->due.days = pick(&random, 40);
        t->number = (uint16_t)pick(&random, 5);
        if (pick(&random, 10) == 0 && newt_delete(c, thing_id(t).any) != NEWT_OK)
            return newt_status(c);
        thing_done(t);
    }
    return NEWT_OK;
}

static void *
write_all(void *arg)
{
    writer *w = arg;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    newt_conn *c;

    if (newt_connect(w->s->db, &c) != NEWT_OK)
        w->failed = "newt_connect";
    while (!w->failed && !__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        int status = newt_transact(c, write_any, w, &patient);

        if (status != NEWT_OK) {
            print_message("# %s\n", error_text(newt_conn_error(c)));
            w->failed = "newt_transact";
        }
        __atomic_fetch_add(&w->written, 1, __ATOMIC_RELAXED);
        pause_ms(on_memory() ? 0 : 1); /* the store is not theirs alone */
    }
    newt_close(c);
    return NULL;
}

enum {
    WRITERS = 3
};

static int64_t
written_by(const writer writers[WRITERS])
{
    int64_t n = 0;

    for (int i = 0; i < WRITERS; i++)
        n += __atomic_load_n(&writers[i].written, __ATOMIC_RELAXED);
    return n;
}

static void
test_build_beside(void **state)
{
    thing_ref refs[OLD_THINGS];
    writer writers[WRITERS];
    int64_t enough = brief() ? 100 : 500;
    int rounds = 0;
    bool stop = false;
    newt_db *old;
    uint64_t seed = take_seed();
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    build(s.a, NULL);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.s = &s, .refs = refs, .seed = seed + (uint64_t)i, .stop = &stop};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    for (; rounds < 3 || written_by(writers) < enough; rounds++) {
        newt_index_building b = {.size = sizeof b, .objects = 20, .rebuild = true};

        while (!b.over) {
            int status = newt_index_build(s.a, NULL, &b);

            if (status != NEWT_OK && status != NEWT_ECONFLICT)
                fail_error("newt_index_build", newt_conn_error(s.a));
        }
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        if (writers[i].failed)
            fail_msg("%s", writers[i].failed);
    }
    print_message("# filled %d times beside %lld transactions\n", rounds,
                  (long long)written_by(writers));
    check_indexes(s.a);
    store_close(&s);
}

static void
test_build_duplicates(void **state)
{
    newt_index_building b = {.size = sizeof b};
    thing_ref refs[OLD_THINGS];
    newt_db *old;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "indexes");
    old = open_plain(&s);
    make_old(old, refs);
    c = connect_(old);
    begin(c);
    struct thing *t = newt_write(c, refs[9].any, &plain_class);
    newt_set(t, code, "old 100");
    commit(c);
    newt_close(c);
    s.db = store_db(&s, things, (newt_options){0});
    newt_db_close(old); /* a store in memory goes with the last database */
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    assert_int_equal(newt_index_build(s.a, &by_code_index, &b), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), refs[100].any.oid);
    for (const newt_index *const *x = thing_hooks.indexes + 1; *x; x++)
        build(s.b, *x);
    begin(s.b);
    set_code(s.b, refs[9], "old 9");
    commit(s.b);
    build(s.a, &by_code_index);
    check_indexes(s.a);
    store_close(&s);
}

static const struct CMUnitTest index_builds[] = {
    cmocka_unit_test(test_build),
    cmocka_unit_test(test_build_overtaken),
    cmocka_unit_test(test_build_beside),
    cmocka_unit_test(test_build_duplicates),
};

int
main(void)
{
    return run_all(index_builds);
}
