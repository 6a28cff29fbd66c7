/*
 * changes.h - what SQL functions have written in the transaction under way
 */
#ifndef NEWT_PG_CHANGES_H
#define NEWT_PG_CHANGES_H

#include "newt_pg.h"
#include "utils/array.h"

typedef enum newt_pg_change {
    NEWT_PG_PATCHED,
    NEWT_PG_ADDED,
    NEWT_PG_DELETED,
    NEWT_PG_N_CHANGES
} newt_pg_change;

/* A change that was made in the innermost subtransaction. */
extern void newt_pg_add_change(newt_pg_change deed, int64 zoid, const char *class_name);
/* The subtransaction at this level has ended: its changes are undone, or of the one around it. */
extern void newt_pg_undo_changes(int level);
extern void newt_pg_merge_changes(int level);
/* The transaction has ended, or its row was made. */
extern void newt_pg_forget_changes(void);

/* What all changes come to: each object once, in the order of their zoids. */
typedef struct newt_pg_sum {
    int64 *written, *removed;
    Datum *classes; /* of the removed, as text */
    int n_written, n_removed;
    char *functions; /* "newt.patch, newt.insert": those that made the changes */
} newt_pg_sum;

/* In the current memory context; false: nothing is left to be said. */
extern bool newt_pg_sum_changes(newt_pg_sum *sum);
/* Calls visit for the class of each change, some more than once. */
extern void newt_pg_changed_classes(void (*visit)(void *arg, const char *class_name), void *arg);

#endif
