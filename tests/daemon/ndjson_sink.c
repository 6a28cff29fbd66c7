/*
 * ndjson_sink.c - the sink ndjson by itself, over a feed that this program makes up: lines, marks,
 * files that are torn anywhere, kills at every step, rotation, pipes that break, full disks
 *
 * NEWT_SEED replays what is random.
 */
#define _GNU_SOURCE
#include "daemon.h"

#include "../generate.h"

#include <jansson.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* The feed: what the sink asks of it. */
static const char *feed_token(const newt_feed *f);
static int feed_commit(newt_feed *f);
UNUSED static int sync_data(int fd);
#define newt_feed_token  feed_token
#define newt_feed_commit feed_commit
#define fdatasync        sync_data /* and of the kernel */

#include "../../updater/fault.c"
#include "../../updater/lines.c"
#include "../../updater/output.c"
#undef _GNU_SOURCE
#include "../../updater/tail.c"
#include "../../updater/sink_ndjson.c"

/* ---- a feed --------------------------------------------------------------------------- */

enum {
    COPIES = 3,   /* batches of the copy that it begins with */
    BATCHES = 30, /* all; of the others every third has two parts */
    EVENTS = 20
};

/* What a store would keep: shared with the children that are killed. */
typedef struct stand {
    int committed; /* batches that are behind the position */
    long commits;
} stand;

static stand *store;
static char token_text[32];

/* Batches with a token: the others are within a transaction, or a copy. */
static bool
complete(int batch)
{
    return batch >= COPIES && batch % 3 != 1;
}

static const char *
token_of(int batches)
{
    snprintf(token_text, sizeof token_text, "%d.t\"x", batches);
    return token_text;
}

static const char *
feed_token(const newt_feed *f)
{
    (void)f;
    return store->committed < COPIES ? NULL : token_of(store->committed);
}

static int at; /* the batch that was handed out last, from 1 */

static const char *watched; /* the file */
static off_t synced;        /* bytes of it that are durable */
static long early;          /* commits that came before that */
static bool sync_fails;     /* as on a disk that is broken */

static int
sync_data(int fd)
{
    struct stat st;
    if (sync_fails)
        return errno = EIO, -1;
    if (fstat(fd, &st) == 0)
        synced = st.st_size;
    return 0;
}

static int
feed_commit(newt_feed *f)
{
    struct stat st;
    (void)f;
    early += stat(watched, &st) == 0 && S_ISREG(st.st_mode) && st.st_size != synced;
    if (at <= COPIES || complete(at - 1))
        store->committed = at;
    store->commits++;
    return NEWT_OK;
}

static char json_text[] =
    "{\"name\": \"a \\\"quoted\\\" text\", \"n\": 1, \"tags\": [\"x\", \"y\"]}";

/* Batch number n, from 0. */
static newt_batch
batch_of(int n, newt_event *events, newt_feed_transaction *t)
{
    newt_batch b = {.events = events, .n_events = EVENTS, .copy = n < COPIES};
    static char token[32];
    for (int i = 0; i < EVENTS; i++)
        events[i] = (newt_event){.oid = b.copy ? n * EVENTS + i + 1 : i * 7 % 60 + 1,
                                 .tid = b.copy ? 0 : 1000 + n - (n % 3 == 2),
                                 .kind = !b.copy && i % 5 == 4 ? NEWT_EVENT_REMOVED
                                                               : NEWT_EVENT_WRITTEN,
                                 .class_name = i % 2 ? "Item" : "Quoted \"class\"",
                                 .serial = 5,
                                 .json = json_text,
                                 .json_n = sizeof json_text - 1};
    if (b.copy) {
        if (n == COPIES - 1)
            b.token = strcpy(token, token_of(n + 1));
        b.after = n * EVENTS;
        b.up_to = (n + 1) * EVENTS;
        return b;
    }
    *t = (newt_feed_transaction){.tid = events[0].tid,
                                 .description = n % 4 ? NULL : "described",
                                 .n_events = EVENTS,
                                 .begun = n % 3 == 2,
                                 .more = !complete(n)};
    b.transactions = t;
    b.n_transactions = 1;
    if (complete(n)) {
        strcpy(token, token_of(n + 1));
        b.token = token;
        b.tid = t->tid;
    }
    /* parts of a transaction have objects of their own */
    for (int i = 0; n % 3 == 2 && i < EVENTS; i++)
        events[i].oid += 1000;
    return b;
}

/* ---- the loop around a sink ------------------------------------------------------------ */

static settings
set_of(const char *path)
{
    settings set = {.schema = "public", .name = "f", .sink = "ndjson"};
    set.output[0] = path;
    return set;
}

typedef struct run {
    settings set;
    fault fault;
    sink *sink;
    int waits; /* times that it was in trouble */
} run;

/* Until all is committed, or so many batches more; a signal may end it. */
static sink_status
run_on(run *r, int batches)
{
    newt_event events[EVENTS];
    newt_feed_transaction t;
    newt_progress done = {.size = sizeof done};
    sink_source from = {.set = &r->set};
    sink_status status = SINK_BEGIN;
    for (at = -1; batches > 0;) {
        const char *token;
        if (status == SINK_BEGIN) {
            status = ndjson_sink.begin(r->sink, false, &token);
            if (status == SINK_WAIT) {
                status = SINK_BEGIN;
                pause_ms(1);
                continue;
            }
            if (status != SINK_OK)
                return status;
            at = token ? atoi(token) : store->committed;
        }
        if (at == BATCHES)
            return ndjson_sink.idle(r->sink, &from, &done);
        newt_batch b = batch_of(at++, events, &t);
        fault_at(&r->fault, FAULT_FETCH);
        while ((status = ndjson_sink.apply(r->sink, &from, &b, &done)) == SINK_WAIT)
            r->waits++;
        if (status == SINK_BEGIN)
            continue;
        fault_at(&r->fault, FAULT_APPLY);
        while (status == SINK_OK &&
               (status = ndjson_sink.commit(r->sink, &from, &b)) == SINK_WAIT) {
            r->waits++;
            status = SINK_OK;
        }
        if (status == SINK_BEGIN) /* a pipe has another reader */
            continue;
        if (status != SINK_OK)
            return status;
        fault_at(&r->fault, FAULT_COMMITTED);
        batches--;
    }
    return SINK_OK;
}

static void
run_open(run *r, const char *path)
{
    *r = (run){.set = set_of(path)};
    assert_true(fault_init(&r->fault));
    r->sink = ndjson_sink.open(&r->set, &r->fault);
    assert_non_null(r->sink);
}

/* ---- what is in a file ----------------------------------------------------------------- */

typedef struct seen {
    int of[2000][BATCHES]; /* oid, batch */
    int copy_begins, copies, copy_ends, marks, files, blank, torn;
} seen;

static void
look_at_line(const char *line, seen *s)
{
    json_error_t error;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!*line)
        s->blank++;
    if (!o && *line)
        s->torn++;
    if (!o)
        return;
    json_t *type = json_object_get(o, "type");
    if (json_object_get(o, "newt")) {
        const char *name = json_string_value(type);
        assert_non_null(name);
        s->marks++;
        s->files += strcmp(name, "file") == 0;
        s->copy_begins += strcmp(name, "copy-begin") == 0;
        s->copies += strcmp(name, "copy") == 0;
        s->copy_ends += strcmp(name, "copy-end") == 0;
    } else {
        long long oid = json_integer_value(json_object_get(o, "oid"));
        long long tid = json_integer_value(json_object_get(o, "tid"));
        int batch = tid ? (int)(tid - 1000) : (int)((oid - 1) / EVENTS);
        assert_true(oid > 0 && oid < 2000 && batch >= 0 && batch < BATCHES);
        s->of[oid][batch]++;
        if (strcmp(json_string_value(json_object_get(o, "op")), "write") == 0)
            assert_true(json_is_object(json_object_get(o, "state")));
        else
            assert_null(json_object_get(o, "state"));
    }
    json_decref(o);
}

static void
look_at(const char *path, seen *s)
{
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
        assert_int_equal(line[n - 1], '\n');
        line[n - 1] = 0;
        look_at_line(line, s);
    }
    free(line);
    fclose(f);
}

/* Every event is there, at least once, or exactly. */
static void
assert_all_seen(const seen *s, bool exactly)
{
    newt_event events[EVENTS];
    newt_feed_transaction t;
    for (int n = 0; n < BATCHES; n++) {
        batch_of(n, events, &t);
        for (int i = 0; i < EVENTS; i++) {
            int batch = events[i].tid ? (int)(events[i].tid - 1000) : n;
            int times = s->of[events[i].oid][batch];
            if (exactly ? times != 1 : times < 1)
                fail_msg("batch %d, object %lld: %d times", n, (long long)events[i].oid, times);
        }
    }
}

static char directory[64], path[96], other[96];

static int
make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/newt-ndjson.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/out", directory);
    snprintf(other, sizeof other, "%s/moved", directory);
    *store = (stand){0};
    watched = path;
    synced = early = 0;
    sync_fails = false;
    return 0;
}

static int
remove_directory(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(directory);
}

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

#define ALONE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        ALONE(test_lines),         ALONE(test_marks),
        ALONE(test_classes),       ALONE(test_long_lines),
        ALONE(test_torn_anywhere), ALONE(test_torn_mark),
        ALONE(test_other_files),   ALONE(test_killed_at_every_step),
        ALONE(test_rotation),      ALONE(test_fifo),
        ALONE(test_full_disk),     ALONE(test_durable),
        ALONE(test_speed),
    };
    store = mmap(NULL, sizeof *store, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ndjson_sink", tests, NULL, NULL);
}
