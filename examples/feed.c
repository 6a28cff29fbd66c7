/*
 * feed.c - follows a store into a table of its own, exactly once
 *
 *     feed [FOLLOWER]
 *
 * A row for each object, whatever its class: when it was last changed, by whom, how often since
 * this program began to follow. The rows and the follower's position are committed together, so
 * that the program may be killed at any moment, and counts nothing twice.
 */
#include <newtdb.h>

#include <stdio.h>
#include <stdlib.h>

static void
fail(const newt_error *e)
{
    fprintf(stderr, "feed: %s\n", newt_error_message(e));
    if (*newt_error_hint(e))
        fprintf(stderr, "HINT:  %s\n", newt_error_hint(e));
}

/* What is known of objects that the copy has not named is out of date. */
static int
begin_copy(newt_feed *f, const newt_batch *b)
{
    int status = NEWT_OK;

    if (b->after == 0)
        status = newt_feed_exec(f,
                                "CREATE TABLE IF NOT EXISTS object_log (oid bigint PRIMARY KEY, "
                                "class text, changes bigint, last_user text)",
                                0, NULL);
    return status == NEWT_OK && b->after == 0 ? newt_feed_exec(f, "DELETE FROM object_log", 0, NULL)
                                              : status;
}

static int
apply(newt_feed *f, const newt_event *x, const char *user)
{
    char oid[24];
    const char *params[] = {oid, x->class_name, user};

    snprintf(oid, sizeof oid, "%lld", (long long)x->oid);
    if (x->kind == NEWT_EVENT_REMOVED)
        return newt_feed_exec(f, "DELETE FROM object_log WHERE oid = $1::bigint", 1, params);
    return newt_feed_exec(f,
                          "INSERT INTO object_log AS l VALUES ($1::bigint, $2, 1, $3) "
                          "ON CONFLICT (oid) DO UPDATE SET changes = l.changes + 1, "
                          "last_user = excluded.last_user",
                          3, params);
}

static int
apply_batch(newt_feed *f, const newt_batch *b)
{
    int status = b->copy ? begin_copy(f, b) : NEWT_OK;

    for (size_t i = 0; b->copy && i < b->n_events && status == NEWT_OK; i++)
        status = apply(f, &b->events[i], "copy");
    for (size_t t = 0; t < b->n_transactions; t++) {
        const newt_feed_transaction *x = &b->transactions[t];

        for (size_t i = 0; i < x->n_events && status == NEWT_OK; i++)
            status = apply(f, &b->events[x->first_event + i], x->user);
    }
    return status == NEWT_OK ? newt_feed_commit(f) : status;
}

int
main(int argc, char **argv)
{
    const newt_class *no_classes[] = {NULL}; /* objects are not loaded */
    newt_feed_options o = {.size = sizeof o,
                           .follower = argc > 1 ? argv[1] : "object_log",
                           .start = NEWT_FEED_COPY,
                           .kind = "table",
                           .until = -1}; /* up to now; a daemon would leave this out */
    const newt_batch *b;
    newt_db *db;
    newt_conn *c = NULL;
    newt_feed *f = NULL;
    int status = newt_db_open(&db, getenv("NEWT_URI"), no_classes, NULL);

    if (status == NEWT_OK)
        status = newt_connect(db, &c);
    if (status == NEWT_OK)
        status = newt_feed_open(c, &f, &o);
    while (status == NEWT_OK && !newt_feed_ended(f)) {
        status = newt_feed_next(f, 1000, &b);
        if (status == NEWT_OK && b)
            status = apply_batch(f, b);
    }
    if (status != NEWT_OK)
        fail(newt_last_error(db, c));
    else
        printf("object_log is complete up to %s\n", newt_feed_token(f));
    newt_feed_close(f);
    newt_close(c);
    newt_db_close(db);
    return status == NEWT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
