/*
 * error.h - errors, and the one map from codec faults to a status
 *
 * What the server reports becomes an error in postgres/sqlstate.c.
 */
#ifndef NEWT_ERROR_H
#define NEWT_ERROR_H

#include "newtdb.h"
#include "../codec/codec.h"

#include <stdarg.h>

struct newt_error {
    int status;
    int64_t oid;
    char sqlstate[6];
    size_t position;               /* of JSON text: the byte that is wrong, from 1; else 0 */
    char *message, *detail, *hint; /* malloc'ed or NULL; never longer than a few hundred bytes */
    char *class_name, *constraint; /* the same */
    bool own;                      /* the constraint is one of the store's own */
    newt_conflict *conflicts;      /* malloc'ed or NULL */
    size_t n_conflicts;
    char fallback[160]; /* used for message when there is no memory */
};

/* Sets e and returns status. The format is printf's. */
int newt__fail(newt_error *e, int status, int64_t oid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int newt__fail_text(newt_error *e, int status, int64_t oid, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
void newt__fail_detail(newt_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void newt__fail_hint(newt_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
int newt__fail_memory(newt_error *e);
/* Of a commit; which objects they are is told apart from it. */
int newt__fail_changed(newt_error *e);
/* Copies a struct of options, whose first member is its size, as far as the program knows it. name:
 * of the struct, for the error. */
int newt__options_take(void *to, size_t size, const void *from, const char *name, newt_error *e);
bool newt__status_is_retryable(int status); /* newt_is_retryable, newt_transact */
void newt__fail_class(newt_error *e, const char *name, size_t n);
/* From a codec fault; what: "record of Task 42", "field \"title\" of Task 42". */
int newt__fail_codec(newt_error *e, int64_t oid, const char *what, const newt__fault *fault);
/* A value that cannot be stored: `what: reason`. */
int newt__fail_value(newt_error *e, int64_t oid, const char *what, const newt__fault *fault);
void newt__error_clear(newt_error *e);
void newt__error_move(newt_error *to, newt_error *from);
/* The error of a call that was given neither a database nor a connection: there was no memory. */
extern const newt_error newt__no_memory;

#endif
