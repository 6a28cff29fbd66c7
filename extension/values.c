/*
 * values.c - the projection's forms of values, read back as SQL types
 *
 * What is not such a value, or does not fit the type, is refused without an error and becomes NULL:
 * a view or an index over documents of many ages must not fail at one of them. All are immutable,
 * which PostgreSQL's own casts to timestamptz and date are not: these forms depend on no setting.
 */
#include "values.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(newt_pg_ts_text);
PG_FUNCTION_INFO_V1(newt_pg_date_text);
PG_FUNCTION_INFO_V1(newt_pg_duration_int8);

bool
newt_pg_wrapped(const JsonbValue *v, const char *key, JsonbValue *inner)
{
    const JsonbContainer *object = v->val.binary.data;
    size_t n = strlen(key);
    const char *data;

    if (v->type != jbvBinary || !JsonContainerIsObject(object) || JsonContainerSize(object) != 1)
        return false;
    data = (const char *)&object->children[2];
    if (JBE_OFFLENFLD(object->children[0]) != n || memcmp(data, key, n) != 0)
        return false;
    newt_pg_read_entry(object, 1, data, inner);
    return true;
}

static bool
is_text(const JsonbValue *v, const char *s)
{
    return v->type == jbvString && (size_t)v->val.string.len == strlen(s) &&
           memcmp(v->val.string.val, s, strlen(s)) == 0;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/*
 * A number in numeric's short form on disk (see write_int in jsonb.c), if it has few digits:
 * mantissa * 10000 ^ exponent. PostgreSQL's own way to an integer goes through text, and an error.
 */
static bool
unpack(Numeric number, int64 *mantissa, int *exponent)
{
    const char *data = (const char *)number + VARHDRSZ;
    int n = (int)(VARSIZE(number) - VARHDRSZ - sizeof(uint16)) / (int)sizeof(int16), weight;
    uint16 header;
    int16 digit;

    memcpy(&header, data, sizeof header);
    if ((header & 0xC000) != 0x8000 || n > 4)
        return false;
    weight = (header & 0x3F) - (header & 0x40);
    *mantissa = 0;
    for (int i = 0; i < n; i++) {
        memcpy(&digit, data + sizeof header + (size_t)i * sizeof digit, sizeof digit);
        *mantissa = *mantissa * 10000 + digit;
    }
    if (header & 0x2000)
        *mantissa = -*mantissa;
    *exponent = n ? weight - n + 1 : 0;
    return true;
}

bool
newt_pg_to_int64(const JsonbValue *v, int64 *out)
{
    char *text, *end;
    size_t n;
    int exponent;

    if (v->type != jbvNumeric)
        return false;
    if (unpack(v->val.numeric, out, &exponent)) {
        for (; exponent > 0; exponent--)
            if (pg_mul_s64_overflow(*out, 10000, out))
                return false;
        return exponent == 0; /* no zeros are kept behind the point */
    }
    text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
    n = strcspn(text, ".");
    if (text[n] == '.' && strspn(text + n + 1, "0") != strlen(text + n + 1))
        return false;
    text[n] = '\0';
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool
read_int8(const JsonbValue *v, Datum *out)
{
    int64 i;

    if (!newt_pg_to_int64(v, &i))
        return false;
    *out = Int64GetDatum(i);
    return true;
}

static bool
read_ref(const JsonbValue *v, Datum *out)
{
    JsonbValue oid;

    return (newt_pg_wrapped(v, "::=>", &oid) || newt_pg_wrapped(v, "::~>", &oid)) &&
           read_int8(&oid, out);
}

static const newt_pg_special specials[] = {
    {"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

const newt_pg_special *
newt_pg_special_of(const JsonbValue *v)
{
    for (size_t i = 0; v->type == jbvString && i < lengthof(specials); i++)
        if (is_text(v, specials[i].text))
            return &specials[i];
    return NULL;
}

/* The codec's digits are the shortest that read back as the same bits; strtod does that, and so
 * does one operation on an integer and a power of ten that are both exact. A number beyond the
 * type's range is refused; one too small for it is 0. */
static bool
read_float8(const JsonbValue *v, Datum *out)
{
    static const double powers[] = {1, 1e4, 1e8, 1e12, 1e16, 1e20};
    const int64 exact = INT64CONST(1) << 53; /* up to here a double holds every integer */
    const newt_pg_special *special = newt_pg_special_of(v);
    double real;
    int64 mantissa;
    int exponent;

    if (special)
        real = special->real;
    else if (v->type != jbvNumeric)
        return false;
    else if (unpack(v->val.numeric, &mantissa, &exponent) &&
             abs(exponent) < (int)lengthof(powers) && mantissa >= -exact && mantissa <= exact)
        real = exponent < 0 ? (double)mantissa / powers[-exponent]
                            : (double)mantissa * powers[exponent];
    else {
        real = strtod(
            DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric))),
            NULL);
        if (isinf(real))
            return false;
    }
    *out = Float8GetDatum(real);
    return true;
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

static bool
read_numeric(const JsonbValue *v, Datum *out)
{
    const newt_pg_special *special = newt_pg_special_of(v);
    JsonbValue number;
    char *text;

    if (special)
        *out = numeric_of(special->text);
    else if (v->type == jbvNumeric)
        *out = NumericGetDatum(DatumGetNumericCopy(NumericGetDatum(v->val.numeric)));
    else if (newt_pg_wrapped(v, "::num", &number) && number.type == jbvString) {
        text = pnstrdup(number.val.string.val, (Size)number.val.string.len);
        if (!fits_numeric(text))
            return false;
        *out = numeric_of(text);
    } else
        return false;
    return true;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Days of the codec's since 1970, those of PostgreSQL since 2000. */
static const int64 epoch = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;

static bool
read_ts(const JsonbValue *v, Datum *out)
{
    JsonbValue number;
    int64 us;

    if (v->type == jbvString) {
        if (!newt__parse_time(v->val.string.val, (size_t)v->val.string.len, &us))
            return false;
    } else if (!newt_pg_wrapped(v, "::us", &number) || !newt_pg_to_int64(&number, &us) ||
               us < PG_INT64_MIN + epoch * USECS_PER_DAY ||
               !IS_VALID_TIMESTAMP(us - epoch * USECS_PER_DAY))
        return false;
    *out = TimestampTzGetDatum(us - epoch * USECS_PER_DAY);
    return true;
}

static bool
read_date(const JsonbValue *v, Datum *out)
{
    JsonbValue number;
    int64 days;

    if (v->type == jbvString) {
        if (!newt__parse_date(v->val.string.val, (size_t)v->val.string.len, &days))
            return false;
    } else if (!newt_pg_wrapped(v, "::days", &number) || !newt_pg_to_int64(&number, &days) ||
               days <= PG_INT32_MIN || days >= PG_INT32_MAX || !IS_VALID_DATE(days - epoch))
        return false;
    *out = DateADTGetDatum((DateADT)(days - epoch));
    return true;
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

static bool
read_duration(const JsonbValue *v, Datum *out)
{
    int64 us;

    if (!newt_pg_to_int64(v, &us))
        return false;
    *out = IntervalPGetDatum(interval_of(us));
    return true;
}

Datum
newt_pg_ts_text(PG_FUNCTION_ARGS)
{
    text *s = PG_GETARG_TEXT_PP(0);
    int64 us;

    if (!newt__parse_time(VARDATA_ANY(s), VARSIZE_ANY_EXHDR(s), &us))
        PG_RETURN_NULL();
    PG_RETURN_TIMESTAMPTZ(us - epoch * USECS_PER_DAY);
}

Datum
newt_pg_date_text(PG_FUNCTION_ARGS)
{
    text *s = PG_GETARG_TEXT_PP(0);
    int64 days;

    if (!newt__parse_date(VARDATA_ANY(s), VARSIZE_ANY_EXHDR(s), &days))
        PG_RETURN_NULL();
    PG_RETURN_DATEADT((DateADT)(days - epoch));
}

Datum
newt_pg_duration_int8(PG_FUNCTION_ARGS)
{
    PG_RETURN_INTERVAL_P(interval_of(PG_GETARG_INT64(0)));
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static bool
read_bool(const JsonbValue *v, Datum *out)
{
    *out = BoolGetDatum(v->type == jbvBool && v->val.boolean);
    return v->type == jbvBool;
}

/* Of text that is shown only in part: what is shown. */
static bool
read_string(const JsonbValue *v, Datum *out)
{
    JsonbValue shown;

    if (v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data) &&
        getKeyJsonValueFromContainer(v->val.binary.data, "::text", 6, &shown))
        v = &shown;
    if (v->type != jbvString)
        return false;
    *out = PointerGetDatum(cstring_to_text_with_len(v->val.string.val, v->val.string.len));
    return true;
}

/* The projection has no more than 256 bytes. */
static bool
read_bytes(const JsonbValue *v, Datum *out)
{
    JsonbValue shown;
    bytea *bytes;
    int room, n;

    if (!newt_pg_wrapped(v, "::b64", &shown) || shown.type != jbvString)
        return false;
    room = pg_b64_dec_len(shown.val.string.len);
    bytes = palloc((Size)room + VARHDRSZ);
    n = pg_b64_decode(shown.val.string.val, shown.val.string.len, (void *)VARDATA(bytes), room);
    if (n < 0)
        return false;
    SET_VARSIZE(bytes, n + VARHDRSZ);
    *out = PointerGetDatum(bytes);
    return true;
}

static bool
read_uuid(const JsonbValue *v, Datum *out)
{
    pg_uuid_t *uuid = palloc(sizeof *uuid);

    *out = UUIDPGetDatum(uuid);
    return v->type == jbvString &&
           newt__parse_uuid(v->val.string.val, (size_t)v->val.string.len, false, uuid->data);
}

/* Any value but null. */
static bool
read_json(const JsonbValue *v, Datum *out)
{
    if (v->type == jbvNull)
        return false;
    *out = JsonbPGetDatum(JsonbValueToJsonb(unconstify(JsonbValue *, v)));
    return true;
}

const newt_pg_type newt_pg_types[] = {
    [NEWT_PG_BOOL] = {read_bool, BOOLOID, 1, true, TYPALIGN_CHAR},
    [NEWT_PG_INT8] = {read_int8, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
    [NEWT_PG_FLOAT8] = {read_float8, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
    [NEWT_PG_NUMERIC] = {read_numeric, NUMERICOID, -1, false, TYPALIGN_INT},
    [NEWT_PG_STRING] = {read_string, TEXTOID, -1, false, TYPALIGN_INT},
    [NEWT_PG_BYTES] = {read_bytes, BYTEAOID, -1, false, TYPALIGN_INT},
    [NEWT_PG_TS] = {read_ts, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
    [NEWT_PG_DURATION] = {read_duration, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE},
    [NEWT_PG_DATE] = {read_date, DATEOID, 4, true, TYPALIGN_INT},
    [NEWT_PG_UUID] = {read_uuid, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR},
    [NEWT_PG_REF] = {read_ref, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
    [NEWT_PG_JSON] = {read_json, JSONBOID, -1, false, TYPALIGN_INT},
};
