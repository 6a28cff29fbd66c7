/*
 * sinks.c - both sinks under fire: killed at every step between fetch and commit while writers
 * work, moved files, positions that are lost, servers that crash, rows and lines that were tampered
 * with
 *
 * NEWT_SEED replays what is random; NEWT_SOAK has more rounds.
 */
#include "lines.h"
#include "writers.h"

static uint64_t seed;
static char output[64], output_option[96];

static int
make_output(void **state)
{
    (void)state;
    strcpy(output, "/tmp/newt-sinks.XXXXXX");
    close(mkstemp(output));
    unlink(output);
    snprintf(output_option, sizeof output_option, "--output=%s", output);
    return 0;
}

static int
remove_output(void **state)
{
    (void)state;
    unlink(output);
    unsetenv("NEWT_UPDATER_FAULT");
    return 0;
}

/* Everything that is committed is in the file when this returns. */
static void
drain_lines(const char *conninfo, const char *option)
{
    updater u;
    updater_start(&u, "--once", "--sink=ndjson", output_option, conninfo, option, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
}

/* The exit status of a check; what it says must have `says` in it. */
static int
check(const char *conninfo, const char *says, const char *option, const char *more)
{
    updater u;
    updater_start(&u, "--check", conninfo, option, more, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, says);
    updater_forget(&u, !said);
    assert_true(said);
    return status;
}

static int64_t
position(PGconn *pg, const char *name)
{
    return sql_number(pg, "SELECT tid FROM newt_follower WHERE name = '%s'", name);
}

/* ---- kills ----------------------------------------------------------------------------- */

static void
killed_at_every_step(const char *database, bool lines)
{
    static const char *const steps[] = {"fetch", "write", "apply", "sync", "commit", "committed"};
    int rounds = getenv("NEWT_SOAK") ? 20 : 2;
    char conninfo[64], fault[32];
    generate random;
    generate_init(&random, seed);
    PGconn *pg = make_database(database, true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    wait_until(atomic_load(&all.committed) > 20 || !crowd_well(&all));
    for (int k = 0; k < rounds; k++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            /* a batch is written at once, unless it is large, or several work at it */
            bool parts = strcmp(steps[i], "write") == 0;
            if (parts && lines)
                continue;
            updater u;
            snprintf(fault, sizeof fault, "%s:%d", steps[i],
                     1 + (int)generate_below(&random, parts ? 2 : 8));
            setenv("NEWT_UPDATER_FAULT", fault, 1);
            if (parts) /* all objects again, in parts */
                sql_do(
                    pg,
                    "DELETE FROM newt_follower; DELETE FROM newt_projection WHERE zoid %% 3 = 0");
            if (lines)
                updater_start(&u, "--interval=1", "--sink=ndjson", output_option,
                              generate_below(&random, 2) ? "--batch=3" : "--batch=50", conninfo,
                              NULL);
            else
                updater_start(&u, "--interval=1", "--workers=3", conninfo,
                              generate_below(&random, 2) && !parts ? "--batch=3" : "--batch=1000",
                              NULL);
            if (parts) { /* perhaps there are too few objects for parts */
                wait_until(position(pg, "newt-updater") > 0 || kill(u.pid, 0) != 0);
                kill(u.pid, SIGKILL);
            }
            int status = updater_wait(&u);
            updater_forget(&u, status != 128 + SIGKILL);
            assert_int_equal(status, 128 + SIGKILL);
        }
    crowd_stop(&all);
    unsetenv("NEWT_UPDATER_FAULT");
    printf("# %ld transactions\n", atomic_load(&all.committed));
    if (lines) {
        drain_lines(conninfo, NULL);
        load_lines(pg, output, true);
        assert_lines(pg);
        assert_int_equal(
            sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'copy-begin'"), 1);
        assert_int_equal(check(conninfo, "checked (", "--sink=ndjson", output_option), 0);
    } else {
        drain_with(conninfo, "public", "newt-updater");
        assert_exact(pg, "public");
        assert_int_equal(check(conninfo, "checked (", NULL, NULL), 0);
    }
    PQfinish(pg);
}

static void
test_projection_killed(void **state)
{
    (void)state;
    killed_at_every_step("sinks_projection", false);
}

static void
test_lines_killed(void **state)
{
    (void)state;
    killed_at_every_step("sinks_lines", true);
}

/* Many objects in one transaction: it comes in parts, and is whole or not there. */
static void
test_large_transaction_killed(void **state)
{
    (void)state;
    enum {
        N = 12000
    };
    static const char *const faults[] = {"fetch:7", "apply:12", "committed:20", "write:1"};
    static item_ref refs[N];
    char conninfo[64];
    PGconn *pg = make_database("sinks_large", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 10);
    drain_lines(conninfo, NULL);
    make_items(c, refs, N);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        updater u;
        setenv("NEWT_UPDATER_FAULT", faults[i], 1);
        /* write: one batch of more than a megabyte */
        updater_start(&u, "--once", "--sink=ndjson", output_option,
                      strcmp(faults[i], "write:1") == 0 ? "--batch=100000" : "--batch=500",
                      conninfo, NULL);
        int status = updater_wait(&u);
        updater_forget(&u, false);
        assert_true(status == 128 + SIGKILL || (strcmp(faults[i], "write:1") == 0 && status == 0));
    }
    unsetenv("NEWT_UPDATER_FAULT");
    drain_lines(conninfo, "--batch=77");
    load_lines(pg, output, true);
    assert_lines(pg);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A transaction that took its serial first commits last: it is followed last. */
static void
test_serials_out_of_order(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("sinks_order", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *first = open_conn(db), *second = open_conn(db);
    item_ref r1[1], r2[1];
    make_items(first, r1, 1); /* takes a block of serials, then the other */
    make_items(second, r2, 1);
    drain_lines(conninfo, NULL);
    for (int k = 0; k < 5; k++) {
        assert_newt(second, newt_begin(second));
        struct item *o = item_write(second, r2[0]);
        assert_non_null(o);
        o->n = 100 + k;
        assert_newt(second, newt_commit(second));
        drain_lines(conninfo, NULL);
        assert_newt(first, newt_begin(first));
        o = item_write(first, r1[0]);
        assert_non_null(o);
        o->n = k;
        assert_newt(first, newt_commit(first));
        drain_lines(conninfo, NULL);
    }
    assert_true(sql_number(pg,
                           "SELECT count(*) FROM (SELECT serial, lag(serial) OVER (ORDER BY tid)"
                           " AS before FROM transaction) x WHERE serial < before") > 3);
    load_lines(pg, output, true);
    assert_lines(pg);
    newt_close(first);
    newt_close(second);
    newt_db_close(db);
    PQfinish(pg);
}

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

/* ---- a position that is lost ------------------------------------------------------------- */

static void
test_starts_over(void **state)
{
    (void)state;
    char conninfo[64];
    item_ref refs[50];
    updater u;
    PGconn *pg = make_database("sinks_lost", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 50);
    drain_lines(conninfo, NULL);
    drain_with(conninfo, "public", "newt-updater");
    /* what the followers have not seen goes */
    assert_newt(c, newt_begin(c));
    assert_newt(c, newt_delete(c, refs[49].any));
    assert_newt(c, newt_commit(c));
    make_items(c, refs, 10);
    make_items(c, refs, 1);
    sql_do(pg, "DELETE FROM transaction WHERE tid < (SELECT max(tid) FROM transaction)");
    for (int lines = 0; lines < 2; lines++) {
        updater_start(&u, "--once", lines ? "--sink=ndjson" : "--sink=projection",
                      lines ? output_option : "--batch=7", conninfo, NULL);
        int status = updater_wait(&u);
        bool said = updater_says(&u, "NEWT_EMISSING") && updater_says(&u, "starting over");
        updater_forget(&u, !said);
        assert_int_equal(status, 0);
        assert_true(said);
    }
    assert_exact(pg, "public");
    load_lines(pg, output, true);
    assert_int_equal(wrong_states(pg), 0);
    assert_int_equal(
        sql_number(pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'copy-begin'"), 2);
    assert_int_equal(check(conninfo, "checked (", "--sink=ndjson", output_option), 0);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- crashes of the server --------------------------------------------------------------- */

/* Nothing is in the file that a crash has taken back. */
static void
test_server_crashes(void **state)
{
    (void)state;
    char conninfo[64];
    updater u;
    int rounds = getenv("NEWT_SOAK") ? 10 : 2;
    PGconn *pg = make_database("sinks_crash", true, conninfo);
    make_store(conninfo, "public");
    crowd all;
    crowd_start(&all, conninfo, seed);
    updater_start(&u, "--interval=1", "--sink=ndjson", output_option, conninfo, NULL);
    for (int k = 0; k < rounds; k++) {
        int64_t at = position(pg, "newt-ndjson");
        wait_until(position(pg, "newt-ndjson") > at + 1000 || !crowd_well(&all));
        PQfinish(pg);
        control_server("crash");
        wait_until(updater_says(&u, "retry_in_ms"));
        control_server("start");
        pg = sql_open("sinks_crash");
    }
    long seen = atomic_load(&all.committed);
    wait_until(atomic_load(&all.committed) > seen + 20 || !crowd_well(&all));
    crowd_stop(&all);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(position(pg, "newt-ndjson") >= last);
    updater_stop(&u);
    load_lines(pg, output, true);
    assert_lines(pg);
    PQfinish(pg);
}

/* ---- what --check finds ------------------------------------------------------------------ */

static void
test_check_finds(void **state)
{
    (void)state;
    char conninfo[64], text[4096], command[256];
    item_ref refs[20];
    updater u;
    PGconn *pg = make_database("sinks_check", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, 20);
    drain_with(conninfo, "public", "newt-updater");
    drain_lines(conninfo, NULL);
    assert_int_equal(check(conninfo, "objects: 21", NULL, NULL), 0);
    sql_do(pg, "UPDATE newt_projection SET state = state || '{\"n\": 77}' WHERE zoid = %lld",
           (long long)refs[3].any.oid);
    snprintf(text, sizeof text, "%lld", (long long)refs[3].any.oid);
    assert_int_equal(check(conninfo, text, NULL, NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 1", NULL, NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 1", "--class=Item", NULL), 4);
    assert_int_equal(check(conninfo, "wrong: 0", "--class=newt.Root", NULL), 0);
    sql_do(pg, "DELETE FROM newt_projection WHERE zoid = %lld", (long long)refs[4].any.oid);
    assert_int_equal(check(conninfo, "missing: 1", NULL, NULL), 4);
    /* a class that there is not */
    assert_int_equal(check(conninfo, "there is no class \"item\"", "--class=item", NULL), 1);
    updater_start(&u, "--check", "--sink=ndjson", output_option, "--class=item", conninfo, NULL);
    assert_int_equal(updater_wait(&u), 1);
    assert_true(updater_says(&u, "there is no class \"item\""));
    assert_true(updater_says(&u, "checked (objects: 0, "));
    updater_forget(&u, false);
    /* a line, and a later change that is no difference */
    assert_int_equal(check(conninfo, "wrong: 0", "--sink=ndjson", output_option), 0);
    assert_newt(c, newt_begin(c));
    struct item *o = item_write(c, refs[5]);
    assert_non_null(o);
    o->n = 1000;
    assert_newt(c, newt_commit(c));
    assert_int_equal(check(conninfo, "changed_later: 1", "--sink=ndjson", output_option), 0);
    snprintf(command, sizeof command, "sed -i 's/\"item 7\"/\"item 8\"/' %s", output);
    assert_int_equal(system(command), 0);
    assert_int_equal(check(conninfo, "wrong: 1", "--sink=ndjson", output_option), 4);
    snprintf(command, sizeof command, "sed -i '/\"oid\":%lld,/d' %s", (long long)refs[9].any.oid,
             output);
    assert_int_equal(system(command), 0);
    assert_int_equal(check(conninfo, "missing: 1", "--sink=ndjson", output_option), 4);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A copy that was interrupted, and whose file was renamed then, goes on in the next file: both are
 * one copy. */
static void
test_check_of_a_copy_in_two_files(void **state)
{
    (void)state;
    enum {
        N = 60
    };
    char conninfo[64], moved[80], moved_option[96];
    item_ref refs[N];
    updater u;
    PGconn *pg = make_database("sinks_two_files", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    snprintf(moved, sizeof moved, "%s.1", output);
    snprintf(moved_option, sizeof moved_option, "--output=%s", moved);
    make_items(c, refs, N);
    setenv("NEWT_UPDATER_FAULT", "committed:3", 1);
    updater_start(&u, "--once", "--sink=ndjson", "--batch=10", output_option, conninfo, NULL);
    assert_int_equal(updater_wait(&u), 128 + SIGKILL);
    updater_forget(&u, false);
    unsetenv("NEWT_UPDATER_FAULT");
    assert_int_equal(rename(output, moved), 0);
    drain_lines(conninfo, "--batch=10");
    load_lines(pg, output, true);
    assert_true(sql_number(pg, "SELECT line->>'up_to' FROM lines"
                               " WHERE line->>'type' = 'copy-begin'") > 1);
    updater_start(&u, "--check", "--sink=ndjson", moved_option, output_option, conninfo, NULL);
    int status = updater_wait(&u);
    bool said = updater_says(&u, "checked (objects: 61, missing: 0, wrong: 0, extra: 0");
    updater_forget(&u, status != 0 || !said);
    assert_int_equal(status, 0);
    assert_true(said);
    /* the second alone is a part */
    assert_int_equal(
        check(conninfo, "only the objects in them were compared", "--sink=ndjson", output_option),
        0);
    newt_close(c);
    newt_db_close(db);
    unlink(moved);
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

/* A follower's name is for one sink: another one under that name ends, and the first goes on. */
static void
test_name_of_another_sink(void **state)
{
    (void)state;
    char conninfo[64], text[65536];
    updater u;
    PGconn *pg = make_database("sinks_name", true, conninfo);
    make_store(conninfo, "public");
    drain_with(conninfo, "public", "newt-updater");
    for (int once = 0; once < 2; once++) {
        updater_start(&u, "--sink=ndjson", "--name=newt-updater", output_option, conninfo,
                      once ? "--once" : NULL, NULL);
        int status = updater_wait(&u);
        updater_said(&u, text, sizeof text);
        bool said = strstr(text, " error: ") && strstr(text, "projection") &&
                    strstr(text, "ndjson");
        updater_forget(&u, status != 1 || !said);
        assert_int_equal(status, 1);
        assert_true(said);
    }
    assert_int_equal(sql_number(pg, "SELECT count(*) FROM newt_follower WHERE kind = 'projection'"),
                     1);
    drain_with(conninfo, "public", "newt-updater");
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

/* A FIFO without a reader, with one that goes away and comes again, and a stop in between. */
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

#define WITH_OUTPUT(test) cmocka_unit_test_setup_teardown(test, make_output, remove_output)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_OUTPUT(test_projection_killed),
        WITH_OUTPUT(test_lines_killed),
        WITH_OUTPUT(test_large_transaction_killed),
        WITH_OUTPUT(test_serials_out_of_order),
        WITH_OUTPUT(test_moved_while_it_writes),
        WITH_OUTPUT(test_starts_over),
        WITH_OUTPUT(test_server_crashes),
        WITH_OUTPUT(test_check_finds),
        WITH_OUTPUT(test_check_of_a_copy_in_two_files),
        WITH_OUTPUT(test_classes_and_pipes),
        WITH_OUTPUT(test_other_classes),
        WITH_OUTPUT(test_name_of_another_sink),
        WITH_OUTPUT(test_nowhere),
        WITH_OUTPUT(test_fifo),
        WITH_OUTPUT(test_full),
    };
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sinks", tests, NULL, NULL);
}
