/*
 * commit.c - commits: changes are gathered, and written in one short transaction
 *
 * Up to MOST_HELD bytes of records and JSON are made before the lock is taken, so that a program's
 * to_json holds up nobody; what is more is gathered and written in turns, with the lock. The first
 * object that others have changed ends the writing: what comes after it is only compared, so that
 * all of them are told.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_HELD = 2 * 1024 * 1024,
    MOST_OBJECTS = 10000, /* that are held */
    OIDS_IN_ROW = 1000,   /* more go to transaction_object */
    OIDS_IN_PART = 5000,  /* there */
    PRUNE_EVERY = 64,     /* one in so many commits also removes some of the oldest transactions */
    PRUNED = 128
};

/* A change that is held. Its texts are places in work.bytes. */
typedef struct held {
    newt__change c;
    size_t record, class_name, json;
    size_t json_n; /* 0: no row of the projection */
    json_t *rejects;
} held;

/* A list in JSON that grows. */
typedef struct list {
    newt__buffer text;
    size_t n;
} list;

typedef struct work {
    newt__session *x;
    const newt__writes *w;
    newt__committed *out;
    newt_error *e;
    held *held;
    size_t n, cap;
    newt__buffer bytes, json; /* json: of one object */
    bool writing;             /* the lock is taken */
    bool last;                /* all has been pulled */
    bool clashed, enough;     /* others have changed something; no more of it is to be told */
    int64_t tid;              /* of this transaction; also its serial */
    int64_t objects, parts;   /* written; of the transaction */
    list written, removed, classes;
    int stopped; /* what a callback has returned */
} work;

/* ---- gathering ------------------------------------------------------------------------------ */

static bool
make_room(work *k)
{
    size_t cap = k->cap ? 2 * k->cap : 8;
    held *more;

    if (k->n < k->cap)
        return true;
    more = realloc(k->held, cap * sizeof *more); /* at most MOST_OBJECTS of them */
    if (!more)
        return false;
    k->held = more;
    k->cap = cap;
    return true;
}

static int
project(work *k, held *h)
{
    bool hidden = false;
    int status;

    if (h->c.lossy && !(h->rejects = json_array()))
        return newt__fail_memory(k->e);
    k->json.n = 0;
    status = k->w->project(k->w->arg, h->c.oid, k->bytes.data + h->record, h->c.n, &k->json,
                           &hidden, h->rejects);
    if (status != NEWT_OK) {
        k->stopped = status;
        return status;
    }
    h->json = k->bytes.n;
    h->json_n = hidden ? 0 : k->json.n;
    return newt__buffer_append(&k->bytes, k->json.data, h->json_n) ? NEWT_OK
                                                                   : newt__fail_memory(k->e);
}

static int
hold(work *k, const newt__change *c)
{
    held *h;
    newt__reader head;

    if (!make_room(k))
        return newt__fail_memory(k->e);
    h = &k->held[k->n++];
    *h = (held){.c = *c, .record = k->bytes.n};
    if (!newt__buffer_append(&k->bytes, c->record, c->n))
        return newt__fail_memory(k->e);
    h->class_name = k->bytes.n;
    if (c->what != NEWT__REMOVE) {
        h->c.class_n = 0;
        if (newt__read_begin(&head, &newt__malloc_env, c->record, c->n) == NEWT__OK) {
            h->c.class_name = head.class_name;
            h->c.class_n = head.class_n;
        }
    }
    if (!newt__buffer_append(&k->bytes, h->c.class_name, h->c.class_n))
        return newt__fail_memory(k->e);
    return c->what == NEWT__REMOVE || c->projection == NEWT__PROJECT_NOT ? NEWT_OK : project(k, h);
}

static void
let_go(work *k)
{
    for (size_t i = 0; i < k->n; i++)
        json_decref(k->held[i].rejects);
    k->n = k->bytes.n = 0;
}

/* The next changes, as many as are held at once. */
static int
gather(work *k)
{
    newt__change c;
    int found = 0, status = NEWT_OK;

    let_go(k);
    while (status == NEWT_OK && k->n < MOST_OBJECTS && k->bytes.n < MOST_HELD &&
           (found = k->w->next(k->w->arg, &c)) == 1)
        status = hold(k, &c);
    if (status != NEWT_OK)
        return status;
    if (found < 0)
        return k->stopped = found;
    k->last = found == 0;
    return NEWT_OK;
}

/* ---- what others have changed -----------------------------------------------------------------
 */

/* The object as it is now. */
static int
tell_clash(work *k, int64_t oid, bool only_read, bool wants_record)
{
    sqlite3_stmt *s = newt__file_statement(&k->x->file, NEWT__Q_LOAD, k->e);
    newt__found now = {.oid = oid};
    int code, status = NEWT_OK;

    k->clashed = true;
    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        now.serial = sqlite3_column_int64(s, 0);
        if (wants_record) {
            now.record = sqlite3_column_blob(s, 1);
            now.n = (size_t)sqlite3_column_bytes(s, 1);
        }
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&k->x->file, code, k->e);
    }
    if (status == NEWT_OK && k->w->clash(k->w->arg, &now, only_read) != 0)
        k->enough = true;
    sqlite3_reset(s);
    return status;
}

/* 1: it has this serial; 0: another, or it is not there. */
static int
compare(work *k, int64_t oid, int64_t serial)
{
    sqlite3_stmt *s = newt__file_statement(&k->x->file, NEWT__Q_SERIAL, k->e);
    int code, same = 0;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, oid);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        same = sqlite3_column_int64(s, 0) == serial;
    else if (code != SQLITE_DONE)
        same = newt__file_fail(&k->x->file, code, k->e);
    sqlite3_reset(s);
    return same;
}

/* What was only to be current. */
static int
check_current(work *k)
{
    int status = NEWT_OK;

    for (size_t i = 0; i < k->w->n_current && status == NEWT_OK && !k->enough; i++) {
        int64_t oid, serial;
        int same = 1;

        if (k->w->current(k->w->arg, i, &oid, &serial))
            same = compare(k, oid, serial);
        status = same == 0 ? tell_clash(k, oid, true, false) : same < 0 ? same : NEWT_OK;
    }
    return status;
}

/* ---- the row of the transaction ---------------------------------------------------------------
 */

static bool
list_oid(list *l, int64_t oid)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%c%lld", l->n++ ? ',' : '[', (long long)oid);

    return newt__buffer_append(&l->text, text, (size_t)n);
}

static bool
list_class(list *l, const void *name, size_t n)
{
    json_t *json = json_stringn(name, n);
    char *text = json ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    bool listed = text && newt__buffer_append(&l->text, l->n++ ? "," : "[", 1) &&
                  newt__buffer_append(&l->text, text, strlen(text));

    json_decref(json);
    free(text);
    return listed;
}

static int
bind_list(work *k, sqlite3_stmt *s, int i, list *l)
{
    int code;

    if (!newt__buffer_append(&l->text, l->n ? "]" : "[]", l->n ? 1 : 2))
        return newt__fail_memory(k->e);
    code = sqlite3_bind_text64(s, i, (const char *)l->text.data, l->text.n, SQLITE_STATIC,
                               SQLITE_UTF8);
    return code == SQLITE_OK ? NEWT_OK : newt__file_fail(&k->x->file, code, k->e);
}

/* The lists as columns from i on. The classes are there if something was removed. */
static int
bind_lists(work *k, sqlite3_stmt *s, int i)
{
    int status = bind_list(k, s, i, &k->written);

    if (status == NEWT_OK)
        status = bind_list(k, s, i + 1, &k->removed);
    sqlite3_bind_null(s, i + 2);
    if (status == NEWT_OK && k->classes.n > 0)
        status = bind_list(k, s, i + 2, &k->classes);
    return status;
}

static void
empty_lists(work *k)
{
    k->written.n = k->removed.n = k->classes.n = 0;
    k->written.text.n = k->removed.text.n = k->classes.text.n = 0;
}

static int
write_part(work *k)
{
    sqlite3_stmt *s = newt__file_statement(&k->x->file, NEWT__Q_PART, k->e);
    int status;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, k->tid);
    sqlite3_bind_int64(s, 2, k->parts++);
    status = bind_lists(k, s, 3);
    if (status == NEWT_OK)
        status = newt__file_run(&k->x->file, s, k->e);
    empty_lists(k);
    return status;
}

static int
write_transaction(work *k)
{
    sqlite3_stmt *s;
    int status = NEWT_OK;

    if (k->parts > 0 ? k->written.n + k->removed.n > 0 : k->written.n + k->removed.n > OIDS_IN_ROW)
        status = write_part(k);
    s = status == NEWT_OK ? newt__file_statement(&k->x->file, NEWT__Q_TRANSACTION, k->e) : NULL;
    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, k->tid);
    sqlite3_bind_int64(s, 2, newt__time());
    newt__bind_text(s, 3, k->w->user);
    newt__bind_text(s, 4, k->w->description);
    newt__bind_text(s, 5, k->w->extension);
    for (int i = 6; i <= 8; i++)
        sqlite3_bind_null(s, i);
    if (k->parts == 0)
        status = bind_lists(k, s, 6);
    return status == NEWT_OK ? newt__file_run(&k->x->file, s, k->e) : status;
}

/* ---- objects ------------------------------------------------------------------------------ */

/* Names the object whose row was refused, as an index of the program's does. */
static int
refused(work *k, const held *h)
{
    newt_error named = {0};
    const char *name = (const char *)k->bytes.data + h->class_name;
    int n = (int)h->c.class_n;

    newt__fail(&named, k->e->status, h->c.oid, "%.*s %lld: %s", n ? n : 6, n ? name : "object",
               (long long)h->c.oid, newt_error_message(k->e));
    memcpy(named.sqlstate, k->e->sqlstate, sizeof named.sqlstate);
    if (n)
        newt__fail_class(&named, name, h->c.class_n);
    if (k->e->constraint)
        named.constraint = strdup(k->e->constraint);
    newt__error_move(k->e, &named);
    return k->e->status;
}

/* "UNIQUE constraint failed: index 'name'", or the columns. */
static void
take_constraint(newt_error *e)
{
    const char *at = strstr(newt_error_message(e), "failed: ");
    size_t n;

    if (!at)
        return;
    at += strlen("failed: ");
    if (strncmp(at, "index '", 7) == 0)
        at += 7;
    n = strlen(at);
    if (n > 0 && at[n - 1] == '\'')
        n--;
    free(e->constraint);
    e->constraint = strndup(at, n);
}

static int
run_for(work *k, const held *h, sqlite3_stmt *s)
{
    int status = newt__file_run(&k->x->file, s, k->e);

    /* of a constraint, or of a function in an index or a trigger */
    if (status == NEWT_OK || (*k->e->sqlstate && strncmp(k->e->sqlstate, "23", 2) != 0))
        return status;
    take_constraint(k->e);
    return refused(k, h);
}

static int
write_rejects(work *k, const held *h)
{
    newt__file *f = &k->x->file;
    sqlite3_stmt *s = newt__file_statement(f, NEWT__Q_UNREJECT, k->e);
    int status = NEWT_OK;
    json_t *reject;
    size_t i;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, h->c.oid);
    status = newt__file_run(f, s, k->e);
    json_array_foreach(h->rejects, i, reject)
    {
        char *path = json_dumps(json_object_get(reject, "path"), JSON_COMPACT);

        s = status == NEWT_OK ? newt__file_statement(f, NEWT__Q_REJECT, k->e) : NULL;
        if (s && path) {
            sqlite3_bind_int64(s, 1, h->c.oid);
            sqlite3_bind_int64(s, 2, k->tid);
            sqlite3_bind_int64(s, 3, (int64_t)i + 1);
            newt__bind_text(s, 4, path);
            newt__bind_text(s, 5, json_string_value(json_object_get(reject, "reason")));
            status = newt__file_run(f, s, k->e);
        } else if (s) {
            status = newt__fail_memory(k->e);
        } else if (status == NEWT_OK) {
            status = k->e->status;
        }
        free(path);
    }
    return status;
}

static int
write_row(work *k, const held *h)
{
    newt__file *f = &k->x->file;
    bool there = h->c.what != NEWT__REMOVE && h->json_n > 0;
    sqlite3_stmt *s;
    int code, status;

    if (!there && h->c.what == NEWT__ADD)
        return NEWT_OK;
    s = newt__file_statement(f, there ? NEWT__Q_PROJECT : NEWT__Q_UNPROJECT, k->e);
    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, h->c.oid);
    if (there) {
        code = sqlite3_bind_text64(s, 2, (const char *)k->bytes.data + h->class_name, h->c.class_n,
                                   SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_int64(s, 3, k->tid);
        if (code == SQLITE_OK)
            code = sqlite3_bind_text64(s, 4, (const char *)k->bytes.data + h->json, h->json_n,
                                       SQLITE_STATIC, SQLITE_UTF8);
        if (code != SQLITE_OK)
            return newt__file_fail(f, code, k->e);
    }
    status = run_for(k, h, s);
    if (status == NEWT_OK && there && json_array_size(h->rejects) > 0)
        status = write_rejects(k, h);
    return status;
}

static int
write_state(work *k, const held *h, bool *changed)
{
    static const newt__sql statements[] = {[NEWT__ADD] = NEWT__Q_ADD,
                                           [NEWT__REPLACE] = NEWT__Q_REPLACE,
                                           [NEWT__REMOVE] = NEWT__Q_REMOVE};
    newt__file *f = &k->x->file;
    sqlite3_stmt *s = newt__file_statement(f, statements[h->c.what], k->e);
    int code = SQLITE_OK, status;

    if (!s)
        return k->e->status;
    sqlite3_bind_int64(s, 1, h->c.oid);
    sqlite3_bind_int64(s, 2, h->c.what == NEWT__REMOVE ? h->c.serial : k->tid);
    if (h->c.what != NEWT__REMOVE)
        code = sqlite3_bind_blob64(s, 3, k->bytes.data + h->record, h->c.n, SQLITE_STATIC);
    if (h->c.what == NEWT__REPLACE)
        sqlite3_bind_int64(s, 4, h->c.serial);
    if (code != SQLITE_OK)
        return newt__file_fail(f, code, k->e);
    status = newt__file_run(f, s, k->e);
    *changed = status == NEWT_OK && sqlite3_changes(f->db) == 1;
    return status;
}

static int
list_object(work *k, const held *h)
{
    bool removed = h->c.what == NEWT__REMOVE;

    if (!list_oid(removed ? &k->removed : &k->written, h->c.oid) ||
        (removed && !list_class(&k->classes, k->bytes.data + h->class_name, h->c.class_n)))
        return newt__fail_memory(k->e);
    return k->written.n + k->removed.n == OIDS_IN_PART ? write_part(k) : NEWT_OK;
}

static int
write_one(work *k, const held *h)
{
    bool changed = true;
    int same, status;

    if (k->clashed) { /* nothing will stay */
        same = h->c.what == NEWT__ADD ? 1 : compare(k, h->c.oid, h->c.serial);
        return same == 0  ? tell_clash(k, h->c.oid, false, h->c.wants_record)
               : same < 0 ? same
                          : NEWT_OK;
    }
    k->objects++;
    status = write_state(k, h, &changed);
    if (status == NEWT_OK && !changed)
        return tell_clash(k, h->c.oid, false, h->c.wants_record);
    if (status == NEWT_OK)
        status = write_row(k, h);
    return status == NEWT_OK ? list_object(k, h) : status;
}

/* ---- from beginning to end ---------------------------------------------------------------- */

/* Ends the snapshot, takes the lock, and finds out what has been committed since. */
static int
begin_writing(work *k)
{
    newt__session *x = k->x;
    newt__changes *others = &k->out->others;
    int status;

    newt__sqlite_end(x);
    if (!x->file.db && (status = newt__sqlite_ready(x, 0, k->e)) != NEWT_OK)
        return status;
    status = newt__file_do(&x->file, NEWT__Q_BEGIN_WRITE, k->e);
    if (status != NEWT_OK)
        return status;
    k->writing = true;
    status = newt__changes_list(x, k->w->cache, others, k->e);
    if (status != NEWT_OK)
        return status;
    k->tid = newt__time();
    if (k->tid <= others->to.tid)
        k->tid = others->to.tid + 1;
    others->before = others->n;
    /* after a commit a cache without a position has nothing but what it has made */
    others->all &= k->w->cache.tid != 0;
    others->to = (newt__position){k->tid, k->tid};
    k->out->has_others = true;
    return NEWT_OK;
}

/* Gathers and writes all. */
static int
write_all(work *k)
{
    int status = NEWT_OK;

    while (!k->last && !k->enough && status == NEWT_OK) {
        status = gather(k);
        if (status == NEWT_OK && k->n > 0 && !k->writing)
            status = begin_writing(k);
        for (size_t i = 0; i < k->n && status == NEWT_OK && !k->enough; i++)
            status = write_one(k, &k->held[i]);
    }
    return status;
}

/* Nobody else is there to do it. Times are as good as chance: programs that commit once and end
 * take their turns, too. */
static int
prune_sometimes(work *k)
{
    int64_t pruned;

    return k->tid % PRUNE_EVERY == 0 ? newt__prune_within(k->x, PRUNED, &pruned, k->e) : NEWT_OK;
}

/* What has been written becomes visible, and is durable by then. An error of the disk may have hit
 * the record that says so: then a crash may show the transaction to be there. */
static newt__outcome
make_visible(work *k)
{
    int status = newt__file_do(&k->x->file, NEWT__Q_COMMIT, k->e);

    if (status == NEWT_OK) {
        k->writing = false;
        k->out->serial = k->out->tid = k->tid;
        return NEWT__DONE;
    }
    if (strcmp(k->e->sqlstate, "58030") != 0)
        return NEWT__FAILED;
    k->e->status = NEWT_EUNKNOWN;
    return NEWT__IN_DOUBT;
}

static newt__outcome
carry_out(work *k)
{
    int status = k->w->rewind(k->w->arg);

    if (status != NEWT_OK) {
        k->stopped = status;
        return NEWT__STOPPED;
    }
    status = write_all(k);
    if (k->stopped != NEWT_OK)
        return NEWT__STOPPED;
    if (status == NEWT_OK && !k->writing) { /* there is nothing */
        newt__sqlite_end(k->x);
        return NEWT__DONE;
    }
    if (status == NEWT_OK && !k->enough)
        status = check_current(k);
    if (status == NEWT_OK && k->clashed) {
        newt__fail(k->e, NEWT_ECONFLICT, 0, "object was changed by another transaction");
        memcpy(k->e->sqlstate, "40001", sizeof k->e->sqlstate);
        return NEWT__CLASH;
    }
    if (status == NEWT_OK)
        status = write_transaction(k);
    if (status == NEWT_OK)
        status = prune_sometimes(k);
    return status == NEWT_OK ? make_visible(k) : NEWT__FAILED;
}

newt__outcome
newt__sqlite_commit(newt__session *x, const newt__writes *w, newt__committed *out, newt_error *e)
{
    work k = {.x = x, .w = w, .out = out, .e = e};
    newt__outcome outcome;

    *out = (newt__committed){0};
    k.bytes.env = k.json.env = &newt__malloc_env;
    k.written.text.env = k.removed.text.env = k.classes.text.env = &newt__malloc_env;
    x->wanted = false;
    outcome = carry_out(&k);
    out->status = k.stopped;
    if (outcome != NEWT__DONE)
        newt__sqlite_end(x);
    if (k.writing)
        newt__file_roll_back(&x->file);
    let_go(&k);
    free(k.held);
    newt__buffer_free(&k.bytes);
    newt__buffer_free(&k.json);
    newt__buffer_free(&k.written.text);
    newt__buffer_free(&k.removed.text);
    newt__buffer_free(&k.classes.text);
    return outcome;
}
