/*
 * layers_memory.c - every allocation fails, one after the other, while layers are opened, pushed,
 * written to, followed, written down and popped
 *
 * Whatever has failed: nothing is there in part, below is what was before or what was written down,
 * and the database goes on. The linker gives the library's malloc, calloc, realloc and strdup, and
 * jansson is given the same; leaks are found by the sanitized build. On a server it is one
 * allocation in a number of them.
 */
#include "stored.h"
#include "../failing_memory.h"

/* ---- one run ----------------------------------------------------------------------------------
 */

enum {
    ITEMS = 6,
    BEFORE = 0, /* what all of them have, and after that */
    FIRST = 100,
    SECOND = 200,
    DEPTH = 3
};

typedef struct ground {
    store s; /* s.a is what fails */
    other below;
    item_ref items[ITEMS];
    newt_length_ref length;
    int depth;
    int64_t expect[DEPTH]; /* what is seen at each; 0: below */
    const char *step;
} ground;

static int
status_of(newt_conn *c)
{
    return newt_status(c) ? newt_status(c) : NEWT_ENOMEM; /* of jansson, in the test itself */
}

static int
set_all(ground *g, newt_conn *c, int64_t n, bool structure)
{
    int status = newt_begin(c);
    struct item *x;

    for (int i = 0; i < ITEMS - 1 && status == NEWT_OK; i++) {
        x = item_write(c, g->items[i]);
        if (x)
            x->n = n;
        else
            status = status_of(c);
    }
    if (structure && status == NEWT_OK && !(x = item_new(c)))
        status = status_of(c);
    if (structure && status == NEWT_OK)
        status = newt_set_root(c, "new", item_id(x).any);
    if (structure && status == NEWT_OK)
        status = newt_delete(c, g->items[ITEMS - 1].any);
    if (status == NEWT_OK)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

/* Others, who have memory, are in between: a conflict, and a merge. */
static int
meet_others(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_begin(c);
    struct newt_length *l;
    struct item *x;

    if (status == NEWT_OK && !(x = item_write(c, g->items[0])))
        status = status_of(c);
    if (status == NEWT_OK) {
        x->n = -1;
        memory.armed = false;
        begin(g->s.b);
        write_n(g->s.b, g->items[0], FIRST + 1);
        commit(g->s.b);
        begin(g->s.b);
        write_n(g->s.b, g->items[0], FIRST);
        commit(g->s.b);
        memory.armed = true;
        status = newt_commit(c);
        if (status == NEWT_OK)
            fail_msg("a conflict was not found");
        if (status == NEWT_ECONFLICT)
            status = NEWT_OK;
    }
    newt_abort(c);
    if (status == NEWT_OK)
        status = newt_begin(c);
    if (status == NEWT_OK && !(l = newt_length_write(c, g->length)))
        status = status_of(c);
    if (status == NEWT_OK)
        status = newt_length_change(l, 1);
    if (status == NEWT_OK) {
        memory.armed = false;
        begin(g->s.b);
        ok(g->s.b, newt_length_change(newt_length_write(g->s.b, g->length), 10));
        commit(g->s.b);
        memory.armed = true;
        status = newt_commit(c);
        /* without memory for merging it is one */
        return status == NEWT_ECONFLICT ? NEWT_ENOMEM : status;
    }
    newt_abort(c);
    return status;
}

static int
follow(ground *g)
{
    newt_feed_options o = {
        .size = sizeof o, .start = NEWT_FEED_COPY, .want = NEWT_FEED_RECORDS, .batch_objects = 4};
    const newt_batch *b;
    newt_feed *f;
    int status;

    for (int i = 0; i < 2; i++) {
        status = newt_feed_open(g->s.a, &f, &o);
        while (status == NEWT_OK && (status = newt_feed_next(f, 0, &b)) == NEWT_OK && b)
            if (newt_feed_token(f) && i == 0)
                break;
        newt_feed_close(f);
        o.start = NEWT_FEED_OLDEST;
        if (status != NEWT_OK)
            break;
    }
    return status;
}

static int
walk(ground *g)
{
    int status = newt_begin(g->s.a);

    newt__cache_clear(&g->s.a->jar);
    if (status == NEWT_OK)
        status = newt_prefetch_walk(g->s.a, &g->items[0].any, ITEMS, NULL);
    newt_abort(g->s.a);
    return status;
}

static int
open_another(ground *g)
{
    newt_options o = {.size = sizeof o, .schema = store_schema(&g->s)};
    char text[600];
    newt_db *db;
    int status;

    snprintf(text, sizeof text, "demo:(demo:(%s))(memory:)", g->s.uri);
    status = newt_db_open(&db, text, classes, &o);
    newt_db_close(db);
    return status;
}

static int
push(ground *g)
{
    int status = newt_db_push(g->s.db);

    if (status == NEWT_OK) {
        assert_true(g->depth + 1 < DEPTH);
        g->depth++;
        g->expect[g->depth] = g->expect[g->depth - 1];
    }
    return status;
}

static int
pop(ground *g)
{
    int status = newt_db_pop(g->s.db);

    g->depth -= status == NEWT_OK;
    return status;
}

static int
write_first(ground *g)
{
    int status = set_all(g, g->s.a, FIRST, true);

    if (status == NEWT_OK)
        g->expect[g->depth] = FIRST;
    return status;
}

static int
write_second(ground *g)
{
    int status = set_all(g, g->s.a, SECOND, false);

    if (status == NEWT_OK)
        g->expect[g->depth] = SECOND;
    return status;
}

static int
write_down(ground *g)
{
    int status = newt_db_commit_changes(g->s.db);

    if (status == NEWT_OK)
        g->expect[g->depth - 1] = g->expect[g->depth];
    return status;
}

static int
run(ground *g)
{
    static const struct {
        const char *name;
        int (*run)(ground *g);
    } steps[] = {
        {"open", open_another}, {"push", push},
        {"first", write_first}, {"walk", walk},
        {"meet", meet_others},  {"follow", follow},
        {"push", push},         {"second", write_second},
        {"pop", pop},           {"down", write_down},
        {"push", push},         {"second", write_second},
        {"pop", pop},           {"pop", pop},
    };
    int status = NEWT_OK;

    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == NEWT_OK; i++) {
        g->step = steps[i].name;
        status = steps[i].run(g);
    }
    return status;
}

/* ---- what is left ----------------------------------------------------------------------- */

/* What all have, and none has in part. */
static int64_t
value_of(ground *g, newt_conn *c, const char *where)
{
    int64_t n;
    bool changed;

    newt_abort(c);
    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    n = read_n(c, g->items[0]);
    for (int i = 1; i < ITEMS - 1; i++)
        if (read_n(c, g->items[i]) != n)
            fail_msg("%s: a part of it is %lld, and a part %lld", where, (long long)n,
                     (long long)read_n(c, g->items[i]));
    changed = n != BEFORE;
    assert_true((newt_root(c, "new").oid != 0) == changed);
    assert_true((item_read(c, g->items[ITEMS - 1]) == NULL) == changed);
    if (changed)
        read_n(c, item_of(newt_root(c, "new")));
    newt_abort(c);
    return n;
}

static void
check(ground *g, int status, const char *where)
{
    bool server = over_server() || on_storage("layer-stored");
    int64_t n;

    if (status != NEWT_OK && status != NEWT_ENOMEM && !(server && status == NEWT_ELOST))
        fail_msg("%s: %s \"%s\" \"%s\"", where, newt_status_text(status),
                 newt_error_message(newt_db_error(g->s.db)),
                 newt_error_message(newt_conn_error(g->s.a)));
    n = value_of(g, g->s.a, where);
    if (n != g->expect[g->depth])
        fail_msg("%s: %lld is there, not %lld", where, (long long)n,
                 (long long)g->expect[g->depth]);
    assert_int_equal(value_of(g, g->s.b, where), n);
    /* the database goes on, on whatever it is */
    assert_int_equal(newt_db_push(g->s.db), NEWT_OK);
    assert_int_equal(set_all(g, g->s.a, 7, n == BEFORE), NEWT_OK);
    assert_int_equal(value_of(g, g->s.b, where), 7);
    assert_int_equal(newt_db_pop(g->s.db), NEWT_OK);
    assert_int_equal(value_of(g, g->s.b, where), n);
    while (g->depth > 0) {
        assert_int_equal(newt_db_pop(g->s.db), NEWT_OK);
        g->depth--;
        assert_int_equal(value_of(g, g->s.a, where), g->expect[g->depth]);
    }
    assert_int_equal(value_of(g, g->below.c, where), g->expect[0]);
    if (status == NEWT_OK) {
        begin(g->below.c);
        assert_int_equal(newt_length_read(g->below.c, g->length)->value, 11);
        newt_abort(g->below.c);
    }
}

static void
ground_open(ground *g)
{
    *g = (ground){0};
    store_open(&g->s, "memory");
    g->below = other_open(&g->s);
    begin(g->below.c);
    for (int i = 0; i < ITEMS; i++)
        g->items[i] = item_id(new_item(g->below.c, "item", BEFORE));
    g->length = newt_length_id(newt_length_new(g->below.c));
    commit(g->below.c);
}

static void
test_each_allocation(void **state)
{
    const char *given = getenv("NEWT_SEED");
    long stride = over_server() || !on_memory() ? 40 : 1, seed;
    int status = NEWT_ENOMEM;

    (void)state;
    seed = given ? strtol(given, NULL, 10) : (long)time(NULL) % stride;
    if (stride > 1)
        print_message("# NEWT_SEED=%ld\n", seed);
    for (long at = 1 + seed % stride; status != NEWT_OK || memory.calls >= at; at += stride) {
        char where[100];
        ground g;

        ground_open(&g);
        memory.calls = 0;
        memory.at = at;
        memory.armed = true;
        status = run(&g);
        memory.armed = false;
        snprintf(where, sizeof where, "%s, allocation %ld", g.step, at);
        check(&g, status, where);
        other_close(&g.below);
        store_close(&g.s);
        assert_true(at < 100000);
    }
    print_message("# %ld allocations\n", memory.calls);
    assert_true(memory.calls > 0);
}

static const struct CMUnitTest layers_memory[] = {
    cmocka_unit_test(test_each_allocation),
};

int
main(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    return run_all(layers_memory);
}
