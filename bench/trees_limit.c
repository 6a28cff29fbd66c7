/*
 * trees_limit.c - trees of many entries: the limit's side, with libpq alone
 *
 *     trees_limit bulk SCHEMA N     writes the records of the tree that bench/trees has made in
 * that schema into a table as theirs, by COPY, in one transaction trees_limit scan SCHEMA N     the
 * same entries as rows, in the order of their keys
 */
#include "copy.h"
#include "tree_keys.h"

/* Everything of the tree, as it is stored. */
static void
bulk(PGconn *pg, int64_t n, const char *class_name, const char *operation)
{
    char sql[256];
    bytes b = {0};
    snprintf(sql, sizeof sql,
             "SELECT zoid, serial, state FROM object_state"
             " WHERE substring(state, 1, 7) = '\\x8365'::bytea || '%s'::bytea ORDER BY zoid",
             class_name);
    PGresult *r = PQexecParams(pg, sql, 0, NULL, NULL, NULL, NULL, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0, "records");
    run(pg, "DROP TABLE IF EXISTS bare");
    run(pg, "CREATE TABLE bare (LIKE object_state INCLUDING ALL)");
    double began = now();
    run(pg, "BEGIN");
    copy_begin(pg, &b, "COPY bare FROM STDIN (FORMAT binary)");
    for (int i = 0; i < PQntuples(r); i++) {
        put_number(&b, 3, 2);
        for (int column = 0; column < 3; column++) {
            put_number(&b, (uint64_t)PQgetlength(r, i, column), 4);
            put(&b, PQgetvalue(r, i, column), (size_t)PQgetlength(r, i, column));
        }
        if (b.n > 1 << 16) {
            check(pg, PQputCopyData(pg, (char *)b.data, (int)b.n) == 1, "COPY");
            b.n = 0;
        }
    }
    copy_end(pg, &b);
    run(pg, "COMMIT");
    report(operation, (double)n / (now() - began), "entries/s");
    PQclear(r);
}

static void
scan(PGconn *pg, int64_t n)
{
    char sql[256];
    int64_t sum = 0;

    run(pg, "CREATE TABLE rows (key text COLLATE \"C\" PRIMARY KEY, value bigint)");
    snprintf(sql, sizeof sql,
             "INSERT INTO rows SELECT 'entry ' || lpad(i::text, 10, '0'), i + 1"
             " FROM generate_series(0, %lld) i",
             (long long)n - 1);
    run(pg, sql);
    run(pg, "VACUUM ANALYZE rows");
    double began = now();
    check(pg,
          PQsendQueryParams(pg, "SELECT key, value FROM rows ORDER BY key", 0, NULL, NULL, NULL,
                            NULL, 1) == 1,
          "scan");
    PGresult *r = PQgetResult(pg);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == n, "scan");
    for (int i = 0; i < PQntuples(r); i++)
        sum += PQgetlength(r, i, 0) + PQgetvalue(r, i, 1)[7];
    PQclear(r);
    report("tree_scan", (double)n / (now() - began), "entries/s");
    if (sum == 0 || PQgetResult(pg) != NULL)
        give_up("scan", "other rows");
}

int
main(int argc, char **argv)
{
    int64_t n = argc == 4 ? atoll(argv[3]) : 0;

    if (n < TREE_PER_COMMIT)
        give_up("usage", "trees_limit bulk|scan SCHEMA N");
    PGconn *pg = dial(argv[2]);
    if (strcmp(argv[1], "bulk") == 0)
        bulk(pg, n, "Names", "tree_bulk"), bulk(pg, n, "Large", "tree_bulk_4000");
    else
        scan(pg, n);
    PQfinish(pg);
    return 0;
}
