/*
 * failures.c - memory that ends, work that is interrupted, sinks that stop, callbacks that longjmp
 */
#include "check.h"
#include "../generate.h"
#include "../recorder.h"

/* ---- memory ------------------------------------------------------------------------------------
 */

/* Each piece of work gives what the codec said. */
typedef newt__code work(const newt__env *env, bytes record);

static newt__code
write_record(const newt__env *env, bytes record)
{
    newt__writer w = {.buf.env = env};
    generate g;
    newt__code code;
    (void)record;
    generate_init(&g, 7);
    g.max_depth = 40;
    g.max_items = 400;
    code = generate_record(&g, &w, NULL);
    if (code == NEWT__NOMEM) {
        assert_int_equal(w.fault.code, NEWT__NOMEM);
        newt__write_null(&w); /* the failure sticks */
        assert_int_equal(newt__write_end(&w), NEWT__NOMEM);
    }
    newt__writer_free(&w);
    return code;
}

static newt__code
rewrite(const newt__env *env, bytes record)
{
    newt__writer w = {.buf.env = env};
    newt__fault fault = {0};
    newt__code code = reencode_record(env, record.p, record.n, &w, &fault);
    if (code == NEWT__OK)
        assert_bytes(w.buf.data, w.buf.n, record.p, record.n, "record");
    newt__writer_free(&w);
    return code;
}

static newt__code
write_item(const newt__env *env, bytes record)
{
    newt__writer w = {.buf.env = env};
    newt__reader r;
    newt__code code;
    newt__read_begin(&r, env, record.p, record.n);
    newt__write_begin(&w, "T", 1, 1);
    newt__write_encoded(&w, record.p + r.at, record.n - r.at);
    code = newt__write_end(&w);
    newt__writer_free(&w);
    return code;
}

static newt__code
validate(const newt__env *env, bytes record)
{
    return newt__validate(env, record.p, record.n, NULL);
}

static newt__code
project_text(const newt__env *env, bytes record)
{
    newt__buffer out = {.env = env};
    newt__fault fault = {0};
    bool hidden;
    newt__code code = newt__project_text(env, record.p, record.n, &out, &hidden, &fault);
    assert_int_equal(code, fault.code);
    if (code != NEWT__OK)
        assert_int_equal(out.n, 0);
    newt__buffer_free(&out);
    return code;
}

static newt__code
project_small(const newt__env *env, bytes record)
{
    newt__env small = *env;
    small.max_json = record.n / 2;
    return project_text(&small, record);
}

static newt__code
project_events(const newt__env *env, bytes record)
{
    static recorder rec;
    newt__sink sink;
    newt__fault fault = {0};
    bool hidden;
    newt__code code;
    recorder_begin(&rec, &sink, record.p, record.n);
    code = newt__project(env, record.p, record.n, &sink, &hidden, &fault);
    assert_null(rec.broken);
    assert_int_equal(code, fault.code);
    recorder_free(&rec);
    return code;
}

static newt__code
numbers(const newt__env *env, bytes record)
{
    static const char *const texts[] = {"-12.50", "123456789012345678901234567890", "1E+999999"};
    newt__buffer magnitude = {.env = env}, out = {.env = env};
    newt__code code = NEWT__OK;
    (void)record;
    for (size_t i = 0; i < LENGTH(texts) && code == NEWT__OK; i++) {
        newt__number x;
        bool positional;
        code = newt__number_parse(texts[i], strlen(texts[i]), &magnitude, &x);
        if (code == NEWT__OK)
            code = newt__number_text(&out, &x, &positional);
    }
    newt__buffer_free(&magnitude);
    newt__buffer_free(&out);
    return code;
}

static newt__code
lossy_text(const newt__env *env, bytes record)
{
    newt__buffer out = {.env = env};
    bool ok = newt__utf8_lossy(&out, record.p, record.n) && newt__utf8_lossy(&out, "\xff", 1);
    newt__buffer_free(&out);
    return ok ? NEWT__OK : NEWT__NOMEM;
}

static work *const works[] = {write_record,  rewrite,        write_item, validate,  project_text,
                              project_small, project_events, numbers,    lossy_text};

/* A record that needs memory at every turn: lossy text, long numbers, escaped keys, a look ahead.
 */
static bytes
greedy_record(void)
{
    return record_of("a4 61 61 82 c2 58 c8 (c8 ff) c4821a000f423f01"
                     "61 62 d90103 a2 6100 01 81 6100 d99603 f6"
                     "63 3a3a 61 a1 61 00 d99602 43 61 ff 62"
                     "64 73 65 74 73 d90102 83 20 61 61 80");
}

static void
out_of_memory(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    bytes record = greedy_record();
    assert_lossless(&env, record.p, record.n, "record");
    for (size_t i = 0; i < LENGTH(works); i++) {
        for (int once = 0; once <= 1; once++) {
            long n = 0;
            newt__code code;
            do {
                memory_env(&m);
                m.fail_at = ++n;
                m.fail_once = once;
                code = works[i](&env, record);
                assert_true(code == NEWT__OK || code == NEWT__NOMEM);
                if (m.live != 0)
                    fail_msg("work %zu, failure %ld: %ld blocks are left", i, n, m.live);
                /* a call that failed may not be passed over in silence */
                if (m.calls >= n && code == NEWT__OK)
                    fail_msg("work %zu: failure %ld went unheard", i, n);
            } while (code == NEWT__NOMEM);
            assert_true(m.calls < n);
        }
    }
    free(record.p);
}

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

enum {
    TOKENS = 40000
};

static bytes
long_record(const char *open_hex)
{
    bytes record = record_of(open_hex); /* ends in the head of an array of 0x9c40 items */
    record.p = realloc(record.p, record.n + TOKENS);
    memset(record.p + record.n, 0xf6, TOKENS);
    record.n += TOKENS;
    return record;
}

static void
interrupted(void **state)
{
    (void)state;
    static work *const long_works[] = {rewrite,      write_item,    validate,
                                       project_text, project_small, project_events};
    static const char *const shapes[] = {
        "99 9c40", "81 99 9c40", "d99603 99 9c40", /* a hidden class is read to its end as well */
        "81 d99603 99 9c40", "d90103 a1 01 99 9c40"};
    memory m;
    newt__env env = memory_env(&m);
    for (size_t k = 0; k < LENGTH(shapes); k++) {
        bytes record = long_record(shapes[k]);
        for (size_t i = 0; i < LENGTH(long_works); i++) {
            newt__code code;
            long n = 0;
            memory_env(&m);
            assert_int_equal(long_works[i](&env, record), NEWT__OK);
            if (m.ticks < TOKENS / 4096)
                fail_msg("work %zu, shape %zu: asked %ld times", i, k, m.ticks);
            do {
                memory_env(&m);
                m.stop_at = ++n;
                code = long_works[i](&env, record);
                assert_true(code == NEWT__OK || code == NEWT__INTERRUPTED);
                assert_true(code == NEWT__OK || m.ticks == n); /* and it stops at once */
                assert_int_equal(m.live, 0);
            } while (code == NEWT__INTERRUPTED);
            assert_true(n > TOKENS / 4096);
        }
        free(record.p);
    }
    /* without the callback nothing stops */
    bytes record = long_record("99 9c40");
    env.interrupt = NULL;
    for (size_t i = 0; i < LENGTH(long_works); i++)
        assert_int_equal(long_works[i](&env, record), NEWT__OK);
    free(record.p);
}

static void
skip_is_interrupted(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    bytes record = long_record("81 99 9c40");
    newt__reader r;
    newt__token t;
    m.stop_at = 2;
    assert_int_equal(newt__read_begin(&r, &env, record.p, record.n), NEWT__OK);
    assert_int_equal(newt__read(&r, &t), NEWT__OK);
    assert_int_equal(newt__read_skip(&r, &t), NEWT__INTERRUPTED);
    assert_true(r.fault.offset <= record.n);
    assert_int_equal(newt__read(&r, &t), NEWT__INTERRUPTED);
    free(record.p);
}

/* ---- sinks
 * ----------------------------------------------------------------------------------------- */

static void
sink_stops(void **state)
{
    (void)state;
    static recorder rec;
    memory m;
    newt__env env = memory_env(&m);
    bytes record = greedy_record();
    newt__sink sink;
    newt__fault fault = {0};
    bool hidden;
    recorder_begin(&rec, &sink, record.p, record.n);
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
    long events = rec.events, rejects = rec.n_reject;
    assert_true(rejects >= 4);
    for (long n = 1; n <= events; n++) {
        recorder_begin(&rec, &sink, record.p, record.n);
        rec.stop_at = n;
        assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault),
                         NEWT__SINK);
        assert_int_equal(fault.code, NEWT__SINK);
        assert_true(fault.offset <= record.n);
        assert_int_equal(rec.events, n); /* nothing comes after */
        assert_null(rec.broken);
        assert_int_equal(m.live, 0);
    }
    for (long n = 1; n <= rejects; n++) {
        recorder_begin(&rec, &sink, record.p, record.n);
        rec.stop_at_reject = n;
        assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault),
                         NEWT__SINK);
        assert_int_equal(m.live, 0);
    }
    /* a sink may have no ear for rejects */
    recorder_begin(&rec, &sink, record.p, record.n);
    sink.reject = NULL;
    assert_int_equal(newt__project(&env, record.p, record.n, &sink, &hidden, &fault), NEWT__OK);
    recorder_end(&rec);
    assert_null(rec.broken);
    recorder_free(&rec);
    free(record.p);
    assert_int_equal(m.live, 0);
}

/* ---- longjmp
 * ---------------------------------------------------------------------------------------- */

/* An allocator that knows its blocks, as a memory context does. */
typedef struct arena {
    void *block[4096];
    size_t n;
    long calls, jump_at;
    jmp_buf out;
} arena;

static void
arena_call(arena *a)
{
    if (++a->calls == a->jump_at)
        longjmp(a->out, 1);
}

static void *
arena_realloc(void *arg, void *p, size_t n)
{
    arena *a = arg;
    arena_call(a);
    void *q = realloc(p, n ? n : 1);
    for (size_t i = 0; i < a->n; i++)
        if (p && a->block[i] == p) {
            a->block[i] = q;
            return q;
        }
    assert_true(a->n < LENGTH(a->block));
    a->block[a->n++] = q;
    return q;
}

static void
arena_free(void *arg, void *p)
{
    arena *a = arg;
    arena_call(a);
    for (size_t i = 0; i < a->n; i++)
        if (p && a->block[i] == p)
            a->block[i] = NULL;
    free(p);
}

static int
arena_interrupt(void *arg)
{
    arena_call(arg);
    return 0;
}

static int
arena_event(void *arg, const newt__json *e)
{
    (void)e;
    arena_call(arg);
    return 0;
}

static void
arena_restart(void *arg)
{
    arena_call(arg);
}

static int
arena_reject(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    (void)path;
    (void)n;
    (void)reason;
    arena_call(arg);
    return 0;
}

/* Out of each callback at each of its calls: what the allocator handed out is all there is to free,
 * and the sanitizer sees that. */
static void
longjmp_leaks_nothing(void **state)
{
    (void)state;
    static arena a;
    newt__env env = {arena_realloc, arena_free, arena_interrupt, &a, 0, 0, 0};
    bytes record = greedy_record();
    volatile long jump_at = 0;
    volatile bool done = false;
    while (!done) {
        memset(&a, 0, sizeof a);
        a.jump_at = ++jump_at;
        if (setjmp(a.out) == 0) {
            newt__sink sink = {arena_event, arena_restart, arena_reject, &a};
            newt__fault fault;
            bool hidden;
            newt__project(&env, record.p, record.n, &sink, &hidden, &fault);
            project_text(&env, record);
            write_record(&env, record);
            write_item(&env, record);
            done = true;
        }
        for (size_t i = 0; i < a.n; i++)
            free(a.block[i]);
    }
    assert_true(jump_at > 100);
    free(record.p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory),         cmocka_unit_test(interrupted),
        cmocka_unit_test(skip_is_interrupted),   cmocka_unit_test(sink_stops),
        cmocka_unit_test(longjmp_leaks_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
