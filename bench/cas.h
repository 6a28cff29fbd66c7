/*
 * cas.h - the limit's change of objects: the serial is compared and set in the statement
 */
#ifndef NEWT_BENCH_CAS_H
#define NEWT_BENCH_CAS_H

#include "server.h"
#include "task_bytes.h"

#define CAS_ONE                                                                                    \
    "WITH o AS (UPDATE object_state SET serial = $3, state = $4"                                   \
    "            WHERE zoid = $1 AND serial = $2 RETURNING zoid)"                                  \
    " UPDATE newt_projection p SET serial = $3, state = $5 FROM o WHERE p.zoid = o.zoid"

/* Two statements are quicker than one with both tables. */
#define CAS_MANY                                                                                   \
    "UPDATE object_state o SET serial = $3, state = u.state"                                       \
    "  FROM unnest($1::bigint[], $2::bigint[], $4::bytea[]) u (zoid, was, state)"                  \
    " WHERE o.zoid = u.zoid AND o.serial = u.was"
#define PROJECT_MANY                                                                               \
    "UPDATE newt_projection p SET serial = $2, state = u.state"                                    \
    "  FROM unnest($1::bigint[], $3::jsonb[]) u (zoid, state) WHERE p.zoid = u.zoid"

/* A pooler is between: then the statement is sent with each transaction, else it is prepared. */
static bool pooled;

static inline void
prepare_cas(PGconn *pg)
{
    pooled = setting("BENCH_POOLED", 0) != 0;
    if (!pooled)
        prepare(pg, "cas", CAS_ONE);
}

/* A record, and the JSON of it. */
typedef struct both_forms {
    parameter record, json;
} both_forms;

static inline void
queue_cas(PGconn *pg, both_forms to, int64_t oid, int64_t was, int64_t serial)
{
    static const Oid types[] = {INT8_OID, INT8_OID, INT8_OID, BYTEA_OID, JSONB_OID};
    uint8_t numbers[3][8];
    int64_t values[] = {oid, was, serial};
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 8; j++)
            numbers[k][j] = (uint8_t)((uint64_t)values[k] >> (8 * (7 - j)));
    parameter p[] = {{numbers[0], 8}, {numbers[1], 8}, {numbers[2], 8}, to.record, to.json};
    if (pooled)
        queue_unprepared(pg, CAS_ONE, 5, types, p);
    else
        queue(pg, "cas", 5, p);
}

/* One transaction, one statement, one flush, one round trip. */
static inline void
change_one(PGconn *pg, both_forms to, int64_t oid, int64_t *serial_of, int64_t serial)
{
    queue_cas(pg, to, oid, *serial_of, serial);
    check(pg, PQpipelineSync(pg), "sync");
    if (collect(pg, PGRES_COMMAND_OK) != 1)
        give_up("tx1", "another serial");
    collect(pg, PGRES_PIPELINE_SYNC);
    *serial_of = serial;
}

#endif
