/*
 * crowd.h - a store and many processes that work in it
 */
#ifndef NEWT_TESTS_CROWD_H
#define NEWT_TESTS_CROWD_H

#include "concurrency.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

enum {
    MOST = 32
};

UNUSED static newt_transact_options patient = {.size = sizeof patient, .attempts = 1000000};

/* Reports of the processes, each in a file of its own, end in a table of the server. */
typedef struct crowd {
    store s;
    char notes[64];
    uint64_t seed;
    pid_t pids[MOST];
    int n, lives;
    item_ref items[64];
    volatile int64_t *progress; /* shared by all: what each has done */
} crowd;

UNUSED static void
crowd_open(crowd *w, const char *name, bool extension)
{
    *w = (crowd){.seed = take_seed()};
    use_database(extension);
    store_open(&w->s, name);
    strcpy(w->notes, "/tmp/newt_crowd_XXXXXX");
    assert_non_null(mkdtemp(w->notes));
    w->progress = mmap(NULL, MOST * sizeof *w->progress, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w->progress != MAP_FAILED);
}

UNUSED static void
make_items(crowd *w, int n, int64_t value)
{
    begin(w->s.a);
    for (int i = 0; i < n; i++)
        w->items[i] = item_id(new_item(w->s.a, "item", value));
    commit(w->s.a);
}

typedef void crowd_work(const crowd *w, int me, int file, chance *random);

UNUSED static void
start_one(crowd *w, crowd_work *run, int me)
{
    pid_t pid = fork_child();

    if (pid == 0) {
        chance random = {w->seed ^ (uint64_t)++w->lives << 32};
        char path[128];
        int file;

        snprintf(path, sizeof path, "%s/%d", w->notes, me);
        file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (file < 0)
            child_fails("%s: %s", path, strerror(errno));
        run(w, me, file, &random);
        _exit(0);
    }
    w->lives++;
    w->pids[me] = pid;
}

UNUSED static void
start(crowd *w, crowd_work *run, int n)
{
    assert_true(w->n + n <= MOST);
    for (int i = 0; i < n; i++)
        start_one(w, run, w->n++);
}

UNUSED static void
kill_one(crowd *w, int me)
{
    int status;

    kill(w->pids[me], SIGKILL);
    assert_int_equal(waitpid(w->pids[me], &status, 0), w->pids[me]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* and of nothing else */
}

UNUSED static void
wait_for_all(crowd *w)
{
    for (int i = 0; i < w->n; i++) {
        int status;

        assert_int_equal(waitpid(w->pids[i], &status, 0), w->pids[i]);
        assert_int_equal(status, 0);
    }
}

/* The lines of all files into a table. */
UNUSED static void
collect(crowd *w, const char *columns)
{
    PGresult *r;

    sql_do(w->s.pg, "CREATE TEMP TABLE note (%s)", columns);
    r = PQexec(w->s.pg, "COPY note FROM STDIN");
    assert_int_equal(PQresultStatus(r), PGRES_COPY_IN);
    PQclear(r);
    for (int i = 0; i < w->n; i++) {
        char path[128], block[8192];
        ssize_t n;
        int file;

        snprintf(path, sizeof path, "%s/%d", w->notes, i);
        file = open(path, O_RDONLY);
        assert_true(file >= 0);
        while ((n = read(file, block, sizeof block)) > 0)
            assert_int_equal(PQputCopyData(w->s.pg, block, (int)n), 1);
        close(file);
        unlink(path);
    }
    rmdir(w->notes);
    assert_int_equal(PQputCopyEnd(w->s.pg, NULL), 1);
    while ((r = PQgetResult(w->s.pg))) {
        assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
        PQclear(r);
    }
}

#endif
