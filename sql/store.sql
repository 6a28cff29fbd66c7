-- The tables of a store, version 1: the one place where they are defined.
--
-- Run by newt.create_store() and by newt_store_create() in the library, in one transaction, with the
-- mark of the schema replaced by the quoted name of an existing one. (No comment has that mark: a
-- name may have lines.) Everything here is plain SQL that needs no extension; nothing here belongs to
-- one, so DROP EXTENSION loses no object and pg_dump carries every row.
--
-- Rules that keep the schema fit for a distributed engine: zoid is in every primary key of the
-- object tables; no triggers and no NOTIFY on them in the write path; nothing rests on ctid, xmin
-- or row locks.

-- What this store is. One row.
CREATE TABLE @store@.newt_store (
    one          boolean     PRIMARY KEY DEFAULT true CHECK (one),
    version      integer     NOT NULL,                  -- of these tables
    projection   text        NOT NULL DEFAULT 'inline'  -- where a class does not say otherwise
                             CHECK (projection IN ('inline', 'async', 'virtual')),
    oid_block    integer     NOT NULL,                  -- oids that one value of newt_oid stands for
    serial_block integer     NOT NULL,                  -- the same for newt_serial
    -- retention of the tables transaction and transaction_object
    keep_age     interval    NOT NULL DEFAULT '1 day'   -- younger transactions stay
                             CHECK (keep_age >= '0'),
    keep_rows    bigint      CHECK (keep_rows >= 1),    -- at most, whatever their age; null: any number
    wait_for     interval    NOT NULL DEFAULT '7 days'  -- what a follower has not seen stays this long
                             CHECK (wait_for >= '0'),
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE @store@.newt_store IS 'version and settings of this Newt store; one row';

-- Oids and serials are handed out in blocks: a value v stands for v .. v + block - 1. Oid 0 is
-- null, oid 1 the root; the first thousand are kept for the store itself.
CREATE SEQUENCE @store@.newt_oid AS bigint START 1024 INCREMENT 1024 MINVALUE 1024;
CREATE SEQUENCE @store@.newt_serial AS bigint START 1024 INCREMENT 1024 MINVALUE 1024;
INSERT INTO @store@.newt_store (version, oid_block, serial_block) VALUES (1, 1024, 1024);

-- The objects: what C loads. No second index, and room on each page, so that updates stay HOT.
CREATE TABLE @store@.object_state (
    zoid   bigint PRIMARY KEY,
    serial bigint NOT NULL,     -- which write of this object the record is; names a transaction
    state  bytea  NOT NULL      -- the state record
) WITH (fillfactor = 85);
COMMENT ON TABLE @store@.object_state IS 'current state records: authoritative, written by the Newt library, and by newt.patch(), newt.insert() and newt.remove()';

-- The projection: the same objects as JSONB, for everyone else. Indexes go here; people read the
-- view newt. serial is that of the record a row was computed from. Classes that are not projected
-- have no row.
CREATE TABLE @store@.newt_projection (
    zoid       bigint PRIMARY KEY,
    class_name text   NOT NULL,
    serial     bigint NOT NULL,
    state      jsonb  NOT NULL
) WITH (fillfactor = 85);
COMMENT ON TABLE @store@.newt_projection IS 'objects as JSONB, written by the Newt library and newt-updater; create indexes here, read through the view newt';

CREATE VIEW @store@.newt WITH (security_invoker = true) AS
    SELECT p.zoid, p.class_name, p.serial, p.state FROM @store@.newt_projection p;
COMMENT ON VIEW @store@.newt IS 'every projected object: its oid, class, serial and state as JSONB; read-only';

-- An INSTEAD OF trigger on the view costs the write path nothing: the library writes the table.
CREATE FUNCTION @store@.newt_read_only() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $read_only$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = pg_catalog.format('cannot write to %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        DETAIL = 'It is a projection: its rows are computed from the state records of the objects, and a direct change would be lost or contradict them.',
        HINT = 'Change the object through the Newt library, or with the extension or its portable edition by newt.patch(), newt.insert() or newt.remove(); the projection follows in the same transaction or a moment later.';
END
$read_only$;
CREATE TRIGGER newt_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON @store@.newt
    FOR EACH ROW EXECUTE FUNCTION @store@.newt_read_only();

-- What a projection could not show as it is; n = 0: the whole row, which the database refused; n < 0:
-- the rows of a typed table that newt-updater keeps, path is that table. An entry counts as long as its
-- object has that serial.
CREATE TABLE @store@.newt_reject_entry (
    zoid            bigint  NOT NULL,
    serial          bigint  NOT NULL,
    n               integer NOT NULL,
    path            text[]  NOT NULL,
    reason          text    NOT NULL,
    sqlstate        text,               -- of the refusal
    constraint_name text,               -- of the constraint or index, where the server named it
    PRIMARY KEY (zoid, serial, n)
);
CREATE INDEX newt_reject_entry_typed ON @store@.newt_reject_entry (zoid) WHERE n < 0;
COMMENT ON TABLE @store@.newt_reject_entry IS 'what could not be projected as it is; read through the view newt_reject';

-- Transactions in the order in which they became visible: what followers and caches read. One row
-- a commit; oids beyond 1,000 are in transaction_object instead (written and removed are null then).
CREATE TABLE @store@.transaction (
    tid          bigint      PRIMARY KEY, -- microseconds since 1970, made strictly rising
    serial       bigint      NOT NULL UNIQUE,
    nonce        bigint      NOT NULL,    -- tells our transaction from another's tombstone
    committed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    username     text,
    description  text,
    extension    jsonb,
    written      bigint[],
    removed      bigint[],
    removed_classes text[]                -- classes of the removed, in their order; null: not known
);
-- Rows go at the old end as new ones come: the room is to be used again soon.
ALTER TABLE @store@.transaction SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE @store@.transaction IS 'one row a commit, in the order of visibility';

CREATE TABLE @store@.transaction_object (
    serial  bigint  NOT NULL,
    n       integer NOT NULL,
    written bigint[] NOT NULL,
    removed bigint[] NOT NULL,
    removed_classes text[],
    PRIMARY KEY (serial, n)
);
ALTER TABLE @store@.transaction_object ALTER written SET STORAGE EXTERNAL;
ALTER TABLE @store@.transaction_object ALTER removed SET STORAGE EXTERNAL;
COMMENT ON TABLE @store@.transaction_object IS 'oids of large transactions, in chunks';

CREATE VIEW @store@.newt_reject WITH (security_invoker = true) AS
    SELECT e.zoid, t.tid, e.path, e.reason, e.sqlstate, e.constraint_name
      FROM @store@.newt_reject_entry e
      JOIN @store@.object_state o ON o.zoid = e.zoid AND o.serial = e.serial
      LEFT JOIN @store@.transaction t ON t.serial = e.serial;
COMMENT ON VIEW @store@.newt_reject IS 'current objects that the projection lacks, since the database refused their rows, and values that it shows only in part: path and reason';

-- Empty, never read: locked for the last, short step of a commit, so that tid order is the order
-- of visibility.
CREATE TABLE @store@.newt_commit_lock ();
COMMENT ON TABLE @store@.newt_commit_lock IS 'locked while a commit becomes visible; always empty';

-- PostgreSQL empties unlogged tables after a crash and at promotion: a missing or other row tells
-- a client that its cache and its blocks of oids and serials are of before the server was restarted or replaced.
CREATE UNLOGGED TABLE @store@.newt_incarnation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  uuid    NOT NULL DEFAULT pg_catalog.gen_random_uuid()
);
INSERT INTO @store@.newt_incarnation DEFAULT VALUES;
COMMENT ON TABLE @store@.newt_incarnation IS 'random name of this life of the server; emptied by every crash';

-- The classes that programs have registered, each version once; typed views are made from this.
CREATE TABLE @store@.newt_class (
    name          text        NOT NULL,
    version       integer     NOT NULL,
    fields        jsonb       NOT NULL,
    projection    text        CHECK (projection IN ('inline', 'async', 'virtual', 'client')), -- null: as the store
    registered_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (name, version)
);
COMMENT ON TABLE @store@.newt_class IS 'class registry: fields of each class and version, and who writes its projection (client: its to_json callback, the updater leaves it alone)';

-- Typed tables, made by newt.create_table(): one with a row for each object of a class, and one
-- for each collection in it. What of a record a column is, is in columns: rows of newt.class_layout().
CREATE TABLE @store@.newt_table (
    relation   regclass PRIMARY KEY,
    class_name text     NOT NULL,
    parent     regclass,                       -- of a collection: the table of its objects
    path       text[]   NOT NULL DEFAULT '{}', -- of a collection: the fields that lead to it
    shape      text     CHECK (shape IN ('list', 'set', 'map', 'pairs')),
    mode       text     NOT NULL DEFAULT 'inline' CHECK (mode IN ('inline', 'updater')),
    filled     boolean  NOT NULL DEFAULT false, -- it has the objects that were there before it
    filled_to  bigint   NOT NULL DEFAULT 0,     -- while it has not: those up to this zoid, or, mended, up to -1 - filled_to
    columns    jsonb    NOT NULL
);
CREATE UNIQUE INDEX newt_table_class ON @store@.newt_table (class_name) WHERE parent IS NULL;
COMMENT ON TABLE @store@.newt_table IS 'typed tables of classes: which there are, who keeps them, what their columns are';

-- Where each follower of the transactions stands.
CREATE TABLE @store@.newt_follower (
    name       text        PRIMARY KEY,
    tid        bigint      NOT NULL,
    serial     bigint,               -- of that transaction: a store that was restored has another
    copied     bigint,               -- objects up to this zoid have been copied, the others are next; null: all have
    kind       text,                 -- what the follower writes; null: not known
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE @store@.newt_follower IS 'position of each follower: it has seen every transaction up to tid';

-- The searches that have been declared. Names of text search configurations are text, qualified:
-- pg_upgrade refuses a column of type regconfig.
CREATE TABLE @store@.newt_search (
    name          text   PRIMARY KEY,
    class_name    text,                        -- null: all classes
    config        text   NOT NULL,
    paths         text[] NOT NULL,             -- with weights; empty: the whole document
    language_path text,                        -- of the field that names an object's language
    languages     text[] NOT NULL DEFAULT '{}',
    configs       text[] NOT NULL DEFAULT '{}', -- of the languages, in their order
    synonyms      jsonb  NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE @store@.newt_search IS 'declared searches: what newt.search() looks into, and how';
CREATE TABLE @store@.newt_search_word (
    search  text    NOT NULL,
    word    text    NOT NULL,
    objects integer NOT NULL, -- that have it
    PRIMARY KEY (search, word)
);
COMMENT ON TABLE @store@.newt_search_word IS 'words of the objects of each search, for suggestions; as of newt.refresh_search()';

-- Derived columns: tables with values that come from other records as well, made by
-- newt.create_derived(). Each has a number, by which newt_dependency knows it.
CREATE TABLE @store@.newt_derived (
    name         text     PRIMARY KEY,
    number       integer  NOT NULL UNIQUE,
    relation     regclass NOT NULL UNIQUE,
    class_names  text[]   NOT NULL,                -- whose objects have a row
    parent       text,                             -- path of the reference to the object above, in a tree
    columns      jsonb    NOT NULL,                -- as they were declared
    mode         text     NOT NULL DEFAULT 'inline' CHECK (mode IN ('inline', 'updater')),
    commit_limit integer  NOT NULL DEFAULT 1000 CHECK (commit_limit >= 1), -- rows that a commit computes at most
    stage        text     NOT NULL DEFAULT 'rows' CHECK (stage IN ('rows', 'access', 'full')), -- of its filling
    filled_to    bigint   NOT NULL DEFAULT 0       -- in the stage rows: objects up to this zoid have been computed
);
COMMENT ON TABLE @store@.newt_derived IS 'derived columns: which tables there are, and of what their columns are made';

-- The row of an object was computed from the record of another one. Part 0: which it refers to; from 1
-- on: one that refers to it, of each class and path by which a column collects them.
CREATE TABLE @store@.newt_dependency (
    source    bigint   NOT NULL,
    derived   integer  NOT NULL,
    part      smallint NOT NULL,
    dependent bigint   NOT NULL,
    PRIMARY KEY (source, derived, part, dependent)
);
CREATE INDEX newt_dependency_dependent ON @store@.newt_dependency (dependent, derived, part, source);
COMMENT ON TABLE @store@.newt_dependency IS 'from which other records each row of derived columns was computed';

-- What a commit would have had too much to do with: a row with all its columns (row), its principals alone
-- (own), or those of the rows below it (below), from a zoid on.
CREATE TABLE @store@.newt_derived_pending (
    derived integer NOT NULL,
    zoid    bigint  NOT NULL,
    task    text    NOT NULL CHECK (task IN ('row', 'own', 'below')),
    after   bigint  NOT NULL DEFAULT 0,
    since   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (derived, task, zoid)
);
COMMENT ON TABLE @store@.newt_derived_pending IS 'rows of derived columns that are to be computed: by CALL newt.refresh_derived() or newt-updater';

-- Each list of principals once. Many objects have the same, so their rows have a number, and who may see
-- something is asked once for a list.
CREATE TABLE @store@.newt_principal_set (
    id      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest  bytea   NOT NULL UNIQUE,      -- SHA-256: a list may be too long for an index, and may be forged
    entries text[]  NOT NULL,             -- +principal, -principal; the first that fits decides
    allowed text[]  NOT NULL,
    denies  boolean NOT NULL
);
CREATE INDEX newt_principal_set_allowed ON @store@.newt_principal_set USING gin (allowed) WITH (fastupdate = off); -- read in each query, and seldom written
COMMENT ON TABLE @store@.newt_principal_set IS 'lists of principals that objects have, in derived columns';

-- What a list of an object's own and the list above it come to: computed once.
CREATE TABLE @store@.newt_principal_sum (
    own    bigint NOT NULL,
    parent bigint NOT NULL,
    total  bigint NOT NULL,
    PRIMARY KEY (own, parent)
);
COMMENT ON TABLE @store@.newt_principal_sum IS 'which list of principals an object has that has one of its own, and one above';

-- What roles may see is what their principals may: given to them here, or brought along by a claim that one of
-- these keys has signed. Nobody but the owner reads or writes either.
CREATE TABLE @store@.newt_role_principal (
    role      regrole NOT NULL,
    principal text    NOT NULL CHECK (octet_length(principal) BETWEEN 1 AND 1000),
    PRIMARY KEY (role, principal)
);
COMMENT ON TABLE @store@.newt_role_principal IS 'principals of database roles, for row-level security';
CREATE TABLE @store@.newt_claim_key (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE @store@.newt_claim_key IS 'secret keys by which claims of principals are signed; to remove one ends the claims that it has signed';

-- Rows of the projection that are being computed anew. They take the place of the others all at
-- once, when they are complete; after a crash both tables are empty, and it begins again.
CREATE UNLOGGED TABLE @store@.newt_reprojection (
    one     boolean  PRIMARY KEY DEFAULT true CHECK (one),
    classes text[]   NOT NULL, -- of these; empty: all
    zoid    bigint   NOT NULL, -- objects up to this one are done
    started timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE @store@.newt_reprojection IS 'the reprojection that newt-updater is at; at most one row';
CREATE UNLOGGED TABLE @store@.newt_reprojected (
    zoid   bigint PRIMARY KEY,
    serial bigint NOT NULL, -- of the record that it was computed from
    class_name text,
    state  jsonb            -- null: there is to be no row
);
COMMENT ON TABLE @store@.newt_reprojected IS 'rows of the projection that differ from those in newt_projection, until all are there';

-- Raises inside a statement, so that nothing after it in the pipeline runs.
CREATE FUNCTION @store@.newt_raise(code text, message text, detail text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $raise$
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail;
END
$raise$;
COMMENT ON FUNCTION @store@.newt_raise(text, text, text) IS 'raises an error with this SQLSTATE, message and detail';

-- Called by the update of one object where the projection had no row to update, or the object was
-- not updated itself, since another transaction had changed it.
CREATE FUNCTION @store@.newt_project_one(zoid bigint, serial bigint, class_name text, state jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $project$
#variable_conflict use_column
BEGIN
    PERFORM FROM @store@.object_state o
      WHERE o.zoid = newt_project_one.zoid AND o.serial = newt_project_one.serial;
    IF NOT FOUND THEN
        PERFORM @store@.newt_raise('40001', 'object was changed by another transaction',
                                   'Its serial is not the one that was read.');
    END IF;
    INSERT INTO @store@.newt_projection (zoid, class_name, serial, state)
    VALUES (newt_project_one.zoid, newt_project_one.class_name, newt_project_one.serial, newt_project_one.state)
        ON CONFLICT (zoid) DO UPDATE SET class_name = excluded.class_name, serial = excluded.serial, state = excluded.state;
    RETURN true;
END
$project$;
COMMENT ON FUNCTION @store@.newt_project_one(bigint, bigint, text, jsonb) IS 'gives an object just updated its row of the projection; an error if it was not updated';

-- Oids of a large transaction, at most $2. Called for those alone: the query that every begin
-- runs stays simple.
CREATE FUNCTION @store@.newt_large(serial bigint, at_most bigint) RETURNS bigint[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $large$
    SELECT pg_catalog.array_agg(l.zoid) FROM (
        SELECT pg_catalog.unnest(x.written OPERATOR(pg_catalog.||) x.removed) AS zoid
          FROM @store@.transaction_object x
         WHERE x.serial = newt_large.serial
         LIMIT newt_large.at_most) l
$large$;
COMMENT ON FUNCTION @store@.newt_large(bigint, bigint) IS 'oids of a transaction that are in transaction_object, at most $2';

-- Transactions before this tid may go: see newt_store. Followers that start over anyway are not waited
-- for; a follower finds its place by the transaction that it has seen last (tid 0: none), so that one stays. So does
-- the newest, and those of five minutes: a client asks for half a minute whether its commit has arrived.
-- The age needs two looks into the index; a number of rows is counted there, from the newest on.
-- JIT would take a scan that is switched off for a long query, and compile for 0.1 s.
CREATE FUNCTION @store@.newt_prune_limit() RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $limit$
BEGIN
    RETURN (WITH s AS MATERIALIZED (
        SELECT (extract(epoch FROM clock_timestamp() - n.keep_age) * 1000000)::bigint AS age,
               (extract(epoch FROM clock_timestamp() - n.wait_for) * 1000000)::bigint AS patience,
               (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 300000000 AS asked, n.keep_rows
          FROM @store@.newt_store n
    ), f AS MATERIALIZED (
        SELECT min(f.tid) AS tid FROM @store@.newt_follower f, s
         WHERE (f.tid = 0 OR EXISTS (SELECT FROM @store@.transaction t WHERE t.tid = f.tid AND t.serial = coalesce(f.serial, t.serial)))
           AND coalesce((SELECT t.tid FROM @store@.transaction t WHERE t.tid > f.tid ORDER BY t.tid LIMIT 1) >= s.patience, true)
    )
    SELECT least((SELECT max(t.tid) FROM @store@.transaction t), f.tid, s.asked, greatest(s.age,
                 CASE WHEN s.keep_rows IS NOT NULL THEN
                     (SELECT t.tid FROM @store@.transaction t ORDER BY t.tid DESC OFFSET s.keep_rows - 1 LIMIT 1) END))
      FROM s, f);
END
$limit$;
COMMENT ON FUNCTION @store@.newt_prune_limit() IS 'transactions before this tid may go, by age, number and followers; the newest and those of the last five minutes never';

-- The index keeps what has gone until it is vacuumed, so who calls this again goes on after the last.
CREATE FUNCTION @store@.newt_prune(after bigint, before bigint, at_most bigint, OUT gone bigint, OUT last bigint) RETURNS record
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $prune$
BEGIN
    SELECT max(b.tid) INTO last FROM (
        SELECT t.tid FROM @store@.transaction t WHERE t.tid > after AND t.tid < before ORDER BY t.tid LIMIT at_most) b;
    WITH d AS (
        DELETE FROM @store@.transaction t WHERE t.tid > after AND t.tid <= last RETURNING t.serial, t.written IS NULL AS large
    ), objects AS (
        DELETE FROM @store@.transaction_object x WHERE x.serial = ANY (ARRAY(SELECT d.serial FROM d WHERE d.large))
    )
    SELECT count(*) INTO gone FROM d;
END
$prune$;
COMMENT ON FUNCTION @store@.newt_prune(bigint, bigint, bigint) IS 'removes at most $3 of the oldest transactions between two tids: how many, and the last of them';

-- The root: a map from names to objects, oid 1. It exists from the start, so that no two clients
-- race to make it. The record is [ "newt.Root", 1, { "items": {} } ].
WITH t AS (
    INSERT INTO @store@.transaction (tid, serial, nonce, username, description, written, removed)
    VALUES ((pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::bigint,
            1, 0, CURRENT_USER, 'store created', '{1}', '{}')
), o AS (
    INSERT INTO @store@.object_state (zoid, serial, state)
    VALUES (1, 1, pg_catalog.decode('83696e6577742e526f6f7401a1656974656d73a0', 'hex'))
)
INSERT INTO @store@.newt_projection (zoid, class_name, serial, state)
VALUES (1, 'newt.Root', 1, '{"items": {}}');
