/*
 * dumped.c - a store that is dumped and restored into another cluster, with its followers:
 * complete, they go on there; older than the file of lines, that begins again with a copy, and says
 * why
 *
 * The other cluster is a private server of its own, in which this program runs once more.
 */
#include "../daemon/followers.h"

static void
make_some(const char *conninfo, item_ref *refs, int n)
{
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    make_items(c, refs, n);
    make_items(c, refs, n);
    assert_newt(c, newt_begin(c));
    struct item *o = item_write(c, refs[0]);
    assert_non_null(o);
    o->n += 1000;
    assert_newt(c, newt_delete(c, refs[1].any));
    assert_newt(c, newt_commit(c));
    newt_close(c);
    newt_db_close(db);
}

static void
dump(const char *database, const char *file)
{
    char command[512];
    snprintf(command, sizeof command,
             "pg_dump --format=custom --schema=public --file='%.60s' %.40s", file, database);
    assert_int_equal(system(command), 0);
}

/* ---- in the other cluster ---------------------------------------------------------------- */

static char dumps[2][64], lines[2][64]; /* files */
static const char *const databases[2] = {"dumped_complete", "dumped_older"};

static void
restored(int older)
{
    const char *database = databases[older];
    followers f = {0};
    char command[512];
    item_ref refs[20];
    PGconn *pg = sql_open("newt");
    sql_do(pg, "CREATE DATABASE %s", database);
    PQfinish(pg);
    snprintf(f.database, sizeof f.database, "%s", database);
    snprintf(f.conninfo, sizeof f.conninfo, "dbname=%s", database);
    strcpy(f.to, f.conninfo);
    f.pg = sql_open(database);
    sql_do(f.pg, "DROP SCHEMA public; CREATE EXTENSION newt");
    snprintf(command, sizeof command, "pg_restore --exit-on-error --dbname=%s '%s'", database,
             dumps[older]);
    assert_int_equal(system(command), 0);
    snprintf(f.output, sizeof f.output, "%s", lines[older]);
    snprintf(f.output_option, sizeof f.output_option, "--output=%s", lines[older]);
    make_some(f.conninfo, refs, 20); /* before the followers come */
    start_followers(&f);
    wait_for_followers(&f);
    make_some(f.conninfo, refs, 20);
    wait_for_followers(&f);
    bool over = updater_says(&f.u[LINES], "starting over with a copy of all objects");
    if (older) {
        assert_true(over);
        assert_true(updater_says(&f.u[LINES], "NEWT_EMISSING"));
        assert_true(updater_says(&f.u[LINES], "Another history has taken its place"));
    } else {
        assert_false(over);
    }
    for (int k = 0; k < FOLLOWERS; k++)
        assert_false(k != LINES && updater_says(&f.u[k], "starting over"));
    stop_followers(&f);
    assert_followed(&f, !older);
    assert_int_equal(wrong_own(f.pg, true), 0);
    PQfinish(f.pg);
}

static void
test_restored_complete(void **state)
{
    (void)state;
    restored(0);
}

static void
test_restored_older(void **state)
{
    (void)state;
    restored(1);
}

static int
in_the_other(char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restored_complete),
        cmocka_unit_test(test_restored_older),
    };
    for (int i = 0; i < 2; i++) {
        snprintf(dumps[i], sizeof dumps[i], "%s", argv[2 + i]);
        snprintf(lines[i], sizeof lines[i], "%s", argv[4 + i]);
    }
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    return cmocka_run_group_tests_name("restored", tests, NULL, NULL);
}

/* ---- in this one ------------------------------------------------------------------------- */

/* A store whose followers have ended, some transactions before its own end, and its dump. */
static void
make_dump(followers *f, int older, char *file)
{
    item_ref refs[20];
    close(mkstemp(file));
    open_followers(f, databases[older]);
    start_followers(f);
    make_some(f->conninfo, refs, 20);
    wait_for_followers(f);
    make_some(f->conninfo, refs, 20);
    wait_for_followers(f);
    if (older) {
        dump(f->database, file);
        make_some(f->conninfo, refs, 5); /* the file has it, the dump has not */
        wait_for_followers(f);
    }
    stop_followers(f);
    make_some(f->conninfo, refs, 5); /* nobody has seen it */
    if (!older)
        dump(f->database, file);
}

static void
test_dumped(void **state)
{
    (void)state;
    followers f[2];
    char file[2][24] = {"/tmp/newt-dump.XXXXXX", "/tmp/newt-dump.XXXXXX"}, self[256], command[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int status;
    assert_true(n > 0);
    self[n] = 0;
    for (int i = 0; i < 2; i++)
        make_dump(&f[i], i, file[i]);
    snprintf(command, sizeof command,
             "dev/private-server --no-fsync -- '%s' restored %s %s %s %s 2>&1 | sed 's/^/# /';"
             " exit $((PIPESTATUS[0]))",
             self, file[0], file[1], f[0].output, f[1].output);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "-c", command, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < 2; i++) {
        unlink(file[i]);
        close_followers(&f[i]);
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dumped),
    };
    follower_main(argc, argv);
    if (argc > 5 && strcmp(argv[1], "restored") == 0)
        return in_the_other(argv);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dumped", tests, NULL, NULL);
}
