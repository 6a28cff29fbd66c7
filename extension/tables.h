/*
 * tables.h - typed tables: the objects of a class as rows of ordinary tables
 *
 *   table_plan.c    which tables a store has, and what of a record their columns are
 *   table_rows.c    record -> rows
 *   table_write.c   rows -> tables
 *   table_index.c   the indexes of a table: those that can refuse a row have it last
 *   tables.c        functions in SQL, and the commit's
 *   table_follow.c  the tables that a follower keeps: what they refuse is left out
 */
#ifndef NEWT_PG_TABLES_H
#define NEWT_PG_TABLES_H

#include "cell.h"

#include "access/attnum.h"
#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/snapshot.h"

/* ---- table_plan.c --------------------------------------------------------------------------- */

typedef struct newt_pg_column {
    AttrNumber att;
    const char *name;
    int type; /* of newt_pg_types */
    bool is_array;
} newt_pg_column;

/* The fields of a map that have columns, in the order of keys. */
typedef struct newt_pg_level newt_pg_level;
typedef struct newt_pg_relation newt_pg_relation;

typedef struct newt_pg_field {
    const char *name;
    size_t n;
    newt_pg_column *column; /* of these three one */
    newt_pg_level *level;   /* a struct's fields */
    int child;              /* a collection's table, or -1 */
    bool is_older;          /* an older name: what stands under a newer one counts */
} newt_pg_field;

struct newt_pg_level {
    newt_pg_field *fields;
    int n;
};

typedef enum newt_pg_shape {
    NEWT_PG_OBJECTS, /* a row an object; the others: a row an item */
    NEWT_PG_LIST,
    NEWT_PG_SET, /* no place: the value is part of the key */
    NEWT_PG_MAP,
    NEWT_PG_PAIRS
} newt_pg_shape;

struct newt_pg_relation {
    Oid oid;
    const char *schema, *name;
    newt_pg_shape shape;
    AttrNumber id; /* of the object */
    AttrNumber n;  /* of a list, the place */
    newt_pg_column *key, *value;
    newt_pg_level level; /* of the object's state, or of a struct's items */
};

/* The tables of a class: the first has a row an object. */
typedef struct newt_pg_tables {
    const char *class_name;
    size_t n_class_name;
    Datum *names; /* texts: all that its objects have, if the class was renamed */
    int n_names;
    bool is_inline; /* kept by the commit; else by a follower */
    bool filled;    /* has all objects; else somebody is at it */
    int n;
    newt_pg_relation *relations;
} newt_pg_tables;

typedef struct newt_pg_store {
    Oid registry; /* newt_table */
    Oid owner;
    Oid objects; /* object_state */
    int n;
    newt_pg_tables *tables;
} newt_pg_store;

/* What a store has. Valid until the transaction ends; NULL: it has no typed tables. */
extern const newt_pg_store *newt_pg_store_of(Oid schema);
/* False: a table of it, or the registry, may have changed since. */
extern bool newt_pg_is_current(const newt_pg_store *store);
/* The tables of a class, or NULL. */
extern const newt_pg_tables *newt_pg_tables_of(const newt_pg_store *store, const char *class_name,
                                               size_t n);

/* ---- table_rows.c --------------------------------------------------------------------------- */

typedef struct newt_pg_row {
    Datum *values; /* one for each attribute of the table */
    bool *nulls;
} newt_pg_row;

typedef struct newt_pg_rows {
    int natts;
    int n, cap;
    newt_pg_row *rows;
} newt_pg_rows;

/* Where the work is, for the message of an error. */
typedef struct newt_pg_where {
    const newt_pg_relation *relation; /* NULL: nowhere */
    const newt_pg_column *column;     /* NULL: the whole row */
    int64 zoid;
} newt_pg_where;

/* The rows of one object in each table of its class: rows[i] are those of relation i, whose natts
 * is set. False: it has none, since its class is not projected. An error if the record is damaged.
 * All is in the current memory context. */
extern bool newt_pg_rows_of(const newt_pg_tables *tables, int64 zoid, newt__reader *head,
                            newt_pg_rows *rows, newt_pg_where *where);

/* ---- table_index.c -------------------------------------------------------------------------- */

typedef struct newt_pg_indexes {
    ResultRelInfo *result; /* its executor sees those that refuse nothing, and the key */
    EState *estate;
    int n; /* all of them */
    ItemPointerData *late;
    int64 n_late, cap;
} newt_pg_indexes;

extern void newt_pg_open_indexes(newt_pg_indexes *x, ResultRelInfo *result, EState *estate);
/* The row is written, and in those indexes that the executor sees. */
extern void newt_pg_index_later(newt_pg_indexes *x, const ItemPointerData *tid);
/* All rows are written: the others have them, too. */
extern void newt_pg_index_now(newt_pg_indexes *x, newt_pg_where *where, AttrNumber id);
extern void newt_pg_close_indexes(newt_pg_indexes *x);

/* ---- table_write.c -------------------------------------------------------------------------- */

typedef struct newt_pg_writer newt_pg_writer;

typedef enum newt_pg_task {
    NEWT_PG_KEEP, /* as the objects are now */
    NEWT_PG_MEND, /* the same; the caller has locked the rows there are, before any snapshot */
    NEWT_PG_FILL, /* add what is missing, beside others who keep the tables */
    NEWT_PG_ADD,  /* the same, many rows at a time: an error where another was first */
    NEWT_PG_LOOK  /* write nothing */
} newt_pg_task;

/* What was found for an object, and done. */
typedef enum newt_pg_deed {
    NEWT_PG_SAME,
    NEWT_PG_INSERTED,
    NEWT_PG_UPDATED,
    NEWT_PG_REMOVED,
    NEWT_PG_N_DEEDS
} newt_pg_deed;

/* To write objects from first to last, as a snapshot has them, into the tables of a class; NULL:
 * these have been dropped. */
extern newt_pg_writer *newt_pg_writer_begin(const newt_pg_store *store, const newt_pg_tables *t,
                                            int64 first, int64 last, newt_pg_task task,
                                            Snapshot objects, newt_pg_where *where);
/* The tables as they are now that nobody can change them any more. */
extern const newt_pg_tables *newt_pg_writer_tables(const newt_pg_writer *w);
/* Memory in which the rows of an object are to be made; sets their natts. */
extern MemoryContext newt_pg_writer_memory(newt_pg_writer *w, newt_pg_rows *rows);
/* bytes: of the record. rows NULL: there is no such object. Zoids rise. */
extern newt_pg_deed newt_pg_write(newt_pg_writer *w, int64 zoid, newt_pg_rows *rows, size_t bytes);
extern void newt_pg_writer_end(newt_pg_writer *w);

/* ---- tables.c ------------------------------------------------------------------------------- */

/* The trigger on the table transaction. */
extern Datum newt_pg_keep_tables(PG_FUNCTION_ARGS);
/* A transaction of this store, that is about to commit, has written and removed these objects: the
 * tables that commits keep follow. Both NULL: they are in transaction_object. */
extern void newt_pg_keep_transaction(Oid transaction_table, int64 serial, ArrayType *written,
                                     ArrayType *removed);
/* Objects to be written: those of a class, or of all whose tables a follower keeps. */
typedef struct newt_pg_objects {
    const newt_pg_store *store;
    const newt_pg_tables *only; /* NULL: all that a follower keeps */
    newt_pg_task task;
    int64 *zoids; /* are put in order */
    int n;
} newt_pg_objects;

/* Writes their rows, or with gone removes them; adds what was done to deeds. Errors come as the
 * server has them, and *where says what they are about. */
extern void newt_pg_write_objects(const newt_pg_objects *o, bool gone, int64 *deeds,
                                  newt_pg_where *where);
/* Each once, rising: how many. */
extern int newt_pg_sort_zoids(int64 *zoids, int n);
/* Runs as the tables' owner until as_before. */
typedef struct newt_pg_identity {
    Oid user;
    int context;
} newt_pg_identity;

extern newt_pg_identity newt_pg_as_owner(const newt_pg_store *store);
extern void newt_pg_as_before(newt_pg_identity before);

/* ---- table_follow.c ------------------------------------------------------------------------- */

/* Writes rows as above; sorts the zoids. Objects whose rows are refused have none; they are entered
 * in newt_reject, and tried again by whoever writes them next. */
extern void newt_pg_follow_objects(const newt_pg_objects *o, int64 *deeds);
/* Objects from first to last, and those of which there are rows in these tables: sets zoids. */
extern void newt_pg_objects_between(newt_pg_objects *o, int64 first, int64 last);

#endif
