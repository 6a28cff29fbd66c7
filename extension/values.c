/*
 * values.c - the projection's forms of values, read back as SQL types
 *
 * Every function gives NULL for what is not such a value or does not fit the type: a view or an
 * index over documents of many ages must not fail at one of them. All are immutable, which
 * PostgreSQL's own casts to timestamptz and date are not: these forms depend on no setting.
 */
#include "newt_pg.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(newt_pg_ts_text);
PG_FUNCTION_INFO_V1(newt_pg_ts_jsonb);
PG_FUNCTION_INFO_V1(newt_pg_date_text);
PG_FUNCTION_INFO_V1(newt_pg_date_jsonb);
PG_FUNCTION_INFO_V1(newt_pg_duration_int8);
PG_FUNCTION_INFO_V1(newt_pg_duration_jsonb);
PG_FUNCTION_INFO_V1(newt_pg_ref);
PG_FUNCTION_INFO_V1(newt_pg_int8);
PG_FUNCTION_INFO_V1(newt_pg_float8);
PG_FUNCTION_INFO_V1(newt_pg_numeric);
PG_FUNCTION_INFO_V1(newt_pg_bool);
PG_FUNCTION_INFO_V1(newt_pg_uuid);

/* ---- looking into a document ----------------------------------------------------------------- */

/* The document itself, when it is a scalar. */
static bool
scalar(Jsonb *document, JsonbValue *v)
{
    return JB_ROOT_IS_SCALAR(document) && JsonbExtractScalar(&document->root, v);
}

/* The value of a wrapper: the only key of an object. */
static bool
wrapped(Jsonb *document, const char *key, JsonbValue *v)
{
    return JB_ROOT_IS_OBJECT(document) && JB_ROOT_COUNT(document) == 1 &&
           getKeyJsonValueFromContainer(&document->root, key, (int)strlen(key), v);
}

static bool
is_text(const JsonbValue *v, const char *s)
{
    return v->type == jbvString && (size_t)v->val.string.len == strlen(s) &&
           memcmp(v->val.string.val, s, strlen(s)) == 0;
}

/* Exact: 1.0 is the integer 1, 1.5 none. */
static bool
to_int64(const JsonbValue *v, int64 *out)
{
    char *text, *end;
    size_t n;

    if (v->type != jbvNumeric)
        return false;
    text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
    n = strcspn(text, ".");
    if (text[n] == '.' && strspn(text + n + 1, "0") != strlen(text + n + 1))
        return false;
    text[n] = '\0';
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

/* ---- time ------------------------------------------------------------------------------------ */

/* n digits at s as a number, or -1. */
static int
digits(const char *s, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* YYYY-MM-DD as days since 2000-01-01. */
static bool
parse_date(const char *s, size_t n, int *days)
{
    int year, month, day;

    if (n != 10 || s[4] != '-' || s[7] != '-')
        return false;
    year = digits(s, 4);
    month = digits(s + 5, 2);
    day = digits(s + 8, 2);
    if (year < 1 || month < 1 || month > MONTHS_PER_YEAR || day < 1 ||
        day > day_tab[isleap(year)][month - 1])
        return false;
    *days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
    return true;
}

/* YYYY-MM-DDTHH:MM:SS.ffffffZ */
static bool
parse_time(const char *s, size_t n, TimestampTz *out)
{
    int days, hour, minute, second, us;

    if (n != 27 || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[26] != 'Z' ||
        !parse_date(s, 10, &days))
        return false;
    hour = digits(s + 11, 2);
    minute = digits(s + 14, 2);
    second = digits(s + 17, 2);
    us = digits(s + 20, 6);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || us < 0)
        return false;
    *out = days * USECS_PER_DAY + ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC + us;
    return true;
}

Datum
newt_pg_ts_text(PG_FUNCTION_ARGS)
{
    text *s = PG_GETARG_TEXT_PP(0);
    TimestampTz t;

    if (!parse_time(VARDATA_ANY(s), VARSIZE_ANY_EXHDR(s), &t))
        PG_RETURN_NULL();
    PG_RETURN_TIMESTAMPTZ(t);
}

Datum
newt_pg_ts_jsonb(PG_FUNCTION_ARGS)
{
    static const int64 epoch = (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    Jsonb *document = PG_GETARG_JSONB_P(0);
    JsonbValue v;
    TimestampTz t;
    int64 us;

    if (scalar(document, &v) && v.type == jbvString &&
        parse_time(v.val.string.val, (size_t)v.val.string.len, &t))
        PG_RETURN_TIMESTAMPTZ(t);
    if (wrapped(document, "::us", &v) && to_int64(&v, &us) && us >= PG_INT64_MIN + epoch &&
        IS_VALID_TIMESTAMP(us - epoch))
        PG_RETURN_TIMESTAMPTZ(us - epoch);
    PG_RETURN_NULL();
}

Datum
newt_pg_date_text(PG_FUNCTION_ARGS)
{
    text *s = PG_GETARG_TEXT_PP(0);
    int days;

    if (!parse_date(VARDATA_ANY(s), VARSIZE_ANY_EXHDR(s), &days))
        PG_RETURN_NULL();
    PG_RETURN_DATEADT(days);
}

Datum
newt_pg_date_jsonb(PG_FUNCTION_ARGS)
{
    static const int64 epoch = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
    Jsonb *document = PG_GETARG_JSONB_P(0);
    JsonbValue v;
    int days;
    int64 n;

    if (scalar(document, &v) && v.type == jbvString &&
        parse_date(v.val.string.val, (size_t)v.val.string.len, &days))
        PG_RETURN_DATEADT(days);
    if (wrapped(document, "::days", &v) && to_int64(&v, &n) && n > PG_INT32_MIN &&
        n < PG_INT32_MAX && IS_VALID_DATE(n - epoch))
        PG_RETURN_DATEADT((DateADT)(n - epoch));
    PG_RETURN_NULL();
}

static Interval *
interval_of(int64 us)
{
    Interval *interval = palloc(sizeof *interval);

    interval->time = us;
    interval->day = 0;
    interval->month = 0;
    return interval;
}

Datum
newt_pg_duration_int8(PG_FUNCTION_ARGS)
{
    PG_RETURN_INTERVAL_P(interval_of(PG_GETARG_INT64(0)));
}

Datum
newt_pg_duration_jsonb(PG_FUNCTION_ARGS)
{
    JsonbValue v;
    int64 us;

    if (!scalar(PG_GETARG_JSONB_P(0), &v) || !to_int64(&v, &us))
        PG_RETURN_NULL();
    PG_RETURN_INTERVAL_P(interval_of(us));
}

/* ---- references, numbers, and the rest
 * ------------------------------------------------------------------ */

Datum
newt_pg_ref(PG_FUNCTION_ARGS)
{
    JsonbValue v;
    int64 oid;

    if (!wrapped(PG_GETARG_JSONB_P(0), "::=>", &v) || !to_int64(&v, &oid))
        PG_RETURN_NULL();
    PG_RETURN_INT64(oid);
}

Datum
newt_pg_int8(PG_FUNCTION_ARGS)
{
    JsonbValue v;
    int64 i;

    if (!scalar(PG_GETARG_JSONB_P(0), &v) || !to_int64(&v, &i))
        PG_RETURN_NULL();
    PG_RETURN_INT64(i);
}

static const struct special {
    const char *text;
    double real;
} specials[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

static const struct special *
special_of(const JsonbValue *v)
{
    for (size_t i = 0; i < lengthof(specials); i++)
        if (is_text(v, specials[i].text))
            return &specials[i];
    return NULL;
}

/* The codec's digits are the shortest that read back as the same bits; strtod does that. A number
 * beyond the type's range gives NULL; one too small for it is 0. */
Datum
newt_pg_float8(PG_FUNCTION_ARGS)
{
    const struct special *special;
    JsonbValue v;
    double real;

    if (!scalar(PG_GETARG_JSONB_P(0), &v))
        PG_RETURN_NULL();
    special = special_of(&v);
    if (special)
        PG_RETURN_FLOAT8(special->real);
    if (v.type != jbvNumeric)
        PG_RETURN_NULL();
    real = strtod(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v.val.numeric))),
                  NULL);
    if (isinf(real))
        PG_RETURN_NULL();
    PG_RETURN_FLOAT8(real);
}

static Datum
numeric_of(const char *text)
{
    return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
                               Int32GetDatum(-1));
}

/* {"::num": "-1.5E+500"}: as the codec writes it, and small enough for numeric. */
static bool
fits_numeric(const char *s)
{
    const char *digit = s + (*s == '-');
    size_t whole = strspn(digit, "0123456789"), fraction = 0;
    const char *e = digit + whole;
    char *end;
    long exponent;

    if (*e == '.') {
        fraction = strspn(e + 1, "0123456789");
        e += 1 + fraction;
    }
    if (whole == 0 || *e != 'E' || (e[1] != '+' && e[1] != '-') || e[2] < '0' || e[2] > '9')
        return false;
    errno = 0;
    exponent = strtol(e + 1, &end, 10);
    return errno == 0 && *end == '\0' && exponent <= 100000 && exponent >= -15000 &&
           whole <= 30000 && fraction <= 1000;
}

Datum
newt_pg_numeric(PG_FUNCTION_ARGS)
{
    Jsonb *document = PG_GETARG_JSONB_P(0);
    const struct special *special;
    JsonbValue v;
    char *text;

    if (scalar(document, &v)) {
        special = special_of(&v);
        if (special)
            PG_RETURN_DATUM(numeric_of(special->text));
        if (v.type == jbvNumeric)
            PG_RETURN_NUMERIC(DatumGetNumericCopy(NumericGetDatum(v.val.numeric)));
    } else if (wrapped(document, "::num", &v) && v.type == jbvString) {
        text = pnstrdup(v.val.string.val, (Size)v.val.string.len);
        if (fits_numeric(text))
            PG_RETURN_DATUM(numeric_of(text));
    }
    PG_RETURN_NULL();
}

Datum
newt_pg_bool(PG_FUNCTION_ARGS)
{
    JsonbValue v;

    if (!scalar(PG_GETARG_JSONB_P(0), &v) || v.type != jbvBool)
        PG_RETURN_NULL();
    PG_RETURN_BOOL(v.val.boolean);
}

/* 00112233-4455-6677-8899-aabbccddeeff, in lower case, as the projection has it. */
static bool
parse_uuid(const char *s, size_t n, pg_uuid_t *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t nibbles = 0;

    if (n != 36)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *digit;

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s[i] != '-')
                return false;
            continue;
        }
        digit = memchr(hex, s[i], 16);
        if (!digit)
            return false;
        out->data[nibbles / 2] = (unsigned char)(nibbles % 2
                                                     ? out->data[nibbles / 2] << 4 | (digit - hex)
                                                     : digit - hex);
        nibbles++;
    }
    return true;
}

Datum
newt_pg_uuid(PG_FUNCTION_ARGS)
{
    pg_uuid_t *uuid = palloc(sizeof *uuid);
    JsonbValue v;

    if (!scalar(PG_GETARG_JSONB_P(0), &v) || v.type != jbvString ||
        !parse_uuid(v.val.string.val, (size_t)v.val.string.len, uuid))
        PG_RETURN_NULL();
    PG_RETURN_UUID_P(uuid);
}
