/*
 * search.c - SQL of the application, in the transaction's snapshot
 *
 * A query runs after a savepoint, to which the transaction goes back whether it worked or not:
 * so a query that fails fails alone, and settings changed for it or by it do not stay. It costs no
 * round trip: everything is in the query's own flush.
 */
#include "object.h"
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct newt_result {
    newt_conn *c;
    int64_t *oids;
    size_t n;
    int64_t total;
};

enum {
    MOST_PARAMS = 65535 /* of the protocol */
};

/* ---- running -------------------------------------------------------------------------- */

static void
send_user_plans(newt_conn *c)
{
    newt__params p = {0};

    for (int i = 0; i < NEWT__N_PLAN_SETTINGS; i++)
        newt__param_text(&p, c->plans[i]);
    newt__send(c, NEWT__S_USER_PLANS, &p);
}

static int
no_memory(newt_conn *c)
{
    newt_error e = {0};

    newt__fail_memory(&e);
    return newt__conn_fail_with(c, &e);
}

/* Runs one statement; *out is the caller's to clear. */
static int
run(newt_conn *c, const char *sql, int n, const char *const *params, PGresult **out)
{
    bool opening, back;
    PGresult *r;
    int status;

    *out = NULL;
    status = newt__conn_enter(c);
    if (status == NEWT_OK)
        status = newt__conn_server(c);
    if (status != NEWT_OK)
        return status;
    if (!sql || n < 0 || n > MOST_PARAMS || (n > 0 && !params))
        return newt__conn_fail(c, NEWT_EINVAL, 0, "a query without text, or with %d parameters", n);

    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    if (!c->savepoint)
        newt__send(c, NEWT__S_SAVEPOINT, NULL);
    send_user_plans(c);
    newt__send_query(c, sql, n, params);
    newt__sync(c);
    newt__send(c, NEWT__S_ROLLBACK_TO, NULL);
    newt__sync(c);

    if (opening && (status = newt__snapshot_take(c)) != NEWT_OK) {
        newt__take_rest(c);
        if (c->talk->error.status != NEWT_OK && c->phase != NEWT__DOOMED)
            newt__talk_end(c);
        return newt__doom(c);
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
    if (status != NEWT_OK) {
        PQclear(r);
        return back ? status : newt__doom(c);
    }
    *out = r;
    return NEWT_OK;
}

/* ---- results -------------------------------------------------------------------------- */

static bool
is_integer(Oid type)
{
    return type == NEWT__OID_INT8 || type == NEWT__OID_INT4 || type == NEWT__OID_INT2;
}

/* The oids in a column; rows where `row_column` is null do not count. */
static int
make_result(newt_conn *c, const PGresult *r, int column, int row_column, newt_result **out)
{
    newt_result *result;
    int rows = PQntuples(r);

    if (column >= PQnfields(r) || !is_integer(PQftype(r, column))) {
        newt__conn_fail(c, NEWT_EINVAL, 0, "a search must give zoids (bigint) in its first column");
        return NEWT_EINVAL;
    }
    result = calloc(1, sizeof *result);
    if (result && rows > 0)
        result->oids = malloc((size_t)rows * sizeof *result->oids);
    if (!result || (rows > 0 && !result->oids)) {
        newt_result_free(result);
        return no_memory(c);
    }
    result->c = c;
    for (int i = 0; i < rows; i++)
        if (row_column < 0 || !PQgetisnull(r, i, row_column))
            result->oids[result->n++] = strtoll(PQgetvalue(r, i, column), NULL, 10);
    result->total = (int64_t)result->n;
    *out = result;
    return NEWT_OK;
}

int
newt_search(newt_conn *c, newt_result **out, const char *sql, int n, const char *const *params)
{
    PGresult *r;
    int status;

    *out = NULL;
    status = run(c, sql, n, params, &r);
    if (status == NEWT_OK)
        status = make_result(c, r, 0, -1, out);
    PQclear(r);
    return status;
}

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

int
newt_where(newt_conn *c, newt_result **out, const char *condition, int n, const char *const *params)
{
    char *from, *sql = NULL;
    int status;

    *out = NULL;
    status = newt__conn_enter(c);
    if (status != NEWT_OK)
        return status;
    if (!condition)
        return newt__conn_fail(c, NEWT_EINVAL, 0, "newt_where without a condition");
    from = newt__sql_expand("SELECT zoid FROM @store@.newt WHERE ", c->db->sql->schema);
    if (from)
        sql = join(from, condition, strlen(condition), "");
    status = sql ? newt_search(c, out, sql, n, params) : no_memory(c);
    free(from);
    free(sql);
    return status;
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

int
newt_page(newt_conn *c, newt_result **out, const char *sql, int n, const char *const *params,
          int64_t offset, int64_t limit)
{
    char after[400], numbers[2][24], *whole = NULL;
    const char **all = NULL;
    PGresult *r = NULL;
    int status;

    *out = NULL;
    status = newt__conn_enter(c);
    if (status != NEWT_OK)
        return status;
    if (!sql || n < 0 || n > MOST_PARAMS - 2 || (n > 0 && !params) || offset < 0 || limit < 0)
        return newt__conn_fail(c, NEWT_EINVAL, 0,
                               "a page without a query, or of a negative offset or limit");
    /* the search runs once; the count is there also where the page has no row */
    snprintf(
        after, sizeof after,
        "\n) SELECT n.total, p.zoid, p.place FROM (SELECT count(*) AS total FROM newt_found) n "
        "LEFT JOIN (SELECT zoid, row_number() OVER () AS place FROM newt_found "
        "OFFSET $%d::bigint LIMIT $%d::bigint) p ON true ORDER BY p.place",
        n + 1, n + 2);
    snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)offset);
    snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)limit);
    whole = join("WITH newt_found(zoid) AS MATERIALIZED (", sql, trimmed(sql), after);
    all = malloc(((size_t)n + 2) * sizeof *all);
    if (!whole || !all) {
        status = no_memory(c);
        goto out;
    }
    if (n > 0)
        memcpy(all, params, (size_t)n * sizeof *all);
    all[n] = numbers[0];
    all[n + 1] = numbers[1];
    status = run(c, whole, n + 2, all, &r);
    if (status == NEWT_OK)
        status = make_result(c, r, 1, 2, out);
    if (status == NEWT_OK)
        (*out)->total = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
out:
    PQclear(r);
    free(whole);
    free(all);
    return status;
}

size_t
newt_result_size(const newt_result *r)
{
    return r ? r->n : 0;
}

int64_t
newt_result_total(const newt_result *r)
{
    return r ? r->total : 0;
}

newt_ref
newt_result_ref(const newt_result *r, size_t i)
{
    newt_ref ref = {r && i < r->n ? r->oids[i] : 0};

    return ref;
}

int
newt_result_load(newt_result *r)
{
    int status = newt__conn_enter(r->c);

    return status == NEWT_OK ? newt__load(r->c, r->oids, r->n) : status;
}

void
newt_result_free(newt_result *r)
{
    if (r)
        free(r->oids);
    free(r);
}

/* ---- rows as JSON --------------------------------------------------------------------- */

enum {
    OID_BOOL = 16, /* pg_type.oid of the types that have a word in JSON */
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

static json_t *
text_value(const char *s, size_t n)
{
    return json_stringn(s, n);
}

static json_t *
integer_value(const char *s, size_t n)
{
    long long x;

    errno = 0;
    x = strtoll(s, NULL, 10);
    return errno == 0 ? json_integer(x) : newt__json_of_text(s, n);
}

static json_t *
real_value(const char *s, size_t n)
{
    json_t *number = json_loadb(s, n, JSON_DECODE_ANY, NULL), *real = NULL;

    if (json_is_number(number)) /* not NaN, not infinite */
        real = json_real(json_number_value(number));
    json_decref(number);
    return real ? real : text_value(s, n);
}

/* An integer, if it is one and fits; a real, if its digits come through a double unharmed. */
static json_t *
numeric_value(const char *s, size_t n)
{
    size_t digits = 0;
    bool leading = true, point = false;

    for (size_t i = 0; i < n; i++) {
        if (s[i] == '.')
            point = true;
        else if (s[i] != '-' && (s[i] < '0' || s[i] > '9'))
            return text_value(s, n); /* NaN, Infinity */
        if (s[i] >= '1' && s[i] <= '9')
            leading = false;
        if (s[i] != '-' && s[i] != '.' && !leading)
            digits++;
    }
    if (!point)
        return integer_value(s, n);
    return digits <= 15 && n < 300 ? real_value(s, n) : text_value(s, n);
}

static json_t *
bool_value(const char *s, size_t n)
{
    (void)n;
    return json_boolean(*s == 't');
}

static const struct {
    Oid type;
    json_t *(*convert)(const char *s, size_t n);
} conversions[] = {
    {OID_BOOL, bool_value},          {NEWT__OID_INT2, integer_value},
    {NEWT__OID_INT4, integer_value}, {NEWT__OID_INT8, integer_value},
    {OID_OID, integer_value},        {OID_FLOAT4, real_value},
    {OID_FLOAT8, real_value},        {OID_NUMERIC, numeric_value},
    {OID_JSON, newt__json_of_text},  {NEWT__OID_JSONB, newt__json_of_text},
};

static json_t *
value_of(const PGresult *r, int row, int column)
{
    const char *s = PQgetvalue(r, row, column);
    size_t n = (size_t)PQgetlength(r, row, column);

    if (PQgetisnull(r, row, column))
        return json_null();
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        if (conversions[i].type == PQftype(r, column))
            return conversions[i].convert(s, n);
    return text_value(s, n);
}

int
newt_query(newt_conn *c, json_t **rows, const char *sql, int n, const char *const *params)
{
    json_t *array, *row;
    PGresult *r;
    int status;

    *rows = NULL;
    status = run(c, sql, n, params, &r);
    if (status != NEWT_OK)
        return status;
    array = json_array();
    for (int i = 0; array && i < PQntuples(r); i++) {
        row = json_object();
        for (int k = 0; row && k < PQnfields(r); k++) {
            if (json_object_set_new(row, PQfname(r, k), value_of(r, i, k)) != 0) {
                json_decref(row);
                row = NULL;
            }
        }
        if (!row || json_array_append_new(array, row) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    PQclear(r);
    if (!array)
        return no_memory(c);
    *rows = array;
    return NEWT_OK;
}
