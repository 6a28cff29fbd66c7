/*
 * numbers.c - the next oid, and the next serial
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static int
take_blocks(newt__session *c, int64_t oids, int64_t serials)
{
    int rc = newt__session_server(c);

    if (rc != NEWT_OK)
        return rc;
    if (c->standby) { /* whatever is to be written begins here */
        newt__fail(&c->error, NEWT_ESQL, 0, "the server is a standby, which takes no changes");
        memcpy(c->error.sqlstate, "25006", sizeof c->error.sqlstate);
        newt__fail_hint(&c->error, "Connect to the primary: target_session_attrs=primary.");
        return NEWT_ESQL;
    }
    return newt__blocks_fetch(c, oids, serials);
}

static int
nothing_cached(void *arg, const newt__changes *changes)
{
    (void)arg;
    (void)changes;
    return NEWT_OK;
}

/* A snapshot is read-only and cannot be left, so the numbers come through another connection, made
 * for this: most programs have one connection and do not need another. */
static int
take_blocks_beside(newt__session *c, int64_t oids, int64_t serials)
{
    newt_stats not_ours = {0};
    newt__session *side = newt__session_new(c->storage, nothing_cached, NULL, &not_ours);
    int rc;

    if (!side)
        return newt__fail_memory(&c->error);
    rc = take_blocks(side, oids, serials);
    if (rc != NEWT_OK) {
        rc = newt__session_fail(c, &side->error);
    } else if (memcmp(side->incarnation, c->incarnation, sizeof c->incarnation) != 0) {
        rc = newt__fail(&c->error, NEWT_ELOST, 0,
                        "the server was restarted during the transaction");
    } else {
        newt__blocks *from[] = {&side->oids, &side->serials}, *to[] = {&c->oids, &c->serials};

        for (int i = 0; i < 2; i++) {
            newt__blocks spare = *to[i];
            int64_t used = spare.used;

            if (newt__blocks_left(&spare, 1) > 0)
                continue; /* still enough of these */
            *to[i] = *from[i];
            *from[i] = spare;
            to[i]->used = used;
        }
    }
    newt__session_free(side);
    return rc;
}

static int
take(newt__session *c, int64_t oids, int64_t serials)
{
    return c->in_transaction && !c->standby ? take_blocks_beside(c, oids, serials)
                                            : take_blocks(c, oids, serials);
}

/* Blocks were drawn, and none of them was free. */
static int
fail_outdated(newt__session *c, const char *sequence)
{
    newt__fail(&c->error, NEWT_ESTORE, 0, "the sequence %s gives numbers that are in use",
               sequence);
    newt__fail_detail(&c->error, "The store was restored or replicated without its sequences.");
    newt__fail_hint(&c->error, "Set the sequences as docs/operations.md says.");
    return NEWT_ESTORE;
}

int
newt__next_number(newt__session *c, int64_t *oid)
{
    int rc;

    if (newt__blocks_next(&c->oids, c->storage->oid_block, oid))
        return NEWT_OK;
    /* the more a transaction takes, the more it will; and what it needs last of all is here too */
    rc = take(c, c->oids.used + 1, newt__blocks_left(&c->serials, 1) > 0 ? 0 : 1);
    if (rc == NEWT_OK && !newt__blocks_next(&c->oids, c->storage->oid_block, oid))
        rc = fail_outdated(c, c->storage->sql->oid_sequence);
    return rc;
}

int
newt__next_serial(newt__session *c, int64_t *serial)
{
    int rc;

    if (newt__blocks_next(&c->serials, c->storage->serial_block, serial))
        return NEWT_OK;
    rc = take(c, 0, 1);
    if (rc == NEWT_OK && !newt__blocks_next(&c->serials, c->storage->serial_block, serial))
        rc = fail_outdated(c, c->storage->sql->serial_sequence);
    return rc;
}
