/*
 * query.c - SQL of the application, in the transaction's snapshot
 *
 * A query runs after a savepoint, to which the transaction goes back whether it worked or not:
 * so a query that fails fails alone, and settings changed for it or by it do not stay. It costs no
 * round trip: everything is in the query's own flush.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- running -------------------------------------------------------------------------- */

void
newt__plans_send(newt__session *c)
{
    newt__params p = {0};

    for (int i = 0; i < NEWT__N_PLAN_SETTINGS; i++)
        newt__param_text(&p, c->plans[i]);
    newt__send(c, NEWT__S_USER_PLANS, &p);
}

/* Runs one statement; *out is the caller's to clear. */
static int
run(newt__session *c, const char *sql, int n, const char *const *params, bool *over, PGresult **out)
{
    int status = newt__session_server(c);
    bool opening, back;
    PGresult *r;

    if (status != NEWT_OK) {
        *over = true;
        return status;
    }
    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    if (!c->savepoint)
        newt__send(c, NEWT__S_SAVEPOINT, NULL);
    newt__plans_send(c);
    newt__send_query(c, sql, n, params);
    newt__sync(c);
    newt__send(c, NEWT__S_ROLLBACK_TO, NULL);
    newt__sync(c);

    if (opening && (status = newt__snapshot_take(c)) != NEWT_OK) {
        newt__take_rest(c);
        *over = true;
        return c->talk->error.status != NEWT_OK ? newt__talk_end(c) : status;
    }
    if (!c->savepoint)
        c->savepoint = newt__take_done(c);
    newt__take_done(c);
    r = newt__take(c);
    newt__take_sync(c);
    back = newt__take_done(c);
    newt__take_rest(c);
    if (!back && !c->broken) {
        newt__error_clear(&c->talk->error);
        newt__fail(&c->talk->error, NEWT_EINVAL, 0, "a query must not end the transaction");
        newt__fail_hint(&c->talk->error, "Use newt_commit() or newt_abort().");
    }
    status = newt__talk_end(c);
    *over = status != NEWT_OK && !back;
    if (status == NEWT_OK)
        *out = r;
    else
        PQclear(r);
    return status;
}

/* ---- the text ------------------------------------------------------------------------- */

/* before, the middle, after; malloc'ed. */
static char *
join(const char *before, const char *middle, size_t middle_n, const char *after)
{
    size_t a = strlen(before), b = strlen(after);
    char *s = middle_n < SIZE_MAX - a - b - 1 ? malloc(a + middle_n + b + 1) : NULL;

    if (s) {
        memcpy(s, before, a);
        memcpy(s + a, middle, middle_n);
        memcpy(s + a + middle_n, after, b + 1);
    }
    return s;
}

/* Without blanks and semicolons at its end: it is going to stand in parentheses. */
static size_t
trimmed(const char *sql)
{
    size_t n = strlen(sql);

    while (n > 0 && strchr("; \t\r\n\f\v", sql[n - 1]))
        n--;
    return n;
}

/* The search runs once; the count is there also where the page has no row. */
static char *
page_of(const char *sql, int n)
{
    char after[400];

    snprintf(
        after, sizeof after,
        "\n) SELECT n.total, p.zoid, p.place FROM (SELECT count(*) AS total FROM newt_found) n "
        "LEFT JOIN (SELECT zoid, row_number() OVER () AS place FROM newt_found "
        "OFFSET $%d::bigint LIMIT $%d::bigint) p ON true ORDER BY p.place",
        n + 1, n + 2);
    return join("WITH newt_found(zoid) AS MATERIALIZED (", sql, trimmed(sql), after);
}

/* The SQL of a query, malloc'ed; NULL: no memory. */
static char *
text_of(const newt__session *c, const newt__query *q)
{
    char *from, *sql = NULL;

    if (q->what == NEWT__QUERY)
        return strdup(q->sql);
    if (q->what == NEWT__QUERY_PAGE)
        return page_of(q->sql, q->n);
    from = newt__sql_expand("SELECT zoid FROM @store@.newt WHERE ", c->storage->sql->schema);
    if (from)
        sql = join(from, q->sql, strlen(q->sql), "");
    free(from);
    return sql;
}

/* ---- results -------------------------------------------------------------------------- */

enum {
    OID_BOOL = 16, /* pg_type.oid of the types that have a word in JSON */
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

static newt__column_kind
kind_of(Oid type)
{
    static const struct {
        Oid type;
        newt__column_kind kind;
    } kinds[] = {
        {OID_BOOL, NEWT__COLUMN_BOOL},          {NEWT__OID_INT2, NEWT__COLUMN_INTEGER},
        {NEWT__OID_INT4, NEWT__COLUMN_INTEGER}, {NEWT__OID_INT8, NEWT__COLUMN_INTEGER},
        {OID_OID, NEWT__COLUMN_NUMERIC},        {OID_FLOAT4, NEWT__COLUMN_REAL},
        {OID_FLOAT8, NEWT__COLUMN_REAL},        {OID_NUMERIC, NEWT__COLUMN_NUMERIC},
        {OID_JSON, NEWT__COLUMN_JSON},          {NEWT__OID_JSONB, NEWT__COLUMN_JSON},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].type == type)
            return kinds[i].kind;
    return NEWT__COLUMN_TEXT;
}

static int
hand_over(newt__session *c, const newt__query *q, const PGresult *r)
{
    int n = PQnfields(r), status = NEWT_OK;
    newt__column *columns = malloc(((size_t)n + 1) * sizeof *columns);
    const char **values = malloc(((size_t)n + 1) * sizeof *values);
    size_t *lengths = malloc(((size_t)n + 1) * sizeof *lengths);

    if (!columns || !values || !lengths) {
        status = newt__fail_memory(&c->error);
        goto out;
    }
    for (int k = 0; k < n; k++)
        columns[k] = (newt__column){PQfname(r, k), kind_of(PQftype(r, k))};
    status = q->columns(q->arg, columns, n);
    for (int i = 0; i < PQntuples(r) && status == NEWT_OK; i++) {
        for (int k = 0; k < n; k++) {
            values[k] = PQgetisnull(r, i, k) ? NULL : PQgetvalue(r, i, k);
            lengths[k] = (size_t)PQgetlength(r, i, k);
        }
        status = q->row(q->arg, NULL, values, lengths);
    }
out:
    free(columns);
    free(values);
    free(lengths);
    return status;
}

int
newt__session_query(newt__session *c, const newt__query *q, bool *over)
{
    char offset[24], limit[24], *sql = text_of(c, q);
    bool page = q->what == NEWT__QUERY_PAGE;
    const char **params = malloc(((size_t)q->n + 2) * sizeof *params);
    PGresult *r = NULL;
    int status = NEWT_OK;

    *over = false;
    if (!sql || !params) {
        status = newt__fail_memory(&c->error);
        goto out;
    }
    if (q->n > 0)
        memcpy(params, q->params, (size_t)q->n * sizeof *params);
    snprintf(offset, sizeof offset, "%lld", (long long)q->offset);
    snprintf(limit, sizeof limit, "%lld", (long long)q->limit);
    params[q->n] = offset;
    params[q->n + 1] = limit;
    status = run(c, sql, q->n + (page ? 2 : 0), params, over, &r);
    if (status == NEWT_OK)
        status = hand_over(c, q, r);
out:
    PQclear(r);
    free(sql);
    free(params);
    return status;
}
