/*
 * sink.c - the updater's sink ndjson alone, on one core: batches that a store in memory has handed
 * over, to a file and to /dev/null
 *
 *     sink N FILE        N objects each
 */
#include "newt_task.h"

#include "../updater/sink.h"

enum {
    BATCH = 5000 /* as newt-updater asks for */
};

static void
make_tasks(newt_conn *c)
{
    for (int64_t i = 0; i < BATCH; i += PER_BULK) {
        task_ref last = {.any = {0}};
        begin(c);
        for (int64_t k = i; k < i + PER_BULK; k++) {
            struct task *t = new_task(c, k, last);
            last = task_id(t);
            task_done(t);
        }
        commit(c);
    }
}

/* The same batch again and again, with everything that belongs to it: put together, written, synced
 * if it is a file, and the position moved. */
static void
write_batches(newt_conn *c, newt_feed *feed, const newt_batch *b, int64_t n, const char *path,
              const char *name)
{
    settings set = {.schema = schema, .name = "newt-ndjson", .output = {path}};
    sink_source from = {.set = &set, .db = db, .c = c, .feed = feed};
    newt_progress done = {.size = sizeof done};
    fault none = {0};
    const char *token;
    sink *s = ndjson_sink.open(&set, &none);
    if (!s || ndjson_sink.begin(s, false, &token) != SINK_OK)
        give_up(path, s ? s->trouble.message : "out of memory");
    double start = now();
    for (int64_t i = 0; i < n; i += (int64_t)b->n_events) {
        sink_status status = ndjson_sink.apply(s, &from, b, &done);
        if (status == SINK_OK)
            status = ndjson_sink.commit(s, &from, b);
        if (status != SINK_OK)
            give_up(path, s->trouble.message);
    }
    report(name, (double)done.written / (now() - start), "objects/s");
    ndjson_sink.close(s);
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        give_up("usage", "sink N FILE");
    schema = "bench";
    uri = "memory:bench";
    open_store(schema, NULL);
    newt_conn *c = dial();
    newt_feed *feed;
    const newt_batch *b;
    newt_feed_options o = {.size = sizeof o,
                           .follower = "newt-ndjson",
                           .start = NEWT_FEED_NOW,
                           .want = ndjson_sink.want,
                           .batch_objects = BATCH};
    check(c, newt_feed_open(c, &feed, &o) == NEWT_OK, "feed");
    check(c, newt_feed_next(feed, 0, &b) == NEWT_OK, "feed"); /* from here on */
    make_tasks(c);
    check(c, newt_feed_next(feed, 0, &b) == NEWT_OK && b && b->n_events == BATCH, "batch");
    write_batches(c, feed, b, atoll(argv[1]), argv[2], "ndjson_file");
    write_batches(c, feed, b, atoll(argv[1]), "/dev/null", "ndjson_null");
    newt_feed_close(feed);
    newt_close(c);
    newt_db_close(db);
    return 0;
}
