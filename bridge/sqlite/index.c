/*
 * index.c - indexes over the projection: of expressions, and of words
 *
 * What an index is made of is a list of statements, and the text that SQLite keeps of the first
 * says later whether the index is the same. An index of words is a table of FTS5 without texts of
 * its own: it reads them through a view, and triggers on the projection tell it what was changed.
 * The name is an identifier, and values in the text of a statement are quoted by SQLite.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_FIELDS = 100,
    STATEMENTS = 6 /* of an index of words */
};

/* The fields of an index of words, as they stand in its statements; malloc'ed by SQLite. */
typedef struct fields {
    char *columns;     /* "a, b" */
    char *selected;    /* of the projection, with those names */
    char *news, *olds; /* of a row that a trigger sees */
    int n;
} fields;

static void
fields_free(fields *f)
{
    sqlite3_free(f->columns);
    sqlite3_free(f->selected);
    sqlite3_free(f->news);
    sqlite3_free(f->olds);
}

/* Appends to a text that grows; false: no memory. */
static bool
append(char **to, const char *format, ...)
{
    char *more, *joined;
    va_list args;

    va_start(args, format);
    more = sqlite3_vmprintf(format, args);
    va_end(args);
    joined = more ? sqlite3_mprintf("%s%s%s", *to ? *to : "", *to ? ", " : "", more) : NULL;
    sqlite3_free(more);
    sqlite3_free(*to);
    *to = joined;
    return joined != NULL;
}

/* A name, or names with dots between them. */
static bool
is_place(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '"' || s[i] == '\\' ||
            (s[i] == '.' && (i == 0 || i == n - 1 || s[i - 1] == '.')))
            return false;
    return true;
}

/* A field, "author.name": its column "author_name" and its place '$."author"."name"'. */
static int
add_field(fields *f, const newt__index *x, const char *s, size_t n, newt_error *e)
{
    char column[128], path[4 + 3 * sizeof column] = "$.\"";
    size_t at = strlen(path);

    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        n--;
    if (n == 0 || n >= sizeof column || f->n == MOST_FIELDS || !is_place(s, n)) {
        newt__fail(e, NEWT_EINVAL, 0, "\"%.*s\" cannot be a field of index \"%s\"", (int)n, s,
                   x->name);
        newt__fail_hint(e,
                        "Fields are separated by commas; a field within another is given as "
                        "\"author.name\". There are at most %d.",
                        MOST_FIELDS);
        return NEWT_EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        column[i] = s[i] == '.' ? '_' : s[i];
        if (s[i] == '.') {
            memcpy(path + at, "\".\"", 3);
            at += 3;
        } else {
            path[at++] = s[i];
        }
    }
    column[n] = 0;
    memcpy(path + at, "\"", 2);
    f->n++;
    return append(&f->columns, "\"%w\"", column) &&
                   append(&f->selected, "state->>%Q AS \"%w\"", path, column) &&
                   append(&f->news, "new.state->>%Q", path) &&
                   append(&f->olds, "old.state->>%Q", path)
               ? NEWT_OK
               : newt__fail_memory(e);
}

static int
read_fields(fields *f, const newt__index *x, newt_error *e)
{
    const char *s = x->what;
    int status;

    do {
        size_t n;

        s += strspn(s, " \t\r\n");
        n = strcspn(s, ",");
        status = add_field(f, x, s, n, e);
        s += n;
    } while (status == NEWT_OK && *s++ == ',');
    return status;
}

/* ---- the statements ----------------------------------------------------------------------- */

/* malloc'ed by SQLite; each is NULL, or the last. */
typedef struct statements {
    char *list[STATEMENTS];
    int n;
} statements;

static void
statements_free(statements *s)
{
    for (int i = 0; i < s->n; i++)
        sqlite3_free(s->list[i]);
}

static bool
are_complete(const statements *s)
{
    for (int i = 0; i < s->n; i++)
        if (!s->list[i])
            return false;
    return true;
}

static void
of_expressions(statements *s, const newt__index *x)
{
    const char *unique = x->flags & NEWT_INDEX_UNIQUE ? "UNIQUE " : "";

    s->list[s->n++] = x->class_name
                          ? sqlite3_mprintf(
                                "CREATE %sINDEX %s ON newt_projection (%s) WHERE class_name = %Q",
                                unique, x->name, x->what, x->class_name)
                          : sqlite3_mprintf("CREATE %sINDEX %s ON newt_projection (%s)", unique,
                                            x->name, x->what);
}

/* The view has what the table of words reads, the triggers tell it of changes. */
static bool
of_words(statements *s, const newt__index *x, const fields *f)
{
    const char *n = x->name;
    char *when[2] = {NULL, NULL}, *where = sqlite3_mprintf("");
    bool fine;

    for (int i = 0; i < 2; i++)
        when[i] = x->class_name ? sqlite3_mprintf("WHEN %s.class_name = %Q ", i ? "new" : "old",
                                                  x->class_name)
                                : sqlite3_mprintf("");
    if (x->class_name) {
        sqlite3_free(where);
        where = sqlite3_mprintf(" WHERE class_name = %Q", x->class_name);
    }
    fine = when[0] && when[1] && where;
    if (fine) {
        s->list[s->n++] = sqlite3_mprintf(
            "CREATE VIEW %s_content AS SELECT zoid, %s FROM newt_projection%s", n, f->selected,
            where);
        s->list[s->n++] = sqlite3_mprintf(
            "CREATE VIRTUAL TABLE %s USING fts5(%s, content='%s_content', content_rowid='zoid')", n,
            f->columns, n);
        s->list[s->n++] = sqlite3_mprintf(
            "CREATE TRIGGER %s_insert AFTER INSERT ON newt_projection %sBEGIN "
            "INSERT INTO %s(rowid, %s) VALUES (new.zoid, %s); END",
            n, when[1], n, f->columns, f->news);
        s->list[s->n++] = sqlite3_mprintf(
            "CREATE TRIGGER %s_delete AFTER DELETE ON newt_projection %sBEGIN "
            "INSERT INTO %s(%s, rowid, %s) VALUES ('delete', old.zoid, %s); END",
            n, when[0], n, n, f->columns, f->olds);
        s->list[s->n++] = sqlite3_mprintf(
            "CREATE TRIGGER %s_update AFTER UPDATE ON newt_projection %sBEGIN "
            "INSERT INTO %s(%s, rowid, %s) VALUES ('delete', old.zoid, %s); "
            "INSERT INTO %s(rowid, %s) VALUES (new.zoid, %s); END",
            n, when[0], n, n, f->columns, f->olds, n, f->columns, f->news);
        s->list[s->n++] = sqlite3_mprintf("INSERT INTO %s(%s) VALUES ('rebuild')", n, n);
    }
    sqlite3_free(when[0]);
    sqlite3_free(when[1]);
    sqlite3_free(where);
    return fine;
}

/* ---- what is there -------------------------------------------------------------------------- */

/* What SQLite keeps of the statement that has made this, malloc'ed; NULL with NEWT_OK: it is not
 * there. */
static int
find(newt__session *x, const char *name, const char *suffix, char **out, newt_error *e)
{
    char *sql = sqlite3_mprintf("SELECT sql FROM sqlite_schema WHERE name = '%q%q' COLLATE NOCASE",
                                name, suffix);
    sqlite3_stmt *s = NULL;
    int code = sql ? sqlite3_prepare_v2(x->file.db, sql, -1, &s, NULL) : SQLITE_NOMEM;
    int status = NEWT_OK;

    *out = NULL;
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);

        *out = strdup(text ? text : "");
        if (!*out)
            status = newt__fail_memory(e);
    } else if (code != SQLITE_DONE) {
        status = newt__file_fail(&x->file, code, e);
    }
    sqlite3_finalize(s);
    sqlite3_free(sql);
    return status;
}

/* Runs statements of ours, one of which has an expression of the program's in it: it must not be
 * more than it seems, so each is compiled alone. */
static int
run(newt__session *x, const char *name, const char *sql, newt_error *e)
{
    newt_error why = {0};
    sqlite3_stmt *s;
    int status = newt__program_prepare(x, sql, 0, NULL, NEWT__INDEXES, &s, e);

    if (status == NEWT_OK) {
        status = newt__file_run(&x->file, s, e);
        newt__program_done(x, s);
    }
    if (status == NEWT_ESQL || status == NEWT_EUNIQUE) {
        newt__fail(&why, status, 0, "index \"%s\": %s", name, newt_error_message(e));
        memcpy(why.sqlstate, e->sqlstate, sizeof why.sqlstate);
        newt__fail_detail(&why, "%s", sql);
        newt__error_move(e, &why);
    }
    return status;
}

static int
create(newt__session *x, const newt__index *index, const statements *list, newt_error *e)
{
    char *there = NULL;
    /* the statement that says all of it */
    int status = find(x, index->name, index->flags & NEWT_INDEX_TEXT ? "_update" : "", &there, e);
    const char *ours = list->list[index->flags & NEWT_INDEX_TEXT ? 4 : 0];

    if (status == NEWT_OK && there && strcmp(there, ours) != 0) {
        newt__fail(e, NEWT_EINVAL, 0, "there is another \"%s\" in this store", index->name);
        newt__fail_detail(e, "%s", there);
        newt__fail_hint(e, "newt_index_drop() removes an index.");
        status = NEWT_EINVAL;
    }
    for (int i = 0; status == NEWT_OK && !there && i < list->n; i++)
        status = run(x, index->name, list->list[i], e);
    free(there);
    return status;
}

static int
drop(newt__session *x, const newt__index *index, newt_error *e)
{
    static const char *const parts[] = {"DROP TRIGGER %s_insert", "DROP TRIGGER %s_delete",
                                        "DROP TRIGGER %s_update", "DROP TABLE %s",
                                        "DROP VIEW %s_content"};
    char *plain = NULL, *words = NULL, *sql;
    int status = find(x, index->name, "", &plain, e);

    if (status == NEWT_OK)
        status = find(x, index->name, "_content", &words, e);
    if (status == NEWT_OK && !plain) {
        status = newt__fail(e, NEWT_EINVAL, 0, "there is no index \"%s\"", index->name);
    } else if (status == NEWT_OK && words) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts && status == NEWT_OK; i++) {
            sql = sqlite3_mprintf(parts[i], index->name);
            status = sql ? run(x, index->name, sql, e) : newt__fail_memory(e);
            sqlite3_free(sql);
        }
    } else if (status == NEWT_OK) {
        sql = sqlite3_mprintf("DROP INDEX %s", index->name);
        status = sql ? run(x, index->name, sql, e) : newt__fail_memory(e);
        sqlite3_free(sql);
    }
    free(plain);
    free(words);
    return status;
}

static int
make_list(statements *list, const newt__index *index, newt_error *e)
{
    fields f = {0};
    int status = NEWT_OK;

    if (index->flags & NEWT_INDEX_TEXT)
        status = read_fields(&f, index, e);
    else
        of_expressions(list, index);
    if (status == NEWT_OK && index->flags & NEWT_INDEX_TEXT && !of_words(list, index, &f))
        status = newt__fail_memory(e);
    if (status == NEWT_OK && !are_complete(list))
        status = newt__fail_memory(e);
    fields_free(&f);
    return status;
}

int
newt__sqlite_index(newt__session *x, const newt__index *index, newt_error *e)
{
    statements list = {{NULL}, 0};
    int status = newt__sqlite_ready(x, 0, e);

    if (status == NEWT_OK && index->what)
        status = make_list(&list, index, e);
    if (status == NEWT_OK)
        status = newt__file_lock(&x->file, e);
    if (status == NEWT_OK) {
        status = index->what ? create(x, index, &list, e) : drop(x, index, e);
        if (status == NEWT_OK)
            status = newt__file_do(&x->file, NEWT__Q_COMMIT, e);
        if (status != NEWT_OK)
            newt__file_roll_back(&x->file);
    }
    statements_free(&list);
    return status;
}
