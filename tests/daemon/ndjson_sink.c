/*
 * ndjson_sink.c - the sink ndjson at work: kills at every step, rotation, pipes that break, full
 * disks, what is durable, how fast it is
 *
 * NEWT_SEED replays what is random.
 */
#include "ndjson.h"

#include <sys/resource.h>

/* ---- kills ----------------------------------------------------------------------------- */

/* A child that kills itself at a step; then others go on, until all is there. */
static void
run_child(const char *step, int n, int batches)
{
    char text[32];
    int status;
    snprintf(text, sizeof text, "%s:%d", step, n);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run r;
        setenv("NEWT_UPDATER_FAULT", step ? text : "", 1);
        run_open(&r, path);
        _exit(run_on(&r, batches) == SINK_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static void
test_killed_at_every_step(void **state)
{
    (void)state;
    static const char *const steps[] = {"fetch", "apply", "sync", "commit", "committed"};
    int most = getenv("NEWT_SOAK") ? 12 : 4;
    seen *s = calloc(1, sizeof *s);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int n = 1; n < most; n++) {
            *store = (stand){0};
            unlink(path);
            for (int rounds = 0; store->committed < BATCHES; rounds++) {
                run_child(steps[i], n, BATCHES);
                assert_true(rounds < 100 * BATCHES);
                if (rounds % 4 == 3) /* from the first step alone it would never come further */
                    run_child("committed", 3, BATCHES);
            }
            memset(s, 0, sizeof *s);
            look_at(path, s);
            assert_all_seen(s, true);
            assert_int_equal(s->torn, 0);
            assert_int_equal(s->copy_begins, 1);
        }
    free(s);
}

/* ---- rotation -------------------------------------------------------------------------- */

static void
test_rotation(void **state)
{
    (void)state;
    run r;
    seen *s = calloc(1, sizeof *s);
    int files = 0;
    char moved[112];
    run_open(&r, path);
    for (int k = 0; k < BATCHES; k += 4) {
        assert_int_equal(run_on(&r, 4), SINK_OK);
        snprintf(moved, sizeof moved, "%s.%d", path, files++);
        assert_int_equal(rename(path, moved), 0);
        if (k % 8 == 0) /* logrotate's "create" */
            close(open(path, O_WRONLY | O_CREAT, 0600));
    }
    assert_int_equal(run_on(&r, BATCHES), SINK_OK);
    ndjson_sink.close(r.sink);
    look_at(path, s);
    for (int i = 0; i < files; i++) {
        FILE *f;
        char line[4096];
        snprintf(moved, sizeof moved, "%s.%d", path, i);
        look_at(moved, s);
        f = fopen(moved, "r");
        assert_non_null(fgets(line, sizeof line, f));
        assert_non_null(strstr(line, "\"type\":\"file\""));
        fclose(f);
        unlink(moved);
    }
    /* a batch within a transaction was in front of a move: it is in both files */
    assert_all_seen(s, false);
    assert_int_equal(s->torn, 0);
    free(s);
}

/* ---- pipes ------------------------------------------------------------------------------ */

typedef struct pipe_reader {
    seen *seen;
    const ndjson *writer;
    generate random;
    atomic_bool stop;
    int times;
} pipe_reader;

/* Reads a FIFO, some bytes at a time, and goes away again and again. */
static void *
read_fifo(void *arg)
{
    pipe_reader *r = arg;
    while (!atomic_load(&r->stop)) {
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        char *text = malloc(1 << 22);
        size_t got = 0, most = generate_below(&r->random, 60000);
        while (got < most && !atomic_load(&r->stop)) {
            ssize_t n = read(fd, text + got, 1 + generate_below(&r->random, 9000));
            if (n > 0)
                got += (size_t)n;
            else
                pause_ms(1);
        }
        close(fd);
        /* a reader that came at once would get the rest of a line: the writer cannot know */
        while (!atomic_load(&r->stop) && *(const volatile int *)&r->writer->out.fd >= 0)
            pause_ms(1);
        text[got] = 0;
        for (char *line = text, *end; line && *line; line = end ? end + 1 : NULL) {
            end = strchr(line, '\n');
            if (end)
                *end = 0;
            if (end) /* a line that was cut is read again */
                look_at_line(line, r->seen);
        }
        free(text);
        r->times++;
    }
    return NULL;
}

static void
test_fifo(void **state)
{
    (void)state;
    run r;
    pthread_t thread;
    pipe_reader reader = {.seen = calloc(1, sizeof *reader.seen)};
    generate_init(&reader.random, generate_seed());
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(path, 0600), 0);
    run_open(&r, path);
    const char *token;
    assert_int_equal(ndjson_sink.begin(r.sink, false, &token), SINK_WAIT);
    assert_non_null(strstr(r.sink->trouble.message, "nobody reads"));
    reader.writer = (const ndjson *)r.sink;
    assert_int_equal(pthread_create(&thread, NULL, read_fifo, &reader), 0);
    assert_int_equal(run_on(&r, 100 * BATCHES), SINK_OK); /* some again */
    assert_int_equal(store->committed, BATCHES);
    atomic_store(&reader.stop, true);
    pthread_join(thread, NULL);
    ndjson_sink.close(r.sink);
    printf("# %d readers, %d waits\n", reader.times, r.waits);
    assert_all_seen(reader.seen, false);
    free(reader.seen);
}

/* ---- full disks -------------------------------------------------------------------------- */

static void
test_full_disk(void **state)
{
    (void)state;
    run r;
    struct rlimit before, little;
    newt_event events[EVENTS];
    newt_feed_transaction t;
    newt_progress done = {.size = sizeof done};
    const char *token;
    struct stat st;
    seen *s = calloc(1, sizeof *s);
    signal(SIGXFSZ, SIG_IGN);
    run_open(&r, path);
    sink_source from = {.set = &r.set};
    assert_int_equal(run_on(&r, 5), SINK_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = (rlim_t)st.st_size + 700;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    newt_batch b = batch_of(at++, events, &t);
    for (int i = 0; i < 3; i++) {
        sink_status status = SINK_OK;
        while (status == SINK_OK) /* a short write, then none */
            status = ndjson_sink.apply(r.sink, &from, &b, &done);
        assert_int_equal(status, SINK_WAIT);
        assert_non_null(strstr(r.sink->trouble.message, "File too large"));
        off_t size = st.st_size;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, size); /* nothing that is not complete */
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(ndjson_sink.apply(r.sink, &from, &b, &done), SINK_OK);
    assert_int_equal(ndjson_sink.commit(r.sink, &from, &b), SINK_OK);
    (void)token;
    assert_int_equal(run_on(&r, BATCHES), SINK_OK);
    ndjson_sink.close(r.sink);
    look_at(path, s);
    assert_all_seen(s, true);
    assert_int_equal(s->torn, 0);
    free(s);
}

/* ---- durability -------------------------------------------------------------------------- */

/* The position is moved when all of the file is durable; what could not be made so is written
 * again.
 */
static void
test_durable(void **state)
{
    (void)state;
    run r;
    newt_event events[EVENTS];
    newt_feed_transaction t;
    newt_progress done = {.size = sizeof done};
    struct stat before, after;
    seen *s = calloc(1, sizeof *s);
    run_open(&r, path);
    sink_source from = {.set = &r.set};
    assert_int_equal(run_on(&r, COPIES + 1), SINK_OK);
    newt_batch b;
    for (int n = COPIES + 1; n < 12; n++) {
        b = batch_of(at++, events, &t);
        assert_int_equal(ndjson_sink.apply(r.sink, &from, &b, &done), SINK_OK);
        assert_int_equal(ndjson_sink.commit(r.sink, &from, &b), SINK_OK);
        assert_int_equal(stat(path, &before), 0);
        assert_true(synced == before.st_size || !complete(n));
        assert_int_equal(early, 0);
    }
    b = batch_of(at++, events, &t);
    assert_non_null(b.token);
    sync_fails = true;
    for (int i = 0; i < 3; i++) {
        long commits = store->commits;
        assert_int_equal(ndjson_sink.apply(r.sink, &from, &b, &done), SINK_OK);
        assert_int_equal(ndjson_sink.commit(r.sink, &from, &b), SINK_WAIT);
        assert_non_null(strstr(r.sink->trouble.message, "Input/output error"));
        assert_int_equal(store->commits, commits);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
    }
    sync_fails = false;
    assert_int_equal(ndjson_sink.apply(r.sink, &from, &b, &done), SINK_OK);
    assert_int_equal(ndjson_sink.commit(r.sink, &from, &b), SINK_OK);
    assert_int_equal(run_on(&r, BATCHES), SINK_OK);
    ndjson_sink.close(r.sink);
    assert_int_equal(early, 0);
    look_at(path, s);
    assert_all_seen(s, true);
    free(s);
}

/* ---- how fast --------------------------------------------------------------------------- */

static void
test_speed(void **state)
{
    (void)state;
    enum {
        MANY = 1000,
        ROUNDS = 500
    };
    static newt_event events[MANY];
    newt_feed_transaction t = {.tid = 1, .n_events = MANY};
    newt_batch b = {.events = events,
                    .n_events = MANY,
                    .transactions = &t,
                    .n_transactions = 1,
                    .token = "12345.678",
                    .tid = 12345};
    newt_progress done = {.size = sizeof done};
    const char *token;
    run r;
    for (int i = 0; i < MANY; i++)
        events[i] = (newt_event){.oid = 1000000 + i,
                                 .tid = 1764000000000000 + i,
                                 .class_name = "tracker.Task",
                                 .serial = 123456 + i,
                                 .json = json_text,
                                 .json_n = sizeof json_text - 1};
    run_open(&r, path);
    sink_source from = {.set = &r.set};
    assert_int_equal(ndjson_sink.begin(r.sink, false, &token), SINK_OK);
    store->committed = BATCHES;
    struct timespec c0, c1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c0);
    double begun = now();
    for (int k = 0; k < ROUNDS; k++) {
        assert_int_equal(ndjson_sink.apply(r.sink, &from, &b, &done), SINK_OK);
        assert_int_equal(ndjson_sink.commit(r.sink, &from, &b), SINK_OK);
    }
    double seconds = now() - begun;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c1);
    double cpu = (double)(c1.tv_sec - c0.tv_sec) + (double)(c1.tv_nsec - c0.tv_nsec) * 1e-9;
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    printf("# %.0f objects/s of processor time, %.0f by the clock, %.0f MB/s\n",
           MANY * ROUNDS / cpu, MANY * ROUNDS / seconds, (double)st.st_size / seconds / 1e6);
    if (getenv("NEWT_SOAK"))
        assert_true(MANY * ROUNDS / cpu > 1e6);
    ndjson_sink.close(r.sink);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        ALONE(test_killed_at_every_step),
        ALONE(test_rotation),
        ALONE(test_fifo),
        ALONE(test_full_disk),
        ALONE(test_durable),
        ALONE(test_speed),
    };
    open_store();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ndjson_sink", tests, NULL, NULL);
}
