/*
 * roles.c - programs that have the rights of their kind of role, and no others, do all of their
 * work: with the extension, and without it, where newt.grant_store's SQL is run
 */
#include "daemon.h"

static const bool without = false, with = true;

/* What newt.grant_store does, in a database that need not have it: its SQL comes from one that has.
 */
static void
grant(PGconn *pg, PGconn *helper, const char *role, const char *kind)
{
    char sql[200];
    PGresult *r;

    snprintf(sql, sizeof sql, "SELECT newt.grant_store_sql('store', '%s', '%s')", role, kind);
    r = sql_result(helper, sql);
    PQclear(sql_result(pg, PQgetvalue(r, 0, 0)));
    PQclear(r);
}

static newt_db *
open_as(const char *database, const char *role)
{
    static const newt_class *const classes[] = {&item_class, NULL};
    newt_options o = {.size = sizeof o, .schema = "store"};
    char conninfo[128];
    newt_db *db;

    snprintf(conninfo, sizeof conninfo, "dbname=%s user=%s", database, role);
    if (newt_db_open(&db, conninfo, classes, &o) != NEWT_OK)
        fail_msg("%s: %s", role, newt_error_message(newt_db_error(db)));
    return db;
}

static void
check(int status, newt_conn *c)
{
    if (status != NEWT_OK)
        fail_msg("%s %s", newt_error_message(newt_conn_error(c)),
                 newt_error_detail(newt_conn_error(c)));
}

static void
test_roles(void **state)
{
    static const char *const kinds[] = {"reader", "application", "updater"};
    bool extension = *(const bool *)*state;
    newt_walk_options walk = {.size = sizeof walk};
    newt_progress p = {.size = sizeof p};
    char conninfo[64], role[64], as_updater[128];
    const char *database = extension ? "roles_with" : "roles_without";
    PGconn *helper, *pg = make_database(database, extension, conninfo);
    newt_conn *c, *reader;
    newt_db *db, *read_only;
    item_ref r, other;
    updater u;

    make_store(conninfo, "store");
    helper = extension ? pg : make_database("roles_helper", true, role);
    if (!extension)
        make_store("dbname=roles_helper", "store");
    for (int i = 0; i < 3; i++) {
        snprintf(role, sizeof role, "%s_%s", database, kinds[i]);
        sql_do(pg, "CREATE ROLE %s LOGIN", role);
        grant(pg, helper, role, kinds[i]);
    }

    /* an application: all kinds of commits, conflicts, walks, classes */
    snprintf(role, sizeof role, "%s_application", database);
    db = open_as(database, role);
    check(newt_connect(db, &c), c);
    check(newt_begin(c), c);
    struct item *one = item_new(c), *two = item_new(c);
    assert_true(one && two);
    newt_set(one, name, "one");
    one->next = item_id(two);
    r = item_id(one);
    other = item_id(two);
    check(newt_set_root(c, "one", r.any), c);
    check(newt_commit(c), c);
    for (int i = 0; i < 3; i++) {
        check(newt_begin(c), c);
        one = item_write(c, r);
        assert_non_null(one);
        one->n = i;
        if (i > 0)
            check(newt_read_current(c, other.any), c);
        if (i > 1)
            check(newt_describe(c, "somebody", "something", NULL), c);
        check(newt_commit(c), c);
    }
    check(newt_begin(c), c);
    for (int i = 0; i < 3000; i++) /* more than one block, in chunks */
        item_done(item_new(c));
    check(newt_commit(c), c);
    check(newt_begin(c), c);
    check(newt_delete(c, other.any), c);
    check(newt_commit(c), c);
    check(newt_begin(c), c);
    check(newt_prefetch_walk(c, &r.any, 1, &walk), c);
    assert_non_null(item_read(c, r));
    check(newt_commit(c), c);
    /* it may follow, but the log is not its to cut */
    int64_t pruned;
    check(newt_project(c, "mine", 100000, &p), c);
    assert_int_equal(newt_prune(c, 10, &pruned), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
    assert_non_null(strstr(newt_error_hint(newt_conn_error(c)), "newt.grant_store"));

    /* a reader, the first after a crash, too */
    snprintf(role, sizeof role, "%s_reader", database);
    sql_do(pg, "TRUNCATE store.newt_incarnation");
    read_only = open_as(database, role);
    check(newt_connect(read_only, &reader), reader);
    check(newt_begin(reader), reader);
    check(newt_prefetch_walk(reader, &r.any, 1, &walk), reader);
    const struct item *read = item_read(reader, r);
    assert_true(read && read->n == 2);
    check(newt_commit(reader), reader);
    check(newt_begin(reader), reader);
    assert_null(item_new(reader));
    assert_string_equal(newt_error_sqlstate(newt_conn_error(reader)), "42501");
    newt_abort(reader);
    check(newt_begin(reader), reader);
    struct item *changed = item_write(reader, r);
    assert_non_null(changed);
    changed->n = 77;
    assert_int_equal(newt_commit(reader), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(reader)), "42501");
    newt_close(reader);
    newt_db_close(read_only);

    /* the updater */
    sql_do(pg, "DELETE FROM store.newt_projection WHERE zoid %% 2 = 0");
    snprintf(as_updater, sizeof as_updater, "dbname=%s user=%s_updater", database, database);
    updater_start(&u, "--once", "--retry-rejects", "--schema=store", as_updater, NULL);
    int status = updater_wait(&u);
    bool warned = updater_says(&u, "42501");
    updater_forget(&u, status != 0 || warned);
    assert_int_equal(status, 0);
    assert_false(warned);
    assert_exact(pg, "store");
    /* its tasks, too */
    static const char *const tasks[] = {"--check", "--compute-missing", "--reproject=Item"};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        updater_start(&u, tasks[i], "--throttle=100", "--schema=store", as_updater, NULL);
        status = updater_wait(&u);
        updater_forget(&u, status != 0);
        assert_int_equal(status, 0);
    }

    newt_close(c);
    newt_db_close(db);
    for (int i = 0; i < 3; i++) {
        sql_do(pg, "DROP OWNED BY %s_%s", database, kinds[i]);
        sql_do(pg, "DROP ROLE %s_%s", database, kinds[i]);
    }
    if (helper != pg)
        PQfinish(helper);
    PQfinish(pg);
}

static const struct CMUnitTest roles[] = {
    {"test_roles", test_roles, NULL, NULL, (void *)(uintptr_t)&without},
    {"test_roles_extension", test_roles, NULL, NULL, (void *)(uintptr_t)&with},
};

int
main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(roles, NULL, NULL);
}
