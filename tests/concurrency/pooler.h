/*
 * pooler.h - a PgBouncer in transaction mode in front of the private server
 */
#ifndef NEWT_TESTS_POOLER_H
#define NEWT_TESTS_POOLER_H

#include "crowd.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

typedef struct pooler {
    char dir[64], uri[256];
    pid_t pid;
} pooler;

/* It does not run as root, so root gives it to whom the server belongs to. */
static const struct passwd *
pooler_user(void)
{
    const char *name = getenv("NEWT_PG_OSUSER");

    return geteuid() == 0 ? getpwnam(name ? name : "postgres") : NULL;
}

static void
pooler_run(const char *ini)
{
    const struct passwd *user = pooler_user();

    if (user && (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
                 setuid(user->pw_uid) != 0))
        child_fails("cannot become %s: %s", user->pw_name, strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* which the change of user has taken back */
    freopen("/dev/null", "w", stderr);
    execlp("pgbouncer", "pgbouncer", "-q", ini, (char *)NULL);
    execl("/usr/sbin/pgbouncer", "pgbouncer", "-q", ini, (char *)NULL);
    _exit(127);
}

static bool
pooler_answers(const pooler *p)
{
    PGconn *pg = PQconnectdb(p->uri);
    bool ok = PQstatus(pg) == CONNECTION_OK;
    int status;

    PQfinish(pg);
    if (!ok && waitpid(p->pid, &status, WNOHANG) == p->pid)
        fail_msg("pgbouncer ended with status %d; its log is in %s", status, p->dir);
    return ok;
}

/* With this many server connections, to the database of the tests. */
UNUSED static void
pooler_start(pooler *p, int servers)
{
    char path[128];
    FILE *f;

    strcpy(p->dir, "/tmp/newt_pooler_XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(chmod(p->dir, 0755), 0);
    if (pooler_user())
        assert_int_equal(chown(p->dir, pooler_user()->pw_uid, pooler_user()->pw_gid), 0);
    snprintf(path, sizeof path, "%s/ini", p->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "[databases]\n* = host=%s port=%s user=%s\n[pgbouncer]\npool_mode = transaction\n"
            "default_pool_size = %d\nmax_client_conn = 100\nauth_type = any\nlisten_port = 5432\n"
            "unix_socket_dir = %s\nlogfile = %s/log\nserver_login_retry = 1\n",
            getenv("PGHOST"), getenv("PGPORT"), getenv("PGUSER"), servers, p->dir, p->dir);
    fclose(f);
    snprintf(p->uri, sizeof p->uri, "postgresql:///%s?host=%s&port=5432&user=%s", test_database,
             p->dir, getenv("PGUSER"));
    p->pid = fork_child();
    if (p->pid == 0)
        pooler_run(path);
    wait_until(pooler_answers(p));
}

UNUSED static void
pooler_stop(pooler *p)
{
    static const char *const files[] = {"ini", "log", ".s.PGSQL.5432"};
    char path[128];

    kill(p->pid, SIGTERM);
    waitpid(p->pid, NULL, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", p->dir, files[i]);
        unlink(path);
    }
    rmdir(p->dir);
}

#endif
