/*
 * error.c - errors and the one map from SQLSTATE and codec faults to a status
 */
#include "bridge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_TEXT = 1000 /* bytes of a message, detail or hint; what is longer is cut */
};

/* What newt_last_error gives when there was not even memory for a database. */
static const newt_error no_memory = {.status = NEWT_ENOMEM, .fallback = "out of memory"};

/* ---- the map -------------------------------------------------------------------------- */

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

static const struct {
    newt__code code;
    int status;
} faults[] = {
    {NEWT__MALFORMED, NEWT_EBROKEN}, {NEWT__PROFILE, NEWT_EBROKEN}, {NEWT__NEWER, NEWT_EBROKEN},
    {NEWT__FOREIGN, NEWT_EBROKEN},   {NEWT__LIMIT, NEWT_ELIMIT},    {NEWT__NOMEM, NEWT_ENOMEM},
    {NEWT__INTERRUPTED, NEWT_ESQL},  {NEWT__SINK, NEWT_EINVAL},
};

static const struct {
    int status;
    const char *text;
} statuses[] = {
#define STATUS(s)                                                                                  \
    {                                                                                              \
        s, #s                                                                                      \
    }
    STATUS(NEWT_OK),       STATUS(NEWT_ENOMEM),  STATUS(NEWT_EINVAL),    STATUS(NEWT_EMISSING),
    STATUS(NEWT_ECLASS),   STATUS(NEWT_EBROKEN), STATUS(NEWT_ECONFLICT), STATUS(NEWT_ELOST),
    STATUS(NEWT_EUNKNOWN), STATUS(NEWT_EBUSY),   STATUS(NEWT_ESQL),      STATUS(NEWT_ELIMIT),
    STATUS(NEWT_ESTORE),   STATUS(NEWT_ETHREAD), STATUS(NEWT_EUNIQUE),
#undef STATUS
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

/* ---- setting -------------------------------------------------------------------------- */

/* Cuts at `n` or a little before, never inside a UTF-8 sequence; strips trailing newlines. */
static void
trim(char *s, size_t n)
{
    size_t end = strlen(s);

    if (end > n) {
        for (end = n; end > 0 && ((unsigned char)s[end] & 0xc0) == 0x80;)
            end--;
    }
    while (end > 0 && (s[end - 1] == '\n' || s[end - 1] == ' '))
        end--;
    s[end] = 0;
}

static char *
text_of(const char *format, va_list args)
{
    char *s = malloc(LONGEST_TEXT + 8);

    if (s) {
        if (vsnprintf(s, LONGEST_TEXT + 8, format, args) < 0)
            *s = 0;
        trim(s, LONGEST_TEXT);
    }
    return s;
}

void
newt__error_clear(newt_error *e)
{
    free(e->message);
    free(e->detail);
    free(e->hint);
    free(e->class_name);
    free(e->constraint);
    free(e->conflicts);
    *e = (newt_error){0};
}

void
newt__error_move(newt_error *to, newt_error *from)
{
    if (to == from)
        return;
    newt__error_clear(to);
    *to = *from;
    *from = (newt_error){0};
}

int
newt__fail_text(newt_error *e, int status, int64_t oid, const char *format, va_list args)
{
    newt_error fresh = {.status = status, .oid = oid};
    va_list again;

    va_copy(again, args);
    fresh.message = text_of(format, args);
    if (!fresh.message) {
        if (vsnprintf(fresh.fallback, sizeof fresh.fallback, format, again) < 0)
            fresh.fallback[0] = 0;
        trim(fresh.fallback, sizeof fresh.fallback - 1);
    }
    va_end(again);
    /* only now: the arguments may point into e */
    newt__error_move(e, &fresh);
    return status;
}

int
newt__fail(newt_error *e, int status, int64_t oid, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    newt__fail_text(e, status, oid, format, args);
    va_end(args);
    return status;
}

static void
set_text(char **to, const char *format, va_list args)
{
    char *s = text_of(format, args);

    free(*to);
    *to = s;
}

void
newt__fail_detail(newt_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(&e->detail, format, args);
    va_end(args);
}

void
newt__fail_hint(newt_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(&e->hint, format, args);
    va_end(args);
}

void
newt__fail_class(newt_error *e, const char *name, size_t n)
{
    free(e->class_name);
    e->class_name = strndup(name, n); /* without memory it is not known */
}

int
newt__fail_memory(newt_error *e)
{
    newt__error_clear(e);
    e->status = NEWT_ENOMEM;
    memcpy(e->fallback, no_memory.fallback, sizeof e->fallback);
    return NEWT_ENOMEM;
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

int
newt__fail_codec(newt_error *e, int64_t oid, const char *what, const newt__fault *fault)
{
    size_t i = 0;

    while (i < sizeof faults / sizeof *faults - 1 && faults[i].code != fault->code)
        i++;
    if (faults[i].status == NEWT_ENOMEM)
        return newt__fail_memory(e);
    newt__fail(e, faults[i].status, oid, "%s: %s", what,
               fault->reason ? fault->reason : "cannot be converted");
    if (faults[i].status == NEWT_EBROKEN)
        newt__fail_detail(e, "At byte %zu of the record.", fault->offset);
    return faults[i].status;
}

/* ---- asking --------------------------------------------------------------------------- */

int
newt_error_status(const newt_error *e)
{
    return e ? e->status : NEWT_OK;
}

const char *
newt_error_message(const newt_error *e)
{
    if (!e)
        return "";
    return e->message ? e->message : e->fallback;
}

const char *
newt_error_detail(const newt_error *e)
{
    return e && e->detail ? e->detail : "";
}

const char *
newt_error_hint(const newt_error *e)
{
    return e && e->hint ? e->hint : "";
}

const char *
newt_error_sqlstate(const newt_error *e)
{
    return e ? e->sqlstate : "";
}

size_t
newt_error_position(const newt_error *e)
{
    return e->position;
}

int64_t
newt_error_oid(const newt_error *e)
{
    return e ? e->oid : 0;
}

const char *
newt_error_class(const newt_error *e)
{
    return e && e->class_name ? e->class_name : "";
}

const char *
newt_error_constraint(const newt_error *e)
{
    return e && e->constraint ? e->constraint : "";
}

const newt_conflict *
newt_error_conflict(const newt_error *e, size_t i)
{
    return e && i < e->n_conflicts ? &e->conflicts[i] : NULL;
}

bool
newt_is_retryable(const newt_error *e)
{
    return e && (e->status == NEWT_ECONFLICT || e->status == NEWT_ELOST);
}

void
newt_error_free(newt_error *e)
{
    if (e)
        newt__error_clear(e);
    free(e);
}

const char *
newt_status_text(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return status > 0 ? "application status" : "unknown status";
}

const newt_error *
newt_db_error(const newt_db *db)
{
    return db ? &db->error : &no_memory;
}

const newt_error *
newt_conn_error(const newt_conn *c)
{
    return c ? &c->error : &no_memory;
}

const newt_error *
newt_last_error(const newt_db *db, const newt_conn *c)
{
    if (c && (c->error.status != NEWT_OK || !db))
        return &c->error;
    return newt_db_error(db);
}
