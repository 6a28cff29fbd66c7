/*
 * blocks.c - numbers for objects and transactions, in blocks of the store's two sequences
 */
#include "session.h"

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

bool
newt__blocks_next(newt__blocks *b, int64_t size, int64_t *x)
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
send_one(newt__session *c, const char *sequence, int64_t n, bool oids)
{
    newt__params p = {0};

    newt__param_text(&p, sequence);
    newt__param_int(&p, n);
    newt__param_int(&p, oids);
    newt__send(c, NEWT__S_BLOCKS, &p);
}

/* After these must come a barrier before the sync: a sequence issues values again after a crash
 * unless the WAL after them was flushed. */
void
newt__blocks_send(newt__session *c, int64_t oid_blocks, int64_t serial_blocks)
{
    if (oid_blocks > 0)
        send_one(c, c->storage->sql->oid_sequence, oid_blocks, true);
    if (serial_blocks > 0)
        send_one(c, c->storage->sql->serial_sequence, serial_blocks, false);
}

static int
take_one(newt__session *c, newt__blocks *b)
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
newt__blocks_result(newt__session *c, int64_t oid_blocks, int64_t serial_blocks)
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

int
newt__blocks_fetch(newt__session *c, int64_t oids, int64_t serials)
{
    int64_t oid_blocks = newt__blocks_for(oids, c->storage->oid_block);
    int64_t serial_blocks = newt__blocks_for(serials, c->storage->serial_block);
    int rc;

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
