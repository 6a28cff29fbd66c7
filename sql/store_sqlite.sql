-- The tables of a store in SQLite, version 1: the one place where they are defined.
--
-- Run by newt_store_create() in one transaction, which also sets application_id and user_version. Names
-- and columns are those of store.sql, as far as SQLite has them. Lists of oids are JSON, so that
-- json_each() reads them; times are microseconds since 1970:
-- datetime(committed_at / 1000000, 'unixepoch').

-- What this store is. One row.
CREATE TABLE newt_store (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    version    INTEGER NOT NULL,                        -- of these tables
    projection TEXT    NOT NULL DEFAULT 'inline' CHECK (projection = 'inline'),
    next_oid   INTEGER NOT NULL,                        -- the first that was given to nobody
    -- retention of the tables transaction and transaction_object; seconds
    keep_age   INTEGER NOT NULL DEFAULT 86400 CHECK (keep_age >= 0), -- younger transactions stay
    keep_rows  INTEGER CHECK (keep_rows >= 1),          -- at most, whatever their age; null: any number
    wait_for   INTEGER NOT NULL DEFAULT 604800 CHECK (wait_for >= 0), -- what a follower has not seen stays this long
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000)
) STRICT;

-- The objects: what C loads. serial: which write of this object the record is; names a transaction.
CREATE TABLE object_state (
    zoid   INTEGER PRIMARY KEY,
    serial INTEGER NOT NULL,
    state  BLOB    NOT NULL
) STRICT;

-- The projection: the same objects as JSON, for everyone else. Indexes go here; people read the view
-- newt. Classes that are not projected have no row. (The declared type of state has the affinity of
-- text, and tells the library that it is JSON.)
CREATE TABLE newt_projection (
    zoid       INTEGER   PRIMARY KEY,
    class_name TEXT      NOT NULL,
    serial     INTEGER   NOT NULL,
    state      JSON TEXT NOT NULL
);
CREATE VIEW newt AS SELECT zoid, class_name, serial, state FROM newt_projection;
CREATE TRIGGER newt_no_insert INSTEAD OF INSERT ON newt BEGIN
    SELECT RAISE(ABORT, 'cannot write to newt: its rows are computed from the objects; change them through the Newt library');
END;
CREATE TRIGGER newt_no_update INSTEAD OF UPDATE ON newt BEGIN
    SELECT RAISE(ABORT, 'cannot write to newt: its rows are computed from the objects; change them through the Newt library');
END;
CREATE TRIGGER newt_no_delete INSTEAD OF DELETE ON newt BEGIN
    SELECT RAISE(ABORT, 'cannot write to newt: its rows are computed from the objects; change them through the Newt library');
END;

-- What a projection could not show as it is; n = 0: the whole row, which an index refused. An entry counts as long as its object has that serial.
CREATE TABLE newt_reject_entry (
    zoid            INTEGER NOT NULL,
    serial          INTEGER NOT NULL,
    n               INTEGER NOT NULL,
    path            TEXT    NOT NULL, -- JSON, a list of keys
    reason          TEXT    NOT NULL,
    sqlstate        TEXT,
    constraint_name TEXT,
    PRIMARY KEY (zoid, serial, n)
) STRICT, WITHOUT ROWID;
CREATE VIEW newt_reject AS
    SELECT e.zoid, t.tid, e.path, e.reason, e.sqlstate, e.constraint_name
      FROM newt_reject_entry e
      JOIN object_state o ON o.zoid = e.zoid AND o.serial = e.serial
      LEFT JOIN "transaction" t ON t.serial = e.serial;

-- Transactions in the order in which they became visible. One row a commit; of more than 1,000 objects
-- the oids are in transaction_object instead (written and removed are null then). username,
-- description, extension: of newt_describe().
CREATE TABLE "transaction" (
    tid             INTEGER PRIMARY KEY, -- microseconds since 1970, made strictly rising
    serial          INTEGER NOT NULL,    -- the tid, but of transactions that came with newt_copy()
    committed_at    INTEGER NOT NULL,
    username        TEXT,
    description     TEXT,
    extension       TEXT,
    written         TEXT,
    removed         TEXT,
    removed_classes TEXT                 -- classes of the removed, in their order; null: not known
) STRICT;
CREATE TABLE transaction_object (
    serial          INTEGER NOT NULL,
    n               INTEGER NOT NULL,
    written         TEXT    NOT NULL,
    removed         TEXT    NOT NULL,
    removed_classes TEXT,
    PRIMARY KEY (serial, n)
) STRICT, WITHOUT ROWID;

-- The classes that programs have registered, each version once.
CREATE TABLE newt_class (
    name          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    fields        TEXT    NOT NULL, -- JSON
    projection    TEXT,             -- null: as the store
    registered_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- Where each follower of the transactions stands: it has seen every transaction up to tid.
CREATE TABLE newt_follower (
    name       TEXT    PRIMARY KEY,
    tid        INTEGER NOT NULL,
    serial     INTEGER,          -- of that transaction: a store that was restored may have another
    copied     INTEGER,          -- objects up to this zoid have been copied, the others are next; null: all have
    kind       TEXT,             -- what the follower writes
    updated_at INTEGER NOT NULL  -- microseconds since 1970
) STRICT, WITHOUT ROWID;

-- The root, oid 1: a map from names to objects. It exists from the start, so that no two clients race
-- to make it. The record is [ "newt.Root", 1, { "items": {} } ]. The first thousand oids are kept for
-- the store itself.
INSERT INTO newt_store (one, version, next_oid) VALUES (1, 1, 1024);
INSERT INTO "transaction" (tid, serial, committed_at, description, written, removed)
    SELECT t, 1, t, 'store created', '[1]', '[]'
      FROM (SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000 AS t);
INSERT INTO object_state (zoid, serial, state)
    VALUES (1, 1, x'83696e6577742e526f6f7401a1656974656d73a0');
INSERT INTO newt_projection (zoid, class_name, serial, state)
    VALUES (1, 'newt.Root', 1, '{"items":{}}');
