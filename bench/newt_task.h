/*
 * newt_task.h - the Task as an object of Newt, and a program's way to its store
 *
 * Included once by each program of Newt's side, as workload.h is; a failure ends the program.
 */
#ifndef NEWT_BENCH_NEWT_TASK_H
#define NEWT_BENCH_NEWT_TASK_H

#include "workload.h"

#include <newtdb.h>

struct task;
NEWT_DECLARE(task);
struct task {
    newt_text title;
    int state, points;
    NEWT_ARRAY(newt_text) tags;
    task_ref parent;
};
NEWT_CLASS(task, "Task", 1, NULL, NEWT_FIELD(struct task, title),
           NEWT_ENUM(struct task, state, state_names), NEWT_FIELD(struct task, points),
           NEWT_LIST(struct task, tags), NEWT_REF(struct task, parent, task));

/* ---- the store ------------------------------------------------------------------------ */

static newt_db *db;
static const char *uri, *schema;
static size_t cache_bytes; /* limit of the cache; 0: the library's */

static inline void
check(newt_conn *c, bool fine, const char *what)
{
    if (!fine)
        give_up(what, newt_error_message(newt_last_error(db, c)));
}

static inline void
open_store(const char *name, const char *projector)
{
    static const newt_class *const classes[] = {&task_class, NULL};
    newt_options options = {.size = sizeof options, .schema = name};
    if (projector && strcmp(projector, "client") == 0)
        options.projector = NEWT_PROJECT_CLIENT;
    if (projector && strcmp(projector, "server") == 0)
        options.projector = NEWT_PROJECT_SERVER;
    options.cache_bytes = cache_bytes;
    options.transaction_pooling = setting("BENCH_POOLED", 0) != 0;
    options.no_inline = projector && strcmp(projector, "async") == 0;
    check(NULL, newt_db_open(&db, uri, classes, &options) == NEWT_OK, "open");
}

static inline newt_conn *
dial(void)
{
    newt_conn *c = NULL;
    int rc = newt_connect(db, &c);
    check(c, rc == NEWT_OK, "connect");
    return c;
}

static inline void
begin(newt_conn *c)
{
    check(c, newt_begin(c) == NEWT_OK, "begin");
}

static inline void
commit(newt_conn *c)
{
    check(c, newt_commit(c) == NEWT_OK, "commit");
}

/* A number from SQL: newt_search reads bigints, and an oid is one. */
static inline int64_t
number(newt_conn *c, const char *sql)
{
    newt_result *r;
    begin(c);
    check(c, newt_search(c, &r, sql, 0, NULL) == NEWT_OK, sql);
    int64_t x = newt_result_ref(r, 0).oid;
    newt_result_free(r);
    newt_abort(c);
    return x;
}

/* ---- Tasks ---------------------------------------------------------------------------- */

static inline struct task *
new_task(newt_conn *c, int64_t i, task_ref parent)
{
    task_values v;
    task_values_of(&v, i, 0);
    struct task *t = task_new(c);
    check(c, t != NULL, "new");
    newt_set(t, title, v.title);
    t->state = v.state;
    t->points = v.points;
    newt_text *tags = newt_array_grow(task_obj(t), &t->tags, sizeof *tags, 3);
    check(c, tags != NULL, "tags");
    for (int j = 0; j < 3; j++)
        newt_text_set(task_obj(t), &tags[j], v.tags[j]);
    t->parent = parent;
    return t;
}

static inline void
change(newt_conn *c, task_ref r, int64_t i, int64_t rev)
{
    task_values v;
    task_values_of(&v, i, rev);
    struct task *t = task_write(c, r);
    check(c, t != NULL, "write");
    newt_set(t, title, v.title);
    t->state = v.state;
    t->points = v.points;
    task_done(t);
}

#endif
