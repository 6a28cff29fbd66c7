/*
 * env.c - PostgreSQL's memory, interrupts and errors, lent to the codec
 */
#include "newt_pg.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

NEWT_PG_MAGIC;

/* palloc raises when there is no memory; the codec is told only where PostgreSQL has a limit
 * of its own. */
static void *
env_realloc(void *arg, void *p, size_t n)
{
    if (n > MaxAllocSize)
        return NULL;
    return p ? repalloc(p, n) : palloc(n);
}

static void
env_free(void *arg, void *p)
{
    if (p)
        pfree(p);
}

static int
env_interrupt(void *arg)
{
    CHECK_FOR_INTERRUPTS();
    return 0;
}

const newt__env newt_pg_env = {
    .realloc = env_realloc, .free = env_free, .interrupt = env_interrupt};

/* ---- errors ------------------------------------------------------------------------------- */

static const struct fault_text {
    int sqlstate;
    const char *message;
    const char *hint; /* may be NULL */
} fault_texts[] = {
    [NEWT__MALFORMED] = {ERRCODE_INVALID_BINARY_REPRESENTATION, "invalid state record",
                         "newt.try_to_jsonb() gives NULL for a value that is not a record."},
    [NEWT__PROFILE] = {ERRCODE_INVALID_BINARY_REPRESENTATION, "invalid state record",
                       "Records are CBOR as docs/state-record.md narrows it; they are written by "
                       "the Newt library."},
    [NEWT__NEWER] = {ERRCODE_FEATURE_NOT_SUPPORTED, "state record was written by a newer Newt",
                     "Install a newer Newt in this database: its extension, then ALTER EXTENSION "
                     "newt UPDATE, or its newt-portable.sql."},
    [NEWT__FOREIGN] = {ERRCODE_INVALID_BINARY_REPRESENTATION, "value is not a Newt state record",
                       "newt.try_to_jsonb() gives NULL for a value that is not a record."},
    [NEWT__LIMIT] = {ERRCODE_PROGRAM_LIMIT_EXCEEDED, "state record exceeds a limit", NULL},
    [NEWT__NOMEM] = {ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "state record needs more memory than one value may use", NULL},
    [NEWT__INTERRUPTED] = {ERRCODE_QUERY_CANCELED, "reading of a state record was interrupted",
                           NULL},
    [NEWT__SINK] = {ERRCODE_INTERNAL_ERROR, "result of a state record was refused", NULL},
};

bool
newt_pg_is_bad_record(newt__code code)
{
    return code >= NEWT__MALFORMED && code <= NEWT__LIMIT;
}

void
newt_pg_raise(const newt__fault *fault, size_t n)
{
    const struct fault_text *text = &fault_texts[fault->code];

    ereport(ERROR, (errcode(text->sqlstate), errmsg_internal("%s", text->message),
                    fault->reason ? errdetail_internal("At byte %zu of %zu: %s.", fault->offset, n,
                                                       fault->reason)
                                  : 0,
                    text->hint ? errhint("%s", text->hint) : 0));
    pg_unreachable();
}

void
newt_pg_need_utf8(void)
{
    if (GetDatabaseEncoding() == PG_UTF8)
        return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot read a state record in a database of encoding %s",
                           GetDatabaseEncodingName()),
                    errdetail("The text in state records is UTF-8.")));
}
