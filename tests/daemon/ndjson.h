/*
 * ndjson.h - the sink ndjson by itself, over a feed that the test makes up
 *
 * Comes before any other header.
 */
#ifndef NEWT_TESTS_NDJSON_H
#define NEWT_TESTS_NDJSON_H

#define _GNU_SOURCE
#include "daemon.h"

#include "../generate.h"

#include <jansson.h>
#include <sys/mman.h>

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

static void
open_store(void)
{
    store = mmap(NULL, sizeof *store, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

#endif
