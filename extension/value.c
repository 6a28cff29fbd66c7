/*
 * value.c - values of the kinds that fields have, from the form that the projection shows
 *
 * What is written is what the library would write for the same value, to the byte.
 */
#include "recorder.h"

#include "values.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static const char *const forms[NEWT_PG_N_KINDS] = {
    [NEWT_PG_K_BOOL] = "true or false",
    [NEWT_PG_K_INT] = "an integer",
    [NEWT_PG_K_UINT] = "an integer that is not negative",
    [NEWT_PG_K_FLOAT] = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
    [NEWT_PG_K_TEXT] = "a string, or {\"::b64\": base64, \"::text\": what can be read of it}",
    [NEWT_PG_K_BYTES] = "{\"::b64\": base64}",
    [NEWT_PG_K_TIME] = "a string like \"2024-05-01T09:30:00.000000Z\", or {\"::us\": microseconds}",
    [NEWT_PG_K_DURATION] = "an integer, the microseconds",
    [NEWT_PG_K_DATE] = "a string like \"2024-05-01\", or {\"::days\": days since 1970}",
    [NEWT_PG_K_UUID] = "a string like \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"",
    [NEWT_PG_K_DECIMAL] = "a number, {\"::num\": text}, \"NaN\", \"Infinity\" or \"-Infinity\"",
    [NEWT_PG_K_JSON] = "any JSON",
    [NEWT_PG_K_ENUM] = "one of its names",
    [NEWT_PG_K_REF] = "{\"::=>\": zoid}",
    [NEWT_PG_K_STRUCT] = "an object",
    [NEWT_PG_K_STORE_REF] = "{\"::tag\": 38401, \"::v\": [store, zoid]}",
    [NEWT_PG_K_WEAK] = "{\"::~>\": zoid}",
};

/* "red", "green" and so on, as far as they are few. */
static char *
names_of(const newt_pg_value_type *t)
{
    StringInfoData out;

    initStringInfo(&out);
    for (int i = 0; i < t->n_names && out.len < 200; i++)
        appendStringInfo(&out, "%s\"%.*s\"", i ? ", " : "", (int)t->names[i].n, t->names[i].s);
    return out.data;
}

void
newt_pg_wrong_kind(const newt_pg_recorder *r, const newt_pg_place *place,
                   const newt_pg_value_type *t, const JsonbValue *v)
{
    newt_pg_refuse(
        r, place, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("cannot be %s", newt_pg_shown(v)),
        t->kind == NEWT_PG_K_ENUM
            ? psprintf("It is an enum: one of %s.", names_of(t))
            : psprintf("A value of kind %s is %s.", newt_pg_kind_names[t->kind], forms[t->kind]),
        NULL);
}

static void
out_of_range(const newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
             const JsonbValue *v)
{
    newt_pg_refuse(
        r, place, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, psprintf("cannot be %s", newt_pg_shown(v)),
        t->bits
            ? psprintf("It is out of range: the field is %s %s of %d bits.",
                       t->kind == NEWT_PG_K_INT ? "an" : "a", newt_pg_kind_names[t->kind], t->bits)
            : psprintf("It is out of range for kind %s.", newt_pg_kind_names[t->kind]),
        NULL);
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* The digits of an integer; NULL: it is none. 1.0 is 1; a default may be {"::num": "1"}. */
static const char *
integer_text(const JsonbValue *v)
{
    JsonbValue inner;
    char *text;
    size_t n;

    if (newt_pg_wrapped(v, "::num", &inner) && inner.type == jbvString) {
        text = pnstrdup(inner.val.string.val, (Size)inner.val.string.len);
        n = strlen(text) - (*text == '-');
        return n > 0 && strspn(text + (*text == '-'), "0123456789") == n ? text : NULL;
    }
    if (v->type != jbvNumeric)
        return NULL;
    text = unconstify(char *, newt_pg_number_text(v));
    n = strcspn(text, ".");
    if (text[n] == '.' && strspn(text + n + 1, "0") != strlen(text + n + 1))
        return NULL;
    text[n] = '\0';
    return text;
}

/* false: it is none of this kind; what is out of range is refused here. */
static bool
write_int(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
          const JsonbValue *v)
{
    int64 most = (int64)(UINT64_MAX >> (65 - t->bits));
    const char *text = integer_text(v);
    int64 x;

    if (!text)
        return false;
    errno = 0;
    x = strtoll(text, NULL, 10);
    if (errno || x > most || x < -most - 1)
        out_of_range(r, place, t, v);
    newt__write_int(&r->w, x);
    return true;
}

static bool
write_uint(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    const char *text = integer_text(v);
    uint64 x;

    if (!text)
        return false;
    errno = 0;
    x = strtoull(text, NULL, 10);
    if (errno || *text == '-' || x > UINT64_MAX >> (64 - t->bits))
        out_of_range(r, place, t, v);
    newt__write_uint(&r->w, x);
    return true;
}

/* The digits shown are the shortest that read back as the same bits, of its own width. */
static bool
write_float(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
            const JsonbValue *v)
{
    const newt_pg_special *special = newt_pg_special_of(v);
    const char *text = v->type == jbvNumeric ? newt_pg_number_text(v) : NULL;
    bool single = t->bits == 32;
    double x;

    if (!special && !text)
        return false;
    x = special ? special->real : single ? (double)strtof(text, NULL) : strtod(text, NULL);
    if (!special && (isinf(x) || (x == 0 && strpbrk(text, "123456789"))))
        out_of_range(r, place, t, v);
    if (single)
        newt__write_float(&r->w, (float)x);
    else
        newt__write_double(&r->w, x);
    return true;
}

static bool
write_decimal(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
              const JsonbValue *v)
{
    const newt_pg_special *special = newt_pg_special_of(v);
    JsonbValue inner;
    newt__name text;
    newt__number x;
    newt__code code;

    if (special) {
        newt__write_double(&r->w, special->real);
        return true;
    }
    if (v->type == jbvNumeric) {
        text.s = newt_pg_number_text(v);
        text.n = strlen(text.s);
    } else if (newt_pg_wrapped(v, "::num", &inner) && inner.type == jbvString) {
        text = (newt__name){inner.val.string.val, (size_t)inner.val.string.len};
    } else {
        return false;
    }
    r->scratch.n = 0;
    code = newt__number_parse(text.s, text.n, &r->scratch, &x);
    if (code == NEWT__LIMIT)
        out_of_range(r, place, t, v);
    if (code == NEWT__OK)
        newt__write_number(&r->w, &x, true);
    return code == NEWT__OK;
}

static bool
write_duration(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
               const JsonbValue *v)
{
    int64 us;

    if (!integer_text(v))
        return false;
    if (!newt_pg_to_int64(v, &us))
        out_of_range(r, place, t, v);
    newt__write_duration(&r->w, us);
    return true;
}

/* ---- the other scalars ------------------------------------------------------------------------
 */

static bool
write_bool(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    if (v->type == jbvBool)
        newt__write_bool(&r->w, v->val.boolean);
    return v->type == jbvBool;
}

static bool
write_text(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    if (v->type == jbvString)
        newt__write_text(&r->w, v->val.string.val, (size_t)v->val.string.len);
    else if (newt_pg_read_base64(r, place, v, true))
        newt__write_text(&r->w, r->scratch.data, r->scratch.n);
    else
        return false;
    return true;
}

static bool
write_bytes(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
            const JsonbValue *v)
{
    if (!newt_pg_read_base64(r, place, v, false))
        return false;
    newt__write_bytes(&r->w, r->scratch.data, r->scratch.n);
    return true;
}

/* As it is shown, or RFC 3339 otherwise, as PostgreSQL has it in JSON: any zone, fewer digits. */
static bool
read_time(const char *s, size_t n, int64 *us)
{
    char shown[] = "0000-00-00T00:00:00.000000Z";
    size_t at = 19, most = Min(n, sizeof shown - 2);
    const char *zone;
    int hours, minutes;

    if (n <= at || (s[10] != 'T' && s[10] != ' '))
        return false;
    memcpy(shown, s, at);
    shown[10] = 'T';
    if (s[at] == '.')
        for (at++; at < most && s[at] >= '0' && s[at] <= '9'; at++)
            shown[at] = s[at];
    zone = s + at;
    if (s[at - 1] == '.' || !newt__parse_time(shown, sizeof shown - 1, us))
        return false;
    if (n - at == 1)
        return *zone == 'Z';
    if (n - at != 6 || (*zone != '+' && *zone != '-') || zone[3] != ':')
        return false;
    for (int i = 1; i < 6; i++)
        if (i != 3 && (zone[i] < '0' || zone[i] > '9'))
            return false;
    hours = (zone[1] - '0') * 10 + zone[2] - '0';
    minutes = (zone[4] - '0') * 10 + zone[5] - '0';
    if (hours > 23 || minutes > 59)
        return false;
    *us += (*zone == '+' ? -1 : 1) * (hours * 60 + minutes) * USECS_PER_MINUTE;
    return true;
}

/* The least number stands for null in the library. */
static bool
write_time(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    JsonbValue inner;
    int64 us;

    if (v->type == jbvString) {
        if (!read_time(v->val.string.val, (size_t)v->val.string.len, &us))
            return false;
    } else if (!newt_pg_wrapped(v, "::us", &inner) || !integer_text(&inner)) {
        return false;
    } else if (!newt_pg_to_int64(&inner, &us) || us == PG_INT64_MIN) {
        out_of_range(r, place, t, &inner);
    }
    newt__write_time(&r->w, us);
    return true;
}

static bool
write_date(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    JsonbValue inner;
    int64 days;

    if (v->type == jbvString) {
        if (!newt__parse_date(v->val.string.val, (size_t)v->val.string.len, &days))
            return false;
    } else if (!newt_pg_wrapped(v, "::days", &inner) || !integer_text(&inner)) {
        return false;
    } else if (!newt_pg_to_int64(&inner, &days) || days <= PG_INT32_MIN || days > PG_INT32_MAX) {
        out_of_range(r, place, t, &inner);
    }
    newt__write_date(&r->w, days);
    return true;
}

static bool
read_uuid(const JsonbValue *v, uint8 uuid[16])
{
    return v->type == jbvString &&
           newt__parse_uuid(v->val.string.val, (size_t)v->val.string.len, true, uuid);
}

static bool
write_uuid(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    uint8 uuid[16];

    if (!read_uuid(v, uuid))
        return false;
    newt__write_uuid(&r->w, uuid);
    return true;
}

static bool
write_enum(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    for (int i = 0; v->type == jbvString && i < t->n_names; i++) {
        if ((size_t)v->val.string.len != t->names[i].n ||
            memcmp(v->val.string.val, t->names[i].s, t->names[i].n) != 0)
            continue;
        newt__write_text(&r->w, t->names[i].s, t->names[i].n);
        return true;
    }
    return false;
}

/* The zoid of a reference; 0: it is none. */
static int64
oid_of(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
       const JsonbValue *v)
{
    int64 oid = 0;

    if (v->type != jbvNumeric || !integer_text(v))
        return 0;
    if (!newt_pg_to_int64(v, &oid) || oid < 1)
        out_of_range(r, place, t, v);
    return oid;
}

static bool
write_ref(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
          const JsonbValue *v)
{
    bool weak = t->kind == NEWT_PG_K_WEAK;
    JsonbValue inner;
    int64 oid;

    if (!newt_pg_wrapped(v, weak ? "::~>" : "::=>", &inner))
        return false;
    oid = oid_of(r, place, t, &inner);
    if (oid > 0 && weak)
        newt__write_weak(&r->w, oid);
    else if (oid > 0)
        newt__write_ref(&r->w, oid);
    return oid > 0;
}

static bool
write_store_ref(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
                const JsonbValue *v)
{
    const JsonbContainer *both;
    JsonbValue tag, inner, store, number;
    int64 n;

    if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data) ||
        JsonContainerSize(v->val.binary.data) != 2 ||
        !getKeyJsonValueFromContainer(v->val.binary.data, "::tag", 5, &tag) ||
        !getKeyJsonValueFromContainer(v->val.binary.data, "::v", 3, &inner) ||
        !newt_pg_to_int64(&tag, &n) || n != NEWT__TAG_REF || inner.type != jbvBinary ||
        !JsonContainerIsArray(inner.val.binary.data) ||
        JsonContainerSize(inner.val.binary.data) != 2)
        return false;
    both = inner.val.binary.data;
    newt_pg_read_entry(both, 0, (const char *)&both->children[2], &store);
    newt_pg_read_entry(both, 1, (const char *)&both->children[2], &number);
    if (store.type != jbvString || store.val.string.len == 0)
        return false;
    n = oid_of(r, place, t, &number);
    if (n == 0)
        return false;
    newt__write_tag(&r->w, NEWT__TAG_REF);
    newt__write_array(&r->w, 2);
    newt__write_text(&r->w, store.val.string.val, (size_t)store.val.string.len);
    newt__write_int(&r->w, n);
    return true;
}

static bool
write_json(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
           const JsonbValue *v)
{
    newt_pg_write_item(r, place, v);
    return true;
}

static bool
write_fields(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
             const JsonbValue *v)
{
    if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
        return false;
    newt_pg_write_struct(r, place, t->fields, v);
    return true;
}

static bool (*const writers[NEWT_PG_N_KINDS])(newt_pg_recorder *r, const newt_pg_place *place,
                                              const newt_pg_value_type *t, const JsonbValue *v) = {
    [NEWT_PG_K_BOOL] = write_bool,       [NEWT_PG_K_INT] = write_int,
    [NEWT_PG_K_UINT] = write_uint,       [NEWT_PG_K_FLOAT] = write_float,
    [NEWT_PG_K_TEXT] = write_text,       [NEWT_PG_K_BYTES] = write_bytes,
    [NEWT_PG_K_TIME] = write_time,       [NEWT_PG_K_DURATION] = write_duration,
    [NEWT_PG_K_DATE] = write_date,       [NEWT_PG_K_UUID] = write_uuid,
    [NEWT_PG_K_DECIMAL] = write_decimal, [NEWT_PG_K_JSON] = write_json,
    [NEWT_PG_K_ENUM] = write_enum,       [NEWT_PG_K_REF] = write_ref,
    [NEWT_PG_K_STRUCT] = write_fields,   [NEWT_PG_K_STORE_REF] = write_store_ref,
    [NEWT_PG_K_WEAK] = write_ref,
};

bool
newt_pg_is_null(const newt_pg_value_type *t, const JsonbValue *v)
{
    static const uint8 nil[16];
    uint8 uuid[16];

    return v->type == jbvNull ||
           (t->kind == NEWT_PG_K_UUID && read_uuid(v, uuid) && memcmp(uuid, nil, sizeof nil) == 0);
}

void
newt_pg_write_value(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *t,
                    const JsonbValue *v)
{
    if (newt_pg_is_null(t, v)) {
        if (!t->nullable)
            newt_pg_refuse(
                r, place, ERRCODE_NOT_NULL_VIOLATION, "cannot be null",
                psprintf("Values of kind %s are never null.", newt_pg_kind_names[t->kind]), NULL);
        newt__write_null(&r->w);
    } else if (!writers[t->kind](r, place, t, v)) {
        newt_pg_wrong_kind(r, place, t, v);
    }
    newt_pg_check_writer(r, place);
}

/* ---- collections ------------------------------------------------------------------------------
 */

static void
wrong_shape(const newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_member *f,
            const JsonbValue *v)
{
    static const char *const shown[] = {
        [NEWT_PG_LIST_OF] = "A list is an array.",
        [NEWT_PG_SET_OF] = "A set is an array.",
        [NEWT_PG_MAP_OF] = "A map is an object, or an array of {\"k\": key, \"v\": value}.",
        [NEWT_PG_PAIRS_OF] =
            "A map whose keys are not text is an array of {\"k\": key, \"v\": value}."};

    newt_pg_refuse(
        r, place, v->type == jbvNull ? ERRCODE_NOT_NULL_VIOLATION : ERRCODE_INVALID_PARAMETER_VALUE,
        psprintf("cannot be %s", newt_pg_shown(v)), shown[f->shape], NULL);
}

static void
write_items(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_member *f,
            const JsonbContainer *array)
{
    uint32 n = JsonContainerSize(array);
    newt_pg_place place = {.up = up};
    JsonbValue v;

    if (f->shape == NEWT_PG_SET_OF)
        newt__collect_set(&r->w);
    else
        newt__write_array(&r->w, n);
    newt_pg_check_writer(r, up);
    for (place.index = 0; place.index < n; place.index++) {
        newt_pg_read_entry(array, place.index, (const char *)&array->children[n], &v);
        newt_pg_write_value(r, &place, &f->value, &v);
    }
    if (f->shape == NEWT_PG_SET_OF)
        newt__collected(&r->w);
}

static void
begin_keyed(newt_pg_recorder *r, const newt_pg_member *f)
{
    if (f->shape == NEWT_PG_MAP_OF)
        newt__collect_map(&r->w);
    else
        newt__collect_pairs(&r->w);
}

/* [{"k": ..., "v": ...}, ...] */
static void
write_pairs(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_member *f,
            const JsonbContainer *array)
{
    uint32 n = JsonContainerSize(array);
    newt_pg_place place = {.up = up};
    JsonbValue pair, key, v;

    begin_keyed(r, f);
    newt_pg_check_writer(r, up);
    for (place.index = 0; place.index < n; place.index++) {
        newt_pg_read_entry(array, place.index, (const char *)&array->children[n], &pair);
        if (pair.type != jbvBinary || !JsonContainerIsObject(pair.val.binary.data) ||
            JsonContainerSize(pair.val.binary.data) != 2 ||
            !getKeyJsonValueFromContainer(pair.val.binary.data, "k", 1, &key) ||
            !getKeyJsonValueFromContainer(pair.val.binary.data, "v", 1, &v))
            newt_pg_refuse(r, &place, ERRCODE_INVALID_PARAMETER_VALUE, "is no pair",
                           "A pair is {\"k\": key, \"v\": value}.", NULL);
        if (newt_pg_is_null(&f->key, &key))
            newt_pg_refuse(r, &place, ERRCODE_NOT_NULL_VIOLATION, "has a null key", NULL, NULL);
        newt_pg_write_value(r, &place, &f->key, &key);
        newt_pg_write_value(r, &place, &f->value, &v);
    }
    newt__collected(&r->w);
}

static void
write_map(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_member *f,
          const JsonbContainer *object)
{
    uint32 n = JsonContainerSize(object);
    const char *data = (const char *)&object->children[2 * n];
    newt_pg_place place = {.up = up, .is_key = true};
    JsonbValue key, v;

    begin_keyed(r, f);
    newt_pg_check_writer(r, up);
    for (uint32 i = 0; i < n; i++) {
        newt_pg_read_entry(object, i, data, &key);
        newt_pg_read_entry(object, n + i, data, &v);
        if (!newt_pg_plain_key(&key, &place.name))
            newt_pg_refuse(r, up, ERRCODE_INVALID_PARAMETER_VALUE,
                           psprintf("has the key \"%.*s\"", key.val.string.len, key.val.string.val),
                           "Keys that begin with \"::\" have one more colon in front.", NULL);
        newt__write_text(&r->w, place.name.s, place.name.n);
        newt_pg_write_value(r, &place, &f->value, &v);
    }
    newt__collected(&r->w);
}

void
newt_pg_write_member(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_member *f,
                     const JsonbValue *v)
{
    bool array = v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data);

    if (f->shape == NEWT_PG_ONE)
        newt_pg_write_value(r, place, &f->value, v);
    else if (array && f->shape <= NEWT_PG_SET_OF)
        write_items(r, place, f, v->val.binary.data);
    else if (array)
        write_pairs(r, place, f, v->val.binary.data);
    else if (v->type == jbvBinary && f->shape == NEWT_PG_MAP_OF)
        write_map(r, place, f, v->val.binary.data);
    else
        wrong_shape(r, place, f, v);
    newt_pg_check_writer(r, place);
}

/* ---- structs ----------------------------------------------------------------------------------
 */

/* What stands in a new object where nothing is given. */
void
newt_pg_write_initial(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_member *f)
{
    if (f->initial)
        newt_pg_write_value(r, place, &f->value, f->initial);
    else if (f->shape == NEWT_PG_SET_OF) {
        newt__collect_set(&r->w);
        newt__collected(&r->w);
    } else if (f->shape == NEWT_PG_LIST_OF)
        newt__write_array(&r->w, 0);
    else if (f->shape != NEWT_PG_ONE) {
        begin_keyed(r, f);
        newt__collected(&r->w);
    } else if (f->value.nullable)
        newt__write_null(&r->w);
    else {
        switch (f->value.kind) {
        case NEWT_PG_K_BOOL: newt__write_bool(&r->w, false); break;
        case NEWT_PG_K_FLOAT:
            if (f->value.bits == 32)
                newt__write_float(&r->w, 0);
            else
                newt__write_double(&r->w, 0);
            break;
        case NEWT_PG_K_DURATION: newt__write_duration(&r->w, 0); break;
        case NEWT_PG_K_ENUM:
            if (f->value.n_names > 0)
                newt__write_text(&r->w, f->value.names[0].s, f->value.names[0].n);
            break;
        case NEWT_PG_K_STRUCT: newt_pg_write_struct(r, place, f->value.fields, NULL); break;
        default: newt__write_int(&r->w, 0);
        }
    }
    newt_pg_check_writer(r, place);
}

/* A name that begins with two colons has one more in a document. */
bool
newt_pg_given(const newt_pg_member *f, const JsonbContainer *object, JsonbValue *v)
{
    JsonbContainer *in = unconstify(JsonbContainer *, object);

    if (!object)
        return false;
    if (f->name.n >= 2 && f->name.s[0] == ':' && f->name.s[1] == ':') {
        char *key = psprintf(":%.*s", (int)f->name.n, f->name.s);

        return getKeyJsonValueFromContainer(in, key, (int)f->name.n + 1, v) != NULL;
    }
    return getKeyJsonValueFromContainer(in, f->name.s, (int)f->name.n, v) != NULL;
}

void
newt_pg_check_keys(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_struct *k,
                   const JsonbContainer *object)
{
    uint32 n = JsonContainerSize(object);

    for (uint32 i = 0; i < n; i++) {
        JsonbValue key;
        newt__name name;

        newt_pg_read_entry(object, i, (const char *)&object->children[2 * n], &key);
        if (!newt_pg_plain_key(&key, &name) || !newt_pg_member_named(k, name.s, name.n))
            newt_pg_refuse(
                r, place, ERRCODE_UNDEFINED_COLUMN,
                psprintf("has no field \"%.*s\"", key.val.string.len, key.val.string.val), NULL,
                "newt_class has the fields of each class and version.");
    }
}

void
newt_pg_write_struct(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_struct *k,
                     const JsonbValue *v)
{
    const JsonbContainer *object = v ? v->val.binary.data : NULL;
    JsonbValue *given = palloc((k->n + 1) * sizeof *given);
    bool *is_given = palloc((k->n + 1) * sizeof *is_given);
    size_t n = 0;

    check_stack_depth();
    if (object)
        newt_pg_check_keys(r, up, k, object);
    for (int i = 0; i < k->n; i++) {
        const newt_pg_member *f = &k->fields[i];
        newt_pg_place place = {.up = up, .name = f->name};
        bool null;

        is_given[i] = newt_pg_given(f, object, &given[i]);
        null = is_given[i] ? newt_pg_is_null(&f->value, &given[i]) : !f->initial;
        if (f->required && null)
            newt_pg_refuse(r, &place, ERRCODE_NOT_NULL_VIOLATION, "is null, but required", NULL,
                           NULL);
        if (null && newt_pg_omits_null(f))
            given[i].type = jbvNull, is_given[i] = false;
        else
            n++;
    }
    newt__write_map(&r->w, n);
    newt_pg_check_writer(r, up);
    for (int i = 0; i < k->n; i++) {
        const newt_pg_member *f = &k->fields[i];
        newt_pg_place place = {.up = up, .name = f->name};

        if (!is_given[i] && !f->initial && newt_pg_omits_null(f))
            continue;
        newt__write_text(&r->w, f->name.s, f->name.n);
        if (f->skip)
            newt__write_hidden(&r->w);
        if (is_given[i])
            newt_pg_write_member(r, &place, f, &given[i]);
        else
            newt_pg_write_initial(r, &place, f);
    }
    newt_pg_check_writer(r, up);
    pfree(given);
    pfree(is_given);
}
