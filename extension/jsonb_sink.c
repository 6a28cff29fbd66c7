/*
 * jsonb_sink.c - JSON events of the codec become a jsonb value
 */
#include "newt_pg.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

static Numeric
numeric_of_text(const char *s, size_t n)
{
    char buf[64];
    char *text = n < sizeof buf ? buf : palloc(n + 1);
    Datum d;

    memcpy(text, s, n);
    text[n] = '\0';
    d = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
                            Int32GetDatum(-1));
    if (text != buf)
        pfree(text);
    return DatumGetNumeric(d);
}

static void
value_of(JsonbValue *v, const newt__json *e)
{
    switch (e->kind) {
    case NEWT__JSON_KEY:
    case NEWT__JSON_STRING:
        v->type = jbvString;
        v->val.string.len = (int)e->n;
        v->val.string.val = e->in_record ? unconstify(char *, e->s) : pnstrdup(e->s, e->n);
        break;
    case NEWT__JSON_INT:
        v->type = jbvNumeric;
        v->val.numeric = int64_to_numeric(e->i);
        break;
    case NEWT__JSON_NUMBER:
        v->type = jbvNumeric;
        v->val.numeric = numeric_of_text(e->s, e->n);
        break;
    case NEWT__JSON_TRUE:
    case NEWT__JSON_FALSE:
        v->type = jbvBool;
        v->val.boolean = e->kind == NEWT__JSON_TRUE;
        break;
    default: v->type = jbvNull;
    }
}

static int
event(void *arg, const newt__json *e)
{
    newt_pg_jsonb *out = arg;
    JsonbIteratorToken token;
    JsonbValue v, *container;

    switch (e->kind) {
    case NEWT__JSON_OBJECT: token = WJB_BEGIN_OBJECT; break;
    case NEWT__JSON_OBJECT_END: token = WJB_END_OBJECT; break;
    case NEWT__JSON_ARRAY: token = WJB_BEGIN_ARRAY; break;
    case NEWT__JSON_ARRAY_END: token = WJB_END_ARRAY; break;
    default:
        value_of(&v, e);
        if (!out->state)
            out->root = v; /* a scalar document */
        else
            pushJsonbValue(&out->state,
                           e->kind == NEWT__JSON_KEY              ? WJB_KEY
                           : out->state->contVal.type == jbvArray ? WJB_ELEM
                                                                  : WJB_VALUE,
                           &v);
        return 0;
    }
    container = pushJsonbValue(&out->state, token, NULL);
    if (!out->state)
        out->root = *container;
    return 0;
}

static void
restart(void *arg)
{
    newt_pg_jsonb *out = arg;
    out->state = NULL;
}

void
newt_pg_jsonb_sink(newt__sink *sink, newt_pg_jsonb *out)
{
    *sink = (newt__sink){.event = event, .restart = restart, .arg = out};
    out->state = NULL;
}

Jsonb *
newt_pg_jsonb_finish(newt_pg_jsonb *out)
{
    return JsonbValueToJsonb(&out->root);
}
