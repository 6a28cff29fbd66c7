/*
 * newt_steps.c - savepoints, and a store that is copied from a file into a server
 *
 *     newt_steps savepoints SCHEMA N    how the time of one grows with the cache: in memory
 *     newt_steps copy SCHEMA N          N Tasks from a file into SCHEMA, a new store; the limit is
 * the same Tasks made there, in transactions of 1,000
 */
#include "newt_task.h"

#include <stdlib.h>
#include <unistd.h>

static task_ref *tasks; /* the last ones that were made */

static void
make(int64_t n)
{
    newt_conn *c = dial();
    task_ref last = {{0}};
    tasks = allocate((size_t)n, sizeof *tasks);
    for (int64_t i = 0; i < n;) {
        begin(c);
        for (int k = 0; k < PER_BULK && i < n; k++) {
            struct task *t = new_task(c, i, last);
            tasks[i++] = last = task_id(t);
            task_done(t);
        }
        commit(c);
    }
    newt_close(c);
}

/* ---- savepoints ------------------------------------------------------------------------------ */

/* Microseconds of a savepoint after 10 changes, by the number of objects in the cache. */
static double
savepoint(int64_t cached)
{
    enum {
        SAVEPOINTS = 2000,
        CHANGED = 10
    };
    newt_conn *c = dial();
    double took = 0;
    for (int round = 0; round < SAVEPOINTS / 20; round++) {
        int64_t point;
        begin(c);
        check(c, newt_prefetch(c, &tasks->any, (size_t)cached) == NEWT_OK, "prefetch");
        for (int k = 0; k < 20; k++) {
            for (int64_t i = 0; i < CHANGED; i++)
                change(c, tasks[i * STEP % cached], i, round * 20 + k + 1);
            double start = now();
            check(c, newt_savepoint(c, &point) == NEWT_OK, "savepoint");
            took += now() - start;
        }
        check(c, newt_rollback_to(c, point) == NEWT_OK, "rollback");
        newt_abort(c);
    }
    newt_close(c);
    return took / SAVEPOINTS * 1e6;
}

static void
savepoints(int64_t n)
{
    uri = "memory:steps";
    open_store(schema, NULL);
    make(100000);
    newt_db *first = db; /* the store ends with the last of its databases */
    (void)n;
    open_store(schema, NULL);
    double few = savepoint(1000), many = savepoint(100000);
    report("savepoint", few, "us");
    report("savepoint_growth", many / few, "times");
    newt_db_close(db);
    newt_db_close(first);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void
copy(int64_t n)
{
    char file[] = "/tmp/newt_bench_XXXXXX", from[100];
    check(NULL, mkdtemp(file) != NULL, "a directory");
    snprintf(from, sizeof from, "sqlite:%s/steps.newt", file);
    check(NULL, newt_store_create(from, NULL, NULL) == NEWT_OK, "create");
    uri = from;
    open_store(NULL, NULL);
    newt_db *there = db;
    make(n);
    newt_conn *a = dial();
    uri = NULL;
    open_store(schema, NULL);
    newt_conn *b = dial();
    double start = now();
    check(a, newt_copy(a, b, NULL) == NEWT_OK, "copy");
    report("copy", (double)n / (now() - start), "objects/s");
    start = now();
    make(n);
    printf("limit:");
    report("copy", (double)n / (now() - start), "objects/s");
    newt_close(a);
    newt_close(b);
    newt_db_close(there);
    newt_db_close(db);
    unlink(from + strlen("sqlite:"));
    rmdir(file);
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        give_up("usage", "newt_steps savepoints|copy SCHEMA N");
    schema = argv[2];
    cache_bytes = SIZE_MAX;
    (strcmp(argv[1], "copy") == 0 ? copy : savepoints)(atoll(argv[3]));
    free(tasks);
    return 0;
}
