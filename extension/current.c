/*
 * current.c - an object as it is now, read without a statement of SQL
 */
#include "current.h"

#include "plain.h"
#include "write.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static void
fetch(newt_pg_plain *t, Snapshot snapshot, int64 zoid, newt_pg_current *out)
{
    bool no_serial, no_state;
    Datum serial, state;

    t->old = table_slot_create(t->rows.heap, NULL);
    newt_pg_scan(&t->rows, snapshot, zoid, zoid);
    if (!newt_pg_fetch(&t->rows, zoid, t->old))
        return;
    serial = slot_getattr(t->old, NEWT_PG_OBJECT_SERIAL + 1, &no_serial);
    state = slot_getattr(t->old, NEWT_PG_OBJECT_STATE + 1, &no_state);
    if (!no_serial && !no_state) /* the owner can drop NOT NULL */
        *out = (newt_pg_current){DatumGetInt64(serial), DatumGetByteaPCopy(state)};
}

bool
newt_pg_read_current(Oid schema, int64 zoid, AclMode rights, newt_pg_current *out)
{
    newt_pg_plain t;
    bool plain = newt_pg_plain_open(&t, get_relname_relid("object_state", schema), rights,
                                    newt_pg_object_columns, NEWT_PG_N_OBJECT, NULL);

    Snapshot snapshot;

    *out = (newt_pg_current){0};
    CommandCounterIncrement();
    snapshot = RegisterSnapshot(GetLatestSnapshot());
    if (plain)
        fetch(&t, snapshot, zoid, out);
    newt_pg_plain_close(&t);
    UnregisterSnapshot(snapshot);
    return plain;
}
