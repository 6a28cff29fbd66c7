/*
 * build.h - between class.c, which copies class tables, and past.c, check.c, block.c
 */
#ifndef NEWT_BUILD_H
#define NEWT_BUILD_H

#include "class.h"

/* ---- memory (block.c) ------------------------------------------------------------------------ */

typedef struct newt__block newt__block;

/* Zeroed, for as long as the list; NULL: no memory, in *e. */
void *newt__block_take(newt__block **list, size_t n, newt_error *e);
/* A copy of n bytes, and a NUL. */
char *newt__block_text(newt__block **list, const char *s, size_t n, newt_error *e);
void newt__block_free(newt__block *list);

/* ---- what older records have (past.c) -------------------------------------------------------- */

/* Copies the names that fields had, and those that are dropped, from the program's table; the
 * fields are there. False: *e. */
bool newt__past_copy(newt__block **blocks, newt__class *k, newt_error *e);

/* ---- trees (tree.c) -------------------------------------------------------------------------- */

/* Sets k->tree if the program's table says that it is one; the fields are there. False: *e. */
bool newt__tree_build(newt__block **blocks, newt__class *k, newt_error *e);

/* ---- indexes (index.c) ----------------------------------------------------------------------- */

/* Sets k->indexes from the program's hooks; the fields are there. False: *e. */
bool newt__indexes_build(newt__block **blocks, newt__class *k, newt_error *e);

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
/* A field's default. */
bool newt__check_init(newt_error *e, const newt__class *k, const newt__field *f);
/* A name of older records, of this field or (NULL) one that is dropped. */
bool newt__check_past_name(newt_error *e, const newt__class *k, const newt__field *f,
                           const char *name);
/* All of them against each other and the fields; they are in order. */
bool newt__check_past(newt_error *e, const newt__class *k);
/* The same definition in another place (two plug-ins with one source). */
bool newt__same_definition(const newt_class *a, const newt_class *b);
/* Those that the program does not know are NULL. */
newt_hooks newt__class_hooks(const newt_class *t);
/* At most NEWT__MAX_NAME + 1: more is not looked at. */
size_t newt__name_length(const char *s);

#endif
