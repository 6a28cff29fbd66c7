/*
 * lines.h - files of the sink ndjson, read into a table and compared with the store
 */
#ifndef NEWT_TESTS_LINES_H
#define NEWT_TESTS_LINES_H

#include "daemon.h"

/* Adds the lines of a file to the table lines; n keeps their order. */
UNUSED static void
load_lines(PGconn *pg, const char *path, bool first)
{
    char text[65536];
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    if (first)
        sql_do(pg, "DROP TABLE IF EXISTS lines;"
                   "CREATE UNLOGGED TABLE lines (n serial, line jsonb)");
    PGresult *r = PQexec(pg, "COPY lines (line) FROM STDIN (FORMAT csv, QUOTE E'\\x01',"
                             " DELIMITER E'\\x02')");
    assert_int_equal(PQresultStatus(r), PGRES_COPY_IN);
    PQclear(r);
    while ((n = fread(text, 1, sizeof text, f)) > 0)
        assert_int_equal(PQputCopyData(pg, text, (int)n), 1);
    fclose(f);
    assert_int_equal(PQputCopyEnd(pg, NULL), 1);
    r = PQgetResult(pg);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", path, PQerrorMessage(pg));
    PQclear(r);
    assert_null(PQgetResult(pg));
    sql_do(pg, "ANALYZE lines");
}

/* What the last lines of the objects say, of one class or of all (''), against the store. The
 * number that differ. */
UNUSED static int64_t
wrong_states(PGconn *pg)
{
    return sql_number(
        pg, "WITH copied AS (SELECT coalesce(max(n), 0) AS n FROM lines WHERE line->>'type' = "
            "'copy-begin' AND line->>'up_to' = '0'), last AS (SELECT DISTINCT ON (line->'oid') "
            "(line->>'oid')::bigint AS zoid,"
            "   line FROM lines, copied WHERE line ? 'oid' AND lines.n > copied.n"
            "   ORDER BY line->'oid', lines.n DESC)"
            "SELECT count(*) FROM (SELECT zoid, line FROM last WHERE line->>'op' = 'write') l"
            "  FULL JOIN object_state o USING (zoid)"
            " WHERE o.zoid IS NULL OR l.zoid IS NULL OR line ? 'superseded'"
            "    OR (line->>'serial')::bigint <> o.serial"
            "    OR line->>'class' <> newt.class_name(o.state)"
            "    OR line->'state' IS DISTINCT FROM newt.to_jsonb(o.state)");
}

/* Events of transactions after the last copy, expected, and those in the lines, got. */
#define EXPECTED_AND_GOT                                                                           \
    "WITH start AS (SELECT (line->>'tid')::bigint AS tid FROM lines"                               \
    "    WHERE line->>'type' = 'copy-end' ORDER BY n DESC LIMIT 1),"                               \
    " chunks AS (SELECT tid, written, removed FROM transaction WHERE written IS NOT NULL"          \
    "    UNION ALL SELECT t.tid, x.written, x.removed FROM transaction_object x"                   \
    "    JOIN transaction t USING (serial)),"                                                      \
    " events AS (SELECT tid, unnest(written) AS zoid, 'write' AS op FROM chunks"                   \
    "    UNION ALL SELECT tid, unnest(removed), 'remove' FROM chunks),"                            \
    " expected AS (SELECT * FROM events WHERE tid > (SELECT tid FROM start)),"                     \
    " got AS (SELECT (line->>'tid')::bigint, (line->>'oid')::bigint, line->>'op' FROM lines"       \
    "    WHERE line ? 'oid' AND (line->>'tid')::bigint > 0)"

/* Those that are not in the lines exactly once, or are there and not in the store. */
UNUSED static int64_t
wrong_events(PGconn *pg)
{
    return sql_number(pg, EXPECTED_AND_GOT
                      "SELECT (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE got) a)"
                      "     + (SELECT count(*) FROM (TABLE got EXCEPT ALL TABLE expected) b)");
}

/* Those that are not there at all. */
UNUSED static int64_t
missed_events(PGconn *pg)
{
    return sql_number(pg,
                      EXPECTED_AND_GOT "SELECT count(*) FROM (TABLE expected EXCEPT TABLE got) a");
}

/* Lines are in the order of transactions. */
UNUSED static int64_t
out_of_order(PGconn *pg)
{
    return sql_number(pg,
                      "SELECT count(*) FROM (SELECT (line->>'tid')::bigint AS tid,"
                      " lag((line->>'tid')::bigint) OVER (ORDER BY n) AS before FROM lines"
                      " WHERE line ? 'oid' AND (line->>'tid')::bigint > 0) x WHERE tid < before");
}

#define assert_lines(pg)                                                                           \
    do {                                                                                           \
        assert_int_equal(wrong_states(pg), 0);                                                     \
        assert_int_equal(wrong_events(pg), 0);                                                     \
        assert_int_equal(out_of_order(pg), 0);                                                     \
    } while (0)

#endif
