/*
 * build.h - between class.c, which copies class tables, check.c and builtin.c
 */
#ifndef NEWT_BUILD_H
#define NEWT_BUILD_H

#include "class.h"

/* The library's own classes; NULL after the last (builtin.c). */
extern const newt_class *const newt__builtin_classes[];

/* ---- checks (check.c): false, or what they return else, goes with NEWT_ECLASS in *e ---------- */

bool newt__class_refuse(newt_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool newt__field_refuse(newt_error *e, const newt__class *k, const newt__field *f,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A table by itself, but for its fields. */
bool newt__check_table(newt_error *e, const newt_class *t, bool is_own);
bool newt__check_flags(newt_error *e, const newt__class *k, const newt__field *f);
/* Sizes against kinds, everything inside the struct. */
bool newt__check_layout(newt_error *e, const newt__class *k, const newt__field *f);
/* Fields of one class against each other. */
bool newt__check_overlap(newt_error *e, const newt__class *k);
bool newt__check_alignment(newt_error *e, const newt__class *k);
/* The same definition in another place (two plug-ins with one source). */
bool newt__same_definition(const newt_class *a, const newt_class *b);
/* Those that the program does not know are NULL. */
newt_hooks newt__class_hooks(const newt_class *t);
/* At most NEWT__MAX_NAME + 1: more is not looked at. */
size_t newt__name_length(const char *s);

#endif
