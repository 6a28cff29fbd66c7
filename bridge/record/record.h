/*
 * record.h - structs, records and JSON values, each from the other, driven by the class table
 *
 * Nothing here knows an object's header, a connection or a store.
 */
#ifndef NEWT_RECORD_H
#define NEWT_RECORD_H

#include "../class/class.h"
#include "../conn.h"

/* What converting needs: memory, and buffers that are kept from one record to the next. */
typedef struct newt__coder {
    newt__env env;
    newt__writer writer;        /* the record that was encoded last is in writer.buf */
    newt__buffer scratch;       /* free for any function that calls no other of the library */
    newt__buffer image, fixups; /* decode.c */
} newt__coder;

void newt__coder_init(newt__coder *cd, const newt__env *env);
void newt__coder_free(newt__coder *cd);

/* ---- where in an object: for messages (place.c) -------------------------------------------- */

/* One step on the way to a value; the steps lie on the C stack. */
typedef struct newt__place {
    const struct newt__place *up;
    const newt__field *field; /* NULL: an item of the field above */
    size_t index;             /* of the item */
    const newt_text *key;     /* of the item in a map; NULL: index counts */
} newt__place;

enum {
    NEWT__NAME_SIZE = 320, /* of "Task 1057" */
    NEWT__PLACE_SIZE = NEWT__NAME_SIZE + 200
};

/* `field "steps[2].hours" of Task 1057`; place NULL: `Task 1057`. */
const char *newt__place_name(char out[NEWT__PLACE_SIZE], int64_t oid, const newt__class *k,
                             const newt__place *place);
/* An error that begins with that name. */
int newt__fail_at(newt_error *e, int status, int64_t oid, const newt__class *k,
                  const newt__place *place, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* ---- struct -> record (encode.c) ------------------------------------------------------------ */

/* A struct that is to be recorded. */
typedef struct newt__source {
    const newt__class *class;
    int64_t oid;           /* for messages */
    const void *data;      /* the struct */
    const uint8_t *record; /* as it was loaded, if `extra` */
    size_t record_n;
    bool extra; /* that record has fields that the table lacks, and does not drop; they are kept */
} newt__source;

/* The record into cd->writer.buf. strict: NEWT_F_REQUIRED counts, as it does at commit. */
int newt__encode(newt__coder *cd, const newt__source *x, bool strict, newt_error *e);
/* The record it would have with this field of its class alone, null if need be. */
int newt__encode_field(newt__coder *cd, const newt__source *x, const newt__field *f, newt_error *e);

/* ---- record -> struct (decode.c) ------------------------------------------------------------- */

/* A struct that was made from a record. */
typedef struct newt__decoded {
    void *block;   /* of the coder's memory: the prefix, zeroed; the struct; what it points to */
    uint32_t size; /* of the block, without the prefix */
    int32_t version;
    bool older; /* the record is of an older version of the class */
    bool newer; /* ... of a newer one: what fits has been read */
    bool past;  /* it has names, of the class or of fields, that would not be written any more */
    bool extra; /* it has fields that the table lacks, and does not drop */
    bool fixed; /* it has what could not be kept if it were written */
} newt__decoded;

/* prefix: a multiple of 16. On failure there is no block. */
int newt__decode(newt__coder *cd, const newt__class *k, int64_t oid, const void *record, size_t n,
                 size_t prefix, newt__decoded *out, newt_error *e);

/* n new items: zero, times and dates null. */
void newt__blank_items(const newt__field *f, void *items, size_t n);
/* Of a time or duration; false: int64 cannot hold it (number.c). */
bool newt__microseconds(const newt__token *t, int64_t *us);
/* Text of a decimal as newt_decimal and {"::num": ...} have it; appends to out. */
newt__code newt__decimal_text(newt__buffer *out, const newt__number *x);

/* An older record, as an upgrade hook is given it. */
struct newt_record {
    const newt__env *env;
    const uint8_t *data;
    size_t n;
};

/* Whether a token opens something that an END closes. */
static inline bool
newt__is_open(newt__kind kind)
{
    return kind == NEWT__STORE_REF || kind >= NEWT__ARRAY;
}

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
/* One field of the record's state; NULL and NEWT__OK in *code: it has none. */
json_t *newt__json_field(const newt__env *env, const void *record, size_t n, const char *field,
                         size_t field_n, newt__fault *fault);

/* JSON text of the server's as a value (json_text.c). A number that jansson cannot hold becomes a
 * real if that is exact, else its text. NULL: no memory. */
json_t *newt__json_of_text(const char *s, size_t n);
/* Whether jansson holds the number whose text this is, as an integer, or as a real that stands for
 * it. */
bool newt__is_jansson_number(const char *s, size_t n);

/* ---- the projection (projection.c) ---------------------------------------------------------- */

/* The JSON text of a record, appended to out; *hidden: it has none. rejects: what it cannot show is
 * appended as {"path": [...], "reason": ...}; or NULL. */
newt__code newt__record_project(const newt__env *env, const void *record, size_t n,
                                newt__buffer *out, bool *hidden, json_t *rejects,
                                newt__fault *fault);
/* Appends such an entry; false: no memory. */
bool newt__reject_add(json_t *rejects, const newt__path_item *path, size_t n, const char *reason);
/* Takes back all entries after the first n. */
void newt__reject_truncate(json_t *rejects, size_t n);

#endif
