/*
 * gather.c - what the row of a transaction says that SQL functions have written
 */
#include "gather.h"

#include "changes.h"
#include "indexed.h"
#include "statements.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* As the library has it (bridge/feed_storage.h). */
enum {
    OIDS_IN_ROW = 1000, /* more go to transaction_object */
    OIDS_IN_PART = 5000 /* a row there */
};

static Datum
array_of_oids(const int64 *oids, int n)
{
    Datum *values = palloc((Size)n * sizeof *values);

    for (int i = 0; i < n; i++)
        values[i] = Int64GetDatum(oids[i]);
    return PointerGetDatum(
        construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
array_of_texts(Datum *texts, int n)
{
    return PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* First what was written, then what was removed. */
static void
insert_parts(Oid schema, int64 serial, newt_pg_sum *sum)
{
    int n = sum->n_written + sum->n_removed, part = 0;

    for (int from = 0; from < n; from += OIDS_IN_PART) {
        int to = Min(n, from + OIDS_IN_PART);
        int written = Min(from, sum->n_written), written_to = Min(to, sum->n_written);
        int removed = from - written, removed_to = to - written_to;
        Datum values[] = {Int64GetDatum(serial), Int32GetDatum(part++),
                          array_of_oids(sum->written + written, written_to - written),
                          array_of_oids(sum->removed + removed, removed_to - removed),
                          array_of_texts(sum->classes + removed, removed_to - removed)};

        newt_pg_run(schema, NEWT_PG_S_PART, values);
    }
}

/* With the rights of who has written. */
static void
write_parts(Oid table, Oid user, int64 serial, newt_pg_sum *sum)
{
    Oid before;
    int context;

    GetUserIdAndSecContext(&before, &context);
    SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE);
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    insert_parts(get_rel_namespace(table), serial, sum);
    SPI_finish();
    PopActiveSnapshot();
    SetUserIdAndSecContext(before, context);
}

/* {"role": ...}, if that is not the user of the session. */
static Datum
role_of(Oid user)
{
    StringInfoData role;

    if (user == GetSessionUserId())
        return 0;
    initStringInfo(&role);
    appendStringInfoString(&role, "{\"role\": ");
    escape_json(&role, GetUserNameFromId(user, false));
    appendStringInfoChar(&role, '}');
    return CStringGetTextDatum(role.data);
}

bool
newt_pg_gather(Oid table, Oid user, int64 serial, newt_pg_said *said)
{
    newt_pg_sum sum;

    if (!newt_pg_sum_changes(&sum))
        return false;
    *said = (newt_pg_said){
        .username = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false)),
        .extension = role_of(user),
        .description = CStringGetTextDatum(sum.functions)};
    if (sum.n_written + sum.n_removed > OIDS_IN_ROW) {
        write_parts(table, user, serial, &sum);
        return true;
    }
    said->written = array_of_oids(sum.written, sum.n_written);
    said->removed = array_of_oids(sum.removed, sum.n_removed);
    if (sum.n_removed > 0)
        said->classes = array_of_texts(sum.classes, sum.n_removed);
    return true;
}

static void
check_class(void *arg, const char *class_name)
{
    Oid schema = *(const Oid *)arg;
    uint64 as_of;
    const char *index = newt_pg_index_of(get_namespace_name(schema), schema, class_name, &as_of);

    if (index)
        ereport(ERROR,
                (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                 errmsg("class \"%s\" has the index \"%s\" since a moment ago", class_name, index),
                 errdetail("Programs keep it, and would not learn of the change.")));
}

void
newt_pg_check_indexes(Oid table, uint64 as_of)
{
    Oid schema = get_rel_namespace(table);

    SPI_connect();
    if (newt_pg_indexes_changed(schema, as_of))
        newt_pg_changed_classes(check_class, &schema);
    SPI_finish();
}
