/*
 * start_limit.c - a process that connects, reads one row and ends, with libpq alone; and what
 * measures such processes
 *
 *     start_limit read SCHEMA                      the process; BENCH_URI: another way to the
 * database start_limit times NAME N SCHEMA|- COMMAND... how long COMMAND takes, the median of N
 * times, from its start to its end; SCHEMA: no class is registered there when it starts
 *
 * The process prints how many round trips it took and how many messages it sent, those of the
 * connection's beginning and end included.
 */
#include "server.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static void
read_one(const char *schema)
{
    char sql[256];
    const char *uri = getenv("BENCH_URI");
    int64_t oid = FIRST_OID;
    uint8_t be[8];
    const char *value = (const char *)be;
    int length = sizeof be, format = 1;
    const Oid type = 20; /* bigint */
    PGconn *pg = PQconnectdb(uri ? uri : "");
    PGresult *r;
    check(pg, PQstatus(pg) == CONNECTION_OK, "connect");
    snprintf(sql, sizeof sql, "SELECT serial, state FROM \"%s\".object_state WHERE zoid = $1",
             schema);
    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)(oid >> (56 - 8 * i));
    r = PQexecParams(pg, sql, 1, &type, &value, &length, &format, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1, "read");
    PQclear(r);
    PQfinish(pg);
    printf("%lld %lld\n", (long long)on_wire.round_trips, (long long)on_wire.flushes);
}

/* Milliseconds of one process; what it prints. */
static double
run_once(char **command, double *round_trips, double *messages)
{
    posix_spawn_file_actions_t actions;
    char line[64] = "";
    int out[2], status;
    pid_t pid;
    double start;
    FILE *f;
    if (pipe(out) != 0)
        give_up("times", "no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    start = now();
    if (posix_spawn(&pid, command[0], &actions, NULL, command, environ) != 0)
        give_up(command[0], "cannot be started");
    close(out[1]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        give_up(command[0], "has failed");
    start = now() - start;
    posix_spawn_file_actions_destroy(&actions);
    f = fdopen(out[0], "r");
    if (!f || !fgets(line, sizeof line, f) || sscanf(line, "%lf %lf", round_trips, messages) != 2)
        give_up(command[0], "does not say how many round trips it took");
    fclose(f);
    return start * 1000;
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
times(const char *name, int n, const char *schema, char **command)
{
    enum {
        FIRST = 3 /* do not count */
    };
    bool forget = strcmp(schema, "-") != 0;
    double *ms = allocate((size_t)n, sizeof *ms), round_trips = 0, messages = 0;
    char figure[64];
    PGconn *pg = forget ? dial(schema) : NULL;
    for (int i = -FIRST; i < n; i++) {
        double took;
        if (forget)
            run(pg, "TRUNCATE newt_class");
        took = run_once(command, &round_trips, &messages);
        if (i >= 0)
            ms[i] = took;
    }
    if (forget)
        PQfinish(pg);
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    report(name, n % 2 ? ms[n / 2] : (ms[n / 2 - 1] + ms[n / 2]) / 2, "ms");
    snprintf(figure, sizeof figure, "%s_round_trips", name);
    report(figure, round_trips, "a process");
    snprintf(figure, sizeof figure, "%s_messages", name);
    report(figure, messages, "a process");
    free(ms);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "read") == 0)
        read_one(argv[2]);
    else if (argc >= 6 && strcmp(argv[1], "times") == 0 && atoi(argv[3]) > 0)
        times(argv[2], atoi(argv[3]), argv[4], argv + 5);
    else
        give_up("usage", "start_limit read SCHEMA, or times NAME N SCHEMA|- COMMAND...");
    return 0;
}
