/*
 * place.c - where in an object something is wrong, for messages
 */
#include "recorder.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "mb/pg_wchar.h"

enum {
    LONGEST_KEY = 60,
    LONGEST_PLACE = 200
};

/* A name may be of a record, which has any bytes; a message has text. */
static void
add_name(StringInfo out, newt__name name, int at_most)
{
    newt__buffer shown = {.env = &newt_pg_env};
    const char *s;
    int n;

    if (!newt__utf8_lossy(&shown, name.s, name.n))
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    s = (const char *)shown.data;
    n = (int)shown.n;
    appendBinaryStringInfo(out, s, at_most > 0 ? pg_mbcliplen(s, n, at_most) : n);
    newt__buffer_free(&shown);
}

/* "steps[2].hours", the outermost first. */
static void
add_place(StringInfo out, const newt_pg_place *place)
{
    if (!place)
        return;
    add_place(out, place->up);
    if (out->len > LONGEST_PLACE)
        return;
    if (!place->name.s) {
        appendStringInfo(out, "[%u]", place->index);
    } else if (place->is_key) {
        appendStringInfoString(out, "[\"");
        add_name(out, place->name, LONGEST_KEY);
        appendStringInfoString(out, "\"]");
    } else {
        appendStringInfoString(out, out->len ? "." : "");
        add_name(out, place->name, 0);
    }
}

char *
newt_pg_object_name(const newt_pg_recorder *r)
{
    return r->zoid ? psprintf("%s " INT64_FORMAT, r->class_name, r->zoid)
                   : psprintf("the new %s", r->class_name);
}

void
newt_pg_refuse(const newt_pg_recorder *r, const newt_pg_place *place, int sqlstate,
               const char *what, const char *detail, const char *hint)
{
    StringInfoData where;

    initStringInfo(&where);
    add_place(&where, place);
    ereport(ERROR,
            (errcode(sqlstate),
             where.len ? errmsg("field \"%s\" of %s %s", where.data, newt_pg_object_name(r), what)
                       : errmsg("%s %s", newt_pg_object_name(r), what),
             detail ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
    pg_unreachable();
}

char *
newt_pg_shown(const JsonbValue *v)
{
    switch (v->type) {
    case jbvNull: return "null";
    case jbvBool: return v->val.boolean ? "true" : "false";
    case jbvString:
        return psprintf("\"%.*s%s\"",
                        pg_mbcliplen(v->val.string.val, v->val.string.len, LONGEST_KEY),
                        v->val.string.val, v->val.string.len > LONGEST_KEY ? "..." : "");
    case jbvNumeric: {
        const char *text = newt_pg_number_text(v);

        return strlen(text) > LONGEST_KEY ? psprintf("%.*s...", LONGEST_KEY, text) : pstrdup(text);
    }
    default: return JsonContainerIsArray(v->val.binary.data) ? "an array" : "an object";
    }
}
