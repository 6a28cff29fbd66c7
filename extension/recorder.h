/*
 * recorder.h - a record that is made of JSON, in the form that the projection shows
 */
#ifndef NEWT_PG_RECORDER_H
#define NEWT_PG_RECORDER_H

#include "fields.h"

/* One step on the way to a value, for messages; the steps lie on the C stack. */
typedef struct newt_pg_place {
    const struct newt_pg_place *up;
    newt__name name; /* of a field, or key in a map; s NULL: an item of a list */
    bool is_key;
    uint32 index;
} newt_pg_place;

typedef struct newt_pg_recorder {
    newt__writer w;
    newt__buffer scratch;   /* for one value */
    const char *class_name; /* of the object, for messages */
    int64 zoid;             /* the same; 0: it is new */
    /* shared values of the item of any shape that is being written (item.c) */
    int64 *labels;
    int n_labels;
    uint64 first_shared;
    bool lost_shared; /* of the record that is patched, a value went that others may refer to */
} newt_pg_recorder;

/* ---- place.c: what is said of it ------------------------------------------------------------ */

/* `Task 2001`, or `the new Task`. */
extern char *newt_pg_object_name(const newt_pg_recorder *r);
/* Raises `field "steps[2].hours" of Task 2001 WHAT`; place NULL: the object. detail and hint may be
 * NULL. */
NEWT_PG_NORETURN extern void newt_pg_refuse(const newt_pg_recorder *r, const newt_pg_place *place,
                                            int sqlstate, const char *what, const char *detail,
                                            const char *hint);
/* A JSON value in a few words. */
extern char *newt_pg_shown(const JsonbValue *v);

/* ---- item.c: values of any shape --------------------------------------------------------------
 */

/* Writes one. What the record it stands in shares is not seen from it. */
extern void newt_pg_write_item(newt_pg_recorder *r, const newt_pg_place *place,
                               const JsonbValue *v);
/* The text of a number. */
extern const char *newt_pg_number_text(const JsonbValue *v);
/* A key of a document as the record has it: with one colon less if it begins with three; false: it
 * is one that the projection has added. */
extern bool newt_pg_plain_key(const JsonbValue *key, newt__name *out);
/* {"::b64": ..., "::text": ...}, or without the text: the bytes into r->scratch; false: it is none.
 */
extern bool newt_pg_read_base64(newt_pg_recorder *r, const newt_pg_place *place,
                                const JsonbValue *v, bool with_text);
/* Raises the writer's fault. */
extern void newt_pg_check_writer(newt_pg_recorder *r, const newt_pg_place *place);

/* ---- value.c: values of the kinds that fields have --------------------------------------------
 */

/* Whether it is null for that kind: null, or the UUID of zeros, which the library takes for it. */
extern bool newt_pg_is_null(const newt_pg_value_type *t, const JsonbValue *v);
/* One value, or null where its kind has one. */
extern void newt_pg_write_value(newt_pg_recorder *r, const newt_pg_place *place,
                                const newt_pg_value_type *t, const JsonbValue *v);
/* All of a field, without its name. */
extern void newt_pg_write_member(newt_pg_recorder *r, const newt_pg_place *place,
                                 const newt_pg_member *f, const JsonbValue *v);
/* A struct of these fields, others as in a new object; v NULL: all of them. */
extern void newt_pg_write_struct(newt_pg_recorder *r, const newt_pg_place *place,
                                 const newt_pg_struct *k, const JsonbValue *v);
/* A field that is not given: its default, else null or zero. */
extern void newt_pg_write_initial(newt_pg_recorder *r, const newt_pg_place *place,
                                  const newt_pg_member *f);
/* The value of a field in a document; false: it is not given. */
extern bool newt_pg_given(const newt_pg_member *f, const JsonbContainer *object, JsonbValue *v);
/* Raises if an object has keys that are no fields. */
extern void newt_pg_check_keys(newt_pg_recorder *r, const newt_pg_place *place,
                               const newt_pg_struct *k, const JsonbContainer *object);
/* Raises: the value is none of the kind. */
NEWT_PG_NORETURN extern void newt_pg_wrong_kind(const newt_pg_recorder *r,
                                                const newt_pg_place *place,
                                                const newt_pg_value_type *t, const JsonbValue *v);

/* ---- patch.c: whole records --------------------------------------------------------------------
 */

/* The record of a new object. */
extern bytea *newt_pg_new_record(newt_pg_recorder *r, const newt_pg_class *class,
                                 const JsonbContainer *document);
/* The record that an object has after a JSON merge patch (RFC 7396). */
extern bytea *newt_pg_patched_record(newt_pg_recorder *r, const newt_pg_class *class,
                                     const void *record, size_t n, const JsonbContainer *patch);

/* ---- fit.c: whether a record is one of its class ------------------------------------------------
 */

/* Reads past the value of a field whose token has been read; raises if it is none. */
extern void newt_pg_check_fit(newt_pg_recorder *r, const newt_pg_place *place,
                              const newt_pg_member *f, newt__reader *reader, newt__token *t);

#endif
