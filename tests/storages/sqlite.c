/*
 * sqlite.c - stores in SQLite: their URIs and files, and what becomes of files that are no stores,
 * are damaged, locked, full or read-only
 */
#include "../concurrency/concurrency.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* ---- files ----------------------------------------------------------------------------------- */

enum {
    LONGEST = 150, /* a path */
    URI = 250
};

static void
path_of(char out[LONGEST], const char *name)
{
    snprintf(out, LONGEST, "%s/%s", files(), name);
}

static void
uri_of(char out[URI], const char path[LONGEST], const char *options)
{
    snprintf(out, URI, "sqlite:%s%s", path, options);
}

static void
write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static char *
read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    struct stat st;
    char *bytes;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *n = (size_t)st.st_size;
    bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

/* The two files that SQLite keeps beside it. */
static void
remove_beside(const char path[LONGEST])
{
    for (int i = 0; i < 2; i++) {
        char beside[LONGEST + 4];

        snprintf(beside, sizeof beside, "%s-%s", path, i ? "wal" : "shm");
        assert_true(unlink(beside) == 0 || errno == ENOENT);
    }
}

static void
run_sql(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
make_store(const char *uri)
{
    newt_error *e;

    if (newt_store_create(uri, NULL, &e) != NEWT_OK)
        fail_error("newt_store_create", e);
    newt_error_free(e);
}

static newt_db *
open_store(const char *uri)
{
    newt_db *db;

    if (newt_db_open(&db, uri, classes, NULL) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    return db;
}

/* It is refused, with these words in message and hint. */
static void
refused(const char *uri, int status, const char *message, const char *hint)
{
    newt_db *db;

    assert_int_equal(newt_db_open(&db, uri, classes, NULL), status);
    if (!strstr(newt_error_message(newt_db_error(db)), message) ||
        !strstr(newt_error_hint(newt_db_error(db)), hint))
        fail_error(uri, newt_db_error(db));
    newt_db_close(db);
}

static void
not_created(const char *uri, int status, const char *message)
{
    newt_error *e;

    assert_int_equal(newt_store_create(uri, NULL, &e), status);
    if (!strstr(newt_error_message(e), message))
        fail_error(uri, e);
    newt_error_free(e);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void
test_uris(void **state)
{
    static const struct {
        const char *uri, *message, *hint;
    } wrong[] = {
        {"sqlite:", "does not name a file", "\"memory:\""},
        {"sqlite::memory:", "does not name a file", "\"memory:\""},
        {"sqlite:?timeout=1", "does not name a file", "\"sqlite:PATH\""},
        {"sqlite:a?synchronous", "the option \"synchronous\" has no value", "full"},
        {"sqlite:a?colour=red", "no option \"colour\"", "timeout"},
        {"sqlite:a?timeout", "the option \"timeout\" has no value", "milliseconds"},
        {"sqlite:a?timeout=5s", "\"5s\" is no value of the option \"timeout\"", "milliseconds"},
        {"sqlite:a?timeout=", "\"\" is no value of the option \"timeout\"", "milliseconds"},
        {"sqlite:a?timeout=99999999999", "no value of the option \"timeout\"", "milliseconds"},
        {"sqlite:a?synchronous=full&timeout=1&synchronous=none", "\"none\" is no value", "normal"},
        {"sqlite:a?", "no option \"\"", "%3F"},
        {"sqlite:a%", "wrong %", "%25"},
        {"sqlite:a%4", "wrong %", "%25"},
        {"sqlite:a%zz", "wrong %", "%25"},
        {"sqlite:a%00b", "wrong %", "%25"},
        {"SQLite:a", "is not the URI of a store", "\"sqlite:PATH\""},
        {"sqlite3:a", "is not the URI of a store", "\"sqlite:PATH\""},
    };
    newt_options o = {.size = sizeof o, .schema = "other"};
    char path[LONGEST], before[1000];
    newt_error *e;
    newt_db *db;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        refused(wrong[i].uri, NEWT_EINVAL, wrong[i].message, wrong[i].hint);
        not_created(wrong[i].uri, NEWT_EINVAL, wrong[i].message);
    }
    needs_storage("sqlite");
    assert_int_equal(newt_store_create("sqlite:a", "other", &e), NEWT_EINVAL);
    assert_string_equal(newt_error_message(e), "a store in SQLite has no schema \"other\"");
    newt_error_free(e);
    path_of(path, "names");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(path), 0);
    make_store("sqlite:a%3Fb%25?timeout=1&synchronous=normal");
    assert_int_equal(access("a?b%", F_OK), 0);
    /* relative, from where the database was opened */
    db = open_store("sqlite:a%3fb%25");
    assert_int_equal(chdir(before), 0);
    newt_close(connect_(db));
    for (int i = 0; i < 3; i++)
        newt_close(connect_(db));
    newt_db_close(db);
    /* names that mean something to SQLite */
    assert_int_equal(chdir(path), 0);
    make_store("sqlite:file:x%3Fmode=memory");
    assert_int_equal(access("file:x?mode=memory", F_OK), 0);
    newt_db_close(open_store("sqlite:file:x%3Fmode=memory"));
    assert_int_equal(newt_db_open(&db, "sqlite:a%3fb%25", classes, &o), NEWT_EINVAL);
    newt_db_close(db);
    assert_int_equal(chdir(before), 0);
    refused("sqlite:/no/such/file", NEWT_ESTORE, "there is no store", "newt_store_create()");
}

/* ---- files that are no stores ---------------------------------------------------------------- */

static void
test_create(void **state)
{
    char path[LONGEST], uri[URI];

    (void)state;
    needs_storage("sqlite");
    path_of(path, "created");
    uri_of(uri, path, "");
    refused(uri, NEWT_ESTORE, "there is no store", "newt_store_create()");
    make_store(uri);
    not_created(uri, NEWT_ESTORE, "already");
    newt_db_close(open_store(uri));
    assert_sound(path);
    assert_file(path, "wal", "PRAGMA journal_mode");
    assert_file(path, "1315272564", "PRAGMA application_id");
    assert_file(path, "1", "PRAGMA user_version");
    /* where there is nothing yet */
    path_of(path, "empty");
    uri_of(uri, path, "");
    write_file(path, "", 0);
    refused(uri, NEWT_ESTORE, "is empty", "newt_store_create()");
    make_store(uri);
    newt_db_close(open_store(uri));
    path_of(path, "no/directory");
    uri_of(uri, path, "");
    not_created(uri, NEWT_ESTORE, "cannot be opened");
}

static void
test_other_files(void **state)
{
    char path[LONGEST], uri[URI], text[8192];

    (void)state;
    needs_storage("sqlite");
    path_of(path, "other");
    uri_of(uri, path, "");
    memset(text, 'x', sizeof text);
    write_file(path, text, sizeof text);
    refused(uri, NEWT_ESTORE, "is not a database of SQLite's", "");
    not_created(uri, NEWT_ESTORE, "is not a database of SQLite's");
    assert_int_equal(unlink(path), 0);
    run_sql(path, "CREATE TABLE mine (x)");
    refused(uri, NEWT_ESTORE, "but not a Newt store", "newt_store_create()");
    not_created(uri, NEWT_ESTORE, "but not a Newt store");
    assert_file(path, "0", "SELECT count(*) FROM mine");
    assert_int_equal(unlink(path), 0);
    make_store(uri);
    run_sql(path, "PRAGMA user_version = 2");
    refused(uri, NEWT_ESTORE, "is of version 2", "version 1");
    not_created(uri, NEWT_ESTORE, "is of version 2");
    run_sql(path, "PRAGMA user_version = 1; DROP TABLE \"transaction\"");
    {
        newt_db *db = open_store(uri);
        newt_conn *c = connect_(db);

        begin(c);
        assert_int_equal(newt_root(c, "x").oid, 0);
        assert_int_equal(newt_status(c), NEWT_ESTORE);
        assert_non_null(strstr(newt_error_detail(newt_conn_error(c)), "transaction"));
        newt_close(c);
        newt_db_close(db);
    }
    refused("sqlite:/tmp", NEWT_ESTORE, "cannot be opened", "directory");
}

/* Another file is put in its place, as from a copy: nothing of the first is used with the second.
 */
static void
test_replaced(void **state)
{
    char path[LONGEST], uri[URI], copy[LONGEST];
    item_ref r, later;
    size_t n;
    char *bytes;
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(path, "replaced");
    path_of(copy, "copy");
    uri_of(uri, path, "");
    make_store(uri);
    db = open_store(uri);
    c = connect_(db);
    r = make_item(c, "x", 1);
    newt_close(c);
    newt_db_close(db); /* so that all is in the one file */
    bytes = read_file(path, &n);
    write_file(copy, bytes, n);
    free(bytes);
    db = open_store(uri);
    c = connect_(db);
    begin(c);
    write_n(c, r, 2);
    commit(c);
    later = make_item(c, "y", 3);
    newt_close(c);
    assert_int_equal(rename(copy, path), 0);
    remove_beside(path);
    c = connect_(db); /* the same, with its cache */
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    assert_null(item_read(c, later));
    assert_int_equal(newt_status(c), NEWT_EMISSING);
    commit(c);
    make_item(c, "z", 4);
    newt_close(c);
    newt_db_close(db);
    assert_sound(path);
}

/* ---- locks ----------------------------------------------------------------------------------- */

/* Somebody else has the write lock: who reads does not notice, who writes waits for as long as was
 * said. */
static void
test_locked(void **state)
{
    char path[LONGEST], uri[URI];
    sqlite3 *holder;
    item_ref r;
    double start;
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(path, "locked");
    uri_of(uri, path, "?timeout=300");
    make_store(uri);
    db = open_store(uri);
    c = connect_(db);
    r = make_item(c, "x", 1);
    assert_int_equal(sqlite3_open(path, &holder), SQLITE_OK);
    assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    start = now();
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    write_n(c, r, 2);
    assert_int_equal(newt_commit(c), NEWT_EBUSY);
    assert_true(now() - start >= 0.3);
    assert_true(now() - start < PATIENCE_S);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "55P03");
    assert_non_null(strstr(newt_error_message(newt_conn_error(c)), path));
    assert_non_null(strstr(newt_error_hint(newt_conn_error(c)), "timeout="));
    assert_false(newt_is_retryable(newt_conn_error(c)));
    assert_int_equal(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    write_n(c, r, 2);
    commit(c);
    assert_int_equal(sqlite3_close(holder), SQLITE_OK);
    newt_close(c);
    newt_db_close(db);
    assert_sound(path);
}

/* ---- rights and room ------------------------------------------------------------------------- */

/* In a process without the rights of root. */
static int
as_nobody(void (*fn)(const char *uri), const char *uri)
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(3);
        fn(uri);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void
read_only(const char *uri)
{
    newt_db *db;
    newt_conn *c;
    newt_ref r;

    must(newt_db_open(&db, uri, classes, NULL) == NEWT_OK);
    must(newt_connect(db, &c) == NEWT_OK);
    must(newt_begin(c) == NEWT_OK);
    r = newt_root(c, "x");
    must(r.oid != 0);
    must(item_read(c, item_of(r)) != NULL);
    must(item_new(c) == NULL);
    must(newt_status(c) == NEWT_ESQL);
    must(strcmp(newt_error_sqlstate(newt_conn_error(c)), "25006") == 0);
    newt_abort(c);
    must(newt_begin(c) == NEWT_OK);
    must(newt_set_root(c, "y", r) == NEWT_OK);
    must(newt_commit(c) == NEWT_ESQL);
    must(strcmp(newt_error_sqlstate(newt_conn_error(c)), "25006") == 0);
    must(newt_begin(c) == NEWT_OK);
    must(newt_root(c, "y").oid == 0);
    newt_close(c);
    newt_db_close(db);
}

static void
cannot_open(const char *uri)
{
    newt_db *db;

    if (newt_db_open(&db, uri, classes, NULL) != NEWT_ESTORE ||
        !strstr(newt_error_message(newt_db_error(db)), "cannot be opened"))
        child_fails("%s", error_text(newt_db_error(db)));
    must(strstr(newt_error_hint(newt_db_error(db)), "directory") != NULL);
    newt_db_close(db);
}

static void
test_read_only(void **state)
{
    char path[LONGEST], uri[URI], directory[LONGEST];
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(directory, "");
    assert_int_equal(chmod(directory, 0755), 0);
    path_of(directory, "rights");
    assert_int_equal(mkdir(directory, 0777), 0);
    path_of(path, "rights/store");
    uri_of(uri, path, "");
    make_store(uri);
    db = open_store(uri);
    c = connect_(db);
    begin(c);
    ok(c, newt_set_root(c, "x", item_id(new_item(c, "x", 1)).any));
    commit(c);
    newt_close(c);
    newt_db_close(db);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    assert_int_equal(as_nobody(read_only, uri), 0);
    remove_beside(path);
    assert_int_equal(chmod(directory, 0555), 0);
    assert_int_equal(as_nobody(cannot_open, uri), 0);
    assert_int_equal(chmod(path, 0000), 0);
    assert_int_equal(as_nobody(cannot_open, uri), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    assert_sound(path);
}

/* On a file system in memory of one megabyte, which only root can make. */
static void
test_full(void **state)
{
    char path[LONGEST], uri[URI], directory[LONGEST], filler[LONGEST], text[20000],
        zeros[4096] = {0};
    int64_t done = 0;
    int full = 0, file;
    newt_error *e;
    item_ref r;
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(directory, "small");
    assert_int_equal(mkdir(directory, 0700), 0);
    if (mount("newt", directory, "tmpfs", 0, "size=1m") != 0)
        skip();
    path_of(path, "small/store");
    uri_of(uri, path, "");
    path_of(filler, "small/filler");
    make_store(uri);
    db = open_store(uri);
    c = connect_(db);
    r = make_item(c, "counter", 0);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    for (int round = 0; round < 3; round++) {
        /* to the last page */
        file = open(filler, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        assert_true(file >= 0);
        while (round > 0 && write(file, zeros, sizeof zeros) == (ssize_t)sizeof zeros)
            ;
        close(file);
        for (int i = 0; i < 1000 && full == round; i++) {
            int status;

            begin(c);
            write_n(c, r, done + 1);
            item_done(new_item(c, text, done));
            status = newt_commit(c);
            if (status == NEWT_OK) {
                done++;
                continue;
            }
            assert_int_equal(status, NEWT_ESQL);
            assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "53100");
            assert_non_null(strstr(newt_error_message(newt_conn_error(c)), "no room"));
            full++;
        }
        assert_int_equal(full, round + 1);
        /* nothing of it is there, and what was committed is */
        begin(c);
        assert_int_equal(read_n(c, r), done);
        newt_abort(c);
        if (round == 1) { /* no store can be made here */
            path_of(path, "small/another");
            uri_of(uri, path, "");
            assert_int_equal(newt_store_create(uri, NULL, &e), NEWT_ESQL);
            assert_string_equal(newt_error_sqlstate(e), "53100");
            newt_error_free(e);
            unlink(path);
            path_of(path, "small/store");
        }
        assert_int_equal(unlink(filler), 0);
        if (round == 0) { /* with room again it goes on */
            assert_int_equal(mount("newt", directory, NULL, MS_REMOUNT, "size=3m"), 0);
        }
    }
    print_message("# %lld commits\n", (long long)done);
    newt_close(c);
    newt_db_close(db);
    assert_sound(path);
    assert_int_equal(umount2(directory, 0), 0);
}

/* ---- damage ---------------------------------------------------------------------------------- */

enum {
    ITEMS = 300
};

/* Reads everything in every way. An error says that something is wrong; or, unless single bits are
 * (SQLite has no checksums), what is there is right. */
static void
read_all(const char *uri, const item_ref *items, bool bits, int *read, int *failed)
{
    static const int statuses[] = {NEWT_ESTORE, NEWT_EBROKEN, NEWT_EMISSING,
                                   NEWT_ECLASS, NEWT_ESQL,    NEWT_ECONFLICT};
    newt_conn *c = NULL;
    newt_db *db;
    json_t *rows = NULL;
    int status = newt_db_open(&db, uri, classes, NULL);

    if (status == NEWT_OK)
        status = newt_connect(db, &c);
    if (status == NEWT_OK)
        status = newt_begin(c);
    for (int i = 0; status == NEWT_OK && i < ITEMS; i++) {
        const struct item *x = item_read(c, items[i]);

        if (x && x->n != i && !bits)
            fail_msg("an object that was never written");
        status = x ? NEWT_OK : newt_status(c);
        item_done(x);
    }
    if (status == NEWT_OK)
        status = newt_query(c, &rows, "SELECT sum(state->>'n') FROM newt", 0, NULL);
    json_decref(rows);
    if (status == NEWT_OK) {
        ok(c, newt_set_root(c, "x", items[0].any));
        status = newt_commit(c);
    }
    *read += status == NEWT_OK;
    *failed += status != NEWT_OK;
    for (size_t i = 0; status != NEWT_OK; i++) {
        if (i == sizeof statuses / sizeof *statuses)
            fail_error("damaged", newt_last_error(db, c));
        if (statuses[i] == status)
            break;
    }
    newt_close(c);
    newt_db_close(db);
}

/* Each page of a file once, overwritten in several ways; and files that end early. */
static void
test_damaged(void **state)
{
    enum {
        PAGE = 4096
    };
    char path[LONGEST], uri[URI], page[PAGE];
    item_ref items[ITEMS];
    int read = 0, failed = 0;
    chance random = {take_seed()};
    size_t n;
    char *whole;
    newt_db *db;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(path, "damaged");
    uri_of(uri, path, "?synchronous=off");
    make_store(uri);
    db = open_store(uri);
    c = connect_(db);
    begin(c);
    for (int i = 0; i < ITEMS; i++)
        items[i] = item_id(new_item(c, "a name of some length, so that there are pages", i));
    commit(c);
    newt_close(c);
    newt_db_close(db);
    whole = read_file(path, &n);
    assert_true(n % PAGE == 0 && n / PAGE > 20);
    for (size_t at = 0; at < n; at += PAGE) {
        for (int way = 0; way < 4; way++) {
            memcpy(page, whole + at, PAGE);
            if (way < 2)
                memset(whole + at, way ? 0xff : 0, PAGE);
            else
                for (int i = 0; i < (way == 2 ? 1 : 100); i++)
                    whole[at + (size_t)pick(&random, PAGE)] ^= (char)(1 << pick(&random, 8));
            write_file(path, whole, n);
            read_all(uri, items, way >= 2, &read, &failed);
            memcpy(whole + at, page, PAGE);
        }
    }
    for (int i = 0; i < 20; i++) {
        write_file(path, whole, (size_t)pick(&random, (int)n));
        read_all(uri, items, false, &read, &failed);
    }
    print_message("# %d files were as they were for all that was asked, %d were not\n", read,
                  failed);
    assert_true(failed > 20);
    free(whole);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* A child has no part in what its parent has open, and the parent goes on. */
static void
test_fork(void **state)
{
    char path[LONGEST], uri[URI], other[LONGEST];
    int status;
    pid_t pid;
    item_ref r;
    newt_db *db, *own;
    newt_conn *c;

    (void)state;
    needs_storage("sqlite");
    path_of(path, "forked");
    uri_of(uri, path, "");
    make_store(uri);
    path_of(other, "beside");
    db = open_store(uri);
    c = connect_(db);
    r = make_item(c, "x", 1);
    begin(c);
    write_n(c, r, 2);
    fflush(stdout);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(PATIENCE_S);
        must(newt_begin(c) == NEWT_ETHREAD);
        must(newt_commit(c) == NEWT_ETHREAD);
        must(newt_db_open(&own, uri, classes, NULL) == NEWT_ETHREAD);
        must(strstr(newt_error_hint(newt_db_error(own)), "Fork before") != NULL);
        newt_db_close(own);
        newt_close(c);
        newt_db_close(db);
        must(newt_db_open(&own, uri, classes, NULL) == NEWT_ETHREAD);
        newt_db_close(own);
        /* what was not open is its own */
        uri_of(uri, other, "");
        must(newt_store_create(uri, NULL, NULL) == NEWT_OK);
        must(newt_db_open(&own, uri, classes, NULL) == NEWT_OK);
        newt_db_close(own);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    commit(c);
    newt_close(c);
    newt_db_close(db);
    /* closed before: it is the child's as well */
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        must(newt_db_open(&own, uri, classes, NULL) == NEWT_OK);
        must(newt_connect(own, &c) == NEWT_OK);
        must(newt_begin(c) == NEWT_OK);
        must(item_read(c, r) && item_read(c, r)->n == 2);
        newt_close(c);
        newt_db_close(own);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_sound(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_uris),        cmocka_unit_test(test_create),
    cmocka_unit_test(test_other_files), cmocka_unit_test(test_replaced),
    cmocka_unit_test(test_locked),      cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_full),        cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_fork),
};

int
main(void)
{
    return run_all(tests);
}
