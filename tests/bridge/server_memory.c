/*
 * server_memory.c - every allocation fails, one after the other, through whole transactions: what
 * is reported is what the store has, no cache is wrong afterwards, and the connection works
 *
 * The linker gives the library's malloc, calloc, realloc and strdup, and jansson is given the same;
 * libpq's are its own. Leaks are found by the sanitized build of this program. But for a soak it is
 * one in a number of them, others each time; a soak also lets all fail from one on, until the
 * scenario is over.
 */
#include "server.h"
#include "../failing_memory.h"

#include "../../bridge/postgres/session.h"
#include "../../bridge/transaction/transaction.h"

/* ---- a store with a little of everything ---------------------------------------------- */

struct page {
    newt_text title;
    int64_t views;
    newt_json more;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(item_ref) items;
};
NEWT_DECLARE(page);
static const newt_hooks by_fields = {.size = sizeof by_fields, .resolve = newt_resolve_fields};
NEWT_CLASS(page, "Page", 1, &by_fields, NEWT_FIELD(struct page, title),
           NEWT_FIELD(struct page, views), NEWT_FIELD(struct page, more),
           NEWT_LIST(struct page, tags), NEWT_REFS(struct page, items, item));

/* What another program makes as "Leaf". */
struct sheet {
    newt_text body;
    int32_t level;
};
NEWT_DECLARE(sheet);
NEWT_CLASS_PAST(sheet, "Sheet", 1, NULL, 0,
                (.was = NEWT_NAMES("Leaf"), .dropped = NEWT_NAMES("list")),
                NEWT_FIELD(struct sheet, body, .was = "text"),
                NEWT_FIELD(struct sheet, level, NEWT_INIT(int32_t, 3)));

static const newt_class *const all_classes[] = {&item_class, &page_class, &sheet_class, NULL};

enum {
    ITEMS = 12
};

typedef struct ground {
    store s; /* s.a is what fails, s.b the others */
    newt_options options;
    item_ref items[ITEMS];
    page_ref page;
    newt_length_ref length;
    newt_ref bag;
    newt_db *plain; /* without classes */
    char before[64];
    int step;
} ground;

static int
status_of(newt_conn *c)
{
    return newt_status(c) ? newt_status(c) : NEWT_ENOMEM; /* of jansson, in the test itself */
}

static void
ground_open(ground *g, const char *name, newt_options o)
{
    struct page *p;
    json_t *state;
    newt_bag *b;

    *g = (ground){.options = o};
    store_make(&g->s, name);
    g->s.db = store_db(&g->s, all_classes, o);
    g->s.a = connect_(g->s.db);
    g->s.b = connect_(g->s.db);
    g->plain = store_db(&g->s, NULL, (newt_options){0});
    begin(g->s.b);
    for (int i = 0; i < ITEMS; i++)
        g->items[i] = item_id(new_item(g->s.b, "item", i));
    p = page_new(g->s.b);
    assert_non_null(p);
    newt_set(p, title, "title");
    g->page = page_id(p);
    ok(g->s.b, newt_set_root(g->s.b, "page", g->page.any));
    g->length = newt_length_id(newt_length_new(g->s.b));
    b = newt_bag_new(g->s.b, "Note");
    assert_non_null(b);
    state = json_pack("{s:s, s:[i, i]}", "text", "of a class without a table", "list", 1, 2);
    ok(g->s.b, newt_bag_replace(b, state));
    json_decref(state);
    g->bag = newt_bag_ref(b);
    commit(g->s.b);
}

/* Everything that a transaction may change. */
static void
fingerprint(ground *g, char out[64])
{
    char *text = sql_text(
        g->s.pg, "SELECT md5(string_agg(concat_ws(' ', o.zoid, o.serial, o.state, p.state), ',' "
                 "ORDER BY o.zoid)) || (SELECT count(*) FROM transaction) FROM object_state o LEFT "
                 "JOIN newt_projection p USING (zoid)");

    snprintf(out, 64, "%s", text);
    free(text);
}

/* ---- scenarios: each gives the status that the program sees ------------------------------ */

static int
load_all(ground *g)
{
    newt_conn *c = g->s.a;
    const struct page *p;
    newt_ref refs[ITEMS];
    int status = newt_begin(c);
    json_t *more;

    for (int i = 0; i < ITEMS; i++)
        refs[i] = g->items[i].any;
    if (status == NEWT_OK)
        status = newt_prefetch(c, refs, ITEMS);
    if (status == NEWT_OK && newt_is_null(newt_root(c, "page")))
        status = status_of(c);
    if (status == NEWT_OK && (p = page_read(c, g->page)) == NULL)
        status = status_of(c);
    if (status == NEWT_OK) {
        more = newt_json_get(&p->more);
        json_decref(more);
        page_done(p);
    }
    for (int i = 0; i < ITEMS && status == NEWT_OK; i++) {
        const struct item *o = item_read(c, g->items[i]);

        if (!o)
            status = status_of(c);
        item_done(o);
    }
    if (status != NEWT_OK) {
        newt_abort(c);
        return status;
    }
    return newt_commit(c);
}

/* Failures of setters doom the transaction: commit tells. */
static int
change_things(ground *g)
{
    newt_conn *c = g->s.a;
    struct item *made = NULL;
    struct page *p = page_write(c, g->page);
    json_t *json;
    newt_bag *b;
    item_ref *at;

    if (!p)
        return status_of(c);
    p->views++;
    newt_set(p, title, "a title that is longer than the one it had \xe2\x82\xac");
    newt_append(p, tags, (newt_text){0});
    newt_text_set(page_obj(p), &newt_items(p, tags)[p->tags.n - 1], "tag");
    json = json_pack("{s:i, s:[s, n]}", "step", g->step, "list", "x");
    if (!json)
        return NEWT_ENOMEM;
    newt_json_set(page_obj(p), &p->more, json);
    json_decref(json);
    for (int i = 0; i < 3; i++) {
        made = item_new(c);
        if (!made)
            return status_of(c);
        made->n = g->step;
        newt_set(made, name, "made");
        at = newt_array_grow(page_obj(p), &p->items, sizeof *at, 1);
        if (at)
            *at = item_id(made);
    }
    b = newt_bag_write(c, g->bag);
    if (!b)
        return status_of(c);
    json = json_integer(g->step);
    if (!json)
        return NEWT_ENOMEM;
    newt_bag_set(b, "step", json);
    json_decref(json);
    if (newt_read_current(c, g->items[0].any) != NEWT_OK)
        return status_of(c);
    if (!newt_length_write(c, g->length) ||
        newt_length_change(newt_length_write(c, g->length), 1) != NEWT_OK)
        return status_of(c);
    return newt_describe(c, "somebody", "changes things", NULL);
}

static int
change(ground *g)
{
    int status = newt_begin(g->s.a);

    if (status == NEWT_OK)
        status = change_things(g);
    if (status == NEWT_OK)
        return newt_commit(g->s.a);
    newt_abort(g->s.a);
    return status;
}

static int
nothing_after(newt_conn *c, int status, void *arg)
{
    (void)c;
    (void)status;
    (void)arg;
    return NEWT_OK;
}

static int
nothing_prepared(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NEWT_OK;
}

static int
nothing_told(void *arg)
{
    (void)arg;
    return NEWT_OK;
}

static void
nothing_undone(void *arg)
{
    (void)arg;
}

static int
nothing_kept(void *arg, int64_t savepoint)
{
    (void)arg;
    (void)savepoint;
    return NEWT_OK;
}

/* Back and forth, with pointers that are held, a hook and a resource. */
static int
save_and_roll_back(ground *g)
{
    static const newt_resource r = {.size = sizeof r,
                                    .sort_key = "r",
                                    .prepare = nothing_prepared,
                                    .commit = nothing_told,
                                    .abort = nothing_undone,
                                    .savepoint = nothing_kept,
                                    .rollback = nothing_kept};
    newt_conn *c = g->s.a;
    struct item *held = NULL;
    int64_t one, two;
    int status = newt_begin(c);

    if (status == NEWT_OK && !(held = item_write(c, g->items[2])))
        status = status_of(c);
    if (status == NEWT_OK)
        status = newt_join(c, &r);
    if (status == NEWT_OK)
        status = newt_on(c, NEWT_AFTER_COMMIT, nothing_after, NULL);
    if (status == NEWT_OK)
        status = newt_savepoint(c, &one);
    if (status == NEWT_OK) {
        held->n = -1;
        newt_set(held, name, "a name that is not to stay");
        status = change_things(g);
    }
    if (status == NEWT_OK)
        status = newt_savepoint(c, &two);
    if (status == NEWT_OK)
        status = newt_delete(c, g->bag);
    if (status == NEWT_OK)
        status = newt_rollback_to(c, two);
    if (status == NEWT_OK)
        status = newt_release(c, two);
    if (status == NEWT_OK)
        status = newt_rollback_to(c, one);
    if (status == NEWT_OK) {
        assert_string_equal(held->name.s, "item");
        held->n++;
        status = newt_savepoint(c, &two);
    }
    if (status == NEWT_OK)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

static int
change_and_abort(ground *g)
{
    int status = newt_begin(g->s.a);

    if (status == NEWT_OK)
        status = change_things(g);
    newt_abort(g->s.a);
    return status;
}

static int
make_and_remove(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_begin(c);
    struct item *o;
    newt_ref r = {0};

    if (status == NEWT_OK && !(o = item_new(c)))
        status = status_of(c);
    if (status == NEWT_OK) {
        r = item_id(o).any;
        newt_set(o, name, "short-lived");
        status = newt_commit(c);
    }
    if (status != NEWT_OK) {
        newt_abort(c);
        return status;
    }
    status = newt_begin(c);
    if (status == NEWT_OK)
        status = newt_delete(c, r);
    if (status == NEWT_OK)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

/* Others change what this has read: with memory for them. */
static void
others_change(ground *g, bool merges)
{
    bool armed = memory.armed;
    struct page *p;

    memory.armed = false;
    begin(g->s.b);
    if (merges) {
        ok(g->s.b, newt_length_change(newt_length_write(g->s.b, g->length), 10));
        p = page_write(g->s.b, g->page);
        assert_non_null(p);
        p->views += 100;
    } else {
        for (int i = 0; i < ITEMS; i++)
            write_n(g->s.b, g->items[i], read_n(g->s.b, g->items[i]) + 1000);
    }
    commit(g->s.b);
    fingerprint(g, g->before);
    memory.armed = armed;
}

/* Two that their classes' resolvers merge. */
static int
merge(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_begin(c);
    struct newt_length *l = NULL;
    struct page *p = NULL;

    if (status == NEWT_OK &&
        (!(l = newt_length_write(c, g->length)) || !(p = page_write(c, g->page))))
        status = status_of(c);
    if (status == NEWT_OK) {
        newt_length_change(l, 1);
        newt_set(p, title, "merged");
        newt_append(p, tags, (newt_text){0});
        others_change(g, true);
        return newt_commit(c);
    }
    newt_abort(c);
    return status;
}

/* Those that have none: the error lists them. */
static int
conflict(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_begin(c), n = 0;

    for (int i = 0; i < ITEMS && status == NEWT_OK; i++) {
        struct item *o = item_write(c, g->items[i]);

        if (!o)
            status = status_of(c);
        else
            o->n--;
    }
    if (status == NEWT_OK) {
        others_change(g, false);
        status = newt_commit(c);
        if (status == NEWT_ECONFLICT) {
            while (newt_error_conflict(newt_conn_error(c), (size_t)n))
                n++;
            assert_true(n == ITEMS || (n == 0 && memory.calls >= memory.at));
        }
        return status;
    }
    newt_abort(c);
    return status;
}

/* Meets others at first, and then has its turn. */
typedef struct turns {
    ground *g;
    int calls;
} turns;

static int
increment_all(newt_conn *c, void *arg)
{
    turns *t = arg;

    for (int i = 0; i < ITEMS; i++) {
        struct item *o = item_write(c, t->g->items[i]);

        if (!o)
            return status_of(c);
        o->n++;
    }
    if (t->calls++ == 0)
        others_change(t->g, false);
    return 0;
}

static int
transact(ground *g)
{
    turns t = {.g = g};
    int status = newt_transact(g->s.a, increment_all, &t, NULL);

    memory.armed = false;
    wait_until(sql_int(g->s.pg, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
                                "classid = 'newt_commit_lock'::regclass") == 0);
    return status;
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
        status = newt_page(c, &found, "SELECT zoid FROM newt ORDER BY zoid", 0, NULL, 2, 5);
    newt_result_free(found);
    if (status == NEWT_OK)
        status = newt_query(c, &rows, "SELECT * FROM newt ORDER BY zoid LIMIT 5", 0, NULL);
    json_decref(rows);
    newt_abort(c);
    return status;
}

static int
walk(ground *g)
{
    newt_conn *c = g->s.a;
    int status = newt_begin(c);

    if (status == NEWT_OK)
        status = newt_prefetch_walk(c, &g->page.any, 1, NULL);
    newt_abort(c);
    return status;
}

static int
open_another(ground *g)
{
    newt_options o = g->options;
    newt_conn *c = NULL;
    newt_db *db;
    int status;

    o.size = sizeof o;
    o.schema = g->s.schema;
    status = newt_db_open(&db, uri(), all_classes, &o);
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

/* A new follower, and every row is old. */
static int
follow(ground *g)
{
    newt_progress p = {.size = sizeof p};
    bool armed = memory.armed;
    int status;

    memory.armed = false;
    sql_do(g->s.pg, "DELETE FROM newt_follower");
    sql_do(g->s.pg, "UPDATE newt_projection SET serial = 0");
    memory.armed = armed;
    do
        status = newt_project(g->s.a, "follower", 1000, &p);
    while (status == NEWT_OK && p.transactions > 0);
    return status;
}

/* The whole store into another, which is as new each time. */
static int
copy(ground *g)
{
    static store to;
    bool armed = memory.armed;
    int status;

    memory.armed = false;
    if (strncmp(to.schema, "copied", 6) != 0)
        store_make(&to, "copied");
    sql_do(g->s.pg, "DELETE FROM %s.object_state WHERE zoid <> 1", to.schema);
    sql_do(g->s.pg, "DELETE FROM %s.newt_projection WHERE zoid <> 1", to.schema);
    sql_do(g->s.pg, "DELETE FROM %s.newt_follower", to.schema);
    to.db = store_db(&to, all_classes, g->options);
    to.a = connect_(to.db);
    memory.armed = armed;
    status = newt_copy(g->s.a, to.a, NULL);
    memory.armed = false;
    newt_close(to.a);
    newt_db_close(to.db);
    if (status == NEWT_OK)
        assert_sql(g->s.pg, "0",
                   "SELECT count(*) FROM object_state a FULL JOIN %s.object_state b USING (zoid) "
                   "WHERE a.state IS DISTINCT FROM b.state",
                   to.schema);
    return status;
}

/* An object more that is of an old class. */
static void
make_old(ground *g)
{
    json_t *state = json_pack("{s:s, s:[i, i]}", "text", "of the old class", "list", 1, 2);
    newt_conn *c = connect_(g->plain);
    newt_bag *b;

    begin(c);
    b = newt_bag_new(c, "Leaf");
    assert_true(b && state);
    ok(c, newt_bag_replace(b, state));
    commit(c);
    newt_close(c);
    json_decref(state);
}

static int
make_another(newt_conn *c, void *object, const newt_record *record, void *arg)
{
    json_t *list = newt_record_get(record, "list");
    struct item *made = list ? item_new(c) : NULL;

    (void)object, (void)arg;
    json_decref(list);
    if (list && !made)
        return status_of(c);
    return made ? newt_set(made, name, "made") : NEWT_OK;
}

static int
upgrade(ground *g)
{
    newt_upgrade u = {.size = sizeof u, .objects = 20, .work = make_another};
    bool armed = memory.armed;
    int status;

    memory.armed = false;
    make_old(g);
    fingerprint(g, g->before);
    memory.armed = armed;
    do
        status = newt_upgrade_all(g->s.a, &sheet_class, &u);
    while (status == NEWT_OK && !u.over);
    memory.armed = false;
    if (status == NEWT_OK)
        assert_sql(g->s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Leaf'");
    return status;
}

static int
counts(ground *g)
{
    newt_class_count *list;
    size_t n;
    int status = newt_class_counts(g->s.a, &list, &n);

    assert_true(status == NEWT_OK ? n >= 5 : list == NULL);
    free(list);
    return status;
}

/* ---- one allocation after the other
 * ------------------------------------------------------------------ */

typedef struct scenario {
    const char *name;
    int (*run)(ground *g);
    int wanted; /* its status with all memory */
    int flags;
} scenario;

enum {
    PARTS = 1,    /* several transactions: what the first has done stays */
    UNMERGED = 2, /* without memory for merging it is a conflict */
    BRIEF = 4     /* with other options not only in a soak */
};

static const scenario scenarios[] = {
    {"load", load_all, NEWT_OK, 0},
    {"change", change, NEWT_OK, BRIEF},
    {"abort", change_and_abort, NEWT_OK, 0},
    {"savepoints", save_and_roll_back, NEWT_OK, BRIEF},
    {"new, removed", make_and_remove, NEWT_OK, PARTS},
    {"merged conflict", merge, NEWT_OK, UNMERGED},
    {"conflict", conflict, NEWT_ECONFLICT, 0},
    {"turns", transact, NEWT_OK, 0},
    {"query", query, NEWT_OK, 0},
    {"walk", walk, NEWT_OK, 0},
    {"open", open_another, NEWT_OK, 0},
    {"follow", follow, NEWT_OK, PARTS},
    {"copy", copy, NEWT_OK, 0},
    {"upgrade", upgrade, NEWT_OK, PARTS},
    {"counts", counts, NEWT_OK, 0},
};

/* The cache says what the store says, the connection reads and writes. */
static void
assert_usable(ground *g, const char *where)
{
    newt_conn *c = g->s.a;
    const struct page *p;
    char seen[ITEMS * 21] = "";
    size_t n = 0;

    if (newt_begin(c) != NEWT_OK)
        fail_msg("%s: cannot begin: %s", where, newt_error_message(newt_conn_error(c)));
    for (int i = 0; i < ITEMS; i++)
        n += (size_t)snprintf(seen + n, sizeof seen - n, "%s%lld", i ? "," : "",
                              (long long)read_n(c, g->items[i]));
    assert_sql(g->s.pg, seen,
               "SELECT string_agg(state->>'n', ',' ORDER BY zoid) FROM newt WHERE "
               "state->>'name' = 'item'");
    p = page_read(c, g->page);
    assert_non_null(p);
    assert_sql(g->s.pg, "t",
               "SELECT (state->>'views')::bigint = %lld AND state->>'title' = '%s' AND "
               "coalesce(jsonb_array_length(state->'tags'), 0) = %d FROM newt WHERE zoid = %lld",
               (long long)p->views, p->title.s, (int)p->tags.n, (long long)g->page.any.oid);
    assert_sql(g->s.pg, "t", "SELECT (state->>'value')::bigint = %lld FROM newt WHERE zoid = %lld",
               (long long)newt_length_read(c, g->length)->value, (long long)g->length.any.oid);
    write_n(c, g->items[1], read_n(c, g->items[1]) + 1);
    commit(c);
}

/* As of a new connection, so that it needs memory again. */
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
run_one(ground *g, const scenario *x, bool all)
{
    char where[100], after[64];
    int status;

    for (long at = 1 + (long)(seed % (unsigned)stride);; at += stride) {
        snprintf(where, sizeof where, "%s, allocation %ld%s", x->name, at, all ? " and on" : "");
        g->step++;
        forget_all(g->s.a);
        fingerprint(g, g->before);
        memory.calls = 0;
        memory.at = at;
        memory.all = all;
        memory.armed = true;
        status = x->run(g);
        memory.armed = false;
        if (memory.calls < at) {
            if (status != x->wanted)
                fail_msg("%s: %s \"%s\"", where, newt_status_text(status),
                         newt_error_message(newt_conn_error(g->s.a)));
            print_message("# %s%s: %ld allocations\n", x->name, all ? ", and on" : "",
                          memory.calls);
            assert_true(memory.calls > 0);
            return;
        }
        if (status != x->wanted && status != NEWT_ENOMEM && status != NEWT_ELOST &&
            !((x->flags & UNMERGED) && status == NEWT_ECONFLICT))
            fail_msg("%s: %s \"%s\" %s", where, newt_status_text(status),
                     newt_error_message(newt_conn_error(g->s.a)),
                     newt_error_detail(newt_conn_error(g->s.a)));
        fingerprint(g, after);
        if (status != NEWT_OK && !(x->flags & PARTS) && strcmp(g->before, after) != 0)
            fail_msg("%s: %s, but the store was changed", where, newt_status_text(status));
        assert_usable(g, where);
        assert_true(at < 100000);
    }
}

static void
each_allocation(const char *name, bool all, newt_options o)
{
    bool soak = getenv("NEWT_SOAK") != NULL;
    ground g;

    ground_open(&g, name, o);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (all || soak || scenarios[i].flags & BRIEF)
            run_one(&g, &scenarios[i], false);
        if (soak)
            run_one(&g, &scenarios[i], true);
    }
    assert_sql(g.s.pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE p.serial IS DISTINCT FROM o.serial");
    newt_db_close(g.plain);
    store_close(&g.s);
}

static void
test_server_projects(void **state)
{
    (void)state;
    each_allocation("server", true, (newt_options){.projector = NEWT_PROJECT_SERVER});
}

static void
test_client_projects(void **state)
{
    (void)state;
    each_allocation("client", false, (newt_options){.projector = NEWT_PROJECT_CLIENT});
}

/* A cache for few objects: changed ones go through the file. */
static void
test_small_cache(void **state)
{
    (void)state;
    each_allocation("small", false, (newt_options){.cache_objects = 4});
}

static void
test_debug(void **state)
{
    (void)state;
    each_allocation("debug", false, (newt_options){.debug = true});
}

static void
test_pooling(void **state)
{
    (void)state;
    each_allocation("pooling", false, (newt_options){.transaction_pooling = true});
}

int
main(void)
{
    static const struct CMUnitTest allocations[] = {
        cmocka_unit_test(test_server_projects), cmocka_unit_test(test_client_projects),
        cmocka_unit_test(test_small_cache),     cmocka_unit_test(test_debug),
        cmocka_unit_test(test_pooling),
    };

    if (!getenv("NEWT_SOAK")) {
        const char *given = getenv("NEWT_SEED");

        seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) % 1000;
#ifdef __SANITIZE_ADDRESS__
        stride = 10; /* its server makes connections slowly */
#else
        stride = 4;
#endif
        printf("# NEWT_SEED=%llu\n", (unsigned long long)seed);
    }
    json_set_alloc_funcs(__wrap_malloc, free);
    use_database(true);
    return run_all(allocations);
}
