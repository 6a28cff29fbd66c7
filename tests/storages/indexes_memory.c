/*
 * indexes_memory.c - every allocation fails, one after the other, while indexes are asked, put
 * right, filled and checked
 *
 * Whatever has failed: the transaction is as a whole or not at all, and the indexes have what the
 * objects say. The linker gives the library's malloc, calloc, realloc and strdup; leaks are found
 * by the sanitized build.
 */
#include "indexed.h"
#include "../failing_memory.h"

enum {
    THINGS = 12
};

typedef struct ground {
    store s; /* s.a is what fails */
    thing_ref refs[THINGS];
    int64_t round;
} ground;

/* A failure without an error of the connection's would be a hole. */
static int
failed(newt_conn *c)
{
    assert_int_not_equal(newt_status(c), NEWT_OK);
    return newt_status(c);
}

static int
change(ground *g, newt_conn *c, int i, const char *what)
{
    struct thing *t = thing_write(c, g->refs[i]);
    char code[40];

    if (!t)
        return failed(c);
    snprintf(code, sizeof code, "%s %d %lld", what, i, (long long)g->round);
    newt_set(t, code, code);
    t->due.days = (int32_t)(g->round % 7);
    thing_done(t);
    return NEWT_OK;
}

static int
ask(newt_conn *c, const char *what)
{
    thing_ref refs[THINGS];
    int64_t n = by_due_page(c, NULL, refs, THINGS);

    if (n >= 0)
        n = by_code_get(c, (by_code_key){.code = newt_str(what)}, NULL);
    return n < 0 ? failed(c) : NEWT_OK;
}

static int
write_all(ground *g, newt_conn *c)
{
    int64_t savepoint;
    struct thing *t;
    int status = newt_begin(c);

    for (int i = 0; i < THINGS / 2 && status == NEWT_OK; i++)
        status = change(g, c, i, "first");
    if (status == NEWT_OK)
        status = ask(c, "first 0 0");
    for (int i = 3; i < THINGS && status == NEWT_OK; i++)
        status = change(g, c, i, "second");
    if (status == NEWT_OK)
        status = newt_savepoint(c, &savepoint);
    if (status == NEWT_OK)
        status = change(g, c, 4, "third");
    if (status == NEWT_OK)
        status = ask(c, "third 4 0");
    if (status == NEWT_OK)
        status = newt_rollback_to(c, savepoint);
    if (status == NEWT_OK && !(t = thing_new(c)))
        status = failed(c);
    if (status == NEWT_OK) {
        t->due.days = 3;
        newt_set(t, code, "new");
        status = ask(c, "new");
    }
    if (status == NEWT_OK)
        status = newt_delete(c, thing_id(t).any);
    if (status == NEWT_OK)
        return newt_commit(c);
    newt_abort(c);
    return status;
}

/* All of it, with the at-th allocation failing; false: there are fewer. */
static bool
run_failing(ground *g, bool all)
{
    newt_index_building b = {.size = sizeof b, .rebuild = true};
    int64_t problems;
    int status;

    g->round++;
    memory.calls = 0;
    memory.all = all;
    memory.armed = true;
    status = write_all(g, g->s.a);
    while (status == NEWT_OK && !b.over)
        status = newt_index_build(g->s.a, &by_due_index, &b);
    if (status == NEWT_OK)
        status = newt_index_check(g->s.a, &by_code_index, true, NULL, NULL, &problems);
    memory.armed = false;
    if (status != NEWT_OK && status != NEWT_ENOMEM)
        fail_error("what failed", newt_conn_error(g->s.a));
    build(g->s.b, NULL);
    check_indexes(g->s.b);
    return memory.calls >= memory.at;
}

static void
test_memory(void **state)
{
    ground g = {.round = 0};

    (void)state;
    store_make(&g.s, "indexes");
    g.s.db = store_db(&g.s, things, (newt_options){0});
    g.s.a = connect_(g.s.db);
    g.s.b = connect_(g.s.db);
    build(g.s.b, NULL);
    begin(g.s.b);
    for (int i = 0; i < THINGS; i++) {
        char code[20];

        snprintf(code, sizeof code, "old %d", i);
        g.refs[i] = thing_id(make_thing(g.s.b, code));
    }
    commit(g.s.b);
    for (int all = 0; all < 2; all++)
        for (memory.at = 1; run_failing(&g, all); memory.at += on_memory() ? 1 : 37)
            ;
    print_message("# %ld allocations\n", memory.at);
    store_close(&g.s);
}

static const struct CMUnitTest indexes[] = {cmocka_unit_test(test_memory)};

int
main(void)
{
    return run_all(indexes);
}
