/*
 * statements.c - what SQL functions that write objects ask of a store in SQL
 *
 * The rights and the row security are the caller's. No name rests on the search path.
 */
#include "statements.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

enum {
    MOST_PARAMETERS = 5
};

#define IS " OPERATOR(pg_catalog.=) "
/* Of a store that is not as it was created, columns may have any type: what is read has the one
 * that is expected here, or the statement fails. */
#define INT8  "::pg_catalog.int8"
#define STATE "::pg_catalog.bytea"
#define CLASS                                                                                      \
    "SELECT k.version::pg_catalog.int4, k.fields::pg_catalog.jsonb, "                              \
    "coalesce(k.projection, s.projection)::pg_catalog.text "                                       \
    "FROM %1$s.newt_class k, %1$s.newt_store s WHERE s.one AND k.name" IS "$1"
/* What is in use is passed over: a sequence does not come along with every copy of a store. */
#define BLOCK(sequence, size, greatest)                                                            \
    "SELECT b.first, s." size INT8 " FROM %1$s.newt_store s, "                                     \
    "(SELECT pg_catalog.nextval(%2$s) AS first OFFSET 0) b WHERE s.one "                           \
    "AND b.first OPERATOR(pg_catalog.>) coalesce((" greatest "), 0)"

static const struct {
    const char *sql; /* %1$s: the schema, quoted; %2$s: a sequence as a value */
    const char *sequence;
    Oid types[MOST_PARAMETERS + 1];
} statements[NEWT_PG_N_STATEMENTS] = {
    [NEWT_PG_S_LOCK] = {"SELECT o.serial" INT8 ", o.state" STATE
                        " FROM %1$s.object_state o WHERE o.zoid" IS "$1 FOR NO KEY UPDATE",
                        NULL,
                        {INT8OID}},
    [NEWT_PG_S_LOCK_REMOVED] = {"SELECT o.serial" INT8 ", o.state" STATE
                                " FROM %1$s.object_state o WHERE o.zoid" IS "$1 FOR UPDATE",
                                NULL,
                                {INT8OID}},
    [NEWT_PG_S_CLASS] = {CLASS " AND k.version" IS "$2", NULL, {TEXTOID, INT4OID}},
    [NEWT_PG_S_NEWEST_CLASS] = {CLASS " ORDER BY k.version DESC LIMIT 1", NULL, {TEXTOID}},
    [NEWT_PG_S_CLASS_NAMES] = {"SELECT newt.class_names($1, $2)", NULL, {TEXTOID, TEXTOID}},
    [NEWT_PG_S_OID_BLOCK] = {BLOCK("newt_oid", "oid_block",
                                   "SELECT max(o.zoid) FROM %1$s.object_state o "
                                   "WHERE o.zoid OPERATOR(pg_catalog.<) 4503599627370496"),
                             "newt_oid"},
    [NEWT_PG_S_SERIAL_BLOCK] = {BLOCK("newt_serial", "serial_block",
                                      "SELECT max(t.serial) FROM %1$s.transaction t"),
                                "newt_serial"},
    [NEWT_PG_S_SERIAL] = {"SELECT o.serial" INT8 " FROM %1$s.object_state o WHERE o.zoid" IS "$1",
                          NULL,
                          {INT8OID}},
    [NEWT_PG_S_STATE] = {"SELECT o.state" STATE " FROM %1$s.object_state o WHERE o.zoid" IS "$1",
                         NULL,
                         {INT8OID}},
    [NEWT_PG_S_UPDATE] = {"UPDATE %1$s.object_state SET serial = $3, state = $4 WHERE zoid" IS
                          "$1 AND serial" IS "$2",
                          NULL,
                          {INT8OID, INT8OID, INT8OID, BYTEAOID}},
    [NEWT_PG_S_INSERT] = {"INSERT INTO %1$s.object_state (zoid, serial, state) VALUES ($1, $2, $3)",
                          NULL,
                          {INT8OID, INT8OID, BYTEAOID}},
    [NEWT_PG_S_PROJECT] = {"UPDATE %1$s.newt_projection SET serial = $2, "
                           "class_name = newt.class_name($3), state = newt.to_jsonb($3) "
                           "WHERE zoid" IS "$1",
                           NULL,
                           {INT8OID, INT8OID, BYTEAOID}},
    [NEWT_PG_S_PROJECT_NEW] = {"INSERT INTO %1$s.newt_projection (zoid, class_name, serial, state) "
                               "VALUES ($1, newt.class_name($3), $2, newt.to_jsonb($3)) "
                               "ON CONFLICT (zoid) DO UPDATE SET class_name = excluded.class_name, "
                               "serial = excluded.serial, state = excluded.state",
                               NULL,
                               {INT8OID, INT8OID, BYTEAOID}},
    [NEWT_PG_S_UNPROJECT] = {"DELETE FROM %1$s.newt_projection WHERE zoid" IS "$1",
                             NULL,
                             {INT8OID}},
    [NEWT_PG_S_REMOVE] = {"DELETE FROM %1$s.object_state WHERE zoid" IS "$1 AND serial" IS "$2",
                          NULL,
                          {INT8OID, INT8OID}},
    [NEWT_PG_S_FORGET] = {"DELETE FROM %1$s.newt_reject_entry WHERE zoid" IS "$1", NULL, {INT8OID}},
    [NEWT_PG_S_REJECTS] = {"INSERT INTO %1$s.newt_reject_entry (zoid, serial, n, path, reason) "
                           "SELECT $1, $2, r.n, r.path, r.reason FROM ROWS FROM (newt.rejects($3)) "
                           "WITH ORDINALITY AS r (path, reason, n)",
                           NULL,
                           {INT8OID, INT8OID, BYTEAOID}},
    [NEWT_PG_S_PART] = {"INSERT INTO %1$s.transaction_object "
                        "(serial, n, written, removed, removed_classes) "
                        "VALUES ($1, $2, $3, $4, $5)",
                        NULL,
                        {INT8OID, INT4OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID}},
};

/* Of the store used last: of this schema, when it had this name. */
static struct {
    Oid schema;
    NameData name;
    SPIPlanPtr list[NEWT_PG_N_STATEMENTS];
} plans;

static void
choose(Oid schema, const char *name)
{
    if (plans.schema == schema && strcmp(NameStr(plans.name), name) == 0)
        return;
    plans.schema = InvalidOid;
    for (int i = 0; i < NEWT_PG_N_STATEMENTS; i++) {
        if (plans.list[i])
            SPI_freeplan(plans.list[i]);
        plans.list[i] = NULL;
    }
    namestrcpy(&plans.name, name);
    plans.schema = schema;
}

static int
n_parameters(newt_pg_statement s)
{
    int n = 0;

    while (OidIsValid(statements[s].types[n]))
        n++;
    return n;
}

static SPIPlanPtr
prepare(newt_pg_statement s, const char *name)
{
    const char *sequence = statements[s].sequence, *schema = quote_identifier(name);
    char *value = sequence
                      ? psprintf("%s::pg_catalog.regclass",
                                 quote_literal_cstr(quote_qualified_identifier(name, sequence)))
                      : "";
    SPIPlanPtr plan = SPI_prepare(psprintf(statements[s].sql, schema, value), n_parameters(s),
                                  (Oid *)statements[s].types);

    if (!plan)
        elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    if (SPI_keepplan(plan) != 0)
        elog(ERROR, "SPI_keepplan failed");
    return plan;
}

uint64
newt_pg_run(Oid schema, newt_pg_statement s, Datum *values)
{
    char *name = get_namespace_name(schema);
    int status;

    if (!name)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("the store was dropped")));
    choose(schema, name);
    if (!plans.list[s])
        plans.list[s] = prepare(s, name);
    status = SPI_execute_plan(plans.list[s], values, NULL, false, 0);
    if (status < 0)
        elog(ERROR, "statement %d failed: %s", (int)s, SPI_result_code_string(status));
    return SPI_processed;
}

Datum
newt_pg_result(uint64 row, int column)
{
    bool isnull;
    Datum d = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

    if (isnull)
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("null value in column \"%s\" of a store",
                               SPI_fname(SPI_tuptable->tupdesc, column)),
                        errdetail("The tables of a store have none.")));
    return d;
}
