/*
 * embedded.c - the benchmark in a file of SQLite's: Newt, and a bare program that writes the same
 * bytes
 *
 *     embedded newt FILE       the operations through Newt; FILE must not be there
 *     embedded limit FILE      ... with prepared statements of SQLite's alone, in the same two
 * tables embedded compare A B     whether both files hold the same records and the same JSON
 *
 * Both use WAL mode, synchronous = FULL, the same page size and cache, and write the same rows:
 * records, JSON, one of each transaction. The limit compares serials in the statement that writes,
 * as Newt does; records, JSON and lists are made before the clock starts, and what it reads it does
 * not convert. What objects cost, the ratio shows.
 */
#include "newt_task.h"
#include "task_bytes.h"

#include <sqlite3.h>

#define FIRST_TID INT64_C(1700000000000000)

static int64_t tx1;

static volatile char touched; /* so that a compiler cannot leave the reading out */

/* ---- Newt ------------------------------------------------------------------------------- */

static void
newt_bulk(newt_conn *c)
{
    task_ref last = {.any = {0}};
    double start = now();
    for (int64_t i = 0; i < BULK;) {
        begin(c);
        for (int k = 0; k < PER_BULK; k++, i++) {
            struct task *t = new_task(c, i, last);
            last = task_id(t);
            task_done(t);
        }
        check(c, newt_set_root(c, "last", last.any) == NEWT_OK, "root");
        commit(c);
    }
    report("sqlite_bulk", BULK / (now() - start), "objects/s");
}

static void
newt_tx(newt_conn *c)
{
    double start = 0;
    for (int64_t k = 0; k < WARM_UP + tx1; k++) {
        if (k == WARM_UP)
            start = now();
        int64_t i = k * STEP % BULK;
        begin(c);
        change(c, task_of((newt_ref){FIRST_OID + i}), i, k + 1);
        commit(c);
    }
    report("sqlite_tx1", (double)tx1 / (now() - start), "tx/s");
}

/* A database anew, whose connection has nothing in its cache. */
static newt_conn *
again(newt_conn *c)
{
    newt_close(c);
    newt_db_close(db);
    open_store(schema, NULL);
    return dial();
}

static newt_conn *
newt_load(newt_conn *c)
{
    newt_ref *refs = allocate(BULK, sizeof *refs);
    double seconds = 0;
    for (int64_t i = 0; i < BULK; i++)
        refs[i].oid = FIRST_OID + i;
    for (int pass = 0; pass < LOADS; pass++) {
        c = again(c);
        begin(c);
        (void)newt_root(c, "last");
        double start = now();
        for (int64_t i = 0; i < BULK; i += 100) {
            check(c, newt_prefetch(c, refs + i, 100) == NEWT_OK, "prefetch");
            for (int k = 0; k < 100; k++) {
                const struct task *t = task_read(c, task_of(refs[i + k]));
                check(c, t != NULL, "read");
                touched ^= t->title.s[20];
                task_done(t);
            }
        }
        seconds += now() - start;
        newt_abort(c);
    }
    report("sqlite_load100", (double)BULK * LOADS / seconds, "objects/s");
    free(refs);
    return c;
}

static newt_conn *
newt_cold(newt_conn *c)
{
    int64_t seen = 0;
    double seconds = 0;
    for (int pass = 0; pass < LOADS; pass++) {
        c = again(c);
        begin(c);
        task_ref at = task_of(newt_root(c, "last"));
        double start = now();
        for (; !newt_is_null(at.any); seen++) {
            const struct task *t = task_read(c, at);
            check(c, t != NULL, "read");
            touched ^= t->title.s[20];
            at = t->parent;
            task_done(t);
        }
        seconds += now() - start;
        newt_abort(c);
    }
    if (seen != BULK * LOADS)
        give_up("cold", "the chain is broken");
    report("sqlite_cold", (double)seen / seconds, "objects/s");
    return c;
}

static void
newt_side(const char *file)
{
    char text[512];
    newt_error *e = NULL;
    newt_conn *c;
    snprintf(text, sizeof text, "sqlite:%s", file);
    uri = text;
    if (newt_store_create(uri, NULL, &e) != NEWT_OK)
        give_up("create", newt_error_message(e));
    newt_error_free(e);
    open_store(schema, NULL);
    c = dial();
    newt_bulk(c);
    newt_tx(c);
    c = newt_load(c);
    c = newt_cold(c);
    newt_close(c);
    newt_db_close(db);
}

/* ---- the limit -------------------------------------------------------------------------- */

static sqlite3 *file_db;

static void
sql(const char *text)
{
    if (sqlite3_exec(file_db, text, NULL, NULL, NULL) != SQLITE_OK)
        give_up(text, sqlite3_errmsg(file_db));
}

static sqlite3_stmt *
prepare(const char *text)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v3(file_db, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        give_up(text, sqlite3_errmsg(file_db));
    return s;
}

static void
run(sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        give_up(sqlite3_sql(s), sqlite3_errmsg(file_db));
    sqlite3_reset(s);
}

static void
open_file(const char *file)
{
    if (sqlite3_open_v2(file, &file_db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        give_up(file, sqlite3_errmsg(file_db));
    sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; "
        "PRAGMA cell_size_check = ON");
}

static void
close_file(sqlite3_stmt **list, int n)
{
    for (int i = 0; i < n; i++)
        sqlite3_finalize(list[i]);
    sqlite3_close(file_db);
}

enum {
    BEGIN,
    COMMIT,
    STATE,
    JSON,
    ROW, /* of the transaction */
    N_STATEMENTS
};

#define INSERT_ROW                                                                                 \
    "INSERT INTO \"transaction\" VALUES (?1, ?1, ?1, NULL, NULL, NULL, ?2, '[]', NULL)"

static void
bind_row(sqlite3_stmt *const *s, int64_t tid, const char *written)
{
    sqlite3_bind_int64(s[ROW], 1, tid);
    sqlite3_bind_text(s[ROW], 2, written, -1, SQLITE_STATIC);
}

static void
bind_task(sqlite3_stmt *const *s, int64_t oid, const char *class_name, int64_t serial,
          int64_t before, const task_bytes *t)
{
    sqlite3_bind_int64(s[STATE], 1, oid);
    sqlite3_bind_int64(s[STATE], 2, serial);
    sqlite3_bind_blob(s[STATE], 3, t->record, t->record_n, SQLITE_STATIC);
    if (before)
        sqlite3_bind_int64(s[STATE], 4, before);
    sqlite3_bind_int64(s[JSON], 1, oid);
    sqlite3_bind_text(s[JSON], 2, class_name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s[JSON], 3, serial);
    sqlite3_bind_text(s[JSON], 4, t->json + 1, t->json_n - 1, SQLITE_STATIC);
}

#define UPDATE_STATE                                                                               \
    "UPDATE object_state SET serial = ?2, state = ?3 WHERE zoid = ?1 AND serial = ?4"
#define UPDATE_JSON                                                                                \
    "UPDATE newt_projection SET class_name = ?2, serial = ?3, state = ?4 WHERE zoid = ?1"

static void
limit_bulk(int64_t serial)
{
    sqlite3_stmt *s[] = {prepare("BEGIN IMMEDIATE"), prepare("COMMIT"),
                         prepare("INSERT INTO object_state VALUES (?1, ?2, ?3)"),
                         prepare("INSERT INTO newt_projection VALUES (?1, ?2, ?3, ?4)"),
                         prepare(INSERT_ROW)};
    sqlite3_stmt *root[] = {s[0], s[1], prepare(UPDATE_STATE), prepare(UPDATE_JSON)};
    task_bytes *t = allocate(BULK, sizeof *t), last;
    char *written = allocate(1 + PER_BULK, 8), *at = written + sprintf(written, "[1");
    for (int k = 0; k < PER_BULK; k++) /* as many digits as any of them */
        at += sprintf(at, ",%d", 10000 + k);
    strcpy(at, "]");
    for (int64_t i = 0; i < BULK; i++)
        task_bytes_of(&t[i], i, 0);
    double start = now();
    for (int64_t i = 0; i < BULK; serial++) {
        run(s[BEGIN]);
        root_bytes_of(&last, i + PER_BULK - 1);
        bind_task(root, 1, "newt.Root", FIRST_TID + serial + 1, FIRST_TID + serial, &last);
        run(root[STATE]);
        run(root[JSON]);
        for (int k = 0; k < PER_BULK; k++, i++) {
            bind_task(s, FIRST_OID + i, "Task", FIRST_TID + serial + 1, 0, &t[i]);
            run(s[STATE]);
            run(s[JSON]);
        }
        bind_row(s, FIRST_TID + serial, written);
        run(s[ROW]);
        run(s[COMMIT]);
    }
    report("sqlite_bulk", BULK / (now() - start), "objects/s");
    sqlite3_finalize(root[STATE]);
    sqlite3_finalize(root[JSON]);
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s[i]);
    free(written);
    free(t);
}

static void
limit_tx(void)
{
    sqlite3_stmt *s[] = {prepare("BEGIN IMMEDIATE"), prepare("COMMIT"), prepare(UPDATE_STATE),
                         prepare(UPDATE_JSON), prepare(INSERT_ROW)};
    sqlite3_stmt *all = prepare("SELECT zoid, serial FROM object_state");
    int64_t *serials = allocate(FIRST_OID + BULK, sizeof *serials), serial = FIRST_TID + (1 << 20);
    task_bytes *t = allocate((size_t)(WARM_UP + tx1), sizeof *t);
    double start = 0;
    while (sqlite3_step(all) == SQLITE_ROW)
        serials[sqlite3_column_int64(all, 0)] = sqlite3_column_int64(all, 1);
    sqlite3_finalize(all);
    for (int64_t k = 0; k < WARM_UP + tx1; k++)
        task_bytes_of(&t[k], k * STEP % BULK, k + 1);
    for (int64_t k = 0; k < WARM_UP + tx1; k++, serial++) {
        int64_t oid = FIRST_OID + k * STEP % BULK;
        if (k == WARM_UP)
            start = now();
        run(s[BEGIN]);
        bind_task(s, oid, "Task", serial, serials[oid], &t[k]);
        run(s[STATE]);
        if (sqlite3_changes(file_db) != 1)
            give_up("tx1", "another serial");
        run(s[JSON]);
        bind_row(s, serial, "[12345]");
        run(s[ROW]);
        run(s[COMMIT]);
        serials[oid] = serial;
    }
    report("sqlite_tx1", (double)tx1 / (now() - start), "tx/s");
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s[i]);
    free(serials);
    free(t);
}

/* The record of an object is in the statement's row. */
static void
find(sqlite3_stmt *s, int64_t oid)
{
    sqlite3_bind_int64(s, 1, oid);
    if (sqlite3_step(s) != SQLITE_ROW)
        give_up("read", "an object is missing");
    touched ^= ((const char *)sqlite3_column_blob(s, 1))[sqlite3_column_bytes(s, 1) / 2];
}

static void
limit_read(const char *file, bool chain)
{
    int64_t seen = 0;
    double seconds = 0;
    for (int pass = 0; pass < LOADS; pass++) {
        open_file(file);
        sqlite3_stmt *one = prepare("SELECT serial, state FROM object_state WHERE zoid = ?1");
        sql("BEGIN");
        find(one, 1);
        sqlite3_reset(one);
        double start = now();
        int64_t oid = FIRST_OID + (chain ? BULK - 1 : 0);
        for (; chain ? oid != 0 : oid < FIRST_OID + BULK; seen++) {
            find(one, oid);
            oid = chain ? parent_in(sqlite3_column_blob(one, 1), sqlite3_column_bytes(one, 1))
                        : oid + 1;
            sqlite3_reset(one);
        }
        seconds += now() - start;
        sql("COMMIT");
        close_file(&one, 1);
    }
    if (seen != BULK * LOADS)
        give_up("read", "not all are there");
    report(chain ? "sqlite_cold" : "sqlite_load100", (double)seen / seconds, "objects/s");
}

static void
limit_side(const char *file)
{
    open_file(file);
    sql("CREATE TABLE object_state (zoid INTEGER PRIMARY KEY, serial INTEGER NOT NULL, "
        "state BLOB NOT NULL) STRICT; "
        "CREATE TABLE newt_projection (zoid INTEGER PRIMARY KEY, class_name TEXT NOT NULL, "
        "serial INTEGER NOT NULL, state JSON TEXT NOT NULL); "
        "CREATE TABLE \"transaction\" (tid INTEGER PRIMARY KEY, serial INTEGER NOT NULL, "
        "committed_at INTEGER NOT NULL, username TEXT, description TEXT, extension TEXT, "
        "written TEXT, removed TEXT, removed_classes TEXT) STRICT; "
        "INSERT INTO object_state VALUES (1, 1700000000000001, x'00'); "
        "INSERT INTO newt_projection VALUES (1, 'newt.Root', 1, '{}')");
    limit_bulk(1);
    limit_tx();
    close_file(NULL, 0);
    limit_read(file, false);
    limit_read(file, true);
}

/* ---- both have done the same -------------------------------------------------------------- */

static void
compare(const char *a, const char *b)
{
    char text[600];
    open_file(a);
    snprintf(text, sizeof text, "ATTACH '%s' AS other", b);
    sql(text);
    for (int i = 0; i < 2; i++) {
        const char *table = i ? "newt_projection" : "object_state";
        snprintf(text, sizeof text,
                 "SELECT count(*) FROM main.%s a LEFT JOIN other.%s b ON a.zoid = b.zoid "
                 "WHERE a.state IS NOT b.state",
                 table, table);
        sqlite3_stmt *s = prepare(text);
        if (sqlite3_step(s) != SQLITE_ROW || sqlite3_column_int64(s, 0) != 0)
            give_up(table, "the two files differ");
        sqlite3_finalize(s);
    }
    sqlite3_close(file_db);
}

int
main(int argc, char **argv)
{
    tx1 = tx1_transactions();
    if (argc == 3 && strcmp(argv[1], "newt") == 0)
        newt_side(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "limit") == 0)
        limit_side(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "compare") == 0)
        compare(argv[2], argv[3]);
    else
        give_up("usage", "embedded newt|limit FILE, or embedded compare FILE FILE");
    return 0;
}
