/*
 * outputs.c - where the sink ndjson writes: files that are moved, with other classes, standard
 * output, FIFOs, devices that are full
 *
 * NEWT_SEED replays what is random.
 */
#include "outputs.h"

/* ---- files that are moved ---------------------------------------------------------------- */

static void
test_moved_while_it_writes(void **state)
{
    (void)state;
    enum {
        MOVES = 6
    };
    char conninfo[64], moved[MOVES][96];
    updater u;
    struct stat st;
    PGconn *pg = make_database("sinks_moved", true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    updater_start(&u, "--interval=1", "--sink=ndjson", output_option, conninfo, NULL);
    for (int k = 0; k < MOVES; k++) {
        int64_t at = position(pg, "newt-ndjson");
        wait_until(position(pg, "newt-ndjson") > at || !crowd_well(&all));
        wait_until(stat(output, &st) == 0 && st.st_size > 0);
        snprintf(moved[k], sizeof moved[k], "%s.%d", output, k);
        assert_int_equal(rename(output, moved[k]), 0);
        if (k % 2) /* a signal is not needed */
            kill(u.pid, SIGHUP);
    }
    wait_until(stat(output, &st) == 0 && st.st_size > 0);
    crowd_stop(&all);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg, "newt-ndjson") >= last);
    updater_stop(&u);
    for (int k = 0; k < MOVES; k++) {
        load_lines(pg, moved[k], k == 0);
        if (k < MOVES - 1)
            unlink(moved[k]);
    }
    load_lines(pg, output, false);
    assert_lines(pg);
    unlink(moved[MOVES - 1]);
    assert_true(sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'file'") > MOVES);
    PQfinish(pg);
}

/* ---- classes, standard output, descriptions ---------------------------------------------- */

static void
test_classes_and_pipes(void **state)
{
    (void)state;
    char conninfo[64], command[1024];
    item_ref refs[5];
    PGconn *pg = make_database("sinks_pipes", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 5);
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_describe(c, "ada", "a \"description\"", NULL));
    assert_newt(c, newt_delete(c, refs[0].any));
    assert_newt(c, newt_commit(c));
    snprintf(command, sizeof command,
             "'%s/newt-updater' --once --sink=ndjson --output=- --class=Item --name=a %s"
             " 2>/dev/null | cat >%s",
             getenv("NEWT_BUILD"), conninfo, output);
    assert_int_equal(system(command), 0);
    load_lines(pg, output, true);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'class' = 'Item'"), 4);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM lines WHERE line ? 'class'"), 4);
    assert_int_equal(sql_number(pg,
                                "SELECT count(*) FROM lines WHERE n = 1 AND line->>'type' = 'file'"
                                " AND line->>'follower' = 'a'"),
                     1);
    /* the next one goes on; the class of what was removed is there */
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_describe(c, "ada", "a \"description\"", NULL));
    assert_newt(c, newt_delete(c, refs[1].any));
    assert_newt(c, newt_commit(c));
    assert_int_equal(system(command), 0);
    load_lines(pg, output, true);
    assert_int_equal(sql_number(pg,
                                "SELECT count(*) FROM lines WHERE line->>'op' = 'remove' AND"
                                " line->>'class' = 'Item' AND line->'oid' = '%lld'",
                                (long long)refs[1].any.oid),
                     1);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'user' = 'ada' AND"
                                    " line->>'description' = 'a \"description\"'"),
                     1);
    /* a reader of standard output that ends: an error, and nothing is lost */
    make_items(c, refs, 5);
    snprintf(command, sizeof command,
             "bash -c \"'%s/newt-updater' --once --sink=ndjson --output=- --name=a %s 2>%s | true;"
             " exit \\${PIPESTATUS[0]}\"",
             getenv("NEWT_BUILD"), conninfo, output);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    snprintf(command, sizeof command, "grep -q 'reader of standard output' %s", output);
    assert_int_equal(system(command), 0);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

static void
remove_described(newt_conn *c, item_ref r)
{
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_describe(c, "ada", NULL, NULL));
    assert_newt(c, newt_delete(c, r.any));
    assert_newt(c, newt_commit(c));
}

/* What the updater says of a file with these classes. */
static bool
drain_classes(const char *conninfo, const char *one, const char *two, const char *says)
{
    updater u;
    updater_start(&u, "--once", "--sink=ndjson", output_option, conninfo, one, two, NULL);
    assert_int_equal(updater_wait(&u), 0);
    bool said = updater_says(&u, says);
    updater_forget(&u, false);
    return said;
}

/* Transactions of other classes have no line; a list of classes that is another one is told. */
static void
test_other_classes(void **state)
{
    (void)state;
    static const char described[] = "SELECT count(*) FROM lines WHERE line->>'user' = 'ada'",
                      warning[] = "was begun with another list of classes",
                      root[] = "--class=newt.Root", item[] = "--class=Item";
    char conninfo[64];
    item_ref refs[5];
    PGconn *pg = make_database("sinks_classes", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 5);
    assert_false(drain_classes(conninfo, root, NULL, warning));
    remove_described(c, refs[0]);
    assert_false(drain_classes(conninfo, root, NULL, warning));
    load_lines(pg, output, true);
    assert_int_equal(sql_number(pg, described), 0);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM lines WHERE n = 1 AND"
                                    " line->'classes' = '[\"newt.Root\"]'"),
                     1);
    assert_true(drain_classes(conninfo, root, item, warning));
    remove_described(c, refs[1]);
    assert_true(drain_classes(conninfo, item, NULL, "forget the follower and remove the file"));
    load_lines(pg, output, true);
    assert_int_equal(sql_number(pg, described), 1);
    sql_do(pg, "DELETE FROM newt_follower");
    unlink(output);
    assert_false(drain_classes(conninfo, root, item, warning));
    assert_false(drain_classes(conninfo, item, root, warning));
    load_lines(pg, output, true);
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'op' = 'write'"), 4);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- outputs in trouble -------------------------------------------------------------------- */

/* How often it has said something. */
static int
times_said(const updater *u, const char *what)
{
    static char text[1 << 20];
    int n = 0;
    updater_said(u, text, sizeof text);
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* What will not be there by waiting: an error at once with --once, else it is waited for. */
static void
test_nowhere(void **state)
{
    (void)state;
    char conninfo[64], option[96];
    updater u;
    PGconn *pg = make_database("sinks_nowhere", true, conninfo);
    make_store(conninfo, "public");
    unlink(output);
    snprintf(option, sizeof option, "--output=%s/lines", output);
    updater_start(&u, "--once", "--sink=ndjson", option, conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "No such file or directory");
    updater_forget(&u, status != 1 || !said);
    assert_int_equal(status, 1);
    assert_true(said);
    updater_start(&u, "--sink=ndjson", option, conninfo, NULL);
    wait_until(updater_says(&u, "retry_in_ms"));
    assert_int_equal(mkdir(output, 0700), 0);
    wait_until(updater_says(&u, "the output is written again"));
    updater_stop(&u);
    snprintf(option, sizeof option, "%s/lines", output);
    unlink(option);
    rmdir(output);
    PQfinish(pg);
}

/* A FIFO without a reader, with one that goes away and comes again, and a stop in between. */
static void
test_fifo(void **state)
{
    (void)state;
    char conninfo[64], command[256], copy[96];
    item_ref refs[50];
    updater u;
    PGconn *pg = make_database("sinks_fifo", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 50);
    assert_int_equal(mkfifo(output, 0600), 0);
    snprintf(copy, sizeof copy, "%s.copy", output);
    updater_start(&u, "--sink=ndjson", output_option, conninfo, NULL);
    wait_until(updater_says(&u, "nobody reads from"));
    updater_stop(&u); /* also while it waits */
    updater_start(&u, "--sink=ndjson", output_option, conninfo, NULL);
    for (int k = 0; k < 4; k++) {
        /* a reader that takes some lines, and not a byte more */
        snprintf(command, sizeof command,
                 "bash -c 'for ((n = %d; n > 0; n--)); do IFS= read -r l || break; echo \"$l\";"
                 " done <%s >>%s'",
                 10 + k, output, copy);
        assert_int_equal(system(command), 0);
        make_items(c, refs, 50);
    }
    /* and one that stays */
    snprintf(command, sizeof command, "cat %s >>%s & echo $! >%s.pid", output, copy, output);
    assert_int_equal(system(command), 0);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg, "newt-ndjson") >= last);
    updater_stop(&u); /* the reader ends with it */
    snprintf(command, sizeof command,
             "while kill -0 $(cat %s.pid) 2>/dev/null; do :; done; rm %s.pid", output, output);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "sed -i '/^$/d' %s", copy);
    assert_int_equal(system(command), 0);
    load_lines(pg, copy, true);
    assert_int_equal(wrong_states(pg), 0);
    unlink(copy);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A device that is always full: it is said once, and nothing moves; then another output. */
static void
test_full(void **state)
{
    (void)state;
    char conninfo[64], conf[96], option[112], text[256];
    item_ref refs[50];
    updater u;
    PGconn *pg = make_database("sinks_full", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 50);
    snprintf(conf, sizeof conf, "%s.conf", output);
    snprintf(option, sizeof option, "--config=%s", conf);
    for (int k = 0; k < 2; k++) {
        FILE *f = fopen(conf, "w");
        fprintf(f, "connection = %s\nsink = ndjson\noutput = %s\nlog-format = json\n", conninfo,
                k ? output : "/dev/full");
        fclose(f);
        if (k) {
            kill(u.pid, SIGHUP);
            break;
        }
        updater_start(&u, option, NULL);
        wait_until(updater_says(&u, "No space left on device"));
        snprintf(text, sizeof text,
                 "SELECT count(*) FROM pg_stat_activity WHERE datname ="
                 " current_database() AND application_name = 'newt-updater'");
        assert_int_equal(sql_number(pg, "%s", text), 1);
        assert_int_equal(position(pg, "newt-ndjson"),
                         sql_number(pg, "SELECT max(tid) FROM transaction"));
        assert_int_equal(sql_number(pg, "SELECT copied FROM newt_follower"), 0);
        assert_int_equal(times_said(&u, "No space left on device"), 1);
    }
    wait_until(sql_number(pg, "SELECT count(*) FROM newt_follower WHERE copied IS NULL") == 1);
    updater_stop(&u);
    load_lines(pg, output, true);
    assert_lines(pg);
    unlink(conf);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_OUTPUT(test_moved_while_it_writes),
        WITH_OUTPUT(test_classes_and_pipes),
        WITH_OUTPUT(test_other_classes),
        WITH_OUTPUT(test_nowhere),
        WITH_OUTPUT(test_fifo),
        WITH_OUTPUT(test_full),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("outputs", tests, NULL, NULL);
}
