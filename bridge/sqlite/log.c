/*
 * log.c - the row of a transaction: which objects it has written and removed, as lists in JSON
 *
 * Of a large transaction the lists are in transaction_object, in parts, which are written as they
 * become full: they need not fit into memory.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

void
newt__log_begin(newt__log *l, newt__file *f, int64_t serial)
{
    l->file = f;
    l->serial = serial;
    l->parts = 0;
    l->written.n = l->removed.n = l->classes.n = 0;
    l->written.text.n = l->removed.text.n = l->classes.text.n = 0;
    l->written.text.env = l->removed.text.env = l->classes.text.env = &newt__malloc_env;
}

void
newt__log_free(newt__log *l)
{
    newt__buffer_free(&l->written.text);
    newt__buffer_free(&l->removed.text);
    newt__buffer_free(&l->classes.text);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static bool
list_oid(newt__list *l, int64_t oid)
{
    char text[24], *at = text + sizeof text;

    do /* oids are not negative */
        *--at = (char)('0' + oid % 10);
    while ((oid /= 10) > 0);
    *--at = l->n++ ? ',' : '[';
    return newt__buffer_append(&l->text, at, (size_t)(text + sizeof text - at));
}

static bool
list_class(newt__list *l, const void *name, size_t n)
{
    json_t *json = json_stringn(name ? name : "", n);
    char *text = json ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    bool listed = text && newt__buffer_append(&l->text, l->n++ ? "," : "[", 1) &&
                  newt__buffer_append(&l->text, text, strlen(text));

    json_decref(json);
    free(text);
    return listed;
}

static int
bind_list(newt__log *log, sqlite3_stmt *s, int i, newt__list *l, newt_error *e)
{
    int code;

    if (!newt__buffer_append(&l->text, l->n ? "]" : "[]", l->n ? 1 : 2))
        return newt__fail_memory(e);
    code = sqlite3_bind_text64(s, i, (const char *)l->text.data, l->text.n, SQLITE_STATIC,
                               SQLITE_UTF8);
    return code == SQLITE_OK ? NEWT_OK : newt__file_fail(log->file, code, e);
}

/* The lists as columns from i on. The classes are there if something was removed. */
static int
bind_lists(newt__log *l, sqlite3_stmt *s, int i, newt_error *e)
{
    int status = bind_list(l, s, i, &l->written, e);

    if (status == NEWT_OK)
        status = bind_list(l, s, i + 1, &l->removed, e);
    sqlite3_bind_null(s, i + 2);
    if (status == NEWT_OK && l->classes.n > 0)
        status = bind_list(l, s, i + 2, &l->classes, e);
    return status;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static int
write_part(newt__log *l, newt_error *e)
{
    sqlite3_stmt *s = newt__file_statement(l->file, NEWT__Q_PART, e);
    int64_t parts = l->parts + 1;
    int status;

    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, l->serial);
    sqlite3_bind_int64(s, 2, l->parts);
    status = bind_lists(l, s, 3, e);
    if (status == NEWT_OK)
        status = newt__file_run(l->file, s, e);
    newt__log_begin(l, l->file, l->serial);
    l->parts = parts;
    return status;
}

int
newt__log_add(newt__log *l, int64_t oid, bool removed, const void *class_name, size_t n,
              newt_error *e)
{
    if (!list_oid(removed ? &l->removed : &l->written, oid) ||
        (removed && !list_class(&l->classes, class_name, n)))
        return newt__fail_memory(e);
    return l->written.n + l->removed.n == NEWT__OIDS_IN_PART ? write_part(l, e) : NEWT_OK;
}

int
newt__log_end(newt__log *l, const newt__transaction *t, newt_error *e)
{
    size_t n = l->written.n + l->removed.n;
    sqlite3_stmt *s;
    int status = NEWT_OK;

    if (n > (l->parts > 0 ? 0 : NEWT__OIDS_IN_ROW))
        status = write_part(l, e);
    s = status == NEWT_OK ? newt__file_statement(l->file, NEWT__Q_TRANSACTION, e) : NULL;
    if (!s)
        return e->status;
    sqlite3_bind_int64(s, 1, t->at.tid);
    sqlite3_bind_int64(s, 2, t->at.serial);
    sqlite3_bind_int64(s, 3, t->committed_us);
    newt__bind_text(s, 4, t->user);
    newt__bind_text(s, 5, t->description);
    newt__bind_text(s, 6, t->extension);
    for (int i = 7; i <= 9; i++)
        sqlite3_bind_null(s, i);
    if (l->parts == 0)
        status = bind_lists(l, s, 7, e);
    return status == NEWT_OK ? newt__file_run(l->file, s, e) : status;
}
