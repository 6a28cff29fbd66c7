/*
 * numbers.c - oids and serials, which a session takes in blocks
 *
 * A block is the session's own from when it is drawn, also if the transaction is rolled back. It is
 * durable before what is written with its numbers is: it stands in front of that in the log.
 */
#include "numbers.h"

#include "statements.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

/* What is left of the blocks of the store used last. */
static struct {
    Oid sequence;
    int64 next, end;
} blocks[NEWT_PG_N_SEQUENCES];

int64
newt_pg_next_number(Oid schema, newt_pg_sequence which)
{
    static const char *const names[] = {
        [NEWT_PG_OIDS] = "newt_oid", [NEWT_PG_SERIALS] = "newt_serial"};
    static const newt_pg_statement draw[] = {
        [NEWT_PG_OIDS] = NEWT_PG_S_OID_BLOCK, [NEWT_PG_SERIALS] = NEWT_PG_S_SERIAL_BLOCK};
    Oid sequence = get_relname_relid(names[which], schema);

    if (blocks[which].sequence != sequence)
        blocks[which].next = blocks[which].end = 0;
    blocks[which].sequence = sequence;
    while (blocks[which].next >= blocks[which].end) {
        CHECK_FOR_INTERRUPTS();
        if (newt_pg_run(schema, draw[which], NULL) != 1)
            continue; /* these were in use: the next ones */
        blocks[which].next = DatumGetInt64(newt_pg_result(0, 1));
        blocks[which].end = blocks[which].next + Max(1, DatumGetInt64(newt_pg_result(0, 2)));
    }
    return blocks[which].next++;
}
