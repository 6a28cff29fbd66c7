/*
 * item.c - values of any shape: what a field of kind json can have
 *
 * The reverse of the projection, as far as there is one: a date is shown as a text, and comes back
 * as that. Numbers are taken as newt_json_set_text takes them.
 */
#include "recorder.h"

#include "values.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

const char *
newt_pg_number_text(const JsonbValue *v)
{
    return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
}

bool
newt_pg_plain_key(const JsonbValue *key, newt__name *out)
{
    const char *s = key->val.string.val;
    size_t n = (size_t)key->val.string.len;
    size_t colons = n >= 2 && s[0] == ':' && s[1] == ':' ? (n >= 3 && s[2] == ':' ? 3 : 2) : 0;

    *out = colons == 3 ? (newt__name){s + 1, n - 1} : (newt__name){s, n};
    return colons != 2;
}

void
newt_pg_check_writer(newt_pg_recorder *r, const newt_pg_place *place)
{
    const newt__fault *f = &r->w.fault;

    if (likely(f->code == NEWT__OK))
        return;
    newt_pg_refuse(r, place,
                   f->code == NEWT__LIMIT || f->code == NEWT__NOMEM
                       ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
                       : ERRCODE_INVALID_PARAMETER_VALUE,
                   "cannot be recorded", psprintf("In its record, %s.", f->reason), NULL);
}

/* ---- wrappers -----------------------------------------------------------------------------------
 */

static void
wrong(newt_pg_recorder *r, const newt_pg_place *place, const char *detail)
{
    newt_pg_refuse(r, place, ERRCODE_INVALID_PARAMETER_VALUE, "has a value of unknown form", detail,
                   "Keys that begin with \"::\" are the projection's; one more colon in "
                   "front makes it a key like any other.");
}

static bool
entry(const JsonbValue *object, const char *key, JsonbValue *v)
{
    return getKeyJsonValueFromContainer(object->val.binary.data, key, (int)strlen(key), v) != NULL;
}

static bool
is_object(const JsonbValue *v)
{
    return v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data);
}

bool
newt_pg_read_base64(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v,
                    bool with_text)
{
    newt__buffer lossy = {.env = &newt_pg_env};
    JsonbValue b64, text;
    bool has_text;

    if (!is_object(v))
        return false;
    if (entry(v, "::bin", &b64))
        newt_pg_refuse(r, place, ERRCODE_INVALID_PARAMETER_VALUE,
                       "is given as {\"::bin\": ...}, which is only its length",
                       "The projection shows no more than 256 bytes.",
                       "Leave it out of the patch to keep it, or give all of it as "
                       "{\"::b64\": base64}.");
    if (!entry(v, "::b64", &b64) || b64.type != jbvString)
        return false;
    has_text = entry(v, "::text", &text);
    if (JsonContainerSize(v->val.binary.data) != (uint32)1 + has_text || (has_text && !with_text))
        return false;
    r->scratch.n = 0;
    if (newt__parse_base64(&r->scratch, b64.val.string.val, (size_t)b64.val.string.len) != NEWT__OK)
        newt_pg_refuse(r, place, ERRCODE_INVALID_PARAMETER_VALUE, "is no base64",
                       "It has no blanks, and ends with its padding.", NULL);
    if (!has_text)
        return true;
    if (!newt__utf8_lossy(&lossy, r->scratch.data, r->scratch.n) || text.type != jbvString ||
        lossy.n != (size_t)text.val.string.len ||
        memcmp(lossy.data, text.val.string.val, lossy.n) != 0)
        newt_pg_refuse(r, place, ERRCODE_INVALID_PARAMETER_VALUE,
                       "has a \"::text\" that is not that of its \"::b64\"",
                       "The bytes are the value; the text is what can be read of them.",
                       "Change the bytes, and leave the text out.");
    newt__buffer_free(&lossy);
    return true;
}

static void
write_number(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    const char *text = newt_pg_number_text(v);
    newt__fault fault;

    newt__write_json(&r->w, text, strlen(text), &fault);
    newt_pg_check_writer(r, place);
}

/* {"::num": "1E+999999"} */
static bool
write_num(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    newt__number x;

    r->scratch.n = 0;
    if (v->type != jbvString || newt__number_parse(v->val.string.val, (size_t)v->val.string.len,
                                                   &r->scratch, &x) != NEWT__OK)
        return false;
    newt__write_number(&r->w, &x, true);
    return true;
}

static bool
write_us(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 us;
    bool fits = newt_pg_to_int64(v, &us);

    if (fits)
        newt__write_time(&r->w, us);
    return fits;
}

static bool
write_days(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 days;
    bool fits = newt_pg_to_int64(v, &days) && days > PG_INT64_MIN;

    if (fits)
        newt__write_date(&r->w, days);
    return fits;
}

static bool
write_ref(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 oid;
    bool fits = newt_pg_to_int64(v, &oid) && oid > 0;

    if (fits)
        newt__write_ref(&r->w, oid);
    return fits;
}

static bool
write_weak(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 oid;
    bool fits = newt_pg_to_int64(v, &oid) && oid > 0;

    if (fits)
        newt__write_weak(&r->w, oid);
    return fits;
}

static bool
write_sharedref(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 label;

    if (!newt_pg_to_int64(v, &label))
        return false;
    for (int i = 0; i < r->n_labels; i++) {
        if (r->labels[i] == label) {
            newt__write_sharedref(&r->w, r->first_shared + (uint64)i);
            return true;
        }
    }
    return false;
}

/* Those with one key. */
static const struct {
    const char *key;
    bool (*write)(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v);
} wrappers[] = {
    {"::=>", write_ref},    {"::~>", write_weak}, {"::us", write_us},
    {"::days", write_days}, {"::num", write_num}, {"::->", write_sharedref},
};

static void write_one(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v);

/* {"::tag": 60000, "::v": ...} */
static void
write_tag(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    JsonbValue number, inner;
    const char *text;
    char *end;
    uint64 tag;

    if (!entry(v, "::tag", &number) || number.type != jbvNumeric || !entry(v, "::v", &inner) ||
        JsonContainerSize(v->val.binary.data) != 2)
        wrong(r, place, "An unknown tag is {\"::tag\": number, \"::v\": value}.");
    text = newt_pg_number_text(&number);
    errno = 0;
    tag = strtoull(text, &end, 10);
    if (errno || *end || *text == '-')
        wrong(r, place, "The number of a tag is an integer from 0 to 2^64 - 1.");
    newt__write_tag(&r->w, tag);
    newt_pg_check_writer(r, place);
    write_one(r, place, &inner);
}

/* ---- maps -------------------------------------------------------------------------------------
 */

typedef struct pair {
    newt__name key;
    uint32 at;
} pair;

static int
by_key(const void *a, const void *b)
{
    const pair *x = a, *y = b;

    return newt__key_order(x->key.s, x->key.n, y->key.s, y->key.n);
}

static void
add_label(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    int64 label;

    if (!newt_pg_to_int64(v, &label))
        wrong(r, place, "\"::id\" is a number.");
    for (int i = 0; i < r->n_labels; i++)
        if (r->labels[i] == label)
            wrong(r, place, "An \"::id\" stands twice.");
    r->labels = r->labels ? repalloc(r->labels, (r->n_labels + 1) * sizeof *r->labels)
                          : palloc(sizeof *r->labels);
    r->labels[r->n_labels++] = label;
    newt__write_shared(&r->w);
}

/* In the order of the keys, counted: shared values inside are numbered by their place. */
static void
write_map(newt_pg_recorder *r, const newt_pg_place *up, const JsonbValue *v)
{
    const JsonbContainer *object = v->val.binary.data;
    uint32 size = JsonContainerSize(object), n = 0;
    const char *data = (const char *)&object->children[2 * size];
    pair *pairs = palloc((size + 1) * sizeof *pairs);
    newt_pg_place place = {.up = up, .is_key = true};
    JsonbValue x;

    if (entry(v, "::id", &x))
        add_label(r, up, &x);
    for (uint32 i = 0; i < size; i++) {
        newt_pg_read_entry(object, i, data, &x);
        pairs[n].at = size + i;
        n += newt_pg_plain_key(&x, &pairs[n].key);
    }
    qsort(pairs, n, sizeof *pairs, by_key);
    newt__write_map(&r->w, n);
    newt_pg_check_writer(r, up);
    for (uint32 i = 0; i < n; i++) {
        place.name = pairs[i].key;
        newt__write_text(&r->w, pairs[i].key.s, pairs[i].key.n);
        newt_pg_read_entry(object, pairs[i].at, data, &x);
        write_one(r, &place, &x);
    }
    pfree(pairs);
}

/* How many keys of an object are the projection's, and the first of them. */
static uint32
own_keys(const JsonbContainer *object, JsonbValue *first)
{
    uint32 n = JsonContainerSize(object), own = 0;
    JsonbValue key;
    newt__name name;

    for (uint32 i = 0; i < n; i++) {
        newt_pg_read_entry(object, i, (const char *)&object->children[2 * n], &key);
        if (!newt_pg_plain_key(&key, &name) && own++ == 0)
            *first = key;
    }
    return own;
}

static void
write_object(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    JsonbValue key = {0}, inner;
    uint32 own = own_keys(v->val.binary.data, &key);

    if (own == 0 || (own == 1 && entry(v, "::id", &inner))) {
        write_map(r, place, v);
        return;
    }
    if (newt_pg_read_base64(r, place, v, true)) {
        if (entry(v, "::text", &inner))
            newt__write_text(&r->w, r->scratch.data, r->scratch.n);
        else
            newt__write_bytes(&r->w, r->scratch.data, r->scratch.n);
        return;
    }
    if (entry(v, "::tag", &inner)) {
        write_tag(r, place, v);
        return;
    }
    for (size_t i = 0; i < lengthof(wrappers); i++)
        if (newt_pg_wrapped(v, wrappers[i].key, &inner) && wrappers[i].write(r, place, &inner))
            return;
    wrong(r, place,
          psprintf("It has the key \"%.*s\", with which no value of this form can be given.",
                   key.val.string.len, key.val.string.val));
}

static void
write_array(newt_pg_recorder *r, const newt_pg_place *up, const JsonbContainer *array)
{
    uint32 n = JsonContainerSize(array);
    newt_pg_place place = {.up = up};
    JsonbValue v;

    newt__write_array(&r->w, n);
    newt_pg_check_writer(r, up);
    for (place.index = 0; place.index < n; place.index++) {
        newt_pg_read_entry(array, place.index, (const char *)&array->children[n], &v);
        write_one(r, &place, &v);
    }
}

static void
write_one(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    check_stack_depth();
    CHECK_FOR_INTERRUPTS();
    switch (v->type) {
    case jbvNull: newt__write_null(&r->w); break;
    case jbvBool: newt__write_bool(&r->w, v->val.boolean); break;
    case jbvNumeric: write_number(r, place, v); break;
    case jbvString: newt__write_text(&r->w, v->val.string.val, (size_t)v->val.string.len); break;
    default:
        if (is_object(v))
            write_object(r, place, v);
        else
            write_array(r, place, v->val.binary.data);
    }
    newt_pg_check_writer(r, place);
}

void
newt_pg_write_item(newt_pg_recorder *r, const newt_pg_place *place, const JsonbValue *v)
{
    r->n_labels = 0;
    r->first_shared = r->w.shared;
    write_one(r, place, v);
}
