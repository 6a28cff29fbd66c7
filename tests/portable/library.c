/*
 * library.c - the library in a database with the portable edition: it uses its own statements
 */
#include "../bridge/server.h"

/* The functions of the schema newt are not those that the library could call. */
static void
test_own_statements(void **state)
{
    newt_options o = {.size = sizeof o, .projector = NEWT_PROJECT_SERVER};
    char command[512];
    newt_db *db;
    store s;

    (void)state;
    snprintf(command, sizeof command, "psql -Xq -f %s/sql/newt-portable.sql", getenv("NEWT_BUILD"));
    assert_int_equal(system(command), 0);
    store_open(&s, "portable");
    begin(s.a);
    item_done(new_item(s.a, "one", 1));
    item_done(new_item(s.a, "two", 2));
    commit(s.a);
    assert_sql(s.pg, "2",
               "SELECT count(*) FROM newt n JOIN object_state USING (zoid, serial) "
               "WHERE n.class_name = 'Item'");
    /* what the library projected is what the portable edition reads in the records */
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM newt n JOIN object_state o USING (zoid) "
               "WHERE newt.to_jsonb(o.state) <> n.state "
               "OR newt.class_name(o.state) <> n.class_name");
    assert_sql(s.pg, "0", "SELECT count(*) FROM pg_extension WHERE extname = 'newt'");
    /* a server that is to project cannot */
    o.schema = s.schema;
    assert_int_equal(newt_db_open(&db, uri(), classes, &o), NEWT_ESTORE);
    assert_non_null(strstr(newt_error_message(newt_db_error(db)), "is not installed"));
    newt_db_close(db);
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_statements)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
