/*
 * walk.c - references in records, and walks along them: bounds at N and N + 1, cycles, fields,
 * damaged records, memory that ends; random graphs against a walk made the plain way
 */
#include "check.h"
#include "../generate.h"

/* ---- references ------------------------------------------------------------------------------ */

typedef struct oids {
    int64_t oid[32];
    size_t n, stop_at; /* 0: never */
} oids;

static int
found(void *arg, int64_t oid)
{
    oids *o = arg;
    assert_true(o->n < LENGTH(o->oid));
    o->oid[o->n++] = oid;
    return o->stop_at && o->n >= o->stop_at;
}

static void
assert_refs(const char *item, const char *fields, const char *want)
{
    memory m;
    newt__env env = memory_env(&m);
    bytes record = record_of(item);
    newt__name names[8];
    newt__fault fault;
    char got[256] = "";
    size_t n = 0;
    oids o = {0};
    for (const char *c = fields; *c; c += names[n++].n + 1)
        names[n] = (newt__name){c, strcspn(c, ",")};
    if (newt__refs(&env, record.p, record.n, names, n, found, &o, &fault) != NEWT__OK)
        fail_msg("%s: %s", item, fault.reason);
    for (size_t i = 0; i < o.n; i++)
        sprintf(got + strlen(got), "%s%lld", i ? " " : "", (long long)o.oid[i]);
    assert_string_equal(got, want);
    free(record.p);
}

#define REF(n) "d9 9601 " n " "

static void
test_refs(void **state)
{
    (void)state;
    assert_refs("a0", "", "");
    assert_refs(REF("05"), "", "5"); /* not a map: there are no fields */
    assert_refs(REF("05"), "a,", "");
    assert_refs("82" REF("05") REF("06"), "a,", "");
    assert_refs("a2 61 61" REF("05") "61 62" REF("06"), "", "5 6");
    assert_refs("a2 61 61" REF("05") "61 62" REF("06"), "a,", "5");
    assert_refs("a2 61 61" REF("05") "61 62" REF("06"), "b,", "6");
    assert_refs("a2 61 61" REF("05") "61 62" REF("06"), "c,,b,a,", "5 6");
    assert_refs("a2 60" REF("05") "61 62" REF("06"), ",", "5");
    /* what lies inside a field belongs to it, whatever it is called there */
    assert_refs("a2 61 61 82 a1 61 62" REF("05") REF("07") "61 62 81" REF("06"), "a,", "5 7");
    assert_refs("a2 61 61 82 a1 61 62" REF("05") REF("07") "61 62 81" REF("06"), "b,", "6");
    /* hidden; and a whole class that is */
    assert_refs("a1 61 61 d9 9603" REF("05"), "a,", "5");
    assert_refs("d9 9603 a1 61 61" REF("05"), "a,", "5");
    /* keys that are no text are no fields, and what they hold is in none */
    assert_refs("d9 0103 a2 01" REF("05") "61 61" REF("06"), "", "5 6");
    assert_refs("d9 0103 a2 01" REF("05") "61 61" REF("06"), "a,", "6");
    assert_refs("d9 0103 a2 61 61" REF("06") "81" REF("05") REF("07"), "a,", "6");
    assert_refs("d9 0103 a2 61 61" REF("06") "81" REF("05") REF("07"), "", "6 5 7");
    /* a reference into another store is none here */
    assert_refs("a1 61 61 d9 9601 82 01 02", "", "");
    /* nor is a weak one */
    assert_refs("a2 61 61 d9 9604 05 61 62" REF("06"), "", "6");
    assert_refs("a2 61 61 d9 9604 05 61 62" REF("06"), "a,", "");
}

static void
test_refs_stop(void **state)
{
    memory m;
    newt__env env = memory_env(&m);
    bytes record = record_of("83" REF("05") REF("06") REF("07"));
    newt__fault fault;
    oids o = {.stop_at = 2};
    (void)state;
    assert_int_equal(newt__refs(&env, record.p, record.n, NULL, 0, found, &o, &fault), NEWT__SINK);
    assert_int_equal(fault.code, NEWT__SINK);
    assert_int_equal(o.n, 2);
    free(record.p);
    record = record_of("83" REF("05") REF("06") "ff");
    o = (oids){0};
    assert_int_equal(newt__refs(&env, record.p, record.n, NULL, 0, found, &o, &fault),
                     NEWT__MALFORMED);
    assert_fault(&fault, NEWT__MALFORMED, SIZE_MAX, "", "damaged");
    assert_int_equal(newt__refs(&env, record.p, 0, NULL, 0, found, &o, NULL), NEWT__MALFORMED);
    free(record.p);
}

/* ---- walks over small graphs -------------------------------------------------------------------
 */

/* Object i + 1 refers to what stands here: oids separated by blanks, negative ones weakly, "!" at
 * the end: damaged; NULL: there is no such object. */
typedef struct graph {
    const char *const *refs;
    size_t n;
} graph;

static bytes
record_with(const newt__env *env, const char *refs)
{
    newt__writer w = {.buf.env = env};
    bytes b = {NULL, 0};
    char *end;
    newt__write_begin(&w, "T", 1, 1);
    newt__collect_array(&w);
    for (const char *c = refs; *c && *c != '!'; c = *end == ' ' ? end + 1 : end) {
        int64_t oid = strtoll(c, &end, 10);

        if (oid < 0)
            newt__write_weak(&w, -oid);
        else
            newt__write_ref(&w, oid);
    }
    newt__collected(&w);
    assert_int_equal(newt__write_end(&w), NEWT__OK);
    b.n = w.buf.n;
    b.p = malloc(b.n + 1);
    memcpy(b.p, w.buf.data, b.n);
    if (strchr(refs, '!'))
        b.p[b.n++] = 0; /* a byte too many, after all references */
    newt__writer_free(&w);
    return b;
}

/* The walk as text: "1|2 3|4", a bar between two levels; NULL: no memory. */
static char *
walked(const newt__env *env, const graph *g, newt__walk w, const char *roots)
{
    char *text = calloc(1, 65536), *end;
    memory plain;
    newt__env plain_env = memory_env(&plain);
    newt__code code = NEWT__OK;
    w.env = env;
    for (const char *c = roots; *c && code == NEWT__OK; c = *end == ' ' ? end + 1 : end)
        code = newt__walk_add(&w, strtoll(c, &end, 10));
    while (code == NEWT__OK && newt__walk_level(&w)) {
        for (size_t i = w.from; i < w.to && code == NEWT__OK; i++) {
            int64_t oid = w.queue[i];
            sprintf(text + strlen(text), "%s%lld",
                    !i            ? ""
                    : i == w.from ? "|"
                                  : " ",
                    (long long)oid);
            if (oid > (int64_t)g->n || !g->refs[oid - 1])
                continue;
            bytes b = record_with(&plain_env, g->refs[oid - 1]);
            code = newt__walk_record(&w, b.p, b.n);
            free(b.p);
        }
    }
    newt__walk_free(&w);
    if (code == NEWT__OK)
        return text;
    assert_int_equal(code, NEWT__NOMEM);
    free(text);
    return NULL;
}

static void
assert_walk(const graph *g, const char *roots, uint64_t depth, size_t objects, const char *want)
{
    memory m;
    newt__env env = memory_env(&m);
    newt__walk w = {.max_depth = depth, .max_objects = objects};
    char *got = walked(&env, g, w, roots);
    assert_string_equal(got, want);
    assert_int_equal(m.live, 0);
    free(got);
}

enum {
    MANY = 1000
};

static void
test_walks(void **state)
{
    static const char *const refs[] = {"3 -6 2 2", "4", "5 4", "-8 1", NULL, "7 8 9!", "", "2 7"};
    graph g = {refs, LENGTH(refs)};
    (void)state;
    /* a cycle, an object that is missing, and one that two refer to */
    assert_walk(&g, "1", MANY, MANY, "1|2 3|4 5");
    assert_walk(&g, "4", MANY, MANY, "4|1|2 3|5");
    assert_walk(&g, "", MANY, MANY, "");
    assert_walk(&g, "0 -1 1 1", MANY, MANY, "1|2 3|4 5");
    assert_walk(&g, "8 7 1", MANY, MANY, "1 7 8|2 3|4 5");
    assert_walk(&g, "99", MANY, MANY, "99");
    /* damaged: as if it referred to nothing, also what was in the way of its references stays */
    assert_walk(&g, "6 1", MANY, MANY, "1 6|2 3|4 5");
    assert_walk(&g, "6 7", MANY, MANY, "6 7");
    /* depth */
    assert_walk(&g, "1", 0, MANY, "1");
    assert_walk(&g, "1", 1, MANY, "1|2 3");
    assert_walk(&g, "1", 2, MANY, "1|2 3|4 5");
    assert_walk(&g, "1", 3, MANY, "1|2 3|4 5");
    /* objects: of a level those that are referred to first, missing ones too */
    assert_walk(&g, "1", MANY, 1, "1");
    assert_walk(&g, "1", MANY, 2, "1|3");
    assert_walk(&g, "1", MANY, 3, "1|2 3");
    assert_walk(&g, "1", MANY, 4, "1|2 3|4");
    assert_walk(&g, "1", MANY, 5, "1|2 3|4 5");
    assert_walk(&g, "1", MANY, 6, "1|2 3|4 5");
    assert_walk(&g, "8 7 1", MANY, 2, "7 8");
}

/* ---- random graphs -----------------------------------------------------------------------------
 */

enum {
    NODES = 300
};

/* The same without any of its tricks. */
static void
plainly(const graph *g, int64_t root, uint64_t depth, size_t objects, char *out)
{
    int64_t queue[NODES], *level = queue;
    bool seen[NODES + 1] = {false};
    size_t n = 0, to = 0;
    *out = 0;
    queue[n++] = root;
    seen[root] = true;
    for (uint64_t d = 0; to < n; d++) {
        size_t from = to;
        to = n;
        level = queue + from;
        for (size_t i = 0; i < to - from; i++)
            for (size_t k = i + 1; k < to - from; k++)
                if (level[k] < level[i]) {
                    int64_t swap = level[i];
                    level[i] = level[k];
                    level[k] = swap;
                }
        for (size_t i = from; i < to; i++) {
            const char *refs = g->refs[queue[i] - 1];
            char *end;
            sprintf(out + strlen(out), "%s%lld",
                    !i          ? ""
                    : i == from ? "|"
                                : " ",
                    (long long)queue[i]);
            if (!refs || strchr(refs, '!') || d >= depth)
                continue;
            for (const char *c = refs; *c; c = *end == ' ' ? end + 1 : end) {
                int64_t oid = strtoll(c, &end, 10);
                if (n < objects && !seen[oid]) {
                    seen[oid] = true;
                    queue[n++] = oid;
                }
            }
        }
    }
}

static void
test_random(void **state)
{
    static char want[65536];
    generate r;
    (void)state;
    generate_init(&r, generate_seed());
    for (int round = 0; round < 100; round++) {
        char *refs[NODES];
        graph g = {(const char *const *)refs, NODES};
        uint64_t degree = 1 + generate_below(&r, 8);
        for (int i = 0; i < NODES; i++) {
            refs[i] = NULL;
            if (generate_below(&r, 10) == 0)
                continue;
            refs[i] = calloc(1, 128);
            for (uint64_t k = generate_below(&r, degree + 1); k > 0; k--)
                sprintf(refs[i] + strlen(refs[i]), "%s%d", *refs[i] ? " " : "",
                        (int)(1 + generate_below(&r, NODES)));
            if (generate_below(&r, 10) == 0)
                strcat(refs[i], "!");
        }
        for (int walk = 0; walk < 10; walk++) {
            char root[16];
            uint64_t depth = generate_below(&r, 12);
            size_t objects = 1 + (size_t)generate_below(&r, NODES + 50);
            sprintf(root, "%d", (int)(1 + generate_below(&r, NODES)));
            plainly(&g, atoll(root), depth, objects, want);
            assert_walk(&g, root, depth, objects, want);
        }
        for (int i = 0; i < NODES; i++)
            free(refs[i]);
    }
}

/* ---- memory and interrupts ------------------------------------------------------------------- */

static void
test_memory(void **state)
{
    static char refs0[4096];
    const char *refs[] = {refs0, "1 500 501"};
    graph g = {refs, LENGTH(refs)};
    newt__walk w = {.max_depth = MANY, .max_objects = MANY};
    char *want, *got = NULL;
    memory m;
    newt__env env = memory_env(&m);
    (void)state;
    for (int i = 2; i < 300; i++)
        sprintf(refs0 + strlen(refs0), "%s%d", i > 2 ? " " : "", i);
    want = walked(&env, &g, w, "1");
    assert_int_equal(m.live, 0);
    for (long k = 1; !got; k++) {
        env = memory_env(&m);
        m.fail_at = k;
        assert_true(k < 100);
        got = walked(&env, &g, w, "1");
        assert_int_equal(m.live, 0);
    }
    assert_string_equal(got, want);
    free(got);
    free(want);
}

static void
test_interrupt(void **state)
{
    enum {
        REFS = 5000
    };
    memory m, plain;
    newt__env env = memory_env(&m), plain_env = memory_env(&plain);
    newt__walk w = {.env = &env, .max_depth = 1, .max_objects = 2 * REFS};
    char *refs = calloc(REFS, 8);
    bytes b;
    (void)state;
    for (int i = 0, at = 0; i < REFS; i++)
        at += sprintf(refs + at, "%s%d", i ? " " : "", i + 2);
    b = record_with(&plain_env, refs);
    assert_int_equal(newt__walk_add(&w, 1), NEWT__OK);
    assert_true(newt__walk_level(&w));
    m.stop_at = 1;
    assert_int_equal(newt__walk_record(&w, b.p, b.n), NEWT__INTERRUPTED);
    assert_int_equal(w.n, 1); /* none of it */
    m.stop_at = 0;
    assert_int_equal(newt__walk_record(&w, b.p, b.n), NEWT__OK);
    assert_int_equal(w.n, 1 + REFS);
    newt__walk_free(&w);
    free(b.p);
    free(refs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refs),   cmocka_unit_test(test_refs_stop),
        cmocka_unit_test(test_walks),  cmocka_unit_test(test_random),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_interrupt),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
