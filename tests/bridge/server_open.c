/*
 * server_open.c - stores made, databases opened, classes registered, and every way to fail
 */
#include "server.h"

/* ---- other classes -------------------------------------------------------------------- */

struct thing {
    newt_text name;
    double weight;
};
NEWT_DECLARE(thing);
NEWT_CLASS(thing, "Thing", 1, NULL, NEWT_FIELD(struct thing, name),
           NEWT_FIELD(struct thing, weight));

struct other_thing {
    newt_text name;
    newt_text weight;
};
NEWT_DECLARE(other_thing);
NEWT_CLASS(other_thing, "Thing", 1, NULL, NEWT_FIELD(struct other_thing, name),
           NEWT_FIELD(struct other_thing, weight));

struct newer_thing {
    newt_text name;
    newt_text weight;
};
NEWT_DECLARE(newer_thing);
NEWT_CLASS(newer_thing, "Thing", 2, NULL, NEWT_FIELD(struct newer_thing, name),
           NEWT_FIELD(struct newer_thing, weight));

struct async_thing {
    newt_text name;
    double weight;
};
NEWT_DECLARE(async_thing);
NEWT_CLASS_AS(async_thing, "Thing", 1, NULL, NEWT_C_ASYNC, NEWT_FIELD(struct async_thing, name),
              NEWT_FIELD(struct async_thing, weight));

static int
to_json(const void *object, json_t *json, void *arg)
{
    (void)object;
    (void)arg;
    return json_object_set_new(json, "more", json_true());
}
static const newt_hooks hooks = {.size = sizeof hooks, .to_json = to_json};
struct shown {
    int64_t n;
};
NEWT_DECLARE(shown);
NEWT_CLASS(shown, "Shown", 1, &hooks, NEWT_FIELD(struct shown, n));
struct shown_inline {
    int64_t n;
};
NEWT_DECLARE(shown_inline);
NEWT_CLASS_AS(shown_inline, "Shown", 1, &hooks, NEWT_C_INLINE, NEWT_FIELD(struct shown_inline, n));
struct shown_async {
    int64_t n;
};
NEWT_DECLARE(shown_async);
NEWT_CLASS_AS(shown_async, "Shown", 1, &hooks, NEWT_C_ASYNC, NEWT_FIELD(struct shown_async, n));
struct torn {
    int64_t n;
};
NEWT_DECLARE(torn);
NEWT_CLASS_AS(torn, "Torn", 1, NULL, NEWT_C_INLINE | NEWT_C_ASYNC, NEWT_FIELD(struct torn, n));

/* ---- opening, and what is said -------------------------------------------------------- */

/* Opens and closes a database; the error's texts stay in these. */
static char message[1100], detail[1100], hint[1100], sqlstate[6];

static int
try_open(const char *where, const char *schema, const newt_class *k, newt_projector projector)
{
    const newt_class *list[] = {k, NULL};
    newt_options o = {.size = sizeof o, .schema = schema, .projector = projector};
    const newt_error *e;
    newt_conn *c;
    newt_db *db;
    int status = newt_db_open(&db, where, list, &o);

    e = newt_db_error(db);
    assert_int_equal(newt_error_status(e), status);
    snprintf(message, sizeof message, "%s", newt_error_message(e));
    snprintf(detail, sizeof detail, "%s", newt_error_detail(e));
    snprintf(hint, sizeof hint, "%s", newt_error_hint(e));
    snprintf(sqlstate, sizeof sqlstate, "%s", newt_error_sqlstate(e));
    if (status != NEWT_OK) { /* then there is nothing to connect to */
        assert_int_equal(newt_connect(db, &c), status);
        newt_close(c);
    }
    newt_db_close(db);
    return status;
}

static int
try_create(const char *where, const char *schema)
{
    newt_error *e = NULL;
    int status = newt_store_create(where, schema, &e);

    snprintf(message, sizeof message, "%s", newt_error_message(e));
    newt_error_free(e);
    return status;
}

/* ---- stores --------------------------------------------------------------------------- */

static void
test_create(void **state)
{
    static const char odd[] = "odd \"name' \\ @store@";
    static const char *const reserved[] = {"newt", "information_schema", "pg_catalog", "pg_mine"};
    PGconn *pg = sql_open();
    newt_conn *c;
    newt_db *db;
    newt_options o = {.size = sizeof o, .schema = odd};

    (void)state;
    assert_int_equal(try_create(uri(), "made"), NEWT_OK);
    assert_int_equal(try_create(uri(), "made"), NEWT_ESTORE);
    assert_string_equal(message, "there is a Newt store in schema \"made\" already");
    sql_do(pg, "CREATE SCHEMA there");
    assert_int_equal(try_create(uri(), "there"), NEWT_OK);
    /* NULL is public, and the error need not be asked for */
    assert_int_equal(newt_store_create(uri(), NULL, NULL), NEWT_OK);
    assert_int_equal(newt_store_create(uri(), NULL, NULL), NEWT_ESTORE);
    /* any name is a name */
    assert_int_equal(try_create(uri(), odd), NEWT_OK);
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_OK);
    c = connect_(db);
    make_item(c, "x", 1);
    newt_close(c);
    newt_db_close(db);
    sql_do(pg, "DROP SCHEMA made, there CASCADE");
    /* but not for those whose schema would be dropped with the extension, or left out of dumps */
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        assert_int_equal(try_create(uri(), reserved[i]), NEWT_EINVAL);
        assert_non_null(strstr(message, reserved[i]));
    }
    assert_sql(pg, "0",
               "SELECT count(*) FROM pg_class WHERE relname = 'newt_store' AND relnamespace IN "
               "(SELECT oid FROM pg_namespace WHERE nspname IN ('newt', 'information_schema'))");
    /* half a store is none: what stands in the way is named, and nothing else is made */
    sql_do(pg, "CREATE SCHEMA half; CREATE TABLE half.transaction ()");
    assert_int_equal(try_create(uri(), "half"), NEWT_ESQL);
    assert_non_null(strstr(message, "transaction"));
    assert_sql(pg, "1",
               "SELECT count(*) FROM pg_class k JOIN pg_namespace n ON n.oid = "
               "k.relnamespace WHERE n.nspname = 'half' AND k.relkind = 'r'");
    PQfinish(pg);
}

static void *
create_in_thread(void *arg)
{
    return (void *)(intptr_t)newt_store_create(uri(), arg, NULL);
}

static void
test_two_makers(void **state)
{
    char schema[] = "raced";
    pthread_t t[4];
    void *status;
    int made = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, create_in_thread, schema), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &status);
        made += (intptr_t)status == NEWT_OK;
        assert_true((intptr_t)status == NEWT_OK || (intptr_t)status == NEWT_ESTORE);
    }
    assert_int_equal(made, 1);
}

static void
test_no_server(void **state)
{
    (void)state;
    assert_int_equal(try_open("postgresql:///x?host=/nowhere", NULL, &item_class, 0), NEWT_ELOST);
    assert_true(*message);
    assert_int_equal(try_create("postgresql:///x?host=/nowhere", NULL), NEWT_ELOST);
    assert_int_equal(try_open("host=/nowhere nonsense=1", NULL, &item_class, 0), NEWT_ELOST);
    assert_non_null(strstr(message, "nonsense"));
}

static void
test_no_store(void **state)
{
    PGconn *pg;

    (void)state;
    assert_int_equal(try_open(uri(), "nothing_here", &item_class, 0), NEWT_ESTORE);
    assert_string_equal(message, "there is no Newt store in schema \"nothing_here\"");
    assert_non_null(strstr(hint, "newt.create_store('nothing_here')"));
    assert_non_null(strstr(hint, "newt_store_create"));
    pg = sql_open();
    sql_do(pg, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    char latin[256];
    snprintf(latin, sizeof latin, "postgresql:///latin?host=%s&port=%s&user=%s", getenv("PGHOST"),
             getenv("PGPORT"), getenv("PGUSER"));
    assert_int_equal(try_open(latin, NULL, &item_class, 0), NEWT_ESTORE);
    assert_string_equal(message, "the database's encoding is LATIN1, but Newt needs UTF8");
    assert_int_equal(try_create(latin, NULL), NEWT_ESTORE);
    PQfinish(pg);
}

static void
test_versions(void **state)
{
    store s;

    (void)state;
    store_make(&s, "versions");
    sql_do(s.pg, "UPDATE newt_store SET version = 2");
    assert_int_equal(try_open(uri(), s.schema, &item_class, 0), NEWT_ESTORE);
    assert_non_null(strstr(message, "is of version 2, this library needs 1"));
    assert_string_equal(hint, "Use a newer libnewtdb.");
    /* ... also when other columns are gone */
    sql_do(s.pg, "ALTER TABLE newt_store DROP COLUMN oid_block");
    assert_int_equal(try_open(uri(), s.schema, &item_class, 0), NEWT_ESTORE);
    sql_do(s.pg, "DELETE FROM newt_store");
    assert_int_equal(try_open(uri(), s.schema, &item_class, 0), NEWT_ESTORE);
    assert_non_null(strstr(message, "there is no Newt store"));
    PQfinish(s.pg);
}

static void
test_options(void **state)
{
    newt_options o = {.size = sizeof o + 8};
    newt_db *db;
    store s;

    (void)state;
    store_make(&s, "options");
    o.schema = s.schema;
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_db_error(db)), "newt_options.size"));
    newt_db_close(db);
    o.size = 0;
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_EINVAL);
    newt_db_close(db);
    /* options of an older header are fewer */
    o.size = offsetof(newt_options, projector);
    o.projector = 77;
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_OK);
    newt_db_close(db);
    o.size = sizeof o;
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_EINVAL);
    newt_db_close(db);
    /* a program without classes, as the updater is */
    o.projector = NEWT_PROJECT_AUTO;
    assert_int_equal(newt_db_open(&db, uri(), NULL, &o), NEWT_OK);
    newt_db_close(db);
    newt_db_close(NULL);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_class"); /* Item alone */
    PQfinish(s.pg);
}

static void
test_extension(void **state)
{
    store s;

    (void)state;
    use_database(false);
    store_make(&s, "plain");
    assert_int_equal(try_open(uri(), s.schema, &item_class, NEWT_PROJECT_SERVER), NEWT_ESTORE);
    assert_string_equal(message, "the extension newt is not installed in this database");
    assert_int_equal(try_open(uri(), s.schema, &item_class, NEWT_PROJECT_AUTO), NEWT_OK);
    PQfinish(s.pg);
    use_database(true);
    store_make(&s, "extended");
    assert_int_equal(try_open(uri(), s.schema, &item_class, NEWT_PROJECT_SERVER), NEWT_OK);
    PQfinish(s.pg);
}

/* ---- classes -------------------------------------------------------------------------- */

static void
test_registry(void **state)
{
    store s;

    (void)state;
    store_make(&s, "registry");
    assert_int_equal(try_open(uri(), s.schema, &thing_class, 0), NEWT_OK);
    assert_int_equal(try_open(uri(), s.schema, &thing_class, 0), NEWT_OK);
    assert_sql(s.pg, "Thing 1 name,weight",
               "SELECT string_agg(name || ' ' || version || ' ' || (SELECT string_agg(f->>'name', "
               "',') FROM jsonb_array_elements(fields) f), ';') FROM newt_class");
    assert_int_equal(try_open(uri(), s.schema, &other_thing_class, 0), NEWT_ECLASS);
    assert_string_equal(message, "class \"Thing\" version 1 is registered with other fields: "
                                 "field \"weight\" differs");
    assert_string_equal(hint, "Raise the class's version when its table changes.");
    assert_int_equal(try_open(uri(), s.schema, &newer_thing_class, 0), NEWT_OK);
    assert_int_equal(try_open(uri(), s.schema, &thing_class, 0), NEWT_OK);
    assert_sql(s.pg, "2", "SELECT count(*) FROM newt_class");
    /* who projects a class is part of it */
    assert_int_equal(try_open(uri(), s.schema, &async_thing_class, 0), NEWT_ECLASS);
    assert_non_null(strstr(message, "projection"));
    PQfinish(s.pg);
}

static void *
open_in_thread(void *arg)
{
    static int status;

    status = try_open(uri(), arg, &thing_class, 0);
    return &status;
}

/* Another program registers the class, with other fields, between the look and the registration. */
static void
test_registered_meanwhile(void **state)
{
    pthread_t t;
    void *status;
    PGconn *pg;
    store s;

    (void)state;
    store_make(&s, "meanwhile");
    pg = sql_open();
    assert_int_equal(try_open(uri(), s.schema, &other_thing_class, 0), NEWT_OK);
    sql_do(s.pg, "CREATE TABLE theirs AS SELECT * FROM newt_class");
    sql_do(s.pg, "DELETE FROM newt_class");
    sql_do(s.pg, "BEGIN");
    sql_do(s.pg, "INSERT INTO newt_class SELECT * FROM theirs");
    assert_int_equal(pthread_create(&t, NULL, open_in_thread, s.schema), 0);
    wait_until(sql_int(pg, "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid "
                           "FROM pg_stat_activity WHERE datname = current_database())") > 0);
    sql_do(s.pg, "COMMIT");
    pthread_join(t, &status);
    assert_int_equal(*(int *)status, NEWT_ECLASS);
    PQfinish(pg);
    PQfinish(s.pg);
}

static void
test_to_json_needs_inline(void **state)
{
    store s;

    (void)state;
    store_make(&s, "to_json");
    assert_int_equal(try_open(uri(), s.schema, &shown_async_class, 0), NEWT_ECLASS);
    assert_string_equal(message, "class \"Shown\" has to_json, which newt-updater cannot call");
    assert_int_equal(try_open(uri(), s.schema, &torn_class, 0), NEWT_ECLASS);
    assert_non_null(strstr(message, "class \"Torn\""));
    assert_int_equal(try_open(uri(), s.schema, &shown_class, 0), NEWT_OK);
    assert_sql(s.pg, "client", "SELECT projection FROM newt_class");
    sql_do(s.pg, "UPDATE newt_store SET projection = 'async'");
    assert_int_equal(try_open(uri(), s.schema, &shown_class, 0), NEWT_ECLASS);
    assert_string_equal(message, "class \"Shown\" has to_json, which newt-updater cannot call");
    assert_int_equal(try_open(uri(), s.schema, &shown_inline_class, 0), NEWT_OK);
    PQfinish(s.pg);
}

/* ---- rights --------------------------------------------------------------------------- */

static void
test_rights(void **state)
{
    char role[64], as_role[320];
    newt_options o = {.size = sizeof o};
    item_ref r;
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    store_open(&s, "rights");
    r = make_item(s.a, "x", 1);
    snprintf(role, sizeof role, "reader_%d", (int)getpid());
    sql_do(s.pg, "CREATE ROLE %s LOGIN", role);
    snprintf(as_role, sizeof as_role, "postgresql:///%s?host=%s&port=%s&user=%s", PQdb(s.pg),
             getenv("PGHOST"), getenv("PGPORT"), role);

    assert_int_equal(try_create(as_role, "theirs"), NEWT_ESQL);
    assert_non_null(strstr(message, "permission denied"));
    assert_int_equal(try_open(as_role, s.schema, &item_class, 0), NEWT_ESQL);
    assert_string_equal(sqlstate, "42501");
    assert_non_null(strstr(message, s.schema));
    sql_do(s.pg, "GRANT USAGE ON SCHEMA %s TO %s", s.schema, role);
    assert_int_equal(try_open(as_role, s.schema, &item_class, 0), NEWT_ESQL);
    assert_string_equal(message, "permission denied for table newt_store");

    /* who may read everything can work as long as there is nothing to write or to register */
    sql_do(s.pg, "GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s", s.schema, role);
    assert_int_equal(try_open(as_role, s.schema, &thing_class, 0), NEWT_ESQL);
    assert_string_equal(sqlstate, "42501");
    assert_string_equal(message, "cannot register class \"Thing\" version 1: permission denied for "
                                 "table newt_class");
    o.schema = s.schema;
    if (newt_db_open(&db, as_role, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    write_n(c, r, 2);
    assert_int_equal(newt_commit(c), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
    assert_false(newt_is_retryable(newt_conn_error(c)));
    begin(c);
    assert_int_equal(read_n(c, r), 1);
    assert_null(item_new(c));
    assert_string_equal(newt_error_sqlstate(newt_conn_error(c)), "42501");
    newt_abort(c);

    /* and this is all that a writer needs */
    sql_do(s.pg, "GRANT INSERT, UPDATE, DELETE ON object_state, newt_projection TO %s", role);
    sql_do(s.pg, "GRANT INSERT, DELETE ON newt_reject_entry TO %s", role);
    sql_do(s.pg,
           "GRANT INSERT ON transaction, transaction_object, newt_class, newt_incarnation "
           "TO %s",
           role);
    sql_do(s.pg, "GRANT UPDATE ON newt_commit_lock TO %s", role);
    sql_do(s.pg, "GRANT USAGE ON newt_oid, newt_serial TO %s", role);
    begin(c);
    write_n(c, r, 3);
    item_done(new_item(c, "theirs", 1));
    commit(c);
    assert_sql(s.pg, "3", "SELECT state->>'n' FROM newt WHERE zoid = %lld", (long long)r.any.oid);
    assert_string_equal(role, role);
    assert_sql(s.pg, role, "SELECT username FROM transaction ORDER BY tid DESC LIMIT 1");
    newt_close(c);
    newt_db_close(db);
    sql_do(s.pg, "DROP OWNED BY %s", role);
    sql_do(s.pg, "DROP ROLE %s", role);
    store_close(&s);
}

/* What a role or a database has set as its default stops nobody, and changes no value. */
static void
test_settings(void **state)
{
    char odd[700];
    newt_options o = {.size = sizeof o};
    json_t *rows;
    item_ref r;
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    store_make(&s, "settings");
    snprintf(odd, sizeof odd,
             "%s&options=-c%%20default_transaction_read_only%%3Don%%20"
             "-c%%20default_transaction_isolation%%3Dserializable%%20"
             "-c%%20default_transaction_deferrable%%3Don%%20-c%%20datestyle%%3DGerman%%20"
             "-c%%20extra_float_digits%%3D-10%%20-c%%20bytea_output%%3Descape%%20"
             "-c%%20enable_indexscan%%3Doff%%20-c%%20search_path%%3D",
             uri());
    o.schema = s.schema;
    if (newt_db_open(&db, odd, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(db));
    c = connect_(db);
    r = make_item(c, "x", 1);
    begin(c);
    write_n(c, r, 2);
    commit(c);
    begin(c);
    ok(c,
       newt_query(c, &rows,
                  "SELECT DATE '2024-02-29' AS d, 0.1::float8 + 0.2 AS f, E'\\\\xff'::bytea AS b, "
                  "count(*) AS n FROM newt",
                  0, NULL));
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "d")),
                        "2024-02-29");
    assert_true(json_real_value(json_object_get(json_array_get(rows, 0), "f")) == 0.1 + 0.2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "b")), "\\xff");
    json_decref(rows);
    commit(c);
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* ---- the pool ------------------------------------------------------------------------- */

static void
test_pool(void **state)
{
    newt_conn *first, *second;
    newt_stats before;
    item_ref r;
    store s;

    (void)state;
    store_open(&s, "pool");
    r = make_item(s.a, "x", 1);
    begin(s.a);
    read_n(s.a, r);
    commit(s.a);
    first = s.a;
    newt_close(s.a);
    second = s.b;
    newt_close(s.b);
    /* last in, first out; and the cache is still warm */
    s.b = connect_(s.db);
    assert_ptr_equal(s.b, second);
    s.a = connect_(s.db);
    assert_ptr_equal(s.a, first);
    before = stats_of(s.a);
    assert_int_equal(before.round_trips, 0);
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    commit(s.a);
    assert_int_equal(stats_of(s.a).loads, 0);
    /* one that the server has closed is opened anew */
    newt_close(s.a);
    sql_do(s.pg,
           "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE "
           "application_name = 'newt' AND query LIKE '%%%s%%'",
           s.schema);
    s.a = connect_(s.db);
    begin(s.a);
    write_n(s.a, r, 2);
    commit(s.a);
    /* the server knows who we are, and how we speak */
    assert_sql(s.pg, "t",
               "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = "
               "'newt'");
    store_close(&s);
}

static const struct CMUnitTest opening[] = {
    cmocka_unit_test(test_create),
    cmocka_unit_test(test_two_makers),
    cmocka_unit_test(test_no_server),
    cmocka_unit_test(test_no_store),
    cmocka_unit_test(test_versions),
    cmocka_unit_test(test_options),
    cmocka_unit_test(test_registry),
    cmocka_unit_test(test_registered_meanwhile),
    cmocka_unit_test(test_to_json_needs_inline),
    cmocka_unit_test(test_rights),
    cmocka_unit_test(test_settings),
    cmocka_unit_test(test_pool),
    cmocka_unit_test(test_extension),
};

int
main(void)
{
    use_database(false); /* "public" and roles are ours alone */
    return run_all(opening);
}
