/*
 * derived_limit.c - who may see what: pages of objects, with libpq alone
 *
 *     derived_limit pages SCHEMA
 *         pages of 50 objects that any of 20 groups may view, of many users
 *
 *     derived_limit policy SCHEMA
 *         the same page by a condition, and under row-level security; in turns
 *
 *     derived_limit patch SCHEMA
 *         newt.patch of an object, and UPDATE of a row with the same indexes; in turns
 *
 * The tree is that of bench/derived, with derived columns "pages" whose principals are "view".
 */
#include "server.h"

enum {
    GROUPS = 1024, /* of bench/derived */
    OF_USER = 20,
    PAGE = 50,
    USERS = 200
};

/* The groups of user number i: '{group17,...}'. */
static void
groups_of(char *out, size_t size, int i)
{
    uint64_t random = (uint64_t)i * 0x9E3779B97F4A7C15u + 1;
    size_t n = 0;

    for (int k = 0; k < OF_USER; k++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        n += (size_t)snprintf(out + n, size - n, "%cgroup%d", k ? ',' : '{',
                              (int)((random >> 33) % GROUPS));
    }
    snprintf(out + n, size - n, "}");
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static PGresult *
ask(PGconn *pg, const char *name, const char *groups, const char *after)
{
    const char *values[] = {groups, after};
    PGresult *r = PQexecPrepared(pg, name, groups ? 2 : 0, values, NULL, NULL, 0);

    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK, name);
    return r;
}

/* The first page of each user, and one in the middle of the store. */
static void
pages(PGconn *pg, const char *schema)
{
    double took[2 * USERS];
    char sql[512], groups[OF_USER * 12], middle[24];
    int n = 0, rows = 0;

    snprintf(sql, sizeof sql, "SELECT newt.can('%s', 'view', $1::text[], %d, $2::bigint)", schema,
             PAGE);
    PQclear(PQprepare(pg, "can", sql, 0, NULL));
    PGresult *r = PQexec(pg, "SELECT max(zoid) / 2 FROM pages");
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK, "middle");
    snprintf(middle, sizeof middle, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    for (int i = -WARM_UP; i < USERS; i++)
        for (int k = 0; k < 2; k++) {
            groups_of(groups, sizeof groups, i);
            double began = now();
            r = ask(pg, "can", groups, k ? middle : "0");
            if (i >= 0) {
                took[n++] = (now() - began) * 1000;
                rows += PQntuples(r);
            }
            PQclear(r);
        }
    check(pg, rows > 0, "nobody sees anything");
    qsort(took, (size_t)n, sizeof *took, by_size);
    report("derived_page", took[n / 2], "ms");
    report("derived_page_p95", took[n * 95 / 100], "ms");
    report("derived_page_longest", took[n - 1], "ms");
}

/* The first page of some users: that of newt.can(), and that of a role which has their groups. */
static void
policy(PGconn *pg, const char *schema)
{
    enum {
        SOME = 40,
        TIMES = 5
    };
    char sql[1024], groups[OF_USER * 12];
    double took[2][SOME];
    PGconn *role = dial(schema);

    run(role, "SET ROLE bench_report");
    PQclear(
        PQprepare(role, "policy", "SELECT zoid, title FROM pages ORDER BY zoid LIMIT 50", 0, NULL));
    snprintf(sql, sizeof sql,
             "SELECT p.zoid, p.title FROM newt.can('%s', 'view', $1::text[], 50, $2::bigint) c"
             " JOIN pages p ON p.zoid = c ORDER BY p.zoid",
             schema);
    PQclear(PQprepare(pg, "can join", sql, 0, NULL));
    for (int i = 0; i < SOME; i++) {
        int rows[2] = {0};

        groups_of(groups, sizeof groups, i);
        run(pg, "DELETE FROM newt_role_principal");
        snprintf(sql, sizeof sql,
                 "SELECT newt.grant_principals('%s', 'bench_report', VARIADIC '%s'::text[])",
                 schema, groups);
        run(pg, sql);
        for (int side = 0; side < 2; side++) {
            double began = 0;

            for (int k = 0; k <= TIMES; k++) { /* the first one fetches pages of the table */
                if (k == 1)
                    began = now();
                PGresult *r = side ? ask(pg, "can join", groups, "0")
                                   : ask(role, "policy", NULL, NULL);
                rows[side] = PQntuples(r);
                PQclear(r);
            }
            took[side][i] = (now() - began) * 1000 / TIMES;
        }
        check(pg, rows[0] == rows[1], "a role sees another page than newt.can() gives");
    }
    for (int side = 0; side < 2; side++)
        qsort(took[side], SOME, sizeof *took[side], by_size);
    report("derived_policy", took[0][SOME / 2], "ms");
    report("derived_policy_p95", took[0][SOME * 95 / 100], "ms");
    printf("limit:");
    report("derived_policy", took[1][SOME / 2], "ms");
    printf("limit:");
    report("derived_policy_p95", took[1][SOME * 95 / 100], "ms");
    PQfinish(role);
}

/* The titles of pages. */
static void
patch(PGconn *pg, const char *schema)
{
    static const char *const statements[] = {
        [0] =
            "SELECT newt.patch(current_schema, $1::bigint, jsonb_build_object('title', $2::text))",
        [1] = "UPDATE plain SET title = $2::text WHERE zoid = $1::bigint",
    };
    int64_t n = tx1_transactions();
    double spent[2] = {0};
    char oid[24], title[32];

    (void)schema;
    run(pg, "DROP TABLE IF EXISTS plain");
    run(pg, "CREATE TABLE plain AS SELECT zoid, class_name, state->>'title' AS title,"
            " newt.ref(state, 'within') AS within, newt.ref(state, 'owner') AS owner"
            " FROM newt_projection WHERE class_name = 'Page'");
    run(pg, "ALTER TABLE plain ADD PRIMARY KEY (zoid)");
    run(pg, "CREATE INDEX ON plain (title)");
    run(pg, "CREATE INDEX IF NOT EXISTS page_title ON newt_projection ((newt.string(state, "
            "'title')))");
    run(pg, "VACUUM ANALYZE");
    PGresult *pages = PQexec(pg, "SELECT zoid FROM plain ORDER BY zoid");
    check(pg, PQresultStatus(pages) == PGRES_TUPLES_OK && PQntuples(pages) > 0, "pages");
    PQclear(PQprepare(pg, "0", statements[0], 0, NULL));
    PQclear(PQprepare(pg, "1", statements[1], 0, NULL));
    for (int64_t i = 0; i < n + WARM_UP; i += WARM_UP)
        for (int side = 0; side < 2; side++) {
            double began = now();
            for (int64_t j = i; j < i + WARM_UP; j++) {
                const char *values[] = {oid, title};

                snprintf(oid, sizeof oid, "%s",
                         PQgetvalue(pages, (int)(j * STEP % PQntuples(pages)), 0));
                snprintf(title, sizeof title, "Page %lld", (long long)(j + first_revision()));
                PGresult *r = PQexecPrepared(pg, side ? "1" : "0", 2, values, NULL, NULL, 0);
                check(pg, PQresultStatus(r) == (side ? PGRES_COMMAND_OK : PGRES_TUPLES_OK),
                      statements[side]);
                PQclear(r);
            }
            if (i > 0)
                spent[side] += now() - began;
        }
    report("patch", (double)n / spent[0], "tx/s");
    printf("limit:");
    report("patch", (double)n / spent[1], "tx/s");
    PQclear(pages);
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        give_up("usage", "derived_limit pages | policy | patch SCHEMA");
    PGconn *pg = dial(argv[2]);
    if (strcmp(argv[1], "pages") == 0)
        pages(pg, argv[2]);
    else if (strcmp(argv[1], "policy") == 0)
        policy(pg, argv[2]);
    else if (strcmp(argv[1], "patch") == 0)
        patch(pg, argv[2]);
    else
        give_up("usage", "derived_limit pages | policy | patch SCHEMA");
    PQfinish(pg);
    return 0;
}
