/*
 * blocks.c - numbers for objects and transactions, in blocks of the store's two sequences
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_BLOCKS = 256 /* taken at once */
};

int64_t
newt__blocks_left(const newt__blocks *b, int64_t size)
{
    return b->end - b->next + (int64_t)b->n * size;
}

void
newt__blocks_drop(newt__blocks *b)
{
    b->next = b->end = 0;
    b->n = 0;
}

static bool
blocks_next(newt__blocks *b, int64_t size, int64_t *x)
{
    if (b->next == b->end) {
        if (b->n == 0)
            return false;
        /* in the order taken, so that related objects have near oids */
        b->next = b->starts[0];
        b->end = b->next + size;
        memmove(b->starts, b->starts + 1, --b->n * sizeof *b->starts);
    }
    *x = b->next++;
    b->used++;
    return true;
}

static bool
blocks_add(newt__blocks *b, int64_t start)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 4;
        int64_t *starts = realloc(b->starts, cap * sizeof *starts);

        if (!starts)
            return false;
        b->starts = starts;
        b->cap = cap;
    }
    b->starts[b->n++] = start;
    return true;
}

static void
send_one(newt_conn *c, const char *sequence, int64_t n, bool oids)
{
    newt__params p = {0};

    newt__param_text(&p, sequence);
    newt__param_int(&p, n);
    newt__param_int(&p, oids);
    newt__send(c, NEWT__S_BLOCKS, &p);
}

/* Behind these must come a barrier before the sync: a sequence issues values again after a crash
 * unless WAL behind them was flushed. */
void
newt__blocks_send(newt_conn *c, int64_t oid_blocks, int64_t serial_blocks)
{
    if (oid_blocks > 0)
        send_one(c, c->db->sql->oid_sequence, oid_blocks, true);
    if (serial_blocks > 0)
        send_one(c, c->db->sql->serial_sequence, serial_blocks, false);
}

static int
take_one(newt_conn *c, newt__blocks *b)
{
    PGresult *r = newt__take(c);
    int rc = NEWT_OK;

    if (!r)
        return c->talk->error.status;
    for (int i = 0; i < PQntuples(r); i++)
        if (!blocks_add(b, newt__field_int(r, i, 0)))
            rc = newt__fail_memory(&c->error);
    PQclear(r);
    return rc;
}

int
newt__blocks_result(newt_conn *c, int64_t oid_blocks, int64_t serial_blocks)
{
    int rc = NEWT_OK;

    if (oid_blocks > 0)
        rc = take_one(c, &c->oids);
    if (serial_blocks > 0) {
        int rc2 = take_one(c, &c->serials);

        rc = rc ? rc : rc2;
    }
    return rc;
}

int64_t
newt__blocks_for(int64_t numbers, int64_t size)
{
    int64_t n = (numbers + size - 1) / size;

    return n > MOST_BLOCKS ? MOST_BLOCKS : n;
}

/* A snapshot is read-only and cannot be left, so the numbers come through another connection. */
static int
blocks_beside(newt_conn *c, int64_t oids, int64_t serials)
{
    newt_conn *side = NULL;
    int rc = newt_connect(c->db, &side);

    if (!side)
        return newt__fail_memory(&c->error);
    if (rc == NEWT_OK)
        rc = newt__blocks_take(side, oids, serials);
    if (rc != NEWT_OK) {
        rc = newt__conn_fail_with(c, &side->error);
    } else if (memcmp(side->incarnation, c->incarnation, sizeof c->incarnation) != 0) {
        rc = newt__conn_fail(c, NEWT_ELOST, 0, "the server was restarted during the transaction");
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
            from[i]->used = 0;
        }
    }
    if (side->cache.n > 0)
        newt_close(side);
    else
        newt__conn_free(
            side); /* made for this: most programs have one connection and need no more */
    return rc;
}

int
newt__blocks_take(newt_conn *c, int64_t oids, int64_t serials)
{
    int64_t oid_blocks = newt__blocks_for(oids, c->db->oid_block);
    int64_t serial_blocks = newt__blocks_for(serials, c->db->serial_block);
    int rc;

    if (c->in_transaction && !c->standby)
        return blocks_beside(c, oids, serials);
    rc = newt__conn_server(c);
    if (rc != NEWT_OK)
        return rc;
    if (c->standby) { /* whatever is to be written begins here */
        newt__conn_fail(c, NEWT_ESQL, 0, "the server is a standby, which takes no changes");
        memcpy(c->error.sqlstate, "25006", sizeof c->error.sqlstate);
        newt__fail_hint(&c->error, "Connect to the primary: target_session_attrs=primary.");
        return NEWT_ESQL;
    }
    newt__talk_begin(c);
    newt__blocks_send(c, oid_blocks, serial_blocks);
    newt__send(c, NEWT__S_BARRIER, NULL);
    newt__sync(c);
    rc = newt__blocks_result(c, oid_blocks, serial_blocks);
    newt__take_done(c);
    if (!newt__take_sync(c)) {
        /* not known to be flushed */
        newt__blocks_drop(&c->oids);
        newt__blocks_drop(&c->serials);
    }
    return c->talk->error.status != NEWT_OK ? newt__talk_end(c) : rc;
}

/* Blocks were drawn, and none of them was free. */
static int
fail_behind(newt_conn *c, const char *sequence)
{
    newt__conn_fail(c, NEWT_ESTORE, 0, "the sequence %s gives numbers that are in use", sequence);
    newt__fail_detail(&c->error, "The store was restored or replicated without its sequences.");
    newt__fail_hint(&c->error, "Set the sequences as docs/operations.md says.");
    return NEWT_ESTORE;
}

int
newt__next_oid(newt_conn *c, int64_t *oid)
{
    int rc;

    if (blocks_next(&c->oids, c->db->oid_block, oid))
        return NEWT_OK;
    /* the more a transaction takes, the more it will; and what it needs last of all is here too */
    rc = newt__blocks_take(c, c->oids.used + 1, newt__blocks_left(&c->serials, 1) > 0 ? 0 : 1);
    if (rc == NEWT_OK && !blocks_next(&c->oids, c->db->oid_block, oid))
        rc = fail_behind(c, c->db->sql->oid_sequence);
    return rc == NEWT_OK ? NEWT_OK : newt__doom(c);
}

int
newt__next_serial(newt_conn *c, int64_t *serial)
{
    int rc;

    if (blocks_next(&c->serials, c->db->serial_block, serial))
        return NEWT_OK;
    rc = newt__blocks_take(c, 0, 1);
    if (rc == NEWT_OK && !blocks_next(&c->serials, c->db->serial_block, serial))
        rc = fail_behind(c, c->db->sql->serial_sequence);
    return rc;
}
