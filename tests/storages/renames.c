/*
 * renames.c - a class that had another name: its objects under both names, by an old program and a
 * new one
 */
#include "stored.h"

struct job {
    newt_text title;
    int64_t n;
    newt_ref next;
};
struct task {
    newt_text name;
    int64_t n;
    newt_ref next;
};
NEWT_DECLARE(job);
NEWT_DECLARE(task);

static int upgrades;

static int
count_upgrades(int32_t from, const newt_record *record, void *object, void *arg)
{
    (void)record, (void)object, (void)arg;
    assert_int_equal(from, 1);
    upgrades++;
    return 0;
}

static const newt_hooks hooks = {
    .size = sizeof hooks, .upgrade = count_upgrades, .resolve = newt_resolve_fields};
NEWT_CLASS(job, "Job", 1, NULL, NEWT_FIELD(struct job, title), NEWT_FIELD(struct job, n),
           NEWT_FIELD(struct job, next));
NEWT_CLASS_PAST(task, "Task", 2, &hooks, 0, (.was = NEWT_NAMES("Work", "Job")),
                NEWT_FIELD(struct task, name, .was = "title"), NEWT_FIELD(struct task, n),
                NEWT_FIELD(struct task, next));
static const newt_class *const old_classes[] = {&job_class, NULL};
static const newt_class *const new_classes[] = {&task_class, NULL};

enum {
    JOBS = 5
};

/* Jobs that an old program has made, and a connection of each. */
typedef struct both {
    store s; /* a: of the old program */
    newt_db *db;
    newt_conn *new;
    newt_ref jobs[JOBS];
} both;

static void
both_open_as(both *x, const char *name, newt_options o)
{
    store_make(&x->s, name);
    x->s.db = store_db(&x->s, old_classes, (newt_options){0});
    x->s.a = connect_(x->s.db);
    begin(x->s.a);
    for (int i = 0; i < JOBS; i++) {
        struct job *j = job_new(x->s.a);

        assert_non_null(j);
        newt_set(j, title, "title");
        j->n = i;
        j->next = i ? x->jobs[i - 1] : (newt_ref){0};
        x->jobs[i] = job_id(j).any;
    }
    commit(x->s.a);
    upgrades = 0;
    x->db = store_db(&x->s, new_classes, o);
    x->new = connect_(x->db);
}

static void
both_open(both *x, const char *name)
{
    both_open_as(x, name, (newt_options){0});
}

static void
both_close(both *x)
{
    newt_close(x->new);
    newt_db_close(x->db);
    store_close(&x->s);
}

/* Sees what other programs have just committed. */
static void
begin_now(newt_conn *c)
{
    c->checked_us = 0;
    begin(c);
}

/* The class in its record, as a program without classes has it. */
static void
assert_recorded(const both *x, newt_ref r, const char *name, int version)
{
    newt_db *db = store_db(&x->s, NULL, (newt_options){0});
    newt_conn *c;
    const newt_bag *b = stored(db, r, &c);

    assert_non_null(b);
    assert_string_equal(newt_bag_class(b), name);
    assert_int_equal(b->version, version);
    newt_close(c);
    newt_db_close(db);
}

static void
change(newt_conn *c, newt_ref r, int64_t n)
{
    struct task *t = task_write(c, task_of(r));

    if (!t)
        fail_error("task_write", newt_conn_error(c));
    t->n = n;
    task_done(t);
}

static void
test_read_and_written(void **state)
{
    const struct task *t;
    struct job *j;
    const newt_bag *b;
    both x;

    (void)state;
    both_open(&x, "renamed");
    begin(x.new);
    assert_string_equal(newt_class_name(x.new, x.jobs[1]), "Task");
    t = task_read(x.new, task_of(x.jobs[1]));
    assert_non_null(t);
    assert_string_equal(t->name.s, "title");
    assert_int_equal(t->n, 1);
    assert_int_equal(t->next.oid, x.jobs[0].oid);
    assert_int_equal(upgrades, 1);
    b = newt_bag_read(x.new, x.jobs[1]);
    assert_string_equal(newt_bag_class(b), "Task");
    newt_bag_done(b);
    change(x.new, x.jobs[1], 11);
    commit(x.new);
    assert_recorded(&x, x.jobs[0], "Job", 1);
    assert_recorded(&x, x.jobs[1], "Task", 2);
    assert_sql(
        x.s.pg, "Job:4 Task:1",
        "SELECT string_agg(c, ' ' ORDER BY c) FROM (SELECT class_name || ':' || count(*) AS c "
        "FROM newt WHERE class_name <> 'newt.Root' GROUP BY class_name) x");
    assert_sql(x.s.pg, "title", "SELECT state->>'name' FROM newt WHERE zoid = %lld",
               (long long)x.jobs[1].oid);

    /* asked for and not changed, it gets its new name as well: the record differs */
    begin(x.new);
    assert_non_null(task_write(x.new, task_of(x.jobs[2])));
    commit(x.new);
    assert_recorded(&x, x.jobs[2], "Task", 2);

    /* the old program can read what has become of it, but not as its class; others go on */
    begin_now(x.s.a);
    assert_null(job_read(x.s.a, job_of(x.jobs[1])));
    assert_int_equal(newt_status(x.s.a), NEWT_ECLASS);
    assert_non_null(
        strstr(newt_error_message(newt_conn_error(x.s.a)), "is of class \"Task\", not \"Job\""));
    assert_string_equal(newt_class_name(x.s.a, x.jobs[1]), "Task");
    assert_non_null(newt_bag_read(x.s.a, x.jobs[1]));
    j = job_write(x.s.a, job_of(x.jobs[0]));
    assert_non_null(j);
    newt_set(j, title, "by the old one");
    commit(x.s.a);
    begin_now(x.new);
    assert_string_equal(task_read(x.new, task_of(x.jobs[0]))->name.s, "by the old one");
    newt_abort(x.new);
    both_close(&x);
}

/* In debug mode nothing of this counts as a change; new objects get no old name. */
static void
test_not_changed(void **state)
{
    newt_bag *b;
    both x;

    (void)state;
    both_open_as(&x, "debug", (newt_options){.debug = true});
    begin(x.new);
    for (int i = 0; i < JOBS; i++)
        assert_non_null(task_read(x.new, task_of(x.jobs[i])));
    commit(x.new);
    assert_recorded(&x, x.jobs[0], "Job", 1);
    begin(x.new);
    b = newt_bag_new(x.new, "Job");
    assert_null(b);
    assert_non_null(strstr(newt_error_message(newt_conn_error(x.new)), "use newt_new"));
    b = newt_bag_write(x.new, x.jobs[0]);
    assert_null(b);
    assert_int_equal(newt_status(x.new), NEWT_ECLASS);
    newt_abort(x.new);
    both_close(&x);
}

static void
test_removed(void **state)
{
    both x;

    (void)state;
    both_open(&x, "removed");
    begin(x.new);
    ok(x.new, newt_delete(x.new, x.jobs[0]));
    commit(x.new);
    assert_int_equal(stored_serial(x.s.db, x.jobs[0]), 0);
    both_close(&x);
}

/* What leaves the cache and comes back, changed or not. */
static void
test_small_cache(void **state)
{
    both x;

    (void)state;
    both_open_as(&x, "small", (newt_options){.cache_objects = 2});
    begin(x.new);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < JOBS; i++)
            change(x.new, x.jobs[i], 100 * round + i);
    commit(x.new);
    begin(x.new);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(task_read(x.new, task_of(x.jobs[i]))->n, 200 + i);
        assert_recorded(&x, x.jobs[i], "Task", 2);
    }
    newt_abort(x.new);
    both_close(&x);
}

/* Two change it at once: who is second merges, whatever name the record had. */
static void
test_merged(void **state)
{
    newt_conn *they;
    struct task *t;
    struct job *j;
    both x;

    (void)state;
    both_open(&x, "merged");
    they = connect_(x.db);
    begin(x.new);
    change(x.new, x.jobs[0], 10);
    begin(they);
    t = task_write(they, task_of(x.jobs[0]));
    assert_non_null(t);
    newt_set(t, name, "theirs");
    commit(they);
    commit(x.new);
    begin(x.new);
    assert_int_equal(task_read(x.new, task_of(x.jobs[0]))->n, 10);
    assert_string_equal(task_read(x.new, task_of(x.jobs[0]))->name.s, "theirs");
    newt_abort(x.new);
    /* and who was first was the old program */
    begin(x.new);
    change(x.new, x.jobs[1], 11);
    begin_now(x.s.a);
    j = job_write(x.s.a, job_of(x.jobs[1]));
    assert_non_null(j);
    newt_set(j, title, "of the old one");
    commit(x.s.a);
    commit(x.new);
    assert_recorded(&x, x.jobs[1], "Task", 2);
    begin(x.new);
    assert_int_equal(task_read(x.new, task_of(x.jobs[1]))->n, 11);
    assert_string_equal(task_read(x.new, task_of(x.jobs[1]))->name.s, "of the old one");
    newt_abort(x.new);
    newt_close(they);
    both_close(&x);
}

/* Events so far, all of which are of the new name. */
typedef struct seen {
    size_t written, removed;
} seen;

static seen
follow(newt_conn *c, newt_feed *f)
{
    const newt_batch *batch;
    seen s = {0};

    do {
        ok(c, newt_feed_next(f, 0, &batch));
        for (size_t i = 0; batch && i < batch->n_events; i++) {
            assert_string_equal(batch->events[i].class_name, "Task");
            s.written += batch->events[i].kind == NEWT_EVENT_WRITTEN;
            s.removed += batch->events[i].kind == NEWT_EVENT_REMOVED;
        }
    } while (batch);
    return s;
}

/* Who follows one of the names hears of both. */
static void
test_followed(void **state)
{
    newt_feed_options o = {.size = sizeof o, .start = NEWT_FEED_COPY};
    newt_feed *f;
    newt_conn *c;
    both x;
    seen s;

    (void)state;
    for (int i = 0; i < 2; i++) {
        both_open(&x, "followed");
        c = connect_(x.db);
        o.classes = (const char *const[]){i ? "Job" : "Task", NULL};
        ok(c, newt_feed_open(c, &f, &o));
        s = follow(c, f);
        assert_int_equal(s.written, JOBS);
        begin(x.new);
        change(x.new, x.jobs[0], 10);
        ok(x.new, newt_delete(x.new, x.jobs[1]));
        commit(x.new);
        begin_now(x.s.a);
        ok(x.s.a, newt_delete(x.s.a, x.jobs[2]));
        commit(x.s.a);
        s = follow(c, f);
        assert_int_equal(s.written, 1);
        assert_int_equal(s.removed, 2);
        newt_feed_close(f);
        newt_close(c);
        both_close(&x);
    }
}

/* Without another version: the name alone. */
struct duty {
    newt_text title;
    int64_t n;
    newt_ref next;
};
NEWT_DECLARE(duty);
NEWT_CLASS_PAST(duty, "Duty", 1, &hooks, 0, (.was = NEWT_NAMES("Job")),
                NEWT_FIELD(struct duty, title), NEWT_FIELD(struct duty, n),
                NEWT_FIELD(struct duty, next));

static void
test_same_version(void **state)
{
    static const newt_class *const list[] = {&duty_class, NULL};
    struct duty *d;
    newt_conn *c;
    newt_db *db;
    both x;

    (void)state;
    both_open(&x, "same");
    db = store_db(&x.s, list, (newt_options){0});
    c = connect_(db);
    begin(c);
    d = duty_write(c, duty_of(x.jobs[0]));
    assert_non_null(d);
    assert_string_equal(d->title.s, "title");
    assert_int_equal(upgrades, 0);
    commit(c);
    assert_recorded(&x, x.jobs[0], "Duty", 1);
    newt_close(c);
    newt_db_close(db);
    both_close(&x);
}

/* A name can be read as one class alone. */
static void
test_two_claims(void **state)
{
    static const newt_class *const list[] = {&job_class, &task_class, NULL};
    newt_options o = {.size = sizeof o};
    newt_db *db;
    both x;

    (void)state;
    both_open(&x, "claims");
    o.schema = store_schema(&x.s);
    assert_int_equal(newt_db_open(&db, x.s.uri, list, &o), NEWT_ECLASS);
    assert_string_equal(newt_error_message(newt_db_error(db)),
                        "class \"Task\" was \"Job\", which is another class of this program");
    newt_db_close(db);
    both_close(&x);
}

/* A version has the names that it was registered with. */
struct duty_again {
    newt_text title;
    int64_t n;
    newt_ref next;
};
NEWT_DECLARE(duty_again);
NEWT_CLASS_PAST(duty_again, "Duty", 1, NULL, 0, (.was = NEWT_NAMES("Job", "Work")),
                NEWT_FIELD(struct duty_again, title), NEWT_FIELD(struct duty_again, n),
                NEWT_FIELD(struct duty_again, next));

static void
test_other_names(void **state)
{
    static const newt_class *const first[] = {&duty_class, NULL}, *const second[] = {
                                                                      &duty_again_class, NULL};
    newt_options o = {.size = sizeof o};
    newt_db *db;
    both x;

    (void)state;
    both_open(&x, "names");
    newt_db_close(store_db(&x.s, first, (newt_options){0}));
    o.schema = store_schema(&x.s);
    assert_int_equal(newt_db_open(&db, x.s.uri, second, &o), NEWT_ECLASS);
    assert_string_equal(
        newt_error_message(newt_db_error(db)),
        "class \"Duty\" version 1 is registered with other names that it had; raise its version");
    assert_non_null(strstr(newt_error_hint(newt_db_error(db)), "Raise the class's version"));
    newt_db_close(db);
    both_close(&x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_read_and_written),
        cmocka_unit_test(test_not_changed),
        TWICE(test_removed),
        cmocka_unit_test(test_small_cache),
        TWICE(test_merged),
        cmocka_unit_test(test_followed),
        cmocka_unit_test(test_same_version),
        cmocka_unit_test(test_two_claims),
        cmocka_unit_test(test_other_names),
    };

    return run_all(tests);
}
