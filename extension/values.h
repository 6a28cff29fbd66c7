/*
 * values.h - the types that values of a document are read as
 */
#ifndef NEWT_PG_VALUES_H
#define NEWT_PG_VALUES_H

#include "newt_pg.h"

/* false: it is not such a value. The result lies in the current memory context. */
typedef bool newt_pg_convert(const JsonbValue *v, Datum *out);

typedef struct newt_pg_type {
    newt_pg_convert *convert;
    Oid oid;
    int16 len;
    bool by_value;
    char align;
} newt_pg_type;

/* Where the data of an entry begin: getJsonbOffset() and getJsonbLength(), without the calls. */
static inline uint32
newt_pg_entry_offset(const JsonbContainer *container, uint32 at)
{
    uint32 offset = 0;

    while (at-- > 0) {
        offset += JBE_OFFLENFLD(container->children[at]);
        if (JBE_HAS_OFF(container->children[at]))
            break;
    }
    return offset;
}

static inline uint32
newt_pg_entry_length(const JsonbContainer *container, uint32 at)
{
    uint32 length = JBE_OFFLENFLD(container->children[at]);

    return JBE_HAS_OFF(container->children[at]) ? length - newt_pg_entry_offset(container, at)
                                                : length;
}

/* A value of a container by the place of its entry; data: what follows the entries. */
static inline void
newt_pg_read_entry(const JsonbContainer *container, uint32 at, const char *data, JsonbValue *v)
{
    JEntry entry = container->children[at];
    uint32 offset = newt_pg_entry_offset(container, at);

    switch (entry & JENTRY_TYPEMASK) {
    case JENTRY_ISSTRING:
        v->type = jbvString;
        v->val.string.val = unconstify(char *, data) + offset;
        v->val.string.len = (int)newt_pg_entry_length(container, at);
        break;
    case JENTRY_ISNUMERIC:
        v->type = jbvNumeric;
        v->val.numeric = (Numeric)(unconstify(char *, data) + INTALIGN(offset));
        break;
    case JENTRY_ISBOOL_TRUE:
    case JENTRY_ISBOOL_FALSE:
        v->type = jbvBool;
        v->val.boolean = JBE_ISBOOL_TRUE(entry);
        break;
    case JENTRY_ISCONTAINER:
        v->type = jbvBinary;
        v->val.binary.data = (JsonbContainer *)(unconstify(char *, data) + INTALIGN(offset));
        v->val.binary.len = (int)(newt_pg_entry_length(container, at) -
                                  (INTALIGN(offset) - offset));
        break;
    default: v->type = jbvNull;
    }
}

/* The value of a wrapper: the only key of an object. */
extern bool newt_pg_wrapped(const JsonbValue *v, const char *key, JsonbValue *inner);

/* Exact: 1.0 is the integer 1, 1.5 none. */
extern bool newt_pg_to_int64(const JsonbValue *v, int64 *out);

/* What numbers may be besides numbers. */
typedef struct newt_pg_special {
    const char *text;
    double real;
} newt_pg_special;
extern const newt_pg_special *newt_pg_special_of(const JsonbValue *v); /* NULL: it is none */

enum {
    NEWT_PG_BOOL,
    NEWT_PG_INT8,
    NEWT_PG_FLOAT8,
    NEWT_PG_NUMERIC,
    NEWT_PG_STRING,
    NEWT_PG_BYTES,
    NEWT_PG_TS,
    NEWT_PG_DURATION,
    NEWT_PG_DATE,
    NEWT_PG_UUID,
    NEWT_PG_REF,
    NEWT_PG_JSON
};

extern const newt_pg_type newt_pg_types[];

#endif
