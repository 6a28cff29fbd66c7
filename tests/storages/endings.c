/*
 * endings.c - what happens around the end of a transaction: doom, hooks, resources that join
 */
#include "../concurrency/concurrency.h"
#include "stored.h"

/* ---- a protocol of calls ------------------------------------------------------------------ */

static char told[1000];

static void
tell(const char *format, ...)
{
    size_t n = strlen(told);
    va_list args;

    va_start(args, format);
    vsnprintf(told + n, sizeof told - n, format, args);
    va_end(args);
}

#define assert_told(expected)                                                                      \
    do {                                                                                           \
        assert_string_equal(told, expected);                                                       \
        *told = 0;                                                                                 \
    } while (0)

/* ---- doom ----------------------------------------------------------------------------------- */

static int
doom_within(newt_conn *c, void *arg)
{
    write_n(c, *(item_ref *)arg, 99);
    newt_doom(c);
    return NEWT_OK;
}

static void
test_doom(void **state)
{
    item_ref r;
    int64_t p;
    store s;

    (void)state;
    store_open(&s, "doom");
    r = make_item(s.a, "r", 1);
    newt_doom(s.a); /* of no transaction: nothing */
    begin(s.a);
    ok(s.a, newt_savepoint(s.a, &p));
    assert_false(newt_is_doomed(s.a));
    newt_doom(s.a);
    assert_true(newt_is_doomed(s.a));
    write_n(s.a, r, 2); /* work goes on */
    assert_int_equal(read_n(s.a, r), 2);
    ok(s.a, newt_rollback_to(s.a, p));
    assert_true(newt_is_doomed(s.a));
    assert_int_equal(newt_commit(s.a), NEWT_EDOOMED);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)), "the transaction is doomed");
    /* it has ended */
    assert_false(newt_is_doomed(s.a));
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    write_n(s.a, r, 3);
    commit(s.a);
    assert_int_equal(newt_transact(s.a, doom_within, &r, NULL), NEWT_EDOOMED);
    assert_int_equal(stats_of(s.a).retries, 0);
    assert_int_equal(stored_int(s.db, r.any, "n"), 3);
    store_close(&s);
}

/* ---- hooks ------------------------------------------------------------------------------------
 */

static item_ref hooked;
static char after[] = "after", before[] = "before", aborting[] = "aborting", aborted[] = "aborted";
static char added[] = "added", x_[] = "x", z_[] = "z";

static int
hook(newt_conn *c, int status, void *arg)
{
    (void)c;
    tell("%s%s%s ", (const char *)arg, status ? ":" : "", status ? newt_status_text(status) : "");
    return NEWT_OK;
}

static int
last_words(newt_conn *c, int status, void *arg)
{
    (void)status;
    write_n(c, hooked, 7);
    ok(c, newt_on(c, NEWT_BEFORE_COMMIT, hook, arg));
    return NEWT_OK;
}

static int
refuse(newt_conn *c, int status, void *arg)
{
    (void)c;
    (void)status;
    return *(int *)arg;
}

static int
intrude(newt_conn *c, int status, void *arg)
{
    (void)arg;
    newt_abort(c); /* nothing */
    assert_int_equal(newt_commit(c), NEWT_EBUSY);
    assert_int_equal(newt_begin(c), NEWT_EBUSY);
    tell("%s ", newt_status_text(status));
    return NEWT_OK;
}

/* What it calls fails, and what it was told of stays to be seen. */
static int
failing(newt_conn *c, int status, void *arg)
{
    int known = newt_error_status(newt_conn_error(c));

    assert_int_not_equal(newt_release(c, 1), NEWT_OK);
    assert_int_equal(newt_begin(c), NEWT_EBUSY);
    if (known != NEWT_OK)
        assert_int_equal(newt_error_status(newt_conn_error(c)), known);
    tell("%s%s ", (const char *)arg, status == known ? "=" : "");
    return NEWT_EINVAL;
}

static int
fails_by_itself(newt_conn *c, void *arg)
{
    ok(c, newt_on(c, NEWT_BEFORE_ABORT, failing, before));
    ok(c, newt_on(c, NEWT_AFTER_ABORT, failing, after));
    assert_null(item_read(c, *(item_ref *)arg));
    return newt_status(c);
}

static void
test_failing_hooks(void **state)
{
    item_ref gone = {{INT64_MAX}};
    store s;

    (void)state;
    store_open(&s, "failing_hooks");
    hooked = make_item(s.a, "r", 1);
    begin(s.a);
    write_n(s.a, hooked, 2);
    ok(s.a, newt_on(s.a, NEWT_AFTER_COMMIT, failing, after));
    commit(s.a);
    assert_told("after= ");
    begin(s.a);
    write_n(s.a, hooked, 3);
    ok(s.a, newt_on(s.a, NEWT_AFTER_COMMIT, failing, after));
    begin(s.b);
    write_n(s.b, hooked, 4);
    commit(s.b);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_told("after= ");
    assert_int_equal(newt_error_status(newt_conn_error(s.a)), NEWT_ECONFLICT);
    assert_int_equal(newt_error_conflict(newt_conn_error(s.a), 0)->object.oid, hooked.any.oid);
    assert_int_equal(newt_transact(s.a, fails_by_itself, &gone, NULL), NEWT_EMISSING);
    assert_told("before after ");
    assert_int_equal(newt_error_status(newt_conn_error(s.a)), NEWT_EMISSING);
    assert_int_equal(newt_begin(s.a), NEWT_OK); /* and another transaction has its own */
    assert_int_equal(newt_begin(s.a), NEWT_EBUSY);
    assert_int_equal(newt_error_status(newt_conn_error(s.a)), NEWT_EBUSY);
    newt_abort(s.a);
    store_close(&s);
}

static void
on_all(newt_conn *c)
{
    ok(c, newt_on(c, NEWT_AFTER_COMMIT, hook, after));
    ok(c, newt_on(c, NEWT_BEFORE_COMMIT, hook, before));
    ok(c, newt_on(c, NEWT_BEFORE_ABORT, hook, aborting));
    ok(c, newt_on(c, NEWT_AFTER_ABORT, hook, aborted));
}

static int
hook_and_conflict(newt_conn *c, void *arg)
{
    store *s = arg;
    static int runs;

    on_all(c);
    write_n(c, hooked, 20);
    if (runs++ > 0)
        return NEWT_OK;
    begin(s->b);
    write_n(s->b, hooked, 30);
    commit(s->b);
    return NEWT_OK;
}

static void
test_hooks(void **state)
{
    int status = NEWT_EINVAL, positive = 5;
    store s;

    (void)state;
    store_open(&s, "hooks");
    assert_int_equal(newt_on(s.a, NEWT_BEFORE_COMMIT, hook, NULL), NEWT_EBUSY);
    hooked = make_item(s.a, "r", 1);
    begin(s.a);
    assert_int_equal(newt_on(s.a, NEWT_BEFORE_COMMIT, NULL, NULL), NEWT_EINVAL);
    assert_int_equal(newt_on(s.a, (newt_moment)4, hook, NULL), NEWT_EINVAL);
    on_all(s.a);
    commit(s.a);
    assert_told("before after ");
    begin(s.a); /* they are forgotten */
    commit(s.a);
    assert_told("");
    begin(s.a);
    on_all(s.a);
    newt_abort(s.a);
    assert_told("aborting aborted ");
    /* more than room was made for, in their order */
    begin(s.a);
    for (int i = 0; i < 30; i++)
        ok(s.a, newt_on(s.a, NEWT_BEFORE_COMMIT, hook, i == 29 ? z_ : x_));
    commit(s.a);
    assert_int_equal(strlen(told), 60);
    assert_string_equal(told + 56, "x z ");
    *told = 0;
    /* one that changes, and adds another */
    begin(s.a);
    ok(s.a, newt_on(s.a, NEWT_BEFORE_COMMIT, last_words, added));
    commit(s.a);
    assert_told("added ");
    assert_int_equal(stored_int(s.db, hooked.any, "n"), 7);
    /* one that refuses: those after it do not run; the abort's do not either */
    begin(s.a);
    write_n(s.a, hooked, 8);
    ok(s.a, newt_on(s.a, NEWT_BEFORE_COMMIT, refuse, &status));
    on_all(s.a);
    assert_int_equal(newt_commit(s.a), NEWT_EINVAL);
    assert_told("after:NEWT_EINVAL ");
    begin(s.a);
    ok(s.a, newt_on(s.a, NEWT_BEFORE_COMMIT, refuse, &positive));
    assert_int_equal(newt_commit(s.a), 5);
    assert_int_equal(stored_int(s.db, hooked.any, "n"), 7);
    /* what they must not do */
    begin(s.a);
    ok(s.a, newt_on(s.a, NEWT_BEFORE_COMMIT, intrude, NULL));
    ok(s.a, newt_on(s.a, NEWT_AFTER_COMMIT, intrude, NULL));
    newt_doom(s.a);
    assert_int_equal(newt_commit(s.a), NEWT_EDOOMED);
    assert_told("NEWT_OK NEWT_EDOOMED ");
    /* each attempt has its own */
    ok(s.a, newt_transact(s.a, hook_and_conflict, &s, NULL));
    assert_told("before after:NEWT_ECONFLICT before after ");
    /* of a connection that is closed within */
    begin(s.a);
    on_all(s.a);
    newt_close(s.a);
    assert_told("aborting aborted ");
    s.a = connect_(s.db);
    store_close(&s);
}

/* ---- resources --------------------------------------------------------------------------------
 */

typedef struct thing {
    const char *key;
    int prepare, commit, savepoint, rollback; /* what they return */
    char name[NEWT_RESOURCES_NAME];
} thing;

static int
thing_prepare(void *arg, const char *name)
{
    thing *x = arg;

    tell("prepare %s, ", x->key);
    snprintf(x->name, sizeof x->name, "%s", name);
    return x->prepare;
}

static int
thing_commit(void *arg)
{
    tell("commit %s, ", ((thing *)arg)->key);
    return ((thing *)arg)->commit;
}

static void
thing_abort(void *arg)
{
    tell("abort %s, ", ((thing *)arg)->key);
}

static int64_t thing_savepoints[2];

static int
thing_savepoint(void *arg, int64_t savepoint)
{
    tell("savepoint %s, ", ((thing *)arg)->key);
    thing_savepoints[0] = savepoint;
    return ((thing *)arg)->savepoint;
}

static int
thing_rollback(void *arg, int64_t savepoint)
{
    tell("rollback %s, ", ((thing *)arg)->key);
    thing_savepoints[1] = savepoint;
    return ((thing *)arg)->rollback;
}

static int
join_as(newt_conn *c, thing *x, bool savepoints)
{
    newt_resource r = {.size = sizeof r,
                       .sort_key = x->key,
                       .prepare = thing_prepare,
                       .commit = thing_commit,
                       .abort = thing_abort,
                       .savepoint = savepoints ? thing_savepoint : NULL,
                       .rollback = savepoints ? thing_rollback : NULL,
                       .arg = x};

    return newt_join(c, &r);
}

static int
join(newt_conn *c, thing *x)
{
    return join_as(c, x, true);
}

static int
join_plain(newt_conn *c, thing *x)
{
    return join_as(c, x, false);
}

static bool
was_committed(newt_conn *c, const char *name)
{
    bool yes;

    ok(c, newt_was_committed(c, name, &yes));
    return yes;
}

/* Its first attempt cannot be prepared. */
static int
join_twice(newt_conn *c, void *arg)
{
    thing *x = arg;

    x->prepare = x->prepare == NEWT_OK ? NEWT_ECONFLICT : NEWT_OK;
    return join(c, x);
}

static void
test_resources(void **state)
{
    thing a = {.key = "a"}, b = {.key = "b"}, z = {.key = "z"};
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "resources");
    r = make_item(s.a, "r", 1);
    assert_int_equal(join(s.a, &a), NEWT_EBUSY);
    begin(s.a);
    ok(s.a, join(s.a, &z));
    ok(s.a, join(s.a, &a));
    ok(s.a, join(s.a, &b));
    write_n(s.a, r, 2);
    commit(s.a);
    assert_told("prepare a, prepare b, prepare z, commit a, commit b, commit z, ");
    assert_string_equal(a.name, z.name);
    assert_true(was_committed(s.b, a.name));
    assert_false(was_committed(s.b, "newt-1"));
    /* without a change in the store the decision is there as well */
    begin(s.a);
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_describe(s.a, NULL, "nothing but b", NULL));
    commit(s.a);
    assert_told("prepare b, commit b, ");
    assert_true(strcmp(a.name, b.name) != 0);
    assert_true(was_committed(s.b, b.name));
    assert_true(was_committed(s.b, a.name));
    begin(s.b); /* which looks outside of a transaction */
    assert_int_equal(newt_was_committed(s.b, a.name, &(bool){0}), NEWT_EBUSY);
    newt_abort(s.b);
    /* one that cannot be prepared */
    begin(s.a);
    write_n(s.a, r, 3);
    ok(s.a, join(s.a, &z));
    ok(s.a, join(s.a, &a));
    ok(s.a, join(s.a, &b));
    b.prepare = NEWT_ELIMIT;
    assert_int_equal(newt_commit(s.a), NEWT_ELIMIT);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "resource \"b\" could not be prepared");
    assert_told("prepare a, prepare b, abort a, abort b, abort z, ");
    assert_false(was_committed(s.b, a.name));
    /* whatever it returns: the store was not asked, so there is no doubt */
    begin(s.a);
    write_n(s.a, r, 3);
    ok(s.a, join(s.a, &a));
    ok(s.a, join(s.a, &b));
    b.prepare = NEWT_EUNKNOWN;
    assert_int_equal(newt_commit(s.a), NEWT_EUNKNOWN);
    assert_told("prepare a, prepare b, abort a, abort b, ");
    b.prepare = 0;
    ok(s.a, newt_transact(s.a, join_twice, &b, NULL));
    assert_told("prepare b, abort b, prepare b, commit b, ");
    /* the store refuses */
    begin(s.a);
    write_n(s.a, r, 3);
    begin(s.b);
    write_n(s.b, r, 4);
    commit(s.b);
    ok(s.a, join(s.a, &a));
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    assert_told("prepare a, abort a, ");
    assert_false(was_committed(s.b, a.name));
    /* aborted, doomed */
    begin(s.a);
    ok(s.a, join(s.a, &a));
    newt_abort(s.a);
    assert_told("abort a, ");
    begin(s.a);
    ok(s.a, join(s.a, &a));
    newt_doom(s.a);
    assert_int_equal(newt_commit(s.a), NEWT_EDOOMED);
    assert_told("abort a, ");
    /* one that breaks its word */
    begin(s.a);
    write_n(s.a, r, 5);
    ok(s.a, join(s.a, &a));
    ok(s.a, join(s.a, &b));
    a.commit = 3;
    assert_int_equal(newt_commit(s.a), NEWT_EUNKNOWN);
    assert_true(newt_tid(s.a) > 0);
    assert_told("prepare a, prepare b, commit a, commit b, ");
    assert_non_null(strstr(newt_error_detail(newt_conn_error(s.a)), a.name));
    assert_true(was_committed(s.b, a.name));
    assert_int_equal(stored_int(s.db, r.any, "n"), 5);
    store_close(&s);
}

static void
test_resource_savepoints(void **state)
{
    thing a = {.key = "a"}, b = {.key = "b"};
    newt_resource odd = {.size = sizeof odd,
                         .sort_key = "odd",
                         .prepare = thing_prepare,
                         .commit = thing_commit,
                         .abort = thing_abort,
                         .savepoint = thing_savepoint};
    int64_t one, two, tid;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "resource_savepoints");
    r = make_item(s.a, "r", 1);
    begin(s.a);
    assert_int_equal(newt_join(s.a, &odd), NEWT_EINVAL);
    odd.commit = NULL;
    assert_int_equal(newt_join(s.a, &odd), NEWT_EINVAL);
    ok(s.a, join_plain(s.a, &a));
    assert_int_equal(newt_savepoint(s.a, &one), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "resource \"a\" has no savepoints");
    newt_abort(s.a);
    begin(s.a);
    ok(s.a, newt_savepoint(s.a, &one));
    assert_int_equal(join_plain(s.a, &a), NEWT_EINVAL);
    ok(s.a, newt_release(s.a, one));
    ok(s.a, join_plain(s.a, &a));
    newt_abort(s.a);
    *told = 0;
    begin(s.a);
    ok(s.a, join(s.a, &a));
    ok(s.a, newt_savepoint(s.a, &one));
    assert_int_equal(thing_savepoints[0], one);
    assert_int_equal(join_plain(s.a, &b), NEWT_EINVAL);
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_savepoint(s.a, &two));
    ok(s.a, newt_rollback_to(s.a, two));
    assert_int_equal(thing_savepoints[1], two);
    assert_told("savepoint a, savepoint a, savepoint b, rollback a, rollback b, ");
    ok(s.a, newt_rollback_to(s.a, one)); /* b joined later */
    assert_int_equal(thing_savepoints[1], one);
    assert_told("rollback a, abort b, ");
    /* released, it is as if it had joined before */
    ok(s.a, newt_savepoint(s.a, &two));
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_release(s.a, two));
    *told = 0;
    ok(s.a, newt_rollback_to(s.a, one));
    assert_told("rollback a, abort b, ");
    ok(s.a, newt_release(s.a, one));
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_savepoint(s.a, &one));
    *told = 0;
    ok(s.a, newt_rollback_to(s.a, one));
    assert_told("rollback a, rollback b, ");
    commit(s.a);
    assert_told("prepare a, prepare b, commit a, commit b, ");
    /* joined within a savepoint that was released, it stays when a later one is rolled back */
    begin(s.a);
    ok(s.a, newt_savepoint(s.a, &one));
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_release(s.a, one));
    ok(s.a, newt_savepoint(s.a, &two));
    ok(s.a, newt_rollback_to(s.a, two));
    assert_told("savepoint b, rollback b, ");
    newt_abort(s.a);
    assert_told("abort b, ");
    /* all have left: there is nothing to commit */
    begin(s.a);
    ok(s.a, newt_savepoint(s.a, &one));
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_rollback_to(s.a, one));
    tid = stored_tid(s.db);
    commit(s.a);
    assert_told("abort b, ");
    assert_int_equal(stored_tid(s.db), tid);
    /* one that refuses: then there is no savepoint */
    begin(s.a);
    ok(s.a, join(s.a, &a));
    a.savepoint = 7;
    assert_int_equal(newt_savepoint(s.a, &one), 7);
    assert_int_equal(one, 0);
    ok(s.a, join_plain(s.a, &b));
    newt_abort(s.a);
    *told = 0;
    /* one of two that cannot go back */
    begin(s.a);
    a.savepoint = 0;
    ok(s.a, join(s.a, &a));
    ok(s.a, join(s.a, &b));
    ok(s.a, newt_savepoint(s.a, &one));
    a.rollback = NEWT_ELIMIT;
    assert_int_equal(newt_rollback_to(s.a, one), NEWT_ELIMIT);
    assert_told("savepoint a, savepoint b, rollback a, ");
    assert_true(newt_is_doomed(s.a));
    newt_abort(s.a);
    *told = 0;
    a.rollback = 0;
    /* one that fails */
    begin(s.a);
    ok(s.a, join(s.a, &a));
    a.savepoint = 7;
    assert_int_equal(newt_savepoint(s.a, &one), 7);
    a.savepoint = 0;
    ok(s.a, newt_savepoint(s.a, &one));
    a.rollback = NEWT_ELIMIT;
    write_n(s.a, r, 2);
    assert_int_equal(newt_rollback_to(s.a, one), NEWT_ELIMIT);
    assert_true(newt_is_doomed(s.a));
    assert_int_equal(newt_commit(s.a), NEWT_ELIMIT);
    assert_int_equal(stored_int(s.db, r.any, "n"), 1);
    store_close(&s);
}

static void
ignore_abort(void *arg)
{
    (void)arg;
}

/* The name stands beside what the program has described, and is found there alone. */
static void
test_names(void **state)
{
    static const char *const extensions[] = {NULL, "{}", "{\"a\": {\"b\": [1]}}"};
    enum {
        MANY = 25000 /* objects: more than one part of a feed has */
    };
    thing a = {.key = "a"};
    json_t *json;
    store s;

    (void)state;
    store_open(&s, "names");
    begin(s.a);
    for (int i = 0; i < MANY; i++)
        item_done(new_item(s.a, "x", i));
    commit(s.a);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        json = extensions[i] ? json_loads(extensions[i], 0, NULL) : NULL;
        begin(s.a);
        ok(s.a, newt_describe(s.a, NULL, NULL, json));
        json_decref(json);
        ok(s.a, join(s.a, &a));
        commit(s.a);
        assert_true(was_committed(s.b, a.name));
    }
    /* mentioned elsewhere */
    strcpy(a.name, "newt-00-11");
    json = json_pack("{s: s}", "note", a.name);
    begin(s.a);
    ok(s.a, newt_describe(s.a, NULL, NULL, json));
    json_decref(json);
    new_item(s.a, "y", 1);
    commit(s.a);
    assert_false(was_committed(s.b, a.name));
    *told = 0;
    store_close(&s);
}

static int
prepare_badly(void *arg, const char *name)
{
    newt_conn *c = arg;

    (void)name;
    return newt_join(c, &(newt_resource){.size = sizeof(newt_resource), .sort_key = "late"});
}

/* Whose error is reported: that of the first that fails, in its own words if it has some. */
static void
test_errors(void **state)
{
    thing a = {.key = "a", .commit = 3}, b = {.key = "b", .commit = 4};
    newt_resource bad = {.size = sizeof bad,
                         .sort_key = "z",
                         .prepare = prepare_badly,
                         .commit = thing_commit,
                         .abort = ignore_abort};
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "errors");
    r = make_item(s.a, "r", 1);
    begin(s.a);
    ok(s.a, join(s.a, &b));
    ok(s.a, join(s.a, &a));
    write_n(s.a, r, 2);
    assert_int_equal(newt_commit(s.a), NEWT_EUNKNOWN);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "the transaction is committed, but resource \"a\" is not");
    assert_non_null(strstr(newt_error_detail(newt_conn_error(s.a)), "returned 3."));
    /* an error of before is not the resource's */
    begin(s.a);
    assert_int_equal(newt_release(s.a, 77), NEWT_EINVAL);
    a.prepare = NEWT_ELIMIT;
    ok(s.a, join(s.a, &a));
    assert_int_equal(newt_commit(s.a), NEWT_ELIMIT);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "resource \"a\" could not be prepared");
    begin(s.a);
    bad.arg = s.a;
    ok(s.a, newt_join(s.a, &bad));
    assert_int_equal(newt_commit(s.a), NEWT_EINVAL);
    assert_string_equal(newt_error_message(newt_conn_error(s.a)),
                        "a resource needs sort_key, prepare, commit and abort");
    *told = 0;
    store_close(&s);
}

/* In a child nothing runs: what has joined is the parent's. */
static void
test_fork(void **state)
{
    thing a = {.key = "a"};
    int status;
    pid_t child;
    store s;

    (void)state;
    store_open(&s, "fork");
    *told = 0;
    begin(s.a);
    ok(s.a, join(s.a, &a));
    on_all(s.a);
    child = fork_child();
    if (child == 0) {
        alarm(PATIENCE_S);
        newt_abort(s.a);
        _exit(*told == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    commit(s.a);
    assert_told("before prepare a, commit a, after ");
    store_close(&s);
}

static const struct CMUnitTest endings[] = {
    cmocka_unit_test(test_doom),          cmocka_unit_test(test_hooks),
    cmocka_unit_test(test_resources),     cmocka_unit_test(test_resource_savepoints),
    cmocka_unit_test(test_names),         cmocka_unit_test(test_errors),
    cmocka_unit_test(test_failing_hooks), cmocka_unit_test(test_fork),
};

int
main(void)
{
    return run_all(endings);
}
