/*
 * monitoring.c - what tells how newt-updater is: metrics in a file and by HTTP, the Nagios plugin,
 * the service manager's protocol; and the dashboard asks for metrics that there are
 */
#define _GNU_SOURCE /* memmem */
#include "daemon.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- scraping ---------------------------------------------------------------------------- */

static int
connect_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

static int
connect_port(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

/* What is answered to a request, head and all. */
static char *
ask(int fd, const char *request, char *out, size_t n)
{
    size_t got = 0;
    assert_true(fd >= 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (ssize_t r; got + 1 < n && (r = read(fd, out + got, n - 1 - got)) > 0;)
        got += (size_t)r;
    out[got] = 0;
    close(fd);
    return out;
}

static char *
read_file(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "r");
    out[0] = 0;
    if (f) {
        out[fread(out, 1, n - 1, f)] = 0;
        fclose(f);
    }
    return out;
}

/* The value of a metric; -1: it is not there. */
static double
value(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, n) == 0 && line[n] == '{')
            return atof(strchr(line, '}') + 1);
    return -1;
}

/* Every line is as the format wants it, and every metric has its type. */
static void
assert_format(const char *text)
{
    char copy[32768], type[64] = "";
    snprintf(copy, sizeof copy, "%s", text);
    assert_true(*text);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        if (strncmp(line, "# HELP newt_", 12) == 0)
            continue;
        if (sscanf(line, "# TYPE %63s", type) == 1) {
            assert_true(strstr(line, " gauge") || strstr(line, " counter"));
            assert_int_equal(strstr(line, " counter") != NULL, strstr(type, "_total") != NULL);
            continue;
        }
        if (strncmp(line, type, n) != 0 || strlen(type) != n)
            fail_msg("%s: has no type", line);
        assert_non_null(strstr(line, "{store=\"public\",follower=\"newt-updater\""));
        char *end, *number = strrchr(line, ' ') + 1;
        (void)!strtod(number, &end);
        assert_int_equal(*end, 0);
    }
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void
test_metrics(void **state)
{
    (void)state;
    char conninfo[64], text[32768], other[32768], directory[] = "/tmp/newt-status.XXXXXX", file[64],
                                                  socket_path[64], status_option[96],
                                                  listen_option[96];
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    updater u;
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/newt.prom", directory);
    snprintf(socket_path, sizeof socket_path, "%s/s", directory);
    snprintf(status_option, sizeof status_option, "--status-file=%s", file);
    snprintf(listen_option, sizeof listen_option, "--listen=unix:%s", socket_path);
    PGconn *pg = make_database("monitoring", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[20];
    make_items(c, refs, 20);
    updater_start(&u, status_option, listen_option, conninfo, NULL);
    wait_until(value(read_file(file, text, sizeof text), "newt_position_tid") > 1e15);
    make_items(c, refs, 20);
    wait_until(value(read_file(file, text, sizeof text), "newt_objects_total") >= 40);
    assert_format(text);
    assert_true(value(text, "newt_active") == 1);
    assert_true(value(text, "newt_retained_transactions") >= 0);
    assert_true(value(text, "newt_transactions_total") >= 1);
    assert_true(value(text, "newt_copies_total") == 1);
    assert_true(updater_says(&u, "all objects have been copied (objects: 21, seconds: 0"));
    wait_until(value(read_file(file, text, sizeof text), "newt_lag_seconds") == 0);
    /* the same by HTTP; and nothing else */
    ask(connect_unix(socket_path), get, other, sizeof other);
    assert_non_null(strstr(other, "HTTP/1.0 200 OK\r\n"));
    assert_format(strstr(other, "\r\n\r\n") + 4);
    assert_non_null(strstr(
        ask(connect_unix(socket_path), "GET / HTTP/1.0\r\n\r\n", other, sizeof other), "404"));
    assert_non_null(strstr(
        ask(connect_unix(socket_path), "POST /metrics HTTP/1.0\r\n\r\n", other, sizeof other),
        "405"));
    /* clients that say nothing, or too much, are in nobody's way */
    int slow[30];
    for (int i = 0; i < 30; i++) {
        slow[i] = connect_unix(socket_path);
        assert_true(slow[i] >= 0);
        if (i % 3 == 0)
            (void)!send(slow[i], "GET /met", 8, MSG_NOSIGNAL);
    }
    double asked = now();
    ask(connect_unix(socket_path), get, other, sizeof other);
    assert_format(strstr(other, "\r\n\r\n") + 4);
    assert_true(now() - asked < 4);
    int64_t last = sql_number(pg, "SELECT max(tid) FROM transaction");
    wait_until(sql_number(pg, "SELECT tid FROM newt_follower") >= last);
    for (int i = 0; i < 30; i++)
        close(slow[i]);
    /* whoever holds the commit lock */
    PGconn *holder = sql_open("monitoring");
    sql_do(holder, "BEGIN; LOCK newt_commit_lock IN EXCLUSIVE MODE");
    wait_until((int)value(read_file(file, text, sizeof text), "newt_commit_lock_holder_pid") ==
               PQbackendPID(holder));
    PQfinish(holder);
    updater_stop(&u);
    assert_true(value(read_file(file, text, sizeof text), "newt_active") == 0);
    assert_int_not_equal(access(socket_path, F_OK), 0);
    unlink(file);
    assert_int_equal(rmdir(directory), 0); /* nothing else is left there */
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A standby shows how far the one that works is behind: by the oldest transaction, not the newest.
 */
static void
test_lag(void **state)
{
    (void)state;
    char conninfo[64], text[32768], file[] = "/tmp/newt-lag.XXXXXX", option[96];
    newt_feed_options o = {.size = sizeof o, .follower = "newt-updater", .kind = "projection"};
    const newt_batch *b;
    newt_feed *f;
    updater u;
    close(mkstemp(file));
    snprintf(option, sizeof option, "--status-file=%s", file);
    PGconn *pg = make_database("monitoring_lag", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db), *follower = open_conn(db);
    item_ref refs[2];
    assert_newt(follower, newt_feed_open(follower, &f, &o));
    assert_newt(follower, newt_feed_next(f, 0, &b)); /* this program is the one */
    for (int i = 0; i < 3; i++)
        make_items(c, refs, 2);
    /* an hour, two hours and three hours old */
    sql_do(pg, "UPDATE transaction t SET tid = t.tid - 3600000000 * n FROM (SELECT tid,"
               " row_number() OVER (ORDER BY tid DESC) AS n FROM transaction) x"
               " WHERE x.tid = t.tid AND n <= 3;"
               "UPDATE transaction SET tid = tid - 36000000000 WHERE tid = (SELECT tid FROM"
               " newt_follower); UPDATE newt_follower SET tid = tid - 36000000000");
    updater_start(&u, option, "--max-pause=20", conninfo, NULL);
    wait_until(value(read_file(file, text, sizeof text), "newt_backlog_transactions") == 3);
    assert_true(value(text, "newt_active") == 0);
    double lag = value(text, "newt_lag_seconds");
    assert_true(lag >= 3 * 3600 && lag < 4 * 3600);
    assert_true(value(text, "newt_position_tid") ==
                (double)sql_number(pg, "SELECT tid FROM newt_follower"));
    assert_true(value(text, "newt_newest_tid") ==
                (double)sql_number(pg, "SELECT max(tid) FROM transaction"));
    newt_feed_close(f);
    wait_until(value(read_file(file, text, sizeof text), "newt_active") == 1 &&
               value(text, "newt_lag_seconds") == 0);
    updater_stop(&u);
    unlink(file);
    newt_close(c);
    newt_close(follower);
    newt_db_close(db);
    PQfinish(pg);
}

/* A copy whose reader is slow, so that it can be looked at. */
static void
test_copying(void **state)
{
    (void)state;
    char conninfo[64], text[32768], directory[] = "/tmp/newt-copying.XXXXXX", file[64], output[64],
                                    status_option[96], output_option[96];
    updater u;
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/newt.prom", directory);
    snprintf(output, sizeof output, "%s/fifo", directory);
    snprintf(status_option, sizeof status_option, "--status-file=%s", file);
    snprintf(output_option, sizeof output_option, "--output=%s", output);
    assert_int_equal(mkfifo(output, 0600), 0);
    PGconn *pg = make_database("monitoring_copying", true, conninfo);
    make_store(conninfo, "public");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    static item_ref refs[2000];
    make_items(c, refs, 2000);
    int fd = open(output, O_RDONLY | O_NONBLOCK);
    updater_start(&u, "--sink=ndjson", "--batch=50", status_option, output_option, conninfo, NULL);
    double until = now() + PATIENCE_S;
    bool seen = false, copies = true;
    for (char some[1024]; copies && now() < until;) {
        ssize_t n = read(fd, some, sizeof some);
        if (!seen || n <= 0)
            pause_ms(8);
        if (!seen && value(read_file(file, text, sizeof text), "newt_copying") == 1) {
            seen = true;
            assert_true(value(text, "newt_copied_oid") > 0);
        }
        copies = sql_number(pg, "SELECT count(*) FROM newt_follower WHERE copied IS NULL") == 0;
    }
    assert_true(seen);
    assert_false(copies);
    wait_until(value(read_file(file, text, sizeof text), "newt_copying") == 0);
    assert_true(value(text, "newt_copied_oid") == 0);
    updater_stop(&u);
    close(fd);
    unlink(output);
    unlink(file);
    assert_int_equal(rmdir(directory), 0);
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* A port; an address that is taken; and what the dashboard asks for is there. */
static void
test_dashboard(void **state)
{
    (void)state;
    char conninfo[64], text[32768], option[64];
    updater u, second;
    int port = 20000 + getpid() % 20000;
    PGconn *pg = make_database("monitoring_port", true, conninfo);
    make_store(conninfo, "public");
    snprintf(option, sizeof option, "--listen=127.0.0.1:%d", port);
    updater_start(&u, option, conninfo, NULL);
    wait_until(updater_says(&u, "following"));
    updater_start(&second, option, conninfo, NULL);
    assert_int_equal(updater_wait(&second), 2);
    assert_true(updater_says(&second, "cannot listen"));
    updater_forget(&second, false);
    ask(connect_port(port), "GET /metrics HTTP/1.0\r\n\r\n", text, sizeof text);
    updater_stop(&u);

    static char dashboard[1 << 17];
    read_file("docs/grafana/newt-updater.json", dashboard, sizeof dashboard);
    int names = 0, asked = 0;
    for (char *p = dashboard; (p = strstr(p, "\"expr\": \"")) != NULL;) {
        char *end = p += 9;
        while (*end != '"')
            end += 1 + (*end == '\\');
        for (char *name; (name = memmem(p, (size_t)(end - p), "newt_", 5)) != NULL; names++) {
            char line[128];
            size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
            snprintf(line, sizeof line, "\n%.*s{", (int)n, name);
            if (!strstr(text, line))
                fail_msg("the dashboard asks for %.*s", (int)n, name);
            p = name + n;
        }
        p = end;
        asked++;
    }
    /* and every metric is on it */
    for (char *p = text; (p = strstr(p, "# TYPE ")) != NULL;) {
        char name[64];
        assert_int_equal(sscanf(p, "# TYPE %63s", name), 1);
        if (!strstr(dashboard, name))
            fail_msg("the dashboard does not show %s", name);
        p += 7;
    }
    printf("# %d expressions with %d names\n", asked, names);
    assert_true(asked > 10);
    PQfinish(pg);
}

/* ---- Nagios ------------------------------------------------------------------------------ */

static void
expect(const char *conninfo, const char *limits, int status, const char *says)
{
    char option[64];
    updater u;
    snprintf(option, sizeof option, "--nagios=%s", limits);
    updater_start(&u, option, conninfo, NULL);
    int got = updater_wait(&u);
    char text[4096];
    updater_said(&u, text, sizeof text);
    size_t n = strlen(text);
    bool fine = got == status && strstr(text, says) && n > 0 && strchr(text, '\n') == text + n - 1;
    updater_forget(&u, !fine);
    if (!fine)
        printf("# expected %d and \"%s\", got %d and %s\n", status, says, got, text);
    assert_true(fine);
}

/* A follower that is slow: a transaction every few milliseconds. */
static void *
move_on(void *arg)
{
    PGconn *pg = sql_open("monitoring_nagios");
    while (!atomic_load((atomic_bool *)arg)) {
        sql_do(pg,
               "UPDATE newt_follower f SET tid = t.tid, serial = t.serial FROM (SELECT x.tid,"
               " x.serial FROM transaction x, newt_follower y WHERE x.tid > y.tid ORDER BY x.tid"
               " LIMIT 1) t");
        pause_ms(20);
    }
    PQfinish(pg);
    return NULL;
}

/* A copy that moves. */
static void *
copy_on(void *arg)
{
    PGconn *pg = sql_open("monitoring_nagios");
    while (!atomic_load((atomic_bool *)arg)) {
        sql_do(pg, "UPDATE newt_follower SET copied = copied + 1");
        pause_ms(20);
    }
    PQfinish(pg);
    return NULL;
}

/* A follower that copies is not up to date, although no transaction is waiting. */
static void
nagios_of_a_copy(const char *conninfo, PGconn *pg)
{
    pthread_t thread;
    atomic_bool stop = false;
    sql_do(pg, "UPDATE newt_follower SET copied = 1000");
    expect(conninfo, "60,300", 2, "is stuck, copying, up to oid 1000: is newt-updater running?");
    assert_int_equal(pthread_create(&thread, NULL, copy_on, &stop), 0);
    expect(conninfo, "60,300", 1, "NEWT WARNING - newt-updater is copying, up to oid 1");
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    sql_do(pg, "UPDATE newt_follower SET copied = NULL");
}

static void
test_nagios(void **state)
{
    (void)state;
    char conninfo[64];
    PGconn *pg = make_database("monitoring_nagios", true, conninfo);
    expect(conninfo, "60,300", 3, "NEWT UNKNOWN - ");
    expect("host=/nowhere dbname=x", "60,300", 2, "NEWT CRITICAL - ");
    make_store(conninfo, "public");
    expect(conninfo, "60,300", 2, "has never run | behind=");
    newt_db *db = open_db(conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    item_ref refs[20];
    make_items(c, refs, 20);
    drain_with(conninfo, "public", "newt-updater");
    /* nobody runs, the last transaction is old, and nothing is waiting: fine */
    sql_do(pg,
           "UPDATE transaction SET tid = tid - 86400000000, committed_at = committed_at - interval"
           " '1 day'; UPDATE newt_follower SET tid = tid - 86400000000");
    expect(conninfo, "0,0", 0,
           "is up to date | behind=0.000s;0;0;0; waiting=0;;;0; rejects=0;;;0;");
    /* behind, but not for long */
    make_items(c, refs, 1);
    expect(conninfo, "60,300", 0, "is behind by 1 transactions");
    /* behind for long, and nobody does anything about it */
    sql_do(pg, "UPDATE transaction SET tid = tid - 3600000000 WHERE tid = (SELECT max(tid) FROM"
               " transaction)");
    expect(conninfo, "60,30000", 2, "is stuck, behind by 1 transactions, 36");
    /* behind for long, and catching up */
    for (int i = 0; i < 400; i++)
        make_items(c, refs, 2);
    sql_do(pg, "UPDATE transaction SET tid = tid - 3600000000 WHERE tid > (SELECT tid FROM"
               " newt_follower)");
    pthread_t thread;
    atomic_bool stop = false;
    assert_int_equal(pthread_create(&thread, NULL, move_on, &stop), 0);
    expect(conninfo, "60,30000", 1, "NEWT WARNING - newt-updater is behind by ");
    expect(conninfo, "60,300", 2, "NEWT CRITICAL - newt-updater is behind by ");
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    drain_with(conninfo, "public", "newt-updater");
    expect(conninfo, "60,300", 0, "is up to date");
    nagios_of_a_copy(conninfo, pg);
    /* what it is about to say of rows that are refused */
    sql_do(pg, "INSERT INTO newt_reject_entry SELECT zoid, serial, 0, '{}', 'm', '23505', 'u' FROM"
               " object_state WHERE zoid > 1 LIMIT 3");
    expect(conninfo, "60,300", 0, "is up to date; the database refuses the rows of 3 objects |");
    newt_close(c);
    newt_db_close(db);
    PQfinish(pg);
}

/* ---- the service manager ------------------------------------------------------------------- */

/* What is sent next, or "" after ms without anything. */
static const char *
told(int fd, int ms, char *out, size_t n)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    out[0] = 0;
    if (poll(&p, 1, ms) > 0) {
        ssize_t got = recv(fd, out, n - 1, 0);
        out[got > 0 ? got : 0] = 0;
    }
    return out;
}

#define wait_told(fd, what) wait_until(strstr(told(fd, 100, text, sizeof text), what))

static void
test_service_manager(void **state)
{
    (void)state;
    char conninfo[64], text[1024], path[] = "/tmp/newt-notify.XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    updater u;
    PGconn *pg = make_database("monitoring_manager", true, conninfo);
    make_store(conninfo, "public");
    close(mkstemp(path));
    unlink(path);
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", "400000", 1);
    updater_start(&u, conninfo, NULL);
    wait_told(fd, "READY=1\nSTATUS=following");
    wait_told(fd, "WATCHDOG=1");
    wait_told(fd, "STATUS=following, 0.000 s behind");
    wait_told(fd, "WATCHDOG=1");
    /* its server stands still: so does the loop, and the manager hears nothing more */
    int pid = (int)sql_number(pg,
                              "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                              " AND application_name = 'newt-updater'");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    for (double quiet = now(); now() - quiet < 1;)
        if (*told(fd, 100, text, sizeof text))
            quiet = now();
    assert_int_equal(kill(pid, SIGCONT), 0);
    wait_told(fd, "WATCHDOG=1");
    /* a standby is ready, too */
    updater second;
    updater_start(&second, "--max-pause=20", conninfo, NULL);
    wait_told(fd, "READY=1\nSTATUS=standby");
    updater_stop(&second);
    wait_told(fd, "STOPPING=1");
    updater_stop(&u);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    close(fd);
    unlink(path);
    PQfinish(pg);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics), cmocka_unit_test(test_lag),
        cmocka_unit_test(test_copying), cmocka_unit_test(test_dashboard),
        cmocka_unit_test(test_nagios),  cmocka_unit_test(test_service_manager),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("monitoring", tests, NULL, NULL);
}
