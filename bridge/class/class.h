/*
 * class.h - class tables: checked, copied, their fields in encoded order; kinds of values
 */
#ifndef NEWT_CLASS_H
#define NEWT_CLASS_H

#include "../error.h"

#include <jansson.h>

/* ---- kinds (kind.c) ------------------------------------------------------------------------ */

enum {
    NEWT__N_KINDS = NEWT_K_WEAK + 1,
    NEWT__N_SHAPES = NEWT_PAIRS_OF + 1,
    NEWT__ANY_WIDTH = 255 /* as traits.size: 1, 2, 4 or 8 bytes; of a float: 4 or 8 */
};

typedef struct newt__kind_traits {
    const char *name;
    uint8_t size;  /* of the C type; NEWT__ANY_WIDTH; 0: that of the field's struct */
    uint8_t align; /* 0: that of the size */
    bool nullable;
    bool key; /* may be the key of NEWT_PAIRS_OF */
} newt__kind_traits;
extern const newt__kind_traits newt__kinds[NEWT__N_KINDS];

const char *newt__kind_name(uint8_t kind); /* "unknown" for what is none */
bool newt__kind_fits(uint8_t kind, size_t size);

/* All arrays and maps have this layout. */
typedef NEWT_ARRAY(char) newt__array_layout;

/* Bytes that a field takes in its struct: of the value, or of the array. */
uint32_t newt__field_extent(const newt_field *f);

/* Whether a value of a nullable kind is null; false for the others. */
bool newt__is_null(uint8_t kind, const void *p);
/* Null, or zero if the kind has none. */
void newt__set_null(uint8_t kind, void *p, size_t size);

/* What decimals and floats may be besides numbers, as PostgreSQL spells it; the last has no name.
 */
typedef struct newt__special {
    const char *name;
    uint32_t single; /* bits of a float */
    uint64_t bits;   /* of a double */
} newt__special;
extern const newt__special newt__specials[];
const newt__special *newt__special_named(const char *s, size_t n);

/* ---- classes (class.c) ----------------------------------------------------------------------- */

/* Limits of a class, and of an object in memory: counts and offsets inside are 32 bits wide. */
enum {
    NEWT__MAX_FIELDS = 65535
};
#define NEWT__MAX_OBJECT ((size_t)UINT32_MAX) /* bytes */

typedef struct newt__class newt__class;

typedef struct newt__field {
    newt_field f;   /* copied; names and texts owned by the class */
    const char *as; /* name in the record */
    uint32_t as_n;
    const newt__class *type; /* REF with a class, STRUCT */
    uint32_t n_names;        /* ENUM */
    uint32_t *names_n;       /* ENUM: their lengths */
    uint32_t declared;       /* place in the program's table */
    bool nullable;           /* the kind has a null */
} newt__field;

/* A name that older records have. */
typedef struct newt__past {
    const char *name;
    uint32_t n;
    uint32_t rank;            /* among those of the field: 0, 1, ..., the newest first */
    const newt__field *field; /* that has another name now; NULL: it is dropped */
} newt__past;

/* A node of a tree begins with these in memory. */
typedef struct newt__node {
    NEWT__TREE_NODE;
} newt__node;

enum {
    NEWT__MOST_KEYS = 3 /* parts of a key */
};

/* What is known of a class of trees. */
typedef struct newt__tree {
    uint32_t n_keys; /* parts of a key */
    const newt__field *keys[NEWT__MOST_KEYS], *high[NEWT__MOST_KEYS];
    const newt__field *values;        /* NULL: a set */
    uint32_t key_at[NEWT__MOST_KEYS]; /* where the parts are in the program's key */
    uint32_t key_size;                /* of that */
    uint32_t node_bytes;              /* of a node's entries in its record, at most */
    uint32_t base_bytes;              /* of the record without entries, about */
    bool counted;
} newt__tree;

/* An index of a class. */
typedef struct newt__class_index {
    const newt_index *table; /* as the program gave it: a key, not read later */
    const newt__class *class;
    char *name;
    bool unique;
    bool (*where)(const void *object);
    uint32_t n_parts;
    const newt__field *parts[NEWT_INDEX_PARTS];
    uint32_t key_at[NEWT_INDEX_PARTS]; /* where the parts are in the program's key */
    char *definition;                  /* what the store remembers of all this */
} newt__class_index;

struct newt__class {
    const newt_class *table; /* as the program gave it: a key, not read later */
    char *name;
    uint32_t name_n;
    int32_t version;
    uint32_t size, flags, n_fields;
    newt__field *fields; /* in encoded order of their keys */
    newt_hooks hooks;    /* all zero if there are none */
    newt__past *past;    /* in encoded order of the names */
    uint32_t n_past;
    uint32_t n_was;
    char **was;             /* names that the class had */
    uint8_t *blank;         /* a new object: defaults; times and dates null */
    bool stored;            /* given to newt_db_open or built in; else only embedded */
    const newt__tree *tree; /* or NULL */
    const newt__class_index *indexes;
    uint32_t n_indexes;
};

typedef struct newt__classes newt__classes;
/* own: the library's, whose names are reserved; both end with NULL. */
int newt__classes_build(newt__classes **out, const newt_class *const *own,
                        const newt_class *const *classes, newt_error *e);
void newt__classes_free(newt__classes *cs);
const newt__class *newt__class_find(const newt__classes *cs, const newt_class *table);
/* By its name, or one that it had. */
const newt__class *newt__class_named(const newt__classes *cs, const char *name, size_t n);
const newt__class *newt__class_at(const newt__classes *cs, size_t i); /* NULL after the last */
/* What newt_class.fields holds for the registry: [{"name":, "kind":, ...}, ...] in the order of
 * the program's table, see docs/class-registry.md; as text, malloc'ed, NULL: no memory
 * (registry.c). */
char *newt__class_fields(const newt__class *k);
/* What older records call a field, or what is dropped of them; NULL: the name is none of these
 * (past.c). */
const newt__past *newt__class_past(const newt__class *k, const char *name, size_t n);
/* The text of a class name, whether a table has it or not, valid as long as the classes; NULL: no
 * memory. */
const char *newt__class_intern(const newt__classes *cs, const char *name, size_t n);
/* The same of the name that the class has now. */
const char *newt__class_present(const newt__classes *cs, const char *name, size_t n);

/* Whether that is what the store remembers of the index; an enum may have more names in one of them
 * (index.c). */
bool newt__index_is(const newt__class_index *x, const char *definition);

#endif
