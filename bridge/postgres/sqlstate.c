/*
 * sqlstate.c - what the server reports, as an error: the one map from SQLSTATE to a status
 */
#include "sqlstate.h"

#include <stdlib.h>
#include <string.h>

/* The first entry that is a prefix of a SQLSTATE says what it is. What loses the connection is
 * NEWT_ELOST here; commit.c knows whether COMMIT had been sent. */
static const struct {
    const char *sqlstate;
    int status;
} sqlstates[] = {
    {"40001", NEWT_ECONFLICT}, /* serialization_failure; also raised by our own comparisons */
    {"40P01", NEWT_ECONFLICT}, /* deadlock_detected */
    {"08P01", NEWT_ESQL},      /* protocol_violation: a wrong number of parameters */
    {"08", NEWT_ELOST},        /* connection_exception */
    {"57P01", NEWT_ELOST},     /* admin_shutdown, also pg_terminate_backend */
    {"57P02", NEWT_ELOST},     /* crash_shutdown */
    {"57P03", NEWT_ELOST},     /* cannot_connect_now */
    {"57P05", NEWT_ELOST},     /* idle_session_timeout */
    {"23505", NEWT_EUNIQUE},   /* unique_violation; not of a table of ours, see fail_sql */
    {"23P01", NEWT_EUNIQUE},   /* exclusion_violation */
    {"25P03", NEWT_ELOST},     /* idle_in_transaction_session_timeout */
    {"", NEWT_ESQL},
};

/* Prefixes of SQLSTATEs that say nothing about the row being written. All others may be raised for
 * one row, those of a trigger's own choice included. */
static const char *const not_of_a_row[] = {
    "08", /* connection */
    "0A", /* feature not supported */
    "25", /* transaction state: read-only, failed */
    "26", /* prepared statement is missing */
    "28", /* authorization */
    "3D", /* database is missing */
    "3F", /* schema is missing */
    "40", /* rollback: serialization, deadlock; also raised by our own comparisons */
    "42", /* rights, and names that are missing */
    "53", /* resources: disk, memory, connections */
    "55", /* a lock that is not available */
    "57", /* cancelled, shut down */
    "58", /* system, as an I/O error */
    "F0", /* configuration file */
    "XX", /* internal, corrupted */
};

/* Something that a statement of the library's names is not there, not what it was, or not allowed.
 */
static const char *const outdated[] = {
    "0A000", /* a cached plan whose result has changed */
    "3F000", /* no such schema */
    "42501", /* rights */
    "42703", /* no such column */
    "42704", /* no such object */
    "42883", /* no such function */
    "42P01", /* no such table */
    "58P01", /* the extension's file */
};

/* Unique constraints over numbers that the library gives: what violates them is no value of the
 * application's. */
static const char *const own_constraints[] = {
    "object_state_pkey",      "newt_projection_pkey",    "transaction_pkey",
    "transaction_serial_key", "transaction_object_pkey", "newt_reject_entry_pkey",
};

static int
status_of_sqlstate(const char *sqlstate)
{
    size_t i = 0;

    while (strncmp(sqlstate, sqlstates[i].sqlstate, strlen(sqlstates[i].sqlstate)) != 0)
        i++;
    return sqlstates[i].status;
}

/* Other tables, in other schemas, may have constraints of the same names. */
static bool
is_own(const PGresult *result, const char *constraint, const char *store)
{
    const char *schema = PQresultErrorField(result, PG_DIAG_SCHEMA_NAME);

    if (!constraint || !store || !schema || strcmp(schema, store) != 0)
        return false;
    for (size_t i = 0; i < sizeof own_constraints / sizeof *own_constraints; i++)
        if (strcmp(constraint, own_constraints[i]) == 0)
            return true;
    return false;
}

bool
newt__is_of_a_row(const newt_error *e)
{
    if (e->sqlstate[0] == 0 || e->own)
        return false;
    for (size_t i = 0; i < sizeof not_of_a_row / sizeof *not_of_a_row; i++)
        if (strncmp(e->sqlstate, not_of_a_row[i], 2) == 0)
            return false;
    return true;
}

bool
newt__is_outdated(const newt_error *e)
{
    for (size_t i = 0; i < sizeof outdated / sizeof *outdated; i++)
        if (strcmp(e->sqlstate, outdated[i]) == 0)
            return true;
    return false;
}

bool
newt__is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (!severity) /* poolers give the other one alone, and do not translate it */
        severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    return severity && strcmp(severity, "FATAL") == 0;
}

/* The connection is over, and that is all there is to know: a pooler says so of a server that it
 * has lost (PgBouncer as a protocol_violation), which may have carried out what it was sent. */
static bool
is_farewell(const PGresult *r, const char *sqlstate)
{
    return newt__is_fatal(r) && strncmp(sqlstate, "08", 2) == 0;
}

int
newt__fail_sql(newt_error *e, const PGconn *pg, const PGresult *result, const char *store)
{
    const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail, *hint, *position, *constraint;
    int status;
    bool own;

    if (!sqlstate || strlen(sqlstate) != 5) {
        /* libpq's own words: it could not connect, send or receive, or has no memory to */
        const char *said = result ? PQresultErrorMessage(result) : "";

        if (!*said)
            said = pg ? PQerrorMessage(pg) : "out of memory";
        return newt__fail(e, NEWT_ELOST, 0, "%s", *said ? said : "the server connection failed");
    }
    if (is_farewell(result, sqlstate))
        return newt__fail(e, NEWT_ELOST, 0, "%s", primary ? primary : "the server was lost");
    status = status_of_sqlstate(sqlstate);
    constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    own = is_own(result, constraint, store);
    if (status == NEWT_EUNIQUE && own)
        status = NEWT_ESQL;
    newt__fail(e, status, 0, "%s", primary ? primary : "the server reported an error");
    e->own = own;
    memcpy(e->sqlstate, sqlstate, sizeof e->sqlstate);
    detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    if (detail)
        newt__fail_detail(e, "%s", detail);
    else if (position)
        newt__fail_detail(e, "At character %s of the statement.", position);
    if (hint)
        newt__fail_hint(e, "%s", hint);
    else if (strcmp(sqlstate, "42501") == 0)
        newt__fail_hint(e, "Rights on a store are given to a role with newt.grant_store(), see "
                           "docs/operations.md.");
    if (constraint)
        e->constraint = strdup(constraint);
    return status;
}
