/*
 * stored.h - what a store holds, as a connection of its own finds it: on any storage
 */
#ifndef NEWT_TESTS_STORED_H
#define NEWT_TESTS_STORED_H

#include "../bridge/server.h"

#include "../../bridge/transaction/transaction.h"

/* A newt_db and a connection beside the store's: like another program. */
typedef struct other {
    newt_db *db;
    newt_conn *c;
} other;

UNUSED static other
other_open(const store *s)
{
    other o = {.db = store_db(s, classes, (newt_options){0})};

    o.c = connect_(o.db);
    return o;
}

UNUSED static void
other_close(other *o)
{
    newt_close(o->c);
    newt_db_close(o->db);
}

/* The last transaction in a store. */
UNUSED static int64_t
stored_tid(newt_db *db)
{
    newt_ref missing = {INT64_MAX};
    newt_conn *c = connect_(db);
    int64_t tid;

    begin(c);
    ok(c, newt_prefetch(c, &missing, 1)); /* which opens the snapshot */
    tid = newt_tid(c);
    newt_close(c);
    return tid;
}

/* The object as a bag, in a transaction of c; NULL: there is none. */
UNUSED static const newt_bag *
stored(newt_db *db, newt_ref r, newt_conn **c)
{
    *c = connect_(db);
    begin(*c);
    return newt_bag_read(*c, r);
}

/* The serial that an object has in the store; 0: there is none. */
UNUSED static int64_t
stored_serial(newt_db *db, newt_ref r)
{
    newt_conn *c;
    const newt_bag *b = stored(db, r, &c);
    int64_t serial = b ? newt__header_of(b)->serial : 0;

    newt_close(c);
    return serial;
}

/* A field of it, which is an integer. */
UNUSED static int64_t
stored_int(newt_db *db, newt_ref r, const char *field)
{
    newt_conn *c;
    const newt_bag *b = stored(db, r, &c);
    json_t *json = b ? newt_bag_get(b, field) : NULL;
    int64_t x;

    assert_true(json_is_integer(json));
    x = json_integer_value(json);
    json_decref(json);
    newt_close(c);
    return x;
}

static const uint8_t damaged_record[] = {0xff, 0x00, 0xff};

/* Puts that in place of an object's record: on PostgreSQL and in a file. */
UNUSED static void
damage(const store *s, newt_ref r)
{
    char sql[128];

    assert_true(s->pg || *s->file);
    snprintf(sql, sizeof sql, "UPDATE object_state SET state = %s WHERE zoid = %lld",
             s->pg ? "'\\xff00ff'" : "x'ff00ff'", (long long)r.oid);
    free(s->pg ? sql_text(s->pg, "%s", sql) : file_text(s->file, sql));
}

/* A test that runs without the extension, and with it. */
UNUSED static int
without(void **state)
{
    (void)state;
    use_database(false);
    return 0;
}

UNUSED static int
with(void **state)
{
    (void)state;
    use_database(true);
    return 0;
}

#define TWICE(test)                                                                                \
    {#test, test, without, NULL, NULL},                                                            \
    {                                                                                              \
#        test "_extension", test, with, NULL, NULL                                                 \
    }

#endif
