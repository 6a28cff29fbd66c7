/*
 * object.h - what the files about objects share: class.c, encode.c, decode.c, object.c, json.c,
 * bag.c, collection.c
 */
#ifndef NEWT_OBJECT_H
#define NEWT_OBJECT_H

#include "bridge.h"

/* ---- kinds (kind.c) ------------------------------------------------------------------------ */

enum {
    NEWT__N_KINDS = NEWT_K_STRUCT + 1,
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

/* What decimals and floats may be besides numbers, as PostgreSQL spells it; the last has no name.
 */
typedef struct newt__special {
    const char *name;
    uint32_t single; /* bits of a float */
    uint64_t bits;   /* of a double */
} newt__special;
extern const newt__special newt__specials[];
const newt__special *newt__special_named(const char *s, size_t n);

/* ---- where in an object: for messages ---------------------------------------------------- */

/* One step on the way to a value; the steps lie on the C stack. */
typedef struct newt__place {
    const struct newt__place *up;
    const newt__field *field; /* NULL: an item of the field above */
    size_t index;             /* of the item */
    const newt_text *key;     /* of the item in a map; NULL: index counts */
} newt__place;

/* An error `field "steps[2].hours" of Task 1057: ...`; place NULL: `Task 1057: ...`. */
int newt__fail_at(newt_error *e, int status, int64_t oid, const newt__class *k,
                  const newt__place *place, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* That name. */
enum {
    NEWT__PLACE_SIZE = NEWT__NAME_SIZE + 200
};
const char *newt__place_name(char out[NEWT__PLACE_SIZE], int64_t oid, const newt__class *k,
                             const newt__place *place);
/* A value that cannot be stored: `what: reason`. */
int newt__fail_value(newt_error *e, int64_t oid, const char *what, const newt__fault *fault);
/* Reports e as this connection's error, which a doomed transaction does not let go of. */
int newt__conn_fail_with(newt_conn *c, newt_error *e);

/* Limits of a class, and of an object in memory: counts and offsets inside are 32 bits wide. */
enum {
    NEWT__MAX_FIELDS = 65535
};
#define NEWT__MAX_OBJECT ((size_t)UINT32_MAX) /* bytes */

/* ---- struct <-> record ------------------------------------------------------------------- */

/* The record of a struct into c->writer.buf. strict: NEWT_F_REQUIRED counts, as it does at commit.
 */
int newt__encode(newt_conn *c, const newt__header *h, bool strict, newt_error *e);
/* The record it would have with this field of its class alone, null if need be. */
int newt__encode_field(newt_conn *c, const newt__header *h, const newt__field *f, newt_error *e);
/* A detached object (NEWT__IMAGE) of class k from a record of that class. */
int newt__decode(newt_conn *c, const newt__class *k, int64_t oid, const void *record, size_t n,
                 newt__header **out, newt_error *e);

/* n new items: zero, times and dates null. */
void newt__blank_items(const newt__field *f, void *items, size_t n);
/* Of a time or duration; false: int64 cannot hold it. */
bool newt__microseconds(const newt__token *t, int64_t *us);
/* Text of a decimal as newt_decimal and {"::num": ...} have it; appends to out. */
newt__code newt__decimal_text(newt__buffer *out, const newt__number *x);

/* ---- items: values of any shape, as newt_json and bags hold them --------------------------- */

/* An item is written as the state of a record, whose head is cut off. */
enum {
    NEWT__ITEM_HEAD = 4 /* bytes */
};
static inline void
newt__item_begin(newt__writer *w)
{
    newt__write_begin(w, "j", 1, 0);
}

/* Items that hold shared values carry in newt_bytes.priv_ the number of the first of them in the
 * record they were cut from, plus one; 0: nothing shared inside. */
void newt__item_write(newt__writer *w, const newt_bytes *item);
bool newt__item_hidden(const newt_bytes *item); /* tag 38403 stands in front */

/* The value of token t, which has just been read, as jansson has it (docs/json-values.md); r stands
 * after it then. Shared values are called by their number less `first`. The token's own
 * `hidden` is left to the caller. NULL: r->fault, or (NEWT__OK there) no memory. */
json_t *newt__json_read(newt__reader *r, newt__token *t, uint64_t first);
/* Writes a jansson value as one item. What is wrong with it: NEWT__PROFILE in w->fault. */
void newt__json_write(newt__writer *w, const json_t *json);
extern const newt__env newt__malloc_env; /* for what is made without a connection */
/* One field of the record's state; NULL and NEWT__OK in *code: it has none. */
json_t *newt__json_field(const newt__env *env, const void *record, size_t n, const char *field,
                         size_t field_n, newt__fault *fault);

struct newt_record {
    newt_conn *conn; /* for its memory */
    const uint8_t *data;
    size_t n;
};

/* Whether a token opens something that an END closes. */
static inline bool
newt__is_open(newt__kind kind)
{
    return kind == NEWT__STORE_REF || kind >= NEWT__ARRAY;
}

/* ---- memory of an object ----------------------------------------------------------------- */

enum {
    NEWT__BLOCK = 16 /* what malloc adds to a block, about; the cache counts it */
};

typedef struct newt__chunk {
    struct newt__chunk *next;
    size_t n, used; /* of data */
    _Alignas(16) char data[];
} newt__chunk;

/* Memory that lives as long as the object's present state; aligned to 16 or to 1. NULL: none. */
void *newt__object_alloc(newt__header *h, size_t n, bool aligned);
/* Keeps a copy of the record it was loaded from; false: no memory. */
bool newt__object_keep(newt__header *h, const void *record, size_t n);
/* A header with `size` bytes after it, zeroed; belongs to no cache yet. */
newt__header *newt__object_make(newt_conn *c, uint32_t size);
/* All of that. */
size_t newt__object_bytes(const newt__header *h);

/* ---- objects ----------------------------------------------------------------------------- */

/* Events; object.c has the table of what each does to each state. */
typedef enum newt__event {
    NEWT__ON_READ,
    NEWT__ON_WRITE,
    NEWT__ON_DELETE,
    NEWT__ON_COMMIT,
    NEWT__ON_ABORT,
    NEWT__ON_INVALIDATE,
    NEWT__ON_EVICT,
    NEWT__N_EVENTS
} newt__event;

newt__state newt__next_state(newt__state state, newt__event event);

/* The header of an object, loaded if need be; NULL: the error says why. */
newt__header *newt__object_find(newt_conn *c, newt_ref r, newt__event event);
static inline void
newt__object_pin(newt__header *h)
{
    if (NEWT__SELDOM(h->pins == UINT32_MAX))
        return; /* it stays pinned for long */
    h->pins++;
}
/* Marks it changed; the loaded record is kept from now on. */
int newt__object_change(newt__header *h);
/* Adds a new object to the cache and to what commit writes. */
int newt__object_add(newt_conn *c, newt__header *h, int64_t oid);

/* Looks up the field (of the object's class or of a struct inside it) whose value or array is at p;
 * NULL: p is none of this object's. */
const newt__field *newt__field_at(const newt__header *h, const void *p);

/* ---- setters (setter.c) -------------------------------------------------------------------- */

/* The header of an object (a bag or not) that may be changed now; p: what is to be changed. NULL:
 * it has been refused; newt__not_writable gives the status. */
newt__header *newt__writable(newt_object *o, const void *p, bool bag);
int newt__not_writable(const newt_object *o);
/* A setter's failure: recorded, and the transaction doomed. */
int newt__refuse(newt__header *h, int status, const void *p, const char *reason);
int newt__refuse_fault(newt__header *h, const void *p, const newt__fault *fault);
/* The same of JSON text: fault->offset is in it. key: the field of a bag, or NULL. */
int newt__refuse_json(newt__header *h, const void *p, const char *key, const char *text,
                      const newt__fault *fault);

/* JSON text of the server's as a value (json_text.c). A number that jansson cannot hold becomes a
 * real if that is exact, else its text. NULL: no memory. */
json_t *newt__json_of_text(const char *s, size_t n);
/* Whether jansson holds the number whose text this is, as an integer, or as a real that stands for
 * it. */
bool newt__is_jansson_number(const char *s, size_t n);

/* ---- bags (bag.c) ------------------------------------------------------------------------ */

struct newt_bag {
    const char *class_name; /* interned; NULL: the record is damaged */
    int32_t version;
    bool hidden;   /* the state is not projected */
    json_t *state; /* NULL: not converted from the record yet */
    size_t bytes;  /* of the state, as far as can be known */
};

/* A header for a record that no table takes. */
int newt__bag_load(newt_conn *c, int64_t oid, const void *record, size_t n, newt__header **out);
void newt__bag_clear(newt__header *h);
/* Makes the state from the record, which may be replaced then. A damaged record stays as it is. */
int newt__bag_open(newt__header *h);
int newt__bag_encode(newt_conn *c, const newt__header *h, newt_error *e);

#endif
