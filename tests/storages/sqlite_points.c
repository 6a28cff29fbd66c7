/*
 * sqlite_points.c - a store in SQLite whose process is killed, or whose disk fails, at every point
 *
 * SQLite lets its system calls be replaced. A child makes a store, commits some times and closes
 * it; at the N-th call that changes the disk it kills itself (before it, or in the middle of what
 * it writes), or the call fails, once or from then on. N goes from 1 to where the child comes to
 * its end. What was acknowledged is there then, what was said to have failed is not, and SQLite
 * finds no fault.
 */
#include "../concurrency/concurrency.h"
#include "../brief.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* ---- system calls -------------------------------------------------------------------------- */

typedef enum mode {
    KILLED,  /* instead of the call */
    TORN,    /* in the middle of what is written */
    FULL,    /* there is no room, just once */
    FULL_ON, /* ... from then on */
    FAILS,   /* an error of the disk, just once */
    FAILS_ON
} mode;

static struct {
    mode mode;
    long calls, at;
} disk;

/* Whether the call fails; errno says how. */
static bool
fails(void)
{
    bool now = ++disk.calls == disk.at, later = disk.at > 0 && disk.calls > disk.at;

    if (disk.mode == KILLED || disk.mode == TORN) {
        if (now)
            kill(getpid(), SIGKILL);
        return false;
    }
    errno = disk.mode == FULL || disk.mode == FULL_ON ? ENOSPC : EIO;
    return now || (later && (disk.mode == FULL_ON || disk.mode == FAILS_ON));
}

static ssize_t
write_at(int file, const void *bytes, size_t n, off_t at)
{
    if (disk.mode == TORN && disk.calls + 1 == disk.at && n > 1)
        (void)!pwrite(file, bytes, n / 2, at);
    return fails() ? -1 : pwrite(file, bytes, n, at);
}

static ssize_t
write_on(int file, const void *bytes, size_t n)
{
    return fails() ? -1 : write(file, bytes, n);
}

static int
cut(int file, off_t n)
{
    return fails() ? -1 : ftruncate(file, n);
}

static int
drop(const char *path)
{
    return fails() ? -1 : unlink(path);
}

static void
replace_calls(void)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        {"pwrite", (sqlite3_syscall_ptr)write_at}, {"pwrite64", (sqlite3_syscall_ptr)write_at},
        {"write", (sqlite3_syscall_ptr)write_on},  {"ftruncate", (sqlite3_syscall_ptr)cut},
        {"unlink", (sqlite3_syscall_ptr)drop},
    };
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        (void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call); /* not all are there */
}

/* ---- the child ------------------------------------------------------------------------------- */

enum {
    COMMITS = 4,
    TEXT = 30000
};

/* What has become of it, as far as it knows. */
typedef struct fate {
    int created, tried, committed, unknown; /* unknown: the last commit that is */
    bool over;
} fate;

/* The counter counts the commits, each of which leaves an object for the next to remove. */
static int
commit_one(newt_conn *c, int i)
{
    static char text[TEXT];
    newt_ref counter, last;
    struct item *x;
    int status = newt_begin(c);

    memset(text, 'x', sizeof text - 1);
    if (status != NEWT_OK)
        return status;
    counter = newt_root(c, "counter");
    last = newt_root(c, "last");
    x = counter.oid ? item_write(c, item_of(counter)) : item_new(c);
    if (x) {
        x->n = i;
        status = newt_set_root(c, "counter", item_id(x).any);
        x = item_new(c);
    }
    if (x) {
        newt_set(x, name, text);
        x->n = i;
        status = newt_set_root(c, "last", item_id(x).any);
    }
    if (last.oid && newt_status(c) == NEWT_OK)
        status = newt_delete(c, last);
    if (!x || status != NEWT_OK) {
        status = newt_status(c);
        newt_abort(c);
        return status;
    }
    return newt_commit(c);
}

static void
live(const char *uri, fate *f)
{
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int status = newt_store_create(uri, NULL, NULL), tries = 0;

    /* who has an error of the disk tries again */
    while (status != NEWT_OK && status != NEWT_ESTORE && tries++ < 3)
        status = newt_store_create(uri, NULL, NULL);
    f->created = status == NEWT_OK;
    if (newt_db_open(&db, uri, classes, NULL) == NEWT_OK && newt_connect(db, &c) == NEWT_OK) {
        f->created = 1;
        for (f->tried = 1; f->tried <= COMMITS; f->tried++) {
            status = commit_one(c, f->tried);
            if (status == NEWT_EUNKNOWN)
                f->unknown = f->tried;
            if (status != NEWT_OK)
                break;
            f->committed = f->tried;
        }
    }
    newt_close(c);
    newt_db_close(db);
    f->over = true;
}

/* ---- what is there then -------------------------------------------------------------------- */

static void
check(const char *path, const char *uri, const fate *f, bool killed)
{
    newt_db *db;
    newt_conn *c;
    newt_error *e;
    newt_ref counter, last;
    int n = 0, most = f->committed;
    int status = newt_db_open(&db, uri, classes, NULL);

    if (status != NEWT_OK) {
        if (f->created || status != NEWT_ESTORE)
            fail_error(path, newt_db_error(db));
        newt_db_close(db);
        if (newt_store_create(uri, NULL, &e) != NEWT_OK) /* as if there had been nothing */
            fail_error("newt_store_create", e);
        newt_error_free(e);
        return;
    }
    c = connect_(db);
    begin(c);
    counter = newt_root(c, "counter");
    last = newt_root(c, "last");
    if (counter.oid)
        n = (int)read_n(c, item_of(counter));
    if (killed || f->unknown)
        most++; /* the one that it was at */
    if (n < f->committed || n > most)
        fail_msg("%d commits are there, %d were acknowledged", n, f->committed);
    assert_int_equal(last.oid != 0, n > 0);
    if (last.oid) {
        const struct item *x = item_read(c, item_of(last));

        assert_non_null(x);
        assert_int_equal(x->n, n);
        assert_int_equal(x->name.n, TEXT - 1);
    }
    newt_abort(c);
    ok(c, commit_one(c, n + 1));
    newt_close(c);
    newt_db_close(db);
    assert_sound(path);
}

static void
remove_store(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char file[200];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        (void)unlink(file);
    }
}

/* False: the child was not hindered. */
static bool
hinder(mode how, long at, const char *path, const char *uri, fate *f)
{
    int status;
    pid_t pid;

    *f = (fate){0};
    remove_store(path);
    pid = fork_child();
    if (pid == 0) {
        disk.mode = how;
        disk.at = at;
        replace_calls();
        live(uri, f);
        _exit(disk.calls >= at ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_true(how == KILLED || how == TORN);
    }
    check(path, uri, f, WIFSIGNALED(status));
    return WIFSIGNALED(status) || WEXITSTATUS(status) == 1;
}

/* Some of the points, others each time; all of them in a soak. */
static void
hinder_all(mode how)
{
    char path[128], uri[200];
    fate *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    chance random = {take_seed()};
    int step = getenv("NEWT_SOAK") ? 1 : brief() ? 9 : 3, points = 0;

    assert_true(f != MAP_FAILED);
    snprintf(path, sizeof path, "%s/points-%d", files(), (int)how);
    snprintf(uri, sizeof uri, "sqlite:%s?synchronous=normal", path);
    for (long at = 1; hinder(how, at, path, uri, f); at += 1 + pick(&random, step))
        points++;
    assert_int_equal(f->committed, COMMITS); /* at the end nothing is in the way */
    print_message("# %d points\n", points);
    assert_true(points > 20);
    munmap(f, sizeof *f);
}

#define POINTS(name, how)                                                                          \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        needs_storage("sqlite");                                                                   \
        hinder_all(how);                                                                           \
    }
POINTS(killed, KILLED)
POINTS(torn, TORN)
POINTS(full_once, FULL)
POINTS(full, FULL_ON)
POINTS(fails_once, FAILS)
POINTS(fails, FAILS_ON)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_killed),     cmocka_unit_test(test_torn),
    cmocka_unit_test(test_full_once),  cmocka_unit_test(test_full),
    cmocka_unit_test(test_fails_once), cmocka_unit_test(test_fails),
};

int
main(void)
{
    return run_all(tests);
}
