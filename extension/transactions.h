/*
 * transactions.h - the rows of a store's table transaction, in the order of their tids
 */
#ifndef NEWT_PG_TRANSACTIONS_H
#define NEWT_PG_TRANSACTIONS_H

#include "newt_pg.h"
#include "nodes/parsenodes.h"

enum {
    NEWT_PG_ROOM_FOR_OIDS = 10002
};

typedef struct newt_pg_position {
    int64 tid, serial;
} newt_pg_position;

/* What transactions after a position have changed. */
typedef struct newt_pg_changes {
    newt_pg_position at; /* as far as it has been read */
    bool follows;        /* from where it began; there are not too many oids */
    int64 *oids;         /* palloc'ed, with room for one more; NULL: none */
    int n;
} newt_pg_changes;

/* An error if the user may not use the table in any of these ways. */
extern void newt_pg_check_rights(Oid table, Oid user, AclMode any_of);

/* The transaction with the greatest tid that the active snapshot sees; zeros: there is none. It is
 * found more quickly if it is not long after a tid that is known; 0: none is. */
extern newt_pg_position newt_pg_newest_transaction(Oid table, Oid user, int64 known);
/* Reads on from c->at, whose transaction must be there still, to the newest that the active
 * snapshot sees. The oids of own_serial are not wanted: a 0 stands for them. */
extern void newt_pg_read_transactions(Oid table, Oid user, int64 own_serial, newt_pg_changes *c);

#endif
