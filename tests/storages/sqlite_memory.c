/*
 * sqlite_memory.c - every allocation fails, one after the other, on a store in SQLite: the
 * library's, jansson's and SQLite's own; what failed is not there, and the connection works
 *
 * But for a soak it is one in a number of them, others each time. Leaks are found by the sanitized
 * build.
 */
#include "stored.h"

#include "../bridge/feeds.h"
#include "../failing_memory.h"

#include <malloc.h>

/* ---- SQLite's memory ---------------------------------------------------------------------- */

static void *
sqlite_malloc(int n)
{
    return __wrap_malloc((size_t)n);
}

static void *
sqlite_realloc(void *p, int n)
{
    return __wrap_realloc(p, (size_t)n);
}

static int
sqlite_size(void *p)
{
    return (int)malloc_usable_size(p);
}

static int
sqlite_roundup(int n)
{
    return (n + 7) & ~7;
}

static int
sqlite_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void
sqlite_shutdown(void *arg)
{
    (void)arg;
}

/* ---- scenarios: each gives the status that the program sees ------------------------------- */

enum {
    ITEMS = 6
};

typedef struct ground {
    store s;
    item_ref items[ITEMS];
    int step;
} ground;

static int
status_of(newt_conn *c)
{
    return newt_status(c) ? newt_status(c) : NEWT_ENOMEM;
}

static int
end(newt_conn *c, int status)
{
    if (status == NEWT_OK)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

static int
load_all(ground *g)
{
    newt_conn *c = g->s.a;
    newt_ref refs[ITEMS];
    int status = newt_begin(c);

    for (int i = 0; i < ITEMS; i++)
        refs[i] = g->items[ITEMS - 1 - i].any;
    if (status == NEWT_OK)
        status = newt_prefetch(c, refs, ITEMS);
    for (int i = 0; i < ITEMS && status == NEWT_OK; i++) {
        const struct item *x = item_read(c, g->items[i]);

        if (!x)
            status = status_of(c);
        item_done(x);
    }
    return end(c, status);
}

static int
change(ground *g)
{
    newt_conn *c = g->s.a;
    struct item *x = NULL;
    int status = newt_begin(c);

    for (int i = 0; i < 3 && status == NEWT_OK; i++) {
        x = item_write(c, g->items[i]);
        if (!x)
            status = status_of(c);
        else
            x->n = g->step;
        item_done(x);
    }
    if (status == NEWT_OK && !(x = item_new(c)))
        status = status_of(c);
    if (status == NEWT_OK) {
        newt_text_setn(item_obj(x), &x->name, "\xff", 1); /* which JSON shows in part */
        status = newt_describe(c, "somebody", "changes things", NULL);
    }
    if (status == NEWT_OK)
        status = newt_read_current(c, g->items[5].any);
    return end(c, status);
}

static int
set_n(newt_conn *c, item_ref r, int64_t n)
{
    struct item *x = item_write(c, r);

    if (!x)
        return status_of(c);
    x->n = n;
    item_done(x);
    return NEWT_OK;
}

/* Changed back after a savepoint, and read again before the rollback to it. */
static int
change_back(ground *g)
{
    newt_conn *c = g->s.a;
    const struct item *x;
    int64_t n = 0, one, two;
    int status = newt_begin(c);

    if (status == NEWT_OK && !(x = item_read(c, g->items[1])))
        status = status_of(c);
    if (status == NEWT_OK) {
        n = x->n;
        item_done(x);
        status = set_n(c, g->items[1], n + 1000);
    }
    if (status == NEWT_OK)
        status = newt_savepoint(c, &one);
    if (status == NEWT_OK)
        status = set_n(c, g->items[1], n);
    if (status == NEWT_OK)
        status = newt_savepoint(c, &two);
    if (status == NEWT_OK && !item_read(c, g->items[1]))
        status = status_of(c);
    if (status == NEWT_OK)
        status = newt_rollback_to(c, one);
    if (status == NEWT_OK && !(x = item_read(c, g->items[1])))
        status = status_of(c);
    if (status == NEWT_OK)
        assert_int_equal(x->n, n + 1000);
    return end(c, status);
}

static int
remove_one(ground *g)
{
    newt_conn *c = g->s.a;
    struct item *x = NULL;
    int status = newt_begin(c);

    if (status == NEWT_OK && !(x = item_new(c)))
        status = status_of(c);
    if (status == NEWT_OK) {
        newt_set(x, name, "short-lived");
        status = newt_set_root(c, "short", item_id(x).any);
    }
    status = end(c, status);
    if (status == NEWT_OK)
        status = newt_begin(c);
    if (status == NEWT_OK) {
        newt_ref r = newt_root(c, "short");

        status = newt_is_null(r) ? status_of(c) : newt_delete(c, r);
    } else {
        return status;
    }
    return end(c, status);
}

static int
conflict(ground *g)
{
    newt_conn *c = g->s.a;
    bool armed = memory.armed;
    int status = newt_begin(c);

    for (int i = 0; i < ITEMS && status == NEWT_OK; i++) {
        struct item *x = item_write(c, g->items[i]);

        if (!x)
            status = status_of(c);
        else
            x->n = -g->step;
    }
    memory.armed = false;
    begin(g->s.b);
    for (int i = 0; i < ITEMS; i++)
        write_n(g->s.b, g->items[i], g->step + 1000);
    commit(g->s.b);
    memory.armed = armed;
    return end(c, status);
}

static int
query(ground *g)
{
    newt_conn *c = g->s.a;
    newt_result *found = NULL;
    json_t *rows = NULL;
    const char *params[] = {"item"};
    int status = newt_begin(c);

    if (status == NEWT_OK)
        status = newt_where(c, &found, "state->>'name' = $1 ORDER BY zoid", 1, params);
    if (status == NEWT_OK)
        status = newt_result_load(found);
    newt_result_free(found);
    found = NULL;
    if (status == NEWT_OK)
        status = newt_page(c, &found, "SELECT zoid FROM newt ORDER BY zoid", 0, NULL, 2, 3);
    newt_result_free(found);
    if (status == NEWT_OK)
        status = newt_query(c, &rows, "SELECT *, x'00', 0.5 FROM newt ORDER BY zoid LIMIT 3", 0,
                            NULL);
    json_decref(rows);
    newt_abort(c);
    return status;
}

static int
follow(ground *g)
{
    newt_feed_options o = {
        .size = sizeof o, .follower = "f", .start = NEWT_FEED_OLDEST, .want = NEWT_FEED_JSON};
    newt_conn *c = g->s.a;
    const newt_batch *b;
    newt_feed *f = NULL;
    bool armed = memory.armed;
    int status;

    memory.armed = false;
    ok(g->s.b, newt_feed_forget(g->s.b, "f"));
    memory.armed = armed;
    status = newt_feed_open(c, &f, &o);
    if (status == NEWT_OK)
        status = newt_feed_next(f, 0, &b);
    if (status == NEWT_OK)
        status = newt_feed_exec(f, "UPDATE mine SET n = n + 1", 0, NULL);
    if (status == NEWT_OK)
        status = newt_feed_commit(f);
    newt_feed_close(f);
    return status;
}

static int
upkeep(ground *g)
{
    newt_health h = {.size = sizeof h};
    newt_sweep s = {.size = sizeof s, .kind = NEWT_SWEEP_REPROJECT};
    newt_conn *c = g->s.a;
    int64_t pruned;
    int status = newt_store_health(c, "f", &h);

    if (status == NEWT_OK)
        status = newt_prune(c, 10, &pruned);
    if (status == NEWT_OK)
        status = newt_project_sweep(c, &s);
    return status;
}

static int
make_indexes(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_index_create(c, "by_name", "Item", "state->>'name', zoid", 0);

    if (status == NEWT_OK)
        status = newt_index_create(c, "words", "Item", "name, n", NEWT_INDEX_TEXT);
    if (status == NEWT_OK)
        status = newt_index_drop(c, "words");
    if (status == NEWT_OK)
        status = newt_index_drop(c, "by_name");
    return status;
}

static int
open_another(ground *g)
{
    newt_options o = {.size = sizeof o, .store_name = "another"};
    newt_conn *c = NULL;
    newt_db *db;
    int status = newt_db_open(&db, g->s.uri, classes, &o);

    if (status == NEWT_OK)
        status = newt_connect(db, &c);
    if (status == NEWT_OK)
        status = newt_begin(c);
    if (status == NEWT_OK && !item_read(c, g->items[0]))
        status = status_of(c);
    newt_close(c);
    newt_db_close(db);
    return status;
}

static int
create_another(ground *g)
{
    char uri_[300], path[200];
    newt_error *e = NULL;
    int status;

    snprintf(path, sizeof path, "%s-other", g->s.file);
    snprintf(uri_, sizeof uri_, "sqlite:%s?synchronous=off", path);
    status = newt_store_create(uri_, NULL, &e);
    newt_error_free(e);
    memory.armed = false;
    if (status == NEWT_OK)
        assert_sound(path);
    else
        assert_int_equal(newt_store_create(uri_, NULL, NULL), NEWT_OK); /* as if nothing had been */
    assert_int_equal(unlink(path), 0);
    return status;
}

/* ---- one allocation after the other --------------------------------------------------------- */

typedef struct scenario {
    const char *name;
    int (*run)(ground *g);
    int wanted; /* its status with all memory */
    bool parts; /* several transactions: what the first has done stays; or others write */
} scenario;

static const scenario scenarios[] = {
    {"load", load_all, NEWT_OK, false},
    {"change", change, NEWT_OK, false},
    {"change back", change_back, NEWT_OK, false},
    {"new, removed", remove_one, NEWT_OK, true},
    {"conflict", conflict, NEWT_ECONFLICT, true},
    {"query", query, NEWT_OK, false},
    {"follow", follow, NEWT_OK, true},
    {"upkeep", upkeep, NEWT_OK, false},
    {"indexes", make_indexes, NEWT_OK, true},
    {"open", open_another, NEWT_OK, false},
    {"create", create_another, NEWT_OK, false},
};

/* Everything that a transaction may change. */
static char *
fingerprint(const ground *g)
{
    return file_text(g->s.file,
                     "SELECT (SELECT group_concat(zoid || ' ' || serial || ' ' || hex(state)) "
                     "FROM object_state) || (SELECT group_concat(zoid || ' ' || serial || state) "
                     "FROM newt_projection) || (SELECT count(*) FROM \"transaction\") || "
                     "(SELECT count(*) FROM newt_reject_entry)");
}

/* The cache says what the store says, the connection reads and writes. */
static void
assert_usable(ground *g, const char *where)
{
    newt_conn *c = g->s.a;
    int64_t sum = 0;
    json_t *rows;

    if (newt_begin(c) != NEWT_OK)
        fail_msg("%s: cannot begin: %s", where, newt_error_message(newt_conn_error(c)));
    for (int i = 0; i < ITEMS; i++)
        sum += read_n(c, g->items[i]);
    ok(c,
       newt_query(c, &rows, "SELECT sum(state->>'n') AS n FROM newt WHERE state->>'name' = 'item'",
                  0, NULL));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "n")), sum);
    json_decref(rows);
    write_n(c, g->items[4], read_n(c, g->items[4]) + 1);
    commit(c);
}

static void
forget_all(newt_conn *c)
{
    newt__cache_clear(&c->jar);
    c->position = (newt__position){0};
    newt__writer_free(&c->jar.coder.writer);
    newt__buffer_free(&c->jar.coder.scratch);
    newt__buffer_free(&c->jar.coder.image);
    newt__buffer_free(&c->jar.coder.fixups);
}

static uint64_t seed;
static long stride = 1;

static void
run_one(ground *g, const scenario *x)
{
    char where[100], *before, *after;
    int status;

    for (long at = 1 + (long)(seed % (unsigned)stride);; at += stride) {
        snprintf(where, sizeof where, "%s, allocation %ld", x->name, at);
        g->step++;
        forget_all(g->s.a);
        before = fingerprint(g);
        memory.calls = 0;
        memory.at = at;
        memory.armed = true;
        status = x->run(g);
        memory.armed = false;
        if (status != x->wanted && status != NEWT_ENOMEM)
            fail_msg("%s: %s \"%s\" %s", where, newt_status_text(status),
                     newt_error_message(newt_conn_error(g->s.a)),
                     newt_error_detail(newt_conn_error(g->s.a)));
        after = fingerprint(g);
        if (status != NEWT_OK && !x->parts && strcmp(before, after) != 0)
            fail_msg("%s: %s, but the store was changed", where, newt_status_text(status));
        free(before);
        free(after);
        assert_usable(g, where);
        if (memory.calls < at) {
            assert_int_equal(status, x->wanted);
            print_message("# %s: %ld allocations\n", x->name, memory.calls);
            assert_true(memory.calls > 0);
            return;
        }
        assert_true(at < 1000000);
    }
}

static void
test_allocations(void **state)
{
    ground g = {.step = 0};

    (void)state;
    needs_storage("sqlite");
    store_open(&g.s, "memory");
    free(file_text(g.s.file, "CREATE TABLE mine (n)"));
    begin(g.s.b);
    for (int i = 0; i < ITEMS; i++)
        g.items[i] = item_id(new_item(g.s.b, "item", i));
    commit(g.s.b);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        run_one(&g, &scenarios[i]);
    store_close(&g.s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_allocations),
};

int
main(void)
{
    static const sqlite3_mem_methods methods = {
        sqlite_malloc,  free,        sqlite_realloc,  sqlite_size,
        sqlite_roundup, sqlite_init, sqlite_shutdown, NULL};

    if (!getenv("NEWT_SOAK")) {
        const char *given = getenv("NEWT_SEED");

        seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) % 1000;
        stride = 7;
        printf("# NEWT_SEED=%llu\n", (unsigned long long)seed);
    }
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        return 1;
    json_set_alloc_funcs(__wrap_malloc, free);
    return run_all(tests);
}
