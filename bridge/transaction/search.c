/*
 * search.c - queries of the application: objects, pages of them, rows as JSON
 */
#include "transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct newt_result {
    newt_conn *c;
    int64_t *oids;
    size_t n, cap;
    int64_t total;
};

enum {
    MOST_PARAMS = 65535 /* of the protocol */
};

/* ---- running -------------------------------------------------------------------------- */

/* The callbacks of q report what they fail at themselves. */
static int
run(newt_conn *c, const newt__query *q)
{
    newt__call call = newt__call_begin(&c->jar);
    newt_error e = {0};
    bool over;
    int status;

    if (!c->jar.storage->query)
        return newt__no_sql(c, "a query");
    status = c->jar.storage->query(c->jar.session, q, &over, &e);
    newt__call_end(&c->jar, &call, "query", q->sql, status);
    if (e.status != NEWT_OK)
        newt__base_fail_with(&c->jar.base, &e);
    return status != NEWT_OK && over ? newt__base_doom(&c->jar.base) : status;
}

/* ---- results -------------------------------------------------------------------------- */

/* Where a query's oids are: column 0, or of a page 1, with the total in 0 and the place in 2. */
typedef struct finding {
    newt_result *result;
    bool page;
} finding;

static int
no_zoids(const finding *f)
{
    return newt__base_fail(&f->result->c->jar.base, NEWT_EINVAL, 0,
                           "a search must give zoids (bigint) in its first column");
}

static int
find_columns(void *arg, const newt__column *columns, int n)
{
    const finding *f = arg;
    int column = f->page ? 1 : 0;

    return column < n && columns[column].kind == NEWT__COLUMN_INTEGER ? NEWT_OK : no_zoids(f);
}

static int
find_row(void *arg, const newt__column_kind *kinds, const char *const *values,
         const size_t *lengths)
{
    const finding *f = arg;
    newt_result *r = f->result;
    const char *oid = values[f->page ? 1 : 0];

    (void)lengths;
    if (kinds && oid && kinds[0] != NEWT__COLUMN_INTEGER)
        return no_zoids(f);
    if (f->page)
        r->total = strtoll(values[0] ? values[0] : "0", NULL, 10);
    if (f->page && !values[2])
        return NEWT_OK;
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        int64_t *more = cap < SIZE_MAX / sizeof *more ? realloc(r->oids, cap * sizeof *more) : NULL;

        if (!more)
            return newt__base_fail_memory(&r->c->jar.base);
        r->oids = more;
        r->cap = cap;
    }
    r->oids[r->n++] = oid ? strtoll(oid, NULL, 10) : 0;
    if (!f->page)
        r->total = (int64_t)r->n;
    return NEWT_OK;
}

static int
find(newt_conn *c, newt__query *q, newt_result **out)
{
    finding f = {.page = q->what == NEWT__QUERY_PAGE};
    int status;

    f.result = calloc(1, sizeof *f.result);
    if (!f.result)
        return newt__base_fail_memory(&c->jar.base);
    f.result->c = c;
    q->arg = &f;
    q->columns = find_columns;
    q->row = find_row;
    status = run(c, q);
    if (status == NEWT_OK)
        *out = f.result;
    else
        newt_result_free(f.result);
    return status;
}

/* Whether a query with n parameters and `more` of our own can be run; else NEWT_EINVAL. */
static int
check(newt_conn *c, const char *sql, int n, const char *const *params, int more)
{
    if (sql && n >= 0 && n <= MOST_PARAMS - more && (n == 0 || params))
        return NEWT_OK;
    return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                           "a query without text, or with %d parameters", n);
}

int
newt_search(newt_conn *c, newt_result **out, const char *sql, int n, const char *const *params)
{
    newt__query q = {.what = NEWT__QUERY, .sql = sql, .n = n, .params = params};
    int status = newt__base_enter(&c->jar.base);

    *out = NULL;
    if (status == NEWT_OK)
        status = check(c, sql, n, params, 0);
    return status == NEWT_OK ? find(c, &q, out) : status;
}

int
newt_where(newt_conn *c, newt_result **out, const char *condition, int n, const char *const *params)
{
    newt__query q = {.what = NEWT__QUERY_WHERE, .sql = condition, .n = n, .params = params};
    int status = newt__base_enter(&c->jar.base);

    *out = NULL;
    if (status != NEWT_OK)
        return status;
    if (!condition)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "newt_where without a condition");
    status = check(c, condition, n, params, 0);
    return status == NEWT_OK ? find(c, &q, out) : status;
}

int
newt_page(newt_conn *c, newt_result **out, const char *sql, int n, const char *const *params,
          int64_t offset, int64_t limit)
{
    newt__query q = {.what = NEWT__QUERY_PAGE,
                     .sql = sql,
                     .n = n,
                     .params = params,
                     .offset = offset,
                     .limit = limit};
    int status = newt__base_enter(&c->jar.base);

    *out = NULL;
    if (status != NEWT_OK)
        return status;
    if (!sql || offset < 0 || limit < 0 || n < 0 || n > MOST_PARAMS - 2 || (n > 0 && !params))
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "a page without a query, or of a negative offset or limit");
    return find(c, &q, out);
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
    int status = newt__base_enter(&r->c->jar.base);

    return status == NEWT_OK ? newt__load(&r->c->jar, r->oids, r->n) : status;
}

void
newt_result_free(newt_result *r)
{
    if (r)
        free(r->oids);
    free(r);
}

/* ---- rows as JSON --------------------------------------------------------------------- */

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

static json_t *(*const conversions[])(const char *s, size_t n) = {
    [NEWT__COLUMN_TEXT] = text_value,       [NEWT__COLUMN_BOOL] = bool_value,
    [NEWT__COLUMN_INTEGER] = integer_value, [NEWT__COLUMN_REAL] = real_value,
    [NEWT__COLUMN_NUMERIC] = numeric_value, [NEWT__COLUMN_JSON] = newt__json_of_text,
};

/* The rows of a query so far. */
typedef struct listing {
    newt_conn *c;
    json_t *rows;
    newt__column *columns; /* the names are copies */
    int n;
} listing;

static int
list_columns(void *arg, const newt__column *columns, int n)
{
    listing *l = arg;

    l->columns = calloc((size_t)n + 1, sizeof *l->columns);
    if (!l->columns)
        return newt__base_fail_memory(&l->c->jar.base);
    for (; l->n < n; l->n++) {
        l->columns[l->n].kind = columns[l->n].kind;
        l->columns[l->n].name = strdup(columns[l->n].name);
        if (!l->columns[l->n].name)
            return newt__base_fail_memory(&l->c->jar.base);
    }
    return NEWT_OK;
}

static int
list_row(void *arg, const newt__column_kind *kinds, const char *const *values,
         const size_t *lengths)
{
    listing *l = arg;
    json_t *row = json_object(), *value;
    int failed = row == NULL;

    for (int k = 0; k < l->n && !failed; k++) {
        newt__column_kind kind = kinds ? kinds[k] : l->columns[k].kind;

        value = values[k] ? conversions[kind](values[k], lengths[k]) : json_null();
        failed = json_object_set_new(row, l->columns[k].name, value);
    }
    if (failed) {
        json_decref(row);
        return newt__base_fail_memory(&l->c->jar.base);
    }
    return json_array_append_new(l->rows, row) == 0 ? NEWT_OK
                                                    : newt__base_fail_memory(&l->c->jar.base);
}

int
newt_query(newt_conn *c, json_t **rows, const char *sql, int n, const char *const *params)
{
    listing l = {.c = c};
    newt__query q = {.what = NEWT__QUERY,
                     .sql = sql,
                     .n = n,
                     .params = params,
                     .arg = &l,
                     .columns = list_columns,
                     .row = list_row};
    int status = newt__base_enter(&c->jar.base);

    *rows = NULL;
    if (status == NEWT_OK)
        status = check(c, sql, n, params, 0);
    if (status != NEWT_OK)
        return status;
    l.rows = json_array();
    status = l.rows ? run(c, &q) : newt__base_fail_memory(&c->jar.base);
    for (int i = 0; i < l.n; i++)
        free((char *)(uintptr_t)l.columns[i].name);
    free(l.columns);
    if (status == NEWT_OK)
        *rows = l.rows;
    else
        json_decref(l.rows);
    return status;
}
