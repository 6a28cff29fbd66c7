/*
 * schema.c - what newt.paths calls the values of a document, and their places
 */
#include "newt_pg.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_value_type);
PG_FUNCTION_INFO_V1(newt_pg_path_key);

/* What the projection writes as an object, by a key that it has then; the first that is there. */
static const struct {
    const char *key, *type;
} marks[] = {
    {"::=>", "reference"}, {"::~>", "weak reference"}, {"::err", "too large"},
    {"::text", "string"},  {"::b64", "bytes"},         {"::bin", "bytes"},
    {"::num", "number"},   {"::us", "time"},           {"::days", "date"},
    {"::->", "shared"},    {"::tag", "unknown tag"},
};

static bool
has_key(Jsonb *value, const char *key)
{
    JsonbValue room;

    return getKeyJsonValueFromContainer(&value->root, key, (int)strlen(key), &room) != NULL;
}

static const char *
type_of_object(Jsonb *value)
{
    for (size_t i = 0; i < lengthof(marks); i++)
        if (has_key(value, marks[i].key))
            return marks[i].type;
    return "object";
}

static const char *
type_of_scalar(Jsonb *value)
{
    switch (getIthJsonbValueFromContainer(&value->root, 0)->type) {
    case jbvNull: return "null";
    case jbvBool: return "boolean";
    case jbvNumeric: return "number";
    default: return "string";
    }
}

Datum
newt_pg_value_type(PG_FUNCTION_ARGS)
{
    Jsonb *value = PG_GETARG_JSONB_P(0);
    const char *type = JB_ROOT_IS_SCALAR(value)  ? type_of_scalar(value)
                       : JB_ROOT_IS_ARRAY(value) ? "array"
                                                 : type_of_object(value);

    PG_RETURN_TEXT_P(cstring_to_text(type));
}

Datum
newt_pg_path_key(PG_FUNCTION_ARGS)
{
    text *key = PG_GETARG_TEXT_PP(0);
    const char *s = VARDATA_ANY(key);
    StringInfoData out;

    initStringInfo(&out);
    for (const char *end = s + VARSIZE_ANY_EXHDR(key); s < end; s++) {
        if (*s == '.' || *s == ':' || *s == '\\')
            appendStringInfoChar(&out, '\\');
        appendStringInfoChar(&out, *s);
    }
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
