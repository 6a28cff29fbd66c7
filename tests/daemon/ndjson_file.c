/*
 * ndjson_file.c - what the sink ndjson has in a file: lines, marks, ends that are torn anywhere
 *
 * NEWT_SEED replays what is random.
 */
#include "ndjson.h"

/* ---- lines ----------------------------------------------------------------------------- */

static void
test_lines(void **state)
{
    (void)state;
    newt_feed_transaction t = {.tid = 5,
                               .committed_us = 6,
                               .user = "a\"b",
                               .description = "c\n\x01",
                               .extension = "{\"k\": [1]}"};
    newt_event e = {.oid = -9223372036854775807 - 1, .tid = 9223372036854775807, .class_name = "K"};
    lines l = {0};
    lines_event(&l, &e);
    e = (newt_event){.oid = 2, .tid = 3, .class_name = "a\"\\\n", .serial = 4};
    lines_event(&l, &e);
    e.superseded = true;
    lines_event(&l, &e);
    e.kind = NEWT_EVENT_REMOVED;
    e.class_name = "";
    lines_event(&l, &e);
    lines_transaction(&l, &t);
    assert_false(l.failed);
    static const char expected[] =
        "{\"oid\":-9223372036854775808,\"tid\":9223372036854775807,\"op\":\"write\",\"class\":"
        "\"K\","
        "\"superseded\":true}\n"
        "{\"oid\":2,\"tid\":3,\"op\":\"write\",\"class\":\"a\\\"\\\\\\u000a\",\"serial\":4,"
        "\"state\":null}\n"
        "{\"oid\":2,\"tid\":3,\"op\":\"write\",\"class\":\"a\\\"\\\\\\u000a\",\"superseded\":true}"
        "\n"
        "{\"oid\":2,\"tid\":3,\"op\":\"remove\"}\n"
        "{\"newt\":1,\"type\":\"transaction\",\"tid\":5,\"committed_us\":6,\"user\":\"a\\\"b\","
        "\"description\":\"c\\u000a\\u0001\",\"extension\":{\"k\": [1]}}\n";
    assert_int_equal(l.n, sizeof expected - 1);
    assert_memory_equal(l.p, expected, l.n);
    lines_free(&l);
}

/* Marks are read as they were written, and nothing else is one. */
static void
test_marks(void **state)
{
    (void)state;
    static const mark marks[] = {
        {.kind = MARK_FILE, .token = "1:2\\\"", .schema = ",\"token\":\"no\"", .follower = "f\n"},
        {.kind = MARK_FILE, .copying = true, .up_to = 77, .schema = "s", .follower = "f"},
        {.kind = MARK_BATCH, .token = "abc", .tid = 12345678901234},
        {.kind = MARK_COPY_BEGIN, .copying = true, .up_to = 0},
        {.kind = MARK_COPY, .copying = true, .after = 5, .up_to = 9223372036854775807},
        {.kind = MARK_COPY_END, .token = "x"},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        lines l = {0};
        mark m;
        lines_mark(&l, &marks[i]);
        assert_true(mark_read(l.p, l.n - 1, &m));
        assert_int_equal(m.kind, marks[i].kind);
        assert_string_equal(m.token, marks[i].token);
        assert_int_equal(m.tid, marks[i].tid);
        assert_int_equal(m.copying, marks[i].copying);
        assert_int_equal(m.up_to, marks[i].up_to);
        assert_int_equal(m.after, marks[i].after);
        for (size_t n = 0; n < l.n - 1; n++)
            assert_false(mark_read(l.p, n, &m));
        lines_free(&l);
    }
}

/* The classes in a file's line, in whatever order they were named. */
static void
test_classes(void **state)
{
    (void)state;
    static const char *const none[] = {NULL}, *const two[] = {"b", "a\"],", NULL},
                             *const same[] = {"a\"],", "b", "b", NULL}, *const one[] = {"b", NULL},
                             *const three[] = {"b", "a\"],", "c", NULL};
    lines l = {0};
    mark m = {.kind = MARK_FILE, .schema = ",\"classes\":[", .follower = "f", .classes = two};
    lines_mark(&l, &m);
    static const char expected[] = "\"follower\":\"f\",\"classes\":[\"a\\\"],\",\"b\"]}\n";
    assert_memory_equal(l.p + l.n - (sizeof expected - 1), expected, sizeof expected - 1);
    assert_true(lines_same_classes(l.p, l.n, two));
    assert_true(lines_same_classes(l.p, l.n, same));
    assert_false(lines_same_classes(l.p, l.n, none));
    assert_false(lines_same_classes(l.p, l.n, one));
    assert_false(lines_same_classes(l.p, l.n, three));
    assert_true(mark_read(l.p, l.n - 1, &m));
    lines_free(&l);
    m = (mark){.kind = MARK_FILE, .schema = "s", .follower = "f", .classes = none};
    lines_mark(&l, &m);
    assert_true(lines_same_classes(l.p, l.n, none));
    assert_false(lines_same_classes(l.p, l.n, one));
    lines_free(&l);
}

/* ---- the end of a file ----------------------------------------------------------------- */

/* A file that ends anywhere: what is behind its last complete mark goes, and it goes on from there.
 */
static void
test_torn_anywhere(void **state)
{
    (void)state;
    run r;
    seen *s = calloc(1, sizeof *s);
    run_open(&r, path);
    assert_int_equal(run_on(&r, 8), SINK_OK);
    ndjson_sink.close(r.sink);
    int fd = open(path, O_RDWR);
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    stand then = *store;
    off_t step = getenv("NEWT_SOAK") ? 7 : 97;
    for (off_t n = size; n >= 0; n -= n == size ? 1 : step) { /* also without its last byte */
        assert_int_equal(ftruncate(fd, n), 0);
        *store = then;
        if (n < 4 * 1024) /* before a mark that has a token the store's word counts */
            store->committed = 0;
        run_open(&r, path);
        assert_int_equal(run_on(&r, BATCHES), SINK_OK);
        ndjson_sink.close(r.sink);
        memset(s, 0, sizeof *s);
        look_at(path, s);
        if (n == size || store->committed == BATCHES)
            assert_int_equal(s->torn, 0);
        if (n == size)
            assert_all_seen(s, true);
        assert_int_equal(pwrite(fd, text, (size_t)size, 0), size);
    }
    close(fd);
    free(text);
    free(s);
}

/* A mark whose line feed is missing is none: what was written after it would be on its line. */
static void
test_torn_mark(void **state)
{
    (void)state;
    run r;
    struct stat st;
    seen *s = calloc(1, sizeof *s);
    for (int batches = COPIES - 1; batches <= COPIES + 1; batches++) { /* each ends with a mark */
        *store = (stand){0};
        unlink(path);
        run_open(&r, path);
        assert_int_equal(run_on(&r, batches), SINK_OK);
        ndjson_sink.close(r.sink);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 1), 0);
        if (batches < COPIES) /* a copy goes on from the store's position */
            store->committed = batches - 1;
        run_open(&r, path);
        assert_int_equal(run_on(&r, BATCHES), SINK_OK);
        ndjson_sink.close(r.sink);
        memset(s, 0, sizeof *s);
        look_at(path, s);
        assert_int_equal(s->torn, 0);
        assert_all_seen(s, false);
    }
    free(s);
}

/* Lines that are longer than what is read at a time, and marks on the edges. */
static void
test_long_lines(void **state)
{
    (void)state;
    generate g;
    generate_init(&g, generate_seed());
    for (int k = 0; k < 60; k++) {
        lines l = {0};
        size_t begin = 0, end = 0;
        bool marked = generate_below(&g, 8) > 0;
        for (int part = 0; part < 3; part++) {
            size_t n = generate_below(&g, 2 * BLOCK) + (k % 3 ? 0 : BLOCK - 40);
            char *fill = malloc(n + 1);
            memset(fill, 'x', n);
            newt_event e = {
                .oid = 1, .tid = 1, .class_name = "C", .serial = 1, .json = fill, .json_n = n};
            lines_event(&l, &e);
            free(fill);
            if (part == 1 && marked) {
                begin = l.n;
                lines_mark(&l, &(mark){.kind = MARK_BATCH, .token = "here"});
                end = l.n;
            }
        }
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, l.p, l.n), (ssize_t)l.n);
        mark m;
        off_t from = -1, to = -1;
        assert_int_equal(tail_last(fd, (off_t)l.n, &m, &from, &to), marked);
        if (marked) {
            assert_int_equal(from, begin);
            assert_int_equal(to, end);
            assert_string_equal(m.token, "here");
        }
        close(fd);
        lines_free(&l);
    }
}

static void
test_other_files(void **state)
{
    (void)state;
    run r, second;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "precious\n", 9), 9);
    close(fd);
    run_open(&r, path);
    assert_int_equal(run_on(&r, 1), SINK_END);
    assert_non_null(strstr(r.sink->trouble.message, "not written by newt-updater"));
    unlink(path);
    assert_int_equal(run_on(&r, 1), SINK_OK);
    run_open(&second, path);
    assert_int_equal(run_on(&second, 1), SINK_TAKEN);
    ndjson_sink.close(r.sink);
    assert_int_equal(run_on(&second, BATCHES), SINK_OK);
    ndjson_sink.close(second.sink);
    seen *s = calloc(1, sizeof *s);
    look_at(path, s);
    assert_all_seen(s, true);
    assert_int_equal(s->copy_begins, 1);
    assert_int_equal(s->copies, COPIES);
    assert_int_equal(s->copy_ends, 1);
    free(s);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        ALONE(test_lines),       ALONE(test_marks),         ALONE(test_classes),
        ALONE(test_long_lines),  ALONE(test_torn_anywhere), ALONE(test_torn_mark),
        ALONE(test_other_files),
    };
    open_store();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ndjson_file", tests, NULL, NULL);
}
