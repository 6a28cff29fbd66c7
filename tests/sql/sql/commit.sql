-- newt.at_commit and newt.committed: what the library calls to commit
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SELECT newt.create_store('store_m');
CREATE VIEW pg_temp.row_of AS SELECT serial, nonce, username = CURRENT_USER AS me, description, extension, written, removed
  FROM store_m.transaction WHERE serial > 1;

-- nothing committed yet
SELECT newt.committed('store_m.transaction', NULL, NULL) IS NULL AS none;
-- the row is there with the commit, not before; the settings are as they were
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2048, -1, '{1024}', '{}', NULL, NULL, NULL);
SELECT count(*) FROM pg_temp.row_of;
SELECT count(*) AS locked FROM pg_locks WHERE relation = 'store_m.newt_commit_lock'::regclass;
SELECT pg_current_wal_insert_lsn() AS before \gset
COMMIT;
SELECT pg_current_wal_flush_lsn() > :'before' AS durable;
SELECT * FROM pg_temp.row_of;
SELECT (newt.committed('store_m.transaction', NULL, NULL))[1] = max(tid) AS newest, max(tid) > min(tid) AS rising FROM store_m.transaction;
SHOW synchronous_commit;
-- alone in a transaction; what newt_describe says
SELECT newt.at_commit('store_m.transaction', 2049, 2, NULL, NULL, 'somebody', 'what', '{"a": 1}');
SELECT * FROM pg_temp.row_of WHERE serial = 2049;
-- rolled back: nothing
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2050, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
SELECT count(*) FROM pg_temp.row_of WHERE serial = 2050;
-- a serial that is taken: COMMIT fails, and so does all before it
BEGIN;
CREATE TABLE store_m.lost ();
SELECT newt.at_commit('store_m.transaction', 2049, 3, '{}', '{}', NULL, NULL, NULL);
\set VERBOSITY sqlstate
COMMIT;
\set VERBOSITY default
SELECT to_regclass('store_m.lost') IS NULL AS gone, (newt.committed('store_m.transaction', NULL, NULL))[1] = (SELECT max(tid) FROM store_m.transaction) AS as_before;
-- the clock may stand still: tids rise all the same
UPDATE store_m.transaction SET tid = tid + 3600000000 WHERE serial = 2049;
SELECT newt.at_commit('store_m.transaction', 2051, 2, '{}', '{}', NULL, NULL, NULL);
SELECT (SELECT tid FROM store_m.transaction WHERE serial = 2051) - (SELECT tid FROM store_m.transaction WHERE serial = 2049) AS next;

-- what is refused, and how
\set ON_ERROR_STOP 0
SELECT newt.at_commit('store_m.transaction', 2052, NULL, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit('store_m.newt_class', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit(0, 2052, 2, '{}', '{}', NULL, NULL, NULL);
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit('store_m.transaction', 2053, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SAVEPOINT one;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
PREPARE TRANSACTION 'newt';
-- with the caller's rights
CREATE ROLE newt_commit_nobody;
GRANT USAGE ON SCHEMA store_m TO newt_commit_nobody;
SET ROLE newt_commit_nobody;
\set VERBOSITY terse
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
\set VERBOSITY default
RESET ROLE;
SELECT max(serial) FROM pg_temp.row_of;
-- ... of who called, not of who happens to be there at the commit
BEGIN;
SET ROLE newt_commit_nobody;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
RESET ROLE;
\set VERBOSITY terse
COMMIT;
\set VERBOSITY default
CREATE FUNCTION store_m.later(x bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN PERFORM newt.at_commit(''store_m.transaction'', 2052, 2, NULL, NULL, NULL, NULL, NULL); RETURN x; END';
CREATE TABLE store_m.trap AS SELECT 1::bigint AS x;
\set VERBOSITY terse
CREATE INDEX ON store_m.trap (store_m.later(x));
\set VERBOSITY default
-- a store that is dropped or renamed meanwhile
SELECT newt.create_store('store_n');
BEGIN;
SELECT newt.at_commit('store_n.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SET LOCAL client_min_messages = warning;
DROP SCHEMA store_n CASCADE;
COMMIT;
SELECT newt.at_commit('store_n.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ALTER SCHEMA store_n RENAME TO store_o;
SELECT newt.create_store('store_n');
SELECT newt.at_commit('store_o.transaction', 2053, 2, '{}', '{}', NULL, NULL, NULL);
SELECT (SELECT count(*) FROM store_n.transaction WHERE serial > 1) AS other, (SELECT count(*) FROM store_o.transaction WHERE serial > 1) AS this;
-- functions of that name in the search path are not called
CREATE SCHEMA store_evil;
CREATE FUNCTION store_evil.max(bigint) RETURNS bigint LANGUAGE sql RETURN 7;
SET search_path = store_evil, pg_catalog;
SELECT newt.at_commit('store_m.transaction', 2054, 2, '{}', '{}', NULL, NULL, NULL);
RESET search_path;
SELECT (newt.committed('store_m.transaction', NULL, NULL))[1] = max(tid) AS newest FROM store_m.transaction;
-- what others have committed since a position: tid, new position, whether it follows, oids; 0 for the session's own
CREATE VIEW pg_temp.ranked AS SELECT tid, serial, row_number() OVER (ORDER BY tid) AS n FROM store_m.transaction;
CREATE FUNCTION pg_temp.since(n bigint) RETURNS TABLE (own bigint, newest bigint, serial bigint, follows bigint, oids bigint[]) LANGUAGE sql AS
  $$SELECT (SELECT r.n FROM pg_temp.ranked r WHERE tid = c[1]), (SELECT r.n FROM pg_temp.ranked r WHERE tid = c[2]), c[3], c[4], c[5:]
      FROM newt.committed('store_m.transaction', (SELECT tid FROM pg_temp.ranked r WHERE r.n = since.n), (SELECT r.serial FROM pg_temp.ranked r WHERE r.n = since.n)) c$$;
SELECT n, c.* FROM generate_series(1, 5) n, pg_temp.since(n) c;
INSERT INTO store_m.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 2060, 1, '{1,2}', '{3}' FROM store_m.transaction;
INSERT INTO store_m.transaction (tid, serial, nonce) SELECT max(tid) + 1, 2061, 1 FROM store_m.transaction;
INSERT INTO store_m.transaction_object VALUES (2061, 0, '{4}', '{5,6}'), (2061, 1, '{7}', '{}');
SELECT n, c.* FROM generate_series(4, 7) n, pg_temp.since(n) c;
-- a position that is not there, or of another transaction; too many
SELECT c[4:] FROM newt.committed('store_m.transaction', 12345, 2054) c;
SELECT c[4:] FROM pg_temp.ranked r, newt.committed('store_m.transaction', r.tid, r.serial + 1) c WHERE r.n = 4;
INSERT INTO store_m.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 2062, 1, array(SELECT generate_series(1, 9992)), '{}' FROM store_m.transaction;
SELECT n, c.own, c.newest, c.serial, c.follows, cardinality(c.oids) FROM generate_series(4, 5) n, pg_temp.since(n) c;
INSERT INTO store_m.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 2063, 1, '{8}', '{}' FROM store_m.transaction;
SELECT n, c.own, c.newest, c.serial, c.follows, cardinality(c.oids) FROM generate_series(4, 5) n, pg_temp.since(n) c;
DELETE FROM store_m.transaction WHERE serial IN (2062, 2063);
INSERT INTO store_m.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + i, 3000 + i, 1, '{}', '{}' FROM store_m.transaction, generate_series(1, 4998) i GROUP BY i;
SELECT n, c.own IS NOT NULL AS own, c.newest, c.serial, c.follows, cardinality(c.oids) FROM generate_series(4, 6) n, pg_temp.since(n) c;
-- another store than that of the last commit
SELECT newt.committed('store_n.transaction', NULL, NULL) IS NULL AS none, newt.committed(NULL, NULL, NULL) IS NULL AS nothing;
-- a tid that no other can follow, and a table that is not as it was made
INSERT INTO store_n.transaction (tid, serial, nonce) VALUES (9223372036854775807, 5, 1);
\set ON_ERROR_STOP 0
SELECT newt.at_commit('store_n.transaction', 2055, 2, '{}', '{}', NULL, NULL, NULL);
ALTER TABLE store_n.transaction DROP CONSTRAINT transaction_pkey;
SELECT newt.at_commit('store_n.transaction', 2055, 2, '{}', '{}', NULL, NULL, NULL);
ALTER TABLE store_n.transaction ADD PRIMARY KEY (serial);
SELECT newt.at_commit('store_n.transaction', 2055, 2, '{}', '{}', NULL, NULL, NULL);
DROP TABLE store_n.newt_commit_lock;
SELECT newt.at_commit('store_n.transaction', 2055, 2, '{}', '{}', NULL, NULL, NULL);
SET client_min_messages = warning;
DROP SCHEMA store_m, store_n, store_o, store_evil CASCADE;
DROP ROLE newt_commit_nobody;
SELECT newt.create_store('store_p');
-- a transaction that may not write; it may have become so after the call
\set ON_ERROR_STOP 0
BEGIN READ ONLY;
SELECT newt.at_commit('store_p.transaction', 3001, 1, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SELECT newt.at_commit('store_p.transaction', 3001, 1, '{}', '{}', NULL, NULL, NULL);
SET TRANSACTION READ ONLY;
COMMIT;
SELECT count(*) FROM store_p.transaction WHERE serial = 3001;
-- triggers of the DBA's, deferred ones too, see the row
CREATE FUNCTION pg_temp.say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% %', TG_NAME, new.serial; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON store_p.transaction DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.say();
CREATE TRIGGER at_once AFTER INSERT ON store_p.transaction FOR EACH ROW EXECUTE FUNCTION pg_temp.say();
BEGIN;
SELECT newt.at_commit('store_p.transaction', 3002, 1, '{}', '{}', NULL, NULL, NULL);
COMMIT;
SELECT newt.commit('store_p.transaction', 3003, 1, '{}', '{}', '{}', true, NULL, NULL) IS NOT NULL AS done;
DROP TRIGGER deferred ON store_p.transaction;
DROP TRIGGER at_once ON store_p.transaction;
-- one before the row may change it, or suppress it, which is an error; one whose condition is not met is not called
CREATE FUNCTION pg_temp.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.description = 'gone' THEN RETURN NULL; END IF; new.description := TG_NAME || ' of ' || new.serial; RETURN new; END $$;
CREATE TRIGGER a_change BEFORE INSERT ON store_p.transaction FOR EACH ROW EXECUTE FUNCTION pg_temp.change();
CREATE TRIGGER b_never BEFORE INSERT OR UPDATE ON store_p.transaction FOR EACH ROW WHEN (new.serial < 0) EXECUTE FUNCTION pg_temp.say();
SELECT newt.commit('store_p.transaction', 3004, 1, '{}', '{}', '{}', true, NULL, NULL) IS NOT NULL AS done;
BEGIN;
SELECT newt.at_commit('store_p.transaction', 3005, 1, '{}', '{}', NULL, NULL, NULL);
COMMIT;
BEGIN;
SELECT newt.at_commit('store_p.transaction', 3006, 1, '{}', '{}', NULL, 'gone', NULL);
COMMIT;
ALTER TABLE store_p.transaction DISABLE TRIGGER a_change;
SELECT newt.commit('store_p.transaction', 3007, 1, '{}', '{}', '{}', true, NULL, NULL) IS NOT NULL AS done;
\set VERBOSITY terse
-- what it has changed is checked, too
ALTER TABLE store_p.transaction ENABLE TRIGGER a_change, ADD CONSTRAINT no_change CHECK (description NOT LIKE '% of 3008');
SELECT newt.commit('store_p.transaction', 3008, 1, '{}', '{}', '{}', true, NULL, NULL) IS NOT NULL AS done;
-- a row that is suppressed where a statement inserts it
CREATE TRIGGER c_after AFTER INSERT ON store_p.transaction FOR EACH ROW EXECUTE FUNCTION pg_temp.say();
BEGIN;
SELECT newt.at_commit('store_p.transaction', 3009, 1, '{}', '{}', NULL, 'gone', NULL);
COMMIT;
SELECT serial, description FROM store_p.transaction WHERE serial > 3003 ORDER BY 1;
DROP SCHEMA store_p CASCADE;
