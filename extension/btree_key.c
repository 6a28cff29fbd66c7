/*
 * btree_key.c - keys of trees: compared, read from JSON, shown as JSON
 *
 * Numbers, times, dates and references are ordered as numbers, texts, bytes and UUIDs bytewise:
 * as in the library (bridge/btree/node.c).
 */
#include "btree.h"

#include "jsonb.h"
#include "values.h"

#include "common/base64.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

static const int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;

static bool
is_bytes(newt__kind kind)
{
    return kind == NEWT__TEXT || kind == NEWT__BYTES || kind == NEWT__UUID;
}

/* ---- of a record ---------------------------------------------------------------------------- */

/* With i of -1 in front of ~u an integer that is less than 0 comes before others, in its order. */
static void
set_int(newt_pg_part *part, bool negative, uint64 u)
{
    part->number.i = negative ? -1 : 0;
    part->number.u = negative ? ~u : u;
}

bool
newt_pg_part_read(const newt__token *t, newt_pg_part *part)
{
    part->kind = t->kind == NEWT__RAW_TEXT ? NEWT__TEXT : t->kind;
    part->is_string = t->kind == NEWT__TEXT && (t->plain || !memchr(t->s, 0, t->n));
    part->number.u = 0;
    switch (t->kind) {
    case NEWT__INT: set_int(part, t->number.negative, t->u); return true;
    case NEWT__TIME:
        part->number.i = t->seconds;
        part->number.u = (uint64)t->us;
        return true;
    case NEWT__DATE:
    case NEWT__REF: part->number.i = t->i; return true;
    case NEWT__UUID:
        part->bytes.s = t->s;
        part->bytes.n = UUID_LEN;
        return true;
    case NEWT__TEXT:
    case NEWT__RAW_TEXT:
    case NEWT__BYTES:
        part->bytes.s = t->s;
        part->bytes.n = t->n;
        return true;
    default: return false;
    }
}

int
newt_pg_part_compare(const newt_pg_part *a, const newt_pg_part *b)
{
    size_t n;
    int order;

    if (!is_bytes(a->kind)) {
        order = (a->number.i > b->number.i) - (a->number.i < b->number.i);
        return order ? order : (a->number.u > b->number.u) - (a->number.u < b->number.u);
    }
    n = Min(a->bytes.n, b->bytes.n);
    order = n ? memcmp(a->bytes.s, b->bytes.s, n) : 0;
    return order ? order : (a->bytes.n > b->bytes.n) - (a->bytes.n < b->bytes.n);
}

const char *
newt_pg_part_noun(newt__kind kind)
{
    switch (kind) {
    case NEWT__INT: return "an integer";
    case NEWT__TEXT: return "a string";
    case NEWT__BYTES: return "bytes: {\"::b64\": ...}";
    case NEWT__TIME: return "a time: \"2024-05-01T09:30:00.000000Z\"";
    case NEWT__DATE: return "a date: \"2024-05-01\"";
    case NEWT__UUID: return "a UUID";
    default: return "a reference: {\"::=>\": oid}";
    }
}

/* ---- of JSON -------------------------------------------------------------------------------- */

static bool
convert(const JsonbValue *v, int type, Datum *out)
{
    return newt_pg_types[type].convert(v, out);
}

/* A number in an object of this one key, as the projection has what no text stands for. */
static bool
number_at(const JsonbValue *v, const char *key, int64 *out)
{
    JsonbValue inner;
    Datum d;

    if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data) ||
        !getKeyJsonValueFromContainer(v->val.binary.data, key, (int)strlen(key), &inner) ||
        !convert(&inner, NEWT_PG_INT8, &d))
        return false;
    *out = DatumGetInt64(d);
    return true;
}

/* From -2^63 to 2^64 - 1. */
static bool
int_of(const JsonbValue *v, newt_pg_part *part)
{
    char *text, *end;
    uint64 u;
    Datum d;

    if (convert(v, NEWT_PG_INT8, &d)) {
        int64 i = DatumGetInt64(d);

        set_int(part, i < 0, i < 0 ? ~(uint64)i : (uint64)i);
        return true;
    }
    if (v->type != jbvNumeric)
        return false;
    text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
    errno = 0;
    u = strtoull(text, &end, 10);
    set_int(part, false, u);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool
bytes_of(const JsonbValue *v, newt_pg_part *part)
{
    Datum d;

    if (!convert(v, NEWT_PG_BYTES, &d))
        return false;
    part->bytes.s = VARDATA_ANY(DatumGetPointer(d));
    part->bytes.n = VARSIZE_ANY_EXHDR(DatumGetPointer(d));
    return true;
}

/* Text that JSON cannot hold is shown beside its bytes. */
static bool
text_of(const JsonbValue *v, newt_pg_part *part)
{
    JsonbValue shown, wrapper;
    JsonbParseState *state = NULL;
    JsonbValue key = {.type = jbvString, .val.string = {.len = 5, .val = "::b64"}};
    Jsonb *alone;

    if (v->type == jbvString) {
        part->bytes.s = v->val.string.val;
        part->bytes.n = (size_t)v->val.string.len;
        return true;
    }
    if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data) ||
        !getKeyJsonValueFromContainer(v->val.binary.data, "::b64", 5, &shown))
        return false;
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
    pushJsonbValue(&state, WJB_KEY, &key);
    pushJsonbValue(&state, WJB_VALUE, &shown);
    alone = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
    wrapper = (JsonbValue){.type = jbvBinary};
    wrapper.val.binary.data = &alone->root;
    wrapper.val.binary.len = (int)(VARSIZE(alone) - VARHDRSZ);
    return bytes_of(&wrapper, part);
}

static bool
time_of(const JsonbValue *v, newt_pg_part *part)
{
    int64 us;
    Datum d;

    if (!number_at(v, "::us", &us)) {
        if (!convert(v, NEWT_PG_TS, &d)) {
            if (v->type != jbvString)
                return false;
            /* ISO 8601 with its zone, which depends on no setting; else it raises the error */
            d = DirectFunctionCall3(
                timestamptz_in,
                CStringGetDatum(pnstrdup(v->val.string.val, (Size)v->val.string.len)),
                ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
        }
        if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(d)))
            return false;
        us = DatumGetTimestampTz(d) + epoch_days * USECS_PER_DAY;
    }
    part->number.i = us / USECS_PER_SEC - (us % USECS_PER_SEC < 0);
    part->number.u = (uint64)(us - part->number.i * USECS_PER_SEC);
    return true;
}

static bool
date_of(const JsonbValue *v, newt_pg_part *part)
{
    Datum d;

    if (number_at(v, "::days", &part->number.i))
        return true;
    if (!convert(v, NEWT_PG_DATE, &d))
        return false;
    part->number.i = DatumGetDateADT(d) + epoch_days;
    return true;
}

bool
newt_pg_part_of_json(const JsonbValue *v, newt__kind kind, newt_pg_part *part)
{
    Datum d;

    *part = (newt_pg_part){.kind = kind};
    switch (kind) {
    case NEWT__INT: return int_of(v, part);
    case NEWT__TEXT: return text_of(v, part);
    case NEWT__BYTES: return bytes_of(v, part);
    case NEWT__TIME: return time_of(v, part);
    case NEWT__DATE: return date_of(v, part);
    case NEWT__UUID:
        if (!convert(v, NEWT_PG_UUID, &d))
            return false;
        part->bytes.s = (const char *)DatumGetUUIDP(d)->data;
        part->bytes.n = UUID_LEN;
        return true;
    default:
        if (!convert(v, NEWT_PG_REF, &d))
            return false;
        part->number.i = DatumGetInt64(d);
        return true;
    }
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static bool
is_int64(const newt_pg_part *part)
{
    return part->kind == NEWT__INT && (part->number.i == 0) == (part->number.u <= PG_INT64_MAX);
}

/* Of long bytes the projection has the length alone: it would not tell keys apart, nor find them.
 */
static void
put_whole(newt_pg_output *out, newt_pg_entries *entries, const newt_pg_part *part)
{
    bool is_text = part->kind == NEWT__TEXT;
    int room = pg_b64_enc_len((int)part->bytes.n), n;
    newt__buffer shown = {.env = &newt_pg_env};
    newt_pg_entries own;
    uint32 start = out->n;
    char *b64 = palloc((Size)room);

    n = pg_b64_encode((const void *)part->bytes.s, (int)part->bytes.n, b64, room);
    newt_pg_put_header(out, &own, (is_text ? 2 : 1) | JB_FOBJECT, is_text ? 4 : 2);
    newt_pg_put_text(out, &own, "::b64", 5);
    if (is_text)
        newt_pg_put_text(out, &own, "::text", 6);
    newt_pg_put_text(out, &own, b64, (size_t)n);
    if (is_text && newt__utf8_lossy(&shown, part->bytes.s, part->bytes.n))
        newt_pg_put_text(out, &own, (const char *)shown.data, shown.n);
    newt_pg_put_entry(out, entries, JENTRY_ISCONTAINER, out->n - start);
    newt__buffer_free(&shown);
    pfree(b64);
}

static void
put_part(newt_pg_output *out, newt_pg_entries *entries, const char *record,
         const newt_pg_part *part)
{
    newt__reader r;
    newt__token t;
    newt_pg_jsonb shown;
    newt__sink sink;

    if (part->is_string) {
        newt_pg_put_text(out, entries, part->bytes.s, part->bytes.n);
        return;
    }
    if (is_int64(part)) {
        newt_pg_put_int(out, entries, (int64)part->number.u);
        return;
    }
    if ((part->kind == NEWT__TEXT || part->kind == NEWT__BYTES) &&
        part->bytes.n > NEWT__MAX_INLINE) {
        put_whole(out, entries, part);
        return;
    }
    newt__read_item_begin(&r, &newt_pg_env, record + part->item.offset,
                          part->item.end - part->item.offset, NEWT__MAX_DEPTH, 0);
    newt_pg_jsonb_sink(&sink, &shown);
    if (newt__read(&r, &t) || newt__project_item(&r, &t, &sink, &r.fault))
        newt_pg_raise(&r.fault, r.n);
    newt_pg_jsonb_put(&shown, out, entries);
}

Jsonb *
newt_pg_key_show(const char *record, const newt_pg_part *const parts[], int n)
{
    bool is_scalar = n == 1 && (parts[0]->is_string || is_int64(parts[0]));
    newt_pg_output out;
    newt_pg_entries entries;
    JsonbValue only;
    Jsonb *array;

    newt_pg_output_begin(&out, VARHDRSZ + sizeof(uint32) +
                                   (is_scalar && parts[0]->is_string ? parts[0]->bytes.n : 0));
    newt_pg_put_header(&out, &entries, (uint32)n | JB_FARRAY | (is_scalar ? JB_FSCALAR : 0),
                       (Size)n);
    for (int i = 0; i < n; i++)
        put_part(&out, &entries, record, parts[i]);
    array = newt_pg_output_end(&out);
    if (n > 1 || is_scalar)
        return array;
    newt_pg_read_entry(&array->root, 0, (const char *)&array->root.children[1], &only);
    return JsonbValueToJsonb(&only);
}
