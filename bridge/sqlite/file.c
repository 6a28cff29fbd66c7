/*
 * file.c - a connection to the file of a store
 *
 * The file is in WAL mode: readers see a snapshot and wait for nobody, and one at a time writes.
 * What is committed is durable, with synchronous = FULL, before anybody sees it.
 */
#include "file.h"
#include "opened.h"
#include "store_sqlite_sql.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    APPLICATION_ID = 0x4e657774, /* "Newt" */
    VERSION = 1,
    PATIENT_TIMES = 20 /* so often a lock is asked for in short intervals */
};

/* ---- errors ------------------------------------------------------------------------------- */

#define CANNOT_OPEN                                                                                \
    NEWT_ESTORE, "58030", "\"%s\" cannot be opened",                                               \
        "Its directory must exist, and the program needs the right to read and write both: in it " \
        "SQLite keeps two more files while it is open (-wal and -shm)."

/* What a result code means. Its %s is the path; NULL: what SQLite says is the message. */
static const struct {
    int code; /* the first that is the code, or what it is an extension of */
    int status;
    const char *sqlstate, *message, *hint;
} faults[] = {
    {SQLITE_BUSY, NEWT_EBUSY, "55P03", "\"%s\" is locked by another process",
     "It was waited for as long as the option timeout= of the URI says. Try again; long "
     "transactions of others are in the way, or a program that has the file open in its own way."},
    {SQLITE_FULL, NEWT_ESQL, "53100", "there is no room left for \"%s\"",
     "Make room on its disk. Nothing of the transaction was written."},
    {SQLITE_IOERR, NEWT_ESQL, "58030", "\"%s\" could not be read or written", NULL},
    {SQLITE_READONLY_CANTINIT, CANNOT_OPEN},
    {SQLITE_READONLY_DIRECTORY, CANNOT_OPEN},
    {SQLITE_READONLY, NEWT_ESQL, "25006", "\"%s\" cannot be changed",
     "The program needs the right to write the file and its directory."},
    {SQLITE_CORRUPT, NEWT_ESTORE, "XX001", "\"%s\" is damaged",
     "Restore a copy; sqlite3's command .recover may save what a copy lacks."},
    {SQLITE_NOTADB, NEWT_ESTORE, "XX001", "\"%s\" is not a database of SQLite's",
     "newt_store_create() makes a store, in a file of its own."},
    {SQLITE_CANTOPEN, CANNOT_OPEN},
    {SQLITE_PERM, CANNOT_OPEN},
    {SQLITE_PROTOCOL, NEWT_EBUSY, "55P03", "\"%s\" is locked by another process", "Try again."},
    {SQLITE_CONSTRAINT_UNIQUE, NEWT_EUNIQUE, "23505", NULL,
     "Another object has the same; newt_index_create() has made the index."},
    {SQLITE_CONSTRAINT, NEWT_ESQL, "23000", NULL, NULL},
    {SQLITE_TOOBIG, NEWT_ELIMIT, "54000", NULL, NULL},
    {SQLITE_INTERRUPT, NEWT_ESQL, "57014", NULL, NULL},
    {SQLITE_AUTH, NEWT_ESQL, "42501", NULL, NULL},
};

int
newt__file_fail(const newt__file *f, int code, newt_error *e)
{
    size_t i = 0, n = sizeof faults / sizeof *faults;
    const char *said = f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(code);
    int system = f->db ? sqlite3_system_errno(f->db) : 0;

    if ((code & 0xff) == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM)
        return newt__fail_memory(e);
    while (i < n && faults[i].code != code && faults[i].code != (code & 0xff))
        i++;
    if (i == n)
        return newt__fail(e, NEWT_ESQL, 0, "%s", said);
    if (!faults[i].message) {
        newt__fail(e, faults[i].status, 0, "%s", said);
    } else {
        newt__fail(e, faults[i].status, 0, faults[i].message, f->where->path);
        if (system != 0 && faults[i].code != SQLITE_BUSY)
            newt__fail_detail(e, "SQLite: %s (%s; %s).", said, sqlite3_errstr(code),
                              strerror(system));
        else
            newt__fail_detail(e, "SQLite: %s.", said);
    }
    memcpy(e->sqlstate, faults[i].sqlstate, sizeof e->sqlstate);
    if (faults[i].hint)
        newt__fail_hint(e, "%s", faults[i].hint);
    return e->status;
}

int
newt__file_fail_damaged(const newt__file *f, newt_error *e)
{
    newt__fail(e, NEWT_ESTORE, 0, "\"%s\" is damaged", f->where->path);
    memcpy(e->sqlstate, "XX001", sizeof e->sqlstate);
    newt__fail_hint(e, "Restore a copy, or what another program has changed in it.");
    return NEWT_ESTORE;
}

int
newt__file_fail_system(const newt__file *f, int number, newt_error *e)
{
    newt__fail(e, NEWT_ESQL, 0, "\"%s-wal\" could not be used", f->where->path);
    newt__fail_detail(e, "%s.", strerror(number));
    memcpy(e->sqlstate, "58030", sizeof e->sqlstate);
    return NEWT_ESQL;
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* Called when another has the lock: whether to ask again. Who writes is soon done, so it is asked
 * often at first; n: how often it was. */
static int
wait_a_little(void *arg, int n)
{
    newt__file *f = arg;
    struct timespec t = {.tv_nsec = n < PATIENT_TIMES ? 100000 : 1000000};
    int64_t now = newt__clock();

    if (n == 0)
        f->until_us = now + (int64_t)f->where->timeout_ms * 1000;
    if (now >= f->until_us)
        return 0;
    nanosleep(&t, NULL);
    return 1;
}

/* ---- statements --------------------------------------------------------------------------- */

sqlite3_stmt *
newt__file_statement(newt__file *f, newt__sql which, newt_error *e)
{
    sqlite3_stmt **s = &f->statements[which];
    int code = SQLITE_OK;

    if (*s) {
        sqlite3_reset(*s);
        return *s;
    }
    code = sqlite3_prepare_v3(f->db, newt__sqls[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    if (code == SQLITE_OK)
        return *s;
    if (code == SQLITE_ERROR) {
        newt__fail(e, NEWT_ESTORE, 0, "\"%s\" is not as newt_store_create has made it",
                   f->where->path);
        newt__fail_detail(e, "SQLite: %s.", sqlite3_errmsg(f->db));
    } else {
        newt__file_fail(f, code, e);
    }
    return NULL;
}

int
newt__file_run(newt__file *f, sqlite3_stmt *s, newt_error *e)
{
    int code = sqlite3_step(s), status = NEWT_OK;

    if (code != SQLITE_DONE)
        status = newt__file_fail(f, code, e);
    sqlite3_reset(s);
    return status;
}

int
newt__file_do(newt__file *f, newt__sql which, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(f, which, e);

    return s ? newt__file_run(f, s, e) : e->status;
}

void
newt__file_roll_back(newt__file *f)
{
    newt_error e = {0};

    if (!f->db || sqlite3_get_autocommit(f->db))
        return;
    if (newt__file_do(f, NEWT__Q_ROLLBACK, &e) != NEWT_OK && !sqlite3_get_autocommit(f->db))
        newt__file_close(f);
    newt__error_clear(&e);
}

void
newt__bind_text(sqlite3_stmt *s, int i, const char *text)
{
    if (text)
        sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, i);
}

/* ---- statements of the program's ----------------------------------------------------- */

/* A table of the store, which has its own ways; in any case, as names are in SQL. */
static bool
is_own(const char *table)
{
    return table && (sqlite3_strnicmp(table, "newt", 4) == 0 ||
                     sqlite3_stricmp(table, "object_state") == 0 ||
                     sqlite3_strnicmp(table, "transaction", 11) == 0);
}

/* What makes, changes or removes something other than rows: which of its two names is that of the
 * table. What is temporary comes before the store's tables when a name is looked up, so it must not
 * have a name of theirs either. */
static const struct {
    int action, table;
} makers[] = {
    {SQLITE_CREATE_TABLE, 0},      {SQLITE_CREATE_TEMP_TABLE, 0}, {SQLITE_CREATE_VTABLE, 0},
    {SQLITE_CREATE_VIEW, 0},       {SQLITE_CREATE_TEMP_VIEW, 0},  {SQLITE_CREATE_INDEX, 1},
    {SQLITE_CREATE_TEMP_INDEX, 1}, {SQLITE_CREATE_TRIGGER, 1},    {SQLITE_CREATE_TEMP_TRIGGER, 1},
    {SQLITE_ALTER_TABLE, 1},       {SQLITE_DROP_TABLE, 0},        {SQLITE_DROP_VTABLE, 0},
    {SQLITE_DROP_VIEW, 0},         {SQLITE_DROP_INDEX, 1},        {SQLITE_DROP_TRIGGER, 1},
    {SQLITE_DROP_TEMP_TRIGGER, 1},
};

static bool
makes_own(int action, const char *a, const char *b)
{
    const char *names[] = {a, b};

    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (makers[i].action == action)
            return is_own(names[makers[i].table]);
    return false;
}

/* An sqlite3_set_authorizer callback, for what is compiled: also for what its triggers do. */
static int
judge(void *arg, int action, const char *a, const char *b, const char *schema, const char *trigger)
{
    static const char *const pragmas[] = {
        "table_info",    "table_xinfo",  "table_list",  "index_list",
        "index_info",    "index_xinfo",  "quick_check", "integrity_check",
        "database_list", "data_version", /* which FTS5 asks for */
    };
    const newt__file *f = arg;

    (void)schema;
    (void)trigger;
    if (f->judging == NEWT__OURS)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH: return SQLITE_DENY;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE: return is_own(a) ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA:
        for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
            if (sqlite3_stricmp(a, pragmas[i]) == 0)
                return SQLITE_OK;
        return SQLITE_DENY;
    case SQLITE_ALTER_TABLE: /* the new name is not told, and may be one of the store's */
        if (sqlite3_stricmp(a, "temp") == 0)
            return SQLITE_DENY;
        break;
    default: break;
    }
    return f->judging != NEWT__INDEXES && makes_own(action, a, b) ? SQLITE_DENY : SQLITE_OK;
}

/* ---- open and close --------------------------------------------------------------------- */

/* What a PRAGMA gives: a number, or text into `text` of 16 bytes. */
static int
ask(newt__file *f, const char *sql, int64_t *number, char *text, newt_error *e)
{
    sqlite3_stmt *s;
    int code = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL), status = NEWT_OK;

    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        if (number)
            *number = sqlite3_column_int64(s, 0);
        if (text)
            snprintf(text, 16, "%s", (const char *)sqlite3_column_text(s, 0));
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(f, code, e);
    }
    sqlite3_finalize(s);
    return status;
}

/* What a file is. */
typedef enum kind {
    STORE,
    OTHER_VERSION,
    FOREIGN,
    EMPTY
} kind;

static int
find_kind(newt__file *f, kind *out, int64_t *version, newt_error *e)
{
    int64_t id = 0, tables = 0;
    int status = ask(f, "PRAGMA application_id", &id, NULL, e);

    if (status == NEWT_OK)
        status = ask(f, "PRAGMA user_version", version, NULL, e);
    if (status == NEWT_OK)
        status = ask(f, "SELECT count(*) FROM sqlite_schema", &tables, NULL, e);
    if (id == APPLICATION_ID)
        *out = *version == VERSION ? STORE : OTHER_VERSION;
    else
        *out = tables > 0 ? FOREIGN : EMPTY;
    return status;
}

/* The error of a file that is not a store. */
static int
fail_kind(const newt__file *f, kind is, int64_t version, newt_error *e)
{
    if (is == OTHER_VERSION) {
        newt__fail(e, NEWT_ESTORE, 0, "the Newt store in \"%s\" is of version %lld", f->where->path,
                   (long long)version);
        newt__fail_hint(e, "This library reads version %d; use one of the store's version.",
                        VERSION);
    } else if (is == FOREIGN) {
        newt__fail(e, NEWT_ESTORE, 0, "\"%s\" is a database of SQLite's, but not a Newt store",
                   f->where->path);
        newt__fail_hint(e, "newt_store_create() makes a store, in a file of its own.");
    } else {
        newt__fail(e, NEWT_ESTORE, 0, "\"%s\" is empty: there is no Newt store in it",
                   f->where->path);
        newt__fail_hint(e, "newt_store_create() makes one there.");
    }
    return NEWT_ESTORE;
}

static int
use_wal(newt__file *f, newt_error *e)
{
    char mode[16] = "";
    int status = ask(f, "PRAGMA journal_mode", NULL, mode, e);

    if (status == NEWT_OK && strcmp(mode, "wal") != 0 && !f->read_only)
        status = ask(f, "PRAGMA journal_mode = WAL", NULL, mode, e);
    if (status != NEWT_OK || strcmp(mode, "wal") == 0)
        return status;
    newt__fail(e, NEWT_ESTORE, 0, "\"%s\" cannot be used in WAL mode", f->where->path);
    newt__fail_detail(e, "Its journal mode is \"%s\".", mode);
    newt__fail_hint(e, "A store must be on a disk of this machine, and writable to begin with.");
    return NEWT_ESTORE;
}

/* What is set for each connection. (trusted_schema must stay on: SQLite 3.40 takes its own JSON
 * functions for unsafe in an index.) */
static int
set_up(newt__file *f, newt_error *e)
{
    char sql[256];
    int code;

    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = %d; PRAGMA cache_size = -8192; "
             "PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 67108864",
             (int)f->where->synchronous);
    code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? NEWT_OK : newt__file_fail(f, code, e);
}

/* The file itself, whatever is in it. */
static int
open_any(newt__file *f, const newt__where *where, int flags, newt_error *e)
{
    struct stat st;
    int code, status;

    *f = (newt__file){.where = where};
    if (stat(where->path, &st) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
    } else if (errno != ENOENT || !(flags & SQLITE_OPEN_CREATE)) {
        newt__fail(e, NEWT_ESTORE, 0, "there is no store \"%s\"", where->path);
        newt__fail_detail(e, "%s.", strerror(errno));
        newt__fail_hint(e, strncmp(where->path, "//", 2) == 0
                               ? "The path follows sqlite: without //."
                               : "newt_store_create() makes one.");
        return NEWT_ESTORE;
    }
    if (f->inode != 0) {
        status = newt__opened_add(f->device, f->inode, where->path, e);
        if (status != NEWT_OK)
            return status;
        f->listed = true;
    }
    code = sqlite3_open_v2(where->path, &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | flags,
                           NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(f->db, 1);
        code = sqlite3_busy_handler(f->db, wait_a_little, f);
    }
    if (code == SQLITE_OK)
        code = sqlite3_set_authorizer(f->db, judge, f);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(f->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK) {
        f->read_only = sqlite3_db_readonly(f->db, "main") == 1;
        return NEWT_OK;
    }
    status = newt__file_fail(f, f->db ? sqlite3_extended_errcode(f->db) : code, e);
    newt__file_close(f);
    return status;
}

int
newt__file_open(newt__file *f, const newt__where *where, newt_error *e)
{
    int status = open_any(f, where, 0, e);
    int64_t version;
    kind is;

    if (status != NEWT_OK)
        return status;
    status = find_kind(f, &is, &version, e);
    if (status == NEWT_OK && is != STORE)
        status = fail_kind(f, is, version, e);
    if (status == NEWT_OK)
        status = use_wal(f, e);
    if (status == NEWT_OK)
        status = set_up(f, e);
    /* without memory a transaction must still come to its end */
    for (int i = NEWT__Q_BEGIN; i <= NEWT__Q_ROLLBACK && status == NEWT_OK; i++)
        status = newt__file_statement(f, (newt__sql)i, e) ? NEWT_OK : e->status;
    if (status != NEWT_OK)
        newt__file_close(f);
    return status;
}

void
newt__file_close(newt__file *f)
{
    for (int i = 0; i < NEWT__N_SQL; i++) {
        sqlite3_finalize(f->statements[i]);
        f->statements[i] = NULL;
    }
    sqlite3_close(f->db);
    f->db = NULL;
    if (f->listed)
        newt__opened_remove(f->device, f->inode);
    f->listed = false;
}

void
newt__file_abandon(newt__file *f)
{
    memset(f->statements, 0, sizeof f->statements);
    f->db = NULL;
    f->listed = false;
}

bool
newt__file_replaced(const newt__file *f)
{
    struct stat st;

    return stat(f->where->path, &st) != 0 || st.st_dev != f->device || st.st_ino != f->inode;
}

int
newt__file_fail_replaced(newt__file *f, newt_error *e)
{
    f->gone = true;
    newt__fail(e, NEWT_ELOST, 0, "\"%s\" was replaced", f->where->path);
    newt__fail_detail(e, "Another file is at its place since it was opened, or none.");
    newt__fail_hint(e, "Nothing of the transaction was written; run it again, on what is there.");
    memcpy(e->sqlstate, "08006", sizeof e->sqlstate);
    return NEWT_ELOST;
}

/* A file that has been moved away can be written all the same, and nobody would read it. */
int
newt__file_lock(newt__file *f, newt_error *e)
{
    int status = newt__file_do(f, NEWT__Q_BEGIN_WRITE, e);

    if (status == NEWT_OK && newt__file_replaced(f)) {
        newt__file_roll_back(f);
        status = newt__file_fail_replaced(f, e);
    }
    return status;
}

/* ---- making one ----------------------------------------------------------------------------- */

/* NEWT_OK: there is nothing in it yet. */
static int
check_empty(newt__file *f, newt_error *e)
{
    int64_t version;
    kind is;
    int status = find_kind(f, &is, &version, e);

    if (status != NEWT_OK || is == EMPTY)
        return status;
    if (is == STORE) {
        newt__fail(e, NEWT_ESTORE, 0, "there is a Newt store \"%s\" already", f->where->path);
        newt__fail_hint(e, "newt_db_open() opens it.");
        return NEWT_ESTORE;
    }
    return fail_kind(f, is, version, e);
}

/* Its last step is COMMIT: what fails has made nothing. One maker at a time, so that the second
 * finds the first one's store. */
static int
make_store(newt__file *f, newt_error *e)
{
    char sql[100];
    int code, status = check_empty(f, e);

    if (status == NEWT_OK)
        status = use_wal(f, e);
    if (status != NEWT_OK)
        return status;
    code = sqlite3_exec(f->db, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", NULL, NULL, NULL);
    status = code == SQLITE_OK ? check_empty(f, e) : newt__file_fail(f, code, e);
    if (status != NEWT_OK)
        return status;
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, VERSION);
    code = sqlite3_exec(f->db, newt__store_sqlite_sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? NEWT_OK : newt__file_fail(f, code, e);
}

int
newt__file_create(const newt__where *where, newt_error *e)
{
    newt__file f;
    int status = open_any(&f, where, SQLITE_OPEN_CREATE, e);

    if (status != NEWT_OK)
        return status;
    status = make_store(&f, e);
    newt__file_roll_back(&f);
    newt__file_close(&f);
    return status;
}
