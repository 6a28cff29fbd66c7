/*
 * newtdb.h - Newt, the amphibious object database for C on PostgreSQL
 *
 * A program keeps its data as a graph of plain structs; Newt keeps the graph in PostgreSQL, every
 * object once as a compact record (which C loads) and once as JSONB (which everyone else reads).
 *
 *   database    newt_db      classes and a store; shared by threads
 *   connection  newt_conn    one transaction and one thread at a time; its own cache of objects
 *   object      struct task  a struct of yours that Newt gave you; has an oid
 *   reference   task_ref     an oid that knows its class; a value, to be kept anywhere and for ever
 *   ghost                    a reference whose object is not loaded: it has no struct
 *
 * References are values, pointers are borrowed. A pointer comes from _new, _read, _write or _edit
 * and is valid until its _done, at the latest until commit, abort or the next begin. There is one
 * struct for an oid and connection: two reads give the same pointer. Pointers from _read are const;
 * to change an object ask for it with _write, or turn a read pointer into a writable one with
 * _edit. What was asked for writing is saved at commit, if it differs from what was loaded.
 * docs/c-api-states.md has the whole table.
 *
 * Status. Functions return NEWT_OK (0), a negative code of ours, or NULL; newt_transact also hands
 * back positive codes of the application. The connection keeps the error: newt_conn_error(). A
 * change that fails (out of memory, a value too long) dooms the transaction: commit
 * reports it, so the result of a setter may be ignored.
 *
 * Text is { s, n }: n bytes at s, followed by a NUL, so s is also a C string unless the text itself
 * holds a NUL. Text, bytes, arrays and maps belong to their object: they are changed through the
 * setters below, which copy, and stay readable until the object's last _done even when replaced.
 * Members of a struct that its class table does not name are the program's: zero after a load.
 *
 * Limits: nesting 500, record 256 MiB, class and field names 255 bytes (see docs/state-record.md);
 * 65,535 fields in a class, 4 GiB for an object in memory.
 */
#ifndef NEWTDB_H
#define NEWTDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#    define NEWT_CHECK __attribute__((warn_unused_result))
#    define NEWT_API   __attribute__((visibility("default")))
#    define NEWT__FN   static inline __attribute__((unused))
#else
#    define NEWT_CHECK
#    define NEWT_API
#    define NEWT__FN static inline
#endif
/* The most frequent calls do not go through the PLT. */
#ifdef __has_attribute
#    if __has_attribute(noplt)
#        define NEWT__NOPLT __attribute__((noplt))
#    endif
#endif
#ifndef NEWT__NOPLT
#    define NEWT__NOPLT
#endif

#define NEWT_VERSION "0.1.0"

/*
 * fork(): a database and its connections belong to the process that opened them. In a child every
 * call on them fails with NEWT_ETHREAD, and newt_close and newt_db_close free memory and send
 * nothing; the parent goes on undisturbed. Open a database in each process.
 */

/* ---- status ------------------------------------------------------------------------------ */

enum {
    NEWT_OK = 0,
    NEWT_ENOMEM = -1,    /* out of memory */
    NEWT_EINVAL = -2,    /* a wrong argument, or a value that cannot be stored */
    NEWT_EMISSING = -3,  /* no object with this oid (in this snapshot) */
    NEWT_ECLASS = -4,    /* the object is of another class, or a class table is wrong */
    NEWT_EBROKEN = -5,   /* the object's record is damaged, or does not fit its class */
    NEWT_ECONFLICT = -6, /* another transaction changed it since this one read it; retry */
    NEWT_ELOST = -7,     /* the server could not be reached, or went away before COMMIT; retry */
    NEWT_EUNKNOWN = -8,  /* committed, but not known to be durable (newt_tid is set); or the server
                          * went away during COMMIT and could not be asked (newt_tid is 0) */
    NEWT_EBUSY = -9,     /* not now: a transaction is open, or none is */
    NEWT_ESQL = -10,     /* the server refused; newt_error_sqlstate() says why */
    NEWT_ELIMIT = -11,   /* a documented limit was exceeded */
    NEWT_ESTORE = -12,   /* no store here, or one of another version */
    NEWT_ETHREAD = -13,  /* used from two threads at once (seen where the server is asked, and by
                          * every call in debug mode), or in a child after fork() (by every call) */
    NEWT_EUNIQUE = -14,  /* another object has a value that a unique index or an exclusion
                          * constraint over the projection, or a unique newt_index, allows once;
                          * newt_error_constraint() */
    NEWT_EDOOMED = -15   /* newt_doom() was called: the transaction can only be aborted */
};

typedef struct newt_db newt_db;
typedef struct newt_conn newt_conn;
typedef struct newt_object newt_object; /* opaque; a `struct task *` is also its newt_object * */
typedef struct newt_result newt_result;
typedef struct newt_error newt_error;
typedef struct newt_class newt_class;
typedef struct newt_record newt_record;
typedef struct newt_conflict newt_conflict;
struct json_t; /* jansson's json_t; include <jansson.h> to use it */

/* ---- values: one C type a kind, so that the kind of a field is inferred ------------------ */

typedef struct {
    int64_t oid;
} newt_ref; /* an object of any class; oid 0: null */
typedef struct {
    const char *s;
    uint32_t n, priv_;
} newt_text; /* s[n] == 0; s == NULL: null */
typedef struct {
    const uint8_t *p;
    uint32_t n, priv_;
} newt_bytes; /* p == NULL: null */
typedef struct {
    int64_t us;
} newt_time; /* microseconds since 1970-01-01 00:00 UTC; NEWT_TIME_NULL: null */
typedef struct {
    int64_t us;
} newt_duration; /* microseconds; never null */
typedef struct {
    int32_t days;
} newt_date; /* days since 1970-01-01; NEWT_DATE_NULL: null */
typedef struct {
    uint8_t b[16];
} newt_uuid; /* all zero: null */
typedef struct {
    newt_text digits;
} newt_decimal; /* "-12.50", "1E+10"; s == NULL: null */
typedef struct {
    newt_bytes item;
} newt_json; /* a value of any shape, see newt_json_set; p == NULL: null */
typedef struct {
    newt_text store; /* newt_options.store_name there; store.s == NULL: null */
    int64_t oid;
} newt_store_ref; /* an object of another store, see newt_store_ref_set */
typedef struct {
    int64_t oid;
} newt_weak; /* an object that this does not keep, see newt_weak_to; oid 0: null */

#define NEWT_TIME_NULL INT64_MIN
#define NEWT_DATE_NULL INT32_MIN

/* items is const: change it through newt_append and newt_items, which need a writable object.
 * NEWT_MAP: text keys, kept in order (shorter first, then bytewise); newt_put, newt_find,
 * newt_drop. NEWT_PAIRS: keys of another kind K, in the order you append them; saved sorted, and
 * equal keys are an error then. */
#define NEWT_ARRAY(T)                                                                              \
    struct {                                                                                       \
        union {                                                                                    \
            const T *items;                                                                        \
            T *edit_;                                                                              \
        };                                                                                         \
        uint32_t n, cap_;                                                                          \
    }
#define NEWT_MAP(V)                                                                                \
    NEWT_ARRAY(struct {                                                                            \
        newt_text key;                                                                             \
        V value;                                                                                   \
    })
#define NEWT_PAIRS(K, V)                                                                           \
    NEWT_ARRAY(struct {                                                                            \
        K key;                                                                                     \
        V value;                                                                                   \
    })

/* ---- class tables ------------------------------------------------------------------------ */

typedef enum newt_kind {
    NEWT_K_BOOL = 1,
    NEWT_K_INT,
    NEWT_K_UINT,
    NEWT_K_FLOAT,
    NEWT_K_TEXT,
    NEWT_K_BYTES,
    NEWT_K_TIME,
    NEWT_K_DURATION,
    NEWT_K_DATE,
    NEWT_K_UUID,
    NEWT_K_DECIMAL,
    NEWT_K_JSON,
    NEWT_K_ENUM,
    NEWT_K_REF,
    NEWT_K_STRUCT,
    NEWT_K_STORE_REF,
    NEWT_K_WEAK
} newt_kind;

typedef enum newt_shape {
    NEWT_ONE,
    NEWT_LIST_OF,
    NEWT_SET_OF, /* a list that is saved sorted and without duplicates */
    NEWT_MAP_OF,
    NEWT_PAIRS_OF
} newt_shape;

/* Flags of a field, given as `.flags = ...` after a field macro's arguments. */
enum {
    NEWT_F_KEEP_NULL = 1, /* null is written as null instead of being left out */
    NEWT_F_REQUIRED = 2,  /* null is refused at commit */
    NEWT_F_SKIP = 4       /* saved, but left out of the JSONB */
};

/* Flags of a class (NEWT_CLASS_AS). */
enum {
    NEWT_C_SKIP = 1,  /* objects of this class have no JSONB */
    NEWT_C_ASYNC = 2, /* newt-updater writes the JSONB, whatever the store's setting */
    NEWT_C_INLINE = 4 /* the committing client writes it, whatever the store's setting */
};

/* A field. Made by the macros below; a binding may fill it by hand (zero what is not used). `as` is
 * the name in the record and the JSONB if it differs from the C member's. */
typedef struct newt_field {
    const char *name;
    const char *as;
    uint32_t offset;  /* of the member in the struct */
    uint32_t size;    /* of the member, or of one item's value */
    uint8_t kind;     /* newt_kind of the value */
    uint8_t shape;    /* newt_shape */
    uint8_t key_kind; /* NEWT_PAIRS_OF: kind of the key */
    uint8_t flags;
    uint16_t key_size;        /* NEWT_PAIRS_OF */
    uint16_t stride;          /* size of one item, key included */
    uint16_t value_at;        /* offset of the value in an item */
    uint16_t init_size;       /* of what init points to */
    const newt_class *type;   /* REF: class of the target (NULL: any); STRUCT: its table */
    const char *const *names; /* ENUM: names of 0, 1, ..., NULL */
    const char *was;          /* its name in older records; NULL: the same */
    const char *const *were;  /* more of them, the newest first, ..., NULL; or NULL */
    const void *init;         /* a value as the member's: its default; see "classes over time" */
    void *reserved_[1];
} newt_field;

typedef struct newt_hooks newt_hooks;
typedef struct newt_index newt_index;

struct newt_class {
    uint16_t class_size, field_size; /* sizeof of these two structs as the program saw them */
    uint32_t size;                   /* of the C struct */
    const char *name;                /* 1 to 255 bytes of UTF-8; not "newt...." nor "::..." */
    int32_t version;                 /* from 0; see newt_hooks.upgrade */
    uint32_t n_fields;
    const newt_field *fields;
    const newt_hooks *hooks; /* or NULL */
    uint32_t flags;
    const char *const *was;     /* names that it had, ..., NULL; or NULL */
    const char *const *dropped; /* fields of older records that are not kept, ..., NULL; or NULL */
    const struct newt_tree *tree; /* its objects are nodes of trees, see newtdb_btree.h; or NULL */
};

/*
 * Callbacks of a class. They get detached images and no connection, may be called from any thread
 * that has a connection of this database, and return 0 or a positive code of their own, which
 * fails the commit (to_json) or the read (upgrade). Fill it by name, { .size = ..., }: later
 * versions append others.
 */
struct newt_hooks {
    size_t size; /* sizeof(newt_hooks) */
    /* Reshapes the JSONB of an object: `json` is an object holding the default projection; change
     * it in place with jansson. Its keys must not begin with "::" except in values that were
     * there. Only in inline mode: newt_db_open refuses it in classes whose JSONB is written by the
     * updater. */
    int (*to_json)(const void *object, struct json_t *json, void *arg);
    /* Fills an object from a record of an older version. Fields whose kinds are unchanged have been
     * loaded already, under their old names, too; newt_record_get gives the others. */
    int (*upgrade)(int32_t from, const newt_record *record, void *object, void *arg);
    void *arg;
    /* Merges at commit when others have changed the object since it was read. `old` is the state
     * that was read, `committed` the state that the others committed, `ours` the state to be
     * committed: edit it in place, also with setters, into the merged state. References in them are
     * values; their objects cannot be read. Return 0 if merged, a positive code if it cannot be (a
     * conflict); a negative status fails the commit. May run several times in one commit.
     * Ready-made resolvers are below. */
    int (*resolve)(const void *old, const void *committed, void *ours, void *arg);
    /* By what its objects are found, ..., NULL, see newtdb_index.h; or NULL. */
    const newt_index *const *indexes;
};

/* clang-format off */
#define NEWT__M(S, f) (((S *)0)->f)
#ifndef __cplusplus
#define NEWT__KIND(x)                                                                              \
    _Generic((x), bool                                                                             \
             : NEWT_K_BOOL, signed char                                                            \
             : NEWT_K_INT, short                                                                   \
             : NEWT_K_INT, int                                                                     \
             : NEWT_K_INT, long                                                                    \
             : NEWT_K_INT, long long                                                               \
             : NEWT_K_INT, unsigned char                                                           \
             : NEWT_K_UINT, unsigned short                                                         \
             : NEWT_K_UINT, unsigned                                                               \
             : NEWT_K_UINT, unsigned long                                                          \
             : NEWT_K_UINT, unsigned long long                                                     \
             : NEWT_K_UINT, float                                                                  \
             : NEWT_K_FLOAT, double                                                                \
             : NEWT_K_FLOAT, newt_text                                                             \
             : NEWT_K_TEXT, newt_bytes                                                             \
             : NEWT_K_BYTES, newt_time                                                             \
             : NEWT_K_TIME, newt_duration                                                          \
             : NEWT_K_DURATION, newt_date                                                          \
             : NEWT_K_DATE, newt_uuid                                                              \
             : NEWT_K_UUID, newt_decimal                                                           \
             : NEWT_K_DECIMAL, newt_json                                                           \
             : NEWT_K_JSON, newt_ref                                                               \
             : NEWT_K_REF, newt_store_ref                                                          \
             : NEWT_K_STORE_REF, newt_weak                                                         \
             : NEWT_K_WEAK)
#define NEWT__IS(x, T, k) _Generic((x), T : (k))
#define NEWT__ENUMCHK(x)                                                                           \
    (sizeof(x) == sizeof(int) ? _Generic((x), int : NEWT_K_ENUM, unsigned : NEWT_K_ENUM) : 0)

#define NEWT__AT(S, f) .name = #f, .offset = offsetof(S, f)
#define NEWT__ITEM(S, f) NEWT__M(S, f).edit_[0]
#define NEWT__ONE(S, f) NEWT__AT(S, f), .size = sizeof NEWT__M(S, f)
#define NEWT__MANY(S, f)                                                                           \
    NEWT__AT(S, f), .size = sizeof NEWT__ITEM(S, f), .stride = sizeof NEWT__ITEM(S, f)
#define NEWT__KEYED(S, f)                                                                          \
    NEWT__AT(S, f), .size = sizeof NEWT__ITEM(S, f).value, .stride = sizeof NEWT__ITEM(S, f),      \
                    .key_size = sizeof NEWT__ITEM(S, f).key,                                       \
                    .value_at = offsetof(__typeof__(NEWT__ITEM(S, f)), value)

/* Field macros. S: the struct type, f: the member (nested members too), c: the name a class was
 * declared with. They may end with .flags = ..., .as = "name", .was = "name" and NEWT_INIT. */
#define NEWT_FIELD(S, f, ...)                                                                      \
    {                                                                                              \
        NEWT__ONE(S, f), .kind = NEWT__KIND(NEWT__M(S, f)), __VA_ARGS__                            \
    }
#define NEWT_ENUM(S, f, nm, ...)                                                                   \
    {                                                                                              \
        NEWT__ONE(S, f), .kind = NEWT__ENUMCHK(NEWT__M(S, f)), .names = nm, __VA_ARGS__            \
    }
#define NEWT_REF(S, f, c, ...)                                                                     \
    {                                                                                              \
        NEWT__ONE(S, f), .kind = NEWT__IS(NEWT__M(S, f), c##_ref, NEWT_K_REF),                     \
                         .type = &c##_class, __VA_ARGS__                                           \
    }
#define NEWT_STRUCT(S, f, c, ...)                                                                  \
    {                                                                                              \
        NEWT__ONE(S, f), .kind = NEWT__IS(NEWT__M(S, f), struct c, NEWT_K_STRUCT),                 \
                         .type = &c##_class, __VA_ARGS__                                           \
    }
#define NEWT_LIST(S, f, ...)                                                                       \
    {                                                                                              \
        NEWT__MANY(S, f), .kind = NEWT__KIND(NEWT__ITEM(S, f)), .shape = NEWT_LIST_OF, __VA_ARGS__ \
    }
#define NEWT_SET(S, f, ...)                                                                        \
    {                                                                                              \
        NEWT__MANY(S, f), .kind = NEWT__KIND(NEWT__ITEM(S, f)), .shape = NEWT_SET_OF, __VA_ARGS__  \
    }
#define NEWT_REFS(S, f, c, ...)                                                                    \
    {                                                                                              \
        NEWT__MANY(S, f), .kind = NEWT__IS(NEWT__ITEM(S, f), c##_ref, NEWT_K_REF),                 \
                          .shape = NEWT_LIST_OF, .type = &c##_class, __VA_ARGS__                   \
    }
#define NEWT_STRUCTS(S, f, c, ...)                                                                 \
    {                                                                                              \
        NEWT__MANY(S, f), .kind = NEWT__IS(NEWT__ITEM(S, f), struct c, NEWT_K_STRUCT),             \
                          .shape = NEWT_LIST_OF, .type = &c##_class, __VA_ARGS__                   \
    }
#define NEWT_ENUMS(S, f, nm, ...)                                                                  \
    {                                                                                              \
        NEWT__MANY(S, f), .kind = NEWT__ENUMCHK(NEWT__ITEM(S, f)), .shape = NEWT_LIST_OF,          \
                          .names = nm, __VA_ARGS__                                                 \
    }
#define NEWT_MAPOF(S, f, ...)                                                                      \
    {                                                                                              \
        NEWT__KEYED(S, f), .kind = NEWT__KIND(NEWT__ITEM(S, f).value),                             \
                           .key_kind = NEWT__IS(NEWT__ITEM(S, f).key, newt_text, NEWT_K_TEXT),     \
                           .shape = NEWT_MAP_OF, __VA_ARGS__                                       \
    }
#define NEWT_MAPOF_REFS(S, f, c, ...)                                                              \
    {                                                                                              \
        NEWT__KEYED(S, f), .kind = NEWT__IS(NEWT__ITEM(S, f).value, c##_ref, NEWT_K_REF),          \
                           .key_kind = NEWT__IS(NEWT__ITEM(S, f).key, newt_text, NEWT_K_TEXT),     \
                           .shape = NEWT_MAP_OF, .type = &c##_class, __VA_ARGS__                   \
    }
#define NEWT_MAPOF_STRUCTS(S, f, c, ...)                                                           \
    {                                                                                              \
        NEWT__KEYED(S, f), .kind = NEWT__IS(NEWT__ITEM(S, f).value, struct c, NEWT_K_STRUCT),      \
                           .key_kind = NEWT__IS(NEWT__ITEM(S, f).key, newt_text, NEWT_K_TEXT),     \
                           .shape = NEWT_MAP_OF, .type = &c##_class, __VA_ARGS__                   \
    }
#define NEWT_PAIRSOF(S, f, ...)                                                                    \
    {                                                                                              \
        NEWT__KEYED(S, f), .kind = NEWT__KIND(NEWT__ITEM(S, f).value),                             \
                           .key_kind = NEWT__KIND(NEWT__ITEM(S, f).key), .shape = NEWT_PAIRS_OF,   \
                           __VA_ARGS__                                                             \
    }
#endif
/* clang-format on */

/* Defines the table c##_class of struct c: name in the store, version, hooks or NULL, fields.
 * NEWT_CLASS_PAST: with flags, and in parentheses what it was: (.was = NEWT_NAMES("Job")). */
#define NEWT_CLASS_PAST(c, nm, ver, hk, flg, past, ...)                                            \
    static const newt_field c##_fields_[] = {__VA_ARGS__};                                         \
    const newt_class c##_class = {.class_size = sizeof(newt_class),                                \
                                  .field_size = sizeof(newt_field),                                \
                                  .size = sizeof(struct c),                                        \
                                  .name = nm,                                                      \
                                  .version = ver,                                                  \
                                  .n_fields = sizeof c##_fields_ / sizeof *c##_fields_,            \
                                  .fields = c##_fields_,                                           \
                                  .hooks = hk,                                                     \
                                  .flags = flg,                                                    \
                                  NEWT__BARE past}
#define NEWT__BARE(...) __VA_ARGS__
#define NEWT_CLASS_AS(c, nm, ver, hk, flg, ...)                                                    \
    NEWT_CLASS_PAST(c, nm, ver, hk, flg, (.was = NULL), __VA_ARGS__)
#define NEWT_CLASS(c, nm, ver, hk, ...) NEWT_CLASS_AS(c, nm, ver, hk, 0, __VA_ARGS__)

/* For .was and .dropped of a class, and .were of a field. As NEWT_INIT, for tables outside of
 * functions: what they point to lives as long as the table that contains them. */
#define NEWT_NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
/* At the end of a field macro, a default: NEWT_INIT(int32_t, 3), of the member's type; for
 * newt_text NEWT_INIT_TEXT("new"). */
#define NEWT_INIT(T, ...) .init = &(const T){__VA_ARGS__}, .init_size = sizeof(T)
#define NEWT_INIT_TEXT(str)                                                                        \
    .init = &(const newt_text){"" str "", sizeof(str) - 1, 0}, .init_size = sizeof(newt_text)

/* ---- classes over time ------------------------------------------------------------------- */

/*
 * Records outlive the tables they were written with; docs/evolution.md has worked cases.
 *
 * A field that is added: records without it give its default (NEWT_INIT), else null or zero. A new
 * object has the default, too. Null is written in a field that has one, so that it stays null.
 * A field that is removed: its values are kept and written again, as those of any field that the
 * table lacks, until its name is in newt_class.dropped: then the next write drops it.
 * A field that is renamed (.was; .were if it had several names, the newest first): records that
 * lack the new name are read by the old one, the newest of them that is there. What is written has
 * the new name alone. In an embedded struct its own table says all this; fields that this lacks
 * cannot be kept there, and go when a record of an older version is written.
 * A field of another kind: the class's version is raised, and newt_hooks.upgrade fills the new
 * member from newt_record_get.
 * A class that is renamed (newt_class.was): records of its old names are read as objects of it, and
 * get its name when they are written. Versions are counted on across the rename.
 * A record of a newer version can be read as far as it fits the table. It cannot be changed
 * (NEWT_ECLASS), and stays as it is, byte for byte; its object can be deleted.
 *
 * An old record is rewritten when its object is next changed. newt_upgrade_all does so with all of
 * a class.
 */

/* Objects of one class and version. */
typedef struct newt_class_count {
    const char *class_name; /* as recorded: a class that was renamed has its objects under both
                             * names; "": damaged ones. Valid as long as the database */
    int32_t version;
    int64_t objects;
} newt_class_count;
/*
 * Counts all objects of the store, by class and version in this order: *n counts, for the caller to
 * free(). In PostgreSQL it is one statement that reads the whole store; elsewhere objects are gone
 * through, and what is committed meanwhile may be counted or not. On failure *counts is NULL. Must
 * be called outside a transaction (NEWT_EBUSY).
 */
NEWT_API int newt_class_counts(newt_conn *c, newt_class_count **counts, size_t *n) NEWT_CHECK;

/*
 * What else newt_upgrade_all is to do with an object: it is writable, and `record` is what it was
 * loaded from; both are valid until the function returns. Other objects may be made and changed,
 * too. The function may run again for the same object (after a conflict or an interruption). It
 * must not end the transaction. A non-zero result ends newt_upgrade_all, which returns it, and
 * nothing of this object and its batch is saved.
 */
typedef int newt_upgrade_work(newt_conn *c, void *object, const newt_record *record, void *arg);

typedef struct newt_upgrade {
    size_t size;             /* sizeof(newt_upgrade) */
    int64_t objects;         /* of any class, looked at in one call; 0: 1,000 */
    bool dry_run;            /* counts what would be written; work is not called */
    newt_upgrade_work *work; /* called for each object of the class, old or not; or NULL */
    void *arg;
    /* set by the calls; zero before the first */
    int64_t after;   /* objects up to this oid are done */
    bool over;       /* all are */
    int64_t looked;  /* at objects, so far: of any class */
    int64_t found;   /* of the class */
    int64_t written; /* whose record has changed */
    int64_t newer;   /* of a newer version: left as they are */
    int64_t broken;  /* that cannot be read or written as the class, or whose row in the projection
                        the database refuses: left as they are */
    int64_t busy;    /* that others changed again and again: left as they are; go over all again */
} newt_upgrade;
/*
 * Does the next objects: those of the class whose records would be written differently now (an
 * older version, an older name, a default that is missing, a field that is dropped) are written, in
 * transactions of their own. What others change meanwhile is looked at again; nobody waits for more
 * than a commit. What was done is kept in *u alone: `after` may be stored and given to a later
 * process. Progress is `looked`, out of all objects that newt_class_counts counts. What is broken
 * is reported to newt_options.notice, the first ten of a call.
 *
 * Must be called outside a transaction (NEWT_EBUSY). NEWT_ECLASS: the class is not one of this
 * database's. After a failure *u tells what was done before it; call again.
 */
NEWT_API int newt_upgrade_all(newt_conn *c, const newt_class *k, newt_upgrade *u) NEWT_CHECK;

/* ---- errors ------------------------------------------------------------------------------ */

/* The last failure. Valid until the next call on the same database or connection; newt_last_error
 * never returns NULL. A text that does not apply is "". */
NEWT_API int newt_error_status(const newt_error *e);
NEWT_API const char *newt_error_message(const newt_error *e); /* names object, class, field */
NEWT_API const char *newt_error_detail(const newt_error *e);
NEWT_API const char *newt_error_hint(const newt_error *e);
NEWT_API const char *newt_error_sqlstate(const newt_error *e); /* five characters, or "" */
NEWT_API size_t newt_error_position(const newt_error *e);      /* JSON text: byte from 1; else 0 */
NEWT_API int64_t newt_error_oid(const newt_error *e);          /* 0: no object */
NEWT_API const char *newt_error_class(const newt_error *e);    /* of that object, or "" */
/*
 * The constraint or index that refused a row, where the server names it: an index, constraint or
 * trigger of yours on newt_projection may refuse an object at commit. Then nothing is saved, and
 * message, newt_error_oid and newt_error_class say which object it was. They do not if only COMMIT
 * refused it (a deferred constraint), or if nothing is refused when the library, after the failure,
 * tries the objects one by one in a transaction that it rolls back.
 */
NEWT_API const char *newt_error_constraint(const newt_error *e);
/*
 * All objects that others have changed: the i-th by oid; NULL after the last. For errors of
 * newt_commit with NEWT_ECONFLICT (a conflict found while reading names one object, in
 * newt_error_oid). Empty if the server could no longer be asked. Valid as long as the error.
 */
struct newt_conflict {
    newt_ref object;
    const char *class_name; /* "" if it is not known; valid as long as the database */
    int64_t serial;         /* that was read */
    int64_t committed;      /* serial it has now; 0: removed */
    bool read_current;      /* it was not changed here, but newt_read_current asked for it */
};
NEWT_API const newt_conflict *newt_error_conflict(const newt_error *e, size_t i);
/* True if the same transaction, tried again, may succeed. This is the only retry policy. */
NEWT_API bool newt_is_retryable(const newt_error *e);
NEWT_API const char *newt_status_text(int status); /* a static name: "NEWT_ECONFLICT" */

/* ---- stores and databases ---------------------------------------------------------------- */

/*
 * A uri says where a store is:
 *
 *   libpq's connection string, or NULL (libpq's environment): in PostgreSQL. It is created once, by
 *   newt_store_create or in SQL.
 *   "memory:": in memory, private to the newt_db that opens it, and freed with it.
 *   "memory:NAME": in memory, shared by every newt_db of the process that opens the same name and
 *   schema. The first to open it creates it; the last to close it frees it. (A store made by
 *   newt_store_create, which is not needed, that nobody opens stays until the process ends.)
 *   "sqlite:PATH", "sqlite:PATH?OPTION=VALUE&...": in an SQLite file, which several processes may
 *   have open. newt_store_create makes it. In PATH, %HH is a byte: a ? is %3F, a % is %25.
 *   "demo:(BASE)", "demo:(BASE)(CHANGES)": changes over another store, which is only read. BASE and
 *   CHANGES are uris like these; CHANGES is "memory:" unless it is given. The schema of both is
 *   that of newt_options (SQLite has none). See "layers of changes" below.
 *
 * A store in SQLite needs no server: transactions, the feed and SQL are there as in PostgreSQL, and
 * tables of the same names. Its schema is "public". A commit writes objects and their JSON in one
 * transaction of SQLite's, whatever the class says about who writes the JSON; one process writes at
 * a time. Options:
 *
 *   timeout=5000       the longest wait for the write lock, in milliseconds; then the call fails
 *                      with NEWT_EBUSY (SQLSTATE 55P03), and nothing was written
 *   synchronous=full   what is committed is durable (full), or a crash of the machine may take the
 *                      last commits (normal, off; a crash of the program takes none)
 *
 * NEWT_ESTORE: the file is not there, is no store, is one of another version, or is damaged. A file
 * without the right to write it can be read: changes fail with NEWT_ESQL, SQLSTATE 25006. A full
 * disk is NEWT_ESQL, 53100. If the disk fails during COMMIT, newt_commit returns NEWT_EUNKNOWN, and
 * newt_tid is 0. SQL is SQLite's (docs/storages.md). After fork() a child cannot open a file that
 * its parent had open at that moment (NEWT_ETHREAD). There are no typed tables, and newt_join_conn
 * cannot let it join; nothing is left to be written later, so newt_project seldom has anything to
 * do. Options about servers and the JSONB have no effect.
 *
 * A store in memory is for tests of programs: transactions behave as in PostgreSQL, but nothing is
 * durable. There is no JSONB (to_json is called all the same, for its failures) and no SQL:
 * newt_search, newt_query, newt_project and newt_retry_rejects fail with NEWT_EINVAL, and nothing
 * enforces a unique index. Options about servers and the JSONB have no effect.
 */

/*
 * Creates a store's tables in a schema, and the schema if it is missing. In PostgreSQL never done
 * implicitly. schema NULL: "public". NEWT_ESTORE: the schema holds a store already; NEWT_EINVAL: it
 * is one of the system's, or "newt", the extension's; or uri is "memory:", whose store no newt_db
 * could open. In SQLite the file is made, or an empty one used. *e is set on success, too, and
 * freed with newt_error_free; e may be NULL.
 */
NEWT_API int newt_store_create(const char *uri, const char *schema, newt_error **e) NEWT_CHECK;
NEWT_API void newt_error_free(newt_error *e);

typedef enum newt_projector {
    NEWT_PROJECT_AUTO,   /* the server if it has the extension, else the client */
    NEWT_PROJECT_CLIENT, /* nothing of the extension is called */
    NEWT_PROJECT_SERVER
} newt_projector;

/*
 * Something that a program may want to know but that is no error: newt_error_status is NEWT_OK,
 * message, hint and oid say what it is about. Called in the connection's thread; it must not use
 * the connection. e is valid until it returns. At most 10 a commit, and one more that counts the
 * rest.
 */
typedef void newt_notice(const newt_error *e, void *arg);

/*
 * A call to the storage, as it ended. Valid until newt_trace returns, which is called in the
 * connection's thread and must not use the connection.
 */
typedef struct newt_call {
    size_t size;      /* sizeof(newt_call) */
    const char *name; /* "snapshot", "load", "walk", "query", "oids", "commit", "prepare", "settle",
                       * "transactions" (of a feed) */
    const char *sql;  /* of a query; else NULL */
    int64_t us;       /* that it took */
    int64_t objects;  /* loaded or written */
    int64_t bytes;    /* of their records */
    int64_t round_trips, statements; /* in PostgreSQL; else 0 */
    int status;                      /* NEWT_OK, or how it failed */
} newt_call;
typedef void newt_trace(const newt_call *call, void *arg);

typedef struct newt_options {
    size_t size;              /* sizeof(newt_options) */
    const char *schema;       /* of the store; NULL: "public" */
    newt_projector projector; /* who computes the JSONB in inline mode */
    bool no_inline; /* leave the JSONB of every class (except those with to_json) to newt-updater */
    bool debug;     /* commit compares what was only read with its record, and fails with
                     * NEWT_EINVAL if it was changed without being asked for writing */
    int connect_timeout;  /* seconds; 0: 10 */
    size_t cache_bytes;   /* limit of a connection's cache, which is kept while the connection is in
                             the pool; 0: 256 MiB, SIZE_MAX: none; see newt_cache_stats */
    size_t cache_objects; /* the same in objects; 0: none */
    bool transaction_pooling; /* for PgBouncer or the like in transaction mode: neither prepared
                                 statements nor settings are kept in a session. Without it,
                                 connecting through a pooler is NEWT_EINVAL */
    bool strict; /* a commit is visible only once it is durable. The commit lock is held until then,
                    so all writers of the store wait for each other's disk writes */
    newt_notice *notice; /* called by commit, in debug mode, about new objects that no root and no
                            changed object refers to; by newt_project about refused ones; and by
                            newt_upgrade_all, newt_project_sweep and newt_feed_next, which see; or
                            NULL */
    void *notice_arg;
    newt_trace *trace; /* called after each call to the storage in a transaction; or NULL */
    void *trace_arg;
    const char *store_name; /* by which references in other stores name this one, in every program
                               that follows them: 1 to 255 bytes of UTF-8; or NULL. Copied */
} newt_options;

/*
 * Opens a database: checks the store's version and the class tables, registers new classes (plain
 * rows, no DDL). classes: NULL-terminated, copied; the classes that references name must be among
 * them, those of embedded structs need not. opt: NULL for defaults. *db is set even on failure: ask
 * newt_db_error why, and newt_db_close it in any case. The server must be a primary unless uri says
 * otherwise: with target_session_attrs=standby (or any) transactions read what the standby has
 * replayed, and every change is refused (NEWT_ESQL, SQLSTATE 25006); the classes must be registered
 * already.
 */
NEWT_API int newt_db_open(newt_db **db, const char *uri, const newt_class *const *classes,
                          const newt_options *opt) NEWT_CHECK;
NEWT_API void newt_db_close(newt_db *db); /* after its connections; NULL is fine */
NEWT_API const newt_error *newt_db_error(const newt_db *db);

/*
 * Takes a connection from the database's pool, the one returned last, with its cache; it reconnects
 * if the server went away in the meantime. *c is set even on failure (NULL: no memory): ask
 * newt_conn_error why, and newt_close it in any case. newt_close aborts an open transaction and
 * returns the connection to the pool; NULL is fine. newt_last_error is the connection's error, or
 * else the database's. A connection keeps its error until its next newt_begin: what a function that
 * takes the database has to tell is in newt_db_error.
 */
NEWT_API int newt_connect(newt_db *db, newt_conn **c) NEWT_CHECK;
NEWT_API void newt_close(newt_conn *c);
NEWT_API const newt_error *newt_conn_error(const newt_conn *c);
NEWT_API const newt_error *newt_last_error(const newt_db *db, const newt_conn *c);

/* ---- transactions ------------------------------------------------------------------------ */

/*
 * newt_begin starts a transaction on a snapshot: later commits of others are not seen. It costs no
 * round trip while the connection's cache is fresh: it has all that this newt_db has committed or
 * seen, and the server confirmed it within the last 100 ms. Such a transaction may miss what other
 * programs committed in that time, and its snapshot is opened when it first loads an object that is
 * not in the cache. If an object that it has used was changed by then, that call fails with
 * NEWT_ECONFLICT and dooms the transaction.
 *
 * newt_commit saves all changed and new objects in one round trip; a large transaction takes one
 * more for every 10,000 objects or 2 MiB of records, before it takes the lock. If it fails nothing
 * is saved, and the error says why (NEWT_ECONFLICT: newt_error_conflict lists the objects); the
 * exception is NEWT_EUNKNOWN. What the classes' resolvers (newt_hooks.resolve) merge is no
 * conflict: the commit is repeated, at most 10 times, at two round trips each. If the connection is
 * lost during COMMIT, the library asks the server for the outcome, for up to 30 s, so that NEWT_OK
 * and NEWT_ELOST are certain. Either way the transaction has ended and all pointers are invalid;
 * references stay valid. newt_abort discards the changes. NEWT_EBUSY: a transaction is open
 * already, or none is.
 */
NEWT_API int newt_begin(newt_conn *c) NEWT_CHECK;
NEWT_API int newt_commit(newt_conn *c) NEWT_CHECK;
NEWT_API void newt_abort(newt_conn *c);

/*
 * Describes this transaction, if it writes, in the store's table `transaction`: username (NULL: the
 * server's CURRENT_USER), description, and extension, a JSON object of your own; NULL: none.
 * A feed shows them (newt_feed_transaction), also in memory. Copied; the last call wins. Each at
 * most 65,535 bytes (NEWT_ELIMIT) of UTF-8 without NUL (NEWT_EINVAL); failure dooms the
 * transaction.
 */
NEWT_API int newt_describe(newt_conn *c, const char *user, const char *description,
                           const struct json_t *extension);

/*
 * newt_doom makes the commit of this transaction fail with NEWT_EDOOMED, whatever is done until
 * then: objects can still be read and changed, and a page rendered from them. No savepoint undoes
 * it.
 * newt_is_doomed: whether a commit is certain to fail, because of newt_doom, of a change that has
 * failed, or of a lost snapshot.
 */
NEWT_API void newt_doom(newt_conn *c);
NEWT_API bool newt_is_doomed(const newt_conn *c);

/*
 * Hooks run when a transaction ends, in the order in which they were given, and are forgotten then.
 *
 * NEWT_BEFORE_COMMIT  within the transaction: may change objects, and add hooks, which run as well.
 *                     One that does not return NEWT_OK stops the commit, which returns its status
 * NEWT_AFTER_COMMIT   status is what newt_commit is going to return; also after one that failed
 * NEWT_BEFORE_ABORT   within the transaction, by newt_abort, newt_close or newt_transact; not where
 *                     a commit fails
 * NEWT_AFTER_ABORT    the same, afterwards
 *
 * Those before the end must not end the transaction, those after it not begin another one on this
 * connection (NEWT_EBUSY). status is NEWT_OK and the result is ignored where nothing is said about
 * them. Where a commit has failed, and around an abort, the connection keeps its error: a call of
 * theirs that fails returns its status and leaves that error. In a child after fork() none runs.
 *
 * newt_on is called inside a transaction, also one that is doomed (NEWT_EBUSY: none is open).
 * NEWT_EINVAL: fn is NULL, or when is not a newt_moment.
 */
typedef enum newt_moment {
    NEWT_BEFORE_COMMIT,
    NEWT_AFTER_COMMIT,
    NEWT_BEFORE_ABORT,
    NEWT_AFTER_ABORT
} newt_moment;
typedef int newt_hook(newt_conn *c, int status, void *arg);
NEWT_API int newt_on(newt_conn *c, newt_moment when, newt_hook *fn, void *arg) NEWT_CHECK;

/*
 * Other resources in the same transaction, by two-phase commit: a file, another database, a message
 * queue. newt_commit prepares them in the order of sort_key (equal ones in any), commits the store,
 * which decides, and then commits them. If one cannot be prepared, or the store refuses, all are
 * aborted and nothing is committed anywhere.
 *
 * name is the same for all resources of a transaction and for no other, at most
 * NEWT_RESOURCES_NAME - 1 letters, digits and "-". The transaction's row in the store keeps it (as
 * "newt.resources" in its extension), also if the transaction changes no object. What a crash
 * leaves prepared asks newt_was_committed, by that name, what became of the transaction.
 *
 * prepare    does everything that can fail, and makes it durable under the name. Not NEWT_OK: the
 *            commit fails with this status.
 * commit     after the store's commit; it must not fail. If it does, newt_commit commits the others
 *            and returns NEWT_EUNKNOWN, and what was prepared has to be committed later.
 * abort      at any time before, prepared or not.
 * leave      neither: it is not known whether the store has committed (NEWT_EUNKNOWN, tid 0). What
 *            is prepared stays; the resource may free its memory. NULL: nothing is to be freed.
 * savepoint, rollback  for newt_savepoint and newt_rollback_to, with the number of the savepoint;
 *            both or neither. Without them the transaction can have no savepoints (NEWT_EINVAL). A
 *            resource that joined after a savepoint is aborted, and leaves, when the transaction is
 *            rolled back to it. Nothing is called when savepoints are released or are over.
 *
 * For each resource one of commit, abort and leave is called, once, in the thread of newt_commit or
 * newt_abort; its functions must not use the connection. newt_join copies *r and its sort_key.
 * NEWT_EBUSY: no transaction is open. NEWT_EINVAL: size is wrong; sort_key, prepare, commit or
 * abort is NULL; savepoint without rollback, or the other way round; neither, while the transaction
 * has savepoints.
 */
enum {
    NEWT_RESOURCES_NAME = 64 /* bytes, with the NUL */
};
typedef struct newt_resource {
    size_t size; /* sizeof(newt_resource) */
    const char *sort_key;
    int (*prepare)(void *arg, const char *name);
    int (*commit)(void *arg);
    void (*abort)(void *arg);
    void (*leave)(void *arg);
    int (*savepoint)(void *arg, int64_t savepoint);
    int (*rollback)(void *arg, int64_t savepoint);
    void *arg;
} newt_resource;
NEWT_API int newt_join(newt_conn *c, const newt_resource *r) NEWT_CHECK;
/*
 * Lets the transaction of another connection, which may be of another database, server and kind of
 * store, end with this one: prepared with it, committed or aborted with it, savepoints included. It
 * is still used through its own connection until newt_commit or newt_abort of c; its own
 * newt_commit is NEWT_EBUSY, its newt_abort or newt_close dooms c. Its hooks run as at a commit of
 * its own (AFTER_COMMIT with NEWT_EDOOMED if c's transaction was not committed). What fails is said
 * by the connection that was called; joining and the commit of all, by c. A failure to join dooms
 * neither: without it each of the two ends by itself.
 *
 * Its store must be in PostgreSQL, and c's may be of any kind. Where max_prepared_transactions is 0
 * newt_commit fails with NEWT_ESQL, 55000. If c's is in memory, nobody knows after a crash how it
 * was decided: for tests only. While a transaction is prepared nobody else commits in its store:
 * for a few round trips, or, after a crash, until newt_settle.
 *
 * NEWT_EBUSY: one of the two has no open transaction. NEWT_EINVAL: both are the same connection;
 * `with` has joined another one already, or has resources of its own; its store is not in
 * PostgreSQL, is a layer, was opened with newt_options.transaction_pooling, or has the
 * newt_options.store_name of one that is there already; sort_key is NULL.
 */
NEWT_API int newt_join_conn(newt_conn *c, newt_conn *with, const char *sort_key) NEWT_CHECK;
/*
 * The connection to the store that r refers to, of those whose transactions end together: c, the
 * one that c has joined, or another that has joined the same. With `twin`, a newt_store_ref in a
 * Task t that was read through c:
 *
 *     newt_conn *there = newt_store_ref_conn(c, t->twin);
 *     const struct task *twin = there ? task_read(there, (task_ref){{t->twin.oid}}) : NULL;
 *
 * NULL: r is null (NEWT_EINVAL), or none of them has a store of this newt_options.store_name
 * (NEWT_EMISSING). Without joining a program finds the store by r.store itself.
 */
NEWT_API newt_conn *newt_store_ref_conn(newt_conn *c, newt_store_ref r);
/*
 * What is prepared in a store: a crash of a program may have left it so. take is called with each
 * name, the oldest first, and the time since in microseconds; name is valid until take returns, and
 * take must not use c. Any result but NEWT_OK stops newt_prepared, which returns it. newt_settle
 * commits or discards one of them (NEWT_EMISSING: there is none of this name; NEWT_ESQL: it belongs
 * to another role): newt_was_committed, asked of the store that it joined, tells which. Both are
 * called outside of a transaction (NEWT_EBUSY). docs/joining.md has the whole story.
 */
typedef int newt_take_prepared(void *arg, const char *name, int64_t age_us);
NEWT_API int newt_prepared(newt_conn *c, newt_take_prepared *take, void *arg) NEWT_CHECK;
NEWT_API int newt_settle(newt_conn *c, const char *name, bool commit) NEWT_CHECK;
/*
 * Whether the transaction whose resources were prepared under this name was committed. Called
 * outside of a transaction (NEWT_EBUSY). Looks through the transactions that the store keeps (see
 * newt_prune), from the oldest on. "Not committed" is certain only when whoever prepared them has
 * ended, and while the store still keeps transactions of that time.
 */
NEWT_API int newt_was_committed(newt_conn *c, const char *name, bool *committed) NEWT_CHECK;

/*
 * Savepoints: the transaction as it is now, to come back to. They are nested, at most 10,000 deep
 * (NEWT_ELIMIT); *savepoint is a number that is not used again on this connection. newt_savepoint
 * costs nothing in the storage, and takes time only for what was changed since the last one. What
 * was changed may then leave the cache without further work, since its record is in the temporary
 * file (see newt_cache_stats). If an object could not be committed as it is (a required field is
 * null, a value is too long), newt_savepoint fails with the error that the commit would give; there
 * is no savepoint then, and the transaction goes on.
 *
 * newt_rollback_to brings all objects back as they were: changes made since are undone, deleted
 * objects are back, and objects made since do not exist; references to them give NEWT_EMISSING. The
 * savepoint stays, and so do those before it; later ones are over (NEWT_EINVAL). A transaction that
 * is doomed because a change has failed can be rolled back and goes on; one that has lost its
 * snapshot, by a conflict or with the server, cannot, and the status says so. Pointers stay valid,
 * and structs show the restored state; texts and items that were taken from them before still show
 * what they held then. Members of a struct that its class table does not name may be zero.
 *
 * newt_release ends a savepoint and those after it; nothing else changes. The oids that were given
 * to new objects, newt_describe and newt_read_current are not undone; hooks and what runs in SQL
 * know nothing of savepoints.
 */
NEWT_API int newt_savepoint(newt_conn *c, int64_t *savepoint) NEWT_CHECK;
NEWT_API int newt_rollback_to(newt_conn *c, int64_t savepoint) NEWT_CHECK;
NEWT_API int newt_release(newt_conn *c, int64_t savepoint) NEWT_CHECK;

typedef struct newt_transact_options {
    size_t size;     /* sizeof(newt_transact_options) */
    int attempts;    /* at most; 0: 10 */
    int deadline_ms; /* after this no attempt begins, and none waits for a turn; 0: none */
} newt_transact_options;

/*
 * Runs fn in a transaction and commits; on a retryable error aborts and runs it again. fn must not
 * keep state from a failed attempt, nor call newt_begin, newt_commit or newt_abort on c. If fn
 * returns non-zero the transaction is aborted: a negative retryable status leads to another
 * attempt, everything else is returned.
 *
 * After a conflict at commit, the next attempt queues for those objects (at most 8, at most a
 * second each), reads them again in the same round trip, and holds its turn until it ends. For 100
 * ms after the last conflict or wait, the next newt_transact of this connection with the same fn
 * begins in the same way. Only newt_transact queues, and correctness does not depend on it. Before
 * all other attempts, and with newt_options.transaction_pooling, it pauses for a random time (up to
 * 2 ms, then 4, ... at most 100).
 */
typedef int newt_work(newt_conn *c, void *arg);
NEWT_API int newt_transact(newt_conn *c, newt_work *fn, void *arg,
                           const newt_transact_options *opt) NEWT_CHECK;
/* The status of the last call that failed in this transaction; NEWT_OK: none has. */
NEWT_API int newt_status(const newt_conn *c);
/* Position of the snapshot in the order of commits; after a commit that wrote, of that commit. 0:
 * not known yet, since the transaction has not asked the server. */
NEWT_API int64_t newt_tid(const newt_conn *c);

/* ---- objects ----------------------------------------------------------------------------- */

/*
 * new makes an object with all fields zero, times and dates null. read and write load it if
 * necessary, in one round trip; edit makes the object of a read pointer writable and adds no pin.
 * All return NULL on failure, which does not doom the transaction, except NEWT_ECONFLICT (see
 * newt_begin) and NEWT_ELOST. NEWT_EMISSING: no such object; NEWT_ECLASS: another class, or a
 * record that does not fit the table (the message names the field), or for writing one of a newer
 * version; NEWT_EBROKEN: a damaged record.
 */
NEWT_API void *newt_new(newt_conn *c, const newt_class *k) NEWT_CHECK;
NEWT_API const void *newt_read(newt_conn *c, newt_ref r,
                               const newt_class *k) NEWT_CHECK NEWT__NOPLT;
NEWT_API void *newt_write(newt_conn *c, newt_ref r, const newt_class *k) NEWT_CHECK;
NEWT_API void *newt_edit(const newt_object *o) NEWT_CHECK;
NEWT_API void newt_done(const newt_object *o) NEWT__NOPLT; /* NULL is fine */
NEWT_API newt_ref newt_ref_of(const newt_object *o);
NEWT_API newt_conn *newt_conn_of(const newt_object *o); /* NULL: an image that a hook was given */
/* Removes the object. References to it remain; reading them gives NEWT_EMISSING. So does removing
 * an object that no longer exists, which does not doom the transaction. If another transaction
 * changes or removes the object meanwhile, commit fails with NEWT_ECONFLICT. */
NEWT_API int newt_delete(newt_conn *c, newt_ref r);
/*
 * Makes the commit of this transaction, if it writes, fail with NEWT_ECONFLICT if others have
 * changed or removed this object since. For what is only read but decides what is written: without
 * it, two transactions may each write what the other has read (write skew). If the object is
 * changed here too, it is not merged. The commit is still one round trip. A transaction that writes
 * nothing is not checked: what it read is one snapshot. At most 10,000 objects a transaction
 * (NEWT_ELIMIT). Loads the object if necessary; failure dooms the transaction.
 */
NEWT_API int newt_read_current(newt_conn *c, newt_ref r);
/* Loads n objects in one round trip; what is missing is not an error here. */
NEWT_API int newt_prefetch(newt_conn *c, const newt_ref *r, size_t n);

typedef struct newt_walk_options {
    size_t size;               /* sizeof(newt_walk_options) */
    int64_t depth;             /* of a chain of references; 0: any */
    int64_t objects;           /* those of r included; 0: 10,000; at most 1,000,000 (NEWT_ELIMIT) */
    const char *const *fields; /* ..., NULL: follow references in these fields of any class alone,
                                * named as in the record; NULL: in all */
} newt_walk_options;

/*
 * Loads n objects and what can be reached from them along references, breadth first. Where the
 * server has the extension it follows the references (newt.walk), and all is one round trip; else
 * each level is one, or one for every 4,000 objects of it. Each object is loaded once. The limit
 * counts every object that is reached, also those that do not exist. Neither these, nor damaged
 * ones, whose references are not followed, nor what lies beyond the limits is an error here.
 * References are followed as stored, without this transaction's changes. Objects in the cache stay
 * as they are, although their records travel; when the cache is full, the objects used longest ago
 * are evicted. opt: NULL for defaults.
 */
NEWT_API int newt_prefetch_walk(newt_conn *c, const newt_ref *r, size_t n,
                                const newt_walk_options *opt);
/*
 * An object as text, for people and logs: its class, oid, serial and state here, the size of its
 * record, when and by whom it was written last (if that transaction is kept), and its fields as
 * JSON, a line each; if it cannot be read, the reason is shown instead of the fields. For free();
 * NULL on failure. Loads the object if necessary.
 */
NEWT_API char *newt_dump(newt_conn *c, newt_ref r) NEWT_CHECK;
/* The name of the object's class; loads the object if necessary. NULL on failure. Valid as long as
 * the database. */
NEWT_API const char *newt_class_name(newt_conn *c, newt_ref r);
NEWT__FN bool
newt_is_null(newt_ref r_)
{
    return r_.oid == 0;
}

/*
 * Weak references: to an object that they do not keep. What follows references passes them by:
 * newt_prefetch_walk, newt.refs and newt.walk in SQL, and the notice about new objects that nothing
 * refers to. Otherwise a newt_weak is a value as newt_ref is: any class, any shape of field, a key
 * of NEWT_PAIRS, and in SQL a column with the oid. To use the object, read newt_weak_ref(w): NULL
 * with NEWT_EMISSING if it is gone.
 */
NEWT__FN newt_weak
newt_weak_to(newt_ref r_)
{
    newt_weak w_;
    w_.oid = r_.oid;
    return w_;
}
NEWT__FN newt_ref
newt_weak_ref(newt_weak w_)
{
    newt_ref r_;
    r_.oid = w_.oid;
    return r_;
}
/* *alive: whether the object is there, in this snapshot and with this transaction's changes; false
 * for the null reference. An object that is damaged, or of a class that this program lacks, is
 * there. Loads it if necessary. A status is returned only if that cannot be told (the server is
 * lost); *alive is false then. */
NEWT_API int newt_weak_alive(newt_conn *c, newt_weak w, bool *alive) NEWT_CHECK;

/* Named roots: where a program finds its graph again. A name that is not set gives the null
 * reference. newt_set_root with the null reference removes the name. All names are in one object
 * (newt.Root), which merges as a newt_map does: transactions conflict that set or remove the same
 * name. NEWT_EINVAL: no name, or an empty one. A failure of newt_set_root dooms the transaction. */
NEWT_API newt_ref newt_root(newt_conn *c, const char *name);
NEWT_API int newt_set_root(newt_conn *c, const char *name, newt_ref r);

/* ---- setters: copy; failure dooms the transaction, so the result may be ignored ---------- */

/* Any bytes. The JSONB shows those that are not UTF-8, or have NUL, as {"::b64": ..., "::text":
 * ...}; see docs/json-values.md. */
NEWT_API int newt_text_set(newt_object *o, newt_text *f, const char *s); /* NULL: null */
NEWT_API int newt_text_setn(newt_object *o, newt_text *f, const void *s, size_t n);
NEWT_API int newt_bytes_set(newt_object *o, newt_bytes *f, const void *p, size_t n);
/* "-12.50", "1E+10", "NaN", "Infinity", "-Infinity"; the scale is kept. NULL: null. */
NEWT_API int newt_decimal_set(newt_object *o, newt_decimal *f, const char *digits);
/* A reference to object r of the store of `of`, which has a newt_options.store_name. r null, or of
 * NULL: null. It keeps nothing alive, and nothing checks whether the object is there: that store
 * need not be open when this one is. newt_store_ref_conn finds the way there. NEWT_EINVAL: that
 * store has no name; the oid is negative. */
NEWT_API int newt_store_ref_set(newt_object *o, newt_store_ref *f, const newt_conn *of, newt_ref r);
/* Appends `extra` zeroed items (times and dates null) and returns the first of them; pointers to
 * items may move. array is a member of the object, or of a struct in it. NULL: failed. */
NEWT_API void *newt_array_grow(newt_object *o, void *array, size_t item_size, size_t extra);
/* Removes n items from index `at` on. */
NEWT_API int newt_array_remove(newt_object *o, void *array, size_t item_size, size_t at, size_t n);
/* The value at key of a NEWT_MAP (value_at: offset of value in an item). put makes it when missing,
 * zeroed like an array's item; NULL: failed. find: NULL if there is none. remove: whether there
 * was one. n: bytes of key, SIZE_MAX: up to its NUL. */
NEWT_API void *newt_map_put_(newt_object *o, void *map, size_t item_size, size_t value_at,
                             const char *key, size_t n);
NEWT_API const void *newt_map_find_(const void *map, size_t item_size, size_t value_at,
                                    const char *key, size_t n);
NEWT_API bool newt_map_remove_(newt_object *o, void *map, size_t item_size, const char *key,
                               size_t n);

/* newt_json fields hold any value. json is read and copied; newt_json_get gives a new reference
 * (json_decref it). Values JSON has no word for, references first of all, are objects with one key
 * that begins with "::", see docs/json-values.md: {"::=>": 42} is a reference. */
NEWT_API int newt_json_set(newt_object *o, newt_json *f, const struct json_t *json);
NEWT_API struct json_t *newt_json_get(const newt_json *f) NEWT_CHECK;
/*
 * The same with JSON text, which is kept as it is: numbers of any size keep all of their digits and
 * their scale, and a key that begins with "::" is a key like any other. Accepts what PostgreSQL's
 * jsonb accepts; of fields with the same key the last wins; order and white space are not kept.
 * NEWT_EINVAL: not JSON, a \u0000, or half of a surrogate pair; NEWT_ELIMIT: nested more than 500
 * deep, or a number beyond numeric. newt_error_position says where. n: bytes of text, SIZE_MAX: up
 * to its NUL; text NULL: null. get_text returns compact text of *n bytes (n may be NULL), followed
 * by a NUL, for the caller to free(); NULL: no memory, or the item is damaged. Values that JSON has
 * no word for look as in the projection, except that bytes are complete and fields that are not
 * projected are there.
 */
NEWT_API int newt_json_set_text(newt_object *o, newt_json *f, const char *text, size_t n);
NEWT_API char *newt_json_get_text(const newt_json *f, size_t *n) NEWT_CHECK;
NEWT_API struct json_t *newt_json_ref(newt_ref r) NEWT_CHECK;
NEWT_API newt_ref newt_json_to_ref(const struct json_t *json); /* null if it is none */
/* The same of {"::~>": 42}, a weak reference. */
NEWT_API struct json_t *newt_json_weak(newt_weak w) NEWT_CHECK;
NEWT_API newt_weak newt_json_to_weak(const struct json_t *json);

/* ---- dynamic objects: a property bag without a C struct ---------------------------------- */

/* The state is any jansson object, copied in and out; it is checked at commit. A newt_bag is a
 * newt_object of a class that this program has no table for. Any object can be read as a bag; one
 * with a class table gives a copy of its present state, which cannot be written. */
typedef struct newt_bag newt_bag;
NEWT_API newt_bag *newt_bag_new(newt_conn *c, const char *class_name) NEWT_CHECK;
NEWT_API const newt_bag *newt_bag_read(newt_conn *c, newt_ref r) NEWT_CHECK;
NEWT_API newt_bag *newt_bag_write(newt_conn *c, newt_ref r) NEWT_CHECK;
NEWT_API void newt_bag_done(const newt_bag *b);
NEWT_API newt_ref newt_bag_ref(const newt_bag *b);
NEWT_API const char *newt_bag_class(const newt_bag *b);
NEWT_API struct json_t *newt_bag_state(const newt_bag *b) NEWT_CHECK; /* a new reference, a copy */
NEWT_API int newt_bag_replace(newt_bag *b, const struct json_t *state);
/* The field's value, a new reference; NULL: no such field, or no memory. */
NEWT_API struct json_t *newt_bag_get(const newt_bag *b, const char *key) NEWT_CHECK;
NEWT_API int newt_bag_set(newt_bag *b, const char *key, const struct json_t *value);
NEWT_API int newt_bag_delete(newt_bag *b, const char *key);
/* The same with JSON text, see newt_json_set_text; replace takes an object. get and state return
 * text for the caller to free(); NULL: no such field, or no memory, or the value is not in the form
 * of docs/json-values.md (NEWT_EINVAL, see newt_conn_error). */
NEWT_API char *newt_bag_state_text(const newt_bag *b, size_t *n) NEWT_CHECK;
NEWT_API int newt_bag_replace_text(newt_bag *b, const char *text, size_t n);
NEWT_API char *newt_bag_get_text(const newt_bag *b, const char *key, size_t *n) NEWT_CHECK;
NEWT_API int newt_bag_set_text(newt_bag *b, const char *key, const char *text, size_t n);

/* The field of an old record, for upgrade hooks: a new reference or NULL. */
NEWT_API struct json_t *newt_record_get(const newt_record *r, const char *field) NEWT_CHECK;

/* ---- layers of changes ------------------------------------------------------------------- */

/*
 * A layer holds what is changed over a store that stays as it is: objects come from the layer, and
 * those that it does not have from what lies below. For test suites (set up once, discard after
 * each test) and for trying things out over a store that one may only read; see
 * docs/demo-storage.md. "demo:(BASE)" or "demo:(BASE)(CHANGES)" as uri opens a store with a layer;
 * these make and end layers of an open database, in memory, to a depth of 1,000 (NEWT_ELIMIT).
 *
 * All three fail with NEWT_EBUSY while a connection of the database is in a transaction, and must
 * not run while another thread uses the database or its connections. Connections stay open: their
 * caches are dropped, their counters and references stay. Close feeds first. Errors are in
 * newt_db_error, as the last failure there; the database can still be used.
 */

/* From now on everything is written to a new, empty layer, whatever the database is on.
 * NEWT_ENOMEM: nothing has changed. */
NEWT_API int newt_db_push(newt_db *db) NEWT_CHECK;
/* Discards the newest layer that newt_db_push has made: the database is as it was then.
 * NEWT_EINVAL: there is none. */
NEWT_API int newt_db_pop(newt_db *db) NEWT_CHECK;
/*
 * Writes what the newest layer has added, changed and removed to what lies below it, as one
 * transaction there, and registers the database's classes there before that. Objects keep their
 * oids. NEWT_ECONFLICT: others have changed or removed there what the layer has changed or removed;
 * newt_error_conflict lists these objects with the serials that they had when the layer first
 * changed them. Nothing is merged. After a failure nothing is written and the layer is as it was;
 * after NEWT_OK it is empty, and stays. (The exception is NEWT_EUNKNOWN, as of newt_commit: if it
 * is not known whether anything was written, the layer is as it was.) CHANGES that have a name, or
 * are not in memory, stay as they are in any case, on top of the same objects: discard them, since
 * what was changed there cannot be written down again. NEWT_EINVAL: the database has no layer;
 * NEWT_EBUSY: another program is writing to the layer.
 */
NEWT_API int newt_db_commit_changes(newt_db *db) NEWT_CHECK;

/* ---- queries ----------------------------------------------------------------------------- */

/*
 * SQL against the projection, in the transaction's snapshot; it does not see this transaction's own
 * changes. One read-only statement; $1 ... $n are bound parameters, given as text (NULL: null). The
 * store's schema comes first in the search path. After a query that fails (NEWT_ESQL) the
 * transaction goes on. One round trip each, including the one that opens the snapshot.
 *
 * newt_search: sql yields zoids in its first column (bigint); order is kept. Objects are not
 * loaded: newt_result_ref gives ghosts, newt_result_load loads them all in one round trip (if they
 * fit into the cache; of a larger result, load a page at a time).
 * newt_where: the condition alone: newt_where(c, &r, "state->'tags' ? $1 ORDER BY zoid", ...).
 * newt_page: rows [offset, offset + limit) of a search, and the number of all in newt_result_total,
 * also when the page lies past the end.
 * newt_query: raw rows as a jansson array of objects; *rows is yours. Integers are integers,
 * floats reals, booleans and nulls themselves, json and jsonb are parsed; a numeric is an integer
 * if it is one that fits, a real if it has at most 15 digits. A number that jansson cannot hold is
 * a real if that is exact, else its text; within a json or jsonb only that number is, and the rest
 * of the document stays as it is. All else is the text that psql would show. Of columns with the
 * same name the last wins.
 */
NEWT_API int newt_search(newt_conn *c, newt_result **out, const char *sql, int n,
                         const char *const *params) NEWT_CHECK;
NEWT_API int newt_where(newt_conn *c, newt_result **out, const char *condition, int n,
                        const char *const *params) NEWT_CHECK;
NEWT_API int newt_page(newt_conn *c, newt_result **out, const char *sql, int n,
                       const char *const *params, int64_t offset, int64_t limit) NEWT_CHECK;
NEWT_API int newt_query(newt_conn *c, struct json_t **rows, const char *sql, int n,
                        const char *const *params) NEWT_CHECK;
NEWT_API size_t newt_result_size(const newt_result *r);
/* newt_page: of all pages; else the size. */
NEWT_API int64_t newt_result_total(const newt_result *r);
NEWT_API newt_ref newt_result_ref(const newt_result *r, size_t i); /* i < size; else null */
NEWT_API int newt_result_load(newt_result *r);
NEWT_API void newt_result_free(newt_result *r); /* NULL is fine */

enum {
    NEWT_INDEX_UNIQUE = 1, /* no two objects have the same value: who commits the second gets
                            * NEWT_EUNIQUE */
    NEWT_INDEX_TEXT = 2    /* for words in texts */
};
/*
 * (Indexes that need no SQL, in every storage, are in newtdb_index.h.)
 *
 * Makes an index over the projection, of objects of one class (class_name NULL: of all), for stores
 * in SQLite; an index that is there already, with the same class, content and flags, stays as it
 * is. what is SQL: one or more expressions over the columns of newt, such as "state->>'title'", as
 * they are in the queries that are to use it. With NEWT_INDEX_TEXT it is a list of fields, "title,
 * author.name": then there is a table (FTS5) of that name, with a column for each field (dots
 * become _), which each commit keeps up to date:
 *
 *     newt_search(c, &r, "SELECT rowid FROM task_text($1) ORDER BY rank", 1, &words);
 *
 * The name is an identifier of letters, digits and _, at most 63 bytes, and not the store's own.
 * newt_index_drop removes an index made like this. NEWT_EINVAL: a name, field or flags that cannot
 * be; an index of that name that is another one, or (drop) none; or the storage has none of this,
 * as in PostgreSQL: there, indexes on newt_projection are made in SQL. NEWT_ESQL: SQLite refuses
 * the expression. NEWT_EUNIQUE: objects that are there have the same value. NEWT_EBUSY: a
 * transaction is open, or others write for longer than `timeout`. Writers wait while an index is
 * made.
 */
NEWT_API int newt_index_create(newt_conn *c, const char *name, const char *class_name,
                               const char *what, unsigned flags) NEWT_CHECK;
NEWT_API int newt_index_drop(newt_conn *c, const char *name) NEWT_CHECK;

/* ---- following transactions -------------------------------------------------------------- */

/*
 * The feed hands over what was committed, in the order in which it became visible: whole
 * transactions, each once, none left out. It is there in every storage. What is done with it is the
 * program's: a relational copy, a search engine, a file, a browser.
 *
 *     newt_feed_open(c, &f, &(newt_feed_options){.size = sizeof(newt_feed_options),
 *                                                .follower = "search", .start = NEWT_FEED_COPY});
 *     while (newt_feed_next(f, 1000, &batch) == NEWT_OK) {
 *         if (batch) { ... batch->events[i] ...; newt_feed_commit(f); }
 *     }
 *
 * A position is a transaction: everything up to it has been seen. It is kept in the store under the
 * follower's name, and moved by newt_feed_commit; rows that newt_feed_exec has written are
 * committed with it, so that they are written exactly once. What goes elsewhere is written before
 * newt_feed_commit, and handed over again if the program fails in between: at least once; (oid,
 * tid) of an event tells that it is the same one. A program that keeps the position itself takes it
 * as a token, a text without white space. docs/feed.md has more, examples/feed.c a whole program.
 */
typedef struct newt_feed newt_feed;

typedef enum newt_feed_start {
    NEWT_FEED_NOW,    /* with the next transaction that commits */
    NEWT_FEED_OLDEST, /* with the oldest transaction that is kept */
    NEWT_FEED_COPY    /* first all objects as they are, then the transactions since */
} newt_feed_start;

/* What newt_feed_options.want asks for. */
enum {
    NEWT_FEED_RECORDS = 1, /* newt_event.record */
    NEWT_FEED_JSON = 2,    /* newt_event.json */
    NEWT_FEED_OIDS = 4,    /* nothing but oids: objects are not looked at, classes are "" */
    NEWT_FEED_EARLY = 8 /* as soon as it is visible: a crash of the server may take it back. Without
                         * this flag nothing is handed over that is not durable */
};

typedef struct newt_feed_options {
    size_t size;          /* sizeof(newt_feed_options) */
    const char *follower; /* its name, 1 to 255 bytes; NULL: none, there is nothing to commit */
    const char *token; /* go on here; NULL: where the follower stands, and if that is not known: */
    newt_feed_start start;
    unsigned want;
    const char *const *classes; /* objects of these alone, ..., NULL; NULL: of all. Transactions
                                 * without any are handed over without events */
    const newt_ref *objects;    /* these alone; NULL: all */
    size_t n_objects;
    int64_t batch_objects; /* events of a batch, about; 0: 1,000 */
    int64_t batch_bytes;   /* of records or JSON in a batch, about; 0: 16 MiB */
    int64_t until;         /* ends after this tid; -1: after the newest transaction now; 0: never */
    const char *kind;      /* for newt_follower.kind: what the follower writes; NULL: "feed" */
} newt_feed_options;

typedef enum newt_event_kind {
    NEWT_EVENT_WRITTEN, /* created or changed */
    NEWT_EVENT_REMOVED
} newt_event_kind;

typedef struct newt_event {
    int64_t oid;
    int64_t tid; /* of the transaction */
    newt_event_kind kind;
    /* An object written again later in the batch: that event has what there is to have. */
    bool superseded;
    const char *class_name; /* "": written, and removed since; or it was not asked for */
    /* The object as it is now: perhaps as a later transaction has written it, whose event comes. */
    int64_t serial; /* 0: it does not exist any more, or it was not looked at */
    const void *record;
    size_t record_n;
    const char *json; /* as in the view newt; NULL: it has none */
    size_t json_n;
} newt_event;

typedef struct newt_feed_transaction {
    int64_t tid, serial;
    int64_t committed_us;                       /* since 1970 */
    const char *user, *description, *extension; /* of newt_describe; NULL: none */
    size_t first_event, n_events;
    bool begun; /* the batch before had its first events */
    bool more;  /* the next batch has more of its events */
} newt_feed_transaction;

/* Valid until the next call on the feed. */
typedef struct newt_batch {
    const newt_event *events;
    size_t n_events;
    const newt_feed_transaction *transactions; /* none in a copy */
    size_t n_transactions;
    /* Objects as they are, by oid, tid 0: all whose oid is greater than after, up to up_to. What is
     * known of others in there is out of date. */
    bool copy;
    int64_t after, up_to;
    const char *token; /* to go on after this batch; NULL: within a transaction or a copy */
    int64_t tid;       /* the same as a tid; 0: NULL */
    int64_t behind_us; /* age of the first transaction after it; 0: there is none */
} newt_batch;

/*
 * Opens a feed over a connection, which is used for it outside of transactions: between the calls
 * the program may use it for transactions, and for other feeds. options NULL: from now on, for
 * nobody. *f is NULL on failure; NEWT_EINVAL: a wrong option or token.
 */
NEWT_API int newt_feed_open(newt_conn *c, newt_feed **f,
                            const newt_feed_options *options) NEWT_CHECK;
NEWT_API void newt_feed_close(newt_feed *f); /* before its connection; NULL is fine */

/*
 * The next batch, waiting for it for at most timeout_ms (0: not at all); *batch NULL: there is none
 * yet, or newt_feed_ended. Goes on after the last one, committed or not. A transaction of more
 * events than batch_objects comes in several batches (more). While there is none, whoever has held
 * the commit lock for a second is told to newt_options.notice, with pid and age.
 *
 * NEWT_EINVAL: the follower of this name is of another kind.
 * NEWT_ECONFLICT: another process follows under this name: call again, to take over when it ends.
 * (With newt_options.transaction_pooling only newt_feed_commit finds out.)
 * NEWT_EMISSING: the position is not in the store (any more): transactions were pruned, or the
 * store was restored, or a standby was promoted that lacked the last ones; the error says which.
 * Open the feed once more with NEWT_FEED_COPY (and newt_feed_forget). NEWT_EBUSY: the connection is
 * in a transaction. After NEWT_ELOST the next call begins again after the last commit.
 */
NEWT_API int newt_feed_next(newt_feed *f, int timeout_ms, const newt_batch **batch) NEWT_CHECK;
NEWT_API bool newt_feed_ended(const newt_feed *f); /* everything up to newt_feed_options.until */
/* For event loops: readable when it is time to call newt_feed_next with timeout 0: at once if there
 * is more, else after a pause of 10 to 250 ms. -1: no more descriptors. Owned by the feed. */
NEWT_API int newt_feed_fd(newt_feed *f);

/*
 * Runs one statement in a transaction that newt_feed_commit ends; $1 ... $n are parameters as text.
 * NEWT_EINVAL: the storage has no SQL. NEWT_ESQL: refused; nothing of this transaction is left, and
 * the feed begins again after the last commit.
 */
NEWT_API int newt_feed_exec(newt_feed *f, const char *sql, int n, const char *const *params);
/*
 * Moves the follower to after the last batch, and commits. Within a transaction (more) the position
 * stays, and only newt_feed_exec's rows are committed: they must bear repetition. NEWT_ECONFLICT:
 * another process has followed under this name; nothing is committed, and the next call of
 * newt_feed_next begins where that stands. NEWT_EINVAL: no follower.
 */
NEWT_API int newt_feed_commit(newt_feed *f) NEWT_CHECK;
/* Where the follower stands, as committed; without one, after the last batch. NULL: nowhere yet, or
 * within a copy. Valid until the next call. */
NEWT_API const char *newt_feed_token(const newt_feed *f);
/* Forgets the follower: its position, and that retention waits for it. */
NEWT_API int newt_feed_forget(newt_conn *c, const char *follower) NEWT_CHECK;

/* ---- the projection that is written later ------------------------------------------------ */

typedef struct newt_progress {
    size_t size;          /* sizeof(newt_progress), set by the caller */
    int64_t tid;          /* the follower has seen everything up to here */
    int64_t behind_us;    /* age of the oldest transaction not yet seen; 0: none */
    int64_t transactions; /* in this batch */
    int64_t written;      /* rows of the projection written */
    int64_t removed;
    int64_t rejects; /* values that could be shown only in part */
    int64_t refused; /* objects that have no row, since the database refuses it */
} newt_progress;

/*
 * Brings the projection of the last batch's objects up to date: part `part` of `parts`, over c,
 * which may be the feed's connection or, in another thread, one of the same database;
 * newt_feed_commit when all parts are done. One transaction, which holds the follower where it
 * stands. Rows that are up to date are left alone, so a part may be written again; a row that an
 * inline writer is writing wins. A batch of a copy also deletes rows without an object. Errors as
 * of newt_project. out->tid and out->transactions are the batch's.
 */
NEWT_API int newt_feed_project(newt_feed *f, newt_conn *c, int part, int parts,
                               newt_progress *out) NEWT_CHECK;

/*
 * Takes the next transactions after the position of follower `name` (at most max_objects changed
 * objects, at least one transaction), brings the projection of their objects up to date, and moves
 * the position: newt_feed_next, newt_feed_project and newt_feed_commit in one. transactions == 0:
 * nothing to do. Needs no class tables; classes with to_json are left to their programs, virtual
 * ones and damaged records have no row.
 *
 * An object whose row the database refuses (an index, a constraint or a trigger of yours) is left
 * out: it has an entry in the view newt_reject and no row, and newt_options.notice is told of the
 * first ten of a batch, and of the number of the others. It is tried again when it is next written;
 * if another object's row was in the way, also when there is nothing else to do; and else every
 * minute then, for an index or a constraint may have gone.
 *
 * A new name, or one whose transactions have been pruned, first goes through all objects, once:
 * each call does the next max_objects of them (at most 5,000) and counts as one transaction.
 *
 * Must be called outside a transaction (NEWT_EBUSY). NEWT_ECONFLICT: another process follows under
 * this name, or a deadlock with an inline writer; nothing is lost, call again. The session's
 * statement_timeout and transaction_timeout do not apply to a batch.
 */
NEWT_API int newt_project(newt_conn *c, const char *name, int64_t max_objects,
                          newt_progress *out) NEWT_CHECK;

/*
 * Tries again all objects whose row the database refused, for instance after the index or the
 * constraint was changed: at most max_objects a call, in one transaction. written: how many have a
 * row now; refused: how many still have none. behind_us is 1 while more are to be tried, by further
 * calls on the same connection. May run beside newt_project, in any process. Errors as there.
 */
NEWT_API int newt_retry_rejects(newt_conn *c, int64_t max_objects, newt_progress *out) NEWT_CHECK;

typedef enum newt_sweep_kind {
    NEWT_SWEEP_MISSING,  /* writes rows that are missing or of an older record */
    NEWT_SWEEP_CHECK,    /* compares every row with its record, and writes nothing */
    NEWT_SWEEP_REPROJECT /* computes all rows again; they are seen all at once, at the end */
} newt_sweep_kind;

typedef struct newt_sweep {
    size_t size; /* sizeof(newt_sweep) */
    newt_sweep_kind kind;
    const char *const *classes; /* of these alone, ..., NULL; NULL: all */
    int64_t objects;            /* looked at in one call; 0: 1,000 */
    bool dry_run;               /* counts what would be written */
    /* set by the calls; zero before the first */
    int64_t after;                        /* objects up to this oid are done */
    bool over;                            /* all are */
    int64_t looked;                       /* objects, so far */
    int64_t missing, stale, wrong, extra; /* rows found so: none; of an older record; not what the
                                             record says; without a record */
    int64_t written, refused;
    int64_t until_;
} newt_sweep;
/*
 * Does the next objects of a sweep. What NEWT_SWEEP_CHECK finds is told to newt_options.notice, the
 * first ten of a call by name; classes with to_json are not compared. A reprojection that was begun
 * continues from there, in whatever process; the last call puts all rows in place in one
 * transaction, so that readers see either the old ones or the new ones. NEWT_EBUSY: a transaction
 * is open, or a reprojection of other classes is under way. Otherwise errors as of newt_project.
 */
NEWT_API int newt_project_sweep(newt_conn *c, newt_sweep *s) NEWT_CHECK;

/*
 * Waits until all followers that write the projection have seen this transaction (newt_tid after a
 * commit), so that SQL shows what was committed; for at most timeout_ms. NEWT_EBUSY: the time is
 * over, or a transaction is open. NEWT_EMISSING: nobody follows, so there is nothing to wait for.
 */
NEWT_API int newt_wait_for(newt_conn *c, int64_t tid, int timeout_ms) NEWT_CHECK;

/* ---- from one store to another ------------------------------------------------------------ */

typedef struct newt_copy_progress {
    size_t size;          /* sizeof(newt_copy_progress) */
    int64_t transactions; /* recorded in this run */
    int64_t objects;      /* written in this run */
    int64_t bytes;        /* of their records */
    int64_t oid;          /* objects up to this one are there; INT64_MAX: all are */
    int64_t projected;    /* after that: objects whose row of the projection has been looked at */
} newt_copy_progress;

typedef struct newt_copy_options {
    size_t size;     /* sizeof(newt_copy_options) */
    int64_t objects; /* of a part, at most; 0: 5,000 */
    bool last;       /* no further run follows: its position is forgotten at the end */
    /* Called after each part; p is valid until it returns. Any result but NEWT_OK stops newt_copy,
     * which returns it; so does a transaction of either connection that it leaves open
     * (NEWT_EBUSY). */
    int (*progress)(const newt_copy_progress *p, void *arg);
    void *arg;
} newt_copy_options;

/*
 * Copies a whole store into a new one: classes, every object with its oid and serial, every
 * transaction that is kept with its tid, time and description. References, roots and what programs
 * remember of oids and tids stay right. The first store is only read, and programs may go on
 * writing to it.
 *
 * If a run was stopped, for whatever reason, the next call continues from there: the second store
 * keeps the position. A later run carries over what has changed since. So a program moves with a
 * short pause: copy, stop, copy once more with `last`, start on the second store. As soon as that
 * has transactions of its own, no run carries over anything any more (NEWT_EINVAL).
 *
 * Records are copied as they are, damaged ones too. Rows of the projection are written at the end,
 * by the rules of the second store and with its own connection's classes (whose to_json is called);
 * typed tables, indexes and other settings are not copied. Memory is bounded, but for 8 bytes for
 * each object of the largest transaction.
 *
 * Both connections must be outside of a transaction (NEWT_EBUSY). NEWT_EINVAL: the second store has
 * transactions of its own, or is in memory, or both connections are of one newt_db. NEWT_EMISSING:
 * transactions that the second store lacks have been pruned since the last run: copy into a new
 * one. The connection of the store that failed has the error, and `from` has it in any case. opt:
 * NULL for defaults.
 */
NEWT_API int newt_copy(newt_conn *from, newt_conn *to, const newt_copy_options *opt) NEWT_CHECK;

/* ---- counters, for tests and operators --------------------------------------------------- */

/*
 * Removes the oldest transactions from the store's log, at most at_most in one call; *pruned: how
 * many. The table newt_store says what is kept: what is younger than keep_age (and not beyond
 * keep_rows, if that is set), and what some follower has not seen, unless that is older than
 * wait_for; then the follower starts over. The newest transaction always stays. Commits are not
 * blocked. A store in memory does this by itself, and so does one in SQLite: some commits remove
 * some.
 */
NEWT_API int newt_prune(newt_conn *c, int64_t at_most, int64_t *pruned) NEWT_CHECK;

typedef struct newt_health {
    size_t size;                    /* sizeof(newt_health) */
    int64_t newest_tid, oldest_tid; /* of the transactions kept */
    int64_t transactions;           /* kept, about */
    int64_t position;               /* of the follower; 0: none */
    int64_t waiting;   /* transactions it has not seen; at most 1,000,000 are counted */
    int64_t behind_us; /* age of the first of them */
    bool copying;      /* it is copying all objects: what it has seen says little */
    int64_t copied;    /* ... up to this oid */
    int64_t rejects;   /* objects that the database refuses */
    int holder_pid;    /* of the commit lock; 0: nobody; -1: a prepared transaction */
    int64_t holder_us; /* since its transaction began */
    int64_t oldest_us; /* age of the oldest open transaction in the database */
} newt_health;
/* follower NULL: of the store alone. out->size is set by the caller. */
NEWT_API int newt_store_health(newt_conn *c, const char *follower, newt_health *out) NEWT_CHECK;

typedef struct newt_stats {
    size_t size;         /* sizeof(newt_stats), set by the caller */
    int64_t round_trips; /* waits for the server */
    int64_t statements;
    int64_t objects; /* structs in the cache */
    int64_t bytes;   /* of the cache */
    int64_t loads;   /* objects loaded */
    int64_t commits;
    int64_t conflicts;
    int64_t retries; /* by newt_transact */
    int64_t merges;  /* objects merged by resolvers */
} newt_stats;
NEWT_API void newt_conn_stats(const newt_conn *c, newt_stats *out);

/*
 * The cache of a connection. Counted are headers, structs, their texts and arrays, the records kept
 * of changed objects, and the table of oids. Above the limit of newt_options each new object evicts
 * those used longest ago that no pointer pins: an object that was only read becomes a ghost; the
 * record of a changed one goes to a temporary file (in SQLITE_TMPDIR, TMPDIR or /var/tmp; nameless,
 * gone with the connection), from which it is read back or committed. So a transaction that calls
 * _done may read or write more than memory holds; pinned objects stay, and may exceed the limit. No
 * room for the file: NEWT_ELIMIT, and the transaction is doomed. The caller sets size; pins are
 * counted at each call.
 */
typedef struct newt_cache {
    size_t size; /* sizeof(newt_cache) */
    int64_t objects, bytes;
    int64_t most_objects, most_bytes; /* the limits; 0 objects: none */
    int64_t pinned;                   /* objects with a pointer to them */
    int64_t changed;                  /* objects that commit will compare, without those spilled */
    int64_t spilled;                  /* changed objects that are in the file */
    int64_t evicted;                  /* objects evicted since the connection was made */
} newt_cache;
NEWT_API void newt_cache_stats(const newt_conn *c, newt_cache *out);

/* ---- typed wrappers, one line a class ---------------------------------------------------- */

#define NEWT_DECLARE(c)                                                                            \
    extern const newt_class c##_class;                                                             \
    typedef struct {                                                                               \
        newt_ref any;                                                                              \
    } c##_ref;                                                                                     \
    NEWT__FN c##_ref c##_of(newt_ref a_)                                                           \
    {                                                                                              \
        c##_ref r_;                                                                                \
        r_.any = a_;                                                                               \
        return r_;                                                                                 \
    }                                                                                              \
    NEWT__FN c##_ref c##_id(const struct c *o_)                                                    \
    {                                                                                              \
        return c##_of(newt_ref_of((const newt_object *)o_));                                       \
    }                                                                                              \
    NEWT__FN newt_object *c##_obj(struct c *o_)                                                    \
    {                                                                                              \
        return (newt_object *)o_;                                                                  \
    }                                                                                              \
    NEWT__FN struct c *c##_new(newt_conn *n_)                                                      \
    {                                                                                              \
        return (struct c *)newt_new(n_, &c##_class);                                               \
    }                                                                                              \
    NEWT__FN const struct c *c##_read(newt_conn *n_, c##_ref r_)                                   \
    {                                                                                              \
        return (const struct c *)newt_read(n_, r_.any, &c##_class);                                \
    }                                                                                              \
    NEWT__FN struct c *c##_write(newt_conn *n_, c##_ref r_)                                        \
    {                                                                                              \
        return (struct c *)newt_write(n_, r_.any, &c##_class);                                     \
    }                                                                                              \
    NEWT__FN struct c *c##_edit(const struct c *o_)                                                \
    {                                                                                              \
        return (struct c *)newt_edit((const newt_object *)o_);                                     \
    }                                                                                              \
    NEWT__FN void c##_done(const struct c *o_)                                                     \
    {                                                                                              \
        newt_done((const newt_object *)o_);                                                        \
    }                                                                                              \
    struct newt__semicolon_

/* clang-format off */
#ifndef __cplusplus
/* o must be writable: a const object makes &(o)->f a pointer to const, which matches nothing. */
#define NEWT__MUT(p) _Generic((p), newt_text * : (p))
#define NEWT__MUTABLE(o, f) (void)_Generic(&(o)->f.n, uint32_t * : 0)
#define newt_set(o, f, str) newt_text_set((newt_object *)(o), NEWT__MUT(&(o)->f), (str))
#define newt_append(o, f, v)                                                                       \
    (NEWT__MUTABLE(o, f), newt_array_grow((newt_object *)(o), &(o)->f, sizeof *(o)->f.edit_, 1)    \
         ? ((o)->f.edit_[(o)->f.n - 1] = (v), NEWT_OK)                                             \
         : NEWT_ENOMEM)
#define newt_items(o, f) (_Generic(&(o)->f.n, uint32_t * : (o)->f.edit_))

/* Of a NEWT_MAP f, with a C string as key. newt_put gives a pointer to the value, new and zeroed if
 * the key was not there, or NULL if it failed; newt_find a pointer to const, NULL if there is none;
 * newt_drop removes the entry and tells whether there was one. */
#define NEWT__VALUE_AT(o, f) offsetof(__typeof__(*(o)->f.edit_), value)
#define newt_put(o, f, k)                                                                          \
    (NEWT__MUTABLE(o, f), (__typeof__(&(o)->f.edit_->value))newt_map_put_(                         \
        (newt_object *)(o), &(o)->f, sizeof *(o)->f.edit_, NEWT__VALUE_AT(o, f), (k), SIZE_MAX))
#define newt_find(o, f, k)                                                                         \
    ((const __typeof__((o)->f.edit_->value) *)newt_map_find_(                                      \
        &(o)->f, sizeof *(o)->f.edit_, NEWT__VALUE_AT(o, f), (k), SIZE_MAX))
#define newt_drop(o, f, k)                                                                         \
    (NEWT__MUTABLE(o, f), newt_map_remove_((newt_object *)(o), &(o)->f, sizeof *(o)->f.edit_, (k), \
                                           SIZE_MAX))
#endif
/* clang-format on */

/* ---- small collections: objects of their own --------------------------------------------- */

/*
 * A list, a set and a map of references, for some thousands of entries at most: each is one record.
 * items.n of them can be read from items.items, like any array: those of a list as they were put,
 * those of a set by oid, those of a map by key (shorter first, then bytewise). They are changed by
 * the functions below, on an object that was asked for writing; what fails dooms the transaction.
 * What reads an object takes NULL for an empty one, what changes it refuses NULL (NEWT_EINVAL).
 *
 * Sets and maps merge (newt_hooks.resolve): what transactions at the same time have done to
 * different elements or keys all counts. If both have added, changed or removed the same one, even
 * alike, that is a conflict: each may have been told that it was new, or there. Lists do not merge:
 * an index says nothing once others have inserted or removed.
 */
struct newt_list {
    NEWT_ARRAY(newt_ref) items;
};
struct newt_set {
    NEWT_ARRAY(newt_ref) items;
};
struct newt_map {
    NEWT_MAP(newt_ref) items;
};
extern NEWT_API const newt_class newt_list_class, newt_set_class, newt_map_class;
NEWT_DECLARE(newt_list);
NEWT_DECLARE(newt_set);
NEWT_DECLARE(newt_map);

NEWT_API int newt_list_append(struct newt_list *l, newt_ref r);
NEWT_API int newt_list_insert(struct newt_list *l, size_t at, newt_ref r); /* at <= n */
NEWT_API int newt_list_set(struct newt_list *l, size_t at, newt_ref r);    /* at < n */
NEWT_API int newt_list_remove(struct newt_list *l, size_t at);
NEWT_API int newt_list_clear(struct newt_list *l);
NEWT_API newt_ref newt_list_get(const struct newt_list *l, size_t at); /* null: at >= n */
/* The index of the first that is r; SIZE_MAX: none is. */
NEWT_API size_t newt_list_find(const struct newt_list *l, newt_ref r);
/* Whether it was not there before; false also if it failed (null is no element: NEWT_EINVAL). */
NEWT_API bool newt_set_add(struct newt_set *s, newt_ref r);
NEWT_API bool newt_set_has(const struct newt_set *s, newt_ref r);
NEWT_API bool newt_set_remove(struct newt_set *s, newt_ref r); /* whether it was there */
NEWT_API int newt_set_clear(struct newt_set *s);
NEWT_API int newt_map_put(struct newt_map *m, const char *key, newt_ref r);
NEWT_API newt_ref newt_map_get(const struct newt_map *m, const char *key); /* null: no such key */
NEWT_API bool newt_map_has(const struct newt_map *m, const char *key); /* also if null is there */
NEWT_API bool newt_map_remove(struct newt_map *m, const char *key);    /* whether it was there */
NEWT_API int newt_map_clear(struct newt_map *m);

/* ---- merging what others have changed ---------------------------------------------------- */

/* A counter that many transactions change at once without conflicts: their changes add up.
 * newt_length_change changes it (NEWT_EINVAL: 64 bits cannot hold the result); reading gives its
 * value in the snapshot. */
struct newt_length {
    int64_t value;
};
extern NEWT_API const newt_class newt_length_class;
NEWT_DECLARE(newt_length);
NEWT_API int newt_length_change(struct newt_length *l, int64_t delta);

/* For newt_hooks.resolve of any class, or called by one with its own arguments. last_writer keeps
 * ours; what the others changed is lost, except fields that the class table lacks. fields takes
 * each field that one side changed from that side; a field that both changed to different values is
 * a conflict. An array, a map or an embedded struct is one field. */
NEWT_API int newt_resolve_last_writer(const void *old, const void *committed, void *ours,
                                      void *arg);
NEWT_API int newt_resolve_fields(const void *old, const void *committed, void *ours, void *arg);

/* Collections of any size, and those of all objects of a class. */
#include "newtdb_btree.h"
#include "newtdb_index.h"

#ifdef __cplusplus
}
#endif
#endif
