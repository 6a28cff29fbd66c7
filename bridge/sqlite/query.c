/*
 * query.c - SQL of the program's, in the transaction's snapshot
 *
 * A value has a type of its own in SQLite, whatever its column: so what a column is said to be
 * comes from its declaration or from the first row, and each row says what its values are.
 */
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A query that runs. */
typedef struct running {
    newt__session *x;
    const newt__query *q;
    newt_error *e;
    sqlite3_stmt *s;
    int n; /* columns */
    newt__column *columns;
    newt__column_kind *kinds; /* of the values of a row */
    const char **values;
    size_t *lengths, *made; /* made: one more than the place in texts, of those that are there */
    newt__buffer texts;
    /* of a page */
    int64_t total;
    newt__oids page;
} running;

/* ---- values ------------------------------------------------------------------------------- */

static newt__column_kind
declared(const running *r, int k)
{
    static const struct {
        const char *type;
        newt__column_kind kind;
    } kinds[] = {
        {"INTEGER", NEWT__COLUMN_INTEGER},
        {"INT", NEWT__COLUMN_INTEGER},
        {"REAL", NEWT__COLUMN_REAL},
        {"JSON TEXT", NEWT__COLUMN_JSON},
    };
    const char *type = sqlite3_column_decltype(r->s, k);

    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].kind;
    return NEWT__COLUMN_TEXT;
}

static newt__column_kind
kind_of(const running *r, int k)
{
    switch (sqlite3_column_type(r->s, k)) {
    case SQLITE_INTEGER: return NEWT__COLUMN_INTEGER;
    case SQLITE_FLOAT: return NEWT__COLUMN_REAL;
    case SQLITE_TEXT:
        return declared(r, k) == NEWT__COLUMN_JSON ? NEWT__COLUMN_JSON : NEWT__COLUMN_TEXT;
    default: return NEWT__COLUMN_TEXT;
    }
}

static bool
add_hex(newt__buffer *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    if (n > SIZE_MAX / 2 - 2 || !newt__buffer_reserve(out, 2 * n + 2))
        return false;
    (void)newt__buffer_append(out, "\\x", 2);
    for (size_t i = 0; i < n; i++) {
        out->data[out->n++] = (uint8_t)digits[p[i] >> 4];
        out->data[out->n++] = (uint8_t)digits[p[i] & 15];
    }
    return true;
}

/* The text that reads back as the same number, as PostgreSQL has it; SQLite's own has fewer digits.
 * There is no NaN in SQLite. */
static bool
add_real(newt__buffer *out, double x)
{
    char text[NEWT__FLOAT_TEXT];
    size_t n = isinf(x) ? (size_t)snprintf(text, sizeof text, "%sInfinity", x < 0 ? "-" : "")
                        : newt__double_text(x, text);

    return newt__buffer_append(out, text, n);
}

/* Values that are not as they are to be handed over are made, in texts. */
static bool
take_value(running *r, int k)
{
    size_t at = r->texts.n, n;
    bool fine = true;

    r->kinds[k] = kind_of(r, k);
    r->made[k] = 0;
    switch (sqlite3_column_type(r->s, k)) {
    case SQLITE_NULL:
        r->values[k] = NULL;
        r->lengths[k] = 0;
        return true;
    case SQLITE_FLOAT: fine = add_real(&r->texts, sqlite3_column_double(r->s, k)); break;
    case SQLITE_BLOB: {
        const uint8_t *p = sqlite3_column_blob(r->s, k);

        n = (size_t)sqlite3_column_bytes(r->s, k);
        fine = (p || n == 0) && add_hex(&r->texts, p, n);
        break;
    }
    default:
        r->values[k] = (const char *)sqlite3_column_text(r->s, k);
        r->lengths[k] = n = (size_t)sqlite3_column_bytes(r->s, k);
        if (!r->values[k])
            return false;
        if (newt__utf8_valid(r->values[k], n) == n)
            return true;
        fine = newt__utf8_lossy(&r->texts, r->values[k], n);
    }
    r->made[k] = at + 1;
    r->lengths[k] = r->texts.n - at;
    return fine && newt__buffer_append(&r->texts, "", 1);
}

static int
take_row(running *r)
{
    r->texts.n = 0;
    for (int k = 0; k < r->n; k++)
        if (!take_value(r, k))
            return newt__fail_memory(r->e);
    for (int k = 0; k < r->n; k++)
        if (r->made[k] > 0)
            r->values[k] = (const char *)r->texts.data + r->made[k] - 1;
    return r->q->row(r->q->arg, r->kinds, r->values, r->lengths);
}

/* ---- pages ---------------------------------------------------------------------------------- */

static int
fail_search(newt_error *e)
{
    return newt__fail(e, NEWT_EINVAL, 0, "a search must give zoids (integers) in its first column");
}

/* All rows are counted, and those of the page are kept. */
static int
take_found(running *r)
{
    int64_t place = r->total++;

    if (sqlite3_column_type(r->s, 0) != SQLITE_INTEGER)
        return fail_search(r->e);
    if (place < r->q->offset || place - r->q->offset >= r->q->limit)
        return NEWT_OK;
    return newt__oids_add(&r->page, sqlite3_column_int64(r->s, 0)) ? NEWT_OK
                                                                   : newt__fail_memory(r->e);
}

/* Total, zoid, place; also of a page that has no row. */
static int
hand_over_page(running *r)
{
    static const newt__column columns[] = {{"total", NEWT__COLUMN_INTEGER},
                                           {"zoid", NEWT__COLUMN_INTEGER},
                                           {"place", NEWT__COLUMN_INTEGER}};
    char text[3][24];
    const char *values[3] = {text[0], text[1], text[2]};
    size_t lengths[3];
    int status = r->q->columns(r->q->arg, columns, 3);

    for (size_t i = 0; status == NEWT_OK && (i < r->page.n || i == 0); i++) {
        bool there = i < r->page.n;
        int64_t numbers[3] = {r->total, there ? r->page.oids[i] : 0, r->q->offset + (int64_t)i + 1};

        for (int k = 0; k < 3; k++)
            lengths[k] = (size_t)snprintf(text[k], sizeof text[k], "%lld", (long long)numbers[k]);
        values[1] = there ? text[1] : NULL;
        values[2] = there ? text[2] : NULL;
        status = r->q->row(r->q->arg, NULL, values, lengths);
    }
    return status;
}

/* ---- running ------------------------------------------------------------------------------ */

static bool
allocate(running *r)
{
    size_t n = (size_t)r->n + 1;

    r->columns = calloc(n, sizeof *r->columns);
    r->kinds = calloc(n, sizeof *r->kinds);
    r->values = calloc(n, sizeof *r->values);
    r->lengths = calloc(n, sizeof *r->lengths);
    r->made = calloc(n, sizeof *r->made);
    return r->columns && r->kinds && r->values && r->lengths && r->made;
}

/* there: the first row is, and tells what is not declared. */
static int
tell_columns(running *r, bool there)
{
    for (int k = 0; k < r->n; k++) {
        newt__column *c = &r->columns[k];

        c->name = sqlite3_column_name(r->s, k);
        if (!c->name)
            return newt__fail_memory(r->e);
        if (sqlite3_column_decltype(r->s, k))
            c->kind = declared(r, k);
        else
            c->kind = there ? kind_of(r, k) : NEWT__COLUMN_INTEGER;
    }
    return r->q->columns(r->q->arg, r->columns, r->n);
}

static int
run(running *r)
{
    bool page = r->q->what == NEWT__QUERY_PAGE;
    int code = sqlite3_step(r->s), status = NEWT_OK;

    r->n = sqlite3_column_count(r->s);
    if (page && r->n == 0)
        return fail_search(r->e);
    if (!allocate(r))
        return newt__fail_memory(r->e);
    if (!page && (code == SQLITE_ROW || code == SQLITE_DONE))
        status = tell_columns(r, code == SQLITE_ROW);
    for (; status == NEWT_OK && code == SQLITE_ROW; code = sqlite3_step(r->s)) {
        status = page ? take_found(r) : take_row(r);
        if (status != NEWT_OK)
            return status;
    }
    if (status == NEWT_OK && code != SQLITE_DONE)
        status = newt__file_fail(&r->x->file, code, r->e);
    return status == NEWT_OK && page ? hand_over_page(r) : status;
}

/* The SQL of a query, malloc'ed; NULL: no memory. */
static char *
text_of(const newt__query *q)
{
    static const char where[] = "SELECT zoid FROM newt WHERE ";
    size_t before = q->what == NEWT__QUERY_WHERE ? strlen(where) : 0, n = strlen(q->sql);
    char *sql = n < SIZE_MAX - sizeof where ? malloc(before + n + 1) : NULL;

    if (sql) {
        memcpy(sql, where, before);
        memcpy(sql + before, q->sql, n + 1);
    }
    return sql;
}

int
newt__sqlite_query(newt__session *x, const newt__query *q, bool *over, newt_error *e)
{
    running r = {.x = x, .q = q, .e = e, .texts.env = &newt__malloc_env};
    int status = newt__snapshot_open(x, e);
    char *sql = NULL;

    *over = status != NEWT_OK;
    if (*over)
        return status;
    sql = text_of(q);
    status = sql ? newt__program_prepare(x, sql, q->n, q->params, NEWT__READS, &r.s, e)
                 : newt__fail_memory(e);
    if (status == NEWT_OK) {
        status = run(&r);
        newt__program_done(x, r.s);
    }
    /* some errors end the snapshot */
    *over = !x->file.db || sqlite3_get_autocommit(x->file.db);
    free(sql);
    free(r.columns);
    free(r.kinds);
    free(r.values);
    free(r.lengths);
    free(r.made);
    newt__oids_free(&r.page);
    newt__buffer_free(&r.texts);
    return status;
}
