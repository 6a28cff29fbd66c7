/*
 * fields.h - a class as the registry has it (docs/class-registry.md)
 */
#ifndef NEWT_PG_FIELDS_H
#define NEWT_PG_FIELDS_H

#include "newt_pg.h"

typedef enum newt_pg_kind {
    NEWT_PG_K_BOOL,
    NEWT_PG_K_INT,
    NEWT_PG_K_UINT,
    NEWT_PG_K_FLOAT,
    NEWT_PG_K_TEXT,
    NEWT_PG_K_BYTES,
    NEWT_PG_K_TIME,
    NEWT_PG_K_DURATION,
    NEWT_PG_K_DATE,
    NEWT_PG_K_UUID,
    NEWT_PG_K_DECIMAL,
    NEWT_PG_K_JSON,
    NEWT_PG_K_ENUM,
    NEWT_PG_K_REF,
    NEWT_PG_K_STRUCT,
    NEWT_PG_K_STORE_REF,
    NEWT_PG_K_WEAK,
    NEWT_PG_N_KINDS
} newt_pg_kind;

extern const char *const newt_pg_kind_names[NEWT_PG_N_KINDS];

typedef enum newt_pg_member_shape {
    NEWT_PG_ONE,
    NEWT_PG_LIST_OF,
    NEWT_PG_SET_OF,
    NEWT_PG_MAP_OF,  /* keys are text */
    NEWT_PG_PAIRS_OF /* keys are others */
} newt_pg_member_shape;

/* What a value is, or each item of a collection, or each key. */
typedef struct newt_pg_value_type {
    newt_pg_kind kind;
    int bits; /* of int, uint and float */
    bool nullable;
    const newt__name *names; /* of an enum */
    int n_names;
    const struct newt_pg_struct *fields; /* of a struct */
} newt_pg_value_type;

typedef struct newt_pg_member {
    newt__name name; /* in the record */
    newt_pg_member_shape shape;
    newt_pg_value_type value, key; /* key: of pairs and maps */
    bool required, keep_null, skip;
    const JsonbValue *initial; /* its default; NULL: null, or zero */
} newt_pg_member;

/* The fields of a class or of an embedded struct, in the order of their keys in a record. */
typedef struct newt_pg_struct {
    const char *class_name;
    newt_pg_member *fields;
    int n;
    newt__name *was; /* names that fields had */
    int n_was;
} newt_pg_struct;

typedef struct newt_pg_class {
    newt_pg_struct state;
    int32 version;
    bool hidden;  /* its objects have no JSONB */
    bool is_tree; /* its objects are nodes of trees */
} newt_pg_class;

/* From newt_class.fields, in the current memory context; what it points to may lie in `fields`. */
extern newt_pg_class *newt_pg_read_class(const char *name, int32 version, const Jsonb *fields);

/* NULL: there is none of this name. */
extern const newt_pg_member *newt_pg_member_named(const newt_pg_struct *k, const char *s, size_t n);

/* Whether null stands nowhere in the record: the field is left out. */
static inline bool
newt_pg_omits_null(const newt_pg_member *f)
{
    return f->shape == NEWT_PG_ONE && f->value.nullable && !f->keep_null;
}

#endif
